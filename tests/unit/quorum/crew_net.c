/* The listener of a mate: what a node does with frames, in small. */
#include "tests/unit/quorum/crew_net.h"

struct reply {
    struct list node; /* conn->replies, in the order asked */
    struct conn *conn;
    struct quorum_call call;
    struct wire_request_header header;
    struct arena arena;
    struct buf *frame;
    bool ready;
    struct bytes out;
};

struct conn {
    struct list node; /* mate->conns */
    struct mate *mate;
    env_conn handle;
    struct list replies;
};

static void reply_free(struct reply *reply)
{
    list_remove(&reply->node);
    arena_free(&reply->arena);
    buf_unref(reply->frame);
    buf_unref(reply->call.records);
    bytes_free(&reply->out);
    mem_free(reply);
}

static void conn_free(struct conn *conn, bool cancel)
{
    LIST_FOREACH(node, &conn->replies) {
        struct reply *reply = CONTAINER_OF(node, struct reply, node);
        if (cancel && !reply->ready) {
            quorum_cancel(conn->mate->quorum, &reply->call);
        }
        reply_free(reply);
    }
    list_remove(&conn->node);
    mem_free(conn);
}

static void flush(struct conn *conn)
{
    while (!list_empty(&conn->replies)) {
        struct reply *reply = CONTAINER_OF(conn->replies.next, struct reply, node);
        if (!reply->ready) {
            return;
        }
        struct buf *buf = buf_copy(reply->out.data, reply->out.size);
        struct env_piece piece = {.bytes = {.owner = buf, .data = buf->data, .size = buf->size}};
        env_send(conn->mate->env, conn->handle, &piece, 1);
        reply_free(reply);
    }
}

static void encode(struct reply *reply)
{
    const struct wire_api *api = wire_api_of(reply->header.api_key);
    struct wire_out out = {0};
    wire_put_i32(&out, 0);
    wire_put_response_header(&out, reply->header.api_key, reply->header.api_version,
                             reply->header.correlation_id);
    assert_int_equal(
        wire_encode(api->response, reply->header.api_version, reply->call.response, &out),
        ERR_NONE);
    wire_patch_i32(&out, 0, (int32_t)out.bytes.size - 4);
    reply->out = out.bytes;
    out.bytes = (struct bytes){0};
    wire_out_free(&out);
    reply->ready = true;
    flush(reply->conn);
}

static void call_done(struct quorum_call *call)
{
    encode(CONTAINER_OF(call, struct reply, call));
}

static void answer_versions(struct reply *reply)
{
    static const int16_t keys[][3] = {{1, 4, 18}, {18, 0, 4}, {52, 0, 2},
                                      {53, 0, 1}, {54, 0, 1}, {59, 0, 1}};
    struct api_versions_response *response = reply->call.response;
    enum { KEYS = sizeof keys / sizeof keys[0] };
    wire_defaults(&wire_api_versions_response, response);
    response->api_keys.items = arena_array(&reply->arena, KEYS, sizeof *response->api_keys.items);
    response->api_keys.count = KEYS;
    for (int i = 0; i < KEYS; i++) {
        response->api_keys.items[i].api_key = keys[i][0];
        response->api_keys.items[i].min_version = keys[i][1];
        response->api_keys.items[i].max_version = keys[i][2];
    }
    encode(reply);
}

static void on_frame(void *ctx, env_conn handle, struct buf *frame)
{
    struct conn *conn = ctx;
    (void)handle;
    struct reply *reply = mem_zalloc(sizeof *reply);
    reply->conn = conn;
    reply->frame = frame;
    list_push(&conn->replies, &reply->node);
    struct wire_in in = wire_in_of(frame->data, frame->size);
    assert_int_equal(wire_get_request_header(&in, &reply->header), ERR_NONE);
    const struct wire_api *api = wire_api_of(reply->header.api_key);
    void *request = arena_alloc(&reply->arena, wire_message_size(api->request));
    assert_int_equal(
        wire_decode(api->request, reply->header.api_version, &in, request, &reply->arena),
        ERR_NONE);
    assert_int_equal(wire_in_left(&in), 0);
    reply->call = (struct quorum_call){
        .api_key = reply->header.api_key,
        .version = reply->header.api_version,
        .request = request,
        .response = arena_alloc(&reply->arena, wire_message_size(api->response)),
        .arena = &reply->arena,
        .done = call_done,
    };
    if (reply->header.api_key == 18) {
        answer_versions(reply);
    } else {
        quorum_submit(conn->mate->quorum, &reply->call);
    }
}

static void on_closed(void *ctx, env_conn handle, enum err reason, const char *why)
{
    (void)handle;
    (void)reason;
    (void)why;
    conn_free(ctx, true);
}

static const struct env_conn_events conn_events = {.frame = on_frame, .closed = on_closed};

static void *accepted(void *ctx, env_conn handle, const struct env_peer *peer)
{
    (void)peer;
    struct conn *conn = mem_zalloc(sizeof *conn);
    conn->mate = ctx;
    conn->handle = handle;
    list_init(&conn->replies);
    list_push(&conn->mate->conns, &conn->node);
    return conn;
}

void mate_listen(struct mate *mate)
{
    mate->listener = (struct env_listener){.events = &conn_events,
                                           .max_frame_bytes = 64 << 20,
                                           .accepted = accepted,
                                           .listener_ctx = mate};
    struct err_text text;
    assert_int_equal(env_listen(mate->env, &mate->listener, "", CREW_PORT, &text), ERR_NONE);
}

void mate_hang_up(struct mate *mate, bool crashed)
{
    LIST_FOREACH(node, &mate->conns) {
        struct conn *conn = CONTAINER_OF(node, struct conn, node);
        if (!crashed) {
            env_close(mate->env, conn->handle, true);
        }
        conn_free(conn, false);
    }
    if (!crashed) {
        env_unlisten(mate->env, &mate->listener);
    }
}
