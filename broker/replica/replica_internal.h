/* Shared by the room's files only. */
#ifndef BROKER_REPLICA_REPLICA_INTERNAL_H
#define BROKER_REPLICA_REPLICA_INTERNAL_H

#include "common/base/hash.h"

#include "broker/replica/replica.h"
#include "broker/replica/replication.h"

enum replica_state { REPLICA_OPENING, REPLICA_ONLINE, REPLICA_FAILED, REPLICA_GOING };

struct replica_key {
    struct uuid topic_id;
    int32_t partition;
};

enum { THROTTLE_SAMPLES = 11 };

struct replica_throttle {
    int64_t rate; /* bytes a second; INT64_MAX none */
    int64_t second;
    int64_t bytes[THROTTLE_SAMPLES];
};

struct replica {
    struct replica_key key;
    char *topic;
    struct replicas *all;
    struct log_dir *dir;
    struct log *log;    /* also while opening */
    bool stray_removed; /* an older topic's directory was in the way, and has been seen to */
    bool name_awaited;  /* opening, but its directory's name is still another's: `log` is NULL */
    enum replica_state state;
    bool deleting; /* metadata dropped it while its log was opening or closing */
    struct replica_settings settings;
    bool throttled_leader;
    bool throttled_follower;
    /* from the image */
    int32_t leader_id;
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t *replica_ids;
    int32_t replica_count;
    struct isr isr;
    /* as leader */
    bool leading; /* the epoch has begun in the log */
    int64_t epoch_start;
    struct followers followers;
    /* as follower */
    struct following following;
    int64_t high_watermark;
    struct list appends; /* replica_append.node, by wait_offset */
    struct list watches;
    struct env_post news; /* ends moved: advance and fire */
    bool announce_leader;
    bool roomless;    /* FAILED since its log could not be opened on a full disk: tried again */
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
    struct image *image;    /* who is fenced, who has which epoch; NULL without links */
    struct list fetchers;
    struct isr_sender isr_sender;
    struct replica_throttle leader_throttle;
    struct replica_throttle follower_throttle;
    int opening;
    int names_awaited;
    int closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct env_timer tend;
    struct env_post settled_post;
    struct env_post closed_post;
};

/* replicas.c */
struct replica *replica_new(struct replicas *all, const char *topic, const struct replica_key *key);
/* Its directory must be known and its name free. */
void replica_open_log(struct replica *replica);

/* throttle.c */
void throttle_count(struct replica_throttle *throttle, int64_t now_ms, int64_t bytes);
/* The mean over the window is above the rate. */
bool throttle_exceeded(struct replica_throttle *throttle, int64_t now_ms);
/* The topic's or the broker's settings are new. */
void throttle_take_settings(struct replica *replica);
void throttle_take_rates(struct replicas *all);

/* names.c */
/* Whether one that is going still has the directory of that name. */
bool replica_name_taken(const struct replica *replica);
void replica_await_name(struct replica *replica);
void replica_await_no_name(struct replica *replica);
/* A log is gone: whoever waited for its name goes on. */
void replica_names_freed(struct replicas *all);
/* The directory is an older topic's (ERR_STALE), deleted by the controller before we came to delete
 * it: it goes as a deleted partition does, and `replica` waits for the name. Frees the log that did
 * not open. False when it cannot be done. */
bool replica_remove_stray(struct replica *replica);

/* role.c */
/* Takes leader, epoch and ISR from the image's partition. */
void replica_take_role(struct replica *replica, const struct image_partition *partition);
/* With an open log: begins the epoch when this broker leads, else follows who does. */
void replica_begin_role(struct replica *replica);
/* Stops following, and forgets followers and the in-sync change under way. */
void replica_end_role(struct replica *replica);
/* Recomputes the high watermark and fires what it satisfies. */
void replica_advance(struct replica *replica);
/* Fails every parked append and fires every watch. */
void replica_fail_waits(struct replica *replica, int16_t error);
/* append.c: the disk is full, who waits for what is not written is told so; it may be written
 * yet. */
void replica_refuse_unwritten(struct replica *replica);
void replica_fire_watches(struct replica *replica);
/* Moves a leader's high watermark as far as it may go; true when it moved. */
bool replica_advance_mark(struct replica *replica);
/* After a cut. */
void replica_clamp_mark(struct replica *replica);
/* min.insync.replicas, but never more than there are replicas. */
int32_t replica_min_isr(const struct replica *replica);
/* flush.messages=1: ends count when they are synced. */
bool replica_durable(const struct replica *replica);
/* This broker's own, of its registration; -1 not known. */
int64_t replicas_broker_epoch(const struct replicas *all);
/* The end that acks=1 waits for and that counts for the high watermark. */
int64_t replica_own_end(const struct replica *replica);

#endif
