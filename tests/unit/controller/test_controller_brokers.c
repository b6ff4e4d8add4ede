/* Brokers: registration, sessions, fencing, leaders that move, a controlled stop. */
#include "tests/unit/controller/rig.h"

static const struct image *image_of(const struct rig *rig)
{
    return controller_committed_image(rig->controller);
}

static const struct image_partition *partition_of(const struct rig *rig, const char *topic)
{
    return image_topic_by_name(image_of(rig), topic)->partitions[0];
}

static void a_broker_epoch_is_the_offset_of_its_record(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t expected = rig.next_offset;
    int64_t epoch = -1;
    assert_int_equal(rig_register(&rig, 1, "r", 7001, &epoch), 0);
    assert_int_equal(epoch, expected);
    const struct image_broker *broker = image_broker(image_of(&rig), 1);
    assert_int_equal(broker->epoch, expected);
    assert_true(broker->fenced);
    assert_int_equal(broker->log_dir_count, 1);
    /* the same life again keeps it */
    int64_t again = -1;
    assert_int_equal(rig_register(&rig, 1, "r", 7001, &again), 0);
    assert_int_equal(again, epoch);
    assert_int_equal(rig_heartbeat(&rig, 1, epoch, false, false, NULL), 0);
    assert_false(image_broker(image_of(&rig), 1)->fenced);
    assert_int_equal(rig_heartbeat(&rig, 1, epoch + 1, false, false, NULL),
                     KAFKA_STALE_BROKER_EPOCH);
    assert_int_equal(rig_heartbeat(&rig, 2, epoch, false, false, NULL),
                     KAFKA_BROKER_ID_NOT_REGISTERED);
    rig_stop(&rig);
}

static void a_broker_that_lags_stays_fenced(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t epoch = -1;
    rig_register(&rig, 1, NULL, 7001, &epoch);
    struct broker_heartbeat_request request;
    wire_defaults(&wire_broker_heartbeat_request, &request);
    request.broker_id = 1;
    request.broker_epoch = epoch;
    request.current_metadata_offset = epoch - 1;
    struct rig_call call;
    rig_submit(&rig, &call, 63, 1, &request);
    rig_commit(&rig);
    assert_true(call.response.heartbeat.is_fenced);
    assert_false(call.response.heartbeat.is_caught_up);
    rig_call_free(&call);
    rig_stop(&rig);
}

static void a_second_life_waits_for_the_end_of_the_first(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t first = rig_broker(&rig, 1, NULL);
    assert_int_equal(rig_create(&rig, "a", 1, 1), 0);
    int64_t second = -1;
    assert_int_equal(rig_register(&rig, 1, NULL, 9999, &second),
                     KAFKA_DUPLICATE_BROKER_REGISTRATION);
    sim_run_for(rig.sim, 9000);
    rig_commit(&rig);
    assert_true(image_broker(image_of(&rig), 1)->fenced);
    assert_int_equal(partition_of(&rig, "a")->leader, -1);
    assert_int_equal(partition_of(&rig, "a")->isr.count, 1); /* the last one stays */
    assert_int_equal(partition_of(&rig, "a")->leader_epoch, 1);
    assert_int_equal(rig_register(&rig, 1, NULL, 9999, &second), 0);
    assert_true(second > first);
    assert_int_equal(rig_heartbeat(&rig, 1, second, false, false, NULL), 0);
    assert_int_equal(partition_of(&rig, "a")->leader, 1);
    assert_int_equal(partition_of(&rig, "a")->leader_epoch, 2);
    rig_stop(&rig);
}

static void the_controllers_own_broker_need_not_wait(void **state)
{
    (void)state;
    struct rig rig;
    struct controller_config config = controller_config_default();
    config.node_id = 1;
    snprintf(config.cluster_id, sizeof config.cluster_id, "cluster");
    rig_start(&rig, &config, true);
    rig_broker(&rig, 1, NULL);
    rig_create(&rig, "a", 1, 1);
    int32_t leader_epoch = partition_of(&rig, "a")->leader_epoch;
    int64_t epoch = -1;
    assert_int_equal(rig_register(&rig, 1, NULL, 9999, &epoch), 0);
    assert_int_equal(partition_of(&rig, "a")->leader, -1);
    assert_int_equal(epoch, image_broker(image_of(&rig), 1)->epoch);
    assert_int_equal(epoch, rig.next_offset - 1); /* after the partition's change */
    assert_int_equal(rig_heartbeat(&rig, 1, epoch, false, false, NULL), 0);
    assert_int_equal(partition_of(&rig, "a")->leader, 1);
    assert_int_equal(partition_of(&rig, "a")->leader_epoch, leader_epoch + 2);
    rig_stop(&rig);
}

static void heartbeats_keep_a_broker_alive(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t one = rig_broker(&rig, 1, NULL);
    rig_broker(&rig, 2, NULL);
    assert_int_equal(rig_create(&rig, "a", 8, 2), 0);
    for (int i = 0; i < 5; i++) {
        sim_run_for(rig.sim, 2000);
        rig_commit(&rig);
        assert_int_equal(rig_heartbeat(&rig, 1, one, false, false, NULL), 0);
    }
    assert_false(image_broker(image_of(&rig), 1)->fenced);
    assert_true(image_broker(image_of(&rig), 2)->fenced);
    const struct image_topic *topic = image_topic_by_name(image_of(&rig), "a");
    for (int32_t p = 0; p < 8; p++) {
        assert_int_equal(topic->partitions[p]->leader, 1);
        assert_int_equal(topic->partitions[p]->isr.count, 1);
        assert_int_equal(topic->partitions[p]->replicas.count, 2);
    }
    rig_stop(&rig);
}

static void a_new_leader_gives_every_broker_a_whole_session(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    sim_run_for(rig.sim, 8000);
    controller_deactivate(rig.controller);
    rig.epoch = 2;
    controller_activate(rig.controller, 2);
    sim_run_for(rig.sim, 8000);
    rig_commit(&rig);
    assert_false(image_broker(image_of(&rig), 1)->fenced);
    sim_run_for(rig.sim, 1000);
    rig_commit(&rig);
    assert_true(image_broker(image_of(&rig), 1)->fenced);
    rig_stop(&rig);
}

static void a_controlled_stop_moves_leaders_first(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t one = rig_broker(&rig, 1, NULL);
    int64_t two = rig_broker(&rig, 2, NULL);
    assert_int_equal(rig_create(&rig, "a", 4, 2), 0);
    struct broker_heartbeat_response answer;
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, true, &answer), 0);
    assert_false(answer.should_shut_down);
    const struct image_topic *topic = image_topic_by_name(image_of(&rig), "a");
    for (int32_t p = 0; p < 4; p++) {
        assert_int_equal(topic->partitions[p]->leader, 2);
        assert_int_equal(topic->partitions[p]->isr.count, 1);
    }
    assert_true(image_broker(image_of(&rig), 1)->in_controlled_shutdown);
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, true, &answer), 0);
    assert_false(answer.should_shut_down); /* broker 2 has not said that it has seen it */
    assert_int_equal(rig_heartbeat(&rig, 2, two, false, false, NULL), 0);
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, true, &answer), 0);
    assert_true(answer.should_shut_down);
    assert_true(image_broker(image_of(&rig), 1)->fenced);
    rig_stop(&rig);
}

static void unclean_election_happens_where_it_is_allowed(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t one = rig_broker(&rig, 1, NULL);
    int64_t two = rig_broker(&rig, 2, NULL);
    assert_int_equal(rig_create(&rig, "a", 1, 2), 0);
    assert_int_equal(rig_create(&rig, "b", 1, 2), 0);
    struct incremental_alter_configs_request request;
    wire_defaults(&wire_incremental_alter_configs_request, &request);
    __typeof__(request.resources.items[0]) resource = {.resource_type = 2,
                                                       .resource_name = wire_str("b")};
    __typeof__(resource.configs.items[0]) setting = {
        .name = wire_str("unclean.leader.election.enable"), .value = wire_str("true")};
    resource.configs.items = &setting;
    resource.configs.count = 1;
    request.resources.items = &resource;
    request.resources.count = 1;
    struct rig_call call;
    rig_submit(&rig, &call, 44, 1, &request);
    rig_commit(&rig);
    rig_call_free(&call);
    /* 2 leaves the ISR, then 1 goes too, then 2 alone comes back */
    assert_int_equal(rig_heartbeat(&rig, 2, two, true, false, NULL), 0);
    assert_int_equal(rig_heartbeat(&rig, 1, one, true, false, NULL), 0);
    assert_int_equal(partition_of(&rig, "a")->leader, -1);
    assert_int_equal(rig_heartbeat(&rig, 2, two, false, false, NULL), 0);
    assert_int_equal(partition_of(&rig, "a")->leader, -1);
    assert_int_equal(partition_of(&rig, "a")->isr.ids[0], 1);
    assert_int_equal(partition_of(&rig, "b")->leader, 2);
    assert_int_equal(partition_of(&rig, "b")->isr.count, 1);
    assert_int_equal(partition_of(&rig, "b")->isr.ids[0], 2);
    assert_int_equal(partition_of(&rig, "b")->recovery, IMAGE_RECOVERING);
    rig_stop(&rig);
}

/* What a broker tells of itself is carried out however much follows from it. */
static void a_broker_with_very_many_partitions_goes_and_comes_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t one = rig_broker(&rig, 1, NULL);
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_create(&rig, names[i], 7000, 1), 0);
    }
    assert_int_equal(rig_heartbeat(&rig, 1, one, true, false, NULL), 0);
    assert_true(image_broker(image_of(&rig), 1)->fenced);
    assert_int_equal(rig_partition(&rig, "c", 6999)->leader, -1);
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, false, NULL), 0);
    assert_false(image_broker(image_of(&rig), 1)->fenced);
    assert_int_equal(rig_partition(&rig, "a", 0)->leader, 1);
    assert_int_equal(rig_partition(&rig, "c", 6999)->leader, 1);
    for (size_t i = 0; i < rig.count; i++) {
        assert_true(rig.batches[i].records <= 10000);
    }
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_epoch_is_the_offset_of_its_record),
        cmocka_unit_test(a_broker_that_lags_stays_fenced),
        cmocka_unit_test(a_second_life_waits_for_the_end_of_the_first),
        cmocka_unit_test(the_controllers_own_broker_need_not_wait),
        cmocka_unit_test(heartbeats_keep_a_broker_alive),
        cmocka_unit_test(a_new_leader_gives_every_broker_a_whole_session),
        cmocka_unit_test(a_controlled_stop_moves_leaders_first),
        cmocka_unit_test(unclean_election_happens_where_it_is_allowed),
        cmocka_unit_test(a_broker_with_very_many_partitions_goes_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
