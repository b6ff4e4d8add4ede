/* ElectLeaders (KIP-183, 460): an operator asks for the preferred leader back, or for any leader at
 * all where there is none, at the price of what only the absent replicas hold. */
#include <inttypes.h>
#include <string.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

/* ElectionType on the wire. */
enum { TYPE_PREFERRED = 0, TYPE_UNCLEAN = 1 };

static void add_result(struct elect_leaders_response_replica_election_result *topic,
                       int32_t partition, int16_t error, const char *message)
{
    ASSERT(topic->partition_result.items != NULL && (error == 0 || message != NULL));
    struct elect_leaders_response_partition_result *result =
        &topic->partition_result.items[topic->partition_result.count++];
    wire_struct_defaults(&wire_struct_elect_leaders_response_partition_result, result);
    result->partition_id = partition;
    result->error_code = error;
    result->error_message = wire_str(error == 0 ? NULL : message);
}

static struct elect_leaders_response_replica_election_result *
add_topic(struct controller_call *call, struct wire_str name, int32_t partitions)
{
    struct elect_leaders_response *response = call->response;
    ASSERT(partitions >= 0 && response->replica_election_results.items != NULL);
    struct elect_leaders_response_replica_election_result *topic =
        &response->replica_election_results.items[response->replica_election_results.count++];
    wire_struct_defaults(&wire_struct_elect_leaders_response_replica_election_result, topic);
    topic->topic = name;
    topic->partition_result.count = 0;
    topic->partition_result.items =
        arena_array(call->arena, (size_t)partitions + 1, sizeof *topic->partition_result.items);
    return topic;
}

static void make_room(struct controller_call *call, size_t topics)
{
    struct elect_leaders_response *response = call->response;
    response->replica_election_results.count = 0;
    response->replica_election_results.items =
        arena_array(call->arena, topics + 1, sizeof *response->replica_election_results.items);
}

/* Version 0 has no error of the whole: each partition carries it, in every version. */
void elect_leaders_refuse(struct controller_call *call, int16_t error, const char *message)
{
    const struct elect_leaders_request *request = call->request;
    struct elect_leaders_response *response = call->response;
    int32_t count = request->topic_partitions.count;
    ASSERT(error != 0 && message != NULL);
    response->error_code = call->version > 0 ? error : 0;
    make_room(call, count < 0 ? 0 : (size_t)count);
    for (int32_t i = 0; i < count; i++) {
        const struct elect_leaders_request_topic_partition *asked =
            &request->topic_partitions.items[i];
        struct elect_leaders_response_replica_election_result *topic =
            add_topic(call, asked->topic, asked->partitions.count);
        for (int32_t k = 0; k < asked->partitions.count; k++) {
            add_result(topic, asked->partitions.items[k], error, message);
        }
    }
}

struct ballot {
    struct controller *controller;
    struct controller_call *call;
    struct record_list *records;
    bool unclean;
    struct name_set moved; /* elected by this very request */
    int32_t elected;
    int32_t failed;
    const char *why; /* of the last election */
};

static int16_t elect(struct ballot *ballot, const struct image_topic *topic, int32_t id)
{
    const struct image_partition *partition = NULL;
    if (topic != NULL && id >= 0 && id < topic->partition_count) {
        partition = topic->partitions[id];
    }
    if (partition == NULL) {
        ballot->why = "the partition does not exist";
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    uint8_t key[sizeof(struct uuid) + sizeof id];
    memcpy(key, topic->id.bytes, sizeof(struct uuid));
    memcpy(key + sizeof(struct uuid), &id, sizeof id);
    bool stands = ballot->unclean ? partition->leader != NOBODY
                                  : partition->leader == partition->replicas.ids[0];
    if (stands || name_set_has(&ballot->moved, key, sizeof key)) {
        ballot->why =
            ballot->unclean ? "the partition has a leader" : "the preferred replica leads already";
        return KAFKA_ELECTION_NOT_NEEDED;
    }
    struct partition_change change =
        partition_change_of(ballot->controller, topic, partition, ballot->call->arena);
    change.election = ballot->unclean ? ELECT_UNCLEAN : ELECT_PREFERRED;
    struct image_partition after;
    if (!partition_change_add(&change, ballot->records, &after)) {
        ballot->why = ballot->unclean ? "no replica is alive"
                                      : "the preferred replica is not alive, not in the ISR, or "
                                        "without the log directory that held it";
        return ballot->unclean ? KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE
                               : KAFKA_PREFERRED_LEADER_NOT_AVAILABLE;
    }
    ASSERT(after.leader != partition->leader && after.leader_epoch > partition->leader_epoch);
    name_set_add(&ballot->moved, key, sizeof key);
    return 0;
}

static void count(struct ballot *ballot, int16_t error)
{
    ballot->elected += error == 0;
    ballot->failed += error != 0;
}

static void elect_named(struct ballot *ballot)
{
    const struct elect_leaders_request *request = ballot->call->request;
    ASSERT(request->topic_partitions.count >= 0);
    make_room(ballot->call, (size_t)request->topic_partitions.count);
    for (int32_t i = 0; i < request->topic_partitions.count; i++) {
        const struct elect_leaders_request_topic_partition *asked =
            &request->topic_partitions.items[i];
        const struct image_topic *topic =
            asked->topic.size < 0
                ? NULL
                : image_topic_by_text(ballot->controller->image, asked->topic.data,
                                      (size_t)asked->topic.size);
        struct elect_leaders_response_replica_election_result *out =
            add_topic(ballot->call, asked->topic, asked->partitions.count);
        for (int32_t k = 0; k < asked->partitions.count; k++) {
            int16_t error = elect(ballot, topic, asked->partitions.items[k]);
            count(ballot, error);
            add_result(out, asked->partitions.items[k], error, ballot->why);
        }
    }
}

/* Of all partitions only those are told of that an election was needed for. */
static bool elect_topic(void *ctx, const struct image_topic *topic)
{
    struct ballot *ballot = ctx;
    struct elect_leaders_response_replica_election_result *out = NULL;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        int16_t error = elect(ballot, topic, i);
        if (error == KAFKA_ELECTION_NOT_NEEDED) {
            continue;
        }
        if (out == NULL) {
            const char *name = arena_strdup(ballot->call->arena, topic->name);
            out = add_topic(ballot->call, wire_str(name), topic->partition_count);
        }
        count(ballot, error);
        add_result(out, i, error, ballot->why);
    }
    return true;
}

void elect_leaders_handle(struct controller *controller, struct controller_call *call,
                          struct record_list *records)
{
    const struct elect_leaders_request *request = call->request;
    if (request->election_type != TYPE_PREFERRED && request->election_type != TYPE_UNCLEAN) {
        elect_leaders_refuse(call, KAFKA_INVALID_REQUEST, "an unknown type of election");
        return;
    }
    struct ballot ballot = {.controller = controller,
                            .call = call,
                            .records = records,
                            .unclean = request->election_type == TYPE_UNCLEAN};
    bool all = request->topic_partitions.count < 0;
    if (all) {
        make_room(call, image_topic_count(controller->image));
        image_each_topic(controller->image, elect_topic, &ballot);
    } else {
        elect_named(&ballot);
    }
    ASSERT((size_t)ballot.elected == records->count);
    trace_info(controller_trace(controller),
               "controller: %s election of %s partitions: %" PRId32 " have a new leader, %" PRId32
               " not: %s asked",
               ballot.unclean ? "unclean" : "preferred", all ? "all" : "named", ballot.elected,
               ballot.failed, call->principal != NULL ? call->principal : "a client");
    name_set_free(&ballot.moved);
}
