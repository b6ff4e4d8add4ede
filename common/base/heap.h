/* heap: an intrusive binary min-heap by an int64 key, ties in order of insertion. */
#ifndef COMMON_BASE_HEAP_H
#define COMMON_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    uint64_t order; /* set by heap_push */
    size_t slot;    /* position + 1; 0 when not in a heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
    uint64_t pushes;
};

static inline bool heap_node_linked(const struct heap_node *n)
{
    return n->slot != 0;
}

/* `n` must not be linked. */
void heap_push(struct heap *h, struct heap_node *n, int64_t key);
/* NULL when empty; the node stays. */
struct heap_node *heap_first(const struct heap *h);
/* `n` must be linked in `h`. */
void heap_remove(struct heap *h, struct heap_node *n);
/* Frees the array; nodes are the callers'. */
void heap_free(struct heap *h);

#endif
