/* What several handlers need. */
#include <string.h>

#include "common/base/hash.h"

#include "broker/api/handlers.h"
#include "common/base/assert.h"

void *api_response(struct request *request)
{
    const struct wire_message *message = wire_api_of(request->header.api_key)->response;
    void *response = arena_alloc(&request->arena, wire_message_size(message));
    wire_defaults(message, response);
    return response;
}

bool api_topic_name_valid(struct wire_str name)
{
    if (name.size <= 0 || name.size > 249 || wire_str_is(name, ".") || wire_str_is(name, "..")) {
        return false;
    }
    for (int32_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
        if (!fits) {
            return false;
        }
    }
    return true;
}

const struct image_topic *api_topic(const struct image *image, struct wire_str name,
                                    const struct uuid *id)
{
    if (name.size > 0) {
        return image_topic_by_text(image, name.data, (size_t)name.size);
    }
    return id != NULL && !uuid_is_zero(id) ? image_topic_by_id(image, id) : NULL;
}

struct replica *api_replica(struct request *request, const struct image_topic *topic, bool by_id,
                            int32_t partition, int16_t *error)
{
    *error = KAFKA_NONE;
    if (topic == NULL) {
        *error = by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return NULL;
    }
    if (partition < 0 || partition >= topic->partition_count) {
        *error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return NULL;
    }
    struct replica *replica = replicas_find(request->api->replicas, &topic->id, partition);
    if (replica == NULL) {
        *error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    return replica;
}

const struct image_endpoint *api_endpoint(const struct request *request, int32_t broker_id)
{
    const struct image_broker *broker = image_broker(request->api->image, broker_id);
    if (broker == NULL || broker->fenced) {
        return NULL;
    }
    return image_broker_endpoint(broker, request->listener_name);
}

struct api_seen {
    const void *what;
    UT_hash_handle hh;
};

bool api_seen_has(struct api_seen *set, const void *what)
{
    struct api_seen *seen = NULL;
    HASH_FIND_PTR(set, &what, seen);
    return seen != NULL;
}

bool api_seen(struct request *request, struct api_seen **set, const void *what)
{
    struct api_seen *seen = NULL;
    HASH_FIND_PTR(*set, &what, seen);
    if (seen != NULL) {
        return true;
    }
    seen = arena_alloc(&request->arena, sizeof *seen);
    seen->what = what;
    HASH_ADD_PTR(*set, what, seen);
    return false;
}

void api_seen_free(struct api_seen **set)
{
    HASH_CLEAR(hh, *set);
}

bool api_topic_internal(const char *name)
{
    return strcmp(name, "__consumer_offsets") == 0 || strcmp(name, "__transaction_state") == 0 ||
           strcmp(name, "__share_group_state") == 0;
}
