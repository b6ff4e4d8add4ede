#include "common/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

enum { ARENA_BLOCK_BYTES = 4096 - 64 };

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t capacity;
    alignas(max_align_t) unsigned char data[];
};

void *arena_alloc(struct arena *a, size_t size_bytes)
{
    ASSERT(size_bytes <= SIZE_MAX / 2);
    size_t size = (size_bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_block *b = a->blocks;
    if (b == NULL || b->capacity - b->used < size) {
        size_t capacity = size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES;
        b = mem_alloc(sizeof *b + capacity);
        b->used = 0;
        b->capacity = capacity;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = b->data + b->used;
    b->used += size;
    a->used_bytes += size_bytes;
    memset(p, 0, size);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size_bytes)
{
    ASSERT(size_bytes == 0 || count <= SIZE_MAX / 2 / size_bytes);
    return arena_alloc(a, count * size_bytes);
}

void *arena_dup(struct arena *a, const void *data, size_t size_bytes)
{
    void *p = arena_alloc(a, size_bytes);
    if (size_bytes > 0) {
        memcpy(p, data, size_bytes);
    }
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_dup(a, s, strlen(s) + 1);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ASSERT(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

void arena_free(struct arena *a)
{
    struct arena_block *b = a->blocks;
    while (b != NULL) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    *a = (struct arena){0};
}
