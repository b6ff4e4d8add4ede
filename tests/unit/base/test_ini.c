#include "common/base/ini.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"

/* Entries as "LINE [SECTION] KEY=VALUE\n"; keys that begin with "list" are lists. */
static bool is_list(void *ctx, const char *key)
{
    (void)ctx;
    return strncmp(key, "list", 4) == 0;
}

static enum err write_entry(void *ctx, const struct ini_entry *e, struct err_text *text)
{
    if (strcmp(e->key, "refused") == 0) {
        err_set(text, "%s:%d: refused", e->file, e->line);
        return ERR_DUPLICATE;
    }
    bytes_printf(ctx, "%d [%s] %s=%s\n", e->line, e->section, e->key, e->value);
    return ERR_NONE;
}

/* Returns the error; the entries are in `to` as text. */
static enum err read_text(const char *data, size_t size, char to[4096], struct err_text *text)
{
    struct bytes seen = {0};
    const struct ini_visitor visitor = {.is_list = is_list, .entry = write_entry, .ctx = &seen};
    enum err error = ini_read("f.ini", data, size, &visitor, text);
    snprintf(to, 4096, "%.*s", (int)seen.size, seen.size > 0 ? (const char *)seen.data : "");
    bytes_free(&seen);
    return error;
}

static const struct {
    const char *data;
    const char *entries;
} GOOD[] = {
    {"", ""},
    {"# only\n\n ; a comment\n", ""},
    {"a=1", "1 [] a=1\n"},
    {"a=1\nb = two words \r\n", "1 [] a=1\n2 [] b=two words\n"},
    {"\xEF\xBB\xBF"
     "a=1\n",
     "1 [] a=1\n"},
    {"[s]\na:1\n[t u]\nb=\n", "2 [s] a=1\n4 [t u] b=\n"},
    {"list=1\n  2\n\n\t# between\n\t3,\n    4\nb=x;y\n", "1 [] list=1,2,3,4\n7 [] b=x;y\n"},
    {"list=\n  1\n", "1 [] list=1\n"},
    {"list.of.a.name.that.is.longer.than.the.fifty.bytes.inih.keeps=1\n 2\n",
     "1 [] list.of.a.name.that.is.longer.than.the.fifty.bytes.inih.keeps=1,2\n"},
    {"a=b=c\n", "1 [] a=b=c\n"},
};

static void good_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        char entries[4096];
        struct err_text text = {""};
        assert_int_equal(read_text(GOOD[i].data, strlen(GOOD[i].data), entries, &text), ERR_NONE);
        assert_string_equal(entries, GOOD[i].entries);
    }
}

static const struct {
    const char *data;
    const char *text;
} BAD[] = {
    {"a=1\nnonsense\nb=2\n", "f.ini:2: expected KEY = VALUE"},
    {"[open\n", "f.ini:1: a section is [NAME] alone"},
    {"[s] a=1\n", "f.ini:1: a section is [NAME] alone"},
    {"a=1\n b=2\n", "f.ini:2: an indented line continues a list, but the key above it is not"},
    {" a=1\n", "f.ini:1: an indented line continues a list, but no key"},
    {"a=1\n\nb = 1 ; one\n", "f.ini:3: \" ;\" would cut the value"},
    {"a=\t;x\n", "f.ini:1: \" ;\" would cut the value"},
    {"list=1\n 2 ;3\n", "f.ini:2: \" ;\" would cut the value"},
    {"=1\n", "f.ini:1: nothing stands before"},
    {"nonsense\na = 1 ; b\n", "f.ini:1: expected KEY = VALUE"},
    {"x=1\nrefused=1\nnonsense\n", "f.ini:3: expected KEY = VALUE"},
    {"x=1\nrefused=1\ny=1\n", "f.ini:2: refused"},
};

static void bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char entries[4096];
        struct err_text text = {""};
        assert_int_not_equal(read_text(BAD[i].data, strlen(BAD[i].data), entries, &text), ERR_NONE);
        text.text[strlen(BAD[i].text) < sizeof text.text ? strlen(BAD[i].text) : 0] = '\0';
        assert_string_equal(text.text, BAD[i].text);
    }
}

static void long_lines(void **state)
{
    (void)state;
    char data[256];
    char entries[4096];
    struct err_text text = {""};
    memset(data, 'x', sizeof data);
    memcpy(data, "a=", 2);
    assert_int_equal(read_text(data, 199, entries, &text), ERR_NONE);
    assert_int_equal(strlen(entries), strlen("1 [] a=") + 197 + 1);
    assert_int_equal(read_text(data, 200, entries, &text), ERR_INVALID);
    assert_non_null(strstr(text.text, "f.ini:1: the line is longer than 199 bytes"));
    data[199] = '\n';
    assert_int_equal(read_text(data, 200, entries, &text), ERR_NONE);
    data[1] = '\0';
    assert_int_equal(read_text(data, 10, entries, &text), ERR_INVALID);
    assert_non_null(strstr(text.text, "f.ini:1: the line holds a NUL byte"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
