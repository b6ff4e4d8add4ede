/* Servers: the whole node on a simulated machine, its deaths and returns. */
#include <stdio.h>

#include "common/base/assert.h"
#include "tests/sim/universe.h"

enum { PORT = 9092, DOWN_MAX_MS = 3000, START_OPS = 250, STOP_MAX_MS = 20000 };

static void set(struct server *server, const char *key, const char *value)
{
    char assignment[256];
    struct err_text text = {""};
    snprintf(assignment, sizeof assignment, "%s=%s", key, value);
    enum err error = broker_settings_set(server->settings, assignment, &text);
    if (error != ERR_NONE) {
        verdict_fail(&server->universe->verdict, "setting %s: %s", assignment, text.text);
    }
}

static void set_number(struct server *server, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    set(server, key, text);
}

void server_init(struct server *server, struct universe *u, int32_t id)
{
    char name[16];
    char text[64];
    *server = (struct server){.universe = u, .id = id};
    snprintf(name, sizeof name, "server%d", id);
    snprintf(server->host, sizeof server->host, "10.0.0.%d", id);
    server->node = sim_node_new(u->sim, name, server->host);
    server->settings = broker_settings_new();
    set_number(server, "node.id", id);
    snprintf(text, sizeof text, "PLAINTEXT://%s:%d", server->host, PORT);
    set(server, "listeners", text);
    set(server, "log.dirs", universe_chance(u, 25) ? "/data/a,/data/b" : "/data/a");
    set_number(server, "offsets.topic.num.partitions", 2);
    set_number(server, "offsets.topic.replication.factor", 1);
    set_number(server, "group.initial.rebalance.delay.ms", universe_below(u, 500));
    struct err_text why = {""};
    if (broker_settings_check(server->settings, &why) != ERR_NONE) {
        verdict_fail(&u->verdict, "settings: %s", why.text);
    }
}

/* ---- coming up ---- */

static void on_ready(void *ctx, struct broker *broker)
{
    struct server *server = ctx;
    (void)broker;
    server->ready = true;
    sim_note(server->universe->sim, "server %d serves", server->id);
}

static void restart(void *ctx)
{
    struct server *server = ctx;
    struct universe *u = server->universe;
    if (server->broker != NULL) {
        return;
    }
    sim_node_restart(server->node);
    server_start(server);
    if (!u->calm && (u->fault_kinds & (1U << FAULT_AT_START)) && universe_chance(u, 40)) {
        u->tally->faults[FAULT_AT_START]++;
        server_crash_at_op(server, (uint64_t)universe_below(u, START_OPS) + 1,
                           (enum sim_crash)universe_below(u, 3));
    }
}

static void come_back_later(struct server *server)
{
    struct universe *u = server->universe;
    int64_t most_ms = universe_chance(u, 80) ? DOWN_MAX_MS / 10 : DOWN_MAX_MS;
    sim_at(u->sim, sim_now_us(u->sim) + universe_below(u, most_ms * 1000), restart, server);
}

/* After a death of any kind, outside every turn. */
static void bury(struct server *server)
{
    struct universe *u = server->universe;
    broker_free(server->broker);
    server->broker = NULL;
    server->ready = false;
    server->stopping = false;
    sim_node_crash_at_op(server->node, 0, SIM_KILL, NULL, NULL);
    bool any_up = false;
    for (int i = 0; i < u->server_count; i++) {
        any_up = any_up || u->servers[i].broker != NULL;
    }
    if (!any_up) {
        ledger_commits_cut(u->ledger, sim_now_us(u->sim));
    }
    come_back_later(server);
}

static void after_stop(void *ctx)
{
    struct server *server = ctx;
    if (server->broker != NULL && server->stopping) {
        sim_node_crash(server->node, SIM_KILL);
        bury(server);
    }
}

static void on_stopped(void *ctx, struct broker *broker, enum broker_exit code, const char *why)
{
    struct server *server = ctx;
    struct universe *u = server->universe;
    (void)broker;
    if (!server->stopping || code != BROKER_EXIT_OK) {
        verdict_fail(&u->verdict, "server %d %s (%d): %s", server->id,
                     server->stopping ? "did not stop cleanly" : "stopped by itself", (int)code,
                     why);
        server->stopping = true;
    }
    sim_at(u->sim, sim_now_us(u->sim), after_stop, server);
}

void server_start(struct server *server)
{
    ASSERT(server->broker == NULL);
    struct broker_news news = {.ready = on_ready, .stopped = on_stopped, .ctx = server};
    server->ready = false;
    server->universe->starts++;
    server->broker = broker_start(sim_node_env(server->node), server->settings, &news);
}

/* ---- going down ---- */

void server_crash(struct server *server, enum sim_crash how)
{
    if (server->broker != NULL) {
        sim_node_crash(server->node, how);
        bury(server);
    }
}

static void crashed_at_op(void *ctx, struct sim_node *node)
{
    (void)node;
    bury(ctx);
}

void server_crash_at_op(struct server *server, uint64_t k, enum sim_crash how)
{
    if (server->broker != NULL) {
        sim_node_crash_at_op(server->node, k, how, crashed_at_op, server);
    }
}

static void check_stopped(void *ctx)
{
    struct server *server = ctx;
    struct universe *u = server->universe;
    if (server->stopping && server->broker != NULL &&
        sim_now_us(u->sim) - server->stop_us >= STOP_MAX_MS * INT64_C(1000)) {
        verdict_fail(&u->verdict, "server %d has not stopped %d ms after it was told to",
                     server->id, STOP_MAX_MS);
    }
}

void server_stop(struct server *server)
{
    struct universe *u = server->universe;
    if (server->broker != NULL && !server->stopping) {
        server->stopping = true;
        server->stop_us = sim_now_us(u->sim);
        broker_stop(server->broker);
        sim_at(u->sim, server->stop_us + STOP_MAX_MS * INT64_C(1000), check_stopped, server);
    }
}

void server_free(struct server *server)
{
    if (server->broker != NULL) {
        sim_node_crash(server->node, SIM_KILL);
        broker_free(server->broker);
    }
    broker_settings_free(server->settings);
}
