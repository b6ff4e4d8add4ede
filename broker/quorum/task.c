/* Jobs about snapshots: linked until their news is in, so that a crash can free what they hold. */
#include "broker/quorum/quorum_internal.h"

void *quorum_task_new(struct quorum *quorum, size_t size)
{
    ASSERT(size >= sizeof(struct quorum_task));
    struct quorum_task *task = mem_zalloc(size);
    task->quorum = quorum;
    list_push(&quorum->tasks, &task->node);
    return task;
}

static void task_free(struct quorum_task *task)
{
    list_remove(&task->node);
    if (task->release != NULL) {
        task->release(task);
    }
    mem_free(task);
}

static void task_run(struct env_job *job, struct env_fs *fs)
{
    struct quorum_task *task = CONTAINER_OF(job, struct quorum_task, job);
    task->error = task->run(task, fs);
}

static void task_done(struct env_job *job)
{
    struct quorum_task *task = CONTAINER_OF(job, struct quorum_task, job);
    struct quorum *quorum = task->quorum;
    task->finished(task);
    task_free(task);
    if (quorum->closing) {
        quorum_close_step(quorum);
    }
}

void quorum_task_submit(struct quorum_task *task, enum env_worker worker)
{
    struct quorum *quorum = task->quorum;
    ASSERT(task->run != NULL && task->finished != NULL && !quorum->close_begun);
    if (quorum->lanes[worker] == NULL) {
        quorum->lanes[worker] = env_lane_open(quorum->env, worker);
    }
    task->job.run = task_run;
    task->job.done = task_done;
    env_job_submit(quorum->env, quorum->lanes[worker], &task->job);
}

bool quorum_tasks_busy(const struct quorum *quorum)
{
    return !list_empty(&quorum->tasks);
}

void quorum_tasks_close(struct quorum *quorum)
{
    ASSERT(!quorum_tasks_busy(quorum));
    for (int i = 0; i < ENV_WORKERS; i++) {
        if (quorum->lanes[i] != NULL) {
            env_lane_close(quorum->env, quorum->lanes[i]);
            quorum->lanes[i] = NULL;
        }
    }
}

void quorum_tasks_free(struct quorum *quorum)
{
    while (!list_empty(&quorum->tasks)) {
        task_free(CONTAINER_OF(quorum->tasks.next, struct quorum_task, node));
    }
}
