/* A reader: fetches every partition without a gap. A tail reader goes on where it stands, whatever
 * happens to the servers; an auditor begins again at 0 after every start of a server and must come
 * to see all that anybody was promised or has seen before. */
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "tests/sim/universe.h"

enum { WAIT_MS = 300, TIMEOUT_MS = 2000, UNPACK_MAX_BYTES = 1 << 22 };

struct reader {
    struct actor actor;
    bool audit;
    int16_t max_version;
    int32_t part_max_bytes;
    bool asking;
    int64_t at[PARTS_MAX];
    int64_t goal[PARTS_MAX]; /* of the audit under way */
    int64_t high[PARTS_MAX]; /* known when the fetch under way was asked */
    uint64_t audited_starts; /* starts of servers when the audit under way began */
    bool audit_written;      /* it began after all was written */
    bool audit_last;         /* and after the last crash */
    bool audit_done;
};

static struct reader *of_actor(struct actor *actor)
{
    return CONTAINER_OF(actor, struct reader, actor);
}

static struct verdict *verdict_of(struct reader *r)
{
    return &r->actor.universe->verdict;
}

/* ---- what was read ---- */

static void take_batch(struct reader *r, int part, const uint8_t *data, const struct batch *batch)
{
    struct ledger *ledger = r->actor.universe->ledger;
    const char *name = ledger_part_name(ledger, part);
    struct err_text text = {""};
    struct record_walk walk;
    struct record record;
    if (!batch_crc_ok(data, batch)) {
        verdict_fail(verdict_of(r), "read: the batch at offset %lld of %s has a wrong CRC",
                     (long long)batch->base_offset, name);
        return;
    }
    if (record_walk_init(&walk, data, batch->size, UNPACK_MAX_BYTES, &text) != ERR_NONE) {
        verdict_fail(verdict_of(r), "read: the batch at offset %lld of %s: %s",
                     (long long)batch->base_offset, name, text.text);
        return;
    }
    while (!verdict_of(r)->failed && record_walk_next(&walk, &record)) {
        if (record.offset < r->at[part]) {
            continue; /* a fetch begins with the whole batch its offset lies in */
        }
        if (record.offset > r->at[part]) {
            verdict_fail(verdict_of(r), "gap: after offset %lld of %s comes %lld",
                         (long long)r->at[part] - 1, name, (long long)record.offset);
            break;
        }
        ledger_read(ledger, part, record.offset, record.value.data, record.value.size);
        r->at[part] = record.offset + 1;
    }
    if (walk.in.error != ERR_NONE) {
        verdict_fail(verdict_of(r), "read: malformed record in the batch at %lld of %s",
                     (long long)batch->base_offset, name);
    }
    record_walk_free(&walk);
}

static void take_records(struct reader *r, int part, const struct wire_records *records,
                         int64_t high_watermark)
{
    const uint8_t *at = records->data;
    size_t left = records->size > 0 ? (size_t)records->size : 0;
    while (left > 0 && !verdict_of(r)->failed) {
        struct batch batch;
        struct err_text text = {""};
        enum err error = batch_parse(at, left, &batch, &text);
        if (error == ERR_TRUNCATED) {
            break;
        }
        if (error != ERR_NONE) {
            verdict_fail(verdict_of(r), "read: at offset %lld of %s: %s", (long long)r->at[part],
                         ledger_part_name(r->actor.universe->ledger, part), text.text);
            return;
        }
        if (batch_last_offset(&batch) >= high_watermark) {
            verdict_fail(verdict_of(r), "read: %s gives offset %lld above its high watermark %lld",
                         ledger_part_name(r->actor.universe->ledger, part),
                         (long long)batch_last_offset(&batch), (long long)high_watermark);
            return;
        }
        take_batch(r, part, at, &batch);
        at += batch.size;
        left -= batch.size;
    }
}

static void take_part(struct reader *r, int part, const struct fetch_response_partition *answer)
{
    struct universe *u = r->actor.universe;
    if (answer->error_code != KAFKA_NONE) {
        caller_reroute(r->actor.caller);
        if (!kafka_error_retriable(answer->error_code)) {
            verdict_fail(&u->verdict, "fetch: %s at offset %lld is answered with %s",
                         ledger_part_name(u->ledger, part), (long long)r->at[part],
                         kafka_error_name(answer->error_code));
        }
        return;
    }
    if (u->server_count == 1 && answer->high_watermark < r->high[part]) {
        verdict_fail(&u->verdict, "high watermark: %s says %lld, and %lld was promised or seen",
                     ledger_part_name(u->ledger, part), (long long)answer->high_watermark,
                     (long long)r->high[part]);
    }
    if (answer->log_start_offset > 0) {
        verdict_fail(&u->verdict, "fetch: %s begins at offset %lld, and nothing was ever deleted",
                     ledger_part_name(u->ledger, part), (long long)answer->log_start_offset);
    }
    take_records(r, part, &answer->records, answer->high_watermark);
}

static int find_part(const struct reader *r, const struct fetch_request *body,
                     const struct fetch_response_response *topic, int32_t partition)
{
    const struct universe *u = r->actor.universe;
    for (int part = 0; part < ledger_parts(u->ledger); part++) {
        int32_t index = -1;
        const struct topic_plan *plan = universe_topic_of(u, part, &index);
        if (index != partition) {
            continue;
        }
        if (topic->topic.size > 0 && wire_str_is(topic->topic, plan->name)) {
            return part;
        }
        for (int32_t i = 0; topic->topic.size <= 0 && i < body->topics.count; i++) {
            if (uuid_equal(&body->topics.items[i].topic_id, &topic->topic_id) &&
                wire_str_is(body->topics.items[i].topic, plan->name)) {
                return part;
            }
        }
    }
    return -1;
}

static void on_answer(struct call *call, const struct client_answer *answer)
{
    struct reader *r = call->ctx;
    const struct fetch_response *response = answer->response;
    r->asking = false;
    actor_within(&r->actor, r->actor.universe->calm ? 2 : 50);
    if (answer->error != ERR_NONE || response->error_code != KAFKA_NONE) {
        caller_reroute(r->actor.caller);
        return;
    }
    for (int32_t i = 0; i < response->responses.count; i++) {
        const struct fetch_response_response *topic = &response->responses.items[i];
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            const struct fetch_response_partition *partition = &topic->partitions.items[j];
            int part = find_part(r, call->body, topic, partition->partition_index);
            if (part < 0) {
                verdict_fail(verdict_of(r), "fetch: an answer for a partition not asked for");
            } else {
                take_part(r, part, partition);
            }
        }
    }
}

/* ---- asking ---- */

static void add_part(struct reader *r, struct call *call, int part, const struct topic_plan *plan,
                     int32_t partition, const struct route *route)
{
    struct fetch_request *body = call->body;
    struct fetch_request_topic *topic = &body->topics.items[body->topics.count];
    if (body->topics.count > 0 && wire_str_is(topic[-1].topic, plan->name)) {
        topic--;
    } else {
        body->topics.count++;
        topic->topic = wire_str(plan->name);
        topic->topic_id = route->id;
        topic->partitions.items =
            arena_array(&call->arena, ROUTE_PARTITIONS_MAX, sizeof *topic->partitions.items);
    }
    struct fetch_request_partition *p = &topic->partitions.items[topic->partitions.count++];
    wire_struct_defaults(&wire_struct_fetch_request_partition, p);
    p->partition = partition;
    p->fetch_offset = r->at[part];
    /* Small steps are for the first phase: they take long on a slow disk. */
    p->partition_max_bytes = r->actor.universe->calm ? 1 << 20 : r->part_max_bytes;
    r->high[part] = ledger_high(r->actor.universe->ledger, part);
}

/* An auditor has its goal; and in a cluster, once nothing new comes, nobody may wait at a leader
 * who has no more while another has. */
static bool seen_enough(const struct reader *r, int part)
{
    const struct universe *u = r->actor.universe;
    bool over = u->server_count > 1 && u->written;
    return (r->audit && r->at[part] >= r->goal[part]) ||
           (over && r->at[part] >= ledger_high(u->ledger, part));
}

/* Of one leader everything, whose turn chance decides; an auditor leaves out what it has seen to
 * the goal. */
static void fetch(struct reader *r)
{
    struct universe *u = r->actor.universe;
    struct call *call = call_new(r->actor.caller, WIRE_FETCH, r->max_version, on_answer, r);
    struct fetch_request *body = call->body;
    int32_t leader = -1;
    body->max_wait_ms = WAIT_MS;
    body->min_bytes = 1;
    body->topics.items = arena_array(&call->arena, TOPICS_MAX + 1, sizeof *body->topics.items);
    int count = ledger_parts(u->ledger);
    int from = (int)universe_below(u, count);
    for (int i = 0; i < TOPICS_MAX + 1; i++) {
        wire_struct_defaults(&wire_struct_fetch_request_topic, &body->topics.items[i]);
    }
    int first = u->server_count > 1 ? (int)universe_below(u, count) : 0;
    for (int i = 0; i < count; i++) {
        int part = (first + i) % count;
        int32_t partition = 0;
        const struct topic_plan *plan = universe_topic_of(u, part, &partition);
        const struct route *route = caller_route(r->actor.caller, plan->name);
        int32_t leads = route != NULL ? route->leaders[partition] : -1;
        if (leads < 0) {
            caller_reroute(r->actor.caller);
        } else if ((leader < 0 || leads == leader) && !seen_enough(r, part) &&
                   (count < 2 || part != from || universe_chance(u, 50))) {
            leader = leads;
            add_part(r, call, part, plan, partition, route);
        }
    }
    if (leader < 0) {
        call_drop(call);
        actor_within(&r->actor, 50);
        return;
    }
    r->asking = true;
    call_send(call, cluster_broker(leader), TIMEOUT_MS, sim_now_us(u->sim));
}

/* ---- audits ---- */

static bool audit_complete(const struct reader *r)
{
    for (int part = 0; part < ledger_parts(r->actor.universe->ledger); part++) {
        if (r->at[part] < r->goal[part]) {
            return false;
        }
    }
    return true;
}

static void audit_begin(struct reader *r)
{
    struct universe *u = r->actor.universe;
    r->audited_starts = u->starts;
    r->audit_written = u->written;
    r->audit_last = u->last_call;
    r->audit_done = false;
    for (int part = 0; part < ledger_parts(u->ledger); part++) {
        r->at[part] = 0;
        r->goal[part] = ledger_high(u->ledger, part);
    }
}

static void audit(struct reader *r)
{
    struct universe *u = r->actor.universe;
    if (!r->audit_done && audit_complete(r)) {
        r->audit_done = true;
        u->tally->audits++;
    }
    bool anew = r->audited_starts != u->starts || r->audit_written != u->written ||
                r->audit_last != u->last_call;
    if (anew) {
        audit_begin(r);
    }
}

static void step(struct actor *actor)
{
    struct reader *r = of_actor(actor);
    if (r->asking) {
        return;
    }
    if (r->audit) {
        audit(r);
    }
    if (r->audit && r->audit_done) {
        actor_after(actor, 100);
    } else {
        fetch(r);
    }
}

/* ---- life ---- */

static bool finished(struct actor *actor)
{
    const struct reader *r = CONTAINER_OF(actor, struct reader, actor);
    const struct universe *u = actor->universe;
    if (r->audit) {
        return r->audit_done && r->audit_written == u->written && r->audit_last == u->last_call &&
               r->audited_starts == u->starts;
    }
    for (int part = 0; part < ledger_parts(u->ledger); part++) {
        if (r->at[part] < ledger_high(u->ledger, part)) {
            return false;
        }
    }
    return true;
}

static void describe(struct actor *actor, char *out, size_t size)
{
    const struct reader *r = CONTAINER_OF(actor, struct reader, actor);
    for (int part = 0; part < ledger_parts(actor->universe->ledger); part++) {
        int64_t high = ledger_high(actor->universe->ledger, part);
        if (r->at[part] < high) {
            snprintf(out, size, "%s is read to %lld of %lld",
                     ledger_part_name(actor->universe->ledger, part), (long long)r->at[part],
                     (long long)high);
            return;
        }
    }
    snprintf(out, size, "the last audit has not begun");
}

static void reader_free(struct actor *actor)
{
    actor_fini(actor);
    mem_free(of_actor(actor));
}

static const struct actor_ops ops = {
    .step = step, .finished = finished, .describe = describe, .free = reader_free};

struct actor *reader_new(struct universe *u, int index, bool audit)
{
    struct reader *r = mem_zalloc(sizeof *r);
    char name[16];
    r->audit = audit;
    r->max_version = (int16_t)(4 + universe_below(u, 15));
    r->part_max_bytes = universe_chance(u, 50) ? 1 + (int32_t)universe_below(u, 4000) : 1 << 20;
    snprintf(name, sizeof name, "%s%d", audit ? "auditor" : "reader", index);
    actor_init(&r->actor, &ops, u, name);
    return &r->actor;
}
