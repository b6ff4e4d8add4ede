/* The crew's snapshots: every committed batch by its place and CRC, so that what one says can be
 * held against what was committed. */
#include "tests/unit/quorum/crew_snapshot.h"

#include "common/wire/batch.h"

struct state {
    size_t count;
    struct crew_batch batches[];
};

static enum err write(const void *from, enum err (*put)(void *to, const void *record, size_t size),
                      void *to)
{
    const struct state *state = from;
    enum err e = ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < state->count; i++) {
        e = put(to, &state->batches[i], sizeof state->batches[i]);
    }
    return e;
}

void mate_give_snapshot(void *ctx)
{
    struct mate *mate = ctx;
    struct crew *crew = mate->crew;
    assert_int_equal(quorum_delivered(mate->quorum), mate->expected_offset);
    size_t count = 0;
    while (count < crew->committed_count &&
           crew->committed[count].base_offset < mate->expected_offset) {
        count++;
    }
    if (rng_below(sim_rng(crew->sim), 8) == 0) {
        return; /* not now */
    }
    struct state *state = mem_alloc(sizeof *state + count * sizeof state->batches[0]);
    state->count = count;
    memcpy(state->batches, crew->committed, count * sizeof state->batches[0]);
    struct quorum_snapshot_source source = {.write = write,
                                            .release = mem_free,
                                            .state = state,
                                            .timestamp_ms = env_wall_ms(mate->env)};
    quorum_snapshot(mate->quorum, &source);
    crew->snapshots_written++;
}

static void check_batch(struct mate *mate, const uint8_t *data, const struct batch *batch)
{
    struct crew *crew = mate->crew;
    struct record_walk walk;
    struct record record;
    struct err_text text;
    if ((batch->attributes & BATCH_CONTROL) != 0) {
        return;
    }
    assert_int_equal(record_walk_init(&walk, data, batch->size, 1 << 20, &text), ERR_NONE);
    while (record_walk_next(&walk, &record)) {
        assert_int_equal(record.value.size, sizeof(struct crew_batch));
        assert_true(mate->loaded < crew->committed_count);
        assert_memory_equal(record.value.data, &crew->committed[mate->loaded],
                            sizeof(struct crew_batch));
        mate->loaded++;
    }
    record_walk_free(&walk);
}

void mate_take_snapshot(void *ctx, const struct quorum_snapshot_part *part)
{
    struct mate *mate = ctx;
    struct crew *crew = mate->crew;
    size_t at = 0;
    assert_int_equal(mate->active_epoch, -1);
    if (part->first) {
        mate->loaded = 0;
    }
    while (at < part->size_bytes) {
        struct batch batch;
        struct err_text text;
        assert_int_equal(batch_parse(part->batches + at, part->size_bytes - at, &batch, &text),
                         ERR_NONE);
        check_batch(mate, part->batches + at, &batch);
        at += batch.size;
    }
    if (!part->last) {
        return;
    }
    assert_true(mate->loaded > 0);
    assert_int_equal(crew->committed[mate->loaded - 1].last_offset, part->last_offset);
    assert_true(part->last_offset >= mate->expected_offset);
    mate->expected_offset = part->last_offset + 1;
    crew->snapshots_told++;
}
