/* A controller tells the active one where it listens (ControllerRegistrationManager, KIP-919): that
 * is what DescribeCluster on controller listeners answers with, and what tools given
 * --bootstrap-controller go by.
 *
 * Happy path: a leader is known -> the image does not hold this life of ours -> asked -> the record
 * is committed and the image holds it. Failure modes: refused, or no answer: asked again after
 * RETRY_MS. The call itself finds the active controller (controller_link.c). */
#include "broker/node/node_internal.h"
#include "common/base/assert.h"

enum { RETRY_MS = 1000 };

static void on_retry(struct env_timer *timer)
{
    node_register_controller(CONTAINER_OF(timer, struct broker, controller_registration.retry));
}

static void on_registered(struct api_controller_call *call)
{
    struct broker *broker = call->ctx;
    struct controller_registration *self = &broker->controller_registration;
    const struct controller_registration_response *response = call->response;
    int16_t error = response->error_code;
    self->asked = false;
    arena_free(&self->arena);
    if (error != KAFKA_NONE) {
        trace_info(env_trace(broker->env), "registration of controller %d: %s; asking again",
                   broker->node_id, kafka_error_name(error));
    }
    /* Without an error too: a leader that lost its place may have lost the record with it. */
    self->retry.fire = on_retry;
    env_timer_set(broker->env, &self->retry, env_now_ms(broker->env) + RETRY_MS);
}

static int32_t fill_listeners(struct broker *broker,
                              struct controller_registration_request *request)
{
    struct arena *arena = &broker->controller_registration.arena;
    request->listeners.items =
        arena_array(arena, (size_t)broker->listener_count + 1, sizeof *request->listeners.items);
    for (int i = 0; i < broker->listener_count; i++) {
        const struct node_listener *listener = &broker->listeners[i];
        if (listener->kind == API_CONTROLLER) {
            int32_t n = request->listeners.count++;
            request->listeners.items[n].name = wire_str(listener->name);
            request->listeners.items[n].host = wire_str(listener->advertised_host);
            request->listeners.items[n].port = listener->advertised_port;
            request->listeners.items[n].security_protocol = 0; /* PLAINTEXT */
        }
    }
    return request->listeners.count;
}

static void fill_features(struct broker *broker, struct controller_registration_request *request)
{
    size_t count = 0;
    const struct controller_feature *features = controller_default_features(&count);
    request->features.items =
        arena_array(&broker->controller_registration.arena, count, sizeof *request->features.items);
    request->features.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        request->features.items[i].name = wire_str(features[i].name);
        request->features.items[i].min_supported_version = features[i].min;
        request->features.items[i].max_supported_version = features[i].max;
    }
}

/* Something is to be said, and somebody may be there to hear it. */
static bool due(const struct broker *broker)
{
    const struct image_controller *known = image_controller(broker->image, broker->node_id);
    if (known != NULL && uuid_equal(&known->incarnation_id, &broker->registration.incarnation_id)) {
        return false;
    }
    return (broker->settings->roles & BROKER_ROLE_CONTROLLER) && broker->phase < BROKER_STOPPING &&
           !broker->controller_registration.asked && quorum_leader(broker->quorum) >= 0 &&
           image_feature_level(broker->image, "metadata.version") > 0;
}

void node_register_controller(struct broker *broker)
{
    struct controller_registration *self = &broker->controller_registration;
    if (!due(broker)) {
        return;
    }
    env_timer_cancel(broker->env, &self->retry);
    struct controller_registration_request *request = arena_alloc(&self->arena, sizeof *request);
    wire_defaults(&wire_controller_registration_request, request);
    if (fill_listeners(broker, request) == 0) { /* a lone node that nobody else can reach */
        arena_free(&self->arena);
        return;
    }
    fill_features(broker, request);
    request->controller_id = broker->node_id;
    request->incarnation_id = broker->registration.incarnation_id;
    self->asked = true;
    self->call = (struct api_controller_call){
        .api_key = WIRE_CONTROLLER_REGISTRATION,
        .request = request,
        .response = arena_alloc(&self->arena, sizeof(struct controller_registration_response)),
        .arena = &self->arena,
        .done = on_registered,
        .ctx = broker};
    node_controller_submit(broker, &self->call);
}

void node_register_controller_stop(struct broker *broker)
{
    struct controller_registration *self = &broker->controller_registration;
    env_timer_cancel(broker->env, &self->retry);
    if (self->asked) {
        node_controller_cancel(broker, &self->call);
        self->asked = false;
    }
    arena_free(&self->arena);
}
