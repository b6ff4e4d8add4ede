/* The frame round a view: two lines of status above it, messages and the hint bar below. */
#include <stdio.h>
#include <string.h>

#include "console/screen.h"
#include "console/text.h"
#include "console/ui.h"

static void draw_title(const struct ui *ui, struct screen *s)
{
    char title[TEXT_MAX];
    char safe[TEXT_MAX];
    char right[TEXT_MAX] = "";
    int columns = screen_columns(s);
    const char *cluster = ui->model == NULL ? NULL : ui->model->cluster_id;
    text_add(right, "cluster %s",
             cluster == NULL ? glyph(GLYPH_MISSING) : text_safe(cluster, safe));
    int at = screen_put(s, 0, 0, STYLE_DIM, "barnabas ");
    at = screen_put(s, 0, at, STYLE_TITLE, view_title(ui_view(ui), title));
    int start = columns - text_cells(right);
    screen_put(s, 0, start > at + 2 ? start : at + 2, STYLE_NORMAL, right);
}

static enum style verdict_style(enum model_verdict v)
{
    if (v == MODEL_VERDICT_OK) {
        return STYLE_GOOD;
    }
    return v == MODEL_VERDICT_CRITICAL ? STYLE_CRITICAL : STYLE_WARNING;
}

static void draw_status(const struct ui *ui, struct screen *s, int64_t now_ms)
{
    const struct view *v = ui_view(ui);
    char text[TEXT_MAX] = "";
    char age[TEXT_MAX];
    char safe[TEXT_MAX];
    enum model_verdict verdict = ui->model == NULL ? MODEL_VERDICT_UNKNOWN : model_judge(ui->model);
    int at = screen_put(s, 1, 0, verdict_style(verdict), model_verdict_name(verdict));
    const char *dot = glyph(GLYPH_DOT);
    if (ui->model == NULL) {
        text_add(text, " %s no data yet", dot);
    } else {
        text_add(text, " %s data %s old", dot, text_age(now_ms - ui->model->taken_ms, age));
    }
    text_add(text, " %s %s%g s", dot, ui->paused ? "PAUSED, else every " : "every ",
             ui->interval_ms / 1000.0);
    text_add(text, " %s %zu of %zu rows", dot, v->table.shown_count, v->table.row_count);
    if (v->table.filter[0] != '\0') {
        text_add(text, " %s filter /%s", dot, text_safe(v->table.filter, safe));
    }
    screen_put(s, 1, at, STYLE_NORMAL, text);
}

/* The first part of those the view shows that could not be read. */
static const char *part_trouble(const struct ui *ui)
{
    const struct view *v = ui_view(ui);
    for (int i = 0; ui->model != NULL && i < MODEL_PART_COUNT; i++) {
        if ((v->ops->parts >> i & 1) != 0 && ui->model->parts[i].error != NULL) {
            return ui->model->parts[i].error;
        }
    }
    return NULL;
}

static void draw_message(const struct ui *ui, struct screen *s, int row)
{
    char safe[TEXT_MAX];
    char text[TEXT_MAX] = "";
    const char *trouble = part_trouble(ui);
    if (ui->prompt.open) {
        text_add(text, "%c%s", ui->prompt.lead, ui->prompt.text);
        int at = screen_put(s, row, 0, STYLE_NORMAL, text);
        screen_cursor(s, row, at < screen_columns(s) ? at : screen_columns(s) - 1);
    } else if (ui->message[0] != '\0') {
        screen_put(s, row, 0, ui->message_style, text_safe(ui->message, safe));
    } else if (ui->trouble[0] != '\0') {
        screen_put(s, row, 0, STYLE_CRITICAL, text_safe(ui->trouble, safe));
    } else if (trouble != NULL) {
        screen_put(s, row, 0, STYLE_WARNING, text_safe(trouble, safe));
    }
}

static bool applies(const struct view_ops *ops, enum request request)
{
    switch ((int)request) {
    case REQUEST_ELECT:
        return ops->elects != VIEW_ELECTS_NONE;
    case REQUEST_MOVE:
        return ops->elects == VIEW_ELECTS_PARTITION;
    case REQUEST_RESET:
        return ops->resets;
    default:
        return true;
    }
}

static void draw_hints(const struct ui *ui, struct screen *s, int row)
{
    const struct view_ops *ops = ui_view(ui)->ops;
    int count = 0;
    const struct key_binding *table = keys_table(&count);
    int at = 0;
    for (int hint = 1; hint <= count; hint++) {
        for (int i = 0; i < count; i++) {
            char name[16];
            if (table[i].hint != hint || !applies(ops, table[i].request)) {
                continue;
            }
            keys_name(table[i].keys[0], name);
            if (at + text_cells(name) + 1 + text_cells(table[i].label) > screen_columns(s)) {
                return;
            }
            at = screen_put(s, row, at, STYLE_KEY, name);
            at = screen_put(s, row, at + 1, STYLE_BAR, table[i].label) + 2;
        }
    }
}

/* ---- the action's panel, below the table -----------------------------------------------------
 */

enum { LABEL_CELLS = 11, LEAST_CHANGES = 3 };

/* Where the panel is being drawn; `s` is NULL while its rows are only counted. */
struct panel {
    struct screen *s;
    int row;
    int columns;
};

static void panel_text(struct panel *p, const char *label, const char *text, enum style style)
{
    char part[TEXT_MAX];
    int indent = label[0] == '\0' ? 0 : LABEL_CELLS;
    if (p->s != NULL) {
        screen_put(p->s, p->row, 0, STYLE_DIM, label);
    }
    for (size_t size = 0; (size = text_line(text, p->columns - indent)) > 0; text += size) {
        snprintf(part, sizeof part, "%.*s", (int)size, text);
        if (p->s != NULL) {
            screen_put(p->s, p->row, indent, style, part);
        }
        p->row++;
    }
}

/* `room` rows of what changes, a line each. */
static void panel_changes(struct panel *p, const struct action *a, int room)
{
    char text[TEXT_MAX];
    char fitted[TEXT_MAX];
    int count = action_row_count(a);
    for (int i = 0; i < room; i++) {
        int row = a->row_top + i;
        if (p->s != NULL && row < count) {
            action_row_text(a, row, text);
            screen_put(p->s, p->row, 2, STYLE_NORMAL,
                       text_fit(text, p->columns - 2, TEXT_LEFT, fitted));
        }
        p->row++;
    }
    if (room < count) {
        text[0] = '\0';
        text_add(text, "rows %d to %d of %d; Down, Up, PgDn, PgUp", a->row_top + 1,
                 a->row_top + room < count ? a->row_top + room : count, count);
        panel_text(p, "", text, STYLE_DIM);
    }
}

static void panel_lines(struct panel *p, const struct action *a, int room)
{
    struct action_line lines[ACTION_MAX_LINES];
    int rows_at = 0;
    int count = action_lines(a, lines, &rows_at);
    for (int i = 0; i < count; i++) {
        if (i == rows_at) {
            panel_changes(p, a, room);
        }
        panel_text(p, lines[i].label, lines[i].text, lines[i].style);
    }
}

static int panel_height(const struct action *a, int columns, int room)
{
    struct panel p = {NULL, 0, columns};
    panel_lines(&p, a, room);
    return p.row;
}

/* Returns the first row that it takes; the rest of the screen is its own. */
static int draw_panel(struct ui *ui, struct screen *s, int top)
{
    int rows = screen_rows(s);
    int columns = screen_columns(s);
    int room = action_row_count(&ui->action);
    int least = room < LEAST_CHANGES ? room : LEAST_CHANGES;
    int need = panel_height(&ui->action, columns, room);
    while (rows - need - 1 < top && room > least) {
        need = panel_height(&ui->action, columns, --room);
    }
    if (rows - need - 1 < top) { /* what cannot be read whole cannot be agreed to */
        screen_put(s, rows - 2, 0, STYLE_WARNING, "What will be done does not fit in this window.");
        screen_put(s, rows - 1, 0, STYLE_WARNING, "Enlarge it, or Esc.");
        action_drawn(&ui->action, false, 0);
        return rows - 2;
    }
    action_drawn(&ui->action, true, room);
    int at = rows - panel_height(&ui->action, columns, room); /* its last words may be others now */
    for (int i = 0; i < columns; i++) {
        screen_put(s, at - 1, i, STYLE_DIM, glyph(GLYPH_BAR));
    }
    panel_lines(&(struct panel){s, at, columns}, &ui->action, room);
    return at - 1;
}

static void draw_waiting(const struct ui *ui, struct screen *s)
{
    char text[TEXT_MAX] = "";
    char safe[TEXT_MAX];
    text_add(text, "asking %s", text_safe(ui->where, safe));
    screen_put(s, 4, 2, STYLE_NORMAL, text);
    if (ui->trouble[0] != '\0') {
        screen_put(s, 6, 2, STYLE_CRITICAL, text_safe(ui->trouble, safe));
        screen_put(s, 8, 2, STYLE_NORMAL,
                   "It goes on trying. Another cluster: barnabas -b HOST:PORT");
        screen_put(s, 9, 2, STYLE_NORMAL, "A broker of your own here: barnabasd");
    }
}

static void draw_too_small(struct screen *s)
{
    char text[TEXT_MAX] = "";
    text_add(text, "This window is %dx%d.", screen_columns(s), screen_rows(s));
    screen_put(s, 0, 0, STYLE_NORMAL, text);
    text[0] = '\0';
    text_add(text, "barnabas needs %dx%d.", UI_MIN_COLUMNS, UI_MIN_ROWS);
    screen_put(s, 1, 0, STYLE_NORMAL, text);
    screen_put(s, 2, 0, STYLE_NORMAL, "Enlarge it, or q to quit.");
}

void ui_draw(struct ui *ui, struct screen *s, int64_t now_ms)
{
    struct view *v = ui_view(ui);
    int rows = screen_rows(s);
    screen_begin(s);
    if (ui->repaint) {
        screen_repaint(s);
        ui->repaint = false;
    }
    if (rows < UI_MIN_ROWS || screen_columns(s) < UI_MIN_COLUMNS) {
        draw_too_small(s);
        action_drawn(&ui->action, false, 0);
        screen_end(s);
        return;
    }
    draw_title(ui, s);
    draw_status(ui, s, now_ms);
    int at = 3;
    bool asks = action_is_open(&ui->action);
    int bottom = asks ? draw_panel(ui, s, at) : rows - 2;
    if (v->model == NULL && v->ops->parts != 0) {
        draw_waiting(ui, s);
    } else {
        struct cell line = {.style = STYLE_NORMAL};
        char safe[TEXT_MAX];
        for (int i = 0; v->ops->head != NULL && v->ops->head(v, i, &line); i++) {
            screen_put(s, at++, 0, line.style, text_safe(line.text, safe));
            line.text[0] = '\0';
            line.style = STYLE_NORMAL;
        }
        table_draw(&v->table, s, at, bottom - at);
        if (v->table.shown_count == 0 && bottom > at + 1) {
            screen_put(s, at + 1, 0, STYLE_DIM,
                       v->table.row_count > 0 ? "(no row matches the filter)"
                                              : "(nothing to show)");
        }
    }
    if (!asks) {
        draw_message(ui, s, rows - 2);
        draw_hints(ui, s, rows - 1);
    }
    screen_end(s);
}
