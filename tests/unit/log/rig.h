/* A log on the simulated disk beside a model of what it must hold. */
#ifndef TESTS_UNIT_LOG_RIG_H
#define TESTS_UNIT_LOG_RIG_H

#include "broker/log/log.h"
#include "common/base/rng.h"
#include "common/wire/batch.h"
#include "tests/sim/env/sim.h"

struct rig_batch {
    int64_t base;
    int64_t last;
    int32_t epoch;
    int64_t producer_id;
    int32_t first_sequence;
    int32_t last_sequence;
    int64_t max_timestamp;
    struct buf *bytes; /* as the log has it */
};

struct rig_batches {
    struct rig_batch *items;
    size_t count;
    size_t capacity;
};

enum { RIG_PRODUCERS = 4, RIG_KEYS = 24 };

struct rig {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct rng rng;
    struct log_dir *dir;
    struct log *log;
    struct log_config config;
    struct uuid topic_id;
    struct rig_batches model; /* what was given to the log and not cut */
    struct rig_batches ever;  /* all that was ever given to it */
    int32_t epoch;
    int32_t next_sequence[RIG_PRODUCERS];
    int64_t start;
    int64_t durable;     /* the durable end at the moment of a crash */
    int64_t start_kept;  /* a crash may not bring the start back below this */
    int64_t epochs_from; /* the highest start there was: a crash may lose the epochs below it */
    bool keyed;          /* keys are uint32 below RIG_KEYS, some values are null */
    uint32_t keys;       /* of which the first so many are written; 0 all */
    bool tombstones_may_go;
    bool deleting; /* log_delete was called ... */
    bool deleted;  /* ... and has answered */
    bool crashed;
    bool ready;     /* the log is open ... */
    bool unchecked; /* ... but what a crash left was not yet taken into the model */
    bool answered;  /* by the callback last waited for */
    enum err error;
    struct err_text text;
    struct log_dir_found found;
    struct log_opened opened;
    int written_news;
    int durable_news;
    int failed_news;
    int full_news;
};

struct rig *rig_new(uint64_t seed);
/* Crashed or not. */
void rig_free(struct rig *r);

/* Each waits for the end of it; false when the node crashed on the way or it failed (r->error). */
bool rig_open_dir(struct rig *r); /* formats when needed */
bool rig_open_log(struct rig *r);
bool rig_open(struct rig *r);
bool rig_close(struct rig *r);     /* log and directory, cleanly */
bool rig_close_dir(struct rig *r); /* after a log that could not be closed */
bool rig_wait_durable(struct rig *r);
bool rig_wait_written(struct rig *r);
bool rig_wait_answer(struct rig *r); /* of a call made with r->answered false */
bool rig_run(struct rig *r, int64_t for_ms);

/* One batch of `records`, values of `value_bytes`, by producer 0..RIG_PRODUCERS-1 (-1 none), as
 * leader. */
struct buf *rig_build(struct rig *r, int records, size_t value_bytes, int producer,
                      int64_t timestamp_ms); /* only made */
int16_t rig_append(struct rig *r, int records, size_t value_bytes, int producer);
int16_t rig_append_at(struct rig *r, int records, size_t value_bytes, int producer,
                      int64_t timestamp_ms);
void rig_truncate(struct rig *r, int64_t offset);

/* After a crash: frees the core, restarts the node. */
void rig_restart(struct rig *r);
/* Crash now. */
void rig_crash(struct rig *r, enum sim_crash how);
/* Arms a crash at the k-th file operation. */
void rig_crash_at(struct rig *r, uint64_t k, enum sim_crash how);

/* Reads all of the open log and compares with the model, which is first brought to what a crash may
 * have left: everything below r->durable as it was, above that a contiguous run of batches once
 * appended. */
bool rig_check(struct rig *r);
/* The same without a crash in between: every byte. */
bool rig_check_exact(struct rig *r);
void rig_forget(struct rig *r); /* all that was appended */
/* After a clean close: every file of the partition's directory is what FORMAT.md says, and the
 * indexes agree with the segments. */
void rig_check_files(struct rig *r);
/* compacted.c: compares with the model what compaction must keep. False when the node crashed. */
bool rig_check_compacted(struct rig *r);
/* After a crash: takes from the model what was lost off the log's end, and the sequences that are
 * known by now. */
void rig_forget_lost(struct rig *r);
int rig_tombstones(struct rig *r, int64_t below_offset);
struct buf *rig_read(struct rig *r, int64_t offset, uint32_t max_bytes, int64_t *next_offset);

#endif
