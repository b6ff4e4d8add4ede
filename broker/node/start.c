/* Starting: directories, identity, listeners, quorum; the rest follows from the quorum's news. */
#include <string.h>

#include "broker/node/node_internal.h"
#include "broker/node/peers.h"
#include "broker/node/replica_link.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static void open_quorum(struct broker *broker);

/* ---- directories ---- */

/* The cluster id that a directory, or else a setting, names; "" when none does. False after a
 * conflict. */
static bool known_cluster_id(struct broker *broker)
{
    snprintf(broker->cluster_id, sizeof broker->cluster_id, "%s", broker->settings->cluster_id);
    const char *from = "the setting cluster.id";
    for (int i = 0; i < broker->dir_count; i++) {
        const struct log_dir_meta *meta = &broker->found[i].meta;
        if (!broker->found[i].formatted) {
            continue;
        }
        const char *path = log_dir_path(broker->dirs[i]);
        if (meta->node_id != broker->node_id) {
            node_fail(broker, BROKER_EXIT_REFUSED,
                      "%s holds the data of node %d, and this is node %d: set node.id=%d or name "
                      "another directory",
                      path, meta->node_id, broker->node_id, meta->node_id);
            return false;
        }
        if (broker->cluster_id[0] != '\0' && strcmp(broker->cluster_id, meta->cluster_id) != 0) {
            node_fail(
                broker, BROKER_EXIT_REFUSED,
                "%s belongs to cluster %s, but %s says %s: name the directory of this cluster",
                path, meta->cluster_id, from, broker->cluster_id);
            return false;
        }
        snprintf(broker->cluster_id, sizeof broker->cluster_id, "%s", meta->cluster_id);
        from = path;
    }
    return true;
}

/* Nodes that start from nothing must agree without talking: the same voter set gives the same id. A
 * lone node has nobody to agree with. */
static struct uuid id_of_voters(const struct voter_list *voters)
{
    uint64_t hash[2] = {0xCBF29CE484222325ULL, 0x9AE16A3B2F90404FULL};
    for (size_t i = 0; i < voters->count; i++) {
        char text[320];
        int n = snprintf(text, sizeof text, "%d@%s:%u,", voters->items[i].id, voters->items[i].host,
                         voters->items[i].port);
        for (int j = 0; j < n && j < (int)sizeof text; j++) {
            hash[0] = (hash[0] ^ (uint8_t)text[j]) * 0x100000001B3ULL;
            hash[1] = (hash[1] ^ (uint8_t)text[j]) * 0x100000001B3ULL + 1;
        }
    }
    return uuid_from_random(hash[0], hash[1]);
}

static void decide_cluster_id(struct broker *broker)
{
    if (broker->cluster_id[0] != '\0') {
        return;
    }
    char text[UUID_TEXT_BYTES];
    unsigned both = BROKER_ROLE_BROKER | BROKER_ROLE_CONTROLLER;
    bool alone = broker->settings->voters.count <= 1 && (broker->settings->roles & both) == both;
    struct uuid id = alone ? env_random_uuid(broker->env) : id_of_voters(&broker->settings->voters);
    snprintf(broker->cluster_id, sizeof broker->cluster_id, "%s", uuid_format(&id, text));
}

static void dirs_formatted(struct broker *broker);

static void on_formatted(void *ctx, enum err error, const struct err_text *text)
{
    struct broker *broker = ctx;
    broker->dirs_waiting--;
    if (error != ERR_NONE) {
        node_fail(broker, BROKER_EXIT_REFUSED, "format a data directory: %s", text->text);
    }
    if (broker->dirs_waiting == 0 && broker->phase == BROKER_STARTING) {
        dirs_formatted(broker);
    }
}

static void format_dirs(struct broker *broker)
{
    broker->dirs_waiting = 0;
    for (int i = 0; i < broker->dir_count; i++) {
        if (broker->found[i].formatted) {
            continue;
        }
        struct log_dir_meta meta = {.node_id = broker->node_id,
                                    .directory_id = env_random_uuid(broker->env)};
        snprintf(meta.cluster_id, sizeof meta.cluster_id, "%s", broker->cluster_id);
        broker->dirs_waiting++;
        trace_info(env_trace(broker->env), "format %s for node %d of cluster %s",
                   log_dir_path(broker->dirs[i]), broker->node_id, broker->cluster_id);
        log_dir_format(broker->dirs[i], &meta, on_formatted, broker);
    }
    if (broker->dirs_waiting == 0) {
        dirs_formatted(broker);
    }
}

/* Who asks for it by name means directories that are nobody's. */
static bool may_format(struct broker *broker)
{
    for (int i = 0; broker->format_only && i < broker->dir_count; i++) {
        const struct log_dir_meta *meta = &broker->found[i].meta;
        if (broker->found[i].formatted) {
            node_fail(broker, BROKER_EXIT_REFUSED,
                      "%s is formatted already, for node %d of cluster %s: nothing was changed; "
                      "name another directory, or start without `format`",
                      log_dir_path(broker->dirs[i]), meta->node_id, meta->cluster_id);
            return false;
        }
    }
    return true;
}

static void all_dirs_open(struct broker *broker)
{
    for (int i = 0; i < broker->dir_count; i++) {
        if (broker->found[i].error != ERR_NONE) {
            node_fail(broker, BROKER_EXIT_REFUSED, "%s", broker->found[i].text.text);
            return;
        }
    }
    if (may_format(broker) && known_cluster_id(broker)) {
        decide_cluster_id(broker);
        format_dirs(broker);
    }
}

static void on_dir_opened(void *ctx, struct log_dir *dir, const struct log_dir_found *found)
{
    struct broker *broker = ctx;
    for (int i = 0; i < broker->dir_count; i++) {
        if (broker->dirs[i] == dir) {
            broker->found[i] = *found;
        }
    }
    if (--broker->dirs_waiting == 0 && broker->phase == BROKER_STARTING) {
        all_dirs_open(broker);
    }
}

void node_start_dirs(struct broker *broker)
{
    if (broker->phase != BROKER_STARTING) {
        return;
    }
    struct setting_list paths = broker->settings->log_dirs;
    if (paths.count == 0 || paths.count > NODE_DIRS_MAX) {
        node_fail(broker, BROKER_EXIT_USAGE, "log.dirs: %zu directories (expected 1..%d)",
                  paths.count, NODE_DIRS_MAX);
        return;
    }
    broker->dir_count = (int)paths.count;
    broker->dirs_waiting = broker->dir_count;
    for (int i = 0; i < broker->dir_count; i++) {
        broker->dirs[i] = log_dir_open(broker->env, paths.items[i], on_dir_opened, broker);
        if (env_open_files_max(broker->env) > 0) {
            /* The other half is for connections, and for ranges that are on their way. */
            log_dir_limit_open_files(broker->dirs[i],
                                     env_open_files_max(broker->env) / 2 / broker->dir_count);
        }
        struct log_cleaner cleaner = node_cleaner_settings(broker);
        log_dir_configure_cleaner(broker->dirs[i], &cleaner);
    }
}

/* ---- listeners ---- */

static bool is_controller_listener(const struct broker_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->controller_listeners.count; i++) {
        if (strcasecmp(settings->controller_listeners.items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void set_advertised(struct broker *broker, struct node_listener *listener)
{
    const struct endpoint *told = endpoints_find(&broker->settings->advertised, listener->name);
    const char *host = told != NULL && told->host[0] != '\0' ? told->host : listener->host;
    bool everywhere = host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    snprintf(listener->advertised_host, sizeof listener->advertised_host, "%s",
             everywhere ? "localhost" : host);
    listener->advertised_port =
        told != NULL && told->port != 0 ? told->port : listener->env.bound_port;
}

static bool listen_all(struct broker *broker)
{
    const struct endpoint_list *asked = &broker->settings->listeners;
    uint32_t max_frame_bytes =
        (uint32_t)settings_int(broker->settings->values, "socket.request.max.bytes");
    for (size_t i = 0; i < asked->count && broker->listener_count < NODE_LISTENERS_MAX; i++) {
        struct node_listener *listener = &broker->listeners[broker->listener_count++];
        struct err_text text = {""};
        listener->broker = broker;
        listener->kind = is_controller_listener(broker->settings, asked->items[i].name)
                             ? API_CONTROLLER
                             : API_BROKER;
        snprintf(listener->name, sizeof listener->name, "%s", asked->items[i].name);
        snprintf(listener->host, sizeof listener->host, "%s", asked->items[i].host);
        listener->port = asked->items[i].port;
        enum err error = node_listen(listener, max_frame_bytes, &text);
        if (error != ERR_NONE) {
            node_fail(broker, BROKER_EXIT_REFUSED, "listener %s: %s", listener->name, text.text);
            return false;
        }
        listener->listening = true;
        set_advertised(broker, listener);
    }
    return true;
}

static void listen_and_open(struct broker *broker)
{
    if (listen_all(broker)) {
        open_quorum(broker);
    }
}

static struct log_dir *metadata_dir(struct broker *broker)
{
    for (int i = 0; i < broker->dir_count; i++) {
        if (strcmp(log_dir_path(broker->dirs[i]), broker->settings->metadata_log_dir) == 0) {
            return broker->dirs[i];
        }
    }
    return broker->dirs[0];
}

static void dirs_formatted(struct broker *broker)
{
    for (int i = 0; i < broker->dir_count; i++) {
        broker->found[i].formatted = true;
    }
    if (broker->format_only) {
        broker->phase = BROKER_STOPPING;
        node_then(broker, node_stop_begin);
        return;
    }
    node_bootstrap_read(broker, metadata_dir(broker), listen_and_open);
}

/* ---- rooms ---- */

static void on_became_leader(void *ctx, struct replica *replica)
{
    struct broker *broker = ctx;
    if (strcmp(replica_topic(replica), "__consumer_offsets") == 0) {
        groups_lead(broker->groups, replica);
    }
}

static void on_lost_leadership(void *ctx, const char *topic, int32_t partition, int32_t epoch)
{
    struct broker *broker = ctx;
    (void)epoch;
    if (strcmp(topic, "__consumer_offsets") == 0) {
        groups_resign(broker->groups, partition);
    }
}

static void on_settled(void *ctx)
{
    node_registration_settled(ctx);
}

static int32_t quorum_leader_of(void *ctx)
{
    const struct broker *broker = ctx;
    return quorum_leader(broker->quorum);
}

static void describe_quorum(void *ctx, int16_t version, struct describe_quorum_response *response,
                            struct arena *arena)
{
    const struct broker *broker = ctx;
    quorum_describe(broker->quorum, version, response, arena);
}

static void fill_api(struct broker *broker)
{
    const struct settings *values = broker->settings->values;
    broker->api = (struct api_context){
        .env = broker->env,
        .settings = broker->settings,
        .broker_id = broker->node_id,
        .cluster_id = broker->cluster_id,
        .auto_create_topics = settings_bool(values, "auto.create.topics.enable"),
        .fetch_max_bytes = settings_int(values, "fetch.max.bytes"),
        .image = broker->image,
        .replicas = broker->replicas,
        .groups = broker->groups,
        .dirs = broker->dirs,
        .dir_count = broker->dir_count,
        .controller_submit = node_controller_submit,
        .controller_cancel = node_controller_cancel,
        .quorum_submit = node_quorum_submit,
        .quorum_cancel = node_quorum_cancel,
        .quorum_leader = quorum_leader_of,
        .describe_quorum = describe_quorum,
        .auto_create = node_auto_create,
        .next_producer_id = node_next_producer_id,
        .wait_producer_ids = node_wait_producer_ids,
        .answered = node_answered,
        .drop_connection = node_drop_connection,
        .ctx = broker,
    };
    list_init(&broker->api.orphans);
    const char *selector = settings_string(values, "replica.selector.class");
    broker->api.rack_aware = selector != NULL && strstr(selector, ".RackAware") != NULL;
    broker->api.fetch_sessions = fetch_sessions_new(
        broker->env, settings_int(values, "max.incremental.fetch.session.cache.slots"));
}

static void add_log_settings(struct quorum_config *config, const struct settings *values)
{
    static const char test_bytes[] = "internal.metadata.log.segment.bytes";
    config->fetch_bytes = settings_int(values, "controller.quorum.fetch.max.bytes");
    config->fetch_snapshot_bytes =
        settings_int(values, "controller.quorum.fetch.snapshot.max.bytes");
    config->snapshot_bytes =
        settings_long(values, "metadata.log.max.record.bytes.between.snapshots");
    config->snapshot_interval_ms = settings_long(values, "metadata.log.max.snapshot.interval.ms");
    config->retention_bytes = settings_long(values, "metadata.max.retention.bytes");
    config->retention_ms = settings_long(values, "metadata.max.retention.ms");
    config->segment_ms = settings_long(values, "metadata.log.segment.ms");
    config->segment_bytes = settings_int(
        values, settings_has_value(values, test_bytes) ? test_bytes : "metadata.log.segment.bytes");
}

static struct quorum_config quorum_config_of(struct broker *broker)
{
    const struct broker_settings *settings = broker->settings;
    struct quorum_config config = {.node_id = broker->node_id};
    config.directory_id = *log_dir_id(broker->dirs[0]);
    snprintf(config.cluster_id, sizeof config.cluster_id, "%s", broker->cluster_id);
    if (settings->controller_listeners.count > 0) {
        snprintf(config.listener, sizeof config.listener, "%s",
                 settings->controller_listeners.items[0]);
    }
    for (size_t i = 0; i < settings->voters.count && i < QUORUM_VOTERS_MAX; i++) {
        struct quorum_voter *voter = &config.voters[config.voter_count++];
        voter->id = settings->voters.items[i].id;
        voter->port = settings->voters.items[i].port;
        snprintf(voter->host, sizeof voter->host, "%s", settings->voters.items[i].host);
    }
    config.election_timeout_ms =
        settings_int(settings->values, "controller.quorum.election.timeout.ms");
    config.fetch_timeout_ms = settings_int(settings->values, "controller.quorum.fetch.timeout.ms");
    config.election_backoff_max_ms =
        settings_int(settings->values, "controller.quorum.election.backoff.max.ms");
    config.request_timeout_ms =
        settings_int(settings->values, "controller.quorum.request.timeout.ms");
    config.retry_backoff_ms = settings_int(settings->values, "controller.quorum.retry.backoff.ms");
    add_log_settings(&config, settings->values);
    return config;
}

static void open_quorum(struct broker *broker)
{
    struct replicas_config replicas = {.broker_id = broker->node_id,
                                       .topic_settings = node_topic_settings,
                                       .throttle_rates = node_throttle_rates,
                                       .became_leader = on_became_leader,
                                       .lost_leadership = on_lost_leadership,
                                       .settled = on_settled,
                                       .ctx = broker,
                                       .replication = node_replication_settings(broker)};
    struct groups_config groups = node_groups_config(broker);
    struct controller_config controller = node_controller_config(broker);
    controller.features = broker->features;
    controller.feature_count = broker->feature_count;
    struct controller_writer writer = node_controller_writer(broker);
    struct quorum_config quorum = quorum_config_of(broker);
    broker->replica_links = node_replica_links_new(broker);
    replicas.links = node_replica_links_vtable(broker->replica_links);
    broker->replicas = replicas_new(broker->env, broker->dirs, broker->dir_count, &replicas);
    broker->groups = groups_new(broker->env, &groups);
    broker->controller = controller_new(broker->env, &controller, &writer);
    broker->peers = node_peers_new(broker->env, quorum.voters, quorum.voter_count);
    quorum.peers = node_peers_sender(broker->peers);
    broker->quorum =
        quorum_open(broker->env, metadata_dir(broker), &quorum, node_quorum_events(), broker);
    node_peers_attach(broker->peers, broker->quorum);
    fill_api(broker);
}

void node_ready(struct broker *broker)
{
    if (broker->phase != BROKER_STARTING) {
        return;
    }
    broker->phase = BROKER_RUNNING;
    node_conns_serve(broker);
    if (broker->news.ready != NULL) {
        broker->news.ready(broker->news.ctx, broker);
    }
}
