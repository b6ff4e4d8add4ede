/* Shared by the room's files only: the work of a compaction, on a worker, a step at a time. */
#ifndef BROKER_LOG_CLEAN_H
#define BROKER_LOG_CLEAN_H

#include "broker/log/keymap.h"
#include "broker/log/log_internal.h"

struct clean_source {
    int64_t base_offset;
    int64_t end_offset;
    int64_t size;
};

/* The last offset a producer wrote: the batch that holds it stays, if need be without records, so
 * that its sequence is known. */
struct clean_producer {
    int64_t id;
    int64_t last_offset;
};

enum clean_phase { CLEAN_MAP, CLEAN_COPY, CLEAN_SEAL, CLEAN_SWAP, CLEAN_DONE };

/* One compaction of one log. Between steps it is the core's, in a step the worker's. */
struct clean {
    /* asked */
    char *path; /* of the log */
    int64_t dirty_offset;
    int64_t now_ms; /* wall clock */
    int64_t delete_retention_ms;
    int64_t segment_bytes;
    int32_t segment_index_bytes;
    int32_t index_interval_bytes;
    struct clean_source *sources; /* all settled segments below the limit */
    size_t source_count;
    size_t source_capacity;
    struct clean_producer *producers; /* by id */
    size_t producer_count;
    /* where it stands */
    enum clean_phase phase;
    struct keymap map;
    int64_t map_end; /* keys of the dirty part below this are in the map */
    size_t at;       /* the source being read */
    size_t group;    /* the first source of the group being written ... */
    size_t group_end;
    int64_t position; /* in the source */
    struct env_file *from;
    struct env_file *to;
    struct bytes pending; /* to be written at to_size */
    int64_t to_size;
    struct segment_facts facts; /* of what is written */
    bool again;                 /* the swap found no room half-way */
    /* told */
    int64_t step_bytes; /* read and written by the last step */
    int64_t read_bytes;
    int64_t written_bytes;
    int64_t kept_records;
    int64_t dropped_records;
};

void clean_free(struct clean *c);
/* Goes on for about `budget_bytes` of reading, or to the end of the phase. After CLEAN_SEAL the
 * caller makes sure that the group may be replaced before it steps into CLEAN_SWAP. */
enum err clean_step(struct clean *c, struct env_fs *fs, int64_t budget_bytes,
                    struct err_text *text);

/* rebuild.c: appends to `out` what is left of a batch: `keep` tells which records. With
 * `delete_horizon_ms` >= 0 that is put into it. */
enum err batch_rebuild(const uint8_t *data, const struct batch *batch,
                       bool (*keep)(void *ctx, const struct record *record), void *ctx,
                       int64_t delete_horizon_ms, struct bytes *out, struct err_text *text);

#endif
