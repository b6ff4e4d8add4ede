/* Files: env_fs over plain system calls. Any thread.
 *
 * Calls interrupted by signals are repeated, short reads and writes go on. A failed sync is never
 * repeated here: what the kernel could not write it may have dropped.
 *
 * The lock is an open-file-description lock: it belongs to the file's reference, not to the
 * process, and conflicts with the POSIX lock that Apache Kafka takes on the same file.
 *
 * The last drop of a file often happens on the loop thread, when a range of it was sent. Closing is
 * cheap unless the name is gone: then it frees the blocks, which takes long for a segment, so a
 * worker does it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "broker/os/impl.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { IOVS = 64, OPEN_PAUSE_MS = 5, OPEN_PATIENCE_MS = 10000 };

struct os_file {
    struct env_file file; /* first */
    struct os *os;
    struct env_job close; /* used when a worker is to close it */
    int fd;
    char path[];
};

static struct os_file *os_file(struct env_file *file)
{
    return (struct os_file *)file;
}

int os_file_fd(const struct env_file *file)
{
    return ((const struct os_file *)file)->fd;
}

static enum err failed(struct err_text *text, const char *verb, const char *path)
{
    int errnum = errno;
    err_set(text, "%s %s: %s", verb, path, strerror(errnum));
    return err_from_errno(errnum);
}

static void close_run(struct env_job *job, struct env_fs *fs)
{
    (void)fs;
    struct os_file *f = CONTAINER_OF(job, struct os_file, close);
    ASSERT(f->fd >= 0);
    close(f->fd);
    f->fd = -1;
}

static void close_done(struct env_job *job)
{
    struct os_file *f = CONTAINER_OF(job, struct os_file, close);
    size_t before = atomic_fetch_sub(&f->os->open_files, 1);
    ASSERT(before > 0);
    mem_free(f);
}

static bool is_deleted(const struct os_file *f)
{
    struct stat st;
    return fstat(f->fd, &st) == 0 && st.st_nlink == 0;
}

static void file_close(struct env_file *file)
{
    struct os_file *f = os_file(file);
    struct os *os = f->os;
    f->close = (struct env_job){.run = close_run, .done = close_done};
    if (pthread_equal(pthread_self(), os->loop_thread) && !os->drained && is_deleted(f)) {
        if (os->closer == NULL) {
            os->closer = env_lane_open(&os->env, ENV_WORKER_READ);
        }
        env_job_submit(&os->env, os->closer, &f->close);
        return;
    }
    close_run(&f->close, &os->fs);
    close_done(&f->close);
}

/* The log room keeps to its share of the limit of open files; connections and ranges on their way
 * may still reach it for a moment. That is waited for: it says nothing of the disk. */
static int open_patiently(const char *path, int how)
{
    const struct timespec pause = {.tv_nsec = OPEN_PAUSE_MS * 1000000L};
    for (int waited_ms = 0;; waited_ms += OPEN_PAUSE_MS) {
        int fd = open(path, how, 0600);
        bool scarce = fd < 0 && (errno == EMFILE || errno == ENFILE);
        if (fd >= 0 || (errno != EINTR && !scarce) || waited_ms >= OPEN_PATIENCE_MS) {
            return fd;
        }
        if (scarce) {
            nanosleep(&pause, NULL);
        }
    }
}

static enum err fs_open(struct env_fs *fs, const char *path, int flags, struct env_file **out,
                        struct err_text *text)
{
    struct os *os = CONTAINER_OF(fs, struct os, fs);
    int how = O_CLOEXEC | O_NOCTTY;
    how |= flags & ENV_OPEN_WRITE ? O_RDWR : O_RDONLY;
    how |= flags & ENV_OPEN_CREATE ? O_CREAT : 0;
    how |= flags & ENV_OPEN_TRUNCATE ? O_TRUNC : 0;
    how |= flags & ENV_OPEN_EXCLUSIVE ? O_EXCL : 0;
    int fd = open_patiently(path, how);
    if (fd < 0) {
        return failed(text, flags & ENV_OPEN_CREATE ? "create" : "open", path);
    }
    size_t size = strlen(path) + 1;
    struct os_file *f = mem_alloc(sizeof *f + size);
    atomic_init(&f->file.refs, 1);
    f->file.close = file_close;
    f->os = os;
    atomic_fetch_add(&os->open_files, 1);
    f->fd = fd;
    memcpy(f->path, path, size);
    *out = &f->file;
    return ERR_NONE;
}

static enum err fs_read(struct env_fs *fs, struct env_file *file, void *to, size_t size, int64_t at,
                        size_t *got, struct err_text *text)
{
    (void)fs;
    const struct os_file *f = os_file(file);
    *got = 0;
    while (*got < size) {
        ssize_t n = pread(f->fd, (uint8_t *)to + *got, size - *got, at + (int64_t)*got);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return failed(text, "read", f->path);
        }
        if (n == 0) {
            break;
        }
        *got += (size_t)n;
    }
    return ERR_NONE;
}

static enum err write_all(const struct os_file *f, struct iovec *iov, int count, int64_t *at,
                          struct err_text *text)
{
    while (count > 0) {
        ssize_t n = pwritev(f->fd, iov, count, *at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno; /* no progress and no reason given */
            return failed(text, "write", f->path);
        }
        *at += n;
        size_t done = (size_t)n;
        while (count > 0 && done >= iov->iov_len) {
            done -= iov->iov_len;
            iov++;
            count--;
        }
        if (done > 0) {
            ASSERT(count > 0);
            iov->iov_base = (uint8_t *)iov->iov_base + done;
            iov->iov_len -= done;
        }
    }
    return ERR_NONE;
}

static enum err fs_write(struct env_fs *fs, struct env_file *file, const struct env_iov *iov,
                         int iov_count, int64_t at, struct err_text *text)
{
    (void)fs;
    const struct os_file *f = os_file(file);
    int i = 0;
    while (i < iov_count) {
        struct iovec some[IOVS];
        int count = 0;
        for (; i < iov_count && count < IOVS; i++) {
            if (iov[i].size > 0) {
                some[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)iov[i].data,
                                               .iov_len = iov[i].size};
            }
        }
        enum err e = write_all(f, some, count, &at, text);
        if (e != ERR_NONE) {
            return e;
        }
    }
    return ERR_NONE;
}

static enum err fs_sync_data(struct env_fs *fs, struct env_file *file, struct err_text *text)
{
    (void)fs;
    const struct os_file *f = os_file(file);
    return fdatasync(f->fd) == 0 ? ERR_NONE : failed(text, "sync", f->path);
}

static enum err fs_truncate(struct env_fs *fs, struct env_file *file, int64_t size,
                            struct err_text *text)
{
    (void)fs;
    const struct os_file *f = os_file(file);
    int rc;
    do {
        rc = ftruncate(f->fd, size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? ERR_NONE : failed(text, "truncate", f->path);
}

static enum err fs_size(struct env_fs *fs, struct env_file *file, int64_t *size,
                        struct err_text *text)
{
    (void)fs;
    const struct os_file *f = os_file(file);
    struct stat st;
    if (fstat(f->fd, &st) != 0) {
        return failed(text, "stat", f->path);
    }
    *size = st.st_size;
    return ERR_NONE;
}

static enum err fs_rename(struct env_fs *fs, const char *from, const char *to,
                          struct err_text *text)
{
    (void)fs;
    if (rename(from, to) != 0) {
        int errnum = errno;
        err_set(text, "rename %s to %s: %s", from, to, strerror(errnum));
        return err_from_errno(errnum);
    }
    return ERR_NONE;
}

static enum err fs_unlink(struct env_fs *fs, const char *path, struct err_text *text)
{
    (void)fs;
    return unlink(path) == 0 ? ERR_NONE : failed(text, "delete", path);
}

static enum err fs_mkdir(struct env_fs *fs, const char *path, struct err_text *text)
{
    (void)fs;
    return mkdir(path, 0700) == 0 ? ERR_NONE : failed(text, "make directory", path);
}

static enum err fs_rmdir(struct env_fs *fs, const char *path, struct err_text *text)
{
    (void)fs;
    return rmdir(path) == 0 ? ERR_NONE : failed(text, "delete directory", path);
}

static enum err fs_sync_dir(struct env_fs *fs, const char *path, struct err_text *text)
{
    (void)fs;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return failed(text, "open directory", path);
    }
    enum err e = fsync(fd) == 0 ? ERR_NONE : failed(text, "sync directory", path);
    close(fd);
    return e;
}

static enum err fs_sync_all(struct env_fs *fs, struct env_file *file, struct err_text *text)
{
    (void)fs;
    const struct os_file *f = os_file(file);
    return syncfs(f->fd) == 0 ? ERR_NONE : failed(text, "sync the file system of", f->path);
}

struct entry {
    char *name;
    bool is_dir;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool is_directory(DIR *dir, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN && d->d_type != DT_LNK) {
        return d->d_type == DT_DIR;
    }
    return fstatat(dirfd(dir), d->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static enum err fs_list(struct env_fs *fs, const char *path,
                        void (*each)(void *ctx, const char *name, bool is_dir), void *ctx,
                        struct err_text *text)
{
    (void)fs;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return failed(text, "open directory", path);
    }
    struct entry *entries = NULL;
    size_t count = 0;
    size_t capacity = 0;
    struct dirent *d;
    while (errno = 0, (d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0) {
            bool is_dir = is_directory(dir, d);
            *MEM_PUSH(entries, count, capacity) =
                (struct entry){.name = mem_strdup(d->d_name), .is_dir = is_dir};
        }
    }
    enum err e = errno == 0 ? ERR_NONE : failed(text, "read directory", path);
    closedir(dir);
    if (count > 0) {
        qsort(entries, count, sizeof *entries, by_name);
    }
    for (size_t i = 0; i < count; i++) {
        if (e == ERR_NONE) {
            each(ctx, entries[i].name, entries[i].is_dir);
        }
        mem_free(entries[i].name);
    }
    mem_free(entries);
    return e;
}

static enum err fs_lock(struct env_fs *fs, struct env_file *file, struct err_text *text)
{
    (void)fs;
    const struct os_file *f = os_file(file);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(f->fd, F_OFD_SETLK, &whole) == 0) {
        return ERR_NONE;
    }
    if (errno == EAGAIN || errno == EACCES) {
        err_set(text, "lock %s: another process holds it", f->path);
        return ERR_IN_USE;
    }
    return failed(text, "lock", f->path);
}

static enum err fs_space(struct env_fs *fs, const char *path, int64_t *free_bytes,
                         int64_t *total_bytes, struct err_text *text)
{
    (void)fs;
    struct statvfs v;
    if (statvfs(path, &v) != 0) {
        return failed(text, "space of", path);
    }
    *free_bytes = (int64_t)(v.f_bavail * v.f_frsize);
    *total_bytes = (int64_t)(v.f_blocks * v.f_frsize);
    return ERR_NONE;
}

const struct env_fs_ops os_fs_ops = {
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
