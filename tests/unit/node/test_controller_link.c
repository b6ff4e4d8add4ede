/* Calls to the active controller when it is in another node: answers lost, late, from the wrong one
 * or none at all; and calls withdrawn at every phase. */
#include "common/base/mem.h"
#include "tests/unit/node/desk.h"
#include "tests/unit/node/troupe.h"

enum { SHORT_MS = 200, CLIENT_CORRELATION = 4711 };

struct wish {
    struct api_controller_call call;
    struct arena arena; /* of the call: what the answer points at must be in it */
    bool submitting;    /* inside submit: `done` may not come */
    int done;
    int64_t done_at_ms;
    struct troupe *troupe;
    struct request client;
};

static void on_done(struct api_controller_call *call)
{
    struct wish *wish = call->ctx;
    assert_false(wish->submitting);
    wish->done++;
    wish->done_at_ms = env_now_ms(sim_node_env(wish->troupe->node));
}

static struct wish *wish_new(struct troupe *t, int16_t key, void *request)
{
    struct wish *wish = mem_zalloc(sizeof *wish);
    const struct wire_message *message = wire_api_of(key)->response;
    wish->troupe = t;
    wish->call = (struct api_controller_call){
        .api_key = key,
        .api_version = wire_message_max(wire_api_of(key)->request),
        .request = request,
        .response = arena_alloc(&wish->arena, wire_message_size(message)),
        .arena = &wish->arena,
        .done = on_done,
        .ctx = wish};
    return wish;
}

static void submit(struct wish *wish)
{
    wish->submitting = true;
    node_controller_submit(wish->troupe->broker, &wish->call);
    wish->submitting = false;
}

static void wish_free(struct wish *wish)
{
    node_controller_cancel(wish->troupe->broker, &wish->call);
    buf_unref(wish->client.frame);
    arena_free(&wish->arena);
    mem_free(wish);
}

static struct create_topics_request *topic_of(struct troupe *t, int32_t timeout_ms)
{
    struct create_topics_request *request = troupe_request(t, WIRE_CREATE_TOPICS);
    request->topics.items = arena_array(&t->arena, 1, sizeof *request->topics.items);
    request->topics.count = 1;
    request->topics.items[0].name = wire_str("orders");
    request->topics.items[0].num_partitions = 1;
    request->topics.items[0].replication_factor = 1;
    request->timeout_ms = timeout_ms;
    return request;
}

static struct wish *wish_ids(struct troupe *t)
{
    struct allocate_producer_ids_request *request = troupe_request(t, WIRE_ALLOCATE_PRODUCER_IDS);
    request->broker_id = 1;
    request->broker_epoch = 5;
    return wish_new(t, WIRE_ALLOCATE_PRODUCER_IDS, request);
}

/* As it came from a client, whose frame it keeps. */
static struct wish *wish_of_client(struct troupe *t, int16_t key, void *request)
{
    struct wish *wish = wish_new(t, key, request);
    struct wire_out out = {0};
    wish->client.header = (struct wire_request_header){.api_key = key,
                                                       .api_version = wish->call.api_version,
                                                       .correlation_id = CLIENT_CORRELATION,
                                                       .client_id = wire_str("somebody")};
    wire_put_request_header(&out, &wish->client.header);
    assert_int_equal(wire_encode(wire_api_of(key)->request, wish->call.api_version, request, &out),
                     ERR_NONE);
    wish->client.frame = buf_copy(out.bytes.data, out.bytes.size);
    wire_out_free(&out);
    snprintf(wish->client.peer.host, sizeof wish->client.peer.host, "10.0.0.77");
    wish->call.client = &wish->client;
    return wish;
}

static void answer_ids(struct troupe *t, struct asked *asked, int64_t start, int16_t error)
{
    struct allocate_producer_ids_response *response =
        troupe_response(t, WIRE_ALLOCATE_PRODUCER_IDS);
    response->producer_id_start = start;
    response->producer_id_len = 1000;
    response->error_code = error;
    asked_answer(asked, response);
}

static int64_t start_of(const struct wish *wish)
{
    const struct allocate_producer_ids_response *response = wish->call.response;
    assert_int_equal(response->error_code, KAFKA_NONE);
    return response->producer_id_start;
}

/* A CreateTopics answer, as an envelope's content. */
static struct wire_bytes created(struct troupe *t, int32_t correlation_id, int16_t error)
{
    int16_t version = wire_message_max(&wire_create_topics_request);
    struct create_topics_response *response = troupe_response(t, WIRE_CREATE_TOPICS);
    response->topics.items = arena_array(&t->arena, 1, sizeof *response->topics.items);
    wire_struct_defaults(&wire_struct_create_topics_response_topic, &response->topics.items[0]);
    response->topics.items[0].name = wire_str("orders");
    response->topics.items[0].error_code = error;
    response->topics.count = 1;
    struct wire_out out = {0};
    wire_put_response_header(&out, WIRE_CREATE_TOPICS, version, correlation_id);
    assert_int_equal(wire_encode(&wire_create_topics_response, version, response, &out), ERR_NONE);
    uint8_t *bytes = arena_alloc(&t->arena, out.bytes.size);
    memcpy(bytes, out.bytes.data, out.bytes.size);
    struct wire_bytes data = {bytes, (int32_t)out.bytes.size};
    wire_out_free(&out);
    return data;
}

static void answer_envelope(struct troupe *t, struct asked *asked, struct wire_bytes data,
                            int16_t error)
{
    struct envelope_response *response = troupe_response(t, WIRE_ENVELOPE);
    response->response_data = data;
    response->error_code = error;
    asked_answer(asked, response);
}

static int16_t error_of_topic(const struct wish *wish)
{
    const struct create_topics_response *response = wish->call.response;
    assert_int_equal(response->topics.count, 1);
    assert_true(wire_str_is(response->topics.items[0].name, "orders"));
    return response->topics.items[0].error_code;
}

/* ---- answered -------------------------------------------------------------------------------- */

static void test_own_wish(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(1);
    struct wish *wish = wish_ids(t);
    struct wish *topic = wish_new(t, WIRE_CREATE_TOPICS, topic_of(t, 5000));
    troupe_leads(t, 3, 4);
    submit(wish);
    submit(topic);
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done, 0);
    assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 3), 1);
    assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 2), 0);
    struct asked *asked = troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS);
    const struct allocate_producer_ids_request *body = asked_body(t, asked);
    assert_int_equal(body->broker_epoch, 5);
    asked = troupe_last(t, WIRE_CREATE_TOPICS);
    assert_int_equal(asked->header.api_version, wire_message_max(&wire_create_topics_request));
    answer_ids(t, troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS), 7000, KAFKA_NONE);
    struct create_topics_response *response = troupe_response(t, WIRE_CREATE_TOPICS);
    response->topics.items = arena_array(&t->arena, 1, sizeof *response->topics.items);
    wire_struct_defaults(&wire_struct_create_topics_response_topic, &response->topics.items[0]);
    response->topics.items[0].name = wire_str("orders");
    response->topics.count = 1;
    asked_answer(asked, response);
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done, 1);
    assert_int_equal(start_of(wish), 7000);
    assert_int_equal(topic->done, 1);
    assert_int_equal(error_of_topic(topic), KAFKA_NONE); /* its name outlived the frame */
    wish_free(topic);
    wish_free(wish);
    troupe_free(t);
}

static void test_clients_request(void **state)
{
    (void)state;
    static const uint8_t principal[] = {0,   0,   5,   'U', 's', 'e', 'r', 10, 'A', 'N',
                                        'O', 'N', 'Y', 'M', 'O', 'U', 'S', 0,  0};
    static const uint8_t address[] = {10, 0, 0, 77};
    struct troupe *t = troupe_new(2);
    struct wish *wish = wish_of_client(t, WIRE_CREATE_TOPICS, topic_of(t, 5000));
    troupe_leads(t, 2, 4);
    submit(wish);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_CREATE_TOPICS, 0), 0);
    struct asked *asked = troupe_last(t, WIRE_ENVELOPE);
    const struct envelope_request *envelope = asked_body(t, asked);
    assert_int_equal(envelope->request_data.size, wish->client.frame->size);
    assert_memory_equal(envelope->request_data.data, wish->client.frame->data,
                        wish->client.frame->size);
    assert_int_equal(envelope->request_principal.size, sizeof principal);
    assert_memory_equal(envelope->request_principal.data, principal, sizeof principal);
    assert_int_equal(envelope->client_host_address.size, sizeof address);
    assert_memory_equal(envelope->client_host_address.data, address, sizeof address);
    answer_envelope(t, asked, created(t, CLIENT_CORRELATION, KAFKA_TOPIC_ALREADY_EXISTS), 0);
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done, 1);
    assert_int_equal(wish->call.refused, 0);
    assert_int_equal(error_of_topic(wish), KAFKA_TOPIC_ALREADY_EXISTS);
    wish_free(wish);
    troupe_free(t);
}

/* What makes no sense, or is refused for a reason of the two nodes, is not the client's fault. */
static void test_envelope_refused(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(3);
    troupe_leads(t, 2, 4);
    for (int i = 0; i < 5; i++) {
        struct wish *wish = wish_of_client(t, WIRE_CREATE_TOPICS, topic_of(t, 5000));
        struct wire_bytes data = created(t, CLIENT_CORRELATION + (i == 0), KAFKA_NONE);
        int16_t error = i == 1   ? KAFKA_CLUSTER_AUTHORIZATION_FAILED
                        : i == 2 ? KAFKA_UNSUPPORTED_VERSION
                                 : KAFKA_NONE;
        data.size -= i == 3;
        data = i == 4 ? (struct wire_bytes){NULL, -1} : data;
        submit(wish);
        troupe_run(t, SHORT_MS);
        assert_int_equal(troupe_count(t, WIRE_ENVELOPE, 2), i + 1);
        answer_envelope(t, troupe_last(t, WIRE_ENVELOPE), data, error);
        troupe_run(t, SHORT_MS);
        assert_int_equal(wish->done, 1);
        assert_int_equal(error_of_topic(wish),
                         i == 2 ? KAFKA_UNSUPPORTED_VERSION : KAFKA_UNKNOWN_SERVER_ERROR);
        wish_free(wish);
    }
    troupe_free(t);
}

static void test_versions(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(4);
    struct player *two = troupe_player(t, 2);
    int16_t highest = wire_message_max(&wire_create_topics_request);
    two->max_version[WIRE_CREATE_TOPICS] = (int16_t)(highest - 1);
    two->least_version[WIRE_ALLOCATE_PRODUCER_IDS] = 9;
    two->max_version[WIRE_ALLOCATE_PRODUCER_IDS] = 9;
    troupe_leads(t, 2, 4);
    struct wish *older = wish_new(t, WIRE_CREATE_TOPICS, topic_of(t, 5000));
    struct wish *none = wish_ids(t);
    submit(older);
    submit(none);
    troupe_run(t, SHORT_MS);
    struct asked *asked = troupe_last(t, WIRE_CREATE_TOPICS);
    assert_int_equal(asked->header.api_version, highest - 1);
    struct create_topics_response *response = troupe_response(t, WIRE_CREATE_TOPICS);
    response->topics.items = arena_array(&t->arena, 1, sizeof *response->topics.items);
    wire_struct_defaults(&wire_struct_create_topics_response_topic, &response->topics.items[0]);
    response->topics.items[0].name = wire_str("orders");
    response->topics.count = 1;
    asked_answer(asked, response);
    troupe_run(t, SHORT_MS);
    assert_int_equal(older->done, 1);
    assert_int_equal(error_of_topic(older), KAFKA_NONE);
    assert_int_equal(none->done, 1);
    assert_int_equal(none->call.refused, KAFKA_UNSUPPORTED_VERSION);
    wish_free(older);
    wish_free(none);
    troupe_free(t);
}

/* ---- asked again ----------------------------------------------------------------------------- */

static void test_not_controller(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(5);
    struct wish *wish = wish_ids(t);
    struct wish *client = wish_of_client(t, WIRE_CREATE_TOPICS, topic_of(t, 5000));
    troupe_leads(t, 2, 4);
    submit(wish);
    submit(client);
    troupe_run(t, SHORT_MS);
    answer_ids(t, troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS), 0, KAFKA_NOT_CONTROLLER);
    answer_envelope(t, troupe_last(t, WIRE_ENVELOPE), (struct wire_bytes){NULL, -1},
                    KAFKA_NOT_CONTROLLER);
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done + client->done, 0);
    assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 2), 2); /* after a moment */
    assert_int_equal(troupe_count(t, WIRE_ENVELOPE, 2), 2);
    answer_ids(t, troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS), 0, KAFKA_NOT_CONTROLLER);
    answer_envelope(t, troupe_last(t, WIRE_ENVELOPE), (struct wire_bytes){NULL, -1},
                    KAFKA_NOT_CONTROLLER);
    troupe_leads(t, 3, 5);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 3), 1);
    answer_ids(t, troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS), 9000, KAFKA_NONE);
    answer_envelope(t, troupe_last(t, WIRE_ENVELOPE), created(t, CLIENT_CORRELATION, KAFKA_NONE),
                    0);
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done, 1);
    assert_int_equal(start_of(wish), 9000);
    assert_int_equal(client->done, 1);
    assert_int_equal(error_of_topic(client), KAFKA_NONE);
    wish_free(client);
    wish_free(wish);
    troupe_free(t);
}

/* Every API of our own says NOT_CONTROLLER in a field of its own. */
static void test_not_controller_of_each(void **state)
{
    (void)state;
    static const int16_t keys[] = {WIRE_BROKER_HEARTBEAT,        WIRE_ALLOCATE_PRODUCER_IDS,
                                   WIRE_CONTROLLER_REGISTRATION, WIRE_ALTER_PARTITION,
                                   WIRE_ASSIGN_REPLICAS_TO_DIRS, WIRE_CREATE_TOPICS};
    struct troupe *t = troupe_new(6);
    troupe_leads(t, 2, 4);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        int16_t key = keys[i];
        void *request = key == WIRE_CREATE_TOPICS ? topic_of(t, 5000) : troupe_request(t, key);
        struct wish *wish = wish_new(t, key, request);
        struct controller_call refusal = {.api_key = key,
                                          .version = wish->call.api_version,
                                          .request = request,
                                          .response = troupe_response(t, key),
                                          .arena = &t->arena};
        controller_refuse(&refusal, KAFKA_NOT_CONTROLLER, "not here");
        submit(wish);
        troupe_run(t, SHORT_MS);
        assert_int_equal(troupe_count(t, key, 2), 1);
        const struct player_line *line = troupe_last(t, key)->line;
        asked_answer(troupe_last(t, key), refusal.response);
        troupe_run(t, SHORT_MS);
        assert_int_equal(wish->done, 0);
        assert_int_equal(troupe_count(t, key, 2), 2);
        assert_ptr_equal(troupe_last(t, key)->line, line); /* not lost with its connection */
        node_controller_cancel(t->broker, &wish->call);
        asked_answer(troupe_last(t, key), refusal.response);
        troupe_run(t, SHORT_MS);
        wish_free(wish);
    }
    troupe_free(t);
}

static void test_answer_lost(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(7);
    struct wish *wish = wish_ids(t);
    troupe_leads(t, 2, 4);
    submit(wish);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 2), 1);
    sim_reset(t->node, troupe_player(t, 2)->node);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 2), 2);
    player_listen(troupe_player(t, 2), false);
    sim_reset(t->node, troupe_player(t, 2)->node);
    troupe_run(t, 1000); /* refused, for a while */
    player_listen(troupe_player(t, 2), true);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 2), 3);
    answer_ids(t, troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS), 3000, KAFKA_NONE);
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done, 1);
    assert_int_equal(start_of(wish), 3000);
    wish_free(wish);
    troupe_free(t);
}

static void test_leader_hangs(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(8);
    struct wish *wish = wish_ids(t);
    troupe_leads(t, 2, 4);
    submit(wish);
    troupe_run(t, SHORT_MS);
    struct asked *hung = troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 0), 1); /* asked once, waits */
    troupe_leads(t, 3, 5);
    troupe_run(t, SHORT_MS);
    assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 3), 1);
    answer_ids(t, hung, 1000, KAFKA_NONE); /* too late: it may have been undone */
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done, 0);
    answer_ids(t, troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS), 2000, KAFKA_NONE);
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done, 1);
    assert_int_equal(start_of(wish), 2000);
    wish_free(wish);
    troupe_free(t);
}

/* ---- not answered ---------------------------------------------------------------------------- */

static void expect_given_up(struct troupe *t, struct wish *wish, int64_t after_ms)
{
    int64_t started_ms = env_now_ms(sim_node_env(t->node));
    submit(wish);
    troupe_run(t, after_ms - 10);
    assert_int_equal(wish->done, 0);
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done, 1);
    assert_true(wish->done_at_ms - started_ms >= after_ms);
}

static void test_time_is_up(void **state)
{
    (void)state;
    static const int32_t asked_ms[] = {3000, 0, 600000};
    static const int64_t waited_ms[] = {3000, 1000, 60000};
    for (int led = 0; led < 2; led++) { /* nobody leads; or one does who says nothing */
        struct troupe *t = troupe_new(9);
        if (led) {
            troupe_leads(t, 2, 4);
        }
        for (int i = 0; i < 3; i++) {
            struct wish *wish = wish_of_client(t, WIRE_CREATE_TOPICS, topic_of(t, asked_ms[i]));
            expect_given_up(t, wish, waited_ms[i]);
            assert_int_equal(error_of_topic(wish), KAFKA_REQUEST_TIMED_OUT);
            wish_free(wish);
        }
        struct wish *quorum =
            wish_of_client(t, WIRE_DESCRIBE_QUORUM, troupe_request(t, WIRE_DESCRIBE_QUORUM));
        expect_given_up(t, quorum, 15000);
        assert_int_equal(((struct describe_quorum_response *)quorum->call.response)->error_code,
                         KAFKA_REQUEST_TIMED_OUT);
        wish_free(quorum);
        struct wish *ours =
            wish_new(t, WIRE_BROKER_HEARTBEAT, troupe_request(t, WIRE_BROKER_HEARTBEAT));
        expect_given_up(t, ours, 4500);
        assert_int_equal(((struct broker_heartbeat_response *)ours->call.response)->error_code,
                         KAFKA_NOT_CONTROLLER);
        wish_free(ours);
        troupe_free(t);
    }
}

/* By a controller listener it was meant for this node: refused at once, sent nowhere. */
static void test_here_only(void **state)
{
    (void)state;
    struct troupe *t = troupe_new(10);
    struct wish *wish = wish_of_client(t, WIRE_CREATE_TOPICS, topic_of(t, 5000));
    struct wish *quorum =
        wish_of_client(t, WIRE_DESCRIBE_QUORUM, troupe_request(t, WIRE_DESCRIBE_QUORUM));
    wish->call.here_only = true;
    quorum->call.here_only = true;
    troupe_leads(t, 2, 4);
    submit(wish);
    submit(quorum);
    troupe_run(t, SHORT_MS);
    assert_int_equal(wish->done, 1);
    assert_int_equal(wish->call.refused, KAFKA_NOT_CONTROLLER);
    assert_int_equal(error_of_topic(wish), KAFKA_NOT_CONTROLLER);
    assert_int_equal(quorum->done, 1);
    assert_int_equal(quorum->call.refused, KAFKA_NOT_CONTROLLER);
    assert_int_equal(troupe_count(t, WIRE_ENVELOPE, 0), 0);
    wish_free(quorum);
    wish_free(wish);
    troupe_free(t);
}

enum phase { NO_LEADER, DIALLING, OUT, PAUSED, LOCAL, LOCAL_QUORUM, PHASES };

static void test_cancelled(void **state)
{
    (void)state;
    for (enum phase phase = NO_LEADER; phase < PHASES; phase++) {
        struct troupe *t = troupe_new(11);
        struct wish *wish =
            phase == LOCAL_QUORUM
                ? wish_new(t, WIRE_DESCRIBE_QUORUM, troupe_request(t, WIRE_DESCRIBE_QUORUM))
                : wish_ids(t);
        if (phase == DIALLING) {
            sim_block(t->node, troupe_player(t, 2)->node, true);
        }
        if (phase != NO_LEADER) {
            troupe_leads(t, 2, 4);
        }
        wish->call.here_only = phase >= LOCAL;
        submit(wish);
        if (phase < LOCAL) {
            troupe_run(t, SHORT_MS);
        }
        if (phase == PAUSED) {
            answer_ids(t, troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS), 0, KAFKA_NOT_CONTROLLER);
            troupe_run(t, 20); /* arrived; it waits before it asks again */
            assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 2), 1);
        }
        node_controller_cancel(t->broker, &wish->call);
        node_controller_cancel(t->broker, &wish->call); /* harmless */
        int count = troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 0);
        if (phase == OUT) {
            answer_ids(t, troupe_last(t, WIRE_ALLOCATE_PRODUCER_IDS), 1000, KAFKA_NONE);
        }
        sim_block(t->node, troupe_player(t, 2)->node, false);
        troupe_run(t, 20000);
        assert_int_equal(wish->done, 0);
        assert_int_equal(troupe_count(t, WIRE_ALLOCATE_PRODUCER_IDS, 0), count);
        wish_free(wish);
        troupe_free(t);
    }
}

/* ---- our own controller ---------------------------------------------------------------------- */

static void on_lone_done(struct api_controller_call *call)
{
    ++*(int *)call->ctx;
}

/* It loses its place before the answer: the call goes to the next one, which is ours again. */
static void test_resigned_before_the_answer(void **state)
{
    (void)state;
    struct desk *d = desk_new(12, NULL);
    struct arena arena = {0};
    int done = 0;
    struct allocate_producer_ids_request *request = request_new(WIRE_ALLOCATE_PRODUCER_IDS, &arena);
    request->broker_id = 1;
    request->broker_epoch = d->broker->registration.broker_epoch;
    struct allocate_producer_ids_response response = {0};
    struct api_controller_call call = {.api_key = WIRE_ALLOCATE_PRODUCER_IDS,
                                       .request = request,
                                       .response = &response,
                                       .arena = &arena,
                                       .done = on_lone_done,
                                       .ctx = &done};
    node_controller_submit(d->broker, &call);
    assert_int_equal(done, 0);
    quorum_resign(d->broker->quorum, quorum_epoch(d->broker->quorum), "the test says so");
    desk_run(d, 10000);
    assert_int_equal(done, 1);
    assert_int_equal(response.error_code, KAFKA_NONE);
    assert_int_equal(response.producer_id_len, 1000);
    arena_free(&arena);
    desk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_wish),         cmocka_unit_test(test_clients_request),
        cmocka_unit_test(test_envelope_refused), cmocka_unit_test(test_versions),
        cmocka_unit_test(test_not_controller),   cmocka_unit_test(test_not_controller_of_each),
        cmocka_unit_test(test_answer_lost),      cmocka_unit_test(test_leader_hangs),
        cmocka_unit_test(test_time_is_up),       cmocka_unit_test(test_here_only),
        cmocka_unit_test(test_cancelled),        cmocka_unit_test(test_resigned_before_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
