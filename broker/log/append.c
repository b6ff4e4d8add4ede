/* Taking batches in: a leader judges them and gives them offsets, a follower takes them as they
 * are. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"
#include "common/wire/kafka_error.h"

enum { WALK_LIMIT_BYTES = 256 << 20 };

struct refusal {
    int16_t error;
    const char *message;
};

const char *const log_full_message =
    "the broker's disk is full: free some space there, records are taken again within seconds";

static const struct refusal accepted = {KAFKA_NONE, NULL};

/* Records are walked only where Kafka's rules need it: null keys in a compacted topic. */
static struct refusal check_keys(const uint8_t *data, const struct batch *batch)
{
    struct record_walk walk;
    struct record record;
    struct refusal r = accepted;
    if (record_walk_init(&walk, data, batch->size, WALK_LIMIT_BYTES, NULL) != ERR_NONE) {
        return (struct refusal){KAFKA_CORRUPT_MESSAGE, "the batch's records cannot be unpacked"};
    }
    int32_t count = 0;
    while (r.error == KAFKA_NONE && record_walk_next(&walk, &record)) {
        count++;
        if (record.key.size < 0) {
            r = (struct refusal){KAFKA_INVALID_RECORD,
                                 "a record of a compacted topic must have a key"};
        }
    }
    if (r.error == KAFKA_NONE && (walk.in.error != ERR_NONE || count != batch->records_count)) {
        r = (struct refusal){KAFKA_INVALID_RECORD, "the batch's records are malformed"};
    }
    record_walk_free(&walk);
    return r;
}

/* Bounds on CreateTime. The header's maximum stands for all records (they are not walked). */
static struct refusal check_times(const struct log *log, const struct batch *batch)
{
    int64_t now = env_wall_ms(log->env);
    if (log->config.log_append_time || batch->max_timestamp < 0) {
        return accepted;
    }
    int64_t before = log->config.timestamp_before_max_ms;
    int64_t after = log->config.timestamp_after_max_ms;
    if ((before >= 0 && batch->max_timestamp < now && now - batch->max_timestamp > before) ||
        (after >= 0 && batch->max_timestamp > now && batch->max_timestamp - now > after)) {
        return (struct refusal){KAFKA_INVALID_TIMESTAMP,
                                "the timestamp lies outside of message.timestamp.before.max.ms and "
                                "message.timestamp.after.max.ms"};
    }
    return accepted;
}

static struct refusal check_batch(const struct log *log, const uint8_t *data,
                                  const struct batch *batch)
{
    struct refusal r = accepted;
    bool control = (batch->attributes & BATCH_CONTROL) != 0;
    if (batch->size > (uint32_t)log->config.max_message_bytes) {
        return (struct refusal){KAFKA_MESSAGE_TOO_LARGE,
                                "the batch is larger than max.message.bytes"};
    }
    if (!batch_crc_ok(data, batch)) {
        return (struct refusal){KAFKA_CORRUPT_MESSAGE, "the batch does not match its CRC"};
    }
    if (batch->records_count <= 0 || batch->last_offset_delta + 1 != batch->records_count) {
        return (struct refusal){KAFKA_INVALID_RECORD,
                                "the batch's count does not match its offsets"};
    }
    if (!control) {
        r.error = batch_check_produced(batch, &r.message);
    }
    if (r.error == KAFKA_NONE) {
        r = check_times(log, batch);
    }
    if (r.error == KAFKA_NONE && log->config.compacted && !control) {
        r = check_keys(data, batch);
    }
    return r;
}

struct producer_append producer_append_of(const struct batch *batch)
{
    return (struct producer_append){.id = batch->producer_id,
                                    .epoch = batch->producer_epoch,
                                    .first_sequence = batch->base_sequence,
                                    .record_count = batch->last_offset_delta + 1,
                                    .first_offset = batch->base_offset,
                                    .last_offset = batch_last_offset(batch),
                                    .timestamp = batch->max_timestamp,
                                    .transactional = (batch->attributes & BATCH_TRANSACTIONAL) != 0,
                                    .control = (batch->attributes & BATCH_CONTROL) != 0};
}

/* ---- leader -------------------------------------------------------------------------------------
 */

static void refuse(struct log_append_result *result, int16_t error, const char *message)
{
    *result = (struct log_append_result){.error = error,
                                         .message = message,
                                         .base_offset = -1,
                                         .last_offset = -1,
                                         .append_time_ms = -1};
}

static struct refusal check_producer(const struct log *log, const struct batch *batch,
                                     const struct producer_batch **duplicate)
{
    if (!log->producers_known) {
        return (struct refusal){KAFKA_KAFKA_STORAGE_ERROR,
                                "the state of idempotent producers is being read, try again"};
    }
    struct producer_append append = producer_append_of(batch);
    int16_t error = producers_check(&log->producers, &append, duplicate);
    return (struct refusal){error, NULL};
}

/* All that can be refused is judged before anything changes. The batches of one request from one
 * producer follow each other, so that the state is tried on a scratch sequence only when there is
 * more than one. */
static struct refusal check_all(const struct log *log, const uint8_t *data, size_t size,
                                const struct producer_batch **duplicate, int *count)
{
    struct batch previous = {.producer_id = -1};
    *count = 0;
    for (size_t at = 0; at < size;) {
        struct batch batch;
        struct refusal r = accepted;
        enum err parsed = batch_parse(data + at, size - at, &batch, NULL);
        if (parsed != ERR_NONE) {
            return (struct refusal){parsed == ERR_UNSUPPORTED ? KAFKA_INVALID_RECORD
                                                              : KAFKA_CORRUPT_MESSAGE,
                                    "the records are not whole batches of magic 2"};
        }
        r = check_batch(log, data + at, &batch);
        if (r.error != KAFKA_NONE) {
            return r;
        }
        if (batch.producer_id >= 0 && previous.producer_id == batch.producer_id) {
            bool follows = previous.producer_epoch == batch.producer_epoch &&
                           batch.base_sequence ==
                               (int32_t)(((int64_t)batch_last_sequence(&previous) + 1) & INT32_MAX);
            if (!follows) {
                return (struct refusal){KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, NULL};
            }
        } else if (batch.producer_id >= 0) {
            r = check_producer(log, &batch, duplicate);
            if (r.error != KAFKA_NONE || *duplicate != NULL) {
                return r;
            }
        }
        previous = batch;
        at += batch.size;
        (*count)++;
    }
    return accepted;
}

static void take_one(struct log *log, struct buf *buf, size_t at, int32_t leader_epoch,
                     int64_t append_time_ms)
{
    struct batch batch;
    enum err parsed = batch_parse(buf->data + at, buf->size - at, &batch, NULL);
    ASSERT(parsed == ERR_NONE);
    if (append_time_ms >= 0) {
        batch_set_append_time(buf->data + at, &batch, append_time_ms);
        batch.max_timestamp = append_time_ms;
        batch.attributes |= BATCH_LOG_APPEND_TIME;
    }
    batch_set_base_offset(buf->data + at, log->assigned);
    batch_set_leader_epoch(buf->data + at, leader_epoch);
    batch.base_offset = log->assigned;
    batch.partition_leader_epoch = leader_epoch;
    log->epochs_dirty =
        epochs_assign(&log->epochs, leader_epoch, batch.base_offset) || log->epochs_dirty;
    queue_add(log, buf, at, &batch);
    if (batch.producer_id >= 0) {
        struct producer_append append = producer_append_of(&batch);
        producers_update(&log->producers, &append);
    }
}

void log_append_as_leader(struct log *log, struct buf *buf, size_t offset, size_t size,
                          int32_t leader_epoch, struct log_append_result *result)
{
    ASSERT(offset <= buf->size && size <= buf->size - offset);
    ASSERT(leader_epoch >= 0);
    if (log->failed || log->state != LOG_OPEN) {
        refuse(result, KAFKA_KAFKA_STORAGE_ERROR, "the log directory is offline");
        return;
    }
    if (log->dir->full && log->events.full != NULL) {
        refuse(result, KAFKA_KAFKA_STORAGE_ERROR, log_full_message);
        return;
    }
    const struct producer_batch *duplicate = NULL;
    int count = 0;
    struct refusal r = check_all(log, buf->data + offset, size, &duplicate, &count);
    if (r.error != KAFKA_NONE || (count == 0 && duplicate == NULL)) {
        refuse(result, r.error == KAFKA_NONE ? KAFKA_INVALID_RECORD : r.error,
               r.error == KAFKA_NONE ? "no records" : r.message);
        return;
    }
    if (size > (size_t)log->config.segment_bytes) {
        refuse(result, KAFKA_RECORD_LIST_TOO_LARGE, "the records are larger than segment.bytes");
        return;
    }
    *result = (struct log_append_result){.append_time_ms = -1};
    if (duplicate != NULL) {
        result->duplicate = true;
        result->base_offset = duplicate->first_offset;
        result->last_offset = duplicate->last_offset;
        result->append_time_ms = log->config.log_append_time ? duplicate->timestamp : -1;
        return;
    }
    result->base_offset = log->assigned;
    result->append_time_ms = log->config.log_append_time ? env_wall_ms(log->env) : -1;
    for (size_t at = offset; at < offset + size;) {
        struct batch batch;
        enum err parsed = batch_parse_header(buf->data + at, offset + size - at, &batch, NULL);
        ASSERT(parsed == ERR_NONE);
        take_one(log, buf, at, leader_epoch, result->append_time_ms);
        at += batch.size;
    }
    result->last_offset = log->assigned - 1;
    ASSERT(result->last_offset >= result->base_offset);
}

/* ---- follower -----------------------------------------------------------------------------------
 */

static enum err check_copied(const struct log *log, const uint8_t *data, const struct batch *batch,
                             int64_t expected, struct err_text *text)
{
    /* Compaction on the leader leaves gaps. */
    bool follows =
        log->config.compacted ? batch->base_offset >= expected : batch->base_offset == expected;
    if (!follows) {
        err_set(text, "%s: a batch at offset %lld was sent where %lld was expected", log->name,
                (long long)batch->base_offset, (long long)expected);
        return ERR_OUT_OF_ORDER;
    }
    if (!batch_crc_ok(data, batch)) {
        err_set(text, "%s: the batch sent for offset %lld does not match its CRC", log->name,
                (long long)batch->base_offset);
        return ERR_CORRUPT;
    }
    return ERR_NONE;
}

static void take_copied(struct log *log, struct buf *buf, size_t at, const struct batch *batch)
{
    log->epochs_dirty =
        epochs_assign(&log->epochs, batch->partition_leader_epoch, batch->base_offset) ||
        log->epochs_dirty;
    queue_add(log, buf, at, batch);
    if (batch->producer_id >= 0) {
        struct producer_append append = producer_append_of(batch);
        producers_update(&log->producers, &append);
    }
}

enum err log_append_as_follower(struct log *log, struct buf *buf, size_t offset, size_t size,
                                int64_t *next_offset, struct err_text *text)
{
    ASSERT(offset <= buf->size && size <= buf->size - offset);
    *next_offset = log->assigned;
    if (log->failed || log->state != LOG_OPEN) {
        err_set(text, "log %s is offline: %s", log->name, log->text.text);
        return log->failed ? log->error : ERR_CLOSED;
    }
    if (log->dir->full && log->events.full != NULL) {
        err_set(text, "%s: log directory %s is full", log->name, log->dir->path);
        return ERR_NO_SPACE;
    }
    size_t end = offset + size;
    enum err e = ERR_NONE;
    for (size_t at = offset; e == ERR_NONE && end - at >= BATCH_HEADER_BYTES;) {
        struct batch batch;
        e = batch_parse(buf->data + at, end - at, &batch, text);
        if (e == ERR_TRUNCATED) {
            e = ERR_NONE;
            break;
        }
        if (e == ERR_NONE) {
            e = check_copied(log, buf->data + at, &batch, log->assigned, text);
        }
        if (e == ERR_NONE) {
            take_copied(log, buf, at, &batch);
            at += batch.size;
        }
    }
    *next_offset = log->assigned;
    return e;
}
