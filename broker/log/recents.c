/* Where the latest batches lie: a ring, so that reads near the end are answered without a job. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

const struct recent *recents_at(const struct recents *r, size_t slot)
{
    ASSERT(slot < r->count);
    return &r->ring[(r->first + slot) % r->capacity];
}

void recents_push(struct recents *r, const struct recent *recent)
{
    ASSERT(recent->last_offset >= recent->base_offset);
    ASSERT(r->count == 0 || recents_at(r, r->count - 1)->last_offset < recent->base_offset);
    if (r->count == r->capacity) {
        if (r->capacity == RECENT_MAX) {
            r->first = (r->first + 1) % r->capacity;
            r->count--;
        } else {
            ASSERT(r->first == 0); /* it moves only once the ring is at its largest */
            r->capacity = r->capacity == 0 ? 8 : r->capacity * 2;
            r->ring = mem_realloc(r->ring, r->capacity * sizeof *r->ring);
        }
    }
    r->ring[(r->first + r->count) % r->capacity] = *recent;
    r->count++;
}

const struct recent *recents_find(const struct recents *r, int64_t offset, size_t *slot)
{
    if (r->count == 0 || offset < recents_at(r, 0)->base_offset ||
        offset > recents_at(r, r->count - 1)->last_offset) {
        return NULL;
    }
    size_t low = 0;
    size_t high = r->count - 1;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (recents_at(r, mid)->last_offset < offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *slot = low;
    return recents_at(r, low);
}

void recents_truncate(struct recents *r, int64_t end_offset)
{
    while (r->count > 0 && recents_at(r, r->count - 1)->last_offset >= end_offset) {
        r->count--;
    }
}

void recents_free(struct recents *r)
{
    mem_free(r->ring);
    *r = (struct recents){0};
}

void recents_forget(struct recents *r, int64_t offset)
{
    while (r->count > 0 && recents_at(r, 0)->last_offset < offset) {
        if (r->capacity == RECENT_MAX) {
            r->first = (r->first + 1) % r->capacity;
        } else {
            memmove(r->ring, r->ring + 1, (r->count - 1) * sizeof *r->ring); /* it grows at 0 */
        }
        r->count--;
    }
}
