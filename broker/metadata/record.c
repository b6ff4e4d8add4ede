#include "broker/metadata/record.h"

#include <inttypes.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/messages.h"

#define ROW(key, kafka_name, message) [key] = {key, kafka_name, &wire_##message}

static const struct record_type types[RECORD_KEYS] = {
    ROW(RECORD_REGISTER_BROKER, "RegisterBrokerRecord", register_broker_record),
    ROW(RECORD_UNREGISTER_BROKER, "UnregisterBrokerRecord", unregister_broker_record),
    ROW(RECORD_TOPIC, "TopicRecord", topic_record),
    ROW(RECORD_PARTITION, "PartitionRecord", partition_record),
    ROW(RECORD_CONFIG, "ConfigRecord", config_record),
    ROW(RECORD_PARTITION_CHANGE, "PartitionChangeRecord", partition_change_record),
    ROW(RECORD_FENCE_BROKER, "FenceBrokerRecord", fence_broker_record),
    ROW(RECORD_UNFENCE_BROKER, "UnfenceBrokerRecord", unfence_broker_record),
    ROW(RECORD_REMOVE_TOPIC, "RemoveTopicRecord", remove_topic_record),
    ROW(RECORD_FEATURE_LEVEL, "FeatureLevelRecord", feature_level_record),
    ROW(RECORD_PRODUCER_IDS, "ProducerIdsRecord", producer_ids_record),
    ROW(RECORD_BROKER_REGISTRATION_CHANGE, "BrokerRegistrationChangeRecord",
        broker_registration_change_record),
    ROW(RECORD_NO_OP, "NoOpRecord", no_op_record),
    ROW(RECORD_BEGIN_TRANSACTION, "BeginTransactionRecord", begin_transaction_record),
    ROW(RECORD_END_TRANSACTION, "EndTransactionRecord", end_transaction_record),
    ROW(RECORD_ABORT_TRANSACTION, "AbortTransactionRecord", abort_transaction_record),
    ROW(RECORD_REGISTER_CONTROLLER, "RegisterControllerRecord", register_controller_record),
    ROW(RECORD_CLEAR_ELR, "ClearElrRecord", clear_elr_record),
};

const struct record_type *record_type_of(uint64_t key)
{
    return key < RECORD_KEYS && types[key].message != NULL ? &types[key] : NULL;
}

void record_list_add(struct record_list *list, enum record_key key, int16_t version,
                     const void *msg)
{
    const struct record_type *type = record_type_of(key);
    ASSERT(type != NULL && type->key == key);
    ASSERT(version >= wire_message_min(type->message) &&
           version <= wire_message_max(type->message));
    wire_put_uvarint(&list->out, RECORD_FRAME_VERSION);
    wire_put_uvarint(&list->out, (uint64_t)key);
    wire_put_uvarint(&list->out, (uint64_t)version);
    enum err error = wire_encode(type->message, version, msg, &list->out);
    ASSERT(error == ERR_NONE); /* who chose the version knows its fields */
    *MEM_PUSH(list->ends, list->count, list->capacity) = list->out.bytes.size;
}

struct wire_bytes record_list_at(const struct record_list *list, size_t index)
{
    ASSERT(index < list->count);
    size_t at = index == 0 ? 0 : list->ends[index - 1];
    return (struct wire_bytes){list->out.bytes.data + at, (int32_t)(list->ends[index] - at)};
}

void record_list_cut(struct record_list *list, size_t count)
{
    ASSERT(count <= list->count);
    list->count = count;
    list->out.bytes.size = count == 0 ? 0 : list->ends[count - 1];
}

void record_list_free(struct record_list *list)
{
    wire_out_free(&list->out);
    mem_free(list->ends);
    *list = (struct record_list){0};
}

enum err record_get_frame(struct wire_in *in, const struct record_type **type, int16_t *version,
                          struct err_text *text)
{
    uint64_t frame = wire_get_uvarint(in);
    uint64_t key = wire_get_uvarint(in);
    uint64_t wanted = wire_get_uvarint(in);
    if (in->error != ERR_NONE) {
        err_set(text, "a record ends within its frame");
        return in->error;
    }
    if (frame != RECORD_FRAME_VERSION) {
        err_set(text, "frame version %" PRIu64 ", this build reads 1", frame);
        return ERR_UNSUPPORTED;
    }
    *type = record_type_of(key);
    if (*type == NULL) {
        err_set(text, "record type %" PRIu64 " is not known to this build", key);
        return ERR_UNSUPPORTED;
    }
    int16_t min = wire_message_min((*type)->message);
    int16_t max = wire_message_max((*type)->message);
    if (wanted > INT16_MAX || (int16_t)wanted < min || (int16_t)wanted > max) {
        err_set(text, "%s version %" PRIu64 ", this build reads %d to %d", (*type)->name, wanted,
                min, max);
        return ERR_UNSUPPORTED;
    }
    *version = (int16_t)wanted;
    return ERR_NONE;
}
