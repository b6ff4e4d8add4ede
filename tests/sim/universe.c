#include "tests/sim/universe.h"

#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

enum { CALM_MAX_MS = 90000, LAST_CRASH_PERCENT = 50, LEVEL_EVERY_US = 20000 };

int64_t universe_below(struct universe *u, int64_t bound)
{
    return bound <= 1 ? 0 : (int64_t)rng_below(u->rng, (uint64_t)bound);
}

bool universe_chance(struct universe *u, int percent)
{
    return universe_below(u, 100) < percent;
}

const struct topic_plan *universe_topic_of(const struct universe *u, int part, int32_t *partition)
{
    for (int i = 0; i < u->topic_count; i++) {
        const struct topic_plan *plan = &u->topics[i];
        if (part >= plan->first_part && part < plan->first_part + plan->partitions) {
            *partition = part - plan->first_part;
            return plan;
        }
    }
    UNREACHABLE("a part of no topic");
}

/* ---- making one ---- */

static void plan_topics(struct universe *u)
{
    u->topic_count = 1 + (int)universe_below(u, TOPICS_MAX);
    for (int i = 0; i < u->topic_count; i++) {
        struct topic_plan *plan = &u->topics[i];
        snprintf(plan->name, sizeof plan->name, "numbers%d", i);
        plan->partitions = 1 + (int32_t)universe_below(u, 3);
        plan->segment_ms = universe_chance(u, 50) ? 100 + universe_below(u, 3000) : 604800000;
        plan->segment_index_bytes =
            universe_chance(u, 50) ? 24 + (int32_t)universe_below(u, 100) : 10485760;
        plan->first_part = ledger_parts(u->ledger);
        for (int32_t p = 0; p < plan->partitions; p++) {
            ledger_add_part(u->ledger, plan->name, p);
        }
    }
}

static void slow_some_disks(struct universe *u)
{
    static const enum sim_op ops[] = {SIM_WRITE, SIM_SYNC, SIM_READ, SIM_SYNC_DIR};
    for (int i = 0; i < u->server_count; i++) {
        for (size_t k = 0; k < sizeof ops / sizeof ops[0]; k++) {
            if (universe_chance(u, 30)) {
                int64_t most_us = universe_below(u, 20000) + 2;
                struct sim_latency latency = {
                    .min_us = 1, .max_us = most_us, .slow_one_in = 50, .slow_us = 10 * most_us};
                sim_disk_latency(u->servers[i].node, ops[k], latency);
            }
        }
    }
}

/* In half of the clusters some nodes are far from each other: then it is not the same to have told
 * one and to have told another. */
static void stretch_some_paths(struct universe *u)
{
    bool stretched = universe_chance(u, 50);
    for (int from = 0; stretched && from < u->server_count; from++) {
        for (int to = 0; to < u->server_count; to++) {
            if (from != to && universe_chance(u, 40)) {
                struct sim_path path = sim_path_of(u->servers[from].node, u->servers[to].node);
                path.delay_max_us = INT64_C(1) << (10 + universe_below(u, 8));
                path.delay_min_us = path.delay_max_us / 2;
                sim_path_set(u->servers[from].node, u->servers[to].node, path);
            }
        }
    }
}

/* Mostly every node is broker and voter; of five sometimes three vote; sometimes three brokers have
 * one controller (4 servers) or three (6) apart from them. */
static int draw_server_count(struct universe *u, const struct universe_options *options)
{
    static const int counts[] = {1, 1, 3, 3, 3, 3, 3, 5, 5, 6};
    int drawn = counts[universe_below(u, 10)];
    bool lone = universe_chance(u, 25);
    if (options->servers > 0) {
        return (int)options->servers;
    }
    if (options->quorum) {
        return drawn < 5 ? 3 : 5;
    }
    return drawn == 6 && lone ? 4 : drawn;
}

/* Mostly often, so that what is behind finds the log begun beyond it. */
static void draw_snapshots(struct universe *u)
{
    if (universe_chance(u, 20)) {
        return;
    }
    struct universe_snapshots *s = &u->snapshots;
    int64_t most = u->quorum_only ? 2000 : 10000;
    s->every_bytes = 300 + universe_below(u, most);
    s->every_ms = universe_chance(u, 25) ? 300 + universe_below(u, 5000) : 0;
    s->keep_bytes = universe_chance(u, 70) ? 1 + universe_below(u, 2 * most) : 0;
    s->keep_ms = universe_chance(u, 25) ? 500 + universe_below(u, 10000) : 0;
    /* No batch may be larger. */
    int64_t least = u->quorum_only ? 1500 : 16000;
    s->segment_bytes = universe_chance(u, 60) ? least + universe_below(u, most) : 0;
    s->piece_bytes = universe_chance(u, 60) ? 100 + universe_below(u, 3000) : 0;
}

static void draw_pace(struct universe *u)
{
    struct universe_pace *pace = &u->pace;
    pace->election_ms = 200 + universe_below(u, 800);
    pace->quorum_fetch_ms = 2 * pace->election_ms;
    pace->session_ms = 1000 + universe_below(u, 4000);
    pace->lag_ms = 1000 + universe_below(u, 5000);
    pace->min_insync = universe_chance(u, 75) ? 2 : 1;
    draw_snapshots(u);
    u->racks = universe_chance(u, 50) ? 0 : 1 + (int)universe_below(u, 3);
}

static void make_servers(struct universe *u, const struct universe_options *options)
{
    char voters[SERVERS_MAX * 32];
    size_t used = 0;
    size_t used_voters = 0;
    u->server_count = draw_server_count(u, options);
    u->quorum_only = options->quorum;
    bool apart = u->quorum_only || u->server_count == 4 || u->server_count == 6;
    u->broker_count = u->quorum_only ? 0 : (apart ? REPLICAS : u->server_count);
    int voters_count = u->server_count == 5 && universe_chance(u, 50) ? 3 : u->server_count;
    draw_pace(u);
    for (int i = 0; i < u->server_count; i++) {
        struct server *server = &u->servers[i];
        bool serves = i < u->broker_count;
        bool votes = apart ? !serves : i < voters_count;
        server_init(server, u, i + 1, serves, votes);
        if (serves) {
            used += (size_t)snprintf(u->bootstrap + used, sizeof u->bootstrap - used, "%s%s:9092",
                                     used > 0 ? "," : "", server->host);
        }
        if (votes) {
            used_voters +=
                (size_t)snprintf(voters + used_voters, sizeof voters - used_voters, "%s%d@%s:9093",
                                 used_voters > 0 ? "," : "", server->id, server->host);
        }
    }
    for (int i = 0; i < u->server_count; i++) {
        server_configure(&u->servers[i], voters);
    }
    slow_some_disks(u);
    stretch_some_paths(u);
}

static void add(struct universe *u, struct actor *actor)
{
    ASSERT(u->actor_count < ACTORS_MAX);
    u->actors[u->actor_count++] = actor;
}

static void make_actors(struct universe *u)
{
    if (u->quorum_only) {
        return;
    }
    add(u, admin_new(u));
    for (int i = 0; i < 3; i++) {
        add(u, producer_new(u, i));
    }
    add(u, reader_new(u, 0, false));
    add(u, reader_new(u, 0, true));
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        add(u, member_new(u, i));
    }
    if (u->server_count > 1) {
        add(u, elector_new(u));
    }
    if (u->server_count > 1 && universe_chance(u, 60)) {
        add(u, mover_new(u));
    }
}

static void universe_init(struct universe *u, const struct universe_options *options,
                          struct tally *tally)
{
    struct sim_options sim = {.seed = options->seed};
    if (options->sink != NULL) {
        sim.sink = options->sink;
    }
    *u =
        (struct universe){.seed = options->seed, .max_events = options->max_events, .tally = tally};
    u->sim = sim_new(&sim);
    u->rng = sim_rng(u->sim);
    u->ledger = ledger_new(&u->verdict);
    sim_net_timeouts(u->sim, 8000, 3000);
    plan_topics(u);
    make_servers(u, options);
    u->witness = witness_new(u);
    make_actors(u);
    for (int i = 0; i < u->server_count; i++) {
        server_start(&u->servers[i]);
    }
}

static void universe_fini(struct universe *u)
{
    for (int i = 0; i < u->actor_count; i++) {
        u->actors[i]->ops->free(u->actors[i]);
    }
    for (int i = 0; i < u->server_count; i++) {
        server_free(&u->servers[i]);
    }
    sim_free(u->sim);
    witness_free(u->witness);
    ledger_free(u->ledger);
}

/* ---- the two phases ---- */

/* Stopped by --events: nothing is judged. */
static bool cut_short(const struct universe *u)
{
    return u->max_events > 0 && sim_events(u->sim) >= u->max_events;
}

static bool failed(const struct universe *u)
{
    return u->verdict.failed || cut_short(u);
}

/* After every event. */
static bool watch(void *ctx)
{
    struct universe *u = ctx;
    witness_step(u->witness);
    return failed(u);
}

static bool producers_finished(const struct universe *u)
{
    for (int i = 0; i < u->actor_count; i++) {
        if (u->actors[i]->ops->writes && !u->actors[i]->ops->finished(u->actors[i])) {
            return false;
        }
    }
    return true;
}

static struct actor *unfinished(const struct universe *u)
{
    for (int i = 0; i < u->actor_count; i++) {
        if (!u->actors[i]->ops->finished(u->actors[i])) {
            return u->actors[i];
        }
    }
    return NULL;
}

static bool over(void *ctx)
{
    struct universe *u = ctx;
    if (watch(u)) {
        return true;
    }
    u->written = u->written || producers_finished(u);
    if (!u->written || unfinished(u) != NULL || sim_now_us(u->sim) < u->level_us) {
        return false;
    }
    u->level_us = sim_now_us(u->sim) + LEVEL_EVERY_US;
    return witness_level(u->witness, NULL, 0);
}

/* False when something was still unfinished after all the time there was. */
static void wait_for_all(struct universe *u)
{
    if (sim_run_until(u->sim, over, u, CALM_MAX_MS, 0) || failed(u)) {
        return;
    }
    struct actor *actor = unfinished(u);
    char what[256] = "";
    for (int i = 0; i < u->server_count; i++) {
        if (!u->servers[i].ready) {
            verdict_fail(&u->verdict, "progress: server %d is not ready %d s after the last fault",
                         u->servers[i].id, CALM_MAX_MS / 1000);
        }
    }
    if (actor != NULL) {
        actor->ops->describe(actor, what, sizeof what);
        verdict_fail(&u->verdict, "progress: %d s after the last fault %s is not finished: %s",
                     CALM_MAX_MS / 1000, actor->name, what);
    }
    if (!witness_level(u->witness, what, sizeof what)) {
        verdict_fail(&u->verdict, "progress: %d s after the last fault %s", CALM_MAX_MS / 1000,
                     what);
    }
}

static void crash_all(struct universe *u)
{
    for (int i = 0; i < u->server_count; i++) {
        enum sim_crash how = (enum sim_crash)universe_below(u, 3);
        u->tally->faults[how == SIM_KILL ? FAULT_KILL
                                         : (how == SIM_POWER ? FAULT_POWER : FAULT_POWER_CUT)]++;
        server_crash(&u->servers[i], how);
    }
}

static void run_phases(struct universe *u)
{
    faults_begin(u);
    int64_t most_ms = u->server_count > 1 ? 20000 : 12000;
    sim_run_until(u->sim, watch, u, 2000 + universe_below(u, most_ms), 0);
    if (failed(u)) {
        return;
    }
    u->calm = true;
    faults_end(u);
    wait_for_all(u);
    if (!failed(u) && universe_chance(u, LAST_CRASH_PERCENT)) {
        crash_all(u);
        u->last_call = true;
        wait_for_all(u);
    }
    if (!failed(u)) {
        ledger_check_end(u->ledger);
    }
}

void universe_run(const struct universe_options *options, struct tally *tally,
                  struct universe_result *result)
{
    struct universe *u = mem_zalloc(sizeof *u);
    universe_init(u, options, tally);
    run_phases(u);
    *result = (struct universe_result){
        .failed = u->verdict.failed, .hash = sim_hash(u->sim), .events = sim_events(u->sim)};
    snprintf(result->why, sizeof result->why, "at %lld.%06lld s: %s",
             (long long)(sim_now_us(u->sim) / 1000000), (long long)(sim_now_us(u->sim) % 1000000),
             u->verdict.why);
    tally->seeds++;
    tally->events += result->events;
    tally->clusters += u->server_count > 1;
    tally->starts += u->starts;
    tally->elections += witness_elections(u->witness);
    tally->leader_changes += witness_leader_changes(u->witness);
    tally->snapshots += witness_snapshots(u->witness);
    tally->skips += witness_skips(u->witness);
    tally->acked += ledger_acked_count(u->ledger);
    tally->reads += ledger_read_count(u->ledger);
    universe_fini(u);
    mem_free(u);
}
