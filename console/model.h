/* model: what the console knows of a cluster at one moment, as plain data.
 *
 * A model is filled by its one owner (a draft) and from model_freeze on it is constant and shared
 * by reference; readers hold `const struct model *`. Everything in it lives in its own arena, so a
 * snapshot stays whole however the cluster moves on. No I/O, no clock, no curses: times are handed
 * in.
 *
 * WHAT IS NOT A NUMBER. Every count and offset is an int64_t that may also be one of three marks:
 * not learnt, refused by the cluster, learnt that there is none. Zero is never a mark.
 *
 * ORDER. Brokers by id; topics by name, internal ones (names starting with "__") after all others;
 * groups by name; partitions by number; replicas in assignment order (the first is the preferred
 * leader). */
#ifndef CONSOLE_MODEL_H
#define CONSOLE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/uuid.h"

#define MODEL_UNKNOWN INT64_MIN       /* could not be learnt, or not yet */
#define MODEL_DENIED  (INT64_MIN + 1) /* the cluster refused to tell */
#define MODEL_NONE    (INT64_MIN + 2) /* learnt: there is none, as of an offset never committed */

static inline bool model_known(int64_t value)
{
    return value > MODEL_NONE;
}

enum { MODEL_NO_BROKER = -1 };

/* How one kind of knowledge was come by. */
enum model_state { MODEL_UNREAD, MODEL_READ, MODEL_FAILED, MODEL_REFUSED };

enum model_part_id {
    MODEL_CLUSTER,  /* brokers, topics, leaders, ISR */
    MODEL_CONFIGS,  /* min.insync.replicas of topics */
    MODEL_OFFSETS,  /* ends and starts of logs */
    MODEL_GROUPS,   /* the list of groups */
    MODEL_MEMBERS,  /* members and committed offsets of groups */
    MODEL_LOG_DIRS, /* sizes */
    MODEL_QUORUM,
    MODEL_MOVES, /* replicas on their way to other brokers */
    MODEL_PART_COUNT
};

struct model_part {
    enum model_state state;
    int64_t read_ms;   /* wall time of the last good answer; 0 = never */
    const char *error; /* of the last try, when it failed or was refused; else NULL */
};

struct model_broker {
    int32_t id;
    const char *host; /* NULL: a broker that is only named in replica lists */
    int32_t port;
    const char *rack;    /* NULL when it has none */
    bool alive;          /* listed by the cluster and not fenced */
    bool fenced;         /* listed as fenced (DescribeCluster v2, KIP-1073) */
    int64_t leaders;     /* partitions it leads */
    int64_t replicas;    /* partitions it holds */
    int64_t out_of_sync; /* of those, not in the ISR; without those being added */
    /* What stopping it would do now: of the partitions that have it in the ISR. */
    int64_t stop_offline;       /* ... these would have no leader */
    int64_t stop_under_min_isr; /* ... these would refuse acks=all; without those */
    bool stop_known;            /* min.insync.replicas of every topic is known */
    int64_t size_bytes;         /* of all its logs */
    int64_t total_bytes;        /* of the volumes (DescribeLogDirs v4) */
    int64_t usable_bytes;       /* free on them */
};

struct model_replica {
    int32_t broker;
    bool in_sync;
    bool offline;
    bool adding;          /* by a reassignment that has not ended */
    bool removing;        /* once it ends */
    int64_t end_offset;   /* asked from the replica itself (ListOffsets, replica id -2) */
    int64_t sampled_ms;   /* wall time of end_offset; 0 = never */
    int64_t lag;          /* leader's end - own end, never below 0; 0 for the leader itself */
    int64_t lag_taken_ms; /* wall time of the older of the two ends; 0 = one was never learnt */
    int64_t size_bytes;
};

struct model_topic;

struct model_partition {
    const struct model_topic *topic;
    int32_t partition;
    int32_t leader;       /* MODEL_NO_BROKER when offline */
    int64_t leader_epoch; /* may be a mark */
    int64_t log_start_offset;
    int64_t high_watermark;
    int64_t sampled_ms;
    struct model_replica *replicas;
    int replica_count;
};

struct model_topic {
    const char *name;
    struct uuid id;
    bool internal;
    const char *error; /* NULL, or why its partitions could not be listed */
    bool denied;
    int64_t min_insync; /* min.insync.replicas */
    struct model_partition *partitions;
    int partition_count;
};

struct model_assigned {
    const char *topic;
    int32_t partition;
};

struct model_member {
    const char *member_id;
    const char *client_id;
    const char *host;
    struct model_assigned *partitions;
    int partition_count;
};

struct model_offset {
    const char *topic;
    int32_t partition;
    int64_t committed;  /* MODEL_NONE when never committed */
    int64_t end_offset; /* the partition's high watermark */
    int64_t lag;
    int member; /* index of the member it is assigned to, or -1 */
};

struct model_group {
    const char *group;
    const char *state;    /* NULL when not learnt, and so on */
    const char *type;     /* "classic", "consumer", ... */
    const char *protocol; /* the assignor */
    int32_t coordinator;
    enum model_state members_state;
    enum model_state offsets_state;
    int64_t members_read_ms; /* wall time of the last good answer; 0 = never */
    int64_t offsets_read_ms;
    const char *error; /* why members or offsets are missing */
    struct model_member *members;
    int member_count;
    struct model_offset *offsets; /* by topic and partition */
    int offset_count;
};

struct model_voter {
    int32_t node;
    bool voter; /* else observer */
    int64_t end_offset;
    int64_t lag;            /* leader's end - own end */
    int64_t last_fetch_ms;  /* wall time; marks allowed */
    int64_t last_caught_ms; /* wall time; marks allowed */
};

struct model_quorum {
    int32_t leader; /* MODEL_NO_BROKER when none or not learnt */
    int64_t leader_epoch;
    int64_t high_watermark;
    struct model_voter *nodes; /* voters first, then observers, by id */
    int node_count;
};

struct model {
    uint32_t refs;
    bool frozen;
    struct arena arena;
    int64_t taken_ms; /* wall time of the newest answer in it */
    const char *cluster_id;
    struct model_part parts[MODEL_PART_COUNT];
    struct model_broker *brokers;
    int broker_count;
    struct model_topic *topics;
    int topic_count;
    struct model_group *groups;
    int group_count;
    struct model_quorum quorum;
};

/* An empty draft with one reference. */
struct model *model_new(void);
/* A draft with the same content, in an arena of its own. */
struct model *model_copy(const struct model *from);
/* From here on nobody may write. Derived numbers (lags, broker sums) are brought up to date. */
void model_freeze(struct model *draft);
const struct model *model_ref(const struct model *m);
void model_unref(const struct model *m); /* NULL is allowed */

/* Fill the draft's arrays, zeroed apart from numbers, which start as MODEL_UNKNOWN. */
struct model_broker *model_set_brokers(struct model *draft, int count);
struct model_topic *model_set_topics(struct model *draft, int count);
struct model_partition *model_set_partitions(struct model *draft, struct model_topic *t, int count);
struct model_replica *model_set_replicas(struct model *draft, struct model_partition *p, int count);
struct model_group *model_set_groups(struct model *draft, int count);
/* Puts arrays into the order promised above. Call when names and numbers are in. */
void model_sort(struct model *draft);
void model_sort_offsets(struct model_group *g);

bool model_topic_is_internal(const char *name);
struct model_broker *model_find_broker(const struct model *m, int32_t id);
struct model_topic *model_find_topic(const struct model *m, const char *name);
struct model_partition *model_find_partition(const struct model *m, const char *topic,
                                             int32_t partition);
struct model_replica *model_find_replica(const struct model_partition *p, int32_t broker);
struct model_group *model_find_group(const struct model *m, const char *group);
/* Among the first `count` offsets, which must be in order. */
struct model_offset *model_find_offset(const struct model_group *g, int count, const char *topic,
                                       int32_t partition);

/* What is wrong with a partition, worst first. */
enum model_fault {
    MODEL_HEALTHY,
    MODEL_UNDER_REPLICATED, /* fewer in sync than replicas, not counting those being added */
    MODEL_UNDER_MIN_ISR,    /* fewer in sync than min(min.insync.replicas, replicas) */
    MODEL_OFFLINE           /* no leader */
};
enum model_fault model_partition_fault(const struct model_partition *p);
int model_in_sync_count(const struct model_partition *p);
/* Fewer in sync than it should have. Those that a reassignment is adding do not count, on either
 * side: it has as many as before. */
bool model_under_replicated(const struct model_partition *p);
bool model_is_moving(const struct model_partition *p);
/* The leader is the first replica of the assignment. */
bool model_leader_is_preferred(const struct model_partition *p);
/* The largest lag of a replica that is not the leader; a mark when none is known. */
int64_t model_worst_lag(const struct model_partition *p);

/* Sum of the known lags; a mark when none is known. */
int64_t model_group_lag(const struct model_group *g);

struct model_counts {
    int64_t brokers; /* alive */
    int64_t brokers_missing;
    int64_t topics;
    int64_t partitions;
    int64_t offline;
    int64_t under_min_isr;    /* offline ones too: nobody can write to them with acks=all */
    int64_t under_replicated; /* by replicas and ISR alone, whatever else is wrong */
    int64_t not_preferred;
    int64_t groups;
};
/* Marks where the part they come from is not read. */
struct model_counts model_count(const struct model *m);

enum model_verdict {
    MODEL_VERDICT_UNKNOWN,
    MODEL_VERDICT_OK,
    MODEL_VERDICT_WARNING,
    MODEL_VERDICT_CRITICAL
};
/* The worst of the reasons; OK without any; UNKNOWN when the cluster was never read. */
enum model_verdict model_judge(const struct model *m);

/* Why the verdict is as it is. */
struct model_reason {
    enum model_verdict severity; /* UNKNOWN: something could not be read, and `what` is its error */
    int64_t count;               /* 0 when there is nothing to count */
    const char *what;            /* reads before ": count"; as long as the model */
    const char *advice;          /* the likely cause, and what to do; "" */
};
enum { MODEL_MAX_REASONS = 6 + MODEL_PART_COUNT };
/* The worst first, what could not be read last. Returns how many. */
int model_reasons(const struct model *m, struct model_reason out[MODEL_MAX_REASONS]);
const char *model_verdict_name(enum model_verdict v); /* "ok", "warning", "critical", "unknown" */

#endif
