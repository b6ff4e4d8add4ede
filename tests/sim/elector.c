/* The elector: in a cluster, asks now and then that preferred replicas lead (KIP-460), of one
 * partition or of all; in the second phase until they do. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/sim/universe.h"

enum { TIMEOUT_MS = 3000, THINK_MS = 1500, PREFERRED = 0 };

struct elector {
    struct actor actor;
    int16_t version;
    bool asking;
    bool written; /* what was asked for was asked for when all was written */
    bool finished;
    int16_t error; /* the worst of the last answer */
};

/* Whether that answer to a partition means that its preferred replica leads. */
static bool leads(struct elector *e, int16_t error)
{
    if (error != KAFKA_NONE && error != KAFKA_ELECTION_NOT_NEEDED) {
        e->error = error;
    }
    if (error != KAFKA_NONE && error != KAFKA_ELECTION_NOT_NEEDED &&
        error != KAFKA_PREFERRED_LEADER_NOT_AVAILABLE &&
        error != KAFKA_UNKNOWN_TOPIC_OR_PARTITION && !kafka_error_retriable(error)) {
        verdict_fail(&e->actor.universe->verdict, "elect leaders: answered with %s",
                     kafka_error_name(error));
    }
    return error == KAFKA_NONE || error == KAFKA_ELECTION_NOT_NEEDED;
}

static void on_elected(struct call *call, const struct client_answer *answer)
{
    struct elector *e = call->ctx;
    const struct elect_leaders_request *body = call->body;
    const struct elect_leaders_response *response = answer->response;
    e->asking = false;
    if (answer->error != ERR_NONE) {
        return;
    }
    e->error = KAFKA_NONE;
    bool all = leads(e, response->error_code);
    for (int32_t i = 0; i < response->replica_election_results.count; i++) {
        const struct elect_leaders_response_replica_election_result *topic =
            &response->replica_election_results.items[i];
        for (int32_t k = 0; k < topic->partition_result.count; k++) {
            all = leads(e, topic->partition_result.items[k].error_code) && all;
        }
    }
    e->actor.universe->tally->preferred++;
    e->finished = e->written && all && body->topic_partitions.count < 0;
}

static void elect(struct elector *e)
{
    struct universe *u = e->actor.universe;
    struct call *call = call_new(e->actor.caller, WIRE_ELECT_LEADERS, e->version, on_elected, e);
    struct elect_leaders_request *body = call->body;
    body->election_type = PREFERRED;
    body->timeout_ms = TIMEOUT_MS;
    body->topic_partitions.count = -1;
    if (!u->written && universe_chance(u, 70)) {
        int32_t partition = 0;
        int part = (int)universe_below(u, ledger_parts(u->ledger));
        const struct topic_plan *plan = universe_topic_of(u, part, &partition);
        body->topic_partitions.count = 1;
        body->topic_partitions.items =
            arena_array(&call->arena, 1, sizeof *body->topic_partitions.items);
        body->topic_partitions.items[0].topic = wire_str(plan->name);
        body->topic_partitions.items[0].partitions.items =
            arena_dup(&call->arena, &partition, sizeof partition);
        body->topic_partitions.items[0].partitions.count = 1;
    }
    e->asking = true;
    e->written = u->written;
    call_send(call, cluster_any(), TIMEOUT_MS, sim_now_us(u->sim));
}

static void step(struct actor *actor)
{
    struct elector *e = CONTAINER_OF(actor, struct elector, actor);
    actor_within(actor, actor->universe->written ? THINK_MS / 5 : THINK_MS);
    if (!e->asking && !e->finished) {
        elect(e);
    }
}

/* ---- life ---- */

static bool finished(struct actor *actor)
{
    return CONTAINER_OF(actor, struct elector, actor)->finished;
}

static void describe(struct actor *actor, char *out, size_t size)
{
    const struct elector *e = CONTAINER_OF(actor, struct elector, actor);
    snprintf(out, size, "preferred replicas do not lead: %s", kafka_error_name(e->error));
}

static void elector_free(struct actor *actor)
{
    actor_fini(actor);
    mem_free(CONTAINER_OF(actor, struct elector, actor));
}

static const struct actor_ops ops = {
    .step = step, .finished = finished, .describe = describe, .free = elector_free};

struct actor *elector_new(struct universe *u)
{
    struct elector *e = mem_zalloc(sizeof *e);
    e->version = (int16_t)universe_below(u, 3);
    actor_init(&e->actor, &ops, u, "elector");
    return &e->actor;
}
