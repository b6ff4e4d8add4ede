#include "common/base/settings.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

static const char BLANKS[] = " \t\n\v\f\r";

const char *setting_type_name(enum setting_type type)
{
    static const char *const names[] = {"boolean", "string", "int",   "short",   "long",
                                        "double",  "list",   "class", "password"};
    ASSERT((size_t)type < sizeof names / sizeof names[0]);
    return names[type];
}

static bool whole_number(enum setting_type type)
{
    return type == SETTING_INT || type == SETTING_SHORT || type == SETTING_LONG;
}

static void bounds(const struct setting_def *def, int64_t *min, int64_t *max)
{
    ASSERT(whole_number(def->type));
    *min = def->type == SETTING_INT     ? INT32_MIN
           : def->type == SETTING_SHORT ? INT16_MIN
                                        : INT64_MIN;
    *max = def->type == SETTING_INT     ? INT32_MAX
           : def->type == SETTING_SHORT ? INT16_MAX
                                        : INT64_MAX;
    if (def->min != 0 || def->max != 0) {
        *min = def->min > *min ? def->min : *min;
        *max = def->max < *max ? def->max : *max;
    }
}

static void double_bounds(const struct setting_def *def, double *min, double *max)
{
    bool bounded = def->double_min < 0 || def->double_max > 0;
    *min = bounded ? def->double_min : -DBL_MAX;
    *max = bounded ? def->double_max : DBL_MAX;
}

static void expected_choices(const struct setting_def *def, char *to, size_t size)
{
    size_t used = (size_t)snprintf(to, size, def->type == SETTING_LIST ? "a list of " : "one of ");
    for (const char *c = def->choices; *c != '\0' && used + 3 < size; c++) {
        if (*c == '|') {
            to[used++] = ',';
            to[used++] = ' ';
        } else {
            to[used++] = *c;
        }
    }
    to[used] = '\0';
}

const char *setting_expected(const struct setting_def *def, char *to, size_t size)
{
    ASSERT(size >= 32);
    const char *unit = def->unit != NULL ? def->unit : "";
    const char *gap = unit[0] != '\0' ? " " : "";
    if (def->choices != NULL) {
        expected_choices(def, to, size);
    } else if (def->type == SETTING_BOOL) {
        snprintf(to, size, "true or false");
    } else if (def->type == SETTING_DOUBLE) {
        double min, max;
        double_bounds(def, &min, &max);
        if (min <= -DBL_MAX) {
            snprintf(to, size, "a number%s%s", gap, unit);
        } else {
            snprintf(to, size, "%g..%g%s%s", min, max, gap, unit);
        }
    } else if (whole_number(def->type)) {
        int64_t min, max;
        bounds(def, &min, &max);
        snprintf(to, size, "%" PRId64 "..%" PRId64 "%s%s", min, max, gap, unit);
    } else {
        snprintf(to, size, "%s", def->type == SETTING_LIST ? "items separated by commas" : "text");
    }
    return to;
}

static enum err refuse(const struct setting_def *def, const char *value, const char *what,
                       struct err_text *text)
{
    char expected[256];
    if (def->type == SETTING_PASSWORD) {
        value = "(hidden)";
    }
    err_set(text, "%s: '%.100s' %s (expected %s)", def->name, value, what,
            setting_expected(def, expected, sizeof expected));
    return ERR_INVALID;
}

/* The choice equal to `item`, NUL-terminated in `to`; false when there is none. */
static bool choose(const struct setting_def *def, char *item)
{
    size_t size = strlen(item);
    for (const char *c = def->choices; c != NULL;) {
        const char *bar = strchr(c, '|');
        size_t choice_size = bar != NULL ? (size_t)(bar - c) : strlen(c);
        bool any_case = (def->flags & SETTING_ANY_CASE) != 0;
        if (size == choice_size &&
            (any_case ? strncasecmp(item, c, size) : strncmp(item, c, size)) == 0) {
            memcpy(item, c, size);
            return true;
        }
        c = bar != NULL ? bar + 1 : NULL;
    }
    return false;
}

static enum err parse_number(const struct setting_def *def, const char *word,
                             struct setting_value *out, struct err_text *text)
{
    char *end;
    errno = 0;
    long long number = strtoll(word, &end, 10);
    if (*word == '\0' || *end != '\0') {
        return refuse(def, word, "is not a number", text);
    }
    int64_t min, max;
    bounds(def, &min, &max);
    if (errno == ERANGE || number < min || number > max) {
        return refuse(def, word, "is out of range", text);
    }
    out->number = number;
    return ERR_NONE;
}

static enum err parse_double(const struct setting_def *def, const char *word,
                             struct setting_value *out, struct err_text *text)
{
    char *end;
    double real = strtod(word, &end);
    if (*word == '\0' || *end != '\0' || isnan(real)) {
        return refuse(def, word, "is not a number", text);
    }
    double min, max;
    double_bounds(def, &min, &max);
    if (real < min || real > max) {
        return refuse(def, word, "is out of range", text);
    }
    out->real = real;
    return ERR_NONE;
}

static char *trimmed(char *word)
{
    word += strspn(word, BLANKS);
    size_t size = strlen(word);
    while (size > 0 && strchr(BLANKS, word[size - 1]) != NULL) {
        size--;
    }
    word[size] = '\0';
    return word;
}

/* Splits `word` in place. The items stand in front of the text in one piece of memory. */
static enum err parse_list(const struct setting_def *def, const char *word,
                           struct setting_value *out, struct err_text *text)
{
    size_t most = 1;
    for (const char *c = word; *c != '\0'; c++) {
        most += *c == ',';
    }
    size_t size = strlen(word) + 1;
    char **items = mem_alloc(most * sizeof *items + size);
    char *rest = memcpy(items + most, word, size);
    size_t count = 0;
    while (*word != '\0' && rest != NULL) {
        char *comma = strchr(rest, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        ASSERT(count < most);
        items[count] = trimmed(rest);
        if (def->choices != NULL && !choose(def, items[count])) {
            enum err error = refuse(def, items[count], "is not a valid item", text);
            mem_free(items);
            return error;
        }
        count++;
        rest = comma != NULL ? comma + 1 : NULL;
    }
    out->list = (struct setting_list){.items = (const char *const *)items, .count = count};
    out->memory = items;
    return ERR_NONE;
}

static enum err parse_bool(const struct setting_def *def, const char *word,
                           struct setting_value *out, struct err_text *text)
{
    if (strcasecmp(word, "true") == 0 || strcasecmp(word, "false") == 0) {
        out->flag = word[0] == 't' || word[0] == 'T';
        return ERR_NONE;
    }
    return refuse(def, word, "is neither true nor false", text);
}

enum err setting_parse(const struct setting_def *def, const char *value, struct setting_value *out,
                       struct err_text *text)
{
    *out = (struct setting_value){0};
    char *copy = mem_strdup(value);
    char *word = trimmed(copy);
    enum err error = ERR_NONE;
    if (def->choices != NULL && def->type != SETTING_LIST && !choose(def, word)) {
        error = refuse(def, word, "is not a valid value", text);
    } else if (whole_number(def->type)) {
        error = parse_number(def, word, out, text);
    } else if (def->type == SETTING_DOUBLE) {
        error = parse_double(def, word, out, text);
    } else if (def->type == SETTING_BOOL) {
        error = parse_bool(def, word, out, text);
    } else if (def->type == SETTING_LIST) {
        error = parse_list(def, word, out, text);
    } else {
        out->string = word;
        out->memory = copy;
        return ERR_NONE;
    }
    mem_free(copy);
    return error;
}

void setting_value_free(struct setting_value *value)
{
    mem_free(value->memory);
    *value = (struct setting_value){0};
}
