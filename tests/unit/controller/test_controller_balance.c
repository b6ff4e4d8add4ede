/* Leadership goes back to the first replicas by and by. */
#include "tests/unit/controller/rig.h"

enum { INTERVAL_MS = 60000, BROKERS = 3 };

struct house {
    struct rig rig;
    int64_t epochs[BROKERS + 1];
};

static void house_start(struct house *house, int64_t interval_ms)
{
    struct controller_config config = controller_config_default();
    config.node_id = 100;
    snprintf(config.cluster_id, sizeof config.cluster_id, "cluster");
    config.session_timeout_ms = 1000000000; /* nobody sends heartbeats here */
    config.balance_interval_ms = interval_ms;
    rig_start(&house->rig, &config, true);
    for (int32_t id = 1; id <= BROKERS; id++) {
        house->epochs[id] = rig_broker(&house->rig, id, NULL);
    }
}

static void fence(struct house *house, int32_t id, bool fence)
{
    assert_int_equal(rig_heartbeat(&house->rig, id, house->epochs[id], fence, false, NULL), 0);
}

static int32_t leader(const struct house *house, const char *topic, int32_t partition)
{
    return rig_partition(&house->rig, topic, partition)->leader;
}

static void pass(struct house *house, int64_t ms)
{
    sim_run_for(house->rig.sim, ms);
    rig_commit(&house->rig);
}

/* As its leader asks: everybody is in sync again. */
static void join(struct house *house, int32_t partition)
{
    const struct image_partition *now = rig_partition(&house->rig, "a", partition);
    struct alter_partition_request request;
    wire_defaults(&wire_alter_partition_request, &request);
    request.broker_id = now->leader;
    request.broker_epoch = house->epochs[now->leader];
    struct alter_partition_request_topic topic = {
        .topic_id =
            image_topic_by_name(controller_committed_image(house->rig.controller), "a")->id};
    struct alter_partition_request_partition part;
    wire_struct_defaults(&wire_struct_alter_partition_request_partition, &part);
    part.partition_index = partition;
    part.leader_epoch = now->leader_epoch;
    part.partition_epoch = now->partition_epoch;
    __typeof__(part.new_isr_with_epochs.items[0]) members[BROKERS] = {{0}};
    for (int32_t i = 0; i < BROKERS; i++) {
        members[i].broker_id = i + 1;
        members[i].broker_epoch = house->epochs[i + 1];
    }
    part.new_isr_with_epochs.items = members;
    part.new_isr_with_epochs.count = BROKERS;
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_exchange(&house->rig, &call, 56, 3, &request);
    assert_int_equal(call.response.alter_partition.topics.items[0].partitions.items[0].error_code,
                     0);
    rig_call_free(&call);
}

static void who_is_back_and_in_sync_leads_again(void **state)
{
    (void)state;
    struct house house;
    house_start(&house, INTERVAL_MS);
    int32_t replicas[] = {1, 2, 3};
    rig_create_on(&house.rig, "a", 2, replicas, BROKERS);
    fence(&house, 1, true);
    fence(&house, 1, false);
    assert_int_equal(leader(&house, "a", 0), 2);
    join(&house, 0); /* 1 is not in the ISR of partition 1 yet */
    pass(&house, INTERVAL_MS / 2);
    assert_int_equal(leader(&house, "a", 0), 2); /* not at once */
    pass(&house, INTERVAL_MS / 2);
    assert_int_equal(leader(&house, "a", 0), 1);
    assert_int_equal(leader(&house, "a", 1), 2);
    join(&house, 1);
    size_t before = house.rig.count;
    pass(&house, INTERVAL_MS);
    assert_int_equal(leader(&house, "a", 1), 1);
    assert_int_equal(house.rig.count, before + 1);
    pass(&house, 3 * INTERVAL_MS);
    assert_int_equal(house.rig.count, before + 1); /* nothing left to do */
    rig_stop(&house.rig);
}

static void nothing_moves_by_itself_when_that_is_not_wanted(void **state)
{
    (void)state;
    struct house house;
    house_start(&house, 0);
    int32_t replicas[] = {1, 2, 3};
    rig_create_on(&house.rig, "a", 1, replicas, BROKERS);
    fence(&house, 1, true);
    fence(&house, 1, false);
    join(&house, 0);
    pass(&house, 10 * INTERVAL_MS);
    assert_int_equal(leader(&house, "a", 0), 2);
    rig_stop(&house.rig);
}

static void who_decides_no_more_moves_nothing(void **state)
{
    (void)state;
    struct house house;
    house_start(&house, INTERVAL_MS);
    int32_t replicas[] = {1, 2, 3};
    rig_create_on(&house.rig, "a", 1, replicas, BROKERS);
    fence(&house, 1, true);
    fence(&house, 1, false);
    join(&house, 0);
    controller_deactivate(house.rig.controller);
    pass(&house, 10 * INTERVAL_MS);
    assert_int_equal(leader(&house, "a", 0), 2);
    controller_activate(house.rig.controller, ++house.rig.epoch);
    pass(&house, INTERVAL_MS);
    assert_int_equal(leader(&house, "a", 0), 1);
    rig_stop(&house.rig);
}

/* A thousand a time, the rest right after. */
static void many_move_in_steps(void **state)
{
    (void)state;
    struct house house;
    house_start(&house, INTERVAL_MS);
    int32_t order[] = {1, 2};
    rig_create_on(&house.rig, "a", 1500, order, 2);
    struct alter_partition_reassignments_request request;
    wire_defaults(&wire_alter_partition_reassignments_request, &request);
    struct alter_partition_reassignments_request_topic topic = {.name = wire_str("a")};
    int32_t other[] = {2, 1};
    topic.partitions.count = 1500;
    topic.partitions.items = mem_array(1500, sizeof *topic.partitions.items);
    for (int32_t i = 0; i < 1500; i++) {
        topic.partitions.items[i].partition_index = i;
        topic.partitions.items[i].replicas.items = other;
        topic.partitions.items[i].replicas.count = 2;
    }
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_submit(&house.rig, &call, 45, 1, &request);
    rig_commit(&house.rig);
    rig_call_free(&call);
    mem_free(topic.partitions.items);
    assert_int_equal(leader(&house, "a", 1499), 1);
    size_t before = house.rig.count;
    pass(&house, INTERVAL_MS);
    assert_int_equal(house.rig.batches[before].records, 1000);
    pass(&house, 20);
    assert_int_equal(house.rig.batches[before + 1].records, 500);
    for (int32_t i = 0; i < 1500; i++) {
        assert_int_equal(leader(&house, "a", i), 2);
    }
    rig_stop(&house.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_back_and_in_sync_leads_again),
        cmocka_unit_test(nothing_moves_by_itself_when_that_is_not_wanted),
        cmocka_unit_test(who_decides_no_more_moves_nothing),
        cmocka_unit_test(many_move_in_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
