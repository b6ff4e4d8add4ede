/* DeleteRecords at a broker that is alone. */
#include "tests/unit/node/desk.h"

static void produce(struct line *l, int count)
{
    struct arena arena = {0};
    for (int i = 0; i < count; i++) {
        const struct produce_response *out =
            line_ask(l, WIRE_PRODUCE, 9, produce_of(&arena, -1, 300), &arena);
        assert_int_equal(out->responses.items[0].partition_responses.items[0].error_code, 0);
    }
    arena_free(&arena);
}

static void create(struct line *l, const char *name, const char *cleanup_policy)
{
    struct arena arena = {0};
    struct create_topics_request *request = request_new(WIRE_CREATE_TOPICS, &arena);
    request->topics.items = arena_array(&arena, 1, sizeof *request->topics.items);
    request->topics.count = 1;
    wire_struct_defaults(&wire_struct_create_topics_request_topic, &request->topics.items[0]);
    request->topics.items[0].name = wire_str(name);
    request->topics.items[0].num_partitions = 1;
    request->topics.items[0].replication_factor = 1;
    request->topics.items[0].configs.items =
        arena_array(&arena, 1, sizeof *request->topics.items[0].configs.items);
    request->topics.items[0].configs.count = 1;
    request->topics.items[0].configs.items[0].name = wire_str("cleanup.policy");
    request->topics.items[0].configs.items[0].value = wire_str(cleanup_policy);
    const struct create_topics_response *out = line_ask(l, WIRE_CREATE_TOPICS, 7, request, &arena);
    assert_int_equal(out->topics.items[0].error_code, 0);
    arena_free(&arena);
    desk_run(l->desk, 100);
}

static void deletes(struct line *l, const char *topic, int32_t partition, int64_t offset,
                    int16_t error, int64_t low_watermark)
{
    struct arena arena = {0};
    for (int16_t version = 0; version <= 2; version++) {
        struct delete_records_request *r = request_new(WIRE_DELETE_RECORDS, &arena);
        r->timeout_ms = 1000;
        r->topics.count = 1;
        r->topics.items = arena_array(&arena, 1, sizeof *r->topics.items);
        r->topics.items[0].name = wire_str(topic);
        r->topics.items[0].partitions.count = 1;
        r->topics.items[0].partitions.items =
            arena_array(&arena, 1, sizeof *r->topics.items[0].partitions.items);
        r->topics.items[0].partitions.items[0].partition_index = partition;
        r->topics.items[0].partitions.items[0].offset = offset;
        const struct delete_records_response *out =
            line_ask(l, WIRE_DELETE_RECORDS, version, r, &arena);
        const struct delete_records_response_partition *p =
            &out->topics.items[0].partitions.items[0];
        assert_int_equal(p->partition_index, partition);
        assert_int_equal(p->error_code, error);
        assert_int_equal(p->low_watermark, low_watermark);
    }
    arena_free(&arena);
}

static int16_t fetch_error(struct line *l, int64_t offset)
{
    struct arena arena = {0};
    const struct fetch_response *out =
        line_ask(l, WIRE_FETCH, 12, fetch_of(&arena, offset, 0, 0), &arena);
    int16_t error = out->responses.items[0].partitions.items[0].error_code;
    arena_free(&arena);
    return error;
}

void test_delete_records(void **state)
{
    (void)state;
    struct desk *d = desk_new(61, NULL);
    struct line *l = line_new(d);
    produce(l, 10);
    deletes(l, "t", 0, 4, 0, 4);
    assert_int_equal(fetch_error(l, 3), KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(fetch_error(l, 4), 0);
    deletes(l, "t", 0, 2, 0, 4); /* they are gone already */
    deletes(l, "t", 0, 11, KAFKA_OFFSET_OUT_OF_RANGE, -1);
    deletes(l, "t", 0, -2, KAFKA_OFFSET_OUT_OF_RANGE, -1);
    assert_int_equal(fetch_error(l, 4), 0);
    deletes(l, "t", 0, -1, 0, 10);
    assert_int_equal(fetch_error(l, 9), KAFKA_OFFSET_OUT_OF_RANGE);
    produce(l, 1);
    assert_int_equal(fetch_error(l, 10), 0);
    deletes(l, "t", 1, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
    deletes(l, "nowhere", 0, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
    create(l, "keyed", "compact");
    deletes(l, "keyed", 0, 0, KAFKA_POLICY_VIOLATION, -1);
    create(l, "both", "compact,delete");
    deletes(l, "both", 0, 0, 0, 0);
    line_free(l);
    desk_free(d);
}

/* Their state is not theirs to delete. */
void test_delete_records_of_groups(void **state)
{
    (void)state;
    struct desk *d = desk_new(62, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    struct find_coordinator_request *r = request_new(WIRE_FIND_COORDINATOR, &arena);
    r->key = wire_str("g");
    (void)line_ask(l, WIRE_FIND_COORDINATOR, 3, r, &arena);
    desk_run(d, 2000);
    deletes(l, "__consumer_offsets", 0, 0, KAFKA_INVALID_TOPIC_EXCEPTION, -1);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}
