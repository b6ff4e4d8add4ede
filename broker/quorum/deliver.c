/* News upward: one piece a turn, in this order: what ended, who leads, a snapshot, what is
 * committed, that we may decide, that a snapshot is due.
 *
 * Committed batches come from memory when this leader appended them, else from the log, a chunk at
 * a time, the next one being read while the last is told. */
#include <inttypes.h>

#include "broker/quorum/quorum_internal.h"

static bool working(const struct quorum *quorum)
{
    return !quorum->closing && !quorum->broken;
}

void quorum_deliver_wake(struct quorum *quorum)
{
    if (!quorum->closing) {
        env_post(quorum->env, &quorum->pump);
    }
}

void quorum_own_clear(struct quorum *quorum)
{
    struct list *node;
    while ((node = list_pop(&quorum->own)) != NULL) {
        struct quorum_own_batch *own = CONTAINER_OF(node, struct quorum_own_batch, node);
        buf_unref(own->buf);
        mem_free(own);
    }
}

/* ---- reading ---- */

static void take_chunk(struct quorum *quorum)
{
    struct log_read *read = &quorum->read;
    ASSERT(quorum->reading && quorum->chunk == NULL);
    quorum->reading = false;
    if (!working(quorum) || quorum->read_is_stale) {
        quorum->read_is_stale = false;
        buf_unref(read->bytes);
        read->bytes = NULL;
        quorum_deliver_wake(quorum);
        return;
    }
    if (read->error != ERR_NONE || read->bytes == NULL || read->next_offset <= read->offset) {
        err_wrap(&read->text, "read the metadata log at offset %" PRId64, read->offset);
        buf_unref(read->bytes);
        read->bytes = NULL;
        quorum_fail(quorum, read->error == ERR_NONE ? ERR_CORRUPT : read->error, &read->text);
        return;
    }
    quorum->chunk = read->bytes;
    quorum->chunk_next = read->next_offset;
    read->bytes = NULL;
    quorum_deliver_wake(quorum);
}

static void read_done(struct log_read *read)
{
    struct quorum *quorum = read->ctx;
    env_file_unref(read->file);
    read->file = NULL;
    take_chunk(quorum);
    if (quorum->closing) {
        quorum_close_step(quorum);
    }
}

static void read_more(struct quorum *quorum)
{
    ASSERT(quorum->delivered < quorum->high_watermark && !quorum->reading);
    uint32_t chunk_bytes = quorum->config.replay_chunk_bytes;
    quorum->read = (struct log_read){
        .offset = quorum->delivered,
        .limit_offset = quorum->high_watermark,
        .max_bytes = chunk_bytes == 0 ? (uint32_t)QUORUM_REPLAY_CHUNK_BYTES : chunk_bytes,
        .whole_first = true,
        .want_bytes = true,
        .done = read_done,
        .ctx = quorum,
    };
    quorum->reading = true;
    if (log_read(quorum->log, &quorum->read)) {
        take_chunk(quorum);
    }
}

/* ---- telling ---- */

static void tell_batches(struct quorum *quorum, struct buf *buf, int64_t next_offset)
{
    struct quorum_committed committed = {
        .batches = buf->data,
        .size_bytes = buf->size,
        .base_offset = quorum->delivered,
        .last_offset = next_offset - 1,
    };
    ASSERT(next_offset > quorum->delivered && next_offset <= quorum->high_watermark);
    quorum->delivered = next_offset;
    quorum->since_bytes += (int64_t)buf->size;
    quorum->events->committed(quorum->ctx, &committed);
    buf_unref(buf);
}

/* The own batch that comes next, if it is committed; drops those told already. */
static struct quorum_own_batch *own_next(struct quorum *quorum)
{
    while (!list_empty(&quorum->own)) {
        struct quorum_own_batch *own =
            CONTAINER_OF(quorum->own.next, struct quorum_own_batch, node);
        if (own->base_offset >= quorum->delivered) {
            bool due =
                own->base_offset == quorum->delivered && own->last_offset < quorum->high_watermark;
            return due ? own : NULL;
        }
        list_remove(&own->node);
        buf_unref(own->buf);
        mem_free(own);
    }
    return NULL;
}

/* True when something was told. */
static bool tell_committed(struct quorum *quorum)
{
    if (quorum->chunk != NULL) {
        struct buf *chunk = quorum->chunk;
        quorum->chunk = NULL;
        tell_batches(quorum, chunk, quorum->chunk_next);
        return true;
    }
    if (quorum->reading || quorum->delivered >= quorum->high_watermark) {
        return false;
    }
    struct quorum_own_batch *own = own_next(quorum);
    if (own == NULL) {
        read_more(quorum);
        return false;
    }
    struct buf *buf = own->buf;
    int64_t next_offset = own->last_offset + 1;
    list_remove(&own->node);
    mem_free(own);
    tell_batches(quorum, buf, next_offset);
    return true;
}

static bool tell_due(struct quorum *quorum)
{
    if (!quorum_snapshot_due(quorum)) {
        return false;
    }
    quorum->asked_at = quorum->delivered;
    quorum->events->snapshot_due(quorum->ctx);
    return true;
}

static bool tell_failure(struct quorum *quorum)
{
    if (!quorum->tell_failed) {
        return false;
    }
    quorum->tell_failed = false;
    if (quorum->opened) {
        quorum->events->failed(quorum->ctx, quorum->failure, &quorum->failure_text);
    } else {
        quorum->opened = true;
        quorum->events->opened(quorum->ctx, quorum->failure, &quorum->failure_text);
    }
    return true;
}

static bool tell_opened(struct quorum *quorum)
{
    if (!quorum->tell_opened) {
        return false;
    }
    quorum->tell_opened = false;
    quorum->opened = true;
    struct err_text text = {{0}};
    quorum->events->opened(quorum->ctx, ERR_NONE, &text);
    return true;
}

static bool leads(const struct quorum *quorum, int32_t epoch)
{
    return quorum->role == QUORUM_LEADER && quorum->now.epoch == epoch;
}

static bool tell_end(struct quorum *quorum)
{
    int32_t epoch = quorum->active_epoch;
    if (epoch < 0 || leads(quorum, epoch)) {
        return false;
    }
    quorum->active_epoch = -1;
    quorum->events->deactivated(quorum->ctx, epoch);
    return true;
}

static bool tell_leader(struct quorum *quorum)
{
    if (quorum->role == QUORUM_OPENING ||
        (quorum->told_leader == quorum->now.leader_id && quorum->told_epoch == quorum->now.epoch)) {
        return false;
    }
    quorum->told_leader = quorum->now.leader_id;
    quorum->told_epoch = quorum->now.epoch;
    quorum->events->leader_changed(quorum->ctx, quorum->told_leader, quorum->told_epoch);
    return true;
}

static bool tell_active(struct quorum *quorum)
{
    if (quorum->role != QUORUM_LEADER || quorum->active_epoch == quorum->now.epoch ||
        quorum->epoch_start_offset < 0 || quorum->delivered <= quorum->epoch_start_offset) {
        return false;
    }
    ASSERT(quorum->active_epoch == -1);
    quorum->active_epoch = quorum->now.epoch;
    quorum->events->activated(quorum->ctx, quorum->active_epoch);
    return true;
}

static void pump(struct env_post *post)
{
    struct quorum *quorum = CONTAINER_OF(post, struct quorum, pump);
    ASSERT(!quorum->closing);
    bool told = false;
    if (quorum->broken) {
        told = tell_end(quorum) || tell_failure(quorum);
    } else if (quorum->opened || quorum->tell_opened) {
        told = tell_opened(quorum) || tell_end(quorum) || tell_leader(quorum) ||
               (quorum->load.wanted ? quorum_tell_snapshot(quorum) : tell_committed(quorum)) ||
               tell_active(quorum) || tell_due(quorum);
    }
    if (told) {
        quorum_deliver_wake(quorum);
    }
}

void quorum_deliver_init(struct quorum *quorum)
{
    list_init(&quorum->own);
    env_post_init(&quorum->pump, pump);
}
