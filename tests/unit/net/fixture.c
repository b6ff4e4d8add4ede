#include "tests/unit/net/fixture.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_connected(void *ctx, struct net_conn *conn)
{
    struct side *side = ctx;
    assert_ptr_equal(side->conn, conn);
    side->connected++;
}

static void on_frame(void *ctx, struct net_conn *conn, struct buf *frame)
{
    struct side *side = ctx;
    assert_ptr_equal(side->conn, conn);
    assert_int_equal(side->closed, 0);
    side->frames++;
    side->frame_bytes += frame->size;
    if (side->on_frame != NULL) {
        side->on_frame(side, frame);
        return;
    }
    assert_true(side->frames <= FRAMES_KEPT);
    side->kept[side->frames - 1] = frame;
}

static void on_drained(void *ctx, struct net_conn *conn)
{
    struct side *side = ctx;
    assert_ptr_equal(side->conn, conn);
    assert_int_equal(net_conn_queued(conn), 0);
    side->drained++;
}

static void on_closed(void *ctx, struct net_conn *conn, enum err reason, const char *why)
{
    struct side *side = ctx;
    assert_ptr_equal(side->conn, conn);
    assert_int_equal(side->closed, 0);
    side->closed++;
    side->conn = NULL;
    side->reason = reason;
    snprintf(side->why, sizeof side->why, "%s", why);
}

const struct net_conn_events side_events = {
    .connected = on_connected, .frame = on_frame, .drained = on_drained, .closed = on_closed};

void *fixture_accepted(void *ctx, struct net_conn *conn, const struct net_peer *peer)
{
    struct fixture *f = ctx;
    f->accepted++;
    assert_string_equal(peer->host, "127.0.0.1");
    assert_true(peer->port > 0);
    if (f->on_accept != NULL) {
        return f->on_accept(f, conn);
    }
    assert_null(f->server.conn);
    f->server.conn = conn;
    f->server.peer = *peer;
    return &f->server;
}

static void on_line(void *ctx, enum trace_level level, const char *line)
{
    struct fixture *f = ctx;
    (void)level;
    f->lines++;
    snprintf(f->line, sizeof f->line, "%s", line);
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "what the test waits for did not come\n");
    abort();
}

struct fixture *fixture_new(void)
{
    static struct trace trace;
    struct fixture *f = mem_zalloc(sizeof *f);
    trace = (struct trace){.level = TRACE_DEBUG, .sink = on_line, .ctx = f};
    assert_int_equal(uv_loop_init(&f->loop), 0);
    uv_timer_init(&f->loop, &f->guard);
    uv_timer_start(&f->guard, on_guard, 60000, 0);
    f->server.f = f->client.f = f;
    f->net = net_new(&f->loop, &trace);
    struct net_service service = {.events = &side_events,
                                  .max_frame_bytes = MAX_FRAME,
                                  .accepted = fixture_accepted,
                                  .ctx = f};
    struct err_text text = {""};
    enum err e = net_listen(f->net, "127.0.0.1", 0, &service, &f->listener, &text);
    assert_string_equal(text.text, "");
    assert_int_equal(e, ERR_NONE);
    assert_true(net_listener_port(f->listener) > 0);
    return f;
}

static void side_free(struct side *side)
{
    for (int i = 0; i < FRAMES_KEPT; i++) {
        buf_unref(side->kept[i]);
    }
}

void fixture_free(struct fixture *f)
{
    net_free(f->net);
    uv_close((uv_handle_t *)&f->guard, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    side_free(&f->server);
    side_free(&f->client);
    mem_free(f);
}

void side_dial(struct side *side, const char *host, uint16_t port)
{
    side->conn = net_dial(side->f->net, host, port, MAX_FRAME, &side_events, side);
    assert_int_equal(side->connected + side->closed, 0);
}

void fixture_connect(struct fixture *f)
{
    side_dial(&f->client, "127.0.0.1", net_listener_port(f->listener));
    UNTIL(f, f->client.connected && f->accepted);
}

int fixture_raw_waiting(struct fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(net_listener_port(f->listener)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

int fixture_raw(struct fixture *f)
{
    int before = f->accepted;
    int fd = fixture_raw_waiting(f);
    UNTIL(f, f->accepted > before);
    return fd;
}

struct buf *pattern(size_t size, uint8_t seed)
{
    struct buf *b = buf_new(size);
    for (size_t i = 0; i < size; i++) {
        b->data[i] = (uint8_t)(seed + i * 7 + (i >> 11));
    }
    b->size = size;
    return b;
}

void assert_pattern(const uint8_t *data, size_t size, size_t from, uint8_t seed)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != (uint8_t)(seed + (from + i) * 7 + ((from + i) >> 11))) {
            fail_msg("byte %zu of the pattern is wrong", from + i);
        }
    }
}

struct net_piece piece_of(struct buf *b)
{
    struct net_piece p = {.bytes = slice_of(b, 0, b->size), .fd = -1};
    buf_unref(b);
    return p;
}

void length_of(uint32_t size, uint8_t to[4])
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(size >> (24 - 8 * i));
    }
}

void side_send(struct side *side, size_t size, uint8_t seed)
{
    uint8_t length[4];
    length_of((uint32_t)size, length);
    struct net_piece pieces[] = {piece_of(buf_copy(length, 4)), piece_of(pattern(size, seed))};
    net_send(side->conn, pieces, 2);
}

void side_close(struct side *side, bool flush_first)
{
    struct net_conn *conn = side->conn;
    side->conn = NULL;
    net_close(conn, flush_first);
}

static void on_spin(uv_idle_t *idle)
{
    (void)idle;
}

void fixture_spin(struct fixture *f, int rounds)
{
    uv_idle_t idle;
    uv_idle_init(&f->loop, &idle);
    uv_idle_start(&idle, on_spin);
    for (int i = 0; i < rounds; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    uv_close((uv_handle_t *)&idle, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}
