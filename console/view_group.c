/* One group: a row for every partition it has an offset in or a member on, and for idle members. */
#include <stdio.h>

#include "common/base/mem.h"
#include "console/view.h"

struct line {
    const struct model_offset *offset; /* NULL: a member without partitions */
    const struct model_member *member; /* NULL: nobody consumes the partition */
};

static void topic_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_text(c, l->offset == NULL ? glyph(GLYPH_NONE) : l->offset->topic);
    c->style = l->offset == NULL ? STYLE_DIM : STYLE_NORMAL;
}

static void partition_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_number(c, l->offset == NULL ? MODEL_NONE : l->offset->partition);
}

static void committed_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_number(c, l->offset == NULL ? MODEL_NONE : l->offset->committed);
}

static void end_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_number(c, l->offset == NULL ? MODEL_NONE : l->offset->end_offset);
}

static void lag_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_number(c, l->offset == NULL ? MODEL_NONE : l->offset->lag);
}

static void client_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_text(c, l->member == NULL ? glyph(GLYPH_NONE) : l->member->client_id);
    c->style = l->member == NULL ? STYLE_DIM : STYLE_NORMAL;
}

static void host_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_text(c, l->member == NULL ? "" : l->member->host);
}

static void member_value(const struct row *row, struct cell *c)
{
    const struct line *l = row->item;
    cell_text(c, l->member == NULL ? "" : l->member->member_id);
}

static const struct column columns[] = {
    {"topic", 12, 0, TEXT_LEFT, 0, topic_value},
    {"part", 4, 0, TEXT_RIGHT, 0, partition_value},
    {"committed", 9, 0, TEXT_RIGHT, 0, committed_value},
    {"end", 9, 0, TEXT_RIGHT, 1, end_value},
    {"lag", 6, 0, TEXT_RIGHT, 0, lag_value},
    {"client", 8, 32, TEXT_LEFT, 0, client_value},
    {"host", 8, 32, TEXT_LEFT, 5, host_value},
    {"member", 8, 64, TEXT_LEFT, 4, member_value},
};

static void load(struct view *v)
{
    const struct model_group *g = model_find_group(v->model, v->scope.group);
    if (g == NULL) {
        return;
    }
    struct line *lines = mem_array((size_t)(g->offset_count + g->member_count + 1), sizeof *lines);
    int count = 0;
    v->extra = lines;
    for (int i = 0; i < g->offset_count; i++) {
        const struct model_offset *o = &g->offsets[i];
        struct line *l = &lines[count++];
        l->offset = o;
        l->member = o->member < 0 ? NULL : &g->members[o->member];
        view_add(v, (struct row){{o->topic, o->partition}, l, g});
    }
    for (int i = 0; i < g->member_count; i++) {
        if (g->members[i].partition_count == 0) {
            struct line *l = &lines[count++];
            l->member = &g->members[i];
            view_add(v, (struct row){{l->member->member_id, -1}, l, g});
        }
    }
}

static bool wrong(const struct row *row)
{
    const struct line *l = row->item;
    return l->offset != NULL && l->offset->lag > 0;
}

static bool open_row(const struct view *v, const struct row *row, struct view_target *to)
{
    (void)v;
    const struct line *l = row->item;
    if (l->offset == NULL) {
        return false;
    }
    to->id = VIEW_PARTITIONS;
    to->topic = l->offset->topic;
    return true;
}

static bool head(const struct view *v, int index, struct cell *line)
{
    const struct model_group *g = model_find_group(v->model, v->scope.group);
    char number[TEXT_MAX];
    if (index > 0) {
        return false;
    }
    if (g == NULL) {
        snprintf(line->text, sizeof line->text, "no such group any more");
        line->style = STYLE_WARNING;
        return true;
    }
    snprintf(line->text, sizeof line->text, "state %.40s, type %.40s, protocol %.60s",
             g->state == NULL ? glyph(GLYPH_MISSING) : g->state,
             g->type == NULL ? glyph(GLYPH_MISSING) : g->type,
             g->protocol == NULL      ? glyph(GLYPH_MISSING)
             : g->protocol[0] == '\0' ? glyph(GLYPH_NONE)
                                      : g->protocol);
    text_add(line->text, ", coordinator %d", (int)g->coordinator);
    text_add(line->text, ", members %s",
             text_number(g->members_state == MODEL_READ ? g->member_count : MODEL_UNKNOWN, number));
    text_add(line->text, ", lag %s", text_number(model_group_lag(g), number));
    if (g->error != NULL) {
        text_add(line->text, "; %.200s", g->error);
        line->style = STYLE_WARNING;
    }
    return true;
}

const struct view_ops view_group = {
    .name = "group",
    .columns = columns,
    .column_count = sizeof columns / sizeof *columns,
    .parts = 1u << MODEL_CLUSTER | 1u << MODEL_GROUPS | 1u << MODEL_MEMBERS,
    .resets = true,
    .load = load,
    .wrong = wrong,
    .open = open_row,
    .head = head,
};
