/* DescribeQuorum (KIP-595): only __cluster_metadata-0 has a quorum. Its leader alone can tell how
 * far the others are: a broker asks it in the client's stead. */
#include "broker/api/handlers.h"

void api_describe_quorum(struct request *request)
{
    const struct describe_quorum_request *body = request->body;
    struct describe_quorum_response *response = api_response(request);
    bool known = body->topics.count == 1 &&
                 wire_str_is(body->topics.items[0].topic_name, "__cluster_metadata") &&
                 body->topics.items[0].partitions.count == 1 &&
                 body->topics.items[0].partitions.items[0].partition_index == 0;
    int32_t leader = request->api->quorum_leader(request->api->ctx);
    if (known && request->listener == API_BROKER && leader >= 0 &&
        leader != request->api->broker_id) {
        api_controller_call(request);
        return;
    }
    if (known) {
        request->api->describe_quorum(request->api->ctx, request->header.api_version, response,
                                      &request->arena);
    } else {
        API_ARRAY(request, response->topics, body->topics.count);
        for (int32_t i = 0; i < body->topics.count; i++) {
            response->topics.items[i].topic_name = body->topics.items[i].topic_name;
            API_ARRAY(request, response->topics.items[i].partitions,
                      body->topics.items[i].partitions.count);
            for (int32_t j = 0; j < body->topics.items[i].partitions.count; j++) {
                response->topics.items[i].partitions.items[j].partition_index =
                    body->topics.items[i].partitions.items[j].partition_index;
                response->topics.items[i].partitions.items[j].error_code =
                    KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
                response->topics.items[i].partitions.items[j].error_message = WIRE_STR_NULL;
            }
        }
    }
    request_respond(request, response);
}
