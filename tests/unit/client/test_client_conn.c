/* Requests and answers on one connection, and its end. */
#include <string.h>

#include "tests/unit/client/rig.h"

/* ---- answers ------------------------------------------------------------------------------- */

static void answers_come_in_the_order_of_requests(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0};
    rig_shake(r);
    rig_describe(r, &a, TIMEOUT_MS);
    rig_describe(r, &b, TIMEOUT_MS);
    assert_int_equal(client_conn_outstanding(r->conn), 2);
    assert_int_equal(rig_answer_describe(r, "first"), ERR_NONE);
    assert_string_equal(a.cluster, "first");
    assert_int_equal(b.count, 0);
    assert_int_equal(rig_answer_describe(r, "second"), ERR_NONE);
    assert_string_equal(b.cluster, "second");
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.version, 2);
    assert_int_equal(client_conn_outstanding(r->conn), 0);
}

static void an_answer_out_of_order_breaks(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0};
    rig_shake(r);
    rig_describe(r, &a, TIMEOUT_MS);
    rig_describe(r, &b, TIMEOUT_MS);
    struct fake_request first = rig_take(r, WIRE_DESCRIBE_CLUSTER);
    fake_drop(&first);
    assert_int_equal(rig_answer_describe(r, "second"), ERR_CORRUPT);
    assert_non_null(
        strstr(r->text.text, "b:9092: its answer has correlation id 2 where 1 was due"));
    assert_told(&a, ERR_CORRUPT, r->text.text);
    assert_told(&b, ERR_CORRUPT, r->text.text);
    assert_true(a.order < b.order);
    assert_false(client_conn_ready(r->conn));
    assert_int_equal(rig_tick(r, 1001), ERR_CLOSED);
    assert_int_equal(rig_give(r, buf_copy("x", 1)), ERR_CLOSED);
}

static void an_answer_to_nothing_breaks(void **state)
{
    struct rig *r = *state;
    rig_shake(r);
    assert_int_equal(rig_give(r, buf_copy("\0\0\0\1", 4)), ERR_CORRUPT);
    assert_string_equal(r->text.text, "b:9092: it sent an answer to nothing");
}

static void an_answer_that_cannot_be_read_breaks(void **state)
{
    struct rig *r = *state;
    struct describe_cluster_response response = described("c");
    for (int cut = -1; cut <= 1; cut += 2) { /* too short, too long */
        struct told a = {0}, b = {0};
        rig_renew(r);
        rig_shake(r);
        rig_describe(r, &a, TIMEOUT_MS);
        rig_describe(r, &b, TIMEOUT_MS);
        struct fake_request q = rig_take(r, WIRE_DESCRIBE_CLUSTER);
        assert_int_equal(q.header.client_id.size, -1);
        struct buf *whole = fake_answer(&q, &response);
        struct buf *frame = buf_new(whole->size + 1);
        memcpy(frame->data, whole->data, whole->size);
        frame->data[whole->size] = 0;
        frame->size = cut < 0 ? whole->size - 1 : whole->size + 1;
        buf_unref(whole);
        fake_drop(&q);
        assert_int_equal(rig_give(r, frame), ERR_CORRUPT);
        assert_told(&a, ERR_CORRUPT, "b:9092: its answer to DescribeCluster version 2");
        assert_told(&b, ERR_CORRUPT, "b:9092: its answer to DescribeCluster version 2");
        q = rig_take(r, WIRE_DESCRIBE_CLUSTER);
        fake_drop(&q);
    }
}

static void a_produce_with_acks_0_is_told_without_an_answer(void **state)
{
    struct rig *r = *state;
    struct told silent = {0}, t = {0};
    struct produce_request body;
    rig_shake(r);
    wire_defaults(&wire_produce_request, &body);
    body.acks = 0;
    struct client_request q =
        client_request_of(WIRE_PRODUCE, &body, TIMEOUT_MS, told_done, &silent);
    assert_int_equal(rig_send(r, &q), ERR_NONE);
    struct fake_request seen = rig_take(r, WIRE_PRODUCE);
    fake_drop(&seen);
    rig_describe(r, &t, TIMEOUT_MS);
    assert_int_equal(rig_answer_describe(r, "c"), ERR_NONE);
    assert_int_equal(silent.count, 0);
    assert_int_equal(client_conn_next_deadline(r->conn), INT64_MIN);
    assert_int_equal(rig_tick(r, 1000), ERR_NONE);
    assert_told(&silent, ERR_NONE, "");
    assert_false(silent.responded);
    body.acks = 1;
    assert_int_equal(rig_send(r, &q), ERR_NONE);
    assert_int_equal(client_conn_outstanding(r->conn), 1);
}

/* ---- time and ends ------------------------------------------------------------------------- */

static void a_late_request_fails_alone_while_the_broker_talks(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0}, c = {0};
    rig_shake(r);
    rig_describe(r, &a, TIMEOUT_MS);
    rig_describe(r, &b, 500);
    rig_describe(r, &c, 2000);
    assert_int_equal(client_conn_next_deadline(r->conn), 1500);
    r->now_ms = 1400;
    assert_int_equal(rig_answer_describe(r, "a"), ERR_NONE);
    assert_int_equal(rig_tick(r, 1499), ERR_NONE);
    assert_int_equal(b.count, 0);
    assert_int_equal(rig_tick(r, 1500), ERR_NONE);
    assert_told(&b, ERR_TIMEOUT, "b:9092: no answer to DescribeCluster within 500 ms");
    assert_int_equal(c.count, 0);
    assert_int_equal(client_conn_outstanding(r->conn), 2);
    assert_int_equal(client_conn_next_deadline(r->conn), 3000);
    assert_int_equal(rig_answer_describe(r, "late"), ERR_NONE); /* dropped */
    assert_int_equal(b.count, 1);
    assert_int_equal(rig_answer_describe(r, "c"), ERR_NONE);
    assert_string_equal(c.cluster, "c");
}

static void a_connection_gone_silent_breaks(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0};
    rig_shake(r);
    r->now_ms = 2000;
    rig_describe(r, &a, 500);
    rig_describe(r, &b, 5000);
    assert_int_equal(rig_tick(r, 2500), ERR_NONE);
    assert_told(&a, ERR_TIMEOUT, "within 500 ms");
    assert_int_equal(b.count, 0);
    assert_int_equal(client_conn_next_deadline(r->conn), 2000 + CLIENT_MUTE_MS);
    assert_int_equal(rig_tick(r, 2000 + CLIENT_MUTE_MS - 1), ERR_NONE);
    assert_int_equal(rig_tick(r, 2000 + CLIENT_MUTE_MS), ERR_TIMEOUT);
    assert_told(&b, ERR_TIMEOUT, "b:9092: no answer, and nothing heard for 3000 ms");
    assert_int_equal(a.count, 1);
    assert_false(client_conn_ready(r->conn));
}

static void silence_is_counted_from_what_was_last_heard(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0};
    rig_shake(r);
    rig_describe(r, &a, TIMEOUT_MS);
    rig_describe(r, &b, TIMEOUT_MS);
    r->now_ms = 1900;
    assert_int_equal(rig_answer_describe(r, "a"), ERR_NONE);
    assert_int_equal(rig_tick(r, 2000), ERR_NONE);
    assert_told(&b, ERR_TIMEOUT, "within 1000 ms");
    assert_int_equal(client_conn_next_deadline(r->conn), 1900 + CLIENT_MUTE_MS);
    assert_int_equal(rig_tick(r, 1900 + CLIENT_MUTE_MS - 1), ERR_NONE);
    assert_int_equal(rig_tick(r, 1900 + CLIENT_MUTE_MS), ERR_TIMEOUT);
}

static void a_broker_may_be_silent_while_its_oldest_request_has_time(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0};
    rig_shake(r);
    rig_describe(r, &a, 60000); /* a long poll, say */
    rig_describe(r, &b, 500);
    assert_int_equal(rig_tick(r, 60999), ERR_NONE);
    assert_told(&b, ERR_TIMEOUT, "within 500 ms");
    assert_int_equal(a.count, 0);
    assert_int_equal(rig_answer_describe(r, "a"), ERR_NONE);
    assert_told(&a, ERR_NONE, "");
}

static void the_end_of_the_transport_fails_every_request_with_its_reason(void **state)
{
    struct rig *r = *state;
    struct told told[3] = {0};
    rig_shake(r);
    for (int i = 0; i < 3; i++) {
        rig_describe(r, &told[i], TIMEOUT_MS);
    }
    client_conn_closed(r->conn, ERR_CLOSED, "peer closed the connection");
    for (int i = 0; i < 3; i++) {
        assert_told(&told[i], ERR_CLOSED, "b:9092: peer closed the connection");
        assert_true(i == 0 || told[i].order == told[i - 1].order + 1);
    }
    client_conn_closed(r->conn, ERR_IO, "again");
    assert_int_equal(told[0].count, 1);
}

static void resend(struct told *t)
{
    struct rig *r = t->ctx;
    struct client_request q =
        client_request_of(WIRE_DESCRIBE_CLUSTER, any_describe_cluster(), TIMEOUT_MS, told_done, t);
    t->then = NULL;
    enum err e = client_conn_send(r->conn, &q, r->now_ms, &r->text);
    assert_int_equal(e, t->error == ERR_NONE ? ERR_NONE : ERR_CLOSED);
}

static void a_caller_may_send_from_its_callback(void **state)
{
    struct rig *r = *state;
    struct told t = {.then = resend, .ctx = r};
    rig_shake(r);
    rig_describe(r, &t, TIMEOUT_MS);
    assert_int_equal(rig_answer_describe(r, "one"), ERR_NONE);
    assert_int_equal(rig_answer_describe(r, "two"), ERR_NONE);
    assert_string_equal(t.cluster, "two");
    assert_int_equal(t.count, 2);
    t.then = resend;
    rig_describe(r, &t, TIMEOUT_MS);
    client_conn_closed(r->conn, ERR_IO, "b:9092 burnt down"); /* named already */
    assert_int_equal(t.count, 3);
    assert_string_equal(t.why, "b:9092 burnt down");
    assert_string_equal(r->text.text, "b:9092: the connection is closed");
}

static void freeing_tells_nobody(void **state)
{
    struct rig *r = *state;
    struct told t = {0};
    rig_shake(r);
    rig_describe(r, &t, TIMEOUT_MS);
    client_conn_free(r->conn);
    r->conn = NULL;
    assert_int_equal(t.count, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_come_in_the_order_of_requests),
        TEST(an_answer_out_of_order_breaks),
        TEST(an_answer_to_nothing_breaks),
        TEST(an_answer_that_cannot_be_read_breaks),
        TEST(a_produce_with_acks_0_is_told_without_an_answer),
        TEST(a_late_request_fails_alone_while_the_broker_talks),
        TEST(a_connection_gone_silent_breaks),
        TEST(silence_is_counted_from_what_was_last_heard),
        TEST(a_broker_may_be_silent_while_its_oldest_request_has_time),
        TEST(the_end_of_the_transport_fails_every_request_with_its_reason),
        TEST(a_caller_may_send_from_its_callback),
        TEST(freeing_tells_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
