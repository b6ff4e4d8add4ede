#include <stdio.h>

#include "tests/sim/universe.h"

static void on_timer(struct env_timer *timer)
{
    struct actor *actor = CONTAINER_OF(timer, struct actor, timer);
    actor->ops->step(actor);
}

void actor_init(struct actor *actor, const struct actor_ops *ops, struct universe *u,
                const char *name)
{
    char host[24];
    actor->ops = ops;
    actor->universe = u;
    snprintf(actor->name, sizeof actor->name, "%s", name);
    snprintf(host, sizeof host, "10.0.1.%d", u->actor_count + 1);
    actor->node = sim_node_new(u->sim, name, host);
    actor->env = sim_node_env(actor->node);
    actor->caller = caller_new(actor->env, u->bootstrap, name);
    actor->timer.fire = on_timer;
    actor_within(actor, 100);
}

void actor_after(struct actor *actor, int64_t ms)
{
    env_timer_set(actor->env, &actor->timer, env_now_ms(actor->env) + ms);
}

void actor_within(struct actor *actor, int64_t ms)
{
    actor_after(actor, 1 + universe_below(actor->universe, ms));
}

void actor_fini(struct actor *actor)
{
    env_timer_cancel(actor->env, &actor->timer);
    caller_free(actor->caller);
}
