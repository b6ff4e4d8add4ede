/* The end of an open log: closing it, so that the next opening need look at nothing, or deleting
 * it. Both wait until nothing of it is under way. */
#include <stdio.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

/* ---- closing ------------------------------------------------------------------------------------
 */

struct shut_file {
    int64_t base_offset;
    struct env_file *file;
    struct segment_index index; /* a copy of the pointers: see roll.c */
};

struct shut_task {
    struct task task;
    char *path;
    int64_t end_offset;
    struct shut_file *files; /* not settled */
    size_t file_count;
    size_t file_capacity;
    struct bytes snapshot;
    struct bytes epochs; /* empty: the file is good */
    bool sync;           /* each file for itself; else dir.c syncs all before it marks them clean */
};

static void shut_release(struct task *task)
{
    struct shut_task *t = CONTAINER_OF(task, struct shut_task, task);
    for (size_t i = 0; i < t->file_count; i++) {
        env_file_unref(t->files[i].file);
    }
    mem_free(t->files);
    mem_free(t->path);
    bytes_free(&t->snapshot);
    bytes_free(&t->epochs);
}

static void shut_run(struct task *task, struct env_fs *fs)
{
    struct shut_task *t = CONTAINER_OF(task, struct shut_task, task);
    enum err e = ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < t->file_count; i++) {
        struct shut_file *file = &t->files[i];
        if (file->file != NULL) {
            e = segment_sync(fs, file->file, &task->text);
        }
        if (e == ERR_NONE) {
            e = segment_write_indexes(fs, t->path, file->base_offset, &file->index, t->sync,
                                      &task->text);
        }
    }
    if (e == ERR_NONE) {
        char *path = segment_path(t->path, t->end_offset, ".snapshot");
        e = file_put(fs, path, t->snapshot.data, t->snapshot.size, t->sync, &task->text);
        mem_free(path);
    }
    if (e == ERR_NONE && t->epochs.size > 0) {
        char *path = path_join(t->path, "leader-epoch-checkpoint");
        e = env_fs_replace(fs, path, t->epochs.data, t->epochs.size, &task->text);
        mem_free(path);
    }
    task->error = e == ERR_NONE && t->sync ? env_fs_sync_dir(fs, t->path, &task->text) : e;
}

static void shut_finished(struct task *task)
{
    struct log *log = task->log;
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "close log %s", log->name);
        if (task->error == ERR_NO_SPACE) {
            log_give_up(log, task->error, &task->text);
        } else {
            log_fail(log, task->error, &task->text);
        }
        return;
    }
    log->durable = log->written;
    log->entry->clean = true;
    log->shut = true;
    for (size_t i = 0; i < log->segment_count; i++) {
        log->segments[i]->settled = true; /* for the recovery point */
    }
}

static void shut(struct log *log)
{
    ASSERT(log->written == log->assigned && !log->shutting);
    log->shutting = true;
    struct shut_task *task = task_new(sizeof *task, log->dir, log);
    task->path = mem_strdup(log->path);
    task->end_offset = log->assigned;
    for (size_t i = log_first_unsettled(log); i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (!segment->exists) {
            continue;
        }
        segment_seal_times(segment);
        bool behind = segment->dirty || log->durable < log->written;
        *MEM_PUSH(task->files, task->file_count, task->file_capacity) = (struct shut_file){
            .base_offset = segment->base_offset,
            .file = behind && segment->file != NULL ? env_file_ref(segment->file) : NULL,
            .index = segment->index};
    }
    producers_snapshot(&log->producers, &task->snapshot);
    /* What the file has too much at either end is known by the log's ends. */
    if (epochs_wait(log, log->assigned)) {
        epochs_format(&log->epochs, &task->epochs);
    }
    task->sync = HASH_COUNT(log->dir->entries) < TOGETHER_MIN;
    log->dir->unsynced = log->dir->unsynced || !task->sync;
    task->task.run = shut_run;
    task->task.finished = shut_finished;
    task->task.release = shut_release;
    task_submit(&task->task, log->lane);
}

bool log_idle(const struct log *log)
{
    return list_empty(&log->tasks) && !log->committing && !log->making && !log->epochs_saving;
}

static void closed(struct log *log)
{
    struct dir_entry *entry = log->entry;
    if (log->shut) {
        int64_t high_watermark = log->noted_high_watermark;
        entry->recovery_point = log->durable;
        entry->high_watermark = high_watermark < log->durable ? high_watermark : log->durable;
        entry->start = log->start;
    }
    log->state = LOG_CLOSED;
    for (size_t i = 0; i < log->segment_count; i++) {
        log_drop_file(log->segments[i]);
    }
    log_leave(log);
    log->closed(log->closed_ctx, log->failed ? log->error : ERR_NONE, &log->text);
}

static void delete_submit(struct log *log);

void log_settle(struct log *log)
{
    if (!log_idle(log) || log->delete_waits) {
        return;
    }
    if (log->state == LOG_DELETING) {
        delete_submit(log);
    } else if (log->state == LOG_CLOSING) {
        if (log->failed || log->shut) {
            closed(log);
        } else if (!list_empty(&log->queue) || log->cut_wanted) {
            queue_flush_soon(log);
        } else if (!log->made || log->entry->clean) {
            log->shut = true; /* nothing was ever written, or nothing since the last clean stop */
            closed(log);
        } else {
            shut(log);
        }
    }
}

void log_close(struct log *log,
               void (*done)(void *ctx, enum err error, const struct err_text *text), void *ctx)
{
    ASSERT(log->state == LOG_OPEN);
    ASSERT(done != NULL);
    log->state = LOG_CLOSING;
    clean_cancel(log);
    log->closed = done;
    log->closed_ctx = ctx;
    commit_forget(log);
    env_post(log->env, &log->settle_post);
}

/* ---- deleting -----------------------------------------------------------------------------------
 */

struct delete_task {
    struct task task;
    char *dir_path;
    char *from;
    char *to;
    bool unmade; /* the directory may not be there */
    bool gone;   /* it was not */
};

static void delete_release(struct task *task)
{
    struct delete_task *t = CONTAINER_OF(task, struct delete_task, task);
    mem_free(t->dir_path);
    mem_free(t->from);
    mem_free(t->to);
}

static void delete_run(struct task *task, struct env_fs *fs)
{
    struct delete_task *t = CONTAINER_OF(task, struct delete_task, task);
    task->error = env_fs_rename(fs, t->from, t->to, &task->text);
    t->gone = task->error == ERR_NOT_FOUND && t->unmade;
    if (t->gone) {
        task->error = ERR_NONE;
    } else if (task->error == ERR_NONE) {
        task->error = env_fs_sync_dir(fs, t->dir_path, &task->text);
    }
}

static void delete_finished(struct task *task)
{
    struct delete_task *t = CONTAINER_OF(task, struct delete_task, task);
    struct log *log = task->log;
    struct log_dir *dir = log->dir;
    void (*deleted)(void *ctx, enum err error) = log->deleted;
    void *ctx = log->deleted_ctx;
    struct dir_entry *entry = log->entry;
    if (task->error == ERR_NO_SPACE) {
        log->state = LOG_DELETING;
        log->delete_waits = true;
        dir_full(dir, &task->text);
        return;
    }
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "delete log %s", log->name);
        dir_fail(dir, task->error, &task->text);
    } else if (!t->gone) {
        dir_remove_later(dir, t->to, dir->full ? 0 : log->config.file_delete_delay_ms);
    }
    log_leave(log);
    if (task->error == ERR_NONE) {
        dir_entry_drop(dir, entry);
        dir_tidy_checkpoints(dir);
    }
    /* The task hangs on the log no more (task.c), so that the log may go before it. */
    log_drop_memory(log);
    deleted(ctx, task->error);
}

static void delete_submit(struct log *log)
{
    struct uuid unique = env_random_uuid(log->env);
    char hex[33];
    for (int i = 0; i < 16; i++) {
        snprintf(hex + 2 * i, 3, "%02x", unique.bytes[i]);
    }
    char name[LOG_NAME_MAX + 64];
    /* Kafka keeps the name within 255 bytes by cutting the topic's. */
    int keep = 255 - 33 - 7;
    snprintf(name, sizeof name, "%.*s.%s-delete", keep, log->name, hex);
    struct delete_task *task = task_new(sizeof *task, log->dir, log);
    task->dir_path = mem_strdup(log->dir->path);
    task->from = mem_strdup(log->path);
    task->to = path_join(log->dir->path, name);
    task->unmade = !log->made;
    task->task.run = delete_run;
    task->task.finished = delete_finished;
    task->task.release = delete_release;
    log->state = LOG_BROKEN; /* nothing more to settle */
    task_submit(&task->task, log->bulk_lane);
}

void log_delete(struct log *log, void (*done)(void *ctx, enum err error), void *ctx)
{
    ASSERT(log->state == LOG_OPEN);
    ASSERT(done != NULL);
    log->state = LOG_DELETING;
    clean_cancel(log);
    log->deleted = done;
    log->deleted_ctx = ctx;
    queue_drop(log, -1);
    commit_forget(log);
    env_post(log->env, &log->settle_post);
}
