/* Producer snapshots. The first byte tells whether the checksum is set right, so that what lies
 * behind it is reached; the second what is done to the state.
 *
 * What was restored is written and restored again to the same bytes, and takes appends, cuts and
 * expiry like any other. */
#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "broker/log/log_parts.h"
#include "common/base/assert.h"
#include "common/base/crc32c.h"

enum { HEAD_BYTES = 2, CRC_AT = 2, COUNT_AT = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(struct producers *p)
{
    struct bytes first = {0};
    struct bytes second = {0};
    struct producers again = {0};
    producers_snapshot(p, &first);
    ASSERT(producers_restore(&again, first.data, first.size, NULL) == ERR_NONE);
    ASSERT(producers_count(&again) == producers_count(p));
    producers_snapshot(&again, &second);
    ASSERT(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    producers_free(&again);
    bytes_free(&first);
    bytes_free(&second);
}

/* The next batch of a producer that is known is right, and then a duplicate. */
static void append_next(struct producers *p)
{
    if (p->by_id == NULL || p->by_id->count == 0) {
        return;
    }
    const struct producer_batch *last = &p->by_id->batches[p->by_id->count - 1];
    if (last->last_offset > INT64_MAX / 2 || p->by_id->epoch < 0) {
        return;
    }
    const struct producer_batch *duplicate = NULL;
    struct producer_append append = {
        .id = p->by_id->id,
        .epoch = p->by_id->epoch,
        .first_sequence = last->last_sequence == INT32_MAX ? 0 : last->last_sequence + 1,
        .record_count = 1,
        .first_offset = last->last_offset + 1,
        .last_offset = last->last_offset + 1,
        .timestamp = 7};
    int16_t code = producers_check(p, &append, &duplicate);
    if (code == 0 && duplicate == NULL) {
        producers_update(p, &append);
        ASSERT(producers_check(p, &append, &duplicate) == 0 && duplicate != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES) {
        return 0;
    }
    struct producers p = {0};
    struct err_text text = {""};
    size_t file_size = size - HEAD_BYTES;
    uint8_t *file = mem_alloc(file_size > 0 ? file_size : 1);
    memcpy(file, data + HEAD_BYTES, file_size);
    if ((data[0] & 1) != 0 && file_size > COUNT_AT) {
        uint32_t crc = htobe32(crc32c(file + COUNT_AT, file_size - COUNT_AT));
        memcpy(file + CRC_AT, &crc, sizeof crc);
    }
    enum err e = producers_restore(&p, file, file_size, &text);
    ASSERT((e == ERR_NONE) == (text.text[0] == '\0'));
    ASSERT(e == ERR_NONE || producers_count(&p) == 0);
    if (e == ERR_NONE) {
        write_again(&p);
        append_next(&p);
        (void)producers_truncate(&p, (int64_t)data[1] << (data[0] >> 3));
        write_again(&p);
        producers_expire(&p, data[1]);
    }
    producers_free(&p);
    mem_free(file);
    return 0;
}
