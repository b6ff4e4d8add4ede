/* Deleting a partition's oldest records on a client's word (KIP-107).
 *
 * The leader moves its log's start and tells its followers with the next answers to their fetches;
 * they move theirs and say so in the fetches after. Done is what every replica that is alive has
 * done: one that is not will hear of it when it is back, before it can lead. */
#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/wire/kafka_error.h"

int16_t replica_delete_records(struct replica *replica, int64_t *offset)
{
    int16_t error = replica_check(replica, -1, true);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (!replica->settings.log.cleanup_delete) {
        return KAFKA_POLICY_VIOLATION;
    }
    if (*offset == REPLICA_HIGH_WATERMARK) {
        *offset = replica->high_watermark;
    }
    if (*offset < 0 || *offset > replica->high_watermark) {
        return KAFKA_OFFSET_OUT_OF_RANGE;
    }
    ASSERT(replica->leading && *offset <= log_end(replica->log));
    if (*offset > log_start(replica->log)) {
        trace_info(env_trace(replica->all->env), "a client deletes the records of %s-%d below %lld",
                   replica->topic, replica->key.partition, (long long)*offset);
        log_advance_start(replica->log, *offset);
        env_post(replica->all->env, &replica->news);
    }
    return KAFKA_NONE;
}

static bool alive(const struct replica *replica, int32_t id)
{
    const struct image *image = replica->all->image;
    const struct image_broker *broker = image != NULL ? image_broker(image, id) : NULL;
    return broker != NULL && !broker->fenced;
}

int64_t replica_low_watermark(const struct replica *replica)
{
    ASSERT(replica->leading && replica->log != NULL);
    int64_t low = log_start(replica->log);
    for (int32_t i = 0; i < replica->followers.count; i++) {
        const struct follower *follower = &replica->followers.items[i];
        if (follower->log_start < low && alive(replica, follower->id)) {
            low = follower->log_start;
        }
    }
    return low;
}
