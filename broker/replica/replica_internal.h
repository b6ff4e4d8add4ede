/* Shared by the room's files only. */
#ifndef BROKER_REPLICA_REPLICA_INTERNAL_H
#define BROKER_REPLICA_REPLICA_INTERNAL_H

#include "common/base/hash.h"

#include "broker/replica/replica.h"

enum replica_state { REPLICA_OPENING, REPLICA_ONLINE, REPLICA_FAILED, REPLICA_GOING };

struct replica_key {
    struct uuid topic_id;
    int32_t partition;
};

struct replica {
    struct replica_key key;
    char *topic;
    struct replicas *all;
    struct log_dir *dir;
    struct log *log;   /* also while opening */
    bool name_awaited; /* opening, but its directory's name is still another's: `log` is NULL */
    enum replica_state state;
    bool deleting; /* metadata dropped it while its log was opening or closing */
    struct replica_settings settings;
    /* from the image */
    int32_t leader_id;
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t isr_count;
    int32_t replica_count;
    /* as leader */
    bool leading; /* the epoch has begun in the log */
    int64_t epoch_start;
    int64_t high_watermark;
    struct list appends; /* replica_append.node, by wait_offset */
    struct list watches;
    struct env_post news; /* ends moved: advance and fire */
    bool announce_leader;
    struct list gone; /* in replicas.gone once dropped */
    UT_hash_handle hh;
};

struct replicas {
    struct env *env;
    struct log_dir **dirs;
    int dir_count;
    struct replicas_config config;
    struct replica *by_key; /* uthash */
    struct list gone;       /* replicas no longer in by_key, waiting for their log */
    int opening;
    int names_awaited;
    int closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct env_timer tend;
    struct env_post settled_post;
    struct env_post closed_post;
};

/* role.c */
/* Takes leader, epoch and ISR from the image's partition. */
void replica_take_role(struct replica *replica, const struct image_partition *partition);
/* Begins the epoch in an open log when this broker leads. */
void replica_begin_leading(struct replica *replica);
/* Recomputes the high watermark and fires what it satisfies. */
void replica_advance(struct replica *replica);
/* Fails every parked append and fires every watch. */
void replica_fail_waits(struct replica *replica, int16_t error);
void replica_fire_watches(struct replica *replica);
/* The end that acks=1 waits for and that counts for the high watermark. */
int64_t replica_own_end(const struct replica *replica);

#endif
