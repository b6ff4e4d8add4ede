#include "tests/unit/console/acting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct client_request sent;
struct cluster_target sent_to;
int sent_count;
struct action_answer got;
char got_message[100];

bool says(const struct action *a, const char *what)
{
    struct action_line lines[ACTION_MAX_LINES];
    char row[TEXT_MAX];
    int rows_at = 0;
    int count = action_lines(a, lines, &rows_at);
    bool found = false;
    for (int i = 0; i < count; i++) {
        found |= strstr(lines[i].text, what) != NULL;
    }
    for (int i = 0; i < action_row_count(a); i++) {
        found |= strstr(action_row_text(a, i, row), what) != NULL;
    }
    return found;
}

void asker_send(struct asker *a, struct cluster_target target, const struct client_request *request)
{
    assert_null(a);
    sent = *request;
    sent_to = target;
    sent_count++;
}

void done(void *ctx, const struct action_answer *answer)
{
    assert_ptr_equal(ctx, &got);
    got = *answer;
    snprintf(got_message, sizeof got_message, "%s", answer->message == NULL ? "" : answer->message);
}
