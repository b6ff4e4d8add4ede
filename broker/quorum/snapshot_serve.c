/* Serving FetchSnapshot (KIP-630): a piece of a file, to voters and observers, by who leads. */
#include <inttypes.h>

#include "broker/quorum/snapshot.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"

struct serving {
    struct quorum_task task;
    struct quorum_waiting *waiting; /* NULL once it was cancelled */
    struct snapshot_path path;
    int64_t at;
    size_t size;
    struct buf *buf;
};

static enum err serve_run(struct quorum_task *task, struct env_fs *fs)
{
    struct serving *serving = CONTAINER_OF(task, struct serving, task);
    struct env_file *file = NULL;
    size_t got = 0;
    enum err e = env_fs_open(fs, serving->path.path, ENV_OPEN_READ, &file, &task->text);
    if (e == ERR_NONE) {
        serving->buf = buf_new(serving->size);
        e = env_fs_read(fs, file, serving->buf->data, serving->size, serving->at, &got,
                        &task->text);
        serving->buf->size = got;
    }
    if (e == ERR_NONE && got < serving->size) {
        err_set(&task->text, "%s is shorter than it was", serving->path.path);
        e = ERR_CORRUPT;
    }
    env_file_unref(file);
    return e;
}

static struct fetch_snapshot_response_partition *partition_of(struct quorum_waiting *waiting)
{
    struct fetch_snapshot_response *response = waiting->call->response;
    ASSERT(response->topics.count == 1);
    return response->topics.items[0].partitions.items;
}

static void answer(struct quorum_waiting *waiting, int16_t error)
{
    const struct quorum *quorum = waiting->quorum;
    struct fetch_snapshot_response_partition *partition = partition_of(waiting);
    partition->error_code = error;
    partition->current_leader.leader_id = quorum->now.leader_id;
    partition->current_leader.leader_epoch = quorum->now.epoch;
    quorum_call_answer(waiting);
}

static void serve_finished(struct quorum_task *task)
{
    struct serving *serving = CONTAINER_OF(task, struct serving, task);
    struct quorum_waiting *waiting = serving->waiting;
    struct quorum *quorum = task->quorum;
    if (waiting == NULL) {
        return;
    }
    waiting->task = NULL;
    if (quorum->role != QUORUM_LEADER || quorum->now.epoch != waiting->epoch) {
        answer(waiting, KAFKA_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    if (task->error != ERR_NONE) {
        trace_warn(env_trace(quorum->env), "quorum: read a piece of a snapshot: %s",
                   task->text.text);
        answer(waiting,
               task->error == ERR_NOT_FOUND ? KAFKA_SNAPSHOT_NOT_FOUND : KAFKA_KAFKA_STORAGE_ERROR);
        return;
    }
    struct fetch_snapshot_response_partition *partition = partition_of(waiting);
    waiting->records = serving->buf;
    serving->buf = NULL;
    partition->unaligned_records.data = waiting->records->data;
    partition->unaligned_records.size = (int32_t)waiting->records->size;
    answer(waiting, KAFKA_NONE);
}

static void serve_release(struct quorum_task *task)
{
    struct serving *serving = CONTAINER_OF(task, struct serving, task);
    buf_unref(serving->buf);
}

void quorum_serve_snapshot_cancel(struct quorum_waiting *waiting)
{
    if (waiting->task != NULL) {
        CONTAINER_OF(waiting->task, struct serving, task)->waiting = NULL;
        waiting->task = NULL;
    }
}

static void prepare(struct quorum_waiting *waiting)
{
    struct fetch_snapshot_response *response = waiting->call->response;
    struct fetch_snapshot_response_topic *topic = arena_alloc(waiting->call->arena, sizeof *topic);
    struct fetch_snapshot_response_partition *partition =
        arena_alloc(waiting->call->arena, sizeof *partition);
    wire_struct_defaults(&wire_struct_fetch_snapshot_response_topic, topic);
    wire_struct_defaults(&wire_struct_fetch_snapshot_response_partition, partition);
    response->topics.items = topic;
    response->topics.count = 1;
    topic->name = wire_str(QUORUM_TOPIC);
    topic->partitions.items = partition;
    topic->partitions.count = 1;
    partition->unaligned_records.data = (const uint8_t *)"";
    partition->unaligned_records.size = 0;
}

static void begin_read(struct quorum_waiting *waiting, const struct quorum_snapshot *snapshot,
                       int64_t at, int32_t max_bytes)
{
    struct serving *serving = quorum_task_new(waiting->quorum, sizeof *serving);
    int64_t size = snapshot->size_bytes - at;
    int64_t most = max_bytes < 1 ? 1 : max_bytes;
    most = most < QUORUM_FETCH_BYTES ? most : QUORUM_FETCH_BYTES;
    ASSERT(size > 0);
    snapshot_path(waiting->quorum, snapshot->id, false, &serving->path);
    serving->waiting = waiting;
    serving->at = at;
    serving->size = (size_t)(size < most ? size : most);
    serving->task.run = serve_run;
    serving->task.finished = serve_finished;
    serving->task.release = serve_release;
    waiting->task = &serving->task;
    list_push(&waiting->quorum->serving, &waiting->node);
    quorum_task_submit(&serving->task, ENV_WORKER_READ);
}

static bool is_ours(const struct fetch_snapshot_request *request)
{
    return request->topics.count == 1 && wire_str_is(request->topics.items[0].name, QUORUM_TOPIC) &&
           request->topics.items[0].partitions.count == 1 &&
           request->topics.items[0].partitions.items[0].partition == 0;
}

void quorum_serve_snapshot(struct quorum *quorum, struct quorum_waiting *waiting)
{
    const struct fetch_snapshot_request *request = waiting->call->request;
    struct fetch_snapshot_response *response = waiting->call->response;
    wire_defaults(&wire_fetch_snapshot_response, response);
    if (!quorum_our_cluster(quorum, request->cluster_id) || !is_ours(request)) {
        response->error_code = quorum_our_cluster(quorum, request->cluster_id)
                                   ? KAFKA_INVALID_REQUEST
                                   : KAFKA_INCONSISTENT_CLUSTER_ID;
        quorum_call_answer(waiting);
        return;
    }
    prepare(waiting);
    const struct fetch_snapshot_request_partition *asked =
        request->topics.items[0].partitions.items;
    struct quorum_snapshot_id id = {asked->snapshot_id.end_offset, asked->snapshot_id.epoch};
    waiting->epoch = asked->current_leader_epoch;
    int16_t error = quorum_judge_fetch(quorum, asked->current_leader_epoch);
    const struct quorum_snapshot *snapshot = quorum_snapshot_of(quorum, id);
    if (error == KAFKA_NONE && snapshot == NULL) {
        error = KAFKA_SNAPSHOT_NOT_FOUND;
    } else if (error == KAFKA_NONE &&
               (asked->position < 0 || asked->position >= snapshot->size_bytes)) {
        error = KAFKA_POSITION_OUT_OF_RANGE;
    }
    if (error != KAFKA_NONE) {
        answer(waiting, error);
        return;
    }
    struct quorum_peer *peer = quorum_peer_of(quorum, request->replica_id);
    if (peer != NULL && request->replica_id != quorum->config.node_id) {
        quorum_lead_heard(quorum, peer);
    }
    struct fetch_snapshot_response_partition *partition = partition_of(waiting);
    partition->snapshot_id.end_offset = id.end_offset;
    partition->snapshot_id.epoch = id.epoch;
    partition->size = snapshot->size_bytes;
    partition->position = asked->position;
    quorum_snapshot_want(quorum, id);
    begin_read(waiting, snapshot, asked->position, request->max_bytes);
}
