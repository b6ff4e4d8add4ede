/* Shared by the room's files only: which offset is the latest of each key, in bounded memory.
 *
 * A key is known by 128 bits of SipHash-2-4 under a secret of each cleaning: nobody can choose keys
 * that meet, and that two meet by chance is less likely than a disk that reads wrong. */
#ifndef BROKER_LOG_KEYMAP_H
#define BROKER_LOG_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keymap_slot {
    uint64_t hash[2];
    int64_t offset; /* -1 empty */
};

struct keymap {
    struct keymap_slot *slots;
    size_t slot_count; /* a power of two */
    size_t used;
    size_t most; /* entries it may hold */
    uint64_t secret[2];
};

/* At most `bytes` of memory (while it grows, half as much again). */
void keymap_init(struct keymap *map, size_t bytes, const uint64_t secret[2]);
void keymap_free(struct keymap *map);
/* False when it is full: the key is not in it then. */
bool keymap_put(struct keymap *map, const void *key, size_t size, int64_t offset);
/* -1 when it is not there. */
int64_t keymap_get(const struct keymap *map, const void *key, size_t size);
void siphash128(const uint64_t secret[2], const void *data, size_t size, uint64_t out[2]);

#endif
