#include "tests/sim/verdict.h"

#include <stdarg.h>
#include <stdio.h>

void verdict_fail(struct verdict *verdict, const char *fmt, ...)
{
    if (verdict->failed) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(verdict->why, sizeof verdict->why, fmt, args);
    va_end(args);
    verdict->failed = true;
}
