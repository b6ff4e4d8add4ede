/* The universe: one queue of events, virtual time, the hash, the run loop. */
#include "tests/sim/env/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim_internal.h"

struct sim_script {
    struct list all;
    struct sim_event event;
    struct sim *sim;
    void (*fire)(void *ctx);
    void *ctx;
};

struct sim *sim_new(const struct sim_options *options)
{
    struct sim *sim = mem_zalloc(sizeof *sim);
    rng_seed(&sim->rng, options->seed);
    rng_seed(&sim->script_rng, options->seed ^ 0x5C21F7A3B9D1E64FULL);
    sim->hash = 0xCBF29CE484222325ULL;
    sim->sink = options->sink;
    sim->sink_ctx = options->sink_ctx;
    sim->paths = mem_array((size_t)SIM_NODES_MAX * SIM_NODES_MAX, sizeof *sim->paths);
    for (size_t i = 0; i < (size_t)SIM_NODES_MAX * SIM_NODES_MAX; i++) {
        sim->paths[i] = (struct sim_path){.delay_min_us = 50, .delay_max_us = 1000};
    }
    sim->send_timeout_us = 60 * INT64_C(1000000);
    sim->dial_timeout_us = 10 * INT64_C(1000000);
    list_init(&sim->links);
    list_init(&sim->doubtful);
    list_init(&sim->scripts);
    return sim;
}

void sim_free(struct sim *sim)
{
    ASSERT(!sim->in_event);
    for (int i = 0; i < sim->node_count; i++) {
        if (sim->nodes[i]->up) {
            sim_node_crash(sim->nodes[i], SIM_KILL);
        }
    }
    sim_net_free_links(sim);
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *node = sim->nodes[i];
        sim_unschedule(sim, &node->wake);
        sim_jobs_free_lanes(node);
        sim_net_fini(node);
        sim_disk_fini(&node->disk);
        env_fini(&node->env);
        mem_free(node);
    }
    struct list *item;
    while ((item = list_pop(&sim->scripts)) != NULL) {
        struct sim_script *script = CONTAINER_OF(item, struct sim_script, all);
        sim_unschedule(sim, &script->event);
        mem_free(script);
    }
    for (size_t i = 0; i < sim->fiber_count; i++) {
        sim_fiber_free(sim->fibers[i]);
    }
    mem_free(sim->fibers);
    heap_free(&sim->queue);
    mem_free(sim->paths);
    mem_free(sim);
}

int64_t sim_now_us(const struct sim *sim)
{
    return sim->now_us;
}

struct rng *sim_rng(struct sim *sim)
{
    return &sim->script_rng;
}

uint64_t sim_hash(const struct sim *sim)
{
    return sim->hash;
}

uint64_t sim_events(const struct sim *sim)
{
    return sim->events;
}

int64_t sim_between(struct sim *sim, int64_t min, int64_t max)
{
    ASSERT(min <= max);
    return min + (int64_t)rng_below(&sim->rng, (uint64_t)(max - min) + 1);
}

bool sim_chance(struct sim *sim, uint32_t one_in)
{
    return one_in > 0 && rng_below(&sim->rng, one_in) == 0;
}

/* ---- hash and trace ---- */

static void mix(struct sim *sim, uint64_t v)
{
    sim->hash = (sim->hash ^ v) * 0x100000001B3ULL;
    sim->hash ^= sim->hash >> 29;
}

void sim_record_bytes(struct sim *sim, const void *data, size_t size)
{
    mix(sim, size);
    mix(sim, crc32c(data, size));
}

static void emit(struct sim *sim, const char *name, const char *kind, const char *text)
{
    char line[1280];
    snprintf(line, sizeof line, "%14lld %-10s %-10s %s", (long long)sim->now_us, name, kind, text);
    sim->sink(sim->sink_ctx, line);
}

void sim_record(struct sim *sim, const struct sim_node *node, const char *kind, const char *text,
                int64_t a, int64_t b)
{
    mix(sim, (uint64_t)sim->now_us);
    mix(sim, node != NULL ? (uint64_t)node->id : UINT64_MAX);
    sim_record_bytes(sim, kind, strlen(kind));
    mix(sim, (uint64_t)a);
    mix(sim, (uint64_t)b);
    if (text != NULL) {
        sim_record_bytes(sim, text, strlen(text));
    }
    if (sim->sink != NULL) {
        char detail[1024];
        snprintf(detail, sizeof detail, "%s%s%lld %lld", text != NULL ? text : "",
                 text != NULL ? " " : "", (long long)a, (long long)b);
        emit(sim, node != NULL ? node->name : "-", kind, detail);
    }
}

void sim_note(struct sim *sim, const char *fmt, ...)
{
    if (sim->sink == NULL) {
        return;
    }
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    emit(sim, "-", "note", text);
}

/* ---- the queue ---- */

void sim_schedule(struct sim *sim, struct sim_event *event, int64_t at_us)
{
    ASSERT(event->fire != NULL);
    sim_unschedule(sim, event);
    heap_push(&sim->queue, &event->heap, at_us > sim->now_us ? at_us : sim->now_us);
}

void sim_unschedule(struct sim *sim, struct sim_event *event)
{
    if (heap_node_linked(&event->heap)) {
        heap_remove(&sim->queue, &event->heap);
    }
}

static void script_fire(struct sim_event *event)
{
    struct sim_script *script = CONTAINER_OF(event, struct sim_script, event);
    list_remove(&script->all);
    script->sim->in_event = false; /* a script may crash nodes: it is nobody's turn */
    script->fire(script->ctx);
    mem_free(script);
}

void sim_at(struct sim *sim, int64_t at_us, void (*fire)(void *ctx), void *ctx)
{
    struct sim_script *script = mem_zalloc(sizeof *script);
    *script = (struct sim_script){.sim = sim, .fire = fire, .ctx = ctx};
    script->event.fire = script_fire;
    list_push(&sim->scripts, &script->all);
    sim_schedule(sim, &script->event, at_us);
}

/* ---- clocks and wakes ---- */

static int64_t counted_us(const struct sim_node *node)
{
    int64_t passed = node->sim->now_us - node->clock_from_us;
    return node->clock_base_us + passed + passed / 1000000 * node->drift_ppm +
           passed % 1000000 * node->drift_ppm / 1000000;
}

static void set_clocks(struct sim_node *node)
{
    int64_t counted = counted_us(node);
    int64_t now_ms = (counted + node->mono_start_us) / 1000;
    ASSERT(now_ms >= node->env.now_ms);
    node->env.now_ms = now_ms;
    /* The universe begins on 2026-01-01. */
    node->env.wall_ms = INT64_C(1767225600000) + counted / 1000 + node->wall_offset_ms;
}

/* A wake is queued for the first timer or post of every core, whoever set it. */
static void queue_wake(struct sim_node *node)
{
    struct sim *sim = node->sim;
    int64_t wait_ms = node->up ? env_wait_ms(&node->env) : -1;
    if (wait_ms < 0) {
        sim_unschedule(sim, &node->wake);
        return;
    }
    int64_t wait_us = 0;
    if (wait_ms > 0) {
        int64_t to_due =
            (node->env.now_ms + wait_ms) * 1000 - counted_us(node) - node->mono_start_us;
        wait_us = to_due > 0 ? to_due - to_due / 1000000 * node->drift_ppm / 2 : 0;
        wait_us = wait_us > 0 ? wait_us : 1;
    }
    int64_t at_us = sim->now_us + wait_us;
    at_us = at_us > node->stalled_until_us ? at_us : node->stalled_until_us;
    if (!heap_node_linked(&node->wake.heap) || node->wake.heap.key > at_us) {
        sim_schedule(sim, &node->wake, at_us);
    }
}

static void wake_fire(struct sim_event *event)
{
    struct sim_node *node = event->node;
    if (env_wait_ms(&node->env) == 0) {
        sim_record(node->sim, node, "turn", NULL, node->env.now_ms, 0);
        env_run_due(&node->env);
    }
}

/* ---- the loop ---- */

static void look_after_nodes(struct sim *sim)
{
    for (int i = 0; i < sim->node_count; i++) {
        set_clocks(sim->nodes[i]);
        queue_wake(sim->nodes[i]);
    }
}

bool sim_step(struct sim *sim)
{
    ASSERT(!sim->in_event);
    look_after_nodes(sim);
    struct heap_node *first = heap_first(&sim->queue);
    if (first == NULL) {
        return false;
    }
    struct sim_event *event = CONTAINER_OF(first, struct sim_event, heap);
    ASSERT(first->key >= sim->now_us);
    sim->now_us = first->key;
    heap_remove(&sim->queue, first);
    sim->events++;
    struct sim_node *node = event->node;
    if (node != NULL && node->stalled_until_us > sim->now_us) {
        sim_schedule(sim, event, node->stalled_until_us);
        return true;
    }
    for (int i = 0; i < sim->node_count; i++) {
        set_clocks(sim->nodes[i]);
    }
    sim->in_event = true;
    event->fire(event);
    sim->in_event = false;
    sim_net_settle(sim);
    if (node != NULL && node->crash_now) {
        node->crash_now = false;
        sim_node_crash(node, node->crash_how);
        if (node->crashed != NULL) {
            node->crashed(node->crashed_ctx, node);
        }
    }
    look_after_nodes(sim);
    return true;
}

bool sim_run_until(struct sim *sim, bool (*reached)(void *ctx), void *ctx, int64_t for_ms,
                   uint64_t max_events)
{
    int64_t end_us = sim->now_us + for_ms * 1000;
    for (uint64_t n = 0; max_events == 0 || n < max_events; n++) {
        if (reached != NULL && reached(ctx)) {
            return true;
        }
        look_after_nodes(sim);
        const struct heap_node *first = heap_first(&sim->queue);
        if (first == NULL || first->key > end_us) {
            sim->now_us = end_us;
            look_after_nodes(sim);
            return false;
        }
        sim_step(sim);
    }
    return reached != NULL && reached(ctx);
}

void sim_run_for(struct sim *sim, int64_t for_ms)
{
    sim_run_until(sim, NULL, NULL, for_ms, 0);
}

/* ---- nodes' clocks, set from outside ---- */

void sim_node_wall_offset(struct sim_node *node, int64_t offset_ms)
{
    node->wall_offset_ms = offset_ms;
    set_clocks(node);
}

void sim_node_drift(struct sim_node *node, int64_t drift_ppm)
{
    ASSERT(drift_ppm > -500000 && drift_ppm < 500000);
    node->clock_base_us = counted_us(node);
    node->clock_from_us = node->sim->now_us;
    node->drift_ppm = drift_ppm;
}

void sim_node_stall(struct sim_node *node, int64_t for_us)
{
    sim_record(node->sim, node, "stall", NULL, for_us, 0);
    node->stalled_until_us = node->sim->now_us + for_us;
}

/* ---- birth, death, return ---- */

static uint64_t node_random(struct env *env)
{
    return rng_next(&sim_node_of(env)->rng);
}

static const struct env_ops ops = {
    .random = node_random,
    .lane_open = sim_lane_open,
    .lane_close = sim_lane_close,
    .job_submit = sim_job_submit,
    .listen = sim_listen,
    .unlisten = sim_unlisten,
    .dial = sim_dial,
    .send = sim_send,
    .conn_queued = sim_conn_queued,
    .conn_pause = sim_conn_pause,
    .close = sim_close,
};

static void trace_sink(void *ctx, enum trace_level level, const char *line)
{
    struct sim_node *node = ctx;
    if (node->sim->sink != NULL) {
        emit(node->sim, node->name, trace_level_name(level), line);
    }
}

static void boot(struct sim_node *node)
{
    int64_t last_ms = node->env.now_ms;
    env_init(&node->env, &ops, &node->trace);
    node->env.now_ms = last_ms;
    node->up = true;
    node->host_up = true;
    rng_seed(&node->rng, rng_next(&node->sim->rng));
    set_clocks(node);
}

struct sim_node *sim_node_new(struct sim *sim, const char *name, const char *host)
{
    ASSERT(sim->node_count < SIM_NODES_MAX && !sim->in_event);
    struct sim_node *node = mem_zalloc(sizeof *node);
    node->sim = sim;
    node->id = sim->node_count;
    ASSERT(strlen(name) < sizeof node->name && strlen(host) < sizeof node->host);
    snprintf(node->name, sizeof node->name, "%s", name);
    snprintf(node->host, sizeof node->host, "%s", host);
    node->clock_from_us = sim->now_us;
    node->clock_base_us = sim->now_us;
    node->mono_start_us = sim_between(sim, 0, INT64_C(100000000000));
    node->trace = (struct trace){
        .level = sim->sink != NULL ? TRACE_DEBUG : TRACE_ERROR, .sink = trace_sink, .ctx = node};
    node->wake = (struct sim_event){.node = node, .fire = wake_fire};
    sim_disk_init(&node->disk, sim);
    sim_jobs_init(node);
    sim_net_init(node);
    boot(node);
    sim->nodes[sim->node_count++] = node;
    return node;
}

struct env *sim_node_env(struct sim_node *node)
{
    return &node->env;
}

const char *sim_node_name(const struct sim_node *node)
{
    return node->name;
}

bool sim_node_up(const struct sim_node *node)
{
    return node->up;
}

void sim_node_crash(struct sim_node *node, enum sim_crash how)
{
    struct sim *sim = node->sim;
    ASSERT(!sim->in_event && node->up);
    sim_record(sim, node, "crash", NULL, (int64_t)how, (int64_t)node->disk.ops);
    node->up = false;
    node->host_up = how != SIM_POWER_CUT;
    node->crash_at_op = 0;
    node->crash_now = false;
    node->stalled_until_us = 0;
    sim_unschedule(sim, &node->wake);
    env_fini(&node->env);
    list_init(&node->env.posts);
    sim_net_crash(node, how == SIM_POWER_CUT);
    sim_jobs_crash(node);
    sim_disk_crash(&node->disk, how != SIM_KILL);
}

void sim_node_restart(struct sim_node *node)
{
    ASSERT(!node->sim->in_event && !node->up);
    sim_record(node->sim, node, "restart", NULL, 0, 0);
    sim_jobs_free_lanes(node);
    env_fini(&node->env);
    boot(node);
}

void sim_node_crash_at_op(struct sim_node *node, uint64_t k, enum sim_crash how,
                          void (*crashed)(void *ctx, struct sim_node *node), void *ctx)
{
    node->crash_at_op = k > 0 ? node->disk.ops + k : 0;
    node->crash_how = how;
    node->crashed = crashed;
    node->crashed_ctx = ctx;
}
