/* The open files of segments, within a bound for the whole directory: there may be more partitions
 * than the process may have files open.
 *
 * Happy path: a write opens its segment's file and keeps it open. Once all that was written to it
 * is synced the file rests: it may be closed, the one that rested longest first, when another is to
 * be opened. A write that finds the bound reached and nothing at rest waits until a sync lets
 * something rest; while one waits, every write is synced at once, whatever flush.messages says.
 *
 * A file with unsynced writes is never closed: a failed write-back would be told to nobody. Reads,
 * rolls, cuts and ranges on their way to a socket have references of their own and may go a little
 * above the bound. */
#include "broker/log/log_internal.h"
#include "common/base/assert.h"

static bool may_rest(const struct log *log, const struct segment *segment)
{
    return segment->settled || (!segment->dirty && !log->writing && log->durable >= log->written);
}

static void take_out(struct segment *segment)
{
    if (!list_empty(&segment->lru)) {
        list_remove(&segment->lru);
        segment->files_of->resting_files--;
    }
}

/* As many go on as can be let in. */
static void wake(struct log_dir *dir)
{
    int room = dir->open_files_max - dir->open_file_count - dir->files_reserved;
    room = (room > 0 ? room : 0) + dir->resting_files;
    for (; room > 0 && !list_empty(&dir->files_waiting); room--) {
        struct log *log = CONTAINER_OF(dir->files_waiting.next, struct log, files_node);
        list_remove(&log->files_node);
        log->file_granted = true;
        queue_flush_soon(log);
    }
}

void log_drop_file(struct segment *segment)
{
    struct log_dir *dir = segment->files_of;
    if (segment->file == NULL) {
        return;
    }
    take_out(segment);
    ASSERT(dir->open_file_count > 0);
    dir->open_file_count--;
    segment->files_of = NULL;
    env_file_unref(segment->file);
    segment->file = NULL;
    wake(dir);
}

static void close_oldest(struct log_dir *dir)
{
    ASSERT(!list_empty(&dir->open_files));
    log_drop_file(CONTAINER_OF(dir->open_files.next, struct segment, lru));
}

static void rest(struct log_dir *dir, struct segment *segment)
{
    take_out(segment);
    list_push(&dir->open_files, &segment->lru);
    dir->resting_files++;
}

void log_keep_file(struct log *log, struct segment *segment, struct env_file *file)
{
    struct log_dir *dir = log->dir;
    log_drop_file(segment);
    segment->file = file;
    segment->files_of = dir;
    dir->open_file_count++;
    if (may_rest(log, segment)) {
        rest(dir, segment);
    }
    while (dir->open_file_count + dir->files_reserved > dir->open_files_max &&
           dir->resting_files > 0) {
        close_oldest(dir);
    }
}

void files_rest(struct log *log)
{
    for (size_t i = log_first_unsettled(log); i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (segment->file != NULL && list_empty(&segment->lru) && may_rest(log, segment)) {
            rest(log->dir, segment);
        }
    }
    wake(log->dir);
}

void files_busy(struct segment *segment)
{
    take_out(segment);
}

/* Whether a file must be opened for what is queued. */
static bool opens_one(const struct log *log)
{
    LIST_FOREACH(node, &log->queue) {
        const struct pending *pending = CONTAINER_OF(node, struct pending, node);
        if (pending->segment->file == NULL) {
            return true;
        }
    }
    return false;
}

/* Those who are not synced with every write hold files open that could rest. */
static void sync_all_logs(struct log_dir *dir)
{
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        if (entry->log != NULL) {
            commit_consider(entry->log);
        }
    }
}

static bool wait_in_line(struct log *log)
{
    struct log_dir *dir = log->dir;
    bool first = list_empty(&dir->files_waiting);
    list_remove(&log->files_node);
    list_push(&dir->files_waiting, &log->files_node);
    if (first) {
        sync_all_logs(dir);
    }
    wake(dir);
    return false;
}

bool files_admit(struct log *log)
{
    struct log_dir *dir = log->dir;
    ASSERT(!log->file_reserved);
    bool granted = log->file_granted;
    log->file_granted = false;
    bool opens = opens_one(log);
    /* While others wait, who has a file open lets it rest between two writes. (A log that is being
     * closed is not synced before its last write.) */
    if (!granted && log->state == LOG_OPEN && !list_empty(&dir->files_waiting)) {
        return wait_in_line(log);
    }
    if (!opens) {
        return true;
    }
    if (dir->open_file_count + dir->files_reserved >= dir->open_files_max) {
        if (dir->resting_files == 0) {
            return wait_in_line(log);
        }
        close_oldest(dir);
    }
    log->file_reserved = true;
    dir->files_reserved++;
    return true;
}

void files_release(struct log *log)
{
    if (log->file_reserved) {
        log->file_reserved = false;
        ASSERT(log->dir->files_reserved > 0);
        log->dir->files_reserved--;
    }
}

void log_dir_limit_open_files(struct log_dir *dir, int files)
{
    dir->open_files_max = files > OPEN_FILES_MIN ? files : OPEN_FILES_MIN;
    while (dir->open_file_count > dir->open_files_max && dir->resting_files > 0) {
        close_oldest(dir);
    }
}
