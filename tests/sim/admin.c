/* The admin: creates the topics that hold the numbers, then creates and deletes others, and holds
 * Metadata against what it was told.
 *
 * A passing topic has a name of its own, is created once and deleted once, each repeated until the
 * answer is definite. A create whose answer was lost may still be on its way when the topic has
 * been deleted, and make it again: then nothing is demanded of the name until every server has
 * started anew. */
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/universe.h"

enum { TIMEOUT_MS = 3000, PASSING_MAX = 24, THINK_MS = 600 };

enum topic_phase { TOPIC_ABSENT, TOPIC_CREATING, TOPIC_PRESENT, TOPIC_DELETING, TOPIC_DELETED };

struct named {
    char name[24];
    int32_t partitions;
    int16_t replicas;
    const struct topic_plan *plan; /* NULL: passing */
    enum topic_phase phase;
    int64_t since_us;       /* of the phase */
    uint64_t doubt_starts;  /* starts of servers when a create's answer was lost; 0: never */
    uint64_t delete_starts; /* when the deletion was asked for */
    bool delete_repeated;
    struct uuid id; /* once seen */
};

struct admin {
    struct actor actor;
    int16_t create_version;
    int16_t delete_version;
    bool asking;
    bool checked; /* Metadata was right after everything else had finished */
    bool checked_last;
    struct named topics[TOPICS_MAX + PASSING_MAX];
    int count;
};

static struct admin *of_actor(struct actor *actor)
{
    return CONTAINER_OF(actor, struct admin, actor);
}

static void enter(struct admin *a, struct named *topic, enum topic_phase phase)
{
    topic->phase = phase;
    topic->since_us = sim_now_us(a->actor.universe->sim);
}

/* ---- creating ---- */

static void on_created(struct call *call, const struct client_answer *answer)
{
    struct admin *a = call->ctx;
    struct named *topic = call->extra;
    struct universe *u = a->actor.universe;
    const struct create_topics_response *response = answer->response;
    a->asking = false;
    if (answer->error != ERR_NONE) {
        topic->doubt_starts = u->starts;
        return;
    }
    if (response->topics.count != 1 || !wire_str_is(response->topics.items[0].name, topic->name)) {
        verdict_fail(&u->verdict, "create topics: %s has no answer", topic->name);
        return;
    }
    int16_t error = response->topics.items[0].error_code;
    /* A broker that forwards the request may have had to send it twice. */
    bool known =
        error == KAFKA_TOPIC_ALREADY_EXISTS && (topic->doubt_starts > 0 || u->server_count > 1);
    if (error == KAFKA_NONE || known) {
        enter(a, topic, TOPIC_PRESENT);
        u->tally->topics++;
    } else if (error == KAFKA_REQUEST_TIMED_OUT) {
        topic->doubt_starts = u->starts;
    } else if (!kafka_error_retriable(error) && error != KAFKA_INVALID_REPLICATION_FACTOR) {
        verdict_fail(&u->verdict, "create topics: %s is answered with %s", topic->name,
                     kafka_error_name(error));
    }
}

static void set_configs(struct call *call, struct create_topics_request_topic *topic,
                        const struct topic_plan *plan)
{
    topic->configs.items = arena_array(&call->arena, 3, sizeof *topic->configs.items);
    topic->configs.count = 3;
    topic->configs.items[0].name = wire_str("segment.ms");
    topic->configs.items[0].value =
        wire_str(arena_printf(&call->arena, "%lld", (long long)plan->segment_ms));
    topic->configs.items[1].name = wire_str("segment.index.bytes");
    topic->configs.items[1].value =
        wire_str(arena_printf(&call->arena, "%d", plan->segment_index_bytes));
    topic->configs.items[2].name = wire_str("index.interval.bytes");
    topic->configs.items[2].value = wire_str("300");
}

static void create(struct admin *a, struct named *named)
{
    struct call *call =
        call_new(a->actor.caller, WIRE_CREATE_TOPICS, a->create_version, on_created, a);
    struct create_topics_request *body = call->body;
    body->timeout_ms = TIMEOUT_MS;
    body->topics.items = arena_array(&call->arena, 1, sizeof *body->topics.items);
    body->topics.count = 1;
    wire_struct_defaults(&wire_struct_create_topics_request_topic, &body->topics.items[0]);
    body->topics.items[0].name = wire_str(named->name);
    body->topics.items[0].num_partitions = named->partitions;
    body->topics.items[0].replication_factor = named->replicas;
    if (named->plan != NULL) {
        set_configs(call, &body->topics.items[0], named->plan);
    }
    call->extra = named;
    a->asking = true;
    if (named->phase != TOPIC_CREATING) {
        enter(a, named, TOPIC_CREATING);
    }
    call_send(call, cluster_any(), TIMEOUT_MS, sim_now_us(a->actor.universe->sim));
}

/* ---- deleting ---- */

static void on_deleted(struct call *call, const struct client_answer *answer)
{
    struct admin *a = call->ctx;
    struct named *topic = call->extra;
    struct universe *u = a->actor.universe;
    const struct delete_topics_response *response = answer->response;
    a->asking = false;
    if (answer->error != ERR_NONE) {
        return;
    }
    if (response->responses.count != 1) {
        verdict_fail(&u->verdict, "delete topics: %s has no answer", topic->name);
        return;
    }
    int16_t error = response->responses.items[0].error_code;
    if (error == KAFKA_NONE || error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
        if (error != KAFKA_NONE && !topic->delete_repeated && u->server_count == 1) {
            verdict_fail(&u->verdict, "lost: topic %s was created, and a first deletion says %s",
                         topic->name, kafka_error_name(error));
        }
        enter(a, topic, TOPIC_DELETED);
    } else if (!kafka_error_retriable(error)) {
        verdict_fail(&u->verdict, "delete topics: %s is answered with %s", topic->name,
                     kafka_error_name(error));
    }
}

static void remove_topic(struct admin *a, struct named *named)
{
    struct call *call =
        call_new(a->actor.caller, WIRE_DELETE_TOPICS, a->delete_version, on_deleted, a);
    struct delete_topics_request *body = call->body;
    body->timeout_ms = TIMEOUT_MS;
    if (a->delete_version >= 6) {
        body->topics.items = arena_array(&call->arena, 1, sizeof *body->topics.items);
        body->topics.count = 1;
        body->topics.items[0].name = wire_str(named->name);
    } else {
        body->topic_names.items = arena_array(&call->arena, 1, sizeof *body->topic_names.items);
        body->topic_names.count = 1;
        body->topic_names.items[0] = wire_str(named->name);
    }
    call->extra = named;
    a->asking = true;
    named->delete_repeated = named->phase == TOPIC_DELETING;
    named->delete_starts = a->actor.universe->starts;
    if (named->phase != TOPIC_DELETING) {
        enter(a, named, TOPIC_DELETING);
    }
    call_send(call, cluster_any(), TIMEOUT_MS, sim_now_us(a->actor.universe->sim));
}

/* ---- Metadata against what was promised ---- */

static const struct metadata_response_topic *find(const struct metadata_response *response,
                                                  const char *name)
{
    for (int32_t i = 0; i < response->topics.count; i++) {
        if (wire_str_is(response->topics.items[i].name, name)) {
            return &response->topics.items[i];
        }
    }
    return NULL;
}

/* False when it is not there yet: a broker may answer from metadata that lags behind. */
static bool check_present(struct admin *a, struct named *named,
                          const struct metadata_response_topic *topic)
{
    struct verdict *verdict = &a->actor.universe->verdict;
    if (topic == NULL && a->actor.universe->server_count > 1) {
        return false;
    }
    if (topic == NULL || topic->error_code != KAFKA_NONE) {
        verdict_fail(verdict, "lost: topic %s was created and Metadata %s", named->name,
                     topic == NULL ? "lacks it" : kafka_error_name(topic->error_code));
        return false;
    }
    if (topic->partitions.count != named->partitions) {
        verdict_fail(verdict, "metadata: topic %s has %d partitions, %d were created", named->name,
                     topic->partitions.count, named->partitions);
    }
    struct uuid none = {0};
    if (!uuid_equal(&named->id, &none) && !uuid_equal(&named->id, &topic->topic_id)) {
        verdict_fail(verdict, "metadata: topic %s has changed its id", named->name);
    }
    named->id = topic->topic_id;
    return true;
}

/* As above, of a topic that was deleted. Nothing can be said of a cluster's when a create may still
 * be on its way. */
static bool check_deleted(struct admin *a, const struct named *named, bool there)
{
    struct universe *u = a->actor.universe;
    if (!there || (u->server_count > 1 && named->doubt_starts > 0)) {
        return true;
    }
    if (u->server_count == 1 && named->doubt_starts < named->delete_starts) {
        verdict_fail(&u->verdict, "topic %s was deleted and is back", named->name);
    }
    return u->server_count == 1;
}

static void on_metadata(struct call *call, const struct client_answer *answer)
{
    struct admin *a = call->ctx;
    struct universe *u = a->actor.universe;
    const struct metadata_response *response = answer->response;
    bool right = true;
    a->asking = false;
    if (answer->error != ERR_NONE) {
        return;
    }
    for (int i = 0; i < a->count; i++) {
        struct named *named = &a->topics[i];
        const struct metadata_response_topic *topic = find(response, named->name);
        if (named->since_us >= call->asked_us) {
            continue;
        }
        if (named->phase == TOPIC_PRESENT) {
            right = check_present(a, named, topic) && right;
        } else if (named->phase == TOPIC_DELETED) {
            right = check_deleted(a, named, topic != NULL) && right;
        }
    }
    a->checked = u->calm && u->written && right;
    a->checked_last = u->last_call;
}

static void check_metadata(struct admin *a)
{
    struct call *call = call_new(a->actor.caller, WIRE_METADATA, INT16_MAX, on_metadata, a);
    struct metadata_request *body = call->body;
    call->request.min_version = 10;
    body->topics.count = -1;
    body->allow_auto_topic_creation = false;
    a->asking = true;
    call_send(call, cluster_any(), TIMEOUT_MS, sim_now_us(a->actor.universe->sim));
}

/* ---- the task ---- */

static struct named *new_passing(struct admin *a)
{
    struct named *named = &a->topics[a->count++];
    snprintf(named->name, sizeof named->name, "passing%d", a->count);
    named->partitions = 1 + (int32_t)universe_below(a->actor.universe, 3);
    named->replicas = 1;
    if (a->actor.universe->server_count > 1) {
        /* Nothing on one broker alone where disks may be lost. */
        bool wipes = a->actor.universe->fault_kinds & (1U << FAULT_WIPE);
        named->replicas = (int16_t)(REPLICAS - universe_below(a->actor.universe, wipes ? 2 : 3));
    }
    return named;
}

static bool half_way(const struct named *named)
{
    return named->phase == TOPIC_CREATING || named->phase == TOPIC_DELETING;
}

/* What must be brought to its end first: topics of the plan, then what was begun. */
static struct named *pending(struct admin *a)
{
    for (int i = 0; i < a->count; i++) {
        struct named *named = &a->topics[i];
        if (half_way(named) || (named->plan != NULL && named->phase == TOPIC_ABSENT)) {
            return named;
        }
    }
    return NULL;
}

static struct named *any_passing(struct admin *a)
{
    struct named *named = &a->topics[universe_below(a->actor.universe, a->count)];
    return named->plan == NULL && named->phase == TOPIC_PRESENT ? named : NULL;
}

static void step(struct actor *actor)
{
    struct admin *a = of_actor(actor);
    struct universe *u = actor->universe;
    struct named *named = pending(a);
    actor_within(actor, named != NULL ? 300 : THINK_MS);
    if (a->asking) {
        return;
    }
    if (named == NULL && !u->calm && universe_chance(u, 40)) {
        named = universe_chance(u, 50) ? any_passing(a) : NULL;
        named = named == NULL && a->count < TOPICS_MAX + PASSING_MAX ? new_passing(a) : named;
    }
    if (named == NULL) {
        check_metadata(a);
        return;
    }
    faults_tempt(u);
    if (named->phase == TOPIC_ABSENT || named->phase == TOPIC_CREATING) {
        create(a, named);
    } else {
        remove_topic(a, named);
    }
}

/* ---- life ---- */

static bool finished(struct actor *actor)
{
    const struct admin *a = CONTAINER_OF(actor, struct admin, actor);
    return a->checked && a->checked_last == actor->universe->last_call;
}

static void describe(struct actor *actor, char *out, size_t size)
{
    const struct admin *a = CONTAINER_OF(actor, struct admin, actor);
    for (int i = 0; i < a->count; i++) {
        if (half_way(&a->topics[i])) {
            snprintf(out, size, "topic %s is half way", a->topics[i].name);
            return;
        }
    }
    snprintf(out, size, "Metadata has not answered as it must");
}

static void admin_free(struct actor *actor)
{
    actor_fini(actor);
    mem_free(of_actor(actor));
}

static const struct actor_ops ops = {
    .step = step, .finished = finished, .describe = describe, .free = admin_free};

struct actor *admin_new(struct universe *u)
{
    struct admin *a = mem_zalloc(sizeof *a);
    a->create_version = (int16_t)(4 + universe_below(u, 4));
    a->delete_version = (int16_t)(4 + universe_below(u, 3));
    for (int i = 0; i < u->topic_count; i++) {
        struct named *named = &a->topics[a->count++];
        named->plan = &u->topics[i];
        named->partitions = u->topics[i].partitions;
        named->replicas = u->server_count > 1 ? REPLICAS : 1;
        snprintf(named->name, sizeof named->name, "%s", u->topics[i].name);
    }
    actor_init(&a->actor, &ops, u, "admin");
    return &a->actor;
}
