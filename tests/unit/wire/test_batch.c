/* Record batches against bytes that Apache Kafka 4.3.1's MemoryRecordsBuilder wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/batch.h"
#include "common/wire/kafka_error.h"
#include "tests/unit/wire/hex.h"

enum { LIMIT_BYTES = 1 << 20 };

/* Offset 100, leader epoch 3, producer 7 epoch 2 sequence 5, transactional; records at times 1000,
 * 1005 and 900: k=hello with headers h=v and n=null, null=null, ""=40 times a. */
static const char *const plain_head = "0000000000000064 0000007c 00000003 02 6edb886c 0010 00000002"
                                      "00000000000003e8 00000000000003ed 0000000000000007 0002"
                                      "00000005 00000003";
static const char *const plain_records =
    "26 00 00 00 026b 0a68656c6c6f 04 0268 0276 026e 01 0c 00 0a 02 01 01 00 5e 00 c701 04 00 50"
    "61616161616161616161616161616161616161616161616161616161616161616161616161616161 00";

static const char *const packed[] = {
    [BATCH_GZIP] = "00000000000000640000006b0000000302459880de001100000002000000000000"
                   "03e800000000000003ed0000000000000007000200000005000000031f8b080000"
                   "00000000ff5363606060cae6ca48cdc9c96761ca602a63ca63e461e06262646488"
                   "6338cec8c21090482460000040232a1f4b000000",
    [BATCH_SNAPPY] = "00000000000000640000007100000003027681bc12001200000002000000000000"
                     "03e800000000000003ed00000000000000070002000000050000000382534e4150"
                     "50590000000001000000010000002c4b9026000000026b0a68656c6c6f04026802"
                     "76026e010c000a020101005e00c7010400506161619202000000",
    [BATCH_LZ4] = "00000000000000640000006e000000030213f58ea1001300000002000000000000"
                  "03e800000000000003ed0000000000000007000200000005000000030422"
                  "4d186040822e000000ff1426000000026b0a68656c6c6f0402680276026e010c00"
                  "0a020101005e00c7010400506101001050616161610000000000",
    [BATCH_ZSTD] = "0000000000000064000000680000000302f0edd78c001400000002000000000000"
                   "03e800000000000003ed00000000000000070002000000050000000328b52ffd00"
                   "585c0100440226000000026b0a68656c6c6f0402680276026e010c000a02010100"
                   "5e00c70104005061000100538227010000",
};

static const char *const commit_marker =
    "000000000000002a 00000042 00000003 02 9d662276 0030 00000000 00000000000004d2"
    "00000000000004d2 0000000000000007 0002 ffffffff 00000001 20 00 00 00 08 00000001"
    "0c 000000000009 00";

static struct wire_bytes text_bytes(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, text == NULL ? -1 : (int32_t)strlen(text)};
}

static void assert_text(struct wire_bytes bytes, const char *want)
{
    assert_int_equal(bytes.size, want == NULL ? -1 : (int32_t)strlen(want));
    if (bytes.size > 0) {
        assert_memory_equal(bytes.data, want, (size_t)bytes.size);
    }
}

static struct bytes plain_bytes(void)
{
    struct bytes all = hex_bytes(plain_head);
    struct bytes records = hex_bytes(plain_records);
    bytes_append(&all, records.data, records.size);
    bytes_free(&records);
    return all;
}

/* The three records, as every codec must give them back. */
static void assert_records(const uint8_t *data, size_t size)
{
    struct record_walk walk;
    struct record r;
    struct record_header h;
    char many[41] = {0};
    memset(many, 'a', 40);
    assert_int_equal(record_walk_init(&walk, data, size, LIMIT_BYTES, NULL), ERR_NONE);
    assert_true(record_walk_next(&walk, &r));
    assert_int_equal(r.offset, 100);
    assert_int_equal(r.timestamp, 1000);
    assert_text(r.key, "k");
    assert_text(r.value, "hello");
    assert_int_equal(r.header_count, 2);
    assert_true(record_next_header(&r, &h));
    assert_true(wire_str_is(h.key, "h"));
    assert_text(h.value, "v");
    assert_true(record_next_header(&r, &h));
    assert_true(wire_str_is(h.key, "n"));
    assert_text(h.value, NULL);
    assert_false(record_next_header(&r, &h));
    assert_true(record_walk_next(&walk, &r));
    assert_int_equal(r.offset, 101);
    assert_int_equal(r.timestamp, 1005);
    assert_text(r.key, NULL);
    assert_text(r.value, NULL);
    assert_true(record_walk_next(&walk, &r));
    assert_int_equal(r.offset, 102);
    assert_int_equal(r.timestamp, 900);
    assert_text(r.key, "");
    assert_text(r.value, many);
    assert_false(record_walk_next(&walk, &r));
    assert_int_equal(walk.in.error, ERR_NONE);
    record_walk_free(&walk);
}

static void assert_header(const struct batch *b, enum batch_codec codec)
{
    assert_int_equal(b->base_offset, 100);
    assert_int_equal(b->partition_leader_epoch, 3);
    assert_int_equal(b->magic, 2);
    assert_int_equal(b->attributes, BATCH_TRANSACTIONAL | (int)codec);
    assert_int_equal(batch_codec(b), codec);
    assert_int_equal(b->last_offset_delta, 2);
    assert_int_equal(b->base_timestamp, 1000);
    assert_int_equal(b->max_timestamp, 1005);
    assert_int_equal(b->producer_id, 7);
    assert_int_equal(b->producer_epoch, 2);
    assert_int_equal(b->base_sequence, 5);
    assert_int_equal(b->records_count, 3);
    assert_int_equal(batch_last_offset(b), 102);
    assert_int_equal(batch_next_offset(b), 103);
    assert_int_equal(batch_last_sequence(b), 7);
}

static void test_reads_kafkas(void **state)
{
    (void)state;
    for (enum batch_codec codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        struct bytes bytes = codec == BATCH_NONE ? plain_bytes() : hex_bytes(packed[codec]);
        struct batch b;
        assert_int_equal(batch_parse(bytes.data, bytes.size, &b, NULL), ERR_NONE);
        assert_int_equal(b.size, bytes.size);
        assert_header(&b, codec);
        assert_true(batch_crc_ok(bytes.data, &b));
        const char *message;
        assert_int_equal(batch_check_produced(&b, &message), KAFKA_NONE);
        assert_null(message);
        assert_records(bytes.data, bytes.size);
        bytes_free(&bytes);
    }
}

static void test_control_batch(void **state)
{
    (void)state;
    struct bytes bytes = hex_bytes(commit_marker);
    struct batch b;
    struct record_walk walk;
    struct record r;
    assert_int_equal(batch_parse(bytes.data, bytes.size, &b, NULL), ERR_NONE);
    assert_true(batch_crc_ok(bytes.data, &b));
    assert_int_equal(b.attributes, BATCH_TRANSACTIONAL | BATCH_CONTROL);
    assert_int_equal(batch_last_sequence(&b), -1);
    assert_int_equal(record_walk_init(&walk, bytes.data, bytes.size, 0, NULL), ERR_NONE);
    assert_true(record_walk_next(&walk, &r));
    assert_int_equal(record_control_type(r.key), CONTROL_COMMIT);
    assert_int_equal(record_control_type((struct wire_bytes){r.key.data, 3}), -1);
    assert_int_equal(record_control_type((struct wire_bytes){NULL, -1}), -1);
    record_walk_free(&walk);
    bytes_free(&bytes);
}

/* ---- building ---- */

static void add_three(struct batch_builder *b)
{
    char many[41] = {0};
    memset(many, 'a', 40);
    const struct record_header headers[] = {{wire_str("h"), text_bytes("v")},
                                            {wire_str("n"), text_bytes(NULL)}};
    batch_builder_add(b, 1000, text_bytes("k"), text_bytes("hello"), headers, 2);
    batch_builder_add(b, 1005, text_bytes(NULL), text_bytes(NULL), NULL, 0);
    batch_builder_add(b, 900, text_bytes(""), text_bytes(many), NULL, 0);
}

static struct batch_builder transactional(enum batch_codec codec)
{
    struct batch_builder b;
    batch_builder_init(&b);
    b.base_offset = 100;
    b.leader_epoch = 3;
    b.flags = BATCH_TRANSACTIONAL;
    b.codec = codec;
    b.producer_id = 7;
    b.producer_epoch = 2;
    b.base_sequence = 5;
    return b;
}

static void test_builds_as_kafka_does(void **state)
{
    (void)state;
    struct batch_builder b = transactional(BATCH_NONE);
    struct bytes out = {0};
    bytes_append(&out, "before", 6);
    add_three(&b);
    size_t foretold = batch_builder_size(&b);
    assert_int_equal(batch_build(&b, &out, NULL), ERR_NONE);
    assert_int_equal(out.size, 6 + foretold);
    struct bytes want = plain_bytes();
    assert_int_equal(foretold, want.size);
    assert_memory_equal(out.data, "before", 6);
    assert_memory_equal(out.data + 6, want.data, want.size);

    /* The builder is empty again and gives the same once more. */
    assert_int_equal(batch_builder_size(&b), BATCH_HEADER_BYTES);
    add_three(&b);
    assert_int_equal(batch_build(&b, &out, NULL), ERR_NONE);
    assert_int_equal(out.size, 6 + 2 * want.size);
    assert_memory_equal(out.data + 6 + want.size, want.data, want.size);
    bytes_free(&want);
    bytes_free(&out);
    batch_builder_free(&b);
}

static void test_builds_with_every_codec(void **state)
{
    (void)state;
    for (enum batch_codec codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        struct batch_builder b = transactional(codec);
        struct bytes out = {0};
        struct batch parsed;
        add_three(&b);
        assert_int_equal(batch_build(&b, &out, NULL), ERR_NONE);
        assert_int_equal(batch_parse(out.data, out.size, &parsed, NULL), ERR_NONE);
        assert_header(&parsed, codec);
        assert_true(batch_crc_ok(out.data, &parsed));
        assert_records(out.data, out.size);
        bytes_free(&out);
        batch_builder_free(&b);
    }
}

static void test_builds_a_commit_marker(void **state)
{
    (void)state;
    struct batch_builder b;
    batch_builder_init(&b);
    b.base_offset = 42;
    b.leader_epoch = 3;
    b.flags = BATCH_TRANSACTIONAL | BATCH_CONTROL;
    b.producer_id = 7;
    b.producer_epoch = 2;
    static const uint8_t key[] = {0, 0, 0, CONTROL_COMMIT};
    static const uint8_t value[] = {0, 0, 0, 0, 0, 9};
    batch_builder_add(&b, 1234, (struct wire_bytes){key, sizeof key},
                      (struct wire_bytes){value, sizeof value}, NULL, 0);
    struct bytes out = {0};
    assert_int_equal(batch_build(&b, &out, NULL), ERR_NONE);
    hex_assert(out.data, out.size, commit_marker);
    bytes_free(&out);
    batch_builder_free(&b);
}

static void test_timestamps_of_any_distance(void **state)
{
    (void)state;
    struct batch_builder b;
    batch_builder_init(&b);
    batch_builder_add(&b, INT64_MIN, text_bytes(NULL), text_bytes(NULL), NULL, 0);
    batch_builder_add(&b, INT64_MAX, text_bytes(NULL), text_bytes(NULL), NULL, 0);
    struct bytes out = {0};
    struct record_walk walk;
    struct record r;
    assert_int_equal(batch_build(&b, &out, NULL), ERR_NONE);
    assert_int_equal(record_walk_init(&walk, out.data, out.size, 0, NULL), ERR_NONE);
    assert_true(record_walk_next(&walk, &r));
    assert_true(r.timestamp == INT64_MIN);
    assert_true(record_walk_next(&walk, &r));
    assert_true(r.timestamp == INT64_MAX);
    record_walk_free(&walk);
    bytes_free(&out);
    batch_builder_free(&b);
}

/* Where a length, a delta or the record's own size takes one byte more. */
static void test_lengths_at_their_limits(void **state)
{
    (void)state;
    static const int32_t sizes[] = {0, 63, 64, 65, 8191, 8192, 8193, 1048575, 1048576};
    static char many[1048576];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct batch_builder b;
        batch_builder_init(&b);
        struct wire_bytes long_bytes = {(const uint8_t *)many, sizes[i]};
        const struct record_header header = {{many, sizes[i]}, long_bytes};
        batch_builder_add(&b, 0, text_bytes(NULL), long_bytes, NULL, 0);
        batch_builder_add(&b, sizes[i], long_bytes, text_bytes(""), &header, 1);
        batch_builder_add(&b, -sizes[i], text_bytes("k"), text_bytes(NULL), &header, 1);
        struct bytes out = {0};
        struct record_walk walk;
        struct record r;
        struct record_header h;
        assert_int_equal(batch_build(&b, &out, NULL), ERR_NONE);
        assert_int_equal(record_walk_init(&walk, out.data, out.size, 0, NULL), ERR_NONE);
        assert_true(record_walk_next(&walk, &r));
        assert_int_equal(r.value.size, sizes[i]);
        assert_true(record_walk_next(&walk, &r));
        assert_int_equal(r.key.size, sizes[i]);
        assert_int_equal(r.timestamp, sizes[i]);
        assert_true(record_next_header(&r, &h));
        assert_int_equal(h.key.size, sizes[i]);
        assert_true(record_walk_next(&walk, &r));
        assert_int_equal(r.timestamp, -sizes[i]);
        assert_true(record_next_header(&r, &h));
        assert_int_equal(h.value.size, sizes[i]);
        assert_false(record_walk_next(&walk, &r));
        assert_int_equal(walk.in.error, ERR_NONE);
        record_walk_free(&walk);
        bytes_free(&out);
        batch_builder_free(&b);
    }
}

/* ---- patching ---- */

static void test_patches_outside_the_crc(void **state)
{
    (void)state;
    struct bytes bytes = plain_bytes();
    struct batch b;
    batch_set_base_offset(bytes.data, 0x0102030405060708);
    batch_set_leader_epoch(bytes.data, 0x11223344);
    hex_assert(bytes.data, 17, "0102030405060708 0000007c 11223344 02");
    assert_int_equal(batch_parse(bytes.data, bytes.size, &b, NULL), ERR_NONE);
    assert_true(batch_crc_ok(bytes.data, &b));
    bytes_free(&bytes);
}

static void test_append_time(void **state)
{
    (void)state;
    struct bytes bytes = plain_bytes();
    struct batch b;
    struct record_walk walk;
    struct record r;
    assert_int_equal(batch_parse(bytes.data, bytes.size, &b, NULL), ERR_NONE);
    batch_set_append_time(bytes.data, &b, 777777);
    assert_int_equal(batch_parse(bytes.data, bytes.size, &b, NULL), ERR_NONE);
    assert_true(batch_crc_ok(bytes.data, &b));
    assert_int_equal(b.attributes, BATCH_TRANSACTIONAL | BATCH_LOG_APPEND_TIME);
    assert_int_equal(b.base_timestamp, 1000);
    assert_int_equal(b.max_timestamp, 777777);
    assert_int_equal(record_walk_init(&walk, bytes.data, bytes.size, 0, NULL), ERR_NONE);
    int records = 0;
    while (record_walk_next(&walk, &r)) {
        assert_int_equal(r.timestamp, 777777);
        records++;
    }
    assert_int_equal(records, 3);
    record_walk_free(&walk);
    bytes_free(&bytes);
}

static void test_sequences_wrap(void **state)
{
    (void)state;
    struct batch b = {.base_sequence = INT32_MAX, .last_offset_delta = 0};
    assert_int_equal(batch_last_sequence(&b), INT32_MAX);
    b.last_offset_delta = 1;
    assert_int_equal(batch_last_sequence(&b), 0);
    b.last_offset_delta = 5;
    assert_int_equal(batch_last_sequence(&b), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_kafkas),
        cmocka_unit_test(test_control_batch),
        cmocka_unit_test(test_builds_as_kafka_does),
        cmocka_unit_test(test_builds_with_every_codec),
        cmocka_unit_test(test_builds_a_commit_marker),
        cmocka_unit_test(test_timestamps_of_any_distance),
        cmocka_unit_test(test_lengths_at_their_limits),
        cmocka_unit_test(test_patches_outside_the_crc),
        cmocka_unit_test(test_append_time),
        cmocka_unit_test(test_sequences_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
