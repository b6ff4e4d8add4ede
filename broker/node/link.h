/* link: this node's way to one address of another node: dialled when first needed, spoken to
 * through common/client/conn.h, dialled again after a failure.
 *
 * Requests wait for the handshake. When the connection fails, every request that waits or is out is
 * told, and the next one dials anew, after LINK_BACKOFF_MS at the earliest. */
#ifndef BROKER_NODE_LINK_H
#define BROKER_NODE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/env/env.h"
#include "common/client/conn.h"

struct node_link;

enum { LINK_BACKOFF_MS = 50, LINK_MAX_FRAME_BYTES = 100 << 20 };

struct node_link_events {
    /* A connection that had been made ended: `reason` ERR_CLOSED when the peer closed it. May be
     * NULL. The link may not be freed from here. */
    void (*down)(void *ctx, enum err reason, const char *why);
};

/* `name` begins traces and error texts ("node 2 at 127.0.0.1:9093"). Strings are copied. */
struct node_link *node_link_new(struct env *env, const char *name, const char *host, uint16_t port,
                                const struct node_link_events *events, void *ctx);
/* Requests under way are dropped without `done`. NULL is allowed. Not from inside a callback of the
 * link. */
void node_link_free(struct node_link *link);
/* The body must live until `done`, which always comes in a later turn. */
void node_link_send(struct node_link *link, const struct client_request *request);
/* `done` with this ctx will not come. */
void node_link_cancel(struct node_link *link, const void *ctx);
bool node_link_up(const struct node_link *link); /* the handshake is done */
/* Requests that the peer has not answered, those nobody waits for any more included: what is sent
 * now is answered after them. */
uint32_t node_link_outstanding(const struct node_link *link);

#endif
