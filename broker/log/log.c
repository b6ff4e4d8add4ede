/* A log's life: opening, failing, and what may be asked of it at any time. Its end is close.c's. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct log_config log_config_default(void)
{
    return (struct log_config){.segment_bytes = 1 << 30,
                               .segment_ms = INT64_C(604800000),
                               .index_interval_bytes = 4096,
                               .segment_index_bytes = 10 << 20,
                               .max_message_bytes = (1 << 20) + 12,
                               .flush_messages = 1,
                               .flush_ms = INT64_MAX,
                               .retention_ms = INT64_C(604800000),
                               .retention_bytes = -1,
                               .file_delete_delay_ms = 60000,
                               .cleanup_delete = true,
                               .timestamp_before_max_ms = INT64_MAX,
                               .timestamp_after_max_ms = 3600000,
                               .producer_id_expiration_ms = 86400000,
                               .min_cleanable_dirty_ratio = 0.5,
                               .max_compaction_lag_ms = INT64_MAX,
                               .delete_retention_ms = 86400000};
}

/* ---- opening ------------------------------------------------------------------------------------
 */

static void take_load(struct log *log, struct load *load)
{
    for (size_t i = 0; i < load->segment_count; i++) {
        struct segment *segment = segment_of_facts(&load->segments[i], env_wall_ms(log->env));
        segment->exists = true;
        segment->sealed = i + 1 < load->segment_count;
        log_add_segment(log, segment);
        log->bytes += segment->size;
    }
    log->start = load->opened.start_offset;
    log->assigned = load->opened.end_offset;
    log->written = log->assigned;
    log->durable = log->assigned;
    log->epochs = load->epochs;
    load->epochs = (struct epochs){0};
    log->epochs_dirty = true;
    log->epochs_kept_end = load->epochs_kept ? log->assigned : 0;
    producers_swap(&log->producers, &load->producers);
    log->producers_known = true;
    int64_t high_watermark = load->high_watermark;
    if (high_watermark < log->start) {
        high_watermark = log->start;
    }
    log->recovered_high_watermark = high_watermark < log->assigned ? high_watermark : log->assigned;
    log->noted_high_watermark = log->recovered_high_watermark;
    log->made = !load->fresh;
    log->entry->on_disk = log->made;
    log->entry->topic_id = log->topic_id;
    if (log_first_unsettled(log) + 1 < log->segment_count) {
        queue_flush_soon(log); /* there was no room for an index */
    }
}

static void load_finished(struct task *task)
{
    struct load *load = CONTAINER_OF(task, struct load, task);
    struct log *log = task->log;
    load->opened.error = task->error;
    if (task->error != ERR_NONE) {
        load->opened.text = task->text;
    }
    if (task->error == ERR_NONE && log->dir->failed) {
        load->opened.error = log->dir->error;
        load->opened.text = log->dir->text;
    }
    if (load->opened.error != ERR_NONE) {
        err_wrap(&load->opened.text, "open log %s", log->name);
        log->state = LOG_BROKEN;
        log->opened(log->ctx, log, &load->opened);
        return;
    }
    take_load(log, load);
    log->state = LOG_OPEN;
    if (epochs_wait(log, log->written)) {
        epochs_save(log); /* what was learned from batches is in no file yet */
    }
    log->entry->clean =
        load->clean && load->opened.cut_bytes == 0 && load->opened.recovered_bytes == 0;
    if (load->opened.cut_bytes > 0) {
        trace_warn(env_trace(log->env),
                   "recovered %s: cut %" PRId64 " bytes of a torn tail, the log ends at offset "
                   "%" PRId64 " (%" PRId64 " bytes were checked)",
                   log->name, load->opened.cut_bytes, log->assigned, load->opened.recovered_bytes);
    }
    log->opened(log->ctx, log, &load->opened);
}

static void news(struct env_post *post)
{
    struct log *log = CONTAINER_OF(post, struct log, news_post);
    bool written = log->news_written;
    bool durable = log->news_durable;
    bool failed = log->news_failed;
    bool full = log->news_full;
    log->news_written = false;
    log->news_durable = false;
    log->news_failed = false;
    log->news_full = false;
    if (log->state != LOG_OPEN) {
        return;
    }
    if (failed) {
        if (log->events.failed != NULL) {
            log->events.failed(log->ctx, log, log->error, &log->text);
        }
        return;
    }
    if (written && log->events.written != NULL) {
        log->events.written(log->ctx, log);
    }
    /* The call before may have closed or deleted it; its memory stays until a later turn. */
    if (durable && log->state == LOG_OPEN && log->events.durable != NULL) {
        log->events.durable(log->ctx, log);
    }
    if (full && log->state == LOG_OPEN && log->events.full != NULL) {
        log->events.full(log->ctx, log);
    }
}

void log_announce(struct log *log)
{
    env_post(log->env, &log->news_post);
}

static void settle(struct env_post *post)
{
    log_settle(CONTAINER_OF(post, struct log, settle_post));
}

static struct load *load_of(struct log *log)
{
    const struct dir_entry *entry = log->entry;
    struct load *load = task_new(sizeof *load, log->dir, log);
    load->path = mem_strdup(log->path);
    load->dir_path = mem_strdup(log->dir->path);
    load->name = mem_strdup(log->name);
    load->topic_id = log->topic_id;
    load->fresh = !entry->on_disk && log->append_worker != ENV_WORKER_META;
    load->clean = entry->clean;
    load->compacted = log->config.compacted || entry->cleaned >= 0; /* gaps are no damage then */
    load->index_interval_bytes = log->config.index_interval_bytes;
    load->recovery_point = entry->recovery_point;
    load->high_watermark = entry->high_watermark < 0 ? 0 : entry->high_watermark;
    load->start_offset = entry->start < 0 ? 0 : entry->start;
    load->task.run = load_run;
    load->task.finished = load_finished;
    load->task.release = load_release;
    return load;
}

struct log *log_open(struct log_dir *dir, const char *topic, int32_t partition,
                     const struct uuid *topic_id, const struct log_config *config,
                     enum env_worker append, enum env_worker commit,
                     const struct log_events *events,
                     void (*opened)(void *ctx, struct log *log, const struct log_opened *opened),
                     void *ctx)
{
    ASSERT(dir->ready && !dir->closing);
    ASSERT(opened != NULL && partition >= 0);
    struct log *log = mem_zalloc(sizeof *log);
    log->dir = dir;
    log->env = dir->env;
    log->entry = dir_entry_of(dir, topic, partition);
    ASSERT(log->entry->log == NULL);
    log->entry->log = log;
    log->topic = mem_strdup(topic);
    log->partition = partition;
    log->topic_id = *topic_id;
    log->name = mem_strdup(log->entry->name);
    log->path = path_join(dir->path, log->name);
    log->config = *config;
    log->append_worker = append;
    log->commit_worker = commit;
    log->events = *events;
    log->opened = opened;
    log->ctx = ctx;
    list_init(&log->tasks);
    list_init(&log->reads);
    list_init(&log->lookups);
    list_init(&log->queue);
    list_init(&log->deferred);
    list_init(&log->commit_node);
    list_init(&log->make_node);
    list_init(&log->epochs_node);
    list_init(&log->files_node);
    env_post_init(&log->news_post, news);
    env_post_init(&log->settle_post, settle);
    log->lane = env_lane_open(dir->env, append);
    log->bulk_lane = env_lane_open(dir->env, ENV_WORKER_BULK);
    log->load_waiting = load_of(log);
    log_open_step(log);
    return log;
}

void log_open_step(struct log *log)
{
    struct load *load = log->load_waiting;
    const struct log_dir *dir = log->dir;
    if (load == NULL ||
        (!log->entry->on_disk && !dir->failed && dir->checkpoint_done < dir->checkpoint_tidy)) {
        return;
    }
    log->load_waiting = NULL;
    task_submit(&load->task, log->bulk_lane);
}

void log_leave(struct log *log)
{
    struct dir_entry *entry = log->entry;
    if (entry == NULL) {
        return;
    }
    ASSERT(entry->log == log);
    entry->log = NULL;
    log->entry = NULL;
}

/* ---- memory -------------------------------------------------------------------------------------
 */

void log_drop_memory(struct log *log)
{
    env_post_cancel(log->env, &log->news_post);
    env_post_cancel(log->env, &log->settle_post);
    if (log->flush_post.run != NULL) {
        env_post_cancel(log->env, &log->flush_post);
    }
    commit_forget(log);
    make_forget(log);
    list_remove(&log->epochs_node);
    list_remove(&log->files_node);
    files_release(log);
    clean_drop(log);
    tasks_drop(&log->tasks);
    queue_drop(log, -1);
    for (size_t i = 0; i < log->segment_count; i++) {
        segment_free(log->segments[i]);
    }
    mem_free(log->segments);
    recents_free(&log->recents);
    epochs_free(&log->epochs);
    producers_free(&log->producers);
    env_lane_close(log->env, log->lane);
    env_lane_close(log->env, log->bulk_lane);
    if (log->read_lane != NULL) {
        env_lane_close(log->env, log->read_lane);
    }
    mem_free(log->topic);
    mem_free(log->name);
    mem_free(log->path);
    mem_free(log);
}

void log_free(struct log *log)
{
    log_leave(log);
    log_drop_memory(log);
}

void log_configure(struct log *log, const struct log_config *config)
{
    log->config = *config;
    if (log->state == LOG_OPEN) {
        commit_consider(log);
    }
}

void log_give_up(struct log *log, enum err error, const struct err_text *text)
{
    ASSERT(error != ERR_NONE);
    if (log->failed) {
        return;
    }
    log->dir->unclean = true;
    clean_cancel(log);
    log->failed = true;
    log->error = error;
    log->text = *text;
    queue_drop(log, -1);
    list_remove(&log->files_node);
    log->assigned = log->written;
    recents_truncate(&log->recents, log->written);
    (void)epochs_truncate_end(&log->epochs, log->written + 1);
    if (!producers_truncate(&log->producers, log->written)) {
        log->producers_known = false;
    }
    commit_forget(log);
    log->news_failed = true;
    log_announce(log);
}

void log_fail(struct log *log, enum err error, const struct err_text *text)
{
    if (log->failed) {
        return;
    }
    log_give_up(log, error, text);
    if (error != ERR_CORRUPT) {
        dir_fail(log->dir, error, text);
        return;
    }
    trace_error(env_trace(log->env),
                "%s is damaged and answers KAFKA_STORAGE_ERROR, nothing of it is changed: put the "
                "file back and restart, or let another replica lead and delete this copy: %s",
                log->name, text->text);
}

/* ---- segments -----------------------------------------------------------------------------------
 */

struct segment *log_active(const struct log *log)
{
    return log->segment_count == 0 ? NULL : log->segments[log->segment_count - 1];
}

size_t log_first_unsettled(const struct log *log)
{
    size_t i = log->segment_count;
    while (i > 0 && !log->segments[i - 1]->settled) {
        i--;
    }
    return i;
}

size_t log_segment_index(const struct log *log, int64_t offset)
{
    size_t low = 0;
    size_t high = log->segment_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (log->segments[mid]->end_offset <= offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct segment *log_segment_at(const struct log *log, int64_t offset)
{
    size_t i = log_segment_index(log, offset);
    return i == log->segment_count ? NULL : log->segments[i];
}

void log_add_segment(struct log *log, struct segment *segment)
{
    ASSERT(log->segment_count == 0 || log_active(log)->end_offset <= segment->base_offset);
    *MEM_PUSH(log->segments, log->segment_count, log->segment_capacity) = segment;
}

/* ---- looking ------------------------------------------------------------------------------------
 */

const struct log_config *log_configuration(const struct log *log)
{
    return &log->config;
}

const char *log_topic(const struct log *log)
{
    return log->topic;
}

int32_t log_partition(const struct log *log)
{
    return log->partition;
}

int64_t log_start(const struct log *log)
{
    return log->start;
}

int64_t log_assigned_end(const struct log *log)
{
    return log->assigned;
}

int64_t log_end(const struct log *log)
{
    return log->written;
}

int64_t log_durable_end(const struct log *log)
{
    return log->durable;
}

int64_t log_bytes(const struct log *log)
{
    return log->bytes;
}

bool log_failed(const struct log *log)
{
    return log->failed;
}

int64_t log_recovered_high_watermark(const struct log *log)
{
    return log->recovered_high_watermark;
}

void log_note_high_watermark(struct log *log, int64_t high_watermark)
{
    log->noted_high_watermark = high_watermark;
}

void log_begin_epoch(struct log *log, int32_t leader_epoch)
{
    ASSERT(leader_epoch >= 0);
    log->epochs_dirty =
        epochs_assign(&log->epochs, leader_epoch, log->assigned) || log->epochs_dirty;
}

int32_t log_last_epoch(const struct log *log)
{
    return epochs_last(&log->epochs);
}

int32_t log_epoch_at(const struct log *log, int64_t offset)
{
    return epochs_at(&log->epochs, offset);
}

void log_end_of_epoch(const struct log *log, int32_t leader_epoch, int32_t *found_epoch,
                      int64_t *end_offset)
{
    epochs_end_of(&log->epochs, leader_epoch, log->written, found_epoch, end_offset);
}
