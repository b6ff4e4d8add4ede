#include "broker/quorum/quorum.h"

#include <string.h>

#include "broker/quorum/quorum_internal.h"

struct uuid quorum_topic_id(void)
{
    return uuid_from_number(1);
}

/* ---- the log's news ---------------------------------------------------------------------------
 */

static void log_written(void *ctx, struct log *log)
{
    struct quorum *quorum = ctx;
    ASSERT(log == quorum->log);
    if (!quorum->closing) {
        quorum_serve_parked(quorum);
    }
}

static void log_durable(void *ctx, struct log *log)
{
    struct quorum *quorum = ctx;
    ASSERT(log == quorum->log);
    quorum_lead_advance(quorum);
    quorum_follow_advance(quorum);
    quorum_step(quorum);
}

static void log_broke(void *ctx, struct log *log, enum err error, const struct err_text *text)
{
    (void)log;
    quorum_fail(ctx, error, text);
}

/* Without `full`: on a full disk metadata waits for room, it is not refused. */
static const struct log_events log_news = {
    .written = log_written, .durable = log_durable, .failed = log_broke};

static void log_opened(void *ctx, struct log *log, const struct log_opened *opened)
{
    struct quorum *quorum = ctx;
    ASSERT(log == quorum->log && quorum->log_opening);
    quorum->log_opening = false;
    if (quorum->closing) {
        quorum->log_ready = opened->error == ERR_NONE;
        quorum_close_step(quorum);
        return;
    }
    if (opened->error != ERR_NONE) {
        struct err_text text = opened->text;
        err_wrap(&text, "open the metadata log");
        quorum_fail(quorum, opened->error, &text);
        return;
    }
    quorum->log_ready = true;
    quorum_snapshots_open(quorum); /* its directory exists now */
}

/* The metadata log keeps everything (snapshots shorten it) and syncs every write. */
static struct log_config metadata_log_config(const struct quorum_config *quorum)
{
    struct log_config config = log_config_default();
    if (quorum->segment_bytes > 0) {
        config.segment_bytes = quorum->segment_bytes;
    }
    if (quorum->segment_ms > 0) {
        config.segment_ms = quorum->segment_ms;
    }
    config.flush_messages = 1;
    config.retention_ms = -1;
    config.retention_bytes = -1;
    config.cleanup_delete = false;
    config.compacted = false;
    config.log_append_time = false;
    config.max_message_bytes = QUORUM_BATCH_BYTES_MAX;
    config.timestamp_before_max_ms = INT64_MAX;
    config.timestamp_after_max_ms = INT64_MAX;
    return config;
}

/* ---- life -------------------------------------------------------------------------------------
 */

struct quorum *quorum_open(struct env *env, struct log_dir *dir, const struct quorum_config *config,
                           const struct quorum_events *events, void *ctx)
{
    ASSERT(config->voter_count > 0 && config->voter_count <= QUORUM_VOTERS_MAX);
    struct quorum *quorum = mem_zalloc(sizeof *quorum);
    quorum->env = env;
    quorum->dir = dir;
    quorum->config = *config;
    quorum->events = events;
    quorum->ctx = ctx;
    quorum->role = QUORUM_OPENING;
    quorum->now = (struct quorum_state){0, -1, -1};
    quorum->durable = quorum->now;
    quorum->high_watermark = -1;
    quorum->leader_watermark = -1;
    quorum->deadline_ms = INT64_MAX;
    quorum->epoch_start_offset = -1;
    quorum->told_leader = -1;
    quorum->told_epoch = -1;
    quorum->active_epoch = -1;
    for (int32_t i = 0; i < config->voter_count; i++) {
        quorum->peers[i] =
            (struct quorum_peer){.voter = config->voters[i], .seen = quorum_not_seen};
    }
    if (quorum->config.request_timeout_ms <= 0) {
        quorum->config.request_timeout_ms = 2000;
    }
    if (quorum->config.retry_backoff_ms <= 0) {
        quorum->config.retry_backoff_ms = 20;
    }
    if (quorum->config.fetch_bytes <= 0) {
        quorum->config.fetch_bytes = QUORUM_FETCH_BYTES;
    }
    if (quorum->config.fetch_snapshot_bytes <= 0) {
        quorum->config.fetch_snapshot_bytes = QUORUM_FETCH_BYTES;
    }
    list_init(&quorum->tasks);
    quorum->asked_at = -1;
    quorum->since_ms = env_now_ms(env);
    quorum_calls_init(quorum);
    quorum_deliver_init(quorum);
    struct log_config log_config = metadata_log_config(config);
    struct uuid id = quorum_topic_id();
    quorum->log_opening = true;
    quorum->log = log_open(dir, QUORUM_TOPIC, 0, &id, &log_config, ENV_WORKER_META, ENV_WORKER_META,
                           &log_news, log_opened, quorum);
    return quorum;
}

static void close_finished(struct quorum *quorum)
{
    quorum->closed(quorum->closed_ctx);
}

static void log_closed(void *ctx, enum err error, const struct err_text *text)
{
    struct quorum *quorum = ctx;
    if (error != ERR_NONE) {
        trace_error(env_trace(quorum->env), "quorum: close the metadata log: %s", text->text);
    }
    close_finished(quorum);
}

static void close_posted(struct env_post *post)
{
    close_finished(CONTAINER_OF(post, struct quorum, pump));
}

/* Each of the things a close waits for comes through here when it is done. */
void quorum_close_step(struct quorum *quorum)
{
    ASSERT(quorum->closing);
    if (quorum->log_opening || quorum->reading || quorum->store.busy || quorum_calls_busy(quorum) ||
        quorum_tasks_busy(quorum) || quorum->close_begun) {
        return;
    }
    quorum->close_begun = true;
    quorum_store_close(quorum);
    quorum_tasks_close(quorum);
    if (quorum->log_ready) {
        log_close(quorum->log, log_closed, quorum);
    } else {
        env_post_init(&quorum->pump, close_posted);
        env_post(quorum->env, &quorum->pump);
    }
}

void quorum_close(struct quorum *quorum, void (*done)(void *ctx), void *ctx)
{
    ASSERT(!quorum->closing);
    if (quorum->role == QUORUM_LEADER && quorum_has_others(quorum)) {
        quorum_step_down(quorum, "it stops"); /* EndQuorumEpoch leaves here */
    }
    quorum->closing = true;
    quorum->closed = done;
    quorum->closed_ctx = ctx;
    quorum->role = QUORUM_RESIGNED;
    quorum_send_forget(quorum);
    quorum_serve_end_all(quorum);
    quorum_calls_refuse(quorum);
    env_timer_cancel(quorum->env, &quorum->timer);
    env_timer_cancel(quorum->env, &quorum->tend);
    env_post_cancel(quorum->env, &quorum->pump);
    quorum_own_clear(quorum);
    quorum_load_drop(quorum);
    quorum_download_drop(quorum);
    if (quorum->reading && log_read_cancel(&quorum->read)) {
        quorum->reading = false;
    }
    quorum_close_step(quorum);
}

void quorum_free(struct quorum *quorum)
{
    if (quorum == NULL) {
        return;
    }
    env_timer_cancel(quorum->env, &quorum->timer);
    env_timer_cancel(quorum->env, &quorum->tend);
    env_timer_cancel(quorum->env, &quorum->store.retry);
    env_post_cancel(quorum->env, &quorum->pump);
    quorum_own_clear(quorum);
    buf_unref(quorum->chunk);
    quorum_tasks_free(quorum);
    quorum_load_drop(quorum);
    mem_free(quorum->snapshots);
    bytes_free(&quorum->store.content);
    if (quorum->log != NULL) {
        log_free(quorum->log);
    }
    quorum_calls_free(quorum);
    mem_free(quorum);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

enum quorum_role quorum_role(const struct quorum *quorum)
{
    return quorum->role;
}

const char *quorum_role_name(enum quorum_role role)
{
    static const char *const names[] = {
        [QUORUM_OPENING] = "opening",     [QUORUM_UNATTACHED] = "unattached",
        [QUORUM_VOTED] = "voted",         [QUORUM_PROSPECTIVE] = "prospective",
        [QUORUM_CANDIDATE] = "candidate", [QUORUM_LEADER] = "leader",
        [QUORUM_FOLLOWER] = "follower",   [QUORUM_RESIGNED] = "resigned",
    };
    ASSERT((size_t)role < sizeof names / sizeof names[0]);
    return names[role];
}

int32_t quorum_epoch(const struct quorum *quorum)
{
    return quorum->now.epoch;
}

int32_t quorum_leader(const struct quorum *quorum)
{
    return quorum->now.leader_id;
}

int64_t quorum_high_watermark(const struct quorum *quorum)
{
    return quorum->high_watermark;
}

int64_t quorum_delivered(const struct quorum *quorum)
{
    return quorum->delivered;
}

struct log *quorum_log(const struct quorum *quorum)
{
    return quorum->log_ready ? quorum->log : NULL;
}
