/* A partition's directory with anything in it, opened on the simulated disk.
 *
 * The first bytes (struct plan) say what there is: one or two segments, or one and a finished
 * compaction's, indexes, a producer snapshot, epochs, checkpoints, the mark of a clean stop, a
 * power failure while it recovers; then come the files. Checksums can be set right, so that what
 * lies behind them is reached.
 *
 * An open that fails says why and has changed no segment. One that succeeds reaches what was
 * promised and, with nothing trusted unread, gives back whole batches in order up to its end; takes
 * an append; and closed cleanly opens again without another look, at the same offsets. */
#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "broker/log/log_parts.h"
#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "tests/sim/env/sim.h"

enum { CLEAN = 1, COMPACTED = 2, RIGHT_CRC = 4, SWAP = 8 };
enum {
    HEAD_BYTES = 12,
    INPUT_MAX = 16 << 10,
    CRC_AT = 17,
    SNAPSHOT_CRC_AT = 2,
    SNAPSHOT_SUM_AT = 6
};
#define DIR  "/data/logs"
#define PART DIR "/t-0"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All numbers are a byte; 255 for a checkpoint: no line. */
struct plan {
    uint8_t flags;
    uint8_t recovery_point;
    uint8_t high_watermark;
    uint8_t start;
    uint8_t first_size[2];
    uint8_t second_base; /* 0: there is one segment */
    uint8_t index_size;
    uint8_t timeindex_size;
    uint8_t snapshot_size;
    uint8_t epochs_size;
    uint8_t crash_at; /* file operation of the first open; 0: none */
};

struct world {
    struct sim *sim;
    struct sim_node *node;
    struct log_dir *dir;
    struct log *log;
    struct log_config config;
    struct log_dir_found found;
    struct log_opened opened;
    enum err error;
    bool answered;
    bool crashed;
};

/* ---- waiting ---- */

static bool answered(void *ctx)
{
    const struct world *w = ctx;
    return w->answered || w->crashed;
}

static bool wait_answer(struct world *w)
{
    bool came = sim_run_until(w->sim, answered, w, 600000, 0);
    ASSERT(came);
    return !w->crashed;
}

static void on_dir(void *ctx, struct log_dir *dir, const struct log_dir_found *found)
{
    struct world *w = ctx;
    (void)dir;
    w->found = *found;
    w->answered = true;
}

static void on_opened(void *ctx, struct log *log, const struct log_opened *opened)
{
    struct world *w = ctx;
    (void)log;
    w->opened = *opened;
    w->answered = true;
}

static void on_done(void *ctx, enum err error, const struct err_text *text)
{
    struct world *w = ctx;
    (void)text;
    w->error = error;
    w->answered = true;
}

static void on_read(struct log_read *read)
{
    ((struct world *)read->ctx)->answered = true;
}

static void on_crash(void *ctx, struct sim_node *node)
{
    (void)node;
    ((struct world *)ctx)->crashed = true;
}

/* ---- opening and closing ---- */

static void drop(struct world *w)
{
    if (w->log != NULL) {
        log_free(w->log);
    }
    if (w->dir != NULL) {
        log_dir_free(w->dir);
    }
    w->log = NULL;
    w->dir = NULL;
}

static void on_end(void *ctx, struct log *log)
{
    (void)ctx;
    (void)log;
}

static void on_failed(void *ctx, struct log *log, enum err error, const struct err_text *text)
{
    (void)ctx;
    ASSERT(log_failed(log) && error != ERR_NONE && text->text[0] != '\0');
}

/* False when it crashed. */
static bool open_log(struct world *w)
{
    static const struct log_events events = {
        .written = on_end, .durable = on_end, .failed = on_failed, .full = NULL};
    struct uuid topic_id = uuid_zero();
    w->answered = false;
    w->dir = log_dir_open(sim_node_env(w->node), DIR, on_dir, w);
    if (!wait_answer(w)) {
        return false;
    }
    ASSERT(w->found.error == ERR_NONE && w->found.formatted);
    w->answered = false;
    w->log = log_open(w->dir, "t", 0, &topic_id, &w->config, ENV_WORKER_APPEND, ENV_WORKER_COMMIT,
                      &events, on_opened, w);
    return wait_answer(w);
}

static bool close_log(struct world *w)
{
    w->answered = false;
    log_close(w->log, on_done, w);
    (void)wait_answer(w);
    enum err closed = w->error;
    log_free(w->log);
    w->log = NULL;
    w->answered = false;
    log_dir_close(w->dir, 1, on_done, w);
    (void)wait_answer(w);
    ASSERT(w->error == ERR_NONE || closed != ERR_NONE);
    drop(w);
    return closed == ERR_NONE;
}

/* ---- what the disk holds ---- */

static void right_batches(uint8_t *data, size_t size)
{
    struct batch batch;
    for (size_t at = 0; batch_parse(data + at, size - at, &batch, NULL) == ERR_NONE;
         at += batch.size) {
        uint8_t *from = data + at;
        uint32_t crc = htobe32(crc32c(from + BATCH_CRC_START, batch.size - BATCH_CRC_START));
        memcpy(from + CRC_AT, &crc, sizeof crc);
    }
}

/* Takes up to `want` bytes off the input. */
static void put_next(struct world *w, const char *name, size_t want, const uint8_t **at,
                     const uint8_t *end, bool right)
{
    size_t left = (size_t)(end - *at);
    size_t size = want < left ? want : left;
    char path[64];
    uint8_t *copy = mem_alloc(size + 1);
    memcpy(copy, *at, size);
    if (right && strstr(name, ".snapshot") != NULL && size > SNAPSHOT_SUM_AT) {
        uint32_t crc = htobe32(crc32c(copy + SNAPSHOT_SUM_AT, size - SNAPSHOT_SUM_AT));
        memcpy(copy + SNAPSHOT_CRC_AT, &crc, sizeof crc);
    } else if (right && strstr(name, ".log") != NULL) {
        right_batches(copy, size);
    }
    snprintf(path, sizeof path, PART "/%s", name);
    sim_disk_put(w->node, path, copy, size);
    mem_free(copy);
    *at += size;
}

static void put_text(struct world *w, const char *path, struct bytes *text)
{
    sim_disk_put(w->node, path, text->data, text->size);
    bytes_free(text);
}

static void put_checkpoint(struct world *w, const char *path, uint8_t offset)
{
    struct checkpoint c = {0};
    struct bytes out = {0};
    if (offset != UINT8_MAX) {
        checkpoint_add(&c, "t", 0, offset);
    }
    checkpoint_format(&c, &out);
    put_text(w, path, &out);
    checkpoint_free(&c);
}

static void put_dir(struct world *w, const struct plan *plan)
{
    struct log_dir_meta meta = {.cluster_id = "c", .node_id = 1};
    struct bytes out = {0};
    meta.directory_id = uuid_from_number(5);
    sim_disk_mkdir(w->node, DIR);
    sim_disk_mkdir(w->node, PART);
    meta_format(&meta, &out);
    put_text(w, DIR "/meta.properties", &out);
    put_checkpoint(w, DIR "/recovery-point-offset-checkpoint", plan->recovery_point);
    put_checkpoint(w, DIR "/replication-offset-checkpoint", plan->high_watermark);
    put_checkpoint(w, DIR "/log-start-offset-checkpoint", plan->start);
    if (plan->flags & CLEAN) {
        struct bytes mark = {0};
        clean_shutdown_format(7, &mark);
        put_text(w, DIR "/.kafka_cleanshutdown", &mark);
    }
}

static void put_all(struct world *w, const struct plan *plan, const uint8_t *at, const uint8_t *end)
{
    char name[64];
    bool right = plan->flags & RIGHT_CRC;
    size_t first = (size_t)plan->first_size[0] << 8 | plan->first_size[1];
    put_dir(w, plan);
    if (plan->index_size > 0) {
        put_next(w, "00000000000000000000.index", plan->index_size, &at, end, right);
        put_next(w, "00000000000000000000.timeindex", plan->timeindex_size, &at, end, right);
    }
    if (plan->snapshot_size > 0) {
        snprintf(name, sizeof name, "%020d.snapshot", plan->second_base);
        put_next(w, name, plan->snapshot_size, &at, end, right);
    }
    if (plan->epochs_size > 0) {
        put_next(w, "leader-epoch-checkpoint", plan->epochs_size, &at, end, right);
    }
    if (plan->second_base > 0) {
        put_next(w, "00000000000000000000.log", first, &at, end, right);
        snprintf(name, sizeof name, "%020d.log%s", plan->second_base,
                 plan->flags & SWAP ? ".swap" : "");
    } else {
        snprintf(name, sizeof name, "%020d.log%s", 0, plan->flags & SWAP ? ".swap" : "");
    }
    put_next(w, name, INPUT_MAX, &at, end, right);
}

static void sum_segment(void *ctx, const char *path, const uint8_t *data, size_t size)
{
    uint32_t *sum = ctx;
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".log") == 0) {
        *sum = *sum * 31 + crc32c(path, length);
        *sum = *sum * 31 + (size > 0 ? crc32c(data, size) : 0);
    }
}

static uint32_t sum_of(const struct world *w)
{
    uint32_t sum = 0;
    sim_disk_walk(w->node, PART, sum_segment, &sum);
    return sum;
}

/* ---- what the log gives ---- */

/* All of it, in order. With `trusted` parts damage may be found, and is named. */
static void read_all(struct world *w, bool trusted)
{
    int64_t at = log_start(w->log);
    int64_t last = -1;
    while (at < log_end(w->log) && !log_failed(w->log)) {
        struct log_read read = {.offset = at,
                                .limit_offset = log_end(w->log),
                                .max_bytes = 300,
                                .whole_first = true,
                                .want_bytes = true,
                                .done = on_read,
                                .ctx = w};
        w->answered = false;
        if (!log_read(w->log, &read)) {
            (void)wait_answer(w);
        }
        env_file_unref(read.file);
        if (read.error != ERR_NONE) {
            ASSERT(trusted && read.text.text[0] != '\0');
            buf_unref(read.bytes);
            return;
        }
        if (read.size == 0) {
            ASSERT(read.next_offset == at); /* a gap that has no batch behind it */
            return;
        }
        ASSERT(read.next_offset > at && read.bytes != NULL);
        for (size_t i = 0; i < read.size;) {
            struct batch b;
            ASSERT(batch_parse(read.bytes->data + i, read.size - i, &b, NULL) == ERR_NONE);
            ASSERT(trusted ||
                   (batch_crc_ok(read.bytes->data + i, &b) && batch_last_offset(&b) > last));
            last = batch_last_offset(&b);
            i += b.size;
        }
        at = read.next_offset;
        buf_unref(read.bytes);
    }
}

static bool is_durable(void *ctx)
{
    const struct world *w = ctx;
    return log_failed(w->log) || log_durable_end(w->log) == log_assigned_end(w->log);
}

static void append_one(struct world *w)
{
    struct batch_builder builder;
    struct bytes out = {0};
    struct log_append_result result;
    struct wire_bytes key = {.data = (const uint8_t *)"k", .size = 1};
    if (log_failed(w->log) || log_end(w->log) > INT64_MAX / 2) {
        return;
    }
    batch_builder_init(&builder);
    batch_builder_add(&builder, 5, key, key, NULL, 0);
    ASSERT(batch_build(&builder, &out, NULL) == ERR_NONE);
    struct buf *buf = buf_copy(out.data, out.size);
    log_append_as_leader(w->log, buf, 0, buf->size, INT32_MAX, &result);
    ASSERT(result.error == 0 && result.base_offset == w->opened.end_offset);
    buf_unref(buf);
    bytes_free(&out);
    batch_builder_free(&builder);
    bool durable = sim_run_until(w->sim, is_durable, w, 60000, 0);
    ASSERT(durable);
}

/* ---- one input ---- */

static void live_on(struct world *w, const struct plan *plan)
{
    bool trusted = (plan->flags & CLEAN) || plan->recovery_point != 0 || plan->crash_at != 0;
    ASSERT(log_start(w->log) == w->opened.start_offset && log_end(w->log) == w->opened.end_offset);
    ASSERT(log_start(w->log) <= log_end(w->log));
    ASSERT(log_durable_end(w->log) == log_end(w->log));
    ASSERT(plan->recovery_point == UINT8_MAX || log_end(w->log) >= plan->recovery_point);
    ASSERT(plan->high_watermark == UINT8_MAX || log_end(w->log) >= plan->high_watermark);
    read_all(w, trusted);
    append_one(w);
    int64_t start = log_start(w->log);
    int64_t end = log_end(w->log);
    if (!log_failed(w->log) && close_log(w)) {
        bool opened = open_log(w);
        ASSERT(opened && w->found.clean_shutdown);
        ASSERT(trusted || w->opened.error == ERR_NONE);
        if (w->opened.error == ERR_NONE) {
            ASSERT(trusted || w->opened.recovered_bytes == 0);
            ASSERT(w->opened.cut_bytes == 0);
            ASSERT(w->opened.start_offset == start && w->opened.end_offset == end);
            read_all(w, trusted);
        }
    }
}

static void open_first(struct world *w, const struct plan *plan)
{
    if (plan->crash_at > 0) {
        sim_node_crash_at_op(w->node, plan->crash_at, SIM_POWER, on_crash, w);
    }
    bool opened = open_log(w);
    sim_node_crash_at_op(w->node, 0, SIM_POWER, NULL, NULL);
    if (!opened) {
        drop(w);
        sim_node_restart(w->node);
        w->crashed = false;
        opened = open_log(w);
    }
    ASSERT(opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan plan;
    struct sim_options options = {.seed = 1};
    struct world w = {0};
    _Static_assert(sizeof plan == HEAD_BYTES, "a byte is a byte");
    if (size < sizeof plan || size > INPUT_MAX) {
        return 0;
    }
    memcpy(&plan, data, sizeof plan);
    w.sim = sim_new(&options);
    w.node = sim_node_new(w.sim, "one", "10.0.0.1");
    w.config = log_config_default();
    w.config.compacted = (plan.flags & COMPACTED) != 0;
    w.config.index_interval_bytes = 100;
    put_all(&w, &plan, data + sizeof plan, data + size);
    uint32_t before = sum_of(&w);
    open_first(&w, &plan);
    ASSERT((w.opened.error == ERR_NONE) == (w.opened.text.text[0] == '\0'));
    if (w.opened.error == ERR_NONE) {
        live_on(&w, &plan);
    } else if (!(plan.flags & SWAP) && plan.crash_at == 0) {
        ASSERT(sum_of(&w) == before);
    }
    if (sim_node_up(w.node) && w.dir != NULL) {
        sim_node_crash(w.node, SIM_KILL);
    }
    drop(&w);
    sim_free(w.sim);
    return 0;
}
