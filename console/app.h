/* app: the console live: terminal, loop, poll and ui put together. */
#ifndef CONSOLE_APP_H
#define CONSOLE_APP_H

#include "console/options.h"

/* Runs until the user leaves. Returns the exit status: 0; 1 when the terminal was lost; 2 when
 * there was none or the addresses are wrong. */
int app_run(const struct options *o);

#endif
