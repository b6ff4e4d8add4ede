/* ElectLeaders: the preferred leader back; any leader at all. */
#include "tests/unit/controller/rig.h"

enum { ELECT_LEADERS = 43, PREFERRED = 0, UNCLEAN = 1 };

struct house {
    struct rig rig;
    int64_t epochs[4]; /* by broker id */
};

/* Brokers 1 to 3; topics "a" (2 partitions) and "b" on 1, 2, and "c" on 3; 1 has been away: "a" and
 * "b" are led by 2, and 1 is back in the ISR of a-0 only. */
static void house_start(struct house *house)
{
    rig_start(&house->rig, NULL, true);
    for (int32_t id = 1; id <= 3; id++) {
        house->epochs[id] = rig_broker(&house->rig, id, NULL);
    }
    int32_t first[] = {1, 2};
    int32_t third[] = {3};
    rig_create_on(&house->rig, "a", 2, first, 2);
    rig_create_on(&house->rig, "b", 1, first, 2);
    rig_create_on(&house->rig, "c", 1, third, 1);
    assert_int_equal(rig_heartbeat(&house->rig, 1, house->epochs[1], true, false, NULL), 0);
    assert_int_equal(rig_heartbeat(&house->rig, 1, house->epochs[1], false, false, NULL), 0);
    struct alter_partition_request request;
    wire_defaults(&wire_alter_partition_request, &request);
    request.broker_id = 2;
    request.broker_epoch = house->epochs[2];
    const struct image *image = controller_committed_image(house->rig.controller);
    __typeof__(request.topics.items[0]) topic = {.topic_id = image_topic_by_name(image, "a")->id};
    __typeof__(topic.partitions.items[0]) part;
    wire_struct_defaults(&wire_struct_alter_partition_request_partition, &part);
    part.leader_epoch = rig_partition(&house->rig, "a", 0)->leader_epoch;
    part.partition_epoch = rig_partition(&house->rig, "a", 0)->partition_epoch;
    int32_t isr[] = {2, 1};
    part.new_isr.items = isr;
    part.new_isr.count = 2;
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_exchange(&house->rig, &call, 56, 2, &request);
    rig_call_free(&call);
    assert_int_equal(rig_partition(&house->rig, "a", 0)->isr.count, 2);
    assert_int_equal(rig_partition(&house->rig, "a", 1)->isr.count, 1);
    assert_int_equal(rig_partition(&house->rig, "a", 1)->leader, 2);
}

static void fence(struct house *house, int32_t id)
{
    assert_int_equal(rig_heartbeat(&house->rig, id, house->epochs[id], true, false, NULL), 0);
}

/* One named partition; `topic` NULL: all of them. */
static void ask(struct house *house, struct rig_call *call, int16_t version, int8_t type,
                const char *topic, int32_t *partitions, int32_t count)
{
    struct elect_leaders_request request;
    wire_defaults(&wire_elect_leaders_request, &request);
    request.election_type = type;
    __typeof__(request.topic_partitions.items[0]) named = {.topic = wire_str(topic)};
    named.partitions.items = partitions;
    named.partitions.count = count;
    request.topic_partitions.items = topic == NULL ? NULL : &named;
    request.topic_partitions.count = topic == NULL ? -1 : 1;
    rig_exchange(&house->rig, call, ELECT_LEADERS, version, &request);
}

static int16_t elect(struct house *house, int8_t type, const char *topic, int32_t partition)
{
    struct rig_call call;
    ask(house, &call, 2, type, topic, &partition, 1);
    const struct elect_leaders_response *response = &call.response.elect_leaders;
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->replica_election_results.count, 1);
    const __typeof__(response->replica_election_results.items[0]) *out =
        &response->replica_election_results.items[0];
    assert_true(wire_str_is(out->topic, topic));
    assert_int_equal(out->partition_result.count, 1);
    assert_int_equal(out->partition_result.items[0].partition_id, partition);
    int16_t error = out->partition_result.items[0].error_code;
    assert_int_equal(out->partition_result.items[0].error_message.size > 0, error != 0);
    rig_call_free(&call);
    return error;
}

static void the_preferred_leader_comes_back(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    int32_t leader_epoch = rig_partition(&house.rig, "a", 0)->leader_epoch;
    assert_int_equal(elect(&house, PREFERRED, "a", 0), 0);
    const struct image_partition *partition = rig_partition(&house.rig, "a", 0);
    assert_int_equal(partition->leader, 1);
    assert_int_equal(partition->leader_epoch, leader_epoch + 1);
    assert_int_equal(partition->isr.count, 2);
    assert_int_equal(partition->recovery, IMAGE_RECOVERED);
    assert_int_equal(elect(&house, PREFERRED, "a", 0), KAFKA_ELECTION_NOT_NEEDED);
    assert_int_equal(rig_partition(&house.rig, "a", 0)->leader_epoch, leader_epoch + 1);
    rig_stop(&house.rig);
}

static void why_a_preferred_election_fails(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    size_t batches = house.rig.count;
    assert_int_equal(elect(&house, PREFERRED, "a", 1), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    assert_int_equal(elect(&house, PREFERRED, "a", 2), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(elect(&house, PREFERRED, "a", -1), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(elect(&house, PREFERRED, "nowhere", 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(elect(&house, PREFERRED, "c", 0), KAFKA_ELECTION_NOT_NEEDED);
    assert_int_equal(house.rig.count, batches);
    /* in the ISR, but not alive: the one who leads goes on */
    fence(&house, 2); /* 1 takes over */
    fence(&house, 1); /* the last stays in the ISR */
    assert_int_equal(rig_partition(&house.rig, "a", 0)->leader, -1);
    assert_int_equal(elect(&house, PREFERRED, "a", 0), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    rig_stop(&house.rig);
}

static void of_all_partitions_only_those_that_matter_are_told(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct rig_call call;
    ask(&house, &call, 2, PREFERRED, NULL, NULL, 0);
    const struct elect_leaders_response *response = &call.response.elect_leaders;
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->replica_election_results.count, 2); /* not "c" */
    const __typeof__(response->replica_election_results.items[0]) *out =
        response->replica_election_results.items;
    assert_true(wire_str_is(out[0].topic, "a"));
    assert_int_equal(out[0].partition_result.count, 2);
    assert_int_equal(out[0].partition_result.items[0].error_code, 0);
    assert_int_equal(out[0].partition_result.items[0].error_message.size, -1);
    assert_int_equal(out[0].partition_result.items[1].partition_id, 1);
    assert_int_equal(out[0].partition_result.items[1].error_code,
                     KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    assert_true(wire_str_is(out[1].topic, "b"));
    assert_int_equal(out[1].partition_result.count, 1);
    rig_call_free(&call);
    assert_int_equal(rig_partition(&house.rig, "a", 0)->leader, 1);
    /* a-0 needs none any more */
    ask(&house, &call, 2, PREFERRED, NULL, NULL, 0);
    out = call.response.elect_leaders.replica_election_results.items;
    assert_int_equal(out[0].partition_result.count, 1);
    assert_int_equal(out[0].partition_result.items[0].partition_id, 1);
    rig_call_free(&call);
    rig_stop(&house.rig);
}

static void a_partition_named_twice_is_moved_once(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    int32_t leader_epoch = rig_partition(&house.rig, "a", 0)->leader_epoch;
    int32_t twice[] = {0, 0};
    struct rig_call call;
    ask(&house, &call, 1, PREFERRED, "a", twice, 2);
    const __typeof__(call.response.elect_leaders.replica_election_results.items[0]) *out =
        call.response.elect_leaders.replica_election_results.items;
    assert_int_equal(out->partition_result.items[0].error_code, 0);
    assert_int_equal(out->partition_result.items[1].error_code, KAFKA_ELECTION_NOT_NEEDED);
    assert_int_equal(rig_partition(&house.rig, "a", 0)->leader_epoch, leader_epoch + 1);
    rig_call_free(&call);
    rig_stop(&house.rig);
}

static void an_unclean_election_takes_whoever_is_alive(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(elect(&house, UNCLEAN, "a", 1), KAFKA_ELECTION_NOT_NEEDED);
    fence(&house, 2); /* it leads a-1 alone; 1 is alive but not in the ISR */
    assert_int_equal(rig_partition(&house.rig, "a", 1)->leader, -1);
    assert_int_equal(elect(&house, UNCLEAN, "a", 1), 0);
    const struct image_partition *partition = rig_partition(&house.rig, "a", 1);
    assert_int_equal(partition->leader, 1);
    assert_int_equal(partition->isr.count, 1);
    assert_int_equal(partition->isr.ids[0], 1);
    assert_int_equal(partition->recovery, IMAGE_RECOVERING);
    assert_int_equal(rig_partition(&house.rig, "b", 0)->leader, -1); /* nobody asked */
    fence(&house, 1);
    assert_int_equal(elect(&house, UNCLEAN, "a", 1), KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE);
    rig_stop(&house.rig);
}

static void an_unknown_election_is_refused(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct rig_call call;
    int32_t zero = 0;
    ask(&house, &call, 2, 2, "a", &zero, 1);
    const struct elect_leaders_response *response = &call.response.elect_leaders;
    assert_int_equal(response->error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(
        response->replica_election_results.items[0].partition_result.items[0].error_code,
        KAFKA_INVALID_REQUEST);
    rig_call_free(&call);
    assert_int_equal(rig_partition(&house.rig, "a", 0)->leader, 2);
    rig_stop(&house.rig);
}

/* Version 0 has no place for an error of the whole. */
static void one_that_does_not_decide_says_so_in_every_version(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    controller_deactivate(house.rig.controller);
    int32_t zero = 0;
    for (int16_t version = 0; version <= 2; version++) {
        struct rig_call call;
        ask(&house, &call, version, PREFERRED, "a", &zero, 1);
        const struct elect_leaders_response *response = &call.response.elect_leaders;
        assert_int_equal(response->error_code, version == 0 ? 0 : KAFKA_NOT_CONTROLLER);
        assert_int_equal(
            response->replica_election_results.items[0].partition_result.items[0].error_code,
            KAFKA_NOT_CONTROLLER);
        rig_call_free(&call);
        ask(&house, &call, version, PREFERRED, NULL, NULL, 0);
        assert_int_equal(call.response.elect_leaders.replica_election_results.count, 0);
        rig_call_free(&call);
    }
    rig_stop(&house.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_preferred_leader_comes_back),
        cmocka_unit_test(why_a_preferred_election_fails),
        cmocka_unit_test(of_all_partitions_only_those_that_matter_are_told),
        cmocka_unit_test(a_partition_named_twice_is_moved_once),
        cmocka_unit_test(an_unclean_election_takes_whoever_is_alive),
        cmocka_unit_test(an_unknown_election_is_refused),
        cmocka_unit_test(one_that_does_not_decide_says_so_in_every_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
