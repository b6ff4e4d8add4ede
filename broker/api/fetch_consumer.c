/* What a consumer may see of a partition: below the high watermark, of the leader, and only as the
 * continuation of what it read before (KIP-320). */
#include "broker/api/fetch.h"

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
    int16_t error = replica_check(replica, part->asked.current_leader_epoch, true);
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
