#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "console/json.h"
#include "console/keys.h"
#include "console/prompt.h"
#include "console/text.h"
#include "console/view.h"
#include "tests/unit/console/fixture.h"

static void test_model_order_and_search(void **state)
{
    (void)state;
    const struct model *m = fixture_model();
    assert_int_equal(m->topic_count, 3);
    assert_string_equal(m->topics[1].name, "orders");
    assert_string_equal(m->topics[2].name, "__consumer_offsets");
    assert_true(m->topics[2].internal);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(m->topics[1].partitions[i].partition, i);
        assert_ptr_equal(m->topics[1].partitions[i].topic, &m->topics[1]);
    }
    assert_string_equal(m->groups[0].group, "audit");
    assert_int_equal(m->quorum.nodes[0].node, 1);
    assert_false(m->quorum.nodes[2].voter);
    assert_non_null(model_find_partition(m, "orders", 2));
    assert_null(model_find_partition(m, "orders", 3));
    assert_null(model_find_topic(m, "nothing"));
    model_unref(m);
}

static void test_model_lag_and_marks(void **state)
{
    (void)state;
    const struct model *m = fixture_model();
    const struct model_partition *p = model_find_partition(m, "orders", 1);
    assert_int_equal(model_find_replica(p, 1)->lag, 60);
    assert_int_equal(model_find_replica(p, 3)->lag, 0);
    assert_int_equal(model_worst_lag(p), 60);
    /* Without a leader there is nothing to measure by. */
    p = model_find_partition(m, "orders", 2);
    assert_int_equal(model_find_replica(p, 1)->lag, MODEL_UNKNOWN);
    const struct model_group *g = model_find_group(m, "workers");
    assert_int_equal(g->offsets[0].lag, 40);
    assert_int_equal(g->offsets[1].lag, MODEL_NONE);
    assert_int_equal(g->offsets[2].lag, MODEL_UNKNOWN);
    assert_int_equal(model_group_lag(g), 40);
    assert_int_equal(model_group_lag(model_find_group(m, "audit")), MODEL_DENIED);
    assert_int_equal(m->quorum.nodes[2].lag, 11);
    model_unref(m);
}

/* A lag is as old as the older of the two ends it is counted from: the leader's counts too. */
static void test_model_age_of_a_lag(void **state)
{
    (void)state;
    const struct model *before = fixture_model();
    const struct model_partition *p = model_find_partition(before, "orders", 1);
    assert_int_equal(model_find_replica(p, 1)->lag_taken_ms, FIXTURE_NOW_MS - 9000);
    assert_int_equal(model_find_replica(p, 2)->lag_taken_ms, FIXTURE_NOW_MS - 1000);
    struct model *m = model_copy(before);
    struct model_partition *q = model_find_partition(m, "orders", 1);
    model_find_replica(q, q->leader)->sampled_ms = FIXTURE_NOW_MS - 5000;
    model_freeze(m);
    assert_int_equal(model_find_replica(q, 1)->lag_taken_ms, FIXTURE_NOW_MS - 9000);
    assert_int_equal(model_find_replica(q, 2)->lag_taken_ms, FIXTURE_NOW_MS - 5000);
    model_unref(m);
    model_unref(before);
}

static void test_model_never_shows_a_negative_lag(void **state)
{
    (void)state;
    struct model *m = model_new();
    struct model_topic *t = model_set_topics(m, 1);
    t->name = "a";
    struct model_partition *p = model_set_partitions(m, t, 1);
    struct model_replica *r = model_set_replicas(m, p, 2);
    p->leader = 1;
    r[0] = (struct model_replica){.broker = 1, .end_offset = 10, .in_sync = true};
    r[1] = (struct model_replica){.broker = 2, .end_offset = 14, .in_sync = true};
    model_sort(m);
    model_freeze(m);
    assert_int_equal(m->topics[0].partitions[0].replicas[1].lag, 0);
    model_unref(m);
}

static void test_model_faults(void **state)
{
    (void)state;
    const struct model *m = fixture_model();
    assert_int_equal(model_partition_fault(model_find_partition(m, "orders", 0)), MODEL_HEALTHY);
    assert_int_equal(model_partition_fault(model_find_partition(m, "orders", 1)),
                     MODEL_UNDER_REPLICATED);
    assert_int_equal(model_partition_fault(model_find_partition(m, "orders", 2)), MODEL_OFFLINE);
    struct model_counts n = model_count(m);
    assert_int_equal(n.brokers, 2);
    assert_int_equal(n.brokers_missing, 1);
    assert_int_equal(n.partitions, 4);
    assert_int_equal(n.offline, 1);
    assert_int_equal(n.under_min_isr, 1);
    assert_int_equal(n.under_replicated, 1);
    assert_int_equal(model_judge(m), MODEL_VERDICT_CRITICAL);
    model_unref(m);
}

static bool reason_is(const struct model_reason *r, enum model_verdict severity, int64_t count,
                      const char *what)
{
    return r->severity == severity && r->count == count && strstr(r->what, what) != NULL &&
           r->advice != NULL;
}

static void test_a_verdict_has_its_reasons(void **state)
{
    (void)state;
    struct model_reason r[MODEL_MAX_REASONS];
    const struct model *m = fixture_model();
    assert_int_equal(model_reasons(m, r), 3);
    assert_true(reason_is(&r[0], MODEL_VERDICT_CRITICAL, 1, "without a leader"));
    assert_true(reason_is(&r[1], MODEL_VERDICT_WARNING, 1, "brokers fenced or missing"));
    assert_true(reason_is(&r[2], MODEL_VERDICT_WARNING, 1, "out of the ISR"));

    /* All is well with the topics; then with the quorum it is not. */
    struct model *draft = model_copy(m);
    model_unref(m);
    draft->topic_count = 0;
    draft->broker_count = 1;
    draft->brokers[0].alive = true;
    assert_int_equal(model_reasons(draft, r), 0);
    assert_int_equal(model_judge(draft), MODEL_VERDICT_OK);
    struct model_voter *voter = draft->quorum.nodes;
    for (int i = 0; voter->node != 2; i++) {
        assert_true(i + 1 < draft->quorum.node_count);
        voter = &draft->quorum.nodes[i + 1];
    }
    voter->last_fetch_ms = FIXTURE_NOW_MS - 10001;
    assert_int_equal(model_reasons(draft, r), 1);
    assert_true(reason_is(&r[0], MODEL_VERDICT_WARNING, 1, "voters of the metadata quorum"));
    assert_int_equal(model_judge(draft), MODEL_VERDICT_WARNING);
    voter->voter = false; /* an observer may be as slow as it likes */
    assert_int_equal(model_judge(draft), MODEL_VERDICT_OK);
    draft->quorum.leader = MODEL_NO_BROKER;
    assert_true(reason_is(&r[model_reasons(draft, r) - 1], MODEL_VERDICT_CRITICAL, 0, "no leader"));
    assert_int_equal(model_judge(draft), MODEL_VERDICT_CRITICAL);
    draft->quorum.leader = 1;
    draft->parts[MODEL_CONFIGS].state = MODEL_REFUSED;
    draft->parts[MODEL_CONFIGS].error = "DescribeConfigs: no";
    assert_int_equal(model_reasons(draft, r), 1);
    assert_true(reason_is(&r[0], MODEL_VERDICT_UNKNOWN, 0, "DescribeConfigs: no"));
    assert_int_equal(model_judge(draft), MODEL_VERDICT_OK); /* as far as it was read */
    draft->parts[MODEL_CONFIGS].state = MODEL_READ;
    draft->parts[MODEL_QUORUM] = (struct model_part){MODEL_UNREAD, 0, NULL};
    assert_int_equal(model_reasons(draft, r), 1);
    assert_true(reason_is(&r[0], MODEL_VERDICT_UNKNOWN, 0, "DescribeQuorum: no answer yet"));
    model_freeze(draft);
    model_unref(draft);
}

/* Of orders, min.insync.replicas 2: 0 has all three in sync; 1 has 2 and 3; 2 is offline. */
static void test_what_stopping_a_broker_would_do(void **state)
{
    (void)state;
    const struct model *m = fixture_model();
    struct model *draft = model_copy(m);
    model_unref(m);
    model_freeze(draft);
    assert_int_equal(model_find_broker(draft, 1)->stop_under_min_isr, 0);
    assert_int_equal(model_find_broker(draft, 2)->stop_under_min_isr, 1);
    assert_int_equal(model_find_broker(draft, 3)->stop_under_min_isr, 1);
    assert_int_equal(model_find_broker(draft, 2)->stop_offline, 0);
    assert_true(model_find_broker(draft, 2)->stop_known);

    struct model *worse = model_copy(draft);
    model_unref(draft);
    model_find_topic(worse, "orders")->partitions[1].replicas[0].in_sync = false; /* 2 */
    model_freeze(worse);
    assert_int_equal(model_find_broker(worse, 3)->stop_offline, 1);
    assert_int_equal(model_find_broker(worse, 3)->stop_under_min_isr, 0);

    struct model *unknown = model_copy(worse);
    model_unref(worse);
    model_find_topic(unknown, "orders")->min_insync = MODEL_UNKNOWN;
    model_freeze(unknown);
    assert_false(model_find_broker(unknown, 1)->stop_known);
    model_unref(unknown);
}

static void test_min_isr_is_bounded_by_replicas(void **state)
{
    (void)state;
    struct model_topic t = {.name = "one", .min_insync = 2};
    struct model_replica r = {.broker = 1, .in_sync = true};
    struct model_partition p = {.topic = &t, .leader = 1, .replicas = &r, .replica_count = 1};
    assert_int_equal(model_partition_fault(&p), MODEL_HEALTHY);
    r.in_sync = false;
    assert_int_equal(model_partition_fault(&p), MODEL_UNDER_MIN_ISR);
}

static void test_an_unread_cluster_is_not_a_healthy_one(void **state)
{
    (void)state;
    struct model *m = model_new();
    m->parts[MODEL_GROUPS].state = MODEL_REFUSED;
    model_freeze(m);
    struct model_counts n = model_count(m);
    assert_int_equal(n.brokers, MODEL_UNKNOWN);
    assert_int_equal(n.groups, MODEL_DENIED);
    assert_int_equal(model_judge(m), MODEL_VERDICT_UNKNOWN);
    model_unref(m);
}

static void test_text_is_made_safe(void **state)
{
    (void)state;
    char out[TEXT_MAX];
    assert_string_equal(text_safe("a\033[2Jb\r\n\t\x7f", out), "a?[2Jb????");
    assert_string_equal(text_safe("\xff\xc3", out), "??");
    if (text_is_utf8()) {
        assert_string_equal(text_safe("\u202ea\u200d", out), "?a?");
        assert_string_equal(text_safe("\u00e9\u6f22", out), "\u00e9\u6f22");
        assert_int_equal(text_cells("\u00e9\u6f22"), 3);
        assert_string_equal(text_fit("\u6f22\u6f22\u6f22", 4, TEXT_LEFT, out), "\u6f22\u2026 ");
    }
}

static void test_text_fits_exactly(void **state)
{
    (void)state;
    char out[TEXT_MAX];
    assert_string_equal(text_fit("ab", 4, TEXT_LEFT, out), "ab  ");
    assert_string_equal(text_fit("ab", 4, TEXT_RIGHT, out), "  ab");
    assert_string_equal(text_fit("abcd", 4, TEXT_RIGHT, out), "abcd");
    assert_string_equal(text_fit("abcde", 4, TEXT_LEFT, out),
                        text_is_utf8() ? "abc\u2026" : "abc~");
    assert_string_equal(text_fit("abc", 0, TEXT_LEFT, out), "");
    char huge[2000];
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_true(strlen(text_fit(huge, 5000, TEXT_LEFT, out)) < TEXT_MAX);
    assert_string_equal(text_size(1536, out), "1.5 KiB");
    assert_string_equal(text_size(1023, out), "1023 B");
    assert_string_equal(text_size(1048575, out), "1.0 MiB");
    assert_string_equal(text_number(0, out), "0");
    assert_string_not_equal(text_number(MODEL_DENIED, out), glyph(GLYPH_MISSING));
}

static void test_keys_table_is_sound(void **state)
{
    (void)state;
    int count = 0;
    const struct key_binding *table = keys_table(&count);
    assert_null(keys_check(table, count));
    assert_int_equal(keys_lookup('j'), REQUEST_DOWN);
    assert_int_equal(keys_lookup(KEY_CODE_UNKNOWN), REQUEST_NONE);
    char name[16];
    assert_string_equal(keys_name(KEY_CTRL('l'), name), "Ctrl+L");
}

static void test_keys_check_finds_faults(void **state)
{
    (void)state;
    struct key_binding two[] = {{REQUEST_UP, "up", "go up", {'k'}, 1},
                                {REQUEST_DOWN, "down", "go down", {'j'}, 2}};
    assert_null(keys_check(two, 2));
    two[1].keys[1] = 'k';
    assert_string_equal(keys_check(two, 2), "a key is bound twice");
    two[1].keys[1] = 0;
    two[0].label = " ";
    assert_string_equal(keys_check(two, 2), "a label or help is empty");
    two[0].label = "up";
    two[1].hint = 1;
    assert_string_equal(keys_check(two, 2), "two hints claim one place");
    two[1].hint = 2;
    two[1].request = REQUEST_UP;
    assert_string_equal(keys_check(two, 2), "a request is bound twice");
}

static void test_every_request_has_a_key(void **state)
{
    (void)state;
    int count = 0;
    const struct key_binding *table = keys_table(&count);
    for (int request = REQUEST_UP; request <= REQUEST_QUIT; request++) {
        bool bound = false;
        for (int i = 0; i < count; i++) {
            bound |= (int)table[i].request == request;
        }
        assert_true(bound);
    }
}

static void type(struct prompt *p, const char *text)
{
    for (; *text != '\0'; text++) {
        assert_int_equal(prompt_key(p, *text), PROMPT_EDITED);
    }
}

static void test_prompt_edits_and_completes(void **state)
{
    (void)state;
    static const char *const words[] = {"topics", "partitions", "pause", NULL};
    struct prompt p;
    prompt_open(&p, ':', "", words);
    type(&p, "pa");
    prompt_key(&p, KEY_CODE_TAB);
    assert_string_equal(p.text, "partitions");
    prompt_key(&p, KEY_CODE_TAB);
    assert_string_equal(p.text, "pause");
    prompt_key(&p, KEY_CODE_TAB);
    assert_string_equal(p.text, "pa");
    prompt_key(&p, KEY_CODE_BACKTAB);
    assert_string_equal(p.text, "pause");
    prompt_key(&p, KEY_CODE_BACKSPACE);
    assert_string_equal(p.text, "paus");
    prompt_key(&p, KEY_CTRL('w'));
    assert_string_equal(p.text, "");
    assert_int_equal(prompt_key(&p, KEY_CODE_UP), PROMPT_IGNORED);
    assert_int_equal(prompt_key(&p, KEY_CODE_BACKSPACE), PROMPT_CANCELLED);
    assert_false(p.open);
    prompt_open(&p, '/', "", NULL);
    for (int i = 0; i < 500; i++) {
        prompt_key(&p, 'x');
    }
    assert_int_equal(strlen(p.text), PROMPT_MAX_BYTES);
    assert_int_equal(prompt_key(&p, KEY_CODE_ENTER), PROMPT_ACCEPTED);
}

static void test_json_holds_null_for_the_unknown(void **state)
{
    (void)state;
    const struct model *m = fixture_model();
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    json_print(m, VIEW_PARTITIONS, to);
    fclose(to);
    assert_non_null(strstr(text, "\"leader\": null"));
    assert_non_null(strstr(text, "\"high_watermark\": null"));
    assert_non_null(strstr(text, "\"lag\": 60"));
    assert_null(strstr(text, "-92233720"));
    free(text);
    to = open_memstream(&text, &size);
    json_print(m, VIEW_GROUPS, to);
    fclose(to);
    assert_non_null(strstr(text, "\"members\": null"));
    assert_non_null(strstr(text, "\"committed\": null"));
    assert_non_null(strstr(text, "\"committed\": 60"));
    free(text);
    to = open_memstream(&text, &size);
    json_print(m, VIEW_TOPICS, to);
    fclose(to);
    assert_non_null(strstr(text, "evil?[2Jname?"));
    free(text);
    for (int id = 0; id < VIEW_NAMED_COUNT; id++) {
        to = open_memstream(&text, &size);
        json_print(m, (enum view_id)id, to);
        fclose(to);
        free(text);
    }
    model_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_order_and_search),
        cmocka_unit_test(test_model_lag_and_marks),
        cmocka_unit_test(test_model_age_of_a_lag),
        cmocka_unit_test(test_model_never_shows_a_negative_lag),
        cmocka_unit_test(test_model_faults),
        cmocka_unit_test(test_a_verdict_has_its_reasons),
        cmocka_unit_test(test_what_stopping_a_broker_would_do),
        cmocka_unit_test(test_min_isr_is_bounded_by_replicas),
        cmocka_unit_test(test_an_unread_cluster_is_not_a_healthy_one),
        cmocka_unit_test(test_text_is_made_safe),
        cmocka_unit_test(test_text_fits_exactly),
        cmocka_unit_test(test_keys_table_is_sound),
        cmocka_unit_test(test_keys_check_finds_faults),
        cmocka_unit_test(test_every_request_has_a_key),
        cmocka_unit_test(test_prompt_edits_and_completes),
        cmocka_unit_test(test_json_holds_null_for_the_unknown),
    };
    int failed = cmocka_run_group_tests_name("console parts, C locale", tests, NULL, NULL);
    if (setlocale(LC_ALL, "C.UTF-8") != NULL) {
        text_init();
        failed += cmocka_run_group_tests_name("console parts, UTF-8", tests, NULL, NULL);
    }
    return failed;
}
