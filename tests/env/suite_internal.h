/* What the suite's files share. */
#ifndef TESTS_ENV_SUITE_INTERNAL_H
#define TESTS_ENV_SUITE_INTERNAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/env/suite.h"

struct suite_test {
    const char *name;
    void (*run)(struct env_world *w);
};

extern const struct suite_test suite_time_tests[];
extern const struct suite_test suite_file_tests[];
extern const struct suite_test suite_net_tests[];
extern const struct suite_test suite_echo_tests[];

/* How deep we are in callbacks and in calls into env. A callback that begins at a depth other than
 * 0 was made from inside a call: SUITE_ENTER fails the test. */
extern int suite_depth;
#define SUITE_ENTER() assert_int_equal(suite_depth++, 0)
#define SUITE_LEAVE() (suite_depth--)
/* A call into env from the test's body. */
#define SUITE_CALL(call)                                                                           \
    do {                                                                                           \
        suite_depth++;                                                                             \
        call;                                                                                      \
        suite_depth--;                                                                             \
    } while (0)

enum { SUITE_PATIENCE_MS = 20000 };

/* Runs until *flag; fails the test when it does not come. */
void suite_wait(struct env_world *w, const bool *flag);
void suite_wait_for(struct env_world *w, bool (*reached)(void *ctx), void *ctx);
/* Lets `ms` of the env's time pass. */
void suite_pass(struct env_world *w, int64_t ms);

/* A job whose body notes its first failed check instead of jumping out of a worker. */
struct suite_job {
    struct env_job job;
    void (*body)(struct suite_job *job, struct env_fs *fs);
    struct env_world *world;
    void *ctx;
    bool done;
    char failed[400];
    char path[256];
};

#define JOB_CHECK(j, cond)                                                                         \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            snprintf((j)->failed, sizeof(j)->failed, "%s:%d: %s", __FILE__, __LINE__, #cond);      \
            return;                                                                                \
        }                                                                                          \
    } while (0)

void suite_job_init(struct suite_job *job, struct env_world *w,
                    void (*body)(struct suite_job *job, struct env_fs *fs), void *ctx);
/* Runs `body` on a lane of its own and waits for it. */
void suite_do(struct env_world *w, void (*body)(struct suite_job *job, struct env_fs *fs),
              void *ctx);
/* dir/name, valid until the job's next call. */
const char *suite_path(struct suite_job *job, const char *name);

#endif
