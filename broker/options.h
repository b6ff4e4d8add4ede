/* options: barnabasd's arguments, from one table that also makes --help. */
#ifndef BROKER_OPTIONS_H
#define BROKER_OPTIONS_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/err.h"

enum { OPTIONS_SETS_MAX = 64 };

struct options {
    bool format;
    const char *cluster_id; /* --cluster-id ID: --set cluster.id=ID; NULL none */
    const char *config;     /* --config FILE; NULL none */
    const char *data_dir;   /* --data-dir DIR: --set log.dirs=DIR */
    const char *sets[OPTIONS_SETS_MAX];
    int set_count;
    bool check_config;
    bool version;
    bool help;
    bool help_settings; /* --help=settings */
    bool help_man;      /* --help=man */
    bool verbose;
};

/* ERR_INVALID with words that name the argument. Strings point into argv. */
enum err options_parse(int argc, char **argv, struct options *out, struct err_text *text);
void options_help(void);
/* barnabasd(8) up to its settings. */
void options_man(struct bytes *to);

#endif
