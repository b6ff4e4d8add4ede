/* group: the group coordinator, a replicated state machine over __consumer_offsets.
 *
 * For every partition of __consumer_offsets that this broker leads, the groups hashed to it live
 * here: loaded from the log when leadership begins, changed by appending Kafka's own records (group
 * metadata, offset commits) with acks=all, forgotten when leadership goes. An answer leaves when
 * its record is below the high watermark. Classic protocol: JoinGroup, SyncGroup, Heartbeat,
 * LeaveGroup (KIP-62, 345, 394, 429, 559, 800, 814), offsets (KIP-211 expiry, KIP-447
 * RequireStable), listing and deleting (KIP-222, 229, 518, 848 types).
 */
#ifndef BROKER_GROUP_GROUP_H
#define BROKER_GROUP_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/env/env.h"
#include "broker/metadata/image.h"
#include "broker/replica/replica.h"
#include "common/base/arena.h"
#include "common/wire/wire.h"

struct groups;

struct groups_config {
    int32_t min_session_timeout_ms;     /* group.min.session.timeout.ms */
    int32_t max_session_timeout_ms;     /* group.max.session.timeout.ms */
    int32_t initial_rebalance_delay_ms; /* group.initial.rebalance.delay.ms */
    int32_t max_size;                   /* group.max.size */
    int32_t offset_metadata_max_bytes;  /* offset.metadata.max.bytes */
    int64_t offsets_retention_ms;       /* offsets.retention.minutes */
    int64_t offsets_check_interval_ms;  /* offsets.retention.check.interval.ms */
    int32_t commit_timeout_ms;          /* offsets.commit.timeout.ms */
    int32_t load_buffer_bytes;          /* offsets.load.buffer.size */
};

struct groups_config groups_config_default(void);

struct groups *groups_new(struct env *env, const struct groups_config *config);
/* Calls under way are answered COORDINATOR_NOT_AVAILABLE first. */
void groups_free(struct groups *groups);

/* ---- what the node tells ----------------------------------------------------------------------
 */

/* __consumer_offsets has this many partitions (0: not there yet). */
void groups_set_partition_count(struct groups *groups, int32_t count);
/* This broker leads `replica`, a partition of __consumer_offsets, from its present epoch on: loads
 * it. */
void groups_lead(struct groups *groups, struct replica *replica);
/* No longer: members and waiting calls get NOT_COORDINATOR. */
void groups_resign(struct groups *groups, int32_t partition);
/* Topics that are gone: their committed offsets are removed with tombstones. `image` resolves names
 * to ids during the call. */
void groups_topics_deleted(struct groups *groups, const char *const *topics, int count);
/* The committed image, for topic ids in OffsetCommit/OffsetFetch v10; stays valid until set again.
 */
void groups_set_image(struct groups *groups, const struct image *image);

/* ---- calls ------------------------------------------------------------------------------------
 */

/* One request to the coordinator, in the caller's memory until `done` or groups_cancel. api_key is
 * one of JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit, OffsetFetch, ListGroups,
 * DescribeGroups, DeleteGroups, OffsetDelete; request and response are those messages' structs;
 * what the response points at comes from `arena`. */
struct group_call {
    int16_t api_key;
    int16_t api_version;
    const void *request;
    void *response;
    struct arena *arena;
    struct wire_str client_id;
    const char *client_host; /* "127.0.0.1": shown as "/127.0.0.1", as Kafka does */
    void (*done)(struct group_call *call);
    void *ctx;
    /* group's own */
    struct list node;
    void *state;
};

/* `done` comes before this returns only when the answer needs no waiting; callers must allow both.
 */
void groups_submit(struct groups *groups, struct group_call *call);
/* `done` will not come. Harmless after `done`. */
void groups_cancel(struct groups *groups, struct group_call *call);

/* The partition of __consumer_offsets that `group_id` belongs to: Java's String.hashCode, made
 * non-negative as Kafka's Utils.abs does, modulo count. count > 0. */
int32_t groups_partition_for(struct wire_str group_id, int32_t count);

#endif
