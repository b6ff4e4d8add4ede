/* Requests in, answers out. An answer goes up in a turn of its own. */
#include "broker/quorum/quorum_internal.h"
#include "common/wire/messages.h"

bool quorum_our_cluster(const struct quorum *quorum, struct wire_str cluster_id)
{
    return cluster_id.size < 0 || wire_str_is(cluster_id, quorum->config.cluster_id);
}

static void release(struct quorum_waiting *waiting)
{
    ASSERT(!waiting->reading);
    list_remove(&waiting->node);
    buf_unref(waiting->records);
    mem_free(waiting);
}

static void tell_next(struct env_post *post)
{
    struct quorum *quorum = CONTAINER_OF(post, struct quorum, answers);
    if (!list_empty(&quorum->answered)) {
        struct quorum_waiting *waiting =
            CONTAINER_OF(quorum->answered.next, struct quorum_waiting, node);
        struct quorum_call *call = waiting->call;
        ASSERT(call != NULL);
        call->records = waiting->records;
        call->waiting = NULL;
        waiting->records = NULL;
        release(waiting);
        call->done(call);
    }
    if (!list_empty(&quorum->answered)) {
        env_post(quorum->env, &quorum->answers);
    } else if (quorum->closing) {
        quorum_close_step(quorum);
    }
}

void quorum_calls_init(struct quorum *quorum)
{
    list_init(&quorum->parked);
    list_init(&quorum->serving);
    list_init(&quorum->unsynced);
    list_init(&quorum->answered);
    env_post_init(&quorum->answers, tell_next);
}

void quorum_calls_free(struct quorum *quorum)
{
    struct list *lists[] = {&quorum->parked, &quorum->serving, &quorum->unsynced,
                            &quorum->answered};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        LIST_FOREACH(node, lists[i]) {
            struct quorum_waiting *waiting = CONTAINER_OF(node, struct quorum_waiting, node);
            waiting->reading = false;
            release(waiting);
        }
    }
    env_post_cancel(quorum->env, &quorum->answers);
}

bool quorum_calls_busy(const struct quorum *quorum)
{
    return !list_empty(&quorum->parked) || !list_empty(&quorum->serving) ||
           !list_empty(&quorum->unsynced) || !list_empty(&quorum->answered);
}

void quorum_call_answer(struct quorum_waiting *waiting)
{
    struct quorum *quorum = waiting->quorum;
    list_remove(&waiting->node);
    list_push(&quorum->answered, &waiting->node);
    env_post(quorum->env, &quorum->answers);
}

void quorum_call_answer_stored(struct quorum_waiting *waiting)
{
    struct quorum *quorum = waiting->quorum;
    if (quorum_settled(quorum)) {
        quorum_call_answer(waiting);
        return;
    }
    waiting->state_number = quorum->now_number;
    list_remove(&waiting->node);
    list_push(&quorum->unsynced, &waiting->node);
}

void quorum_calls_stored(struct quorum *quorum)
{
    LIST_FOREACH(node, &quorum->unsynced) {
        struct quorum_waiting *waiting = CONTAINER_OF(node, struct quorum_waiting, node);
        if (waiting->state_number <= quorum->durable_number) {
            quorum_call_answer(waiting);
        }
    }
}

/* Votes that were to be granted and have not become durable. */
void quorum_calls_refuse(struct quorum *quorum)
{
    LIST_FOREACH(node, &quorum->unsynced) {
        struct quorum_waiting *waiting = CONTAINER_OF(node, struct quorum_waiting, node);
        ASSERT(waiting->call->api_key == API_VOTE);
        struct vote_response *response = waiting->call->response;
        response->topics.items[0].partitions.items[0].vote_granted = false;
        quorum_call_answer(waiting);
    }
}

void quorum_submit(struct quorum *quorum, struct quorum_call *call)
{
    ASSERT(call->done != NULL && call->request != NULL && call->response != NULL);
    struct quorum_waiting *waiting = mem_zalloc(sizeof *waiting);
    waiting->quorum = quorum;
    waiting->call = call;
    list_init(&waiting->node);
    call->waiting = waiting;
    call->records = NULL;
    switch (call->api_key) {
    case API_FETCH:
        quorum_serve_fetch(quorum, waiting);
        break;
    case API_FETCH_SNAPSHOT:
        quorum_serve_snapshot(quorum, waiting);
        break;
    case API_VOTE:
        quorum_serve_vote(quorum, waiting);
        break;
    case API_BEGIN_QUORUM_EPOCH:
        quorum_serve_begin(quorum, waiting);
        break;
    default:
        ASSERT(call->api_key == API_END_QUORUM_EPOCH);
        quorum_serve_end(quorum, waiting);
    }
    quorum_step(quorum);
}

void quorum_cancel(struct quorum *quorum, struct quorum_call *call)
{
    struct quorum_waiting *waiting = call->waiting;
    if (waiting == NULL) {
        return;
    }
    ASSERT(waiting->call == call);
    call->waiting = NULL;
    quorum_serve_snapshot_cancel(waiting);
    if (waiting->reading && log_read_cancel(&waiting->read)) {
        waiting->reading = false;
    }
    release(waiting);
    if (quorum->closing && !quorum_calls_busy(quorum)) {
        env_post(quorum->env, &quorum->answers);
    }
}
