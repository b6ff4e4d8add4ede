/* Three voters, one of which loses its disk: what it may not do before it knows enough. */
#include "tests/unit/quorum/crew.h"

static struct crew crew;

static struct mate *other_than(const struct mate *a, const struct mate *b)
{
    for (int i = 0; i < crew.voters; i++) {
        struct mate *mate = &crew.mates[i];
        if (mate != a && mate != b) {
            return mate;
        }
    }
    assert_true(false);
    return &crew.mates[0];
}

static void start_all(void)
{
    for (int i = 0; i < crew.count; i++) {
        mate_start(&crew.mates[i]);
    }
}

/* B holds what A and B committed. B's disk is wiped, A dies: C, which lacks it, must not be elected
 * with B's vote. */
static void a_wiped_voter_does_not_elect_a_log_that_lacks_what_is_committed(void **state)
{
    (void)state;
    for (uint64_t seed = 50; seed < 60; seed++) {
        crew_build(&crew, seed, 3, 0);
        start_all();
        crew_progress(&crew, 10000);
        assert_true(crew_proven(&crew));
        struct mate *leader = crew_leader(&crew);
        struct mate *behind = other_than(leader, NULL);
        struct mate *wiped = other_than(leader, behind);
        mate_crash(behind, SIM_KILL);
        int64_t offset = -1;
        for (int i = 0; i < 10; i++) {
            assert_true(crew_append(&crew, &offset));
        }
        crew_run(&crew, NULL, 500);
        assert_int_equal(crew.committed_end, offset + 1);
        mate_crash(wiped, SIM_POWER);
        mate_crash(leader, SIM_POWER);
        mate_wipe(wiped);
        mate_start(wiped);
        mate_start(behind);
        crew_run(&crew, NULL, 30000);
        assert_null(crew_leader(&crew)); /* nobody, rather than one that lacks it */
        mate_start(leader);
        crew_progress(&crew, 20000);
        assert_true(crew_proven(&crew)); /* it has caught up */
        mate_crash(crew_leader(&crew), SIM_KILL);
        crew_progress(&crew, 20000); /* and its vote counts again */
        crew_raze(&crew);
    }
}

static bool leads_after(const struct mate *mate, int32_t epoch)
{
    return mate->up && mate->opened && quorum_role(mate->quorum) == QUORUM_LEADER &&
           quorum_epoch(mate->quorum) > epoch;
}

/* A leads and hears nobody. B has C's vote for the next epoch and leads it. C's disk is wiped, and
 * only A can be reached: the majority that A and C would be was given away. */
static void a_wiped_voter_does_not_help_the_leader_of_an_epoch_it_had_left(void **state)
{
    (void)state;
    int met = 0;
    for (uint64_t seed = 70; seed < 90; seed++) {
        crew_build(&crew, seed, 3, 0);
        crew.load = true;
        start_all();
        crew_progress(&crew, 10000);
        struct mate *old = crew_leader(&crew);
        int32_t epoch = quorum_epoch(old->quorum);
        struct mate *young = other_than(old, NULL);
        struct mate *wiped = other_than(old, young);
        sim_isolate(old->node, true);
        for (int i = 0; i < 1000 && !leads_after(young, epoch) && !leads_after(wiped, epoch); i++) {
            crew_run(&crew, NULL, 5);
        }
        if (leads_after(wiped, epoch)) {
            struct mate *swapped = wiped;
            wiped = young;
            young = swapped;
        }
        assert_true(leads_after(young, epoch));
        mate_crash(wiped, SIM_POWER);
        mate_wipe(wiped);
        sim_isolate(young->node, true);
        sim_partition(old->node, wiped->node, false);
        mate_start(wiped);
        met += quorum_role(old->quorum) == QUORUM_LEADER && quorum_epoch(old->quorum) == epoch;
        int64_t committed = crew.committed_end;
        crew_run(&crew, NULL, 10000);
        assert_int_equal(crew.committed_end, committed);
        crew_heal(&crew);
        crew_progress(&crew, 20000);
        crew_raze(&crew);
    }
    assert_true(met > 0); /* a leader of before was there to be helped */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wiped_voter_does_not_elect_a_log_that_lacks_what_is_committed),
        cmocka_unit_test(a_wiped_voter_does_not_help_the_leader_of_an_epoch_it_had_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
