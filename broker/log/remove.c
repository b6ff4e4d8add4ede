/* Removing files that nobody needs any more, after a delay, off every other path. Best effort: what
 * is left over (a crash, a close in between) is recognised by its name and removed at the next
 * start. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

struct removal {
    struct list node;
    struct env_timer timer;
    struct log_dir *dir;
    char *path;
    bool segment;
};

struct remove_task {
    struct task task;
    char *path;
    bool segment;
};

struct names {
    char **names;
    size_t count;
    size_t capacity;
};

static void on_name(void *ctx, const char *name, bool is_dir)
{
    struct names *names = ctx;
    if (!is_dir) {
        *MEM_PUSH(names->names, names->count, names->capacity) = mem_strdup(name);
    }
}

enum err dir_remove_tree(struct env_fs *fs, const char *path, struct err_text *text)
{
    struct names names = {0};
    enum err e = env_fs_list(fs, path, on_name, &names, text);
    for (size_t i = 0; i < names.count; i++) {
        if (e == ERR_NONE) {
            char *file = path_join(path, names.names[i]);
            e = file_remove(fs, file, text);
            mem_free(file);
        }
        mem_free(names.names[i]);
    }
    mem_free(names.names);
    return e == ERR_NONE ? env_fs_rmdir(fs, path, text) : e;
}

static enum err remove_segment(struct env_fs *fs, const char *path, struct err_text *text)
{
    enum err e = ERR_NONE;
    for (int i = 0; e == ERR_NONE && segment_suffixes[i] != NULL; i++) {
        struct bytes name = {0};
        bytes_printf(&name, "%s%s.deleted", path, segment_suffixes[i]);
        e = file_remove(fs, (const char *)name.data, text);
        bytes_free(&name);
    }
    if (e != ERR_NONE) {
        return e;
    }
    /* A file whose name may come back holds its room. */
    char *dir = mem_strdup(path);
    *strrchr(dir, '/') = '\0';
    e = env_fs_sync_dir(fs, dir, text);
    mem_free(dir);
    return e;
}

static void remove_run(struct task *task, struct env_fs *fs)
{
    struct remove_task *t = CONTAINER_OF(task, struct remove_task, task);
    task->error = t->segment ? remove_segment(fs, t->path, &task->text)
                             : dir_remove_tree(fs, t->path, &task->text);
}

static void remove_finished(struct task *task)
{
    struct remove_task *t = CONTAINER_OF(task, struct remove_task, task);
    if (task->error != ERR_NONE && task->error != ERR_NOT_FOUND) {
        trace_warn(env_trace(task->dir->env), "could not remove %s, left for the next start: %s",
                   t->path, task->text.text);
    }
}

static void remove_release(struct task *task)
{
    struct remove_task *t = CONTAINER_OF(task, struct remove_task, task);
    mem_free(t->path);
}

static void removal_free(struct removal *removal)
{
    env_timer_cancel(removal->dir->env, &removal->timer);
    list_remove(&removal->node);
    mem_free(removal->path);
    mem_free(removal);
}

static void removal_due(struct env_timer *timer)
{
    struct removal *removal = CONTAINER_OF(timer, struct removal, timer);
    struct remove_task *task = task_new(sizeof *task, removal->dir, NULL);
    task->path = removal->path;
    task->segment = removal->segment;
    removal->path = NULL;
    task->task.run = remove_run;
    task->task.finished = remove_finished;
    task->task.release = remove_release;
    task_submit(&task->task, removal->dir->bulk_lane);
    removal_free(removal);
}

static void later(struct log_dir *dir, const char *path, bool segment, int64_t delay_ms)
{
    ASSERT(delay_ms >= 0);
    if (dir->closing) {
        return;
    }
    struct removal *removal = mem_zalloc(sizeof *removal);
    removal->dir = dir;
    removal->path = mem_strdup(path);
    removal->segment = segment;
    removal->timer.fire = removal_due;
    list_push(&dir->deletions, &removal->node);
    env_timer_set(dir->env, &removal->timer, env_now_ms(dir->env) + delay_ms);
}

void dir_remove_later(struct log_dir *dir, const char *path, int64_t delay_ms)
{
    later(dir, path, false, delay_ms);
}

void dir_remove_segment_later(struct log_dir *dir, const char *path, int64_t delay_ms)
{
    later(dir, path, true, delay_ms);
}

void dir_hasten_deletions(struct log_dir *dir)
{
    LIST_FOREACH(node, &dir->deletions) {
        struct removal *removal = CONTAINER_OF(node, struct removal, node);
        env_timer_set(dir->env, &removal->timer, env_now_ms(dir->env));
    }
}

void dir_drop_deletions(struct log_dir *dir)
{
    while (!list_empty(&dir->deletions)) {
        removal_free(CONTAINER_OF(dir->deletions.next, struct removal, node));
    }
}
