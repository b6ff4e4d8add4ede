/* The loop, its workers and its surroundings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/os/os.h"
#include "common/base/mem.h"
#include "tests/unit/os/threads.h"

static struct os *open_os(void)
{
    struct err_text text = {""};
    struct os *os = os_open(NULL, &text);
    assert_string_equal(text.text, "");
    assert_non_null(os);
    return os;
}

/* ---- jobs ---- */

enum { LANES = 10, JOBS = 200 };

struct lane_log {
    struct env_lane *lane;
    int next_run; /* touched by one job at a time */
    int next_done;
    _Atomic int running;
    _Atomic int most_running;
};

struct numbered {
    struct env_job job;
    struct lane_log *log;
    int number;
};

static struct os *the_os;
static int done_count;
static pthread_t loop_thread;

static void run_numbered(struct env_job *job, struct env_fs *fs)
{
    struct numbered *n = CONTAINER_OF(job, struct numbered, job);
    (void)fs;
    int now = atomic_fetch_add(&n->log->running, 1) + 1;
    if (now > atomic_load(&n->log->most_running)) {
        atomic_store(&n->log->most_running, now);
    }
    /* Not an assert: cmocka's cannot leave a thread. */
    n->log->next_run = n->log->next_run == n->number ? n->number + 1 : -1000000;
    atomic_fetch_sub(&n->log->running, 1);
}

static void numbered_done(struct env_job *job)
{
    struct numbered *n = CONTAINER_OF(job, struct numbered, job);
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_int_equal(n->log->next_done, n->number);
    n->log->next_done++;
    if (++done_count == LANES * JOBS) {
        os_stop(the_os, 0);
    }
}

static void lanes_keep_their_order_and_run_one_job_at_a_time(void **state)
{
    (void)state;
    the_os = open_os();
    loop_thread = pthread_self();
    done_count = 0;
    struct lane_log logs[LANES];
    memset(logs, 0, sizeof logs);
    struct numbered *jobs = mem_array((size_t)LANES * JOBS, sizeof *jobs);
    for (int l = 0; l < LANES; l++) {
        logs[l].lane = env_lane_open(os_env(the_os), (enum env_worker)(l % ENV_WORKERS));
    }
    for (int j = 0; j < JOBS; j++) {
        for (int l = 0; l < LANES; l++) {
            struct numbered *n = &jobs[j * LANES + l];
            *n = (struct numbered){.log = &logs[l], .number = j};
            n->job.run = run_numbered;
            n->job.done = numbered_done;
            env_job_submit(os_env(the_os), logs[l].lane, &n->job);
        }
    }
    assert_int_equal(done_count, 0);
    for (int l = 0; l < LANES; l++) {
        env_lane_close(os_env(the_os), logs[l].lane); /* goes with its last job */
    }
    os_run(the_os);
    assert_int_equal(done_count, LANES * JOBS);
    for (int l = 0; l < LANES; l++) {
        assert_int_equal(logs[l].next_run, JOBS);
        assert_int_equal(logs[l].most_running, 1);
    }
    os_free(the_os);
    mem_free(jobs);
}

struct relay {
    struct env_job job;
    struct env_lane *lane;
    int left;
};

static void run_nothing(struct env_job *job, struct env_fs *fs)
{
    (void)job;
    (void)fs;
    usleep(1000);
}

static void relay_done(struct env_job *job)
{
    struct relay *r = CONTAINER_OF(job, struct relay, job);
    if (--r->left > 0) {
        env_job_submit(os_env(the_os), r->lane, &r->job);
    }
}

static void a_stop_waits_for_jobs_and_what_they_submit(void **state)
{
    (void)state;
    the_os = open_os();
    struct relay r = {.left = 5, .lane = env_lane_open(os_env(the_os), ENV_WORKER_BULK)};
    r.job.run = run_nothing;
    r.job.done = relay_done;
    env_job_submit(os_env(the_os), r.lane, &r.job);
    os_stop(the_os, 7);
    os_stop(the_os, 8);
    assert_int_equal(os_run(the_os), 7);
    assert_int_equal(r.left, 0);
    env_lane_close(os_env(the_os), r.lane);
    os_free(the_os);
}

static void threads_start_with_the_first_job_and_end_with_the_os(void **state)
{
    (void)state;
    the_os = open_os();
    assert_int_equal(worker_threads(), 0);
    struct relay r = {.left = 1, .lane = env_lane_open(os_env(the_os), ENV_WORKER_META)};
    assert_int_equal(worker_threads(), 0);
    r.job.run = run_nothing;
    r.job.done = relay_done;
    env_job_submit(os_env(the_os), r.lane, &r.job);
    assert_int_equal(worker_threads(), 1);
    os_stop(the_os, 0);
    os_run(the_os);
    env_lane_close(os_env(the_os), r.lane);
    os_free(the_os);
    while (worker_threads() > 0) {
        sched_yield(); /* joined, but not yet out of the list */
    }
}

static void stop_in_post(struct env_post *post)
{
    (void)post;
    os_stop(the_os, 4);
}

static void an_os_never_run_is_freed(void **state)
{
    (void)state;
    the_os = open_os();
    os_free(the_os);
    the_os = open_os();
    struct env_post post;
    env_post_init(&post, stop_in_post);
    env_post(os_env(the_os), &post);
    assert_int_equal(os_run(the_os), 4);
    os_free(the_os);
}

/* ---- connections at the end ---- */

struct pair {
    struct env_listener listener;
    env_conn server;
    env_conn client;
    int events;
};

static struct pair pair;

static void *pair_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    (void)ctx;
    (void)peer;
    pair.server = conn;
    struct env_piece piece = {.bytes = {.data = (const uint8_t *)"\0\0\0\1x", .size = 5}};
    env_send(os_env(the_os), conn, &piece, 1);
    os_stop(the_os, 0);
    return NULL;
}

static void pair_frame(void *ctx, env_conn conn, struct buf *frame)
{
    (void)ctx;
    (void)conn;
    pair.events++;
    buf_unref(frame);
}

static void pair_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    (void)ctx;
    (void)conn;
    (void)reason;
    (void)why;
    pair.events++;
}

static void after_a_stop_connections_are_silent_and_handles_stale(void **state)
{
    (void)state;
    static const struct env_conn_events events = {.frame = pair_frame, .closed = pair_closed};
    the_os = open_os();
    struct env *env = os_env(the_os);
    struct err_text text = {""};
    pair = (struct pair){.listener = {.events = &events, .max_frame_bytes = 100}};
    pair.listener.accepted = pair_accepted;
    assert_int_equal(env_listen(env, &pair.listener, "127.0.0.1", 0, &text), ERR_NONE);
    pair.client = env_dial(env, "127.0.0.1", pair.listener.bound_port, 100, &events, NULL);
    os_run(the_os);
    assert_int_equal(pair.events, 0);
    assert_int_equal(env_conn_queued(env, pair.server), 0);
    env_conn_pause(env, pair.server, true);
    env_close(env, pair.server, true);
    env_close(env, pair.client, false);
    struct buf *late = buf_new(10);
    late->size = 10;
    struct env_piece piece = {.bytes = slice_of(late, 0, 10)};
    env_send(env, pair.client, &piece, 1);
    assert_int_equal(atomic_load(&late->refs), 1);
    buf_unref(late);
    struct env_listener second = pair.listener;
    assert_int_equal(env_listen(env, &second, "127.0.0.1", 0, &text), ERR_CANCELLED);
    env_unlisten(env, &pair.listener);
    os_free(the_os);
}

static void meet_connected(void *ctx, env_conn conn)
{
    (void)conn;
    *(int *)ctx += 1;
    os_stop(the_os, 0);
}

static void *ignore_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    (void)conn;
    (void)peer;
    return ctx;
}

static void an_old_handle_does_not_reach_the_row_s_next_holder(void **state)
{
    (void)state;
    static const struct env_conn_events events = {
        .connected = meet_connected, .frame = pair_frame, .closed = pair_closed};
    int connected = 0;
    the_os = open_os();
    struct env *env = os_env(the_os);
    struct env_listener listener = {.events = &events, .max_frame_bytes = 100};
    listener.accepted = ignore_accepted;
    assert_int_equal(env_listen(env, &listener, "127.0.0.1", 0, NULL), ERR_NONE);
    env_conn first = env_dial(env, "127.0.0.1", listener.bound_port, 100, &events, &connected);
    env_close(env, first, false);
    env_conn second = env_dial(env, "127.0.0.1", listener.bound_port, 100, &events, &connected);
    assert_int_equal(first.index, second.index);
    assert_false(env_conn_equal(first, second));
    env_close(env, first, false);
    os_run(the_os);
    assert_int_equal(connected, 1);
    env_unlisten(env, &listener);
    os_free(the_os);
}

enum { PARTING_BYTES = 8 << 20 };

static void *parting_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    (void)peer;
    struct buf *b = buf_new(PARTING_BYTES);
    memset(b->data, 'x', PARTING_BYTES);
    b->size = PARTING_BYTES;
    struct env_piece piece = {.bytes = slice_of(b, 0, PARTING_BYTES)};
    buf_unref(b);
    env_send(os_env(the_os), conn, &piece, 1);
    os_stop(the_os, 0);
    return ctx;
}

/* A peer on its own thread: how many bytes it was sent. */
static void *read_all(void *arg)
{
    int fd = *(int *)arg;
    static char buffer[65536];
    size_t total = 0;
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        total += (size_t)n;
    }
    return (void *)total;
}

static void a_stop_lets_queued_output_leave(void **state)
{
    (void)state;
    static const struct env_conn_events events = {.frame = pair_frame, .closed = pair_closed};
    the_os = open_os();
    struct env_listener listener = {.events = &events, .max_frame_bytes = 100};
    listener.accepted = parting_accepted;
    assert_int_equal(env_listen(os_env(the_os), &listener, "127.0.0.1", 0, NULL), ERR_NONE);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(listener.bound_port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, read_all, &fd), 0);
    os_run(the_os);
    void *total = NULL;
    pthread_join(reader, &total);
    assert_int_equal((size_t)total, PARTING_BYTES);
    close(fd);
    env_unlisten(os_env(the_os), &listener);
    os_free(the_os);
}

/* ---- surroundings ---- */

static void note_signal(void *ctx, int signum)
{
    *(int *)ctx = signum;
    os_stop(the_os, 0);
}

static void raise_in_post(struct env_post *post)
{
    (void)post;
    raise(SIGTERM);
}

static void a_signal_is_a_turn(void **state)
{
    (void)state;
    int seen = 0;
    the_os = open_os();
    os_on_signal(the_os, note_signal, &seen);
    struct env_post post;
    env_post_init(&post, raise_in_post);
    env_post(os_env(the_os), &post);
    os_run(the_os);
    assert_int_equal(seen, SIGTERM);
    os_free(the_os);
}

static void the_service_manager_is_told(void **state)
{
    (void)state;
    char path[] = "/tmp/barnabas-notify-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s/socket", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof name), 0);
    setenv("NOTIFY_SOCKET", name.sun_path, 1);
    the_os = open_os();
    os_notify(the_os, "READY=1");
    char got[64] = "";
    assert_int_equal(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), 7);
    assert_string_equal(got, "READY=1");
    unsetenv("NOTIFY_SOCKET");
    os_notify(the_os, "STOPPING=1");
    assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), -1);
    os_free(the_os);
    close(fd);
    unlink(name.sun_path);
    rmdir(path);
}

/* What a trace writes to stderr, by way of a file there. */
static void traced(bool journal, char *out, size_t size)
{
    char path[] = "/tmp/barnabas-trace-XXXXXX";
    int fd = mkstemp(path);
    int before = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    if (journal) {
        struct stat st;
        char stream[64];
        fstat(fd, &st);
        snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
    }
    struct trace trace = os_trace(TRACE_INFO);
    trace_warn(&trace, "disk of %d is slow", 3);
    trace_debug(&trace, "not this");
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t n = pread(fd, out, size - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    close(fd);
    unlink(path);
    unsetenv("JOURNAL_STREAM");
}

static void lines_carry_time_or_the_journals_priority(void **state)
{
    (void)state;
    char got[256];
    traced(true, got, sizeof got);
    assert_string_equal(got, "<4>disk of 3 is slow\n");
    traced(false, got, sizeof got);
    assert_string_equal(got + 24, " WARN disk of 3 is slow\n");
    assert_int_equal(got[10], 'T');
    assert_int_equal(got[23], 'Z');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_keep_their_order_and_run_one_job_at_a_time),
        cmocka_unit_test(a_stop_waits_for_jobs_and_what_they_submit),
        cmocka_unit_test(threads_start_with_the_first_job_and_end_with_the_os),
        cmocka_unit_test(an_os_never_run_is_freed),
        cmocka_unit_test(after_a_stop_connections_are_silent_and_handles_stale),
        cmocka_unit_test(an_old_handle_does_not_reach_the_row_s_next_holder),
        cmocka_unit_test(a_stop_lets_queued_output_leave),
        cmocka_unit_test(a_signal_is_a_turn),
        cmocka_unit_test(the_service_manager_is_told),
        cmocka_unit_test(lines_carry_time_or_the_journals_priority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
