/* What the files of net share. Not for others. */
#ifndef COMMON_NET_IMPL_H
#define COMMON_NET_IMPL_H

#include <netdb.h>
#include <sys/socket.h>
#include <uv.h>

#include "common/base/heap.h"
#include "common/base/list.h"
#include "common/net/net.h"
#include "common/wire/frame.h"

enum {
    NET_ROUND_IN_BYTES = 256 * 1024,   /* read from one connection before others get their turn */
    NET_ROUND_FRAMES = 64,             /* likewise */
    NET_ROUND_OUT_BYTES = 1024 * 1024, /* likewise, written */
    NET_ROUND_ACCEPTS = 64,
    NET_BACKLOG = 4096,
    NET_SCRATCH_BYTES = 16 * 1024,
    /* The system asks after 0, 1 and 3 s, and then at ever longer intervals. */
    NET_CONNECT_MS = 4 * 1000,
    NET_UNACKED_MS = 4 * 1000, /* sent, and the other machine has not said that it has it */
    NET_FLUSH_MS = 5 * 1000,   /* a closing connection's time to take some output */
    NET_LINGER_MS = 2 * 1000,  /* a peer's time to close after we have */
    NET_ACCEPT_RETRY_MS = 100,
    NET_COMPLAIN_MS = 60 * 1000
};

struct net_deadline {
    struct heap_node node;
    void (*fire)(struct net_deadline *deadline);
};

struct net {
    uv_loop_t *loop;
    const struct trace *trace;
    uv_prepare_t prepare; /* runs the ready list before the loop waits */
    uv_idle_t idle;       /* active while the ready list is not empty: the loop must not wait */
    uv_timer_t timer;     /* the first deadline */
    struct heap deadlines;
    struct list ready;
    struct list conns;
    struct list listeners;
    struct list dead; /* connections to free when nobody can be inside of them */
    size_t holds;     /* handles and requests libuv still knows; the last one gone frees us */
    int64_t complained_ms;
    bool complained;
    bool draining;
    bool closing;
    uint8_t scratch[NET_SCRATCH_BYTES];
};

/* A watched socket; outlives its owner by the time libuv needs to let go of it. */
struct net_socket {
    uv_poll_t poll;
    struct net *net;
    int fd;
    int events; /* being polled for */
    void *owner;
};

enum net_state {
    NET_DIAL_START, /* on the ready list, first step of a dial */
    NET_DIAL_NAME,  /* waiting for the resolver */
    NET_DIAL_OPEN,  /* waiting for connect */
    NET_OPEN,
    NET_LINGER, /* all is sent and shut; waiting for the peer's end */
    NET_DEAD
};

struct net_dial; /* dial.c */

struct net_conn {
    struct list node;  /* net.conns, then net.dead */
    struct list ready; /* net.ready */
    struct net *net;
    const struct net_conn_events *events;
    void *ctx;
    struct net_socket *socket; /* NULL while there is none */
    struct net_dial *dial;     /* while dialling */
    enum net_state state;
    bool orphan; /* net_close was called: no events, only output left */
    bool paused;
    bool input_ended; /* end or error was read; nothing more to poll for */
    bool was_high;
    bool blocked; /* the socket took no more */
    struct framer framer;
    struct bytes leftover; /* read but not yet framed: paused, or over the round's share */
    struct net_piece *out; /* ring */
    uint32_t out_first;
    uint32_t out_count;
    uint32_t out_capacity; /* 0 or a power of two */
    size_t queued;
    struct net_deadline deadline;
};

/* net.c */
void net_ready(struct net_conn *c);
void net_deadline_set(struct net *net, struct net_deadline *deadline, int64_t after_ms);
void net_deadline_clear(struct net *net, struct net_deadline *deadline);
void net_release(struct net *net); /* one hold */
/* Watches `fd`, which is closed with it. NULL with errno when libuv refuses; `fd` is closed then
 * too. */
struct net_socket *net_socket_new(struct net *net, int fd, void *owner);
/* UV_READABLE | UV_WRITABLE or 0; `ready` is called from the loop. */
void net_socket_poll(struct net_socket *s, int events, uv_poll_cb ready);
void net_socket_close(struct net_socket *s);

/* addr.c */
struct net_addr {
    struct sockaddr_storage storage;
    socklen_t size;
};
/* False when `host` is not a numeric address. */
bool net_addr_parse(const char *host, uint16_t port, struct net_addr *out);
void net_addr_peer(const struct sockaddr *from, struct net_peer *out);
/* "HOST:PORT", "[v6]:PORT". */
const char *net_addr_name(const char *host, uint16_t port, char *out, size_t size);

/* conn.c */
struct net_conn *net_conn_new(struct net *net, uint32_t max_frame_bytes,
                              const struct net_conn_events *events, void *ctx);
/* One turn from the ready list. */
void net_conn_run(struct net_conn *c);
void net_conn_watch(struct net_conn *c);  /* polls for what is wanted now */
void net_conn_opened(struct net_conn *c); /* the socket is connected */
/* Ends it and tells the owner, unless it is an orphan. Only from the loop. */
void net_conn_fail(struct net_conn *c, enum err reason, const char *why);
void net_conn_destroy(struct net_conn *c);
void net_socket_options(int fd);

/* output.c */
void net_output_flush(struct net_conn *c);
void net_output_drop(struct net_conn *c);

/* dial.c */
void net_dial_step(struct net_conn *c);
void net_dial_writable(struct net_conn *c, int status);
void net_dial_free(struct net_conn *c);

/* listen.c */
void net_listeners_stop(struct net *net); /* gives the ports back */
void net_listeners_free(struct net *net);

#endif
