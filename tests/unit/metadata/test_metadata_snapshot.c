/* An image written as records and read back, and what leads from one image to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/metadata/image.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/wire/messages.h"
#include "tests/unit/metadata/records.h"

static struct uuid id_of(uint64_t n)
{
    return uuid_from_number(1000 + n);
}

static void apply(struct image *image, const struct record_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct wire_bytes record = record_list_at(list, i);
        struct err_text text = {""};
        enum err error = image_apply_record(image, NULL, record.data, (size_t)record.size,
                                            image_offset(image) + 1, 3, 77, &text);
        if (error != ERR_NONE) {
            fail_msg("%s", text.text);
        }
    }
}

/* A partition that has something in every field. */
static void put_rich_partition(struct record_list *list, struct uuid id)
{
    int32_t replicas[] = {3, 1, 2};
    int32_t isr[] = {1};
    int32_t adding[] = {2};
    int32_t removing[] = {3};
    int32_t elr[] = {2};
    int32_t last[] = {3};
    struct uuid dirs[] = {id_of(51), id_of(52), id_of(53)};
    struct partition_record record;
    wire_defaults(&wire_partition_record, &record);
    record.partition_id = 1;
    record.topic_id = id;
    record.leader = 1;
    record.leader_epoch = 7;
    record.partition_epoch = 9;
    record.leader_recovery_state = 1;
#define PUT(field, values)                                                                         \
    record.field.items = (values);                                                                 \
    record.field.count = (int32_t)(sizeof(values) / sizeof(values)[0])
    PUT(replicas, replicas);
    PUT(isr, isr);
    PUT(adding_replicas, adding);
    PUT(removing_replicas, removing);
    PUT(eligible_leader_replicas, elr);
    PUT(last_known_elr, last);
    PUT(directories, dirs);
    record_list_add(list, RECORD_PARTITION, 2, &record);
}

static void put_rich_broker(struct record_list *list, int32_t id)
{
    struct register_broker_record_end_point points[] = {
        {wire_str("PLAINTEXT"), wire_str("one.example"), 9092, 0},
        {wire_str("SSL"), wire_str("two.example"), 9093, 1}};
    struct register_broker_record_feature features[] = {{wire_str("metadata.version"), 17, 30}};
    struct uuid dirs[] = {id_of(61), id_of(62)};
    struct uuid cordoned[] = {id_of(62)};
    struct register_broker_record record;
    wire_defaults(&wire_register_broker_record, &record);
    record.broker_id = id;
    record.broker_epoch = 12;
    record.incarnation_id = id_of(70);
    record.rack = wire_str("cellar");
    record.fenced = false;
    record.in_controlled_shutdown = true;
    PUT(end_points, points);
    PUT(features, features);
    PUT(log_dirs, dirs);
    PUT(cordoned_log_dirs, cordoned);
    record_list_add(list, RECORD_REGISTER_BROKER, 4, &record);
}

static void put_controller(struct record_list *list, int32_t id)
{
    struct register_controller_record_end_point points[] = {
        {wire_str("CONTROLLER"), wire_str("h"), 9093, 0}};
    struct register_controller_record_feature features[] = {{wire_str("kraft.version"), 0, 1}};
    struct register_controller_record record;
    wire_defaults(&wire_register_controller_record, &record);
    record.controller_id = id;
    record.incarnation_id = id_of(80);
    PUT(end_points, points);
    PUT(features, features);
    record_list_add(list, RECORD_REGISTER_CONTROLLER, 0, &record);
}

static struct image *rich_image(int topics)
{
    struct record_list list = {0};
    struct image *image = image_new();
    put_feature(&list, "eligible.leader.replicas.version", 1);
    put_feature(&list, "metadata.version", 30);
    put_rich_broker(&list, 5);
    put_broker(&list, 2, 40);
    put_controller(&list, 9);
    for (int i = 0; i < topics; i++) {
        char name[32];
        int32_t replicas[] = {1, 2, 3};
        snprintf(name, sizeof name, "topic%d", i);
        put_topic(&list, name, id_of((uint64_t)i));
        put_partition(&list, id_of((uint64_t)i), 0, 1, replicas, 3);
    }
    put_rich_partition(&list, id_of(0));
    put_config(&list, 2, "topic0", "retention.ms", "1");
    put_config(&list, 2, "topic0", "segment.ms", "");
    put_config(&list, 4, "", "log.flush.interval.ms", "5");
    put_producer_ids(&list, 3000);
    apply(image, &list);
    record_list_free(&list);
    return image;
}

struct copy {
    struct image *image;
    int left;         /* records until it refuses; -1 never */
    uint64_t keys[8]; /* the first record types */
    size_t count;
};

static enum err take(void *ctx, const void *record, size_t size)
{
    struct copy *copy = ctx;
    struct err_text text = {""};
    if (copy->left == 0) {
        return ERR_NO_SPACE;
    }
    copy->left--;
    struct wire_in in = wire_in_of(record, size);
    (void)wire_get_uvarint(&in);
    if (copy->count < 8) {
        copy->keys[copy->count] = wire_get_uvarint(&in);
    }
    enum err error =
        image_apply_record(copy->image, NULL, record, size, (int64_t)copy->count++, 0, 0, &text);
    if (error != ERR_NONE) {
        fail_msg("%s", text.text);
    }
    return error;
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (int topics = 1; topics < 40; topics += 13) {
        struct image *image = rich_image(topics);
        struct copy copy = {.image = image_new(), .left = -1};
        assert_int_equal(image_write(image, take, &copy), ERR_NONE);
        assert_false(image_equal(image, copy.image)); /* it stands elsewhere yet */
        image_stand_at(copy.image, image_offset(image), image_epoch(image), 77);
        assert_true(image_equal(image, copy.image));
        assert_int_equal(image_timestamp_ms(copy.image), 77);
        uint64_t order[] = {RECORD_FEATURE_LEVEL,       RECORD_FEATURE_LEVEL,
                            RECORD_REGISTER_BROKER,     RECORD_REGISTER_BROKER,
                            RECORD_REGISTER_CONTROLLER, RECORD_TOPIC,
                            RECORD_PARTITION,           RECORD_PARTITION};
        assert_memory_equal(order, copy.keys, sizeof order);
        image_free(copy.image);
        image_free(image);
    }
}

static void an_empty_image_is_no_record(void **state)
{
    (void)state;
    struct image *image = image_new();
    struct copy copy = {.image = image_new(), .left = -1};
    assert_int_equal(image_write(image, take, &copy), ERR_NONE);
    assert_int_equal(copy.count, 0);
    image_free(copy.image);
    image_free(image);
}

static void a_refusal_ends_the_writing(void **state)
{
    (void)state;
    struct image *image = rich_image(3);
    struct copy all = {.image = image_new(), .left = -1};
    assert_int_equal(image_write(image, take, &all), ERR_NONE);
    for (int left = 0; left < (int)all.count; left++) {
        struct copy copy = {.image = image_new(), .left = left};
        assert_int_equal(image_write(image, take, &copy), ERR_NO_SPACE);
        assert_int_equal(copy.count, left);
        image_free(copy.image);
    }
    image_free(all.image);
    image_free(image);
}

static struct image_delta_topic entry_of(const struct image_delta *delta, struct uuid id)
{
    for (size_t i = 0; i < delta->topic_count; i++) {
        if (uuid_equal(&delta->topics[i]->id, &id)) {
            return *delta->topics[i];
        }
    }
    fail_msg("a topic is not listed");
    return (struct image_delta_topic){.partition_count = -1};
}

static void a_delta_leads_from_one_image_to_another(void **state)
{
    (void)state;
    struct image *from = rich_image(4);
    struct image *to = rich_image(4);
    struct record_list list = {0};
    int32_t replicas[] = {1, 2};
    int32_t isr[] = {2};
    put_isr(&list, id_of(2), 0, isr, 1);
    put_remove(&list, id_of(3));
    put_topic(&list, "topic3", id_of(33)); /* the name passes on */
    put_partition(&list, id_of(33), 0, 1, replicas, 2);
    apply(to, &list);
    struct image_delta delta = {0};
    image_delta_between(&delta, from, to);
    assert_int_equal(delta.topic_count, 3);
    assert_true(entry_of(&delta, id_of(3)).deleted);
    assert_true(entry_of(&delta, id_of(33)).created);
    assert_false(entry_of(&delta, id_of(2)).created);
    assert_int_equal(entry_of(&delta, id_of(2)).partition_count, 1);
    assert_int_equal(entry_of(&delta, id_of(33)).partition_count, 1);
    assert_true(delta.features && delta.producer_ids);
    assert_int_equal(delta.broker_count, 2);
    image_delta_clear(&delta);

    struct image *empty = image_new();
    image_delta_between(&delta, to, empty);
    assert_int_equal(delta.topic_count, 4);
    assert_true(entry_of(&delta, id_of(0)).deleted);
    assert_int_equal(delta.broker_count, 2);
    assert_int_equal(delta.controller_count, 1);
    assert_int_equal(delta.configs_count, 2);
    image_delta_clear(&delta);

    struct image *holder = image_clone(from);
    image_take(holder, to);
    struct uuid id = id_of(33);
    assert_ptr_equal(image_topic_by_id(holder, &id), image_topic_by_name(holder, "topic3"));
    image_free(holder);
    image_free(empty);
    image_free(from);
    record_list_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(an_empty_image_is_no_record),
        cmocka_unit_test(a_refusal_ends_the_writing),
        cmocka_unit_test(a_delta_leads_from_one_image_to_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
