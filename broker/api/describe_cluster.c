/* DescribeCluster (KIP-700, KIP-919, KIP-1073): brokers on the broker listener, controllers on the
 * other. */
#include "broker/api/handlers.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2, CONTROLLERS_MAX = 64 };

struct fill {
    struct request *request;
    struct describe_cluster_response *response;
    bool fenced_too;
};

static void add(struct fill *fill, int32_t id, const struct image_endpoint *endpoint,
                const char *rack, bool fenced)
{
    int32_t n = fill->response->brokers.count++;
    fill->response->brokers.items[n].broker_id = id;
    fill->response->brokers.items[n].host = wire_str(endpoint->host);
    fill->response->brokers.items[n].port = endpoint->port;
    fill->response->brokers.items[n].rack = wire_str(rack);
    fill->response->brokers.items[n].is_fenced = fenced;
}

static bool add_broker(void *ctx, const struct image_broker *broker)
{
    struct fill *fill = ctx;
    const struct image_endpoint *endpoint =
        image_broker_endpoint(broker, fill->request->listener_name);
    if (endpoint != NULL && (!broker->fenced || fill->fenced_too)) {
        add(fill, broker->id, endpoint, broker->rack, broker->fenced);
    }
    return true;
}

static bool add_controller(void *ctx, const struct image_controller *controller)
{
    struct fill *fill = ctx;
    if (fill->response->brokers.count == CONTROLLERS_MAX) {
        return false;
    }
    if (controller->endpoint_count > 0) {
        add(fill, controller->id, &controller->endpoints[0], NULL, false);
    }
    return true;
}

void api_describe_cluster(struct request *request)
{
    const struct describe_cluster_request *body = request->body;
    const struct image *image = request->api->image;
    struct describe_cluster_response *response = api_response(request);
    struct fill fill = {request, response,
                        request->header.api_version >= 2 && body->include_fenced_brokers};
    int8_t wanted = request->header.api_version >= 1 ? body->endpoint_type : ENDPOINT_BROKERS;
    int8_t ours = request->listener == API_CONTROLLER ? ENDPOINT_CONTROLLERS : ENDPOINT_BROKERS;
    response->endpoint_type = ours;
    response->cluster_id = wire_str(request->api->cluster_id);
    if (wanted != ours) {
        response->error_code = wanted == ENDPOINT_BROKERS || wanted == ENDPOINT_CONTROLLERS
                                   ? KAFKA_MISMATCHED_ENDPOINT_TYPE
                                   : KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        request_respond(request, response);
        return;
    }
    if (ours == ENDPOINT_BROKERS) {
        API_ARRAY(request, response->brokers, image_broker_count(image));
        response->brokers.count = 0;
        image_each_broker(image, add_broker, &fill);
        if (response->brokers.count > 0) {
            uint64_t pick = env_random(request->api->env) % (uint64_t)response->brokers.count;
            response->controller_id = response->brokers.items[pick].broker_id;
        }
    } else {
        API_ARRAY(request, response->brokers, CONTROLLERS_MAX);
        response->brokers.count = 0;
        image_each_controller(image, add_controller, &fill);
        response->controller_id = request->api->quorum_leader(request->api->ctx);
    }
    request_respond(request, response);
}
