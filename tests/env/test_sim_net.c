/* The simulated network and clocks themselves: what several nodes see of each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/sim/env/sim.h"

struct scene {
    struct sim *sim;
    struct sim_node *a; /* listens */
    struct sim_node *b; /* dials */
    struct env_listener listener;
    env_conn at_a;
    env_conn at_b;
    int accepted;
    bool connected;
    int frames_a;
    int frames_b;
    bool closed_a;
    bool closed_b;
    enum err why_a;
    enum err why_b;
};

static void on_connected(void *ctx, env_conn conn)
{
    (void)conn;
    ((struct scene *)ctx)->connected = true;
}

static void frame_at_b(void *ctx, env_conn conn, struct buf *frame)
{
    struct scene *s = ctx;
    (void)conn;
    s->frames_b++;
    buf_unref(frame);
}

static void closed_at_a(void *ctx, env_conn conn, enum err reason, const char *why)
{
    struct scene *s = ctx;
    (void)conn;
    (void)why;
    s->closed_a = true;
    s->why_a = reason;
}

static void closed_at_b(void *ctx, env_conn conn, enum err reason, const char *why)
{
    struct scene *s = ctx;
    (void)conn;
    (void)why;
    s->closed_b = true;
    s->why_b = reason;
}

static void frame_at_a(void *ctx, env_conn conn, struct buf *frame)
{
    (void)conn;
    ((struct scene *)ctx)->frames_a++;
    buf_unref(frame);
}

static const struct env_conn_events events_a = {.frame = frame_at_a, .closed = closed_at_a};
static const struct env_conn_events events_b = {
    .connected = on_connected, .frame = frame_at_b, .closed = closed_at_b};

static void *on_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    struct scene *s = ctx;
    assert_string_equal(peer->host, "10.0.0.2");
    s->accepted++;
    s->at_a = conn;
    return s;
}

static void dial(struct scene *s)
{
    s->closed_b = false;
    s->connected = false;
    s->at_b = env_dial(sim_node_env(s->b), "a", 9092, 1000, &events_b, s);
}

static struct scene *open_scene(uint64_t seed, bool connect)
{
    struct scene *s = mem_zalloc(sizeof *s);
    s->sim = sim_new(&(struct sim_options){.seed = seed});
    s->a = sim_node_new(s->sim, "a", "10.0.0.1");
    s->b = sim_node_new(s->sim, "b", "10.0.0.2");
    s->listener = (struct env_listener){
        .events = &events_a, .max_frame_bytes = 1000, .accepted = on_accepted, .listener_ctx = s};
    assert_int_equal(env_listen(sim_node_env(s->a), &s->listener, "10.0.0.1", 9092, NULL),
                     ERR_NONE);
    if (connect) {
        dial(s);
        sim_run_for(s->sim, 100);
        assert_true(s->connected && s->accepted == 1);
    }
    return s;
}

static void close_scene(struct scene *s)
{
    sim_free(s->sim);
    mem_free(s);
}

static void send_one(struct sim_node *node, env_conn conn)
{
    struct buf *b = buf_copy("\0\0\0\1x", 5);
    struct env_piece piece = {.bytes = slice_of(b, 0, 5)};
    buf_unref(b);
    env_send(sim_node_env(node), conn, &piece, 1);
}

static void a_kill_is_told_and_dials_are_refused(void **state)
{
    (void)state;
    struct scene *s = open_scene(1, true);
    sim_node_crash(s->a, SIM_KILL);
    sim_run_for(s->sim, 100);
    assert_true(s->closed_b && s->why_b == ERR_CLOSED);
    assert_false(s->closed_a);
    dial(s);
    sim_run_for(s->sim, 100);
    assert_true(s->closed_b && s->why_b == ERR_REFUSED);
    assert_int_equal(sim_net_conns(s->a) + sim_net_conns(s->b), 0);
    close_scene(s);
}

static void a_power_cut_is_silent(void **state)
{
    (void)state;
    struct scene *s = open_scene(2, true);
    sim_node_crash(s->a, SIM_POWER_CUT);
    sim_run_for(s->sim, 30000);
    assert_false(s->closed_b);
    sim_run_for(s->sim, 60000);
    assert_true(s->closed_b && s->why_b == ERR_TIMEOUT);
    dial(s);
    sim_run_for(s->sim, 5000);
    assert_false(s->closed_b);
    sim_run_for(s->sim, 6000);
    assert_true(s->closed_b && s->why_b == ERR_TIMEOUT);
    close_scene(s);
}

static void what_comes_back_from_a_power_cut_resets(void **state)
{
    (void)state;
    struct scene *s = open_scene(3, true);
    sim_node_crash(s->a, SIM_POWER_CUT);
    sim_run_for(s->sim, 1000);
    sim_node_restart(s->a);
    send_one(s->b, s->at_b);
    sim_run_for(s->sim, 1000);
    assert_true(s->closed_b && s->why_b == ERR_CLOSED);
    close_scene(s);
}

static void a_partition_holds_and_heals(void **state)
{
    (void)state;
    struct scene *s = open_scene(4, true);
    sim_partition(s->a, s->b, true);
    send_one(s->b, s->at_b);
    sim_run_for(s->sim, 20000);
    assert_int_equal(s->frames_a, 0);
    sim_partition(s->a, s->b, false);
    sim_run_for(s->sim, 1000);
    assert_int_equal(s->frames_a, 1);
    assert_false(s->closed_a || s->closed_b);
    sim_partition(s->a, s->b, true);
    send_one(s->b, s->at_b);
    sim_run_for(s->sim, 61000);
    assert_true(s->closed_b && s->why_b == ERR_TIMEOUT);
    sim_run_for(s->sim, 61000);
    assert_true(s->closed_a && s->why_a == ERR_TIMEOUT);
    assert_int_equal(s->frames_a, 1);
    close_scene(s);
}

static void a_partition_may_be_one_way(void **state)
{
    (void)state;
    struct scene *s = open_scene(5, true);
    sim_block(s->a, s->b, true);
    send_one(s->b, s->at_b);
    send_one(s->a, s->at_a);
    sim_run_for(s->sim, 1000);
    assert_int_equal(s->frames_a, 1);
    assert_int_equal(s->frames_b, 0);
    sim_block(s->a, s->b, false);
    sim_run_for(s->sim, 1000);
    assert_int_equal(s->frames_b, 1);
    close_scene(s);
}

static void dials_into_the_dark(void **state)
{
    (void)state;
    struct scene *s = open_scene(6, false);
    s->at_b = env_dial(sim_node_env(s->b), "nowhere", 1, 1000, &events_b, s);
    sim_run_for(s->sim, 100);
    assert_true(s->closed_b && s->why_b == ERR_UNREACHABLE);
    sim_isolate(s->a, true);
    dial(s);
    sim_run_for(s->sim, 4000);
    assert_false(s->closed_b || s->connected);
    sim_isolate(s->a, false);
    sim_run_for(s->sim, 1000);
    assert_true(s->connected);
    sim_reset(s->a, s->b);
    sim_run_for(s->sim, 100);
    assert_true(s->closed_a && s->closed_b);
    assert_int_equal(s->why_a, ERR_CLOSED);
    close_scene(s);
}

static void a_slow_path_takes_its_time(void **state)
{
    (void)state;
    struct scene *s = open_scene(7, true);
    struct sim_path path = sim_path_of(s->b, s->a);
    path.delay_min_us = 400000;
    path.delay_max_us = 400000;
    sim_path_set(s->b, s->a, path);
    send_one(s->b, s->at_b);
    sim_run_for(s->sim, 399);
    assert_int_equal(s->frames_a, 0);
    sim_run_for(s->sim, 10);
    assert_int_equal(s->frames_a, 1);
    close_scene(s);
}

/* ---- clocks ---- */

struct bell {
    struct env_timer timer;
    bool fired;
};

static void ring(struct env_timer *timer)
{
    CONTAINER_OF(timer, struct bell, timer)->fired = true;
}

static void clocks_differ_and_drift(void **state)
{
    (void)state;
    struct scene *s = open_scene(8, false);
    struct env *a = sim_node_env(s->a);
    struct env *b = sim_node_env(s->b);
    assert_true(env_now_ms(a) != env_now_ms(b)); /* each from a start of its own */
    assert_int_equal(env_wall_ms(a), env_wall_ms(b));
    sim_node_wall_offset(s->a, -5000);
    assert_int_equal(env_wall_ms(a) + 5000, env_wall_ms(b));
    sim_node_drift(s->a, 10000);
    int64_t a_ms = env_now_ms(a);
    int64_t b_ms = env_now_ms(b);
    sim_run_for(s->sim, 100000);
    assert_true(env_now_ms(b) - b_ms >= 99999 && env_now_ms(b) - b_ms <= 100001);
    assert_true(env_now_ms(a) - a_ms >= 100999 && env_now_ms(a) - a_ms <= 101001);
    for (int drift = -400000; drift <= 400000; drift += 100000) {
        struct bell bell = {.timer = {.fire = ring}};
        sim_node_drift(s->a, drift);
        int64_t due_ms = env_now_ms(a) + 10000;
        env_timer_set(a, &bell.timer, due_ms);
        sim_run_for(s->sim, 30000);
        assert_true(bell.fired);
    }
    close_scene(s);
}

static void a_stalled_node_stands_still(void **state)
{
    (void)state;
    struct scene *s = open_scene(9, true);
    struct bell bell = {.timer = {.fire = ring}};
    struct env *a = sim_node_env(s->a);
    env_timer_set(a, &bell.timer, env_now_ms(a) + 10);
    send_one(s->b, s->at_b);
    sim_node_stall(s->a, 2000000);
    sim_run_for(s->sim, 1999);
    assert_false(bell.fired);
    assert_int_equal(s->frames_a, 0);
    sim_run_for(s->sim, 10);
    assert_true(bell.fired);
    assert_int_equal(s->frames_a, 1);
    close_scene(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_is_told_and_dials_are_refused),
        cmocka_unit_test(a_power_cut_is_silent),
        cmocka_unit_test(what_comes_back_from_a_power_cut_resets),
        cmocka_unit_test(a_partition_holds_and_heals),
        cmocka_unit_test(a_partition_may_be_one_way),
        cmocka_unit_test(dials_into_the_dark),
        cmocka_unit_test(a_slow_path_takes_its_time),
        cmocka_unit_test(clocks_differ_and_drift),
        cmocka_unit_test(a_stalled_node_stands_still),
    };
    return cmocka_run_group_tests_name("simulated network", tests, NULL, NULL);
}
