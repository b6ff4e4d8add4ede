/* The embedded request is the client's frame, byte for byte; the answer is a response header and
 * body (Kafka's ForwardingManager). */
#include "broker/node/envelope.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/base/assert.h"

/* Every client is this one until listeners authenticate. */
static struct wire_bytes principal_of_client(struct arena *arena)
{
    struct default_principal_data principal = {.type = wire_str("User"),
                                               .name = wire_str("ANONYMOUS")};
    struct wire_out out = {0};
    wire_put_i16(&out, 0);
    enum err error = wire_encode(&wire_default_principal_data, 0, &principal, &out);
    ASSERT(error == ERR_NONE);
    uint8_t *bytes = arena_alloc(arena, out.bytes.size);
    memcpy(bytes, out.bytes.data, out.bytes.size);
    struct wire_bytes written = {bytes, (int32_t)out.bytes.size};
    wire_out_free(&out);
    return written;
}

/* Network order, 4 or 16 bytes; all zero for a peer that is no address. */
static struct wire_bytes address_of(const char *host, struct arena *arena)
{
    uint8_t *bytes = arena_alloc(arena, 16);
    memset(bytes, 0, 16);
    bool v6 = inet_pton(AF_INET6, host, bytes) == 1;
    if (!v6) {
        inet_pton(AF_INET, host, bytes);
    }
    return (struct wire_bytes){bytes, v6 ? 16 : 4};
}

struct envelope_request *envelope_wrap(const struct api_controller_call *call, struct arena *arena)
{
    const struct request *client = call->client;
    ASSERT(client != NULL && client->frame != NULL);
    struct envelope_request *envelope = arena_alloc(arena, sizeof *envelope);
    wire_defaults(&wire_envelope_request, envelope);
    envelope->request_data = (struct wire_bytes){client->frame->data, (int32_t)client->frame->size};
    envelope->request_principal = principal_of_client(arena);
    envelope->client_host_address = address_of(client->peer.host, arena);
    return envelope;
}

int16_t envelope_unwrap(const struct api_controller_call *call,
                        const struct envelope_response *response)
{
    if (response->error_code != KAFKA_NONE) {
        return response->error_code;
    }
    const struct wire_message *message = wire_api_of(call->api_key)->response;
    int32_t size = response->response_data.size > 0 ? response->response_data.size : 0;
    /* The answer lies in a frame that goes: the caller's is a copy in its arena. */
    uint8_t *bytes = arena_alloc(call->arena, (size_t)size + 1);
    if (size > 0) {
        memcpy(bytes, response->response_data.data, (size_t)size);
    }
    struct wire_in in = wire_in_of(bytes, (size_t)size);
    int32_t correlation_id = 0;
    enum err error =
        wire_get_response_header(&in, call->api_key, call->api_version, &correlation_id);
    if (error == ERR_NONE && correlation_id == call->client->header.correlation_id) {
        error = wire_decode(message, call->api_version, &in, call->response, call->arena);
    } else {
        error = ERR_INVALID;
    }
    return error == ERR_NONE ? KAFKA_NONE : KAFKA_UNKNOWN_SERVER_ERROR;
}
