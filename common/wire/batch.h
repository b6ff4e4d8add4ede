/* batch: the record batch of magic 2 (KIP-98), 61 bytes of header and then records, the unit that
 * producers send, logs store and fetches return. Offsets and timestamps are Kafka's
 * (DefaultRecordBatch). */
#ifndef COMMON_WIRE_BATCH_H
#define COMMON_WIRE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/wire/compress.h"
#include "common/wire/wire.h"

enum { BATCH_HEADER_BYTES = 61, BATCH_PREFIX_BYTES = 12, BATCH_CRC_START = 21 };

enum batch_attributes {
    BATCH_CODEC_MASK = 7,
    BATCH_LOG_APPEND_TIME = 1 << 3,
    BATCH_TRANSACTIONAL = 1 << 4,
    BATCH_CONTROL = 1 << 5,
    BATCH_DELETE_HORIZON = 1 << 6
};

/* A parsed header. */
struct batch {
    int64_t base_offset;
    uint32_t size; /* of the whole batch in bytes: batchLength + 12 */
    int32_t partition_leader_epoch;
    int8_t magic;
    uint32_t crc;
    uint16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp; /* the delete horizon when BATCH_DELETE_HORIZON is set */
    int64_t max_timestamp;
    int64_t producer_id; /* -1 none */
    int16_t producer_epoch;
    int32_t base_sequence; /* -1 none */
    int32_t records_count;
};

static inline int64_t batch_last_offset(const struct batch *b)
{
    return b->base_offset + b->last_offset_delta;
}

static inline int64_t batch_next_offset(const struct batch *b)
{
    return b->base_offset + b->last_offset_delta + 1;
}

static inline enum batch_codec batch_codec(const struct batch *b)
{
    return (enum batch_codec)(b->attributes & BATCH_CODEC_MASK);
}

/* Sequence of the last record: Kafka's wrap from INT32_MAX to 0. -1 without a sequence. */
int32_t batch_last_sequence(const struct batch *b);

/* Reads a header from the first `size` bytes of `data`; the body need not be there. ERR_TRUNCATED:
 * fewer than BATCH_HEADER_BYTES. ERR_CORRUPT: a length below the header's, negative offsets or
 * counts; ERR_UNSUPPORTED: another magic. */
enum err batch_parse_header(const void *data, size_t size, struct batch *out,
                            struct err_text *text);
/* As above, and the whole batch must lie within `size` (else ERR_TRUNCATED). */
enum err batch_parse(const void *data, size_t size, struct batch *out, struct err_text *text);
/* `data` holds the whole batch, as batch_parse checked. */
bool batch_crc_ok(const void *data, const struct batch *b);

/* What a broker demands of a batch from a producer, as far as the header tells (LogValidator).
 * Returns Kafka's code; *message gets static words for the client. The CRC is not looked at. One
 * rule is stricter than Kafka's: a timestamp type of LogAppendTime is refused everywhere, where
 * Kafka sets it back on topics of CreateTime. */
int16_t batch_check_produced(const struct batch *b, const char **message);

/* In place, outside the CRC. */
void batch_set_base_offset(void *data, int64_t base_offset);
void batch_set_leader_epoch(void *data, int32_t leader_epoch);
/* Makes it a batch of log append time: type bit and maxTimestamp set, CRC computed anew. */
void batch_set_append_time(void *data, const struct batch *b, int64_t append_time_ms);

/* ---- records ----------------------------------------------------------------------------------
 */

struct record_header {
    struct wire_str key;
    struct wire_bytes value;
};

struct record {
    int64_t offset;
    int64_t timestamp;
    struct wire_bytes key;
    struct wire_bytes value;
    int32_t header_count;
    struct wire_in headers; /* walk with record_next_header */
};

/* Walks the records of one batch; decompresses when needed, at most `limit_bytes` of records. */
struct record_walk {
    struct batch batch;
    struct wire_in in;
    int32_t left;
    struct bytes unpacked;
};

/* `data` holds the whole batch and must stay until record_walk_free. ERR_CORRUPT, ERR_TOO_LARGE,
 * ERR_UNSUPPORTED (codec). On error nothing needs freeing. */
enum err record_walk_init(struct record_walk *w, const void *data, size_t size, size_t limit_bytes,
                          struct err_text *text);
/* False at the end or at the first malformed record (then w->in.error is set). A record's lengths
 * must fill it exactly, its offset must be the batch's, and no bytes may follow the last one. */
bool record_walk_next(struct record_walk *w, struct record *out);
bool record_next_header(struct record *r, struct record_header *out);
void record_walk_free(struct record_walk *w);

/* Key of a control record: int16 version, int16 type. -1 when it is not one. */
enum control_type {
    CONTROL_ABORT = 0,
    CONTROL_COMMIT = 1,
    CONTROL_LEADER_CHANGE = 2,
    CONTROL_SNAPSHOT_HEADER = 3,
    CONTROL_SNAPSHOT_FOOTER = 4,
    CONTROL_KRAFT_VERSION = 5,
    CONTROL_KRAFT_VOTERS = 6
};
int16_t record_control_type(struct wire_bytes key);

/* ---- building ---------------------------------------------------------------------------------
 */

struct batch_builder {
    /* set before batch_build */
    int64_t base_offset;
    int32_t leader_epoch;
    uint16_t flags; /* BATCH_TRANSACTIONAL, BATCH_CONTROL */
    enum batch_codec codec;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    /* the builder's */
    struct wire_out records;
    int32_t count;
    int64_t base_timestamp;
    int64_t max_timestamp;
};

/* No producer, no codec, offset 0, epoch -1. */
void batch_builder_init(struct batch_builder *b);
void batch_builder_free(struct batch_builder *b);
/* key.size or value.size -1 is null. headers may be NULL. */
void batch_builder_add(struct batch_builder *b, int64_t timestamp_ms, struct wire_bytes key,
                       struct wire_bytes value, const struct record_header *headers,
                       int32_t header_count);
/* Bytes a batch of what was added so far takes, uncompressed. */
size_t batch_builder_size(const struct batch_builder *b);
/* Appends the batch to `out` and empties the builder. At least one record must have been added.
 * ERR_TOO_LARGE when it would not fit 31 bits; the builder then keeps its records. */
enum err batch_build(struct batch_builder *b, struct bytes *out, struct err_text *text);

#endif
