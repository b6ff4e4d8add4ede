/* echo: the smallest core. It listens, appends every frame to a file, and sends it back once the
 * file is synced: what came back must be in the file after any crash. And a client that counts.
 *
 * The file is records of {int32 size, uint32 crc32c, bytes}; what a crash tore off the end is cut
 * when the echo starts. Frames that arrive while a job runs are the next job's (group commit). */
#ifndef TESTS_ENV_ECHO_H
#define TESTS_ENV_ECHO_H

#include "broker/env/env.h"

struct echo;

/* Opens `path` (its directory exists), recovers, listens on `host`:`port`; then calls `ready` once,
 * with an error's text or NULL. */
struct echo *echo_new(struct env *env, const char *path, const char *host, uint16_t port,
                      void (*ready)(void *ctx, const char *error), void *ctx);
uint16_t echo_port(const struct echo *echo);
/* No job under way: only then, or when the env crashed, may it be freed. */
bool echo_idle(const struct echo *echo);
/* A failed write or sync; it answers nothing any more. NULL when all is well. */
const char *echo_failed(const struct echo *echo);
void echo_free(struct echo *echo);

/* Calls `each` for every whole record. Returns the size of the whole ones. */
size_t echo_scan(const uint8_t *data, size_t size,
                 void (*each)(void *ctx, const uint8_t *record, size_t record_size), void *ctx);

/* Sends frames 0, 1, 2 ... up to `total`, several at a time; dials again when the connection ends
 * and sends again what was not answered. */
struct echo_client {
    struct env *env;
    const char *host;
    uint16_t port;
    uint32_t total;
    uint32_t acked; /* frames below this came back, in order, unchanged */
    uint32_t sent;
    uint32_t dials;
    bool over;   /* all came back */
    bool broken; /* something else came back */
    bool open;
    env_conn conn;
    struct env_timer again;
};

void echo_client_start(struct echo_client *client, struct env *env, const char *host, uint16_t port,
                       uint32_t total);
void echo_client_stop(struct echo_client *client);
/* The bytes of frame n; at most ECHO_FRAME_MAX of them. */
enum { ECHO_FRAME_MAX = 9000 };
size_t echo_frame(uint32_t n, uint8_t to[ECHO_FRAME_MAX]);

#endif
