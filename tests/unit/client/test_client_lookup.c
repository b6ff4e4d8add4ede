/* Where brokers and coordinators are: looked up, learnt in passing, forgotten. */
#include <string.h>

#include "common/wire/kafka_error.h"
#include "tests/unit/client/world.h"

static void a_broker_is_found_by_metadata(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    size_t count;
    world_brokers(w, 3);
    world_ask(w, cluster_broker(2), &t, 5000);
    world_accept(w, "a:1");
    struct fake_request q = world_take(w, "a:1", WIRE_METADATA);
    struct metadata_request body;
    struct arena arena = {0};
    fake_decode(&q, &body, &arena);
    assert_int_equal(body.topics.count, 0); /* none, where null were all */
    arena_free(&arena);
    struct buf *frame = fake_answer(&q, &w->metadata);
    fake_drop(&q);
    world_give(w, "a:1", frame);
    assert_int_equal(w->wire_count, 2);
    assert_string_equal(cluster_id(w->cluster), "cluster-1");
    assert_int_equal(cluster_controller_id(w->cluster), 1);
    world_accept(w, "b2:9092");
    assert_non_null(cluster_conn(w->cluster, 2));
    assert_null(cluster_conn(w->cluster, 1));
    assert_null(cluster_conn(w->cluster, 9));
    world_describe(w, "b2:9092", "c");
    assert_told(&t, ERR_NONE, "");

    const struct cluster_node *nodes = cluster_brokers(w->cluster, &count);
    assert_int_equal(count, 3);
    assert_int_equal(nodes[1].id, 2);
    assert_string_equal(nodes[1].host, "b2");
    assert_int_equal(nodes[1].port, 9092);
    assert_null(nodes[1].rack);

    struct told u = {0}; /* known now: no further lookup */
    world_ask(w, cluster_broker(3), &u, 5000);
    world_accept(w, "b3:9092");
    world_describe(w, "b3:9092", "c");
    assert_told(&u, ERR_NONE, "");
    assert_true(world_quiet(w, "a:1"));
}

static void a_broker_at_a_bootstrap_address_needs_no_second_connection(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    world_brokers(w, 1);
    w->brokers[0].host = wire_str("a");
    w->brokers[0].port = 1;
    world_ask(w, cluster_broker(1), &t, 5000);
    world_accept(w, "a:1");
    world_metadata(w, "a:1");
    world_describe(w, "a:1", "c");
    assert_told(&t, ERR_NONE, "");
    assert_int_equal(w->wire_count, 1);
}

static void many_requests_share_one_lookup(void **state)
{
    struct world *w = *state;
    struct told told[3] = {0};
    world_brokers(w, 3);
    for (int i = 0; i < 3; i++) {
        world_ask(w, cluster_broker(i + 1), &told[i], 5000);
    }
    world_accept(w, "a:1");
    world_metadata(w, "a:1");
    assert_true(world_quiet(w, "a:1"));
    for (int i = 0; i < 3; i++) {
        char name[] = "b1:9092";
        name[1] = (char)('1' + i);
        world_accept(w, name);
        world_describe(w, name, "c");
        assert_told(&told[i], ERR_NONE, "");
    }
}

static void an_unknown_broker_is_not_found(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    world_brokers(w, 1);
    world_ask(w, cluster_broker(7), &t, 5000);
    world_accept(w, "a:1");
    world_metadata(w, "a:1");
    assert_told(&t, ERR_NOT_FOUND, "broker 7 is not in the cluster");
    world_ask(w, cluster_broker(7), &u, 5000); /* asked anew: it may have come meanwhile */
    assert_int_equal(u.count, 0);
    world_brokers(w, 1);
    w->brokers[0].node_id = 7;
    world_metadata(w, "a:1");
    world_accept(w, "b1:9092");
    world_describe(w, "b1:9092", "c");
    assert_told(&u, ERR_NONE, "");
}

static void responses_to_others_teach_too(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    world_ask(w, cluster_any(), &t, 5000);
    world_accept(w, "a:1");
    struct describe_cluster_response_broker brokers[2] = {
        {.broker_id = 4, .host = wire_str("b4"), .port = 9092, .rack = wire_str("r1")},
        {.broker_id = 3, .host = wire_str("b3"), .port = 9092, .rack = WIRE_STR_NULL}};
    struct describe_cluster_response r = described("cluster-2");
    r.brokers.items = brokers;
    r.brokers.count = 2;
    r.controller_id = 4;
    brokers[1].is_fenced = true;
    world_answer(w, "a:1", WIRE_DESCRIBE_CLUSTER, &r);
    size_t count;
    const struct cluster_node *nodes = cluster_brokers(w->cluster, &count);
    assert_int_equal(count, 1);
    assert_int_equal(nodes[0].id, 4);
    assert_string_equal(nodes[0].rack, "r1");
    assert_string_equal(cluster_id(w->cluster), "cluster-2");
    assert_int_equal(cluster_controller_id(w->cluster), 4);
    world_ask(w, cluster_broker(4), &u, 5000);
    world_accept(w, "b4:9092");
    world_describe(w, "b4:9092", "c");
    assert_told(&u, ERR_NONE, "");
}

static void what_describes_controllers_teaches_nothing(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    size_t count;
    world_ask(w, cluster_any(), &t, 5000);
    world_accept(w, "a:1");
    struct describe_cluster_response_broker broker = {
        .broker_id = 4, .host = wire_str("c4"), .port = 9093, .rack = WIRE_STR_NULL};
    struct describe_cluster_response r = described("cluster-2");
    r.brokers.items = &broker;
    r.brokers.count = 1;
    r.endpoint_type = 2;
    world_answer(w, "a:1", WIRE_DESCRIBE_CLUSTER, &r);
    cluster_brokers(w->cluster, &count);
    assert_int_equal(count, 0);
}

/* Brokers 1 and 2 are known, a:1 and b2:9092 are connected. */
static void know_two(struct world *w)
{
    struct told t = {0};
    world_brokers(w, 2);
    world_ask(w, cluster_broker(2), &t, 5000);
    world_accept(w, "a:1");
    world_metadata(w, "a:1");
    world_accept(w, "b2:9092");
    world_describe(w, "b2:9092", "c");
    assert_told(&t, ERR_NONE, "");
}

static void a_broker_that_refuses_fails_its_own_requests_only(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    know_two(w);
    world_ask(w, cluster_broker(1), &t, 5000);
    world_ask(w, cluster_any(), &u, 5000);
    world_end(w, "b1:9092", ERR_REFUSED, "connection refused");
    assert_told(&t, ERR_REFUSED, "b1:9092: connection refused");
    assert_int_equal(u.count, 0);
    world_describe(w, "a:1", "c");
    assert_told(&u, ERR_NONE, "");
}

static void a_broker_that_failed_is_looked_up_again(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    know_two(w);
    world_ask(w, cluster_broker(1), &t, 5000);
    world_end(w, "b1:9092", ERR_REFUSED, "connection refused");
    w->brokers[0].host = wire_str("moved");
    world_ask(w, cluster_broker(1), &u, 5000);
    world_metadata(w, "a:1");
    world_accept(w, "moved:9092");
    world_describe(w, "moved:9092", "c");
    assert_told(&u, ERR_NONE, "");
    assert_true(world_dialled(w, "b2:9092")); /* others keep theirs */
}

static void a_broker_that_failed_is_dialled_after_a_pause(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    know_two(w);
    world_ask(w, cluster_broker(1), &t, 5000);
    world_end(w, "b1:9092", ERR_REFUSED, "connection refused");
    world_ask(w, cluster_broker(1), &u, 5000);
    world_metadata(w, "a:1");
    assert_false(world_dialled(w, "b1:9092"));
    world_until(w, w->now_ms + 99);
    assert_false(world_dialled(w, "b1:9092"));
    world_until(w, w->now_ms + 1);
    world_accept(w, "b1:9092");
    world_describe(w, "b1:9092", "c");
    assert_told(&u, ERR_NONE, "");
}

static void a_connection_to_a_broker_that_left_is_closed(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    know_two(w);
    world_ask(w, cluster_broker(2), &t, 5000);
    w->metadata.brokers.count = 1;
    world_ask(w, cluster_broker(9), &u, 5000);
    world_metadata(w, "a:1");
    assert_told(&u, ERR_NOT_FOUND, "broker 9");
    assert_true(world_dialled(w, "b2:9092")); /* it still owes an answer */
    world_describe(w, "b2:9092", "c");
    assert_told(&t, ERR_NONE, "");
    assert_false(world_dialled(w, "b2:9092"));
    assert_true(world_dialled(w, "a:1"));
}

static void a_broker_that_starts_does_not_empty_the_table(void **state)
{
    struct world *w = *state;
    struct told u = {0};
    size_t count;
    know_two(w);
    w->metadata.brokers.count = 0;
    world_ask(w, cluster_broker(9), &u, 5000);
    world_metadata(w, "a:1");
    assert_told(&u, ERR_NOT_FOUND, "broker 9");
    cluster_brokers(w->cluster, &count);
    assert_int_equal(count, 2);
}

static void known_brokers_answer_for_bootstrap_servers(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    know_two(w);
    world_end(w, "a:1", ERR_CLOSED, "peer closed the connection");
    world_ask(w, cluster_any(), &t, 5000);
    world_describe(w, "b2:9092", "c"); /* the one still connected */
    assert_told(&t, ERR_NONE, "");
    world_end(w, "b2:9092", ERR_CLOSED, "peer closed the connection");
    world_ask(w, cluster_any(), &u, 5000);
    world_end(w, "b:2", ERR_REFUSED, "connection refused"); /* the others pause */
    world_end(w, "b1:9092", ERR_REFUSED, "connection refused");
    world_until(w, w->now_ms + 100);
    world_end(w, "a:1", ERR_REFUSED, "connection refused");
    assert_int_equal(u.count, 0);
    world_end(w, "b2:9092", ERR_REFUSED, "connection refused");
    assert_told(&u, ERR_REFUSED, "no broker answers: a:1: connection refused; b:2: connection");
    assert_non_null(strstr(u.why, "b1:9092: connection refused; b2:9092: connection refused"));
}

static void a_lookup_that_fails_fails_what_waits_for_it(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0}, v = {0};
    world_ask(w, cluster_broker(1), &t, 5000);
    world_ask(w, cluster_coordinator("g"), &u, 5000);
    world_end(w, "a:1", ERR_REFUSED, "connection refused");
    world_end(w, "b:2", ERR_REFUSED, "connection refused");
    assert_told(&t, ERR_REFUSED, "no broker answers: a:1: connection refused");
    assert_told(&u, ERR_REFUSED, "no broker answers: a:1: connection refused");
    world_until(w, w->now_ms + 100);
    world_ask(w, cluster_broker(1), &v, 5000); /* and the next is looked up again */
    world_accept(w, "a:1");
    world_end(w, "a:1", ERR_CLOSED, "gone");
    assert_told(&v, ERR_CLOSED, "a:1: gone");
}

static void a_lookup_the_broker_refuses_carries_its_code(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    world_brokers(w, 1);
    w->metadata.error_code = KAFKA_REBOOTSTRAP_REQUIRED;
    world_ask(w, cluster_broker(1), &t, 5000);
    world_accept(w, "a:1");
    world_metadata(w, "a:1");
    assert_told(&t, ERR_BUSY, "REBOOTSTRAP_REQUIRED");
    assert_int_equal(t.kafka_error, KAFKA_REBOOTSTRAP_REQUIRED);
}

static void a_refresh_asks_before_the_next_dial(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    know_two(w);
    cluster_refresh(w->cluster);
    world_ask(w, cluster_broker(1), &t, 5000);
    assert_false(world_dialled(w, "b1:9092"));
    world_metadata(w, "a:1");
    world_accept(w, "b1:9092");
    world_describe(w, "b1:9092", "c");
    assert_told(&t, ERR_NONE, "");
}

/* ---- coordinators -------------------------------------------------------------------------- */

/* Answers FindCoordinator at `name`, after a look at what was asked. */
static void find(struct world *w, const char *name, const char *group, int32_t broker,
                 int16_t error)
{
    struct fake_request q = world_take(w, name, WIRE_FIND_COORDINATOR);
    struct find_coordinator_request body;
    struct arena arena = {0};
    fake_decode(&q, &body, &arena);
    struct find_coordinator_response r;
    wire_defaults(&wire_find_coordinator_response, &r);
    struct find_coordinator_response_coordinator one = {.key = wire_str(group),
                                                        .node_id = broker,
                                                        .host = wire_str(broker == 1 ? "b1" : "b2"),
                                                        .port = broker < 0 ? -1 : 9092,
                                                        .error_code = error,
                                                        .error_message = WIRE_STR_NULL};
    assert_int_equal(body.key_type, 0);
    if (q.header.api_version >= 4) {
        assert_int_equal(body.coordinator_keys.count, 1);
        assert_true(wire_str_is(body.coordinator_keys.items[0], group));
        r.coordinators.items = &one;
        r.coordinators.count = 1;
    } else {
        assert_true(wire_str_is(body.key, group));
        r.node_id = one.node_id;
        r.host = one.host;
        r.port = one.port;
        r.error_code = one.error_code;
        r.error_message = one.error_message;
    }
    arena_free(&arena);
    struct buf *frame = fake_answer(&q, &r);
    fake_drop(&q);
    world_give(w, name, frame);
}

static void coordinator_at(struct world *w, int16_t max_version)
{
    struct told t = {0}, u = {0}, v = {0};
    fake_versions_set(&w->versions, WIRE_FIND_COORDINATOR, 0, max_version);
    world_ask(w, cluster_coordinator("g"), &t, 5000);
    world_ask(w, cluster_coordinator("g"), &u, 5000);
    world_accept(w, "a:1");
    find(w, "a:1", "g", 2, KAFKA_NONE);
    assert_true(world_quiet(w, "a:1")); /* one lookup for both; the answer says where it is */
    world_accept(w, "b2:9092");
    world_describe(w, "b2:9092", "c");
    world_describe(w, "b2:9092", "c");
    assert_told(&t, ERR_NONE, "");
    assert_told(&u, ERR_NONE, "");
    world_ask(w, cluster_coordinator("g"), &v, 5000);
    world_describe(w, "b2:9092", "c");
    assert_told(&v, ERR_NONE, "");
    assert_true(world_quiet(w, "a:1"));
}

static void a_coordinator_is_found_by_many_keys(void **state)
{
    coordinator_at(*state, 6);
}

static void a_coordinator_is_found_by_one_key_on_older_brokers(void **state)
{
    coordinator_at(*state, 3);
}

static void a_group_without_coordinator_yet_is_busy(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0}, v = {0};
    world_ask(w, cluster_coordinator("g"), &t, 5000);
    world_ask(w, cluster_coordinator("h"), &v, 5000);
    world_accept(w, "a:1");
    find(w, "a:1", "g", -1, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_told(&t, ERR_BUSY, "coordinator of group g: COORDINATOR_NOT_AVAILABLE");
    assert_int_equal(t.kafka_error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(v.count, 0); /* another group's */
    find(w, "a:1", "h", -1, KAFKA_GROUP_AUTHORIZATION_FAILED);
    assert_told(&v, ERR_ACCESS, "coordinator of group h: GROUP_AUTHORIZATION_FAILED");
    world_ask(w, cluster_coordinator("g"), &u, 5000); /* asked again */
    find(w, "a:1", "g", 1, KAFKA_NONE);
    world_accept(w, "b1:9092");
    world_describe(w, "b1:9092", "c");
    assert_told(&u, ERR_NONE, "");
}

static void a_coordinator_forgotten_is_looked_up_again(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    world_ask(w, cluster_coordinator("g"), &t, 5000);
    world_accept(w, "a:1");
    find(w, "a:1", "g", 2, KAFKA_NONE);
    world_accept(w, "b2:9092");
    world_describe(w, "b2:9092", "c"); /* say, NOT_COORDINATOR inside */
    cluster_forget_coordinator(w->cluster, "g");
    cluster_forget_coordinator(w->cluster, "never heard of");
    world_ask(w, cluster_coordinator("g"), &u, 5000);
    find(w, "a:1", "g", 1, KAFKA_NONE);
    world_accept(w, "b1:9092");
    world_describe(w, "b1:9092", "c");
    assert_told(&u, ERR_NONE, "");
}

static void a_coordinator_whose_connection_ends_is_looked_up_again(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    world_ask(w, cluster_coordinator("g"), &t, 5000);
    world_accept(w, "a:1");
    find(w, "a:1", "g", 2, KAFKA_NONE);
    world_accept(w, "b2:9092");
    world_end(w, "b2:9092", ERR_CLOSED, "peer closed the connection");
    assert_told(&t, ERR_CLOSED, "b2:9092: peer closed the connection");
    world_ask(w, cluster_coordinator("g"), &u, 5000);
    find(w, "a:1", "g", 1, KAFKA_NONE);
    world_accept(w, "b1:9092");
    world_describe(w, "b1:9092", "c");
    assert_told(&u, ERR_NONE, "");
}

static void a_lookup_without_an_answer_runs_out_of_time(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    world_ask(w, cluster_coordinator("g"), &t, 300);
    world_accept(w, "a:1");
    world_until(w, w->now_ms + 300);
    assert_told(&t, ERR_TIMEOUT, "DescribeCluster: where to send it was not learnt within 300 ms");
}

static void a_lookup_that_ran_out_of_time_is_started_anew(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    world_brokers(w, 1);
    world_ask(w, cluster_coordinator("g"), &t, 60000);
    world_ask(w, cluster_broker(1), &u, 60000);
    world_accept(w, "a:1");
    world_until(w, w->now_ms + 10000); /* a:1 is mute */
    assert_false(world_dialled(w, "a:1"));
    assert_int_equal(t.count + u.count, 0);
    world_accept(w, "b:2");
    find(w, "b:2", "g", 1, KAFKA_NONE);
    world_metadata(w, "b:2");
    world_accept(w, "b1:9092");
    world_describe(w, "b1:9092", "c");
    world_describe(w, "b1:9092", "c");
    assert_told(&t, ERR_NONE, "");
    assert_told(&u, ERR_NONE, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_broker_is_found_by_metadata),
        TEST(a_broker_at_a_bootstrap_address_needs_no_second_connection),
        TEST(many_requests_share_one_lookup),
        TEST(an_unknown_broker_is_not_found),
        TEST(responses_to_others_teach_too),
        TEST(what_describes_controllers_teaches_nothing),
        TEST(a_broker_that_refuses_fails_its_own_requests_only),
        TEST(a_broker_that_failed_is_looked_up_again),
        TEST(a_broker_that_failed_is_dialled_after_a_pause),
        TEST(a_connection_to_a_broker_that_left_is_closed),
        TEST(a_broker_that_starts_does_not_empty_the_table),
        TEST(known_brokers_answer_for_bootstrap_servers),
        TEST(a_lookup_that_fails_fails_what_waits_for_it),
        TEST(a_lookup_the_broker_refuses_carries_its_code),
        TEST(a_refresh_asks_before_the_next_dial),
        TEST(a_coordinator_is_found_by_many_keys),
        TEST(a_coordinator_is_found_by_one_key_on_older_brokers),
        TEST(a_group_without_coordinator_yet_is_busy),
        TEST(a_coordinator_forgotten_is_looked_up_again),
        TEST(a_coordinator_whose_connection_ends_is_looked_up_again),
        TEST(a_lookup_without_an_answer_runs_out_of_time),
        TEST(a_lookup_that_ran_out_of_time_is_started_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
