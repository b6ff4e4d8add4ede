/* A member of the one classic group (KIP-62, KIP-394): joins, syncs, learns the committed offsets
 * of what it was assigned, then goes forward and commits. The leader deals parts out in turn; an
 * assignment is a bit mask, since its bytes are the clients' own matter. What a position means is
 * checked by the readers; here only the group and its register of offsets are.
 *
 * One request at a time. A commit refused for its generation has not happened; one without an
 * answer, or with any other error, may have. */
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/universe.h"

enum { SESSION_MS = 6000, REBALANCE_MS = 4000, TIMEOUT_MS = 2500, MEMBER_ID_MAX = 128 };
/* A join whose answer was lost leaves a member nobody plays, until its session ends. */
enum { JOINED_MAX = 16 };
static const char *const group_id = "counters";

enum member_phase { MEMBER_OUT, MEMBER_SYNCING, MEMBER_LEARNING, MEMBER_OWNING };

struct member {
    struct actor actor;
    int index;
    int16_t join_version;
    int16_t other_version;
    enum member_phase phase;
    bool asking;
    char id[MEMBER_ID_MAX];
    int32_t generation;
    uint32_t dealt[JOINED_MAX]; /* the leader's: parts of each member, as a mask */
    char members[JOINED_MAX][MEMBER_ID_MAX];
    int member_count;             /* 0: we do not lead */
    int64_t at[PARTS_MAX];        /* position */
    int64_t committed[PARTS_MAX]; /* last acknowledged or learnt */
    int64_t heartbeat_us;         /* last good one */
    int learnt;                   /* in which stage the committed offsets were last asked for */
};

/* When the committed offsets were asked for. */
struct asked {
    int stage;
    bool agreed; /* no coordinator was about that had been replaced without knowing it */
};

/* What a commit under way says of each part. */
struct commits {
    uint64_t attempts[PARTS_MAX]; /* 0: not in it */
    int64_t offsets[PARTS_MAX];
};

static struct member *of_actor(struct actor *actor)
{
    return CONTAINER_OF(actor, struct member, actor);
}

static uint32_t all_parts(const struct universe *u)
{
    return (1U << ledger_parts(u->ledger)) - 1;
}

static uint32_t own_parts(const struct member *m)
{
    return m->actor.universe->group[m->index].parts;
}

/* The second phase has two stages: before and after its own crash. */
static int stage(const struct universe *u)
{
    return u->last_call ? 2 : (u->written ? 1 : 0);
}

static void leave_phase(struct member *m)
{
    m->phase = MEMBER_OUT;
    m->actor.universe->group[m->index] = (struct group_view){.generation = -1};
}

static struct call *new_call(struct member *m, int16_t key, int16_t version,
                             void (*done)(struct call *call, const struct client_answer *answer))
{
    m->asking = true;
    return call_new(m->actor.caller, key, version, done, m);
}

static void send_call(struct member *m, struct call *call, int64_t timeout_ms)
{
    call_send(call, cluster_coordinator(group_id), timeout_ms, sim_now_us(m->actor.universe->sim));
}

/* What every answer of a group has in common. True when the request succeeded. */
static bool take_error(struct member *m, const char *what, const struct client_answer *answer,
                       int16_t error)
{
    m->asking = false;
    actor_within(&m->actor, m->actor.universe->calm ? 20 : 200);
    if (answer->error != ERR_NONE) {
        caller_forget_coordinator(m->actor.caller, group_id);
        return false;
    }
    switch (error) {
    case KAFKA_NONE:
        return true;
    case KAFKA_UNKNOWN_MEMBER_ID:
        m->id[0] = '\0';
        leave_phase(m);
        return false;
    case KAFKA_ILLEGAL_GENERATION:
    case KAFKA_REBALANCE_IN_PROGRESS:
        leave_phase(m);
        return false;
    default:
        if (!kafka_error_retriable(error)) {
            verdict_fail(&m->actor.universe->verdict, "group: %s is answered with %s", what,
                         kafka_error_name(error));
        }
        caller_forget_coordinator(m->actor.caller, group_id);
        return false;
    }
}

/* ---- joining ---- */

static void take_id(struct member *m, struct wire_str id)
{
    if (id.size <= 0 || id.size >= MEMBER_ID_MAX) {
        verdict_fail(&m->actor.universe->verdict, "group: a member id of %d bytes", id.size);
        return;
    }
    memcpy(m->id, id.data, (size_t)id.size);
    m->id[id.size] = '\0';
}

/* As leader: deals the parts out. */
static void deal(struct member *m, const struct join_group_response *response)
{
    m->member_count = response->members.count;
    if (m->member_count < 1 || m->member_count > JOINED_MAX) {
        verdict_fail(&m->actor.universe->verdict, "group: the leader is told of %d members",
                     m->member_count);
        m->member_count = 0;
        return;
    }
    for (int i = 0; i < m->member_count; i++) {
        struct wire_str id = response->members.items[i].member_id;
        snprintf(m->members[i], MEMBER_ID_MAX, "%.*s", (int)id.size, id.data);
        m->dealt[i] = 0;
    }
    for (int part = 0; part < ledger_parts(m->actor.universe->ledger); part++) {
        m->dealt[part % m->member_count] |= 1U << part;
    }
}

static void on_joined(struct call *call, const struct client_answer *answer)
{
    struct member *m = call->ctx;
    const struct join_group_response *response = answer->response;
    int16_t error = answer->error == ERR_NONE ? response->error_code : KAFKA_NONE;
    if (error == KAFKA_MEMBER_ID_REQUIRED) {
        m->asking = false;
        take_id(m, response->member_id);
        actor_after(&m->actor, 1);
        return;
    }
    if (!take_error(m, "JoinGroup", answer, error)) {
        return;
    }
    take_id(m, response->member_id);
    m->generation = response->generation_id;
    m->member_count = 0;
    if (wire_str_equal(response->leader, response->member_id)) {
        deal(m, response);
    }
    m->phase = MEMBER_SYNCING;
    actor_after(&m->actor, 1);
}

static void join(struct member *m)
{
    struct call *call = new_call(m, WIRE_JOIN_GROUP, m->join_version, on_joined);
    struct join_group_request *body = call->body;
    struct wire_out metadata = {0};
    struct consumer_protocol_subscription subscription;
    wire_defaults(&wire_consumer_protocol_subscription, &subscription);
    wire_put_i16(&metadata, 0);
    enum err error = wire_encode(&wire_consumer_protocol_subscription, 0, &subscription, &metadata);
    ASSERT(error == ERR_NONE);
    body->group_id = wire_str(group_id);
    body->session_timeout_ms = SESSION_MS;
    body->rebalance_timeout_ms = REBALANCE_MS;
    body->member_id = wire_str(arena_strdup(&call->arena, m->id));
    body->protocol_type = wire_str("consumer");
    body->protocols.items = arena_array(&call->arena, 1, sizeof *body->protocols.items);
    body->protocols.count = 1;
    body->protocols.items[0].name = wire_str("in-turn");
    body->protocols.items[0].metadata.data =
        arena_dup(&call->arena, metadata.bytes.data, metadata.bytes.size);
    body->protocols.items[0].metadata.size = (int32_t)metadata.bytes.size;
    wire_out_free(&metadata);
    send_call(m, call, SESSION_MS + REBALANCE_MS);
}

/* ---- syncing ---- */

static void on_synced(struct call *call, const struct client_answer *answer)
{
    struct member *m = call->ctx;
    struct universe *u = m->actor.universe;
    const struct sync_group_response *response = answer->response;
    if (!take_error(m, "SyncGroup", answer,
                    answer->error == ERR_NONE ? response->error_code : KAFKA_NONE)) {
        return;
    }
    uint32_t mask = 0;
    if (response->assignment.size == (int32_t)sizeof mask) {
        memcpy(&mask, response->assignment.data, sizeof mask);
    } else if (response->assignment.size > 0) {
        verdict_fail(&u->verdict, "group: an assignment of %d bytes", response->assignment.size);
    }
    u->group[m->index] = (struct group_view){.generation = m->generation, .parts = mask};
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        if (i != m->index && u->group[i].generation == m->generation &&
            (u->group[i].parts & mask) != 0) {
            verdict_fail(&u->verdict, "group: generation %d gives a partition to two members",
                         m->generation);
        }
    }
    u->tally->rebalances++;
    m->phase = MEMBER_LEARNING;
    m->heartbeat_us = sim_now_us(u->sim);
    actor_after(&m->actor, 1);
}

static void sync_group(struct member *m)
{
    struct call *call = new_call(m, WIRE_SYNC_GROUP, m->other_version, on_synced);
    struct sync_group_request *body = call->body;
    body->group_id = wire_str(group_id);
    body->generation_id = m->generation;
    body->member_id = wire_str(arena_strdup(&call->arena, m->id));
    body->protocol_type = wire_str("consumer");
    body->protocol_name = wire_str("in-turn");
    body->assignments.items =
        arena_array(&call->arena, JOINED_MAX, sizeof *body->assignments.items);
    body->assignments.count = m->member_count;
    for (int i = 0; i < m->member_count; i++) {
        body->assignments.items[i].member_id = wire_str(arena_strdup(&call->arena, m->members[i]));
        body->assignments.items[i].assignment.data =
            arena_dup(&call->arena, &m->dealt[i], sizeof m->dealt[i]);
        body->assignments.items[i].assignment.size = (int32_t)sizeof m->dealt[i];
    }
    send_call(m, call, REBALANCE_MS + TIMEOUT_MS);
}

/* ---- committed offsets ---- */

static void learnt(struct member *m, int part, int64_t offset, int64_t asked_us, bool agreed)
{
    struct universe *u = m->actor.universe;
    ledger_commit_seen(u->ledger, part, offset, asked_us, !agreed);
    m->committed[part] = offset;
    if (m->phase == MEMBER_LEARNING) {
        m->at[part] = offset < 0 ? 0 : offset;
    }
}

static void on_offsets(struct call *call, const struct client_answer *answer)
{
    struct member *m = call->ctx;
    const struct offset_fetch_response *response = answer->response;
    const struct asked *asked = call->extra;
    int16_t error = KAFKA_NONE;
    if (answer->error == ERR_NONE) {
        error = response->error_code;
        for (int32_t i = 0; i < response->topics.count && error == KAFKA_NONE; i++) {
            for (int32_t j = 0; j < response->topics.items[i].partitions.count; j++) {
                int16_t code = response->topics.items[i].partitions.items[j].error_code;
                error = code != KAFKA_NONE ? code : error;
            }
        }
    }
    if (!take_error(m, "OffsetFetch", answer, error)) {
        return;
    }
    int part = 0;
    for (int32_t i = 0; i < response->topics.count; i++) {
        for (int32_t j = 0; j < response->topics.items[i].partitions.count; j++, part++) {
            if (part >= ledger_parts(m->actor.universe->ledger)) {
                break;
            }
            if (own_parts(m) & (1U << part)) {
                learnt(m, part, response->topics.items[i].partitions.items[j].committed_offset,
                       call->asked_us, asked->agreed);
            }
        }
    }
    if (part != ledger_parts(m->actor.universe->ledger)) {
        verdict_fail(&m->actor.universe->verdict, "offset fetch: %d partitions of %d asked", part,
                     ledger_parts(m->actor.universe->ledger));
    }
    m->learnt = asked->stage;
    m->phase = MEMBER_OWNING;
}

/* Of every part, so that the order of the answer tells which is which. */
static void learn(struct member *m)
{
    struct universe *u = m->actor.universe;
    int16_t version = m->other_version < 2 ? 2 : (m->other_version > 7 ? 7 : m->other_version);
    struct call *call = new_call(m, WIRE_OFFSET_FETCH, version, on_offsets);
    struct offset_fetch_request *body = call->body;
    struct asked asked = {stage(u), witness_coordinators_agreed(u->witness)};
    call->extra = arena_dup(&call->arena, &asked, sizeof asked);
    body->group_id = wire_str(group_id);
    body->topics.items = arena_array(&call->arena, TOPICS_MAX, sizeof *body->topics.items);
    body->topics.count = u->topic_count;
    for (int i = 0; i < u->topic_count; i++) {
        int32_t count = u->topics[i].partitions;
        body->topics.items[i].name = wire_str(u->topics[i].name);
        body->topics.items[i].partition_indexes.items =
            arena_array(&call->arena, (size_t)count, sizeof(int32_t));
        body->topics.items[i].partition_indexes.count = count;
        for (int32_t p = 0; p < count; p++) {
            body->topics.items[i].partition_indexes.items[p] = p;
        }
    }
    send_call(m, call, TIMEOUT_MS);
}

static bool fenced(int16_t error)
{
    return error == KAFKA_ILLEGAL_GENERATION || error == KAFKA_UNKNOWN_MEMBER_ID;
}

static void end_commit(struct member *m, const struct commits *commits, int part,
                       enum ledger_outcome outcome)
{
    struct universe *u = m->actor.universe;
    ledger_commit_ended(u->ledger, part, commits->attempts[part], outcome, sim_now_us(u->sim));
    if (outcome == LEDGER_DONE) {
        m->committed[part] = commits->offsets[part];
        u->tally->commits++;
    }
}

static void on_committed(struct call *call, const struct client_answer *answer)
{
    struct member *m = call->ctx;
    struct universe *u = m->actor.universe;
    const struct commits *commits = call->extra;
    const struct offset_commit_response *response = answer->response;
    const struct offset_commit_request *body = call->body;
    int16_t worst = KAFKA_NONE;
    bool answered = answer->error == ERR_NONE && response->topics.count == body->topics.count;
    for (int32_t i = 0; i < body->topics.count; i++) {
        for (int32_t j = 0; j < body->topics.items[i].partitions.count; j++) {
            int32_t index = body->topics.items[i].partitions.items[j].partition_index;
            int part = -1;
            for (int t = 0; t < u->topic_count; t++) {
                if (wire_str_is(body->topics.items[i].name, u->topics[t].name)) {
                    part = u->topics[t].first_part + index;
                }
            }
            int16_t error =
                answered ? response->topics.items[i].partitions.items[j].error_code : KAFKA_NONE;
            end_commit(m, commits, part,
                       !answered             ? LEDGER_UNKNOWN
                       : error == KAFKA_NONE ? LEDGER_DONE
                       : fenced(error)       ? LEDGER_REFUSED
                                             : LEDGER_UNKNOWN);
            worst = error != KAFKA_NONE ? error : worst;
        }
    }
    if (answer->error == ERR_NONE && !answered) {
        verdict_fail(&u->verdict, "offset commit: %d topics answered of %d", response->topics.count,
                     body->topics.count);
    }
    take_error(m, "OffsetCommit", answer, worst);
}

static void add_commit(struct member *m, struct call *call, int part)
{
    struct universe *u = m->actor.universe;
    struct offset_commit_request *body = call->body;
    struct commits *commits = call->extra;
    int32_t partition = 0;
    const struct topic_plan *plan = universe_topic_of(u, part, &partition);
    struct offset_commit_request_topic *topic = &body->topics.items[body->topics.count];
    if (body->topics.count > 0 && wire_str_is(topic[-1].name, plan->name)) {
        topic--;
    } else {
        body->topics.count++;
        topic->name = wire_str(plan->name);
        topic->partitions.items =
            arena_array(&call->arena, ROUTE_PARTITIONS_MAX, sizeof *topic->partitions.items);
    }
    struct offset_commit_request_partition *p = &topic->partitions.items[topic->partitions.count++];
    wire_struct_defaults(&wire_struct_offset_commit_request_partition, p);
    p->partition_index = partition;
    p->committed_offset = m->at[part];
    p->committed_metadata = wire_str("");
    commits->offsets[part] = m->at[part];
    commits->attempts[part] = ledger_commit_sent(u->ledger, part, m->at[part], sim_now_us(u->sim));
}

/* Goes forward in some parts and commits those; false when there is nothing to commit. */
static bool commit(struct member *m)
{
    struct universe *u = m->actor.universe;
    uint32_t parts = 0;
    for (int part = 0; part < ledger_parts(u->ledger); part++) {
        int64_t high = ledger_high(u->ledger, part);
        if (!(own_parts(m) & (1U << part))) {
            continue;
        }
        m->at[part] = u->written ? high : m->at[part] + universe_below(u, high - m->at[part] + 1);
        if (m->at[part] > 0 && m->at[part] != m->committed[part]) {
            parts |= 1U << part;
        }
    }
    if (parts == 0) {
        return false;
    }
    int16_t version = m->other_version < 2 ? 2 : m->other_version;
    struct call *call = new_call(m, WIRE_OFFSET_COMMIT, version, on_committed);
    struct offset_commit_request *body = call->body;
    call->extra = arena_alloc(&call->arena, sizeof(struct commits));
    body->group_id = wire_str(group_id);
    body->generation_id_or_member_epoch = m->generation;
    body->member_id = wire_str(arena_strdup(&call->arena, m->id));
    body->topics.items = arena_array(&call->arena, TOPICS_MAX, sizeof *body->topics.items);
    for (int part = 0; part < ledger_parts(u->ledger); part++) {
        if (parts & (1U << part)) {
            add_commit(m, call, part);
        }
    }
    faults_tempt(u);
    send_call(m, call, TIMEOUT_MS);
    return true;
}

/* ---- staying ---- */

static void on_heartbeat(struct call *call, const struct client_answer *answer)
{
    struct member *m = call->ctx;
    const struct heartbeat_response *response = answer->response;
    if (take_error(m, "Heartbeat", answer,
                   answer->error == ERR_NONE ? response->error_code : KAFKA_NONE)) {
        m->heartbeat_us = call->asked_us;
    }
}

static void heartbeat(struct member *m)
{
    struct call *call = new_call(m, WIRE_HEARTBEAT, m->other_version, on_heartbeat);
    struct heartbeat_request *body = call->body;
    body->group_id = wire_str(group_id);
    body->generation_id = m->generation;
    body->member_id = wire_str(arena_strdup(&call->arena, m->id));
    send_call(m, call, TIMEOUT_MS);
}

static void on_left(struct call *call, const struct client_answer *answer)
{
    struct member *m = call->ctx;
    (void)answer;
    m->asking = false;
    m->id[0] = '\0';
    actor_within(&m->actor, 1000);
}

static void leave_group(struct member *m)
{
    struct call *call = new_call(m, WIRE_LEAVE_GROUP, 2, on_left);
    struct leave_group_request *body = call->body;
    body->group_id = wire_str(group_id);
    body->member_id = wire_str(arena_strdup(&call->arena, m->id));
    leave_phase(m);
    send_call(m, call, TIMEOUT_MS);
}

static void own(struct member *m)
{
    struct universe *u = m->actor.universe;
    if (!u->calm && universe_chance(u, 2)) {
        leave_group(m);
    } else if (!u->calm && universe_chance(u, 1)) {
        actor_after(&m->actor, SESSION_MS + universe_below(u, SESSION_MS)); /* thought dead */
    } else if (m->learnt != stage(u)) {
        learn(m);
    } else if (universe_chance(u, 50) || !commit(m)) {
        heartbeat(m);
    }
}

static void step(struct actor *actor)
{
    struct member *m = of_actor(actor);
    if (m->asking) {
        return;
    }
    switch (m->phase) {
    case MEMBER_OUT:
        join(m);
        break;
    case MEMBER_SYNCING:
        sync_group(m);
        break;
    case MEMBER_LEARNING:
        learn(m);
        break;
    case MEMBER_OWNING:
        own(m);
        break;
    }
}

/* ---- life ---- */

/* Every part has an owner, all of one generation. */
static bool stable(const struct universe *u)
{
    uint32_t parts = 0;
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        if (u->group[i].generation < 0 || u->group[i].generation != u->group[0].generation) {
            return false;
        }
        parts |= u->group[i].parts;
    }
    return parts == all_parts(u);
}

static bool finished(struct actor *actor)
{
    const struct member *m = of_actor(actor);
    const struct universe *u = actor->universe;
    if (m->phase != MEMBER_OWNING || m->learnt != stage(u) || !stable(u)) {
        return false;
    }
    for (int part = 0; part < ledger_parts(u->ledger); part++) {
        int64_t high = ledger_high(u->ledger, part);
        if ((own_parts(m) & (1U << part)) && high > 0 && m->committed[part] != high) {
            return false;
        }
    }
    return true;
}

static void describe(struct actor *actor, char *out, size_t size)
{
    static const char *const phases[] = {"joining", "syncing", "learning", "owning"};
    const struct member *m = of_actor(actor);
    const struct universe *u = actor->universe;
    snprintf(out, size, "it is %s in generation %d, the group is %sstable, parts %x and %x",
             phases[m->phase], m->generation, stable(u) ? "" : "not ", u->group[0].parts,
             u->group[1].parts);
}

static void member_free(struct actor *actor)
{
    actor_fini(actor);
    mem_free(of_actor(actor));
}

static const struct actor_ops ops = {
    .step = step, .finished = finished, .describe = describe, .free = member_free};

struct actor *member_new(struct universe *u, int index)
{
    struct member *m = mem_zalloc(sizeof *m);
    char name[16];
    m->index = index;
    m->join_version = (int16_t)universe_below(u, 10);
    m->other_version = (int16_t)universe_below(u, 10);
    m->generation = -1;
    u->group[index] = (struct group_view){.generation = -1};
    snprintf(name, sizeof name, "member%d", index);
    actor_init(&m->actor, &ops, u, name);
    return &m->actor;
}
