/* Reading: a range of whole batches of one segment.
 *
 * Hot: the batches' places are in `recents` and the file is open: answered at once. Cold: a job
 * goes to the index floor (of the index in memory, or by a search in the .index file), walks batch
 * headers and, in passing, warms the range.
 *
 * While a job is under way the log may be cut, or the segment deleted: the answer is then looked
 * for anew, from the start. */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct read_task {
    struct task task;
    struct log_read *read; /* NULL once cancelled */
    char *path;            /* of the log */
    int64_t base_offset;
    struct env_file *file; /* opened when NULL */
    bool opened;
    bool located; /* at, size, next_offset are known: only bytes are wanted */
    bool index_on_disk;
    int64_t from; /* position of the floor */
    int64_t file_size;
    uint32_t generation;
    uint32_t layout;
    int64_t offset;
    int64_t limit_offset;
    uint32_t max_bytes;
    bool whole_first;
    bool want_bytes;
    /* out */
    int64_t at;
    int64_t size;
    int64_t next_offset;
    bool beyond; /* no batch of this segment reaches the offset */
    struct buf *bytes;
};

static void read_release(struct task *task)
{
    struct read_task *t = CONTAINER_OF(task, struct read_task, task);
    env_file_unref(t->file);
    buf_unref(t->bytes);
    mem_free(t->path);
}

/* Searches the .index file; any doubt gives position 0, which is right, only slower. */
int64_t index_file_floor(struct env_fs *fs, const char *log_path, int64_t base_offset,
                         int64_t offset, int64_t file_size)
{
    enum { ENTRY_BYTES = 8 };
    char *path = segment_path(log_path, base_offset, ".index");
    struct env_file *file = NULL;
    int64_t size = 0;
    int64_t floor = 0;
    enum err e = env_fs_open(fs, path, ENV_OPEN_READ, &file, NULL);
    mem_free(path);
    if (e != ERR_NONE || env_fs_size(fs, file, &size, NULL) != ERR_NONE) {
        env_file_unref(file);
        return 0;
    }
    int64_t low = 0;
    int64_t high = size / ENTRY_BYTES;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        uint8_t entry[ENTRY_BYTES];
        size_t got = 0;
        if (env_fs_read(fs, file, entry, sizeof entry, mid * ENTRY_BYTES, &got, NULL) != ERR_NONE ||
            got != sizeof entry) {
            break;
        }
        int64_t relative = (int64_t)entry[0] << 24 | entry[1] << 16 | entry[2] << 8 | entry[3];
        int64_t position = (int64_t)entry[4] << 24 | entry[5] << 16 | entry[6] << 8 | entry[7];
        if (base_offset + relative <= offset && (mid == 0 || relative > 0)) {
            floor = position < file_size ? position : 0;
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    env_file_unref(file);
    return floor;
}

/* Finds the range. What goes into it is checked against its CRC: the bytes must be read from the
 * disk anyway, off the loop, before they are sent, and damage is not to be served. */
static enum err locate(struct read_task *t, struct env_fs *fs)
{
    struct scan scan;
    struct scanned found;
    if (t->index_on_disk) {
        t->from = index_file_floor(fs, t->path, t->base_offset, t->offset, t->file_size);
    }
    scan_init(&scan, fs, t->file, t->from, t->file_size);
    enum err e = ERR_NONE;
    t->at = -1;
    t->size = 0;
    t->next_offset = t->offset;
    while ((e = scan_next(&scan, false, &found, &t->task.text)) == ERR_NONE) {
        int64_t last_offset = batch_last_offset(&found.batch);
        if (last_offset < t->offset) {
            continue;
        }
        bool first = t->at < 0;
        if (first) {
            t->at = found.position;
        }
        if (last_offset >= t->limit_offset ||
            (t->size + (int64_t)found.batch.size > t->max_bytes && !(first && t->whole_first))) {
            break;
        }
        scan.at = found.position;
        e = scan_next(&scan, true, &found, &t->task.text);
        if (e != ERR_NONE) {
            break;
        }
        t->size += (int64_t)found.batch.size;
        t->next_offset = last_offset + 1;
        if (t->next_offset >= t->limit_offset) {
            break; /* what follows may be on its way to the file still */
        }
    }
    scan_free(&scan);
    if (e == ERR_CORRUPT && t->size > 0) {
        return ERR_NONE; /* what comes before it is good; the next read says so */
    }
    t->beyond = t->at < 0;
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

static void read_run(struct task *task, struct env_fs *fs)
{
    struct read_task *t = CONTAINER_OF(task, struct read_task, task);
    enum err e = ERR_NONE;
    if (t->file == NULL) {
        char *path = segment_path(t->path, t->base_offset, ".log");
        e = env_fs_open(fs, path, ENV_OPEN_WRITE, &t->file, &task->text);
        mem_free(path);
        t->opened = e == ERR_NONE;
    }
    if (e == ERR_NONE && !t->located) {
        e = locate(t, fs);
    }
    if (e == ERR_NONE && t->want_bytes && t->size > 0) {
        t->bytes = buf_new((size_t)t->size);
        e = env_fs_read(fs, t->file, t->bytes->data, (size_t)t->size, t->at, &t->bytes->size,
                        &task->text);
        if (e == ERR_NONE && t->bytes->size != (size_t)t->size) {
            err_set(&task->text, "segment %lld ends within the range that was asked for",
                    (long long)t->base_offset);
            e = ERR_CORRUPT;
        }
    }
    if (e == ERR_CORRUPT) {
        err_wrap(&task->text, "%s/%020lld.log is damaged at offset %lld or soon after", t->path,
                 (long long)t->base_offset, (long long)t->next_offset);
    }
    task->error = e;
}

static void answer(struct log_read *read, enum err error)
{
    list_remove(&read->node);
    read->error = error;
    read->done(read);
}

static bool dispatch(struct log *log, struct log_read *read, int64_t from_base);

static void read_finished(struct task *task)
{
    struct read_task *t = CONTAINER_OF(task, struct read_task, task);
    struct log *log = task->log;
    struct log_read *read = t->read;
    if (t->opened && task->error == ERR_NONE && t->generation == log->generation &&
        t->layout == log->layout) {
        size_t at = log_segment_index(log, t->base_offset);
        if (at < log->segment_count && log->segments[at]->base_offset == t->base_offset &&
            log->segments[at]->file == NULL) {
            log_keep_file(log, log->segments[at], env_file_ref(t->file));
        }
    }
    if (read == NULL) {
        return;
    }
    read->log_task = NULL;
    if (log->state != LOG_OPEN && log->state != LOG_CLOSING) {
        answer(read, ERR_CANCELLED);
        return;
    }
    bool stale = t->generation != log->generation || t->layout != log->layout ||
                 (task->error != ERR_NONE && read->offset < log->start);
    if (stale || (task->error == ERR_NONE && t->beyond)) {
        /* Beyond: the offset lies in a gap at this segment's end. */
        if (dispatch(log, read, stale ? -1 : t->base_offset + 1)) {
            answer(read, read->error);
        }
        return;
    }
    if (task->error == ERR_CORRUPT) {
        log_fail(log, task->error, &task->text);
    }
    if (task->error != ERR_NONE) {
        read->text = task->text;
        err_wrap(&read->text, "read %s at offset %lld", log->name, (long long)read->offset);
        answer(read, task->error);
        return;
    }
    read->at = t->at;
    read->size = (uint32_t)t->size;
    read->next_offset = t->next_offset;
    if (t->size > 0) {
        read->file = env_file_ref(t->file);
        read->bytes = t->bytes;
        t->bytes = NULL;
    }
    answer(read, ERR_NONE);
}

static struct read_task *submit(struct log *log, struct log_read *read, struct segment *segment)
{
    struct read_task *task = task_new(sizeof *task, log->dir, log);
    task->read = read;
    read->log_task = task;
    task->path = mem_strdup(log->path);
    task->base_offset = segment->base_offset;
    task->file = segment->file == NULL ? NULL : env_file_ref(segment->file);
    task->generation = log->generation;
    task->layout = log->layout;
    task->file_size = segment->size;
    task->index_on_disk = segment->settled;
    if (!segment->settled) {
        task->from = index_floor(&segment->index, segment->base_offset, read->offset);
    }
    task->offset = read->offset;
    task->max_bytes = read->max_bytes;
    task->whole_first = read->whole_first;
    task->want_bytes = read->want_bytes;
    task->task.run = read_run;
    task->task.finished = read_finished;
    task->task.release = read_release;
    if (log->read_lane == NULL) {
        log->read_lane = env_lane_open(log->env, ENV_WORKER_READ);
    }
    return task;
}

/* The range from recents. False when they do not reach back so far. */
static bool from_recents(const struct log *log, struct log_read *read, int64_t limit,
                         int64_t *segment_base)
{
    size_t slot = 0;
    const struct recent *first = recents_find(&log->recents, read->offset, &slot);
    if (first == NULL) {
        return false;
    }
    uint64_t size = 0;
    int64_t next = read->offset;
    for (; slot < log->recents.count; slot++) {
        const struct recent *batch = recents_at(&log->recents, slot);
        bool fits = size + (uint64_t)batch->size <= read->max_bytes ||
                    (batch->base_offset == first->base_offset && read->whole_first);
        if (batch->segment_base != first->segment_base || batch->last_offset >= limit || !fits) {
            break;
        }
        size += (uint64_t)batch->size;
        next = batch->last_offset + 1;
    }
    *segment_base = first->segment_base;
    read->at = first->position;
    read->size = (uint32_t)size;
    read->next_offset = next;
    return true;
}

/* True: answered in `read`. Segments whose base is below `from_base` are left out. */
static bool dispatch(struct log *log, struct log_read *read, int64_t from_base)
{
    read->error = ERR_NONE;
    read->file = NULL;
    read->bytes = NULL;
    read->size = 0;
    read->at = 0;
    read->next_offset = read->offset;
    int64_t limit = read->limit_offset < log->written ? read->limit_offset : log->written;
    if (read->offset < log->start || read->offset > limit) {
        err_set(&read->text, "offset %lld of %s is not in [%lld, %lld]", (long long)read->offset,
                log->name, (long long)log->start, (long long)limit);
        read->error = ERR_OUT_OF_RANGE;
        return true;
    }
    if (read->offset == limit) {
        return true;
    }
    size_t i = log_segment_index(log, read->offset);
    while (i < log->segment_count && log->segments[i]->base_offset < from_base) {
        i++;
    }
    if (i == log->segment_count || log->segments[i]->base_offset >= limit) {
        return true;
    }
    struct segment *segment = log->segments[i];
    int64_t hot_base = 0;
    bool located = from_recents(log, read, limit, &hot_base) && hot_base == segment->base_offset;
    if (located && (read->size == 0 || (segment->file != NULL && !read->want_bytes))) {
        read->file = read->size == 0 ? NULL : env_file_ref(segment->file);
        return true;
    }
    struct read_task *task = submit(log, read, segment);
    task->located = located;
    task->at = read->at;
    task->size = located ? read->size : 0;
    task->next_offset = read->next_offset;
    task->limit_offset = limit;
    task_submit(&task->task, log->read_lane);
    return false;
}

bool log_read(struct log *log, struct log_read *read)
{
    ASSERT(read->done != NULL);
    ASSERT(log->state != LOG_OPENING);
    read->log = log;
    read->log_task = NULL;
    list_init(&read->node);
    if (log->state != LOG_OPEN) {
        read->error = ERR_CLOSED;
        err_set(&read->text, "log %s is closed", log->name);
        read->size = 0;
        read->file = NULL;
        read->bytes = NULL;
        return true;
    }
    if (dispatch(log, read, -1)) {
        return true;
    }
    list_push(&log->reads, &read->node);
    return false;
}

bool log_read_cancel(struct log_read *read)
{
    struct read_task *task = read->log_task;
    if (task != NULL) {
        ASSERT(task->read == read);
        task->read = NULL;
        read->log_task = NULL;
    }
    list_remove(&read->node);
    return true;
}
