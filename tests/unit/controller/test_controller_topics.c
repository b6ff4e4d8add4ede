/* Topics: created, refused, grown, deleted; settings; producer ids. */
#include "tests/unit/controller/rig.h"

static const struct image *image_of(const struct rig *rig)
{
    return controller_committed_image(rig->controller);
}

static void a_new_cluster_gets_its_bootstrap_records(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.batches[0].records, 3);
    assert_int_equal(image_feature_level(image_of(&rig), "metadata.version"), 30);
    assert_false(image_in_transaction(image_of(&rig)));
    controller_deactivate(rig.controller);
    rig.epoch = 2;
    controller_activate(rig.controller, 2);
    assert_int_equal(rig.count, 1); /* once only */
    rig_stop(&rig);
}

static void an_answer_waits_for_its_commit(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    struct create_topics_request request;
    wire_defaults(&wire_create_topics_request, &request);
    __typeof__(request.topics.items[0]) topic = {
        .name = wire_str("orders"), .num_partitions = 3, .replication_factor = 1};
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_submit(&rig, &call, 19, 7, &request);
    rig_turn(&rig);
    assert_int_equal(call.done, 0);
    assert_non_null(image_topic_by_name(controller_image(rig.controller), "orders"));
    assert_null(image_topic_by_name(image_of(&rig), "orders"));
    /* one that changes nothing waits for what it was decided on */
    struct rig_call again;
    rig_submit(&rig, &again, 19, 7, &request);
    rig_turn(&rig);
    assert_int_equal(again.done, 0);
    rig_commit(&rig);
    assert_int_equal(call.done, 1);
    assert_int_equal(again.done, 1);
    assert_int_equal(call.response.create_topics.topics.items[0].error_code, 0);
    assert_int_equal(call.response.create_topics.topics.items[0].num_partitions, 3);
    assert_int_equal(again.response.create_topics.topics.items[0].error_code,
                     KAFKA_TOPIC_ALREADY_EXISTS);
    const struct image_topic *made = image_topic_by_name(image_of(&rig), "orders");
    assert_true(uuid_equal(&made->id, &call.response.create_topics.topics.items[0].topic_id));
    assert_int_equal(made->partitions[2]->leader, 1);
    assert_int_equal(made->partitions[2]->leader_epoch, 0);
    struct uuid dir = uuid_from_number(5001);
    assert_true(uuid_equal(&made->partitions[2]->directories[0], &dir));
    rig_call_free(&call);
    rig_call_free(&again);
    rig_stop(&rig);
}

static void lost_leadership_takes_back_what_was_not_committed(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    struct create_topics_request request;
    wire_defaults(&wire_create_topics_request, &request);
    __typeof__(request.topics.items[0]) topic = {
        .name = wire_str("ghost"), .num_partitions = 1, .replication_factor = 1};
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_submit(&rig, &call, 19, 7, &request);
    controller_deactivate(rig.controller);
    assert_null(image_topic_by_name(controller_image(rig.controller), "ghost"));
    rig_turn(&rig);
    assert_int_equal(call.done, 1);
    assert_int_equal(call.response.create_topics.topics.items[0].error_code, KAFKA_NOT_CONTROLLER);
    rig_call_free(&call);
    rig_submit(&rig, &call, 19, 7, &request);
    rig_turn(&rig);
    assert_int_equal(call.response.create_topics.topics.items[0].error_code, KAFKA_NOT_CONTROLLER);
    rig_call_free(&call);
    /* the next leader may have committed it all the same */
    rig_commit(&rig);
    assert_non_null(image_topic_by_name(image_of(&rig), "ghost"));
    rig.epoch = 2;
    controller_activate(rig.controller, 2);
    assert_int_equal(rig_create(&rig, "ghost", 1, 1), KAFKA_TOPIC_ALREADY_EXISTS);
    rig_stop(&rig);
}

static void a_failed_append_gives_up_leadership(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    rig.refuse_appends = true;
    assert_int_equal(rig_create(&rig, "x", 1, 1), KAFKA_NOT_CONTROLLER);
    assert_int_equal(rig.resigned, 1);
    rig_stop(&rig);
}

static void bad_topics_are_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    assert_int_equal(rig_create(&rig, "early", 1, 1), KAFKA_INVALID_REPLICATION_FACTOR);
    rig_broker(&rig, 1, NULL);
    assert_int_equal(rig_create(&rig, "", 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(rig_create(&rig, ".", 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(rig_create(&rig, "..", 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(rig_create(&rig, "a b", 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    char longest[251];
    memset(longest, 'x', 250);
    longest[250] = '\0';
    assert_int_equal(rig_create(&rig, longest, 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(rig_create(&rig, longest + 1, 1, 1), 0);
    assert_int_equal(rig_create(&rig, "a", 0, 1), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(rig_create(&rig, "a", -2, 1), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(rig_create(&rig, "a", 1, 0), KAFKA_INVALID_REPLICATION_FACTOR);
    assert_int_equal(rig_create(&rig, "a", 1, 2), KAFKA_INVALID_REPLICATION_FACTOR);
    assert_int_equal(rig_create(&rig, "a", 10001, 1), KAFKA_POLICY_VIOLATION);
    assert_int_equal(rig_create(&rig, "a", -1, -1), 0);
    assert_int_equal(image_topic_by_name(image_of(&rig), "a")->partition_count, 1);
    assert_int_equal(rig_create(&rig, "a.b_c.d", 1, 1), 0);
    assert_int_equal(rig_create(&rig, "a.b_c.d", 1, 1), KAFKA_TOPIC_ALREADY_EXISTS);
    assert_int_equal(rig_create(&rig, "a_b.c_d", 1, 1), KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(rig_create(&rig, "a_b.c_d2", 1, 1), 0);
    assert_int_equal(rig_create(&rig, "a_b.cxd", 1, 1), 0);
    rig_stop(&rig);
}

static void assignments_by_hand_are_checked(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    for (int32_t id = 1; id <= 3; id++) {
        rig_broker(&rig, id, NULL);
    }
    static const struct {
        int32_t parts[2];
        int32_t ids[2][2];
        int32_t count[2];
        int16_t error;
    } cases[] = {
        {{0, 1}, {{3, 1}, {2, 3}}, {2, 2}, 0},
        {{0, 2}, {{3, 1}, {2, 3}}, {2, 2}, KAFKA_INVALID_REPLICA_ASSIGNMENT},
        {{0, 0}, {{3, 1}, {2, 3}}, {2, 2}, KAFKA_INVALID_REPLICA_ASSIGNMENT},
        {{0, 1}, {{3, 3}, {2, 3}}, {2, 2}, KAFKA_INVALID_REPLICA_ASSIGNMENT},
        {{0, 1}, {{3, 9}, {2, 3}}, {2, 2}, KAFKA_INVALID_REPLICA_ASSIGNMENT},
        {{0, 1}, {{3, 1}, {2, 3}}, {2, 1}, KAFKA_INVALID_REPLICA_ASSIGNMENT},
        {{0, 1}, {{3, 1}, {2, 3}}, {0, 0}, KAFKA_INVALID_REPLICA_ASSIGNMENT},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct create_topics_request request;
        wire_defaults(&wire_create_topics_request, &request);
        char name[8];
        snprintf(name, sizeof name, "t%zu", c);
        __typeof__(request.topics.items[0]) topic = {
            .name = wire_str(name), .num_partitions = -1, .replication_factor = -1};
        __typeof__(topic.assignments.items[0]) assignments[2];
        int32_t ids[2][2];
        memcpy(ids, cases[c].ids, sizeof ids);
        for (int i = 0; i < 2; i++) {
            assignments[i].partition_index = cases[c].parts[i];
            assignments[i].broker_ids.items = ids[i];
            assignments[i].broker_ids.count = cases[c].count[i];
        }
        topic.assignments.items = assignments;
        topic.assignments.count = 2;
        request.topics.items = &topic;
        request.topics.count = 1;
        struct rig_call call;
        rig_submit(&rig, &call, 19, 7, &request);
        rig_commit(&rig);
        assert_int_equal(call.response.create_topics.topics.items[0].error_code, cases[c].error);
        const struct image_topic *made = image_topic_by_name(image_of(&rig), name);
        assert_true((made != NULL) == (cases[c].error == 0));
        if (made != NULL) {
            assert_int_equal(made->partitions[0]->leader, 3);
            assert_int_equal(made->partitions[1]->leader, 2);
        }
        rig_call_free(&call);
    }
    rig_stop(&rig);
}

static void validate_only_changes_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    struct create_topics_request request;
    wire_defaults(&wire_create_topics_request, &request);
    __typeof__(request.topics.items[0]) topics[3] = {
        {.name = wire_str("a"), .num_partitions = 1, .replication_factor = 1},
        {.name = wire_str("b.c"), .num_partitions = 1, .replication_factor = 1},
        {.name = wire_str("b_c"), .num_partitions = 1, .replication_factor = 1}};
    request.topics.items = topics;
    request.topics.count = 3;
    request.validate_only = true;
    size_t before = rig.count;
    struct rig_call call;
    rig_submit(&rig, &call, 19, 7, &request);
    rig_commit(&rig);
    assert_int_equal(rig.count, before);
    assert_int_equal(call.response.create_topics.topics.items[0].error_code, 0);
    assert_int_equal(call.response.create_topics.topics.items[1].error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(call.response.create_topics.topics.items[2].error_code, KAFKA_INVALID_REQUEST);
    rig_call_free(&call);
    rig_stop(&rig);
}

static void topics_are_deleted_by_name_and_by_id(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    assert_int_equal(rig_create(&rig, "a", 1, 1), 0);
    assert_int_equal(rig_create(&rig, "b", 1, 1), 0);
    struct uuid a = image_topic_by_name(image_of(&rig), "a")->id;
    struct delete_topics_request request;
    wire_defaults(&wire_delete_topics_request, &request);
    __typeof__(request.topics.items[0]) topics[5] = {
        {.name = WIRE_STR_NULL, .topic_id = a},
        {.name = wire_str("b")},
        {.name = wire_str("none")},
        {.name = WIRE_STR_NULL, .topic_id = uuid_from_number(77)},
        {.name = wire_str("a")}};
    request.topics.items = topics;
    request.topics.count = 5;
    struct rig_call call;
    rig_submit(&rig, &call, 20, 6, &request);
    rig_commit(&rig);
    static const int16_t errors[] = {0, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, KAFKA_UNKNOWN_TOPIC_ID,
                                     KAFKA_INVALID_REQUEST};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(call.response.delete_topics.responses.items[i].error_code, errors[i]);
    }
    assert_true(wire_str_is(call.response.delete_topics.responses.items[0].name, "a"));
    assert_int_equal(image_topic_count(image_of(&rig)), 0);
    rig_call_free(&call);
    rig_stop(&rig);
}

static void partitions_are_added(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    rig_broker(&rig, 2, NULL);
    assert_int_equal(rig_create(&rig, "a", 2, 2), 0);
    struct create_partitions_request request;
    wire_defaults(&wire_create_partitions_request, &request);
    __typeof__(request.topics.items[0]) topics[2] = {{.name = wire_str("a"), .count = 5},
                                                     {.name = wire_str("none"), .count = 5}};
    topics[0].assignments.count = -1;
    topics[1].assignments.count = -1;
    request.topics.items = topics;
    request.topics.count = 2;
    struct rig_call call;
    rig_submit(&rig, &call, 37, 3, &request);
    rig_commit(&rig);
    assert_int_equal(call.response.create_partitions.results.items[0].error_code, 0);
    assert_int_equal(call.response.create_partitions.results.items[1].error_code,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(image_topic_by_name(image_of(&rig), "a")->partition_count, 5);
    assert_int_equal(image_topic_by_name(image_of(&rig), "a")->partitions[4]->replicas.count, 2);
    rig_call_free(&call);
    rig_submit(&rig, &call, 37, 3, &request);
    rig_commit(&rig);
    assert_int_equal(call.response.create_partitions.results.items[0].error_code,
                     KAFKA_INVALID_PARTITIONS);
    rig_call_free(&call);
    rig_stop(&rig);
}

static void replicas_are_spread_evenly_and_over_racks(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    static const char *const racks[] = {"a", "a", "b", "b", "c", "c"};
    for (int32_t id = 0; id < 6; id++) {
        rig_broker(&rig, id, racks[id]);
    }
    assert_int_equal(rig_create(&rig, "wide", 60, 3), 0);
    int leads[6] = {0};
    int holds[6] = {0};
    const struct image_topic *topic = image_topic_by_name(image_of(&rig), "wide");
    for (int32_t p = 0; p < 60; p++) {
        const struct image_partition *partition = topic->partitions[p];
        bool seen[3] = {false};
        leads[partition->leader]++;
        assert_int_equal(partition->leader, partition->replicas.ids[0]);
        for (int32_t r = 0; r < 3; r++) {
            int32_t id = partition->replicas.ids[r];
            holds[id]++;
            assert_false(seen[id / 2]);
            seen[id / 2] = true;
        }
    }
    for (int id = 0; id < 6; id++) {
        assert_int_equal(holds[id], 30);
        assert_in_range(leads[id], 8, 12);
    }
    rig_stop(&rig);
}

static void settings_are_changed(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    assert_int_equal(rig_create(&rig, "a", 1, 1), 0);
    struct incremental_alter_configs_request request;
    wire_defaults(&wire_incremental_alter_configs_request, &request);
    __typeof__(request.resources.items[0]) resources[2] = {
        {.resource_type = 2, .resource_name = wire_str("a")},
        {.resource_type = 2, .resource_name = wire_str("none")}};
    __typeof__(resources[0].configs.items[0]) configs[2] = {
        {.name = wire_str("retention.ms"), .value = wire_str("5")},
        {.name = wire_str("cleanup.policy"), .value = wire_str("x"), .config_operation = 2}};
    resources[0].configs.items = configs;
    resources[0].configs.count = 1;
    resources[1].configs = resources[0].configs;
    request.resources.items = resources;
    request.resources.count = 2;
    struct rig_call call;
    rig_submit(&rig, &call, 44, 1, &request);
    rig_commit(&rig);
    assert_int_equal(call.response.configs.responses.items[0].error_code, 0);
    assert_int_equal(call.response.configs.responses.items[1].error_code,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_string_equal(
        image_config_value(image_of(&rig), IMAGE_RESOURCE_TOPIC, "a", "retention.ms"), "5");
    rig_call_free(&call);
    /* all of a resource or nothing: the second setting is no list */
    configs[0].value = wire_str("6");
    resources[0].configs.count = 2;
    rig_submit(&rig, &call, 44, 1, &request);
    rig_commit(&rig);
    assert_int_equal(call.response.configs.responses.items[0].error_code, KAFKA_INVALID_CONFIG);
    assert_string_equal(
        image_config_value(image_of(&rig), IMAGE_RESOURCE_TOPIC, "a", "retention.ms"), "5");
    rig_call_free(&call);
    rig_stop(&rig);
}

static void a_setting_no_image_takes_is_refused_before_the_log(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    struct create_topics_request request;
    wire_defaults(&wire_create_topics_request, &request);
    __typeof__(request.topics.items[0]) topic = {
        .name = wire_str("a"), .num_partitions = 1, .replication_factor = 1};
    __typeof__(topic.configs.items[0]) config = {.name = {"k\0x", 3}, .value = wire_str("v")};
    topic.configs.items = &config;
    topic.configs.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    size_t before = rig.count;
    struct rig_call call;
    rig_submit(&rig, &call, 19, 7, &request);
    rig_commit(&rig);
    assert_int_equal(call.response.create_topics.topics.items[0].error_code, KAFKA_INVALID_CONFIG);
    assert_int_equal(rig.count, before);
    assert_int_equal(rig.resigned, 0);
    rig_call_free(&call);
    rig_stop(&rig);
}

static void producer_ids_are_given_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t epoch = rig_broker(&rig, 1, NULL);
    struct allocate_producer_ids_request request = {.broker_id = 1, .broker_epoch = epoch};
    for (int i = 0; i < 3; i++) {
        struct rig_call call;
        rig_submit(&rig, &call, 67, 0, &request);
        rig_commit(&rig);
        assert_int_equal(call.response.producer_ids.error_code, 0);
        assert_int_equal(call.response.producer_ids.producer_id_start, 1000 * i);
        assert_int_equal(call.response.producer_ids.producer_id_len, 1000);
        rig_call_free(&call);
        controller_deactivate(rig.controller);
        controller_activate(rig.controller, ++rig.epoch);
    }
    request.broker_epoch--;
    struct rig_call call;
    rig_submit(&rig, &call, 67, 0, &request);
    rig_commit(&rig);
    assert_int_equal(call.response.producer_ids.error_code, KAFKA_STALE_BROKER_EPOCH);
    rig_call_free(&call);
    rig_stop(&rig);
}

static void a_cancelled_call_is_silent(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    rig_broker(&rig, 1, NULL);
    struct create_topics_request request;
    wire_defaults(&wire_create_topics_request, &request);
    __typeof__(request.topics.items[0]) topic = {
        .name = wire_str("a"), .num_partitions = 1, .replication_factor = 1};
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_submit(&rig, &call, 19, 7, &request);
    controller_cancel(rig.controller, &call.call);
    rig_commit(&rig);
    assert_int_equal(call.done, 0);
    assert_non_null(image_topic_by_name(image_of(&rig), "a"));
    rig_call_free(&call);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster_gets_its_bootstrap_records),
        cmocka_unit_test(an_answer_waits_for_its_commit),
        cmocka_unit_test(lost_leadership_takes_back_what_was_not_committed),
        cmocka_unit_test(a_failed_append_gives_up_leadership),
        cmocka_unit_test(bad_topics_are_refused),
        cmocka_unit_test(assignments_by_hand_are_checked),
        cmocka_unit_test(validate_only_changes_nothing),
        cmocka_unit_test(topics_are_deleted_by_name_and_by_id),
        cmocka_unit_test(partitions_are_added),
        cmocka_unit_test(replicas_are_spread_evenly_and_over_racks),
        cmocka_unit_test(settings_are_changed),
        cmocka_unit_test(a_setting_no_image_takes_is_refused_before_the_log),
        cmocka_unit_test(producer_ids_are_given_once),
        cmocka_unit_test(a_cancelled_call_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
