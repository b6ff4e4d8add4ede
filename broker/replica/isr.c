/* The in-sync set: who is in, and what the controller is asked to change.
 *
 * Happy path: a follower catches up (or falls behind for replica.lag.time.max.ms) -> the change is
 * proposed and queued -> one AlterPartition carries all that is queued -> the controller's answer,
 * or the metadata it wrote, whichever comes first, is taken by its partition epoch. While a change
 * is under way the high watermark waits for the maximal set: for the one being added already, for
 * the one being removed still (KIP-497).
 *
 * Failure modes, per partition: the controller will not have the member (back to the committed
 * set; the next fetch or the timer may propose anew); it knows more than we do (wait for metadata);
 * anything else, or no answer at all, is asked again: asking twice is harmless, since a change that
 * was made is refused the second time by its partition epoch. */
#include <string.h>

#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"

enum { ALTER_VERSION = 3 /* members' epochs: KIP-903 */ };

static bool has(const int32_t *ids, int32_t count, int32_t id)
{
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

bool isr_has(const struct replica *replica, int32_t id)
{
    return has(replica->isr.ids, replica->isr.count, id);
}

bool isr_may_have(const struct replica *replica, int32_t id)
{
    const struct isr *isr = &replica->isr;
    return isr_has(replica, id) ||
           (isr->change == ISR_EXPANDING && has(isr->proposed, isr->proposed_count, id));
}

int32_t isr_maximal_count(const struct replica *replica)
{
    const struct isr *isr = &replica->isr;
    return isr->change == ISR_EXPANDING ? isr->proposed_count : isr->count;
}

static void drop_change(struct isr *isr)
{
    list_remove(&isr->queue);
    mem_free(isr->proposed);
    isr->proposed = NULL;
    isr->proposed_count = 0;
    isr->change = ISR_STEADY;
    isr->refused = false;
    isr->round = 0;
}

void isr_take(struct replica *replica, const int32_t *ids, int32_t count)
{
    ASSERT(count >= 0);
    int32_t *copy = mem_array((size_t)count, sizeof *copy);
    for (int32_t i = 0; i < count; i++) {
        copy[i] = ids[i];
    }
    drop_change(&replica->isr);
    mem_free(replica->isr.ids);
    replica->isr.ids = copy;
    replica->isr.count = count;
}

void isr_free(struct replica *replica)
{
    drop_change(&replica->isr);
    mem_free(replica->isr.ids);
    replica->isr.ids = NULL;
    replica->isr.count = 0;
}

bool isr_eligible(const struct replica *replica, const struct follower *follower)
{
    const struct image *image = replica->all->image;
    const struct image_broker *broker = image != NULL ? image_broker(image, follower->id) : NULL;
    return broker != NULL && !broker->fenced && !broker->in_controlled_shutdown &&
           (follower->broker_epoch == -1 || follower->broker_epoch == broker->epoch);
}

/* ---- proposing --------------------------------------------------------------------------------
 */

static void propose(struct replica *replica, enum isr_change change, int32_t *ids, int32_t count)
{
    struct replicas *all = replica->all;
    struct isr *isr = &replica->isr;
    ASSERT(isr->change == ISR_STEADY && isr->proposed == NULL);
    ASSERT(replica->leading && count > 0);
    isr->change = change;
    isr->proposed = ids;
    isr->proposed_count = count;
    list_push(&all->isr_sender.waiting, &isr->queue);
    env_post(all->env, &all->isr_sender.go);
}

void isr_maybe_expand(struct replica *replica, const struct follower *follower)
{
    struct isr *isr = &replica->isr;
    if (replica->all->config.links == NULL || isr->change != ISR_STEADY ||
        isr_has(replica, follower->id) || follower->end < replica->high_watermark ||
        follower->end < replica->epoch_start || !isr_eligible(replica, follower)) {
        return;
    }
    trace_info(env_trace(replica->all->env),
               "%s-%d: broker %d has caught up at offset %lld (high watermark %lld): asking to add "
               "it to the in-sync set",
               replica->topic, replica->key.partition, follower->id, (long long)follower->end,
               (long long)replica->high_watermark);
    int32_t *ids = mem_array((size_t)isr->count + 1, sizeof *ids);
    for (int32_t i = 0; i < isr->count; i++) {
        ids[i] = isr->ids[i];
    }
    ids[isr->count] = follower->id;
    propose(replica, ISR_EXPANDING, ids, isr->count + 1);
}

static void maybe_shrink(struct replica *replica)
{
    struct isr *isr = &replica->isr;
    if (isr->change != ISR_STEADY || isr->count <= 1) {
        return;
    }
    int32_t *ids = mem_array((size_t)isr->count, sizeof *ids);
    int32_t count = 0;
    for (int32_t i = 0; i < isr->count; i++) {
        const struct follower *follower = followers_find(replica, isr->ids[i]);
        if (follower == NULL || follower_caught_up(replica, follower)) {
            ids[count++] = isr->ids[i]; /* NULL: this broker itself */
            continue;
        }
        trace_info(env_trace(replica->all->env),
                   "%s-%d: broker %d is behind (at offset %lld, log end %lld): asking to take it "
                   "out of the in-sync set",
                   replica->topic, replica->key.partition, follower->id, (long long)follower->end,
                   (long long)log_end(replica->log));
    }
    if (count == isr->count || count == 0) {
        mem_free(ids);
        return;
    }
    propose(replica, ISR_SHRINKING, ids, count);
}

static void on_shrink(struct env_timer *timer)
{
    struct replicas *all = CONTAINER_OF(timer, struct replicas, isr_sender.shrink);
    struct replica *replica;
    struct replica *next;
    HASH_ITER(hh, all->by_key, replica, next)
    {
        if (replica->leading && replica->state == REPLICA_ONLINE) {
            maybe_shrink(replica);
        }
    }
    env_timer_set(all->env, timer,
                  env_now_ms(all->env) + all->config.replication.lag_time_max_ms / 2);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void ask_again(struct replica *replica)
{
    struct isr_sender *sender = &replica->all->isr_sender;
    replica->isr.round = 0;
    list_remove(&replica->isr.queue);
    list_push(&sender->waiting, &replica->isr.queue);
}

static void take_success(struct replica *replica,
                         const struct alter_partition_response_partition *part)
{
    if (part->leader_epoch != replica->leader_epoch || part->isr.count < 1 ||
        part->partition_epoch < replica->partition_epoch) {
        replica->isr.refused = true; /* metadata on its way says more */
        return;
    }
    trace_info(env_trace(replica->all->env),
               "%s-%d: the in-sync set has %d of %d replicas (partition epoch %d)", replica->topic,
               replica->key.partition, part->isr.count, replica->replica_count,
               part->partition_epoch);
    replica->partition_epoch = part->partition_epoch;
    isr_take(replica, part->isr.items, part->isr.count);
    env_post(replica->all->env, &replica->news);
}

/* True when it is to be asked again. */
static bool take_partition(struct replicas *all, const struct uuid *topic_id,
                           const struct alter_partition_response_partition *part)
{
    struct replica *replica = replicas_find(all, topic_id, part->partition_index);
    if (replica == NULL || replica->isr.round != all->isr_sender.round) {
        return false; /* metadata was quicker */
    }
    replica->isr.round = 0;
    list_remove(&replica->isr.queue);
    switch (part->error_code) {
    case KAFKA_NONE:
        take_success(replica, part);
        return false;
    case KAFKA_INELIGIBLE_REPLICA:
    case KAFKA_OPERATION_NOT_ATTEMPTED:
        drop_change(&replica->isr);
        env_post(all->env, &replica->news);
        return false;
    case KAFKA_FENCED_LEADER_EPOCH:
    case KAFKA_INVALID_UPDATE_VERSION:
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_UNKNOWN_TOPIC_ID:
    case KAFKA_INVALID_REQUEST:
    case KAFKA_NEW_LEADER_ELECTED: /* the change was made, and elected another (KIP-966) */
        replica->isr.refused = true;
        return false;
    default:
        ask_again(replica);
        return true;
    }
}

/* Whatever the answer did not speak of is asked again. */
static bool ask_rest_again(struct replicas *all)
{
    bool any = !list_empty(&all->isr_sender.asked);
    LIST_FOREACH(node, &all->isr_sender.asked) {
        ask_again(CONTAINER_OF(node, struct replica, isr.queue));
    }
    return any;
}

static void on_answer(struct replica_call *call, const struct replica_answer *answer)
{
    struct replicas *all = CONTAINER_OF(call, struct replicas, isr_sender.call);
    struct isr_sender *sender = &all->isr_sender;
    const struct alter_partition_response *response = answer->response;
    bool again = false;
    ASSERT(sender->sent);
    sender->sent = false;
    bool refused = answer->error == ERR_NONE && response->error_code != KAFKA_NONE;
    if (answer->error != ERR_NONE || refused) {
        trace_info(env_trace(all->env), "AlterPartition failed, trying again: %s",
                   refused ? kafka_error_name(response->error_code) : answer->why);
    }
    for (int32_t i = 0; answer->error == ERR_NONE && !refused && i < response->topics.count; i++) {
        const struct alter_partition_response_topic *topic = &response->topics.items[i];
        for (int32_t k = 0; k < topic->partitions.count; k++) {
            again = take_partition(all, &topic->topic_id, &topic->partitions.items[k]) || again;
        }
    }
    again = ask_rest_again(all) || again;
    sender->failures = again ? sender->failures + 1 : 0;
    if (again) {
        env_timer_set(all->env, &sender->retry,
                      env_now_ms(all->env) + fetcher_backoff_ms(all, sender->failures));
    } else {
        env_post(all->env, &sender->go);
    }
}

/* ---- asking -----------------------------------------------------------------------------------
 */

int64_t replicas_broker_epoch(const struct replicas *all)
{
    const struct image_broker *self =
        all->image != NULL ? image_broker(all->image, all->config.broker_id) : NULL;
    return self != NULL ? self->epoch : -1;
}

static void fill_partition(struct replica *replica, struct arena *arena,
                           struct alter_partition_request_partition *part)
{
    const struct isr *isr = &replica->isr;
    wire_struct_defaults(&wire_struct_alter_partition_request_partition, part);
    part->partition_index = replica->key.partition;
    part->leader_epoch = replica->leader_epoch;
    part->partition_epoch = replica->partition_epoch;
    part->new_isr_with_epochs.count = isr->proposed_count;
    part->new_isr_with_epochs.items =
        arena_array(arena, (size_t)isr->proposed_count, sizeof *part->new_isr_with_epochs.items);
    for (int32_t i = 0; i < isr->proposed_count; i++) {
        const struct follower *follower = followers_find(replica, isr->proposed[i]);
        int64_t epoch =
            follower == NULL ? replicas_broker_epoch(replica->all) : follower->broker_epoch;
        part->new_isr_with_epochs.items[i].broker_id = isr->proposed[i];
        part->new_isr_with_epochs.items[i].broker_epoch = epoch == EPOCH_UNSEEN ? -1 : epoch;
    }
}

static void on_go(struct env_post *post)
{
    struct replicas *all = CONTAINER_OF(post, struct replicas, isr_sender.go);
    struct isr_sender *sender = &all->isr_sender;
    if (sender->sent || list_empty(&sender->waiting) || env_timer_armed(&sender->retry)) {
        return;
    }
    int32_t count = 0;
    LIST_FOREACH(node, &sender->waiting) {
        count++;
    }
    arena_free(&sender->arena);
    struct alter_partition_request *request = arena_alloc(&sender->arena, sizeof *request);
    wire_defaults(&wire_alter_partition_request, request);
    request->broker_id = all->config.broker_id;
    request->broker_epoch = replicas_broker_epoch(all);
    request->topics.items =
        arena_array(&sender->arena, (size_t)count, sizeof *request->topics.items);
    sender->round++;
    struct list *node;
    while ((node = list_pop(&sender->waiting)) != NULL) {
        struct replica *replica = CONTAINER_OF(node, struct replica, isr.queue);
        struct alter_partition_request_topic *topic =
            &request->topics.items[request->topics.count++];
        ASSERT(replica->isr.change != ISR_STEADY && !replica->isr.refused);
        replica->isr.round = sender->round;
        list_push(&sender->asked, &replica->isr.queue);
        topic->topic_id = replica->key.topic_id;
        topic->partitions.count = 1;
        topic->partitions.items = arena_alloc(&sender->arena, sizeof *topic->partitions.items);
        fill_partition(replica, &sender->arena, topic->partitions.items);
    }
    sender->sent = true;
    sender->call = (struct replica_call){.broker_id = REPLICA_CONTROLLER,
                                         .channel = REPLICA_CHANNEL_LOOKUP,
                                         .api_key = WIRE_ALTER_PARTITION,
                                         .min_version = ALTER_VERSION,
                                         .max_version = ALTER_VERSION,
                                         .request = request,
                                         .timeout_ms = all->config.replication.socket_timeout_ms,
                                         .done = on_answer};
    all->config.links->send(all->config.links->ctx, &sender->call);
}

static void on_retry(struct env_timer *timer)
{
    struct replicas *all = CONTAINER_OF(timer, struct replicas, isr_sender.retry);
    env_post(all->env, &all->isr_sender.go);
}

void isr_sender_init(struct replicas *all)
{
    struct isr_sender *sender = &all->isr_sender;
    list_init(&sender->waiting);
    list_init(&sender->asked);
    env_post_init(&sender->go, on_go);
    sender->retry.fire = on_retry;
    sender->shrink.fire = on_shrink;
    if (all->config.links != NULL) {
        env_timer_set(all->env, &sender->shrink,
                      env_now_ms(all->env) + all->config.replication.lag_time_max_ms / 2);
    }
}

void isr_sender_stop(struct replicas *all)
{
    struct isr_sender *sender = &all->isr_sender;
    env_timer_cancel(all->env, &sender->retry);
    env_timer_cancel(all->env, &sender->shrink);
    env_post_cancel(all->env, &sender->go);
    if (sender->sent) {
        sender->sent = false;
        all->config.links->cancel(all->config.links->ctx, &sender->call);
    }
    arena_free(&sender->arena);
}
