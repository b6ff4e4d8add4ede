/* Who leads instead (KIP-951): told with the errors that send a client away, so that it need not
 * ask for metadata first. */
#include "broker/api/handlers.h"

struct api_leader api_leader_instead(const struct request *request, const struct uuid *topic_id,
                                     int32_t partition, int16_t error)
{
    struct api_leader leader = {-1, -1};
    if (error != KAFKA_NOT_LEADER_OR_FOLLOWER && error != KAFKA_FENCED_LEADER_EPOCH) {
        return leader;
    }
    const struct image_topic *topic = image_topic_by_id(request->api->image, topic_id);
    if (topic != NULL && partition >= 0 && partition < topic->partition_count) {
        leader.id = topic->partitions[partition]->leader;
        leader.epoch = topic->partitions[partition]->leader_epoch;
    }
    return leader;
}

static bool named(const struct api_leader_endpoint *list, int32_t count, int32_t id)
{
    for (int32_t i = 0; i < count; i++) {
        if (list[i].id == id) {
            return true;
        }
    }
    return false;
}

int32_t api_leader_endpoints(struct request *request, const struct api_leader *leaders,
                             int32_t count, struct api_leader_endpoint **out)
{
    int32_t known = 0;
    *out = arena_array(&request->arena, (size_t)count, sizeof **out);
    for (int32_t i = 0; i < count; i++) {
        const struct image_endpoint *endpoint = api_endpoint(request, leaders[i].id);
        if (endpoint == NULL || named(*out, known, leaders[i].id)) {
            continue;
        }
        const struct image_broker *broker = image_broker(request->api->image, leaders[i].id);
        (*out)[known++] = (struct api_leader_endpoint){.id = leaders[i].id,
                                                       .host = wire_str(endpoint->host),
                                                       .port = endpoint->port,
                                                       .rack = wire_str(broker->rack)};
    }
    return known;
}
