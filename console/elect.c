#include "console/elect.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/asker.h"

enum { PREFERRED = 0, NO_MAX = 32767 };
enum { GRACE_MS = 2000 }; /* for the answer to a request that ran out of time at the broker */

static bool was_sent(const struct elect *e, struct wire_str topic, int32_t partition)
{
    for (int32_t i = 0; i < e->request.topic_partitions.count; i++) {
        const struct elect_leaders_request_topic_partition *t =
            &e->request.topic_partitions.items[i];
        for (int32_t j = 0; wire_str_equal(t->topic, topic) && j < t->partitions.count; j++) {
            if (t->partitions.items[j] == partition) {
                return true;
            }
        }
    }
    return false;
}

/* One partition's result. The first failure is the one that is told. */
static void take_result(const struct elect *e, struct action_answer *answer, struct wire_str topic,
                        const struct elect_leaders_response_partition_result *from,
                        struct err_text *message)
{
    bool fine = from->error_code == KAFKA_NONE ||
                (e->count > 1 && from->error_code == KAFKA_ELECTION_NOT_NEEDED);
    answer->done += fine;
    if (fine || answer->code != KAFKA_NONE) {
        return;
    }
    int size = from->error_message.size > 0 ? (int)from->error_message.size : 0;
    const char *words = size > 0 ? from->error_message.data : "";
    answer->code = from->error_code;
    if (e->count == 1) {
        err_set(message, "%.*s", size, words);
    } else {
        err_set(message, "%.*s-%d %.*s", (int)topic.size, topic.data, (int)from->partition_id, size,
                words);
    }
}

struct action_answer elect_read(const struct elect *e, const struct elect_leaders_response *r,
                                struct err_text *message)
{
    struct action_answer answer = {.why = "", .code = r->error_code};
    int named = 0;
    err_set(message, "%s", "");
    answer.message = message->text;
    if (r->error_code != KAFKA_NONE) {
        return answer;
    }
    for (int32_t i = 0; i < r->replica_election_results.count; i++) {
        const struct elect_leaders_response_replica_election_result *t =
            &r->replica_election_results.items[i];
        for (int32_t j = 0; j < t->partition_result.count; j++) {
            if (was_sent(e, t->topic, t->partition_result.items[j].partition_id)) {
                named++;
                take_result(e, &answer, t->topic, &t->partition_result.items[j], message);
            }
        }
    }
    if (named < e->count && answer.code == KAFKA_NONE) {
        answer.code = KAFKA_UNKNOWN_SERVER_ERROR;
        err_set(message, "the answer names %d of %d partitions", named, e->count);
    }
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
    elect_free(e);
    e->done(e->ctx, &answer);
}

static void add_partition(struct elect *e, const char *topic, int32_t partition, size_t room)
{
    struct elect_leaders_request_topic_partition *last =
        e->request.topic_partitions.count == 0
            ? NULL
            : &e->request.topic_partitions.items[e->request.topic_partitions.count - 1];
    if (last == NULL || !wire_str_is(last->topic, topic)) {
        last = &e->request.topic_partitions.items[e->request.topic_partitions.count++];
        last->topic = wire_str(arena_strdup(&e->arena, topic));
        last->partitions.items = arena_array(&e->arena, room, sizeof *last->partitions.items);
    }
    last->partitions.items[last->partitions.count++] = partition;
    e->count++;
}

void elect_send(struct elect *e, struct asker *a, const struct action_wish *wish,
                const struct action_plan *plan,
                void (*done)(void *ctx, const struct action_answer *answer), void *ctx)
{
    memset(e, 0, sizeof *e);
    e->done = done;
    e->ctx = ctx;
    wire_defaults(&wire_elect_leaders_request, &e->request);
    e->request.election_type = PREFERRED;
    e->request.timeout_ms = ELECT_TIMEOUT_MS;
    e->request.topic_partitions.items = arena_array(&e->arena, (size_t)plan->row_count + 1,
                                                    sizeof *e->request.topic_partitions.items);
    if (wish->id == ACTION_ELECT) {
        add_partition(e, wish->topic, wish->partition, 1);
    }
    for (int i = 0; wish->id == ACTION_ELECT_MANY && i < plan->row_count; i++) {
        if (plan->rows[i].note == NULL) {
            add_partition(e, plan->rows[i].topic, plan->rows[i].partition,
                          (size_t)action_rows_of_topic(plan, i));
        }
    }
    ASSERT(e->count > 0);
    struct client_request r = client_request_of(WIRE_ELECT_LEADERS, &e->request,
                                                ELECT_TIMEOUT_MS + GRACE_MS, on_answer, e);
    r.min_version = 0; /* which knows only preferred elections */
    r.max_version = NO_MAX;
    asker_send(a, cluster_any(), &r);
}

void elect_free(struct elect *e)
{
    arena_free(&e->arena);
}
