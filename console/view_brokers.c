#include <stdio.h>

#include "console/view.h"

static void id_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    cell_number(c, b->id);
}

static void address_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    cell_text(c, NULL);
    if (b->host != NULL) {
        snprintf(c->text, sizeof c->text, "%.255s:%d", b->host, (int)b->port);
    }
}

static void state_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    cell_text(c, b->alive ? "up" : b->fenced ? "fenced" : "missing");
    c->style = b->alive ? STYLE_GOOD : STYLE_CRITICAL;
}

static void rack_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    cell_text(c, b->rack == NULL ? glyph(GLYPH_NONE) : b->rack);
    c->style = b->rack == NULL ? STYLE_DIM : STYLE_NORMAL;
}

static void leaders_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    cell_number(c, b->leaders);
}

static void replicas_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    cell_number(c, b->replicas);
}

static void out_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    cell_number(c, b->out_of_sync);
    c->style = b->out_of_sync > 0 ? STYLE_WARNING : STYLE_NORMAL;
}

static void size_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    cell_size(c, b->size_bytes);
}

static void free_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    cell_size(c, b->usable_bytes);
}

/* Whether it may be restarted without harm to anybody. */
static void restart_value(const struct row *row, struct cell *c)
{
    const struct model_broker *b = row->item;
    c->number = b->stop_offline * 1000000 + b->stop_under_min_isr;
    c->numeric = true;
    c->style = STYLE_WARNING;
    if (!b->alive) {
        cell_text(c, glyph(GLYPH_NONE));
        c->style = STYLE_DIM;
    } else if (b->stop_offline > 0) {
        text_add(c->text, "offline %lld", (long long)b->stop_offline);
        c->style = STYLE_CRITICAL;
    } else if (b->stop_under_min_isr > 0) {
        text_add(c->text, "min ISR %lld", (long long)b->stop_under_min_isr);
    } else if (!b->stop_known) {
        cell_text(c, NULL);
    } else {
        cell_text(c, "yes");
        c->style = STYLE_NORMAL;
    }
}

static const struct column columns[] = {
    {"broker", 6, 0, TEXT_RIGHT, 0, id_value},
    {"address", 16, 0, TEXT_LEFT, 0, address_value},
    {"state", 7, 0, TEXT_LEFT, 0, state_value},
    {"rack", 4, 16, TEXT_LEFT, 6, rack_value},
    {"leaders", 7, 0, TEXT_RIGHT, 0, leaders_value},
    {"replicas", 8, 0, TEXT_RIGHT, 0, replicas_value},
    {"out of sync", 11, 0, TEXT_RIGHT, 1, out_value},
    {"restart?", 9, 16, TEXT_LEFT, 0, restart_value},
    {"size", 9, 0, TEXT_RIGHT, 2, size_value},
    {"disk free", 9, 0, TEXT_RIGHT, 3, free_value},
};

static void load(struct view *v)
{
    for (int i = 0; i < v->model->broker_count; i++) {
        const struct model_broker *b = &v->model->brokers[i];
        view_add(v, (struct row){{"", b->id}, b, v->model});
    }
}

static bool wrong(const struct row *row)
{
    const struct model_broker *b = row->item;
    return !b->alive || b->out_of_sync > 0;
}

static bool open_row(const struct view *v, const struct row *row, struct view_target *to)
{
    (void)v;
    const struct model_broker *b = row->item;
    to->id = VIEW_PARTITIONS;
    to->broker = b->id;
    return true;
}

const struct view_ops view_brokers = {
    .name = "brokers",
    .columns = columns,
    .column_count = sizeof columns / sizeof *columns,
    .parts = 1u << MODEL_CLUSTER | 1u << MODEL_CONFIGS | 1u << MODEL_LOG_DIRS,
    .elects = VIEW_ELECTS_BROKER,
    .load = load,
    .wrong = wrong,
    .open = open_row,
};
