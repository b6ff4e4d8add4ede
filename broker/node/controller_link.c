/* Calls to the active controller. This node is the only voter, so the active controller is ours. */
#include "broker/node/node_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

/* The controller's side of one call. */
struct link {
    struct controller_call call;
    struct api_controller_call *outer;
};

static void on_done(struct controller_call *call)
{
    struct link *link = CONTAINER_OF(call, struct link, call);
    struct api_controller_call *outer = link->outer;
    outer->forward = NULL;
    mem_free(link);
    outer->done(outer);
}

void node_controller_submit(void *ctx, struct api_controller_call *outer)
{
    struct broker *broker = ctx;
    ASSERT(controller_handles(outer->api_key) && outer->done != NULL);
    struct link *link = mem_zalloc(sizeof *link);
    link->outer = outer;
    link->call.api_key = outer->api_key;
    link->call.version = outer->api_version;
    link->call.request = outer->request;
    link->call.response = outer->response;
    link->call.arena = outer->arena;
    link->call.done = on_done;
    outer->forward = link;
    controller_submit(broker->controller, &link->call);
}

void node_controller_cancel(void *ctx, struct api_controller_call *outer)
{
    struct broker *broker = ctx;
    struct link *link = outer->forward;
    if (link == NULL) {
        return;
    }
    outer->forward = NULL;
    controller_cancel(broker->controller, &link->call);
    mem_free(link);
}
