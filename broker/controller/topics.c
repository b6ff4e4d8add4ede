/* CreateTopics: each topic of a request succeeds or fails by itself; all that succeed are one
 * batch. */
#include <inttypes.h>
#include <string.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

enum { SOURCE_TOPIC = 1, SOURCE_CLUSTER_DEFAULT = 3, SOURCE_DEFAULT = 5 };

struct creation {
    struct controller *controller;
    struct controller_call *call;
    const struct create_topics_request_topic *asked;
    struct create_topics_response_topic *result;
    struct record_list *records;
    const char *name;
    struct uuid id;
    struct err_text text;
};

static void make_room(struct controller_call *call)
{
    const struct create_topics_request *request = call->request;
    struct create_topics_response *response = call->response;
    response->topics.items =
        arena_array(call->arena, (size_t)request->topics.count + 1, sizeof *response->topics.items);
    response->topics.count = 0;
}

/* The shape of a topic's answer before anything is known. */
static struct create_topics_response_topic *add_result(struct controller_call *call,
                                                       struct wire_str name)
{
    struct create_topics_response *response = call->response;
    struct create_topics_response_topic *result = &response->topics.items[response->topics.count++];
    result->name = name;
    result->error_message = WIRE_STR_NULL;
    result->num_partitions = -1;
    result->replication_factor = -1;
    return result;
}

void create_topics_refuse(struct controller_call *call, int16_t error, const char *message)
{
    const struct create_topics_request *request = call->request;
    make_room(call);
    for (int32_t i = 0; i < request->topics.count; i++) {
        struct create_topics_response_topic *result =
            add_result(call, request->topics.items[i].name);
        result->error_code = error;
        result->error_message = wire_str(message);
    }
}

/* ---- partitions ---- */

static int16_t assign_by_hand(struct creation *creation)
{
    const struct create_topics_request_topic *asked = creation->asked;
    int32_t count = asked->assignments.count;
    if (asked->num_partitions != -1 || asked->replication_factor != -1) {
        err_set(&creation->text, "with an assignment by hand the partition count and the "
                                 "replication factor must be -1");
        return KAFKA_INVALID_REQUEST;
    }
    int32_t *at = arena_array(creation->call->arena, (size_t)count, sizeof *at);
    for (int32_t i = 0; i < count; i++) {
        int32_t partition = asked->assignments.items[i].partition_index;
        if (partition < 0 || partition >= count || at[partition] != 0) {
            err_set(&creation->text, "the assigned partitions must be 0 to %" PRId32 ", each once",
                    count - 1);
            return KAFKA_INVALID_REPLICA_ASSIGNMENT;
        }
        at[partition] = i + 1;
    }
    ASSERT(count > 0);
    int32_t factor = asked->assignments.items[0].broker_ids.count;
    for (int32_t partition = 0; partition < count; partition++) {
        const int32_t *ids = asked->assignments.items[at[partition] - 1].broker_ids.items;
        int32_t ids_count = asked->assignments.items[at[partition] - 1].broker_ids.count;
        struct manual_check check = {0};
        if (!manual_replicas_valid(creation->controller->image, ids, ids_count, factor, &check)) {
            creation->text = check.text;
            return check.error;
        }
        if (!add_partition_record(creation->controller, &creation->id, partition, ids, ids_count,
                                  creation->call->arena, creation->records)) {
            err_set(&creation->text,
                    "every broker assigned partition %" PRId32 " is fenced or about to stop",
                    partition);
            return KAFKA_INVALID_REPLICA_ASSIGNMENT;
        }
    }
    creation->result->num_partitions = count;
    creation->result->replication_factor = (int16_t)factor;
    return 0;
}

static int16_t assign_by_placement(struct creation *creation)
{
    struct controller *controller = creation->controller;
    int32_t count = creation->asked->num_partitions;
    int32_t factor = creation->asked->replication_factor;
    if (factor == 0 || factor < -1) {
        err_set(&creation->text, "the replication factor must be above 0, or -1 for the default");
        return KAFKA_INVALID_REPLICATION_FACTOR;
    }
    if (count == 0 || count < -1) {
        err_set(&creation->text, "the partition count must be above 0, or -1 for the default");
        return KAFKA_INVALID_PARTITIONS;
    }
    count = count == -1 ? controller->config.num_partitions : count;
    factor = factor == -1 ? controller->config.default_replication_factor : factor;
    struct placement placement;
    if (!placement_make(controller, 0, count, factor, creation->call->arena, &placement,
                        &creation->text)) {
        return KAFKA_INVALID_REPLICATION_FACTOR;
    }
    for (int32_t i = 0; i < count; i++) {
        bool added = add_partition_record(controller, &creation->id, i,
                                          &placement.replicas[(size_t)i * (size_t)factor], factor,
                                          creation->call->arena, creation->records);
        ASSERT(added); /* placement gives every partition an active leader */
    }
    creation->result->num_partitions = count;
    creation->result->replication_factor = (int16_t)factor;
    return 0;
}

/* ---- settings ---- */

static int16_t add_configs(struct creation *creation)
{
    for (int32_t i = 0; i < creation->asked->configs.count; i++) {
        struct wire_str key = creation->asked->configs.items[i].name;
        struct wire_str value = creation->asked->configs.items[i].value;
        int16_t error = config_text_check(key, value, &creation->text);
        if (error != 0) {
            return error;
        }
        if (value.size < 0) {
            err_set(&creation->text, "the setting %.*s has no value", (int)key.size, key.data);
            return KAFKA_INVALID_CONFIG;
        }
        error = config_check(creation->controller, IMAGE_RESOURCE_TOPIC, creation->name,
                             wire_str_dup(creation->call->arena, key),
                             wire_str_dup(creation->call->arena, value), &creation->text);
        if (error != 0) {
            return error;
        }
        add_config_record(creation->records, IMAGE_RESOURCE_TOPIC, creation->asked->name, key,
                          value);
    }
    return 0;
}

/* What a setting of the new topic will be, and where that comes from. */
static const char *effective(const struct creation *creation, const char *key, int8_t *source)
{
    for (int32_t i = 0; i < creation->asked->configs.count; i++) {
        if (wire_str_is(creation->asked->configs.items[i].name, key)) {
            *source = SOURCE_TOPIC;
            return wire_str_dup(creation->call->arena, creation->asked->configs.items[i].value);
        }
    }
    const struct controller_settings_hooks *hooks = &creation->controller->config.settings;
    const char *value =
        image_config_value(creation->controller->image, IMAGE_RESOURCE_BROKER, "", key);
    *source = value != NULL ? SOURCE_CLUSTER_DEFAULT : SOURCE_DEFAULT;
    if (value != NULL) {
        return arena_strdup(creation->call->arena, value);
    }
    return hooks->default_value == NULL
               ? NULL
               : hooks->default_value(hooks->ctx, IMAGE_RESOURCE_TOPIC, key);
}

static void answer_configs(struct creation *creation)
{
    const struct controller_settings_hooks *hooks = &creation->controller->config.settings;
    if (hooks->topic_key_at == NULL || creation->call->version < 5) {
        return;
    }
    size_t count = 0;
    while (hooks->topic_key_at(hooks->ctx, count) != NULL) {
        count++;
    }
    struct create_topics_response_topic *result = creation->result;
    result->configs.items =
        arena_array(creation->call->arena, count + 1, sizeof *result->configs.items);
    result->configs.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const char *key = hooks->topic_key_at(hooks->ctx, i);
        int8_t source = SOURCE_DEFAULT;
        const char *value = effective(creation, key, &source);
        result->configs.items[i].name = wire_str(key);
        result->configs.items[i].value = wire_str(value);
        result->configs.items[i].config_source = source;
    }
}

/* ---- one topic, and all ---- */

static int16_t check_name(struct creation *creation)
{
    struct wire_str name = creation->asked->name;
    if (!topic_name_valid(name, &creation->text)) {
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    creation->name = wire_str_dup(creation->call->arena, name);
    if (image_topic_by_name(creation->controller->image, creation->name) != NULL) {
        err_set(&creation->text, "topic %s exists already", creation->name);
        return KAFKA_TOPIC_ALREADY_EXISTS;
    }
    char *other = wire_str_dup(creation->call->arena, name);
    if (topic_name_collides(creation->controller->image, other)) {
        err_set(&creation->text, "topic %s collides with topic %s: '.' and '_' count as one",
                creation->name, other);
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    return 0;
}

static int16_t create(struct creation *creation)
{
    int16_t error = check_name(creation);
    if (error != 0) {
        return error;
    }
    ASSERT(creation->name != NULL);
    creation->id = env_random_uuid(creation->controller->env);
    struct topic_record record;
    wire_defaults(&wire_topic_record, &record);
    record.name = creation->asked->name;
    record.topic_id = creation->id;
    record_list_add(creation->records, RECORD_TOPIC, 0, &record);
    error = add_configs(creation); /* Kafka: after the topic, before its partitions */
    if (error != 0) {
        return error;
    }
    return creation->asked->assignments.count > 0 ? assign_by_hand(creation)
                                                  : assign_by_placement(creation);
}

static bool too_many(const struct controller *controller,
                     const struct create_topics_request *request)
{
    int64_t total = 0;
    for (int32_t i = 0; i < request->topics.count; i++) {
        const struct create_topics_request_topic *asked = &request->topics.items[i];
        if (asked->assignments.count > 0) {
            total += asked->assignments.count;
        } else if (asked->num_partitions > 0) {
            total += asked->num_partitions;
        } else {
            total += controller->config.num_partitions;
        }
    }
    return total > controller->config.max_partitions_per_request;
}

static void note(const struct creation *creation, int16_t error)
{
    const struct controller_call *call = creation->call;
    const struct create_topics_request *request = call->request;
    const struct trace *trace = controller_trace(creation->controller);
    if (error != 0) {
        trace_info(trace, "controller: does not create topic %.*s: %s",
                   (int)creation->asked->name.size, creation->asked->name.data,
                   creation->text.text);
    } else if (!request->validate_only) {
        trace_info(trace,
                   "controller: creates topic %s with %" PRId32 " partitions of %d replicas: "
                   "%s asked for it",
                   creation->name, creation->result->num_partitions,
                   creation->result->replication_factor,
                   call->principal == NULL ? "a client" : call->principal);
    }
}

/* Names that differ in '.' and '_' only count as one here too. */
static char *unify(struct arena *arena, struct wire_str name)
{
    char *text = wire_str_dup(arena, name);
    for (int32_t i = 0; i < name.size; i++) {
        text[i] = text[i] == '.' ? '_' : text[i];
    }
    return text;
}

static void create_one(struct creation *creation, const struct name_set *repeated)
{
    const struct create_topics_request *request = creation->call->request;
    size_t before = creation->records->count;
    struct wire_str name = creation->asked->name;
    int16_t error = KAFKA_INVALID_REQUEST;
    if (name.size > 0 &&
        name_set_has(repeated, unify(creation->call->arena, name), (size_t)name.size)) {
        err_set(&creation->text, "the request names the topic twice");
    } else {
        error = create(creation);
    }
    if (error != 0 || request->validate_only) {
        record_list_cut(creation->records, before);
    }
    note(creation, error);
    struct create_topics_response_topic *result = creation->result;
    ASSERT(error != 0 || !uuid_is_zero(&creation->id));
    ASSERT(error == 0 || creation->text.text[0] != '\0');
    if (error != 0) {
        result->error_code = error;
        result->error_message = wire_str(arena_strdup(creation->call->arena, creation->text.text));
        result->num_partitions = -1;
        result->replication_factor = -1;
        return;
    }
    result->topic_id = creation->id;
    answer_configs(creation);
}

void create_topics_handle(struct controller *controller, struct controller_call *call,
                          struct record_list *records)
{
    const struct create_topics_request *request = call->request;
    if (too_many(controller, request)) {
        create_topics_refuse(call, KAFKA_POLICY_VIOLATION,
                             "too many partitions in one request; split it");
        return;
    }
    make_room(call);
    struct name_set seen = {0};
    struct name_set repeated = {0};
    for (int32_t i = 0; i < request->topics.count; i++) {
        struct wire_str name = request->topics.items[i].name;
        const char *unified = unify(call->arena, name);
        if (name.size > 0 && !name_set_add(&seen, unified, (size_t)name.size)) {
            name_set_add(&repeated, unified, (size_t)name.size);
        }
    }
    for (int32_t i = 0; i < request->topics.count; i++) {
        struct creation creation = {
            .controller = controller,
            .call = call,
            .asked = &request->topics.items[i],
            .records = records,
            .result = add_result(call, request->topics.items[i].name),
        };
        create_one(&creation, &repeated);
    }
    name_set_free(&seen);
    name_set_free(&repeated);
}
