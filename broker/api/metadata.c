/* Metadata: brokers and topics as the committed image has them, for the listener the client came
 * by.
 *
 * ControllerId is a live broker, not the quorum leader: admin requests may go to any broker and are
 * passed on (KIP-590). A topic that does not exist is created when both sides allow it; the answer
 * is UNKNOWN_TOPIC_OR_PARTITION until it is there, as Apache Kafka in KRaft mode has it. */
#include <string.h>

#include "broker/api/handlers.h"
#include "common/base/assert.h"

struct fill {
    struct request *request;
    struct metadata_response *response;
};

static bool add_broker(void *ctx, const struct image_broker *broker)
{
    struct fill *fill = ctx;
    const struct image_endpoint *endpoint = api_endpoint(fill->request, broker->id);
    if (endpoint == NULL) {
        return true;
    }
    int32_t n = fill->response->brokers.count++;
    fill->response->brokers.items[n].node_id = broker->id;
    fill->response->brokers.items[n].host = wire_str(endpoint->host);
    fill->response->brokers.items[n].port = endpoint->port;
    fill->response->brokers.items[n].rack = wire_str(broker->rack);
    return true;
}

static void fill_partition(struct request *request, struct metadata_response_partition *out,
                           const struct image_partition *partition)
{
    out->partition_index = partition->partition;
    out->leader_id = partition->leader;
    out->leader_epoch = partition->leader_epoch;
    if (partition->leader < 0) {
        out->error_code = KAFKA_LEADER_NOT_AVAILABLE;
    } else if (api_endpoint(request, partition->leader) == NULL) {
        out->error_code = KAFKA_LISTENER_NOT_FOUND;
        out->leader_id = -1;
    }
    API_ARRAY(request, out->replica_nodes, partition->replicas.count);
    API_ARRAY(request, out->isr_nodes, partition->isr.count);
    API_ARRAY(request, out->offline_replicas, partition->replicas.count);
    out->offline_replicas.count = 0;
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        out->replica_nodes.items[i] = partition->replicas.ids[i];
        if (api_endpoint(request, partition->replicas.ids[i]) == NULL) {
            out->offline_replicas.items[out->offline_replicas.count++] = partition->replicas.ids[i];
        }
    }
    for (int32_t i = 0; i < partition->isr.count; i++) {
        out->isr_nodes.items[i] = partition->isr.ids[i];
    }
}

static void fill_topic(struct request *request, struct metadata_response_topic *out,
                       const struct image_topic *topic)
{
    out->name = wire_str(topic->name);
    out->topic_id = topic->id;
    out->is_internal = api_topic_internal(topic->name);
    out->topic_authorized_operations = INT32_MIN;
    API_ARRAY(request, out->partitions, topic->partition_count);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        fill_partition(request, &out->partitions.items[i], topic->partitions[i]);
    }
}

static bool add_topic(void *ctx, const struct image_topic *topic)
{
    struct fill *fill = ctx;
    fill_topic(fill->request, &fill->response->topics.items[fill->response->topics.count++], topic);
    return true;
}

/* One asked topic that the image does not have. */
static void fill_unknown(struct request *request, struct metadata_response_topic *out,
                         const struct metadata_request_topic *asked, bool may_create)
{
    bool by_id = asked->name.size < 0;
    out->name = asked->name;
    out->topic_id = asked->topic_id;
    out->topic_authorized_operations = INT32_MIN;
    if (by_id) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_ID;
        return; /* version 12 and later: see fill_asked */
    }
    out->topic_id = uuid_zero();
    if (!api_topic_name_valid(asked->name)) {
        out->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
        return;
    }
    char *name = wire_str_dup(&request->arena, asked->name);
    out->is_internal = api_topic_internal(name);
    out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (may_create) {
        request->api->auto_create(request->api->ctx, name);
    }
}

/* Versions 10 and 11 have ids in the request, but no way to answer them (KAFKA-14189). */
static void refuse_id(struct metadata_response_topic *out,
                      const struct metadata_request_topic *asked)
{
    out->name = asked->name.size < 0 ? wire_str("") : asked->name;
    out->topic_id = asked->topic_id;
    out->topic_authorized_operations = INT32_MIN;
    out->error_code = KAFKA_INVALID_REQUEST;
}

static void fill_asked(struct request *request, struct metadata_response *response)
{
    const struct metadata_request *body = request->body;
    bool may_create = request->api->auto_create_topics &&
                      (request->header.api_version < 4 || body->allow_auto_topic_creation);
    struct api_seen *seen = NULL;
    API_ARRAY(request, response->topics, body->topics.count);
    response->topics.count = 0;
    for (int32_t i = 0; i < body->topics.count; i++) {
        const struct metadata_request_topic *asked = &body->topics.items[i];
        struct metadata_response_topic *out = &response->topics.items[response->topics.count];
        const struct image_topic *topic =
            api_topic(request->api->image, asked->name, &asked->topic_id);
        if (request->header.api_version < 12 &&
            (asked->name.size < 0 || !uuid_is_zero(&asked->topic_id))) {
            refuse_id(out, asked);
        } else if (topic == NULL) {
            fill_unknown(request, out, asked, may_create);
        } else if (!api_seen(request, &seen, topic)) {
            fill_topic(request, out, topic);
        } else {
            continue; /* a topic named twice is told of once */
        }
        response->topics.count++;
    }
    api_seen_free(&seen);
}

void api_metadata(struct request *request)
{
    const struct metadata_request *body = request->body;
    const struct image *image = request->api->image;
    struct metadata_response *response = api_response(request);
    struct fill fill = {request, response};
    API_ARRAY(request, response->brokers, image_broker_count(image));
    response->brokers.count = 0;
    image_each_broker(image, add_broker, &fill);
    response->cluster_id = wire_str(request->api->cluster_id);
    response->controller_id = -1;
    if (response->brokers.count > 0) {
        uint64_t pick = env_random(request->api->env) % (uint64_t)response->brokers.count;
        response->controller_id = response->brokers.items[pick].node_id;
    }
    bool all =
        body->topics.count < 0 || (request->header.api_version == 0 && body->topics.count == 0);
    if (all) {
        API_ARRAY(request, response->topics, image_topic_count(image));
        response->topics.count = 0;
        image_each_topic(image, add_topic, &fill);
    } else {
        fill_asked(request, response);
    }
    request_respond(request, response);
}
