/* settings: tables of named settings, and the values given for them.
 *
 * A table (struct setting_def rows, static data) says what may be set; a store (struct settings)
 * holds what was set and where. Values are text at the edges and typed inside: text is parsed once,
 * when it is set. The rules of reading are Kafka's (ConfigDef.parseType): surrounding blanks do not
 * count, true and false in any case, lists are split at commas and their items trimmed. */
#ifndef COMMON_BASE_SETTINGS_H
#define COMMON_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

/* Kafka's ConfigDef.Type. */
enum setting_type {
    SETTING_BOOL,
    SETTING_STRING,
    SETTING_INT,
    SETTING_SHORT,
    SETTING_LONG,
    SETTING_DOUBLE,
    SETTING_LIST,
    SETTING_CLASS,    /* a Java class name: text */
    SETTING_PASSWORD, /* text that is never shown */
};

enum setting_effect {
    EFFECT_LIVE, /* changes what we do */
    EFFECT_NONE, /* known, and without effect here: said once when set */
};

enum setting_flags {
    SETTING_DYNAMIC_BROKER = 1 << 0,  /* Kafka lets it change per broker while running */
    SETTING_DYNAMIC_CLUSTER = 1 << 1, /* ... or for the whole cluster */
    SETTING_INTERNAL = 1 << 2,        /* not for operators: left out of help and DescribeConfigs */
    SETTING_ANY_CASE = 1 << 3,        /* `choices` in any case */
    SETTING_OURS = 1 << 4,            /* Apache Kafka does not have it */
    SETTING_SCOPED = 1 << 5,          /* may be given for a part: see settings_table_scope */
};

struct setting_def {
    const char *name;
    enum setting_type type;
    const char *default_text; /* NULL: no value */
    /* Bounds of numbers, both included. Both 0: the type's own. */
    int64_t min, max;
    double double_min, double_max;
    const char *choices; /* "a|b": what a value, or each item of a list, must be. NULL: anything. */
    const char *unit;    /* "ms", "bytes", ...; "" for none */
    enum setting_effect effect;
    unsigned flags; /* enum setting_flags */
    const char *doc;
};

/* ---- tables --------------------------------------------------------------------------------- */

/* Rows of several arrays, in order of name. */
struct settings_table;

/* Each part ends with a row whose name is NULL. The rows must outlive the table. A name given
 * twice, or a default that its own row refuses, is our bug (ASSERT). */
struct settings_table *settings_table_new(const struct setting_def *const *parts,
                                          size_t part_count);
void settings_table_free(struct settings_table *table);
/* Settings with SETTING_SCOPED may also be given as PREFIX + SCOPE + "." + NAME, as Kafka's
 * "listener.name.internal.ssl.key.password". Such a value is judged and its origin kept, no more.
 * `prefix` ends with a dot and must outlive the table. */
void settings_table_scope(struct settings_table *table, const char *prefix);
/* The row a scoped name is for; NULL when it is none. */
const struct setting_def *settings_table_find_scoped(const struct settings_table *table,
                                                     const char *name, size_t *index);
size_t settings_table_count(const struct settings_table *table);
const struct setting_def *settings_table_at(const struct settings_table *table, size_t index);
/* NULL when there is none. */
const struct setting_def *settings_table_find(const struct settings_table *table, const char *name);
/* False when there is none. */
bool settings_table_index_of(const struct settings_table *table, const char *name, size_t *index);
/* The name nearest to a misspelt one by edit distance; NULL when nothing is near. */
const char *settings_table_nearest(const struct settings_table *table, const char *name);

/* ---- one value ------------------------------------------------------------------------------ */

struct setting_list {
    const char *const *items;
    size_t count;
};

/* A parsed value; the member follows the type (int, short and long: number). */
struct setting_value {
    bool flag;
    int64_t number;
    double real;
    const char *string;
    struct setting_list list;
    void *memory; /* what string and list point into */
};

/* ERR_INVALID with text "KEY: 'abc' is not a number (expected 1048576..2147483647 bytes)". On
 * success `out` is freed with setting_value_free. A secret is never repeated in the text. */
enum err setting_parse(const struct setting_def *def, const char *value, struct setting_value *out,
                       struct err_text *text);
void setting_value_free(struct setting_value *value);
/* "1048576..2147483647 bytes", "true or false", "one of delete, compact": writes into `to`, returns
 * it. */
const char *setting_expected(const struct setting_def *def, char *to, size_t size);
const char *setting_type_name(enum setting_type type);

/* ---- a store of values ---------------------------------------------------------------------- */

struct settings;

enum setting_source {
    SETTING_FROM_DEFAULT,
    SETTING_FROM_FILE,
    SETTING_FROM_ARGUMENT, /* --set */
};

/* All at their defaults. The table must outlive the store. */
struct settings *settings_new(const struct settings_table *table);
void settings_free(struct settings *s);
const struct settings_table *settings_table_of(const struct settings *s);

/* Gives `name` a value. `origin` ("conf/b.ini:12", "--set") begins the text of an error and is
 * kept. ERR_NOT_FOUND: no such setting, the text names the nearest; ERR_INVALID: a wrong value. */
enum err settings_set(struct settings *s, const char *name, const char *value,
                      enum setting_source source, const char *origin, struct err_text *text);
/* An INI file's text. A key given twice in it is an error. */
enum err settings_load(struct settings *s, const char *file, const char *data, size_t size,
                       struct err_text *text);

/* What holds instead of all that was set, while it lasts (KIP-226): a later layer wins over an
 * earlier one. */
enum setting_layer { SETTING_LAYER_CLUSTER, SETTING_LAYER_BROKER, SETTING_LAYERS };
/* `value` NULL takes it back. ERR_NOT_FOUND and ERR_INVALID as settings_set, but without an origin;
 * then nothing has changed. What getters gave of this setting before is gone. */
enum err settings_override(struct settings *s, const char *name, enum setting_layer layer,
                           const char *value, struct err_text *text);

/* Getters, of what holds. An unknown name, another type, or no value where one is needed is our bug
 * (ASSERT). */
bool settings_bool(const struct settings *s, const char *name);
int32_t settings_int(const struct settings *s, const char *name);  /* int and short */
int64_t settings_long(const struct settings *s, const char *name); /* int, short and long */
double settings_double(const struct settings *s, const char *name);
/* string, class and password; NULL when there is no value */
const char *settings_string(const struct settings *s, const char *name);
struct setting_list settings_list(const struct settings *s, const char *name); /* may be empty */
/* False when neither a value nor a default exists. */
bool settings_has_value(const struct settings *s, const char *name);
/* True when given in a file or an argument; layers do not count. */
bool settings_is_set(const struct settings *s, const char *name);
/* Where the value came from: "conf/b.ini:12", "--set", "default". Any known name. */
const char *settings_origin(const struct settings *s, const char *name);

struct setting_info {
    const struct setting_def *def;
    const char *text; /* as given or the default; NULL when there is none. Secrets are here too. */
    const char *layers[SETTING_LAYERS]; /* NULL: nothing */
    const char *holds;                  /* what wins of all these */
    enum setting_source source;
    const char *origin;
    const char *scoped_origin; /* where it was last given for a part; NULL: nowhere */
};

/* `index` below settings_table_count. */
struct setting_info settings_info(const struct settings *s, size_t index);
/* False when there is no such setting. */
bool settings_info_of(const struct settings *s, const char *name, struct setting_info *out);

#endif
