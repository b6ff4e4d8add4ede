/* Worker threads.
 *
 * A lane is a queue of jobs of which one runs at a time. A crew's threads take lanes that have
 * work, one job each time, from the front of a ring, so lanes share the threads evenly. A finished
 * job goes to the one list of done jobs BEFORE its lane may run the next, which keeps each lane's
 * order; the first on an empty list wakes the loop, which takes the whole list.
 *
 * A lane is freed by the loop thread when it is closed and its last job was delivered. That is safe
 * because a thread does not touch the lane after it put the job on the done list.
 *
 * Locks: a crew's, then the done list's. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "broker/os/impl.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { STACK_BYTES = 512 * 1024 };

struct env_lane {
    struct list node; /* crew's lanes */
    struct list jobs; /* waiting; under the crew's lock, as `running` */
    bool running;
    struct os_crew *crew;
    size_t outstanding; /* loop thread only, as `closed` */
    bool closed;
};

static const struct {
    const char *name;
    unsigned size;
} plans[ENV_WORKERS] = {
    [ENV_WORKER_META] = {"bnb-meta", 1},     [ENV_WORKER_APPEND] = {"bnb-append", 2},
    [ENV_WORKER_COMMIT] = {"bnb-commit", 2}, [ENV_WORKER_READ] = {"bnb-read", 2},
    [ENV_WORKER_BULK] = {"bnb-bulk", 1},
};

static void report(struct os *os, struct env_job *job)
{
    pthread_mutex_lock(&os->done_lock);
    bool first = list_empty(&os->done);
    list_push(&os->done, &job->node);
    pthread_mutex_unlock(&os->done_lock);
    if (first) {
        uv_async_send(&os->finished);
    }
}

/* Takes a lane's next job, runs it, reports it. Holds crew->lock before and after. */
static void run_one(struct os_crew *crew)
{
    struct list *first = list_pop(&crew->lanes);
    ASSERT(first != NULL);
    struct env_lane *lane = CONTAINER_OF(first, struct env_lane, node);
    ASSERT(!lane->running && !list_empty(&lane->jobs));
    struct list *node = list_pop(&lane->jobs);
    struct env_job *job = CONTAINER_OF(node, struct env_job, node);
    lane->running = true;
    pthread_mutex_unlock(&crew->lock);

    job->run(job, &crew->os->fs);

    pthread_mutex_lock(&crew->lock);
    lane->running = false;
    if (!list_empty(&lane->jobs)) {
        list_push(&crew->lanes, &lane->node);
    }
    report(crew->os, job);
}

static void *work(void *arg)
{
    struct os_crew *crew = arg;
    pthread_mutex_lock(&crew->lock);
    for (;;) {
        while (list_empty(&crew->lanes) && !crew->ending) {
            crew->resting++;
            pthread_cond_wait(&crew->work, &crew->lock);
            crew->resting--;
        }
        if (list_empty(&crew->lanes)) {
            break;
        }
        run_one(crew);
    }
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

/* One more thread, deaf to signals: those are the loop's. */
static int start_thread(struct os_crew *crew)
{
    sigset_t all;
    sigset_t before;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&crew->threads[crew->started], &attr, work, crew);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc == 0) {
        pthread_setname_np(crew->threads[crew->started], crew->name);
        crew->started++;
    } else {
        trace_warn(crew->os->env.trace, "start thread %s: %s", crew->name, strerror(rc));
    }
    return rc;
}

struct env_lane *os_lane_open(struct env *env, enum env_worker worker)
{
    struct os *os = (struct os *)env;
    struct env_lane *lane = mem_zalloc(sizeof *lane);
    list_init(&lane->node);
    list_init(&lane->jobs);
    lane->crew = &os->crews[worker];
    return lane;
}

void os_lane_close(struct env *env, struct env_lane *lane)
{
    (void)env;
    ASSERT(!lane->closed);
    lane->closed = true;
    if (lane->outstanding == 0) {
        mem_free(lane);
    }
}

void os_job_submit(struct env *env, struct env_lane *lane, struct env_job *job)
{
    struct os *os = (struct os *)env;
    struct os_crew *crew = lane->crew;
    ASSERT(!lane->closed && !os->drained);
    os->outstanding++;
    lane->outstanding++;

    pthread_mutex_lock(&crew->lock);
    list_push(&lane->jobs, &job->node);
    if (!lane->running && list_empty(&lane->node)) {
        list_push(&crew->lanes, &lane->node);
    }
    bool hands_wanted = !list_empty(&crew->lanes);
    if (crew->resting > 0 && hands_wanted) {
        pthread_cond_signal(&crew->work);
        hands_wanted = false;
    }
    pthread_mutex_unlock(&crew->lock);

    if (hands_wanted && crew->started < crew->size && start_thread(crew) != 0 &&
        crew->started == 0) {
        /* The system gives us no thread at all: better slow than never. */
        pthread_mutex_lock(&crew->lock);
        while (!list_empty(&crew->lanes)) {
            run_one(crew);
        }
        pthread_mutex_unlock(&crew->lock);
    }
}

void os_workers_deliver(struct os *os)
{
    struct list batch;
    list_init(&batch);
    pthread_mutex_lock(&os->done_lock);
    list_splice(&batch, &os->done);
    pthread_mutex_unlock(&os->done_lock);
    struct list *node;
    while ((node = list_pop(&batch)) != NULL) {
        struct env_job *job = CONTAINER_OF(node, struct env_job, node);
        struct env_lane *lane = job->lane;
        ASSERT(os->outstanding > 0 && lane->outstanding > 0);
        os->outstanding--;
        lane->outstanding--;
        if (lane->closed && lane->outstanding == 0) {
            mem_free(lane);
        }
        os_turn(os);
        job->done(job);
    }
}

void os_workers_init(struct os *os)
{
    pthread_mutex_init(&os->done_lock, NULL);
    list_init(&os->done);
    for (int i = 0; i < ENV_WORKERS; i++) {
        struct os_crew *crew = &os->crews[i];
        crew->os = os;
        crew->name = plans[i].name;
        crew->size = plans[i].size;
        ASSERT(crew->size >= 1 && crew->size <= sizeof crew->threads / sizeof crew->threads[0]);
        pthread_mutex_init(&crew->lock, NULL);
        pthread_cond_init(&crew->work, NULL);
        list_init(&crew->lanes);
    }
}

void os_workers_end(struct os *os)
{
    ASSERT(os->outstanding == 0);
    for (int i = 0; i < ENV_WORKERS; i++) {
        struct os_crew *crew = &os->crews[i];
        pthread_mutex_lock(&crew->lock);
        crew->ending = true;
        pthread_cond_broadcast(&crew->work);
        pthread_mutex_unlock(&crew->lock);
        for (unsigned t = 0; t < crew->started; t++) {
            pthread_join(crew->threads[t], NULL);
        }
        ASSERT(list_empty(&crew->lanes));
        pthread_mutex_destroy(&crew->lock);
        pthread_cond_destroy(&crew->work);
    }
    pthread_mutex_destroy(&os->done_lock);
}
