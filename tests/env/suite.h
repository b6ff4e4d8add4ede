/* suite: what broker/env/env.h promises, sentence by sentence, asked of any implementation.
 *
 * An implementation hands in a factory; suite_run makes a fresh world for every test. Nothing here
 * depends on how long anything takes: a test waits for what must come, and the world says when it
 * has waited too long. */
#ifndef TESTS_ENV_SUITE_H
#define TESTS_ENV_SUITE_H

#include "broker/env/env.h"

struct env_world {
    struct env *env;
    const char *host; /* numeric address that leads back to this env */
    char dir[200];    /* an empty directory of this world's own */
    /* Runs turns until `reached` or until `for_ms` of the env's time are over; true when
     * reached. */
    bool (*run_until)(struct env_world *world, bool (*reached)(void *ctx), void *ctx,
                      int64_t for_ms);
    void (*free)(struct env_world *world);
};

struct env_factory {
    const char *name;
    struct env_world *(*make)(void);
};

/* Every test on worlds of this factory. Returns the number that failed. */
int suite_run(const struct env_factory *factory);

#endif
