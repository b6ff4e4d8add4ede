/* net: TCP byte streams over one libuv loop, client and server side, carrying Kafka frames.
 *
 * Everything here belongs to the thread that runs the loop. Sockets are our own, watched by
 * uv_poll_t, so that frames are read into their own buffers, output goes by one sendmsg for many
 * pieces, and file ranges by sendfile without passing through this process.
 *
 * EVENTS are made from the loop only, never from inside a call into net. What a call queues is
 * written just before the loop waits again, so all answers of one round leave together. Input is
 * bounded per connection and round, so that one peer cannot starve the others. */
#ifndef COMMON_NET_NET_H
#define COMMON_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/trace.h"

struct uv_loop_s;
struct net;
struct net_conn;
struct net_listener;

struct net_peer {
    char host[64]; /* numeric, without port; an IPv4 peer of an IPv6 socket reads as IPv4 */
    uint16_t port;
};

struct net_conn_events {
    /* Dialled connections only. A dial that fails is `closed`. */
    void (*connected)(void *ctx, struct net_conn *conn);
    /* The buffer holds exactly the frame without its length, and is the receiver's. */
    void (*frame)(void *ctx, struct net_conn *conn, struct buf *frame);
    /* Queued output fell to zero after it had been above NET_QUEUE_HIGH. May be NULL. */
    void (*drained)(void *ctx, struct net_conn *conn);
    /* Ended by the peer, an error or a bad frame. The last event; `conn` must not be used any more,
     * not even in here. `why` reads on its own. A dial refused everywhere it was answered is
     * ERR_REFUSED. */
    void (*closed)(void *ctx, struct net_conn *conn, enum err reason, const char *why);
};

enum { NET_QUEUE_HIGH = 1 << 20 };

/* Output: bytes, or `size` bytes of a file from `at`. */
struct net_piece {
    struct slice bytes; /* used when release is NULL */
    int fd;
    uint32_t size;
    int64_t at;
    void (*release)(void *owner); /* called once, when the range is sent or dropped */
    void *owner;
};

/* Ignores SIGPIPE for the process: sendfile has no other way not to raise it. `trace` is told once
 * a minute at most when accepting has to wait for file descriptors. */
struct net *net_new(struct uv_loop_s *loop, const struct trace *trace);
/* Gives the ports back and ends every connection as net_close does, with `limit_ms` for output
 * queued so far to leave. No connection pointer is valid afterwards; listeners are, until
 * unlistened. Once; not from inside an event; no net_listen or net_dial after it. */
void net_drain(struct net *net, int64_t limit_ms);
/* No connection is left that still has output to send. */
bool net_drained(const struct net *net);
/* Closes all at once, without events. Not from inside an event. The memory goes while the loop runs
 * on: run it until it has no handles left before uv_loop_close. */
void net_free(struct net *net);

struct net_service {
    const struct net_conn_events *events;
    uint32_t max_frame_bytes;
    /* Returns the ctx for the connection's events. May net_close the connection. */
    void *(*accepted)(void *ctx, struct net_conn *conn, const struct net_peer *peer);
    void *ctx;
};

/* Binds and listens at once. `host` is a numeric address or a name (looked up here, blocking; of
 * several addresses IPv4 comes first); "" is every interface, IPv4 and IPv6. Port 0 lets the system
 * choose. ERR_IN_USE, ERR_ACCESS, ERR_UNREACHABLE, ... with text "listen on HOST:PORT: ...". */
enum err net_listen(struct net *net, const char *host, uint16_t port,
                    const struct net_service *service, struct net_listener **out,
                    struct err_text *text);
uint16_t net_listener_port(const struct net_listener *listener);
/* No more accepts; its connections live on. */
void net_unlisten(struct net_listener *listener);

/* Always answers by `connected` or `closed`, later. Every address of a name is tried in turn, each
 * for at most four seconds. Output may be queued before `connected`. A peer whose machine takes
 * nothing of it for four seconds ends the connection: when the way is whole again, a new one is
 * quicker than the system's next try on the old one. */
struct net_conn *net_dial(struct net *net, const char *host, uint16_t port,
                          uint32_t max_frame_bytes, const struct net_conn_events *events,
                          void *ctx);

/* Queues pieces in order; takes over one reference of each. A file that proves shorter than its
 * range ends the connection (ERR_TRUNCATED). */
void net_send(struct net_conn *conn, const struct net_piece *pieces, int count);
/* Bytes not yet taken by the system. */
size_t net_conn_queued(const struct net_conn *conn);
/* While paused no frame is delivered and nothing is read. */
void net_conn_pause(struct net_conn *conn, bool paused);
/* No further events; `conn` must not be used any more. `flush_first` goes on sending what is queued
 * as long as the peer takes some of it every five seconds, then closes in the way that does not
 * make the peer lose it. */
void net_close(struct net_conn *conn, bool flush_first);

#endif
