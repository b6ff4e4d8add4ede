#include "common/base/uuid.h"

#include <string.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool uuid_is_zero(const struct uuid *u)
{
    static const struct uuid zero;
    return memcmp(u, &zero, sizeof zero) == 0;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void put64(uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(v >> (56 - 8 * i));
    }
}

struct uuid uuid_from_random(uint64_t high, uint64_t low)
{
    struct uuid u;
    put64(u.bytes, (high & ~0xF000ULL) | 0x4000ULL);
    put64(u.bytes + 8, (low & ~(3ULL << 62)) | (2ULL << 62));
    return u;
}

struct uuid uuid_from_number(uint64_t low)
{
    struct uuid u = uuid_zero();
    put64(u.bytes + 8, low);
    return u;
}

const char *uuid_format(const struct uuid *u, char text[UUID_TEXT_BYTES])
{
    uint32_t bits = 0;
    int held = 0;
    int out = 0;
    for (int i = 0; i < 16; i++) {
        bits = (bits << 8) | u->bytes[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            text[out++] = ALPHABET[(bits >> held) & 63];
        }
    }
    text[out++] = ALPHABET[(bits << (6 - held)) & 63];
    text[out] = '\0';
    return text;
}

bool uuid_parse(const char *text, struct uuid *out)
{
    if (strlen(text) != 22) {
        return false;
    }
    uint32_t bits = 0;
    int held = 0;
    int n = 0;
    for (int i = 0; i < 22; i++) {
        const char *at = strchr(ALPHABET, text[i]);
        if (at == NULL) {
            return false;
        }
        bits = (bits << 6) | (uint32_t)(at - ALPHABET);
        held += 6;
        if (held >= 8) {
            held -= 8;
            if (n < 16) {
                out->bytes[n] = (uint8_t)(bits >> held);
            }
            n++;
        }
    }
    return n == 16;
}
