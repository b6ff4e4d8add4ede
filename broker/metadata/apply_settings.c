/* Configs, features and producer ids, by their records. */
#include <inttypes.h>
#include <string.h>

#include "broker/metadata/image_internal.h"
#include "common/wire/messages.h"

static bool plain_text(struct wire_str s)
{
    return s.size <= 0 || memchr(s.data, '\0', (size_t)s.size) == NULL;
}

static size_t size_of(struct wire_str s)
{
    return s.size < 0 ? 0 : (size_t)s.size;
}

enum err apply_config(struct apply_ctx *ctx, const void *msg)
{
    const struct config_record *record = msg;
    if (!plain_text(record->resource_name) || !plain_text(record->name) ||
        !plain_text(record->value)) {
        err_set(ctx->text, "a setting's name or value holds a NUL byte");
        return ERR_INVALID;
    }
    enum image_resource type = (enum image_resource)record->resource_type;
    const char *name = record->resource_name.data;
    size_t size = size_of(record->resource_name);
    struct configs_node *node = configs_own(ctx->image, type, name, size);
    if (node == NULL && record->value.size < 0) {
        return ERR_NONE; /* unsetting what was not set */
    }
    if (node == NULL) {
        node = configs_new(type, name, size);
        struct bytes scratch = {0};
        pmap_put(&ctx->image->configs, configs_key(type, name, size, &scratch), &node->value);
        bytes_free(&scratch);
    }
    delta_configs(ctx->delta, type, node->pub.name);
    if (record->value.size >= 0) {
        configs_set(node, record->name.data, size_of(record->name), record->value.data,
                    size_of(record->value));
        return ERR_NONE;
    }
    configs_unset(node, record->name.data, size_of(record->name));
    if (node->pub.count == 0) {
        configs_remove(ctx->image, type, name, size);
    }
    return ERR_NONE;
}

enum err apply_feature_level(struct apply_ctx *ctx, const void *msg)
{
    const struct feature_level_record *record = msg;
    if (!plain_text(record->name) || record->name.size <= 0 || record->feature_level < 0) {
        err_set(ctx->text, "feature level %d", record->feature_level);
        return ERR_INVALID;
    }
    struct pmap_key key = KEY_TEXT(record->name.data, size_of(record->name));
    if (record->feature_level == 0) {
        pmap_remove(&ctx->image->features, key);
    } else {
        struct feature_node *node =
            feature_new(record->name.data, size_of(record->name), record->feature_level);
        pmap_put(&ctx->image->features, key, &node->value);
    }
    if (ctx->delta != NULL) {
        ctx->delta->features = true;
    }
    return ERR_NONE;
}

enum err apply_producer_ids(struct apply_ctx *ctx, const void *msg)
{
    const struct producer_ids_record *record = msg;
    if (record->next_producer_id <= ctx->image->next_producer_id) {
        err_set(ctx->text, "next producer id %" PRId64 " is not above %" PRId64,
                record->next_producer_id, ctx->image->next_producer_id);
        return ERR_INVALID;
    }
    ctx->image->next_producer_id = record->next_producer_id;
    if (ctx->delta != NULL) {
        ctx->delta->producer_ids = true;
    }
    return ERR_NONE;
}
