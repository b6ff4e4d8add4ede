/* Calls to the active controller, wherever it is.
 *
 * Happy path: our own controller is active: it gets the call. Another voter leads the quorum: the
 * call goes to its controller listener, what a client asked for in an Envelope (KIP-590), and the
 * answer is copied into the caller's arena. Failure modes: no leader is known, its connection
 * fails, or it says that it is not active: the call waits a moment and is tried again, until its
 * time is up; then our own wishes are refused with NOT_CONTROLLER, and a client's request with
 * REQUEST_TIMED_OUT, for it may have been carried out. A leader that hangs says nothing: when the
 * quorum has another, the call goes there. As in Kafka, a call that was carried out by a controller
 * which then died is carried out again: to create a topic may be answered with "exists". */
#include <inttypes.h>
#include <string.h>

#include "broker/node/envelope.h"
#include "broker/node/link.h"
#include "broker/node/node_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { RETRY_MS = 50, CALL_MS = 15000, CALL_MIN_MS = 1000, CALL_MAX_MS = 60000, LOOK_MS = 100 };

struct link {
    struct broker *broker;
    struct api_controller_call *outer;
    struct controller_call call; /* to our own controller */
    bool local;
    struct node_link *to;
    int32_t leader; /* that `to` leads to */
    struct arena arena;
    struct envelope_request *envelope; /* what a client asked for; made when it must travel */
    struct env_timer retry;
    struct env_post answered;
    int64_t deadline_ms;
};

static void go(struct link *link);

static void link_free(struct link *link)
{
    link->outer->forward = NULL;
    env_timer_cancel(link->broker->env, &link->retry);
    env_post_cancel(link->broker->env, &link->answered);
    arena_free(&link->arena);
    mem_free(link);
}

static void finish(struct link *link, int16_t refused)
{
    struct api_controller_call *outer = link->outer;
    outer->refused = refused;
    link_free(link);
    outer->done(outer);
}

static void on_answered(struct env_post *post)
{
    struct link *link = CONTAINER_OF(post, struct link, answered);
    bool ours = quorum_leader(link->broker->quorum) == link->broker->node_id;
    finish(link, ours ? KAFKA_NONE : KAFKA_NOT_CONTROLLER);
}

static void on_retry(struct env_timer *timer)
{
    go(CONTAINER_OF(timer, struct link, retry));
}

static void again(struct link *link)
{
    link->to = NULL;
    link->local = false;
    link->retry.fire = on_retry;
    env_timer_set(link->broker->env, &link->retry, env_now_ms(link->broker->env) + RETRY_MS);
}

/* ---- to our own controller ----------------------------------------------------------------------
 */

static void on_local(struct controller_call *call)
{
    struct link *link = CONTAINER_OF(call, struct link, call);
    if (call->refused == KAFKA_NOT_CONTROLLER && !link->outer->here_only) {
        again(link);
    } else {
        finish(link, call->refused);
    }
}

static void give_local(struct link *link)
{
    struct api_controller_call *outer = link->outer;
    struct broker *broker = link->broker;
    link->to = NULL;
    if (outer->api_key == WIRE_DESCRIBE_QUORUM) { /* the quorum's to answer, not the controller's */
        quorum_describe(broker->quorum, outer->api_version, outer->response, outer->arena);
        env_post(broker->env, &link->answered);
        return;
    }
    link->local = true;
    link->call = (struct controller_call){.api_key = outer->api_key,
                                          .version = outer->api_version,
                                          .request = outer->request,
                                          .response = outer->response,
                                          .arena = outer->arena,
                                          .done = on_local};
    controller_submit(broker->controller, &link->call);
}

/* ---- to another node's --------------------------------------------------------------------------
 */

/* What a controller that is not active says to our own wishes. */
static bool not_controller(int16_t key, const void *response)
{
    switch (key) {
    case WIRE_BROKER_REGISTRATION:
        return ((const struct broker_registration_response *)response)->error_code ==
               KAFKA_NOT_CONTROLLER;
    case WIRE_BROKER_HEARTBEAT:
        return ((const struct broker_heartbeat_response *)response)->error_code ==
               KAFKA_NOT_CONTROLLER;
    case WIRE_ALLOCATE_PRODUCER_IDS:
        return ((const struct allocate_producer_ids_response *)response)->error_code ==
               KAFKA_NOT_CONTROLLER;
    case WIRE_CONTROLLER_REGISTRATION:
        return ((const struct controller_registration_response *)response)->error_code ==
               KAFKA_NOT_CONTROLLER;
    case WIRE_ALTER_PARTITION:
        return ((const struct alter_partition_response *)response)->error_code ==
               KAFKA_NOT_CONTROLLER;
    case WIRE_ASSIGN_REPLICAS_TO_DIRS:
        return ((const struct assign_replicas_to_dirs_response *)response)->error_code ==
               KAFKA_NOT_CONTROLLER;
    case WIRE_CREATE_TOPICS: {
        const struct create_topics_response *created = response;
        return created->topics.count > 0 &&
               created->topics.items[0].error_code == KAFKA_NOT_CONTROLLER;
    }
    default:
        return false;
    }
}

/* Nothing to be had there but this. */
static void fail(struct link *link, int16_t error, const char *message)
{
    struct api_controller_call *outer = link->outer;
    if (outer->api_key == WIRE_DESCRIBE_QUORUM) {
        ((struct describe_quorum_response *)outer->response)->error_code = error;
    } else {
        struct controller_call refused = {.api_key = outer->api_key,
                                          .version = outer->api_version,
                                          .request = outer->request,
                                          .response = outer->response,
                                          .arena = outer->arena};
        controller_refuse(&refused, error, message);
    }
    finish(link, error);
}

static void on_envelope(struct link *link, const struct envelope_response *response)
{
    int16_t error = envelope_unwrap(link->outer, response);
    if (error == KAFKA_NONE) {
        finish(link, KAFKA_NONE);
    } else if (error == KAFKA_NOT_CONTROLLER) {
        again(link);
    } else {
        trace_warn(env_trace(link->broker->env), "controller %" PRId32 " took no %s from us: %s",
                   link->leader, wire_api_of(link->outer->api_key)->name, kafka_error_name(error));
        fail(link, error == KAFKA_UNSUPPORTED_VERSION ? error : KAFKA_UNKNOWN_SERVER_ERROR,
             "the active controller did not take the request; the broker's log says why");
    }
}

static void on_remote(void *ctx, const struct client_answer *answer)
{
    struct link *link = ctx;
    struct api_controller_call *outer = link->outer;
    if (answer->error == ERR_UNSUPPORTED) {
        trace_warn(env_trace(link->broker->env), "%s", answer->why);
        fail(link, KAFKA_UNSUPPORTED_VERSION, "the active controller does not know this request");
        return;
    }
    if (answer->error != ERR_NONE) {
        again(link);
        return;
    }
    if (link->envelope != NULL) {
        on_envelope(link, answer->response);
        return;
    }
    if (not_controller(outer->api_key, answer->response)) {
        again(link);
        return;
    }
    const struct wire_message *message = wire_api_of(outer->api_key)->response;
    struct wire_out out = {0};
    enum err error = wire_encode(message, answer->version, answer->response, &out);
    ASSERT(error == ERR_NONE);
    /* The answer lies in a frame that goes: the caller's is a copy in its arena. */
    uint8_t *bytes = arena_alloc(outer->arena, out.bytes.size + 1);
    memcpy(bytes, out.bytes.data, out.bytes.size);
    struct wire_in in = wire_in_of(bytes, out.bytes.size);
    error = wire_decode(message, answer->version, &in, outer->response, outer->arena);
    ASSERT(error == ERR_NONE);
    wire_out_free(&out);
    finish(link, KAFKA_NONE);
}

/* The way to a voter's controller listener, of its own: the quorum's requests must not wait behind
 * an operator's. NULL when it is no voter. */
static struct node_link *link_to(struct broker *broker, int32_t leader)
{
    const struct voter_list *voters = &broker->settings->voters;
    for (size_t i = 0; i < voters->count && i < QUORUM_VOTERS_MAX; i++) {
        const __typeof__(voters->items[0]) *voter = &voters->items[i];
        if (voter->id == leader) {
            struct node_link **to = &broker->controller_links[i];
            if (*to == NULL) {
                char name[320];
                snprintf(name, sizeof name, "controller %" PRId32 " at %s:%u", leader, voter->host,
                         (unsigned)voter->port);
                *to = node_link_new(broker->env, name, voter->host, voter->port, NULL, NULL);
            }
            return *to;
        }
    }
    return NULL;
}

void node_controller_links_free(struct broker *broker)
{
    for (size_t i = 0; i < QUORUM_VOTERS_MAX; i++) {
        node_link_free(broker->controller_links[i]);
        broker->controller_links[i] = NULL;
    }
}

/* While an answer is awaited: is who was asked still the one to ask? */
static void on_look(struct env_timer *timer)
{
    struct link *link = CONTAINER_OF(timer, struct link, retry);
    struct env *env = link->broker->env;
    if (quorum_leader(link->broker->quorum) == link->leader) {
        env_timer_set(env, &link->retry, env_now_ms(env) + LOOK_MS);
        return;
    }
    node_link_cancel(link->to, link);
    go(link);
}

/* What travels: a client's request in an envelope, ours as it is, in the highest version that the
 * other node knows too. */
static struct client_request request_of(struct link *link, int64_t timeout_ms)
{
    const struct api_controller_call *outer = link->outer;
    if (outer->client == NULL) {
        struct client_request request =
            client_request_of(outer->api_key, outer->request, timeout_ms, on_remote, link);
        request.max_version = outer->api_version;
        return request;
    }
    if (link->envelope == NULL) {
        link->envelope = envelope_wrap(outer, &link->arena);
    }
    return client_request_of(WIRE_ENVELOPE, link->envelope, timeout_ms, on_remote, link);
}

static void go(struct link *link)
{
    struct broker *broker = link->broker;
    int32_t leader = quorum_leader(broker->quorum);
    int64_t now_ms = env_now_ms(broker->env);
    if (controller_active(broker->controller) || link->outer->here_only) {
        give_local(link);
        return;
    }
    if (now_ms >= link->deadline_ms) {
        bool ours = link->outer->client == NULL;
        fail(link, ours ? KAFKA_NOT_CONTROLLER : KAFKA_REQUEST_TIMED_OUT,
             "no active controller answered in time");
        return;
    }
    bool elsewhere = leader >= 0 && leader != broker->node_id;
    link->to = elsewhere ? link_to(broker, leader) : NULL;
    if (link->to == NULL) {
        again(link);
        return;
    }
    struct client_request request = request_of(link, link->deadline_ms - now_ms);
    node_link_send(link->to, &request);
    link->leader = leader;
    link->retry.fire = on_look;
    env_timer_set(broker->env, &link->retry, now_ms + LOOK_MS);
}

/* How long the caller waits: as its request says; half a session for what keeps us alive. */
static int64_t patience_ms(const struct broker *broker, const struct api_controller_call *call)
{
    int64_t wanted_ms = CALL_MS;
    switch (call->api_key) {
    case WIRE_CREATE_TOPICS:
        wanted_ms = ((const struct create_topics_request *)call->request)->timeout_ms;
        break;
    case WIRE_DELETE_TOPICS:
        wanted_ms = ((const struct delete_topics_request *)call->request)->timeout_ms;
        break;
    case WIRE_CREATE_PARTITIONS:
        wanted_ms = ((const struct create_partitions_request *)call->request)->timeout_ms;
        break;
    case WIRE_ELECT_LEADERS:
        wanted_ms = ((const struct elect_leaders_request *)call->request)->timeout_ms;
        break;
    case WIRE_BROKER_REGISTRATION:
    case WIRE_BROKER_HEARTBEAT:
        wanted_ms = settings_int(broker->settings->values, "broker.session.timeout.ms") / 2;
        break;
    default:
        break;
    }
    wanted_ms = wanted_ms < CALL_MIN_MS ? CALL_MIN_MS : wanted_ms;
    return wanted_ms < CALL_MAX_MS ? wanted_ms : CALL_MAX_MS;
}

void node_controller_submit(void *ctx, struct api_controller_call *outer)
{
    struct broker *broker = ctx;
    ASSERT(controller_handles(outer->api_key) || outer->api_key == WIRE_DESCRIBE_QUORUM);
    ASSERT(outer->done != NULL);
    struct link *link = mem_zalloc(sizeof *link);
    link->broker = broker;
    link->outer = outer;
    link->deadline_ms = env_now_ms(broker->env) + patience_ms(broker, outer);
    env_post_init(&link->answered, on_answered);
    outer->refused = 0;
    outer->forward = link;
    go(link);
}

void node_controller_cancel(void *ctx, struct api_controller_call *outer)
{
    struct broker *broker = ctx;
    struct link *link = outer->forward;
    if (link == NULL) {
        return;
    }
    if (link->local) {
        controller_cancel(broker->controller, &link->call);
    } else if (link->to != NULL) {
        node_link_cancel(link->to, link);
    }
    link_free(link);
}
