/* options: the command line. One table feeds the parser, --help and the manual. */
#ifndef CONSOLE_OPTIONS_H
#define CONSOLE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "console/view.h"

enum output_format { FORMAT_TABLE, FORMAT_JSON };

enum command { COMMAND_NONE, COMMAND_ELECT, COMMAND_REASSIGN, COMMAND_RESET };

enum { OPTIONS_MAX_WORDS = 3 };

struct options {
    enum command command;
    const char *words[OPTIONS_MAX_WORDS]; /* of the command; "" where one was left out */
    bool dry_run;
    const char *bootstrap; /* borrowed from argv */
    bool once;
    bool check;
    bool wait_healthy; /* implies check */
    enum view_id view; /* of --once */
    enum output_format format;
    int64_t timeout_ms;
    int64_t interval_ms;
    bool version;
    bool help;
    bool man; /* of help: as a manual page */
};

/* ERR_INVALID with a text that names the argument and says what was expected. */
enum err options_parse(int argc, char **argv, struct options *out, struct err_text *text);
void options_help(FILE *to);
/* barnabas(1). */
void options_man(struct bytes *to);

#endif
