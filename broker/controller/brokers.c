/* BrokerRegistration, UnregisterBroker and ControllerRegistration (KIP-631, 858, 919). */
#include <inttypes.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

void broker_registration_refuse(struct controller_call *call, int16_t error, const char *message)
{
    struct broker_registration_response *response = call->response;
    ASSERT(message != NULL);
    response->error_code = error;
}

struct check {
    struct controller *controller;
    const struct broker_registration_request *request;
    int16_t error;
    struct err_text text;
};

static void fail(struct check *check, int16_t error, const char *why)
{
    check->error = error;
    err_set(&check->text, "%s", why);
}

/* ---- features: what is finalized must be within what the broker can do ---- */

static bool supports(const struct broker_registration_request *request,
                     const struct image_feature *feature)
{
    for (int32_t i = 0; i < request->features.count; i++) {
        if (wire_str_is(request->features.items[i].name, feature->name)) {
            return request->features.items[i].min_supported_version <= feature->level &&
                   feature->level <= request->features.items[i].max_supported_version;
        }
    }
    return false;
}

static bool check_feature(void *ctx, const struct image_feature *feature)
{
    struct check *check = ctx;
    if (!supports(check->request, feature)) {
        check->error = KAFKA_UNSUPPORTED_VERSION;
        err_set(&check->text, "it does not support %s %d, which the cluster has finalized",
                feature->name, feature->level);
    }
    return check->error == 0;
}

/* ---- directories ---- */

static bool check_owner(void *ctx, const struct image_broker *broker)
{
    struct check *check = ctx;
    if (broker->id == check->request->broker_id) {
        return true;
    }
    for (int32_t i = 0; i < broker->log_dir_count && check->error == 0; i++) {
        for (int32_t k = 0; k < check->request->log_dirs.count; k++) {
            if (uuid_equal(&broker->log_dirs[i], &check->request->log_dirs.items[k])) {
                check->error = KAFKA_INVALID_REGISTRATION;
                err_set(&check->text, "broker %" PRId32 " holds one of its log directories",
                        broker->id);
            }
        }
    }
    return check->error == 0;
}

/* Kafka keeps the first hundred numbers for itself. */
static bool reserved(const struct uuid *id)
{
    for (int i = 0; i < 15; i++) {
        if (id->bytes[i] != 0) {
            return false;
        }
    }
    return id->bytes[15] < 100;
}

static void check_directories(struct check *check)
{
    const struct broker_registration_request *request = check->request;
    if (request->log_dirs.count <= 0) {
        fail(check, KAFKA_INVALID_REGISTRATION, "it names no log directory");
        return;
    }
    for (int32_t i = 0; i < request->log_dirs.count; i++) {
        if (reserved(&request->log_dirs.items[i])) {
            fail(check, KAFKA_INVALID_REGISTRATION, "it names a reserved log directory id");
            return;
        }
        for (int32_t k = 0; k < i; k++) {
            if (uuid_equal(&request->log_dirs.items[i], &request->log_dirs.items[k])) {
                fail(check, KAFKA_INVALID_REGISTRATION, "it names a log directory twice");
                return;
            }
        }
    }
    image_each_broker(check->controller->image, check_owner, check);
}

/* ---- who it is ---- */

static bool listens_at(const struct broker_registration_request *request,
                       const struct image_endpoint *endpoint)
{
    for (int32_t i = 0; i < request->listeners.count; i++) {
        if (wire_str_is(request->listeners.items[i].name, endpoint->listener) &&
            wire_str_is(request->listeners.items[i].host, endpoint->host) &&
            request->listeners.items[i].port == endpoint->port) {
            return true;
        }
    }
    return false;
}

/* It holds a log directory that the older life held, and listens where that did: of both there can
 * be but one at a time, a directory being locked by its process. */
static bool in_its_place(const struct broker_registration_request *request,
                         const struct image_broker *existing)
{
    ASSERT(existing->id == request->broker_id);
    bool same = existing->endpoint_count == request->listeners.count;
    for (int32_t i = 0; i < existing->endpoint_count && same; i++) {
        same = listens_at(request, &existing->endpoints[i]);
    }
    bool holds = false;
    for (int32_t i = 0; i < existing->log_dir_count && same && !holds; i++) {
        holds =
            uuids_hold(request->log_dirs.items, request->log_dirs.count, &existing->log_dirs[i]);
    }
    return same && holds;
}

/* An older life of the broker is still heard of. Not so when the broker is this very process: its
 * older life ended when this one took the lock on the data directory. Nor when it is in the place
 * of the older one, with which we are not in touch; in touch, a request that a life sent before it
 * ended could put out the one after it. */
static bool old_life_lasts(struct check *check, const struct image_broker *existing)
{
    return existing != NULL && existing->id != check->controller->config.node_id &&
           session_valid(check->controller, existing) &&
           !uuid_equal(&existing->incarnation_id, &check->request->incarnation_id) &&
           (session_in_touch(check->controller, existing) ||
            !in_its_place(check->request, existing));
}

static void check_registration(struct check *check, const struct image_broker *existing)
{
    const struct broker_registration_request *request = check->request;
    if (!wire_str_is(request->cluster_id, check->controller->config.cluster_id)) {
        fail(check, KAFKA_INCONSISTENT_CLUSTER_ID, "it belongs to another cluster");
    } else if (request->broker_id < 0) {
        fail(check, KAFKA_INVALID_REQUEST, "its id is negative");
    } else if (request->is_migrating_zk_broker) {
        fail(check, KAFKA_BROKER_ID_NOT_REGISTERED, "it migrates from ZooKeeper");
    } else if (old_life_lasts(check, existing)) {
        fail(check, KAFKA_DUPLICATE_BROKER_REGISTRATION,
             "another broker of that id is alive, or was until a moment ago");
    } else if (request->listeners.count <= 0) {
        fail(check, KAFKA_INVALID_REGISTRATION, "it has no listener");
    }
    if (check->error == 0) {
        check_directories(check);
    }
    if (check->error == 0) {
        image_each_feature(check->controller->image, check_feature, check);
    }
}

/* ---- the record ---- */

static void fill(struct register_broker_record *record,
                 const struct broker_registration_request *request, struct arena *arena)
{
    record->broker_id = request->broker_id;
    record->incarnation_id = request->incarnation_id;
    record->rack = request->rack;
    int32_t count = request->listeners.count;
    record->end_points.items =
        arena_array(arena, (size_t)count + 1, sizeof *record->end_points.items);
    record->end_points.count = count;
    for (int32_t i = 0; i < count; i++) {
        record->end_points.items[i].name = request->listeners.items[i].name;
        record->end_points.items[i].host = request->listeners.items[i].host;
        record->end_points.items[i].port = request->listeners.items[i].port;
        record->end_points.items[i].security_protocol =
            request->listeners.items[i].security_protocol;
    }
    count = request->features.count;
    record->features.items = arena_array(arena, (size_t)count + 1, sizeof *record->features.items);
    record->features.count = count;
    for (int32_t i = 0; i < count; i++) {
        record->features.items[i].name = request->features.items[i].name;
        record->features.items[i].min_supported_version =
            request->features.items[i].min_supported_version;
        record->features.items[i].max_supported_version =
            request->features.items[i].max_supported_version;
    }
    record->log_dirs.items = request->log_dirs.items;
    record->log_dirs.count = request->log_dirs.count;
}

void broker_registration_handle(struct controller *controller, struct controller_call *call,
                                struct record_list *records)
{
    const struct broker_registration_request *request = call->request;
    struct broker_registration_response *response = call->response;
    const struct image_broker *existing = image_broker(controller->image, request->broker_id);
    struct check check = {controller, request, 0, {{0}}};
    check_registration(&check, existing);
    if (check.error != 0) {
        response->error_code = check.error;
        trace_warn(controller_trace(controller),
                   "controller: refuses to register broker %" PRId32 ": %s", request->broker_id,
                   check.text.text);
        return;
    }
    ASSERT(request->broker_id >= 0 && request->log_dirs.count > 0);
    struct register_broker_record record;
    wire_defaults(&wire_register_broker_record, &record);
    fill(&record, request, call->arena);
    bool amends =
        existing != NULL && uuid_equal(&existing->incarnation_id, &request->incarnation_id);
    size_t changed = 0;
    if (amends) {
        record.broker_epoch = existing->epoch;
        record.fenced = existing->fenced;
        record.in_controlled_shutdown = existing->in_controlled_shutdown;
    } else {
        changed = leaders_leave(controller, request->broker_id, records);
        record.fenced = true;
        record.broker_epoch =
            controller->writer.next_offset(controller->writer.ctx) + (int64_t)records->count;
    }
    record_list_add(records, RECORD_REGISTER_BROKER, register_broker_version(controller->image),
                    &record);
    if (!amends) {
        session_start(controller, request->broker_id, record.broker_epoch);
    }
    response->broker_epoch = record.broker_epoch;
    trace_info(controller_trace(controller),
               "controller: registers broker %" PRId32 " with epoch %" PRId64
               ", %zu partitions change: %s",
               request->broker_id, record.broker_epoch, changed,
               amends             ? "it amends its registration"
               : existing == NULL ? "it is new"
                                  : "it starts a new life");
}

/* ---- leaving for good ---- */

void unregister_broker_refuse(struct controller_call *call, int16_t error, const char *message)
{
    struct unregister_broker_response *response = call->response;
    response->error_code = error;
    response->error_message = wire_str(message);
}

/* What it holds stays assigned to it, out of the ISR, until it is reassigned. */
void unregister_broker_handle(struct controller *controller, struct controller_call *call,
                              struct record_list *records)
{
    const struct unregister_broker_request *request = call->request;
    struct unregister_broker_response *response = call->response;
    const struct image_broker *broker = image_broker(controller->image, request->broker_id);
    response->error_message = WIRE_STR_NULL;
    if (broker == NULL) {
        response->error_code = KAFKA_BROKER_ID_NOT_REGISTERED;
        response->error_message = wire_str(
            arena_printf(call->arena, "broker %" PRId32 " is not registered", request->broker_id));
        return;
    }
    size_t changed = leaders_leave(controller, broker->id, records);
    struct unregister_broker_record record;
    wire_defaults(&wire_unregister_broker_record, &record);
    record.broker_id = broker->id;
    record.broker_epoch = broker->epoch;
    record_list_add(records, RECORD_UNREGISTER_BROKER, 0, &record);
    trace_info(controller_trace(controller),
               "controller: broker %" PRId32
               " is registered no more, %zu partitions change: %s asked",
               broker->id, changed, call->principal != NULL ? call->principal : "a client");
}

/* ---- controllers ---- */

void controller_registration_refuse(struct controller_call *call, int16_t error,
                                    const char *message)
{
    struct controller_registration_response *response = call->response;
    response->error_code = error;
    response->error_message = wire_str(message);
}

void controller_registration_handle(struct controller *controller, struct controller_call *call,
                                    struct record_list *records)
{
    const struct controller_registration_request *request = call->request;
    struct register_controller_record record;
    wire_defaults(&wire_register_controller_record, &record);
    record.controller_id = request->controller_id;
    record.incarnation_id = request->incarnation_id;
    int32_t count = request->listeners.count;
    record.end_points.items =
        arena_array(call->arena, (size_t)count + 1, sizeof *record.end_points.items);
    record.end_points.count = count;
    for (int32_t i = 0; i < count; i++) {
        record.end_points.items[i].name = request->listeners.items[i].name;
        record.end_points.items[i].host = request->listeners.items[i].host;
        record.end_points.items[i].port = request->listeners.items[i].port;
        record.end_points.items[i].security_protocol =
            request->listeners.items[i].security_protocol;
    }
    count = request->features.count;
    record.features.items =
        arena_array(call->arena, (size_t)count + 1, sizeof *record.features.items);
    record.features.count = count;
    for (int32_t i = 0; i < count; i++) {
        record.features.items[i].name = request->features.items[i].name;
        record.features.items[i].min_supported_version =
            request->features.items[i].min_supported_version;
        record.features.items[i].max_supported_version =
            request->features.items[i].max_supported_version;
    }
    record_list_add(records, RECORD_REGISTER_CONTROLLER, 0, &record);
    trace_info(controller_trace(controller),
               "controller: registers controller %" PRId32 ": it says where it is",
               request->controller_id);
}
