/* Partitions of one broker: who waits for what, and what becomes of the waits. */
#include "common/base/mem.h"
#include "tests/unit/replica/world.h"

static const int32_t alone[] = {1};
static const int32_t pair[] = {1, 2};

struct wait {
    struct replica_append append;
    bool done;
    int order; /* the how manieth answer it was */
    int *counter;
    struct wait *withdraws; /* taken back from within our answer */
};

static void on_done(struct replica_append *append)
{
    struct wait *wait = CONTAINER_OF(append, struct wait, append);
    assert_false(wait->done);
    wait->done = true;
    wait->order = ++*wait->counter;
    if (wait->withdraws != NULL) {
        replica_append_cancel(&wait->withdraws->append);
    }
}

static int counter;

/* True when answered at once. */
static bool append(struct replica *replica, struct wait *wait, int16_t acks, int64_t producer,
                   int32_t sequence)
{
    *wait = (struct wait){.append.done = on_done, .counter = &counter};
    struct buf *buf = world_batch(producer, sequence, "a value");
    bool now = replica_append(replica, buf, 0, buf->size, acks, &wait->append);
    buf_unref(buf);
    return now;
}

struct look {
    struct replica_watch watch;
    int fired;
};

static void on_watch(struct replica_watch *watch)
{
    CONTAINER_OF(watch, struct look, watch)->fired++;
}

static void set_leader(struct world *w, struct uuid id, int32_t leader)
{
    struct record_list list = {0};
    put_leader(&list, id, 0, leader);
    world_apply(w, &list);
}

static void set_isr(struct world *w, struct uuid id, const int32_t *isr, int32_t count)
{
    struct record_list list = {0};
    put_isr(&list, id, 0, isr, count);
    world_apply(w, &list);
}

static void test_acks(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct uuid id = world_topic(w, "orders", 1, alone, 1);
    struct replica *replica = world_replica(w, id, 0);
    struct wait none;
    struct wait one;
    struct wait all;
    assert_true(append(replica, &none, 0, -1, -1));
    assert_int_equal(none.append.error, 0);
    assert_int_equal(none.append.base_offset, 0);
    assert_false(append(replica, &one, 1, -1, -1));
    assert_false(append(replica, &all, -1, -1, -1));
    assert_false(one.done);
    assert_int_equal(replica_high_watermark(replica), 0);
    world_wait(w, &all.done);
    assert_true(one.done);
    assert_true(one.order < all.order);
    assert_int_equal(one.append.base_offset, 1);
    assert_int_equal(all.append.base_offset, 2);
    assert_int_equal(all.append.log_start_offset, 0);
    assert_int_equal(all.append.log_append_time_ms, -1);
    assert_int_equal(log_durable_end(replica_log(replica)), 3);
    assert_int_equal(replica_high_watermark(replica), 3);
    replica_append_cancel(&all.append); /* harmless after the answer */
    world_free(w);
}

/* A durable topic waits for the sync, another one for the write only. */
static void test_durability(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    struct replica *hard = world_replica(w, world_topic(w, "hard", 1, alone, 1), 0);
    struct replica *soft = world_replica(w, world_topic(w, "soft", 1, alone, 1), 0);
    struct wait a;
    struct wait b;
    assert_false(append(hard, &a, -1, -1, -1)); /* with the first their directories are made */
    assert_false(append(soft, &b, -1, -1, -1));
    world_wait(w, &a.done);
    world_wait(w, &b.done);
    sim_disk_latency(w->node, SIM_SYNC, (struct sim_latency){.min_us = 900000, .max_us = 900000});
    assert_false(append(hard, &a, -1, -1, -1));
    assert_false(append(soft, &b, -1, -1, -1));
    world_run(w, 500);
    assert_true(b.done);
    assert_int_equal(replica_high_watermark(soft), 2);
    assert_int_equal(log_durable_end(replica_log(soft)), 0);
    assert_int_equal(log_end(replica_log(hard)), 2);
    assert_false(a.done);
    assert_int_equal(replica_high_watermark(hard), 1);
    world_wait(w, &a.done);
    assert_int_equal(log_durable_end(replica_log(hard)), 2);
    world_free(w);
}

/* A retry that finds its original still on the way to the disk is answered with it, not before. */
static void test_duplicate(void **state)
{
    (void)state;
    struct world *w = world_new(3);
    struct replica *replica = world_replica(w, world_topic(w, "orders", 1, alone, 1), 0);
    struct wait first;
    struct wait again;
    struct wait late;
    assert_false(append(replica, &first, -1, 7, 0));
    assert_false(append(replica, &again, -1, 7, 0));
    assert_false(again.done);
    replica_append_cancel(&first.append); /* its client has gone, the record has not */
    world_wait(w, &again.done);
    assert_false(first.done);
    assert_int_equal(again.append.error, 0);
    assert_int_equal(again.append.base_offset, 0);
    assert_int_equal(log_end(replica_log(replica)), 1);
    assert_false(append(replica, &late, -1, 7, 0)); /* long on disk: answered all the same */
    world_wait(w, &late.done);
    assert_int_equal(late.append.base_offset, 0);
    assert_int_equal(log_end(replica_log(replica)), 1);
    world_free(w);
}

/* An answer may take back the wait that was to be answered next. */
static void test_withdraw_within_answer(void **state)
{
    (void)state;
    struct world *w = world_new(4);
    struct replica *replica = world_replica(w, world_topic(w, "orders", 1, alone, 1), 0);
    struct wait a;
    struct wait b;
    struct wait c;
    assert_false(append(replica, &a, -1, -1, -1));
    assert_false(append(replica, &b, -1, -1, -1));
    assert_false(append(replica, &c, -1, -1, -1));
    a.withdraws = &b;
    world_wait(w, &c.done);
    assert_true(a.done);
    assert_false(b.done);
    world_free(w);
}

static void test_epoch_change(void **state)
{
    (void)state;
    struct world *w = world_new(5);
    struct uuid id = world_topic(w, "orders", 1, pair, 2);
    struct replica *replica = world_replica(w, id, 0);
    struct wait wait;
    struct look look = {.watch.fire = on_watch};
    set_isr(w, id, alone, 1);
    world_run(w, 10);
    int led = w->led;
    int32_t epoch = replica_leader_epoch(replica);
    assert_false(append(replica, &wait, -1, -1, -1));
    replica_watch(replica, &look.watch);
    set_leader(w, id, 2);
    assert_true(wait.done);
    assert_int_equal(wait.append.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(wait.append.base_offset, -1);
    assert_int_equal(w->lost, 1);
    world_run(w, 100);
    assert_int_equal(look.fired, 1);
    assert_int_equal(replica_check(replica, -1, true), KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(replica_check(replica, -1, false), 0);
    assert_int_equal(replica_check(replica, epoch, false), KAFKA_FENCED_LEADER_EPOCH);
    assert_int_equal(replica_check(replica, epoch + 2, false), KAFKA_UNKNOWN_LEADER_EPOCH);
    assert_true(append(replica, &wait, -1, -1, -1));
    assert_int_equal(wait.append.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    set_leader(w, id, 1);
    world_run(w, 100);
    assert_int_equal(w->led, led + 1);
    assert_int_equal(log_last_epoch(replica_log(replica)), replica_leader_epoch(replica));
    /* Our own next epoch ends the last one as well. */
    assert_false(append(replica, &wait, -1, -1, -1));
    set_leader(w, id, 1);
    assert_true(wait.done);
    assert_int_equal(wait.append.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(w->lost, 2);
    world_run(w, 100);
    assert_int_equal(w->led, led + 2);
    world_free(w);
}

static void test_min_isr(void **state)
{
    (void)state;
    struct world *w = world_new(6);
    w->min_isr = 2;
    struct uuid id = world_topic(w, "orders", 1, pair, 2);
    struct replica *replica = world_replica(w, id, 0);
    struct wait wait;
    struct wait leader_only;
    set_isr(w, id, alone, 1);
    world_run(w, 10);
    assert_true(append(replica, &wait, -1, -1, -1));
    assert_int_equal(wait.append.error, KAFKA_NOT_ENOUGH_REPLICAS);
    assert_int_equal(log_assigned_end(replica_log(replica)), 0); /* before, not after */
    assert_false(append(replica, &leader_only, 1, -1, -1));
    world_wait(w, &leader_only.done);
    assert_int_equal(replica_high_watermark(replica), 0); /* KIP-966 */
    /* More than there are replicas is as many as there are. */
    struct replica *lone = world_replica(w, world_topic(w, "lone", 1, alone, 1), 0);
    assert_false(append(lone, &wait, -1, -1, -1));
    world_wait(w, &wait.done);
    assert_int_equal(wait.append.error, 0);
    world_free(w);
}

/* Too few in sync before the append is another thing than too few after it: then the record is in
 * the log, and a retry would write it twice. */
static void test_min_isr_after_append(void **state)
{
    (void)state;
    struct world *w = world_new(13);
    w->min_isr = 2;
    struct uuid id = world_topic(w, "orders", 1, pair, 2);
    struct replica *replica = world_replica(w, id, 0);
    struct wait after;
    struct wait before;
    assert_false(append(replica, &after, -1, -1, -1));
    world_run(w, 1000);
    assert_false(after.done);
    struct replica_fetch fetch = {.replica_id = 2,
                                  .broker_epoch = -1,
                                  .current_leader_epoch = -1,
                                  .fetch_offset = 1,
                                  .last_fetched_epoch = -1,
                                  .known_high_watermark = INT64_MAX};
    assert_false(replica_follower_fetch(replica, &fetch));
    assert_int_equal(replica_high_watermark(replica), 1);
    set_isr(w, id, alone, 1); /* in the same moment */
    world_wait(w, &after.done);
    assert_int_equal(after.append.error, KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_true(append(replica, &before, -1, -1, -1));
    assert_int_equal(before.append.error, KAFKA_NOT_ENOUGH_REPLICAS);
    assert_int_equal(log_assigned_end(replica_log(replica)), 1);
    world_free(w);
}

static void test_deletion(void **state)
{
    (void)state;
    struct world *w = world_new(7);
    struct uuid id = world_topic(w, "orders", 1, alone, 1);
    struct replica *replica = world_replica(w, id, 0);
    struct wait wait;
    struct look look = {.watch.fire = on_watch};
    struct record_list list = {0};
    assert_false(append(replica, &wait, -1, -1, -1));
    replica_watch(replica, &look.watch);
    put_remove(&list, id);
    world_apply(w, &list);
    assert_true(wait.done);
    assert_int_equal(wait.append.error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(look.fired, 1);
    assert_int_equal(w->lost, 1);
    assert_null(replicas_find(w->replicas, &id, 0));
    replica_watch_cancel(&look.watch);
    world_run(w, 1000);
    assert_false(sim_disk_exists(w->node, "/data/logs/orders-0"));
    world_free(w);
}

/* Deleted while its log opens; then made again under its name, at once. */
static void test_delete_and_recreate(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 30; seed++) {
        struct world *w = world_new(seed);
        struct record_list list = {0};
        struct uuid first = uuid_from_number(1);
        struct uuid second = uuid_from_number(2);
        put_topic(&list, "orders", first);
        put_partition(&list, first, 0, 1, alone, 1);
        world_apply(w, &list);
        sim_run_until(w->sim, NULL, NULL, 1000, seed - 10);
        put_remove(&list, first);
        put_topic(&list, "orders", second);
        put_partition(&list, second, 0, 1, alone, 1);
        world_apply(w, &list);
        assert_null(replicas_find(w->replicas, &first, 0));
        world_run(w, 2000);
        struct replica *replica = world_replica(w, second, 0);
        assert_int_equal(replica_check(replica, -1, true), 0);
        struct wait wait;
        assert_false(append(replica, &wait, -1, -1, -1));
        world_wait(w, &wait.done);
        assert_int_equal(wait.append.error, 0);
        assert_int_equal(wait.append.base_offset, 0);
        world_free(w);
    }
}

/* A crash between the deletion of one and the making of the other: the disk has the old one. */
static void test_stray(void **state)
{
    (void)state;
    for (int stuck = 0; stuck < 2; stuck++) {
        struct world *w = world_new(40);
        struct record_list list = {0};
        struct wait wait;
        struct uuid old = world_topic(w, "orders", 1, alone, 1);
        append(world_replica(w, old, 0), &wait, -1, -1, -1);
        world_wait(w, &wait.done);
        world_close(w);
        put_remove(&list, old);
        struct uuid id = uuid_from_number(5);
        put_topic(&list, "orders", id);
        put_partition(&list, id, 0, 1, alone, 1);
        world_open(w);
        if (stuck) {
            sim_disk_fail(w->node, 1U << SIM_RENAME, "orders-0", 1, ERR_IO, true);
        }
        world_apply(w, &list);
        world_run(w, 3000);
        assert_true(replicas_settled(w->replicas));
        struct replica *replica = world_replica(w, id, 0);
        if (stuck) { /* said once, not tried for ever */
            assert_int_equal(replica_check(replica, -1, true), KAFKA_KAFKA_STORAGE_ERROR);
        } else {
            assert_int_equal(replica_check(replica, -1, true), 0);
            assert_int_equal(log_end(replica_log(replica)), 0);
            world_close(w);
        }
        world_free(w);
    }
}

static void test_failed_log(void **state)
{
    (void)state;
    struct world *w = world_new(8);
    struct uuid id = world_topic(w, "orders", 1, alone, 1);
    struct replica *replica = world_replica(w, id, 0);
    struct wait wait;
    struct look look = {.watch.fire = on_watch};
    sim_disk_fail(w->node, 1U << SIM_WRITE, "orders-0", 1, ERR_IO, true);
    assert_false(append(replica, &wait, -1, -1, -1));
    replica_watch(replica, &look.watch);
    world_wait(w, &wait.done);
    assert_int_equal(wait.append.error, KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(look.fired, 1); /* a parked fetch must hear of it */
    assert_int_equal(w->lost, 1);    /* and so must a coordinator */
    assert_int_equal(replica_check(replica, -1, false), KAFKA_KAFKA_STORAGE_ERROR);
    assert_true(append(replica, &wait, 1, -1, -1));
    assert_int_equal(wait.append.error, KAFKA_KAFKA_STORAGE_ERROR);
    world_free(w);
}

/* A log that cannot be opened is that partition's trouble only. */
static void test_unopenable(void **state)
{
    (void)state;
    struct world *w = world_new(9);
    struct uuid bad = world_topic(w, "bad", 1, alone, 1);
    struct wait wait;
    assert_false(append(world_replica(w, bad, 0), &wait, -1, -1, -1));
    world_wait(w, &wait.done);
    world_close(w);
    world_open(w);
    sim_disk_fail(w->node, SIM_ANY_OP, "bad-0", 1, ERR_IO, true);
    world_apply_all(w);
    world_run(w, 1000);
    assert_int_equal(replica_check(world_replica(w, bad, 0), -1, true), KAFKA_KAFKA_STORAGE_ERROR);
    assert_null(replica_log(world_replica(w, bad, 0)));
    world_free(w);
}

static void test_high_watermark_survives(void **state)
{
    (void)state;
    struct world *w = world_new(31);
    struct uuid id = world_topic(w, "orders", 1, alone, 1);
    struct wait wait;
    for (int i = 0; i < 5; i++) {
        append(world_replica(w, id, 0), &wait, -1, -1, -1);
        world_wait(w, &wait.done);
    }
    world_close(w);
    world_open(w);
    world_apply_all(w);
    world_run(w, 1000);
    struct replica *replica = world_replica(w, id, 0);
    assert_int_equal(replica_high_watermark(replica), 5);
    assert_true(replica_high_watermark_known(replica));
    /* The set says goodbye to its leaders, and to those who wait. */
    append(replica, &wait, -1, -1, -1);
    int lost = w->lost;
    w->answered = false;
    world_close(w);
    assert_true(wait.done);
    assert_int_equal(wait.append.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(w->lost, lost + 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_durability),
        cmocka_unit_test(test_duplicate),
        cmocka_unit_test(test_withdraw_within_answer),
        cmocka_unit_test(test_epoch_change),
        cmocka_unit_test(test_min_isr),
        cmocka_unit_test(test_min_isr_after_append),
        cmocka_unit_test(test_deletion),
        cmocka_unit_test(test_delete_and_recreate),
        cmocka_unit_test(test_stray),
        cmocka_unit_test(test_failed_log),
        cmocka_unit_test(test_unopenable),
        cmocka_unit_test(test_high_watermark_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
