/* Roles and elections.
 *
 * HAPPY PATH of a lone voter: the log and quorum-state are read; the epoch rises above both; the
 * new state (it voted for and leads itself) goes to disk while the LeaderChange record goes to the
 * log; when both are durable the record is committed and the high watermark is known.
 *
 * FAILURES. quorum-state unreadable or unwritable, the log failed: this node takes no part any more
 * and says so once. A leader that is told to step down stands again in a new epoch; what it had
 * appended stays in the log and is committed, or not, by whoever leads next. */
#include <inttypes.h>

#include "broker/quorum/quorum_internal.h"

bool quorum_is_voter(const struct quorum *quorum, int32_t id)
{
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        if (quorum->config.voters[i].id == id) {
            return true;
        }
    }
    return false;
}

void quorum_fail(struct quorum *quorum, enum err error, const struct err_text *text)
{
    ASSERT(error != ERR_NONE);
    if (quorum->broken || quorum->closing) {
        return;
    }
    trace_error(env_trace(quorum->env), "quorum: node %" PRId32 " takes no part any more: %s",
                quorum->config.node_id, text->text);
    quorum->broken = true;
    quorum->role = QUORUM_RESIGNED;
    quorum->now.leader_id = -1;
    quorum->tell_failed = true;
    quorum->failure = error;
    quorum->failure_text = *text;
    env_timer_cancel(quorum->env, &quorum->election);
    quorum_own_clear(quorum);
    quorum_deliver_wake(quorum);
}

/* This node's own vote is the majority: it leads the next epoch as soon as that is on disk. */
static void lead_alone(struct quorum *quorum)
{
    ASSERT(quorum->config.voter_count == 1);
    if (quorum->now.epoch == INT32_MAX) {
        struct err_text text = {{0}};
        err_set(&text, "the metadata log has reached the last leader epoch, %" PRId32,
                quorum->now.epoch);
        quorum_fail(quorum, ERR_OUT_OF_RANGE, &text);
        return;
    }
    int32_t id = quorum->config.node_id;
    quorum->now = (struct quorum_state){quorum->now.epoch + 1, id, id};
    ASSERT(quorum->role != QUORUM_LEADER && quorum_is_voter(quorum, id));
    quorum->role = QUORUM_LEADER;
    trace_info(env_trace(quorum->env),
               "quorum: node %" PRId32 " leads epoch %" PRId32 ": it is the only voter", id,
               quorum->now.epoch);
    quorum_store_write(quorum);
    if (quorum_lead_start(quorum)) {
        quorum_deliver_wake(quorum);
    }
}

static void election_due(struct env_timer *timer)
{
    struct quorum *quorum = CONTAINER_OF(timer, struct quorum, election);
    if (!quorum->broken && !quorum->closing && quorum->role != QUORUM_LEADER) {
        lead_alone(quorum);
    }
}

static void stand_soon(struct quorum *quorum)
{
    if (quorum->config.voter_count == 1 && quorum_is_voter(quorum, quorum->config.node_id)) {
        quorum->election.fire = election_due;
        env_timer_set(quorum->env, &quorum->election, env_now_ms(quorum->env));
    }
}

void quorum_state_ready(struct quorum *quorum)
{
    if (!quorum->log_ready || !quorum->state_ready || quorum->broken) {
        return;
    }
    ASSERT(quorum->role == QUORUM_OPENING);
    int32_t log_epoch = log_last_epoch(quorum->log);
    if (log_epoch > quorum->now.epoch) {
        quorum->now = (struct quorum_state){log_epoch, -1, -1};
    }
    /* Whoever led before this start leads no more, if it was us; if it was another it will say so.
     */
    quorum->now.leader_id = -1;
    quorum->role = quorum->now.voted_id >= 0 ? QUORUM_VOTED : QUORUM_UNATTACHED;
    trace_info(env_trace(quorum->env),
               "quorum: node %" PRId32 " opened its log: offsets %" PRId64 " to %" PRId64
               ", epoch %" PRId32,
               quorum->config.node_id, log_start(quorum->log), log_end(quorum->log),
               quorum->now.epoch);
    quorum->delivered = log_start(quorum->log);
    quorum->tell_opened = true;
    quorum_deliver_wake(quorum);
    if (quorum->config.voter_count == 1 && quorum_is_voter(quorum, quorum->config.node_id)) {
        lead_alone(quorum); /* no reason to wait a turn */
    }
}

void quorum_state_stored(struct quorum *quorum)
{
    if (!quorum->broken) {
        quorum_lead_advance(quorum);
    }
}

void quorum_step_down(struct quorum *quorum, const char *why)
{
    ASSERT(quorum->role == QUORUM_LEADER);
    trace_info(env_trace(quorum->env), "quorum: node %" PRId32 " resigns epoch %" PRId32 ": %s",
               quorum->config.node_id, quorum->now.epoch, why);
    quorum->role = QUORUM_RESIGNED;
    quorum->now.leader_id = -1;
    quorum->epoch_start_offset = -1;
    quorum_own_clear(quorum);
    quorum_deliver_wake(quorum);
    stand_soon(quorum);
}

void quorum_resign(struct quorum *quorum, int32_t epoch, const char *why)
{
    if (quorum->role == QUORUM_LEADER && quorum->now.epoch == epoch) {
        quorum_step_down(quorum, why);
    }
}
