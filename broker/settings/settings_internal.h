/* settings' own: what its files share. */
#ifndef BROKER_SETTINGS_SETTINGS_INTERNAL_H
#define BROKER_SETTINGS_SETTINGS_INTERNAL_H

#include "broker/settings/broker_settings.h"

enum { TOPIC_SYNONYMS_MAX = 3 };

/* The broker settings a topic setting falls back to, the first that is set wins, else the last
 * one's default. `scale` makes the topic's unit of the broker's (hours to ms). */
struct topic_synonym {
    const char *name;
    int64_t scale;
};

/* NULL when `name` has none; ends with a NULL name. */
const struct topic_synonym *topic_synonyms(const char *name);
/* Computes bs->topic_defaults. */
void topic_defaults_refresh(struct broker_settings *bs);
void topic_defaults_free(struct broker_settings *bs);

#endif
