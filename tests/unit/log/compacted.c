/* What a compacted log must hold: of every key the latest record, byte for byte at its offset, and
 * nothing that was never appended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/log/rig.h"

/* A record of the log or of the model. */
struct seen_record {
    int64_t offset;
    int64_t timestamp;
    uint32_t key;
    bool tombstone;
    size_t value_size;
    const uint8_t *value;
};

struct seen {
    struct seen_record *items;
    size_t count;
    size_t capacity;
};

static void walk(const uint8_t *data, size_t size, struct seen *seen, struct bytes *keep)
{
    struct record_walk w;
    struct record record;
    assert_int_equal(record_walk_init(&w, data, size, 1 << 20, NULL), ERR_NONE);
    while (record_walk_next(&w, &record)) {
        assert_int_equal(record.key.size, 4);
        struct seen_record item = {.offset = record.offset,
                                   .timestamp = record.timestamp,
                                   .tombstone = record.value.size < 0,
                                   .value_size = keep->size};
        memcpy(&item.key, record.key.data, 4);
        if (record.value.size > 0) {
            bytes_append(keep, record.value.data, (size_t)record.value.size);
        }
        item.value_size = keep->size - item.value_size;
        *MEM_PUSH(seen->items, seen->count, seen->capacity) = item;
    }
    assert_int_equal(w.in.error, ERR_NONE);
    record_walk_free(&w);
}

/* Values lie one after the other in `keep`. */
static void point(struct seen *seen, const struct bytes *keep)
{
    size_t at = 0;
    for (size_t i = 0; i < seen->count; i++) {
        seen->items[i].value = keep->data + at;
        at += seen->items[i].value_size;
    }
}

static bool read_log(struct rig *r, struct seen *seen, struct bytes *keep)
{
    int64_t last = -1;
    for (int64_t at = log_start(r->log); at < log_end(r->log);) {
        int64_t next = 0;
        struct buf *bytes = rig_read(r, at, 3000, &next);
        if (r->crashed) {
            return false;
        }
        if (r->error != ERR_NONE) {
            print_message("read at %lld: %s\n", (long long)at, r->text.text);
        }
        assert_int_equal(r->error, ERR_NONE);
        for (size_t i = 0; bytes != NULL && i < bytes->size;) {
            struct batch b;
            assert_int_equal(batch_parse(bytes->data + i, bytes->size - i, &b, NULL), ERR_NONE);
            assert_true(batch_crc_ok(bytes->data + i, &b));
            assert_true(b.base_offset > last);
            last = batch_last_offset(&b);
            walk(bytes->data + i, b.size, seen, keep);
            i += b.size;
        }
        if (bytes == NULL) {
            assert_true(next > at || at >= last);
            break; /* a gap up to the end */
        }
        assert_true(next > at);
        at = next;
        buf_unref(bytes);
    }
    return true;
}

static const struct seen_record *at_offset(const struct seen *in, int64_t offset)
{
    size_t low = 0;
    size_t high = in->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (in->items[mid].offset < offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < in->count && in->items[low].offset == offset ? &in->items[low] : NULL;
}

static void compare(const struct rig *r, const struct seen *model, const struct seen *log)
{
    for (size_t i = 0; i < log->count; i++) {
        const struct seen_record *is = &log->items[i];
        const struct seen_record *was = at_offset(model, is->offset);
        assert_non_null(was);
        if (was == NULL) {
            return;
        }
        assert_int_equal(is->timestamp, was->timestamp);
        assert_int_equal(is->key, was->key);
        assert_int_equal(is->tombstone, was->tombstone);
        assert_int_equal(is->value_size, was->value_size);
        assert_memory_equal(is->value, was->value, is->value_size);
    }
    bool met[RIG_KEYS] = {false};
    for (size_t i = model->count; i > 0; i--) {
        const struct seen_record *was = &model->items[i - 1];
        assert_true(was->key < RIG_KEYS);
        if (!met[was->key] && at_offset(log, was->offset) == NULL) {
            if (!was->tombstone || !r->tombstones_may_go) {
                print_message("the latest of key %u, at offset %lld, is gone\n", was->key,
                              (long long)was->offset);
            }
            assert_true(was->tombstone && r->tombstones_may_go);
            /* Then nothing older of it may show. */
            for (size_t k = 0; k < log->count; k++) {
                assert_false(log->items[k].key == was->key);
            }
        }
        met[was->key] = true;
    }
}

bool rig_check_compacted(struct rig *r)
{
    struct seen model = {0};
    struct seen log = {0};
    struct bytes model_values = {0};
    struct bytes log_values = {0};
    for (size_t i = 0; i < r->model.count; i++) {
        const struct rig_batch *b = &r->model.items[i];
        if (b->last < log_end(r->log)) {
            walk(b->bytes->data, b->bytes->size, &model, &model_values);
        }
    }
    bool done = read_log(r, &log, &log_values);
    point(&model, &model_values);
    point(&log, &log_values);
    if (done) {
        compare(r, &model, &log);
    }
    mem_free(model.items);
    mem_free(log.items);
    bytes_free(&model_values);
    bytes_free(&log_values);
    return done;
}

int rig_tombstones(struct rig *r, int64_t below_offset)
{
    struct seen log = {0};
    struct bytes values = {0};
    int count = 0;
    assert_true(read_log(r, &log, &values));
    for (size_t i = 0; i < log.count; i++) {
        count += log.items[i].tombstone && log.items[i].offset < below_offset;
    }
    mem_free(log.items);
    bytes_free(&values);
    return count;
}
