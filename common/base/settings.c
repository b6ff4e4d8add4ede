#include "common/base/settings.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/ini.h"
#include "common/base/mem.h"

struct layer {
    char *text; /* NULL: none */
    struct setting_value value;
};

struct slot {
    char *text;   /* what was set; NULL: the row's default holds */
    char *origin; /* NULL: "default" */
    char *scoped_origin;
    enum setting_source source;
    uint32_t load; /* the settings_load that set it; 0 for none */
    bool has_value;
    struct setting_value value;
    struct layer layers[SETTING_LAYERS];
};

struct settings {
    const struct settings_table *table;
    struct slot *slots;
    uint32_t loads;
};

struct settings *settings_new(const struct settings_table *table)
{
    struct settings *s = mem_zalloc(sizeof *s);
    s->table = table;
    s->slots = mem_array(settings_table_count(table), sizeof *s->slots);
    for (size_t i = 0; i < settings_table_count(table); i++) {
        const struct setting_def *def = settings_table_at(table, i);
        if (def->default_text != NULL) {
            enum err error = setting_parse(def, def->default_text, &s->slots[i].value, NULL);
            ASSERT(error == ERR_NONE);
            s->slots[i].has_value = true;
        }
    }
    return s;
}

void settings_free(struct settings *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < settings_table_count(s->table); i++) {
        setting_value_free(&s->slots[i].value);
        mem_free(s->slots[i].text);
        mem_free(s->slots[i].origin);
        mem_free(s->slots[i].scoped_origin);
        for (size_t k = 0; k < SETTING_LAYERS; k++) {
            setting_value_free(&s->slots[i].layers[k].value);
            mem_free(s->slots[i].layers[k].text);
        }
    }
    mem_free(s->slots);
    mem_free(s);
}

const struct settings_table *settings_table_of(const struct settings *s)
{
    return s->table;
}

static enum err unknown(const struct settings *s, const char *name, const char *origin,
                        struct err_text *text)
{
    const char *nearest = settings_table_nearest(s->table, name);
    if (nearest != NULL) {
        err_set(text, "%s: unknown setting '%.100s': did you mean '%s'?", origin, name, nearest);
    } else {
        err_set(text, "%s: unknown setting '%.100s': no setting has a name like it", origin, name);
    }
    return ERR_NOT_FOUND;
}

/* A name that is no row's: perhaps one for a part. */
static enum err set_scoped(struct settings *s, const char *name, const char *value,
                           const char *origin, struct err_text *text)
{
    size_t index;
    const struct setting_def *def = settings_table_find_scoped(s->table, name, &index);
    if (def == NULL) {
        return unknown(s, name, origin, text);
    }
    struct setting_value parsed;
    enum err error = setting_parse(def, value, &parsed, text);
    if (error != ERR_NONE) {
        err_wrap(text, "%s", origin);
        return error;
    }
    setting_value_free(&parsed);
    mem_free(s->slots[index].scoped_origin);
    s->slots[index].scoped_origin = mem_strdup(origin);
    return ERR_NONE;
}

enum err settings_set(struct settings *s, const char *name, const char *value,
                      enum setting_source source, const char *origin, struct err_text *text)
{
    size_t index;
    if (!settings_table_index_of(s->table, name, &index)) {
        return set_scoped(s, name, value, origin, text);
    }
    struct setting_value parsed;
    enum err error = setting_parse(settings_table_at(s->table, index), value, &parsed, text);
    if (error != ERR_NONE) {
        err_wrap(text, "%s", origin);
        return error;
    }
    struct slot *slot = &s->slots[index];
    setting_value_free(&slot->value);
    mem_free(slot->text);
    mem_free(slot->origin);
    slot->text = mem_strdup(value);
    slot->origin = mem_strdup(origin);
    slot->source = source;
    slot->load = 0;
    slot->has_value = true;
    slot->value = parsed;
    return ERR_NONE;
}

enum err settings_override(struct settings *s, const char *name, enum setting_layer layer,
                           const char *value, struct err_text *text)
{
    size_t index;
    ASSERT(layer < SETTING_LAYERS);
    if (!settings_table_index_of(s->table, name, &index)) {
        err_set(text, "unknown setting '%.100s'", name);
        return ERR_NOT_FOUND;
    }
    struct layer next = {0};
    if (value != NULL) {
        enum err error =
            setting_parse(settings_table_at(s->table, index), value, &next.value, text);
        if (error != ERR_NONE) {
            return error;
        }
        next.text = mem_strdup(value);
    }
    struct layer *now = &s->slots[index].layers[layer];
    setting_value_free(&now->value);
    mem_free(now->text);
    *now = next;
    return ERR_NONE;
}

/* The layer that holds; NULL: what was set, or the default. */
static const struct layer *top_layer(const struct slot *slot)
{
    for (int i = SETTING_LAYERS - 1; i >= 0; i--) {
        if (slot->layers[i].text != NULL) {
            return &slot->layers[i];
        }
    }
    return NULL;
}

static bool is_list(void *ctx, const char *key)
{
    const struct settings *s = ctx;
    const struct setting_def *def = settings_table_find(s->table, key);
    return def == NULL || def->type == SETTING_LIST; /* an unknown key gets its own message */
}

static enum err load_entry(void *ctx, const struct ini_entry *entry, struct err_text *text)
{
    struct settings *s = ctx;
    char origin[256];
    snprintf(origin, sizeof origin, "%.200s:%d", entry->file, entry->line);
    size_t index;
    bool known = settings_table_index_of(s->table, entry->key, &index);
    if (known && s->slots[index].load == s->loads) {
        err_set(text, "%s: %s is given twice (first at %s): keep one", origin, entry->key,
                s->slots[index].origin);
        return ERR_DUPLICATE;
    }
    enum err error = settings_set(s, entry->key, entry->value, SETTING_FROM_FILE, origin, text);
    if (error == ERR_NONE && known) {
        s->slots[index].load = s->loads;
    }
    return error;
}

enum err settings_load(struct settings *s, const char *file, const char *data, size_t size,
                       struct err_text *text)
{
    s->loads++;
    const struct ini_visitor visitor = {.is_list = is_list, .entry = load_entry, .ctx = s};
    return ini_read(file, data, size, &visitor, text);
}

static const struct slot *slot_of(const struct settings *s, const char *name, unsigned types)
{
    size_t index;
    bool known = settings_table_index_of(s->table, name, &index);
    ASSERT(known);
    ASSERT((types >> settings_table_at(s->table, index)->type) & 1U);
    return &s->slots[index];
}

/* What holds; NULL when there is no value. */
static const struct setting_value *value_of(const struct settings *s, const char *name,
                                            unsigned types)
{
    const struct slot *slot = slot_of(s, name, types);
    const struct layer *layer = top_layer(slot);
    return layer != NULL ? &layer->value : slot->has_value ? &slot->value : NULL;
}

#define TYPE(t) (1U << (t))

bool settings_bool(const struct settings *s, const char *name)
{
    const struct setting_value *value = value_of(s, name, TYPE(SETTING_BOOL));
    ASSERT(value != NULL);
    return value->flag;
}

int32_t settings_int(const struct settings *s, const char *name)
{
    const struct setting_value *value = value_of(s, name, TYPE(SETTING_INT) | TYPE(SETTING_SHORT));
    ASSERT(value != NULL);
    return (int32_t)value->number;
}

int64_t settings_long(const struct settings *s, const char *name)
{
    const struct setting_value *value =
        value_of(s, name, TYPE(SETTING_INT) | TYPE(SETTING_SHORT) | TYPE(SETTING_LONG));
    ASSERT(value != NULL);
    return value->number;
}

double settings_double(const struct settings *s, const char *name)
{
    const struct setting_value *value = value_of(s, name, TYPE(SETTING_DOUBLE));
    ASSERT(value != NULL);
    return value->real;
}

const char *settings_string(const struct settings *s, const char *name)
{
    const struct setting_value *value =
        value_of(s, name, TYPE(SETTING_STRING) | TYPE(SETTING_CLASS) | TYPE(SETTING_PASSWORD));
    return value != NULL ? value->string : NULL;
}

struct setting_list settings_list(const struct settings *s, const char *name)
{
    const struct setting_value *value = value_of(s, name, TYPE(SETTING_LIST));
    return value != NULL ? value->list : (struct setting_list){0};
}

bool settings_has_value(const struct settings *s, const char *name)
{
    return value_of(s, name, ~0U) != NULL;
}

bool settings_is_set(const struct settings *s, const char *name)
{
    return slot_of(s, name, ~0U)->source != SETTING_FROM_DEFAULT;
}

const char *settings_origin(const struct settings *s, const char *name)
{
    const struct slot *slot = slot_of(s, name, ~0U);
    return slot->origin != NULL ? slot->origin : "default";
}

struct setting_info settings_info(const struct settings *s, size_t index)
{
    ASSERT(index < settings_table_count(s->table));
    const struct slot *slot = &s->slots[index];
    const struct setting_def *def = settings_table_at(s->table, index);
    const char *text = slot->text != NULL ? slot->text : def->default_text;
    const struct layer *layer = top_layer(slot);
    return (struct setting_info){
        .def = def,
        .text = text,
        .layers = {slot->layers[SETTING_LAYER_CLUSTER].text,
                   slot->layers[SETTING_LAYER_BROKER].text},
        .holds = layer != NULL ? layer->text : text,
        .source = slot->source,
        .origin = slot->origin != NULL ? slot->origin : "default",
        .scoped_origin = slot->scoped_origin,
    };
}

bool settings_info_of(const struct settings *s, const char *name, struct setting_info *out)
{
    size_t index;
    if (!settings_table_index_of(s->table, name, &index)) {
        return false;
    }
    *out = settings_info(s, index);
    return true;
}
