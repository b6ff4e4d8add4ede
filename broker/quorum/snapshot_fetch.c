/* Fetching a snapshot from the leader, which has trimmed its log behind what we have (KIP-630).
 *
 * HAPPY PATH. A Fetch is answered with a snapshot's id: pieces of it are asked for one after the
 * other and written to ".part"; when all are there the file is synced, read through and named, and
 * the log begins anew where it ends. Then Fetch goes on.
 *
 * FAILURES. The leader has it no more, or it does not come whole: Fetch is asked again and names a
 * newer one. The leader's epoch ends: what was fetched is forgotten. A crash before the name leaves
 * a ".part", removed by the next start; a crash after it leaves a snapshot ahead of the log, which
 * the next start puts in its place. */
#include <inttypes.h>

#include "broker/quorum/snapshot.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"

enum { DROPPED_RETRY_MS = 1000 };

struct piece {
    struct quorum_task task;
    struct quorum_snapshot snapshot; /* size -1: this is not the last one */
    struct snapshot_path path;
    struct snapshot_path part;
    struct snapshot_path dir;
    struct buf *buf;
    int64_t at;
};

static enum err complete(struct piece *piece, struct env_fs *fs, struct env_file *file)
{
    struct err_text *text = &piece->task.text;
    enum err e = env_fs_sync_data(fs, file, text);
    if (e == ERR_NONE) {
        e = snapshot_check(fs, file, piece->snapshot.size_bytes, text);
        err_wrap(text, "%s", piece->part.path);
    }
    struct quorum_snapshot found = piece->snapshot;
    if (e == ERR_NONE) {
        e = snapshot_look(fs, piece->part.path, &found, text);
    }
    if (e == ERR_NONE && found.size_bytes != piece->snapshot.size_bytes) {
        err_set(text, "%s has %" PRId64 " bytes of %" PRId64, piece->part.path, found.size_bytes,
                piece->snapshot.size_bytes);
        e = ERR_CORRUPT;
    }
    piece->snapshot.timestamp_ms = found.timestamp_ms;
    return e == ERR_NONE
               ? snapshot_publish(fs, piece->part.path, piece->path.path, piece->dir.path, text)
               : e;
}

static enum err piece_run(struct quorum_task *task, struct env_fs *fs)
{
    struct piece *piece = CONTAINER_OF(task, struct piece, task);
    struct env_file *file = NULL;
    int flags = ENV_OPEN_WRITE | (piece->at == 0 ? ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE : 0);
    struct env_iov iov = {piece->buf->data, piece->buf->size};
    enum err e = env_fs_open(fs, piece->part.path, flags, &file, &task->text);
    if (e == ERR_NONE) {
        e = env_fs_write(fs, file, &iov, 1, piece->at, &task->text);
    }
    if (e == ERR_NONE && piece->snapshot.size_bytes >= 0) {
        e = complete(piece, fs, file);
    }
    env_file_unref(file);
    if (e == ERR_NO_SPACE || e == ERR_CORRUPT) {
        (void)env_fs_unlink(fs, piece->part.path, NULL);
    }
    return e;
}

static void piece_finished(struct quorum_task *task)
{
    struct piece *piece = CONTAINER_OF(task, struct piece, task);
    struct quorum *quorum = task->quorum;
    struct quorum_download *download = &quorum->download;
    bool current = download->task == task;
    if (current) {
        download->task = NULL;
    }
    if (quorum->closing || quorum->broken) {
        return;
    }
    if (task->error == ERR_NO_SPACE || task->error == ERR_CORRUPT) {
        trace_error(env_trace(quorum->env), "quorum: a snapshot is fetched anew: %s",
                    task->text.text);
        if (current) {
            quorum_download_drop(quorum);
            quorum->download.not_before_ms = env_now_ms(quorum->env) + DROPPED_RETRY_MS;
        }
    } else if (task->error != ERR_NONE) {
        err_wrap(&task->text, "write a fetched snapshot");
        quorum_fail(quorum, task->error, &task->text);
        return;
    } else if (piece->snapshot.size_bytes >= 0) {
        trace_info(env_trace(quorum->env),
                   "quorum: node %" PRId32 " has fetched snapshot %" PRId64 "-%" PRId32 ", %" PRId64
                   " bytes",
                   quorum->config.node_id, piece->snapshot.id.end_offset, piece->snapshot.id.epoch,
                   piece->snapshot.size_bytes);
        if (current) {
            quorum_download_drop(quorum);
        }
        quorum_snapshot_adopt(quorum, &piece->snapshot);
    }
    quorum_step(quorum);
}

static void piece_release(struct quorum_task *task)
{
    buf_unref(CONTAINER_OF(task, struct piece, task)->buf);
}

static void write_piece(struct quorum *quorum, struct buf *buf, bool last)
{
    struct quorum_download *download = &quorum->download;
    struct piece *piece = quorum_task_new(quorum, sizeof *piece);
    ASSERT(download->active && download->task == NULL);
    piece->snapshot = (struct quorum_snapshot){.id = download->id, .size_bytes = -1};
    piece->buf = buf;
    piece->at = download->position;
    download->position += (int64_t)buf->size;
    if (last) {
        piece->snapshot.size_bytes = download->position;
    }
    snapshot_path(quorum, download->id, false, &piece->path);
    snapshot_path(quorum, download->id, true, &piece->part);
    snapshot_dir(quorum, &piece->dir);
    piece->task.run = piece_run;
    piece->task.finished = piece_finished;
    piece->task.release = piece_release;
    download->task = &piece->task;
    quorum_task_submit(&piece->task, ENV_WORKER_META);
}

void quorum_download_drop(struct quorum *quorum)
{
    quorum->download = (struct quorum_download){0};
}

void quorum_download_begin(struct quorum *quorum, int64_t end_offset, int32_t epoch)
{
    ASSERT(quorum->role == QUORUM_FOLLOWER && !quorum->download.active);
    if (end_offset <= 0 || epoch < 0 || epoch > quorum->now.epoch ||
        end_offset <= quorum_floor(quorum)) {
        trace_error(env_trace(quorum->env),
                    "quorum: node %" PRId32 " would have us fetch snapshot %" PRId64 "-%" PRId32
                    ", and %" PRId64 " is committed here",
                    quorum->now.leader_id, end_offset, epoch, quorum_floor(quorum));
        return;
    }
    if (env_now_ms(quorum->env) < quorum->download.not_before_ms) {
        return;
    }
    trace_info(env_trace(quorum->env),
               "quorum: node %" PRId32 " fetches snapshot %" PRId64 "-%" PRId32
               " from node %" PRId32,
               quorum->config.node_id, end_offset, epoch, quorum->now.leader_id);
    quorum->download =
        (struct quorum_download){.active = true, .id = {end_offset, epoch}, .size_bytes = -1};
}

void quorum_download_ask(struct quorum *quorum, struct quorum_peer *peer)
{
    const struct quorum_download *download = &quorum->download;
    if (download->task != NULL) {
        return; /* once the last piece is written */
    }
    struct fetch_snapshot_request_partition partition;
    wire_struct_defaults(&wire_struct_fetch_snapshot_request_partition, &partition);
    partition.current_leader_epoch = quorum->now.epoch;
    partition.snapshot_id.end_offset = download->id.end_offset;
    partition.snapshot_id.epoch = download->id.epoch;
    partition.position = download->position;
    partition.replica_directory_id = quorum->config.directory_id;
    struct fetch_snapshot_request_topic topic = {.name = wire_str(QUORUM_TOPIC)};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct fetch_snapshot_request request;
    wire_defaults(&wire_fetch_snapshot_request, &request);
    request.cluster_id = wire_str(quorum->config.cluster_id);
    request.replica_id = quorum->proven ? quorum->config.node_id : -1;
    request.max_bytes = quorum->config.fetch_snapshot_bytes;
    request.topics.items = &topic;
    request.topics.count = 1;
    quorum_send(quorum, peer, API_FETCH_SNAPSHOT, 0, 1, &request);
}

/* A piece as it was asked for. */
static void take(struct quorum *quorum, const struct fetch_snapshot_response_partition *partition)
{
    struct quorum_download *download = &quorum->download;
    const struct wire_records *records = &partition->unaligned_records;
    bool as_asked = partition->snapshot_id.end_offset == download->id.end_offset &&
                    partition->snapshot_id.epoch == download->id.epoch &&
                    partition->position == download->position && records->size > 0 &&
                    (download->size_bytes < 0 || partition->size == download->size_bytes) &&
                    partition->size - partition->position >= records->size;
    if (!as_asked) {
        trace_error(env_trace(quorum->env),
                    "quorum: node %" PRId32 " sent another piece of a snapshot than was asked for",
                    quorum->now.leader_id);
        quorum_download_drop(quorum);
        return;
    }
    download->size_bytes = partition->size;
    write_piece(quorum, buf_copy(records->data, (size_t)records->size),
                download->position + records->size == download->size_bytes);
}

void quorum_download_answered(struct quorum *quorum, struct quorum_peer *peer, const void *response)
{
    const struct fetch_snapshot_response *answer = response;
    if (answer->error_code != 0 || answer->topics.count != 1 ||
        answer->topics.items[0].partitions.count != 1) {
        trace_warn(env_trace(quorum->env),
                   "quorum: node %" PRId32 " answered FetchSnapshot with %s", peer->voter.id,
                   kafka_error_name(answer->error_code));
        quorum_download_drop(quorum);
        return;
    }
    const struct fetch_snapshot_response_partition *partition =
        answer->topics.items[0].partitions.items;
    if (quorum_answer_common(quorum, partition->error_code, partition->current_leader.leader_id,
                             partition->current_leader.leader_epoch) ||
        quorum->role != QUORUM_FOLLOWER || quorum->now.leader_id != peer->voter.id ||
        !quorum->download.active || quorum->download.task != NULL) {
        return;
    }
    if (partition->error_code == KAFKA_NONE || partition->error_code == KAFKA_SNAPSHOT_NOT_FOUND) {
        quorum->deadline_ms = env_now_ms(quorum->env) + quorum->config.fetch_timeout_ms;
        quorum->fetched = true;
        peer->retry_at_ms = 0;
    }
    if (partition->error_code != KAFKA_NONE) {
        trace_info(env_trace(quorum->env),
                   "quorum: node %" PRId32 " answered FetchSnapshot with %s: it is asked anew",
                   peer->voter.id, kafka_error_name(partition->error_code));
        quorum_download_drop(quorum);
        return;
    }
    take(quorum, partition);
}
