/* Reading a partition's files as a stranger would: by FORMAT.md alone. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/log/rig.h"

#define PARTITION "/data/logs/topic-3"

static int64_t be32_at(const struct bytes *in, size_t at)
{
    uint32_t value = 0;
    assert_true(at + sizeof value <= in->size);
    memcpy(&value, in->data + at, sizeof value);
    return (int32_t)be32toh(value);
}

static int64_t be64_at(const struct bytes *in, size_t at)
{
    uint64_t value = 0;
    assert_true(at + sizeof value <= in->size);
    memcpy(&value, in->data + at, sizeof value);
    return (int64_t)be64toh(value);
}

static void get(struct rig *r, int64_t base, const char *suffix, struct bytes *out)
{
    char path[256];
    snprintf(path, sizeof path, PARTITION "/%020lld%s", (long long)base, suffix);
    if (!sim_disk_get(r->node, path, out)) {
        fail_msg("%s is missing", path);
    }
}

/* Every entry names a batch that begins at its position and ends at its offset. */
static void check_offsets(const struct bytes *log, const struct bytes *index, int64_t base)
{
    int64_t last = -1;
    assert_int_equal(index->size % 8, 0);
    for (size_t at = 0; at < index->size; at += 8) {
        int64_t relative = be32_at(index, at);
        int64_t position = be32_at(index, at + 4);
        struct batch batch;
        assert_true(relative > last && position >= 0 && (size_t)position < log->size);
        assert_int_equal(
            batch_parse(log->data + position, log->size - (size_t)position, &batch, NULL),
            ERR_NONE);
        assert_int_equal(batch_last_offset(&batch), base + relative);
        last = relative;
    }
}

/* No batch up to an entry's offset has a larger timestamp, and the largest of all has an entry. */
static void check_times(const struct bytes *log, const struct bytes *times, int64_t base)
{
    int64_t largest = -1;
    size_t at = 0;
    assert_int_equal(times->size % 12, 0);
    for (size_t entry = 0; entry < times->size; entry += 12) {
        int64_t timestamp = be64_at(times, entry);
        int64_t offset = base + be32_at(times, entry + 8);
        while (at < log->size) {
            struct batch batch;
            assert_int_equal(batch_parse(log->data + at, log->size - at, &batch, NULL), ERR_NONE);
            if (batch.base_offset > offset) {
                break;
            }
            largest = batch.max_timestamp > largest ? batch.max_timestamp : largest;
            at += batch.size;
        }
        assert_int_equal(timestamp, largest);
    }
    for (; at < log->size;) {
        struct batch batch;
        assert_int_equal(batch_parse(log->data + at, log->size - at, &batch, NULL), ERR_NONE);
        assert_true(batch.max_timestamp <= largest);
        at += batch.size;
    }
}

struct walk {
    struct rig *r;
    int64_t end_offset;
    int segments;
};

static void check_segment(struct walk *walk, int64_t base, const uint8_t *data, size_t size)
{
    struct bytes log = {.data = (uint8_t *)(uintptr_t)data, .size = size};
    struct bytes index = {0};
    struct bytes times = {0};
    assert_true(base >= walk->end_offset);
    walk->end_offset = base;
    for (size_t at = 0; at < size;) {
        struct batch batch;
        assert_int_equal(batch_parse(data + at, size - at, &batch, NULL), ERR_NONE);
        assert_true(batch_crc_ok(data + at, &batch));
        assert_true(batch.base_offset >= walk->end_offset);
        walk->end_offset = batch_next_offset(&batch);
        at += batch.size;
    }
    get(walk->r, base, ".index", &index);
    get(walk->r, base, ".timeindex", &times);
    check_offsets(&log, &index, base);
    check_times(&log, &times, base);
    bytes_free(&index);
    bytes_free(&times);
    walk->segments++;
}

static void on_file(void *ctx, const char *path, const uint8_t *data, size_t size)
{
    struct walk *walk = ctx;
    const char *name = path + strlen(PARTITION "/");
    const char *dot = strchr(name, '.');
    assert_non_null(dot == NULL ? strstr("leader-epoch-checkpoint", name) : dot);
    if (dot == NULL) {
        return;
    }
    if (strcmp(dot, ".log") == 0) {
        check_segment(walk, strtoll(name, NULL, 10), data, size);
    } else if (strstr(name, ".deleted") == NULL && strstr(name, ".cleaned") == NULL &&
               strcmp(dot, ".index") != 0 && strcmp(dot, ".timeindex") != 0 &&
               strcmp(dot, ".snapshot") != 0 && strcmp(name, "partition.metadata") != 0) {
        fail_msg("%s is left behind", path);
    }
}

void rig_check_files(struct rig *r)
{
    struct walk walk = {.r = r, .end_offset = -1};
    sim_disk_walk(r->node, PARTITION, on_file, &walk);
    assert_true(walk.segments > 0);
}
