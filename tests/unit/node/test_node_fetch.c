/* Fetch and ListOffsets in frames. */
#include "common/base/mem.h"
#include "tests/unit/node/desk.h"

static const struct fetch_response_partition *told(const struct fetch_response *r)
{
    return &r->responses.items[0].partitions.items[0];
}

static void produce(struct line *l, size_t size, int64_t expected)
{
    struct arena arena = {0};
    const struct produce_response *r =
        line_ask(l, WIRE_PRODUCE, 9, produce_of(&arena, -1, size), &arena);
    assert_int_equal(r->responses.items[0].partition_responses.items[0].error_code, 0);
    assert_int_equal(r->responses.items[0].partition_responses.items[0].base_offset, expected);
    assert_int_equal(r->responses.items[0].partition_responses.items[0].error_message.size, -1);
    assert_int_equal(r->responses.items[0].partition_responses.items[0].log_append_time_ms, -1);
    arena_free(&arena);
}

static void remove_topic(struct line *l)
{
    struct arena arena = {0};
    struct delete_topics_request *r = request_new(WIRE_DELETE_TOPICS, &arena);
    struct wire_str name = wire_str("t");
    r->timeout_ms = 5000;
    r->topic_names.items = &name;
    r->topic_names.count = 1;
    line_ask(l, WIRE_DELETE_TOPICS, 5, r, &arena);
    arena_free(&arena);
}

void test_fetch_waits(void **state)
{
    (void)state;
    struct desk *d = desk_new(21, NULL);
    struct line *l = line_new(d);
    struct line *other = line_new(d);
    struct arena arena = {0};
    /* Nothing comes: the wait ends, without an error. */
    int64_t start_us = sim_now_us(d->sim);
    int32_t id = line_send(l, WIRE_FETCH, 12, fetch_of(&arena, 0, 700, 1));
    const struct fetch_response *r = line_take(l, WIRE_FETCH, 12, id, &arena);
    int64_t took_ms = (sim_now_us(d->sim) - start_us) / 1000;
    assert_true(took_ms >= 699 && took_ms < 850);
    assert_int_equal(told(r)->error_code, 0);
    assert_int_equal(told(r)->records.size, 0);
    assert_int_equal(told(r)->preferred_read_replica, -1);
    /* An append wakes it; too little does not. */
    id = line_send(l, WIRE_FETCH, 12, fetch_of(&arena, 0, 20000, 300));
    produce(other, 10, 0);
    desk_run(d, 1000);
    assert_int_equal(l->got, l->taken);
    produce(other, 300, 1);
    desk_run(d, 100);
    assert_int_equal(l->got, l->taken + 1);
    r = line_take(l, WIRE_FETCH, 12, id, &arena);
    assert_int_equal(told(r)->high_watermark, 2);
    assert_true(told(r)->records.size > 300);
    /* Its topic goes while it waits. */
    id = line_send(l, WIRE_FETCH, 12, fetch_of(&arena, 2, 20000, 1));
    desk_run(d, 100);
    remove_topic(other);
    desk_run(d, 500);
    assert_int_equal(l->got, l->taken + 1);
    r = line_take(l, WIRE_FETCH, 12, id, &arena);
    assert_int_equal(told(r)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    arena_free(&arena);
    line_free(l);
    line_free(other);
    desk_free(d);
}

/* Whole first batch, then max_bytes; also of batches whose places are no longer in memory (1024
 * are). */
void test_fetch_limits(void **state)
{
    (void)state;
    struct desk *d = desk_new(22, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    for (int i = 0; i < 1200; i++) {
        produce(l, 2000, i);
    }
    static const int64_t offsets[] = {0, 600, 1199};
    for (size_t i = 0; i < 3; i++) {
        struct fetch_request *f = fetch_of(&arena, offsets[i], 1000, 1);
        f->max_bytes = 10;
        const struct fetch_response *r = line_ask(l, WIRE_FETCH, 12, f, &arena);
        struct batch batch;
        assert_int_equal(
            batch_parse(told(r)->records.data, (size_t)told(r)->records.size, &batch, NULL),
            ERR_NONE);
        assert_int_equal(batch.base_offset, offsets[i]);
        assert_int_equal(batch.size, told(r)->records.size);
        f = fetch_of(&arena, offsets[i], 1000, 1);
        f->topics.items[0].partitions.items[0].partition_max_bytes = 5000;
        r = line_ask(l, WIRE_FETCH, 12, f, &arena);
        assert_true(told(r)->records.size <= 5000);
        assert_true(told(r)->records.size > (i < 2 ? 4000 : 2000));
    }
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

/* A read from the disk takes its time; what happens to the other partitions meanwhile is not
 * missed, be it an append or an end. */
void test_fetch_slow_read(void **state)
{
    (void)state;
    for (int ends = 0; ends < 2; ends++) {
        struct desk *d = desk_new(25, NULL);
        struct line *l = line_new(d);
        struct line *other = line_new(d);
        struct arena arena = {0};
        struct metadata_request *m = request_new(WIRE_METADATA, &arena);
        m->topics.count = 1;
        m->topics.items = arena_array(&arena, 1, sizeof *m->topics.items);
        m->topics.items[0].name = wire_str("big");
        line_ask(l, WIRE_METADATA, 9, m, &arena);
        desk_run(d, 500);
        for (int i = 0; i < 1200; i++) {
            struct produce_request *p = produce_of(&arena, -1, 1000);
            p->topic_data.items[0].name = wire_str("big");
            line_ask(l, WIRE_PRODUCE, 9, p, &arena);
        }
        struct fetch_request *f = fetch_of(&arena, 0, 20000, 1 << 20);
        struct fetch_request *second = fetch_of(&arena, 0, 0, 0);
        f->topics.count = 2;
        f->topics.items = arena_array(&arena, 2, sizeof *f->topics.items);
        f->topics.items[0] = fetch_of(&arena, 0, 0, 0)->topics.items[0];
        f->topics.items[1] = second->topics.items[0];
        f->topics.items[1].topic = wire_str("big");
        f->topics.items[1].partitions.items[0].partition_max_bytes = 3000;
        f->max_bytes = 2 << 20;
        sim_disk_latency(d->node, SIM_READ,
                         (struct sim_latency){.min_us = 300000, .max_us = 300000});
        int64_t start_us = sim_now_us(d->sim);
        int32_t id = line_send(l, WIRE_FETCH, 12, f);
        desk_run(d, 200);
        if (ends) {
            remove_topic(other);
        } else {
            produce(other, (1 << 20) - 200, 0);
        }
        assert_int_equal(l->got, l->taken);
        const struct fetch_response *r = line_take(l, WIRE_FETCH, 12, id, &arena);
        assert_true(sim_now_us(d->sim) - start_us < 15000000);
        if (ends) {
            assert_int_equal(told(r)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        } else {
            assert_true(told(r)->records.size > 1000000);
        }
        arena_free(&arena);
        line_free(l);
        line_free(other);
        desk_free(d);
    }
}

void test_fetch_refusals(void **state)
{
    (void)state;
    struct desk *d = desk_new(23, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    const struct fetch_response *r =
        line_ask(l, WIRE_FETCH, 12, fetch_of(&arena, 5, 20000, 1), &arena);
    assert_int_equal(told(r)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    struct fetch_request *f = fetch_of(&arena, 0, 20000, 1);
    f->topics.items[0].topic = wire_str("");
    f->topics.items[0].topic_id = uuid_from_number(4);
    r = line_ask(l, WIRE_FETCH, 13, f, &arena);
    assert_int_equal(told(r)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    f = fetch_of(&arena, 0, 20000, 1);
    f->topics.items[0].partitions.items[0].current_leader_epoch = 7;
    r = line_ask(l, WIRE_FETCH, 12, f, &arena);
    assert_int_equal(told(r)->error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
    f = fetch_of(&arena, 0, 20000, 1);
    f->replica_id = 3;
    r = line_ask(l, WIRE_FETCH, 12, f, &arena);
    assert_true(r->error_code != 0 || r->responses.count == 0 || told(r)->error_code != 0);
    f = fetch_of(&arena, 0, 0, 1);
    f->session_id = 5;
    f->session_epoch = 3;
    r = line_ask(l, WIRE_FETCH, 12, f, &arena);
    assert_int_equal(r->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    f->session_epoch = -1; /* a goodbye to a session, and a fetch without one */
    r = line_ask(l, WIRE_FETCH, 12, f, &arena);
    assert_int_equal(r->error_code, 0);
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}

static struct list_offsets_request *list_of(struct arena *arena, int64_t timestamp)
{
    struct list_offsets_request *r = request_new(WIRE_LIST_OFFSETS, arena);
    r->replica_id = -1;
    r->topics.count = 1;
    r->topics.items = arena_array(arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str("t");
    r->topics.items[0].partitions.count = 1;
    r->topics.items[0].partitions.items =
        arena_array(arena, 1, sizeof *r->topics.items[0].partitions.items);
    r->topics.items[0].partitions.items[0].current_leader_epoch = -1;
    r->topics.items[0].partitions.items[0].timestamp = timestamp;
    return r;
}

/* Clients that go while their requests are parked, at any moment; the broker lives on. */
void test_dropped_while_parked(void **state)
{
    (void)state;
    for (uint64_t seed = 30; seed < 50; seed++) {
        struct desk *d = desk_new(seed, NULL);
        struct arena arena = {0};
        struct line *l = line_new(d);
        produce(l, 100, 0);
        line_send(l, WIRE_LIST_OFFSETS, 7, list_of(&arena, 1));
        line_send(l, WIRE_PRODUCE, 9, produce_of(&arena, -1, 50));
        line_send(l, WIRE_FETCH, 12, fetch_of(&arena, 0, 9000, 100000));
        struct join_group_request *j = request_new(WIRE_JOIN_GROUP, &arena);
        j->group_id = wire_str("g");
        j->session_timeout_ms = 10000;
        j->rebalance_timeout_ms = 5000;
        j->protocol_type = wire_str("consumer");
        j->protocols.count = 1;
        j->protocols.items = arena_array(&arena, 1, sizeof *j->protocols.items);
        j->protocols.items[0].name = wire_str("range");
        line_send(l, WIRE_JOIN_GROUP, 3, j);
        line_send(l, WIRE_JOIN_GROUP, 3, j);
        sim_run_until(d->sim, NULL, NULL, 2000, 4 * (seed - 30));
        line_free(l);
        desk_run(d, 12000);
        l = line_new(d);
        line_ask(l, WIRE_API_VERSIONS, 3, request_new(WIRE_API_VERSIONS, &arena), &arena);
        if (seed % 2 == 0) { /* and a crash with all of it parked */
            line_send(l, WIRE_LIST_OFFSETS, 7, list_of(&arena, 1));
            line_send(l, WIRE_PRODUCE, 9, produce_of(&arena, -1, 50));
            line_send(l, WIRE_FETCH, 12, fetch_of(&arena, 0, 9000, 100000));
            line_send(l, WIRE_JOIN_GROUP, 3, j);
            sim_run_until(d->sim, NULL, NULL, 2000, 3 * (seed - 30));
            sim_node_crash(d->node, SIM_KILL);
            d->stopped = true;
        }
        arena_free(&arena);
        line_free(l);
        desk_free(d);
    }
}

void test_list_offsets(void **state)
{
    (void)state;
    struct desk *d = desk_new(24, NULL);
    struct line *l = line_new(d);
    struct arena arena = {0};
    produce(l, 10, 0);
    produce(l, 10, 1);
    static const struct {
        int64_t time;
        int64_t offset;
        int16_t since; /* the first version that knows this time */
        int64_t timestamp;
    } rows[] = {{-1, 2, 1, -1},  {-2, 0, 1, -1},     {-3, 0, 7, 1000}, {-4, 0, 8, -1},
                {-5, -1, 9, -1}, {-6, -1, 11, -1},   {-7, -1, 12, -1}, {-99, -1, 12, -1},
                {0, 0, 1, 1000}, {1000, 0, 1, 1000}, {1001, -1, 1, -1}};
    for (size_t i = 0; i < 2 * 11 * sizeof rows / sizeof rows[0]; i++) {
        int64_t time = rows[i / 22].time;
        int16_t version = (int16_t)(1 + i % 11);
        bool known = version >= rows[i / 22].since;
        struct list_offsets_request *r = list_of(&arena, time);
        r->replica_id = i % 22 < 11 ? -2 : -1;
        const struct list_offsets_response *out =
            line_ask(l, WIRE_LIST_OFFSETS, version, r, &arena);
        const struct list_offsets_response_partition *p = &out->topics.items[0].partitions.items[0];
        assert_int_equal(p->error_code, known ? 0 : KAFKA_UNSUPPORTED_VERSION);
        assert_int_equal(p->offset, known ? rows[i / 22].offset : -1);
        assert_int_equal(p->timestamp, known ? rows[i / 22].timestamp : -1);
        assert_true(p->offset >= 0 || p->leader_epoch == -1);
    }
    arena_free(&arena);
    line_free(l);
    desk_free(d);
}
