#include "broker/env/env.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

int64_t env_now_ms(const struct env *env)
{
    return env->now_ms;
}

int64_t env_wall_ms(const struct env *env)
{
    return env->wall_ms;
}

uint64_t env_random(struct env *env)
{
    return env->ops->random(env);
}

struct uuid env_random_uuid(struct env *env)
{
    for (;;) {
        uint64_t high = env_random(env);
        struct uuid u = uuid_from_random(high, env_random(env));
        char text[UUID_TEXT_BYTES];
        if (uuid_format(&u, text)[0] != '-') {
            return u;
        }
    }
}

int env_open_files_max(const struct env *env)
{
    return env->open_files_max;
}

const struct trace *env_trace(const struct env *env)
{
    return env->trace;
}

/* ---- timers and posts ---- */

void env_timer_set(struct env *env, struct env_timer *timer, int64_t due_ms)
{
    ASSERT(timer->fire != NULL);
    env_timer_cancel(env, timer);
    heap_push(&env->timers, &timer->node, due_ms);
}

void env_timer_cancel(struct env *env, struct env_timer *timer)
{
    if (heap_node_linked(&timer->node)) {
        heap_remove(&env->timers, &timer->node);
    }
}

bool env_timer_armed(const struct env_timer *timer)
{
    return heap_node_linked(&timer->node);
}

void env_post_init(struct env_post *post, void (*run)(struct env_post *post))
{
    list_init(&post->node);
    post->run = run;
}

void env_post(struct env *env, struct env_post *post)
{
    ASSERT(post->run != NULL);
    if (list_empty(&post->node)) {
        list_push(&env->posts, &post->node);
    }
}

void env_post_cancel(struct env *env, struct env_post *post)
{
    (void)env;
    list_remove(&post->node);
}

void env_init(struct env *env, const struct env_ops *ops, const struct trace *trace)
{
    *env = (struct env){.ops = ops, .trace = trace};
    list_init(&env->posts);
}

int64_t env_wait_ms(const struct env *env)
{
    if (!list_empty(&env->posts)) {
        return 0;
    }
    const struct heap_node *first = heap_first(&env->timers);
    if (first == NULL) {
        return -1;
    }
    return first->key > env->now_ms ? first->key - env->now_ms : 0;
}

void env_run_due(struct env *env)
{
    /* Bounded by what was due and posted when the call began: new ones wait for the next. */
    struct list ready;
    list_init(&ready);
    list_splice(&ready, &env->posts);
    struct list *node;
    while ((node = list_pop(&ready)) != NULL) {
        struct env_post *post = CONTAINER_OF(node, struct env_post, node);
        post->run(post);
    }
    uint64_t horizon = env->timers.pushes;
    struct heap_node *first;
    while ((first = heap_first(&env->timers)) != NULL && first->key <= env->now_ms &&
           first->order < horizon) {
        struct env_timer *timer = CONTAINER_OF(first, struct env_timer, node);
        heap_remove(&env->timers, first);
        timer->fire(timer);
    }
}

void env_fini(struct env *env)
{
    while (heap_first(&env->timers) != NULL) {
        heap_remove(&env->timers, heap_first(&env->timers));
    }
    heap_free(&env->timers);
    while (list_pop(&env->posts) != NULL) {
    }
}

/* ---- the rest goes to the implementation ---- */

struct env_lane *env_lane_open(struct env *env, enum env_worker worker)
{
    ASSERT(worker < ENV_WORKERS);
    return env->ops->lane_open(env, worker);
}

void env_lane_close(struct env *env, struct env_lane *lane)
{
    env->ops->lane_close(env, lane);
}

void env_job_submit(struct env *env, struct env_lane *lane, struct env_job *job)
{
    ASSERT(lane != NULL && job->run != NULL && job->done != NULL);
    job->lane = lane;
    job->env = env;
    env->ops->job_submit(env, lane, job);
}

enum err env_listen(struct env *env, struct env_listener *listener, const char *host, uint16_t port,
                    struct err_text *text)
{
    ASSERT(listener->events != NULL && listener->accepted != NULL);
    ASSERT(listener->max_frame_bytes > 0);
    return env->ops->listen(env, listener, host, port, text);
}

void env_unlisten(struct env *env, struct env_listener *listener)
{
    env->ops->unlisten(env, listener);
}

env_conn env_dial(struct env *env, const char *host, uint16_t port, uint32_t max_frame_bytes,
                  const struct env_conn_events *events, void *ctx)
{
    ASSERT(events != NULL && max_frame_bytes > 0);
    return env->ops->dial(env, host, port, max_frame_bytes, events, ctx);
}

void env_send(struct env *env, env_conn conn, const struct env_piece *pieces, int count)
{
    ASSERT(count >= 0);
    env->ops->send(env, conn, pieces, count);
}

size_t env_conn_queued(const struct env *env, env_conn conn)
{
    return env->ops->conn_queued(env, conn);
}

void env_conn_pause(struct env *env, env_conn conn, bool paused)
{
    env->ops->conn_pause(env, conn, paused);
}

void env_close(struct env *env, env_conn conn, bool flush_first)
{
    env->ops->close(env, conn, flush_first);
}

struct env_file *env_file_ref(struct env_file *file)
{
    uint32_t before = atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return file;
}

void env_file_unref(struct env_file *file)
{
    if (file == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1) {
        file->close(file);
    }
}
