/* reset: OffsetCommit for a group without members (KIP-122): generation -1, no member id.
 *
 * The state and the memory of one request, owned by whoever asks; zero-initialise. */
#ifndef CONSOLE_RESET_H
#define CONSOLE_RESET_H

#include "common/base/arena.h"
#include "common/wire/messages.h"
#include "console/action.h"

struct asker;

enum { RESET_TIMEOUT_MS = 10000 };

struct reset {
    struct offset_commit_request request;
    struct arena arena; /* freed before `done`, or by reset_free */
    int count;          /* partitions sent */
    void (*done)(void *ctx, const struct action_answer *answer);
    void *ctx;
};

/* The rows of the plan that change; it need not live on. `r` must stay where it is until `done`,
 * which comes once, later; or until the asker is freed, after which it does not come. */
void reset_send(struct reset *r, struct asker *a, const char *group, const struct action_plan *plan,
                void (*done)(void *ctx, const struct action_answer *answer), void *ctx);
/* What the coordinator's answer says of all of them. Words go to `message`. */
struct action_answer reset_read(const struct reset *r, const struct offset_commit_response *from,
                                struct err_text *message);
void reset_free(struct reset *r);

#endif
