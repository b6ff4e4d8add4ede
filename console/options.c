#include "console/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "console/ui.h"

static const char *take_bootstrap(struct options *o, const char *value)
{
    o->bootstrap = value;
    return value[0] == '\0' ? "HOST:PORT[,HOST:PORT...]" : NULL;
}

static const char *take_once(struct options *o, const char *value)
{
    o->once = true;
    return view_by_name(value, &o->view)
               ? NULL
               : "overview, brokers, topics, partitions, groups or quorum";
}

static const char *take_check(struct options *o, const char *value)
{
    (void)value;
    o->check = true;
    return NULL;
}

static const char *take_wait_healthy(struct options *o, const char *value)
{
    o->wait_healthy = true;
    return take_check(o, value);
}

static const char *take_format(struct options *o, const char *value)
{
    o->format = strcmp(value, "json") == 0 ? FORMAT_JSON : FORMAT_TABLE;
    return strcmp(value, "json") == 0 || strcmp(value, "table") == 0 ? NULL : "table or json";
}

static bool seconds_of(const char *value, double min, double max, int64_t *out_ms)
{
    char *end = NULL;
    double seconds = strtod(value, &end);
    if (end == value || *end != '\0' || !(seconds >= min && seconds <= max)) {
        return false;
    }
    *out_ms = (int64_t)(seconds * 1000);
    return true;
}

static const char *take_timeout(struct options *o, const char *value)
{
    return seconds_of(value, 0.1, 3600, &o->timeout_ms) ? NULL : "seconds, 0.1 to 3600";
}

static const char *take_interval(struct options *o, const char *value)
{
    return seconds_of(value, UI_MIN_INTERVAL_MS / 1000.0, UI_MAX_INTERVAL_MS / 1000.0,
                      &o->interval_ms)
               ? NULL
               : "seconds, 0.5 to 600";
}

static const char *take_dry_run(struct options *o, const char *value)
{
    (void)value;
    o->dry_run = true;
    return NULL;
}

static const char *take_version(struct options *o, const char *value)
{
    (void)value;
    o->version = true;
    return NULL;
}

static const char *take_help(struct options *o, const char *value)
{
    (void)value;
    o->help = true;
    return NULL;
}

static const struct option_row {
    const char *name;
    char letter;       /* 0 = none */
    const char *value; /* what it takes; NULL = nothing */
    const char *help;
    /* NULL when the value is good, else what was expected. */
    const char *(*take)(struct options *o, const char *value);
} rows[] = {
    {"bootstrap-server", 'b', "HOST:PORT[,...]", "brokers to ask first (127.0.0.1:9092)",
     take_bootstrap},
    {"once", 0, "VIEW",
     "print a snapshot and leave: overview, brokers, topics, partitions, groups, quorum",
     take_once},
    {"check", 0, NULL, "print the verdict and its reasons; the exit status says which", take_check},
    {"wait-healthy", 0, NULL, "as --check, once the verdict is ok or the time is up",
     take_wait_healthy},
    {"dry-run", 0, NULL, "of a command: say what it would change, and change nothing",
     take_dry_run},
    {"format", 0, "table|json", "of what is printed (table); console/JSON.md documents the JSON",
     take_format},
    {"timeout", 0, "SECONDS", "how long to wait for the cluster (5)", take_timeout},
    {"interval", 0, "SECONDS", "how often the cluster is asked (2)", take_interval},
    {"version", 0, NULL, "print the version and leave", take_version},
    {"help", 'h', NULL, "print this and leave", take_help},
};

static const struct option_row *row_of(const char *arg, const char **value)
{
    size_t count = sizeof rows / sizeof *rows;
    *value = NULL;
    for (size_t i = 0; i < count; i++) {
        if (arg[0] == '-' && arg[1] == '-') {
            size_t size = strlen(rows[i].name);
            if (strncmp(arg + 2, rows[i].name, size) == 0 &&
                (arg[2 + size] == '\0' || arg[2 + size] == '=')) {
                *value = arg[2 + size] == '=' ? arg + 3 + size : NULL;
                return &rows[i];
            }
        } else if (arg[0] == '-' && rows[i].letter != 0 && arg[1] == rows[i].letter) {
            *value = arg[2] != '\0' ? arg + 2 : NULL;
            return &rows[i];
        }
    }
    return NULL;
}

static const struct command_row {
    const char *name;
    enum command command;
    int least;
    int most;
    const char *words;
    const char *help;
} commands[] = {
    {"elect", COMMAND_ELECT, 0, 1, "[TOPIC[:PARTITION]]",
     "elect the preferred leader, or those of a topic, or all"},
    {"reassign", COMMAND_REASSIGN, 2, 2, "TOPIC:PARTITION BROKERS",
     "move its replicas: 2,3,1 with the preferred leader first; or cancel"},
    {"reset-offsets", COMMAND_RESET, 2, 3, "GROUP TO [TOPIC[:P]]",
     "to earliest, latest, an offset, +N or -N"},
};

static const struct command_row *command_of(const char *word)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, word) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* What is left when the options are taken out. */
static enum err take_words(struct options *o, char **words, int count, struct err_text *text)
{
    for (int i = 0; i < OPTIONS_MAX_WORDS; i++) {
        o->words[i] = i + 1 < count ? words[i + 1] : "";
    }
    if (count == 0 && o->dry_run) {
        err_set(text, "--dry-run is of a command; --help lists them");
        return ERR_INVALID;
    }
    if (count == 0) {
        return ERR_NONE;
    }
    const struct command_row *row = command_of(words[0]);
    if (row == NULL) {
        err_set(text, "%.80s is no command; --help lists them", words[0]);
        return ERR_INVALID;
    }
    if (count - 1 < row->least || count - 1 > row->most) {
        err_set(text, "%s takes %s", row->name, row->words);
        return ERR_INVALID;
    }
    o->command = row->command;
    return ERR_NONE;
}

enum err options_parse(int argc, char **argv, struct options *out, struct err_text *text)
{
    *out = (struct options){.bootstrap = "127.0.0.1:9092", .timeout_ms = 5000, .interval_ms = 2000};
    char *words[OPTIONS_MAX_WORDS + 2];
    int word_count = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        bool shift = argv[i][0] == '-' && argv[i][1] >= '0' && argv[i][1] <= '9'; /* by so many */
        if (argv[i][0] != '-' || shift) {
            words[word_count] = argv[i];
            word_count += word_count < OPTIONS_MAX_WORDS + 1;
            continue;
        }
        const struct option_row *row = row_of(argv[i], &value);
        if (row == NULL) {
            err_set(text, "%.80s is not an option; --help lists them", argv[i]);
            return ERR_INVALID;
        }
        if (row->value == NULL && value != NULL) {
            err_set(text, "--%s takes no value", row->name);
            return ERR_INVALID;
        }
        if (row->value != NULL && value == NULL) {
            value = i + 1 < argc ? argv[++i] : NULL;
        }
        if (row->value != NULL && value == NULL) {
            err_set(text, "--%s needs a value: %s", row->name, row->value);
            return ERR_INVALID;
        }
        const char *expected = row->take(out, value == NULL ? "" : value);
        if (expected != NULL) {
            err_set(text, "--%s %.80s: expected %s", row->name, value == NULL ? "" : value,
                    expected);
            return ERR_INVALID;
        }
    }
    return take_words(out, words, word_count, text);
}

void options_help(FILE *to)
{
    fprintf(to, "barnabas: watch a cluster that speaks Kafka's protocol\n\n"
                "  barnabas [-b HOST:PORT[,...]]       live; ? shows the keys, q leaves\n"
                "  barnabas --once VIEW [--format json]  print one snapshot\n"
                "  barnabas --check                    print whether all is well\n"
                "  barnabas COMMAND ...                change something\n\n"
                "Options:\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char left[80];
        char letter[8] = "    ";
        if (rows[i].letter != 0) {
            snprintf(letter, sizeof letter, "-%c, ", rows[i].letter);
        }
        snprintf(left, sizeof left, "%s--%s%s%s", letter, rows[i].name,
                 rows[i].value == NULL ? "" : " ", rows[i].value == NULL ? "" : rows[i].value);
        fprintf(to, "  %-38s %s\n", left, rows[i].help);
    }
    fprintf(
        to,
        "\nCommands. Each prints what it changes, reads the cluster once more, and sends it only\n"
        "if all is still so:\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char left[80];
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].words);
        fprintf(to, "  %-38s %s\n", left, commands[i].help);
    }
    fprintf(
        to,
        "\nExit status: 0 good, 1 the terminal was lost, 2 wrong arguments or no terminal,\n"
        "3 no broker answered in time. Of --check and --wait-healthy: 0 ok, 1 warning, 2 "
        "critical,\n"
        "3 not enough could be learnt to judge. Of commands: 0 done, 1 nothing or only a part was\n"
        "changed, 3 it is not known.\n");
}
