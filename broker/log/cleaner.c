/* Which log is compacted and when (Kafka's LogCleanerManager), and the core's side of it.
 *
 * Once in log.cleaner.backoff.ms the dirtiest log of the directory that is dirty enough is taken;
 * one at a time. Its work (clean.c) is done in steps of a megabyte, so that it can be throttled,
 * and given up between any two: when the log is cut, closed, deleted or fails. Only the swap of a
 * group cannot be given up; it counts as `working`, which cuts and deletions wait for.
 *
 * Never touched: the active segment, anything at or above the high watermark the owner noted, the
 * last stable offset, records younger than min.compaction.lag.ms; and nothing that the recovery
 * point on disk does not cover, so that above it a gap is a loss (recover.c). */
#include <stdlib.h>
#include <string.h>

#include "broker/log/clean.h"
#include "common/base/assert.h"

enum { STEP_BYTES = 1 << 20, AGAIN_MS = 1000 };

struct log_cleaner log_cleaner_default(void)
{
    return (struct log_cleaner){.enabled = true,
                                .dedupe_buffer_bytes = 128 << 20,
                                .io_max_bytes_per_second = 1e300,
                                .backoff_ms = 15000};
}

void log_dir_configure_cleaner(struct log_dir *dir, const struct log_cleaner *cleaner)
{
    dir->cleaner = *cleaner;
    if (dir->ready && !dir->failed && !dir->closing) {
        cleaner_start(dir);
    }
}

/* ---- how dirty ----------------------------------------------------------------------------------
 */

struct dirt {
    int64_t dirty_offset; /* where the dirty part begins */
    size_t segments;      /* that may be touched, from the first on */
    int64_t clean_bytes;
    int64_t dirty_bytes;
    bool overdue; /* by max.compaction.lag.ms */
};

static int64_t last_stable_offset(const struct log *log)
{
    int64_t limit = log->noted_high_watermark;
    const struct producer *producer = NULL;
    const struct producer *next = NULL;
    HASH_ITER(hh, log->producers.by_id, producer, next)
    {
        if (producer->txn_first_offset >= 0 && producer->txn_first_offset < limit) {
            limit = producer->txn_first_offset;
        }
    }
    return limit;
}

static struct dirt dirt_of(const struct log *log)
{
    struct dirt d = {.dirty_offset = log->entry->cleaned};
    int64_t limit = last_stable_offset(log);
    int64_t now = env_wall_ms(log->env);
    if (d.dirty_offset < log->start) {
        d.dirty_offset = log->start;
    }
    for (size_t i = 0; i + 1 < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        bool dirty = segment->end_offset > d.dirty_offset;
        int64_t newest = segment->max_timestamp >= 0 ? segment->max_timestamp : segment->created_ms;
        int64_t oldest =
            segment->first_timestamp >= 0 ? segment->first_timestamp : segment->created_ms;
        if (!segment->settled || segment->working || segment->end_offset > limit ||
            segment->end_offset > log->entry->kept_recovery_point ||
            (dirty && now - newest < log->config.min_compaction_lag_ms)) {
            break;
        }
        d.segments++;
        if (dirty) {
            d.dirty_bytes += segment->size;
            d.overdue = d.overdue || now - oldest > log->config.max_compaction_lag_ms;
        } else {
            d.clean_bytes += segment->size;
        }
    }
    return d;
}

static double ratio_of(const struct dirt *d)
{
    return d->dirty_bytes == 0 ? 0
                               : (double)d->dirty_bytes / (double)(d->dirty_bytes + d->clean_bytes);
}

static bool may_be_cleaned(const struct log *log)
{
    return log->state == LOG_OPEN && !log->failed && !log->cut_wanted && log->config.compacted &&
           log->producers_known && log->delete_checkpoint == 0 && log->clean == NULL;
}

/* ---- one compaction -----------------------------------------------------------------------------
 */

struct clean_task {
    struct task task;
    struct clean *clean; /* the log's */
};

static void clean_submit(struct log *log);

/* The directory is free for another. */
static void clean_end(struct log *log)
{
    struct log_dir *dir = log->dir;
    ASSERT(dir->cleaning == log && !log->clean_stepping);
    env_timer_cancel(dir->env, &dir->clean_step_timer);
    dir->cleaning = NULL;
    clean_free(log->clean);
    log->clean = NULL;
}

void clean_cancel(struct log *log)
{
    if (log->clean == NULL) {
        return;
    }
    if (log->clean_stepping) {
        log->clean_cancelled = true;
    } else if (log->clean->phase != CLEAN_SWAP || !log->clean_swapping) {
        clean_end(log);
    }
}

void clean_drop(struct log *log)
{
    if (log->clean != NULL) {
        log->clean_stepping = false;
        clean_end(log);
    }
}

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct clean_producer *)a)->id;
    int64_t y = ((const struct clean_producer *)b)->id;
    return x < y ? -1 : x > y;
}

static void take_producers(struct clean *c, const struct log *log)
{
    const struct producer *producer = NULL;
    const struct producer *next = NULL;
    c->producers = mem_array(producers_count(&log->producers) + 1, sizeof *c->producers);
    HASH_ITER(hh, log->producers.by_id, producer, next)
    {
        if (producer->count > 0) {
            c->producers[c->producer_count++] = (struct clean_producer){
                .id = producer->id,
                .last_offset = producer->batches[producer->count - 1].last_offset};
        }
    }
    qsort(c->producers, c->producer_count, sizeof *c->producers, by_id);
}

static void clean_begin(struct log *log, const struct dirt *d)
{
    struct log_dir *dir = log->dir;
    struct clean *c = mem_zalloc(sizeof *c);
    const uint64_t secret[2] = {env_random(log->env), env_random(log->env)};
    c->path = mem_strdup(log->path);
    c->dirty_offset = d->dirty_offset;
    c->map_end = d->dirty_offset;
    c->now_ms = env_wall_ms(log->env);
    c->delete_retention_ms = log->config.delete_retention_ms;
    c->segment_bytes = log->config.segment_bytes;
    c->segment_index_bytes = log->config.segment_index_bytes;
    c->index_interval_bytes = log->config.index_interval_bytes;
    for (size_t i = 0; i < d->segments; i++) {
        const struct segment *segment = log->segments[i];
        *MEM_PUSH(c->sources, c->source_count, c->source_capacity) =
            (struct clean_source){.base_offset = segment->base_offset,
                                  .end_offset = segment->end_offset,
                                  .size = segment->size};
    }
    take_producers(c, log);
    keymap_init(&c->map, (size_t)dir->cleaner.dedupe_buffer_bytes, secret);
    c->phase = CLEAN_MAP;
    log->clean = c;
    log->clean_cancelled = false;
    log->clean_swapping = false;
    dir->cleaning = log;
    clean_submit(log);
}

/* Are the segments of the group as they were when the work began? */
static bool group_stands(const struct log *log, const struct clean *c, size_t *first)
{
    *first = log_segment_index(log, c->sources[c->group].base_offset);
    size_t count = c->group_end - c->group;
    if (*first + count >= log->segment_count || log->cut_wanted) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct segment *segment = log->segments[*first + i];
        if (segment->base_offset != c->sources[c->group + i].base_offset || segment->working ||
            !segment->settled) {
            return false;
        }
    }
    return true;
}

/* From here on readers look at what the files hold by then (read.c, lookup.c). */
static void begin_swap(struct log *log, size_t first)
{
    const struct clean *c = log->clean;
    for (size_t i = c->group; i < c->group_end; i++) {
        log->segments[first + i - c->group]->working = true;
    }
    log->layout++;
    recents_forget(&log->recents, c->sources[c->group_end - 1].end_offset);
    log->working++;
    log->clean_swapping = true;
}

static void end_swap(struct log *log)
{
    struct clean *c = log->clean;
    size_t first = log_segment_index(log, c->sources[c->group].base_offset);
    size_t count = c->group_end - c->group;
    int64_t end_offset = c->sources[c->group_end - 1].end_offset;
    struct segment *old = log->segments[first];
    ASSERT(old->base_offset == c->facts.base_offset && c->facts.end_offset <= end_offset);
    c->facts.settled = true;
    struct segment *segment = segment_of_facts(&c->facts, old->created_ms);
    segment->end_offset = end_offset;
    for (size_t i = 0; i < count; i++) {
        struct segment *gone = log->segments[first + i];
        if (i > 0) {
            char *path = segment_path(log->path, gone->base_offset, "");
            dir_remove_segment_later(log->dir, path, log->config.file_delete_delay_ms);
            mem_free(path);
        }
        log->bytes -= gone->size;
        segment_free(gone);
    }
    log->segments[first] = segment;
    memmove(log->segments + first + 1, log->segments + first + count,
            (log->segment_count - first - count) * sizeof *log->segments);
    log->segment_count -= count - 1;
    log->bytes += segment->size;
    log->layout++;
    log->working--;
    log->clean_swapping = false;
    queue_flush_soon(log); /* a cut or a deletion may have waited */
}

static void clean_finish(struct log *log)
{
    const struct clean *c = log->clean;
    trace_info(env_trace(log->env),
               "compacted %s up to offset %lld: %lld bytes read, %lld written, %lld records kept, "
               "%lld dropped",
               log->name, (long long)c->map_end, (long long)c->read_bytes,
               (long long)c->written_bytes, (long long)c->kept_records,
               (long long)c->dropped_records);
    log->entry->cleaned = c->map_end;
    dir_checkpoint(log->dir, CHECKPOINT_CLEANER);
    clean_end(log);
}

/* By log.cleaner.io.max.bytes.per.second: what the last step read and wrote is paid for first. */
static void clean_go_on(struct log *log)
{
    struct log_dir *dir = log->dir;
    double wait_ms = (double)log->clean->step_bytes * 1000.0 / dir->cleaner.io_max_bytes_per_second;
    if (wait_ms < 1) {
        clean_submit(log);
    } else {
        env_timer_set(dir->env, &dir->clean_step_timer,
                      env_now_ms(dir->env) + (int64_t)(wait_ms > 60000 ? 60000 : wait_ms));
    }
}

static void step_failed(struct log *log, struct task *task)
{
    struct log_dir *dir = log->dir;
    err_wrap(&task->text, "compact %s", log->name);
    if (task->error == ERR_NO_SPACE && log->clean_swapping) {
        env_timer_set(dir->env, &dir->clean_step_timer, env_now_ms(dir->env) + AGAIN_MS);
        return;
    }
    if (log->clean_swapping) {
        log->working--;
        log->clean_swapping = false;
    }
    clean_end(log);
    if (task->error == ERR_NO_SPACE || task->error == ERR_NOT_FOUND) {
        trace_warn(env_trace(log->env), "given up, to be tried again: %s", task->text.text);
        return;
    }
    log_fail(log, task->error, &task->text);
}

static void step_finished(struct task *task)
{
    struct log *log = task->log;
    struct clean *c = log->clean;
    size_t first = 0;
    log->clean_stepping = false;
    if (task->error != ERR_NONE) {
        step_failed(log, task);
        return;
    }
    if (log->clean_swapping) {
        end_swap(log);
    }
    if (log->clean_cancelled || log->state != LOG_OPEN || log->failed) {
        clean_end(log);
    } else if (c->phase == CLEAN_DONE) {
        clean_finish(log);
    } else if (c->phase != CLEAN_SWAP) {
        clean_go_on(log);
    } else if (group_stands(log, c, &first)) {
        begin_swap(log, first);
        clean_submit(log);
    } else {
        clean_end(log);
    }
}

static void step_run(struct task *task, struct env_fs *fs)
{
    struct clean_task *t = CONTAINER_OF(task, struct clean_task, task);
    task->error = clean_step(t->clean, fs, STEP_BYTES, &task->text);
}

static void clean_submit(struct log *log)
{
    struct log_dir *dir = log->dir;
    struct clean_task *task = task_new(sizeof *task, dir, log);
    task->clean = log->clean;
    task->task.run = step_run;
    task->task.finished = step_finished;
    log->clean_stepping = true;
    if (dir->clean_lane == NULL) {
        dir->clean_lane = env_lane_open(dir->env, ENV_WORKER_BULK);
    }
    task_submit(&task->task, dir->clean_lane);
}

/* ---- the directory's timer ----------------------------------------------------------------------
 */

static void step_due(struct env_timer *timer)
{
    struct log_dir *dir = CONTAINER_OF(timer, struct log_dir, clean_step_timer);
    ASSERT(dir->cleaning != NULL && !dir->cleaning->clean_stepping);
    clean_submit(dir->cleaning);
}

static void cleaner_due(struct env_timer *timer)
{
    struct log_dir *dir = CONTAINER_OF(timer, struct log_dir, cleaner_timer);
    struct log *best = NULL;
    struct dirt best_dirt = {0};
    env_timer_set(dir->env, timer, env_now_ms(dir->env) + dir->cleaner.backoff_ms);
    if (dir->cleaning != NULL || dir->full) {
        return;
    }
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        if (entry->log == NULL || !may_be_cleaned(entry->log)) {
            continue;
        }
        struct dirt d = dirt_of(entry->log);
        bool due = d.overdue || ratio_of(&d) > entry->log->config.min_cleanable_dirty_ratio;
        if (d.dirty_bytes > 0 && due && (best == NULL || ratio_of(&d) > ratio_of(&best_dirt))) {
            best = entry->log;
            best_dirt = d;
        }
    }
    if (best != NULL) {
        clean_begin(best, &best_dirt);
    }
}

void cleaner_start(struct log_dir *dir)
{
    dir->cleaner_timer.fire = cleaner_due;
    dir->clean_step_timer.fire = step_due;
    if (dir->cleaner.enabled && dir->cleaner.backoff_ms >= 0) {
        int64_t wait_ms = dir->cleaner.backoff_ms > 0 ? dir->cleaner.backoff_ms : 1;
        env_timer_set(dir->env, &dir->cleaner_timer, env_now_ms(dir->env) + wait_ms);
    } else {
        env_timer_cancel(dir->env, &dir->cleaner_timer);
    }
}

void cleaner_stop(struct log_dir *dir)
{
    env_timer_cancel(dir->env, &dir->cleaner_timer);
    env_timer_cancel(dir->env, &dir->clean_step_timer);
    if (dir->cleaning != NULL) {
        clean_cancel(dir->cleaning);
    }
}
