/* A replica's role, its high watermark, and the waits that depend on it.
 *
 * Happy path: the image names this broker leader -> the epoch begins in the log -> appends raise
 * the log's ends -> the high watermark follows -> parked produces and fetches fire. Failure modes:
 * the epoch changes or leadership goes (parked produces get NOT_LEADER_OR_FOLLOWER, watches fire so
 * that fetches look again); the log fails (KAFKA_STORAGE_ERROR). */
#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/wire/kafka_error.h"

static bool durable_topic(const struct replica *replica)
{
    return replica->settings.log.flush_messages == 1;
}

int64_t replica_own_end(const struct replica *replica)
{
    ASSERT(replica->log != NULL);
    return durable_topic(replica) ? log_durable_end(replica->log) : log_end(replica->log);
}

static int32_t effective_min_isr(const struct replica *replica)
{
    int32_t wanted = replica->settings.min_insync_replicas;
    return wanted < replica->replica_count ? wanted : replica->replica_count;
}

void replica_fail_waits(struct replica *replica, int16_t error)
{
    struct list failed;
    list_init(&failed);
    list_splice(&failed, &replica->appends);
    struct list *node;
    while ((node = list_pop(&failed)) != NULL) {
        struct replica_append *append = CONTAINER_OF(node, struct replica_append, node);
        append->error = error;
        append->base_offset = -1;
        append->done(append);
    }
}

void replica_fire_watches(struct replica *replica)
{
    struct list fired;
    list_init(&fired);
    list_splice(&fired, &replica->watches);
    struct list *node;
    while ((node = list_pop(&fired)) != NULL) {
        struct replica_watch *watch = CONTAINER_OF(node, struct replica_watch, node);
        watch->fire(watch);
    }
}

static void complete_appends(struct replica *replica)
{
    int64_t own_end = replica_own_end(replica);
    struct list reached_all; /* first all, then the calls: a call may withdraw another */
    list_init(&reached_all);
    LIST_FOREACH(node, &replica->appends) {
        struct replica_append *append = CONTAINER_OF(node, struct replica_append, node);
        int64_t reached = append->wait_high_watermark ? replica->high_watermark : own_end;
        if (append->wait_offset > own_end) {
            break; /* offsets ascend along the list and no end passes our own */
        }
        if (append->wait_offset > reached) {
            continue;
        }
        list_remove(node);
        list_push(&reached_all, node);
        append->log_start_offset = log_start(replica->log);
        if (append->wait_high_watermark && replica->isr_count < effective_min_isr(replica)) {
            append->error = KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
        }
    }
    struct list *node;
    while ((node = list_pop(&reached_all)) != NULL) {
        struct replica_append *append = CONTAINER_OF(node, struct replica_append, node);
        append->done(append);
    }
}

static void advance_high_watermark(struct replica *replica)
{
    if (!replica->leading || replica->isr_count < effective_min_isr(replica)) {
        return;
    }
    int64_t end = replica_own_end(replica);
    if (end > replica->high_watermark) {
        replica->high_watermark = end;
        log_note_high_watermark(replica->log, end);
    }
}

void replica_advance(struct replica *replica)
{
    if (replica->state != REPLICA_ONLINE) {
        return;
    }
    ASSERT(replica->high_watermark <= log_end(replica->log));
    advance_high_watermark(replica);
    complete_appends(replica);
    replica_fire_watches(replica);
}

void replica_begin_leading(struct replica *replica)
{
    ASSERT(replica->state == REPLICA_ONLINE && replica->log != NULL);
    if (replica->leader_id != replica->all->config.broker_id || replica->leading) {
        return;
    }
    log_begin_epoch(replica->log, replica->leader_epoch);
    replica->leading = true;
    replica->epoch_start = log_assigned_end(replica->log);
    replica->announce_leader = true;
    env_post(replica->all->env, &replica->news);
}

void replica_take_role(struct replica *replica, const struct image_partition *partition)
{
    bool new_epoch = partition->leader_epoch != replica->leader_epoch;
    bool led = replica->leading;
    int32_t old_epoch = replica->leader_epoch;
    replica->leader_id = partition->leader;
    replica->leader_epoch = partition->leader_epoch;
    replica->partition_epoch = partition->partition_epoch;
    replica->isr_count = partition->isr.count;
    replica->replica_count = partition->replicas.count;
    if (new_epoch) {
        replica->leading = false;
        replica_fail_waits(replica, KAFKA_NOT_LEADER_OR_FOLLOWER);
    }
    bool leads = partition->leader == replica->all->config.broker_id;
    if (led && (new_epoch || !leads) && replica->all->config.lost_leadership != NULL) {
        replica->all->config.lost_leadership(replica->all->config.ctx, replica->topic,
                                             replica->key.partition, old_epoch);
    }
    if (replica->state == REPLICA_ONLINE) {
        replica_begin_leading(replica);
        env_post(replica->all->env, &replica->news);
    }
}

int16_t replica_check(const struct replica *replica, int32_t current_leader_epoch, bool need_leader)
{
    if (replica->state == REPLICA_FAILED) {
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
    if (replica->state != REPLICA_ONLINE) {
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    if (current_leader_epoch >= 0) {
        if (current_leader_epoch < replica->leader_epoch) {
            return KAFKA_FENCED_LEADER_EPOCH;
        }
        if (current_leader_epoch > replica->leader_epoch) {
            return KAFKA_UNKNOWN_LEADER_EPOCH;
        }
    }
    if (need_leader && !replica->leading) {
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    return KAFKA_NONE;
}

const char *replica_topic(const struct replica *replica)
{
    return replica->topic;
}

int32_t replica_partition(const struct replica *replica)
{
    return replica->key.partition;
}

const struct uuid *replica_topic_id(const struct replica *replica)
{
    return &replica->key.topic_id;
}

struct log *replica_log(const struct replica *replica)
{
    return replica->state == REPLICA_ONLINE ? replica->log : NULL;
}

struct log_dir *replica_dir(const struct replica *replica)
{
    return replica->dir;
}

int32_t replica_leader_epoch(const struct replica *replica)
{
    return replica->leader_epoch;
}

int32_t replica_leader_id(const struct replica *replica)
{
    return replica->leader_id;
}

int64_t replica_high_watermark(const struct replica *replica)
{
    return replica->high_watermark;
}

bool replica_high_watermark_known(const struct replica *replica)
{
    return !replica->leading || replica->high_watermark >= replica->epoch_start;
}

void replica_watch(struct replica *replica, struct replica_watch *watch)
{
    ASSERT(watch->fire != NULL);
    list_init(&watch->node);
    list_push(&replica->watches, &watch->node);
}

void replica_watch_cancel(struct replica_watch *watch)
{
    list_remove(&watch->node);
}
