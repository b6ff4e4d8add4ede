/* What the segments hold: indexes trusted after a clean stop, batches checked one by one after a
 * crash.
 *
 * Happy path, clean: indexes are loaded, only the last segment's tail is walked, no segment is
 * written. After a crash: segments wholly below the recovery point are taken as after a clean stop;
 * every other is read whole, each CRC checked, its index made anew. The first batch that is not
 * whole and right ends the log there, when that is above everything ever promised (the recovery
 * point and the checkpointed high watermark): a torn tail, cut off. Below the promise it is
 * corruption: nothing is changed and the log does not open. What was read is synced before the log
 * opens: it may so far have been in the page cache only. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

/* ---- producers ----------------------------------------------------------------------------------
 */

struct feed {
    struct producers *producers;
    int64_t from;
};

static void feed_batch(void *ctx, const struct batch *batch)
{
    struct feed *feed = ctx;
    if (batch->producer_id >= 0 && batch->base_offset >= feed->from) {
        struct producer_append append = producer_append_of(batch);
        producers_update(feed->producers, &append);
    }
}

/* Headers of one segment from `from` up to end_offset. */
static enum err feed_segment(struct feed *feed, struct env_fs *fs, const char *path, int64_t base,
                             int64_t end_offset, struct err_text *text)
{
    char *file_path = segment_path(path, base, ".log");
    struct env_file *file = NULL;
    int64_t size = 0;
    enum err e = env_fs_open(fs, file_path, ENV_OPEN_READ, &file, text);
    if (e == ERR_NONE) {
        e = env_fs_size(fs, file, &size, text);
    }
    struct scan scan;
    struct scanned found;
    scan_init(&scan, fs, file, index_file_floor(fs, path, base, feed->from, size), size);
    while (e == ERR_NONE && (e = scan_next(&scan, false, &found, text)) == ERR_NONE) {
        if (found.batch.base_offset >= end_offset) {
            break;
        }
        feed_batch(feed, &found.batch);
    }
    scan_free(&scan);
    env_file_unref(file);
    if (e == ERR_CORRUPT) {
        err_wrap(text, "%s", file_path);
    }
    mem_free(file_path);
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

static enum err restore_snapshot(struct producers *p, struct env_fs *fs, const char *path,
                                 int64_t offset, struct err_text *text)
{
    struct bytes content = {0};
    char *file_path = segment_path(path, offset, ".snapshot");
    enum err e = env_fs_slurp(fs, file_path, SNAPSHOT_LIMIT_BYTES, &content, text);
    if (e == ERR_NONE) {
        e = producers_restore(p, content.data, content.size, text);
    }
    bytes_free(&content);
    mem_free(file_path);
    return e;
}

enum err producers_rebuild(struct producers *p, struct env_fs *fs, const char *path,
                           int64_t snapshot, const int64_t *bases, size_t base_count,
                           int64_t start_offset, int64_t end_offset, struct err_text *text)
{
    struct feed feed = {.producers = p, .from = start_offset};
    enum err e = ERR_NONE;
    if (snapshot >= 0) {
        e = restore_snapshot(p, fs, path, snapshot, text);
        if (e == ERR_CORRUPT || e == ERR_UNSUPPORTED || e == ERR_NOT_FOUND) {
            producers_free(p);
            e = ERR_NONE; /* it saves reading, no more */
        } else {
            feed.from = snapshot;
        }
    }
    for (size_t i = 0; e == ERR_NONE && i < base_count; i++) {
        bool below = i + 1 < base_count && bases[i + 1] <= feed.from;
        if (!below && bases[i] < end_offset) {
            e = feed_segment(&feed, fs, path, bases[i], end_offset, text);
        }
    }
    return e;
}

static bool begins_segment(const struct load *load, int64_t offset)
{
    for (size_t i = load->segment_count; i > 0; i--) {
        if (load->segments[i - 1].base_offset <= offset) {
            return load->segments[i - 1].base_offset == offset;
        }
    }
    return false;
}

/* The newest snapshot that is whole and not above the end; those above are removed, and so are
 * older ones that belong to no segment (each clean stop makes one). A snapshot is written only once
 * all below it is synced, and removed before what it knows of is cut. */
static enum err load_producers(struct load *load, struct env_fs *fs, int64_t end_offset)
{
    enum err e = ERR_NONE;
    int64_t best = -1;
    for (size_t i = load->snapshot_count; e == ERR_NONE && i > 0; i--) {
        int64_t offset = load->snapshots[i - 1];
        if (offset <= end_offset && best < 0) {
            struct producers probe = {0};
            enum err probed = restore_snapshot(&probe, fs, load->path, offset, NULL);
            producers_free(&probe);
            best = probed == ERR_NONE ? offset : -1;
        } else if (offset > end_offset || !begins_segment(load, offset)) {
            char *path = segment_path(load->path, offset, ".snapshot");
            e = file_remove(fs, path, &load->task.text);
            mem_free(path);
        }
    }
    load->best_snapshot = best;
    if (e == ERR_NONE) {
        size_t count = load->segment_count;
        int64_t *bases = mem_array(count + 1, sizeof *bases);
        for (size_t i = 0; i < count; i++) {
            bases[i] = load->segments[i].base_offset;
        }
        e = producers_rebuild(&load->producers, fs, load->path, best, bases, count,
                              load->opened.start_offset, end_offset, &load->task.text);
        mem_free(bases);
    }
    return e;
}

/* ---- one segment --------------------------------------------------------------------------------
 */

static int64_t promised(const struct load *load)
{
    return load->recovery_point > load->high_watermark ? load->recovery_point
                                                       : load->high_watermark;
}

static enum err slurp_index(struct load *load, struct env_fs *fs, int64_t base, const char *suffix,
                            struct bytes *out)
{
    enum { INDEX_LIMIT_BYTES = 256 << 20 };
    char *path = segment_path(load->path, base, suffix);
    enum err e = env_fs_slurp(fs, path, INDEX_LIMIT_BYTES, out, &load->task.text);
    mem_free(path);
    return e;
}

/* Loads the index files of a segment of `size` bytes; ERR_CORRUPT or ERR_NOT_FOUND: to be made
 * anew. */
static enum err load_index(struct load *load, struct env_fs *fs, int64_t base, int64_t size,
                           struct segment_index *index)
{
    struct bytes offsets = {0};
    struct bytes times = {0};
    enum err e = slurp_index(load, fs, base, ".index", &offsets);
    if (e == ERR_NONE) {
        e = slurp_index(load, fs, base, ".timeindex", &times);
    }
    if (e == ERR_NONE) {
        e = index_decode(index, &offsets, &times, base, size, &load->task.text);
    }
    if (e == ERR_NONE && size > 0 && index->time_count == 0) {
        e = ERR_NOT_FOUND; /* a closed segment's has a last entry, unless its records have no times
                            */
    }
    bytes_free(&offsets);
    bytes_free(&times);
    return e == ERR_TOO_LARGE ? ERR_CORRUPT : e;
}

/* Facts of a segment whose index can be trusted: the tail behind the last entry is walked by
 * headers. */
static enum err trust_segment(struct load *load, struct env_fs *fs, struct env_file *file,
                              int64_t size, struct segment_facts *facts)
{
    int64_t base = facts->base_offset;
    struct scan scan;
    struct scanned found;
    struct index_offset last = {0};
    if (facts->index.offset_count > 0) {
        last = facts->index.offsets[facts->index.offset_count - 1];
    }
    *facts = (struct segment_facts){.base_offset = base,
                                    .end_offset = base,
                                    .size = size,
                                    .max_timestamp = -1,
                                    .max_timestamp_offset = base,
                                    .first_timestamp = -1,
                                    .index = facts->index};
    if (facts->index.time_count > 0) {
        const struct index_time *time = &facts->index.times[facts->index.time_count - 1];
        facts->max_timestamp = time->timestamp;
        facts->max_timestamp_offset = base + time->relative_offset;
    }
    scan_init(&scan, fs, file, 0, size);
    enum err e = scan_next(&scan, false, &found, &load->task.text);
    if (e == ERR_NONE) {
        facts->first_timestamp = found.batch.max_timestamp;
    }
    scan.at = last.position;
    while (e == ERR_NONE && (e = scan_next(&scan, false, &found, &load->task.text)) == ERR_NONE) {
        facts->end_offset = batch_next_offset(&found.batch);
        facts->unindexed_bytes = (int32_t)(scan.at - last.position);
        if (found.batch.max_timestamp > facts->max_timestamp) {
            facts->max_timestamp = found.batch.max_timestamp;
            facts->max_timestamp_offset = facts->end_offset - 1;
        }
        if (facts->index.offset_count > 0 && found.position == last.position &&
            facts->end_offset - 1 != base + last.relative_offset) {
            e = ERR_CORRUPT; /* the index is of another file */
        }
    }
    scan_free(&scan);
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

/* Only what a closed segment needs while it rests: its index goes back to the disk. */
static void rest(struct segment_facts *facts)
{
    index_free(&facts->index);
    facts->settled = true;
}

static enum err write_index(struct load *load, struct env_fs *fs, struct segment_facts *facts)
{
    index_add_time(&facts->index, facts->base_offset, facts->max_timestamp,
                   facts->max_timestamp_offset);
    enum err e = segment_write_indexes(fs, load->path, facts->base_offset, &facts->index, true,
                                       &load->task.text);
    return e == ERR_NONE ? env_fs_sync_dir(fs, load->path, &load->task.text) : e;
}

static void on_batch(void *ctx, const struct batch *batch)
{
    struct load *load = ctx;
    epochs_assign(&load->epochs, batch->partition_leader_epoch, batch->base_offset);
}

/* Reads all of it. *whole tells whether it was good to its end. The epochs of a segment that only
 * lacks its index (not `learn`) are known, with those that follow it. */
static enum err check_segment(struct load *load, struct env_fs *fs, struct env_file *file,
                              int64_t size, struct segment_facts *facts, bool learn, bool *whole)
{
    struct err_text why = {{0}};
    enum err e = segment_walk(fs, file, size, INT64_MAX, true, load->index_interval_bytes, facts,
                              learn ? on_batch : NULL, load, &why);
    load->opened.recovered_bytes += facts->size;
    *whole = e == ERR_NONE;
    if (e == ERR_CORRUPT) {
        if (facts->end_offset < promised(load)) {
            err_set(
                &load->task.text,
                "%s/%020lld.log is damaged at offset %lld, below offset %lld up to which it was "
                "known to be on disk; nothing was changed: %s",
                load->path, (long long)facts->base_offset, (long long)facts->end_offset,
                (long long)promised(load), why.text);
            return ERR_CORRUPT;
        }
        return ERR_NONE;
    }
    load->task.text = e == ERR_NONE ? load->task.text : why;
    return e;
}

/* ---- all of them --------------------------------------------------------------------------------
 */

static enum err remove_after(struct load *load, struct env_fs *fs, size_t keep)
{
    enum err e = ERR_NONE;
    for (size_t i = load->base_count; e == ERR_NONE && i > keep; i--) {
        for (int k = 0; e == ERR_NONE && segment_suffixes[k] != NULL; k++) {
            char *path = segment_path(load->path, load->bases[i - 1], segment_suffixes[k]);
            struct env_file *file = NULL;
            int64_t size = 0;
            if (strcmp(segment_suffixes[k], ".log") == 0 &&
                env_fs_open(fs, path, ENV_OPEN_READ, &file, NULL) == ERR_NONE &&
                env_fs_size(fs, file, &size, NULL) == ERR_NONE) {
                load->opened.cut_bytes += size;
            }
            env_file_unref(file);
            e = file_remove(fs, path, &load->task.text);
            mem_free(path);
        }
        if (e == ERR_NONE) {
            e = env_fs_sync_dir(fs, load->path, &load->task.text);
        }
    }
    load->base_count = keep;
    return e;
}

/* A segment that begins past the end of the one before it: with nothing promised in between, the
 * tail of that one was lost and what follows cannot stand. Compaction leaves such gaps by right,
 * but only below the recovery point on disk (cleaner.c), and a copy of a compacted log names its
 * segments so that none is between two (queue.c). */
static bool torn_between(const struct load *load, size_t i)
{
    if (i == 0 || load->segment_count == 0 || load->segments[i - 1].end_offset == load->bases[i]) {
        return false;
    }
    return !load->compacted || load->segments[i - 1].end_offset >= promised(load);
}

static enum err gap_is_corrupt(struct load *load, size_t i)
{
    int64_t end = load->segments[i - 1].end_offset;
    if (end >= promised(load)) {
        return ERR_NONE;
    }
    err_set(
        &load->task.text,
        "%s/%020lld.log ends at offset %lld, below offset %lld up to which the log was known to "
        "be on disk; nothing was changed",
        load->path, (long long)load->bases[i - 1], (long long)end, (long long)promised(load));
    return ERR_CORRUPT;
}

/* No crash makes two segments hold the same offsets; above the promise the upper is cut off. */
static enum err check_overlap(struct load *load, size_t i, bool trusted)
{
    int64_t end = i > 0 ? load->segments[i - 1].end_offset : load->bases[i];
    if (end <= load->bases[i] || (!trusted && end >= promised(load))) {
        return ERR_NONE;
    }
    err_set(&load->task.text, "%s/%020lld.log ends at offset %lld, past where %020lld.log begins",
            load->path, (long long)load->bases[i - 1], (long long)end, (long long)load->bases[i]);
    return ERR_CORRUPT;
}

static enum err load_one(struct load *load, struct env_fs *fs, size_t i, bool check, bool *whole)
{
    int64_t base = load->bases[i];
    bool last = i + 1 == load->base_count;
    struct segment_facts *facts =
        MEM_PUSH(load->segments, load->segment_count, load->segment_capacity);
    *facts = (struct segment_facts){.base_offset = base, .end_offset = base};
    char *path = segment_path(load->path, base, ".log");
    struct env_file *file = NULL;
    int64_t size = 0;
    *whole = true;
    enum err e = env_fs_open(fs, path, ENV_OPEN_WRITE, &file, &load->task.text);
    if (e == ERR_NONE) {
        e = env_fs_size(fs, file, &size, &load->task.text);
    }
    bool index_made = check;
    if (e == ERR_NONE && !check) {
        enum err loaded = load_index(load, fs, base, size, &facts->index);
        if (loaded == ERR_NONE) {
            loaded = trust_segment(load, fs, file, size, facts);
        }
        index_made = loaded != ERR_NONE;
        e = loaded == ERR_NOT_FOUND || loaded == ERR_CORRUPT ? ERR_NONE : loaded;
    }
    if (e == ERR_NONE && index_made) {
        e = check_segment(load, fs, file, size, facts, check, whole);
        if (e == ERR_NONE && !check && !*whole) {
            err_set(&load->task.text,
                    "%s is damaged at offset %lld although it was closed cleanly; "
                    "nothing was changed",
                    path, (long long)facts->end_offset);
            e = ERR_CORRUPT;
        }
    }
    if (e == ERR_NONE && !*whole) {
        load->opened.cut_bytes += size - facts->size;
        e = env_fs_truncate(fs, file, facts->size, &load->task.text);
    }
    if (e == ERR_NONE && check) {
        e = segment_sync(fs, file, &load->task.text);
    }
    if (e == ERR_NONE && check && (last || !*whole)) {
        e = segment_remove_indexes(fs, load->path, base, &load->task.text);
    }
    bool roomless = false; /* then the index stays in memory until there is room for it */
    if (e == ERR_NONE && index_made && !last && *whole) {
        e = write_index(load, fs, facts);
        roomless = e == ERR_NO_SPACE;
        e = roomless ? ERR_NONE : e;
    }
    if (e == ERR_NONE && !last && *whole && !roomless) {
        rest(facts);
    }
    env_file_unref(file);
    mem_free(path);
    return e;
}

static enum err load_epochs(struct load *load, struct env_fs *fs)
{
    struct bytes content = {0};
    char *path = path_join(load->path, "leader-epoch-checkpoint");
    enum err e = env_fs_slurp(fs, path, CHECKPOINT_LIMIT_BYTES, &content, &load->task.text);
    if (e == ERR_NONE) {
        e = epochs_parse(content.data, content.size, &load->epochs, &load->task.text);
        if (e != ERR_NONE) {
            err_wrap(&load->task.text, "%s is damaged", path);
        }
    }
    bytes_free(&content);
    mem_free(path);
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

/* After a crash: the first segment that the recovery point does not cover whole. One that ends at
 * the very point is not covered: it may have been the active one when the point was written. */
static size_t first_to_check(const struct load *load)
{
    size_t i = load->base_count;
    if (load->clean) {
        return i;
    }
    while (i > 0 && (i == load->base_count || load->bases[i] >= load->recovery_point)) {
        i--;
    }
    return i;
}

static enum err load_each(struct load *load, struct env_fs *fs, size_t check_from)
{
    enum err e = ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < load->base_count; i++) {
        bool whole = true;
        e = check_overlap(load, i, i <= check_from);
        if (e == ERR_NONE && i > check_from && torn_between(load, i)) {
            e = gap_is_corrupt(load, i);
            return e == ERR_NONE ? remove_after(load, fs, i) : e;
        }
        e = e == ERR_NONE ? load_one(load, fs, i, i >= check_from, &whole) : e;
        if (e == ERR_NONE && !whole && i + 1 < load->base_count) {
            e = remove_after(load, fs, i + 1);
        }
    }
    return e;
}

/* The last segment is the active one: its index stays in memory. */
static enum err wake_last(struct load *load, struct env_fs *fs)
{
    if (load->segment_count == 0) {
        return ERR_NONE;
    }
    struct segment_facts *last = &load->segments[load->segment_count - 1];
    if (!last->settled) {
        return ERR_NONE;
    }
    last->settled = false;
    return load_index(load, fs, last->base_offset, last->size, &last->index);
}

static enum err start_anew(struct load *load, struct env_fs *fs)
{
    /* Everything there is lies below the start (Kafka's rule): the log begins again at it. */
    enum err e = remove_after(load, fs, 0);
    load->opened.cut_bytes = 0;
    for (size_t i = 0; i < load->segment_count; i++) {
        index_free(&load->segments[i].index);
    }
    load->segment_count = 0;
    if (e == ERR_NONE) {
        struct env_file *file = NULL;
        char *path = segment_path(load->path, load->start_offset, ".log");
        e = env_fs_open(fs, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, &load->task.text);
        env_file_unref(file);
        mem_free(path);
    }
    if (e == ERR_NONE) {
        e = env_fs_sync_dir(fs, load->path, &load->task.text);
    }
    *MEM_PUSH(load->segments, load->segment_count, load->segment_capacity) =
        (struct segment_facts){.base_offset = load->start_offset,
                               .end_offset = load->start_offset,
                               .max_timestamp = -1,
                               .max_timestamp_offset = load->start_offset,
                               .first_timestamp = -1};
    return e;
}

/* What lies below the start may be gone by right. */
static enum err check_end(struct load *load)
{
    bool has_all = load->opened.end_offset >= promised(load);
    if (has_all || load->start_offset >= promised(load) || load->opened.created) {
        return ERR_NONE;
    }
    err_set(&load->task.text,
            "%s ends at offset %lld, below offset %lld up to which it was known to be on disk; "
            "nothing was acknowledged away: put its files back, or delete the partition",
            load->path, (long long)load->opened.end_offset, (long long)promised(load));
    return ERR_CORRUPT;
}

/* A snapshot is only as good as the batches that follow it: when the newest is older than the last
 * segment, what retention may remove before the next one is made would be missed. *lacking: there
 * was no room for it. */
static enum err renew_snapshot(struct load *load, struct env_fs *fs, bool *lacking)
{
    const struct segment_facts *last = &load->segments[load->segment_count - 1];
    if (load->clean || load->best_snapshot >= last->base_offset ||
        (load->snapshot_count == 0 && producers_count(&load->producers) == 0)) {
        return ERR_NONE;
    }
    struct bytes content = {0};
    char *path = segment_path(load->path, load->opened.end_offset, ".snapshot");
    producers_snapshot(&load->producers, &content);
    enum err e = file_write(fs, path, content.data, content.size, &load->task.text);
    if (e == ERR_NONE) {
        e = env_fs_sync_dir(fs, load->path, &load->task.text);
    }
    mem_free(path);
    bytes_free(&content);
    *lacking = e == ERR_NO_SPACE;
    return *lacking ? ERR_NONE : e;
}

/* Segments wholly below the start: a deletion that a crash cut short. Their producers are known by
 * now. */
static enum err drop_below_start(struct load *load, struct env_fs *fs)
{
    bool lacking = false;
    size_t drop = 0;
    if (load->segment_count == 0) {
        return ERR_NONE;
    }
    enum err e = renew_snapshot(load, fs, &lacking);
    while (!lacking && drop + 1 < load->segment_count &&
           load->segments[drop + 1].base_offset <= load->start_offset) {
        drop++;
    }
    for (size_t i = 0; e == ERR_NONE && i < drop; i++) {
        e = load_remove_segment(load, fs, load->segments[i].base_offset);
        index_free(&load->segments[i].index);
    }
    load->segment_count -= drop;
    memmove(load->segments, load->segments + drop, load->segment_count * sizeof *load->segments);
    return e;
}

enum err load_segments(struct load *load, struct env_fs *fs)
{
    size_t check_from = first_to_check(load);
    enum err e = load_epochs(load, fs);
    struct bytes as_read = {0};
    epochs_format(&load->epochs, &as_read);
    if (e == ERR_NONE && check_from < load->base_count) {
        (void)epochs_truncate_end(&load->epochs, load->bases[check_from]);
    }
    if (e == ERR_NONE) {
        e = load_each(load, fs, check_from);
    }
    if (e == ERR_NONE) {
        e = wake_last(load, fs);
    }
    size_t count = load->segment_count;
    load->opened.end_offset = count == 0 ? 0 : load->segments[count - 1].end_offset;
    if (e == ERR_NONE) {
        e = check_end(load);
    }
    if (e == ERR_NONE && load->start_offset > load->opened.end_offset) {
        e = start_anew(load, fs);
        load->opened.end_offset = load->start_offset;
    }
    load->opened.start_offset = load->start_offset;
    if (load->segment_count > 0 && load->segments[0].base_offset > load->start_offset) {
        load->opened.start_offset = load->segments[0].base_offset;
    }
    if (e == ERR_NONE) {
        (void)epochs_truncate_end(&load->epochs, load->opened.end_offset);
        (void)epochs_truncate_start(&load->epochs, load->opened.start_offset);
        struct bytes now = {0};
        epochs_format(&load->epochs, &now);
        load->epochs_kept =
            now.size == as_read.size && memcmp(now.data, as_read.data, now.size) == 0;
        bytes_free(&now);
        e = load_producers(load, fs, load->opened.end_offset);
    }
    bytes_free(&as_read);
    if (e == ERR_NONE) {
        e = drop_below_start(load, fs);
    }
    if (e == ERR_NONE && !load->clean && !load->opened.created) {
        e = env_fs_sync_dir(fs, load->path, &load->task.text);
    }
    return e;
}
