/* What a log does when nothing crashes, and what it says when the disk does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/kafka_error.h"
#include "tests/unit/log/rig.h"

#define SEGMENT_0 "/data/logs/topic-3/00000000000000000000.log"

static void fill(struct rig *r, int batches)
{
    for (int i = 0; i < batches; i++) {
        assert_int_equal(rig_append(r, 2, 100, i % RIG_PRODUCERS), 0);
    }
}

static struct rig *opened_rig(uint64_t seed)
{
    struct rig *r = rig_new(seed);
    assert_true(rig_open(r));
    assert_true(r->opened.created);
    log_begin_epoch(r->log, 0);
    return r;
}

static void test_ends(void **state)
{
    (void)state;
    struct rig *r = opened_rig(1);
    fill(r, 3);
    assert_int_equal(log_assigned_end(r->log), 6);
    assert_int_equal(log_end(r->log), 0);
    assert_true(rig_wait_written(r));
    assert_int_equal(log_durable_end(r->log), 0);
    assert_true(rig_wait_durable(r));
    assert_true(rig_run(r, 10));
    assert_int_equal(r->written_news, 1); /* one write for the turn */
    assert_int_equal(r->durable_news, 1);
    assert_true(rig_check_exact(r));
    rig_free(r);
}

static void test_no_sync_by_default_of_kafka(void **state)
{
    (void)state;
    struct rig *r = rig_new(2);
    r->config.flush_messages = INT64_MAX;
    assert_true(rig_open(r));
    fill(r, 3);
    assert_true(rig_run(r, 100000));
    assert_int_equal(log_durable_end(r->log), 0);
    r->config.flush_messages = 100;
    r->config.flush_ms = 500;
    log_configure(r->log, &r->config);
    assert_true(rig_run(r, 400));
    assert_int_equal(log_durable_end(r->log), 0);
    assert_true(rig_run(r, 200));
    assert_int_equal(log_durable_end(r->log), 6);
    rig_free(r);
}

static struct buf *copy_of(const struct rig *r, size_t at)
{
    return buf_copy(r->model.items[at].bytes->data, r->model.items[at].bytes->size);
}

static int16_t offer_to(struct log *log, struct buf *buf, int32_t epoch,
                        struct log_append_result *result)
{
    log_append_as_leader(log, buf, 0, buf->size, epoch, result);
    buf_unref(buf);
    return result->error;
}

static int16_t offer(struct rig *r, struct buf *buf, struct log_append_result *result)
{
    return offer_to(r->log, buf, r->epoch, result);
}

static void test_refusals(void **state)
{
    (void)state;
    struct rig *r = opened_rig(3);
    struct log_append_result result;
    fill(r, 1);
    struct buf *bad = copy_of(r, 0);
    bad->data[70] ^= 1;
    assert_int_equal(offer(r, bad, &result), KAFKA_CORRUPT_MESSAGE);
    bad = copy_of(r, 0);
    bad->size -= 1;
    assert_int_equal(offer(r, bad, &result), KAFKA_CORRUPT_MESSAGE);
    bad = copy_of(r, 0);
    bad->data[16] = 1; /* magic */
    assert_int_equal(offer(r, bad, &result), KAFKA_INVALID_RECORD);
    assert_int_equal(rig_append(r, 4, 1100, -1), KAFKA_RECORD_LIST_TOO_LARGE);
    r->config.max_message_bytes = 1000;
    log_configure(r->log, &r->config);
    assert_int_equal(rig_append(r, 4, 1100, -1), KAFKA_MESSAGE_TOO_LARGE);
    assert_int_equal(rig_append(r, 1, 1100, -1), KAFKA_MESSAGE_TOO_LARGE);
    assert_int_equal(log_assigned_end(r->log), 2);
    r->config.timestamp_after_max_ms = 1000;
    r->config.timestamp_before_max_ms = 1000;
    log_configure(r->log, &r->config);
    int64_t now = env_wall_ms(r->env);
    assert_int_equal(rig_append_at(r, 1, 10, -1, now + 1001), KAFKA_INVALID_TIMESTAMP);
    assert_int_equal(rig_append_at(r, 1, 10, -1, now - 1001), KAFKA_INVALID_TIMESTAMP);
    assert_int_equal(rig_append_at(r, 1, 10, -1, now + 1000), 0);
    r->next_sequence[0] += 5;
    assert_int_equal(rig_append(r, 1, 10, 0), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    rig_free(r);
}

static void test_duplicates(void **state)
{
    (void)state;
    struct rig *r = opened_rig(4);
    struct log_append_result result;
    fill(r, 8);
    /* One still on its way to the disk, one long there, one that was read back from a snapshot. */
    assert_int_equal(offer(r, copy_of(r, 7), &result), 0);
    assert_true(result.duplicate);
    assert_int_equal(result.base_offset, 14);
    assert_int_equal(log_assigned_end(r->log), 16);
    assert_true(rig_wait_durable(r));
    assert_int_equal(offer(r, copy_of(r, 3), &result), 0);
    assert_true(result.duplicate);
    assert_int_equal(result.base_offset, 6);
    assert_true(rig_close(r) && rig_open(r));
    assert_int_equal(offer(r, copy_of(r, 7), &result), 0);
    assert_true(result.duplicate);
    assert_int_equal(result.base_offset, 14);
    assert_int_equal(result.last_offset, 15);
    rig_free(r);
}

/* A repeat of a batch that was cut must be taken, not answered as a duplicate. */
static void test_cut_forgets_producers(void **state)
{
    (void)state;
    struct rig *r = opened_rig(5);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(rig_append(r, 1, 100, 0), 0);
    }
    assert_true(rig_wait_durable(r));
    struct log_append_result result;
    struct buf *again = copy_of(r, 6);
    rig_truncate(r, 6);
    assert_int_equal(offer(r, copy_of(r, 5), &result), KAFKA_KAFKA_STORAGE_ERROR);
    assert_true(rig_run(r, 100));
    assert_int_equal(offer(r, copy_of(r, 5), &result), 0);
    assert_true(result.duplicate);
    assert_int_equal(offer(r, again, &result), 0);
    assert_false(result.duplicate);
    assert_int_equal(result.base_offset, 6);
    rig_free(r);
}

static void on_lookup(struct log_lookup *lookup)
{
    ((struct rig *)lookup->ctx)->answered = true;
}

static int64_t look_up(struct rig *r, int64_t timestamp_ms, int64_t limit)
{
    struct log_lookup lookup = {
        .timestamp_ms = timestamp_ms, .limit_offset = limit, .done = on_lookup, .ctx = r};
    r->answered = false;
    log_lookup(r->log, &lookup);
    assert_true(rig_run(r, 1000));
    assert_true(r->answered);
    assert_int_equal(lookup.error, ERR_NONE);
    return lookup.offset;
}

static void test_lookup(void **state)
{
    (void)state;
    struct rig *r = opened_rig(6);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(rig_append_at(r, 3, 100, -1, 1000 + i * 10), 0);
    }
    assert_true(rig_wait_durable(r) && rig_run(r, 1000));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(look_up(r, 0, INT64_MAX), 0);
        for (int i = 0; i < 60; i++) {
            assert_int_equal(look_up(r, 1000 + i * 10, INT64_MAX), i * 3);
            assert_int_equal(look_up(r, 1001 + i * 10, INT64_MAX), i * 3 + 1);
            assert_int_equal(look_up(r, 1003 + i * 10, INT64_MAX), i == 59 ? -1 : i * 3 + 3);
        }
        assert_int_equal(look_up(r, 1590, 177), -1);
        assert_int_equal(look_up(r, LOG_MAX_TIMESTAMP, INT64_MAX), 179);
        assert_int_equal(look_up(r, LOG_MAX_TIMESTAMP, 150), 149);
        assert_true(rig_close(r) && rig_open(r));
    }
    rig_free(r);
}

static void test_retention(void **state)
{
    (void)state;
    struct rig *r = rig_new(7);
    r->config.retention_ms = 10000;
    r->config.file_delete_delay_ms = 500;
    assert_true(rig_open(r));
    fill(r, 40);
    assert_true(rig_wait_durable(r) && rig_run(r, 20000));
    log_tend(r->log, 10);
    assert_int_equal(log_start(r->log), 0); /* nothing whole below the high watermark */
    log_tend(r->log, log_end(r->log));
    assert_int_equal(log_start(r->log), log_end(r->log));
    assert_true(rig_run(r, 300));
    assert_false(sim_disk_exists(r->node, SEGMENT_0));
    assert_true(sim_disk_exists(r->node, SEGMENT_0 ".deleted"));
    assert_true(rig_run(r, 2000));
    assert_false(sim_disk_exists(r->node, SEGMENT_0 ".deleted"));
    assert_int_equal(log_bytes(r->log), 0);
    int64_t end = log_end(r->log);
    rig_crash(r, SIM_POWER);
    rig_restart(r);
    assert_true(rig_open(r));
    assert_int_equal(log_end(r->log), end);
    assert_int_equal(log_start(r->log), end);
    r->config.retention_ms = -1;
    r->config.retention_bytes = 9000;
    log_configure(r->log, &r->config);
    r->epoch++;
    for (int i = 0; i < 80; i++) {
        assert_int_equal(rig_append(r, 2, 100, -1), 0);
    }
    assert_true(rig_wait_durable(r) && rig_run(r, 100));
    log_tend(r->log, log_end(r->log));
    assert_true(rig_run(r, 2000));
    assert_true(log_bytes(r->log) >= 9000 && log_bytes(r->log) < 13000);
    assert_true(rig_check_exact(r));
    rig_free(r);
}

/* A bit that flips below what was promised stops the opening, names the place and changes nothing.
 */
static void test_corruption_is_not_a_torn_tail(void **state)
{
    (void)state;
    struct rig *r = opened_rig(8);
    fill(r, 10);
    assert_true(rig_wait_durable(r));
    log_note_high_watermark(r->log, log_end(r->log));
    assert_true(rig_run(r, 6000));
    int64_t last = r->model.items[9].base;
    rig_crash(r, SIM_KILL);
    struct bytes before = {0};
    assert_true(sim_disk_get(r->node, SEGMENT_0, &before));
    assert_true(sim_disk_flip(r->node, SEGMENT_0, (int64_t)before.size - 20, 8));
    rig_restart(r);
    assert_false(rig_open(r));
    assert_int_equal(r->error, ERR_CORRUPT);
    char offset[64];
    snprintf(offset, sizeof offset, "at offset %lld", (long long)last);
    assert_non_null(strstr(r->text.text, SEGMENT_0));
    assert_non_null(strstr(r->text.text, offset));
    struct bytes after = {0};
    assert_true(sim_disk_get(r->node, SEGMENT_0, &after));
    assert_int_equal(after.size, before.size);
    bytes_free(&before);
    bytes_free(&after);
    rig_free(r);
}

static void on_other(void *ctx, struct log *log, const struct log_opened *opened)
{
    (void)log;
    assert_int_equal(opened->error, ERR_NONE);
    *(bool *)ctx = true;
}

/* The same found by a reader: that log fails, by name, and the others go on. */
static void test_damage_is_found_by_reading(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct rig *r = opened_rig(20);
        bool other_open = false;
        static const struct log_events none = {0};
        fill(r, 30);
        assert_true(rig_wait_durable(r) && rig_close(r) && rig_open(r)); /* nothing is hot */
        struct log *other =
            log_open(r->dir, "other", 0, &r->topic_id, &r->config, ENV_WORKER_APPEND,
                     ENV_WORKER_COMMIT, &none, on_other, &other_open);
        assert_true(rig_run(r, 100) && other_open);
        /* A length, a byte of the records, the time a lookup is for. */
        int64_t batch = r->model.items[4].base;
        int64_t at = 4 * (int64_t)r->model.items[0].bytes->size;
        assert_true(sim_disk_flip(r->node, SEGMENT_0,
                                  at + (round == 0   ? 9
                                        : round == 1 ? 80
                                                     : 16),
                                  0x10));
        int64_t next = 0;
        struct buf *bytes = rig_read(r, 0, 100000, &next);
        assert_int_equal(r->error, ERR_NONE); /* as far as it is good */
        assert_int_equal(next, batch);
        buf_unref(bytes);
        assert_null(rig_read(r, next, 100000, &next));
        assert_int_equal(r->error, ERR_CORRUPT);
        char offset[64];
        snprintf(offset, sizeof offset, "at offset %lld", (long long)batch);
        assert_non_null(strstr(r->text.text, SEGMENT_0));
        assert_non_null(strstr(r->text.text, offset));
        assert_true(rig_run(r, 10));
        assert_int_equal(r->failed_news, 1);
        assert_true(log_failed(r->log));
        assert_false(log_dir_failed(r->dir) || log_failed(other));
        assert_int_equal(rig_append(r, 1, 10, -1), KAFKA_KAFKA_STORAGE_ERROR);
        struct log_append_result result;
        assert_int_equal(offer_to(other, copy_of(r, 0), 0, &result), 0);
        assert_true(rig_run(r, 1000));
        assert_int_equal(log_durable_end(other), 2);
        log_free(other);
        rig_free(r);
    }
}

/* Cut at every byte of the last batches: the log ends at the last whole one. */
static void test_torn_tail(void **state)
{
    (void)state;
    struct rig *r = opened_rig(9);
    fill(r, 6);
    assert_true(rig_wait_durable(r));
    rig_crash(r, SIM_KILL);
    struct bytes whole = {0};
    assert_true(sim_disk_get(r->node, SEGMENT_0, &whole));
    size_t ends[7] = {0};
    for (int i = 0; i < 6; i++) {
        ends[i + 1] = ends[i] + r->model.items[i].bytes->size;
    }
    assert_int_equal(ends[6], whole.size);
    for (size_t cut = ends[3]; cut <= whole.size; cut++) {
        sim_disk_put(r->node, SEGMENT_0, whole.data, cut);
        rig_restart(r);
        assert_true(rig_open(r));
        int full = cut == ends[6] ? 6 : cut >= ends[5] ? 5 : cut >= ends[4] ? 4 : 3;
        assert_int_equal(log_end(r->log), full * 2);
        assert_int_equal(r->opened.cut_bytes, cut - ends[full]);
        rig_crash(r, SIM_KILL);
    }
    bytes_free(&whole);
    rig_free(r);
}

static void test_failed_disk(unsigned ops, enum err error)
{
    struct rig *r = opened_rig(10);
    fill(r, 3);
    assert_true(rig_wait_durable(r));
    sim_disk_fail(r->node, ops, ".log", 1, error, false);
    fill(r, 2);
    int64_t durable = log_durable_end(r->log);
    assert_true(rig_run(r, 1000));
    assert_int_equal(r->failed_news, 1);
    assert_true(log_failed(r->log) && log_dir_failed(r->dir));
    assert_int_equal(log_durable_end(r->log), durable);
    assert_int_equal(log_assigned_end(r->log), log_end(r->log));
    assert_int_equal(rig_append(r, 1, 10, -1), KAFKA_KAFKA_STORAGE_ERROR);
    r->durable = durable;
    assert_false(rig_close(r)); /* says so, and leaves no clean marker */
    rig_crash(r, SIM_POWER);
    r->durable = durable;
    rig_restart(r);
    assert_true(rig_open(r));
    assert_false(r->found.clean_shutdown);
    assert_true(rig_check(r));
    rig_free(r);
}

static void test_failures(void **state)
{
    (void)state;
    test_failed_disk(1U << SIM_WRITE, ERR_IO);
    test_failed_disk(1U << SIM_SYNC, ERR_IO);
}

/* DeleteRecords in the middle of a segment is on disk with the next checkpoint. */
static void test_start_is_kept(void **state)
{
    (void)state;
    struct rig *r = opened_rig(13);
    fill(r, 5);
    assert_true(rig_wait_durable(r) && rig_run(r, 61000));
    log_advance_start(r->log, 4);
    assert_true(rig_run(r, 61000));
    rig_crash(r, SIM_POWER);
    rig_restart(r);
    assert_true(rig_open(r));
    assert_int_equal(log_start(r->log), 4);
    assert_true(rig_check(r));
    rig_free(r);
}

/* Without a sync the high watermark may run ahead of the disk; the checkpoint must not promise it.
 */
static void test_high_watermark_is_no_promise(void **state)
{
    (void)state;
    struct rig *r = rig_new(15);
    r->config.flush_messages = INT64_MAX;
    assert_true(rig_open(r));
    fill(r, 10);
    assert_true(rig_wait_written(r));
    log_note_high_watermark(r->log, log_end(r->log));
    assert_true(rig_run(r, 6000));
    rig_crash(r, SIM_POWER);
    sim_disk_put(r->node, SEGMENT_0, "", 0);
    rig_restart(r);
    assert_true(rig_open(r));
    assert_true(rig_check(r));
    rig_free(r);
}

static void test_compacted_and_append_time(void **state)
{
    (void)state;
    struct rig *r = rig_new(14);
    r->config.compacted = true;
    r->config.log_append_time = true;
    assert_true(rig_open(r));
    struct batch_builder b;
    struct log_append_result result;
    for (int with_key = 0; with_key < 2; with_key++) {
        struct bytes out = {0};
        batch_builder_init(&b);
        b.codec = BATCH_ZSTD;
        struct wire_bytes key = {.data = (const uint8_t *)"k", .size = with_key ? 1 : -1};
        struct wire_bytes value = {.data = (const uint8_t *)"v", .size = 1};
        batch_builder_add(&b, 5, key, value, NULL, 0);
        assert_int_equal(batch_build(&b, &out, NULL), ERR_NONE);
        struct buf *buf = buf_copy(out.data, out.size);
        log_append_as_leader(r->log, buf, 0, buf->size, 0, &result);
        assert_int_equal(result.error, with_key ? KAFKA_NONE : KAFKA_INVALID_RECORD);
        if (with_key) {
            struct batch parsed;
            assert_int_equal(result.append_time_ms, env_wall_ms(r->env));
            assert_int_equal(batch_parse(buf->data, buf->size, &parsed, NULL), ERR_NONE);
            assert_true(batch_crc_ok(buf->data, &parsed));
            assert_int_equal(parsed.max_timestamp, result.append_time_ms);
            assert_true((parsed.attributes & BATCH_LOG_APPEND_TIME) != 0);
        }
        buf_unref(buf);
        batch_builder_free(&b);
        bytes_free(&out);
    }
    rig_free(r);
}

static void on_deleted(void *ctx, enum err error)
{
    struct rig *r = ctx;
    assert_int_equal(error, ERR_NONE);
    r->answered = true;
    r->log = NULL;
}

static void test_delete_and_again(void **state)
{
    (void)state;
    struct rig *r = opened_rig(12);
    fill(r, 30);
    r->answered = false;
    log_delete(r->log, on_deleted, r);
    assert_true(rig_run(r, 1000));
    assert_true(r->answered);
    assert_false(sim_disk_exists(r->node, "/data/logs/topic-3"));
    r->topic_id = uuid_from_number(78);
    assert_true(rig_open_log(r));
    assert_true(r->opened.created);
    assert_int_equal(log_end(r->log), 0);
    rig_forget(r);
    fill(r, 1);
    assert_true(rig_run(r, 70000));
    assert_true(rig_close(r));
    r->topic_id = uuid_from_number(79);
    assert_false(rig_open(r));
    assert_int_equal(r->error, ERR_STALE);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_no_sync_by_default_of_kafka),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_cut_forgets_producers),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_retention),
        cmocka_unit_test(test_corruption_is_not_a_torn_tail),
        cmocka_unit_test(test_damage_is_found_by_reading),
        cmocka_unit_test(test_torn_tail),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_start_is_kept),
        cmocka_unit_test(test_high_watermark_is_no_promise),
        cmocka_unit_test(test_compacted_and_append_time),
        cmocka_unit_test(test_delete_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
