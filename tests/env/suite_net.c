/* Listening, dialling, frames. One side of each test is `home` (accepted), the other `away`
 * (dialled); both live in the same env. */
#include "tests/env/suite_internal.h"

enum { MAX_FRAME = 8 << 20, FRAMES_KEPT = 512 };

struct side {
    struct env_world *w;
    env_conn conn;
    bool connected;
    bool closed;
    bool drained;
    int closes;
    enum err reason;
    char why[200];
    struct buf *frames[FRAMES_KEPT];
    int frame_count;
    int frames_wanted;
    bool have_wanted;
    bool echo;        /* send every frame back */
    bool close_first; /* env_close from inside the first frame's call */
    bool after_close; /* called after the last call */
};

struct pair {
    struct env_world *w;
    struct env_listener listener;
    struct env_peer peer;
    struct side home;
    struct side away;
    bool accepted;
    bool listening;
};

static void send_bytes(struct env_world *w, env_conn conn, const void *data, size_t size)
{
    struct buf *b = buf_copy(data, size);
    struct env_piece piece = {.bytes = slice_of(b, 0, size)};
    buf_unref(b);
    env_send(w->env, conn, &piece, 1);
}

static void put_length(uint8_t to[4], uint32_t size)
{
    to[0] = (uint8_t)(size >> 24);
    to[1] = (uint8_t)(size >> 16);
    to[2] = (uint8_t)(size >> 8);
    to[3] = (uint8_t)size;
}

static void send_frame(struct env_world *w, env_conn conn, const void *data, size_t size)
{
    uint8_t *frame = mem_alloc(size + 4);
    put_length(frame, (uint32_t)size);
    if (size > 0) {
        memcpy(frame + 4, data, size);
    }
    send_bytes(w, conn, frame, size + 4);
    mem_free(frame);
}

/* ---- events ---- */

static struct side *begin_event(void *ctx, env_conn conn)
{
    struct side *side = ctx;
    SUITE_ENTER();
    assert_true(env_conn_equal(side->conn, conn));
    assert_false(side->closed);
    assert_false(side->after_close);
    return side;
}

static void on_connected(void *ctx, env_conn conn)
{
    struct side *side = begin_event(ctx, conn);
    assert_false(side->connected);
    side->connected = true;
    SUITE_LEAVE();
}

static void on_frame(void *ctx, env_conn conn, struct buf *frame)
{
    struct side *side = begin_event(ctx, conn);
    assert_true(side->connected);
    assert_true(side->frame_count < FRAMES_KEPT);
    side->frames[side->frame_count++] = frame;
    side->have_wanted = side->frame_count >= side->frames_wanted;
    if (side->echo) {
        send_frame(side->w, conn, frame->data, frame->size);
    }
    if (side->close_first) {
        side->after_close = true;
        env_close(side->w->env, conn, false);
    }
    SUITE_LEAVE();
}

static void on_drained(void *ctx, env_conn conn)
{
    struct side *side = begin_event(ctx, conn);
    assert_int_equal(env_conn_queued(side->w->env, conn), 0);
    side->drained = true;
    SUITE_LEAVE();
}

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    struct side *side = begin_event(ctx, conn);
    side->closed = true;
    side->closes++;
    side->reason = reason;
    snprintf(side->why, sizeof side->why, "%s", why);
    env_close(side->w->env, conn, true); /* harmless on what is gone */
    send_frame(side->w, conn, "x", 1);
    assert_int_equal(env_conn_queued(side->w->env, conn), 0);
    SUITE_LEAVE();
}

static const struct env_conn_events events = {
    .connected = on_connected, .frame = on_frame, .drained = on_drained, .closed = on_closed};

static void *on_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    struct pair *pair = ctx;
    SUITE_ENTER();
    assert_true(conn.generation != 0 || conn.index != 0);
    pair->home.conn = conn;
    pair->home.connected = true;
    pair->peer = *peer;
    pair->accepted = true;
    SUITE_LEAVE();
    return &pair->home;
}

/* ---- a pair ---- */

static bool pair_open(void *ctx)
{
    const struct pair *pair = ctx;
    return pair->accepted && pair->away.connected;
}

static struct pair *pair_listen(struct env_world *w, uint32_t max_frame_bytes)
{
    struct pair *pair = mem_zalloc(sizeof *pair);
    struct err_text text;
    pair->w = w;
    pair->home.w = w;
    pair->away.w = w;
    pair->listener = (struct env_listener){.events = &events,
                                           .max_frame_bytes = max_frame_bytes,
                                           .accepted = on_accepted,
                                           .listener_ctx = pair};
    enum err e = ERR_IO;
    SUITE_CALL(e = env_listen(w->env, &pair->listener, w->host, 0, &text));
    assert_int_equal(e, ERR_NONE);
    assert_int_not_equal(pair->listener.bound_port, 0);
    pair->listening = true;
    return pair;
}

static void dial(struct side *side, uint16_t port)
{
    struct env_world *w = side->w;
    SUITE_CALL(side->conn = env_dial(w->env, w->host, port, MAX_FRAME, &events, side));
    assert_true(side->conn.generation != 0 || side->conn.index != 0);
    assert_false(side->connected || side->closed); /* in a later turn */
}

static struct pair *pair_new(struct env_world *w, uint32_t max_frame_bytes)
{
    struct pair *pair = pair_listen(w, max_frame_bytes);
    dial(&pair->away, pair->listener.bound_port);
    suite_wait_for(w, pair_open, pair);
    assert_false(env_conn_equal(pair->home.conn, pair->away.conn));
    return pair;
}

static void side_free(struct side *side)
{
    if (side->connected && !side->closed) {
        SUITE_CALL(env_close(side->w->env, side->conn, false));
    }
    for (int i = 0; i < side->frame_count; i++) {
        buf_unref(side->frames[i]);
    }
}

static void unlisten(struct pair *pair)
{
    if (pair->listening) {
        SUITE_CALL(env_unlisten(pair->w->env, &pair->listener));
        pair->listening = false;
    }
}

static void pair_free(struct pair *pair)
{
    unlisten(pair);
    side_free(&pair->home);
    side_free(&pair->away);
    suite_pass(pair->w, 5); /* nothing may come after the close */
    mem_free(pair);
}

static void want(struct side *side, int frames)
{
    side->frames_wanted = frames;
    side->have_wanted = side->frame_count >= frames;
    suite_wait(side->w, &side->have_wanted);
}

/* ---- listening and dialling ---- */

static void a_listener_accepts_dials(struct env_world *w)
{
    struct pair *pair = pair_new(w, MAX_FRAME);
    assert_string_equal(pair->peer.host, w->host);
    assert_int_not_equal(pair->peer.port, 0);
    assert_int_not_equal(pair->peer.port, pair->listener.bound_port);
    assert_int_equal(env_conn_queued(w->env, pair->home.conn), 0);
    pair_free(pair);
}

static void a_taken_port_is_in_use(struct env_world *w)
{
    struct pair *pair = pair_listen(w, MAX_FRAME);
    struct env_listener second = pair->listener;
    struct err_text text = {""};
    char port[8];
    snprintf(port, sizeof port, "%u", pair->listener.bound_port);
    enum err e = ERR_NONE;
    SUITE_CALL(e = env_listen(w->env, &second, w->host, pair->listener.bound_port, &text));
    assert_int_equal(e, ERR_IN_USE);
    assert_non_null(strstr(text.text, port));
    pair_free(pair);
}

static void a_dial_to_nobody_is_refused(struct env_world *w)
{
    struct pair *pair = pair_listen(w, MAX_FRAME);
    uint16_t port = pair->listener.bound_port;
    unlisten(pair);
    dial(&pair->away, port);
    suite_wait(w, &pair->away.closed);
    assert_int_equal(pair->away.reason, ERR_REFUSED);
    assert_true(strlen(pair->away.why) > 0);
    assert_false(pair->away.connected);
    pair_free(pair);
}

static void connections_outlive_their_listener(struct env_world *w)
{
    struct pair *pair = pair_new(w, MAX_FRAME);
    unlisten(pair);
    SUITE_CALL(send_frame(w, pair->away.conn, "hello", 5));
    want(&pair->home, 1);
    assert_memory_equal(pair->home.frames[0]->data, "hello", 5);
    pair_free(pair);
}

/* ---- frames ---- */

static void fill(uint8_t *to, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        to[i] = (uint8_t)(seed >> 24);
    }
}

static void frames_go_both_ways(struct env_world *w)
{
    static const size_t sizes[] = {0, 1, 5, 1000, 0, 70000, 3, 4096, 3 << 20, 17, 65536, 65535};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    struct pair *pair = pair_new(w, MAX_FRAME);
    pair->home.echo = true;
    uint8_t *data = mem_alloc(3 << 20);
    for (int i = 0; i < COUNT; i++) {
        fill(data, sizes[i], (uint32_t)i);
        SUITE_CALL(send_frame(w, pair->away.conn, data, sizes[i]));
    }
    want(&pair->away, COUNT);
    assert_int_equal(pair->home.frame_count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        fill(data, sizes[i], (uint32_t)i);
        assert_int_equal(pair->away.frames[i]->size, sizes[i]);
        assert_memory_equal(pair->away.frames[i]->data, data, sizes[i]);
    }
    mem_free(data);
    pair_free(pair);
}

static void what_is_sent_before_the_way_is_open_follows(struct env_world *w)
{
    struct pair *pair = pair_listen(w, MAX_FRAME);
    dial(&pair->away, pair->listener.bound_port);
    SUITE_CALL(send_frame(w, pair->away.conn, "early", 5));
    want(&pair->home, 1);
    assert_memory_equal(pair->home.frames[0]->data, "early", 5);
    suite_wait_for(w, pair_open, pair);
    pair_free(pair);
}

static void many_frames_keep_their_order(struct env_world *w)
{
    struct pair *pair = pair_new(w, MAX_FRAME);
    for (uint32_t i = 0; i < 500; i++) {
        uint8_t data[300] = {0};
        put_length(data, i);
        SUITE_CALL(send_frame(w, pair->home.conn, data, 4 + i % 290));
    }
    want(&pair->away, 500);
    for (uint32_t i = 0; i < 500; i++) {
        uint8_t number[4];
        put_length(number, i);
        assert_int_equal(pair->away.frames[i]->size, 4 + i % 290);
        assert_memory_equal(pair->away.frames[i]->data, number, 4);
    }
    pair_free(pair);
}

/* ---- file ranges ---- */

enum { RANGE_BYTES = 600000 };

static void make_range_file(struct suite_job *j, struct env_fs *fs)
{
    struct err_text text;
    struct env_file **out = j->ctx;
    const char *path = suite_path(j, "segment");
    JOB_CHECK(j, env_fs_open(fs, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, out, &text) == ERR_NONE);
    uint8_t *data = mem_alloc(RANGE_BYTES);
    fill(data, RANGE_BYTES, 99);
    struct env_iov iov = {data, RANGE_BYTES};
    enum err e = env_fs_write(fs, *out, &iov, 1, 0, &text);
    mem_free(data);
    JOB_CHECK(j, e == ERR_NONE);
    JOB_CHECK(j, env_fs_unlink(fs, path, &text) == ERR_NONE); /* the reference keeps it */
}

static void a_file_range_is_sent_between_bytes(struct env_world *w)
{
    struct env_file *file = NULL;
    suite_do(w, make_range_file, &file);
    struct pair *pair = pair_new(w, MAX_FRAME);
    enum { AT = 12345, SIZE = 500000, TOTAL = 2 + SIZE + 10 + 3 };
    uint8_t head[6] = {0};
    put_length(head, TOTAL);
    memcpy(head + 4, "<<", 2);
    struct buf *front = buf_copy(head, 6);
    struct buf *back = buf_copy(">>>", 3);
    struct env_piece pieces[4] = {
        {.bytes = slice_of(front, 0, 6)},
        {.file = env_file_ref(file), .at = AT, .size = SIZE},
        {.file = file, .at = 7, .size = 10},
        {.bytes = slice_of(back, 0, 3)},
    };
    buf_unref(front);
    buf_unref(back);
    SUITE_CALL(env_send(w->env, pair->home.conn, pieces, 4);
               send_frame(w, pair->home.conn, "next", 4));
    want(&pair->away, 2);
    uint8_t *data = mem_alloc(RANGE_BYTES);
    fill(data, RANGE_BYTES, 99);
    const struct buf *frame = pair->away.frames[0];
    assert_int_equal(frame->size, TOTAL);
    assert_memory_equal(frame->data, "<<", 2);
    assert_memory_equal(frame->data + 2, data + AT, SIZE);
    assert_memory_equal(frame->data + 2 + SIZE, data + 7, 10);
    assert_memory_equal(frame->data + 2 + SIZE + 10, ">>>", 3);
    assert_memory_equal(pair->away.frames[1]->data, "next", 4);
    mem_free(data);
    pair_free(pair);
}

static void a_file_shorter_than_its_range_ends_it(struct env_world *w)
{
    struct env_file *file = NULL;
    suite_do(w, make_range_file, &file);
    struct pair *pair = pair_new(w, MAX_FRAME);
    uint8_t head[4];
    put_length(head, RANGE_BYTES);
    SUITE_CALL(send_bytes(w, pair->home.conn, head, 4));
    struct env_piece piece = {.file = file, .at = 1000, .size = RANGE_BYTES};
    SUITE_CALL(env_send(w->env, pair->home.conn, &piece, 1));
    suite_wait(w, &pair->home.closed);
    assert_int_not_equal(pair->home.reason, ERR_NONE);
    assert_true(strlen(pair->home.why) > 0);
    suite_wait(w, &pair->away.closed);
    assert_int_equal(pair->away.frame_count, 0);
    pair_free(pair);
}

static void pieces_to_a_stale_handle_are_dropped(struct env_world *w)
{
    struct env_file *file = NULL;
    suite_do(w, make_range_file, &file);
    struct pair *pair = pair_new(w, MAX_FRAME);
    env_conn stale = pair->away.conn;
    SUITE_CALL(env_close(w->env, stale, false));
    pair->away.connected = false; /* ours no more */
    suite_wait(w, &pair->home.closed);
    struct buf *b = buf_copy("abc", 3);
    struct env_piece pieces[2] = {{.bytes = slice_of(b, 0, 3)},
                                  {.file = file, .at = 0, .size = 10}};
    /* The last reference to the file: the sanitizers tell if it is not dropped. */
    SUITE_CALL(env_send(w->env, stale, pieces, 2); env_conn_pause(w->env, stale, true);
               env_close(w->env, stale, false));
    assert_int_equal(env_conn_queued(w->env, stale), 0);
    assert_int_equal(atomic_load(&b->refs), 1);
    buf_unref(b);
    pair_free(pair);
}

/* ---- flow ---- */

static void a_paused_connection_delivers_nothing(struct env_world *w)
{
    struct pair *pair = pair_new(w, MAX_FRAME);
    SUITE_CALL(env_conn_pause(w->env, pair->home.conn, true));
    enum { SIZE = 256 * 1024, COUNT = 64 };
    uint8_t *data = mem_zalloc(SIZE);
    for (int i = 0; i < COUNT; i++) {
        SUITE_CALL(send_frame(w, pair->away.conn, data, SIZE));
    }
    suite_pass(w, 50);
    assert_int_equal(pair->home.frame_count, 0);
    assert_false(pair->away.drained);
    assert_true(env_conn_queued(w->env, pair->away.conn) > ENV_QUEUE_HIGH);
    SUITE_CALL(env_conn_pause(w->env, pair->home.conn, false));
    want(&pair->home, COUNT);
    suite_wait(w, &pair->away.drained);
    assert_int_equal(env_conn_queued(w->env, pair->away.conn), 0);
    mem_free(data);
    pair_free(pair);
}

static void a_pause_within_a_burst_holds_the_rest(struct env_world *w)
{
    struct pair *pair = pair_new(w, MAX_FRAME);
    SUITE_CALL(send_frame(w, pair->away.conn, "one", 3));
    want(&pair->home, 1);
    SUITE_CALL(env_conn_pause(w->env, pair->home.conn, true);
               send_frame(w, pair->away.conn, "two", 3); env_close(w->env, pair->away.conn, true));
    pair->away.connected = false;
    suite_pass(w, 30);
    assert_int_equal(pair->home.frame_count, 1);
    assert_false(pair->home.closed); /* not before what was sent before it */
    SUITE_CALL(env_conn_pause(w->env, pair->home.conn, false));
    suite_wait(w, &pair->home.closed);
    assert_int_equal(pair->home.frame_count, 2);
    pair_free(pair);
}

/* ---- endings ---- */

static void a_close_is_told_to_the_peer_only(struct env_world *w)
{
    struct pair *pair = pair_new(w, MAX_FRAME);
    SUITE_CALL(env_close(w->env, pair->away.conn, false));
    pair->away.after_close = true;
    pair->away.connected = false;
    suite_wait(w, &pair->home.closed);
    assert_int_equal(pair->home.reason, ERR_CLOSED);
    assert_true(strlen(pair->home.why) > 0);
    suite_pass(w, 10);
    assert_int_equal(pair->home.closes, 1);
    assert_int_equal(pair->away.closes, 0);
    pair_free(pair);
}

static void a_flush_sends_what_is_queued_then_closes(struct env_world *w)
{
    struct pair *pair = pair_new(w, MAX_FRAME);
    enum { SIZE = 3 << 20 };
    uint8_t *data = mem_alloc(SIZE);
    fill(data, SIZE, 5);
    SUITE_CALL(send_frame(w, pair->home.conn, data, SIZE);
               env_close(w->env, pair->home.conn, true));
    pair->home.after_close = true;
    pair->home.connected = false;
    suite_wait(w, &pair->away.closed);
    assert_int_equal(pair->away.frame_count, 1);
    assert_int_equal(pair->away.frames[0]->size, SIZE);
    assert_memory_equal(pair->away.frames[0]->data, data, SIZE);
    mem_free(data);
    pair_free(pair);
}

static void a_close_within_a_frame_is_the_end(struct env_world *w)
{
    struct pair *pair = pair_new(w, MAX_FRAME);
    pair->home.close_first = true;
    for (int i = 0; i < 5; i++) {
        SUITE_CALL(send_frame(w, pair->away.conn, "x", 1));
    }
    suite_wait(w, &pair->away.closed);
    assert_int_equal(pair->home.frame_count, 1);
    pair->home.connected = false;
    pair_free(pair);
}

static void bad_length(struct env_world *w, uint32_t length, enum err reason, const char *said)
{
    struct pair *pair = pair_new(w, 1000);
    uint8_t bytes[4];
    SUITE_CALL(send_frame(w, pair->away.conn, "good", 4));
    put_length(bytes, length);
    SUITE_CALL(send_bytes(w, pair->away.conn, bytes, 4));
    suite_wait(w, &pair->home.closed);
    assert_int_equal(pair->home.frame_count, 1);
    assert_int_equal(pair->home.reason, reason);
    assert_non_null(strstr(pair->home.why, said));
    suite_wait(w, &pair->away.closed);
    assert_int_equal(pair->away.reason, ERR_CLOSED);
    pair_free(pair);
}

static void a_frame_too_large_closes(struct env_world *w)
{
    bad_length(w, 1001, ERR_TOO_LARGE, "1001");
    bad_length(w, INT32_MAX, ERR_TOO_LARGE, "2147483647");
}

static void a_negative_length_closes(struct env_world *w)
{
    bad_length(w, UINT32_MAX, ERR_INVALID, "-1");
}

static void a_dial_may_be_taken_back(struct env_world *w)
{
    struct pair *pair = pair_listen(w, MAX_FRAME);
    dial(&pair->away, pair->listener.bound_port);
    SUITE_CALL(env_close(w->env, pair->away.conn, false));
    pair->away.after_close = true;
    suite_pass(w, 30);
    assert_false(pair->away.connected || pair->away.closed);
    pair_free(pair);
}

static void a_handle_is_not_used_again(struct env_world *w)
{
    struct pair *pair = pair_new(w, MAX_FRAME);
    env_conn first = pair->away.conn;
    SUITE_CALL(env_close(w->env, first, false));
    pair->away.connected = false;
    suite_wait(w, &pair->home.closed);
    memset(&pair->home, 0, sizeof pair->home);
    pair->home.w = w;
    pair->accepted = false;
    dial(&pair->away, pair->listener.bound_port);
    suite_wait_for(w, pair_open, pair);
    assert_false(env_conn_equal(first, pair->away.conn));
    SUITE_CALL(env_close(w->env, first, false)); /* must not hit the new one */
    SUITE_CALL(send_frame(w, pair->away.conn, "alive", 5));
    want(&pair->home, 1);
    pair_free(pair);
}

/* clang-format off */
#define TEST(name) {#name, name}
/* clang-format on */
const struct suite_test suite_net_tests[] = {
    TEST(a_listener_accepts_dials),
    TEST(a_taken_port_is_in_use),
    TEST(a_dial_to_nobody_is_refused),
    TEST(connections_outlive_their_listener),
    TEST(frames_go_both_ways),
    TEST(what_is_sent_before_the_way_is_open_follows),
    TEST(many_frames_keep_their_order),
    TEST(a_file_range_is_sent_between_bytes),
    TEST(a_file_shorter_than_its_range_ends_it),
    TEST(pieces_to_a_stale_handle_are_dropped),
    TEST(a_paused_connection_delivers_nothing),
    TEST(a_pause_within_a_burst_holds_the_rest),
    TEST(a_close_is_told_to_the_peer_only),
    TEST(a_flush_sends_what_is_queued_then_closes),
    TEST(a_close_within_a_frame_is_the_end),
    TEST(a_frame_too_large_closes),
    TEST(a_negative_length_closes),
    TEST(a_dial_may_be_taken_back),
    TEST(a_handle_is_not_used_again),
    {NULL, NULL},
};
