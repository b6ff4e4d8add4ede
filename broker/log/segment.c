/* One segment: what the core knows of it, and walking its file. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

const char *const segment_suffixes[] = {".index",    ".timeindex", ".txnindex",
                                        ".snapshot", ".log",       NULL};

struct segment *segment_new(int64_t base_offset, int64_t created_ms)
{
    ASSERT(base_offset >= 0);
    struct segment *segment = mem_zalloc(sizeof *segment);
    segment->base_offset = base_offset;
    segment->end_offset = base_offset;
    segment->max_timestamp = -1;
    segment->max_timestamp_offset = base_offset;
    segment->first_timestamp = -1;
    segment->created_ms = created_ms;
    list_init(&segment->lru);
    return segment;
}

struct segment *segment_of_facts(struct segment_facts *facts, int64_t now_ms)
{
    ASSERT(facts->end_offset >= facts->base_offset);
    struct segment *segment = segment_new(facts->base_offset, now_ms);
    segment->end_offset = facts->end_offset;
    segment->size = facts->size;
    segment->max_timestamp = facts->max_timestamp;
    segment->max_timestamp_offset = facts->max_timestamp_offset;
    segment->first_timestamp = facts->first_timestamp;
    segment->unindexed_bytes = facts->unindexed_bytes;
    segment->settled = facts->settled;
    segment->sealed = facts->settled;
    segment->index = facts->index;
    segment->exists = true;
    facts->index = (struct segment_index){0};
    return segment;
}

void segment_free(struct segment *segment)
{
    log_drop_file(segment);
    index_free(&segment->index);
    bytes_free(&segment->snapshot);
    mem_free(segment);
}

/* ---- placing ------------------------------------------------------------------------------------
 */

void segment_facts_place(struct segment_facts *f, const struct batch *batch,
                         int32_t index_interval_bytes)
{
    int64_t last_offset = batch_last_offset(batch);
    ASSERT(batch->base_offset >= f->base_offset && last_offset >= f->end_offset);
    if (batch->max_timestamp > f->max_timestamp) {
        f->max_timestamp = batch->max_timestamp;
        f->max_timestamp_offset = last_offset;
    }
    if (f->size == 0) {
        f->first_timestamp = batch->max_timestamp;
    }
    if (f->unindexed_bytes > index_interval_bytes) {
        index_add_offset(&f->index, f->base_offset, last_offset, (int32_t)f->size);
        index_add_time(&f->index, f->base_offset, f->max_timestamp, f->max_timestamp_offset);
        f->unindexed_bytes = 0;
    }
    f->unindexed_bytes += (int32_t)batch->size;
    f->size += (int64_t)batch->size;
    f->end_offset = last_offset + 1;
}

void segment_place(struct segment *segment, const struct batch *batch, int32_t index_interval_bytes)
{
    ASSERT(!segment->sealed);
    struct segment_facts f = {.base_offset = segment->base_offset,
                              .end_offset = segment->end_offset,
                              .size = segment->size,
                              .max_timestamp = segment->max_timestamp,
                              .max_timestamp_offset = segment->max_timestamp_offset,
                              .first_timestamp = segment->first_timestamp,
                              .unindexed_bytes = segment->unindexed_bytes,
                              .index = segment->index};
    segment_facts_place(&f, batch, index_interval_bytes);
    segment->end_offset = f.end_offset;
    segment->size = f.size;
    segment->max_timestamp = f.max_timestamp;
    segment->max_timestamp_offset = f.max_timestamp_offset;
    segment->first_timestamp = f.first_timestamp;
    segment->unindexed_bytes = f.unindexed_bytes;
    segment->index = f.index;
}

void segment_seal_times(struct segment *segment)
{
    index_add_time(&segment->index, segment->base_offset, segment->max_timestamp,
                   segment->max_timestamp_offset);
}

/* ---- files, inside jobs -------------------------------------------------------------------------
 */

enum err segment_walk(struct env_fs *fs, struct env_file *file, int64_t size, int64_t end_offset,
                      bool check_crc, int32_t index_interval_bytes, struct segment_facts *facts,
                      void (*each)(void *ctx, const struct batch *batch), void *ctx,
                      struct err_text *text)
{
    int64_t base_offset = facts->base_offset;
    index_free(&facts->index);
    *facts = (struct segment_facts){.base_offset = base_offset,
                                    .end_offset = base_offset,
                                    .max_timestamp = -1,
                                    .max_timestamp_offset = base_offset,
                                    .first_timestamp = -1};
    struct scan scan;
    struct scanned found;
    scan_init(&scan, fs, file, 0, size);
    enum err e = ERR_NONE;
    while ((e = scan_next(&scan, check_crc, &found, text)) == ERR_NONE) {
        int64_t last_offset = batch_last_offset(&found.batch);
        if (found.batch.base_offset < facts->end_offset || last_offset - base_offset > INT32_MAX) {
            err_set(text, "offset %lld at position %lld does not follow %lld",
                    (long long)found.batch.base_offset, (long long)found.position,
                    (long long)facts->end_offset);
            e = ERR_CORRUPT;
            break;
        }
        if (last_offset >= end_offset) {
            e = ERR_NOT_FOUND;
            break;
        }
        segment_facts_place(facts, &found.batch, index_interval_bytes);
        if (each != NULL) {
            each(ctx, &found.batch);
        }
    }
    scan_free(&scan);
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

enum err file_write(struct env_fs *fs, const char *path, const void *data, size_t size,
                    struct err_text *text)
{
    return file_put(fs, path, data, size, true, text);
}

enum err file_put(struct env_fs *fs, const char *path, const void *data, size_t size, bool sync,
                  struct err_text *text)
{
    struct env_file *file = NULL;
    struct env_iov iov = {.data = data, .size = size};
    enum err e =
        env_fs_open(fs, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file, text);
    if (e == ERR_NONE && size > 0) {
        e = env_fs_write(fs, file, &iov, 1, 0, text);
    }
    if (e == ERR_NONE && sync) {
        e = env_fs_sync_data(fs, file, text);
    }
    env_file_unref(file);
    return e;
}

enum err segment_sync(struct env_fs *fs, struct env_file *file, struct err_text *text)
{
    enum err e = env_fs_sync_data(fs, file, text);
    return e == ERR_NO_SPACE ? ERR_IO : e;
}

enum err sync_all(struct env_fs *fs, struct env_file *file, struct err_text *text)
{
    enum err e = env_fs_sync_all(fs, file, text);
    return e == ERR_NO_SPACE ? ERR_IO : e;
}

enum err file_remove(struct env_fs *fs, const char *path, struct err_text *text)
{
    enum err e = env_fs_unlink(fs, path, text);
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

enum err segment_remove_indexes(struct env_fs *fs, const char *dir_path, int64_t base_offset,
                                struct err_text *text)
{
    static const char *const suffixes[] = {".index", ".timeindex"};
    enum err e = ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < 2; i++) {
        char *path = segment_path(dir_path, base_offset, suffixes[i]);
        e = file_remove(fs, path, text);
        mem_free(path);
    }
    return e;
}

enum err segment_write_indexes(struct env_fs *fs, const char *dir_path, int64_t base_offset,
                               const struct segment_index *index, bool sync, struct err_text *text)
{
    struct bytes offsets = {0};
    struct bytes times = {0};
    index_encode(index, &offsets, &times);
    char *offset_path = segment_path(dir_path, base_offset, ".index");
    char *time_path = segment_path(dir_path, base_offset, ".timeindex");
    enum err e = file_put(fs, offset_path, offsets.data, offsets.size, sync, text);
    if (e == ERR_NONE) {
        e = file_put(fs, time_path, times.data, times.size, sync, text);
    }
    mem_free(offset_path);
    mem_free(time_path);
    bytes_free(&offsets);
    bytes_free(&times);
    return e;
}
