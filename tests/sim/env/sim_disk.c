/* The simulated disk: names, their durability, what a crash leaves; and the test's own way in. */
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim_internal.h"

/* ---- inodes ---- */

struct sim_inode *sim_inode_new(struct sim_disk *disk, bool is_dir)
{
    struct sim_inode *inode = mem_zalloc(sizeof *inode);
    inode->disk = disk;
    inode->refs = 1;
    inode->is_dir = is_dir;
    list_push(&disk->inodes, &inode->all);
    return inode;
}

struct sim_inode *sim_inode_ref(struct sim_inode *inode)
{
    ASSERT(inode->refs > 0);
    inode->refs++;
    return inode;
}

static void dir_clear(struct sim_dir *dir)
{
    for (size_t i = 0; i < dir->count; i++) {
        mem_free(dir->entries[i].name);
        sim_inode_unref(dir->entries[i].inode);
    }
    mem_free(dir->entries);
    *dir = (struct sim_dir){0};
}

void sim_inode_unref(struct sim_inode *inode)
{
    if (inode == NULL || --inode->refs > 0) {
        return;
    }
    list_remove(&inode->all);
    sim_inode_clear(inode);
    dir_clear(&inode->now);
    dir_clear(&inode->kept);
    mem_free(inode);
}

/* ---- directories: sorted by name ---- */

static size_t dir_place(const struct sim_dir *dir, const char *name, bool *found)
{
    size_t low = 0;
    size_t high = dir->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(dir->entries[mid].name, name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *found = low < dir->count && strcmp(dir->entries[low].name, name) == 0;
    return low;
}

struct sim_inode *sim_dir_find(const struct sim_dir *dir, const char *name)
{
    bool found = false;
    size_t i = dir_place(dir, name, &found);
    return found ? dir->entries[i].inode : NULL;
}

static void dir_put(struct sim_dir *dir, const char *name, struct sim_inode *inode)
{
    bool found = false;
    size_t i = dir_place(dir, name, &found);
    sim_inode_ref(inode);
    if (found) {
        sim_inode_unref(dir->entries[i].inode);
        dir->entries[i].inode = inode;
        return;
    }
    (void)MEM_PUSH(dir->entries, dir->count, dir->capacity);
    memmove(&dir->entries[i + 1], &dir->entries[i], (dir->count - 1 - i) * sizeof *dir->entries);
    dir->entries[i] = (struct sim_entry){.name = mem_strdup(name), .inode = inode};
}

static void dir_take(struct sim_dir *dir, const char *name)
{
    bool found = false;
    size_t i = dir_place(dir, name, &found);
    if (!found) {
        return;
    }
    mem_free(dir->entries[i].name);
    sim_inode_unref(dir->entries[i].inode);
    dir->count--;
    memmove(&dir->entries[i], &dir->entries[i + 1], (dir->count - i) * sizeof *dir->entries);
}

static void dir_copy(struct sim_dir *to, const struct sim_dir *from)
{
    struct sim_dir old = *to;
    *to = (struct sim_dir){0};
    for (size_t i = 0; i < from->count; i++) {
        *MEM_PUSH(to->entries, to->count, to->capacity) =
            (struct sim_entry){.name = mem_strdup(from->entries[i].name),
                               .inode = sim_inode_ref(from->entries[i].inode)};
    }
    dir_clear(&old);
}

/* ---- paths ---- */

/* Copies the next part of *path; false when none is left. "." is passed over. */
static bool next_part(const char **path, char *name, size_t name_size)
{
    for (;;) {
        *path += strspn(*path, "/");
        size_t length = strcspn(*path, "/");
        if (length == 0) {
            return false;
        }
        ASSERT(length < name_size);
        memcpy(name, *path, length);
        name[length] = '\0';
        *path += length;
        ASSERT(strcmp(name, "..") != 0);
        if (strcmp(name, ".") != 0) {
            return true;
        }
    }
}

struct sim_inode *sim_disk_find(const struct sim_disk *disk, const char *path)
{
    char name[256];
    struct sim_inode *at = disk->root;
    while (at != NULL && next_part(&path, name, sizeof name)) {
        at = at->is_dir ? sim_dir_find(&at->now, name) : NULL;
    }
    return at;
}

struct sim_inode *sim_disk_parent(const struct sim_disk *disk, const char *path, char *name,
                                  size_t name_size)
{
    struct sim_inode *at = disk->root;
    name[0] = '\0';
    bool more = next_part(&path, name, name_size);
    while (more && at != NULL) {
        char next[256];
        more = next_part(&path, next, sizeof next);
        if (more) {
            at = sim_dir_find(&at->now, name);
            at = at != NULL && at->is_dir ? at : NULL;
            snprintf(name, name_size, "%s", next);
        }
    }
    return name[0] != '\0' ? at : NULL;
}

/* ---- changes of names ---- */

static void rename_free(struct sim_rename *r)
{
    mem_free(r->from_name);
    mem_free(r->to_name);
    sim_inode_unref(r->from);
    sim_inode_unref(r->to);
    sim_inode_unref(r->inode);
}

void sim_disk_move(struct sim_disk *disk, struct sim_inode *from, const char *from_name,
                   struct sim_inode *to, const char *to_name, struct sim_inode *inode)
{
    ASSERT(from != NULL || to != NULL);
    *MEM_PUSH(disk->renames, disk->rename_count, disk->rename_capacity) = (struct sim_rename){
        .from = from != NULL ? sim_inode_ref(from) : NULL,
        .from_name = from != NULL ? mem_strdup(from_name) : NULL,
        .to = to != NULL ? sim_inode_ref(to) : NULL,
        .to_name = to != NULL ? mem_strdup(to_name) : NULL,
        .inode = sim_inode_ref(inode),
    };
    if (from != NULL) {
        dir_take(&from->now, from_name);
    }
    if (to != NULL) {
        dir_put(&to->now, to_name, inode);
    }
}

/* Makes the chosen changes durable, in order, and forgets them; with `rest` the others are
 * forgotten too. */
static void settle(struct sim_disk *disk, bool rest)
{
    size_t left = 0;
    size_t count = disk->rename_count;
    disk->rename_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct sim_rename r = disk->renames[i];
        if (r.chosen && r.from != NULL) {
            dir_take(&r.from->kept, r.from_name);
        }
        if (r.chosen && r.to != NULL) {
            dir_put(&r.to->kept, r.to_name, r.inode);
        }
        if (r.chosen || rest) {
            rename_free(&r);
        } else {
            disk->renames[left++] = r;
        }
    }
    disk->rename_count = left;
}

/* The directory's changes, and what must come with them: a rename between two directories cannot be
 * on disk in one and not in the other, nor without what came before it in either. */
void sim_disk_sync_dir(struct sim_disk *disk, struct sim_inode *dir)
{
    LIST_FOREACH(all, &disk->inodes) {
        CONTAINER_OF(all, struct sim_inode, all)->cut = false;
    }
    dir->cut = true;
    for (size_t i = disk->rename_count; i > 0; i--) {
        struct sim_rename *r = &disk->renames[i - 1];
        r->chosen = (r->from != NULL && r->from->cut) || (r->to != NULL && r->to->cut);
        if (r->chosen && r->from != NULL) {
            r->from->cut = true;
        }
        if (r->chosen && r->to != NULL) {
            r->to->cut = true;
        }
    }
    settle(disk, false);
}

void sim_disk_sync_all(struct sim_disk *disk, uint64_t up_to_seq, bool failed)
{
    LIST_FOREACH(all, &disk->inodes) {
        struct sim_inode *inode = CONTAINER_OF(all, struct sim_inode, all);
        if (inode->is_dir) {
            continue;
        }
        if (!failed || sim_chance(disk->sim, 2)) {
            sim_inode_sync(inode, up_to_seq);
        } else if (sim_chance(disk->sim, 2)) {
            sim_inode_drop(inode);
        }
    }
    for (size_t i = 0; !failed && i < disk->rename_count; i++) {
        disk->renames[i].chosen = true;
    }
    if (!failed) {
        settle(disk, false);
    }
}

/* ---- crash ---- */

/* What is on disk is what is seen. Directories are held meanwhile: taking names away may free
 * them. */
static void take_kept_names(struct sim_disk *disk)
{
    struct sim_inode **dirs = NULL;
    size_t count = 0;
    size_t capacity = 0;
    LIST_FOREACH(all, &disk->inodes) {
        struct sim_inode *inode = CONTAINER_OF(all, struct sim_inode, all);
        if (inode->is_dir) {
            *MEM_PUSH(dirs, count, capacity) = sim_inode_ref(inode);
        }
    }
    for (size_t i = 0; i < count; i++) {
        dir_copy(&dirs[i]->now, &dirs[i]->kept);
    }
    for (size_t i = 0; i < count; i++) {
        sim_inode_unref(dirs[i]);
    }
    mem_free(dirs);
}

static void lose_names(struct sim_disk *disk)
{
    struct sim *sim = disk->sim;
    /* One crash in four loses all, one nothing; else each change may be where its directories
     * end. */
    int64_t mood = sim_between(sim, 0, 3);
    LIST_FOREACH(all, &disk->inodes) {
        CONTAINER_OF(all, struct sim_inode, all)->cut = false;
    }
    for (size_t i = 0; i < disk->rename_count; i++) {
        struct sim_rename *r = &disk->renames[i];
        bool end = mood == 0 || (mood > 1 && sim_chance(sim, 3));
        end = end || (r->from != NULL && r->from->cut) || (r->to != NULL && r->to->cut);
        r->chosen = !end;
        if (end && r->from != NULL) {
            r->from->cut = true;
        }
        if (end && r->to != NULL) {
            r->to->cut = true;
        }
    }
    settle(disk, true);
    take_kept_names(disk);
}

void sim_disk_crash(struct sim_disk *disk, bool power)
{
    disk->generation++;
    disk->stalled_until_us = 0;
    LIST_FOREACH(all, &disk->inodes) {
        struct sim_inode *inode = CONTAINER_OF(all, struct sim_inode, all);
        inode->locked_by = NULL;
        if (power && !inode->is_dir) {
            sim_inode_lose(inode);
        }
    }
    if (power) {
        lose_names(disk);
    }
}

void sim_disk_init(struct sim_disk *disk, struct sim *sim)
{
    *disk = (struct sim_disk){.sim = sim, .total_bytes = INT64_C(1) << 40, .generation = 1};
    list_init(&disk->inodes);
    disk->root = sim_inode_new(disk, true);
    struct sim_inode *data = sim_inode_new(disk, true);
    sim_disk_move(disk, NULL, NULL, disk->root, "data", data);
    sim_inode_unref(data);
    sim_disk_sync_dir(disk, disk->root);
    for (int i = 0; i < SIM_OPS; i++) {
        disk->latency[i] = (struct sim_latency){5, 100, 50, 2000};
    }
    disk->latency[SIM_SYNC] = (struct sim_latency){100, 2000, 50, 30000};
    disk->latency[SIM_SYNC_DIR] = disk->latency[SIM_SYNC];
    disk->latency[SIM_SYNC_ALL] = disk->latency[SIM_SYNC];
}

void sim_disk_fini(struct sim_disk *disk)
{
    settle(disk, true);
    mem_free(disk->renames);
    sim_inode_unref(disk->root);
    ASSERT(list_empty(&disk->inodes)); /* else a file is still open: free the core first */
}

/* ---- the test's own way in ---- */

bool sim_disk_peek(const struct sim_node *node, const char *path, const uint8_t **data,
                   size_t *size)
{
    const struct sim_inode *inode = sim_disk_find(&node->disk, path);
    if (inode == NULL || inode->is_dir) {
        return false;
    }
    *data = inode->seen.data;
    *size = (size_t)inode->seen.size;
    return true;
}

bool sim_disk_get(const struct sim_node *node, const char *path, struct bytes *out)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    if (!sim_disk_peek(node, path, &data, &size)) {
        return false;
    }
    bytes_append(out, data, size);
    return true;
}

bool sim_disk_exists(const struct sim_node *node, const char *path)
{
    return sim_disk_find(&node->disk, path) != NULL;
}

void sim_disk_put(struct sim_node *node, const char *path, const void *data, size_t size)
{
    char name[256];
    struct sim_inode *dir = sim_disk_parent(&node->disk, path, name, sizeof name);
    ASSERT(dir != NULL);
    struct sim_inode *inode = sim_dir_find(&dir->now, name);
    if (inode == NULL) {
        inode = sim_inode_new(&node->disk, false);
        sim_disk_move(&node->disk, NULL, NULL, dir, name, inode);
        sim_inode_unref(inode);
    }
    sim_inode_truncate(inode, 0);
    sim_inode_write(inode, data, (int64_t)size, 0);
    sim_inode_sync(inode, UINT64_MAX);
    sim_disk_sync_dir(&node->disk, dir);
}

void sim_disk_mkdir(struct sim_node *node, const char *path)
{
    char name[256];
    struct sim_inode *dir = sim_disk_parent(&node->disk, path, name, sizeof name);
    ASSERT(dir != NULL && sim_dir_find(&dir->now, name) == NULL);
    struct sim_inode *inode = sim_inode_new(&node->disk, true);
    sim_disk_move(&node->disk, NULL, NULL, dir, name, inode);
    sim_inode_unref(inode);
    sim_disk_sync_dir(&node->disk, dir);
}

bool sim_disk_flip(struct sim_node *node, const char *path, int64_t at, uint8_t mask)
{
    struct sim_inode *inode = sim_disk_find(&node->disk, path);
    if (inode == NULL || at < 0 || at >= inode->seen.size) {
        return false;
    }
    inode->seen.data[at] ^= mask;
    if (at < inode->safe.size) {
        inode->safe.data[at] ^= mask;
    }
    return true;
}

void sim_disk_remove(struct sim_node *node, const char *path)
{
    char name[256];
    struct sim_inode *dir = sim_disk_parent(&node->disk, path, name, sizeof name);
    struct sim_inode *inode = dir != NULL ? sim_dir_find(&dir->now, name) : NULL;
    if (inode != NULL) {
        sim_disk_move(&node->disk, dir, name, NULL, NULL, inode);
        sim_disk_sync_dir(&node->disk, dir);
    }
}

void sim_disk_walk(const struct sim_node *node, const char *path,
                   void (*each)(void *ctx, const char *path, const uint8_t *data, size_t size),
                   void *ctx)
{
    const struct sim_inode *inode = sim_disk_find(&node->disk, path);
    if (inode == NULL) {
        return;
    }
    if (!inode->is_dir) {
        each(ctx, path, inode->seen.data, (size_t)inode->seen.size);
        return;
    }
    for (size_t i = 0; i < inode->now.count; i++) {
        struct bytes below = {0};
        bytes_printf(&below, "%s/%s", path, inode->now.entries[i].name);
        sim_disk_walk(node, (const char *)below.data, each, ctx);
        bytes_free(&below);
    }
}
