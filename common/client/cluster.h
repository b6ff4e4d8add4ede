/* cluster: requests to the brokers of a cluster, by way of bootstrap servers.
 *
 * Sans-IO like client_conn: the owner brings a transport and the time. Each address has at most one
 * connection, dialled when a request needs it. Bootstrap servers, then the brokers learnt from
 * them, are tried in turn until one answers. Where the brokers are is learnt from Metadata, asked
 * when it is needed, and from every Metadata and DescribeCluster response that passes through.
 *
 * Failure: a connection that ends fails every request on it with the reason, and its address is
 * dialled again after a growing pause, when a request needs it. Nothing is sent twice: to repeat is
 * the caller's decision, and so is what a Kafka error inside a response means.
 *
 * TIME. After any call into cluster, cluster_next_deadline says when cluster_tick is due; requests
 * leave from the tick or from an event, not from inside cluster_send.
 *
 * RE-ENTRANCY. `done` is made from cluster_tick and the three events only. It may call
 * cluster_send, _refresh and _forget_coordinator; it must not free the cluster. */
#ifndef COMMON_CLIENT_CLUSTER_H
#define COMMON_CLIENT_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/client/conn.h"

struct cluster;
struct cluster_link; /* the cluster's end of one connection */

struct cluster_transport {
    /* Starts to connect; what happens is told later, by the events below, with `link`. Returns the
     * transport's own handle, not NULL. `host` is valid during the call. */
    void *(*dial)(void *ctx, const char *host, uint16_t port, struct cluster_link *link);
    /* A whole frame, its length in front; takes over the reference. */
    void (*send)(void *ctx, void *handle, struct buf *frame);
    /* No event may come for its link any more. */
    void (*close)(void *ctx, void *handle);
};

struct cluster_options {
    const char *client_id; /* NULL: none */
    int64_t connect_ms;    /* to connect and shake hands */
    int64_t backoff_ms;    /* first pause before an address is dialled again; doubles */
    int64_t backoff_limit_ms;
};
/* No client id, 10 s, 100 ms, 2 s. */
struct cluster_options cluster_options_default(void);

/* `bootstrap` is HOST:PORT[,HOST:PORT...]; a port left out is 9092, an IPv6 address stands in
 * brackets. ERR_INVALID with text when it is not. Strings are copied; the transport struct must
 * outlive the cluster. Nothing is dialled yet. */
enum err cluster_new(const char *bootstrap, const struct cluster_options *options,
                     const struct cluster_transport *transport, void *transport_ctx,
                     struct cluster **out, struct err_text *text);
/* Closes every connection. No `done` is called any more. */
void cluster_free(struct cluster *c);

/* ---- requests ------------------------------------------------------------------------------ */

enum cluster_target_kind {
    CLUSTER_ANY,        /* whichever broker answers; of those connected, who owes the fewest */
    CLUSTER_BROKER,     /* one broker */
    CLUSTER_COORDINATOR /* of a group */
};

struct cluster_target {
    enum cluster_target_kind kind;
    int32_t broker_id;
    const char *group;
};

static inline struct cluster_target cluster_any(void)
{
    return (struct cluster_target){CLUSTER_ANY, -1, NULL};
}

static inline struct cluster_target cluster_broker(int32_t broker_id)
{
    return (struct cluster_target){CLUSTER_BROKER, broker_id, NULL};
}

static inline struct cluster_target cluster_coordinator(const char *group)
{
    return (struct cluster_target){CLUSTER_COORDINATOR, -1, group};
}

/* `request` is copied but not what its body points at: body must live until `done`. target.group is
 * copied. The timeout counts from here and covers lookups, dialling and the answer. Errors told to
 * `done`: ERR_TIMEOUT, ERR_UNSUPPORTED, ERR_NOT_FOUND (no such broker in the cluster), what the
 * transport said (ERR_REFUSED, ERR_UNREACHABLE, ERR_CLOSED, ...), ERR_CORRUPT (the broker does not
 * speak the protocol), ERR_BUSY with kafka_error (the coordinator is not available yet), ERR_ACCESS
 * likewise. */
void cluster_send(struct cluster *c, struct cluster_target target,
                  const struct client_request *request, int64_t now_ms);
/* Where the brokers are is asked anew before the next request that needs to know. */
void cluster_refresh(struct cluster *c);
/* After NOT_COORDINATOR: the group's coordinator is looked up again for the next request. */
void cluster_forget_coordinator(struct cluster *c, const char *group);

/* ---- what is known ------------------------------------------------------------------------- */

struct cluster_node {
    int32_t id;
    const char *host;
    uint16_t port;
    const char *rack; /* NULL: none */
};

/* The brokers last heard of, by id; valid until the next call that is not a question. */
const struct cluster_node *cluster_brokers(const struct cluster *c, size_t *count);
/* NULL before the first Metadata or DescribeCluster. */
const char *cluster_id(const struct cluster *c);
int32_t cluster_controller_id(const struct cluster *c); /* -1 unknown */
/* Of the connection to that broker; NULL when none is ready. Valid until the next call that is not
 * a question. */
const struct client_conn *cluster_conn(const struct cluster *c, int32_t broker_id);
/* True when every bootstrap server and known broker was tried since one last answered, in vain.
 * `text` gets each with its cause. False again when one answers. */
bool cluster_unreachable(const struct cluster *c, struct err_text *text);

/* ---- time and events ----------------------------------------------------------------------- */

void cluster_tick(struct cluster *c, int64_t now_ms);
/* When cluster_tick is due: INT64_MAX never, INT64_MIN at once. */
int64_t cluster_next_deadline(const struct cluster *c);

/* What the transport tells. A link is dead after cluster_link_closed, or once the transport's close
 * was called for it, which any of these may do. */
void cluster_link_connected(struct cluster_link *link, int64_t now_ms);
/* The frame without its length; takes over the reference. */
void cluster_link_frame(struct cluster_link *link, struct buf *frame, int64_t now_ms);
/* Also when a dial failed. `why` need not name the address. */
void cluster_link_closed(struct cluster_link *link, enum err reason, const char *why,
                         int64_t now_ms);
/* The transport_ctx given to cluster_new, for transports whose events carry nothing but the link.
 */
void *cluster_link_ctx(const struct cluster_link *link);

#endif
