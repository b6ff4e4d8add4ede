/* A batch with some of its records taken out: same offsets, producer, epoch and codec, so that
 * whoever reads on from any offset or counts sequences sees no difference (KIP-98, KIP-534). */
#include "broker/log/clean.h"
#include "common/base/assert.h"
#include "common/base/crc32c.h"

enum { WALK_LIMIT_BYTES = 256 << 20 };

static void put_sized(struct wire_out *out, struct wire_bytes bytes)
{
    wire_put_varint(out, bytes.size);
    if (bytes.size > 0) {
        wire_put_raw(out, bytes.data, (size_t)bytes.size);
    }
}

/* One record with its delta from another base timestamp. */
static void put_record(struct wire_out *out, struct wire_out *body, const struct batch *batch,
                       int64_t base_timestamp, const struct record *record)
{
    struct wire_in headers = record->headers;
    size_t left = wire_in_left(&headers);
    body->bytes.size = 0;
    wire_put_i8(body, 0);
    wire_put_varint(body, (int64_t)((uint64_t)record->timestamp - (uint64_t)base_timestamp));
    wire_put_varint(body, record->offset - batch->base_offset);
    put_sized(body, record->key);
    put_sized(body, record->value);
    wire_put_varint(body, record->header_count);
    if (left > 0) {
        wire_put_raw(body, wire_get_raw(&headers, left), left);
    }
    wire_put_varint(out, (int64_t)body->bytes.size);
    wire_put_raw(out, body->bytes.data, body->bytes.size);
}

static void put_batch(const struct batch *batch, int64_t base_timestamp, int64_t max_timestamp,
                      uint16_t attributes, int32_t count, const struct bytes *records,
                      struct bytes *out)
{
    size_t start = out->size;
    struct wire_out w = {.bytes = *out};
    wire_put_i64(&w, batch->base_offset);
    wire_put_i32(&w, (int32_t)(BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES + records->size));
    wire_put_i32(&w, batch->partition_leader_epoch);
    wire_put_i8(&w, 2);
    wire_put_i32(&w, 0);
    wire_put_i16(&w, (int16_t)attributes);
    wire_put_i32(&w, batch->last_offset_delta);
    wire_put_i64(&w, base_timestamp);
    wire_put_i64(&w, max_timestamp);
    wire_put_i64(&w, batch->producer_id);
    wire_put_i16(&w, batch->producer_epoch);
    wire_put_i32(&w, batch->base_sequence);
    wire_put_i32(&w, count);
    if (records->size > 0) {
        wire_put_raw(&w, records->data, records->size);
    }
    wire_patch_i32(&w, start + 17,
                   (int32_t)crc32c(w.bytes.data + start + BATCH_CRC_START,
                                   w.bytes.size - start - BATCH_CRC_START));
    *out = w.bytes;
}

struct rest {
    struct wire_out records;
    struct wire_out body;
    int32_t count;
    int64_t max_timestamp;
};

static enum err collect(struct rest *rest, const uint8_t *data, const struct batch *batch,
                        bool (*keep)(void *ctx, const struct record *record), void *ctx,
                        int64_t base_timestamp, struct err_text *text)
{
    struct record_walk walk;
    struct record record;
    enum err e = record_walk_init(&walk, data, batch->size, WALK_LIMIT_BYTES, text);
    if (e != ERR_NONE) {
        return e;
    }
    while (record_walk_next(&walk, &record)) {
        if (keep(ctx, &record)) {
            put_record(&rest->records, &rest->body, batch, base_timestamp, &record);
            rest->count++;
            if (record.timestamp > rest->max_timestamp) {
                rest->max_timestamp = record.timestamp;
            }
        }
    }
    if (walk.in.error != ERR_NONE) {
        err_set(text, "records of the batch at offset %lld are malformed",
                (long long)batch->base_offset);
        e = ERR_CORRUPT;
    }
    record_walk_free(&walk);
    return e;
}

enum err batch_rebuild(const uint8_t *data, const struct batch *batch,
                       bool (*keep)(void *ctx, const struct record *record), void *ctx,
                       int64_t delete_horizon_ms, struct bytes *out, struct err_text *text)
{
    struct rest rest = {.max_timestamp = -1};
    struct bytes packed = {0};
    int64_t base_timestamp = delete_horizon_ms >= 0 ? delete_horizon_ms : batch->base_timestamp;
    uint16_t attributes = batch->attributes;
    enum err e = collect(&rest, data, batch, keep, ctx, base_timestamp, text);
    const struct bytes *records = &rest.records.bytes;
    if (rest.count == 0) {
        /* Kafka's empty batch: a header without codec and horizon. */
        base_timestamp = batch->max_timestamp;
        rest.max_timestamp = batch->max_timestamp;
        attributes &= (uint16_t) ~(BATCH_CODEC_MASK | BATCH_DELETE_HORIZON);
    } else if (delete_horizon_ms >= 0) {
        attributes |= BATCH_DELETE_HORIZON;
    }
    if (e == ERR_NONE && rest.count > 0 && batch_codec(batch) != BATCH_NONE) {
        e = batch_compress(batch_codec(batch), records->data, records->size, &packed, text);
        records = &packed;
    }
    if (e == ERR_NONE) {
        ASSERT(rest.count <= batch->records_count);
        put_batch(batch, base_timestamp, rest.max_timestamp, attributes, rest.count, records, out);
    }
    bytes_free(&packed);
    wire_out_free(&rest.records);
    wire_out_free(&rest.body);
    return e;
}
