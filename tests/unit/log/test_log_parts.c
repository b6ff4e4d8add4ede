/* The parts without a disk: indexes, epochs, producers, checkpoint texts, snapshot bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_internal.h"
#include "common/wire/kafka_error.h"

static void test_index_floor(void **state)
{
    (void)state;
    struct segment_index index = {0};
    index_add_offset(&index, 100, 109, 500);
    index_add_offset(&index, 100, 119, 900);
    assert_int_equal(index_floor(&index, 100, 100), 0);
    assert_int_equal(index_floor(&index, 100, 108), 0);
    assert_int_equal(index_floor(&index, 100, 109), 500);
    assert_int_equal(index_floor(&index, 100, 118), 500);
    assert_int_equal(index_floor(&index, 100, 5000), 900);
    index_add_time(&index, 100, 1000, 104);
    index_add_time(&index, 100, 1000, 109); /* not above */
    index_add_time(&index, 100, 2000, 115);
    assert_int_equal(index.time_count, 2);
    assert_int_equal(index_time_floor(&index, 100, 1000), 100);
    assert_int_equal(index_time_floor(&index, 100, 1001), 104);
    assert_int_equal(index_time_floor(&index, 100, 9999), 115);
    assert_true(index_full(&index, 16));
    assert_false(index_full(&index, 48));
    index_free(&index);
}

static void test_index_bytes(void **state)
{
    (void)state;
    static const uint8_t offset_bytes[] = {0, 0, 0, 9, 0, 0, 1, 0xf4, 0, 0, 0, 19, 0, 0, 3, 0x84};
    static const uint8_t time_bytes[] = {0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 4};
    struct segment_index index = {0};
    struct segment_index back = {0};
    struct bytes offsets = {0};
    struct bytes times = {0};
    index_add_offset(&index, 100, 109, 500);
    index_add_offset(&index, 100, 119, 900);
    index_add_time(&index, 100, 1000, 104);
    index_encode(&index, &offsets, &times);
    assert_int_equal(offsets.size, sizeof offset_bytes);
    assert_memory_equal(offsets.data, offset_bytes, sizeof offset_bytes);
    assert_int_equal(times.size, sizeof time_bytes);
    assert_memory_equal(times.data, time_bytes, sizeof time_bytes);
    assert_int_equal(index_decode(&back, &offsets, &times, 100, 2000, NULL), ERR_NONE);
    assert_int_equal(back.offset_count, 2);
    assert_int_equal(back.offsets[1].position, 900);
    index_free(&back);
    assert_int_equal(index_decode(&back, &offsets, &times, 100, 900, NULL), ERR_CORRUPT);
    offsets.data[11] = 9; /* not ascending */
    assert_int_equal(index_decode(&back, &offsets, &times, 100, 2000, NULL), ERR_CORRUPT);
    offsets.size--;
    assert_int_equal(index_decode(&back, &offsets, &times, 100, 2000, NULL), ERR_CORRUPT);
    bytes_free(&offsets);
    bytes_free(&times);
    index_free(&index);
}

static void check_end(const struct epochs *e, int32_t epoch, int32_t found, int64_t end)
{
    int32_t got_epoch = 0;
    int64_t got_end = 0;
    epochs_end_of(e, epoch, 100, &got_epoch, &got_end);
    assert_int_equal(got_epoch, found);
    assert_int_equal(got_end, end);
}

static void test_epochs(void **state)
{
    (void)state;
    struct epochs e = {0};
    check_end(&e, 3, -1, -1);
    assert_true(epochs_assign(&e, 2, 10));
    assert_false(epochs_assign(&e, 2, 15));
    assert_true(epochs_assign(&e, 5, 40));
    check_end(&e, 5, 5, 100);
    check_end(&e, 6, -1, -1);
    check_end(&e, 4, 2, 40);
    check_end(&e, 2, 2, 40);
    check_end(&e, 1, 1, 10);
    assert_int_equal(epochs_at(&e, 9), -1);
    assert_int_equal(epochs_at(&e, 39), 2);
    assert_int_equal(epochs_at(&e, 40), 5);
    assert_true(epochs_assign(&e, 6, 40)); /* 5 wrote nothing */
    assert_int_equal(e.count, 2);
    assert_true(epochs_truncate_start(&e, 20));
    assert_int_equal(e.entries[0].start_offset, 20);
    assert_true(epochs_truncate_end(&e, 40));
    assert_int_equal(epochs_last(&e), 2);
    struct bytes text = {0};
    epochs_format(&e, &text);
    assert_int_equal(text.size, 9);
    assert_memory_equal(text.data, "0\n1\n2 20\n", 9);
    struct epochs back = {0};
    assert_int_equal(epochs_parse(text.data, text.size, &back, NULL), ERR_NONE);
    assert_int_equal(back.count, 1);
    epochs_free(&back);
    assert_int_equal(epochs_parse("0\n2\n2 20\n2 30\n", 14, &back, NULL), ERR_CORRUPT);
    assert_int_equal(epochs_parse("", 0, &back, NULL), ERR_NONE); /* Kafka's before the first */
    assert_int_equal(back.count, 0);
    bytes_free(&text);
    epochs_free(&e);
}

static void test_checkpoint(void **state)
{
    (void)state;
    struct checkpoint c = {0};
    struct checkpoint back = {0};
    struct bytes text = {0};
    struct err_text why = {{0}};
    checkpoint_add(&c, "a.topic", 3, 17);
    checkpoint_add(&c, "b", 0, INT64_MAX);
    checkpoint_format(&c, &text);
    static const char expected[] = "0\n2\na.topic 3 17\nb 0 9223372036854775807\n";
    assert_int_equal(text.size, sizeof expected - 1);
    assert_memory_equal(text.data, expected, sizeof expected - 1);
    assert_int_equal(checkpoint_parse(text.data, text.size, &back, &why), ERR_NONE);
    assert_int_equal(back.count, 2);
    assert_string_equal(back.lines[0].topic, "a.topic");
    checkpoint_free(&back);
    assert_int_equal(checkpoint_parse("", 0, &back, &why), ERR_NONE); /* Kafka's before the first */
    assert_int_equal(back.count, 0);
    for (size_t cut = 1; cut + 1 < text.size; cut++) {
        enum err e = checkpoint_parse(text.data, cut, &back, &why);
        if (e == ERR_NONE) {
            /* Only a shorter last number can pass. */
            assert_true(cut > text.size - 20);
            checkpoint_free(&back);
        }
    }
    static const char *const bad[] = {
        "1\n0\n",  "0\n1\n", "0\n1\na b 3\n",     "0\n1\na 1 -3\n", "0\n0\na 1 3\n",
        "0\n-1\n", "\n",     "0\n1\na 1 3 4 x\n0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(checkpoint_parse(bad[i], strlen(bad[i]), &back, &why), ERR_CORRUPT);
        assert_non_null(strstr(why.text, "line "));
    }
    checkpoint_free(&c);
    bytes_free(&text);
}

static void test_meta(void **state)
{
    (void)state;
    static const char kafka[] =
        "#\n#Sun Nov 22 20:00:00 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n"
        "directory.id=AAAAAAAAAAAAAAAAAAAAKg\nnode.id=7\nversion=1\n";
    struct log_dir_meta meta;
    struct err_text text = {{0}};
    assert_int_equal(meta_parse(kafka, sizeof kafka - 1, &meta, &text), ERR_NONE);
    assert_int_equal(meta.node_id, 7);
    assert_string_equal(meta.cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
    struct uuid expected = uuid_from_number(42);
    assert_true(uuid_equal(&meta.directory_id, &expected));
    assert_int_equal(meta_parse("version=1\n", 10, &meta, &text), ERR_CORRUPT);
    assert_int_equal(meta_parse("node.id=x\n", 10, &meta, &text), ERR_CORRUPT);
    char topic[64];
    int32_t partition = 0;
    assert_true(partition_name_parse("a-b-12", topic, sizeof topic, &partition));
    assert_string_equal(topic, "a-b");
    assert_int_equal(partition, 12);
    assert_false(partition_name_parse("a-b", topic, sizeof topic, &partition));
    assert_false(partition_name_parse("t-0.abc-delete", topic, sizeof topic, &partition));
    assert_false(partition_name_parse("t-0.abc-stray", topic, sizeof topic, &partition));
    assert_int_equal(clean_shutdown_parse("{\"version\":0,\"brokerEpoch\":12}", 30), 12);
    assert_int_equal(clean_shutdown_parse("", 0), -1);
}

/* ---- producers ---- */

static struct producer_append batch_of(int64_t id, int16_t epoch, int32_t sequence, int32_t count,
                                       int64_t offset)
{
    return (struct producer_append){.id = id,
                                    .epoch = epoch,
                                    .first_sequence = sequence,
                                    .record_count = count,
                                    .first_offset = offset,
                                    .last_offset = offset + count - 1,
                                    .timestamp = 1000 + offset};
}

static int16_t check(struct producers *p, struct producer_append a, bool *duplicate)
{
    const struct producer_batch *known = NULL;
    int16_t error = producers_check(p, &a, &known);
    *duplicate = known != NULL;
    return error;
}

static void update(struct producers *p, struct producer_append a)
{
    producers_update(p, &a);
}

static void test_producer_rules(void **state)
{
    (void)state;
    struct producers p = {0};
    bool duplicate = false;
    assert_int_equal(check(&p, batch_of(1, 0, 50, 2, 0), &duplicate), KAFKA_NONE);
    for (int i = 0; i < 7; i++) {
        update(&p, batch_of(1, 3, i * 2, 2, i * 2));
    }
    assert_int_equal(check(&p, batch_of(1, 3, 14, 1, 14), &duplicate), KAFKA_NONE);
    assert_false(duplicate);
    assert_int_equal(check(&p, batch_of(1, 3, 12, 2, 14), &duplicate), KAFKA_NONE);
    assert_true(duplicate);
    assert_int_equal(check(&p, batch_of(1, 3, 4, 2, 14), &duplicate), KAFKA_NONE);
    assert_true(duplicate);
    assert_int_equal(check(&p, batch_of(1, 3, 2, 2, 14), &duplicate),
                     KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER); /* the sixth last is forgotten */
    assert_int_equal(check(&p, batch_of(1, 3, 15, 1, 14), &duplicate),
                     KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(check(&p, batch_of(1, 2, 14, 1, 14), &duplicate),
                     KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(check(&p, batch_of(1, 4, 14, 1, 14), &duplicate),
                     KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(check(&p, batch_of(1, 4, 0, 1, 14), &duplicate), KAFKA_NONE);
    update(&p, batch_of(2, 0, INT32_MAX - 1, 2, 20));
    assert_int_equal(check(&p, batch_of(2, 0, 0, 1, 22), &duplicate), KAFKA_NONE);
    assert_int_equal(check(&p, batch_of(2, 0, 1, 1, 22), &duplicate),
                     KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    producers_expire(&p, 1020);
    assert_int_equal(producers_count(&p), 1);
    producers_free(&p);
}

static void test_producer_truncate(void **state)
{
    (void)state;
    struct producers p = {0};
    bool duplicate = false;
    for (int i = 0; i < 4; i++) {
        update(&p, batch_of(1, 0, i, 1, i));
    }
    assert_true(producers_truncate(&p, 2));
    assert_int_equal(check(&p, batch_of(1, 0, 2, 1, 2), &duplicate), KAFKA_NONE);
    assert_false(duplicate);
    for (int i = 2; i < 12; i++) {
        update(&p, batch_of(1, 0, i, 1, i));
    }
    assert_false(producers_truncate(&p, 5)); /* five are kept: 7 to 11 */
    assert_int_equal(producers_count(&p), 0);
    update(&p, batch_of(9, 0, 0, 1, 20));
    assert_true(producers_truncate(&p, 20));
    assert_int_equal(producers_count(&p), 0);
    producers_free(&p);
}

static void test_snapshot_bytes(void **state)
{
    (void)state;
    /* version 1, CRC, 1 entry: id 1000, epoch 2, sequence 9, offset 99, delta 4, time 5000, -1, -1
     */
    static const uint8_t body[] = {
        0, 0, 0,    1,    0,    0,    0,    0,    0,    0,    3,    0xe8, 0,    2,    0,    0,   0,
        9, 0, 0,    0,    0,    0,    0,    0,    99,   0,    0,    0,    4,    0,    0,    0,   0,
        0, 0, 0x13, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct producers p = {0};
    struct bytes out = {0};
    struct producer_append a = batch_of(1000, 2, 5, 5, 95);
    a.timestamp = 5000;
    producers_update(&p, &a);
    producers_snapshot(&p, &out);
    assert_int_equal(out.size, 6 + sizeof body);
    assert_int_equal(out.data[1], 1);
    assert_memory_equal(out.data + 6, body, sizeof body);
    struct producers back = {0};
    assert_int_equal(producers_restore(&back, out.data, out.size, NULL), ERR_NONE);
    bool duplicate = false;
    assert_int_equal(check(&back, batch_of(1000, 2, 5, 5, 100), &duplicate), KAFKA_NONE);
    assert_true(duplicate);
    assert_int_equal(check(&back, batch_of(1000, 2, 10, 5, 100), &duplicate), KAFKA_NONE);
    assert_false(duplicate);
    producers_free(&back);
    for (size_t i = 0; i < out.size; i++) {
        out.data[i] ^= 4;
        assert_int_not_equal(producers_restore(&back, out.data, out.size, NULL), ERR_NONE);
        out.data[i] ^= 4;
        assert_int_not_equal(producers_restore(&back, out.data, i, NULL), ERR_NONE);
    }
    bytes_free(&out);
    producers_free(&p);
}

/* A producer may have five batches unanswered: it repeats them all after a restart. */
static void test_snapshot_keeps_five(void **state)
{
    (void)state;
    struct producers p = {0};
    struct producers back = {0};
    struct bytes out = {0};
    bool duplicate = false;
    for (int i = 0; i < 7; i++) {
        update(&p, batch_of(1000, 2, i * 5, 5, i * 5));
    }
    producers_snapshot(&p, &out);
    assert_int_equal(producers_restore(&back, out.data, out.size, NULL), ERR_NONE);
    assert_int_equal(producers_count(&back), 1);
    for (int i = 2; i < 7; i++) {
        assert_int_equal(check(&back, batch_of(1000, 2, i * 5, 5, 100), &duplicate), KAFKA_NONE);
        assert_true(duplicate);
    }
    assert_int_equal(check(&back, batch_of(1000, 2, 5, 5, 100), &duplicate),
                     KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(check(&back, batch_of(1000, 2, 35, 5, 100), &duplicate), KAFKA_NONE);
    assert_false(duplicate);
    bytes_free(&out);
    producers_free(&back);
    producers_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_floor),
        cmocka_unit_test(test_index_bytes),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_meta),
        cmocka_unit_test(test_producer_rules),
        cmocka_unit_test(test_producer_truncate),
        cmocka_unit_test(test_snapshot_bytes),
        cmocka_unit_test(test_snapshot_keeps_five),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
