/* A change without a terminal.
 *
 * Happy path: a whole round of questions -> the plan, printed -> agreed to as by `y` -> a newer
 * snapshot says the same -> sent -> answered -> how it stands is read until it is as asked for.
 * Failure modes: the cluster does not answer in time (nothing was sent: PERFORM_UNKNOWN); the plan
 * is not possible, or changed between the two readings (nothing was sent: PERFORM_REFUSED); no
 * answer to what was sent (PERFORM_UNKNOWN). */
#include "console/perform.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/assert.h"
#include "console/action.h"
#include "console/asker.h"
#include "console/json.h"
#include "console/order.h"
#include "console/poll.h"

struct perform {
    const struct options *options;
    uv_loop_t loop;
    uv_timer_t limit; /* of what happens before it is sent, and of the watch after the answer */
    struct poll *poll;
    struct asker *asker;
    struct order order;
    struct action action;
    struct action_wish wish;
    const struct model *model; /* the newest */
    char why[512];             /* why the cluster does not answer, last heard */
    bool opened;
    struct err_text refused; /* why the action could not be opened; "" = it could */
};

static int64_t wall_ms(void)
{
    uv_timeval64_t now;
    return uv_gettimeofday(&now) == 0 ? now.tv_sec * 1000 + now.tv_usec / 1000 : 0;
}

/* ---- the words ---------------------------------------------------------------------------------
 */

/* TOPIC:PARTITION in two. */
static bool split(const char *word, char topic[ACTION_TOPIC_BYTES], int32_t *partition)
{
    const char *colon = strrchr(word, ':');
    char *end = NULL;
    if (colon == NULL || colon == word || colon - word >= ACTION_TOPIC_BYTES || colon[1] < '0' ||
        colon[1] > '9') {
        return false;
    }
    long long number = strtoll(colon + 1, &end, 10);
    snprintf(topic, ACTION_TOPIC_BYTES, "%.*s", (int)(colon - word), word);
    *partition = (int32_t)number;
    return *end == '\0' && number <= INT32_MAX;
}

static enum err read_wish(const struct options *o, struct action_wish *wish, struct err_text *text)
{
    char topic[ACTION_TOPIC_BYTES];
    char words[640];
    int32_t partition = 0;
    if (o->command == COMMAND_RESET) {
        snprintf(words, sizeof words, "%.300s %.300s", o->words[1], o->words[2]);
        return action_wish_reset(wish, o->words[0], words, text);
    }
    if (o->command == COMMAND_ELECT && strchr(o->words[0], ':') == NULL) {
        return action_wish_elect_many(wish, o->words[0], MODEL_NO_BROKER, text);
    }
    if (!split(o->words[0], topic, &partition)) {
        err_set(text, "%.300s: expected TOPIC:PARTITION", o->words[0]);
        return ERR_INVALID;
    }
    return o->command == COMMAND_ELECT
               ? action_wish_elect(wish, topic, partition, text)
               : action_wish_move(wish, topic, partition, o->words[1], text);
}

static void want_for(const struct options *o, struct poll_want *want)
{
    *want = (struct poll_want){.parts = 1u << MODEL_CLUSTER | 1u << MODEL_CONFIGS};
    if (o->command == COMMAND_RESET) {
        want->parts |= 1u << MODEL_GROUPS | 1u << MODEL_MEMBERS;
        poll_want_add_group(want, o->words[0]);
    } else if (o->command == COMMAND_REASSIGN) {
        want->parts |= 1u << MODEL_LOG_DIRS;
    }
}

/* ---- what happens ------------------------------------------------------------------------------
 */

static void finish(struct perform *p)
{
    uv_stop(&p->loop);
}

static void on_limit(uv_timer_t *timer)
{
    finish(timer->data);
}

static void on_answer(void *ctx, const struct action_answer *answer)
{
    struct perform *p = ctx;
    action_answered(&p->action, answer, wall_ms());
    if (action_wants_snapshot(&p->action, wall_ms())) {
        uv_timer_start(&p->limit, on_limit, ACTION_WATCH_MS, 0);
        poll_now(p->poll);
    } else {
        finish(p);
    }
}

/* The first whole round has told enough to make the plan of. */
static void open_action(struct perform *p)
{
    p->opened = true;
    if (action_open(&p->action, p->model, p->options->bootstrap, &p->wish, &p->refused) !=
            ERR_NONE ||
        !p->action.plan.possible || p->options->dry_run) {
        finish(p);
        return;
    }
    action_drawn(&p->action, true,
                 action_row_count(&p->action)); /* whoever typed it all has agreed */
    action_key(&p->action, 'y', wall_ms());
    poll_now(p->poll);
}

static void follow(struct perform *p)
{
    switch (p->action.state) {
    case ACTION_READY:
        uv_timer_stop(&p->limit); /* the request has a limit of its own */
        order_send(&p->order, p->asker, &p->action, on_answer, p);
        break;
    case ACTION_OUTCOME:
        if (!action_wants_snapshot(&p->action, wall_ms())) {
            finish(p);
        }
        break;
    case ACTION_PREVIEW: /* it changed in between */
        finish(p);
        break;
    case ACTION_CHECKING:
    case ACTION_UNDER_WAY:
    case ACTION_CLOSED:
        break;
    }
}

static void updated(void *ctx, const struct model *m)
{
    struct perform *p = ctx;
    model_unref(p->model);
    p->model = model_ref(m);
    if (p->opened) {
        action_show(&p->action, m);
        follow(p);
    }
}

static void ended(void *ctx, const char *why)
{
    struct perform *p = ctx;
    snprintf(p->why, sizeof p->why, "%s", why);
    if (why[0] == '\0' && p->model != NULL && !p->opened) {
        open_action(p);
    } else if (p->opened && action_wants_snapshot(&p->action, wall_ms())) {
        poll_now(p->poll);
    }
}

/* ---- what is said ------------------------------------------------------------------------------
 */

static int status_of(const struct perform *p)
{
    const struct action *a = &p->action;
    if (!p->opened) {
        return PERFORM_UNKNOWN;
    }
    if (p->refused.text[0] != '\0' || (!a->plan.possible && !a->plan.already) || a->anew) {
        return PERFORM_REFUSED;
    }
    if (p->options->dry_run || a->plan.already) {
        return PERFORM_DONE;
    }
    if (a->state != ACTION_OUTCOME || a->result == ACTION_UNKNOWN) {
        return PERFORM_UNKNOWN;
    }
    return a->result == ACTION_DONE ? PERFORM_DONE : PERFORM_REFUSED;
}

/* Words for how it ended, where the action has none of its own. */
static const char *ending(const struct perform *p)
{
    const struct action *a = &p->action;
    if (p->refused.text[0] != '\0') {
        return p->refused.text;
    }
    if (a->anew) {
        return "Nothing was sent: it changed between two looks at the cluster. Above is how it "
               "stands now.";
    }
    if (!a->plan.possible) {
        return "Nothing was changed.";
    }
    if (p->options->dry_run) {
        return "A dry run: nothing was changed.";
    }
    return a->state == ACTION_OUTCOME ? ""
                                      : "Nothing was sent: the cluster could not be read again.";
}

static void print_plan(const struct action *a, FILE *to)
{
    char text[TEXT_MAX];
    fprintf(to, "%s\n", a->plan.title);
    for (int i = 0; i < a->plan.object_count; i++) {
        fprintf(to, "%-11s%s\n", a->plan.objects[i].label, a->plan.objects[i].text);
    }
    for (int i = 0; i < a->plan.row_count; i++) {
        fprintf(to, "  %s\n", action_row_text(a, i, text));
    }
    if (a->plan.verdict[0] != '\0') {
        fprintf(to, "%s\n", a->plan.verdict);
    }
}

static void print_outcome(const struct perform *p, FILE *to)
{
    const struct action *a = &p->action;
    if (a->state == ACTION_OUTCOME) {
        fprintf(to, "%s\n", a->headline);
        fprintf(to, "%s%s", a->advice, a->advice[0] == '\0' ? "" : "\n");
        fprintf(to, "%s%s%s", a->now[0] == '\0' ? "" : "It stands so: ", a->now,
                a->now[0] == '\0' ? "" : "\n");
    } else {
        fprintf(to, "%s\n", ending(p));
    }
}

static int report(const struct perform *p)
{
    char safe[TEXT_MAX];
    int status = status_of(p);
    if (!p->opened) {
        fprintf(stderr, "barnabas: gave up after %g s, nothing was sent: %s\n",
                (double)p->options->timeout_ms / 1000.0,
                p->why[0] == '\0' ? "no whole answer from the cluster" : text_safe(p->why, safe));
        return status;
    }
    if (p->options->format == FORMAT_JSON) {
        json_print_action(&p->action, status, ending(p), stdout);
    } else if (p->refused.text[0] != '\0') {
        fprintf(stderr, "barnabas: %s\n", p->refused.text);
    } else {
        print_plan(&p->action, stdout);
        print_outcome(p, stdout);
    }
    return fflush(stdout) == 0 ? status : PERFORM_UNKNOWN;
}

int perform_run(const struct options *o)
{
    static const struct poll_events events = {updated, ended};
    struct perform p;
    struct err_text text;
    struct poll_want want;
    memset(&p, 0, sizeof p);
    p.options = o;
    if (read_wish(o, &p.wish, &text) != ERR_NONE) {
        fprintf(stderr, "barnabas: %s\n", text.text);
        return PERFORM_WRONG;
    }
    uv_loop_init(&p.loop);
    if (poll_new(&p.loop, o->bootstrap, POLL_STAGE_MS, o->timeout_ms, &events, &p, &p.poll,
                 &text) != ERR_NONE) {
        fprintf(stderr, "barnabas: %s\n", text.text);
        uv_loop_close(&p.loop);
        return PERFORM_WRONG;
    }
    enum err e = asker_new(&p.loop, o->bootstrap, &p.asker, &text);
    ASSERT(e == ERR_NONE); /* the addresses were read just now */
    uv_timer_init(&p.loop, &p.limit);
    p.limit.data = &p;
    uv_timer_start(&p.limit, on_limit, (uint64_t)o->timeout_ms, 0);
    want_for(o, &want);
    poll_set_interval(p.poll, POLL_MIN_GAP_MS);
    poll_set_want(p.poll, &want);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    poll_free(p.poll);
    asker_free(p.asker);
    order_free(&p.order);
    uv_close((uv_handle_t *)&p.limit, NULL);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    int status = report(&p);
    action_free(&p.action);
    model_unref(p.model);
    uv_loop_close(&p.loop);
    return status;
}
