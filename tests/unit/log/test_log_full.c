/* A full disk: nothing acknowledged is touched, nothing goes offline, and with room again all goes
 * on without a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/kafka_error.h"
#include "tests/unit/log/rig.h"

static const unsigned ROOM_OPS =
    1U << SIM_WRITE | 1U << SIM_TRUNCATE | 1U << SIM_RENAME | 1U << SIM_MKDIR;

static bool durable_or_full(void *ctx)
{
    const struct rig *r = ctx;
    return log_dir_full(r->dir) || log_durable_end(r->log) == log_assigned_end(r->log);
}

/* Appends until one is refused for want of room. */
static void fill_up(struct rig *r)
{
    for (int i = 0; i < 100000; i++) {
        int16_t error = rig_append(r, 2, 300, i % RIG_PRODUCERS);
        if (error != 0) {
            assert_int_equal(error, KAFKA_KAFKA_STORAGE_ERROR);
            return;
        }
        sim_run_until(r->sim, durable_or_full, r, 60000, 0);
    }
    fail_msg("the disk never became full");
}

static void test_full_and_freed(void **state)
{
    (void)state;
    struct rig *r = rig_new(1);
    assert_true(rig_open(r));
    log_begin_epoch(r->log, 0);
    sim_disk_limit(r->node, 40000);
    fill_up(r);
    assert_true(log_dir_full(r->dir));
    assert_true(rig_run(r, 100000));
    assert_true(log_dir_full(r->dir));
    assert_false(log_failed(r->log) || log_dir_failed(r->dir));
    assert_int_equal(r->failed_news, 0);
    assert_int_equal(r->full_news, 1);
    int64_t end = log_end(r->log);
    assert_true(end > 20 && end < log_assigned_end(r->log));
    assert_int_equal(log_durable_end(r->log), end);
    /* What is there is served; the follower's side is refused too. */
    int64_t next = 0;
    struct buf *bytes = rig_read(r, 0, 1000000, &next);
    assert_int_equal(r->error, ERR_NONE);
    assert_true(next > 0);
    struct err_text text;
    assert_int_equal(log_append_as_follower(r->log, bytes, 0, bytes->size, &next, &text),
                     ERR_NO_SPACE);
    buf_unref(bytes);
    sim_disk_limit(r->node, 1 << 30);
    assert_true(rig_run(r, 2000));
    assert_false(log_dir_full(r->dir));
    assert_true(rig_wait_durable(r) && rig_check_exact(r));
    assert_int_equal(rig_append(r, 2, 300, 0), 0);
    assert_true(rig_wait_durable(r) && rig_check_exact(r) && rig_close(r));
    assert_true(rig_open(r));
    assert_int_equal(r->opened.recovered_bytes, 0);
    assert_true(rig_check_exact(r));
    rig_free(r);
}

/* Retention makes the room, although its own checkpoint finds none, and without waiting for
 * file.delete.delay.ms. */
static void test_retention_makes_room(void **state)
{
    (void)state;
    struct rig *r = rig_new(2);
    r->config.retention_bytes = 12000;
    assert_true(rig_open(r));
    sim_disk_limit(r->node, 40000);
    fill_up(r);
    sim_disk_fail(r->node, ROOM_OPS, "checkpoint.tmp", 1, ERR_NO_SPACE, true);
    log_tend(r->log, log_end(r->log));
    assert_true(rig_run(r, 3000));
    sim_disk_heal(r->node);
    assert_true(rig_run(r, 1500));
    assert_false(log_dir_full(r->dir));
    assert_true(log_start(r->log) > 0);
    assert_true(rig_wait_durable(r) && rig_check_exact(r) && rig_close(r));
    rig_free(r);
}

/* A crash while it is full: what was durable is there. */
static void test_crash_while_full(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct rig *r = rig_new(seed);
        assert_true(rig_open(r));
        sim_disk_limit(r->node, 20000 + (int64_t)rng_below(&r->rng, 20000));
        fill_up(r);
        assert_true(rig_run(r, (int64_t)rng_below(&r->rng, 3000)));
        rig_crash(r, seed % 2 == 0 ? SIM_KILL : SIM_POWER);
        rig_restart(r);
        /* It opens, though there is no room still. */
        assert_true(rig_open(r) && rig_check(r));
        sim_disk_limit(r->node, 1 << 30);
        assert_true(rig_run(r, 3000));
        assert_int_equal(rig_append(r, 2, 300, -1), 0);
        assert_true(rig_wait_durable(r) && rig_check_exact(r) && rig_close(r));
        rig_free(r);
    }
}

/* A stop while it is full says so, leaves no clean marker and loses nothing durable. */
static void test_close_while_full(void **state)
{
    (void)state;
    struct rig *r = rig_new(3);
    assert_true(rig_open(r));
    sim_disk_limit(r->node, 40000);
    fill_up(r);
    int64_t durable = log_durable_end(r->log);
    assert_false(rig_close(r));
    assert_int_equal(r->error, ERR_NO_SPACE);
    assert_false(log_dir_failed(r->dir));
    /* Whether the few bytes of its checkpoints found room is chance. */
    if (!rig_close_dir(r)) {
        assert_int_equal(r->error, ERR_NO_SPACE);
        log_dir_free(r->dir);
        r->dir = NULL;
    }
    sim_disk_limit(r->node, 1 << 30);
    r->durable = durable;
    assert_true(rig_open(r));
    assert_false(r->found.clean_shutdown);
    assert_true(rig_check(r));
    rig_free(r);
}

/* The disk stays full until an append was refused 15 times. */
static void append_through(struct rig *r, int batches)
{
    int refused = 0;
    for (int i = 0; i < batches; i++) {
        int16_t error = rig_append(r, 1 + (int)rng_below(&r->rng, 3), rng_below(&r->rng, 300),
                                   (int)rng_below(&r->rng, RIG_PRODUCERS + 1) - 1);
        if (error == KAFKA_KAFKA_STORAGE_ERROR) {
            assert_false(log_failed(r->log));
            assert_true(rig_run(r, 200));
            if (++refused == 15) {
                sim_disk_heal(r->node);
            }
            i--;
            continue;
        }
        assert_int_equal(error, 0);
        if (rng_below(&r->rng, 3) == 0) {
            assert_true(rig_run(r, 1));
        }
    }
}

static void wait_for_room(struct rig *r)
{
    assert_true(rig_run(r, 2500));
    if (log_dir_full(r->dir)) {
        sim_disk_heal(r->node);
        assert_true(rig_run(r, 1500));
    }
    assert_true(rig_wait_durable(r));
}

/* A life that writes every kind of file. The k-th operation that takes room finds none, and when
 * `lasting` so do those of the next seconds. False when k was past the end. */
static bool live_with_no_room_at(uint64_t k, bool lasting)
{
    struct rig *r = rig_new(77);
    sim_disk_latency(r->node, SIM_WRITE, (struct sim_latency){.min_us = 500, .max_us = 5000});
    assert_true(rig_open(r));
    log_begin_epoch(r->log, 0);
    sim_disk_fail(r->node, ROOM_OPS, NULL, k, ERR_NO_SPACE, lasting);
    append_through(r, 60);
    wait_for_room(r);
    log_note_high_watermark(r->log, log_durable_end(r->log));
    assert_true(rig_run(r, 70000));
    wait_for_room(r);
    rig_truncate(r, r->model.items[r->model.count / 2].base);
    append_through(r, 50);
    wait_for_room(r);
    log_advance_start(r->log, r->model.items[8].base);
    append_through(r, 30);
    assert_true(rig_run(r, 130000));
    wait_for_room(r);
    bool hit = sim_disk_failed(r->node) > 0;
    sim_disk_heal(r->node);
    assert_false(log_failed(r->log) || log_dir_failed(r->dir) || log_dir_full(r->dir));
    assert_true(rig_check_exact(r) && rig_close(r) && rig_open(r));
    assert_true(r->found.clean_shutdown);
    assert_int_equal(r->opened.recovered_bytes, 0);
    assert_true(rig_check_exact(r) && rig_close(r));
    rig_free(r);
    return hit;
}

static void test_no_room_anywhere(void **state)
{
    (void)state;
    int hits = 0;
    while (live_with_no_room_at((uint64_t)hits + 1, false)) {
        (void)live_with_no_room_at((uint64_t)hits + 1, true);
        hits++;
    }
    print_message("%d operations that take room\n", hits);
    assert_true(hits > 70);
}

/* A sync that finds no room has lost what it had taken: that is a broken disk. */
static void test_sync_without_room(void **state)
{
    (void)state;
    struct rig *r = rig_new(5);
    assert_true(rig_open(r));
    sim_disk_fail(r->node, 1U << SIM_SYNC, ".log", 1, ERR_NO_SPACE, false);
    assert_int_equal(rig_append(r, 2, 300, 0), 0);
    assert_true(rig_run(r, 1000));
    assert_true(log_failed(r->log) && log_dir_failed(r->dir));
    assert_int_equal(log_durable_end(r->log), 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_and_freed),   cmocka_unit_test(test_retention_makes_room),
        cmocka_unit_test(test_crash_while_full), cmocka_unit_test(test_close_while_full),
        cmocka_unit_test(test_no_room_anywhere), cmocka_unit_test(test_sync_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
