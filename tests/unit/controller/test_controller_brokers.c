/* Brokers: registration, sessions, fencing, leaders that move, a controlled stop. */
#include "tests/unit/controller/rig.h"

#include "tests/unit/metadata/records.h"

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
    controller_broker_unheard(rig.controller, 1, first - 1); /* somebody else */
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

/* The older life's connection has ended, or was with an earlier controller. */
static void one_in_its_former_place_need_not_wait(void **state)
{
    (void)state;
    for (int failover = 0; failover < 2; failover++) {
        struct rig rig;
        rig_start(&rig, NULL, true);
        int64_t first = rig_broker(&rig, 1, NULL);
        assert_int_equal(rig_create(&rig, "a", 1, 1), 0);
        if (failover) {
            controller_deactivate(rig.controller);
            rig.epoch = 2;
            controller_activate(rig.controller, 2);
        } else {
            controller_broker_unheard(rig.controller, 1, first);
        }
        /* another directory: it may be another machine */
        struct uuid other = uuid_from_number(6001);
        int64_t second = -1;
        assert_int_equal(rig_register_in(&rig, 1, 9999, &other, 1, &second),
                         KAFKA_DUPLICATE_BROKER_REGISTRATION);
        int32_t led_in = partition_of(&rig, "a")->leader_epoch;
        assert_int_equal(rig_register(&rig, 1, NULL, 9999, &second), 0);
        assert_true(second > first);
        assert_true(image_broker(image_of(&rig), 1)->fenced);
        assert_int_equal(partition_of(&rig, "a")->leader, -1);
        assert_int_equal(rig_heartbeat(&rig, 1, second, false, false, NULL), 0);
        assert_int_equal(partition_of(&rig, "a")->leader_epoch, led_in + 2);
        /* what the life before sent, and came late, does not put it out */
        assert_int_equal(rig_register(&rig, 1, NULL, 9998, &first),
                         KAFKA_DUPLICATE_BROKER_REGISTRATION);
        /* nor when its connection was lost and it has another */
        controller_broker_unheard(rig.controller, 1, second);
        assert_int_equal(rig_heartbeat(&rig, 1, second, false, false, NULL), 0);
        assert_int_equal(rig_register(&rig, 1, NULL, 9998, &first),
                         KAFKA_DUPLICATE_BROKER_REGISTRATION);
        rig_stop(&rig);
    }
}

static void one_that_listens_elsewhere_waits(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t first = rig_broker(&rig, 1, NULL);
    controller_broker_unheard(rig.controller, 1, first);
    static const struct {
        const char *name;
        const char *host;
        uint16_t port;
        int32_t count;
    } places[] = {{"PLAINTEXT", "h", 9093, 1},
                  {"PLAINTEXT", "i", 9092, 1},
                  {"OTHER", "h", 9092, 1},
                  {"PLAINTEXT", "h", 9092, 2},
                  {"PLAINTEXT", "h", 9092, 1}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct broker_registration_request request;
        wire_defaults(&wire_broker_registration_request, &request);
        request.broker_id = 1;
        request.cluster_id = wire_str("cluster");
        request.incarnation_id = uuid_from_number(9999);
        __typeof__(request.listeners.items[0]) listeners[] = {
            {wire_str(places[i].name), wire_str(places[i].host), places[i].port, 0},
            {wire_str("MORE"), wire_str("h"), 9099, 0}};
        request.listeners.items = listeners;
        request.listeners.count = places[i].count;
        __typeof__(request.features.items[0]) feature = {wire_str("metadata.version"), 17, 30};
        request.features.items = &feature;
        request.features.count = 1;
        struct uuid dirs[] = {uuid_from_number(6001), uuid_from_number(5001)};
        request.log_dirs.items = dirs;
        request.log_dirs.count = 2;
        struct rig_call call;
        rig_submit(&rig, &call, 62, 4, &request);
        rig_commit(&rig);
        assert_int_equal(call.response.registration.error_code,
                         i < 4 ? KAFKA_DUPLICATE_BROKER_REGISTRATION : 0);
        rig_call_free(&call);
    }
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

struct heard {
    struct rig *rig;
    struct broker_heartbeat_request request;
    struct rig_call call;
};

static void is_heard(void *ctx)
{
    struct heard *heard = ctx;
    rig_submit(heard->rig, &heard->call, WIRE_BROKER_HEARTBEAT, 1, &heard->request);
}

/* A busy turn: a heartbeat of another comes in before the timer of a session that is over. */
static void the_heartbeats_of_others_do_not_prolong_a_session(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    struct heard heard = {.rig = &rig, .request = {.broker_id = 1}};
    heard.request.broker_epoch = rig_broker(&rig, 1, NULL);
    rig_broker(&rig, 2, NULL);
    sim_run_for(rig.sim, 8000);
    assert_int_equal(rig_heartbeat(&rig, 1, heard.request.broker_epoch, false, false, NULL), 0);
    sim_node_stall(rig.node, 2000000);
    sim_at(rig.sim, sim_now_us(rig.sim) + 1500000, is_heard, &heard);
    sim_run_for(rig.sim, 2500);
    rig_commit(&rig);
    assert_int_equal(heard.call.done, 1);
    rig_call_free(&heard.call);
    assert_false(image_broker(image_of(&rig), 1)->fenced);
    assert_true(image_broker(image_of(&rig), 2)->fenced);
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

/* DESIGN: whatever a broker led, its next life does not lead it in the same epoch, and the records
 * that see to it come before the one that registers it. */
static void no_leader_keeps_its_epoch_across_a_restart(void **state)
{
    (void)state;
    struct controller_config config = controller_config_default();
    config.node_id = 1; /* 1's own controller: it need not wait for its session to end */
    snprintf(config.cluster_id, sizeof config.cluster_id, "cluster");
    static const struct {
        int32_t replicas[2];
        int32_t count;
        bool fenced_before;
        int32_t leader; /* while it is away */
    } cases[] = {
        {{1, 2}, 2, false, 2}, {{1, 2}, 2, true, 2}, {{1, 2}, 1, false, -1}, {{1, 2}, 1, true, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig rig;
        rig_start(&rig, &config, true);
        int64_t one = rig_broker(&rig, 1, NULL);
        rig_broker(&rig, 2, NULL);
        int32_t replicas[] = {cases[i].replicas[0], cases[i].replicas[1]};
        rig_create_on(&rig, "a", 1, replicas, cases[i].count);
        int32_t led_in = partition_of(&rig, "a")->leader_epoch;
        assert_int_equal(partition_of(&rig, "a")->leader, 1);
        if (cases[i].fenced_before) {
            assert_int_equal(rig_heartbeat(&rig, 1, one, true, false, NULL), 0);
        }
        int64_t again = -1;
        assert_int_equal(rig_register(&rig, 1, NULL, 9999, &again), 0);
        assert_int_equal(again, rig.next_offset - 1);
        assert_int_equal(partition_of(&rig, "a")->leader, cases[i].leader);
        assert_true(partition_of(&rig, "a")->leader_epoch > led_in);
        assert_int_equal(partition_of(&rig, "a")->isr.count, 1);
        assert_int_equal(partition_of(&rig, "a")->isr.ids[0], cases[i].count == 2 ? 2 : 1);
        assert_int_equal(rig_heartbeat(&rig, 1, again, false, false, NULL), 0);
        assert_int_equal(partition_of(&rig, "a")->leader, cases[i].count == 2 ? 2 : 1);
        rig_stop(&rig);
    }
}

static void a_broker_known_to_have_died_is_fenced_now(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t one = rig_broker(&rig, 1, NULL);
    int64_t two = rig_broker(&rig, 2, NULL);
    int32_t replicas[] = {1, 2};
    rig_create_on(&rig, "a", 1, replicas, 2);
    int64_t heard_ms = env_now_ms(rig.env);
    sim_run_for(rig.sim, 100);
    assert_int_equal(rig_heartbeat(&rig, 2, two, false, false, NULL), 0);
    size_t batches = rig.count;
    assert_false(controller_broker_died(rig.controller, 3, one, INT64_MAX, "unknown"));
    assert_false(controller_broker_died(rig.controller, 1, one - 1, INT64_MAX, "a former life"));
    assert_false(controller_broker_died(rig.controller, 2, two, heard_ms, "heard of since"));
    assert_int_equal(rig.count, batches);
    assert_true(controller_broker_died(rig.controller, 1, one, env_now_ms(rig.env), "dead"));
    rig_commit(&rig);
    assert_true(image_broker(image_of(&rig), 1)->fenced);
    assert_int_equal(partition_of(&rig, "a")->leader, 2);
    assert_int_equal(partition_of(&rig, "a")->isr.count, 1);
    assert_false(controller_broker_died(rig.controller, 1, one, INT64_MAX, "fenced already"));
    /* its next life registers at once; and a live one that was taken for dead comes back */
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, false, NULL), 0);
    assert_false(image_broker(image_of(&rig), 1)->fenced);
    controller_deactivate(rig.controller);
    assert_false(controller_broker_died(rig.controller, 1, one, INT64_MAX, "not ours to say"));
    rig_stop(&rig);
}

static void a_stop_waits_for_nobody_when_nobody_can_take_over(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t one = rig_broker(&rig, 1, NULL);
    int64_t two = rig_broker(&rig, 2, NULL);
    int32_t replicas[] = {1};
    rig_create_on(&rig, "a", 1, replicas, 1);
    struct broker_heartbeat_response answer;
    /* 2 leads nothing: it may go at once */
    assert_int_equal(rig_heartbeat(&rig, 2, two, false, true, &answer), 0);
    assert_true(answer.should_shut_down);
    assert_true(answer.is_fenced);
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, true, &answer), 0);
    assert_false(answer.should_shut_down);
    assert_int_equal(partition_of(&rig, "a")->leader, -1);
    assert_int_equal(partition_of(&rig, "a")->isr.count, 1);
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, true, &answer), 0);
    assert_true(answer.should_shut_down);
    /* fenced by now: asking again is granted again */
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, true, &answer), 0);
    assert_true(answer.should_shut_down);
    rig_stop(&rig);
}

/* A large change is made in several batches, and a controller may die between two. */
static void what_an_earlier_controller_left_half_done_is_finished(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t one = rig_broker(&rig, 1, NULL);
    int64_t two = rig_broker(&rig, 2, NULL);
    int32_t replicas[] = {1, 2};
    rig_create_on(&rig, "a", 1, replicas, 2);
    rig_create_on(&rig, "b", 1, replicas, 2);
    controller_deactivate(rig.controller);
    struct record_list records = {0};
    put_leader(&records, image_topic_by_name(image_of(&rig), "b")->id, 0, -1);
    struct broker_registration_change_record stops;
    wire_defaults(&wire_broker_registration_change_record, &stops);
    stops.broker_id = 1;
    stops.broker_epoch = one;
    stops.in_controlled_shutdown = 1;
    record_list_add(&records, RECORD_BROKER_REGISTRATION_CHANGE, 1, &stops);
    rig_inherit(&rig, &records);
    rig.epoch = 2;
    controller_activate(rig.controller, 2);
    rig_commit(&rig);
    assert_int_equal(partition_of(&rig, "b")->leader, 2); /* 1 is about to stop */
    assert_int_equal(partition_of(&rig, "a")->leader, 1);
    struct broker_heartbeat_response answer;
    assert_int_equal(rig_heartbeat(&rig, 2, two, false, false, NULL), 0);
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, true, &answer), 0);
    assert_int_equal(partition_of(&rig, "a")->leader, 2);
    assert_int_equal(partition_of(&rig, "a")->isr.count, 1);
    assert_false(answer.should_shut_down); /* it still led */
    assert_int_equal(rig_heartbeat(&rig, 1, one, false, true, &answer), 0);
    assert_true(answer.should_shut_down);
    rig_stop(&rig);
}

static void unclean_election_may_be_allowed_afterwards(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t one = rig_broker(&rig, 1, NULL);
    rig_broker(&rig, 2, NULL);
    int32_t replicas[] = {1, 2};
    rig_create_on(&rig, "a", 1, replicas, 2);
    rig_create_on(&rig, "b", 1, replicas, 2);
    int64_t two = image_broker(image_of(&rig), 2)->epoch;
    assert_int_equal(rig_heartbeat(&rig, 2, two, true, false, NULL), 0);
    assert_int_equal(rig_heartbeat(&rig, 2, two, false, false, NULL), 0);
    assert_int_equal(rig_heartbeat(&rig, 1, one, true, false, NULL), 0);
    assert_int_equal(partition_of(&rig, "a")->leader, -1);
    rig_configure(&rig, 2, "a", "unclean.leader.election.enable", "TRUE");
    assert_int_equal(partition_of(&rig, "a")->leader, 2);
    assert_int_equal(partition_of(&rig, "a")->recovery, IMAGE_RECOVERING);
    assert_int_equal(partition_of(&rig, "b")->leader, -1);
    rig_stop(&rig);
}

static const char *always_true(void *ctx, enum image_resource type, const char *key)
{
    (void)ctx;
    return type == IMAGE_RESOURCE_TOPIC && strcmp(key, "unclean.leader.election.enable") == 0
               ? "true"
               : NULL;
}

static void unclean_election_may_be_the_brokers_own_setting(void **state)
{
    (void)state;
    struct controller_config config = controller_config_default();
    config.node_id = 100;
    config.settings.default_value = always_true;
    snprintf(config.cluster_id, sizeof config.cluster_id, "cluster");
    struct rig rig;
    rig_start(&rig, &config, true);
    int64_t one = rig_broker(&rig, 1, NULL);
    rig_broker(&rig, 2, NULL);
    int32_t alone[] = {1, 2};
    rig_create_on(&rig, "a", 1, alone, 2);
    rig_create_on(&rig, "b", 1, alone, 2);
    rig_configure(&rig, 2, "b", "unclean.leader.election.enable", "false");
    int64_t two = image_broker(image_of(&rig), 2)->epoch;
    assert_int_equal(rig_heartbeat(&rig, 2, two, true, false, NULL), 0);
    assert_int_equal(rig_heartbeat(&rig, 2, two, false, false, NULL), 0);
    assert_int_equal(rig_heartbeat(&rig, 1, one, true, false, NULL), 0);
    assert_int_equal(partition_of(&rig, "a")->leader, 2);
    assert_int_equal(partition_of(&rig, "b")->leader, -1);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_epoch_is_the_offset_of_its_record),
        cmocka_unit_test(a_broker_that_lags_stays_fenced),
        cmocka_unit_test(a_second_life_waits_for_the_end_of_the_first),
        cmocka_unit_test(one_in_its_former_place_need_not_wait),
        cmocka_unit_test(one_that_listens_elsewhere_waits),
        cmocka_unit_test(the_controllers_own_broker_need_not_wait),
        cmocka_unit_test(heartbeats_keep_a_broker_alive),
        cmocka_unit_test(the_heartbeats_of_others_do_not_prolong_a_session),
        cmocka_unit_test(a_new_leader_gives_every_broker_a_whole_session),
        cmocka_unit_test(a_controlled_stop_moves_leaders_first),
        cmocka_unit_test(unclean_election_happens_where_it_is_allowed),
        cmocka_unit_test(a_broker_with_very_many_partitions_goes_and_comes_back),
        cmocka_unit_test(no_leader_keeps_its_epoch_across_a_restart),
        cmocka_unit_test(a_broker_known_to_have_died_is_fenced_now),
        cmocka_unit_test(a_stop_waits_for_nobody_when_nobody_can_take_over),
        cmocka_unit_test(what_an_earlier_controller_left_half_done_is_finished),
        cmocka_unit_test(unclean_election_may_be_allowed_afterwards),
        cmocka_unit_test(unclean_election_may_be_the_brokers_own_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
