/* Electing a preferred leader.
 *
 * Happy path: PREVIEW -y-> CHECKING -a newer snapshot says the same-> READY -> UNDER_WAY -the
 * answer-> OUTCOME -a snapshot shows the new leader-> the same, with its name -any key-> CLOSED.
 *
 * Failure modes: the snapshot says something else (a new PREVIEW); the partition is gone, or the
 * cluster cannot be asked (OUTCOME: nothing was sent); the cluster refuses (OUTCOME with Kafka's
 * name for it and what to do); no answer, or the connection ends (OUTCOME: unknown, and where to
 * look). */
#include "console/action.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/keys.h"

/* ---- the plan --------------------------------------------------------------------------------
 */

static void broker_text(const struct model *m, int32_t id, char out[TEXT_MAX])
{
    char safe[TEXT_MAX];
    const struct model_broker *b = model_find_broker(m, id);
    out[0] = '\0';
    if (id == MODEL_NO_BROKER) {
        text_add(out, "none: the partition is offline");
    } else if (b == NULL || b->host == NULL) {
        text_add(out, "%d, whose address the cluster does not tell", (int)id);
    } else {
        text_add(out, "%d@%s:%d", (int)id, text_safe(b->host, safe), (int)b->port);
    }
}

static void replica_texts(struct action_plan *plan, const struct model_partition *p)
{
    for (int i = 0; i < p->replica_count; i++) {
        const struct model_replica *r = &p->replicas[i];
        text_add(plan->replicas, "%s%d", i == 0 ? "" : ",", (int)r->broker);
        if (r->in_sync) {
            text_add(plan->in_sync, "%s%d", plan->in_sync[0] == '\0' ? "" : ",", (int)r->broker);
        }
    }
}

static enum action_verdict judge(const struct model *m, const struct model_partition *p)
{
    if (p->replica_count == 0 || p->replicas[0].broker < 0) {
        return ACTION_NO_REPLICA;
    }
    const struct model_broker *b = model_find_broker(m, p->replicas[0].broker);
    if (model_leader_is_preferred(p)) {
        return ACTION_LEADS_ALREADY;
    }
    if (b == NULL || !b->alive) {
        return ACTION_BROKER_DOWN;
    }
    return p->replicas[0].in_sync ? ACTION_POSSIBLE : ACTION_NOT_IN_SYNC;
}

static void make_plan(struct action_plan *plan, const struct model *m,
                      const struct model_partition *p)
{
    memset(plan, 0, sizeof *plan);
    ASSERT(strlen(p->topic->name) < sizeof plan->topic);
    text_safe(m->cluster_id == NULL ? "of no name" : m->cluster_id, plan->cluster);
    snprintf(plan->topic, sizeof plan->topic, "%s", p->topic->name);
    plan->topic_id = p->topic->id;
    plan->partition = p->partition;
    plan->leader_epoch = p->leader_epoch;
    plan->verdict = judge(m, p);
    plan->from = p->leader;
    plan->to = plan->verdict == ACTION_NO_REPLICA ? MODEL_NO_BROKER : p->replicas[0].broker;
    broker_text(m, plan->from, plan->from_text);
    broker_text(m, plan->to, plan->to_text);
    replica_texts(plan, p);
}

static bool same_plan(const struct action_plan *a, const struct action_plan *b)
{
    return strcmp(a->cluster, b->cluster) == 0 && strcmp(a->topic, b->topic) == 0 &&
           uuid_equal(&a->topic_id, &b->topic_id) && a->partition == b->partition &&
           a->leader_epoch == b->leader_epoch && a->from == b->from && a->to == b->to &&
           strcmp(a->from_text, b->from_text) == 0 && strcmp(a->to_text, b->to_text) == 0 &&
           strcmp(a->replicas, b->replicas) == 0 && strcmp(a->in_sync, b->in_sync) == 0 &&
           a->verdict == b->verdict;
}

static void open_preview(struct action *a, const struct action_plan *plan)
{
    a->state = ACTION_PREVIEW;
    a->plan = *plan;
    a->drawn = false;
    a->outdated = false;
}

enum err action_open(struct action *a, const struct model *m, const char *where, const char *topic,
                     int32_t partition, struct err_text *text)
{
    struct action_plan plan;
    if (a->state != ACTION_CLOSED) {
        err_set(text, "the election of %s-%d is still under way", a->plan.topic,
                (int)a->plan.partition);
        return ERR_BUSY;
    }
    const struct model_partition *p = model_find_partition(m, topic, partition);
    if (p == NULL) {
        err_set(text, "the cluster no longer lists this partition");
        return ERR_NOT_FOUND;
    }
    if (strlen(topic) >= ACTION_TOPIC_BYTES) {
        err_set(text, "this is no name that Kafka allows (more than 249 bytes)");
        return ERR_INVALID;
    }
    memset(a, 0, sizeof *a);
    a->where = where;
    make_plan(&plan, m, p);
    open_preview(a, &plan);
    return ERR_NONE;
}

bool action_is_open(const struct action *a)
{
    return a->state != ACTION_CLOSED && !a->hidden;
}

bool action_wants_snapshot(const struct action *a, int64_t now_ms)
{
    if (a->state == ACTION_OUTCOME) {
        return !a->leader_seen && now_ms - a->answered_ms < ACTION_WATCH_MS &&
               (a->result == ACTION_DONE || a->result == ACTION_UNKNOWN);
    }
    return a->state == ACTION_CHECKING;
}

/* ---- keys ------------------------------------------------------------------------------------
 */

static bool close_action(struct action *a)
{
    a->state = ACTION_CLOSED;
    return false;
}

static bool preview_key(struct action *a, int key, int64_t now_ms)
{
    if (key != 'y' || !a->drawn || a->plan.verdict != ACTION_POSSIBLE) {
        return close_action(a);
    }
    a->state = ACTION_CHECKING;
    a->agreed_ms = now_ms;
    return true;
}

bool action_key(struct action *a, int key, int64_t now_ms)
{
    ASSERT(action_is_open(a));
    switch (a->state) {
    case ACTION_PREVIEW:
        return preview_key(a, key, now_ms);
    case ACTION_CHECKING:
        return key == 'y' ? true : close_action(a); /* nothing was sent yet */
    case ACTION_READY:
    case ACTION_UNDER_WAY:
        a->hidden = key == KEY_CODE_ESCAPE || key == 'q' || key == KEY_CTRL('c');
        return !a->hidden;
    case ACTION_OUTCOME:
    case ACTION_CLOSED:
        break;
    }
    return close_action(a);
}

void action_drawn(struct action *a, bool whole)
{
    a->drawn = whole;
}

/* ---- outcomes --------------------------------------------------------------------------------
 */

static void conclude(struct action *a, enum action_result result)
{
    a->state = ACTION_OUTCOME;
    a->result = result;
    a->headline[0] = '\0';
    a->advice[0] = '\0';
    a->leader_now[0] = '\0';
    a->leader_seen = false;
}

static void not_sent(struct action *a, const char *why, const char *advice)
{
    char safe[TEXT_MAX];
    conclude(a, ACTION_NOT_SENT);
    text_add(a->headline, "Nothing was sent: %s", text_safe(why, safe));
    text_add(a->advice, "%s", advice);
}

/* What to do about an error, in words. */
static const char *advice_for(int16_t code)
{
    switch (code) {
    case KAFKA_PREFERRED_LEADER_NOT_AVAILABLE:
        return "The preferred leader is down or not in the ISR. Wait until the ISR names it, then "
               "elect again.";
    case KAFKA_ELECTION_NOT_NEEDED:
        return "It led already when the request arrived: somebody, or the controller's own "
               "balancing, was faster.";
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
        return "The topic was deleted meanwhile.";
    case KAFKA_CLUSTER_AUTHORIZATION_FAILED:
    case KAFKA_TOPIC_AUTHORIZATION_FAILED:
        return "To elect leaders this user needs the right ALTER on the cluster.";
    case KAFKA_NOT_CONTROLLER:
    case KAFKA_BROKER_NOT_AVAILABLE:
        return "The quorum is choosing another controller. Try again in a few seconds.";
    default:
        return kafka_error_retriable(code) ? "Nothing was changed. Try again in a few seconds."
                                           : "Nothing was changed.";
    }
}

/* The request may have been carried out after the answer was given up. */
static bool tells_nothing(int16_t code)
{
    return code == KAFKA_REQUEST_TIMED_OUT || code == KAFKA_UNKNOWN_SERVER_ERROR ||
           code == KAFKA_NETWORK_EXCEPTION;
}

static void unknown(struct action *a, const char *why)
{
    char safe[TEXT_MAX];
    conclude(a, ACTION_UNKNOWN);
    text_add(a->headline, "Unknown outcome: %s", text_safe(why, safe));
    text_add(
        a->advice,
        "The cluster may have elected broker %d or not, and nothing is sent again. What counts "
        "is the leader that the cluster shows, below and in the row.",
        (int)a->plan.to);
}

static void answered_code(struct action *a, int16_t code, const char *message)
{
    char safe[TEXT_MAX];
    char why[TEXT_MAX] = "";
    text_add(why, "%s", kafka_error_name(code));
    if (message != NULL && message[0] != '\0') {
        text_add(why, ": %s", text_safe(message, safe));
    }
    if (code == KAFKA_NONE) {
        conclude(a, ACTION_DONE);
        text_add(a->headline, "Elected: broker %d leads %s-%d.", (int)a->plan.to,
                 text_safe(a->plan.topic, safe), (int)a->plan.partition);
    } else if (tells_nothing(code)) {
        unknown(a, why);
    } else {
        conclude(a, ACTION_REFUSED);
        text_add(a->headline, "Not elected: %s", why);
        text_add(a->advice, "%s", advice_for(code));
    }
}

void action_sent(struct action *a)
{
    ASSERT(a->state == ACTION_READY);
    a->state = ACTION_UNDER_WAY;
}

bool action_answered(struct action *a, const struct action_answer *answer, int64_t now_ms)
{
    ASSERT(a->state == ACTION_UNDER_WAY);
    a->answered_ms = now_ms;
    switch (answer->error) {
    case ERR_NONE:
        answered_code(a, answer->code, answer->message);
        break;
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_NOT_FOUND:
        not_sent(a, answer->why, "The broker could not be reached. Nothing was changed.");
        break;
    case ERR_UNSUPPORTED:
        not_sent(a, answer->why, "This broker does not serve ElectLeaders.");
        break;
    default:
        unknown(a, answer->why);
        break;
    }
    if (a->hidden) {
        a->hidden = false;
        a->state = ACTION_CLOSED;
        return false;
    }
    return true;
}

/* ---- snapshots -------------------------------------------------------------------------------
 */

static void show_outcome(struct action *a, const struct model *m, const struct model_partition *p)
{
    char number[TEXT_MAX];
    char broker[TEXT_MAX];
    if (m->parts[MODEL_CLUSTER].read_ms < a->answered_ms || p == NULL) {
        return;
    }
    broker_text(m, p->leader, broker);
    a->leader_now[0] = '\0';
    text_add(a->leader_now, "%s, epoch %s", broker, text_number(p->leader_epoch, number));
    a->leader_seen = p->leader == a->plan.to;
}

static void check(struct action *a, const struct action_plan *now)
{
    if (same_plan(&a->plan, now)) {
        a->state = ACTION_READY;
        return;
    }
    open_preview(a, now);
    a->anew = true;
}

void action_show(struct action *a, const struct model *m)
{
    struct action_plan now;
    if (a->state == ACTION_CLOSED) {
        return;
    }
    const struct model_partition *p = model_find_partition(m, a->plan.topic, a->plan.partition);
    if (p != NULL) {
        make_plan(&now, m, p);
    }
    bool fresh = m->parts[MODEL_CLUSTER].state == MODEL_READ &&
                 m->parts[MODEL_CLUSTER].read_ms >= a->agreed_ms;
    if (a->state == ACTION_PREVIEW) {
        a->outdated = p == NULL || !same_plan(&a->plan, &now);
    } else if (a->state == ACTION_CHECKING && fresh && p == NULL) {
        not_sent(a, "the cluster no longer lists this partition",
                 "The topic was deleted meanwhile.");
    } else if (a->state == ACTION_CHECKING && fresh) {
        check(a, &now);
    } else if (a->state == ACTION_OUTCOME) {
        show_outcome(a, m, p);
    }
}

void action_trouble(struct action *a, const char *why)
{
    if (a->state == ACTION_CHECKING) {
        not_sent(a, why, "What the preview said could not be checked, so nothing was changed.");
    }
}

/* ---- words -----------------------------------------------------------------------------------
 */

struct lines {
    struct action_line *at;
    int count;
};

static char *add_line(struct lines *l, const char *label, enum style style)
{
    ASSERT(l->count < ACTION_MAX_LINES);
    struct action_line *line = &l->at[l->count++];
    line->label = label;
    line->style = style;
    line->text[0] = '\0';
    return line->text;
}

static void add_objects(struct lines *l, const struct action_plan *plan, const char *where)
{
    char safe[TEXT_MAX];
    char number[TEXT_MAX];
    text_add(add_line(l, "cluster", STYLE_NORMAL), "%s, asked at %s", plan->cluster,
             text_safe(where, safe));
    text_add(add_line(l, "partition", STYLE_NORMAL), "%s-%d, epoch %s, replicas %s, ISR %s",
             text_safe(plan->topic, safe), (int)plan->partition,
             text_number(plan->leader_epoch, number), plan->replicas,
             plan->in_sync[0] == '\0' ? "empty" : plan->in_sync);
    text_add(add_line(l, "from", STYLE_NORMAL), "%s%s", plan->from_text,
             plan->from == MODEL_NO_BROKER ? "" : ", the leader now");
    text_add(add_line(l, "to", STYLE_NORMAL), "%s%s",
             plan->verdict == ACTION_NO_REPLICA ? "nobody" : plan->to_text,
             plan->verdict == ACTION_NO_REPLICA ? "" : ", the preferred leader (first replica)");
}

static void add_verdict(struct lines *l, const struct action_plan *plan)
{
    int to = (int)plan->to;
    switch (plan->verdict) {
    case ACTION_POSSIBLE:
        break;
    case ACTION_LEADS_ALREADY:
        text_add(add_line(l, "", STYLE_WARNING),
                 "Nothing to do: broker %d is the preferred leader and leads already.", to);
        break;
    case ACTION_NOT_IN_SYNC:
        text_add(add_line(l, "", STYLE_WARNING),
                 "It cannot be elected: broker %d is not in the ISR. Wait until the ISR names it; "
                 "the follower lag shows how far it has to go.",
                 to);
        break;
    case ACTION_BROKER_DOWN:
        text_add(add_line(l, "", STYLE_WARNING),
                 "It cannot be elected: broker %d is down. Once it runs again and the ISR names "
                 "it, elect again.",
                 to);
        break;
    case ACTION_NO_REPLICA:
        text_add(add_line(l, "", STYLE_WARNING),
                 "It cannot be elected: the cluster names no replica of this partition.");
        break;
    }
}

static void add_preview(struct lines *l, const struct action *a)
{
    if (a->anew) {
        text_add(add_line(l, "", STYLE_WARNING),
                 "It changed after you were asked. Nothing was sent; this is how it stands now.");
    }
    add_objects(l, &a->plan, a->where);
    add_verdict(l, &a->plan);
    if (a->outdated) {
        text_add(add_line(l, "", STYLE_WARNING), "The cluster has changed since this was shown.%s",
                 a->plan.verdict == ACTION_POSSIBLE ? " y shows it anew before anything is sent."
                                                    : " Close it, and ask again.");
    }
    char *last = add_line(l, "", STYLE_KEY);
    if (a->plan.verdict == ACTION_POSSIBLE) {
        text_add(last, "y elects. Every other key, Enter and n too, changes nothing and closes.");
    } else {
        text_add(last, "Any key closes. Nothing will be changed.");
    }
}

static void add_outcome(struct lines *l, const struct action *a)
{
    enum style style = a->result == ACTION_DONE ? STYLE_GOOD : STYLE_WARNING;
    text_add(add_line(l, "", style), "%s", a->headline);
    if (a->advice[0] != '\0') {
        text_add(add_line(l, "", STYLE_NORMAL), "%s", a->advice);
    }
    if (a->result == ACTION_DONE || a->result == ACTION_UNKNOWN) {
        text_add(add_line(l, "leader", STYLE_NORMAL), "%s",
                 a->leader_now[0] == '\0' ? "asking the cluster" : a->leader_now);
    }
    text_add(add_line(l, "", STYLE_KEY), "Any key closes.");
}

int action_lines(const struct action *a, struct action_line lines[ACTION_MAX_LINES])
{
    struct lines l = {lines, 0};
    char safe[TEXT_MAX];
    ASSERT(a->state != ACTION_CLOSED);
    text_add(add_line(&l, "", STYLE_TITLE), "Elect the preferred leader of %s-%d",
             text_safe(a->plan.topic, safe), (int)a->plan.partition);
    switch (a->state) {
    case ACTION_PREVIEW:
        add_preview(&l, a);
        break;
    case ACTION_CHECKING:
        add_objects(&l, &a->plan, a->where);
        text_add(add_line(&l, "", STYLE_WARNING),
                 "Reading the cluster once more before it is sent.");
        text_add(add_line(&l, "", STYLE_KEY), "Any key calls it off.");
        break;
    case ACTION_READY:
    case ACTION_UNDER_WAY:
        add_objects(&l, &a->plan, a->where);
        text_add(add_line(&l, "", STYLE_WARNING), "Sent. Waiting for the cluster's answer.");
        text_add(add_line(&l, "", STYLE_KEY), "Esc goes on meanwhile; it cannot be called back.");
        break;
    case ACTION_OUTCOME:
        add_outcome(&l, a);
        break;
    case ACTION_CLOSED:
        break;
    }
    return l.count;
}
