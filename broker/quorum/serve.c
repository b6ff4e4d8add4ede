/* Serving Fetch of the metadata log (KIP-595), to voters and observers.
 *
 * HAPPY PATH. The asker's epoch is ours and its last entry is in our log: all it has below its
 * offset is what we have, and a voter has it durably, so the majority is counted anew. What we have
 * written above goes back, durable or not: our own sync and the asker's overlap. With nothing to
 * give it is parked until something is written, the high watermark passes the asker's, or its time
 * is over.
 *
 * What the asker needs is gone from our log, or is of an epoch that our oldest snapshot stands for:
 * the newest snapshot's id goes back instead (KIP-630).
 *
 * FAILURES. Another epoch: FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH; we do not lead:
 * NOT_LEADER_OR_FOLLOWER, each with the leader we know. Its last entry is not ours: the end of what
 * may be common (DivergingEpoch). Leadership ends: every parked fetch is answered at once. */
#include <inttypes.h>

#include "broker/quorum/quorum_internal.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"

int64_t quorum_lead_watermark(const struct quorum *quorum)
{
    bool own = quorum->role == QUORUM_LEADER && quorum->epoch_start_offset >= 0 &&
               quorum->high_watermark > quorum->epoch_start_offset;
    return own ? quorum->high_watermark : -1;
}

static struct fetch_response_partition *partition_of(struct quorum_waiting *waiting)
{
    struct fetch_response *response = waiting->call->response;
    ASSERT(response->responses.count == 1);
    return response->responses.items[0].partitions.items;
}

static void answer(struct quorum_waiting *waiting, int16_t error)
{
    const struct quorum *quorum = waiting->quorum;
    struct fetch_response_partition *partition = partition_of(waiting);
    partition->error_code = error;
    partition->high_watermark = quorum_lead_watermark(quorum);
    partition->last_stable_offset = partition->high_watermark;
    partition->log_start_offset = quorum->log_ready ? log_start(quorum->log) : -1;
    partition->current_leader.leader_id = quorum->now.leader_id;
    partition->current_leader.leader_epoch = quorum->now.epoch;
    if (error != KAFKA_NONE) {
        buf_unref(waiting->records);
        waiting->records = NULL;
    }
    if (waiting->records != NULL) {
        partition->records.data = waiting->records->data;
        partition->records.size = (int32_t)waiting->records->size;
    }
    quorum_call_answer(waiting);
}

static bool leads(const struct quorum_waiting *waiting)
{
    return waiting->quorum->role == QUORUM_LEADER && waiting->quorum->now.epoch == waiting->epoch;
}

static void take_read(struct quorum_waiting *waiting)
{
    struct log_read *read = &waiting->read;
    waiting->reading = false;
    int16_t error = KAFKA_NONE;
    if (!leads(waiting)) {
        error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    } else if (read->error == ERR_OUT_OF_RANGE) {
        error = KAFKA_OFFSET_OUT_OF_RANGE;
    } else if (read->error != ERR_NONE) {
        trace_error(env_trace(waiting->quorum->env), "quorum: read for a fetch at %" PRId64 ": %s",
                    waiting->fetch_offset, read->text.text);
        error = KAFKA_KAFKA_STORAGE_ERROR;
    }
    waiting->records = read->bytes;
    read->bytes = NULL;
    answer(waiting, error);
}

static void read_done(struct log_read *read)
{
    env_file_unref(read->file);
    read->file = NULL;
    take_read(read->ctx);
}

static void begin_read(struct quorum_waiting *waiting)
{
    struct quorum *quorum = waiting->quorum;
    ASSERT(!waiting->reading && waiting->fetch_offset < log_end(quorum->log));
    waiting->read = (struct log_read){
        .offset = waiting->fetch_offset,
        .limit_offset = log_end(quorum->log),
        .max_bytes = waiting->max_bytes,
        .whole_first = true,
        .want_bytes = true,
        .done = read_done,
        .ctx = waiting,
    };
    waiting->reading = true;
    if (log_read(quorum->log, &waiting->read)) {
        take_read(waiting);
    }
}

static void reconsider(struct quorum_waiting *waiting)
{
    struct quorum *quorum = waiting->quorum;
    if (waiting->reading) {
        return;
    }
    if (!leads(waiting)) {
        answer(waiting, KAFKA_NOT_LEADER_OR_FOLLOWER);
    } else if (waiting->fetch_offset < log_end(quorum->log)) {
        begin_read(waiting);
    } else if (waiting->known_high_watermark < quorum_lead_watermark(quorum) ||
               waiting->until_ms <= env_now_ms(quorum->env)) {
        answer(waiting, KAFKA_NONE);
    }
}

void quorum_serve_parked(struct quorum *quorum)
{
    LIST_FOREACH(node, &quorum->parked) {
        reconsider(CONTAINER_OF(node, struct quorum_waiting, node));
    }
}

void quorum_serve_end_all(struct quorum *quorum)
{
    ASSERT(quorum->role != QUORUM_LEADER);
    quorum_serve_parked(quorum);
}

/* ---- what is asked ---- */

static void prepare(struct quorum_waiting *waiting)
{
    struct fetch_response *response = waiting->call->response;
    struct fetch_response_response *topic = arena_alloc(waiting->call->arena, sizeof *topic);
    struct fetch_response_partition *partition =
        arena_alloc(waiting->call->arena, sizeof *partition);
    wire_struct_defaults(&wire_struct_fetch_response_response, topic);
    wire_struct_defaults(&wire_struct_fetch_response_partition, partition);
    response->responses.items = topic;
    response->responses.count = 1;
    topic->topic = wire_str(QUORUM_TOPIC);
    topic->topic_id = quorum_topic_id();
    topic->partitions.items = partition;
    topic->partitions.count = 1;
    partition->records.data = (const uint8_t *)"";
    partition->records.size = 0;
}

static bool is_ours(const struct fetch_request *request, int16_t version)
{
    if (request->topics.count != 1 || request->topics.items[0].partitions.count != 1 ||
        request->topics.items[0].partitions.items[0].partition != 0) {
        return false;
    }
    struct uuid id = quorum_topic_id();
    return version >= 13 ? uuid_equal(&request->topics.items[0].topic_id, &id)
                         : wire_str_is(request->topics.items[0].topic, QUORUM_TOPIC);
}

int16_t quorum_judge_fetch(const struct quorum *quorum, int32_t epoch)
{
    if (quorum->broken || quorum->closing || quorum->role == QUORUM_OPENING) {
        return KAFKA_BROKER_NOT_AVAILABLE;
    }
    if (epoch < 0) {
        return KAFKA_INVALID_REQUEST;
    }
    if (epoch != quorum->now.epoch) {
        return epoch < quorum->now.epoch ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_UNKNOWN_LEADER_EPOCH;
    }
    return quorum->role == QUORUM_LEADER ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

static int16_t judge(const struct quorum *quorum, const struct fetch_request_partition *asked)
{
    int16_t error = quorum_judge_fetch(quorum, asked->current_leader_epoch);
    bool valid = asked->fetch_offset >= 0 && asked->last_fetched_epoch >= 0;
    return valid || error == KAFKA_BROKER_NOT_AVAILABLE ? error : KAFKA_INVALID_REQUEST;
}

/* KafkaRaftLog.validateOffsetAndEpoch: true when the asker is to fetch a snapshot first. */
static bool needs_snapshot(const struct quorum *quorum, const struct fetch_request_partition *asked,
                           struct fetch_response_partition *partition)
{
    const struct quorum_snapshot *oldest = quorum_snapshot_oldest(quorum);
    int64_t start = log_start(quorum->log);
    if (oldest == NULL || (start == 0 && asked->fetch_offset == 0)) {
        return false;
    }
    bool known = asked->fetch_offset > start ||
                 (asked->fetch_offset == start && asked->last_fetched_epoch == oldest->id.epoch);
    if (known && asked->last_fetched_epoch >= oldest->id.epoch) {
        return false;
    }
    const struct quorum_snapshot *newest = quorum_snapshot_newest(quorum);
    partition->snapshot_id.end_offset = newest->id.end_offset;
    partition->snapshot_id.epoch = newest->id.epoch;
    return true;
}

/* True when the asker's last entry is not in our log; says where the common part may end. */
static bool diverges(const struct quorum *quorum, const struct fetch_request_partition *asked,
                     struct fetch_response_partition *partition)
{
    int32_t epoch = -1;
    int64_t end = -1;
    quorum_end_of_epoch(quorum, asked->last_fetched_epoch, &epoch, &end);
    if (epoch == asked->last_fetched_epoch && end >= asked->fetch_offset) {
        return false;
    }
    partition->diverging_epoch.epoch = epoch;
    partition->diverging_epoch.end_offset = end;
    return true;
}

static uint32_t clamp_bytes(int32_t asked)
{
    if (asked < 1) {
        return 1;
    }
    return asked < QUORUM_FETCH_BYTES ? (uint32_t)asked : (uint32_t)QUORUM_FETCH_BYTES;
}

void quorum_serve_fetch(struct quorum *quorum, struct quorum_waiting *waiting)
{
    const struct fetch_request *request = waiting->call->request;
    struct fetch_response *response = waiting->call->response;
    wire_defaults(&wire_fetch_response, response);
    if (!quorum_our_cluster(quorum, request->cluster_id) ||
        !is_ours(request, waiting->call->version)) {
        response->error_code = quorum_our_cluster(quorum, request->cluster_id)
                                   ? KAFKA_INVALID_REQUEST
                                   : KAFKA_INCONSISTENT_CLUSTER_ID;
        quorum_call_answer(waiting);
        return;
    }
    prepare(waiting);
    const struct fetch_request_partition *asked = request->topics.items[0].partitions.items;
    waiting->epoch = asked->current_leader_epoch;
    waiting->fetch_offset = asked->fetch_offset;
    waiting->known_high_watermark = asked->high_watermark;
    waiting->max_bytes = clamp_bytes(request->max_bytes);
    waiting->until_ms =
        env_now_ms(quorum->env) + (request->max_wait_ms < 0 ? 0 : request->max_wait_ms);
    int16_t error = judge(quorum, asked);
    if (error != KAFKA_NONE || needs_snapshot(quorum, asked, partition_of(waiting)) ||
        diverges(quorum, asked, partition_of(waiting))) {
        answer(waiting, error);
        return;
    }
    int32_t replica_id =
        waiting->call->version >= 15 ? request->replica_state.replica_id : request->replica_id;
    list_push(&quorum->parked, &waiting->node);
    struct quorum_peer *peer = quorum_peer_of(quorum, replica_id);
    if (peer == NULL) {
        quorum_observer_fetched(quorum, replica_id, asked->fetch_offset,
                                &asked->replica_directory_id);
    } else if (replica_id != quorum->config.node_id) {
        quorum_lead_fetched(quorum, peer, asked->fetch_offset, &asked->replica_directory_id);
    }
    reconsider(waiting);
}
