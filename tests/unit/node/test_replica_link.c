/* The replicas' way to other brokers, against a scripted one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/metadata/record.h"
#include "broker/node/node_internal.h"
#include "broker/node/replica_link.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim.h"

enum { PORT = 9092, OTHER_PORT = 9094, LINES_MAX = 8, ASKED_MAX = 16 };

struct peer_line { /* a connection to the peer */
    struct stage *stage;
    env_conn conn;
    uint16_t port;
    bool closed;
};

struct asked { /* a request it got, other than ApiVersions */
    int line;
    int16_t key;
    int16_t version;
    int32_t correlation;
    struct buf *frame;
    size_t at;
};

struct stage {
    struct sim *sim;
    struct sim_node *us;
    struct sim_node *peer;
    struct broker *broker;
    struct broker_settings settings;
    struct node_replica_links *links;
    int64_t next_offset;
    struct env_listener listeners[2];
    struct peer_line lines[LINES_MAX];
    int line_count;
    struct asked asked[ASKED_MAX];
    int asked_count;
    int16_t fetch_max; /* what the peer can */
};

/* ---- the peer ---- */

static void answer(struct stage *s, const struct peer_line *line, int32_t correlation, int16_t key,
                   int16_t version, const void *response)
{
    struct wire_out out = {0};
    wire_put_i32(&out, 0);
    wire_put_response_header(&out, key, version, correlation);
    assert_int_equal(wire_encode(wire_api_of(key)->response, version, response, &out), ERR_NONE);
    wire_patch_i32(&out, 0, (int32_t)out.bytes.size - 4);
    struct buf *buf = buf_copy(out.bytes.data, out.bytes.size);
    struct env_piece piece = {.bytes = slice_of(buf, 0, buf->size)};
    env_send(sim_node_env(s->peer), line->conn, &piece, 1);
    buf_unref(buf);
    wire_out_free(&out);
}

static void answer_versions(struct peer_line *line, const struct wire_request_header *header)
{
    struct api_versions_response response;
    __typeof__(response.api_keys.items[0]) keys[] = {
        {.api_key = WIRE_FETCH, .min_version = 4, .max_version = line->stage->fetch_max},
        {.api_key = WIRE_LIST_OFFSETS, .min_version = 1, .max_version = 11},
        {.api_key = WIRE_API_VERSIONS, .max_version = 4}};
    wire_defaults(&wire_api_versions_response, &response);
    response.api_keys.items = keys;
    response.api_keys.count = 3;
    answer(line->stage, line, header->correlation_id, WIRE_API_VERSIONS, header->api_version,
           &response);
}

static void on_frame(void *ctx, env_conn conn, struct buf *frame)
{
    struct peer_line *line = ctx;
    struct stage *s = line->stage;
    struct wire_request_header header;
    struct wire_in in = wire_in_of(frame->data, frame->size);
    (void)conn;
    assert_int_equal(wire_get_request_header(&in, &header), ERR_NONE);
    if (header.api_key == WIRE_API_VERSIONS) {
        answer_versions(line, &header);
        buf_unref(frame);
        return;
    }
    assert_true(s->asked_count < ASKED_MAX);
    s->asked[s->asked_count++] = (struct asked){.line = (int)(line - s->lines),
                                                .key = header.api_key,
                                                .version = header.api_version,
                                                .correlation = header.correlation_id,
                                                .frame = frame,
                                                .at = frame->size - wire_in_left(&in)};
}

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    (void)conn;
    (void)reason;
    (void)why;
    ((struct peer_line *)ctx)->closed = true;
}

static const struct env_conn_events line_events = {.frame = on_frame, .closed = on_closed};

static void *on_accepted(void *ctx, env_conn conn, const struct env_peer *peer, uint16_t port)
{
    struct stage *s = ctx;
    (void)peer;
    assert_true(s->line_count < LINES_MAX);
    s->lines[s->line_count] = (struct peer_line){.stage = s, .conn = conn, .port = port};
    return &s->lines[s->line_count++];
}

static void *on_accepted_here(void *ctx, env_conn conn, const struct env_peer *peer)
{
    return on_accepted(ctx, conn, peer, PORT);
}

static void *on_accepted_there(void *ctx, env_conn conn, const struct env_peer *peer)
{
    return on_accepted(ctx, conn, peer, OTHER_PORT);
}

static void listen_at(struct stage *s, int i, uint16_t port,
                      void *(*accepted)(void *, env_conn, const struct env_peer *))
{
    struct err_text text;
    s->listeners[i] = (struct env_listener){.events = &line_events,
                                            .max_frame_bytes = 1 << 20,
                                            .accepted = accepted,
                                            .listener_ctx = s};
    assert_int_equal(env_listen(sim_node_env(s->peer), &s->listeners[i], "", port, &text),
                     ERR_NONE);
}

/* Answers a Fetch with an error code to know it by. */
static void answer_fetch(struct stage *s, int i, int16_t error)
{
    struct fetch_response response;
    wire_defaults(&wire_fetch_response, &response);
    response.error_code = error;
    answer(s, &s->lines[s->asked[i].line], s->asked[i].correlation, WIRE_FETCH, s->asked[i].version,
           &response);
}

/* ---- our side ---- */

static void apply(struct stage *s, enum record_key key, int16_t version, const void *message)
{
    struct record_list list = {0};
    struct image_delta delta = {0};
    struct err_text text = {""};
    record_list_add(&list, key, version, message);
    struct wire_bytes record = record_list_at(&list, 0);
    if (image_apply_record(s->broker->image, &delta, record.data, (size_t)record.size,
                           s->next_offset++, 1, 0, &text) != ERR_NONE) {
        fail_msg("%s", text.text);
    }
    image_delta_clear(&delta);
    record_list_free(&list);
}

static void register_peer(struct stage *s, const char *listener, uint16_t port)
{
    struct register_broker_record record;
    wire_defaults(&wire_register_broker_record, &record);
    __typeof__(record.end_points.items[0]) points[2] = {
        {.name = wire_str("CLIENTS"), .host = wire_str("10.0.0.9"), .port = 1},
        {.name = wire_str(listener), .host = wire_str("10.0.0.2"), .port = port}};
    record.broker_id = 2;
    record.broker_epoch = s->next_offset;
    record.fenced = true;
    record.end_points.items = points;
    record.end_points.count = 2;
    apply(s, RECORD_REGISTER_BROKER, 4, &record);
}

static struct stage *stage_new(void)
{
    struct stage *s = mem_zalloc(sizeof *s);
    struct sim_options options = {.seed = 5};
    s->sim = sim_new(&options);
    s->us = sim_node_new(s->sim, "one", "10.0.0.1");
    s->peer = sim_node_new(s->sim, "two", "10.0.0.2");
    s->fetch_max = 18;
    listen_at(s, 0, PORT, on_accepted_here);
    listen_at(s, 1, OTHER_PORT, on_accepted_there);
    s->settings.inter_broker_listener = "BROKERS";
    s->broker = mem_zalloc(sizeof *s->broker);
    s->broker->env = sim_node_env(s->us);
    s->broker->node_id = 1;
    s->broker->settings = &s->settings;
    s->broker->image = image_new();
    s->links = node_replica_links_new(s->broker);
    return s;
}

static void stage_free(struct stage *s)
{
    node_replica_links_free(s->links);
    sim_run_for(s->sim, 100);
    for (int i = 0; i < s->line_count; i++) {
        assert_true(s->lines[i].closed); /* no connection is left behind */
    }
    for (int i = 0; i < s->asked_count; i++) {
        buf_unref(s->asked[i].frame);
    }
    image_free(s->broker->image);
    mem_free(s->broker);
    sim_free(s->sim);
    mem_free(s);
}

struct asker {
    struct replica_call call;
    struct fetch_request fetch;
    struct stage *stage;
    bool sending; /* inside send: `done` may not come */
    int done;
    enum err error;
    int16_t version;
    int16_t code;
    bool framed;
    struct asker *next; /* asked from inside `done` */
};

static void ask(struct stage *s, struct asker *asker);

static void on_done(struct replica_call *call, const struct replica_answer *got)
{
    struct asker *asker = CONTAINER_OF(call, struct asker, call);
    assert_false(asker->sending);
    asker->done++;
    asker->error = got->error;
    asker->version = got->version;
    if (got->error == ERR_NONE) {
        assert_string_equal(got->why, "");
        asker->code = ((const struct fetch_response *)got->response)->error_code;
        asker->framed = got->frame != NULL;
    } else {
        assert_true(strlen(got->why) > 0);
    }
    if (asker->next != NULL) {
        ask(asker->stage, asker->next);
    }
}

static struct asker asker_of(enum replica_channel channel)
{
    struct asker asker = {.call = {.broker_id = 2,
                                   .channel = channel,
                                   .api_key = WIRE_FETCH,
                                   .min_version = 15,
                                   .max_version = 18,
                                   .timeout_ms = 4000,
                                   .done = on_done}};
    wire_defaults(&wire_fetch_request, &asker.fetch);
    asker.fetch.replica_state.replica_id = 1;
    return asker;
}

static void ask(struct stage *s, struct asker *asker)
{
    const struct replica_links *links = node_replica_links_vtable(s->links);
    asker->stage = s;
    asker->call.request = &asker->fetch;
    asker->sending = true;
    links->send(links->ctx, &asker->call);
    asker->sending = false;
}

static void cancel(struct stage *s, struct asker *asker)
{
    const struct replica_links *links = node_replica_links_vtable(s->links);
    links->cancel(links->ctx, &asker->call);
}

static void run(struct stage *s, int64_t for_ms)
{
    sim_run_for(s->sim, for_ms);
}

/* ---- tests ---- */

static void test_channels(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct asker durable = asker_of(REPLICA_CHANNEL_DURABLE);
    struct asker others = asker_of(REPLICA_CHANNEL_OTHERS);
    struct asker again = asker_of(REPLICA_CHANNEL_DURABLE);
    register_peer(s, "BROKERS", PORT);
    ask(s, &durable);
    ask(s, &others);
    run(s, 200);
    assert_int_equal(s->asked_count, 2);
    assert_int_equal(s->line_count, 2);
    assert_int_not_equal(s->asked[0].line, s->asked[1].line);
    assert_int_equal(s->asked[0].version, 18);
    /* One that waits does not hold up the other. */
    answer_fetch(s, 1, 7);
    run(s, 200);
    assert_int_equal(durable.done + others.done, 1);
    answer_fetch(s, 0, 7);
    run(s, 200);
    assert_int_equal(durable.done, 1);
    assert_int_equal(durable.error, ERR_NONE);
    assert_int_equal(durable.version, 18);
    assert_int_equal(durable.code, 7);
    assert_true(durable.framed);
    /* The connections stay. */
    ask(s, &again);
    run(s, 200);
    assert_int_equal(s->asked_count, 3);
    assert_int_equal(s->line_count, 2);
    stage_free(s); /* with a call under way */
    assert_int_equal(again.done, 0);
}

static void test_versions(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct asker first = asker_of(REPLICA_CHANNEL_DURABLE);
    struct asker second = asker_of(REPLICA_CHANNEL_OTHERS);
    register_peer(s, "BROKERS", PORT);
    s->fetch_max = 16;
    ask(s, &first);
    run(s, 200);
    assert_int_equal(s->asked_count, 1);
    assert_int_equal(s->asked[0].version, 16);
    s->fetch_max = 14;
    ask(s, &second);
    run(s, 200);
    assert_int_equal(second.done, 1);
    assert_int_equal(second.error, ERR_UNSUPPORTED);
    stage_free(s);
}

static void test_nowhere(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct asker a = asker_of(REPLICA_CHANNEL_DURABLE);
    struct asker b = asker_of(REPLICA_CHANNEL_DURABLE);
    struct asker c = asker_of(REPLICA_CHANNEL_DURABLE);
    ask(s, &a); /* not registered */
    run(s, 10);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.error, ERR_UNREACHABLE);
    register_peer(s, "ELSEWHERE", PORT);
    ask(s, &b);
    ask(s, &c);
    cancel(s, &c);
    run(s, 10);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.error, ERR_UNREACHABLE);
    assert_int_equal(c.done, 0);
    a = asker_of(REPLICA_CHANNEL_DURABLE);
    ask(s, &a); /* freed before it is told */
    stage_free(s);
}

/* The peer registers again at another address: calls to the old one are told, the next goes
 * there, also when it is sent from inside an answer of the old connection. */
static void test_moves(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct asker a = asker_of(REPLICA_CHANNEL_LOOKUP);
    struct asker parked = asker_of(REPLICA_CHANNEL_LOOKUP);
    struct asker next = asker_of(REPLICA_CHANNEL_LOOKUP);
    a.next = &next;
    register_peer(s, "BROKERS", PORT);
    ask(s, &a);
    ask(s, &parked);
    run(s, 200);
    assert_int_equal(s->asked_count, 2);
    assert_int_equal(s->line_count, 1);
    register_peer(s, "BROKERS", OTHER_PORT);
    answer_fetch(s, 0, 3);
    run(s, 300);
    assert_int_equal(a.code, 3);
    assert_int_equal(parked.done, 1);
    assert_int_equal(parked.error, ERR_CLOSED);
    assert_true(s->lines[0].closed);
    assert_int_equal(s->line_count, 2);
    assert_int_equal(s->lines[1].port, OTHER_PORT);
    assert_int_equal(s->asked_count, 3);
    answer_fetch(s, 2, 4);
    run(s, 200);
    assert_int_equal(next.code, 4);
    stage_free(s);
}

/* Nobody waits behind a request that was given up, be it cancelled or timed out; one that is
 * still wanted is not lost for it. */
static void test_given_up(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct stage *s = stage_new();
        struct asker parked = asker_of(REPLICA_CHANNEL_DURABLE);
        struct asker next = asker_of(REPLICA_CHANNEL_DURABLE);
        struct asker third = asker_of(REPLICA_CHANNEL_DURABLE);
        register_peer(s, "BROKERS", PORT);
        parked.call.timeout_ms = how == 0 ? 4000 : 300;
        ask(s, &parked);
        run(s, 200);
        if (how == 0) {
            cancel(s, &parked);
        } else {
            run(s, 200);
            assert_int_equal(parked.error, ERR_TIMEOUT);
        }
        assert_int_equal(parked.done, how);
        ask(s, &next);
        run(s, 200);
        ask(s, &third); /* goes behind `next`, which is waited for */
        run(s, 200);
        assert_true(s->lines[0].closed);
        assert_int_equal(s->line_count, 2);
        assert_int_equal(s->asked_count, 3);
        assert_int_equal(s->asked[1].line, 1);
        assert_int_equal(s->asked[2].line, 1);
        answer_fetch(s, 1, 9);
        answer_fetch(s, 2, 8);
        run(s, 200);
        assert_int_equal(parked.done, how);
        assert_int_equal(next.code, 9);
        assert_int_equal(third.code, 8);
        stage_free(s);
    }
}

static void test_failures(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct asker a = asker_of(REPLICA_CHANNEL_DURABLE);
    struct asker b = asker_of(REPLICA_CHANNEL_DURABLE);
    struct asker c = asker_of(REPLICA_CHANNEL_DURABLE);
    register_peer(s, "BROKERS", 9999); /* nobody listens */
    ask(s, &a);
    run(s, 500);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.error, ERR_REFUSED);
    register_peer(s, "BROKERS", PORT);
    ask(s, &b);
    run(s, 200);
    env_close(sim_node_env(s->peer), s->lines[0].conn, false);
    s->lines[0].closed = true;
    run(s, 200);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.error, ERR_CLOSED);
    ask(s, &c);
    run(s, 200);
    assert_int_equal(s->line_count, 2);
    answer_fetch(s, 1, 5);
    run(s, 200);
    assert_int_equal(c.code, 5);
    node_replica_links_close(s->links);
    stage_free(s);
}

/* A dial that nobody answers is not waited for beyond the call's time. */
static void test_silence(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct asker a = asker_of(REPLICA_CHANNEL_DURABLE);
    struct asker b = asker_of(REPLICA_CHANNEL_DURABLE);
    register_peer(s, "BROKERS", PORT);
    sim_net_timeouts(s->sim, 60000, 60000);
    sim_partition(s->us, s->peer, true);
    a.call.timeout_ms = 300;
    ask(s, &a);
    run(s, 310);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.error, ERR_TIMEOUT);
    assert_int_equal(sim_net_conns(s->us), 0);
    sim_partition(s->us, s->peer, false);
    ask(s, &b);
    run(s, 300);
    assert_true(s->asked_count > 0);
    answer_fetch(s, s->asked_count - 1, 6);
    run(s, 200);
    assert_int_equal(b.code, 6);
    assert_int_equal(a.done, 1);
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels), cmocka_unit_test(test_versions),
        cmocka_unit_test(test_nowhere),  cmocka_unit_test(test_moves),
        cmocka_unit_test(test_given_up), cmocka_unit_test(test_silence),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
