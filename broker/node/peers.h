/* peers: the quorum's way to the voters' controller listeners, one link each. */
#ifndef BROKER_NODE_PEERS_H
#define BROKER_NODE_PEERS_H

#include "broker/quorum/quorum.h"

struct node_peers;

/* Dials what `voters` names, when the quorum first has something to send there. */
struct node_peers *node_peers_new(struct env *env, const struct quorum_voter *voters,
                                  int32_t voter_count);
/* What goes into quorum_config.peers. */
struct quorum_peers node_peers_sender(struct node_peers *peers);
/* Whom the answers go to; NULL: they are dropped. */
void node_peers_attach(struct node_peers *peers, struct quorum *quorum);
/* What is under way is dropped. NULL is allowed. Not from inside quorum_answered. */
void node_peers_free(struct node_peers *peers);

#endif
