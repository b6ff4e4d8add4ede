/* How the table_*.c files write a row. Bounds 0, 0 are the type's own; effects: LIVE, NONE. */
#ifndef BROKER_SETTINGS_ROWS_H
#define BROKER_SETTINGS_ROWS_H

#include "common/base/settings.h"

enum {
    PER_BROKER = SETTING_DYNAMIC_BROKER,
    PER_LISTENER = SETTING_DYNAMIC_BROKER | SETTING_SCOPED,
    CLUSTER = SETTING_DYNAMIC_BROKER | SETTING_DYNAMIC_CLUSTER,
    HIDDEN = SETTING_INTERNAL,
    ANY_CASE = SETTING_ANY_CASE,
    OURS = SETTING_OURS,
};

#define ROW(name_, type_, default_, effect_, flags_, doc_)                                         \
    .name = (name_), .type = SETTING_##type_, .default_text = (default_),                          \
    .effect = EFFECT_##effect_, .flags = (flags_), .doc = (doc_)

#define TEXT(name, type, default_text, effect, flags, doc)                                         \
    {                                                                                              \
        ROW(name, type, default_text, effect, flags, doc), .unit = ""                              \
    }
#define CHOICE(name, type, default_text, choices_, effect, flags, doc)                             \
    {                                                                                              \
        ROW(name, type, default_text, effect, flags, doc), .unit = "", .choices = (choices_)       \
    }
#define NUMBER(name, type, default_text, min_, max_, unit_, effect, flags, doc)                    \
    {                                                                                              \
        ROW(name, type, default_text, effect, flags, doc), .unit = (unit_), .min = (min_),         \
                                                           .max = (max_)                           \
    }
#define REAL(name, default_text, min_, max_, unit_, effect, flags, doc)                            \
    {                                                                                              \
        ROW(name, DOUBLE, default_text, effect, flags, doc),                                       \
            .unit = (unit_), .double_min = (min_), .double_max = (max_)                            \
    }
#define END_OF_TABLE                                                                               \
    {                                                                                              \
        .name = NULL                                                                               \
    }

#endif
