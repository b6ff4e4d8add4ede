#include "tests/bench/log/limits.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/mem.h"

struct cost cost_now(void)
{
    struct timespec now;
    struct rusage used;
    clock_gettime(CLOCK_MONOTONIC, &now);
    getrusage(RUSAGE_SELF, &used);
    return (struct cost){.wall_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9,
                         .cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                                  (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6};
}

struct cost cost_since(struct cost before)
{
    struct cost now = cost_now();
    return (struct cost){now.wall_s - before.wall_s, now.cpu_s - before.cpu_s};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double percentile(double *values, int64_t count, double p)
{
    ASSERT(count > 0);
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[(int64_t)((double)(count - 1) * p)];
}

static int probe_open(const char *dir, char *path, size_t size)
{
    snprintf(path, size, "%s/limit.probe", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT(fd >= 0);
    return fd;
}

static volatile uint32_t crc_sink;

struct cost limit_crc_and_write(const char *dir, int64_t bytes, int64_t piece)
{
    char path[4096];
    int fd = probe_open(dir, path, sizeof path);
    uint8_t *data = mem_alloc((size_t)piece);
    memset(data, 7, (size_t)piece);
    struct cost before = cost_now();
    for (int64_t at = 0; at + piece <= bytes; at += piece) {
        data[0]++;
        crc_sink = crc32c(data, (size_t)piece);
        ssize_t n = pwrite(fd, data, (size_t)piece, at);
        ASSERT(n == piece);
    }
    struct cost cost = cost_since(before);
    close(fd);
    unlink(path);
    mem_free(data);
    return cost;
}

static struct cost read_file(const char *path, int64_t bytes, int64_t piece, bool crc, int to)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ASSERT(fd >= 0);
    uint8_t *data = mem_alloc((size_t)piece);
    struct cost before = cost_now();
    for (int64_t at = 0; at < bytes;) {
        ssize_t n = pread(fd, data, (size_t)piece, at);
        if (n <= 0) {
            break;
        }
        if (crc) {
            crc_sink = crc32c(data, (size_t)n);
        }
        if (to >= 0) {
            ssize_t written = pwrite(to, data, (size_t)n, at);
            ASSERT(written == n);
        }
        at += n;
    }
    struct cost cost = cost_since(before);
    close(fd);
    mem_free(data);
    return cost;
}

struct cost limit_read(const char *path, int64_t bytes, int64_t piece)
{
    return read_file(path, bytes, piece, false, -1);
}

struct cost limit_read_and_crc(const char *path, int64_t bytes, int64_t piece)
{
    return read_file(path, bytes, piece, true, -1);
}

struct cost limit_copy(const char *dir, const char *path, int64_t bytes, int64_t piece)
{
    char probe[4096];
    int fd = probe_open(dir, probe, sizeof probe);
    struct cost cost = read_file(path, bytes, piece, false, fd);
    close(fd);
    unlink(probe);
    return cost;
}

void limit_sync(const char *dir, int64_t piece, double *per_second, double *p50_ms)
{
    enum { MOST = 100000 };
    char path[4096];
    int fd = probe_open(dir, path, sizeof path);
    uint8_t *data = mem_zalloc((size_t)piece);
    double *times = mem_array(MOST, sizeof *times);
    int64_t count = 0;
    struct cost begun = cost_now();
    while (count < MOST && cost_since(begun).wall_s < 1) {
        struct cost before = cost_now();
        ssize_t n = pwrite(fd, data, (size_t)piece, count * piece);
        ASSERT(n == piece);
        int rc = fdatasync(fd);
        ASSERT(rc == 0);
        times[count++] = cost_since(before).wall_s * 1000;
    }
    *per_second = (double)count / cost_since(begun).wall_s;
    *p50_ms = percentile(times, count, 0.5);
    close(fd);
    unlink(path);
    mem_free(data);
    mem_free(times);
}
