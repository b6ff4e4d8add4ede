/* Partition records, and CreatePartitions. */
#include <inttypes.h>
#include <string.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

/* ---- shared with topics.c ---------------------------------------------------------------------
 */

bool manual_replicas_valid(const struct image *image, const int32_t *replicas, int32_t count,
                           int32_t replication_factor, struct manual_check *check)
{
    check->error = KAFKA_INVALID_REPLICA_ASSIGNMENT;
    if (count <= 0) {
        err_set(&check->text, "a partition is assigned to no broker");
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        if (image_broker(image, replicas[i]) == NULL) {
            err_set(&check->text, "broker %" PRId32 " is assigned a replica but not registered",
                    replicas[i]);
            return false;
        }
        for (int32_t k = 0; k < i; k++) {
            if (replicas[k] == replicas[i]) {
                err_set(&check->text, "broker %" PRId32 " is assigned the same partition twice",
                        replicas[i]);
                return false;
            }
        }
    }
    if (replication_factor > 0 && count != replication_factor) {
        err_set(&check->text,
                "a partition is assigned %" PRId32 " replicas, others of the topic %" PRId32, count,
                replication_factor);
        return false;
    }
    check->error = 0;
    return true;
}

bool add_partition_record(struct controller *controller, const struct uuid *topic_id,
                          int32_t partition, const int32_t *replicas, int32_t count,
                          struct arena *arena, struct record_list *records)
{
    ASSERT(count > 0 && partition >= 0);
    struct partition_record record;
    wire_defaults(&wire_partition_record, &record);
    int32_t *ids = arena_dup(arena, replicas, (size_t)count * sizeof *ids);
    int32_t *isr = arena_array(arena, (size_t)count, sizeof *isr);
    struct uuid *directories = arena_array(arena, (size_t)count, sizeof *directories);
    int32_t isr_count = 0;
    for (int32_t i = 0; i < count; i++) {
        directories[i] = directory_of(controller->image, replicas[i]);
        if (broker_active(controller->image, replicas[i])) {
            isr[isr_count++] = replicas[i];
        }
    }
    if (isr_count == 0) {
        return false;
    }
    record.partition_id = partition;
    record.topic_id = *topic_id;
    record.replicas.items = ids;
    record.replicas.count = count;
    record.isr.items = isr;
    record.isr.count = isr_count;
    record.leader = isr[0];
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    record.directories.items = directories;
    record.directories.count = count;
    record_list_add(records, RECORD_PARTITION, partition_version(controller->image), &record);
    return true;
}

/* ---- CreatePartitions -------------------------------------------------------------------------
 */

static void add_result(struct create_partitions_response *response, struct wire_str name,
                       int16_t error, const char *message)
{
    struct create_partitions_response_result *result =
        &response->results.items[response->results.count++];
    result->name = name;
    result->error_code = error;
    result->error_message = wire_str(error == 0 ? NULL : message);
}

static void make_room(struct controller_call *call)
{
    const struct create_partitions_request *request = call->request;
    struct create_partitions_response *response = call->response;
    response->results.items = arena_array(call->arena, (size_t)request->topics.count + 1,
                                          sizeof *response->results.items);
    response->results.count = 0;
}

void create_partitions_refuse(struct controller_call *call, int16_t error, const char *message)
{
    const struct create_partitions_request *request = call->request;
    make_room(call);
    for (int32_t i = 0; i < request->topics.count; i++) {
        add_result(call->response, request->topics.items[i].name, error, message);
    }
}

struct growth {
    struct controller *controller;
    struct controller_call *call;
    struct record_list *records;
    struct err_text text;
};

static int16_t grow_by_hand(struct growth *growth, const struct image_topic *topic,
                            const struct create_partitions_request_topic *asked)
{
    int32_t first = topic->partition_count;
    int32_t factor = topic->partitions[0]->replicas.count;
    if (asked->assignments.count != asked->count - first) {
        err_set(&growth->text, "%" PRId32 " partitions are added but %" PRId32 " are assigned",
                asked->count - first, asked->assignments.count);
        return KAFKA_INVALID_REPLICA_ASSIGNMENT;
    }
    for (int32_t i = 0; i < asked->assignments.count; i++) {
        const int32_t *ids = asked->assignments.items[i].broker_ids.items;
        int32_t count = asked->assignments.items[i].broker_ids.count;
        struct manual_check check = {0};
        if (!manual_replicas_valid(growth->controller->image, ids, count, factor, &check)) {
            growth->text = check.text;
            return check.error;
        }
        if (!add_partition_record(growth->controller, &topic->id, first + i, ids, count,
                                  growth->call->arena, growth->records)) {
            err_set(&growth->text,
                    "every broker assigned partition %" PRId32 " is fenced or about to stop",
                    first + i);
            return KAFKA_INVALID_REPLICA_ASSIGNMENT;
        }
    }
    return 0;
}

static int16_t grow(struct growth *growth, const struct create_partitions_request_topic *asked)
{
    struct controller *controller = growth->controller;
    const struct image_topic *topic =
        asked->name.size < 0
            ? NULL
            : image_topic_by_text(controller->image, asked->name.data, (size_t)asked->name.size);
    if (topic == NULL) {
        err_set(&growth->text, "the topic does not exist");
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    int32_t first = topic->partition_count;
    if (first == 0 || topic->partitions[0] == NULL) {
        err_set(&growth->text, "the topic has no partition 0 to take the replica count from");
        return KAFKA_UNKNOWN_SERVER_ERROR;
    }
    if (asked->count <= first) {
        err_set(&growth->text,
                "the topic has %" PRId32 " partitions, %" PRId32 " would not be more", first,
                asked->count);
        return KAFKA_INVALID_PARTITIONS;
    }
    if (asked->count > IMAGE_PARTITIONS_MAX) {
        err_set(&growth->text, "a topic may have %d partitions", IMAGE_PARTITIONS_MAX);
        return KAFKA_INVALID_PARTITIONS;
    }
    if (asked->count - first > controller->config.max_partitions_per_request) {
        err_set(&growth->text, "one request may add %" PRId32 " partitions",
                controller->config.max_partitions_per_request);
        return KAFKA_POLICY_VIOLATION;
    }
    if (asked->assignments.count >= 0) {
        return grow_by_hand(growth, topic, asked);
    }
    struct placement placement;
    int32_t factor = topic->partitions[0]->replicas.count;
    if (!placement_make(controller, first, asked->count - first, factor, growth->call->arena,
                        &placement, &growth->text)) {
        return KAFKA_INVALID_REPLICATION_FACTOR;
    }
    for (int32_t i = 0; i < placement.partition_count; i++) {
        bool added =
            add_partition_record(controller, &topic->id, first + i, &placement.replicas[i * factor],
                                 factor, growth->call->arena, growth->records);
        ASSERT(added); /* placement gives every partition an active leader */
    }
    return 0;
}

/* Names that the request holds more than once. */
static void find_repeated(const struct create_partitions_request *request,
                          struct name_set *repeated)
{
    struct name_set seen = {0};
    for (int32_t i = 0; i < request->topics.count; i++) {
        struct wire_str name = request->topics.items[i].name;
        if (name.size > 0 && !name_set_add(&seen, name.data, (size_t)name.size)) {
            name_set_add(repeated, name.data, (size_t)name.size);
        }
    }
    name_set_free(&seen);
}

void create_partitions_handle(struct controller *controller, struct controller_call *call,
                              struct record_list *records)
{
    const struct create_partitions_request *request = call->request;
    make_room(call);
    struct name_set repeated = {0};
    find_repeated(request, &repeated);
    for (int32_t i = 0; i < request->topics.count; i++) {
        const struct create_partitions_request_topic *asked = &request->topics.items[i];
        struct growth growth = {controller, call, records, {{0}}};
        size_t before = records->count;
        int16_t error = KAFKA_INVALID_REQUEST;
        if (asked->name.size > 0 &&
            name_set_has(&repeated, asked->name.data, (size_t)asked->name.size)) {
            err_set(&growth.text, "the request names the topic twice");
        } else {
            error = grow(&growth, asked);
        }
        if (error != 0 || request->validate_only) {
            record_list_cut(records, before);
        }
        trace_info(controller_trace(controller),
                   "controller: topic %.*s to %" PRId32 " partitions: %s", (int)asked->name.size,
                   asked->name.data, asked->count,
                   error != 0               ? growth.text.text
                   : request->validate_only ? "valid, not done"
                                            : "asked for");
        add_result(call->response, asked->name, error, arena_strdup(call->arena, growth.text.text));
    }
    name_set_free(&repeated);
}
