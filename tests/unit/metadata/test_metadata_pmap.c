/* The persistent map against a plain table, with clones that must not change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/metadata/pmap.h"
#include "common/base/mem.h"
#include "common/base/rng.h"

enum { KEYS = 300, CLONES = 6, STEPS = 40000 };

struct number {
    struct pmap_value value;
    int64_t number;
};

static int live;

static void number_free(struct pmap_value *value)
{
    live--;
    mem_free(value);
}

static struct pmap_value *number_new(int64_t n)
{
    struct number *number = mem_alloc(sizeof *number);
    *number = (struct number){{1, number_free}, n};
    live++;
    return &number->value;
}

struct key {
    uint8_t bytes[4];
    size_t size;
};

/* Of different lengths, some the beginning of others. */
static struct key key_of(int index)
{
    struct key key = {{(uint8_t)(index % 7), (uint8_t)(index / 7 % 7), (uint8_t)(index / 49), 0},
                      0};
    key.size = index % 3 == 0 ? 3 : 4;
    key.bytes[3] = (uint8_t)index;
    return key;
}

#define KEY(k) ((struct pmap_key){(k).bytes, (k).size})

struct model {
    int64_t numbers[KEYS]; /* -1: absent */
};

static int64_t lookup(const struct pmap *map, int index)
{
    struct key key = key_of(index);
    struct pmap_value *value = pmap_get(map, KEY(key));
    return value == NULL ? -1 : ((struct number *)value)->number;
}

struct order {
    struct key last;
    bool any;
    size_t count;
    const struct pmap *map;
};

static bool see(void *ctx, struct pmap_value *value)
{
    struct order *order = ctx;
    int64_t n = ((struct number *)value)->number;
    struct key key = key_of((int)(n % KEYS));
    if (order->any) {
        size_t size = key.size < order->last.size ? key.size : order->last.size;
        int c = memcmp(order->last.bytes, key.bytes, size);
        assert_true(c < 0 || (c == 0 && order->last.size < key.size));
    }
    order->any = true;
    order->last = key;
    order->count++;
    return true;
}

static void check(const struct pmap *map, const struct model *model)
{
    size_t count = 0;
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(lookup(map, i), model->numbers[i]);
        count += model->numbers[i] >= 0;
    }
    assert_int_equal(map->count, count);
    struct order order = {.map = map};
    pmap_each(map, (struct pmap_key){NULL, 0}, see, &order);
    assert_int_equal(order.count, count);
}

static void own_and_change(struct pmap *map, struct model *model, int index, int64_t n)
{
    struct key key = key_of(index);
    struct pmap_value **slot = pmap_own(map, KEY(key));
    assert_true((slot != NULL) == (model->numbers[index] >= 0));
    if (slot == NULL) {
        return;
    }
    if ((*slot)->refs == 1) {
        ((struct number *)*slot)->number = n;
    } else {
        pmap_value_unref(*slot);
        *slot = number_new(n);
    }
    model->numbers[index] = n;
}

static void random_changes_agree_with_a_table(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 7);
    struct pmap map = {0};
    struct model model;
    memset(&model, 0xff, sizeof model);
    struct pmap clones[CLONES] = {{0}};
    struct model frozen[CLONES];
    memset(frozen, 0xff, sizeof frozen);
    for (int step = 0; step < STEPS; step++) {
        int index = (int)rng_below(&rng, KEYS);
        struct key key = key_of(index);
        int64_t n = (int64_t)step * KEYS + index;
        switch (rng_below(&rng, 8)) {
        case 0:
        case 1:
        case 2:
            pmap_put(&map, KEY(key), number_new(n));
            model.numbers[index] = n;
            break;
        case 3:
        case 4:
            assert_int_equal(pmap_remove(&map, KEY(key)), model.numbers[index] >= 0);
            model.numbers[index] = -1;
            break;
        case 5:
        case 6:
            own_and_change(&map, &model, index, n);
            break;
        default:
            if (rng_below(&rng, 20) == 0) {
                size_t c = rng_below(&rng, CLONES);
                check(&clones[c], &frozen[c]);
                pmap_clear(&clones[c]);
                clones[c] = pmap_clone(&map);
                frozen[c] = model;
            }
        }
        if (step % 500 == 0) {
            check(&map, &model);
        }
    }
    for (size_t c = 0; c < CLONES; c++) {
        check(&clones[c], &frozen[c]);
        pmap_clear(&clones[c]);
    }
    check(&map, &model);
    pmap_clear(&map);
    assert_int_equal(live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_changes_agree_with_a_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
