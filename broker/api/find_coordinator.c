/* FindCoordinator (KIP-699 batches from version 4): the leader of the key's partition of
 * __consumer_offsets. The topic is made on the first question. Transactions and share groups are
 * not served: their key types get INVALID_REQUEST with words. */
#include "broker/api/handlers.h"

enum { KEY_GROUP = 0 };

struct found {
    int16_t error;
    const char *message;
    int32_t node_id;
    const char *host;
    int32_t port;
};

static struct found find(struct request *request, struct wire_str key, int8_t key_type)
{
    struct found found = {KAFKA_COORDINATOR_NOT_AVAILABLE, NULL, -1, "", -1};
    if (key_type != KEY_GROUP) {
        found.error = KAFKA_INVALID_REQUEST;
        found.message = "only group coordinators (key type 0) are served by this broker";
        return found;
    }
    const struct image_topic *topic =
        image_topic_by_name(request->api->image, "__consumer_offsets");
    if (topic == NULL) {
        request->api->auto_create(request->api->ctx, "__consumer_offsets");
        found.message = "__consumer_offsets is being created";
        return found;
    }
    int32_t partition = groups_partition_for(key, topic->partition_count);
    int32_t leader = topic->partitions[partition]->leader;
    const struct image_endpoint *endpoint = leader >= 0 ? api_endpoint(request, leader) : NULL;
    if (endpoint != NULL) {
        found = (struct found){KAFKA_NONE, NULL, leader, endpoint->host, endpoint->port};
    }
    return found;
}

void api_find_coordinator(struct request *request)
{
    const struct find_coordinator_request *body = request->body;
    struct find_coordinator_response *response = api_response(request);
    int8_t key_type = request->header.api_version >= 1 ? body->key_type : KEY_GROUP;
    if (request->header.api_version < 4) {
        struct found found = find(request, body->key, key_type);
        response->error_code = found.error;
        response->error_message = wire_str(found.message != NULL ? found.message : "NONE");
        response->node_id = found.node_id;
        response->host = wire_str(found.host);
        response->port = found.port;
    } else {
        int32_t count = body->coordinator_keys.count > 0 ? body->coordinator_keys.count : 0;
        API_ARRAY(request, response->coordinators, count);
        for (int32_t i = 0; i < count; i++) {
            struct found found = find(request, body->coordinator_keys.items[i], key_type);
            response->coordinators.items[i].key = body->coordinator_keys.items[i];
            response->coordinators.items[i].error_code = found.error;
            response->coordinators.items[i].error_message =
                wire_str(found.message != NULL ? found.message : "");
            response->coordinators.items[i].node_id = found.node_id;
            response->coordinators.items[i].host = wire_str(found.host);
            response->coordinators.items[i].port = found.port;
        }
    }
    request_respond(request, response);
}
