#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "console/view.h"

struct line {
    const char *what;
    int64_t count;
    char note[160];
    enum style style;
    enum view_id opens;
    enum model_fault fault;
};

enum { LINES = 9 };

static void what_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_text(c, l->what);
    c->style = l->style;
}

static void count_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_number(c, l->count);
    if (l->style != STYLE_NORMAL) {
        c->style = l->style;
    }
}

static void note_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_text(c, l->note);
}

static const struct column columns[] = {
    {"what", 20, 0, TEXT_LEFT, 0, what_value},
    {"count", 8, 0, TEXT_RIGHT, 0, count_value},
    {"note", 10, 0, TEXT_LEFT, 1, note_value},
};

static enum style style_of(int64_t count, enum style bad)
{
    return model_known(count) && count > 0 ? bad : STYLE_NORMAL;
}

static void quorum_line(const struct model *m, struct line *l)
{
    const struct model_quorum *q = &m->quorum;
    int64_t behind = 0;
    l->what = "quorum nodes";
    l->opens = VIEW_QUORUM;
    if (m->parts[MODEL_QUORUM].read_ms == 0) {
        l->count = m->parts[MODEL_QUORUM].state == MODEL_REFUSED ? MODEL_DENIED : MODEL_UNKNOWN;
        return;
    }
    l->count = q->node_count;
    for (int i = 0; i < q->node_count; i++) {
        behind = q->nodes[i].lag > behind ? q->nodes[i].lag : behind;
    }
    snprintf(l->note, sizeof l->note, "leader %d, epoch %lld, furthest behind %lld", (int)q->leader,
             (long long)q->leader_epoch, (long long)behind);
    if (q->leader == MODEL_NO_BROKER) {
        l->style = STYLE_CRITICAL;
        snprintf(l->note, sizeof l->note, "no leader: nothing can be changed in this cluster");
    }
}

/* The largest sum of lags, and whose it is. */
static void group_line(const struct model *m, struct line *l)
{
    int64_t worst = -1;
    for (int i = 0; i < m->group_count; i++) {
        int64_t lag = model_group_lag(&m->groups[i]);
        if (lag > worst) {
            worst = lag;
            snprintf(l->note, sizeof l->note, "largest lag %lld: %.100s", (long long)lag,
                     m->groups[i].group);
        }
    }
}

static void load(struct view *v)
{
    struct model_counts n = model_count(v->model);
    const struct line lines[LINES] = {
        {"brokers", n.brokers, "", STYLE_NORMAL, VIEW_BROKERS, MODEL_HEALTHY},
        {"brokers missing", n.brokers_missing, "", style_of(n.brokers_missing, STYLE_WARNING),
         VIEW_BROKERS, MODEL_HEALTHY},
        {"topics", n.topics, "", STYLE_NORMAL, VIEW_TOPICS, MODEL_HEALTHY},
        {"partitions", n.partitions, "", STYLE_NORMAL, VIEW_PARTITIONS, MODEL_HEALTHY},
        {"offline", n.offline, "partitions without a leader", style_of(n.offline, STYLE_CRITICAL),
         VIEW_PARTITIONS, MODEL_OFFLINE},
        {"under min ISR", n.under_min_isr, "partitions that refuse acks=all",
         style_of(n.under_min_isr, STYLE_CRITICAL), VIEW_PARTITIONS, MODEL_UNDER_MIN_ISR},
        {"under-replicated", n.under_replicated, "partitions with a replica out of the ISR",
         style_of(n.under_replicated, STYLE_WARNING), VIEW_PARTITIONS, MODEL_UNDER_REPLICATED},
        {"groups", n.groups, "", STYLE_NORMAL, VIEW_GROUPS, MODEL_HEALTHY},
    };
    struct line *own = mem_array(LINES, sizeof *own);
    for (int i = 0; i < LINES; i++) {
        own[i] = lines[i];
    }
    v->extra = own;
    if (model_known(n.not_preferred) && n.not_preferred > 0) {
        snprintf(own[3].note, sizeof own[3].note, "%lld not led by their first replica",
                 (long long)n.not_preferred);
    }
    group_line(v->model, &own[7]);
    quorum_line(v->model, &own[8]);
    for (int i = 0; i < LINES; i++) {
        view_add(v, (struct row){{own[i].what, 0}, &own[i], v->model});
    }
}

static bool wrong(const struct row *row)
{
    const struct line *l = row->item;
    return l->style != STYLE_NORMAL;
}

static bool open_row(const struct view *v, const struct row *row, struct view_target *to)
{
    (void)v;
    const struct line *l = row->item;
    to->id = l->opens;
    to->fault = l->fault;
    return true;
}

static enum style severity_style(enum model_verdict severity)
{
    switch (severity) {
    case MODEL_VERDICT_OK:
        return STYLE_GOOD;
    case MODEL_VERDICT_CRITICAL:
        return STYLE_CRITICAL;
    case MODEL_VERDICT_WARNING:
    case MODEL_VERDICT_UNKNOWN:
        break;
    }
    return STYLE_WARNING;
}

static bool reason_line(const struct model *m, int index, struct cell *line)
{
    struct model_reason reasons[MODEL_MAX_REASONS];
    char number[TEXT_MAX];
    if (index >= model_reasons(m, reasons)) {
        return false;
    }
    const struct model_reason *r = &reasons[index];
    text_add(line->text, "  %s%s%s", r->what, r->count == 0 ? "" : ": ",
             r->count == 0 ? "" : text_number(r->count, number));
    text_add(line->text, "%s%s", r->advice[0] == '\0' ? "" : "; ", r->advice);
    line->style = severity_style(r->severity);
    return true;
}

static bool head(const struct view *v, int index, struct cell *line)
{
    if (index > 0) {
        return reason_line(v->model, index - 1, line);
    }
    enum model_verdict verdict = model_judge(v->model);
    snprintf(line->text, sizeof line->text, "verdict  %s", model_verdict_name(verdict));
    line->style = verdict == MODEL_VERDICT_UNKNOWN ? STYLE_CRITICAL : severity_style(verdict);
    return true;
}

const struct view_ops view_overview = {
    .name = "overview",
    .columns = columns,
    .column_count = sizeof columns / sizeof *columns,
    .parts = 1u << MODEL_CLUSTER | 1u << MODEL_CONFIGS | 1u << MODEL_GROUPS | 1u << MODEL_QUORUM,
    .elects = VIEW_ELECTS_ALL,
    .load = load,
    .wrong = wrong,
    .open = open_row,
    .head = head,
};
