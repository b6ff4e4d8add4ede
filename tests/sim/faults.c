/* What strikes: one fault at a time, at random gaps, of the kinds this universe has drawn. */
#include "tests/sim/universe.h"

enum { OPS_NEAR = 60, OPS_FAR = 1500, STALL_MAX_MS = 1500, BLOCK_MAX_MS = 4000 };
enum { TEMPTED_MAX_US = 15000 };
enum { WALL_JUMP_MAX_MS = 20 * 60 * 1000 };

static struct server *any_server(struct universe *u)
{
    return &u->servers[universe_below(u, u->server_count)];
}

static void unblock(void *ctx)
{
    struct actor *actor = ctx;
    struct universe *u = actor->universe;
    for (int i = 0; i < u->server_count; i++) {
        sim_partition(actor->node, u->servers[i].node, false);
    }
}

static void block_some(struct universe *u)
{
    if (u->actor_count == 0) {
        return;
    }
    struct actor *actor = u->actors[universe_below(u, u->actor_count)];
    struct server *server = any_server(u);
    if (universe_chance(u, 70)) {
        sim_block(actor->node, server->node, true);
    }
    if (universe_chance(u, 70)) {
        sim_block(server->node, actor->node, true);
    }
    sim_at(u->sim, sim_now_us(u->sim) + universe_below(u, BLOCK_MAX_MS * 1000), unblock, actor);
}

static void reset_some(struct universe *u)
{
    struct server *server = any_server(u);
    for (int i = 0; i < u->actor_count; i++) {
        if (universe_chance(u, 50)) {
            sim_reset(u->actors[i]->node, server->node);
        }
    }
}

static void stall(struct universe *u, struct server *server, enum fault fault)
{
    int64_t for_us = universe_below(u, STALL_MAX_MS * 1000);
    int64_t until_us = sim_now_us(u->sim) + for_us;
    u->trouble_us = until_us > u->trouble_us ? until_us : u->trouble_us;
    if (fault == FAULT_STALL) {
        sim_node_stall(server->node, for_us);
    } else {
        sim_disk_stall(server->node, for_us);
    }
}

/* What a server itself feels. */
static void strike_server(struct universe *u, struct server *server, enum fault fault)
{
    int64_t near = universe_chance(u, 70) ? OPS_NEAR : OPS_FAR;
    switch (fault) {
    case FAULT_KILL:
        server_crash(server, SIM_KILL);
        break;
    case FAULT_POWER:
        server_crash(server, SIM_POWER);
        break;
    case FAULT_POWER_CUT:
        server_crash(server, SIM_POWER_CUT);
        break;
    case FAULT_AT_OP:
        server_crash_at_op(server, (uint64_t)universe_below(u, near) + 1,
                           (enum sim_crash)universe_below(u, 3));
        break;
    case FAULT_STOP:
        server_stop(server);
        break;
    case FAULT_STALL:
    case FAULT_DISK_STALL:
        stall(u, server, fault);
        break;
    default:
        break;
    }
}

/* What all servers feel, or their connections. */
static void strike_many(struct universe *u, enum fault fault)
{
    switch (fault) {
    case FAULT_APART:
        faults_apart(u);
        break;
    case FAULT_SLOW:
        faults_slow(u);
        break;
    case FAULT_BLACKOUT:
        faults_blackout(u);
        break;
    case FAULT_HUNT:
        faults_hunt(u);
        break;
    default:
        break;
    }
}

static void strike(struct universe *u, enum fault fault)
{
    struct server *server = any_server(u);
    switch (fault) {
    case FAULT_RESET:
        reset_some(u);
        break;
    case FAULT_BLOCK:
        block_some(u);
        break;
    case FAULT_WALL_JUMP:
        sim_node_wall_offset(server->node,
                             universe_below(u, 2 * WALL_JUMP_MAX_MS) - WALL_JUMP_MAX_MS);
        break;
    case FAULT_CUT:
        faults_cut(u);
        break;
    case FAULT_WIPE:
        faults_wipe(u);
        break;
    case FAULT_APART:
    case FAULT_SLOW:
    case FAULT_BLACKOUT:
    case FAULT_HUNT:
        if (!faults_spare(u, NULL)) {
            strike_many(u, fault);
        }
        break;
    default:
        if (!faults_spare(u, server)) {
            strike_server(u, server, fault);
        }
        break;
    }
}

static void strike_after(void *ctx)
{
    struct universe *u = ctx;
    struct server *server = any_server(u);
    if (!u->calm && !faults_spare(u, server)) {
        u->tally->faults[FAULT_AFTER_REQUEST]++;
        server_crash(server, universe_chance(u, 50) ? SIM_POWER : SIM_POWER_CUT);
    }
}

void faults_tempt(struct universe *u)
{
    if (!u->calm && (u->fault_kinds & (1U << FAULT_AFTER_REQUEST)) && universe_chance(u, 15)) {
        int64_t most_us = universe_chance(u, 70) ? TEMPTED_MAX_US : 10 * TEMPTED_MAX_US;
        sim_at(u->sim, sim_now_us(u->sim) + universe_below(u, most_us), strike_after, u);
    }
}

static void next_fault(void *ctx)
{
    struct universe *u = ctx;
    if (u->calm) {
        return;
    }
    enum fault fault = (enum fault)universe_below(u, FAULTS);
    /* server.c draws the one at every start, faults_tempt the other. */
    bool here = fault != FAULT_AT_START && fault != FAULT_AFTER_REQUEST;
    if (here && (u->fault_kinds & (1U << fault))) {
        /* What has to wait counts when it comes. */
        u->tally->faults[fault] += fault != FAULT_WIPE && fault != FAULT_HUNT;
        strike(u, fault);
        sim_at(u->sim, sim_now_us(u->sim) + universe_below(u, 2000 * u->fault_gap_ms), next_fault,
               u);
    } else {
        sim_at(u->sim, sim_now_us(u->sim), next_fault, u);
    }
}

/* Each universe has some kinds only, so that every mixture comes up; one in twelve has none. */
void faults_begin(struct universe *u)
{
    u->fault_gap_ms = 100 + universe_below(u, 1500);
    u->fault_kinds = (unsigned)universe_below(u, 1 << FAULTS) | (1U << universe_below(u, 3));
    if (u->quorum_only) {
        u->hunt_us = INT64_MAX;
    } else if (u->server_count == 1) {
        u->fault_kinds &= (1U << FAULT_APART) - 1;
    }
    if (universe_chance(u, 8)) {
        u->fault_kinds = 0;
        return;
    }
    sim_at(u->sim, sim_now_us(u->sim) + universe_below(u, 2000 * u->fault_gap_ms), next_fault, u);
}

void faults_end(struct universe *u)
{
    for (int i = 0; i < u->server_count; i++) {
        server_crash_at_op(&u->servers[i], 0, SIM_KILL);
        sim_node_wall_offset(u->servers[i].node, 0);
    }
    for (int i = 0; i < u->actor_count; i++) {
        unblock(u->actors[i]);
    }
    faults_reconnect(u);
}
