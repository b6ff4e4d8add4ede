/* table: rows of things, shown through columns that are data.
 *
 * The cursor belongs to a thing, not to a position: when rows come, go or change places it stays on
 * the thing it was on, and only when that has gone does it take what stands in its place. */
#ifndef CONSOLE_TABLE_H
#define CONSOLE_TABLE_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "console/keys.h"
#include "console/text.h"
#include "console/theme.h"

struct screen;

struct row_id {
    const char *name; /* borrowed as long as the rows are loaded; never NULL */
    int64_t number;
};

struct row {
    struct row_id id;
    const void *item;  /* what it shows */
    const void *owner; /* what that belongs to, where the item does not say */
};

struct cell {
    char text[TEXT_MAX]; /* may be hostile: made safe when shown */
    int64_t number;      /* what it is sorted by when `numeric` */
    bool numeric;
    enum style style;
};

struct column {
    const char *title;
    int min_cells;
    int max_cells; /* 0 = as wide as what it shows */
    enum text_align align;
    int rank; /* 0 = always shown; of the others the highest goes first when space is short */
    void (*value)(const struct row *row, struct cell *cell);
};

enum { TABLE_MAX_COLUMNS = 16, TABLE_FILTER_BYTES = 201 };

struct table {
    const struct column *columns;
    int column_count;
    struct row *rows;
    size_t row_count;
    size_t row_capacity;
    size_t *shown; /* indexes of rows, filtered and sorted */
    size_t shown_count;
    size_t selected;     /* index into shown */
    char *selected_name; /* NULL before anything is selected */
    int64_t selected_number;
    size_t top;      /* first row drawn */
    int sort_column; /* -1 = in the order loaded */
    bool sort_descending;
    char filter[TABLE_FILTER_BYTES];
    regex_t regex;
    bool has_regex;
    bool inverse;
    int widest[TABLE_MAX_COLUMNS]; /* of all that was shown so far: columns do not jump about */
    int widths[TABLE_MAX_COLUMNS]; /* as laid out; 0 = left out */
};

void table_init(struct table *t, const struct column *columns, int column_count);
void table_free(struct table *t);

/* Loading: begin, add every row, end. What rows point at must live until the next begin or free. */
void table_begin(struct table *t);
void table_add(struct table *t, struct row row);
void table_end(struct table *t);

/* "" shows all. An expression that does not compile changes nothing and says why. */
enum err table_filter(struct table *t, const char *expression, struct err_text *text);
void table_sort_next(struct table *t); /* the next column, after the last none */
void table_sort_invert(struct table *t);
/* Moves the cursor; `page` is the number of rows on the screen. False: not a request of movement.
 */
bool table_move(struct table *t, enum request request, int page);
/* NULL when no row is shown. */
const struct row *table_selected(const struct table *t);

/* Draws titles in the first line and rows below. */
void table_draw(struct table *t, struct screen *s, int row, int rows);
/* Prints everything that is shown, as wide as it is. */
void table_print(struct table *t, FILE *to);

/* For value functions. */
void cell_text(struct cell *c, const char *text); /* NULL = could not be learnt */
void cell_number(struct cell *c, int64_t number);
void cell_size(struct cell *c, int64_t bytes);

#endif
