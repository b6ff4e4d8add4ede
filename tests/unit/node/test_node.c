/* A whole broker, spoken to in frames: every API at every version, order, and measure. */
#include "common/base/mem.h"
#include "tests/unit/node/desk.h"

/* Every version of every API, twice: as empty as the schema allows, and asking for something. */
static void test_every_version(void **state)
{
    (void)state;
    struct desk *d = desk_new(1, NULL);
    struct line *l = line_new(d);
    int count = 0;
    const struct api_row *rows = api_table(&count);
    for (int i = 0; i < count; i++) {
        if ((rows[i].listeners & API_BROKER) == 0) {
            continue; /* a line to the broker's listener ends with it */
        }
        const struct wire_api *api = wire_api_of(rows[i].key);
        for (int16_t v = wire_message_min(api->request); v <= wire_message_max(api->request); v++) {
            for (int asks = 0; asks < 2; asks++) {
                struct arena arena = {0};
                void *request = request_new(api->key, &arena);
                if (api->key == WIRE_FETCH) {
                    ((struct fetch_request *)request)->replica_id = -1;
                }
                if (api->key == WIRE_PRODUCE) {
                    ((struct produce_request *)request)->acks = 1;
                }
                if (asks) {
                    request_fill(d, api->key, v, request, &arena);
                }
                line_ask(l, api->key, v, request, &arena);
                arena_free(&arena);
            }
        }
    }
    line_free(l);
    desk_free(d);
}

/* Answers leave in the order of the requests, also when a later one could be told sooner. */
static void test_order(void **state)
{
    (void)state;
    struct desk *d = desk_new(2, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    int32_t parked = line_send(l, WIRE_FETCH, 12, fetch_of(&arena, 0, 3000, 1));
    int32_t quick = line_send(l, WIRE_API_VERSIONS, 3, request_new(WIRE_API_VERSIONS, &arena));
    desk_run(d, 1000);
    assert_int_equal(l->got, 0);
    line_take(l, WIRE_FETCH, 12, parked, &arena);
    line_take(l, WIRE_API_VERSIONS, 3, quick, &arena);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

/* 64 unanswered requests, then reading stops; it goes on as they are answered. */
static void test_measure(void **state)
{
    (void)state;
    struct desk *d = desk_new(3, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    int32_t first = line_send(l, WIRE_FETCH, 12, fetch_of(&arena, 0, 2000, 1));
    for (int i = 1; i < 64; i++) {
        line_send(l, WIRE_API_VERSIONS, 3, request_new(WIRE_API_VERSIONS, &arena));
    }
    /* The 65th would append, were it read. */
    int32_t last = line_send(l, WIRE_PRODUCE, 9, produce_of(&arena, 1, 5));
    desk_run(d, 1000);
    assert_int_equal(l->got, 0); /* had it been read, its record would have woken the fetch */
    struct fetch_response *r = line_take(l, WIRE_FETCH, 12, first, &arena);
    assert_int_equal(r->responses.items[0].partitions.items[0].high_watermark, 0);
    for (int i = 1; i < 64; i++) {
        line_take(l, WIRE_API_VERSIONS, 3, first + i, &arena);
    }
    line_take(l, WIRE_PRODUCE, 9, last, &arena);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

static void test_metadata(void **state)
{
    (void)state;
    static const char *const no_auto[] = {"auto.create.topics.enable=false", NULL};
    struct desk *d = desk_new(4, no_auto);
    struct line *l = line_new(d);
    struct arena arena = {0};
    struct metadata_request *r = request_new(WIRE_METADATA, &arena);
    r->topics.count = -1;
    struct metadata_response *out = line_ask(l, WIRE_METADATA, 13, r, &arena);
    assert_int_equal(out->topics.count, 2); /* with __consumer_offsets */
    assert_int_equal(out->brokers.count, 1);
    assert_int_equal(out->controller_id, 1);
    r->topics.count = 0;
    out = line_ask(l, WIRE_METADATA, 13, r, &arena);
    assert_int_equal(out->topics.count, 0);
    out = line_ask(l, WIRE_METADATA, 0, r, &arena);
    assert_int_equal(out->topics.count, 2);
    /* By id; named twice is told once; names that cannot be; nothing is made. */
    r->topics.count = 6;
    r->topics.items = arena_array(&arena, 6, sizeof *r->topics.items);
    r->topics.items[0].topic_id = d->topic_id;
    r->topics.items[0].name = WIRE_STR_NULL;
    r->topics.items[1].topic_id = uuid_from_number(9);
    r->topics.items[1].name = WIRE_STR_NULL;
    r->topics.items[2].name = wire_str("t");
    r->topics.items[3].name = wire_str("a b");
    r->topics.items[4].name = wire_str("absent");
    r->topics.items[5].name = wire_str("t");
    out = line_ask(l, WIRE_METADATA, 12, r, &arena);
    assert_int_equal(out->topics.count, 4);
    assert_true(wire_str_is(out->topics.items[0].name, "t"));
    assert_int_equal(out->topics.items[1].error_code, KAFKA_UNKNOWN_TOPIC_ID);
    assert_int_equal(out->topics.items[1].name.size, -1);
    assert_int_equal(out->topics.items[2].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(out->topics.items[3].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(out->topics.items[3].topic_authorized_operations, INT32_MIN);
    /* Versions 10 and 11 cannot answer by id: refused, not our end. */
    out = line_ask(l, WIRE_METADATA, 10, r, &arena);
    assert_int_equal(out->topics.items[0].error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(out->topics.items[0].name.size, 0);
    desk_run(d, 1000);
    r->topics.count = -1;
    out = line_ask(l, WIRE_METADATA, 13, r, &arena);
    assert_int_equal(out->topics.count, 2);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

static void test_auto_create(void **state)
{
    (void)state;
    struct desk *d = desk_new(5, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    struct metadata_request *r = request_new(WIRE_METADATA, &arena);
    r->topics.count = 1;
    r->topics.items = arena_array(&arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str("fresh");
    r->allow_auto_topic_creation = false;
    struct metadata_response *out = line_ask(l, WIRE_METADATA, 9, r, &arena);
    desk_run(d, 500);
    out = line_ask(l, WIRE_METADATA, 9, r, &arena);
    assert_int_equal(out->topics.items[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    r->allow_auto_topic_creation = true;
    line_ask(l, WIRE_METADATA, 9, r, &arena);
    desk_run(d, 500);
    out = line_ask(l, WIRE_METADATA, 9, r, &arena);
    assert_int_equal(out->topics.items[0].error_code, 0);
    assert_int_equal(out->topics.items[0].partitions.count, 1);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

/* Text of a client's in an answer's words, and resources named again and again. */
static void test_describe_configs(void **state)
{
    (void)state;
    struct desk *d = desk_new(6, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    struct describe_configs_request *r = request_new(WIRE_DESCRIBE_CONFIGS, &arena);
    char *name = arena_alloc(&arena, 32768);
    memset(name, '9', 32767);
    struct wire_str names[] = {wire_str(name), wire_str("1"), wire_str("1"), wire_str("t"),
                               wire_str("t")};
    r->resources.count = 5;
    r->resources.items = arena_array(&arena, 5, sizeof *r->resources.items);
    for (int i = 0; i < 5; i++) {
        r->resources.items[i].resource_type = i < 3 ? 4 : 2;
        r->resources.items[i].resource_name = names[i];
        r->resources.items[i].configuration_keys.count = -1;
    }
    struct describe_configs_response *out = line_ask(l, WIRE_DESCRIBE_CONFIGS, 4, r, &arena);
    assert_int_equal(out->results.items[0].error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(out->results.items[1].error_code, 0);
    assert_true(out->results.items[1].configs.count > 50);
    assert_int_equal(out->results.items[1].error_message.size, -1);
    assert_int_equal(out->results.items[2].error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(out->results.items[3].error_code, 0);
    assert_true(out->results.items[3].configs.count > 10);
    assert_int_equal(out->results.items[4].configs.count, 0);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

static void test_describe_log_dirs(void **state)
{
    (void)state;
    struct desk *d = desk_new(9, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    struct describe_log_dirs_request *r = request_new(WIRE_DESCRIBE_LOG_DIRS, &arena);
    int32_t partitions[] = {0, 0, 7, -1};
    line_ask(l, WIRE_PRODUCE, 9, produce_of(&arena, 1, 500), &arena);
    r->topics.count = 2;
    r->topics.items = arena_array(&arena, 2, sizeof *r->topics.items);
    r->topics.items[0].topic = wire_str("t");
    r->topics.items[0].partitions.items = partitions;
    r->topics.items[0].partitions.count = 4;
    r->topics.items[1].topic = wire_str("absent");
    r->topics.items[1].partitions.items = partitions;
    r->topics.items[1].partitions.count = 4;
    const struct describe_log_dirs_response *out =
        line_ask(l, WIRE_DESCRIBE_LOG_DIRS, 4, r, &arena);
    assert_int_equal(out->results.count, 1);
    assert_int_equal(out->results.items[0].topics.count, 1);
    assert_int_equal(out->results.items[0].topics.items[0].partitions.count, 1);
    assert_true(out->results.items[0].topics.items[0].partitions.items[0].partition_size > 500);
    r->topics.count = -1;
    out = line_ask(l, WIRE_DESCRIBE_LOG_DIRS, 4, r, &arena);
    assert_int_equal(out->results.items[0].topics.count, 2);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

/* Produce: what is refused, what is said when it takes too long, and silence. */
static void test_produce(void **state)
{
    (void)state;
    struct desk *d = desk_new(10, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    struct produce_request *r = produce_of(&arena, 5, 10);
    const struct produce_response *out = line_ask(l, WIRE_PRODUCE, 9, r, &arena);
    assert_int_equal(out->responses.items[0].partition_responses.items[0].error_code,
                     KAFKA_INVALID_REQUIRED_ACKS);
    sim_disk_latency(d->node, SIM_SYNC, (struct sim_latency){.min_us = 2000000, .max_us = 2000000});
    r = produce_of(&arena, -1, 10);
    r->timeout_ms = 100;
    out = line_ask(l, WIRE_PRODUCE, 9, r, &arena);
    const struct produce_response_partition_response *p =
        &out->responses.items[0].partition_responses.items[0];
    assert_int_equal(p->error_code, KAFKA_REQUEST_TIMED_OUT);
    assert_int_equal(p->base_offset, -1);
    assert_int_equal(p->log_append_time_ms, -1);
    assert_int_equal(p->log_start_offset, -1);
    assert_int_equal(p->error_message.size, -1);
    /* acks=0: no frame for it; the next answer is the next request's. */
    line_send(l, WIRE_PRODUCE, 9, produce_of(&arena, 0, 10));
    line_ask(l, WIRE_API_VERSIONS, 3, request_new(WIRE_API_VERSIONS, &arena), &arena);
    assert_false(l->closed);
    r = produce_of(&arena, 0, 10);
    r->topic_data.items[0].name = wire_str("absent");
    line_send(l, WIRE_PRODUCE, 9, r);
    desk_run(d, 100);
    assert_true(l->closed); /* the only way to say that it failed */
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

/* KIP-511: an ApiVersions of the future is told what there is, in version 0. */
static void test_future(void **state)
{
    (void)state;
    struct desk *d = desk_new(7, NULL);
    struct line *l = line_new(d);
    static const uint8_t frame[] = {0, 0, 0, 14, 0, 18, 0, 99, 0, 0, 0, 7, 0, 1, 'x', 1, 2, 3};
    struct buf *buf = buf_copy(frame, sizeof frame);
    struct env_piece piece = {.bytes = slice_of(buf, 0, buf->size)};
    struct arena arena = {0};
    env_send(sim_node_env(d->client), l->conn, &piece, 1);
    buf_unref(buf);
    struct api_versions_response *out = line_take(l, WIRE_API_VERSIONS, 0, 7, &arena);
    assert_int_equal(out->error_code, KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(out->api_keys.count, 1);
    assert_int_equal(out->api_keys.items[0].api_key, WIRE_API_VERSIONS);
    /* A stranger than that is not answered. */
    static const uint8_t odd[] = {0, 0, 0, 10, 3, 18, 0, 1, 0, 0, 0, 7, 0, 0};
    buf = buf_copy(odd, sizeof odd);
    piece = (struct env_piece){.bytes = slice_of(buf, 0, buf->size)};
    env_send(sim_node_env(d->client), l->conn, &piece, 1);
    buf_unref(buf);
    desk_run(d, 100);
    assert_true(l->closed);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

/* A clean stop with requests parked. */
static void test_stop(void **state)
{
    (void)state;
    struct desk *d = desk_new(8, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    line_send(l, WIRE_FETCH, 12, fetch_of(&arena, 0, 30000, 1));
    desk_run(d, 100);
    broker_stop(d->broker);
    desk_run(d, 5000);
    assert_true(d->stopped);
    assert_true(l->closed);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_version),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_auto_create),
        cmocka_unit_test(test_describe_configs),
        cmocka_unit_test(test_future),
        cmocka_unit_test(test_describe_log_dirs),
        cmocka_unit_test(test_produce),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_fetch_waits),
        cmocka_unit_test(test_fetch_limits),
        cmocka_unit_test(test_fetch_refusals),
        cmocka_unit_test(test_fetch_slow_read),
        cmocka_unit_test(test_dropped_while_parked),
        cmocka_unit_test(test_list_offsets),
        cmocka_unit_test(test_topic_pages),
        cmocka_unit_test(test_delete_records),
        cmocka_unit_test(test_delete_records_of_groups),
        cmocka_unit_test(test_configs_while_running),
        cmocka_unit_test(test_configs_refused),
        cmocka_unit_test(test_configs_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
