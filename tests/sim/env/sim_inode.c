/* Content of simulated files: what is seen, what is safe, and the changes between the two. */
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim_internal.h"

enum { BLOCK_BYTES = 4096, SECTOR_BYTES = 512 };

static void blob_resize(struct sim_blob *blob, int64_t size)
{
    if (size > blob->capacity) {
        int64_t doubled = blob->capacity * 2;
        blob->capacity = doubled > size ? doubled : size;
        blob->data = mem_realloc(blob->data, (size_t)blob->capacity);
    }
    if (size > blob->size) {
        memset(blob->data + blob->size, 0, (size_t)(size - blob->size));
    }
    blob->size = size;
}

static void blob_write(struct sim_blob *blob, const uint8_t *data, int64_t size, int64_t at)
{
    if (size == 0) {
        return;
    }
    if (at + size > blob->size) {
        blob_resize(blob, at + size);
    }
    memcpy(blob->data + at, data, (size_t)size);
}

static void blob_copy(struct sim_blob *to, const struct sim_blob *from)
{
    to->size = 0;
    blob_resize(to, from->size);
    if (from->size > 0) {
        memcpy(to->data, from->data, (size_t)from->size);
    }
}

static struct sim_change *add_change(struct sim_inode *inode)
{
    ASSERT(!inode->is_dir);
    struct sim_change *change =
        MEM_PUSH(inode->changes, inode->change_count, inode->change_capacity);
    *change = (struct sim_change){.seq = ++inode->disk->seq};
    return change;
}

void sim_inode_write(struct sim_inode *inode, const uint8_t *data, int64_t size, int64_t at)
{
    if (size == 0) {
        return;
    }
    struct sim_change *change = add_change(inode);
    change->at = at;
    change->size = size;
    change->data = mem_dup(data, (size_t)size);
    int64_t before = inode->seen.size;
    blob_write(&inode->seen, data, size, at);
    inode->disk->used_bytes += inode->seen.size - before;
}

void sim_inode_truncate(struct sim_inode *inode, int64_t size)
{
    struct sim_change *change = add_change(inode);
    change->truncate = true;
    change->at = size;
    inode->disk->used_bytes += size - inode->seen.size;
    blob_resize(&inode->seen, size);
}

static void apply(struct sim_blob *blob, const struct sim_change *change)
{
    if (change->truncate) {
        blob_resize(blob, change->at);
    } else {
        blob_write(blob, change->data, change->size, change->at);
    }
}

static void forget_changes(struct sim_inode *inode, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(inode->changes[i].data);
    }
    inode->change_count -= count;
    if (inode->change_count > 0) {
        memmove(inode->changes, inode->changes + count,
                inode->change_count * sizeof *inode->changes);
    }
}

void sim_inode_sync(struct sim_inode *inode, uint64_t up_to_seq)
{
    size_t count = 0;
    while (count < inode->change_count && inode->changes[count].seq <= up_to_seq) {
        apply(&inode->safe, &inode->changes[count++]);
    }
    forget_changes(inode, count);
}

void sim_inode_drop(struct sim_inode *inode)
{
    inode->dropped = true;
    forget_changes(inode, inode->change_count);
}

/* How a crash treats one file: chosen once for each, so that the plain cases are common too. */
enum mood { KEEP_ALL, LOSE_ALL, KEEP_PREFIX, MIX, MOODS };

/* Each block of a write by itself: whole, not at all, or torn at any byte; by sectors now and
 * then. */
static void apply_mixed(struct sim *sim, struct sim_blob *blob, const struct sim_change *change)
{
    int64_t unit = sim_chance(sim, 4) ? SECTOR_BYTES : BLOCK_BYTES;
    int64_t done = 0;
    while (done < change->size) {
        int64_t at = change->at + done;
        int64_t part = unit - at % unit;
        part = part < change->size - done ? part : change->size - done;
        switch (sim_between(sim, 0, 4)) {
        case 0:
        case 1:
            blob_write(blob, change->data + done, part, at);
            break;
        case 2:
            blob_write(blob, change->data + done, sim_between(sim, 0, part), at);
            break;
        case 3: /* the length reached the disk, the bytes did not */
            if (sim_chance(sim, 4) && at + part > blob->size) {
                blob_resize(blob, at + part);
            }
            break;
        default:
            break;
        }
        done += part;
    }
}

static void apply_prefix(struct sim *sim, struct sim_inode *inode)
{
    size_t whole = (size_t)sim_between(sim, 0, (int64_t)inode->change_count - 1);
    for (size_t i = 0; i < whole; i++) {
        apply(&inode->safe, &inode->changes[i]);
    }
    const struct sim_change *last = &inode->changes[whole];
    if (!last->truncate) {
        blob_write(&inode->safe, last->data, sim_between(sim, 0, last->size), last->at);
    }
}

void sim_inode_lose(struct sim_inode *inode)
{
    struct sim *sim = inode->disk->sim;
    ASSERT(!inode->is_dir);
    if (inode->change_count == 0 && !inode->dropped) {
        return;
    }
    inode->dropped = false;
    switch (inode->change_count > 0 ? (enum mood)sim_between(sim, 0, MOODS - 1) : LOSE_ALL) {
    case KEEP_ALL:
        sim_inode_sync(inode, UINT64_MAX);
        break;
    case LOSE_ALL:
        break;
    case KEEP_PREFIX:
        apply_prefix(sim, inode);
        break;
    case MIX:
    case MOODS:
        for (size_t i = 0; i < inode->change_count; i++) {
            if (!inode->changes[i].truncate) {
                apply_mixed(sim, &inode->safe, &inode->changes[i]);
            } else if (sim_chance(sim, 2)) {
                apply(&inode->safe, &inode->changes[i]);
            }
        }
        break;
    }
    forget_changes(inode, inode->change_count);
    inode->disk->used_bytes += inode->safe.size - inode->seen.size;
    blob_copy(&inode->seen, &inode->safe);
    sim_record(sim, NULL, "survives", NULL, inode->safe.size, 0);
    sim_record_bytes(sim, inode->safe.data, (size_t)inode->safe.size);
}

void sim_inode_clear(struct sim_inode *inode)
{
    forget_changes(inode, inode->change_count);
    mem_free(inode->changes);
    inode->disk->used_bytes -= inode->seen.size;
    mem_free(inode->seen.data);
    mem_free(inode->safe.data);
}
