#include "tests/unit/replica/cluster.h"

#include <stdlib.h>

enum { PUMP_US = 3000, CHECK_US = 5000 };

static struct node *node_of(struct cluster *c, int32_t id)
{
    assert_in_range(id, 0, BROKERS);
    return &c->nodes[id];
}

bool cluster_open(const struct node *a, const struct node *b)
{
    return !sim_path_of(a->sim, b->sim).blocked && !sim_path_of(b->sim, a->sim).blocked;
}

/* ---- a broker's life ---- */

void cluster_settings(void *ctx, const char *topic, struct replica_settings *out)
{
    (void)ctx;
    out->follower_throttled = "0:3,1:3";
    out->log = log_config_default();
    out->log.segment_bytes = 4000;
    out->log.index_interval_bytes = 300;
    out->log.file_delete_delay_ms = 10;
    out->log.timestamp_after_max_ms = INT64_MAX;
    out->log.flush_messages = strcmp(topic, "soft") == 0 ? INT64_MAX : 1;
    out->min_insync_replicas = 2;
}

static void rates(void *ctx, int64_t *leader, int64_t *follower)
{
    const struct node *node = ctx;
    *leader = INT64_MAX;
    *follower = node->cluster->follower_rate > 0 ? node->cluster->follower_rate : INT64_MAX;
}

static void start_rooms(struct node *node)
{
    node->links_vtable = cluster_links(node);
    struct replicas_config config = {.broker_id = node->id,
                                     .topic_settings = cluster_settings,
                                     .throttle_rates = rates,
                                     .ctx = node,
                                     .links = node->links_vtable,
                                     .replication = {.lag_time_max_ms = LAG_MS,
                                                     .fetch_wait_max_ms = 100,
                                                     .fetch_max_bytes = 3000,
                                                     .fetch_backoff_ms = 100,
                                                     .socket_timeout_ms = 500}};
    node->image = image_new();
    node->image_at = 0;
    node->replicas = replicas_new(node->env, &node->dir, 1, &config);
    node->phase = NODE_UNREGISTERED;
    cluster_serve(node);
}

static void on_formatted(void *ctx, enum err error, const struct err_text *text)
{
    (void)text;
    assert_int_equal(error, ERR_NONE);
    start_rooms(ctx);
}

static void on_dir(void *ctx, struct log_dir *dir, const struct log_dir_found *found)
{
    struct node *node = ctx;
    assert_int_equal(found->error, ERR_NONE);
    if (found->formatted) {
        start_rooms(node);
        return;
    }
    struct log_dir_meta meta = {.cluster_id = "c", .node_id = node->id};
    meta.directory_id = uuid_from_number(40 + (uint64_t)node->id);
    log_dir_format(dir, &meta, on_formatted, node);
}

static void node_start(struct node *node)
{
    node->env = sim_node_env(node->sim);
    node->phase = NODE_OPENING;
    node->publish_at = SIZE_MAX;
    memset(node->marks, 0, sizeof node->marks);
    cluster_wire_init(node);
    node->dir = log_dir_open(node->env, "/data/logs", on_dir, node);
}

/* The memory of a life that crashed. */
static void node_drop(struct node *node)
{
    cluster_wire_drop_served(node);
    if (node->replicas != NULL) {
        replicas_free(node->replicas);
    }
    cluster_produces_drop(node);
    cluster_wire_drop(node);
    image_free(node->image);
    if (node->dir != NULL) {
        log_dir_free(node->dir);
    }
    mem_free(node->links_vtable);
    node->links_vtable = NULL;
    node->replicas = NULL;
    node->image = NULL;
    node->dir = NULL;
    node->phase = NODE_DOWN;
}

void cluster_crash(struct node *node, enum sim_crash how, int64_t restart_after_ms)
{
    if (node->phase == NODE_DOWN) {
        return;
    }
    sim_node_crash(node->sim, how);
    node_drop(node);
    node->restart_at_us = sim_now_us(node->cluster->sim) + restart_after_ms * 1000;
}

void cluster_stall(struct node *node, int64_t for_ms)
{
    int64_t until = sim_now_us(node->cluster->sim) + for_ms * 1000;
    if (sim_node_up(node->sim) && until > node->stalled_until_us) {
        sim_node_stall(node->sim, for_ms * 1000);
        node->stalled_until_us = until;
    }
}

void cluster_heal(struct cluster *c)
{
    for (int32_t a = 0; a <= BROKERS; a++) {
        for (int32_t b = 0; b < a; b++) {
            sim_partition(node_of(c, a)->sim, node_of(c, b)->sim, false);
        }
        c->fenced_until_us[a] = 0;
        sim_disk_heal(node_of(c, a)->sim);
    }
    c->metadata_one_in = 3;
    c->refuse_alters = false;
    c->hold_alters = false;
}

/* ---- the universe ---- */

static void restart_due(struct cluster *c)
{
    for (int32_t id = 1; id <= BROKERS; id++) {
        struct node *node = node_of(c, id);
        if (node->phase == NODE_DOWN && sim_now_us(c->sim) >= node->restart_at_us) {
            sim_node_restart(node->sim);
            node_start(node);
        }
    }
}

static void pump(void *ctx)
{
    struct cluster *c = ctx;
    restart_due(c);
    control_pump(c);
    for (int i = 0; c->producing && i < c->part_count; i++) {
        if (rng_below(&c->rng, 4) == 0) {
            (void)cluster_produce(c, i);
        }
    }
    sim_at(c->sim, sim_now_us(c->sim) + PUMP_US, pump, c);
}

static void check(void *ctx)
{
    struct cluster *c = ctx;
    cluster_check(c);
    sim_at(c->sim, sim_now_us(c->sim) + CHECK_US, check, c);
}

void cluster_run(struct cluster *c, int64_t for_ms)
{
    sim_run_for(c->sim, for_ms);
}

bool cluster_until(struct cluster *c, bool (*reached)(struct cluster *c), int64_t for_ms)
{
    int64_t end = sim_now_us(c->sim) + for_ms * 1000;
    while (!reached(c)) {
        if (sim_now_us(c->sim) >= end) {
            return false;
        }
        sim_run_for(c->sim, 5);
    }
    return true;
}

static void print_line(void *ctx, const char *line)
{
    (void)ctx;
    if (strstr(line, getenv("CLUSTER_TRACE")) != NULL) {
        print_message("%s\n", line);
    }
}

struct cluster *cluster_new(uint64_t seed, bool soft)
{
    static const char *const hosts[] = {"10.0.0.9", "10.0.0.1", "10.0.0.2", "10.0.0.3"};
    static const char *const names[] = {"control", "one", "two", "three"};
    struct cluster *c = mem_zalloc(sizeof *c);
    struct sim_options options = {.seed = seed,
                                  .sink = getenv("CLUSTER_TRACE") != NULL ? print_line : NULL};
    c->sim = sim_new(&options);
    rng_seed(&c->rng, seed);
    c->metadata_one_in = 3;
    sim_net_timeouts(c->sim, 800, 400);
    for (int32_t id = 0; id <= BROKERS; id++) {
        struct node *node = node_of(c, id);
        node->cluster = c;
        node->id = id;
        node->sim = sim_node_new(c->sim, names[id], hosts[id]);
        node->unheard_since_us = -1;
        list_init(&node->produces);
        if (id > 0) {
            node_start(node);
        }
    }
    c->nodes[0].env = sim_node_env(c->nodes[0].sim);
    cluster_wire_init(&c->nodes[0]);
    cluster_serve(&c->nodes[0]);
    control_start(c, soft);
    sim_at(c->sim, PUMP_US, pump, c);
    sim_at(c->sim, CHECK_US, check, c);
    assert_true(cluster_until(c, cluster_settled, 20000));
    return c;
}

void cluster_free(struct cluster *c)
{
    for (int32_t id = 0; id <= BROKERS; id++) {
        struct node *node = node_of(c, id);
        if (sim_node_up(node->sim)) {
            sim_node_crash(node->sim, SIM_KILL);
            node_drop(node);
        }
    }
    sim_free(c->sim);
    for (size_t i = 0; i < c->batch_count; i++) {
        bytes_free(&c->batches[i]);
    }
    mem_free(c->batches);
    mem_free(c->acked);
    mem_free(c);
}

/* ---- looking ---- */

struct replica *cluster_replica(struct node *node, int part)
{
    const struct part *p = &node->cluster->parts[part];
    if (node->phase != NODE_RUNNING) {
        return NULL;
    }
    struct replica *replica = replicas_find(node->replicas, &p->topic_id, p->partition);
    return replica != NULL && replica_log(replica) != NULL ? replica : NULL;
}

struct node *cluster_leader(struct cluster *c, int part)
{
    struct node *node = c->parts[part].leader > 0 ? node_of(c, c->parts[part].leader) : NULL;
    struct replica *replica = node != NULL ? cluster_replica(node, part) : NULL;
    bool leads =
        replica != NULL && replica_check(replica, c->parts[part].leader_epoch, true) == KAFKA_NONE;
    return leads ? node : NULL;
}
