#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/wire/frame.h"
#include "tests/unit/wire/hex.h"

enum { MAX_FRAME = 100 << 20 };

/* The next frame of `*at`, given at most `step` bytes at a time; NULL when the bytes run out. */
static struct buf *next_frame(struct framer *f, const uint8_t **at, const uint8_t *end, size_t step)
{
    struct buf *frame = NULL;
    while (frame == NULL && *at < end) {
        size_t give = (size_t)(end - *at) < step ? (size_t)(end - *at) : step;
        size_t used;
        assert_int_equal(framer_push(f, *at, give, &used, &frame, NULL), ERR_NONE);
        assert_true(used > 0 && used <= give);
        *at += used;
    }
    return frame;
}

static void test_frames_in_any_pieces(void **state)
{
    (void)state;
    struct bytes stream = hex_bytes("00000003 010203 00000000 00000001 ff 00000002 09");
    for (size_t step = 1; step <= stream.size; step++) {
        struct framer f;
        framer_init(&f, MAX_FRAME);
        const uint8_t *at = stream.data;
        const uint8_t *end = at + stream.size;
        static const char *const want[] = {"010203", "", "ff"};
        for (size_t i = 0; i < 3; i++) {
            struct buf *frame = next_frame(&f, &at, end, step);
            assert_non_null(frame);
            hex_assert(frame->data, frame->size, want[i]);
            buf_unref(frame);
        }
        assert_null(next_frame(&f, &at, end, step)); /* the last one is not whole */
        framer_free(&f);
    }
    bytes_free(&stream);
}

static void test_lengths_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum err error;
        const char *words;
    } rows[] = {
        {"80000000", ERR_INVALID, "-2147483648"},
        {"ffffffff", ERR_INVALID, "-1"},
        {"00000401", ERR_TOO_LARGE, "1025 bytes is larger than 1024"},
        {"7fffffff", ERR_TOO_LARGE, "2147483647"},
        {"00000400", ERR_NONE, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct framer f;
        framer_init(&f, 1024);
        struct bytes bytes = hex_bytes(rows[i].hex);
        struct err_text text = {""};
        struct buf *frame;
        size_t used;
        assert_int_equal(framer_push(&f, bytes.data, bytes.size, &used, &frame, &text),
                         rows[i].error);
        assert_null(frame);
        assert_non_null(strstr(text.text, rows[i].words));
        bytes_free(&bytes);
        framer_free(&f);
    }
}

/* A declared length alone costs little. */
static void test_memory_follows_what_arrives(void **state)
{
    (void)state;
    struct framer f;
    framer_init(&f, MAX_FRAME);
    struct bytes head = hex_bytes("06400000"); /* 100 MiB */
    size_t used;
    struct buf *frame;
    assert_int_equal(framer_push(&f, head.data, head.size, &used, &frame, NULL), ERR_NONE);
    size_t got = 0;
    static uint8_t chunk[50000];
    while (got < 5000000) {
        assert_int_equal(framer_push(&f, chunk, sizeof chunk, &used, &frame, NULL), ERR_NONE);
        assert_int_equal(used, sizeof chunk);
        got += used;
        assert_true(f.frame->capacity <= 2 * got + 65536);
    }
    bytes_free(&head);
    framer_free(&f);
}

/* Read in place, in pieces of any size, over several growths of the buffer. */
static void test_body_lands_in_its_buffer(void **state)
{
    (void)state;
    enum { SIZE = 1000003 };
    struct rng rng;
    rng_seed(&rng, 3);
    uint8_t *body = mem_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        body[i] = (uint8_t)rng_next(&rng);
    }
    struct framer f;
    framer_init(&f, MAX_FRAME);
    struct bytes head = hex_bytes("000f4243");
    size_t used;
    struct buf *frame = NULL;
    assert_int_equal(framer_push(&f, head.data, head.size, &used, &frame, NULL), ERR_NONE);
    size_t got = 0;
    while (frame == NULL) {
        uint8_t *at;
        size_t room;
        framer_space(&f, &at, &room);
        assert_true(room > 0);
        assert_true(at >= f.frame->data && at + room <= f.frame->data + f.frame->capacity);
        size_t step = 1 + (size_t)rng_below(&rng, room);
        assert_true(got + step <= SIZE); /* never room for what lies behind the frame */
        memcpy(at, body + got, step);
        got += step;
        assert_int_equal(framer_advance(&f, step, &frame, NULL), ERR_NONE);
    }
    assert_int_equal(got, SIZE);
    assert_int_equal(frame->size, SIZE);
    assert_memory_equal(frame->data, body, SIZE);
    buf_unref(frame);
    bytes_free(&head);
    framer_free(&f);
    mem_free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_in_any_pieces),
        cmocka_unit_test(test_lengths_refused),
        cmocka_unit_test(test_memory_follows_what_arrives),
        cmocka_unit_test(test_body_lands_in_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
