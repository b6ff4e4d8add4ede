/* The loop. One round: libuv hands out what is ready (frames, finished jobs, signals), then
 * `prepare` runs env's posts and timers, then net writes what all of that queued, then the loop
 * waits until something is ready or env's next timer is due. */
#include "broker/os/os.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "broker/os/impl.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);
    ASSERT(rc == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void os_turn(struct os *os)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    ASSERT(now >= os->env.now_ms);
    os->env.now_ms = now;
    os->env.wall_ms = clock_ms(CLOCK_REALTIME);
}

static uint64_t os_random(struct env *env)
{
    struct os *os = (struct os *)env;
    if (os->random_left == 0) {
        size_t got = 0;
        while (got < sizeof os->random) {
            ssize_t n = getrandom((uint8_t *)os->random + got, sizeof os->random - got, 0);
            ASSERT(n > 0 || errno == EINTR);
            got += n > 0 ? (size_t)n : 0;
        }
        os->random_left = OS_RANDOM_WORDS;
    }
    uint64_t word = os->random[--os->random_left];
    os->random[os->random_left] = 0; /* what was handed out is not kept */
    return word;
}

static const struct env_ops os_ops = {
    .random = os_random,
    .lane_open = os_lane_open,
    .lane_close = os_lane_close,
    .job_submit = os_job_submit,
    .listen = os_listen,
    .unlisten = os_unlisten,
    .dial = os_dial,
    .send = os_send,
    .conn_queued = os_conn_queued,
    .conn_pause = os_conn_pause,
    .close = os_close,
};

/* ---- the round ---- */

static void on_wake(uv_timer_t *timer)
{
    ((struct os *)timer->data)->timer_due_ms = -1;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void set_wake(struct os *os, int64_t wait_ms)
{
    int64_t due = wait_ms > 0 ? os->env.now_ms + wait_ms : -1;
    if (wait_ms == 0) {
        uv_idle_start(&os->idle, on_idle);
    } else {
        uv_idle_stop(&os->idle);
    }
    if (due == os->timer_due_ms) {
        return;
    }
    os->timer_due_ms = due;
    if (due < 0) {
        uv_timer_stop(&os->timer);
        return;
    }
    uv_update_time(&os->loop); /* the wait counts from now, not from the round's start */
    uv_timer_start(&os->timer, on_wake, (uint64_t)wait_ms, 0);
}

/* A round of a stopping loop. */
static void wind_down(struct os *os)
{
    uv_idle_stop(&os->idle);
    if (!os->closing_net) {
        os->closing_net = true;
        os_conns_forget(os);
        net_drain(os->net, OS_DRAIN_MS);
    }
    if (os->outstanding == 0 && net_drained(os->net)) {
        os->drained = true;
        uv_stop(&os->loop);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct os *os = prepare->data;
    if (os->stopping) {
        wind_down(os);
        return;
    }
    os_turn(os);
    env_run_due(&os->env);
    os_turn(os);
    set_wake(os, os->stopping ? 0 : env_wait_ms(&os->env));
}

static void on_finished(uv_async_t *async)
{
    os_workers_deliver(async->data);
}

/* ---- life ---- */

static void init_handles(struct os *os)
{
    uv_prepare_init(&os->loop, &os->prepare);
    uv_idle_init(&os->loop, &os->idle);
    uv_timer_init(&os->loop, &os->timer);
    os->prepare.data = os->idle.data = os->timer.data = os->finished.data = os;
    os->timer_due_ms = -1;
}

struct os *os_open(const struct trace *trace, struct err_text *text)
{
    /* Few threads allocate, and what they do is short: arenas of their own would only hold memory.
     */
    mallopt(M_ARENA_MAX, 2);
    struct os *os = mem_zalloc(sizeof *os);
    int rc = uv_loop_init(&os->loop);
    if (rc != 0) {
        err_set(text, "start the event loop: %s", uv_strerror(rc));
        mem_free(os);
        return NULL;
    }
    rc = uv_async_init(&os->loop, &os->finished, on_finished);
    if (rc != 0) {
        err_set(text, "start the event loop: %s", uv_strerror(rc));
        uv_loop_close(&os->loop);
        mem_free(os);
        return NULL;
    }
    env_init(&os->env, &os_ops, trace);
    os->fs.ops = &os_fs_ops;
    os->loop_thread = pthread_self();
    os->env.open_files_max = os_raise_open_files(trace);
    init_handles(os);
    os->net = net_new(&os->loop, trace);
    /* After net's, and so run before it (libuv runs the newest first): what a turn sends leaves in
     * the same round. */
    uv_prepare_start(&os->prepare, on_prepare);
    os_workers_init(os);
    os_turn(os);
    return os;
}

struct env *os_env(struct os *os)
{
    return &os->env;
}

struct env_fs *os_fs(struct os *os)
{
    return &os->fs;
}

int os_run(struct os *os)
{
    ASSERT(!os->drained);
    while (!os->drained) {
        uv_run(&os->loop, UV_RUN_DEFAULT);
    }
    return os->code;
}

void os_stop(struct os *os, int code)
{
    if (os->stopping) {
        return;
    }
    os->stopping = true;
    os->code = code;
    uv_idle_start(&os->idle, on_idle); /* come round at once */
}

static void close_each(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

void os_free(struct os *os)
{
    if (!os->drained) {
        os_stop(os, 0);
        os_run(os);
    }
    if (os->closer != NULL) {
        os_lane_close(&os->env, os->closer);
    }
    os_workers_end(os);
    net_free(os->net);
    ASSERT(atomic_load(&os->open_files) == 0);
    uv_walk(&os->loop, close_each, NULL);
    uv_run(&os->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&os->loop);
    ASSERT(rc == 0);
    env_fini(&os->env);
    mem_free(os->slots);
    mem_free(os);
}
