/* A topic's settings: its own, else the broker's that stands for it, else the table's default. */
#include "broker/settings/broker_settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/settings/settings_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { MS_PER_MINUTE = 60 * 1000, MS_PER_HOUR = 60 * MS_PER_MINUTE };

/* ServerTopicConfigSynonyms. In order of topic setting. */
static const struct {
    const char *topic;
    struct topic_synonym broker[TOPIC_SYNONYMS_MAX + 1];
} SYNONYMS[] = {
    {"cleanup.policy", {{"log.cleanup.policy", 1}}},
    {"compression.gzip.level", {{"compression.gzip.level", 1}}},
    {"compression.lz4.level", {{"compression.lz4.level", 1}}},
    {"compression.type", {{"compression.type", 1}}},
    {"compression.zstd.level", {{"compression.zstd.level", 1}}},
    {"delete.retention.ms", {{"log.cleaner.delete.retention.ms", 1}}},
    {"file.delete.delay.ms", {{"log.segment.delete.delay.ms", 1}}},
    {"flush.messages", {{"log.flush.interval.messages", 1}}},
    {"flush.ms", {{"log.flush.interval.ms", 1}, {"log.flush.scheduler.interval.ms", 1}}},
    {"index.interval.bytes", {{"log.index.interval.bytes", 1}}},
    {"local.retention.bytes", {{"log.local.retention.bytes", 1}}},
    {"local.retention.ms", {{"log.local.retention.ms", 1}}},
    {"max.compaction.lag.ms", {{"log.cleaner.max.compaction.lag.ms", 1}}},
    {"max.message.bytes", {{"message.max.bytes", 1}}},
    {"message.timestamp.after.max.ms", {{"log.message.timestamp.after.max.ms", 1}}},
    {"message.timestamp.before.max.ms", {{"log.message.timestamp.before.max.ms", 1}}},
    {"message.timestamp.type", {{"log.message.timestamp.type", 1}}},
    {"min.cleanable.dirty.ratio", {{"log.cleaner.min.cleanable.ratio", 1}}},
    {"min.compaction.lag.ms", {{"log.cleaner.min.compaction.lag.ms", 1}}},
    {"min.insync.replicas", {{"min.insync.replicas", 1}}},
    {"preallocate", {{"log.preallocate", 1}}},
    {"retention.bytes", {{"log.retention.bytes", 1}}},
    {"retention.ms",
     {{"log.retention.ms", 1},
      {"log.retention.minutes", MS_PER_MINUTE},
      {"log.retention.hours", MS_PER_HOUR}}},
    {"segment.bytes", {{"log.segment.bytes", 1}}},
    {"segment.index.bytes", {{"log.index.size.max.bytes", 1}}},
    {"segment.jitter.ms", {{"log.roll.jitter.ms", 1}, {"log.roll.jitter.hours", MS_PER_HOUR}}},
    {"segment.ms", {{"log.roll.ms", 1}, {"log.roll.hours", MS_PER_HOUR}}},
    {"unclean.leader.election.enable", {{"unclean.leader.election.enable", 1}}},
};

const struct topic_synonym *topic_synonyms(const char *name)
{
    for (size_t i = 0; i < sizeof SYNONYMS / sizeof SYNONYMS[0]; i++) {
        if (strcmp(SYNONYMS[i].topic, name) == 0) {
            return SYNONYMS[i].broker;
        }
    }
    return NULL;
}

/* In the topic's unit; a negative number (none, for ever) has none. */
static char *synonym_text(const struct broker_settings *bs, const struct topic_synonym *synonym)
{
    if (synonym->scale != 1) {
        int64_t value = settings_long(bs->values, synonym->name);
        char text[24];
        snprintf(text, sizeof text, "%" PRId64, value < 0 ? value : value * synonym->scale);
        return mem_strdup(text);
    }
    struct setting_info info;
    bool found = settings_info_of(bs->values, synonym->name, &info);
    ASSERT(found && info.holds != NULL);
    return mem_strdup(info.holds);
}

void topic_defaults_refresh(struct broker_settings *bs)
{
    topic_defaults_free(bs);
    size_t count = settings_table_count(bs->topic_table);
    bs->topic_defaults = mem_array(count, sizeof *bs->topic_defaults);
    for (size_t i = 0; i < count; i++) {
        const struct setting_def *def = settings_table_at(bs->topic_table, i);
        const struct topic_synonym *synonym = topic_synonyms(def->name);
        while (synonym != NULL && synonym->name != NULL &&
               !settings_has_value(bs->values, synonym->name)) {
            synonym++;
        }
        if (synonym != NULL && synonym->name != NULL) {
            bs->topic_defaults[i] = synonym_text(bs, synonym);
        } else if (def->default_text != NULL) {
            bs->topic_defaults[i] = mem_strdup(def->default_text);
        }
    }
}

void topic_defaults_free(struct broker_settings *bs)
{
    for (size_t i = 0; bs->topic_defaults != NULL && i < settings_table_count(bs->topic_table);
         i++) {
        mem_free(bs->topic_defaults[i]);
    }
    mem_free(bs->topic_defaults);
    bs->topic_defaults = NULL;
}

/* ---- the effective values of one topic ------------------------------------------------------ */

struct resolving {
    const struct broker_settings *bs;
    config_override_of override_of;
    void *ctx;
};

/* Freed by the caller with setting_value_free. */
static struct setting_value resolve(const struct resolving *r, const char *name,
                                    enum setting_type type)
{
    size_t index;
    bool found = settings_table_index_of(r->bs->topic_table, name, &index);
    ASSERT(found);
    const struct setting_def *def = settings_table_at(r->bs->topic_table, index);
    ASSERT(def->type == type);
    struct setting_value value;
    const char *own = r->override_of != NULL ? r->override_of(r->ctx, name) : NULL;
    if (own != NULL && setting_parse(def, own, &value, NULL) == ERR_NONE) {
        return value;
    }
    if (setting_parse(def, r->bs->topic_defaults[index], &value, NULL) != ERR_NONE) {
        enum err error = setting_parse(def, def->default_text, &value, NULL);
        ASSERT(error == ERR_NONE);
    }
    return value;
}

static int64_t long_of(const struct resolving *r, const char *name)
{
    return resolve(r, name, SETTING_LONG).number;
}

static int32_t int_of(const struct resolving *r, const char *name)
{
    return (int32_t)resolve(r, name, SETTING_INT).number;
}

static bool bool_of(const struct resolving *r, const char *name)
{
    return resolve(r, name, SETTING_BOOL).flag;
}

static void resolve_words(const struct resolving *r, struct topic_settings *out)
{
    struct setting_value policy = resolve(r, "cleanup.policy", SETTING_LIST);
    for (size_t i = 0; i < policy.list.count; i++) {
        out->cleanup_delete |= strcmp(policy.list.items[i], "delete") == 0;
        out->cleanup_compact |= strcmp(policy.list.items[i], "compact") == 0;
    }
    setting_value_free(&policy);
    struct setting_value type = resolve(r, "message.timestamp.type", SETTING_STRING);
    out->log_append_time = strcmp(type.string, "LogAppendTime") == 0;
    setting_value_free(&type);
}

struct topic_settings topic_settings_resolve(const struct broker_settings *bs,
                                             config_override_of override_of, void *ctx)
{
    const struct resolving r = {.bs = bs, .override_of = override_of, .ctx = ctx};
    struct topic_settings out = {
        .delete_retention_ms = long_of(&r, "delete.retention.ms"),
        .file_delete_delay_ms = long_of(&r, "file.delete.delay.ms"),
        .flush_messages = long_of(&r, "flush.messages"),
        .flush_ms = long_of(&r, "flush.ms"),
        .index_interval_bytes = int_of(&r, "index.interval.bytes"),
        .max_compaction_lag_ms = long_of(&r, "max.compaction.lag.ms"),
        .max_message_bytes = int_of(&r, "max.message.bytes"),
        .message_timestamp_after_max_ms = long_of(&r, "message.timestamp.after.max.ms"),
        .message_timestamp_before_max_ms = long_of(&r, "message.timestamp.before.max.ms"),
        .min_cleanable_dirty_ratio = resolve(&r, "min.cleanable.dirty.ratio", SETTING_DOUBLE).real,
        .min_compaction_lag_ms = long_of(&r, "min.compaction.lag.ms"),
        .min_insync_replicas = int_of(&r, "min.insync.replicas"),
        .preallocate = bool_of(&r, "preallocate"),
        .retention_bytes = long_of(&r, "retention.bytes"),
        .retention_ms = long_of(&r, "retention.ms"),
        .segment_bytes = int_of(&r, "segment.bytes"),
        .segment_index_bytes = int_of(&r, "segment.index.bytes"),
        .segment_jitter_ms = long_of(&r, "segment.jitter.ms"),
        .segment_ms = long_of(&r, "segment.ms"),
        .unclean_leader_election_enable = bool_of(&r, "unclean.leader.election.enable"),
    };
    resolve_words(&r, &out);
    return out;
}

enum err topic_settings_check(const struct topic_settings *settings, struct err_text *text)
{
    if (settings->min_compaction_lag_ms > settings->max_compaction_lag_ms) {
        err_set(text,
                "min.compaction.lag.ms (%" PRId64 ") is more than max.compaction.lag.ms (%" PRId64
                ") allows",
                settings->min_compaction_lag_ms, settings->max_compaction_lag_ms);
        return ERR_INVALID;
    }
    return ERR_NONE;
}

static enum err check(const struct settings_table *table, const char *kind, const char *name,
                      const char *value, struct err_text *text)
{
    const struct setting_def *def = settings_table_find(table, name);
    if (def == NULL) {
        const char *nearest = settings_table_nearest(table, name);
        if (nearest != NULL) {
            err_set(text, "unknown %s setting '%.100s': did you mean '%s'?", kind, name, nearest);
        } else {
            err_set(text, "unknown %s setting '%.100s'", kind, name);
        }
        return ERR_NOT_FOUND;
    }
    struct setting_value parsed;
    enum err error = setting_parse(def, value, &parsed, text);
    setting_value_free(&parsed);
    return error;
}

enum err topic_setting_check(const struct broker_settings *bs, const char *name, const char *value,
                             struct err_text *text)
{
    return check(bs->topic_table, "topic", name, value, text);
}

enum err broker_setting_check(const struct broker_settings *bs, const char *name, const char *value,
                              struct err_text *text)
{
    return check(bs->broker_table, "broker", name, value, text);
}

static bool is_list(const struct settings_table *table, const char *name)
{
    const struct setting_def *def = settings_table_find(table, name);
    return def != NULL && def->type == SETTING_LIST;
}

bool topic_setting_is_list(const struct broker_settings *bs, const char *name)
{
    return is_list(bs->topic_table, name);
}

bool broker_setting_is_list(const struct broker_settings *bs, const char *name)
{
    return is_list(bs->broker_table, name);
}

const char *topic_setting_default(const struct broker_settings *bs, const char *name)
{
    size_t index;
    return settings_table_index_of(bs->topic_table, name, &index) ? bs->topic_defaults[index]
                                                                  : NULL;
}

const char *topic_setting_name_at(const struct broker_settings *bs, size_t index)
{
    for (size_t i = 0; i < settings_table_count(bs->topic_table); i++) {
        const struct setting_def *def = settings_table_at(bs->topic_table, i);
        if (!(def->flags & SETTING_INTERNAL) && index-- == 0) {
            return def->name;
        }
    }
    return NULL;
}
