/* Envelope (KIP-590): a client's request that a broker hands on to the active controller, with who
 * the client is. On controller listeners only; the right to send one is CLUSTER_ACTION, where
 * listeners authenticate.
 *
 * Happy path: the embedded request is decoded, answered by this node's controller as any other, and
 * its answer travels back whole, header and body, as bytes. Failure modes: what is embedded is not
 * understood or not to be handed on (an error of the envelope); this controller is not the active
 * one (NOT_CONTROLLER of the envelope, so that the broker asks the next). */
#include "broker/api/handlers.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

struct envelope {
    struct request *request;
    struct wire_request_header header; /* of what is embedded */
    struct api_controller_call call;
};

static void refuse(struct request *request, int16_t error)
{
    struct envelope_response *response = api_response(request);
    response->error_code = error;
    response->response_data = (struct wire_bytes){NULL, -1};
    request_respond(request, response);
}

static void answer(struct envelope *envelope)
{
    struct request *request = envelope->request;
    const struct wire_api *api = wire_api_of(envelope->header.api_key);
    struct wire_out out = {0};
    wire_put_response_header(&out, envelope->header.api_key, envelope->header.api_version,
                             envelope->header.correlation_id);
    enum err error =
        wire_encode(api->response, envelope->header.api_version, envelope->call.response, &out);
    ASSERT(error == ERR_NONE && out.splice_count == 0);
    struct envelope_response *response = api_response(request);
    response->response_data = (struct wire_bytes){out.bytes.data, (int32_t)out.bytes.size};
    request_respond(request, response);
    wire_out_free(&out);
}

static void on_done(struct api_controller_call *call)
{
    struct envelope *envelope = call->ctx;
    if (call->refused == KAFKA_NOT_CONTROLLER) {
        refuse(envelope->request, KAFKA_NOT_CONTROLLER);
    } else {
        answer(envelope);
    }
}

static void on_cancel(struct request *request)
{
    struct envelope *envelope = request->state;
    request->api->controller_cancel(request->api->ctx, &envelope->call);
}

/* DefaultPrincipalData behind its version, as Kafka's DefaultKafkaPrincipalBuilder writes it. */
static bool principal_reads(struct request *request, struct wire_bytes bytes)
{
    struct default_principal_data principal;
    struct wire_in in = wire_in_of(bytes.data, bytes.size > 0 ? (size_t)bytes.size : 0);
    int16_t version = wire_get_i16(&in);
    return version == 0 && wire_decode(&wire_default_principal_data, version, &in, &principal,
                                       &request->arena) == ERR_NONE;
}

/* Decodes what is embedded. 0, or the envelope's error. */
static int16_t open_envelope(struct envelope *envelope, void **body)
{
    struct request *request = envelope->request;
    const struct envelope_request *asked = request->body;
    struct wire_request_header *header = &envelope->header;
    struct wire_in in = wire_in_of(asked->request_data.data, (size_t)asked->request_data.size);
    int32_t address = asked->client_host_address.size;
    if (address != 4 && address != 16) {
        return KAFKA_INVALID_REQUEST;
    }
    if (!principal_reads(request, asked->request_principal)) {
        return KAFKA_PRINCIPAL_DESERIALIZATION_FAILURE;
    }
    enum err error = wire_get_request_header(&in, header);
    const struct api_row *row = api_row_of(header->api_key);
    bool forwarded = row != NULL &&
                     (row->handle == api_controller_call || row->handle == api_describe_quorum) &&
                     (row->listeners & API_BROKER) && (row->listeners & API_CONTROLLER);
    if (row == NULL && wire_api_of(header->api_key) != NULL) {
        return KAFKA_UNSUPPORTED_VERSION; /* the broker looks again at what is served here */
    }
    if (!forwarded) {
        return KAFKA_INVALID_REQUEST;
    }
    if (error != ERR_NONE) {
        return error == ERR_UNSUPPORTED ? KAFKA_UNSUPPORTED_VERSION : KAFKA_INVALID_REQUEST;
    }
    const struct wire_message *message = wire_api_of(header->api_key)->request;
    *body = arena_alloc(&request->arena, wire_message_size(message));
    error = wire_decode(message, header->api_version, &in, *body, &request->arena);
    return error == ERR_NONE ? KAFKA_NONE : KAFKA_INVALID_REQUEST;
}

void api_envelope(struct request *request)
{
    struct envelope *envelope = arena_alloc(&request->arena, sizeof *envelope);
    void *body = NULL;
    envelope->request = request;
    int16_t error = open_envelope(envelope, &body);
    if (error != KAFKA_NONE) {
        refuse(request, error);
        return;
    }
    const struct wire_message *message = wire_api_of(envelope->header.api_key)->response;
    struct api_controller_call *call = &envelope->call;
    call->api_key = envelope->header.api_key;
    call->api_version = envelope->header.api_version;
    call->request = body;
    call->response = arena_alloc(&request->arena, wire_message_size(message));
    wire_defaults(message, call->response);
    call->arena = &request->arena;
    call->done = on_done;
    call->ctx = envelope;
    call->here_only = true;
    request->state = envelope;
    request->cancel = on_cancel;
    request->api->controller_submit(request->api->ctx, call);
}
