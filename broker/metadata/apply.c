/* Records into an image: batches, frames, transactions, and the table of what each record does. */
#include <inttypes.h>
#include <string.h>

#include "broker/metadata/image_internal.h"
#include "broker/metadata/record.h"
#include "common/base/crc32c.h"

enum {
    BATCH_HEADER_BYTES = 61,
    BATCH_CRC_START = 21,
    ATTRIBUTE_COMPRESSION = 7,
    ATTRIBUTE_CONTROL = 1 << 5
};

typedef enum err apply_fn(struct apply_ctx *ctx, const void *msg);

static enum err apply_nothing(struct apply_ctx *ctx, const void *msg)
{
    ASSERT(ctx->image != NULL && msg != NULL);
    return ERR_NONE;
}

static apply_fn *const appliers[RECORD_KEYS] = {
    [RECORD_REGISTER_BROKER] = apply_register_broker,
    [RECORD_UNREGISTER_BROKER] = apply_unregister_broker,
    [RECORD_TOPIC] = apply_topic,
    [RECORD_PARTITION] = apply_partition,
    [RECORD_CONFIG] = apply_config,
    [RECORD_PARTITION_CHANGE] = apply_partition_change,
    [RECORD_FENCE_BROKER] = apply_fence_broker,
    [RECORD_UNFENCE_BROKER] = apply_unfence_broker,
    [RECORD_REMOVE_TOPIC] = apply_remove_topic,
    [RECORD_FEATURE_LEVEL] = apply_feature_level,
    [RECORD_PRODUCER_IDS] = apply_producer_ids,
    [RECORD_BROKER_REGISTRATION_CHANGE] = apply_broker_registration_change,
    [RECORD_NO_OP] = apply_nothing,
    [RECORD_REGISTER_CONTROLLER] = apply_register_controller,
    [RECORD_CLEAR_ELR] = apply_clear_elr,
};

void image_stand_at(struct image *image, int64_t offset, int32_t epoch, int64_t timestamp_ms)
{
    ASSERT(offset >= 0);
    image->offset = offset;
    image->epoch = epoch;
    image->timestamp_ms = timestamp_ms;
}

static void drop_pending(struct image *image)
{
    for (size_t i = 0; i < image->pending_count; i++) {
        buf_unref(image->pending[i].record);
    }
    image->pending_count = 0;
}

/* Decodes the body `in` stands at and applies it. */
static enum err apply_body(struct image *image, struct image_delta *delta,
                           const struct record_type *type, int16_t version, struct wire_in *in,
                           struct err_text *text)
{
    struct arena arena = {0};
    struct apply_ctx ctx = {image, delta, &arena, text};
    void *msg = arena_alloc(&arena, wire_message_size(type->message));
    enum err error = wire_decode(type->message, version, in, msg, &arena);
    if (error == ERR_NONE && wire_in_left(in) > 0) {
        error = ERR_CORRUPT;
    }
    if (error != ERR_NONE) {
        err_set(text, "the body of a %s version %d is malformed", type->name, version);
    } else {
        ASSERT(appliers[type->key] != NULL);
        error = appliers[type->key](&ctx, msg);
    }
    arena_free(&arena);
    return error;
}

/* ---- transactions (KIP-868) ---- */

static enum err begin_transaction(struct image *image, struct err_text *text)
{
    if (image->in_transaction) {
        err_set(text, "a metadata transaction begins within another");
        return ERR_INVALID;
    }
    image->in_transaction = true;
    return ERR_NONE;
}

static enum err end_transaction(struct image *image, struct image_delta *delta,
                                struct err_text *text)
{
    if (!image->in_transaction) {
        err_set(text, "a metadata transaction ends that did not begin");
        return ERR_INVALID;
    }
    image->in_transaction = false;
    enum err error = ERR_NONE;
    for (size_t i = 0; i < image->pending_count && error == ERR_NONE; i++) {
        const struct pending_record *record = &image->pending[i];
        error = image_apply_record(image, delta, record->record->data, record->record->size,
                                   record->offset, record->epoch, record->timestamp_ms, text);
    }
    drop_pending(image);
    ASSERT(!image->in_transaction && image->pending_count == 0);
    return error;
}

static enum err abort_transaction(struct image *image, struct err_text *text)
{
    if (!image->in_transaction) {
        err_set(text, "a metadata transaction is aborted that did not begin");
        return ERR_INVALID;
    }
    image->in_transaction = false;
    drop_pending(image);
    return ERR_NONE;
}

static void keep_aside(struct image *image, const void *record, size_t size, int64_t offset,
                       int32_t epoch, int64_t timestamp_ms)
{
    ASSERT(image->in_transaction);
    struct pending_record *pending =
        MEM_PUSH(image->pending, image->pending_count, image->pending_capacity);
    *pending = (struct pending_record){buf_copy(record, size), offset, epoch, timestamp_ms};
}

enum err image_apply_record(struct image *image, struct image_delta *delta, const void *record,
                            size_t size_bytes, int64_t offset, int32_t epoch, int64_t timestamp_ms,
                            struct err_text *text)
{
    struct wire_in in = wire_in_of(record, size_bytes);
    const struct record_type *type = NULL;
    int16_t version = 0;
    enum err error = record_get_frame(&in, &type, &version, text);
    if (error != ERR_NONE) {
        err_wrap(text, "metadata record at offset %" PRId64, offset);
        return error;
    }
    if (type->key == RECORD_BEGIN_TRANSACTION) {
        error = begin_transaction(image, text);
    } else if (type->key == RECORD_END_TRANSACTION) {
        error = end_transaction(image, delta, text);
    } else if (type->key == RECORD_ABORT_TRANSACTION) {
        error = abort_transaction(image, text);
    } else if (image->in_transaction) {
        keep_aside(image, record, size_bytes, offset, epoch, timestamp_ms);
    } else {
        error = apply_body(image, delta, type, version, &in, text);
    }
    if (error != ERR_NONE) {
        err_wrap(text, "metadata record at offset %" PRId64, offset);
        return error;
    }
    image_stand_at(image, offset, epoch, timestamp_ms);
    return ERR_NONE;
}

/* ---- batches ---- */

struct batch {
    int64_t base_offset;
    int32_t epoch;
    int16_t attributes;
    int32_t last_delta;
    int64_t base_timestamp_ms;
    int64_t max_timestamp_ms;
    int32_t count;
    struct wire_in records;
};

static enum err get_batch(struct wire_in *in, struct batch *batch, struct err_text *text)
{
    const uint8_t *start = in->at;
    batch->base_offset = wire_get_i64(in);
    int32_t length = wire_get_i32(in);
    if (in->error != ERR_NONE || length < BATCH_HEADER_BYTES - 12 ||
        (size_t)length > wire_in_left(in)) {
        err_set(text, "a metadata batch is cut off");
        return ERR_TRUNCATED;
    }
    size_t size = (size_t)length + 12;
    struct wire_in body = wire_in_of(in->at, (size_t)length);
    wire_get_raw(in, (size_t)length);
    batch->epoch = wire_get_i32(&body);
    int8_t magic = wire_get_i8(&body);
    uint32_t crc = wire_get_u32(&body);
    batch->attributes = wire_get_i16(&body);
    batch->last_delta = wire_get_i32(&body);
    batch->base_timestamp_ms = wire_get_i64(&body);
    batch->max_timestamp_ms = wire_get_i64(&body);
    wire_get_raw(&body, 8 + 2 + 4); /* producer id, epoch, sequence */
    batch->count = wire_get_i32(&body);
    batch->records = body;
    ASSERT(body.error == ERR_NONE);
    if (magic != 2 || crc != crc32c(start + BATCH_CRC_START, size - BATCH_CRC_START)) {
        err_set(text, "the metadata batch at offset %" PRId64 " is corrupt (magic %d)",
                batch->base_offset, magic);
        return ERR_CORRUPT;
    }
    if (batch->base_offset < 0 || batch->last_delta < 0 ||
        batch->base_offset > INT64_MAX - INT32_MAX || batch->count < 0) {
        err_set(text, "a metadata batch has the offset %" PRId64, batch->base_offset);
        return ERR_CORRUPT;
    }
    if ((batch->attributes & ATTRIBUTE_COMPRESSION) != 0) {
        err_set(text, "the metadata batch at offset %" PRId64 " is compressed", batch->base_offset);
        return ERR_UNSUPPORTED;
    }
    return ERR_NONE;
}

/* The next record of a batch: its value and where it stands. */
static enum err get_record(struct batch *batch, struct wire_bytes *value, int64_t *offset,
                           int64_t *timestamp_ms)
{
    struct wire_in *in = &batch->records;
    int64_t size = wire_get_varint(in);
    if (in->error != ERR_NONE || size < 0 || (uint64_t)size > wire_in_left(in)) {
        return ERR_TRUNCATED;
    }
    struct wire_in body = wire_in_of(in->at, (size_t)size);
    wire_get_raw(in, (size_t)size);
    wire_get_i8(&body);
    int64_t timestamp_delta = wire_get_varint(&body);
    int64_t offset_delta = wire_get_varint(&body);
    if (offset_delta < 0 || offset_delta > batch->last_delta) {
        return ERR_CORRUPT;
    }
    *offset = batch->base_offset + offset_delta;
    *timestamp_ms = (int64_t)((uint64_t)batch->base_timestamp_ms + (uint64_t)timestamp_delta);
    int64_t key_size = wire_get_varint(&body);
    if (key_size > 0) {
        wire_get_raw(&body, (size_t)key_size);
    }
    int64_t value_size = wire_get_varint(&body);
    if (body.error != ERR_NONE || value_size < 0) {
        return ERR_CORRUPT;
    }
    value->data = wire_get_raw(&body, (size_t)value_size);
    value->size = (int32_t)value_size;
    return body.error;
}

static enum err apply_batch(struct image *image, struct image_delta *delta, struct batch *batch,
                            struct err_text *text)
{
    for (int32_t i = 0; i < batch->count; i++) {
        struct wire_bytes value = {NULL, 0};
        int64_t offset = 0;
        int64_t timestamp_ms = 0;
        enum err error = get_record(batch, &value, &offset, &timestamp_ms);
        if (error != ERR_NONE) {
            err_set(text,
                    "record %" PRId32 " of the metadata batch at offset %" PRId64 " is malformed",
                    i, batch->base_offset);
            return error;
        }
        error = image_apply_record(image, delta, value.data, (size_t)value.size, offset,
                                   batch->epoch, timestamp_ms, text);
        if (error != ERR_NONE) {
            return error;
        }
    }
    return ERR_NONE;
}

enum err image_apply_batches(struct image *image, struct image_delta *delta, const void *batches,
                             size_t size_bytes, struct err_text *text)
{
    struct wire_in in = wire_in_of(batches, size_bytes);
    while (wire_in_left(&in) > 0) {
        struct batch batch;
        enum err error = get_batch(&in, &batch, text);
        if (error == ERR_NONE && (batch.attributes & ATTRIBUTE_CONTROL) == 0) {
            error = apply_batch(image, delta, &batch, text);
        }
        if (error != ERR_NONE) {
            return error;
        }
        image_stand_at(image, batch.base_offset + batch.last_delta, batch.epoch,
                       batch.max_timestamp_ms);
    }
    return ERR_NONE;
}
