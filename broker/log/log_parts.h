/* Shared by the room's files only: the parts that touch neither the disk nor the core. Text files
 * and checkpoints, the index of a segment, leader epochs, what idempotent producers wrote. */
#ifndef BROKER_LOG_LOG_PARTS_H
#define BROKER_LOG_LOG_PARTS_H

#include "common/base/hash.h"

#include "broker/log/log.h"
#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"

enum {
    LOG_NAME_MAX = 320, /* of a partition directory, with suffixes */
    LOG_PATH_MAX = 4096,
    RECENT_MAX = 1024,        /* batches of a log whose position is kept for hot reads */
    OPEN_FILES_DEFAULT = 256, /* files of segments kept open in one log directory ... */
    OPEN_FILES_MIN = 4,       /* ... and no fewer, whatever the limit */
    TOGETHER_MIN = 16,        /* so many small files are synced by one call, not each for itself */
    TOGETHER_MAX = 1024,      /* and no more are taken into one job */
    PRODUCER_BATCHES = 5,     /* Kafka's ProducerStateEntry.NUM_BATCHES_TO_RETAIN */
    CHECKPOINT_LIMIT_BYTES = 64 << 20,
    SNAPSHOT_LIMIT_BYTES = 256 << 20,
    HIGH_WATERMARK_CHECKPOINT_MS = 5000, /* replica.high.watermark.checkpoint.interval.ms */
    RECOVERY_CHECKPOINT_MS = 60000       /* log.flush.offset.checkpoint.interval.ms */
};

/* ---- text.c, checkpoint.c: small text files ----------------------------------------------------
 */

struct checkpoint_line {
    char *topic; /* the file's */
    int32_t partition;
    int64_t offset;
};

struct checkpoint {
    struct checkpoint_line *lines;
    size_t count;
    size_t capacity;
};

void checkpoint_free(struct checkpoint *c);
void checkpoint_add(struct checkpoint *c, const char *topic, int32_t partition, int64_t offset);
/* Appends the file's text. */
void checkpoint_format(const struct checkpoint *c, struct bytes *out);
/* ERR_CORRUPT with the line's number. */
enum err checkpoint_parse(const void *data, size_t size, struct checkpoint *out,
                          struct err_text *text);

void meta_format(const struct log_dir_meta *meta, struct bytes *out);
enum err meta_parse(const void *data, size_t size, struct log_dir_meta *meta,
                    struct err_text *text);
void partition_metadata_format(const struct uuid *topic_id, struct bytes *out);
enum err partition_metadata_parse(const void *data, size_t size, struct uuid *topic_id,
                                  struct err_text *text);
void clean_shutdown_format(int64_t broker_epoch, struct bytes *out);
/* Gives -1 when the text does not hold one: the file's being there is what counts. */
int64_t clean_shutdown_parse(const void *data, size_t size);
/* "topic-3" -> topic, 3. False when `name` is no partition directory's name. */
bool partition_name_parse(const char *name, char *topic, size_t topic_size, int32_t *partition);
/* "00000000000000012000.log" with suffix ".log" -> 12000. */
bool segment_name_parse(const char *name, const char *suffix, int64_t *base_offset);
/* PATH/00000000000000012000SUFFIX, allocated. */
char *segment_path(const char *dir_path, int64_t base_offset, const char *suffix);
char *path_join(const char *dir_path, const char *name);

/* ---- index.c: offset and time index of one segment ----------------------------------------------
 */

struct index_offset {
    int32_t relative_offset; /* last offset of the batch - base offset */
    int32_t position;        /* of that batch */
};

struct index_time {
    int64_t timestamp; /* largest so far */
    int32_t relative_offset;
};

struct segment_index {
    struct index_offset *offsets;
    size_t offset_count;
    size_t offset_capacity;
    struct index_time *times;
    size_t time_count;
    size_t time_capacity;
};

void index_free(struct segment_index *index);
void index_add_offset(struct segment_index *index, int64_t base_offset, int64_t last_offset,
                      int32_t position);
/* Nothing unless `timestamp` is above the last entry's. */
void index_add_time(struct segment_index *index, int64_t base_offset, int64_t timestamp,
                    int64_t offset);
/* Where to begin looking for `offset`: the position of a batch at or before the one that holds it.
 */
int32_t index_floor(const struct segment_index *index, int64_t base_offset, int64_t offset);
/* Every record before the offset returned has a timestamp below `timestamp_ms`. */
int64_t index_time_floor(const struct segment_index *index, int64_t base_offset,
                         int64_t timestamp_ms);
bool index_full(const struct segment_index *index, int32_t segment_index_bytes);
void index_encode(const struct segment_index *index, struct bytes *offsets, struct bytes *times);
/* ERR_CORRUPT when sizes or order are not sane for a segment of `log_size` bytes. */
enum err index_decode(struct segment_index *index, const struct bytes *offsets,
                      const struct bytes *times, int64_t base_offset, int64_t log_size,
                      struct err_text *text);

/* ---- epochs.c: the leader epoch cache
 * ------------------------------------------------------------ */

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epochs {
    struct epoch_entry *entries; /* both fields ascending */
    size_t count;
    size_t capacity;
};

void epochs_free(struct epochs *e);
/* True when it changed the cache. */
bool epochs_assign(struct epochs *e, int32_t epoch, int64_t start_offset);
bool epochs_truncate_end(struct epochs *e, int64_t end_offset);
/* The entry that covers start_offset is moved up to it. */
bool epochs_truncate_start(struct epochs *e, int64_t start_offset);
int32_t epochs_last(const struct epochs *e);
int32_t epochs_at(const struct epochs *e, int64_t offset);
void epochs_end_of(const struct epochs *e, int32_t epoch, int64_t log_end, int32_t *found_epoch,
                   int64_t *end_offset);
void epochs_format(const struct epochs *e, struct bytes *out);
enum err epochs_parse(const void *data, size_t size, struct epochs *out, struct err_text *text);

/* ---- producers.c, snapshot.c: what idempotent producers wrote
 * ------------------------------------ */

struct producer_batch {
    int16_t epoch;
    int32_t first_sequence;
    int32_t last_sequence;
    int64_t first_offset;
    int64_t last_offset;
    int64_t timestamp;
};

struct producer {
    int64_t id;
    int16_t epoch;
    int16_t count;
    bool
        forgot; /* once held more than `batches` shows: emptying it loses what only the log knows */
    int32_t coordinator_epoch;
    int64_t txn_first_offset; /* -1 none open */
    int64_t last_timestamp;
    struct producer_batch batches[PRODUCER_BATCHES]; /* oldest first */
    UT_hash_handle hh;
};

struct producers {
    struct producer *by_id; /* uthash */
};

/* The part of a batch's header that matters here. */
struct producer_append {
    int64_t id;
    int16_t epoch;
    int32_t first_sequence;
    int32_t record_count;
    int64_t first_offset;
    int64_t last_offset;
    int64_t timestamp;
    bool transactional;
    bool control;
};

void producers_free(struct producers *p);
/* Kafka's code: 0, or INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER. *duplicate is set when
 * these very sequences are among the last batches. */
int16_t producers_check(const struct producers *p, const struct producer_append *append,
                        const struct producer_batch **duplicate);
/* Takes the batch in unseen; one that is already in (a replay over a snapshot) changes nothing. */
void producers_update(struct producers *p, const struct producer_append *append);
/* Drops batches at and above end_offset. False when a producer lost more than is remembered: the
 * state must be rebuilt from the log. */
bool producers_truncate(struct producers *p, int64_t end_offset);
/* Forgets producers whose last batch is older than expire_before_ms. */
void producers_expire(struct producers *p, int64_t expire_before_ms);
size_t producers_count(const struct producers *p);
void producers_swap(struct producers *a, struct producers *b);
void producers_snapshot(struct producers *p, struct bytes *out);
enum err producers_restore(struct producers *p, const void *data, size_t size,
                           struct err_text *text);
struct producer_append producer_append_of(const struct batch *batch);

#endif
