/* check: the verdict on a cluster, its reasons, and an exit status for scripts. */
#ifndef CONSOLE_CHECK_H
#define CONSOLE_CHECK_H

#include "console/options.h"

enum { CHECK_OK = 0, CHECK_WARNING = 1, CHECK_CRITICAL = 2, CHECK_UNKNOWN = 3 };

/* Prints, and returns one of the above. With o->wait_healthy it waits for a verdict of ok, until
 * o->timeout_ms. */
int check_run(const struct options *o);
/* What a snapshot amounts to. What could not be read makes everything but CHECK_CRITICAL unknown.
 */
int check_status(const struct model *m);
void check_print(const struct model *m, enum output_format format, FILE *to);

#endif
