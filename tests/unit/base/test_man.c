/* Manual pages: whatever a text holds, roff shows it as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/man.h"

static void assert_page(struct bytes *page, const char *expected)
{
    bytes_append(page, "", 1);
    assert_string_equal((const char *)page->data, expected);
    bytes_free(page);
}

static void test_a_page(void **state)
{
    (void)state;
    struct bytes page = {0};
    man_begin(&page, "thing", 8, "1.2", "does a thing");
    man_heading(&page, "SYNOPSIS");
    man_command(&page, "thing --now");
    man_text(&page, "It does.");
    man_term(&page, "-n, --now", "at once");
    assert_page(&page, ".TH thing 8 \"\" \"Barnabas 1.2\"\n.SH NAME\nthing \\- does a thing\n"
                       ".SH SYNOPSIS\n.br\n.B thing \\-\\-now\n.PP\nIt does.\n"
                       ".TP\n.B \\-n, \\-\\-now\nat once\n");
}

static void test_what_roff_would_take_for_its_own(void **state)
{
    (void)state;
    struct bytes page = {0};
    man_text(&page, ".SH no heading");
    man_text(&page, "'quoted\nand \\fBnot bold");
    man_text(&page, "");
    assert_page(&page, ".PP\n\\&.SH no heading\n.PP\n\\&'quoted and \\efBnot bold\n.PP\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page),
        cmocka_unit_test(test_what_roff_would_take_for_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
