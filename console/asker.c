#include "console/asker.h"

#include <uv.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/net/net.h"

/* Metadata of 100,000 partitions is below 20 MB. */
enum { MAX_FRAME_BYTES = 64 << 20 };

struct asker {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct net *net;
    struct cluster *cluster;
};

static int64_t now_ms(const struct asker *a)
{
    return (int64_t)uv_now(a->loop);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct asker *a)
{
    int64_t due = cluster_next_deadline(a->cluster);
    int64_t now = now_ms(a);
    if (due == INT64_MAX) {
        uv_timer_stop(&a->timer);
    } else {
        uv_timer_start(&a->timer, on_timer, due > now ? (uint64_t)(due - now) : 0, 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct asker *a = timer->data;
    cluster_tick(a->cluster, now_ms(a));
    arm(a);
}

/* ---- what net tells, handed on ------------------------------------------------------------------
 */

static void on_connected(void *ctx, struct net_conn *conn)
{
    struct cluster_link *link = ctx;
    struct asker *a = cluster_link_ctx(link);
    (void)conn;
    cluster_link_connected(link, now_ms(a));
    arm(a);
}

static void on_frame(void *ctx, struct net_conn *conn, struct buf *frame)
{
    struct cluster_link *link = ctx;
    struct asker *a = cluster_link_ctx(link);
    (void)conn;
    cluster_link_frame(link, frame, now_ms(a));
    arm(a);
}

static void on_closed(void *ctx, struct net_conn *conn, enum err reason, const char *why)
{
    struct cluster_link *link = ctx;
    struct asker *a = cluster_link_ctx(link);
    (void)conn;
    cluster_link_closed(link, reason, why, now_ms(a));
    arm(a);
}

static const struct net_conn_events net_events = {
    .connected = on_connected,
    .frame = on_frame,
    .closed = on_closed,
};

/* ---- what cluster wants of a transport
 * ----------------------------------------------------------- */

static void *dial(void *ctx, const char *host, uint16_t port, struct cluster_link *link)
{
    struct asker *a = ctx;
    return net_dial(a->net, host, port, MAX_FRAME_BYTES, &net_events, link);
}

static void send_frame(void *ctx, void *handle, struct buf *frame)
{
    struct net_piece piece = {.bytes = {frame, frame->data, frame->size}};
    (void)ctx;
    net_send(handle, &piece, 1);
}

static void close_link(void *ctx, void *handle)
{
    (void)ctx;
    net_close(handle, false);
}

static const struct cluster_transport transport = {dial, send_frame, close_link};

/* ---- life
 * ---------------------------------------------------------------------------------------- */

enum err asker_new(struct uv_loop_s *loop, const char *bootstrap, struct asker **out,
                   struct err_text *text)
{
    struct cluster_options options = cluster_options_default();
    struct asker *a = mem_zalloc(sizeof *a);
    options.client_id = "barnabas";
    enum err e = cluster_new(bootstrap, &options, &transport, a, &a->cluster, text);
    if (e != ERR_NONE) {
        mem_free(a);
        return e;
    }
    a->loop = loop;
    a->net = net_new(loop, NULL);
    uv_timer_init(loop, &a->timer);
    a->timer.data = a;
    *out = a;
    return ERR_NONE;
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void asker_free(struct asker *a)
{
    cluster_free(a->cluster);
    net_free(a->net);
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

void asker_send(struct asker *a, struct cluster_target target, const struct client_request *request)
{
    ASSERT(request->timeout_ms > 0);
    cluster_send(a->cluster, target, request, now_ms(a));
    arm(a);
}

bool asker_unreachable(const struct asker *a, struct err_text *text)
{
    return cluster_unreachable(a->cluster, text);
}
