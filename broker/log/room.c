/* A full disk.
 *
 * Nothing breaks for want of room: whatever could not be written (a batch, an index, a snapshot, a
 * checkpoint) is still wanted by its owner, the directory is marked full, and once a second it is
 * looked at. Meanwhile appends are refused, what is on disk is served, retention goes on without
 * waiting for its checkpoint, and what waits to be deleted is deleted at once. With room again
 * everything that waits is begun anew; if it fails again the directory is full again.
 *
 * A sync that fails is not of this kind, whatever its reason: what it had taken may be lost
 * (segment_sync). */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

enum {
    LOOK_EVERY_MS = 1000,
    SAY_EVERY_MS = 60000,
    ROOM_BYTES = 1 << 20 /* less than this is kept for checkpoints and the like */
};

struct room_task {
    struct task task;
    char *path;
    int64_t free_bytes;
    int64_t total_bytes;
};

static void room_run(struct task *task, struct env_fs *fs)
{
    struct room_task *t = CONTAINER_OF(task, struct room_task, task);
    task->error = env_fs_space(fs, t->path, &t->free_bytes, &t->total_bytes, &task->text);
}

static void room_release(struct task *task)
{
    mem_free(CONTAINER_OF(task, struct room_task, task)->path);
}

static void look_again(struct log_dir *dir)
{
    env_timer_set(dir->env, &dir->room_timer, env_now_ms(dir->env) + LOOK_EVERY_MS);
}

static void begin_anew(struct log_dir *dir)
{
    dir->full = false;
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        struct log *log = entry->log;
        if (log == NULL) {
            continue;
        }
        log->delete_waits = false;
        if (log->state == LOG_OPEN) {
            epochs_save(log);
            queue_flush_soon(log);
        } else {
            env_post(dir->env, &log->settle_post);
        }
    }
    if (dir->checkpoint_wanted != 0) {
        env_post(dir->env, &dir->checkpoint_post);
    }
}

static void room_finished(struct task *task)
{
    struct room_task *t = CONTAINER_OF(task, struct room_task, task);
    struct log_dir *dir = task->dir;
    if (!dir->full || dir->failed || dir->closing) {
        return;
    }
    if (task->error != ERR_NONE) {
        look_again(dir);
        return;
    }
    dir->free_bytes = t->free_bytes;
    dir->total_bytes = t->total_bytes;
    int64_t enough = t->total_bytes / 16 < ROOM_BYTES ? t->total_bytes / 16 : ROOM_BYTES;
    if (t->free_bytes < enough) {
        look_again(dir);
        return;
    }
    begin_anew(dir);
    trace_info(env_trace(dir->env), "log directory %s has %lld bytes free, appends are taken again",
               dir->path, (long long)t->free_bytes);
}

static void look(struct env_timer *timer)
{
    struct log_dir *dir = CONTAINER_OF(timer, struct log_dir, room_timer);
    ASSERT(dir->full);
    struct room_task *task = task_new(sizeof *task, dir, NULL);
    task->path = mem_strdup(dir->path);
    task->task.release = room_release;
    task->task.run = room_run;
    task->task.finished = room_finished;
    task_submit(&task->task, dir->lane);
}

void dir_full(struct log_dir *dir, const struct err_text *text)
{
    if (dir->full || dir->failed || dir->closing) {
        return;
    }
    dir->full = true;
    dir->room_timer.fire = look;
    int64_t now = env_now_ms(dir->env);
    if (dir->full_said_ms == 0 || now - dir->full_said_ms >= SAY_EVERY_MS) {
        trace_error(env_trace(dir->env),
                    "log directory %s is full: producers are answered KAFKA_STORAGE_ERROR, what is "
                    "there is served; free space on its disk, or delete topics or shorten their "
                    "retention; it is tried again every second: %s",
                    dir->path, text->text);
        dir->full_said_ms = now > 0 ? now : 1;
    }
    dir_hasten_deletions(dir);
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        if (entry->log != NULL && entry->log->state == LOG_CLOSING) {
            env_post(dir->env, &entry->log->settle_post); /* it does not wait */
        }
    }
    look_again(dir);
}

void dir_stop_waiting(struct log_dir *dir)
{
    env_timer_cancel(dir->env, &dir->room_timer);
    dir->full = false;
}
