/* A log directory: opening, formatting and closing it.
 *
 * Opening locks it, reads its small files and learns which partitions are there. The clean shutdown marker is
 * removed, durably, before anyone can write: a crash from then on is seen as one. Nothing is guessed where a
 * file is there but cannot be read: a recovery point taken for zero would let recovery cut what was
 * acknowledged. */
#include <stdio.h>
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

#define META_FILE  "meta.properties"
#define LOCK_FILE  ".lock"
#define CLEAN_FILE ".kafka_cleanshutdown"

const char *const dir_checkpoint_names[3] = {"replication-offset-checkpoint",
                                             "recovery-point-offset-checkpoint",
                                             "log-start-offset-checkpoint"};

/* ---- entries ------------------------------------------------------------------------------------ */

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

/* ---- opening ------------------------------------------------------------------------------------ */

struct open_entry {
    char *name;
    struct uuid topic_id;
};

struct open_task {
    struct task task;
    char *path;
    struct env_file *lock;
    struct log_dir_found found;
    struct checkpoint checkpoints[3];
    struct bytes content; /* of the file being read */
    struct open_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
    char **deletions;
    size_t deletion_count;
    size_t deletion_capacity;
    int64_t free_bytes;
    int64_t total_bytes;
};

static void open_release(struct task *task)
{
    struct open_task *t = CONTAINER_OF(task, struct open_task, task);
    env_file_unref(t->lock);
    for (int i = 0; i < 3; i++) {
        checkpoint_free(&t->checkpoints[i]);
    }
    for (size_t i = 0; i < t->entry_count; i++) {
        mem_free(t->entries[i].name);
    }
    mem_free(t->entries);
    for (size_t i = 0; i < t->deletion_count; i++) {
        mem_free(t->deletions[i]);
    }
    mem_free(t->deletions);
    bytes_free(&t->content);
    mem_free(t->path);
}

static enum err make_directories(struct env_fs *fs, const char *path, struct err_text *text)
{
    char *part = mem_strdup(path);
    enum err e = ERR_NONE;
    for (char *at = part + 1; e == ERR_NONE; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        e = env_fs_mkdir(fs, part, text);
        if (e == ERR_NONE) {
            char *slash = strrchr(part, '/');
            if (slash == NULL) {
                e = env_fs_sync_dir(fs, ".", text);
            } else if (slash == part) {
                e = env_fs_sync_dir(fs, "/", text);
            } else {
                *slash = '\0';
                e = env_fs_sync_dir(fs, part, text);
                *slash = '/';
            }
        } else if (e == ERR_EXISTS) {
            e = ERR_NONE;
        }
        *at = kept;
        if (kept == '\0') {
            break;
        }
    }
    mem_free(part);
    return e;
}

static void on_name(void *ctx, const char *name, bool is_dir)
{
    struct open_task *t = ctx;
    char topic[LOG_NAME_MAX];
    int32_t partition = 0;
    size_t length = strlen(name);
    if (!is_dir || length >= LOG_NAME_MAX) {
        return;
    }
    if (length > 7 && strcmp(name + length - 7, "-delete") == 0) {
        *MEM_PUSH(t->deletions, t->deletion_count, t->deletion_capacity) =
            path_join(t->path, name);
    } else if (partition_name_parse(name, topic, sizeof topic, &partition)) {
        *MEM_PUSH(t->entries, t->entry_count, t->entry_capacity) =
            (struct open_entry){.name = mem_strdup(name)};
    }
}

/* Reads PATH/NAME into t->content. ERR_NOT_FOUND is for the caller to judge. */
static enum err read_small(struct open_task *t, struct env_fs *fs, const char *dir_path,
                           const char *name)
{
    char *path = path_join(dir_path, name);
    t->content.size = 0;
    enum err e = env_fs_slurp(fs, path, CHECKPOINT_LIMIT_BYTES, &t->content, &t->task.text);
    mem_free(path);
    return e;
}

static enum err read_checkpoints(struct open_task *t, struct env_fs *fs)
{
    for (int i = 0; i < 3; i++) {
        enum err e = read_small(t, fs, t->path, dir_checkpoint_names[i]);
        if (e == ERR_NOT_FOUND) {
            continue;
        }
        if (e == ERR_NONE) {
            e = checkpoint_parse(t->content.data, t->content.size, &t->checkpoints[i],
                                 &t->task.text);
            if (e != ERR_NONE) {
                err_wrap(&t->task.text, "%s/%s is damaged", t->path, dir_checkpoint_names[i]);
            }
        }
        if (e != ERR_NONE) {
            return e;
        }
    }
    return ERR_NONE;
}

static enum err read_clean_marker(struct open_task *t, struct env_fs *fs)
{
    t->found.clean_shutdown_broker_epoch = -1;
    enum err e = read_small(t, fs, t->path, CLEAN_FILE);
    if (e == ERR_NOT_FOUND) {
        return ERR_NONE;
    }
    if (e != ERR_NONE) {
        return e;
    }
    t->found.clean_shutdown = true;
    t->found.clean_shutdown_broker_epoch = clean_shutdown_parse(t->content.data, t->content.size);
    char *path = path_join(t->path, CLEAN_FILE);
    e = env_fs_unlink(fs, path, &t->task.text);
    mem_free(path);
    return e == ERR_NONE ? env_fs_sync_dir(fs, t->path, &t->task.text) : e;
}

static enum err read_partitions(struct open_task *t, struct env_fs *fs)
{
    enum err e = env_fs_list(fs, t->path, on_name, t, &t->task.text);
    for (size_t i = 0; e == ERR_NONE && i < t->entry_count; i++) {
        char *path = path_join(t->path, t->entries[i].name);
        struct err_text ignored = {{0}};
        e = read_small(t, fs, path, "partition.metadata");
        if (e == ERR_NONE) {
            /* An unreadable one is the opening of that partition's error, not the directory's. */
            (void)partition_metadata_parse(t->content.data, t->content.size,
                                           &t->entries[i].topic_id, &ignored);
        } else if (e == ERR_NOT_FOUND) {
            e = ERR_NONE;
        }
        mem_free(path);
    }
    return e;
}

static enum err lock_directory(struct open_task *t, struct env_fs *fs)
{
    char *path = path_join(t->path, LOCK_FILE);
    enum err e =
        env_fs_open(fs, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &t->lock, &t->task.text);
    if (e == ERR_NONE) {
        e = env_fs_lock(fs, t->lock, &t->task.text);
    }
    if (e == ERR_IN_USE) {
        err_set(&t->task.text,
                "another process uses log directory %s (it holds %s): stop it, or give this one "
                "a directory of its own", t->path, path);
    }
    mem_free(path);
    return e;
}

static enum err read_meta(struct open_task *t, struct env_fs *fs)
{
    enum err e = read_small(t, fs, t->path, META_FILE);
    if (e == ERR_NOT_FOUND) {
        return ERR_NONE;
    }
    if (e == ERR_NONE) {
        t->found.formatted = true;
        e = meta_parse(t->content.data, t->content.size, &t->found.meta, &t->task.text);
        if (e != ERR_NONE) {
            t->found.formatted = false;
            err_wrap(&t->task.text, "%s/%s is damaged", t->path, META_FILE);
        }
    }
    return e;
}

static void open_run(struct task *task, struct env_fs *fs)
{
    struct open_task *t = CONTAINER_OF(task, struct open_task, task);
    enum err e = make_directories(fs, t->path, &task->text);
    if (e == ERR_NONE) {
        e = lock_directory(t, fs);
    }
    if (e == ERR_NONE) {
        e = read_meta(t, fs);
    }
    if (e == ERR_NONE) {
        e = read_checkpoints(t, fs);
    }
    if (e == ERR_NONE) {
        e = read_partitions(t, fs);
    }
    if (e == ERR_NONE) {
        e = read_clean_marker(t, fs);
    }
    t->free_bytes = -1;
    t->total_bytes = -1;
    if (e == ERR_NONE) {
        e = env_fs_space(fs, t->path, &t->free_bytes, &t->total_bytes, &task->text);
    }
    task->error = e;
}

static void take_checkpoint(struct log_dir *dir, const struct checkpoint *from, int which)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct checkpoint_line *line = &from->lines[i];
        if (strlen(line->topic) + 16 > LOG_NAME_MAX) {
            continue;
        }
        struct dir_entry *entry = dir_entry_of(dir, line->topic, line->partition);
        if (which == 0) {
            entry->high_watermark = line->offset;
            entry->saved_high_watermark = line->offset;
        } else if (which == 1) {
            entry->recovery_point = line->offset;
            entry->saved_recovery_point = line->offset;
        } else {
            entry->start = line->offset;
        }
    }
}

static void take_entries(struct log_dir *dir, struct open_task *t)
{
    for (size_t i = 0; i < t->entry_count; i++) {
        char topic[LOG_NAME_MAX];
        int32_t partition = 0;
        bool named = partition_name_parse(t->entries[i].name, topic, sizeof topic, &partition);
        ASSERT(named);
        struct dir_entry *entry = dir_entry_of(dir, topic, partition);
        entry->on_disk = true;
        entry->clean = t->found.clean_shutdown;
        entry->topic_id = t->entries[i].topic_id;
    }
    for (int i = 0; i < 3; i++) {
        take_checkpoint(dir, &t->checkpoints[i], i);
    }
    /* Lines of partitions that are gone. */
    struct dir_entry *entry = NULL;
    struct dir_entry *next = NULL;
    HASH_ITER(hh, dir->entries, entry, next)
    {
        if (!entry->on_disk) {
            dir_entry_drop(dir, entry);
        }
    }
}

static void open_finished(struct task *task)
{
    struct open_task *t = CONTAINER_OF(task, struct open_task, task);
    struct log_dir *dir = task->dir;
    t->found.error = task->error;
    t->found.text = task->text;
    if (task->error == ERR_NONE) {
        dir->lock = t->lock;
        t->lock = NULL;
        dir->clean = t->found.clean_shutdown;
        dir->meta = t->found.meta;
        dir->free_bytes = t->free_bytes;
        dir->total_bytes = t->total_bytes;
        take_entries(dir, t);
        t->found.log_count = (int)t->entry_count;
        dir->ready = true;
        for (size_t i = 0; i < t->deletion_count; i++) {
            dir_remove_later(dir, t->deletions[i], 0);
        }
        dir_start_checkpoints(dir);
    }
    dir->opened(dir->ctx, dir, &t->found);
}

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
    list_init(&dir->deletions);
    env_post_init(&dir->closed_post, close_step);
    dir_init_checkpoints(dir);
    dir->lane = env_lane_open(env, ENV_WORKER_COMMIT);
    dir->bulk_lane = env_lane_open(env, ENV_WORKER_BULK);
    for (int i = 0; i < ENV_WORKERS; i++) {
        committer_init(&dir->committers[i], dir, (enum env_worker)i);
    }
    struct open_task *task = task_new(sizeof *task, dir, NULL);
    task->path = mem_strdup(dir->path);
    task->task.run = open_run;
    task->task.finished = open_finished;
    task->task.release = open_release;
    task_submit(&task->task, dir->bulk_lane);
    return dir;
}

/* ---- formatting --------------------------------------------------------------------------------- */

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
    task->path = path_join(dir->path, META_FILE);
    task->meta = *meta;
    meta_format(meta, &task->content);
    task->done = done;
    task->ctx = ctx;
    task->task.run = format_run;
    task->task.finished = format_finished;
    task->task.release = format_release;
    task_submit(&task->task, dir->bulk_lane);
}

/* ---- looking ------------------------------------------------------------------------------------ */

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
    trace_error(env_trace(dir->env),
                "log directory %s goes offline, its partitions answer KAFKA_STORAGE_ERROR until the "
                "broker is restarted: %s", dir->path, text->text);
    dir_stop_checkpoints(dir);
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        if (entry->log != NULL) {
            log_fail(entry->log, error, text);
        }
    }
}

/* ---- closing ------------------------------------------------------------------------------------ */

struct close_task {
    struct task task;
    char *path;
    struct bytes texts[3];
    int64_t broker_epoch;
};

static void close_release(struct task *task)
{
    struct close_task *t = CONTAINER_OF(task, struct close_task, task);
    for (int i = 0; i < 3; i++) {
        bytes_free(&t->texts[i]);
    }
    mem_free(t->path);
}

static void close_run(struct task *task, struct env_fs *fs)
{
    struct close_task *t = CONTAINER_OF(task, struct close_task, task);
    task->error = dir_checkpoint_write(fs, t->path, t->texts,
                                       CHECKPOINT_HIGH_WATERMARK | CHECKPOINT_RECOVERY_POINT |
                                           CHECKPOINT_START,
                                       &task->text);
    if (task->error == ERR_NONE) {
        struct bytes marker = {0};
        char *path = path_join(t->path, CLEAN_FILE);
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
    dir_checkpoint_texts(dir, task->texts);
    task->task.run = close_run;
    task->task.finished = close_finished;
    task->task.release = close_release;
    task_submit(&task->task, dir->lane);
}

/* Once nothing of the directory is under way: the marker, unless it failed (then the next start has to look
 * at everything), and the news. Posted again by every task that ends. */
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
    dir_drop_deletions(dir); /* what is left of them goes at the next start */
    for (struct dir_entry *entry = dir->entries; entry != NULL; entry = entry->hh.next) {
        ASSERT(entry->log == NULL);
    }
    env_post(dir->env, &dir->closed_post);
}

void log_dir_free(struct log_dir *dir)
{
    dir_stop_checkpoints(dir);
    env_post_cancel(dir->env, &dir->closed_post);
    dir_drop_deletions(dir);
    tasks_drop(&dir->tasks);
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
    env_file_unref(dir->lock);
    mem_free(dir->path);
    mem_free(dir);
}
