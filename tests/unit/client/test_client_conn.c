/* One connection against a broker played by hand. */
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/kafka_error.h"
#include "tests/unit/client/fake.h"

enum { TIMEOUT_MS = 1000 };

struct rig {
    struct client_conn *conn;
    struct buf *sent[16]; /* not yet read by the broker */
    int sent_count;
    int ready;
    struct fake_versions versions;
    int64_t now_ms;
    struct err_text text;
};

static void on_send(void *ctx, struct buf *frame)
{
    struct rig *r = ctx;
    assert_true(r->sent_count < 16);
    r->sent[r->sent_count++] = frame;
}

static void on_ready(void *ctx)
{
    assert_false(told_forbidden);
    ((struct rig *)ctx)->ready++;
}

static const struct client_conn_events events = {.send = on_send, .ready = on_ready};

static int setup(void **state)
{
    struct rig *r = mem_zalloc(sizeof *r);
    fake_versions_init(&r->versions);
    r->now_ms = 1000;
    r->conn = client_conn_new("b:9092", "me", &events, r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    client_conn_free(r->conn);
    for (int i = 0; i < r->sent_count; i++) {
        buf_unref(r->sent[i]);
    }
    mem_free(r);
    return 0;
}

/* The oldest frame sent, which must be of that API. */
static struct fake_request take(struct rig *r, int16_t api_key)
{
    assert_true(r->sent_count > 0);
    struct fake_request request = fake_read(r->sent[0]);
    memmove(r->sent, r->sent + 1, sizeof r->sent[0] * (size_t)--r->sent_count);
    assert_int_equal(request.header.api_key, api_key);
    return request;
}

static enum err give(struct rig *r, struct buf *frame)
{
    return client_conn_frame(r->conn, frame, r->now_ms, &r->text);
}

static enum err tick(struct rig *r, int64_t to_ms)
{
    r->now_ms = to_ms;
    return client_conn_tick(r->conn, r->now_ms, &r->text);
}

static void start(struct rig *r)
{
    told_forbidden = true;
    client_conn_start(r->conn, r->now_ms, 5000);
    told_forbidden = false;
}

static void shake(struct rig *r)
{
    start(r);
    struct fake_request q = take(r, WIRE_API_VERSIONS);
    assert_int_equal(give(r, fake_answer(&q, &r->versions.response)), ERR_NONE);
    fake_drop(&q);
    assert_int_equal(r->ready, 1);
}

static enum err send(struct rig *r, const struct client_request *request)
{
    told_forbidden = true;
    enum err e = client_conn_send(r->conn, request, r->now_ms, &r->text);
    told_forbidden = false;
    return e;
}

static void describe(struct rig *r, struct told *t, int64_t timeout_ms)
{
    t->describes = true;
    struct client_request q =
        client_request_of(WIRE_DESCRIBE_CLUSTER, any_describe_cluster(), timeout_ms, told_done, t);
    assert_int_equal(send(r, &q), ERR_NONE);
}

static enum err answer_describe(struct rig *r, const char *cluster)
{
    struct fake_request q = take(r, WIRE_DESCRIBE_CLUSTER);
    struct describe_cluster_response response = described(cluster);
    enum err e = give(r, fake_answer(&q, &response));
    fake_drop(&q);
    return e;
}

/* ---- the handshake ------------------------------------------------------------------------- */

static void the_handshake_goes_first_at_our_highest_version(void **state)
{
    struct rig *r = *state;
    int16_t min, max, level;
    assert_int_equal(r->sent_count, 0);
    start(r);
    assert_int_equal(r->sent_count, 1);
    assert_false(client_conn_ready(r->conn));
    assert_false(client_conn_range(r->conn, WIRE_METADATA, &min, &max));
    assert_null(client_conn_versions(r->conn));

    struct fake_request q = take(r, WIRE_API_VERSIONS);
    assert_int_equal(q.header.api_version, 4);
    assert_true(wire_str_is(q.header.client_id, "me"));
    struct api_versions_request body;
    struct arena arena = {0};
    fake_decode(&q, &body, &arena);
    assert_true(wire_str_is(body.client_software_name, "barnabas"));
    assert_true(body.client_software_version.size > 0);
    arena_free(&arena);

    fake_versions_set(&r->versions, WIRE_METADATA, 2, 9);
    assert_int_equal(give(r, fake_answer(&q, &r->versions.response)), ERR_NONE);
    fake_drop(&q);
    assert_int_equal(r->ready, 1);
    assert_true(client_conn_ready(r->conn));
    assert_true(client_conn_range(r->conn, WIRE_METADATA, &min, &max));
    assert_int_equal(min, 2);
    assert_int_equal(max, 9);
    assert_true(client_conn_feature(r->conn, "metadata.version", &level));
    assert_int_equal(level, 29);
    assert_false(client_conn_feature(r->conn, "kraft.version", &level));
    assert_int_equal(client_conn_versions(r->conn)->finalized_features_epoch, 7);
    assert_int_equal(client_conn_next_deadline(r->conn), INT64_MAX);
}

/* Refuses version 4 in the words of version 0, then sees version `expected`. */
static void refuse_then_expect(struct rig *r, struct api_versions_response *refusal,
                               int16_t expected)
{
    start(r);
    refusal->error_code = KAFKA_UNSUPPORTED_VERSION;
    struct fake_request q = take(r, WIRE_API_VERSIONS);
    assert_int_equal(
        give(r, fake_answer_at(WIRE_API_VERSIONS, 0, q.header.correlation_id, refusal)), ERR_NONE);
    fake_drop(&q);
    assert_int_equal(r->ready, 0);
    q = take(r, WIRE_API_VERSIONS);
    assert_int_equal(q.header.api_version, expected);
    assert_int_equal(give(r, fake_answer(&q, &r->versions.response)), ERR_NONE);
    fake_drop(&q);
    assert_int_equal(r->ready, 1);
}

static void a_broker_that_refuses_is_asked_at_version_0(void **state)
{
    struct api_versions_response refusal;
    wire_defaults(&wire_api_versions_response, &refusal);
    refuse_then_expect(*state, &refusal, 0);
}

static void a_broker_that_names_its_range_is_asked_at_its_highest(void **state)
{
    struct api_versions_response_api_key key = {WIRE_API_VERSIONS, 0, 2};
    struct api_versions_response refusal;
    wire_defaults(&wire_api_versions_response, &refusal);
    refusal.api_keys.items = &key;
    refusal.api_keys.count = 1;
    refuse_then_expect(*state, &refusal, 2);
}

static void a_range_that_is_no_way_out_means_version_0(void **state)
{
    struct api_versions_response_api_key key = {WIRE_API_VERSIONS, 0, 4};
    struct api_versions_response refusal;
    wire_defaults(&wire_api_versions_response, &refusal);
    refusal.api_keys.items = &key;
    refusal.api_keys.count = 1;
    refuse_then_expect(*state, &refusal, 0);
}

static void a_refusal_of_version_0_breaks(void **state)
{
    struct rig *r = *state;
    struct api_versions_response refusal;
    wire_defaults(&wire_api_versions_response, &refusal);
    refusal.error_code = KAFKA_UNSUPPORTED_VERSION;
    start(r);
    for (int i = 0; i < 2; i++) {
        struct fake_request q = take(r, WIRE_API_VERSIONS);
        enum err e =
            give(r, fake_answer_at(WIRE_API_VERSIONS, 0, q.header.correlation_id, &refusal));
        assert_int_equal(e, i == 0 ? ERR_NONE : ERR_UNSUPPORTED);
        fake_drop(&q);
    }
    assert_string_equal(r->text.text, "b:9092: ApiVersions: UNSUPPORTED_VERSION");
    assert_false(client_conn_ready(r->conn));
}

static void a_handshake_that_is_not_kafkas_breaks(void **state)
{
    struct rig *r = *state;
    start(r);
    struct fake_request q = take(r, WIRE_API_VERSIONS);
    struct buf *frame = fake_answer(&q, &r->versions.response);
    frame->size -= 3;
    assert_int_equal(give(r, frame), ERR_CORRUPT);
    assert_non_null(strstr(r->text.text, "b:9092: its answer to ApiVersions"));
    fake_drop(&q);
    assert_int_equal(r->ready, 0);
}

static void a_handshake_has_one_time_limit_over_all_its_versions(void **state)
{
    struct rig *r = *state;
    struct api_versions_response refusal;
    wire_defaults(&wire_api_versions_response, &refusal);
    refusal.error_code = KAFKA_UNSUPPORTED_VERSION;
    start(r);
    r->now_ms += 4000;
    struct fake_request q = take(r, WIRE_API_VERSIONS);
    give(r, fake_answer_at(WIRE_API_VERSIONS, 0, q.header.correlation_id, &refusal));
    fake_drop(&q);
    assert_int_equal(client_conn_next_deadline(r->conn), 1000 + 5000);
    assert_int_equal(tick(r, 5999), ERR_NONE);
    assert_int_equal(tick(r, 6000), ERR_TIMEOUT);
    assert_non_null(strstr(r->text.text, "b:9092: no answer to ApiVersions"));
}

/* ---- versions ------------------------------------------------------------------------------ */

static int16_t version_asked(struct rig *r, struct client_request *q, int16_t api_key)
{
    assert_int_equal(send(r, q), ERR_NONE);
    struct fake_request seen = take(r, api_key);
    int16_t version = seen.header.api_version;
    fake_drop(&seen);
    return version;
}

static void a_request_goes_at_the_highest_common_version(void **state)
{
    struct rig *r = *state;
    struct told t = {0};
    struct metadata_request body;
    wire_defaults(&wire_metadata_request, &body);
    struct client_request q = client_request_of(WIRE_METADATA, &body, TIMEOUT_MS, told_done, &t);
    fake_versions_set(&r->versions, WIRE_METADATA, 0, 9);
    fake_versions_set(&r->versions, WIRE_DESCRIBE_CLUSTER, 0, 100);
    shake(r);
    assert_int_equal(version_asked(r, &q, WIRE_METADATA), 9); /* theirs */
    q.max_version = 5;
    assert_int_equal(version_asked(r, &q, WIRE_METADATA), 5); /* the caller's */
    q.min_version = q.max_version = 7;
    assert_int_equal(version_asked(r, &q, WIRE_METADATA), 7); /* pinned */
    struct client_request d =
        client_request_of(WIRE_DESCRIBE_CLUSTER, any_describe_cluster(), TIMEOUT_MS, told_done, &t);
    assert_int_equal(version_asked(r, &d, WIRE_DESCRIBE_CLUSTER),
                     wire_message_max(&wire_describe_cluster_request)); /* ours */
    assert_int_equal(t.count, 0);
}

static void what_has_no_common_version_is_not_sent(void **state)
{
    struct rig *r = *state;
    struct told t = {0};
    struct client_request q =
        client_request_of(WIRE_DESCRIBE_CLUSTER, any_describe_cluster(), TIMEOUT_MS, told_done, &t);
    fake_versions_set(&r->versions, WIRE_DESCRIBE_CLUSTER, 0, 1);
    fake_versions_set(&r->versions, WIRE_FIND_COORDINATOR, 7, 9);
    fake_versions_remove(&r->versions, WIRE_LIST_GROUPS);
    shake(r);
    q.min_version = 2;
    assert_int_equal(send(r, &q), ERR_UNSUPPORTED);
    assert_string_equal(
        r->text.text,
        "b:9092: DescribeCluster: this broker serves versions 0 to 1, needed is 2 to 2");
    struct list_groups_request groups;
    wire_defaults(&wire_list_groups_request, &groups);
    q = client_request_of(WIRE_LIST_GROUPS, &groups, TIMEOUT_MS, told_done, &t);
    assert_int_equal(send(r, &q), ERR_UNSUPPORTED);
    assert_string_equal(r->text.text, "b:9092: ListGroups: this broker does not serve it");
    struct find_coordinator_request coordinator;
    wire_defaults(&wire_find_coordinator_request, &coordinator);
    q = client_request_of(WIRE_FIND_COORDINATOR, &coordinator, TIMEOUT_MS, told_done, &t);
    assert_int_equal(send(r, &q), ERR_UNSUPPORTED); /* a broker of the future */
    assert_string_equal(
        r->text.text,
        "b:9092: FindCoordinator: this broker serves versions 7 to 9, needed is 0 to 6");
    /* A version that cannot say what the body says. */
    struct describe_cluster_request body = *any_describe_cluster();
    body.include_fenced_brokers = true;
    q = client_request_of(WIRE_DESCRIBE_CLUSTER, &body, TIMEOUT_MS, told_done, &t);
    assert_int_equal(send(r, &q), ERR_UNSUPPORTED);
    assert_non_null(strstr(r->text.text, "DescribeCluster version 1"));
    assert_int_equal(t.count, 0);
    assert_int_equal(r->sent_count, 0);
    assert_int_equal(client_conn_outstanding(r->conn), 0);
    describe(r, &t, TIMEOUT_MS); /* and the connection lives */
    assert_int_equal(answer_describe(r, "c"), ERR_NONE);
    assert_string_equal(t.cluster, "c");
}

static const void *make_by_version(void *ctx, int16_t version)
{
    static struct describe_cluster_request body;
    struct told *t = ctx;
    t->version = (int16_t)(version + 100);
    body = *any_describe_cluster();
    body.include_cluster_authorized_operations = version == 1;
    return &body;
}

static void a_body_can_be_made_once_the_version_is_known(void **state)
{
    struct rig *r = *state;
    struct told t = {0};
    fake_versions_set(&r->versions, WIRE_DESCRIBE_CLUSTER, 0, 1);
    shake(r);
    struct client_request q =
        client_request_of(WIRE_DESCRIBE_CLUSTER, NULL, TIMEOUT_MS, told_done, &t);
    q.make = make_by_version;
    assert_int_equal(send(r, &q), ERR_NONE);
    assert_int_equal(t.version, 101);
    struct fake_request seen = take(r, WIRE_DESCRIBE_CLUSTER);
    struct describe_cluster_request body;
    struct arena arena = {0};
    fake_decode(&seen, &body, &arena);
    assert_true(body.include_cluster_authorized_operations);
    fake_drop(&seen);
    arena_free(&arena);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void answers_come_in_the_order_of_requests(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0};
    shake(r);
    describe(r, &a, TIMEOUT_MS);
    describe(r, &b, TIMEOUT_MS);
    assert_int_equal(client_conn_outstanding(r->conn), 2);
    assert_int_equal(answer_describe(r, "first"), ERR_NONE);
    assert_string_equal(a.cluster, "first");
    assert_int_equal(b.count, 0);
    assert_int_equal(answer_describe(r, "second"), ERR_NONE);
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
    shake(r);
    describe(r, &a, TIMEOUT_MS);
    describe(r, &b, TIMEOUT_MS);
    struct fake_request first = take(r, WIRE_DESCRIBE_CLUSTER);
    fake_drop(&first);
    assert_int_equal(answer_describe(r, "second"), ERR_CORRUPT);
    assert_non_null(
        strstr(r->text.text, "b:9092: its answer has correlation id 2 where 1 was due"));
    assert_told(&a, ERR_CORRUPT, r->text.text);
    assert_told(&b, ERR_CORRUPT, r->text.text);
    assert_true(a.order < b.order);
    assert_false(client_conn_ready(r->conn));
    assert_int_equal(tick(r, 1001), ERR_CLOSED);
    assert_int_equal(give(r, buf_copy("x", 1)), ERR_CLOSED);
}

static void an_answer_to_nothing_breaks(void **state)
{
    struct rig *r = *state;
    shake(r);
    assert_int_equal(give(r, buf_copy("\0\0\0\1", 4)), ERR_CORRUPT);
    assert_string_equal(r->text.text, "b:9092: it sent an answer to nothing");
}

static void an_answer_that_cannot_be_read_breaks(void **state)
{
    struct rig *r = *state;
    struct describe_cluster_response response = described("c");
    for (int cut = -1; cut <= 1; cut += 2) { /* too short, too long */
        struct told a = {0}, b = {0};
        client_conn_free(r->conn);
        r->conn = client_conn_new("b:9092", NULL, &events, r);
        r->ready = 0;
        shake(r);
        describe(r, &a, TIMEOUT_MS);
        describe(r, &b, TIMEOUT_MS);
        struct fake_request q = take(r, WIRE_DESCRIBE_CLUSTER);
        assert_int_equal(q.header.client_id.size, -1);
        struct buf *whole = fake_answer(&q, &response);
        struct buf *frame = buf_new(whole->size + 1);
        memcpy(frame->data, whole->data, whole->size);
        frame->data[whole->size] = 0;
        frame->size = cut < 0 ? whole->size - 1 : whole->size + 1;
        buf_unref(whole);
        fake_drop(&q);
        assert_int_equal(give(r, frame), ERR_CORRUPT);
        assert_told(&a, ERR_CORRUPT, "b:9092: its answer to DescribeCluster version 2");
        assert_told(&b, ERR_CORRUPT, "b:9092: its answer to DescribeCluster version 2");
        q = take(r, WIRE_DESCRIBE_CLUSTER);
        fake_drop(&q);
    }
}

static void a_produce_with_acks_0_is_told_without_an_answer(void **state)
{
    struct rig *r = *state;
    struct told silent = {0}, t = {0};
    struct produce_request body;
    shake(r);
    wire_defaults(&wire_produce_request, &body);
    body.acks = 0;
    struct client_request q =
        client_request_of(WIRE_PRODUCE, &body, TIMEOUT_MS, told_done, &silent);
    assert_int_equal(send(r, &q), ERR_NONE);
    struct fake_request seen = take(r, WIRE_PRODUCE);
    fake_drop(&seen);
    describe(r, &t, TIMEOUT_MS);
    assert_int_equal(answer_describe(r, "c"), ERR_NONE);
    assert_int_equal(silent.count, 0);
    assert_int_equal(client_conn_next_deadline(r->conn), INT64_MIN);
    assert_int_equal(tick(r, 1000), ERR_NONE);
    assert_told(&silent, ERR_NONE, "");
    assert_false(silent.responded);
    body.acks = 1;
    assert_int_equal(send(r, &q), ERR_NONE);
    assert_int_equal(client_conn_outstanding(r->conn), 1);
}

/* ---- time and ends ------------------------------------------------------------------------- */

static void a_late_request_fails_alone_while_the_broker_talks(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0}, c = {0};
    shake(r);
    describe(r, &a, TIMEOUT_MS);
    describe(r, &b, 500);
    describe(r, &c, 2000);
    assert_int_equal(client_conn_next_deadline(r->conn), 1500);
    r->now_ms = 1400;
    assert_int_equal(answer_describe(r, "a"), ERR_NONE);
    assert_int_equal(tick(r, 1499), ERR_NONE);
    assert_int_equal(b.count, 0);
    assert_int_equal(tick(r, 1500), ERR_NONE);
    assert_told(&b, ERR_TIMEOUT, "b:9092: no answer to DescribeCluster within 500 ms");
    assert_int_equal(c.count, 0);
    assert_int_equal(client_conn_outstanding(r->conn), 2);
    assert_int_equal(client_conn_next_deadline(r->conn), 3000);
    assert_int_equal(answer_describe(r, "late"), ERR_NONE); /* dropped */
    assert_int_equal(b.count, 1);
    assert_int_equal(answer_describe(r, "c"), ERR_NONE);
    assert_string_equal(c.cluster, "c");
}

static void a_connection_gone_silent_breaks(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0};
    shake(r);
    r->now_ms = 2000;
    describe(r, &a, 500);
    describe(r, &b, 5000);
    assert_int_equal(tick(r, 2500), ERR_NONE);
    assert_told(&a, ERR_TIMEOUT, "within 500 ms");
    assert_int_equal(b.count, 0);
    assert_int_equal(client_conn_next_deadline(r->conn), 2000 + CLIENT_MUTE_MS);
    assert_int_equal(tick(r, 2000 + CLIENT_MUTE_MS - 1), ERR_NONE);
    assert_int_equal(tick(r, 2000 + CLIENT_MUTE_MS), ERR_TIMEOUT);
    assert_told(&b, ERR_TIMEOUT, "b:9092: no answer, and nothing heard for 3000 ms");
    assert_int_equal(a.count, 1);
    assert_false(client_conn_ready(r->conn));
}

static void silence_is_counted_from_what_was_last_heard(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0};
    shake(r);
    describe(r, &a, TIMEOUT_MS);
    describe(r, &b, TIMEOUT_MS);
    r->now_ms = 1900;
    assert_int_equal(answer_describe(r, "a"), ERR_NONE);
    assert_int_equal(tick(r, 2000), ERR_NONE);
    assert_told(&b, ERR_TIMEOUT, "within 1000 ms");
    assert_int_equal(client_conn_next_deadline(r->conn), 1900 + CLIENT_MUTE_MS);
    assert_int_equal(tick(r, 1900 + CLIENT_MUTE_MS - 1), ERR_NONE);
    assert_int_equal(tick(r, 1900 + CLIENT_MUTE_MS), ERR_TIMEOUT);
}

static void a_broker_may_be_silent_while_its_oldest_request_has_time(void **state)
{
    struct rig *r = *state;
    struct told a = {0}, b = {0};
    shake(r);
    describe(r, &a, 60000); /* a long poll, say */
    describe(r, &b, 500);
    assert_int_equal(tick(r, 60999), ERR_NONE);
    assert_told(&b, ERR_TIMEOUT, "within 500 ms");
    assert_int_equal(a.count, 0);
    assert_int_equal(answer_describe(r, "a"), ERR_NONE);
    assert_told(&a, ERR_NONE, "");
}

static void the_end_of_the_transport_fails_every_request_with_its_reason(void **state)
{
    struct rig *r = *state;
    struct told told[3] = {0};
    shake(r);
    for (int i = 0; i < 3; i++) {
        describe(r, &told[i], TIMEOUT_MS);
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
    shake(r);
    describe(r, &t, TIMEOUT_MS);
    assert_int_equal(answer_describe(r, "one"), ERR_NONE);
    assert_int_equal(answer_describe(r, "two"), ERR_NONE);
    assert_string_equal(t.cluster, "two");
    assert_int_equal(t.count, 2);
    t.then = resend;
    describe(r, &t, TIMEOUT_MS);
    client_conn_closed(r->conn, ERR_IO, "b:9092 burnt down"); /* named already */
    assert_int_equal(t.count, 3);
    assert_string_equal(t.why, "b:9092 burnt down");
    assert_string_equal(r->text.text, "b:9092: the connection is closed");
}

static void freeing_tells_nobody(void **state)
{
    struct rig *r = *state;
    struct told t = {0};
    shake(r);
    describe(r, &t, TIMEOUT_MS);
    client_conn_free(r->conn);
    r->conn = NULL;
    assert_int_equal(t.count, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_handshake_goes_first_at_our_highest_version),
        TEST(a_broker_that_refuses_is_asked_at_version_0),
        TEST(a_broker_that_names_its_range_is_asked_at_its_highest),
        TEST(a_range_that_is_no_way_out_means_version_0),
        TEST(a_refusal_of_version_0_breaks),
        TEST(a_handshake_that_is_not_kafkas_breaks),
        TEST(a_handshake_has_one_time_limit_over_all_its_versions),
        TEST(a_request_goes_at_the_highest_common_version),
        TEST(what_has_no_common_version_is_not_sent),
        TEST(a_body_can_be_made_once_the_version_is_known),
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
