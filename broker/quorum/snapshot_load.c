/* Telling what a snapshot holds: at the start, and when one was fetched. A chunk at a time is read
 * and checked by a worker and told in a turn of its own; `committed` goes on where it ends. */
#include <inttypes.h>

#include "broker/quorum/snapshot.h"

struct loading {
    struct quorum_task task;
    struct snapshot_path path;
    struct env_file *file; /* the load's between two chunks */
    int64_t size_bytes;
    int64_t at;
    size_t chunk_bytes;
    struct buf *buf;
};

static enum err load_run(struct quorum_task *task, struct env_fs *fs)
{
    struct loading *loading = CONTAINER_OF(task, struct loading, task);
    enum err e = ERR_NONE;
    if (loading->file == NULL) {
        e = env_fs_open(fs, loading->path.path, ENV_OPEN_READ, &loading->file, &task->text);
    }
    if (e == ERR_NONE) {
        e = snapshot_read(fs, loading->file, loading->size_bytes, loading->at, loading->chunk_bytes,
                          &loading->buf, &task->text);
        err_wrap(&task->text, "%s", loading->path.path);
    }
    return e;
}

static void load_finished(struct quorum_task *task)
{
    struct loading *loading = CONTAINER_OF(task, struct loading, task);
    struct quorum *quorum = task->quorum;
    struct quorum_load *load = &quorum->load;
    if (load->task != task) {
        return; /* a newer one has taken its place */
    }
    load->task = NULL;
    if (quorum->closing || quorum->broken) {
        return;
    }
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "read a metadata snapshot");
        quorum_fail(quorum, task->error, &task->text);
        return;
    }
    load->file = loading->file;
    load->chunk = loading->buf;
    loading->file = NULL;
    loading->buf = NULL;
    quorum_deliver_wake(quorum);
}

static void load_release(struct quorum_task *task)
{
    struct loading *loading = CONTAINER_OF(task, struct loading, task);
    env_file_unref(loading->file);
    buf_unref(loading->buf);
}

static void read_more(struct quorum *quorum)
{
    struct quorum_load *load = &quorum->load;
    struct loading *loading = quorum_task_new(quorum, sizeof *loading);
    ASSERT(load->task == NULL && load->chunk == NULL && load->at < load->snapshot.size_bytes);
    snapshot_path(quorum, load->snapshot.id, false, &loading->path);
    loading->file = load->file;
    load->file = NULL;
    loading->size_bytes = load->snapshot.size_bytes;
    loading->at = load->at;
    loading->chunk_bytes = QUORUM_REPLAY_CHUNK_BYTES;
    loading->task.run = load_run;
    loading->task.finished = load_finished;
    loading->task.release = load_release;
    load->task = &loading->task;
    quorum_task_submit(&loading->task, ENV_WORKER_READ);
}

void quorum_load_drop(struct quorum *quorum)
{
    struct quorum_load *load = &quorum->load;
    env_file_unref(load->file);
    buf_unref(load->chunk);
    *load = (struct quorum_load){0};
}

void quorum_load_begin(struct quorum *quorum, const struct quorum_snapshot *snapshot)
{
    quorum_load_drop(quorum);
    quorum->load.wanted = true;
    quorum->load.snapshot = *snapshot;
    quorum_deliver_wake(quorum);
}

bool quorum_tell_snapshot(struct quorum *quorum)
{
    struct quorum_load *load = &quorum->load;
    ASSERT(load->wanted);
    if (load->chunk == NULL) {
        if (load->task == NULL) {
            read_more(quorum);
        }
        return false;
    }
    struct buf *chunk = load->chunk;
    load->chunk = NULL;
    struct quorum_snapshot_part part = {
        .batches = chunk->data,
        .size_bytes = chunk->size,
        .first = load->at == 0,
        .last = load->at + (int64_t)chunk->size == load->snapshot.size_bytes,
        .last_offset = load->snapshot.id.end_offset - 1,
        .epoch = load->snapshot.id.epoch,
        .timestamp_ms = load->snapshot.timestamp_ms,
    };
    load->at += (int64_t)chunk->size;
    if (part.last) {
        ASSERT(quorum->delivered < load->snapshot.id.end_offset);
        quorum->delivered = load->snapshot.id.end_offset;
        quorum->since_bytes = 0;
        quorum->since_ms = env_now_ms(quorum->env);
        quorum_load_drop(quorum);
    }
    quorum->events->snapshot(quorum->ctx, &part);
    buf_unref(chunk);
    return true;
}
