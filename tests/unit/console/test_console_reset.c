/* The reset of a group's offsets, from what is typed to the last word; and its request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire/kafka_error.h"
#include "console/keys.h"
#include "console/reset.h"
#include "tests/unit/console/acting.h"

/* ---- group readers: logs from 10 to 100 + number, 50 + number committed ------------------------
 */

struct stand {
    int64_t read_ms;
    int topics; /* "a", "b", ... */
    int partitions;
    int members;
    int64_t moved; /* added to what is committed */
    int64_t written;
    int64_t start;
    bool ends_unread;
    bool gone;
    bool topic_gone; /* the first */
    const char *error;
};

static const struct stand usual = {.read_ms = BEFORE_MS, .topics = 2, .partitions = 2, .start = 10};

static void add_group(struct model *m, const struct stand *s)
{
    static char names[26][2];
    struct model_group *g = model_set_groups(m, 1);
    g->group = "readers";
    g->state = s->members > 0 ? "Stable" : "Empty";
    g->coordinator = 1;
    g->members_state = MODEL_READ;
    g->offsets_state = MODEL_READ;
    g->members_read_ms = s->read_ms;
    g->offsets_read_ms = s->read_ms;
    g->error = s->error;
    g->members = arena_array(&m->arena, (size_t)s->members + 1, sizeof *g->members);
    g->member_count = s->members;
    g->offset_count = s->topics * s->partitions;
    g->offsets = arena_array(&m->arena, (size_t)g->offset_count + 1, sizeof *g->offsets);
    for (int i = 0; i < g->offset_count; i++) {
        int t = i / s->partitions;
        names[t][0] = (char)('a' + t);
        g->offsets[i] = (struct model_offset){.topic = names[t], .partition = i % s->partitions};
        g->offsets[i].committed = 50 + i % s->partitions + s->moved;
        g->offsets[i].member = -1;
    }
}

static void add_topic(struct model *m, struct model_topic *t, const struct stand *s, int number)
{
    char name[2] = {(char)('a' + number), '\0'};
    t->name = arena_strdup(&m->arena, name);
    struct model_partition *p = model_set_partitions(m, t, s->partitions);
    for (int i = 0; i < s->partitions; i++) {
        p[i].partition = i;
        p[i].leader = 1;
        p[i].log_start_offset = s->ends_unread ? MODEL_UNKNOWN : s->start;
        p[i].high_watermark = 100 + i + s->written;
    }
}

static const struct model *model_of(struct stand s)
{
    struct model *m = model_new();
    m->cluster_id = "5L6g3nShT-eMCtK--X86sw";
    m->parts[MODEL_CLUSTER].state = m->parts[MODEL_GROUPS].state = MODEL_READ;
    m->parts[MODEL_CLUSTER].read_ms = m->parts[MODEL_GROUPS].read_ms = s.read_ms;
    struct model_topic *t = model_set_topics(m, s.topics - s.topic_gone);
    for (int i = s.topic_gone; i < s.topics; i++) {
        add_topic(m, &t[i - s.topic_gone], &s, i);
    }
    if (!s.gone) {
        add_group(m, &s);
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

static void open_with(struct action *a, struct stand s, const char *words)
{
    struct action_wish wish;
    struct err_text why;
    const struct model *m = model_of(s);
    assert_int_equal(action_wish_reset(&wish, "readers", words, &why), ERR_NONE);
    assert_int_equal(action_open(a, m, "127.0.0.1:9092", &wish, &why), ERR_NONE);
    model_unref(m);
}

static void agree(struct action *a)
{
    action_drawn(a, true, a->plan.row_count);
    assert_true(action_key(a, 'y', AGREED_MS));
    assert_int_equal(a->state, ACTION_CHECKING);
}

/* To the point where the request is on its way. */
static void under_way(struct action *a, const char *words)
{
    struct stand s = usual;
    open_with(a, usual, words);
    agree(a);
    s.read_ms = AFTER_MS;
    show(a, s);
    assert_int_equal(a->state, ACTION_READY);
    action_sent(a);
}

/* ---- what is typed -----------------------------------------------------------------------------
 */

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum action_to to;
        int64_t offset;
        const char *topic;
        int32_t partition;
    } good[] = {
        {"earliest", ACTION_TO_EARLIEST, 0, "", -1}, {" latest  a ", ACTION_TO_LATEST, 0, "a", -1},
        {"17 a:3", ACTION_TO_OFFSET, 17, "a", 3},    {"+5", ACTION_TO_SHIFT, 5, "", -1},
        {"-5 b:0", ACTION_TO_SHIFT, -5, "b", 0},
    };
    static const char *const bad[] = {"",
                                      "soon",
                                      "earlies",
                                      "5x",
                                      "+",
                                      "--5",
                                      "5 a:",
                                      "5 :3",
                                      "5 a:-3",
                                      "5 a:x3",
                                      "latest a b",
                                      "5 a:9999999999",
                                      "9999999999999999999999"};
    struct action_wish w;
    struct err_text why;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(action_wish_reset(&w, "readers", good[i].words, &why), ERR_NONE);
        assert_int_equal(w.to, good[i].to);
        assert_int_equal(w.offset, good[i].offset);
        assert_string_equal(w.topic, good[i].topic);
        assert_int_equal(w.partition, good[i].partition);
        assert_string_equal(w.group, "readers");
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(action_wish_reset(&w, "readers", bad[i], &why), ERR_INVALID);
        assert_non_null(strstr(why.text, "earliest, latest, an offset, +N or -N"));
    }
    char name[ACTION_GROUP_BYTES + 1];
    memset(name, 'g', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(action_wish_reset(&w, name, "earliest", &why), ERR_INVALID);
}

/* ---- the preview -------------------------------------------------------------------------------
 */

static void test_before_and_after(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        const char *row;
        int rows;
    } cases[] = {
        {"earliest", "a-1  51 then 10, lag then 91", 4},
        {"latest", "b-1  51 then 101, lag then 0", 4},
        {"70 b", "b-0  50 then 70, lag then 30", 2},
        {"+7 a:1", "a-1  51 then 58, lag then 43", 1},
        {"-7 a:1", "a-1  51 then 44, lag then 57", 1},
        {"5 a:0", "a-0  50 then 10, lag then 90", 1},    /* before the log begins */
        {"+900 a:0", "a-0  50 then 100, lag then 0", 1}, /* after it ends */
        {"51 a", "a-1  51, as it is, lag then 50", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct action a = {0};
        open_with(&a, usual, cases[i].words);
        assert_true(says(&a, "Reset the offsets of group readers"));
        assert_true(says(&a, "5L6g3nShT-eMCtK--X86sw, asked at 127.0.0.1:9092"));
        assert_true(says(&a, "readers, state Empty, coordinator 1"));
        assert_true(says(&a, cases[i].row));
        assert_int_equal(action_row_count(&a), cases[i].rows);
        action_drawn(&a, true, cases[i].rows);
        assert_true(says(&a, "y resets. Every other key, Enter and n too, changes nothing"));
        action_free(&a);
    }
}

static void test_what_cannot_be_done_is_said_before(void **state)
{
    (void)state;
    struct stand cases[] = {usual, usual, usual, usual, usual};
    static const char *const typed[] = {"earliest", "earliest", "earliest", "50 a:0", "5 x"};
    static const char *const words[] = {
        "the group has 3 members. Stop its consumers first", "the start and end of a partition",
        "the group has offsets of a topic that is no more", "every offset is there already",
        "the group has committed nothing there"};
    cases[0].members = 3;
    cases[1].ends_unread = true;
    cases[2].topic_gone = true;
    for (int i = 0; i < 5; i++) {
        struct action a = {0};
        open_with(&a, cases[i], typed[i]);
        assert_true(says(&a, words[i]));
        assert_true(says(&a, "Any key closes. Nothing will be changed."));
        action_drawn(&a, true, a.plan.row_count);
        assert_false(action_key(&a, 'y', AGREED_MS));
        action_free(&a);
    }
    struct action a = {0};
    struct action_wish wish;
    struct err_text why;
    struct stand gone = usual;
    gone.gone = true;
    const struct model *m = model_of(gone);
    assert_int_equal(action_wish_reset(&wish, "readers", "earliest", &why), ERR_NONE);
    assert_int_equal(action_open(&a, m, "x", &wish, &why), ERR_NOT_FOUND);
    assert_false(action_is_open(&a));
    model_unref(m);
}

static void test_every_row_must_have_been_on_the_screen(void **state)
{
    (void)state;
    struct action a = {0};
    open_with(&a, usual, "earliest");
    action_drawn(&a, true, 2);
    assert_true(says(&a, "PgDn shows more; y counts when all was seen"));
    struct action hasty = a;
    assert_false(action_key(&hasty, 'y', AGREED_MS));
    assert_true(action_key(&a, KEY_CODE_PAGE_DOWN, AGREED_MS));
    assert_int_equal(a.row_top, 1); /* one stays, so that it is known where they belong */
    action_drawn(&a, false, 0);     /* the window is too small now */
    assert_int_equal(a.rows_seen, 2);
    action_drawn(&a, true, 2);
    assert_int_equal(a.rows_seen, 3);
    assert_true(action_key(&a, KEY_CODE_DOWN, AGREED_MS));
    action_drawn(&a, true, 2);
    assert_true(says(&a, "y resets."));
    assert_true(action_key(&a, KEY_CODE_UP, AGREED_MS));
    assert_true(action_key(&a, KEY_CODE_HOME, AGREED_MS));
    assert_int_equal(a.row_top, 0);
    assert_true(action_key(&a, KEY_CODE_PAGE_UP, AGREED_MS));
    assert_int_equal(a.row_top, 0);
    action_drawn(&a, true, 2);
    assert_true(action_key(&a, 'y', AGREED_MS));
    assert_int_equal(a.state, ACTION_CHECKING);
    action_free(&a);
}

/* ---- what was said is what is done -------------------------------------------------------------
 */

static void test_moving_ends_do_not_move_what_was_said(void **state)
{
    (void)state;
    struct action a = {0};
    struct stand s = usual;
    open_with(&a, usual, "latest");
    agree(&a);
    s.read_ms = AFTER_MS;
    s.written = 1000;
    show(&a, s);
    assert_int_equal(a.state, ACTION_READY);
    assert_int_equal(a.plan.rows[0].after, 100);
    action_free(&a);
}

static void test_what_changed_is_asked_anew(void **state)
{
    (void)state;
    struct stand cases[] = {usual, usual, usual, usual};
    cases[0].members = 1;
    cases[1].moved = 3;
    cases[2].start = 90; /* what was said is no longer in the log */
    cases[3].partitions = 3;
    for (int i = 0; i < 4; i++) {
        struct action a = {0};
        open_with(&a, usual, "earliest");
        show(&a, cases[i]);
        assert_true(says(&a, "The cluster has changed since this was shown."));
        agree(&a);
        cases[i].read_ms = AFTER_MS;
        show(&a, cases[i]);
        assert_int_equal(a.state, ACTION_PREVIEW);
        assert_true(says(&a, "Nothing was sent; this is how it stands now."));
        assert_false(action_key(&a, 'y', AFTER_MS)); /* not seen yet */
        action_free(&a);
    }
}

static void test_only_what_was_read_after_it_counts(void **state)
{
    (void)state;
    struct action a = {0};
    struct stand s = usual;
    open_with(&a, usual, "earliest");
    agree(&a);
    assert_true(action_wants_snapshot(&a, AGREED_MS));
    show(&a, s);
    assert_int_equal(a.state, ACTION_CHECKING);
    s.read_ms = AGREED_MS;
    show(&a, s);
    assert_int_equal(a.state, ACTION_READY);
    action_free(&a);

    for (int i = 0; i < 2; i++) { /* half of it is not enough */
        open_with(&a, usual, "earliest");
        agree(&a);
        s = usual;
        s.read_ms = AFTER_MS;
        const struct model *m = model_of(s);
        *(i == 0 ? &m->groups[0].members_read_ms : &m->groups[0].offsets_read_ms) = BEFORE_MS;
        action_show(&a, m);
        model_unref(m);
        assert_int_equal(a.state, ACTION_CHECKING);
        action_free(&a);
    }

    open_with(&a, usual, "earliest");
    agree(&a);
    s.read_ms = AFTER_MS;
    s.gone = true;
    show(&a, s);
    assert_true(says(&a, "Nothing was sent: the cluster no longer lists this group"));
    action_free(&a);

    open_with(&a, usual, "earliest");
    agree(&a);
    s = usual;
    s.read_ms = AFTER_MS;
    s.error = "group readers: COORDINATOR_NOT_AVAILABLE";
    const struct model *m = model_of(s);
    m->groups[0].members_read_ms = BEFORE_MS;
    action_show(&a, m);
    model_unref(m);
    assert_true(says(&a, "Nothing was sent: group readers: COORDINATOR_NOT_AVAILABLE"));
    action_free(&a);
}

/* ---- outcomes ----------------------------------------------------------------------------------
 */

static void test_outcomes(void **state)
{
    (void)state;
    static const struct {
        struct action_answer answer;
        enum action_result result;
        const char *words;
        const char *advice;
    } cases[] = {
        {{.why = ""}, ACTION_DONE, "Reset: 4 offsets of group readers.", "asking the cluster"},
        {{.why = "", .code = KAFKA_UNKNOWN_MEMBER_ID, .message = "a-0"},
         ACTION_REFUSED,
         "Not reset: UNKNOWN_MEMBER_ID: a-0",
         "A consumer has joined the group meanwhile"},
        {{.why = "", .code = KAFKA_TOPIC_AUTHORIZATION_FAILED, .message = "a-0", .done = 2},
         ACTION_PARTLY,
         "Only 2 of 4 done: TOPIC_AUTHORIZATION_FAILED: a-0",
         "Ask again for what is left"},
        {{.error = ERR_CLOSED, .why = "closed"},
         ACTION_UNKNOWN,
         "Unknown outcome: closed",
         "What counts is what the group has committed"},
        {{.error = ERR_UNREACHABLE, .why = "no way"},
         ACTION_NOT_SENT,
         "Nothing was sent: no way",
         "Nothing was changed."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct action a = {0};
        under_way(&a, "earliest");
        assert_true(action_answered(&a, &cases[i].answer, ANSWERED_MS));
        assert_int_equal(a.result, cases[i].result);
        assert_true(says(&a, cases[i].words));
        assert_true(says(&a, cases[i].advice));
        action_free(&a);
    }
}

static void test_how_it_stands_is_read_again(void **state)
{
    (void)state;
    struct action a = {0};
    struct stand s = usual;
    under_way(&a, "53 a");
    assert_true(action_answered(&a, &(struct action_answer){.why = ""}, ANSWERED_MS));
    s.moved = 2;
    s.read_ms = AFTER_MS; /* from before the answer */
    show(&a, s);
    assert_true(says(&a, "asking the cluster"));
    s.read_ms = LATER_MS;
    show(&a, s);
    assert_true(says(&a, "1 of 2 partitions are where they were to be"));
    assert_true(action_wants_snapshot(&a, LATER_MS));
    const struct model *m = model_of(s);
    m->groups[0].offsets[0].committed = 53;
    action_show(&a, m);
    model_unref(m);
    assert_true(says(&a, "2 of 2 partitions"));
    assert_false(action_wants_snapshot(&a, LATER_MS));
    action_free(&a);
}

/* ---- the request -------------------------------------------------------------------------------
 */

/* The answer to a-0, a-1 and b-0, but for `missing` of them. */
static void answer_with(int16_t first, int16_t last, int missing)
{
    struct offset_commit_response_partition a[2] = {{.partition_index = 0, .error_code = first},
                                                    {.partition_index = 1}};
    struct offset_commit_response_partition b[1] = {{.partition_index = 0, .error_code = last}};
    struct offset_commit_response_topic topics[2] = {{.name = wire_str("a")},
                                                     {.name = wire_str("b")}};
    topics[0].partitions.items = a;
    topics[0].partitions.count = 2;
    topics[1].partitions.items = b;
    topics[1].partitions.count = 1 - missing;
    struct offset_commit_response r = {.topics = {topics, 2}};
    sent.done(sent.ctx, &(struct client_answer){.why = "", .response = &r});
}

static void send(struct reset *r)
{
    struct action a = {0};
    struct stand s = usual;
    s.moved = 10; /* a and b: 60, 61; b-1 stays as it is */
    open_with(&a, s, "61");
    assert_int_equal(a.plan.change_count, 2);
    a.plan.rows[1].after = 0; /* so that a has two */
    a.plan.change_count++;
    reset_send(r, NULL, "readers", &a.plan, done, &got);
    action_free(&a);
}

static void test_the_request_and_its_answers(void **state)
{
    (void)state;
    struct reset r = {0};
    sent_count = 0;
    send(&r);
    const struct offset_commit_request *q = sent.body;
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent.api_key, WIRE_OFFSET_COMMIT);
    assert_int_equal(sent_to.kind, CLUSTER_COORDINATOR);
    assert_string_equal(sent_to.group, "readers");
    assert_int_equal(sent.max_version, 9);
    assert_true(wire_str_is(q->group_id, "readers"));
    assert_true(wire_str_is(q->member_id, ""));
    assert_int_equal(q->generation_id_or_member_epoch, -1);
    assert_int_equal(q->topics.count, 2);
    assert_true(wire_str_is(q->topics.items[0].name, "a"));
    assert_int_equal(q->topics.items[0].partitions.count, 2);
    assert_int_equal(q->topics.items[0].partitions.items[0].committed_offset, 61);
    assert_int_equal(q->topics.items[0].partitions.items[1].partition_index, 1);
    assert_true(wire_str_is(q->topics.items[1].name, "b"));
    assert_int_equal(q->topics.items[1].partitions.count, 1);
    assert_int_equal(q->topics.items[1].partitions.items[0].partition_index, 0);
    answer_with(KAFKA_NONE, KAFKA_NONE, 0);
    assert_int_equal(got.error, ERR_NONE);
    assert_int_equal(got.code, KAFKA_NONE);
    assert_int_equal(got.done, 3);
    send(&r);
    answer_with(KAFKA_NONE, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 0);
    assert_int_equal(got.code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(got.done, 2);
    assert_string_equal(got_message, "b-0");
    send(&r);
    answer_with(KAFKA_NONE, KAFKA_NONE, 1); /* what is not named is no success */
    assert_int_equal(got.code, KAFKA_UNKNOWN_SERVER_ERROR);
    send(&r);
    sent.done(sent.ctx, &(struct client_answer){.error = ERR_BUSY,
                                                .kafka_error = KAFKA_COORDINATOR_NOT_AVAILABLE});
    assert_int_equal(got.error, ERR_NONE); /* the cluster has said no: it is known what happened */
    assert_int_equal(got.code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    send(&r);
    sent.done(sent.ctx, &(struct client_answer){.error = ERR_CLOSED, .why = "gone"});
    assert_int_equal(got.error, ERR_CLOSED);
    assert_string_equal(got.why, "gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_before_and_after),
        cmocka_unit_test(test_what_cannot_be_done_is_said_before),
        cmocka_unit_test(test_every_row_must_have_been_on_the_screen),
        cmocka_unit_test(test_moving_ends_do_not_move_what_was_said),
        cmocka_unit_test(test_what_changed_is_asked_anew),
        cmocka_unit_test(test_only_what_was_read_after_it_counts),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_how_it_stands_is_read_again),
        cmocka_unit_test(test_the_request_and_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
