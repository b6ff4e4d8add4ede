/* Inside room quorum: the state machine's data.
 *
 * Files: quorum.c (life and looking), state.c (roles and what moves between them), step.c (what is
 * due now, and the timer), elect.c (votes asked for), vote.c (Vote, BeginQuorumEpoch,
 * EndQuorumEpoch served), lead.c (appending, high watermark, duties of a leader), serve.c (Fetch
 * served), follow.c (Fetch asked), send.c (requests out, answers in), calls.c (requests in, answers
 * out), deliver.c (news upward), store.c (the quorum-state file), batch.c (record batches),
 * observers.c (who fetches), describe.c, task.c (jobs), snapshots.c (which there are),
 * snapshot_write.c, snapshot_load.c (told upward), snapshot_serve.c, snapshot_fetch.c,
 * snapshot_file.c. */
#ifndef BROKER_QUORUM_QUORUM_INTERNAL_H
#define BROKER_QUORUM_QUORUM_INTERNAL_H

#include "broker/quorum/quorum.h"
#include "common/base/assert.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/wire/wire.h"

enum {
    QUORUM_BATCH_BYTES_MAX = 8 << 20,
    QUORUM_REPLAY_CHUNK_BYTES = 64 << 10,
    QUORUM_BATCH_HEADER_BYTES = 61,
    QUORUM_STATE_BYTES_MAX = 64 << 10,
    QUORUM_FETCH_BYTES = 1 << 20,
    QUORUM_FETCH_WAIT_MS = 500,
    QUORUM_BACKOFF_BASE_MS = 50,
    QUORUM_OBSERVERS_MAX = 64
};

/* Keys of the APIs that quorums speak. */
enum {
    API_FETCH = 1,
    API_VOTE = 52,
    API_BEGIN_QUORUM_EPOCH = 53,
    API_END_QUORUM_EPOCH = 54,
    API_FETCH_SNAPSHOT = 59
};

/* One of the room's jobs about snapshots. */
struct quorum_task {
    struct list node; /* quorum->tasks */
    struct quorum *quorum;
    struct env_job job;
    enum err (*run)(struct quorum_task *task, struct env_fs *fs);
    void (*finished)(struct quorum_task *task); /* also while the room closes */
    void (*release)(struct quorum_task *task);  /* may be NULL */
    enum err error;
    struct err_text text;
};

/* A snapshot's name: one past the last record it stands for, and that record's epoch. */
struct quorum_snapshot_id {
    int64_t end_offset;
    int32_t epoch;
};

struct quorum_snapshot {
    struct quorum_snapshot_id id;
    int64_t size_bytes;
    int64_t timestamp_ms;    /* of the last record it stands for */
    int64_t wanted_until_ms; /* somebody fetches it: it stays until then */
};

/* A snapshot that is being told upward. */
struct quorum_load {
    bool wanted;
    struct quorum_snapshot snapshot;
    int64_t at; /* told so far, in bytes */
    struct env_file *file;
    struct quorum_task *task; /* reads the next piece */
    struct buf *chunk;        /* read, to be told */
};

/* A snapshot that is being fetched from our leader. */
struct quorum_download {
    bool active;
    struct quorum_snapshot_id id;
    int64_t size_bytes;       /* -1 not known yet */
    int64_t position;         /* what we have, or are writing */
    struct quorum_task *task; /* writes a piece */
    int64_t not_before_ms;    /* after one that failed */
};

/* What quorum-state says: an election's outcome as far as this node knows it. */
struct quorum_state {
    int32_t epoch;
    int32_t leader_id; /* -1 none */
    int32_t voted_id;  /* -1 none */
};

/* One file operation on quorum-state; a newer state waits until it is done. Every state written has
 * a number: what must not happen before a state is durable waits for its number. */
struct quorum_store {
    struct env_timer retry; /* the disk is full */
    bool said_full;
    struct env_job job;
    struct quorum *quorum;
    struct env_lane *lane;
    char path[1024];
    bool busy;
    bool reading;
    struct quorum_state writing; /* what the running write holds */
    uint64_t writing_number;
    bool again;           /* the state moved on meanwhile */
    struct bytes content; /* read, or to be written */
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

enum quorum_ballot { BALLOT_OPEN, BALLOT_GRANTED, BALLOT_REFUSED };

/* Who fetches, as its leader sees it; -1: not known. */
struct quorum_seen {
    int64_t end_offset;        /* all below it has the one who fetches */
    int64_t leader_end;        /* of our log, then */
    int64_t last_fetch_ms;     /* wall */
    int64_t last_caught_up_ms; /* wall */
    struct uuid directory_id;  /* as its Fetch says; zero: it does not */
};

struct quorum_observer {
    int32_t id;
    int64_t fetched_at_ms; /* env_now_ms */
    struct quorum_seen seen;
};

/* A voter, ourselves among them. */
struct quorum_peer {
    struct quorum_voter voter;
    struct quorum_seen seen; /* as its leader sees it */
    bool fetched;            /* since the majority was last counted */
    bool told;               /* EndQuorumEpoch answered */
    /* As one who stands sees it. */
    enum quorum_ballot ballot;
    bool absent;      /* its machine says that no process is there to be asked */
    bool heard_empty; /* it asked for a vote with an empty log */
    bool epoch_heard; /* it has told which epoch it is in: see "A wiped disk" */
    /* The request it has not answered: 0 none. */
    uint64_t token;
    int16_t api_key;
    bool pre_vote;
    int64_t retry_at_ms;
};

/* A call that cannot be answered yet, or whose answer is on its way up. */
struct quorum_waiting {
    struct list node; /* quorum->parked, ->serving, ->unsynced or ->answered */
    struct quorum *quorum;
    struct quorum_call *call;
    struct buf *records;   /* of the answer */
    uint64_t state_number; /* unsynced: of the state that must be durable first */
    /* A parked Fetch. */
    int32_t epoch;
    int64_t fetch_offset;
    int64_t known_high_watermark; /* what the asker has; INT64_MAX: it cannot say */
    uint32_t max_bytes;
    int64_t until_ms;
    bool reading;
    struct log_read read;
    struct quorum_task *task; /* of a FetchSnapshot: reads the piece */
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
    bool was_stored; /* quorum-state was there */
    bool broken;     /* failed for good */
    bool closing;
    bool close_begun; /* nothing is waited for any more */
    void (*closed)(void *ctx);
    void *closed_ctx;

    enum quorum_role role;
    struct quorum_state now;     /* in memory */
    struct quorum_state durable; /* on disk */
    uint64_t now_number;
    uint64_t durable_number;
    struct quorum_store store;
    struct quorum_peer peers[QUORUM_VOTERS_MAX];
    struct quorum_observer observers[QUORUM_OBSERVERS_MAX]; /* of a leader */
    int32_t observer_count;
    bool proven;              /* may vote and stand: see "A wiped disk" */
    bool won;                 /* a candidate that has its majority; it leads once that is durable */
    bool lost;                /* a candidate that waits before it tries again */
    bool fetched;             /* a follower that has heard from its leader */
    bool let_go;              /* a follower whose leader has sent EndQuorumEpoch */
    bool hurried;             /* it stood because its leader's process was gone */
    uint32_t elections;       /* stood in without a leader coming of it */
    int64_t deadline_ms;      /* of the role; INT64_MAX none */
    int64_t high_watermark;   /* -1 unknown */
    int64_t leader_watermark; /* what our leader said last; -1 nothing */
    int64_t epoch_start_offset; /* of this leader's LeaderChange record; -1 when not leading */
    uint64_t last_token;
    struct env_timer timer; /* quorum_step */

    /* Calls. */
    struct list parked;
    struct list serving; /* FetchSnapshots whose piece is being read */
    struct list unsynced;
    struct list answered;
    struct env_post answers;

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
    bool read_is_stale; /* what is being read was cut off meanwhile */

    /* Snapshots. */
    struct list tasks;
    struct env_lane *lanes[ENV_WORKERS];
    struct quorum_snapshot *snapshots; /* whole ones, by offset */
    size_t snapshot_count;
    size_t snapshot_capacity;
    struct quorum_load load;
    struct quorum_download download;
    struct env_timer tend;
    bool writing;
    bool said_no_room;
    int64_t asked_at;    /* `delivered` when snapshot_due was told last */
    int64_t since_bytes; /* delivered since the last snapshot */
    int64_t since_ms;
    int64_t write_after_ms;
};

/* quorum.c */
void quorum_close_step(struct quorum *quorum); /* something a close waited for is done */

/* state.c */
void quorum_state_ready(struct quorum *quorum);
void quorum_state_stored(struct quorum *quorum);
void quorum_fail(struct quorum *quorum, enum err error, const struct err_text *text);
struct quorum_peer *quorum_peer_of(struct quorum *quorum, int32_t id); /* NULL: no voter */
bool quorum_is_voter(const struct quorum *quorum, int32_t id);
/* In a set of several: the others must be asked. */
bool quorum_has_others(const struct quorum *quorum);
/* What is in memory is on disk. */
bool quorum_settled(const struct quorum *quorum);
void quorum_become_unattached(struct quorum *quorum, int32_t epoch);
void quorum_become_follower(struct quorum *quorum, int32_t epoch, int32_t leader_id);
void quorum_become_voted(struct quorum *quorum, int32_t candidate_id);
void quorum_become_prospective(struct quorum *quorum);
void quorum_become_candidate(struct quorum *quorum);
void quorum_become_leader(struct quorum *quorum);
void quorum_step_down(struct quorum *quorum, const char *why);
void quorum_lead_alone(struct quorum *quorum);
/* Someone named `leader_id` (-1: none) as the leader of `epoch`, which is not below ours. False
 * when that contradicts what we know. */
bool quorum_learn(struct quorum *quorum, int32_t epoch, int32_t leader_id);
void quorum_prove(struct quorum *quorum, const char *why);
int64_t quorum_random_ms(struct quorum *quorum, int64_t at_least, int64_t below);

/* step.c */
void quorum_step(struct quorum *quorum);

/* elect.c */
void quorum_elect_start(struct quorum *quorum);
void quorum_elect_ask(struct quorum *quorum);
void quorum_elect_count(struct quorum *quorum);
void quorum_vote_answered(struct quorum *quorum, struct quorum_peer *peer, const void *response);

/* vote.c */
void quorum_serve_vote(struct quorum *quorum, struct quorum_waiting *waiting);
void quorum_serve_begin(struct quorum *quorum, struct quorum_waiting *waiting);
void quorum_serve_end(struct quorum *quorum, struct quorum_waiting *waiting);

/* serve.c */
void quorum_serve_fetch(struct quorum *quorum, struct quorum_waiting *waiting);
/* Something moved: answers the parked fetches it concerns. */
void quorum_serve_parked(struct quorum *quorum);
/* We lead no more. */
void quorum_serve_end_all(struct quorum *quorum);
/* Kafka's code for who asks what only the leader of `epoch` may answer. */
int16_t quorum_judge_fetch(const struct quorum *quorum, int32_t epoch);
/* The high watermark as a leader may give it out: -1 before it covers an entry of its own epoch. */
int64_t quorum_lead_watermark(const struct quorum *quorum);

/* follow.c */
void quorum_follow_fetch(struct quorum *quorum, struct quorum_peer *peer);
void quorum_follow_answered(struct quorum *quorum, struct quorum_peer *peer, const void *response);
void quorum_follow_failed(struct quorum *quorum, struct quorum_peer *peer, enum err error);
/* Of who must not vote yet: asks every voter that has not told its epoch. */
void quorum_follow_ask_epochs(struct quorum *quorum);
/* The log became durable, or the leader spoke: moves the high watermark. */
void quorum_follow_advance(struct quorum *quorum);

/* send.c */
bool quorum_may_send(const struct quorum *quorum, const struct quorum_peer *peer);
void quorum_send(struct quorum *quorum, struct quorum_peer *peer, int16_t api_key,
                 int16_t min_version, int16_t max_version, const void *body);
void quorum_send_forget(struct quorum *quorum); /* what is under way concerns us no more */
/* What every answer says first. True: it is dealt with. */
bool quorum_answer_common(struct quorum *quorum, int16_t kafka_error, int32_t leader_id,
                          int32_t epoch);

/* calls.c */
void quorum_calls_init(struct quorum *quorum);
void quorum_calls_free(struct quorum *quorum);
/* The response is filled: `done` in a later turn. */
void quorum_call_answer(struct quorum_waiting *waiting);
/* The same once what is in memory now is durable. */
void quorum_call_answer_stored(struct quorum_waiting *waiting);
void quorum_calls_stored(struct quorum *quorum);
void quorum_calls_refuse(struct quorum *quorum);
bool quorum_our_cluster(const struct quorum *quorum, struct wire_str cluster_id);
bool quorum_calls_busy(const struct quorum *quorum);

/* lead.c */
bool quorum_lead_start(struct quorum *quorum); /* appends the LeaderChange record */
void quorum_lead_advance(struct quorum *quorum);
void quorum_lead_announce(struct quorum *quorum); /* BeginQuorumEpoch where it is due */
void quorum_lead_renounce(struct quorum *quorum); /* EndQuorumEpoch likewise */
void quorum_announce_answered(struct quorum *quorum, struct quorum_peer *peer,
                              const void *response);
void quorum_renounce_answered(struct quorum *quorum, struct quorum_peer *peer,
                              const void *response);
/* A voter's Fetch at `offset` is valid: it has all below durably. */
void quorum_lead_fetched(struct quorum *quorum, struct quorum_peer *peer, int64_t offset,
                         const struct uuid *directory_id);
/* It asked for something that only the leader of this epoch has. */
void quorum_lead_heard(struct quorum *quorum, struct quorum_peer *peer);

/* observers.c */
extern const struct quorum_seen quorum_not_seen;
void quorum_seen_note(const struct quorum *quorum, struct quorum_seen *seen, int64_t offset,
                      const struct uuid *directory_id);
/* A valid Fetch of one that is no voter; `id` -1 is not noted. */
void quorum_observer_fetched(struct quorum *quorum, int32_t id, int64_t offset,
                             const struct uuid *directory_id);
void quorum_observers_tidy(struct quorum *quorum); /* forgets the silent */

/* task.c: `size` is of a struct that begins with quorum_task and is freed when its news is in. */
void *quorum_task_new(struct quorum *quorum, size_t size);
void quorum_task_submit(struct quorum_task *task, enum env_worker worker);
bool quorum_tasks_busy(const struct quorum *quorum);
void quorum_tasks_close(struct quorum *quorum);
void quorum_tasks_free(struct quorum *quorum);

/* snapshots.c */
void quorum_snapshots_open(struct quorum *quorum); /* then quorum-state is read */
void quorum_snapshots_tend(struct quorum *quorum); /* from time to time from now on */
void quorum_snapshots_trim(struct quorum *quorum);
const struct quorum_snapshot *quorum_snapshot_newest(const struct quorum *quorum); /* or NULL */
const struct quorum_snapshot *quorum_snapshot_oldest(const struct quorum *quorum);
const struct quorum_snapshot *quorum_snapshot_of(const struct quorum *quorum,
                                                 struct quorum_snapshot_id id);
/* Somebody fetches it. */
void quorum_snapshot_want(struct quorum *quorum, struct quorum_snapshot_id id);
void quorum_snapshot_add(struct quorum *quorum, const struct quorum_snapshot *snapshot);
/* A fetched one: takes the log's place when it is ahead of it. */
void quorum_snapshot_adopt(struct quorum *quorum, const struct quorum_snapshot *snapshot);
/* The end of our log: one past its last offset, and that one's epoch (0 when there never was one).
 */
int64_t quorum_own_end(const struct quorum *quorum, int32_t *last_epoch);
int32_t quorum_last_epoch(const struct quorum *quorum);
/* KafkaRaftLog.endOffsetForEpoch. */
void quorum_end_of_epoch(const struct quorum *quorum, int32_t epoch, int32_t *found_epoch,
                         int64_t *end_offset);
/* All below is known to be committed; -1 nothing. */
int64_t quorum_floor(const struct quorum *quorum);

/* snapshot_write.c */
bool quorum_snapshot_due(const struct quorum *quorum);

/* snapshot_load.c */
void quorum_load_begin(struct quorum *quorum, const struct quorum_snapshot *snapshot);
void quorum_load_drop(struct quorum *quorum);
bool quorum_tell_snapshot(struct quorum *quorum); /* true when something was told */

/* snapshot_serve.c */
void quorum_serve_snapshot(struct quorum *quorum, struct quorum_waiting *waiting);
void quorum_serve_snapshot_cancel(struct quorum_waiting *waiting);

/* snapshot_fetch.c */
void quorum_download_begin(struct quorum *quorum, int64_t end_offset, int32_t epoch);
void quorum_download_drop(struct quorum *quorum);
void quorum_download_ask(struct quorum *quorum, struct quorum_peer *peer);
void quorum_download_answered(struct quorum *quorum, struct quorum_peer *peer,
                              const void *response);

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
