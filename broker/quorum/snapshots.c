/* Which snapshots there are, what the log is beside them, and when both are shortened (KIP-630).
 *
 * HAPPY PATH. The room is opened: leftovers of unfinished ones go, the newest is what `committed`
 * goes on from, and the log begins where one of them ends. When the oldest
 * is too old, or all of it too much, the log begins where the next one ends and what is older goes;
 * one that is being fetched stays as long, or who is slow would never be done.
 *
 * FAILURES. The newest is ahead of the log, because this node lost power before the log had what a
 * majority had, or while it put a snapshot in the log's place: the log begins anew where it ends.
 * The log begins where no snapshot ends, since a start that had been moved is remembered a minute
 * later: it is moved again; when there is none at all, what came before is lost and this node says
 * so and stops. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/quorum/snapshot.h"

enum { TEND_MS = 60000 };

const struct quorum_snapshot *quorum_snapshot_newest(const struct quorum *quorum)
{
    return quorum->snapshot_count == 0 ? NULL : &quorum->snapshots[quorum->snapshot_count - 1];
}

const struct quorum_snapshot *quorum_snapshot_oldest(const struct quorum *quorum)
{
    return quorum->snapshot_count == 0 ? NULL : &quorum->snapshots[0];
}

const struct quorum_snapshot *quorum_snapshot_of(const struct quorum *quorum,
                                                 struct quorum_snapshot_id id)
{
    for (size_t i = 0; i < quorum->snapshot_count; i++) {
        const struct quorum_snapshot *snapshot = &quorum->snapshots[i];
        if (snapshot->id.end_offset == id.end_offset && snapshot->id.epoch == id.epoch) {
            return snapshot;
        }
    }
    return NULL;
}

/* In order of their offsets. */
static void insert(struct quorum *quorum, const struct quorum_snapshot *snapshot)
{
    (void)MEM_PUSH(quorum->snapshots, quorum->snapshot_count, quorum->snapshot_capacity);
    size_t at = quorum->snapshot_count - 1;
    for (; at > 0 && quorum->snapshots[at - 1].id.end_offset > snapshot->id.end_offset; at--) {
        quorum->snapshots[at] = quorum->snapshots[at - 1];
    }
    quorum->snapshots[at] = *snapshot;
}

/* ---- the log's ends, where a snapshot stands for what is not in it ---- */

/* The epoch of what lies right below the log's start; 0 when nothing does. */
static int32_t epoch_below_start(const struct quorum *quorum)
{
    int64_t start = log_start(quorum->log);
    for (size_t i = 0; i < quorum->snapshot_count; i++) {
        if (quorum->snapshots[i].id.end_offset == start) {
            return quorum->snapshots[i].id.epoch;
        }
    }
    return 0;
}

int32_t quorum_last_epoch(const struct quorum *quorum)
{
    int32_t epoch = log_last_epoch(quorum->log);
    return epoch >= 0 ? epoch : epoch_below_start(quorum);
}

int64_t quorum_own_end(const struct quorum *quorum, int32_t *last_epoch)
{
    int64_t end = log_assigned_end(quorum->log);
    if (end == log_start(quorum->log)) {
        *last_epoch = epoch_below_start(quorum);
        return end;
    }
    int32_t epoch = log_epoch_at(quorum->log, end - 1);
    *last_epoch = epoch < 0 ? 0 : epoch;
    return end;
}

void quorum_end_of_epoch(const struct quorum *quorum, int32_t epoch, int32_t *found_epoch,
                         int64_t *end_offset)
{
    log_end_of_epoch(quorum->log, epoch, found_epoch, end_offset);
    int64_t start = log_start(quorum->log);
    if (start > 0 && *end_offset == start && *found_epoch == epoch) {
        *found_epoch = epoch_below_start(quorum); /* the log itself knows nothing so old */
    } else if (*found_epoch < 0) {
        *found_epoch = quorum_last_epoch(quorum);
        *end_offset = log_end(quorum->log);
    }
}

int64_t quorum_floor(const struct quorum *quorum)
{
    const struct quorum_snapshot *newest = quorum_snapshot_newest(quorum);
    int64_t end = newest == NULL ? -1 : newest->id.end_offset;
    return end > quorum->high_watermark ? end : quorum->high_watermark;
}

/* ---- removing ---- */

struct removal {
    struct quorum_task task;
    struct snapshot_path *paths;
    size_t count;
    size_t capacity;
};

static enum err remove_run(struct quorum_task *task, struct env_fs *fs)
{
    struct removal *removal = CONTAINER_OF(task, struct removal, task);
    enum err error = ERR_NONE;
    for (size_t i = 0; i < removal->count; i++) {
        enum err e = env_fs_unlink(fs, removal->paths[i].path, &task->text);
        error = e == ERR_NONE || e == ERR_NOT_FOUND ? error : e;
    }
    return error;
}

static void remove_finished(struct quorum_task *task)
{
    if (task->error != ERR_NONE) {
        trace_warn(env_trace(task->quorum->env), "quorum: remove old snapshots: %s",
                   task->text.text);
    }
}

static void remove_release(struct quorum_task *task)
{
    mem_free(CONTAINER_OF(task, struct removal, task)->paths);
}

/* Forgets the oldest `count` and removes their files. */
static void remove_oldest(struct quorum *quorum, size_t count)
{
    ASSERT(count <= quorum->snapshot_count);
    if (count == 0) {
        return;
    }
    struct removal *removal = quorum_task_new(quorum, sizeof *removal);
    for (size_t i = 0; i < count; i++) {
        struct snapshot_path *path = MEM_PUSH(removal->paths, removal->count, removal->capacity);
        snapshot_path(quorum, quorum->snapshots[i].id, false, path);
    }
    quorum->snapshot_count -= count;
    memmove(quorum->snapshots, quorum->snapshots + count,
            quorum->snapshot_count * sizeof *quorum->snapshots);
    removal->task.run = remove_run;
    removal->task.finished = remove_finished;
    removal->task.release = remove_release;
    quorum_task_submit(&removal->task, ENV_WORKER_BULK);
}

/* ---- shortening ---- */

static size_t below(const struct quorum *quorum, int64_t offset)
{
    size_t count = 0;
    while (count < quorum->snapshot_count && quorum->snapshots[count].id.end_offset < offset) {
        count++;
    }
    return count;
}

static bool too_old(const struct quorum *quorum, const struct quorum_snapshot *snapshot)
{
    int64_t retention_ms = quorum->config.retention_ms;
    return retention_ms >= 0 && env_wall_ms(quorum->env) - snapshot->timestamp_ms > retention_ms;
}

static bool too_much(const struct quorum *quorum)
{
    int64_t bytes = log_bytes(quorum->log);
    for (size_t i = 0; i < quorum->snapshot_count; i++) {
        bytes += quorum->snapshots[i].size_bytes;
    }
    return quorum->config.retention_bytes >= 0 && bytes > quorum->config.retention_bytes;
}

/* The log begins where the second snapshot ends, the first one goes. */
static void trim_one(struct quorum *quorum)
{
    struct quorum_snapshot_id next = quorum->snapshots[1].id;
    ASSERT(next.end_offset <= log_end(quorum->log));
    trace_info(env_trace(quorum->env),
               "quorum: the metadata log of node %" PRId32 " begins at offset %" PRId64
               " now, what came before is in snapshots",
               quorum->config.node_id, next.end_offset);
    log_advance_start(quorum->log, next.end_offset);
    remove_oldest(quorum, 1);
}

void quorum_snapshots_trim(struct quorum *quorum)
{
    if (quorum->broken || quorum->closing || quorum->load.wanted) {
        return;
    }
    while (quorum->snapshot_count > 1 &&
           (too_old(quorum, &quorum->snapshots[0]) || too_much(quorum))) {
        int64_t wanted_until_ms = quorum->snapshots[0].wanted_until_ms;
        if (wanted_until_ms > env_now_ms(quorum->env)) {
            env_timer_set(quorum->env, &quorum->tend, wanted_until_ms);
            return;
        }
        trim_one(quorum);
    }
}

void quorum_snapshot_want(struct quorum *quorum, struct quorum_snapshot_id id)
{
    for (size_t i = 0; i < quorum->snapshot_count; i++) {
        struct quorum_snapshot *snapshot = &quorum->snapshots[i];
        if (snapshot->id.end_offset == id.end_offset && snapshot->id.epoch == id.epoch) {
            snapshot->wanted_until_ms = env_now_ms(quorum->env) + quorum->config.fetch_timeout_ms;
        }
    }
}

static void tend(struct env_timer *timer)
{
    struct quorum *quorum = CONTAINER_OF(timer, struct quorum, tend);
    if (quorum->broken || quorum->closing) {
        return;
    }
    quorum_snapshots_trim(quorum);
    log_tend(quorum->log, quorum->high_watermark);
    quorum_deliver_wake(quorum); /* one may be due by time */
    quorum_snapshots_tend(quorum);
}

void quorum_snapshots_tend(struct quorum *quorum)
{
    int64_t interval_ms = quorum->config.snapshot_interval_ms;
    int64_t due_ms = env_now_ms(quorum->env) +
                     (interval_ms > 0 && interval_ms < TEND_MS ? interval_ms : TEND_MS);
    quorum->tend.fire = tend;
    env_timer_set(quorum->env, &quorum->tend, due_ms);
}

/* ---- one more ---- */

static bool ahead_of_log(const struct quorum *quorum, struct quorum_snapshot_id id)
{
    int64_t end = log_end(quorum->log);
    if (log_start(quorum->log) == id.end_offset && end == id.end_offset) {
        return false; /* the log begins there already */
    }
    int32_t last = log_last_epoch(quorum->log);
    return id.epoch > last || (id.epoch == last && id.end_offset > end);
}

/* The log begins anew where the snapshot ends. */
static void start_over(struct quorum *quorum, struct quorum_snapshot_id id)
{
    ASSERT(quorum->role != QUORUM_LEADER);
    trace_info(env_trace(quorum->env),
               "quorum: the metadata log of node %" PRId32 " begins anew at offset %" PRId64
               ", where snapshot %" PRId64 "-%" PRId32 " ends",
               quorum->config.node_id, id.end_offset, id.end_offset, id.epoch);
    log_truncate_fully(quorum->log, id.end_offset);
    quorum->read_is_stale = quorum->reading;
    buf_unref(quorum->chunk);
    quorum->chunk = NULL;
    quorum_own_clear(quorum);
}

void quorum_snapshot_add(struct quorum *quorum, const struct quorum_snapshot *snapshot)
{
    if (quorum_snapshot_of(quorum, snapshot->id) == NULL) {
        insert(quorum, snapshot);
    }
    remove_oldest(quorum, below(quorum, log_start(quorum->log))); /* it came too late */
    quorum_snapshots_trim(quorum);
}

void quorum_snapshot_adopt(struct quorum *quorum, const struct quorum_snapshot *snapshot)
{
    if (quorum_snapshot_of(quorum, snapshot->id) == NULL) {
        insert(quorum, snapshot);
    }
    if (!ahead_of_log(quorum, snapshot->id) || quorum->delivered >= snapshot->id.end_offset) {
        return;
    }
    start_over(quorum, snapshot->id);
    remove_oldest(quorum, below(quorum, snapshot->id.end_offset));
    if (quorum->high_watermark < snapshot->id.end_offset) {
        quorum->high_watermark = snapshot->id.end_offset;
    }
    quorum_load_begin(quorum, snapshot);
}

/* ---- opening ---- */

struct opening {
    struct quorum_task task;
    struct snapshot_path dir;
    struct quorum_snapshot *found;
    size_t count;
    size_t capacity;
    char **parts;
    size_t part_count;
    size_t part_capacity;
};

static void on_name(void *ctx, const char *name, bool is_dir)
{
    struct opening *opening = ctx;
    struct quorum_snapshot_id id;
    bool part = false;
    if (is_dir || !snapshot_name_parse(name, &id, &part)) {
        return;
    }
    if (part) {
        *MEM_PUSH(opening->parts, opening->part_count, opening->part_capacity) = mem_strdup(name);
    } else if (id.end_offset > 0) {
        *MEM_PUSH(opening->found, opening->count, opening->capacity) =
            (struct quorum_snapshot){.id = id};
    }
}

static enum err open_run(struct quorum_task *task, struct env_fs *fs)
{
    struct opening *opening = CONTAINER_OF(task, struct opening, task);
    enum err e = env_fs_list(fs, opening->dir.path, on_name, opening, &task->text);
    for (size_t i = 0; e == ERR_NONE && i < opening->part_count; i++) {
        struct snapshot_path path;
        snprintf(path.path, sizeof path.path, "%.1000s/%.90s", opening->dir.path,
                 opening->parts[i]);
        e = env_fs_unlink(fs, path.path, &task->text);
    }
    for (size_t i = 0; e == ERR_NONE && i < opening->count; i++) {
        struct snapshot_path path;
        snapshot_path(task->quorum, opening->found[i].id, false, &path);
        e = snapshot_look(fs, path.path, &opening->found[i], &task->text);
    }
    return e;
}

static void open_release(struct quorum_task *task)
{
    struct opening *opening = CONTAINER_OF(task, struct opening, task);
    for (size_t i = 0; i < opening->part_count; i++) {
        mem_free(opening->parts[i]);
    }
    mem_free(opening->parts);
    mem_free(opening->found);
}

/* False when there is no way to know what the log's start is built on. */
static bool fit_log(struct quorum *quorum)
{
    const struct quorum_snapshot *newest = quorum_snapshot_newest(quorum);
    int64_t start = log_start(quorum->log);
    if (newest != NULL && ahead_of_log(quorum, newest->id)) {
        start_over(quorum, newest->id);
        remove_oldest(quorum, quorum->snapshot_count - 1);
        return true;
    }
    remove_oldest(quorum, below(quorum, start));
    const struct quorum_snapshot *oldest = quorum_snapshot_oldest(quorum);
    if (start == 0 || (oldest != NULL && oldest->id.end_offset == start)) {
        return true;
    }
    if (oldest == NULL || oldest->id.end_offset > log_end(quorum->log)) {
        struct err_text text = {{0}};
        err_set(&text,
                "the metadata log in %s begins at offset %" PRId64 " and no snapshot there tells "
                "what came before: empty the directory, so that this node fetches it all anew",
                log_dir_path(quorum->dir), start);
        quorum_fail(quorum, ERR_CORRUPT, &text);
        return false;
    }
    log_advance_start(quorum->log, oldest->id.end_offset);
    return true;
}

static void open_finished(struct quorum_task *task)
{
    struct opening *opening = CONTAINER_OF(task, struct opening, task);
    struct quorum *quorum = task->quorum;
    if (quorum->closing || quorum->broken) {
        return;
    }
    if (task->error != ERR_NONE) {
        err_wrap(&task->text, "look for metadata snapshots");
        quorum_fail(quorum, task->error, &task->text);
        return;
    }
    for (size_t i = 0; i < opening->count; i++) {
        insert(quorum, &opening->found[i]);
    }
    if (!fit_log(quorum)) {
        return;
    }
    const struct quorum_snapshot *newest = quorum_snapshot_newest(quorum);
    if (newest != NULL) {
        quorum_load_begin(quorum, newest);
    }
    quorum_snapshots_tend(quorum);
    quorum_store_open(quorum);
}

void quorum_snapshots_open(struct quorum *quorum)
{
    struct opening *opening = quorum_task_new(quorum, sizeof *opening);
    snapshot_dir(quorum, &opening->dir);
    opening->task.run = open_run;
    opening->task.finished = open_finished;
    opening->task.release = open_release;
    quorum_task_submit(&opening->task, ENV_WORKER_META);
}
