/* A producer: numbers its records per partition, sends batches, repeats with the same sequence
 * numbers what was not answered.
 *
 * Happy path: up to LANE_BATCHES batches of a partition on their way, acknowledged in any order,
 * taken off in order. After any failure a lane waits until nothing of it is on its way, then sends
 * all again in order, as KIP-98 demands of clients. Before a lane's first acknowledgement only one
 * batch is on its way: a broker that knows nothing of a producer takes any sequence from it, so two
 * could change places. A writer that is not idempotent has one batch on its way, always. */
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "tests/sim/universe.h"

enum { LANE_BATCHES = 5, BATCH_RECORDS = 12, TIMEOUT_MS = 1500 };

struct out_batch {
    int64_t first;
    int32_t count;
    int32_t sequence;
    bool on_way;
    bool acked;
};

/* One partition's queue. */
struct lane {
    int part;
    const struct topic_plan *topic;
    int32_t partition;
    int64_t next;
    int32_t sequence;
    bool proven; /* something was acknowledged */
    bool again;  /* what is queued must be sent anew once nothing is on its way */
    struct out_batch queue[LANE_BATCHES];
    int count;
};

struct producer {
    struct actor actor;
    int writer;
    bool idempotent;
    int16_t acks;
    int16_t max_version;
    enum batch_codec codec;
    int64_t think_ms;
    int64_t producer_id;
    int16_t producer_epoch;
    bool asking_id;
    struct lane lanes[PARTS_MAX];
    int lane_count;
};

/* What one request carries of one lane. */
struct sent_part {
    struct lane *lane;
    int64_t first;
};

struct sent {
    struct sent_part parts[PARTS_MAX];
    int count;
};

static struct producer *of_actor(struct actor *actor)
{
    return CONTAINER_OF(actor, struct producer, actor);
}

/* ---- answers ---- */

static struct out_batch *batch_at(struct lane *lane, int64_t first)
{
    for (int i = 0; i < lane->count; i++) {
        if (lane->queue[i].first == first) {
            return &lane->queue[i];
        }
    }
    UNREACHABLE("an answer for a batch that is not queued");
}

static void pop_acked(struct lane *lane)
{
    int n = 0;
    while (n < lane->count && lane->queue[n].acked) {
        n++;
    }
    lane->count -= n;
    for (int i = 0; i < lane->count; i++) {
        lane->queue[i] = lane->queue[i + n];
    }
}

static void failed(struct sent_part *part)
{
    batch_at(part->lane, part->first)->on_way = false;
    part->lane->again = true;
}

static void acked(struct producer *p, struct sent_part *part, int64_t base_offset)
{
    struct out_batch *batch = batch_at(part->lane, part->first);
    batch->on_way = false;
    batch->acked = true;
    part->lane->proven = true;
    ledger_acked(p->actor.universe->ledger, p->writer, part->lane->part, batch->first, batch->count,
                 base_offset);
    pop_acked(part->lane);
}

static void take_answer(struct producer *p, struct sent_part *part,
                        const struct produce_response_partition_response *answer)
{
    struct lane *lane = part->lane;
    bool oldest = lane->count > 0 && lane->queue[0].first == part->first;
    int16_t error = answer->error_code;
    if (error == KAFKA_NONE || (p->idempotent && error == KAFKA_DUPLICATE_SEQUENCE_NUMBER)) {
        acked(p, part, error == KAFKA_NONE ? answer->base_offset : -1);
        return;
    }
    bool behind = error == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER && !oldest;
    if (!behind && !kafka_error_retriable(error)) {
        verdict_fail(&p->actor.universe->verdict,
                     "produce: %s answers numbers %lld.. of writer %d (sequence %d) with %s",
                     ledger_part_name(p->actor.universe->ledger, lane->part),
                     (long long)part->first, p->writer, batch_at(lane, part->first)->sequence,
                     kafka_error_name(error));
    }
    caller_reroute(p->actor.caller);
    failed(part);
}

static const struct produce_response_partition_response *
find_answer(const struct produce_response *response, const struct lane *lane,
            const struct uuid *topic_id)
{
    for (int32_t i = 0; i < response->responses.count; i++) {
        const struct produce_response_response *topic = &response->responses.items[i];
        bool same = topic->name.size > 0 ? wire_str_is(topic->name, lane->topic->name)
                                         : uuid_equal(&topic->topic_id, topic_id);
        for (int32_t j = 0; same && j < topic->partition_responses.count; j++) {
            if (topic->partition_responses.items[j].index == lane->partition) {
                return &topic->partition_responses.items[j];
            }
        }
    }
    return NULL;
}

static void on_answer(struct call *call, const struct client_answer *answer)
{
    struct producer *p = call->ctx;
    struct sent *sent = call->extra;
    const struct produce_request *body = call->body;
    if (answer->error != ERR_NONE) {
        caller_reroute(p->actor.caller);
        for (int i = 0; i < sent->count; i++) {
            failed(&sent->parts[i]);
        }
        return;
    }
    for (int i = 0; i < sent->count; i++) {
        const struct produce_response_partition_response *found =
            find_answer(answer->response, sent->parts[i].lane, &body->topic_data.items[i].topic_id);
        if (found == NULL) {
            verdict_fail(&p->actor.universe->verdict, "produce: no answer for %s",
                         ledger_part_name(p->actor.universe->ledger, sent->parts[i].lane->part));
            failed(&sent->parts[i]);
        } else {
            take_answer(p, &sent->parts[i], found);
        }
    }
}

/* ---- requests ---- */

static void encode_batch(struct producer *p, const struct lane *lane, const struct out_batch *batch,
                         struct arena *arena, struct wire_records *out)
{
    struct batch_builder builder;
    struct bytes value = {0};
    struct bytes bytes = {0};
    batch_builder_init(&builder);
    builder.codec = p->codec;
    if (p->idempotent) {
        builder.producer_id = p->producer_id;
        builder.producer_epoch = p->producer_epoch;
        builder.base_sequence = batch->sequence;
    }
    for (int32_t i = 0; i < batch->count; i++) {
        value.size = 0;
        ledger_value(p->writer, lane->part, batch->first + i, &value);
        batch_builder_add(&builder, env_wall_ms(p->actor.env), (struct wire_bytes){NULL, -1},
                          (struct wire_bytes){value.data, (int32_t)value.size}, NULL, 0);
    }
    enum err error = batch_build(&builder, &bytes, NULL);
    ASSERT(error == ERR_NONE);
    out->data = arena_dup(arena, bytes.data, bytes.size);
    out->size = (int32_t)bytes.size;
    bytes_free(&bytes);
    bytes_free(&value);
    batch_builder_free(&builder);
}

/* The next batch to send; NULL when the lane must wait. */
static struct out_batch *next_batch(const struct producer *p, struct lane *lane)
{
    int on_way = 0;
    struct out_batch *next = NULL;
    for (int i = 0; i < lane->count; i++) {
        struct out_batch *batch = &lane->queue[i];
        on_way += batch->on_way;
        next = next == NULL && !batch->on_way && !batch->acked ? batch : next;
    }
    if (lane->again && on_way > 0) {
        return NULL;
    }
    lane->again = false;
    bool alone = !p->idempotent || !lane->proven;
    return alone && on_way > 0 ? NULL : next;
}

static void add_part(struct producer *p, struct call *call, struct lane *lane,
                     struct out_batch *batch, const struct route *route)
{
    struct produce_request *body = call->body;
    struct sent *sent = call->extra;
    struct produce_request_topic *topic = &body->topic_data.items[body->topic_data.count++];
    topic->name = wire_str(lane->topic->name);
    topic->topic_id = route->id;
    topic->partition_data.items = arena_array(&call->arena, 1, sizeof *topic->partition_data.items);
    topic->partition_data.count = 1;
    topic->partition_data.items[0].index = lane->partition;
    encode_batch(p, lane, batch, &call->arena, &topic->partition_data.items[0].records);
    batch->on_way = true;
    sent->parts[sent->count++] = (struct sent_part){.lane = lane, .first = batch->first};
}

static struct call *new_request(struct producer *p)
{
    struct call *call = call_new(p->actor.caller, WIRE_PRODUCE, p->max_version, on_answer, p);
    struct produce_request *body = call->body;
    body->acks = p->acks;
    body->timeout_ms = TIMEOUT_MS / 2;
    body->topic_data.items =
        arena_array(&call->arena, (size_t)p->lane_count, sizeof *body->topic_data.items);
    call->extra = arena_alloc(&call->arena, sizeof(struct sent));
    return call;
}

/* One request per leader, with the next batch of every lane it leads. True when one was sent. */
static bool send_round(struct producer *p)
{
    struct call *call = NULL;
    int32_t leader = -1;
    for (int i = 0; i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];
        const struct route *route = caller_route(p->actor.caller, lane->topic->name);
        if (route == NULL || route->leaders[lane->partition] < 0) {
            caller_reroute(p->actor.caller);
            continue;
        }
        if (leader >= 0 && route->leaders[lane->partition] != leader) {
            continue;
        }
        struct out_batch *batch = next_batch(p, lane);
        if (batch == NULL) {
            continue;
        }
        leader = route->leaders[lane->partition];
        call = call != NULL ? call : new_request(p);
        add_part(p, call, lane, batch, route);
    }
    if (call == NULL) {
        return false;
    }
    call_send(call, cluster_broker(leader), TIMEOUT_MS, sim_now_us(p->actor.universe->sim));
    return true;
}

static void on_producer_id(struct call *call, const struct client_answer *answer)
{
    struct producer *p = call->ctx;
    const struct init_producer_id_response *response = answer->response;
    p->asking_id = false;
    if (answer->error != ERR_NONE) {
        return;
    }
    if (response->error_code == KAFKA_NONE) {
        p->producer_id = response->producer_id;
        p->producer_epoch = response->producer_epoch;
        ledger_producer_id(p->actor.universe->ledger, response->producer_id);
    } else if (!kafka_error_retriable(response->error_code)) {
        verdict_fail(&p->actor.universe->verdict, "InitProducerId is answered with %s",
                     kafka_error_name(response->error_code));
    }
}

static void ask_producer_id(struct producer *p)
{
    struct call *call = call_new(p->actor.caller, WIRE_INIT_PRODUCER_ID, 5, on_producer_id, p);
    struct init_producer_id_request *body = call->body;
    body->transactional_id = WIRE_STR_NULL;
    body->transaction_timeout_ms = 60000;
    p->asking_id = true;
    call_send(call, cluster_any(), TIMEOUT_MS, sim_now_us(p->actor.universe->sim));
}

static void make_batches(struct producer *p)
{
    struct universe *u = p->actor.universe;
    int limit = p->idempotent ? LANE_BATCHES : 1;
    for (int i = 0; i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];
        if (lane->count >= limit || !universe_chance(u, 50)) {
            continue;
        }
        struct out_batch *batch = &lane->queue[lane->count++];
        *batch = (struct out_batch){.first = lane->next,
                                    .count = 1 + (int32_t)universe_below(u, BATCH_RECORDS),
                                    .sequence = lane->sequence};
        lane->next += batch->count;
        lane->sequence += batch->count;
        ledger_sent(u->ledger, p->writer, lane->part, batch->first, batch->count);
    }
}

static void step(struct actor *actor)
{
    struct producer *p = of_actor(actor);
    if (p->idempotent && p->producer_id < 0) {
        if (!p->asking_id) {
            ask_producer_id(p);
        }
    } else {
        if (!actor->universe->calm) {
            make_batches(p);
        }
        for (int rounds = 0; rounds < LANE_BATCHES && send_round(p); rounds++) {
        }
    }
    actor_within(actor, p->think_ms);
}

/* ---- life ---- */

static bool finished(struct actor *actor)
{
    const struct producer *p = CONTAINER_OF(actor, struct producer, actor);
    for (int i = 0; i < p->lane_count; i++) {
        if (p->lanes[i].count > 0) {
            return false;
        }
    }
    return true;
}

static void describe(struct actor *actor, char *out, size_t size)
{
    const struct producer *p = CONTAINER_OF(actor, struct producer, actor);
    for (int i = 0; i < p->lane_count; i++) {
        if (p->lanes[i].count > 0) {
            snprintf(out, size, "number %lld in %s is not acknowledged",
                     (long long)p->lanes[i].queue[0].first,
                     ledger_part_name(actor->universe->ledger, p->lanes[i].part));
            return;
        }
    }
}

static void producer_free(struct actor *actor)
{
    actor_fini(actor);
    mem_free(of_actor(actor));
}

static const struct actor_ops ops = {.step = step,
                                     .finished = finished,
                                     .writes = true,
                                     .describe = describe,
                                     .free = producer_free};

struct actor *producer_new(struct universe *u, int index)
{
    static const enum batch_codec codecs[] = {BATCH_NONE, BATCH_NONE, BATCH_LZ4, BATCH_SNAPPY};
    struct producer *p = mem_zalloc(sizeof *p);
    char name[16];
    p->idempotent = index != 2;
    bool losable = u->server_count > 1 && !p->idempotent && universe_chance(u, 50);
    p->acks = universe_chance(u, 25) && u->server_count == 1 ? 1 : -1;
    p->acks = losable ? 1 : p->acks;
    p->max_version = (int16_t)(9 + universe_below(u, 5));
    p->codec = codecs[universe_below(u, 4)];
    p->think_ms = 10 + universe_below(u, 150);
    p->producer_id = -1;
    p->writer = ledger_add_writer(u->ledger, p->idempotent, losable);
    for (int part = 0; part < ledger_parts(u->ledger); part++) {
        if (universe_chance(u, 60) || part == index) {
            struct lane *lane = &p->lanes[p->lane_count++];
            lane->part = part;
            lane->topic = universe_topic_of(u, part, &lane->partition);
        }
    }
    snprintf(name, sizeof name, "producer%d", index);
    actor_init(&p->actor, &ops, u, name);
    return &p->actor;
}
