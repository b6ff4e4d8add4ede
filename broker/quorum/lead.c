/* What a leader does: append, find out what is committed, say that it leads and that it does no
 * more. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/quorum/quorum_internal.h"
#include "common/wire/messages.h"

/* Queues the batch (whose reference it takes over) and remembers it until it has been delivered. */
static enum err append_batch(struct quorum *quorum, struct buf *buf, int64_t *last_offset,
                             struct err_text *text)
{
    struct log_append_result result = {0};
    log_append_as_leader(quorum->log, buf, 0, buf->size, quorum->now.epoch, &result);
    if (result.error != 0) {
        err_set(text, "append %zu bytes to the metadata log: %s (%d)", buf->size,
                result.message == NULL ? "refused" : result.message, result.error);
        buf_unref(buf);
        return ERR_IO;
    }
    ASSERT(!result.duplicate && result.last_offset >= result.base_offset);
    ASSERT(result.last_offset < log_assigned_end(quorum->log));
    struct quorum_own_batch *own = mem_zalloc(sizeof *own);
    own->buf = buf;
    own->base_offset = result.base_offset;
    own->last_offset = result.last_offset;
    list_push(&quorum->own, &own->node);
    *last_offset = result.last_offset;
    return ERR_NONE;
}

bool quorum_lead_start(struct quorum *quorum)
{
    ASSERT(quorum->role == QUORUM_LEADER);
    log_begin_epoch(quorum->log, quorum->now.epoch);
    struct err_text text = {{0}};
    int64_t offset = -1;
    struct buf *buf = quorum_leader_change_batch(quorum, env_wall_ms(quorum->env));
    enum err error = append_batch(quorum, buf, &offset, &text);
    if (error != ERR_NONE) {
        quorum_fail(quorum, error, &text);
        return false;
    }
    quorum->epoch_start_offset = offset;
    return true;
}

enum err quorum_append(struct quorum *quorum, int32_t epoch, const struct quorum_record *records,
                       size_t count, int64_t *last_offset, struct err_text *text)
{
    ASSERT(count > 0);
    if (quorum->role != QUORUM_LEADER || quorum->now.epoch != epoch) {
        err_set(text, "node %" PRId32 " does not lead epoch %" PRId32, quorum->config.node_id,
                epoch);
        return ERR_STALE;
    }
    struct buf *buf = quorum_batch(records, count, env_wall_ms(quorum->env));
    if (buf->size > QUORUM_BATCH_BYTES_MAX) {
        err_set(text, "a batch of %zu bytes is larger than %d", buf->size, QUORUM_BATCH_BYTES_MAX);
        buf_unref(buf);
        return ERR_TOO_LARGE;
    }
    return append_batch(quorum, buf, last_offset, text);
}

int64_t quorum_next_offset(const struct quorum *quorum)
{
    ASSERT(quorum->log != NULL);
    return log_assigned_end(quorum->log);
}

static int descending(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? 1 : left > right ? -1 : 0;
}

/* This node counts itself where its log is durable, and not at all before its leadership is. */
static int64_t own_end(const struct quorum *quorum)
{
    bool recorded = quorum->durable.epoch == quorum->now.epoch &&
                    quorum->durable.leader_id == quorum->config.node_id;
    return recorded ? log_durable_end(quorum->log) : -1;
}

void quorum_lead_advance(struct quorum *quorum)
{
    if (quorum->role != QUORUM_LEADER || quorum->epoch_start_offset < 0) {
        return;
    }
    int64_t ends[QUORUM_VOTERS_MAX];
    int32_t count = quorum->config.voter_count;
    ASSERT(count > 0 && count <= QUORUM_VOTERS_MAX);
    for (int32_t i = 0; i < count; i++) {
        bool self = quorum->config.voters[i].id == quorum->config.node_id;
        ends[i] = self ? own_end(quorum) : quorum->peers[i].seen.end_offset;
    }
    qsort(ends, (size_t)count, sizeof ends[0], descending);
    int64_t end = ends[count / 2]; /* at least a majority has everything below it */
    int64_t written = log_end(quorum->log);
    end = end < written ? end : written;
    /* Raft, figure 8: entries of earlier epochs count only once one of this epoch does. */
    if (end <= quorum->epoch_start_offset || end <= quorum->high_watermark) {
        return;
    }
    quorum->high_watermark = end;
    log_note_high_watermark(quorum->log, end);
    quorum_deliver_wake(quorum);
    quorum_serve_parked(quorum);
}

/* ---- towards the voters ---- */

static void count_fetched(struct quorum *quorum)
{
    int32_t fetched = 1; /* itself */
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        fetched += quorum->peers[i].fetched;
    }
    if (fetched <= quorum->config.voter_count / 2) {
        return;
    }
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        quorum->peers[i].fetched = false;
    }
    quorum->deadline_ms =
        env_now_ms(quorum->env) + (int64_t)quorum->config.fetch_timeout_ms * 3 / 2;
}

void quorum_lead_heard(struct quorum *quorum, struct quorum_peer *peer)
{
    ASSERT(quorum->role == QUORUM_LEADER && peer->voter.id != quorum->config.node_id);
    peer->fetched = true;
    peer->retry_at_ms = env_now_ms(quorum->env) + quorum->config.fetch_timeout_ms / 2;
    count_fetched(quorum);
}

void quorum_lead_fetched(struct quorum *quorum, struct quorum_peer *peer, int64_t offset,
                         const struct uuid *directory_id)
{
    quorum_seen_note(quorum, &peer->seen, offset, directory_id);
    quorum_lead_heard(quorum, peer);
    quorum_lead_advance(quorum);
}

static void announce(struct quorum *quorum, struct quorum_peer *peer)
{
    struct begin_quorum_epoch_request_partition partition = {
        .voter_directory_id = peer->voter.directory_id,
        .leader_id = quorum->config.node_id,
        .leader_epoch = quorum->now.epoch,
    };
    struct begin_quorum_epoch_request_topic topic = {.topic_name = wire_str(QUORUM_TOPIC)};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    const struct quorum_peer *self = quorum_peer_of(quorum, quorum->config.node_id);
    struct begin_quorum_epoch_request_leader_endpoint endpoint = {
        .name = wire_str(quorum->config.listener),
        .host = wire_str(self->voter.host),
        .port = self->voter.port,
    };
    struct begin_quorum_epoch_request request;
    wire_defaults(&wire_begin_quorum_epoch_request, &request);
    request.cluster_id = wire_str(quorum->config.cluster_id);
    request.voter_id = peer->voter.id;
    request.topics.items = &topic;
    request.topics.count = 1;
    request.leader_endpoints.items = &endpoint;
    request.leader_endpoints.count = 1;
    quorum_send(quorum, peer, API_BEGIN_QUORUM_EPOCH, 0, 1, &request);
}

void quorum_lead_announce(struct quorum *quorum)
{
    for (int32_t i = 0; quorum->role == QUORUM_LEADER && i < quorum->config.voter_count; i++) {
        if (quorum_may_send(quorum, &quorum->peers[i])) {
            announce(quorum, &quorum->peers[i]);
        }
    }
}

void quorum_announce_answered(struct quorum *quorum, struct quorum_peer *peer, const void *response)
{
    const struct begin_quorum_epoch_response *begun = response;
    if (begun->error_code != 0 || begun->topics.count != 1 ||
        begun->topics.items[0].partitions.count != 1) {
        return;
    }
    const struct begin_quorum_epoch_response_partition *partition =
        begun->topics.items[0].partitions.items;
    if (!quorum_answer_common(quorum, partition->error_code, partition->leader_id,
                              partition->leader_epoch) &&
        partition->error_code == 0 && quorum->role == QUORUM_LEADER) {
        /* Not again for a while, unless it does not come to fetch. */
        peer->retry_at_ms = env_now_ms(quorum->env) + quorum->config.fetch_timeout_ms / 2;
    }
}

static void renounce(struct quorum *quorum, struct quorum_peer *peer)
{
    /* The voters that have most come first. */
    struct end_quorum_epoch_request_preferred_candidate candidates[QUORUM_VOTERS_MAX];
    int32_t successors[QUORUM_VOTERS_MAX];
    int64_t ends[QUORUM_VOTERS_MAX];
    int32_t count = 0;
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        const struct quorum_peer *other = &quorum->peers[i];
        if (other->voter.id == quorum->config.node_id) {
            continue;
        }
        int32_t at = count++;
        for (; at > 0 && ends[at - 1] < other->seen.end_offset; at--) {
            ends[at] = ends[at - 1];
            successors[at] = successors[at - 1];
            candidates[at] = candidates[at - 1];
        }
        ends[at] = other->seen.end_offset;
        successors[at] = other->voter.id;
        candidates[at].candidate_id = other->voter.id;
        candidates[at].candidate_directory_id = other->voter.directory_id;
    }
    struct end_quorum_epoch_request_partition partition = {
        .leader_id = quorum->config.node_id,
        .leader_epoch = quorum->now.epoch,
    };
    partition.preferred_successors.items = successors;
    partition.preferred_successors.count = count;
    partition.preferred_candidates.items = candidates;
    partition.preferred_candidates.count = count;
    struct end_quorum_epoch_request_topic topic = {.topic_name = wire_str(QUORUM_TOPIC)};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct end_quorum_epoch_request request;
    wire_defaults(&wire_end_quorum_epoch_request, &request);
    request.cluster_id = wire_str(quorum->config.cluster_id);
    request.topics.items = &topic;
    request.topics.count = 1;
    quorum_send(quorum, peer, API_END_QUORUM_EPOCH, 0, 1, &request);
}

void quorum_lead_renounce(struct quorum *quorum)
{
    for (int32_t i = 0; quorum->role == QUORUM_RESIGNED && i < quorum->config.voter_count; i++) {
        struct quorum_peer *peer = &quorum->peers[i];
        if (!peer->told && quorum_may_send(quorum, peer)) {
            renounce(quorum, peer);
        }
    }
}

void quorum_renounce_answered(struct quorum *quorum, struct quorum_peer *peer, const void *response)
{
    const struct end_quorum_epoch_response *ended = response;
    if (ended->error_code != 0 || ended->topics.count != 1 ||
        ended->topics.items[0].partitions.count != 1) {
        return;
    }
    const struct end_quorum_epoch_response_partition *partition =
        ended->topics.items[0].partitions.items;
    peer->told = true;
    (void)quorum_answer_common(quorum, partition->error_code, partition->leader_id,
                               partition->leader_epoch);
}
