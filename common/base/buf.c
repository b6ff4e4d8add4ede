#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

struct buf *buf_new(size_t capacity)
{
    ASSERT(capacity <= SIZE_MAX - sizeof(struct buf));
    struct buf *b = mem_alloc(sizeof *b + capacity);
    atomic_init(&b->refs, 1);
    b->capacity = capacity;
    b->size = 0;
    return b;
}

struct buf *buf_copy(const void *data, size_t size)
{
    struct buf *b = buf_new(size);
    if (size > 0) {
        memcpy(b->data, data, size);
    }
    b->size = size;
    return b;
}

struct buf *buf_ref(struct buf *b)
{
    uint32_t before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    ASSERT(before > 0 && before < UINT32_MAX);
    return b;
}

void buf_unref(struct buf *b)
{
    if (b == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1) {
        mem_free(b);
    }
}

struct slice slice_of(struct buf *b, size_t offset, size_t size)
{
    ASSERT(offset <= b->size && size <= b->size - offset);
    return (struct slice){.owner = buf_ref(b), .data = b->data + offset, .size = size};
}

struct slice slice_ref(struct slice s)
{
    if (s.owner != NULL) {
        buf_ref(s.owner);
    }
    return s;
}

void slice_unref(struct slice s)
{
    buf_unref(s.owner);
}

uint8_t *bytes_extend(struct bytes *b, size_t size)
{
    ASSERT(size <= SIZE_MAX / 2 - b->size);
    size_t wanted = b->size + size;
    if (wanted > b->capacity || b->data == NULL) {
        size_t grown = b->capacity ? b->capacity * 2 : 64;
        b->capacity = grown > wanted ? grown : wanted;
        b->data = mem_realloc(b->data, b->capacity);
    }
    uint8_t *at = b->data + b->size;
    b->size = wanted;
    return at;
}

void bytes_append(struct bytes *b, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(bytes_extend(b, size), data, size);
    }
}

void bytes_printf(struct bytes *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ASSERT(n >= 0);
    char *at = (char *)bytes_extend(b, (size_t)n + 1);
    vsnprintf(at, (size_t)n + 1, fmt, again);
    va_end(again);
    b->size -= 1;
}

void bytes_free(struct bytes *b)
{
    mem_free(b->data);
    *b = (struct bytes){0};
}
