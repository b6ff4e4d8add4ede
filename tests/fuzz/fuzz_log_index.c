/* Offset and time index of a segment: two bytes of the segment's size, two of the offset index's,
 * then both files.
 *
 * What is sane stays the same through encoding, every search lands where an entry allows, and new
 * entries go in behind. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "broker/log/log_parts.h"
#include "common/base/assert.h"

enum { HEAD_BYTES = 4, BASE_OFFSET = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_searches(const struct segment_index *index)
{
    for (size_t i = 0; i < index->offset_count; i++) {
        const struct index_offset *entry = &index->offsets[i];
        int64_t offset = BASE_OFFSET + (int64_t)entry->relative_offset;
        ASSERT(index_floor(index, BASE_OFFSET, offset) == entry->position);
        ASSERT(index_floor(index, BASE_OFFSET, offset - 1) <= entry->position);
    }
    int64_t last = BASE_OFFSET;
    for (size_t i = 0; i < index->time_count; i++) {
        int64_t floor = index_time_floor(index, BASE_OFFSET, index->times[i].timestamp);
        ASSERT(floor >= last && floor <= BASE_OFFSET + (int64_t)index->times[i].relative_offset);
        last = floor;
    }
    ASSERT(index_floor(index, BASE_OFFSET, -1) == 0);
}

/* As recovery does with an index it trusts. */
static void go_on(struct segment_index *index)
{
    int32_t relative = 0;
    int32_t position = 0;
    if (index->offset_count > 0) {
        relative = index->offsets[index->offset_count - 1].relative_offset;
        position = index->offsets[index->offset_count - 1].position;
    }
    if (relative < INT32_MAX && position < INT32_MAX) {
        index_add_offset(index, BASE_OFFSET, BASE_OFFSET + (int64_t)relative + 1, position + 1);
    }
    index_add_time(index, BASE_OFFSET, INT64_MAX, BASE_OFFSET + (int64_t)relative);
    (void)index_full(index, 10 << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES) {
        return 0;
    }
    int64_t log_size = (int64_t)data[0] << 8 | data[1];
    size_t split = (size_t)data[2] << 8 | data[3];
    size_t left = size - HEAD_BYTES;
    split = split < left ? split : left;
    struct bytes offsets = {0};
    struct bytes times = {0};
    struct bytes offsets_again = {0};
    struct bytes times_again = {0};
    struct segment_index first = {0};
    struct segment_index second = {0};
    struct err_text text = {""};
    bytes_append(&offsets, data + HEAD_BYTES, split);
    bytes_append(&times, data + HEAD_BYTES + split, left - split);
    enum err e = index_decode(&first, &offsets, &times, BASE_OFFSET, log_size, &text);
    ASSERT((e == ERR_NONE) == (text.text[0] == '\0'));
    if (e == ERR_NONE) {
        index_encode(&first, &offsets_again, &times_again);
        ASSERT(offsets_again.size <= offsets.size && times_again.size <= times.size);
        ASSERT(index_decode(&second, &offsets_again, &times_again, BASE_OFFSET, log_size, NULL) ==
               ERR_NONE);
        ASSERT(second.offset_count == first.offset_count && second.time_count == first.time_count);
        check_searches(&first);
        go_on(&second);
    }
    index_free(&first);
    index_free(&second);
    bytes_free(&offsets);
    bytes_free(&times);
    bytes_free(&offsets_again);
    bytes_free(&times_again);
    return 0;
}
