/* The mover: in a cluster, asks now and then that other brokers hold a partition (KIP-455), more or
 * fewer of them, redirects what it began and takes it back; in the second phase it begins nothing
 * and waits until nothing is under way.
 *
 * Where disks may be lost it leaves two replicas at least and takes nothing back: for a moment a
 * wiped broker passes for one that has what it had, and must not be the one that is kept. */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/universe.h"

enum { TIMEOUT_MS = 3000, THINK_MS = 2500, BACK_PERCENT = 15, OFFSETS_PERCENT = 15 };

struct mover {
    struct actor actor;
    int16_t version;
    bool asking;
    bool finished;
    int32_t left; /* under way when last asked; -1: nobody has said */
};

/* ---- asking for other replicas ---- */

static void check_answer(struct mover *m, int16_t error)
{
    struct universe *u = m->actor.universe;
    bool expected = error == KAFKA_NONE || error == KAFKA_NO_REASSIGNMENT_IN_PROGRESS ||
                    error == KAFKA_INVALID_REPLICA_ASSIGNMENT ||
                    error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || kafka_error_retriable(error);
    if (!expected) {
        verdict_fail(&u->verdict, "reassign: answered with %s", kafka_error_name(error));
    }
    u->tally->moves += error == KAFKA_NONE;
}

static void on_moved(struct call *call, const struct client_answer *answer)
{
    struct mover *m = call->ctx;
    const struct alter_partition_reassignments_response *response = answer->response;
    m->asking = false;
    if (answer->error != ERR_NONE) {
        return;
    }
    if (response->error_code != KAFKA_NONE) {
        check_answer(m, response->error_code);
        return;
    }
    for (int32_t i = 0; i < response->responses.count; i++) {
        for (int32_t k = 0; k < response->responses.items[i].partitions.count; k++) {
            check_answer(m, response->responses.items[i].partitions.items[k].error_code);
        }
    }
}

/* Some brokers in some order. */
static int32_t draw_target(struct mover *m, int32_t *ids)
{
    struct universe *u = m->actor.universe;
    bool wipes = u->fault_kinds & (1U << FAULT_WIPE);
    int32_t least = wipes ? 2 : 1;
    for (int32_t i = 0; i < u->broker_count; i++) {
        int32_t at = (int32_t)universe_below(u, i + 1);
        ids[i] = ids[at];
        ids[at] = i + 1;
    }
    if (universe_chance(u, 60)) {
        return REPLICAS;
    }
    return least + (int32_t)universe_below(u, u->broker_count - least + 1);
}

static void move(struct mover *m)
{
    struct universe *u = m->actor.universe;
    bool wipes = u->fault_kinds & (1U << FAULT_WIPE);
    struct call *call =
        call_new(m->actor.caller, WIRE_ALTER_PARTITION_REASSIGNMENTS, m->version, on_moved, m);
    struct alter_partition_reassignments_request *body = call->body;
    body->timeout_ms = TIMEOUT_MS;
    body->topics.items = arena_array(&call->arena, 1, sizeof *body->topics.items);
    body->topics.count = 1;
    struct alter_partition_reassignments_request_topic *topic = &body->topics.items[0];
    topic->partitions.items = arena_array(&call->arena, 1, sizeof *topic->partitions.items);
    topic->partitions.count = 1;
    struct alter_partition_reassignments_request_partition *part = &topic->partitions.items[0];
    wire_struct_defaults(&wire_struct_alter_partition_reassignments_request_partition, part);
    if (universe_chance(u, OFFSETS_PERCENT)) {
        topic->name = wire_str("__consumer_offsets");
        part->partition_index = (int32_t)universe_below(u, OFFSETS_PARTITIONS);
    } else {
        int drawn = (int)universe_below(u, ledger_parts(u->ledger));
        topic->name = wire_str(universe_topic_of(u, drawn, &part->partition_index)->name);
    }
    if (wipes || !universe_chance(u, BACK_PERCENT)) {
        int32_t ids[SERVERS_MAX] = {0};
        part->replicas.count = draw_target(m, ids);
        part->replicas.items =
            arena_dup(&call->arena, ids, (size_t)part->replicas.count * sizeof *ids);
    }
    m->asking = true;
    call_send(call, cluster_any(), TIMEOUT_MS, sim_now_us(u->sim));
}

/* ---- waiting for the end ---- */

static void on_listed(struct call *call, const struct client_answer *answer)
{
    struct mover *m = call->ctx;
    const struct list_partition_reassignments_response *response = answer->response;
    m->asking = false;
    if (answer->error != ERR_NONE || response->error_code != KAFKA_NONE) {
        m->left = -1;
        return;
    }
    m->left = response->topics.count;
    m->finished = m->left == 0;
}

static void list(struct mover *m)
{
    struct call *call =
        call_new(m->actor.caller, WIRE_LIST_PARTITION_REASSIGNMENTS, 0, on_listed, m);
    struct list_partition_reassignments_request *body = call->body;
    body->topics.count = -1;
    m->asking = true;
    call_send(call, cluster_any(), TIMEOUT_MS, sim_now_us(m->actor.universe->sim));
}

static void step(struct actor *actor)
{
    struct mover *m = CONTAINER_OF(actor, struct mover, actor);
    struct universe *u = actor->universe;
    actor_within(actor, u->calm ? THINK_MS / 5 : THINK_MS);
    if (m->asking || m->finished) {
        return;
    }
    if (u->calm) {
        list(m);
    } else {
        faults_tempt(u);
        move(m);
    }
}

/* ---- life ---- */

static bool finished(struct actor *actor)
{
    return CONTAINER_OF(actor, struct mover, actor)->finished;
}

static void describe(struct actor *actor, char *out, size_t size)
{
    const struct mover *m = CONTAINER_OF(actor, struct mover, actor);
    snprintf(out, size, "reassignments of %d topics are under way", m->left);
}

static void mover_free(struct actor *actor)
{
    actor_fini(actor);
    mem_free(CONTAINER_OF(actor, struct mover, actor));
}

static const struct actor_ops ops = {
    .step = step, .finished = finished, .describe = describe, .free = mover_free};

struct actor *mover_new(struct universe *u)
{
    struct mover *m = mem_zalloc(sizeof *m);
    m->version = (int16_t)universe_below(u, 2);
    m->left = -1;
    actor_init(&m->actor, &ops, u, "mover");
    return &m->actor;
}
