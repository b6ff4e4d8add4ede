#include "broker/options.h"

#include <stdio.h>
#include <string.h>

enum option_id { OPT_CONFIG, OPT_DATA_DIR, OPT_SET, OPT_CHECK, OPT_VERBOSE, OPT_VERSION, OPT_HELP };

static const struct option_row {
    const char *name;
    const char *argument; /* NULL: takes none */
    enum option_id id;
    const char *help;
} rows[] = {
    {"--config", "FILE", OPT_CONFIG, "read settings from this INI file (Apache Kafka's names)"},
    {"--data-dir", "DIR", OPT_DATA_DIR,
     "keep data here (default ./barnabas-data); short for --set log.dirs=DIR"},
    {"--set", "KEY=VALUE", OPT_SET, "set one setting; wins over the file; may be repeated"},
    {"--check-config", NULL, OPT_CHECK, "read and judge the settings, say what is wrong, and exit"},
    {"--verbose", NULL, OPT_VERBOSE, "say more"},
    {"--version", NULL, OPT_VERSION, "print the version and exit"},
    {"--help", "settings", OPT_HELP,
     "print this, or with =settings every setting that has an effect, and exit"},
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static enum err apply(const struct option_row *row, const char *value, struct options *out,
                      struct err_text *text)
{
    switch (row->id) {
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

void options_help(void)
{
    printf("barnabasd: a message broker that speaks the Apache Kafka protocol\n\n"
           "usage: barnabasd [--config FILE] [--data-dir DIR] [--set KEY=VALUE]...\n\n");
    for (int i = 0; i < ROWS; i++) {
        char left[40];
        snprintf(left, sizeof left, "%s%s%s", rows[i].name,
                 rows[i].argument == NULL ? ""
                 : rows[i].id == OPT_HELP ? "[="
                                          : " ",
                 rows[i].argument == NULL ? "" : rows[i].argument);
        printf("  %s%s%*s%s\n", left, rows[i].id == OPT_HELP ? "]" : "",
               (int)(26 - strlen(left) - (rows[i].id == OPT_HELP ? 1 : 0)), "", rows[i].help);
    }
    printf("\nexit codes: 0 stopped cleanly, 1 failed while running, 2 arguments or settings are "
           "wrong,\n"
           "            3 refused to start (port, directory, lock, data of another cluster or "
           "node)\n");
}
