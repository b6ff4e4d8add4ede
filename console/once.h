/* once: asks the cluster for one snapshot, prints it, and is done. */
#ifndef CONSOLE_ONCE_H
#define CONSOLE_ONCE_H

#include "console/options.h"

/* Returns the exit status: 0, 2 (bad addresses), 3 (no answer in time: one line on stderr). */
int once_run(const struct options *o);
/* What --once prints for a snapshot. */
void once_print(const struct model *m, enum view_id id, enum output_format format, FILE *to);

#endif
