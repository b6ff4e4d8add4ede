#include "console/order.h"

#include "common/base/assert.h"

void order_send(struct order *o, struct asker *asker, struct action *a,
                void (*done)(void *ctx, const struct action_answer *answer), void *ctx)
{
    ASSERT(a->state == ACTION_READY);
    switch (a->wish.id) {
    case ACTION_ELECT:
    case ACTION_ELECT_MANY:
        elect_send(&o->elect, asker, &a->wish, &a->plan, done, ctx);
        break;
    case ACTION_MOVE:
        move_send(&o->move, asker, &a->wish, done, ctx);
        break;
    case ACTION_RESET:
        reset_send(&o->reset, asker, a->wish.group, &a->plan, done, ctx);
        break;
    }
    action_sent(a);
}

void order_free(struct order *o)
{
    elect_free(&o->elect);
    reset_free(&o->reset);
}
