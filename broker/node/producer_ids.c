/* Producer ids for idempotent producers: blocks of a thousand from the controller
 * (AllocateProducerIds, KIP-730), given out one by one. Those who find none wait for the next
 * block. */
#include "broker/node/node_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { PRODUCER_IDS_RETRY_MS = 100 };

static void ask(struct broker *broker);

static void on_retry(struct env_timer *timer)
{
    ask(CONTAINER_OF(timer, struct broker, producer_ids.retry));
}

static void on_block(struct api_controller_call *call)
{
    struct broker *broker = call->ctx;
    struct producer_ids *ids = &broker->producer_ids;
    const struct allocate_producer_ids_response *response = call->response;
    ids->asked = false;
    if (response->error_code == KAFKA_NONE) {
        ids->next = response->producer_id_start;
        ids->end = response->producer_id_start + response->producer_id_len;
        struct list *node;
        while ((node = list_pop(&ids->waiting)) != NULL) {
            env_post(broker->env, CONTAINER_OF(node, struct env_post, node));
        }
    } else {
        trace_warn(env_trace(broker->env), "no block of producer ids: %s; asking again",
                   kafka_error_name(response->error_code));
        ids->retry.fire = on_retry;
        env_timer_set(broker->env, &ids->retry, env_now_ms(broker->env) + PRODUCER_IDS_RETRY_MS);
    }
    arena_free(&ids->arena);
}

static void ask(struct broker *broker)
{
    struct producer_ids *ids = &broker->producer_ids;
    if (ids->asked || broker->phase != BROKER_RUNNING) {
        return;
    }
    ids->asked = true;
    struct allocate_producer_ids_request *request = arena_alloc(&ids->arena, sizeof *request);
    request->broker_id = broker->node_id;
    request->broker_epoch = broker->registration.broker_epoch;
    ids->call = (struct api_controller_call){
        .api_key = WIRE_ALLOCATE_PRODUCER_IDS,
        .request = request,
        .response = arena_alloc(&ids->arena, sizeof(struct allocate_producer_ids_response)),
        .arena = &ids->arena,
        .done = on_block,
        .ctx = broker,
    };
    node_controller_submit(broker, &ids->call);
}

int64_t node_next_producer_id(void *ctx)
{
    struct broker *broker = ctx;
    struct producer_ids *ids = &broker->producer_ids;
    if (ids->next < ids->end) {
        return ids->next++;
    }
    return -1;
}

void node_wait_producer_ids(void *ctx, struct env_post *ready)
{
    struct broker *broker = ctx;
    struct producer_ids *ids = &broker->producer_ids;
    ask(broker);
    ASSERT(list_empty(&ready->node));
    list_push(&ids->waiting, &ready->node);
}

void node_producer_ids_free(struct broker *broker)
{
    struct producer_ids *ids = &broker->producer_ids;
    if (ids->asked) {
        node_controller_cancel(broker, &ids->call);
    }
    env_timer_cancel(broker->env, &ids->retry);
    arena_free(&ids->arena);
}
