/* Fetching the metadata log from its leader (KIP-595).
 *
 * One Fetch at a time, and only while all we hold is durable: its offset is our promise. What comes
 * back is appended, synced, and the next Fetch goes out. A diverging epoch cuts our log back to
 * what may be common, never below the high watermark: should a leader ask for that, committed
 * metadata is at stake and this node stops.
 *
 * The high watermark follows the leader's as far as our log is durable. */
#include <inttypes.h>

#include "broker/quorum/quorum_internal.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"
#include "common/wire/wire.h"

void quorum_follow_fetch(struct quorum *quorum, struct quorum_peer *peer)
{
    if (log_durable_end(quorum->log) != log_assigned_end(quorum->log)) {
        return; /* once it is */
    }
    struct fetch_request_partition partition;
    wire_struct_defaults(&wire_struct_fetch_request_partition, &partition);
    partition.current_leader_epoch = quorum->now.epoch;
    partition.fetch_offset = quorum_own_end(quorum, &partition.last_fetched_epoch);
    partition.log_start_offset = log_start(quorum->log);
    partition.replica_directory_id = quorum->config.directory_id;
    partition.high_watermark = quorum->high_watermark;
    struct fetch_request_topic topic = {.topic = wire_str(QUORUM_TOPIC),
                                        .topic_id = quorum_topic_id()};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct fetch_request request;
    wire_defaults(&wire_fetch_request, &request);
    request.cluster_id = wire_str(quorum->config.cluster_id);
    /* Nobody's, as long as it must not count: what we promised an epoch's leader we may not know.
     */
    request.replica_state.replica_id = quorum->proven ? quorum->config.node_id : -1;
    /* An idle leader must answer before we give it up, however short the operator has made that. */
    int32_t patience_ms = quorum->config.fetch_timeout_ms / 2;
    request.max_wait_ms = patience_ms < QUORUM_FETCH_WAIT_MS ? patience_ms : QUORUM_FETCH_WAIT_MS;
    request.max_bytes = quorum->config.fetch_bytes;
    request.topics.items = &topic;
    request.topics.count = 1;
    quorum_send(quorum, peer, API_FETCH, 15, 18, &request);
}

/* Kafka's truncateToEndOffset. */
static int64_t common_end(const struct quorum *quorum, int32_t epoch, int64_t end_offset)
{
    int32_t own_epoch = -1;
    int64_t own_end = -1;
    log_end_of_epoch(quorum->log, epoch, &own_epoch, &own_end);
    int64_t end = log_assigned_end(quorum->log);
    if (own_end >= 0 && own_end < end) {
        end = own_end;
    }
    bool same = own_epoch == epoch || own_epoch < 0;
    return same && end_offset < end ? end_offset : end;
}

static void truncate(struct quorum *quorum, int32_t epoch, int64_t end_offset)
{
    int64_t end = common_end(quorum, epoch, end_offset);
    ASSERT(end >= 0 && end <= log_assigned_end(quorum->log));
    if (end < quorum_floor(quorum)) {
        struct err_text text = {{0}};
        err_set(&text,
                "node %" PRId32 ", leader of epoch %" PRId32 ", lacks committed metadata: it ends "
                "epoch %" PRId32 " at offset %" PRId64 ", our high watermark is %" PRId64,
                quorum->now.leader_id, quorum->now.epoch, epoch, end_offset, quorum_floor(quorum));
        quorum_fail(quorum, ERR_CORRUPT, &text);
        return;
    }
    log_truncate(quorum->log, end);
}

/* Batches of a later epoch than the leader's are none of its (KAFKA-18723). */
static bool epochs_fit(const struct quorum *quorum, const struct buf *buf)
{
    struct wire_in in = wire_in_of(buf->data, buf->size);
    while (wire_in_left(&in) >= QUORUM_BATCH_HEADER_BYTES) {
        (void)wire_get_i64(&in);
        int32_t length = wire_get_i32(&in);
        int32_t epoch = wire_get_i32(&in);
        if (epoch < 0 || epoch > quorum->now.epoch || length < QUORUM_BATCH_HEADER_BYTES - 12) {
            return false;
        }
        size_t rest = (size_t)length - 4;
        (void)wire_get_raw(&in, rest < wire_in_left(&in) ? rest : wire_in_left(&in));
    }
    return true;
}

static bool append(struct quorum *quorum, const struct wire_records *records)
{
    if (records->size <= 0) {
        return true;
    }
    struct buf *buf = buf_copy(records->data, (size_t)records->size);
    struct err_text text = {{0}};
    int64_t next = 0;
    enum err error = ERR_CORRUPT;
    err_set(&text, "a batch of a later epoch");
    if (epochs_fit(quorum, buf)) {
        error = log_append_as_follower(quorum->log, buf, 0, buf->size, &next, &text);
    }
    buf_unref(buf);
    if (error != ERR_NONE) {
        trace_error(env_trace(quorum->env),
                    "quorum: what node %" PRId32 " sent is not appended: %s", quorum->now.leader_id,
                    text.text);
    }
    return error == ERR_NONE;
}

static bool heard_all_epochs(const struct quorum *quorum)
{
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        const struct quorum_peer *peer = &quorum->peers[i];
        if (peer->voter.id != quorum->config.node_id && !peer->epoch_heard) {
            return false;
        }
    }
    return true;
}

void quorum_follow_advance(struct quorum *quorum)
{
    if (quorum->role != QUORUM_FOLLOWER || quorum->leader_watermark < 0) {
        return;
    }
    int64_t durable = log_durable_end(quorum->log);
    if (!quorum->proven && durable >= quorum->leader_watermark && heard_all_epochs(quorum)) {
        quorum_prove(quorum, "it holds all that is committed");
    }
    int64_t end = quorum->leader_watermark < durable ? quorum->leader_watermark : durable;
    if (end > quorum->high_watermark) {
        quorum->high_watermark = end;
        log_note_high_watermark(quorum->log, end);
        quorum_deliver_wake(quorum);
    }
}

static void take(struct quorum *quorum, struct quorum_peer *peer,
                 const struct fetch_response_partition *partition)
{
    ASSERT(quorum->role == QUORUM_FOLLOWER);
    quorum->deadline_ms = env_now_ms(quorum->env) + quorum->config.fetch_timeout_ms;
    quorum->fetched = true;
    quorum->hurried = false;
    if (partition->diverging_epoch.epoch >= 0) {
        peer->retry_at_ms = 0;
        truncate(quorum, partition->diverging_epoch.epoch, partition->diverging_epoch.end_offset);
        return;
    }
    if (partition->snapshot_id.end_offset >= 0 || partition->snapshot_id.epoch >= 0) {
        quorum_download_begin(quorum, partition->snapshot_id.end_offset,
                              partition->snapshot_id.epoch);
        peer->retry_at_ms = quorum->download.active ? 0 : peer->retry_at_ms;
        return;
    }
    if (!append(quorum, &partition->records)) {
        return; /* asked again after a while */
    }
    peer->retry_at_ms = 0;
    if (partition->high_watermark > quorum->leader_watermark) {
        quorum->leader_watermark = partition->high_watermark;
    }
    quorum_follow_advance(quorum);
}

/* Who asks others than its leader is in no hurry: it asks ten times an election timeout. */
static void look_later(struct quorum *quorum, struct quorum_peer *peer)
{
    bool follows = quorum->role == QUORUM_FOLLOWER && quorum->now.leader_id == peer->voter.id;
    if (!follows && peer->retry_at_ms > 0) {
        int64_t pause_ms = quorum->config.election_timeout_ms / 10;
        int64_t least_ms = quorum->config.retry_backoff_ms;
        peer->retry_at_ms = env_now_ms(quorum->env) + (pause_ms > least_ms ? pause_ms : least_ms);
    }
}

/* An answer of this kind comes from one who has read its own quorum-state. */
static bool tells_epoch(int16_t error)
{
    return error == KAFKA_NONE || error == KAFKA_NOT_LEADER_OR_FOLLOWER ||
           error == KAFKA_FENCED_LEADER_EPOCH || error == KAFKA_UNKNOWN_LEADER_EPOCH;
}

void quorum_follow_answered(struct quorum *quorum, struct quorum_peer *peer, const void *response)
{
    const struct fetch_response *fetch = response;
    if (fetch->error_code != 0 || fetch->responses.count != 1 ||
        fetch->responses.items[0].partitions.count != 1) {
        trace_warn(env_trace(quorum->env), "quorum: node %" PRId32 " answered Fetch with %s",
                   peer->voter.id, kafka_error_name(fetch->error_code));
        look_later(quorum, peer);
        return;
    }
    const struct fetch_response_partition *partition = fetch->responses.items[0].partitions.items;
    peer->epoch_heard = peer->epoch_heard || tells_epoch(partition->error_code);
    bool handled =
        quorum_answer_common(quorum, partition->error_code, partition->current_leader.leader_id,
                             partition->current_leader.leader_epoch);
    if (!handled && partition->error_code == 0 && quorum->role == QUORUM_FOLLOWER &&
        quorum->now.leader_id == peer->voter.id) {
        take(quorum, peer, partition);
    }
    quorum_follow_advance(quorum);
    look_later(quorum, peer);
}

void quorum_follow_ask_epochs(struct quorum *quorum)
{
    for (int32_t i = 0; i < quorum->config.voter_count && !quorum->proven; i++) {
        struct quorum_peer *peer = &quorum->peers[i];
        if (!peer->epoch_heard && quorum_may_send(quorum, peer)) {
            quorum_follow_fetch(quorum, peer); /* who does not lead says so, and in which epoch */
        }
    }
}

void quorum_follow_failed(struct quorum *quorum, struct quorum_peer *peer, enum err error)
{
    bool gone = error == ERR_REFUSED && quorum->role == QUORUM_FOLLOWER &&
                quorum->now.leader_id == peer->voter.id;
    if (gone && quorum_is_voter(quorum, quorum->config.node_id) && !quorum->hurried) {
        trace_info(env_trace(quorum->env),
                   "quorum: node %" PRId32 " finds its leader, node %" PRId32 ", gone",
                   quorum->config.node_id, peer->voter.id);
        quorum->hurried = true; /* once; then the fetch timeout decides */
        quorum_become_prospective(quorum);
    } else if (error != ERR_NONE && quorum->role == QUORUM_FOLLOWER) {
        quorum->fetched = quorum->fetched && !gone;
    }
    look_later(quorum, peer);
}
