#include "common/base/trace.h"

#include <stdarg.h>
#include <stdio.h>

void trace_line(const struct trace *t, enum trace_level level, const char *fmt, ...)
{
    if (t == NULL || level > t->level) {
        return;
    }
    char line[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    for (char *c = line; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || (unsigned char)*c == 0x7f) {
            *c = '?';
        }
    }
    t->sink(t->ctx, level, line);
}

const char *trace_level_name(enum trace_level level)
{
    static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
    return names[level];
}
