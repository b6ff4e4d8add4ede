/* env_fs, simulated: every operation first lets its time pass, then may fail or be the place of a
 * crash, then has its effect all at once. A sync covers what was written before it began. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim_internal.h"

/* In the event trace. */
static const char *const op_names[SIM_OPS] = {
    "open",  "read",  "write",    "sync",     "truncate", "size", "rename", "unlink",
    "mkdir", "rmdir", "sync-dir", "sync-all", "list",     "lock", "space",
};

/* In errors, as broker/os words them. */
static const char *const op_verbs[SIM_OPS] = {
    "open",           "read",
    "write",          "sync",
    "truncate",       "stat",
    "rename",         "delete",
    "make directory", "delete directory",
    "sync directory", "sync the file system of",
    "open directory", "lock",
    "space of",
};

static struct sim_task *task_of(struct env_fs *fs)
{
    return CONTAINER_OF(fs, struct sim_task, fs);
}

static struct sim_disk *disk_of(struct env_fs *fs)
{
    return &task_of(fs)->node->disk;
}

static struct sim_file *file_of(struct env_file *file)
{
    return CONTAINER_OF(file, struct sim_file, base);
}

static enum err fail(enum sim_op op, const char *path, int errnum, struct err_text *text)
{
    err_set(text, "%s %s: %s", op_verbs[op], path, strerror(errnum));
    return err_from_errno(errnum);
}

/* ---- time, faults, crash points ---- */

static int64_t latency_us(struct sim_disk *disk, enum sim_op op)
{
    const struct sim_latency *l = &disk->latency[op];
    int64_t us = sim_between(disk->sim, l->min_us, l->max_us);
    if (sim_chance(disk->sim, l->slow_one_in)) {
        us = l->slow_us > us ? l->slow_us : us;
    }
    int64_t stalled_us = disk->stalled_until_us - disk->sim->now_us;
    return us + (stalled_us > 0 ? stalled_us : 0);
}

static enum err injected(struct sim_disk *disk, enum sim_op op, const char *path)
{
    enum err found = ERR_NONE;
    for (int i = 0; i < disk->fault_count; i++) {
        struct sim_fault *f = &disk->faults[i];
        if ((f->op_mask & 1U << op) == 0 || f->left == 0 ||
            (f->path_part != NULL && strstr(path, f->path_part) == NULL)) {
            continue;
        }
        f->left--;
        if (f->left == 0) {
            found = f->error;
            f->left = f->forever ? 1 : 0;
        }
    }
    return found;
}

static enum err begin(struct env_fs *fs, enum sim_op op, const char *path, int64_t at, int64_t size,
                      struct err_text *text)
{
    struct sim_task *task = task_of(fs);
    struct sim_disk *disk = disk_of(fs);
    struct sim_node *node = task->node;
    if (!sim_task_wait(task, task->cancelled ? 0 : latency_us(disk, op))) {
        err_set(text, "%s %s: the node crashed", op_verbs[op], path);
        return ERR_CANCELLED;
    }
    disk->ops++;
    sim_record(disk->sim, node, op_names[op], path, at, size);
    if (disk->ops == node->crash_at_op) {
        sim_task_crash(task);
        err_set(text, "%s %s: the node crashed", op_verbs[op], path);
        return ERR_CANCELLED;
    }
    enum err e = injected(disk, op, path);
    if (e != ERR_NONE) {
        disk->failed_ops++;
        err_set(text, "%s %s: %s (injected)", op_verbs[op], path, err_name(e));
        sim_record(disk->sim, node, "fault", path, (int64_t)e, 0);
    }
    return e;
}

/* ---- opening ---- */

static void file_close(struct env_file *base)
{
    struct sim_file *file = file_of(base);
    if (file->inode->locked_by == base) {
        file->inode->locked_by = NULL;
    }
    sim_inode_unref(file->inode);
    mem_free(file->path);
    mem_free(file);
}

static enum err fs_open(struct env_fs *fs, const char *path, int flags, struct env_file **out,
                        struct err_text *text)
{
    struct sim_disk *disk = disk_of(fs);
    *out = NULL;
    enum err e = begin(fs, SIM_OPEN, path, flags, 0, text);
    if (e != ERR_NONE) {
        return e;
    }
    char name[256];
    struct sim_inode *inode = sim_disk_find(disk, path);
    struct sim_inode *dir = sim_disk_parent(disk, path, name, sizeof name);
    if (inode == NULL && ((flags & ENV_OPEN_CREATE) == 0 || dir == NULL)) {
        return fail(SIM_OPEN, path, ENOENT, text);
    }
    if (inode != NULL && (flags & ENV_OPEN_EXCLUSIVE) != 0) {
        return fail(SIM_OPEN, path, EEXIST, text);
    }
    if (inode != NULL && inode->is_dir) {
        return fail(SIM_OPEN, path, EISDIR, text);
    }
    if (inode == NULL) {
        inode = sim_inode_new(disk, false);
        sim_disk_move(disk, NULL, NULL, dir, name, inode);
    } else {
        sim_inode_ref(inode);
        if ((flags & ENV_OPEN_TRUNCATE) != 0) {
            sim_inode_truncate(inode, 0);
        }
    }
    struct sim_file *file = mem_zalloc(sizeof *file);
    *file = (struct sim_file){.inode = inode,
                              .generation = disk->generation,
                              .writable = (flags & ENV_OPEN_WRITE) != 0,
                              .path = mem_strdup(path)};
    atomic_init(&file->base.refs, 1);
    file->base.close = file_close;
    *out = &file->base;
    return ERR_NONE;
}

/* ---- content ---- */

static struct sim_inode *inode_of(struct env_fs *fs, const struct sim_file *file)
{
    /* A handle from before a crash in the hands of a job after it is a bug of the core. */
    ASSERT(file->generation == disk_of(fs)->generation || task_of(fs)->cancelled);
    return file->inode;
}

size_t sim_file_peek(struct env_file *base, void *to, size_t size, int64_t at)
{
    const struct sim_blob *seen = &file_of(base)->inode->seen;
    if (at >= seen->size) {
        return 0;
    }
    size_t left = (size_t)(seen->size - at);
    size_t got = left < size ? left : size;
    memcpy(to, seen->data + at, got);
    return got;
}

static enum err fs_read(struct env_fs *fs, struct env_file *base, void *to, size_t size, int64_t at,
                        size_t *got, struct err_text *text)
{
    struct sim_file *file = file_of(base);
    *got = 0;
    enum err e = begin(fs, SIM_READ, file->path, at, (int64_t)size, text);
    if (e == ERR_NONE) {
        (void)inode_of(fs, file);
        *got = size > 0 ? sim_file_peek(base, to, size, at) : 0;
    }
    return e;
}

static int64_t iov_total(const struct env_iov *iov, int count)
{
    int64_t total = 0;
    for (int i = 0; i < count; i++) {
        total += (int64_t)iov[i].size;
    }
    return total;
}

/* Writes what fits below `limit` bytes; returns how much that was. */
static int64_t write_some(struct sim_inode *inode, const struct env_iov *iov, int count, int64_t at,
                          int64_t limit)
{
    int64_t done = 0;
    for (int i = 0; i < count && done < limit; i++) {
        int64_t size = (int64_t)iov[i].size;
        int64_t part = size < limit - done ? size : limit - done;
        sim_record_bytes(inode->disk->sim, iov[i].data, (size_t)part);
        sim_inode_write(inode, iov[i].data, part, at + done);
        done += part;
    }
    return done;
}

static enum err fs_write(struct env_fs *fs, struct env_file *base, const struct env_iov *iov,
                         int iov_count, int64_t at, struct err_text *text)
{
    struct sim_file *file = file_of(base);
    struct sim_task *task = task_of(fs);
    struct sim_disk *disk = disk_of(fs);
    struct sim_inode *inode = inode_of(fs, file);
    int64_t size = iov_total(iov, iov_count);
    task->writing = file->writable ? inode : NULL;
    task->iov = iov;
    task->iov_count = iov_count;
    task->write_at = at;
    enum err e = begin(fs, SIM_WRITE, file->path, at, size, text);
    task->writing = NULL;
    if (e == ERR_CANCELLED) {
        return e;
    }
    if (!file->writable) {
        return fail(SIM_WRITE, file->path, EBADF, text);
    }
    int64_t grows = at + size - inode->seen.size;
    int64_t room = disk->total_bytes - disk->used_bytes;
    bool full = grows > 0 && grows > room;
    if (e != ERR_NONE || full) { /* any part of it may be there after a failure */
        int64_t possible = full ? size - (grows - (room > 0 ? room : 0)) : size;
        write_some(inode, iov, iov_count, at,
                   sim_between(disk->sim, 0, possible > 0 ? possible : 0));
        return e != ERR_NONE ? e : fail(SIM_WRITE, file->path, ENOSPC, text);
    }
    write_some(inode, iov, iov_count, at, size);
    return ERR_NONE;
}

static enum err fs_sync_data(struct env_fs *fs, struct env_file *base, struct err_text *text)
{
    struct sim_file *file = file_of(base);
    struct sim_inode *inode = inode_of(fs, file);
    uint64_t written_before = disk_of(fs)->seq;
    enum err e = begin(fs, SIM_SYNC, file->path, 0, 0, text);
    if (e == ERR_NONE) {
        sim_inode_sync(inode, written_before);
    } else if (e != ERR_CANCELLED && sim_chance(disk_of(fs)->sim, 2)) {
        sim_inode_drop(
            inode); /* a kernel may forget what it could not write: no later sync helps */
    }
    return e;
}

static enum err fs_truncate(struct env_fs *fs, struct env_file *base, int64_t size,
                            struct err_text *text)
{
    struct sim_file *file = file_of(base);
    struct sim_inode *inode = inode_of(fs, file);
    enum err e = begin(fs, SIM_TRUNCATE, file->path, size, 0, text);
    if (e != ERR_NONE) {
        return e;
    }
    if (!file->writable) {
        return fail(SIM_TRUNCATE, file->path, EINVAL, text);
    }
    sim_inode_truncate(inode, size);
    return ERR_NONE;
}

static enum err fs_size(struct env_fs *fs, struct env_file *base, int64_t *size,
                        struct err_text *text)
{
    struct sim_file *file = file_of(base);
    *size = 0;
    enum err e = begin(fs, SIM_SIZE, file->path, 0, 0, text);
    if (e == ERR_NONE) {
        *size = inode_of(fs, file)->seen.size;
    }
    return e;
}

static enum err fs_lock(struct env_fs *fs, struct env_file *base, struct err_text *text)
{
    struct sim_file *file = file_of(base);
    struct sim_inode *inode = inode_of(fs, file);
    enum err e = begin(fs, SIM_LOCK, file->path, 0, 0, text);
    if (e != ERR_NONE) {
        return e;
    }
    if (!file->writable) {
        return fail(SIM_LOCK, file->path, EBADF, text);
    }
    if (inode->locked_by != NULL && inode->locked_by != base) {
        err_set(text, "lock %s: another process holds it", file->path);
        return ERR_IN_USE;
    }
    inode->locked_by = base;
    return ERR_NONE;
}

/* ---- names ---- */

static bool is_empty(const struct sim_inode *inode)
{
    return !inode->is_dir || inode->now.count == 0;
}

/* True when `dir` is `inode` or lies below it. */
static bool lies_below(const struct sim_inode *inode, const struct sim_inode *dir)
{
    if (inode == dir) {
        return true;
    }
    for (size_t i = 0; i < inode->now.count; i++) {
        if (lies_below(inode->now.entries[i].inode, dir)) {
            return true;
        }
    }
    return false;
}

static enum err fs_rename(struct env_fs *fs, const char *from, const char *to,
                          struct err_text *text)
{
    struct sim_disk *disk = disk_of(fs);
    enum err e = begin(fs, SIM_RENAME, from, 0, 0, text);
    if (e != ERR_NONE) {
        return e;
    }
    sim_record(disk->sim, task_of(fs)->node, "to", to, 0, 0);
    char from_name[256];
    char to_name[256];
    struct sim_inode *from_dir = sim_disk_parent(disk, from, from_name, sizeof from_name);
    struct sim_inode *to_dir = sim_disk_parent(disk, to, to_name, sizeof to_name);
    struct sim_inode *inode = from_dir != NULL ? sim_dir_find(&from_dir->now, from_name) : NULL;
    int errnum = 0;
    if (inode == NULL || to_dir == NULL) {
        errnum = ENOENT;
    } else {
        const struct sim_inode *old = sim_dir_find(&to_dir->now, to_name);
        if (old == inode) {
            return ERR_NONE;
        }
        if (lies_below(inode, to_dir)) {
            errnum = EINVAL;
        } else if (old != NULL && old->is_dir != inode->is_dir) {
            errnum = old->is_dir ? EISDIR : ENOTDIR;
        } else if (old != NULL && !is_empty(old)) {
            errnum = ENOTEMPTY;
        }
    }
    if (errnum != 0) {
        err_set(text, "rename %s to %s: %s", from, to, strerror(errnum));
        return err_from_errno(errnum);
    }
    sim_disk_move(disk, from_dir, from_name, to_dir, to_name, inode);
    return ERR_NONE;
}

static enum err take_name(struct env_fs *fs, enum sim_op op, const char *path,
                          struct err_text *text)
{
    struct sim_disk *disk = disk_of(fs);
    enum err e = begin(fs, op, path, 0, 0, text);
    if (e != ERR_NONE) {
        return e;
    }
    char name[256];
    struct sim_inode *dir = sim_disk_parent(disk, path, name, sizeof name);
    struct sim_inode *inode = dir != NULL ? sim_dir_find(&dir->now, name) : NULL;
    if (inode == NULL) {
        return fail(op, path, ENOENT, text);
    }
    if (inode->is_dir != (op == SIM_RMDIR)) {
        return fail(op, path, inode->is_dir ? EISDIR : ENOTDIR, text);
    }
    if (!is_empty(inode)) {
        return fail(op, path, ENOTEMPTY, text);
    }
    sim_disk_move(disk, dir, name, NULL, NULL, inode);
    return ERR_NONE;
}

static enum err fs_unlink(struct env_fs *fs, const char *path, struct err_text *text)
{
    return take_name(fs, SIM_UNLINK, path, text);
}

static enum err fs_rmdir(struct env_fs *fs, const char *path, struct err_text *text)
{
    return take_name(fs, SIM_RMDIR, path, text);
}

static enum err fs_mkdir(struct env_fs *fs, const char *path, struct err_text *text)
{
    struct sim_disk *disk = disk_of(fs);
    enum err e = begin(fs, SIM_MKDIR, path, 0, 0, text);
    if (e != ERR_NONE) {
        return e;
    }
    char name[256];
    struct sim_inode *dir = sim_disk_parent(disk, path, name, sizeof name);
    if (sim_disk_find(disk, path) != NULL) {
        return fail(SIM_MKDIR, path, EEXIST, text);
    }
    if (dir == NULL) {
        return fail(SIM_MKDIR, path, ENOENT, text);
    }
    struct sim_inode *inode = sim_inode_new(disk, true);
    sim_disk_move(disk, NULL, NULL, dir, name, inode);
    sim_inode_unref(inode);
    return ERR_NONE;
}

static enum err find_dir(struct env_fs *fs, enum sim_op op, const char *path,
                         struct sim_inode **out, struct err_text *text)
{
    enum err e = begin(fs, op, path, 0, 0, text);
    if (e != ERR_NONE) {
        return e;
    }
    *out = sim_disk_find(disk_of(fs), path);
    if (*out == NULL || !(*out)->is_dir) {
        return fail(op, path, *out == NULL ? ENOENT : ENOTDIR, text);
    }
    return ERR_NONE;
}

static enum err fs_sync_dir(struct env_fs *fs, const char *path, struct err_text *text)
{
    struct sim_inode *dir = NULL;
    enum err e = find_dir(fs, SIM_SYNC_DIR, path, &dir, text);
    if (e == ERR_NONE) {
        sim_disk_sync_dir(disk_of(fs), dir);
    }
    return e;
}

static enum err fs_sync_all(struct env_fs *fs, struct env_file *base, struct err_text *text)
{
    struct sim_file *file = file_of(base);
    struct sim_disk *disk = disk_of(fs);
    uint64_t written_before = disk->seq;
    enum err e = begin(fs, SIM_SYNC_ALL, file->path, 0, 0, text);
    if (e == ERR_CANCELLED) {
        return e;
    }
    sim_disk_sync_all(disk, written_before, e != ERR_NONE);
    return e;
}

static enum err fs_list(struct env_fs *fs, const char *path,
                        void (*each)(void *ctx, const char *name, bool is_dir), void *ctx,
                        struct err_text *text)
{
    struct sim_inode *dir = NULL;
    enum err e = find_dir(fs, SIM_LIST, path, &dir, text);
    if (e != ERR_NONE) {
        return e;
    }
    /* `each` may do file operations of its own: it is handed a copy. */
    struct bytes names = {0};
    for (size_t i = 0; i < dir->now.count; i++) {
        const struct sim_entry *entry = &dir->now.entries[i];
        bytes_append(&names, entry->inode->is_dir ? "d" : "f", 1);
        bytes_append(&names, entry->name, strlen(entry->name) + 1);
    }
    for (size_t at = 0; at < names.size;) {
        const char *entry = (const char *)names.data + at;
        each(ctx, entry + 1, entry[0] == 'd');
        at += strlen(entry) + 1;
    }
    bytes_free(&names);
    return ERR_NONE;
}

static enum err fs_space(struct env_fs *fs, const char *path, int64_t *free_bytes,
                         int64_t *total_bytes, struct err_text *text)
{
    struct sim_disk *disk = disk_of(fs);
    *free_bytes = 0;
    *total_bytes = 0;
    enum err e = begin(fs, SIM_SPACE, path, 0, 0, text);
    if (e != ERR_NONE) {
        return e;
    }
    if (sim_disk_find(disk, path) == NULL) {
        return fail(SIM_SPACE, path, ENOENT, text);
    }
    int64_t left = disk->total_bytes - disk->used_bytes;
    *free_bytes = left > 0 ? left : 0;
    *total_bytes = disk->total_bytes;
    return ERR_NONE;
}

const struct env_fs_ops sim_fs_ops = {
    .open = fs_open,
    .read = fs_read,
    .write = fs_write,
    .sync_data = fs_sync_data,
    .truncate = fs_truncate,
    .size = fs_size,
    .rename = fs_rename,
    .unlink = fs_unlink,
    .mkdir = fs_mkdir,
    .rmdir = fs_rmdir,
    .sync_dir = fs_sync_dir,
    .sync_all = fs_sync_all,
    .list = fs_list,
    .lock = fs_lock,
    .space = fs_space,
};

/* ---- knobs ---- */

uint64_t sim_disk_ops(const struct sim_node *node)
{
    return node->disk.ops;
}

void sim_disk_fail(struct sim_node *node, unsigned op_mask, const char *path_part, uint64_t nth,
                   enum err error, bool forever)
{
    struct sim_disk *disk = &node->disk;
    ASSERT(disk->fault_count < SIM_FAULTS_MAX && nth > 0 && error != ERR_NONE);
    disk->faults[disk->fault_count++] = (struct sim_fault){.op_mask = op_mask,
                                                           .path_part = path_part,
                                                           .left = nth,
                                                           .error = error,
                                                           .forever = forever};
}

void sim_disk_heal(struct sim_node *node)
{
    node->disk.fault_count = 0;
}

uint64_t sim_disk_failed(const struct sim_node *node)
{
    return node->disk.failed_ops;
}

void sim_disk_limit(struct sim_node *node, int64_t total_bytes)
{
    node->disk.total_bytes = total_bytes;
}

void sim_disk_stall(struct sim_node *node, int64_t for_us)
{
    node->disk.stalled_until_us = node->sim->now_us + for_us;
}

void sim_disk_latency(struct sim_node *node, enum sim_op op, struct sim_latency latency)
{
    ASSERT(op < SIM_OPS && latency.min_us >= 0 && latency.max_us >= latency.min_us);
    node->disk.latency[op] = latency;
}
