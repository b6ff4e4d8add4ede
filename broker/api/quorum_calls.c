/* What voters and observers of the metadata quorum ask of each other: Vote, BeginQuorumEpoch,
 * EndQuorumEpoch, and Fetch of the metadata log. On controller listeners only. */
#include "broker/api/handlers.h"

static void on_done(struct api_controller_call *call)
{
    struct request *request = call->ctx;
    request_respond(request, call->response);
}

static void on_cancel(struct request *request)
{
    request->api->quorum_cancel(request->api->ctx, request->state);
}

void api_quorum_call(struct request *request)
{
    struct api_controller_call *call = arena_alloc(&request->arena, sizeof *call);
    call->api_key = request->header.api_key;
    call->api_version = request->header.api_version;
    call->request = request->body;
    call->response = api_response(request);
    call->arena = &request->arena;
    call->done = on_done;
    call->ctx = request;
    request->state = call;
    request->cancel = on_cancel;
    request->api->quorum_submit(request->api->ctx, call);
}
