/* One connection: its life and its input.
 *
 * Input: one readv fills the rest of the frame under way (its own buffer) and, behind it, the
 * shared scratch, so that small frames cost one call for many and large ones are copied once by the
 * kernel only. What cannot be handed over at once (paused, or more than the round's share of
 * frames) waits in `leftover` and comes before anything read later.
 *
 * An owner may close the connection inside any of its events: after each, state decides whether to
 * go on. The memory stays until the loop comes round (net.dead). */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/net/impl.h"

static void late(struct net_deadline *deadline);

struct net_conn *net_conn_new(struct net *net, uint32_t max_frame_bytes,
                              const struct net_conn_events *events, void *ctx)
{
    ASSERT(max_frame_bytes > 0 && events->frame != NULL && events->closed != NULL);
    struct net_conn *c = mem_zalloc(sizeof *c);
    c->net = net;
    c->events = events;
    c->ctx = ctx;
    c->state = NET_DIAL_START;
    c->deadline.fire = late;
    framer_init(&c->framer, max_frame_bytes);
    list_init(&c->ready);
    list_push(&net->conns, &c->node);
    return c;
}

void net_socket_options(int fd)
{
    int on = 1;
    int idle_s = 60;
    int every_s = 15;
    int probes = 4;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/* ---- ends ---- */

void net_conn_destroy(struct net_conn *c)
{
    ASSERT(c->state != NET_DEAD);
    c->state = NET_DEAD;
    list_remove(&c->ready);
    list_remove(&c->node);
    list_push(&c->net->dead, &c->node);
    net_deadline_clear(c->net, &c->deadline);
    net_dial_free(c);
    net_output_drop(c);
    framer_free(&c->framer);
    bytes_free(&c->leftover);
    if (c->socket != NULL) {
        net_socket_close(c->socket);
        c->socket = NULL;
    }
}

void net_conn_fail(struct net_conn *c, enum err reason, const char *why)
{
    ASSERT(reason != ERR_NONE);
    bool tell = !c->orphan;
    net_conn_destroy(c);
    if (tell) {
        c->events->closed(c->ctx, c, reason, why);
    }
}

static void fail_errno(struct net_conn *c, int errnum)
{
    enum err reason = err_from_errno(errnum);
    char why[128];
    snprintf(why, sizeof why, "connection lost: %s", strerror(errnum));
    net_conn_fail(c, reason, why);
}

/* Flushing or lingering took too long. */
static void late(struct net_deadline *deadline)
{
    struct net_conn *c = CONTAINER_OF(deadline, struct net_conn, deadline);
    if (c->state == NET_DIAL_OPEN) {
        net_dial_writable(c, UV_ETIMEDOUT);
        return;
    }
    ASSERT(c->orphan);
    net_conn_destroy(c);
}

void net_close(struct net_conn *c, bool flush_first)
{
    ASSERT(c->state != NET_DEAD && !c->orphan);
    if (!flush_first) {
        net_conn_destroy(c);
        return;
    }
    c->orphan = true;
    c->paused = false;
    bytes_free(&c->leftover);
    if (c->state == NET_OPEN) {
        net_deadline_set(c->net, &c->deadline, NET_FLUSH_MS);
        net_ready(c);
    }
}

/* ---- input ---- */

static bool reading(const struct net_conn *c)
{
    return c->state == NET_OPEN && !c->paused && !c->orphan && !c->input_ended;
}

static void deliver(struct net_conn *c, struct buf *frame, int *frames)
{
    *frames -= 1;
    c->events->frame(c->ctx, c, frame);
}

/* Frames `size` bytes as far as allowed; returns how many were used. */
static size_t push(struct net_conn *c, const uint8_t *data, size_t size, int *frames)
{
    size_t at = 0;
    while (at != size && *frames > 0 && reading(c)) {
        struct buf *frame = NULL;
        struct err_text text = {""};
        size_t used = 0;
        enum err e = framer_push(&c->framer, data + at, size - at, &used, &frame, &text);
        if (e != ERR_NONE) {
            net_conn_fail(c, e, text.text);
            return size;
        }
        ASSERT(used > 0 && used <= size - at);
        at += used;
        if (frame != NULL) {
            deliver(c, frame, frames);
        }
    }
    return at;
}

/* True when nothing is left over. */
static bool push_leftover(struct net_conn *c, int *frames)
{
    if (c->leftover.size == 0) {
        return true;
    }
    struct bytes left = c->leftover;
    c->leftover = (struct bytes){0};
    size_t used = push(c, left.data, left.size, frames);
    if (used < left.size && c->state == NET_OPEN && !c->orphan) {
        ASSERT(c->leftover.size == 0);
        memmove(left.data, left.data + used, left.size - used);
        left.size -= used;
        c->leftover = left;
        return false;
    }
    bytes_free(&left);
    return true;
}

/* Hands on what one readv brought: `body` bytes at the framer's place, `more` in the scratch. */
static void take(struct net_conn *c, size_t body, size_t more, int *frames)
{
    struct buf *frame = NULL;
    struct err_text text = {""};
    enum err e = framer_advance(&c->framer, body, &frame, &text);
    if (e != ERR_NONE) {
        net_conn_fail(c, e, text.text);
        return;
    }
    if (frame != NULL) {
        deliver(c, frame, frames);
    }
    size_t used = push(c, c->net->scratch, more, frames);
    if (used < more && c->state == NET_OPEN && !c->orphan) {
        bytes_append(&c->leftover, c->net->scratch + used, more - used);
    }
}

/* What the peer sends to a closing connection must be read, or it would never come to reading. */
static void discard(struct net_conn *c)
{
    size_t budget = NET_ROUND_IN_BYTES;
    while (budget >= NET_SCRATCH_BYTES) {
        ssize_t n = read(c->socket->fd, c->net->scratch, NET_SCRATCH_BYTES);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n <= 0) {
            c->input_ended = true;
            if (n < 0 || c->state == NET_LINGER) {
                net_conn_destroy(c);
                return;
            }
            break;
        }
        budget -= (size_t)n;
    }
    net_conn_watch(c);
}

static void input(struct net_conn *c)
{
    int frames = NET_ROUND_FRAMES;
    size_t budget = NET_ROUND_IN_BYTES;
    bool clear = push_leftover(c, &frames);
    while (clear && frames > 0 && budget > 0 && reading(c)) {
        uint8_t *at = NULL;
        size_t room = 0;
        framer_space(&c->framer, &at, &room);
        ASSERT(room > 0);
        size_t body = room < budget ? room : budget;
        struct iovec iov[2] = {{at, body}, {c->net->scratch, NET_SCRATCH_BYTES}};
        bool more = body == room;
        ssize_t n = readv(c->socket->fd, iov, more ? 2 : 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0) {
            fail_errno(c, errno);
            return;
        }
        if (n == 0) {
            net_conn_fail(c, ERR_CLOSED, "peer closed the connection");
            return;
        }
        size_t got = (size_t)n;
        take(c, got < body ? got : body, got > body ? got - body : 0, &frames);
        budget -= got < budget ? got : budget;
        /* Less than asked for: the socket is empty, and polling tells when it is not. */
        clear = got == body + (more ? NET_SCRATCH_BYTES : 0);
    }
    if (c->state == NET_DEAD) {
        return;
    }
    if (c->leftover.size > 0 && reading(c)) {
        net_ready(c);
    }
    net_conn_watch(c);
}

/* ---- the loop's side ---- */

/* libuv gave up polling because the socket has an error. What came before it is still read, unless
 * the owner does not want it; then its answers have nowhere to go either. */
static void broken(struct net_conn *c)
{
    c->socket->events = 0;
    if (reading(c)) {
        net_ready(c);
        return;
    }
    int errnum = 0;
    socklen_t size = sizeof errnum;
    getsockopt(c->socket->fd, SOL_SOCKET, SO_ERROR, &errnum, &size);
    fail_errno(c, errnum != 0 ? errnum : ECONNRESET);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct net_socket *s = poll->data;
    struct net_conn *c = s->owner;
    ASSERT(c != NULL && c->socket == s);
    if (c->state == NET_DIAL_OPEN) {
        net_dial_writable(c, 0);
        return;
    }
    if (status < 0) {
        broken(c);
        return;
    }
    if (events & UV_WRITABLE) {
        c->blocked = false;
        net_ready(c);
    }
    if (events & UV_READABLE) {
        if (c->orphan) {
            discard(c);
        } else {
            input(c);
        }
    }
}

void net_conn_watch(struct net_conn *c)
{
    ASSERT(c->state != NET_DEAD);
    if (c->socket == NULL) {
        return;
    }
    int events = 0;
    if (c->state == NET_DIAL_OPEN) {
        events = UV_WRITABLE;
    } else {
        bool wants = reading(c) || ((c->orphan || c->state == NET_LINGER) && !c->input_ended);
        events = (wants ? UV_READABLE : 0) | (c->blocked ? UV_WRITABLE : 0);
    }
    net_socket_poll(c->socket, events, on_socket);
}

void net_conn_opened(struct net_conn *c)
{
    ASSERT(c->socket != NULL);
    c->state = NET_OPEN;
    net_deadline_clear(c->net, &c->deadline);
    if (c->orphan) {
        net_deadline_set(c->net, &c->deadline, NET_FLUSH_MS);
    }
    net_conn_watch(c);
    net_ready(c);
    if (!c->orphan && c->events->connected != NULL) {
        c->events->connected(c->ctx, c);
    }
}

/* Everything is sent. Shutting down first and waiting for the peer's end keeps a reset (which the
 * peer's late bytes would cause) from destroying what it has not read yet. */
static void linger(struct net_conn *c)
{
    if (c->net->draining || c->input_ended || shutdown(c->socket->fd, SHUT_WR) != 0) {
        net_conn_destroy(c);
        return;
    }
    c->state = NET_LINGER;
    net_deadline_set(c->net, &c->deadline, NET_LINGER_MS);
    net_conn_watch(c);
}

void net_conn_run(struct net_conn *c)
{
    if (c->state == NET_DIAL_START) {
        net_dial_step(c);
        return;
    }
    if (c->state != NET_OPEN) {
        return;
    }
    if (c->out_count > 0 && !c->blocked) {
        net_output_flush(c);
    }
    if (c->state == NET_OPEN && c->orphan && c->out_count == 0) {
        linger(c);
        return;
    }
    if (c->state == NET_OPEN && reading(c) && (c->leftover.size > 0 || c->socket->events == 0)) {
        input(c);
    } else if (c->state == NET_OPEN) {
        net_conn_watch(c);
    }
}

void net_conn_pause(struct net_conn *c, bool paused)
{
    ASSERT(c->state != NET_DEAD && !c->orphan);
    if (c->paused == paused) {
        return;
    }
    c->paused = paused;
    if (c->state == NET_OPEN) {
        net_ready(c);
    }
}
