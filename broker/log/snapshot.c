/* Producer snapshots: Kafka's .snapshot files (ProducerStateManager), version 1.
 *
 * int16 version, uint32 CRC-32C of what follows it, int32 count, then 46 bytes an entry. Kafka
 * writes one entry a producer, its last batch; then a producer with several unanswered batches
 * cannot repeat them after a restart. We write one entry for every batch remembered, oldest first:
 * to a reader that keeps one per producer the newest wins. */
#include <endian.h>
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/mem.h"

enum { VERSION = 1, CRC_AT = 2, COUNT_AT = 6, ENTRIES_AT = 10, ENTRY_BYTES = 46 };

static void put_i16(struct bytes *out, int16_t v)
{
    uint16_t be = htobe16((uint16_t)v);
    bytes_append(out, &be, sizeof be);
}

static void put_i32(struct bytes *out, int32_t v)
{
    uint32_t be = htobe32((uint32_t)v);
    bytes_append(out, &be, sizeof be);
}

static void put_i64(struct bytes *out, int64_t v)
{
    uint64_t be = htobe64((uint64_t)v);
    bytes_append(out, &be, sizeof be);
}

static int16_t get_i16(const uint8_t **at)
{
    uint16_t be = 0;
    memcpy(&be, *at, sizeof be);
    *at += sizeof be;
    return (int16_t)be16toh(be);
}

static int32_t get_i32(const uint8_t **at)
{
    uint32_t be = 0;
    memcpy(&be, *at, sizeof be);
    *at += sizeof be;
    return (int32_t)be32toh(be);
}

static int64_t get_i64(const uint8_t **at)
{
    uint64_t be = 0;
    memcpy(&be, *at, sizeof be);
    *at += sizeof be;
    return (int64_t)be64toh(be);
}

static int by_id(struct producer *a, struct producer *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

static void put_entry(const struct producer *producer, const struct producer_batch *batch,
                      bool newest, struct bytes *out)
{
    put_i64(out, producer->id);
    put_i16(out, producer->epoch);
    put_i32(out, batch->last_sequence);
    put_i64(out, batch->last_offset);
    put_i32(out, (int32_t)(batch->last_offset - batch->first_offset));
    put_i64(out, newest ? producer->last_timestamp : batch->timestamp);
    put_i32(out, producer->coordinator_epoch);
    put_i64(out, newest ? producer->txn_first_offset : -1);
}

void producers_snapshot(struct producers *p, struct bytes *out)
{
    static const struct producer_batch none = {
        .last_sequence = -1, .first_offset = -1, .last_offset = -1};
    size_t start = out->size;
    uint32_t count = 0;
    put_i16(out, VERSION);
    put_i32(out, 0);
    put_i32(out, 0);
    /* In id order, so that the same state gives the same bytes. */
    HASH_SORT(p->by_id, by_id);
    for (const struct producer *producer = p->by_id; producer != NULL;
         producer = producer->hh.next) {
        for (int i = 0; i < producer->count; i++) {
            put_entry(producer, &producer->batches[i], i == producer->count - 1, out);
        }
        if (producer->count == 0) {
            put_entry(producer, &none, true, out);
        }
        int entries = producer->count > 0 ? producer->count : 1;
        count += (uint32_t)entries;
    }
    uint8_t *head = out->data + start;
    ASSERT(out->size - start == ENTRIES_AT + (size_t)count * ENTRY_BYTES);
    uint32_t count_be = htobe32(count);
    memcpy(head + COUNT_AT, &count_be, sizeof count_be);
    uint32_t crc = htobe32(crc32c(head + COUNT_AT, out->size - start - COUNT_AT));
    memcpy(head + CRC_AT, &crc, sizeof crc);
}

static void restore_entry(struct producers *p, const uint8_t **at)
{
    int64_t id = get_i64(at);
    struct producer *known = NULL;
    HASH_FIND(hh, p->by_id, &id, sizeof id, known);
    struct producer *producer = known != NULL ? known : mem_zalloc(sizeof *producer);
    int16_t epoch = get_i16(at);
    if (known == NULL || epoch != producer->epoch) {
        producer->count = 0;
    }
    producer->id = id;
    producer->epoch = epoch;
    int32_t last_sequence = get_i32(at);
    int64_t last_offset = get_i64(at);
    int32_t delta = get_i32(at);
    producer->last_timestamp = get_i64(at);
    producer->coordinator_epoch = get_i32(at);
    producer->txn_first_offset = get_i64(at);
    producer->forgot = true;
    if (producer->count == PRODUCER_BATCHES) {
        memmove(producer->batches, producer->batches + 1,
                (PRODUCER_BATCHES - 1) * sizeof producer->batches[0]);
        producer->count--;
    }
    if (last_offset >= 0 && delta >= 0 && delta <= last_offset && last_sequence >= 0) {
        int64_t first = (int64_t)last_sequence - delta;
        producer->batches[producer->count++] = (struct producer_batch){
            .epoch = producer->epoch,
            .first_sequence = (int32_t)(first < 0 ? first + INT32_MAX + 1 : first),
            .last_sequence = last_sequence,
            .first_offset = last_offset - delta,
            .last_offset = last_offset,
            .timestamp = producer->last_timestamp};
    }
    if (known == NULL) {
        HASH_ADD(hh, p->by_id, id, sizeof producer->id, producer);
    }
}

enum err producers_restore(struct producers *p, const void *data, size_t size,
                           struct err_text *text)
{
    ASSERT(p->by_id == NULL);
    const uint8_t *at = data;
    if (size < ENTRIES_AT) {
        err_set(text, "producer snapshot of %zu bytes is shorter than its header", size);
        return ERR_CORRUPT;
    }
    int16_t version = get_i16(&at);
    uint32_t crc = (uint32_t)get_i32(&at);
    if (version != VERSION) {
        err_set(text, "producer snapshot version %d, expected %d", version, VERSION);
        return ERR_UNSUPPORTED;
    }
    if (crc32c((const uint8_t *)data + COUNT_AT, size - COUNT_AT) != crc) {
        err_set(text, "producer snapshot: its checksum does not match");
        return ERR_CORRUPT;
    }
    int32_t count = get_i32(&at);
    if (count < 0 || (size - ENTRIES_AT) / ENTRY_BYTES != (size_t)count ||
        (size - ENTRIES_AT) % ENTRY_BYTES != 0) {
        err_set(text, "producer snapshot: %zu bytes do not hold %d producers", size, (int)count);
        return ERR_CORRUPT;
    }
    for (int32_t i = 0; i < count; i++) {
        const uint8_t *entry = at;
        if (get_i64(&entry) < 0) {
            producers_free(p);
            err_set(text, "producer snapshot: entry %d is of no producer", (int)i);
            return ERR_CORRUPT;
        }
        restore_entry(p, &at);
    }
    return ERR_NONE;
}
