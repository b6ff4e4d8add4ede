#include "broker/settings/broker_settings.h"

#include <stdio.h>
#include <string.h>

#include "broker/settings/settings_internal.h"
#include "broker/settings/tables.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static const struct setting_def *const BROKER_PARTS[] = {
    table_cluster, table_group, table_log, table_remote, table_security, table_server,
};
static const struct setting_def *const TOPIC_PARTS[] = {table_topic};

struct broker_settings *broker_settings_new(void)
{
    struct broker_settings *bs = mem_zalloc(sizeof *bs);
    bs->broker_table =
        settings_table_new(BROKER_PARTS, sizeof BROKER_PARTS / sizeof BROKER_PARTS[0]);
    settings_table_scope(bs->broker_table, "listener.name.");
    bs->topic_table = settings_table_new(TOPIC_PARTS, sizeof TOPIC_PARTS / sizeof TOPIC_PARTS[0]);
    bs->values = settings_new(bs->broker_table);
    bs->inter_broker_listener = "";
    bs->metadata_log_dir = "";
    bs->cluster_id = "";
    topic_defaults_refresh(bs);
    return bs;
}

void broker_settings_free(struct broker_settings *bs)
{
    if (bs == NULL) {
        return;
    }
    topic_defaults_free(bs);
    endpoints_free(&bs->listeners);
    endpoints_free(&bs->advertised);
    endpoints_free(&bs->advertised_controllers);
    voters_free(&bs->voters);
    settings_free(bs->values);
    settings_table_free(bs->topic_table);
    settings_table_free(bs->broker_table);
    mem_free(bs);
}

enum err broker_settings_load(struct broker_settings *bs, const char *file, const char *data,
                              size_t size, struct err_text *text)
{
    return settings_load(bs->values, file, data, size, text);
}

enum err broker_settings_set(struct broker_settings *bs, const char *assignment,
                             struct err_text *text)
{
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment) {
        err_set(text, "--set %.100s: expected KEY=VALUE", assignment);
        return ERR_INVALID;
    }
    char *key = mem_dup(assignment, (size_t)(equals - assignment) + 1);
    key[equals - assignment] = '\0';
    enum err error =
        settings_set(bs->values, key, equals + 1, SETTING_FROM_ARGUMENT, "--set", text);
    mem_free(key);
    return error;
}

enum err broker_settings_override(struct broker_settings *bs, const char *name,
                                  enum setting_layer layer, const char *value,
                                  struct err_text *text)
{
    return settings_override(bs->values, name, layer, value, text);
}

void broker_settings_refresh(struct broker_settings *bs)
{
    topic_defaults_refresh(bs);
}

void broker_settings_forget(struct broker_settings *bs)
{
    for (size_t i = 0; i < settings_table_count(bs->broker_table); i++) {
        const char *name = settings_table_at(bs->broker_table, i)->name;
        for (int layer = 0; layer < SETTING_LAYERS; layer++) {
            enum err error =
                settings_override(bs->values, name, (enum setting_layer)layer, NULL, NULL);
            ASSERT(error == ERR_NONE);
        }
    }
    topic_defaults_refresh(bs);
}

enum err broker_settings_override_check(const struct broker_settings *bs, const char *name,
                                        enum setting_layer layer, const char *value,
                                        struct err_text *text)
{
    enum err error = broker_setting_check(bs, name, value, text);
    if (error != ERR_NONE) {
        return error;
    }
    const struct setting_def *def = settings_table_find(bs->broker_table, name);
    ASSERT(def != NULL && layer < SETTING_LAYERS);
    if (!(def->flags & SETTING_DYNAMIC_BROKER)) {
        err_set(text,
                "%s is read when a broker starts: change it in the broker's file and restart it",
                name);
        return ERR_UNSUPPORTED;
    }
    if (def->effect == EFFECT_NONE) {
        err_set(text, "%s is known and has no effect in this version of Barnabas: not changed",
                name);
        return ERR_UNSUPPORTED;
    }
    if (layer == SETTING_LAYER_CLUSTER && !(def->flags & SETTING_DYNAMIC_CLUSTER)) {
        err_set(text, "%s is for one broker: name the broker it is to hold for", name);
        return ERR_UNSUPPORTED;
    }
    return ERR_NONE;
}

void broker_settings_warnings(const struct broker_settings *bs,
                              void (*warn)(void *ctx, const char *line), void *ctx)
{
    ASSERT(warn != NULL);
    for (size_t i = 0; i < settings_table_count(bs->broker_table); i++) {
        struct setting_info info = settings_info(bs->values, i);
        char line[512];
        if (info.scoped_origin != NULL) {
            snprintf(line, sizeof line,
                     "%s: %s for one listener is known and has no effect in this version of "
                     "Barnabas",
                     info.scoped_origin, info.def->name);
            warn(ctx, line);
        }
        if (info.source != SETTING_FROM_DEFAULT && info.def->effect == EFFECT_NONE) {
            snprintf(line, sizeof line,
                     "%s: %s is known and has no effect in this version of Barnabas", info.origin,
                     info.def->name);
            warn(ctx, line);
        }
    }
}
