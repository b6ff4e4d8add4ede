#include "console/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/man.h"
#include "console/keys.h"
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
    o->help = true;
    o->man = strcmp(value, "man") == 0;
    return value[0] == '\0' || o->man ? NULL : "nothing, or man";
}

static const struct option_row {
    const char *name;
    char letter;       /* 0 = none */
    const char *value; /* what it takes; NULL = nothing; "[=man]" = only with an equals sign */
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
    {"help", 'h', "[=man]", "print this, or the manual page, and leave", take_help},
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
        bool must = row->value != NULL && row->value[0] != '[';
        if (must && value == NULL) {
            value = i + 1 < argc ? argv[++i] : NULL;
        }
        if (must && value == NULL) {
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

static const struct form {
    const char *line;
    const char *help;
} forms[] = {
    {"barnabas [-b HOST:PORT[,...]]", "live; ? shows the keys, q leaves"},
    {"barnabas --once VIEW [--format json]", "print one snapshot"},
    {"barnabas --check", "print whether all is well"},
    {"barnabas COMMAND ...", "change something"},
};

static const struct status_row {
    const char *of;
    const char *means;
} statuses[] = {
    {"screens, --once", "0 good, 1 the terminal was lost, 2 wrong arguments or no terminal, 3 no "
                        "broker answered in time"},
    {"--check, --wait-healthy",
     "0 ok, 1 warning, 2 critical, 3 not enough could be learnt to judge"},
    {"commands", "0 done, or so already, or possible (--dry-run); 1 nothing or only a part was "
                 "changed; 2 wrong arguments; 3 it is not known"},
};

static const char what[] = "watch a cluster that speaks Kafka's protocol, and act on it";
static const char how_commands[] = "Each prints what it changes, reads the cluster once more, and "
                                   "sends it only if all is still so.";

/* "-b, --bootstrap-server HOST:PORT[,...]" */
static void option_text(const struct option_row *row, const char *no_letter, char out[80])
{
    char letter[8];
    snprintf(letter, sizeof letter, "-%c, ", row->letter);
    snprintf(out, 80, "%s--%s%s%s", row->letter == 0 ? no_letter : letter, row->name,
             row->value == NULL || row->value[0] == '[' ? "" : " ",
             row->value == NULL ? "" : row->value);
}

static void print_line(FILE *to, const char *left, const char *right)
{
    fprintf(to, "  %-38s %s\n", left, right);
}

void options_help(FILE *to)
{
    char left[80];
    fprintf(to, "barnabas: %s\n\n", what);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        print_line(to, forms[i].line, forms[i].help);
    }
    fprintf(to, "\nOptions:\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        option_text(&rows[i], "    ", left);
        print_line(to, left, rows[i].help);
    }
    fprintf(to, "\nCommands. %s\n", how_commands);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].words);
        print_line(to, left, commands[i].help);
    }
    fprintf(to, "\nExit status:\n");
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        fprintf(to, "  %s: %s\n", statuses[i].of, statuses[i].means);
    }
}

void options_man(struct bytes *to)
{
    char left[80];
    int keys = 0;
    const struct key_binding *table = keys_table(&keys);
    man_begin(to, "barnabas", 1, BARNABAS_VERSION, what);
    man_heading(to, "SYNOPSIS");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        man_command(to, forms[i].line);
    }
    man_heading(to, "DESCRIPTION");
    man_text(to, "Shows brokers, topics, partition leaders, the lag of every follower, consumer "
                 "groups and the metadata quorum of a cluster, Barnabas or Apache Kafka, and lets "
                 "an operator act on it. Every change is shown before it is made: y alone agrees, "
                 "and what was said is what is done.");
    man_heading(to, "OPTIONS");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        option_text(&rows[i], "", left);
        man_term(to, left, rows[i].help);
    }
    man_heading(to, "COMMANDS");
    man_text(to, how_commands);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].words);
        man_term(to, left, commands[i].help);
    }
    man_heading(to, "KEYS");
    for (int i = 0; i < keys; i++) {
        char name[16];
        left[0] = '\0';
        for (int k = 0; k < 4 && table[i].keys[k] != 0; k++) {
            size_t used = strlen(left);
            snprintf(left + used, sizeof left - used, "%s%s", k == 0 ? "" : ", ",
                     keys_name(table[i].keys[k], name));
        }
        man_term(to, left, table[i].help);
    }
    man_heading(to, "EXIT STATUS");
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        man_term(to, statuses[i].of, statuses[i].means);
    }
    man_heading(to, "ENVIRONMENT");
    man_term(to, "NO_COLOR", "when set, no colours are used");
    man_term(to, "LC_ALL, LC_CTYPE, LANG", "a UTF-8 locale draws lines and marks, another ASCII");
    man_heading(to, "SEE ALSO");
    man_text(to, "barnabasd(8)");
}
