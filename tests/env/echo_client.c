#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/env/echo.h"

enum { WINDOW = 16, AGAIN_MS = 20 };

size_t echo_frame(uint32_t n, uint8_t to[ECHO_FRAME_MAX])
{
    size_t size = 4 + (size_t)(n * 2654435761U >> 19); /* up to 8 KiB more */
    ASSERT(size <= ECHO_FRAME_MAX);
    for (size_t i = 0; i < size; i++) {
        to[i] = (uint8_t)(n + i * 7);
    }
    to[0] = (uint8_t)(n >> 24);
    to[1] = (uint8_t)(n >> 16);
    to[2] = (uint8_t)(n >> 8);
    to[3] = (uint8_t)n;
    return size;
}

static void send_more(struct echo_client *c)
{
    while (c->open && c->sent < c->total && c->sent < c->acked + WINDOW) {
        struct buf *b = buf_new(4 + ECHO_FRAME_MAX);
        size_t size = echo_frame(c->sent++, b->data + 4);
        b->data[0] = 0;
        b->data[1] = 0;
        b->data[2] = (uint8_t)(size >> 8);
        b->data[3] = (uint8_t)size;
        b->size = 4 + size;
        struct env_piece piece = {.bytes = slice_of(b, 0, b->size)};
        buf_unref(b);
        env_send(c->env, c->conn, &piece, 1);
    }
}

static void on_connected(void *ctx, env_conn conn)
{
    struct echo_client *c = ctx;
    ASSERT(env_conn_equal(conn, c->conn));
    c->open = true;
    c->sent = c->acked;
    send_more(c);
}

static void on_frame(void *ctx, env_conn conn, struct buf *frame)
{
    struct echo_client *c = ctx;
    uint8_t expected[ECHO_FRAME_MAX];
    size_t size = echo_frame(c->acked, expected);
    (void)conn;
    if (frame->size != size || memcmp(frame->data, expected, size) != 0 || c->acked >= c->sent) {
        c->broken = true;
    } else {
        c->acked++;
    }
    c->over = c->acked == c->total;
    buf_unref(frame);
    send_more(c);
}

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    struct echo_client *c = ctx;
    (void)conn;
    (void)reason;
    (void)why;
    c->open = false;
    c->conn = (env_conn){0, 0};
    env_timer_set(c->env, &c->again, env_now_ms(c->env) + AGAIN_MS);
}

static const struct env_conn_events client_events = {
    .connected = on_connected, .frame = on_frame, .closed = on_closed};

static void dial(struct env_timer *timer)
{
    struct echo_client *c = CONTAINER_OF(timer, struct echo_client, again);
    c->dials++;
    c->conn = env_dial(c->env, c->host, c->port, ECHO_FRAME_MAX, &client_events, c);
}

void echo_client_start(struct echo_client *c, struct env *env, const char *host, uint16_t port,
                       uint32_t total)
{
    *c = (struct echo_client){.env = env, .host = host, .port = port, .total = total};
    c->again.fire = dial;
    env_timer_set(env, &c->again, env_now_ms(env));
}

void echo_client_stop(struct echo_client *c)
{
    env_timer_cancel(c->env, &c->again);
    env_close(c->env, c->conn, false);
    c->open = false;
}
