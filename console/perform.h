/* perform: one change, from the command line, by the same way that the screens go: the plan is made
 * from a snapshot and printed, the cluster is read again, and only if all still holds is it told.
 */
#ifndef CONSOLE_PERFORM_H
#define CONSOLE_PERFORM_H

#include "console/options.h"

enum {
    PERFORM_DONE = 0,    /* or so already; or, with --dry-run, possible */
    PERFORM_REFUSED = 1, /* nothing was changed, or only a part */
    PERFORM_WRONG = 2,   /* the words make no sense */
    PERFORM_UNKNOWN = 3  /* the cluster did not answer, before or after */
};

int perform_run(const struct options *o);

#endif
