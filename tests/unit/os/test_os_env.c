/* A small broker on the real env: frames in are appended by a job, synced by another, answered with
 * a range of the file. Many clients come, are served, hang up at odd moments; everything given out
 * must come back. Meant to be run under the thread sanitizer too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/os/os.h"
#include "common/base/mem.h"
#include "common/base/rng.h"

enum { CLIENTS = 40, REQUESTS = 60, MOST_BYTES = 200000, MAX_FRAME = 1 << 20 };

static struct os *os;
static struct env *env;

/* ---- the broker ---- */

static struct {
    struct env_listener listener;
    struct env_lane *append;
    struct env_lane *commit;
    struct env_file *file;
    int64_t end;
    int writing;
} broker;

/* One request's way: append, commit, answer. */
struct write {
    struct env_job append;
    struct env_job commit;
    struct buf *frame;
    int64_t at;
    enum err error;
    env_conn conn;
};

static void put_length(uint8_t *to, uint32_t size)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(size >> (24 - 8 * i));
    }
}

static void commit_run(struct env_job *job, struct env_fs *fs)
{
    struct write *w = CONTAINER_OF(job, struct write, commit);
    w->error = env_fs_sync_data(fs, broker.file, NULL);
}

static void commit_done(struct env_job *job)
{
    struct write *w = CONTAINER_OF(job, struct write, commit);
    assert_int_equal(w->error, ERR_NONE);
    struct buf *head = buf_new(4);
    head->size = 4;
    put_length(head->data, (uint32_t)w->frame->size);
    struct env_piece pieces[] = {
        {.bytes = slice_of(head, 0, 4)},
        {.file = env_file_ref(broker.file), .at = w->at, .size = (uint32_t)w->frame->size}};
    buf_unref(head);
    env_send(env, w->conn, pieces, 2);
    buf_unref(w->frame);
    mem_free(w);
    broker.writing--;
}

static void append_run(struct env_job *job, struct env_fs *fs)
{
    struct write *w = CONTAINER_OF(job, struct write, append);
    struct env_iov iov = {w->frame->data, w->frame->size};
    w->error = env_fs_write(fs, broker.file, &iov, 1, w->at, NULL);
}

static void append_done(struct env_job *job)
{
    struct write *w = CONTAINER_OF(job, struct write, append);
    assert_int_equal(w->error, ERR_NONE);
    w->commit.run = commit_run;
    w->commit.done = commit_done;
    env_job_submit(env, broker.commit, &w->commit);
}

static void broker_frame(void *ctx, env_conn conn, struct buf *frame)
{
    (void)ctx;
    struct write *w = mem_zalloc(sizeof *w);
    w->conn = conn;
    w->frame = frame;
    w->at = broker.end;
    w->append.run = append_run;
    w->append.done = append_done;
    broker.end += (int64_t)frame->size;
    broker.writing++;
    env_job_submit(env, broker.append, &w->append);
}

static void broker_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    (void)ctx;
    (void)conn;
    (void)why;
    assert_int_not_equal(reason, ERR_NONE);
}

static void *broker_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    (void)conn;
    assert_string_equal(peer->host, "127.0.0.1");
    return ctx;
}

static const struct env_conn_events broker_events = {.frame = broker_frame,
                                                     .closed = broker_closed};

static void broker_open(const char *path)
{
    memset(&broker, 0, sizeof broker);
    broker.listener = (struct env_listener){.events = &broker_events, .max_frame_bytes = MAX_FRAME};
    broker.listener.accepted = broker_accepted;
    broker.append = env_lane_open(env, ENV_WORKER_APPEND);
    broker.commit = env_lane_open(env, ENV_WORKER_COMMIT);
    int flags = ENV_OPEN_WRITE | ENV_OPEN_CREATE;
    assert_int_equal(env_fs_open(os_fs(os), path, flags, &broker.file, NULL), ERR_NONE);
    assert_int_equal(env_listen(env, &broker.listener, "127.0.0.1", 0, NULL), ERR_NONE);
}

/* ---- its clients ---- */

struct client {
    env_conn conn;
    struct env_timer hang_up;
    int number;
    int asked;
    int answered;
    bool hurried; /* hangs up without waiting */
};

static struct client clients[CLIENTS];
static struct rng rng;
static int present;

static void fill(struct buf *b, int client, int request)
{
    for (size_t i = 0; i < b->size; i++) {
        b->data[i] = (uint8_t)(client * 31 + request * 7 + (int)(i % 251));
    }
}

static void ask(struct client *c)
{
    size_t size = rng_below(&rng, rng_below(&rng, 4) == 0 ? MOST_BYTES : 500) + 1;
    struct buf *b = buf_new(size + 4);
    b->size = size;
    fill(b, c->number, c->asked);
    memmove(b->data + 4, b->data, size);
    put_length(b->data, (uint32_t)size);
    b->size = size + 4;
    struct env_piece piece = {.bytes = slice_of(b, 0, b->size)};
    buf_unref(b);
    env_send(env, c->conn, &piece, 1);
    c->asked++;
}

static void leave(struct client *c)
{
    env_timer_cancel(env, &c->hang_up);
    env_close(env, c->conn, rng_below(&rng, 2) == 0);
    if (--present == 0) {
        os_stop(os, 0);
    }
}

static void client_hang_up(struct env_timer *timer)
{
    leave(CONTAINER_OF(timer, struct client, hang_up));
}

static void client_connected(void *ctx, env_conn conn)
{
    struct client *c = ctx;
    assert_true(env_conn_equal(c->conn, conn));
    for (int i = 0; i < 5; i++) {
        ask(c);
    }
    if (c->hurried) {
        env_timer_set(env, &c->hang_up, env_now_ms(env) + (int64_t)rng_below(&rng, 20));
    }
}

static void client_frame(void *ctx, env_conn conn, struct buf *frame)
{
    struct client *c = ctx;
    assert_true(env_conn_equal(c->conn, conn));
    struct buf *expected = buf_new(frame->size);
    expected->size = frame->size;
    fill(expected, c->number, c->answered);
    assert_memory_equal(frame->data, expected->data, frame->size);
    buf_unref(expected);
    buf_unref(frame);
    c->answered++;
    if (c->asked < REQUESTS) {
        ask(c);
    } else if (c->answered == REQUESTS) {
        leave(c);
    }
}

static void client_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    (void)ctx;
    (void)conn;
    (void)reason;
    fail_msg("a client was cut off: %s", why);
}

static const struct env_conn_events client_events = {
    .connected = client_connected, .frame = client_frame, .closed = client_closed};

static void a_small_broker_serves_clients_that_come_and_go(void **state)
{
    (void)state;
    char path[] = "/tmp/barnabas-env-XXXXXX";
    int fd = mkstemp(path);
    os = os_open(NULL, NULL);
    env = os_env(os);
    rng_seed(&rng, 42);
    broker_open(path);
    present = CLIENTS;
    memset(clients, 0, sizeof clients);
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        c->number = i;
        c->hurried = i % 3 == 0;
        c->hang_up.fire = client_hang_up;
        c->conn = env_dial(env, i % 2 ? "127.0.0.1" : "localhost", broker.listener.bound_port,
                           MAX_FRAME, &client_events, c);
    }
    assert_int_equal(os_run(os), 0);
    assert_int_equal(broker.writing, 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(clients[i].hurried || clients[i].answered == REQUESTS);
    }
    env_unlisten(env, &broker.listener);
    env_lane_close(env, broker.append);
    env_lane_close(env, broker.commit);
    env_file_unref(broker.file);
    os_free(os);
    close(fd);
    unlink(path);
}

/* ---- time ---- */

struct ticks {
    struct env_timer timer;
    struct env_post post;
    int64_t due_ms;
    int count;
};

static void on_post(struct env_post *post)
{
    struct ticks *t = CONTAINER_OF(post, struct ticks, post);
    if (++t->count == 6) {
        os_stop(os, 0);
        return;
    }
    t->due_ms = env_now_ms(env) + 3;
    env_timer_set(env, &t->timer, t->due_ms);
}

static void on_tick(struct env_timer *timer)
{
    struct ticks *t = CONTAINER_OF(timer, struct ticks, timer);
    assert_true(env_now_ms(env) >= t->due_ms);
    env_post(env, &t->post);
}

static void timers_are_never_early_and_posts_follow(void **state)
{
    (void)state;
    os = os_open(NULL, NULL);
    env = os_env(os);
    struct ticks t = {.timer = {.fire = on_tick}};
    env_post_init(&t.post, on_post);
    env_post(env, &t.post);
    int64_t begin = env_now_ms(env);
    os_run(os);
    assert_int_equal(t.count, 6);
    assert_true(env_now_ms(env) - begin >= 15);
    assert_true(env_wall_ms(env) > 1500000000000);
    assert_int_not_equal(env_random(env), env_random(env));
    os_free(os);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_broker_serves_clients_that_come_and_go),
        cmocka_unit_test(timers_are_never_early_and_posts_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
