/* settings' own: what its three files share. */
#ifndef COMMON_BASE_SETTINGS_IMPL_H
#define COMMON_BASE_SETTINGS_IMPL_H

#include "common/base/settings.h"

#define SETTING_NO_INDEX SIZE_MAX

struct settings_table {
    const struct setting_def **rows; /* by name */
    size_t count;
};

/* SETTING_NO_INDEX when there is none. */
size_t settings_table_index(const struct settings_table *table, const char *name);

#endif
