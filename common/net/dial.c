/* Dialling: a numeric address at once, a name by libuv's resolver thread, then address after
 * address. Every step runs from the loop, so that even an instant refusal is told in a later turn.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/net/impl.h"

/* The resolver's; outlives the connection when it was closed meanwhile. */
struct lookup {
    uv_getaddrinfo_t req;
    struct net *net;
    struct net_conn *conn; /* NULL: nobody waits */
};

struct net_dial {
    struct net_addr numeric;
    struct addrinfo *list; /* the resolver's answer */
    struct addrinfo *next;
    struct lookup *lookup;
    uint16_t port;
    enum err reason; /* of the failures so far; a refusal outweighs others */
    char why[96];
    char host[];
};

struct net_conn *net_dial(struct net *net, const char *host, uint16_t port,
                          uint32_t max_frame_bytes, const struct net_conn_events *events, void *ctx)
{
    ASSERT(!net->draining && !net->closing);
    struct net_conn *c = net_conn_new(net, max_frame_bytes, events, ctx);
    size_t size = strlen(host) + 1;
    c->dial = mem_zalloc(sizeof *c->dial + size);
    c->dial->port = port;
    memcpy(c->dial->host, host, size);
    net_ready(c);
    return c;
}

void net_dial_free(struct net_conn *c)
{
    struct net_dial *d = c->dial;
    if (d == NULL) {
        return;
    }
    if (d->lookup != NULL) {
        d->lookup->conn = NULL;
        uv_cancel(
            (uv_req_t *)&d->lookup->req); /* refused when it runs already: it ends by itself */
    }
    if (d->list != NULL) {
        uv_freeaddrinfo(d->list);
    }
    mem_free(d);
    c->dial = NULL;
}

static void give_up(struct net_conn *c, enum err reason, const char *why)
{
    char name[256];
    char text[384];
    net_addr_name(c->dial->host, c->dial->port, name, sizeof name);
    snprintf(text, sizeof text, "connect to %s: %s", name, why);
    net_conn_fail(c, reason, text);
}

static void note(struct net_dial *d, int errnum)
{
    if (d->reason == ERR_REFUSED) {
        return;
    }
    d->reason = errnum == ETIMEDOUT ? ERR_TIMEOUT : err_from_errno(errnum);
    snprintf(d->why, sizeof d->why, "%s", strerror(errnum));
}

/* A dial to a free local port can meet itself (simultaneous open): nobody listens there. */
static bool met_itself(int fd)
{
    struct sockaddr_storage here = {.ss_family = AF_UNSPEC};
    struct sockaddr_storage there = {.ss_family = AF_UNSPEC};
    socklen_t here_size = sizeof here;
    socklen_t there_size = sizeof there;
    struct net_peer a;
    struct net_peer b;
    if (getsockname(fd, (struct sockaddr *)&here, &here_size) != 0 ||
        getpeername(fd, (struct sockaddr *)&there, &there_size) != 0) {
        return false;
    }
    net_addr_peer((const struct sockaddr *)&here, &a);
    net_addr_peer((const struct sockaddr *)&there, &b);
    return a.port == b.port && strcmp(a.host, b.host) == 0;
}

static void drop_socket(struct net_conn *c)
{
    net_deadline_clear(c->net, &c->deadline);
    if (c->socket != NULL) {
        net_socket_close(c->socket);
        c->socket = NULL;
    }
}

/* Starts to connect to one address; false when that failed at once. */
static bool try_address(struct net_conn *c, const struct sockaddr *addr, socklen_t size)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        note(c->dial, errno);
        return false;
    }
    unsigned unacked_ms = NET_UNACKED_MS;
    net_socket_options(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof unacked_ms);
    int rc = connect(fd, addr, size);
    if (rc != 0 && errno != EINPROGRESS) {
        note(c->dial, errno);
        close(fd);
        return false;
    }
    c->socket = net_socket_new(c->net, fd, c);
    if (c->socket == NULL) {
        note(c->dial, errno);
        return false;
    }
    /* Also when it is open already: poll tells. */
    c->state = NET_DIAL_OPEN;
    net_deadline_set(c->net, &c->deadline, NET_CONNECT_MS);
    net_conn_watch(c);
    return true;
}

static void try_next(struct net_conn *c)
{
    struct net_dial *d = c->dial;
    while (d->next != NULL) {
        struct addrinfo *a = d->next;
        d->next = a->ai_next;
        if (try_address(c, a->ai_addr, a->ai_addrlen)) {
            return;
        }
    }
    give_up(c, d->reason, d->why);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct lookup *lookup = CONTAINER_OF(req, struct lookup, req);
    struct net *net = lookup->net;
    struct net_conn *c = lookup->conn;
    mem_free(lookup);
    if (c == NULL) {
        uv_freeaddrinfo(list);
        net_release(net);
        return;
    }
    ASSERT(c->state == NET_DIAL_NAME);
    c->dial->lookup = NULL;
    c->dial->list = list;
    c->dial->next = list;
    if (status != 0 || list == NULL) {
        give_up(c, ERR_UNREACHABLE, status != 0 ? uv_strerror(status) : "the name has no address");
    } else {
        try_next(c);
    }
    net_release(net);
}

static void resolve(struct net_conn *c)
{
    struct net_dial *d = c->dial;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)d->port);
    struct lookup *lookup = mem_zalloc(sizeof *lookup);
    lookup->net = c->net;
    lookup->conn = c;
    int rc = uv_getaddrinfo(c->net->loop, &lookup->req, on_resolved, d->host, port, &hints);
    if (rc != 0) {
        mem_free(lookup);
        give_up(c, ERR_UNREACHABLE, uv_strerror(rc));
        return;
    }
    c->net->holds++;
    d->lookup = lookup;
    c->state = NET_DIAL_NAME;
}

void net_dial_step(struct net_conn *c)
{
    struct net_dial *d = c->dial;
    ASSERT(c->state == NET_DIAL_START && d != NULL);
    if (!net_addr_parse(d->host, d->port, &d->numeric)) {
        resolve(c);
    } else if (!try_address(c, (const struct sockaddr *)&d->numeric.storage, d->numeric.size)) {
        give_up(c, d->reason, d->why);
    }
}

void net_dial_writable(struct net_conn *c, int status)
{
    ASSERT(c->state == NET_DIAL_OPEN);
    int errnum = 0;
    socklen_t size = sizeof errnum;
    if (status != 0) {
        errnum = -status;
    } else if (getsockopt(c->socket->fd, SOL_SOCKET, SO_ERROR, &errnum, &size) != 0) {
        errnum = errno;
    } else if (errnum == 0 && met_itself(c->socket->fd)) {
        errnum = ECONNREFUSED;
    }
    if (errnum == 0) {
        net_dial_free(c);
        net_conn_opened(c);
        return;
    }
    note(c->dial, errnum);
    drop_socket(c);
    try_next(c);
}
