/* Inside room quorum: the state machine's data.
 *
 * Files: quorum.c (life and looking), state.c (roles, elections, what must be durable first),
 * lead.c (appending, high watermark), deliver.c (news upward), store.c (the quorum-state file),
 * batch.c (record batches), describe.c. */
#ifndef BROKER_QUORUM_QUORUM_INTERNAL_H
#define BROKER_QUORUM_QUORUM_INTERNAL_H

#include "broker/quorum/quorum.h"
#include "common/base/assert.h"
#include "common/base/list.h"
#include "common/base/mem.h"

enum {
    QUORUM_BATCH_BYTES_MAX = 8 << 20,
    QUORUM_REPLAY_CHUNK_BYTES = 64 << 10,
    QUORUM_BATCH_HEADER_BYTES = 61,
    QUORUM_STATE_BYTES_MAX = 64 << 10
};

/* What quorum-state says: an election's outcome as far as this node knows it. */
struct quorum_state {
    int32_t epoch;
    int32_t leader_id; /* -1 none */
    int32_t voted_id;  /* -1 none */
};

/* One file operation on quorum-state; a newer state waits until it is done. */
struct quorum_store {
    struct env_job job;
    struct quorum *quorum;
    struct env_lane *lane;
    char path[1024];
    bool busy;
    bool reading;
    struct quorum_state writing; /* what the running write holds */
    bool again;                  /* the state moved on meanwhile */
    struct bytes content;        /* read, or to be written */
    enum err error;
    struct err_text text;
};

/* A batch this leader appended, kept until it is committed so that it need not be read back. */
struct quorum_own_batch {
    struct list node;
    struct buf *buf;
    int64_t base_offset;
    int64_t last_offset;
};

struct quorum_peer {
    struct quorum_voter voter;
    int64_t end_offset; /* -1: not known */
    int64_t last_fetch_ms;
    int64_t last_caught_up_ms;
};

struct quorum {
    struct env *env;
    struct log_dir *dir;
    struct quorum_config config;
    const struct quorum_events *events;
    void *ctx;

    struct log *log;
    bool log_opening;
    bool log_ready;
    bool state_ready;
    bool broken; /* failed for good */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;

    enum quorum_role role;
    struct quorum_state now;     /* in memory */
    struct quorum_state durable; /* on disk */
    struct quorum_store store;
    struct quorum_peer peers[QUORUM_VOTERS_MAX];
    int64_t high_watermark;     /* -1 unknown */
    int64_t epoch_start_offset; /* of this leader's LeaderChange record; -1 when not leading */

    /* News upward. */
    struct env_post pump;
    bool tell_opened;
    bool tell_failed;
    enum err failure;
    struct err_text failure_text;
    bool opened;         /* told so */
    int32_t told_leader; /* what leader_changed said last */
    int32_t told_epoch;
    int32_t active_epoch; /* told `activated` for it; -1 none */
    int64_t delivered;    /* one past the last delivered offset */
    struct list own;      /* struct quorum_own_batch, by offset */
    struct log_read read;
    bool reading;
    struct buf *chunk; /* read and waiting to be delivered */
    int64_t chunk_next;
    struct env_timer election;
};

/* quorum.c */
void quorum_close_step(struct quorum *quorum); /* something a close waited for is done */

/* state.c */
void quorum_state_ready(struct quorum *quorum);
void quorum_state_stored(struct quorum *quorum);
void quorum_step_down(struct quorum *quorum, const char *why);
void quorum_fail(struct quorum *quorum, enum err error, const struct err_text *text);
bool quorum_is_voter(const struct quorum *quorum, int32_t id);

/* lead.c */
bool quorum_lead_start(struct quorum *quorum); /* appends the LeaderChange record */
void quorum_lead_advance(struct quorum *quorum);

/* deliver.c */
void quorum_deliver_init(struct quorum *quorum);
void quorum_deliver_wake(struct quorum *quorum);
void quorum_own_clear(struct quorum *quorum);

/* store.c */
void quorum_store_open(struct quorum *quorum);
void quorum_store_write(struct quorum *quorum); /* makes quorum->now durable */
void quorum_store_close(struct quorum *quorum);
void quorum_state_format(const struct quorum *quorum, const struct quorum_state *state,
                         struct bytes *out);
enum err quorum_state_parse(const char *json, size_t size, struct quorum_state *state,
                            struct err_text *text);

/* batch.c */
struct buf *quorum_batch(const struct quorum_record *records, size_t count, int64_t timestamp_ms);
struct buf *quorum_leader_change_batch(const struct quorum *quorum, int64_t timestamp_ms);

#endif
