/* ui: the console without terminal, loop or network: keys and snapshots in, frames out.
 *
 * What the world should do is left in the fields `quit`, `refresh`, `repaint`, `paused`,
 * `interval_ms` and in the action's state for whoever drives it to look at after every call. Times
 * are handed in: `now_ms` before every call. */
#ifndef CONSOLE_UI_H
#define CONSOLE_UI_H

#include <stdbool.h>
#include <stdint.h>

#include "console/action.h"
#include "console/keys.h"
#include "console/model.h"
#include "console/prompt.h"
#include "console/theme.h"
#include "console/view.h"

struct screen;

enum {
    UI_MAX_DEPTH = 32,
    UI_MIN_ROWS = 15,
    UI_MIN_COLUMNS = 60,
    UI_MIN_INTERVAL_MS = 500,
    UI_MAX_INTERVAL_MS = 600000
};

struct ui {
    struct view *stack[UI_MAX_DEPTH]; /* the last one is on the screen */
    int depth;
    const struct model *model; /* a reference; NULL before the first */
    struct prompt prompt;
    struct action action;
    int64_t now_ms;                         /* wall time */
    char before_filter[TABLE_FILTER_BYTES]; /* to go back to when the prompt is cancelled */
    char message[512]; /* about the last thing the user did; goes with the next key */
    enum style message_style;
    char trouble[512]; /* why the cluster cannot be asked at present; "" = it can */
    const char *where; /* the addresses it was started with; borrowed */
    bool hide_internal;
    bool paused;
    int interval_ms;
    bool quit;
    bool refresh; /* ask the cluster now */
    bool repaint; /* send the whole screen again */
};

/* Opens the overview. `where` must live as long. */
void ui_init(struct ui *ui, const char *where, int interval_ms);
void ui_free(struct ui *ui);
void ui_key(struct ui *ui, int key, int screen_rows_count);
/* Takes its own reference. */
void ui_show(struct ui *ui, const struct model *m);
/* Replaces the message line. */
void ui_say(struct ui *ui, enum style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A round of questions ended: `why` the cluster cannot be asked at present, or "". */
void ui_set_trouble(struct ui *ui, const char *why);
/* The cluster's answer to the action that was under way. */
void ui_answered(struct ui *ui, const struct action_answer *answer);
void ui_draw(struct ui *ui, struct screen *s, int64_t now_ms);
struct view *ui_view(const struct ui *ui);

/* The rows on the screen, or that will be: as many as one page. Returns the index after the last.
 */
size_t ui_visible(const struct ui *ui, int screen_rows_count, size_t *first);

#endif
