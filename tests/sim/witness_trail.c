/* Trails: what is committed of one log, as first seen, and whether everybody has the same. */
#include <inttypes.h>
#include <stdio.h>

#include "common/base/crc32c.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "tests/sim/witness_internal.h"

static bool peek(const struct server *server, const char *dir, const struct trail *trail,
                 int64_t base, const uint8_t **data, size_t *size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s/%020" PRId64 ".log", dir, trail->name, base);
    return sim_disk_peek(server->node, path, data, size);
}

/* Finds the file that holds the cursor's batch and its place in it. */
static bool find_segment(const struct trail *trail, struct cursor *cursor,
                         const struct server *server, const char *dir)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    for (size_t i = cursor->mark + 1; i > 0; i--) {
        int64_t base = i - 1 < trail->count ? trail->marks[i - 1].base_offset : cursor->next;
        if (!peek(server, dir, trail, base, &data, &size)) {
            continue;
        }
        struct batch batch;
        struct err_text text;
        cursor->segment = base;
        cursor->at = 0;
        while (cursor->at < size && base < cursor->next &&
               batch_parse(data + cursor->at, size - cursor->at, &batch, &text) == ERR_NONE) {
            cursor->at += batch.size;
            base = batch_next_offset(&batch);
        }
        return base == cursor->next;
    }
    return false;
}

/* The batch at the cursor; false after a verdict. */
static bool batch_at(const struct trail *trail, struct cursor *cursor, const struct server *server,
                     const char *dir, const uint8_t **data, struct batch *batch)
{
    struct err_text text = {""};
    size_t size = 0;
    bool found = peek(server, dir, trail, cursor->segment, data, &size);
    if (!found && find_segment(trail, cursor, server, dir)) {
        found = peek(server, dir, trail, cursor->segment, data, &size);
    }
    if (found && cursor->at == size && cursor->next > cursor->segment) {
        cursor->segment = cursor->next;
        cursor->at = 0;
        found = peek(server, dir, trail, cursor->segment, data, &size);
    }
    if (!found || cursor->at >= size ||
        batch_parse(*data + cursor->at, size - cursor->at, batch, &text) != ERR_NONE ||
        batch->base_offset != cursor->next) {
        verdict_fail(&server->universe->verdict,
                     "prefix: server %d takes %s for committed beyond offset %" PRId64
                     " and has no batch there (%s)",
                     server->id, trail->name, cursor->next, found ? text.text : "no file");
        return false;
    }
    *data += cursor->at;
    return true;
}

void trail_follow(struct trail *trail, struct cursor *cursor, const struct server *server,
                  const char *dir, int64_t below)
{
    struct verdict *verdict = &server->universe->verdict;
    const uint8_t *data = NULL;
    struct batch batch;
    while (cursor->next < below && !verdict->failed) {
        if (!batch_at(trail, cursor, server, dir, &data, &batch) ||
            batch_next_offset(&batch) > below) {
            return;
        }
        uint32_t hash = crc32c(data, batch.size);
        if (cursor->mark == trail->count) {
            struct mark *mark = MEM_PUSH(trail->marks, trail->count, trail->capacity);
            *mark = (struct mark){batch.base_offset, batch_next_offset(&batch), hash, server->id};
            if (trail->history != NULL) {
                history_add(trail->history, verdict, data, batch.size);
            }
        }
        const struct mark *mark = &trail->marks[cursor->mark];
        if (mark->next_offset != batch_next_offset(&batch) || mark->hash != hash) {
            verdict_fail(verdict,
                         "prefix: server %d takes for committed at offset %" PRId64
                         " of %s what server %d, which also took it for committed, had otherwise",
                         server->id, cursor->next, trail->name, mark->seen_by);
        }
        cursor->mark++;
        cursor->next = batch_next_offset(&batch);
        cursor->at += batch.size;
    }
}

void trail_rejoin(struct trail *trail, struct cursor *cursor, const struct server *server,
                  int64_t start)
{
    size_t mark = cursor->mark;
    while (mark < trail->count && trail->marks[mark].base_offset < start) {
        mark++;
    }
    int64_t end = trail->count == 0 ? 0 : trail->marks[trail->count - 1].next_offset;
    if (start != (mark < trail->count ? trail->marks[mark].base_offset : end)) {
        verdict_fail(&server->universe->verdict,
                     "prefix: %s of server %d begins at offset %" PRId64
                     ", where no committed batch does",
                     trail->name, server->id, start);
        return;
    }
    cursor->next = start;
    cursor->mark = mark;
    cursor->segment = -1;
    cursor->at = 0;
}

bool trail_led(struct trail *trail, const struct server *server, int32_t epoch)
{
    while (trail->epoch_count <= (size_t)epoch) {
        int32_t *leader = MEM_PUSH(trail->leaders, trail->epoch_count, trail->epoch_capacity);
        *leader = -1;
    }
    int32_t *leader = &trail->leaders[epoch];
    int32_t who = trail_who(server);
    if (*leader < 0) {
        *leader = who;
        return true;
    }
    if (*leader != who) {
        verdict_fail(&server->universe->verdict,
                     "epoch: server %d in its life %d and server %d in its life %d both lead epoch "
                     "%d of %s",
                     *leader % (SERVERS_MAX * 2), *leader / (SERVERS_MAX * 2), server->id,
                     server->life, epoch, trail->name);
    }
    return false;
}
