/* Three and five voters, one thing at a time: a new cluster, replication, the ends of leadership,
 * followers whose logs went another way, what leaves before the disk has it. */
#include <stdlib.h>

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

static void a_new_cluster_elects_and_replicates(void **state)
{
    (void)state;
    for (int voters = 3; voters <= 5; voters += 2) {
        crew_build(&crew, 1, voters, 2);
        start_all();
        crew_progress(&crew, 10000);
        int64_t offset = -1;
        for (int i = 0; i < 50; i++) {
            assert_true(crew_append(&crew, &offset));
        }
        assert_true(crew_run(&crew, crew_is_level, 2000));
        crew_progress(&crew, 2000);
        assert_int_equal(crew.elections, 1);
        /* Everyone knows who leads, observers too, and how far it is committed. */
        struct mate *leader = crew_leader(&crew);
        for (int i = 0; i < crew.count; i++) {
            assert_int_equal(quorum_leader(crew.mates[i].quorum), leader->id);
            assert_int_equal(quorum_epoch(crew.mates[i].quorum), leader->active_epoch);
            assert_int_equal(quorum_high_watermark(crew.mates[i].quorum), crew.committed_end);
        }
        /* An idle cluster keeps its leader. */
        crew_run(&crew, NULL, 60000);
        assert_int_equal(crew.elections, 1);
        crew_raze(&crew);
    }
}

typedef __typeof__(((struct describe_quorum_response *)0)->topics.items[0].partitions.items[0])
    described_partition;

/* The leader's description; its memory is the arena's. */
static const described_partition *describe(struct arena *arena)
{
    struct describe_quorum_response *response = arena_alloc(arena, sizeof *response);
    struct mate *leader = crew_leader(&crew);
    assert_non_null(leader);
    quorum_describe(leader->quorum, 2, response, arena);
    assert_int_equal(response->topics.items[0].partitions.items[0].error_code, 0);
    return response->topics.items[0].partitions.items;
}

static void a_leader_tells_who_fetches(void **state)
{
    (void)state;
    crew_build(&crew, 5, 3, 2);
    start_all();
    crew_progress(&crew, 10000);
    crew_run(&crew, NULL, 2000);
    struct arena arena = {0};
    const described_partition *seen = describe(&arena);
    int64_t end = log_end(quorum_log(crew_leader(&crew)->quorum));
    assert_int_equal(seen->current_voters.count, 3);
    assert_int_equal(seen->observers.count, 2);
    for (int i = 0; i < 5; i++) {
        const __typeof__(seen->observers.items[0]) *one =
            i < 3 ? &seen->current_voters.items[i] : &seen->observers.items[i - 3];
        assert_int_equal(one->log_end_offset, end);
        assert_false(uuid_is_zero(&one->replica_directory_id));
        bool leader = one->replica_id == crew_leader(&crew)->id;
        assert_int_equal(leader, one->last_fetch_timestamp == -1);
        /* Fetches are parked for half a second. */
        assert_true(one->last_caught_up_timestamp > env_wall_ms(crew.mates[0].env) - 1000);
    }
    assert_int_equal(seen->observers.items[0].replica_id + seen->observers.items[1].replica_id, 9);

    /* One that is gone stays with what it had, for five minutes. */
    int64_t gone_ms = env_wall_ms(crew.mates[0].env);
    mate_crash(&crew.mates[4], SIM_KILL);
    crew_progress(&crew, 10000);
    crew_run(&crew, NULL, 290000);
    seen = describe(&arena);
    assert_int_equal(seen->observers.count, 2);
    int at = seen->observers.items[0].replica_id == 5 ? 0 : 1;
    assert_int_equal(seen->observers.items[at].log_end_offset, end);
    assert_true(seen->observers.items[at].last_fetch_timestamp <= gone_ms);
    assert_true(seen->observers.items[at].last_caught_up_timestamp <= gone_ms);
    assert_true(seen->observers.items[1 - at].log_end_offset > end);
    crew_run(&crew, NULL, 11000);
    seen = describe(&arena);
    assert_int_equal(seen->observers.count, 1);
    assert_int_equal(seen->observers.items[0].replica_id, 4);
    arena_free(&arena);
    crew_raze(&crew);
}

static void a_dead_leader_is_replaced_and_comes_back(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 20; seed++) {
        crew_build(&crew, seed, 3, 0);
        start_all();
        crew_progress(&crew, 10000);
        struct mate *leader = crew_leader(&crew);
        int64_t began_us = sim_now_us(crew.sim);
        mate_crash(leader, seed % 2 == 0 ? SIM_KILL : SIM_POWER);
        crew_progress(&crew, 10000);
        int64_t took_ms = (sim_now_us(crew.sim) - began_us) / 1000;
        assert_true(took_ms < 3000); /* refused connections tell at once */
        mate_start(leader);
        crew_progress(&crew, 10000);
        assert_int_equal(quorum_role(leader->quorum), QUORUM_FOLLOWER);
        crew_raze(&crew);
    }
}

/* Both followers stand at the same moment, each votes for itself, and the dead one is the third:
 * that costs another try, not the time of an election. */
static void a_split_vote_beside_a_dead_leader_is_tried_again_at_once(void **state)
{
    (void)state;
    int split = 0;
    for (uint64_t seed = 30; seed < 70; seed++) {
        crew_build(&crew, seed, 3, 0);
        start_all();
        crew_progress(&crew, 10000);
        struct mate *leader = crew_leader(&crew);
        int32_t epoch = leader->active_epoch;
        int64_t began_us = sim_now_us(crew.sim);
        mate_crash(leader, SIM_KILL);
        assert_true(crew_run(&crew, crew_has_leader, 10000));
        int64_t took_ms = (sim_now_us(crew.sim) - began_us) / 1000;
        split += crew_leader(&crew)->active_epoch > epoch + 1;
        if (took_ms >= 500) {
            fail_msg("seed %d: %d ms without a leader", (int)seed, (int)took_ms);
        }
        crew_raze(&crew);
    }
    assert_true(split > 0);
}

static void a_leader_that_stops_well_hands_over_at_once(void **state)
{
    (void)state;
    crew_build(&crew, 21, 3, 0);
    start_all();
    crew_progress(&crew, 10000);
    struct mate *leader = crew_leader(&crew);
    int64_t began_us = sim_now_us(crew.sim);
    mate_close(leader);
    assert_true(crew_run(&crew, crew_has_leader, 2000));
    assert_true(sim_now_us(crew.sim) - began_us < 700000);
    mate_start(leader);
    crew_progress(&crew, 10000);
    crew_raze(&crew);
}

static const struct mate *watched;
static int64_t watched_offset;

static bool leader_resigned(struct crew *all)
{
    (void)all;
    return watched->active_epoch < 0;
}

static void a_cut_off_leader_resigns_and_a_cut_off_follower_disturbs_nobody(void **state)
{
    (void)state;
    crew_build(&crew, 31, 3, 0);
    start_all();
    crew_progress(&crew, 10000);
    struct mate *leader = crew_leader(&crew);
    struct mate *lost = other_than(leader, NULL);
    sim_isolate(lost->node, true);
    crew_run(&crew, NULL, 20000);
    assert_ptr_equal(crew_leader(&crew), leader);
    int32_t epoch = leader->active_epoch;
    crew_heal(&crew);
    crew_progress(&crew, 20000);
    assert_int_equal(leader->active_epoch, epoch); /* pre-vote: its epoch did not rise */

    watched = leader;
    sim_isolate(leader->node, true);
    int64_t offset = -1;
    assert_true(crew_append(&crew, &offset)); /* never committed */
    crew_run(&crew, NULL, 1500);
    assert_true(crew.committed_end <= offset);
    assert_true(crew_run(&crew, leader_resigned, 1700));
    assert_int_equal(quorum_leader(leader->quorum), -1);
    assert_true(crew_run(&crew, crew_has_leader, 10000));
    crew_heal(&crew);
    crew_progress(&crew, 20000);
    assert_ptr_not_equal(crew_leader(&crew), leader);
    assert_int_equal(quorum_role(leader->quorum), QUORUM_FOLLOWER);
    crew_raze(&crew);
}

/* Below what it has in common with its leader: committed, and perhaps on no other living node. */
static bool cut_too_far(struct crew *all)
{
    (void)all;
    return watched->quorum != NULL && quorum_log(watched->quorum) != NULL &&
           log_assigned_end(quorum_log(watched->quorum)) < watched_offset;
}

/* A log that holds what was never committed is cut back where it parts from its leader's, and not
 * to the high watermark, of which a node that has just started knows nothing. */
static void diverging_logs_are_cut(void **state)
{
    (void)state;
    crew_build(&crew, 41, 5, 0);
    start_all();
    crew_progress(&crew, 10000);
    struct mate *first = crew_leader(&crew);
    int64_t offset = -1;
    for (int i = 0; i < crew.count; i++) {
        if (&crew.mates[i] != first) {
            sim_partition(first->node, crew.mates[i].node, true);
        }
    }
    for (int i = 0; i < 20; i++) {
        assert_true(crew_append(&crew, &offset));
    }
    crew_run(&crew, NULL, 200); /* durable, at the cut off leader only */
    int64_t alone = log_durable_end(quorum_log(first->quorum));
    assert_int_equal(alone, offset + 1);
    watched_offset = crew.committed_end;
    assert_true(watched_offset > 0 && watched_offset < alone);
    mate_crash(first, SIM_POWER);
    crew_run(&crew, crew_has_leader, 20000);
    crew_progress(&crew, 20000);
    crew_heal(&crew);
    mate_start(first);
    watched = first;
    assert_false(crew_run(&crew, cut_too_far, 3000));
    crew_progress(&crew, 20000);
    assert_int_equal(first->expected_offset, crew.committed_end);
    crew_raze(&crew);
}

static void an_empty_set_waits_for_its_last_member(void **state)
{
    (void)state;
    crew_build(&crew, 61, 3, 0);
    mate_start(&crew.mates[0]);
    mate_start(&crew.mates[1]);
    crew_run(&crew, NULL, 30000);
    assert_int_equal(crew.committed_end, 0);
    assert_null(crew_leader(&crew));
    assert_false(crew_proven(&crew));
    mate_start(&crew.mates[2]);
    crew_progress(&crew, 5000);
    crew_raze(&crew);
}

static void resigning_passes_leadership_on(void **state)
{
    (void)state;
    crew_build(&crew, 71, 3, 1);
    start_all();
    crew_progress(&crew, 10000);
    for (int i = 0; i < 10; i++) {
        struct mate *leader = crew_leader(&crew);
        int32_t epoch = leader->active_epoch;
        int64_t began_us = sim_now_us(crew.sim);
        watched = leader;
        quorum_resign(leader->quorum, epoch, "the test wants it");
        crew_run(&crew, leader_resigned, 100);
        assert_true(crew_run(&crew, crew_has_leader, 5000));
        assert_true(sim_now_us(crew.sim) - began_us < 1000000);
        crew_progress(&crew, 5000);
        assert_true(crew_leader(&crew)->active_epoch > epoch);
    }
    crew_raze(&crew);
}

/* ---- what only a majority of the present epoch commits, and what a cut may take ---- */

static bool holds(struct crew *all)
{
    (void)all;
    return log_durable_end(quorum_log(watched->quorum)) > watched_offset;
}

static void apart(struct mate *a, struct mate *b, bool yes)
{
    if (a != b) {
        sim_partition(a->node, b->node, yes);
    }
}

/* Everybody of `group` is cut off from everybody else. */
static void only(struct mate **group, int count)
{
    for (int i = 0; i < crew.count; i++) {
        for (int j = 0; j < crew.count; j++) {
            bool inside_i = false;
            bool inside_j = false;
            for (int k = 0; k < count; k++) {
                inside_i = inside_i || group[k] == &crew.mates[i];
                inside_j = inside_j || group[k] == &crew.mates[j];
            }
            apart(&crew.mates[i], &crew.mates[j], !inside_i || !inside_j);
        }
    }
}

static void form_five(uint64_t seed, struct mate *in_order[5])
{
    crew_build(&crew, seed, 5, 0);
    start_all();
    crew_progress(&crew, 20000);
    in_order[0] = crew_leader(&crew);
    for (int i = 0, at = 1; i < 5; i++) {
        if (&crew.mates[i] != in_order[0]) {
            in_order[at++] = &crew.mates[i];
        }
    }
}

enum { BIG = (1 << 20) + 1000 };

static void slow_way(struct mate *from, struct mate *to, int64_t ms)
{
    sim_path_set(from->node, to->node,
                 (struct sim_path){.delay_min_us = ms * 1000, .delay_max_us = ms * 1000});
}

/* Raft's figure 8: a majority holds an entry of an earlier epoch, none of the present one. */
static void an_earlier_epochs_entry_is_not_committed_by_counting(void **state)
{
    (void)state;
    struct mate *s[5];
    form_five(101, s);
    only((struct mate *[]){s[0], s[1]}, 2);
    watched_offset = mate_append_big(s[0], BIG);
    watched = s[1];
    assert_true(crew_run(&crew, holds, 1500)); /* s0 and s1 hold it */
    mate_crash(s[0], SIM_KILL);
    mate_crash(s[1], SIM_KILL);
    /* s4 leads the next epoch, with an entry of that one that it alone holds. */
    only((struct mate *[]){s[2], s[3], s[4]}, 3);
    watched = NULL;
    for (int tries = 0; watched == NULL && tries < 60000; tries++) {
        crew_run(&crew, NULL, 1);
        for (int i = 2; i < 5; i++) {
            if (quorum_role(s[i]->quorum) == QUORUM_LEADER) {
                watched = s[i];
            }
        }
    }
    assert_non_null(watched);
    struct mate *third = &crew.mates[watched->id - 1];
    only(NULL, 0);
    crew_run(&crew, NULL, 200);
    assert_true(log_durable_end(quorum_log(third->quorum)) >= watched_offset);
    mate_crash(third, SIM_KILL);
    /* s0 leads again, gives the big entry to one more, and its own epoch's to too few. */
    mate_start(s[0]);
    mate_start(s[1]);
    struct mate *fed = s[2] == third ? s[3] : s[2];
    only((struct mate *[]){s[0], s[1], fed}, 3);
    crew_run(&crew, NULL, 10);
    watched = NULL;
    for (int tries = 0; watched == NULL && tries < 60000; tries++) {
        crew_run(&crew, NULL, 1);
        for (int i = 0; i < 2; i++) {
            if (quorum_role(s[i]->quorum) == QUORUM_LEADER) {
                watched = s[i];
            }
        }
    }
    assert_non_null(watched);
    struct mate *again = &crew.mates[watched->id - 1];
    struct mate *with = again == s[0] ? s[1] : s[0];
    slow_way(again, fed, 20);
    watched = fed;
    assert_true(crew_run(&crew, holds, 2900));
    crew_run(&crew, NULL, 10); /* its next Fetch is in, what that brings is still on its way */
    assert_true(quorum_high_watermark(again->quorum) <= watched_offset);
    sim_isolate(again->node, true);
    mate_crash(again, SIM_POWER_CUT);
    mate_crash(with, SIM_KILL);
    crew_heal(&crew);
    mate_start(third);
    crew_progress(&crew, 30000);
    mate_start(again);
    mate_start(with);
    crew_progress(&crew, 30000);
    crew_raze(&crew);
}

/* ---- what is served to whom ---- */

static bool answered;

static void call_done(struct quorum_call *call)
{
    (void)call;
    answered = true;
}

static bool is_answered(struct crew *all)
{
    (void)all;
    return answered;
}

static void submit(struct mate *mate, struct quorum_call *call)
{
    answered = false;
    call->done = call_done;
    quorum_submit(mate->quorum, call);
    assert_false(answered); /* in a later turn */
    assert_true(crew_run(&crew, is_answered, 1000));
}

static struct fetch_response_partition fetch(struct mate *mate, int32_t epoch, int64_t offset,
                                             int32_t last_epoch, const char *cluster)
{
    static struct fetch_response response;
    struct arena arena = {0};
    struct fetch_request_partition partition;
    wire_struct_defaults(&wire_struct_fetch_request_partition, &partition);
    partition.current_leader_epoch = epoch;
    partition.fetch_offset = offset;
    partition.last_fetched_epoch = last_epoch;
    struct fetch_request_topic topic = {.topic_id = quorum_topic_id()};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct fetch_request request;
    wire_defaults(&wire_fetch_request, &request);
    request.cluster_id = wire_str(cluster);
    request.topics.items = &topic;
    request.topics.count = 1;
    struct quorum_call call = {
        .api_key = 1, .version = 17, .request = &request, .response = &response, .arena = &arena};
    submit(mate, &call);
    buf_unref(call.records);
    struct fetch_response_partition found = {.error_code = response.error_code};
    if (response.error_code == 0) {
        found = response.responses.items[0].partitions.items[0];
    }
    arena_free(&arena);
    return found;
}

static void fetches_are_judged(void **state)
{
    (void)state;
    crew_build(&crew, 81, 3, 0);
    start_all();
    crew_progress(&crew, 10000);
    struct mate *leader = crew_leader(&crew);
    int32_t epoch = leader->active_epoch;
    int64_t end = log_end(quorum_log(leader->quorum));
    struct mate *follower = other_than(leader, NULL);
    assert_int_equal(fetch(leader, epoch, 0, 0, "other").error_code, 104);
    assert_int_equal(fetch(leader, epoch - 1, 0, 0, "crew").error_code, 74);
    assert_int_equal(fetch(leader, epoch + 1, 0, 0, "crew").error_code, 75);
    assert_int_equal(fetch(leader, epoch, -5, 0, "crew").error_code, 42);
    struct fetch_response_partition found = fetch(follower, epoch, 0, 0, "crew");
    assert_int_equal(found.error_code, 6);
    assert_int_equal(found.current_leader.leader_id, leader->id);
    assert_int_equal(found.current_leader.leader_epoch, epoch);
    found = fetch(leader, epoch, end + 5, epoch, "crew");
    assert_int_equal(found.error_code, 0);
    assert_int_equal(found.diverging_epoch.epoch, epoch);
    assert_int_equal(found.diverging_epoch.end_offset, end);
    found = fetch(leader, epoch, 0, 0, "crew");
    assert_true(found.records.size > 0);
    assert_int_equal(found.high_watermark, crew.committed_end);
    crew_raze(&crew);
}

static struct vote_response_partition ask(struct mate *mate, int32_t id, int32_t epoch, int64_t end,
                                          int32_t last_epoch, bool pre_vote)
{
    static struct vote_response response;
    struct arena arena = {0};
    struct vote_request_partition partition = {.replica_epoch = epoch,
                                               .replica_id = id,
                                               .last_offset = end,
                                               .last_offset_epoch = last_epoch,
                                               .pre_vote = pre_vote};
    struct vote_request_topic topic = {.topic_name = wire_str(QUORUM_TOPIC)};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct vote_request request;
    wire_defaults(&wire_vote_request, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    struct quorum_call call = {
        .api_key = 52, .version = 2, .request = &request, .response = &response, .arena = &arena};
    submit(mate, &call);
    assert_int_equal(response.error_code, 0);
    struct vote_response_partition found = response.topics.items[0].partitions.items[0];
    arena_free(&arena);
    return found;
}

static int32_t stored_vote(struct mate *mate)
{
    struct bytes content = {0};
    assert_true(sim_disk_get(mate->node, "/data/meta/__cluster_metadata-0/quorum-state", &content));
    const uint8_t zero = 0;
    bytes_append(&content, &zero, 1);
    const char *at = strstr((const char *)content.data, "\"votedId\":");
    int32_t id = at == NULL ? -2 : (int32_t)strtol(at + 10, NULL, 10);
    bytes_free(&content);
    return id;
}

static void votes_are_given_once_and_not_before_the_disk_has_them(void **state)
{
    (void)state;
    crew_build(&crew, 91, 3, 0);
    start_all();
    crew_progress(&crew, 10000);
    struct mate *leader = crew_leader(&crew);
    struct mate *voter = other_than(leader, NULL);
    struct mate *third = other_than(leader, voter);
    int64_t end = log_end(quorum_log(voter->quorum));
    int32_t epoch = leader->active_epoch;
    assert_false(ask(voter, third->id, epoch, end, epoch, true).vote_granted); /* it has a leader */
    mate_crash(leader, SIM_KILL);
    mate_crash(third, SIM_KILL);
    assert_int_equal(ask(voter, third->id, epoch - 1, end, 0, false).error_code, 74);
    assert_int_equal(ask(voter, 9, epoch + 10, end, epoch, false).error_code, 94);
    /* A log that is behind, by epoch or by offset. */
    assert_false(ask(voter, third->id, epoch + 10, end - 1, epoch, false).vote_granted);
    assert_false(ask(voter, third->id, epoch + 10, end + 9, epoch - 1, false).vote_granted);
    sim_disk_latency(voter->node, SIM_SYNC, (struct sim_latency){.min_us = 50000, .max_us = 50000});
    assert_true(ask(voter, third->id, epoch + 10, end, epoch, false).vote_granted);
    assert_int_equal(stored_vote(voter), third->id);
    assert_true(ask(voter, third->id, epoch + 10, end, epoch, false).vote_granted);
    assert_false(ask(voter, leader->id, epoch + 10, end + 9, epoch + 9, false).vote_granted);
    mate_crash(voter, SIM_POWER);
    mate_start(voter);
    crew_run(&crew, NULL, 500);
    assert_false(ask(voter, leader->id, epoch + 10, end + 9, epoch + 9, false).vote_granted);
    crew_raze(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster_elects_and_replicates),
        cmocka_unit_test(a_leader_tells_who_fetches),
        cmocka_unit_test(a_dead_leader_is_replaced_and_comes_back),
        cmocka_unit_test(a_split_vote_beside_a_dead_leader_is_tried_again_at_once),
        cmocka_unit_test(a_leader_that_stops_well_hands_over_at_once),
        cmocka_unit_test(a_cut_off_leader_resigns_and_a_cut_off_follower_disturbs_nobody),
        cmocka_unit_test(diverging_logs_are_cut),
        cmocka_unit_test(an_empty_set_waits_for_its_last_member),
        cmocka_unit_test(resigning_passes_leadership_on),
        cmocka_unit_test(an_earlier_epochs_entry_is_not_committed_by_counting),
        cmocka_unit_test(fetches_are_judged),
        cmocka_unit_test(votes_are_given_once_and_not_before_the_disk_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
