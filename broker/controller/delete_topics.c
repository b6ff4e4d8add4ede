/* DeleteTopics, by name (v1-5) or by name or id (v6). */
#include <inttypes.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

struct asked_topic {
    struct wire_str name; /* null: by id */
    struct uuid id;
};

static int32_t asked_count(const struct controller_call *call)
{
    const struct delete_topics_request *request = call->request;
    int32_t count = call->version >= 6 ? request->topics.count : request->topic_names.count;
    return count < 0 ? 0 : count;
}

static struct asked_topic asked_at(const struct controller_call *call, int32_t index)
{
    const struct delete_topics_request *request = call->request;
    if (call->version >= 6) {
        return (struct asked_topic){request->topics.items[index].name,
                                    request->topics.items[index].topic_id};
    }
    return (struct asked_topic){request->topic_names.items[index], uuid_zero()};
}

static void add_result(struct controller_call *call, struct wire_str name, const struct uuid *id,
                       int16_t error, const char *message)
{
    struct delete_topics_response *response = call->response;
    __typeof__(response->responses.items) result =
        &response->responses.items[response->responses.count++];
    result->name = name;
    result->topic_id = *id;
    result->error_code = error;
    result->error_message = wire_str(error == 0 ? NULL : message);
}

static void make_room(struct controller_call *call)
{
    struct delete_topics_response *response = call->response;
    response->responses.items =
        arena_array(call->arena, (size_t)asked_count(call) + 1, sizeof *response->responses.items);
    response->responses.count = 0;
}

void delete_topics_refuse(struct controller_call *call, int16_t error, const char *message)
{
    make_room(call);
    for (int32_t i = 0; i < asked_count(call); i++) {
        struct asked_topic asked = asked_at(call, i);
        add_result(call, asked.name, &asked.id, error, message);
    }
}

static const char twice[] = "a topic is deleted once, by its name or by its id";

static void delete_one(struct controller *controller, struct controller_call *call, int32_t index,
                       struct name_set *deleted, struct record_list *records)
{
    struct asked_topic asked = asked_at(call, index);
    bool by_name = asked.name.size >= 0;
    if (by_name != uuid_is_zero(&asked.id)) {
        add_result(call, asked.name, &asked.id, KAFKA_INVALID_REQUEST, twice);
        return;
    }
    const struct image_topic *topic =
        by_name ? image_topic_by_text(controller->image, asked.name.data, (size_t)asked.name.size)
                : image_topic_by_id(controller->image, &asked.id);
    if (topic == NULL) {
        add_result(call, asked.name, &asked.id,
                   by_name ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_UNKNOWN_TOPIC_ID,
                   "the topic does not exist");
        return;
    }
    if (!name_set_add(deleted, topic->id.bytes, sizeof topic->id.bytes)) {
        add_result(call, asked.name, &asked.id, KAFKA_INVALID_REQUEST, twice);
        return;
    }
    struct remove_topic_record record;
    wire_defaults(&wire_remove_topic_record, &record);
    record.topic_id = topic->id;
    record_list_add(records, RECORD_REMOVE_TOPIC, 0, &record);
    trace_info(controller_trace(controller),
               "controller: deletes topic %s with %" PRId32 " partitions: %s asked for it",
               topic->name, topic->partition_count,
               call->principal == NULL ? "a client" : call->principal);
    add_result(call, wire_str(arena_strdup(call->arena, topic->name)), &topic->id, 0, NULL);
}

void delete_topics_handle(struct controller *controller, struct controller_call *call,
                          struct record_list *records)
{
    if (!controller->config.delete_topic_enable) {
        delete_topics_refuse(
            call, call->version >= 3 ? KAFKA_TOPIC_DELETION_DISABLED : KAFKA_INVALID_REQUEST,
            "delete.topic.enable is false");
        return;
    }
    make_room(call);
    struct name_set deleted = {0};
    for (int32_t i = 0; i < asked_count(call); i++) {
        delete_one(controller, call, i, &deleted, records);
    }
    name_set_free(&deleted);
}
