/* The wires between the rooms: calls out, connections in. A frame is key, version, correlation id
 * and body one way, correlation id and body the other. */
#include "common/base/arena.h"
#include "tests/unit/replica/cluster.h"

enum { FRAME_MAX = 64 << 20 };

struct sent {
    struct list node; /* in link.calls */
    struct link *link;
    struct replica_call *call; /* NULL once cancelled */
    struct buf *frame;         /* NULL once sent */
    int32_t correlation;
    int16_t version;
    int16_t api_key;
    struct env_timer timer;
};

struct served {
    struct list node;
    struct node *owner;
    env_conn conn;
    struct list parked;
};

static void send_frame(struct env *env, env_conn conn, struct wire_out *out)
{
    wire_patch_i32(out, 0, (int32_t)out->bytes.size - 4);
    struct buf *buf = buf_copy(out->bytes.data, out->bytes.size);
    struct env_piece piece = {.bytes = slice_of(buf, 0, buf->size)};
    buf_unref(buf);
    wire_out_free(out);
    env_send(env, conn, &piece, 1);
}

/* ---- calls out ---- */

static void sent_free(struct sent *sent)
{
    env_timer_cancel(sent->link->node->env, &sent->timer);
    list_remove(&sent->node);
    buf_unref(sent->frame);
    mem_free(sent);
}

static void finish(struct sent *sent, const struct replica_answer *answer)
{
    struct replica_call *call = sent->call;
    sent_free(sent);
    if (call != NULL) {
        call->link = NULL;
        call->done(call, answer);
    }
}

static void fail_all(struct link *link, enum err error, const char *why)
{
    struct list failed;
    list_init(&failed);
    list_splice(&failed, &link->calls);
    link->dialled = false;
    link->connected = false;
    while (!list_empty(&failed)) {
        struct replica_answer answer = {.error = error, .why = why};
        finish(CONTAINER_OF(failed.next, struct sent, node), &answer);
    }
}

static void push_out(struct link *link)
{
    LIST_FOREACH(node, &link->calls) {
        struct sent *sent = CONTAINER_OF(node, struct sent, node);
        if (sent->frame != NULL) {
            struct env_piece piece = {.bytes = slice_of(sent->frame, 0, sent->frame->size)};
            buf_unref(sent->frame);
            sent->frame = NULL;
            env_send(link->node->env, link->conn, &piece, 1);
        }
    }
}

static void on_connected(void *ctx, env_conn conn)
{
    struct link *link = ctx;
    (void)conn;
    link->connected = true;
    push_out(link);
}

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    (void)conn;
    fail_all(ctx, reason, why);
}

static void on_answer(void *ctx, env_conn conn, struct buf *frame)
{
    struct link *link = ctx;
    struct arena arena = {0};
    struct wire_in in = wire_in_of(frame->data, frame->size);
    int32_t correlation = wire_get_i32(&in);
    (void)conn;
    LIST_FOREACH(node, &link->calls) {
        struct sent *sent = CONTAINER_OF(node, struct sent, node);
        if (sent->correlation != correlation) {
            continue;
        }
        const struct wire_api *api = wire_api_of(sent->api_key);
        void *response = arena_alloc(&arena, wire_message_size(api->response));
        assert_int_equal(wire_decode(api->response, sent->version, &in, response, &arena),
                         ERR_NONE);
        struct replica_answer answer = {
            .why = "", .version = sent->version, .response = response, .frame = frame};
        finish(sent, &answer);
        cluster_check_node(link->node);
        break;
    }
    arena_free(&arena);
    buf_unref(frame);
}

static void on_timeout(struct env_timer *timer)
{
    struct link *link = CONTAINER_OF(timer, struct sent, timer)->link;
    env_close(link->node->env, link->conn, false);
    fail_all(link, ERR_TIMEOUT, "no answer in time");
}

static const struct env_conn_events out_events = {
    .connected = on_connected, .frame = on_answer, .closed = on_closed};

/* Nobody waits behind a call that was cancelled: the connection goes. */
static void unblock(struct link *link)
{
    bool blocked = !list_empty(&link->calls);
    LIST_FOREACH(node, &link->calls) {
        blocked = blocked && CONTAINER_OF(node, struct sent, node)->call == NULL;
    }
    if (blocked) {
        env_close(link->node->env, link->conn, false);
        fail_all(link, ERR_CANCELLED, "cancelled");
    }
}

static void links_send(void *ctx, struct replica_call *call)
{
    struct node *node = ctx;
    int32_t peer = call->broker_id == REPLICA_CONTROLLER ? 0 : call->broker_id;
    assert_in_range(peer, 0, BROKERS);
    assert_int_not_equal(peer, node->id);
    struct link *link = &node->links[peer][call->channel];
    unblock(link);
    struct sent *sent = mem_zalloc(sizeof *sent);
    const struct wire_api *api = wire_api_of(call->api_key);
    struct wire_out out = {0};
    sent->link = link;
    sent->call = call;
    sent->correlation = ++node->next_correlation;
    sent->version = call->max_version;
    sent->api_key = call->api_key;
    call->link = sent;
    wire_put_i32(&out, 0);
    wire_put_i16(&out, call->api_key);
    wire_put_i16(&out, call->max_version);
    wire_put_i32(&out, sent->correlation);
    assert_int_equal(wire_encode(api->request, call->max_version, call->request, &out), ERR_NONE);
    wire_patch_i32(&out, 0, (int32_t)out.bytes.size - 4);
    sent->frame = buf_copy(out.bytes.data, out.bytes.size);
    wire_out_free(&out);
    list_push(&link->calls, &sent->node);
    sent->timer.fire = on_timeout;
    env_timer_set(node->env, &sent->timer, env_now_ms(node->env) + call->timeout_ms);
    if (!link->dialled) {
        link->dialled = true;
        link->conn = env_dial(node->env, sim_node_name(node->cluster->nodes[peer].sim), BROKER_PORT,
                              FRAME_MAX, &out_events, link);
    } else if (link->connected) {
        push_out(link);
    }
}

static void links_cancel(void *ctx, struct replica_call *call)
{
    struct sent *sent = call->link;
    (void)ctx;
    assert_ptr_equal(sent->call, call);
    sent->call = NULL;
    call->link = NULL;
}

struct replica_links *cluster_links(struct node *node)
{
    struct replica_links *links = mem_zalloc(sizeof *links);
    *links = (struct replica_links){.send = links_send, .cancel = links_cancel, .ctx = node};
    return links;
}

void cluster_wire_init(struct node *node)
{
    for (int32_t peer = 0; peer <= BROKERS; peer++) {
        for (int channel = 0; channel < REPLICA_CHANNELS; channel++) {
            struct link *link = &node->links[peer][channel];
            *link = (struct link){.node = node, .peer = peer};
            list_init(&link->calls);
        }
    }
    list_init(&node->served);
}

/* ---- connections in ---- */

static void on_request(void *ctx, env_conn conn, struct buf *frame)
{
    struct served *served = ctx;
    struct wire_in in = wire_in_of(frame->data, frame->size);
    (void)conn;
    int16_t api_key = wire_get_i16(&in);
    int16_t version = wire_get_i16(&in);
    int32_t correlation = wire_get_i32(&in);
    cluster_request(served, api_key, version, correlation, frame, 8, &served->parked);
}

static void served_free(struct served *served)
{
    cluster_parked_drop(&served->parked);
    list_remove(&served->node);
    mem_free(served);
}

static void on_gone(void *ctx, env_conn conn, enum err reason, const char *why)
{
    (void)conn;
    (void)reason;
    (void)why;
    served_free(ctx);
}

static void *on_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    struct node *node = ctx;
    struct served *served = mem_zalloc(sizeof *served);
    (void)peer;
    served->owner = node;
    served->conn = conn;
    list_init(&served->parked);
    list_push(&node->served, &served->node);
    return served;
}

static const struct env_conn_events in_events = {.frame = on_request, .closed = on_gone};

void cluster_serve(struct node *node)
{
    struct err_text text;
    node->listener = (struct env_listener){.events = &in_events,
                                           .max_frame_bytes = FRAME_MAX,
                                           .accepted = on_accepted,
                                           .listener_ctx = node};
    assert_int_equal(env_listen(node->env, &node->listener, "", BROKER_PORT, &text), ERR_NONE);
}

void cluster_answer(struct served *served, int32_t correlation, int16_t api_key, int16_t version,
                    const void *response)
{
    struct wire_out out = {0};
    wire_put_i32(&out, 0);
    wire_put_i32(&out, correlation);
    assert_int_equal(wire_encode(wire_api_of(api_key)->response, version, response, &out),
                     ERR_NONE);
    send_frame(served->owner->env, served->conn, &out);
}

struct node *cluster_served_node(struct served *served)
{
    return served->owner;
}

void cluster_wire_drop_served(struct node *node)
{
    while (!list_empty(&node->served)) {
        served_free(CONTAINER_OF(node->served.next, struct served, node));
    }
}

void cluster_wire_drop(struct node *node)
{
    for (int32_t peer = 0; peer <= BROKERS; peer++) {
        for (int channel = 0; channel < REPLICA_CHANNELS; channel++) {
            struct link *link = &node->links[peer][channel];
            while (!list_empty(&link->calls)) {
                sent_free(CONTAINER_OF(link->calls.next, struct sent, node));
            }
            link->dialled = false;
            link->connected = false;
        }
    }
}
