#include "tests/sim/caller.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

enum { FRAME_MAX_BYTES = 64 << 20, METADATA_TIMEOUT_MS = 2000, REROUTE_PAUSE_MS = 100 };
enum { ROUTES_MAX = 128 };

struct caller {
    struct env *env;
    struct cluster *cluster;
    struct env_timer tick;
    struct env_timer reroute;
    struct list links;
    struct list asks;
    bool routing; /* a Metadata request is under way */
    bool stale;
    struct route routes[ROUTES_MAX];
    int route_count;
};

/* The transport's end of one connection. */
struct link {
    struct list node;
    struct caller *caller;
    struct cluster_link *peer;
    env_conn conn;
};

static void call_free(struct call *call)
{
    list_remove(&call->node);
    arena_free(&call->arena);
    mem_free(call);
}

void call_drop(struct call *call)
{
    call_free(call);
}

/* ---- time ---- */

static void rearm(struct caller *c)
{
    int64_t due = cluster_next_deadline(c->cluster);
    if (due == INT64_MAX) {
        env_timer_cancel(c->env, &c->tick);
    } else {
        int64_t now = env_now_ms(c->env);
        env_timer_set(c->env, &c->tick, due < now ? now : due);
    }
}

static void on_tick(struct env_timer *timer)
{
    struct caller *c = CONTAINER_OF(timer, struct caller, tick);
    cluster_tick(c->cluster, env_now_ms(c->env));
    rearm(c);
}

/* ---- transport ---- */

static void link_free(struct link *link)
{
    list_remove(&link->node);
    mem_free(link);
}

static void on_connected(void *ctx, env_conn conn)
{
    struct link *link = ctx;
    struct caller *c = link->caller;
    (void)conn;
    cluster_link_connected(link->peer, env_now_ms(c->env));
    rearm(c);
}

static void on_frame(void *ctx, env_conn conn, struct buf *frame)
{
    struct link *link = ctx;
    struct caller *c = link->caller;
    (void)conn;
    cluster_link_frame(link->peer, frame, env_now_ms(c->env));
    rearm(c);
}

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    struct link *link = ctx;
    struct caller *c = link->caller;
    struct cluster_link *peer = link->peer;
    (void)conn;
    link_free(link);
    cluster_link_closed(peer, reason, why, env_now_ms(c->env));
    c->stale = true;
    rearm(c);
}

static const struct env_conn_events conn_events = {
    .connected = on_connected, .frame = on_frame, .closed = on_closed};

static void *dial(void *ctx, const char *host, uint16_t port, struct cluster_link *peer)
{
    struct caller *c = ctx;
    struct link *link = mem_zalloc(sizeof *link);
    link->caller = c;
    link->peer = peer;
    list_init(&link->node);
    list_push(&c->links, &link->node);
    link->conn = env_dial(c->env, host, port, FRAME_MAX_BYTES, &conn_events, link);
    return link;
}

static void send_frame(void *ctx, void *handle, struct buf *frame)
{
    struct caller *c = ctx;
    struct link *link = handle;
    struct env_piece piece = {.bytes = {.owner = frame, .data = frame->data, .size = frame->size}};
    env_send(c->env, link->conn, &piece, 1);
}

static void close_link(void *ctx, void *handle)
{
    struct caller *c = ctx;
    struct link *link = handle;
    env_close(c->env, link->conn, false);
    link_free(link);
}

static const struct cluster_transport transport = {dial, send_frame, close_link};

/* ---- asks ---- */

static void on_answer(void *ctx, const struct client_answer *answer)
{
    struct call *call = ctx;
    call->done(call, answer);
    call_free(call);
}

struct call *call_new(struct caller *c, int16_t api_key, int16_t max_version,
                      void (*done)(struct call *call, const struct client_answer *answer),
                      void *ctx)
{
    const struct wire_api *api = wire_api_of(api_key);
    ASSERT(api != NULL);
    struct call *call = mem_zalloc(sizeof *call);
    list_init(&call->node);
    call->caller = c;
    call->done = done;
    call->ctx = ctx;
    call->body = arena_alloc(&call->arena, wire_message_size(api->request));
    wire_defaults(api->request, call->body);
    call->request = client_request_of(api_key, call->body, 1, on_answer, call);
    if (max_version < call->request.max_version) {
        call->request.max_version = max_version;
    }
    return call;
}

void call_send(struct call *call, struct cluster_target target, int64_t timeout_ms, int64_t now_us)
{
    struct caller *c = call->caller;
    call->request.timeout_ms = timeout_ms;
    call->asked_us = now_us;
    list_push(&c->asks, &call->node);
    cluster_send(c->cluster, target, &call->request, env_now_ms(c->env));
    rearm(c);
}

/* ---- routes ---- */

/* What is known of that topic; NULL when nothing is. */
static const struct route *route_by_id(const struct route *routes, int count, struct uuid id)
{
    for (int i = 0; i < count; i++) {
        if (uuid_equal(&routes[i].id, &id)) {
            return &routes[i];
        }
    }
    return NULL;
}

static void learn_topic(struct route *route, const struct metadata_response_topic *topic,
                        const struct route *before)
{
    *route = (struct route){.id = topic->topic_id};
    if (topic->name.size > 0 && (size_t)topic->name.size < sizeof route->name) {
        memcpy(route->name, topic->name.data, (size_t)topic->name.size);
    }
    for (int32_t i = 0; i < ROUTE_PARTITIONS_MAX; i++) {
        route->leaders[i] = -1;
    }
    for (int32_t i = 0; i < topic->partitions.count; i++) {
        const struct metadata_response_partition *partition = &topic->partitions.items[i];
        if (partition->partition_index >= 0 && partition->partition_index < ROUTE_PARTITIONS_MAX) {
            int32_t at = partition->partition_index;
            bool old = before != NULL && before->epochs[at] > partition->leader_epoch;
            route->leaders[at] = old ? before->leaders[at] : partition->leader_id;
            route->epochs[at] = old ? before->epochs[at] : partition->leader_epoch;
            route->partitions++;
        }
    }
}

static void on_metadata(struct call *call, const struct client_answer *answer)
{
    struct caller *c = call->caller;
    c->routing = false;
    if (answer->error != ERR_NONE) {
        caller_reroute(c);
        return;
    }
    const struct metadata_response *response = answer->response;
    struct route *before = mem_dup(c->routes, sizeof c->routes);
    int before_count = c->route_count;
    c->route_count = 0;
    for (int32_t i = 0; i < response->topics.count && c->route_count < ROUTES_MAX; i++) {
        if (response->topics.items[i].error_code == 0) {
            const struct metadata_response_topic *topic = &response->topics.items[i];
            learn_topic(&c->routes[c->route_count++], topic,
                        route_by_id(before, before_count, topic->topic_id));
        }
    }
    for (int i = 0; i < before_count && c->route_count < ROUTES_MAX; i++) {
        if (route_by_id(c->routes, c->route_count, before[i].id) == NULL) {
            c->routes[c->route_count++] = before[i]; /* deleted, or not known there yet */
        }
    }
    mem_free(before);
}

static void on_reroute(struct env_timer *timer)
{
    struct caller *c = CONTAINER_OF(timer, struct caller, reroute);
    if (c->routing) {
        return;
    }
    c->routing = true;
    c->stale = false;
    struct call *call = call_new(c, WIRE_METADATA, INT16_MAX, on_metadata, c);
    struct metadata_request *body = call->body;
    body->topics.count = -1;
    body->allow_auto_topic_creation = false;
    call->request.min_version = 10;
    call_send(call, cluster_any(), METADATA_TIMEOUT_MS, 0);
}

void caller_reroute(struct caller *c)
{
    if (!c->routing && !env_timer_armed(&c->reroute)) {
        env_timer_set(c->env, &c->reroute, env_now_ms(c->env) + REROUTE_PAUSE_MS);
    }
}

const struct route *caller_route(struct caller *c, const char *topic)
{
    if (c->stale) {
        caller_reroute(c);
    }
    for (int i = 0; i < c->route_count; i++) {
        if (strcmp(c->routes[i].name, topic) == 0) {
            return &c->routes[i];
        }
    }
    caller_reroute(c);
    return NULL;
}

void caller_forget_coordinator(struct caller *c, const char *group)
{
    cluster_forget_coordinator(c->cluster, group);
    rearm(c);
}

/* ---- life ---- */

struct caller *caller_new(struct env *env, const char *bootstrap, const char *client_id)
{
    struct caller *c = mem_zalloc(sizeof *c);
    struct cluster_options options = cluster_options_default();
    struct err_text text = {""};
    c->env = env;
    c->tick.fire = on_tick;
    c->reroute.fire = on_reroute;
    list_init(&c->links);
    list_init(&c->asks);
    options.client_id = client_id;
    options.connect_ms = 3000;
    options.backoff_ms = 50;
    options.backoff_limit_ms = 500;
    enum err error = cluster_new(bootstrap, &options, &transport, c, &c->cluster, &text);
    ASSERT(error == ERR_NONE);
    return c;
}

void caller_free(struct caller *c)
{
    cluster_free(c->cluster);
    env_timer_cancel(c->env, &c->tick);
    env_timer_cancel(c->env, &c->reroute);
    LIST_FOREACH(node, &c->asks) {
        call_free(CONTAINER_OF(node, struct call, node));
    }
    ASSERT(list_empty(&c->links));
    mem_free(c);
}
