/* bench_log DIR [MIB]: what a log costs, each figure beside the machine's limit measured in the
 * same run. DIR is made, must not exist, and is removed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/log/log.h"
#include "broker/os/impl.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/wire/batch.h"
#include "tests/bench/log/limits.h"

enum { LOGS_MAX = 256, LATENCIES_MAX = 2000000 };

struct bench;

struct part {
    struct bench *bench;
    struct log *log;
    double begun_s;
    int64_t in_flight_end;
};

struct bench {
    struct os *os;
    struct env *env;
    const char *dir_path;
    char data[4096];
    struct log_dir *dir;
    struct part parts[LOGS_MAX];
    int waiting;
    bool compacted;
    bool committing;
    struct buf *batch;
    double *latencies;
    int64_t latency_count;
};

/* What we post from outside a turn does not wake a loop that sleeps. */
static void turn(struct bench *b)
{
    uv_run(&b->os->loop, env_wait_ms(b->env) == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
}

static void wait(struct bench *b)
{
    while (b->waiting > 0) {
        turn(b);
    }
}

static void check(enum err error, const struct err_text *text)
{
    if (error != ERR_NONE) {
        fprintf(stderr, "bench_log: %s\n", text->text);
        exit(1);
    }
}

static void on_done(void *ctx, enum err error, const struct err_text *text)
{
    check(error, text);
    ((struct bench *)ctx)->waiting--;
}

static void on_dir(void *ctx, struct log_dir *dir, const struct log_dir_found *found)
{
    struct bench *b = ctx;
    check(found->error, &found->text);
    b->waiting--;
    if (!found->formatted) {
        struct log_dir_meta meta = {.cluster_id = "bench", .node_id = 1};
        meta.directory_id = uuid_from_number(42);
        b->waiting++;
        log_dir_format(dir, &meta, on_done, b);
    }
}

static int64_t recovered;

static void on_log(void *ctx, struct log *log, const struct log_opened *opened)
{
    struct part *part = ctx;
    (void)log;
    check(opened->error, &opened->text);
    recovered = opened->recovered_bytes;
    part->bench->waiting--;
}

static void on_trace(void *ctx, enum trace_level level, const char *line)
{
    struct bench *b = ctx;
    b->compacted = b->compacted || strncmp(line, "compacted ", 10) == 0;
    if (level <= TRACE_WARN || b->compacted) {
        fprintf(stderr, "%s\n", line);
    }
}

static struct buf *make_batch(struct rng *rng, int records, int value_bytes, uint32_t keys)
{
    struct batch_builder builder;
    struct bytes out = {0};
    uint8_t *value = mem_alloc((size_t)value_bytes);
    batch_builder_init(&builder);
    for (int i = 0; i < records; i++) {
        uint32_t key = (uint32_t)rng_below(rng, keys);
        for (int k = 0; k < value_bytes; k++) {
            value[k] = (uint8_t)rng_next(rng);
        }
        batch_builder_add(&builder, 1700000000000 + i,
                          (struct wire_bytes){(const uint8_t *)&key, sizeof key},
                          (struct wire_bytes){value, value_bytes}, NULL, 0);
    }
    enum err e = batch_build(&builder, &out, NULL);
    ASSERT(e == ERR_NONE);
    struct buf *buf = buf_copy(out.data, out.size);
    bytes_free(&out);
    batch_builder_free(&builder);
    mem_free(value);
    return buf;
}

static void append(struct part *part, const struct buf *batch)
{
    struct log_append_result result;
    struct buf *copy = buf_copy(batch->data, batch->size);
    log_append_as_leader(part->log, copy, 0, copy->size, 0, &result);
    buf_unref(copy);
    if (result.error != 0) {
        fprintf(stderr, "bench_log: append: error %d %s\n", result.error,
                result.message == NULL ? "" : result.message);
        exit(1);
    }
    part->in_flight_end = result.last_offset + 1;
}

static void on_durable(void *ctx, struct log *log)
{
    struct part *part = ctx;
    struct bench *b = part->bench;
    if (!b->committing || log_durable_end(log) < part->in_flight_end) {
        return;
    }
    double now_s = cost_now().wall_s;
    if (b->latency_count < LATENCIES_MAX) {
        b->latencies[b->latency_count++] = (now_s - part->begun_s) * 1000;
    }
    part->begun_s = now_s;
    append(part, b->batch);
}

static void open_dir(struct bench *b)
{
    b->waiting++;
    b->dir = log_dir_open(b->env, b->data, on_dir, b);
    wait(b);
}

/* Without waiting. */
static void begin_open(struct bench *b, int i, const char *topic, const struct log_config *config)
{
    static const struct log_events events = {.durable = on_durable};
    struct uuid id = uuid_from_number(77);
    struct part *part = &b->parts[i];
    part->bench = b;
    part->in_flight_end = 0;
    b->waiting++;
    part->log = log_open(b->dir, topic, i, &id, config, ENV_WORKER_APPEND, ENV_WORKER_COMMIT,
                         &events, on_log, part);
}

static void open_log(struct bench *b, int i, const char *topic, const struct log_config *config)
{
    begin_open(b, i, topic, config);
    wait(b);
}

static void close_log(struct bench *b, int i)
{
    b->waiting++;
    log_close(b->parts[i].log, on_done, b);
    wait(b);
    log_free(b->parts[i].log);
}

static void close_dir(struct bench *b)
{
    b->waiting++;
    log_dir_close(b->dir, 1, on_done, b);
    wait(b);
    log_dir_free(b->dir);
}

static double gib(int64_t bytes)
{
    return (double)bytes / (1 << 30);
}

/* ---- the figures ----
 */

static void bench_append(struct bench *b, int64_t bytes)
{
    struct log_config config = log_config_default();
    config.flush_messages = INT64_MAX;
    config.timestamp_before_max_ms = INT64_MAX;
    struct rng rng;
    rng_seed(&rng, 1);
    struct buf *batch = make_batch(&rng, 62, 1024, 1000);
    open_log(b, 0, "append", &config);
    struct part *part = &b->parts[0];
    struct cost before = cost_now();
    for (int64_t done = 0; done < bytes; done += (int64_t)batch->size) {
        append(part, batch);
        while (log_assigned_end(part->log) - log_end(part->log) > 62 * 64) {
            turn(b);
        }
        if (done / (int64_t)batch->size % 16 == 15) {
            uv_run(&b->os->loop, UV_RUN_NOWAIT);
        }
    }
    while (log_end(part->log) < log_assigned_end(part->log)) {
        turn(b);
    }
    struct cost ours = cost_since(before);
    struct cost limit = limit_crc_and_write(b->dir_path, bytes, 65536);
    printf("append, batches of %zu bytes      %6.2f GiB/CPU-s %6.2f GiB/s   limit (CRC + pwrite) "
           "%.2f GiB/CPU-s: %.0f %%\n",
           batch->size, gib(bytes) / ours.cpu_s, gib(bytes) / ours.wall_s, gib(bytes) / limit.cpu_s,
           100 * limit.cpu_s / ours.cpu_s);
    buf_unref(batch);
}

static void crash_and_recover(struct bench *b)
{
    struct log_config config = log_config_default();
    char path[4200];
    int64_t bytes = log_bytes(b->parts[0].log);
    log_free(b->parts[0].log); /* as a killed process: no file is touched */
    log_dir_free(b->dir);
    open_dir(b);
    struct cost before = cost_now();
    open_log(b, 0, "append", &config);
    struct cost ours = cost_since(before);
    snprintf(path, sizeof path, "%s/append-0/%020d.log", b->data, 0);
    struct stat st;
    int64_t first = stat(path, &st) == 0 ? st.st_size : 0;
    struct cost limit = limit_read_and_crc(path, first, 1 << 20);
    double ours_gibs = gib(recovered) / ours.wall_s;
    double limit_gibs = gib(first) / limit.wall_s;
    printf("recovery of %.1f GiB, sync included %6.2f GiB/s %6.2f GiB/CPU-s  limit (pread + CRC) "
           "%.2f GiB/s: %.0f %%\n",
           gib(bytes), ours_gibs, gib(recovered) / ours.cpu_s, limit_gibs,
           100 * ours_gibs / limit_gibs);
}

static void on_read(struct log_read *read)
{
    ((struct bench *)read->ctx)->waiting--;
}

static void bench_read(struct bench *b)
{
    struct log *log = b->parts[0].log;
    int64_t bytes = 0;
    char path[4200];
    uint8_t *to = mem_alloc(2 << 20);
    struct env_fs *fs = os_fs(b->os);
    struct cost before = cost_now();
    for (int64_t at = log_start(log); at < log_end(log);) {
        struct log_read read = {.offset = at,
                                .limit_offset = INT64_MAX,
                                .max_bytes = 1 << 20,
                                .whole_first = true,
                                .done = on_read,
                                .ctx = b};
        b->waiting++;
        if (log_read(log, &read)) {
            b->waiting--;
        }
        wait(b);
        check(read.error, &read.text);
        if (read.file != NULL) {
            size_t got = 0;
            enum err e = env_fs_read(fs, read.file, to, read.size, read.at, &got, NULL);
            ASSERT(e == ERR_NONE && got == read.size);
            env_file_unref(read.file);
        }
        bytes += read.size;
        at = read.next_offset;
    }
    struct cost ours = cost_since(before);
    snprintf(path, sizeof path, "%s/append-0/%020d.log", b->data, 0);
    struct cost limit = limit_read(path, bytes, 1 << 20);
    struct stat st;
    double limit_gibs = gib(stat(path, &st) == 0 ? st.st_size : 0) / limit.wall_s;
    printf(
        "sequential read in 1 MiB ranges    %6.2f GiB/s %6.2f GiB/CPU-s  limit (pread) %.2f GiB/s: "
        "%.0f %% (each byte is read twice, once for its CRC)\n",
        gib(bytes) / ours.wall_s, gib(bytes) / ours.cpu_s, limit_gibs,
        100 * gib(bytes) / ours.wall_s / limit_gibs);
    mem_free(to);
}

static void bench_commits(struct bench *b, int partitions)
{
    struct log_config config = log_config_default();
    struct rng rng;
    double limit_per_s = 0;
    double limit_ms = 0;
    char topic[32];
    rng_seed(&rng, 2);
    b->batch = make_batch(&rng, 4, 1000, 1000);
    snprintf(topic, sizeof topic, "commit%d", partitions);
    for (int i = 0; i < partitions; i++) {
        begin_open(b, i, topic, &config);
    }
    wait(b);
    limit_sync(b->dir_path, (int64_t)b->batch->size, &limit_per_s, &limit_ms);
    b->latency_count = 0;
    b->committing = true;
    struct cost before = cost_now();
    for (int i = 0; i < partitions; i++) {
        b->parts[i].begun_s = cost_now().wall_s;
        append(&b->parts[i], b->batch);
    }
    while (cost_since(before).wall_s < 4) {
        turn(b);
    }
    b->committing = false;
    double per_s = (double)b->latency_count / cost_since(before).wall_s;
    double p99 = percentile(b->latencies, b->latency_count, 0.99);
    double p50 = percentile(b->latencies, b->latency_count, 0.5);
    printf("durable commits, %3d partitions     %7.0f /s   p50 %.2f ms  p99 %.2f ms   limit (one "
           "file, write + fdatasync) %.0f /s, %.2f ms: %.2f times\n",
           partitions, per_s, p50, p99, limit_per_s, limit_ms, per_s / limit_per_s);
    for (int i = 0; i < partitions; i++) {
        b->waiting++;
        log_close(b->parts[i].log, on_done, b);
    }
    wait(b);
    for (int i = 0; i < partitions; i++) {
        log_free(b->parts[i].log);
    }
    buf_unref(b->batch);
}

static void bench_compaction(struct bench *b, int64_t bytes)
{
    struct log_config config = log_config_default();
    struct log_cleaner cleaner = log_cleaner_default();
    struct rng rng;
    config.flush_messages = INT64_MAX;
    config.segment_bytes = 64 << 20;
    config.compacted = true;
    config.cleanup_delete = false;
    rng_seed(&rng, 3);
    cleaner.enabled = false;
    log_dir_configure_cleaner(b->dir, &cleaner);
    open_log(b, 0, "compact", &config);
    for (int64_t done = 0; done < bytes;) {
        struct buf *batch = make_batch(&rng, 60, 1000, 100000);
        append(&b->parts[0], batch);
        done += (int64_t)batch->size;
        buf_unref(batch);
        while (log_assigned_end(b->parts[0].log) - log_end(b->parts[0].log) > 6000) {
            turn(b);
        }
    }
    while (log_end(b->parts[0].log) < log_assigned_end(b->parts[0].log)) {
        turn(b);
    }
    log_note_high_watermark(b->parts[0].log, log_end(b->parts[0].log));
    close_log(b, 0); /* so that the recovery point is on disk */
    close_dir(b);
    open_dir(b);
    open_log(b, 0, "compact", &config);
    log_note_high_watermark(b->parts[0].log, log_end(b->parts[0].log));
    int64_t size = log_bytes(b->parts[0].log);
    char path[4200];
    snprintf(path, sizeof path, "%s/compact-0/%020d.log", b->data, 0);
    struct cost limit = limit_copy(b->dir_path, path, 64 << 20, 1 << 20);
    cleaner = log_cleaner_default();
    cleaner.backoff_ms = 1;
    log_dir_configure_cleaner(b->dir, &cleaner);
    struct cost before = cost_now();
    while (!b->compacted) {
        turn(b);
    }
    struct cost ours = cost_since(before);
    double limit_mibs = 64 / limit.wall_s;
    double ours_mibs = (double)size / (1 << 20) / ours.wall_s;
    printf(
        "compaction of %4.0f MiB to %4.0f MiB  %7.0f MiB/s %6.2f GiB/CPU-s  limit (pread + pwrite) "
        "%.0f MiB/s: %.0f %% (all of it is read twice)\n",
        (double)size / (1 << 20), (double)log_bytes(b->parts[0].log) / (1 << 20), ours_mibs,
        gib(size) / ours.cpu_s, limit_mibs, 100 * ours_mibs / limit_mibs);
    close_log(b, 0);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: bench_log DIR [MIB]\n");
        return 2;
    }
    int64_t bytes = (argc == 3 ? atoll(argv[2]) : 2048) << 20;
    struct bench *b = mem_zalloc(sizeof *b);
    struct trace trace = {.level = TRACE_INFO, .sink = on_trace, .ctx = b};
    struct err_text text;
    b->dir_path = argv[1];
    snprintf(b->data, sizeof b->data, "%s/data", argv[1]);
    if (mkdir(argv[1], 0700) != 0) {
        perror(argv[1]);
        return 1;
    }
    b->latencies = mem_array(LATENCIES_MAX, sizeof *b->latencies);
    b->os = os_open(&trace, &text);
    ASSERT(b->os != NULL);
    b->env = os_env(b->os);
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_dir(b);
    bench_append(b, bytes);
    crash_and_recover(b);
    bench_read(b);
    close_log(b, 0);
    static const int partitions[] = {1, 16, 64, 256};
    for (int i = 0; i < 4; i++) {
        bench_commits(b, partitions[i]);
    }
    bench_compaction(b, bytes / 4);
    close_dir(b);
    os_stop(b->os, 0);
    os_run(b->os);
    os_free(b->os);
    mem_free(b->latencies);
    mem_free(b);
    char command[5000];
    snprintf(command, sizeof command, "rm -rf '%s'", argv[1]);
    return system(command) == 0 ? 0 : 1;
}
