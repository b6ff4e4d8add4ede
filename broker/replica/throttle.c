/* Replication quotas (KIP-73): bytes a second that a leader sends, and a follower fetches, of
 * partitions whose topic names them, so that moving replicas leaves room for clients.
 *
 * Happy path: what is sent or taken of a throttled partition is counted, by seconds, over the last
 * ten and the one that runs (Kafka: replication.quota.window.num and .size.seconds); while the mean
 * is above the rate, such partitions wait, and no others. Replicas in sync are counted, but never
 * wait: they are not who is catching up, and clients with acks=all wait for them. */
#include <stdlib.h>
#include <string.h>

#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"

enum { SAMPLE_MS = 1000 };

/* Forgets the samples that are too old. */
static void turn(struct replica_throttle *throttle, int64_t now_ms)
{
    int64_t second = now_ms / SAMPLE_MS;
    if (second - throttle->second > THROTTLE_SAMPLES) {
        throttle->second = second - THROTTLE_SAMPLES;
    }
    while (throttle->second < second) {
        throttle->second++;
        throttle->bytes[throttle->second % THROTTLE_SAMPLES] = 0;
    }
}

static int64_t total(const struct replica_throttle *throttle)
{
    int64_t sum = 0;
    for (int i = 0; i < THROTTLE_SAMPLES; i++) {
        sum += throttle->bytes[i];
    }
    return sum;
}

void throttle_count(struct replica_throttle *throttle, int64_t now_ms, int64_t bytes)
{
    ASSERT(bytes >= 0);
    turn(throttle, now_ms);
    throttle->bytes[throttle->second % THROTTLE_SAMPLES] += bytes;
}

bool throttle_exceeded(struct replica_throttle *throttle, int64_t now_ms)
{
    turn(throttle, now_ms);
    int64_t over_ms = (THROTTLE_SAMPLES - 1) * SAMPLE_MS + now_ms % SAMPLE_MS;
    double mean = (double)total(throttle) * 1000.0 / (double)over_ms;
    return mean > (double)throttle->rate;
}

/* "0:1,0:2,1:2" or "*": PARTITION:BROKER. */
static bool named(const char *list, int32_t partition, int32_t broker_id)
{
    const char *at = list != NULL ? list : "";
    while (*at != '\0') {
        char *end = NULL;
        if (*at == '*') {
            return true;
        }
        long number = strtol(at, &end, 10);
        long broker = end != at && *end == ':' ? strtol(end + 1, &end, 10) : -1;
        if (number == partition && broker == broker_id) {
            return true;
        }
        at = strchr(end, ',');
        at = at != NULL ? at + 1 + strspn(at + 1, " ") : "";
    }
    return false;
}

void throttle_take_settings(struct replica *replica)
{
    const struct replica_settings *settings = &replica->settings;
    int32_t id = replica->all->config.broker_id;
    replica->throttled_leader = named(settings->leader_throttled, replica->key.partition, id);
    replica->throttled_follower = named(settings->follower_throttled, replica->key.partition, id);
    replica->settings.leader_throttled = NULL; /* good during the call only */
    replica->settings.follower_throttled = NULL;
}

void throttle_take_rates(struct replicas *all)
{
    all->leader_throttle.rate = INT64_MAX;
    all->follower_throttle.rate = INT64_MAX;
    if (all->config.throttle_rates != NULL) {
        all->config.throttle_rates(all->config.ctx, &all->leader_throttle.rate,
                                   &all->follower_throttle.rate);
    }
}

void replicas_note_sent(struct replicas *all, int64_t bytes)
{
    throttle_count(&all->leader_throttle, env_now_ms(all->env), bytes);
}
