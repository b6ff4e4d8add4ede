/* Group commit: one round syncs every log that has something to sync, then the next round begins
 * with what arrived meanwhile. One committer a directory and worker, so that the metadata log waits
 * for nobody.
 *
 * Happy path: a write ends, the log joins the waiting list, the committer's round takes the whole
 * list in one job: for each log its written end is noted *before* the job begins, each file written
 * since its last sync is synced, the directory too when a file in it is new; then durable = the
 * noted end. When the files of many are new, one call syncs the file system: it stands for two
 * syncs a log.
 *
 * Failure modes. A sync that fails says nothing about what is on disk and cannot be tried again:
 * the directory goes offline. A cut while the round runs makes the noted end meaningless
 * (generation): the result is dropped and the log, whose files were marked clean, is marked dirty
 * and waits again. */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct commit_item {
    struct log *log;
    struct env_file **files;
    size_t file_count;
    size_t file_capacity;
    char *dir_path; /* NULL: no new names */
    uint32_t generation;
    int64_t written; /* at the start of the round */
};

struct commit_task {
    struct task task;
    struct committer *committer;
    struct commit_item *items;
    size_t item_count;
    size_t item_capacity;
    struct env_file *all; /* NULL: file by file */
};

static void commit_release(struct task *task)
{
    struct commit_task *t = CONTAINER_OF(task, struct commit_task, task);
    for (size_t i = 0; i < t->item_count; i++) {
        for (size_t k = 0; k < t->items[i].file_count; k++) {
            env_file_unref(t->items[i].files[k]);
        }
        mem_free(t->items[i].files);
        mem_free(t->items[i].dir_path);
    }
    mem_free(t->items);
    env_file_unref(t->all);
}

static void commit_run(struct task *task, struct env_fs *fs)
{
    struct commit_task *t = CONTAINER_OF(task, struct commit_task, task);
    if (t->all != NULL) {
        task->error = sync_all(fs, t->all, &task->text);
        return;
    }
    for (size_t i = 0; task->error == ERR_NONE && i < t->item_count; i++) {
        struct commit_item *item = &t->items[i];
        for (size_t k = 0; task->error == ERR_NONE && k < item->file_count; k++) {
            task->error = segment_sync(fs, item->files[k], &task->text);
        }
        if (task->error == ERR_NONE && item->dir_path != NULL) {
            task->error = env_fs_sync_dir(fs, item->dir_path, &task->text);
        }
    }
}

/* Notes what there is to sync. Segments before the first dirty one are synced already. */
static void collect(struct commit_item *item, struct log *log)
{
    item->log = log;
    item->generation = log->generation;
    item->written = log->written;
    for (size_t i = log_first_unsettled(log); i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (segment->dirty && segment->file != NULL) {
            *MEM_PUSH(item->files, item->file_count, item->file_capacity) =
                env_file_ref(segment->file);
            segment->dirty = false;
            if (segment->name_dirty) {
                segment->name_dirty = false;
                if (item->dir_path == NULL) {
                    item->dir_path = mem_strdup(log->path);
                }
            }
        }
        ASSERT(!segment->dirty);
    }
}

static void mark_dirty_again(struct log *log)
{
    for (size_t i = log_first_unsettled(log); i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (segment->end_offset > log->durable && segment->exists) {
            segment->dirty = segment->file != NULL;
            segment->name_dirty = segment->file != NULL;
        }
    }
}

static void commit_done_for(struct commit_item *item)
{
    struct log *log = item->log;
    log->committing = false;
    if (log->state != LOG_OPEN) {
        env_post(log->env, &log->settle_post);
    }
    if (log->failed) {
        return;
    }
    if (item->generation != log->generation) {
        mark_dirty_again(log);
    } else if (item->written > log->durable) {
        ASSERT(item->written <= log->written);
        log->durable = item->written;
        files_rest(log);
        log->news_durable = true;
        log_announce(log);
    }
    commit_consider(log);
}

static void commit_finished(struct task *task)
{
    struct commit_task *t = CONTAINER_OF(task, struct commit_task, task);
    t->committer->running = false;
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "sync");
        dir_fail(task->dir, task->error, &task->text);
    }
    for (size_t i = 0; i < t->item_count; i++) {
        commit_done_for(&t->items[i]);
    }
    if (!list_empty(&t->committer->waiting)) {
        env_post(task->dir->env, &t->committer->post);
    }
}

static void commit_round(struct env_post *post)
{
    struct committer *c = CONTAINER_OF(post, struct committer, post);
    if (c->running || list_empty(&c->waiting)) {
        return;
    }
    if (c->lane == NULL) {
        c->lane = env_lane_open(c->dir->env, c->worker);
    }
    struct commit_task *task = task_new(sizeof *task, c->dir, NULL);
    task->committer = c;
    int new_names = 0;
    LIST_FOREACH(node, &c->waiting) {
        struct log *log = CONTAINER_OF(node, struct log, commit_node);
        list_remove(node);
        struct commit_item item = {0};
        collect(&item, log);
        new_names += item.dir_path != NULL;
        log->committing = true;
        *MEM_PUSH(task->items, task->item_count, task->item_capacity) = item;
    }
    if (new_names >= TOGETHER_MIN) {
        task->all = env_file_ref(c->dir->lock);
    }
    c->running = true;
    task->task.run = commit_run;
    task->task.finished = commit_finished;
    task->task.release = commit_release;
    task_submit(&task->task, c->lane);
}

void committer_init(struct committer *c, struct log_dir *dir, enum env_worker worker)
{
    c->dir = dir;
    c->worker = worker;
    list_init(&c->waiting);
    env_post_init(&c->post, commit_round);
}

void committer_fini(struct committer *c)
{
    ASSERT(list_empty(&c->waiting));
    env_post_cancel(c->dir->env, &c->post);
    if (c->lane != NULL) {
        env_lane_close(c->dir->env, c->lane);
    }
}

static void join(struct log *log)
{
    struct committer *c = &log->dir->committers[log->commit_worker];
    env_timer_cancel(log->env, &log->flush_timer);
    if (list_empty(&log->commit_node)) {
        list_push(&c->waiting, &log->commit_node);
    }
    env_post(log->env, &c->post);
}

static void flush_due(struct env_timer *timer)
{
    struct log *log = CONTAINER_OF(timer, struct log, flush_timer);
    if (log->state == LOG_OPEN && !log->failed && !log->committing && log->written > log->durable) {
        join(log);
    }
}

void commit_consider(struct log *log)
{
    if (log->state != LOG_OPEN || log->failed || log->committing || log->cut_wanted ||
        log->written <= log->durable) {
        return;
    }
    if (log->written - log->durable >= log->config.flush_messages ||
        !list_empty(&log->dir->files_waiting)) {
        join(log);
    } else if (log->config.flush_ms != INT64_MAX && !env_timer_armed(&log->flush_timer)) {
        int64_t now = env_now_ms(log->env);
        log->flush_timer.fire = flush_due;
        env_timer_set(log->env, &log->flush_timer,
                      log->config.flush_ms > INT64_MAX - now ? INT64_MAX
                                                             : now + log->config.flush_ms);
    }
}

void commit_forget(struct log *log)
{
    list_remove(&log->commit_node);
    env_timer_cancel(log->env, &log->flush_timer);
}
