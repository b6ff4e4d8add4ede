/* Shared by the room's files only: leading with followers, and following.
 *
 * As leader (followers.c, isr.c): what each follower has, and the in-sync set with the one change
 * under way. As follower (follower.c): one partition's truncation, appends and marks. fetcher.c
 * groups the followed partitions by source broker and speaks for them. */
#ifndef BROKER_REPLICA_REPLICATION_H
#define BROKER_REPLICA_REPLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/env/env.h"
#include "broker/metadata/image.h"
#include "broker/replica/links.h"
#include "common/base/arena.h"
#include "common/base/list.h"
#include "common/wire/messages.h"

struct replica;
struct replicas;
struct fetcher;

/* ---- leader: followers.c ----------------------------------------------------------------------
 */

enum { EPOCH_UNSEEN = -2 }; /* no fetch yet; -1: a fetch that did not name one */

/* A follower as its leader knows it, from the fetches of this leader epoch (Kafka: ReplicaState).
 */
struct follower {
    int32_t id;
    int64_t end;       /* FetchOffset: all below it is on the follower's disk; -1 not known */
    int64_t log_start; /* -1 not known */
    int64_t last_fetch_ms;
    int64_t last_fetch_leader_end;
    int64_t last_caught_up_ms;
    int64_t broker_epoch;
    struct replica_pulse *pulse; /* was at our end when it was last looked at; or NULL */
};

struct followers {
    struct follower *items;
    int32_t count;
};

/* A new leader epoch: nothing is known of anyone; the in-sync ones have the benefit of the doubt.
 */
void followers_reset(struct replica *replica);
/* The assignment changed within the epoch: keeps what is known of those that stay. */
void followers_keep(struct replica *replica);
void followers_free(struct replica *replica);
/* NULL when broker `id` holds no copy, or this broker's own id. */
struct follower *followers_find(const struct replica *replica, int32_t id);
/* The end all of which the in-sync set has, and those about to join it: where the high watermark
 * may go. */
int64_t followers_common_end(const struct replica *replica);
bool follower_caught_up(const struct replica *replica, const struct follower *follower);
/* The log has grown: whoever relied on its session's pulse was caught up until its last beat. */
void followers_note_growth(struct replica *replica);

/* ---- leader: isr.c ----------------------------------------------------------------------------
 */

enum isr_change { ISR_STEADY, ISR_EXPANDING, ISR_SHRINKING };

struct isr {
    int32_t *ids; /* as the controller has it */
    int32_t count;
    /* the change asked of the controller; one at a time */
    enum isr_change change;
    int32_t *proposed;
    int32_t proposed_count;
    bool refused;      /* the controller's metadata is ahead of ours: wait for it */
    uint64_t round;    /* of the request it travels in; 0: in none */
    struct list queue; /* in isr_sender.waiting or .asked */
};

/* AlterPartition of all partitions: one request at a time (Kafka: AlterPartitionManager). */
struct isr_sender {
    struct list waiting; /* isr.queue */
    struct list asked;   /* the same, of those in the request */
    struct replica_call call;
    bool sent;
    uint64_t round;
    int32_t failures;
    struct arena arena;
    struct env_timer retry;
    struct env_timer shrink;
    struct env_post go;
};

bool isr_has(const struct replica *replica, int32_t id);
/* In the maximal ISR: the committed one, and who is being added; who is being removed still is. */
bool isr_may_have(const struct replica *replica, int32_t id);
int32_t isr_maximal_count(const struct replica *replica);
/* The controller's word: ends the change under way. */
void isr_take(struct replica *replica, const int32_t *ids, int32_t count);
void isr_free(struct replica *replica);
/* Unfenced, not shutting down, and the incarnation that fetched (KIP-841, KIP-903). */
bool isr_eligible(const struct replica *replica, const struct follower *follower);
void isr_maybe_expand(struct replica *replica, const struct follower *follower);
void isr_sender_init(struct replicas *all);
void isr_sender_stop(struct replicas *all);

/* ---- follower: follower.c ---------------------------------------------------------------------
 */

struct probe;

struct following {
    struct fetcher *fetcher; /* NULL: follows nobody */
    struct list node;        /* in fetcher.members */
    struct list pending;     /* in fetcher.pending: the next request must look at it */
    bool in_session;         /* the leader has it, as `named` says */
    struct {
        int64_t offset;
        int64_t log_start;
        int32_t leader_epoch;
        int32_t last_epoch;
    } named;
    int64_t retry_at_ms;           /* not before */
    int32_t failures;              /* in a row */
    bool settling;                 /* what came is on its way to the disk */
    int64_t leader_high_watermark; /* last said by this epoch's leader; -1 */
    int64_t leader_log_start;      /* -1 */
    struct probe *probe;           /* the leader is asked where its log begins and ends */
};

/* Starts to follow replica->leader_id in this epoch: online, with a log. */
void follower_start(struct replica *replica);
/* Harmless when it follows nobody. */
void follower_stop(struct replica *replica);
/* Ends moved: the high watermark, the log start, and the fetcher that waits for the disk. */
void follower_advance(struct replica *replica);
/* Puts it off while it is catching up beyond the quota (KIP-73). */
void follower_hold(struct replica *replica, int64_t now_ms);
/* True when the next fetch may name it: nothing is being written, nothing put off. */
bool follower_ready(const struct replica *replica, int64_t now_ms);
/* One partition of a Fetch response; `frame` as in replica_answer. True when records came. */
bool follower_take(struct replica *replica, const struct fetch_response_partition *part,
                   struct buf *frame);
/* Not to be fetched for a while, longer after each failure in a row. */
void follower_put_off(struct replica *replica, const char *why);

/* ---- follower: fetcher.c ----------------------------------------------------------------------
 */

void fetcher_join(struct replica *replica);
void fetcher_leave(struct replica *replica);
/* What the next fetch should say of a member is not what the last one said: it has other ends, is
 * put off, or no more. */
void fetcher_changed(struct replica *replica);
/* A member became ready, or settled. */
void fetcher_poke(struct fetcher *fetcher);
/* Counts a member that waits for the disk in and out. */
void fetcher_settling(struct fetcher *fetcher, bool more);
int32_t fetcher_source(const struct fetcher *fetcher);
/* Milliseconds to wait before the next try after so many failures in a row. */
int64_t fetcher_backoff_ms(const struct replicas *all, int32_t failures);
void fetchers_stop(struct replicas *all);

#endif
