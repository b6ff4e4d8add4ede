#include "tests/unit/wire/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static unsigned digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = strchr(digits, c);
    assert_non_null(at);
    return (unsigned)(at - digits);
}

struct bytes hex_bytes(const char *text)
{
    struct bytes out = {0};
    while (*text != '\0') {
        if (*text == ' ') {
            text++;
            continue;
        }
        uint8_t byte = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
        bytes_append(&out, &byte, 1);
        text += 2;
    }
    return out;
}

void hex_assert(const void *data, size_t size, const char *text)
{
    struct bytes want = hex_bytes(text);
    if (size != want.size || (size > 0 && memcmp(data, want.data, size) != 0)) {
        struct bytes have = {0};
        bytes_printf(&have, "%s", "");
        for (size_t i = 0; i < size; i++) {
            bytes_printf(&have, "%02x", ((const uint8_t *)data)[i]);
        }
        fail_msg("bytes are  %.*s\nbut should %s", (int)have.size, (const char *)have.data, text);
    }
    bytes_free(&want);
}
