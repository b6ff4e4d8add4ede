/* Whether a broker's process has died.
 *
 * Happy path: a broker's connection with its heartbeats ends -> we, the active controller, dial the
 * listener it advertises -> nothing listens there any more: the system refuses -> it is fenced now,
 * and its partitions have new leaders long before its session would have ended. A controller that
 * has just become active has no such connections: it dials every unfenced broker once.
 *
 * Failure modes: the listener answers and keeps the connection for VIGIL_PROOF_MS (the other one
 * alone was lost, or the broker is back already), nobody answers at all, the address cannot be
 * found: its session decides, unless its next life registers from the same place. A dying process
 * may still be accepted for: a connection that ends so soon is dialled again. A refusal that comes
 * after the broker was heard of again, or registered anew, counts for nothing. A live broker whose
 * listener refuses us is fenced once, and unfenced by its next heartbeat. */
#include <inttypes.h>

#include "broker/node/node_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum {
    VIGIL_MAX_FRAME_BYTES = 1024, /* nothing is expected */
    VIGIL_PROOF_MS = 200,
    VIGIL_DIALS_MAX = 3
};

/* One dial under way. */
struct vigil {
    struct list node; /* broker->vigils */
    struct broker *broker;
    int32_t broker_id;
    int64_t broker_epoch;
    int64_t since_ms;
    env_conn conn;
    int dials;
    bool connected;
    struct env_timer proof;
    char host[NODE_HOST_MAX];
    uint16_t port;
    char address[NODE_HOST_MAX + 8];
};

static void vigil_free(struct vigil *vigil)
{
    env_timer_cancel(vigil->broker->env, &vigil->proof);
    list_remove(&vigil->node);
    mem_free(vigil);
}

static void on_connected(void *ctx, env_conn conn)
{
    struct vigil *vigil = ctx;
    struct env *env = vigil->broker->env;
    ASSERT(env_conn_equal(conn, vigil->conn) && !vigil->connected);
    vigil->connected = true;
    env_timer_set(env, &vigil->proof, env_now_ms(env) + VIGIL_PROOF_MS);
}

static void on_proof(struct env_timer *timer)
{
    struct vigil *vigil = CONTAINER_OF(timer, struct vigil, proof);
    ASSERT(vigil->connected);
    trace_info(env_trace(vigil->broker->env),
               "broker %" PRId32 " answers at %s: its session goes on", vigil->broker_id,
               vigil->address);
    env_close(vigil->broker->env, vigil->conn, false);
    vigil_free(vigil);
}

static void on_frame(void *ctx, env_conn conn, struct buf *frame)
{
    (void)ctx;
    (void)conn;
    buf_unref(frame);
}

static void dial(struct vigil *vigil);

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    struct vigil *vigil = ctx;
    struct broker *broker = vigil->broker;
    ASSERT(env_conn_equal(conn, vigil->conn));
    if (vigil->connected && vigil->dials < VIGIL_DIALS_MAX) {
        dial(vigil);
        return;
    }
    if (reason == ERR_REFUSED) {
        struct err_text text;
        err_set(&text, "its process has ended, nothing listens at %s", vigil->address);
        controller_broker_died(broker->controller, vigil->broker_id, vigil->broker_epoch,
                               vigil->since_ms, text.text);
    } else {
        trace_info(env_trace(broker->env),
                   "broker %" PRId32 " may be alive (%s): its session decides", vigil->broker_id,
                   why);
    }
    vigil_free(vigil);
}

static const struct env_conn_events events = {
    .connected = on_connected, .frame = on_frame, .closed = on_closed};

static void dial(struct vigil *vigil)
{
    struct env *env = vigil->broker->env;
    ASSERT(vigil->dials < VIGIL_DIALS_MAX);
    env_timer_cancel(env, &vigil->proof);
    vigil->connected = false;
    vigil->dials++;
    vigil->conn = env_dial(env, vigil->host, vigil->port, VIGIL_MAX_FRAME_BYTES, &events, vigil);
}

static struct vigil *under_way(const struct broker *broker, const struct image_broker *peer)
{
    LIST_FOREACH(node, &broker->vigils) {
        struct vigil *vigil = CONTAINER_OF(node, struct vigil, node);
        if (vigil->broker_id == peer->id && vigil->broker_epoch == peer->epoch) {
            return vigil;
        }
    }
    return NULL;
}

/* Its connection was lost while an earlier dial was under way: what that one has found out, or
 * will, may be of before. */
static void begin_again(struct vigil *vigil)
{
    env_close(vigil->broker->env, vigil->conn, false);
    vigil->since_ms = env_now_ms(vigil->broker->env);
    vigil->dials = 0;
    dial(vigil);
}

static void look(struct broker *broker, const struct image_broker *peer)
{
    const struct image_endpoint *endpoint =
        image_broker_endpoint(peer, broker->settings->inter_broker_listener);
    if (endpoint == NULL && peer->endpoint_count > 0) {
        endpoint = &peer->endpoints[0];
    }
    ASSERT(!peer->fenced && peer->id != broker->node_id);
    if (endpoint == NULL) {
        return;
    }
    struct vigil *vigil = under_way(broker, peer);
    if (vigil != NULL) {
        begin_again(vigil);
        return;
    }
    vigil = mem_zalloc(sizeof *vigil);
    vigil->broker = broker;
    vigil->broker_id = peer->id;
    vigil->broker_epoch = peer->epoch;
    vigil->since_ms = env_now_ms(broker->env);
    vigil->proof.fire = on_proof;
    vigil->port = endpoint->port;
    snprintf(vigil->host, sizeof vigil->host, "%s", endpoint->host);
    snprintf(vigil->address, sizeof vigil->address, "%s:%u", endpoint->host,
             (unsigned)endpoint->port);
    list_push(&broker->vigils, &vigil->node);
    dial(vigil);
}

static bool watched(const struct broker *broker, const struct image_broker *peer)
{
    return peer != NULL && !peer->fenced && peer->id != broker->node_id;
}

void node_vigil_connection_lost(struct broker *broker, int32_t broker_id, int64_t broker_epoch)
{
    if (broker->phase >= BROKER_STOPPING || !controller_active(broker->controller)) {
        return;
    }
    ASSERT(broker_id >= 0);
    controller_broker_unheard(broker->controller, broker_id, broker_epoch);
    const struct image_broker *peer = image_broker(controller_image(broker->controller), broker_id);
    if (watched(broker, peer) && peer->epoch == broker_epoch) {
        look(broker, peer);
    }
}

static bool look_at(void *ctx, const struct image_broker *peer)
{
    struct broker *broker = ctx;
    if (watched(broker, peer)) {
        look(broker, peer);
    }
    return true;
}

void node_vigil_begin(struct broker *broker)
{
    ASSERT(list_empty(&broker->vigils));
    if (broker->phase < BROKER_STOPPING && controller_active(broker->controller)) {
        image_each_broker(controller_image(broker->controller), look_at, broker);
    }
}

void node_vigil_end(struct broker *broker)
{
    while (!list_empty(&broker->vigils)) {
        struct vigil *vigil = CONTAINER_OF(broker->vigils.next, struct vigil, node);
        env_close(broker->env, vigil->conn, false);
        vigil_free(vigil);
    }
}
