/* What the committed metadata says at every batch, and whether every snapshot of it says the same.
 */
#include <inttypes.h>
#include <stdio.h>

#include "broker/quorum/quorum_internal.h"
#include "common/base/mem.h"
#include "tests/sim/witness_internal.h"

struct point {
    int64_t next_offset; /* the image holds everything below it */
    struct image *image;
};

struct history {
    struct image *now;
    struct point *points;
    size_t count;
    size_t capacity;
};

struct history *history_new(void)
{
    struct history *history = mem_zalloc(sizeof *history);
    history->now = image_new();
    return history;
}

void history_free(struct history *history)
{
    if (history == NULL) {
        return;
    }
    for (size_t i = 0; i < history->count; i++) {
        image_free(history->points[i].image);
    }
    mem_free(history->points);
    image_free(history->now);
    mem_free(history);
}

void history_add(struct history *history, struct verdict *verdict, const void *batch, size_t size)
{
    struct err_text text = {""};
    if (image_apply_batches(history->now, NULL, batch, size, &text) != ERR_NONE) {
        verdict_fail(verdict, "committed metadata cannot be read: %s", text.text);
        return;
    }
    struct point *point = MEM_PUSH(history->points, history->count, history->capacity);
    *point = (struct point){image_offset(history->now) + 1, image_clone(history->now)};
}

/* What is known to be committed below that offset; NULL when no batch ends there. */
static const struct image *image_below(const struct history *history, int64_t next_offset)
{
    size_t low = 0;
    size_t high = history->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (history->points[middle].next_offset < next_offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < history->count && history->points[low].next_offset == next_offset
               ? history->points[low].image
               : NULL;
}

void history_check_image(const struct history *history, const struct server *server)
{
    const struct image *image = server->broker->image;
    const struct image *committed = image_below(history, image_offset(image) + 1);
    if (committed == NULL || !image_equal(committed, image)) {
        verdict_fail(&server->universe->verdict,
                     "snapshot: server %d has loaded one and knows another metadata up to offset "
                     "%" PRId64 " than what is committed",
                     server->id, image_offset(image));
    }
}

static void check_snapshot(const struct history *history, const struct server *server,
                           const struct quorum_snapshot *snapshot)
{
    struct verdict *verdict = &server->universe->verdict;
    struct quorum_snapshot_id id = snapshot->id;
    const struct image *committed = image_below(history, id.end_offset);
    struct err_text text = {""};
    const uint8_t *data = NULL;
    size_t size = 0;
    char path[256];
    snprintf(path, sizeof path, "%s/%s-0/%020" PRId64 "-%010" PRId32 ".checkpoint",
             SERVER_METADATA_DIR, QUORUM_TOPIC, id.end_offset, id.epoch);
    if (committed == NULL || image_epoch(committed) != id.epoch) {
        verdict_fail(verdict,
                     "snapshot: server %d has %s, and no committed batch of epoch %" PRId32
                     " ends there",
                     server->id, path, id.epoch);
        return;
    }
    struct image *image = image_new();
    if (!sim_disk_peek(server->node, path, &data, &size) ||
        image_apply_batches(image, NULL, data, size, &text) != ERR_NONE) {
        verdict_fail(verdict, "snapshot: server %d has %s, which cannot be read: %s", server->id,
                     path, text.text);
    }
    image_stand_at(image, id.end_offset - 1, id.epoch, 0);
    if (!verdict->failed && !image_equal(image, committed)) {
        verdict_fail(verdict, "snapshot: %s of server %d says something else than is committed",
                     path, server->id);
    }
    image_free(image);
}

int64_t history_look(const struct history *history, const struct server *server, int64_t seen)
{
    const struct quorum_snapshot *newest = quorum_snapshot_newest(server->broker->quorum);
    if (newest == NULL || newest->id.end_offset == seen || server->universe->verdict.failed) {
        return seen;
    }
    check_snapshot(history, server, newest);
    return newest->id.end_offset;
}
