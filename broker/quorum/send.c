/* Requests out, one to a voter at a time, and their answers in. */
#include <inttypes.h>

#include "broker/quorum/quorum_internal.h"
#include "common/wire/kafka_error.h"

bool quorum_may_send(const struct quorum *quorum, const struct quorum_peer *peer)
{
    return peer->voter.id != quorum->config.node_id && peer->token == 0 &&
           peer->retry_at_ms <= env_now_ms(quorum->env);
}

void quorum_send(struct quorum *quorum, struct quorum_peer *peer, int16_t api_key,
                 int16_t min_version, int16_t max_version, const void *body)
{
    ASSERT(quorum_may_send(quorum, peer) && quorum->config.peers.send != NULL);
    peer->token = ++quorum->last_token;
    peer->api_key = api_key;
    struct quorum_send send = {
        .token = peer->token,
        .to = peer->voter.id,
        .api_key = api_key,
        .min_version = min_version,
        .max_version = max_version,
        .body = body,
        .timeout_ms = quorum->config.request_timeout_ms,
    };
    quorum->config.peers.send(quorum->config.peers.ctx, &send);
}

void quorum_send_forget(struct quorum *quorum)
{
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        quorum->peers[i].token = 0;
        quorum->peers[i].retry_at_ms = 0;
    }
}

bool quorum_answer_common(struct quorum *quorum, int16_t kafka_error, int32_t leader_id,
                          int32_t epoch)
{
    if (epoch < quorum->now.epoch || kafka_error == KAFKA_UNKNOWN_LEADER_EPOCH) {
        return true; /* it is behind us */
    }
    if (epoch > quorum->now.epoch) {
        (void)quorum_learn(quorum, epoch, leader_id);
        return true;
    }
    enum quorum_role role = quorum->role;
    if (!quorum_learn(quorum, epoch, leader_id)) {
        trace_error(env_trace(quorum->env),
                    "quorum: an answer names node %" PRId32 " as leader of epoch %" PRId32
                    ", which node %" PRId32 " leads",
                    leader_id, epoch, quorum->now.leader_id);
        return true;
    }
    return quorum->role != role;
}

static void failed(struct quorum *quorum, struct quorum_peer *peer, enum err error)
{
    if (peer->api_key == API_FETCH || peer->api_key == API_FETCH_SNAPSHOT) {
        quorum_follow_failed(quorum, peer, error);
    } else if (peer->api_key == API_VOTE && peer->pre_vote && error == ERR_UNSUPPORTED) {
        peer->ballot = BALLOT_GRANTED; /* older than KIP-996: it cannot object beforehand */
        quorum_elect_count(quorum);
    } else if (peer->api_key == API_VOTE && error == ERR_REFUSED) {
        peer->absent = true;
        quorum_elect_count(quorum);
    }
}

void quorum_answered(struct quorum *quorum, uint64_t token, enum err error, const void *response)
{
    struct quorum_peer *peer = NULL;
    for (int32_t i = 0; i < quorum->config.voter_count && peer == NULL; i++) {
        if (token != 0 && quorum->peers[i].token == token) {
            peer = &quorum->peers[i];
        }
    }
    if (peer == NULL || quorum->closing || quorum->broken) {
        return;
    }
    ASSERT(error != ERR_NONE || response != NULL);
    peer->token = 0;
    peer->retry_at_ms = env_now_ms(quorum->env) + quorum->config.retry_backoff_ms;
    if (error != ERR_NONE) {
        failed(quorum, peer, error);
    } else if (peer->api_key == API_FETCH) {
        quorum_follow_answered(quorum, peer, response);
    } else if (peer->api_key == API_FETCH_SNAPSHOT) {
        quorum_download_answered(quorum, peer, response);
    } else if (peer->api_key == API_VOTE) {
        quorum_vote_answered(quorum, peer, response);
    } else if (peer->api_key == API_BEGIN_QUORUM_EPOCH) {
        quorum_announce_answered(quorum, peer, response);
    } else {
        ASSERT(peer->api_key == API_END_QUORUM_EPOCH);
        quorum_renounce_answered(quorum, peer, response);
    }
    quorum_step(quorum);
}
