/* Committed offsets: who may commit, what is told of them, and what becomes of them. */
#include "common/base/mem.h"
#include "tests/unit/group/ask.h"

enum { NOBODY = -1 };

static void *request_of(struct ask *a)
{
    return (void *)(uintptr_t)a->call.request;
}

/* A member on its own in `group`, stable in generation 1. Static memory. */
static const char *member_in(struct world *w, const char *group)
{
    static char id[200];
    struct ask *one = join(w, (struct member_spec){.group = group, .version = 3});
    snprintf(id, sizeof id, "%.*s", joined(one)->member_id.size, joined(one)->member_id.data);
    ask_free(one);
    struct ask *sync = sync_group(w, group, id, 1, NULL);
    ask_wait(sync);
    ask_free(sync);
    return id;
}

static void test_commit_and_fetch(void **state)
{
    (void)state;
    struct world *w = house_new(1, NULL);
    int16_t error = 0;
    assert_int_equal(fetch_offset(w, "g", "t", false, &error), -1); /* never heard of: no error */
    assert_int_equal(error, 0);
    struct ask *a = commit(w, "g", "", NOBODY, "t", 17);
    assert_false(a->done); /* not before it is stored */
    assert_int_equal(fetch_offset(w, "g", "t", false, &error), -1);
    assert_int_equal(error, 0);
    fetch_offset(w, "g", "t", true, &error);
    assert_int_equal(error, KAFKA_UNSTABLE_OFFSET_COMMIT);
    assert_int_equal(commit_error_of(a), 0);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), 17);
    assert_int_equal(error, 0);
    assert_int_equal(commit_error_of(commit(w, "g", "", NOBODY, "nowhere", 1)),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(commit_error_of(commit(w, "h", "", 5, "t", 1)), KAFKA_ILLEGAL_GENERATION);
    /* A cancelled commit is stored all the same. */
    a = commit(w, "g", "", NOBODY, "t", 18);
    ask_free(a);
    world_run(w, 100);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), 18);
    world_free(w);
}

static void test_who_may_commit(void **state)
{
    (void)state;
    struct world *w = house_new(2, NULL);
    const char *id = member_in(w, "g");
    assert_int_equal(commit_error_of(commit(w, "g", "", NOBODY, "t", 1)), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit_error_of(commit(w, "g", "x", 1, "t", 1)), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit_error_of(commit(w, "g", id, 2, "t", 1)), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(commit_error_of(commit(w, "g", id, 1, "t", 1)), 0);
    struct ask *rejoin =
        join(w, (struct member_spec){.group = "g", .member = id, .metadata = "changed"});
    assert_int_equal(joined(rejoin)->generation_id, 2);
    assert_int_equal(commit_error_of(commit(w, "g", id, 2, "t", 1)), KAFKA_REBALANCE_IN_PROGRESS);
    ask_free(rejoin);
    world_free(w);
}

static void test_fetch_shapes(void **state)
{
    (void)state;
    struct world *w = house_new(3, NULL);
    assert_int_equal(commit_error_of(commit(w, "g", "", NOBODY, "u", 4)), 0);
    assert_int_equal(commit_error_of(commit(w, "g", "", NOBODY, "t", 3)), 0);
    for (int16_t version = 1; version <= 10; version++) {
        for (int all = 0; all < 2; all++) {
            if (all == 1 && version == 1) {
                continue; /* null means all from version 2 on */
            }
            struct ask *a = ask_new(w, WIRE_OFFSET_FETCH, version);
            struct offset_fetch_request *r = request_of(a);
            int32_t partitions[] = {0, 9};
            struct offset_fetch_request_topic topic = {.name = wire_str("t")};
            topic.partition_indexes.items = partitions;
            topic.partition_indexes.count = 2;
            struct offset_fetch_request_group_topic by_id = {.name = wire_str("t"),
                                                             .topic_id = house_topic(w, "t")};
            by_id.partition_indexes.items = partitions;
            by_id.partition_indexes.count = 2;
            struct offset_fetch_request_group group = {
                .group_id = wire_str("g"), .member_id = wire_str("whoever"), .member_epoch = 8};
            group.topics.items = &by_id;
            group.topics.count = all ? -1 : 1;
            r->group_id = wire_str("g");
            r->topics.items = &topic;
            r->topics.count = all ? -1 : 1;
            r->groups.items = &group;
            r->groups.count = 1;
            ask_submit(a); /* on_done: the answer encodes at this version */
            assert_true(a->done);
            const struct offset_fetch_response *out = a->call.response;
            if (version < 8) {
                assert_int_equal(out->error_code, 0);
                assert_int_equal(out->topics.count, all ? 2 : 1);
                assert_true(wire_str_is(out->topics.items[0].name, "t"));
                assert_int_equal(out->topics.items[0].partitions.items[0].committed_offset, 3);
                assert_true(wire_str_is(out->topics.items[0].partitions.items[0].metadata, "note"));
            } else {
                assert_int_equal(out->groups.items[0].error_code, 0);
                assert_int_equal(out->groups.items[0].topics.count, all ? 2 : 1);
                const struct offset_fetch_response_group_topic *told =
                    &out->groups.items[0].topics.items[0];
                assert_int_equal(told->partitions.items[0].committed_offset, 3);
                assert_int_equal(told->partitions.items[0].committed_leader_epoch, 3);
                if (!all) {
                    assert_int_equal(told->partitions.items[1].committed_offset, -1);
                    assert_int_equal(told->partitions.items[1].committed_leader_epoch, -1);
                }
            }
            ask_free(a);
        }
    }
    world_free(w);
}

static int16_t delete_offset(struct world *w, const char *group, const char *topic)
{
    struct ask *a = ask_new(w, WIRE_OFFSET_DELETE, 0);
    struct offset_delete_request *r = request_of(a);
    r->group_id = wire_str(group);
    r->topics.count = 1;
    r->topics.items = arena_array(&a->arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str(topic);
    r->topics.items[0].partitions.count = 1;
    r->topics.items[0].partitions.items =
        arena_array(&a->arena, 1, sizeof *r->topics.items[0].partitions.items);
    ask_submit(a);
    assert_true(a->done);
    const struct offset_delete_response *out = a->call.response;
    int16_t error = out->error_code != 0 ? out->error_code
                                         : out->topics.items[0].partitions.items[0].error_code;
    ask_free(a);
    return error;
}

static struct ask *delete_group(struct world *w, const char *group)
{
    struct ask *a = ask_new(w, WIRE_DELETE_GROUPS, 2);
    struct delete_groups_request *r = request_of(a);
    r->groups_names.count = 1;
    r->groups_names.items = arena_array(&a->arena, 1, sizeof *r->groups_names.items);
    r->groups_names.items[0] = wire_str(group);
    ask_submit(a);
    return a;
}

static int16_t deleted(struct ask *a)
{
    ask_wait(a);
    int16_t error =
        ((struct delete_groups_response *)a->call.response)->results.items[0].error_code;
    ask_free(a);
    return error;
}

/* Commits under way when their offset is deleted, and committed again at once: each completes for
 * the offset it was made for. */
static void test_delete_under_commit(void **state)
{
    (void)state;
    struct world *w = house_new(4, NULL);
    int16_t error = 0;
    assert_int_equal(delete_offset(w, "g", "t"), KAFKA_GROUP_ID_NOT_FOUND);
    struct ask *a = commit(w, "g", "", NOBODY, "t", 1);
    assert_int_equal(delete_offset(w, "g", "t"), 0);
    struct ask *b = commit(w, "g", "", NOBODY, "t", 2);
    struct ask *gone = delete_group(w, "g");
    struct ask *c = commit(w, "g", "", NOBODY, "t", 3);
    assert_int_equal(commit_error_of(a), 0);
    assert_int_equal(commit_error_of(b), 0);
    assert_int_equal(deleted(gone), 0);
    assert_int_equal(commit_error_of(c), 0);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), 3);
    assert_int_equal(error, 0);
    house_move(w);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), 3); /* the log says the same */
    assert_int_equal(delete_offset(w, "g", "t"), 0);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), -1);
    world_run(w, 100);
    house_move(w);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), -1);
    world_free(w);
}

static void test_delete_groups(void **state)
{
    (void)state;
    struct world *w = house_new(5, NULL);
    char id[200];
    snprintf(id, sizeof id, "%s", member_in(w, "g"));
    assert_int_equal(deleted(delete_group(w, "none")), KAFKA_GROUP_ID_NOT_FOUND);
    assert_int_equal(deleted(delete_group(w, "g")), KAFKA_NON_EMPTY_GROUP);
    assert_int_equal(commit_error_of(commit(w, "g", id, 1, "t", 5)), 0);
    assert_int_equal(delete_offset(w, "g", "t"), 0); /* "meta" is no subscription to it */
    leave(w, "g", id);
    struct ask *a = delete_group(w, "g");
    ask_free(a); /* its client is gone */
    world_run(w, 100);
    assert_string_equal(state_of(w, "g"), "Dead");
    house_move(w);
    assert_string_equal(state_of(w, "g"), "Dead");
    /* More removals than one batch may hold. */
    char name[32001];
    memset(name, 'n', 32000);
    name[32000] = '\0';
    struct ask *wide = ask_new(w, WIRE_OFFSET_COMMIT, 9);
    struct offset_commit_request *r = request_of(wide);
    r->group_id = wire_str(name);
    r->member_id = wire_str("");
    r->generation_id_or_member_epoch = -1;
    r->topics.count = 1;
    r->topics.items = arena_array(&wide->arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str("t");
    r->topics.items[0].partitions.items =
        arena_array(&wide->arena, 30, sizeof *r->topics.items[0].partitions.items);
    for (int round = 0; round < 2; round++) {
        r->topics.items[0].partitions.count = 30;
        for (int i = 0; i < 30; i++) {
            r->topics.items[0].partitions.items[i].partition_index = 30 * round + i;
        }
        wide->done = false;
        ask_submit(wide);
        ask_wait(wide);
        const struct offset_commit_response *out = wide->call.response;
        assert_int_equal(out->topics.items[0].partitions.items[0].error_code, 0);
    }
    ask_free(wide);
    assert_int_equal(deleted(delete_group(w, name)), 0);
    house_move(w);
    assert_string_equal(state_of(w, name), "Dead");
    world_free(w);
}

static void test_expiry(void **state)
{
    (void)state;
    struct groups_config config = quick_config();
    config.offsets_retention_ms = 60000;
    config.offsets_check_interval_ms = 10000;
    struct world *w = house_new(6, &config);
    int16_t error = 0;
    char id[200];
    snprintf(id, sizeof id, "%s", member_in(w, "busy"));
    assert_int_equal(commit_error_of(commit(w, "busy", id, 1, "t", 5)), 0);
    assert_int_equal(commit_error_of(commit(w, "idle", "", NOBODY, "t", 6)), 0);
    for (int i = 0; i < 16; i++) { /* 80 s: past the minute, and past a look after it */
        assert_int_equal(heartbeat(w, "busy", id, 1), 0);
        if (i < 12) {
            assert_int_equal(fetch_offset(w, "idle", "t", true, &error), 6);
        }
        world_run(w, 5000);
    }
    assert_int_equal(fetch_offset(w, "idle", "t", true, &error), -1);
    assert_string_equal(state_of(w, "idle"), "Dead");
    assert_int_equal(fetch_offset(w, "busy", "t", true, &error), 5);
    leave(w, "busy", id);
    world_run(w, 30000);
    assert_int_equal(fetch_offset(w, "busy", "t", true, &error), 5); /* counted from its leaving */
    world_run(w, 45000);
    assert_int_equal(fetch_offset(w, "busy", "t", true, &error), -1);
    house_move(w);
    assert_string_equal(state_of(w, "busy"), "Dead");
    world_free(w);
}

static void test_topic_deleted(void **state)
{
    (void)state;
    struct world *w = house_new(7, NULL);
    int16_t error = 0;
    struct record_list list = {0};
    assert_int_equal(commit_error_of(commit(w, "g", "", NOBODY, "t", 5)), 0);
    assert_int_equal(commit_error_of(commit(w, "g", "", NOBODY, "u", 6)), 0);
    put_remove(&list, house_topic(w, "t"));
    world_apply(w, &list);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), -1);
    world_run(w, 100);
    house_move(w);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), -1);
    assert_int_equal(fetch_offset(w, "g", "u", true, &error), 6);
    world_free(w);
}

/* The store fails: the old offset stands, and a group that only this commit made goes again. */
static void test_commit_fails(void **state)
{
    (void)state;
    struct world *w = house_new(8, NULL);
    int16_t error = 0;
    assert_int_equal(commit_error_of(commit(w, "g", "", NOBODY, "t", 5)), 0);
    sim_disk_latency(w->node, SIM_SYNC, (struct sim_latency){.min_us = 7000000, .max_us = 7000000});
    struct ask *slow = commit(w, "g", "", NOBODY, "t", 6);
    assert_int_equal(commit_error_of(slow), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), 5);
    sim_disk_latency(w->node, SIM_SYNC, (struct sim_latency){.min_us = 100, .max_us = 200});
    world_run(w, 20000);
    sim_disk_fail(w->node, 1U << SIM_WRITE, "__consumer_offsets", 1, ERR_IO, true);
    struct ask *bad = commit(w, "new", "", NOBODY, "t", 7);
    assert_int_equal(commit_error_of(bad), KAFKA_NOT_COORDINATOR);
    fetch_offset(w, "g", "t", true, &error);
    assert_int_equal(error, KAFKA_NOT_COORDINATOR); /* nothing is coordinated without a log */
    world_free(w);
}

static void store(struct world *w, struct batch_builder *builder)
{
    struct bytes bytes = {0};
    assert_int_equal(batch_build(builder, &bytes, NULL), ERR_NONE);
    struct buf *buf = buf_copy(bytes.data, bytes.size);
    struct log_append_result result = {0};
    struct replica *replica = world_replica(w, house_topic(w, "__consumer_offsets"), 0);
    log_append_as_leader(replica_log(replica), buf, 0, buf->size, replica_leader_epoch(replica),
                         &result);
    assert_int_equal(result.error, 0);
    buf_unref(buf);
    bytes_free(&bytes);
    batch_builder_free(builder);
}

static void put_group(struct batch_builder *builder, const char *name, bool whole)
{
    struct wire_out key = {0};
    struct wire_out value = {0};
    struct group_metadata_key k = {.group = wire_str(name)};
    struct group_metadata_value v;
    wire_put_i16(&key, 2);
    assert_int_equal(wire_encode(&wire_group_metadata_key, 0, &k, &key), ERR_NONE);
    wire_defaults(&wire_group_metadata_value, &v);
    struct group_metadata_value_member member;
    memset(&member, 0, sizeof member);
    member.member_id = wire_str("m");
    member.group_instance_id = WIRE_STR_NULL;
    member.client_id = wire_str("c");
    member.client_host = wire_str("/h");
    member.session_timeout = 60000;
    member.rebalance_timeout = 60000;
    v.protocol_type = wire_str("consumer");
    v.generation = 9;
    v.protocol = whole ? wire_str("range") : WIRE_STR_NULL;
    v.leader = whole ? wire_str("m") : WIRE_STR_NULL;
    v.members.items = &member;
    v.members.count = 1;
    wire_put_i16(&value, 3);
    assert_int_equal(wire_encode(&wire_group_metadata_value, 3, &v, &value), ERR_NONE);
    batch_builder_add(builder, 1, (struct wire_bytes){key.bytes.data, (int32_t)key.bytes.size},
                      (struct wire_bytes){value.bytes.data, (int32_t)value.bytes.size}, NULL, 0);
    wire_out_free(&key);
    wire_out_free(&value);
}

/* What a disk or another broker left in the log must never be our end. */
static void test_strange_log(void **state)
{
    (void)state;
    struct world *w = house_new(9, NULL);
    int16_t error = 0;
    assert_int_equal(commit_error_of(commit(w, "g", "", NOBODY, "t", 5)), 0);
    struct batch_builder builder;
    batch_builder_init(&builder);
    static const uint8_t junk[] = {0, 1, 0xFF, 0xFF, 0xFF};
    static const uint8_t newer[] = {0, 99, 1, 2, 3};
    batch_builder_add(&builder, 1, (struct wire_bytes){junk, 5}, (struct wire_bytes){junk, 5}, NULL,
                      0);
    batch_builder_add(&builder, 1, (struct wire_bytes){newer, 5}, (struct wire_bytes){junk, 5},
                      NULL, 0);
    batch_builder_add(&builder, 1, (struct wire_bytes){junk, 1}, (struct wire_bytes){NULL, -1},
                      NULL, 0);
    put_group(&builder, "half", false);
    put_group(&builder, "whole", true);
    store(w, &builder);
    world_run(w, 100);
    house_move(w);
    assert_int_equal(fetch_offset(w, "g", "t", true, &error), 5);
    assert_string_equal(state_of(w, "half"), "Dead");
    assert_string_equal(state_of(w, "whole"), "Stable");
    assert_int_equal(heartbeat(w, "whole", "m", 9), 0);
    struct ask *again = join(w, (struct member_spec){.group = "whole", .member = "m"});
    assert_int_equal(joined(again)->generation_id, 10);
    ask_free(again);
    world_free(w);
}

/* The coordinator is freed, and crashes, with everything under way. */
static void test_stops_under_way(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 40; seed++) {
        struct world *w = house_new(seed, NULL);
        struct ask *a = commit(w, "g", "", NOBODY, "t", 5);
        struct ask *b = join(w, (struct member_spec){.group = "h", .version = 3});
        struct ask *c = delete_group(w, "g");
        sim_run_until(w->sim, NULL, NULL, 1000, 3 * (seed - 20));
        if (seed % 2 == 0) {
            struct record_list list = {0};
            put_leader(&list, house_topic(w, "__consumer_offsets"), 0, 1);
            world_apply(w, &list); /* a load is under way when it ends */
            sim_run_until(w->sim, NULL, NULL, 1000, seed % 7);
            ask_free(a);
            ask_free(b);
            ask_free(c);
            world_free(w);
            continue;
        }
        groups_free(w->groups);
        w->groups = NULL;
        assert_true(a->done && b->done && c->done);
        a->done = b->done = c->done = true;
        ask_free(a);
        ask_free(b);
        ask_free(c);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_and_fetch), cmocka_unit_test(test_who_may_commit),
        cmocka_unit_test(test_fetch_shapes),     cmocka_unit_test(test_delete_under_commit),
        cmocka_unit_test(test_delete_groups),    cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_topic_deleted),    cmocka_unit_test(test_commit_fails),
        cmocka_unit_test(test_strange_log),      cmocka_unit_test(test_stops_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
