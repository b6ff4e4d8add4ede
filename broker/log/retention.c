/* Moving the start: DeleteRecords, followers, and retention by time and size.
 *
 * The start moves at once. Segments below it go in three steps: the log-start checkpoint is
 * written, so that no restart finds the start in what is gone; the files are renamed to .deleted,
 * oldest first; after file.delete.delay.ms they are removed. A crash at any point leaves files that
 * the next start removes. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct drop_task {
    struct task task;
    char *path;
    int64_t *bases;
    size_t base_count;
    size_t base_capacity;
    int64_t active_base; /* to be made when nothing else would be left; -1 no */
};

static void drop_release(struct task *task)
{
    struct drop_task *t = CONTAINER_OF(task, struct drop_task, task);
    mem_free(t->path);
    mem_free(t->bases);
}

/* PATH/NUMBER.log -> PATH/NUMBER.log.deleted and so on; what is not there is no error. */
static enum err set_aside(struct drop_task *t, struct env_fs *fs, int64_t base_offset)
{
    enum err e = ERR_NONE;
    for (int i = 0; e == ERR_NONE && segment_suffixes[i] != NULL; i++) {
        char suffix[32];
        size_t length = strlen(segment_suffixes[i]);
        memcpy(suffix, segment_suffixes[i], length);
        memcpy(suffix + length, ".deleted", sizeof ".deleted");
        char *from = segment_path(t->path, base_offset, segment_suffixes[i]);
        char *to = segment_path(t->path, base_offset, suffix);
        e = env_fs_rename(fs, from, to, &t->task.text);
        e = e == ERR_NOT_FOUND ? ERR_NONE : e;
        mem_free(from);
        mem_free(to);
    }
    return e;
}

static void drop_run(struct task *task, struct env_fs *fs)
{
    struct drop_task *t = CONTAINER_OF(task, struct drop_task, task);
    enum err e = ERR_NONE;
    if (t->active_base >= 0) {
        /* The end offset of an otherwise empty directory is in this name. */
        struct env_file *file = NULL;
        char *path = segment_path(t->path, t->active_base, ".log");
        e = env_fs_open(fs, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, &task->text);
        env_file_unref(file);
        mem_free(path);
        if (e == ERR_NONE) {
            e = env_fs_sync_dir(fs, t->path, &task->text);
        }
    }
    for (size_t i = 0; e == ERR_NONE && i < t->base_count; i++) {
        e = set_aside(t, fs, t->bases[i]);
    }
    task->error = e;
}

static void drop_finished(struct task *task)
{
    struct drop_task *t = CONTAINER_OF(task, struct drop_task, task);
    struct log *log = task->log;
    log->working--;
    if (task->error == ERR_NO_SPACE) {
        for (size_t i = 0; i < t->base_count; i++) {
            log->segments[i]->working = false;
        }
        log->delete_checkpoint = dir_checkpoint(log->dir, CHECKPOINT_START);
        dir_full(log->dir, &task->text);
        return;
    }
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "delete segments of %s", log->name);
        log_fail(log, task->error, &task->text);
        return;
    }
    for (size_t i = 0; i < t->base_count; i++) {
        struct segment *first = log->segments[0];
        ASSERT(first->base_offset == t->bases[i] && first->working);
        char *path = segment_path(t->path, first->base_offset, "");
        dir_remove_segment_later(log->dir, path,
                                 log->dir->full ? 0 : log->config.file_delete_delay_ms);
        mem_free(path);
        log->bytes -= first->size;
        segment_free(first);
        log->segment_count--;
        memmove(log->segments, log->segments + 1, log->segment_count * sizeof *log->segments);
    }
    if (t->active_base >= 0) {
        ASSERT(log->segment_count > 0 && log->segments[0]->base_offset == t->active_base);
        log->segments[0]->exists = true;
    }
    queue_flush_soon(log);
}

static bool below_start(const struct log *log, size_t i)
{
    return i + 1 < log->segment_count && log->segments[i + 1]->base_offset <= log->start;
}

void retention_step(struct log *log)
{
    if (log->delete_checkpoint == 0 || log->cut_wanted || log->failed || log->state != LOG_OPEN) {
        return;
    }
    /* On a full disk what makes room cannot wait for what needs some: then a crash may find the
     * start at the first record that is left, below where it was moved to. */
    if (log->dir->checkpoint_done < log->delete_checkpoint && !log->dir->full) {
        return;
    }
    size_t count = 0;
    while (below_start(log, count) && log->segments[count]->settled &&
           !log->segments[count]->working) {
        count++;
    }
    bool more = below_start(log, count);
    if (count == 0) {
        log->delete_checkpoint = more ? log->delete_checkpoint : 0;
        return;
    }
    struct drop_task *task = task_new(sizeof *task, log->dir, log);
    task->path = mem_strdup(log->path);
    task->active_base = -1;
    for (size_t i = 0; i < count; i++) {
        log->segments[i]->working = true;
        *MEM_PUSH(task->bases, task->base_count, task->base_capacity) =
            log->segments[i]->base_offset;
    }
    if (!log->segments[count]->exists) {
        task->active_base = log->segments[count]->base_offset;
    }
    log->delete_checkpoint = more ? log->delete_checkpoint : 0;
    log->working++;
    task->task.run = drop_run;
    task->task.finished = drop_finished;
    task->task.release = drop_release;
    task_submit(&task->task, log->bulk_lane);
}

void log_advance_start(struct log *log, int64_t offset)
{
    ASSERT(log->state == LOG_OPEN);
    if (log->failed || offset <= log->start) {
        return;
    }
    ASSERT(offset <= log->assigned);
    log->start = offset;
    log->epochs_dirty = epochs_truncate_start(&log->epochs, offset) || log->epochs_dirty;
    if (log->noted_high_watermark < offset) {
        log->noted_high_watermark = offset;
    }
    if (below_start(log, 0)) {
        log->delete_checkpoint = dir_checkpoint(log->dir, CHECKPOINT_START);
    }
}

/* ---- retention ----------------------------------------------------------------------------------
 */

static int64_t largest_timestamp(const struct segment *segment)
{
    return segment->max_timestamp >= 0 ? segment->max_timestamp : segment->created_ms;
}

/* How far the start may move by retention.ms: past segments all of whose records are too old. */
static int64_t start_by_time(const struct log *log, int64_t high_watermark)
{
    int64_t start = log->start;
    if (log->config.retention_ms < 0) {
        return start;
    }
    int64_t now = env_wall_ms(log->env);
    for (size_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        if (segment->size == 0 || segment->end_offset > high_watermark ||
            now - largest_timestamp(segment) <= log->config.retention_ms) {
            break;
        }
        start = segment->end_offset;
    }
    return start;
}

/* By retention.bytes: past segments without which the log is still as large. */
static int64_t start_by_size(const struct log *log, int64_t high_watermark)
{
    int64_t start = log->start;
    int64_t excess = log->bytes - log->config.retention_bytes;
    if (log->config.retention_bytes < 0) {
        return start;
    }
    for (size_t i = 0; i + 1 < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        if (segment->end_offset > high_watermark || excess < segment->size) {
            break;
        }
        excess -= segment->size;
        start = segment->end_offset;
    }
    return start;
}

void log_tend(struct log *log, int64_t high_watermark)
{
    ASSERT(log->state == LOG_OPEN);
    if (log->failed || log->cut_wanted) {
        return;
    }
    producers_expire(&log->producers,
                     env_wall_ms(log->env) - log->config.producer_id_expiration_ms);
    const struct segment *active = log_active(log);
    if (active != NULL && active->size > 0) {
        int64_t since = active->first_timestamp >= 0 ? active->first_timestamp : active->created_ms;
        if (env_wall_ms(log->env) - since > log->config.segment_ms) {
            queue_roll(log, log->assigned);
            queue_flush_soon(log);
        }
    }
    if (!log->config.cleanup_delete) {
        return;
    }
    int64_t by_time = start_by_time(log, high_watermark);
    int64_t by_size = start_by_size(log, high_watermark);
    int64_t start = by_time > by_size ? by_time : by_size;
    if (start <= log->start) {
        return;
    }
    active = log_active(log);
    if (active->size > 0 && start == active->end_offset) {
        queue_roll(log, log->assigned);
    }
    trace_info(env_trace(log->env), "retention moves the start of %s from %lld to %lld", log->name,
               (long long)log->start, (long long)start);
    log_advance_start(log, start);
    queue_flush_soon(log);
}
