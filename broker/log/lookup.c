/* ListOffsets by time.
 *
 * The first segment whose largest timestamp reaches the one asked for is walked, from the place its
 * time index tells, to the first batch that reaches it; within that batch the records are walked.
 * For the largest timestamp of all (-3) the segment that holds it is walked. Everything at and past
 * limit_offset does not count, so the segment that holds the limit is always walked by what it
 * really has below it. */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

enum { WALK_LIMIT_BYTES = 256 << 20 };

struct lookup_task {
    struct task task;
    struct log_lookup *lookup;
    char *path;
    int64_t base_offset;
    int64_t file_size;
    struct env_file *file;
    int64_t from; /* position; -1: by the index files */
    uint32_t generation;
    uint32_t layout;
    int64_t timestamp_ms;
    bool largest;
    int64_t start_offset;
    int64_t limit_offset;
    /* out */
    int64_t offset; /* -1 not in this segment */
    int64_t found_timestamp_ms;
    int32_t leader_epoch;
};

static void lookup_release(struct task *task)
{
    struct lookup_task *t = CONTAINER_OF(task, struct lookup_task, task);
    env_file_unref(t->file);
    mem_free(t->path);
}

/* The first record of the batch, at or after the start, that reaches `timestamp_ms`. */
static enum err look_in_batch(struct lookup_task *t, const struct scanned *found,
                              int64_t timestamp_ms)
{
    struct record_walk walk;
    struct record record;
    enum err e =
        record_walk_init(&walk, found->bytes, found->batch.size, WALK_LIMIT_BYTES, &t->task.text);
    if (e != ERR_NONE) {
        return e;
    }
    while (record_walk_next(&walk, &record)) {
        if (record.timestamp >= timestamp_ms && record.offset >= t->start_offset &&
            record.offset < t->limit_offset) {
            t->offset = record.offset;
            t->found_timestamp_ms = record.timestamp;
            t->leader_epoch = found->batch.partition_leader_epoch;
            break;
        }
    }
    if (walk.in.error != ERR_NONE) {
        err_set(&t->task.text, "records of the batch at offset %lld are malformed",
                (long long)found->batch.base_offset);
        e = ERR_CORRUPT;
    }
    record_walk_free(&walk);
    return e;
}

static enum err look_first(struct lookup_task *t, struct env_fs *fs)
{
    struct scan scan;
    struct scanned found;
    scan_init(&scan, fs, t->file, t->from, t->file_size);
    enum err e = ERR_NONE;
    while (t->offset < 0 && (e = scan_next(&scan, false, &found, &t->task.text)) == ERR_NONE) {
        if (found.batch.base_offset >= t->limit_offset) {
            break;
        }
        if (batch_last_offset(&found.batch) < t->start_offset ||
            found.batch.max_timestamp < t->timestamp_ms) {
            continue;
        }
        scan.at = found.position;
        e = scan_next(&scan, true, &found, &t->task.text);
        if (e == ERR_NONE) {
            e = look_in_batch(t, &found, t->timestamp_ms);
        }
        if (e != ERR_NONE) {
            break;
        }
    }
    scan_free(&scan);
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

static enum err look_largest(struct lookup_task *t, struct env_fs *fs)
{
    struct scan scan;
    struct scanned found;
    int64_t best = -1;
    int64_t best_at = 0;
    scan_init(&scan, fs, t->file, 0, t->file_size);
    enum err e = ERR_NONE;
    while ((e = scan_next(&scan, false, &found, &t->task.text)) == ERR_NONE) {
        if (batch_last_offset(&found.batch) >= t->limit_offset) {
            break;
        }
        if (batch_last_offset(&found.batch) >= t->start_offset &&
            found.batch.max_timestamp > best) {
            best = found.batch.max_timestamp;
            best_at = found.position;
        }
    }
    e = e == ERR_NOT_FOUND ? ERR_NONE : e;
    if (e == ERR_NONE && best >= 0) {
        scan.at = best_at;
        e = scan_next(&scan, true, &found, &t->task.text);
        if (e == ERR_NONE) {
            e = look_in_batch(t, &found, best);
        }
    }
    scan_free(&scan);
    return e;
}

/* Where to begin in a segment whose index is on disk. */
static enum err floor_on_disk(struct lookup_task *t, struct env_fs *fs)
{
    struct bytes none = {0};
    struct bytes times = {0};
    struct segment_index index = {0};
    char *path = segment_path(t->path, t->base_offset, ".timeindex");
    enum err e = env_fs_slurp(fs, path, 256 << 20, &times, NULL);
    if (e == ERR_NONE) {
        e = index_decode(&index, &none, &times, t->base_offset, t->file_size, NULL);
    }
    t->from = 0;
    if (e == ERR_NONE) {
        int64_t offset = index_time_floor(&index, t->base_offset, t->timestamp_ms);
        t->from = index_file_floor(fs, t->path, t->base_offset, offset, t->file_size);
    }
    index_free(&index);
    bytes_free(&times);
    mem_free(path);
    return ERR_NONE; /* without an index the walk begins at the start */
}

static void lookup_run(struct task *task, struct env_fs *fs)
{
    struct lookup_task *t = CONTAINER_OF(task, struct lookup_task, task);
    enum err e = ERR_NONE;
    t->offset = -1;
    if (t->base_offset < 0) {
        return; /* nothing to look at */
    }
    if (t->file == NULL) {
        char *path = segment_path(t->path, t->base_offset, ".log");
        e = env_fs_open(fs, path, ENV_OPEN_READ, &t->file, &task->text);
        mem_free(path);
    }
    if (e == ERR_NONE && t->from < 0 && !t->largest) {
        e = floor_on_disk(t, fs);
    }
    if (e == ERR_NONE) {
        e = t->largest ? look_largest(t, fs) : look_first(t, fs);
    }
    if (e == ERR_CORRUPT) {
        err_wrap(&task->text, "%s/%020lld.log is damaged", t->path, (long long)t->base_offset);
    }
    task->error = e;
}

static void answer(struct log_lookup *lookup, enum err error)
{
    lookup->error = error;
    lookup->done(lookup);
}

static void dispatch(struct log *log, struct log_lookup *lookup, int64_t from_base);

static void take(struct log_lookup *lookup, const struct lookup_task *t)
{
    if (t->offset >= 0 &&
        (lookup->offset < 0 || t->found_timestamp_ms > lookup->found_timestamp_ms)) {
        lookup->offset = t->offset;
        lookup->found_timestamp_ms = t->found_timestamp_ms;
        lookup->leader_epoch = t->leader_epoch;
    }
}

static void lookup_finished(struct task *task)
{
    struct lookup_task *t = CONTAINER_OF(task, struct lookup_task, task);
    struct log *log = task->log;
    struct log_lookup *lookup = t->lookup;
    if (log->state != LOG_OPEN) {
        answer(lookup, ERR_CANCELLED);
        return;
    }
    if (t->generation != log->generation || t->layout != log->layout ||
        (task->error != ERR_NONE && t->base_offset < log->start)) {
        lookup->offset = -1;
        dispatch(log, lookup, -1);
        return;
    }
    if (task->error != ERR_NONE) {
        lookup->text = task->text;
        if (task->error == ERR_CORRUPT) {
            log_fail(log, task->error, &task->text);
        }
        err_wrap(&lookup->text, "look up a time in %s", log->name);
        answer(lookup, task->error);
        return;
    }
    take(lookup, t);
    if (t->base_offset < 0 || (lookup->offset >= 0 && !t->largest)) {
        answer(lookup, ERR_NONE);
        return;
    }
    dispatch(log, lookup, t->base_offset + 1);
}

/* May `segment` hold a better answer than the one there is? */
static bool worth_it(const struct log_lookup *lookup, const struct segment *segment)
{
    if (segment->size == 0) {
        return false;
    }
    if (lookup->timestamp_ms == LOG_MAX_TIMESTAMP) {
        return lookup->offset < 0 || segment->max_timestamp > lookup->found_timestamp_ms;
    }
    return segment->max_timestamp >= lookup->timestamp_ms;
}

static void dispatch(struct log *log, struct log_lookup *lookup, int64_t from_base)
{
    struct lookup_task *task = task_new(sizeof *task, log->dir, log);
    int64_t limit = lookup->limit_offset < log->written ? lookup->limit_offset : log->written;
    size_t i = log_segment_index(log, log->start);
    while (i < log->segment_count &&
           (log->segments[i]->base_offset < from_base || !worth_it(lookup, log->segments[i]))) {
        i++;
    }
    task->lookup = lookup;
    task->path = mem_strdup(log->path);
    task->generation = log->generation;
    task->layout = log->layout;
    task->timestamp_ms = lookup->timestamp_ms;
    task->largest = lookup->timestamp_ms == LOG_MAX_TIMESTAMP;
    task->start_offset = log->start;
    task->limit_offset = limit;
    task->base_offset = -1;
    if (i < log->segment_count && log->segments[i]->base_offset < limit) {
        const struct segment *segment = log->segments[i];
        task->base_offset = segment->base_offset;
        task->file_size = segment->size;
        task->file = segment->file == NULL ? NULL : env_file_ref(segment->file);
        task->from = -1;
        if (!segment->settled) {
            int64_t floor =
                index_time_floor(&segment->index, segment->base_offset, lookup->timestamp_ms);
            task->from = index_floor(&segment->index, segment->base_offset, floor);
        }
    }
    task->task.run = lookup_run;
    task->task.finished = lookup_finished;
    task->task.release = lookup_release;
    if (log->read_lane == NULL) {
        log->read_lane = env_lane_open(log->env, ENV_WORKER_READ);
    }
    task_submit(&task->task, log->read_lane);
}

void log_lookup(struct log *log, struct log_lookup *lookup)
{
    ASSERT(lookup->done != NULL);
    ASSERT(log->state == LOG_OPEN);
    lookup->log = log;
    lookup->offset = -1;
    lookup->found_timestamp_ms = -1;
    lookup->leader_epoch = -1;
    dispatch(log, lookup, -1);
}
