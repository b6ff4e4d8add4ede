/* The blocking file face: checks and forwards; and whole small files on top of it. */
#include <stdio.h>
#include <string.h>

#include "broker/env/env.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum err env_fs_open(struct env_fs *fs, const char *path, int flags, struct env_file **out,
                     struct err_text *text)
{
    ASSERT(!(flags & (ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE)) || (flags & ENV_OPEN_WRITE));
    return fs->ops->open(fs, path, flags, out, text);
}

enum err env_fs_read(struct env_fs *fs, struct env_file *file, void *to, size_t size, int64_t at,
                     size_t *got, struct err_text *text)
{
    ASSERT(at >= 0);
    return fs->ops->read(fs, file, to, size, at, got, text);
}

enum err env_fs_write(struct env_fs *fs, struct env_file *file, const struct env_iov *iov,
                      int iov_count, int64_t at, struct err_text *text)
{
    ASSERT(at >= 0 && iov_count >= 0);
    return fs->ops->write(fs, file, iov, iov_count, at, text);
}

enum err env_fs_sync_data(struct env_fs *fs, struct env_file *file, struct err_text *text)
{
    return fs->ops->sync_data(fs, file, text);
}

enum err env_fs_truncate(struct env_fs *fs, struct env_file *file, int64_t size,
                         struct err_text *text)
{
    ASSERT(size >= 0);
    return fs->ops->truncate(fs, file, size, text);
}

enum err env_fs_size(struct env_fs *fs, struct env_file *file, int64_t *size, struct err_text *text)
{
    return fs->ops->size(fs, file, size, text);
}

enum err env_fs_rename(struct env_fs *fs, const char *from, const char *to, struct err_text *text)
{
    return fs->ops->rename(fs, from, to, text);
}

enum err env_fs_unlink(struct env_fs *fs, const char *path, struct err_text *text)
{
    return fs->ops->unlink(fs, path, text);
}

enum err env_fs_mkdir(struct env_fs *fs, const char *path, struct err_text *text)
{
    return fs->ops->mkdir(fs, path, text);
}

enum err env_fs_rmdir(struct env_fs *fs, const char *path, struct err_text *text)
{
    return fs->ops->rmdir(fs, path, text);
}

enum err env_fs_sync_dir(struct env_fs *fs, const char *path, struct err_text *text)
{
    return fs->ops->sync_dir(fs, path, text);
}

enum err env_fs_sync_all(struct env_fs *fs, struct env_file *file, struct err_text *text)
{
    return fs->ops->sync_all(fs, file, text);
}

enum err env_fs_list(struct env_fs *fs, const char *path,
                     void (*each)(void *ctx, const char *name, bool is_dir), void *ctx,
                     struct err_text *text)
{
    return fs->ops->list(fs, path, each, ctx, text);
}

enum err env_fs_lock(struct env_fs *fs, struct env_file *file, struct err_text *text)
{
    return fs->ops->lock(fs, file, text);
}

enum err env_fs_space(struct env_fs *fs, const char *path, int64_t *free_bytes,
                      int64_t *total_bytes, struct err_text *text)
{
    return fs->ops->space(fs, path, free_bytes, total_bytes, text);
}

enum err env_fs_slurp(struct env_fs *fs, const char *path, size_t limit, struct bytes *out,
                      struct err_text *text)
{
    struct env_file *file = NULL;
    enum err e = env_fs_open(fs, path, ENV_OPEN_READ, &file, text);
    if (e != ERR_NONE) {
        return e;
    }
    int64_t size = 0;
    e = env_fs_size(fs, file, &size, text);
    if (e == ERR_NONE && (uint64_t)size > limit) {
        err_set(text, "%s: %lld bytes, expected at most %zu", path, (long long)size, limit);
        e = ERR_TOO_LARGE;
    }
    if (e == ERR_NONE) {
        size_t got = 0;
        size_t before = out->size;
        uint8_t *to = bytes_extend(out, (size_t)size);
        e = env_fs_read(fs, file, to, (size_t)size, 0, &got, text);
        out->size = e == ERR_NONE ? before + got : before;
    }
    env_file_unref(file);
    return e;
}

static enum err sync_parent(struct env_fs *fs, const char *path, struct err_text *text)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return env_fs_sync_dir(fs, ".", text);
    }
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    char *dir = mem_alloc(length + 1);
    memcpy(dir, path, length);
    dir[length] = '\0';
    enum err e = env_fs_sync_dir(fs, dir, text);
    mem_free(dir);
    return e;
}

enum err env_fs_replace(struct env_fs *fs, const char *path, const void *data, size_t size,
                        struct err_text *text)
{
    size_t length = strlen(path) + sizeof ".tmp";
    char *tmp = mem_alloc(length);
    snprintf(tmp, length, "%s.tmp", path);
    struct env_file *file = NULL;
    enum err e =
        env_fs_open(fs, tmp, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file, text);
    if (e == ERR_NONE) {
        struct env_iov iov = {.data = data, .size = size};
        e = env_fs_write(fs, file, &iov, 1, 0, text);
        if (e == ERR_NONE) {
            e = env_fs_sync_data(fs, file, text);
        }
        env_file_unref(file);
    }
    if (e == ERR_NONE) {
        e = env_fs_rename(fs, tmp, path, text);
    }
    if (e == ERR_NONE) {
        e = sync_parent(fs, path, text);
    }
    mem_free(tmp);
    return e;
}
