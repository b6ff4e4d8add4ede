/* Metadata records as bytes: Kafka's frame (MetadataRecordSerde: uvarint frame version 1, uvarint
 * type, uvarint version) around a generated struct's body. */
#ifndef BROKER_METADATA_RECORD_H
#define BROKER_METADATA_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/wire/wire.h"

enum { RECORD_FRAME_VERSION = 1 };

/* The api keys of the records in use. */
enum record_key {
    RECORD_REGISTER_BROKER = 0,
    RECORD_UNREGISTER_BROKER = 1,
    RECORD_TOPIC = 2,
    RECORD_PARTITION = 3,
    RECORD_CONFIG = 4,
    RECORD_PARTITION_CHANGE = 5,
    RECORD_FENCE_BROKER = 7,
    RECORD_UNFENCE_BROKER = 8,
    RECORD_REMOVE_TOPIC = 9,
    RECORD_FEATURE_LEVEL = 12,
    RECORD_PRODUCER_IDS = 15,
    RECORD_BROKER_REGISTRATION_CHANGE = 17,
    RECORD_NO_OP = 20,
    RECORD_BEGIN_TRANSACTION = 23,
    RECORD_END_TRANSACTION = 24,
    RECORD_ABORT_TRANSACTION = 25,
    RECORD_REGISTER_CONTROLLER = 27,
    RECORD_CLEAR_ELR = 28,
    RECORD_KEYS
};

struct record_type {
    enum record_key key;
    const char *name; /* Kafka's: "TopicRecord" */
    const struct wire_message *message;
};

/* NULL when it is not one of ours. */
const struct record_type *record_type_of(uint64_t key);

/* Framed records, one after the other. Zero-initialise; record_list_free when done. */
struct record_list {
    struct wire_out out;
    size_t *ends; /* where each record ends in out.bytes */
    size_t count;
    size_t capacity;
};

/* Encodes `msg`, the struct of `key`'s message. The version must be in range (ASSERT). */
void record_list_add(struct record_list *list, enum record_key key, int16_t version,
                     const void *msg);
/* The framed bytes of record `index`; good until the next add. */
struct wire_bytes record_list_at(const struct record_list *list, size_t index);
/* Forgets the records from `count` on. */
void record_list_cut(struct record_list *list, size_t count);
void record_list_free(struct record_list *list);

/* Reads the frame: on success `in` stands at the body. ERR_UNSUPPORTED for what this build does not
 * read, with text. */
enum err record_get_frame(struct wire_in *in, const struct record_type **type, int16_t *version,
                          struct err_text *text);

#endif
