/* This broker's life as the controller sees it (BrokerLifecycleManager, KIP-631).
 *
 * Happy path: BrokerRegistration -> our image reaches the registration record -> partitions open ->
 * a heartbeat asks to be unfenced -> our image says so -> the node serves -> heartbeats for ever.
 * Failure modes: the controller is not active yet, our former life counts as alive still, or the
 * call fails: asked again after REGISTER_RETRY_MS, and then less and less often. Fenced later on:
 * the next heartbeat asks to be unfenced again. An unknown broker epoch (another incarnation
 * registered under our id): before we were live it may have been the last word of our own earlier
 * life, so we register again; after that it is another process: said, and the node stops.
 *
 * Leaving (controlled shutdown, KIP-841): heartbeats say so, leadership moves to others while we go
 * on serving, until the controller lets us go, which it does when the others have seen what moved;
 * the active controller's own node goes after those that leave at the same time. A controller that
 * is silent for LEAVE_SILENCE_MS, or takes longer than LEAVE_MAX_MS, is not waited for: then the
 * others find out by themselves. */
#include "broker/node/node_internal.h"
#include "common/base/assert.h"

enum {
    REGISTER_RETRY_MS = 50,
    REGISTER_DOUBLE_MAX = 4,
    LEAVE_RETRY_MS = 50,
    LEAVE_LINGER_MS = 200,
    LEAVE_SILENCE_MS = 5000,
    LEAVE_MAX_MS = 30000
};

static void heartbeat(struct broker *broker);

static void on_timer(struct env_timer *timer)
{
    struct broker *broker = CONTAINER_OF(timer, struct broker, registration.timer);
    if (broker->registration.phase == REGISTRATION_NONE) {
        node_register(broker);
    } else {
        heartbeat(broker);
    }
}

static void arm(struct broker *broker, int64_t delay_ms)
{
    broker->registration.timer.fire = on_timer;
    env_timer_set(broker->env, &broker->registration.timer, env_now_ms(broker->env) + delay_ms);
}

static void submit(struct broker *broker, int16_t key, int16_t version, const void *request,
                   void *response, void (*done)(struct api_controller_call *call))
{
    struct registration *self = &broker->registration;
    self->call = (struct api_controller_call){.api_key = key,
                                              .api_version = version,
                                              .request = request,
                                              .response = response,
                                              .arena = &self->arena,
                                              .done = done,
                                              .ctx = broker};
    node_controller_submit(broker, &self->call);
}

/* ---- registration ---- */

static const char *hint_of(int16_t error)
{
    return error == KAFKA_UNSUPPORTED_VERSION
               ? ": the cluster has finalized a feature that this broker does not have; "
                 "kafka-features describe names those that are above level 0"
               : "";
}

static void on_registered(struct api_controller_call *call)
{
    struct broker *broker = call->ctx;
    struct registration *self = &broker->registration;
    const struct broker_registration_response *response = call->response;
    int16_t error = response->error_code;
    int64_t epoch = response->broker_epoch;
    arena_free(&self->arena);
    if (error == KAFKA_NONE) {
        self->refused = 0;
        self->broker_epoch = epoch;
        self->phase = REGISTRATION_KNOWN;
        node_registration_image_changed(broker);
        return;
    }
    self->phase = REGISTRATION_NONE;
    if (error == KAFKA_INCONSISTENT_CLUSTER_ID || error == KAFKA_UNSUPPORTED_VERSION ||
        error == KAFKA_INVALID_REGISTRATION) {
        node_fail(broker, BROKER_EXIT_REFUSED, "the controller refuses to register broker %d: %s%s",
                  broker->node_id, kafka_error_name(error), hint_of(error));
        return;
    }
    trace_info(env_trace(broker->env), "registration of broker %d: %s; asking again",
               broker->node_id, kafka_error_name(error));
    arm(broker, (int64_t)REGISTER_RETRY_MS << self->refused);
    self->refused += self->refused < REGISTER_DOUBLE_MAX;
}

static void fill_listeners(struct broker *broker, struct broker_registration_request *request)
{
    struct arena *arena = &broker->registration.arena;
    request->listeners.items =
        arena_array(arena, (size_t)broker->listener_count, sizeof *request->listeners.items);
    for (int i = 0; i < broker->listener_count; i++) {
        const struct node_listener *listener = &broker->listeners[i];
        if (listener->kind == API_BROKER) {
            int32_t n = request->listeners.count++;
            request->listeners.items[n].name = wire_str(listener->name);
            request->listeners.items[n].host = wire_str(listener->advertised_host);
            request->listeners.items[n].port = listener->advertised_port;
            request->listeners.items[n].security_protocol = 0; /* PLAINTEXT */
        }
    }
}

static void fill_features(struct broker *broker, struct broker_registration_request *request)
{
    size_t count = 0;
    const struct controller_feature *features = controller_default_features(&count);
    request->features.items =
        arena_array(&broker->registration.arena, count, sizeof *request->features.items);
    request->features.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        request->features.items[i].name = wire_str(features[i].name);
        request->features.items[i].min_supported_version = features[i].min;
        request->features.items[i].max_supported_version = features[i].max;
    }
}

void node_register(struct broker *broker)
{
    struct registration *self = &broker->registration;
    heartbeat(broker); /* a new controller hears by our connection should we die */
    if (self->phase != REGISTRATION_NONE || broker->phase >= BROKER_STOPPING) {
        return;
    }
    self->phase = REGISTRATION_ASKED;
    struct broker_registration_request *request = arena_alloc(&self->arena, sizeof *request);
    wire_defaults(&wire_broker_registration_request, request);
    request->broker_id = broker->node_id;
    request->cluster_id = wire_str(broker->cluster_id);
    request->incarnation_id = self->incarnation_id;
    request->rack = wire_str(settings_string(broker->settings->values, "broker.rack"));
    request->previous_broker_epoch = -1;
    fill_listeners(broker, request);
    fill_features(broker, request);
    request->log_dirs.count = broker->dir_count;
    request->log_dirs.items =
        arena_array(&self->arena, (size_t)broker->dir_count, sizeof *request->log_dirs.items);
    for (int i = 0; i < broker->dir_count; i++) {
        request->log_dirs.items[i] = *log_dir_id(broker->dirs[i]);
    }
    submit(broker, WIRE_BROKER_REGISTRATION, wire_message_max(&wire_broker_registration_request),
           request, arena_alloc(&self->arena, sizeof(struct broker_registration_response)),
           on_registered);
}

/* ---- heartbeats ---- */

struct others {
    int32_t us;
    int unfenced;
    int leaving;            /* of the unfenced */
    int64_t leaving_epochs; /* their sum: no two lives have the same */
};

static bool count_other(void *ctx, const struct image_broker *broker)
{
    struct others *others = ctx;
    bool counts = broker->id != others->us && !broker->fenced;
    others->unfenced += counts;
    bool leaves = counts && broker->in_controlled_shutdown;
    others->leaving += leaves;
    others->leaving_epochs += leaves ? broker->epoch : 0;
    return true;
}

static struct others others_of(const struct broker *broker)
{
    struct others others = {.us = broker->node_id};
    image_each_broker(broker->image, count_other, &others);
    return others;
}

static void leave_end(struct broker *broker, const char *why)
{
    struct registration *self = &broker->registration;
    if (broker->phase != BROKER_LEAVING) {
        return; /* told to stop at once meanwhile */
    }
    ASSERT(self->leaving);
    trace_info(env_trace(broker->env), "broker %d leaves: %s", broker->node_id, why);
    self->leaving = false;
    env_timer_cancel(broker->env, &self->leave);
    broker->phase = BROKER_STOPPING;
    node_then(broker, node_stop_begin);
}

static void on_leave_timer(struct env_timer *timer)
{
    leave_end(CONTAINER_OF(timer, struct broker, registration.leave),
              "the controller has not let it go in time");
}

static void wait_for_controller(struct broker *broker)
{
    struct registration *self = &broker->registration;
    int64_t until_ms = env_now_ms(broker->env) + LEAVE_SILENCE_MS;
    self->leave.fire = on_leave_timer;
    env_timer_set(broker->env, &self->leave,
                  until_ms < self->leave_deadline_ms ? until_ms : self->leave_deadline_ms);
}

/* Who stops together with us needs our controller: without us there may be no majority. A moment is
 * given to those who were told to stop when we were, and have not said so yet. */
static bool still_needed(const struct broker *broker)
{
    struct others others = others_of(broker);
    int64_t left_ms = broker->registration.leave_deadline_ms - env_now_ms(broker->env);
    bool just_told = left_ms > LEAVE_MAX_MS - LEAVE_LINGER_MS;
    return controller_active(broker->controller) &&
           (others.leaving > 0 || (others.unfenced > 0 && just_told));
}

static void on_heartbeat(struct api_controller_call *call)
{
    struct broker *broker = call->ctx;
    struct registration *self = &broker->registration;
    const struct broker_heartbeat_response *response = call->response;
    int16_t error = response->error_code;
    bool may_go = response->should_shut_down;
    arena_free(&self->arena);
    self->heartbeat_out = false;
    bool replaced = error == KAFKA_STALE_BROKER_EPOCH || error == KAFKA_BROKER_ID_NOT_REGISTERED;
    if (error == KAFKA_BROKER_ID_NOT_REGISTERED && self->phase == REGISTRATION_LIVE) {
        node_fail(broker, BROKER_EXIT_FAILED,
                  "broker %d was unregistered: it stops; started again, it joins again",
                  broker->node_id);
        return;
    }
    if (replaced && self->phase == REGISTRATION_LIVE) {
        node_fail(
            broker, BROKER_EXIT_FAILED,
            "another process has registered as broker %d (%s): give each broker its own node.id",
            broker->node_id, kafka_error_name(error));
        return;
    }
    if (replaced) {
        /* What an earlier life of ours had sent was slower than our own. */
        trace_warn(env_trace(broker->env), "registration of broker %d was replaced (%s): again",
                   broker->node_id, kafka_error_name(error));
        self->phase = REGISTRATION_NONE;
        node_register(broker);
        return;
    }
    if (error != KAFKA_NONE) {
        trace_warn(env_trace(broker->env), "heartbeat of broker %d: %s", broker->node_id,
                   kafka_error_name(error));
        arm(broker, REGISTER_RETRY_MS);
        return;
    }
    if (self->leaving && may_go && !still_needed(broker)) {
        leave_end(broker, "its leaderships have moved");
    } else if (self->leaving) {
        wait_for_controller(broker);
        arm(broker, LEAVE_RETRY_MS);
    } else if (self->heartbeat_outdated) {
        heartbeat(broker);
    } else {
        arm(broker, settings_int(broker->settings->values, "broker.heartbeat.interval.ms"));
    }
}

/* The controller takes leadership from what lay in a directory that failed (KIP-858). The one with
 * the metadata log is not among them: with it the node ends. */
static void fill_offline_dirs(struct broker *broker, struct broker_heartbeat_request *request)
{
    struct arena *arena = &broker->registration.arena;
    request->offline_log_dirs.items =
        arena_array(arena, (size_t)broker->dir_count, sizeof *request->offline_log_dirs.items);
    for (int i = 0; i < broker->dir_count; i++) {
        if (log_dir_failed(broker->dirs[i])) {
            request->offline_log_dirs.items[request->offline_log_dirs.count++] =
                *log_dir_id(broker->dirs[i]);
        }
    }
}

static void heartbeat(struct broker *broker)
{
    struct registration *self = &broker->registration;
    bool over = broker->phase >= BROKER_STOPPING; /* replicas may settle while they close */
    if (over || self->phase < REGISTRATION_FENCED) {
        return;
    }
    if (self->heartbeat_out) {
        self->heartbeat_outdated = true;
        return;
    }
    self->heartbeat_out = true;
    self->heartbeat_outdated = false;
    env_timer_cancel(broker->env, &self->timer);
    struct broker_heartbeat_request *request = arena_alloc(&self->arena, sizeof *request);
    wire_defaults(&wire_broker_heartbeat_request, request);
    fill_offline_dirs(broker, request);
    request->broker_id = broker->node_id;
    request->broker_epoch = self->broker_epoch;
    request->current_metadata_offset = image_offset(broker->image);
    request->want_fence = !self->replicas_settled;
    request->want_shut_down = self->leaving;
    submit(broker, WIRE_BROKER_HEARTBEAT, wire_message_max(&wire_broker_heartbeat_request), request,
           arena_alloc(&self->arena, sizeof(struct broker_heartbeat_response)), on_heartbeat);
}

/* ---- what happens around it ---- */

/* Who leaves is let go when every other broker has said that it knows of it (KIP-841): so we say it
 * at once. */
static void acknowledge_leaving(struct broker *broker)
{
    struct registration *self = &broker->registration;
    struct others others = others_of(broker);
    bool news = others.leaving > 0 && others.leaving_epochs != self->others_leaving;
    self->others_leaving = others.leaving_epochs;
    if (news && self->phase == REGISTRATION_LIVE) {
        heartbeat(broker);
    }
}

void node_registration_image_changed(struct broker *broker)
{
    struct registration *self = &broker->registration;
    const struct image_broker *us = image_broker(broker->image, broker->node_id);
    if (us == NULL || us->epoch != self->broker_epoch) {
        return;
    }
    if (self->phase == REGISTRATION_KNOWN) {
        self->phase = REGISTRATION_FENCED;
        if (!broker->publishing) { /* it may have been replaced, and made anew */
            node_publish_all(broker);
        }
        self->replicas_settled = replicas_settled(broker->replicas);
        heartbeat(broker);
    }
    if (self->phase == REGISTRATION_FENCED && !us->fenced) {
        self->phase = REGISTRATION_LIVE;
        node_ready(broker);
    } else if (self->phase == REGISTRATION_LIVE && us->fenced && !self->leaving) {
        trace_warn(env_trace(broker->env), "broker %d was fenced by the controller",
                   broker->node_id);
        heartbeat(broker);
    }
    acknowledge_leaving(broker);
    /* Those who have left may have taken the majority with them: nothing more is committed. */
    bool alone = controller_active(broker->controller) && others_of(broker).unfenced == 0;
    if (self->leaving && alone) {
        leave_end(broker, "nobody is left to hand leaderships to");
    }
}

void node_registration_settled(struct broker *broker)
{
    if (!broker->registration.replicas_settled) {
        broker->registration.replicas_settled = true;
        heartbeat(broker);
    }
}

bool node_registration_leave(struct broker *broker)
{
    struct registration *self = &broker->registration;
    if (self->phase != REGISTRATION_LIVE || others_of(broker).unfenced == 0) {
        return false;
    }
    self->leaving = true;
    self->leave_deadline_ms = env_now_ms(broker->env) + LEAVE_MAX_MS;
    wait_for_controller(broker);
    heartbeat(broker); /* or when the one that is out has been answered */
    return true;
}

void node_registration_stop(struct broker *broker)
{
    struct registration *self = &broker->registration;
    self->leaving = false;
    env_timer_cancel(broker->env, &self->timer);
    env_timer_cancel(broker->env, &self->leave);
    if (self->phase == REGISTRATION_ASKED || self->heartbeat_out) {
        node_controller_cancel(broker, &self->call);
    }
    self->heartbeat_out = false;
    arena_free(&self->arena);
}
