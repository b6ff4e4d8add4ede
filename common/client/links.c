/* Addresses and their connections.
 *
 * Happy path: IDLE -> dial -> DIALLING -> connected -> SHAKING -> ready -> READY.
 *
 * Failure: whatever ends a connection brings the link back to IDLE with a pause before the next
 * dial, and fails the requests on it and those that waited for it. A link that fails before it is
 * ready is `tried`; when every bootstrap server and known broker is, the requests for any broker
 * fail, with each address's cause. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/client/impl.h"

static void on_send(void *ctx, struct buf *frame);
static void on_ready(void *ctx);

static const struct client_conn_events conn_events = {.send = on_send, .ready = on_ready};

struct cluster_link *link_get(struct cluster *c, const char *host, uint16_t port)
{
    LIST_FOREACH(node, &c->links) {
        struct cluster_link *link = CONTAINER_OF(node, struct cluster_link, node);
        if (link->port == port && strcmp(link->host, host) == 0) {
            return link;
        }
    }
    struct cluster_link *link = mem_zalloc(sizeof *link);
    link->cluster = c;
    link->host = mem_strdup(host);
    link->port = port;
    size_t size = strlen(host) + sizeof "[]:65535";
    link->name = mem_alloc(size);
    snprintf(link->name, size, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
             (unsigned)port);
    link->retry_ms = INT64_MIN;
    list_push(&c->links, &link->node);
    return link;
}

static void link_close(struct cluster_link *link)
{
    const struct cluster *c = link->cluster;
    if (link->handle != NULL) {
        c->transport->close(c->transport_ctx, link->handle);
        link->handle = NULL;
    }
}

void link_free(struct cluster_link *link)
{
    link_close(link);
    client_conn_free(link->conn);
    list_remove(&link->node);
    mem_free(link->host);
    mem_free(link->name);
    mem_free(link);
}

static bool is_candidate(const struct cluster_link *link)
{
    return link->bootstrap || link->known;
}

void *cluster_link_ctx(const struct cluster_link *link)
{
    return link->cluster->transport_ctx;
}

/* ---- up ------------------------------------------------------------------------------------ */

static void link_dial(struct cluster_link *link, int64_t now_ms)
{
    struct cluster *c = link->cluster;
    ASSERT(link->state == LINK_IDLE && link->handle == NULL && link->conn == NULL);
    link->state = LINK_DIALLING;
    link->deadline_ms = now_ms + c->options.connect_ms;
    link->conn = client_conn_new(link->name, c->client_id, &conn_events, link);
    link->handle = c->transport->dial(c->transport_ctx, link->host, link->port, link);
    ASSERT(link->handle != NULL);
}

void link_want(struct cluster_link *link, int64_t now_ms)
{
    if (link->state == LINK_IDLE && now_ms >= link->retry_ms) {
        link_dial(link, now_ms);
    }
}

static void on_send(void *ctx, struct buf *frame)
{
    struct cluster_link *link = ctx;
    const struct cluster *c = link->cluster;
    ASSERT(link->handle != NULL);
    c->transport->send(c->transport_ctx, link->handle, frame);
}

static void on_ready(void *ctx)
{
    struct cluster_link *link = ctx;
    ASSERT(link->state == LINK_SHAKING);
    link->state = LINK_READY;
    link->backoff_ms = 0;
    err_set(&link->why, "%s", "");
    link->cluster->unreachable = false;
    LIST_FOREACH(node, &link->cluster->links) {
        CONTAINER_OF(node, struct cluster_link, node)->tried = false;
    }
}

void cluster_link_connected(struct cluster_link *link, int64_t now_ms)
{
    ASSERT(link->state == LINK_DIALLING);
    int64_t left_ms = link->deadline_ms - now_ms;
    link->state = LINK_SHAKING;
    client_conn_start(link->conn, now_ms, left_ms > 0 ? left_ms : 1);
    cluster_tick(link->cluster, now_ms);
}

/* ---- down ---------------------------------------------------------------------------------- */

void links_explain(const struct cluster *c, struct err_text *text)
{
    struct bytes all = {0};
    int count = 0;
    LIST_FOREACH(node, &c->links) {
        const struct cluster_link *link = CONTAINER_OF(node, struct cluster_link, node);
        if (!is_candidate(link)) {
            continue;
        }
        const char *sep = count++ > 0 ? "; " : "";
        if (link->why.text[0] != '\0') {
            bytes_printf(&all, "%s%s", sep, link->why.text);
        } else {
            bytes_printf(&all, "%s%s: %s", sep, link->name,
                         link->state == LINK_READY ? "answers" : "no answer yet");
        }
    }
    err_set(text, count > 1 ? "no broker answers: %.*s" : "%.*s", (int)all.size, (char *)all.data);
    bytes_free(&all);
}

/* When the last address has failed, so has every request for any broker. */
static void check_round(struct cluster *c, enum err error)
{
    LIST_FOREACH(node, &c->links) {
        const struct cluster_link *link = CONTAINER_OF(node, struct cluster_link, node);
        if (link->state == LINK_READY || (is_candidate(link) && !link->tried)) {
            return;
        }
    }
    c->unreachable = true;
    struct err_text why;
    links_explain(c, &why);
    LIST_FOREACH(node, &c->waiting) {
        struct ask *ask = CONTAINER_OF(node, struct ask, node);
        if (ask->kind == CLUSTER_ANY) {
            ask_fail(ask, error, 0, why.text);
        }
    }
    LIST_FOREACH(node, &c->links) {
        CONTAINER_OF(node, struct cluster_link, node)->tried = false;
    }
}

/* The transport is closed or gone, the connection's requests have been told. */
static void link_down(struct cluster_link *link, bool was_ready, enum err error, const char *why,
                      int64_t now_ms)
{
    struct cluster *c = link->cluster;
    ASSERT(link->state == LINK_IDLE && link->conn == NULL && link->handle == NULL);
    client_err_of_peer(&link->why, link->name, why);
    link->suspect = true;
    link->backoff_ms = link->backoff_ms > 0 ? link->backoff_ms * 2 : c->options.backoff_ms;
    if (link->backoff_ms > c->options.backoff_limit_ms) {
        link->backoff_ms = c->options.backoff_limit_ms;
    }
    link->retry_ms = now_ms + link->backoff_ms;
    lookup_link_lost(link);
    LIST_FOREACH(node, &c->waiting) {
        struct ask *ask = CONTAINER_OF(node, struct ask, node);
        if (ask->link == link) {
            ask_fail(ask, error, 0, link->why.text);
        }
    }
    if (!was_ready) {
        link->tried = true;
        check_round(c, error);
    }
}

/* Takes the connection off the link, so that whoever is told meanwhile finds the link idle. */
static struct client_conn *link_detach(struct cluster_link *link)
{
    struct client_conn *conn = link->conn;
    ASSERT(conn != NULL && link->handle == NULL);
    link->conn = NULL;
    link->state = LINK_IDLE;
    return conn;
}

/* From our side: the connection broke, or took too long. */
static void link_break(struct cluster_link *link, enum err error, const char *why, int64_t now_ms)
{
    bool was_ready = link->state == LINK_READY;
    link_close(link);
    struct client_conn *conn = link_detach(link);
    client_conn_closed(conn, error, why);
    client_conn_free(conn);
    link_down(link, was_ready, error, why, now_ms);
}

void cluster_link_closed(struct cluster_link *link, enum err reason, const char *why,
                         int64_t now_ms)
{
    struct cluster *c = link->cluster;
    ASSERT(link->state != LINK_IDLE && why != NULL);
    link->handle = NULL;
    link_break(link, reason != ERR_NONE ? reason : ERR_CLOSED, why, now_ms);
    cluster_tick(c, now_ms);
}

void cluster_link_frame(struct cluster_link *link, struct buf *frame, int64_t now_ms)
{
    struct cluster *c = link->cluster;
    ASSERT(link->state == LINK_SHAKING || link->state == LINK_READY);
    struct err_text why;
    enum err e = client_conn_frame(link->conn, frame, now_ms, &why);
    if (e != ERR_NONE) {
        link_break(link, e, why.text, now_ms);
    }
    cluster_tick(c, now_ms);
}

/* ---- any broker ---------------------------------------------------------------------------- */

/* The one that owes the fewest answers, so that a broker that hangs is passed over from the second
 * request on. */
struct cluster_link *link_any_ready(struct cluster *c)
{
    struct cluster_link *best = NULL;
    LIST_FOREACH(node, &c->links) {
        struct cluster_link *link = CONTAINER_OF(node, struct cluster_link, node);
        if (link->state == LINK_READY && is_candidate(link) &&
            (best == NULL ||
             client_conn_outstanding(link->conn) < client_conn_outstanding(best->conn))) {
            best = link;
        }
    }
    return best;
}

void links_dial_any(struct cluster *c, int64_t now_ms)
{
    struct cluster_link *next = NULL;
    bool busy = false;
    LIST_FOREACH(node, &c->links) {
        struct cluster_link *link = CONTAINER_OF(node, struct cluster_link, node);
        busy = busy || link->state == LINK_DIALLING || link->state == LINK_SHAKING;
        if (next == NULL && is_candidate(link) && !link->tried && link->state == LINK_IDLE &&
            now_ms >= link->retry_ms) {
            next = link;
        }
    }
    if (next != NULL && (!busy || now_ms - c->any_dialled_ms >= CLUSTER_STAGGER_MS)) {
        c->any_dialled_ms = now_ms;
        link_dial(next, now_ms);
    }
}

/* ---- time ---------------------------------------------------------------------------------- */

/* Neither given nor in the table any more, and nobody uses it. */
static bool is_retired(const struct cluster_link *link)
{
    if (is_candidate(link) || (link->conn != NULL && client_conn_outstanding(link->conn) > 0)) {
        return false;
    }
    LIST_FOREACH(node, &link->cluster->waiting) {
        if (CONTAINER_OF(node, struct ask, node)->link == link) {
            return false;
        }
    }
    return true;
}

static void link_tick(struct cluster_link *link, int64_t now_ms)
{
    struct err_text why;
    if (link->state == LINK_DIALLING && now_ms >= link->deadline_ms) {
        err_set(&why, "%s: no connection within %" PRId64 " ms", link->name,
                link->cluster->options.connect_ms);
        link_break(link, ERR_TIMEOUT, why.text, now_ms);
    } else if (link->state == LINK_SHAKING || link->state == LINK_READY) {
        enum err e = client_conn_tick(link->conn, now_ms, &why);
        if (e != ERR_NONE) {
            link_break(link, e, why.text, now_ms);
        }
    }
}

void links_tick(struct cluster *c, int64_t now_ms)
{
    LIST_FOREACH(node, &c->links) {
        struct cluster_link *link = CONTAINER_OF(node, struct cluster_link, node);
        link_tick(link, now_ms);
        if (is_retired(link)) {
            link_free(link);
        }
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t links_next_deadline(const struct cluster *c)
{
    int64_t due = INT64_MAX;
    LIST_FOREACH(node, &c->links) {
        const struct cluster_link *link = CONTAINER_OF(node, struct cluster_link, node);
        if (link->state == LINK_DIALLING) {
            due = earlier(due, link->deadline_ms);
        } else if (link->state == LINK_IDLE) {
            bool may_dial = !list_empty(&c->waiting) && link->retry_ms > c->now_ms;
            due = may_dial ? earlier(due, link->retry_ms) : due;
        } else {
            due = earlier(due, client_conn_next_deadline(link->conn));
        }
    }
    int64_t stagger_ms = c->any_dialled_ms + CLUSTER_STAGGER_MS;
    return c->wants_any && stagger_ms > c->now_ms ? earlier(due, stagger_ms) : due;
}
