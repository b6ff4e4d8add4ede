/* The checkpoint files of a log directory, written every 5 s (high watermarks) and 60 s (recovery
 * points, log starts), when something changed, and whenever a cut or deletion must not overtake
 * them.
 *
 * A recovery point or high watermark on disk is a promise that everything below it was synced:
 * recovery refuses to cut below. So both are written as at most the durable end, and lowered on
 * disk before a cut goes below them. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct checkpoint_task {
    struct task task;
    char *path;
    struct bytes texts[CHECKPOINTS];
    int mask;
    uint64_t number;
    int64_t free_bytes;
    int64_t total_bytes;
};

/* Everything below is synced, and the indexes of every segment wholly below are on disk. */
static int64_t recovery_point_of(const struct log *log)
{
    int64_t point = log->durable;
    size_t unsettled = log_first_unsettled(log);
    if (unsettled + 1 < log->segment_count && log->segments[unsettled]->base_offset < point) {
        point = log->segments[unsettled]->base_offset;
    }
    /* What recovery does not look at must be in the epoch cache's file. */
    if ((epochs_wait(log, point) || log->epochs_saving) &&
        point > log->entry->saved_recovery_point) {
        point = log->entry->saved_recovery_point;
    }
    return point;
}

static void refresh(struct dir_entry *entry)
{
    const struct log *log = entry->log;
    if (log == NULL || log->state == LOG_OPENING || log->state == LOG_BROKEN) {
        return;
    }
    if (log->cut_wanted && log->cut_fully) {
        /* The ends are the new beginning's, perhaps above all that is on disk still: until the old
         * files are gone nothing is promised. */
        entry->recovery_point = 0;
        entry->high_watermark = 0;
        return;
    }
    int64_t high_watermark = log->noted_high_watermark;
    if (high_watermark > log->durable) {
        high_watermark = log->durable;
    }
    entry->recovery_point = recovery_point_of(log);
    entry->high_watermark = high_watermark;
    entry->start = log->start;
    ASSERT(entry->recovery_point <= log->durable);
}

void dir_checkpoint_texts(struct log_dir *dir, int mask, struct bytes texts[CHECKPOINTS])
{
    struct checkpoint lists[CHECKPOINTS] = {{0}};
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        refresh(entry);
        if (!entry->on_disk) {
            continue;
        }
        const int64_t values[CHECKPOINTS] = {entry->high_watermark, entry->recovery_point,
                                             entry->start, entry->cleaned};
        for (int i = 0; i < CHECKPOINTS; i++) {
            /* As Kafka does: a log that starts at 0 needs no line. */
            if (values[i] >= 0 && (i != 2 || values[i] > 0)) {
                checkpoint_add(&lists[i], entry->topic, entry->partition, values[i]);
            }
        }
        if (mask & CHECKPOINT_HIGH_WATERMARK) {
            entry->saved_high_watermark = entry->high_watermark;
        }
        if (mask & CHECKPOINT_RECOVERY_POINT) {
            entry->saved_recovery_point = entry->recovery_point;
        }
        if (mask & CHECKPOINT_START) {
            entry->saved_start = entry->start;
        }
    }
    for (int i = 0; i < CHECKPOINTS; i++) {
        checkpoint_format(&lists[i], &texts[i]);
        checkpoint_free(&lists[i]);
    }
}

enum err dir_checkpoint_write(struct env_fs *fs, const char *dir_path,
                              const struct bytes texts[CHECKPOINTS], int mask,
                              struct err_text *text)
{
    enum err e = ERR_NONE;
    for (int i = 0; e == ERR_NONE && i < CHECKPOINTS; i++) {
        if (mask & (1 << i)) {
            char *path = path_join(dir_path, dir_checkpoint_names[i]);
            e = env_fs_replace(fs, path, texts[i].data, texts[i].size, text);
            mem_free(path);
        }
    }
    return e;
}

static void checkpoint_run(struct task *task, struct env_fs *fs)
{
    struct checkpoint_task *t = CONTAINER_OF(task, struct checkpoint_task, task);
    task->error = dir_checkpoint_write(fs, t->path, t->texts, t->mask, &task->text);
    if (task->error == ERR_NONE) {
        task->error = env_fs_space(fs, t->path, &t->free_bytes, &t->total_bytes, &task->text);
    }
}

static void checkpoint_finished(struct task *task)
{
    struct checkpoint_task *t = CONTAINER_OF(task, struct checkpoint_task, task);
    struct log_dir *dir = task->dir;
    dir->checkpointing = false;
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "write checkpoints");
        if (task->error == ERR_NO_SPACE) {
            dir->checkpoint_wanted |= t->mask;
            dir_full(dir, &task->text);
            return;
        }
        dir_fail(dir, task->error, &task->text);
        return;
    }
    dir->checkpoint_done = t->number;
    dir->free_bytes = t->free_bytes;
    dir->total_bytes = t->total_bytes;
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        struct log *log = entry->log;
        if (t->mask & CHECKPOINT_RECOVERY_POINT) {
            entry->kept_recovery_point = entry->saved_recovery_point;
        }
        if (log != NULL) {
            log_open_step(log);
        }
        if (log != NULL && (log->cut_wanted || log->delete_checkpoint != 0)) {
            queue_flush_soon(log);
        }
    }
    if (dir->checkpoint_wanted != 0) {
        env_post(dir->env, &dir->checkpoint_post);
    }
}

static void checkpoint_release(struct task *task)
{
    struct checkpoint_task *t = CONTAINER_OF(task, struct checkpoint_task, task);
    for (int i = 0; i < CHECKPOINTS; i++) {
        bytes_free(&t->texts[i]);
    }
    mem_free(t->path);
}

static void checkpoint_start(struct env_post *post)
{
    struct log_dir *dir = CONTAINER_OF(post, struct log_dir, checkpoint_post);
    if (dir->checkpointing || dir->failed || dir->full || dir->checkpoint_wanted == 0) {
        return;
    }
    struct checkpoint_task *task = task_new(sizeof *task, dir, NULL);
    task->path = mem_strdup(dir->path);
    task->mask = dir->checkpoint_wanted;
    task->number = dir->checkpoint_asked;
    dir_checkpoint_texts(dir, task->mask, task->texts);
    dir->checkpoint_wanted = 0;
    dir->checkpointing = true;
    task->task.run = checkpoint_run;
    task->task.finished = checkpoint_finished;
    task->task.release = checkpoint_release;
    task_submit(&task->task, dir->lane);
}

uint64_t dir_checkpoint(struct log_dir *dir, int mask)
{
    ASSERT(mask != 0);
    dir->checkpoint_wanted |= mask;
    dir->checkpoint_asked++;
    env_post(dir->env, &dir->checkpoint_post);
    return dir->checkpoint_asked;
}

void dir_tidy_checkpoints(struct log_dir *dir)
{
    dir->checkpoint_tidy = dir_checkpoint(dir, CHECKPOINT_ALL);
}

/* ---- timers -------------------------------------------------------------------------------------
 */

static bool moved(struct log_dir *dir, bool high_watermark)
{
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        refresh(entry);
        if (high_watermark ? entry->high_watermark != entry->saved_high_watermark
                           : entry->recovery_point != entry->saved_recovery_point ||
                                 entry->start != entry->saved_start) {
            return true;
        }
    }
    return false;
}

static void high_watermark_due(struct env_timer *timer)
{
    struct log_dir *dir = CONTAINER_OF(timer, struct log_dir, high_watermark_timer);
    if (moved(dir, true)) {
        dir_checkpoint(dir, CHECKPOINT_HIGH_WATERMARK);
    }
    env_timer_set(dir->env, timer, env_now_ms(dir->env) + HIGH_WATERMARK_CHECKPOINT_MS);
}

static void recovery_due(struct env_timer *timer)
{
    struct log_dir *dir = CONTAINER_OF(timer, struct log_dir, recovery_timer);
    if (moved(dir, false)) {
        dir_checkpoint(dir, CHECKPOINT_RECOVERY_POINT | CHECKPOINT_START);
    }
    env_timer_set(dir->env, timer, env_now_ms(dir->env) + RECOVERY_CHECKPOINT_MS);
}

void dir_start_checkpoints(struct log_dir *dir)
{
    int64_t now = env_now_ms(dir->env);
    dir->high_watermark_timer.fire = high_watermark_due;
    dir->recovery_timer.fire = recovery_due;
    env_timer_set(dir->env, &dir->high_watermark_timer, now + HIGH_WATERMARK_CHECKPOINT_MS);
    env_timer_set(dir->env, &dir->recovery_timer, now + RECOVERY_CHECKPOINT_MS);
}

void dir_stop_checkpoints(struct log_dir *dir)
{
    env_timer_cancel(dir->env, &dir->high_watermark_timer);
    env_timer_cancel(dir->env, &dir->recovery_timer);
    env_post_cancel(dir->env, &dir->checkpoint_post);
}

void dir_init_checkpoints(struct log_dir *dir)
{
    env_post_init(&dir->checkpoint_post, checkpoint_start);
}
