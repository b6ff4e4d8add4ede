/* Compaction of one log (Kafka's LogCleaner), the part that reads and writes.
 *
 * Happy path: MAP reads the dirty part and notes the latest offset of every key; COPY reads the
 * segments from the first on, in groups that fit one segment, and writes what is still needed into
 * N.log.cleaned; SEAL syncs it with its indexes; SWAP puts it in the place of the group; then the
 * next group, until the map's end.
 *
 * What stays: records at or past the map's end; of each key the latest; a tombstone until its
 * batch's delete horizon, which the first compaction that keeps it sets (KIP-534); the header of
 * the batch a producer wrote last, with or without records; control and transactional batches as
 * they are. Offsets never change.
 *
 * Crash safety: the point of no return is the synced rename to N.log.swap. Before it the files are
 * removed at the next opening, after it that opening finishes the swap (load.c). A full map only
 * ends the dirty part early. No room: what was begun is removed. */
#include "broker/log/clean.h"

#include <string.h>

#include "common/base/assert.h"

enum { WALK_LIMIT_BYTES = 256 << 20, WRITE_BYTES = 1 << 20, GROUP_BYTES_MAX = 1900 << 20 };

void clean_free(struct clean *c)
{
    if (c == NULL) {
        return;
    }
    mem_free(c->path);
    mem_free(c->sources);
    mem_free(c->producers);
    keymap_free(&c->map);
    env_file_unref(c->from);
    env_file_unref(c->to);
    bytes_free(&c->pending);
    index_free(&c->facts.index);
    mem_free(c);
}

static enum err open_source(struct clean *c, struct env_fs *fs, struct err_text *text)
{
    char *path = segment_path(c->path, c->sources[c->at].base_offset, ".log");
    enum err e = env_fs_open(fs, path, ENV_OPEN_READ, &c->from, text);
    mem_free(path);
    return e;
}

static void close_source(struct clean *c)
{
    env_file_unref(c->from);
    c->from = NULL;
    c->position = 0;
    c->at++;
}

static bool plain(const struct batch *batch)
{
    return (batch->attributes & (BATCH_CONTROL | BATCH_TRANSACTIONAL)) == 0;
}

/* Each batch of the present source from c->position on, until the budget is used or `each` says
 * that it is enough; *ended tells that the source is through. */
static enum err read_batches(struct clean *c, struct env_fs *fs, int64_t budget_bytes,
                             enum err (*each)(struct clean *c, struct env_fs *fs,
                                              const struct scanned *found, struct err_text *text),
                             bool *ended, struct err_text *text)
{
    struct scan scan;
    struct scanned found;
    const struct clean_source *source = &c->sources[c->at];
    enum err e = ERR_NONE;
    *ended = false;
    scan_init(&scan, fs, c->from, c->position, source->size);
    while (e == ERR_NONE && c->step_bytes < budget_bytes) {
        e = scan_next(&scan, true, &found, text);
        if (e == ERR_NOT_FOUND) {
            *ended = true;
            break;
        }
        if (e == ERR_NONE) {
            e = each(c, fs, &found, text);
        }
        if (e == ERR_NONE) {
            c->position = scan.at;
            c->step_bytes += (int64_t)found.batch.size;
            c->read_bytes += (int64_t)found.batch.size;
        }
    }
    scan_free(&scan);
    if (e == ERR_CORRUPT) {
        err_wrap(text, "%s/%020lld.log is damaged", c->path, (long long)source->base_offset);
    }
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

/* ---- the map ------------------------------------------------------------------------------------
 */

/* ERR_BUSY: it is full. */
static enum err map_batch(struct clean *c, struct env_fs *fs, const struct scanned *found,
                          struct err_text *text)
{
    (void)fs;
    struct record_walk walk;
    struct record record;
    if (!plain(&found->batch) || batch_last_offset(&found->batch) < c->dirty_offset) {
        return ERR_NONE;
    }
    enum err e = record_walk_init(&walk, found->bytes, found->batch.size, WALK_LIMIT_BYTES, text);
    if (e != ERR_NONE) {
        return e;
    }
    while (e == ERR_NONE && record_walk_next(&walk, &record)) {
        if (record.key.size >= 0 &&
            !keymap_put(&c->map, record.key.data, (size_t)record.key.size, record.offset)) {
            c->map_end = found->batch.base_offset;
            e = ERR_BUSY;
        }
    }
    if (walk.in.error != ERR_NONE) {
        err_set(text, "records of the batch at offset %lld are malformed",
                (long long)found->batch.base_offset);
        e = ERR_CORRUPT;
    }
    record_walk_free(&walk);
    return e;
}

static void begin_copy(struct clean *c)
{
    env_file_unref(c->from);
    c->from = NULL;
    c->position = 0;
    c->at = 0;
    c->group = 0;
    c->group_end = 0;
    c->phase = CLEAN_COPY;
}

static enum err map_step(struct clean *c, struct env_fs *fs, int64_t budget_bytes,
                         struct err_text *text)
{
    while (c->at < c->source_count && c->step_bytes < budget_bytes) {
        const struct clean_source *source = &c->sources[c->at];
        bool ended = source->end_offset <= c->dirty_offset;
        enum err e = ERR_NONE;
        if (!ended && c->from == NULL) {
            e = open_source(c, fs, text);
        }
        if (e == ERR_NONE && !ended) {
            e = read_batches(c, fs, budget_bytes, map_batch, &ended, text);
        }
        if (e == ERR_BUSY) {
            begin_copy(c);
            return ERR_NONE;
        }
        if (e != ERR_NONE) {
            return e;
        }
        if (ended) {
            c->map_end = source->end_offset;
            close_source(c);
        }
    }
    if (c->at == c->source_count) {
        begin_copy(c);
    }
    return ERR_NONE;
}

/* ---- copying ------------------------------------------------------------------------------------
 */

struct judged {
    const struct clean *clean;
    const struct batch *batch;
    int32_t kept;
    int32_t seen;
    bool tombstones;
};

static bool keep_record(void *ctx, const struct record *record)
{
    struct judged *j = ctx;
    const struct clean *c = j->clean;
    bool keep = record->offset >= c->map_end;
    if (!keep && record->key.size >= 0) {
        bool horizon = (j->batch->attributes & BATCH_DELETE_HORIZON) != 0;
        keep = keymap_get(&c->map, record->key.data, (size_t)record->key.size) <= record->offset;
        if (record->value.size < 0 && horizon && c->now_ms >= j->batch->base_timestamp) {
            keep = false;
        }
    }
    j->seen++;
    j->kept += keep;
    j->tombstones = j->tombstones || (keep && record->value.size < 0);
    return keep;
}

static enum err judge(struct judged *j, const uint8_t *data, struct err_text *text)
{
    struct record_walk walk;
    struct record record;
    enum err e = record_walk_init(&walk, data, j->batch->size, WALK_LIMIT_BYTES, text);
    if (e != ERR_NONE) {
        return e;
    }
    while (record_walk_next(&walk, &record)) {
        (void)keep_record(j, &record);
    }
    if (walk.in.error != ERR_NONE) {
        err_set(text, "records of the batch at offset %lld are malformed",
                (long long)j->batch->base_offset);
        e = ERR_CORRUPT;
    }
    record_walk_free(&walk);
    return e;
}

static bool last_of_producer(const struct clean *c, const struct batch *batch)
{
    size_t low = 0;
    size_t high = c->producer_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->producers[mid].id < batch->producer_id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return batch->producer_id >= 0 && low < c->producer_count &&
           c->producers[low].id == batch->producer_id &&
           c->producers[low].last_offset == batch_last_offset(batch);
}

static enum err write_pending(struct clean *c, struct env_fs *fs, struct err_text *text)
{
    struct env_iov iov = {.data = c->pending.data, .size = c->pending.size};
    enum err e = ERR_NONE;
    if (c->pending.size > 0) {
        e = env_fs_write(fs, c->to, &iov, 1, c->to_size, text);
    }
    if (e == ERR_NONE) {
        c->to_size += (int64_t)c->pending.size;
        c->written_bytes += (int64_t)c->pending.size;
        c->step_bytes += (int64_t)c->pending.size;
        c->pending.size = 0;
    }
    return e;
}

/* Accounts for the batch that was put at the end of what is pending. */
static void place_written(struct clean *c, size_t start)
{
    struct batch batch;
    enum err parsed = batch_parse(c->pending.data + start, c->pending.size - start, &batch, NULL);
    ASSERT(parsed == ERR_NONE && start + batch.size == c->pending.size);
    segment_facts_place(&c->facts, &batch, c->index_interval_bytes);
}

static enum err copy_batch(struct clean *c, struct env_fs *fs, const struct scanned *found,
                           struct err_text *text)
{
    struct judged j = {.clean = c, .batch = &found->batch};
    size_t start = c->pending.size;
    enum err e = plain(&found->batch) ? judge(&j, found->bytes, text) : ERR_NONE;
    if (e != ERR_NONE) {
        return e;
    }
    c->kept_records += j.kept;
    c->dropped_records += j.seen - j.kept;
    bool set_horizon = j.tombstones && batch_next_offset(&found->batch) <= c->map_end &&
                       (found->batch.attributes & BATCH_DELETE_HORIZON) == 0;
    if (j.kept == 0 && plain(&found->batch) && !last_of_producer(c, &found->batch)) {
        return ERR_NONE;
    }
    if (j.kept == j.seen && !set_horizon) {
        bytes_append(&c->pending, found->bytes, found->batch.size);
    } else {
        int64_t horizon = set_horizon ? c->now_ms + c->delete_retention_ms
                          : (found->batch.attributes & BATCH_DELETE_HORIZON)
                              ? found->batch.base_timestamp
                              : -1;
        e = batch_rebuild(found->bytes, &found->batch, keep_record, &j, horizon, &c->pending, text);
    }
    if (e == ERR_NONE) {
        place_written(c, start);
    }
    return e == ERR_NONE && c->pending.size >= WRITE_BYTES ? write_pending(c, fs, text) : e;
}

/* As many segments as fit one: at least one, all that begin below the map's end. */
static bool begin_group(struct clean *c)
{
    int64_t most = c->segment_bytes < GROUP_BYTES_MAX ? c->segment_bytes : GROUP_BYTES_MAX;
    int64_t size = 0;
    int64_t entries_most = c->segment_index_bytes / 12 - 1;
    c->group = c->group_end;
    while (c->group_end < c->source_count && c->sources[c->group_end].base_offset < c->map_end) {
        const struct clean_source *source = &c->sources[c->group_end];
        size += source->size;
        bool fits = size <= most &&
                    source->end_offset - c->sources[c->group].base_offset <= INT32_MAX &&
                    size / (c->index_interval_bytes + 1) < entries_most;
        if (c->group_end > c->group && !fits) {
            break;
        }
        c->group_end++;
    }
    c->at = c->group;
    return c->group_end > c->group;
}

static char *cleaned_path(const struct clean *c, const char *suffix)
{
    return segment_path(c->path, c->sources[c->group].base_offset, suffix);
}

static enum err copy_step(struct clean *c, struct env_fs *fs, int64_t budget_bytes,
                          struct err_text *text)
{
    enum err e = ERR_NONE;
    if (c->to == NULL) {
        if (!begin_group(c)) {
            c->phase = CLEAN_DONE;
            return ERR_NONE;
        }
        char *path = cleaned_path(c, ".log.cleaned");
        e = env_fs_open(fs, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &c->to,
                        text);
        mem_free(path);
        int64_t base = c->sources[c->group].base_offset;
        index_free(&c->facts.index);
        c->facts = (struct segment_facts){.base_offset = base,
                                          .end_offset = base,
                                          .max_timestamp = -1,
                                          .max_timestamp_offset = base,
                                          .first_timestamp = -1};
        c->to_size = 0;
    }
    while (e == ERR_NONE && c->at < c->group_end && c->step_bytes < budget_bytes) {
        bool ended = false;
        e = c->from == NULL ? open_source(c, fs, text) : ERR_NONE;
        if (e == ERR_NONE) {
            e = read_batches(c, fs, budget_bytes, copy_batch, &ended, text);
        }
        if (e == ERR_NONE && ended) {
            close_source(c);
        }
    }
    if (e == ERR_NONE && c->at == c->group_end) {
        c->phase = CLEAN_SEAL;
    }
    return e;
}

/* ---- replacing ----------------------------------------------------------------------------------
 */

static enum err write_index(struct clean *c, struct env_fs *fs, const struct bytes *content,
                            const char *suffix, struct err_text *text)
{
    char *path = cleaned_path(c, suffix);
    enum err e = file_write(fs, path, content->data, content->size, text);
    mem_free(path);
    return e;
}

static enum err seal_step(struct clean *c, struct env_fs *fs, struct err_text *text)
{
    struct bytes offsets = {0};
    struct bytes times = {0};
    index_add_time(&c->facts.index, c->facts.base_offset, c->facts.max_timestamp,
                   c->facts.max_timestamp_offset);
    index_encode(&c->facts.index, &offsets, &times);
    enum err e = write_pending(c, fs, text);
    ASSERT(e != ERR_NONE || c->to_size == c->facts.size);
    if (e == ERR_NONE) {
        e = segment_sync(fs, c->to, text);
    }
    if (e == ERR_NONE) {
        e = write_index(c, fs, &offsets, ".index.cleaned", text);
    }
    if (e == ERR_NONE) {
        e = write_index(c, fs, &times, ".timeindex.cleaned", text);
    }
    if (e == ERR_NONE) {
        e = env_fs_sync_dir(fs, c->path, text);
    }
    bytes_free(&offsets);
    bytes_free(&times);
    index_free(&c->facts.index);
    c->phase = CLEAN_SWAP;
    return e;
}

static const char *const swapped[] = {".index", ".timeindex", ".log"};

/* N.index FROM -> N.index TO and so on, the .log last. */
static enum err rename_all(struct clean *c, struct env_fs *fs, int64_t base_offset,
                           const char *from_end, const char *to_end, struct err_text *text)
{
    enum err e = ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < sizeof swapped / sizeof swapped[0]; i++) {
        char *plain_path = segment_path(c->path, base_offset, swapped[i]);
        struct bytes from = {0};
        struct bytes to = {0};
        bytes_printf(&from, "%s%s", plain_path, from_end);
        bytes_printf(&to, "%s%s", plain_path, to_end);
        e = env_fs_rename(fs, (const char *)from.data, (const char *)to.data, text);
        if (e == ERR_NOT_FOUND && (i < 2 || c->again)) {
            e = ERR_NONE; /* indexes are made anew where they are missed */
        }
        bytes_free(&from);
        bytes_free(&to);
        mem_free(plain_path);
    }
    return e;
}

static enum err swap_step(struct clean *c, struct env_fs *fs, struct err_text *text)
{
    int64_t base = c->sources[c->group].base_offset;
    enum err e = rename_all(c, fs, base, ".cleaned", ".swap", text);
    if (e == ERR_NONE) {
        e = env_fs_sync_dir(fs, c->path, text);
    }
    for (size_t i = c->group + 1; e == ERR_NONE && i < c->group_end; i++) {
        e = rename_all(c, fs, c->sources[i].base_offset, "", ".deleted", text);
    }
    if (e == ERR_NONE) {
        e = rename_all(c, fs, base, ".swap", "", text);
    }
    if (e == ERR_NONE) {
        e = env_fs_sync_dir(fs, c->path, text);
    }
    c->again = e == ERR_NO_SPACE;
    if (e != ERR_NONE) {
        return e;
    }
    env_file_unref(c->to);
    c->to = NULL;
    c->phase = CLEAN_COPY;
    return e;
}

/* Gives back the room of what was begun. */
static void remove_cleaned(struct clean *c, struct env_fs *fs)
{
    for (size_t i = 0; c->group < c->source_count && i < sizeof swapped / sizeof swapped[0]; i++) {
        struct bytes path = {0};
        char *plain_path = cleaned_path(c, swapped[i]);
        bytes_printf(&path, "%s.cleaned", plain_path);
        (void)file_remove(fs, (const char *)path.data, NULL);
        bytes_free(&path);
        mem_free(plain_path);
    }
}

enum err clean_step(struct clean *c, struct env_fs *fs, int64_t budget_bytes, struct err_text *text)
{
    ASSERT(c->phase != CLEAN_DONE && budget_bytes > 0);
    enum clean_phase phase = c->phase;
    enum err e = ERR_NONE;
    c->step_bytes = 0;
    switch (phase) {
    case CLEAN_MAP:
        e = map_step(c, fs, budget_bytes, text);
        break;
    case CLEAN_COPY:
        e = copy_step(c, fs, budget_bytes, text);
        break;
    case CLEAN_SEAL:
        e = seal_step(c, fs, text);
        break;
    case CLEAN_SWAP:
    case CLEAN_DONE:
        e = swap_step(c, fs, text);
        break;
    }
    if (e != ERR_NONE && phase != CLEAN_SWAP) {
        remove_cleaned(c, fs);
    }
    return e;
}
