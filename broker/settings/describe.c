/* Views of settings as DescribeConfigs answers them (KIP-226 synonyms and sources). */
#include "broker/settings/broker_settings.h"

#include <string.h>

#include "broker/settings/settings_internal.h"
#include "common/base/assert.h"

static int8_t kafka_type(enum setting_type type)
{
    static const int8_t codes[] = {
        [SETTING_BOOL] = 1,  [SETTING_STRING] = 2, [SETTING_INT] = 3,
        [SETTING_SHORT] = 4, [SETTING_LONG] = 5,   [SETTING_DOUBLE] = 6,
        [SETTING_LIST] = 7,  [SETTING_CLASS] = 8,  [SETTING_PASSWORD] = 9,
    };
    ASSERT((size_t)type < sizeof codes);
    return codes[type];
}

static void add_synonym(struct config_view *view, const char *name, const char *value,
                        enum config_source source)
{
    ASSERT(view->synonym_count < CONFIG_SYNONYMS_MAX);
    view->synonyms[view->synonym_count++] = (struct config_synonym){
        .name = name,
        .value = view->sensitive ? NULL : value,
        .source = source,
    };
}

/* Where a broker setting was given: while running, then in the file or argument. */
static void add_given(struct config_view *view, const struct setting_info *info)
{
    static const enum config_source sources[] = {
        [SETTING_LAYER_CLUSTER] = CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER,
        [SETTING_LAYER_BROKER] = CONFIG_SOURCE_DYNAMIC_BROKER,
    };
    for (int i = SETTING_LAYERS - 1; i >= 0; i--) {
        if (info->layers[i] != NULL) {
            add_synonym(view, info->def->name, info->layers[i], sources[i]);
        }
    }
    if (info->source != SETTING_FROM_DEFAULT) {
        add_synonym(view, info->def->name, info->text, CONFIG_SOURCE_STATIC_BROKER);
    }
}

/* These, then the table's default. */
static void add_broker_synonyms(struct config_view *view, const struct setting_info *info)
{
    add_given(view, info);
    if (info->def->default_text != NULL) {
        add_synonym(view, info->def->name, info->def->default_text, CONFIG_SOURCE_DEFAULT);
    }
}

static void view_broker(const struct setting_info *info, struct config_view *out)
{
    bool sensitive = info->def->type == SETTING_PASSWORD;
    *out = (struct config_view){
        .name = info->def->name,
        .value = sensitive ? NULL : info->holds,
        .source = CONFIG_SOURCE_DEFAULT,
        .read_only =
            !(info->def->flags & SETTING_DYNAMIC_BROKER) || info->def->effect == EFFECT_NONE,
        .sensitive = sensitive,
        .type = kafka_type(info->def->type),
        .doc = info->def->doc,
    };
    add_broker_synonyms(out, info);
    if (out->synonym_count > 0) {
        out->source = out->synonyms[0].source;
    }
}

bool broker_config_at(const struct broker_settings *bs, size_t index, struct config_view *out)
{
    for (size_t i = 0; i < settings_table_count(bs->broker_table); i++) {
        struct setting_info info = settings_info(bs->values, i);
        if (!(info.def->flags & SETTING_INTERNAL) && index-- == 0) {
            view_broker(&info, out);
            return true;
        }
    }
    return false;
}

bool cluster_config_at(const struct broker_settings *bs, size_t index, struct config_view *out)
{
    for (size_t i = 0; i < settings_table_count(bs->broker_table); i++) {
        struct setting_info info = settings_info(bs->values, i);
        const char *given = info.layers[SETTING_LAYER_CLUSTER];
        if (given != NULL && index-- == 0) {
            view_broker(&info, out);
            out->synonym_count = 0;
            add_synonym(out, info.def->name, given, CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER);
            out->value = out->synonyms[0].value;
            out->source = CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER;
            return true;
        }
    }
    return false;
}

bool broker_config_find(const struct broker_settings *bs, const char *name, struct config_view *out)
{
    struct setting_info info;
    if (!settings_info_of(bs->values, name, &info)) {
        return false;
    }
    view_broker(&info, out);
    return true;
}

/* What stands behind a topic setting that is not overridden: every broker setting given, then the
 * default that would hold without them. */
static void add_topic_synonyms(const struct broker_settings *bs, const struct setting_def *def,
                               struct config_view *out)
{
    const struct topic_synonym *first = topic_synonyms(def->name);
    if (first == NULL) {
        if (def->default_text != NULL) {
            add_synonym(out, def->name, def->default_text, CONFIG_SOURCE_DEFAULT);
        }
        return;
    }
    struct setting_info info;
    for (const struct topic_synonym *s = first; s->name != NULL; s++) {
        bool found = settings_info_of(bs->values, s->name, &info);
        ASSERT(found);
        add_given(out, &info);
    }
    for (const struct topic_synonym *s = first; s->name != NULL; s++) {
        bool found = settings_info_of(bs->values, s->name, &info);
        ASSERT(found);
        if (info.def->default_text != NULL) {
            add_synonym(out, s->name, info.def->default_text, CONFIG_SOURCE_DEFAULT);
            return;
        }
    }
}

static void view_topic(const struct broker_settings *bs, size_t index,
                       config_override_of override_of, void *ctx, struct config_view *out)
{
    const struct setting_def *def = settings_table_at(bs->topic_table, index);
    const char *own = override_of != NULL ? override_of(ctx, def->name) : NULL;
    *out = (struct config_view){
        .name = def->name,
        .value = own != NULL ? own : bs->topic_defaults[index],
        .source = CONFIG_SOURCE_DEFAULT,
        .type = kafka_type(def->type),
        .doc = def->doc,
    };
    if (own != NULL) {
        add_synonym(out, def->name, own, CONFIG_SOURCE_TOPIC);
    }
    add_topic_synonyms(bs, def, out);
    if (out->synonym_count > 0) {
        out->source = out->synonyms[0].source;
    }
}

bool topic_config_at(const struct broker_settings *bs, size_t index, config_override_of override_of,
                     void *ctx, struct config_view *out)
{
    for (size_t i = 0; i < settings_table_count(bs->topic_table); i++) {
        const struct setting_def *def = settings_table_at(bs->topic_table, i);
        if (!(def->flags & SETTING_INTERNAL) && index-- == 0) {
            view_topic(bs, i, override_of, ctx, out);
            return true;
        }
    }
    return false;
}

bool topic_config_find(const struct broker_settings *bs, const char *name,
                       config_override_of override_of, void *ctx, struct config_view *out)
{
    size_t index;
    if (!settings_table_index_of(bs->topic_table, name, &index)) {
        return false;
    }
    view_topic(bs, index, override_of, ctx, out);
    return true;
}
