/* Serving Vote, BeginQuorumEpoch and EndQuorumEpoch (KIP-595, KIP-853, KIP-996). */
#include <inttypes.h>

#include "broker/quorum/quorum_internal.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"

/* The one partition there is. */
#define ONE_PARTITION(request)                                                                     \
    ((request)->topics.count == 1 &&                                                               \
     wire_str_is((request)->topics.items[0].topic_name, QUORUM_TOPIC) &&                           \
     (request)->topics.items[0].partitions.count == 1 &&                                           \
     (request)->topics.items[0].partitions.items[0].partition_index == 0)

static bool meant_for_us(const struct quorum *quorum, int32_t voter_id, struct uuid directory_id)
{
    if (voter_id >= 0 && voter_id != quorum->config.node_id) {
        return false;
    }
    return uuid_is_zero(&directory_id) || uuid_equal(&directory_id, &quorum->config.directory_id);
}

/* Of a request that a voter of `epoch` sends to voters. */
static int16_t judge(const struct quorum *quorum, int32_t id, int32_t epoch)
{
    if (quorum->broken || quorum->closing || quorum->role == QUORUM_OPENING) {
        return KAFKA_BROKER_NOT_AVAILABLE;
    }
    if (epoch < quorum->now.epoch) {
        return KAFKA_FENCED_LEADER_EPOCH;
    }
    if (id < 0 || epoch < 0) {
        return KAFKA_INVALID_REQUEST;
    }
    return quorum_is_voter(quorum, id) ? KAFKA_NONE : KAFKA_INCONSISTENT_VOTER_SET;
}

/* ---- Vote ---- */

static void hear_empty(struct quorum *quorum, int32_t id, int64_t end_offset)
{
    struct quorum_peer *peer = quorum_peer_of(quorum, id);
    if (quorum->proven || peer == NULL || quorum->now.leader_id >= 0) {
        return;
    }
    peer->heard_empty = end_offset == 0;
    int32_t last_epoch = 0;
    if (quorum_own_end(quorum, &last_epoch) != 0) {
        return;
    }
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        const struct quorum_peer *other = &quorum->peers[i];
        if (other->voter.id != quorum->config.node_id && !other->heard_empty) {
            return;
        }
    }
    quorum_prove(quorum, "every voter's log is empty, the cluster is new");
}

static bool may_grant(const struct quorum *quorum, const struct vote_request_partition *asked)
{
    int32_t last_epoch = 0;
    int64_t end = quorum_own_end(quorum, &last_epoch);
    bool up_to_date = asked->last_offset_epoch > last_epoch ||
                      (asked->last_offset_epoch == last_epoch && asked->last_offset >= end);
    /* No pre-vote either from who would not vote: it would only make epochs rise. */
    if (!up_to_date || !quorum->proven || !quorum_is_voter(quorum, quorum->config.node_id)) {
        return false;
    }
    switch (quorum->role) {
    case QUORUM_UNATTACHED:
    case QUORUM_VOTED:
    case QUORUM_PROSPECTIVE:
        if (asked->pre_vote) {
            return true;
        }
        return quorum->now.voted_id >= 0 ? quorum->now.voted_id == asked->replica_id
                                         : quorum->now.leader_id < 0;
    case QUORUM_LEADER:
        return asked->pre_vote && quorum_lead_watermark(quorum) < 0;
    case QUORUM_FOLLOWER:
        return asked->pre_vote && !quorum->fetched;
    case QUORUM_CANDIDATE:
    case QUORUM_RESIGNED:
        return asked->pre_vote;
    case QUORUM_OPENING:
        break;
    }
    return false;
}

static int16_t vote(struct quorum *quorum, const struct vote_request *request,
                    const struct vote_request_partition *asked, bool *granted)
{
    int16_t error = judge(quorum, asked->replica_id, asked->replica_epoch);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (asked->last_offset < 0 || asked->last_offset_epoch < 0 ||
        asked->last_offset_epoch > asked->replica_epoch ||
        (!asked->pre_vote && asked->last_offset_epoch == asked->replica_epoch) ||
        asked->replica_id == quorum->config.node_id) {
        return KAFKA_INVALID_REQUEST;
    }
    if (asked->replica_epoch > quorum->now.epoch) {
        quorum_become_unattached(quorum, asked->replica_epoch);
    }
    if (!meant_for_us(quorum, request->voter_id, asked->voter_directory_id)) {
        return KAFKA_INVALID_VOTER_KEY;
    }
    hear_empty(quorum, asked->replica_id, asked->last_offset);
    *granted = may_grant(quorum, asked);
    if (*granted && !asked->pre_vote && quorum->now.voted_id != asked->replica_id) {
        quorum_become_voted(quorum, asked->replica_id);
    }
    return KAFKA_NONE;
}

void quorum_serve_vote(struct quorum *quorum, struct quorum_waiting *waiting)
{
    const struct vote_request *request = waiting->call->request;
    struct vote_response *response = waiting->call->response;
    wire_defaults(&wire_vote_response, response);
    if (!quorum_our_cluster(quorum, request->cluster_id) || !ONE_PARTITION(request)) {
        response->error_code = quorum_our_cluster(quorum, request->cluster_id)
                                   ? KAFKA_INVALID_REQUEST
                                   : KAFKA_INCONSISTENT_CLUSTER_ID;
        quorum_call_answer(waiting);
        return;
    }
    struct vote_response_topic *topic = arena_alloc(waiting->call->arena, sizeof *topic);
    struct vote_response_partition *partition =
        arena_alloc(waiting->call->arena, sizeof *partition);
    response->topics.items = topic;
    response->topics.count = 1;
    topic->topic_name = wire_str(QUORUM_TOPIC);
    topic->partitions.items = partition;
    topic->partitions.count = 1;
    partition->error_code = vote(quorum, request, &request->topics.items[0].partitions.items[0],
                                 &partition->vote_granted);
    partition->leader_id = quorum->now.leader_id;
    partition->leader_epoch = quorum->now.epoch;
    if (partition->vote_granted) {
        quorum_call_answer_stored(waiting);
    } else {
        quorum_call_answer(waiting);
    }
}

/* ---- BeginQuorumEpoch ---- */

static int16_t begin(struct quorum *quorum, const struct begin_quorum_epoch_request *request,
                     const struct begin_quorum_epoch_request_partition *named)
{
    int16_t error = judge(quorum, named->leader_id, named->leader_epoch);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (!quorum_learn(quorum, named->leader_epoch, named->leader_id)) {
        trace_error(env_trace(quorum->env),
                    "quorum: node %" PRId32 " claims to lead epoch %" PRId32 ", which node %" PRId32
                    " leads",
                    named->leader_id, named->leader_epoch, quorum->now.leader_id);
        return KAFKA_INVALID_REQUEST;
    }
    return meant_for_us(quorum, request->voter_id, named->voter_directory_id)
               ? KAFKA_NONE
               : KAFKA_INVALID_VOTER_KEY;
}

void quorum_serve_begin(struct quorum *quorum, struct quorum_waiting *waiting)
{
    const struct begin_quorum_epoch_request *request = waiting->call->request;
    struct begin_quorum_epoch_response *response = waiting->call->response;
    wire_defaults(&wire_begin_quorum_epoch_response, response);
    if (!quorum_our_cluster(quorum, request->cluster_id)) {
        response->error_code = KAFKA_INCONSISTENT_CLUSTER_ID;
    } else if (!ONE_PARTITION(request)) {
        response->error_code = KAFKA_INVALID_REQUEST;
    } else {
        struct begin_quorum_epoch_response_topic *topic =
            arena_alloc(waiting->call->arena, sizeof *topic);
        struct begin_quorum_epoch_response_partition *partition =
            arena_alloc(waiting->call->arena, sizeof *partition);
        response->topics.items = topic;
        response->topics.count = 1;
        topic->topic_name = wire_str(QUORUM_TOPIC);
        topic->partitions.items = partition;
        topic->partitions.count = 1;
        partition->error_code =
            begin(quorum, request, &request->topics.items[0].partitions.items[0]);
        partition->leader_id = quorum->now.leader_id;
        partition->leader_epoch = quorum->now.epoch;
    }
    quorum_call_answer(waiting);
}

/* ---- EndQuorumEpoch ---- */

/* Our place among those the leader would have succeed it; behind all when it does not name us. */
static int32_t place(const struct quorum *quorum, int16_t version,
                     const struct end_quorum_epoch_request_partition *named)
{
    int32_t count =
        version >= 1 ? named->preferred_candidates.count : named->preferred_successors.count;
    for (int32_t i = 0; i < count; i++) {
        int32_t id = version >= 1 ? named->preferred_candidates.items[i].candidate_id
                                  : named->preferred_successors.items[i];
        if (id == quorum->config.node_id) {
            return i;
        }
    }
    return count > 0 ? count : 1;
}

static int16_t end(struct quorum *quorum, int16_t version,
                   const struct end_quorum_epoch_request_partition *named)
{
    int16_t error = judge(quorum, named->leader_id, named->leader_epoch);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (!quorum_learn(quorum, named->leader_epoch, named->leader_id)) {
        return KAFKA_INVALID_REQUEST;
    }
    if (quorum->role == QUORUM_FOLLOWER && quorum->now.leader_id == named->leader_id) {
        int32_t after = place(quorum, version, named);
        int64_t backoff_ms =
            after == 0 ? 0 : (int64_t)QUORUM_BACKOFF_BASE_MS << (after < 10 ? after : 10);
        if (backoff_ms > quorum->config.election_backoff_max_ms) {
            backoff_ms = quorum->config.election_backoff_max_ms;
        }
        quorum->deadline_ms = env_now_ms(quorum->env) + backoff_ms;
        quorum->fetched = false; /* its word is that it leads no more */
        quorum->let_go = true;
    }
    return KAFKA_NONE;
}

void quorum_serve_end(struct quorum *quorum, struct quorum_waiting *waiting)
{
    const struct end_quorum_epoch_request *request = waiting->call->request;
    struct end_quorum_epoch_response *response = waiting->call->response;
    wire_defaults(&wire_end_quorum_epoch_response, response);
    if (!quorum_our_cluster(quorum, request->cluster_id)) {
        response->error_code = KAFKA_INCONSISTENT_CLUSTER_ID;
    } else if (!ONE_PARTITION(request)) {
        response->error_code = KAFKA_INVALID_REQUEST;
    } else {
        struct end_quorum_epoch_response_topic *topic =
            arena_alloc(waiting->call->arena, sizeof *topic);
        struct end_quorum_epoch_response_partition *partition =
            arena_alloc(waiting->call->arena, sizeof *partition);
        response->topics.items = topic;
        response->topics.count = 1;
        topic->topic_name = wire_str(QUORUM_TOPIC);
        topic->partitions.items = partition;
        topic->partitions.count = 1;
        partition->error_code =
            end(quorum, waiting->call->version, &request->topics.items[0].partitions.items[0]);
        partition->leader_id = quorum->now.leader_id;
        partition->leader_epoch = quorum->now.epoch;
    }
    quorum_call_answer(waiting);
}
