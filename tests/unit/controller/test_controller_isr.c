/* AlterPartition: what a leader may ask for, and what it is told. */
#include "tests/unit/controller/rig.h"

enum { ALTER_PARTITION = 56, MEMBERS_MAX = 4 };

/* Brokers 1 to 4; topic "a", one partition on 1, 2, 3, led by 1 for the second time. */
struct house {
    struct rig rig;
    int64_t epochs[5]; /* by broker id */
    struct uuid topic;
};

static void house_start(struct house *house)
{
    struct rig *rig = &house->rig;
    rig_start(rig, NULL, true);
    for (int32_t id = 1; id <= 4; id++) {
        house->epochs[id] = rig_broker(rig, id, NULL);
    }
    int32_t replicas[] = {1, 2, 3};
    rig_create_on(rig, "a", 1, replicas, 3);
    house->topic = image_topic_by_name(controller_committed_image(rig->controller), "a")->id;
}

static const struct image_partition *now(const struct house *house)
{
    return rig_partition(&house->rig, "a", 0);
}

static int16_t heartbeat(struct house *house, int32_t id, bool fence, bool stop)
{
    return rig_heartbeat(&house->rig, id, house->epochs[id], fence, stop, NULL);
}

/* What is asked of "a", by default by its leader, as it is now. */
struct ask {
    int16_t version;
    int32_t broker;
    int64_t broker_epoch; /* 0: as registered */
    int32_t leader_epoch_off;
    int32_t partition_epoch_off;
    int8_t recovery;
    int32_t isr[MEMBERS_MAX]; /* 0 ends it */
    int64_t member_epoch;     /* of the last member; 0: as registered */
    int32_t partition;
    bool other_topic;
};

/* The top-level error; `out` gets the partition's answer when there is none. */
static int16_t alter(struct house *house, const struct ask *ask,
                     struct alter_partition_response_partition *out)
{
    struct alter_partition_request request;
    wire_defaults(&wire_alter_partition_request, &request);
    request.broker_id = ask->broker;
    request.broker_epoch = ask->broker_epoch != 0 ? ask->broker_epoch : house->epochs[ask->broker];
    __typeof__(request.topics.items[0]) topic = {.topic_id = house->topic};
    topic.topic_id.bytes[3] ^= ask->other_topic;
    __typeof__(topic.partitions.items[0]) part;
    wire_struct_defaults(&wire_struct_alter_partition_request_partition, &part);
    part.partition_index = ask->partition;
    part.leader_epoch = now(house)->leader_epoch + ask->leader_epoch_off;
    part.partition_epoch = now(house)->partition_epoch + ask->partition_epoch_off;
    part.leader_recovery_state = ask->recovery;
    int32_t count = 0;
    int32_t ids[MEMBERS_MAX] = {0};
    __typeof__(part.new_isr_with_epochs.items[0]) members[MEMBERS_MAX] = {{0}};
    for (; count < MEMBERS_MAX && ask->isr[count] != 0; count++) {
        ids[count] = members[count].broker_id = ask->isr[count];
        members[count].broker_epoch = house->epochs[ask->isr[count]];
    }
    if (ask->member_epoch != 0) {
        members[count - 1].broker_epoch = ask->member_epoch;
    }
    if (ask->version >= 3) {
        part.new_isr_with_epochs.items = members;
        part.new_isr_with_epochs.count = count;
    } else {
        part.new_isr.items = ids;
        part.new_isr.count = count;
    }
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_exchange(&house->rig, &call, ALTER_PARTITION, ask->version, &request);
    const struct alter_partition_response *response = &call.response.alter_partition;
    if (response->error_code == 0) {
        assert_int_equal(response->topics.count, 1);
        assert_true(uuid_equal(&response->topics.items[0].topic_id, &topic.topic_id));
        assert_int_equal(response->topics.items[0].partitions.count, 1);
        *out = response->topics.items[0].partitions.items[0];
        assert_int_equal(out->partition_index, ask->partition);
        assert_int_equal(out->isr.count == 0, out->error_code != 0);
    } else {
        assert_int_equal(response->topics.count, 0);
    }
    int16_t error = response->error_code;
    rig_call_free(&call);
    return error;
}

static int16_t alter_error(struct house *house, const struct ask *ask)
{
    struct alter_partition_response_partition part;
    assert_int_equal(alter(house, ask, &part), 0);
    return part.error_code;
}

static void a_leader_shrinks_and_expands_its_isr(void **state)
{
    (void)state;
    for (int16_t version = 2; version <= 3; version++) {
        struct house house;
        house_start(&house);
        struct alter_partition_response_partition part;
        struct ask shrink = {.version = version, .broker = 1, .isr = {1, 3}};
        assert_int_equal(alter(&house, &shrink, &part), 0);
        assert_int_equal(part.error_code, 0);
        assert_int_equal(part.leader_id, 1);
        assert_int_equal(part.leader_epoch, 0); /* an ISR is no new epoch of the leader */
        assert_int_equal(part.partition_epoch, 1);
        assert_int_equal(now(&house)->leader_epoch, 0);
        assert_int_equal(now(&house)->partition_epoch, 1);
        assert_int_equal(now(&house)->isr.count, 2);
        assert_int_equal(now(&house)->isr.ids[1], 3);
        struct ask expand = {.version = version, .broker = 1, .isr = {1, 3, 2}};
        assert_int_equal(alter(&house, &expand, &part), 0);
        assert_int_equal(part.error_code, 0);
        assert_int_equal(part.partition_epoch, 2);
        assert_int_equal(now(&house)->isr.count, 3);
        assert_int_equal(now(&house)->isr.ids[2], 2);
        /* the same again changes nothing, and says how it is */
        size_t batches = house.rig.count;
        assert_int_equal(alter(&house, &expand, &part), 0);
        assert_int_equal(part.error_code, 0);
        assert_int_equal(part.partition_epoch, 2);
        assert_int_equal(house.rig.count, batches);
        rig_stop(&house.rig);
    }
}

static const struct {
    const char *name;
    struct ask ask;
    int16_t error;
} asks[] = {
    {"newer leader epoch",
     {.version = 3, .broker = 1, .leader_epoch_off = 1, .isr = {1}},
     KAFKA_NOT_CONTROLLER},
    {"newer partition epoch",
     {.version = 3, .broker = 1, .partition_epoch_off = 1, .isr = {1}},
     KAFKA_NOT_CONTROLLER},
    {"older leader epoch",
     {.version = 3, .broker = 1, .leader_epoch_off = -1, .isr = {1}},
     KAFKA_FENCED_LEADER_EPOCH},
    {"older leader epoch, newer partition epoch",
     {.version = 3, .broker = 1, .leader_epoch_off = -1, .partition_epoch_off = 1, .isr = {1}},
     KAFKA_NOT_CONTROLLER},
    {"older partition epoch",
     {.version = 3, .broker = 1, .partition_epoch_off = -1, .isr = {1}},
     KAFKA_INVALID_UPDATE_VERSION},
    {"not the leader", {.version = 3, .broker = 2, .isr = {1, 2}}, KAFKA_INVALID_REQUEST},
    {"not the leader, and behind",
     {.version = 3, .broker = 2, .partition_epoch_off = -1, .isr = {1, 2}},
     KAFKA_INVALID_REQUEST},
    {"an empty ISR", {.version = 3, .broker = 1}, KAFKA_INVALID_REQUEST},
    {"an empty ISR of v2", {.version = 2, .broker = 1}, KAFKA_INVALID_REQUEST},
    {"no replica", {.version = 3, .broker = 1, .isr = {1, 4}}, KAFKA_INVALID_REQUEST},
    {"a member twice", {.version = 3, .broker = 1, .isr = {1, 2, 2}}, KAFKA_INVALID_REQUEST},
    {"without the leader", {.version = 3, .broker = 1, .isr = {2, 3}}, KAFKA_INVALID_REQUEST},
    {"recovering with company",
     {.version = 3, .broker = 1, .recovery = 1, .isr = {1, 2}},
     KAFKA_INVALID_REQUEST},
    {"begins to recover",
     {.version = 3, .broker = 1, .recovery = 1, .isr = {1}},
     KAFKA_INVALID_REQUEST},
    {"no such state",
     {.version = 3, .broker = 1, .recovery = 2, .isr = {1}},
     KAFKA_INVALID_REQUEST},
    {"another life of a member",
     {.version = 3, .broker = 1, .isr = {1, 2}, .member_epoch = 1},
     KAFKA_INELIGIBLE_REPLICA},
    {"any life of a member", {.version = 3, .broker = 1, .isr = {1, 2}, .member_epoch = -1}, 0},
    {"a fenced member", {.version = 3, .broker = 1, .isr = {1, 3}}, KAFKA_INELIGIBLE_REPLICA},
    {"a fenced member, v2", {.version = 2, .broker = 1, .isr = {1, 3}}, KAFKA_INELIGIBLE_REPLICA},
    {"no such partition",
     {.version = 3, .broker = 1, .isr = {1}, .partition = 1},
     KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
    {"a negative partition",
     {.version = 3, .broker = 1, .isr = {1}, .partition = -1},
     KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
    {"no such topic",
     {.version = 3, .broker = 1, .isr = {1}, .other_topic = true},
     KAFKA_UNKNOWN_TOPIC_ID},
};

static void what_a_leader_may_not_ask_for(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    /* the epochs rise above zero: 1 goes and comes back, 3 goes for good */
    assert_int_equal(heartbeat(&house, 1, true, false), 0);
    assert_int_equal(heartbeat(&house, 1, false, false), 0);
    struct ask back = {.version = 3, .broker = 2, .isr = {2, 3, 1}};
    assert_int_equal(alter_error(&house, &back), 0);
    assert_int_equal(heartbeat(&house, 2, true, false), 0);
    assert_int_equal(heartbeat(&house, 2, false, false), 0);
    struct ask again = {.version = 3, .broker = 1, .isr = {3, 1, 2}};
    assert_int_equal(alter_error(&house, &again), 0);
    assert_int_equal(heartbeat(&house, 3, true, false), 0);
    assert_int_equal(now(&house)->leader, 1);
    assert_true(now(&house)->leader_epoch > 0 && now(&house)->partition_epoch > 0);
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        size_t batches = house.rig.count;
        int16_t error = alter_error(&house, &asks[i].ask);
        if (error != asks[i].error || (error != 0 && house.rig.count != batches)) {
            fail_msg("%s: %d, not %d", asks[i].name, error, asks[i].error);
        }
    }
    rig_stop(&house.rig);
}

static void a_member_about_to_stop_is_not_taken_in(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    int32_t other[] = {2};
    rig_create_on(&house.rig, "b", 1, other, 1); /* so that 2 has something to hand over */
    assert_int_equal(heartbeat(&house, 2, false, true), 0);
    const struct image *image = controller_committed_image(house.rig.controller);
    assert_true(image_broker(image, 2)->in_controlled_shutdown);
    assert_false(image_broker(image, 2)->fenced);
    struct ask ask = {.version = 3, .broker = 1, .isr = {1, 3, 2}};
    assert_int_equal(alter_error(&house, &ask), KAFKA_INELIGIBLE_REPLICA);
    rig_stop(&house.rig);
}

static void a_sender_that_is_not_who_it_says_is_refused(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct alter_partition_response_partition part;
    struct ask former = {.version = 3, .broker = 1, .broker_epoch = 1, .isr = {1}};
    assert_int_equal(alter(&house, &former, &part), KAFKA_STALE_BROKER_EPOCH);
    struct ask unknown = {.version = 3, .broker = 0, .broker_epoch = 1, .isr = {1}};
    assert_int_equal(alter(&house, &unknown, &part), KAFKA_STALE_BROKER_EPOCH);
    assert_int_equal(now(&house)->isr.count, 3);
    rig_stop(&house.rig);
}

static void one_that_does_not_decide_says_so(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    controller_deactivate(house.rig.controller);
    struct alter_partition_response_partition part;
    struct ask ask = {.version = 3, .broker = 1, .isr = {1}};
    assert_int_equal(alter(&house, &ask, &part), KAFKA_NOT_CONTROLLER);
    rig_stop(&house.rig);
}

static void each_partition_is_answered_for_itself(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct alter_partition_request request;
    wire_defaults(&wire_alter_partition_request, &request);
    request.broker_id = 1;
    request.broker_epoch = house.epochs[1];
    __typeof__(request.topics.items[0]) topics[2] = {{.topic_id = house.topic},
                                                     {.topic_id = house.topic}};
    __typeof__(topics[0].partitions.items[0]) parts[2];
    __typeof__(parts[0].new_isr_with_epochs.items[0]) members[2] = {
        {.broker_id = 1, .broker_epoch = -1}, {.broker_id = 2, .broker_epoch = -1}};
    for (int i = 0; i < 2; i++) {
        wire_struct_defaults(&wire_struct_alter_partition_request_partition, &parts[i]);
        parts[i].new_isr_with_epochs.items = members;
        parts[i].new_isr_with_epochs.count = 2;
    }
    parts[0].partition_index = 7;
    topics[0].partitions.items = parts;
    topics[0].partitions.count = 2;
    topics[1].partitions.items = &parts[1]; /* the same again */
    topics[1].partitions.count = 1;
    request.topics.items = topics;
    request.topics.count = 2;
    struct rig_call call;
    rig_exchange(&house.rig, &call, ALTER_PARTITION, 3, &request);
    const struct alter_partition_response *response = &call.response.alter_partition;
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->topics.count, 2);
    assert_int_equal(response->topics.items[0].partitions.items[0].error_code,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(response->topics.items[0].partitions.items[1].error_code, 0);
    assert_int_equal(response->topics.items[1].partitions.items[0].error_code,
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(now(&house)->partition_epoch, 1);
    assert_int_equal(now(&house)->isr.count, 2);
    rig_call_free(&call);
    rig_stop(&house.rig);
}

static void a_leader_elected_unclean_recovers(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    rig_configure(&house.rig, 2, "a", "unclean.leader.election.enable", "true");
    struct ask alone = {.version = 3, .broker = 1, .isr = {1}};
    assert_int_equal(alter_error(&house, &alone), 0);
    assert_int_equal(heartbeat(&house, 1, true, false), 0);
    assert_int_equal(now(&house)->leader, 2);
    assert_int_equal(now(&house)->recovery, IMAGE_RECOVERING);
    struct ask still = {.version = 3, .broker = 2, .recovery = 1, .isr = {2}};
    assert_int_equal(alter_error(&house, &still), 0);
    assert_int_equal(now(&house)->recovery, IMAGE_RECOVERING);
    struct ask company = {.version = 3, .broker = 2, .recovery = 1, .isr = {2, 3}};
    assert_int_equal(alter_error(&house, &company), KAFKA_INVALID_REQUEST);
    struct alter_partition_response_partition part;
    struct ask expand = {.version = 3, .broker = 2, .isr = {2, 3}};
    assert_int_equal(alter(&house, &expand, &part), 0);
    assert_int_equal(part.error_code, 0);
    assert_int_equal(part.leader_recovery_state, IMAGE_RECOVERED);
    assert_int_equal(now(&house)->recovery, IMAGE_RECOVERED);
    assert_int_equal(now(&house)->isr.count, 2);
    rig_stop(&house.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_shrinks_and_expands_its_isr),
        cmocka_unit_test(what_a_leader_may_not_ask_for),
        cmocka_unit_test(a_member_about_to_stop_is_not_taken_in),
        cmocka_unit_test(a_sender_that_is_not_who_it_says_is_refused),
        cmocka_unit_test(one_that_does_not_decide_says_so),
        cmocka_unit_test(each_partition_is_answered_for_itself),
        cmocka_unit_test(a_leader_elected_unclean_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
