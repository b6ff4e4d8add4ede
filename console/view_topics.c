#include <stdio.h>
#include <string.h>

#include "console/view.h"

static void name_value(const struct row *row, struct cell *c)
{
    const struct model_topic *t = row->item;
    cell_text(c, t->name);
    c->style = t->internal ? STYLE_DIM : STYLE_NORMAL;
}

static void partitions_value(const struct row *row, struct cell *c)
{
    const struct model_topic *t = row->item;
    cell_number(c, t->error == NULL ? t->partition_count
                   : t->denied      ? MODEL_DENIED
                                    : MODEL_UNKNOWN);
}

static void replication_value(const struct row *row, struct cell *c)
{
    const struct model_topic *t = row->item;
    cell_number(c, t->partition_count == 0 ? MODEL_UNKNOWN : t->partitions[0].replica_count);
}

static void min_isr_value(const struct row *row, struct cell *c)
{
    const struct model_topic *t = row->item;
    cell_number(c, t->min_insync);
}

/* The worst fault of its partitions and how many have one. */
static enum model_fault worst_fault(const struct model_topic *t, int *faulty)
{
    enum model_fault worst = MODEL_HEALTHY;
    *faulty = 0;
    for (int i = 0; i < t->partition_count; i++) {
        enum model_fault fault = model_partition_fault(&t->partitions[i]);
        worst = fault > worst ? fault : worst;
        *faulty += fault != MODEL_HEALTHY;
    }
    return worst;
}

static void state_value(const struct row *row, struct cell *c)
{
    const struct model_topic *t = row->item;
    int faulty = 0;
    enum model_fault worst = worst_fault(t, &faulty);
    if (t->error != NULL) {
        cell_text(c, t->error);
        c->style = STYLE_WARNING;
        return;
    }
    cell_text(c, view_fault_name(worst));
    c->style = view_fault_style(worst);
    if (faulty > 0) {
        text_add(c->text, " (%d)", faulty);
    }
}

static void size_value(const struct row *row, struct cell *c)
{
    const struct model_topic *t = row->item;
    int64_t sum = 0;
    int64_t mark = MODEL_UNKNOWN;
    bool any = false;
    for (int i = 0; i < t->partition_count; i++) {
        const struct model_partition *p = &t->partitions[i];
        for (int j = 0; j < p->replica_count; j++) {
            int64_t size = p->replicas[j].size_bytes;
            any |= model_known(size);
            sum += model_known(size) ? size : 0;
            mark = size == MODEL_DENIED ? size : mark;
        }
    }
    cell_size(c, any ? sum : mark);
}

static const struct column columns[] = {
    {"topic", 16, 0, TEXT_LEFT, 0, name_value},
    {"partitions", 10, 0, TEXT_RIGHT, 0, partitions_value},
    {"replicas", 8, 0, TEXT_RIGHT, 1, replication_value},
    {"min ISR", 7, 0, TEXT_RIGHT, 6, min_isr_value},
    {"size", 9, 0, TEXT_RIGHT, 5, size_value},
    {"state", 8, 32, TEXT_LEFT, 0, state_value},
};

static void load(struct view *v)
{
    for (int i = 0; i < v->model->topic_count; i++) {
        const struct model_topic *t = &v->model->topics[i];
        if (!t->internal || !v->hide_internal) {
            view_add(v, (struct row){{t->name, 0}, t, v->model});
        }
    }
}

static bool wrong(const struct row *row)
{
    const struct model_topic *t = row->item;
    int faulty = 0;
    return worst_fault(t, &faulty) != MODEL_HEALTHY || t->error != NULL;
}

static bool open_row(const struct view *v, const struct row *row, struct view_target *to)
{
    (void)v;
    to->id = VIEW_PARTITIONS;
    to->topic = row->id.name;
    return true;
}

const struct view_ops view_topics = {
    .name = "topics",
    .columns = columns,
    .column_count = sizeof columns / sizeof *columns,
    .parts = 1u << MODEL_CLUSTER | 1u << MODEL_CONFIGS | 1u << MODEL_LOG_DIRS,
    .elects = VIEW_ELECTS_TOPIC,
    .load = load,
    .wrong = wrong,
    .open = open_row,
};
