#include "broker/settings/endpoints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MAP "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT, tls : SSL ,tls:SSL,ODD:FOO"

static void host_and_port(void **state)
{
    (void)state;
    char host[ENDPOINT_HOST_BYTES];
    uint16_t port;
    assert_true(host_port_parse("localhost:9092", host, &port));
    assert_string_equal(host, "localhost");
    assert_int_equal(port, 9092);
    assert_true(host_port_parse(":0", host, &port));
    assert_string_equal(host, "");
    assert_true(host_port_parse("[::1]:65535", host, &port));
    assert_string_equal(host, "::1");
    assert_int_equal(port, 65535);
    static const char *const wrong[] = {"",           "host",     "host:",   "host:65536",
                                        "host:-1",    "::1:9092", "[]:9092", "ho st:9092",
                                        "host:9092x", "h/:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(host_port_parse(wrong[i], host, &port));
    }
    char longest[ENDPOINT_HOST_BYTES + 8];
    memset(longest, 'a', sizeof longest);
    memcpy(longest + ENDPOINT_HOST_BYTES - 1, ":1", 3);
    assert_true(host_port_parse(longest, host, &port));
    longest[ENDPOINT_HOST_BYTES - 1] = 'a';
    memcpy(longest + ENDPOINT_HOST_BYTES, ":1", 3);
    assert_false(host_port_parse(longest, host, &port));
}

static struct setting_list list_of(const char *const *items, size_t count)
{
    return (struct setting_list){.items = items, .count = count};
}

static void listeners(void **state)
{
    (void)state;
    const char *items[] = {"plaintext://127.0.0.1:9092", "CONTROLLER://[::1]:0", "TLS://:1"};
    struct endpoint_list list;
    struct err_text text;
    assert_int_equal(endpoints_parse(list_of(items, 3), MAP, &list, &text), ERR_NONE);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0].name, "PLAINTEXT");
    assert_int_equal(list.items[0].port, 9092);
    assert_string_equal(list.items[1].host, "::1");
    assert_int_equal(list.items[2].protocol, SECURITY_SSL);
    assert_ptr_equal(endpoints_find(&list, "Controller"), &list.items[1]);
    assert_null(endpoints_find(&list, "CONTROLLERS"));
    endpoints_free(&list);
}

static void wrong_listeners(void **state)
{
    (void)state;
    static const struct {
        const char *item;
        const char *text;
    } wrong[] = {
        {"PLAINTEXT//x:1", "'PLAINTEXT//x:1' is not NAME://HOST:PORT"},
        {"://x:1", "'://x:1' is not NAME://HOST:PORT"},
        {"PLAINTEXT://x", "'PLAINTEXT://x' is not NAME://HOST:PORT"},
        {"OTHER://x:1", "listener OTHER has no protocol: add OTHER:PLAINTEXT (or another protocol) "
                        "to listener.security.protocol.map"},
        {"ODD://x:1", "listener.security.protocol.map: 'FOO' is no protocol (expected PLAINTEXT, "
                      "SSL, SASL_PLAINTEXT or SASL_SSL)"},
        {"CONTROLLER://y:2", "listener CONTROLLER is given twice"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *items[] = {"CONTROLLER://x:1", wrong[i].item};
        struct endpoint_list list;
        struct err_text text;
        assert_int_equal(endpoints_parse(list_of(items, 2), MAP, &list, &text), ERR_INVALID);
        assert_string_equal(text.text, wrong[i].text);
        assert_null(list.items);
        assert_int_equal(list.count, 0);
    }
}

static void voters(void **state)
{
    (void)state;
    const char *items[] = {"3@c:9093", "1@[::1]:9093", "2@b:9095"};
    struct voter_list list;
    struct err_text text;
    assert_int_equal(voters_parse(list_of(items, 3), &list, &text), ERR_NONE);
    assert_int_equal(list.count, 3);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(list.items[i].id, i + 1);
    }
    assert_string_equal(voters_find(&list, 1)->host, "::1");
    assert_int_equal(voters_find(&list, 2)->port, 9095);
    assert_null(voters_find(&list, 4));
    voters_free(&list);
    static const char *const wrong[] = {"1",     "a@b:1", "-1@b:1",        "1@b",
                                        "1@b:0", "1@:9",  "9999999999@b:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(voters_parse(list_of(&wrong[i], 1), &list, &text), ERR_INVALID);
        assert_non_null(strstr(text.text, "is not ID@HOST:PORT"));
    }
    const char *twice[] = {"1@a:1", "1@b:1"};
    assert_int_equal(voters_parse(list_of(twice, 2), &list, &text), ERR_INVALID);
    assert_string_equal(text.text, "voter 1 is given twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_and_port),
        cmocka_unit_test(listeners),
        cmocka_unit_test(wrong_listeners),
        cmocka_unit_test(voters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
