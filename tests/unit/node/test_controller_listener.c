/* What a controller listener serves: requests that brokers send in a client's stead are opened and
 * done, or refused when they are not to be handed on; and controllers say where they are. */
#include "common/base/mem.h"
#include "tests/unit/node/desk.h"

static const char *const two_listeners[] = {
    "listeners=PLAINTEXT://10.0.0.1:9092,CONTROLLER://10.0.0.1:9093",
    "controller.listener.names=CONTROLLER", NULL};

static const uint8_t anonymous[] = {0,   0,   5,   'U', 's', 'e', 'r', 10, 'A', 'N',
                                    'O', 'N', 'Y', 'M', 'O', 'U', 'S', 0,  0};
static const uint8_t loopback[] = {127, 0, 0, 1};

struct letter {
    struct wire_out out;
    struct envelope_request request;
};

/* A request as a client would have sent it, in an envelope. */
static void letter_write(struct letter *letter, int16_t key, int16_t version, const void *body)
{
    struct wire_request_header header = {.api_key = key,
                                         .api_version = version,
                                         .correlation_id = 4711,
                                         .client_id = wire_str("somebody")};
    *letter = (struct letter){0};
    wire_put_request_header(&letter->out, &header);
    assert_int_equal(wire_encode(wire_api_of(key)->request, version, body, &letter->out), ERR_NONE);
    letter->request.request_data =
        (struct wire_bytes){letter->out.bytes.data, (int32_t)letter->out.bytes.size};
    letter->request.request_principal = (struct wire_bytes){anonymous, sizeof anonymous};
    letter->request.client_host_address = (struct wire_bytes){loopback, sizeof loopback};
}

static struct create_topics_request *topic_of(struct arena *arena, const char *name)
{
    struct create_topics_request *request = request_new(WIRE_CREATE_TOPICS, arena);
    request->topics.count = 1;
    request->topics.items = arena_array(arena, 1, sizeof *request->topics.items);
    request->topics.items[0].name = wire_str(name);
    request->topics.items[0].num_partitions = 2;
    request->topics.items[0].replication_factor = 1;
    request->timeout_ms = 1000;
    return request;
}

static void test_carried_out(void **state)
{
    (void)state;
    struct desk *d = desk_new(21, two_listeners);
    struct line *l = line_new_at(d, 9093);
    struct arena arena = {0};
    /* An old version and a flexible one: headers differ. */
    for (int16_t version = 4; version <= 7; version += 3) {
        struct letter letter;
        const char *name = version == 4 ? "old" : "new";
        letter_write(&letter, WIRE_CREATE_TOPICS, version, topic_of(&arena, name));
        struct envelope_response *out = line_ask(l, WIRE_ENVELOPE, 0, &letter.request, &arena);
        assert_int_equal(out->error_code, KAFKA_NONE);
        struct wire_in in = wire_in_of(out->response_data.data, (size_t)out->response_data.size);
        int32_t correlation_id = 0;
        assert_int_equal(
            wire_get_response_header(&in, WIRE_CREATE_TOPICS, version, &correlation_id), ERR_NONE);
        assert_int_equal(correlation_id, 4711);
        struct create_topics_response created;
        assert_int_equal(wire_decode(&wire_create_topics_response, version, &in, &created, &arena),
                         ERR_NONE);
        assert_int_equal(created.topics.count, 1);
        assert_int_equal(created.topics.items[0].error_code, KAFKA_NONE);
        assert_true(wire_str_is(created.topics.items[0].name, name));
        wire_out_free(&letter.out);
    }
    struct line *client = line_new(d);
    struct metadata_request *ask = request_new(WIRE_METADATA, &arena);
    ask->topics.count = -1;
    struct metadata_response *metadata = line_ask(client, WIRE_METADATA, 12, ask, &arena);
    assert_int_equal(metadata->topics.count, 4); /* "t", the offsets, and these two */
    line_free(client);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

static void test_describe_quorum(void **state)
{
    (void)state;
    struct desk *d = desk_new(22, two_listeners);
    struct line *l = line_new_at(d, 9093);
    struct arena arena = {0};
    struct describe_quorum_request *ask = request_new(WIRE_DESCRIBE_QUORUM, &arena);
    struct letter letter;
    letter_write(&letter, WIRE_DESCRIBE_QUORUM, 2, ask);
    struct envelope_response *out = line_ask(l, WIRE_ENVELOPE, 0, &letter.request, &arena);
    assert_int_equal(out->error_code, KAFKA_NONE);
    struct wire_in in = wire_in_of(out->response_data.data, (size_t)out->response_data.size);
    int32_t correlation_id = 0;
    struct describe_quorum_response quorum;
    assert_int_equal(wire_get_response_header(&in, WIRE_DESCRIBE_QUORUM, 2, &correlation_id),
                     ERR_NONE);
    assert_int_equal(wire_decode(&wire_describe_quorum_response, 2, &in, &quorum, &arena),
                     ERR_NONE);
    assert_int_equal(quorum.topics.items[0].partitions.items[0].leader_id, 1);
    wire_out_free(&letter.out);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

/* Sends it and wants the envelope's own error, with nothing in it. */
static void expect_refused(struct line *l, struct letter *letter, int16_t error)
{
    struct arena arena = {0};
    struct envelope_response *out = line_ask(l, WIRE_ENVELOPE, 0, &letter->request, &arena);
    assert_int_equal(out->error_code, error);
    assert_int_equal(out->response_data.size, -1);
    wire_out_free(&letter->out);
    arena_free(&arena);
}

static void test_refused(void **state)
{
    (void)state;
    struct desk *d = desk_new(23, two_listeners);
    struct line *l = line_new_at(d, 9093);
    struct arena arena = {0};
    struct letter letter;
    static const int16_t not_forwarded[] = {WIRE_FETCH,    WIRE_PRODUCE,  WIRE_BROKER_HEARTBEAT,
                                            WIRE_ENVELOPE, WIRE_METADATA, WIRE_VOTE};
    for (size_t i = 0; i < sizeof not_forwarded / sizeof not_forwarded[0]; i++) {
        const struct wire_message *message = wire_api_of(not_forwarded[i])->request;
        letter_write(&letter, not_forwarded[i], wire_message_max(message),
                     request_new(not_forwarded[i], &arena));
        expect_refused(l, &letter, KAFKA_INVALID_REQUEST);
    }
    letter_write(&letter, WIRE_DESCRIBE_PRODUCERS, 0,
                 request_new(WIRE_DESCRIBE_PRODUCERS, &arena));
    expect_refused(l, &letter, KAFKA_UNSUPPORTED_VERSION); /* Kafka's, not served */
    letter_write(&letter, WIRE_CREATE_TOPICS, 7, topic_of(&arena, "a"));
    letter.out.bytes.data[0] = 99; /* an API that nobody knows */
    expect_refused(l, &letter, KAFKA_INVALID_REQUEST);
    letter_write(&letter, WIRE_CREATE_TOPICS, 7, topic_of(&arena, "a"));
    letter.out.bytes.data[3] = 99; /* a version of the future */
    expect_refused(l, &letter, KAFKA_UNSUPPORTED_VERSION);
    letter_write(&letter, WIRE_CREATE_TOPICS, 7, topic_of(&arena, "a"));
    letter.request.request_data.size -= 9;
    expect_refused(l, &letter, KAFKA_INVALID_REQUEST);
    letter_write(&letter, WIRE_CREATE_TOPICS, 7, topic_of(&arena, "a"));
    letter.request.request_data.size = 0;
    expect_refused(l, &letter, KAFKA_INVALID_REQUEST);
    letter_write(&letter, WIRE_CREATE_TOPICS, 7, topic_of(&arena, "a"));
    letter.request.client_host_address.size = 3;
    expect_refused(l, &letter, KAFKA_INVALID_REQUEST);
    letter_write(&letter, WIRE_CREATE_TOPICS, 7, topic_of(&arena, "a"));
    letter.request.request_principal.size = 7;
    expect_refused(l, &letter, KAFKA_PRINCIPAL_DESERIALIZATION_FAILURE);
    letter_write(&letter, WIRE_CREATE_TOPICS, 7, topic_of(&arena, "a"));
    letter.request.request_principal.size = -1;
    expect_refused(l, &letter, KAFKA_PRINCIPAL_DESERIALIZATION_FAILURE);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

/* Clients' listeners take none: the connection ends. */
static void test_not_for_clients(void **state)
{
    (void)state;
    struct desk *d = desk_new(24, two_listeners);
    struct line *l = line_new(d);
    struct arena arena = {0};
    struct letter letter;
    letter_write(&letter, WIRE_CREATE_TOPICS, 7, topic_of(&arena, "a"));
    line_send(l, WIRE_ENVELOPE, 0, &letter.request);
    desk_run(d, 100);
    assert_true(l->closed);
    wire_out_free(&letter.out);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

/* A controller has told where it listens (KIP-919), under the address that others are told. */
static void test_where_controllers_are(void **state)
{
    (void)state;
    struct desk *d = desk_new(25, two_listeners);
    desk_run(d, 2000);
    struct line *l = line_new_at(d, 9093);
    struct arena arena = {0};
    struct describe_cluster_request *ask = request_new(WIRE_DESCRIBE_CLUSTER, &arena);
    ask->endpoint_type = 2;
    struct describe_cluster_response *out = line_ask(l, WIRE_DESCRIBE_CLUSTER, 2, ask, &arena);
    assert_int_equal(out->error_code, KAFKA_NONE);
    assert_int_equal(out->controller_id, 1);
    assert_int_equal(out->brokers.count, 1);
    assert_int_equal(out->brokers.items[0].broker_id, 1);
    assert_true(wire_str_is(out->brokers.items[0].host, "10.0.0.1"));
    assert_int_equal(out->brokers.items[0].port, 9093);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_carried_out),
        cmocka_unit_test(test_describe_quorum),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_for_clients),
        cmocka_unit_test(test_where_controllers_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
