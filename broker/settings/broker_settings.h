/* settings: what an operator may set on a broker and on a topic, by Apache Kafka 4.3.1's names.
 *
 * Two tables: broker settings (every row of KafkaConfig, table_*.c) and topic settings (every row
 * of LogConfig, table_topic.c) with the broker setting each falls back to
 * (ServerTopicConfigSynonyms). A row without effect here is known, judged and warned of once.
 *
 * The way: broker_settings_new -> load -> set -> check; from then on read only, and the parsed
 * fields are good. Values without a field are read with settings_*(bs->values, "name") of
 * common/base/settings.h. */
#ifndef BROKER_SETTINGS_BROKER_SETTINGS_H
#define BROKER_SETTINGS_BROKER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/settings/endpoints.h"
#include "common/base/err.h"
#include "common/base/buf.h"
#include "common/base/settings.h"

enum broker_role { BROKER_ROLE_BROKER = 1 << 0, BROKER_ROLE_CONTROLLER = 1 << 1 };

struct broker_settings {
    struct settings *values;
    /* Good after broker_settings_check. */
    int32_t node_id;
    unsigned roles; /* enum broker_role */
    /* As bound; a host of "" is every interface. */
    struct endpoint_list listeners;
    /* What clients and other brokers are told, no controller listeners. Port 0: the one bound. */
    struct endpoint_list advertised;
    struct endpoint_list advertised_controllers;
    /* Never empty. A lone controller is its own voter, with host "" and port 0 when it has no
     * controller listener. */
    struct voter_list voters;
    const char *inter_broker_listener; /* a name in `advertised`; "" without the broker role */
    /* Names of controller listeners. Empty for a lone combined node that has none. */
    struct setting_list controller_listeners;
    struct setting_list log_dirs;
    const char *metadata_log_dir; /* metadata.log.dir, else the first of log_dirs */
    const char *cluster_id;       /* cluster.id; "" when to be derived */
    /* Internal. */
    struct settings_table *broker_table;
    struct settings_table *topic_table;
    char **topic_defaults; /* by index of topic_table: what holds where no topic overrides */
};

/* Whether a listener of that name carries the quorum. Good after broker_settings_check. */
bool broker_settings_is_controller_listener(const struct broker_settings *bs, const char *name);

struct broker_settings *broker_settings_new(void);
void broker_settings_free(struct broker_settings *bs);

/* A file's text; `file` is its name in messages. */
enum err broker_settings_load(struct broker_settings *bs, const char *file, const char *data,
                              size_t size, struct err_text *text);
/* The argument of --set: "KEY=VALUE". Wins over files. */
enum err broker_settings_set(struct broker_settings *bs, const char *assignment,
                             struct err_text *text);
/* The rules between settings; fills the parsed fields. Errors read "ORIGIN: KEY: what: what to do".
 * May be called again after further sets. */
enum err broker_settings_check(struct broker_settings *bs, struct err_text *text);
/* One line for every setting given that is known but without effect here. */
void broker_settings_warnings(const struct broker_settings *bs,
                              void (*warn)(void *ctx, const char *line), void *ctx);

/* What an operator changed while the cluster runs (KIP-226): of `layer`, NULL takes it back.
 * Topics' defaults follow with broker_settings_refresh, which is called after the last of several.
 * As settings_override. */
enum err broker_settings_override(struct broker_settings *bs, const char *name,
                                  enum setting_layer layer, const char *value,
                                  struct err_text *text);
void broker_settings_refresh(struct broker_settings *bs);
void broker_settings_forget(struct broker_settings *bs); /* takes all of them back */
/* Judges such a change: of one broker, or of all. ERR_NOT_FOUND: no broker setting has the name,
 * the text names the nearest; ERR_INVALID: no such value; ERR_UNSUPPORTED: it is not to be changed
 * so. */
enum err broker_settings_override_check(const struct broker_settings *bs, const char *name,
                                        enum setting_layer layer, const char *value,
                                        struct err_text *text);

/* ---- describing ----------------------------------------------------------------------------- */

/* Kafka's codes of DescribeConfigs (KIP-226, KIP-569). */
enum config_source {
    CONFIG_SOURCE_UNKNOWN = 0,
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_DYNAMIC_BROKER = 2,
    CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER = 3,
    CONFIG_SOURCE_STATIC_BROKER = 4,
    CONFIG_SOURCE_DEFAULT = 5,
};

enum { CONFIG_SYNONYMS_MAX = 12 };

struct config_synonym {
    const char *name;
    const char *value; /* NULL when there is none or it is sensitive */
    enum config_source source;
};

struct config_view {
    const char *name;
    const char *value; /* NULL when there is none or it is sensitive */
    enum config_source source;
    bool read_only;
    bool sensitive;
    /* 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password */
    int8_t type;
    const char *doc;
    /* Every place a value stands, the one that wins first. */
    struct config_synonym synonyms[CONFIG_SYNONYMS_MAX];
    int synonym_count;
};

/* Broker settings in order of name, internal ones left out; false past the last. Strings live as
 * long as `bs` and until the next check. */
bool broker_config_at(const struct broker_settings *bs, size_t index, struct config_view *out);
/* Of those only what was changed for all brokers while they run, with the value that was given. */
bool cluster_config_at(const struct broker_settings *bs, size_t index, struct config_view *out);
bool broker_config_find(const struct broker_settings *bs, const char *name,
                        struct config_view *out);
/* Topic settings in order of name. `override_of` gives the topic's own value or NULL
 * (image_config_value fits behind it); override_of itself may be NULL: no overrides. */
typedef const char *(*config_override_of)(void *ctx, const char *name);
bool topic_config_at(const struct broker_settings *bs, size_t index, config_override_of override_of,
                     void *ctx, struct config_view *out);
bool topic_config_find(const struct broker_settings *bs, const char *name,
                       config_override_of override_of, void *ctx, struct config_view *out);

/* For --help and the manual: two lines or more a setting, those with effect only unless `all`.
 * Lines come without newline, up to 100 columns. */
void broker_settings_help(const struct broker_settings *bs, bool all,
                          void (*line)(void *ctx, const char *line), void *ctx);
/* The same, without those that have no effect, as part of a manual page (common/base/man.h). */
void broker_settings_man(const struct broker_settings *bs, struct bytes *to);

/* ---- topics --------------------------------------------------------------------------------- */

/* A topic's settings as they hold: its own, else the broker's. Names are Kafka's. */
struct topic_settings {
    bool cleanup_delete; /* cleanup.policy */
    bool cleanup_compact;
    const char *compression_type; /* static text */
    int64_t delete_retention_ms;
    int64_t file_delete_delay_ms;
    int64_t flush_messages; /* 1 here when nothing is set: Apache Kafka has 9223372036854775807 */
    int64_t flush_ms;
    int32_t index_interval_bytes;
    int64_t max_compaction_lag_ms;
    int32_t max_message_bytes;
    int64_t message_timestamp_after_max_ms;
    int64_t message_timestamp_before_max_ms;
    bool log_append_time; /* message.timestamp.type */
    double min_cleanable_dirty_ratio;
    int64_t min_compaction_lag_ms;
    int32_t min_insync_replicas;
    bool preallocate;
    int64_t retention_bytes; /* -1 none */
    int64_t retention_ms;    /* -1 none */
    int32_t segment_bytes;
    int32_t segment_index_bytes;
    int64_t segment_jitter_ms;
    int64_t segment_ms;
    bool unclean_leader_election_enable;
};

/* An override that does not parse (another version wrote it) counts as not given. */
struct topic_settings topic_settings_resolve(const struct broker_settings *bs,
                                             config_override_of override_of, void *ctx);
/* Judges an override. ERR_NOT_FOUND: no topic setting has the name, the text names the nearest;
 * ERR_INVALID: not such a value. */
enum err topic_setting_check(const struct broker_settings *bs, const char *name, const char *value,
                             struct err_text *text);
/* The rules between one topic's settings (LogConfig.validate). */
enum err topic_settings_check(const struct topic_settings *settings, struct err_text *text);
/* What holds where a topic does not override. NULL when no topic setting has the name, or it has no
 * value. Lives until the next check of `bs`. */
const char *topic_setting_default(const struct broker_settings *bs, const char *name);
bool topic_setting_is_list(const struct broker_settings *bs, const char *name);
/* NULL past the last. In order of name, internal ones left out. */
const char *topic_setting_name_at(const struct broker_settings *bs, size_t index);

/* Judges a broker setting's value (AlterConfigs). As topic_setting_check. */
enum err broker_setting_check(const struct broker_settings *bs, const char *name, const char *value,
                              struct err_text *text);
bool broker_setting_is_list(const struct broker_settings *bs, const char *name);

#endif
