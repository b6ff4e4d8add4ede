/* man: a manual page (roff, the man macros) made from the tables that also make --help, so that
 * the two cannot differ. */
#ifndef COMMON_BASE_MAN_H
#define COMMON_BASE_MAN_H

#include "common/base/buf.h"

/* "barnabas", 1, "0.1.0", "watch a cluster ..." */
void man_begin(struct bytes *to, const char *name, int section, const char *version,
               const char *what);
void man_heading(struct bytes *to, const char *title);
/* A paragraph. Every text is shown as it is, whatever it holds. */
void man_text(struct bytes *to, const char *text);
/* A term and, indented below it, what it means. */
void man_term(struct bytes *to, const char *term, const char *text);
/* A line that is typed. */
void man_command(struct bytes *to, const char *line);

#endif
