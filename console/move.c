#include "console/move.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/asker.h"

enum { NO_MAX = 32767, CALLED_OFF = -1 };
enum { GRACE_MS = 2000 }; /* for the answer to a request that ran out of time at the broker */

static void set_message(struct err_text *message, struct wire_str from)
{
    err_set(message, "%.*s", from.size > 0 ? (int)from.size : 0, from.size > 0 ? from.data : "");
}

struct action_answer move_read(const struct move *v,
                               const struct alter_partition_reassignments_response *r,
                               struct err_text *message)
{
    struct action_answer answer = {.why = "", .code = r->error_code};
    set_message(message, r->error_message);
    answer.message = message->text;
    if (r->error_code != KAFKA_NONE) {
        return answer;
    }
    for (int32_t i = 0; i < r->responses.count; i++) {
        const struct alter_partition_reassignments_response_response *t = &r->responses.items[i];
        for (int32_t j = 0; wire_str_is(t->name, v->wish.topic) && j < t->partitions.count; j++) {
            if (t->partitions.items[j].partition_index == v->wish.partition) {
                answer.code = t->partitions.items[j].error_code;
                set_message(message, t->partitions.items[j].error_message);
                return answer;
            }
        }
    }
    answer.code = KAFKA_UNKNOWN_SERVER_ERROR;
    err_set(message, "the answer does not name the partition");
    return answer;
}

static void on_answer(void *ctx, const struct client_answer *from)
{
    struct move *v = ctx;
    struct err_text message;
    struct action_answer answer = {.error = from->error, .why = from->why};
    if (from->error == ERR_NONE) {
        answer = move_read(v, from->response, &message);
    }
    v->done(v->ctx, &answer);
}

void move_send(struct move *v, struct asker *a, const struct action_wish *wish,
               void (*done)(void *ctx, const struct action_answer *answer), void *ctx)
{
    ASSERT(wish->id == ACTION_MOVE);
    memset(v, 0, sizeof *v);
    v->wish = *wish;
    v->done = done;
    v->ctx = ctx;
    wire_defaults(&wire_alter_partition_reassignments_request, &v->request);
    v->request.timeout_ms = MOVE_TIMEOUT_MS;
    v->request.topics.items = &v->topic;
    v->request.topics.count = 1;
    v->topic.name = wire_str(v->wish.topic);
    v->topic.partitions.items = &v->partition;
    v->topic.partitions.count = 1;
    v->partition.partition_index = v->wish.partition;
    v->partition.replicas.items = v->wish.replicas;
    v->partition.replicas.count = v->wish.replica_count > 0 ? v->wish.replica_count : CALLED_OFF;
    struct client_request r = client_request_of(WIRE_ALTER_PARTITION_REASSIGNMENTS, &v->request,
                                                MOVE_TIMEOUT_MS + GRACE_MS, on_answer, v);
    r.min_version = 0;
    r.max_version = NO_MAX;
    asker_send(a, cluster_any(), &r);
}
