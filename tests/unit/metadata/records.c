#include "tests/unit/metadata/records.h"

#include <string.h>

#include "common/base/crc32c.h"
#include "common/base/mem.h"
#include "common/wire/messages.h"

void put_topic(struct record_list *list, const char *name, struct uuid id)
{
    struct topic_record record;
    wire_defaults(&wire_topic_record, &record);
    record.name = wire_str(name);
    record.topic_id = id;
    record_list_add(list, RECORD_TOPIC, 0, &record);
}

void put_partition(struct record_list *list, struct uuid id, int32_t partition, int32_t leader,
                   const int32_t *replicas, int32_t count)
{
    struct partition_record record;
    wire_defaults(&wire_partition_record, &record);
    int32_t ids[8];
    struct uuid dirs[8] = {{{0}}};
    memcpy(ids, replicas, (size_t)count * sizeof ids[0]);
    record.topic_id = id;
    record.partition_id = partition;
    record.leader = leader;
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    record.replicas.items = ids;
    record.replicas.count = count;
    record.isr.items = ids;
    record.isr.count = count;
    record.directories.items = dirs;
    record.directories.count = count;
    record_list_add(list, RECORD_PARTITION, 2, &record);
}

void put_isr(struct record_list *list, struct uuid id, int32_t partition, const int32_t *isr,
             int32_t count)
{
    struct partition_change_record record;
    wire_defaults(&wire_partition_change_record, &record);
    int32_t ids[8];
    memcpy(ids, isr, (size_t)count * sizeof ids[0]);
    record.topic_id = id;
    record.partition_id = partition;
    record.isr.items = ids;
    record.isr.count = count;
    record_list_add(list, RECORD_PARTITION_CHANGE, 2, &record);
}

void put_replicas(struct record_list *list, struct uuid id, int32_t partition,
                  const int32_t *replicas, int32_t count, int32_t adding, int32_t removing)
{
    struct partition_change_record record;
    wire_defaults(&wire_partition_change_record, &record);
    int32_t ids[8];
    struct uuid directories[8];
    memset(directories, 0, sizeof directories);
    memcpy(ids, replicas, (size_t)count * sizeof ids[0]);
    record.topic_id = id;
    record.partition_id = partition;
    record.replicas.items = ids;
    record.replicas.count = count;
    record.directories.items = directories;
    record.directories.count = count;
    record.adding_replicas.items = ids;
    record.adding_replicas.count = adding;
    record.removing_replicas.items = ids + count - removing;
    record.removing_replicas.count = removing;
    record_list_add(list, RECORD_PARTITION_CHANGE, 2, &record);
}

void put_leader(struct record_list *list, struct uuid id, int32_t partition, int32_t leader)
{
    struct partition_change_record record;
    wire_defaults(&wire_partition_change_record, &record);
    record.topic_id = id;
    record.partition_id = partition;
    record.leader = leader;
    record_list_add(list, RECORD_PARTITION_CHANGE, 2, &record);
}

void put_remove(struct record_list *list, struct uuid id)
{
    struct remove_topic_record record;
    wire_defaults(&wire_remove_topic_record, &record);
    record.topic_id = id;
    record_list_add(list, RECORD_REMOVE_TOPIC, 0, &record);
}

void put_config(struct record_list *list, int8_t type, const char *name, const char *key,
                const char *value)
{
    struct config_record record;
    wire_defaults(&wire_config_record, &record);
    record.resource_type = type;
    record.resource_name = wire_str(name);
    record.name = wire_str(key);
    record.value = wire_str(value);
    record_list_add(list, RECORD_CONFIG, 0, &record);
}

void put_feature(struct record_list *list, const char *name, int16_t level)
{
    struct feature_level_record record;
    wire_defaults(&wire_feature_level_record, &record);
    record.name = wire_str(name);
    record.feature_level = level;
    record_list_add(list, RECORD_FEATURE_LEVEL, 0, &record);
}

void put_producer_ids(struct record_list *list, int64_t next)
{
    struct producer_ids_record record;
    wire_defaults(&wire_producer_ids_record, &record);
    record.next_producer_id = next;
    record_list_add(list, RECORD_PRODUCER_IDS, 0, &record);
}

void put_broker(struct record_list *list, int32_t id, int64_t epoch)
{
    struct register_broker_record record;
    wire_defaults(&wire_register_broker_record, &record);
    record.broker_id = id;
    record.broker_epoch = epoch;
    record.fenced = true;
    record.rack = wire_str("r1");
    __typeof__(record.end_points.items[0]) endpoint;
    memset(&endpoint, 0, sizeof endpoint);
    endpoint.name = wire_str("PLAINTEXT");
    endpoint.host = wire_str("127.0.0.1");
    endpoint.port = 9092;
    record.end_points.items = &endpoint;
    record.end_points.count = 1;
    record_list_add(list, RECORD_REGISTER_BROKER, 4, &record);
}

void put_fencing(struct record_list *list, int32_t id, int64_t epoch, int8_t fenced)
{
    struct broker_registration_change_record record;
    wire_defaults(&wire_broker_registration_change_record, &record);
    record.broker_id = id;
    record.broker_epoch = epoch;
    record.fenced = fenced;
    record_list_add(list, RECORD_BROKER_REGISTRATION_CHANGE, 0, &record);
}

void put_mark(struct record_list *list, enum record_key key)
{
    const struct record_type *type = record_type_of((uint64_t)key);
    void *record = mem_zalloc(wire_message_size(type->message));
    wire_defaults(type->message, record);
    record_list_add(list, key, 0, record);
    mem_free(record);
}

struct bytes batch_of(const struct record_list *list, int64_t base_offset, int32_t epoch,
                      bool control)
{
    struct wire_out out = {0};
    wire_put_i64(&out, base_offset);
    wire_put_i32(&out, 0);
    wire_put_i32(&out, epoch);
    wire_put_i8(&out, 2);
    wire_put_i32(&out, 0);
    wire_put_i16(&out, control ? 32 : 0);
    wire_put_i32(&out, (int32_t)list->count - 1);
    wire_put_i64(&out, 1000);
    wire_put_i64(&out, 1000);
    wire_put_i64(&out, -1);
    wire_put_i16(&out, -1);
    wire_put_i32(&out, -1);
    wire_put_i32(&out, (int32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        struct wire_bytes value = record_list_at(list, i);
        struct wire_out body = {0};
        wire_put_i8(&body, 0);
        wire_put_varint(&body, 0);
        wire_put_varint(&body, (int64_t)i);
        wire_put_varint(&body, -1);
        wire_put_varint(&body, value.size);
        wire_put_raw(&body, value.data, (size_t)value.size);
        wire_put_varint(&body, 0);
        wire_put_varint(&out, (int64_t)body.bytes.size);
        wire_put_raw(&out, body.bytes.data, body.bytes.size);
        wire_out_free(&body);
    }
    wire_patch_i32(&out, 8, (int32_t)(out.bytes.size - 12));
    wire_patch_i32(&out, 17, (int32_t)crc32c(out.bytes.data + 21, out.bytes.size - 21));
    return out.bytes;
}
