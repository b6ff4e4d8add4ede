/* Offset index and time index of one segment: sparse, ascending, in memory and as Kafka's bytes. */
#include <endian.h>
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { OFFSET_ENTRY_BYTES = 8, TIME_ENTRY_BYTES = 12 };

void index_free(struct segment_index *index)
{
    mem_free(index->offsets);
    mem_free(index->times);
    *index = (struct segment_index){0};
}

void index_add_offset(struct segment_index *index, int64_t base_offset, int64_t last_offset,
                      int32_t position)
{
    ASSERT(last_offset >= base_offset && last_offset - base_offset <= INT32_MAX);
    int32_t relative = (int32_t)(last_offset - base_offset);
    if (index->offset_count > 0) {
        const struct index_offset *last = &index->offsets[index->offset_count - 1];
        ASSERT(relative > last->relative_offset);
        ASSERT(position > last->position);
    }
    *MEM_PUSH(index->offsets, index->offset_count, index->offset_capacity) =
        (struct index_offset){.relative_offset = relative, .position = position};
}

void index_add_time(struct segment_index *index, int64_t base_offset, int64_t timestamp,
                    int64_t offset)
{
    ASSERT(offset >= base_offset && offset - base_offset <= INT32_MAX);
    if (timestamp < 0) {
        return;
    }
    if (index->time_count > 0 && index->times[index->time_count - 1].timestamp >= timestamp) {
        return;
    }
    *MEM_PUSH(index->times, index->time_count, index->time_capacity) = (struct index_time){
        .timestamp = timestamp, .relative_offset = (int32_t)(offset - base_offset)};
}

int32_t index_floor(const struct segment_index *index, int64_t base_offset, int64_t offset)
{
    size_t low = 0;
    size_t high = index->offset_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (base_offset + index->offsets[mid].relative_offset <= offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low == 0 ? 0 : index->offsets[low - 1].position;
}

int64_t index_time_floor(const struct segment_index *index, int64_t base_offset,
                         int64_t timestamp_ms)
{
    size_t low = 0;
    size_t high = index->time_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (index->times[mid].timestamp < timestamp_ms) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low == 0 ? base_offset : base_offset + index->times[low - 1].relative_offset;
}

bool index_full(const struct segment_index *index, int32_t segment_index_bytes)
{
    size_t limit = segment_index_bytes < 0 ? 0 : (size_t)segment_index_bytes;
    /* The time index keeps one place for the entry written at the roll. */
    return index->offset_count >= limit / OFFSET_ENTRY_BYTES ||
           index->time_count + 1 >= limit / TIME_ENTRY_BYTES;
}

static void put_u32(uint8_t *to, uint32_t value)
{
    uint32_t be = htobe32(value);
    memcpy(to, &be, sizeof be);
}

static int32_t get_i32(const uint8_t *from)
{
    uint32_t be = 0;
    memcpy(&be, from, sizeof be);
    return (int32_t)be32toh(be);
}

void index_encode(const struct segment_index *index, struct bytes *offsets, struct bytes *times)
{
    for (size_t i = 0; i < index->offset_count; i++) {
        uint8_t *to = bytes_extend(offsets, OFFSET_ENTRY_BYTES);
        put_u32(to, (uint32_t)index->offsets[i].relative_offset);
        put_u32(to + 4, (uint32_t)index->offsets[i].position);
    }
    for (size_t i = 0; i < index->time_count; i++) {
        uint8_t *to = bytes_extend(times, TIME_ENTRY_BYTES);
        uint64_t be = htobe64((uint64_t)index->times[i].timestamp);
        memcpy(to, &be, sizeof be);
        put_u32(to + 8, (uint32_t)index->times[i].relative_offset);
    }
}

static enum err decode_offsets(struct segment_index *index, const struct bytes *in,
                               int64_t log_size, struct err_text *text)
{
    if (in->size % OFFSET_ENTRY_BYTES != 0) {
        err_set(text, "offset index of %zu bytes is not a multiple of %d", in->size,
                OFFSET_ENTRY_BYTES);
        return ERR_CORRUPT;
    }
    size_t count = in->size / OFFSET_ENTRY_BYTES;
    int32_t last_relative = -1;
    int32_t last_position = -1;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = in->data + i * OFFSET_ENTRY_BYTES;
        struct index_offset entry = {get_i32(at), get_i32(at + 4)};
        if (i > 0 && entry.relative_offset == 0 && entry.position == 0) {
            break; /* Kafka preallocates: what follows was never written */
        }
        if (entry.relative_offset <= last_relative || entry.position <= last_position ||
            entry.position >= log_size) {
            err_set(text,
                    "offset index entry %zu is not above the one before it or lies past the "
                    "segment's %lld bytes",
                    i, (long long)log_size);
            return ERR_CORRUPT;
        }
        last_relative = entry.relative_offset;
        last_position = entry.position;
        *MEM_PUSH(index->offsets, index->offset_count, index->offset_capacity) = entry;
    }
    return ERR_NONE;
}

static enum err decode_times(struct segment_index *index, const struct bytes *in,
                             struct err_text *text)
{
    if (in->size % TIME_ENTRY_BYTES != 0) {
        err_set(text, "time index of %zu bytes is not a multiple of %d", in->size,
                TIME_ENTRY_BYTES);
        return ERR_CORRUPT;
    }
    size_t count = in->size / TIME_ENTRY_BYTES;
    int64_t last = -1;
    int32_t last_relative = -1;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = in->data + i * TIME_ENTRY_BYTES;
        uint64_t be = 0;
        memcpy(&be, at, sizeof be);
        struct index_time entry = {(int64_t)be64toh(be), get_i32(at + 8)};
        if (i > 0 && entry.timestamp == 0 && entry.relative_offset == 0) {
            break;
        }
        if (entry.timestamp <= last || entry.relative_offset < last_relative ||
            entry.relative_offset < 0) {
            err_set(text, "time index entry %zu is not above the one before it", i);
            return ERR_CORRUPT;
        }
        last = entry.timestamp;
        last_relative = entry.relative_offset;
        *MEM_PUSH(index->times, index->time_count, index->time_capacity) = entry;
    }
    return ERR_NONE;
}

enum err index_decode(struct segment_index *index, const struct bytes *offsets,
                      const struct bytes *times, int64_t base_offset, int64_t log_size,
                      struct err_text *text)
{
    ASSERT(index->offset_count == 0 && index->time_count == 0);
    ASSERT(base_offset >= 0);
    enum err e = decode_offsets(index, offsets, log_size, text);
    if (e == ERR_NONE) {
        e = decode_times(index, times, text);
    }
    if (e != ERR_NONE) {
        index_free(index);
    }
    return e;
}
