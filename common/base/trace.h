/* trace: what the program says of itself, line by line, to a sink handed in from above.
 *
 * (The prefix is trace_ because log_ means a partition's log.) A line names its object, says what
 * and why. Never called with secrets, keys or values of records. Core thread only. */
#ifndef COMMON_BASE_TRACE_H
#define COMMON_BASE_TRACE_H

#include <stdint.h>

enum trace_level { TRACE_ERROR, TRACE_WARN, TRACE_INFO, TRACE_DEBUG };

struct trace {
    enum trace_level level; /* lines above it are not formatted */
    void (*sink)(void *ctx, enum trace_level level, const char *line);
    void *ctx;
};

/* `t` may be NULL (no-op). Lines over 1 KiB are cut. Control characters become '?'. */
void trace_line(const struct trace *t, enum trace_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

const char *trace_level_name(enum trace_level level);

#define trace_error(t, ...) trace_line((t), TRACE_ERROR, __VA_ARGS__)
#define trace_warn(t, ...)  trace_line((t), TRACE_WARN, __VA_ARGS__)
#define trace_info(t, ...)  trace_line((t), TRACE_INFO, __VA_ARGS__)
#define trace_debug(t, ...) trace_line((t), TRACE_DEBUG, __VA_ARGS__)

#endif
