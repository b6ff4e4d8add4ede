/* Connections of a cluster: bootstrap servers in turn, pauses, ends, time limits. */
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/kafka_error.h"
#include "tests/unit/client/world.h"

static void nothing_is_dialled_before_it_is_needed(void **state)
{
    struct world *w = *state;
    world_until(w, w->now_ms + 3600000);
    assert_int_equal(w->wire_count, 0);
    assert_int_equal(cluster_next_deadline(w->cluster), INT64_MAX);
    assert_false(cluster_unreachable(w->cluster, NULL));
    assert_null(cluster_id(w->cluster));
    assert_int_equal(cluster_controller_id(w->cluster), -1);
}

static void a_request_to_any_goes_to_the_first_bootstrap_server(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    world_ask(w, cluster_any(), &t, 5000);
    assert_int_equal(w->wire_count, 1);
    world_accept(w, "a:1");
    world_describe(w, "a:1", "c");
    assert_told(&t, ERR_NONE, "");
    assert_string_equal(t.cluster, "c");
    world_ask(w, cluster_any(), &u, 5000); /* on the same connection */
    world_describe(w, "a:1", "d");
    assert_string_equal(u.cluster, "d");
    assert_int_equal(w->wire_count, 1);
}

static void bootstrap_servers_are_tried_in_turn(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    world_ask(w, cluster_any(), &t, 5000);
    world_end(w, "a:1", ERR_REFUSED, "connection refused");
    assert_int_equal(t.count, 0);
    assert_false(cluster_unreachable(w->cluster, NULL));
    world_accept(w, "b:2");
    world_describe(w, "b:2", "c");
    assert_told(&t, ERR_NONE, "");
    assert_int_equal(w->wire_count, 2);
}

static void a_server_that_failed_is_tried_again_after_another_answered(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    world_ask(w, cluster_any(), &t, 5000);
    world_end(w, "a:1", ERR_REFUSED, "connection refused");
    world_accept(w, "b:2");
    world_end(w, "b:2", ERR_CLOSED, "peer closed the connection");
    assert_told(&t, ERR_CLOSED, "b:2: peer closed the connection");
    world_until(w, w->now_ms + 1000);
    world_ask(w, cluster_any(), &u, 5000);
    world_accept(w, "a:1");
    world_describe(w, "a:1", "c");
    assert_told(&u, ERR_NONE, "");
}

static void when_none_answers_requests_fail_with_every_cause(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    struct err_text text;
    world_ask(w, cluster_any(), &t, 5000);
    world_ask(w, cluster_any(), &u, 5000);
    world_end(w, "a:1", ERR_REFUSED, "connection refused");
    world_end(w, "b:2", ERR_UNREACHABLE, "connect to b:2: no route to host");
    const char *why =
        "no broker answers: a:1: connection refused; connect to b:2: no route to host";
    assert_told(&t, ERR_UNREACHABLE, why);
    assert_told(&u, ERR_UNREACHABLE, why);
    assert_true(cluster_unreachable(w->cluster, &text));
    assert_string_equal(text.text, why);

    /* The next request dials again, and an answer ends it. */
    struct told v = {0};
    world_ask(w, cluster_any(), &v, 5000);
    world_until(w, w->now_ms + 100);
    world_accept(w, "a:1");
    assert_false(cluster_unreachable(w->cluster, NULL));
    world_describe(w, "a:1", "c");
    assert_told(&v, ERR_NONE, "");
}

static void a_lone_server_is_named_alone(void **state)
{
    (void)state;
    struct world *w = world_new("127.0.0.1:9092");
    struct told t = {0};
    world_ask(w, cluster_any(), &t, 5000);
    world_end(w, "127.0.0.1:9092", ERR_REFUSED, "connection refused");
    assert_told(&t, ERR_REFUSED, "");
    assert_string_equal(t.why, "127.0.0.1:9092: connection refused");
    world_free(w);
}

static void a_server_that_hangs_does_not_hold_up_the_next(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    world_ask(w, cluster_any(), &t, 5000);
    world_until(w, w->now_ms + 999);
    assert_int_equal(w->wire_count, 1);
    world_until(w, w->now_ms + 1);
    assert_int_equal(w->wire_count, 2);
    world_accept(w, "b:2");
    world_describe(w, "b:2", "c");
    assert_told(&t, ERR_NONE, "");
}

static void connecting_has_a_time_limit(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    world_ask(w, cluster_any(), &t, 60000);
    world_until(w, w->now_ms + 10000);
    assert_false(world_dialled(w, "a:1"));
    assert_int_equal(t.count, 0);
    world_until(w, w->now_ms + 1000);
    assert_told(&t, ERR_TIMEOUT, "a:1: no connection within 10000 ms; b:2: no connection within");
}

static void a_request_has_a_time_limit_while_nothing_answers(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    world_ask(w, cluster_any(), &t, 700);
    world_until(w, w->now_ms + 699);
    assert_int_equal(t.count, 0);
    world_until(w, w->now_ms + 1);
    assert_told(&t, ERR_TIMEOUT, "DescribeCluster: no broker answers: a:1: no answer yet");
}

static void the_time_limit_covers_dialling_and_the_answer(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    int64_t start_ms = w->now_ms;
    world_ask(w, cluster_any(), &t, 900);
    world_until(w, start_ms + 600);
    world_accept(w, "a:1");
    world_until(w, start_ms + 899);
    assert_int_equal(t.count, 0);
    world_until(w, start_ms + 900);
    assert_told(&t, ERR_TIMEOUT, "a:1: no answer to DescribeCluster within 300 ms");
    assert_true(world_dialled(w, "a:1"));
    /* A broker that answers nothing at all is taken for dead, and another asked. */
    world_ask(w, cluster_any(), &u, 5000);
    world_until(w, start_ms + 600 + CLIENT_MUTE_MS);
    assert_told(&u, ERR_TIMEOUT, "a:1: no answer, and nothing heard for 3000 ms");
    assert_false(world_dialled(w, "a:1"));
}

static void any_is_the_one_that_owes_the_fewest_answers(void **state)
{
    struct world *w = *state;
    struct told first = {0}, of_one = {0}, hanging = {0}, next = {0};
    world_brokers(w, 1);
    world_ask(w, cluster_any(), &first, 5000);
    world_accept(w, "a:1");
    world_describe(w, "a:1", "c");
    world_ask(w, cluster_broker(1), &of_one, 5000);
    world_metadata(w, "a:1");
    world_accept(w, "b1:9092");
    world_describe(w, "b1:9092", "c");
    assert_told(&of_one, ERR_NONE, "");
    world_ask(w, cluster_any(), &hanging, 5000);
    assert_true(world_quiet(w, "b1:9092"));
    world_ask(w, cluster_any(), &next, 5000);
    world_describe(w, "b1:9092", "d");
    assert_told(&next, ERR_NONE, "");
    assert_int_equal(hanging.count, 0);
    world_describe(w, "a:1", "e");
    assert_told(&hanging, ERR_NONE, "");
}

static void pauses_between_dials_grow_and_end_with_an_answer(void **state)
{
    (void)state;
    struct world *w = world_new("a:1");
    const int64_t pauses_ms[] = {0, 100, 200, 400, 800, 1600, 2000, 2000};
    const int dials = (int)(sizeof pauses_ms / sizeof pauses_ms[0]);
    int64_t failed_ms = w->now_ms;
    for (int i = 0; i < dials; i++) {
        struct told t = {0};
        world_ask(w, cluster_any(), &t, 10000);
        world_until(w, failed_ms + pauses_ms[i]);
        assert_int_equal(w->wire_count, i + 1);
        assert_int_equal(w->wires[i].dialled_ms, failed_ms + pauses_ms[i]);
        world_until(w, w->now_ms + 7); /* a dial takes a moment */
        world_end(w, "a:1", ERR_REFUSED, "connection refused");
        failed_ms = w->now_ms;
        assert_told(&t, ERR_REFUSED, "a:1: connection refused");
    }
    struct told t = {0};
    world_ask(w, cluster_any(), &t, 10000);
    world_until(w, failed_ms + 2000);
    world_accept(w, "a:1");
    world_end(w, "a:1", ERR_CLOSED, "peer closed the connection");
    assert_told(&t, ERR_CLOSED, "a:1: peer closed the connection");
    failed_ms = w->now_ms;
    struct told u = {0};
    world_ask(w, cluster_any(), &u, 10000);
    world_until(w, failed_ms + 100);
    assert_true(world_dialled(w, "a:1"));
    world_free(w);
}

static void a_handshake_that_fails_is_a_failed_dial(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    world_ask(w, cluster_any(), &t, 5000);
    struct wire *wire = world_wire(w, "a:1");
    wire->connected = true;
    cluster_link_connected(wire->link, w->now_ms);
    world_give(w, "a:1", buf_copy("\0\0\0\0HTTP", 8));
    assert_false(world_dialled(w, "a:1"));
    world_end(w, "b:2", ERR_REFUSED, "connection refused");
    assert_told(&t, ERR_REFUSED, "a:1: ApiVersions: UNKNOWN_ERROR_CODE; b:2: connection refused");
}

static void a_disconnect_fails_all_outstanding_with_the_reason(void **state)
{
    struct world *w = *state;
    struct told told[3] = {0};
    for (int i = 0; i < 3; i++) {
        world_ask(w, cluster_any(), &told[i], 5000);
    }
    world_accept(w, "a:1");
    world_describe(w, "a:1", "c");
    world_end(w, "a:1", ERR_IO, "connection lost: Connection reset by peer");
    assert_told(&told[0], ERR_NONE, "");
    assert_told(&told[1], ERR_IO, "a:1: connection lost: Connection reset by peer");
    assert_told(&told[2], ERR_IO, "a:1: connection lost: Connection reset by peer");
    assert_int_equal(w->wire_count, 1); /* nobody needs it */
    assert_false(cluster_unreachable(w->cluster, NULL));
}

static void a_broken_answer_closes_the_connection(void **state)
{
    struct world *w = *state;
    struct told t = {0};
    world_ask(w, cluster_any(), &t, 5000);
    world_accept(w, "a:1");
    world_give(w, "a:1", buf_copy("\0\0\0\x63xx", 6));
    assert_told(&t, ERR_CORRUPT, "a:1: its answer has correlation id 99 where 1 was due");
    assert_false(world_dialled(w, "a:1"));
}

static void an_unsupported_request_fails_alone(void **state)
{
    struct world *w = *state;
    struct told t = {0}, u = {0};
    fake_versions_set(&w->versions, WIRE_DESCRIBE_CLUSTER, 0, 1);
    struct client_request q =
        client_request_of(WIRE_DESCRIBE_CLUSTER, any_describe_cluster(), 5000, told_done, &t);
    q.min_version = 2;
    cluster_send(w->cluster, cluster_any(), &q, w->now_ms);
    world_ask(w, cluster_any(), &u, 5000);
    world_accept(w, "a:1");
    assert_told(&t, ERR_UNSUPPORTED, "a:1: DescribeCluster: this broker serves versions 0 to 1");
    world_describe(w, "a:1", "c");
    assert_told(&u, ERR_NONE, "");
}

static void ask_again(struct told *t)
{
    struct world *w = t->ctx;
    struct client_request q =
        client_request_of(WIRE_DESCRIBE_CLUSTER, any_describe_cluster(), 5000, told_done, t);
    if (t->count < 3) {
        cluster_send(w->cluster, cluster_any(), &q, w->now_ms);
    }
}

static void a_caller_may_ask_again_from_its_callback(void **state)
{
    struct world *w = *state;
    struct told t = {.then = ask_again, .ctx = w};
    world_ask(w, cluster_any(), &t, 5000);
    world_end(w, "a:1", ERR_REFUSED, "connection refused");
    world_end(w, "b:2", ERR_REFUSED, "connection refused");
    assert_int_equal(t.count, 1);
    world_until(w, w->now_ms + 100);
    world_accept(w, "a:1");
    world_describe(w, "a:1", "c");
    assert_int_equal(t.count, 2);
    world_end(w, "a:1", ERR_CLOSED, "gone");
    assert_int_equal(t.count, 3);
    assert_int_equal(t.error, ERR_CLOSED);
}

static void freeing_closes_and_tells_nobody(void **state)
{
    (void)state;
    struct world *w = world_new("a:1,b:2");
    struct told t = {0}, u = {0}, v = {0};
    world_ask(w, cluster_any(), &t, 5000);
    world_accept(w, "a:1");
    world_ask(w, cluster_broker(1), &u, 5000);
    world_ask(w, cluster_coordinator("g"), &v, 5000);
    world_free(w); /* fails when a connection is left open */
    assert_int_equal(t.count + u.count + v.count, 0);
}

static void bootstrap_lists_are_read_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        const char *dials; /* NULL: refused, with `why` */
        const char *why;
    } rows[] = {
        {"h", "h:9092", NULL},
        {"h:1", "h:1", NULL},
        {" h:1 , h:1", "h:1", NULL},
        {"[::1]:7", "::1:7", NULL},
        {"[::1]", "::1:9092", NULL},
        {"", NULL, "it is empty"},
        {"h:1,,g:2", NULL, "it is empty"},
        {"h:", NULL, "the port must be a number from 1 to 65535"},
        {"h:0", NULL, "the port must be a number from 1 to 65535"},
        {"h:65536", NULL, "the port must be a number from 1 to 65535"},
        {"h:9x", NULL, "bootstrap server 'h:9x': the port must be"},
        {"h:-1", NULL, "the port must be a number from 1 to 65535"},
        {":9092", NULL, "there is no host"},
        {"::1", NULL, "an IPv6 address in brackets"},
        {"[::1", NULL, "an IPv6 address in brackets"},
        {"[::1]9092", NULL, "the port must be"},
        {"h:1234567890123456789", NULL, "bootstrap server 'h:1234567890123456789'"},
    };
    struct cluster_options options = cluster_options_default();
    static const struct cluster_transport none;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err_text text;
        struct cluster *c = NULL;
        if (rows[i].dials == NULL) {
            enum err e = cluster_new(rows[i].list, &options, &none, NULL, &c, &text);
            assert_int_equal(e, ERR_INVALID);
            assert_non_null(strstr(text.text, rows[i].why));
            continue;
        }
        struct world *w = world_new(rows[i].list);
        struct told t = {0};
        world_ask(w, cluster_any(), &t, 100);
        assert_int_equal(w->wire_count, 1);
        assert_string_equal(w->wires[0].name, rows[i].dials);
        world_free(w);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_dialled_before_it_is_needed),
        TEST(a_request_to_any_goes_to_the_first_bootstrap_server),
        TEST(bootstrap_servers_are_tried_in_turn),
        TEST(a_server_that_failed_is_tried_again_after_another_answered),
        TEST(when_none_answers_requests_fail_with_every_cause),
        cmocka_unit_test(a_lone_server_is_named_alone),
        TEST(a_server_that_hangs_does_not_hold_up_the_next),
        TEST(connecting_has_a_time_limit),
        TEST(a_request_has_a_time_limit_while_nothing_answers),
        TEST(the_time_limit_covers_dialling_and_the_answer),
        TEST(any_is_the_one_that_owes_the_fewest_answers),
        cmocka_unit_test(pauses_between_dials_grow_and_end_with_an_answer),
        TEST(a_handshake_that_fails_is_a_failed_dial),
        TEST(a_disconnect_fails_all_outstanding_with_the_reason),
        TEST(a_broken_answer_closes_the_connection),
        TEST(an_unsupported_request_fails_alone),
        TEST(a_caller_may_ask_again_from_its_callback),
        cmocka_unit_test(freeing_closes_and_tells_nobody),
        cmocka_unit_test(bootstrap_lists_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
