/* The contract suite on broker/os: real clock, threads, files and sockets. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/os/impl.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/env/suite.h"

struct real {
    struct env_world world; /* first */
    struct os *os;
};

/* Rounds that do not wait, since what the test looks for may come in any part of one. */
static bool run_until(struct env_world *world, bool (*reached)(void *ctx), void *ctx,
                      int64_t for_ms)
{
    struct real *real = (struct real *)world;
    int64_t end_ms = env_now_ms(world->env) + for_ms;
    while (!reached(ctx)) {
        if (env_now_ms(world->env) > end_ms) {
            return false;
        }
        if (uv_run(&real->os->loop, UV_RUN_NOWAIT) != 0) {
            usleep(20);
        }
    }
    return true;
}

static void real_free(struct env_world *world)
{
    struct real *real = (struct real *)world;
    char command[300];
    os_stop(real->os, 0);
    os_run(real->os);
    os_free(real->os);
    snprintf(command, sizeof command, "rm -rf '%s'", world->dir);
    int rc = system(command);
    ASSERT(rc == 0);
    mem_free(real);
}

static struct env_world *real_make(void)
{
    struct real *real = mem_zalloc(sizeof *real);
    struct err_text text;
    real->os = os_open(NULL, &text);
    ASSERT(real->os != NULL);
    real->world = (struct env_world){.env = os_env(real->os),
                                     .host = "127.0.0.1",
                                     .dir = "/tmp/barnabas-world-XXXXXX",
                                     .run_until = run_until,
                                     .free = real_free};
    char *dir = mkdtemp(real->world.dir);
    ASSERT(dir != NULL);
    return &real->world;
}

int main(void)
{
    static const struct env_factory factory = {.name = "real", .make = real_make};
    return suite_run(&factory);
}
