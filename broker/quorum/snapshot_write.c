/* Writing a snapshot: when one is due, its owner hands over what it holds, and a worker writes it.
 *
 * HAPPY PATH. So many bytes have been delivered since the last one, or so much time has passed: the
 * owner is told, and answers with a source, which a job drains into a file that gets its name when
 * it is whole and synced. Nothing waits for it.
 *
 * FAILURES. The owner stands within a metadata transaction: it does not answer and is asked after
 * the next batch. The disk is full: said once, tried again in a minute. Any other failure of the
 * disk is the log's: this node takes no part any more. A crash leaves a ".part", removed by the
 * next start. */
#include <inttypes.h>

#include "broker/quorum/snapshot.h"

enum { FULL_RETRY_MS = 60000 };

struct writing {
    struct quorum_task task;
    struct quorum_snapshot_source source;
    struct quorum_snapshot snapshot;
    int64_t now_ms; /* wall */
    int64_t since_bytes;
    struct snapshot_path path;
    struct snapshot_path part;
    struct snapshot_path dir;
};

static enum err write_file(struct writing *writing, struct env_fs *fs)
{
    struct snapshot_writer w = {.text = &writing->task.text};
    enum err e = snapshot_writer_open(&w, fs, writing->part.path, writing->snapshot.id.epoch,
                                      writing->now_ms);
    if (e == ERR_NONE) {
        e = snapshot_writer_header(&w, writing->source.timestamp_ms);
    }
    if (e == ERR_NONE) {
        e = writing->source.write(writing->source.state, snapshot_writer_put, &w);
    }
    if (e == ERR_NONE) {
        e = snapshot_writer_finish(&w);
    }
    writing->snapshot.size_bytes = w.at;
    snapshot_writer_close(&w);
    return e;
}

static enum err write_run(struct quorum_task *task, struct env_fs *fs)
{
    struct writing *writing = CONTAINER_OF(task, struct writing, task);
    enum err e = write_file(writing, fs);
    if (e == ERR_NONE) {
        return snapshot_publish(fs, writing->part.path, writing->path.path, writing->dir.path,
                                &task->text);
    }
    (void)env_fs_unlink(fs, writing->part.path, NULL); /* its room may be needed */
    return e;
}

static void write_finished(struct quorum_task *task)
{
    struct writing *writing = CONTAINER_OF(task, struct writing, task);
    struct quorum *quorum = task->quorum;
    const struct quorum_snapshot *snapshot = &writing->snapshot;
    quorum->writing = false;
    if (quorum->closing || quorum->broken) {
        return;
    }
    if (task->error == ERR_NO_SPACE) {
        if (!quorum->said_no_room) {
            trace_error(env_trace(quorum->env),
                        "the disk is full: no metadata snapshot is written until there is room: %s",
                        task->text.text);
        }
        quorum->said_no_room = true;
        quorum->since_bytes += writing->since_bytes;
        quorum->write_after_ms = env_now_ms(quorum->env) + FULL_RETRY_MS;
        return;
    }
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "write a metadata snapshot");
        quorum_fail(quorum, task->error, &task->text);
        return;
    }
    quorum->said_no_room = false;
    trace_info(env_trace(quorum->env),
               "quorum: node %" PRId32 " wrote snapshot %" PRId64 "-%" PRId32 ", %" PRId64 " bytes",
               quorum->config.node_id, snapshot->id.end_offset, snapshot->id.epoch,
               snapshot->size_bytes);
    quorum_snapshot_add(quorum, snapshot);
    quorum_deliver_wake(quorum);
}

static void write_release(struct quorum_task *task)
{
    struct writing *writing = CONTAINER_OF(task, struct writing, task);
    writing->source.release(writing->source.state);
}

bool quorum_snapshot_due(const struct quorum *quorum)
{
    const struct quorum_snapshot *newest = quorum_snapshot_newest(quorum);
    int64_t now_ms = env_now_ms(quorum->env);
    int64_t interval_ms = quorum->config.snapshot_interval_ms;
    if (quorum->config.snapshot_bytes <= 0 || quorum->writing || quorum->load.wanted ||
        quorum->asked_at == quorum->delivered || now_ms < quorum->write_after_ms ||
        quorum->delivered <= (newest == NULL ? 0 : newest->id.end_offset)) {
        return false;
    }
    return quorum->since_bytes >= quorum->config.snapshot_bytes ||
           (interval_ms > 0 && now_ms - quorum->since_ms >= interval_ms);
}

void quorum_snapshot(struct quorum *quorum, const struct quorum_snapshot_source *source)
{
    ASSERT(!quorum->writing && !quorum->load.wanted && quorum->delivered > 0);
    ASSERT(source->write != NULL && source->release != NULL);
    struct writing *writing = quorum_task_new(quorum, sizeof *writing);
    writing->source = *source;
    writing->snapshot.id.end_offset = quorum->delivered;
    writing->snapshot.id.epoch = log_epoch_at(quorum->log, quorum->delivered - 1);
    writing->snapshot.timestamp_ms = source->timestamp_ms;
    ASSERT(writing->snapshot.id.epoch >= 0);
    writing->now_ms = env_wall_ms(quorum->env);
    writing->since_bytes = quorum->since_bytes;
    snapshot_path(quorum, writing->snapshot.id, false, &writing->path);
    snapshot_path(quorum, writing->snapshot.id, true, &writing->part);
    snapshot_dir(quorum, &writing->dir);
    writing->task.run = write_run;
    writing->task.finished = write_finished;
    writing->task.release = write_release;
    quorum->writing = true;
    quorum->since_bytes = 0;
    quorum->since_ms = env_now_ms(quorum->env);
    quorum_task_submit(&writing->task, ENV_WORKER_BULK);
}
