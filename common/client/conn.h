/* conn: the client side of one connection to a broker.
 *
 * Sans-IO: frames in, frames out, time handed in. ApiVersions goes first, at our highest version; a
 * broker that answers UNSUPPORTED_VERSION is asked again at the version it names, or 0 (KIP-511).
 * From then on a request goes out at the highest version that caller, schema and broker have in
 * common.
 *
 * A broker answers a connection's requests in order, so an answer that is not the oldest request's
 * breaks the connection. A request without an answer in time fails alone, and its answer is dropped
 * when it comes; a connection whose oldest request failed so, and on which nothing was heard for
 * CLIENT_MUTE_MS, is taken for dead and breaks.
 *
 * RE-ENTRANCY. `done` and `ready` are made from client_conn_frame, _tick and _closed only, never
 * from inside client_conn_send. They may send; they must not free the connection. */
#ifndef COMMON_CLIENT_CONN_H
#define COMMON_CLIENT_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/wire/wire.h"

struct api_versions_response;
struct client_conn;

enum { CLIENT_MUTE_MS = 3000 };

struct client_answer {
    enum err error;       /* ERR_NONE, or why there is no response */
    const char *why;      /* reads on its own, names the broker; "" without an error */
    int16_t kafka_error;  /* the broker's code when `error` comes from one (a lookup it refused),
                             else 0 */
    int16_t version;      /* of the response */
    const void *response; /* the API's response struct, valid during the call; NULL on error, and
                             for Produce with acks 0, which has no answer */
    struct buf *frame;    /* what the response's records and strings point into; NULL without a
                             response. Who keeps the bytes takes a reference. */
};

struct client_request {
    int16_t api_key;     /* must have a schema */
    int16_t min_version; /* the caller's bounds; equal pins the version */
    int16_t max_version;
    const void *body; /* the API's request struct */
    /* Instead of `body`, where it depends on the version: called with `ctx` once the version is
     * known; what it returns is used at once and not kept. May be NULL. */
    const void *(*make)(void *ctx, int16_t version);
    int64_t timeout_ms; /* > 0 */
    /* Exactly once, unless the connection or cluster is freed first. */
    void (*done)(void *ctx, const struct client_answer *answer);
    void *ctx;
};

/* A request at any version. */
struct client_request client_request_of(int16_t api_key, const void *body, int64_t timeout_ms,
                                        void (*done)(void *ctx, const struct client_answer *answer),
                                        void *ctx);

struct client_conn_events {
    /* A whole frame, its length in front; the receiver's reference. Must not call back. */
    void (*send)(void *ctx, struct buf *frame);
    /* The handshake is done: requests may be sent. May be NULL. */
    void (*ready)(void *ctx);
};

/* `peer` ("127.0.0.1:9092") begins every error text. Both strings are copied; client_id may be NULL
 * and has at most 32767 bytes. */
struct client_conn *client_conn_new(const char *peer, const char *client_id,
                                    const struct client_conn_events *events, void *ctx);
/* No callback is made. NULL is allowed. */
void client_conn_free(struct client_conn *c);

/* The transport is connected: sends ApiVersions. Once. */
void client_conn_start(struct client_conn *c, int64_t now_ms, int64_t timeout_ms);

/* After client_conn_ready. The body is encoded before it returns. Without ERR_NONE nothing was sent
 * and `done` is not called: ERR_UNSUPPORTED when there is no common version or the version cannot
 * carry a field that is set, ERR_CLOSED when the connection is broken. */
enum err client_conn_send(struct client_conn *c, const struct client_request *request,
                          int64_t now_ms, struct err_text *text);

/* A frame without its length; takes over the reference. An error means the connection broke: every
 * request has been told, the owner closes the transport and frees the connection. */
enum err client_conn_frame(struct client_conn *c, struct buf *frame, int64_t now_ms,
                           struct err_text *text);
/* The same for time passing. */
enum err client_conn_tick(struct client_conn *c, int64_t now_ms, struct err_text *text);
/* When client_conn_tick has something to do next; INT64_MAX when nothing. */
int64_t client_conn_next_deadline(const struct client_conn *c);
/* The transport ended: every request is told `reason` and `why`, which need not name the broker. */
void client_conn_closed(struct client_conn *c, enum err reason, const char *why);

bool client_conn_ready(const struct client_conn *c);
/* Requests without an answer yet, given up ones included. */
uint32_t client_conn_outstanding(const struct client_conn *c);

/* What the broker said; the connection's own. NULL before ready. */
const struct api_versions_response *client_conn_versions(const struct client_conn *c);
/* False when the broker does not serve the API, or before ready. */
bool client_conn_range(const struct client_conn *c, int16_t api_key, int16_t *min, int16_t *max);
/* Level of a finalized feature ("metadata.version"); false when it is not finalized, or before
 * ready. */
bool client_conn_feature(const struct client_conn *c, const char *name, int16_t *level);
/* The version a request with these bounds would have. ERR_UNSUPPORTED with text. After ready. */
enum err client_conn_version(const struct client_conn *c, int16_t api_key, int16_t min, int16_t max,
                             int16_t *version, struct err_text *text);

#endif
