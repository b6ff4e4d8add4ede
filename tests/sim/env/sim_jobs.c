/* Jobs: lanes, workers, and the fibers that jobs run on.
 *
 * A job begins when its lane has none running and its worker has a thread free; from then on it is
 * a task, whose single event is in turn: begin, end of a file operation (again and again), done. */
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim_internal.h"

static void start_fire(struct sim_event *event);

void sim_jobs_init(struct sim_node *node)
{
    list_init(&node->lanes);
    list_init(&node->tasks);
    node->worker_threads = 2;
    for (int i = 0; i < ENV_WORKERS; i++) {
        list_init(&node->workers[i].ready);
        node->workers[i].start = (struct sim_event){.node = node, .fire = start_fire};
    }
}

struct env_lane *sim_lane_open(struct env *env, enum env_worker worker)
{
    struct sim_node *node = sim_node_of(env);
    struct env_lane *lane = mem_zalloc(sizeof *lane);
    lane->worker = worker;
    list_init(&lane->ready);
    list_init(&lane->jobs);
    list_push(&node->lanes, &lane->all);
    return lane;
}

static void lane_free(struct env_lane *lane)
{
    ASSERT(list_empty(&lane->jobs) && list_empty(&lane->ready));
    list_remove(&lane->all);
    mem_free(lane);
}

void sim_lane_close(struct env *env, struct env_lane *lane)
{
    struct sim_node *node = sim_node_of(env);
    if (!node->up) {
        return; /* goes with all the others at restart */
    }
    ASSERT(!lane->closed);
    lane->closed = true;
    if (lane->undone == 0 && list_empty(&lane->jobs)) {
        lane_free(lane);
    }
}

static void look_for_work(struct sim_node *node, enum env_worker which)
{
    struct sim_worker *worker = &node->workers[which];
    if (!list_empty(&worker->ready) && worker->running < node->worker_threads &&
        !heap_node_linked(&worker->start.heap)) {
        sim_schedule(node->sim, &worker->start, node->sim->now_us + sim_between(node->sim, 1, 60));
    }
}

static void lane_ready(struct sim_node *node, struct env_lane *lane)
{
    if (!lane->running && !list_empty(&lane->jobs) && list_empty(&lane->ready)) {
        list_push(&node->workers[lane->worker].ready, &lane->ready);
        look_for_work(node, lane->worker);
    }
}

void sim_job_submit(struct env *env, struct env_lane *lane, struct env_job *job)
{
    struct sim_node *node = sim_node_of(env);
    if (!node->up) {
        list_init(&job->node);
        return;
    }
    ASSERT(!lane->closed);
    list_push(&lane->jobs, &job->node);
    lane_ready(node, lane);
}

/* ---- a task's life ---- */

static void task_free(struct sim_task *task)
{
    struct sim *sim = task->node->sim;
    sim_unschedule(sim, &task->event);
    *MEM_PUSH(sim->fibers, sim->fiber_count, sim->fiber_capacity) = task->fiber;
    list_remove(&task->all);
    mem_free(task);
}

/* The last event: `done`, on the core. The lane's next job may have begun before it. */
static void done_fire(struct sim_event *event)
{
    struct sim_task *task = CONTAINER_OF(event, struct sim_task, event);
    struct sim_node *node = task->node;
    struct env_lane *lane = task->lane;
    struct env_job *job = task->job;
    sim_record(node->sim, node, "done", NULL, (int64_t)lane->worker, 0);
    task_free(task);
    job->done(job);
    lane->undone--;
    if (lane->closed && lane->undone == 0 && list_empty(&lane->jobs)) {
        lane_free(lane);
    }
}

static void run_ended(struct sim_task *task)
{
    struct sim_node *node = task->node;
    struct env_lane *lane = task->lane;
    int64_t done_us = node->sim->now_us + sim_between(node->sim, 1, 60);
    lane->last_done_us = done_us > lane->last_done_us ? done_us : lane->last_done_us;
    task->event.fire = done_fire;
    sim_schedule(node->sim, &task->event, lane->last_done_us);
    lane->running = false;
    lane_ready(node, lane);
    node->workers[lane->worker].running--;
    look_for_work(node, lane->worker);
}

static void op_fire(struct sim_event *event)
{
    struct sim_task *task = CONTAINER_OF(event, struct sim_task, event);
    if (sim_fiber_resume(task->fiber)) {
        run_ended(task);
    }
}

static void run_job(void *arg)
{
    struct sim_task *task = arg;
    task->job->run(task->job, &task->fs);
}

static void begin_fire(struct sim_event *event)
{
    struct sim_task *task = CONTAINER_OF(event, struct sim_task, event);
    task->event.fire = op_fire;
    if (sim_fiber_start(task->fiber, run_job, task)) {
        run_ended(task);
    }
}

static struct sim_fiber *take_fiber(struct sim *sim)
{
    return sim->fiber_count > 0 ? sim->fibers[--sim->fiber_count] : sim_fiber_new();
}

static void start_fire(struct sim_event *event)
{
    struct sim_worker *worker = CONTAINER_OF(event, struct sim_worker, start);
    struct sim_node *node = event->node;
    enum env_worker which = (enum env_worker)(worker - node->workers);
    struct list *first = list_pop(&worker->ready);
    if (first == NULL || worker->running >= node->worker_threads) {
        return;
    }
    struct env_lane *lane = CONTAINER_OF(first, struct env_lane, ready);
    struct list *job = list_pop(&lane->jobs);
    ASSERT(job != NULL && !lane->running);
    lane->running = true;
    lane->undone++;
    worker->running++;
    struct sim_task *task = mem_zalloc(sizeof *task);
    *task = (struct sim_task){
        .fs = {.ops = &sim_fs_ops},
        .node = node,
        .lane = lane,
        .job = CONTAINER_OF(job, struct env_job, node),
        .fiber = take_fiber(node->sim),
        .event = {.node = node, .fire = begin_fire},
    };
    list_push(&node->tasks, &task->all);
    sim_record(node->sim, node, "job", NULL, (int64_t)which, 0);
    sim_schedule(node->sim, &task->event, node->sim->now_us);
    look_for_work(node, which);
}

/* ---- from inside a job ---- */

bool sim_task_wait(struct sim_task *task, int64_t delay_us)
{
    if (task->cancelled) {
        task->cancelled_ops++;
        ASSERT(task->cancelled_ops < 1000000); /* a job must end when its operations fail */
        return false;
    }
    sim_schedule(task->node->sim, &task->event, task->node->sim->now_us + delay_us);
    sim_fiber_suspend(task->fiber);
    return !task->cancelled;
}

void sim_task_crash(struct sim_task *task)
{
    task->node->crash_now = true;
    sim_fiber_suspend(task->fiber);
    ASSERT(task->cancelled);
}

/* ---- crash ---- */

static void tear_write(struct sim_task *task)
{
    struct sim *sim = task->node->sim;
    int64_t at = task->write_at;
    if (task->writing == NULL || sim_chance(sim, 2)) {
        return;
    }
    for (int i = 0; i < task->iov_count; i++) {
        int64_t size = (int64_t)task->iov[i].size;
        int64_t part = sim_between(sim, 0, size);
        sim_inode_write(task->writing, task->iov[i].data, part, at);
        if (part < size) {
            return;
        }
        at += size;
    }
}

void sim_jobs_crash(struct sim_node *node)
{
    struct list *item;
    LIST_FOREACH(torn, &node->tasks) {
        tear_write(CONTAINER_OF(torn, struct sim_task, all));
    }
    while ((item = list_pop(&node->tasks)) != NULL) {
        struct sim_task *task = CONTAINER_OF(item, struct sim_task, all);
        task->cancelled = true;
        if (task->event.fire == op_fire) {
            bool ended = sim_fiber_resume(task->fiber);
            ASSERT(ended);
        }
        list_init(&task->job->node);
        task_free(task);
    }
    for (int i = 0; i < ENV_WORKERS; i++) {
        struct sim_worker *worker = &node->workers[i];
        worker->running = 0;
        sim_unschedule(node->sim, &worker->start);
        while (list_pop(&worker->ready) != NULL) {
        }
    }
    LIST_FOREACH(all, &node->lanes) {
        struct env_lane *lane = CONTAINER_OF(all, struct env_lane, all);
        while (list_pop(&lane->jobs) != NULL) {
        }
    }
}

void sim_jobs_free_lanes(struct sim_node *node)
{
    ASSERT(list_empty(&node->tasks));
    LIST_FOREACH(all, &node->lanes) {
        lane_free(CONTAINER_OF(all, struct env_lane, all));
    }
}

void sim_worker_threads(struct sim_node *node, int threads)
{
    ASSERT(threads > 0);
    node->worker_threads = threads;
}
