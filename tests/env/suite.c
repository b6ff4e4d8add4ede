#include "tests/env/suite.h"

#include "tests/env/suite_internal.h"

int suite_depth;

/* ---- waiting ---- */

static bool flag_set(void *ctx)
{
    return *(const bool *)ctx;
}

void suite_wait_for(struct env_world *w, bool (*reached)(void *ctx), void *ctx)
{
    assert_int_equal(suite_depth, 0);
    assert_true(w->run_until(w, reached, ctx, SUITE_PATIENCE_MS));
}

void suite_wait(struct env_world *w, const bool *flag)
{
    bool *seen = (bool *)(uintptr_t)flag;
    suite_wait_for(w, flag_set, seen);
}

struct pass {
    struct env_timer timer;
    bool over;
};

static void pass_fire(struct env_timer *timer)
{
    CONTAINER_OF(timer, struct pass, timer)->over = true;
}

void suite_pass(struct env_world *w, int64_t ms)
{
    struct pass pass = {.timer = {.fire = pass_fire}};
    SUITE_CALL(env_timer_set(w->env, &pass.timer, env_now_ms(w->env) + ms));
    suite_wait(w, &pass.over);
}

/* ---- jobs ---- */

static void job_run(struct env_job *job, struct env_fs *fs)
{
    struct suite_job *j = CONTAINER_OF(job, struct suite_job, job);
    j->body(j, fs);
}

static void job_done(struct env_job *job)
{
    SUITE_ENTER();
    CONTAINER_OF(job, struct suite_job, job)->done = true;
    SUITE_LEAVE();
}

void suite_job_init(struct suite_job *job, struct env_world *w,
                    void (*body)(struct suite_job *job, struct env_fs *fs), void *ctx)
{
    *job = (struct suite_job){
        .job = {.run = job_run, .done = job_done}, .body = body, .world = w, .ctx = ctx};
}

void suite_do(struct env_world *w, void (*body)(struct suite_job *job, struct env_fs *fs),
              void *ctx)
{
    struct suite_job job;
    suite_job_init(&job, w, body, ctx);
    SUITE_CALL(struct env_lane *lane = env_lane_open(w->env, ENV_WORKER_BULK);
               env_job_submit(w->env, lane, &job.job); env_lane_close(w->env, lane));
    suite_wait(w, &job.done);
    assert_string_equal(job.failed, "");
}

const char *suite_path(struct suite_job *job, const char *name)
{
    snprintf(job->path, sizeof job->path, "%s/%s", job->world->dir, name);
    return job->path;
}

/* ---- the runner ---- */

static const struct suite_test *const tables[] = {suite_time_tests, suite_file_tests,
                                                  suite_net_tests, suite_echo_tests};

struct bound_test {
    const struct suite_test *test;
    const struct env_factory *factory;
};

static void run_bound(void **state)
{
    const struct bound_test *bound = *state;
    suite_depth = 0;
    struct env_world *w = bound->factory->make();
    assert_non_null(w);
    bound->test->run(w);
    w->free(w);
}

int suite_run(const struct env_factory *factory)
{
    struct CMUnitTest *tests = NULL;
    struct bound_test *bounds = NULL;
    size_t count = 0;
    size_t capacity = 0;
    size_t bound_capacity = 0;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        for (const struct suite_test *test = tables[t]; test->name != NULL; test++) {
            size_t at = count;
            bounds = mem_grow(bounds, at, &bound_capacity, sizeof *bounds);
            bounds[at] = (struct bound_test){.test = test, .factory = factory};
            *MEM_PUSH(tests, count, capacity) =
                (struct CMUnitTest){.name = test->name, .test_func = run_bound};
        }
    }
    for (size_t i = 0; i < count; i++) {
        tests[i].initial_state = &bounds[i];
    }
    int failed = _cmocka_run_group_tests(factory->name, tests, count, NULL, NULL);
    mem_free(tests);
    mem_free(bounds);
    return failed;
}
