/* The echo core, with clients, all in one env. */
#include "tests/env/echo.h"
#include "tests/env/suite_internal.h"

enum { CLIENTS = 4, FRAMES = 150 };

struct run {
    struct echo *echo;
    struct echo_client clients[CLIENTS];
    bool ready;
    int scanned;
};

static void on_ready(void *ctx, const char *error)
{
    struct run *run = ctx;
    assert_null(error);
    run->ready = true;
}

static bool all_over(void *ctx)
{
    const struct run *run = ctx;
    for (int i = 0; i < CLIENTS; i++) {
        if (!run->clients[i].over) {
            return false;
        }
    }
    return echo_idle(run->echo);
}

static void count(void *ctx, const uint8_t *record, size_t size)
{
    struct run *run = ctx;
    (void)record;
    run->scanned += size >= 4;
}

static void scan_file(struct suite_job *j, struct env_fs *fs)
{
    struct bytes all = {0};
    struct err_text text;
    enum err e = env_fs_slurp(fs, suite_path(j, "echo.log"), 64 << 20, &all, &text);
    size_t whole = echo_scan(all.data, all.size, count, j->ctx);
    bool cut = whole < all.size;
    bytes_free(&all);
    JOB_CHECK(j, e == ERR_NONE);
    JOB_CHECK(j, !cut);
}

static void echo_answers_what_it_keeps(struct env_world *w)
{
    struct run *run = mem_zalloc(sizeof *run);
    char path[256];
    snprintf(path, sizeof path, "%s/echo.log", w->dir);
    for (int round = 1; round <= 2; round++) { /* the second finds what the first left */
        SUITE_CALL(run->echo = echo_new(w->env, path, w->host, 0, on_ready, run));
        run->ready = false;
        suite_wait(w, &run->ready);
        for (int i = 0; i < CLIENTS; i++) {
            SUITE_CALL(
                echo_client_start(&run->clients[i], w->env, w->host, echo_port(run->echo), FRAMES));
        }
        suite_wait_for(w, all_over, run);
        for (int i = 0; i < CLIENTS; i++) {
            assert_false(run->clients[i].broken);
            assert_int_equal(run->clients[i].dials, 1);
            SUITE_CALL(echo_client_stop(&run->clients[i]));
        }
        suite_pass(w, 20);
        SUITE_CALL(echo_free(run->echo));
        run->scanned = 0;
        suite_do(w, scan_file, run);
        assert_int_equal(run->scanned, round * CLIENTS * FRAMES);
    }
    mem_free(run);
}

const struct suite_test suite_echo_tests[] = {
    {"echo_answers_what_it_keeps", echo_answers_what_it_keeps},
    {NULL, NULL},
};
