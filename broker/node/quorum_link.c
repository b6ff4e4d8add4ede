/* Between the handlers and the quorum: its calls, and its way to the other voters. */
#include "broker/node/node_internal.h"
#include "broker/node/peers.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

/* The quorum's side of one call. */
struct link {
    struct quorum_call call;
    struct api_controller_call *outer;
};

static void on_done(struct quorum_call *call)
{
    struct link *link = CONTAINER_OF(call, struct link, call);
    struct api_controller_call *outer = link->outer;
    struct buf *records = call->records; /* the response points into it */
    outer->forward = NULL;
    mem_free(link);
    outer->done(outer);
    buf_unref(records);
}

void node_quorum_submit(void *ctx, struct api_controller_call *outer)
{
    struct broker *broker = ctx;
    ASSERT(broker->quorum != NULL && outer->done != NULL);
    struct link *link = mem_zalloc(sizeof *link);
    link->outer = outer;
    link->call.api_key = outer->api_key;
    link->call.version = outer->api_version;
    link->call.request = outer->request;
    link->call.response = outer->response;
    link->call.arena = outer->arena;
    link->call.done = on_done;
    outer->forward = link;
    quorum_submit(broker->quorum, &link->call);
}

void node_quorum_cancel(void *ctx, struct api_controller_call *outer)
{
    struct broker *broker = ctx;
    struct link *link = outer->forward;
    if (link == NULL) {
        return;
    }
    outer->forward = NULL;
    quorum_cancel(broker->quorum, &link->call);
    mem_free(link);
}
