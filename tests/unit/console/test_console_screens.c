/* Whole screens, drawn by curses on a terminal that goes nowhere and read back.
 *
 * The expected screens are the files in golden/. With REGENERATE=1 in the environment they are
 * written instead of compared; look at the difference before committing it. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "console/screen.h"
#include "console/text.h"
#include "console/ui.h"
#include "tests/unit/console/fixture.h"

struct size {
    int rows;
    int columns;
};

static struct screen *screen;
static struct ui ui;
static const struct model *model;
static const char *charset;
static int mismatches;

static char *dump(void)
{
    char *text = NULL;
    size_t size = 0;
    ui_draw(&ui, screen, FIXTURE_NOW_MS + 1500);
    FILE *to = open_memstream(&text, &size);
    screen_dump(screen, to);
    fclose(to);
    return text;
}

static char *slurp(const char *path)
{
    FILE *in = fopen(path, "re");
    char *text = calloc(1, 1 << 16);
    if (in != NULL) {
        size_t got = fread(text, 1, (1 << 16) - 1, in);
        text[got] = '\0';
        fclose(in);
    }
    return text;
}

static void check(const char *name)
{
    char path[512];
    char *actual = dump();
    snprintf(path, sizeof path, "%s/%s-%dx%d-%s.txt", GOLDEN_DIR, name, screen_columns(screen),
             screen_rows(screen), charset);
    if (getenv("REGENERATE") != NULL) {
        FILE *out = fopen(path, "we");
        assert_non_null(out);
        fputs(actual, out);
        fclose(out);
    }
    char *expected = slurp(path);
    if (strcmp(actual, expected) != 0) {
        fprintf(stderr, "---- %s, expected:\n%s---- drawn:\n%s", path, expected, actual);
        mismatches++;
    }
    free(expected);
    free(actual);
}

static void keys(const char *text)
{
    for (; *text != '\0'; text++) {
        ui_key(&ui, *text, screen_rows(screen));
    }
}

static int start(void **state)
{
    (void)state;
    model = fixture_model();
    ui_init(&ui, "127.0.0.1:9092", 2000);
    mismatches = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    ui_free(&ui);
    model_unref(model);
    return 0;
}

static void test_golden(void **state)
{
    (void)state;
    ui_set_trouble(&ui, "127.0.0.1:9092: connection refused");
    check("waiting");
    ui_set_trouble(&ui, "");
    ui_show(&ui, model);
    check("overview");
    keys("2");
    check("brokers");
    keys("3");
    check("topics");
    keys("2gje"); /* of all that broker 2 is to lead */
    check("elect-many");
    keys("n3");
    keys("4");
    check("partitions");
    keys("je"); /* orders-1: its preferred leader is alive and in the ISR */
    check("elect");
    keys("n");
    check("elect-declined");
    keys("je"); /* orders-2 is offline, and its preferred leader is down */
    check("elect-impossible");
    keys("n");
    keys("gjm"); /* what there is, to be edited */
    check("reassign-prompt");
    keys("\177\177\1771,3\n");
    check("reassign");
    keys("n5");
    check("groups");
    keys("G\n");
    check("group");
    keys("oearliest\n"); /* it has members */
    check("reset-impossible");
    keys("n");
    keys("6");
    check("quorum");
    keys("?");
    check("help");
    keys("?4:to");
    check("command");
    assert_int_equal(mismatches, 0);
}

static bool shows(const char *what)
{
    char *text = dump();
    bool found = strstr(text, what) != NULL;
    free(text);
    return found;
}

static void test_too_small(void **state)
{
    (void)state;
    ui_show(&ui, model);
    check("small");
    assert_int_equal(mismatches, 0);
    assert_true(shows("barnabas needs 60x15"));
    keys("4je"); /* what it asks was read, and then the window was made small */
    ui.action.drawn = true;
    assert_int_equal(ui.action.state, ACTION_PREVIEW);
    assert_true(shows("barnabas needs 60x15"));
    keys("y");
    assert_int_equal(ui.action.state, ACTION_CLOSED);
}

static void test_cursor_stays_on_its_object(void **state)
{
    (void)state;
    ui_show(&ui, model);
    keys("4jj");
    const struct row *row = table_selected(&ui_view(&ui)->table);
    assert_string_equal(row->id.name, "orders");
    assert_int_equal(row->id.number, 2);
    keys("sssssssssss"); /* by state */
    keys("S");
    row = table_selected(&ui_view(&ui)->table);
    assert_int_equal(row->id.number, 2);
    assert_int_equal(ui_view(&ui)->table.selected, 0);
    /* A new snapshot with a topic before it. */
    struct model *more = model_copy(model);
    struct model_topic *t = model_set_topics(more, 2);
    t[0].name = "aaa";
    model_set_replicas(more, &model_set_partitions(more, &t[0], 1)[0], 1)->broker = 1;
    t[1].name = "orders";
    struct model_partition *p = model_set_partitions(more, &t[1], 3);
    for (int i = 0; i < 3; i++) {
        p[i].partition = i;
        model_set_replicas(more, &p[i], 1)->broker = 1;
    }
    model_sort(more);
    model_freeze(more);
    ui_show(&ui, more);
    row = table_selected(&ui_view(&ui)->table);
    assert_string_equal(row->id.name, "orders");
    assert_int_equal(row->id.number, 2);
    model_unref(more);
}

static void test_filter_and_back(void **state)
{
    (void)state;
    ui_show(&ui, model);
    keys("3/ORD");
    assert_int_equal(ui_view(&ui)->table.shown_count, 1);
    keys("\n");
    assert_true(shows("1 of 3 rows"));
    keys("\n");
    assert_string_equal(ui_view(&ui)->scope.topic, "orders");
    ui_key(&ui, KEY_CODE_ESCAPE, 24);
    assert_int_equal(ui_view(&ui)->id, VIEW_TOPICS);
    assert_string_equal(ui_view(&ui)->table.filter, "ORD");
    ui_key(&ui, KEY_CODE_ESCAPE, 24);
    assert_int_equal(ui_view(&ui)->table.shown_count, 3);
    keys("/!ORD\n");
    assert_int_equal(ui_view(&ui)->table.shown_count, 2);
    keys("/");
    ui_key(&ui, KEY_CTRL('u'), 24);
    keys("[\n");
    assert_true(shows("filter [: "));
    keys("i");
    assert_false(shows("__consumer_offsets"));
    keys(":partitions audit\n:nonsense\n");
    assert_true(shows("no command nonsense"));
    keys(":interval 5\n");
    assert_int_equal(ui.interval_ms, 5000);
    keys("!");
    assert_true(shows("only what is wrong"));
}

static void test_overview_opens_what_is_behind(void **state)
{
    (void)state;
    ui_show(&ui, model);
    keys("jjjj\n");
    assert_int_equal(ui_view(&ui)->id, VIEW_PARTITIONS);
    assert_int_equal(ui_view(&ui)->table.row_count, 1);
    assert_true(shows("offline partitions"));
    for (int i = 0; i < 100; i++) {
        keys("12345");
    }
    assert_int_equal(ui.depth, UI_MAX_DEPTH);
    for (int i = 0; i < 100; i++) {
        keys("-");
    }
    assert_int_equal(ui.depth, 1);
    keys("q");
    assert_true(ui.quit);
}

/* Pasted or typed ahead, `e` and `y` do nothing: the question has not been on the screen. */
static void test_only_a_question_that_was_seen_is_agreed_to(void **state)
{
    (void)state;
    ui_show(&ui, model);
    keys("4jey");
    assert_int_equal(ui.action.state, ACTION_CLOSED);
    assert_true(shows("nothing was changed"));
    keys("e");
    assert_true(shows("y elects."));
    ui.refresh = false;
    ui.now_ms = FIXTURE_NOW_MS + 1;
    keys("y");
    assert_int_equal(ui.action.state, ACTION_CHECKING);
    assert_true(ui.refresh);
    keys("q"); /* while it is open, no key means anything else */
    assert_false(ui.quit);
    assert_true(shows("nothing was changed"));
    keys("5e");
    assert_true(shows("e elects on partitions (4), topics (3), brokers (2)"));
}

static void test_what_does_not_fit_is_not_agreed_to(void **state)
{
    (void)state;
    static char name[ACTION_TOPIC_BYTES]; /* the screen keeps the model */
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct model *m = model_copy(model);
    model_find_topic(m, "orders")->name = name;
    model_find_partition(m, name, 1)->replicas[2].in_sync = true;
    model_sort(m);
    model_freeze(m);
    ui_show(&ui, m);
    keys("4gje");
    assert_int_equal(ui.action.state, ACTION_PREVIEW);
    bool fits = screen_rows(screen) >= 24;
    ui.action.drawn = true; /* before the window was made so small */
    assert_true(shows("y elects.") == fits);
    assert_true(shows("Enlarge it, or Esc.") == !fits);
    assert_true(ui.action.drawn == fits);
    keys("y");
    assert_int_equal(ui.action.state, fits ? ACTION_CHECKING : ACTION_CLOSED);
    model_unref(m);
}

static void test_an_answer_after_one_went_on_is_said_in_the_message_line(void **state)
{
    (void)state;
    ui_show(&ui, model);
    keys("4je");
    assert_true(shows("y elects."));
    keys("y");
    ui_show(&ui, model); /* times are 0 here: it counts as newer */
    assert_int_equal(ui.action.state, ACTION_READY);
    action_sent(&ui.action);
    ui_key(&ui, KEY_CODE_ESCAPE, 24);
    assert_false(shows("nothing was changed"));
    keys("e");
    assert_true(shows("still under way: Elect the preferred leader of orders-1"));
    ui_answered(&ui, &(struct action_answer){.why = ""});
    assert_true(shows("Elected: broker 2 leads orders-1."));
    assert_true(ui.refresh);
}

static void test_no_hostile_name_reaches_the_screen(void **state)
{
    (void)state;
    ui_show(&ui, model);
    keys("3");
    char *text = dump();
    assert_null(strchr(text, 27));
    assert_non_null(strstr(text, "evil?[2Jname?"));
    free(text);
}

static int run(const char *name, struct size size)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_golden, start, stop),
        cmocka_unit_test_setup_teardown(test_cursor_stays_on_its_object, start, stop),
        cmocka_unit_test_setup_teardown(test_filter_and_back, start, stop),
        cmocka_unit_test_setup_teardown(test_overview_opens_what_is_behind, start, stop),
        cmocka_unit_test_setup_teardown(test_only_a_question_that_was_seen_is_agreed_to, start,
                                        stop),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit_is_not_agreed_to, start, stop),
        cmocka_unit_test_setup_teardown(
            test_an_answer_after_one_went_on_is_said_in_the_message_line, start, stop),
        cmocka_unit_test_setup_teardown(test_no_hostile_name_reaches_the_screen, start, stop),
    };
    const struct CMUnitTest small[] = {
        cmocka_unit_test_setup_teardown(test_too_small, start, stop),
    };
    screen = screen_open_nowhere(size.rows, size.columns);
    int failed = size.rows < UI_MIN_ROWS ? cmocka_run_group_tests_name(name, small, NULL, NULL)
                                         : cmocka_run_group_tests_name(name, tests, NULL, NULL);
    screen_close(screen);
    return failed;
}

int main(void)
{
    static const struct size sizes[] = {{24, 80}, {40, 120}, {10, 40}, {15, 60}};
    int failed = 0;
    for (int locale = 0; locale < 2; locale++) {
        charset = locale == 0 ? "C" : "UTF-8";
        if (setlocale(LC_ALL, locale == 0 ? "C" : "C.UTF-8") == NULL) {
            fprintf(stderr, "SKIP: no locale C.UTF-8 here\n");
            continue;
        }
        text_init();
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char name[64];
            snprintf(name, sizeof name, "screens %dx%d %s", sizes[i].columns, sizes[i].rows,
                     charset);
            failed += run(name, sizes[i]);
        }
    }
    return failed;
}
