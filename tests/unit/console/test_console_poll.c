/* Rounds against a cluster that is a table in this file: it takes the place of console/asker.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <uv.h>

#include "common/base/mem.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"
#include "console/asker.h"
#include "console/poll.h"
#include "console/poll_impl.h"

enum { LEADER = 1, FOLLOWER = 2, MAX_ASKED = 400 };

struct asked {
    struct client_request request;
    int32_t broker;
    int32_t replica_id;
    int64_t timestamp;
    bool answered;
};

struct asker {
    struct asked log[MAX_ASKED];
    int count;
    bool follower_is_dead; /* its requests are never answered */
    bool nobody_answers;
    bool first_is_mute;    /* the first request is never answered */
    bool first_fails_late; /* mute, and it fails when offsets are asked */
    uv_idle_t idle;
};

static struct asker *fake;

enum err asker_new(struct uv_loop_s *loop, const char *bootstrap, struct asker **out,
                   struct err_text *text)
{
    (void)bootstrap;
    (void)text;
    uv_idle_init(loop, &fake->idle);
    *out = fake;
    return ERR_NONE;
}

void asker_free(struct asker *a)
{
    uv_close((uv_handle_t *)&a->idle, NULL);
}

bool asker_unreachable(const struct asker *a, struct err_text *text)
{
    err_set(text, "%s", "1.2.3.4:9092: connection refused");
    return a->nobody_answers;
}

static void answer_metadata(const struct asked *q)
{
    static int32_t replicas[] = {LEADER, FOLLOWER};
    struct metadata_response_broker brokers[] = {
        {.node_id = LEADER, .host = wire_str("a"), .port = 1, .rack = WIRE_STR_NULL},
        {.node_id = FOLLOWER, .host = wire_str("b"), .port = 1, .rack = WIRE_STR_NULL}};
    struct metadata_response_partition partition = {.leader_id = LEADER};
    struct metadata_response_topic topic = {.name = wire_str("orders")};
    struct metadata_response r = {.cluster_id = wire_str("c")};
    partition.replica_nodes.items = replicas;
    partition.replica_nodes.count = 2;
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    r.topics.items = &topic;
    r.topics.count = 1;
    r.brokers.items = brokers;
    r.brokers.count = 2;
    q->request.done(q->request.ctx, &(struct client_answer){.why = "", .response = &r});
}

/* The leader ends at 100, the follower at 70; the high watermark is 70. */
static void answer_offsets(const struct asked *q)
{
    struct list_offsets_response_partition partition = {.offset = 0};
    struct list_offsets_response_topic topic = {.name = wire_str("orders")};
    struct list_offsets_response r = {0};
    if (q->timestamp == -1) {
        partition.offset = q->replica_id == -2 && q->broker == LEADER ? 100 : 70;
    }
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    r.topics.items = &topic;
    r.topics.count = 1;
    q->request.done(q->request.ctx, &(struct client_answer){.why = "", .response = &r});
}

static void answer_listing(const struct asked *q)
{
    struct list_groups_response_group group = {.group_id =
                                                   wire_str(q->broker == LEADER ? "one" : "two"),
                                               .group_state = wire_str("Stable")};
    struct list_groups_response r = {0};
    r.groups.items = &group;
    r.groups.count = 1;
    q->request.done(q->request.ctx, &(struct client_answer){.why = "", .response = &r});
}

static void answer_committed(const struct asked *q)
{
    const struct offset_fetch_request *asked = q->request.body;
    struct offset_fetch_response_group_partition partition = {.committed_offset = 50};
    struct offset_fetch_response_group_topic topic = {.name = wire_str("orders")};
    struct offset_fetch_response_group group = {.group_id = asked->groups.items[0].group_id};
    struct offset_fetch_response r = {0};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    group.topics.items = &topic;
    group.topics.count = 1;
    r.groups.items = &group;
    r.groups.count = 1;
    q->request.done(q->request.ctx, &(struct client_answer){.why = "", .response = &r});
}

static void refuse(const struct asked *q)
{
    q->request.done(q->request.ctx,
                    &(struct client_answer){.error = ERR_REFUSED, .why = "connection refused"});
}

static void on_idle(uv_idle_t *idle)
{
    struct asker *a = idle->data;
    uv_idle_stop(idle);
    int count = a->count; /* what the answers cause waits for the next turn */
    for (int i = 0; i < count; i++) {
        struct asked q = a->log[i];
        if (q.answered || (a->follower_is_dead && q.broker == FOLLOWER) ||
            ((a->first_is_mute || a->first_fails_late) && i == 0)) {
            continue;
        }
        if (a->first_fails_late && !a->log[0].answered && q.request.api_key == WIRE_LIST_OFFSETS) {
            a->log[0].answered = true;
            refuse(&a->log[0]);
        }
        a->log[i].answered = true;
        if (a->nobody_answers) {
            refuse(&q);
        } else if (q.request.api_key == WIRE_METADATA) {
            answer_metadata(&q);
        } else if (q.request.api_key == WIRE_LIST_OFFSETS) {
            answer_offsets(&q);
        } else if (q.request.api_key == WIRE_LIST_GROUPS) {
            answer_listing(&q);
        } else if (q.request.api_key == WIRE_OFFSET_FETCH) {
            answer_committed(&q);
        } else {
            refuse(&q);
        }
    }
}

void asker_send(struct asker *a, struct cluster_target target, const struct client_request *request)
{
    struct asked *q = &a->log[a->count++];
    assert_true(a->count < MAX_ASKED);
    *q = (struct asked){.request = *request, .broker = target.broker_id};
    if (request->api_key == WIRE_LIST_OFFSETS) {
        const struct list_offsets_request *body = request->body;
        q->replica_id = body->replica_id;
        q->timestamp = body->topics.items[0].partitions.items[0].timestamp;
    }
    a->idle.data = a;
    uv_idle_start(&a->idle, on_idle);
}

/* ---- the tests ----------------------------------------------------------------------------------
 */

struct run {
    uv_loop_t loop;
    struct poll *poll;
    const struct model *model;
    char why[200];
    int rounds;
    int rounds_wanted;
    int snapshots;
};

static void updated(void *ctx, const struct model *m)
{
    struct run *r = ctx;
    model_unref(r->model);
    r->model = model_ref(m);
    r->snapshots++;
}

static void ended(void *ctx, const char *why)
{
    struct run *r = ctx;
    snprintf(r->why, sizeof r->why, "%s", why);
    if (++r->rounds == r->rounds_wanted) {
        uv_stop(&r->loop);
    } else {
        poll_now(r->poll);
        poll_now(r->poll);
    }
}

static const struct poll_events events = {updated, ended};

static void stop_loop(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void begin(struct run *r, unsigned parts, int rounds)
{
    struct err_text text;
    struct poll_want want = {.everything = true, .parts = parts};
    memset(r, 0, sizeof *r);
    r->rounds_wanted = rounds;
    uv_loop_init(&r->loop);
    assert_int_equal(poll_new(&r->loop, "x", 30, 1000, &events, r, &r->poll, &text), ERR_NONE);
    poll_set_want(r->poll, &want);
    uv_run(&r->loop, UV_RUN_DEFAULT);
}

static void end(struct run *r)
{
    poll_free(r->poll);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    model_unref(r->model);
    assert_int_equal(uv_loop_close(&r->loop), 0);
}

static int start(void **state)
{
    (void)state;
    fake = mem_zalloc(sizeof *fake);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    mem_free(fake);
    return 0;
}

static int index_of(int16_t key, int32_t broker, int32_t replica_id)
{
    for (int i = 0; i < fake->count; i++) {
        const struct asked *q = &fake->log[i];
        if (q->request.api_key == key && q->broker == broker && q->replica_id == replica_id) {
            return i;
        }
    }
    return -1;
}

static void test_followers_are_asked_before_leaders(void **state)
{
    (void)state;
    struct run r;
    begin(&r, 1u << MODEL_CLUSTER | 1u << MODEL_OFFSETS, 1);
    int follower = index_of(WIRE_LIST_OFFSETS, FOLLOWER, -2);
    int leader = index_of(WIRE_LIST_OFFSETS, LEADER, -2);
    assert_true(follower >= 0 && leader > follower);
    const struct model_partition *p = model_find_partition(r.model, "orders", 0);
    assert_int_equal(p->high_watermark, 70);
    assert_int_equal(p->log_start_offset, 0);
    assert_int_equal(model_find_replica(p, FOLLOWER)->lag, 30);
    assert_int_equal(model_find_replica(p, LEADER)->lag, 0);
    end(&r);
}

static void test_a_dead_follower_does_not_hold_up_the_rest(void **state)
{
    (void)state;
    struct run r;
    fake->follower_is_dead = true;
    begin(&r, 1u << MODEL_CLUSTER | 1u << MODEL_OFFSETS | 1u << MODEL_GROUPS, 1);
    const struct model_partition *p = model_find_partition(r.model, "orders", 0);
    assert_int_equal(p->high_watermark, 70);
    assert_int_equal(model_find_replica(p, FOLLOWER)->lag, MODEL_UNKNOWN);
    assert_int_equal(r.model->group_count, 1);
    end(&r);
}

static int count_of(int16_t key, int32_t broker, int32_t replica_id)
{
    int count = 0;
    for (int i = 0; i < fake->count; i++) {
        const struct asked *q = &fake->log[i];
        count += q->request.api_key == key && q->broker == broker && q->replica_id == replica_id;
    }
    return count;
}

static void test_who_owes_an_answer_is_asked_nothing_more(void **state)
{
    (void)state;
    struct run r;
    fake->follower_is_dead = true;
    begin(&r, 1u << MODEL_CLUSTER | 1u << MODEL_OFFSETS, 3);
    assert_int_equal(count_of(WIRE_LIST_OFFSETS, LEADER, -2), 3);
    assert_int_equal(count_of(WIRE_LIST_OFFSETS, FOLLOWER, -2), 1);
    /* Once that has failed it is asked again, but nobody waits for it: the round ends all the same.
     */
    struct asked *owed = &fake->log[index_of(WIRE_LIST_OFFSETS, FOLLOWER, -2)];
    owed->answered = true;
    owed->request.done(owed->request.ctx,
                       &(struct client_answer){.error = ERR_TIMEOUT, .why = "no answer"});
    r.poll->stage_ms = 3600000;
    r.rounds_wanted = 4;
    poll_now(r.poll);
    uv_timer_t limit;
    uv_timer_init(&r.loop, &limit);
    uv_timer_start(&limit, stop_loop, 20000, 0);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&limit, NULL);
    assert_int_equal(r.rounds, 4);
    assert_int_equal(count_of(WIRE_LIST_OFFSETS, FOLLOWER, -2), 2);
    end(&r);
}

static void test_another_is_asked_of_the_cluster_when_one_is_mute(void **state)
{
    (void)state;
    struct run r;
    fake->first_is_mute = true;
    begin(&r, 1u << MODEL_CLUSTER | 1u << MODEL_OFFSETS, 1);
    assert_string_equal(r.why, "");
    assert_int_equal(fake->log[0].request.api_key, WIRE_METADATA);
    assert_int_equal(count_of(WIRE_METADATA, -1, 0), 2);
    assert_non_null(r.model);
    assert_null(r.model->parts[MODEL_CLUSTER].error);
    assert_int_equal(model_find_partition(r.model, "orders", 0)->high_watermark, 70);
    /* Its answer, when it comes after all, is older than what is known: here it knows no topic, and
     * would take the samples along. */
    fake->first_is_mute = false;
    fake->follower_is_dead = true;
    fake->log[0].answered = true;
    fake->log[0].request.done(
        fake->log[0].request.ctx,
        &(struct client_answer){.why = "", .response = &(struct metadata_response){0}});
    r.rounds_wanted = 2;
    poll_now(r.poll);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    assert_int_equal(model_find_replica(model_find_partition(r.model, "orders", 0), FOLLOWER)->lag,
                     30);
    end(&r);
}

static void test_a_failure_after_another_has_told_is_no_trouble(void **state)
{
    (void)state;
    struct run r;
    fake->first_fails_late = true;
    begin(&r, 1u << MODEL_CLUSTER | 1u << MODEL_OFFSETS, 1);
    assert_true(fake->log[0].answered);
    assert_string_equal(r.why, "");
    assert_null(r.model->parts[MODEL_CLUSTER].error);
    end(&r);
}

/* Somebody waits for it: what leads where is told before the rest is asked. */
static void test_what_is_asked_now_is_told_at_once(void **state)
{
    (void)state;
    struct run r;
    begin(&r, 1u << MODEL_CLUSTER | 1u << MODEL_OFFSETS, 1);
    int before = r.snapshots;
    r.rounds_wanted = 2;
    poll_now(r.poll);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    int asked_now = r.snapshots - before;
    before = r.snapshots;
    r.rounds_wanted = 3;
    poll_set_interval(r.poll, POLL_MIN_GAP_MS);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    assert_int_equal(asked_now, r.snapshots - before + 1);
    end(&r);
}

static void test_a_late_answer_is_still_read(void **state)
{
    (void)state;
    struct run r;
    fake->follower_is_dead = true;
    begin(&r, 1u << MODEL_CLUSTER | 1u << MODEL_OFFSETS, 1);
    fake->follower_is_dead = false;
    fake->log[index_of(WIRE_LIST_OFFSETS, FOLLOWER, -2)].answered = true;
    answer_offsets(&fake->log[index_of(WIRE_LIST_OFFSETS, FOLLOWER, -2)]);
    r.rounds_wanted = 2;
    poll_now(r.poll);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    assert_int_equal(model_find_replica(model_find_partition(r.model, "orders", 0), FOLLOWER)->lag,
                     30);
    end(&r);
}

static void test_groups_of_every_broker_with_their_lag(void **state)
{
    (void)state;
    struct run r;
    begin(&r, 1u << MODEL_CLUSTER | 1u << MODEL_GROUPS | 1u << MODEL_MEMBERS, 1);
    assert_int_equal(r.model->group_count, 2);
    const struct model_group *g = model_find_group(r.model, "two");
    assert_int_equal(g->coordinator, FOLLOWER);
    assert_int_equal(g->offsets[0].committed, 50);
    assert_int_equal(g->offsets[0].lag, 20);
    assert_int_equal(g->members_state, MODEL_FAILED); /* DescribeGroups was refused here */
    assert_non_null(r.model->parts[MODEL_MEMBERS].error);
    end(&r);
}

/* What comes into view without numbers does not wait for the interval to pass. */
static void test_what_was_never_read_is_asked_about_at_once(void **state)
{
    (void)state;
    struct run r;
    struct poll_want want = {.parts = 1u << MODEL_CLUSTER | 1u << MODEL_OFFSETS};
    begin(&r, 1u << MODEL_CLUSTER, 1);
    poll_set_interval(r.poll, 3600000);
    assert_int_equal(count_of(WIRE_LIST_OFFSETS, LEADER, -2), 0);
    poll_want_add_partition(&want, "orders", 0);
    poll_set_want(r.poll, &want);
    r.rounds_wanted = 2; /* would come after an hour */
    uv_run(&r.loop, UV_RUN_DEFAULT);
    assert_int_equal(count_of(WIRE_LIST_OFFSETS, LEADER, -2), 1);
    /* It goes out of view, and comes back when its numbers are known: it waits for its turn. */
    want.parts = 1u << MODEL_CLUSTER;
    poll_set_want(r.poll, &want);
    r.rounds_wanted = 3;
    poll_now(r.poll);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    int asked = fake->count;
    want.parts = 1u << MODEL_CLUSTER | 1u << MODEL_OFFSETS;
    poll_want_add_partition(&want, "orders", 0);
    poll_set_want(r.poll, &want);
    uv_timer_t limit;
    uv_timer_init(&r.loop, &limit);
    uv_timer_start(&limit, stop_loop, (uint64_t)2 * POLL_MIN_GAP_MS, 0);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&limit, NULL);
    assert_int_equal(fake->count, asked);
    end(&r);
}

static void test_nobody_answers(void **state)
{
    (void)state;
    struct run r;
    fake->nobody_answers = true;
    begin(&r, 1u << MODEL_CLUSTER, 1);
    assert_null(r.model);
    assert_string_equal(r.why, "1.2.3.4:9092: connection refused");
    end(&r);
}

/* However often a key is pressed. */
static void test_rounds_keep_their_distance(void **state)
{
    (void)state;
    struct run r;
    uint64_t began = uv_hrtime();
    begin(&r, 1u << MODEL_CLUSTER, 3);
    assert_true(uv_hrtime() - began >= (uint64_t)2 * (POLL_MIN_GAP_MS - 20) * 1000000);
    assert_int_equal(fake->count, 3 * 3); /* Metadata, DescribeCluster and moves each time */
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_followers_are_asked_before_leaders, start, stop),
        cmocka_unit_test_setup_teardown(test_a_dead_follower_does_not_hold_up_the_rest, start,
                                        stop),
        cmocka_unit_test_setup_teardown(test_who_owes_an_answer_is_asked_nothing_more, start, stop),
        cmocka_unit_test_setup_teardown(test_another_is_asked_of_the_cluster_when_one_is_mute,
                                        start, stop),
        cmocka_unit_test_setup_teardown(test_a_failure_after_another_has_told_is_no_trouble, start,
                                        stop),
        cmocka_unit_test_setup_teardown(test_what_is_asked_now_is_told_at_once, start, stop),
        cmocka_unit_test_setup_teardown(test_a_late_answer_is_still_read, start, stop),
        cmocka_unit_test_setup_teardown(test_groups_of_every_broker_with_their_lag, start, stop),
        cmocka_unit_test_setup_teardown(test_what_was_never_read_is_asked_about_at_once, start,
                                        stop),
        cmocka_unit_test_setup_teardown(test_nobody_answers, start, stop),
        cmocka_unit_test_setup_teardown(test_rounds_keep_their_distance, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
