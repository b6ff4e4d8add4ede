/* Standing: pre-votes and votes, asked for and counted (KIP-595, KIP-996). */
#include <inttypes.h>

#include "broker/quorum/quorum_internal.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"

void quorum_elect_start(struct quorum *quorum)
{
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        bool self = quorum->peers[i].voter.id == quorum->config.node_id;
        quorum->peers[i].ballot = self ? BALLOT_GRANTED : BALLOT_OPEN;
        quorum->peers[i].absent = false;
    }
}

static void ask(struct quorum *quorum, struct quorum_peer *peer)
{
    bool pre_vote = quorum->role == QUORUM_PROSPECTIVE;
    struct vote_request_partition partition = {0};
    partition.replica_epoch = quorum->now.epoch;
    partition.replica_id = quorum->config.node_id;
    partition.replica_directory_id = quorum->config.directory_id;
    partition.voter_directory_id = peer->voter.directory_id;
    partition.last_offset = quorum_own_end(quorum, &partition.last_offset_epoch);
    partition.pre_vote = pre_vote;
    struct vote_request_topic topic = {.topic_name = wire_str(QUORUM_TOPIC)};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct vote_request request;
    wire_defaults(&wire_vote_request, &request);
    request.cluster_id = wire_str(quorum->config.cluster_id);
    request.voter_id = peer->voter.id;
    request.topics.items = &topic;
    request.topics.count = 1;
    peer->pre_vote = pre_vote;
    quorum_send(quorum, peer, API_VOTE, pre_vote ? 2 : 0, 2, &request);
}

void quorum_elect_ask(struct quorum *quorum)
{
    ASSERT(quorum->role == QUORUM_PROSPECTIVE || quorum->role == QUORUM_CANDIDATE);
    ASSERT(quorum->role == QUORUM_PROSPECTIVE || quorum_settled(quorum));
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        struct quorum_peer *peer = &quorum->peers[i];
        if (peer->ballot == BALLOT_OPEN && quorum_may_send(quorum, peer)) {
            ask(quorum, peer);
        }
    }
}

static void refused(struct quorum *quorum)
{
    int32_t leader_id = quorum->now.leader_id;
    if (quorum->role == QUORUM_PROSPECTIVE && leader_id >= 0) {
        quorum_become_follower(quorum, quorum->now.epoch, leader_id);
        return;
    }
    /* Tries again after a while, longer each time, that differs from the others'. */
    uint32_t doublings = quorum->elections < 10 ? quorum->elections : 10;
    int64_t most_ms = (int64_t)QUORUM_BACKOFF_BASE_MS << doublings;
    if (most_ms > quorum->config.election_backoff_max_ms) {
        most_ms = quorum->config.election_backoff_max_ms;
    }
    if (quorum->role == QUORUM_PROSPECTIVE) {
        quorum_become_unattached(quorum, quorum->now.epoch);
    } else {
        quorum->lost = true;
    }
    quorum->deadline_ms =
        env_now_ms(quorum->env) + quorum_random_ms(quorum, QUORUM_BACKOFF_BASE_MS / 2, most_ms);
}

void quorum_elect_count(struct quorum *quorum)
{
    int32_t granted = 0;
    int32_t denied = 0;
    int32_t absent = 0;
    int32_t majority = quorum->config.voter_count / 2 + 1;
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        granted += quorum->peers[i].ballot == BALLOT_GRANTED;
        denied += quorum->peers[i].ballot == BALLOT_REFUSED;
        absent += quorum->peers[i].ballot == BALLOT_OPEN && quorum->peers[i].absent;
    }
    if (quorum->won || quorum->lost) {
        return;
    }
    /* When a leader dies, two may stand at once and each have one vote of three: the dead one's is
     * not waited for until the election's time is over. */
    if (quorum->role == QUORUM_CANDIDATE && denied > 0) {
        denied += absent;
    }
    if (granted >= majority && quorum->role == QUORUM_PROSPECTIVE) {
        if (quorum->proven) {
            quorum_become_candidate(quorum);
        }
    } else if (granted >= majority) {
        ASSERT(quorum->role == QUORUM_CANDIDATE && quorum_settled(quorum));
        quorum->won = true;
        quorum->deadline_ms = INT64_MAX;
        quorum->now.leader_id = quorum->config.node_id;
        quorum_store_write(quorum);
    } else if (denied > quorum->config.voter_count - majority) {
        refused(quorum);
    }
}

void quorum_vote_answered(struct quorum *quorum, struct quorum_peer *peer, const void *response)
{
    const struct vote_response *vote = response;
    int16_t error = vote->error_code;
    int32_t leader_id = -1;
    int32_t epoch = quorum->now.epoch;
    bool granted = false;
    if (error == 0 && vote->topics.count == 1 && vote->topics.items[0].partitions.count == 1) {
        const struct vote_response_partition *partition = vote->topics.items[0].partitions.items;
        error = partition->error_code;
        leader_id = partition->leader_id;
        epoch = partition->leader_epoch;
        granted = partition->vote_granted;
    } else if (error == 0) {
        error = KAFKA_INVALID_REQUEST;
    }
    if (quorum_answer_common(quorum, error, leader_id, epoch)) {
        return;
    }
    if (error != 0) {
        trace_warn(env_trace(quorum->env), "quorum: node %" PRId32 " answered Vote with %s",
                   peer->voter.id, kafka_error_name(error));
        peer->retry_at_ms = env_now_ms(quorum->env) + quorum->config.request_timeout_ms;
        return;
    }
    bool standing = quorum->role == QUORUM_PROSPECTIVE || quorum->role == QUORUM_CANDIDATE;
    if (standing && peer->ballot == BALLOT_OPEN && epoch == quorum->now.epoch) {
        peer->ballot = granted ? BALLOT_GRANTED : BALLOT_REFUSED;
        quorum_elect_count(quorum);
    }
}
