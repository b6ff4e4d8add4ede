/* A replica's role, its high watermark, and the waits that depend on it.
 *
 * Happy path: the image names this broker leader -> the epoch begins in the log -> appends raise
 * the log's ends -> the high watermark follows -> parked produces and fetches fire. Failure modes:
 * the epoch changes or leadership goes (parked produces get NOT_LEADER_OR_FOLLOWER, watches fire so
 * that fetches look again); the log fails (KAFKA_STORAGE_ERROR). */
#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"

bool replica_durable(const struct replica *replica)
{
    return replica->settings.log.flush_messages == 1;
}

int64_t replica_own_end(const struct replica *replica)
{
    ASSERT(replica->log != NULL);
    return replica_durable(replica) ? log_durable_end(replica->log) : log_end(replica->log);
}

int32_t replica_min_isr(const struct replica *replica)
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
        if (append->wait_high_watermark && isr_maximal_count(replica) < replica_min_isr(replica)) {
            append->error = KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
        }
    }
    struct list *node;
    while ((node = list_pop(&reached_all)) != NULL) {
        struct replica_append *append = CONTAINER_OF(node, struct replica_append, node);
        append->done(append);
    }
}

bool replica_advance_mark(struct replica *replica)
{
    if (!replica->leading || replica->isr.count < replica_min_isr(replica)) {
        return false;
    }
    int64_t end = followers_common_end(replica);
    if (end <= replica->high_watermark) {
        return false;
    }
    replica->high_watermark = end;
    log_note_high_watermark(replica->log, end);
    return true;
}

void replica_clamp_mark(struct replica *replica)
{
    int64_t end = log_end(replica->log);
    if (replica->high_watermark > end) {
        replica->high_watermark = end;
    }
    if (replica->high_watermark < log_start(replica->log)) {
        replica->high_watermark = log_start(replica->log);
    }
}

void replica_advance(struct replica *replica)
{
    if (replica->state != REPLICA_ONLINE) {
        return;
    }
    if (replica->leading) {
        ASSERT(replica->high_watermark <= log_end(replica->log));
        followers_note_growth(replica);
        (void)replica_advance_mark(replica);
    } else {
        replica_clamp_mark(replica); /* a cut may end lower than it was asked to */
        follower_advance(replica);
    }
    complete_appends(replica);
    replica_fire_watches(replica);
}

static void begin_leading(struct replica *replica)
{
    ASSERT(!replica->leading && replica->following.fetcher == NULL);
    log_begin_epoch(replica->log, replica->leader_epoch);
    replica->leading = true;
    replica->epoch_start = log_assigned_end(replica->log);
    replica->announce_leader = true;
    followers_reset(replica);
    env_post(replica->all->env, &replica->news);
}

void replica_begin_role(struct replica *replica)
{
    ASSERT(replica->state == REPLICA_ONLINE && replica->log != NULL);
    if (replica->leading || replica->following.fetcher != NULL) {
        return; /* the epoch has begun */
    }
    if (replica->leader_id == replica->all->config.broker_id) {
        begin_leading(replica);
    } else {
        follower_start(replica);
    }
}

void replica_end_role(struct replica *replica)
{
    replica->leading = false;
    follower_stop(replica);
    followers_free(replica);
    isr_take(replica, NULL, 0);
}

static void take_assignment(struct replica *replica, const struct image_partition *partition)
{
    size_t bytes = (size_t)partition->replicas.count * sizeof *replica->replica_ids;
    mem_free(replica->replica_ids);
    replica->replica_ids = mem_dup(partition->replicas.ids, bytes);
    replica->replica_count = partition->replicas.count;
    isr_take(replica, partition->isr.ids, partition->isr.count);
    if (replica->leading) {
        followers_keep(replica);
    }
}

void replica_take_role(struct replica *replica, const struct image_partition *partition)
{
    bool new_epoch = partition->leader_epoch != replica->leader_epoch;
    bool led = replica->leading;
    int32_t old_epoch = replica->leader_epoch;
    if (!new_epoch && partition->partition_epoch <= replica->partition_epoch) {
        return; /* the controller's answer to AlterPartition was quicker */
    }
    if (new_epoch) {
        replica_end_role(replica);
    }
    replica->leader_id = partition->leader;
    replica->leader_epoch = partition->leader_epoch;
    replica->partition_epoch = partition->partition_epoch;
    take_assignment(replica, partition);
    if (new_epoch) {
        replica_fail_waits(replica, KAFKA_NOT_LEADER_OR_FOLLOWER);
    }
    if (led && new_epoch && replica->all->config.lost_leadership != NULL) {
        replica->all->config.lost_leadership(replica->all->config.ctx, replica->topic,
                                             replica->key.partition, old_epoch);
    }
    if (replica->state == REPLICA_ONLINE) {
        replica_begin_role(replica);
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

int32_t replica_isr_count(const struct replica *replica)
{
    return replica->isr.count;
}

int64_t replica_lag(const struct replica *replica)
{
    if (replica->state != REPLICA_ONLINE || replica->leading) {
        return 0;
    }
    int64_t told = replica->following.leader_high_watermark;
    int64_t mark = replica->following.fetcher != NULL && told >= 0 ? told : replica->high_watermark;
    int64_t own_end = replica_own_end(replica);
    return mark > own_end ? mark - own_end : 0;
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
