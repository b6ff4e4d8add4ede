#include "console/view.h"

static void name_value(const struct row *row, struct cell *c)
{
    const struct model_group *g = row->item;
    cell_text(c, g->group);
}

static void state_value(const struct row *row, struct cell *c)
{
    const struct model_group *g = row->item;
    cell_text(c, g->state);
}

static void type_value(const struct row *row, struct cell *c)
{
    const struct model_group *g = row->item;
    cell_text(c, g->type);
}

static void protocol_value(const struct row *row, struct cell *c)
{
    const struct model_group *g = row->item;
    cell_text(c, g->protocol != NULL && g->protocol[0] == '\0' ? glyph(GLYPH_NONE) : g->protocol);
}

static void coordinator_value(const struct row *row, struct cell *c)
{
    const struct model_group *g = row->item;
    cell_number(c, g->coordinator == MODEL_NO_BROKER ? MODEL_UNKNOWN : g->coordinator);
}

static void members_value(const struct row *row, struct cell *c)
{
    const struct model_group *g = row->item;
    cell_number(c, g->members_state == MODEL_READ      ? g->member_count
                   : g->members_state == MODEL_REFUSED ? MODEL_DENIED
                                                       : MODEL_UNKNOWN);
}

static void lag_value(const struct row *row, struct cell *c)
{
    const struct model_group *g = row->item;
    cell_number(c, model_group_lag(g));
}

static const struct column columns[] = {
    {"group", 16, 0, TEXT_LEFT, 0, name_value},
    {"state", 8, 0, TEXT_LEFT, 0, state_value},
    {"type", 7, 0, TEXT_LEFT, 6, type_value},
    {"protocol", 8, 24, TEXT_LEFT, 7, protocol_value},
    {"coordinator", 11, 0, TEXT_RIGHT, 5, coordinator_value},
    {"members", 7, 0, TEXT_RIGHT, 0, members_value},
    {"lag", 8, 0, TEXT_RIGHT, 0, lag_value},
};

static void load(struct view *v)
{
    for (int i = 0; i < v->model->group_count; i++) {
        const struct model_group *g = &v->model->groups[i];
        view_add(v, (struct row){{g->group, 0}, g, v->model});
    }
}

static bool wrong(const struct row *row)
{
    const struct model_group *g = row->item;
    return model_group_lag(g) > 0 || g->error != NULL;
}

static bool open_row(const struct view *v, const struct row *row, struct view_target *to)
{
    (void)v;
    to->id = VIEW_GROUP;
    to->group = row->id.name;
    return true;
}

const struct view_ops view_groups = {
    .name = "groups",
    .columns = columns,
    .column_count = sizeof columns / sizeof *columns,
    .parts = 1u << MODEL_CLUSTER | 1u << MODEL_GROUPS | 1u << MODEL_MEMBERS,
    .row_groups = true,
    .resets = true,
    .load = load,
    .wrong = wrong,
    .open = open_row,
};
