/* Jobs with an owner: linked until their news is in, so that a crash can free what they hold. */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

void *task_new(size_t size, struct log_dir *dir, struct log *log)
{
    ASSERT(size >= sizeof(struct task));
    ASSERT(dir != NULL);
    struct task *task = mem_zalloc(size);
    task->dir = dir;
    task->log = log;
    list_push(log != NULL ? &log->tasks : &dir->tasks, &task->node);
    return task;
}

static void task_free(struct task *task)
{
    list_remove(&task->node);
    if (task->release != NULL) {
        task->release(task);
    }
    mem_free(task);
}

static void task_run(struct env_job *job, struct env_fs *fs)
{
    struct task *task = CONTAINER_OF(job, struct task, job);
    task->run(task, fs);
}

static void task_done(struct env_job *job)
{
    struct task *task = CONTAINER_OF(job, struct task, job);
    struct log *log = task->log;
    struct log_dir *dir = task->dir;
    list_remove(&task->node);
    if (log != NULL && log->state != LOG_OPEN) {
        env_post(dir->env, &log->settle_post);
    }
    if (log == NULL && dir->closing) {
        env_post(dir->env, &dir->closed_post);
    }
    task->finished(task);
    task_free(task);
}

void task_submit(struct task *task, struct env_lane *lane)
{
    ASSERT(task->run != NULL && task->finished != NULL);
    ASSERT(lane != NULL);
    task->job.run = task_run;
    task->job.done = task_done;
    env_job_submit(task->dir->env, lane, &task->job);
}

void tasks_drop(struct list *tasks)
{
    while (!list_empty(tasks)) {
        task_free(CONTAINER_OF(tasks->next, struct task, node));
    }
}
