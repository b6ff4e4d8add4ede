/* Records inside a batch: walked and built. */
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/wire/batch.h"
#include "common/wire/compress.h"

/* ---- walking ---- */

enum err record_walk_init(struct record_walk *w, const void *data, size_t size, size_t limit_bytes,
                          struct err_text *text)
{
    *w = (struct record_walk){0};
    enum err error = batch_parse(data, size, &w->batch, text);
    if (error != ERR_NONE) {
        return error;
    }
    const uint8_t *records = (const uint8_t *)data + BATCH_HEADER_BYTES;
    size_t packed = w->batch.size - BATCH_HEADER_BYTES;
    w->left = w->batch.records_count;
    if (batch_codec(&w->batch) == BATCH_NONE) {
        w->in = wire_in_of(records, packed);
        return ERR_NONE;
    }
    error =
        batch_decompress(batch_codec(&w->batch), records, packed, limit_bytes, &w->unpacked, text);
    if (error != ERR_NONE) {
        bytes_free(&w->unpacked);
        return error;
    }
    w->in = wire_in_of(w->unpacked.data, w->unpacked.size);
    return ERR_NONE;
}

static struct wire_bytes get_sized(struct wire_in *in)
{
    int64_t size = wire_get_varint(in);
    if (in->error == ERR_NONE && size < 0) {
        return (struct wire_bytes){NULL, -1};
    }
    if (in->error == ERR_NONE && (size > (int64_t)wire_in_left(in) || size > INT32_MAX)) {
        in->error = ERR_CORRUPT;
    }
    if (in->error != ERR_NONE) {
        return (struct wire_bytes){NULL, -1};
    }
    return (struct wire_bytes){wire_get_raw(in, (size_t)size), (int32_t)size};
}

bool record_walk_next(struct record_walk *w, struct record *out)
{
    if (w->left == 0 && wire_in_left(&w->in) > 0) {
        w->in.error = ERR_CORRUPT; /* the header counts fewer records than there are */
    }
    if (w->left == 0 || w->in.error != ERR_NONE) {
        return false;
    }
    w->left--;
    int64_t size = wire_get_varint(&w->in);
    if (w->in.error == ERR_NONE && (size < 0 || size > (int64_t)wire_in_left(&w->in))) {
        w->in.error = ERR_CORRUPT;
    }
    if (w->in.error != ERR_NONE) {
        return false;
    }
    struct wire_in body = wire_in_of(wire_get_raw(&w->in, (size_t)size), (size_t)size);
    wire_get_i8(&body);
    int64_t timestamp_delta = wire_get_varint(&body);
    int64_t offset_delta = wire_get_varint(&body);
    if (body.error == ERR_NONE && (offset_delta < 0 || offset_delta > w->batch.last_offset_delta)) {
        body.error = ERR_CORRUPT;
    }
    out->timestamp = w->batch.attributes & BATCH_LOG_APPEND_TIME
                         ? w->batch.max_timestamp
                         : (int64_t)((uint64_t)w->batch.base_timestamp + (uint64_t)timestamp_delta);
    out->offset = w->batch.base_offset + (body.error == ERR_NONE ? offset_delta : 0);
    out->key = get_sized(&body);
    out->value = get_sized(&body);
    int64_t headers = wire_get_varint(&body);
    if (body.error == ERR_NONE && (headers < 0 || headers > (int64_t)wire_in_left(&body))) {
        body.error = ERR_CORRUPT;
    }
    out->header_count = (int32_t)headers;
    out->headers = body;
    struct record copy = *out; /* the headers must fill the body exactly */
    struct record_header header;
    while (record_next_header(&copy, &header)) {
    }
    if (copy.headers.error != ERR_NONE || wire_in_left(&copy.headers) > 0) {
        w->in.error = ERR_CORRUPT;
        return false;
    }
    return true;
}

bool record_next_header(struct record *r, struct record_header *out)
{
    if (r->header_count <= 0 || r->headers.error != ERR_NONE) {
        return false;
    }
    r->header_count--;
    struct wire_bytes key = get_sized(&r->headers);
    if (r->headers.error == ERR_NONE && key.size < 0) {
        r->headers.error = ERR_CORRUPT; /* a header's key is never null */
    }
    out->key = (struct wire_str){(const char *)key.data, key.size};
    out->value = get_sized(&r->headers);
    return r->headers.error == ERR_NONE;
}

void record_walk_free(struct record_walk *w)
{
    bytes_free(&w->unpacked);
}

int16_t record_control_type(struct wire_bytes key)
{
    struct wire_in in = wire_in_of(key.data, key.size > 0 ? (size_t)key.size : 0);
    wire_get_i16(&in);
    int16_t type = wire_get_i16(&in);
    return in.error == ERR_NONE ? type : -1;
}

/* ---- building ---- */

/* So that the whole batch, in front of which stands no more than its header, fits int32. */
enum { BATCH_RECORDS_MAX_BYTES = INT32_MAX - BATCH_HEADER_BYTES };

void batch_builder_init(struct batch_builder *b)
{
    *b = (struct batch_builder){
        .leader_epoch = -1, .producer_id = -1, .producer_epoch = -1, .base_sequence = -1};
}

void batch_builder_free(struct batch_builder *b)
{
    wire_out_free(&b->records);
}

static size_t varint_bytes(int64_t v)
{
    size_t n = 1;
    for (uint64_t zigzag = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63); zigzag >= 0x80; zigzag >>= 7) {
        n++;
    }
    return n;
}

static size_t sized_bytes(int32_t size)
{
    return varint_bytes(size) + (size > 0 ? (size_t)size : 0);
}

static void put_sized(struct wire_out *out, const void *data, int32_t size)
{
    wire_put_varint(out, size);
    if (size > 0) {
        wire_put_raw(out, data, (size_t)size);
    }
}

void batch_builder_add(struct batch_builder *b, int64_t timestamp_ms, struct wire_bytes key,
                       struct wire_bytes value, const struct record_header *headers,
                       int32_t header_count)
{
    ASSERT(header_count == 0 || headers != NULL);
    ASSERT(key.size >= -1 && value.size >= -1 && header_count >= 0);
    ASSERT(b->count < INT32_MAX);
    if (b->count == 0) {
        b->base_timestamp = timestamp_ms;
        b->max_timestamp = timestamp_ms;
    }
    b->max_timestamp = timestamp_ms > b->max_timestamp ? timestamp_ms : b->max_timestamp;
    int64_t delta_ms = (int64_t)((uint64_t)timestamp_ms - (uint64_t)b->base_timestamp);
    size_t body = 1 + varint_bytes(delta_ms) + varint_bytes(b->count) + sized_bytes(key.size) +
                  sized_bytes(value.size) + varint_bytes(header_count);
    for (int32_t i = 0; i < header_count; i++) {
        ASSERT(headers[i].key.size >= 0);
        body += sized_bytes(headers[i].key.size) + sized_bytes(headers[i].value.size);
    }
    struct wire_out *out = &b->records;
    wire_put_varint(out, (int64_t)body);
    size_t start = out->bytes.size;
    wire_put_i8(out, 0);
    wire_put_varint(out, delta_ms);
    wire_put_varint(out, b->count);
    put_sized(out, key.data, key.size);
    put_sized(out, value.data, value.size);
    wire_put_varint(out, header_count);
    for (int32_t i = 0; i < header_count; i++) {
        put_sized(out, headers[i].key.data, headers[i].key.size);
        put_sized(out, headers[i].value.data, headers[i].value.size);
    }
    ASSERT(out->bytes.size - start == body);
    b->count++;
}

size_t batch_builder_size(const struct batch_builder *b)
{
    return BATCH_HEADER_BYTES + b->records.bytes.size;
}

enum err batch_build(struct batch_builder *b, struct bytes *out, struct err_text *text)
{
    ASSERT(b->count > 0 && b->base_offset >= 0);
    ASSERT((b->flags & ~(BATCH_TRANSACTIONAL | BATCH_CONTROL)) == 0);
    struct bytes packed = {0};
    const struct bytes *records = &b->records.bytes;
    if (b->codec != BATCH_NONE) {
        enum err error = batch_compress(b->codec, records->data, records->size, &packed, text);
        if (error != ERR_NONE) {
            bytes_free(&packed);
            return error;
        }
        records = &packed;
    }
    if (records->size > BATCH_RECORDS_MAX_BYTES) {
        err_set(text, "record batch of %zu bytes of records: its length must fit 31 bits",
                records->size);
        bytes_free(&packed);
        return ERR_TOO_LARGE;
    }
    size_t start = out->size;
    struct wire_out w = {.bytes = *out};
    wire_put_i64(&w, b->base_offset);
    wire_put_i32(&w, (int32_t)(BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES + records->size));
    wire_put_i32(&w, b->leader_epoch);
    wire_put_i8(&w, 2);
    wire_put_i32(&w, 0);
    wire_put_i16(&w, (int16_t)(b->flags | (uint16_t)b->codec));
    wire_put_i32(&w, b->count - 1);
    wire_put_i64(&w, b->base_timestamp);
    wire_put_i64(&w, b->max_timestamp);
    wire_put_i64(&w, b->producer_id);
    wire_put_i16(&w, b->producer_epoch);
    wire_put_i32(&w, b->base_sequence);
    wire_put_i32(&w, b->count);
    wire_put_raw(&w, records->data, records->size);
    uint32_t crc =
        crc32c(w.bytes.data + start + BATCH_CRC_START, w.bytes.size - start - BATCH_CRC_START);
    wire_patch_i32(&w, start + 17, (int32_t)crc);
    *out = w.bytes;
    bytes_free(&packed);
    b->records.bytes.size = 0;
    b->count = 0;
    return ERR_NONE;
}
