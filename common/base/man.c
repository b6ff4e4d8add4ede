#include "common/base/man.h"

/* What roff would take for its own: a backslash anywhere, a dot or quote at the start of a line. A
 * hyphen as it is typed is \-. */
static void put(struct bytes *to, const char *text)
{
    if (text[0] == '.' || text[0] == '\'') {
        bytes_printf(to, "\\&");
    }
    for (; *text != '\0'; text++) {
        if (*text == '\\') {
            bytes_printf(to, "\\e");
        } else if (*text == '-') {
            bytes_printf(to, "\\-");
        } else if (*text == '\n') {
            bytes_append(to, " ", 1);
        } else {
            bytes_append(to, text, 1);
        }
    }
    bytes_append(to, "\n", 1);
}

void man_begin(struct bytes *to, const char *name, int section, const char *version,
               const char *what)
{
    bytes_printf(to, ".TH %s %d \"\" \"Barnabas %s\"\n.SH NAME\n", name, section, version);
    bytes_printf(to, "%s \\- ", name);
    put(to, what);
}

void man_heading(struct bytes *to, const char *title)
{
    bytes_printf(to, ".SH ");
    put(to, title);
}

void man_text(struct bytes *to, const char *text)
{
    bytes_printf(to, ".PP\n");
    put(to, text);
}

void man_term(struct bytes *to, const char *term, const char *text)
{
    bytes_printf(to, ".TP\n.B ");
    put(to, term);
    put(to, text);
}

void man_command(struct bytes *to, const char *line)
{
    bytes_printf(to, ".br\n.B ");
    put(to, line);
}
