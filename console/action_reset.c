/* Resetting what a consumer group has committed (KIP-122), as kafka-consumer-groups does: offsets
 * outside of the log become its nearest end; only a group without members can be changed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/kafka_error.h"
#include "console/action_kinds.h"

/* ---- the wish --------------------------------------------------------------------------------
 */

#define USAGE "say where to: earliest, latest, an offset, +N or -N; then TOPIC or TOPIC:PARTITION"

static bool number_of(const char *word, int64_t *out)
{
    char *end = NULL;
    if (word[strspn(word, "+-")] < '0' || word[strspn(word, "+-")] > '9' || strlen(word) > 18) {
        return false;
    }
    *out = strtoll(word, &end, 10);
    return *end == '\0';
}

static bool take_target(struct action_wish *w, const char *word)
{
    if (strcmp(word, "earliest") == 0 || strcmp(word, "latest") == 0) {
        w->to = word[0] == 'e' ? ACTION_TO_EARLIEST : ACTION_TO_LATEST;
        return true;
    }
    w->to = word[0] == '+' || word[0] == '-' ? ACTION_TO_SHIFT : ACTION_TO_OFFSET;
    return number_of(word, &w->offset);
}

static bool take_object(struct action_wish *w, char *word)
{
    int64_t number = -1;
    char *colon = strrchr(word, ':'); /* no topic's name has one */
    if (colon != NULL) {
        *colon = '\0';
        if (colon[1] < '0' || colon[1] > '9' || !number_of(colon + 1, &number) ||
            number > INT32_MAX) {
            return false;
        }
    }
    w->partition = (int32_t)number;
    return word[0] != '\0' &&
           snprintf(w->topic, sizeof w->topic, "%s", word) < (int)sizeof w->topic;
}

enum err action_wish_reset(struct action_wish *w, const char *group, const char *words,
                           struct err_text *text)
{
    char copy[ACTION_TOPIC_BYTES + 64];
    *w = (struct action_wish){.id = ACTION_RESET, .partition = -1};
    if (strlen(group) >= sizeof w->group || strlen(words) >= sizeof copy) {
        err_set(text, "the group's name or the command is longer than this can take");
        return ERR_INVALID;
    }
    snprintf(w->group, sizeof w->group, "%s", group);
    snprintf(copy, sizeof copy, "%s", words);
    char *rest = NULL;
    char *target = strtok_r(copy, " ", &rest);
    char *object = target == NULL ? NULL : strtok_r(NULL, " ", &rest);
    char *more = object == NULL ? NULL : strtok_r(NULL, " ", &rest);
    if (target == NULL || more != NULL || !take_target(w, target) ||
        (object != NULL && !take_object(w, object))) {
        err_set(text, "%s", USAGE);
        return ERR_INVALID;
    }
    return ERR_NONE;
}

/* ---- the plan --------------------------------------------------------------------------------
 */

static void target_text(const struct action_wish *wish, char out[TEXT_MAX])
{
    out[0] = '\0';
    switch (wish->to) {
    case ACTION_TO_EARLIEST:
        text_add(out, "the earliest record");
        break;
    case ACTION_TO_LATEST:
        text_add(out, "the end, as it was when this was shown");
        break;
    case ACTION_TO_OFFSET:
        text_add(out, "offset %" PRId64, wish->offset);
        break;
    case ACTION_TO_SHIFT:
        text_add(out, "%" PRId64 " records %s", wish->offset < 0 ? -wish->offset : wish->offset,
                 wish->offset < 0 ? "back" : "forward");
        break;
    }
}

static int64_t within(int64_t offset, int64_t start, int64_t end)
{
    offset = offset < start ? start : offset;
    return offset > end ? end : offset;
}

/* A mark when it cannot be told. */
static int64_t target_of(const struct action_wish *wish, const struct model_partition *p,
                         int64_t committed)
{
    int64_t start = p->log_start_offset;
    int64_t end = p->high_watermark;
    if (!model_known(start) || !model_known(end)) {
        return MODEL_UNKNOWN;
    }
    switch (wish->to) {
    case ACTION_TO_EARLIEST:
        return start;
    case ACTION_TO_LATEST:
        return end;
    case ACTION_TO_OFFSET:
        return within(wish->offset, start, end);
    case ACTION_TO_SHIFT:
        return model_known(committed) ? within(committed + wish->offset, start, end)
                                      : MODEL_UNKNOWN;
    }
    UNREACHABLE("no such target");
}

static const struct action_row *said_row(const struct action_plan *said,
                                         const struct model_offset *o)
{
    for (int i = 0; said != NULL && i < said->row_count; i++) {
        if (said->rows[i].partition == o->partition && strcmp(said->rows[i].topic, o->topic) == 0) {
            return &said->rows[i];
        }
    }
    return NULL;
}

/* Ends move while they are looked at: what was said counts for as long as the log still has it. */
static int64_t settled_target(const struct action_wish *wish, const struct model_partition *p,
                              const struct model_offset *o, const struct action_plan *said)
{
    const struct action_row *row = said_row(said, o);
    if (row == NULL || !model_known(row->after) || !model_known(p->log_start_offset) ||
        !model_known(p->high_watermark)) {
        return target_of(wish, p, o->committed);
    }
    return within(row->after, p->log_start_offset, p->high_watermark);
}

static bool meant(const struct action_wish *wish, const struct model_offset *o)
{
    return wish->topic[0] == '\0' || (strcmp(wish->topic, o->topic) == 0 &&
                                      (wish->partition < 0 || wish->partition == o->partition));
}

/* Returns why the rows cannot be acted on, or NULL. */
static const char *add_rows(struct action_plan *plan, const struct action_wish *wish,
                            const struct model *m, const struct model_group *g,
                            const struct action_plan *said)
{
    const char *why = NULL;
    plan->rows = arena_array(&plan->arena, (size_t)g->offset_count + 1, sizeof *plan->rows);
    for (int i = 0; i < g->offset_count; i++) {
        const struct model_offset *o = &g->offsets[i];
        const struct model_partition *p = model_find_partition(m, o->topic, o->partition);
        if (!meant(wish, o)) {
            continue;
        }
        int64_t after = p == NULL ? MODEL_UNKNOWN : settled_target(wish, p, o, said);
        struct action_row *row = &plan->rows[plan->row_count++];
        *row = (struct action_row){.topic = arena_strdup(&plan->arena, o->topic),
                                   .partition = o->partition,
                                   .before = o->committed,
                                   .after = after,
                                   .end = p == NULL ? MODEL_UNKNOWN : p->high_watermark};
        plan->change_count += after != o->committed;
        if (p == NULL) {
            why = "It cannot be reset: the group has offsets of a topic that is no more; name the "
                  "others one by one.";
        } else if (!model_known(after)) {
            why = "It cannot be reset yet: the start and end of a partition below were not read.";
        }
    }
    return why;
}

static void judge(struct action_plan *plan, const struct model_group *g, const char *why)
{
    char *verdict = plan->verdict;
    if (g->members_state != MODEL_READ || g->offsets_state != MODEL_READ) {
        text_add(verdict,
                 "It cannot be reset: members or offsets of the group were not read yet, or the "
                 "cluster does not tell them.");
    } else if (g->member_count > 0) {
        text_add(
            verdict,
            "It cannot be reset: the group has %d members. Stop its consumers first; what they "
            "commit would overwrite it.",
            g->member_count);
    } else if (plan->row_count == 0) {
        text_add(verdict, "Nothing to do: the group has committed nothing there.");
    } else if (why != NULL) {
        text_add(verdict, "%s", why);
    } else if (plan->change_count == 0) {
        text_add(verdict, "Nothing to do: every offset is there already.");
        plan->already = true;
    } else {
        plan->possible = true;
    }
}

static bool plan_reset(struct action_plan *plan, const struct action_wish *wish,
                       const struct model *m, const struct action_plan *said, struct err_text *text)
{
    char safe[TEXT_MAX];
    char word[TEXT_MAX];
    text_add(plan->title, "Reset the offsets of group %s", text_safe(wish->group, safe));
    const struct model_group *g = model_find_group(m, wish->group);
    if (g == NULL) {
        err_set(text, "the cluster no longer lists this group");
        return false;
    }
    text_add(action_add_object(plan, "group"), "%s, state %s, coordinator %d", safe,
             g->state == NULL ? "not told" : text_safe(g->state, word), (int)g->coordinator);
    char *what = action_add_object(plan, "what");
    text_add(what, "%s", wish->topic[0] == '\0' ? "everything it has committed" : "");
    text_add(what, "%s", wish->topic[0] == '\0' ? "" : text_safe(wish->topic, word));
    if (wish->partition >= 0) {
        text_add(what, "-%d", (int)wish->partition);
    }
    target_text(wish, word);
    text_add(action_add_object(plan, "to"), "%s", word);
    judge(plan, g, add_rows(plan, wish, m, g, said));
    return true;
}

static bool fresh(const struct action_wish *wish, const struct model *m, int64_t since_ms,
                  char why[TEXT_MAX])
{
    const struct model_group *g = model_find_group(m, wish->group);
    bool listed =
        m->parts[MODEL_GROUPS].state == MODEL_READ && m->parts[MODEL_GROUPS].read_ms >= since_ms;
    if (g == NULL) {
        return listed;
    }
    if (listed && g->error != NULL) {
        text_add(why, "%s", g->error);
    }
    return m->parts[MODEL_CLUSTER].read_ms >= since_ms && g->members_read_ms >= since_ms &&
           g->offsets_read_ms >= since_ms;
}

static void row_text(const struct action_row *r, char out[TEXT_MAX])
{
    char number[TEXT_MAX];
    text_add(out, "%s", text_number(r->before, number));
    if (r->before == r->after) {
        text_add(out, ", as it is");
    } else {
        text_add(out, " then %s", text_number(r->after, number));
    }
    if (model_known(r->end) && model_known(r->after)) {
        text_add(out, ", lag then %" PRId64, r->end > r->after ? r->end - r->after : 0);
    }
}

/* ---- outcomes --------------------------------------------------------------------------------
 */

static void done(const struct action *a, char headline[TEXT_MAX])
{
    char safe[TEXT_MAX];
    text_add(headline, "Reset: %d offsets of group %s.", a->plan.change_count,
             text_safe(a->wish.group, safe));
}

static void unknown(const struct action *a, char advice[TEXT_MAX])
{
    (void)a;
    text_add(advice, "The cluster may have reset them or not, and nothing is sent again. What "
                     "counts is what the group has committed, below and in the rows.");
}

static const char *advice(int16_t code)
{
    switch (code) {
    case KAFKA_UNKNOWN_MEMBER_ID:
    case KAFKA_REBALANCE_IN_PROGRESS:
    case KAFKA_ILLEGAL_GENERATION:
        return "A consumer has joined the group meanwhile. Nothing was changed; stop it first.";
    case KAFKA_GROUP_AUTHORIZATION_FAILED:
    case KAFKA_TOPIC_AUTHORIZATION_FAILED:
        return "To reset offsets this user needs the right READ on the group and its topics.";
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_NOT_COORDINATOR:
        return "The group's coordinator is moving. Nothing was changed; try again in a few "
               "seconds.";
    default:
        return action_common_advice(code);
    }
}

static bool look(const struct action *a, const struct model *m, char now[TEXT_MAX])
{
    const struct model_group *g = model_find_group(m, a->wish.group);
    int there = 0;
    for (int i = 0; g != NULL && i < a->plan.row_count; i++) {
        const struct action_row *row = &a->plan.rows[i];
        const struct model_offset *o =
            model_find_offset(g, g->offset_count, row->topic, row->partition);
        there += o != NULL && o->committed == row->after;
    }
    text_add(now, "%d of %d partitions are where they were to be", there, a->plan.row_count);
    return there == a->plan.row_count;
}

const struct action_kind action_reset = {
    .plan = plan_reset,
    .fresh = fresh,
    .agree = "y resets.",
    .failed = "Not reset",
    .api = "OffsetCommit",
    .watch = "committed",
    .row = row_text,
    .done = done,
    .unknown = unknown,
    .advice = advice,
    .look = look,
};
