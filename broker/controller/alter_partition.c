/* AlterPartition (KIP-497, 841, 903): a leader asks for another ISR.
 *
 * Happy path: the sender is the broker it says, leads the partition in the epoch it says, knows the
 * partition as it is now, and every member it wants is alive in the life it has seen -> one record,
 * and the answer tells the partition as it then is.
 *
 * Failure modes, each partition on its own: it knows less than we do (FENCED_LEADER_EPOCH,
 * INVALID_UPDATE_VERSION: metadata is on its way to it); it knows more (NOT_CONTROLLER: somebody
 * else decides); a member is fenced, stopping or a former life (INELIGIBLE_REPLICA); what it asks
 * for cannot be (INVALID_REQUEST); the change is made, but takes leadership away from the sender,
 * who has lost the directory that metadata names, or was to go when the reassignment that this
 * completes would (NEW_LEADER_ELECTED). */
#include <inttypes.h>
#include <string.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

enum { MEMBERS_WITH_EPOCHS = 3 /* from this version on: KIP-903 */ };

struct alteration {
    struct controller *controller;
    struct controller_call *call;
    struct record_list *records;
    const struct image_topic *topic; /* NULL: unknown */
    struct name_set seen;            /* a partition may be asked for once */
    int32_t changed;
    int32_t refused;
    const char *why; /* of the first one refused */
};

void alter_partition_refuse(struct controller_call *call, int16_t error, const char *message)
{
    struct alter_partition_response *response = call->response;
    ASSERT(message != NULL && error != 0);
    response->error_code = error;
}

static int16_t no(struct alteration *alteration, int16_t error, const char *why)
{
    ASSERT(error != 0);
    if (alteration->refused++ == 0) {
        alteration->why = why;
    }
    return error;
}

/* ---- the checks, in Kafka's order ---- */

static int16_t check_epochs(struct alteration *alteration, const struct image_partition *now,
                            const struct alter_partition_request_partition *asked)
{
    const struct alter_partition_request *request = alteration->call->request;
    if (asked->leader_epoch > now->leader_epoch || asked->partition_epoch > now->partition_epoch) {
        return no(alteration, KAFKA_NOT_CONTROLLER, "its epochs are ahead of what is decided here");
    }
    if (asked->leader_epoch < now->leader_epoch) {
        return no(alteration, KAFKA_FENCED_LEADER_EPOCH, "another leader epoch has begun");
    }
    if (request->broker_id != now->leader) {
        return no(alteration, KAFKA_INVALID_REQUEST, "it does not lead the partition");
    }
    if (asked->partition_epoch < now->partition_epoch) {
        return no(alteration, KAFKA_INVALID_UPDATE_VERSION, "the partition has changed since");
    }
    return 0;
}

static int16_t check_isr(struct alteration *alteration, const struct image_partition *now,
                         struct image_ids isr, int8_t recovery)
{
    if (isr.count <= 0) {
        return no(alteration, KAFKA_INVALID_REQUEST, "an ISR has a member");
    }
    for (int32_t i = 0; i < isr.count; i++) {
        struct image_ids before = {isr.ids, i};
        if (!ids_hold(now->replicas, isr.ids[i]) || ids_hold(before, isr.ids[i])) {
            return no(alteration, KAFKA_INVALID_REQUEST, "a member is no replica, or named twice");
        }
    }
    if (!ids_hold(isr, now->leader)) {
        return no(alteration, KAFKA_INVALID_REQUEST, "the leader is always in the ISR");
    }
    if (recovery != IMAGE_RECOVERED && recovery != IMAGE_RECOVERING) {
        return no(alteration, KAFKA_INVALID_REQUEST, "an unknown recovery state");
    }
    if (recovery == IMAGE_RECOVERING && isr.count > 1) {
        return no(alteration, KAFKA_INVALID_REQUEST, "a recovering leader is alone in the ISR");
    }
    if (recovery == IMAGE_RECOVERING && now->recovery == IMAGE_RECOVERED) {
        return no(alteration, KAFKA_INVALID_REQUEST, "a partition does not begin to recover so");
    }
    return 0;
}

/* `epoch` -1: the leader cannot say which life of the member it has seen. */
static int16_t check_member(struct alteration *alteration, int32_t id, int64_t epoch)
{
    const struct image_broker *broker = image_broker(alteration->controller->image, id);
    if (broker == NULL) {
        return no(alteration, KAFKA_INELIGIBLE_REPLICA, "a member is not registered");
    }
    if (broker->in_controlled_shutdown || broker->fenced) {
        return no(alteration, KAFKA_INELIGIBLE_REPLICA, "a member is fenced or about to stop");
    }
    if (epoch != -1 && epoch != broker->epoch) {
        return no(alteration, KAFKA_INELIGIBLE_REPLICA, "a member has been restarted since");
    }
    return 0;
}

/* ---- one partition ---- */

static struct image_ids asked_isr(const struct alteration *alteration,
                                  const struct alter_partition_request_partition *asked)
{
    if (alteration->call->version < MEMBERS_WITH_EPOCHS) {
        return (struct image_ids){asked->new_isr.items, asked->new_isr.count};
    }
    int32_t count = asked->new_isr_with_epochs.count;
    int32_t *ids = arena_array(alteration->call->arena, (size_t)count + 1, sizeof *ids);
    for (int32_t i = 0; i < count; i++) {
        ids[i] = asked->new_isr_with_epochs.items[i].broker_id;
    }
    return (struct image_ids){ids, count};
}

static int16_t check(struct alteration *alteration, const struct image_partition *now,
                     const struct alter_partition_request_partition *asked, struct image_ids isr)
{
    ASSERT(now->partition == asked->partition_index);
    int16_t error = check_epochs(alteration, now, asked);
    if (error == 0) {
        error = check_isr(alteration, now, isr, asked->leader_recovery_state);
    }
    bool epochs = alteration->call->version >= MEMBERS_WITH_EPOCHS;
    for (int32_t i = 0; i < isr.count && error == 0; i++) {
        int64_t epoch = epochs ? asked->new_isr_with_epochs.items[i].broker_epoch : -1;
        error = check_member(alteration, isr.ids[i], epoch);
    }
    return error;
}

static bool first_asked(struct alteration *alteration, int32_t partition)
{
    ASSERT(alteration->topic != NULL && partition >= 0);
    uint8_t key[sizeof(struct uuid) + sizeof partition];
    memcpy(key, alteration->topic->id.bytes, sizeof(struct uuid));
    memcpy(key + sizeof(struct uuid), &partition, sizeof partition);
    return name_set_add(&alteration->seen, key, sizeof key);
}

static int16_t alter(struct alteration *alteration,
                     const struct alter_partition_request_partition *asked,
                     struct alter_partition_response_partition *out)
{
    const struct image_topic *topic = alteration->topic;
    int32_t id = asked->partition_index;
    const struct image_partition *now = NULL;
    if (topic == NULL) {
        return no(alteration, KAFKA_UNKNOWN_TOPIC_ID, "the topic does not exist");
    }
    now = id >= 0 && id < topic->partition_count ? topic->partitions[id] : NULL;
    if (now == NULL) {
        return no(alteration, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "the partition does not exist");
    }
    if (!first_asked(alteration, id)) {
        return no(alteration, KAFKA_INVALID_REQUEST, "the request names a partition twice");
    }
    struct image_ids isr = asked_isr(alteration, asked);
    int16_t error = check(alteration, now, asked, isr);
    if (error != 0) {
        return error;
    }
    struct partition_change change =
        partition_change_of(alteration->controller, topic, now, alteration->call->arena);
    change.isr = isr;
    change.recovery = (enum image_recovery)asked->leader_recovery_state;
    struct image_partition after;
    alteration->changed += partition_change_add(&change, alteration->records, &after);
    if (after.leader != now->leader) {
        return no(alteration, KAFKA_NEW_LEADER_ELECTED,
                  "its log directory is not registered, or it was to hold the partition no more");
    }
    ASSERT(after.leader_epoch >= now->leader_epoch && ids_hold(after.isr, after.leader));
    out->leader_id = after.leader;
    out->leader_epoch = after.leader_epoch;
    out->partition_epoch = after.partition_epoch;
    out->leader_recovery_state = (int8_t)after.recovery;
    out->isr.count = after.isr.count;
    out->isr.items = arena_dup(alteration->call->arena, after.isr.ids,
                               (size_t)after.isr.count * sizeof *after.isr.ids);
    return 0;
}

/* ---- the request ---- */

static void alter_topic(struct alteration *alteration,
                        const struct alter_partition_request_topic *asked,
                        struct alter_partition_response_topic *out)
{
    ASSERT(out->partitions.count == 0);
    alteration->topic = image_topic_by_id(alteration->controller->image, &asked->topic_id);
    out->topic_id = asked->topic_id;
    out->partitions.items =
        arena_array(alteration->call->arena, (size_t)asked->partitions.count + 1,
                    sizeof *out->partitions.items);
    for (int32_t i = 0; i < asked->partitions.count; i++) {
        struct alter_partition_response_partition *part = &out->partitions.items[i];
        wire_struct_defaults(&wire_struct_alter_partition_response_partition, part);
        part->partition_index = asked->partitions.items[i].partition_index;
        part->error_code = alter(alteration, &asked->partitions.items[i], part);
    }
    out->partitions.count = asked->partitions.count;
}

void alter_partition_handle(struct controller *controller, struct controller_call *call,
                            struct record_list *records)
{
    const struct alter_partition_request *request = call->request;
    struct alter_partition_response *response = call->response;
    const struct image_broker *broker = image_broker(controller->image, request->broker_id);
    if (broker == NULL || broker->epoch != request->broker_epoch) {
        response->error_code = KAFKA_STALE_BROKER_EPOCH;
        trace_info(controller_trace(controller),
                   "controller: broker %" PRId32 " may change no ISR: it is not registered with "
                   "epoch %" PRId64,
                   request->broker_id, request->broker_epoch);
        return;
    }
    struct alteration alteration = {.controller = controller, .call = call, .records = records};
    response->topics.items =
        arena_array(call->arena, (size_t)request->topics.count + 1, sizeof *response->topics.items);
    for (int32_t i = 0; i < request->topics.count; i++) {
        wire_struct_defaults(&wire_struct_alter_partition_response_topic,
                             &response->topics.items[i]);
        alter_topic(&alteration, &request->topics.items[i], &response->topics.items[i]);
    }
    response->topics.count = request->topics.count;
    ASSERT((size_t)alteration.changed == records->count);
    trace_info(controller_trace(controller),
               "controller: broker %" PRId32 " changes the ISR of %" PRId32 " partitions, %" PRId32
               " refused%s%s",
               request->broker_id, alteration.changed, alteration.refused,
               alteration.refused > 0 ? ": " : "", alteration.refused > 0 ? alteration.why : "");
    name_set_free(&alteration.seen);
}
