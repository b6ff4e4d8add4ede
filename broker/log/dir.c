/* A log directory: its entries, formatting and closing it. Opening is dir_open.c's. */
#include <stdio.h>
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

const char *const dir_checkpoint_names[CHECKPOINTS] = {
    "replication-offset-checkpoint", "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint", "cleaner-offset-checkpoint"};

/* ---- entries ------------------------------------------------------------------------------------
 */

struct dir_entry *dir_entry_of(struct log_dir *dir, const char *topic, int32_t partition)
{
    char name[LOG_NAME_MAX];
    int length = snprintf(name, sizeof name, "%s-%d", topic, (int)partition);
    ASSERT(length > 0 && (size_t)length < sizeof name);
    struct dir_entry *entry = NULL;
    HASH_FIND_STR(dir->entries, name, entry);
    if (entry == NULL) {
        entry = mem_zalloc(sizeof *entry);
        entry->name = mem_strdup(name);
        entry->topic = mem_strdup(topic);
        entry->partition = partition;
        entry->recovery_point = -1;
        entry->high_watermark = -1;
        entry->start = -1;
        entry->cleaned = -1;
        entry->kept_recovery_point = -1;
        HASH_ADD_KEYPTR(hh, dir->entries, entry->name, strlen(entry->name), entry);
    }
    return entry;
}

void dir_entry_drop(struct log_dir *dir, struct dir_entry *entry)
{
    HASH_DEL(dir->entries, entry);
    mem_free(entry->name);
    mem_free(entry->topic);
    mem_free(entry);
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

static void close_step(struct env_post *post);

struct log_dir *log_dir_open(struct env *env, const char *path,
                             void (*opened)(void *ctx, struct log_dir *dir,
                                            const struct log_dir_found *found),
                             void *ctx)
{
    ASSERT(opened != NULL);
    ASSERT(path[0] != '\0' && strlen(path) < LOG_PATH_MAX - LOG_NAME_MAX);
    struct log_dir *dir = mem_zalloc(sizeof *dir);
    dir->env = env;
    dir->path = mem_strdup(path);
    size_t length = strlen(path);
    while (length > 1 && dir->path[length - 1] == '/') {
        dir->path[--length] = '\0';
    }
    dir->opened = opened;
    dir->ctx = ctx;
    dir->free_bytes = -1;
    dir->total_bytes = -1;
    list_init(&dir->tasks);
    list_init(&dir->open_files);
    list_init(&dir->files_waiting);
    dir->open_files_max = OPEN_FILES_DEFAULT;
    list_init(&dir->deletions);
    env_post_init(&dir->closed_post, close_step);
    dir_init_checkpoints(dir);
    make_init(dir);
    save_epochs_init(dir);
    dir->cleaner = log_cleaner_default();
    dir->lane = env_lane_open(env, ENV_WORKER_COMMIT);
    dir->bulk_lane = env_lane_open(env, ENV_WORKER_BULK);
    for (int i = 0; i < ENV_WORKERS; i++) {
        committer_init(&dir->committers[i], dir, (enum env_worker)i);
    }
    dir_submit_open(dir);
    return dir;
}

/* ---- formatting ---------------------------------------------------------------------------------
 */

struct format_task {
    struct task task;
    char *path;
    struct bytes content;
    struct log_dir_meta meta;
    void (*done)(void *ctx, enum err error, const struct err_text *text);
    void *ctx;
};

static void format_run(struct task *task, struct env_fs *fs)
{
    struct format_task *t = CONTAINER_OF(task, struct format_task, task);
    task->error = env_fs_replace(fs, t->path, t->content.data, t->content.size, &task->text);
}

static void format_finished(struct task *task)
{
    struct format_task *t = CONTAINER_OF(task, struct format_task, task);
    if (task->error == ERR_NONE) {
        task->dir->meta = t->meta;
    }
    t->done(t->ctx, task->error, &task->text);
}

static void format_release(struct task *task)
{
    struct format_task *t = CONTAINER_OF(task, struct format_task, task);
    mem_free(t->path);
    bytes_free(&t->content);
}

void log_dir_format(struct log_dir *dir, const struct log_dir_meta *meta,
                    void (*done)(void *ctx, enum err error, const struct err_text *text), void *ctx)
{
    ASSERT(dir->ready && done != NULL);
    ASSERT(!uuid_is_zero(&meta->directory_id));
    struct format_task *task = task_new(sizeof *task, dir, NULL);
    task->path = path_join(dir->path, DIR_META_FILE);
    task->meta = *meta;
    meta_format(meta, &task->content);
    task->done = done;
    task->ctx = ctx;
    task->task.run = format_run;
    task->task.finished = format_finished;
    task->task.release = format_release;
    task_submit(&task->task, dir->bulk_lane);
}

/* ---- looking ------------------------------------------------------------------------------------
 */

const char *log_dir_path(const struct log_dir *dir)
{
    return dir->path;
}

const struct uuid *log_dir_id(const struct log_dir *dir)
{
    return &dir->meta.directory_id;
}

struct env *log_dir_env(const struct log_dir *dir)
{
    return dir->env;
}

int64_t log_dir_bytes(const struct log_dir *dir)
{
    int64_t sum = 0;
    for (const struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        sum += entry->log == NULL ? 0 : log_bytes(entry->log);
    }
    return sum;
}

void log_dir_space(const struct log_dir *dir, int64_t *free_bytes, int64_t *total_bytes)
{
    *free_bytes = dir->free_bytes;
    *total_bytes = dir->total_bytes;
}

bool log_dir_failed(const struct log_dir *dir)
{
    return dir->failed;
}

bool log_dir_full(const struct log_dir *dir)
{
    return dir->full;
}

bool log_dir_holds(const struct log_dir *dir, const char *topic, int32_t partition,
                   const struct uuid *topic_id)
{
    char name[LOG_NAME_MAX];
    int length = snprintf(name, sizeof name, "%s-%d", topic, (int)partition);
    ASSERT(length > 0 && (size_t)length < sizeof name);
    const struct dir_entry *entry = NULL;
    HASH_FIND_STR(dir->entries, name, entry);
    return entry != NULL && entry->on_disk && uuid_equal(&entry->topic_id, topic_id);
}

void log_dir_unopened(const struct log_dir *dir,
                      void (*each)(void *ctx, const char *topic, int32_t partition,
                                   const struct uuid *topic_id),
                      void *ctx)
{
    struct dir_entry *entry = NULL;
    struct dir_entry *next = NULL;
    HASH_ITER(hh, dir->entries, entry, next)
    {
        if (entry->log == NULL && entry->on_disk) {
            each(ctx, entry->topic, entry->partition, &entry->topic_id);
        }
    }
}

void dir_fail(struct log_dir *dir, enum err error, const struct err_text *text)
{
    ASSERT(error != ERR_NONE);
    if (dir->failed) {
        return;
    }
    dir->failed = true;
    dir->error = error;
    dir->text = *text;
    trace_error(
        env_trace(dir->env),
        "log directory %s goes offline, its partitions answer KAFKA_STORAGE_ERROR until the "
        "broker is restarted: %s",
        dir->path, text->text);
    dir_stop_checkpoints(dir);
    dir_stop_waiting(dir);
    cleaner_stop(dir);
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        if (entry->log != NULL) {
            log_open_step(entry->log);
            log_fail(entry->log, error, text);
        }
    }
}

/* ---- closing ------------------------------------------------------------------------------------
 */

struct close_task {
    struct task task;
    char *path;
    struct bytes texts[CHECKPOINTS];
    struct env_file *lock; /* NULL: nothing is left to be synced */
    int64_t broker_epoch;
    bool clean;
};

static void close_release(struct task *task)
{
    struct close_task *t = CONTAINER_OF(task, struct close_task, task);
    for (int i = 0; i < CHECKPOINTS; i++) {
        bytes_free(&t->texts[i]);
    }
    env_file_unref(t->lock);
    mem_free(t->path);
}

static void close_run(struct task *task, struct env_fs *fs)
{
    struct close_task *t = CONTAINER_OF(task, struct close_task, task);
    task->error = t->lock != NULL ? sync_all(fs, t->lock, &task->text) : ERR_NONE;
    if (task->error == ERR_NONE) {
        task->error = dir_checkpoint_write(fs, t->path, t->texts, CHECKPOINT_ALL, &task->text);
    }
    if (task->error == ERR_NONE && t->clean) {
        struct bytes marker = {0};
        char *path = path_join(t->path, DIR_CLEAN_FILE);
        clean_shutdown_format(t->broker_epoch, &marker);
        task->error = env_fs_replace(fs, path, marker.data, marker.size, &task->text);
        mem_free(path);
        bytes_free(&marker);
    }
}

static void close_finished(struct task *task)
{
    struct log_dir *dir = task->dir;
    dir->marked = true;
    dir->error = task->error;
    dir->text = task->text;
}

static void close_start(struct log_dir *dir)
{
    struct close_task *task = task_new(sizeof *task, dir, NULL);
    task->path = mem_strdup(dir->path);
    task->broker_epoch = dir->close_broker_epoch;
    task->clean = !dir->unclean;
    task->lock = dir->unsynced ? env_file_ref(dir->lock) : NULL;
    dir_checkpoint_texts(dir, CHECKPOINT_ALL, task->texts);
    task->task.run = close_run;
    task->task.finished = close_finished;
    task->task.release = close_release;
    task_submit(&task->task, dir->lane);
}

/* Once nothing of the directory is under way: the marker, unless it failed (then the next start has
 * to look at everything), and the news. Posted again by every task that ends. */
static void close_step(struct env_post *post)
{
    struct log_dir *dir = CONTAINER_OF(post, struct log_dir, closed_post);
    if (!list_empty(&dir->tasks)) {
        return;
    }
    if (dir->ready && !dir->failed && !dir->marked) {
        close_start(dir);
        return;
    }
    env_file_unref(dir->lock);
    dir->lock = NULL;
    dir->closed(dir->closed_ctx, dir->error, &dir->text);
}

void log_dir_close(struct log_dir *dir, int64_t broker_epoch,
                   void (*done)(void *ctx, enum err error, const struct err_text *text), void *ctx)
{
    ASSERT(done != NULL && !dir->closing);
    dir->closing = true;
    dir->closed = done;
    dir->closed_ctx = ctx;
    dir->close_broker_epoch = broker_epoch;
    dir_stop_checkpoints(dir);
    dir_stop_waiting(dir);
    cleaner_stop(dir);
    dir_drop_deletions(dir); /* what is left of them goes at the next start */
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        ASSERT(entry->log == NULL);
    }
    env_post(dir->env, &dir->closed_post);
}

void log_dir_free(struct log_dir *dir)
{
    dir_stop_checkpoints(dir);
    dir_stop_waiting(dir);
    cleaner_stop(dir);
    env_post_cancel(dir->env, &dir->closed_post);
    dir_drop_deletions(dir);
    tasks_drop(&dir->tasks);
    make_fini(dir);
    save_epochs_fini(dir);
    for (int i = 0; i < ENV_WORKERS; i++) {
        committer_fini(&dir->committers[i]);
    }
    struct dir_entry *entry = NULL;
    struct dir_entry *next = NULL;
    HASH_ITER(hh, dir->entries, entry, next)
    {
        ASSERT(entry->log == NULL);
        dir_entry_drop(dir, entry);
    }
    env_lane_close(dir->env, dir->lane);
    env_lane_close(dir->env, dir->bulk_lane);
    if (dir->clean_lane != NULL) {
        env_lane_close(dir->env, dir->clean_lane);
    }
    env_file_unref(dir->lock);
    mem_free(dir->path);
    mem_free(dir);
}
