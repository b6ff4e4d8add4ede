/* pmap: an ordered map from byte keys to refcounted values, copied on write (a persistent AVL
 * tree).
 *
 * pmap_clone is O(1); a change after it copies the path from the root, never the rest. Not for more
 * than one thread at a time where counts change (clone, put, own, remove, clear); lookups touch no
 * count. */
#ifndef BROKER_METADATA_PMAP_H
#define BROKER_METADATA_PMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First member of every value. */
struct pmap_value {
    uint32_t refs;
    void (*free)(struct pmap_value *value);
};

static inline void pmap_value_unref(struct pmap_value *value)
{
    if (--value->refs == 0) {
        value->free(value);
    }
}

struct pmap_node;

/* Zero-initialise. */
struct pmap {
    struct pmap_node *root;
    size_t count;
};

struct pmap_key {
    const void *data;
    size_t size;
};

struct pmap pmap_clone(const struct pmap *map);
void pmap_clear(struct pmap *map);
/* NULL when absent. */
struct pmap_value *pmap_get(const struct pmap *map, struct pmap_key key);
/* Takes over one reference of `value`; drops the one it replaces. */
void pmap_put(struct pmap *map, struct pmap_key key, struct pmap_value *value);
/* Where the value of `key` hangs, after unsharing the way to it: when its refs are 1 nobody else
 * sees it and it may be changed in place, else the caller puts a copy there and drops one
 * reference. NULL when absent. Good until the next call on this map. */
struct pmap_value **pmap_own(struct pmap *map, struct pmap_key key);
bool pmap_remove(struct pmap *map, struct pmap_key key);
/* In key order (bytes, shorter first), from the first key >= `from`. `each` returns false to stop.
 */
void pmap_each(const struct pmap *map, struct pmap_key from,
               bool (*each)(void *ctx, struct pmap_value *value), void *ctx);

#endif
