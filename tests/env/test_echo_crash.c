/* The echo core under crashes: every frame that was answered is in the file, and once more whole
 * after every kind of crash, at every file operation; and the same seed gives the same run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/env/echo.h"
#include "tests/sim/env/sim.h"

enum { CLIENTS = 2, PORT = 9092 };
static const char *const path = "/data/echo.log";

struct scene {
    struct sim *sim;
    struct sim_node *server;
    struct echo *echo;
    struct sim_node *client_nodes[CLIENTS];
    struct echo_client clients[CLIENTS];
    uint32_t frames;
    enum sim_crash how;
    int crashes;
    uint8_t *found; /* per frame, while a file is scanned */
    uint32_t total;
};

static void on_ready(void *ctx, const char *error)
{
    (void)ctx;
    assert_null(error);
}

static void start_echo(struct scene *s)
{
    s->echo = echo_new(sim_node_env(s->server), path, "", PORT, on_ready, s);
}

static void on_record(void *ctx, const uint8_t *record, size_t size)
{
    struct scene *s = ctx;
    uint8_t expected[ECHO_FRAME_MAX];
    assert_true(size >= 4);
    uint32_t n = (uint32_t)record[0] << 24 | (uint32_t)record[1] << 16 | (uint32_t)record[2] << 8 |
                 record[3];
    assert_true(n < s->frames);
    assert_int_equal(echo_frame(n, expected), size);
    assert_memory_equal(record, expected, size);
    s->found[n] = 1;
}

/* What was answered must be among the whole records of the file. */
static void check(struct scene *s)
{
    struct bytes all = {0};
    uint32_t acked = 0;
    memset(s->found, 0, s->frames);
    if (sim_disk_get(s->server, path, &all)) {
        echo_scan(all.data, all.size, on_record, s);
    }
    bytes_free(&all);
    for (int i = 0; i < CLIENTS; i++) {
        assert_false(s->clients[i].broken);
        acked = s->clients[i].acked > acked ? s->clients[i].acked : acked;
    }
    for (uint32_t n = 0; n < acked; n++) {
        assert_int_equal(s->found[n], 1);
    }
}

static void open_scene(struct scene *s, uint64_t seed, uint32_t frames)
{
    *s = (struct scene){.frames = frames, .found = mem_zalloc(frames)};
    s->sim = sim_new(&(struct sim_options){.seed = seed});
    s->server = sim_node_new(s->sim, "server", "10.0.0.1");
    start_echo(s);
    for (int i = 0; i < CLIENTS; i++) {
        char name[24];
        char host[24];
        snprintf(name, sizeof name, "client%d", i);
        snprintf(host, sizeof host, "10.0.1.%d", i);
        s->client_nodes[i] = sim_node_new(s->sim, name, host);
        echo_client_start(&s->clients[i], sim_node_env(s->client_nodes[i]), "server", PORT, frames);
    }
}

static void close_scene(struct scene *s)
{
    for (int i = 0; i < CLIENTS; i++) {
        echo_client_stop(&s->clients[i]);
    }
    sim_node_crash(s->server, SIM_KILL);
    echo_free(s->echo);
    sim_free(s->sim);
    mem_free(s->found);
}

static bool all_over(void *ctx)
{
    const struct scene *s = ctx;
    for (int i = 0; i < CLIENTS; i++) {
        if (!s->clients[i].over) {
            return false;
        }
    }
    return true;
}

static void come_back(void *ctx)
{
    struct scene *s = ctx;
    sim_node_restart(s->server);
    start_echo(s);
}

static void after_crash(void *ctx, struct sim_node *node)
{
    struct scene *s = ctx;
    s->crashes++;
    check(s);
    echo_free(s->echo);
    s->echo = NULL;
    sim_at(s->sim, sim_now_us(s->sim) + 300000, come_back, s);
    (void)node;
}

static void every_file_operation_is_survived(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, 7, 25);
    assert_true(sim_run_until(s.sim, all_over, &s, 60000, 0));
    uint64_t ops = sim_disk_ops(s.server);
    assert_true(ops > 10);
    close_scene(&s);
    for (uint64_t k = 1; k <= ops; k++) {
        for (int how = SIM_KILL; how <= SIM_POWER_CUT; how++) {
            open_scene(&s, 7, 25);
            sim_node_crash_at_op(s.server, k, (enum sim_crash)how, after_crash, &s);
            assert_true(sim_run_until(s.sim, all_over, &s, 600000, 0));
            assert_int_equal(s.crashes, 1);
            check(&s);
            close_scene(&s);
        }
    }
}

static void crash_now(void *ctx)
{
    struct scene *s = ctx;
    if (s->echo != NULL && !all_over(s)) {
        sim_node_crash(s->server, (enum sim_crash)rng_below(sim_rng(s->sim), 3));
        after_crash(s, s->server);
    }
}

static void one_run(uint64_t seed, uint64_t *hash, uint64_t *events, int *crashes)
{
    struct scene s;
    open_scene(&s, seed, 200);
    for (int64_t at = 0; at < 6; at++) {
        int64_t us = at * 600000 + (int64_t)rng_below(sim_rng(s.sim), 150000);
        sim_at(s.sim, us, crash_now, &s);
    }
    assert_true(sim_run_until(s.sim, all_over, &s, 600000, 0));
    check(&s);
    *hash = sim_hash(s.sim);
    *events = sim_events(s.sim);
    *crashes = s.crashes;
    close_scene(&s);
}

static void crashes_at_any_time_are_survived(void **state)
{
    (void)state;
    int crashes = 0;
    uint64_t last = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t hash;
        uint64_t events;
        int more = 0;
        one_run(seed, &hash, &events, &more);
        assert_true(hash != last);
        last = hash;
        crashes += more;
    }
    assert_true(crashes > 60);
}

static void a_run_repeats(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t hash[2];
        uint64_t events[2];
        int crashes[2];
        one_run(seed, &hash[0], &events[0], &crashes[0]);
        void *shift = mem_alloc(100000 + seed); /* other addresses must make no difference */
        one_run(seed, &hash[1], &events[1], &crashes[1]);
        mem_free(shift);
        assert_true(hash[0] == hash[1]);
        assert_true(events[0] == events[1]);
        assert_int_equal(crashes[0], crashes[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_operation_is_survived),
        cmocka_unit_test(crashes_at_any_time_are_survived),
        cmocka_unit_test(a_run_repeats),
    };
    return cmocka_run_group_tests_name("echo under crashes", tests, NULL, NULL);
}
