#include "common/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"

_Noreturn void base_assert_failed(const char *what, const char *file, int line,
                                  const char *function)
{
    fprintf(stderr, "barnabas: bug: %s (%s:%d, %s)\n", what, file, line, function);
    abort();
}

static void *checked(void *p, size_t size_bytes)
{
    if (p == NULL) {
        fprintf(stderr, "barnabas: out of memory: %zu bytes refused\n", size_bytes);
        abort();
    }
    return p;
}

void *mem_alloc(size_t size_bytes)
{
    return checked(malloc(size_bytes ? size_bytes : 1), size_bytes);
}

void *mem_zalloc(size_t size_bytes)
{
    return checked(calloc(1, size_bytes ? size_bytes : 1), size_bytes);
}

void *mem_array(size_t count, size_t size_bytes)
{
    return checked(calloc(count ? count : 1, size_bytes ? size_bytes : 1), count * size_bytes);
}

void *mem_realloc(void *p, size_t size_bytes)
{
    return checked(realloc(p, size_bytes ? size_bytes : 1), size_bytes);
}

char *mem_strdup(const char *s)
{
    ASSERT(s != NULL);
    return mem_dup(s, strlen(s) + 1);
}

void *mem_dup(const void *p, size_t size_bytes)
{
    void *copy = mem_alloc(size_bytes);
    if (size_bytes > 0) {
        memcpy(copy, p, size_bytes);
    }
    return copy;
}

void mem_free(void *p)
{
    free(p);
}

void *mem_grow(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    ASSERT(count <= *capacity);
    if (count < *capacity) {
        return items;
    }
    size_t wanted = *capacity ? *capacity * 2 : 4;
    ASSERT(wanted <= SIZE_MAX / item_bytes);
    *capacity = wanted;
    return mem_realloc(items, wanted * item_bytes);
}
