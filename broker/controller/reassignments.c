/* AlterPartitionReassignments and ListPartitionReassignments (KIP-455, 860): an operator wants
 * other replicas for a partition, takes that back, or asks what is under way.
 *
 * Happy path: the partition exists and every broker named is registered -> one record that begins
 * the reassignment, or carries it out where there is nothing to wait for.
 *
 * Failure modes, each partition on its own: unknown; brokers that are not registered or named twice
 * (INVALID_REPLICA_ASSIGNMENT); another number of replicas where the request does not allow that
 * (INVALID_REPLICATION_FACTOR); nothing to take back (NO_REASSIGNMENT_IN_PROGRESS); taking back
 * would leave nobody who has what was acknowledged (INVALID_REPLICA_ASSIGNMENT, unless the topic
 * allows unclean elections). A broker that is fenced may be named: it will come. */
#include <inttypes.h>
#include <string.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

typedef struct alter_partition_reassignments_request_topic asked_topic;
typedef struct alter_partition_reassignments_request_partition asked_partition;
typedef struct alter_partition_reassignments_response_response told_topic;
typedef struct alter_partition_reassignments_response_partition told_partition;

struct wish {
    struct controller *controller;
    struct controller_call *call;
    struct record_list *records;
    const struct image_topic *topic; /* NULL: unknown */
    struct name_set seen;
    int32_t begun;
    int32_t carried_out; /* at once, or nothing was to be done */
    int32_t taken_back;
    int32_t refused;
    struct err_text text; /* of this partition */
    struct err_text first;
};

static int16_t no(struct wish *wish, int16_t error, const char *why)
{
    ASSERT(error != 0);
    err_set(&wish->text, "%s", why);
    return error;
}

/* ---- answers ---- */

static void answer(struct controller_call *call,
                   int16_t (*decide)(struct wish *wish, const asked_topic *topic,
                                     const asked_partition *asked),
                   struct wish *wish)
{
    const struct alter_partition_reassignments_request *request = call->request;
    struct alter_partition_reassignments_response *response = call->response;
    int32_t count = request->topics.count < 0 ? 0 : request->topics.count;
    response->error_message = WIRE_STR_NULL;
    response->allow_replication_factor_change = request->allow_replication_factor_change;
    response->responses.items =
        arena_array(call->arena, (size_t)count + 1, sizeof *response->responses.items);
    response->responses.count = count;
    for (int32_t i = 0; i < count; i++) {
        const asked_topic *topic = &request->topics.items[i];
        told_topic *told = &response->responses.items[i];
        told->name = topic->name;
        told->partitions.count = topic->partitions.count;
        told->partitions.items = arena_array(call->arena, (size_t)topic->partitions.count + 1,
                                             sizeof *told->partitions.items);
        for (int32_t k = 0; k < topic->partitions.count; k++) {
            told_partition *out = &told->partitions.items[k];
            int16_t error = decide(wish, topic, &topic->partitions.items[k]);
            out->partition_index = topic->partitions.items[k].partition_index;
            out->error_code = error;
            out->error_message =
                wire_str(error == 0 ? NULL : arena_strdup(call->arena, wish->text.text));
        }
    }
}

static int16_t refuse_all(struct wish *wish, const asked_topic *topic, const asked_partition *asked)
{
    ASSERT(topic != NULL && asked != NULL && wish->refused != 0);
    return (int16_t)wish->refused;
}

void alter_partition_reassignments_refuse(struct controller_call *call, int16_t error,
                                          const char *message)
{
    struct alter_partition_reassignments_response *response = call->response;
    struct wish wish = {.call = call, .refused = error};
    ASSERT(error != 0 && message != NULL);
    err_set(&wish.text, "%s", message);
    answer(call, refuse_all, &wish);
    response->error_code = error;
    response->error_message = wire_str(message);
}

/* ---- one partition ---- */

static int16_t check_target(struct wish *wish, const struct image_partition *now,
                            struct image_ids target)
{
    const struct alter_partition_reassignments_request *request = wish->call->request;
    struct manual_check check = {0};
    if (!manual_replicas_valid(wish->controller->image, target.ids, target.count, -1, &check)) {
        wish->text = check.text;
        return check.error;
    }
    bool may_differ = wish->call->version < 1 || request->allow_replication_factor_change;
    if (!may_differ && target.count != reassign_target_count(now)) {
        err_set(&wish->text,
                "the partition has %" PRId32 " replicas and would have %" PRId32
                ": the request does not allow another replication factor",
                reassign_target_count(now), target.count);
        return KAFKA_INVALID_REPLICATION_FACTOR;
    }
    return 0;
}

static int16_t begin(struct wish *wish, const struct image_partition *now, struct image_ids target)
{
    int16_t error = check_target(wish, now, target);
    if (error != 0) {
        return error;
    }
    struct partition_change change =
        partition_change_of(wish->controller, wish->topic, now, wish->call->arena);
    reassign_to(&change, target);
    struct image_partition after;
    bool changed = partition_change_add(&change, wish->records, &after);
    bool runs = changed ? reassigning(&after) : reassigning(now);
    wish->begun += runs;
    wish->carried_out += !runs;
    return 0;
}

static int16_t take_back(struct wish *wish, const struct image_partition *now)
{
    if (!reassigning(now)) {
        return no(wish, KAFKA_NO_REASSIGNMENT_IN_PROGRESS,
                  "no reassignment of the partition is in progress");
    }
    struct partition_change change =
        partition_change_of(wish->controller, wish->topic, now, wish->call->arena);
    bool unclean = unclean_allowed(wish->controller, wish->topic);
    bool clean = reassign_revert(&change);
    if (change.replicas.count == 0 || (!clean && !unclean)) {
        return no(wish, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                  "none of the replicas from before the reassignment is in the ISR: going back to "
                  "them would need an unclean election, which the topic does not allow");
    }
    if (unclean) {
        change.election = ELECT_UNCLEAN;
    }
    struct image_partition after;
    bool changed = partition_change_add(&change, wish->records, &after);
    ASSERT(changed && !reassigning(&after));
    wish->taken_back++;
    return 0;
}

static bool first_asked(struct wish *wish, int32_t partition)
{
    ASSERT(wish->topic != NULL && partition >= 0);
    uint8_t key[sizeof(struct uuid) + sizeof partition];
    memcpy(key, wish->topic->id.bytes, sizeof(struct uuid));
    memcpy(key + sizeof(struct uuid), &partition, sizeof partition);
    return name_set_add(&wish->seen, key, sizeof key);
}

static int16_t decide_one(struct wish *wish, const asked_topic *topic, const asked_partition *asked)
{
    int32_t id = asked->partition_index;
    const struct image_partition *now = NULL;
    wish->topic = topic->name.size < 0
                      ? NULL
                      : image_topic_by_text(wish->controller->image, topic->name.data,
                                            (size_t)topic->name.size);
    if (wish->topic == NULL) {
        return no(wish, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "the topic does not exist");
    }
    now = id >= 0 && id < wish->topic->partition_count ? wish->topic->partitions[id] : NULL;
    if (now == NULL) {
        return no(wish, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "the partition does not exist");
    }
    if (!first_asked(wish, id)) {
        return no(wish, KAFKA_INVALID_REQUEST, "the request names the partition twice");
    }
    if (asked->replicas.count < 0) {
        return take_back(wish, now);
    }
    return begin(wish, now, (struct image_ids){asked->replicas.items, asked->replicas.count});
}

static int16_t decide(struct wish *wish, const asked_topic *topic, const asked_partition *asked)
{
    int16_t error = decide_one(wish, topic, asked);
    if (error != 0 && wish->refused++ == 0) {
        wish->first = wish->text;
    }
    return error;
}

void alter_partition_reassignments_handle(struct controller *controller,
                                          struct controller_call *call, struct record_list *records)
{
    struct wish wish = {.controller = controller, .call = call, .records = records};
    answer(call, decide, &wish);
    trace_info(controller_trace(controller),
               "controller: reassignments: %" PRId32 " partitions begin one, %" PRId32
               " are as wanted at once, %" PRId32 " are taken back, %" PRId32
               " refused%s%s: %s asked",
               wish.begun, wish.carried_out, wish.taken_back, wish.refused,
               wish.refused > 0 ? ": " : "", wish.refused > 0 ? wish.first.text : "",
               call->principal != NULL ? call->principal : "a client");
    name_set_free(&wish.seen);
}

/* ---- what is under way ---- */

void list_partition_reassignments_refuse(struct controller_call *call, int16_t error,
                                         const char *message)
{
    struct list_partition_reassignments_response *response = call->response;
    ASSERT(error != 0);
    response->error_code = error;
    response->error_message = wire_str(message);
}

typedef struct list_partition_reassignments_response_topic listed_topic;
typedef struct list_partition_reassignments_response_partition listed_partition;

struct listing {
    struct controller_call *call;
    listed_topic *topics;
    size_t count;
    size_t capacity;
    size_t partition_capacity; /* of the last topic */
};

static void *grown(struct arena *arena, const void *items, size_t count, size_t *capacity,
                   size_t item_bytes)
{
    if (count < *capacity) {
        return NULL;
    }
    *capacity = *capacity == 0 ? 4 : 2 * *capacity;
    void *room = arena_array(arena, *capacity, item_bytes);
    if (count > 0) {
        memcpy(room, items, count * item_bytes);
    }
    return room;
}

static void list_topic(struct listing *listing, const char *name)
{
    listed_topic *room = grown(listing->call->arena, listing->topics, listing->count,
                               &listing->capacity, sizeof *room);
    listing->topics = room != NULL ? room : listing->topics;
    listed_topic *topic = &listing->topics[listing->count++];
    memset(topic, 0, sizeof *topic);
    topic->name = wire_str(arena_strdup(listing->call->arena, name));
    listing->partition_capacity = 0;
}

#define COPY_IDS(field, from)                                                                      \
    ((field).count = (from).count,                                                                 \
     (field).items = (from).count == 0 ? NULL                                                      \
                                       : arena_dup(listing->call->arena, (from).ids,               \
                                                   (size_t)(from).count * sizeof *(from).ids))

static bool list_partition(void *ctx, const struct image_topic *topic,
                           const struct image_partition *partition)
{
    struct listing *listing = ctx;
    if (!reassigning(partition)) {
        return true;
    }
    if (listing->count == 0 ||
        !wire_str_is(listing->topics[listing->count - 1].name, topic->name)) {
        list_topic(listing, topic->name);
    }
    listed_topic *in = &listing->topics[listing->count - 1];
    listed_partition *room =
        grown(listing->call->arena, in->partitions.items, (size_t)in->partitions.count,
              &listing->partition_capacity, sizeof *room);
    in->partitions.items = room != NULL ? room : in->partitions.items;
    listed_partition *out = &in->partitions.items[in->partitions.count++];
    out->partition_index = partition->partition;
    COPY_IDS(out->replicas, partition->replicas);
    COPY_IDS(out->adding_replicas, partition->adding);
    COPY_IDS(out->removing_replicas, partition->removing);
    return true;
}

static void list_asked(struct controller *controller, struct listing *listing)
{
    const struct list_partition_reassignments_request *request = listing->call->request;
    struct name_set seen = {0};
    for (int32_t i = 0; i < request->topics.count; i++) {
        const struct list_partition_reassignments_request_topic *asked = &request->topics.items[i];
        const struct image_topic *topic =
            asked->name.size < 0 ? NULL
                                 : image_topic_by_text(controller->image, asked->name.data,
                                                       (size_t)asked->name.size);
        for (int32_t k = 0; topic != NULL && k < asked->partition_indexes.count; k++) {
            int32_t id = asked->partition_indexes.items[k];
            uint8_t key[sizeof(struct uuid) + sizeof id];
            memcpy(key, topic->id.bytes, sizeof(struct uuid));
            memcpy(key + sizeof(struct uuid), &id, sizeof id);
            if (id >= 0 && id < topic->partition_count && topic->partitions[id] != NULL &&
                name_set_add(&seen, key, sizeof key)) {
                list_partition(listing, topic, topic->partitions[id]);
            }
        }
    }
    name_set_free(&seen);
}

void list_partition_reassignments_handle(struct controller *controller,
                                         struct controller_call *call, struct record_list *records)
{
    const struct list_partition_reassignments_request *request = call->request;
    struct list_partition_reassignments_response *response = call->response;
    struct listing listing = {.call = call};
    ASSERT(records->count == 0);
    if (request->topics.count < 0) {
        image_each_reassigning(controller->image, list_partition, &listing);
    } else {
        list_asked(controller, &listing);
    }
    response->error_message = WIRE_STR_NULL;
    response->topics.items = listing.topics;
    response->topics.count = (int32_t)listing.count;
}
