/* A broker's life as the controller sees it: registering with one in another node that is played by
 * the test. How it ends is in test_leaving.c. */
#include "broker/log/log_internal.h"
#include "broker/metadata/record.h"
#include "common/base/mem.h"
#include "tests/unit/node/desk.h"
#include "tests/unit/node/troupe.h"

enum { SHORT_MS = 200 };

static const char *const two_listeners[] = {
    "listeners=PLAINTEXT://10.0.0.1:9092,CONTROLLER://10.0.0.1:9093",
    "controller.listener.names=CONTROLLER", NULL};

/* As if it had been committed. */
static void apply(struct troupe *t, enum record_key key, int16_t version, const void *message)
{
    struct record_list list = {0};
    struct image_delta delta = {0};
    struct err_text text = {""};
    record_list_add(&list, key, version, message);
    struct wire_bytes record = record_list_at(&list, 0);
    if (image_apply_record(t->broker->image, &delta, record.data, (size_t)record.size, 0, 1, 0,
                           &text) != ERR_NONE) {
        fail_msg("%s", text.text);
    }
    image_delta_clear(&delta);
    record_list_free(&list);
}

/* ---- registering ----------------------------------------------------------------------------- */

static struct troupe *troupe_of_one_that_registers(uint64_t seed)
{
    struct troupe *t = troupe_new(seed);
    t->registration_too = true;
    troupe_leads(t, 2, 4);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_BROKER_REGISTRATION, 2), 1);
    return t;
}

static const struct broker_registration_request *asked_to_register(struct troupe *t)
{
    return asked_body(t, troupe_last(t, WIRE_BROKER_REGISTRATION));
}

static void answer_registration(struct troupe *t, int16_t error)
{
    struct broker_registration_response *response = troupe_response(t, WIRE_BROKER_REGISTRATION);
    response->error_code = error;
    response->broker_epoch = error == KAFKA_NONE ? 77 : -1;
    asked_answer(troupe_last(t, WIRE_BROKER_REGISTRATION), response);
    troupe_run(t, 20);
}

static void test_what_it_says(void **state)
{
    (void)state;
    struct troupe *t = troupe_of_one_that_registers(1);
    const struct broker_registration_request *r = asked_to_register(t);
    assert_int_equal(r->broker_id, 1);
    assert_true(wire_str_is(r->cluster_id, broker_cluster_id(t->broker)));
    assert_false(uuid_is_zero(&r->incarnation_id));
    assert_int_equal(r->listeners.count, 1); /* the controller's is told elsewhere */
    assert_true(wire_str_is(r->listeners.items[0].name, "PLAINTEXT"));
    assert_true(wire_str_is(r->listeners.items[0].host, "10.0.0.1"));
    assert_int_equal(r->listeners.items[0].port, 9092);
    assert_int_equal(r->log_dirs.count, 2);
    assert_true(r->features.count > 0);
    answer_registration(t, KAFKA_NONE);
    assert_int_equal(t->broker->registration.broker_epoch, 77);
    troupe_run(t, 20000); /* known: now its image is to reach the record */
    assert_int_equal(troupe_count(t, WIRE_BROKER_REGISTRATION, 0), 1);
    assert_int_equal(troupe_count(t, WIRE_BROKER_HEARTBEAT, 0), 0);
    troupe_free(t);
}

/* Whatever became of the answer, it is the same life that asks again. */
static void test_answer_lost(void **state)
{
    (void)state;
    struct troupe *t = troupe_of_one_that_registers(2);
    struct uuid life = asked_to_register(t)->incarnation_id;
    sim_reset(t->node, troupe_player(t, 2)->node);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_BROKER_REGISTRATION, 2), 2);
    assert_true(uuid_equal(&asked_to_register(t)->incarnation_id, &life));
    answer_registration(t, KAFKA_NOT_CONTROLLER);
    troupe_leads(t, 3, 5);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_BROKER_REGISTRATION, 3), 1);
    assert_true(uuid_equal(&asked_to_register(t)->incarnation_id, &life));
    answer_registration(t, KAFKA_NONE);
    assert_int_equal(t->broker->registration.broker_epoch, 77);
    troupe_free(t);
}

/* A controller that says nothing is asked again, by the same life, when half a session is over. */
static void test_no_answer(void **state)
{
    (void)state;
    struct troupe *t = troupe_of_one_that_registers(3);
    struct uuid life = asked_to_register(t)->incarnation_id;
    troupe_run(t, 4000);
    assert_int_equal(troupe_count(t, WIRE_BROKER_REGISTRATION, 0), 1);
    troupe_run(t, 1000);
    assert_int_equal(troupe_count(t, WIRE_BROKER_REGISTRATION, 0), 2);
    assert_true(uuid_equal(&asked_to_register(t)->incarnation_id, &life));
    troupe_free(t);
}

static void test_former_life_counts(void **state)
{
    (void)state;
    struct troupe *t = troupe_of_one_that_registers(4);
    int64_t started_us = sim_now_us(t->sim);
    int asked = 1;
    while (sim_now_us(t->sim) - started_us < 9000000) { /* a session */
        if (troupe_count(t, WIRE_BROKER_REGISTRATION, 2) == asked) {
            answer_registration(t, KAFKA_DUPLICATE_BROKER_REGISTRATION);
            asked++;
        }
        troupe_run(t, 20);
    }
    assert_in_range(asked, 9, 20); /* neither twenty times a second nor once in a while */
    assert_false(t->stopped);
    troupe_run(t, 1000);
    answer_registration(t, KAFKA_NONE);
    assert_int_equal(t->broker->registration.broker_epoch, 77);
    troupe_free(t);
}

static void test_refused(void **state)
{
    (void)state;
    static const int16_t errors[] = {KAFKA_INCONSISTENT_CLUSTER_ID, KAFKA_UNSUPPORTED_VERSION,
                                     KAFKA_INVALID_REGISTRATION};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct troupe *t = troupe_of_one_that_registers(5);
        answer_registration(t, errors[i]);
        troupe_run(t, 1000);
        assert_true(t->stopped);
        assert_int_equal(t->code, BROKER_EXIT_REFUSED);
        troupe_free(t);
    }
}

static void test_stopped_meanwhile(void **state)
{
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        struct troupe *t = troupe_of_one_that_registers(6);
        if (answered) {
            answer_registration(t, KAFKA_NONE);
        }
        broker_stop(t->broker);
        troupe_run(t, 1000);
        assert_true(t->stopped);
        assert_int_equal(t->code, BROKER_EXIT_OK);
        troupe_free(t);
    }
}

static void apply_us(struct troupe *t, bool fenced)
{
    struct register_broker_record us;
    struct uuid dir = *log_dir_id(t->broker->dirs[0]);
    wire_defaults(&wire_register_broker_record, &us);
    us.broker_id = 1;
    us.broker_epoch = t->broker->registration.broker_epoch;
    us.fenced = fenced;
    us.log_dirs.items = &dir;
    us.log_dirs.count = 1;
    apply(t, RECORD_REGISTER_BROKER, 4, &us);
}

/* Our image reaches the registration, and with it a partition that is ours to open. */
static void reach_registration(struct troupe *t)
{
    struct topic_record topic;
    struct partition_record partition;
    int32_t id = 1;
    struct uuid dir = *log_dir_id(t->broker->dirs[0]);
    apply_us(t, true);
    wire_defaults(&wire_topic_record, &topic);
    topic.name = wire_str("orders");
    topic.topic_id = uuid_from_number(4242);
    apply(t, RECORD_TOPIC, 0, &topic);
    wire_defaults(&wire_partition_record, &partition);
    partition.partition_id = 0;
    partition.topic_id = topic.topic_id;
    partition.leader = 1;
    partition.replicas.items = &id;
    partition.replicas.count = 1;
    partition.isr = (__typeof__(partition.isr)){&id, 1};
    partition.directories.items = &dir;
    partition.directories.count = 1;
    apply(t, RECORD_PARTITION, 1, &partition);
    node_registration_image_changed(t->broker);
}

/* What the first heartbeat could not say yet, that every partition is open, need not wait for the
 * next one's time. */
static void test_opened_while_a_heartbeat_is_out(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(15);
    troupe_leads(t, 2, 4);
    troupe_run(t, SHORT_MS);
    reach_registration(t);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_BROKER_HEARTBEAT, 2), 1);
    const struct broker_heartbeat_request *h = asked_body(t, troupe_last(t, WIRE_BROKER_HEARTBEAT));
    assert_int_equal(h->broker_epoch, 5);
    assert_true(h->want_fence);
    asked_answer(troupe_last(t, WIRE_BROKER_HEARTBEAT), troupe_response(t, WIRE_BROKER_HEARTBEAT));
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_BROKER_HEARTBEAT, 2), 2);
    h = asked_body(t, troupe_last(t, WIRE_BROKER_HEARTBEAT));
    assert_false(h->want_fence);
    asked_answer(troupe_last(t, WIRE_BROKER_HEARTBEAT), troupe_response(t, WIRE_BROKER_HEARTBEAT));
    troupe_run(t, 1000);
    assert_int_equal(troupe_count(t, WIRE_BROKER_HEARTBEAT, 2), 2); /* and no third */
    troupe_free(t);
}

static void answer_heartbeat(struct troupe *t)
{
    asked_answer(troupe_last(t, WIRE_BROKER_HEARTBEAT), troupe_response(t, WIRE_BROKER_HEARTBEAT));
    troupe_run(t, SHORT_MS);
}

/* A directory that fails is told; the one with the metadata log ends the node, cleanly. */
static void test_directories_that_fail(void **state)
{
    (void)state;
    struct err_text why = {"the test says so"};
    struct troupe *t = troupe_new(18);
    troupe_leads(t, 2, 4);
    troupe_run(t, SHORT_MS);
    reach_registration(t);
    troupe_run(t, SHORT_MS);
    const struct broker_heartbeat_request *h = asked_body(t, troupe_last(t, WIRE_BROKER_HEARTBEAT));
    assert_int_equal(h->offline_log_dirs.count, 0);
    dir_fail(t->broker->dirs[1], ERR_IO, &why);
    answer_heartbeat(t);
    h = asked_body(t, troupe_last(t, WIRE_BROKER_HEARTBEAT));
    assert_int_equal(h->offline_log_dirs.count, 1);
    assert_true(uuid_equal(&h->offline_log_dirs.items[0], log_dir_id(t->broker->dirs[1])));
    assert_false(t->stopped);
    dir_fail(t->broker->dirs[0], ERR_IO, &why);
    troupe_run(t, 1000);
    assert_true(t->stopped);
    assert_int_equal(t->code, BROKER_EXIT_FAILED);
    assert_non_null(strstr(t->why, "the test says so"));
    troupe_free(t);
}

/* Broker 2 is there, and leaves or does not. */
static void broker_2(struct troupe *t, int64_t epoch, bool leaves)
{
    struct register_broker_record record;
    struct uuid dir = uuid_from_number(7777);
    wire_defaults(&wire_register_broker_record, &record);
    record.broker_id = 2;
    record.broker_epoch = epoch;
    record.fenced = false;
    record.in_controlled_shutdown = leaves;
    record.log_dirs.items = &dir;
    record.log_dirs.count = 1;
    apply(t, RECORD_REGISTER_BROKER, 4, &record);
    node_registration_image_changed(t->broker);
    troupe_run(t, SHORT_MS);
}

/* Another broker is let go when all have said that they know: that is not left to the next
 * heartbeat's time, and said once. */
static void test_says_that_it_knows_who_leaves(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(16);
    troupe_leads(t, 2, 4);
    troupe_run(t, SHORT_MS);
    reach_registration(t);
    troupe_run(t, SHORT_MS);
    answer_heartbeat(t); /* fenced still, */
    answer_heartbeat(t); /* and open */
    apply_us(t, false);
    node_registration_image_changed(t->broker);
    assert_int_equal(t->broker->registration.phase, REGISTRATION_LIVE);
    broker_2(t, 20, false);
    assert_int_equal(troupe_count(t, WIRE_BROKER_HEARTBEAT, 2), 2);
    broker_2(t, 20, true);
    assert_int_equal(troupe_count(t, WIRE_BROKER_HEARTBEAT, 2), 3);
    answer_heartbeat(t);
    broker_2(t, 20, true);
    assert_int_equal(troupe_count(t, WIRE_BROKER_HEARTBEAT, 2), 3);
    broker_2(t, 21, false); /* gone, and back */
    assert_int_equal(troupe_count(t, WIRE_BROKER_HEARTBEAT, 2), 3);
    broker_2(t, 21, true); /* the next life is another one */
    assert_int_equal(troupe_count(t, WIRE_BROKER_HEARTBEAT, 2), 4);
    troupe_free(t);
}

/* An operator unregistered it (kafka-cluster unregister): it stops and says so. */
static void test_unregistered(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(17);
    troupe_leads(t, 2, 4);
    troupe_run(t, SHORT_MS);
    reach_registration(t);
    troupe_run(t, SHORT_MS);
    answer_heartbeat(t);
    answer_heartbeat(t);
    apply_us(t, false);
    node_registration_image_changed(t->broker);
    assert_int_equal(t->broker->registration.phase, REGISTRATION_LIVE);
    troupe_run(t, 3000);
    struct broker_heartbeat_response *response = troupe_response(t, WIRE_BROKER_HEARTBEAT);
    response->error_code = KAFKA_BROKER_ID_NOT_REGISTERED;
    asked_answer(troupe_last(t, WIRE_BROKER_HEARTBEAT), response);
    troupe_run(t, 3000);
    assert_true(t->stopped);
    assert_int_equal(t->code, BROKER_EXIT_FAILED);
    assert_non_null(strstr(t->why, "unregistered"));
    troupe_free(t);
}

/* ---- controllers ----------------------------------------------------------------------------- */

/* The cluster has a metadata.version: now a controller may say where it listens. */
static void finalize(struct troupe *t)
{
    struct feature_level_record record;
    wire_defaults(&wire_feature_level_record, &record);
    record.name = wire_str("metadata.version");
    record.feature_level = 30;
    apply(t, RECORD_FEATURE_LEVEL, 0, &record);
}

static const struct controller_registration_request *asked_for_controller(struct troupe *t)
{
    const struct controller_registration_request *r =
        asked_body(t, troupe_last(t, WIRE_CONTROLLER_REGISTRATION));
    assert_int_equal(r->controller_id, 1);
    assert_true(uuid_equal(&r->incarnation_id, &t->broker->registration.incarnation_id));
    return r;
}

static void answer_controller(struct troupe *t, int16_t error)
{
    struct controller_registration_response *response =
        troupe_response(t, WIRE_CONTROLLER_REGISTRATION);
    response->error_code = error;
    asked_answer(troupe_last(t, WIRE_CONTROLLER_REGISTRATION), response);
}

static void test_controller_says_where_it_listens(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(13);
    troupe_leads(t, 2, 4);
    troupe_run(t, 2000);
    assert_int_equal(troupe_count(t, WIRE_CONTROLLER_REGISTRATION, 0), 0);
    finalize(t);
    troupe_leads(t, 2, 5);
    troupe_run(t, SHORT_MS);
    const struct controller_registration_request *r = asked_for_controller(t);
    assert_int_equal(r->listeners.count, 1);
    assert_true(wire_str_is(r->listeners.items[0].name, "CONTROLLER"));
    assert_true(wire_str_is(r->listeners.items[0].host, "10.0.0.1"));
    assert_int_equal(r->listeners.items[0].port, 9093);
    assert_true(r->features.count > 0);
    assert_false(r->zk_migration_ready);
    answer_controller(t, KAFKA_UNKNOWN_SERVER_ERROR);
    troupe_run(t, 900);
    assert_int_equal(troupe_count(t, WIRE_CONTROLLER_REGISTRATION, 0), 1);
    troupe_run(t, 400); /* refused: asked again after a second */
    assert_int_equal(troupe_count(t, WIRE_CONTROLLER_REGISTRATION, 0), 2);
    asked_for_controller(t);
    answer_controller(t, KAFKA_NONE);
    troupe_run(t, 1300); /* agreed to, but nothing of it in the log */
    assert_int_equal(troupe_count(t, WIRE_CONTROLLER_REGISTRATION, 0), 3);
    broker_stop(t->broker); /* and one is out */
    troupe_run(t, 1000);
    assert_true(t->stopped);
    troupe_free(t);
}

static void on_ready(void *ctx, struct broker *broker)
{
    (void)broker;
    *(bool *)ctx = true;
}

/* The record of a former life does not do for the next. */
static void test_life_after_life(void **state)
{
    (void)state;
    struct desk *d = desk_new(14, two_listeners);
    const struct image_controller *known = image_controller(d->broker->image, 1);
    struct uuid first = d->broker->registration.incarnation_id;
    assert_non_null(known);
    assert_true(uuid_equal(&known->incarnation_id, &first));
    sim_node_crash(d->node, SIM_KILL);
    broker_free(d->broker);
    sim_node_restart(d->node);
    bool ready = false;
    struct broker_news news = {.ready = on_ready, .ctx = &ready};
    d->broker = broker_start(sim_node_env(d->node), d->settings, &news);
    desk_run(d, 1800);
    assert_true(ready);
    struct uuid second = d->broker->registration.incarnation_id;
    assert_false(uuid_equal(&first, &second));
    known = image_controller(d->broker->image, 1);
    assert_true(uuid_equal(&known->incarnation_id, &second));
    desk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_says),
        cmocka_unit_test(test_answer_lost),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_former_life_counts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_stopped_meanwhile),
        cmocka_unit_test(test_opened_while_a_heartbeat_is_out),
        cmocka_unit_test(test_directories_that_fail),
        cmocka_unit_test(test_says_that_it_knows_who_leaves),
        cmocka_unit_test(test_unregistered),
        cmocka_unit_test(test_controller_says_where_it_listens),
        cmocka_unit_test(test_life_after_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
