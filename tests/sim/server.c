/* Servers: the whole node on a simulated machine, its deaths and returns. */
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "tests/sim/universe.h"

enum { DOWN_MAX_MS = 3000, START_OPS = 250, STOP_MAX_MS = 45000 };
/* In a cluster long enough, at times, for the others to go on without it. */
enum { AWAY_MAX_MS = 9000 };

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

/* ---- its settings ---- */

static void set_quorum(struct server *server, const char *voters)
{
    const struct universe_pace *pace = &server->universe->pace;
    char text[128];
    bool both = server->serves_clients && server->votes;
    set(server, "process.roles",
        both ? "broker,controller" : (server->votes ? "controller" : "broker"));
    set(server, "controller.quorum.voters", voters);
    set(server, "controller.listener.names", "CONTROLLER");
    snprintf(text, sizeof text, "%s%s%s%s", server->serves_clients ? "PLAINTEXT://" : "",
             server->serves_clients ? server->host : "", server->serves_clients ? ":9092" : "",
             both ? "," : "");
    if (server->votes) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "CONTROLLER://%s:9093", server->host);
    }
    set(server, "listeners", text);
    set_number(server, "controller.quorum.election.timeout.ms", pace->election_ms);
    set_number(server, "controller.quorum.fetch.timeout.ms", pace->quorum_fetch_ms);
    set_number(server, "controller.quorum.election.backoff.max.ms", pace->election_ms);
    set_number(server, "broker.session.timeout.ms", pace->session_ms);
    set_number(server, "broker.heartbeat.interval.ms", pace->session_ms / 4);
    set_number(server, "replica.lag.time.max.ms", pace->lag_ms);
    set_number(server, "min.insync.replicas", pace->min_insync);
    set_number(server, "offsets.topic.replication.factor", 3);
    if (server->universe->racks > 0) {
        snprintf(text, sizeof text, "rack%d", server->id % server->universe->racks);
        set(server, "broker.rack", text);
    }
}

void server_init(struct server *server, struct universe *u, int32_t id, bool serves_clients,
                 bool votes)
{
    char name[16];
    *server =
        (struct server){.universe = u, .id = id, .serves_clients = serves_clients, .votes = votes};
    snprintf(name, sizeof name, "server%d", id);
    snprintf(server->host, sizeof server->host, "10.0.0.%d", id);
    server->node = sim_node_new(u->sim, name, server->host);
}

static void set_snapshots(struct server *server)
{
    const struct universe_snapshots *s = &server->universe->snapshots;
    const struct {
        const char *key;
        int64_t value;
    } rows[] = {
        {"metadata.log.max.record.bytes.between.snapshots", s->every_bytes},
        {"metadata.log.max.snapshot.interval.ms", s->every_ms},
        {"metadata.max.retention.bytes", s->keep_bytes},
        {"metadata.max.retention.ms", s->keep_ms},
        {"internal.metadata.log.segment.bytes", s->segment_bytes},
        {"controller.quorum.fetch.snapshot.max.bytes", s->piece_bytes},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value > 0) {
            set_number(server, rows[i].key, rows[i].value);
        }
    }
}

void server_configure(struct server *server, const char *voters)
{
    struct universe *u = server->universe;
    char text[64];
    struct err_text why = {""};
    server->settings = broker_settings_new();
    set_number(server, "node.id", server->id);
    set(server, "log.dirs",
        universe_chance(u, 25) ? SERVER_METADATA_DIR ",/data/b" : SERVER_METADATA_DIR);
    if (u->server_count > 1) {
        set_quorum(server, voters);
    } else {
        snprintf(text, sizeof text, "PLAINTEXT://%s:9092", server->host);
        set(server, "listeners", text);
        set_number(server, "offsets.topic.replication.factor", 1);
    }
    set_snapshots(server);
    if (universe_chance(u, 50)) { /* who decides, and how eagerly, changes with the controller */
        set_number(server, "leader.imbalance.check.interval.seconds", 1 + universe_below(u, 5));
    }
    set_number(server, "offsets.topic.num.partitions", OFFSETS_PARTITIONS);
    set_number(server, "group.initial.rebalance.delay.ms", universe_below(u, 500));
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
    if (!u->calm && (u->fault_kinds & (1U << FAULT_AT_START)) && !faults_spare(u, server) &&
        universe_chance(u, 40)) {
        u->tally->faults[FAULT_AT_START]++;
        server_crash_at_op(server, (uint64_t)universe_below(u, START_OPS) + 1,
                           (enum sim_crash)universe_below(u, 3));
    }
}

static void come_back_later(struct server *server)
{
    struct universe *u = server->universe;
    int64_t most_ms = universe_chance(u, 80) ? DOWN_MAX_MS / 10 : DOWN_MAX_MS;
    if (u->server_count > 1) {
        bool soon = sim_now_us(u->sim) < u->hunt_us || universe_chance(u, 50);
        most_ms = soon ? DOWN_MAX_MS / 10 : AWAY_MAX_MS;
    }
    sim_at(u->sim, sim_now_us(u->sim) + universe_below(u, most_ms * 1000), restart, server);
}

/* After a death of any kind, outside every turn. */
static void bury(struct server *server)
{
    struct universe *u = server->universe;
    witness_buried(u->witness, server);
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
    server->life++;
    server->broker = broker_start(sim_node_env(server->node), server->settings, &news);
}

/* ---- going down ---- */

void server_wipe(struct server *server)
{
    server_crash(server, SIM_POWER);
    sim_disk_remove(server->node, SERVER_METADATA_DIR);
    sim_disk_remove(server->node, "/data/b");
}

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
