/* Inside room quorum: a snapshot's file, on a worker. See snapshot_file.c. */
#ifndef BROKER_QUORUM_SNAPSHOT_H
#define BROKER_QUORUM_SNAPSHOT_H

#include "broker/quorum/quorum_internal.h"
#include "common/wire/batch.h"

enum {
    QUORUM_SNAPSHOT_BATCH_BYTES = 32 << 10, /* so that a batch is a short turn's work */
    QUORUM_SNAPSHOT_BATCH_RECORDS = 1024,
    QUORUM_SNAPSHOT_BATCH_BYTES_MAX = 2 * QUORUM_BATCH_BYTES_MAX /* read */
};

struct snapshot_path {
    char path[1100];
};

void snapshot_path(const struct quorum *quorum, struct quorum_snapshot_id id, bool part,
                   struct snapshot_path *out);
void snapshot_dir(const struct quorum *quorum, struct snapshot_path *out);
bool snapshot_name_parse(const char *name, struct quorum_snapshot_id *id, bool *part);

/* Whole batches from byte `at` on, about chunk_bytes of them and at least one: sound, and with
 * header and footer where the file begins and ends. ERR_CORRUPT with words (without the path). */
enum err snapshot_read(struct env_fs *fs, struct env_file *file, int64_t size_bytes, int64_t at,
                       size_t chunk_bytes, struct buf **out, struct err_text *text);
/* Reads all of it that way. */
enum err snapshot_check(struct env_fs *fs, struct env_file *file, int64_t size_bytes,
                        struct err_text *text);
/* Size and time, from its first batch. */
enum err snapshot_look(struct env_fs *fs, const char *path, struct quorum_snapshot *out,
                       struct err_text *text);
/* The name becomes that of a whole file, durably. */
enum err snapshot_publish(struct env_fs *fs, const char *part, const char *path, const char *dir,
                          struct err_text *text);

/* Zero-initialise, with `text`; open, header, put..., finish; close in any case. */
struct snapshot_writer {
    struct err_text *text;
    struct env_fs *fs;
    struct env_file *file;
    int32_t epoch;        /* of its batches */
    int64_t timestamp_ms; /* of its records */
    int64_t next_offset;
    int64_t at; /* bytes written */
    struct batch_builder builder;
    struct bytes out;
};

enum err snapshot_writer_open(struct snapshot_writer *w, struct env_fs *fs, const char *path,
                              int32_t epoch, int64_t timestamp_ms);
enum err snapshot_writer_header(struct snapshot_writer *w, int64_t contained_timestamp_ms);
enum err snapshot_writer_put(void *ctx, const void *record, size_t size_bytes);
enum err snapshot_writer_finish(struct snapshot_writer *w); /* synced */
void snapshot_writer_close(struct snapshot_writer *w);

#endif
