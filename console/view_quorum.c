#include <stdio.h>

#include "console/view.h"

static void node_value(const struct row *row, struct cell *c)
{
    const struct model_voter *n = row->item;
    cell_number(c, n->node);
}

static void role_value(const struct row *row, struct cell *c)
{
    const struct model_voter *n = row->item;
    const struct model *m = row->owner;
    bool leader = n->node == m->quorum.leader;
    cell_text(c, leader ? "leader" : n->voter ? "voter" : "observer");
    c->style = leader ? STYLE_GOOD : STYLE_NORMAL;
}

static void end_value(const struct row *row, struct cell *c)
{
    const struct model_voter *n = row->item;
    cell_number(c, n->end_offset);
}

static void lag_value(const struct row *row, struct cell *c)
{
    const struct model_voter *n = row->item;
    cell_number(c, n->lag);
}

static void ago(const struct row *row, int64_t when_ms, struct cell *c)
{
    const struct model *m = row->owner;
    int64_t age_ms = model_known(when_ms) ? m->taken_ms - when_ms : when_ms;
    cell_number(c, age_ms);
    if (model_known(age_ms)) {
        text_age(age_ms, c->text);
        text_add(c->text, " ago");
    }
}

static void fetch_value(const struct row *row, struct cell *c)
{
    const struct model_voter *n = row->item;
    ago(row, n->last_fetch_ms, c);
}

static void caught_value(const struct row *row, struct cell *c)
{
    const struct model_voter *n = row->item;
    ago(row, n->last_caught_ms, c);
}

static const struct column columns[] = {
    {"node", 5, 0, TEXT_RIGHT, 0, node_value},
    {"role", 8, 0, TEXT_LEFT, 0, role_value},
    {"log end", 9, 0, TEXT_RIGHT, 0, end_value},
    {"lag", 6, 0, TEXT_RIGHT, 0, lag_value},
    {"last fetch", 10, 0, TEXT_RIGHT, 1, fetch_value},
    {"last caught up", 14, 0, TEXT_RIGHT, 2, caught_value},
};

static void load(struct view *v)
{
    for (int i = 0; i < v->model->quorum.node_count; i++) {
        const struct model_voter *n = &v->model->quorum.nodes[i];
        view_add(v, (struct row){{"", n->node}, n, v->model});
    }
}

static bool wrong(const struct row *row)
{
    const struct model_voter *n = row->item;
    return !model_known(n->lag) || n->lag > 0;
}

static bool head(const struct view *v, int index, struct cell *line)
{
    const struct model_quorum *q = &v->model->quorum;
    char number[TEXT_MAX];
    if (index > 0) {
        return false;
    }
    bool none = q->leader == MODEL_NO_BROKER;
    snprintf(line->text, sizeof line->text, "leader %s",
             text_number(none ? MODEL_UNKNOWN : q->leader, number));
    text_add(line->text, ", epoch %s", text_number(q->leader_epoch, number));
    text_add(line->text, ", high watermark %s", text_number(q->high_watermark, number));
    line->style = none ? STYLE_WARNING : STYLE_NORMAL;
    return true;
}

const struct view_ops view_quorum = {
    .name = "quorum",
    .columns = columns,
    .column_count = sizeof columns / sizeof *columns,
    .parts = 1u << MODEL_CLUSTER | 1u << MODEL_QUORUM,
    .load = load,
    .wrong = wrong,
    .head = head,
};
