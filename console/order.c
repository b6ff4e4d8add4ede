#include "console/order.h"

#include "common/base/assert.h"

void order_send(struct order *o, struct asker *asker, struct action *a,
                void (*done)(void *ctx, const struct action_answer *answer), void *ctx)
{
    ASSERT(a->state == ACTION_READY);
    switch (a->wish.id) {
    case ACTION_ELECT:
        elect_send(&o->elect, asker, a->wish.topic, a->wish.partition, done, ctx);
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
    reset_free(&o->reset);
}
