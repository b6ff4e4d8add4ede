/* A coordinator's partition with two replicas: what is told only when both have it, and what a new
 * coordinator makes of the log it was given. Broker 2 is played. */
#include "broker/group/group_internal.h"
#include "common/base/mem.h"
#include "tests/unit/group/ask.h"

enum { NOBODY = -1 };

static struct world *pair_new(uint64_t seed)
{
    static const int32_t both[] = {WORLD_BROKER, 2};
    struct world *w = world_new(seed);
    struct groups_config quick = quick_config();
    w->groups = groups_new(w->env, &quick);
    world_topic(w, "__consumer_offsets", 1, both, 2);
    world_topic(w, "t", 1, both, 1);
    return w;
}

static struct replica *offsets_of(struct world *w)
{
    return world_replica(w, house_topic(w, "__consumer_offsets"), 0);
}

/* Broker 2 says that it has all there is. */
static void second_has_all(struct world *w)
{
    struct replica *replica = offsets_of(w);
    struct log *log = replica_log(replica);
    world_run(w, 100); /* ours is on disk */
    struct replica_fetch fetch = {.replica_id = 2,
                                  .broker_epoch = -1,
                                  .current_leader_epoch = replica_leader_epoch(replica),
                                  .fetch_offset = log_end(log),
                                  .last_fetched_epoch = log_last_epoch(log),
                                  .known_high_watermark = INT64_MAX};
    replica_follower_fetch(replica, &fetch);
    assert_int_equal(fetch.error, KAFKA_NONE);
    world_run(w, 100);
}

static void lead(struct world *w, int32_t leader)
{
    struct record_list list = {0};
    put_leader(&list, house_topic(w, "__consumer_offsets"), 0, leader);
    world_apply(w, &list);
}

/* OffsetFetch's error for the group as a whole. */
static int16_t group_error(struct world *w)
{
    int16_t error = 0;
    fetch_offset(w, "g", "t", false, &error);
    return error;
}

/* A commit is answered, and seen, when all in sync have it. */
static void test_commit_waits_for_all(void **state)
{
    (void)state;
    struct world *w = pair_new(1);
    int16_t error = 0;
    struct ask *a = commit(w, "g", "", NOBODY, "t", 5);
    world_run(w, 1000); /* long on our disk */
    assert_false(a->done);
    assert_int_equal(fetch_offset(w, "g", "t", false, &error), -1);
    second_has_all(w);
    assert_true(a->done);
    assert_int_equal(commit_error_of(a), KAFKA_NONE);
    assert_int_equal(fetch_offset(w, "g", "t", false, &error), 5);
    /* It does not come in time; leadership goes while it is awaited. */
    a = commit(w, "g", "", NOBODY, "t", 6);
    assert_int_equal(commit_error_of(a), KAFKA_COORDINATOR_NOT_AVAILABLE);
    a = commit(w, "g", "", NOBODY, "t", 7);
    world_run(w, 100);
    lead(w, 2);
    assert_int_equal(commit_error_of(a), KAFKA_NOT_COORDINATOR);
    assert_int_equal(group_error(w), KAFKA_NOT_COORDINATOR);
    world_free(w);
}

/* A new coordinator has a commit that the other in-sync replica may not have: nobody is told
 * before that one has it too, for the next leader might not know of it. */
static void test_load_waits_for_all(void **state)
{
    (void)state;
    struct world *w = pair_new(2);
    int16_t error = 0;
    struct ask *a = commit(w, "g", "", NOBODY, "t", 5);
    world_run(w, 100);
    lead(w, 2);
    ask_free(a);
    world_run(w, 100);
    lead(w, 1);
    world_run(w, 1000);
    assert_int_equal(group_error(w), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    a = commit(w, "g", "", NOBODY, "t", 6);
    assert_int_equal(commit_error_of(a), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    second_has_all(w);
    assert_int_equal(fetch_offset(w, "g", "t", false, &error), 5);
    assert_int_equal(error, KAFKA_NONE);
    /* Taken away in the middle of that. */
    a = commit(w, "g", "", NOBODY, "t", 8);
    world_run(w, 100);
    lead(w, 1);
    world_run(w, 100);
    assert_true(a->done);
    assert_int_equal(group_error(w), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    lead(w, 2);
    world_run(w, 100);
    assert_int_equal(group_error(w), KAFKA_NOT_COORDINATOR);
    ask_free(a);
    world_free(w);
}

/* One commit record as a leader's batch. */
static struct buf *batch_of_commit(int64_t base_offset, int32_t epoch, int64_t value)
{
    struct group_record record = {0};
    char no_metadata[] = "";
    struct committed_offset offset = {.metadata = no_metadata, .commit_timestamp_ms = 1000};
    struct batch_builder builder;
    struct bytes bytes = {0};
    offset.offset = value;
    offset.leader_epoch = -1;
    group_record_of_offset("g", "t", 0, &offset, &record);
    batch_builder_init(&builder);
    batch_builder_add(&builder, 1000,
                      (struct wire_bytes){record.key.data, (int32_t)record.key.size},
                      (struct wire_bytes){record.value.data, (int32_t)record.value.size}, NULL, 0);
    assert_int_equal(batch_build(&builder, &bytes, NULL), ERR_NONE);
    batch_set_base_offset(bytes.data, base_offset);
    batch_set_leader_epoch(bytes.data, epoch);
    struct buf *buf = buf_copy(bytes.data, bytes.size);
    bytes_free(&bytes);
    batch_builder_free(&builder);
    group_record_free(&record);
    return buf;
}

/* It was a follower a moment ago, and what it was given last is still on its way to the disk: that
 * is loaded too. */
static void test_load_waits_for_the_disk(void **state)
{
    (void)state;
    struct world *w = pair_new(3);
    int16_t error = 0;
    struct err_text text = {""};
    int64_t next = 0;
    second_has_all(w);
    lead(w, 2);
    world_run(w, 100);
    struct replica *replica = offsets_of(w);
    int32_t epoch = replica_leader_epoch(replica);
    struct buf *first = batch_of_commit(0, epoch, 41);
    struct buf *second = batch_of_commit(1, epoch, 42);
    assert_int_equal(
        log_append_as_follower(replica_log(replica), first, 0, first->size, &next, &text),
        ERR_NONE);
    world_run(w, 100);
    sim_disk_stall(w->node, 500000);
    assert_int_equal(
        log_append_as_follower(replica_log(replica), second, 0, second->size, &next, &text),
        ERR_NONE);
    assert_int_equal(next, 2);
    lead(w, 1);
    world_run(w, 200);
    assert_int_equal(log_end(replica_log(replica)), 1);
    assert_int_equal(group_error(w), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    world_run(w, 500);
    second_has_all(w);
    assert_int_equal(fetch_offset(w, "g", "t", false, &error), 42);
    assert_int_equal(error, KAFKA_NONE);
    buf_unref(first);
    buf_unref(second);
    world_free(w);
}

/* The group goes on where it was: same members, same generation, no rebalance. */
static void test_group_goes_on(void **state)
{
    (void)state;
    struct world *w = pair_new(4);
    char id[200];
    int16_t error = 0;
    struct ask *one = join(w, (struct member_spec){.group = "g", .version = 3});
    snprintf(id, sizeof id, "%.*s", joined(one)->member_id.size, joined(one)->member_id.data);
    ask_free(one);
    struct ask *sync = sync_group(w, "g", id, 1, NULL);
    world_run(w, 100);
    assert_false(sync->done); /* the assignment is stored first */
    second_has_all(w);
    assert_true(sync->done);
    ask_free(sync);
    struct ask *a = commit(w, "g", id, 1, "t", 9);
    second_has_all(w);
    assert_int_equal(commit_error_of(a), KAFKA_NONE);
    lead(w, 2);
    world_run(w, 100);
    assert_int_equal(heartbeat(w, "g", id, 1), KAFKA_NOT_COORDINATOR);
    lead(w, 1);
    world_run(w, 100);
    second_has_all(w);
    assert_string_equal(state_of(w, "g"), "Stable");
    assert_int_equal(heartbeat(w, "g", id, 1), KAFKA_NONE);
    assert_int_equal(heartbeat(w, "g", id, 2), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(fetch_offset(w, "g", "t", false, &error), 9);
    a = commit(w, "g", id, 1, "t", 10);
    second_has_all(w);
    assert_int_equal(commit_error_of(a), KAFKA_NONE);
    /* Not heard of for a session: gone, as ever. */
    world_run(w, 11000);
    second_has_all(w);
    assert_string_equal(state_of(w, "g"), "Empty");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_waits_for_all),
        cmocka_unit_test(test_load_waits_for_all),
        cmocka_unit_test(test_load_waits_for_the_disk),
        cmocka_unit_test(test_group_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
