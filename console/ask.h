/* ask: requests to the brokers of a cluster over real sockets.
 *
 * The glue between common/client, which knows the protocol but no socket, and common/net, which
 * knows sockets but no protocol; and the timer that drives the first. All on the loop's thread. */
#ifndef CONSOLE_ASK_H
#define CONSOLE_ASK_H

#include <stdint.h>

#include "common/client/cluster.h"

struct uv_loop_s;
struct ask;

/* `bootstrap` as cluster_new takes it; ERR_INVALID with text when it is not like that. */
enum err ask_new(struct uv_loop_s *loop, const char *bootstrap, struct ask **out,
                 struct err_text *text);
/* No `done` is called any more. Not from inside one. Handles close as the loop runs on. */
void ask_free(struct ask *a);
/* As cluster_send: `done` comes exactly once, later. */
void ask_send(struct ask *a, struct cluster_target target, const struct client_request *request);
/* True, with every address and its cause, when none of them can be reached. */
bool ask_unreachable(const struct ask *a, struct err_text *text);

#endif
