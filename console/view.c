#include "console/view.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

static const struct view_ops *const all[VIEW_COUNT] = {
    [VIEW_OVERVIEW] = &view_overview, [VIEW_BROKERS] = &view_brokers,
    [VIEW_TOPICS] = &view_topics,     [VIEW_PARTITIONS] = &view_partitions,
    [VIEW_GROUPS] = &view_groups,     [VIEW_QUORUM] = &view_quorum,
    [VIEW_GROUP] = &view_group,       [VIEW_HELP] = &view_help,
};

const struct view_ops *view_ops_of(enum view_id id)
{
    ASSERT((int)id >= 0 && id < VIEW_COUNT);
    return all[id];
}

bool view_by_name(const char *name, enum view_id *id)
{
    for (int i = 0; i < VIEW_NAMED_COUNT; i++) {
        if (strcmp(all[i]->name, name) == 0) {
            *id = (enum view_id)i;
            return true;
        }
    }
    return false;
}

struct view *view_new(const struct view_target *to)
{
    struct view *v = mem_zalloc(sizeof *v);
    v->id = to->id;
    v->ops = view_ops_of(to->id);
    v->scope.topic = to->topic == NULL ? NULL : mem_strdup(to->topic);
    v->scope.group = to->group == NULL ? NULL : mem_strdup(to->group);
    v->scope.broker = to->broker;
    v->scope.fault = to->fault;
    table_init(&v->table, v->ops->columns, v->ops->column_count);
    return v;
}

void view_free(struct view *v)
{
    if (v == NULL) {
        return;
    }
    table_free(&v->table);
    model_unref(v->model);
    mem_free(v->extra);
    mem_free(v->scope.topic);
    mem_free(v->scope.group);
    mem_free(v);
}

void view_reload(struct view *v)
{
    table_begin(&v->table);
    mem_free(v->extra);
    v->extra = NULL;
    if (v->model != NULL || v->ops->parts == 0) {
        v->ops->load(v);
    }
    table_end(&v->table);
}

void view_show(struct view *v, const struct model *m)
{
    const struct model *before = v->model;
    v->model = m == NULL ? NULL : model_ref(m);
    view_reload(v);
    model_unref(before);
}

void view_add(struct view *v, struct row row)
{
    if (!v->only_wrong || (v->ops->wrong != NULL && v->ops->wrong(&row))) {
        table_add(&v->table, row);
    }
}

char *view_title(const struct view *v, char out[TEXT_MAX])
{
    char safe[TEXT_MAX];
    out[0] = '\0';
    if (v->scope.fault != MODEL_HEALTHY) {
        text_add(out, "%s ", view_fault_name(v->scope.fault));
    }
    text_add(out, "%s", v->ops->name);
    if (v->scope.topic != NULL) {
        text_add(out, " of %s", text_safe(v->scope.topic, safe));
    }
    if (v->scope.group != NULL) {
        text_add(out, " %s", text_safe(v->scope.group, safe));
    }
    if (v->scope.broker != MODEL_NO_BROKER) {
        text_add(out, " on broker %d", (int)v->scope.broker);
    }
    if (v->only_wrong) {
        text_add(out, ", only what is wrong");
    }
    if (v->hide_internal) {
        text_add(out, ", without internal topics");
    }
    return out;
}

const char *view_fault_name(enum model_fault fault)
{
    switch (fault) {
    case MODEL_UNDER_REPLICATED:
        return "under-replicated";
    case MODEL_UNDER_MIN_ISR:
        return "under-min-isr";
    case MODEL_OFFLINE:
        return "offline";
    case MODEL_HEALTHY:
        break;
    }
    return "ok";
}

enum style view_fault_style(enum model_fault fault)
{
    if (fault == MODEL_HEALTHY) {
        return STYLE_GOOD;
    }
    return fault == MODEL_UNDER_REPLICATED ? STYLE_WARNING : STYLE_CRITICAL;
}
