/* The network face of env over common/net: handles instead of pointers, and the clock brought up to
 * date before every event.
 *
 * A handle is a row of a table and the row's generation, which moves on when the connection ends. A
 * call with an old handle finds nothing and does nothing. */
#include <string.h>

#include "broker/os/impl.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

_Static_assert((int)NET_QUEUE_HIGH == (int)ENV_QUEUE_HIGH, "one meaning of a high queue");

enum { SEND_BATCH = 16 };

struct os_conn {
    struct os *os;
    struct net_conn *net;
    const struct env_conn_events *events;
    void *ctx;
    env_conn handle;
};

struct os_listener {
    struct os *os;
    struct env_listener *listener;
    struct net_listener *net;
};

/* ---- handles ---- */

static struct os_conn *slot_take(struct os *os)
{
    if (os->free_slot == 0) {
        ASSERT(os->slot_count < UINT32_MAX - 1);
        *MEM_PUSH(os->slots, os->slot_count, os->slot_capacity) = (struct os_slot){.generation = 1};
        os->free_slot = (uint32_t)os->slot_count;
    }
    uint32_t index = os->free_slot - 1;
    struct os_slot *slot = &os->slots[index];
    ASSERT(slot->conn == NULL && slot->generation != 0);
    os->free_slot = slot->next_free;
    slot->next_free = 0;
    slot->conn = mem_zalloc(sizeof *slot->conn);
    slot->conn->os = os;
    slot->conn->handle = (env_conn){.index = index, .generation = slot->generation};
    return slot->conn;
}

static void slot_give(struct os *os, struct os_conn *conn)
{
    struct os_slot *slot = &os->slots[conn->handle.index];
    ASSERT(slot->conn == conn && slot->generation == conn->handle.generation);
    slot->conn = NULL;
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = os->free_slot;
    os->free_slot = conn->handle.index + 1;
    mem_free(conn);
}

/* NULL for a handle that is no more, or is none. */
static struct os_conn *find(const struct os *os, env_conn handle)
{
    if (handle.index >= os->slot_count) {
        return NULL;
    }
    const struct os_slot *slot = &os->slots[handle.index];
    return slot->generation == handle.generation ? slot->conn : NULL;
}

void os_conns_forget(struct os *os)
{
    for (size_t i = 0; i < os->slot_count; i++) {
        if (os->slots[i].conn != NULL) {
            slot_give(os, os->slots[i].conn);
        }
    }
}

/* ---- events ---- */

/* While stopping there are no more turns; the connections go at the end of the round. */

static void on_connected(void *ctx, struct net_conn *net)
{
    struct os_conn *conn = ctx;
    ASSERT(conn->net == net);
    os_turn(conn->os);
    if (conn->events->connected != NULL && !conn->os->stopping) {
        conn->events->connected(conn->ctx, conn->handle);
    }
}

static void on_frame(void *ctx, struct net_conn *net, struct buf *frame)
{
    struct os_conn *conn = ctx;
    ASSERT(conn->net == net);
    if (conn->os->stopping) {
        buf_unref(frame);
        return;
    }
    os_turn(conn->os);
    conn->events->frame(conn->ctx, conn->handle, frame);
}

static void on_drained(void *ctx, struct net_conn *net)
{
    struct os_conn *conn = ctx;
    ASSERT(conn->net == net);
    os_turn(conn->os);
    if (conn->events->drained != NULL && !conn->os->stopping) {
        conn->events->drained(conn->ctx, conn->handle);
    }
}

static void on_closed(void *ctx, struct net_conn *net, enum err reason, const char *why)
{
    struct os_conn gone = *(struct os_conn *)ctx;
    ASSERT(gone.net == net);
    slot_give(gone.os, ctx);
    if (!gone.os->stopping) {
        os_turn(gone.os);
        gone.events->closed(gone.ctx, gone.handle, reason, why);
    }
}

static const struct net_conn_events events_up = {
    .connected = on_connected, .frame = on_frame, .drained = on_drained, .closed = on_closed};

/* ---- listening ---- */

static void *on_accepted(void *ctx, struct net_conn *net, const struct net_peer *peer)
{
    const struct os_listener *l = ctx;
    const struct env_listener *listener = l->listener;
    if (l->os->stopping) {
        net_close(net, false);
        return NULL;
    }
    struct os_conn *conn = slot_take(l->os);
    env_conn handle = conn->handle;
    conn->net = net;
    conn->events = listener->events;
    struct env_peer from = {.port = peer->port};
    _Static_assert(sizeof from.host == sizeof peer->host, "one size of a numeric address");
    memcpy(from.host, peer->host, sizeof from.host);
    os_turn(l->os);
    struct os *os = l->os; /* the listener may go in the call */
    void *owner = listener->accepted(listener->listener_ctx, handle, &from);
    if (find(os, handle) == NULL) {
        return NULL; /* closed in the call */
    }
    conn->ctx = owner;
    return conn;
}

enum err os_listen(struct env *env, struct env_listener *listener, const char *host, uint16_t port,
                   struct err_text *text)
{
    struct os *os = (struct os *)env;
    if (os->stopping) {
        err_set(text, "listen on %s:%u: the process is stopping", host, (unsigned)port);
        return ERR_CANCELLED;
    }
    struct os_listener *l = mem_zalloc(sizeof *l);
    l->os = os;
    l->listener = listener;
    struct net_service service = {.events = &events_up,
                                  .max_frame_bytes = listener->max_frame_bytes,
                                  .accepted = on_accepted,
                                  .ctx = l};
    enum err e = net_listen(os->net, host, port, &service, &l->net, text);
    if (e != ERR_NONE) {
        mem_free(l);
        return e;
    }
    listener->bound_port = net_listener_port(l->net);
    listener->impl = l;
    return ERR_NONE;
}

void os_unlisten(struct env *env, struct env_listener *listener)
{
    (void)env;
    struct os_listener *l = listener->impl;
    if (l == NULL) {
        return;
    }
    ASSERT(l->listener == listener);
    net_unlisten(l->net);
    mem_free(l);
    listener->impl = NULL;
}

/* ---- connections ---- */

env_conn os_dial(struct env *env, const char *host, uint16_t port, uint32_t max_frame_bytes,
                 const struct env_conn_events *events, void *ctx)
{
    struct os *os = (struct os *)env;
    if (os->stopping) {
        return (env_conn){0, 0};
    }
    struct os_conn *conn = slot_take(os);
    conn->events = events;
    conn->ctx = ctx;
    conn->net = net_dial(os->net, host, port, max_frame_bytes, &events_up, conn);
    return conn->handle;
}

static void file_release(void *owner)
{
    env_file_unref(owner);
}

static struct net_piece translate(const struct env_piece *p)
{
    if (p->file == NULL) {
        return (struct net_piece){.bytes = p->bytes, .fd = -1};
    }
    return (struct net_piece){.fd = os_file_fd(p->file),
                              .size = p->size,
                              .at = p->at,
                              .release = file_release,
                              .owner = p->file};
}

void os_send(struct env *env, env_conn handle, const struct env_piece *pieces, int count)
{
    struct os *os = (struct os *)env;
    const struct os_conn *conn = find(os, handle);
    if (conn == NULL) {
        for (int i = 0; i < count; i++) {
            if (pieces[i].file != NULL) {
                env_file_unref(pieces[i].file);
            } else {
                slice_unref(pieces[i].bytes);
            }
        }
        return;
    }
    int i = 0;
    while (i < count) {
        struct net_piece batch[SEND_BATCH];
        int n = 0;
        for (; i < count && n < SEND_BATCH; i++) {
            batch[n++] = translate(&pieces[i]);
        }
        net_send(conn->net, batch, n);
    }
}

size_t os_conn_queued(const struct env *env, env_conn handle)
{
    const struct os_conn *conn = find((const struct os *)env, handle);
    return conn != NULL ? net_conn_queued(conn->net) : 0;
}

void os_conn_pause(struct env *env, env_conn handle, bool paused)
{
    const struct os_conn *conn = find((const struct os *)env, handle);
    if (conn != NULL) {
        net_conn_pause(conn->net, paused);
    }
}

void os_close(struct env *env, env_conn handle, bool flush_first)
{
    struct os *os = (struct os *)env;
    struct os_conn *conn = find(os, handle);
    if (conn == NULL) {
        return;
    }
    struct net_conn *net = conn->net;
    slot_give(os, conn);
    net_close(net, flush_first);
}
