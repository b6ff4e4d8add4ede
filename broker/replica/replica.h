/* replica: the partitions this broker holds: their role, high watermark and those who wait on it.
 *
 * A replica follows the committed metadata image (replicas_apply). It is the only writer of its
 * log. What clients and followers see of a log, they see through here.
 *
 * HIGH WATERMARK. min over this leader's own end and the in-sync followers' ends; moves forward
 * only, and not at all while the ISR is smaller than the effective min.insync.replicas (KIP-966).
 * "Own end" is the durable end when the topic has flush.messages=1, else the log end; a follower's
 * is the offset it fetches from, which follows the same rule there. A follower's mark is its
 * leader's, as far as its own end reaches.
 *
 * Waits are structs in their owner, linked until they fire or are cancelled; a firing wait is
 * already unlinked. All callbacks come in a later turn than the call that caused them, except where
 * said. */
#ifndef BROKER_REPLICA_REPLICA_H
#define BROKER_REPLICA_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/env/env.h"
#include "broker/log/log.h"
#include "broker/metadata/image.h"
#include "broker/replica/links.h"
#include "common/base/uuid.h"

struct replicas; /* every partition held by this broker */
struct replica;  /* one of them */

struct replica_settings {
    struct log_config log;
    int32_t min_insync_replicas;
    /* leader. and follower.replication.throttled.replicas, good during the call; NULL: none */
    const char *leader_throttled;
    const char *follower_throttled;
};

struct replicas_config {
    int32_t broker_id;
    /* Effective settings of a topic; called when a replica is made and when its configuration
     * changed. */
    void (*topic_settings)(void *ctx, const char *topic, struct replica_settings *out);
    /* leader. and follower.replication.throttled.rate, bytes a second (KIP-73); called at the start
     * and when a broker's configuration changed. NULL: no limit. */
    void (*throttle_rates)(void *ctx, int64_t *leader, int64_t *follower);
    /* News upward. `became_leader` comes, in a turn of its own, when the log is open and the epoch
     * has begun; `lost_leadership` when the epoch ends, also when this broker leads the next one
     * (another may have led in between), when the partition is deleted and when its log fails. */
    void (*became_leader)(void *ctx, struct replica *replica);
    void (*lost_leadership)(void *ctx, const char *topic, int32_t partition, int32_t leader_epoch);
    /* Every log that was being opened is open (or failed); called once per batch of openings. */
    void (*settled)(void *ctx);
    void *ctx;
    /* NULL for a broker that is alone: it follows nobody and changes no in-sync set. Stays the
     * caller's, and in place. */
    const struct replica_links *links;
    struct replication_settings replication;
};

/* `dirs` are open and formatted and stay the caller's. */
struct replicas *replicas_new(struct env *env, struct log_dir **dirs, int dir_count,
                              const struct replicas_config *config);
/* Brings local partitions in line with `image`; looks only at what `delta` names. */
void replicas_apply(struct replicas *all, const struct image *image,
                    const struct image_delta *delta);
/* Closes every log; waits are failed with NOT_LEADER_OR_FOLLOWER first. `done` in a later turn. */
void replicas_close(struct replicas *all, void (*done)(void *ctx), void *ctx);
/* Memory only. */
void replicas_free(struct replicas *all);
/* True when no log is being opened. */
bool replicas_settled(const struct replicas *all);

/* NULL when this broker holds no such partition. */
struct replica *replicas_find(struct replicas *all, const struct uuid *topic_id, int32_t partition);
/* Calls `each` for every partition held, by topic name and partition. */
void replicas_each(struct replicas *all, void (*each)(void *ctx, struct replica *replica),
                   void *ctx);

/* ---- what it is -------------------------------------------------------------------------------
 */

const char *replica_topic(const struct replica *replica);
int32_t replica_partition(const struct replica *replica);
const struct uuid *replica_topic_id(const struct replica *replica);
/* NULL while opening or when its directory failed. */
struct log *replica_log(const struct replica *replica);
struct log_dir *replica_dir(const struct replica *replica);
int32_t replica_leader_epoch(const struct replica *replica);
int32_t replica_leader_id(const struct replica *replica);
int64_t replica_high_watermark(const struct replica *replica);
/* How many are in sync, as the controller has it; the leader's own word when it leads. */
int32_t replica_isr_count(const struct replica *replica);
/* How many records a follower's own end is behind the last high watermark its leader told it of
 * (the one it knows itself, before the leader told any); 0 for a leader and without a log. */
int64_t replica_lag(const struct replica *replica);
/* KIP-207: false after a leader change until the high watermark reaches the epoch's start. */
bool replica_high_watermark_known(const struct replica *replica);

/* Kafka's code for a request that needs the leader (or, when !need_leader, any replica) and names
 * `current_leader_epoch` (-1: none): 0, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH,
 * UNKNOWN_LEADER_EPOCH (KIP-320) or KAFKA_STORAGE_ERROR. */
int16_t replica_check(const struct replica *replica, int32_t current_leader_epoch,
                      bool need_leader);

/* ---- appending --------------------------------------------------------------------------------
 */

/* In the caller's struct, in place until `done` or replica_append_cancel. */
struct replica_append {
    void (*done)(struct replica_append *append);
    void *ctx;
    /* the answer */
    int16_t error; /* Kafka's code */
    const char *message;
    int64_t base_offset;
    int64_t log_append_time_ms;
    int64_t log_start_offset;
    /* replica's own */
    struct list node;
    struct replica *replica;
    int64_t wait_offset; /* fires when the end it waits for reaches this */
    bool wait_high_watermark;
    int32_t leader_epoch;
};

/* Appends batches in bytes [offset, offset + size) of `buf` as the leader. acks as the protocol has
 * them: 0 nothing to wait for, 1 this broker's own end, -1 the high watermark. Returns true when
 * the answer is there already (errors, acks 0) and `done` will not come. NOT_ENOUGH_REPLICAS is
 * decided before the append, NOT_ENOUGH_REPLICAS_AFTER_APPEND after it (KIP-966 strict min ISR).
 * Timeouts are the caller's. */
bool replica_append(struct replica *replica, struct buf *buf, size_t offset, size_t size,
                    int16_t acks, struct replica_append *append);
void replica_append_cancel(struct replica_append *append); /* harmless when it is not waiting */

/* ---- deleting records -------------------------------------------------------------------------
 */

#define REPLICA_HIGH_WATERMARK INT64_C(-1)
/* As the leader, all below *offset; REPLICA_HIGH_WATERMARK is replaced by where that is. 0,
 * OFFSET_OUT_OF_RANGE beyond the high watermark, POLICY_VIOLATION unless cleanup.policy has
 * "delete", or what replica_check says. */
int16_t replica_delete_records(struct replica *replica, int64_t *offset);
/* Below it no replica that is alive has anything; -1 while one of them has not said. For a leader
 * (replica_check). A replica_watch fires when it may have moved. */
int64_t replica_low_watermark(const struct replica *replica);

/* ---- a follower's fetch (Fetch with a replica id) ----------------------------------------------
 */

/* When a follower's fetch session (KIP-227) last asked for more. A request of a session names only
 * partitions that have changed; a follower that was at the end of the log when the session began to
 * be silent about it counts as caught up at every beat until the log grows. Refcounted: the session
 * has one, and every partition whose follower relies on it. */
struct replica_pulse {
    int32_t refs;
    int64_t last_fetch_ms;
};

struct replica_pulse *replica_pulse_new(void);
void replica_pulse_unref(struct replica_pulse *pulse); /* NULL is allowed */
/* The session goes on without this partition. */
void replica_pulse_leave(struct replica *replica, const struct replica_pulse *pulse);

/* One partition of it. In the caller's memory as long as the request is parked; zero-initialise. */
struct replica_fetch {
    /* asked */
    int32_t replica_id;
    int64_t broker_epoch; /* ReplicaState.ReplicaEpoch; -1 not named */
    int32_t current_leader_epoch;
    int64_t fetch_offset; /* all below it is on the follower's disk */
    int32_t last_fetched_epoch;
    int64_t log_start_offset;
    int64_t known_high_watermark; /* v18's HighWatermark; INT64_MAX where it is not named */
    int64_t known_log_start;      /* told before in this session; INT64_MAX: not known */
    struct replica_pulse *pulse;  /* of the session, or NULL */
    /* answered; marks and starts are -1 with an error */
    int16_t error;
    int32_t diverging_epoch; /* both -1, or where the logs part: then no records are sent */
    int64_t diverging_end_offset;
    int64_t high_watermark;
    int64_t log_start_offset_here;
    int64_t limit_offset; /* records in [fetch_offset, limit_offset) may be sent */
    bool news; /* the mark or the start has moved: answer now, though there may be no records */
    bool throttled; /* what is sent counts against the leader's quota: replicas_note_sent */
    bool restless;  /* out of sync: the session's next request looks at it again, to let it in */
    /* replica's own */
    bool noted;
};

/* Judges the fetch and, the first time it is called for it, takes note of where the follower is:
 * never for a request that is not a broker's (CVE-2018-1288). True when there are records to send.
 * A parked request is looked at again, by the same struct, whenever its replica_watch fires; it is
 * to be answered at once on an error, a diverging epoch, or news. With an error of 0 and nothing of
 * these it waits. */
bool replica_follower_fetch(struct replica *replica, struct replica_fetch *fetch);

/* So many bytes of throttled partitions are on their way to followers. */
void replicas_note_sent(struct replicas *all, int64_t bytes);

/* ---- the nearest replica (KIP-392) -------------------------------------------------------------
 */

/* A follower whom a leader may send a consumer to: in sync, with records from `offset` on as far as
 * its last fetches told. */
struct replica_reader {
    int32_t broker_id;
    int64_t end;
    int64_t caught_up_ms; /* when it last was, as env_now_ms has it */
};

/* The room for as many as the partition has replicas is the caller's; returns how many. None where
 * this broker does not lead. */
int32_t replica_readers(const struct replica *replica, int64_t offset,
                        struct replica_reader *readers);
int32_t replica_count(const struct replica *replica);

/* ---- watching ---------------------------------------------------------------------------------
 */

/* Fires once when anything a reader could care about moved: high watermark, log end, start, epoch,
 * role, low watermark. */
struct replica_watch {
    struct list node;
    void (*fire)(struct replica_watch *watch);
};

void replica_watch(struct replica *replica, struct replica_watch *watch);
void replica_watch_cancel(struct replica_watch *watch); /* `node` must be linked or list_init'ed */

#endif
