/* From settings and topic overrides to what the rooms want to know. */
#include "broker/node/node_internal.h"

struct override {
    const struct image *image;
    const char *topic;
};

static const char *override_of(void *ctx, const char *name)
{
    const struct override *from = ctx;
    return image_config_value(from->image, IMAGE_RESOURCE_TOPIC, from->topic, name);
}

void node_topic_settings(void *ctx, const char *topic, struct replica_settings *out)
{
    const struct broker *broker = ctx;
    struct override from = {broker->image, topic};
    struct topic_settings topic_settings =
        topic_settings_resolve(broker->settings, override_of, &from);
    out->min_insync_replicas = topic_settings.min_insync_replicas;
    out->leader_throttled = override_of(&from, "leader.replication.throttled.replicas");
    out->follower_throttled = override_of(&from, "follower.replication.throttled.replicas");
    out->log = log_config_default();
    out->log.segment_bytes = topic_settings.segment_bytes;
    out->log.segment_ms = topic_settings.segment_ms;
    out->log.index_interval_bytes = topic_settings.index_interval_bytes;
    out->log.segment_index_bytes = topic_settings.segment_index_bytes;
    out->log.max_message_bytes = topic_settings.max_message_bytes;
    out->log.flush_messages = topic_settings.flush_messages;
    out->log.flush_ms = topic_settings.flush_ms;
    out->log.retention_ms = topic_settings.retention_ms;
    out->log.retention_bytes = topic_settings.retention_bytes;
    out->log.file_delete_delay_ms = topic_settings.file_delete_delay_ms;
    out->log.cleanup_delete = topic_settings.cleanup_delete;
    out->log.compacted = topic_settings.cleanup_compact;
    out->log.log_append_time = topic_settings.log_append_time;
    out->log.timestamp_before_max_ms = topic_settings.message_timestamp_before_max_ms;
    out->log.timestamp_after_max_ms = topic_settings.message_timestamp_after_max_ms;
    out->log.min_cleanable_dirty_ratio = topic_settings.min_cleanable_dirty_ratio;
    out->log.min_compaction_lag_ms = topic_settings.min_compaction_lag_ms;
    out->log.max_compaction_lag_ms = topic_settings.max_compaction_lag_ms;
    out->log.delete_retention_ms = topic_settings.delete_retention_ms;
    out->log.producer_id_expiration_ms =
        settings_int(broker->settings->values, "producer.id.expiration.ms");
}

void node_throttle_rates(void *ctx, int64_t *leader, int64_t *follower)
{
    const struct broker *broker = ctx;
    const struct settings *values = broker->settings->values;
    *leader = settings_long(values, "leader.replication.throttled.rate");
    *follower = settings_long(values, "follower.replication.throttled.rate");
}

struct log_cleaner node_cleaner_settings(const struct broker *broker)
{
    const struct settings *values = broker->settings->values;
    return (struct log_cleaner){
        .enabled = settings_bool(values, "log.cleaner.enable"),
        .dedupe_buffer_bytes = settings_long(values, "log.cleaner.dedupe.buffer.size"),
        .io_max_bytes_per_second = settings_double(values, "log.cleaner.io.max.bytes.per.second"),
        .backoff_ms = settings_long(values, "log.cleaner.backoff.ms"),
    };
}

struct replication_settings node_replication_settings(const struct broker *broker)
{
    const struct settings *values = broker->settings->values;
    return (struct replication_settings){
        .lag_time_max_ms = settings_long(values, "replica.lag.time.max.ms"),
        .fetch_wait_max_ms = settings_int(values, "replica.fetch.wait.max.ms"),
        .fetch_min_bytes = settings_int(values, "replica.fetch.min.bytes"),
        .fetch_max_bytes = settings_int(values, "replica.fetch.max.bytes"),
        .fetch_response_max_bytes = settings_int(values, "replica.fetch.response.max.bytes"),
        .fetch_backoff_ms = settings_int(values, "replica.fetch.backoff.ms"),
        .socket_timeout_ms = settings_int(values, "replica.socket.timeout.ms"),
    };
}

struct groups_config node_groups_config(const struct broker *broker)
{
    const struct settings *values = broker->settings->values;
    struct groups_config config = groups_config_default();
    config.min_session_timeout_ms = settings_int(values, "group.min.session.timeout.ms");
    config.max_session_timeout_ms = settings_int(values, "group.max.session.timeout.ms");
    config.initial_rebalance_delay_ms = settings_int(values, "group.initial.rebalance.delay.ms");
    config.max_size = settings_int(values, "group.max.size");
    config.offset_metadata_max_bytes = settings_int(values, "offset.metadata.max.bytes");
    config.offsets_retention_ms =
        INT64_C(60000) * settings_int(values, "offsets.retention.minutes");
    config.offsets_check_interval_ms = settings_long(values, "offsets.retention.check.interval.ms");
    config.commit_timeout_ms = settings_int(values, "offsets.commit.timeout.ms");
    config.load_buffer_bytes = settings_int(values, "offsets.load.buffer.size");
    return config;
}

/* ---- the controller's questions about settings ---- */

static int16_t check(void *ctx, enum image_resource type, const char *name, const char *key,
                     const char *value, struct err_text *text)
{
    const struct broker *broker = ctx;
    if (value == NULL) {
        return KAFKA_NONE;
    }
    if (type == IMAGE_RESOURCE_BROKER) {
        enum setting_layer layer = name[0] == '\0' ? SETTING_LAYER_CLUSTER : SETTING_LAYER_BROKER;
        /* What nothing here would heed is better refused than swallowed. */
        return broker_settings_override_check(broker->settings, key, layer, value, text) == ERR_NONE
                   ? KAFKA_NONE
                   : KAFKA_INVALID_REQUEST;
    }
    enum err error = topic_setting_check(broker->settings, key, value, text);
    return error == ERR_NONE ? KAFKA_NONE : KAFKA_INVALID_CONFIG;
}

static bool is_list(void *ctx, enum image_resource type, const char *key)
{
    const struct broker *broker = ctx;
    return type == IMAGE_RESOURCE_TOPIC ? topic_setting_is_list(broker->settings, key)
                                        : broker_setting_is_list(broker->settings, key);
}

static const char *default_value(void *ctx, enum image_resource type, const char *key)
{
    const struct broker *broker = ctx;
    struct config_view view;
    if (type == IMAGE_RESOURCE_TOPIC) {
        return topic_setting_default(broker->settings, key);
    }
    return broker_config_find(broker->settings, key, &view) ? view.value : NULL;
}

static const char *topic_key_at(void *ctx, size_t index)
{
    const struct broker *broker = ctx;
    return topic_setting_name_at(broker->settings, index);
}

struct controller_config node_controller_config(struct broker *broker)
{
    const struct settings *values = broker->settings->values;
    struct controller_config config = controller_config_default();
    config.node_id = broker->node_id;
    snprintf(config.cluster_id, sizeof config.cluster_id, "%s", broker->cluster_id);
    config.num_partitions = settings_int(values, "num.partitions");
    config.default_replication_factor = settings_int(values, "default.replication.factor");
    config.min_insync_replicas = settings_int(values, "min.insync.replicas");
    config.session_timeout_ms = settings_int(values, "broker.session.timeout.ms");
    config.delete_topic_enable = settings_bool(values, "delete.topic.enable");
    int64_t balance_s = settings_long(values, "leader.imbalance.check.interval.seconds");
    bool balances = settings_bool(values, "auto.leader.rebalance.enable");
    config.balance_interval_ms =
        !balances ? 0 : balance_s < INT64_MAX / 1000 ? 1000 * balance_s : INT64_MAX / 2;
    config.settings = (struct controller_settings_hooks){.check = check,
                                                         .is_list = is_list,
                                                         .default_value = default_value,
                                                         .topic_key_at = topic_key_at,
                                                         .ctx = broker};
    return config;
}
