#include "console/table.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "console/model.h"
#include "console/screen.h"

void table_init(struct table *t, const struct column *columns, int column_count)
{
    ASSERT(column_count > 0 && column_count <= TABLE_MAX_COLUMNS);
    memset(t, 0, sizeof *t);
    t->columns = columns;
    t->column_count = column_count;
    t->sort_column = -1;
}

void table_free(struct table *t)
{
    if (t->has_regex) {
        regfree(&t->regex);
    }
    mem_free(t->rows);
    mem_free(t->shown);
    mem_free(t->selected_name);
    memset(t, 0, sizeof *t);
}

/* ---- cells ------------------------------------------------------------------------------------
 */

void cell_text(struct cell *c, const char *text)
{
    snprintf(c->text, sizeof c->text, "%s", text == NULL ? glyph(GLYPH_MISSING) : text);
}

void cell_number(struct cell *c, int64_t number)
{
    text_number(number, c->text);
    c->number = number;
    c->numeric = true;
    if (!model_known(number)) {
        c->style = STYLE_DIM;
    }
}

void cell_size(struct cell *c, int64_t bytes)
{
    cell_number(c, bytes);
    text_size(bytes, c->text);
}

static void get_cell(const struct table *t, int column, const struct row *row, struct cell *cell)
{
    cell->text[0] = '\0';
    cell->number = 0;
    cell->numeric = false;
    cell->style = STYLE_NORMAL;
    t->columns[column].value(row, cell);
}

/* ---- what is shown ----------------------------------------------------------------------------
 */

static bool matches(const struct table *t, const struct row *row)
{
    if (!t->has_regex) {
        return true;
    }
    char line[TABLE_MAX_COLUMNS * 64] = "";
    size_t at = 0;
    struct cell cell;
    for (int c = 0; c < t->column_count; c++) {
        get_cell(t, c, row, &cell);
        size_t size = strlen(cell.text);
        size_t room = sizeof line - 2 - at;
        size = size > room ? room : size;
        memcpy(line + at, cell.text, size);
        at += size;
        line[at++] = ' ';
        if (at >= sizeof line - 2) {
            break;
        }
    }
    line[at] = '\0';
    return (regexec(&t->regex, line, 0, NULL, 0) == 0) != t->inverse;
}

struct sort_item {
    size_t row;
    int64_t number;
    char *text; /* NULL when numeric */
};

static int compare_items(const void *a, const void *b)
{
    const struct sort_item *x = a;
    const struct sort_item *y = b;
    int order = 0;
    if (x->text != NULL && y->text != NULL) {
        order = strcasecmp(x->text, y->text);
    } else {
        order = (x->number > y->number) - (x->number < y->number);
    }
    return order != 0 ? order : (x->row > y->row) - (x->row < y->row);
}

static int compare_items_descending(const void *a, const void *b)
{
    const struct sort_item *x = a;
    const struct sort_item *y = b;
    int order = compare_items(b, a);
    bool equal = x->text != NULL && y->text != NULL ? strcasecmp(x->text, y->text) == 0
                                                    : x->number == y->number;
    return equal ? (x->row > y->row) - (x->row < y->row) : order;
}

static void sort_shown(struct table *t)
{
    if (t->sort_column < 0 || t->shown_count < 2) {
        return;
    }
    struct sort_item *items = mem_array(t->shown_count, sizeof *items);
    struct cell cell;
    for (size_t i = 0; i < t->shown_count; i++) {
        get_cell(t, t->sort_column, &t->rows[t->shown[i]], &cell);
        items[i].row = t->shown[i];
        items[i].number = cell.number;
        items[i].text = cell.numeric ? NULL : mem_strdup(cell.text);
    }
    qsort(items, t->shown_count, sizeof *items,
          t->sort_descending ? compare_items_descending : compare_items);
    for (size_t i = 0; i < t->shown_count; i++) {
        t->shown[i] = items[i].row;
        mem_free(items[i].text);
    }
    mem_free(items);
}

static void remember_selected(struct table *t)
{
    const struct row *row = table_selected(t);
    if (row == NULL) {
        return;
    }
    if (t->selected_name == NULL || strcmp(t->selected_name, row->id.name) != 0) {
        mem_free(t->selected_name);
        t->selected_name = mem_strdup(row->id.name);
    }
    t->selected_number = row->id.number;
}

static void find_selected(struct table *t)
{
    for (size_t i = 0; t->selected_name != NULL && i < t->shown_count; i++) {
        const struct row_id *id = &t->rows[t->shown[i]].id;
        if (id->number == t->selected_number && strcmp(id->name, t->selected_name) == 0) {
            t->selected = i;
            return;
        }
    }
    if (t->selected >= t->shown_count) {
        t->selected = t->shown_count == 0 ? 0 : t->shown_count - 1;
    }
}

static void refresh_shown(struct table *t)
{
    mem_free(t->shown);
    t->shown = mem_array(t->row_count + 1, sizeof *t->shown);
    t->shown_count = 0;
    for (size_t i = 0; i < t->row_count; i++) {
        if (matches(t, &t->rows[i])) {
            t->shown[t->shown_count++] = i;
        }
    }
    sort_shown(t);
    find_selected(t);
    remember_selected(t);
}

void table_begin(struct table *t)
{
    t->row_count = 0;
    t->shown_count = 0;
}

void table_add(struct table *t, struct row row)
{
    ASSERT(row.id.name != NULL);
    *MEM_PUSH(t->rows, t->row_count, t->row_capacity) = row;
}

void table_end(struct table *t)
{
    refresh_shown(t);
}

enum err table_filter(struct table *t, const char *expression, struct err_text *text)
{
    regex_t regex;
    bool inverse = expression[0] == '!';
    const char *pattern = expression + (inverse ? 1 : 0);
    if (pattern[0] != '\0') {
        int wrong = regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB);
        if (wrong != 0) {
            char why[100];
            regerror(wrong, &regex, why, sizeof why);
            err_set(text, "filter %s: %s", pattern, why);
            return ERR_INVALID;
        }
    }
    if (t->has_regex) {
        regfree(&t->regex);
    }
    t->has_regex = pattern[0] != '\0';
    if (t->has_regex) {
        t->regex = regex;
    }
    t->inverse = inverse;
    snprintf(t->filter, sizeof t->filter, "%s", pattern[0] == '\0' ? "" : expression);
    refresh_shown(t);
    return ERR_NONE;
}

void table_sort_next(struct table *t)
{
    t->sort_column = t->sort_column + 1 >= t->column_count ? -1 : t->sort_column + 1;
    t->sort_descending = false;
    refresh_shown(t);
}

void table_sort_invert(struct table *t)
{
    if (t->sort_column < 0) {
        t->sort_column = 0;
    }
    t->sort_descending = !t->sort_descending;
    refresh_shown(t);
}

/* ---- the cursor -------------------------------------------------------------------------------
 */

const struct row *table_selected(const struct table *t)
{
    return t->selected < t->shown_count ? &t->rows[t->shown[t->selected]] : NULL;
}

bool table_move(struct table *t, enum request request, int page)
{
    size_t step = page > 0 ? (size_t)page : 1;
    size_t last = t->shown_count == 0 ? 0 : t->shown_count - 1;
    size_t to = t->selected;
    switch ((int)request) {
    case REQUEST_UP:
        to = to > 0 ? to - 1 : 0;
        break;
    case REQUEST_DOWN:
        to++;
        break;
    case REQUEST_PAGE_UP:
        to = to > step ? to - step : 0;
        break;
    case REQUEST_PAGE_DOWN:
        to += step;
        break;
    case REQUEST_FIRST:
        to = 0;
        break;
    case REQUEST_LAST:
        to = last;
        break;
    default:
        return false;
    }
    t->selected = to > last ? last : to;
    remember_selected(t);
    return true;
}

/* ---- layout and drawing -----------------------------------------------------------------------
 */

enum { GAP_CELLS = 2 };

static int total_cells(const struct table *t)
{
    int total = 0;
    for (int c = 0; c < t->column_count; c++) {
        total += t->widths[c] > 0 ? t->widths[c] + GAP_CELLS : 0;
    }
    return total > 0 ? total - GAP_CELLS : 0;
}

/* Takes away what does not fit: first columns of rank 5 and more, then width, then other columns.
 */
static bool give_way(struct table *t, int excess)
{
    int last = -1;
    int wide = -1;
    for (int c = 0; c < t->column_count; c++) {
        if (t->widths[c] == 0) {
            continue;
        }
        if (t->columns[c].rank > 0 && (last < 0 || t->columns[c].rank >= t->columns[last].rank)) {
            last = c;
        }
        int spare = t->widths[c] - t->columns[c].min_cells;
        if (spare > 0 && (wide < 0 || spare > t->widths[wide] - t->columns[wide].min_cells)) {
            wide = c;
        }
    }
    if (last >= 0 && (t->columns[last].rank >= 5 || wide < 0)) {
        t->widths[last] = 0;
        return true;
    }
    if (wide >= 0) {
        int spare = t->widths[wide] - t->columns[wide].min_cells;
        t->widths[wide] -= spare < excess ? spare : excess;
        return true;
    }
    return false;
}

static void measure(struct table *t, size_t first, size_t count)
{
    struct cell cell;
    for (int c = 0; c < t->column_count; c++) {
        int widest = text_cells(t->columns[c].title) + 1; /* room for the sort mark */
        widest = widest > t->columns[c].min_cells ? widest : t->columns[c].min_cells;
        widest = widest > t->widest[c] ? widest : t->widest[c];
        for (size_t i = first; i < t->shown_count && i - first < count; i++) {
            get_cell(t, c, &t->rows[t->shown[i]], &cell);
            int cells = text_cells(cell.text);
            widest = cells > widest ? cells : widest;
        }
        int max = t->columns[c].max_cells;
        t->widest[c] = max > 0 && widest > max ? max : widest;
    }
}

static void lay_out(struct table *t, int columns)
{
    memcpy(t->widths, t->widest, sizeof t->widths);
    for (int excess = 0; (excess = total_cells(t) - columns) > 0;) {
        if (!give_way(t, excess)) {
            return;
        }
    }
}

static void title_text(const struct table *t, int c, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "%s%s", t->columns[c].title,
             c != t->sort_column ? "" : glyph(t->sort_descending ? GLYPH_DOWN : GLYPH_UP));
}

static void draw_titles(struct table *t, struct screen *s, int y)
{
    char text[TEXT_MAX];
    char fitted[TEXT_MAX];
    int x = 0;
    for (int c = 0; c < t->column_count; c++) {
        if (t->widths[c] == 0) {
            continue;
        }
        title_text(t, c, text);
        screen_put(s, y, x, STYLE_HEADING,
                   text_fit(text, t->widths[c], t->columns[c].align, fitted));
        x += t->widths[c] + GAP_CELLS;
    }
}

static void draw_row(struct table *t, struct screen *s, int y, size_t index)
{
    struct cell cell;
    char fitted[TEXT_MAX];
    int x = 0;
    for (int c = 0; c < t->column_count; c++) {
        if (t->widths[c] == 0) {
            continue;
        }
        get_cell(t, c, &t->rows[t->shown[index]], &cell);
        screen_put(s, y, x, cell.style,
                   text_fit(cell.text, t->widths[c], t->columns[c].align, fitted));
        x += t->widths[c] + GAP_CELLS;
    }
    if (index == t->selected) {
        screen_restyle(s, y, 0, -1, STYLE_SELECTED);
    }
}

void table_draw(struct table *t, struct screen *s, int row, int rows)
{
    if (rows < 2) {
        return;
    }
    size_t page = (size_t)rows - 1;
    if (t->selected < t->top) {
        t->top = t->selected;
    } else if (t->selected >= t->top + page) {
        t->top = t->selected - page + 1;
    }
    if (t->top + page > t->shown_count) {
        t->top = t->shown_count > page ? t->shown_count - page : 0;
    }
    measure(t, t->top, page);
    lay_out(t, screen_columns(s));
    draw_titles(t, s, row);
    for (size_t i = t->top; i < t->shown_count && i - t->top < page; i++) {
        draw_row(t, s, row + 1 + (int)(i - t->top), i);
    }
}

/* A line without the blanks after its last word. */
static void print_line(FILE *to, char *line)
{
    size_t size = strlen(line);
    while (size > 0 && line[size - 1] == ' ') {
        size--;
    }
    fprintf(to, "%.*s\n", (int)size, line);
}

void table_print(struct table *t, FILE *to)
{
    struct cell cell;
    char fitted[TEXT_MAX];
    char line[TABLE_MAX_COLUMNS * TEXT_MAX];
    measure(t, 0, t->shown_count);
    memcpy(t->widths, t->widest, sizeof t->widths);
    for (size_t i = 0; i <= t->shown_count; i++) {
        size_t at = 0;
        for (int c = 0; c < t->column_count; c++) {
            if (i == 0) {
                title_text(t, c, cell.text);
            } else {
                get_cell(t, c, &t->rows[t->shown[i - 1]], &cell);
            }
            text_fit(cell.text, t->widths[c], t->columns[c].align, fitted);
            at += (size_t)snprintf(line + at, sizeof line - at, "%s%s", c == 0 ? "" : "  ", fitted);
            ASSERT(at < sizeof line);
        }
        print_line(to, line);
    }
}
