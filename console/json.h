/* json: a snapshot as JSON; console/JSON.md documents it for those who read it by program. */
#ifndef CONSOLE_JSON_H
#define CONSOLE_JSON_H

#include <stdio.h>

#include "console/action.h"
#include "console/model.h"
#include "console/view.h"

/* `id` is one of the named screens. Writes one document and a newline. */
void json_print(const struct model *m, enum view_id id, FILE *to);
/* What --check prints. */
void json_print_check(const struct model *m, FILE *to);

/* What a command prints: the plan, and how it ended. `ending` is in words, where the action has
 * none of its own. */
void json_print_action(const struct action *a, int status, const char *ending, FILE *to);

#endif
