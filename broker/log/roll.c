/* What a closed segment still needs, off the request path: its last bytes synced, its indexes and
 * the producers' snapshot on disk, the directory synced. Then it is settled: its index leaves the
 * memory, and the recovery point may pass it. */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct roll_task {
    struct task task;
    char *path; /* of the log */
    char *file_path;
    struct env_file *file;
    int64_t base_offset;
    int64_t end_offset;
    /* The arrays are the segment's; they do not change any more, and it stays until this is
     * finished. */
    struct segment_index index;
    struct bytes snapshot;
};

static void roll_release(struct task *task)
{
    struct roll_task *t = CONTAINER_OF(task, struct roll_task, task);
    env_file_unref(t->file);
    bytes_free(&t->snapshot);
    mem_free(t->path);
    mem_free(t->file_path);
}

static void roll_run(struct task *task, struct env_fs *fs)
{
    struct roll_task *t = CONTAINER_OF(task, struct roll_task, task);
    if (t->file == NULL) {
        task->error = env_fs_open(fs, t->file_path, ENV_OPEN_WRITE, &t->file, &task->text);
    }
    if (task->error == ERR_NONE) {
        task->error = segment_sync(fs, t->file, &task->text);
    }
    if (task->error == ERR_NONE && t->snapshot.size > 0) {
        char *path = segment_path(t->path, t->end_offset, ".snapshot");
        task->error = file_write(fs, path, t->snapshot.data, t->snapshot.size, &task->text);
        mem_free(path);
    }
    if (task->error == ERR_NONE) {
        task->error =
            segment_write_indexes(fs, t->path, t->base_offset, &t->index, true, &task->text);
    }
    if (task->error == ERR_NONE) {
        task->error = env_fs_sync_dir(fs, t->path, &task->text);
    }
}

static void roll_finished(struct task *task)
{
    struct roll_task *t = CONTAINER_OF(task, struct roll_task, task);
    struct log *log = task->log;
    log->working--;
    size_t at = log_segment_index(log, t->base_offset);
    ASSERT(at < log->segment_count);
    struct segment *segment = log->segments[at];
    ASSERT(segment->base_offset == t->base_offset && segment->working);
    segment->working = false;
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "close segment %lld of %s", (long long)t->base_offset, log->name);
        if (task->error == ERR_NO_SPACE) {
            segment->snapshot = t->snapshot;
            t->snapshot = (struct bytes){0};
            dir_full(log->dir, &task->text);
            return;
        }
        log_fail(log, task->error, &task->text);
        return;
    }
    if (at > 0 && !log->segments[at - 1]->settled) {
        return; /* that one found no room; segments settle in order, so this one is done again */
    }
    segment->settled = true;
    segment->dirty = false;
    segment->name_dirty = false;
    index_free(&segment->index);
    struct env_file *file = segment->file != NULL ? env_file_ref(segment->file) : NULL;
    if (file != NULL) {
        log_keep_file(log, segment, file); /* from now on one of those that may be closed */
    }
    if (!log->failed && at < log_first_unsettled(log) && segment->end_offset > log->durable &&
        segment->end_offset <= log->written) {
        log->durable = segment->end_offset;
        log->news_durable = true;
        log_announce(log);
    }
    queue_flush_soon(log);
}

void roll_submit(struct log *log, struct segment *segment)
{
    ASSERT(segment->sealed && !segment->settled && !segment->working);
    ASSERT(segment->end_offset <= log->written);
    struct roll_task *task = task_new(sizeof *task, log->dir, log);
    task->path = mem_strdup(log->path);
    task->file_path = segment_path(log->path, segment->base_offset, ".log");
    task->file = segment->file == NULL ? NULL : env_file_ref(segment->file);
    task->base_offset = segment->base_offset;
    task->end_offset = segment->end_offset;
    task->index = segment->index;
    task->snapshot = segment->snapshot;
    segment->snapshot = (struct bytes){0};
    segment->working = true;
    log->working++;
    log->entry->clean = false;
    task->task.run = roll_run;
    task->task.finished = roll_finished;
    task->task.release = roll_release;
    task_submit(&task->task, log->bulk_lane);
}
