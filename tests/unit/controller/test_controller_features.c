/* What a cluster finalizes, and who is a part of it no more. */
#include "tests/unit/controller/rig.h"
#include "tests/unit/metadata/records.h"

enum { UPDATE = 57, UNREGISTER = 64, UP = 1, DOWN = 2, UNSAFE = 3, OLD = 0 };

/* A cluster whose metadata.version is `level`, written by another controller. */
static void start_at(struct rig *rig, int16_t level)
{
    rig_start(rig, NULL, false);
    struct record_list records = {0};
    put_feature(&records, "metadata.version", level);
    rig_inherit(rig, &records);
    controller_activate(rig->controller, rig->epoch);
    rig_commit(rig);
}

static int16_t level(const struct rig *rig, const char *name)
{
    return image_feature_level(controller_committed_image(rig->controller), name);
}

struct ask {
    const char *name; /* NULL: metadata.version */
    int16_t to;
    int8_t type; /* OLD: version 0, a downgrade allowed */
    bool only_look;
    bool twice;
};

static int16_t update(struct rig *rig, const struct ask *ask)
{
    int16_t version = ask->type == OLD ? 0 : ask->twice ? 2 : 1;
    struct update_features_request request;
    wire_defaults(&wire_update_features_request, &request);
    struct update_features_request_feature_update one[2];
    wire_struct_defaults(&wire_struct_update_features_request_feature_update, &one[0]);
    one[0].feature = wire_str(ask->name == NULL ? "metadata.version" : ask->name);
    one[0].max_version_level = ask->to;
    one[0].allow_downgrade = ask->type == OLD;
    one[0].upgrade_type = ask->type == OLD ? UP : ask->type;
    one[1] = one[0];
    request.feature_updates.items = one;
    request.feature_updates.count = ask->twice ? 2 : 1;
    request.validate_only = ask->only_look;
    struct rig_call call;
    rig_exchange(rig, &call, UPDATE, version, &request);
    const struct update_features_response *response = &call.response.features;
    assert_int_equal(response->error_message.size > 0, response->error_code != 0);
    assert_int_equal(response->results.count, version <= 1 && response->error_code == 0);
    int16_t error = response->error_code;
    rig_call_free(&call);
    return error;
}

#define ASK(rig, ...) update(rig, &(struct ask){__VA_ARGS__})

static void a_level_rises_and_falls_as_far_as_nothing_is_lost(void **state)
{
    (void)state;
    struct rig rig;
    start_at(&rig, 20);
    rig_broker(&rig, 1, NULL); /* 17 to 30 */
    assert_int_equal(ASK(&rig, .to = 29, .type = UP, .only_look = true), 0);
    assert_int_equal(level(&rig, "metadata.version"), 20);
    assert_int_equal(ASK(&rig, .to = 29, .type = UP), 0);
    assert_int_equal(level(&rig, "metadata.version"), 29);
    assert_int_equal(ASK(&rig, .to = 25, .type = UP), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .to = 25, .type = DOWN), 0);
    assert_int_equal(level(&rig, "metadata.version"), 25);
    assert_int_equal(ASK(&rig, .to = 23, .type = OLD), 0); /* as KIP-584's first version */
    assert_int_equal(level(&rig, "metadata.version"), 23);
    /* 23 brought other records */
    assert_int_equal(ASK(&rig, .to = 22, .type = DOWN), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .to = 22, .type = UNSAFE), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .to = 24, .type = DOWN), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .to = 30, .type = UP), 0);
    assert_int_equal(ASK(&rig, .to = 29, .type = DOWN), KAFKA_INVALID_UPDATE_VERSION);
    size_t before = rig.count;
    assert_int_equal(ASK(&rig, .to = 30, .type = UP), 0); /* as it is */
    assert_int_equal(rig.count, before);
    assert_int_equal(level(&rig, "metadata.version"), 30);
    rig_stop(&rig);
}

static void what_somebody_cannot_do_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    start_at(&rig, 20);
    struct record_list records = {0};
    assert_int_equal(ASK(&rig, .to = 31, .type = UP), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .to = 16, .type = DOWN), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .to = 0, .type = DOWN), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .to = -1, .type = UP), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .to = 21, .type = 9), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .name = "group.version", .to = 1, .type = UP),
                     KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(ASK(&rig, .name = "group.version", .to = 0, .type = DOWN), 0);
    assert_int_equal(ASK(&rig, .to = 21, .type = UP, .twice = true), KAFKA_INVALID_REQUEST);
    assert_int_equal(level(&rig, "metadata.version"), 20); /* the first of them neither */
    controller_deactivate(rig.controller);
    put_broker(&records, 7, rig.next_offset); /* says nothing of metadata.version */
    rig_inherit(&rig, &records);
    controller_activate(rig.controller, ++rig.epoch);
    assert_int_equal(ASK(&rig, .to = 21, .type = UP), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(level(&rig, "metadata.version"), 20);
    rig_stop(&rig);
}

/* ---- leaving for good ---- */

static int16_t unregister(struct rig *rig, int32_t id)
{
    struct unregister_broker_request request = {.broker_id = id};
    struct rig_call call;
    rig_exchange(rig, &call, UNREGISTER, 0, &request);
    int16_t error = call.response.unregistered.error_code;
    assert_int_equal(call.response.unregistered.error_message.size > 0, error != 0);
    rig_call_free(&call);
    return error;
}

static void a_broker_is_registered_no_more(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, true);
    int64_t epochs[4];
    for (int32_t id = 1; id <= 3; id++) {
        epochs[id] = rig_broker(&rig, id, NULL);
    }
    int32_t replicas[] = {1, 2, 3};
    int32_t alone[] = {1};
    rig_create_on(&rig, "a", 1, replicas, 3);
    rig_create_on(&rig, "b", 1, alone, 1);
    assert_int_equal(unregister(&rig, 9), KAFKA_BROKER_ID_NOT_REGISTERED);
    assert_int_equal(unregister(&rig, 1), 0);
    assert_null(image_broker(controller_committed_image(rig.controller), 1));
    assert_int_equal(rig_partition(&rig, "a", 0)->leader, 2);
    assert_int_equal(rig_partition(&rig, "a", 0)->isr.count, 2);
    assert_int_equal(rig_partition(&rig, "a", 0)->replicas.count, 3);
    assert_int_equal(rig_partition(&rig, "b", 0)->leader, -1);
    assert_int_equal(rig_heartbeat(&rig, 1, epochs[1], false, false, NULL),
                     KAFKA_BROKER_ID_NOT_REGISTERED);
    assert_int_equal(unregister(&rig, 1), KAFKA_BROKER_ID_NOT_REGISTERED);
    sim_run_for(rig.sim,
                20000); /* the sessions of the others end; of the one that is gone nothing */
    rig_commit(&rig);
    rig_broker(&rig, 1, NULL); /* may come again */
    assert_int_equal(rig_partition(&rig, "b", 0)->leader, 1);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_rises_and_falls_as_far_as_nothing_is_lost),
        cmocka_unit_test(what_somebody_cannot_do_is_refused),
        cmocka_unit_test(a_broker_is_registered_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
