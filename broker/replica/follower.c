/* Following one partition.
 *
 * Happy path: the fetch named our end and our last epoch -> the leader found them to be a prefix of
 * its log -> its batches are appended as they are -> written (and synced, where the topic is
 * durable) they become our end, which the next fetch names -> the high watermark is the leader's,
 * as far as our own end reaches.
 *
 * Failure modes: the logs part (the leader names the epoch and the offset where they do: we cut
 * there, and never to the high watermark, which a follower may know too low: KIP-101; when our own
 * epochs say otherwise we cut to what they say and ask again: KIP-279); the leader's log does not
 * reach our end, or begins beyond it (OFFSET_OUT_OF_RANGE: it is asked where it ends and begins);
 * any other error puts the partition off for a while. An answer to a question of another epoch, or
 * about another end than ours, is dropped. */
#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "common/wire/kafka_error.h"

enum { LATEST = -1, EARLIEST = -2 }; /* ListOffsets' timestamps */
enum { HOLD_MS = 500 }; /* beyond the quota: until it is looked at again */
enum { PROBE_MIN_VERSION = 4 /* the leader epoch */, PROBE_MAX_VERSION = 9 };

/* Where does the leader's log end, and where does it begin? */
struct probe {
    struct replica *replica;
    struct replica_call call;
    struct list_offsets_request request;
    struct list_offsets_request_topic topic;
    struct list_offsets_request_partition partition;
    int64_t leader_end; /* -1: being asked for */
};

static bool settled(const struct replica *replica)
{
    return log_assigned_end(replica->log) == replica_own_end(replica);
}

static void note_settling(struct replica *replica)
{
    struct following *following = &replica->following;
    bool settling = !settled(replica);
    if (following->fetcher != NULL && settling != following->settling) {
        following->settling = settling;
        fetcher_settling(following->fetcher, settling);
    }
}

/* ---- cutting ----------------------------------------------------------------------------------
 */

static void cut(struct replica *replica, int64_t offset)
{
    if (offset < log_assigned_end(replica->log) && offset < replica->high_watermark) {
        trace_warn(env_trace(replica->all->env),
                   "%s-%d: broker %d leads with a log that parts from ours at offset %lld, below "
                   "the high watermark %lld",
                   replica->topic, replica->key.partition, replica->leader_id, (long long)offset,
                   (long long)replica->high_watermark);
    }
    log_truncate(replica->log, offset);
    replica_clamp_mark(replica);
    note_settling(replica);
}

/* Kafka: AbstractFetcherThread.getOffsetTruncationState. */
static int64_t parting_offset(const struct replica *replica, int32_t epoch, int64_t end_offset)
{
    const struct log *log = replica->log;
    int64_t assigned = log_assigned_end(log);
    int32_t ours = -1;
    int64_t our_end = -1;
    log_end_of_epoch(log, epoch, &ours, &our_end);
    if (ours >= 0 && ours == log_last_epoch(log)) {
        our_end = assigned;
    }
    int64_t to = assigned;
    if (ours < 0 || ours == epoch) {
        to = end_offset < to ? end_offset : to;
    }
    if (ours >= 0) {
        to = our_end < to ? our_end : to;
    }
    ASSERT(to <= assigned);
    return to;
}

static void take_diverging(struct replica *replica, int32_t epoch, int64_t end_offset)
{
    int64_t before = log_assigned_end(replica->log);
    int32_t last_before = log_last_epoch(replica->log);
    if (epoch < 0 || end_offset < 0) {
        follower_put_off(replica, "the leader's answer names no place to cut at");
        return;
    }
    cut(replica, parting_offset(replica, epoch, end_offset));
    if (log_assigned_end(replica->log) == before && log_last_epoch(replica->log) == last_before) {
        follower_put_off(replica, "the logs part, but nowhere that we could cut");
    }
}

/* ---- the leader's log is elsewhere: OFFSET_OUT_OF_RANGE ----------------------------------------
 */

static void on_probe(struct replica_call *call, const struct replica_answer *answer);

static void probe_send(struct probe *probe, int64_t timestamp)
{
    struct replica *replica = probe->replica;
    const struct replica_links *links = replica->all->config.links;
    wire_defaults(&wire_list_offsets_request, &probe->request);
    wire_struct_defaults(&wire_struct_list_offsets_request_topic, &probe->topic);
    wire_struct_defaults(&wire_struct_list_offsets_request_partition, &probe->partition);
    probe->partition.partition_index = replica->key.partition;
    probe->partition.current_leader_epoch = replica->leader_epoch;
    probe->partition.timestamp = timestamp;
    probe->topic.name = wire_str(replica->topic);
    probe->topic.partitions.items = &probe->partition;
    probe->topic.partitions.count = 1;
    probe->request.replica_id = replica->all->config.broker_id;
    probe->request.topics.items = &probe->topic;
    probe->request.topics.count = 1;
    probe->call =
        (struct replica_call){.broker_id = replica->leader_id,
                              .channel = REPLICA_CHANNEL_LOOKUP,
                              .api_key = WIRE_LIST_OFFSETS,
                              .min_version = PROBE_MIN_VERSION,
                              .max_version = PROBE_MAX_VERSION,
                              .request = &probe->request,
                              .timeout_ms = replica->all->config.replication.socket_timeout_ms,
                              .done = on_probe};
    links->send(links->ctx, &probe->call);
}

static void probe_start(struct replica *replica)
{
    ASSERT(replica->following.probe == NULL);
    struct probe *probe = mem_zalloc(sizeof *probe);
    probe->replica = replica;
    probe->leader_end = -1;
    replica->following.probe = probe;
    fetcher_changed(replica);
    probe_send(probe, LATEST);
}

static void probe_end(struct replica *replica)
{
    mem_free(replica->following.probe);
    replica->following.probe = NULL;
    fetcher_poke(replica->following.fetcher);
}

static int64_t probed_offset(const struct replica *replica, const struct replica_answer *answer,
                             const char **why)
{
    const struct list_offsets_response *response = answer->response;
    *why = answer->why;
    if (answer->error != ERR_NONE) {
        return -1;
    }
    *why = "the answer to ListOffsets does not name the partition";
    for (int32_t i = 0; i < response->topics.count; i++) {
        for (int32_t k = 0; k < response->topics.items[i].partitions.count; k++) {
            const struct list_offsets_response_partition *part =
                &response->topics.items[i].partitions.items[k];
            if (part->partition_index == replica->key.partition) {
                *why = kafka_error_name(part->error_code);
                return part->error_code == KAFKA_NONE ? part->offset : -1;
            }
        }
    }
    return -1;
}

static void start_anew(struct replica *replica, int64_t offset)
{
    trace_warn(env_trace(replica->all->env),
               "%s-%d: the leader's log begins at offset %lld, beyond our end %lld: starting anew "
               "there",
               replica->topic, replica->key.partition, (long long)offset,
               (long long)log_assigned_end(replica->log));
    log_truncate_fully(replica->log, offset);
    replica->high_watermark = offset;
    note_settling(replica);
}

static void on_probe(struct replica_call *call, const struct replica_answer *answer)
{
    struct probe *probe = CONTAINER_OF(call, struct probe, call);
    struct replica *replica = probe->replica;
    const char *why = NULL;
    int64_t offset = probed_offset(replica, answer, &why);
    ASSERT(replica->following.probe == probe);
    if (offset < 0) {
        probe_end(replica);
        follower_put_off(replica, why);
        return;
    }
    if (probe->leader_end < 0 && offset >= log_assigned_end(replica->log)) {
        probe->leader_end = offset;
        probe_send(probe, EARLIEST);
        return;
    }
    if (probe->leader_end < 0) {
        cut(replica, offset); /* an unclean leader: it has less */
    } else if (offset > log_assigned_end(replica->log)) {
        start_anew(replica, offset);
    } else {
        follower_put_off(replica, "the leader has our end, though it said not");
    }
    probe_end(replica);
}

/* ---- taking what was fetched ------------------------------------------------------------------
 */

static struct buf *bytes_of(const struct wire_records *records, struct buf *frame, size_t *offset)
{
    *offset = 0;
    if (frame != NULL && records->data >= frame->data &&
        records->data + records->size <= frame->data + frame->size) {
        *offset = (size_t)(records->data - frame->data);
        return buf_ref(frame);
    }
    return buf_copy(records->data, (size_t)records->size);
}

/* A batch of an epoch above the leader's own was not written by it (KAFKA-18723). */
static size_t of_known_epochs(const struct wire_records *records, int32_t leader_epoch)
{
    size_t at = 0;
    struct batch batch;
    while (batch_parse(records->data + at, (size_t)records->size - at, &batch, NULL) == ERR_NONE &&
           batch.partition_leader_epoch <= leader_epoch) {
        at += batch.size;
    }
    ASSERT(at <= (size_t)records->size);
    return at;
}

/* A leader's log may begin within a batch, and an empty log that was told to begin there gets that
 * batch whole: it begins where the batch does (Kafka: UnexpectedAppendOffsetException). */
static void begin_with_batch(struct replica *replica, const struct wire_records *records)
{
    struct batch batch;
    int64_t end = log_assigned_end(replica->log);
    if (log_start(replica->log) == end &&
        batch_parse_header(records->data, (size_t)records->size, &batch, NULL) == ERR_NONE &&
        batch.base_offset < end && batch_last_offset(&batch) >= end) {
        log_truncate_fully(replica->log, batch.base_offset);
        replica_clamp_mark(replica);
    }
}

/* True when something was appended. */
static bool append(struct replica *replica, const struct wire_records *records, struct buf *frame)
{
    struct err_text text = {""};
    size_t offset = 0;
    begin_with_batch(replica, records);
    int64_t before = log_assigned_end(replica->log);
    int64_t next = before;
    size_t size = of_known_epochs(records, replica->leader_epoch);
    struct buf *buf = bytes_of(records, frame, &offset);
    enum err error = log_append_as_follower(replica->log, buf, offset, size, &next, &text);
    buf_unref(buf);
    if (error != ERR_NONE || next == before) {
        follower_put_off(replica, error != ERR_NONE
                                      ? text.text
                                      : "the leader's answer holds no whole batch of its epochs");
    }
    return next > before;
}

static void take_error(struct replica *replica, int16_t error)
{
    if (error == KAFKA_OFFSET_OUT_OF_RANGE) {
        if (replica->following.probe == NULL) {
            probe_start(replica);
        }
        return;
    }
    follower_put_off(replica, kafka_error_name(error));
}

bool follower_take(struct replica *replica, const struct fetch_response_partition *part,
                   struct buf *frame)
{
    struct following *following = &replica->following;
    ASSERT(replica->state == REPLICA_ONLINE && !replica->leading);
    bool ours =
        following->probe == NULL && following->named.offset == log_assigned_end(replica->log);
    if (!ours || log_failed(replica->log)) {
        return false;
    }
    if (part->error_code != KAFKA_NONE) {
        take_error(replica, part->error_code);
        return false;
    }
    if (part->diverging_epoch.epoch >= 0 || part->diverging_epoch.end_offset >= 0) {
        take_diverging(replica, part->diverging_epoch.epoch, part->diverging_epoch.end_offset);
        return false;
    }
    following->failures = 0;
    following->leader_high_watermark = part->high_watermark;
    following->leader_log_start = part->log_start_offset;
    bool appended = part->records.size > 0 && append(replica, &part->records, frame);
    if (replica->throttled_follower && part->records.size > 0) {
        throttle_count(&replica->all->follower_throttle, env_now_ms(replica->all->env),
                       part->records.size);
    }
    replica_advance(replica);
    return appended;
}

void follower_advance(struct replica *replica)
{
    struct following *following = &replica->following;
    if (following->fetcher == NULL) {
        return;
    }
    int64_t own_end = replica_own_end(replica);
    int64_t mark = following->leader_high_watermark;
    mark = mark < own_end ? mark : own_end;
    if (mark > replica->high_watermark) {
        replica->high_watermark = mark;
        log_note_high_watermark(replica->log, mark);
    }
    int64_t start = following->leader_log_start;
    start = start < replica->high_watermark ? start : replica->high_watermark;
    if (start > log_start(replica->log)) {
        log_advance_start(replica->log, start);
    }
    note_settling(replica);
}

/* ---- beginning and ending ----------------------------------------------------------------------
 */

void follower_put_off(struct replica *replica, const char *why)
{
    struct following *following = &replica->following;
    ASSERT(following->fetcher != NULL);
    following->failures++;
    int64_t wait_ms = fetcher_backoff_ms(replica->all, following->failures);
    following->retry_at_ms = env_now_ms(replica->all->env) + wait_ms;
    trace_debug(env_trace(replica->all->env),
                "%s-%d: fetching from broker %d: %s; again in %lld ms", replica->topic,
                replica->key.partition, replica->leader_id, why, (long long)wait_ms);
    fetcher_changed(replica);
    fetcher_poke(following->fetcher);
}

void follower_hold(struct replica *replica, int64_t now_ms)
{
    struct following *following = &replica->following;
    bool in_sync = following->leader_high_watermark >= 0 &&
                   log_assigned_end(replica->log) >= following->leader_high_watermark;
    if (replica->throttled_follower && !in_sync && following->retry_at_ms <= now_ms &&
        throttle_exceeded(&replica->all->follower_throttle, now_ms)) {
        following->retry_at_ms = now_ms + HOLD_MS;
    }
}

bool follower_ready(const struct replica *replica, int64_t now_ms)
{
    const struct following *following = &replica->following;
    return following->probe == NULL && settled(replica) && following->retry_at_ms <= now_ms &&
           !log_failed(replica->log);
}

void follower_start(struct replica *replica)
{
    ASSERT(replica->state == REPLICA_ONLINE && !replica->leading);
    if (replica->all->config.links == NULL || replica->leader_id < 0) {
        return;
    }
    if (log_last_epoch(replica->log) < 0) {
        /* Without epochs nothing tells where logs part but the mark. */
        cut(replica, replica->high_watermark);
    }
    struct following *following = &replica->following;
    following->retry_at_ms = INT64_MIN;
    following->failures = 0;
    following->settling = false;
    following->in_session = false;
    following->leader_high_watermark = -1;
    following->leader_log_start = -1;
    fetcher_join(replica);
    note_settling(replica);
    trace_info(env_trace(replica->all->env),
               "%s-%d: following broker %d in epoch %d from offset %lld (last epoch %d)",
               replica->topic, replica->key.partition, replica->leader_id, replica->leader_epoch,
               (long long)log_assigned_end(replica->log), log_last_epoch(replica->log));
}

void follower_stop(struct replica *replica)
{
    struct following *following = &replica->following;
    if (following->fetcher == NULL) {
        ASSERT(following->probe == NULL);
        return;
    }
    if (following->probe != NULL) {
        const struct replica_links *links = replica->all->config.links;
        links->cancel(links->ctx, &following->probe->call);
        mem_free(following->probe);
        following->probe = NULL;
    }
    if (following->settling) {
        following->settling = false;
        fetcher_settling(following->fetcher, false);
    }
    fetcher_leave(replica);
    ASSERT(following->fetcher == NULL);
}
