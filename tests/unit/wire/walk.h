/* walk: any message by its table, filled with chance and compared field by field. */
#ifndef TESTS_UNIT_WIRE_WALK_H
#define TESTS_UNIT_WIRE_WALK_H

#include "common/base/rng.h"
#include "common/wire/wire.h"

/* Sets the fields that `version` has to values drawn from `rng` (the edges of their types more
 * often than chance would), the others to their defaults. Memory comes from the arena. */
void walk_fill(const struct wire_message *m, int16_t version, void *msg, struct rng *rng,
               struct arena *arena);

/* NULL when the two are equal, else the name of the first field that differs. */
const char *walk_difference(const struct wire_message *m, const void *a, const void *b);

/* The most bytes in memory that one byte on the wire may become, over all arrays and nullable
 * structs of the message; *where is set to the field. */
size_t walk_worst_ratio(const struct wire_message *m, const char **where);

#endif
