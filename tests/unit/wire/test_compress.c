/* The four codecs: round trips, what other libraries write, damage, and bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/wire/compress.h"
#include "tests/unit/wire/hex.h"

static const char *const codec_names[] = {"plain", "gzip", "snappy", "lz4", "zstd"};

/* `noise` of 256 bytes come by chance, the rest repeat. */
static struct bytes make_plain(size_t size, unsigned noise)
{
    struct rng rng;
    struct bytes plain = {0};
    rng_seed(&rng, size + noise);
    if (size > 0) {
        bytes_extend(&plain, size);
    }
    for (size_t i = 0; i < size; i++) {
        bool chance = rng_below(&rng, 256) < noise;
        plain.data[i] = chance ? (uint8_t)rng_below(&rng, 256) : (uint8_t)("barnabas"[i % 8]);
    }
    return plain;
}

static struct bytes pack(enum batch_codec codec, const struct bytes *plain)
{
    struct bytes out = {0};
    assert_int_equal(batch_compress(codec, plain->data, plain->size, &out, NULL), ERR_NONE);
    return out;
}

static void test_round_trips(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,     2,     100,   32767,  32768,   32769,
                                   65535, 65536, 65537, 200000, 1 << 20, (4 << 20) + 5};
    for (enum batch_codec codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] * 2; i++) {
            struct bytes plain = make_plain(sizes[i / 2], i % 2 == 0 ? 4 : 256);
            struct bytes packed = pack(codec, &plain);
            struct bytes back = {0};
            bytes_append(&back, "front", 5); /* it appends, and the limit counts its own bytes */
            assert_int_equal(
                batch_decompress(codec, packed.data, packed.size, plain.size, &back, NULL),
                ERR_NONE);
            assert_int_equal(back.size, 5 + plain.size);
            assert_memory_equal(back.data, "front", 5);
            assert_memory_equal(back.data + 5, plain.data, plain.size);

            struct bytes less = {0};
            struct err_text text = {""};
            assert_int_equal(
                batch_decompress(codec, packed.data, packed.size, plain.size - 1, &less, &text),
                ERR_TOO_LARGE);
            assert_non_null(strstr(text.text, codec_names[codec]));
            bytes_free(&less);
            bytes_free(&back);
            bytes_free(&packed);
            bytes_free(&plain);
        }
    }
}

static void test_nothing(void **state)
{
    (void)state;
    for (enum batch_codec codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        struct bytes out = {0};
        struct bytes back = {0};
        assert_int_equal(batch_compress(codec, "", 0, &out, NULL), ERR_NONE);
        assert_int_equal(batch_decompress(codec, out.size > 0 ? (const void *)out.data : "",
                                          out.size, 0, &back, NULL),
                         ERR_NONE);
        assert_int_equal(back.size, 0);
        bytes_free(&back);
        bytes_free(&out);
    }
}

static void test_no_limit(void **state)
{
    (void)state;
    struct bytes plain = make_plain(100000, 8);
    for (enum batch_codec codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        struct bytes packed = pack(codec, &plain);
        struct bytes back = {0};
        assert_int_equal(batch_decompress(codec, packed.data, packed.size, SIZE_MAX, &back, NULL),
                         ERR_NONE);
        assert_int_equal(back.size, plain.size);
        bytes_free(&back);
        bytes_free(&packed);
    }
    bytes_free(&plain);
}

/* Bytes of python's gzip, the snappy and zstd formats' own definitions, and lz4's. */
static void test_reads_others(void **state)
{
    (void)state;
    static const struct {
        enum batch_codec codec;
        const char *hex;
        const char *plain;
    } rows[] = {
        {BATCH_GZIP, "1f8b08000000000002ff cb48cdc9c90700 86a61036 05000000", "hello"},
        /* two members, one after the other */
        {BATCH_GZIP,
         "1f8b08000000000002ff cb48cdc9c90700 86a61036 05000000"
         "1f8b08000000000002ff cb48cdc9c90700 86a61036 05000000",
         "hellohello"},
        /* a stored block */
        {BATCH_GZIP, "1f8b0800000000000003 01 0500 faff 68656c6c6f 86a61036 05000000", "hello"},
        /* a bare snappy block: length 5, literal of 5 */
        {BATCH_SNAPPY, "05 10 68656c6c6f", "hello"},
        /* literal "ab", then a copy of 6 from 2 back */
        {BATCH_SNAPPY, "08 04 6162 09 02", "abababab"},
        /* xerial: two blocks, one of them empty */
        {BATCH_SNAPPY, "82534e4150505900 00000001 00000001 00000007 05 10 68656c6c6f 00000001 00",
         "hello"},
        {BATCH_SNAPPY, "82534e4150505900 00000001 00000001", ""},
        /* lz4: version 1, independent blocks, 64 KiB; a stored block; the end mark */
        {BATCH_LZ4, "04224d18 60 40 82 05000080 68656c6c6f 00000000", "hello"},
        /* linked blocks, as other writers make them */
        {BATCH_LZ4, "04224d18 40 40 c0 05000080 68656c6c6f 00000000", "hello"},
        /* zstd: single segment of 5 bytes, a last raw block; and the same as run length */
        {BATCH_ZSTD, "28b52ffd 20 05 290000 68656c6c6f", "hello"},
        {BATCH_ZSTD, "28b52ffd 20 05 2b0000 61", "aaaaa"},
        /* two frames */
        {BATCH_ZSTD, "28b52ffd 20 05 290000 68656c6c6f 28b52ffd 20 05 2b0000 61", "helloaaaaa"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes packed = hex_bytes(rows[i].hex);
        struct bytes back = {0};
        struct err_text text = {""};
        enum err error =
            batch_decompress(rows[i].codec, packed.data, packed.size, 100, &back, &text);
        if (error != ERR_NONE || back.size != strlen(rows[i].plain) ||
            (back.size > 0 && memcmp(back.data, rows[i].plain, back.size) != 0)) {
            fail_msg("%s: %s", rows[i].hex, text.text);
        }
        bytes_free(&back);
        bytes_free(&packed);
    }
}

/* What Kafka's Java client reads: xerial's header and 32 KiB blocks; lz4 in independent blocks. */
static void test_writes_what_java_reads(void **state)
{
    (void)state;
    struct bytes plain = make_plain(200000, 4);
    struct bytes packed = pack(BATCH_SNAPPY, &plain);
    hex_assert(packed.data, 16, "82534e4150505900 00000001 00000001");
    bytes_free(&packed);
    packed = pack(BATCH_LZ4, &plain);
    hex_assert(packed.data, 7, "04224d18 60 40 82");
    bytes_free(&packed);
    bytes_free(&plain);
}

static void test_damage(void **state)
{
    (void)state;
    struct bytes plain = make_plain(70000, 16);
    struct rng rng;
    rng_seed(&rng, 7);
    for (enum batch_codec codec = BATCH_GZIP; codec <= BATCH_ZSTD; codec++) {
        struct bytes packed = pack(codec, &plain);
        for (size_t i = 0; i < 400; i++) {
            size_t size = i < 200 ? rng_below(&rng, packed.size) : packed.size;
            uint8_t *bent = mem_alloc(size + 1);
            memcpy(bent, packed.data, size);
            if (i >= 200) {
                bent[rng_below(&rng, size)] ^= (uint8_t)(1 + rng_below(&rng, 255));
            }
            struct bytes out = {0};
            struct err_text text = {""};
            enum err error = batch_decompress(codec, bent, size, 100000, &out, &text);
            assert_true(error == ERR_NONE || error == ERR_CORRUPT || error == ERR_TOO_LARGE);
            assert_true((error == ERR_NONE) == (text.text[0] == '\0'));
            assert_true(out.size <= 100001);
            if (i < 200) { /* a part is never taken for the whole */
                assert_true(error != ERR_NONE || out.size < plain.size);
            }
            bytes_free(&out);
            mem_free(bent);
        }
        bytes_free(&packed);
    }
    bytes_free(&plain);
}

static void test_trailing_bytes(void **state)
{
    (void)state;
    struct bytes plain = make_plain(1000, 16);
    for (enum batch_codec codec = BATCH_GZIP; codec <= BATCH_ZSTD; codec++) {
        struct bytes packed = pack(codec, &plain);
        bytes_append(&packed, "\xff\xff\xff\xff\xff", 5);
        struct bytes out = {0};
        assert_int_equal(batch_decompress(codec, packed.data, packed.size, 100000, &out, NULL),
                         ERR_CORRUPT);
        bytes_free(&out);
        bytes_free(&packed);
    }
    bytes_free(&plain);
}

/* 64 MiB of one byte in a few KiB: no more is unpacked than the limit, nor is room made for it. */
static void test_bombs(void **state)
{
    (void)state;
    struct bytes plain = {0};
    memset(bytes_extend(&plain, 64 << 20), 'x', 64 << 20);
    for (enum batch_codec codec = BATCH_GZIP; codec <= BATCH_ZSTD; codec++) {
        struct bytes packed = pack(codec, &plain);
        struct bytes out = {0};
        assert_int_equal(batch_decompress(codec, packed.data, packed.size, 1 << 20, &out, NULL),
                         ERR_TOO_LARGE);
        assert_true(out.size <= (1 << 20) + 1);
        assert_true(out.capacity <= 4 << 20);
        bytes_free(&out);
        bytes_free(&packed);
    }
    bytes_free(&plain);
}

/* A literal "a", then copies of 64 from 1 back: the most that snappy can say in few bytes. */
static void test_the_densest_snappy_block(void **state)
{
    (void)state;
    enum { COPIES = 1000, PLAIN = 1 + 64 * COPIES };
    struct bytes packed = hex_bytes("81f403 00 61"); /* 64001 */
    for (int i = 0; i < COPIES; i++) {
        bytes_append(&packed, "\xfe\x01\x00", 3);
    }
    struct bytes out = {0};
    assert_int_equal(batch_decompress(BATCH_SNAPPY, packed.data, packed.size, PLAIN, &out, NULL),
                     ERR_NONE);
    assert_int_equal(out.size, PLAIN);
    bytes_free(&out);
    /* The same claiming 128001 bytes: refused before there is room for them. */
    memcpy(packed.data, "\x81\xe8\x07", 3);
    assert_int_equal(batch_decompress(BATCH_SNAPPY, packed.data, packed.size, 1 << 20, &out, NULL),
                     ERR_CORRUPT);
    assert_int_equal(out.capacity, 0);
    bytes_free(&packed);
}

/* What failed leaves nothing behind what was there. */
static void test_failing_leaves_nothing(void **state)
{
    (void)state;
    struct bytes plain = make_plain(200000, 64);
    for (enum batch_codec codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        struct bytes packed = pack(codec, &plain);
        struct bytes out = {0};
        bytes_append(&out, "front", 5);
        assert_int_equal(batch_decompress(codec, packed.data, packed.size, 150000, &out, NULL),
                         ERR_TOO_LARGE);
        assert_int_equal(out.size, 5);
        if (codec != BATCH_NONE) {
            assert_int_equal(
                batch_decompress(codec, packed.data, packed.size - 1, 1 << 20, &out, NULL),
                ERR_CORRUPT);
            assert_int_equal(out.size, 5);
        }
        bytes_free(&out);
        bytes_free(&packed);
    }
    bytes_free(&plain);
}

/* Lengths that are declared and not there cost nothing. */
static void test_declared_lengths(void **state)
{
    (void)state;
    static const struct {
        enum batch_codec codec;
        const char *hex;
        enum err error;
    } rows[] = {
        {BATCH_SNAPPY, "ffffffff0f 10 68656c6c6f", ERR_TOO_LARGE},
        {BATCH_SNAPPY, "8080808004 10 68656c6c6f", ERR_CORRUPT}, /* 1 GiB, within the limit */
        {BATCH_SNAPPY, "82534e4150505900 00000001 00000001 7fffffff 00", ERR_CORRUPT},
        {BATCH_SNAPPY, "82534e4150505900 00000001 00000001 000000", ERR_CORRUPT},
        {BATCH_SNAPPY, "", ERR_CORRUPT},
        /* a zstd frame of a declared 1 GiB, and one that asks for a window of 2 GiB */
        {BATCH_ZSTD, "28b52ffd a0 00000040 290000 68656c6c6f", ERR_CORRUPT},
        {BATCH_ZSTD, "28b52ffd 00 a8 290000 68656c6c6f", ERR_CORRUPT},
        /* an lz4 block longer than blocks may be */
        {BATCH_LZ4, "04224d18 60 40 82 ffffff7f 00", ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes packed = hex_bytes(rows[i].hex);
        struct bytes out = {0};
        assert_int_equal(batch_decompress(rows[i].codec,
                                          packed.size > 0 ? (const void *)packed.data : "",
                                          packed.size, (size_t)2 << 30, &out, NULL),
                         rows[i].error);
        assert_true(out.capacity <= 1 << 20);
        bytes_free(&out);
        bytes_free(&packed);
    }
}

static void test_unknown_codecs(void **state)
{
    (void)state;
    struct bytes out = {0};
    struct err_text text = {""};
    assert_int_equal(batch_decompress((enum batch_codec)5, "x", 1, 10, &out, &text),
                     ERR_UNSUPPORTED);
    assert_string_equal(text.text, "compression codec 5 is not known");
    assert_int_equal(batch_compress((enum batch_codec)7, "x", 1, &out, &text), ERR_UNSUPPORTED);
    assert_string_equal(text.text, "compression codec 7 is not known");
    assert_int_equal(out.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_reads_others),
        cmocka_unit_test(test_writes_what_java_reads),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_trailing_bytes),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_the_densest_snappy_block),
        cmocka_unit_test(test_failing_leaves_nothing),
        cmocka_unit_test(test_declared_lengths),
        cmocka_unit_test(test_unknown_codecs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
