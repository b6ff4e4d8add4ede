#include "tests/unit/node/desk.h"

#include "common/base/mem.h"

static bool is_set(void *ctx)
{
    return *(const bool *)ctx;
}

static void wait_flag(struct desk *d, bool *flag)
{
    assert_true(*flag || sim_run_until(d->sim, is_set, flag, 60000, 0));
}

void desk_run(struct desk *d, int64_t for_ms)
{
    sim_run_for(d->sim, for_ms);
}

/* ---- the broker ---- */

static void on_ready(void *ctx, struct broker *broker)
{
    struct desk *d = ctx;
    (void)broker;
    d->ready = true;
}

static void on_stopped(void *ctx, struct broker *broker, enum broker_exit code, const char *why)
{
    struct desk *d = ctx;
    (void)broker;
    if (code != BROKER_EXIT_OK) {
        print_error("the broker stopped: %s\n", why);
    }
    d->stopped = true;
}

static void set(struct desk *d, const char *assignment)
{
    struct err_text text = {""};
    if (broker_settings_set(d->settings, assignment, &text) != ERR_NONE) {
        fail_msg("%s", text.text);
    }
}

static void make_topic(struct desk *d)
{
    struct arena arena = {0};
    struct line *l = line_new(d);
    struct create_topics_request *r = request_new(WIRE_CREATE_TOPICS, &arena);
    r->timeout_ms = 5000;
    r->topics.count = 1;
    r->topics.items = arena_array(&arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str("t");
    r->topics.items[0].num_partitions = 1;
    r->topics.items[0].replication_factor = 1;
    struct create_topics_response *out = line_ask(l, WIRE_CREATE_TOPICS, 7, r, &arena);
    assert_int_equal(out->topics.items[0].error_code, 0);
    d->topic_id = out->topics.items[0].topic_id;
    struct find_coordinator_request *f = request_new(WIRE_FIND_COORDINATOR, &arena);
    f->key = wire_str("g");
    line_ask(l, WIRE_FIND_COORDINATOR, 3, f, &arena); /* makes __consumer_offsets */
    desk_run(d, 2000);
    line_free(l);
    arena_free(&arena);
}

struct desk *desk_new(uint64_t seed, const char *const *more)
{
    struct desk *d = mem_zalloc(sizeof *d);
    struct sim_options options = {.seed = seed};
    struct err_text text = {""};
    d->sim = sim_new(&options);
    d->node = sim_node_new(d->sim, "one", "10.0.0.1");
    d->client = sim_node_new(d->sim, "client", "10.0.0.2");
    d->settings = broker_settings_new();
    set(d, "node.id=1");
    set(d, "log.dirs=/data/logs");
    set(d, "listeners=PLAINTEXT://10.0.0.1:9092");
    set(d, "offsets.topic.num.partitions=1");
    set(d, "group.initial.rebalance.delay.ms=0");
    for (int i = 0; more != NULL && more[i] != NULL; i++) {
        set(d, more[i]);
    }
    if (broker_settings_check(d->settings, &text) != ERR_NONE) {
        fail_msg("%s", text.text);
    }
    struct broker_news news = {.ready = on_ready, .stopped = on_stopped, .ctx = d};
    d->broker = broker_start(sim_node_env(d->node), d->settings, &news);
    wait_flag(d, &d->ready);
    make_topic(d);
    return d;
}

void desk_free(struct desk *d)
{
    if (!d->stopped) {
        sim_node_crash(d->node, SIM_KILL);
    }
    broker_free(d->broker);
    broker_settings_free(d->settings);
    sim_free(d->sim);
    mem_free(d);
}

/* ---- lines ---- */

static void on_connected(void *ctx, env_conn conn)
{
    (void)conn;
    ((struct line *)ctx)->connected = true;
}

static void on_frame(void *ctx, env_conn conn, struct buf *frame)
{
    struct line *l = ctx;
    (void)conn;
    assert_true(l->got < 2000);
    l->frames[l->got++] = frame;
}

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    (void)conn;
    (void)reason;
    (void)why;
    ((struct line *)ctx)->closed = true;
}

static const struct env_conn_events events = {
    .connected = on_connected, .frame = on_frame, .closed = on_closed};

struct line *line_new(struct desk *d)
{
    return line_new_at(d, 9092);
}

struct line *line_new_at(struct desk *d, uint16_t port)
{
    struct line *l = mem_zalloc(sizeof *l);
    l->desk = d;
    l->next_id = 100;
    l->conn = env_dial(sim_node_env(d->client), "10.0.0.1", port, 100 << 20, &events, l);
    wait_flag(d, &l->connected);
    return l;
}

void line_free(struct line *l)
{
    if (!l->closed) {
        env_close(sim_node_env(l->desk->client), l->conn, false);
        desk_run(l->desk, 50);
    }
    for (int i = l->taken; i < l->got; i++) {
        buf_unref(l->frames[i]);
    }
    mem_free(l);
}

void *request_new(int16_t key, struct arena *arena)
{
    const struct wire_message *message = wire_api_of(key)->request;
    void *request = arena_alloc(arena, wire_message_size(message));
    wire_defaults(message, request);
    return request;
}

int32_t line_send(struct line *l, int16_t key, int16_t version, const void *request)
{
    struct wire_out out = {0};
    struct wire_request_header header = {.api_key = key,
                                         .api_version = version,
                                         .correlation_id = l->next_id++,
                                         .client_id = wire_str("desk")};
    wire_put_i32(&out, 0);
    wire_put_request_header(&out, &header);
    enum err error = wire_encode(wire_api_of(key)->request, version, request, &out);
    if (error != ERR_NONE) {
        fail_msg("request %d version %d does not encode", key, version);
    }
    wire_patch_i32(&out, 0, (int32_t)out.bytes.size - 4);
    struct buf *buf = buf_copy(out.bytes.data, out.bytes.size);
    struct env_piece piece = {.bytes = slice_of(buf, 0, buf->size)};
    env_send(sim_node_env(l->desk->client), l->conn, &piece, 1);
    buf_unref(buf);
    wire_out_free(&out);
    return header.correlation_id;
}

static bool frame_or_end(void *ctx)
{
    struct line *l = ctx;
    return l->got > l->taken || l->closed;
}

void *line_take(struct line *l, int16_t key, int16_t version, int32_t id, struct arena *arena)
{
    const struct wire_message *message = wire_api_of(key)->response;
    if (!frame_or_end(l)) {
        sim_run_until(l->desk->sim, frame_or_end, l, 60000, 0);
    }
    if (l->got == l->taken) {
        fail_msg("no answer to API %d version %d: %s", key, version,
                 l->closed ? "closed" : "silence");
    }
    struct buf *frame = l->frames[l->taken++];
    const uint8_t *copy = arena_dup(arena, frame->data, frame->size);
    struct wire_in in = wire_in_of(copy, frame->size);
    buf_unref(frame);
    int32_t got_id = 0;
    assert_int_equal(wire_get_response_header(&in, key, version, &got_id), ERR_NONE);
    assert_int_equal(got_id, id);
    void *response = arena_alloc(arena, wire_message_size(message));
    if (wire_decode(message, version, &in, response, arena) != ERR_NONE || wire_in_left(&in) != 0) {
        fail_msg("the answer to API %d version %d does not decode", key, version);
    }
    return response;
}

void *line_ask(struct line *l, int16_t key, int16_t version, const void *request,
               struct arena *arena)
{
    return line_take(l, key, version, line_send(l, key, version, request), arena);
}

struct produce_request *produce_of(struct arena *arena, int16_t acks, size_t size)
{
    struct produce_request *r = request_new(WIRE_PRODUCE, arena);
    struct batch_builder builder;
    struct bytes bytes = {0};
    batch_builder_init(&builder);
    uint8_t *value = arena_alloc(arena, size + 1);
    batch_builder_add(&builder, 1000, (struct wire_bytes){NULL, -1},
                      (struct wire_bytes){value, (int32_t)size}, NULL, 0);
    assert_int_equal(batch_build(&builder, &bytes, NULL), ERR_NONE);
    r->acks = acks;
    r->timeout_ms = 5000;
    r->topic_data.count = 1;
    r->topic_data.items = arena_array(arena, 1, sizeof *r->topic_data.items);
    r->topic_data.items[0].name = wire_str("t");
    r->topic_data.items[0].partition_data.count = 1;
    r->topic_data.items[0].partition_data.items =
        arena_array(arena, 1, sizeof *r->topic_data.items[0].partition_data.items);
    r->topic_data.items[0].partition_data.items[0].records.data =
        arena_dup(arena, bytes.data, bytes.size);
    r->topic_data.items[0].partition_data.items[0].records.size = (int32_t)bytes.size;
    bytes_free(&bytes);
    batch_builder_free(&builder);
    return r;
}

struct fetch_request *fetch_of(struct arena *arena, int64_t offset, int32_t max_wait_ms,
                               int32_t min_bytes)
{
    struct fetch_request *r = request_new(WIRE_FETCH, arena);
    r->replica_id = -1;
    r->max_wait_ms = max_wait_ms;
    r->min_bytes = min_bytes;
    r->topics.count = 1;
    r->topics.items = arena_array(arena, 1, sizeof *r->topics.items);
    r->topics.items[0].topic = wire_str("t");
    r->topics.items[0].partitions.count = 1;
    r->topics.items[0].partitions.items =
        arena_array(arena, 1, sizeof *r->topics.items[0].partitions.items);
    struct fetch_request_partition *p = r->topics.items[0].partitions.items;
    wire_struct_defaults(&wire_struct_fetch_request_partition, p);
    p->fetch_offset = offset;
    p->partition_max_bytes = 1 << 20;
    return r;
}
