/* The settings' manual, made of the table. */
#include "broker/settings/broker_settings.h"

#include <stdio.h>
#include <string.h>

#include "common/base/man.h"

enum { HELP_COLUMNS = 96, HELP_INDENT = 4 };

/* Words of `text`, indented and wrapped. */
static void wrap(const char *text, void (*line)(void *ctx, const char *line), void *ctx)
{
    char out[HELP_COLUMNS + 1];
    while (*text != '\0') {
        size_t room = HELP_COLUMNS - HELP_INDENT;
        size_t size = strlen(text);
        if (size > room) {
            size = room;
            while (size > 0 && text[size] != ' ') {
                size--;
            }
            size = size > 0 ? size : room;
        }
        snprintf(out, sizeof out, "%*s%.*s", HELP_INDENT, "", (int)size, text);
        line(ctx, out);
        text += size;
        text += strspn(text, " ");
    }
}

/* "log.dirs = ./data  (list: directories)" */
static void head_of(const struct setting_def *def, char *out, size_t size)
{
    char expected[128];
    const char *shown = def->default_text != NULL ? def->default_text : "";
    setting_expected(def, expected, sizeof expected);
    snprintf(out, size, "%s = %s%s(%s: %s)", def->name, shown, shown[0] != '\0' ? "  " : " ",
             setting_type_name(def->type), expected);
}

void broker_settings_help(const struct broker_settings *bs, bool all,
                          void (*line)(void *ctx, const char *line), void *ctx)
{
    for (size_t i = 0; i < settings_table_count(bs->broker_table); i++) {
        const struct setting_def *def = settings_table_at(bs->broker_table, i);
        if ((def->flags & SETTING_INTERNAL) || (!all && def->effect == EFFECT_NONE)) {
            continue;
        }
        char head[512];
        head_of(def, head, sizeof head);
        line(ctx, head);
        wrap(def->doc, line, ctx);
        if (def->effect == EFFECT_NONE) {
            wrap("Known and without effect in this version.", line, ctx);
        }
    }
}

void broker_settings_man(const struct broker_settings *bs, struct bytes *to)
{
    for (size_t i = 0; i < settings_table_count(bs->broker_table); i++) {
        const struct setting_def *def = settings_table_at(bs->broker_table, i);
        if ((def->flags & SETTING_INTERNAL) == 0 && def->effect != EFFECT_NONE) {
            char head[512];
            head_of(def, head, sizeof head);
            man_term(to, head, def->doc);
        }
    }
}
