/* The batch header: read, judged, patched. */
#include "common/wire/batch.h"

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/wire/kafka_error.h"

static void put(uint8_t *at, uint64_t v, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
    }
}

int32_t batch_last_sequence(const struct batch *b)
{
    if (b->base_sequence < 0) {
        return -1;
    }
    return (int32_t)(((int64_t)b->base_sequence + b->last_offset_delta) & INT32_MAX);
}

enum err batch_parse_header(const void *data, size_t size, struct batch *out, struct err_text *text)
{
    struct wire_in in = wire_in_of(data, size);
    if (size < BATCH_HEADER_BYTES) {
        err_set(text, "record batch: %zu bytes, a header has %d", size, BATCH_HEADER_BYTES);
        return ERR_TRUNCATED;
    }
    out->base_offset = wire_get_i64(&in);
    int32_t length = wire_get_i32(&in);
    out->partition_leader_epoch = wire_get_i32(&in);
    out->magic = wire_get_i8(&in);
    out->crc = wire_get_u32(&in);
    out->attributes = wire_get_u16(&in);
    out->last_offset_delta = wire_get_i32(&in);
    out->base_timestamp = wire_get_i64(&in);
    out->max_timestamp = wire_get_i64(&in);
    out->producer_id = wire_get_i64(&in);
    out->producer_epoch = wire_get_i16(&in);
    out->base_sequence = wire_get_i32(&in);
    out->records_count = wire_get_i32(&in);
    ASSERT(in.error == ERR_NONE);
    if (out->magic != 2) {
        err_set(text, "record batch of magic %d, expected 2", out->magic);
        return ERR_UNSUPPORTED;
    }
    if (length < BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES ||
        length > INT32_MAX - BATCH_PREFIX_BYTES) {
        err_set(text, "record batch with a length of %d bytes", length);
        return ERR_CORRUPT;
    }
    out->size = (uint32_t)length + BATCH_PREFIX_BYTES;
    if (out->base_offset < 0 || out->last_offset_delta < 0 || out->records_count < 0 ||
        out->base_offset > INT64_MAX - INT32_MAX - 1) {
        err_set(text, "record batch with base offset %lld, last delta %d, %d records",
                (long long)out->base_offset, out->last_offset_delta, out->records_count);
        return ERR_CORRUPT;
    }
    return ERR_NONE;
}

enum err batch_parse(const void *data, size_t size, struct batch *out, struct err_text *text)
{
    enum err error = batch_parse_header(data, size, out, text);
    if (error == ERR_NONE && out->size > size) {
        err_set(text, "record batch of %u bytes, only %zu are here", out->size, size);
        error = ERR_TRUNCATED;
    }
    return error;
}

bool batch_crc_ok(const void *data, const struct batch *b)
{
    const uint8_t *at = data;
    ASSERT(b->size >= BATCH_HEADER_BYTES);
    return crc32c(at + BATCH_CRC_START, b->size - BATCH_CRC_START) == b->crc;
}

int16_t batch_check_produced(const struct batch *b, const char **message)
{
    *message = NULL;
    if (batch_codec(b) > BATCH_ZSTD) {
        *message = "unknown compression type";
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    if (b->attributes & BATCH_LOG_APPEND_TIME) {
        *message = "producers may not set the timestamp type to LogAppendTime";
        return KAFKA_INVALID_TIMESTAMP;
    }
    if (b->attributes & BATCH_CONTROL) {
        *message = "clients may not write control batches";
        return KAFKA_INVALID_RECORD;
    }
    if (b->records_count <= 0 || b->last_offset_delta != b->records_count - 1) {
        *message = "the batch's record count and last offset delta do not agree";
        return KAFKA_INVALID_RECORD;
    }
    if (b->producer_id >= 0 && (b->base_sequence < 0 || b->producer_epoch < 0)) {
        *message = "a batch with a producer id needs an epoch and a sequence";
        return KAFKA_INVALID_RECORD;
    }
    return KAFKA_NONE;
}

void batch_set_base_offset(void *data, int64_t base_offset)
{
    ASSERT(base_offset >= 0);
    put(data, (uint64_t)base_offset, 8);
}

void batch_set_leader_epoch(void *data, int32_t leader_epoch)
{
    put((uint8_t *)data + 12, (uint32_t)leader_epoch, 4);
}

void batch_set_append_time(void *data, const struct batch *b, int64_t append_time_ms)
{
    uint8_t *at = data;
    ASSERT(b->size >= BATCH_HEADER_BYTES);
    put(at + 21, (uint64_t)(b->attributes | BATCH_LOG_APPEND_TIME), 2);
    put(at + 35, (uint64_t)append_time_ms, 8);
    put(at + 17, crc32c(at + BATCH_CRC_START, b->size - BATCH_CRC_START), 4);
}
