/* Every API the active controller answers: handed on as it came, answered when the controller has.
 */
#include "broker/api/handlers.h"
#include "common/base/assert.h"

static void on_done(struct api_controller_call *call)
{
    struct request *request = call->ctx;
    request_respond(request, call->response);
}

static void on_cancel(struct request *request)
{
    request->api->controller_cancel(request->api->ctx, request->state);
}

void api_controller_call(struct request *request)
{
    struct api_controller_call *call = arena_alloc(&request->arena, sizeof *call);
    call->api_key = request->header.api_key;
    call->api_version = request->header.api_version;
    call->request = request->body;
    call->response = api_response(request);
    call->arena = &request->arena;
    call->done = on_done;
    call->ctx = request;
    /* Who asks there means this controller. Handed on, a request that was held up for long would be
     * carried out by the next one, after its sender had turned there itself. */
    call->here_only = request->listener == API_CONTROLLER;
    request->state = call;
    request->cancel = on_cancel;
    request->api->controller_submit(request->api->ctx, call);
}
