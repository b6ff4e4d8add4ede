/* The table of keys as a screen. */
#include "console/keys.h"
#include "console/view.h"

static void keys_value(const struct row *row, struct cell *c)
{
    const struct key_binding *b = row->item;
    char name[16];
    for (int i = 0; i < 4 && b->keys[i] != 0; i++) {
        text_add(c->text, "%s%s", i == 0 ? "" : "  ", keys_name(b->keys[i], name));
    }
    c->style = STYLE_KEY;
}

static void help_value(const struct row *row, struct cell *c)
{
    const struct key_binding *b = row->item;
    cell_text(c, b->help);
}

static const struct column columns[] = {
    {"key", 20, 0, TEXT_LEFT, 0, keys_value},
    {"what it does", 20, 0, TEXT_LEFT, 0, help_value},
};

static void load(struct view *v)
{
    int count = 0;
    const struct key_binding *table = keys_table(&count);
    for (int i = 0; i < count; i++) {
        view_add(v, (struct row){{table[i].label, 0}, &table[i], table});
    }
}

const struct view_ops view_help = {
    .name = "help",
    .columns = columns,
    .column_count = sizeof columns / sizeof *columns,
    .parts = 0,
    .load = load,
};
