/* Compaction: of each key the latest record stays, at its offset; tombstones go after their time;
 * what producers and readers rely on stays as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/clean.h"
#include "common/wire/kafka_error.h"
#include "tests/unit/log/rig.h"

static void test_siphash(void **state)
{
    (void)state;
    /* The reference implementation's first vectors, key 00 01 .. 0f, input of 0 and 1 bytes. */
    static const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const uint8_t empty[16] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                                      0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
    uint64_t secret[2];
    uint64_t out[2];
    memcpy(secret, key, sizeof secret);
    siphash128(secret, "", 0, out);
    assert_memory_equal(out, empty, sizeof out);
}

static void test_keymap(void **state)
{
    (void)state;
    struct keymap map;
    const uint64_t secret[2] = {1, 2};
    keymap_init(&map, 4096 * sizeof(struct keymap_slot), secret);
    int32_t i = 0;
    while (keymap_put(&map, &i, sizeof i, i)) {
        i++;
    }
    assert_int_equal(i, 3072);
    for (int32_t k = 0; k < i; k += 3) {
        assert_true(keymap_put(&map, &k, sizeof k, 10000 + k));
    }
    for (int32_t k = 0; k < i; k++) {
        assert_int_equal(keymap_get(&map, &k, sizeof k), k % 3 == 0 ? 10000 + k : k);
    }
    assert_int_equal(keymap_get(&map, &i, sizeof i), -1);
    keymap_free(&map);
}

/* ---- a log beside a model: what each key's latest record is ---- */

static struct rig *compacted_rig(uint64_t seed)
{
    struct rig *r = rig_new(seed);
    r->keyed = true;
    r->config.compacted = true;
    r->config.cleanup_delete = false;
    r->config.min_cleanable_dirty_ratio = 0.01;
    r->config.delete_retention_ms = 150000;
    assert_true(rig_open(r));
    log_begin_epoch(r->log, r->epoch);
    return r;
}

static void fill(struct rig *r, int batches)
{
    for (int i = 0; i < batches; i++) {
        int producer = (int)rng_below(&r->rng, RIG_PRODUCERS + 1) - 1;
        assert_int_equal(
            rig_append(r, 1 + (int)rng_below(&r->rng, 6), rng_below(&r->rng, 80), producer), 0);
    }
    assert_true(rig_wait_durable(r));
    log_note_high_watermark(r->log, log_durable_end(r->log));
}

static void test_latest_stays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rig *r = compacted_rig(seed);
        if (seed % 4 == 0) {
            /* A map that is full long before the dirty part ends. */
            struct log_cleaner cleaner = log_cleaner_default();
            cleaner.dedupe_buffer_bytes = 1;
            log_dir_configure_cleaner(r->dir, &cleaner);
        }
        for (int round = 0; round < 4; round++) {
            fill(r, 200);
            int64_t before = log_bytes(r->log);
            assert_true(rig_run(r, 80000));
            assert_true(log_bytes(r->log) < before);
            rig_check_compacted(r);
        }
        assert_true(rig_close(r));
        rig_check_files(r);
        assert_true(rig_open(r));
        assert_int_equal(r->opened.recovered_bytes, 0);
        rig_check_compacted(r);
        rig_free(r);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct rig *r = compacted_rig(3);
    fill(r, 300);
    int64_t before = log_bytes(r->log);
    log_note_high_watermark(r->log, 5); /* nothing whole below it */
    assert_true(rig_run(r, 80000));
    assert_int_equal(log_bytes(r->log), before);
    log_note_high_watermark(r->log, log_durable_end(r->log));
    r->config.min_compaction_lag_ms = 1000000;
    log_configure(r->log, &r->config);
    assert_true(rig_run(r, 80000));
    assert_int_equal(log_bytes(r->log), before);
    r->config.min_compaction_lag_ms = 0;
    r->config.min_cleanable_dirty_ratio = 1;
    log_configure(r->log, &r->config);
    assert_true(rig_run(r, 80000));
    assert_int_equal(log_bytes(r->log), before);
    r->config.max_compaction_lag_ms = 150000;
    log_configure(r->log, &r->config);
    assert_true(rig_run(r, 80000));
    assert_true(log_bytes(r->log) < before);
    rig_check_compacted(r);
    rig_free(r);
}

/* What the recovery point on disk does not cover is left alone, for above it a crash takes every
 * gap between segments for a loss. */
static void test_not_above_recovery_point(void **state)
{
    (void)state;
    struct rig *r = compacted_rig(7);
    struct log_cleaner cleaner = log_cleaner_default();
    cleaner.backoff_ms = 100;
    log_dir_configure_cleaner(r->dir, &cleaner);
    fill(r, 300);
    int64_t before = log_bytes(r->log);
    assert_true(rig_run(r, 20000)); /* the recovery point goes to disk once a minute */
    assert_int_equal(log_bytes(r->log), before);
    assert_true(rig_run(r, 60000));
    int64_t after = log_bytes(r->log);
    assert_true(after < before);
    fill(r, 300);
    before = log_bytes(r->log);
    assert_true(rig_run(r, 10000));
    assert_int_equal(log_bytes(r->log), before);
    rig_check_compacted(r);
    rig_free(r);
}

/* A tombstone is there until delete.retention.ms after the compaction that first kept it. */
static void test_tombstones(void **state)
{
    (void)state;
    struct rig *r = compacted_rig(4);
    fill(r, 300);
    int64_t end = log_end(r->log); /* what lies below is compacted as soon as more has come */
    r->keys = 3;
    fill(r, 100);
    assert_true(rig_run(r, 80000)); /* the recovery point's checkpoint, then the cleaner */
    rig_check_compacted(r);
    int kept = rig_tombstones(r, end);
    assert_true(kept > 0);
    fill(r, 100);
    assert_true(rig_run(r, 80000));
    rig_check_compacted(r);
    assert_int_equal(rig_tombstones(r, end), kept);
    assert_true(rig_run(r, 100000));
    r->tombstones_may_go = true;
    fill(r, 100);
    assert_true(rig_run(r, 80000));
    rig_check_compacted(r);
    assert_int_equal(rig_tombstones(r, end), 0);
    rig_free(r);
}

/* Who wrote last may repeat it after compaction and a restart, and go on after it. */
static void test_producers(void **state)
{
    (void)state;
    struct rig *r = compacted_rig(5);
    fill(r, 200);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(rig_append(r, 5, 50, -1), 0);
    }
    assert_true(rig_wait_durable(r));
    log_note_high_watermark(r->log, log_durable_end(r->log));
    assert_true(rig_run(r, 80000));
    rig_check_compacted(r);
    rig_crash(r, SIM_KILL);
    /* Nothing but the log tells of the producers now. */
    for (int64_t i = 0; i < log_assigned_end(r->log); i++) {
        char path[128];
        snprintf(path, sizeof path, "/data/logs/topic-3/%020lld.snapshot", (long long)i);
        if (sim_disk_exists(r->node, path)) {
            sim_disk_remove(r->node, path);
        }
    }
    rig_restart(r);
    assert_true(rig_open(r));
    for (int p = 0; p < RIG_PRODUCERS; p++) {
        r->next_sequence[p]++;
        assert_int_equal(rig_append(r, 1, 10, p), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
        r->next_sequence[p]--;
        assert_int_equal(rig_append(r, 1, 10, p), 0);
    }
    rig_free(r);
}

static void test_throttled_and_cancelled(void **state)
{
    (void)state;
    struct rig *r = compacted_rig(6);
    struct log_cleaner cleaner = log_cleaner_default();
    cleaner.io_max_bytes_per_second = 500;
    log_dir_configure_cleaner(r->dir, &cleaner);
    fill(r, 300);
    int64_t before = log_bytes(r->log);
    assert_true(rig_run(r, 80000));
    assert_int_equal(log_bytes(r->log), before); /* the map alone costs longer */
    rig_truncate(r, r->model.items[r->model.count - 20].base);
    log_note_high_watermark(r->log, 0);
    assert_true(rig_wait_durable(r) && rig_run(r, 1000) && rig_check_exact(r));
    assert_true(rig_close(r) && rig_open(r) && rig_check_exact(r));
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_keymap),
        cmocka_unit_test(test_latest_stays),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_not_above_recovery_point),
        cmocka_unit_test(test_tombstones),
        cmocka_unit_test(test_producers),
        cmocka_unit_test(test_throttled_and_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
