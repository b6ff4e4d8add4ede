#include "tests/unit/log/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/sim/env/sim_internal.h"

static void batches_free(struct rig_batches *b)
{
    for (size_t i = 0; i < b->count; i++) {
        buf_unref(b->items[i].bytes);
    }
    mem_free(b->items);
    *b = (struct rig_batches){0};
}

static void batches_add(struct rig_batches *b, const struct rig_batch *batch)
{
    struct rig_batch copy = *batch;
    copy.bytes = buf_ref(batch->bytes);
    *MEM_PUSH(b->items, b->count, b->capacity) = copy;
}

static void batches_cut(struct rig_batches *b, int64_t offset)
{
    while (b->count > 0 && b->items[b->count - 1].last >= offset) {
        buf_unref(b->items[--b->count].bytes);
    }
}

struct rig *rig_new(uint64_t seed)
{
    struct rig *r = mem_zalloc(sizeof *r);
    struct sim_options options = {.seed = seed};
    r->sim = sim_new(&options);
    r->node = sim_node_new(r->sim, "one", "10.0.0.1");
    r->env = sim_node_env(r->node);
    rng_seed(&r->rng, seed);
    r->config = log_config_default();
    r->config.segment_bytes = 4000;
    r->config.index_interval_bytes = 300;
    r->config.timestamp_after_max_ms = INT64_MAX;
    r->topic_id = uuid_from_number(77);
    return r;
}

static void drop_core(struct rig *r)
{
    if (r->log != NULL) {
        log_free(r->log);
        r->log = NULL;
    }
    if (r->dir != NULL) {
        log_dir_free(r->dir);
        r->dir = NULL;
    }
}

void rig_free(struct rig *r)
{
    if (sim_node_up(r->node) && (r->log != NULL || r->dir != NULL)) {
        sim_node_crash(r->node, SIM_KILL);
    }
    drop_core(r);
    sim_free(r->sim);
    batches_free(&r->model);
    batches_free(&r->ever);
    mem_free(r);
}

/* ---- waiting ---- */

static bool reached_answer(void *ctx)
{
    struct rig *r = ctx;
    return r->answered || r->crashed;
}

bool rig_wait_answer(struct rig *r)
{
    sim_run_until(r->sim, reached_answer, r, 600000, 0);
    if (r->crashed) {
        return false;
    }
    assert_true(r->answered);
    return r->error == ERR_NONE;
}

static bool reached_durable(void *ctx)
{
    struct rig *r = ctx;
    return r->crashed || log_failed(r->log) || log_durable_end(r->log) == log_assigned_end(r->log);
}

static bool reached_written(void *ctx)
{
    struct rig *r = ctx;
    return r->crashed || log_failed(r->log) || log_end(r->log) == log_assigned_end(r->log);
}

static bool wait_for(struct rig *r, bool (*reached)(void *ctx))
{
    if (!r->crashed) {
        bool done = sim_run_until(r->sim, reached, r, 600000, 0);
        assert_true(done || r->crashed);
    }
    return !r->crashed && !log_failed(r->log);
}

bool rig_wait_durable(struct rig *r)
{
    return wait_for(r, reached_durable);
}

bool rig_wait_written(struct rig *r)
{
    return wait_for(r, reached_written);
}

static bool reached_crash(void *ctx)
{
    return ((struct rig *)ctx)->crashed;
}

bool rig_run(struct rig *r, int64_t for_ms)
{
    if (!r->crashed) {
        sim_run_until(r->sim, reached_crash, r, for_ms, 0);
    }
    return !r->crashed;
}

/* ---- opening and closing ---- */

static void on_dir(void *ctx, struct log_dir *dir, const struct log_dir_found *found)
{
    struct rig *r = ctx;
    (void)dir;
    r->found = *found;
    r->error = found->error;
    r->text = found->text;
    r->answered = true;
}

static void on_done(void *ctx, enum err error, const struct err_text *text)
{
    struct rig *r = ctx;
    r->error = error;
    r->text = *text;
    r->answered = true;
}

static void on_opened(void *ctx, struct log *log, const struct log_opened *opened)
{
    struct rig *r = ctx;
    r->opened = *opened;
    r->error = opened->error;
    r->text = opened->text;
    r->answered = true;
    r->ready = opened->error == ERR_NONE;
    if (opened->error != ERR_NONE) {
        log_free(log);
        r->log = NULL;
    }
}

static void on_written(void *ctx, struct log *log)
{
    struct rig *r = ctx;
    assert_ptr_equal(log, r->log);
    r->written_news++;
}

static void on_durable(void *ctx, struct log *log)
{
    struct rig *r = ctx;
    assert_true(log_durable_end(log) <= log_end(log));
    r->durable_news++;
}

static void on_failed(void *ctx, struct log *log, enum err error, const struct err_text *text)
{
    struct rig *r = ctx;
    (void)text;
    assert_true(log_failed(log));
    assert_int_not_equal(error, ERR_NONE);
    r->failed_news++;
}

static void on_full(void *ctx, struct log *log)
{
    struct rig *r = ctx;
    assert_false(log_failed(log));
    r->full_news++;
}

static const struct log_events events = {
    .written = on_written, .durable = on_durable, .failed = on_failed, .full = on_full};

bool rig_open_dir(struct rig *r)
{
    r->answered = false;
    r->dir = log_dir_open(r->env, "/data/logs", on_dir, r);
    if (!rig_wait_answer(r)) {
        return false;
    }
    if (!r->found.formatted) {
        struct log_dir_meta meta = {.cluster_id = "a-cluster", .node_id = 1};
        meta.directory_id = uuid_from_number(42);
        r->answered = false;
        log_dir_format(r->dir, &meta, on_done, r);
        return rig_wait_answer(r);
    }
    return true;
}

bool rig_open_log(struct rig *r)
{
    r->answered = false;
    r->log = log_open(r->dir, "topic", 3, &r->topic_id, &r->config, ENV_WORKER_APPEND,
                      ENV_WORKER_COMMIT, &events, on_opened, r);
    return rig_wait_answer(r);
}

bool rig_open(struct rig *r)
{
    return rig_open_dir(r) && rig_open_log(r);
}

bool rig_close(struct rig *r)
{
    if (r->crashed) {
        return false;
    }
    r->answered = false;
    log_close(r->log, on_done, r);
    if (!rig_wait_answer(r)) {
        return false;
    }
    r->durable = log_durable_end(r->log);
    r->start = log_start(r->log);
    return rig_close_dir(r);
}

bool rig_close_dir(struct rig *r)
{
    r->ready = false;
    if (r->log != NULL) {
        log_free(r->log);
        r->log = NULL;
    }
    r->answered = false;
    log_dir_close(r->dir, 9, on_done, r);
    if (!rig_wait_answer(r)) {
        return false;
    }
    log_dir_free(r->dir);
    r->dir = NULL;
    return true;
}

void rig_forget(struct rig *r)
{
    batches_free(&r->model);
    batches_free(&r->ever);
    memset(r->next_sequence, 0, sizeof r->next_sequence);
    r->start = 0;
    r->start_kept = 0;
    r->epochs_from = 0;
    r->durable = 0;
}

/* ---- appending and cutting ---- */

struct buf *rig_build(struct rig *r, int records, size_t value_bytes, int producer,
                      int64_t timestamp_ms)
{
    struct batch_builder b;
    struct bytes out = {0};
    uint8_t *value = mem_alloc(value_bytes + 1);
    batch_builder_init(&b);
    b.codec = rng_below(&r->rng, 4) == 0 ? BATCH_LZ4 : BATCH_NONE;
    if (producer >= 0) {
        b.producer_id = 1000 + producer;
        b.producer_epoch = 0;
        b.base_sequence = r->next_sequence[producer];
    }
    for (int i = 0; i < records; i++) {
        for (size_t k = 0; k < value_bytes; k++) {
            value[k] = (uint8_t)rng_next(&r->rng);
        }
        uint32_t number =
            r->keyed ? (uint32_t)rng_below(&r->rng, r->keys > 0 ? r->keys : RIG_KEYS) : 0;
        struct wire_bytes key = {.data = (const uint8_t *)(r->keyed ? (void *)&number : "key"),
                                 .size = r->keyed ? 4 : 3};
        bool tombstone = r->keyed && rng_below(&r->rng, 6) == 0;
        struct wire_bytes v = {.data = value, .size = tombstone ? -1 : (int32_t)value_bytes};
        batch_builder_add(&b, timestamp_ms + i, key, v, NULL, 0);
    }
    assert_int_equal(batch_build(&b, &out, NULL), ERR_NONE);
    struct buf *buf = buf_copy(out.data, out.size);
    batch_builder_free(&b);
    bytes_free(&out);
    mem_free(value);
    return buf;
}

int16_t rig_append_at(struct rig *r, int records, size_t value_bytes, int producer,
                      int64_t timestamp_ms)
{
    struct buf *buf = rig_build(r, records, value_bytes, producer, timestamp_ms);
    struct log_append_result result;
    int64_t expected = log_assigned_end(r->log);
    log_append_as_leader(r->log, buf, 0, buf->size, r->epoch, &result);
    if (result.error == 0) {
        struct batch parsed;
        assert_false(result.duplicate);
        assert_int_equal(result.base_offset, expected);
        assert_int_equal(batch_parse(buf->data, buf->size, &parsed, NULL), ERR_NONE);
        assert_int_equal(parsed.base_offset, expected);
        struct rig_batch batch = {.base = expected,
                                  .last = result.last_offset,
                                  .epoch = r->epoch,
                                  .producer_id = parsed.producer_id,
                                  .first_sequence = parsed.base_sequence,
                                  .last_sequence = batch_last_sequence(&parsed),
                                  .max_timestamp = parsed.max_timestamp,
                                  .bytes = buf};
        batches_add(&r->model, &batch);
        batches_add(&r->ever, &batch);
        if (producer >= 0) {
            r->next_sequence[producer] += records;
        }
    }
    buf_unref(buf);
    return result.error;
}

int16_t rig_append(struct rig *r, int records, size_t value_bytes, int producer)
{
    return rig_append_at(r, records, value_bytes, producer, env_wall_ms(r->env));
}

static void learn_sequences(struct rig *r)
{
    for (int p = 0; p < RIG_PRODUCERS; p++) {
        r->next_sequence[p] = 0;
        for (size_t i = 0; i < r->model.count; i++) {
            if (r->model.items[i].producer_id == 1000 + p) {
                r->next_sequence[p] = r->model.items[i].last_sequence + 1;
            }
        }
    }
}

void rig_truncate(struct rig *r, int64_t offset)
{
    log_truncate(r->log, offset);
    batches_cut(&r->model, offset);
    learn_sequences(r);
    r->epoch++;
    log_begin_epoch(r->log, r->epoch);
}

void rig_forget_lost(struct rig *r)
{
    batches_cut(&r->model, log_end(r->log));
    learn_sequences(r);
    r->durable = log_durable_end(r->log);
    r->unchecked = false;
}

/* ---- crashes ---- */

static void note_crash(struct rig *r)
{
    if (r->ready && !r->unchecked) {
        r->durable = log_durable_end(r->log);
        r->start = log_start(r->log);
        r->epochs_from = r->start > r->epochs_from ? r->start : r->epochs_from;
    }
    r->crashed = true;
    r->ready = false;
}

static void on_crash(void *ctx, struct sim_node *node)
{
    (void)node;
    note_crash(ctx);
}

void rig_crash_at(struct rig *r, uint64_t k, enum sim_crash how)
{
    sim_node_crash_at_op(r->node, k, how, on_crash, r);
}

void rig_crash(struct rig *r, enum sim_crash how)
{
    sim_node_crash(r->node, how);
    note_crash(r);
}

void rig_restart(struct rig *r)
{
    assert_true(r->crashed);
    drop_core(r);
    sim_node_restart(r->node);
    r->env = sim_node_env(r->node);
    r->crashed = false;
    r->unchecked = true;
}

/* ---- reading and comparing ---- */

static void on_read(struct log_read *read)
{
    ((struct rig *)read->ctx)->answered = true;
}

struct buf *rig_read(struct rig *r, int64_t offset, uint32_t max_bytes, int64_t *next_offset)
{
    struct log_read read = {.offset = offset,
                            .limit_offset = log_end(r->log),
                            .max_bytes = max_bytes,
                            .whole_first = true,
                            .want_bytes = rng_below(&r->rng, 2) == 0,
                            .done = on_read,
                            .ctx = r};
    r->answered = false;
    r->error = ERR_NONE;
    if (!log_read(r->log, &read)) {
        sim_run_until(r->sim, reached_answer, r, 600000, 0);
        if (r->crashed) {
            return NULL;
        }
    }
    r->error = read.error;
    r->text = read.text;
    *next_offset = read.next_offset;
    struct buf *bytes = read.bytes;
    if (read.error == ERR_NONE && read.size > 0 && bytes == NULL) {
        bytes = buf_new(read.size);
        bytes->size = sim_file_peek(read.file, bytes->data, read.size, read.at);
    }
    if (bytes != NULL) {
        assert_int_equal(bytes->size, read.size);
    }
    env_file_unref(read.file);
    return bytes;
}

static const struct rig_batch *find(const struct rig_batches *in, int64_t base, const uint8_t *data,
                                    size_t size)
{
    for (size_t i = in->count; i > 0; i--) {
        const struct rig_batch *b = &in->items[i - 1];
        if (b->base == base && b->bytes->size == size && memcmp(b->bytes->data, data, size) == 0) {
            return b;
        }
    }
    return NULL;
}

/* Every batch of the log, in order. */
static bool read_all(struct rig *r, struct rig_batches *out)
{
    int64_t at = log_start(r->log);
    int64_t end = log_end(r->log);
    while (at < end) {
        int64_t next = 0;
        struct buf *bytes = rig_read(r, at, (uint32_t)rng_below(&r->rng, 3000), &next);
        if (r->crashed) {
            return false;
        }
        if (r->error != ERR_NONE) {
            print_message("read at %lld: %s\n", (long long)at, r->text.text);
        }
        assert_int_equal(r->error, ERR_NONE);
        assert_non_null(bytes);
        for (size_t i = 0; i < bytes->size;) {
            struct batch b;
            assert_int_equal(batch_parse(bytes->data + i, bytes->size - i, &b, NULL), ERR_NONE);
            assert_true(batch_crc_ok(bytes->data + i, &b));
            const struct rig_batch *known = find(&r->ever, b.base_offset, bytes->data + i, b.size);
            if (known == NULL) {
                print_message("batch at %lld was never appended\n", (long long)b.base_offset);
            }
            assert_non_null(known);
            if (out->count > 0) {
                assert_int_equal(known->base, out->items[out->count - 1].last + 1);
                assert_true(known->epoch >= out->items[out->count - 1].epoch);
            }
            batches_add(out, known);
            i += b.size;
        }
        assert_true(next > at);
        at = next;
        buf_unref(bytes);
    }
    assert_int_equal(at, end);
    for (size_t i = 0; i < out->count; i++) {
        if (out->items[i].base >= log_start(r->log) && out->items[i].base >= r->epochs_from) {
            assert_int_equal(log_epoch_at(r->log, out->items[i].base), out->items[i].epoch);
        }
    }
    return true;
}

static const struct rig_batch *model_at(const struct rig *r, int64_t base)
{
    for (size_t i = 0; i < r->model.count; i++) {
        if (r->model.items[i].base == base) {
            return &r->model.items[i];
        }
    }
    return NULL;
}

bool rig_check(struct rig *r)
{
    struct rig_batches seen = {0};
    int64_t end = log_end(r->log);
    assert_int_equal(end, log_assigned_end(r->log));
    assert_int_equal(end, log_durable_end(r->log));
    assert_true(log_start(r->log) <= r->start || r->start == end);
    assert_true(log_start(r->log) >= r->start_kept);
    if (end < r->durable) {
        print_message("the log ends at %lld, %lld was durable\n", (long long)end,
                      (long long)r->durable);
    }
    assert_true(end >= r->durable);
    bool done = read_all(r, &seen);
    for (size_t i = 0; done && i < seen.count; i++) {
        if (seen.items[i].last < r->durable) {
            const struct rig_batch *was = model_at(r, seen.items[i].base);
            assert_non_null(was);
            /* The compiler does not know that a failed assertion does not come back. */
            assert_ptr_equal(was != NULL ? was->bytes : NULL, seen.items[i].bytes);
        }
    }
    if (done) {
        /* What is below the start is gone by right, though its producers are remembered. */
        struct rig_batches model = {0};
        for (size_t i = 0; i < r->model.count && r->model.items[i].last < log_start(r->log); i++) {
            batches_add(&model, &r->model.items[i]);
        }
        for (size_t i = 0; i < seen.count; i++) {
            batches_add(&model, &seen.items[i]);
        }
        batches_free(&seen);
        batches_free(&r->model);
        r->model = model;
        learn_sequences(r);
        r->durable = end;
        r->unchecked = false;
        r->epoch++;
        log_begin_epoch(r->log, r->epoch);
    } else {
        batches_free(&seen);
    }
    return done;
}

bool rig_check_exact(struct rig *r)
{
    struct rig_batches seen = {0};
    bool done = read_all(r, &seen);
    size_t skip = 0;
    while (done && skip < r->model.count && r->model.items[skip].last < log_start(r->log)) {
        skip++;
    }
    if (done) {
        assert_int_equal(seen.count, r->model.count - skip);
        for (size_t i = 0; i < seen.count; i++) {
            assert_ptr_equal(seen.items[i].bytes, r->model.items[skip + i].bytes);
        }
    }
    batches_free(&seen);
    return done;
}
