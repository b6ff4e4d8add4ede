/* Every message at every version: what is encoded decodes to the same, what is cut or bent does no
 * harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/wire/messages.h"
#include "tests/unit/wire/walk.h"

enum { SEEDS = 12 };

/* A message made from a seed, and its bytes. */
struct sample {
    const struct wire_message *m;
    int16_t version;
    struct arena arena;
    void *msg;
    struct wire_out out;
};

static void sample_make(struct sample *s, const struct wire_message *m, int16_t version,
                        uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed * 1000003 + (uint64_t)version);
    *s = (struct sample){.m = m, .version = version};
    s->msg = arena_alloc(&s->arena, wire_message_size(m));
    walk_fill(m, version, s->msg, &rng, &s->arena);
    if (wire_encode(m, version, s->msg, &s->out) != ERR_NONE) {
        fail_msg("%s %d does not encode", wire_message_name(m), version);
    }
}

static void sample_free(struct sample *s)
{
    wire_out_free(&s->out);
    arena_free(&s->arena);
}

static void each_version(void (*visit)(const struct wire_message *m, int16_t version))
{
    size_t count;
    const struct wire_message *const *all = wire_message_all(&count);
    assert_true(count > 100);
    for (size_t i = 0; i < count; i++) {
        for (int16_t v = wire_message_min(all[i]); v <= wire_message_max(all[i]); v++) {
            visit(all[i], v);
        }
    }
}

static void assert_bounded(const struct wire_message *m, const struct arena *arena, size_t size)
{
    if (arena->used_bytes > size * WIRE_DECODE_BYTES_PER_BYTE + WIRE_DECODE_BYTES_EXTRA) {
        fail_msg("%s: %zu bytes became %zu", wire_message_name(m), size, arena->used_bytes);
    }
}

static void round_trip(const struct wire_message *m, int16_t version)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sample s;
        sample_make(&s, m, version, seed);
        struct arena arena = {0};
        void *back = arena_alloc(&arena, wire_message_size(m));
        arena.used_bytes = 0;
        memset(back, 0xA5, wire_message_size(m)); /* every field is to be set */
        struct wire_in in = wire_in_of(s.out.bytes.data, s.out.bytes.size);
        assert_int_equal(wire_decode(m, version, &in, back, &arena), ERR_NONE);
        assert_int_equal(wire_in_left(&in), 0);
        assert_bounded(m, &arena, s.out.bytes.size);
        const char *differs = walk_difference(m, s.msg, back);
        if (differs != NULL) {
            fail_msg("%s %d: %s came back differently", wire_message_name(m), version, differs);
        }
        struct wire_out again = {0};
        assert_int_equal(wire_encode(m, version, back, &again), ERR_NONE);
        assert_int_equal(again.bytes.size, s.out.bytes.size);
        if (again.bytes.size > 0) {
            assert_memory_equal(again.bytes.data, s.out.bytes.data, again.bytes.size);
        }
        wire_out_free(&again);
        arena_free(&arena);
        sample_free(&s);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    each_version(round_trip);
}

/* Decodes from memory of exactly that size, so that a byte read beyond it is seen. */
static enum err decode_exactly(const struct wire_message *m, int16_t version, const uint8_t *data,
                               size_t size)
{
    uint8_t *copy = mem_alloc(size > 0 ? size : 1);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    struct arena arena = {0};
    void *msg = mem_zalloc(wire_message_size(m));
    struct wire_in in = wire_in_of(copy, size);
    enum err error = wire_decode(m, version, &in, msg, &arena);
    assert_bounded(m, &arena, size);
    struct wire_out out = {0};
    if (error == ERR_NONE) {
        /* What can be read can be said again, and reads the same. */
        assert_int_equal(wire_encode(m, version, msg, &out), ERR_NONE);
        void *again = mem_zalloc(wire_message_size(m));
        struct wire_in in2 = wire_in_of(out.bytes.data, out.bytes.size);
        assert_int_equal(wire_decode(m, version, &in2, again, &arena), ERR_NONE);
        assert_null(walk_difference(m, msg, again));
        mem_free(again);
    }
    wire_out_free(&out);
    arena_free(&arena);
    mem_free(msg);
    mem_free(copy);
    return error;
}

static void every_prefix(const struct wire_message *m, int16_t version)
{
    struct sample s;
    sample_make(&s, m, version, 77);
    for (size_t size = 0; size < s.out.bytes.size; size++) {
        if (decode_exactly(m, version, s.out.bytes.data, size) == ERR_NONE) {
            fail_msg("%s %d: %zu of %zu bytes were enough", wire_message_name(m), version, size,
                     s.out.bytes.size);
        }
    }
    sample_free(&s);
}

static void test_prefixes(void **state)
{
    (void)state;
    each_version(every_prefix);
}

static void bent(const struct wire_message *m, int16_t version)
{
    struct sample s;
    sample_make(&s, m, version, 5);
    struct rng rng;
    rng_seed(&rng, (uint64_t)version);
    static const uint8_t favourites[] = {0, 1, 2, 0x7F, 0x80, 0xFF};
    for (int i = 0; i < 60 && s.out.bytes.size > 0; i++) {
        uint8_t *at = &s.out.bytes.data[rng_below(&rng, s.out.bytes.size)];
        uint8_t kept = *at;
        *at = rng_below(&rng, 2) == 0 ? (uint8_t)rng_next(&rng) : favourites[rng_below(&rng, 6)];
        decode_exactly(m, version, s.out.bytes.data, s.out.bytes.size);
        *at = rng_below(&rng, 3) == 0 ? *at : kept; /* some bends stay, and add up */
    }
    sample_free(&s);
}

static void test_bent(void **state)
{
    (void)state;
    each_version(bent);
}

/* Long runs of one byte declare as many elements as the input allows, on every level. */
static void runs(const struct wire_message *m, int16_t version)
{
    static uint8_t run[4096];
    static const uint8_t values[] = {0, 1, 2, 3, 4, 0x10, 0x40, 0x7F, 0x80, 0x81, 0xFE, 0xFF};
    for (size_t i = 0; i < sizeof values; i++) {
        memset(run, values[i], sizeof run);
        decode_exactly(m, version, run, sizeof run);
        /* A large count first (int32 and uvarint), then the run. */
        memcpy(run, "\x00\x00\x0F\x00", 4);
        decode_exactly(m, version, run, sizeof run);
        memcpy(run, "\xFF\x1E", 2);
        decode_exactly(m, version, run, sizeof run);
    }
}

static void test_runs(void **state)
{
    (void)state;
    each_version(runs);
}

/* So that no sound message can meet the limit on what decoding allocates. */
static void test_elements_fit_the_limit(void **state)
{
    (void)state;
    size_t count;
    const struct wire_message *const *all = wire_message_all(&count);
    for (size_t i = 0; i < count; i++) {
        const char *where = "";
        size_t ratio = walk_worst_ratio(all[i], &where);
        if (ratio > WIRE_DECODE_BYTES_PER_BYTE) {
            fail_msg("%s.%s: a byte may become %zu", wire_message_name(all[i]), where, ratio);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_bent),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_elements_fit_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
