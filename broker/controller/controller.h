/* controller: the decisions of the active controller. Events in, records out.
 *
 * It owns an image that runs ahead: records are applied to it as they are appended, and it falls
 * back to the committed one when leadership is lost. It decides only while active: from the moment
 * the quorum has committed and delivered this epoch's LeaderChange record. Answers leave after
 * commit. Each decision is one trace line that says what and why.
 *
 * The quorum is connected from above: controller_writer carries records down, controller_committed
 * and controller_activate / _deactivate bring its news. None of the calls below re-enters the
 * caller: `done` of a call always comes in a later turn. */
#ifndef BROKER_CONTROLLER_CONTROLLER_H
#define BROKER_CONTROLLER_CONTROLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/env/env.h"
#include "broker/metadata/image.h"
#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/list.h"

struct controller;

/* A feature this build implements, with the level a new cluster finalizes (0: not finalized). */
struct controller_feature {
    const char *name;
    int16_t min;
    int16_t max;
    int16_t bootstrap_level;
};

struct controller_record {
    const void *data;
    size_t size_bytes;
};

/* Where records go. Both are called within controller calls; neither may call back. */
struct controller_writer {
    /* One atomic batch in `epoch`. */
    enum err (*append)(void *ctx, int32_t epoch, const struct controller_record *records,
                       size_t count, int64_t *last_offset, struct err_text *text);
    int64_t (*next_offset)(void *ctx);
    /* A record that was appended could not be applied to our own image, or an append failed: give
     * up leadership of `epoch`. controller_deactivate follows, in a later turn. */
    void (*resign)(void *ctx, int32_t epoch, const char *why);
    void *ctx;
};

/* Names and judges settings; the tables live elsewhere. Any may be NULL: every key is then
 * accepted. */
struct controller_settings_hooks {
    /* Kafka's code (INVALID_CONFIG) with words, or 0. `value` NULL: back to the default. */
    int16_t (*check)(void *ctx, enum image_resource type, const char *name, const char *key,
                     const char *value, struct err_text *text);
    /* True when the setting is a list, which APPEND and SUBTRACT may change. */
    bool (*is_list)(void *ctx, enum image_resource type, const char *key);
    /* The value `key` has where nothing overrides it; NULL when there is none. */
    const char *(*default_value)(void *ctx, enum image_resource type, const char *key);
    /* Every topic setting's name in order, NULL past the last: what CreateTopics v5+ answers with.
     */
    const char *(*topic_key_at)(void *ctx, size_t index);
    void *ctx;
};

struct controller_config {
    int32_t node_id;
    char cluster_id[64];
    int32_t num_partitions;                    /* num.partitions */
    int32_t default_replication_factor;        /* default.replication.factor */
    int32_t min_insync_replicas;               /* min.insync.replicas */
    int32_t session_timeout_ms;                /* broker.session.timeout.ms */
    int32_t max_partitions_per_request;        /* 0 = 10000, as Kafka has it */
    bool delete_topic_enable;                  /* delete.topic.enable */
    /* leader.imbalance.check.interval.seconds; 0: never, as without auto.leader.rebalance.enable */
    int64_t balance_interval_ms;
    const struct controller_feature *features; /* static; NULL = controller_default_features */
    size_t feature_count;
    struct controller_settings_hooks settings;
};

struct controller_config controller_config_default(void); /* Kafka 4.3.1's defaults */
const struct controller_feature *controller_default_features(size_t *count);

struct controller *controller_new(struct env *env, const struct controller_config *config,
                                  const struct controller_writer *writer);
/* Calls still waiting are dropped without `done`. */
void controller_free(struct controller *controller);

/* ---- news from the quorum ---------------------------------------------------------------------
 */

/* Committed batches, in order, active or not. An error says that the log holds what we cannot read:
 * the node must stop. */
enum err controller_committed(struct controller *controller, const void *batches, size_t size_bytes,
                              int64_t last_offset, struct err_text *text);
/* A snapshot took the place of all that was committed so far: `image` is what it says. While not
 * active only. */
void controller_restored(struct controller *controller, const struct image *image);
/* quorum_events.activated. An empty cluster gets its bootstrap records now. */
void controller_activate(struct controller *controller, int32_t epoch);
/* quorum_events.deactivated: reverts to the committed image; waiting calls get NOT_CONTROLLER. */
void controller_deactivate(struct controller *controller);

/* ---- requests ---------------------------------------------------------------------------------
 */

/* In the caller's memory, in place until `done` or controller_cancel. Authorisation is the
 * caller's. */
struct controller_call {
    int16_t api_key;
    int16_t version;
    const void *request;   /* struct NAME_request */
    void *response;        /* struct NAME_response; filled, defaults included, when `done` comes */
    struct arena *arena;   /* lives as long as the response */
    const char *principal; /* for the trace line; may be NULL */
    const char *client;    /* "client-id at host:port"; may be NULL */
    void (*done)(struct controller_call *call);
    void *ctx;
    int16_t refused; /* with `done`: the code with which it was refused as a whole; 0 */
    /* the controller's own */
    struct list node;
    int64_t wait_offset;
    bool submitted;
};

/* True when the controller answers this API (CreateTopics, DeleteTopics, CreatePartitions,
 * ElectLeaders, AlterConfigs, IncrementalAlterConfigs, AlterPartitionReassignments,
 * ListPartitionReassignments, UpdateFeatures, UnregisterBroker, AlterPartition, BrokerRegistration,
 * BrokerHeartbeat, AllocateProducerIds, ControllerRegistration, AssignReplicasToDirs). */
bool controller_handles(int16_t api_key);
/* Fills the response of a call that is not submitted: refused as a whole, in its proper field. */
void controller_refuse(struct controller_call *call, int16_t error, const char *message);
/* While not active the response says NOT_CONTROLLER in its proper field.
 * controller_handles(api_key) must hold. */
void controller_submit(struct controller *controller, struct controller_call *call);
/* `done` will not come; what was decided stays decided. Harmless when it is not waiting. */
void controller_cancel(struct controller *controller, struct controller_call *call);

/* The connection that carried the heartbeats of this life of a broker has ended. */
void controller_broker_unheard(struct controller *controller, int32_t broker_id,
                               int64_t broker_epoch);
/* The process of this life of a broker is known to have ended, for it did not answer at `since_ms`
 * or later: it is fenced now and not when its session ends. Nothing happens, and false comes back,
 * when that life is over or fenced already, or has been heard of since. `why` ends the trace line.
 */
bool controller_broker_died(struct controller *controller, int32_t broker_id, int64_t broker_epoch,
                            int64_t since_ms, const char *why);

/* ---- looking ----------------------------------------------------------------------------------
 */

bool controller_active(const struct controller *controller);
int32_t controller_epoch(const struct controller *controller); /* -1 while not active */
/* The image decisions are made on. Good until the next call into the controller. */
const struct image *controller_image(const struct controller *controller);
const struct image *controller_committed_image(const struct controller *controller);

#endif
