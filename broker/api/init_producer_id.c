/* InitProducerId for idempotent producers (KIP-98, KIP-360): a fresh id with epoch 0. Ids come in
 * blocks from the controller (AllocateProducerIds); a request that finds none waits for the next
 * block. A transactional id is refused with words: transactions are not served. */
#include "broker/api/handlers.h"

struct init {
    struct request *request;
    struct env_post ready;
};

static void answer(struct request *request, int64_t producer_id)
{
    struct init_producer_id_response *response = api_response(request);
    response->producer_id = producer_id;
    response->producer_epoch = 0;
    request_respond(request, response);
}

static void on_ready(struct env_post *post)
{
    struct init *init = CONTAINER_OF(post, struct init, ready);
    struct api_context *api = init->request->api;
    int64_t producer_id = api->next_producer_id(api->ctx);
    if (producer_id >= 0) {
        answer(init->request, producer_id);
    } else {
        api->wait_producer_ids(api->ctx, &init->ready);
    }
}

static void on_cancel(struct request *request)
{
    struct init *init = request->state;
    env_post_cancel(request->api->env, &init->ready);
}

void api_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    struct api_context *api = request->api;
    if (body->transactional_id.size >= 0) {
        struct init_producer_id_response *response = api_response(request);
        response->error_code = KAFKA_INVALID_REQUEST;
        response->producer_id = -1;
        response->producer_epoch = -1;
        request_respond(request, response);
        return;
    }
    int64_t producer_id = api->next_producer_id(api->ctx);
    if (producer_id >= 0) {
        answer(request, producer_id);
        return;
    }
    struct init *init = arena_alloc(&request->arena, sizeof *init);
    init->request = request;
    env_post_init(&init->ready, on_ready);
    request->state = init;
    request->cancel = on_cancel;
    api->wait_producer_ids(api->ctx, &init->ready);
}
