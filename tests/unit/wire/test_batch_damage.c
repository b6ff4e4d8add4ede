/* Record batches that lie: cut off, bent, with counts and lengths that do not hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "common/wire/kafka_error.h"
#include "tests/unit/wire/hex.h"

/* Where the fields lie. */
enum {
    AT_LENGTH = 8,
    AT_MAGIC = 16,
    AT_ATTRIBUTES = 21,
    AT_LAST_DELTA = 23,
    AT_PRODUCER_ID = 43,
    AT_COUNT = 57
};

enum { LIMIT_BYTES = 1 << 20 };

static void put(struct bytes *bytes, size_t at, size_t size, int64_t value)
{
    for (size_t i = 0; i < size; i++) {
        bytes->data[at + i] = (uint8_t)((uint64_t)value >> (8 * (size - 1 - i)));
    }
}

/* A batch around the records written as hex: offset 100, `count` records, no producer. */
static struct bytes batch_around(const char *records_hex, int32_t count)
{
    struct bytes all = hex_bytes("0000000000000064 00000000 00000003 02 00000000 0000 00000000"
                                 "00000000000003e8 00000000000003e8 ffffffffffffffff ffff"
                                 "ffffffff 00000000");
    struct bytes records = hex_bytes(records_hex);
    bytes_append(&all, records.data, records.size);
    bytes_free(&records);
    put(&all, AT_LENGTH, 4, (int64_t)all.size - BATCH_PREFIX_BYTES);
    put(&all, AT_LAST_DELTA, 4, count > 0 ? count - 1 : 0);
    put(&all, AT_COUNT, 4, count);
    return all;
}

/* How many records are walked; *error gets what the walk ended with. */
static int walk_all(const void *data, size_t size, size_t limit, enum err *error)
{
    struct record_walk walk;
    struct record r;
    struct record_header h;
    int count = 0;
    *error = record_walk_init(&walk, data, size, limit, NULL);
    if (*error != ERR_NONE) {
        return 0;
    }
    while (record_walk_next(&walk, &r)) {
        count++;
        while (record_next_header(&r, &h)) {
            assert_true(h.key.size >= 0 && h.value.size >= -1);
        }
    }
    *error = walk.in.error;
    record_walk_free(&walk);
    return count;
}

/* In memory of its own size, so that a sanitizer sees a read past the end. */
static void *exact(const void *data, size_t size)
{
    void *copy = mem_alloc(size > 0 ? size : 1);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static struct bytes build_some(enum batch_codec codec)
{
    struct batch_builder b;
    batch_builder_init(&b);
    b.codec = codec;
    const struct record_header header = {wire_str("name"), {(const uint8_t *)"value", 5}};
    for (int i = 0; i < 20; i++) {
        batch_builder_add(&b, 5000 + i, (struct wire_bytes){(const uint8_t *)"key", 3},
                          (struct wire_bytes){(const uint8_t *)"some value some value", 21},
                          &header, 1);
    }
    struct bytes out = {0};
    assert_int_equal(batch_build(&b, &out, NULL), ERR_NONE);
    batch_builder_free(&b);
    return out;
}

static void test_every_prefix_is_truncated(void **state)
{
    (void)state;
    struct bytes whole = build_some(BATCH_NONE);
    struct batch b;
    struct err_text text;
    for (size_t size = 0; size < whole.size; size++) {
        void *part = exact(whole.data, size);
        text.text[0] = '\0';
        assert_int_equal(batch_parse(part, size, &b, &text), ERR_TRUNCATED);
        assert_non_null(strstr(text.text, "record batch"));
        assert_int_equal(batch_parse_header(part, size, &b, NULL),
                         size < BATCH_HEADER_BYTES ? ERR_TRUNCATED : ERR_NONE);
        mem_free(part);
    }
    bytes_free(&whole);
}

/* A batch whose length field was cut with its bytes: the records end too early. */
static void test_every_shorter_body_is_corrupt(void **state)
{
    (void)state;
    for (enum batch_codec codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        struct bytes whole = build_some(codec);
        enum err error;
        assert_int_equal(walk_all(whole.data, whole.size, LIMIT_BYTES, &error), 20);
        assert_int_equal(error, ERR_NONE);
        /* xerial's blocks have no end mark: without its only block the snappy data is empty. */
        for (size_t size = BATCH_HEADER_BYTES; size < whole.size; size++) {
            struct bytes part = {0};
            bytes_append(&part, whole.data, size);
            put(&part, AT_LENGTH, 4, (int64_t)size - BATCH_PREFIX_BYTES);
            void *data = exact(part.data, size);
            assert_true(walk_all(data, size, LIMIT_BYTES, &error) < 20);
            assert_true(error == ERR_CORRUPT || error == ERR_TRUNCATED);
            mem_free(data);
            bytes_free(&part);
        }
        bytes_free(&whole);
    }
}

static void test_every_flipped_bit_is_caught(void **state)
{
    (void)state;
    struct bytes bytes = build_some(BATCH_NONE);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        struct batch b;
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum err error = batch_parse(bytes.data, bytes.size, &b, NULL);
        bool patched = bit / 8 < AT_LENGTH || (bit / 8 >= 12 && bit / 8 < AT_MAGIC);
        if (patched) { /* base offset and leader epoch: outside the CRC */
            assert_true(error == ERR_CORRUPT || batch_crc_ok(bytes.data, &b));
        } else {
            assert_true(error != ERR_NONE || !batch_crc_ok(bytes.data, &b));
        }
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    bytes_free(&bytes);
}

static void test_headers_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        size_t size;
        int64_t value;
        enum err error;
        const char *words;
    } rows[] = {
        {AT_MAGIC, 1, 0, ERR_UNSUPPORTED, "magic 0"},
        {AT_MAGIC, 1, 1, ERR_UNSUPPORTED, "magic 1"},
        {AT_MAGIC, 1, 3, ERR_UNSUPPORTED, "magic 3"},
        {AT_LENGTH, 4, 48, ERR_CORRUPT, "48 bytes"},
        {AT_LENGTH, 4, -1, ERR_CORRUPT, "-1 bytes"},
        {AT_LENGTH, 4, INT32_MIN, ERR_CORRUPT, "-2147483648"},
        {AT_LENGTH, 4, INT32_MAX, ERR_CORRUPT, "2147483647"},
        {AT_LENGTH, 4, 49, ERR_NONE, ""},
        {0, 8, -1, ERR_CORRUPT, "base offset -1"},
        {0, 8, INT64_MAX, ERR_CORRUPT, "base offset 9223372036854775807"},
        {AT_LAST_DELTA, 4, -1, ERR_CORRUPT, "last delta -1"},
        {AT_LAST_DELTA, 4, INT32_MAX, ERR_NONE, ""},
        {AT_COUNT, 4, -1, ERR_CORRUPT, "-1 records"},
        {AT_COUNT, 4, 0, ERR_NONE, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes bytes = batch_around("0c 00 00 00 01 01 00", 1);
        struct batch b;
        struct err_text text = {""};
        put(&bytes, rows[i].at, rows[i].size, rows[i].value);
        assert_int_equal(batch_parse(bytes.data, bytes.size, &b, &text), rows[i].error);
        assert_non_null(strstr(text.text, rows[i].words));
        bytes_free(&bytes);
    }
}

/* Varints are zig-zag: 01 is -1, 02 is 1. */
static void test_records_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *hex;
        int32_t count;
        int walked;
        bool sound;
    } rows[] = {
        {"sound", "0c 00 00 00 01 01 00", 1, 1, true},
        {"none", "", 0, 0, true},
        {"fewer than counted", "0c 00 00 00 01 01 00", 2, 1, false},
        {"more than counted", "0c 00 00 00 01 01 00 0c 00 00 02 01 01 00", 1, 1, false},
        {"bytes but no records", "00", 0, 0, false},
        {"counted without end", "0c 00 00 00 01 01 00", INT32_MAX, 1, false},
        {"negative length", "01 00 00 00 01 01 00", 1, 0, false},
        {"length past the end", "0e 00 00 00 01 01 00", 1, 0, false},
        {"length of 2^62", "feffffffffffffff7f 00 00 00 01 01 00", 1, 0, false},
        {"length longer than its fields", "0e 00 00 00 01 01 00 00", 1, 0, false},
        {"length shorter than its fields", "0a 00 00 00 01 01 00", 1, 0, false},
        {"empty", "00", 1, 0, false},
        {"key past the end", "0c 00 00 00 10 01 00", 1, 0, false},
        {"value past the end", "0c 00 00 00 01 10 00", 1, 0, false},
        {"value over the header count", "0c 00 00 00 01 02 00", 1, 0, false},
        {"negative header count", "0c 00 00 00 01 01 01", 1, 0, false},
        {"headers that are not there", "0c 00 00 00 01 01 02", 1, 0, false},
        {"2^31 headers", "14 00 00 00 01 01 8080808010", 1, 0, false},
        {"a header", "12 00 00 00 01 01 02 00 01", 1, 0, false},
        {"a header, well sized", "10 00 00 00 01 01 02 00 01", 1, 1, true},
        {"null header key", "10 00 00 00 01 01 02 01 01", 1, 0, false},
        {"header value past the end", "10 00 00 00 01 01 02 00 02", 1, 0, false},
        {"offset before the batch", "0c 00 00 01 01 01 00", 1, 0, false},
        {"offset behind the batch", "0c 00 00 02 01 01 00", 1, 0, false},
        {"varint without end", "18 00 ffffffffffffffffffffff", 1, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes bytes = batch_around(rows[i].hex, rows[i].count);
        void *data = exact(bytes.data, bytes.size);
        enum err error;
        int walked = walk_all(data, bytes.size, LIMIT_BYTES, &error);
        assert_true(error == ERR_NONE || error == ERR_TRUNCATED || error == ERR_CORRUPT);
        if (walked != rows[i].walked || (error == ERR_NONE) != rows[i].sound) {
            fail_msg("%s: %d records, %s", rows[i].what, walked, err_name(error));
        }
        mem_free(data);
        bytes_free(&bytes);
    }
}

static void test_what_producers_may_write(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        size_t size;
        int64_t value;
        int16_t code;
    } rows[] = {
        {AT_ATTRIBUTES, 2, 0, KAFKA_NONE},
        {AT_ATTRIBUTES, 2, BATCH_ZSTD, KAFKA_NONE},
        {AT_ATTRIBUTES, 2, 5, KAFKA_UNSUPPORTED_COMPRESSION_TYPE},
        {AT_ATTRIBUTES, 2, 7, KAFKA_UNSUPPORTED_COMPRESSION_TYPE},
        {AT_ATTRIBUTES, 2, BATCH_CONTROL, KAFKA_INVALID_RECORD},
        {AT_ATTRIBUTES, 2, BATCH_LOG_APPEND_TIME, KAFKA_INVALID_TIMESTAMP},
        {AT_COUNT, 4, 0, KAFKA_INVALID_RECORD},
        {AT_COUNT, 4, 2, KAFKA_INVALID_RECORD},
        {AT_LAST_DELTA, 4, 1, KAFKA_INVALID_RECORD},
        {AT_LAST_DELTA, 4, INT32_MAX, KAFKA_INVALID_RECORD},
        {AT_PRODUCER_ID, 8, 0, KAFKA_INVALID_RECORD}, /* neither epoch nor sequence */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes bytes = batch_around("0c 00 00 00 01 01 00", 1);
        struct batch b;
        const char *message;
        put(&bytes, rows[i].at, rows[i].size, rows[i].value);
        assert_int_equal(batch_parse(bytes.data, bytes.size, &b, NULL), ERR_NONE);
        assert_int_equal(batch_check_produced(&b, &message), rows[i].code);
        assert_true((message == NULL) == (rows[i].code == KAFKA_NONE));
        bytes_free(&bytes);
    }
    const char *message;
    struct batch b = {.records_count = 1, .producer_id = 0};
    assert_int_equal(batch_check_produced(&b, &message), KAFKA_NONE);
    b.base_sequence = -1;
    assert_int_equal(batch_check_produced(&b, &message), KAFKA_INVALID_RECORD);
    b.base_sequence = 0;
    b.producer_epoch = -1;
    assert_int_equal(batch_check_produced(&b, &message), KAFKA_INVALID_RECORD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_prefix_is_truncated),
        cmocka_unit_test(test_every_shorter_body_is_corrupt),
        cmocka_unit_test(test_every_flipped_bit_is_caught),
        cmocka_unit_test(test_headers_refused),
        cmocka_unit_test(test_records_that_lie),
        cmocka_unit_test(test_what_producers_may_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
