/* Fetch sessions (KIP-227) as a consumer has them: their epochs, what is answered and what is not,
 * what they cost, and who has to go when there are too many. */
#include "broker/node/node_internal.h"
#include "common/base/mem.h"
#include "tests/unit/node/desk.h"

enum { MANY = 1000 };

static const char *const two_slots[] = {"max.incremental.fetch.session.cache.slots=2", NULL};

struct scene {
    struct desk *desk;
    struct line *line;
    struct line *other;
    struct arena arena;
    struct uuid many_id; /* of a topic with MANY partitions */
};

static struct scene *scene_new(uint64_t seed, const char *const *settings)
{
    struct scene *s = mem_zalloc(sizeof *s);
    s->desk = desk_new(seed, settings);
    s->line = line_new(s->desk);
    s->other = line_new(s->desk);
    return s;
}

static void scene_free(struct scene *s)
{
    line_free(s->line);
    line_free(s->other);
    desk_free(s->desk);
    arena_free(&s->arena);
    mem_free(s);
}

static void make_many(struct scene *s)
{
    struct create_topics_request *r = request_new(WIRE_CREATE_TOPICS, &s->arena);
    r->timeout_ms = 5000;
    r->topics.count = 1;
    r->topics.items = arena_array(&s->arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str("many");
    r->topics.items[0].num_partitions = MANY;
    r->topics.items[0].replication_factor = 1;
    const struct create_topics_response *out =
        line_ask(s->other, WIRE_CREATE_TOPICS, 7, r, &s->arena);
    assert_int_equal(out->topics.items[0].error_code, KAFKA_NONE);
    s->many_id = out->topics.items[0].topic_id;
    desk_run(s->desk, 3000);
}

static void produce(struct scene *s, const char *topic, int32_t partition)
{
    struct produce_request *r = produce_of(&s->arena, -1, 100);
    r->topic_data.items[0].name = wire_str(topic);
    r->topic_data.items[0].partition_data.items[0].index = partition;
    const struct produce_response *out = line_ask(s->other, WIRE_PRODUCE, 9, r, &s->arena);
    assert_int_equal(out->responses.items[0].partition_responses.items[0].error_code, KAFKA_NONE);
}

/* Names `count` partitions of `topic_id` from `first` on, at `offset`. */
static struct fetch_request *naming(struct scene *s, const struct uuid *topic_id, int32_t first,
                                    int32_t count, int64_t offset)
{
    struct fetch_request *r = fetch_of(&s->arena, offset, 0, 1);
    r->topics.count = count > 0;
    r->topics.items[0].topic = wire_str("");
    r->topics.items[0].topic_id = *topic_id;
    r->topics.items[0].partitions.count = count;
    r->topics.items[0].partitions.items =
        arena_array(&s->arena, (size_t)count, sizeof *r->topics.items[0].partitions.items);
    for (int32_t i = 0; i < count; i++) {
        struct fetch_request_partition *p = &r->topics.items[0].partitions.items[i];
        wire_struct_defaults(&wire_struct_fetch_request_partition, p);
        p->partition = first + i;
        p->fetch_offset = offset;
        p->partition_max_bytes = 1 << 20;
    }
    return r;
}

static const struct fetch_response *ask(struct scene *s, struct fetch_request *r, int32_t id,
                                        int32_t epoch)
{
    r->session_id = id;
    r->session_epoch = epoch;
    return line_ask(s->line, WIRE_FETCH, 13, r, &s->arena);
}

static const struct fetch_response *go_on(struct scene *s, int32_t id, int32_t epoch)
{
    return ask(s, naming(s, &s->desk->topic_id, 0, 0, 0), id, epoch);
}

static int32_t begin(struct scene *s)
{
    const struct fetch_response *r = ask(s, naming(s, &s->desk->topic_id, 0, 1, 0), 0, 0);
    assert_int_equal(r->error_code, KAFKA_NONE);
    assert_int_equal(r->responses.count, 1);
    return r->session_id;
}

static const struct fetch_response_partition *only(const struct fetch_response *r)
{
    assert_int_equal(r->error_code, KAFKA_NONE);
    assert_int_equal(r->responses.count, 1);
    assert_int_equal(r->responses.items[0].partitions.count, 1);
    return &r->responses.items[0].partitions.items[0];
}

static void test_only_changes_are_told(void **state)
{
    (void)state;
    struct scene *s = scene_new(61, NULL);
    int32_t id = begin(s);
    assert_true(id > 0);
    assert_int_equal(go_on(s, id, 1)->responses.count, 0);
    produce(s, "t", 0);
    /* Told until the consumer says that it has it. */
    for (int32_t epoch = 2; epoch < 4; epoch++) {
        const struct fetch_response *r = go_on(s, id, epoch);
        assert_int_equal(r->session_id, id);
        assert_true(only(r)->records.size > 100);
        assert_int_equal(only(r)->high_watermark, 1);
        assert_true(uuid_equal(&r->responses.items[0].topic_id, &s->desk->topic_id));
    }
    assert_int_equal(ask(s, naming(s, &s->desk->topic_id, 0, 1, 1), id, 4)->responses.count, 0);
    assert_int_equal(go_on(s, id, 5)->responses.count, 0);
    /* What has no answer but an error has one every time. */
    struct uuid stranger = uuid_from_number(99);
    const struct fetch_response *r = ask(s, naming(s, &stranger, 0, 1, 0), id, 6);
    assert_int_equal(only(r)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    r = go_on(s, id, 7);
    assert_int_equal(only(r)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    /* Forgotten: it is heard of no more. */
    struct fetch_request *f = naming(s, &s->desk->topic_id, 0, 0, 0);
    int32_t zero = 0;
    f->forgotten_topics_data.count = 1;
    f->forgotten_topics_data.items =
        arena_array(&s->arena, 1, sizeof *f->forgotten_topics_data.items);
    f->forgotten_topics_data.items[0].topic_id = stranger;
    f->forgotten_topics_data.items[0].partitions.items = &zero;
    f->forgotten_topics_data.items[0].partitions.count = 1;
    assert_int_equal(ask(s, f, id, 8)->responses.count, 0);
    /* And with the last one the session ends. */
    f->forgotten_topics_data.items[0].topic_id = s->desk->topic_id;
    r = ask(s, f, id, 9);
    assert_int_equal(r->error_code, KAFKA_NONE);
    assert_int_equal(r->session_id, 0);
    assert_int_equal(go_on(s, id, 10)->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    scene_free(s);
}

static void test_refusals(void **state)
{
    (void)state;
    struct scene *s = scene_new(62, NULL);
    int32_t id = begin(s);
    assert_int_equal(go_on(s, id + 1, 1)->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(go_on(s, id, 2)->error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    struct fetch_request *f = fetch_of(&s->arena, 0, 0, 1);
    f->session_id = id;
    f->session_epoch = 1;
    const struct fetch_response *r = line_ask(s->line, WIRE_FETCH, 12, f, &s->arena);
    assert_int_equal(r->error_code, KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    assert_int_equal(go_on(s, id, 1)->error_code, KAFKA_NONE); /* none of it cost anything */
    /* A request that is still parked gives way to the next. */
    f = naming(s, &s->desk->topic_id, 0, 0, 0);
    f->max_wait_ms = 20000;
    f->session_id = id;
    f->session_epoch = 2;
    int32_t parked = line_send(s->other, WIRE_FETCH, 13, f);
    desk_run(s->desk, 100);
    assert_int_equal(s->other->got, s->other->taken);
    assert_int_equal(go_on(s, id, 3)->error_code, KAFKA_NONE);
    r = line_take(s->other, WIRE_FETCH, 13, parked, &s->arena);
    assert_int_equal(r->error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    /* A full request ends the session it names; a last one begins none. */
    r = ask(s, naming(s, &s->desk->topic_id, 0, 1, 0), id, 0);
    assert_true(r->session_id != 0 && r->session_id != id);
    assert_int_equal(go_on(s, id, 4)->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    id = r->session_id;
    r = ask(s, naming(s, &s->desk->topic_id, 0, 1, 0), id, -1);
    assert_int_equal(r->session_id, 0);
    assert_int_equal(r->responses.count, 1);
    assert_int_equal(go_on(s, id, 1)->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch_sessions_count(s->desk->broker->api.fetch_sessions), 0);
    scene_free(s);
}

/* A session outlives its connection, and what moved while nobody asked is told to the next. */
static void test_dropped_connection(void **state)
{
    (void)state;
    struct scene *s = scene_new(63, NULL);
    int32_t id = begin(s);
    struct fetch_request *f = naming(s, &s->desk->topic_id, 0, 0, 0);
    f->max_wait_ms = 20000;
    f->session_id = id;
    f->session_epoch = 1;
    line_send(s->line, WIRE_FETCH, 13, f);
    desk_run(s->desk, 100);
    line_free(s->line);
    desk_run(s->desk, 100);
    produce(s, "t", 0);
    s->line = line_new(s->desk);
    assert_true(only(go_on(s, id, 2))->records.size > 100);
    scene_free(s);
}

/* An idle round looks at nothing, and one in which something moved at what moved. */
static void test_cost_is_of_what_changed(void **state)
{
    (void)state;
    struct scene *s = scene_new(64, NULL);
    make_many(s);
    const struct fetch_sessions *all = s->desk->broker->api.fetch_sessions;
    const struct fetch_response *r = ask(s, naming(s, &s->many_id, 0, MANY, 0), 0, 0);
    assert_int_equal(r->responses.items[0].partitions.count, MANY);
    int32_t id = r->session_id;
    int32_t epoch = 1;
    uint64_t before = fetch_sessions_looks(all);
    assert_int_equal(before, MANY);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(go_on(s, id, epoch++)->responses.count, 0);
    }
    assert_int_equal(fetch_sessions_looks(all), before);
    for (int32_t i = 0; i < 3; i++) {
        produce(s, "many", 10 * i);
    }
    r = go_on(s, id, epoch++);
    assert_int_equal(r->responses.count, 1);
    assert_int_equal(r->responses.items[0].partitions.count, 3);
    assert_int_equal(fetch_sessions_looks(all), before + 3);
    scene_free(s);
}

/* Retention moves the start of a log that nobody writes to. */
static void test_start_is_told(void **state)
{
    (void)state;
    struct scene *s = scene_new(66, NULL);
    produce(s, "t", 0); /* long ago, by its own time */
    int32_t id = ask(s, naming(s, &s->desk->topic_id, 0, 1, 1), 0, 0)->session_id;
    assert_int_equal(go_on(s, id, 1)->responses.count, 0);
    desk_run(s->desk, 65000);
    assert_int_equal(only(go_on(s, id, 2))->log_start_offset, 1);
    assert_int_equal(go_on(s, id, 3)->responses.count, 0);
    scene_free(s);
}

/* With all slots taken: no session, unless one has been silent for two minutes, or is smaller and
 * older than that. */
static void test_slots(void **state)
{
    (void)state;
    struct scene *s = scene_new(65, two_slots);
    make_many(s);
    int32_t first = begin(s);
    int32_t second = begin(s);
    assert_true(first != 0 && second != 0);
    assert_int_equal(begin(s), 0);
    assert_int_equal(ask(s, naming(s, &s->many_id, 0, 5, 0), 0, 0)->session_id, 0);
    desk_run(s->desk, 100000);
    assert_int_equal(go_on(s, first, 1)->error_code, KAFKA_NONE);
    assert_int_equal(go_on(s, second, 1)->error_code, KAFKA_NONE);
    desk_run(s->desk, 30000);      /* both are old now, and neither is silent */
    assert_int_equal(begin(s), 0); /* as large as they are */
    int32_t larger = ask(s, naming(s, &s->many_id, 0, 5, 0), 0, 0)->session_id;
    assert_true(larger != 0);
    assert_int_equal(go_on(s, first, 2)->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(go_on(s, second, 2)->error_code, KAFKA_NONE);
    desk_run(s->desk, 110000);
    assert_int_equal(go_on(s, second, 3)->error_code, KAFKA_NONE);
    desk_run(s->desk, 20000);
    assert_true(begin(s) != 0);
    assert_int_equal(go_on(s, larger, 1)->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch_sessions_count(s->desk->broker->api.fetch_sessions), 2);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_changes_are_told),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_dropped_connection),
        cmocka_unit_test(test_cost_is_of_what_changed),
        cmocka_unit_test(test_start_is_told),
        cmocka_unit_test(test_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
