/* Random faults, seed by seed: brokers crash, hang and are cut off, leaders move, disks stall,
 * connections break. REPLICATION_SEEDS and REPLICATION_FIRST choose the seeds. */
#include <stdlib.h>

#include "tests/unit/replica/cluster.h"

enum { FAULTS_MS = 3000, HEAL_MS = 20000, LAST_MS = 500 };

static struct counts total;

static struct node *any_node(struct cluster *c, int32_t from)
{
    return &c->nodes[from + (int32_t)rng_below(&c->rng, (uint64_t)(BROKERS + 1 - from))];
}

static int64_t some_ms(struct cluster *c, int64_t most)
{
    return 5 + (int64_t)rng_below(&c->rng, (uint64_t)most);
}

static void crash_one(struct cluster *c, struct node *node, bool power)
{
    enum sim_crash how = SIM_KILL;
    if (power) {
        how = rng_below(&c->rng, 2) == 0 ? SIM_POWER : SIM_POWER_CUT;
    }
    cluster_crash(node, how, some_ms(c, 1200));
}

static void disturb_wires(struct cluster *c)
{
    struct node *a = any_node(c, 0);
    struct node *b = any_node(c, 1);
    if (a == b) {
        return;
    }
    switch (rng_below(&c->rng, 5)) {
    case 0:
        sim_partition(a->sim, b->sim, true);
        break;
    case 1:
        sim_block(a->sim, b->sim, true);
        break;
    case 2:
        sim_block(b->sim, a->sim, true);
        break;
    case 3:
        sim_isolate(b->sim, true);
        break;
    default: {
        struct sim_path path = {.delay_min_us = 100, .delay_max_us = 100 + some_ms(c, 40) * 1000};
        sim_path_set(a->sim, b->sim, path);
        break;
    }
    }
}

static void disturb_control(struct cluster *c, struct node *node)
{
    int part = (int)rng_below(&c->rng, (uint64_t)c->part_count);
    switch (rng_below(&c->rng, 6)) {
    case 0:
        c->fenced_until_us[node->id] = sim_now_us(c->sim) + some_ms(c, 500) * 1000;
        control_fence(c, node->id);
        break;
    case 1:
        c->refuse_alters = !c->refuse_alters;
        break;
    case 2:
        c->hold_alters = !c->hold_alters;
        break;
    case 4:
        c->metadata_one_in = 1 + rng_below(&c->rng, 100);
        break;
    case 3: /* the same leader, a new epoch */
        if (c->parts[part].leader > 0) {
            control_lead(c, part, c->parts[part].leader);
        }
        break;
    default:
        control_lead(c, part, node->id);
        break;
    }
}

/* As DeleteRecords does. */
static void advance_start(struct cluster *c, int part)
{
    struct node *leader = cluster_leader(c, part);
    if (leader != NULL) {
        struct replica *replica = cluster_replica(leader, part);
        struct log *log = replica_log(replica);
        int64_t room = replica_high_watermark(replica) - log_start(log);
        if (room > 0) {
            int64_t start = log_start(log) + (int64_t)rng_below(&c->rng, (uint64_t)room + 1);
            log_advance_start(log, start);
            if (start > c->parts[part].start) {
                c->parts[part].start = start;
            }
        }
    }
}

static void disturb(struct cluster *c, bool power)
{
    struct node *node = any_node(c, 1);
    c->counts.faults++;
    switch (rng_below(&c->rng, 12)) {
    case 0:
    case 1:
        crash_one(c, node, power);
        break;
    case 2:
        cluster_stall(node, some_ms(c, 1500));
        break;
    case 3:
        sim_disk_stall(node->sim, some_ms(c, 400) * 1000);
        break;
    case 4:
        sim_reset(node->sim, any_node(c, 0)->sim);
        break;
    case 5:
    case 6:
    case 7:
        disturb_wires(c);
        break;
    case 8:
        for (int32_t id = 1; rng_below(&c->rng, 4) == 0 && id <= BROKERS; id++) {
            crash_one(c, &c->nodes[id], power);
        }
        break;
    case 9:
        advance_start(c, (int)rng_below(&c->rng, (uint64_t)c->part_count));
        break;
    default:
        disturb_control(c, node);
        break;
    }
}

static void add_counts(const struct counts *counts)
{
    const uint64_t *from = (const uint64_t *)counts;
    uint64_t *to = (uint64_t *)&total;
    for (size_t i = 0; i < sizeof total / sizeof *to; i++) {
        to[i] += from[i];
    }
}

static void settle(struct cluster *c, uint64_t seed)
{
    if (!cluster_until(c, cluster_settled, HEAL_MS)) {
        print_message("seed %llu: not everyone is in sync and at the end %d ms after healing\n",
                      (unsigned long long)seed, HEAL_MS);
        cluster_describe(c);
        fail();
    }
}

static void one_life(uint64_t seed)
{
    bool power = seed % 2 == 0;
    struct cluster *c = cluster_new(seed * 6151, !power);
    sim_note(c->sim, "seed %llu", (unsigned long long)seed);
    c->producing = true;
    int64_t end = sim_now_us(c->sim) + FAULTS_MS * 1000;
    while (sim_now_us(c->sim) < end) {
        disturb(c, power);
        cluster_run(c, some_ms(c, 250));
        if (rng_below(&c->rng, 4) == 0) {
            cluster_heal(c);
        }
    }
    cluster_heal(c);
    cluster_run(c, LAST_MS); /* coming back must not need silence */
    c->producing = false;
    settle(c, seed);
    uint64_t before = c->counts.acked;
    c->producing = true;
    cluster_run(c, 200);
    c->producing = false;
    settle(c, seed);
    assert_true(c->counts.acked > before);
    cluster_check(c);
    cluster_check_settled(c);
    add_counts(&c->counts);
    cluster_free(c);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void test_random_lives(void **state)
{
    (void)state;
    uint64_t first = setting("REPLICATION_FIRST", 1);
    uint64_t count = setting("REPLICATION_SEEDS", 200);
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (getenv("REPLICATION_VERBOSE") != NULL) {
            print_message("seed %llu\n", (unsigned long long)seed);
        }
        one_life(seed);
    }
    print_message("%llu seeds: %llu faults, %llu elections, %llu records acknowledged, %llu "
                  "refused, in-sync sets grew %llu and shrank %llu times (%llu refusals), %llu "
                  "diverging answers, %llu out of range\n",
                  (unsigned long long)count, (unsigned long long)total.faults,
                  (unsigned long long)total.elections, (unsigned long long)total.acked,
                  (unsigned long long)total.refused, (unsigned long long)total.expansions,
                  (unsigned long long)total.shrinks, (unsigned long long)total.refusals,
                  (unsigned long long)total.diverging, (unsigned long long)total.out_of_range);
    if (count >= 100) {
        assert_true(total.diverging > 0 && total.shrinks > 0 && total.expansions > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_lives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
