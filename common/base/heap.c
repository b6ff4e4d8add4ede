#include "common/base/heap.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static void place(struct heap *h, size_t i, struct heap_node *n)
{
    h->nodes[i] = n;
    n->slot = i + 1;
}

static void sift_up(struct heap *h, size_t i, struct heap_node *n)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (!before(n, h->nodes[parent])) {
            break;
        }
        place(h, i, h->nodes[parent]);
        i = parent;
    }
    place(h, i, n);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *n)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count && before(h->nodes[child + 1], h->nodes[child])) {
            child++;
        }
        if (!before(h->nodes[child], n)) {
            break;
        }
        place(h, i, h->nodes[child]);
        i = child;
    }
    place(h, i, n);
}

void heap_push(struct heap *h, struct heap_node *n, int64_t key)
{
    ASSERT(n->slot == 0);
    n->key = key;
    n->order = h->pushes++;
    h->nodes = mem_grow(h->nodes, h->count, &h->capacity, sizeof *h->nodes);
    h->count++;
    sift_up(h, h->count - 1, n);
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->count > 0 ? h->nodes[0] : NULL;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    ASSERT(n->slot > 0 && n->slot <= h->count && h->nodes[n->slot - 1] == n);
    size_t i = n->slot - 1;
    struct heap_node *last = h->nodes[--h->count];
    n->slot = 0;
    if (last == n) {
        return;
    }
    if (i > 0 && before(last, h->nodes[(i - 1) / 2])) {
        sift_up(h, i, last);
    } else {
        sift_down(h, i, last);
    }
}

void heap_free(struct heap *h)
{
    ASSERT(h->count == 0);
    mem_free(h->nodes);
    *h = (struct heap){0};
}
