/* Crashes at random file operations of random lives: what was reported durable is there, byte for
 * byte; the log opens; it goes on. (At every operation of a scripted life:
 * test_log_crash_points.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/kafka_error.h"
#include "tests/unit/log/rig.h"

/* Batches of one size, so that what a lost cut leaves behind begins where a new batch ends. */
static bool same_size;

static bool append_some(struct rig *r, int batches)
{
    for (int i = 0; i < batches; i++) {
        int producer = (int)rng_below(&r->rng, RIG_PRODUCERS + 1) - 1;
        int records = same_size ? 1 : 1 + (int)rng_below(&r->rng, 3);
        size_t bytes = same_size ? 60 : 20 + rng_below(&r->rng, 300);
        int16_t error = rig_append(r, records, bytes, producer);
        if (error == KAFKA_KAFKA_STORAGE_ERROR && !log_failed(r->log)) {
            /* A cut's job is reading the producers anew. */
            if (!rig_run(r, 1)) {
                return false;
            }
            i--;
            continue;
        }
        if (error != 0) {
            print_message("append: error %d\n", error);
            return false;
        }
        if (rng_below(&r->rng, 3) == 0 && !rig_run(r, 1)) {
            return false;
        }
    }
    return !r->crashed;
}

/* After the crash: opens, holds what it must, and goes on. */
static void resume(struct rig *r)
{
    rig_restart(r);
    bool opened = rig_open(r);
    if (!opened) {
        print_message("%s\n", r->text.text);
    }
    assert_true(opened);
    assert_true(rig_check(r));
    assert_true(append_some(r, 12));
    assert_true(rig_wait_durable(r));
    assert_true(rig_check_exact(r));
    assert_true(rig_close(r));
    assert_true(rig_open(r));
    assert_true(r->found.clean_shutdown);
    assert_int_equal(r->opened.recovered_bytes, 0);
    assert_int_equal(r->opened.cut_bytes, 0);
    assert_true(rig_check_exact(r));
}

static void test_random_lives(void **state)
{
    (void)state;
    const char *count = getenv("LOG_SEEDS");
    uint64_t seeds = count == NULL ? 150 : strtoull(count, NULL, 10);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct rig *r = rig_new(seed * 7919);
        same_size = seed % 3 == 0;
        if (seed % 2 == 0) {
            sim_disk_latency(
                r->node, SIM_SYNC,
                (struct sim_latency){
                    .min_us = 100, .max_us = 3000, .slow_one_in = 3, .slow_us = 40000});
        }
        r->config.segment_bytes = 1500 + (int32_t)rng_below(&r->rng, 6000);
        if (rng_below(&r->rng, 3) == 0) {
            r->config.flush_messages = 1 + (int64_t)rng_below(&r->rng, 20);
            r->config.flush_ms = 50;
        }
        for (int lives = 0; lives < 4; lives++) {
            rig_crash_at(r, 1 + rng_below(&r->rng, 400),
                         rng_below(&r->rng, 2) ? SIM_KILL : SIM_POWER);
            if (r->log == NULL && (!rig_open(r) || !rig_check(r))) {
                if (!r->crashed) {
                    print_message("seed %llu: %s\n", (unsigned long long)seed, r->text.text);
                }
                assert_true(r->crashed);
                rig_restart(r);
                continue;
            }
            while (!r->crashed) {
                uint64_t what = rng_below(&r->rng, 20);
                int64_t end = log_assigned_end(r->log);
                if (what < 13) {
                    (void)append_some(r, 1 + (int)rng_below(&r->rng, 6));
                } else if (what == 13 && r->model.count > 3) {
                    size_t at = r->model.count - 1 - rng_below(&r->rng, r->model.count / 2);
                    if (r->model.items[at].base >= log_start(r->log)) {
                        rig_truncate(r, r->model.items[at].base);
                    }
                } else if (what == 14 && end > log_start(r->log)) {
                    log_advance_start(r->log, log_start(r->log) + 1);
                } else if (what == 15) {
                    log_note_high_watermark(r->log, log_durable_end(r->log));
                    (void)rig_run(r, 6000);
                } else if (what == 16) {
                    (void)rig_run(r, 61000);
                } else if (what == 17) {
                    (void)(rig_wait_written(r) && rig_check_exact(r));
                } else {
                    (void)rig_run(r, (int64_t)rng_below(&r->rng, 30));
                }
            }
            rig_restart(r);
        }
        rig_free(r);
    }
}

static bool durable_past_cut(void *ctx)
{
    return log_durable_end(((struct rig *)ctx)->log) > 4;
}

/* A sync that began before a cut ends after new batches were written over what it covered: it says
 * nothing about them. */
static void test_sync_across_a_cut(void **state)
{
    (void)state;
    static const struct sim_latency slow = {.min_us = 50000, .max_us = 50000};
    static const struct sim_latency fast = {.min_us = 100, .max_us = 100};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rig *r = rig_new(seed);
        same_size = true;
        assert_true(rig_open(r));
        assert_true(append_some(r, 4) && rig_wait_durable(r));
        assert_int_equal(log_end(r->log), 4);
        sim_disk_latency(r->node, SIM_SYNC, slow);
        assert_true(append_some(r, 6) && rig_wait_written(r));
        assert_true(rig_run(r, 5)); /* the sync is under way */
        sim_disk_latency(r->node, SIM_SYNC, fast);
        rig_truncate(r, 4);
        assert_true(rig_run(r, 5));
        assert_true(append_some(r, 8));
        assert_true(sim_run_until(r->sim, durable_past_cut, r, 1000, 0));
        rig_crash(r, SIM_POWER);
        resume(r);
        rig_free(r);
    }
}

static void note_base(void *ctx, const char *path, const uint8_t *data, size_t size)
{
    int64_t *newest = ctx;
    const char *name = strrchr(path, '/') + 1;
    (void)data;
    (void)size;
    if (strlen(name) == 24 && strcmp(name + 20, ".log") == 0) {
        *newest = strtoll(name, NULL, 10);
    }
}

/* Appends by one producer until the disk has another segment; that one's base. */
static int64_t fill_segment(struct rig *r, int producer)
{
    int64_t before = 0;
    int64_t newest = 0;
    sim_disk_walk(r->node, "/data/logs/topic-3", note_base, &before);
    for (newest = before; newest == before;) {
        assert_int_equal(rig_append(r, 1, 300, producer), 0);
        assert_true(rig_wait_durable(r));
        sim_disk_walk(r->node, "/data/logs/topic-3", note_base, &newest);
    }
    assert_true(rig_run(r, 1000));
    return newest;
}

/* A deletion that a crash cut short is finished at recovery. Who wrote last in what goes then is
 * known only to the snapshot that recovery makes, and is known after the next crash too. */
static void test_producers_of_what_recovery_drops(void **state)
{
    (void)state;
    char line[80];
    char path[80];
    struct rig *r = rig_new(21);
    assert_true(rig_open(r));
    log_begin_epoch(r->log, r->epoch);
    (void)fill_segment(r, 0);
    int64_t between = fill_segment(r, 1);
    int64_t last = fill_segment(r, -1);
    rig_crash(r, SIM_POWER);
    snprintf(line, sizeof line, "0\n1\ntopic 3 %lld\n", (long long)last);
    sim_disk_put(r->node, "/data/logs/log-start-offset-checkpoint", line, strlen(line));
    for (int i = 0; i < 2; i++) { /* the rolls had not come so far */
        snprintf(path, sizeof path, "/data/logs/topic-3/%020lld.snapshot",
                 (long long)(i == 0 ? between : last));
        assert_true(sim_disk_exists(r->node, path));
        sim_disk_remove(r->node, path);
    }
    r->start = last;
    for (int crashes = 0; crashes < 3; crashes++) {
        rig_restart(r);
        assert_true(rig_open(r));
        assert_int_equal(log_start(r->log), last);
        assert_true(rig_check(r));
        r->next_sequence[1] = 1000;
        assert_int_equal(rig_append(r, 1, 10, 1), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
        rig_crash(r, SIM_POWER);
    }
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sync_across_a_cut),
        cmocka_unit_test(test_producers_of_what_recovery_drops),
        cmocka_unit_test(test_random_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
