/* What the tests of actions have in common: reading the panel, and being the asker. */
#ifndef TESTS_UNIT_CONSOLE_ACTING_H
#define TESTS_UNIT_CONSOLE_ACTING_H

#include "console/action.h"
#include "console/asker.h"

/* When snapshots were read and things were done, in this order. */
enum { BEFORE_MS = 1000, AGREED_MS = 2000, AFTER_MS = 3000, ANSWERED_MS = 4000, LATER_MS = 5000 };

/* One of the panel's lines or rows holds the words. */
bool says(const struct action *a, const char *what);

/* The last request given to asker_send, which is here. */
extern struct client_request sent;
extern struct cluster_target sent_to;
extern int sent_count;

/* The last answer given to `done`, whose ctx is &got. */
extern struct action_answer got;
extern char got_message[100];
void done(void *ctx, const struct action_answer *answer);

#endif
