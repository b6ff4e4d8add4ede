/* Open addressing, three quarters full at most; grown by doubling up to the bound. */
#include "broker/log/keymap.h"

#include <endian.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

enum { FIRST_SLOTS = 1024 };

/* ---- SipHash-2-4 with 128 bits of output (Aumasson, Bernstein) ---------------------------------
 */

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t word_at(const uint8_t *at, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, at, size);
    return le64toh(word);
}

void siphash128(const uint64_t secret[2], const void *data, size_t size, uint64_t out[2])
{
    const uint8_t *at = data;
    uint64_t v[4] = {
        secret[0] ^ UINT64_C(0x736f6d6570736575), secret[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
        secret[0] ^ UINT64_C(0x6c7967656e657261), secret[1] ^ UINT64_C(0x7465646279746573)};
    size_t left = size;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word = word_at(at, 8);
        v[3] ^= word;
        rounds(v, 2);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)size << 56 | (left > 0 ? word_at(at, left) : 0);
    v[3] ^= last;
    rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xee;
    rounds(v, 4);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    rounds(v, 4);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- the table ----------------------------------------------------------------------------------
 */

static size_t most_of(size_t slot_count)
{
    return slot_count / 4 * 3;
}

static void make_slots(struct keymap *map, size_t slot_count)
{
    map->slots = mem_array(slot_count, sizeof *map->slots);
    map->slot_count = slot_count;
    for (size_t i = 0; i < slot_count; i++) {
        map->slots[i].offset = -1;
    }
}

void keymap_init(struct keymap *map, size_t bytes, const uint64_t secret[2])
{
    *map = (struct keymap){.secret = {secret[0], secret[1]}};
    size_t slots = FIRST_SLOTS;
    while (slots * 2 * sizeof *map->slots <= bytes) {
        slots *= 2;
    }
    map->most = most_of(slots);
    make_slots(map, FIRST_SLOTS);
    ASSERT(map->most >= most_of(FIRST_SLOTS));
}

void keymap_free(struct keymap *map)
{
    mem_free(map->slots);
    *map = (struct keymap){0};
}

/* The key's slot, or the empty one where it would be. */
static struct keymap_slot *slot_of(const struct keymap *map, const uint64_t hash[2])
{
    size_t mask = map->slot_count - 1;
    ASSERT(map->slots != NULL && (map->slot_count & mask) == 0);
    for (size_t i = (size_t)hash[0] & mask;; i = (i + 1) & mask) {
        struct keymap_slot *slot = &map->slots[i];
        if (slot->offset < 0 || (slot->hash[0] == hash[0] && slot->hash[1] == hash[1])) {
            return slot;
        }
    }
}

static void grow(struct keymap *map)
{
    struct keymap_slot *old = map->slots;
    size_t count = map->slot_count;
    make_slots(map, count * 2);
    for (size_t i = 0; i < count; i++) {
        if (old[i].offset >= 0) {
            *slot_of(map, old[i].hash) = old[i];
        }
    }
    mem_free(old);
}

bool keymap_put(struct keymap *map, const void *key, size_t size, int64_t offset)
{
    uint64_t hash[2];
    ASSERT(offset >= 0);
    siphash128(map->secret, key, size, hash);
    struct keymap_slot *slot = slot_of(map, hash);
    if (slot->offset < 0) {
        if (map->used == map->most) {
            return false;
        }
        if (map->used == most_of(map->slot_count)) {
            grow(map);
            slot = slot_of(map, hash);
        }
        map->used++;
        slot->hash[0] = hash[0];
        slot->hash[1] = hash[1];
    }
    slot->offset = offset;
    return true;
}

int64_t keymap_get(const struct keymap *map, const void *key, size_t size)
{
    uint64_t hash[2];
    siphash128(map->secret, key, size, hash);
    return slot_of(map, hash)->offset;
}
