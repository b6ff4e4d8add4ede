/* Happy path: a request comes -> dial -> connected -> ApiVersions -> what waited is sent -> answers
 * come back through the connection's state machine. Failure modes: the dial or the connection fails
 * (everything is told with the reason, the next request dials after a pause); no version in common
 * (that request is told). A request that is cancelled keeps its place in the connection, but nobody
 * hears its answer. */
#include "broker/node/link.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

enum { LINK_HANDSHAKE_TIMEOUT_MS = 5000 };

struct link_request {
    struct list node; /* waiting or out */
    struct node_link *link;
    struct client_request asked;
    bool cancelled;
};

struct node_link {
    struct env *env;
    char *name;
    char *host;
    uint16_t port;
    const struct node_link_events *events;
    void *ctx;
    env_conn conn;
    bool dialled;
    bool connected;
    struct client_conn *client; /* while connected */
    struct list waiting;
    struct list out;
    struct env_timer timer; /* the client's deadlines, or the pause before the next dial */
    struct env_post post;   /* sends what waits, in a turn of its own */
    int64_t dial_not_before_ms;
};

static void arm(struct node_link *link);

static void tell(struct link_request *request, const struct client_answer *answer)
{
    list_remove(&request->node);
    if (!request->cancelled) {
        request->asked.done(request->asked.ctx, answer);
    }
    mem_free(request);
}

static void on_answer(void *ctx, const struct client_answer *answer)
{
    tell(ctx, answer);
}

static void tell_all(struct list *list, enum err error, const char *why)
{
    struct list told;
    list_init(&told);
    list_splice(&told, list);
    while (!list_empty(&told)) {
        struct client_answer answer = {.error = error, .why = why};
        tell(CONTAINER_OF(told.next, struct link_request, node), &answer);
    }
}

/* The connection is gone: forget it, tell everybody. */
static void fail(struct node_link *link, enum err error, const char *why)
{
    bool was_up = link->connected;
    struct client_conn *client = link->client;
    link->client = NULL;
    link->connected = false;
    link->dialled = false;
    link->conn = (env_conn){0, 0};
    link->dial_not_before_ms = env_now_ms(link->env) + LINK_BACKOFF_MS;
    if (client != NULL) {
        client_conn_closed(client, error, why); /* answers what is out, through on_answer */
        client_conn_free(client);
    }
    tell_all(&link->out, error, why);
    tell_all(&link->waiting, error, why);
    if (was_up && link->events != NULL && link->events->down != NULL) {
        link->events->down(link->ctx, error, why);
    }
    arm(link);
}

/* ---- what waits goes out ---- */

static void send_waiting(struct node_link *link)
{
    while (link->client != NULL && client_conn_ready(link->client) && !list_empty(&link->waiting)) {
        struct link_request *request = CONTAINER_OF(link->waiting.next, struct link_request, node);
        list_remove(&request->node);
        if (request->cancelled) {
            mem_free(request);
            continue;
        }
        list_push(&link->out, &request->node);
        struct client_request asked = request->asked;
        asked.done = on_answer;
        asked.ctx = request;
        struct err_text text = {""};
        enum err error = client_conn_send(link->client, &asked, env_now_ms(link->env), &text);
        if (error != ERR_NONE) {
            struct client_answer answer = {.error = error, .why = text.text};
            tell(request, &answer);
        }
    }
    arm(link);
}

static void on_client_send(void *ctx, struct buf *frame)
{
    struct node_link *link = ctx;
    struct env_piece piece = {.bytes = {.owner = frame, .data = frame->data, .size = frame->size}};
    env_send(link->env, link->conn, &piece, 1);
}

static void on_client_ready(void *ctx)
{
    struct node_link *link = ctx;
    env_post(link->env, &link->post); /* not from inside the client */
}

static const struct client_conn_events client_events = {.send = on_client_send,
                                                        .ready = on_client_ready};

/* ---- the transport ---- */

static void on_connected(void *ctx, env_conn conn)
{
    struct node_link *link = ctx;
    ASSERT(env_conn_equal(conn, link->conn) && link->client == NULL);
    link->connected = true;
    link->client = client_conn_new(link->name, "barnabasd", &client_events, link);
    client_conn_start(link->client, env_now_ms(link->env), LINK_HANDSHAKE_TIMEOUT_MS);
    arm(link);
}

static void on_frame(void *ctx, env_conn conn, struct buf *frame)
{
    struct node_link *link = ctx;
    (void)conn;
    struct err_text text = {""};
    enum err error = client_conn_frame(link->client, frame, env_now_ms(link->env), &text);
    if (error != ERR_NONE) {
        env_close(link->env, link->conn, false);
        fail(link, error, text.text);
        return;
    }
    send_waiting(link);
}

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    struct node_link *link = ctx;
    (void)conn;
    fail(link, reason, why);
}

static const struct env_conn_events conn_events = {
    .connected = on_connected, .frame = on_frame, .closed = on_closed};

static void dial(struct node_link *link)
{
    ASSERT(!link->dialled);
    link->dialled = true;
    link->conn =
        env_dial(link->env, link->host, link->port, LINK_MAX_FRAME_BYTES, &conn_events, link);
}

/* ---- time ---- */

static void arm(struct node_link *link)
{
    int64_t due = INT64_MAX;
    if (link->client != NULL) {
        due = client_conn_next_deadline(link->client);
    } else if (!link->dialled && !list_empty(&link->waiting)) {
        due = link->dial_not_before_ms;
    }
    if (due == INT64_MAX) {
        env_timer_cancel(link->env, &link->timer);
    } else {
        env_timer_set(link->env, &link->timer, due);
    }
}

static void on_timer(struct env_timer *timer)
{
    struct node_link *link = CONTAINER_OF(timer, struct node_link, timer);
    if (link->client != NULL) {
        struct err_text text = {""};
        enum err error = client_conn_tick(link->client, env_now_ms(link->env), &text);
        if (error != ERR_NONE) {
            env_close(link->env, link->conn, false);
            fail(link, error, text.text);
            return;
        }
    } else if (!link->dialled && !list_empty(&link->waiting)) {
        dial(link);
    }
    arm(link);
}

static void on_post(struct env_post *post)
{
    send_waiting(CONTAINER_OF(post, struct node_link, post));
}

/* ---- the owner's side ---- */

struct node_link *node_link_new(struct env *env, const char *name, const char *host, uint16_t port,
                                const struct node_link_events *events, void *ctx)
{
    struct node_link *link = mem_zalloc(sizeof *link);
    link->env = env;
    link->name = mem_strdup(name);
    link->host = mem_strdup(host);
    link->port = port;
    link->events = events;
    link->ctx = ctx;
    list_init(&link->waiting);
    list_init(&link->out);
    link->timer.fire = on_timer;
    env_post_init(&link->post, on_post);
    return link;
}

static void drop(struct list *list)
{
    struct list *node;
    while ((node = list_pop(list)) != NULL) {
        mem_free(CONTAINER_OF(node, struct link_request, node));
    }
}

void node_link_free(struct node_link *link)
{
    if (link == NULL) {
        return;
    }
    if (link->dialled) {
        env_close(link->env, link->conn, false);
    }
    client_conn_free(link->client);
    drop(&link->waiting);
    drop(&link->out);
    env_timer_cancel(link->env, &link->timer);
    env_post_cancel(link->env, &link->post);
    mem_free(link->host);
    mem_free(link->name);
    mem_free(link);
}

void node_link_send(struct node_link *link, const struct client_request *request)
{
    ASSERT(request->done != NULL && request->timeout_ms > 0);
    struct link_request *mine = mem_zalloc(sizeof *mine);
    mine->link = link;
    mine->asked = *request;
    list_push(&link->waiting, &mine->node);
    if (link->client != NULL && client_conn_ready(link->client)) {
        env_post(link->env, &link->post);
    } else {
        arm(link);
    }
}

static void cancel_in(struct list *list, const void *ctx)
{
    LIST_FOREACH(node, list) {
        struct link_request *request = CONTAINER_OF(node, struct link_request, node);
        if (request->asked.ctx == ctx) {
            request->cancelled = true;
        }
    }
}

void node_link_cancel(struct node_link *link, const void *ctx)
{
    cancel_in(&link->waiting, ctx);
    cancel_in(&link->out, ctx);
}

bool node_link_up(const struct node_link *link)
{
    return link->client != NULL && client_conn_ready(link->client);
}

uint32_t node_link_outstanding(const struct node_link *link)
{
    return node_link_up(link) ? client_conn_outstanding(link->client) : 0;
}
