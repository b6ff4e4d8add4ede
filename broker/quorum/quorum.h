/* quorum: KRaft (KIP-595, KIP-630, KIP-996) over the log __cluster_metadata-0.
 *
 * It elects, replicates and commits; it knows nothing of what the records mean. News goes up
 * through quorum_events, each in a turn of its own, in the order of the log.
 *
 * SAFETY. quorum-state is synced before a vote is asked for or answered and before leadership takes
 * effect. No leader keeps its epoch across a restart. A leader counts itself at its durable end,
 * and a voter where its Fetch says, which is the voter's durable end; it moves the high watermark
 * only by entries of its own epoch, the first of which is its LeaderChange record. Only what is
 * below the high watermark is ever delivered, and nothing below it is ever cut off.
 *
 * A WIPED DISK. A voter without quorum-state, in a set of several, has no memory of what it
 * promised. It neither votes nor stands, and its fetches do not count for a majority, until every
 * other voter has been heard with an empty log (a new cluster), or every other voter has said which
 * epoch it is in (it may have had our vote for that one) and we hold durably all that is below the
 * high watermark of a leader of no older epoch. Its pre-votes go out meanwhile: they bind nobody
 * and are how empty voters hear of each other.
 *
 * SNAPSHOTS. Now and then its owner is asked for all it holds, which a worker writes to a file; the
 * log's beginning goes once it is too old or too much. Who lacks what is gone fetches a snapshot
 * from the leader instead. A snapshot holds what is committed only, so it may take the log's place
 * wherever it is ahead of it.
 *
 * PEERS. The room has no socket: requests go out by quorum_peers, come in by quorum_submit. */
#ifndef BROKER_QUORUM_QUORUM_H
#define BROKER_QUORUM_QUORUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/env/env.h"
#include "broker/log/log.h"
#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/uuid.h"

#define QUORUM_TOPIC "__cluster_metadata"

struct quorum;
struct describe_quorum_response; /* common/wire/messages.h */

/* 00000000-0000-0000-0000-000000000001: AAAAAAAAAAAAAAAAAAAAAQ */
struct uuid quorum_topic_id(void);

struct quorum_voter {
    int32_t id;
    struct uuid directory_id; /* zero: not known (static voters) */
    char host[256];           /* of its controller listener */
    uint16_t port;
};

enum { QUORUM_VOTERS_MAX = 15 };

/* A request for a voter's controller listener. */
struct quorum_send {
    uint64_t token; /* names it in quorum_answered */
    int32_t to;     /* a voter's id, never our own */
    int16_t api_key;
    int16_t min_version; /* any of these will do */
    int16_t max_version;
    const void *body; /* struct NAME_request; good during the call */
    int64_t timeout_ms;
};

struct quorum_peers {
    /* The answer, or a failure, comes once by quorum_answered, in a later turn. One that is no
     * longer waited for is dropped there. Must not call back. */
    void (*send)(void *ctx, const struct quorum_send *send);
    void *ctx;
};

struct quorum_config {
    int32_t node_id;
    struct uuid directory_id;
    char cluster_id[64];
    char listener[64]; /* the controller listener's name, for DescribeQuorum's nodes */
    struct quorum_voter voters[QUORUM_VOTERS_MAX];
    int32_t voter_count;
    struct quorum_peers peers;   /* a lone voter needs none */
    int32_t election_timeout_ms; /* controller.quorum.election.timeout.ms */
    int32_t fetch_timeout_ms;    /* controller.quorum.fetch.timeout.ms */
    int32_t election_backoff_max_ms;
    int32_t request_timeout_ms;  /* controller.quorum.request.timeout.ms; 0 = 2000 */
    int32_t retry_backoff_ms;    /* controller.quorum.retry.backoff.ms; 0 = 20 */
    uint32_t replay_chunk_bytes; /* read and delivered in one turn; 0 = 64 KiB */
    int64_t
        snapshot_bytes; /* metadata.log.max.record.bytes.between.snapshots; 0: none are written */
    int64_t snapshot_interval_ms; /* metadata.log.max.snapshot.interval.ms; 0: by bytes only */
    int64_t retention_bytes;      /* metadata.max.retention.bytes, log and snapshots; -1 no limit */
    int64_t retention_ms;         /* metadata.max.retention.ms, of snapshots; -1 no limit */
    int32_t segment_bytes;        /* metadata.log.segment.bytes; 0 = 1 GiB */
    int64_t segment_ms;           /* metadata.log.segment.ms; 0 = 7 days */
    int32_t fetch_bytes;          /* controller.quorum.fetch.max.bytes; 0 = 1 MiB */
    int32_t fetch_snapshot_bytes; /* controller.quorum.fetch.snapshot.max.bytes; 0 = 1 MiB */
};

/* KafkaRaftClient's states. A node that is no voter is unattached or a follower. */
enum quorum_role {
    QUORUM_OPENING,
    QUORUM_UNATTACHED,
    QUORUM_VOTED,       /* unattached, its vote of this epoch given */
    QUORUM_PROSPECTIVE, /* asks whether it could win, before it raises the epoch (KIP-996) */
    QUORUM_CANDIDATE,
    QUORUM_LEADER,
    QUORUM_FOLLOWER,
    QUORUM_RESIGNED
};

/* Committed record batches (magic 2), whole, control batches among them. */
struct quorum_committed {
    const uint8_t *batches; /* good during the call */
    size_t size_bytes;
    int64_t base_offset;
    int64_t last_offset;
};

/* A piece of a snapshot: record batches, whole, control batches among them, whose own offsets mean
 * nothing. From the first to the last piece they say all there is to know of what the log held up
 * to and including last_offset: whatever was delivered before is replaced. */
struct quorum_snapshot_part {
    const uint8_t *batches; /* good during the call */
    size_t size_bytes;
    bool first; /* also of a newer one, before the last piece of an older */
    bool last;
    int64_t last_offset;
    int32_t epoch;        /* of that record */
    int64_t timestamp_ms; /* of that record */
};

/* Every call comes in a turn of its own; a callee may call quorum_append and the readers, not
 * quorum_free. */
struct quorum_events {
    /* The log and quorum-state are read (or not: then nothing else follows). */
    void (*opened)(void *ctx, enum err error, const struct err_text *text);
    /* In order, from the log's start or from where the last snapshot ended, no gap, nothing twice.
     */
    void (*committed)(void *ctx, const struct quorum_committed *committed);
    /* leader_id -1: none known. */
    void (*leader_changed)(void *ctx, int32_t leader_id, int32_t epoch);
    /* This node leads `epoch`, its LeaderChange record is committed and everything up to it has
     * been delivered: now it may decide and quorum_append. */
    void (*activated)(void *ctx, int32_t epoch);
    /* After activated only: it leads `epoch` no more; what it appended and has not seen committed
     * may or may not survive. */
    void (*deactivated)(void *ctx, int32_t epoch);
    /* The log or quorum-state could not be written: this node takes no part any more. */
    void (*failed)(void *ctx, enum err error, const struct err_text *text);
    /* At the start, and when this node was too far behind its leader. Never while it leads. */
    void (*snapshot)(void *ctx, const struct quorum_snapshot_part *part);
    /* All that was delivered so far should be written: answered by quorum_snapshot, within the call
     * or not at all (then asked again after what is delivered next). */
    void (*snapshot_due)(void *ctx);
};

/* Opens the log in `dir` (which stays the caller's), reads or makes quorum-state, and takes part.
 */
struct quorum *quorum_open(struct env *env, struct log_dir *dir, const struct quorum_config *config,
                           const struct quorum_events *events, void *ctx);
/* Steps down (a leader sends EndQuorumEpoch and waits for no answer), answers what is parked,
 * closes the log. `done` in a later turn; no event follows. */
void quorum_close(struct quorum *quorum, void (*done)(void *ctx), void *ctx);
/* Memory only: after close, after a failed opening, or in a crash. */
void quorum_free(struct quorum *quorum);

/* ---- leading ----------------------------------------------------------------------------------
 */

struct quorum_record {
    const void *data; /* the value: a framed metadata record */
    size_t size_bytes;
};

/* Appends the records as one batch, which commits as a whole or not at all. *last_offset gets the
 * offset of the last one; the caller may act on it once `committed` has passed it. ERR_STALE: this
 * node does not lead `epoch` (any more). ERR_TOO_LARGE: the batch exceeds 8 MiB (split it, in a
 * metadata transaction). */
enum err quorum_append(struct quorum *quorum, int32_t epoch, const struct quorum_record *records,
                       size_t count, int64_t *last_offset, struct err_text *text);
/* The offset the next appended record will get. */
int64_t quorum_next_offset(const struct quorum *quorum);
/* Steps down on the caller's wish (a decision failed half way, a controlled stop). */
void quorum_resign(struct quorum *quorum, int32_t epoch, const char *why);

/* ---- snapshots --------------------------------------------------------------------------------
 */

/* All that was delivered up to now, as framed records. */
struct quorum_snapshot_source {
    /* On a worker, while the core goes on: hands every record to `put`; ends at once with what it
     * returns unless that is ERR_NONE. */
    enum err (*write)(const void *state,
                      enum err (*put)(void *to, const void *record, size_t size_bytes), void *to);
    void (*release)(void *state); /* on the core, in any case */
    void *state;
    int64_t timestamp_ms; /* of the last record it holds */
};

/* In answer to snapshot_due. */
void quorum_snapshot(struct quorum *quorum, const struct quorum_snapshot_source *source);

/* ---- peers ------------------------------------------------------------------------------------
 */

/* `response` (struct NAME_response of the request sent) is read during the call; NULL with an
 * error. ERR_REFUSED says that the voter's process is gone: a follower of it stands at once.
 * ERR_UNSUPPORTED says that there is no common version. Not from within quorum_peers.send. */
void quorum_answered(struct quorum *quorum, uint64_t token, enum err error, const void *response);

/* Vote, BeginQuorumEpoch, EndQuorumEpoch, and Fetch and FetchSnapshot of __cluster_metadata. In the
 * caller's memory, in place until `done` or quorum_cancel. Authorisation is the caller's. */
struct quorum_call {
    int16_t api_key;
    int16_t version;
    const void *request; /* struct NAME_request; read within quorum_submit only */
    void *response;      /* struct NAME_response; filled, defaults included, when `done` comes */
    struct arena *arena; /* for what `response` points at */
    struct buf *records; /* what the records of a Fetch or FetchSnapshot response lie in: the
                          * caller's reference from `done` on; NULL when there are none */
    /* Once, in a later turn. May submit; must not free the quorum. */
    void (*done)(struct quorum_call *call);
    void *waiting; /* the quorum's */
};

void quorum_submit(struct quorum *quorum, struct quorum_call *call);
/* `done` will not come (the asker is gone). Harmless after `done`. */
void quorum_cancel(struct quorum *quorum, struct quorum_call *call);

/* ---- looking ----------------------------------------------------------------------------------
 */

enum quorum_role quorum_role(const struct quorum *quorum);
const char *quorum_role_name(enum quorum_role role);
int32_t quorum_epoch(const struct quorum *quorum);
int32_t quorum_leader(const struct quorum *quorum);         /* -1: none known */
int64_t quorum_high_watermark(const struct quorum *quorum); /* -1: not known yet */
int64_t quorum_delivered(const struct quorum *quorum);      /* one past the last delivered offset */
struct log *quorum_log(const struct quorum *quorum);        /* NULL while opening */

/* Fills a DescribeQuorum response for __cluster_metadata-0, memory from `arena`: voters and
 * observers with their log ends and times, as only the leader knows them; elsewhere
 * NOT_LEADER_OR_FOLLOWER with the leader. */
void quorum_describe(struct quorum *quorum, int16_t version,
                     struct describe_quorum_response *response, struct arena *arena);

#endif
