#include "tests/unit/node/troupe.h"

#include "common/base/mem.h"

enum { PORT = 9093 };

static const char *const settings[] = {
    "node.id=1",
    "log.dirs=/data/logs,/data/more",
    "process.roles=broker,controller",
    "listeners=PLAINTEXT://10.0.0.1:9092,CONTROLLER://10.0.0.1:9093",
    "controller.listener.names=CONTROLLER",
    "controller.quorum.voters=1@10.0.0.1:9093,2@10.0.0.2:9093,3@10.0.0.3:9093",
    "controller.quorum.election.timeout.ms=100000000",
    "controller.quorum.fetch.timeout.ms=100000000",
    NULL};

/* ---- the players ----------------------------------------------------------------------------- */

static void send_answer(struct player_line *line, const struct wire_request_header *header,
                        const void *response)
{
    struct wire_out out = {0};
    int16_t key = header->api_key;
    wire_put_i32(&out, 0);
    wire_put_response_header(&out, key, header->api_version, header->correlation_id);
    assert_int_equal(wire_encode(wire_api_of(key)->response, header->api_version, response, &out),
                     ERR_NONE);
    wire_patch_i32(&out, 0, (int32_t)out.bytes.size - 4);
    struct buf *buf = buf_copy(out.bytes.data, out.bytes.size);
    struct env_piece piece = {.bytes = slice_of(buf, 0, buf->size)};
    env_send(sim_node_env(troupe_player(line->troupe, line->to)->node), line->conn, &piece, 1);
    buf_unref(buf);
    wire_out_free(&out);
}

static void answer_versions(struct player_line *line, const struct wire_request_header *header)
{
    const struct player *player = troupe_player(line->troupe, line->to);
    struct api_versions_response response;
    wire_defaults(&wire_api_versions_response, &response);
    __typeof__(response.api_keys.items[0]) keys[128] = {{0}};
    for (int16_t key = 0; key < 128; key++) {
        const struct wire_api *api = wire_api_of(key);
        if (api != NULL) {
            int16_t max = player->max_version[key];
            keys[response.api_keys.count].api_key = key;
            keys[response.api_keys.count].min_version = player->least_version[key];
            keys[response.api_keys.count].max_version =
                max >= 0 ? max : wire_message_max(api->request);
            response.api_keys.count++;
        }
    }
    response.api_keys.items = keys;
    send_answer(line, header, &response);
}

static bool of_the_quorum(int16_t key)
{
    return key == WIRE_FETCH || key == WIRE_VOTE || key == WIRE_BEGIN_QUORUM_EPOCH ||
           key == WIRE_END_QUORUM_EPOCH;
}

static void on_frame(void *ctx, env_conn conn, struct buf *frame)
{
    struct player_line *line = ctx;
    struct troupe *t = line->troupe;
    struct wire_request_header header;
    struct wire_in in = wire_in_of(frame->data, frame->size);
    (void)conn;
    assert_int_equal(wire_get_request_header(&in, &header), ERR_NONE);
    if (header.api_key == WIRE_API_VERSIONS) {
        answer_versions(line, &header);
        buf_unref(frame);
    } else if (of_the_quorum(header.api_key)) {
        buf_unref(frame);
    } else if (header.api_key == WIRE_BROKER_REGISTRATION && !t->registration_too) {
        struct broker_registration_response response;
        wire_defaults(&wire_broker_registration_response, &response);
        response.broker_epoch = 5;
        send_answer(line, &header, &response);
        buf_unref(frame);
    } else {
        assert_true(t->asked_count < TROUPE_ASKED_MAX);
        t->asked[t->asked_count++] =
            (struct asked){.line = line, .header = header, .frame = frame, .body = in};
    }
}

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    struct player_line *line = ctx;
    (void)conn;
    (void)reason;
    (void)why;
    line->closed = true;
}

static const struct env_conn_events line_events = {.frame = on_frame, .closed = on_closed};

static void *on_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    struct player *player = ctx;
    struct troupe *t = player->troupe;
    (void)peer;
    assert_true(t->line_count < TROUPE_LINES_MAX);
    t->lines[t->line_count] = (struct player_line){.troupe = t, .to = player->id, .conn = conn};
    return &t->lines[t->line_count++];
}

void player_listen(struct player *player, bool listening)
{
    struct env *env = sim_node_env(player->node);
    struct err_text text = {""};
    if (listening && !player->listening) {
        player->listener = (struct env_listener){.events = &line_events,
                                                 .max_frame_bytes = 1 << 20,
                                                 .accepted = on_accepted,
                                                 .listener_ctx = player};
        assert_int_equal(env_listen(env, &player->listener, "", PORT, &text), ERR_NONE);
    } else if (!listening && player->listening) {
        env_unlisten(env, &player->listener);
    }
    player->listening = listening;
}

struct player *troupe_player(struct troupe *t, int32_t id)
{
    assert_true(id == 2 || id == 3);
    return &t->players[id - 2];
}

/* ---- the broker ------------------------------------------------------------------------------ */

static void on_stopped(void *ctx, struct broker *broker, enum broker_exit code, const char *why)
{
    struct troupe *t = ctx;
    (void)broker;
    t->stopped = true;
    t->code = code;
    snprintf(t->why, sizeof t->why, "%s", why);
}

struct troupe *troupe_new(uint64_t seed)
{
    struct troupe *t = mem_zalloc(sizeof *t);
    struct sim_options options = {.seed = seed};
    struct err_text text = {""};
    static const char *const hosts[] = {"10.0.0.2", "10.0.0.3"};
    static const char *const names[] = {"two", "three"};
    t->sim = sim_new(&options);
    t->node = sim_node_new(t->sim, "one", "10.0.0.1");
    for (int i = 0; i < 2; i++) {
        t->players[i].troupe = t;
        t->players[i].id = i + 2;
        t->players[i].node = sim_node_new(t->sim, names[i], hosts[i]);
        memset(t->players[i].max_version, 0xff, sizeof t->players[i].max_version);
        player_listen(&t->players[i], true);
    }
    t->settings = broker_settings_new();
    for (int i = 0; settings[i] != NULL; i++) {
        assert_int_equal(broker_settings_set(t->settings, settings[i], &text), ERR_NONE);
    }
    if (broker_settings_check(t->settings, &text) != ERR_NONE) {
        fail_msg("%s", text.text);
    }
    struct broker_news news = {.stopped = on_stopped, .ctx = t};
    t->broker = broker_start(sim_node_env(t->node), t->settings, &news);
    troupe_run(t, 500);
    assert_non_null(t->broker->quorum);
    return t;
}

void troupe_free(struct troupe *t)
{
    if (!t->stopped) {
        sim_node_crash(t->node, SIM_KILL);
    }
    broker_free(t->broker);
    troupe_run(t, 100);
    for (int i = 0; i < t->line_count; i++) {
        assert_true(t->lines[i].closed); /* no connection is left behind */
    }
    for (int i = 0; i < t->asked_count; i++) {
        buf_unref(t->asked[i].frame);
    }
    player_listen(&t->players[0], false);
    player_listen(&t->players[1], false);
    arena_free(&t->arena);
    broker_settings_free(t->settings);
    sim_free(t->sim);
    mem_free(t);
}

void troupe_run(struct troupe *t, int64_t for_ms)
{
    sim_run_for(t->sim, for_ms);
}

static void on_begun(struct quorum_call *call)
{
    (void)call;
}

void troupe_leads(struct troupe *t, int32_t leader_id, int32_t epoch)
{
    struct begin_quorum_epoch_request *begin = troupe_request(t, WIRE_BEGIN_QUORUM_EPOCH);
    struct begin_quorum_epoch_request_partition partition = {.leader_id = leader_id,
                                                             .leader_epoch = epoch};
    struct begin_quorum_epoch_request_topic topic = {.topic_name = wire_str(QUORUM_TOPIC),
                                                     .partitions = {&partition, 1}};
    begin->cluster_id = wire_str(broker_cluster_id(t->broker));
    begin->voter_id = 1;
    begin->topics.items = &topic;
    begin->topics.count = 1;
    struct quorum_call *call = arena_alloc(&t->arena, sizeof *call);
    *call = (struct quorum_call){.api_key = WIRE_BEGIN_QUORUM_EPOCH,
                                 .version = 1,
                                 .request = begin,
                                 .response = troupe_response(t, WIRE_BEGIN_QUORUM_EPOCH),
                                 .arena = &t->arena,
                                 .done = on_begun};
    quorum_submit(t->broker->quorum, call);
    troupe_run(t, 20);
    assert_int_equal(quorum_leader(t->broker->quorum), leader_id);
    assert_int_equal(quorum_epoch(t->broker->quorum), epoch);
}

/* ---- what was asked -------------------------------------------------------------------------- */

int troupe_count(const struct troupe *t, int16_t key, int32_t of)
{
    int count = 0;
    for (int i = 0; i < t->asked_count; i++) {
        const struct asked *asked = &t->asked[i];
        count += asked->header.api_key == key && (of == 0 || asked->line->to == of);
    }
    return count;
}

struct asked *troupe_last(struct troupe *t, int16_t key)
{
    for (int i = t->asked_count - 1; i >= 0; i--) {
        if (t->asked[i].header.api_key == key) {
            return &t->asked[i];
        }
    }
    fail_msg("%s was not asked", wire_api_of(key)->name);
    return NULL;
}

void *asked_body(struct troupe *t, struct asked *asked)
{
    const struct wire_message *message = wire_api_of(asked->header.api_key)->request;
    void *body = arena_alloc(&t->arena, wire_message_size(message));
    assert_int_equal(wire_decode(message, asked->header.api_version, &asked->body, body, &t->arena),
                     ERR_NONE);
    return body;
}

void asked_answer(struct asked *asked, const void *response)
{
    send_answer(asked->line, &asked->header, response);
}

void *troupe_response(struct troupe *t, int16_t key)
{
    const struct wire_message *message = wire_api_of(key)->response;
    void *response = arena_alloc(&t->arena, wire_message_size(message));
    wire_defaults(message, response);
    return response;
}

void *troupe_request(struct troupe *t, int16_t key)
{
    const struct wire_message *message = wire_api_of(key)->request;
    void *request = arena_alloc(&t->arena, wire_message_size(message));
    wire_defaults(message, request);
    return request;
}
