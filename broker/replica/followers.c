/* What a leader knows of its followers, and their fetches.
 *
 * Happy path: a follower asks for what comes after its end. Its offset says what is on its disk,
 * so the high watermark may move; being at our end makes it caught up, and fit for the in-sync set;
 * then it is told how far it may read, which is our log end. Failure modes: another epoch's fetch
 * (FENCED_ or UNKNOWN_LEADER_EPOCH), an earlier incarnation's (NOT_LEADER_OR_FOLLOWER), a log that
 * is no prefix of ours (the answer names where they part, KIP-595), an offset we do not have. None
 * of those changes what is known of the follower.
 *
 * The rules of time are Kafka's (Replica.updateFetchStateOrThrow): a follower under load is never
 * at our very end; it is caught up as of its last fetch when it now has what we had then. */
#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"

static const int64_t long_ago_ms = INT64_MIN / 2;

static struct follower fresh(const struct replica *replica, int32_t id)
{
    int64_t now = env_now_ms(replica->all->env);
    return (struct follower){.id = id,
                             .end = -1,
                             .log_start = -1,
                             .last_fetch_ms = long_ago_ms,
                             .last_fetch_leader_end = -1,
                             .last_caught_up_ms = isr_has(replica, id) ? now : long_ago_ms,
                             .broker_epoch = EPOCH_UNSEEN};
}

/* ---- sessions ---------------------------------------------------------------------------------
 */

struct replica_pulse *replica_pulse_new(void)
{
    struct replica_pulse *pulse = mem_zalloc(sizeof *pulse);
    pulse->refs = 1;
    pulse->last_fetch_ms = long_ago_ms;
    return pulse;
}

void replica_pulse_unref(struct replica_pulse *pulse)
{
    if (pulse != NULL && --pulse->refs == 0) {
        mem_free(pulse);
    }
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void end_pulse(struct follower *follower)
{
    if (follower->pulse != NULL) {
        int64_t beat_ms = follower->pulse->last_fetch_ms;
        follower->last_caught_up_ms = later(follower->last_caught_up_ms, beat_ms);
        follower->last_fetch_ms = later(follower->last_fetch_ms, beat_ms);
        replica_pulse_unref(follower->pulse);
        follower->pulse = NULL;
    }
}

static void take_pulse(struct follower *follower, struct replica_pulse *pulse)
{
    end_pulse(follower);
    if (pulse != NULL) {
        follower->pulse = pulse;
        pulse->refs++;
    }
}

void replica_pulse_leave(struct replica *replica, const struct replica_pulse *pulse)
{
    ASSERT(pulse != NULL);
    for (int32_t i = 0; i < replica->followers.count; i++) {
        if (replica->followers.items[i].pulse == pulse) {
            end_pulse(&replica->followers.items[i]);
        }
    }
}

void followers_note_growth(struct replica *replica)
{
    for (int32_t i = 0; i < replica->followers.count; i++) {
        struct follower *follower = &replica->followers.items[i];
        if (follower->end < log_end(replica->log)) {
            end_pulse(follower);
        }
    }
}

/* ---- who they are -----------------------------------------------------------------------------
 */

static void drop_pulses(struct followers *followers)
{
    for (int32_t i = 0; i < followers->count; i++) {
        replica_pulse_unref(followers->items[i].pulse);
        followers->items[i].pulse = NULL;
    }
}

static void rebuild(struct replica *replica, bool keep)
{
    struct followers old = replica->followers;
    struct followers *now = &replica->followers;
    now->items = mem_array((size_t)replica->replica_count, sizeof *now->items);
    now->count = 0;
    for (int32_t i = 0; i < replica->replica_count; i++) {
        int32_t id = replica->replica_ids[i];
        if (id == replica->all->config.broker_id) {
            continue;
        }
        struct follower *follower = &now->items[now->count++];
        *follower = fresh(replica, id);
        for (int32_t k = 0; keep && k < old.count; k++) {
            if (old.items[k].id == id) {
                *follower = old.items[k];
                old.items[k].pulse = NULL;
            }
        }
    }
    drop_pulses(&old);
    ASSERT(now->count <= replica->replica_count);
    mem_free(old.items);
}

void followers_reset(struct replica *replica)
{
    rebuild(replica, false);
}

void followers_keep(struct replica *replica)
{
    rebuild(replica, true);
}

void followers_free(struct replica *replica)
{
    drop_pulses(&replica->followers);
    mem_free(replica->followers.items);
    replica->followers = (struct followers){0};
}

struct follower *followers_find(const struct replica *replica, int32_t id)
{
    for (int32_t i = 0; i < replica->followers.count; i++) {
        if (replica->followers.items[i].id == id) {
            return &replica->followers.items[i];
        }
    }
    return NULL;
}

static int64_t caught_up_at(const struct follower *follower)
{
    const struct replica_pulse *pulse = follower->pulse;
    return pulse != NULL ? later(follower->last_caught_up_ms, pulse->last_fetch_ms)
                         : follower->last_caught_up_ms;
}

bool follower_caught_up(const struct replica *replica, const struct follower *follower)
{
    ASSERT(replica->leading);
    int64_t lag_ms = env_now_ms(replica->all->env) - caught_up_at(follower);
    return follower->end == log_end(replica->log) ||
           lag_ms <= replica->all->config.replication.lag_time_max_ms;
}

int32_t replica_count(const struct replica *replica)
{
    return replica->replica_count;
}

int32_t replica_readers(const struct replica *replica, int64_t offset,
                        struct replica_reader *readers)
{
    int32_t count = 0;
    for (int32_t i = 0; replica->leading && i < replica->followers.count; i++) {
        const struct follower *follower = &replica->followers.items[i];
        if (isr_has(replica, follower->id) && follower->end >= offset &&
            follower->log_start <= offset) {
            readers[count++] = (struct replica_reader){.broker_id = follower->id,
                                                       .end = follower->end,
                                                       .caught_up_ms = caught_up_at(follower)};
        }
    }
    ASSERT(count <= replica->replica_count);
    return count;
}

int64_t followers_common_end(const struct replica *replica)
{
    ASSERT(replica->leading);
    int64_t end = replica_own_end(replica);
    for (int32_t i = 0; i < replica->followers.count; i++) {
        const struct follower *follower = &replica->followers.items[i];
        /* One that is caught up but not in yet is waited for: otherwise a busy leader's watermark
         * would run ahead of it for ever, and it could never join. */
        bool counts = isr_may_have(replica, follower->id) ||
                      (follower_caught_up(replica, follower) && isr_eligible(replica, follower));
        if (counts && follower->end < end) {
            end = follower->end;
        }
    }
    return end;
}

/* ---- a fetch ----------------------------------------------------------------------------------
 */

static bool refuse(struct replica_fetch *fetch, int16_t error)
{
    fetch->error = error;
    return false;
}

/* KIP-320, KIP-595: what the follower holds must be a prefix of what is here. The last epoch's end
 * is the assigned one: what is queued counts as ours. */
static bool validate(const struct replica *replica, struct replica_fetch *fetch)
{
    const struct log *log = replica->log;
    int32_t epoch = -1;
    int64_t end = -1;
    if (fetch->last_fetched_epoch >= 0) {
        log_end_of_epoch(log, fetch->last_fetched_epoch, &epoch, &end);
        if (epoch < 0 || end < 0) {
            return refuse(fetch, KAFKA_OFFSET_OUT_OF_RANGE);
        }
        if (epoch == log_last_epoch(log)) {
            end = log_assigned_end(log);
        }
    }
    if (fetch->fetch_offset < log_start(log)) {
        return refuse(fetch, KAFKA_OFFSET_OUT_OF_RANGE);
    }
    if (fetch->last_fetched_epoch >= 0 &&
        (epoch < fetch->last_fetched_epoch || end < fetch->fetch_offset)) {
        fetch->diverging_epoch = epoch;
        fetch->diverging_end_offset = end;
        return false;
    }
    return fetch->fetch_offset <= log_assigned_end(log) || refuse(fetch, KAFKA_OFFSET_OUT_OF_RANGE);
}

/* An incarnation that is gone may still have a fetch on its way. */
static bool stale_incarnation(const struct replica *replica, const struct replica_fetch *fetch)
{
    const struct image *image = replica->all->image;
    const struct image_broker *broker =
        image != NULL ? image_broker(image, fetch->replica_id) : NULL;
    return fetch->broker_epoch >= 0 && broker != NULL && broker->epoch > fetch->broker_epoch;
}

static void note_fetch(struct replica *replica, struct follower *follower,
                       const struct replica_fetch *fetch)
{
    int64_t now = env_now_ms(replica->all->env);
    int64_t leader_end = log_end(replica->log);
    take_pulse(follower, fetch->fetch_offset >= leader_end ? fetch->pulse : NULL);
    if (fetch->fetch_offset >= leader_end) {
        follower->last_caught_up_ms = now;
    } else if (fetch->fetch_offset >= follower->last_fetch_leader_end &&
               follower->last_fetch_ms > follower->last_caught_up_ms) {
        follower->last_caught_up_ms = follower->last_fetch_ms;
    }
    follower->last_fetch_leader_end = leader_end;
    follower->last_fetch_ms = now;
    follower->end = fetch->fetch_offset;
    follower->log_start = fetch->log_start_offset;
    follower->broker_epoch = fetch->broker_epoch;
}

static void fill(const struct replica *replica, struct replica_fetch *fetch)
{
    int64_t mark = replica->high_watermark;
    fetch->high_watermark = mark;
    fetch->log_start_offset_here = log_start(replica->log);
    fetch->limit_offset = log_end(replica->log);
    /* News of the mark rides with the next records when such are on their way. */
    fetch->news = mark > fetch->known_high_watermark &&
                  fetch->fetch_offset > fetch->known_high_watermark &&
                  fetch->fetch_offset >= log_assigned_end(replica->log);
    fetch->news = fetch->news || fetch->log_start_offset_here > fetch->known_log_start;
}

bool replica_follower_fetch(struct replica *replica, struct replica_fetch *fetch)
{
    ASSERT(fetch->replica_id >= 0);
    fetch->diverging_epoch = -1;
    fetch->diverging_end_offset = -1;
    fetch->high_watermark = -1;
    fetch->log_start_offset_here = -1;
    fetch->news = false;
    fetch->restless = false;
    fetch->error = replica_check(replica, fetch->current_leader_epoch, true);
    if (fetch->error != KAFKA_NONE) {
        return false;
    }
    struct follower *follower = followers_find(replica, fetch->replica_id);
    if (follower == NULL) {
        /* Assigned in metadata that we have not seen yet. */
        return refuse(fetch, KAFKA_UNKNOWN_LEADER_EPOCH);
    }
    if (stale_incarnation(replica, fetch)) {
        return refuse(fetch, KAFKA_NOT_LEADER_OR_FOLLOWER);
    }
    if (!validate(replica, fetch)) {
        fill(replica, fetch);
        return false;
    }
    if (!fetch->noted) {
        fetch->noted = true;
        bool trimmed = follower->log_start != fetch->log_start_offset;
        note_fetch(replica, follower, fetch);
        isr_maybe_expand(replica, follower);
        if (replica_advance_mark(replica) || trimmed) {
            env_post(replica->all->env, &replica->news);
        }
    }
    fill(replica, fetch);
    fetch->restless = !isr_may_have(replica, follower->id);
    fetch->throttled = replica->throttled_leader;
    if (fetch->throttled && !isr_has(replica, follower->id) &&
        throttle_exceeded(&replica->all->leader_throttle, env_now_ms(replica->all->env))) {
        return false;
    }
    return fetch->fetch_offset < fetch->limit_offset;
}
