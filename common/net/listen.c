/* Accepting.
 *
 * When the process has no file descriptor left, accept fails and the waiting connection stays
 * readable: polling on would spin. The listener then rests for a moment; clients wait in the
 * backlog and get in as connections end. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/net/impl.h"

struct net_listener {
    struct list node; /* net.listeners */
    struct net *net;
    struct net_service service;
    struct net_socket *socket;
    struct net_deadline rest;
    uint16_t port;
    char name[256];
};

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void rest_over(struct net_deadline *deadline)
{
    struct net_listener *l = CONTAINER_OF(deadline, struct net_listener, rest);
    net_socket_poll(l->socket, UV_READABLE, on_acceptable);
}

static void rest(struct net_listener *l, int errnum)
{
    struct net *net = l->net;
    int64_t now = (int64_t)uv_now(net->loop);
    if (!net->complained || now - net->complained_ms >= NET_COMPLAIN_MS) {
        net->complained = true;
        net->complained_ms = now;
        trace_warn(
            net->trace,
            "listener %s: accept: %s; new connections wait until others end (raise the limit "
            "of open files, LimitNOFILE= in a unit, if this lasts)",
            l->name, strerror(errnum));
    }
    net_socket_poll(l->socket, 0, NULL);
    net_deadline_set(net, &l->rest, NET_ACCEPT_RETRY_MS);
}

/* Not the listener's fault, or gone before we came: the next one may be fine. */
static bool passing(int errnum)
{
    switch (errnum) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPERM: /* a firewall's word */
        return true;
    default:
        return false;
    }
}

static void welcome(struct net_listener *l, int fd, const struct sockaddr *from)
{
    struct net_peer peer;
    net_addr_peer(from, &peer);
    net_socket_options(fd);
    struct net_conn *c = net_conn_new(l->net, l->service.max_frame_bytes, l->service.events, NULL);
    c->socket = net_socket_new(l->net, fd, c);
    if (c->socket == NULL) {
        net_conn_destroy(c);
        return;
    }
    c->state = NET_OPEN;
    c->ctx = l->service.accepted(l->service.ctx, c, &peer);
    if (c->state != NET_DEAD) {
        net_conn_watch(c);
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct net_socket *s = poll->data;
    /* The owner is gone once a callback has unlistened. */
    for (int i = 0; i < NET_ROUND_ACCEPTS && s->owner != NULL; i++) {
        struct net_listener *l = s->owner;
        struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
        socklen_t size = sizeof from;
        int fd = accept4(s->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(l, fd, (const struct sockaddr *)&from);
        } else if (errno == EAGAIN) {
            return;
        } else if (!passing(errno)) {
            rest(l, errno);
            return;
        }
    }
}

/* A bound, listening socket, or -1 with errno. */
static int open_socket(const struct sockaddr *addr, socklen_t size, bool dual)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int one = 1;
    int only = dual ? 0 : 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (addr->sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    }
    if (bind(fd, addr, size) != 0 || listen(fd, NET_BACKLOG) != 0) {
        int errnum = errno;
        close(fd);
        errno = errnum;
        return -1;
    }
    return fd;
}

static int open_any(uint16_t port)
{
    struct net_addr addr;
    net_addr_parse("::", port, &addr);
    int fd = open_socket((const struct sockaddr *)&addr.storage, addr.size, true);
    if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        net_addr_parse("0.0.0.0", port, &addr);
        fd = open_socket((const struct sockaddr *)&addr.storage, addr.size, false);
    }
    return fd;
}

/* The first address of the name that works, IPv4 before others, as the JVM has it. */
static enum err open_name(const char *host, uint16_t port, int *out, struct err_text *text)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    char digits[8];
    snprintf(digits, sizeof digits, "%u", (unsigned)port);
    int rc = getaddrinfo(host, digits, &hints, &list);
    if (rc != 0) {
        err_set(text, "%s", rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return ERR_UNREACHABLE;
    }
    int fd = -1;
    int errnum = 0;
    for (int pass = 0; pass < 2 && fd < 0; pass++) {
        for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
            if ((a->ai_family == AF_INET) == (pass == 0)) {
                fd = open_socket(a->ai_addr, a->ai_addrlen, false);
                errnum = fd < 0 && errnum == 0 ? errno : errnum;
            }
        }
    }
    freeaddrinfo(list);
    *out = fd;
    if (fd < 0) {
        err_set(text, "%s", strerror(errnum));
        return err_from_errno(errnum);
    }
    return ERR_NONE;
}

static enum err open_host(const char *host, uint16_t port, int *out, struct err_text *text)
{
    struct net_addr addr;
    if (host[0] == '\0') {
        *out = open_any(port);
    } else if (net_addr_parse(host, port, &addr)) {
        *out = open_socket((const struct sockaddr *)&addr.storage, addr.size, false);
    } else {
        return open_name(host, port, out, text);
    }
    if (*out < 0) {
        err_set(text, "%s", strerror(errno));
        return err_from_errno(errno);
    }
    return ERR_NONE;
}

enum err net_listen(struct net *net, const char *host, uint16_t port,
                    const struct net_service *service, struct net_listener **out,
                    struct err_text *text)
{
    ASSERT(!net->draining);
    ASSERT(service->events != NULL && service->accepted != NULL && service->max_frame_bytes > 0);
    char name[256];
    net_addr_name(host, port, name, sizeof name);
    int fd = -1;
    enum err e = open_host(host, port, &fd, text);
    if (e != ERR_NONE) {
        err_wrap(text, "listen on %s", name);
        return e;
    }
    struct net_listener *l = mem_zalloc(sizeof *l);
    l->socket = net_socket_new(net, fd, l);
    if (l->socket == NULL) {
        err_set(text, "listen on %s: %s", name, strerror(errno));
        e = err_from_errno(errno);
        mem_free(l);
        return e;
    }
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof bound;
    getsockname(fd, (struct sockaddr *)&bound, &size);
    struct net_peer self;
    net_addr_peer((const struct sockaddr *)&bound, &self);
    l->port = self.port;
    net_addr_name(host, l->port, l->name, sizeof l->name);
    l->net = net;
    l->service = *service;
    l->rest.fire = rest_over;
    list_push(&net->listeners, &l->node);
    net_socket_poll(l->socket, UV_READABLE, on_acceptable);
    *out = l;
    return ERR_NONE;
}

uint16_t net_listener_port(const struct net_listener *listener)
{
    return listener->port;
}

static void stop(struct net_listener *l)
{
    net_deadline_clear(l->net, &l->rest);
    if (l->socket != NULL) {
        net_socket_close(l->socket);
        l->socket = NULL;
    }
}

void net_listeners_stop(struct net *net)
{
    LIST_FOREACH(node, &net->listeners) {
        stop(CONTAINER_OF(node, struct net_listener, node));
    }
}

void net_listeners_free(struct net *net)
{
    LIST_FOREACH(node, &net->listeners) {
        net_unlisten(CONTAINER_OF(node, struct net_listener, node));
    }
}

void net_unlisten(struct net_listener *listener)
{
    stop(listener);
    list_remove(&listener->node);
    mem_free(listener);
}
