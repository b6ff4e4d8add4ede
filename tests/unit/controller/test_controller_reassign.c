/* Reassignments: what is asked for, what completes them, and what is taken back. */
#include "tests/unit/controller/rig.h"

enum { ALTER = 45, LIST = 46, ALTER_PARTITION = 56, IDS_MAX = 6, BROKERS = 6 };

/* Brokers 1 to 6; topic "a", two partitions on 1, 2, 3. */
struct house {
    struct rig rig;
    int64_t epochs[BROKERS + 1];
};

static void house_start(struct house *house)
{
    struct rig *rig = &house->rig;
    rig_start(rig, NULL, true);
    for (int32_t id = 1; id <= BROKERS; id++) {
        house->epochs[id] = rig_broker(rig, id, NULL);
    }
    int32_t replicas[] = {1, 2, 3};
    rig_create_on(rig, "a", 2, replicas, 3);
}

static const struct image_partition *now(const struct house *house)
{
    return rig_partition(&house->rig, "a", 0);
}

static void ids_are(struct image_ids ids, const char *text)
{
    char shown[64] = "";
    for (int32_t i = 0; i < ids.count; i++) {
        snprintf(shown + strlen(shown), sizeof shown - strlen(shown), i == 0 ? "%d" : " %d",
                 ids.ids[i]);
    }
    assert_string_equal(shown, text);
}

static void is(const struct house *house, const char *replicas, const char *isr, const char *adding,
               const char *removing)
{
    ids_are(now(house)->replicas, replicas);
    ids_are(now(house)->isr, isr);
    ids_are(now(house)->adding, adding);
    ids_are(now(house)->removing, removing);
}

static int32_t split(const char *text, int32_t *ids)
{
    int32_t count = 0;
    for (; *text != '\0'; text++) {
        if (*text != ' ') {
            ids[count++] = *text - '0';
        }
    }
    return count;
}

/* Of partition `partition` of "a": to these replicas, or back when NULL. */
struct ask {
    const char *to;
    int32_t partition;
    const char *topic; /* NULL: "a" */
    bool fixed;        /* no other replication factor */
    bool twice;
};

static int16_t reassign(struct house *house, const struct ask *ask)
{
    struct alter_partition_reassignments_request request;
    wire_defaults(&wire_alter_partition_reassignments_request, &request);
    request.allow_replication_factor_change = !ask->fixed;
    int32_t ids[IDS_MAX];
    struct alter_partition_reassignments_request_partition parts[2] = {{0}};
    parts[0].partition_index = ask->partition;
    parts[0].replicas.items = ids;
    parts[0].replicas.count = ask->to == NULL ? -1 : split(ask->to, ids);
    parts[1] = parts[0];
    struct alter_partition_reassignments_request_topic topic = {
        .name = wire_str(ask->topic == NULL ? "a" : ask->topic)};
    topic.partitions.items = parts;
    topic.partitions.count = ask->twice ? 2 : 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_exchange(&house->rig, &call, ALTER, 1, &request);
    const struct alter_partition_reassignments_response *response = &call.response.reassignments;
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->allow_replication_factor_change, !ask->fixed);
    assert_int_equal(response->responses.count, 1);
    assert_true(wire_str_is(response->responses.items[0].name, ask->topic ? ask->topic : "a"));
    const struct alter_partition_reassignments_response_partition *part =
        &response->responses.items[0].partitions.items[ask->twice ? 1 : 0];
    assert_int_equal(part->partition_index, ask->partition);
    assert_int_equal(part->error_message.size > 0, part->error_code != 0);
    int16_t error = part->error_code;
    rig_call_free(&call);
    return error;
}

static int16_t to(struct house *house, const char *replicas)
{
    struct ask ask = {.to = replicas};
    return reassign(house, &ask);
}

static int16_t back(struct house *house)
{
    return to(house, NULL);
}

/* The leader asks for this ISR; the error. */
static int16_t isr(struct house *house, const char *wanted)
{
    struct alter_partition_request request;
    wire_defaults(&wire_alter_partition_request, &request);
    request.broker_id = now(house)->leader;
    request.broker_epoch = house->epochs[request.broker_id];
    struct alter_partition_request_topic topic = {
        .topic_id =
            image_topic_by_name(controller_committed_image(house->rig.controller), "a")->id};
    struct alter_partition_request_partition part;
    wire_struct_defaults(&wire_struct_alter_partition_request_partition, &part);
    part.leader_epoch = now(house)->leader_epoch;
    part.partition_epoch = now(house)->partition_epoch;
    int32_t ids[IDS_MAX];
    __typeof__(part.new_isr_with_epochs.items[0]) members[IDS_MAX] = {{0}};
    part.new_isr_with_epochs.items = members;
    part.new_isr_with_epochs.count = split(wanted, ids);
    for (int32_t i = 0; i < part.new_isr_with_epochs.count; i++) {
        members[i].broker_id = ids[i];
        members[i].broker_epoch = house->epochs[ids[i]];
    }
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_exchange(&house->rig, &call, ALTER_PARTITION, 3, &request);
    assert_int_equal(call.response.alter_partition.error_code, 0);
    const struct alter_partition_response_partition *told =
        &call.response.alter_partition.topics.items[0].partitions.items[0];
    int16_t error = told->error_code;
    if (error == 0) {
        assert_int_equal(told->leader_epoch, now(house)->leader_epoch);
        assert_int_equal(told->partition_epoch, now(house)->partition_epoch);
        ids_are((struct image_ids){told->isr.items, told->isr.count}, wanted);
    }
    rig_call_free(&call);
    return error;
}

static void fence(struct house *house, int32_t id)
{
    assert_int_equal(rig_heartbeat(&house->rig, id, house->epochs[id], true, false, NULL), 0);
}

static void unfence(struct house *house, int32_t id)
{
    assert_int_equal(rig_heartbeat(&house->rig, id, house->epochs[id], false, false, NULL), 0);
}

/* "a-0: 4 1 2 3 +4 -1;" for each that is under way; `asked` NULL: of all. */
static void listed(struct house *house, const char *asked, const char *expected)
{
    struct list_partition_reassignments_request request;
    wire_defaults(&wire_list_partition_reassignments_request, &request);
    struct list_partition_reassignments_request_topic topic = {.name = wire_str(asked)};
    int32_t both[] = {0, 1, 0, 7, -1};
    topic.partition_indexes.items = both;
    topic.partition_indexes.count = 5;
    request.topics.items = &topic;
    request.topics.count = asked == NULL ? -1 : 1;
    struct rig_call call;
    rig_exchange(&house->rig, &call, LIST, 0, &request);
    const struct list_partition_reassignments_response *response = &call.response.reassigning;
    assert_int_equal(response->error_code, 0);
    struct bytes shown = {0};
    for (int32_t i = 0; i < response->topics.count; i++) {
        __typeof__(&response->topics.items[0]) in = &response->topics.items[i];
        for (int32_t k = 0; k < in->partitions.count; k++) {
            __typeof__(&in->partitions.items[0]) part = &in->partitions.items[k];
            bytes_printf(&shown, "%.*s-%d:", (int)in->name.size, in->name.data,
                         part->partition_index);
            for (int32_t r = 0; r < part->replicas.count; r++) {
                bytes_printf(&shown, " %d", part->replicas.items[r]);
            }
            for (int32_t r = 0; r < part->adding_replicas.count; r++) {
                bytes_printf(&shown, " +%d", part->adding_replicas.items[r]);
            }
            for (int32_t r = 0; r < part->removing_replicas.count; r++) {
                bytes_printf(&shown, " -%d", part->removing_replicas.items[r]);
            }
            bytes_printf(&shown, ";");
        }
    }
    bytes_append(&shown, "", 1);
    assert_string_equal((const char *)shown.data, expected);
    bytes_free(&shown);
    rig_call_free(&call);
}

/* ---- the happy path ---- */

static void a_replica_is_exchanged_when_the_new_one_is_in_sync(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    int32_t leader_epoch = now(&house)->leader_epoch;
    assert_int_equal(to(&house, "4 2 3"), 0);
    is(&house, "4 2 3 1", "1 2 3", "4", "1");
    assert_int_equal(now(&house)->leader, 1);
    assert_int_equal(now(&house)->leader_epoch, leader_epoch); /* nobody has gone */
    listed(&house, NULL, "a-0: 4 2 3 1 +4 -1;");
    listed(&house, "a", "a-0: 4 2 3 1 +4 -1;");
    listed(&house, "b", "");
    assert_int_equal(isr(&house, "1 2"), 0);
    is(&house, "4 2 3 1", "1 2", "4", "1");
    assert_int_equal(isr(&house, "1 2 4"), KAFKA_NEW_LEADER_ELECTED);
    is(&house, "4 2 3", "2 4", "", "");
    assert_int_equal(now(&house)->leader, 4);
    assert_int_equal(now(&house)->leader_epoch, leader_epoch + 1);
    listed(&house, NULL, "");
    rig_stop(&house.rig);
}

static void a_leader_that_stays_begins_a_new_epoch_when_a_replica_goes(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    int32_t leader_epoch = now(&house)->leader_epoch;
    assert_int_equal(to(&house, "1 2 4"), 0);
    assert_int_equal(isr(&house, "1 2 3"), 0);
    is(&house, "1 2 4 3", "1 2 3", "4", "3");
    struct rig *rig = &house.rig;
    size_t before = rig->count;
    assert_int_equal(isr(&house, "1 2 4"), 0);
    assert_int_equal(rig->count, before + 1); /* one record does it all */
    is(&house, "1 2 4", "1 2 4", "", "");
    assert_int_equal(now(&house)->leader, 1);
    assert_int_equal(now(&house)->leader_epoch, leader_epoch + 1);
    rig_stop(&house.rig);
}

static void every_new_replica_is_waited_for(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(to(&house, "4 5 6"), 0);
    is(&house, "4 5 6 1 2 3", "1 2 3", "4 5 6", "1 2 3");
    assert_int_equal(isr(&house, "1 2 3 4"), 0);
    assert_int_equal(isr(&house, "1 2 3 4 6"), 0);
    is(&house, "4 5 6 1 2 3", "1 2 3 4 6", "4 5 6", "1 2 3");
    assert_int_equal(isr(&house, "1 2 3 4 5 6"), KAFKA_NEW_LEADER_ELECTED);
    is(&house, "4 5 6", "4 5 6", "", "");
    assert_int_equal(now(&house)->leader, 4);
    rig_stop(&house.rig);
}

static void each_replica_keeps_its_directory(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(to(&house, "4 3 1"), 0);
    const uint64_t during[] = {4, 3, 1, 2};
    for (int i = 0; i < 4; i++) {
        struct uuid dir = uuid_from_number(5000 + during[i]); /* as the rig registers them */
        assert_true(uuid_equal(&now(&house)->directories[i], &dir));
    }
    assert_int_equal(isr(&house, "1 3 4"), 0);
    is(&house, "4 3 1", "1 3 4", "", "");
    const uint64_t after[] = {4, 3, 1};
    for (int i = 0; i < 3; i++) {
        struct uuid dir = uuid_from_number(5000 + after[i]);
        assert_true(uuid_equal(&now(&house)->directories[i], &dir));
    }
    rig_stop(&house.rig);
}

static void another_order_takes_effect_at_once(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    int32_t leader_epoch = now(&house)->leader_epoch;
    assert_int_equal(to(&house, "3 1 2"), 0);
    is(&house, "3 1 2", "1 2 3", "", "");
    assert_int_equal(now(&house)->leader, 1);
    assert_int_equal(now(&house)->leader_epoch, leader_epoch);
    size_t before = house.rig.count;
    assert_int_equal(to(&house, "3 1 2"), 0); /* nothing to do */
    assert_int_equal(house.rig.count, before);
    rig_stop(&house.rig);
}

/* ---- more replicas, or fewer (KIP-860) ---- */

static void fewer_replicas_wait_for_those_that_stay(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(to(&house, "1 2"), 0); /* both are in sync */
    is(&house, "1 2", "1 2", "", "");
    assert_int_equal(isr(&house, "1"), 0);
    assert_int_equal(to(&house, "2"), 0);
    is(&house, "2 1", "1", "", "1"); /* nobody in sync would be left */
    assert_int_equal(isr(&house, "1 2"), KAFKA_NEW_LEADER_ELECTED);
    is(&house, "2", "2", "", "");
    rig_stop(&house.rig);
}

static void a_small_isr_is_not_made_smaller(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(to(&house, "1 2 3 4 5"), 0);
    assert_int_equal(isr(&house, "1 2 3 4 5"), 0);
    is(&house, "1 2 3 4 5", "1 2 3 4 5", "", "");
    assert_int_equal(isr(&house, "1 2"), 0);
    assert_int_equal(to(&house, "3 4 6"), 0); /* three go, one comes */
    assert_int_equal(isr(&house, "1 2 6"), 0);
    is(&house, "3 4 6 1 2 5", "1 2 6", "6", "1 2 5");
    assert_int_equal(isr(&house, "1 2 6 3"), 0);
    is(&house, "3 4 6 1 2 5", "1 2 6 3", "6", "1 2 5");
    assert_int_equal(isr(&house, "1 2 6 3 4"), KAFKA_NEW_LEADER_ELECTED);
    is(&house, "3 4 6", "6 3 4", "", "");
    rig_stop(&house.rig);
}

static void another_factor_must_be_allowed(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    struct ask more = {.to = "1 2 3 4", .fixed = true};
    struct ask fewer = {.to = "1 2", .fixed = true};
    struct ask same = {.to = "1 2 4", .fixed = true};
    struct ask also = {.to = "1 5 6", .fixed = true};
    assert_int_equal(reassign(&house, &more), KAFKA_INVALID_REPLICATION_FACTOR);
    assert_int_equal(reassign(&house, &fewer), KAFKA_INVALID_REPLICATION_FACTOR);
    is(&house, "1 2 3", "1 2 3", "", "");
    assert_int_equal(reassign(&house, &same), 0);
    assert_int_equal(reassign(&house, &more), KAFKA_INVALID_REPLICATION_FACTOR); /* in mid-way */
    assert_int_equal(reassign(&house, &also), 0);
    rig_stop(&house.rig);
}

/* ---- redirected and taken back ---- */

static void a_wish_in_mid_way_replaces_the_first(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(to(&house, "1 2 4"), 0);
    assert_int_equal(to(&house, "1 4 5"), 0);
    is(&house, "1 4 5 2 3", "1 2 3", "4 5", "2 3"); /* 4 is new still */
    assert_int_equal(isr(&house, "1 2 3 5"), 0);
    is(&house, "1 4 5 2 3", "1 2 3 5", "4 5", "2 3");
    assert_int_equal(to(&house, "1 2 3"), 0); /* as it was: at once */
    is(&house, "1 2 3", "1 2 3", "", "");
    rig_stop(&house.rig);
}

static void it_is_taken_back(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(back(&house), KAFKA_NO_REASSIGNMENT_IN_PROGRESS);
    assert_int_equal(to(&house, "4 5 3"), 0);
    assert_int_equal(isr(&house, "1 3 4"), 0);
    int32_t leader_epoch = now(&house)->leader_epoch;
    assert_int_equal(back(&house), 0);
    is(&house, "3 1 2", "1 3", "", ""); /* as Kafka has it: those that were kept come first */
    assert_int_equal(now(&house)->leader, 1);
    assert_int_equal(now(&house)->leader_epoch, leader_epoch + 1);
    rig_stop(&house.rig);
}

static void what_only_the_new_ones_have_is_not_given_up(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(to(&house, "4 5 6"), 0);
    assert_int_equal(isr(&house, "1 2 3 4 5"), 0);
    fence(&house, 1);
    fence(&house, 2);
    fence(&house, 3);
    is(&house, "4 5 6 1 2 3", "4 5", "4 5 6", "1 2 3");
    assert_int_equal(back(&house), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    is(&house, "4 5 6 1 2 3", "4 5", "4 5 6", "1 2 3");
    rig_configure(&house.rig, 2, "a", "unclean.leader.election.enable", "true");
    unfence(&house, 2);
    assert_int_equal(back(&house), 0);
    is(&house, "1 2 3", "2", "", "");
    assert_int_equal(now(&house)->leader, 2);
    assert_int_equal(now(&house)->recovery, IMAGE_RECOVERING);
    rig_stop(&house.rig);
}

/* ---- what happens meanwhile ---- */

static void who_is_kept_uncleanly_is_recovering(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    rig_configure(&house.rig, 2, "a", "unclean.leader.election.enable", "true");
    assert_int_equal(to(&house, "4 5 6"), 0);
    assert_int_equal(isr(&house, "1 4"), 0);
    fence(&house, 1);
    is(&house, "4 5 6 1 2 3", "4", "4 5 6", "1 2 3");
    unfence(&house, 1);
    assert_int_equal(back(&house), 0);
    is(&house, "1 2 3", "1", "", "");
    assert_int_equal(now(&house)->leader, 1);
    assert_int_equal(now(&house)->recovery, IMAGE_RECOVERING);
    rig_stop(&house.rig);
}

static void a_new_replica_that_dies_does_not_count(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    fence(&house, 4); /* may be named all the same */
    assert_int_equal(to(&house, "4 5 3"), 0);
    unfence(&house, 4);
    assert_int_equal(isr(&house, "1 2 3 4"), 0);
    fence(&house, 4);
    assert_int_equal(isr(&house, "1 2 3 5"), 0);
    is(&house, "4 5 3 1 2", "1 2 3 5", "4 5", "1 2");
    unfence(&house, 4);
    assert_int_equal(isr(&house, "1 2 3 5 4"), KAFKA_NEW_LEADER_ELECTED);
    is(&house, "4 5 3", "3 5 4", "", "");
    rig_stop(&house.rig);
}

static void the_next_controller_goes_on(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(to(&house, "4 2 3"), 0);
    struct rig *rig = &house.rig;
    controller_deactivate(rig->controller);
    rig_turn(rig);
    controller_activate(rig->controller, ++rig->epoch);
    rig_commit(rig);
    listed(&house, NULL, "a-0: 4 2 3 1 +4 -1;");
    assert_int_equal(isr(&house, "1 2 3 4"), KAFKA_NEW_LEADER_ELECTED);
    is(&house, "4 2 3", "2 3 4", "", "");
    rig_stop(&house.rig);
}

static void a_topic_that_goes_takes_its_reassignment_along(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    assert_int_equal(to(&house, "4 2 3"), 0);
    struct ask second = {.to = "5 2 3", .partition = 1};
    assert_int_equal(reassign(&house, &second), 0);
    listed(&house, NULL, "a-0: 4 2 3 1 +4 -1;a-1: 5 2 3 1 +5 -1;");
    listed(&house, "a", "a-0: 4 2 3 1 +4 -1;a-1: 5 2 3 1 +5 -1;");
    struct delete_topics_request request;
    wire_defaults(&wire_delete_topics_request, &request);
    struct wire_str name = wire_str("a");
    request.topic_names.items = &name;
    request.topic_names.count = 1;
    struct rig_call call;
    rig_exchange(&house.rig, &call, 20, 5, &request);
    rig_call_free(&call);
    listed(&house, NULL, "");
    rig_stop(&house.rig);
}

/* ---- refusals ---- */

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    size_t before = house.rig.count;
    assert_int_equal(to(&house, "1 2 7"), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(to(&house, "1 2 2"), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(to(&house, ""), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    struct ask unknown = {.to = "1 2 4", .topic = "b"};
    assert_int_equal(reassign(&house, &unknown), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct ask beyond = {.to = "1 2 4", .partition = 2};
    assert_int_equal(reassign(&house, &beyond), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    beyond.partition = -1;
    assert_int_equal(reassign(&house, &beyond), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(house.rig.count, before);
    is(&house, "1 2 3", "1 2 3", "", "");
    struct ask twice = {.to = "1 2 4", .twice = true};
    assert_int_equal(reassign(&house, &twice), KAFKA_INVALID_REQUEST);
    is(&house, "1 2 4 3", "1 2 3", "4", "3"); /* the first of them stands */
    rig_stop(&house.rig);
}

static void who_does_not_decide_says_so(void **state)
{
    (void)state;
    struct house house;
    house_start(&house);
    controller_deactivate(house.rig.controller);
    struct alter_partition_reassignments_request request;
    wire_defaults(&wire_alter_partition_reassignments_request, &request);
    struct rig_call call;
    rig_submit(&house.rig, &call, ALTER, 1, &request);
    rig_turn(&house.rig);
    assert_int_equal(call.response.reassignments.error_code, KAFKA_NOT_CONTROLLER);
    rig_call_free(&call);
    struct list_partition_reassignments_request ask;
    wire_defaults(&wire_list_partition_reassignments_request, &ask);
    rig_submit(&house.rig, &call, LIST, 0, &ask);
    rig_turn(&house.rig);
    assert_int_equal(call.response.reassigning.error_code, KAFKA_NOT_CONTROLLER);
    rig_call_free(&call);
    rig_stop(&house.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_is_exchanged_when_the_new_one_is_in_sync),
        cmocka_unit_test(a_leader_that_stays_begins_a_new_epoch_when_a_replica_goes),
        cmocka_unit_test(every_new_replica_is_waited_for),
        cmocka_unit_test(each_replica_keeps_its_directory),
        cmocka_unit_test(another_order_takes_effect_at_once),
        cmocka_unit_test(fewer_replicas_wait_for_those_that_stay),
        cmocka_unit_test(a_small_isr_is_not_made_smaller),
        cmocka_unit_test(another_factor_must_be_allowed),
        cmocka_unit_test(a_wish_in_mid_way_replaces_the_first),
        cmocka_unit_test(it_is_taken_back),
        cmocka_unit_test(what_only_the_new_ones_have_is_not_given_up),
        cmocka_unit_test(who_is_kept_uncleanly_is_recovering),
        cmocka_unit_test(a_new_replica_that_dies_does_not_count),
        cmocka_unit_test(the_next_controller_goes_on),
        cmocka_unit_test(a_topic_that_goes_takes_its_reassignment_along),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(who_does_not_decide_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
