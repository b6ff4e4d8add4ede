#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire/kafka_error.h"
#include "console/batch.h"
#include "console/learn.h"

static int32_t replicas[] = {1, 2, 9};
static int32_t isr[] = {1, 2};

static struct metadata_response_partition partition_of(int32_t index, int32_t leader)
{
    struct metadata_response_partition p = {
        .partition_index = index, .leader_id = leader, .leader_epoch = 3};
    p.replica_nodes.items = replicas;
    p.replica_nodes.count = 3;
    p.isr_nodes.items = isr;
    p.isr_nodes.count = 2;
    return p;
}

static struct model *learn_fixture(void)
{
    struct model *m = model_new();
    struct metadata_response_broker brokers[] = {
        {.node_id = 2, .host = wire_str("b"), .port = 2, .rack = WIRE_STR_NULL},
        {.node_id = 1, .host = wire_str("a"), .port = 1, .rack = wire_str("r")}};
    struct metadata_response_partition partitions[] = {partition_of(1, -1), partition_of(0, 1)};
    struct metadata_response_topic topics[] = {
        {.name = wire_str("orders"), .topic_id = uuid_from_number(7)},
        {.name = wire_str("secret"), .error_code = KAFKA_TOPIC_AUTHORIZATION_FAILED},
        {.name = WIRE_STR_NULL},
    };
    topics[0].partitions.items = partitions;
    topics[0].partitions.count = 2;
    struct metadata_response r = {.cluster_id = wire_str("c")};
    r.brokers.items = brokers;
    r.brokers.count = 2;
    r.topics.items = topics;
    r.topics.count = 3;
    learn_metadata(m, &r, 1000);
    return m;
}

static void offsets(struct model *m, enum learn_offset kind, int32_t broker, int16_t error,
                    int64_t offset)
{
    struct list_offsets_response_partition p[] = {
        {.partition_index = 0, .error_code = error, .offset = offset},
        {.partition_index = 77, .offset = 5}};
    struct list_offsets_response_topic t[] = {{.name = wire_str("orders")},
                                              {.name = wire_str("gone")}};
    t[0].partitions.items = p;
    t[0].partitions.count = 2;
    t[1].partitions.items = p;
    t[1].partitions.count = 1;
    struct list_offsets_response r = {0};
    r.topics.items = t;
    r.topics.count = 2;
    learn_offsets(m, kind, broker, &r, 2000);
}

static void test_metadata(void **state)
{
    (void)state;
    struct model *m = learn_fixture();
    assert_int_equal(m->topic_count, 2);
    assert_int_equal(m->broker_count, 3);
    assert_true(m->brokers[0].alive);
    assert_string_equal(m->brokers[0].rack, "r");
    assert_false(m->brokers[2].alive); /* only named in replica lists */
    assert_null(m->brokers[2].host);
    assert_true(model_find_topic(m, "secret")->denied);
    const struct model_partition *p = model_find_partition(m, "orders", 1);
    assert_int_equal(p->leader, MODEL_NO_BROKER);
    assert_false(model_find_replica(p, 9)->in_sync);
    assert_int_equal(m->parts[MODEL_CLUSTER].state, MODEL_READ);
    model_unref(m);
}

static void test_offsets_stay_when_metadata_comes_again(void **state)
{
    (void)state;
    struct model *m = learn_fixture();
    offsets(m, LEARN_REPLICA_END, 2, KAFKA_NONE, 40);
    offsets(m, LEARN_REPLICA_END, 1, KAFKA_NONE, 50);
    offsets(m, LEARN_HIGH_WATERMARK, 1, KAFKA_NONE, 45);
    offsets(m, LEARN_LOG_START, 1, KAFKA_NONE, 4);
    struct model *again = learn_fixture();
    struct metadata_response_partition one = partition_of(0, 2);
    struct metadata_response_topic topic = {.name = wire_str("orders"),
                                            .topic_id = uuid_from_number(7)};
    topic.partitions.items = &one;
    topic.partitions.count = 1;
    struct metadata_response r = {.cluster_id = WIRE_STR_NULL};
    r.topics.items = &topic;
    r.topics.count = 1;
    learn_metadata(m, &r, 3000);
    const struct model_partition *p = model_find_partition(m, "orders", 0);
    assert_int_equal(p->high_watermark, 45);
    assert_int_equal(p->log_start_offset, 4);
    assert_int_equal(model_find_replica(p, 2)->end_offset, 40);
    /* A topic made anew under the old name has nothing in common with it. */
    topic.topic_id = uuid_from_number(8);
    learn_metadata(m, &r, 3000);
    p = model_find_partition(m, "orders", 0);
    assert_int_equal(p->high_watermark, MODEL_UNKNOWN);
    assert_int_equal(model_find_replica(p, 2)->end_offset, MODEL_UNKNOWN);
    model_unref(again);
    model_unref(m);
}

static void test_offset_marks(void **state)
{
    (void)state;
    struct model *m = learn_fixture();
    const struct model_partition *p = model_find_partition(m, "orders", 0);
    offsets(m, LEARN_HIGH_WATERMARK, 1, KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
    assert_int_equal(p->high_watermark, MODEL_UNKNOWN);
    offsets(m, LEARN_HIGH_WATERMARK, 1, KAFKA_TOPIC_AUTHORIZATION_FAILED, -1);
    assert_int_equal(p->high_watermark, MODEL_DENIED);
    offsets(m, LEARN_REPLICA_END, 5, KAFKA_NONE, 3); /* not a replica of it: passed over */
    model_unref(m);
}

/* What a replica said last is what its lag is counted from, however long it fails to say more. */
static void test_an_error_does_not_wipe_out_a_sample(void **state)
{
    (void)state;
    struct model *m = learn_fixture();
    offsets(m, LEARN_REPLICA_END, 2, KAFKA_NONE, 40);
    const struct model_partition *p = model_find_partition(m, "orders", 0);
    int64_t sampled_ms = model_find_replica(p, 2)->sampled_ms;
    assert_true(sampled_ms > 0);
    struct list_offsets_response_partition failed = {.error_code = KAFKA_REPLICA_NOT_AVAILABLE,
                                                     .offset = -1};
    struct list_offsets_response_topic topic = {.name = wire_str("orders")};
    struct list_offsets_response r = {0};
    topic.partitions.items = &failed;
    topic.partitions.count = 1;
    r.topics.items = &topic;
    r.topics.count = 1;
    learn_offsets(m, LEARN_REPLICA_END, 2, &r, sampled_ms + 5000);
    assert_int_equal(model_find_replica(p, 2)->end_offset, 40);
    assert_int_equal(model_find_replica(p, 2)->sampled_ms, sampled_ms);
    model_unref(m);
}

static bool all_answered(void *ctx, int32_t broker)
{
    (void)ctx;
    (void)broker;
    return true;
}

static bool one_answered(void *ctx, int32_t broker)
{
    (void)ctx;
    return broker == 1;
}

static void list(struct learn_listing *l, int32_t broker, const char *group)
{
    struct list_groups_response_group g = {.group_id = wire_str(group),
                                           .group_state = wire_str("Stable")};
    struct list_groups_response r = {0};
    r.groups.items = &g;
    r.groups.count = 1;
    learn_listed(l, broker, &r);
}

static void describe(struct model *m, const char *group, const void *assignment, int32_t size)
{
    struct describe_groups_response_member member = {.member_id = wire_str("m-1"),
                                                     .client_id = wire_str("c"),
                                                     .client_host = wire_str("/h"),
                                                     .member_assignment = {assignment, size}};
    struct describe_groups_response_group g = {.group_id = wire_str(group),
                                               .group_state = wire_str("Stable"),
                                               .protocol_type = wire_str("consumer"),
                                               .protocol_data = wire_str("range")};
    g.members.items = &member;
    g.members.count = 1;
    struct describe_groups_response r = {0};
    r.groups.items = &g;
    r.groups.count = 1;
    learn_members(m, &r, 7);
}

static void commit(struct model *m, const char *group, int16_t error, int64_t offset)
{
    struct offset_fetch_response_group_partition p = {.partition_index = 0,
                                                      .committed_offset = offset};
    struct offset_fetch_response_group_topic t = {.name = WIRE_STR_NULL,
                                                  .topic_id = uuid_from_number(7)};
    t.partitions.items = &p;
    t.partitions.count = 1;
    struct offset_fetch_response_group g = {.group_id = wire_str(group), .error_code = error};
    g.topics.items = &t;
    g.topics.count = 1;
    struct offset_fetch_response r = {0};
    r.groups.items = &g;
    r.groups.count = 1;
    learn_committed(m, &r, 8);
}

/* version 3; one topic "orders" with partitions 0 and 1; null user data */
static const uint8_t assignment[] = {0, 3, 0, 0, 0, 1, 0, 6, 'o', 'r', 'd', 'e',  'r',  's',  0,
                                     0, 0, 2, 0, 0, 0, 0, 0, 0,   0,   1,   0xff, 0xff, 0xff, 0xff};

static void test_groups(void **state)
{
    (void)state;
    struct model *m = learn_fixture();
    struct learn_listing l = {0};
    list(&l, 1, "a");
    list(&l, 2, "b");
    list(&l, 2, "a"); /* while a coordinator moves */
    learn_groups(m, &l, all_answered, NULL, 1000);
    assert_int_equal(m->group_count, 2);
    describe(m, "a", assignment, sizeof assignment);
    commit(m, "a", KAFKA_NONE, 30);
    offsets(m, LEARN_HIGH_WATERMARK, 1, KAFKA_NONE, 45);
    /* The next list comes from broker 1 only: what broker 2 said stays. */
    list(&l, 1, "a");
    learn_groups(m, &l, one_answered, NULL, 2000);
    assert_int_equal(m->group_count, 2);
    model_freeze(m);
    const struct model_group *g = model_find_group(m, "a");
    assert_int_equal(g->offset_count, 2);
    assert_int_equal(g->offsets[0].committed, 30);
    assert_int_equal(g->offsets[0].lag, 15);
    assert_int_equal(g->offsets[0].member, 0);
    assert_int_equal(g->offsets[1].committed, MODEL_NONE);
    assert_int_equal(g->offsets[1].lag, MODEL_NONE);
    assert_int_equal(g->members[0].partition_count, 2);
    model_unref(m);
}

static void test_a_broken_assignment_is_no_assignment(void **state)
{
    (void)state;
    for (int32_t size = 0; size < (int32_t)sizeof assignment; size++) {
        struct model *m = learn_fixture();
        struct learn_listing l = {0};
        list(&l, 1, "a");
        learn_groups(m, &l, all_answered, NULL, 1000);
        describe(m, "a", assignment, size);
        assert_int_equal(model_find_group(m, "a")->members[0].partition_count, 0);
        model_unref(m);
    }
}

static void test_a_refused_group_says_so(void **state)
{
    (void)state;
    struct model *m = learn_fixture();
    struct learn_listing l = {0};
    list(&l, 1, "a");
    learn_groups(m, &l, all_answered, NULL, 1000);
    commit(m, "a", KAFKA_GROUP_AUTHORIZATION_FAILED, 0);
    const struct model_group *g = model_find_group(m, "a");
    assert_int_equal(g->offsets_state, MODEL_REFUSED);
    assert_string_equal(g->error, "OffsetFetch a: GROUP_AUTHORIZATION_FAILED");
    model_unref(m);
}

static void test_batches_go_to_their_broker(void **state)
{
    (void)state;
    struct batch b = {0};
    struct arena arena = {0};
    batch_add(&b, 1, "a", 0);
    batch_add(&b, 2, "a", 0);
    batch_add(&b, 1, "a", 1);
    batch_add(&b, 1, "b", 0);
    assert_int_equal(b.count, 2);
    const struct list_offsets_request *end = batch_request_of(&b, 0, -2, -1, &arena);
    const struct list_offsets_request *start = batch_request_of(&b, 0, -1, -2, &arena);
    assert_int_equal(end->topics.count, 2);
    assert_int_equal(end->topics.items[0].partitions.count, 2);
    assert_int_equal(end->topics.items[0].partitions.items[1].timestamp, -1);
    assert_int_equal(start->topics.items[0].partitions.items[1].timestamp, -2);
    for (int i = 0; i < 2 * BATCH_MAX_PARTITIONS; i++) {
        batch_add(&b, 3, "c", i);
    }
    assert_int_equal(b.count, 4);
    arena_free(&arena);
    batch_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_offsets_stay_when_metadata_comes_again),
        cmocka_unit_test(test_offset_marks),
        cmocka_unit_test(test_an_error_does_not_wipe_out_a_sample),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_a_broken_assignment_is_no_assignment),
        cmocka_unit_test(test_a_refused_group_says_so),
        cmocka_unit_test(test_batches_go_to_their_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
