/* poll: keeps asking the cluster and hands out snapshots of what it said.
 *
 * A round asks, in this order: the cluster (Metadata, DescribeCluster); then at once the followers'
 * ends, configs, log dirs, quorum and the list of groups; then the leaders' ends and the groups'
 * members and commits; then the ends that the groups' lags are counted from. Followers are asked
 * before leaders, so that a lag is overstated, never understated, by what was written in between.
 * (A replica's own end is asked with replica id -2, Kafka's DEBUGGING_REPLICA_ID, which any replica
 * answers.)
 *
 * A broker that keeps the round waiting once is asked, but not waited for, until it answers again;
 * and asked nothing more while it owes an answer from an earlier round. When nobody has told of the
 * cluster after a stage's time, it is asked of another broker.
 *
 * What is asked follows what is looked at (poll_want). Never more than one round runs at a time,
 * none starts within POLL_MIN_GAP_MS of another, and a round sends any broker a bounded number of
 * requests, so that the console's own load is bounded however often a key is pressed. A broker that
 * does not answer holds up a stage for POLL_STAGE_MS, not longer: its older samples stay, with
 * their age. */
#ifndef CONSOLE_POLL_H
#define CONSOLE_POLL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "console/model.h"

struct uv_loop_s;
struct poll;

enum {
    POLL_MIN_GAP_MS = 500,
    POLL_STAGE_MS = 1500,
    POLL_REQUEST_MS = 5000,
    POLL_CONFIGS_EVERY_MS = 60000,
    POLL_LOG_DIRS_EVERY_MS = 30000
};

/* A partition, or a group with number 0. */
struct poll_name {
    char *name;
    int64_t number;
};

struct poll_want {
    unsigned parts;  /* 1u << model_part_id */
    bool everything; /* all partitions and groups, not only those named */
    struct poll_name *partitions;
    int partition_count;
    struct poll_name *groups;
    int group_count;
};
void poll_want_add_partition(struct poll_want *w, const char *topic, int32_t partition);
void poll_want_add_group(struct poll_want *w, const char *group);
void poll_want_free(struct poll_want *w);

struct poll_events {
    /* A new snapshot; take a reference to keep it. */
    void (*updated)(void *ctx, const struct model *m);
    /* A round ended. `why` is "" when the cluster answered, else why it could not be asked. */
    void (*ended)(void *ctx, const char *why);
};

/* Nothing is asked before the first poll_want. `stage_ms` bounds a stage (POLL_STAGE_MS). */
enum err poll_new(struct uv_loop_s *loop, const char *bootstrap, int64_t stage_ms,
                  int64_t request_ms, const struct poll_events *events, void *ctx,
                  struct poll **out, struct err_text *text);
/* No event after it. Not from inside one. Handles close as the loop runs on. */
void poll_free(struct poll *p);
/* Takes over what `want` holds. Counts from the next round, which comes at once when it names
 * something of which nothing was read yet, so that nobody stares at a row without numbers. */
void poll_set_want(struct poll *p, struct poll_want *want);
void poll_set_interval(struct poll *p, int64_t interval_ms);
void poll_set_paused(struct poll *p, bool paused);
/* A round now, or as soon as the one running ends; also when paused. It hands out what it learnt of
 * brokers, leaders and ISR at once, before it has asked for the rest. */
void poll_now(struct poll *p);

#endif
