/* Electing the preferred leader of one partition. */
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/action_kinds.h"

enum err action_wish_elect(struct action_wish *w, const char *topic, int32_t partition,
                           struct err_text *text)
{
    if (strlen(topic) >= sizeof w->topic) {
        err_set(text, "this is no name that Kafka allows (more than 249 bytes)");
        return ERR_INVALID;
    }
    *w = (struct action_wish){.id = ACTION_ELECT, .partition = partition};
    snprintf(w->topic, sizeof w->topic, "%s", topic);
    return ERR_NONE;
}

static void judge(struct action_plan *plan, const struct model *m, const struct model_partition *p)
{
    char *verdict = plan->verdict;
    int to = (int)plan->to;
    const struct model_broker *b = model_find_broker(m, plan->to);
    if (plan->to == MODEL_NO_BROKER) {
        text_add(verdict, "It cannot be elected: the cluster names no replica of this partition.");
    } else if (model_leader_is_preferred(p)) {
        text_add(verdict, "Nothing to do: broker %d is the preferred leader and leads already.",
                 to);
        plan->already = true;
    } else if (b == NULL || !b->alive) {
        text_add(verdict,
                 "It cannot be elected: broker %d is down. Once it runs again and the ISR names "
                 "it, elect again.",
                 to);
    } else if (!p->replicas[0].in_sync) {
        text_add(verdict,
                 "It cannot be elected: broker %d is not in the ISR. Wait until the ISR names it; "
                 "the follower lag shows how far it has to go.",
                 to);
    } else {
        plan->possible = true;
    }
}

static void add_replicas(char text[TEXT_MAX], const struct model_partition *p, bool in_sync)
{
    bool any = false;
    for (int i = 0; i < p->replica_count; i++) {
        if (!in_sync || p->replicas[i].in_sync) {
            text_add(text, "%s%d", any ? "," : "", (int)p->replicas[i].broker);
            any = true;
        }
    }
    text_add(text, "%s", any || !in_sync ? "" : "empty");
}

static bool plan_election(struct action_plan *plan, const struct action_wish *wish,
                          const struct model *m, const struct action_plan *said,
                          struct err_text *text)
{
    char safe[TEXT_MAX];
    char word[TEXT_MAX];
    (void)said;
    text_add(plan->title, "Elect the preferred leader of %s-%d", text_safe(wish->topic, safe),
             (int)wish->partition);
    const struct model_partition *p = model_find_partition(m, wish->topic, wish->partition);
    if (p == NULL) {
        err_set(text, "the cluster no longer lists this partition");
        return false;
    }
    bool any = p->replica_count > 0 && p->replicas[0].broker >= 0;
    plan->to = any ? p->replicas[0].broker : MODEL_NO_BROKER;
    char id[UUID_TEXT_BYTES];
    text_add(plan->premises, "%s", uuid_format(&p->topic->id, id));
    char *object = action_add_object(plan, "partition");
    text_add(object, "%s-%d, epoch %s, replicas ", safe, (int)p->partition,
             text_number(p->leader_epoch, word));
    add_replicas(object, p, false);
    text_add(object, ", ISR ");
    add_replicas(object, p, true);
    action_broker_text(m, p->leader, word);
    text_add(action_add_object(plan, "from"), "%s",
             p->leader == MODEL_NO_BROKER ? "none: the partition is offline" : word);
    text_add(plan->objects[plan->object_count - 1].text, "%s",
             p->leader == MODEL_NO_BROKER ? "" : ", the leader now");
    action_broker_text(m, plan->to, word);
    text_add(action_add_object(plan, "to"), "%s%s", any ? word : "nobody",
             any ? ", the preferred leader (first replica)" : "");
    judge(plan, m, p);
    return true;
}

static void done(const struct action *a, char headline[TEXT_MAX])
{
    char safe[TEXT_MAX];
    text_add(headline, "Elected: broker %d leads %s-%d.", (int)a->plan.to,
             text_safe(a->wish.topic, safe), (int)a->wish.partition);
}

static void unknown(const struct action *a, char advice[TEXT_MAX])
{
    text_add(
        advice,
        "The cluster may have elected broker %d or not, and nothing is sent again. What counts "
        "is the leader that the cluster shows, below and in the row.",
        (int)a->plan.to);
}

const char *action_elect_advice(int16_t code)
{
    switch (code) {
    case KAFKA_PREFERRED_LEADER_NOT_AVAILABLE:
        return "The preferred leader is down or not in the ISR. Wait until the ISR names it, then "
               "elect again.";
    case KAFKA_ELECTION_NOT_NEEDED:
        return "It led already when the request arrived: somebody, or the controller's own "
               "balancing, was faster.";
    case KAFKA_CLUSTER_AUTHORIZATION_FAILED:
    case KAFKA_TOPIC_AUTHORIZATION_FAILED:
        return "To elect leaders this user needs the right ALTER on the cluster.";
    case KAFKA_NOT_CONTROLLER:
    case KAFKA_BROKER_NOT_AVAILABLE:
        return "The quorum is choosing another controller. Try again in a few seconds.";
    default:
        return action_common_advice(code);
    }
}

static bool look(const struct action *a, const struct model *m, char now[TEXT_MAX])
{
    char word[TEXT_MAX];
    const struct model_partition *p = model_find_partition(m, a->wish.topic, a->wish.partition);
    if (p == NULL) {
        return false;
    }
    action_broker_text(m, p->leader, word);
    text_add(now, "%s", p->leader == MODEL_NO_BROKER ? "none: the partition is offline" : word);
    text_add(now, ", epoch %s", text_number(p->leader_epoch, word));
    return p->leader == a->plan.to;
}

const struct action_kind action_elect = {
    .plan = plan_election,
    .fresh = action_cluster_fresh,
    .agree = "y elects.",
    .failed = "Not elected",
    .api = "ElectLeaders",
    .watch = "leader",
    .done = done,
    .unknown = unknown,
    .advice = action_elect_advice,
    .look = look,
};
