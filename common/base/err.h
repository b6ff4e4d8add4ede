/* err: one table of errors that rooms return to each other, and the text that goes with one.
 *
 * Errors of the Kafka protocol are another vocabulary (common/wire/kafka_error.h): rooms that
 * speak to clients map one to the other where they answer.
 *
 * Text is set where the error happens and wrapped outward, so that it reads from the outside in:
 * "open log orders-3: read segment 00000000000000012000.log: Input/output error". */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

#define ERR_TABLE(X)                                                                               \
    X(ERR_NONE, "no error")                                                                        \
    X(ERR_INVALID, "invalid input")                                                                \
    X(ERR_CORRUPT, "corrupt data")                                                                 \
    X(ERR_TRUNCATED, "input ends too early")                                                       \
    X(ERR_TOO_LARGE, "larger than allowed")                                                        \
    X(ERR_UNSUPPORTED, "not supported")                                                            \
    X(ERR_NOT_FOUND, "not found")                                                                  \
    X(ERR_EXISTS, "already exists")                                                                \
    X(ERR_IN_USE, "in use")                                                                        \
    X(ERR_ACCESS, "permission denied")                                                             \
    X(ERR_NO_SPACE, "no space left")                                                               \
    X(ERR_IO, "input/output error")                                                                \
    X(ERR_CLOSED, "closed")                                                                        \
    X(ERR_REFUSED, "connection refused")                                                           \
    X(ERR_UNREACHABLE, "unreachable")                                                              \
    X(ERR_TIMEOUT, "timed out")                                                                    \
    X(ERR_CANCELLED, "cancelled")                                                                  \
    X(ERR_BUSY, "busy")                                                                            \
    X(ERR_OUT_OF_RANGE, "out of range")                                                            \
    X(ERR_STALE, "superseded by something newer")                                                  \
    X(ERR_DUPLICATE, "duplicate")                                                                  \
    X(ERR_OUT_OF_ORDER, "out of order")                                                            \
    X(ERR_FENCED, "fenced")

enum err {
#define X(name, text) name,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

/* The table's words for `e`. Static; never NULL. */
const char *err_name(enum err e);

/* Maps errno (positive) to the table; what has no row becomes ERR_IO. */
enum err err_from_errno(int errnum);

struct err_text {
    char text[512];
};

/* Replaces the text. Over-long text is cut. `t` may be NULL (no-op). */
void err_set(struct err_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "FORMATTED: " before the present text. `t` may be NULL (no-op). */
void err_wrap(struct err_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
