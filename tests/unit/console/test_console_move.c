/* Moving replicas, from what is typed to the last word; its request; and what the cluster tells of
 * moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire/kafka_error.h"
#include "console/learn.h"
#include "console/move.h"
#include "tests/unit/console/acting.h"

/* ---- orders-1 with replicas 2, 3, 1, led by 3; brokers 1 to 4, and 5, which is down ------------
 */

struct stand {
    int64_t read_ms;
    int64_t moves_ms;
    int32_t leader;
    int32_t replicas[5];
    int adding; /* how many of the last are being added */
    int removing;
    int64_t min_insync;
    bool remade;
    bool gone;
    bool denied;
};

static const struct stand usual = {.read_ms = BEFORE_MS,
                                   .moves_ms = BEFORE_MS,
                                   .leader = 3,
                                   .replicas = {2, 3, 1},
                                   .min_insync = 2};

static void add_replicas(struct model *m, struct model_partition *p, const struct stand *s)
{
    int count = 0;
    while (count < 5 && s->replicas[count] != 0) {
        count++;
    }
    struct model_replica *r = model_set_replicas(m, p, count);
    for (int i = 0; i < count; i++) {
        r[i].broker = s->replicas[i];
        r[i].size_bytes = 1 << 20;
        r[i].adding = i >= count - s->adding;
        r[i].in_sync = !r[i].adding;
        r[i].removing = i < s->removing;
    }
}

static struct model *draft_of(const struct stand *s)
{
    struct model *m = model_new();
    m->cluster_id = "5L6g3nShT-eMCtK--X86sw";
    m->parts[MODEL_CLUSTER] = (struct model_part){MODEL_READ, s->read_ms, NULL};
    m->parts[MODEL_MOVES] = (struct model_part){MODEL_READ, s->moves_ms, NULL};
    if (s->denied) {
        m->parts[MODEL_MOVES] = (struct model_part){MODEL_REFUSED, BEFORE_MS, "moves: no right"};
    }
    struct model_broker *b = model_set_brokers(m, 5);
    for (int i = 0; i < 5; i++) {
        b[i] = (struct model_broker){.id = i + 1, .host = "127.0.0.1", .alive = i < 4};
    }
    struct model_topic *t = model_set_topics(m, s->gone ? 0 : 1);
    if (!s->gone) {
        t->name = "orders";
        t->id = uuid_from_number(s->remade ? 8 : 7);
        t->min_insync = s->min_insync;
        struct model_partition *p = model_set_partitions(m, t, 1);
        p->partition = 1;
        p->leader = s->leader;
        add_replicas(m, p, s);
    }
    model_sort(m);
    return m;
}

static const struct model *model_of(struct stand s)
{
    struct model *m = draft_of(&s);
    model_freeze(m);
    return m;
}

static void show(struct action *a, struct stand s)
{
    const struct model *m = model_of(s);
    action_show(a, m);
    model_unref(m);
}

static struct action opened(struct stand s, const char *words)
{
    struct action a = {0};
    struct action_wish wish;
    struct err_text why;
    const struct model *m = model_of(s);
    assert_int_equal(action_wish_move(&wish, "orders", 1, words, &why), ERR_NONE);
    assert_int_equal(action_open(&a, m, "127.0.0.1:9092", &wish, &why), ERR_NONE);
    model_unref(m);
    return a;
}

static struct action agreed(struct stand s, const char *words)
{
    struct action a = opened(s, words);
    action_drawn(&a, true, 0);
    assert_true(action_key(&a, 'y', AGREED_MS));
    assert_int_equal(a.state, ACTION_CHECKING);
    return a;
}

static struct action answered(struct stand s, const char *words, struct action_answer answer)
{
    struct action a = agreed(s, words);
    s.read_ms = s.moves_ms = AFTER_MS;
    show(&a, s);
    assert_int_equal(a.state, ACTION_READY);
    action_sent(&a);
    assert_true(action_answered(&a, &answer, ANSWERED_MS));
    return a;
}

/* ---- what is typed, and the preview ------------------------------------------------------------
 */

static void test_words(void **state)
{
    (void)state;
    static const char too_many[] = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,"
                                   "25,26,27,28,29,30,31,32,33";
    static const char *const bad[] = {"",    "2,", ",2",  "2,2",         "a",        "2 3",
                                      "2,x", "-1", "2;3", "99999999999", "cancel 1", too_many};
    struct action_wish w;
    struct err_text why;
    assert_int_equal(action_wish_move(&w, "orders", 1, "4,0,2147483647", &why), ERR_NONE);
    assert_int_equal(w.replica_count, 3);
    assert_int_equal(w.replicas[0], 4);
    assert_int_equal(w.replicas[2], INT32_MAX);
    assert_int_equal(action_wish_move(&w, "orders", 1, "cancel", &why), ERR_NONE);
    assert_int_equal(w.replica_count, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(action_wish_move(&w, "orders", 1, bad[i], &why), ERR_INVALID);
        assert_non_null(strstr(why.text, "reassign 2,3,1"));
    }
}

static void test_the_preview(void **state)
{
    (void)state;
    static const struct {
        const char *typed;
        const char *words[4];
    } cases[] = {
        {"2,1,4",
         {"2,1,4, and another leader", "4, 1.0 MiB copied in all", "3, once those that stay",
          "2,3,1, led by 3"}},
        {"1,3,2", {"1,3,2", "nobody: nothing is copied", "nobody", "y moves."}},
        {"3", {"One replica alone", "2,1, once those that stay", "", ""}},
        {"3,2", {"y moves.", "1, once", "nobody: nothing is copied", ""}},
        {"3,2,1,4", {"4, 1.0 MiB", "nobody", "", ""}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct action a = opened(usual, cases[i].typed);
        assert_true(says(&a, "Move the replicas of orders-1"));
        assert_true(says(&a, "5L6g3nShT-eMCtK--X86sw, asked at 127.0.0.1:9092"));
        for (int j = 0; j < 4; j++) {
            assert_true(says(&a, cases[i].words[j]));
        }
        assert_true(a.plan.possible);
        action_drawn(&a, true, 0);
        assert_false(action_key(&a, '\n', AGREED_MS));
    }
    struct stand strict = usual;
    strict.min_insync = 3;
    struct action a = opened(strict, "2,3");
    assert_true(says(&a, "min.insync.replicas of the topic is 3"));
    assert_true(a.plan.possible);
}

static void test_what_cannot_be_done_is_said_before(void **state)
{
    (void)state;
    static const struct {
        const char *typed;
        const char *words;
    } cases[] = {{"2,3,9", "the cluster has no broker 9"},
                 {"2,3,5", "broker 5 is down and could not copy it"},
                 {"2,3,1", "Nothing to do: these are its replicas"},
                 {"cancel", "Nothing to do: no move of this partition is under way"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct action a = opened(usual, cases[i].typed);
        assert_true(says(&a, cases[i].words));
        action_drawn(&a, true, 0);
        assert_false(action_key(&a, 'y', AGREED_MS));
    }
    struct stand on_5 = usual;
    on_5.replicas[2] = 5; /* one that is there already need not be up */
    struct action a = opened(on_5, "3,2,5");
    assert_true(a.plan.possible);
}

static const struct stand moving = {.read_ms = BEFORE_MS,
                                    .moves_ms = BEFORE_MS,
                                    .leader = 3,
                                    .replicas = {2, 3, 1, 4},
                                    .adding = 1,
                                    .removing = 1};

static void test_a_move_under_way(void **state)
{
    (void)state;
    struct action a = opened(moving, "cancel");
    assert_true(says(&a, "Call off the move of orders-1"));
    assert_true(says(&a, "-2,3,1,+4, led by 3"));
    assert_true(says(&a, "the replicas from before the move"));
    assert_true(a.plan.possible);
    a = opened(moving, "3,1,4");
    assert_true(says(&a, "A move is under way already: this takes its place."));
    struct stand half = moving; /* not as it is: one is being added, or one removed */
    half.adding = 0;
    a = opened(half, "2,3,1,4");
    assert_true(a.plan.possible);
    half.adding = 1;
    half.removing = 0;
    a = opened(half, "2,3,1,4");
    assert_true(a.plan.possible);
}

/* ---- what was said is what is done -------------------------------------------------------------
 */

static void test_what_changed_is_asked_anew(void **state)
{
    (void)state;
    struct stand cases[] = {usual, usual, usual, moving};
    cases[0].leader = 1;
    cases[1].remade = true;
    cases[2].replicas[3] = 4;
    for (int i = 0; i < 4; i++) {
        struct action a = agreed(usual, "4,3");
        cases[i].read_ms = cases[i].moves_ms = AFTER_MS;
        show(&a, cases[i]);
        assert_int_equal(a.state, ACTION_PREVIEW);
        assert_true(says(&a, "Nothing was sent; this is how it stands now."));
    }
}

static void test_only_what_was_read_after_it_counts(void **state)
{
    (void)state;
    struct stand s = usual;
    struct action a = agreed(usual, "4,3");
    s.read_ms = AFTER_MS; /* and the moves from before */
    show(&a, s);
    assert_int_equal(a.state, ACTION_CHECKING);
    s.denied = true;
    show(&a, s);
    assert_true(says(&a, "Nothing was sent: moves: no right"));
    a = agreed(usual, "4,3");
    s = usual;
    s.gone = true;
    s.read_ms = s.moves_ms = AFTER_MS;
    show(&a, s);
    assert_true(says(&a, "Nothing was sent: the cluster no longer lists this partition"));
}

static void test_outcomes(void **state)
{
    (void)state;
    struct action a = answered(usual, "3,1,4", (struct action_answer){.why = ""});
    assert_true(says(&a, "Under way: orders-1."));
    struct stand s = moving;
    s.read_ms = s.moves_ms = LATER_MS;
    show(&a, s);
    assert_true(says(&a, "-2,3,1,+4, led by 3; on its way"));
    assert_true(action_wants_snapshot(&a, LATER_MS));
    struct stand ended = {
        .read_ms = LATER_MS, .moves_ms = LATER_MS, .leader = 3, .replicas = {3, 1, 4}};
    show(&a, ended);
    assert_true(says(&a, "3,1,4, led by 3"));
    assert_false(action_wants_snapshot(&a, LATER_MS));
    a = answered(moving, "cancel", (struct action_answer){.why = ""});
    assert_true(says(&a, "Called off: orders-1."));
    s = usual;
    s.read_ms = s.moves_ms = LATER_MS;
    show(&a, s);
    assert_false(action_wants_snapshot(&a, LATER_MS));
    a = answered(usual, "3,1,4",
                 (struct action_answer){.why = "", .code = KAFKA_INVALID_REPLICA_ASSIGNMENT});
    assert_true(says(&a, "Not moved: INVALID_REPLICA_ASSIGNMENT"));
    assert_true(says(&a, "does not take these brokers"));
}

/* ---- the request -------------------------------------------------------------------------------
 */

static void answer_with(int16_t whole, const char *topic, int32_t number, int16_t code)
{
    struct alter_partition_reassignments_response_partition partition = {
        .partition_index = number, .error_code = code, .error_message = wire_str("words")};
    struct alter_partition_reassignments_response_response topics = {.name = wire_str(topic)};
    struct alter_partition_reassignments_response r = {.error_code = whole};
    topics.partitions.items = &partition;
    topics.partitions.count = 1;
    r.error_message = wire_str("on the whole");
    r.responses.items = &topics;
    r.responses.count = 1;
    sent.done(sent.ctx, &(struct client_answer){.why = "", .response = &r});
}

static void test_the_request_and_its_answers(void **state)
{
    (void)state;
    struct move v = {0};
    struct action_wish wish;
    struct err_text why;
    assert_int_equal(action_wish_move(&wish, "orders", 1, "4,3", &why), ERR_NONE);
    move_send(&v, NULL, &wish, done, &got);
    const struct alter_partition_reassignments_request *r = sent.body;
    assert_int_equal(sent.api_key, WIRE_ALTER_PARTITION_REASSIGNMENTS);
    assert_int_equal(sent_to.kind, CLUSTER_ANY);
    assert_true(wire_str_is(r->topics.items[0].name, "orders"));
    assert_int_equal(r->topics.items[0].partitions.items[0].partition_index, 1);
    assert_int_equal(r->topics.items[0].partitions.items[0].replicas.count, 2);
    assert_int_equal(r->topics.items[0].partitions.items[0].replicas.items[0], 4);
    assert_true(r->timeout_ms > 0 && sent.timeout_ms > r->timeout_ms);
    answer_with(KAFKA_NONE, "orders", 1, KAFKA_NONE);
    assert_int_equal(got.code, KAFKA_NONE);
    answer_with(KAFKA_NONE, "orders", 1, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(got.code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_string_equal(got_message, "words");
    answer_with(KAFKA_CLUSTER_AUTHORIZATION_FAILED, "orders", 1, KAFKA_NONE);
    assert_int_equal(got.code, KAFKA_CLUSTER_AUTHORIZATION_FAILED);
    assert_string_equal(got_message, "on the whole");
    answer_with(KAFKA_NONE, "orders", 2, KAFKA_NONE); /* what is not named is no success */
    assert_int_equal(got.code, KAFKA_UNKNOWN_SERVER_ERROR);
    sent.done(sent.ctx, &(struct client_answer){.error = ERR_CLOSED, .why = "gone"});
    assert_int_equal(got.error, ERR_CLOSED);
    assert_int_equal(action_wish_move(&wish, "orders", 1, "cancel", &why), ERR_NONE);
    move_send(&v, NULL, &wish, done, &got);
    r = sent.body;
    assert_int_equal(r->topics.items[0].partitions.items[0].replicas.count, -1);
}

/* ---- what the cluster tells of moves -----------------------------------------------------------
 */

static void test_moves_are_learnt(void **state)
{
    (void)state;
    struct stand s = usual;
    s.replicas[3] = 4;
    struct model *m = draft_of(&s);
    struct model_partition *p = &m->topics[0].partitions[0];
    p->replicas[0].removing = true; /* from an earlier answer */
    p->replicas[3].in_sync = false;
    assert_int_equal(model_partition_fault(p), MODEL_UNDER_REPLICATED);
    int32_t adding[] = {4};
    int32_t removing[] = {1};
    struct list_partition_reassignments_response_partition parts[] = {
        {.partition_index = 1, .adding_replicas = {adding, 1}, .removing_replicas = {removing, 1}},
        {.partition_index = 99}};
    struct list_partition_reassignments_response_topic topics[] = {
        {.name = wire_str("orders"), .partitions = {parts, 2}}, {.name = wire_str("unknown")}};
    struct list_partition_reassignments_response r = {.topics = {topics, 2}};
    learn_moves(m, &r, AFTER_MS);
    assert_int_equal(m->parts[MODEL_MOVES].read_ms, AFTER_MS);
    assert_false(p->replicas[0].removing);
    assert_true(p->replicas[2].removing);
    assert_true(p->replicas[3].adding);
    assert_true(model_is_moving(p));
    /* It has as many in sync as before the move. */
    assert_int_equal(model_partition_fault(p), MODEL_HEALTHY);
    r.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
    learn_moves(m, &r, LATER_MS);
    assert_true(model_is_moving(p)); /* what was told stays */
    r = (struct list_partition_reassignments_response){0};
    learn_moves(m, &r, LATER_MS);
    assert_false(model_is_moving(p));
    model_freeze(m);
    model_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_the_preview),
        cmocka_unit_test(test_what_cannot_be_done_is_said_before),
        cmocka_unit_test(test_a_move_under_way),
        cmocka_unit_test(test_what_changed_is_asked_anew),
        cmocka_unit_test(test_only_what_was_read_after_it_counts),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_the_request_and_its_answers),
        cmocka_unit_test(test_moves_are_learnt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
