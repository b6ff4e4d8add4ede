/* asker: requests to the brokers of a cluster over real sockets.
 *
 * The glue between common/client, which knows the protocol but no socket, and common/net, which
 * knows sockets but no protocol; and the timer that drives the first. All on the loop's thread. */
#ifndef CONSOLE_ASKER_H
#define CONSOLE_ASKER_H

#include <stdint.h>

#include "common/client/cluster.h"

struct uv_loop_s;
struct asker;

/* `bootstrap` as cluster_new takes it; ERR_INVALID with text when it is not like that. */
enum err asker_new(struct uv_loop_s *loop, const char *bootstrap, struct asker **out,
                   struct err_text *text);
/* No `done` is called any more. Not from inside one. Handles close as the loop runs on. */
void asker_free(struct asker *a);
/* As cluster_send: `done` comes exactly once, later. */
void asker_send(struct asker *a, struct cluster_target target,
                const struct client_request *request);
/* True, with every address and its cause, when none of them can be reached. */
bool asker_unreachable(const struct asker *a, struct err_text *text);

#endif
