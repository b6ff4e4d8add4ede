/* The handshake, and the versions that follow from it. */
#include <string.h>

#include "common/wire/kafka_error.h"
#include "tests/unit/client/rig.h"

/* ---- the handshake ------------------------------------------------------------------------- */

static void the_handshake_goes_first_at_our_highest_version(void **state)
{
    struct rig *r = *state;
    int16_t min, max, level;
    assert_int_equal(r->sent_count, 0);
    rig_start(r);
    assert_int_equal(r->sent_count, 1);
    assert_false(client_conn_ready(r->conn));
    assert_false(client_conn_range(r->conn, WIRE_METADATA, &min, &max));
    assert_null(client_conn_versions(r->conn));

    struct fake_request q = rig_take(r, WIRE_API_VERSIONS);
    assert_int_equal(q.header.api_version, 4);
    assert_true(wire_str_is(q.header.client_id, "me"));
    struct api_versions_request body;
    struct arena arena = {0};
    fake_decode(&q, &body, &arena);
    assert_true(wire_str_is(body.client_software_name, "barnabas"));
    assert_true(body.client_software_version.size > 0);
    arena_free(&arena);

    fake_versions_set(&r->versions, WIRE_METADATA, 2, 9);
    assert_int_equal(rig_give(r, fake_answer(&q, &r->versions.response)), ERR_NONE);
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
    rig_start(r);
    refusal->error_code = KAFKA_UNSUPPORTED_VERSION;
    struct fake_request q = rig_take(r, WIRE_API_VERSIONS);
    assert_int_equal(
        rig_give(r, fake_answer_at(WIRE_API_VERSIONS, 0, q.header.correlation_id, refusal)),
        ERR_NONE);
    fake_drop(&q);
    assert_int_equal(r->ready, 0);
    q = rig_take(r, WIRE_API_VERSIONS);
    assert_int_equal(q.header.api_version, expected);
    assert_int_equal(rig_give(r, fake_answer(&q, &r->versions.response)), ERR_NONE);
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
    rig_start(r);
    for (int i = 0; i < 2; i++) {
        struct fake_request q = rig_take(r, WIRE_API_VERSIONS);
        enum err e =
            rig_give(r, fake_answer_at(WIRE_API_VERSIONS, 0, q.header.correlation_id, &refusal));
        assert_int_equal(e, i == 0 ? ERR_NONE : ERR_UNSUPPORTED);
        fake_drop(&q);
    }
    assert_string_equal(r->text.text, "b:9092: ApiVersions: UNSUPPORTED_VERSION");
    assert_false(client_conn_ready(r->conn));
}

static void a_handshake_that_is_not_kafkas_breaks(void **state)
{
    struct rig *r = *state;
    rig_start(r);
    struct fake_request q = rig_take(r, WIRE_API_VERSIONS);
    struct buf *frame = fake_answer(&q, &r->versions.response);
    frame->size -= 3;
    assert_int_equal(rig_give(r, frame), ERR_CORRUPT);
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
    rig_start(r);
    r->now_ms += 4000;
    struct fake_request q = rig_take(r, WIRE_API_VERSIONS);
    rig_give(r, fake_answer_at(WIRE_API_VERSIONS, 0, q.header.correlation_id, &refusal));
    fake_drop(&q);
    assert_int_equal(client_conn_next_deadline(r->conn), 1000 + 5000);
    assert_int_equal(rig_tick(r, 5999), ERR_NONE);
    assert_int_equal(rig_tick(r, 6000), ERR_TIMEOUT);
    assert_non_null(strstr(r->text.text, "b:9092: no answer to ApiVersions"));
}

/* ---- versions ------------------------------------------------------------------------------ */

static int16_t version_asked(struct rig *r, struct client_request *q, int16_t api_key)
{
    assert_int_equal(rig_send(r, q), ERR_NONE);
    struct fake_request seen = rig_take(r, api_key);
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
    rig_shake(r);
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
    rig_shake(r);
    q.min_version = 2;
    assert_int_equal(rig_send(r, &q), ERR_UNSUPPORTED);
    assert_string_equal(
        r->text.text,
        "b:9092: DescribeCluster: this broker serves versions 0 to 1, needed is 2 to 2");
    struct list_groups_request groups;
    wire_defaults(&wire_list_groups_request, &groups);
    q = client_request_of(WIRE_LIST_GROUPS, &groups, TIMEOUT_MS, told_done, &t);
    assert_int_equal(rig_send(r, &q), ERR_UNSUPPORTED);
    assert_string_equal(r->text.text, "b:9092: ListGroups: this broker does not serve it");
    struct find_coordinator_request coordinator;
    wire_defaults(&wire_find_coordinator_request, &coordinator);
    q = client_request_of(WIRE_FIND_COORDINATOR, &coordinator, TIMEOUT_MS, told_done, &t);
    assert_int_equal(rig_send(r, &q), ERR_UNSUPPORTED); /* a broker of the future */
    assert_string_equal(
        r->text.text,
        "b:9092: FindCoordinator: this broker serves versions 7 to 9, needed is 0 to 6");
    /* A version that cannot say what the body says. */
    struct describe_cluster_request body = *any_describe_cluster();
    body.include_fenced_brokers = true;
    q = client_request_of(WIRE_DESCRIBE_CLUSTER, &body, TIMEOUT_MS, told_done, &t);
    assert_int_equal(rig_send(r, &q), ERR_UNSUPPORTED);
    assert_non_null(strstr(r->text.text, "DescribeCluster version 1"));
    assert_int_equal(t.count, 0);
    assert_int_equal(r->sent_count, 0);
    assert_int_equal(client_conn_outstanding(r->conn), 0);
    rig_describe(r, &t, TIMEOUT_MS); /* and the connection lives */
    assert_int_equal(rig_answer_describe(r, "c"), ERR_NONE);
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
    rig_shake(r);
    struct client_request q =
        client_request_of(WIRE_DESCRIBE_CLUSTER, NULL, TIMEOUT_MS, told_done, &t);
    q.make = make_by_version;
    assert_int_equal(rig_send(r, &q), ERR_NONE);
    assert_int_equal(t.version, 101);
    struct fake_request seen = rig_take(r, WIRE_DESCRIBE_CLUSTER);
    struct describe_cluster_request body;
    struct arena arena = {0};
    fake_decode(&seen, &body, &arena);
    assert_true(body.include_cluster_authorized_operations);
    fake_drop(&seen);
    arena_free(&arena);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
