/* Metadata snapshots (KIP-630): written, kept, fetched in pieces, put in the log's place, judged.
 */
#include "broker/quorum/snapshot.h"
#include "tests/unit/quorum/crew.h"

#define LOG_DIR "/data/meta/__cluster_metadata-0"

static struct crew crew;

static void start_voters(void)
{
    for (int i = 0; i < crew.voters; i++) {
        mate_start(&crew.mates[i]);
    }
}

static int64_t wanted_start;

static bool all_trimmed(struct crew *all)
{
    for (int i = 0; i < all->voters; i++) {
        const struct mate *mate = &all->mates[i];
        if (mate->quorum == NULL || quorum_log(mate->quorum) == NULL ||
            log_start(quorum_log(mate->quorum)) < wanted_start) {
            return false;
        }
    }
    return true;
}

/* Three voters whose logs begin late; `observers` more that have not started. */
static void build_trimmed(uint64_t seed, int observers, int64_t start)
{
    crew_build(&crew, seed, 3, observers);
    crew.load = true;
    crew.snapshot_bytes = 800;
    crew.retention_bytes = 1;
    crew.segment_bytes = 600;
    crew.piece_bytes = 90;
    start_voters();
    wanted_start = start;
    assert_true(crew_run(&crew, all_trimmed, 60000));
}

struct files {
    size_t whole;
    size_t parts;
    size_t segments;
    struct quorum_snapshot_id newest;
    size_t newest_size;
};

static void count_file(void *ctx, const char *path, const uint8_t *data, size_t size)
{
    struct files *files = ctx;
    struct quorum_snapshot_id id;
    bool part = false;
    const char *name = strrchr(path, '/') + 1;
    (void)data;
    if (snapshot_name_parse(name, &id, &part)) {
        files->parts += part;
        files->whole += !part;
        if (!part && id.end_offset > files->newest.end_offset) {
            files->newest = id;
            files->newest_size = size;
        }
    }
    files->segments += strlen(name) == 24 && strcmp(name + 20, ".log") == 0;
}

static struct files files_of(const struct mate *mate)
{
    struct files files = {0};
    sim_disk_walk(mate->node, LOG_DIR, count_file, &files);
    return files;
}

/* ---- written and kept ---- */

static void names_are_kafkas(void **state)
{
    (void)state;
    struct quorum_snapshot_id id;
    bool part = false;
    assert_true(snapshot_name_parse("00000000000000000042-0000000007.checkpoint", &id, &part));
    assert_int_equal(id.end_offset, 42);
    assert_int_equal(id.epoch, 7);
    assert_false(part);
    assert_true(snapshot_name_parse("00000000000000000042-0000000007.checkpoint.part", &id, &part));
    assert_true(part);
    static const char *const others[] = {
        "00000000000000000042.checkpoint",
        "00000000000000000042-0000000007.checkpoint.deleted",
        "0000000000000000004x-0000000007.checkpoint",
        "00000000000000000042-9999999999.checkpoint",
        "99999999999999999999-0000000001.checkpoint",
        "00000000000000000042_0000000007.checkpoint",
        "00000000000000000042-0000000007.checkpoint.parts",
        "bootstrap.checkpoint",
        "",
        ".part",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(snapshot_name_parse(others[i], &id, &part));
    }
}

static void the_log_begins_behind_snapshots(void **state)
{
    (void)state;
    build_trimmed(3, 0, 100);
    crew_run(&crew, NULL, 3000);
    for (int i = 0; i < 3; i++) {
        struct files files = files_of(&crew.mates[i]);
        assert_in_range(files.whole, 1, 3);
        assert_in_range(files.segments, 1, 6); /* what is below the start is gone */
        struct quorum *quorum = crew.mates[i].quorum;
        assert_non_null(quorum_snapshot_of(quorum, quorum_snapshot_oldest(quorum)->id));
        assert_int_equal(quorum_snapshot_oldest(quorum)->id.end_offset,
                         log_start(quorum_log(quorum)));
        assert_int_equal(quorum_snapshot_newest(quorum)->size_bytes, files.newest_size);
    }
    crew_raze(&crew);
}

static void without_limits_nothing_goes(void **state)
{
    (void)state;
    crew_build(&crew, 4, 3, 0);
    crew.load = true;
    crew.snapshot_bytes = 800;
    start_voters();
    crew_run(&crew, NULL, 8000);
    assert_true(crew.snapshots_written > 10);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(log_start(quorum_log(crew.mates[i].quorum)), 0);
        assert_true(files_of(&crew.mates[i]).whole > 5);
    }
    crew.load = false;
    crew.retention_ms = 1000; /* of the next life */
    mate_close(&crew.mates[0]);
    mate_start(&crew.mates[0]);
    crew_run(&crew, NULL, 70000);
    assert_true(log_start(quorum_log(crew.mates[0].quorum)) > 0);
    assert_in_range(files_of(&crew.mates[0]).whole, 1, 12);
    crew_raze(&crew);
}

static void a_start_begins_with_the_newest(void **state)
{
    (void)state;
    static const enum sim_crash kinds[] = {SIM_KILL, SIM_POWER, SIM_POWER_CUT};
    build_trimmed(5, 0, 50);
    for (int life = 0; life < 9; life++) {
        struct mate *mate = &crew.mates[life % 3];
        unsigned told = crew.snapshots_told;
        if (life < 3) {
            mate_close(mate);
        } else {
            mate_crash(mate, kinds[life % 3]);
        }
        sim_disk_put(mate->node, LOG_DIR "/00000000000000000007-0000000001.checkpoint.part", "x",
                     1);
        mate_start(mate);
        crew_progress(&crew, 20000);
        assert_true(crew.snapshots_told > told);
        assert_int_equal(files_of(mate).parts, 0);
    }
    crew_raze(&crew);
}

static void time_alone_makes_one_due(void **state)
{
    (void)state;
    crew_build(&crew, 14, 3, 0);
    crew.snapshot_bytes = 1 << 20;
    crew.snapshot_interval_ms = 5000;
    start_voters();
    crew_progress(&crew, 5000);
    crew_run(&crew, NULL, 4000);
    assert_int_equal(crew.snapshots_written, 0);
    crew_run(&crew, NULL, 12000);
    unsigned written = crew.snapshots_written;
    assert_in_range(written, 3, 6);
    crew_run(&crew, NULL, 30000);
    assert_int_equal(crew.snapshots_written, written); /* nothing new to write */
    crew_raze(&crew);
}

static void on_a_full_disk_it_waits(void **state)
{
    (void)state;
    crew_build(&crew, 6, 3, 0);
    crew.load = true;
    crew.snapshot_bytes = 800;
    for (int i = 0; i < 3; i++) {
        sim_disk_fail(crew.mates[i].node, 1U << SIM_WRITE, ".checkpoint.part", 1, ERR_NO_SPACE,
                      true);
    }
    start_voters();
    crew_run(&crew, NULL, 4000);
    crew_progress(&crew, 5000); /* nothing else waits for it */
    for (int i = 0; i < 3; i++) {
        assert_true(sim_disk_failed(crew.mates[i].node) > 0);
        assert_int_equal(files_of(&crew.mates[i]).whole, 0);
        assert_int_equal(files_of(&crew.mates[i]).parts, 0);
        sim_disk_heal(crew.mates[i].node);
    }
    crew.load = false;
    crew_run(&crew, NULL, 121000); /* within a minute, twice looked for */
    for (int i = 0; i < 3; i++) {
        assert_true(files_of(&crew.mates[i]).whole > 0);
    }
    crew_raze(&crew);
}

/* ---- fetched ---- */

static void path_of(char path[128], struct quorum_snapshot_id id)
{
    snprintf(path, 128, LOG_DIR "/%020lld-%010d.checkpoint", (long long)id.end_offset, id.epoch);
}

static bool observer_is_level(struct crew *all)
{
    const struct mate *mate = &all->mates[3];
    return mate->up && mate->quorum != NULL && mate->expected_offset > wanted_start &&
           mate->expected_offset >= all->committed_end - 3;
}

static void who_comes_late_fetches_one(void **state)
{
    (void)state;
    build_trimmed(7, 1, 100);
    unsigned told = crew.snapshots_told;
    mate_start(&crew.mates[3]);
    assert_true(crew_run(&crew, observer_is_level, 20000));
    assert_true(crew.snapshots_told > told);
    assert_true(log_start(quorum_log(crew.mates[3].quorum)) >= wanted_start);
    crew_raze(&crew);
}

/* Its life ends at every file operation of catching up in turn, and once more in the next. */
static void a_crash_while_fetching_costs_nothing(void **state)
{
    (void)state;
    static const enum sim_crash kinds[] = {SIM_KILL, SIM_POWER};
    uint64_t k = 1;
    for (bool crashed = true; crashed; k += k < 20 ? 1 : 4) {
        build_trimmed(8, 1, 20);
        struct mate *late = &crew.mates[3];
        mate_start(late);
        mate_crash_at_op(late, k, kinds[k % 2]);
        (void)crew_run(&crew, observer_is_level, 20000);
        crashed = !late->up;
        if (crashed) {
            mate_start(late);
            mate_crash_at_op(late, 1 + k * 7 % 50, kinds[(k + 1) % 2]);
            (void)crew_run(&crew, observer_is_level, 20000);
            if (!late->up) {
                mate_start(late);
            }
            sim_node_crash_at_op(late->node, 0, SIM_KILL, NULL, NULL);
            assert_true(crew_run(&crew, observer_is_level, 20000));
        }
        crew_raze(&crew);
    }
    print_message("crashed at some of %llu file operations\n", (unsigned long long)k);
    assert_true(k > 30);
}

/* The leader's disk gives back another snapshot than was written: whoever fetches it does not take
 * it, and takes the next one. */
static void what_comes_damaged_is_not_taken(void **state)
{
    (void)state;
    build_trimmed(12, 1, 90);
    crew.load = false;
    crew_run(&crew, NULL, 3000);
    struct mate *leader = crew_leader(&crew);
    struct mate *late = &crew.mates[3];
    struct files files = files_of(leader);
    char path[128];
    path_of(path, files.newest);
    assert_true(files.newest_size > 1200); /* more than is looked at for its time */
    assert_true(sim_disk_flip(leader->node, path, (int64_t)files.newest_size - 100, 1));
    mate_start(late);
    crew_run(&crew, NULL, 5000);
    assert_int_equal(files_of(late).whole, 0);
    assert_int_equal(late->expected_offset, 0);
    for (int i = 0; i < 200; i++) {
        int64_t offset = -1;
        assert_true(crew_append(&crew, &offset));
        crew_run(&crew, NULL, 20);
    }
    assert_true(crew_run(&crew, observer_is_level, 20000));
    assert_true(files_of(late).whole > 0);
    crew_raze(&crew);
}

static void with_no_room_it_is_fetched_later(void **state)
{
    (void)state;
    build_trimmed(13, 1, 30);
    struct mate *late = &crew.mates[3];
    sim_disk_fail(late->node, 1U << SIM_WRITE, ".checkpoint.part", 3, ERR_NO_SPACE, true);
    mate_start(late);
    crew_run(&crew, NULL, 5000);
    assert_in_range(sim_disk_failed(late->node), 1, 6); /* not over and over */
    assert_int_equal(late->expected_offset, 0);
    assert_int_equal(files_of(late).parts, 0);
    sim_disk_heal(late->node);
    assert_true(crew_run(&crew, observer_is_level, 20000));
    crew_raze(&crew);
}

static bool all_proven(struct crew *all)
{
    return crew_proven(all);
}

static void a_wiped_voter_fetches_one(void **state)
{
    (void)state;
    build_trimmed(9, 0, 50);
    struct mate *wiped = crew_leader(&crew);
    mate_crash(wiped, SIM_POWER);
    mate_wipe(wiped);
    mate_start(wiped);
    assert_true(crew_run(&crew, all_proven, 30000)); /* and votes again */
    assert_true(log_start(quorum_log(wiped->quorum)) >= wanted_start);
    crew_raze(&crew);
}

static struct mate *fetcher;

static bool is_fetching(struct crew *all)
{
    (void)all;
    return fetcher->quorum != NULL && fetcher->quorum->download.active;
}

static bool has_fetched(struct crew *all)
{
    return fetcher->quorum != NULL && fetcher->expected_offset >= all->committed_end;
}

/* With the third voter gone, pieces of a snapshot are all that tells a leader of its majority. */
static void who_fetches_one_upholds_its_leader(void **state)
{
    (void)state;
    build_trimmed(15, 0, 60);
    struct mate *leader = crew_leader(&crew);
    struct mate *third = &crew.mates[(leader->id + 1) % 3];
    fetcher = &crew.mates[leader->id % 3];
    mate_crash(fetcher, SIM_KILL);
    crew_run(&crew, NULL, 8000);
    crew.load = false;
    crew_run(&crew, NULL, 2000);
    assert_ptr_equal(crew_leader(&crew), leader);
    int32_t epoch = quorum_epoch(leader->quorum);
    struct sim_path slow = {.delay_min_us = 40000, .delay_max_us = 50000};
    sim_path_set(leader->node, fetcher->node, slow);
    sim_path_set(fetcher->node, leader->node, slow);
    mate_start(fetcher);
    assert_true(crew_run(&crew, is_fetching, 5000));
    int64_t begun_us = sim_now_us(crew.sim);
    mate_crash(third, SIM_KILL);
    assert_true(crew_run(&crew, has_fetched, 60000));
    assert_true(sim_now_us(crew.sim) - begun_us > 3500000); /* longer than it is patient */
    assert_int_equal(quorum_epoch(leader->quorum), epoch);
    assert_int_equal(quorum_role(leader->quorum), QUORUM_LEADER);
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

struct ask {
    struct mate *of;
    int32_t epoch;
    struct quorum_snapshot_id id;
    int64_t position;
    int32_t max_bytes;
    const char *cluster;
};

/* The records are copied to `piece` (may be NULL). */
static struct fetch_snapshot_response_partition fetch(struct ask ask, struct bytes *piece)
{
    static struct fetch_snapshot_response response;
    struct arena arena = {0};
    struct fetch_snapshot_request_partition partition;
    wire_struct_defaults(&wire_struct_fetch_snapshot_request_partition, &partition);
    partition.current_leader_epoch = ask.epoch;
    partition.snapshot_id.end_offset = ask.id.end_offset;
    partition.snapshot_id.epoch = ask.id.epoch;
    partition.position = ask.position;
    struct fetch_snapshot_request_topic topic = {.name = wire_str(QUORUM_TOPIC)};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct fetch_snapshot_request request;
    wire_defaults(&wire_fetch_snapshot_request, &request);
    request.cluster_id = wire_str(ask.cluster);
    request.max_bytes = ask.max_bytes;
    request.topics.items = &topic;
    request.topics.count = 1;
    struct quorum_call call = {.api_key = 59,
                               .version = 1,
                               .request = &request,
                               .response = &response,
                               .arena = &arena,
                               .done = call_done};
    answered = false;
    quorum_submit(ask.of->quorum, &call);
    assert_false(answered); /* in a later turn */
    assert_true(crew_run(&crew, is_answered, 1000));
    struct fetch_snapshot_response_partition found = {.error_code = response.error_code};
    if (response.error_code == 0) {
        found = response.topics.items[0].partitions.items[0];
        if (piece != NULL && found.unaligned_records.size > 0) {
            bytes_append(piece, found.unaligned_records.data, (size_t)found.unaligned_records.size);
        }
    }
    buf_unref(call.records);
    arena_free(&arena);
    return found;
}

static void fetches_are_judged(void **state)
{
    (void)state;
    build_trimmed(10, 0, 50);
    crew.load = false;
    crew_run(&crew, NULL, 3000);
    struct mate *leader = crew_leader(&crew);
    struct mate *other = &crew.mates[leader->id % 3];
    int32_t epoch = quorum_epoch(leader->quorum);
    struct quorum_snapshot newest = *quorum_snapshot_newest(leader->quorum);
    struct ask ask = {leader, epoch, newest.id, 0, 100, "crew"};
    struct bytes whole = {0};
    while (ask.position < newest.size_bytes) {
        struct fetch_snapshot_response_partition piece = fetch(ask, &whole);
        assert_int_equal(piece.error_code, 0);
        assert_int_equal(piece.size, newest.size_bytes);
        assert_int_equal(piece.position, ask.position);
        assert_int_equal(piece.current_leader.leader_id, leader->id);
        assert_int_equal(piece.snapshot_id.end_offset, newest.id.end_offset);
        ask.position = (int64_t)whole.size;
    }
    char path[128];
    path_of(path, newest.id);
    struct bytes file = {0};
    assert_true(sim_disk_get(leader->node, path, &file));
    assert_int_equal(file.size, whole.size);
    assert_memory_equal(file.data, whole.data, file.size);
    bytes_free(&file);
    bytes_free(&whole);

    assert_int_equal(fetch(ask, NULL).error_code, 99); /* POSITION_OUT_OF_RANGE */
    ask.position = -1;
    assert_int_equal(fetch(ask, NULL).error_code, 99);
    ask.position = 0;
    ask.epoch = epoch - 1;
    assert_int_equal(fetch(ask, NULL).error_code, 74); /* FENCED_LEADER_EPOCH */
    ask.epoch = epoch + 1;
    assert_int_equal(fetch(ask, NULL).error_code, 75); /* UNKNOWN_LEADER_EPOCH */
    ask.epoch = epoch;
    ask.id.epoch++;
    assert_int_equal(fetch(ask, NULL).error_code, 98); /* SNAPSHOT_NOT_FOUND */
    ask.id = newest.id;
    ask.cluster = "another";
    assert_int_equal(fetch(ask, NULL).error_code, 104); /* INCONSISTENT_CLUSTER_ID */
    ask.cluster = "crew";
    ask.of = other;
    struct fetch_snapshot_response_partition refused = fetch(ask, NULL);
    assert_int_equal(refused.error_code, 6); /* NOT_LEADER_OR_FOLLOWER */
    assert_int_equal(refused.current_leader.leader_id, leader->id);
    ask.of = leader;
    sim_disk_remove(leader->node, path); /* under its feet */
    assert_int_equal(fetch(ask, NULL).error_code, 98);
    crew_raze(&crew);
}

/* ---- damage ---- */

static void what_is_damaged_is_named(void **state)
{
    (void)state;
    build_trimmed(11, 0, 20);
    struct mate *mate = &crew.mates[0];
    struct files files = files_of(mate);
    mate_crash(mate, SIM_KILL);
    char path[128];
    path_of(path, files.newest);
    assert_true(sim_disk_flip(mate->node, path, (int64_t)files.newest_size / 2, 1));
    mate->may_fail = true;
    mate_start(mate);
    crew_run(&crew, NULL, 2000);
    assert_true(mate->broken);
    assert_non_null(strstr(mate->failure, path));
    crew_raze(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_kafkas),
        cmocka_unit_test(the_log_begins_behind_snapshots),
        cmocka_unit_test(without_limits_nothing_goes),
        cmocka_unit_test(a_start_begins_with_the_newest),
        cmocka_unit_test(time_alone_makes_one_due),
        cmocka_unit_test(on_a_full_disk_it_waits),
        cmocka_unit_test(who_comes_late_fetches_one),
        cmocka_unit_test(a_crash_while_fetching_costs_nothing),
        cmocka_unit_test(a_wiped_voter_fetches_one),
        cmocka_unit_test(what_comes_damaged_is_not_taken),
        cmocka_unit_test(with_no_room_it_is_fetched_later),
        cmocka_unit_test(who_fetches_one_upholds_its_leader),
        cmocka_unit_test(fetches_are_judged),
        cmocka_unit_test(what_is_damaged_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
