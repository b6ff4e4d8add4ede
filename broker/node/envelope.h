/* envelope: a client's request on its way to a controller in another node (KIP-590): as it came,
 * with who sent it. */
#ifndef BROKER_NODE_ENVELOPE_H
#define BROKER_NODE_ENVELOPE_H

#include "broker/api/api.h"

/* What carries `call`, whose client is set; from `arena`, pointing into the client's frame. */
struct envelope_request *envelope_wrap(const struct api_controller_call *call, struct arena *arena);
/* Decodes the embedded answer into call->response and call->arena. KAFKA_NONE; the envelope's own
 * error (NOT_CONTROLLER: ask again); or UNKNOWN_SERVER_ERROR when the answer makes no sense. */
int16_t envelope_unwrap(const struct api_controller_call *call,
                        const struct envelope_response *response);

#endif
