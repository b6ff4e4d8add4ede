/* Connections: frames in, requests to handlers, answers out in order.
 *
 * Happy path: a frame -> header -> the API's row -> body decoded into the request's arena ->
 * handler -> request_respond encodes it -> it leaves when every earlier request of the connection
 * has been answered. Failure modes: a frame that does not decode, an API that is not served here or
 * a version out of range closes the connection with one trace line naming peer and reason
 * (ApiVersions alone answers an unknown version: KIP-511). At most CONN_REQUESTS_MAX unanswered
 * requests and CONN_INPUT_MAX bytes of them per connection, then reading stops; likewise while more
 * than CONN_OUTPUT_MAX bytes wait for the peer. */
#include "broker/node/node_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { CONN_REQUESTS_MAX = 64, CONN_INPUT_MAX = 128 << 20, CONN_OUTPUT_MAX = 16 << 20 };

static void conn_free(struct conn *conn);

static void say_closed(const struct conn *conn, const char *why)
{
    trace_info(env_trace(conn->broker->env), "connection from %s:%u closed: %s", conn->peer.host,
               conn->peer.port, why);
}

/* Ends every request; the handlers of parked ones withdraw first. */
static void drop_requests(struct conn *conn)
{
    struct list *node;
    while ((node = list_pop(&conn->requests)) != NULL) {
        struct request *request = CONTAINER_OF(node, struct request, node);
        if (!request->answered) {
            ASSERT(request->cancel != NULL || request == conn->handling);
            if (request->cancel != NULL) {
                request->cancel(request);
            }
        }
        if (request == conn->handling) {
            conn->handling = NULL;
        }
        request_free(request);
    }
    conn->request_count = 0;
    conn->request_bytes = 0;
}

static void conn_close(struct conn *conn, const char *why)
{
    if (conn->closed) {
        return;
    }
    say_closed(conn, why);
    conn->closed = true;
    env_close(conn->broker->env, conn->id, false);
    drop_requests(conn);
    if (conn->depth == 0) {
        conn_free(conn);
    }
}

static void update_pause(struct conn *conn)
{
    /* Voters must be heard while this broker cannot serve clients yet. */
    bool early = !conn->broker->serving && conn->listener->kind == API_BROKER;
    bool pause = early || conn->request_count >= CONN_REQUESTS_MAX ||
                 conn->request_bytes >= CONN_INPUT_MAX ||
                 env_conn_queued(conn->broker->env, conn->id) > CONN_OUTPUT_MAX;
    if (pause != conn->paused) {
        conn->paused = pause;
        env_conn_pause(conn->broker->env, conn->id, pause);
    }
}

/* Sends the answers at the head of the order. */
static void flush_answers(struct conn *conn)
{
    while (!list_empty(&conn->requests)) {
        struct request *request = CONTAINER_OF(conn->requests.next, struct request, node);
        if (!request->answered) {
            break;
        }
        list_remove(&request->node);
        conn->request_count--;
        conn->request_bytes -= request->frame->size;
        if (request->piece_count > 0) {
            env_send(conn->broker->env, conn->id, request->pieces, request->piece_count);
            request->piece_count = 0; /* the references went with it */
        }
        request_free(request);
    }
    update_pause(conn);
}

/* What api/request.c tells of an encoded answer. */
void node_answered(void *ctx, struct request *request)
{
    (void)ctx;
    flush_answers(request->conn);
}

void node_drop_connection(void *ctx, struct request *request, const char *why)
{
    (void)ctx;
    conn_close(request->conn, why);
}

/* ---- frames in ---- */

static struct request *request_new(struct conn *conn, struct buf *frame)
{
    struct request *request = mem_zalloc(sizeof *request);
    request->api = &conn->broker->api;
    request->listener = conn->listener->kind;
    request->listener_name = conn->listener->name;
    request->peer = conn->peer;
    request->frame = frame;
    request->arrived_ms = env_now_ms(conn->broker->env);
    request->conn = conn;
    list_init(&request->node);
    return request;
}

/* Decodes header and body. Returns NULL, or why the connection must close. */
static const char *parse(struct conn *conn, struct request *request, char *why, size_t why_size)
{
    struct wire_in in = wire_in_of(request->frame->data, request->frame->size);
    enum err error = wire_get_request_header(&in, &request->header);
    int16_t key = request->header.api_key;
    int16_t version = request->header.api_version;
    request->row = api_row_of(key);
    if (error != ERR_NONE && !(error == ERR_UNSUPPORTED && key == WIRE_API_VERSIONS)) {
        snprintf(why, why_size, "request header of API key %d version %d: %s", key, version,
                 err_name(error));
        return why;
    }
    if (request->row == NULL || !(request->row->listeners & (int)conn->listener->kind)) {
        snprintf(why, why_size, "API key %d is not served on listener %s", key,
                 conn->listener->name);
        return why;
    }
    const struct wire_api *api = wire_api_of(key);
    request->encode_version = version;
    request->body = arena_alloc(&request->arena, wire_message_size(api->request));
    if (version < wire_message_min(api->request) || version > wire_message_max(api->request)) {
        if (key != WIRE_API_VERSIONS) {
            snprintf(why, why_size, "%s version %d is not supported (%d to %d are)", api->name,
                     version, wire_message_min(api->request), wire_message_max(api->request));
            return why;
        }
        request->unsupported_version = true; /* KIP-511: answered in version 0 */
        request->encode_version = 0;
        wire_defaults(api->request, request->body);
        return NULL;
    }
    error = wire_decode(api->request, version, &in, request->body, &request->arena);
    if (error != ERR_NONE) {
        snprintf(why, why_size, "%s request version %d does not decode: %s", api->name, version,
                 err_name(error));
        return why;
    }
    return NULL;
}

/* A broker that we can hear no more may have died: vigil.c */
static void note_heartbeat(struct conn *conn, const struct request *request)
{
    if (request->header.api_key == WIRE_BROKER_HEARTBEAT &&
        conn->listener->kind == API_CONTROLLER) {
        const struct broker_heartbeat_request *heartbeat = request->body;
        conn->heartbeat_of = heartbeat->broker_id;
        conn->heartbeat_epoch = heartbeat->broker_epoch;
    }
}

static void on_frame(void *ctx, env_conn id, struct buf *frame)
{
    struct conn *conn = ctx;
    ASSERT(env_conn_equal(conn->id, id));
    struct request *request = request_new(conn, frame);
    char why[200];
    conn->depth++;
    if (parse(conn, request, why, sizeof why) != NULL) {
        request_free(request);
        conn_close(conn, why);
    } else {
        list_push(&conn->requests, &request->node);
        conn->request_count++;
        conn->request_bytes += frame->size;
        conn->handling = request;
        note_heartbeat(conn, request);
        request->row->handle(request);
        conn->handling = NULL;
    }
    conn->depth--;
    if (conn->closed) {
        if (conn->depth == 0) {
            conn_free(conn);
        }
        return;
    }
    update_pause(conn);
}

static void on_drained(void *ctx, env_conn id)
{
    (void)id;
    update_pause(ctx);
}

static void on_closed(void *ctx, env_conn id, enum err reason, const char *why)
{
    struct conn *conn = ctx;
    (void)id;
    conn->closed = true;
    if (reason != ERR_CLOSED) {
        say_closed(conn, why);
    }
    drop_requests(conn);
    if (conn->heartbeat_of >= 0) {
        node_vigil_connection_lost(conn->broker, conn->heartbeat_of, conn->heartbeat_epoch);
    }
    conn_free(conn);
}

static const struct env_conn_events conn_events = {
    .frame = on_frame, .drained = on_drained, .closed = on_closed};

static void *on_accepted(void *listener_ctx, env_conn id, const struct env_peer *peer)
{
    struct node_listener *listener = listener_ctx;
    struct conn *conn = mem_zalloc(sizeof *conn);
    conn->broker = listener->broker;
    conn->listener = listener;
    conn->id = id;
    conn->peer = *peer;
    conn->heartbeat_of = -1;
    list_init(&conn->requests);
    list_push(&listener->broker->conns, &conn->node);
    update_pause(conn);
    return conn;
}

static void conn_free(struct conn *conn)
{
    ASSERT(list_empty(&conn->requests) && conn->depth == 0);
    list_remove(&conn->node);
    mem_free(conn);
}

enum err node_listen(struct node_listener *listener, uint32_t max_frame_bytes,
                     struct err_text *text)
{
    listener->env.events = &conn_events;
    listener->env.accepted = on_accepted;
    listener->env.listener_ctx = listener;
    listener->env.max_frame_bytes = max_frame_bytes;
    return env_listen(listener->broker->env, &listener->env, listener->host, listener->port, text);
}

void node_conns_serve(struct broker *broker)
{
    broker->serving = true;
    LIST_FOREACH(node, &broker->conns) {
        update_pause(CONTAINER_OF(node, struct conn, node));
    }
}

void node_conns_close(struct broker *broker)
{
    LIST_FOREACH(node, &broker->conns) {
        struct conn *conn = CONTAINER_OF(node, struct conn, node);
        ASSERT(conn->depth == 0);
        conn->closed = true;
        drop_requests(conn);
        env_close(broker->env, conn->id, true);
        conn_free(conn);
    }
}

void node_conns_free(struct broker *broker)
{
    LIST_FOREACH(node, &broker->conns) {
        struct conn *conn = CONTAINER_OF(node, struct conn, node);
        conn->closed = true;
        drop_requests(conn);
        conn_free(conn);
    }
    fetch_sessions_free(broker->api.fetch_sessions); /* which outlive their connections */
    broker->api.fetch_sessions = NULL;
}
