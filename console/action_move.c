/* Moving a partition's replicas to other brokers (KIP-455), in another order, or to more or fewer
 * of them; and calling a move off.
 *
 * The brokers that are added copy the partition first; those that are removed delete theirs only
 * when the copies are in the ISR. Calling it off before that brings everything back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/action_kinds.h"

/* ---- the wish --------------------------------------------------------------------------------
 */

static bool take_replicas(struct action_wish *w, const char *words)
{
    while (w->replica_count < ACTION_MAX_REPLICAS && words[0] >= '0' && words[0] <= '9') {
        char *end = NULL;
        long long id = strtoll(words, &end, 10);
        for (int i = 0; i < w->replica_count; i++) {
            if (w->replicas[i] == id) {
                return false;
            }
        }
        if (id > INT32_MAX) {
            return false;
        }
        w->replicas[w->replica_count++] = (int32_t)id;
        if (*end == '\0') {
            return true;
        }
        if (*end != ',') {
            return false;
        }
        words = end + 1;
    }
    return false;
}

enum err action_wish_move(struct action_wish *w, const char *topic, int32_t partition,
                          const char *words, struct err_text *text)
{
    *w = (struct action_wish){.id = ACTION_MOVE, .partition = partition};
    if (strlen(topic) >= sizeof w->topic) {
        err_set(text, "this is no name that Kafka allows (more than 249 bytes)");
        return ERR_INVALID;
    }
    snprintf(w->topic, sizeof w->topic, "%s", topic);
    if (strcmp(words, "cancel") != 0 && !take_replicas(w, words)) {
        err_set(text, "say which brokers, the preferred leader first, each once, as in: reassign "
                      "2,3,1; or: reassign cancel");
        return ERR_INVALID;
    }
    return ERR_NONE;
}

/* ---- the plan --------------------------------------------------------------------------------
 */

static bool wishes(const struct action_wish *w, int32_t broker)
{
    for (int i = 0; i < w->replica_count; i++) {
        if (w->replicas[i] == broker) {
            return true;
        }
    }
    return false;
}

/* "1,2,+4,-3" as the screen of partitions has it. */
static void add_replicas(char text[TEXT_MAX], const struct model_partition *p)
{
    for (int i = 0; i < p->replica_count; i++) {
        const struct model_replica *r = &p->replicas[i];
        text_add(text, "%s%s%d", i == 0 ? "" : ",",
                 r->adding     ? "+"
                 : r->removing ? "-"
                               : "",
                 (int)r->broker);
    }
}

static void add_leader(char text[TEXT_MAX], const struct model_partition *p)
{
    if (p->leader == MODEL_NO_BROKER) {
        text_add(text, ", offline");
    } else {
        text_add(text, ", led by %d", (int)p->leader);
    }
}

/* As the partition has it already, with nothing on its way. */
static bool is_so(const struct action_wish *w, const struct model_partition *p)
{
    bool so = w->replica_count == p->replica_count;
    for (int i = 0; so && i < w->replica_count; i++) {
        so = w->replicas[i] == p->replicas[i].broker && !p->replicas[i].adding &&
             !p->replicas[i].removing;
    }
    return so;
}

static void add_target(struct action_plan *plan, const struct action_wish *w,
                       const struct model_partition *p)
{
    char *to = action_add_object(plan, "to");
    if (w->replica_count == 0) {
        text_add(to, "the replicas from before the move");
        return;
    }
    for (int i = 0; i < w->replica_count; i++) {
        text_add(to, "%s%d", i == 0 ? "" : ",", (int)w->replicas[i]);
    }
    if (p->leader != MODEL_NO_BROKER && !wishes(w, p->leader)) {
        text_add(to, ", and another leader");
    }
}

/* What is copied and what is deleted. Returns how many replicas are new. */
static int add_work(struct action_plan *plan, const struct action_wish *w,
                    const struct model_partition *p)
{
    char size[TEXT_MAX];
    int added = 0;
    int removed = 0;
    char *adds = action_add_object(plan, "adds");
    for (int i = 0; i < w->replica_count; i++) {
        if (model_find_replica(p, w->replicas[i]) == NULL) {
            text_add(adds, "%s%d", added++ == 0 ? "" : ",", (int)w->replicas[i]);
        }
    }
    const struct model_replica *leader = model_find_replica(p, p->leader);
    int64_t bytes = leader == NULL ? MODEL_UNKNOWN : leader->size_bytes;
    text_add(adds, "%s", added == 0 ? "nobody: nothing is copied" : "");
    if (added > 0 && model_known(bytes)) {
        text_add(adds, ", %s copied in all", text_size(bytes * added, size));
    } else if (added > 0) {
        text_add(adds, ", each copies the whole partition");
    }
    char *removes = action_add_object(plan, "removes");
    for (int i = 0; i < p->replica_count; i++) {
        if (!wishes(w, p->replicas[i].broker)) {
            text_add(removes, "%s%d", removed++ == 0 ? "" : ",", (int)p->replicas[i].broker);
        }
    }
    text_add(removes, "%s", removed == 0 ? "nobody" : ", once those that stay are in the ISR");
    return added;
}

/* What one may agree to, and should know. */
static void warn(char verdict[TEXT_MAX], const struct action_wish *w,
                 const struct model_partition *p)
{
    int64_t need = p->topic->min_insync;
    if (w->replica_count == 0) {
        return;
    }
    if (w->replica_count == 1 && p->replica_count > 1) {
        text_add(verdict, "One replica alone: should its broker be lost, so are the records.");
    } else if (model_known(need) && need > w->replica_count) {
        text_add(verdict,
                 "min.insync.replicas of the topic is %" PRId64
                 ": while one of these is not in sync, nobody can write with acks=all.",
                 need);
    } else if (model_is_moving(p)) {
        text_add(verdict, "A move is under way already: this takes its place.");
    }
}

static void judge(struct action_plan *plan, const struct action_wish *w, const struct model *m,
                  const struct model_partition *p)
{
    char *verdict = plan->verdict;
    for (int i = 0; i < w->replica_count; i++) {
        const struct model_broker *b = model_find_broker(m, w->replicas[i]);
        if (b == NULL || b->host == NULL) {
            text_add(verdict, "It cannot be moved: the cluster has no broker %d.",
                     (int)w->replicas[i]);
            return;
        }
        if (!b->alive && model_find_replica(p, w->replicas[i]) == NULL) {
            text_add(verdict, "It cannot be moved: broker %d is down and could not copy it.",
                     (int)w->replicas[i]);
            return;
        }
    }
    if (w->replica_count == 0 && !model_is_moving(p)) {
        text_add(verdict, "Nothing to do: no move of this partition is under way.");
        plan->already = true;
    } else if (is_so(w, p)) {
        text_add(verdict, "Nothing to do: these are its replicas.");
        plan->already = true;
    } else {
        plan->possible = true;
        warn(verdict, w, p);
    }
}

static bool plan_move(struct action_plan *plan, const struct action_wish *wish,
                      const struct model *m, const struct action_plan *said, struct err_text *text)
{
    char safe[TEXT_MAX];
    char id[UUID_TEXT_BYTES];
    (void)said;
    text_add(plan->title, "%s of %s-%d",
             wish->replica_count == 0 ? "Call off the move" : "Move the replicas",
             text_safe(wish->topic, safe), (int)wish->partition);
    const struct model_partition *p = model_find_partition(m, wish->topic, wish->partition);
    if (p == NULL) {
        err_set(text, "the cluster no longer lists this partition");
        return false;
    }
    text_add(plan->premises, "%s", uuid_format(&p->topic->id, id));
    text_add(action_add_object(plan, "partition"), "%s-%d", safe, (int)p->partition);
    char *from = action_add_object(plan, "from");
    add_replicas(from, p);
    add_leader(from, p);
    add_target(plan, wish, p);
    if (wish->replica_count > 0) {
        add_work(plan, wish, p);
    }
    judge(plan, wish, m, p);
    return true;
}

static bool fresh(const struct action_wish *wish, const struct model *m, int64_t since_ms,
                  char why[TEXT_MAX])
{
    const struct model_part *moves = &m->parts[MODEL_MOVES];
    (void)wish;
    if (m->parts[MODEL_CLUSTER].read_ms >= since_ms && moves->state == MODEL_REFUSED) {
        text_add(why, "%s", moves->error);
    }
    return m->parts[MODEL_CLUSTER].state == MODEL_READ &&
           m->parts[MODEL_CLUSTER].read_ms >= since_ms && moves->state == MODEL_READ &&
           moves->read_ms >= since_ms;
}

/* ---- outcomes --------------------------------------------------------------------------------
 */

static void done(const struct action *a, char headline[TEXT_MAX])
{
    char safe[TEXT_MAX];
    text_add(headline, "%s: %s-%d. The screen of partitions shows how far it is.",
             a->wish.replica_count == 0 ? "Called off" : "Under way",
             text_safe(a->wish.topic, safe), (int)a->wish.partition);
}

static void unknown(const struct action *a, char advice[TEXT_MAX])
{
    (void)a;
    text_add(advice, "The cluster may have begun or not, and nothing is sent again. What counts is "
                     "what the cluster shows, below and in the row.");
}

static const char *advice(int16_t code)
{
    switch (code) {
    case KAFKA_INVALID_REPLICA_ASSIGNMENT:
        return "The cluster does not take these brokers. Nothing was changed.";
    case KAFKA_INVALID_REPLICATION_FACTOR:
        return "The cluster does not allow another number of replicas this way.";
    case KAFKA_NO_REASSIGNMENT_IN_PROGRESS:
        return "It had ended already.";
    case KAFKA_CLUSTER_AUTHORIZATION_FAILED:
    case KAFKA_TOPIC_AUTHORIZATION_FAILED:
        return "To move replicas this user needs the right ALTER on the cluster.";
    case KAFKA_NOT_CONTROLLER:
    case KAFKA_BROKER_NOT_AVAILABLE:
        return "The quorum is choosing another controller. Try again in a few seconds.";
    default:
        return action_common_advice(code);
    }
}

static bool look(const struct action *a, const struct model *m, char now[TEXT_MAX])
{
    const struct model_partition *p = model_find_partition(m, a->wish.topic, a->wish.partition);
    if (p == NULL) {
        return false;
    }
    add_replicas(now, p);
    add_leader(now, p);
    text_add(now, "%s", model_is_moving(p) ? "; on its way" : "");
    return !model_is_moving(p) && (a->wish.replica_count == 0 || is_so(&a->wish, p));
}

const struct action_kind action_move = {
    .plan = plan_move,
    .fresh = fresh,
    .agree = "y moves.",
    .failed = "Not moved",
    .api = "AlterPartitionReassignments",
    .watch = "replicas",
    .done = done,
    .unknown = unknown,
    .advice = advice,
    .look = look,
};
