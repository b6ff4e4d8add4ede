/* What the machine can do at best, measured in the same run beside each figure of the log. */
#ifndef TESTS_BENCH_LOG_LIMITS_H
#define TESTS_BENCH_LOG_LIMITS_H

#include <stdint.h>

struct cost {
    double wall_s;
    double cpu_s; /* of the whole process */
};

struct cost cost_now(void);
struct cost cost_since(struct cost before);

/* Each does `bytes` in pieces of `piece` on a file of its own in `dir`. */
struct cost limit_crc_and_write(const char *dir, int64_t bytes, int64_t piece);
/* `path` is read; the second also computes the CRC of each piece, the third writes it to a file. */
struct cost limit_read(const char *path, int64_t bytes, int64_t piece);
struct cost limit_read_and_crc(const char *path, int64_t bytes, int64_t piece);
struct cost limit_copy(const char *dir, const char *path, int64_t bytes, int64_t piece);
/* Writes and fdatasyncs of `piece` bytes for a second: how many, and their median. */
void limit_sync(const char *dir, int64_t piece, double *per_second, double *p50_ms);

double percentile(double *values, int64_t count, double p); /* sorts */

#endif
