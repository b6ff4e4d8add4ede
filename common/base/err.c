#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_name(enum err e)
{
    static const char *const names[] = {
#define X(name, text) text,
        ERR_TABLE(X)
#undef X
    };
    if ((unsigned)e >= ERR_COUNT) {
        return "unknown error";
    }
    return names[e];
}

enum err err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return ERR_NONE;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_ACCESS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EADDRINUSE:
    case EBUSY:
    case EAGAIN:
        return ERR_IN_USE;
    case ECONNREFUSED:
        return ERR_REFUSED;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL:
        return ERR_UNREACHABLE;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECONNRESET:
    case EPIPE:
        return ERR_CLOSED;
    case ECANCELED:
        return ERR_CANCELLED;
    case EINVAL:
    case ENAMETOOLONG:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

void err_set(struct err_text *t, const char *fmt, ...)
{
    if (t == NULL) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(t->text, sizeof t->text, fmt, args);
    va_end(args);
}

void err_wrap(struct err_text *t, const char *fmt, ...)
{
    if (t == NULL) {
        return;
    }
    char inner[sizeof t->text];
    memcpy(inner, t->text, sizeof inner);
    inner[sizeof inner - 1] = '\0';
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(t->text, sizeof t->text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 3 < sizeof t->text) {
        size_t room = sizeof t->text - (size_t)n - 3;
        snprintf(t->text + n, sizeof t->text - (size_t)n, ": %.*s", (int)room, inner);
    }
}
