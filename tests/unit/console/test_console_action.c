/* The election of a preferred leader, from the first key to the last word; and its request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire/kafka_error.h"
#include "console/elect.h"
#include "console/keys.h"
#include "tests/unit/console/acting.h"

/* ---- a cluster of three: orders-1 with replicas 2, 3, 1, led by 3 ------------------------------
 */

struct stand {
    int64_t read_ms;
    int32_t leader;
    int64_t epoch;
    bool preferred_in_sync;
    bool preferred_up;
    bool other_out_of_sync;
    bool topic_made_anew;
    bool gone;
    int32_t port;
};

static const struct stand usual = {.read_ms = BEFORE_MS,
                                   .leader = 3,
                                   .epoch = 4,
                                   .preferred_in_sync = true,
                                   .preferred_up = true,
                                   .port = 9092};

static const struct model *model_of(struct stand s)
{
    struct model *m = model_new();
    m->cluster_id = "5L6g3nShT-eMCtK--X86sw";
    m->parts[MODEL_CLUSTER].state = MODEL_READ;
    m->parts[MODEL_CLUSTER].read_ms = s.read_ms;
    struct model_broker *b = model_set_brokers(m, 3);
    for (int i = 0; i < 3; i++) {
        b[i] = (struct model_broker){.id = i + 1, .host = "127.0.0.1", .alive = true};
        b[i].port = s.port + i;
    }
    b[1].alive = s.preferred_up;
    struct model_topic *t = model_set_topics(m, s.gone ? 0 : 1);
    if (!s.gone) {
        t->name = "orders";
        t->id = uuid_from_number(s.topic_made_anew ? 8 : 7);
        struct model_partition *p = model_set_partitions(m, t, 1);
        p->partition = 1;
        p->leader = s.leader;
        p->leader_epoch = s.epoch;
        struct model_replica *r = model_set_replicas(m, p, 3);
        for (int i = 0; i < 3; i++) {
            r[i].broker = (i + 1) % 3 + 1;
            r[i].in_sync = i == 0 ? s.preferred_in_sync : i != 2 || !s.other_out_of_sync;
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

static struct action opened(struct stand s)
{
    struct action a = {0};
    struct err_text why;
    struct action_wish wish;
    const struct model *m = model_of(s);
    assert_int_equal(action_wish_elect(&wish, "orders", 1, &why), ERR_NONE);
    assert_int_equal(action_open(&a, m, "127.0.0.1:9092", &wish, &why), ERR_NONE);
    model_unref(m);
    assert_int_equal(a.state, ACTION_PREVIEW);
    assert_true(action_is_open(&a));
    return a;
}

/* To the point where the request is on its way. */
static struct action under_way(void)
{
    struct action a = opened(usual);
    struct stand s = usual;
    action_drawn(&a, true, 0);
    assert_true(action_key(&a, 'y', AGREED_MS));
    s.read_ms = AFTER_MS;
    show(&a, s);
    assert_int_equal(a.state, ACTION_READY);
    action_sent(&a);
    return a;
}

static struct action answered(struct action_answer answer)
{
    struct action a = under_way();
    assert_true(action_answered(&a, &answer, ANSWERED_MS));
    assert_int_equal(a.state, ACTION_OUTCOME);
    return a;
}

/* ---- the preview -------------------------------------------------------------------------------
 */

static void test_the_preview_names_everything(void **state)
{
    (void)state;
    struct action a = opened(usual);
    assert_true(says(&a, "5L6g3nShT-eMCtK--X86sw, asked at 127.0.0.1:9092"));
    assert_true(says(&a, "orders-1, epoch 4, replicas 2,3,1, ISR 2,3,1"));
    assert_true(says(&a, "3@127.0.0.1:9094, the leader now"));
    assert_true(says(&a, "2@127.0.0.1:9093, the preferred leader"));
    assert_true(says(&a, "y elects. Every other key, Enter and n too, changes nothing"));
    assert_false(action_wants_snapshot(&a, BEFORE_MS));
}

static void test_no_key_but_y_agrees(void **state)
{
    (void)state;
    static const int named[] = {KEY_CODE_ENTER,
                                KEY_CODE_ESCAPE,
                                'n',
                                'N',
                                'Y',
                                'e',
                                'q',
                                ' ',
                                KEY_CODE_TAB,
                                KEY_CODE_F1,
                                0x79 + 0x100,
                                KEY_CTRL('y'),
                                KEY_CTRL('c'),
                                KEY_CODE_UNKNOWN};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        struct action a = opened(usual);
        action_drawn(&a, true, 0);
        assert_false(action_key(&a, named[i], AGREED_MS));
        assert_int_equal(a.state, ACTION_CLOSED);
    }
    for (int key = 0; key < 1000; key++) {
        struct action a = opened(usual);
        action_drawn(&a, true, 0);
        assert_true(action_key(&a, key, AGREED_MS) == (key == 'y'));
    }
}

static void test_y_before_anything_was_read_agrees_to_nothing(void **state)
{
    (void)state;
    struct action a = opened(usual);
    assert_false(action_key(&a, 'y', AGREED_MS));
    assert_int_equal(a.state, ACTION_CLOSED);
}

static void test_what_cannot_be_done_is_said_before(void **state)
{
    (void)state;
    struct stand cases[] = {usual, usual, usual};
    static const char *const words[] = {"Nothing to do: broker 2 is the preferred leader",
                                        "It cannot be elected: broker 2 is not in the ISR",
                                        "It cannot be elected: broker 2 is down"};
    cases[0].leader = 2;
    cases[1].preferred_in_sync = false;
    cases[2].preferred_up = false;
    cases[2].preferred_in_sync = false;
    for (int i = 0; i < 3; i++) {
        struct action a = opened(cases[i]);
        assert_true(says(&a, words[i]));
        assert_true(says(&a, "Any key closes. Nothing will be changed."));
        action_drawn(&a, true, 0);
        assert_false(action_key(&a, 'y', AGREED_MS));
        assert_int_equal(a.state, ACTION_CLOSED);
    }
    struct action possible = opened(usual);
    assert_false(says(&possible, "cannot be elected"));
}

static void test_offline_partitions_have_no_from(void **state)
{
    (void)state;
    struct stand s = usual;
    s.leader = MODEL_NO_BROKER;
    struct action a = opened(s);
    assert_true(says(&a, "none: the partition is offline"));
}

static void test_what_is_not_there_is_not_opened(void **state)
{
    (void)state;
    struct action a = {0};
    struct err_text why;
    const struct model *m = model_of(usual);
    struct action_wish wish;
    char long_name[300];
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(action_wish_elect(&wish, long_name, 1, &why), ERR_INVALID);
    action_wish_elect(&wish, "orders", 0, &why);
    assert_int_equal(action_open(&a, m, "x", &wish, &why), ERR_NOT_FOUND);
    action_wish_elect(&wish, "other", 1, &why);
    assert_int_equal(action_open(&a, m, "x", &wish, &why), ERR_NOT_FOUND);
    assert_false(action_is_open(&a));
    a = under_way();
    action_wish_elect(&wish, "orders", 1, &why);
    assert_int_equal(action_open(&a, m, "x", &wish, &why), ERR_BUSY);
    model_unref(m);
}

/* ---- what was said is what is done -------------------------------------------------------------
 */

static void test_only_a_newer_snapshot_lets_it_pass(void **state)
{
    (void)state;
    struct action a = opened(usual);
    struct stand s = usual;
    action_drawn(&a, true, 0);
    assert_true(action_key(&a, 'y', AGREED_MS));
    assert_int_equal(a.state, ACTION_CHECKING);
    assert_true(action_wants_snapshot(&a, AGREED_MS));
    assert_true(action_key(&a, 'y', AGREED_MS)); /* twice is once */
    s.read_ms = AGREED_MS - 1;
    show(&a, s);
    assert_int_equal(a.state, ACTION_CHECKING);
    s.read_ms = AGREED_MS;
    show(&a, s);
    assert_int_equal(a.state, ACTION_READY);
}

static void test_it_can_be_called_off_while_it_is_checked(void **state)
{
    (void)state;
    struct action a = opened(usual);
    action_drawn(&a, true, 0);
    assert_true(action_key(&a, 'y', AGREED_MS));
    assert_false(action_key(&a, KEY_CODE_ESCAPE, AGREED_MS));
    struct stand s = usual;
    s.read_ms = AFTER_MS;
    show(&a, s);
    assert_int_equal(a.state, ACTION_CLOSED);
}

static void test_what_changed_is_asked_anew(void **state)
{
    (void)state;
    struct stand cases[] = {usual, usual, usual, usual, usual, usual, usual};
    cases[0].leader = 1;
    cases[1].epoch = 5;
    cases[2].preferred_in_sync = false;
    cases[3].preferred_up = false;
    cases[4].topic_made_anew = true;
    cases[5].port = 19092;
    cases[6].other_out_of_sync = true;
    for (int i = 0; i < 7; i++) {
        struct action a = opened(usual);
        action_drawn(&a, true, 0);
        show(&a, cases[i]); /* not newer than `y`, but enough for a word of warning */
        assert_true(says(&a, "The cluster has changed since this was shown."));
        assert_true(says(&a, "orders-1, epoch 4, replicas 2,3,1, ISR 2,3,1")); /* frozen */
        assert_true(action_key(&a, 'y', AGREED_MS));
        cases[i].read_ms = AFTER_MS;
        show(&a, cases[i]);
        assert_int_equal(a.state, ACTION_PREVIEW);
        assert_true(says(&a, "Nothing was sent; this is how it stands now."));
        assert_false(says(&a, "has changed since"));
        /* Nor does a second `y` count before the new one has been on the screen. */
        struct action hasty = a;
        assert_false(action_key(&hasty, 'y', AFTER_MS));
        assert_int_equal(hasty.state, ACTION_CLOSED);
    }
    struct action same = opened(usual);
    show(&same, usual);
    assert_false(says(&same, "has changed since"));
}

static void test_the_new_preview_can_be_agreed_to(void **state)
{
    (void)state;
    struct action a = opened(usual);
    struct stand s = usual;
    action_drawn(&a, true, 0);
    assert_true(action_key(&a, 'y', AGREED_MS));
    s.leader = 1;
    s.read_ms = AFTER_MS;
    show(&a, s);
    assert_true(says(&a, "1@127.0.0.1:9092, the leader now"));
    action_drawn(&a, true, 0);
    assert_true(action_key(&a, 'y', ANSWERED_MS));
    show(&a, s);
    assert_int_equal(a.state, ACTION_CHECKING);
    s.read_ms = LATER_MS;
    show(&a, s);
    assert_int_equal(a.state, ACTION_READY);
}

static void test_what_is_gone_or_cannot_be_checked_is_not_sent(void **state)
{
    (void)state;
    struct action a = opened(usual);
    struct stand s = usual;
    action_trouble(&a, "connection refused"); /* of no matter while nothing was agreed */
    assert_int_equal(a.state, ACTION_PREVIEW);
    action_drawn(&a, true, 0);
    struct action b = a;
    assert_true(action_key(&a, 'y', AGREED_MS));
    s.gone = true;
    s.read_ms = AFTER_MS;
    show(&a, s);
    assert_int_equal(a.state, ACTION_OUTCOME);
    assert_int_equal(a.result, ACTION_NOT_SENT);
    assert_true(says(&a, "Nothing was sent: the cluster no longer lists this partition"));
    assert_true(action_key(&b, 'y', AGREED_MS));
    action_trouble(&b, "127.0.0.1:9092: connection refused");
    assert_true(says(&b, "Nothing was sent: 127.0.0.1:9092: connection refused"));
    assert_false(action_wants_snapshot(&b, AGREED_MS));
    assert_false(action_key(&b, 'y', AFTER_MS));
    assert_int_equal(b.state, ACTION_CLOSED);
}

/* ---- outcomes ----------------------------------------------------------------------------------
 */

static void test_elected(void **state)
{
    (void)state;
    struct action a = answered((struct action_answer){.why = ""});
    struct stand s = usual;
    assert_true(says(&a, "Elected: broker 2 leads orders-1."));
    assert_true(says(&a, "asking the cluster"));
    assert_true(action_wants_snapshot(&a, ANSWERED_MS));
    assert_false(action_wants_snapshot(&a, ANSWERED_MS + ACTION_WATCH_MS));
    s.read_ms = AFTER_MS; /* from before the answer: proves nothing */
    show(&a, s);
    assert_true(says(&a, "asking the cluster"));
    s.read_ms = LATER_MS;
    show(&a, s); /* the broker that was asked has not heard yet */
    assert_true(says(&a, "3@127.0.0.1:9094, epoch 4"));
    assert_true(action_wants_snapshot(&a, LATER_MS));
    s.leader = 2;
    s.epoch = 5;
    show(&a, s);
    assert_true(says(&a, "2@127.0.0.1:9093, epoch 5"));
    assert_false(action_wants_snapshot(&a, LATER_MS));
    assert_false(action_key(&a, KEY_CODE_ENTER, LATER_MS));
}

static void test_refusals_come_with_name_words_and_advice(void **state)
{
    (void)state;
    static const struct {
        int16_t code;
        const char *message;
        const char *headline;
        const char *advice;
    } cases[] = {
        {KAFKA_PREFERRED_LEADER_NOT_AVAILABLE, "no\033[2J luck",
         "Not elected: PREFERRED_LEADER_NOT_AVAILABLE: no?[2J luck", "Wait until the ISR names it"},
        {KAFKA_ELECTION_NOT_NEEDED, NULL, "Not elected: ELECTION_NOT_NEEDED", "It led already"},
        {KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "", "UNKNOWN_TOPIC_OR_PARTITION", "deleted meanwhile"},
        {KAFKA_CLUSTER_AUTHORIZATION_FAILED, NULL, "CLUSTER_AUTHORIZATION_FAILED", "right ALTER"},
        {KAFKA_NOT_CONTROLLER, NULL, "NOT_CONTROLLER", "choosing another controller"},
        {KAFKA_POLICY_VIOLATION, "no", "POLICY_VIOLATION: no", "Nothing was changed."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct action a = answered(
            (struct action_answer){.why = "", .code = cases[i].code, .message = cases[i].message});
        assert_int_equal(a.result, ACTION_REFUSED);
        assert_true(says(&a, cases[i].headline));
        assert_true(says(&a, cases[i].advice));
        assert_false(says(&a, "asking the cluster"));
    }
}

static void test_unknown_outcomes_say_where_to_look(void **state)
{
    (void)state;
    static const struct action_answer cases[] = {
        {.error = ERR_CLOSED, .why = "127.0.0.1:9092: closed"},
        {.error = ERR_TIMEOUT, .why = "127.0.0.1:9092: no answer"},
        {.error = ERR_IO, .why = "127.0.0.1:9092: reset"},
        {.error = ERR_CORRUPT, .why = "127.0.0.1:9092: not the protocol"},
        {.why = "", .code = KAFKA_REQUEST_TIMED_OUT},
        {.why = "", .code = KAFKA_UNKNOWN_SERVER_ERROR, .message = "boom"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct action a = answered(cases[i]);
        assert_int_equal(a.result, ACTION_UNKNOWN);
        assert_true(says(&a, "Unknown outcome: "));
        assert_true(says(&a, "may have elected broker 2 or not, and nothing is sent again"));
        assert_true(action_wants_snapshot(&a, ANSWERED_MS));
        struct stand s = usual;
        s.read_ms = LATER_MS;
        show(&a, s);
        assert_true(says(&a, "3@127.0.0.1:9094, epoch 4"));
    }
}

static void test_what_never_left_is_not_unknown(void **state)
{
    (void)state;
    static const enum err errors[] = {ERR_REFUSED, ERR_UNREACHABLE, ERR_NOT_FOUND, ERR_UNSUPPORTED};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct action a = answered((struct action_answer){.error = errors[i], .why = "so"});
        assert_int_equal(a.result, ACTION_NOT_SENT);
        assert_true(says(&a, "Nothing was sent: so"));
    }
}

static void test_one_may_go_on_while_it_is_under_way(void **state)
{
    (void)state;
    struct action a = under_way();
    assert_true(says(&a, "Waiting for the cluster's answer"));
    assert_true(action_key(&a, 'y', AFTER_MS));
    assert_true(action_key(&a, KEY_CODE_ENTER, AFTER_MS));
    assert_false(action_key(&a, KEY_CODE_ESCAPE, AFTER_MS));
    assert_false(action_is_open(&a));
    assert_false(action_answered(&a, &(struct action_answer){.why = ""}, ANSWERED_MS));
    assert_string_equal(a.headline, "Elected: broker 2 leads orders-1.");
    assert_int_equal(a.state, ACTION_CLOSED);
}

/* ---- the request -------------------------------------------------------------------------------
 */

static void answer_with(int16_t whole, const char *topic, int32_t number, int16_t code)
{
    struct elect_leaders_response_partition_result partition = {
        .partition_id = number, .error_code = code, .error_message = wire_str("words")};
    struct elect_leaders_response_replica_election_result result = {.topic = wire_str(topic)};
    struct elect_leaders_response r = {.error_code = whole};
    result.partition_result.items = &partition;
    result.partition_result.count = 1;
    r.replica_election_results.items = &result;
    r.replica_election_results.count = 1;
    sent.done(sent.ctx, &(struct client_answer){.why = "", .response = &r});
}

static void send(struct elect *e)
{
    struct action a = opened(usual);
    elect_send(e, NULL, &a.wish, &a.plan, done, &got);
}

static void test_the_request_and_its_answers(void **state)
{
    (void)state;
    struct elect e = {0};
    sent_count = 0;
    send(&e);
    const struct elect_leaders_request *r = sent.body;
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent.api_key, WIRE_ELECT_LEADERS);
    assert_int_equal(sent_to.kind, CLUSTER_ANY);
    assert_int_equal(r->election_type, 0);
    assert_int_equal(r->topic_partitions.count, 1);
    assert_true(wire_str_is(r->topic_partitions.items[0].topic, "orders"));
    assert_int_equal(r->topic_partitions.items[0].partitions.count, 1);
    assert_int_equal(r->topic_partitions.items[0].partitions.items[0], 1);
    assert_true(r->timeout_ms > 0 && sent.timeout_ms > r->timeout_ms);
    answer_with(KAFKA_NONE, "orders", 1, KAFKA_NONE);
    assert_int_equal(got.error, ERR_NONE);
    assert_int_equal(got.code, KAFKA_NONE);
    send(&e);
    answer_with(KAFKA_NONE, "orders", 1, KAFKA_ELECTION_NOT_NEEDED);
    assert_int_equal(got.code, KAFKA_ELECTION_NOT_NEEDED);
    assert_string_equal(got_message, "words");
    send(&e);
    answer_with(KAFKA_CLUSTER_AUTHORIZATION_FAILED, "orders", 1, KAFKA_NONE);
    assert_int_equal(got.code, KAFKA_CLUSTER_AUTHORIZATION_FAILED);
    /* What does not name the partition is no success. */
    send(&e);
    answer_with(KAFKA_NONE, "orders", 2, KAFKA_NONE);
    assert_int_equal(got.code, KAFKA_UNKNOWN_SERVER_ERROR);
    send(&e);
    answer_with(KAFKA_NONE, "order", 1, KAFKA_NONE);
    assert_int_equal(got.code, KAFKA_UNKNOWN_SERVER_ERROR);
    send(&e);
    sent.done(sent.ctx, &(struct client_answer){.error = ERR_CLOSED, .why = "gone"});
    assert_int_equal(got.error, ERR_CLOSED);
    assert_string_equal(got.why, "gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_preview_names_everything),
        cmocka_unit_test(test_no_key_but_y_agrees),
        cmocka_unit_test(test_y_before_anything_was_read_agrees_to_nothing),
        cmocka_unit_test(test_what_cannot_be_done_is_said_before),
        cmocka_unit_test(test_offline_partitions_have_no_from),
        cmocka_unit_test(test_what_is_not_there_is_not_opened),
        cmocka_unit_test(test_only_a_newer_snapshot_lets_it_pass),
        cmocka_unit_test(test_it_can_be_called_off_while_it_is_checked),
        cmocka_unit_test(test_what_changed_is_asked_anew),
        cmocka_unit_test(test_the_new_preview_can_be_agreed_to),
        cmocka_unit_test(test_what_is_gone_or_cannot_be_checked_is_not_sent),
        cmocka_unit_test(test_elected),
        cmocka_unit_test(test_refusals_come_with_name_words_and_advice),
        cmocka_unit_test(test_unknown_outcomes_say_where_to_look),
        cmocka_unit_test(test_what_never_left_is_not_unknown),
        cmocka_unit_test(test_one_may_go_on_while_it_is_under_way),
        cmocka_unit_test(test_the_request_and_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
