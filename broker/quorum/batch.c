/* Record batches (magic 2) of the metadata log: one producer-less, uncompressed batch per append.
 * Base offset and leader epoch are the log's to fill in. */
#include <string.h>

#include "broker/quorum/quorum_internal.h"
#include "common/base/crc32c.h"
#include "common/wire/wire.h"

enum {
    CONTROL_ATTRIBUTE = 1 << 5,
    CONTROL_LEADER_CHANGE = 2,
    LENGTH_AT = 8,
    CRC_AT = 17,
    AFTER_CRC = 21,
    LEADER_CHANGE_VERSION = 0
};

static size_t varint_size(int64_t v)
{
    uint64_t bits = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    size_t size = 1;
    while (bits >= 0x80) {
        bits >>= 7;
        size++;
    }
    return size;
}

static void put_header(struct wire_out *out, size_t count, bool control, int64_t timestamp_ms)
{
    wire_put_i64(out, 0); /* base offset */
    wire_put_i32(out, 0); /* length */
    wire_put_i32(out, 0); /* leader epoch */
    wire_put_i8(out, 2);  /* magic */
    wire_put_i32(out, 0); /* crc */
    wire_put_i16(out, control ? CONTROL_ATTRIBUTE : 0);
    wire_put_i32(out, (int32_t)count - 1);
    wire_put_i64(out, timestamp_ms); /* base */
    wire_put_i64(out, timestamp_ms); /* maximum */
    wire_put_i64(out, -1);           /* producer id, epoch, sequence: none */
    wire_put_i16(out, -1);
    wire_put_i32(out, -1);
    wire_put_i32(out, (int32_t)count);
}

static void put_record(struct wire_out *out, size_t index, struct quorum_record key,
                       struct quorum_record value)
{
    ASSERT(value.data != NULL || value.size_bytes == 0);
    int64_t key_size = key.data == NULL ? -1 : (int64_t)key.size_bytes;
    size_t size = 1 + 1 + varint_size((int64_t)index) + varint_size(key_size) + key.size_bytes +
                  varint_size((int64_t)value.size_bytes) + value.size_bytes + 1;
    wire_put_varint(out, (int64_t)size);
    wire_put_i8(out, 0);     /* attributes */
    wire_put_varint(out, 0); /* timestamp delta */
    wire_put_varint(out, (int64_t)index);
    wire_put_varint(out, key_size);
    wire_put_raw(out, key.data, key.size_bytes);
    wire_put_varint(out, (int64_t)value.size_bytes);
    wire_put_raw(out, value.data, value.size_bytes);
    wire_put_varint(out, 0); /* headers */
}

static struct buf *finish(struct wire_out *out)
{
    ASSERT(out->bytes.size > QUORUM_BATCH_HEADER_BYTES);
    struct buf *buf = buf_copy(out->bytes.data, out->bytes.size);
    uint32_t length = (uint32_t)(buf->size - 12);
    uint32_t crc = crc32c(buf->data + AFTER_CRC, buf->size - AFTER_CRC);
    for (int i = 0; i < 4; i++) {
        buf->data[LENGTH_AT + i] = (uint8_t)(length >> (24 - 8 * i));
        buf->data[CRC_AT + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
    wire_out_free(out);
    return buf;
}

struct buf *quorum_batch(const struct quorum_record *records, size_t count, int64_t timestamp_ms)
{
    ASSERT(count > 0 && count <= INT32_MAX);
    struct wire_out out = {0};
    put_header(&out, count, false, timestamp_ms);
    for (size_t i = 0; i < count; i++) {
        put_record(&out, i, (struct quorum_record){NULL, 0}, records[i]);
    }
    return finish(&out);
}

static void put_voter(struct wire_out *out, int32_t id)
{
    wire_put_i32(out, id);
    wire_put_uvarint(out, 0); /* no tagged fields */
}

struct buf *quorum_leader_change_batch(const struct quorum *quorum, int64_t timestamp_ms)
{
    struct wire_out key = {0};
    wire_put_i16(&key, 0);
    wire_put_i16(&key, CONTROL_LEADER_CHANGE);
    struct wire_out value = {0};
    wire_put_i16(&value, LEADER_CHANGE_VERSION);
    wire_put_i32(&value, quorum->config.node_id);
    wire_put_uvarint(&value, (uint64_t)quorum->config.voter_count + 1);
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        put_voter(&value, quorum->config.voters[i].id);
    }
    uint64_t granted = 0;
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        granted += quorum->peers[i].ballot == BALLOT_GRANTED;
    }
    ASSERT(2 * granted > (uint64_t)quorum->config.voter_count);
    wire_put_uvarint(&value, granted + 1);
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        if (quorum->peers[i].ballot == BALLOT_GRANTED) {
            put_voter(&value, quorum->peers[i].voter.id);
        }
    }
    wire_put_uvarint(&value, 0);

    struct wire_out out = {0};
    put_header(&out, 1, true, timestamp_ms);
    put_record(&out, 0, (struct quorum_record){key.bytes.data, key.bytes.size},
               (struct quorum_record){value.bytes.data, value.bytes.size});
    wire_out_free(&key);
    wire_out_free(&value);
    return finish(&out);
}
