/* UpdateFeatures (KIP-584, 778, 1022): what the cluster's nodes all do is finalized, or no more.
 *
 * Happy path: a level that this controller and every registered node support -> one record each.
 * All or nothing: where one is refused, nothing is changed. What is refused: a feature this build
 * does not have, above level 0; a level that some node does not support; a downgrade that is not
 * called one, and the reverse; a metadata.version below one that brought another form of records,
 * for what those say would be lost. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };
enum { VERSION_WITH_TYPES = 1 };

typedef struct update_features_request_feature_update asked_update;

struct update {
    struct controller *controller;
    struct controller_call *call;
    struct record_list *records;
    const char *name;
    int16_t level;
    int8_t type;
    struct err_text text;
    int16_t error;
};

void update_features_refuse(struct controller_call *call, int16_t error, const char *message)
{
    struct update_features_response *response = call->response;
    ASSERT(error != 0);
    response->error_code = error;
    response->error_message = wire_str(message);
}

static void no(struct update *update, int16_t error, const char *why)
{
    update->error = error;
    err_set(&update->text, "%.60s to level %d: %s; nothing was changed", update->name,
            update->level, why);
}

static const struct controller_feature *feature_of(const struct update *update)
{
    const struct controller_config *config = &update->controller->config;
    for (size_t i = 0; i < config->feature_count; i++) {
        if (strcmp(config->features[i].name, update->name) == 0) {
            return &config->features[i];
        }
    }
    return NULL;
}

/* ---- what the nodes say ---- */

static bool supports(const struct update *update, const struct image_feature_range *ranges,
                     int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (strcmp(ranges[i].name, update->name) == 0) {
            return ranges[i].min <= update->level && update->level <= ranges[i].max;
        }
    }
    return update->level == 0;
}

static bool check_broker(void *ctx, const struct image_broker *broker)
{
    struct update *update = ctx;
    if (!supports(update, broker->features, broker->feature_count)) {
        char why[64];
        snprintf(why, sizeof why, "broker %" PRId32 " does not support it", broker->id);
        no(update, KAFKA_INVALID_UPDATE_VERSION, why);
    }
    return update->error == 0;
}

static bool check_controller(void *ctx, const struct image_controller *controller)
{
    struct update *update = ctx;
    if (!supports(update, controller->features, controller->feature_count)) {
        char why[64];
        snprintf(why, sizeof why, "controller %" PRId32 " does not support it", controller->id);
        no(update, KAFKA_INVALID_UPDATE_VERSION, why);
    }
    return update->error == 0;
}

/* ---- one feature ---- */

/* Levels of metadata.version from which records have another form (MetadataVersion.java). */
static bool records_changed(int16_t below, int16_t up_to)
{
    static const int16_t levels[] = {METADATA_VERSION_3_7_IV2, METADATA_VERSION_4_0_IV1,
                                     METADATA_VERSION_4_3_IV0};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (below < levels[i] && levels[i] <= up_to) {
            return true;
        }
    }
    return false;
}

static void check_direction(struct update *update, int16_t now)
{
    bool metadata = strcmp(update->name, "metadata.version") == 0;
    if (update->level < now && update->type == UPGRADE) {
        no(update, KAFKA_INVALID_UPDATE_VERSION,
           "that is a downgrade, and the request does not call it one");
    } else if (update->level > now && update->type != UPGRADE) {
        no(update, KAFKA_INVALID_UPDATE_VERSION, "that is an upgrade, not a downgrade");
    } else if (metadata && update->level < now && records_changed(update->level, now)) {
        no(update, KAFKA_INVALID_UPDATE_VERSION,
           update->type == UNSAFE_DOWNGRADE
               ? "an unsafe downgrade of the metadata is not supported"
               : "the downgrade might lose what newer metadata records say");
    }
}

static void update_one(struct update *update)
{
    const struct image *image = update->controller->image;
    const struct controller_feature *feature = feature_of(update);
    int16_t now = image_feature_level(image, update->name);
    if (update->type < UPGRADE || update->type > UNSAFE_DOWNGRADE) {
        no(update, KAFKA_INVALID_UPDATE_VERSION, "an unknown type of upgrade");
    } else if (update->level < 0) {
        no(update, KAFKA_INVALID_UPDATE_VERSION, "a level is not below 0");
    } else if (feature == NULL && update->level > 0) {
        no(update, KAFKA_INVALID_UPDATE_VERSION,
           "this version of Barnabas does not have the feature");
    } else if (feature != NULL && (update->level < feature->min || update->level > feature->max)) {
        no(update, KAFKA_INVALID_UPDATE_VERSION,
           "this version of Barnabas does not have the level");
    } else {
        check_direction(update, now);
    }
    if (update->error == 0) {
        image_each_broker(image, check_broker, update);
    }
    if (update->error == 0) {
        image_each_controller(image, check_controller, update);
    }
    if (update->error != 0 || update->level == now) {
        return;
    }
    struct feature_level_record record;
    wire_defaults(&wire_feature_level_record, &record);
    record.name = wire_str(update->name);
    record.feature_level = update->level;
    record_list_add(update->records, RECORD_FEATURE_LEVEL, 0, &record);
    trace_info(controller_trace(update->controller),
               "controller: %s %s from level %d to %d: %s asked",
               ((const struct update_features_request *)update->call->request)->validate_only
                   ? "could move"
                   : "moves",
               update->name, now, update->level,
               update->call->principal != NULL ? update->call->principal : "a client");
}

static struct update update_of(struct controller *controller, struct controller_call *call,
                               const asked_update *asked, struct record_list *records)
{
    bool typed = call->version >= VERSION_WITH_TYPES;
    return (struct update){
        .controller = controller,
        .call = call,
        .records = records,
        .name = asked->feature.size < 0 ? "" : wire_str_dup(call->arena, asked->feature),
        .level = asked->max_version_level,
        .type = typed                    ? asked->upgrade_type
                : asked->allow_downgrade ? SAFE_DOWNGRADE
                                         : UPGRADE,
    };
}

/* ---- the request ---- */

static void answer(struct controller_call *call)
{
    const struct update_features_request *request = call->request;
    struct update_features_response *response = call->response;
    response->results.items = arena_array(call->arena, (size_t)request->feature_updates.count + 1,
                                          sizeof *response->results.items);
    response->results.count = call->version <= 1 ? request->feature_updates.count : 0;
    for (int32_t i = 0; i < response->results.count; i++) {
        response->results.items[i].feature = request->feature_updates.items[i].feature;
        response->results.items[i].error_message = WIRE_STR_NULL;
    }
}

void update_features_handle(struct controller *controller, struct controller_call *call,
                            struct record_list *records)
{
    const struct update_features_request *request = call->request;
    struct name_set seen = {0};
    int16_t error = 0;
    for (int32_t i = 0; i < request->feature_updates.count && error == 0; i++) {
        struct update update =
            update_of(controller, call, &request->feature_updates.items[i], records);
        if (!name_set_add(&seen, update.name, strlen(update.name))) {
            no(&update, KAFKA_INVALID_REQUEST, "the request names the feature twice");
        } else {
            update_one(&update);
        }
        error = update.error;
        if (error != 0) {
            trace_info(controller_trace(controller), "controller: features: %s", update.text.text);
            update_features_refuse(call, error, arena_strdup(call->arena, update.text.text));
        }
    }
    if (error == 0) {
        answer(call);
    }
    if (error != 0 || request->validate_only) {
        record_list_cut(records, 0);
    }
    name_set_free(&seen);
}
