/* What a leader does: append, and find out what is committed. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/quorum/quorum_internal.h"

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
        ends[i] = self ? own_end(quorum) : quorum->peers[i].end_offset;
    }
    qsort(ends, (size_t)count, sizeof ends[0], descending);
    int64_t end = ends[count / 2]; /* at least a majority has everything below it */
    /* Raft, figure 8: entries of earlier epochs count only once one of this epoch does. */
    if (end <= quorum->epoch_start_offset || end <= quorum->high_watermark) {
        return;
    }
    ASSERT(end <= log_end(quorum->log));
    quorum->high_watermark = end;
    log_note_high_watermark(quorum->log, end);
    quorum_deliver_wake(quorum);
}
