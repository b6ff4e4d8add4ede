/* What a consumer may see of a partition: below the high watermark, and only as the continuation of
 * what it read before (KIP-320).
 *
 * Since version 11 it may ask any replica, which shows what it has below its own high watermark;
 * and a leader that is told to (replica.selector.class) sends it to a replica in its own rack
 * (KIP-392): if the leader is not there itself, the in-sync one that has most, the latest to have
 * caught up, the one of the highest number (Kafka: RackAwareReplicaSelector). An answer that sends
 * it there has no records. */
#include "broker/api/fetch.h"

enum { ANY_REPLICA_VERSION = 11 };

static bool in_rack(const struct request *request, int32_t broker_id)
{
    const struct fetch_request *body = request->body;
    const struct image_broker *broker = image_broker(request->api->image, broker_id);
    return broker != NULL && broker->rack != NULL && wire_str_is(body->rack_id, broker->rack) &&
           api_endpoint(request, broker_id) != NULL;
}

static bool better(const struct replica_reader *a, const struct replica_reader *b)
{
    if (a->end != b->end) {
        return a->end > b->end;
    }
    return a->caught_up_ms != b->caught_up_ms ? a->caught_up_ms > b->caught_up_ms
                                              : a->broker_id > b->broker_id;
}

/* -1: to be served here. */
static int32_t preferred_replica(const struct fetch_part *part, const struct replica *replica)
{
    struct request *request = fetch_part_request(part);
    const struct fetch_request *body = request->body;
    if (!request->api->rack_aware || body->rack_id.size <= 0 ||
        in_rack(request, request->api->broker_id)) {
        return -1;
    }
    const struct replica_reader *best = NULL;
    struct replica_reader *readers =
        arena_array(&request->arena, (size_t)replica_count(replica), sizeof *readers);
    int32_t count = replica_readers(replica, part->asked.fetch_offset, readers);
    for (int32_t i = 0; i < count; i++) {
        if (in_rack(request, readers[i].broker_id) && (best == NULL || better(&readers[i], best))) {
            best = &readers[i];
        }
    }
    return best != NULL ? best->broker_id : -1;
}

/* What the consumer last read must be a prefix of what is here. */
static bool diverges(struct fetch_part *part, const struct log *log)
{
    if (fetch_part_request(part)->header.api_version < 12 || part->asked.last_fetched_epoch < 0) {
        return false;
    }
    int32_t epoch = -1;
    int64_t end = -1;
    log_end_of_epoch(log, part->asked.last_fetched_epoch, &epoch, &end);
    if (epoch < 0 && end < 0) {
        fetch_error(part, KAFKA_OFFSET_OUT_OF_RANGE);
        return true;
    }
    if (epoch < part->asked.last_fetched_epoch || end < part->asked.fetch_offset) {
        part->out.diverging_epoch.epoch = epoch;
        part->out.diverging_epoch.end_offset = end;
        part->restless = true;
        fetch_tell_now(part);
        return true;
    }
    return false;
}

bool fetch_look_consumer(struct fetch_part *part, struct replica *replica)
{
    bool any_replica = fetch_part_request(part)->header.api_version >= ANY_REPLICA_VERSION;
    int16_t error = replica_check(replica, part->asked.current_leader_epoch, !any_replica);
    if (error != KAFKA_NONE) {
        fetch_error(part, error);
        return false;
    }
    const struct log *log = replica_log(replica);
    int64_t offset = part->asked.fetch_offset;
    part->out.high_watermark = replica_high_watermark(replica);
    part->out.last_stable_offset = part->out.high_watermark;
    part->out.log_start_offset = log_start(log);
    part->limit_offset = part->out.high_watermark;
    part->out.preferred_read_replica = any_replica ? preferred_replica(part, replica) : -1;
    if (part->out.preferred_read_replica >= 0) {
        part->restless = true;
        fetch_tell_now(part);
        return false;
    }
    /* A follower that has not come so far (one that has just been added may have nothing) knows
     * nothing of the offset: the client looks for the leader, and does not begin again elsewhere.
     */
    if (offset > log_end(log) &&
        replica_leader_id(replica) != fetch_part_request(part)->api->broker_id) {
        fetch_error(part, KAFKA_OFFSET_NOT_AVAILABLE);
        return false;
    }
    if (diverges(part, log)) {
        return false;
    }
    if (offset < log_start(log) || offset > log_end(log)) {
        fetch_error(part, KAFKA_OFFSET_OUT_OF_RANGE);
        part->out.log_start_offset = log_start(log);
        return false;
    }
    return offset < part->limit_offset;
}
