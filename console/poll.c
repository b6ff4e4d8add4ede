/* Rounds, timers and snapshots.
 *
 * Happy path: the round timer starts a round; each stage sends its calls; when the last one is
 * answered, or the stage timer says enough, what was learnt is handed out and the next stage
 * begins; after the last the round timer is set anew. Failure modes: nobody answers the first stage
 * (the round ends with the reason); one broker does not answer (the stage goes on without it; its
 * late answer is still read); the owner goes away in the middle (poll_free drops the calls). */
#include "console/poll.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "console/poll_impl.h"

/* ---- what is wanted ----------------------------------------------------------------------------
 */

static void add_name(struct poll_name **names, int *count, const char *name, int64_t number)
{
    *names = mem_realloc(*names, (size_t)(*count + 1) * sizeof **names);
    (*names)[(*count)++] = (struct poll_name){mem_strdup(name), number};
}

void poll_want_add_partition(struct poll_want *w, const char *topic, int32_t partition)
{
    add_name(&w->partitions, &w->partition_count, topic, partition);
}

void poll_want_add_group(struct poll_want *w, const char *group)
{
    add_name(&w->groups, &w->group_count, group, 0);
}

void poll_want_free(struct poll_want *w)
{
    for (int i = 0; i < w->partition_count; i++) {
        mem_free(w->partitions[i].name);
    }
    for (int i = 0; i < w->group_count; i++) {
        mem_free(w->groups[i].name);
    }
    mem_free(w->partitions);
    mem_free(w->groups);
    memset(w, 0, sizeof *w);
}

bool poll_wants(const struct poll *p, enum model_part_id part)
{
    return (p->want.parts >> part & 1) != 0;
}

int64_t poll_wall_ms(void)
{
    uv_timeval64_t now;
    return uv_gettimeofday(&now) == 0 ? now.tv_sec * 1000 + now.tv_usec / 1000 : 0;
}

/* ---- rounds ------------------------------------------------------------------------------------
 */

static void start_round(struct poll *p);

static void on_round_timer(uv_timer_t *timer)
{
    struct poll *p = timer->data;
    start_round(p);
}

static void schedule(struct poll *p)
{
    if (p->stage != STAGE_IDLE || (p->paused && !p->again)) {
        return;
    }
    uint64_t now = uv_now(p->loop);
    uint64_t gap = p->again ? POLL_MIN_GAP_MS : (uint64_t)p->interval_ms;
    uint64_t due = p->round == 0 ? now : p->round_began_ms + gap;
    uv_timer_start(&p->round_timer, on_round_timer, due > now ? due - now : 0, 0);
}

static void publish(struct poll *p)
{
    for (int i = 0; i < MODEL_PART_COUNT; i++) {
        if (p->failing[i] != NULL) {
            p->draft->parts[i].error = arena_strdup(&p->draft->arena, p->failing[i]);
            p->draft->parts[i].state =
                p->draft->parts[i].state == MODEL_REFUSED ? MODEL_REFUSED : MODEL_FAILED;
        }
    }
    struct model *done = p->draft;
    model_freeze(done);
    p->draft = model_copy(done);
    p->events->updated(p->ctx, done);
    model_unref(done);
}

static void end_round(struct poll *p)
{
    p->stage = STAGE_IDLE;
    uv_timer_stop(&p->stage_timer);
    p->events->ended(p->ctx, p->trouble);
    schedule(p);
}

static void next_stage(struct poll *p);

/* ---- brokers that keep others waiting ----------------------------------------------------------
 */

static size_t late_index(const struct poll *p, int32_t broker)
{
    size_t i = 0;
    while (i < p->late_count && p->late[i] != broker) {
        i++;
    }
    return i;
}

static void note_late(struct poll *p)
{
    LIST_FOREACH(node, &p->calls) {
        const struct call *c = CONTAINER_OF(node, struct call, link);
        if (c->round == p->round && c->stage == p->stage && c->broker != ANY_BROKER &&
            late_index(p, c->broker) == p->late_count) {
            *MEM_PUSH(p->late, p->late_count, p->late_capacity) = c->broker;
        }
    }
}

static void forget_late(struct poll *p, int32_t broker)
{
    size_t at = late_index(p, broker);
    if (at < p->late_count) {
        p->late[at] = p->late[--p->late_count];
    }
}

bool poll_owes(const struct poll *p, int32_t broker)
{
    LIST_FOREACH(node, &p->calls) {
        const struct call *c = CONTAINER_OF(node, struct call, link);
        if (c->broker == broker && c->round < p->round) {
            return true;
        }
    }
    return false;
}

static void on_stage_timer(uv_timer_t *timer)
{
    struct poll *p = timer->data;
    if (p->stage == STAGE_CLUSTER && !p->asked_another) {
        p->asked_another = true;
        poll_stage_begin(p, STAGE_CLUSTER);
        uv_timer_start(&p->stage_timer, on_stage_timer, POLL_REQUEST_MS, 0);
        return;
    }
    if (p->stage == STAGE_CLUSTER && p->failing[MODEL_CLUSTER] == NULL) {
        snprintf(p->trouble, sizeof p->trouble, "no broker answers in time");
        p->failing[MODEL_CLUSTER] = mem_strdup(p->trouble);
    }
    note_late(p);
    next_stage(p);
}

static bool cluster_was_read(const struct poll *p)
{
    return p->draft->parts[MODEL_CLUSTER].state == MODEL_READ && p->failing[MODEL_CLUSTER] == NULL;
}

static void next_stage(struct poll *p)
{
    uv_timer_stop(&p->stage_timer);
    if (p->stage == STAGE_CLUSTER && !cluster_was_read(p)) {
        struct err_text every;
        if (asker_unreachable(p->ask, &every)) {
            snprintf(p->trouble, sizeof p->trouble, "%s", every.text);
        } else if (p->trouble[0] == '\0') {
            const char *why = p->draft->parts[MODEL_CLUSTER].error;
            snprintf(p->trouble, sizeof p->trouble, "%s", why != NULL ? why : "no broker answers");
        }
        end_round(p);
        return;
    }
    /* Hand out where it is worth it: the cluster at the very first and when somebody waits, ends
     * only once leaders have told. */
    if ((p->stage == STAGE_CLUSTER && (p->round == 1 || p->eager)) || p->stage >= STAGE_LEADERS) {
        publish(p);
    }
    while (p->stage + 1 < STAGE_COUNT) {
        p->stage++;
        p->outstanding = 0;
        poll_stage_begin(p, p->stage);
        if (p->outstanding > 0) {
            uv_timer_start(&p->stage_timer, on_stage_timer, (uint64_t)p->stage_ms, 0);
            return;
        }
        if (p->stage == STAGE_LEADERS) {
            publish(p);
        }
    }
    end_round(p);
}

static void start_round(struct poll *p)
{
    ASSERT(p->stage == STAGE_IDLE);
    if (p->has_next_want) {
        poll_want_free(&p->want);
        p->want = p->next_want;
        memset(&p->next_want, 0, sizeof p->next_want);
        p->has_next_want = false;
    }
    for (int i = 0; i < MODEL_PART_COUNT; i++) {
        mem_free(p->failing[i]);
        p->failing[i] = NULL;
    }
    p->trouble[0] = '\0';
    p->eager = p->again;
    p->again = false;
    p->listed_count = 0;
    learn_listing_free(&p->listing);
    p->round++;
    p->round_began_ms = uv_now(p->loop);
    p->stage = STAGE_CLUSTER;
    p->outstanding = 0;
    poll_stage_begin(p, STAGE_CLUSTER);
    p->asked_another = false;
    uv_timer_start(&p->stage_timer, on_stage_timer, (uint64_t)p->stage_ms, 0);
}

/* ---- calls -------------------------------------------------------------------------------------
 */

struct call *poll_call_new(struct poll *p, int32_t broker, const char *what,
                           enum model_part_id part,
                           void (*learn)(struct call *c, const void *response))
{
    struct arena arena = {0};
    struct call *c = arena_alloc(&arena, sizeof *c);
    c->arena = arena;
    c->poll = p;
    c->round = p->round;
    c->stage = p->stage;
    c->broker = broker;
    c->what = what;
    c->part = part;
    c->learn = learn;
    list_push(&p->calls, &c->link);
    return c;
}

static void call_free(struct call *c)
{
    struct arena arena = c->arena;
    list_remove(&c->link);
    arena_free(&arena);
}

static void note_failure(struct call *c, const char *why)
{
    struct poll *p = c->poll;
    char text[600];
    bool passed = c->part == MODEL_CLUSTER && c->stage != p->stage;
    if (c->round != p->round || c->optional || passed) {
        return; /* of a round that was reported already, or another broker told, or not worth it */
    }
    if (c->broker == ANY_BROKER) {
        snprintf(text, sizeof text, "%s: %s", c->what, why);
    } else {
        snprintf(text, sizeof text, "%s, broker %d: %s", c->what, (int)c->broker, why);
    }
    if (c->part == MODEL_CLUSTER) {
        snprintf(p->trouble, sizeof p->trouble, "%s", why);
    }
    if (p->failing[c->part] == NULL) {
        p->failing[c->part] = mem_strdup(text);
    }
    for (int i = 0; c->groups != NULL && c->groups[i] != NULL; i++) {
        learn_group_failed(p->draft, c->groups[i], text);
    }
}

static void on_answer(void *ctx, const struct client_answer *answer)
{
    struct call *c = ctx;
    struct poll *p = c->poll;
    bool counts = c->waited && c->round == p->round && c->stage == p->stage;
    bool told = answer->error == ERR_NONE && c->stage == STAGE_CLUSTER;
    if (answer->error == ERR_NONE) {
        forget_late(p, c->broker);
        c->learn(c, answer->response);
    } else {
        note_failure(c, answer->why);
    }
    call_free(c);
    ASSERT(!counts || p->outstanding > 0);
    if (counts && (--p->outstanding == 0 || told)) {
        next_stage(p);
    }
}

void poll_call_send(struct call *c, int16_t api_key, int16_t min_version, int16_t max_version,
                    const void *request)
{
    struct client_request r =
        client_request_of(api_key, request, c->poll->request_ms, on_answer, c);
    r.min_version = min_version;
    r.max_version = max_version;
    c->waited = late_index(c->poll, c->broker) == c->poll->late_count;
    c->poll->outstanding += c->waited;
    asker_send(c->poll->ask, c->broker == ANY_BROKER ? cluster_any() : cluster_broker(c->broker),
               &r);
}

/* ---- life --------------------------------------------------------------------------------------
 */

enum err poll_new(struct uv_loop_s *loop, const char *bootstrap, int64_t stage_ms,
                  int64_t request_ms, const struct poll_events *events, void *ctx,
                  struct poll **out, struct err_text *text)
{
    struct asker *ask = NULL;
    enum err e = asker_new(loop, bootstrap, &ask, text);
    if (e != ERR_NONE) {
        return e;
    }
    struct poll *p = mem_zalloc(sizeof *p);
    p->loop = loop;
    p->ask = ask;
    p->events = events;
    p->ctx = ctx;
    p->stage_ms = stage_ms;
    p->request_ms = request_ms;
    p->interval_ms = 2000;
    p->draft = model_new();
    list_init(&p->calls);
    uv_timer_init(loop, &p->round_timer);
    uv_timer_init(loop, &p->stage_timer);
    p->round_timer.data = p;
    p->stage_timer.data = p;
    p->open_handles = 2;
    *out = p;
    return ERR_NONE;
}

static void on_closed(uv_handle_t *handle)
{
    struct poll *p = handle->data;
    if (--p->open_handles == 0) {
        mem_free(p);
    }
}

void poll_free(struct poll *p)
{
    asker_free(p->ask);
    LIST_FOREACH(node, &p->calls) {
        call_free(CONTAINER_OF(node, struct call, link));
    }
    poll_want_free(&p->want);
    poll_want_free(&p->next_want);
    for (int i = 0; i < MODEL_PART_COUNT; i++) {
        mem_free(p->failing[i]);
    }
    learn_listing_free(&p->listing);
    mem_free(p->listed);
    mem_free(p->late);
    model_unref(p->draft);
    uv_close((uv_handle_t *)&p->round_timer, on_closed);
    uv_close((uv_handle_t *)&p->stage_timer, on_closed);
}

static bool holds(const struct poll_name *names, int count, const struct poll_name *wanted)
{
    for (int i = 0; i < count; i++) {
        if (names[i].number == wanted->number && strcmp(names[i].name, wanted->name) == 0) {
            return true;
        }
    }
    return false;
}

/* It names what the last round did not ask about, and of which nothing is known. */
static bool wants_unread(const struct poll *p, const struct poll_want *want)
{
    for (int i = 0; i < want->partition_count; i++) {
        const struct poll_name *n = &want->partitions[i];
        const struct model_partition *part =
            model_find_partition(p->draft, n->name, (int32_t)n->number);
        if (part != NULL && part->sampled_ms == 0 &&
            !holds(p->want.partitions, p->want.partition_count, n)) {
            return true;
        }
    }
    for (int i = 0; i < want->group_count; i++) {
        const struct poll_name *n = &want->groups[i];
        const struct model_group *g = model_find_group(p->draft, n->name);
        if (g != NULL && g->members_state == MODEL_UNREAD &&
            !holds(p->want.groups, p->want.group_count, n)) {
            return true;
        }
    }
    return false;
}

void poll_set_want(struct poll *p, struct poll_want *want)
{
    if (!p->paused && wants_unread(p, want)) {
        poll_now(p);
    }
    poll_want_free(&p->next_want);
    p->next_want = *want;
    memset(want, 0, sizeof *want);
    p->has_next_want = true;
    if (p->round == 0) {
        schedule(p);
    }
}

void poll_set_interval(struct poll *p, int64_t interval_ms)
{
    ASSERT(interval_ms >= POLL_MIN_GAP_MS);
    if (interval_ms != p->interval_ms) {
        p->interval_ms = interval_ms;
        schedule(p);
    }
}

void poll_set_paused(struct poll *p, bool paused)
{
    if (paused == p->paused) {
        return;
    }
    p->paused = paused;
    if (paused) {
        uv_timer_stop(&p->round_timer);
    }
    schedule(p);
}

void poll_now(struct poll *p)
{
    p->again = true;
    schedule(p);
}
