/* KIP-858: who has lost the directory that held a replica does not lead it. */
#include "tests/unit/controller/rig.h"

#include "tests/unit/metadata/records.h"

/* Brokers 1 and 2, each in a directory of its own; topic "alone" on 1, "both" on 1 and 2, "last" on
 * 1 and 2 with 1 alone in its ISR. */
struct house {
    struct rig rig;
    int64_t one;
    int64_t two;
    struct uuid first;
    struct uuid second;
    struct uuid anew;
};

static const struct image_partition *partition_of(const struct house *house, const char *topic)
{
    return rig_partition(&house->rig, topic, 0);
}

static void beat(struct house *house, bool fence)
{
    assert_int_equal(rig_heartbeat(&house->rig, 1, house->one, fence, false, NULL), 0);
}

/* 1 goes and comes back with these directories. */
static void come_back(struct house *house, struct uuid *dirs, int32_t count)
{
    beat(house, true);
    uint64_t incarnation = 9000 + (uint64_t)house->rig.next_offset;
    assert_int_equal(rig_register_in(&house->rig, 1, incarnation, dirs, count, &house->one), 0);
    beat(house, false);
    assert_false(image_broker(controller_committed_image(house->rig.controller), 1)->fenced);
}

static struct broker_heartbeat_response report_offline(struct house *house, struct uuid *dirs,
                                                       int32_t count)
{
    struct broker_heartbeat_request request;
    wire_defaults(&wire_broker_heartbeat_request, &request);
    request.broker_id = 1;
    request.broker_epoch = house->one;
    request.current_metadata_offset = house->rig.next_offset - 1;
    request.offline_log_dirs.items = dirs;
    request.offline_log_dirs.count = count;
    struct rig_call call;
    rig_exchange(&house->rig, &call, 63, 1, &request);
    struct broker_heartbeat_response response = call.response.heartbeat;
    assert_int_equal(response.error_code, 0);
    rig_call_free(&call);
    return response;
}

/* The leader asks for this ISR. */
static int16_t alter(struct house *house, const char *name, int32_t leader, int32_t *isr,
                     int32_t count)
{
    struct alter_partition_request request;
    wire_defaults(&wire_alter_partition_request, &request);
    request.broker_id = leader;
    request.broker_epoch = leader == 1 ? house->one : house->two;
    const struct image *image = controller_committed_image(house->rig.controller);
    __typeof__(request.topics.items[0]) topic = {.topic_id = image_topic_by_name(image, name)->id};
    __typeof__(topic.partitions.items[0]) part;
    wire_struct_defaults(&wire_struct_alter_partition_request_partition, &part);
    part.leader_epoch = partition_of(house, name)->leader_epoch;
    part.partition_epoch = partition_of(house, name)->partition_epoch;
    part.new_isr.items = isr;
    part.new_isr.count = count;
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_exchange(&house->rig, &call, 56, 2, &request);
    int16_t error = call.response.alter_partition.topics.items[0].partitions.items[0].error_code;
    rig_call_free(&call);
    return error;
}

static void house_start(struct house *house)
{
    rig_start(&house->rig, NULL, true);
    house->first = uuid_from_number(5001);
    house->second = uuid_from_number(6001);
    house->anew = uuid_from_number(7001);
    house->one = rig_broker(&house->rig, 1, NULL);
    house->two = rig_broker(&house->rig, 2, NULL);
    int32_t replicas[] = {1, 2};
    rig_create_on(&house->rig, "alone", 1, replicas, 1);
    rig_create_on(&house->rig, "both", 1, replicas, 2);
    rig_create_on(&house->rig, "last", 1, replicas, 2);
    int32_t one = 1;
    assert_int_equal(alter(house, "last", 1, &one, 1), 0);
    assert_true(uuid_equal(&partition_of(house, "alone")->directories[0], &house->first));
}

static void join(struct house *house)
{
    int32_t isr[] = {2, 1};
    assert_int_equal(alter(house, "both", 2, isr, 2), 0);
    assert_int_equal(partition_of(house, "both")->isr.count, 2);
}

static int16_t elect(struct house *house, const char *topic, int8_t type)
{
    struct elect_leaders_request request;
    wire_defaults(&wire_elect_leaders_request, &request);
    request.election_type = type;
    int32_t zero = 0;
    __typeof__(request.topic_partitions.items[0]) named = {.topic = wire_str(topic)};
    named.partitions.items = &zero;
    named.partitions.count = 1;
    request.topic_partitions.items = &named;
    request.topic_partitions.count = 1;
    struct rig_call call;
    rig_exchange(&house->rig, &call, 43, 2, &request);
    int16_t error = call.response.elect_leaders.replica_election_results.items[0]
                        .partition_result.items[0]
                        .error_code;
    rig_call_free(&call);
    return error;
}

static bool is_in(const struct house *house, const char *topic, int32_t place,
                  const struct uuid *directory)
{
    return uuid_equal(&partition_of(house, topic)->directories[place], directory);
}

static void an_empty_disk_does_not_lead_what_it_lost(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    come_back(&house, &house.anew, 1);
    assert_int_equal(partition_of(&house, "last")->leader, -1);
    assert_int_equal(partition_of(&house, "last")->isr.ids[0], 1);
    assert_int_equal(partition_of(&house, "both")->leader, 2);
    /* nor when it is fenced and comes back again */
    beat(&house, true);
    beat(&house, false);
    assert_int_equal(partition_of(&house, "last")->leader, -1);
    assert_int_equal(elect(&house, "last", 0), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    /* the old disk leads again */
    come_back(&house, &house.first, 1);
    assert_int_equal(partition_of(&house, "last")->leader, 1);
    assert_int_equal(partition_of(&house, "last")->recovery, IMAGE_RECOVERED);
    rig_stop(&house.rig);
}

static void an_operator_may_begin_again(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    come_back(&house, &house.anew, 1);
    assert_int_equal(elect(&house, "last", 1), 0);
    assert_int_equal(partition_of(&house, "last")->leader, 1);
    assert_int_equal(partition_of(&house, "last")->recovery, IMAGE_RECOVERING);
    assert_true(is_in(&house, "last", 0, &house.anew));
    beat(&house, true);
    assert_int_equal(partition_of(&house, "last")->leader, -1);
    beat(&house, false);
    assert_int_equal(partition_of(&house, "last")->leader, 1);
    rig_stop(&house.rig);
}

/* Nobody else could have what it lost. */
static void the_only_replica_begins_again(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    int32_t led_in = partition_of(&house, "alone")->leader_epoch;
    come_back(&house, &house.anew, 1);
    assert_int_equal(partition_of(&house, "alone")->leader, 1);
    assert_true(partition_of(&house, "alone")->leader_epoch > led_in);
    assert_true(is_in(&house, "alone", 0, &house.anew));
    assert_int_equal(partition_of(&house, "last")->leader, -1);
    assert_true(is_in(&house, "last", 0, &house.first));
    rig_stop(&house.rig);
}

static void who_has_caught_up_may_lead_from_where_it_is(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct uuid seconds = uuid_from_number(5002);
    come_back(&house, &house.anew, 1);
    assert_true(is_in(&house, "both", 0, &house.first)); /* nobody knows of another */
    join(&house);
    assert_true(is_in(&house, "both", 0, &house.anew));
    assert_true(is_in(&house, "both", 1, &seconds));
    assert_int_equal(elect(&house, "both", 0), 0);
    assert_int_equal(partition_of(&house, "both")->leader, 1);
    /* of several it is not known which: any will do */
    struct uuid several[] = {uuid_from_number(8001), uuid_from_number(8002)};
    struct uuid unassigned = uuid_zero();
    come_back(&house, several, 2);
    join(&house);
    assert_true(is_in(&house, "both", 0, &unassigned));
    assert_int_equal(elect(&house, "both", 0), 0);
    rig_stop(&house.rig);
}

static void who_kept_its_directory_is_not_moved(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct uuid more[] = {house.first, house.second};
    come_back(&house, more, 2);
    assert_int_equal(partition_of(&house, "alone")->leader, 1);
    join(&house);
    assert_true(is_in(&house, "both", 0, &house.first));
    rig_stop(&house.rig);
}

static void a_directory_that_fails_takes_its_partitions_along(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct uuid more[] = {house.second, house.first};
    come_back(&house, more, 2);
    join(&house);
    assert_int_equal(elect(&house, "both", 0), 0);
    rig_create_on(&house.rig, "elsewhere", 1, (int32_t[]){1}, 1); /* not in that directory */
    report_offline(&house, &house.first, 1);
    const struct image *image = controller_committed_image(house.rig.controller);
    assert_int_equal(image_broker(image, 1)->log_dir_count, 1);
    assert_true(uuid_equal(&image_broker(image, 1)->log_dirs[0], &house.second));
    assert_int_equal(partition_of(&house, "both")->leader, 2);
    assert_int_equal(partition_of(&house, "both")->isr.count, 1);
    assert_int_equal(partition_of(&house, "alone")->leader, -1);
    assert_int_equal(partition_of(&house, "alone")->isr.count, 1);
    assert_int_equal(partition_of(&house, "elsewhere")->leader, 1);
    /* said again it changes nothing; nor does the loss of all, which ends the broker itself */
    size_t batches = house.rig.count;
    report_offline(&house, &house.first, 1);
    report_offline(&house, more, 2);
    assert_int_equal(house.rig.count, batches);
    join(&house);
    assert_true(is_in(&house, "both", 0, &house.second));
    rig_stop(&house.rig);
}

static void one_that_returns_says_first_what_it_has(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct uuid more[] = {house.first, house.second};
    come_back(&house, more, 2);
    beat(&house, true);
    assert_true(report_offline(&house, &house.first, 1).is_fenced);
    assert_false(report_offline(&house, &house.first, 1).is_fenced);
    assert_int_equal(partition_of(&house, "last")->leader, -1);
    rig_stop(&house.rig);
}

/* A log may hold what we would not have decided. */
static void a_leader_without_its_directory_is_replaced_when_it_speaks(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    controller_deactivate(house.rig.controller);
    struct partition_change_record lost;
    wire_defaults(&wire_partition_change_record, &lost);
    lost.topic_id =
        image_topic_by_name(controller_committed_image(house.rig.controller), "both")->id;
    lost.partition_id = 0;
    struct uuid directories[] = {uuid_from_number(1), uuid_from_number(5002)};
    lost.directories.items = directories;
    lost.directories.count = 2;
    struct record_list records = {0};
    record_list_add(&records, RECORD_PARTITION_CHANGE, 2, &lost);
    rig_inherit(&house.rig, &records);
    house.rig.epoch = 2;
    controller_activate(house.rig.controller, 2);
    rig_commit(&house.rig);
    assert_int_equal(partition_of(&house, "both")->leader, 1);
    int32_t same[] = {1, 2};
    assert_int_equal(alter(&house, "both", 1, same, 2), KAFKA_NEW_LEADER_ELECTED);
    assert_int_equal(partition_of(&house, "both")->leader, 2);
    assert_int_equal(partition_of(&house, "both")->leader_epoch, 1);
    rig_stop(&house.rig);
}

/* Broker 1 tells that `directory` holds the partition; the request's error, or else its own. */
static int16_t assign(struct house *house, int64_t epoch, const char *name, int32_t partition,
                      const struct uuid *directory)
{
    const struct image *image = controller_committed_image(house->rig.controller);
    const struct image_topic *topic = image_topic_by_name(image, name);
    struct assign_replicas_to_dirs_request request;
    wire_defaults(&wire_assign_replicas_to_dirs_request, &request);
    request.broker_id = 1;
    request.broker_epoch = epoch;
    __typeof__(request.directories.items[0].topics.items[0].partitions.items[0]) part = {partition};
    __typeof__(request.directories.items[0].topics.items[0]) asked = {
        .topic_id = topic == NULL ? uuid_from_number(77) : topic->id};
    asked.partitions.items = &part;
    asked.partitions.count = 1;
    __typeof__(request.directories.items[0]) named = {.id = *directory};
    named.topics.items = &asked;
    named.topics.count = 1;
    request.directories.items = &named;
    request.directories.count = 1;
    struct rig_call call;
    rig_exchange(&house->rig, &call, 73, 0, &request);
    const struct assign_replicas_to_dirs_response *response = &call.response.assign_dirs;
    int16_t error = response->error_code;
    if (error == 0) {
        assert_true(uuid_equal(&response->directories.items[0].id, directory));
        assert_true(
            uuid_equal(&response->directories.items[0].topics.items[0].topic_id, &asked.topic_id));
        assert_int_equal(
            response->directories.items[0].topics.items[0].partitions.items[0].partition_index,
            partition);
        error = response->directories.items[0].topics.items[0].partitions.items[0].error_code;
    }
    rig_call_free(&call);
    return error;
}

static void a_broker_tells_which_directory_holds_what(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct uuid several[] = {house.first, uuid_from_number(8002)};
    come_back(&house, several, 2);
    join(&house);
    int32_t epoch = partition_of(&house, "both")->partition_epoch;
    struct uuid second = partition_of(&house, "both")->directories[1];
    assert_int_equal(assign(&house, house.one, "both", 0, &several[1]), 0);
    assert_true(is_in(&house, "both", 0, &several[1]));
    assert_true(is_in(&house, "both", 1, &second)); /* the other's stays */
    assert_int_equal(partition_of(&house, "both")->partition_epoch, epoch + 1);
    assert_int_equal(partition_of(&house, "both")->isr.count, 2);
    /* once more changes nothing */
    assert_int_equal(assign(&house, house.one, "both", 0, &several[1]), 0);
    assert_int_equal(partition_of(&house, "both")->partition_epoch, epoch + 1);

    assert_int_equal(assign(&house, house.one, "both", 1, &house.first),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(assign(&house, house.one, "nowhere", 0, &house.first), KAFKA_UNKNOWN_TOPIC_ID);
    assert_int_equal(assign(&house, house.one - 1, "both", 0, &house.first),
                     KAFKA_STALE_BROKER_EPOCH);
    int32_t two = 2;
    rig_create_on(&house.rig, "hers", 1, &two, 1);
    assert_int_equal(assign(&house, house.one, "hers", 0, &house.first),
                     KAFKA_NOT_LEADER_OR_FOLLOWER);
    rig_stop(&house.rig);
}

static void a_lost_directory_takes_leadership_away(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct uuid lost = uuid_from_number(1);
    assert_int_equal(partition_of(&house, "both")->leader, 1);
    assert_int_equal(assign(&house, house.one, "both", 0, &lost), 0);
    assert_int_equal(partition_of(&house, "both")->leader, 2);
    assert_int_equal(partition_of(&house, "both")->isr.count, 1);
    assert_true(is_in(&house, "both", 0, &lost));
    /* the last one of an ISR stays in it, and leads no more */
    assert_int_equal(assign(&house, house.one, "last", 0, &lost), 0);
    assert_int_equal(partition_of(&house, "last")->leader, -1);
    assert_int_equal(partition_of(&house, "last")->isr.ids[0], 1);
    /* nor because another directory holds the partition now */
    assert_int_equal(assign(&house, house.one, "last", 0, &house.first), KAFKA_KAFKA_STORAGE_ERROR);
    come_back(&house, &house.anew, 1);
    assert_int_equal(assign(&house, house.one, "last", 0, &house.anew), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(partition_of(&house, "last")->leader, -1);
    rig_stop(&house.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_disk_does_not_lead_what_it_lost),
        cmocka_unit_test(an_operator_may_begin_again),
        cmocka_unit_test(the_only_replica_begins_again),
        cmocka_unit_test(who_has_caught_up_may_lead_from_where_it_is),
        cmocka_unit_test(who_kept_its_directory_is_not_moved),
        cmocka_unit_test(a_directory_that_fails_takes_its_partitions_along),
        cmocka_unit_test(a_leader_without_its_directory_is_replaced_when_it_speaks),
        cmocka_unit_test(one_that_returns_says_first_what_it_has),
        cmocka_unit_test(a_broker_tells_which_directory_holds_what),
        cmocka_unit_test(a_lost_directory_takes_leadership_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
