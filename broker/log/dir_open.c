/* Opening a log directory.
 *
 * It locks it, reads its small files and learns which partitions are there. The clean shutdown
 * marker is removed, durably, before anyone can write: a crash from then on is seen as one. Nothing
 * is guessed where a file is there but cannot be read: a recovery point taken for zero would let
 * recovery cut what was acknowledged. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct open_entry {
    char *name;
    struct uuid topic_id;
};

struct open_task {
    struct task task;
    char *path;
    struct env_file *lock;
    struct log_dir_found found;
    struct checkpoint checkpoints[CHECKPOINTS];
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
    for (int i = 0; i < CHECKPOINTS; i++) {
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

static enum err sync_parent(struct env_fs *fs, char *path, struct err_text *text)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return env_fs_sync_dir(fs, slash == NULL ? "." : "/", text);
    }
    *slash = '\0';
    enum err e = env_fs_sync_dir(fs, path, text);
    *slash = '/';
    return e;
}

/* Formatted directories have durable names. One that is there but not formatted may have been made
 * by a start that was killed before it could sync the parent: that is done now, where we may. */
static bool is_formatted(struct env_fs *fs, const char *path)
{
    struct env_file *file = NULL;
    char *meta = path_join(path, "meta.properties");
    enum err e = env_fs_open(fs, meta, ENV_OPEN_READ, &file, NULL);
    env_file_unref(file);
    mem_free(meta);
    return e == ERR_NONE;
}

static enum err make_directories(struct env_fs *fs, const char *path, struct err_text *text)
{
    if (is_formatted(fs, path)) {
        return ERR_NONE;
    }
    char *part = mem_strdup(path);
    enum err e = ERR_NONE;
    for (char *at = part + 1; e == ERR_NONE; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        e = env_fs_mkdir(fs, part, text);
        bool made = e == ERR_NONE;
        if (made || e == ERR_EXISTS) {
            e = sync_parent(fs, part, text);
            e = made ? e : ERR_NONE;
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
        *MEM_PUSH(t->deletions, t->deletion_count, t->deletion_capacity) = path_join(t->path, name);
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
    for (int i = 0; i < CHECKPOINTS; i++) {
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
    enum err e = read_small(t, fs, t->path, DIR_CLEAN_FILE);
    if (e == ERR_NOT_FOUND) {
        return ERR_NONE;
    }
    if (e != ERR_NONE) {
        return e;
    }
    t->found.clean_shutdown = true;
    t->found.clean_shutdown_broker_epoch = clean_shutdown_parse(t->content.data, t->content.size);
    char *path = path_join(t->path, DIR_CLEAN_FILE);
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
    char *path = path_join(t->path, DIR_LOCK_FILE);
    enum err e = env_fs_open(fs, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &t->lock, &t->task.text);
    if (e == ERR_NONE) {
        e = env_fs_lock(fs, t->lock, &t->task.text);
    }
    if (e == ERR_IN_USE) {
        err_set(&t->task.text,
                "another process uses log directory %s (it holds %s): stop it, or give this one "
                "a directory of its own",
                t->path, path);
    }
    mem_free(path);
    return e;
}

static enum err read_meta(struct open_task *t, struct env_fs *fs)
{
    enum err e = read_small(t, fs, t->path, DIR_META_FILE);
    if (e == ERR_NOT_FOUND) {
        return ERR_NONE;
    }
    if (e == ERR_NONE) {
        t->found.formatted = true;
        e = meta_parse(t->content.data, t->content.size, &t->found.meta, &t->task.text);
        if (e != ERR_NONE) {
            t->found.formatted = false;
            err_wrap(&t->task.text, "%s/%s is damaged", t->path, DIR_META_FILE);
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
            entry->kept_recovery_point = line->offset;
        } else if (which == 2) {
            entry->start = line->offset;
        } else {
            entry->cleaned = line->offset;
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
    for (int i = 0; i < CHECKPOINTS; i++) {
        take_checkpoint(dir, &t->checkpoints[i], i);
    }
    bool tidy = true;
    struct dir_entry *entry = NULL;
    struct dir_entry *next = NULL;
    HASH_ITER(hh, dir->entries, entry, next)
    {
        if (!entry->on_disk) {
            dir_entry_drop(dir, entry);
            tidy = false;
        }
    }
    if (!tidy) {
        dir_tidy_checkpoints(dir);
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
        cleaner_start(dir);
    }
    dir->opened(dir->ctx, dir, &t->found);
}

void dir_submit_open(struct log_dir *dir)
{
    struct open_task *task = task_new(sizeof *task, dir, NULL);
    task->path = mem_strdup(dir->path);
    task->task.run = open_run;
    task->task.finished = open_finished;
    task->task.release = open_release;
    task_submit(&task->task, dir->bulk_lane);
}
