/* Records in, image and delta out. */
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
#include "tests/unit/metadata/records.h"

static int64_t next_offset;

/* Applies the list as one batch and empties it. */
static enum err apply(struct image *image, struct image_delta *delta, struct record_list *list,
                      struct err_text *text)
{
    struct bytes batch = batch_of(list, next_offset, 3, false);
    enum err error = image_apply_batches(image, delta, batch.data, batch.size, text);
    next_offset += (int64_t)list->count;
    bytes_free(&batch);
    record_list_cut(list, 0);
    return error;
}

static void must_apply(struct image *image, struct image_delta *delta, struct record_list *list)
{
    struct err_text text = {{0}};
    if (apply(image, delta, list, &text) != ERR_NONE) {
        fail_msg("%s", text.text);
    }
}

static const int32_t three[] = {1, 2, 3};

static void a_topic_is_born_changes_and_dies(void **state)
{
    (void)state;
    next_offset = 0;
    struct image *image = image_new();
    struct record_list list = {0};
    struct uuid id = uuid_from_number(1000);
    put_topic(&list, "orders", id);
    put_config(&list, IMAGE_RESOURCE_TOPIC, "orders", "retention.ms", "7");
    put_partition(&list, id, 1, 2, three, 3);
    put_partition(&list, id, 0, 1, three, 3);
    struct image_delta delta = {0};
    must_apply(image, &delta, &list);
    const struct image_topic *topic = image_topic_by_name(image, "orders");
    assert_non_null(topic);
    assert_int_equal(topic->partition_count, 2);
    assert_int_equal(topic->partitions[1]->leader, 2);
    assert_int_equal(topic->partitions[1]->replicas.count, 3);
    assert_int_equal(image_partition_count(image), 2);
    assert_int_equal(image_offset(image), 3);
    assert_int_equal(image_epoch(image), 3);
    assert_string_equal(image_config_value(image, IMAGE_RESOURCE_TOPIC, "orders", "retention.ms"),
                        "7");
    assert_int_equal(delta.topic_count, 1);
    assert_true(delta.topics[0]->created && !delta.topics[0]->deleted);
    assert_int_equal(delta.topics[0]->partition_count, 2);
    assert_int_equal(delta.topics[0]->partitions[0], 0);
    assert_int_equal(delta.configs_count, 1);
    image_delta_clear(&delta);

    put_isr(&list, id, 1, three, 2);
    put_leader(&list, id, 1, -1);
    must_apply(image, &delta, &list);
    const struct image_partition *partition = image_partition_of(image, &id, 1);
    assert_int_equal(partition->isr.count, 2);
    assert_int_equal(partition->leader, -1);
    assert_int_equal(partition->leader_epoch, 1); /* the ISR alone does not raise it */
    assert_int_equal(partition->partition_epoch, 2);
    assert_false(delta.topics[0]->created);
    assert_int_equal(delta.topics[0]->partition_count, 1);
    assert_int_equal(delta.topics[0]->partitions[0], 1);
    image_delta_clear(&delta);

    put_remove(&list, id);
    must_apply(image, &delta, &list);
    assert_null(image_topic_by_name(image, "orders"));
    assert_null(image_topic_by_id(image, &id));
    assert_null(image_configs(image, IMAGE_RESOURCE_TOPIC, "orders"));
    assert_int_equal(image_partition_count(image), 0);
    assert_true(delta.topics[0]->deleted);
    assert_string_equal(delta.topics[0]->name, "orders");
    image_delta_clear(&delta);
    record_list_free(&list);
    image_free(image);
}

static void a_topic_within_one_delta_leaves_no_trace(void **state)
{
    (void)state;
    next_offset = 0;
    struct image *image = image_new();
    struct record_list list = {0};
    struct image_delta delta = {0};
    struct uuid id = uuid_from_number(1000);
    put_topic(&list, "brief", id);
    put_partition(&list, id, 0, 1, three, 1);
    put_remove(&list, id);
    must_apply(image, &delta, &list);
    assert_true(image_delta_empty(&delta));
    image_delta_clear(&delta);
    record_list_free(&list);
    image_free(image);
}

static void a_transaction_shows_at_its_end_only(void **state)
{
    (void)state;
    next_offset = 0;
    struct image *image = image_new();
    struct record_list list = {0};
    struct image_delta delta = {0};
    put_mark(&list, RECORD_BEGIN_TRANSACTION);
    put_feature(&list, "metadata.version", 30);
    must_apply(image, &delta, &list);
    assert_true(image_in_transaction(image));
    assert_int_equal(image_feature_level(image, "metadata.version"), 0);
    assert_true(image_delta_empty(&delta));
    struct image *early = image_clone(image);
    put_topic(&list, "a", uuid_from_number(1000));
    put_mark(&list, RECORD_END_TRANSACTION);
    must_apply(image, &delta, &list);
    assert_false(image_in_transaction(image));
    assert_int_equal(image_feature_level(image, "metadata.version"), 30);
    assert_non_null(image_topic_by_name(image, "a"));
    assert_true(delta.features);
    image_delta_clear(&delta);
    /* the clone, in the middle of it, can go another way */
    put_mark(&list, RECORD_ABORT_TRANSACTION);
    must_apply(early, &delta, &list);
    assert_false(image_in_transaction(early));
    assert_int_equal(image_feature_level(early, "metadata.version"), 0);
    assert_true(image_delta_empty(&delta));
    put_mark(&list, RECORD_END_TRANSACTION);
    struct err_text text = {{0}};
    assert_int_not_equal(apply(early, NULL, &list, &text), ERR_NONE);
    record_list_free(&list);
    image_free(early);
    image_free(image);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    next_offset = 40;
    struct image *image = image_new();
    struct err_text text = {{0}};
    static const uint8_t unknown[] = {1, 99, 0};
    assert_int_equal(image_apply_record(image, NULL, unknown, sizeof unknown, 40, 1, 0, &text),
                     ERR_UNSUPPORTED);
    assert_string_equal(text.text,
                        "metadata record at offset 40: record type 99 is not known to this build");
    static const uint8_t version[] = {1, 2, 9};
    assert_int_equal(image_apply_record(image, NULL, version, sizeof version, 40, 1, 0, &text),
                     ERR_UNSUPPORTED);
    assert_non_null(strstr(text.text, "TopicRecord version 9"));
    static const uint8_t frame[] = {0, 2, 0};
    assert_int_equal(image_apply_record(image, NULL, frame, sizeof frame, 40, 1, 0, &text),
                     ERR_UNSUPPORTED);
    static const uint8_t cut[] = {1, 2, 0, 5, 'a'};
    assert_int_not_equal(image_apply_record(image, NULL, cut, sizeof cut, 40, 1, 0, &text),
                         ERR_NONE);
    struct record_list list = {0};
    put_isr(&list, uuid_from_number(5), 0, three, 1);
    assert_int_equal(apply(image, NULL, &list, &text), ERR_NOT_FOUND);
    put_fencing(&list, 7, 1, 1);
    assert_int_equal(apply(image, NULL, &list, &text), ERR_NOT_FOUND);
    put_partition(&list, uuid_from_number(5), 1 << 30, 1, three, 1);
    assert_int_equal(apply(image, NULL, &list, &text), ERR_INVALID);
    put_producer_ids(&list, 1000);
    put_producer_ids(&list, 1000);
    assert_int_equal(apply(image, NULL, &list, &text), ERR_INVALID);
    put_topic(&list, "x", uuid_from_number(1));
    struct bytes batch = batch_of(&list, 0, 1, false);
    batch.data[batch.size - 2] ^= 1;
    assert_int_equal(image_apply_batches(image, NULL, batch.data, batch.size, &text), ERR_CORRUPT);
    for (size_t size = 1; size < batch.size; size++) {
        assert_int_not_equal(image_apply_batches(image, NULL, batch.data, size, &text), ERR_NONE);
    }
    bytes_free(&batch);
    record_list_free(&list);
    image_free(image);
}

static void a_control_batch_moves_the_offset_only(void **state)
{
    (void)state;
    struct image *image = image_new();
    struct record_list list = {0};
    put_topic(&list, "x", uuid_from_number(1));
    struct bytes batch = batch_of(&list, 11, 9, true);
    struct err_text text = {{0}};
    assert_int_equal(image_apply_batches(image, NULL, batch.data, batch.size, &text), ERR_NONE);
    assert_int_equal(image_offset(image), 11);
    assert_int_equal(image_epoch(image), 9);
    assert_int_equal(image_topic_count(image), 0);
    bytes_free(&batch);
    record_list_free(&list);
    image_free(image);
}

static void a_broker_comes_is_unfenced_and_fenced(void **state)
{
    (void)state;
    next_offset = 0;
    struct image *image = image_new();
    struct record_list list = {0};
    struct image_delta delta = {0};
    put_broker(&list, 4, 17);
    must_apply(image, &delta, &list);
    const struct image_broker *broker = image_broker(image, 4);
    assert_true(broker->fenced);
    assert_int_equal(broker->epoch, 17);
    assert_string_equal(broker->rack, "r1");
    assert_int_equal(image_broker_endpoint(broker, "PLAINTEXT")->port, 9092);
    assert_null(image_broker_endpoint(broker, "SSL"));
    assert_int_equal(delta.broker_count, 1);
    put_fencing(&list, 4, 17, -1);
    must_apply(image, &delta, &list);
    assert_false(image_broker(image, 4)->fenced);
    assert_string_equal(image_broker_endpoint(image_broker(image, 4), "PLAINTEXT")->host,
                        "127.0.0.1");
    put_fencing(&list, 4, 17, 1);
    must_apply(image, &delta, &list);
    assert_true(image_broker(image, 4)->fenced);
    struct err_text text = {{0}};
    put_fencing(&list, 4, 16, -1);
    assert_int_not_equal(apply(image, NULL, &list, &text), ERR_NONE);
    image_delta_clear(&delta);
    record_list_free(&list);
    image_free(image);
}

static void settings_come_and_go(void **state)
{
    (void)state;
    next_offset = 0;
    struct image *image = image_new();
    struct record_list list = {0};
    put_config(&list, IMAGE_RESOURCE_BROKER, "", "b", "1");
    put_config(&list, IMAGE_RESOURCE_BROKER, "", "ab", "2");
    put_config(&list, IMAGE_RESOURCE_BROKER, "", "a", "3");
    must_apply(image, NULL, &list);
    const struct image_configs *configs = image_configs(image, IMAGE_RESOURCE_BROKER, "");
    assert_int_equal(configs->count, 3);
    assert_string_equal(configs->items[0].key, "a");
    assert_string_equal(configs->items[1].key, "ab");
    struct image *before = image_clone(image);
    put_config(&list, IMAGE_RESOURCE_BROKER, "", "a", "4");
    put_config(&list, IMAGE_RESOURCE_BROKER, "", "ab", NULL);
    must_apply(image, NULL, &list);
    assert_string_equal(image_config_value(image, IMAGE_RESOURCE_BROKER, "", "a"), "4");
    assert_null(image_config_value(image, IMAGE_RESOURCE_BROKER, "", "ab"));
    assert_string_equal(image_config_value(before, IMAGE_RESOURCE_BROKER, "", "a"), "3");
    put_config(&list, IMAGE_RESOURCE_BROKER, "", "a", NULL);
    put_config(&list, IMAGE_RESOURCE_BROKER, "", "b", NULL);
    must_apply(image, NULL, &list);
    assert_null(image_configs(image, IMAGE_RESOURCE_BROKER, ""));
    image_free(before);
    record_list_free(&list);
    image_free(image);
}

/* ---- random records against a plain model, with clones ----------------------------------------
 */

enum { TOPICS = 40, PARTITIONS = 5, BATCHES = 3000, KEPT = 8 };

struct model_topic {
    bool exists;
    uint64_t id;
    int32_t partitions;
    int32_t leader[PARTITIONS];
    int32_t leader_epoch[PARTITIONS];
    int32_t isr[PARTITIONS];
    bool setting;
};

struct model {
    struct model_topic topics[TOPICS];
    uint64_t next_id;
};

static const char *name_of(int index, char text[16])
{
    snprintf(text, 16, "t%d.%d", index % 7, index);
    return text;
}

static void change_topic(struct model *model, struct rng *rng, struct record_list *list)
{
    char name[16];
    int index = (int)rng_below(rng, TOPICS);
    struct model_topic *topic = &model->topics[index];
    struct uuid id = uuid_from_number(topic->id);
    if (!topic->exists) {
        *topic = (struct model_topic){.exists = true, .id = model->next_id++};
        id = uuid_from_number(topic->id);
        put_topic(list, name_of(index, name), id);
    }
    uint64_t what = rng_below(rng, 10);
    if (what == 0) {
        put_remove(list, id);
        topic->exists = false;
    } else if (what < 4 && topic->partitions < PARTITIONS) {
        int32_t p = topic->partitions++;
        put_partition(list, id, p, 1, three, 3);
        topic->leader[p] = 1;
        topic->isr[p] = 3;
        topic->leader_epoch[p] = 0;
    } else if (what < 9 && topic->partitions > 0) {
        int32_t p = (int32_t)rng_below(rng, (uint64_t)topic->partitions);
        if (what < 6) {
            topic->isr[p] = 1 + (int32_t)rng_below(rng, 3);
            put_isr(list, id, p, three, topic->isr[p]);
        } else {
            topic->leader[p] = (int32_t)rng_below(rng, 4) - 1;
            topic->leader_epoch[p]++;
            put_leader(list, id, p, topic->leader[p]);
        }
    } else {
        topic->setting = !topic->setting;
        put_config(list, IMAGE_RESOURCE_TOPIC, name_of(index, name), "k",
                   topic->setting ? "v" : NULL);
    }
}

struct names {
    char last[16];
    size_t count;
};

static bool see_name(void *ctx, const struct image_topic *topic)
{
    struct names *names = ctx;
    assert_true(strcmp(names->last, topic->name) < 0);
    snprintf(names->last, sizeof names->last, "%s", topic->name);
    names->count++;
    return true;
}

static void check(const struct image *image, const struct model *model)
{
    size_t count = 0;
    size_t partitions = 0;
    for (int i = 0; i < TOPICS; i++) {
        char name[16];
        const struct model_topic *expected = &model->topics[i];
        const struct image_topic *topic = image_topic_by_name(image, name_of(i, name));
        assert_true((topic != NULL) == expected->exists);
        if (topic == NULL) {
            continue;
        }
        count++;
        partitions += (size_t)expected->partitions;
        assert_int_equal(topic->partition_count, expected->partitions);
        for (int32_t p = 0; p < topic->partition_count; p++) {
            assert_int_equal(topic->partitions[p]->leader, expected->leader[p]);
            assert_int_equal(topic->partitions[p]->leader_epoch, expected->leader_epoch[p]);
            assert_int_equal(topic->partitions[p]->isr.count, expected->isr[p]);
            assert_int_equal(topic->partitions[p]->replicas.ids[2], 3);
        }
        assert_true((image_config_value(image, IMAGE_RESOURCE_TOPIC, name, "k") != NULL) ==
                    expected->setting);
    }
    assert_int_equal(image_topic_count(image), count);
    assert_int_equal(image_partition_count(image), partitions);
    struct names names = {"", 0};
    image_each_topic(image, see_name, &names);
    assert_int_equal(names.count, count);
}

static void random_records_agree_with_a_model(void **state)
{
    (void)state;
    next_offset = 0;
    struct rng rng;
    rng_seed(&rng, 11);
    struct model model = {.next_id = 1000};
    struct image *image = image_new();
    struct image *kept[KEPT] = {NULL};
    struct model frozen[KEPT];
    struct record_list list = {0};
    struct bytes all = {0};
    for (int i = 0; i < BATCHES; i++) {
        int changes = 1 + (int)rng_below(&rng, 6);
        for (int k = 0; k < changes; k++) {
            change_topic(&model, &rng, &list);
        }
        struct bytes batch = batch_of(&list, next_offset, 3, false);
        bytes_append(&all, batch.data, batch.size);
        bytes_free(&batch);
        struct image_delta delta = {0};
        must_apply(image, &delta, &list);
        assert_false(i == 0 && image_delta_empty(&delta) && model.topics[0].exists);
        image_delta_clear(&delta);
        if (i % 10 == 0) {
            size_t at = rng_below(&rng, KEPT);
            if (kept[at] != NULL) {
                check(kept[at], &frozen[at]);
                image_free(kept[at]);
            }
            kept[at] = image_clone(image);
            frozen[at] = model;
            check(image, &model);
        }
    }
    check(image, &model);
    struct image *replayed = image_new();
    struct err_text text = {{0}};
    assert_int_equal(image_apply_batches(replayed, NULL, all.data, all.size, &text), ERR_NONE);
    assert_true(image_equal(image, replayed));
    put_topic(&list, "one-more", uuid_from_number(1));
    must_apply(replayed, NULL, &list);
    assert_false(image_equal(image, replayed));
    for (size_t at = 0; at < KEPT; at++) {
        if (kept[at] != NULL) {
            check(kept[at], &frozen[at]);
            image_free(kept[at]);
        }
    }
    bytes_free(&all);
    record_list_free(&list);
    image_free(replayed);
    image_free(image);
}

/* Records as a broken disk or a strange peer may have them: errors or not, never a crash. */
static void damaged_records_are_errors_at_worst(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 13);
    struct record_list list = {0};
    struct uuid id = uuid_from_number(1000);
    put_topic(&list, "orders", id);
    put_partition(&list, id, 0, 1, three, 3);
    put_isr(&list, id, 0, three, 2);
    put_leader(&list, id, 0, 2);
    put_config(&list, IMAGE_RESOURCE_TOPIC, "orders", "k", "v");
    put_broker(&list, 4, 17);
    put_fencing(&list, 4, 17, -1);
    put_feature(&list, "metadata.version", 30);
    put_producer_ids(&list, 1000);
    put_mark(&list, RECORD_BEGIN_TRANSACTION);
    put_mark(&list, RECORD_END_TRANSACTION);
    put_mark(&list, RECORD_CLEAR_ELR);
    put_remove(&list, id);
    size_t failed = 0;
    for (int round = 0; round < 4000; round++) {
        struct image *image = image_new();
        struct image_delta delta = {0};
        for (size_t i = 0; i < 3 * list.count; i++) {
            struct wire_bytes record = record_list_at(&list, i % list.count);
            uint8_t copy[512];
            assert_in_range(record.size, 1, sizeof copy);
            memcpy(copy, record.data, (size_t)record.size);
            if (rng_below(&rng, 3) == 0) {
                copy[rng_below(&rng, (uint64_t)record.size)] = (uint8_t)rng_next(&rng);
            }
            struct err_text text = {{0}};
            failed += image_apply_record(image, &delta, copy, (size_t)record.size, (int64_t)i, 1, 0,
                                         &text) != ERR_NONE;
        }
        image_delta_clear(&delta);
        image_free(image);
    }
    assert_in_range(failed, 1000, 1000000);
    record_list_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_born_changes_and_dies),
        cmocka_unit_test(a_topic_within_one_delta_leaves_no_trace),
        cmocka_unit_test(a_transaction_shows_at_its_end_only),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(a_control_batch_moves_the_offset_only),
        cmocka_unit_test(a_broker_comes_is_unfenced_and_fenced),
        cmocka_unit_test(settings_come_and_go),
        cmocka_unit_test(random_records_agree_with_a_model),
        cmocka_unit_test(damaged_records_are_errors_at_worst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
