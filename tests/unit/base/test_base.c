/* The small rooms of base: arena, buf, heap, list, uuid, crc32c, err, rng, trace. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/crc32c.h"
#include "common/base/err.h"
#include "common/base/heap.h"
#include "common/base/list.h"
#include "common/base/rng.h"
#include "common/base/trace.h"
#include "common/base/uuid.h"

static void arena_gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    struct arena a = {0};
    struct rng r;
    rng_seed(&r, 1);
    size_t asked = 0;
    for (int i = 0; i < 500; i++) {
        size_t size = (size_t)rng_below(&r, i % 50 == 0 ? 20000 : 100);
        unsigned char *p = arena_alloc(&a, size);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t j = 0; j < size; j++) {
            assert_int_equal(p[j], 0);
        }
        memset(p, 0xAA, size);
        asked += size;
    }
    assert_int_equal(a.used_bytes, asked);
    char *text = arena_printf(&a, "%s-%d", "orders", 3);
    assert_string_equal(text, "orders-3");
    assert_string_equal(arena_strdup(&a, text), text);
    assert_memory_equal(arena_dup(&a, "a\0b", 3), "a\0b", 3);
    assert_non_null(arena_array(&a, 0, 8));
    arena_free(&a);
    assert_null(a.blocks);
    arena_free(&a);
}

static void slices_keep_their_buf(void **state)
{
    (void)state;
    struct buf *b = buf_copy("hello world", 11);
    struct slice s = slice_of(b, 6, 5);
    struct slice again = slice_ref(s);
    buf_unref(b);
    slice_unref(s);
    assert_memory_equal(again.data, "world", 5);
    slice_unref(again);
    buf_unref(NULL);
    struct buf *empty = buf_copy(NULL, 0);
    slice_unref(slice_of(empty, 0, 0));
    buf_unref(empty);
}

static void bytes_grow(void **state)
{
    (void)state;
    struct bytes b = {0};
    assert_non_null(bytes_extend(&b, 0));
    bytes_append(&b, NULL, 0);
    for (int i = 0; i < 1000; i++) {
        bytes_printf(&b, "%d,", i);
    }
    assert_memory_equal(b.data, "0,1,2,", 6);
    assert_int_equal(b.size, 10 * 2 + 90 * 3 + 900 * 4);
    assert_string_equal((char *)b.data + b.size - 4, "999,");
    bytes_free(&b);
    assert_int_equal(b.capacity, 0);
}

static void heap_orders_by_key_then_age(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static struct heap_node nodes[COUNT];
    struct heap h = {0};
    struct rng r;
    rng_seed(&r, 2);
    for (int i = 0; i < COUNT; i++) {
        heap_push(&h, &nodes[i], (int64_t)rng_below(&r, 20) - 10);
    }
    for (int i = 0; i < COUNT; i += 3) {
        heap_remove(&h, &nodes[i]);
        assert_false(heap_node_linked(&nodes[i]));
    }
    assert_int_equal(h.count, COUNT - COUNT / 3);
    const struct heap_node *last = NULL;
    while (heap_first(&h) != NULL) {
        struct heap_node *n = heap_first(&h);
        assert_true(last == NULL || last->key < n->key ||
                    (last->key == n->key && last->order < n->order));
        heap_remove(&h, n);
        last = n;
    }
    heap_free(&h);
}

struct item {
    int number;
    struct list node;
};

static void lists(void **state)
{
    (void)state;
    struct item items[5];
    struct list a;
    struct list b;
    list_init(&a);
    list_init(&b);
    assert_null(list_pop(&a));
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_push(i < 3 ? &a : &b, &items[i].node);
    }
    list_splice(&a, &b);
    list_splice(&a, &b);
    assert_true(list_empty(&b));
    int expected = 0;
    LIST_FOREACH(node, &a) {
        struct item *item = CONTAINER_OF(node, struct item, node);
        assert_int_equal(item->number, expected++);
        if (item->number % 2 == 0) {
            list_remove(node);
            list_remove(node);
        }
    }
    assert_int_equal(expected, 5);
    assert_ptr_equal(list_pop(&a), &items[1].node);
    assert_ptr_equal(list_pop(&a), &items[3].node);
    assert_true(list_empty(&a));
}

static void uuids(void **state)
{
    (void)state;
    char text[UUID_TEXT_BYTES];
    struct uuid u = uuid_zero();
    assert_string_equal(uuid_format(&u, text), "AAAAAAAAAAAAAAAAAAAAAA");
    u = uuid_from_number(1); /* Kafka's LOST_DIR */
    assert_string_equal(uuid_format(&u, text), "AAAAAAAAAAAAAAAAAAAAAQ");
    struct rng r;
    rng_seed(&r, 3);
    for (int i = 0; i < 100; i++) {
        u = uuid_from_random(rng_next(&r), rng_next(&r));
        assert_int_equal(u.bytes[6] >> 4, 4);
        assert_int_equal(u.bytes[8] >> 6, 2);
        struct uuid back;
        assert_true(uuid_parse(uuid_format(&u, text), &back));
        assert_true(uuid_equal(&u, &back));
        assert_false(uuid_is_zero(&back));
    }
    assert_false(uuid_parse("", &u));
    assert_false(uuid_parse("AAAAAAAAAAAAAAAAAAAAA", &u));
    assert_false(uuid_parse("AAAAAAAAAAAAAAAAAAAAAAA", &u));
    assert_false(uuid_parse("AAAAAAAAAA+AAAAAAAAAAA", &u));
}

static void crc32c_known_vectors(void **state)
{
    (void)state;
    /* RFC 3720 B.4 */
    uint8_t data[32] = {0};
    assert_int_equal(crc32c(data, 32), 0x8A9136AAU);
    memset(data, 0xFF, 32);
    assert_int_equal(crc32c(data, 32), 0x62A8AB43U);
    for (uint8_t i = 0; i < 32; i++) {
        data[i] = i;
    }
    assert_int_equal(crc32c(data, 32), 0x46DD794EU);
    assert_int_equal(crc32c("123456789", 9), 0xE3069283U);
    assert_int_equal(crc32c(NULL, 0), 0);
    for (size_t cut = 0; cut <= 9; cut++) {
        static const char digits[] = "123456789";
        uint32_t first = crc32c(digits, cut);
        assert_int_equal(crc32c_extend(first, digits + cut, 9 - cut), 0xE3069283U);
    }
}

static void errors(void **state)
{
    (void)state;
    struct err_text text;
    err_set(&text, "read %d", 7);
    err_wrap(&text, "open log %s", "orders-3");
    assert_string_equal(text.text, "open log orders-3: read 7");
    err_wrap(NULL, "nothing");
    err_set(NULL, "nothing");
    char wide[600];
    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    err_wrap(&text, "%s", wide);
    assert_int_equal(strlen(text.text), sizeof text.text - 1);
    err_set(&text, "%s", wide);
    err_wrap(&text, "outer");
    assert_int_equal(strlen(text.text), sizeof text.text - 1);
    assert_memory_equal(text.text, "outer: www", 10);
    assert_string_equal(err_name(ERR_NONE), "no error");
    assert_string_equal(err_name(ERR_FENCED), "fenced");
    assert_string_equal(err_name((enum err)ERR_COUNT), "unknown error");
    assert_int_equal(err_from_errno(0), ERR_NONE);
    assert_int_equal(err_from_errno(2), ERR_NOT_FOUND);
    assert_int_equal(err_from_errno(99999), ERR_IO);
}

static void rng_repeats_and_spreads(void **state)
{
    (void)state;
    struct rng a;
    struct rng b;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t v = rng_below(&a, 7);
        assert_true(v < 7);
        assert_int_equal(v, rng_below(&b, 7));
        seen[v]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(seen[i], 850, 1150);
    }
    rng_seed(&b, 43);
    assert_true(rng_next(&a) != rng_next(&b));
    assert_int_equal(rng_below(&a, 1), 0);
}

static void keep(void *ctx, enum trace_level level, const char *line)
{
    snprintf(ctx, 1100, "%s %s", trace_level_name(level), line);
}

static void trace_filters_and_cleans(void **state)
{
    (void)state;
    char line[1100] = "";
    const struct trace t = {.level = TRACE_WARN, .sink = keep, .ctx = line};
    trace_info(&t, "not said");
    assert_string_equal(line, "");
    trace_warn(&t, "a\nb%c", 0x1b);
    assert_string_equal(line, "WARN a?b?");
    trace_error(NULL, "nobody listens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(slices_keep_their_buf),
        cmocka_unit_test(bytes_grow),
        cmocka_unit_test(heap_orders_by_key_then_age),
        cmocka_unit_test(lists),
        cmocka_unit_test(uuids),
        cmocka_unit_test(crc32c_known_vectors),
        cmocka_unit_test(errors),
        cmocka_unit_test(rng_repeats_and_spreads),
        cmocka_unit_test(trace_filters_and_cleans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
