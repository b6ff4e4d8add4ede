/* The epoch cache's file of each log, of many at once: when a broker comes to lead thousands of
 * partitions each gets a new epoch and, with its first record, a new file.
 *
 * Happy path: a log whose file lacks an epoch that has records asks here; a job takes all that ask,
 * writes each new file beside the old, syncs them (one by one when they are few, by one call when
 * they are many), renames each over the old and syncs the names in the same way.
 *
 * Failure modes: no room: they ask again when there is some; anything else takes the directory
 * offline. Until its file is kept, an epoch holds the recovery point back (dir_checkpoints.c) and a
 * cut waits (cut.c). */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct save_item {
    struct log *log;
    uint32_t generation;
    int64_t end_offset;
    char *path;
    struct bytes content;
};

struct save_task {
    struct task task;
    struct env_file *lock;
    struct save_item *items;
    size_t item_count;
    size_t item_capacity;
};

static void save_release(struct task *task)
{
    struct save_task *t = CONTAINER_OF(task, struct save_task, task);
    for (size_t i = 0; i < t->item_count; i++) {
        mem_free(t->items[i].path);
        bytes_free(&t->items[i].content);
    }
    mem_free(t->items);
    env_file_unref(t->lock);
}

static enum err save_each(struct save_task *t, struct env_fs *fs)
{
    enum err e = ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < t->item_count; i++) {
        const struct save_item *item = &t->items[i];
        e = env_fs_replace(fs, item->path, item->content.data, item->content.size, &t->task.text);
    }
    return e;
}

/* `rename`: the files written before by this same function take their names. */
static enum err put_each(struct save_task *t, struct env_fs *fs, bool rename)
{
    enum err e = ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < t->item_count; i++) {
        const struct save_item *item = &t->items[i];
        struct bytes beside = {0};
        bytes_printf(&beside, "%s.tmp", item->path);
        const char *path = (const char *)beside.data;
        e = rename
                ? env_fs_rename(fs, path, item->path, &t->task.text)
                : file_put(fs, path, item->content.data, item->content.size, false, &t->task.text);
        bytes_free(&beside);
    }
    return e == ERR_NONE ? sync_all(fs, t->lock, &t->task.text) : e;
}

static void save_run(struct task *task, struct env_fs *fs)
{
    struct save_task *t = CONTAINER_OF(task, struct save_task, task);
    if (t->item_count < TOGETHER_MIN) {
        task->error = save_each(t, fs);
        return;
    }
    task->error = put_each(t, fs, false);
    if (task->error == ERR_NONE) {
        task->error = put_each(t, fs, true);
    }
}

static void saved(const struct save_item *item, enum err error)
{
    struct log *log = item->log;
    ASSERT(log->epochs_saving);
    log->epochs_saving = false;
    if (error == ERR_NONE && item->generation == log->generation) {
        log->epochs_kept_end = item->end_offset;
    }
    log->epochs_dirty = log->epochs_dirty || error != ERR_NONE;
    if (log->state != LOG_OPEN) {
        env_post(log->env, &log->settle_post);
    }
    if (!log->failed) {
        epochs_save(log);
        queue_flush_soon(log); /* a cut waits for it */
    }
}

static void save_finished(struct task *task)
{
    struct save_task *t = CONTAINER_OF(task, struct save_task, task);
    struct log_dir *dir = task->dir;
    dir->saving_epochs = false;
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "save leader epochs");
        if (task->error == ERR_NO_SPACE) {
            dir_full(dir, &task->text);
        } else {
            dir_fail(dir, task->error, &task->text);
        }
    }
    for (size_t i = 0; i < t->item_count; i++) {
        saved(&t->items[i], task->error);
    }
    if (!list_empty(&dir->epochs_waiting)) {
        env_post(dir->env, &dir->epochs_post);
    }
}

static void add(struct save_task *task, struct log *log)
{
    struct save_item item = {.log = log,
                             .generation = log->generation,
                             .end_offset = log->assigned,
                             .path = path_join(log->path, "leader-epoch-checkpoint")};
    epochs_format(&log->epochs, &item.content);
    *MEM_PUSH(task->items, task->item_count, task->item_capacity) = item;
    log->epochs_dirty = false;
    log->epochs_saving = true;
}

static bool worth_it(const struct log *log)
{
    if (!log->made || !log->epochs_dirty || log->epochs_saving || log->failed || log->cut_wanted ||
        log->dir->full || log->state != LOG_OPEN) {
        return false;
    }
    /* An epoch without records is not worth a write: nothing on disk would be read by it. */
    return log->epochs.count == 0 || epochs_wait(log, log->written) ||
           log->epochs.entries[log->epochs.count - 1].start_offset < log->written;
}

static void save_round(struct env_post *post)
{
    struct log_dir *dir = CONTAINER_OF(post, struct log_dir, epochs_post);
    if (dir->saving_epochs || dir->failed || list_empty(&dir->epochs_waiting)) {
        return;
    }
    if (dir->epochs_lane == NULL) {
        dir->epochs_lane = env_lane_open(dir->env, ENV_WORKER_BULK);
    }
    struct save_task *task = task_new(sizeof *task, dir, NULL);
    task->lock = env_file_ref(dir->lock);
    while (!list_empty(&dir->epochs_waiting) && task->item_count < TOGETHER_MAX) {
        struct log *log = CONTAINER_OF(dir->epochs_waiting.next, struct log, epochs_node);
        list_remove(&log->epochs_node);
        if (worth_it(log)) {
            add(task, log);
        }
    }
    dir->saving_epochs = true;
    task->task.run = save_run;
    task->task.finished = save_finished;
    task->task.release = save_release;
    task_submit(&task->task, dir->epochs_lane);
}

bool epochs_wait(const struct log *log, int64_t offset)
{
    size_t i = log->epochs.count;
    while (i > 0 && log->epochs.entries[i - 1].start_offset >= offset) {
        i--;
    }
    return i > 0 && log->epochs.entries[i - 1].start_offset >= log->epochs_kept_end;
}

void epochs_save(struct log *log)
{
    if (worth_it(log) && list_empty(&log->epochs_node)) {
        list_push(&log->dir->epochs_waiting, &log->epochs_node);
        env_post(log->env, &log->dir->epochs_post);
    }
}

void save_epochs_init(struct log_dir *dir)
{
    list_init(&dir->epochs_waiting);
    env_post_init(&dir->epochs_post, save_round);
}

void save_epochs_fini(struct log_dir *dir)
{
    ASSERT(list_empty(&dir->epochs_waiting));
    env_post_cancel(dir->env, &dir->epochs_post);
    if (dir->epochs_lane != NULL) {
        env_lane_close(dir->env, dir->epochs_lane);
    }
}
