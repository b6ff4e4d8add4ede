/* What is due now: one timer, and one pass over what the role asks for.
 *
 * Everything that happens (an answer, a request, a durable write, the timer) ends here. */
#include <inttypes.h>

#include "broker/quorum/quorum_internal.h"

static void follower_timed_out(struct quorum *quorum)
{
    trace_info(env_trace(quorum->env),
               "quorum: node %" PRId32 " waits no longer for its leader, node %" PRId32 ": %s",
               quorum->config.node_id, quorum->now.leader_id,
               quorum->let_go ? "it has resigned" : "nothing was heard for a fetch timeout");
    if (quorum_is_voter(quorum, quorum->config.node_id)) {
        quorum_become_prospective(quorum);
    } else {
        quorum_become_unattached(quorum, quorum->now.epoch);
    }
}

/* Nobody won: back to the leader of before, or a short rest. */
static void prospective_timed_out(struct quorum *quorum)
{
    int32_t leader_id = quorum->now.leader_id;
    if (leader_id >= 0 && leader_id != quorum->config.node_id) {
        quorum_become_follower(quorum, quorum->now.epoch, leader_id);
        return;
    }
    quorum_become_unattached(quorum, quorum->now.epoch);
    int64_t most_ms = quorum->config.election_backoff_max_ms;
    quorum->deadline_ms =
        env_now_ms(quorum->env) + quorum_random_ms(quorum, QUORUM_BACKOFF_BASE_MS,
                                                   most_ms > QUORUM_BACKOFF_BASE_MS ? most_ms : 0);
}

static void majority_lost(struct quorum *quorum)
{
    struct err_text why = {{0}};
    err_set(&why, "no majority of the voters has fetched for %" PRId64 " ms",
            (int64_t)quorum->config.fetch_timeout_ms * 3 / 2);
    quorum_step_down(quorum, why.text);
}

static void deadline_passed(struct quorum *quorum)
{
    ASSERT(!quorum->broken && !quorum->closing);
    switch (quorum->role) {
    case QUORUM_UNATTACHED:
    case QUORUM_VOTED:
    case QUORUM_CANDIDATE:
        quorum_become_prospective(quorum);
        break;
    case QUORUM_RESIGNED:
        if (quorum_has_others(quorum)) {
            quorum_become_prospective(quorum);
        } else {
            quorum_lead_alone(quorum);
        }
        break;
    case QUORUM_PROSPECTIVE:
        prospective_timed_out(quorum);
        break;
    case QUORUM_FOLLOWER:
        follower_timed_out(quorum);
        break;
    case QUORUM_LEADER:
        majority_lost(quorum);
        break;
    case QUORUM_OPENING:
        UNREACHABLE("no deadline while opening");
    }
}

/* Any voter knows the leader, or who might. */
static void look_for_leader(struct quorum *quorum)
{
    int32_t count = quorum->config.voter_count;
    int32_t first = (int32_t)(env_random(quorum->env) % (uint64_t)count);
    int64_t now_ms = env_now_ms(quorum->env);
    for (int32_t i = 0; i < count; i++) {
        if (quorum->peers[i].token != 0 || quorum->peers[i].retry_at_ms > now_ms) {
            return; /* one at a time */
        }
    }
    for (int32_t i = 0; i < count; i++) {
        struct quorum_peer *peer = &quorum->peers[(first + i) % count];
        if (quorum_may_send(quorum, peer)) {
            quorum_follow_fetch(quorum, peer);
            return;
        }
    }
}

static void act(struct quorum *quorum)
{
    struct quorum_peer *leader;
    switch (quorum->role) {
    case QUORUM_UNATTACHED:
    case QUORUM_VOTED:
        look_for_leader(quorum);
        break;
    case QUORUM_PROSPECTIVE:
        quorum_elect_count(quorum);
        if (quorum->role == QUORUM_PROSPECTIVE) {
            quorum_elect_ask(quorum);
        }
        break;
    case QUORUM_CANDIDATE:
        if (quorum->won && quorum_settled(quorum)) {
            quorum_become_leader(quorum);
            quorum_lead_announce(quorum);
        } else if (!quorum->won && !quorum->lost && quorum_settled(quorum)) {
            quorum_elect_ask(quorum);
        }
        break;
    case QUORUM_LEADER:
        quorum_lead_announce(quorum);
        break;
    case QUORUM_FOLLOWER:
        leader = quorum_peer_of(quorum, quorum->now.leader_id);
        ASSERT(leader != NULL);
        if (quorum_settled(quorum) && quorum_may_send(quorum, leader)) {
            if (quorum->download.active) {
                quorum_download_ask(quorum, leader);
            } else {
                quorum_follow_fetch(quorum, leader);
            }
        }
        quorum_follow_ask_epochs(quorum);
        break;
    case QUORUM_RESIGNED:
        quorum_lead_renounce(quorum);
        break;
    case QUORUM_OPENING:
        break;
    }
}

static int64_t next_due_ms(const struct quorum *quorum)
{
    int64_t now_ms = env_now_ms(quorum->env);
    int64_t due_ms = quorum->deadline_ms;
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        int64_t retry_ms = quorum->peers[i].retry_at_ms;
        if (retry_ms > now_ms && retry_ms < due_ms) {
            due_ms = retry_ms;
        }
    }
    LIST_FOREACH(node, &quorum->parked) {
        const struct quorum_waiting *waiting = CONTAINER_OF(node, struct quorum_waiting, node);
        if (!waiting->reading && waiting->until_ms < due_ms) {
            due_ms = waiting->until_ms;
        }
    }
    return due_ms;
}

static void timer_fired(struct env_timer *timer)
{
    struct quorum *quorum = CONTAINER_OF(timer, struct quorum, timer);
    if (quorum->broken || quorum->closing) {
        return;
    }
    quorum_serve_parked(quorum);
    if (env_now_ms(quorum->env) >= quorum->deadline_ms) {
        deadline_passed(quorum);
    }
    quorum_step(quorum);
}

void quorum_step(struct quorum *quorum)
{
    if (quorum->broken || quorum->closing || quorum->role == QUORUM_OPENING) {
        return;
    }
    act(quorum);
    if (quorum->broken) {
        return;
    }
    int64_t due_ms = next_due_ms(quorum);
    if (due_ms == INT64_MAX) {
        env_timer_cancel(quorum->env, &quorum->timer);
        return;
    }
    quorum->timer.fire = timer_fired;
    env_timer_set(quorum->env, &quorum->timer, due_ms);
}
