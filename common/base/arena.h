/* arena: memory of one request, freed at once. Zero-initialise to start. */
#ifndef COMMON_BASE_ARENA_H
#define COMMON_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used_bytes; /* of what was asked for, over the arena's life */
};

/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *a, size_t size_bytes);
/* count * size, overflow checked. Zeroed. */
void *arena_array(struct arena *a, size_t count, size_t size_bytes);
void *arena_dup(struct arena *a, const void *data, size_t size_bytes);
/* NUL-terminated copy. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a);

#endif
