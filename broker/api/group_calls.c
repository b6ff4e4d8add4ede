/* Every API the group coordinator answers: handed on as it came, answered when the coordinator has.
 */
#include "broker/api/handlers.h"

static void on_done(struct group_call *call)
{
    struct request *request = call->ctx;
    request_respond(request, call->response);
}

static void on_cancel(struct request *request)
{
    groups_cancel(request->api->groups, request->state);
}

void api_group_call(struct request *request)
{
    struct group_call *call = arena_alloc(&request->arena, sizeof *call);
    call->api_key = request->header.api_key;
    call->api_version = request->header.api_version;
    call->request = request->body;
    call->response = api_response(request);
    call->arena = &request->arena;
    call->client_id = request->header.client_id;
    call->client_host = request->peer.host;
    call->done = on_done;
    call->ctx = request;
    request->state = call;
    request->cancel = on_cancel;
    groups_submit(request->api->groups, call);
}
