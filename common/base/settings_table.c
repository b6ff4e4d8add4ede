#include "common/base/settings.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

struct settings_table {
    const struct setting_def **rows; /* by name */
    size_t count;
    const char *scope; /* NULL: none */
};

static int by_name(const void *a, const void *b)
{
    const struct setting_def *const *x = a;
    const struct setting_def *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

struct settings_table *settings_table_new(const struct setting_def *const *parts, size_t part_count)
{
    struct settings_table *t = mem_zalloc(sizeof *t);
    size_t capacity = 0;
    for (size_t i = 0; i < part_count; i++) {
        for (const struct setting_def *def = parts[i]; def->name != NULL; def++) {
            *MEM_PUSH(t->rows, t->count, capacity) = def;
        }
    }
    ASSERT(t->count > 0);
    qsort(t->rows, t->count, sizeof *t->rows, by_name);
    for (size_t i = 1; i < t->count; i++) {
        ASSERT(strcmp(t->rows[i - 1]->name, t->rows[i]->name) != 0);
    }
    return t;
}

void settings_table_free(struct settings_table *table)
{
    if (table != NULL) {
        mem_free(table->rows);
        mem_free(table);
    }
}

size_t settings_table_count(const struct settings_table *table)
{
    return table->count;
}

const struct setting_def *settings_table_at(const struct settings_table *table, size_t index)
{
    ASSERT(index < table->count);
    return table->rows[index];
}

bool settings_table_index_of(const struct settings_table *table, const char *name, size_t *index)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, table->rows[middle]->name);
        if (order == 0) {
            *index = middle;
            return true;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return false;
}

const struct setting_def *settings_table_find(const struct settings_table *table, const char *name)
{
    size_t index;
    return settings_table_index_of(table, name, &index) ? table->rows[index] : NULL;
}

void settings_table_scope(struct settings_table *table, const char *prefix)
{
    ASSERT(prefix[0] != '\0' && prefix[strlen(prefix) - 1] == '.');
    table->scope = prefix;
}

const struct setting_def *settings_table_find_scoped(const struct settings_table *table,
                                                     const char *name, size_t *index)
{
    if (table->scope == NULL || strncmp(name, table->scope, strlen(table->scope)) != 0) {
        return NULL;
    }
    const char *scope = name + strlen(table->scope);
    for (const char *dot = strchr(scope, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        bool known = dot > scope && settings_table_index_of(table, dot + 1, index);
        if (known && (table->rows[*index]->flags & SETTING_SCOPED)) {
            return table->rows[*index];
        }
    }
    return NULL;
}

enum { NEAREST_MAX_BYTES = 96 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance; a swap of neighbours counts one. Both names are within the limit. */
static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][NEAREST_MAX_BYTES + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];
    for (size_t j = 0; j <= b_size; j++) {
        last[j] = j;
        before[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = least(least(last[j], now[j - 1]) + 1, change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                now[j] = least(now[j], before[j - 2] + 1);
            }
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_size];
}

const char *settings_table_nearest(const struct settings_table *table, const char *name)
{
    size_t size = strlen(name);
    if (size > NEAREST_MAX_BYTES) {
        return NULL;
    }
    const char *best = NULL;
    size_t best_distance = size / 3 + 1; /* farther than a third is another word */
    for (size_t i = 0; i < table->count; i++) {
        const char *other = table->rows[i]->name;
        size_t other_size = strlen(other);
        if (other_size > NEAREST_MAX_BYTES || (table->rows[i]->flags & SETTING_INTERNAL)) {
            continue;
        }
        size_t distance = edit_distance(name, size, other, other_size);
        if (distance < best_distance) {
            best = other;
            best_distance = distance;
        }
    }
    return best;
}
