/* mem: allocation that does not return NULL.
 *
 * A request for memory that the system refuses ends the process: sizes that come from
 * outside are bounded before they get here, so a refusal means the machine is out of memory
 * and no answer we could still give would be better. */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size_bytes);
void *mem_zalloc(size_t size_bytes);
/* Checks count * size for overflow. Zeroed. */
void *mem_array(size_t count, size_t size_bytes);
void *mem_realloc(void *p, size_t size_bytes);
char *mem_strdup(const char *s);
void *mem_dup(const void *p, size_t size_bytes);
void mem_free(void *p);

/* Grows a vector: makes room for `count + 1` items, doubling `*capacity`. */
void *mem_grow(void *items, size_t count, size_t *capacity, size_t item_bytes);

#define MEM_PUSH(items, count, capacity)                                                           \
    ((items) = mem_grow((items), (count), &(capacity), sizeof *(items)), &(items)[(count)++])

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
