/* The tables. Each ends with a row whose name is NULL. */
#ifndef BROKER_SETTINGS_TABLES_H
#define BROKER_SETTINGS_TABLES_H

#include "common/base/settings.h"

extern const struct setting_def table_cluster[];
extern const struct setting_def table_group[];
extern const struct setting_def table_log[];
extern const struct setting_def table_remote[];
extern const struct setting_def table_security[];
extern const struct setting_def table_server[];
extern const struct setting_def table_topic[];

#endif
