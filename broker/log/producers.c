/* What idempotent producers wrote last: the last five batches of each producer id, enough to tell a
 * repeat from a gap (KIP-98; Kafka's ProducerStateEntry and ProducerAppendInfo).
 *
 * The state runs with the assigned end, so that a repeat of a batch still on its way to disk is
 * seen. When batches are taken back (failed write, truncation) the entries above the cut are
 * dropped. A producer left with nothing although it once held more ("forgot") is known by the log
 * only: then the caller rebuilds. */
#include <limits.h>
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"

static struct producer *find(const struct producers *p, int64_t id)
{
    struct producer *found = NULL;
    HASH_FIND(hh, p->by_id, &id, sizeof id, found);
    return found;
}

static void drop(struct producers *p, struct producer *producer)
{
    HASH_DEL(p->by_id, producer);
    mem_free(producer);
}

void producers_free(struct producers *p)
{
    struct producer *producer = NULL;
    struct producer *next = NULL;
    HASH_ITER(hh, p->by_id, producer, next)
    {
        drop(p, producer);
    }
    ASSERT(p->by_id == NULL);
}

size_t producers_count(const struct producers *p)
{
    return HASH_COUNT(p->by_id);
}

void producers_swap(struct producers *a, struct producers *b)
{
    struct producers old = *a;
    *a = *b;
    *b = old;
}

/* Sequences run 0..INT32_MAX and wrap to 0. */
static int32_t sequence_add(int32_t sequence, int32_t count)
{
    int64_t sum = (int64_t)sequence + count;
    return (int32_t)(sum > INT32_MAX ? sum - INT32_MAX - 1 : sum);
}

static int32_t last_sequence_of(const struct producer_append *append)
{
    ASSERT(append->record_count > 0);
    if (append->first_sequence < 0) {
        return -1; /* control batches carry none */
    }
    return sequence_add(append->first_sequence, append->record_count - 1);
}

int16_t producers_check(const struct producers *p, const struct producer_append *append,
                        const struct producer_batch **duplicate)
{
    *duplicate = NULL;
    ASSERT(append->id >= 0);
    const struct producer *known = find(p, append->id);
    if (append->control) {
        return known != NULL && append->epoch < known->epoch ? KAFKA_INVALID_PRODUCER_EPOCH
                                                             : KAFKA_NONE;
    }
    if (known == NULL) {
        return KAFKA_NONE; /* expired or new: any sequence will do */
    }
    if (append->epoch < known->epoch) {
        return KAFKA_INVALID_PRODUCER_EPOCH;
    }
    if (append->epoch > known->epoch) {
        return append->first_sequence == 0 ? KAFKA_NONE : KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    int32_t last_sequence = last_sequence_of(append);
    for (int i = 0; i < known->count; i++) {
        const struct producer_batch *batch = &known->batches[i];
        if (batch->epoch == append->epoch && batch->first_sequence == append->first_sequence &&
            batch->last_sequence == last_sequence) {
            *duplicate = batch;
            return KAFKA_NONE;
        }
    }
    if (known->count == 0) {
        /* Only the epoch is known (after a marker): a new start, or where we cannot tell. */
        return KAFKA_NONE;
    }
    int32_t expected = sequence_add(known->batches[known->count - 1].last_sequence, 1);
    return append->first_sequence == expected ? KAFKA_NONE : KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

static struct producer *find_or_add(struct producers *p, const struct producer_append *append)
{
    struct producer *producer = find(p, append->id);
    if (producer == NULL) {
        producer = mem_zalloc(sizeof *producer);
        producer->id = append->id;
        producer->epoch = append->epoch;
        producer->coordinator_epoch = -1;
        producer->txn_first_offset = -1;
        HASH_ADD(hh, p->by_id, id, sizeof producer->id, producer);
    }
    return producer;
}

void producers_update(struct producers *p, const struct producer_append *append)
{
    ASSERT(append->id >= 0);
    struct producer *producer = find_or_add(p, append);
    if (producer->count > 0 &&
        producer->batches[producer->count - 1].last_offset >= append->last_offset) {
        return;
    }
    if (append->epoch != producer->epoch) {
        producer->forgot = producer->forgot || producer->count > 0;
        producer->epoch = append->epoch;
        producer->count = 0;
    }
    producer->last_timestamp = append->timestamp;
    if (append->control) {
        producer->txn_first_offset = -1;
        producer->forgot = true; /* the marker itself is not among the batches */
        return;
    }
    if (append->transactional && producer->txn_first_offset < 0) {
        producer->txn_first_offset = append->first_offset;
    }
    if (producer->count == PRODUCER_BATCHES) {
        memmove(producer->batches, producer->batches + 1,
                (PRODUCER_BATCHES - 1) * sizeof producer->batches[0]);
        producer->count--;
        producer->forgot = true;
    }
    producer->batches[producer->count++] =
        (struct producer_batch){.epoch = append->epoch,
                                .first_sequence = append->first_sequence,
                                .last_sequence = last_sequence_of(append),
                                .first_offset = append->first_offset,
                                .last_offset = append->last_offset,
                                .timestamp = append->timestamp};
}

bool producers_truncate(struct producers *p, int64_t end_offset)
{
    bool complete = true;
    struct producer *producer = NULL;
    struct producer *next = NULL;
    HASH_ITER(hh, p->by_id, producer, next)
    {
        int16_t before = producer->count;
        while (producer->count > 0 &&
               producer->batches[producer->count - 1].last_offset >= end_offset) {
            producer->count--;
        }
        if (producer->txn_first_offset >= end_offset) {
            producer->txn_first_offset = -1;
        }
        if (producer->count == before && (before > 0 || !producer->forgot)) {
            continue;
        }
        if (producer->count > 0) {
            const struct producer_batch *last = &producer->batches[producer->count - 1];
            producer->epoch = last->epoch;
            producer->last_timestamp = last->timestamp;
        } else {
            complete = complete && !producer->forgot;
            drop(p, producer);
        }
    }
    return complete;
}

void producers_expire(struct producers *p, int64_t expire_before_ms)
{
    struct producer *producer = NULL;
    struct producer *next = NULL;
    HASH_ITER(hh, p->by_id, producer, next)
    {
        if (producer->txn_first_offset < 0 && producer->last_timestamp < expire_before_ms) {
            drop(p, producer);
        }
    }
}
