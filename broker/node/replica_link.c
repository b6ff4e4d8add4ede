/* Happy path: a call comes -> the image says where the broker is -> its link for that channel
 * carries the request -> the answer goes to the caller, whose records point into the frame it came
 * in.
 *
 * Failure modes: the broker has no address (told in a later turn: metadata on its way may know
 * more); the address has changed (the old link goes, and with it its calls); the link fails (it
 * tells every call, and dials anew for the next); no answer, or no connection, in time (that call
 * is told; a dial that takes so long is given up). A broker answers a connection's requests in
 * order, and a Fetch that nobody waits for any more may be parked there for long: a request that
 * would have to wait behind such a one gets a new connection instead. */
#include "broker/node/replica_link.h"

#include <inttypes.h>
#include <stdarg.h>

#include "broker/node/link.h"
#include "broker/node/node_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

/* To one broker on one channel, at one address. */
struct wire {
    struct list node; /* in node_replica_links.wires, or .retired */
    struct node_link *link;
    int32_t broker_id;
    enum replica_channel channel;
    char host[NODE_HOST_MAX];
    uint16_t port;
    struct list calls; /* carried.node */
};

/* One call under way; replica_call.link. */
struct carried {
    struct list node; /* in wire.calls, or in .failed or .controller_calls */
    struct node_replica_links *links;
    struct replica_call *call;
    struct wire *wire; /* NULL: to the controller, or failed */
    struct env_timer timer;
    /* to the controller */
    bool to_controller;
    struct api_controller_call controller;
    struct arena arena;
    /* failed, not told yet */
    enum err error;
    char why[120];
};

struct node_replica_links {
    struct broker *broker;
    struct replica_links vtable;
    struct list wires;
    struct list retired; /* wires, freed on the next turn: a link is not freed from inside itself */
    struct list failed;  /* calls to be told so on the next turn */
    struct list controller_calls;
    struct env_post later;
};

static void carried_free(struct carried *carried)
{
    env_timer_cancel(carried->links->broker->env, &carried->timer);
    list_remove(&carried->node);
    arena_free(&carried->arena);
    mem_free(carried);
}

static void finish(struct carried *carried, const struct replica_answer *answer)
{
    struct replica_call *call = carried->call;
    ASSERT(call->link == carried);
    call->link = NULL;
    if (carried->to_controller) {
        /* The response lives in `arena`: the caller hears first. */
        call->done(call, answer);
        carried_free(carried);
        return;
    }
    carried_free(carried);
    call->done(call, answer);
}

static void fail_later(struct carried *carried, enum err error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void fail_later(struct carried *carried, enum err error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(carried->why, sizeof carried->why, fmt, args);
    va_end(args);
    carried->error = error;
    carried->wire = NULL;
    env_timer_cancel(carried->links->broker->env, &carried->timer);
    list_remove(&carried->node);
    list_push(&carried->links->failed, &carried->node);
    env_post(carried->links->broker->env, &carried->links->later);
}

static void wire_free(struct wire *wire)
{
    ASSERT(list_empty(&wire->calls));
    list_remove(&wire->node);
    node_link_free(wire->link);
    mem_free(wire);
}

static void on_later(struct env_post *post)
{
    struct node_replica_links *links = CONTAINER_OF(post, struct node_replica_links, later);
    while (!list_empty(&links->retired)) {
        wire_free(CONTAINER_OF(links->retired.next, struct wire, node));
    }
    struct list failed; /* as it is now: who is told may call again */
    list_init(&failed);
    list_splice(&failed, &links->failed);
    while (!list_empty(&failed)) {
        struct carried *carried = CONTAINER_OF(failed.next, struct carried, node);
        struct err_text why;
        err_set(&why, "%s", carried->why);
        struct replica_answer answer = {.error = carried->error, .why = why.text};
        finish(carried, &answer);
    }
}

/* ---- to a broker ------------------------------------------------------------------------------
 */

/* Takes the wire out of use. Its connection closes on the next turn. */
static void retire(struct node_replica_links *links, struct wire *wire)
{
    while (!list_empty(&wire->calls)) {
        struct carried *carried = CONTAINER_OF(wire->calls.next, struct carried, node);
        node_link_cancel(wire->link, carried);
        fail_later(carried, ERR_CLOSED, "broker %" PRId32 " is no longer at %s:%u", wire->broker_id,
                   wire->host, (unsigned)wire->port);
    }
    list_remove(&wire->node);
    list_push(&links->retired, &wire->node);
    env_post(links->broker->env, &links->later);
}

static struct wire *wire_find(const struct node_replica_links *links, int32_t broker_id,
                              enum replica_channel channel)
{
    LIST_FOREACH(node, &links->wires) {
        struct wire *wire = CONTAINER_OF(node, struct wire, node);
        if (wire->broker_id == broker_id && wire->channel == channel) {
            return wire;
        }
    }
    return NULL;
}

static struct wire *wire_new(struct node_replica_links *links, const struct replica_call *call,
                             const struct image_endpoint *endpoint)
{
    struct wire *wire = mem_zalloc(sizeof *wire);
    char name[320];
    wire->broker_id = call->broker_id;
    wire->channel = call->channel;
    wire->port = endpoint->port;
    snprintf(wire->host, sizeof wire->host, "%s", endpoint->host);
    snprintf(name, sizeof name, "broker %" PRId32 " at %s:%u", wire->broker_id, wire->host,
             (unsigned)wire->port);
    wire->link = node_link_new(links->broker->env, name, wire->host, wire->port, NULL, NULL);
    list_init(&wire->calls);
    list_push(&links->wires, &wire->node);
    return wire;
}

/* The one to use for `call`; NULL when the broker has no address. */
static struct wire *wire_for(struct node_replica_links *links, const struct replica_call *call)
{
    const struct broker *broker = links->broker;
    const struct image_broker *peer = image_broker(broker->image, call->broker_id);
    const struct image_endpoint *endpoint =
        peer != NULL ? image_broker_endpoint(peer, broker->settings->inter_broker_listener) : NULL;
    struct wire *wire = wire_find(links, call->broker_id, call->channel);
    if (wire != NULL) {
        bool moved = endpoint == NULL || endpoint->port != wire->port ||
                     strcmp(endpoint->host, wire->host) != 0;
        bool blocked = list_empty(&wire->calls) && node_link_outstanding(wire->link) > 0;
        if (!moved && !blocked) {
            return wire;
        }
        retire(links, wire);
    }
    return endpoint != NULL ? wire_new(links, call, endpoint) : NULL;
}

static void on_answer(void *ctx, const struct client_answer *got)
{
    struct replica_answer answer = {.error = got->error,
                                    .why = got->why,
                                    .version = got->version,
                                    .response = got->response,
                                    .frame = got->frame};
    finish(ctx, &answer);
}

/* The link's own timeout begins when it is connected; this one is the call's. */
static void on_timeout(struct env_timer *timer)
{
    struct carried *carried = CONTAINER_OF(timer, struct carried, timer);
    struct wire *wire = carried->wire;
    struct err_text why;
    err_set(&why, "broker %" PRId32 " at %s:%u did not answer in %lld ms", wire->broker_id,
            wire->host, (unsigned)wire->port, (long long)carried->call->timeout_ms);
    node_link_cancel(wire->link, carried);
    list_remove(&carried->node);
    if (list_empty(&wire->calls) && !node_link_up(wire->link)) {
        retire(carried->links, wire);
    }
    struct replica_answer answer = {.error = ERR_TIMEOUT, .why = why.text};
    finish(carried, &answer);
}

static void arm(struct carried *carried, void (*fire)(struct env_timer *timer))
{
    struct env *env = carried->links->broker->env;
    carried->timer.fire = fire;
    env_timer_set(env, &carried->timer, env_now_ms(env) + carried->call->timeout_ms);
}

static void to_broker(struct node_replica_links *links, struct carried *carried)
{
    struct replica_call *call = carried->call;
    ASSERT(call->broker_id != links->broker->node_id);
    carried->wire = wire_for(links, call);
    if (carried->wire == NULL) {
        fail_later(carried, ERR_UNREACHABLE,
                   "broker %" PRId32 " is not registered with a listener %s", call->broker_id,
                   links->broker->settings->inter_broker_listener);
        return;
    }
    list_push(&carried->wire->calls, &carried->node);
    struct client_request request =
        client_request_of(call->api_key, call->request, call->timeout_ms, on_answer, carried);
    request.min_version = call->min_version;
    request.max_version = call->max_version;
    node_link_send(carried->wire->link, &request);
    arm(carried, on_timeout);
}

/* ---- to the active controller -----------------------------------------------------------------
 */

static void on_controller_answer(struct api_controller_call *controller)
{
    struct carried *carried = controller->ctx;
    struct replica_answer answer = {
        .why = "", .version = controller->api_version, .response = controller->response};
    finish(carried, &answer);
}

static void on_controller_timeout(struct env_timer *timer)
{
    struct carried *carried = CONTAINER_OF(timer, struct carried, timer);
    node_controller_cancel(carried->links->broker, &carried->controller);
    struct replica_answer answer = {.error = ERR_TIMEOUT,
                                    .why = "the active controller did not answer in time"};
    finish(carried, &answer);
}

static void to_controller(struct node_replica_links *links, struct carried *carried)
{
    struct broker *broker = links->broker;
    const struct replica_call *call = carried->call;
    const struct wire_message *message = wire_api_of(call->api_key)->response;
    ASSERT(call->min_version == call->max_version);
    if (!controller_handles(call->api_key)) {
        fail_later(carried, ERR_UNSUPPORTED, "the controller does not serve API %d", call->api_key);
        return;
    }
    list_push(&links->controller_calls, &carried->node);
    carried->to_controller = true;
    carried->controller = (struct api_controller_call){.api_key = call->api_key,
                                                       .api_version = call->max_version,
                                                       .request = call->request,
                                                       .arena = &carried->arena,
                                                       .done = on_controller_answer,
                                                       .ctx = carried};
    carried->controller.response = arena_alloc(&carried->arena, wire_message_size(message));
    wire_defaults(message, carried->controller.response);
    arm(carried, on_controller_timeout);
    node_controller_submit(broker, &carried->controller);
}

/* ---- the room's side --------------------------------------------------------------------------
 */

static void send_call(void *ctx, struct replica_call *call)
{
    struct node_replica_links *links = ctx;
    ASSERT(call->done != NULL && call->timeout_ms > 0);
    struct carried *carried = mem_zalloc(sizeof *carried);
    carried->links = links;
    carried->call = call;
    list_init(&carried->node);
    call->link = carried;
    if (call->broker_id == REPLICA_CONTROLLER) {
        to_controller(links, carried);
    } else {
        to_broker(links, carried);
    }
}

static void cancel_call(void *ctx, struct replica_call *call)
{
    struct node_replica_links *links = ctx;
    struct carried *carried = call->link;
    ASSERT(carried != NULL && carried->call == call);
    call->link = NULL;
    if (carried->to_controller) {
        node_controller_cancel(links->broker, &carried->controller);
    } else if (carried->wire != NULL) {
        node_link_cancel(carried->wire->link, carried);
    }
    carried_free(carried);
}

struct node_replica_links *node_replica_links_new(struct broker *broker)
{
    struct node_replica_links *links = mem_zalloc(sizeof *links);
    links->broker = broker;
    links->vtable = (struct replica_links){.send = send_call, .cancel = cancel_call, .ctx = links};
    list_init(&links->wires);
    list_init(&links->retired);
    list_init(&links->failed);
    list_init(&links->controller_calls);
    env_post_init(&links->later, on_later);
    return links;
}

const struct replica_links *node_replica_links_vtable(const struct node_replica_links *links)
{
    return &links->vtable;
}

static void drop_calls(struct list *calls)
{
    while (!list_empty(calls)) {
        carried_free(CONTAINER_OF(calls->next, struct carried, node));
    }
}

static void drop_wires(struct list *wires)
{
    while (!list_empty(wires)) {
        struct wire *wire = CONTAINER_OF(wires->next, struct wire, node);
        drop_calls(&wire->calls);
        wire_free(wire);
    }
}

void node_replica_links_close(struct node_replica_links *links)
{
    drop_wires(&links->wires);
    drop_wires(&links->retired);
    ASSERT(list_empty(&links->failed) && list_empty(&links->controller_calls));
}

void node_replica_links_free(struct node_replica_links *links)
{
    if (links == NULL) {
        return;
    }
    drop_wires(&links->wires);
    drop_wires(&links->retired);
    drop_calls(&links->failed);
    while (!list_empty(&links->controller_calls)) {
        struct carried *carried = CONTAINER_OF(links->controller_calls.next, struct carried, node);
        node_controller_cancel(links->broker, &carried->controller);
        carried_free(carried);
    }
    env_post_cancel(links->broker->env, &links->later);
    mem_free(links);
}
