/* Truncation.
 *
 * Happy path: the ends, epoch cache, producers and recents move at once; what is queued at or above
 * the cut is dropped, what is queued below it is written; then one job removes the segments above,
 * the highest first, cuts the one that holds the offset and walks it anew for its index and times.
 * Appends made meanwhile wait in `deferred` and are placed when the job's news is in.
 *
 * A crash in between leaves a log that ends somewhere between the cut and the old end, without a
 * hole: names are removed one at a time from the top, each synced, the cut itself is synced before
 * anything can be written over what it removed. A checkpoint that promises more than the cut leaves
 * is lowered first. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct cut_task {
    struct task task;
    char *path;
    int64_t offset;
    bool fully;
    uint32_t generation;
    int32_t index_interval_bytes;
    int64_t *bases; /* ascending: segments that go */
    size_t base_count;
    size_t base_capacity;
    bool keep; /* a segment that begins below the cut stays */
    bool rebuild_producers;
    int64_t start_offset;
    int64_t *kept_bases; /* for the rebuilding: of all that stay */
    size_t kept_count;
    size_t kept_capacity;
    /* out */
    struct segment_facts facts;
    bool exists;
    struct env_file *file;
    struct producers producers;
    int64_t best_snapshot; /* -1 none */
    int64_t *snapshots;    /* that go */
    size_t snapshot_count;
    size_t snapshot_capacity;
};

static void cut_release(struct task *task)
{
    struct cut_task *t = CONTAINER_OF(task, struct cut_task, task);
    mem_free(t->path);
    mem_free(t->bases);
    mem_free(t->kept_bases);
    mem_free(t->snapshots);
    index_free(&t->facts.index);
    env_file_unref(t->file);
    producers_free(&t->producers);
}

static enum err remove_segment(struct cut_task *t, struct env_fs *fs, int64_t base_offset)
{
    enum err e = ERR_NONE;
    for (int i = 0; e == ERR_NONE && segment_suffixes[i] != NULL; i++) {
        if (strcmp(segment_suffixes[i], ".snapshot") == 0) {
            continue; /* remove_snapshots has judged them: one at the very offset of the cut stays
                       */
        }
        char *path = segment_path(t->path, base_offset, segment_suffixes[i]);
        e = file_remove(fs, path, &t->task.text);
        mem_free(path);
    }
    return e == ERR_NONE ? env_fs_sync_dir(fs, t->path, &t->task.text) : e;
}

static enum err cut_segment(struct cut_task *t, struct env_fs *fs)
{
    char *path = segment_path(t->path, t->facts.base_offset, ".log");
    int flags = ENV_OPEN_WRITE | (t->keep ? 0 : ENV_OPEN_CREATE);
    enum err e = env_fs_open(fs, path, flags, &t->file, &t->task.text);
    mem_free(path);
    if (e == ERR_NOT_FOUND && t->keep) {
        t->facts = (struct segment_facts){.base_offset = t->facts.base_offset,
                                          .end_offset = t->facts.base_offset,
                                          .max_timestamp = -1,
                                          .max_timestamp_offset = t->facts.base_offset,
                                          .first_timestamp = -1};
        return ERR_NONE; /* nothing of it was written yet */
    }
    int64_t size = 0;
    if (e == ERR_NONE) {
        t->exists = true;
        e = env_fs_size(fs, t->file, &size, &t->task.text);
    }
    if (e == ERR_NONE) {
        e = segment_walk(fs, t->file, size, t->offset, false, t->index_interval_bytes, &t->facts,
                         NULL, NULL, &t->task.text);
    }
    if (e == ERR_NONE && t->facts.size < size) {
        e = env_fs_truncate(fs, t->file, t->facts.size, &t->task.text);
    }
    if (e == ERR_NONE) {
        e = segment_sync(fs, t->file, &t->task.text);
    }
    return e == ERR_NONE ? env_fs_sync_dir(fs, t->path, &t->task.text) : e;
}

static void on_snapshot(void *ctx, const char *name, bool is_dir)
{
    struct cut_task *t = ctx;
    int64_t offset = 0;
    if (is_dir || !segment_name_parse(name, ".snapshot", &offset)) {
        return;
    }
    if (t->fully || offset > t->offset) {
        *MEM_PUSH(t->snapshots, t->snapshot_count, t->snapshot_capacity) = offset;
    } else if (offset > t->best_snapshot) {
        t->best_snapshot = offset;
    }
}

static enum err remove_snapshots(struct cut_task *t, struct env_fs *fs)
{
    t->best_snapshot = -1;
    enum err e = env_fs_list(fs, t->path, on_snapshot, t, &t->task.text);
    for (size_t i = 0; e == ERR_NONE && i < t->snapshot_count; i++) {
        char *path = segment_path(t->path, t->snapshots[i], ".snapshot");
        e = file_remove(fs, path, &t->task.text);
        mem_free(path);
    }
    return e == ERR_NONE && t->snapshot_count > 0 ? env_fs_sync_dir(fs, t->path, &t->task.text) : e;
}

static void cut_run(struct task *task, struct env_fs *fs)
{
    struct cut_task *t = CONTAINER_OF(task, struct cut_task, task);
    enum err e = ERR_NONE;
    /* Snapshots first: one that outlives the batches it knows of would take new ones for repeats.
     */
    e = remove_snapshots(t, fs);
    for (size_t i = t->base_count; e == ERR_NONE && i > 0; i--) {
        e = remove_segment(t, fs, t->bases[i - 1]);
    }
    if (e == ERR_NONE && t->keep) {
        e = segment_remove_indexes(fs, t->path, t->facts.base_offset, &task->text);
    }
    if (e == ERR_NONE) {
        e = cut_segment(t, fs);
    }
    if (e == ERR_NONE && t->rebuild_producers) {
        e = producers_rebuild(&t->producers, fs, t->path, t->best_snapshot, t->kept_bases,
                              t->kept_count, t->start_offset, t->offset, &task->text);
    }
    task->error = e;
}

static void replay_deferred(struct log *log)
{
    LIST_FOREACH(node, &log->deferred) {
        struct pending *pending = CONTAINER_OF(node, struct pending, node);
        if (pending->batch.producer_id >= 0) {
            struct producer_append append = producer_append_of(&pending->batch);
            producers_update(&log->producers, &append);
        }
    }
}

static void drop_segments_from(struct log *log, int64_t base_offset)
{
    while (log->segment_count > 0 &&
           log->segments[log->segment_count - 1]->base_offset >= base_offset) {
        struct segment *segment = log->segments[--log->segment_count];
        ASSERT(!segment->working);
        log->bytes -= segment->size;
        segment_free(segment);
    }
}

static void cut_finished(struct task *task)
{
    struct cut_task *t = CONTAINER_OF(task, struct cut_task, task);
    struct log *log = task->log;
    log->writing = false;
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "truncate %s to %lld", log->name, (long long)t->offset);
        if (task->error == ERR_NO_SPACE && log->state == LOG_CLOSING) {
            log_give_up(log, task->error, &task->text);
            return;
        }
        if (task->error == ERR_NO_SPACE) {
            dir_full(log->dir, &task->text); /* it is still wanted */
            return;
        }
        log_fail(log, task->error, &task->text);
        return;
    }
    drop_segments_from(log, t->fully ? 0 : t->facts.base_offset);
    struct segment *segment = segment_of_facts(&t->facts, env_wall_ms(log->env));
    segment->exists = t->exists;
    segment->settled = false;
    segment->sealed = false;
    log_add_segment(log, segment);
    if (t->file != NULL) {
        log_keep_file(log, segment, t->file);
        t->file = NULL;
    }
    log->bytes += segment->size;
    if (log->failed || t->generation != log->generation) {
        queue_flush_soon(log); /* cut again meanwhile, lower */
        return;
    }
    log->cut_wanted = false;
    log->cut_fully = false;
    if (segment->end_offset < log->assigned && list_empty(&log->deferred) &&
        segment->end_offset >= log->start) {
        /* The offset lay within a batch. */
        log->assigned = segment->end_offset;
        log->written = log->written < log->assigned ? log->written : log->assigned;
        log->durable = log->durable < log->assigned ? log->durable : log->assigned;
        (void)epochs_truncate_end(&log->epochs, log->assigned);
    }
    if (t->rebuild_producers) {
        producers_swap(&log->producers, &t->producers);
        log->producers_known = true;
        replay_deferred(log);
    }
    queue_undefer(log);
    epochs_save(log);
    commit_consider(log);
    queue_flush_soon(log);
}

static void cut_submit(struct log *log)
{
    struct cut_task *task = task_new(sizeof *task, log->dir, log);
    task->path = mem_strdup(log->path);
    task->offset = log->cut_offset;
    task->fully = log->cut_fully;
    task->generation = log->generation;
    task->index_interval_bytes = log->config.index_interval_bytes;
    task->start_offset = log->start;
    task->rebuild_producers = !log->producers_known;
    int64_t keep = -1;
    for (size_t i = 0; i < log->segment_count; i++) {
        int64_t base = log->segments[i]->base_offset;
        if (log->cut_fully || base >= log->cut_offset) {
            *MEM_PUSH(task->bases, task->base_count, task->base_capacity) = base;
        } else {
            *MEM_PUSH(task->kept_bases, task->kept_count, task->kept_capacity) = base;
            keep = base;
        }
    }
    task->keep = keep >= 0;
    task->facts.base_offset = task->keep ? keep : log->cut_offset;
    log->writing = true;
    log->entry->clean = false;
    task->task.run = cut_run;
    task->task.finished = cut_finished;
    task->task.release = cut_release;
    task_submit(&task->task, log->lane);
}

bool cut_step(struct log *log)
{
    if (!log->cut_wanted) {
        return false;
    }
    ASSERT(!log->writing && list_empty(&log->queue));
    if (log->working == 0 && !log->epochs_saving &&
        log->dir->checkpoint_done >= log->cut_checkpoint) {
        cut_submit(log);
    }
    return true;
}

/* ---- asking -------------------------------------------------------------------------------------
 */

/* The start of the queued or recent batch that `offset` lies within. */
static int64_t batch_start(const struct log *log, int64_t offset)
{
    size_t slot = 0;
    const struct recent *recent = recents_find(&log->recents, offset, &slot);
    if (recent != NULL && recent->base_offset < offset) {
        return recent->base_offset;
    }
    const struct list *lists[2] = {&log->queue, &log->deferred};
    for (int i = 0; i < 2; i++) {
        LIST_FOREACH(node, lists[i]) {
            const struct pending *pending = CONTAINER_OF(node, struct pending, node);
            int64_t base = pending->batch.base_offset;
            if (base < offset && base + pending->batch.last_offset_delta >= offset) {
                return base;
            }
        }
    }
    return offset;
}

static int64_t lower(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void want_cut(struct log *log, int64_t offset, bool fully)
{
    log->generation++;
    log->epochs_kept_end = lower(log->epochs_kept_end, fully ? 0 : offset);
    clean_cancel(log);
    if (log->entry->cleaned > offset || (fully && log->entry->cleaned >= 0)) {
        log->entry->cleaned = fully ? -1 : offset;
        dir_checkpoint(log->dir, CHECKPOINT_CLEANER);
    }
    queue_drop(log, fully ? -1 : offset);
    if (log->cut_wanted && log->cut_fully) {
        /* Everything goes anyway; what is left of `deferred` lies below `offset`. */
        log->cut_offset = fully || offset < log->cut_offset ? offset : log->cut_offset;
    } else {
        log->cut_offset =
            log->cut_wanted && !fully && log->cut_offset < offset ? log->cut_offset : offset;
        log->cut_fully = fully;
    }
    log->cut_wanted = true;
    const struct dir_entry *entry = log->entry;
    if (fully || entry->saved_recovery_point > offset || entry->saved_high_watermark > offset) {
        log->cut_checkpoint =
            dir_checkpoint(log->dir, CHECKPOINT_HIGH_WATERMARK | CHECKPOINT_RECOVERY_POINT);
    }
    commit_forget(log);
    queue_flush_soon(log);
}

void log_truncate(struct log *log, int64_t offset)
{
    ASSERT(log->state == LOG_OPEN || log->state == LOG_CLOSING);
    ASSERT(offset >= 0);
    if (log->failed) {
        return;
    }
    if (offset >= log->assigned) {
        /* An epoch that began here without a record is not the new leader's (KIP-101). */
        log->epochs_dirty = epochs_truncate_end(&log->epochs, offset) || log->epochs_dirty;
        return;
    }
    offset = batch_start(log, offset);
    if (offset < log->start) {
        log_truncate_fully(log, offset);
        return;
    }
    trace_info(env_trace(log->env), "truncating %s from %lld to %lld", log->name,
               (long long)log->assigned, (long long)offset);
    log->assigned = offset;
    log->written = lower(log->written, offset);
    log->durable = lower(log->durable, offset);
    log->noted_high_watermark = lower(log->noted_high_watermark, offset);
    recents_truncate(&log->recents, offset);
    log->epochs_dirty = epochs_truncate_end(&log->epochs, offset) || log->epochs_dirty;
    if (!producers_truncate(&log->producers, offset)) {
        log->producers_known = false;
    }
    want_cut(log, offset, false);
}

void log_truncate_fully(struct log *log, int64_t offset)
{
    ASSERT(log->state == LOG_OPEN || log->state == LOG_CLOSING);
    ASSERT(offset >= 0);
    if (log->failed) {
        return;
    }
    trace_info(env_trace(log->env), "truncating %s fully, to start anew at %lld", log->name,
               (long long)offset);
    log->start = offset;
    log->assigned = offset;
    log->written = offset;
    log->durable = offset;
    log->noted_high_watermark = offset;
    recents_free(&log->recents);
    log->epochs_dirty = log->epochs.count > 0 || log->epochs_dirty;
    epochs_free(&log->epochs);
    producers_free(&log->producers);
    log->producers_known = true;
    want_cut(log, offset, true);
}
