/* The leader epoch cache: which epoch began at which offset (KIP-101, KIP-279). */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

void epochs_free(struct epochs *e)
{
    mem_free(e->entries);
    *e = (struct epochs){0};
}

bool epochs_assign(struct epochs *e, int32_t epoch, int64_t start_offset)
{
    ASSERT(start_offset >= 0);
    if (epoch < 0) {
        return false;
    }
    if (e->count > 0) {
        const struct epoch_entry *last = &e->entries[e->count - 1];
        if (last->epoch == epoch && last->start_offset <= start_offset) {
            return false;
        }
    }
    while (e->count > 0 && (e->entries[e->count - 1].epoch >= epoch ||
                            e->entries[e->count - 1].start_offset >= start_offset)) {
        e->count--;
    }
    *MEM_PUSH(e->entries, e->count, e->capacity) =
        (struct epoch_entry){.epoch = epoch, .start_offset = start_offset};
    return true;
}

bool epochs_truncate_end(struct epochs *e, int64_t end_offset)
{
    size_t before = e->count;
    while (e->count > 0 && e->entries[e->count - 1].start_offset >= end_offset) {
        e->count--;
    }
    return e->count != before;
}

bool epochs_truncate_start(struct epochs *e, int64_t start_offset)
{
    size_t drop = 0;
    while (drop < e->count && e->entries[drop].start_offset <= start_offset) {
        drop++;
    }
    if (drop == 0 || (drop == 1 && e->entries[0].start_offset == start_offset)) {
        return false;
    }
    drop--; /* the last of them covers start_offset */
    memmove(e->entries, e->entries + drop, (e->count - drop) * sizeof *e->entries);
    e->count -= drop;
    e->entries[0].start_offset = start_offset;
    return true;
}

int32_t epochs_last(const struct epochs *e)
{
    return e->count == 0 ? -1 : e->entries[e->count - 1].epoch;
}

/* Entries whose epoch is at most `epoch`. */
static size_t count_up_to_epoch(const struct epochs *e, int32_t epoch)
{
    size_t low = 0;
    size_t high = e->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->entries[mid].epoch <= epoch) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

int32_t epochs_at(const struct epochs *e, int64_t offset)
{
    size_t low = 0;
    size_t high = e->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->entries[mid].start_offset <= offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low == 0 ? -1 : e->entries[low - 1].epoch;
}

void epochs_end_of(const struct epochs *e, int32_t epoch, int64_t log_end, int32_t *found_epoch,
                   int64_t *end_offset)
{
    *found_epoch = -1;
    *end_offset = -1;
    if (epoch < 0 || e->count == 0) {
        return;
    }
    if (epoch == epochs_last(e)) {
        *found_epoch = epoch;
        *end_offset = log_end;
        return;
    }
    size_t at_or_below = count_up_to_epoch(e, epoch);
    if (at_or_below == e->count) {
        return; /* an epoch this log has not seen yet */
    }
    ASSERT(at_or_below < e->count);
    *end_offset = e->entries[at_or_below].start_offset;
    *found_epoch = at_or_below == 0 ? epoch : e->entries[at_or_below - 1].epoch;
}
