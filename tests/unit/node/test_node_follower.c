/* A leader and the fetches of a follower, which is played: broker 2 is registered and unfenced by
 * its own requests, and holds a copy of "r"-0 that broker 1 leads. */
#include "common/base/mem.h"
#include "broker/controller/controller.h"
#include "broker/node/node_internal.h"
#include "tests/unit/node/desk.h"

enum { WAIT_MS = 20000 };

static const char *const two_listeners[] = {
    "listeners=PLAINTEXT://10.0.0.1:9092,CONTROLLER://10.0.0.1:9093",
    "controller.listener.names=CONTROLLER",
    "broker.session.timeout.ms=600000",
    "broker.rack=a",
    "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector",
    "leader.replication.throttled.rate=1000",
    NULL};

struct pair {
    struct desk *desk;
    struct line *controller; /* carries broker 2's heartbeats: while it is open 2 is alive */
    struct line *producer;
    struct line *follower;
    struct line *consumer;
    struct arena arena;
    struct uuid topic_id;
    int64_t epoch; /* of broker 2 */
    int32_t produced;
};

static int64_t register_second(struct pair *p, struct line *controller)
{
    struct broker_registration_request *r = request_new(WIRE_BROKER_REGISTRATION, &p->arena);
    __typeof__(r->listeners.items) listener = arena_array(&p->arena, 1, sizeof *r->listeners.items);
    size_t count = 0;
    const struct controller_feature *features = controller_default_features(&count);
    r->broker_id = 2;
    r->cluster_id = wire_str(broker_cluster_id(p->desk->broker));
    r->incarnation_id = uuid_from_number((uint64_t)sim_now_us(p->desk->sim));
    listener->name = wire_str("PLAINTEXT");
    listener->host = wire_str("10.0.0.2");
    listener->port = 9092;
    r->rack = wire_str("b");
    r->listeners.items = listener;
    r->listeners.count = 1;
    r->features.items = arena_array(&p->arena, count, sizeof *r->features.items);
    r->features.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        r->features.items[i].name = wire_str(features[i].name);
        r->features.items[i].min_supported_version = features[i].min;
        r->features.items[i].max_supported_version = features[i].max;
    }
    r->log_dirs.count = 1;
    r->log_dirs.items = arena_array(&p->arena, 1, sizeof *r->log_dirs.items);
    r->log_dirs.items[0] = uuid_from_number(7777);
    const struct broker_registration_response *out =
        line_ask(controller, WIRE_BROKER_REGISTRATION, 4, r, &p->arena);
    assert_int_equal(out->error_code, KAFKA_NONE);
    struct broker_heartbeat_request *h = request_new(WIRE_BROKER_HEARTBEAT, &p->arena);
    h->broker_id = 2;
    h->broker_epoch = out->broker_epoch;
    h->current_metadata_offset = INT32_MAX;
    const struct broker_heartbeat_response *beat =
        line_ask(controller, WIRE_BROKER_HEARTBEAT, 1, h, &p->arena);
    assert_int_equal(beat->error_code, KAFKA_NONE);
    return out->broker_epoch;
}

static void make_topic(struct pair *p, const char *throttled)
{
    struct create_topics_request *r = request_new(WIRE_CREATE_TOPICS, &p->arena);
    static int32_t both[] = {1, 2};
    r->timeout_ms = 5000;
    r->topics.count = 1;
    r->topics.items = arena_array(&p->arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str("r");
    r->topics.items[0].num_partitions = -1;
    r->topics.items[0].replication_factor = -1;
    r->topics.items[0].assignments.count = 1;
    r->topics.items[0].assignments.items =
        arena_array(&p->arena, 1, sizeof *r->topics.items[0].assignments.items);
    r->topics.items[0].assignments.items[0].broker_ids.items = both;
    r->topics.items[0].assignments.items[0].broker_ids.count = 2;
    r->topics.items[0].configs.count = 2;
    r->topics.items[0].configs.items =
        arena_array(&p->arena, 2, sizeof *r->topics.items[0].configs.items);
    r->topics.items[0].configs.items[0].name = wire_str("leader.replication.throttled.replicas");
    r->topics.items[0].configs.items[0].value = wire_str(throttled);
    r->topics.items[0].configs.items[1].name = wire_str("retention.ms");
    r->topics.items[0].configs.items[1].value = wire_str("-1"); /* the records' time is long ago */
    const struct create_topics_response *out =
        line_ask(p->producer, WIRE_CREATE_TOPICS, 7, r, &p->arena);
    assert_int_equal(out->topics.items[0].error_code, KAFKA_NONE);
    p->topic_id = out->topics.items[0].topic_id;
}

static struct pair *pair_throttled(uint64_t seed, const char *throttled)
{
    struct pair *p = mem_zalloc(sizeof *p);
    p->desk = desk_new(seed, two_listeners);
    p->controller = line_new_at(p->desk, 9093);
    p->producer = line_new(p->desk);
    p->follower = line_new(p->desk);
    p->consumer = line_new(p->desk);
    p->epoch = register_second(p, p->controller);
    desk_run(p->desk, 200);
    make_topic(p, throttled);
    desk_run(p->desk, 500);
    return p;
}

static struct pair *pair_new(uint64_t seed)
{
    return pair_throttled(seed, "");
}

static void pair_free(struct pair *p)
{
    line_free(p->controller);
    line_free(p->producer);
    line_free(p->follower);
    line_free(p->consumer);
    desk_free(p->desk);
    arena_free(&p->arena);
    mem_free(p);
}

/* One record, acks=all; answered when both have it. */
static void produce(struct pair *p)
{
    struct produce_request *r = produce_of(&p->arena, -1, 100);
    r->topic_data.items[0].name = wire_str("r");
    r->timeout_ms = 60000;
    p->produced = line_send(p->producer, WIRE_PRODUCE, 9, r);
    desk_run(p->desk, 100);
}

static bool acknowledged(struct pair *p)
{
    if (p->producer->got == p->producer->taken) {
        return false;
    }
    const struct produce_response *out =
        line_take(p->producer, WIRE_PRODUCE, 9, p->produced, &p->arena);
    assert_int_equal(out->responses.items[0].partition_responses.items[0].error_code, KAFKA_NONE);
    return true;
}

static struct fetch_request *fetch_as(struct pair *p, int32_t id, int64_t epoch, int64_t offset)
{
    struct fetch_request *r = fetch_of(&p->arena, offset, WAIT_MS, 1);
    r->topics.items[0].topic = wire_str("");
    r->topics.items[0].topic_id = p->topic_id;
    r->replica_state.replica_id = id;
    r->replica_state.replica_epoch = epoch;
    return r;
}

static const struct fetch_response_partition *ask(struct pair *p, const struct fetch_request *r,
                                                  int16_t version)
{
    const struct fetch_response *out = line_ask(p->follower, WIRE_FETCH, version, r, &p->arena);
    assert_int_equal(out->error_code, KAFKA_NONE);
    return &out->responses.items[0].partitions.items[0];
}

static bool waits(const struct line *l)
{
    return l->got == l->taken;
}

static void test_follower_moves_the_mark(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    produce(p);
    assert_false(acknowledged(p));
    /* It gets what consumers do not see yet. */
    const struct fetch_response_partition *part = ask(p, fetch_as(p, 2, p->epoch, 0), 15);
    assert_int_equal(part->error_code, KAFKA_NONE);
    assert_true(part->records.size > 100);
    assert_int_equal(part->high_watermark, 0);
    assert_int_equal(part->log_start_offset, 0);
    struct fetch_request *consumer = fetch_as(p, -1, -1, 0);
    consumer->max_wait_ms = 100;
    const struct fetch_response *seen = line_ask(p->consumer, WIRE_FETCH, 15, consumer, &p->arena);
    assert_int_equal(seen->responses.items[0].partitions.items[0].records.size, 0);
    assert_false(acknowledged(p));
    /* The next fetch says that it has it. Nothing else to tell: it waits, until there is more. */
    int32_t id = line_send(p->follower, WIRE_FETCH, 15, fetch_as(p, 2, p->epoch, 1));
    desk_run(p->desk, 1000);
    assert_true(acknowledged(p));
    assert_true(waits(p->follower));
    produce(p);
    assert_false(waits(p->follower));
    const struct fetch_response *more = line_take(p->follower, WIRE_FETCH, 15, id, &p->arena);
    assert_true(more->responses.items[0].partitions.items[0].records.size > 100);
    assert_int_equal(more->responses.items[0].partitions.items[0].high_watermark, 1);
    assert_false(acknowledged(p)); /* that it was sent does not say that it arrived */
    pair_free(p);
}

/* Version 18 names the mark that the follower knows: news of it does not wait (KIP-1166). */
static void test_news_of_the_mark(void **state)
{
    (void)state;
    struct pair *p = pair_new(2);
    produce(p);
    ask(p, fetch_as(p, 2, p->epoch, 0), 18);
    struct fetch_request *r = fetch_as(p, 2, p->epoch, 1);
    r->topics.items[0].partitions.items[0].high_watermark = 0;
    int64_t start_us = sim_now_us(p->desk->sim);
    const struct fetch_response_partition *part = ask(p, r, 18);
    assert_true(sim_now_us(p->desk->sim) - start_us < 1000000);
    assert_int_equal(part->high_watermark, 1);
    assert_int_equal(part->records.size, 0);
    r->topics.items[0].partitions.items[0].high_watermark = 1;
    line_send(p->follower, WIRE_FETCH, 18, r);
    desk_run(p->desk, 1000);
    assert_true(waits(p->follower)); /* nothing new; and a crash while it is parked */
    pair_free(p);
}

/* The high watermark moves on no word but that of a broker that holds the partition, in its present
 * incarnation (CVE-2018-1288, KIP-903). */
static void test_strangers_move_nothing(void **state)
{
    (void)state;
    struct pair *p = pair_new(3);
    produce(p);
    ask(p, fetch_as(p, 2, p->epoch, 0), 15);
    const struct {
        int32_t id;
        int64_t epoch;
        int16_t error;
    } rows[] = {{7, -1, KAFKA_UNKNOWN_LEADER_EPOCH},
                {7, 5, KAFKA_UNKNOWN_LEADER_EPOCH},
                {1, -1, KAFKA_UNKNOWN_LEADER_EPOCH}, /* this very broker */
                {2, p->epoch + 1, KAFKA_UNKNOWN_LEADER_EPOCH},
                {2, p->epoch - 1, KAFKA_NOT_LEADER_OR_FOLLOWER}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t start_us = sim_now_us(p->desk->sim);
        const struct fetch_response_partition *part =
            ask(p, fetch_as(p, rows[i].id, rows[i].epoch, 1), 15);
        assert_int_equal(part->error_code, rows[i].error);
        assert_int_equal(part->high_watermark, -1);
        assert_int_equal(part->records.size, 0);
        assert_true(sim_now_us(p->desk->sim) - start_us < 1000000);
        desk_run(p->desk, 200);
        assert_false(acknowledged(p));
    }
    /* A broker that holds no copy of it. */
    struct fetch_request *r = fetch_as(p, 2, p->epoch, 0);
    r->topics.items[0].topic_id = p->desk->topic_id;
    assert_int_equal(ask(p, r, 15)->error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
    /* And one that claims more than there is. */
    assert_int_equal(ask(p, fetch_as(p, 2, p->epoch, 9), 15)->error_code,
                     KAFKA_OFFSET_OUT_OF_RANGE);
    desk_run(p->desk, 200);
    assert_false(acknowledged(p));
    /* Versions before 15 say who they are elsewhere, and in no incarnation. */
    r = fetch_as(p, -1, -1, 1);
    r->replica_id = 2;
    r->max_wait_ms = 100;
    assert_int_equal(ask(p, r, 14)->error_code, KAFKA_NONE);
    assert_true(acknowledged(p));
    pair_free(p);
}

/* Parked when the epoch ends: told at once. */
static void test_parked_over_an_end(void **state)
{
    (void)state;
    struct pair *p = pair_new(4);
    int32_t id = line_send(p->follower, WIRE_FETCH, 15, fetch_as(p, 2, p->epoch, 0));
    desk_run(p->desk, 300);
    assert_true(waits(p->follower));
    struct delete_topics_request *r = request_new(WIRE_DELETE_TOPICS, &p->arena);
    struct wire_str name = wire_str("r");
    r->timeout_ms = 5000;
    r->topic_names.items = &name;
    r->topic_names.count = 1;
    line_ask(p->producer, WIRE_DELETE_TOPICS, 5, r, &p->arena);
    desk_run(p->desk, 300);
    assert_false(waits(p->follower));
    const struct fetch_response *out = line_take(p->follower, WIRE_FETCH, 15, id, &p->arena);
    assert_int_equal(out->responses.items[0].partitions.items[0].error_code,
                     KAFKA_UNKNOWN_TOPIC_ID);
    pair_free(p);
}

/* A consumer's copy of the tool: a follower's end is anybody's to ask (replica id -2), the
 * followers' own question is for the leader's end. */
static void test_ends(void **state)
{
    (void)state;
    struct pair *p = pair_new(5);
    produce(p); /* not replicated: the mark stays at 0 */
    static const struct {
        int32_t replica_id;
        int64_t end;
    } rows[] = {{-1, 0}, {-2, 1}, {2, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct list_offsets_request *r = request_new(WIRE_LIST_OFFSETS, &p->arena);
        r->replica_id = rows[i].replica_id;
        r->topics.count = 1;
        r->topics.items = arena_array(&p->arena, 1, sizeof *r->topics.items);
        r->topics.items[0].name = wire_str("r");
        r->topics.items[0].partitions.count = 1;
        r->topics.items[0].partitions.items =
            arena_array(&p->arena, 1, sizeof *r->topics.items[0].partitions.items);
        r->topics.items[0].partitions.items[0].current_leader_epoch = -1;
        r->topics.items[0].partitions.items[0].timestamp = -1;
        const struct list_offsets_response *out =
            line_ask(p->follower, WIRE_LIST_OFFSETS, 9, r, &p->arena);
        assert_int_equal(out->topics.items[0].partitions.items[0].error_code, KAFKA_NONE);
        assert_int_equal(out->topics.items[0].partitions.items[0].offset, rows[i].end);
    }
    pair_free(p);
}

/* Whoever asks the wrong broker is told the right one (KIP-951). */
static void test_leader_instead(void **state)
{
    (void)state;
    struct pair *p = pair_new(6);
    struct create_topics_request *r = request_new(WIRE_CREATE_TOPICS, &p->arena);
    static int32_t second[] = {2};
    r->timeout_ms = 5000;
    r->topics.count = 1;
    r->topics.items = arena_array(&p->arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str("elsewhere");
    r->topics.items[0].num_partitions = -1;
    r->topics.items[0].replication_factor = -1;
    r->topics.items[0].assignments.count = 2;
    r->topics.items[0].assignments.items =
        arena_array(&p->arena, 2, sizeof *r->topics.items[0].assignments.items);
    for (int32_t i = 0; i < 2; i++) {
        r->topics.items[0].assignments.items[i].partition_index = i;
        r->topics.items[0].assignments.items[i].broker_ids.items = second;
        r->topics.items[0].assignments.items[i].broker_ids.count = 1;
    }
    const struct create_topics_response *made =
        line_ask(p->producer, WIRE_CREATE_TOPICS, 7, r, &p->arena);
    assert_int_equal(made->topics.items[0].error_code, KAFKA_NONE);
    desk_run(p->desk, 300);
    struct fetch_request *f = fetch_as(p, -1, -1, 0);
    f->topics.items[0].topic_id = made->topics.items[0].topic_id;
    f->topics.items[0].partitions.items =
        arena_array(&p->arena, 2, sizeof *f->topics.items[0].partitions.items);
    f->topics.items[0].partitions.count = 2;
    for (int32_t i = 0; i < 2; i++) {
        wire_struct_defaults(&wire_struct_fetch_request_partition,
                             &f->topics.items[0].partitions.items[i]);
        f->topics.items[0].partitions.items[i].partition = i;
    }
    const struct fetch_response *got = line_ask(p->consumer, WIRE_FETCH, 16, f, &p->arena);
    for (int32_t i = 0; i < 2; i++) {
        const struct fetch_response_partition *part = &got->responses.items[0].partitions.items[i];
        assert_int_equal(part->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
        assert_int_equal(part->current_leader.leader_id, 2);
        assert_int_equal(part->current_leader.leader_epoch, 0);
    }
    assert_int_equal(got->node_endpoints.count, 1);
    assert_int_equal(got->node_endpoints.items[0].node_id, 2);
    assert_true(wire_str_is(got->node_endpoints.items[0].host, "10.0.0.2"));
    assert_int_equal(got->node_endpoints.items[0].port, 9092);
    struct produce_request *w = produce_of(&p->arena, -1, 10);
    w->topic_data.items[0].name = wire_str("elsewhere");
    const struct produce_response *put = line_ask(p->producer, WIRE_PRODUCE, 10, w, &p->arena);
    assert_int_equal(put->responses.items[0].partition_responses.items[0].error_code,
                     KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(put->responses.items[0].partition_responses.items[0].current_leader.leader_id,
                     2);
    assert_int_equal(put->node_endpoints.count, 1);
    assert_int_equal(put->node_endpoints.items[0].port, 9092);
    /* A good answer, and another error, name nobody. */
    f = fetch_as(p, -1, -1, 9);
    got = line_ask(p->consumer, WIRE_FETCH, 16, f, &p->arena);
    assert_int_equal(got->responses.items[0].partitions.items[0].error_code,
                     KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(got->responses.items[0].partitions.items[0].current_leader.leader_id, -1);
    assert_int_equal(got->node_endpoints.count, 0);
    pair_free(p);
}

/* A replica that has not come so far, as one that was just added, knows nothing of an offset: who
 * was told that it is out of range would begin again elsewhere. */
static void test_not_so_far(void **state)
{
    (void)state;
    struct pair *p = pair_new(8);
    struct create_topics_request *r = request_new(WIRE_CREATE_TOPICS, &p->arena);
    static int32_t both[] = {2, 1}; /* 2, who is played, leads and gives nothing */
    r->timeout_ms = 5000;
    r->topics.count = 1;
    r->topics.items = arena_array(&p->arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str("behind");
    r->topics.items[0].num_partitions = -1;
    r->topics.items[0].replication_factor = -1;
    r->topics.items[0].assignments.count = 1;
    r->topics.items[0].assignments.items =
        arena_array(&p->arena, 1, sizeof *r->topics.items[0].assignments.items);
    r->topics.items[0].assignments.items[0].broker_ids.items = both;
    r->topics.items[0].assignments.items[0].broker_ids.count = 2;
    const struct create_topics_response *made =
        line_ask(p->producer, WIRE_CREATE_TOPICS, 7, r, &p->arena);
    assert_int_equal(made->topics.items[0].error_code, KAFKA_NONE);
    desk_run(p->desk, 300);
    static const struct {
        int64_t offset;
        int16_t error;
    } rows[] = {{5, KAFKA_OFFSET_NOT_AVAILABLE}, {0, KAFKA_NONE}, {-1, KAFKA_OFFSET_OUT_OF_RANGE}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fetch_request *f = fetch_as(p, -1, -1, rows[i].offset);
        f->max_wait_ms = 0;
        f->topics.items[0].topic_id = made->topics.items[0].topic_id;
        const struct fetch_response *got = line_ask(p->consumer, WIRE_FETCH, 16, f, &p->arena);
        assert_int_equal(got->responses.items[0].partitions.items[0].error_code, rows[i].error);
    }
    pair_free(p);
}

/* A consumer is sent to the replica in its rack, if that has what it asks for (KIP-392). */
static void test_nearest_replica(void **state)
{
    (void)state;
    static const struct {
        const char *rack;
        int16_t version;
        int64_t offset;
        int32_t sent_to;
    } rows[] = {{"b", 13, 0, 2},  {"b", 13, 1, 2}, {"b", 13, 2, -1}, {"a", 13, 0, -1},
                {"c", 13, 0, -1}, {"", 13, 0, -1}, {"b", 11, 0, 2},  {"b", 10, 0, -1}};
    struct pair *p = pair_new(7);
    produce(p);
    ask(p, fetch_as(p, 2, p->epoch, 0), 15);
    struct fetch_request *r = fetch_as(p, 2, p->epoch, 1);
    r->max_wait_ms = 0;
    ask(p, r, 15);
    produce(p); /* which the follower does not have */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        r = fetch_as(p, -1, -1, rows[i].offset);
        r->topics.items[0].topic = wire_str("r");
        r->rack_id = wire_str(rows[i].rack);
        r->max_wait_ms = rows[i].sent_to >= 0 ? WAIT_MS : 0;
        int64_t start_us = sim_now_us(p->desk->sim);
        const struct fetch_response *out =
            line_ask(p->consumer, WIRE_FETCH, rows[i].version, r, &p->arena);
        const struct fetch_response_partition *part = &out->responses.items[0].partitions.items[0];
        assert_true(sim_now_us(p->desk->sim) - start_us < 1000000);
        assert_int_equal(part->error_code, KAFKA_NONE);
        assert_int_equal(part->preferred_read_replica, rows[i].sent_to);
        assert_int_equal(part->records.size > 0, rows[i].sent_to < 0 && rows[i].offset == 0);
        assert_int_equal(part->high_watermark, 1);
    }
    pair_free(p);
}

/* A round of a follower's session tells of a partition when its mark or start has moved, at once,
 * and takes the follower's silence for being where it was. */
static void test_session_of_a_follower(void **state)
{
    (void)state;
    struct pair *p = pair_new(8);
    struct fetch_request *r = fetch_as(p, 2, p->epoch, 0);
    r->max_wait_ms = 0;
    r->session_epoch = 0;
    const struct fetch_response *out = line_ask(p->follower, WIRE_FETCH, 17, r, &p->arena);
    r->session_id = out->session_id;
    assert_true(r->session_id != 0);
    produce(p);
    struct fetch_request_partition *part = r->topics.items[0].partitions.items;
    /* The record, twice: the follower has not said that it has it. */
    r->topics.count = 0;
    for (r->session_epoch = 1; r->session_epoch < 3; r->session_epoch++) {
        out = line_ask(p->follower, WIRE_FETCH, 17, r, &p->arena);
        assert_true(out->responses.items[0].partitions.items[0].records.size > 100);
        assert_int_equal(out->responses.items[0].partitions.items[0].high_watermark, 0);
    }
    assert_false(acknowledged(p));
    /* It has it: the mark moves, which it hears at once though version 17 names no mark. */
    r->topics.count = 1;
    part->fetch_offset = 1;
    r->max_wait_ms = WAIT_MS;
    int64_t start_us = sim_now_us(p->desk->sim);
    out = line_ask(p->follower, WIRE_FETCH, 17, r, &p->arena);
    assert_true(sim_now_us(p->desk->sim) - start_us < 1000000);
    assert_int_equal(out->responses.items[0].partitions.items[0].high_watermark, 1);
    desk_run(p->desk, 10);
    assert_true(acknowledged(p));
    /* A start that a client moved is told at once. */
    struct replica *replica = replicas_find(p->desk->broker->replicas, &p->topic_id, 0);
    r->topics.count = 0;
    r->session_epoch++;
    int32_t id = line_send(p->follower, WIRE_FETCH, 17, r);
    desk_run(p->desk, 100);
    int64_t offset = 1;
    assert_int_equal(replica_delete_records(replica, &offset), KAFKA_NONE);
    desk_run(p->desk, 100);
    assert_false(waits(p->follower));
    out = line_take(p->follower, WIRE_FETCH, 17, id, &p->arena);
    assert_int_equal(out->responses.items[0].partitions.items[0].log_start_offset, 1);
    /* Silent rounds, longer than replica.lag.time.max.ms allows: it is in sync when they end. */
    r->max_wait_ms = 500;
    for (int i = 0; i < 100; i++) {
        r->session_epoch++;
        out = line_ask(p->follower, WIRE_FETCH, 17, r, &p->arena);
        assert_int_equal(out->responses.count, 0);
    }
    produce(p);
    desk_run(p->desk, 20000); /* over a look for those that lag, which is every 15 s */
    assert_int_equal(replica_isr_count(replica), 2);
    desk_run(p->desk, 40000); /* but not for ever */
    assert_int_equal(replica_isr_count(replica), 1);
    pair_free(p);
}

/* Whether the quota of 1000 bytes a second held a follower that lacks 25000. */
static bool held(uint64_t seed, const char *throttled, bool in_sync)
{
    struct pair *p = pair_throttled(seed, throttled);
    for (int i = 0; i < 5; i++) {
        struct produce_request *w = produce_of(&p->arena, 1, 5000);
        w->topic_data.items[0].name = wire_str("r");
        line_ask(p->producer, WIRE_PRODUCE, 9, w, &p->arena);
    }
    const struct replica *replica = replicas_find(p->desk->broker->replicas, &p->topic_id, 0);
    desk_run(p->desk, in_sync ? 100 : 60000);
    assert_int_equal(replica_isr_count(replica), in_sync ? 2 : 1);
    int64_t at = 0;
    bool waited = false;
    for (int i = 0; i < 60 && at < 5; i++) {
        struct fetch_request *r = fetch_as(p, 2, p->epoch, at);
        r->max_wait_ms = 500;
        r->topics.items[0].partitions.items[0].partition_max_bytes = 100; /* one batch */
        const struct fetch_response_partition *part = ask(p, r, 15);
        assert_int_equal(part->error_code, KAFKA_NONE);
        waited = waited || part->records.size == 0;
        at += part->records.size > 0;
        assert_true(at == i + 1 || i >= 3); /* the first three are within ten seconds' worth */
    }
    assert_int_equal(at, 5); /* held, and then not any more */
    pair_free(p);
    return waited;
}

static void test_leader_throttle(void **state)
{
    (void)state;
    assert_true(held(9, "*", false));
    assert_true(held(10, "3:1,0:1", false));
    assert_false(held(11, "0:2,1:1", false));
    assert_false(held(12, "", false));
    assert_false(held(13, "*", true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follower_moves_the_mark),
        cmocka_unit_test(test_news_of_the_mark),
        cmocka_unit_test(test_strangers_move_nothing),
        cmocka_unit_test(test_parked_over_an_end),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_leader_instead),
        cmocka_unit_test(test_not_so_far),
        cmocka_unit_test(test_nearest_replica),
        cmocka_unit_test(test_session_of_a_follower),
        cmocka_unit_test(test_leader_throttle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
