/* elect: ElectLeaders (KIP-460) for the preferred leaders of one partition or many.
 *
 * The state and the memory of one request, owned by whoever asks; zero-initialise. */
#ifndef CONSOLE_ELECT_H
#define CONSOLE_ELECT_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/wire/messages.h"
#include "console/action.h"

struct asker;

enum { ELECT_TIMEOUT_MS = 10000 };

struct elect {
    struct elect_leaders_request request;
    struct arena arena; /* freed before `done`, or by elect_free */
    int count;          /* partitions sent */
    void (*done)(void *ctx, const struct action_answer *answer);
    void *ctx;
};

/* The partition of the wish, or the rows of the plan that change; neither need live on. `e` must
 * stay where it is until `done`, which comes once, later; or until the asker is freed, after which
 * it does not come. Any broker will do: it hands the request on to the controller. */
void elect_send(struct elect *e, struct asker *a, const struct action_wish *wish,
                const struct action_plan *plan,
                void (*done)(void *ctx, const struct action_answer *answer), void *ctx);
/* What the cluster's answer says of all of them. Words go to `message`. A leader that was there
 * already is no error among many. */
struct action_answer elect_read(const struct elect *e, const struct elect_leaders_response *r,
                                struct err_text *message);
void elect_free(struct elect *e);

#endif
