#include "console/elect.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/asker.h"

enum { PREFERRED = 0, NO_MAX = 32767 };
enum { GRACE_MS = 2000 }; /* for the answer to a request that ran out of time at the broker */

static void set_message(struct err_text *message, struct wire_str from)
{
    err_set(message, "%.*s", from.size > 0 ? (int)from.size : 0, from.size > 0 ? from.data : "");
}

struct action_answer elect_read(const struct elect *e, const struct elect_leaders_response *r,
                                struct err_text *message)
{
    struct action_answer answer = {.why = "", .code = r->error_code};
    err_set(message, "%s", "");
    answer.message = message->text;
    if (r->error_code != KAFKA_NONE) {
        return answer;
    }
    for (int32_t i = 0; i < r->replica_election_results.count; i++) {
        const struct elect_leaders_response_replica_election_result *t =
            &r->replica_election_results.items[i];
        for (int32_t j = 0; wire_str_is(t->topic, e->name) && j < t->partition_result.count; j++) {
            if (t->partition_result.items[j].partition_id == e->partition) {
                answer.code = t->partition_result.items[j].error_code;
                set_message(message, t->partition_result.items[j].error_message);
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
    struct elect *e = ctx;
    struct err_text message;
    struct action_answer answer = {.error = from->error, .why = from->why};
    if (from->error == ERR_NONE) {
        answer = elect_read(e, from->response, &message);
    }
    e->done(e->ctx, &answer);
}

void elect_send(struct elect *e, struct asker *a, const char *topic, int32_t partition,
                void (*done)(void *ctx, const struct action_answer *answer), void *ctx)
{
    ASSERT(strlen(topic) < sizeof e->name);
    memset(e, 0, sizeof *e);
    snprintf(e->name, sizeof e->name, "%s", topic);
    e->partition = partition;
    e->done = done;
    e->ctx = ctx;
    wire_defaults(&wire_elect_leaders_request, &e->request);
    e->request.election_type = PREFERRED;
    e->request.timeout_ms = ELECT_TIMEOUT_MS;
    e->request.topic_partitions.items = &e->topic;
    e->request.topic_partitions.count = 1;
    e->topic.topic = wire_str(e->name);
    e->topic.partitions.items = &e->partition;
    e->topic.partitions.count = 1;
    struct client_request r = client_request_of(WIRE_ELECT_LEADERS, &e->request,
                                                ELECT_TIMEOUT_MS + GRACE_MS, on_answer, e);
    r.min_version = 0; /* which knows only preferred elections */
    r.max_version = NO_MAX;
    asker_send(a, cluster_any(), &r);
}
