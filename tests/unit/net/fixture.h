/* A loop, a net, a listener on a port of the system's choice, and a record of what happened. Server
 * and clients live on one loop; `until` runs it until something is true. */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "common/base/mem.h"
#include "common/net/net.h"

enum { FRAMES_KEPT = 1024, MAX_FRAME = 16 << 20 };

/* One side of one connection. */
struct side {
    struct net_conn *conn; /* NULL before and after */
    struct fixture *f;
    int connected;
    int drained;
    int closed;
    enum err reason;
    char why[512];
    struct net_peer peer;
    int frames;
    size_t frame_bytes;
    struct buf *kept[FRAMES_KEPT];
    void (*on_frame)(struct side *side, struct buf *frame); /* takes it; NULL: it is kept */
};

struct fixture {
    uv_loop_t loop;
    uv_timer_t guard;
    struct net *net;
    struct net_listener *listener;
    struct side server; /* the first accepted */
    struct side client;
    int accepted;
    void *(*on_accept)(struct fixture *f, struct net_conn *conn); /* NULL: `server` */
    int lines;                                                    /* traced */
    char line[1024];
};

extern const struct net_conn_events side_events;

void *fixture_accepted(void *ctx, struct net_conn *conn, const struct net_peer *peer);
struct fixture *fixture_new(void);
void fixture_free(struct fixture *f);
void side_dial(struct side *side, const char *host, uint16_t port);
/* Dials the listener and waits until both sides are there. */
void fixture_connect(struct fixture *f);
/* A blocking socket connected to the listener, and accepted as `server`. */
int fixture_raw(struct fixture *f);
/* Likewise, still in the listener's backlog. */
int fixture_raw_waiting(struct fixture *f);
/* A frame whose bytes are pattern(seed). */
void side_send(struct side *side, size_t size, uint8_t seed);
struct buf *pattern(size_t size, uint8_t seed);
void assert_pattern(const uint8_t *data, size_t size, size_t from, uint8_t seed);
void side_close(struct side *side, bool flush_first);
struct net_piece piece_of(struct buf *b); /* takes the reference */
void length_of(uint32_t size, uint8_t to[4]);

#define UNTIL(f, cond)                                                                             \
    do {                                                                                           \
        while (!(cond)) {                                                                          \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                       \
        }                                                                                          \
    } while (0)

/* Rounds of the loop with nothing to wait for. */
void fixture_spin(struct fixture *f, int rounds);

#endif
