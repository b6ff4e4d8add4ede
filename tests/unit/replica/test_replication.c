/* One rule of replication at a time: three brokers, a scripted controller. */
#include "tests/unit/replica/cluster.h"

/* Partition 0 is led by broker 1, with 2 and 3 in sync. */
enum { HARD = 0, SOFT = 2 };

static int64_t fed; /* what `acked` must reach */

static bool all_acked(struct cluster *c)
{
    return (int64_t)c->acked_count >= fed;
}

/* Produces one batch and waits for its acknowledgement. */
static bool produce_within(struct cluster *c, int part, int64_t within_ms)
{
    uint64_t before = c->next_number;
    fed = (int64_t)c->acked_count;
    assert_true(cluster_produce(c, part));
    fed += (int64_t)(c->next_number - before);
    return cluster_until(c, all_acked, within_ms);
}

static struct replica *leader_of(struct cluster *c, int part)
{
    struct node *node = cluster_leader(c, part);
    assert_non_null(node);
    return cluster_replica(node, part);
}

static struct replica_fetch fetch_of(struct cluster *c, int32_t id, struct replica *replica)
{
    struct log *log = replica_log(replica);
    return (struct replica_fetch){.replica_id = id,
                                  .broker_epoch = c->broker_epochs[id],
                                  .current_leader_epoch = replica_leader_epoch(replica),
                                  .fetch_offset = log_end(log),
                                  .last_fetched_epoch = log_last_epoch(log),
                                  .known_high_watermark = INT64_MAX};
}

static void test_fetch_is_judged(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(1, false);
    assert_true(produce_within(c, HARD, 1000));
    assert_true(cluster_until(c, cluster_settled, 1000));
    control_lead(c, HARD, 1); /* epoch 1 */
    cluster_run(c, 300);
    assert_true(produce_within(c, HARD, 1000));
    assert_true(cluster_until(c, cluster_settled, 1000));
    struct replica *replica = leader_of(c, HARD);
    int64_t end = log_end(replica_log(replica));
    assert_int_equal(replica_leader_epoch(replica), 1);

    struct replica_fetch fetch = fetch_of(c, 2, replica);
    assert_false(replica_follower_fetch(replica, &fetch));
    assert_int_equal(fetch.error, KAFKA_NONE);
    assert_int_equal(fetch.high_watermark, end);
    assert_false(fetch.news);

    fetch = fetch_of(c, 2, replica);
    fetch.fetch_offset = 0;
    fetch.last_fetched_epoch = -1;
    assert_true(replica_follower_fetch(replica, &fetch));
    assert_int_equal(fetch.limit_offset, end);

    fetch = fetch_of(c, 2, replica);
    fetch.current_leader_epoch = 0;
    assert_false(replica_follower_fetch(replica, &fetch));
    assert_int_equal(fetch.error, KAFKA_FENCED_LEADER_EPOCH);
    fetch.current_leader_epoch = 2;
    assert_false(replica_follower_fetch(replica, &fetch));
    assert_int_equal(fetch.error, KAFKA_UNKNOWN_LEADER_EPOCH);

    fetch = fetch_of(c, 2, replica);
    fetch.replica_id = 7;
    assert_false(replica_follower_fetch(replica, &fetch));
    assert_int_equal(fetch.error, KAFKA_UNKNOWN_LEADER_EPOCH);

    fetch = fetch_of(c, 2, replica);
    fetch.broker_epoch--;
    assert_false(replica_follower_fetch(replica, &fetch));
    assert_int_equal(fetch.error, KAFKA_NOT_LEADER_OR_FOLLOWER);

    fetch = fetch_of(c, 2, replica);
    fetch.fetch_offset = end + 1;
    fetch.last_fetched_epoch = -1;
    assert_false(replica_follower_fetch(replica, &fetch));
    assert_int_equal(fetch.error, KAFKA_OFFSET_OUT_OF_RANGE);

    fetch = fetch_of(c, 2, replica);
    fetch.last_fetched_epoch = 5; /* of an epoch that never was here */
    assert_false(replica_follower_fetch(replica, &fetch));
    assert_int_equal(fetch.error, KAFKA_OFFSET_OUT_OF_RANGE);

    fetch = fetch_of(c, 2, replica);
    fetch.last_fetched_epoch = 0; /* all of it in epoch 0: parts where epoch 1 began */
    assert_false(replica_follower_fetch(replica, &fetch));
    assert_int_equal(fetch.error, KAFKA_NONE);
    assert_int_equal(fetch.diverging_epoch, 0);
    assert_in_range(fetch.diverging_end_offset, 1, end - 1);
    cluster_free(c);
}

static void test_min_isr_is_strict(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(2, false);
    assert_true(produce_within(c, HARD, 1000));
    int64_t mark = c->parts[HARD].mark;
    cluster_crash(&c->nodes[2], SIM_POWER, 3000);
    cluster_crash(&c->nodes[3], SIM_POWER, 3000);
    /* In the log of the leader, but nowhere else; then the in-sync set falls to one. */
    assert_false(produce_within(c, HARD, 1500));
    assert_int_equal(c->parts[HARD].isr_count, 1);
    struct replica *replica = leader_of(c, HARD);
    assert_int_equal(replica_isr_count(replica), 1);
    assert_true(log_durable_end(replica_log(replica)) > mark);
    assert_int_equal(replica_high_watermark(replica), c->parts[HARD].mark);
    assert_int_equal(c->counts.refused, 0);
    assert_false(produce_within(c, HARD, 100));
    assert_int_equal(c->counts.refused, 1);
    assert_int_equal(c->last_error, KAFKA_NOT_ENOUGH_REPLICAS);
    assert_true(cluster_until(c, cluster_settled, 10000));
    cluster_check_settled(c);
    cluster_free(c);
}

static void test_mark_of_the_idle_travels(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(3, false);
    for (int i = 0; i < 10; i++) {
        cluster_run(c, 37);
        assert_true(produce_within(c, HARD, 1000));
        /* Far below the 100 ms that a fetch may be parked. */
        assert_true(cluster_until(c, cluster_settled, 40));
    }
    cluster_free(c);
}

static void test_fenced_are_not_proposed(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4, false);
    c->fenced_until_us[3] = sim_now_us(c->sim) + 1000000;
    control_fence(c, 3);
    c->producing = true;
    cluster_run(c, 800);
    assert_int_equal(c->parts[HARD].isr_count, 2);
    assert_int_equal(c->counts.expansions, 0);
    assert_int_equal(c->counts.refusals, 0);
    c->producing = false;
    assert_true(cluster_until(c, cluster_settled, 5000));
    assert_true(c->counts.expansions > 0);
    cluster_free(c);
}

static void test_one_being_added_counts(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(5, false);
    c->refuse_alters = true;
    control_fence(c, 3);
    cluster_run(c, 500); /* unfenced again and at the end, but the controller does not answer */
    assert_false(c->fenced[3]);
    assert_int_equal(c->parts[HARD].isr_count, 2);
    cluster_stall(&c->nodes[3], SESSION_MS - 50);
    assert_false(produce_within(c, HARD, SESSION_MS - 60));
    assert_true(cluster_until(c, all_acked, 2 * LAG_MS));
    c->refuse_alters = false;
    assert_true(cluster_until(c, cluster_settled, 2000));
    cluster_free(c);
}

static void test_hung_follower_leaves_and_returns(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(6, false);
    c->producing = true;
    cluster_run(c, 200);
    cluster_stall(&c->nodes[3], SESSION_MS); /* too short to be fenced */
    cluster_run(c, SESSION_MS + 10);
    assert_true(c->counts.shrinks > 0);
    cluster_run(c, 500);
    assert_int_equal(c->parts[HARD].isr_count, 3); /* under load */
    c->producing = false;
    assert_true(cluster_until(c, cluster_settled, 5000));
    cluster_check_settled(c);
    cluster_free(c);
}

static void slow_syncs(struct cluster *c, int32_t id, int64_t ms)
{
    struct sim_latency latency = {.min_us = ms * 1000, .max_us = ms * 1000};
    sim_disk_latency(c->nodes[id].sim, SIM_SYNC, latency);
}

/* With the first record of a partition its directory is made, which takes syncs of its own. */
static void warm_up(struct cluster *c)
{
    for (int part = 0; part < c->part_count; part++) {
        assert_true(produce_within(c, part, 1000));
    }
    assert_true(cluster_until(c, cluster_settled, 1000));
}

static void test_syncs_overlap(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(7, false);
    warm_up(c);
    for (int32_t id = 1; id <= BROKERS; id++) {
        slow_syncs(c, id, 60);
    }
    for (int i = 0; i < 5; i++) {
        assert_true(produce_within(c, HARD, 95)); /* one after the other would be 120 */
        cluster_run(c, 300);
    }
    cluster_free(c);
}

static void test_soft_topics_do_not_wait_for_syncs(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(8, true);
    warm_up(c);
    slow_syncs(c, 2, 200);
    slow_syncs(c, 3, 200);
    for (int i = 0; i < 5; i++) {
        assert_true(cluster_produce(c, HARD));
        cluster_run(c, 20);
        assert_true(cluster_produce(c, SOFT + 1));
        size_t before = c->acked_count;
        cluster_run(c, 40);
        assert_true(c->acked_count > before);
    }
    cluster_free(c);
}

static void test_late_follower_begins_where_the_leader_does(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(9, false);
    cluster_crash(&c->nodes[3], SIM_POWER, 2000);
    c->producing = true;
    cluster_run(c, 1500);
    c->producing = false;
    cluster_run(c, 300);
    struct replica *replica = leader_of(c, HARD);
    int64_t start = replica_high_watermark(replica) - 5;
    log_advance_start(replica_log(replica), start);
    assert_true(cluster_until(c, cluster_settled, 10000));
    assert_true(c->counts.out_of_range > 0);
    /* The start reaches those that had more, too. */
    cluster_run(c, 300);
    for (int32_t id = 1; id <= BROKERS; id++) {
        replica = cluster_replica(&c->nodes[id], HARD);
        assert_int_equal(log_start(replica_log(replica)), start);
    }
    cluster_check_settled(c);
    cluster_free(c);
}

static int64_t trimmed_to;

static bool all_trimmed(struct cluster *c)
{
    return replica_low_watermark(leader_of(c, HARD)) >= trimmed_to;
}

static int fires;

static void count_fire(struct replica_watch *watch)
{
    (void)watch;
    fires++;
}

/* Records are deleted once every replica that is alive has deleted them. */
static void test_deleted_at_all_who_live(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(19, false);
    c->producing = true;
    cluster_run(c, 400);
    c->producing = false;
    assert_true(cluster_until(c, cluster_settled, 1000));
    struct replica *replica = leader_of(c, HARD);
    int64_t offset = replica_high_watermark(replica) + 1;
    assert_int_equal(replica_delete_records(replica, &offset), KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(replica_low_watermark(replica), 0);
    trimmed_to = offset = replica_high_watermark(replica) - 5;
    struct replica_watch watch = {.fire = count_fire};
    fires = 0;
    replica_watch(replica, &watch);
    assert_int_equal(replica_delete_records(replica, &offset), 0);
    cluster_run(c, 1); /* parked fetches look again */
    assert_int_equal(fires, 1);
    replica_watch(replica, &watch);
    assert_int_equal(log_start(replica_log(replica)), offset);
    assert_int_equal(replica_low_watermark(replica), 0);
    /* Their fetches are parked for 100 ms at most. */
    assert_true(cluster_until(c, all_trimmed, 150));
    cluster_run(c, 1);
    assert_int_equal(fires, 2);
    struct replica *follower = cluster_replica(&c->nodes[3], HARD);
    assert_int_equal(log_start(replica_log(follower)), offset);
    int64_t from_follower = offset;
    assert_int_equal(replica_delete_records(follower, &from_follower),
                     KAFKA_NOT_LEADER_OR_FOLLOWER);
    /* One that is cut off is waited for as long as it may come back, fenced it is not. */
    c->parts[HARD].start = offset;
    cluster_crash(&c->nodes[3], SIM_POWER, 1500);
    offset = REPLICA_HIGH_WATERMARK;
    assert_int_equal(replica_delete_records(replica, &offset), 0);
    assert_int_equal(offset, replica_high_watermark(replica));
    c->parts[HARD].start = trimmed_to = offset;
    assert_false(cluster_until(c, all_trimmed, 60));
    assert_true(cluster_until(c, all_trimmed, 1000));
    assert_true(c->fenced[3]);
    assert_true(cluster_until(c, cluster_settled, 5000));
    cluster_run(c, 300);
    assert_int_equal(log_start(replica_log(cluster_replica(&c->nodes[3], HARD))), offset);
    cluster_check_settled(c);
    cluster_free(c);
}

static bool all_heard(struct cluster *c)
{
    for (int32_t id = 1; id <= BROKERS; id++) {
        if (c->nodes[id].image_at < c->batch_count) {
            return false;
        }
    }
    return true;
}

/* A partition that comes to a fetcher whose fetch is parked (for 100 ms) is asked for at once. */
static void test_newcomer_does_not_wait(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(10, false);
    warm_up(c);
    for (int i = 0; i < 20; i++) {
        /* Partition 0 is followed from broker 1 by both others all the time. */
        control_lead(c, HARD + 1, i % 2 == 0 ? 1 : 2);
        assert_true(cluster_until(c, all_heard, 1000));
        cluster_run(c, 5);
        assert_true(produce_within(c, HARD + 1, 35));
        cluster_run(c, 150); /* parked again */
    }
    assert_true(cluster_until(c, cluster_settled, 1000));
    cluster_free(c);
}

static bool all_in_sync(struct cluster *c)
{
    return c->parts[HARD].isr_count == BROKERS;
}

/* A fetch parked at a leader that went without a word is not waited for when nobody follows from
 * there any more: the leader may be back before it times out (500 ms). */
static void test_dead_fetch_is_not_waited_for(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(15, false);
    warm_up(c);
    int64_t start_us = sim_now_us(c->sim);
    cluster_crash(&c->nodes[1], SIM_POWER_CUT, 10);
    control_fence(c, 1);
    assert_true(cluster_until(c, all_in_sync, 300));
    control_lead(c, HARD, 1);
    assert_true(cluster_until(c, all_heard, 1000));
    assert_true(produce_within(c, HARD, 50));
    assert_true(sim_now_us(c->sim) - start_us < 450000);
    cluster_free(c);
}

static int64_t end_at(struct cluster *c, int32_t id, int part)
{
    struct replica *replica = cluster_replica(&c->nodes[id], part);
    return replica != NULL ? log_durable_end(replica_log(replica)) : -1;
}

static int64_t wanted_end; /* what end_at of wanted_at must reach */
static int32_t wanted_at;

static bool has_end(struct cluster *c)
{
    return end_at(c, wanted_at, HARD) >= wanted_end;
}

static void wait_end(struct cluster *c, int32_t id, int64_t end)
{
    wanted_at = id;
    wanted_end = end;
    assert_true(cluster_until(c, has_end, 100));
}

/* A follower that has more than its next leader cuts where their logs part, not at its own mark:
 * that may be too low (KIP-101). Broker 2 has records that were acknowledged, has not heard so, and
 * has more that were not; broker 3, which has only the former, leads. Broker 2 is in sync all the
 * time: what was acknowledged may not leave its disk, not even until it is fetched again (checked
 * after every answer a broker gets, cluster_check_node). */
static void test_cut_where_logs_part(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(11, false);
    struct sim_node *one = c->nodes[1].sim;
    assert_true(produce_within(c, HARD, 1000));
    assert_true(cluster_until(c, cluster_settled, 1000));
    int64_t mark = c->parts[HARD].mark;
    struct replica *leader = leader_of(c, HARD);
    sim_block(c->nodes[3].sim, one, true); /* its parked fetch is answered, its next one held */
    assert_true(cluster_produce(c, HARD));
    int64_t shared = log_assigned_end(replica_log(leader));
    wait_end(c, 2, shared);
    wait_end(c, 3, shared);
    assert_true(cluster_produce(c, HARD));
    wait_end(c, 2, log_assigned_end(replica_log(leader)));
    cluster_run(c, 10); /* and has said so */
    assert_int_equal(end_at(c, 3, HARD), shared);
    sim_partition(one, c->nodes[2].sim, true);
    sim_partition(one, c->nodes[3].sim, true);
    /* What broker 3 would have said. */
    struct replica_fetch fetch = fetch_of(c, 3, leader);
    fetch.fetch_offset = shared;
    replica_follower_fetch(leader, &fetch);
    cluster_run(c, 2);
    assert_int_equal(replica_high_watermark(leader), shared);
    assert_int_equal(c->parts[HARD].mark, shared); /* acknowledged */
    cluster_crash(&c->nodes[1], SIM_POWER_CUT, 2000);
    control_fence(c, 1);
    control_lead(c, HARD, 3);
    struct replica *follower = cluster_replica(&c->nodes[2], HARD);
    assert_int_equal(replica_high_watermark(follower), mark);
    assert_true(end_at(c, 2, HARD) > shared);
    assert_int_equal(c->counts.diverging, 0);
    cluster_heal(c);
    cluster_run(c, 200);
    assert_true(c->counts.diverging > 0);
    assert_int_equal(end_at(c, 2, HARD), shared);
    assert_true(cluster_until(c, cluster_settled, 10000));
    cluster_check_settled(c);
    cluster_free(c);
}

/* What broker 1 says that it lacks, while it catches up; the largest seen within `for_ms`. */
static int64_t largest_lag(struct cluster *c, int64_t for_ms)
{
    int64_t largest = 0;
    for (int64_t at = 0; at < for_ms; at++) {
        cluster_run(c, 1);
        struct replica *replica = cluster_replica(&c->nodes[1], HARD);
        int64_t lag = replica != NULL ? replica_lag(replica) : 0;
        if (lag > 0) {
            assert_int_equal(replica_check(replica, -1, true), KAFKA_NOT_LEADER_OR_FOLLOWER);
            assert_true(log_durable_end(replica_log(replica)) + lag <= c->parts[HARD].mark);
        }
        largest = lag > largest ? lag : largest;
    }
    return largest;
}

/* A broker that was away while much was written is in sync again soon after it is back. */
static void test_returning_broker_catches_up(void **state)
{
    (void)state;
    static const enum sim_crash hows[] = {SIM_KILL, SIM_POWER, SIM_POWER_CUT};
    for (uint64_t i = 0; i < 3; i++) {
        struct cluster *c = cluster_new(12 + i, false);
        warm_up(c);
        cluster_crash(&c->nodes[1], hows[i], 1500); /* a leader, and a follower elsewhere */
        c->producing = true;
        cluster_run(c, 1400);
        assert_int_equal(c->parts[HARD].isr_count, 2);
        assert_true(largest_lag(c, 1600) > 0); /* under load */
        assert_int_equal(c->parts[HARD].isr_count, BROKERS);
        assert_int_equal(c->parts[HARD + 1].isr_count, BROKERS);
        c->producing = false;
        assert_true(cluster_until(c, cluster_settled, 1000));
        cluster_check_settled(c);
        for (int32_t id = 1; id <= BROKERS; id++) {
            assert_int_equal(replica_lag(cluster_replica(&c->nodes[id], HARD)), 0);
        }
        cluster_free(c);
    }
}

/* Broker 3 comes back to 40 kB that it lacks, and may fetch 2 kB a second: ten seconds' worth goes
 * at once. In sync again, it is not held. */
static void test_follower_throttle(void **state)
{
    (void)state;
    for (int limited = 0; limited < 2; limited++) {
        struct cluster *c = cluster_new(16, false);
        warm_up(c);
        c->follower_rate = limited ? 2000 : 0;
        assert_int_equal(c->parts[HARD].leader, 1);
        cluster_crash(&c->nodes[3], SIM_POWER, 3000);
        c->producing = true;
        cluster_run(c, 2900);
        c->producing = false;
        assert_true(log_bytes(replica_log(leader_of(c, HARD))) > 40000);
        assert_int_equal(cluster_until(c, cluster_settled, 3000), !limited);
        assert_true(cluster_until(c, cluster_settled, 60000));
        cluster_check_settled(c);
        c->producing = true;
        cluster_run(c, 2000);
        c->producing = false;
        assert_true(cluster_until(c, cluster_settled, 200));
        cluster_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch_is_judged),
        cmocka_unit_test(test_min_isr_is_strict),
        cmocka_unit_test(test_mark_of_the_idle_travels),
        cmocka_unit_test(test_fenced_are_not_proposed),
        cmocka_unit_test(test_one_being_added_counts),
        cmocka_unit_test(test_hung_follower_leaves_and_returns),
        cmocka_unit_test(test_syncs_overlap),
        cmocka_unit_test(test_soft_topics_do_not_wait_for_syncs),
        cmocka_unit_test(test_late_follower_begins_where_the_leader_does),
        cmocka_unit_test(test_deleted_at_all_who_live),
        cmocka_unit_test(test_newcomer_does_not_wait),
        cmocka_unit_test(test_dead_fetch_is_not_waited_for),
        cmocka_unit_test(test_cut_where_logs_part),
        cmocka_unit_test(test_returning_broker_catches_up),
        cmocka_unit_test(test_follower_throttle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
