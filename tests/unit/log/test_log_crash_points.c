/* A scripted life that touches the disk in every way there is, and a crash at every one of its file
 * operations: the process killed (the write it stood in may be torn) and the machine losing power
 * (what was not synced is kept, lost or torn). After each: the log opens, everything durable is
 * there, in order and byte for byte, nothing else is, the start has not gone back, the indexes
 * agree with the segments, it goes on. Some are crashed a second time while they recover. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/wire/kafka_error.h"
#include "tests/unit/log/rig.h"

static bool append_some(struct rig *r, int batches)
{
    for (int i = 0; i < batches; i++) {
        int producer = (int)rng_below(&r->rng, RIG_PRODUCERS + 1) - 1;
        int16_t error =
            rig_append(r, 1 + (int)rng_below(&r->rng, 3), 20 + rng_below(&r->rng, 300), producer);
        if (error == KAFKA_KAFKA_STORAGE_ERROR && !log_failed(r->log)) {
            /* A cut's job is reading the producers anew. */
            if (!rig_run(r, 1)) {
                return false;
            }
            i--;
            continue;
        }
        assert_int_equal(error, 0);
        if (rng_below(&r->rng, 3) == 0 && !rig_run(r, 1)) {
            return false;
        }
    }
    return !r->crashed;
}

/* Long enough for checkpoints and for what waits to be deleted. */
static bool rest(struct rig *r)
{
    int64_t start = log_start(r->log);
    if (!rig_run(r, 130000)) {
        return false;
    }
    r->start_kept = start;
    return true;
}

static bool grow_and_cut(struct rig *r)
{
    log_begin_epoch(r->log, r->epoch);
    if (!append_some(r, 25) || !rig_wait_durable(r) || !append_some(r, 5)) {
        return false;
    }
    log_note_high_watermark(r->log, log_durable_end(r->log));
    if (!rest(r) || !append_some(r, 8)) {
        return false;
    }
    rig_truncate(r, r->model.items[r->model.count - 3].base);
    if (!append_some(r, 4) || !rig_wait_durable(r)) {
        return false;
    }
    rig_truncate(r,
                 r->model.items[r->model.count / 2].base); /* segments go, below the checkpoints */
    return rig_wait_written(r) && append_some(r, 20) && rig_wait_durable(r);
}

static bool shorten(struct rig *r)
{
    log_advance_start(r->log, r->model.items[8].base);
    r->start = log_start(r->log);
    if (!append_some(r, 6) || !rest(r) || !rig_check_exact(r)) {
        return false;
    }
    r->config.retention_bytes = 6000;
    log_configure(r->log, &r->config);
    log_tend(r->log, log_durable_end(r->log));
    if (!rest(r)) {
        return false;
    }
    r->config.retention_bytes = -1;
    r->config.retention_ms = 1;
    log_configure(r->log, &r->config);
    if (!append_some(r, 3) || !rig_wait_durable(r)) {
        return false;
    }
    int64_t before = log_start(r->log);
    log_tend(r->log, log_durable_end(r->log));
    bool done = rest(r);
    assert_true(!done || log_start(r->log) > before); /* all of it, into an empty segment */
    r->config.retention_ms = -1;
    return done && append_some(r, 3) && rig_wait_durable(r) && rig_check_exact(r);
}

static void on_deleted(void *ctx, enum err error)
{
    struct rig *r = ctx;
    r->error = error;
    r->answered = true;
    r->deleted = error == ERR_NONE;
    r->log = NULL;
}

/* Deletes the log; a new topic of that name may be opened after it. */
static bool delete_log(struct rig *r)
{
    r->answered = false;
    r->deleting = true;
    r->durable = log_durable_end(r->log);
    r->start = log_start(r->log);
    r->ready = false;
    log_delete(r->log, on_deleted, r);
    if (!rig_wait_answer(r)) {
        return false;
    }
    rig_forget(r);
    return true;
}

/* A life that does everything. False when it ended in the crash. */
static bool life(struct rig *r)
{
    if (!rig_open(r) || !grow_and_cut(r) || !shorten(r) || !rig_close(r)) {
        return false;
    }
    rig_check_files(r);
    if (!rig_open(r)) {
        return false;
    }
    assert_true(r->found.clean_shutdown);
    assert_int_equal(r->opened.recovered_bytes, 0);
    log_begin_epoch(r->log, ++r->epoch);
    if (!append_some(r, 6) || !rig_wait_durable(r) || !rig_check_exact(r) || !delete_log(r)) {
        return false;
    }
    r->topic_id = uuid_from_number(78);
    r->deleting = false;
    r->deleted = false;
    if (!rig_open_log(r)) {
        return false;
    }
    assert_true(r->opened.created);
    return append_some(r, 6) && rig_wait_durable(r) && rig_check_exact(r) && rig_close(r);
}

static void must(struct rig *r, bool good, const char *what)
{
    if (!good) {
        print_message("%s: %s\n", what, r->text.text);
    }
    assert_true(good);
}

/* A deletion that was under way has happened or not; one that has answered has. */
static void settle_deletion(struct rig *r)
{
    bool gone = !sim_disk_exists(r->node, "/data/logs/topic-3");
    if (r->deleting) {
        assert_true(gone || !r->deleted);
        if (gone) {
            rig_forget(r);
        }
        r->deleting = false;
    }
}

/* After the crash: opens, holds what it must, and goes on. `again`: the recovery is crashed too. */
static void resume(struct rig *r, uint64_t again, enum sim_crash how)
{
    settle_deletion(r);
    rig_restart(r);
    if (again > 0) {
        rig_crash_at(r, again, how);
        if (!rig_open(r)) {
            must(r, r->crashed, "open after a crash");
            rig_restart(r);
        }
        rig_crash_at(r, 0, how);
    }
    must(r, r->log != NULL || rig_open(r), "open");
    assert_true(rig_check(r));
    if (again > 0) {
        /* What recovery itself dropped is known to the next one. */
        rig_crash(r, how);
        rig_restart(r);
        must(r, rig_open(r), "open once more");
        assert_true(rig_check(r));
    }
    assert_true(append_some(r, 12) && rig_wait_durable(r));
    assert_true(rig_check_exact(r) && rig_close(r));
    rig_check_files(r);
    must(r, rig_open(r), "open after a clean close");
    assert_true(r->found.clean_shutdown);
    assert_int_equal(r->opened.recovered_bytes, 0);
    assert_int_equal(r->opened.cut_bytes, 0);
    assert_true(rig_check_exact(r));
}

/* A life of a compacted log: its compactions write, sync and swap; then it is a log like others. */
static bool compacted_life(struct rig *r)
{
    r->config.compacted = true;
    r->config.cleanup_delete = false;
    r->config.min_cleanable_dirty_ratio = 0.01;
    r->config.delete_retention_ms = 30000;
    r->keyed = true;
    r->tombstones_may_go = true;
    if (!rig_open(r)) {
        return false;
    }
    log_begin_epoch(r->log, r->epoch);
    for (int round = 0; round < 3; round++) {
        if (!append_some(r, 40) || !rig_wait_durable(r)) {
            return false;
        }
        log_note_high_watermark(r->log, log_durable_end(r->log));
        int64_t before = log_bytes(r->log);
        if (!rig_run(r, 80000) || !rig_check_compacted(r)) {
            return false;
        }
        assert_true(log_bytes(r->log) < before);
    }
    if (!rig_close(r)) {
        return false;
    }
    rig_check_files(r);
    return true;
}

static void resume_compacted(struct rig *r, uint64_t again, enum sim_crash how)
{
    int64_t durable = r->durable;
    rig_restart(r);
    if (again > 0) {
        rig_crash_at(r, again, how);
        if (!rig_open(r)) {
            must(r, r->crashed, "open after a crash");
            rig_restart(r);
        }
        rig_crash_at(r, 0, how);
    }
    must(r, r->log != NULL || rig_open(r), "open");
    assert_true(log_end(r->log) >= durable && log_end(r->log) == log_assigned_end(r->log));
    rig_forget_lost(r);
    assert_true(rig_check_compacted(r));
    log_begin_epoch(r->log, ++r->epoch);
    assert_true(append_some(r, 20) && rig_wait_durable(r));
    log_note_high_watermark(r->log, log_durable_end(r->log));
    assert_true(rig_run(r, 80000) && rig_check_compacted(r) && rig_close(r));
    rig_check_files(r);
    must(r, rig_open(r), "open after a clean close");
    assert_int_equal(r->opened.recovered_bytes, 0);
    assert_true(rig_check_compacted(r));
}

static void crash_compaction_everywhere(enum sim_crash how, uint64_t seed, bool twice)
{
    const char *other = getenv("LOG_POINTS_SEED");
    seed += other == NULL ? 0 : strtoull(other, NULL, 10);
    uint64_t k = 1;
    for (;; k++) {
        struct rig *r = rig_new(seed);
        rig_crash_at(r, k, how);
        bool ended = compacted_life(r);
        if (!ended) {
            must(r, r->crashed, "life");
            resume_compacted(r, twice ? 1 + k * 7 % 60 : 0, how);
        }
        rig_free(r);
        if (ended) {
            break;
        }
    }
    assert_true(k > 300);
    print_message("%llu crash points\n", (unsigned long long)k - 1);
}

static void test_kill_compaction_everywhere(void **state)
{
    (void)state;
    crash_compaction_everywhere(SIM_KILL, 4, false);
}

static void test_power_compaction_everywhere(void **state)
{
    (void)state;
    crash_compaction_everywhere(SIM_POWER, 5, true);
}

/* Those that crash twice are one in three: the first crashes are among the other tests'. */
static void crash_everywhere(enum sim_crash how, uint64_t seed, bool twice)
{
    const char *other = getenv("LOG_POINTS_SEED");
    seed += other == NULL ? 0 : strtoull(other, NULL, 10);
    uint64_t k = 1;
    for (;; k += twice ? 3 : 1) {
        struct rig *r = rig_new(seed);
        rig_crash_at(r, k, how);
        bool ended = life(r);
        if (!ended) {
            must(r, r->crashed, "life");
            resume(r, twice ? 1 + k * 7 % 60 : 0, how);
        }
        rig_free(r);
        if (ended) {
            break;
        }
    }
    assert_true(k > 500);
    print_message("%llu crash points\n", (unsigned long long)k - 1);
}

static void test_without_crash(void **state)
{
    (void)state;
    struct rig *r = rig_new(5);
    must(r, life(r), "life");
    rig_free(r);
}

static void test_kill_everywhere(void **state)
{
    (void)state;
    crash_everywhere(SIM_KILL, 1, false);
}

static void test_power_everywhere(void **state)
{
    (void)state;
    crash_everywhere(SIM_POWER, 2, false);
}

static void test_power_twice(void **state)
{
    (void)state;
    crash_everywhere(SIM_POWER, 3, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_crash),
        cmocka_unit_test(test_kill_everywhere),
        cmocka_unit_test(test_power_everywhere),
        cmocka_unit_test(test_power_twice),
        cmocka_unit_test(test_kill_compaction_everywhere),
        cmocka_unit_test(test_power_compaction_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
