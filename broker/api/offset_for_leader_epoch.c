/* OffsetForLeaderEpoch (KIP-101, KIP-320): where an epoch ended in this leader's log. */
#include "broker/api/handlers.h"

static void answer_one(struct request *request, const struct image_topic *topic,
                       const struct offset_for_leader_epoch_request_partition *asked,
                       struct offset_for_leader_epoch_response_partition *out)
{
    out->partition = asked->partition;
    out->leader_epoch = -1;
    out->end_offset = -1;
    struct replica *replica =
        api_replica(request, topic, false, asked->partition, &out->error_code);
    if (replica == NULL) {
        return;
    }
    out->error_code = replica_check(replica, asked->current_leader_epoch, true);
    if (out->error_code == KAFKA_NONE) {
        log_end_of_epoch(replica_log(replica), asked->leader_epoch, &out->leader_epoch,
                         &out->end_offset);
    }
}

void api_offset_for_leader_epoch(struct request *request)
{
    const struct offset_for_leader_epoch_request *body = request->body;
    struct offset_for_leader_epoch_response *response = api_response(request);
    API_ARRAY(request, response->topics, body->topics.count);
    for (int32_t i = 0; i < body->topics.count; i++) {
        __typeof__(&body->topics.items[0]) asked = &body->topics.items[i];
        const struct image_topic *topic = api_topic(request->api->image, asked->topic, NULL);
        response->topics.items[i].topic = asked->topic;
        API_ARRAY(request, response->topics.items[i].partitions, asked->partitions.count);
        for (int32_t j = 0; j < asked->partitions.count; j++) {
            answer_one(request, topic, &asked->partitions.items[j],
                       &response->topics.items[i].partitions.items[j]);
        }
    }
    request_respond(request, response);
}
