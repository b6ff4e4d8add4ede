/* Partition directories are made when the first bytes are to be written into them, many at once.
 *
 * Happy path: the disk queue of a log that has no directory asks here and waits; a job takes all
 * that ask, makes each directory and its partition.metadata, and syncs the lot: file by file when
 * they are few, the whole file system by one call when they are many. Then the queues go on.
 *
 * A crash meanwhile leaves directories without segments, whose partition.metadata is missing, empty
 * or torn: the next start tells by the missing segments that nothing was ever written there
 * (load.c). No segment is made before the sync: where there is one, the metadata is whole.
 *
 * Failure modes: no room: the directory is full and they ask again (room.c). A directory of that
 * name that has segments already came from outside while the broker ran: that log alone fails.
 * Anything else takes the log directory offline. */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct make_item {
    struct log *log;
    char *path;
    struct uuid topic_id;
    bool foreign; /* somebody else's files are there */
};

struct make_task {
    struct task task;
    char *dir_path;
    struct env_file *lock;
    struct make_item *items;
    size_t item_count;
    size_t item_capacity;
};

static void make_release(struct task *task)
{
    struct make_task *t = CONTAINER_OF(task, struct make_task, task);
    for (size_t i = 0; i < t->item_count; i++) {
        mem_free(t->items[i].path);
    }
    mem_free(t->items);
    mem_free(t->dir_path);
    env_file_unref(t->lock);
}

static void on_name(void *ctx, const char *name, bool is_dir)
{
    bool *segments = ctx;
    int64_t offset = 0;
    *segments = *segments || (!is_dir && segment_name_parse(name, ".log", &offset));
}

/* What a job before this one left when it found no room is no stranger's. */
static enum err make_one(struct make_item *item, struct env_fs *fs, bool sync,
                         struct err_text *text)
{
    enum err e = env_fs_mkdir(fs, item->path, text);
    if (e == ERR_EXISTS) {
        e = env_fs_list(fs, item->path, on_name, &item->foreign, text);
    }
    if (e != ERR_NONE || item->foreign) {
        return e;
    }
    struct bytes content = {0};
    char *path = path_join(item->path, "partition.metadata");
    partition_metadata_format(&item->topic_id, &content);
    e = file_put(fs, path, content.data, content.size, sync, text);
    if (e == ERR_NONE && sync) {
        e = env_fs_sync_dir(fs, item->path, text);
    }
    mem_free(path);
    bytes_free(&content);
    return e;
}

static void make_run(struct task *task, struct env_fs *fs)
{
    struct make_task *t = CONTAINER_OF(task, struct make_task, task);
    bool together = t->item_count >= TOGETHER_MIN;
    enum err e = ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < t->item_count; i++) {
        e = make_one(&t->items[i], fs, !together, &task->text);
    }
    if (e == ERR_NONE) {
        e = together ? sync_all(fs, t->lock, &task->text)
                     : env_fs_sync_dir(fs, t->dir_path, &task->text);
    }
    task->error = e;
}

static void refuse_foreign(struct log *log)
{
    struct err_text text;
    err_set(&text,
            "directory %s appeared with segments in it while the broker ran, it is not touched: "
            "move it away, or restart to have it opened",
            log->path);
    log_give_up(log, ERR_EXISTS, &text);
}

static void made(struct log *log, const struct make_item *item, enum err error)
{
    ASSERT(log->making && !log->made);
    log->making = false;
    if (error == ERR_NONE && item->foreign) {
        refuse_foreign(log);
    } else if (error == ERR_NONE) {
        log->made = true;
        log->entry->on_disk = true;
        queue_flush_soon(log);
    } else if (error == ERR_NO_SPACE && log->state == LOG_OPEN) {
        log->news_full = true;
        log_announce(log);
    }
    if (log->state != LOG_OPEN) {
        env_post(log->env, &log->settle_post);
    }
}

static void make_finished(struct task *task)
{
    struct make_task *t = CONTAINER_OF(task, struct make_task, task);
    struct log_dir *dir = task->dir;
    dir->making = false;
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "make partition directories");
        if (task->error == ERR_NO_SPACE) {
            dir_full(dir, &task->text);
        } else {
            dir_fail(dir, task->error, &task->text);
        }
    }
    for (size_t i = 0; i < t->item_count; i++) {
        made(t->items[i].log, &t->items[i], task->error);
    }
    if (!list_empty(&dir->make_waiting)) {
        env_post(dir->env, &dir->make_post);
    }
}

static void make_round(struct env_post *post)
{
    struct log_dir *dir = CONTAINER_OF(post, struct log_dir, make_post);
    if (dir->making || dir->failed || dir->full || list_empty(&dir->make_waiting)) {
        return;
    }
    if (dir->make_lane == NULL) {
        dir->make_lane = env_lane_open(dir->env, ENV_WORKER_APPEND);
    }
    struct make_task *task = task_new(sizeof *task, dir, NULL);
    task->dir_path = mem_strdup(dir->path);
    task->lock = env_file_ref(dir->lock);
    while (!list_empty(&dir->make_waiting) && task->item_count < TOGETHER_MAX) {
        struct log *log = CONTAINER_OF(dir->make_waiting.next, struct log, make_node);
        list_remove(&log->make_node);
        log->making = true;
        *MEM_PUSH(task->items, task->item_count, task->item_capacity) = (struct make_item){
            .log = log, .path = mem_strdup(log->path), .topic_id = log->topic_id};
    }
    dir->making = true;
    task->task.run = make_run;
    task->task.finished = make_finished;
    task->task.release = make_release;
    task_submit(&task->task, dir->make_lane);
}

bool make_ready(struct log *log)
{
    struct log_dir *dir = log->dir;
    if (log->made || log->making) {
        return log->made;
    }
    if (list_empty(&log->make_node)) {
        list_push(&dir->make_waiting, &log->make_node);
    }
    env_post(dir->env, &dir->make_post);
    return false;
}

void make_forget(struct log *log)
{
    list_remove(&log->make_node);
}

void make_init(struct log_dir *dir)
{
    list_init(&dir->make_waiting);
    env_post_init(&dir->make_post, make_round);
}

void make_fini(struct log_dir *dir)
{
    ASSERT(list_empty(&dir->make_waiting));
    env_post_cancel(dir->env, &dir->make_post);
    if (dir->make_lane != NULL) {
        env_lane_close(dir->env, dir->make_lane);
    }
}
