#include "common/base/settings.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/ini.h"
#include "common/base/mem.h"

struct slot {
    char *text;   /* what was set; NULL: the row's default holds */
    char *origin; /* NULL: "default" */
    char *scoped_origin;
    enum setting_source source;
    uint32_t load; /* the settings_load that set it; 0 for none */
    bool has_value;
    struct setting_value value;
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
    *slot = (struct slot){
        .text = mem_strdup(value),
        .origin = mem_strdup(origin),
        .scoped_origin = slot->scoped_origin,
        .source = source,
        .has_value = true,
        .value = parsed,
    };
    return ERR_NONE;
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

#define TYPE(t) (1U << (t))

bool settings_bool(const struct settings *s, const char *name)
{
    const struct slot *slot = slot_of(s, name, TYPE(SETTING_BOOL));
    ASSERT(slot->has_value);
    return slot->value.flag;
}

int32_t settings_int(const struct settings *s, const char *name)
{
    const struct slot *slot = slot_of(s, name, TYPE(SETTING_INT) | TYPE(SETTING_SHORT));
    ASSERT(slot->has_value);
    return (int32_t)slot->value.number;
}

int64_t settings_long(const struct settings *s, const char *name)
{
    const struct slot *slot =
        slot_of(s, name, TYPE(SETTING_INT) | TYPE(SETTING_SHORT) | TYPE(SETTING_LONG));
    ASSERT(slot->has_value);
    return slot->value.number;
}

double settings_double(const struct settings *s, const char *name)
{
    const struct slot *slot = slot_of(s, name, TYPE(SETTING_DOUBLE));
    ASSERT(slot->has_value);
    return slot->value.real;
}

const char *settings_string(const struct settings *s, const char *name)
{
    const struct slot *slot =
        slot_of(s, name, TYPE(SETTING_STRING) | TYPE(SETTING_CLASS) | TYPE(SETTING_PASSWORD));
    return slot->value.string;
}

struct setting_list settings_list(const struct settings *s, const char *name)
{
    return slot_of(s, name, TYPE(SETTING_LIST))->value.list;
}

bool settings_has_value(const struct settings *s, const char *name)
{
    return slot_of(s, name, ~0U)->has_value;
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
    return (struct setting_info){
        .def = def,
        .text = slot->text != NULL ? slot->text : def->default_text,
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
