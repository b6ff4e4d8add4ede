/* The disk queue of a log.
 *
 * Happy path: an append places its batches in the active segment at once (position, index, recents)
 * and queues them; a post at the end of the turn takes all that is queued into one job, which
 * writes each segment's share with one call; the job's news moves `written`. What is appended
 * meanwhile is the next job.
 *
 * A cut (cut.c) is a barrier: what was queued before and lies below it is written first; what is
 * appended after it waits unplaced in `deferred`, because the position it will get is not known
 * yet.
 *
 * A full disk: what could not be written goes back to the head of the queue; the same bytes are
 * written to the same places once there is room (room.c).
 *
 * Failure modes: a failed write may have left any part of its bytes in the file. Nothing queued is
 * written any more, the assigned end and the producers go back to what is written, and the log has
 * failed for good; recovery looks at that tail at the next start. */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

/* The part of a write job that goes to one segment. */
struct write_run {
    struct segment *segment; /* not touched on the worker */
    char *path;              /* to open it by when file is NULL */
    struct env_file *file;
    bool create;
    bool created;
    int64_t position;
    struct env_iov *iov;
    size_t iov_count;
    size_t iov_capacity;
};

struct write_task {
    struct task task;
    struct write_run *runs;
    size_t run_count;
    size_t run_capacity;
    struct list batches; /* pending.node */
    int64_t end_offset;
};

static void pending_free(struct pending *pending)
{
    list_remove(&pending->node);
    buf_unref(pending->buf);
    mem_free(pending);
}

static void drop_list(struct list *list, int64_t offset)
{
    LIST_FOREACH(node, list) {
        struct pending *pending = CONTAINER_OF(node, struct pending, node);
        if (batch_last_offset(&pending->batch) >= offset) {
            pending_free(pending);
        }
    }
}

void queue_drop(struct log *log, int64_t offset)
{
    drop_list(&log->queue, offset);
    drop_list(&log->deferred, offset);
}

/* ---- placing ------------------------------------------------------------------------------------
 */

void queue_roll(struct log *log, int64_t base_offset)
{
    struct segment *active = log_active(log);
    if (active != NULL && active->size == 0) {
        return;
    }
    if (active != NULL) {
        ASSERT(base_offset >= active->end_offset);
        segment_seal_times(active);
        active->sealed = true;
        /* Only a state that ends exactly here may be kept: one that knows of later batches would
         * call them duplicates after a crash that lost them. */
        if (log->producers_known && list_empty(&log->deferred)) {
            producers_snapshot(&log->producers, &active->snapshot);
        }
    }
    log_add_segment(log, segment_new(base_offset, env_wall_ms(log->env)));
}

static bool roll_due(const struct log *log, const struct segment *active, const struct batch *batch)
{
    if (active->size == 0) {
        return false;
    }
    int64_t last_offset = batch_last_offset(batch);
    if (active->size + (int64_t)batch->size > log->config.segment_bytes ||
        last_offset - active->base_offset > INT32_MAX ||
        index_full(&active->index, log->config.segment_index_bytes)) {
        return true;
    }
    /* Kafka: by record time when there is one, else by the age of the segment. */
    int64_t waited = active->first_timestamp >= 0 && batch->max_timestamp >= 0
                         ? batch->max_timestamp - active->first_timestamp
                         : env_wall_ms(log->env) - active->created_ms;
    return waited > log->config.segment_ms;
}

static void place(struct log *log, struct pending *pending)
{
    const struct batch *batch = &pending->batch;
    struct segment *active = log_active(log);
    if (active == NULL || roll_due(log, active, batch)) {
        /* Named by where the one before ends, not by a batch that a compacted leader sent after a
         * gap: recovery takes a gap between segments for a loss. */
        queue_roll(log, active != NULL ? active->end_offset : batch->base_offset);
        active = log_active(log);
    }
    ASSERT(!active->sealed && active->size + (int64_t)batch->size <= INT32_MAX);
    pending->segment = active;
    pending->position = active->size;
    struct recent recent = {.base_offset = batch->base_offset,
                            .last_offset = batch_last_offset(batch),
                            .segment_base = active->base_offset,
                            .position = (int32_t)active->size,
                            .size = (int32_t)batch->size};
    segment_place(active, batch, log->config.index_interval_bytes);
    recents_push(&log->recents, &recent);
    log->bytes += (int64_t)batch->size;
    list_push(&log->queue, &pending->node);
}

void queue_add(struct log *log, struct buf *buf, size_t at, const struct batch *batch)
{
    ASSERT(batch->base_offset >= log->assigned);
    struct pending *pending = mem_zalloc(sizeof *pending);
    pending->buf = buf_ref(buf);
    pending->at = at;
    pending->batch = *batch;
    list_init(&pending->node);
    if (log->cut_wanted) {
        list_push(&log->deferred, &pending->node);
    } else {
        place(log, pending);
    }
    log->assigned = batch_next_offset(batch);
    queue_flush_soon(log);
}

void queue_undefer(struct log *log)
{
    ASSERT(!log->cut_wanted);
    while (!list_empty(&log->deferred)) {
        /* Unlinked only once placed: a roll in between sees that others wait (queue_roll). */
        struct pending *pending = CONTAINER_OF(log->deferred.next, struct pending, node);
        struct list marker;
        list_push(&log->deferred, &marker);
        list_remove(&pending->node);
        place(log, pending);
        list_remove(&marker);
    }
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static void write_release(struct task *task)
{
    struct write_task *t = CONTAINER_OF(task, struct write_task, task);
    while (!list_empty(&t->batches)) {
        pending_free(CONTAINER_OF(t->batches.next, struct pending, node));
    }
    for (size_t i = 0; i < t->run_count; i++) {
        env_file_unref(t->runs[i].file);
        mem_free(t->runs[i].path);
        mem_free(t->runs[i].iov);
    }
    mem_free(t->runs);
}

static void write_run_job(struct task *task, struct env_fs *fs)
{
    struct write_task *t = CONTAINER_OF(task, struct write_task, task);
    for (size_t i = 0; task->error == ERR_NONE && i < t->run_count; i++) {
        struct write_run *run = &t->runs[i];
        if (run->file == NULL) {
            int flags = ENV_OPEN_WRITE | (run->create ? ENV_OPEN_CREATE : 0);
            task->error = env_fs_open(fs, run->path, flags, &run->file, &task->text);
            run->created = run->create;
        }
        if (task->error == ERR_NONE) {
            task->error = env_fs_write(fs, run->file, run->iov, (int)run->iov_count, run->position,
                                       &task->text);
        }
    }
}

static void wait_for_room(struct log *log, struct write_task *t)
{
    list_splice(&t->batches, &log->queue);
    list_splice(&log->queue, &t->batches);
    if (log->cut_wanted) {
        drop_list(&log->queue, log->cut_fully ? -1 : log->cut_offset);
    }
    log->news_full = true;
    log_announce(log);
    dir_full(log->dir, &t->task.text);
}

static void write_finished(struct task *task)
{
    struct write_task *t = CONTAINER_OF(task, struct write_task, task);
    struct log *log = task->log;
    log->writing = false;
    files_release(log);
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "append to %s", log->name);
        if (task->error == ERR_NO_SPACE && log->state != LOG_CLOSING) {
            wait_for_room(log, t);
            return;
        }
        if (task->error == ERR_NO_SPACE) {
            log_give_up(log, task->error, &task->text);
            return;
        }
        log_fail(log, task->error, &task->text);
        return;
    }
    for (size_t i = 0; i < t->run_count; i++) {
        struct write_run *run = &t->runs[i];
        struct segment *segment = run->segment;
        segment->exists = true;
        segment->dirty = true;
        segment->name_dirty = segment->name_dirty || run->created;
        if (segment->file == NULL) {
            log_keep_file(log, segment, run->file);
            run->file = NULL;
        }
    }
    int64_t end = t->end_offset;
    if (log->cut_wanted && (log->cut_fully || end > log->cut_offset)) {
        end = log->cut_offset;
    }
    if (!log->failed && end > log->written) {
        log->written = end;
        log->news_written = true;
        log_announce(log);
        epochs_save(log);
        commit_consider(log);
    }
    queue_flush_soon(log);
}

static void add_to_run(struct write_task *t, struct log *log, struct pending *pending)
{
    struct segment *segment = pending->segment;
    files_busy(segment);
    struct write_run *run = t->run_count == 0 ? NULL : &t->runs[t->run_count - 1];
    if (run == NULL || run->segment != segment) {
        run = MEM_PUSH(t->runs, t->run_count, t->run_capacity);
        *run =
            (struct write_run){.segment = segment,
                               .position = pending->position,
                               .create = !segment->exists,
                               .file = segment->file == NULL ? NULL : env_file_ref(segment->file)};
        if (run->file == NULL) {
            run->path = segment_path(log->path, segment->base_offset, ".log");
        }
    }
    *MEM_PUSH(run->iov, run->iov_count, run->iov_capacity) =
        (struct env_iov){.data = pending->buf->data + pending->at, .size = pending->batch.size};
    t->end_offset = batch_next_offset(&pending->batch);
}

static void submit_write(struct log *log)
{
    struct write_task *task = task_new(sizeof *task, log->dir, log);
    list_init(&task->batches);
    LIST_FOREACH(node, &log->queue) {
        add_to_run(task, log, CONTAINER_OF(node, struct pending, node));
    }
    list_splice(&task->batches, &log->queue);
    log->writing = true;
    log->entry->clean = false;
    task->task.run = write_run_job;
    task->task.finished = write_finished;
    task->task.release = write_release;
    task_submit(&task->task, log->lane);
}

void queue_submit_rolls(struct log *log)
{
    if (log->dir->full) {
        return;
    }
    for (size_t i = log_first_unsettled(log); i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (segment->sealed && !segment->working && segment->exists && !log->cut_wanted &&
            segment->end_offset <= log->written) {
            roll_submit(log, segment);
        }
    }
}

static void flush(struct env_post *post)
{
    struct log *log = CONTAINER_OF(post, struct log, flush_post);
    if (log->failed || log->writing || log->shutting ||
        (log->state != LOG_OPEN && log->state != LOG_CLOSING)) {
        return;
    }
    bool waits = !list_empty(&log->queue) || log->cut_wanted;
    if (waits && log->dir->full && log->state == LOG_CLOSING) {
        struct err_text text;
        err_set(&text, "close log %s: log directory %s is full", log->name, log->dir->path);
        log_give_up(log, ERR_NO_SPACE, &text);
        env_post(log->env, &log->settle_post);
        return;
    }
    if (waits && !make_ready(log)) {
        return;
    }
    if (list_empty(&log->queue) && cut_step(log)) {
        return;
    }
    if (!list_empty(&log->queue) && !log->dir->full && files_admit(log)) {
        submit_write(log);
    }
    queue_submit_rolls(log);
    retention_step(log);
}

void queue_flush_soon(struct log *log)
{
    if (log->flush_post.run == NULL) {
        env_post_init(&log->flush_post, flush);
    }
    env_post(log->env, &log->flush_post);
}
