/* The contract suite on the simulated env, under several seeds. */
#include "tests/env/suite.h"
#include "tests/sim/env/sim.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

struct sim_world {
    struct env_world world; /* first */
    struct sim *sim;
};

static uint64_t seed;

static bool run_until(struct env_world *world, bool (*reached)(void *ctx), void *ctx,
                      int64_t for_ms)
{
    return sim_run_until(((struct sim_world *)world)->sim, reached, ctx, for_ms, 0);
}

static void world_free(struct env_world *world)
{
    struct sim_world *w = (struct sim_world *)world;
    sim_free(w->sim);
    mem_free(w);
}

static struct env_world *make(void)
{
    struct sim_world *w = mem_zalloc(sizeof *w);
    w->sim = sim_new(&(struct sim_options){.seed = seed});
    w->world.env = sim_node_env(sim_node_new(w->sim, "one", "10.0.0.1"));
    w->world.host = "10.0.0.1";
    strcpy(w->world.dir, "/data");
    w->world.run_until = run_until;
    w->world.free = world_free;
    return &w->world;
}

int main(void)
{
    int failed = 0;
    for (seed = 1; seed <= 5; seed++) {
        char name[32];
        snprintf(name, sizeof name, "env simulated, seed %d", (int)seed);
        failed += suite_run(&(struct env_factory){.name = name, .make = make});
    }
    return failed;
}
