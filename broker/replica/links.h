/* links: how this room speaks with other brokers and with the active controller.
 *
 * The room has no sockets: the owner carries decoded request structs and brings decoded responses.
 * `send` and `cancel` never call back; `done` comes once, in a later turn, unless the call was
 * cancelled. Versions: what both sides have in common within the call's bounds; ERR_UNSUPPORTED
 * when there is none. */
#ifndef BROKER_REPLICA_LINKS_H
#define BROKER_REPLICA_LINKS_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/* A broker answers a connection's requests in order, and a Fetch may be parked: calls to one broker
 * on different channels must travel on different connections. */
enum replica_channel { REPLICA_CHANNEL_LOOKUP, REPLICA_CHANNEL_DURABLE, REPLICA_CHANNEL_OTHERS };
enum { REPLICA_CHANNELS = 3, REPLICA_CONTROLLER = -1 };

struct replica_answer {
    enum err error;       /* ERR_NONE, or why there is no response */
    const char *why;      /* words for a trace line; "" without an error */
    int16_t version;      /* of the response */
    const void *response; /* the API's response struct, good during the call */
    /* What the response's records point into, so that they need not be copied; may be NULL. */
    struct buf *frame;
};

struct replica_call {
    int32_t broker_id; /* REPLICA_CONTROLLER: the active controller, whoever that is */
    enum replica_channel channel;
    int16_t api_key;
    int16_t min_version;
    int16_t max_version;
    const void *request; /* the API's request struct, in place until the call ends */
    int64_t timeout_ms;
    void (*done)(struct replica_call *call, const struct replica_answer *answer);
    void *link; /* the owner's */
};

struct replica_links {
    void (*send)(void *ctx, struct replica_call *call);
    /* `done` will not come. Only for calls that were sent and not answered. The next call on the
     * same channel does not wait for the answer of the cancelled one. */
    void (*cancel)(void *ctx, struct replica_call *call);
    void *ctx;
};

/* Kafka's settings of these names; 0 takes Kafka 4.3.1's default, given behind. */
struct replication_settings {
    int64_t lag_time_max_ms;          /* replica.lag.time.max.ms, 30000 */
    int32_t fetch_wait_max_ms;        /* replica.fetch.wait.max.ms, 500 */
    int32_t fetch_min_bytes;          /* replica.fetch.min.bytes, 1 */
    int32_t fetch_max_bytes;          /* replica.fetch.max.bytes, 1 MiB */
    int32_t fetch_response_max_bytes; /* replica.fetch.response.max.bytes, 10 MiB */
    int32_t fetch_backoff_ms;         /* replica.fetch.backoff.ms, 1000: what retries grow to */
    int32_t socket_timeout_ms;        /* replica.socket.timeout.ms, 30000 */
};

#endif
