#include <stdio.h>
#include <string.h>

#include "console/view.h"

static void topic_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    cell_text(c, p->topic->name);
    c->style = p->topic->internal ? STYLE_DIM : STYLE_NORMAL;
}

static void partition_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    cell_number(c, p->partition);
}

static void leader_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    cell_number(c, p->leader == MODEL_NO_BROKER ? MODEL_NONE : p->leader);
    if (p->leader == MODEL_NO_BROKER) {
        c->style = STYLE_CRITICAL;
    } else if (!model_leader_is_preferred(p)) {
        /* "3 not 2": led by 3, and 2 is the preferred leader. */
        if (p->replica_count > 0) {
            text_add(c->text, " not %d", (int)p->replicas[0].broker);
        }
        c->style = STYLE_WARNING;
    }
}

static void epoch_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    cell_number(c, p->leader_epoch);
}

static void replicas_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    for (int i = 0; i < p->replica_count; i++) {
        const struct model_replica *r = &p->replicas[i];
        text_add(c->text, "%s%s%d", i == 0 ? "" : ",",
                 r->adding     ? "+"
                 : r->removing ? "-"
                               : "",
                 (int)r->broker);
    }
}

static void isr_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    const char *comma = "";
    for (int i = 0; i < p->replica_count; i++) {
        if (p->replicas[i].in_sync) {
            text_add(c->text, "%s%d", comma, (int)p->replicas[i].broker);
            comma = ",";
        }
    }
    if (comma[0] == '\0') {
        cell_text(c, glyph(GLYPH_NONE));
    }
    c->style = model_under_replicated(p) ? STYLE_WARNING : STYLE_NORMAL;
}

enum { STALE_MS = 4000 };

/* A replica that has stopped answering: the lag is counted from what it said that long ago. */
static void add_age(struct cell *c, const struct model_replica *r, const struct model *m)
{
    char age[TEXT_MAX];
    int64_t age_ms = m->taken_ms - r->lag_taken_ms;
    if (r->lag_taken_ms != 0 && model_known(r->lag) && age_ms > STALE_MS) {
        text_add(c->text, "@%s", text_age(age_ms, age));
        c->style = STYLE_WARNING;
    }
}

/* "2:0 3:1500!@9s": how far each follower is behind the leader; '!' is out of the ISR, '@' how old
 * the sample is where it is not fresh. */
static void lag_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    char number[TEXT_MAX];
    const char *blank = "";
    for (int i = 0; i < p->replica_count; i++) {
        const struct model_replica *r = &p->replicas[i];
        if (r->broker != p->leader) {
            text_add(c->text, "%s%d:%s%s", blank, (int)r->broker, text_number(r->lag, number),
                     r->in_sync ? "" : "!");
            blank = " ";
            c->style = r->in_sync ? c->style : STYLE_WARNING;
            add_age(c, r, row->owner);
        }
    }
    c->number = model_worst_lag(p);
    c->numeric = true;
    if (blank[0] == '\0') {
        cell_text(c, glyph(GLYPH_NONE));
        c->style = STYLE_DIM;
    }
}

static void start_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    cell_number(c, p->log_start_offset);
}

static void end_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    cell_number(c, p->high_watermark);
}

static void age_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    const struct model *m = row->owner;
    int64_t age_ms = p->sampled_ms == 0 ? MODEL_UNKNOWN : m->taken_ms - p->sampled_ms;
    cell_number(c, age_ms);
    if (model_known(age_ms)) {
        text_age(age_ms, c->text);
    }
}

static void state_value(const struct row *row, struct cell *c)
{
    const struct model_partition *p = row->item;
    enum model_fault fault = model_partition_fault(p);
    cell_text(c, view_fault_name(fault));
    c->number = (int64_t)fault;
    c->numeric = true;
    c->style = view_fault_style(fault);
    if (model_is_moving(p)) {
        cell_text(c, "moving");
        text_add(c->text, "%s%s", fault == MODEL_HEALTHY ? "" : ", ",
                 fault == MODEL_HEALTHY ? "" : view_fault_name(fault));
        c->style = fault == MODEL_HEALTHY ? STYLE_WARNING : c->style;
    }
}

static const struct column columns[] = {
    {"topic", 12, 0, TEXT_LEFT, 0, topic_value},
    {"part", 4, 0, TEXT_RIGHT, 0, partition_value},
    {"leader", 8, 0, TEXT_LEFT, 0, leader_value},
    {"epoch", 5, 0, TEXT_RIGHT, 7, epoch_value},
    {"replicas", 8, 24, TEXT_LEFT, 5, replicas_value},
    {"ISR", 5, 24, TEXT_LEFT, 1, isr_value},
    {"follower lag", 12, 40, TEXT_LEFT, 0, lag_value},
    {"log start", 9, 0, TEXT_RIGHT, 6, start_value},
    {"HW", 9, 0, TEXT_RIGHT, 0, end_value},
    {"age", 3, 0, TEXT_RIGHT, 8, age_value},
    {"state", 16, 16, TEXT_LEFT, 3, state_value},
};

static bool in_scope(const struct view *v, const struct model_partition *p)
{
    const struct view_scope *s = &v->scope;
    if (s->broker != MODEL_NO_BROKER && model_find_replica(p, s->broker) == NULL) {
        return false;
    }
    if (s->fault == MODEL_UNDER_REPLICATED) {
        return model_under_replicated(p);
    }
    return model_partition_fault(p) >= s->fault;
}

static void load(struct view *v)
{
    for (int i = 0; i < v->model->topic_count; i++) {
        const struct model_topic *t = &v->model->topics[i];
        bool hidden = t->internal && v->hide_internal;
        bool other = v->scope.topic != NULL && strcmp(v->scope.topic, t->name) != 0;
        for (int j = 0; j < t->partition_count && !hidden && !other; j++) {
            const struct model_partition *p = &t->partitions[j];
            if (in_scope(v, p)) {
                view_add(v, (struct row){{t->name, p->partition}, p, v->model});
            }
        }
    }
}

static bool wrong(const struct row *row)
{
    return model_partition_fault(row->item) != MODEL_HEALTHY;
}

const struct view_ops view_partitions = {
    .name = "partitions",
    .columns = columns,
    .column_count = sizeof columns / sizeof *columns,
    .parts = 1u << MODEL_CLUSTER | 1u << MODEL_CONFIGS | 1u << MODEL_OFFSETS,
    .row_partitions = true,
    .elects = VIEW_ELECTS_PARTITION,
    .load = load,
    .wrong = wrong,
};
