/* What every change goes through.
 *
 * Happy path: PREVIEW -y-> CHECKING -a newer snapshot says the same-> READY -> UNDER_WAY -the
 * answer-> OUTCOME -a snapshot shows what was asked for-> the same, with how it stands -any key->
 * CLOSED.
 *
 * Failure modes: the snapshot says something else (a new PREVIEW); what it is about is gone, or the
 * cluster cannot be asked (OUTCOME: nothing was sent); the cluster refuses (OUTCOME with Kafka's
 * name for it and what to do); no answer, or the connection ends (OUTCOME: unknown, and where to
 * look). */
#include "console/action.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/action_kinds.h"
#include "console/keys.h"

static const struct action_kind *kind_of(const struct action *a)
{
    switch (a->wish.id) {
    case ACTION_ELECT:
        return &action_elect;
    case ACTION_ELECT_MANY:
        return &action_elect_many;
    case ACTION_MOVE:
        return &action_move;
    case ACTION_RESET:
        return &action_reset;
    }
    UNREACHABLE("no such kind of action");
}

/* ---- the plan --------------------------------------------------------------------------------
 */

char *action_add_object(struct action_plan *plan, const char *label)
{
    ASSERT(plan->object_count < ACTION_MAX_OBJECTS);
    struct action_line *line = &plan->objects[plan->object_count++];
    line->label = label;
    line->style = STYLE_NORMAL;
    return line->text;
}

void action_broker_text(const struct model *m, int32_t id, char out[TEXT_MAX])
{
    char safe[TEXT_MAX];
    const struct model_broker *b = model_find_broker(m, id);
    out[0] = '\0';
    if (b == NULL || b->host == NULL) {
        text_add(out, "%d, whose address the cluster does not tell", (int)id);
    } else {
        text_add(out, "%d@%s:%d", (int)id, text_safe(b->host, safe), (int)b->port);
    }
}

bool action_cluster_fresh(const struct action_wish *wish, const struct model *m, int64_t since_ms,
                          char why[TEXT_MAX])
{
    (void)wish;
    (void)why;
    return m->parts[MODEL_CLUSTER].state == MODEL_READ &&
           m->parts[MODEL_CLUSTER].read_ms >= since_ms;
}

static bool same_rows(const struct action_plan *a, const struct action_plan *b)
{
    bool same = a->row_count == b->row_count;
    for (int i = 0; same && i < a->row_count; i++) {
        const struct action_row *x = &a->rows[i];
        const struct action_row *y = &b->rows[i];
        same = strcmp(x->topic, y->topic) == 0 && x->partition == y->partition &&
               x->before == y->before && x->after == y->after &&
               (x->note == NULL) == (y->note == NULL);
    }
    return same;
}

static bool same_plan(const struct action_plan *a, const struct action_plan *b)
{
    bool same = a->possible == b->possible && a->object_count == b->object_count &&
                strcmp(a->title, b->title) == 0 && strcmp(a->premises, b->premises) == 0 &&
                strcmp(a->verdict, b->verdict) == 0 && a->to == b->to;
    for (int i = 0; same && i < a->object_count; i++) {
        same = strcmp(a->objects[i].text, b->objects[i].text) == 0;
    }
    return same && same_rows(a, b);
}

/* With the cluster and where it is asked, which every preview names. */
static bool make_plan(const struct action *a, struct action_plan *plan, const struct model *m,
                      const struct action_plan *said, struct err_text *text)
{
    char safe[TEXT_MAX];
    char where[TEXT_MAX];
    memset(plan, 0, sizeof *plan);
    text_add(action_add_object(plan, "cluster"), "%s, asked at %s",
             m->cluster_id == NULL ? "of no name" : text_safe(m->cluster_id, safe),
             text_safe(a->where, where));
    return kind_of(a)->plan(plan, &a->wish, m, said, text);
}

/* Takes over what the plan holds. */
static void open_preview(struct action *a, const struct action_plan *plan)
{
    arena_free(&a->plan.arena);
    a->state = ACTION_PREVIEW;
    a->plan = *plan;
    a->drawn = false;
    a->outdated = false;
    a->row_top = 0;
    a->rows_seen = 0;
}

enum err action_open(struct action *a, const struct model *m, const char *where,
                     const struct action_wish *wish, struct err_text *text)
{
    struct action next = {.where = where, .wish = *wish};
    struct action_plan plan;
    if (a->state != ACTION_CLOSED) {
        err_set(text, "still under way: %s", a->plan.title);
        return ERR_BUSY;
    }
    if (!make_plan(&next, &plan, m, NULL, text)) {
        arena_free(&plan.arena);
        return ERR_NOT_FOUND;
    }
    action_free(a);
    *a = next;
    open_preview(a, &plan);
    return ERR_NONE;
}

void action_free(struct action *a)
{
    arena_free(&a->plan.arena);
    memset(a, 0, sizeof *a);
}

bool action_is_open(const struct action *a)
{
    return a->state != ACTION_CLOSED && !a->hidden;
}

bool action_wants_snapshot(const struct action *a, int64_t now_ms)
{
    if (a->state == ACTION_OUTCOME) {
        return !a->seen && now_ms - a->answered_ms < ACTION_WATCH_MS &&
               (a->result == ACTION_DONE || a->result == ACTION_PARTLY ||
                a->result == ACTION_UNKNOWN);
    }
    return a->state == ACTION_CHECKING;
}

/* ---- keys ------------------------------------------------------------------------------------
 */

static bool close_action(struct action *a)
{
    a->state = ACTION_CLOSED;
    return false;
}

/* True when the key is one that shows other rows. */
static bool scroll(struct action *a, int key)
{
    int page = a->rows_seen - a->row_top > 1 ? a->rows_seen - a->row_top : 1;
    int top = a->row_top;
    switch (key) {
    case KEY_CODE_DOWN:
        top++;
        break;
    case KEY_CODE_UP:
        top--;
        break;
    case KEY_CODE_PAGE_DOWN:
        top += page;
        break;
    case KEY_CODE_PAGE_UP:
        top -= page;
        break;
    case KEY_CODE_HOME:
        top = 0;
        break;
    default:
        return false;
    }
    /* Not past what was seen: every row is to be on the screen once before `y` counts. */
    top = top > a->rows_seen - 1 ? a->rows_seen - 1 : top;
    a->row_top = top < 0 ? 0 : top;
    return true;
}

static bool preview_key(struct action *a, int key, int64_t now_ms)
{
    if (a->plan.row_count > 0 && scroll(a, key)) {
        return true;
    }
    if (key != 'y' || !a->drawn || !a->plan.possible || a->rows_seen < a->plan.row_count) {
        return close_action(a);
    }
    a->state = ACTION_CHECKING;
    a->agreed_ms = now_ms;
    return true;
}

bool action_key(struct action *a, int key, int64_t now_ms)
{
    ASSERT(action_is_open(a));
    switch (a->state) {
    case ACTION_PREVIEW:
        return preview_key(a, key, now_ms);
    case ACTION_CHECKING:
        return key == 'y' ? true : close_action(a); /* nothing was sent yet */
    case ACTION_READY:
    case ACTION_UNDER_WAY:
        a->hidden = key == KEY_CODE_ESCAPE || key == 'q' || key == KEY_CTRL('c');
        return !a->hidden;
    case ACTION_OUTCOME:
    case ACTION_CLOSED:
        break;
    }
    return close_action(a);
}

void action_drawn(struct action *a, bool whole, int rows)
{
    a->drawn = whole;
    int seen = a->row_top + rows;
    bool follows = a->row_top <= a->rows_seen; /* nothing was left out before */
    a->rows_seen = whole && follows && seen > a->rows_seen ? seen : a->rows_seen;
}

/* ---- outcomes --------------------------------------------------------------------------------
 */

static void conclude(struct action *a, enum action_result result)
{
    a->state = ACTION_OUTCOME;
    a->result = result;
    a->headline[0] = '\0';
    a->advice[0] = '\0';
    a->now[0] = '\0';
    a->seen = false;
}

static void not_sent(struct action *a, const char *why, const char *advice)
{
    char safe[TEXT_MAX];
    conclude(a, ACTION_NOT_SENT);
    text_add(a->headline, "Nothing was sent: %s", text_safe(why, safe));
    text_add(a->advice, "%s", advice);
}

const char *action_common_advice(int16_t code)
{
    if (code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
        return "The topic was deleted meanwhile.";
    }
    return kafka_error_retriable(code) ? "Nothing was changed. Try again in a few seconds."
                                       : "Nothing was changed.";
}

/* The request may have been carried out after the answer was given up. */
static bool tells_nothing(int16_t code)
{
    return code == KAFKA_REQUEST_TIMED_OUT || code == KAFKA_UNKNOWN_SERVER_ERROR ||
           code == KAFKA_NETWORK_EXCEPTION;
}

static void unknown(struct action *a, const char *why)
{
    char safe[TEXT_MAX];
    conclude(a, ACTION_UNKNOWN);
    text_add(a->headline, "Unknown outcome: %s", text_safe(why, safe));
    kind_of(a)->unknown(a, a->advice);
}

static void answered_code(struct action *a, const struct action_answer *answer)
{
    char safe[TEXT_MAX];
    char why[TEXT_MAX] = "";
    text_add(why, "%s", kafka_error_name(answer->code));
    if (answer->message != NULL && answer->message[0] != '\0') {
        text_add(why, ": %s", text_safe(answer->message, safe));
    }
    if (answer->code == KAFKA_NONE) {
        conclude(a, ACTION_DONE);
        kind_of(a)->done(a, a->headline);
    } else if (answer->done > 0) {
        conclude(a, ACTION_PARTLY);
        text_add(a->headline, "Only %d of %d done: %s", answer->done, a->plan.change_count, why);
        text_add(a->advice, "The rest was not changed. Ask again for what is left.");
    } else if (tells_nothing(answer->code)) {
        unknown(a, why);
    } else {
        conclude(a, ACTION_REFUSED);
        text_add(a->headline, "%s: %s", kind_of(a)->failed, why);
        text_add(a->advice, "%s", kind_of(a)->advice(answer->code));
    }
}

void action_sent(struct action *a)
{
    ASSERT(a->state == ACTION_READY);
    a->state = ACTION_UNDER_WAY;
}

bool action_answered(struct action *a, const struct action_answer *answer, int64_t now_ms)
{
    char advice[TEXT_MAX] = "";
    ASSERT(a->state == ACTION_UNDER_WAY);
    a->answered_ms = now_ms;
    switch (answer->error) {
    case ERR_NONE:
        answered_code(a, answer);
        break;
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_NOT_FOUND:
        not_sent(a, answer->why, "The broker could not be reached. Nothing was changed.");
        break;
    case ERR_UNSUPPORTED:
        text_add(advice, "This broker does not serve %s.", kind_of(a)->api);
        not_sent(a, answer->why, advice);
        break;
    default:
        unknown(a, answer->why);
        break;
    }
    if (a->hidden) {
        a->hidden = false;
        a->state = ACTION_CLOSED;
        return false;
    }
    return true;
}

/* ---- snapshots -------------------------------------------------------------------------------
 */

static void check(struct action *a, const struct model *m, const struct action_plan *now)
{
    struct action_plan anew;
    struct err_text why;
    if (same_plan(&a->plan, now)) {
        a->state = ACTION_READY;
    } else if (make_plan(a, &anew, m, NULL, &why)) {
        open_preview(a, &anew);
        a->anew = true;
    }
}

void action_show(struct action *a, const struct model *m)
{
    struct action_plan now;
    struct err_text gone;
    char why[TEXT_MAX] = "";
    if (a->state == ACTION_OUTCOME) {
        if (kind_of(a)->fresh(&a->wish, m, a->answered_ms, why)) {
            a->now[0] = '\0';
            a->seen = kind_of(a)->look(a, m, a->now);
        }
        return;
    }
    if (a->state != ACTION_PREVIEW && a->state != ACTION_CHECKING) {
        return;
    }
    bool there = make_plan(a, &now, m, &a->plan, &gone);
    if (a->state == ACTION_PREVIEW) {
        a->outdated = !there || !same_plan(&a->plan, &now);
    } else if (!kind_of(a)->fresh(&a->wish, m, a->agreed_ms, why)) {
        if (why[0] != '\0') {
            action_trouble(a, why);
        }
    } else if (!there) {
        not_sent(a, gone.text, "It is gone. Nothing was changed.");
    } else {
        check(a, m, &now);
    }
    arena_free(&now.arena);
}

void action_trouble(struct action *a, const char *why)
{
    if (a->state == ACTION_CHECKING) {
        not_sent(a, why, "What the preview said could not be checked, so nothing was changed.");
    }
}

/* ---- words -----------------------------------------------------------------------------------
 */

struct lines {
    struct action_line *at;
    int count;
    int rows_at;
};

static char *add_line(struct lines *l, const char *label, enum style style)
{
    ASSERT(l->count < ACTION_MAX_LINES);
    struct action_line *line = &l->at[l->count++];
    line->label = label;
    line->style = style;
    line->text[0] = '\0';
    return line->text;
}

static void add_objects(struct lines *l, const struct action_plan *plan)
{
    for (int i = 0; i < plan->object_count; i++) {
        ASSERT(l->count < ACTION_MAX_LINES);
        l->at[l->count++] = plan->objects[i];
    }
}

static void add_preview(struct lines *l, const struct action *a)
{
    bool unseen = a->rows_seen < a->plan.row_count;
    if (a->anew) {
        text_add(add_line(l, "", STYLE_WARNING),
                 "It changed after you were asked. Nothing was sent; this is how it stands now.");
    }
    add_objects(l, &a->plan);
    l->rows_at = l->count;
    if (a->plan.verdict[0] != '\0') {
        text_add(add_line(l, "", STYLE_WARNING), "%s", a->plan.verdict);
    }
    if (a->outdated) {
        text_add(add_line(l, "", STYLE_WARNING), "The cluster has changed since this was shown.%s",
                 a->plan.possible ? " y shows it anew before anything is sent."
                                  : " Close it, and ask again.");
    }
    char *last = add_line(l, "", STYLE_KEY);
    if (!a->plan.possible) {
        text_add(last, "Any key closes. Nothing will be changed.");
    } else if (unseen) {
        text_add(last, "PgDn shows more; y counts when all was seen. Any other key closes.");
    } else {
        text_add(last, "%s Every other key, Enter and n too, changes nothing and closes.",
                 kind_of(a)->agree);
    }
}

static void add_outcome(struct lines *l, const struct action *a)
{
    bool watched = a->result != ACTION_REFUSED && a->result != ACTION_NOT_SENT;
    text_add(add_line(l, "", a->result == ACTION_DONE ? STYLE_GOOD : STYLE_WARNING), "%s",
             a->headline);
    if (a->advice[0] != '\0') {
        text_add(add_line(l, "", STYLE_NORMAL), "%s", a->advice);
    }
    if (watched) {
        text_add(add_line(l, kind_of(a)->watch, STYLE_NORMAL), "%s",
                 a->now[0] == '\0' ? "asking the cluster" : a->now);
    }
    text_add(add_line(l, "", STYLE_KEY), "Any key closes.");
}

int action_lines(const struct action *a, struct action_line lines[ACTION_MAX_LINES], int *rows_at)
{
    struct lines l = {.at = lines};
    ASSERT(a->state != ACTION_CLOSED);
    text_add(add_line(&l, "", STYLE_TITLE), "%s", a->plan.title);
    switch (a->state) {
    case ACTION_PREVIEW:
        add_preview(&l, a);
        break;
    case ACTION_CHECKING:
        add_objects(&l, &a->plan);
        text_add(add_line(&l, "", STYLE_WARNING),
                 "Reading the cluster once more before it is sent.");
        text_add(add_line(&l, "", STYLE_KEY), "Any key calls it off.");
        break;
    case ACTION_READY:
    case ACTION_UNDER_WAY:
        add_objects(&l, &a->plan);
        text_add(add_line(&l, "", STYLE_WARNING), "Sent. Waiting for the cluster's answer.");
        text_add(add_line(&l, "", STYLE_KEY), "Esc goes on meanwhile; it cannot be called back.");
        break;
    case ACTION_OUTCOME:
        add_outcome(&l, a);
        break;
    case ACTION_CLOSED:
        break;
    }
    *rows_at = l.rows_at;
    return l.count;
}

int action_row_count(const struct action *a)
{
    return a->state == ACTION_PREVIEW ? a->plan.row_count : 0;
}

char *action_row_text(const struct action *a, int row, char out[TEXT_MAX])
{
    char safe[TEXT_MAX];
    ASSERT(row >= 0 && row < a->plan.row_count);
    const struct action_row *r = &a->plan.rows[row];
    out[0] = '\0';
    text_add(out, "%s-%d  ", text_safe(r->topic, safe), (int)r->partition);
    kind_of(a)->row(r, out);
    return out;
}

int action_rows_of_topic(const struct action_plan *plan, int first)
{
    int count = 0;
    while (first + count < plan->row_count &&
           strcmp(plan->rows[first + count].topic, plan->rows[first].topic) == 0) {
        count++;
    }
    return count;
}
