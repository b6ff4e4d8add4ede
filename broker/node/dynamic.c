/* Broker settings that were changed while the cluster runs (KIP-226): the image's word becomes this
 * node's settings, before the rooms hear of the change.
 *
 * For every broker they stand under the name "", for one under its id; what is not to be changed so
 * (another version wrote it) or does not parse is passed over, with a line of its own. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/node/node_internal.h"
#include "common/base/assert.h"

struct change {
    struct broker *broker;
    const char *resource; /* the id, or "" */
    enum setting_layer layer;
    int changed;
};

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void note(const struct change *change, const struct setting_info *info, const char *value)
{
    const char *shown = value == NULL                         ? "(taken back)"
                        : info->def->type == SETTING_PASSWORD ? "(a secret)"
                                                              : value;
    trace_info(env_trace(change->broker->env), "settings: %s is %s now, for %s: an operator's wish",
               info->def->name, shown,
               change->layer == SETTING_LAYER_CLUSTER ? "all brokers" : "this broker");
}

static void apply_one(struct change *change, const struct setting_info *info)
{
    struct broker *broker = change->broker;
    struct err_text text = {""};
    const char *wanted =
        image_config_value(broker->image, IMAGE_RESOURCE_BROKER, change->resource, info->def->name);
    if (same(wanted, info->layers[change->layer])) {
        return;
    }
    enum err error = wanted == NULL
                         ? ERR_NONE
                         : broker_settings_override_check(broker->settings, info->def->name,
                                                          change->layer, wanted, &text);
    if (error == ERR_NONE) {
        error = broker_settings_override(broker->settings, info->def->name, change->layer, wanted,
                                         &text);
    }
    if (error != ERR_NONE) {
        trace_warn(env_trace(broker->env), "settings: passed over: %s", text.text);
        return;
    }
    note(change, info, wanted);
    change->changed++;
}

static int apply_layer(struct broker *broker, const char *resource, enum setting_layer layer)
{
    struct change change = {broker, resource, layer, 0};
    const struct settings *values = broker->settings->values;
    size_t count = settings_table_count(settings_table_of(values));
    for (size_t i = 0; i < count; i++) {
        struct setting_info info = settings_info(values, i);
        apply_one(&change, &info);
    }
    return change.changed;
}

void node_apply_dynamic_settings(struct broker *broker, const struct image_delta *delta)
{
    char id[16];
    bool ours = false;
    ASSERT(broker->image != NULL);
    snprintf(id, sizeof id, "%" PRId32, broker->node_id);
    for (size_t i = 0; i < delta->configs_count; i++) {
        const char *name = delta->configs[i]->name;
        ours = ours || (delta->configs[i]->type == IMAGE_RESOURCE_BROKER &&
                        (name[0] == '\0' || strcmp(name, id) == 0));
    }
    if (!ours) {
        return;
    }
    int changed = apply_layer(broker, "", SETTING_LAYER_CLUSTER) +
                  apply_layer(broker, id, SETTING_LAYER_BROKER);
    if (changed > 0) {
        broker_settings_refresh(broker->settings);
    }
}
