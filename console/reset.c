#include "console/reset.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/asker.h"

enum {
    BY_NAME_MAX = 9, /* later versions name topics by id */
    NO_GENERATION = -1
};

struct action_answer reset_read(const struct reset *r, const struct offset_commit_response *from,
                                struct err_text *message)
{
    struct action_answer answer = {.why = ""};
    int answered = 0;
    err_set(message, "%s", "");
    answer.message = message->text;
    for (int32_t i = 0; i < from->topics.count; i++) {
        const struct offset_commit_response_topic *t = &from->topics.items[i];
        for (int32_t j = 0; j < t->partitions.count; j++) {
            int16_t code = t->partitions.items[j].error_code;
            answered++;
            answer.done += code == KAFKA_NONE;
            if (code != KAFKA_NONE && answer.code == KAFKA_NONE) {
                answer.code = code;
                err_set(message, "%.*s-%d", t->name.size > 0 ? (int)t->name.size : 0,
                        t->name.size > 0 ? t->name.data : "",
                        (int)t->partitions.items[j].partition_index);
            }
        }
    }
    if (answered != r->count && answer.code == KAFKA_NONE) {
        answer.code = KAFKA_UNKNOWN_SERVER_ERROR;
        err_set(message, "the answer names %d of %d partitions", answered, r->count);
    }
    return answer;
}

static void on_answer(void *ctx, const struct client_answer *from)
{
    struct reset *r = ctx;
    struct err_text message;
    struct action_answer answer = {.error = from->error, .why = from->why};
    if (from->error == ERR_NONE) {
        answer = reset_read(r, from->response, &message);
    } else if (from->kafka_error != KAFKA_NONE) { /* of the search for the coordinator */
        answer = (struct action_answer){.why = "", .code = from->kafka_error};
    }
    reset_free(r);
    r->done(r->ctx, &answer);
}

static void add_row(struct reset *r, const struct action_plan *plan, int i)
{
    const struct action_row *row = &plan->rows[i];
    struct offset_commit_request_topic *t = r->request.topics.items;
    struct offset_commit_request_topic *last =
        r->request.topics.count == 0 ? NULL : &t[r->request.topics.count - 1];
    if (last == NULL || !wire_str_is(last->name, row->topic)) {
        last = &t[r->request.topics.count++];
        last->name = wire_str(arena_strdup(&r->arena, row->topic));
        last->partitions.items = arena_array(&r->arena, (size_t)action_rows_of_topic(plan, i),
                                             sizeof *last->partitions.items);
    }
    struct offset_commit_request_partition *p = &last->partitions.items[last->partitions.count++];
    p->partition_index = row->partition;
    p->committed_offset = row->after;
    p->committed_leader_epoch = -1;
    p->committed_metadata = wire_str("");
    r->count++;
}

void reset_send(struct reset *r, struct asker *a, const char *group, const struct action_plan *plan,
                void (*done)(void *ctx, const struct action_answer *answer), void *ctx)
{
    ASSERT(plan->possible && plan->change_count > 0);
    memset(r, 0, sizeof *r);
    r->done = done;
    r->ctx = ctx;
    wire_defaults(&wire_offset_commit_request, &r->request);
    r->request.group_id = wire_str(arena_strdup(&r->arena, group));
    r->request.generation_id_or_member_epoch = NO_GENERATION;
    r->request.member_id = wire_str("");
    r->request.topics.items =
        arena_array(&r->arena, (size_t)plan->row_count, sizeof *r->request.topics.items);
    for (int i = 0; i < plan->row_count; i++) {
        if (plan->rows[i].before != plan->rows[i].after) {
            add_row(r, plan, i);
        }
    }
    struct client_request request =
        client_request_of(WIRE_OFFSET_COMMIT, &r->request, RESET_TIMEOUT_MS, on_answer, r);
    request.min_version = 2;
    request.max_version = BY_NAME_MAX;
    asker_send(a, cluster_coordinator(group), &request);
}

void reset_free(struct reset *r)
{
    arena_free(&r->arena);
}
