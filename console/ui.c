#include "console/ui.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "console/text.h"

/* What `:` knows besides the screens. The screens' names come first, in the order of enum view_id.
 */
static const char *const words[] = {
    "overview", "brokers", "topics",    "partitions",     "groups",
    "quorum",   "help",    "interval ", "internal",       "pause",
    "refresh",  "quit",    "reassign ", "reset-offsets ", NULL,
};

void ui_init(struct ui *ui, const char *where, int interval_ms)
{
    memset(ui, 0, sizeof *ui);
    ui->where = where;
    ui->interval_ms = interval_ms;
    ui->stack[0] = view_new(&(struct view_target){.id = VIEW_OVERVIEW, .broker = MODEL_NO_BROKER});
    ui->depth = 1;
    view_show(ui->stack[0], NULL);
}

void ui_free(struct ui *ui)
{
    for (int i = 0; i < ui->depth; i++) {
        view_free(ui->stack[i]);
    }
    model_unref(ui->model);
    action_free(&ui->action);
    memset(ui, 0, sizeof *ui);
}

struct view *ui_view(const struct ui *ui)
{
    ASSERT(ui->depth > 0);
    return ui->stack[ui->depth - 1];
}

void ui_say(struct ui *ui, enum style style, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(ui->message, sizeof ui->message, fmt, args);
    va_end(args);
    ui->message_style = style;
}

void ui_set_trouble(struct ui *ui, const char *why)
{
    snprintf(ui->trouble, sizeof ui->trouble, "%s", why);
    if (why[0] != '\0') {
        action_trouble(&ui->action, why);
    }
    ui->refresh = ui->refresh || action_wants_snapshot(&ui->action, ui->now_ms);
}

void ui_answered(struct ui *ui, const struct action_answer *answer)
{
    if (!action_answered(&ui->action, answer, ui->now_ms)) {
        ui_say(ui, ui->action.result == ACTION_DONE ? STYLE_GOOD : STYLE_WARNING, "%s",
               ui->action.headline);
    }
    ui->refresh = true;
}

void ui_show(struct ui *ui, const struct model *m)
{
    const struct model *before = ui->model;
    ui->model = model_ref(m);
    view_show(ui_view(ui), m);
    action_show(&ui->action, m);
    model_unref(before);
}

/* ---- screens ----------------------------------------------------------------------------------
 */

static void push(struct ui *ui, const struct view_target *to)
{
    const struct view *top = ui_view(ui);
    bool whole = to->topic == NULL && to->group == NULL && to->broker == MODEL_NO_BROKER &&
                 to->fault == MODEL_HEALTHY;
    bool top_whole = top->scope.topic == NULL && top->scope.group == NULL &&
                     top->scope.broker == MODEL_NO_BROKER && top->scope.fault == MODEL_HEALTHY;
    if (top->id == to->id && whole && top_whole) {
        return;
    }
    if (ui->depth == UI_MAX_DEPTH) {
        view_free(ui->stack[0]);
        memmove(ui->stack, ui->stack + 1, sizeof *ui->stack * (UI_MAX_DEPTH - 1));
        ui->depth--;
    }
    struct view *v = view_new(to);
    v->hide_internal = ui->hide_internal;
    ui->stack[ui->depth++] = v;
    view_show(v, ui->model);
    ui->refresh = true;
}

static void push_named(struct ui *ui, enum view_id id)
{
    push(ui, &(struct view_target){.id = id, .broker = MODEL_NO_BROKER});
}

static void pop(struct ui *ui)
{
    if (ui->depth > 1) {
        view_free(ui->stack[--ui->depth]);
        struct view *v = ui_view(ui);
        v->hide_internal = ui->hide_internal;
        view_show(v, ui->model);
        ui->refresh = true;
    }
}

static void open_selected(struct ui *ui)
{
    const struct view *v = ui_view(ui);
    const struct row *row = table_selected(&v->table);
    struct view_target to = {.broker = MODEL_NO_BROKER};
    if (row == NULL || v->ops->open == NULL || !v->ops->open(v, row, &to)) {
        ui_say(ui, STYLE_NORMAL, "nothing lies behind this row");
        return;
    }
    push(ui, &to);
}

static void back(struct ui *ui)
{
    struct view *v = ui_view(ui);
    if (v->table.filter[0] != '\0') {
        table_filter(&v->table, "", NULL);
    } else if (v->only_wrong) {
        v->only_wrong = false;
        view_reload(v);
    } else {
        pop(ui);
    }
}

static void toggle_internal(struct ui *ui)
{
    ui->hide_internal = !ui->hide_internal;
    ui_view(ui)->hide_internal = ui->hide_internal;
    view_reload(ui_view(ui));
    ui_say(ui, STYLE_NORMAL, "internal topics are %s", ui->hide_internal ? "hidden" : "shown");
}

static void set_interval(struct ui *ui, int64_t interval_ms)
{
    interval_ms = interval_ms < UI_MIN_INTERVAL_MS ? UI_MIN_INTERVAL_MS : interval_ms;
    interval_ms = interval_ms > UI_MAX_INTERVAL_MS ? UI_MAX_INTERVAL_MS : interval_ms;
    ui->interval_ms = (int)interval_ms;
    ui_say(ui, STYLE_NORMAL, "asking every %g s", ui->interval_ms / 1000.0);
}

/* ---- changes ----------------------------------------------------------------------------------
 */

static void open_action(struct ui *ui, const struct action_wish *wish)
{
    struct err_text why;
    if (action_open(&ui->action, ui->model, ui->where, wish, &why) != ERR_NONE) {
        ui_say(ui, STYLE_WARNING, "%s", why.text);
    }
}

static void elect(struct ui *ui)
{
    const struct view *v = ui_view(ui);
    const struct row *row = table_selected(&v->table);
    struct action_wish wish;
    struct err_text why;
    enum err e = ERR_NONE;
    if (v->ops->elects == VIEW_ELECTS_NONE || row == NULL || ui->model == NULL) {
        ui_say(ui, STYLE_NORMAL,
               "e elects on partitions (4), topics (3), brokers (2) and overview (1)");
        return;
    }
    switch (v->ops->elects) {
    case VIEW_ELECTS_PARTITION:
        e = action_wish_elect(&wish, row->id.name, (int32_t)row->id.number, &why);
        break;
    case VIEW_ELECTS_TOPIC:
        e = action_wish_elect_many(&wish, row->id.name, MODEL_NO_BROKER, &why);
        break;
    case VIEW_ELECTS_BROKER:
        e = action_wish_elect_many(&wish, "", (int32_t)row->id.number, &why);
        break;
    case VIEW_ELECTS_ALL:
        e = action_wish_elect_many(&wish, "", MODEL_NO_BROKER, &why);
        break;
    case VIEW_ELECTS_NONE:
        UNREACHABLE("seen above");
    }
    if (e != ERR_NONE) {
        ui_say(ui, STYLE_WARNING, "%s", why.text);
    } else {
        open_action(ui, &wish);
    }
}

static void reassign(struct ui *ui, const char *brokers)
{
    const struct view *v = ui_view(ui);
    const struct row *row = table_selected(&v->table);
    struct action_wish wish;
    struct err_text why;
    if (v->ops->elects != VIEW_ELECTS_PARTITION || row == NULL || ui->model == NULL) {
        ui_say(ui, STYLE_NORMAL, "replicas are moved on the screen partitions (4), one by one");
    } else if (action_wish_move(&wish, row->id.name, (int32_t)row->id.number, brokers, &why)) {
        ui_say(ui, STYLE_WARNING, "%s", why.text);
    } else {
        open_action(ui, &wish);
    }
}

/* Begins with the replicas there are, to be edited. */
static void ask_reassign(struct ui *ui)
{
    char command[TEXT_MAX] = "reassign ";
    const struct view *v = ui_view(ui);
    const struct row *row = table_selected(&v->table);
    const struct model_partition *p = NULL;
    if (v->ops->elects == VIEW_ELECTS_PARTITION && row != NULL && ui->model != NULL) {
        p = model_find_partition(ui->model, row->id.name, (int32_t)row->id.number);
    }
    if (p == NULL) {
        reassign(ui, "");
        return;
    }
    bool any = false;
    for (int i = 0; i < p->replica_count; i++) {
        if (!p->replicas[i].removing) {
            text_add(command, "%s%d", any ? "," : "", (int)p->replicas[i].broker);
            any = true;
        }
    }
    prompt_open(&ui->prompt, ':', command, words);
}

/* The group that the screen is about, or that the cursor is on; NULL when there is none. */
static const char *group_meant(const struct ui *ui)
{
    const struct view *v = ui_view(ui);
    const struct row *row = table_selected(&v->table);
    if (!v->ops->resets || ui->model == NULL) {
        return NULL;
    }
    return v->scope.group != NULL ? v->scope.group : row == NULL ? NULL : row->id.name;
}

static void reset_offsets(struct ui *ui, const char *words_after)
{
    const char *group = group_meant(ui);
    struct action_wish wish;
    struct err_text why;
    if (group == NULL) {
        ui_say(ui, STYLE_NORMAL, "offsets are reset on the screen groups (5), or of one group");
    } else if (action_wish_reset(&wish, group, words_after, &why)) {
        ui_say(ui, STYLE_WARNING, "%s", why.text);
    } else {
        open_action(ui, &wish);
    }
}

static void ask_reset(struct ui *ui)
{
    if (group_meant(ui) == NULL) {
        reset_offsets(ui, "");
    } else {
        prompt_open(&ui->prompt, ':', "reset-offsets ", words);
    }
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static void run_command(struct ui *ui, const char *text)
{
    char word[PROMPT_MAX_BYTES + 1];
    enum view_id id;
    size_t size = strcspn(text, " ");
    snprintf(word, sizeof word, "%.*s", (int)size, text);
    const char *rest = text + size + strspn(text + size, " ");
    if (view_by_name(word, &id)) {
        push_named(ui, id);
        struct err_text why;
        if (rest[0] != '\0' && table_filter(&ui_view(ui)->table, rest + (rest[0] == '/'), &why)) {
            ui_say(ui, STYLE_WARNING, "%s", why.text);
        }
    } else if (strcmp(word, "interval") == 0) {
        char *end = NULL;
        double seconds = strtod(rest, &end);
        if (end == rest || *end != '\0' || !(seconds > 0 && seconds <= 600)) {
            ui_say(ui, STYLE_WARNING, "interval takes seconds, 0.5 to 600, as in: interval 5");
        } else {
            set_interval(ui, (int64_t)(seconds * 1000));
        }
    } else if (strcmp(word, "quit") == 0 || strcmp(word, "q") == 0) {
        ui->quit = true;
    } else if (strcmp(word, "help") == 0) {
        push_named(ui, VIEW_HELP);
    } else if (strcmp(word, "reassign") == 0) {
        reassign(ui, rest);
    } else if (strcmp(word, "reset-offsets") == 0) {
        reset_offsets(ui, rest);
    } else if (strcmp(word, "internal") == 0) {
        toggle_internal(ui);
    } else if (strcmp(word, "pause") == 0) {
        ui->paused = !ui->paused;
    } else if (strcmp(word, "refresh") == 0) {
        ui->refresh = true;
    } else if (word[0] != '\0') {
        char safe[TEXT_MAX];
        ui_say(ui, STYLE_WARNING, "no command %s; Tab after : shows what there is",
               text_safe(word, safe));
    }
}

static void prompt_input(struct ui *ui, int key)
{
    struct table *t = &ui_view(ui)->table;
    struct err_text why;
    enum prompt_event event = prompt_key(&ui->prompt, key);
    if (ui->prompt.lead == '/') {
        if (event == PROMPT_EDITED) {
            table_filter(t, ui->prompt.text, NULL); /* half an expression may not compile yet */
        } else if (event == PROMPT_CANCELLED) {
            table_filter(t, ui->before_filter, NULL);
        } else if (event == PROMPT_ACCEPTED && table_filter(t, ui->prompt.text, &why)) {
            ui_say(ui, STYLE_WARNING, "%s", why.text);
        }
    } else if (event == PROMPT_ACCEPTED) {
        run_command(ui, ui->prompt.text);
    }
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static void open_filter(struct ui *ui)
{
    const char *present = ui_view(ui)->table.filter;
    memcpy(ui->before_filter, present, sizeof ui->before_filter);
    prompt_open(&ui->prompt, '/', present, NULL);
}

static void toggle_wrong(struct ui *ui)
{
    struct view *v = ui_view(ui);
    if (v->ops->wrong == NULL) {
        ui_say(ui, STYLE_NORMAL, "nothing on this screen can be wrong");
        return;
    }
    v->only_wrong = !v->only_wrong;
    view_reload(v);
}

static void toggle_help(struct ui *ui)
{
    if (ui_view(ui)->id == VIEW_HELP) {
        pop(ui);
    } else {
        push_named(ui, VIEW_HELP);
    }
}

static void sort_message(struct ui *ui)
{
    const struct table *t = &ui_view(ui)->table;
    ui_say(ui, STYLE_NORMAL, "sorted by %s%s",
           t->sort_column < 0 ? "the order of the cluster" : t->columns[t->sort_column].title,
           t->sort_column >= 0 && t->sort_descending ? ", largest first" : "");
}

static void action_input(struct ui *ui, int key)
{
    bool changes_nothing = ui->action.state <= ACTION_CHECKING;
    if (!action_key(&ui->action, key, ui->now_ms) && changes_nothing) {
        ui_say(ui, STYLE_NORMAL, "nothing was changed");
    }
    ui->refresh = ui->refresh || action_wants_snapshot(&ui->action, ui->now_ms);
}

static void act(struct ui *ui, enum request request)
{
    struct table *t = &ui_view(ui)->table;
    switch ((int)request) {
    case REQUEST_OPEN:
        open_selected(ui);
        break;
    case REQUEST_BACK:
        back(ui);
        break;
    case REQUEST_PREVIOUS:
        pop(ui);
        break;
    case REQUEST_COMMAND:
        prompt_open(&ui->prompt, ':', "", words);
        break;
    case REQUEST_FILTER:
        open_filter(ui);
        break;
    case REQUEST_WRONG:
        toggle_wrong(ui);
        break;
    case REQUEST_INTERNAL:
        toggle_internal(ui);
        break;
    case REQUEST_SORT:
        table_sort_next(t);
        sort_message(ui);
        break;
    case REQUEST_SORT_INVERT:
        table_sort_invert(t);
        sort_message(ui);
        break;
    case REQUEST_ELECT:
        elect(ui);
        break;
    case REQUEST_MOVE:
        ask_reassign(ui);
        break;
    case REQUEST_RESET:
        ask_reset(ui);
        break;
    case REQUEST_REFRESH:
        ui->refresh = true;
        ui_say(ui, STYLE_NORMAL, "asking the cluster");
        break;
    case REQUEST_PAUSE:
        ui->paused = !ui->paused;
        break;
    case REQUEST_FASTER:
        set_interval(ui, ui->interval_ms / 2);
        break;
    case REQUEST_SLOWER:
        set_interval(ui, (int64_t)ui->interval_ms * 2);
        break;
    case REQUEST_REPAINT:
        ui->repaint = true;
        break;
    case REQUEST_HELP:
        toggle_help(ui);
        break;
    case REQUEST_QUIT:
        ui->quit = true;
        break;
    default:
        break;
    }
}

static int page_rows(int screen_rows_count)
{
    return screen_rows_count > 8 ? screen_rows_count - 6 : 1;
}

void ui_key(struct ui *ui, int key, int screen_rows_count)
{
    ui->message[0] = '\0';
    if (action_is_open(&ui->action)) {
        action_input(ui, key);
        return;
    }
    if (ui->prompt.open) {
        prompt_input(ui, key);
        return;
    }
    enum request request = keys_lookup(key);
    if (request >= REQUEST_VIEW_1 && request <= REQUEST_VIEW_6) {
        push_named(ui, (enum view_id)(request - REQUEST_VIEW_1));
    } else if (!table_move(&ui_view(ui)->table, request, page_rows(screen_rows_count))) {
        act(ui, request);
    }
}

size_t ui_visible(const struct ui *ui, int screen_rows_count, size_t *first)
{
    const struct table *t = &ui_view(ui)->table;
    size_t page = (size_t)page_rows(screen_rows_count);
    size_t top = t->top;
    if (t->selected < top) {
        top = t->selected;
    } else if (t->selected >= top + page) {
        top = t->selected - page + 1;
    }
    *first = top;
    return top + page > t->shown_count ? t->shown_count : top + page;
}
