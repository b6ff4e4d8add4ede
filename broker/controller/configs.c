/* IncrementalAlterConfigs (KIP-339) and AlterConfigs, which says all there is to be of a resource.
 * Each resource succeeds or fails as a whole. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

typedef struct incremental_alter_configs_request_resource incremental_resource;
typedef struct alter_configs_request_resource whole_resource;

enum operation { SET = 0, DELETE = 1, APPEND = 2, SUBTRACT = 3 };

/* ---- shared with topics.c ---------------------------------------------------------------------
 */

void add_config_record(struct record_list *records, enum image_resource type, struct wire_str name,
                       struct wire_str key, struct wire_str value)
{
    ASSERT(key.size > 0 && name.size >= 0);
    struct config_record record;
    wire_defaults(&wire_config_record, &record);
    record.resource_type = (int8_t)type;
    record.resource_name = name;
    record.name = key;
    record.value = value;
    record_list_add(records, RECORD_CONFIG, 0, &record);
}

int16_t config_check(const struct controller *controller, enum image_resource type,
                     const char *name, const char *key, const char *value, struct err_text *text)
{
    const struct controller_settings_hooks *hooks = &controller->config.settings;
    if (hooks->check == NULL) {
        return 0;
    }
    return hooks->check(hooks->ctx, type, name, key, value, text);
}

static bool holds_nul(struct wire_str s)
{
    return s.size > 0 && memchr(s.data, '\0', (size_t)s.size) != NULL;
}

int16_t config_text_check(struct wire_str key, struct wire_str value, struct err_text *text)
{
    if (key.size <= 0) {
        err_set(text, "a setting without a name");
        return KAFKA_INVALID_CONFIG;
    }
    if (holds_nul(key) || holds_nul(value)) {
        err_set(text, "the name or the value of a setting holds a NUL byte");
        return KAFKA_INVALID_CONFIG;
    }
    return 0;
}

/* ---- one resource -----------------------------------------------------------------------------
 */

struct change {
    struct controller *controller;
    struct controller_call *call;
    enum image_resource type;
    struct wire_str resource;
    const char *name; /* the resource's, NUL-terminated */
    struct record_list *records;
    struct err_text text;
    struct name_set keys; /* named so far */
};

static int16_t check_broker(struct change *change)
{
    const struct image *image = change->controller->image;
    char *end = NULL;
    long id = strtol(change->name, &end, 10);
    if (end == change->name || *end != '\0' || id < 0 || id > INT32_MAX) {
        err_set(&change->text, "\"%s\" is not a broker id", change->name);
        return KAFKA_INVALID_REQUEST;
    }
    if (image_broker(image, (int32_t)id) == NULL && image_controller(image, (int32_t)id) == NULL) {
        err_set(&change->text, "broker %ld is not registered", id);
        return KAFKA_BROKER_ID_NOT_REGISTERED;
    }
    return 0;
}

static int16_t check_resource(struct change *change)
{
    if (change->type == IMAGE_RESOURCE_TOPIC) {
        if (image_topic_by_name(change->controller->image, change->name) == NULL) {
            err_set(&change->text, "topic %s does not exist", change->name);
            return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        }
        return 0;
    }
    if (change->type == IMAGE_RESOURCE_BROKER) {
        return change->name[0] == '\0' ? 0 : check_broker(change);
    }
    err_set(&change->text, "resource type %d has no settings to change here", (int)change->type);
    return KAFKA_INVALID_REQUEST;
}

static const char *present_value(const struct change *change, const char *key)
{
    const char *value =
        image_config_value(change->controller->image, change->type, change->name, key);
    const struct controller_settings_hooks *hooks = &change->controller->config.settings;
    if (value == NULL && hooks->default_value != NULL) {
        value = hooks->default_value(hooks->ctx, change->type, key);
    }
    return value == NULL ? "" : value;
}

static bool list_holds(const char *list, const char *item, size_t size)
{
    for (const char *at = list; *at != '\0';) {
        size_t part = strcspn(at, ",");
        if (part == size && strncmp(at, item, size) == 0) {
            return true;
        }
        at += part + (at[part] == ',');
    }
    return false;
}

/* The list `value` with the items of `items` added (those not in it) or taken out. */
static const char *edit_list(struct arena *arena, const char *value, const char *items, bool add)
{
    const char *from = add ? items : value;
    const char *against = add ? value : items;
    ASSERT(value != NULL && items != NULL);
    struct bytes out = {0};
    if (add) {
        bytes_printf(&out, "%s", value);
    }
    for (const char *at = from; *at != '\0';) {
        size_t part = strcspn(at, ",");
        if (part > 0 && !list_holds(against, at, part)) {
            bytes_printf(&out, "%s%.*s", out.size > 0 ? "," : "", (int)part, at);
        }
        at += part + (at[part] == ',');
    }
    char *text = arena_alloc(arena, out.size + 1);
    if (out.size > 0) {
        memcpy(text, out.data, out.size);
    }
    bytes_free(&out);
    return text;
}

static bool is_list(const struct change *change, const char *key)
{
    const struct controller_settings_hooks *hooks = &change->controller->config.settings;
    return hooks->is_list != NULL && hooks->is_list(hooks->ctx, change->type, key);
}

/* Judges one setting and adds its record, if it changes anything. */
static int16_t change_one(struct change *change, struct wire_str key, enum operation operation,
                          struct wire_str value)
{
    struct arena *arena = change->call->arena;
    int16_t error = config_text_check(key, value, &change->text);
    if (error != 0) {
        return error;
    }
    if (!name_set_add(&change->keys, key.data, (size_t)key.size)) {
        err_set(&change->text, "a setting is named twice for one resource");
        return KAFKA_INVALID_REQUEST;
    }
    const char *name = wire_str_dup(arena, key);
    const char *wanted = operation == DELETE ? NULL : wire_str_dup(arena, value);
    if (operation < SET || operation > SUBTRACT || (operation != DELETE && wanted == NULL)) {
        err_set(&change->text, "%s: operation %d with %s", name, (int)operation,
                wanted == NULL ? "no value" : "a value");
        return KAFKA_INVALID_CONFIG;
    }
    if (operation == APPEND || operation == SUBTRACT) {
        if (!is_list(change, name)) {
            err_set(&change->text, "%s is not a list: it can be set or deleted only", name);
            return KAFKA_INVALID_CONFIG;
        }
        wanted = edit_list(arena, present_value(change, name), wanted, operation == APPEND);
    }
    error =
        config_check(change->controller, change->type, change->name, name, wanted, &change->text);
    if (error != 0) {
        return error;
    }
    const char *now =
        image_config_value(change->controller->image, change->type, change->name, name);
    bool same = wanted == NULL ? now == NULL : now != NULL && strcmp(now, wanted) == 0;
    if (!same) {
        add_config_record(change->records, change->type, change->resource, key, wire_str(wanted));
    }
    return 0;
}

static void note(const struct change *change, int16_t error, size_t changed, bool validate_only)
{
    const char *kind = change->type == IMAGE_RESOURCE_TOPIC    ? "topic"
                       : change->type == IMAGE_RESOURCE_BROKER ? "broker"
                                                               : "resource";
    if (error != 0) {
        trace_info(controller_trace(change->controller),
                   "controller: changes no setting of %s \"%s\": %s", kind, change->name,
                   change->text.text);
    } else if (!validate_only) {
        trace_info(controller_trace(change->controller),
                   "controller: changes %zu settings of %s \"%s\": %s asked for it", changed, kind,
                   change->name,
                   change->call->principal == NULL ? "a client" : change->call->principal);
    }
}

static struct change change_of(struct controller *controller, struct controller_call *call,
                               int8_t type, struct wire_str name, struct record_list *records)
{
    return (struct change){
        .controller = controller,
        .call = call,
        .type = (enum image_resource)type,
        .resource = name.size < 0 ? wire_str("") : name,
        .name = name.size < 0 ? "" : wire_str_dup(call->arena, name),
        .records = records,
    };
}

/* ---- IncrementalAlterConfigs ------------------------------------------------------------------
 */

static void make_room(struct controller_call *call)
{
    const struct incremental_alter_configs_request *request = call->request;
    struct incremental_alter_configs_response *response = call->response;
    response->responses.items = arena_array(call->arena, (size_t)request->resources.count + 1,
                                            sizeof *response->responses.items);
    response->responses.count = request->resources.count;
    for (int32_t i = 0; i < request->resources.count; i++) {
        response->responses.items[i].resource_type = request->resources.items[i].resource_type;
        response->responses.items[i].resource_name = request->resources.items[i].resource_name;
        response->responses.items[i].error_message = WIRE_STR_NULL;
    }
}

void incremental_alter_configs_refuse(struct controller_call *call, int16_t error,
                                      const char *message)
{
    make_room(call);
    struct incremental_alter_configs_response *response = call->response;
    for (int32_t i = 0; i < response->responses.count; i++) {
        response->responses.items[i].error_code = error;
        response->responses.items[i].error_message = wire_str(message);
    }
}

/* Resources that the request holds more than once: nobody knows what is meant. */
static bool named_twice(struct name_set *seen, int8_t type, struct wire_str name)
{
    struct bytes key = {0};
    bytes_append(&key, &type, 1);
    if (name.size > 0) {
        bytes_append(&key, name.data, (size_t)name.size);
    }
    bool added = name_set_add(seen, key.data, key.size);
    bytes_free(&key);
    return !added;
}

/* The end of one resource's change: what was decided, or nothing of it. Returns the words. */
static struct wire_str conclude(struct change *change, int16_t error, size_t before,
                                bool validate_only)
{
    note(change, error, change->records->count - before, validate_only);
    if (error != 0 || validate_only) {
        record_list_cut(change->records, before);
    }
    name_set_free(&change->keys);
    return wire_str(error == 0 ? NULL : arena_strdup(change->call->arena, change->text.text));
}

void incremental_alter_configs_handle(struct controller *controller, struct controller_call *call,
                                      struct record_list *records)
{
    const struct incremental_alter_configs_request *request = call->request;
    struct incremental_alter_configs_response *response = call->response;
    struct name_set seen = {0};
    make_room(call);
    for (int32_t i = 0; i < request->resources.count; i++) {
        const incremental_resource *asked = &request->resources.items[i];
        struct change change =
            change_of(controller, call, asked->resource_type, asked->resource_name, records);
        size_t before = records->count;
        int16_t error = check_resource(&change);
        if (error == 0 && named_twice(&seen, asked->resource_type, asked->resource_name)) {
            err_set(&change.text, "the request names the resource twice");
            error = KAFKA_INVALID_REQUEST;
        }
        for (int32_t k = 0; k < asked->configs.count && error == 0; k++) {
            error = change_one(&change, asked->configs.items[k].name,
                               (enum operation)asked->configs.items[k].config_operation,
                               asked->configs.items[k].value);
        }
        response->responses.items[i].error_code = error;
        response->responses.items[i].error_message =
            conclude(&change, error, before, request->validate_only);
    }
    name_set_free(&seen);
}

/* ---- AlterConfigs -----------------------------------------------------------------------------
 */

static void make_room_whole(struct controller_call *call)
{
    const struct alter_configs_request *request = call->request;
    struct alter_configs_response *response = call->response;
    response->responses.items = arena_array(call->arena, (size_t)request->resources.count + 1,
                                            sizeof *response->responses.items);
    response->responses.count = request->resources.count;
    for (int32_t i = 0; i < request->resources.count; i++) {
        response->responses.items[i].resource_type = request->resources.items[i].resource_type;
        response->responses.items[i].resource_name = request->resources.items[i].resource_name;
        response->responses.items[i].error_message = WIRE_STR_NULL;
    }
}

void alter_configs_refuse(struct controller_call *call, int16_t error, const char *message)
{
    struct alter_configs_response *response = call->response;
    make_room_whole(call);
    for (int32_t i = 0; i < response->responses.count; i++) {
        response->responses.items[i].error_code = error;
        response->responses.items[i].error_message = wire_str(message);
    }
}

/* What the resource has and the request does not name goes back to its default. */
static void unset_others(struct change *change)
{
    const struct image_configs *now =
        image_configs(change->controller->image, change->type, change->name);
    for (int32_t i = 0; now != NULL && i < now->count; i++) {
        const char *key = now->items[i].key;
        if (!name_set_has(&change->keys, key, strlen(key))) {
            add_config_record(change->records, change->type, change->resource, wire_str(key),
                              WIRE_STR_NULL);
        }
    }
}

void alter_configs_handle(struct controller *controller, struct controller_call *call,
                          struct record_list *records)
{
    const struct alter_configs_request *request = call->request;
    struct alter_configs_response *response = call->response;
    struct name_set seen = {0};
    make_room_whole(call);
    for (int32_t i = 0; i < request->resources.count; i++) {
        const whole_resource *asked = &request->resources.items[i];
        struct change change =
            change_of(controller, call, asked->resource_type, asked->resource_name, records);
        size_t before = records->count;
        int16_t error = check_resource(&change);
        if (error == 0 && named_twice(&seen, asked->resource_type, asked->resource_name)) {
            err_set(&change.text, "the request names the resource twice");
            error = KAFKA_INVALID_REQUEST;
        }
        for (int32_t k = 0; k < asked->configs.count && error == 0; k++) {
            error = change_one(&change, asked->configs.items[k].name, SET,
                               asked->configs.items[k].value);
        }
        if (error == 0) {
            unset_others(&change);
        }
        response->responses.items[i].error_code = error;
        response->responses.items[i].error_message =
            conclude(&change, error, before, request->validate_only);
    }
    name_set_free(&seen);
}
