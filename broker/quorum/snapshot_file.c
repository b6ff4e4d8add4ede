/* A snapshot's file: OFFSET-EPOCH.checkpoint beside the metadata log, Kafka's own (KIP-630,
 * RecordsSnapshotWriter): record batches whose offsets count from 0, the first of them a control
 * batch with a SnapshotHeader, the last one with a SnapshotFooter. OFFSET is one past the last
 * record it stands for, EPOCH that record's leader epoch. While it is being made its name ends with
 * ".part"; a name without that is a whole file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/quorum/snapshot.h"
#include "common/wire/batch.h"

enum { HEADER_READ_BYTES = 1024 };

static const char suffix[] = ".checkpoint";
static const char part_suffix[] = ".part";

void snapshot_path(const struct quorum *quorum, struct quorum_snapshot_id id, bool part,
                   struct snapshot_path *out)
{
    int size = snprintf(out->path, sizeof out->path, "%s/%s-0/%020" PRId64 "-%010" PRId32 "%s%s",
                        log_dir_path(quorum->dir), QUORUM_TOPIC, id.end_offset, id.epoch, suffix,
                        part ? part_suffix : "");
    ASSERT(size > 0 && (size_t)size < sizeof out->path);
}

void snapshot_dir(const struct quorum *quorum, struct snapshot_path *out)
{
    int size =
        snprintf(out->path, sizeof out->path, "%s/%s-0", log_dir_path(quorum->dir), QUORUM_TOPIC);
    ASSERT(size > 0 && (size_t)size < sizeof out->path);
}

static bool digits(const char *at, size_t count, int64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        int digit = at[i] - '0';
        if (digit < 0 || digit > 9 || *value > (INT64_MAX - digit) / 10) {
            return false;
        }
        *value = *value * 10 + digit;
    }
    return true;
}

bool snapshot_name_parse(const char *name, struct quorum_snapshot_id *id, bool *part)
{
    size_t length = strlen(name);
    size_t whole = 20 + 1 + 10 + sizeof suffix - 1;
    int64_t offset = 0;
    int64_t epoch = 0;
    *part = length > sizeof part_suffix - 1 &&
            strcmp(name + length - (sizeof part_suffix - 1), part_suffix) == 0;
    if (*part) {
        length -= sizeof part_suffix - 1;
    }
    if (length != whole || memcmp(name + 31, suffix, sizeof suffix - 1) != 0 || name[20] != '-' ||
        !digits(name, 20, &offset) || !digits(name + 21, 10, &epoch) || epoch > INT32_MAX) {
        return false;
    }
    *id = (struct quorum_snapshot_id){offset, (int32_t)epoch};
    return true;
}

/* ---- reading ---- */

/* The type of a control batch's first record; -1 when it is none. */
static int16_t control_type(const uint8_t *data, const struct batch *batch, struct record *record,
                            struct record_walk *walk)
{
    if ((batch->attributes & BATCH_CONTROL) == 0 ||
        record_walk_init(walk, data, batch->size, batch->size, NULL) != ERR_NONE) {
        return -1;
    }
    if (!record_walk_next(walk, record)) {
        record_walk_free(walk);
        return -1;
    }
    return record_control_type(record->key);
}

static bool is_control(const uint8_t *data, const struct batch *batch, int16_t type)
{
    struct record_walk walk;
    struct record record;
    int16_t found = control_type(data, batch, &record, &walk);
    if (found >= 0) {
        record_walk_free(&walk);
    }
    return found == type;
}

/* How many bytes of whole, sound batches `buf` begins with; of them the last one's header. */
static enum err walk_batches(const struct buf *buf, int64_t at, size_t *whole, struct batch *last,
                             size_t *last_at, struct err_text *text)
{
    *whole = 0;
    while (*whole < buf->size) {
        struct batch batch;
        const uint8_t *data = buf->data + *whole;
        enum err e = batch_parse(data, buf->size - *whole, &batch, text);
        if (e == ERR_TRUNCATED) {
            return ERR_NONE;
        }
        if (e == ERR_NONE && !batch_crc_ok(data, &batch)) {
            err_set(text, "its CRC does not fit");
            e = ERR_CORRUPT;
        }
        if (e != ERR_NONE) {
            err_wrap(text, "the batch at byte %" PRId64, at + (int64_t)*whole);
            return e;
        }
        *last = batch;
        *last_at = *whole;
        *whole += batch.size;
    }
    return ERR_NONE;
}

static enum err read_bytes(struct env_fs *fs, struct env_file *file, int64_t at, size_t size,
                           struct buf **out, struct err_text *text)
{
    struct buf *buf = buf_new(size);
    size_t got = 0;
    enum err e = env_fs_read(fs, file, buf->data, size, at, &got, text);
    if (e == ERR_NONE && got < size) {
        err_set(text, "it ends at byte %" PRId64, at + (int64_t)got);
        e = ERR_CORRUPT;
    }
    buf->size = got;
    if (e != ERR_NONE) {
        buf_unref(buf);
        buf = NULL;
    }
    *out = buf;
    return e;
}

/* Of the batch that begins at `at` and is larger than what was read of it. */
static enum err first_size(const struct buf *buf, int64_t left, size_t *size, struct err_text *text)
{
    struct batch batch;
    enum err e = batch_parse_header(buf->data, buf->size, &batch, text);
    if (e == ERR_NONE && (batch.size > left || batch.size > QUORUM_SNAPSHOT_BATCH_BYTES_MAX)) {
        err_set(text, "a batch of %" PRIu32 " bytes", batch.size);
        e = ERR_CORRUPT;
    }
    if (e == ERR_TRUNCATED) {
        e = ERR_CORRUPT;
    }
    *size = batch.size;
    return e;
}

enum err snapshot_read(struct env_fs *fs, struct env_file *file, int64_t size_bytes, int64_t at,
                       size_t chunk_bytes, struct buf **out, struct err_text *text)
{
    ASSERT(at >= 0 && at < size_bytes && chunk_bytes >= BATCH_HEADER_BYTES);
    int64_t left = size_bytes - at;
    size_t want = left < (int64_t)chunk_bytes ? (size_t)left : chunk_bytes;
    struct buf *buf = NULL;
    struct batch last = {0};
    size_t whole = 0;
    size_t last_at = 0;
    *out = NULL;
    enum err e = read_bytes(fs, file, at, want, &buf, text);
    if (e == ERR_NONE) {
        e = walk_batches(buf, at, &whole, &last, &last_at, text);
    }
    if (e == ERR_NONE && whole == 0) {
        e = first_size(buf, left, &want, text);
        buf_unref(buf);
        buf = NULL;
        if (e == ERR_NONE) {
            e = read_bytes(fs, file, at, want, &buf, text);
        }
        if (e == ERR_NONE) {
            e = walk_batches(buf, at, &whole, &last, &last_at, text);
        }
    }
    struct batch first;
    if (e == ERR_NONE && at == 0 &&
        (batch_parse(buf->data, buf->size, &first, text) != ERR_NONE ||
         !is_control(buf->data, &first, CONTROL_SNAPSHOT_HEADER))) {
        err_set(text, "it does not begin with a snapshot's header");
        e = ERR_CORRUPT;
    }
    if (e == ERR_NONE && at + (int64_t)whole == size_bytes &&
        !is_control(buf->data + last_at, &last, CONTROL_SNAPSHOT_FOOTER)) {
        err_set(text, "it does not end with a snapshot's footer");
        e = ERR_CORRUPT;
    }
    if (e != ERR_NONE) {
        buf_unref(buf);
        return e;
    }
    ASSERT(whole > 0 && whole <= buf->size);
    buf->size = whole;
    *out = buf;
    return ERR_NONE;
}

enum err snapshot_check(struct env_fs *fs, struct env_file *file, int64_t size_bytes,
                        struct err_text *text)
{
    int64_t at = 0;
    enum err e = ERR_NONE;
    while (e == ERR_NONE && at < size_bytes) {
        struct buf *buf = NULL;
        e = snapshot_read(fs, file, size_bytes, at, QUORUM_FETCH_BYTES, &buf, text);
        if (e == ERR_NONE) {
            at += (int64_t)buf->size;
            buf_unref(buf);
        }
    }
    if (e == ERR_NONE && size_bytes == 0) {
        err_set(text, "it is empty");
        e = ERR_CORRUPT;
    }
    return e;
}

enum err snapshot_look(struct env_fs *fs, const char *path, struct quorum_snapshot *out,
                       struct err_text *text)
{
    struct env_file *file = NULL;
    struct buf *buf = NULL;
    enum err e = env_fs_open(fs, path, ENV_OPEN_READ, &file, text);
    if (e != ERR_NONE) {
        return e;
    }
    e = env_fs_size(fs, file, &out->size_bytes, text);
    if (e == ERR_NONE && out->size_bytes == 0) {
        err_set(text, "it is empty");
        e = ERR_CORRUPT;
    }
    if (e == ERR_NONE) {
        e = snapshot_read(fs, file, out->size_bytes, 0, HEADER_READ_BYTES, &buf, text);
    }
    if (e == ERR_NONE) {
        struct batch batch;
        struct record_walk walk;
        struct record record;
        e = batch_parse(buf->data, buf->size, &batch, text);
        ASSERT(e == ERR_NONE); /* snapshot_read has */
        int16_t type = control_type(buf->data, &batch, &record, &walk);
        ASSERT(type == CONTROL_SNAPSHOT_HEADER);
        struct wire_in in = wire_in_of(record.value.data, (size_t)record.value.size);
        (void)wire_get_i16(&in);
        out->timestamp_ms = wire_get_i64(&in);
        record_walk_free(&walk);
    }
    if (e != ERR_NONE) {
        err_wrap(text, "%s", path);
    }
    buf_unref(buf);
    env_file_unref(file);
    return e;
}

/* ---- writing ---- */

enum err snapshot_writer_open(struct snapshot_writer *w, struct env_fs *fs, const char *path,
                              int32_t epoch, int64_t timestamp_ms)
{
    w->fs = fs;
    w->epoch = epoch;
    w->timestamp_ms = timestamp_ms;
    batch_builder_init(&w->builder);
    return env_fs_open(fs, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &w->file,
                       w->text);
}

static enum err flush(struct snapshot_writer *w, uint16_t flags)
{
    if (w->builder.count == 0) {
        return ERR_NONE;
    }
    int32_t count = w->builder.count;
    w->builder.base_offset = w->next_offset;
    w->builder.leader_epoch = w->epoch;
    w->builder.flags = flags;
    w->out.size = 0;
    enum err e = batch_build(&w->builder, &w->out, w->text);
    if (e == ERR_NONE) {
        struct env_iov iov = {w->out.data, w->out.size};
        e = env_fs_write(w->fs, w->file, &iov, 1, w->at, w->text);
    }
    w->at += (int64_t)w->out.size;
    w->next_offset += count;
    return e;
}

static void put_control(struct snapshot_writer *w, enum control_type type,
                        const struct wire_out *value)
{
    struct wire_out key = {0};
    wire_put_i16(&key, 0);
    wire_put_i16(&key, (int16_t)type);
    batch_builder_add(&w->builder, w->timestamp_ms,
                      (struct wire_bytes){key.bytes.data, (int32_t)key.bytes.size},
                      (struct wire_bytes){value->bytes.data, (int32_t)value->bytes.size}, NULL, 0);
    wire_out_free(&key);
}

enum err snapshot_writer_header(struct snapshot_writer *w, int64_t contained_timestamp_ms)
{
    struct wire_out value = {0};
    wire_put_i16(&value, 0);
    wire_put_i64(&value, contained_timestamp_ms);
    wire_put_uvarint(&value, 0);
    put_control(w, CONTROL_SNAPSHOT_HEADER, &value);
    wire_out_free(&value);
    return flush(w, BATCH_CONTROL);
}

enum err snapshot_writer_put(void *ctx, const void *record, size_t size_bytes)
{
    struct snapshot_writer *w = ctx;
    enum err e = ERR_NONE;
    if (w->builder.count >= QUORUM_SNAPSHOT_BATCH_RECORDS ||
        (w->builder.count > 0 &&
         batch_builder_size(&w->builder) + size_bytes > QUORUM_SNAPSHOT_BATCH_BYTES)) {
        e = flush(w, 0);
    }
    if (e == ERR_NONE) {
        batch_builder_add(&w->builder, w->timestamp_ms, (struct wire_bytes){NULL, -1},
                          (struct wire_bytes){record, (int32_t)size_bytes}, NULL, 0);
    }
    return e;
}

enum err snapshot_writer_finish(struct snapshot_writer *w)
{
    struct wire_out value = {0};
    enum err e = flush(w, 0);
    wire_put_i16(&value, 0);
    wire_put_uvarint(&value, 0);
    put_control(w, CONTROL_SNAPSHOT_FOOTER, &value);
    wire_out_free(&value);
    if (e == ERR_NONE) {
        e = flush(w, BATCH_CONTROL);
    }
    return e == ERR_NONE ? env_fs_sync_data(w->fs, w->file, w->text) : e;
}

void snapshot_writer_close(struct snapshot_writer *w)
{
    env_file_unref(w->file);
    w->file = NULL;
    batch_builder_free(&w->builder);
    bytes_free(&w->out);
}

enum err snapshot_publish(struct env_fs *fs, const char *part, const char *path, const char *dir,
                          struct err_text *text)
{
    enum err e = env_fs_rename(fs, part, path, text);
    return e == ERR_NONE ? env_fs_sync_dir(fs, dir, text) : e;
}
