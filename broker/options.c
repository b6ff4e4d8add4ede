#include "broker/options.h"

#include <stdio.h>
#include <string.h>

#include "common/base/man.h"

enum option_id {
    OPT_FORMAT,
    OPT_CLUSTER_ID,
    OPT_CONFIG,
    OPT_DATA_DIR,
    OPT_SET,
    OPT_CHECK,
    OPT_VERBOSE,
    OPT_VERSION,
    OPT_HELP
};

static const struct option_row {
    const char *name;
    const char *argument; /* NULL: takes none */
    enum option_id id;
    const char *help;
} rows[] = {
    {"format", NULL, OPT_FORMAT,
     "make empty data directories this node's, say so, and exit; a start does it too"},
    {"--cluster-id", "ID", OPT_CLUSTER_ID,
     "the cluster that empty data directories come to belong to; short for --set cluster.id=ID"},
    {"--config", "FILE", OPT_CONFIG, "read settings from this INI file (Apache Kafka's names)"},
    {"--data-dir", "DIR", OPT_DATA_DIR,
     "keep data here (default ./barnabas-data); short for --set log.dirs=DIR"},
    {"--set", "KEY=VALUE", OPT_SET, "set one setting; wins over the file; may be repeated"},
    {"--check-config", NULL, OPT_CHECK, "read and judge the settings, say what is wrong, and exit"},
    {"--verbose", NULL, OPT_VERBOSE, "say more"},
    {"--version", NULL, OPT_VERSION, "print the version and exit"},
    {"--help", "settings|man", OPT_HELP,
     "print this, every setting that has an effect, or the manual page, and exit"},
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static enum err apply(const struct option_row *row, const char *value, struct options *out,
                      struct err_text *text)
{
    switch (row->id) {
    case OPT_FORMAT:
        out->format = true;
        break;
    case OPT_CLUSTER_ID:
        out->cluster_id = value;
        break;
    case OPT_CONFIG:
        out->config = value;
        break;
    case OPT_DATA_DIR:
        out->data_dir = value;
        break;
    case OPT_SET:
        if (out->set_count == OPTIONS_SETS_MAX) {
            err_set(text, "more than %d --set arguments: put them into a file", OPTIONS_SETS_MAX);
            return ERR_INVALID;
        }
        out->sets[out->set_count++] = value;
        break;
    case OPT_CHECK:
        out->check_config = true;
        break;
    case OPT_VERBOSE:
        out->verbose = true;
        break;
    case OPT_VERSION:
        out->version = true;
        break;
    case OPT_HELP:
        out->help = true;
        out->help_settings = value != NULL && strcmp(value, "settings") == 0;
        out->help_man = value != NULL && strcmp(value, "man") == 0;
        if (value != NULL && !out->help_settings && !out->help_man) {
            err_set(text, "--help=%.80s: expected settings or man", value);
            return ERR_INVALID;
        }
        break;
    }
    return ERR_NONE;
}

static const struct option_row *find(const char *argument, const char **value)
{
    for (int i = 0; i < ROWS; i++) {
        size_t size = strlen(rows[i].name);
        if (strncmp(argument, rows[i].name, size) != 0) {
            continue;
        }
        if (argument[size] == '\0' || (argument[size] == '=' && rows[i].argument != NULL)) {
            *value = argument[size] == '=' ? argument + size + 1 : NULL;
            return &rows[i];
        }
    }
    return NULL;
}

enum err options_parse(int argc, char **argv, struct options *out, struct err_text *text)
{
    *out = (struct options){0};
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const struct option_row *row = find(argv[i], &value);
        if (row == NULL) {
            err_set(text, "unknown argument '%s': barnabasd --help lists them", argv[i]);
            return ERR_INVALID;
        }
        if (row->argument != NULL && value == NULL && row->id != OPT_HELP) {
            if (i + 1 == argc) {
                err_set(text, "%s needs %s", row->name, row->argument);
                return ERR_INVALID;
            }
            value = argv[++i];
        }
        enum err error = apply(row, value, out, text);
        if (error != ERR_NONE) {
            return error;
        }
    }
    return ERR_NONE;
}

static const struct exit_row {
    const char *code;
    const char *means;
} exits[] = {
    {"0", "stopped cleanly"},
    {"1", "failed while running"},
    {"2", "arguments or settings are wrong"},
    {"3", "refused to start (port, directory, lock, data of another cluster or node)"},
};

static const char what[] = "a message broker that speaks the Apache Kafka protocol";
static const char usage[] =
    "barnabasd [format] [--config FILE] [--data-dir DIR] [--set KEY=VALUE]...";

static void option_text(const struct option_row *row, char out[60])
{
    bool optional = row->id == OPT_HELP;
    snprintf(out, 60, "%s%s%s%s", row->name,
             row->argument == NULL ? ""
             : optional            ? "[="
                                   : " ",
             row->argument == NULL ? "" : row->argument, optional ? "]" : "");
}

void options_help(void)
{
    char left[60];
    printf("barnabasd: %s\n\nusage: %s\n\n", what, usage);
    for (int i = 0; i < ROWS; i++) {
        option_text(&rows[i], left);
        printf("  %-26s%s\n", left, rows[i].help);
    }
    printf("\nexit codes:\n");
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        printf("  %s %s\n", exits[i].code, exits[i].means);
    }
}

void options_man(struct bytes *to)
{
    char left[60];
    man_begin(to, "barnabasd", 8, BARNABAS_VERSION, what);
    man_heading(to, "SYNOPSIS");
    man_command(to, usage);
    man_heading(to, "DESCRIPTION");
    man_text(to, "Keeps topics as replicated, partitioned, append-only logs, alone or as one of "
                 "several, and speaks Kafka's protocol to clients, to other brokers and in its "
                 "metadata quorum (KRaft). What is acknowledged is on stable storage, unless "
                 "log.flush.interval.messages says otherwise. Under systemd it says when it is "
                 "ready. SIGTERM hands leaderships over and stops it; a second one stops it at "
                 "once.");
    man_heading(to, "OPTIONS");
    for (int i = 0; i < ROWS; i++) {
        option_text(&rows[i], left);
        man_term(to, left, rows[i].help);
    }
    man_heading(to, "EXIT STATUS");
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        man_term(to, exits[i].code, exits[i].means);
    }
    man_heading(to, "SEE ALSO");
    man_text(to, "barnabas(1)");
    man_heading(to, "SETTINGS");
    man_text(to,
             "Names and meanings are Apache Kafka's. The file is INI; sections only group. Each "
             "is shown with its default, its type and what it may be.");
}
