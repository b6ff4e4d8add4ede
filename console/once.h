/* once: asks the cluster for one snapshot, prints it, and is done. */
#ifndef CONSOLE_ONCE_H
#define CONSOLE_ONCE_H

#include "console/options.h"

enum { ONCE_WHY_BYTES = 700 };

/* Returns the exit status: 0, 2 (bad addresses), 3 (no answer in time: one line on stderr). */
int once_run(const struct options *o);
/* What --once prints for a snapshot. */
void once_print(const struct model *m, enum view_id id, enum output_format format, FILE *to);

/* Asks for `parts` of the cluster until a snapshot is `enough` (NULL: the first is),
 * options->timeout_ms at most. 0: `*m`
 * is the newest snapshot (the caller's reference), or NULL when none came, and `why` says so; 2
 * with a line on stderr: the addresses are wrong. */
int once_ask(const struct options *o, unsigned parts, bool (*enough)(const struct model *m),
             const struct model **m, char why[ONCE_WHY_BYTES]);

#endif
