/* Electing the preferred leaders of many partitions at once: of a topic, of all that a broker is to
 * lead, or of the whole cluster. One request; what cannot be elected is listed and left alone. */
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/action_kinds.h"

enum err action_wish_elect_many(struct action_wish *w, const char *topic, int32_t broker,
                                struct err_text *text)
{
    if (strlen(topic) >= sizeof w->topic) {
        err_set(text, "this is no name that Kafka allows (more than 249 bytes)");
        return ERR_INVALID;
    }
    *w = (struct action_wish){.id = ACTION_ELECT_MANY, .partition = -1, .broker = broker};
    snprintf(w->topic, sizeof w->topic, "%s", topic);
    return ERR_NONE;
}

/* Why the first replica cannot be elected now, or NULL. */
static const char *obstacle(const struct model *m, const struct model_partition *p)
{
    const struct model_broker *b = model_find_broker(m, p->replicas[0].broker);
    if (b == NULL || !b->alive) {
        return "is down";
    }
    return p->replicas[0].in_sync ? NULL : "is not in the ISR";
}

static void add_row(struct action_plan *plan, const struct model *m,
                    const struct model_partition *p)
{
    const char *why = obstacle(m, p);
    int64_t leader = p->leader == MODEL_NO_BROKER ? MODEL_NONE : p->leader;
    plan->rows[plan->row_count++] = (struct action_row){
        .topic = arena_strdup(&plan->arena, p->topic->name),
        .partition = p->partition,
        .before = leader,
        .after = why == NULL ? p->replicas[0].broker : leader,
        .end = p->replicas[0].broker,
        .note = why,
    };
    plan->change_count += why == NULL;
}

static bool meant(const struct action_wish *w, const struct model_partition *p)
{
    return p->replica_count > 0 && !model_leader_is_preferred(p) &&
           (w->topic[0] == '\0' || strcmp(w->topic, p->topic->name) == 0) &&
           (w->broker == MODEL_NO_BROKER || w->broker == p->replicas[0].broker);
}

static void add_rows(struct action_plan *plan, const struct action_wish *w, const struct model *m)
{
    size_t most = 0;
    for (int i = 0; i < m->topic_count; i++) {
        most += (size_t)m->topics[i].partition_count;
    }
    plan->rows = arena_array(&plan->arena, most + 1, sizeof *plan->rows);
    for (int i = 0; i < m->topic_count; i++) {
        for (int j = 0; j < m->topics[i].partition_count; j++) {
            const struct model_partition *p = &m->topics[i].partitions[j];
            if (meant(w, p)) {
                add_row(plan, m, p);
            }
        }
    }
}

static bool plan_elections(struct action_plan *plan, const struct action_wish *wish,
                           const struct model *m, const struct action_plan *said,
                           struct err_text *text)
{
    char safe[TEXT_MAX];
    (void)said;
    text_add(plan->title, "Elect the preferred leaders");
    if (wish->topic[0] != '\0') {
        text_add(plan->title, " of topic %s", text_safe(wish->topic, safe));
        if (model_find_topic(m, wish->topic) == NULL) {
            err_set(text, "the cluster no longer lists this topic");
            return false;
        }
    } else if (wish->broker != MODEL_NO_BROKER) {
        text_add(plan->title, " that broker %d is to be", (int)wish->broker);
        if (model_find_broker(m, wish->broker) == NULL) {
            err_set(text, "the cluster no longer lists this broker");
            return false;
        }
    }
    add_rows(plan, wish, m);
    text_add(action_add_object(plan, "partitions"),
             "%d not led by their first replica, %d of them can be", plan->row_count,
             plan->change_count);
    if (plan->row_count == 0) {
        text_add(plan->verdict, "Nothing to do: every one is led by its first replica.");
        plan->already = true;
    } else if (plan->change_count == 0) {
        text_add(plan->verdict, "None can be elected now: wait until the ISR names the brokers.");
    }
    plan->possible = plan->change_count > 0;
    return true;
}

static void row_text(const struct action_row *r, char out[TEXT_MAX])
{
    char number[TEXT_MAX];
    text_add(out, "led by %s", text_number(r->before, number));
    if (r->note == NULL) {
        text_add(out, ", then by %d", (int)r->after);
    } else {
        text_add(out, ", as it is: %d %s", (int)r->end, r->note);
    }
}

static void done(const struct action *a, char headline[TEXT_MAX])
{
    text_add(headline, "Elected: %d leaders.", a->plan.change_count);
}

static void unknown(const struct action *a, char advice[TEXT_MAX])
{
    (void)a;
    text_add(advice, "The cluster may have elected them or not, and nothing is sent again. What "
                     "counts are the leaders that the cluster shows, below and in the rows.");
}

static bool look(const struct action *a, const struct model *m, char now[TEXT_MAX])
{
    int there = 0;
    for (int i = 0; i < a->plan.row_count; i++) {
        const struct action_row *row = &a->plan.rows[i];
        const struct model_partition *p = model_find_partition(m, row->topic, row->partition);
        there += row->note == NULL && p != NULL && p->leader == row->after;
    }
    text_add(now, "%d of %d have the leader they were to have", there, a->plan.change_count);
    return there == a->plan.change_count;
}

const struct action_kind action_elect_many = {
    .plan = plan_elections,
    .fresh = action_cluster_fresh,
    .agree = "y elects.",
    .failed = "Not elected",
    .api = "ElectLeaders",
    .watch = "leaders",
    .row = row_text,
    .done = done,
    .unknown = unknown,
    .advice = action_elect_advice,
    .look = look,
};
