/* Preferred leaders of many partitions at once, from the preview to the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire/kafka_error.h"
#include "console/elect.h"
#include "tests/unit/console/acting.h"

/* ---- topics a and b of three partitions each, preferred leaders 1, 2, 3 ------------------------
 */

struct stand {
    int64_t read_ms;
    int32_t leaders[6];
    int32_t down;        /* a broker */
    int32_t out_of_sync; /* a broker, everywhere */
};

/* 1 leads all of a; 3 leads all of b. */
static const struct stand usual = {.read_ms = BEFORE_MS, .leaders = {1, 1, 1, 3, 3, 3}};

static const struct model *model_of(struct stand s)
{
    struct model *m = model_new();
    m->parts[MODEL_CLUSTER] = (struct model_part){MODEL_READ, s.read_ms, NULL};
    struct model_broker *b = model_set_brokers(m, 3);
    for (int i = 0; i < 3; i++) {
        b[i] = (struct model_broker){.id = i + 1, .host = "h", .alive = s.down != i + 1};
    }
    struct model_topic *t = model_set_topics(m, 2);
    for (int i = 0; i < 6; i++) {
        t[i / 3].name = i / 3 == 0 ? "a" : "b";
        struct model_partition *p =
            i % 3 == 0 ? model_set_partitions(m, &t[i / 3], 3) : t[i / 3].partitions;
        p[i % 3].partition = i % 3;
        p[i % 3].leader = s.leaders[i];
        struct model_replica *r = model_set_replicas(m, &p[i % 3], 3);
        for (int k = 0; k < 3; k++) {
            r[k].broker = (i % 3 + k) % 3 + 1;
            r[k].in_sync = r[k].broker != s.out_of_sync && r[k].broker != s.down;
        }
    }
    model_sort(m);
    model_freeze(m);
    return m;
}

static void show(struct action *a, struct stand s)
{
    const struct model *m = model_of(s);
    action_show(a, m);
    model_unref(m);
}

static void open_for(struct action *a, struct stand s, const char *topic, int32_t broker)
{
    struct action_wish wish;
    struct err_text why;
    const struct model *m = model_of(s);
    assert_int_equal(action_wish_elect_many(&wish, topic, broker, &why), ERR_NONE);
    assert_int_equal(action_open(a, m, "127.0.0.1:9092", &wish, &why), ERR_NONE);
    model_unref(m);
}

/* ---- the preview -------------------------------------------------------------------------------
 */

static void test_only_what_is_meant(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        int32_t broker;
        int rows;
        const char *title;
        const char *row;
    } cases[] = {
        {"", MODEL_NO_BROKER, 4, "Elect the preferred leaders", "b-1  led by 3, then by 2"},
        {"a", MODEL_NO_BROKER, 2, "Elect the preferred leaders of topic a",
         "a-2  led by 1, then by 3"},
        {"", 2, 2, "Elect the preferred leaders that broker 2 is to be",
         "a-1  led by 1, then by 2"},
        {"b", 1, 1, "of topic b", "b-0  led by 3, then by 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct action a = {0};
        open_for(&a, usual, cases[i].topic, cases[i].broker);
        assert_int_equal(action_row_count(&a), cases[i].rows);
        assert_true(says(&a, cases[i].title));
        assert_true(says(&a, cases[i].row));
        action_drawn(&a, true, cases[i].rows);
        assert_true(says(&a, "y elects."));
        action_free(&a);
    }
}

static void test_what_cannot_be_elected_is_left_alone(void **state)
{
    (void)state;
    struct action a = {0};
    struct stand s = usual;
    s.down = 2;
    s.out_of_sync = 3;
    open_for(&a, s, "", MODEL_NO_BROKER);
    assert_true(says(&a, "a-1  led by 1, as it is: 2 is down"));
    assert_true(says(&a, "a-2  led by 1, as it is: 3 is not in the ISR"));
    assert_true(says(&a, "4 not led by their first replica, 1 of them can be"));
    assert_true(a.plan.possible);
    action_free(&a);
    open_for(&a, s, "a", MODEL_NO_BROKER);
    assert_true(says(&a, "None can be elected now"));
    assert_false(a.plan.possible);
    action_drawn(&a, true, 2);
    assert_false(action_key(&a, 'y', AGREED_MS));
    action_free(&a);
    struct stand right = {.read_ms = BEFORE_MS, .leaders = {1, 2, 3, 1, 2, 3}};
    open_for(&a, right, "", MODEL_NO_BROKER);
    assert_true(says(&a, "Nothing to do: every one is led by its first replica"));
    assert_true(a.plan.already);
    action_free(&a);
    struct action_wish wish;
    struct err_text why;
    const struct model *m = model_of(usual);
    assert_int_equal(action_wish_elect_many(&wish, "c", MODEL_NO_BROKER, &why), ERR_NONE);
    assert_int_equal(action_open(&a, m, "x", &wish, &why), ERR_NOT_FOUND);
    assert_int_equal(action_wish_elect_many(&wish, "", 9, &why), ERR_NONE);
    assert_int_equal(action_open(&a, m, "x", &wish, &why), ERR_NOT_FOUND);
    model_unref(m);
}

static void test_what_changed_is_asked_anew(void **state)
{
    (void)state;
    struct stand cases[] = {usual, usual, usual};
    cases[0].leaders[3] = 2; /* of one among many */
    cases[1].out_of_sync = 2;
    cases[2].leaders[4] = 2; /* it leads already */
    for (int i = 0; i < 3; i++) {
        struct action a = {0};
        open_for(&a, usual, "", MODEL_NO_BROKER);
        action_drawn(&a, true, 4);
        assert_true(action_key(&a, 'y', AGREED_MS));
        cases[i].read_ms = AFTER_MS;
        show(&a, cases[i]);
        assert_int_equal(a.state, ACTION_PREVIEW);
        assert_true(says(&a, "Nothing was sent; this is how it stands now."));
        action_free(&a);
    }
}

/* ---- the request and how it ends ---------------------------------------------------------------
 */

static struct action under_way;

static void answered(void *ctx, const struct action_answer *answer)
{
    assert_ptr_equal(ctx, &under_way);
    assert_true(action_answered(&under_way, answer, ANSWERED_MS));
}

/* a-1 and a-2, b-0 and b-1; b-0's code is given. */
static void answer_with(int16_t code, int missing)
{
    struct elect_leaders_response_partition_result a[2] = {{.partition_id = 1},
                                                           {.partition_id = 2}};
    struct elect_leaders_response_partition_result b[2] = {
        {.partition_id = 0, .error_code = code, .error_message = wire_str("words")},
        {.partition_id = 1}};
    struct elect_leaders_response_replica_election_result results[2] = {{.topic = wire_str("a")},
                                                                        {.topic = wire_str("b")}};
    results[0].partition_result.items = a;
    results[0].partition_result.count = 2;
    results[1].partition_result.items = b;
    results[1].partition_result.count = 2 - missing;
    struct elect_leaders_response r = {.replica_election_results = {results, 2}};
    sent.done(sent.ctx, &(struct client_answer){.why = "", .response = &r});
}

static void send(struct elect *e)
{
    struct stand s = usual;
    action_free(&under_way);
    open_for(&under_way, usual, "", MODEL_NO_BROKER);
    action_drawn(&under_way, true, 4);
    assert_true(action_key(&under_way, 'y', AGREED_MS));
    s.read_ms = AFTER_MS;
    show(&under_way, s);
    assert_int_equal(under_way.state, ACTION_READY);
    elect_send(e, NULL, &under_way.wish, &under_way.plan, answered, &under_way);
    assert_int_equal(sent_to.kind, CLUSTER_ANY);
    action_sent(&under_way);
}

static void test_the_request_and_its_answers(void **state)
{
    (void)state;
    struct elect e = {0};
    send(&e);
    const struct elect_leaders_request *r = sent.body;
    assert_int_equal(r->topic_partitions.count, 2);
    assert_true(wire_str_is(r->topic_partitions.items[1].topic, "b"));
    assert_int_equal(r->topic_partitions.items[0].partitions.count, 2);
    assert_int_equal(r->topic_partitions.items[0].partitions.items[1], 2);
    assert_int_equal(r->topic_partitions.items[1].partitions.items[0], 0);
    answer_with(KAFKA_NONE, 0);
    assert_true(says(&under_way, "Elected: 4 leaders."));
    struct stand s = usual;
    s.read_ms = LATER_MS;
    s.leaders[1] = 2;
    show(&under_way, s);
    assert_true(says(&under_way, "1 of 4 have the leader they were to have"));
    assert_true(action_wants_snapshot(&under_way, LATER_MS));
    struct stand all = {.read_ms = LATER_MS, .leaders = {1, 2, 3, 1, 2, 3}};
    show(&under_way, all);
    assert_false(action_wants_snapshot(&under_way, LATER_MS));

    send(&e);
    answer_with(KAFKA_ELECTION_NOT_NEEDED, 0); /* somebody was faster: as well */
    assert_int_equal(under_way.result, ACTION_DONE);
    send(&e);
    answer_with(KAFKA_PREFERRED_LEADER_NOT_AVAILABLE, 0);
    assert_int_equal(under_way.result, ACTION_PARTLY);
    assert_true(says(&under_way, "Only 3 of 4 done: PREFERRED_LEADER_NOT_AVAILABLE: b-0 words"));
    send(&e);
    answer_with(KAFKA_NONE, 1);
    assert_true(says(&under_way, "the answer names 3 of 4 partitions"));
    action_free(&under_way);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_is_meant),
        cmocka_unit_test(test_what_cannot_be_elected_is_left_alone),
        cmocka_unit_test(test_what_changed_is_asked_anew),
        cmocka_unit_test(test_the_request_and_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
