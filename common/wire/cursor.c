/* The cursors: reading with a sticky error, writing into growing bytes. */
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/wire.h"

struct wire_in wire_in_of(const void *data, size_t size)
{
    const uint8_t *at = data;
    return (struct wire_in){.at = at, .end = at != NULL ? at + size : at};
}

size_t wire_in_left(const struct wire_in *in)
{
    return (size_t)(in->end - in->at);
}

const uint8_t *wire_get_raw(struct wire_in *in, size_t size)
{
    ASSERT(in->at <= in->end);
    if (in->error == ERR_NONE && wire_in_left(in) < size) {
        in->error = ERR_TRUNCATED;
    }
    if (in->error != ERR_NONE) {
        return NULL;
    }
    const uint8_t *at = in->at;
    in->at += size;
    return at;
}

static uint64_t get_be(struct wire_in *in, size_t size)
{
    const uint8_t *at = wire_get_raw(in, size);
    uint64_t v = 0;
    for (size_t i = 0; at != NULL && i < size; i++) {
        v = (v << 8) | at[i];
    }
    return v;
}

int8_t wire_get_i8(struct wire_in *in)
{
    return (int8_t)get_be(in, 1);
}

int16_t wire_get_i16(struct wire_in *in)
{
    return (int16_t)get_be(in, 2);
}

uint16_t wire_get_u16(struct wire_in *in)
{
    return (uint16_t)get_be(in, 2);
}

int32_t wire_get_i32(struct wire_in *in)
{
    return (int32_t)get_be(in, 4);
}

uint32_t wire_get_u32(struct wire_in *in)
{
    return (uint32_t)get_be(in, 4);
}

int64_t wire_get_i64(struct wire_in *in)
{
    return (int64_t)get_be(in, 8);
}

uint64_t wire_get_uvarint(struct wire_in *in)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = (uint8_t)get_be(in, 1);
        if (in->error != ERR_NONE) {
            return 0;
        }
        if (shift == 63 && byte > 1) {
            break;
        }
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            return v;
        }
    }
    in->error = ERR_CORRUPT;
    return 0;
}

int64_t wire_get_varint(struct wire_in *in)
{
    uint64_t v = wire_get_uvarint(in);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

struct uuid wire_get_uuid(struct wire_in *in)
{
    struct uuid u = uuid_zero();
    const uint8_t *at = wire_get_raw(in, sizeof u.bytes);
    if (at != NULL) {
        memcpy(u.bytes, at, sizeof u.bytes);
    }
    return u;
}

/* ---- out ---- */

void wire_out_free(struct wire_out *out)
{
    bytes_free(&out->bytes);
    mem_free(out->splices);
    *out = (struct wire_out){0};
}

static void put_be(struct wire_out *out, uint64_t v, size_t size)
{
    uint8_t *at = bytes_extend(&out->bytes, size);
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
    }
}

void wire_put_i8(struct wire_out *out, int8_t v)
{
    put_be(out, (uint8_t)v, 1);
}

void wire_put_i16(struct wire_out *out, int16_t v)
{
    put_be(out, (uint16_t)v, 2);
}

void wire_put_i32(struct wire_out *out, int32_t v)
{
    put_be(out, (uint32_t)v, 4);
}

void wire_put_i64(struct wire_out *out, int64_t v)
{
    put_be(out, (uint64_t)v, 8);
}

void wire_put_uvarint(struct wire_out *out, uint64_t v)
{
    uint8_t small[10];
    size_t n = 0;
    while (v >= 0x80) {
        small[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    small[n++] = (uint8_t)v;
    bytes_append(&out->bytes, small, n);
}

void wire_put_varint(struct wire_out *out, int64_t v)
{
    wire_put_uvarint(out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void wire_put_raw(struct wire_out *out, const void *data, size_t size)
{
    bytes_append(&out->bytes, data, size);
}

void wire_put_uuid(struct wire_out *out, struct uuid u)
{
    bytes_append(&out->bytes, u.bytes, sizeof u.bytes);
}

void wire_patch_i32(struct wire_out *out, size_t at, int32_t v)
{
    ASSERT(out->bytes.size >= 4 && at <= out->bytes.size - 4);
    for (size_t i = 0; i < 4; i++) {
        out->bytes.data[at + i] = (uint8_t)((uint32_t)v >> (24 - 8 * i));
    }
}

/* ---- strings ---- */

struct wire_str wire_str(const char *s)
{
    if (s == NULL) {
        return WIRE_STR_NULL;
    }
    return (struct wire_str){s, (int32_t)strlen(s)};
}

bool wire_str_is(struct wire_str s, const char *text)
{
    return wire_str_equal(s, wire_str(text));
}

bool wire_str_equal(struct wire_str a, struct wire_str b)
{
    return a.size == b.size && (a.size <= 0 || memcmp(a.data, b.data, (size_t)a.size) == 0);
}

char *wire_str_dup(struct arena *a, struct wire_str s)
{
    if (s.size < 0) {
        return NULL;
    }
    char *copy = arena_alloc(a, (size_t)s.size + 1);
    if (s.size > 0) {
        memcpy(copy, s.data, (size_t)s.size);
    }
    return copy;
}
