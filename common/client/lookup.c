/* Where brokers and coordinators are.
 *
 * The table of brokers is replaced by every Metadata and DescribeCluster response that passes
 * through; we ask Metadata ourselves when a request needs a broker that is not in the table, or
 * whose connection failed (it may have moved). A group's coordinator is asked for when a request
 * needs it, and forgotten when its connection ends or the caller says so. A lookup that fails fails
 * the requests that waited for it; when it ran out of time, those that have time left start
 * another. */
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/client/impl.h"
#include "common/wire/kafka_error.h"

/* ---- the table of brokers ------------------------------------------------------------------ */

int lookup_broker(const struct cluster *c, int32_t id)
{
    for (size_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i].id == id) {
            return (int)i;
        }
    }
    return -1;
}

static void drop_table(struct cluster *c)
{
    for (size_t i = 0; i < c->node_count; i++) {
        c->node_links[i]->known = false;
        mem_free((void *)(uintptr_t)c->nodes[i].rack);
    }
    mem_free(c->nodes);
    mem_free(c->node_links);
    c->nodes = NULL;
    c->node_links = NULL;
    c->node_count = 0;
}

static char *dup_str(struct wire_str s)
{
    ASSERT(s.size <= 0 || s.data != NULL);
    if (s.size < 0) {
        return NULL;
    }
    char *copy = mem_alloc((size_t)s.size + 1);
    if (s.size > 0) {
        memcpy(copy, s.data, (size_t)s.size);
    }
    copy[s.size] = '\0';
    return copy;
}

static void put_broker(struct cluster *c, int32_t id, struct wire_str host, int32_t port,
                       struct wire_str rack)
{
    if (host.size <= 0 || port <= 0 || port > UINT16_MAX || id < 0) {
        return; /* nothing that could be dialled */
    }
    char *name = dup_str(host);
    struct cluster_link *link = link_get(c, name, (uint16_t)port);
    mem_free(name);
    int at = lookup_broker(c, id);
    if (at >= 0) {
        c->node_links[at]->known = false;
        mem_free((void *)(uintptr_t)c->nodes[at].rack);
    } else {
        at = (int)c->node_count++;
        c->nodes = mem_realloc(c->nodes, c->node_count * sizeof *c->nodes);
        c->node_links = mem_realloc(c->node_links, c->node_count * sizeof(struct cluster_link *));
        while (at > 0 && c->nodes[at - 1].id > id) {
            c->nodes[at] = c->nodes[at - 1];
            c->node_links[at] = c->node_links[at - 1];
            at--;
        }
    }
    ASSERT(at >= 0 && (size_t)at < c->node_count);
    link->suspect = false;
    c->node_links[at] = link;
    c->nodes[at] = (struct cluster_node){
        .id = id, .host = link->host, .port = link->port, .rack = dup_str(rack)};
    for (size_t i = 0; i < c->node_count; i++) {
        c->node_links[i]->known = true; /* two ids may share an address for a moment */
    }
}

static void learn_names(struct cluster *c, struct wire_str cluster_id, int32_t controller_id)
{
    if (cluster_id.size >= 0) {
        mem_free(c->id);
        c->id = dup_str(cluster_id);
    }
    c->controller_id = controller_id;
}

static void learn_metadata(struct cluster *c, const struct metadata_response *r)
{
    if (r->error_code != KAFKA_NONE) {
        return;
    }
    if (r->brokers.count >
        0) { /* a broker that starts knows none yet, and where they were still holds */
        drop_table(c);
    }
    for (int32_t i = 0; i < r->brokers.count; i++) {
        const struct metadata_response_broker *b = &r->brokers.items[i];
        put_broker(c, b->node_id, b->host, b->port, b->rack);
    }
    learn_names(c, r->cluster_id, r->controller_id);
}

static void learn_cluster(struct cluster *c, const struct describe_cluster_response *r)
{
    enum { BROKERS = 1 }; /* endpoint type, KIP-919 */
    if (r->error_code != KAFKA_NONE || r->endpoint_type != BROKERS) {
        return;
    }
    if (r->brokers.count > 0) {
        drop_table(c);
    }
    for (int32_t i = 0; i < r->brokers.count; i++) {
        const struct describe_cluster_response_broker *b = &r->brokers.items[i];
        if (!b->is_fenced) {
            put_broker(c, b->broker_id, b->host, b->port, b->rack);
        }
    }
    learn_names(c, r->cluster_id, r->controller_id);
}

void lookup_learn(struct cluster *c, int16_t api_key, const void *response)
{
    if (api_key == WIRE_METADATA) {
        learn_metadata(c, response);
    } else if (api_key == WIRE_DESCRIBE_CLUSTER) {
        learn_cluster(c, response);
    }
}

static void metadata_done(void *ctx, const struct client_answer *answer)
{
    struct cluster *c = ctx;
    ASSERT(c->metadata_asking);
    c->metadata_asking = false;
    enum err error = answer->error;
    int16_t code = answer->kafka_error;
    struct err_text why;
    err_set(&why, "%s", answer->why);
    if (answer->response != NULL) {
        code = ((const struct metadata_response *)answer->response)->error_code;
        error = code != KAFKA_NONE ? ERR_BUSY : ERR_NONE;
        err_set(&why, "where the brokers are cannot be learnt: %s", kafka_error_name(code));
    }
    c->lookups += error == ERR_NONE;
    if (error == ERR_TIMEOUT) {
        c->dirty = true;
        return;
    }
    LIST_FOREACH(node, &c->waiting) {
        struct ask *ask = CONTAINER_OF(node, struct ask, node);
        if (ask->needs_metadata && error != ERR_NONE) {
            ask_fail(ask, error, code, why.text);
        }
    }
}

static void ask_metadata(struct cluster *c, int64_t now_ms)
{
    /* No topics: brokers only. Version 0 cannot say that. */
    wire_defaults(&wire_metadata_request, &c->metadata_request);
    struct client_request r = client_request_of(WIRE_METADATA, &c->metadata_request,
                                                c->options.connect_ms, metadata_done, c);
    ASSERT(c->metadata_request.topics.count == 0);
    r.min_version = 1;
    c->metadata_asking = true;
    ask_new(c, cluster_any(), &r, now_ms);
}

/* ---- coordinators -------------------------------------------------------------------------- */

struct coordinator *lookup_group(struct cluster *c, const char *group)
{
    struct coordinator *co = NULL;
    HASH_FIND_STR(c->coordinators, group, co);
    if (co == NULL) {
        co = mem_zalloc(sizeof *co);
        co->cluster = c;
        co->group = mem_strdup(group);
        co->broker_id = -1;
        HASH_ADD_KEYPTR(hh, c->coordinators, co->group, strlen(co->group), co);
    }
    return co;
}

void lookup_free(struct cluster *c)
{
    struct coordinator *co, *next;
    HASH_ITER(hh, c->coordinators, co, next)
    {
        HASH_DEL(c->coordinators, co);
        mem_free(co->group);
        mem_free(co);
    }
    drop_table(c);
}

void lookup_link_lost(struct cluster_link *link)
{
    struct cluster *c = link->cluster;
    struct coordinator *co, *next;
    HASH_ITER(hh, c->coordinators, co, next)
    {
        int at = lookup_broker(c, co->broker_id);
        if (at >= 0 && c->node_links[at] == link) {
            co->broker_id = -1;
        }
    }
}

static const void *coordinator_make(void *ctx, int16_t version)
{
    struct coordinator *co = ctx;
    wire_defaults(&wire_find_coordinator_request, &co->request);
    co->key = wire_str(co->group);
    if (version >= 4) { /* KIP-699: many keys at once */
        co->request.coordinator_keys.items = &co->key;
        co->request.coordinator_keys.count = 1;
    } else {
        co->request.key = co->key;
    }
    return &co->request;
}

static void fail_group(const struct coordinator *co, enum err error, int16_t code, const char *why)
{
    LIST_FOREACH(node, &co->cluster->waiting) {
        struct ask *ask = CONTAINER_OF(node, struct ask, node);
        if (ask->coordinator == co) {
            ask_fail(ask, error, code, why);
        }
    }
}

static enum err error_of_code(int16_t code)
{
    switch (code) {
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_NOT_COORDINATOR:
        return ERR_BUSY;
    case KAFKA_GROUP_AUTHORIZATION_FAILED:
        return ERR_ACCESS;
    default:
        return ERR_INVALID;
    }
}

static void coordinator_done(void *ctx, const struct client_answer *answer)
{
    struct coordinator *co = ctx;
    ASSERT(co->asking);
    co->asking = false;
    if (answer->error == ERR_TIMEOUT) {
        co->cluster->dirty = true;
        return;
    }
    if (answer->response == NULL) {
        fail_group(co, answer->error, answer->kafka_error, answer->why);
        return;
    }
    const struct find_coordinator_response *r = answer->response;
    struct find_coordinator_response_coordinator found = {.node_id = r->node_id,
                                                          .host = r->host,
                                                          .port = r->port,
                                                          .error_code = r->error_code,
                                                          .error_message = r->error_message};
    if (answer->version >= 4 && r->coordinators.count == 1) {
        found = r->coordinators.items[0];
    } else if (answer->version >= 4) {
        found.error_code = KAFKA_UNKNOWN_SERVER_ERROR;
    }
    if (found.error_code != KAFKA_NONE) {
        struct err_text why;
        err_set(&why, "coordinator of group %s: %s", co->group, kafka_error_name(found.error_code));
        fail_group(co, error_of_code(found.error_code), found.error_code, why.text);
        return;
    }
    co->broker_id = found.node_id;
    struct cluster *c = co->cluster;
    int at = lookup_broker(c, found.node_id);
    struct wire_str rack = at >= 0 ? wire_str(c->nodes[at].rack) : WIRE_STR_NULL;
    char *kept = dup_str(rack); /* put_broker frees the table's */
    put_broker(c, found.node_id, found.host, found.port, wire_str(kept));
    mem_free(kept);
}

static void ask_coordinator(struct coordinator *co, int64_t now_ms)
{
    struct cluster *c = co->cluster;
    struct client_request r =
        client_request_of(WIRE_FIND_COORDINATOR, NULL, c->options.connect_ms, coordinator_done, co);
    ASSERT(!co->asking);
    r.make = coordinator_make;
    co->asking = true;
    ask_new(c, cluster_any(), &r, now_ms);
}

/* ---- what requests need -------------------------------------------------------------------- */

static struct cluster_link *resolve_broker(struct ask *ask, int32_t id)
{
    struct cluster *c = ask->cluster;
    int at = lookup_broker(c, id);
    if (at >= 0 && (c->node_links[at]->state == LINK_READY || !c->node_links[at]->suspect)) {
        return c->node_links[at];
    }
    if (at < 0 && c->lookups != ask->lookups_seen) {
        struct err_text why;
        err_set(&why, "broker %d is not in the cluster: it is down, or there is none of that id",
                (int)id);
        ask_fail(ask, ERR_NOT_FOUND, 0, why.text);
        return NULL;
    }
    ask->needs_metadata = true;
    c->wants_metadata = true;
    return NULL;
}

struct cluster_link *lookup_resolve(struct ask *ask, int64_t now_ms)
{
    struct cluster *c = ask->cluster;
    ask->needs_metadata = false;
    if (ask->kind == CLUSTER_ANY) {
        struct cluster_link *link = link_any_ready(c);
        c->wants_any = c->wants_any || link == NULL;
        return link;
    }
    if (ask->kind == CLUSTER_BROKER) {
        return resolve_broker(ask, ask->broker_id);
    }
    ASSERT(ask->coordinator != NULL);
    if (ask->coordinator->broker_id >= 0) {
        return resolve_broker(ask, ask->coordinator->broker_id);
    }
    if (!ask->coordinator->asking) {
        ask_coordinator(ask->coordinator, now_ms);
    }
    return NULL;
}

bool lookup_start(struct cluster *c, int64_t now_ms)
{
    bool wanted = c->wants_metadata && !c->metadata_asking;
    if (wanted) {
        ask_metadata(c, now_ms);
    }
    c->wants_metadata = false;
    return wanted;
}
