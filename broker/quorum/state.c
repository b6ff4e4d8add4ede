/* Roles, and what moves between them.
 *
 * HAPPY PATH of a lone voter: the log and quorum-state are read; the epoch rises above both; the
 * new state (it voted for and leads itself) goes to disk while the LeaderChange record goes to the
 * log; when both are durable the record is committed and the high watermark is known.
 *
 * HAPPY PATH among several: unattached, nobody heard for an election timeout -> prospective, asks
 * for pre-votes; a majority -> candidate: the epoch rises, its own vote goes to disk, then votes
 * are asked for; a majority -> the state that says so goes to disk, then it leads: LeaderChange
 * into the log, BeginQuorumEpoch to the others. They follow: the leader's name goes to disk, then
 * they fetch.
 *
 * FAILURES. A follower that hears nothing for a fetch timeout becomes prospective and follows again
 * when it is refused. A leader that a majority does not fetch from for one and a half fetch
 * timeouts resigns. A higher epoch ends every role. quorum-state unreadable or unwritable, the log
 * failed: this node takes no part any more and says so once. What a resigned leader had appended
 * stays in the log and is committed, or not, by whoever leads next. */
#include <inttypes.h>

#include "broker/quorum/quorum_internal.h"

struct quorum_peer *quorum_peer_of(struct quorum *quorum, int32_t id)
{
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        if (quorum->peers[i].voter.id == id) {
            return &quorum->peers[i];
        }
    }
    return NULL;
}

bool quorum_is_voter(const struct quorum *quorum, int32_t id)
{
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        if (quorum->config.voters[i].id == id) {
            return true;
        }
    }
    return false;
}

static bool votes(const struct quorum *quorum)
{
    return quorum_is_voter(quorum, quorum->config.node_id);
}

bool quorum_has_others(const struct quorum *quorum)
{
    return quorum->config.voter_count > 1 || !votes(quorum);
}

bool quorum_settled(const struct quorum *quorum)
{
    ASSERT(quorum->durable_number <= quorum->now_number);
    return quorum->durable_number == quorum->now_number;
}

int64_t quorum_random_ms(struct quorum *quorum, int64_t at_least, int64_t below)
{
    ASSERT(at_least >= 0);
    if (below <= at_least) {
        return at_least;
    }
    return at_least + (int64_t)(env_random(quorum->env) % (uint64_t)(below - at_least));
}

static int64_t election_due_ms(struct quorum *quorum)
{
    int64_t timeout_ms = quorum->config.election_timeout_ms;
    return env_now_ms(quorum->env) + quorum_random_ms(quorum, timeout_ms, 2 * timeout_ms);
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
    quorum->epoch_start_offset = -1;
    env_timer_cancel(quorum->env, &quorum->timer);
    env_timer_cancel(quorum->env, &quorum->tend);
    quorum_send_forget(quorum);
    quorum_own_clear(quorum);
    quorum_load_drop(quorum);
    quorum_download_drop(quorum);
    quorum_serve_end_all(quorum);
    quorum_calls_refuse(quorum);
    quorum_deliver_wake(quorum);
}

/* Ends the present role. */
static void enter(struct quorum *quorum, enum quorum_role role)
{
    bool led = quorum->role == QUORUM_LEADER;
    quorum->role = role;
    quorum->won = false;
    quorum->lost = false;
    quorum->fetched = false;
    quorum->let_go = false;
    quorum->leader_watermark = -1;
    quorum->deadline_ms = INT64_MAX;
    quorum_send_forget(quorum);
    quorum_download_drop(quorum);
    if (led) {
        quorum->epoch_start_offset = -1;
        quorum_own_clear(quorum);
        quorum_serve_end_all(quorum);
    }
    quorum_deliver_wake(quorum);
}

void quorum_become_unattached(struct quorum *quorum, int32_t epoch)
{
    ASSERT(epoch >= quorum->now.epoch);
    /* Who waits for a leader goes on waiting: a stream of candidates must not hold it off. */
    bool waits = quorum->role == QUORUM_UNATTACHED || quorum->role == QUORUM_VOTED ||
                 quorum->role == QUORUM_PROSPECTIVE || quorum->role == QUORUM_FOLLOWER;
    int64_t deadline_ms = quorum->deadline_ms;
    if (epoch > quorum->now.epoch) {
        quorum->now = (struct quorum_state){epoch, -1, -1};
        quorum_store_write(quorum);
    }
    quorum->now.leader_id = -1;
    enter(quorum, quorum->now.voted_id >= 0 ? QUORUM_VOTED : QUORUM_UNATTACHED);
    if (votes(quorum)) {
        bool keep = waits && deadline_ms > env_now_ms(quorum->env) && deadline_ms != INT64_MAX;
        quorum->deadline_ms = keep ? deadline_ms : election_due_ms(quorum);
    }
}

void quorum_become_voted(struct quorum *quorum, int32_t candidate_id)
{
    ASSERT(quorum->now.voted_id < 0 && quorum->proven);
    quorum->now.voted_id = candidate_id;
    quorum_store_write(quorum);
    quorum->now.leader_id = -1;
    enter(quorum, QUORUM_VOTED);
    quorum->deadline_ms = election_due_ms(quorum); /* the candidate gets its time */
}

void quorum_become_follower(struct quorum *quorum, int32_t epoch, int32_t leader_id)
{
    ASSERT(epoch >= quorum->now.epoch && leader_id != quorum->config.node_id);
    if (epoch > quorum->now.epoch) {
        quorum->now = (struct quorum_state){epoch, -1, -1};
    }
    if (quorum->now.leader_id != leader_id) {
        quorum->now.leader_id = leader_id;
        trace_info(env_trace(quorum->env),
                   "quorum: node %" PRId32 " follows node %" PRId32 " in epoch %" PRId32,
                   quorum->config.node_id, leader_id, epoch);
        quorum_store_write(quorum);
    }
    enter(quorum, QUORUM_FOLLOWER);
    quorum->elections = 0;
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        quorum->peers[i].heard_empty = false; /* no new cluster, then */
    }
    quorum->deadline_ms = env_now_ms(quorum->env) + quorum->config.fetch_timeout_ms;
}

void quorum_become_prospective(struct quorum *quorum)
{
    ASSERT(votes(quorum) && quorum->config.voter_count > 1);
    enter(quorum, QUORUM_PROSPECTIVE);
    quorum_elect_start(quorum);
    quorum->deadline_ms = election_due_ms(quorum);
}

static bool last_epoch(struct quorum *quorum)
{
    if (quorum->now.epoch < INT32_MAX) {
        return false;
    }
    struct err_text text = {{0}};
    err_set(&text, "the metadata log has reached the last leader epoch, %" PRId32,
            quorum->now.epoch);
    quorum_fail(quorum, ERR_OUT_OF_RANGE, &text);
    return true;
}

void quorum_become_candidate(struct quorum *quorum)
{
    ASSERT(quorum->role == QUORUM_PROSPECTIVE && quorum->proven);
    if (last_epoch(quorum)) {
        return;
    }
    quorum->now = (struct quorum_state){quorum->now.epoch + 1, -1, quorum->config.node_id};
    quorum_store_write(quorum);
    enter(quorum, QUORUM_CANDIDATE);
    quorum_elect_start(quorum);
    quorum->elections++;
    quorum->deadline_ms = election_due_ms(quorum);
    trace_info(env_trace(quorum->env), "quorum: node %" PRId32 " stands in epoch %" PRId32,
               quorum->config.node_id, quorum->now.epoch);
}

void quorum_become_leader(struct quorum *quorum)
{
    ASSERT(quorum->role == QUORUM_CANDIDATE && quorum->won && quorum_settled(quorum));
    ASSERT(quorum->durable.leader_id == quorum->config.node_id);
    enter(quorum, QUORUM_LEADER);
    quorum->elections = 0;
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        struct quorum_peer *peer = &quorum->peers[i];
        peer->seen = quorum_not_seen;
        peer->fetched = false;
    }
    quorum->observer_count = 0;
    quorum->deadline_ms =
        env_now_ms(quorum->env) + (int64_t)quorum->config.fetch_timeout_ms * 3 / 2;
    trace_info(env_trace(quorum->env), "quorum: node %" PRId32 " leads epoch %" PRId32,
               quorum->config.node_id, quorum->now.epoch);
    (void)quorum_lead_start(quorum);
}

/* This node's own vote is the majority: it leads the next epoch as soon as that is on disk. */
void quorum_lead_alone(struct quorum *quorum)
{
    ASSERT(quorum->config.voter_count == 1 && votes(quorum));
    if (last_epoch(quorum)) {
        return;
    }
    int32_t id = quorum->config.node_id;
    quorum->now = (struct quorum_state){quorum->now.epoch + 1, id, id};
    ASSERT(quorum->role != QUORUM_LEADER);
    quorum->role = QUORUM_LEADER;
    quorum->deadline_ms = INT64_MAX;
    quorum->peers[0].ballot = BALLOT_GRANTED;
    trace_info(env_trace(quorum->env),
               "quorum: node %" PRId32 " leads epoch %" PRId32 ": it is the only voter", id,
               quorum->now.epoch);
    quorum_store_write(quorum);
    if (quorum_lead_start(quorum)) {
        quorum_deliver_wake(quorum);
    }
}

static void take_part(struct quorum *quorum)
{
    if (!quorum_has_others(quorum)) {
        quorum_lead_alone(quorum); /* no reason to wait a turn */
        return;
    }
    int32_t leader_id = quorum->now.leader_id;
    quorum->now.leader_id = -1;
    if (leader_id >= 0 && leader_id != quorum->config.node_id &&
        quorum_is_voter(quorum, leader_id)) {
        quorum_become_follower(quorum, quorum->now.epoch, leader_id);
    } else {
        quorum_become_unattached(quorum, quorum->now.epoch);
    }
    if (!quorum->proven) {
        trace_info(env_trace(quorum->env),
                   "quorum: node %" PRId32 " has no quorum-state: it votes once it has heard that "
                   "the others are empty too, or holds all that is committed",
                   quorum->config.node_id);
        /* Its pre-votes are but a greeting: no need to wait long. */
        int64_t now_ms = env_now_ms(quorum->env);
        quorum->deadline_ms =
            now_ms + quorum_random_ms(quorum, 1, quorum->config.election_timeout_ms / 4);
    }
    quorum_step(quorum);
}

void quorum_state_ready(struct quorum *quorum)
{
    if (!quorum->log_ready || !quorum->state_ready || quorum->broken) {
        return;
    }
    ASSERT(quorum->role == QUORUM_OPENING);
    quorum->proven = quorum->was_stored || quorum->config.voter_count <= 1 || !votes(quorum);
    int32_t log_epoch = quorum_last_epoch(quorum);
    if (log_epoch > quorum->now.epoch) {
        quorum->now = (struct quorum_state){log_epoch, -1, -1};
    }
    /* Whoever led before this start leads no more, if it was us. */
    if (quorum->now.leader_id == quorum->config.node_id || !quorum_has_others(quorum)) {
        quorum->now.leader_id = -1;
    }
    quorum->role = quorum->now.voted_id >= 0 ? QUORUM_VOTED : QUORUM_UNATTACHED;
    trace_info(env_trace(quorum->env),
               "quorum: node %" PRId32 " opened its log: offsets %" PRId64 " to %" PRId64
               ", epoch %" PRId32,
               quorum->config.node_id, log_start(quorum->log), log_end(quorum->log),
               quorum->now.epoch);
    ASSERT(quorum->delivered == 0 && (quorum->load.wanted || log_start(quorum->log) == 0));
    quorum->tell_opened = true;
    quorum_deliver_wake(quorum);
    take_part(quorum);
}

void quorum_state_stored(struct quorum *quorum)
{
    if (quorum->broken) {
        return;
    }
    quorum_calls_stored(quorum);
    quorum_lead_advance(quorum);
    quorum_step(quorum);
}

void quorum_step_down(struct quorum *quorum, const char *why)
{
    ASSERT(quorum->role == QUORUM_LEADER);
    trace_info(env_trace(quorum->env), "quorum: node %" PRId32 " resigns epoch %" PRId32 ": %s",
               quorum->config.node_id, quorum->now.epoch, why);
    quorum->now.leader_id = -1;
    enter(quorum, QUORUM_RESIGNED);
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        quorum->peers[i].told = quorum->peers[i].voter.id == quorum->config.node_id;
    }
    quorum->deadline_ms =
        quorum_has_others(quorum) ? election_due_ms(quorum) : env_now_ms(quorum->env);
    quorum_step(quorum);
}

void quorum_resign(struct quorum *quorum, int32_t epoch, const char *why)
{
    if (quorum->role == QUORUM_LEADER && quorum->now.epoch == epoch) {
        quorum_step_down(quorum, why);
    }
}

bool quorum_learn(struct quorum *quorum, int32_t epoch, int32_t leader_id)
{
    ASSERT(epoch >= quorum->now.epoch);
    bool other =
        leader_id >= 0 && leader_id != quorum->config.node_id && quorum_is_voter(quorum, leader_id);
    if (epoch > quorum->now.epoch) {
        if (other) {
            quorum_become_follower(quorum, epoch, leader_id);
        } else {
            quorum_become_unattached(quorum, epoch);
        }
        return true;
    }
    if (!other) {
        return leader_id < 0 || quorum->now.leader_id < 0 || quorum->now.leader_id == leader_id;
    }
    if (quorum->now.leader_id < 0 && quorum->role != QUORUM_RESIGNED) {
        quorum_become_follower(quorum, epoch, leader_id);
    }
    return quorum->now.leader_id == leader_id;
}

void quorum_prove(struct quorum *quorum, const char *why)
{
    ASSERT(!quorum->proven && quorum->config.voter_count > 1);
    trace_info(env_trace(quorum->env), "quorum: node %" PRId32 " votes from now on: %s",
               quorum->config.node_id, why);
    quorum->proven = true;
    quorum_store_write(quorum);
}
