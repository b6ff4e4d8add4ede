/* Requests in, answers out.
 *
 * A call is decided at once, on our image; its records are appended and applied; its answer waits
 * until they are committed. A call that changes nothing still waits for what it was decided on. */
#include <inttypes.h>

#include "broker/controller/controller_internal.h"

#define NOT_ACTIVE "this node is not the active controller"

enum { ALTER_CONFIGS = 33, INCREMENTAL_ALTER_CONFIGS = 44 };

static const struct controller_api apis[] = {
    {19, "CreateTopics", false, create_topics_handle, create_topics_refuse},
    {20, "DeleteTopics", false, delete_topics_handle, delete_topics_refuse},
    {ALTER_CONFIGS, "AlterConfigs", false, alter_configs_handle, alter_configs_refuse},
    {37, "CreatePartitions", false, create_partitions_handle, create_partitions_refuse},
    {43, "ElectLeaders", false, elect_leaders_handle, elect_leaders_refuse},
    {INCREMENTAL_ALTER_CONFIGS, "IncrementalAlterConfigs", false, incremental_alter_configs_handle,
     incremental_alter_configs_refuse},
    {45, "AlterPartitionReassignments", false, alter_partition_reassignments_handle,
     alter_partition_reassignments_refuse},
    {46, "ListPartitionReassignments", false, list_partition_reassignments_handle,
     list_partition_reassignments_refuse},
    {56, "AlterPartition", true, alter_partition_handle, alter_partition_refuse},
    {57, "UpdateFeatures", false, update_features_handle, update_features_refuse},
    {62, "BrokerRegistration", true, broker_registration_handle, broker_registration_refuse},
    {63, "BrokerHeartbeat", true, broker_heartbeat_handle, broker_heartbeat_refuse},
    {64, "UnregisterBroker", true, unregister_broker_handle, unregister_broker_refuse},
    {67, "AllocateProducerIds", true, allocate_producer_ids_handle, allocate_producer_ids_refuse},
    {70, "ControllerRegistration", true, controller_registration_handle,
     controller_registration_refuse},
    {73, "AssignReplicasToDirs", true, assign_replicas_to_dirs_handle,
     assign_replicas_to_dirs_refuse},
};

static const struct controller_api *api_of(int16_t api_key)
{
    for (size_t i = 0; i < sizeof apis / sizeof apis[0]; i++) {
        if (apis[i].api_key == api_key) {
            return &apis[i];
        }
    }
    return NULL;
}

bool controller_handles(int16_t api_key)
{
    return api_of(api_key) != NULL;
}

void call_answer_now(struct controller *controller, struct controller_call *call)
{
    ASSERT(call->submitted && call->node.next == &call->node);
    list_push(&controller->answered, &call->node);
    env_post(controller->env, &controller->answer);
}

void controller_refuse(struct controller_call *call, int16_t error, const char *message)
{
    const struct wire_api *wire = wire_api_of(call->api_key);
    const struct controller_api *api = api_of(call->api_key);
    ASSERT(wire != NULL && api != NULL && error != 0);
    wire_defaults(wire->response, call->response);
    api->refuse(call, error, message);
    call->refused = error;
}

static void refuse(struct controller *controller, struct controller_call *call, int16_t error,
                   const char *message)
{
    controller_refuse(call, error, message);
    trace_debug(controller_trace(controller), "controller: %s refused with %d: %s",
                wire_api_of(call->api_key)->name, error, message);
    call_answer_now(controller, call);
}

void controller_submit(struct controller *controller, struct controller_call *call)
{
    const struct controller_api *api = api_of(call->api_key);
    const struct wire_api *wire = wire_api_of(call->api_key);
    ASSERT(api != NULL && wire != NULL && !call->submitted && call->done != NULL);
    list_init(&call->node);
    call->submitted = true;
    call->wait_offset = -1;
    call->refused = 0;
    if (controller->epoch == -1) {
        refuse(controller, call, KAFKA_NOT_CONTROLLER, NOT_ACTIVE);
        return;
    }
    wire_defaults(wire->response, call->response);
    struct record_list records = {0};
    api->handle(controller, call, &records);
    bool going = true;
    if (!api->of_brokers && records.count > 2 * CONTROLLER_RECORDS_PER_CALL_MAX) {
        refuse(controller, call, KAFKA_POLICY_VIOLATION,
               "one request may not change more than 10000 things; split it");
        going = false;
    } else if (records.count > 0) {
        enum err error = controller_append(controller, &records, !api->of_brokers);
        going = error == ERR_NONE;
        if (!going) {
            bool bug = error == ERR_INVALID;
            refuse(controller, call, bug ? KAFKA_UNKNOWN_SERVER_ERROR : KAFKA_NOT_CONTROLLER,
                   bug ? "the controller could not carry this out; its log says why" : NOT_ACTIVE);
        }
    }
    record_list_free(&records);
    if (!going) {
        return;
    }
    if (call->api_key == ALTER_CONFIGS || call->api_key == INCREMENTAL_ALTER_CONFIGS) {
        leaders_seek(controller); /* unclean.leader.election.enable may have come to hold */
    }
    call->wait_offset = controller->appended_offset;
    if (list_empty(&controller->appended)) {
        call_answer_now(controller, call);
    } else {
        list_push(&controller->waiting, &call->node);
    }
}

void controller_cancel(struct controller *controller, struct controller_call *call)
{
    if (call->submitted) {
        ASSERT(controller != NULL);
        call->submitted = false;
        list_remove(&call->node);
    }
}

void calls_committed(struct controller *controller, int64_t last_offset)
{
    while (!list_empty(&controller->waiting)) {
        struct controller_call *call =
            CONTAINER_OF(controller->waiting.next, struct controller_call, node);
        if (call->wait_offset > last_offset) {
            return;
        }
        list_remove(&call->node);
        call_answer_now(controller, call);
    }
}

void calls_refuse_waiting(struct controller *controller)
{
    ASSERT(controller->epoch == -1);
    while (!list_empty(&controller->waiting)) {
        struct controller_call *call =
            CONTAINER_OF(list_pop(&controller->waiting), struct controller_call, node);
        refuse(controller, call, KAFKA_NOT_CONTROLLER, NOT_ACTIVE);
    }
}

/* ---- appending --------------------------------------------------------------------------------
 */

static void give_up(struct controller *controller, enum err error, const char *why)
{
    /* Who hung for a while, and was replaced, may decide something before it hears of that. */
    if (error == ERR_STALE) {
        trace_info(controller_trace(controller), "controller: epoch %" PRId32 " is over: %s",
                   controller->epoch, why);
    } else {
        trace_error(controller_trace(controller), "controller: gives up epoch %" PRId32 ": %s",
                    controller->epoch, why);
    }
    ASSERT(controller->epoch != -1);
    controller->writer.resign(controller->writer.ctx, controller->epoch, why);
}

/* What our image will be with these records at the next offsets; NULL with words when it refuses
 * one. */
static struct image *image_with(const struct controller *controller,
                                const struct controller_record *records, size_t count,
                                int64_t first_offset, struct err_text *text)
{
    struct image *ahead = image_clone(controller->image);
    for (size_t i = 0; i < count; i++) {
        if (image_apply_record(ahead, NULL, records[i].data, records[i].size_bytes,
                               first_offset + (int64_t)i, controller->epoch,
                               env_wall_ms(controller->env), text) != ERR_NONE) {
            image_free(ahead);
            return NULL;
        }
    }
    return ahead;
}

static void accept(struct controller *controller, struct image *ahead, int64_t last_offset)
{
    ASSERT(last_offset > controller->appended_offset);
    image_free(controller->image);
    controller->image = ahead;
    struct appended *appended = mem_zalloc(sizeof *appended);
    appended->last_offset = last_offset;
    appended->image = image_clone(ahead);
    list_push(&controller->appended, &appended->node);
    controller->appended_offset = last_offset;
}

/* Records [from, from + count) as one batch. */
static enum err append_some(struct controller *controller, const struct record_list *records,
                            size_t from, size_t count)
{
    struct controller_record *framed = mem_array(count, sizeof *framed);
    for (size_t i = 0; i < count; i++) {
        struct wire_bytes bytes = record_list_at(records, from + i);
        framed[i] = (struct controller_record){bytes.data, (size_t)bytes.size};
    }
    struct err_text text = {{0}};
    int64_t first = controller->writer.next_offset(controller->writer.ctx);
    struct image *ahead = image_with(controller, framed, count, first, &text);
    enum err error = ERR_INVALID;
    if (ahead == NULL) {
        trace_error(controller_trace(controller), "controller: a decision makes no sense: %s",
                    text.text);
    } else {
        int64_t last = -1;
        error = controller->writer.append(controller->writer.ctx, controller->epoch, framed, count,
                                          &last, &text);
        if (error == ERR_NONE) {
            ASSERT(last == first + (int64_t)count - 1);
            accept(controller, ahead, last);
        } else {
            image_free(ahead);
            give_up(controller, error, text.text);
        }
    }
    mem_free(framed);
    return error;
}

enum err controller_append(struct controller *controller, const struct record_list *records,
                           bool atomic)
{
    ASSERT(controller->epoch != -1 && records->count > 0);
    size_t step = atomic ? records->count : CONTROLLER_RECORDS_PER_CALL_MAX;
    enum err error = ERR_NONE;
    for (size_t from = 0; from < records->count && error == ERR_NONE; from += step) {
        size_t left = records->count - from;
        error = append_some(controller, records, from, left < step ? left : step);
    }
    return error;
}
