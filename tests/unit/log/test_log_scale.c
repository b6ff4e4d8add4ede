/* What many logs in one directory share: directories made late and together, few open files, a
 * clean stop and start that leave the segments alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_internal.h"
#include "tests/unit/log/rig.h"

static void fill(struct rig *r, int batches)
{
    for (int i = 0; i < batches; i++) {
        assert_int_equal(rig_append(r, 2, 100, i % RIG_PRODUCERS), 0);
    }
    assert_true(rig_wait_durable(r));
}

static struct rig *opened_rig(uint64_t seed)
{
    struct rig *r = rig_new(seed);
    assert_true(rig_open(r));
    assert_true(r->opened.created);
    log_begin_epoch(r->log, 0);
    return r;
}

static void on_deleted(void *ctx, enum err error)
{
    struct rig *r = ctx;
    assert_int_equal(error, ERR_NONE);
    r->answered = true;
    r->log = NULL;
}

/* A log without records has no directory; with its first it has one that survives a power failure,
 * as the record does. */
static void test_made_with_the_first_record(void **state)
{
    (void)state;
    struct rig *r = opened_rig(21);
    assert_true(r->opened.created);
    log_begin_epoch(r->log, 3);
    assert_true(rig_run(r, 70000));
    assert_false(sim_disk_exists(r->node, "/data/logs/topic-3"));
    assert_true(rig_close(r));
    assert_false(sim_disk_exists(r->node, "/data/logs/topic-3"));
    assert_true(rig_open(r));
    assert_true(r->found.clean_shutdown && r->opened.created);
    fill(r, 1);
    rig_crash(r, SIM_POWER);
    rig_restart(r);
    assert_true(rig_open(r));
    assert_false(r->opened.created);
    assert_int_equal(log_end(r->log), log_durable_end(r->log));
    assert_true(log_end(r->log) > 0);
    assert_true(rig_check(r));
    assert_true(rig_close(r));
    rig_free(r);
}

static void test_deleted_before_it_was_made(void **state)
{
    (void)state;
    struct rig *r = opened_rig(22);
    r->answered = false;
    log_delete(r->log, on_deleted, r);
    assert_true(rig_run(r, 1000));
    assert_true(r->answered);
    r->topic_id = uuid_from_number(78);
    assert_true(rig_open_log(r));
    fill(r, 1);
    assert_true(rig_close(r));
    rig_free(r);
}

/* A directory that appears while the broker runs is not written into. */
static void test_appeared_meanwhile(void **state)
{
    (void)state;
    static const char path[] = "/data/logs/topic-3/00000000000000000000.log";
    struct rig *r = opened_rig(23);
    sim_disk_mkdir(r->node, "/data/logs/topic-3");
    sim_disk_put(r->node, path, "theirs", 6);
    assert_int_equal(rig_append(r, 1, 100, -1), 0);
    assert_true(rig_run(r, 1000));
    assert_int_equal(r->failed_news, 1);
    assert_true(log_failed(r->log));
    assert_false(log_dir_failed(r->dir));
    struct bytes content = {0};
    assert_true(sim_disk_get(r->node, path, &content));
    assert_int_equal(content.size, 6);
    assert_false(sim_disk_exists(r->node, "/data/logs/topic-3/partition.metadata"));
    bytes_free(&content);
    rig_free(r);
}

/* A process dies while it makes the directory, wherever that is; the next one finds it whole in the
 * system's memory, writes beside it, and then the power goes. */
static void test_killed_while_made_and_then_no_power(void **state)
{
    (void)state;
    for (uint64_t seed = 40; seed < 60; seed++) {
        for (uint64_t k = 1; k <= 6; k++) {
            struct rig *r = opened_rig(seed);
            rig_crash_at(r, k, SIM_KILL);
            (void)rig_append(r, 1, 100, -1);
            if (rig_wait_durable(r)) {
                rig_crash(r, SIM_KILL);
            }
            rig_restart(r);
            assert_true(rig_open(r) && rig_check(r));
            assert_int_equal(rig_append(r, 1, 100, -1), 0);
            assert_true(rig_wait_durable(r));
            rig_crash(r, SIM_POWER);
            rig_restart(r);
            if (!rig_open(r)) {
                fail_msg("seed %d, killed at %d: %s", (int)seed, (int)k, r->text.text);
            }
            assert_true(rig_check(r) && rig_close(r));
            rig_free(r);
        }
    }
}

/* A segment was the active one when the recovery point was written at its very end, and was closed
 * after that: a crash then may tear its indexes. */
static void test_torn_index_at_the_recovery_point(void **state)
{
    (void)state;
    struct rig *r = opened_rig(24);
    char path[80];
    int64_t end = 0;
    do {
        end = log_durable_end(r->log);
        assert_true(rig_run(r, 70000));
        assert_int_equal(rig_append(r, 2, 100, 0), 0);
        assert_true(rig_wait_durable(r) && rig_run(r, 1000));
        snprintf(path, sizeof path, "/data/logs/topic-3/%020lld.log", (long long)end);
    } while (end == 0 || !sim_disk_exists(r->node, path));
    rig_crash(r, SIM_KILL);
    struct bytes times = {0};
    assert_true(sim_disk_get(r->node, "/data/logs/topic-3/00000000000000000000.timeindex", &times));
    assert_true(times.size > 12);
    sim_disk_put(r->node, "/data/logs/topic-3/00000000000000000000.timeindex", times.data, 12);
    bytes_free(&times);
    rig_restart(r);
    assert_true(rig_open(r) && rig_check(r) && rig_close(r));
    rig_check_files(r);
    rig_free(r);
}

/* ---- many logs ---- */

#define FEW_FILES 5

enum { CROWD = 20 };

struct crowd;

struct member {
    struct crowd *crowd;
    struct log *log;
    int64_t durable; /* when it crashed */
};

struct crowd {
    struct rig *r;
    struct member members[CROWD];
    int waiting; /* members that have not answered */
    int failed;
    bool durable_wanted;
    bool few_files;
};

static void crowd_opened(void *ctx, struct log *log, const struct log_opened *opened)
{
    struct member *m = ctx;
    if (opened->error != ERR_NONE) {
        fprintf(stderr, "%s\n", opened->text.text);
        m->crowd->failed++;
        log_free(log);
        m->log = NULL;
    }
    m->crowd->waiting--;
}

static void crowd_closed(void *ctx, enum err error, const struct err_text *text)
{
    struct member *m = ctx;
    (void)text;
    m->crowd->failed += error != ERR_NONE;
    m->crowd->waiting--;
}

static const struct log_events silence = {NULL, NULL, NULL, NULL};

static bool nobody_waits(void *ctx)
{
    struct crowd *c = ctx;
    int behind = 0;
    for (int i = 0; c->durable_wanted && i < CROWD; i++) {
        struct log *log = c->members[i].log;
        behind += !log_failed(log) && log_durable_end(log) < log_assigned_end(log);
    }
    return c->r->crashed || (c->waiting == 0 && behind == 0);
}

static bool crowd_wait(struct crowd *c)
{
    if (!c->r->crashed) {
        assert_true(sim_run_until(c->r->sim, nobody_waits, c, 600000, 0));
    }
    c->durable_wanted = false;
    return !c->r->crashed;
}

static bool crowd_open(struct crowd *c)
{
    if (!rig_open_dir(c->r)) {
        return false;
    }
    if (c->few_files) {
        log_dir_limit_open_files(c->r->dir, FEW_FILES);
    }
    for (int i = 0; i < CROWD; i++) {
        struct member *m = &c->members[i];
        m->crowd = c;
        c->waiting++;
        m->log = log_open(c->r->dir, "many", i, &c->r->topic_id, &c->r->config, ENV_WORKER_APPEND,
                          ENV_WORKER_COMMIT, &silence, crowd_opened, m);
    }
    return crowd_wait(c);
}

static void member_append(struct crowd *c, int i, int32_t epoch)
{
    struct log_append_result result;
    struct buf *buf = rig_build(c->r, 1, 50, -1, 1000);
    log_begin_epoch(c->members[i].log, epoch);
    log_append_as_leader(c->members[i].log, buf, 0, buf->size, epoch, &result);
    assert_int_equal(result.error, 0);
    buf_unref(buf);
}

static void crowd_append(struct crowd *c, int32_t epoch)
{
    for (int i = 0; i < CROWD; i++) {
        member_append(c, i, epoch);
    }
    c->durable_wanted = true;
}

static bool crowd_close(struct crowd *c)
{
    for (int i = 0; i < CROWD; i++) {
        c->waiting++;
        log_close(c->members[i].log, crowd_closed, &c->members[i]);
    }
    if (!crowd_wait(c)) {
        return false;
    }
    for (int i = 0; i < CROWD; i++) {
        c->members[i].durable = log_durable_end(c->members[i].log);
        log_free(c->members[i].log);
        c->members[i].log = NULL;
    }
    return rig_close_dir(c->r);
}

/* What the crash left of the core. */
static void crowd_drop(struct crowd *c)
{
    for (int i = 0; i < CROWD; i++) {
        struct member *m = &c->members[i];
        if (m->log != NULL) {
            int64_t durable = log_durable_end(m->log);
            m->durable = durable > m->durable ? durable : m->durable;
            log_free(m->log);
            m->log = NULL;
        }
    }
    c->waiting = 0;
    c->durable_wanted = false;
}

static void crowd_check(struct crowd *c)
{
    assert_int_equal(c->failed, 0);
    for (int i = 0; i < CROWD; i++) {
        const struct member *m = &c->members[i];
        assert_true(log_end(m->log) >= m->durable);
        if (m->durable > 0) {
            assert_int_equal(log_epoch_at(m->log, m->durable - 1), m->durable);
        }
    }
}

/* Two lives that append to every log and stop; false when it crashed. */
static bool crowd_live(struct crowd *c)
{
    for (int32_t epoch = 1; epoch <= 2; epoch++) {
        if (!crowd_open(c)) {
            return false;
        }
        crowd_check(c);
        crowd_append(c, epoch);
        if (!crowd_wait(c) || !rig_run(c->r, 500) || !crowd_close(c)) {
            return false;
        }
    }
    return true;
}

static uint64_t crowd_once(uint64_t seed, uint64_t crash_at, enum sim_crash how)
{
    struct crowd c = {.r = rig_new(seed), .few_files = seed % 2 == 0};
    if (crash_at > 0) {
        rig_crash_at(c.r, crash_at, how);
    }
    if (!crowd_live(&c)) {
        crowd_drop(&c);
        rig_restart(c.r);
        assert_true(crowd_open(&c));
        crowd_check(&c);
        rig_crash(c.r, SIM_KILL);
        crowd_drop(&c);
    }
    uint64_t ops = sim_disk_ops(c.r->node);
    rig_free(c.r);
    return ops;
}

/* Nothing that was durable is lost, and every log opens, wherever it crashed: directories, epochs
 * and clean stops of many logs are synced together. */
static void test_crash_points_of_many(void **state)
{
    (void)state;
    uint64_t ops = crowd_once(1, 0, SIM_KILL);
    assert_true(ops > 10 * CROWD);
    for (uint64_t k = 1; k <= ops; k += 7) {
        crowd_once(k, k, k % 4 == 0 ? SIM_KILL : SIM_POWER);
    }
}

/* What a clean stop says is on the disk, of one log and of many, however it was synced before; and
 * the next stop, with nothing written in between, leaves it so. */
static void test_power_after_a_clean_stop(void **state)
{
    (void)state;
    for (uint64_t seed = 40; seed < 60; seed++) {
        struct crowd c = {.r = rig_new(seed)};
        c.r->config.flush_messages = seed % 2 == 0 ? 1 : INT64_MAX;
        assert_true(crowd_open(&c));
        crowd_append(&c, 1);
        c.durable_wanted = false;
        assert_true(crowd_close(&c));
        for (int again = 0; again < 2; again++) {
            rig_crash(c.r, SIM_POWER);
            rig_restart(c.r);
            assert_true(crowd_open(&c));
            assert_true(c.r->found.clean_shutdown);
            crowd_check(&c);
            assert_int_equal(log_end(c.members[0].log), 1);
            assert_true(crowd_close(&c));
        }
        rig_free(c.r);
        struct rig *r = opened_rig(seed);
        r->config.flush_messages = INT64_MAX;
        log_configure(r->log, &r->config);
        assert_int_equal(rig_append(r, 2, 1000, -1), 0);
        assert_true(rig_close(r));
        int64_t durable = r->durable;
        rig_crash(r, SIM_POWER);
        r->durable = durable;
        rig_restart(r);
        assert_true(rig_open(r));
        assert_true(log_end(r->log) == durable && rig_check(r));
        rig_free(r);
    }
}

static int files_open(const struct crowd *c)
{
    int open = 0;
    for (int i = 0; i < CROWD; i++) {
        const struct log *log = c->members[i].log;
        for (size_t k = 0; k < log->segment_count; k++) {
            open += log->segments[k]->file != NULL;
        }
    }
    return open;
}

/* More logs than files may be open: all are written and synced in turn, whether syncs are wanted at
 * once or never, and those who have a file open do not keep the others waiting. */
static void write_with_few_files(int64_t flush_messages)
{
    struct crowd c = {.r = rig_new(31), .few_files = true};
    c.r->config.flush_messages = flush_messages;
    assert_true(crowd_open(&c));
    for (int round = 0; round < 30; round++) {
        crowd_append(&c, 1);
        c.durable_wanted = false;
        if (round % 5 == 0) {
            assert_true(rig_run(c.r, 3000));
        } else {
            assert_true(rig_run(c.r, 1));
        }
        assert_true(files_open(&c) <= FEW_FILES);
    }
    assert_true(rig_run(c.r, 60000));
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(log_end(c.members[i].log), 30);
        assert_true(flush_messages > 1 || log_durable_end(c.members[i].log) == 30);
    }
    assert_true(crowd_close(&c));
    assert_int_equal(c.failed, 0);
    rig_free(c.r);
}

static void test_few_files(void **state)
{
    (void)state;
    write_with_few_files(1);
    write_with_few_files(INT64_MAX);
}

/* As many as may have a file open are never synced and at rest, or never at rest: one more is
 * written all the same. */
static void test_one_file_too_many(void **state)
{
    (void)state;
    for (int busy = 0; busy < 2; busy++) {
        struct crowd c = {.r = rig_new(32), .few_files = true};
        c.r->config.flush_messages = busy ? 1 : INT64_MAX;
        assert_true(crowd_open(&c));
        for (int round = 0; round < 300; round++) {
            for (int i = 0; i < FEW_FILES && (busy || round == 0); i++) {
                member_append(&c, i, 1);
            }
            if (round == 200) {
                member_append(&c, FEW_FILES, 1);
            }
            assert_true(rig_run(c.r, 1));
        }
        assert_int_equal(log_end(c.members[FEW_FILES].log), 1);
        assert_true(rig_run(c.r, 60000) && crowd_close(&c));
        rig_free(c.r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_with_the_first_record),
        cmocka_unit_test(test_deleted_before_it_was_made),
        cmocka_unit_test(test_appeared_meanwhile),
        cmocka_unit_test(test_killed_while_made_and_then_no_power),
        cmocka_unit_test(test_torn_index_at_the_recovery_point),
        cmocka_unit_test(test_power_after_a_clean_stop),
        cmocka_unit_test(test_few_files),
        cmocka_unit_test(test_one_file_too_many),
        cmocka_unit_test(test_crash_points_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
