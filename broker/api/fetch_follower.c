/* What a follower may see of a partition, and what its fetch says of the follower itself: all below
 * its fetch offset is on its disk, which moves the high watermark.
 *
 * So a fetch that names a replica must come from that broker (CVE-2018-1288). Without security a
 * name is all there is to go by: it must be that of a registered broker, in its present incarnation
 * where it names one (KIP-903), which holds the partition (broker/replica sees to that). Where
 * listeners authenticate, the CLUSTER_ACTION right on the cluster takes the place of this check. */
#include "broker/api/fetch.h"

/* 0, or why the fetch may say nothing about a broker: errors that a follower takes as "ask again",
 * since the metadata that explains it may be on its way to either side. */
static int16_t admit(const struct request *request, const struct replica_fetch *fetch)
{
    const struct image_broker *broker = image_broker(request->api->image, fetch->replica_id);
    if (broker == NULL) {
        return KAFKA_UNKNOWN_LEADER_EPOCH;
    }
    if (fetch->broker_epoch < 0 || fetch->broker_epoch == broker->epoch) {
        return KAFKA_NONE; /* fenced or not: a broker catches up before it is unfenced */
    }
    return fetch->broker_epoch > broker->epoch ? KAFKA_UNKNOWN_LEADER_EPOCH
                                               : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

static void take_question(struct fetch_part *part)
{
    const struct request *request = fetch_part_request(part);
    const struct fetch_request *body = request->body;
    const struct fetch_request_partition *asked = &part->asked;
    int16_t version = request->header.api_version;
    struct replica_fetch *fetch = &part->follower;
    fetch->replica_id = fetch_replica_id(request);
    fetch->broker_epoch = version >= 15 ? body->replica_state.replica_epoch : -1;
    fetch->current_leader_epoch = asked->current_leader_epoch;
    fetch->fetch_offset = asked->fetch_offset;
    fetch->last_fetched_epoch = asked->last_fetched_epoch;
    fetch->log_start_offset = asked->log_start_offset;
    /* Its default where the version, or the follower, does not name it (KIP-1166), and where we
     * have not told it either. */
    fetch->known_high_watermark = part->known_high_watermark;
    fetch->known_log_start = part->told_log_start >= 0 ? part->told_log_start : INT64_MAX;
    fetch->pulse = part->set->pulse;
}

bool fetch_look_follower(struct fetch_part *part, struct replica *replica)
{
    struct replica_fetch *fetch = &part->follower;
    struct fetch_response_partition *out = &part->out;
    take_question(part);
    int16_t error = admit(fetch_part_request(part), fetch);
    if (error != KAFKA_NONE) {
        fetch_error(part, error);
        return false;
    }
    bool more = replica_follower_fetch(replica, fetch);
    if (fetch->error != KAFKA_NONE) {
        fetch_error(part, fetch->error);
        return false;
    }
    out->high_watermark = fetch->high_watermark;
    out->last_stable_offset = fetch->high_watermark;
    out->log_start_offset = fetch->log_start_offset_here;
    out->diverging_epoch.epoch = fetch->diverging_epoch;
    out->diverging_epoch.end_offset = fetch->diverging_end_offset;
    part->limit_offset = fetch->limit_offset;
    part->restless = fetch->restless || fetch->diverging_epoch >= 0;
    if (fetch->diverging_epoch >= 0 || fetch->news) {
        fetch_tell_now(part);
    }
    return more;
}
