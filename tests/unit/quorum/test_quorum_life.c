/* A lone voter: start, commit, restart, crash at every file operation, a disk that fails. */
#include "tests/unit/quorum/house.h"

static void it_leads_and_commits(void **state)
{
    (void)state;
    static struct house house;
    house_build(&house, 1);
    house_open(&house);
    assert_true(house_until_active(&house, 5000));
    assert_int_equal(quorum_role(house.quorum), QUORUM_LEADER);
    assert_int_equal(quorum_epoch(house.quorum), 1);
    house_create_topic(&house);
    assert_true(house_until_created(&house, 5000));
    assert_false(uuid_is_zero(&house.acknowledged[0]));
    house_check(&house);
    assert_int_equal(quorum_high_watermark(house.quorum),
                     log_durable_end(quorum_log(house.quorum)));
    struct bytes content = {0};
    assert_true(sim_disk_get(house.node, "/data/meta/__cluster_metadata-0/quorum-state", &content));
    assert_memory_equal(content.data,
                        "{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":1,"
                        "\"appliedOffset\":0,\"currentVoters\":[{\"voterId\":1}],"
                        "\"data_version\":0}",
                        content.size);
    bytes_free(&content);
    sim_node_crash(house.node, SIM_KILL);
    house_raze(&house);
}

static void a_restart_replays_to_the_same_image(void **state)
{
    (void)state;
    static struct house house;
    house_build(&house, 2);
    house.replay_chunk_bytes = 300; /* many reads */
    house_open(&house);
    assert_true(house_until_active(&house, 5000));
    for (int i = 0; i < 20; i++) {
        house_create_topic(&house);
        assert_true(house_until_created(&house, 5000));
    }
    int32_t epoch = quorum_epoch(house.quorum);
    for (int life = 0; life < 6; life++) {
        bool well = life % 2 == 0;
        if (well) {
            house_close(&house);
        } else {
            sim_node_crash(house.node, SIM_POWER);
            house_drop(&house);
            sim_node_restart(house.node);
        }
        house_open(&house);
        assert_true(house_until_active(&house, 5000));
        assert_int_equal(quorum_epoch(house.quorum), epoch + 1 + life);
        assert_int_equal(image_topic_count(house.image), 20);
        assert_false(image_broker(house.image, 1)->fenced);
        house_check(&house);
    }
    sim_node_crash(house.node, SIM_KILL);
    house_raze(&house);
}

static void leadership_given_up_comes_back_in_a_new_epoch(void **state)
{
    (void)state;
    static struct house house;
    house_build(&house, 3);
    house_open(&house);
    assert_true(house_until_active(&house, 5000));
    int32_t epoch = quorum_epoch(house.quorum);
    house_create_topic(&house);
    quorum_resign(house.quorum, epoch, "the test wants it");
    house.active = false;
    assert_true(house_until_active(&house, 5000));
    assert_false(house.create.busy); /* refused: its fate was unknown */
    assert_int_equal(quorum_epoch(house.quorum), epoch + 1);
    /* it was in the log and the next leader committed it */
    assert_non_null(image_topic_by_name(house.image, "t0"));
    quorum_resign(house.quorum, epoch, "an old epoch's wish changes nothing");
    assert_int_equal(quorum_role(house.quorum), QUORUM_LEADER);
    sim_node_crash(house.node, SIM_KILL);
    house_raze(&house);
}

/* ---- crashes ---- */

enum { TOPICS = 4 };

/* Creates topics until TOPICS were tried in this life or the node is down. */
static void work(struct house *house)
{
    if (!house_until_active(house, 10000)) {
        assert_false(sim_node_up(house->node));
        return;
    }
    for (int i = 0; i < TOPICS; i++) {
        house_create_topic(house);
        if (!house_until_created(house, 5000)) {
            assert_false(sim_node_up(house->node));
            return;
        }
    }
}

static void crash_after(uint64_t ops, enum sim_crash how, uint64_t seed)
{
    static struct house house;
    house_build(&house, seed);
    sim_node_crash_at_op(house.node, ops, how, NULL, NULL);
    house_open(&house);
    work(&house);
    if (sim_node_up(house.node)) {
        sim_node_crash(house.node, how);
    }
    for (int life = 0; life < 2; life++) {
        house_drop(&house);
        sim_node_restart(house.node);
        /* the second life may end early too */
        sim_node_crash_at_op(house.node, life == 0 ? 1 + (ops * 7) % 60 : 0, how, NULL, NULL);
        house_open(&house);
        if (house_until_active(&house, 10000)) {
            house_check(&house);
        } else {
            assert_false(sim_node_up(house.node));
        }
        if (life == 0 && sim_node_up(house.node)) {
            sim_node_crash(house.node, how);
        }
    }
    house_create_topic(&house);
    assert_true(house_until_created(&house, 5000));
    house_check(&house);
    sim_node_crash(house.node, SIM_KILL);
    house_raze(&house);
}

static uint64_t ops_of_a_life(void)
{
    static struct house house;
    house_build(&house, 4);
    house_open(&house);
    work(&house);
    uint64_t ops = sim_disk_ops(house.node);
    sim_node_crash(house.node, SIM_KILL);
    house_raze(&house);
    return ops;
}

static void nothing_acknowledged_is_lost_in_any_crash(void **state)
{
    (void)state;
    uint64_t ops = ops_of_a_life();
    assert_in_range(ops, 30, 2000);
    for (uint64_t k = 1; k <= ops; k++) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            crash_after(k, seed == 0 ? SIM_KILL : SIM_POWER, 100 * k + seed);
        }
    }
    print_message("crashed at each of %u file operations, three ways\n", (unsigned)ops);
}

/* ---- what is broken on disk ---- */

static void an_unreadable_state_stops_it(void **state)
{
    (void)state;
    static struct house house;
    house_build(&house, 5);
    house_open(&house);
    assert_true(house_until_active(&house, 5000));
    house_close(&house);
    static const char *const contents[] = {"",
                                           "{}",
                                           "not json",
                                           "{\"data_version\":7}",
                                           "{\"data_version\":0,\"leaderEpoch\":99999999999}",
                                           "{\"data_version\":0,\"leaderEpoch\":-4}"};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        sim_disk_put(house.node, "/data/meta/__cluster_metadata-0/quorum-state", contents[i],
                     strlen(contents[i]));
        house_open(&house);
        assert_false(house_until_active(&house, 5000));
        assert_true(house.opened && house.broken);
        assert_true(house.last_error == ERR_CORRUPT || house.last_error == ERR_UNSUPPORTED);
        house_close(&house);
    }
    static const char v1[] = "{\"leaderId\":1,\"leaderEpoch\":40,\"votedId\":1,"
                             "\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}";
    sim_disk_put(house.node, "/data/meta/__cluster_metadata-0/quorum-state", v1, sizeof v1 - 1);
    house_open(&house);
    assert_true(house_until_active(&house, 5000));
    assert_int_equal(quorum_epoch(house.quorum), 41);
    house_close(&house);
    house_raze(&house);
}

static void a_failing_disk_ends_leadership(void **state)
{
    (void)state;
    static struct house house;
    house_build(&house, 6);
    house_open(&house);
    assert_true(house_until_active(&house, 5000));
    sim_disk_fail(house.node, 1U << SIM_SYNC, "__cluster_metadata", 1, ERR_IO, true);
    house_create_topic(&house);
    assert_true(house_until_created(&house, 5000));
    sim_run_for(house.sim, 100);
    assert_true(house.broken);
    assert_true(uuid_is_zero(&house.acknowledged[0]));
    assert_int_equal(house.active_epoch, -1);
    assert_int_equal(quorum_leader(house.quorum), -1);
    sim_node_crash(house.node, SIM_POWER);
    house_raze(&house);
}

static void a_description_is_true(void **state)
{
    (void)state;
    static struct house house;
    house_build(&house, 8);
    house_open(&house);
    assert_true(house_until_active(&house, 5000));
    for (int16_t version = 0; version <= 2; version++) {
        struct arena arena = {0};
        struct describe_quorum_response response;
        quorum_describe(house.quorum, version, &response, &arena);
        __typeof__(response.topics.items[0].partitions.items) partition =
            response.topics.items[0].partitions.items;
        assert_int_equal(partition->error_code, 0);
        assert_int_equal(partition->leader_id, 1);
        assert_int_equal(partition->leader_epoch, 1);
        assert_int_equal(partition->high_watermark, quorum_high_watermark(house.quorum));
        assert_int_equal(partition->current_voters.count, 1);
        assert_int_equal(partition->current_voters.items[0].log_end_offset,
                         partition->high_watermark);
        assert_int_equal(response.nodes.count, version >= 2 ? 1 : 0);
        struct wire_out out = {0};
        assert_int_equal(wire_encode(&wire_describe_quorum_response, version, &response, &out),
                         ERR_NONE);
        wire_out_free(&out);
        arena_free(&arena);
    }
    house_close(&house);
    house_raze(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_leads_and_commits),
        cmocka_unit_test(a_restart_replays_to_the_same_image),
        cmocka_unit_test(leadership_given_up_comes_back_in_a_new_epoch),
        cmocka_unit_test(nothing_acknowledged_is_lost_in_any_crash),
        cmocka_unit_test(an_unreadable_state_stops_it),
        cmocka_unit_test(a_failing_disk_ends_leadership),
        cmocka_unit_test(a_description_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
