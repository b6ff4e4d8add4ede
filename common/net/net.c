#include "common/net/net.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/net/impl.h"

/* ---- the ready list ---- */

/* Its being active is all that is wanted of it. */
static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

void net_ready(struct net_conn *c)
{
    struct net *net = c->net;
    ASSERT(c->state != NET_DEAD);
    if (list_empty(&c->ready)) {
        list_push(&net->ready, &c->ready);
    }
    uv_idle_start(&net->idle, on_idle);
}

static void free_dead(struct net *net)
{
    struct list *node;
    while ((node = list_pop(&net->dead)) != NULL) {
        struct net_conn *c = CONTAINER_OF(node, struct net_conn, node);
        ASSERT(c->state == NET_DEAD && c->socket == NULL);
        mem_free(c);
    }
}

/* Runs what was ready when it began; what becomes ready meanwhile has its turn after the next poll.
 */
static void on_prepare(uv_prepare_t *prepare)
{
    struct net *net = prepare->data;
    free_dead(net);
    struct list now;
    list_init(&now);
    list_splice(&now, &net->ready);
    struct list *node;
    while ((node = list_pop(&now)) != NULL) {
        net_conn_run(CONTAINER_OF(node, struct net_conn, ready));
    }
    if (list_empty(&net->ready)) {
        uv_idle_stop(&net->idle);
    }
}

/* ---- deadlines: one uv_timer for the earliest ---- */

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct net *net)
{
    const struct heap_node *first = heap_first(&net->deadlines);
    if (first == NULL) {
        uv_timer_stop(&net->timer);
        return;
    }
    int64_t wait = first->key - (int64_t)uv_now(net->loop);
    uv_timer_start(&net->timer, on_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct net *net = timer->data;
    int64_t now = (int64_t)uv_now(net->loop);
    struct heap_node *first;
    while ((first = heap_first(&net->deadlines)) != NULL && first->key <= now) {
        heap_remove(&net->deadlines, first);
        struct net_deadline *deadline = CONTAINER_OF(first, struct net_deadline, node);
        deadline->fire(deadline);
    }
    arm_timer(net);
}

void net_deadline_set(struct net *net, struct net_deadline *deadline, int64_t after_ms)
{
    ASSERT(deadline->fire != NULL && after_ms >= 0);
    if (heap_node_linked(&deadline->node)) {
        heap_remove(&net->deadlines, &deadline->node);
    }
    heap_push(&net->deadlines, &deadline->node, (int64_t)uv_now(net->loop) + after_ms);
    if (heap_first(&net->deadlines) == &deadline->node) {
        arm_timer(net);
    }
}

void net_deadline_clear(struct net *net, struct net_deadline *deadline)
{
    if (heap_node_linked(&deadline->node)) {
        heap_remove(&net->deadlines, &deadline->node); /* a wake-up too many is harmless */
    }
}

/* ---- sockets ---- */

void net_release(struct net *net)
{
    ASSERT(net->holds > 0);
    if (--net->holds == 0) {
        ASSERT(net->closing && list_empty(&net->conns) && list_empty(&net->dead));
        heap_free(&net->deadlines);
        mem_free(net);
    }
}

struct net_socket *net_socket_new(struct net *net, int fd, void *owner)
{
    ASSERT(fd >= 0 && !net->closing);
    struct net_socket *s = mem_zalloc(sizeof *s);
    int rc = uv_poll_init(net->loop, &s->poll, fd);
    if (rc != 0) {
        close(fd);
        mem_free(s);
        errno = -rc;
        return NULL;
    }
    s->poll.data = s;
    s->net = net;
    s->fd = fd;
    s->owner = owner;
    net->holds++;
    return s;
}

void net_socket_poll(struct net_socket *s, int events, uv_poll_cb ready)
{
    ASSERT(s->fd >= 0);
    if (events == s->events) {
        return;
    }
    s->events = events;
    if (events == 0) {
        uv_poll_stop(&s->poll);
        return;
    }
    int rc = uv_poll_start(&s->poll, events, ready);
    ASSERT(rc == 0); /* fails on a closing handle only */
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct net_socket *s = handle->data;
    struct net *net = s->net;
    mem_free(s);
    net_release(net);
}

void net_socket_close(struct net_socket *s)
{
    s->owner = NULL;
    uv_close((uv_handle_t *)&s->poll, on_socket_closed);
    close(s->fd);
    s->fd = -1;
}

/* ---- life ---- */

struct net *net_new(struct uv_loop_s *loop, const struct trace *trace)
{
    signal(SIGPIPE, SIG_IGN);
    struct net *net = mem_zalloc(sizeof *net);
    net->loop = loop;
    net->trace = trace;
    list_init(&net->ready);
    list_init(&net->conns);
    list_init(&net->listeners);
    list_init(&net->dead);
    uv_prepare_init(loop, &net->prepare);
    uv_idle_init(loop, &net->idle);
    uv_timer_init(loop, &net->timer);
    net->prepare.data = net->idle.data = net->timer.data = net;
    net->holds = 3;
    uv_prepare_start(&net->prepare, on_prepare);
    uv_unref((uv_handle_t *)&net->prepare);
    return net;
}

void net_drain(struct net *net, int64_t limit_ms)
{
    ASSERT(!net->draining);
    net->draining = true;
    net_listeners_stop(net);
    LIST_FOREACH(node, &net->conns) {
        struct net_conn *c = CONTAINER_OF(node, struct net_conn, node);
        if (c->state == NET_OPEN && c->queued > 0) {
            c->orphan = true;
            net_deadline_set(net, &c->deadline, limit_ms);
            net_ready(c);
        } else {
            net_conn_destroy(c);
        }
    }
}

bool net_drained(const struct net *net)
{
    return list_empty(&net->conns);
}

static void on_handle_closed(uv_handle_t *handle)
{
    net_release(handle->data);
}

void net_free(struct net *net)
{
    ASSERT(!net->closing);
    net_listeners_free(net);
    LIST_FOREACH(node, &net->conns) {
        net_conn_destroy(CONTAINER_OF(node, struct net_conn, node));
    }
    free_dead(net);
    net->closing = true;
    uv_close((uv_handle_t *)&net->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&net->idle, on_handle_closed);
    uv_close((uv_handle_t *)&net->timer, on_handle_closed);
}
