/* Every API the active controller answers, and what the quorum itself does: handed on as it came,
 * answered when they have. */
#include "broker/api/handlers.h"
#include "common/base/assert.h"

struct handed_on {
    struct api_controller_call call;
    void (*cancel)(void *ctx, struct api_controller_call *call);
};

static void on_done(struct api_controller_call *call)
{
    struct request *request = call->ctx;
    request_respond(request, call->response);
}

static void on_cancel(struct request *request)
{
    struct handed_on *handed = request->state;
    handed->cancel(request->api->ctx, &handed->call);
}

static struct api_controller_call *hand_on(struct request *request,
                                           void (*cancel)(void *, struct api_controller_call *))
{
    struct handed_on *handed = arena_alloc(&request->arena, sizeof *handed);
    handed->cancel = cancel;
    handed->call = (struct api_controller_call){.api_key = request->header.api_key,
                                                .api_version = request->header.api_version,
                                                .request = request->body,
                                                .response = api_response(request),
                                                .arena = &request->arena,
                                                .done = on_done,
                                                .ctx = request};
    request->state = handed;
    request->cancel = on_cancel;
    return &handed->call;
}

void api_controller_call(struct request *request)
{
    struct api_controller_call *call = hand_on(request, request->api->controller_cancel);
    call->client = request;
    /* Who asks there means this controller. Handed on, a request that was held up for long would be
     * carried out by the next one, after its sender had turned there itself. */
    call->here_only = request->listener == API_CONTROLLER;
    request->api->controller_submit(request->api->ctx, call);
}

void api_quorum_call(struct request *request)
{
    struct api_controller_call *call = hand_on(request, request->api->quorum_cancel);
    request->api->quorum_submit(request->api->ctx, call);
}
