/* Brokers and controllers, by their records. A change makes a new node: registrations are small and
 * rare. */
#include <inttypes.h>
#include <string.h>

#include "broker/metadata/image_internal.h"
#include "common/wire/messages.h"

enum { FLAG_FENCE = 1, FLAG_NONE = 0, FLAG_UNFENCE = -1 };

static const struct uuid *uuids_copy(struct arena *arena, const struct uuid *ids, int32_t count)
{
    return count <= 0 ? NULL : arena_dup(arena, ids, (size_t)count * sizeof *ids);
}

static void put_broker(struct apply_ctx *ctx, struct broker_node *node)
{
    int32_t id = node->pub.id;
    pmap_put(&ctx->image->brokers, KEY_ID(id), &node->value);
    delta_broker(ctx->delta, id);
}

enum err apply_register_broker(struct apply_ctx *ctx, const void *msg)
{
    const struct register_broker_record *record = msg;
    struct broker_node *node = broker_new();
    struct arena *arena = &node->arena;
    struct image_broker *pub = &node->pub;
    pub->id = record->broker_id;
    pub->epoch = record->broker_epoch;
    pub->incarnation_id = record->incarnation_id;
    pub->rack = wire_str_dup(arena, record->rack);
    pub->fenced = record->fenced;
    pub->in_controlled_shutdown = record->in_controlled_shutdown;

    int32_t count = record->end_points.count;
    struct image_endpoint *endpoints = arena_array(arena, (size_t)count, sizeof *endpoints);
    for (int32_t i = 0; i < count; i++) {
        endpoints[i] = (struct image_endpoint){
            wire_str_dup(arena, record->end_points.items[i].name),
            wire_str_dup(arena, record->end_points.items[i].host), record->end_points.items[i].port,
            record->end_points.items[i].security_protocol};
    }
    pub->endpoints = endpoints;
    pub->endpoint_count = count;

    count = record->features.count;
    struct image_feature_range *features = arena_array(arena, (size_t)count, sizeof *features);
    for (int32_t i = 0; i < count; i++) {
        features[i] =
            (struct image_feature_range){wire_str_dup(arena, record->features.items[i].name),
                                         record->features.items[i].min_supported_version,
                                         record->features.items[i].max_supported_version};
    }
    pub->features = features;
    pub->feature_count = count;

    pub->log_dirs = uuids_copy(arena, record->log_dirs.items, record->log_dirs.count);
    pub->log_dir_count = record->log_dirs.count;
    pub->cordoned_log_dirs =
        uuids_copy(arena, record->cordoned_log_dirs.items, record->cordoned_log_dirs.count);
    pub->cordoned_log_dir_count =
        record->cordoned_log_dirs.count < 0 ? 0 : record->cordoned_log_dirs.count;
    put_broker(ctx, node);
    return ERR_NONE;
}

/* The broker a change is about, whose epoch must be the one the record names. */
static const struct image_broker *find_broker(const struct apply_ctx *ctx, int32_t id,
                                              int64_t epoch)
{
    const struct image_broker *broker = image_broker(ctx->image, id);
    if (broker == NULL) {
        err_set(ctx->text, "broker %" PRId32 " is not registered", id);
        return NULL;
    }
    if (broker->epoch != epoch) {
        err_set(ctx->text, "broker %" PRId32 " has epoch %" PRId64 ", the record says %" PRId64, id,
                broker->epoch, epoch);
        return NULL;
    }
    return broker;
}

enum err apply_unregister_broker(struct apply_ctx *ctx, const void *msg)
{
    const struct unregister_broker_record *record = msg;
    if (find_broker(ctx, record->broker_id, record->broker_epoch) == NULL) {
        return ERR_NOT_FOUND;
    }
    pmap_remove(&ctx->image->brokers, KEY_ID(record->broker_id));
    delta_broker(ctx->delta, record->broker_id);
    return ERR_NONE;
}

static struct broker_node *copy_broker(const struct image_broker *of)
{
    struct broker_node *node = broker_new();
    struct arena *arena = &node->arena;
    node->pub = *of;
    node->pub.rack = of->rack == NULL ? NULL : arena_strdup(arena, of->rack);
    struct image_endpoint *endpoints =
        arena_array(arena, (size_t)of->endpoint_count, sizeof *endpoints);
    for (int32_t i = 0; i < of->endpoint_count; i++) {
        endpoints[i] = of->endpoints[i];
        endpoints[i].listener = arena_strdup(arena, of->endpoints[i].listener);
        endpoints[i].host = arena_strdup(arena, of->endpoints[i].host);
    }
    node->pub.endpoints = endpoints;
    struct image_feature_range *features =
        arena_array(arena, (size_t)of->feature_count, sizeof *features);
    for (int32_t i = 0; i < of->feature_count; i++) {
        features[i] = of->features[i];
        features[i].name = arena_strdup(arena, of->features[i].name);
    }
    node->pub.features = features;
    node->pub.log_dirs = uuids_copy(arena, of->log_dirs, of->log_dir_count);
    node->pub.cordoned_log_dirs =
        uuids_copy(arena, of->cordoned_log_dirs, of->cordoned_log_dir_count);
    return node;
}

static enum err set_fenced(struct apply_ctx *ctx, int32_t id, int64_t epoch, bool fenced)
{
    const struct image_broker *broker = find_broker(ctx, id, epoch);
    if (broker == NULL) {
        return ERR_NOT_FOUND;
    }
    struct broker_node *node = copy_broker(broker);
    node->pub.fenced = fenced;
    put_broker(ctx, node);
    return ERR_NONE;
}

enum err apply_fence_broker(struct apply_ctx *ctx, const void *msg)
{
    const struct fence_broker_record *record = msg;
    return set_fenced(ctx, record->id, record->epoch, true);
}

enum err apply_unfence_broker(struct apply_ctx *ctx, const void *msg)
{
    const struct unfence_broker_record *record = msg;
    return set_fenced(ctx, record->id, record->epoch, false);
}

enum err apply_broker_registration_change(struct apply_ctx *ctx, const void *msg)
{
    const struct broker_registration_change_record *record = msg;
    const struct image_broker *broker = find_broker(ctx, record->broker_id, record->broker_epoch);
    if (broker == NULL) {
        return ERR_NOT_FOUND;
    }
    if (record->fenced < FLAG_UNFENCE || record->fenced > FLAG_FENCE ||
        record->in_controlled_shutdown < FLAG_NONE || record->in_controlled_shutdown > 1) {
        err_set(ctx->text, "fenced %d, in controlled shutdown %d: not known to this build",
                record->fenced, record->in_controlled_shutdown);
        return ERR_INVALID;
    }
    struct broker_node *node = copy_broker(broker);
    if (record->fenced != FLAG_NONE) {
        node->pub.fenced = record->fenced == FLAG_FENCE;
    }
    if (record->in_controlled_shutdown == 1) {
        node->pub.in_controlled_shutdown = true;
    }
    if (record->log_dirs.count > 0) {
        node->pub.log_dirs =
            uuids_copy(&node->arena, record->log_dirs.items, record->log_dirs.count);
        node->pub.log_dir_count = record->log_dirs.count;
    }
    if (record->cordoned_log_dirs.count >= 0) {
        node->pub.cordoned_log_dirs = uuids_copy(&node->arena, record->cordoned_log_dirs.items,
                                                 record->cordoned_log_dirs.count);
        node->pub.cordoned_log_dir_count = record->cordoned_log_dirs.count;
    }
    put_broker(ctx, node);
    return ERR_NONE;
}

enum err apply_register_controller(struct apply_ctx *ctx, const void *msg)
{
    const struct register_controller_record *record = msg;
    struct controller_node *node = controller_new_node();
    struct arena *arena = &node->arena;
    node->pub.id = record->controller_id;
    node->pub.incarnation_id = record->incarnation_id;
    int32_t count = record->end_points.count;
    struct image_endpoint *endpoints = arena_array(arena, (size_t)count, sizeof *endpoints);
    for (int32_t i = 0; i < count; i++) {
        endpoints[i] = (struct image_endpoint){
            wire_str_dup(arena, record->end_points.items[i].name),
            wire_str_dup(arena, record->end_points.items[i].host), record->end_points.items[i].port,
            record->end_points.items[i].security_protocol};
    }
    node->pub.endpoints = endpoints;
    node->pub.endpoint_count = count;
    count = record->features.count;
    struct image_feature_range *features = arena_array(arena, (size_t)count, sizeof *features);
    for (int32_t i = 0; i < count; i++) {
        features[i] =
            (struct image_feature_range){wire_str_dup(arena, record->features.items[i].name),
                                         record->features.items[i].min_supported_version,
                                         record->features.items[i].max_supported_version};
    }
    node->pub.features = features;
    node->pub.feature_count = count;
    pmap_put(&ctx->image->controllers, KEY_ID(node->pub.id), &node->value);
    delta_controller(ctx->delta, node->pub.id);
    return ERR_NONE;
}
