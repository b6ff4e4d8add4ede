/* Three and five voters under chance: delays, lost connections, partitions one way and both,
 * crashes that lose unsynced bytes, one wiped disk, restarts, resignations, clean stops; a leader
 * that appends all the while. Then everything heals, and the crew must get on.
 *
 * BARNABAS_SEEDS in the environment of the test: how many seeds to run, from the first on. */
#include <stdlib.h>

#include "tests/unit/quorum/crew.h"

enum { SEEDS = 200, ACTIONS = 40 };

static struct crew crew;

static struct tally {
    unsigned crashes;
    unsigned wipes;
    unsigned blackouts;
    unsigned cuts;
    unsigned resets;
    unsigned stops;
    unsigned resignations;
    unsigned elections;
    unsigned batches;
    unsigned written;
    unsigned told;
    uint64_t events;
} tally;

static uint64_t below(uint64_t bound)
{
    return rng_below(sim_rng(crew.sim), bound);
}

static struct mate *any(void)
{
    return &crew.mates[below((uint64_t)crew.count)];
}

static int down(void)
{
    int count = 0;
    for (int i = 0; i < crew.count; i++) {
        count += !crew.mates[i].up;
    }
    return count;
}

static void crash_one(bool wipe)
{
    static const enum sim_crash kinds[] = {SIM_KILL, SIM_POWER, SIM_POWER_CUT};
    struct mate *mate = below(2) == 0 ? crew_leader(&crew) : any();
    if (mate == NULL || !mate->up || (wipe && mate->id > crew.voters)) {
        return;
    }
    mate_crash(mate, wipe ? SIM_POWER : kinds[below(3)]);
    tally.crashes++;
    if (wipe) {
        mate_wipe(mate);
        tally.wipes++;
    }
}

static void cut_one(void)
{
    struct mate *a = any();
    struct mate *b = any();
    if (a == b) {
        sim_isolate(a->node, true);
    } else if (below(2) == 0) {
        sim_partition(a->node, b->node, true);
    } else {
        sim_block(a->node, b->node, true);
    }
    tally.cuts++;
}

static void slow_one(void)
{
    struct mate *a = any();
    struct mate *b = any();
    if (a != b) {
        int64_t most_us = (int64_t)(1000 << below(10));
        sim_path_set(a->node, b->node,
                     (struct sim_path){.delay_min_us = 50, .delay_max_us = most_us});
    }
}

/* The power fails for everyone: what was not synced is at chance everywhere at once. */
static void black_out(void)
{
    for (int i = 0; i < crew.count; i++) {
        if (crew.mates[i].up) {
            mate_crash(&crew.mates[i], SIM_POWER);
            tally.crashes++;
        }
    }
    for (int i = 0; i < crew.count; i++) {
        if (below(4) > 0) {
            mate_start(&crew.mates[i]);
        }
    }
    tally.blackouts++;
}

static void slow_disk(void)
{
    int64_t most_us = (int64_t)(500 << below(8));
    sim_disk_latency(any()->node, SIM_SYNC, (struct sim_latency){.min_us = 50, .max_us = most_us});
}

static void restart_one(void)
{
    for (int i = 0; i < crew.count; i++) {
        struct mate *mate = &crew.mates[(i + (int)below(7)) % crew.count];
        if (!mate->up) {
            mate_start(mate);
            return;
        }
    }
}

static void act(bool *wiped)
{
    struct mate *mate = any();
    switch (below(14)) {
    case 0:
    case 1:
        crash_one(false);
        break;
    case 2:
        if (!*wiped && down() == 0 && crew_proven(&crew) && crew.committed_end > 0) {
            crash_one(true);
            *wiped = tally.wipes > 0 && down() > 0;
        }
        break;
    case 3:
    case 4:
        cut_one();
        break;
    case 5:
        crew_heal(&crew);
        break;
    case 6:
        sim_reset(mate->node, any()->node);
        tally.resets++;
        break;
    case 7:
        slow_one();
        break;
    case 8:
        mate = crew_leader(&crew);
        if (mate != NULL && below(2) == 0) {
            quorum_resign(mate->quorum, mate->active_epoch, "chance wants it");
            tally.resignations++;
        }
        break;
    case 9:
        if (mate->up && mate->opened && below(2) == 0) {
            mate_close(mate);
            tally.stops++;
        }
        break;
    case 10:
        black_out();
        break;
    case 11:
        slow_disk();
        break;
    default:
        restart_one();
    }
}

/* In most crews often, and in most of these the log begins late. */
static void draw_snapshots(void)
{
    if (below(4) == 0) {
        return;
    }
    crew.snapshot_bytes = 200 + (int64_t)below(3000);
    crew.piece_bytes = below(2) == 0 ? 100 + (int32_t)below(900) : 0;
    crew.segment_bytes = below(2) == 0 ? 300 + (int32_t)below(3000) : 0;
    if (below(4) > 0) {
        crew.retention_bytes = (int64_t)below(5000);
    }
    if (below(4) == 0) {
        crew.retention_ms = (int64_t)below(3000);
    }
}

static void run_seed(uint64_t seed)
{
    int voters = seed % 3 == 2 ? 5 : 3;
    crew_build(&crew, seed, voters, seed % 4 == 0 ? 1 : 0);
    crew.load = true;
    draw_snapshots();
    bool wiped = false;
    for (int i = 0; i < crew.count; i++) {
        mate_start(&crew.mates[i]);
        crew_run(&crew, NULL, (int64_t)below(50));
    }
    /* Every other seed troubles a cluster that has formed. */
    if (seed % 2 == 0) {
        crew_progress(&crew, 20000);
    }
    for (int i = 0; i < ACTIONS; i++) {
        act(&wiped);
        crew_run(&crew, NULL, (int64_t)below(below(4) == 0 ? 4000 : 600));
    }
    crew_heal(&crew);
    for (int i = 0; i < crew.count; i++) {
        if (!crew.mates[i].up) {
            mate_start(&crew.mates[i]);
        }
    }
    crew_progress(&crew, 40000);
    tally.elections += crew.elections;
    tally.written += crew.snapshots_written;
    tally.told += crew.snapshots_told;
    tally.batches += (unsigned)crew.committed_count;
    tally.events += sim_events(crew.sim);
    crew_raze(&crew);
}

static void nothing_committed_is_lost_or_told_twice(void **state)
{
    (void)state;
    const char *asked = getenv("BARNABAS_SEEDS");
    uint64_t seeds = asked != NULL ? strtoull(asked, NULL, 10) : SEEDS;
    const char *from = getenv("BARNABAS_SEED");
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        if (from != NULL) {
            print_message("seed %llu\n", (unsigned long long)seed);
        }
        run_seed(seed);
    }
    print_message(
        "%llu seeds: %llu events, %u elections, %u batches committed, %u crashes, %u "
        "wiped disks, %u blackouts, %u cuts, %u resets, %u clean stops, %u resignations, %u "
        "snapshots written, %u told\n",
        (unsigned long long)seeds, (unsigned long long)tally.events, tally.elections, tally.batches,
        tally.crashes, tally.wipes, tally.blackouts, tally.cuts, tally.resets, tally.stops,
        tally.resignations, tally.written, tally.told);
    assert_true(seeds < 100 || (tally.written > 1000 && tally.told > 200));
    assert_true(seeds < 100 || (tally.wipes > 10 && tally.crashes > 100 && tally.cuts > 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_committed_is_lost_or_told_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
