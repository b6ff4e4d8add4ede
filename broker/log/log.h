/* log: one partition's records on this broker's disk, in Apache Kafka's own files.
 *
 * Everything runs on the core; the core never touches a file. Appends, syncs, rolls, deletions,
 * recovery and cold reads are jobs on lanes (broker/env/env.h); their news arrives by the callbacks
 * below, in later turns.
 *
 * A LOG HAS THREE ENDS. assigned >= written >= durable, as offsets one past the last record:
 *   assigned  offsets given out to batches queued for the disk
 *   written   in the file: the log end offset of Kafka's protocol, the only readable end
 *   durable   synced: survives power loss
 * One ordered disk queue per log. A failed write fails everything queued behind it, rolls the
 * assigned end and the producer state back, and the log is failed for good (log_failed):
 * KAFKA_STORAGE_ERROR to all. Operations carry the log's generation, bumped by truncate and delete;
 * stale completions are dropped.
 *
 * A FULL DISK is no failed one: what is queued stays queued and is tried again every second, new
 * appends are refused (log_dir_full), reads go on. An append that was answered with an error for
 * it may be written after all: an idempotent producer's repeat is then a duplicate.
 *
 * Errors towards clients are Kafka's codes (common/wire/kafka_error.h) since these are Kafka's
 * rules. */
#ifndef BROKER_LOG_LOG_H
#define BROKER_LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/env/env.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/uuid.h"

/* ---- a log directory --------------------------------------------------------------------------
 */

struct log_dir;
struct log;

/* What meta.properties says (version=1, cluster.id, node.id, directory.id: KIP-631, KIP-858). */
struct log_dir_meta {
    char cluster_id[64];
    int32_t node_id;
    struct uuid directory_id;
};

struct log_dir_found {
    enum err error; /* ERR_IN_USE: another process holds .lock; ERR_CORRUPT: meta.properties
                       unreadable */
    struct err_text text;
    bool formatted; /* meta is filled */
    struct log_dir_meta meta;
    bool clean_shutdown; /* .kafka_cleanshutdown was there (it is removed on open) */
    int64_t clean_shutdown_broker_epoch; /* -1 when absent */
    int log_count;                       /* partition directories found */
};

/* Makes the directory when absent (parents too), locks it, reads meta.properties and the
 * checkpoints and lists the partition directories. `opened` is called once, in a later turn; on
 * error the dir is only good for log_dir_free. */
struct log_dir *log_dir_open(struct env *env, const char *path,
                             void (*opened)(void *ctx, struct log_dir *dir,
                                            const struct log_dir_found *found),
                             void *ctx);
/* How a directory's compacted logs are compacted: one at a time, the dirtiest first, never above
 * the high watermark that was noted (log_note_high_watermark). */
struct log_cleaner {
    bool enabled;                   /* log.cleaner.enable */
    int64_t dedupe_buffer_bytes;    /* log.cleaner.dedupe.buffer.size: for the keys of one log */
    double io_max_bytes_per_second; /* log.cleaner.io.max.bytes.per.second: read and written */
    int64_t backoff_ms;             /* log.cleaner.backoff.ms */
};

struct log_cleaner log_cleaner_default(void); /* Kafka 4.3.1's */
void log_dir_configure_cleaner(struct log_dir *dir, const struct log_cleaner *cleaner);
/* Writes meta.properties of an unformatted directory durably. `done` in a later turn. */
void log_dir_format(struct log_dir *dir, const struct log_dir_meta *meta,
                    void (*done)(void *ctx, enum err error, const struct err_text *text),
                    void *ctx);
/* How many files of segments it may keep open; more partitions than that share them. */
void log_dir_limit_open_files(struct log_dir *dir, int files);
const char *log_dir_path(const struct log_dir *dir);
const struct uuid *log_dir_id(const struct log_dir *dir);
struct env *log_dir_env(const struct log_dir *dir);
/* Sum of segment bytes of all open logs. */
int64_t log_dir_bytes(const struct log_dir *dir);
/* Free and total bytes of the volume as last sampled (-1 before the first sample; sampled with
 * checkpoints). */
void log_dir_space(const struct log_dir *dir, int64_t *free_bytes, int64_t *total_bytes);
/* Broken by a failed write, sync or directory operation. */
bool log_dir_failed(const struct log_dir *dir);
/* Something could not be written for want of room and waits for it. */
bool log_dir_full(const struct log_dir *dir);
/* Whether that partition of that topic is on disk here, opened or not. */
bool log_dir_holds(const struct log_dir *dir, const char *topic, int32_t partition,
                   const struct uuid *topic_id);
/* Names found on disk that were not opened: lets the node set aside what metadata does not list.
 * Calls `each` with topic, partition and topic id (zero when partition.metadata was missing). */
void log_dir_unopened(const struct log_dir *dir,
                      void (*each)(void *ctx, const char *topic, int32_t partition,
                                   const struct uuid *topic_id),
                      void *ctx);
/* Syncs every log, writes checkpoints and .kafka_cleanshutdown with `broker_epoch`, unlocks. Every
 * log must have been closed. `done` in a later turn, after which only log_dir_free is allowed. */
void log_dir_close(struct log_dir *dir, int64_t broker_epoch,
                   void (*done)(void *ctx, enum err error, const struct err_text *text), void *ctx);
/* Frees the memory at once, closed or not (a crash in the simulator comes this way: touches no
 * file). */
void log_dir_free(struct log_dir *dir);

/* ---- opening and closing a log ----------------------------------------------------------------
 */

struct log_config {
    int32_t segment_bytes;        /* segment.bytes */
    int64_t segment_ms;           /* segment.ms */
    int32_t index_interval_bytes; /* index.interval.bytes */
    int32_t segment_index_bytes;  /* segment.index.bytes */
    int32_t max_message_bytes;    /* max.message.bytes: a batch may not be larger */
    int64_t flush_messages;       /* flush.messages: 1 = every write is synced (group commit) */
    int64_t flush_ms;             /* flush.ms */
    int64_t retention_ms;         /* retention.ms, -1 none */
    int64_t retention_bytes;      /* retention.bytes, -1 none */
    int64_t file_delete_delay_ms; /* file.delete.delay.ms */
    bool cleanup_delete;          /* cleanup.policy holds "delete" */
    bool compacted;               /* cleanup.policy holds "compact": null keys are INVALID_RECORD */
    bool log_append_time;         /* message.timestamp.type=LogAppendTime */
    int64_t timestamp_before_max_ms; /* message.timestamp.before.max.ms */
    int64_t timestamp_after_max_ms;  /* message.timestamp.after.max.ms */
    int64_t producer_id_expiration_ms;
    double min_cleanable_dirty_ratio; /* min.cleanable.dirty.ratio */
    int64_t min_compaction_lag_ms;    /* min.compaction.lag.ms */
    int64_t max_compaction_lag_ms;    /* max.compaction.lag.ms */
    int64_t delete_retention_ms;      /* delete.retention.ms */
};

struct log_config log_config_default(void); /* Kafka 4.3.1's defaults, flush_messages = 1 */

/* A log fails with its directory (a write, a sync that failed) or alone: ERR_CORRUPT, when reading
 * finds damage below its end; the text names file and offset.
 *
 * News, each in a turn of its own or with others of the same log merged into one call. A call may
 * append, read, truncate or close, but `log` is alive for its whole length. */
struct log_events {
    void (*written)(void *ctx, struct log *log); /* log_end moved */
    void (*durable)(void *ctx, struct log *log); /* log_durable_end moved */
    void (*failed)(void *ctx, struct log *log, enum err error, const struct err_text *text);
    /* What lies from log_end on waits for room on the disk. NULL: appends of this log are never
     * refused for want of room; they wait. */
    void (*full)(void *ctx, struct log *log);
};

/* What recovery did, for one line of trace and for tests. */
struct log_opened {
    enum err error;
    struct err_text text;
    bool created;
    int64_t recovered_bytes; /* scanned batch by batch */
    int64_t cut_bytes;       /* torn tail removed */
    int64_t start_offset;
    int64_t end_offset; /* all of it durable */
};

/* Opens the directory TOPIC-PARTITION. When there is none it is made, with partition.metadata,
 * before the first bytes go into it; the metadata log's (ENV_WORKER_META) at once, for its owner
 * keeps other files in it. ERR_STALE when the directory belongs to another topic id. Only one open
 * log per name. `opened` comes once in a later turn; on error the log is only good for log_free.
 * `append` and `commit` say which workers its writes and syncs run on (the metadata log has its
 * own). */
struct log *log_open(struct log_dir *dir, const char *topic, int32_t partition,
                     const struct uuid *topic_id, const struct log_config *config,
                     enum env_worker append, enum env_worker commit,
                     const struct log_events *events,
                     void (*opened)(void *ctx, struct log *log, const struct log_opened *opened),
                     void *ctx);
/* Waits for what is queued, syncs, trims, writes indexes, epoch cache and a producer snapshot. */
void log_close(struct log *log,
               void (*done)(void *ctx, enum err error, const struct err_text *text), void *ctx);
/* Renames the directory to NAME.UNIQUE-delete at once and removes its files after
 * file_delete_delay_ms. Frees the log; `done` when the name is free again (durably). */
void log_delete(struct log *log, void (*done)(void *ctx, enum err error), void *ctx);
/* Frees the memory; touches no file. Legal after close, after a failed open, or in a crash. */
void log_free(struct log *log);
void log_configure(struct log *log, const struct log_config *config);
const struct log_config *log_configuration(const struct log *log);

/* ---- what it holds ----------------------------------------------------------------------------
 */

const char *log_topic(const struct log *log);
int32_t log_partition(const struct log *log);
int64_t log_start(const struct log *log);
int64_t log_assigned_end(const struct log *log);
int64_t log_end(const struct log *log); /* written */
int64_t log_durable_end(const struct log *log);
int64_t log_bytes(const struct log *log); /* of .log files */
bool log_failed(const struct log *log);
/* Checkpointed high watermark found at open, clamped into [start, end]. */
int64_t log_recovered_high_watermark(const struct log *log);
/* What the next replication-offset-checkpoint (every 5 s and at close) shall hold. */
void log_note_high_watermark(struct log *log, int64_t high_watermark);

/* ---- appending --------------------------------------------------------------------------------
 */

struct log_append_result {
    int16_t error;       /* Kafka's code; 0 = queued, or a duplicate */
    const char *message; /* static words for the client, or NULL */
    int64_t base_offset; /* of the first batch (of the original for a duplicate) */
    int64_t last_offset;
    int64_t append_time_ms; /* -1 unless LogAppendTime */
    bool duplicate;         /* nothing was queued; the original may still be on its way to disk */
};

/* What a client is told whose records find no room. */
extern const char *const log_full_message;

/* Leader: checks the one or more batches in bytes [offset, offset+size) of `buf` (magic, CRC,
 * sizes, record count, idempotence), assigns offsets from the assigned end and writes base offset
 * and `leader_epoch` into the buffer (which must not be shared yet), then queues them. All batches
 * or none. Takes its own reference. Appends of one turn to one log leave in one write. */
void log_append_as_leader(struct log *log, struct buf *buf, size_t offset, size_t size,
                          int32_t leader_epoch, struct log_append_result *result);

/* Follower (and recovery of a state machine's own log): offsets and epochs are in the batches
 * already; the first must start at the assigned end (else ERR_OUT_OF_ORDER). Whole batches only are
 * taken; an incomplete last one is ignored. CRC is checked. *next_offset = the assigned end after.
 */
enum err log_append_as_follower(struct log *log, struct buf *buf, size_t offset, size_t size,
                                int64_t *next_offset, struct err_text *text);

/* ---- reading ----------------------------------------------------------------------------------
 */

/* In the caller's struct; in place until `done` was called or log_read_cancel. */
struct log_read {
    /* asked */
    int64_t offset;
    int64_t limit_offset; /* exclusive: nothing at or past it is returned; at most log_end */
    uint32_t max_bytes;
    bool whole_first; /* the first batch comes whole even when larger than max_bytes */
    bool want_bytes;  /* read into `bytes` instead of naming a range (always answers later) */
    void (*done)(struct log_read *read);
    void *ctx;
    /* answered */
    enum err error;        /* ERR_OUT_OF_RANGE: below start or past limit/end; ERR_IO with text */
    struct env_file *file; /* the caller's reference; NULL when nothing is there to read */
    int64_t at;
    uint32_t size;       /* whole batches of one segment, the first of which holds `offset` */
    struct buf *bytes;   /* when want_bytes: the caller's */
    int64_t next_offset; /* one past the last record in the range; = offset when size is 0 */
    struct err_text text;
    /* log's own */
    struct log *log;
    void *log_task;
    struct list node;
};

/* True: answered in the fields now (`done` is not called). False: `done` comes in a later turn. */
bool log_read(struct log *log, struct log_read *read);
/* `done` will not be called; a job under way is abandoned safely: the struct may be freed when this
 * returns true; when false the job still uses it and `done` will come with ERR_CANCELLED. */
bool log_read_cancel(struct log_read *read);

/* ListOffsets by time: the first offset at or after start whose record's timestamp >= timestamp_ms;
 * offset -1 when none. Kafka's -3 (max timestamp) is timestamp_ms = LOG_MAX_TIMESTAMP. */
#define LOG_MAX_TIMESTAMP INT64_C(-3)
struct log_lookup {
    int64_t timestamp_ms;
    int64_t limit_offset; /* exclusive */
    void (*done)(struct log_lookup *lookup);
    void *ctx;
    enum err error;
    int64_t offset;
    int64_t found_timestamp_ms;
    int32_t leader_epoch;
    struct err_text text;
    struct log *log;
};
/* `done` always comes, in a later turn (ERR_CANCELLED when the log went away). */
void log_lookup(struct log *log, struct log_lookup *lookup);

/* ---- leader epochs (KIP-101, KIP-279) ---------------------------------------------------------
 */

/* Becoming leader: (epoch, assigned end) enters the epoch cache before anything is served. */
void log_begin_epoch(struct log *log, int32_t leader_epoch);
/* -1 when none. */
int32_t log_last_epoch(const struct log *log);
int32_t log_epoch_at(const struct log *log, int64_t offset); /* -1 when unknown */
/* kafka-protocol: endOffsetFor. *found_epoch and *end_offset are -1 when undefined. */
void log_end_of_epoch(const struct log *log, int32_t leader_epoch, int32_t *found_epoch,
                      int64_t *end_offset);

/* ---- cutting ----------------------------------------------------------------------------------
 */

/* Drops everything at and above `offset` (at or above the end: only epochs that began there without
 * a record), from files, indexes, epoch cache and producer state. Queued appends are dropped. Ends
 * move at once; the file work is queued before later appends. */
void log_truncate(struct log *log, int64_t offset);
/* Drops all and starts anew at `offset`. */
void log_truncate_fully(struct log *log, int64_t offset);
/* DeleteRecords, retention, follower: start moves forward to `offset` (<= end); whole segments
 * below go. */
void log_advance_start(struct log *log, int64_t offset);
/* Applies retention.ms and retention.bytes below `high_watermark` and rolls a segment past
 * segment.ms. The owner calls it from a slow timer. */
void log_tend(struct log *log, int64_t high_watermark);

#endif
