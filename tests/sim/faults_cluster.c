/* What strikes between servers, and the loss of a machine's disks.
 *
 * WHAT A LOST DISK MAY COST. Kafka promises that an acknowledged record survives as long as one
 * in-sync replica does, and replicas of a partition are in sync by the controller's book, which
 * learns of a wiped machine only when that registers anew. So a broker is wiped only when every
 * partition it holds is in sync on all its replicas and nothing else is wrong, one at a time, and
 * until it is in sync again everywhere nothing befalls the others: else the controller could come
 * to count the wiped one alone as in sync. Controllers with no broker beside them are held to more:
 * what is committed is durable on a majority and a wiped voter waits until it has it again, so one
 * at a time may be wiped whatever happens to the others meanwhile. */
#include "tests/sim/universe.h"

enum { APART_MAX_MS = 4000, APART_LONG_MS = 15000, SLOW_MAX_US = 1 << 20 };
enum { HUNT_MIN_MS = 1000, HUNT_MORE_MS = 9000, HUNT_DELAY_BITS = 20 };
enum { WIPE_POLL_MS = 100, WIPE_PATIENCE = 150 };

static int any_index(struct universe *u)
{
    return (int)universe_below(u, u->server_count);
}

static int64_t some_while_us(struct universe *u)
{
    int64_t most_ms = universe_chance(u, 75) ? APART_MAX_MS : APART_LONG_MS;
    return 1000 * (1 + universe_below(u, most_ms));
}

static void trouble_until(struct universe *u, int64_t until_us)
{
    u->trouble_us = until_us > u->trouble_us ? until_us : u->trouble_us;
}

/* ---- paths ---- */

static void mend(struct universe *u, bool all)
{
    int64_t now_us = sim_now_us(u->sim);
    for (int from = 0; from < u->server_count; from++) {
        for (int to = 0; to < u->server_count; to++) {
            struct broken_path *broken = &u->broken[from][to];
            struct sim_node *a = u->servers[from].node;
            struct sim_node *b = u->servers[to].node;
            if (broken->blocked_us > 0 && (all || broken->blocked_us <= now_us)) {
                sim_block(a, b, false);
                broken->blocked_us = 0;
            }
            if (broken->slow_us > 0 && (all || broken->slow_us <= now_us)) {
                struct sim_path path = sim_path_of(a, b);
                path.delay_min_us = broken->plain.delay_min_us;
                path.delay_max_us = broken->plain.delay_max_us;
                sim_path_set(a, b, path);
                broken->slow_us = 0;
            }
        }
    }
}

static void mend_due(void *ctx)
{
    mend(ctx, false);
}

static void block(struct universe *u, int from, int to, int64_t until_us)
{
    if (from != to) {
        sim_block(u->servers[from].node, u->servers[to].node, true);
        u->broken[from][to].blocked_us = until_us;
    }
}

void faults_apart(struct universe *u)
{
    int64_t until_us = sim_now_us(u->sim) + some_while_us(u);
    int one = any_index(u);
    int other = any_index(u);
    int shape = (int)universe_below(u, 5);
    uint64_t side = (uint64_t)universe_below(u, 1 << u->server_count);
    for (int i = 0; i < u->server_count; i++) {
        switch (shape) {
        case 0: /* alone, both ways */
            block(u, one, i, until_us);
            block(u, i, one, until_us);
            break;
        case 1: /* it is not heard */
            block(u, one, i, until_us);
            break;
        case 2: /* it does not hear */
            block(u, i, one, until_us);
            break;
        case 3: /* two sides */
            for (int k = 0; k < u->server_count; k++) {
                if (((side >> i) & 1) != ((side >> k) & 1)) {
                    block(u, i, k, until_us);
                }
            }
            break;
        default: /* one path */
            block(u, one, other, until_us);
            break;
        }
    }
    trouble_until(u, until_us);
    sim_at(u->sim, until_us, mend_due, u);
}

void faults_slow(struct universe *u)
{
    int from = any_index(u);
    int to = any_index(u);
    if (from == to) {
        return;
    }
    struct sim_path path = sim_path_of(u->servers[from].node, u->servers[to].node);
    int64_t until_us = sim_now_us(u->sim) + some_while_us(u);
    if (u->broken[from][to].slow_us == 0) {
        u->broken[from][to].plain = path;
    }
    path.delay_max_us = path.delay_min_us + universe_below(u, universe_below(u, SLOW_MAX_US) + 1);
    sim_path_set(u->servers[from].node, u->servers[to].node, path);
    u->broken[from][to].slow_us = until_us;
    trouble_until(u, until_us);
    sim_at(u->sim, until_us, mend_due, u);
}

void faults_cut(struct universe *u)
{
    for (int i = 0; i < u->server_count; i++) {
        for (int k = 0; k < i; k++) {
            if (universe_chance(u, 50)) {
                sim_reset(u->servers[i].node, u->servers[k].node);
            }
        }
    }
}

void faults_reconnect(struct universe *u)
{
    mend(u, true);
}

void faults_blackout(struct universe *u)
{
    enum sim_crash how = universe_chance(u, 50) ? SIM_POWER : SIM_POWER_CUT;
    for (int i = 0; i < u->server_count; i++) {
        server_crash(&u->servers[i], how);
    }
}

/* ---- leaders ---- */

static void strike_leader(void *ctx)
{
    struct server *server = ctx;
    struct universe *u = server->universe;
    if (u->calm || faults_spare(u, server)) {
        return;
    }
    u->tally->faults[FAULT_HUNT]++;
    if (universe_chance(u, 60)) {
        server_crash(server, (enum sim_crash)universe_below(u, 3));
        return;
    }
    int64_t until_us = sim_now_us(u->sim) + 1000 * (1 + universe_below(u, APART_MAX_MS));
    for (int i = 0; i < u->server_count; i++) {
        block(u, (int)(server - u->servers), i, until_us);
        block(u, i, (int)(server - u->servers), until_us);
    }
    trouble_until(u, until_us);
    sim_at(u->sim, until_us, mend_due, u);
}

void faults_hunt(struct universe *u)
{
    if (u->quorum_only) {
        return; /* there it never ends */
    }
    u->hunt_us = sim_now_us(u->sim) + 1000 * (HUNT_MIN_MS + universe_below(u, HUNT_MORE_MS));
    u->hunted_trail =
        universe_chance(u, 50) ? 0 : (int)universe_below(u, witness_trails(u->witness));
    struct server *leader = witness_leader(u->witness, u->hunted_trail);
    if (leader != NULL) {
        strike_leader(leader);
    }
}

void faults_led(struct universe *u, struct server *server, int trail)
{
    int64_t now_us = sim_now_us(u->sim);
    if (!u->calm && now_us < u->hunt_us && trail == u->hunted_trail && universe_chance(u, 80)) {
        /* Mostly soon, while little of what it does first has reached the others. */
        int64_t most_us = INT64_C(1) << universe_below(u, HUNT_DELAY_BITS);
        sim_at(u->sim, now_us + universe_below(u, most_us), strike_leader, server);
    }
}

/* ---- disks ---- */

bool faults_spare(struct universe *u, const struct server *server)
{
    return u->wiped != NULL && u->wiped->serves_clients && u->wiped != server;
}

static bool all_serve(const struct universe *u)
{
    for (int i = 0; i < u->server_count; i++) {
        if (!u->servers[i].ready || u->servers[i].stopping) {
            return false;
        }
    }
    return true;
}

static void again(struct universe *u, void (*fire)(void *ctx))
{
    sim_at(u->sim, sim_now_us(u->sim) + WIPE_POLL_MS * INT64_C(1000), fire, u);
}

static void until_caught_up(void *ctx)
{
    struct universe *u = ctx;
    struct server *server = u->wiped;
    if (server->ready && witness_delivered(u->witness, server) >= u->wiped_goal &&
        witness_can_spare(u->witness, server)) {
        u->wiped = NULL;
    } else if (!u->calm) {
        again(u, until_caught_up);
    }
}

static void wipe(struct universe *u)
{
    u->tally->faults[FAULT_WIPE]++;
    u->wiped_goal = witness_committed(u->witness);
    server_wipe(u->wiped);
    again(u, until_caught_up);
}

/* Waits for a moment at which the broker can be spared. */
static void until_spared(void *ctx)
{
    struct universe *u = ctx;
    for (int i = 0; i < u->server_count; i++) {
        server_crash_at_op(&u->servers[i], 0, SIM_KILL);
    }
    u->hunt_us = 0;
    if (all_serve(u) && sim_now_us(u->sim) > u->trouble_us &&
        witness_can_spare(u->witness, u->wiped) && witness_voters_proven(u->witness)) {
        wipe(u);
    } else if (!u->calm && u->wipe_patience-- > 0) {
        again(u, until_spared);
    } else {
        u->wiped = NULL;
    }
}

void faults_wipe(struct universe *u)
{
    struct server *server = &u->servers[any_index(u)];
    bool last = u->server_count - u->broker_count == 1 && !server->serves_clients;
    if (u->wiped != NULL || last) {
        return;
    }
    u->wiped = server;
    u->wipe_patience = WIPE_PATIENCE;
    if (server->serves_clients) {
        until_spared(u);
    } else if (server->broker != NULL && witness_voters_proven(u->witness)) {
        wipe(u);
    } else {
        u->wiped = NULL;
    }
}
