/* verdict: whether a universe has broken a promise, and which. The first reason wins. */
#ifndef TESTS_SIM_VERDICT_H
#define TESTS_SIM_VERDICT_H

#include <stdbool.h>

struct verdict {
    bool failed;
    char why[768];
};

void verdict_fail(struct verdict *verdict, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
