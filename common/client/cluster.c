/* Requests on their way to a broker.
 *
 * Happy path: cluster_send puts an ask into `waiting`; the next tick finds its broker's link
 * (lookup.c), dials it when it is idle (links.c), and hands the request to the connection once that
 * is ready; the answer tells `done` and the ask is gone.
 *
 * Failure modes: an ask fails where it waits (out of time, its link or lookup failed, no common
 * version): it moves to `failed` and is told at the end of the tick, when no list is being walked.
 * What fails on a connection is told by the connection. */
#include "common/client/cluster.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/client/impl.h"

struct cluster_options cluster_options_default(void)
{
    return (struct cluster_options){
        .client_id = NULL, .connect_ms = 10000, .backoff_ms = 100, .backoff_limit_ms = 2000};
}

enum err cluster_new(const char *bootstrap, const struct cluster_options *options,
                     const struct cluster_transport *transport, void *transport_ctx,
                     struct cluster **out, struct err_text *text)
{
    ASSERT(options->connect_ms > 0 && options->backoff_ms > 0);
    ASSERT(options->backoff_limit_ms >= options->backoff_ms);
    struct cluster *c = mem_zalloc(sizeof *c);
    c->transport = transport;
    c->transport_ctx = transport_ctx;
    c->options = *options;
    c->client_id = options->client_id != NULL ? mem_strdup(options->client_id) : NULL;
    c->options.client_id = c->client_id;
    c->controller_id = -1;
    list_init(&c->links);
    list_init(&c->waiting);
    list_init(&c->sent);
    list_init(&c->failed);
    enum err e = bootstrap_parse(c, bootstrap, text);
    if (e != ERR_NONE) {
        cluster_free(c);
        return e;
    }
    *out = c;
    return ERR_NONE;
}

static void ask_free(struct ask *ask)
{
    ASSERT(!heap_node_linked(&ask->due));
    mem_free(ask->why);
    mem_free(ask);
}

static void free_asks(struct cluster *c, struct list *asks)
{
    struct list *node;
    while ((node = list_pop(asks)) != NULL) {
        struct ask *ask = CONTAINER_OF(node, struct ask, node);
        if (heap_node_linked(&ask->due)) {
            heap_remove(&c->due, &ask->due);
        }
        ask_free(ask);
    }
}

void cluster_free(struct cluster *c)
{
    if (c == NULL) {
        return;
    }
    lookup_free(c);
    LIST_FOREACH(node, &c->links) {
        link_free(CONTAINER_OF(node, struct cluster_link, node));
    }
    free_asks(c, &c->waiting);
    free_asks(c, &c->sent);
    free_asks(c, &c->failed);
    heap_free(&c->due);
    mem_free(c->id);
    mem_free(c->client_id);
    mem_free(c);
}

/* ---- asks ---------------------------------------------------------------------------------- */

void ask_new(struct cluster *c, struct cluster_target target, const struct client_request *request,
             int64_t now_ms)
{
    ASSERT(request->timeout_ms > 0 && request->done != NULL);
    ASSERT(request->body != NULL || request->make != NULL);
    struct ask *ask = mem_zalloc(sizeof *ask);
    ask->cluster = c;
    ask->request = *request;
    ask->kind = target.kind;
    ask->broker_id = target.broker_id;
    ask->deadline_ms = now_ms + request->timeout_ms;
    ask->lookups_seen = c->lookups;
    if (target.kind == CLUSTER_COORDINATOR) {
        ASSERT(target.group != NULL);
        ask->coordinator = lookup_group(c, target.group);
    }
    list_push(&c->waiting, &ask->node);
    heap_push(&c->due, &ask->due, ask->deadline_ms);
    c->dirty = true;
}

void cluster_send(struct cluster *c, struct cluster_target target,
                  const struct client_request *request, int64_t now_ms)
{
    ASSERT(wire_api_of(request->api_key) != NULL);
    ask_new(c, target, request, now_ms);
}

static void ask_unqueue(struct ask *ask)
{
    ASSERT(heap_node_linked(&ask->due));
    heap_remove(&ask->cluster->due, &ask->due);
    list_remove(&ask->node);
    ask->link = NULL;
}

void ask_fail(struct ask *ask, enum err error, int16_t kafka_error, const char *why)
{
    ASSERT(error != ERR_NONE);
    ask_unqueue(ask);
    ask->error = error;
    ask->kafka_error = kafka_error;
    ask->why = mem_strdup(why);
    list_push(&ask->cluster->failed, &ask->node);
}

static void tell_failed(struct cluster *c)
{
    struct list *node;
    while ((node = list_pop(&c->failed)) != NULL) {
        struct ask *ask = CONTAINER_OF(node, struct ask, node);
        struct client_answer answer = {
            .error = ask->error, .why = ask->why, .kafka_error = ask->kafka_error};
        ask->request.done(ask->request.ctx, &answer);
        ask_free(ask);
    }
}

static void ask_answered(void *ctx, const struct client_answer *answer)
{
    struct ask *ask = ctx;
    list_remove(&ask->node);
    if (answer->response != NULL) {
        lookup_learn(ask->cluster, ask->request.api_key, answer->response);
    }
    ask->request.done(ask->request.ctx, answer);
    ask_free(ask);
}

static const void *ask_make(void *ctx, int16_t version)
{
    struct ask *ask = ctx;
    return ask->request.make(ask->request.ctx, version);
}

static void ask_dispatch(struct ask *ask, struct cluster_link *link, int64_t now_ms)
{
    struct client_request r = ask->request;
    r.done = ask_answered;
    r.ctx = ask;
    r.make = ask->request.make != NULL ? ask_make : NULL;
    r.timeout_ms = ask->deadline_ms - now_ms;
    ASSERT(r.timeout_ms > 0 && link->state == LINK_READY);
    struct err_text why;
    enum err e = client_conn_send(link->conn, &r, now_ms, &why);
    if (e != ERR_NONE) {
        ask_fail(ask, e, 0, why.text);
        return;
    }
    ask_unqueue(ask);
    list_push(&ask->cluster->sent, &ask->node);
}

/* One step forward, as far as it can go now. */
static void ask_step(struct ask *ask, int64_t now_ms)
{
    struct cluster_link *link = lookup_resolve(ask, now_ms);
    if (link == NULL) {
        /* It waits for a lookup or for any link. */
        ask->link = NULL;
    } else if (link->state == LINK_READY) {
        ask_dispatch(ask, link, now_ms);
    } else {
        ask->link = link;
        link_want(link, now_ms);
    }
}

/* ---- time ---------------------------------------------------------------------------------- */

static void ask_expire(struct ask *ask)
{
    const struct wire_api *api = wire_api_of(ask->request.api_key);
    struct err_text why;
    if (ask->link != NULL && ask->link->why.text[0] != '\0') {
        err_set(&why, "%s", ask->link->why.text);
    } else if (ask->link != NULL) {
        err_set(&why, "%s: no connection within %" PRId64 " ms", ask->link->name,
                ask->request.timeout_ms);
    } else if (link_any_ready(ask->cluster) != NULL) {
        err_set(&why, "where to send it was not learnt within %" PRId64 " ms",
                ask->request.timeout_ms);
    } else {
        links_explain(ask->cluster, &why);
    }
    err_wrap(&why, "%s", api->name);
    ask_fail(ask, ERR_TIMEOUT, 0, why.text);
}

static void walk_waiting(struct cluster *c, int64_t now_ms)
{
    c->wants_any = false;
    c->wants_metadata = false;
    bool again = true;
    while (again) { /* a second time for lookups that the first brought up */
        c->dirty = false;
        LIST_FOREACH(node, &c->waiting) {
            ask_step(CONTAINER_OF(node, struct ask, node), now_ms);
        }
        again = lookup_start(c, now_ms) || c->dirty;
    }
    if (c->wants_any) {
        links_dial_any(c, now_ms);
    }
}

void cluster_tick(struct cluster *c, int64_t now_ms)
{
    c->now_ms = now_ms;
    links_tick(c, now_ms);
    struct heap_node *first;
    while ((first = heap_first(&c->due)) != NULL && first->key <= now_ms) {
        ask_expire(CONTAINER_OF(first, struct ask, due));
    }
    walk_waiting(c, now_ms);
    tell_failed(c);
}

int64_t cluster_next_deadline(const struct cluster *c)
{
    if (c->dirty || !list_empty(&c->failed)) {
        return INT64_MIN;
    }
    const struct heap_node *first = heap_first(&c->due);
    int64_t links_ms = links_next_deadline(c);
    return first != NULL && first->key < links_ms ? first->key : links_ms;
}

/* ---- what is known ------------------------------------------------------------------------- */

void cluster_refresh(struct cluster *c)
{
    LIST_FOREACH(node, &c->links) {
        CONTAINER_OF(node, struct cluster_link, node)->suspect = true;
    }
}

void cluster_forget_coordinator(struct cluster *c, const char *group)
{
    struct coordinator *co = NULL;
    HASH_FIND_STR(c->coordinators, group, co);
    if (co != NULL) {
        co->broker_id = -1;
    }
}

const struct cluster_node *cluster_brokers(const struct cluster *c, size_t *count)
{
    *count = c->node_count;
    return c->nodes;
}

const char *cluster_id(const struct cluster *c)
{
    return c->id;
}

int32_t cluster_controller_id(const struct cluster *c)
{
    return c->controller_id;
}

const struct client_conn *cluster_conn(const struct cluster *c, int32_t broker_id)
{
    int at = lookup_broker(c, broker_id);
    return at >= 0 && c->node_links[at]->state == LINK_READY ? c->node_links[at]->conn : NULL;
}

bool cluster_unreachable(const struct cluster *c, struct err_text *text)
{
    if (c->unreachable) {
        links_explain(c, text);
    }
    return c->unreachable;
}
