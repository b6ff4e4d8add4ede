/* replica_link: this broker's ways to the brokers it replicates from, and to the active controller
 * for what replicas ask of it (broker/replica/links.h).
 *
 * One connection per broker and channel, dialled when first needed, at the address the image gives
 * on inter.broker.listener.name when a request is sent. */
#ifndef BROKER_NODE_REPLICA_LINK_H
#define BROKER_NODE_REPLICA_LINK_H

#include "broker/replica/links.h"

struct broker;
struct node_replica_links;

struct node_replica_links *node_replica_links_new(struct broker *broker);
/* What replicas_config.links wants; good until the free. */
const struct replica_links *node_replica_links_vtable(const struct node_replica_links *links);
/* Closes every connection, when replicas_close has ended all calls. */
void node_replica_links_close(struct node_replica_links *links);
/* Calls under way are dropped without `done`: after replicas_free. NULL is allowed. */
void node_replica_links_free(struct node_replica_links *links);

#endif
