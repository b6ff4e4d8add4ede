/* Record batches as a broker gets them: header, checks, decompression, records and their headers.
 *
 * Unpacking stays within its limit; what can be walked to its end can be built again, with the
 * codec it came in, and then holds the same records. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"

enum { LIMIT_BYTES = 256 << 10, BUILD_RECORDS = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(struct wire_bytes a, struct wire_bytes b)
{
    return a.size == b.size && (a.size <= 0 || memcmp(a.data, b.data, (size_t)a.size) == 0);
}

static void add(struct batch_builder *builder, struct record r)
{
    struct arena arena = {0};
    struct record_header *headers =
        arena_array(&arena, (size_t)r.header_count + 1, sizeof *headers);
    int32_t count = 0;
    while (record_next_header(&r, &headers[count])) {
        count++;
    }
    ASSERT(r.header_count == 0 && r.headers.error == ERR_NONE);
    batch_builder_add(builder, r.timestamp, r.key, r.value, headers, count);
    arena_free(&arena);
}

/* Both walks hold the same keys, values and numbers of headers. */
static void compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    struct record_walk x;
    struct record_walk y;
    ASSERT(record_walk_init(&x, a, a_size, LIMIT_BYTES, NULL) == ERR_NONE);
    ASSERT(record_walk_init(&y, b, b_size, 2 * LIMIT_BYTES, NULL) == ERR_NONE);
    struct record r;
    struct record s;
    while (record_walk_next(&x, &r)) {
        ASSERT(record_walk_next(&y, &s));
        ASSERT(same(r.key, s.key) && same(r.value, s.value) && r.header_count == s.header_count);
        ASSERT(r.timestamp == s.timestamp);
        record_control_type(r.key);
    }
    ASSERT(!record_walk_next(&y, &s) && y.in.error == ERR_NONE);
    record_walk_free(&x);
    record_walk_free(&y);
}

static void build_again(const uint8_t *data, size_t size, const struct batch *batch)
{
    struct record_walk w;
    struct batch_builder builder;
    struct record r;
    if (record_walk_init(&w, data, size, LIMIT_BYTES, NULL) != ERR_NONE) {
        return;
    }
    ASSERT(w.unpacked.size <= LIMIT_BYTES);
    batch_builder_init(&builder);
    builder.codec = batch_codec(batch);
    bool few = batch->records_count <= BUILD_RECORDS;
    while (record_walk_next(&w, &r)) {
        ASSERT(r.offset >= batch->base_offset && r.offset <= batch_last_offset(batch));
        if (few) {
            add(&builder, r);
        }
    }
    struct bytes again = {0};
    if (few && w.in.error == ERR_NONE && builder.count > 0) {
        ASSERT(builder.count == batch->records_count);
        ASSERT(batch_build(&builder, &again, NULL) == ERR_NONE);
        struct batch built;
        const char *message;
        ASSERT(batch_parse(again.data, again.size, &built, NULL) == ERR_NONE);
        ASSERT(built.size == again.size && batch_crc_ok(again.data, &built));
        ASSERT(batch_check_produced(&built, &message) == 0 && message == NULL);
        compare(data, size, again.data, again.size);
    }
    bytes_free(&again);
    batch_builder_free(&builder);
    record_walk_free(&w);
}

/* What a broker changes in a batch it takes: the CRC holds where it held, or is made anew. */
static void patch(const uint8_t *data, const struct batch *batch)
{
    struct batch after;
    uint8_t *copy = mem_dup(data, batch->size);
    batch_set_base_offset(copy, 12345);
    batch_set_leader_epoch(copy, 9);
    ASSERT(batch_parse(copy, batch->size, &after, NULL) == ERR_NONE);
    ASSERT(after.base_offset == 12345 && after.partition_leader_epoch == 9);
    ASSERT(batch_crc_ok(copy, &after) == batch_crc_ok(data, batch));
    batch_set_append_time(copy, &after, 777);
    ASSERT(batch_parse(copy, batch->size, &after, NULL) == ERR_NONE);
    ASSERT(after.max_timestamp == 777 && batch_crc_ok(copy, &after));
    mem_free(copy);
}

/* Batches follow one another, as in a segment and in a produce. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum err error = ERR_NONE;
    for (size_t at = 0; error == ERR_NONE;) {
        struct batch batch;
        struct err_text text = {""};
        error = batch_parse(data + at, size - at, &batch, &text);
        ASSERT((error == ERR_NONE) == (text.text[0] == '\0'));
        if (error == ERR_NONE) {
            const char *message;
            ASSERT((batch_check_produced(&batch, &message) == 0) == (message == NULL));
            patch(data + at, &batch);
            build_again(data + at, batch.size, &batch);
            at += batch.size;
        }
    }
    return 0;
}
