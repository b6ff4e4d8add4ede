/* order: an action that was agreed to, on its way to the cluster.
 *
 * The state and the memory of one request of any kind, owned by whoever asks; zero-initialise. */
#ifndef CONSOLE_ORDER_H
#define CONSOLE_ORDER_H

#include "console/elect.h"
#include "console/move.h"
#include "console/reset.h"

struct order {
    struct elect elect;
    struct move move;
    struct reset reset;
};

/* From ACTION_READY to ACTION_UNDER_WAY. `o` must stay where it is until `done`, which comes once,
 * later; or until the asker is freed, after which it does not come. */
void order_send(struct order *o, struct asker *asker, struct action *a,
                void (*done)(void *ctx, const struct action_answer *answer), void *ctx);
/* After `done`, or after the asker. */
void order_free(struct order *o);

#endif
