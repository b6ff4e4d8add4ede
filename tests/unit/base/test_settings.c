#include "common/base/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct setting_def ROWS[] = {
    {.name = "size.bytes",
     .type = SETTING_INT,
     .default_text = "10",
     .min = 1,
     .max = 100,
     .unit = "bytes"},
    {.name = "age.ms", .type = SETTING_LONG, .unit = "ms"},
    {.name = "small", .type = SETTING_SHORT, .default_text = "-3"},
    {.name = "on", .type = SETTING_BOOL, .default_text = "false"},
    {.name = "ratio", .type = SETTING_DOUBLE, .default_text = "0.5", .double_max = 1},
    {.name = "free", .type = SETTING_DOUBLE, .default_text = "1e300"},
    {.name = NULL},
};
static const struct setting_def MORE_ROWS[] = {
    {.name = "words", .type = SETTING_LIST, .default_text = "a, b ,"},
    {.name = "policy", .type = SETTING_LIST, .default_text = "delete", .choices = "compact|delete"},
    {.name = "level",
     .type = SETTING_STRING,
     .default_text = "one",
     .choices = "one|two",
     .flags = SETTING_ANY_CASE},
    {.name = "secret", .type = SETTING_PASSWORD, .choices = "hush"},
    {.name = "text", .type = SETTING_STRING},
    {.name = NULL},
};
static const struct setting_def *const PARTS[] = {ROWS, MORE_ROWS};

struct fixture {
    struct settings_table *table;
    struct settings *s;
};

static int setup(void **state)
{
    static struct fixture f;
    f.table = settings_table_new(PARTS, 2);
    f.s = settings_new(f.table);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    settings_free(f->s);
    settings_table_free(f->table);
    return 0;
}

static enum err set(struct fixture *f, const char *name, const char *value, struct err_text *text)
{
    return settings_set(f->s, name, value, SETTING_FROM_ARGUMENT, "--set", text);
}

static void defaults(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settings_table_count(f->table), 11);
    assert_string_equal(settings_table_at(f->table, 0)->name, "age.ms");
    assert_int_equal(settings_int(f->s, "size.bytes"), 10);
    assert_int_equal(settings_int(f->s, "small"), -3);
    assert_false(settings_bool(f->s, "on"));
    assert_true(settings_double(f->s, "ratio") == 0.5);
    assert_false(settings_has_value(f->s, "age.ms"));
    assert_null(settings_string(f->s, "text"));
    assert_string_equal(settings_string(f->s, "level"), "one");
    struct setting_list words = settings_list(f->s, "words");
    assert_int_equal(words.count, 3);
    assert_string_equal(words.items[1], "b");
    assert_string_equal(words.items[2], "");
    assert_false(settings_is_set(f->s, "words"));
    assert_string_equal(settings_origin(f->s, "words"), "default");
}

static void setting(void **state)
{
    struct fixture *f = *state;
    struct err_text text = {""};
    assert_int_equal(set(f, "age.ms", " 9223372036854775807 ", &text), ERR_NONE);
    assert_true(settings_long(f->s, "age.ms") == INT64_MAX);
    assert_int_equal(set(f, "on", "TRUE", &text), ERR_NONE);
    assert_true(settings_bool(f->s, "on"));
    assert_int_equal(set(f, "level", "TWO", &text), ERR_NONE);
    assert_string_equal(settings_string(f->s, "level"), "two");
    assert_int_equal(set(f, "policy", "compact,delete", &text), ERR_NONE);
    assert_int_equal(settings_list(f->s, "policy").count, 2);
    assert_int_equal(set(f, "policy", "", &text), ERR_NONE);
    assert_int_equal(settings_list(f->s, "policy").count, 0);
    assert_int_equal(set(f, "text", " padded ", &text), ERR_NONE);
    assert_string_equal(settings_string(f->s, "text"), "padded");
    assert_int_equal(set(f, "size.bytes", "100", &text), ERR_NONE);
    assert_int_equal(set(f, "size.bytes", "1", &text), ERR_NONE);
    assert_int_equal(settings_int(f->s, "size.bytes"), 1);
    assert_true(settings_is_set(f->s, "size.bytes"));
    struct setting_info info;
    assert_true(settings_info_of(f->s, "text", &info));
    assert_string_equal(info.origin, "--set");
    assert_int_equal(info.source, SETTING_FROM_ARGUMENT);
    assert_false(settings_info_of(f->s, "texts", &info));
}

static const struct {
    const char *name;
    const char *value;
    const char *text;
} WRONG[] = {
    {"size.bytes", "abc", "--set: size.bytes: 'abc' is not a number (expected 1..100 bytes)"},
    {"size.bytes", "", "--set: size.bytes: '' is not a number (expected 1..100 bytes)"},
    {"size.bytes", "1k", "--set: size.bytes: '1k' is not a number (expected 1..100 bytes)"},
    {"size.bytes", "101", "--set: size.bytes: '101' is out of range (expected 1..100 bytes)"},
    {"size.bytes", "0", "--set: size.bytes: '0' is out of range (expected 1..100 bytes)"},
    {"age.ms", "9223372036854775808",
     "--set: age.ms: '9223372036854775808' is out of range (expected "
     "-9223372036854775808..9223372036854775807 ms)"},
    {"small", "32768", "--set: small: '32768' is out of range (expected -32768..32767)"},
    {"on", "yes", "--set: on: 'yes' is neither true nor false (expected true or false)"},
    {"ratio", "1.5", "--set: ratio: '1.5' is out of range (expected 0..1)"},
    {"ratio", "nan", "--set: ratio: 'nan' is not a number (expected 0..1)"},
    {"free", "inf", "--set: free: 'inf' is out of range (expected a number)"},
    {"policy", "compact,burn",
     "--set: policy: 'burn' is not a valid item (expected a list of compact, delete)"},
    {"level", "three", "--set: level: 'three' is not a valid value (expected one of one, two)"},
    {"secret", "loud", "--set: secret: '(hidden)' is not a valid value (expected one of hush)"},
    {"size.byte", "1", "--set: unknown setting 'size.byte': did you mean 'size.bytes'?"},
    {"wodrs", "1", "--set: unknown setting 'wodrs': did you mean 'words'?"},
    {"something.else", "1",
     "--set: unknown setting 'something.else': no setting has a name like it"},
};

static void what_is_wrong_is_said(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        struct err_text text = {""};
        assert_int_not_equal(set(f, WRONG[i].name, WRONG[i].value, &text), ERR_NONE);
        assert_string_equal(text.text, WRONG[i].text);
    }
    assert_int_equal(settings_int(f->s, "size.bytes"), 10); /* a refused value changes nothing */
}

static enum err load(struct fixture *f, const char *data, struct err_text *text)
{
    return settings_load(f->s, "conf/b.ini", data, strlen(data), text);
}

static void files(void **state)
{
    struct fixture *f = *state;
    struct err_text text = {""};
    assert_int_equal(load(f, "[x]\nsize.bytes=7\nwords=a\n  b\n", &text), ERR_NONE);
    assert_int_equal(settings_int(f->s, "size.bytes"), 7);
    assert_int_equal(settings_list(f->s, "words").count, 2);
    assert_string_equal(settings_origin(f->s, "size.bytes"), "conf/b.ini:2");
    /* a second file may say otherwise, one file may not say it twice */
    assert_int_equal(load(f, "size.bytes=8\n", &text), ERR_NONE);
    assert_int_equal(settings_int(f->s, "size.bytes"), 8);
    assert_int_equal(load(f, "size.bytes=8\non=true\nsize.bytes=9\n", &text), ERR_DUPLICATE);
    assert_string_equal(text.text, "conf/b.ini:3: size.bytes is given twice (first at "
                                   "conf/b.ini:1): keep one");
    assert_int_equal(load(f, "\n\nsize.bytes=x\n", &text), ERR_INVALID);
    assert_string_equal(text.text, "conf/b.ini:3: size.bytes: 'x' is not a number (expected "
                                   "1..100 bytes)");
    assert_int_equal(load(f, "sizebytes=1\n", &text), ERR_NOT_FOUND);
    assert_string_equal(text.text, "conf/b.ini:1: unknown setting 'sizebytes': did you mean "
                                   "'size.bytes'?");
}

static void layers_win_while_they_last(void **state)
{
    struct fixture *f = *state;
    struct err_text text = {""};
    struct setting_info info;
    assert_int_equal(set(f, "size.bytes", "7", &text), ERR_NONE);
    assert_int_equal(settings_override(f->s, "size.bytes", SETTING_LAYER_BROKER, "20", &text), 0);
    assert_int_equal(settings_override(f->s, "size.bytes", SETTING_LAYER_CLUSTER, "30", &text), 0);
    assert_int_equal(settings_int(f->s, "size.bytes"), 20);
    assert_int_equal(set(f, "size.bytes", "8", &text), ERR_NONE); /* underneath */
    assert_int_equal(settings_int(f->s, "size.bytes"), 20);
    assert_true(settings_info_of(f->s, "size.bytes", &info));
    assert_string_equal(info.text, "8");
    assert_string_equal(info.holds, "20");
    assert_string_equal(info.layers[SETTING_LAYER_CLUSTER], "30");
    assert_int_equal(settings_override(f->s, "size.bytes", SETTING_LAYER_BROKER, "x", &text),
                     ERR_INVALID);
    assert_int_equal(settings_override(f->s, "sizebytes", SETTING_LAYER_BROKER, "1", &text),
                     ERR_NOT_FOUND);
    assert_int_equal(settings_int(f->s, "size.bytes"), 20);
    assert_int_equal(settings_override(f->s, "size.bytes", SETTING_LAYER_BROKER, NULL, &text), 0);
    assert_int_equal(settings_int(f->s, "size.bytes"), 30);
    assert_int_equal(settings_override(f->s, "size.bytes", SETTING_LAYER_CLUSTER, NULL, &text), 0);
    assert_int_equal(settings_int(f->s, "size.bytes"), 8);
    /* what has no value of its own gets one, a list another */
    assert_int_equal(settings_override(f->s, "age.ms", SETTING_LAYER_CLUSTER, "5", &text), 0);
    assert_true(settings_has_value(f->s, "age.ms"));
    assert_true(settings_long(f->s, "age.ms") == 5);
    assert_false(settings_is_set(f->s, "age.ms"));
    assert_int_equal(settings_override(f->s, "words", SETTING_LAYER_BROKER, "z", &text), 0);
    assert_int_equal(settings_list(f->s, "words").count, 1);
    assert_int_equal(settings_override(f->s, "text", SETTING_LAYER_BROKER, "t", &text), 0);
    assert_string_equal(settings_string(f->s, "text"), "t");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(setting, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(files, setup, teardown),
        cmocka_unit_test_setup_teardown(layers_win_while_they_last, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
