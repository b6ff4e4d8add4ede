/* What a broker holds, without a scan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/metadata/image.h"
#include "common/base/mem.h"
#include "common/wire/messages.h"
#include "tests/unit/metadata/records.h"
#include "tests/unit/metadata/scan.h"

enum { BROKERS = 6, TOPICS = 5, PARTITIONS = 1300, STEPS = 3000, CLONES = 8 };

static void apply(struct image *image, struct record_list *records)
{
    struct err_text text = {""};
    for (size_t i = 0; i < records->count; i++) {
        struct wire_bytes bytes = record_list_at(records, i);
        if (image_apply_record(image, NULL, bytes.data, (size_t)bytes.size, image_offset(image) + 1,
                               1, 0, &text) != ERR_NONE) {
            fail_msg("%s", text.text);
        }
    }
    record_list_free(records);
}

static void check(const struct image *image)
{
    const char *what = scan_differs(image, BROKERS);
    if (what != NULL) {
        fail_msg("%s", what);
    }
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % below;
}

/* Up to four distinct brokers. */
static int32_t draw_ids(uint64_t *seed, int32_t *ids)
{
    int32_t count = 1 + (int32_t)draw(seed, 4);
    int32_t first = (int32_t)draw(seed, BROKERS);
    for (int32_t i = 0; i < count; i++) {
        ids[i] = (first + i) % BROKERS;
    }
    return count;
}

static const char *const names[TOPICS] = {"a", "b", "c", "d", "e"};

/* Numbers at the edges of words and runs, and in between. */
static int32_t draw_partition(uint64_t *seed)
{
    static const int32_t edges[] = {0, 1, 63, 64, 511, 512, 513, 1023, 1024, PARTITIONS - 1};
    uint32_t at = draw(seed, 20);
    return at < 10 ? edges[at] : (int32_t)draw(seed, PARTITIONS);
}

static void one_step(struct image *image, uint64_t *seed)
{
    struct record_list records = {0};
    uint32_t which = draw(seed, TOPICS);
    struct uuid id = uuid_from_number(1000 + which);
    int32_t ids[4];
    int32_t count = draw_ids(seed, ids);
    int32_t partition = draw_partition(seed);
    int32_t leader = draw(seed, 3) == 0 ? -1 : ids[draw(seed, (uint32_t)count)];
    if (image_topic_by_id(image, &id) == NULL) {
        put_topic(&records, names[which], id);
        put_partition(&records, id, partition, leader, ids, count);
    } else if (draw(seed, 200) == 0) {
        put_remove(&records, id);
    } else if (image_partition_of(image, &id, partition) == NULL) {
        put_partition(&records, id, partition, leader, ids, count);
    } else if (draw(seed, 3) == 0) {
        put_replicas(&records, id, partition, ids, count, (int32_t)draw(seed, 2),
                     (int32_t)draw(seed, 2));
    } else if (draw(seed, 2) == 0) {
        put_isr(&records, id, partition, ids, count);
    } else {
        put_leader(&records, id, partition, leader);
    }
    apply(image, &records);
}

static void it_agrees_with_a_scan_whatever_happens(void **state)
{
    (void)state;
    uint64_t seed = 11;
    struct image *image = image_new();
    struct image *clones[CLONES] = {NULL};
    for (int step = 0; step < STEPS; step++) {
        one_step(image, &seed);
        if (step % 97 == 0) {
            check(image);
            int at = step / 97 % CLONES;
            if (clones[at] != NULL) {
                check(clones[at]); /* what came later did not reach it */
                image_free(clones[at]);
            }
            clones[at] = image_clone(image);
        }
    }
    check(image);
    for (int i = 0; i < CLONES; i++) {
        check(clones[i]);
        one_step(clones[i], &seed); /* and the other way */
        check(clones[i]);
        image_free(clones[i]);
    }
    check(image);
    image_free(image);
}

static bool stop_at_third(void *ctx, const struct image_topic *topic,
                          const struct image_partition *partition)
{
    (void)topic;
    (void)partition;
    return ++*(int *)ctx < 3;
}

static void a_walk_may_be_ended(void **state)
{
    (void)state;
    struct image *image = image_new();
    struct record_list records = {0};
    const int32_t one = 1;
    for (uint64_t t = 0; t < 3; t++) {
        put_topic(&records, names[t], uuid_from_number(1000 + t));
        for (int32_t p = 0; p < 2; p++) {
            put_partition(&records, uuid_from_number(1000 + t), p, 1, &one, 1);
        }
    }
    apply(image, &records);
    int seen = 0;
    image_each_isr_partition(image, 1, stop_at_third, &seen);
    assert_int_equal(seen, 3);
    seen = 0;
    image_each_leaderless(image, stop_at_third, &seen);
    assert_int_equal(seen, 0);
    image_free(image);
}

/* Records may come from others: odd ids do no harm. */
static void odd_members_do_no_harm(void **state)
{
    (void)state;
    struct image *image = image_new();
    struct record_list records = {0};
    struct uuid id = uuid_from_number(1000);
    put_topic(&records, "a", id);
    const int32_t odd[] = {-1, 2, 2, -7};
    put_partition(&records, id, 0, 3, odd, 4); /* led by one outside of the ISR */
    apply(image, &records);
    check(image);
    assert_true(image_leads_any(image, 3));
    int seen = 0;
    image_each_leaderless(image, stop_at_third, &seen);
    assert_int_equal(seen, 0);
    const int32_t two = 2;
    put_leader(&records, id, 0, -1);
    put_isr(&records, id, 0, &two, 1);
    apply(image, &records);
    check(image);
    assert_false(image_leads_any(image, 3));
    put_remove(&records, id);
    apply(image, &records);
    check(image);
    image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_scan_whatever_happens),
        cmocka_unit_test(a_walk_may_be_ended),
        cmocka_unit_test(odd_members_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
