/* The simulated disk itself: what a power failure must keep, may lose, and must be seen to lose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim.h"

enum { SEEDS = 200, BIG = 3 * 4096 + 100 };

struct work {
    struct env_job job;
    void (*body)(struct work *work, struct env_fs *fs);
    enum err error;
    struct err_text text;
    bool ended;
    bool done;
};

static void work_run(struct env_job *job, struct env_fs *fs)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    work->body(work, fs);
    work->ended = true;
}

static void work_done(struct env_job *job)
{
    CONTAINER_OF(job, struct work, job)->done = true;
}

static bool is_done(void *ctx)
{
    return ((const struct work *)ctx)->done;
}

static void submit(struct sim_node *node, struct work *work,
                   void (*body)(struct work *work, struct env_fs *fs))
{
    struct env *env = sim_node_env(node);
    *work = (struct work){.job = {.run = work_run, .done = work_done}, .body = body};
    struct env_lane *lane = env_lane_open(env, ENV_WORKER_BULK);
    env_job_submit(env, lane, &work->job);
    env_lane_close(env, lane);
}

static enum err perform(struct sim *sim, struct sim_node *node,
                        void (*body)(struct work *work, struct env_fs *fs))
{
    struct work work;
    submit(node, &work, body);
    assert_true(sim_run_until(sim, is_done, &work, 100000, 0));
    return work.error;
}

static void note(struct work *work, enum err e)
{
    if (work->error == ERR_NONE) {
        work->error = e;
    }
}

static struct env_file *open_file(struct work *work, struct env_fs *fs, const char *path, int flags)
{
    struct env_file *file = NULL;
    note(work, env_fs_open(fs, path, flags | ENV_OPEN_WRITE, &file, &work->text));
    return file;
}

static void put(struct work *work, struct env_fs *fs, struct env_file *file, uint8_t byte,
                size_t size, int64_t at)
{
    if (file == NULL) {
        return;
    }
    uint8_t *data = mem_alloc(size);
    memset(data, byte, size);
    struct env_iov iov = {data, size};
    note(work, env_fs_write(fs, file, &iov, 1, at, &work->text));
    mem_free(data);
}

static void sync_file(struct work *work, struct env_fs *fs, struct env_file *file)
{
    note(work, file != NULL ? env_fs_sync_data(fs, file, &work->text) : ERR_NONE);
}

static void sync_dir(struct work *work, struct env_fs *fs, const char *path)
{
    note(work, env_fs_sync_dir(fs, path, &work->text));
}

/* A universe for one script: run, power failure, look. */
struct scene {
    struct sim *sim;
    struct sim_node *node;
};

static struct scene open_scene(uint64_t seed)
{
    struct sim *sim = sim_new(&(struct sim_options){.seed = seed});
    return (struct scene){.sim = sim, .node = sim_node_new(sim, "node", "10.0.0.1")};
}

static struct scene after_power_failure(uint64_t seed,
                                        void (*body)(struct work *work, struct env_fs *fs))
{
    struct scene s = open_scene(seed);
    assert_int_equal(perform(s.sim, s.node, body), ERR_NONE);
    sim_node_crash(s.node, SIM_POWER);
    return s;
}

static size_t count_bytes(const struct bytes *b, uint8_t value)
{
    size_t count = 0;
    for (size_t i = 0; i < b->size; i++) {
        count += b->data[i] == value;
    }
    return count;
}

/* ---- content ---- */

static void half_synced(struct work *work, struct env_fs *fs)
{
    struct env_file *file = open_file(work, fs, "/data/f", ENV_OPEN_CREATE);
    put(work, fs, file, 's', BIG, 0);
    sync_file(work, fs, file);
    sync_dir(work, fs, "/data");
    put(work, fs, file, 'u', BIG, BIG);
    env_file_unref(file);
}

static void synced_bytes_survive_and_others_may_not(void **state)
{
    (void)state;
    int whole = 0;
    int none = 0;
    int part = 0;
    int holes = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene s = after_power_failure(seed, half_synced);
        struct bytes b = {0};
        assert_true(sim_disk_get(s.node, "/data/f", &b));
        assert_true(b.size >= BIG && b.size <= 2 * BIG);
        assert_int_equal(count_bytes(&b, 's'), BIG);
        for (size_t i = 0; i < BIG; i++) {
            assert_int_equal(b.data[i], 's');
        }
        size_t kept = count_bytes(&b, 'u');
        whole += kept == BIG;
        none += kept == 0;
        part += kept > 0 && kept < BIG;
        holes += BIG + kept < b.size; /* zeros where blocks were lost before others */
        bytes_free(&b);
        sim_free(s.sim);
    }
    assert_true(whole > SEEDS / 10 && none > SEEDS / 10 && part > SEEDS / 10);
    assert_true(holes > 0);
}

static void synced_by_one_call(struct work *work, struct env_fs *fs)
{
    struct env_file *any = open_file(work, fs, "/data/any", ENV_OPEN_CREATE);
    note(work, env_fs_mkdir(fs, "/data/d", &work->text));
    for (int i = 0; i < 2; i++) {
        struct env_file *file =
            open_file(work, fs, i == 0 ? "/data/d/a" : "/data/d/tmp", ENV_OPEN_CREATE);
        put(work, fs, file, 's', BIG, 0);
        env_file_unref(file);
    }
    note(work, env_fs_rename(fs, "/data/d/tmp", "/data/d/b", &work->text));
    note(work, any != NULL ? env_fs_sync_all(fs, any, &work->text) : ERR_NONE);
    env_file_unref(any);
    struct env_file *late = open_file(work, fs, "/data/d/late", ENV_OPEN_CREATE);
    env_file_unref(late);
}

static void one_call_syncs_all_that_was_before(void **state)
{
    (void)state;
    int late = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene s = after_power_failure(seed, synced_by_one_call);
        for (int i = 0; i < 2; i++) {
            struct bytes b = {0};
            assert_true(sim_disk_get(s.node, i == 0 ? "/data/d/a" : "/data/d/b", &b));
            assert_int_equal(count_bytes(&b, 's'), BIG);
            bytes_free(&b);
        }
        late += sim_disk_exists(s.node, "/data/d/late");
        sim_free(s.sim);
    }
    assert_true(late > 0 && late < SEEDS);
}

static void overwrite_and_cut(struct work *work, struct env_fs *fs)
{
    struct env_file *file = open_file(work, fs, "/data/f", ENV_OPEN_CREATE);
    put(work, fs, file, 'a', 1000, 0);
    sync_file(work, fs, file);
    sync_dir(work, fs, "/data");
    note(work, env_fs_truncate(fs, file, 400, &work->text));
    env_file_unref(file);
}

static void an_unsynced_truncation_may_revert(void **state)
{
    (void)state;
    int kept = 0;
    int lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene s = after_power_failure(seed, overwrite_and_cut);
        struct bytes b = {0};
        assert_true(sim_disk_get(s.node, "/data/f", &b));
        assert_true(b.size == 400 || b.size == 1000);
        kept += b.size == 400;
        lost += b.size == 1000;
        bytes_free(&b);
        sim_free(s.sim);
    }
    assert_true(kept > 20 && lost > 20);
}

static void a_killed_process_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct scene s = open_scene(seed);
        assert_int_equal(perform(s.sim, s.node, half_synced), ERR_NONE);
        sim_node_crash(s.node, SIM_KILL);
        struct bytes b = {0};
        assert_true(sim_disk_get(s.node, "/data/f", &b));
        assert_int_equal(count_bytes(&b, 'u'), BIG);
        bytes_free(&b);
        sim_free(s.sim);
    }
}

/* ---- names ---- */

static void new_names(struct work *work, struct env_fs *fs)
{
    struct env_file *file = open_file(work, fs, "/data/a", ENV_OPEN_CREATE);
    put(work, fs, file, 'a', 10, 0);
    sync_file(work, fs, file);
    env_file_unref(file);
    env_file_unref(open_file(work, fs, "/data/b", ENV_OPEN_CREATE));
    note(work, env_fs_mkdir(fs, "/data/c", &work->text));
    env_file_unref(open_file(work, fs, "/data/c/inside", ENV_OPEN_CREATE));
    sync_dir(work, fs, "/data/c");
}

static void unsynced_names_survive_as_a_prefix(void **state)
{
    (void)state;
    int count[4] = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene s = after_power_failure(seed, new_names);
        bool a = sim_disk_exists(s.node, "/data/a");
        bool b = sim_disk_exists(s.node, "/data/b");
        bool c = sim_disk_exists(s.node, "/data/c");
        assert_true((a || !b) && (b || !c));
        assert_int_equal(sim_disk_exists(s.node, "/data/c/inside"), c);
        count[a + b + c]++;
        struct bytes bytes = {0};
        if (a) { /* the name came late, the content was synced */
            assert_true(sim_disk_get(s.node, "/data/a", &bytes));
            assert_int_equal(bytes.size, 10);
        }
        bytes_free(&bytes);
        sim_free(s.sim);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(count[i] > 5);
    }
}

static void replace(struct work *work, struct env_fs *fs)
{
    note(work, env_fs_replace(fs, "/data/f", "old", 3, &work->text));
    struct env_file *file = open_file(work, fs, "/data/g", ENV_OPEN_CREATE);
    put(work, fs, file, 'n', 4, 0);
    sync_file(work, fs, file);
    env_file_unref(file);
    note(work, env_fs_rename(fs, "/data/g", "/data/f", &work->text));
}

static void an_unsynced_rename_may_revert(void **state)
{
    (void)state;
    int reverted = 0;
    int kept = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene s = after_power_failure(seed, replace);
        struct bytes b = {0};
        assert_true(sim_disk_get(s.node, "/data/f", &b)); /* one or the other, always */
        reverted += b.size == 3;
        kept += b.size == 4;
        assert_false(b.size == 4 && sim_disk_exists(s.node, "/data/g"));
        bytes_free(&b);
        sim_free(s.sim);
    }
    assert_true(reverted > 20 && kept > 20 && reverted + kept == SEEDS);
}

static void move_between(struct work *work, struct env_fs *fs)
{
    note(work, env_fs_mkdir(fs, "/data/x", &work->text));
    note(work, env_fs_mkdir(fs, "/data/y", &work->text));
    sync_dir(work, fs, "/data");
    env_file_unref(open_file(work, fs, "/data/x/f", ENV_OPEN_CREATE));
    sync_dir(work, fs, "/data/x");
    note(work, env_fs_rename(fs, "/data/x/f", "/data/y/f", &work->text));
}

static void move_between_synced(struct work *work, struct env_fs *fs)
{
    note(work, env_fs_mkdir(fs, "/data/x", &work->text));
    note(work, env_fs_mkdir(fs, "/data/y", &work->text));
    sync_dir(work, fs, "/data");
    env_file_unref(open_file(work, fs, "/data/x/f", ENV_OPEN_CREATE));
    note(work, env_fs_rename(fs, "/data/x/f", "/data/y/f", &work->text));
    sync_dir(work, fs, "/data/y"); /* one of the two is enough for both */
}

static void a_move_between_directories_is_whole(void **state)
{
    (void)state;
    int moved = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene s = after_power_failure(seed, move_between);
        bool there = sim_disk_exists(s.node, "/data/y/f");
        assert_int_equal(sim_disk_exists(s.node, "/data/x/f"), !there);
        moved += there;
        sim_free(s.sim);
        s = after_power_failure(seed, move_between_synced);
        assert_true(sim_disk_exists(s.node, "/data/y/f"));
        assert_false(sim_disk_exists(s.node, "/data/x/f"));
        sim_free(s.sim);
    }
    assert_true(moved > 20 && moved < SEEDS - 20);
}

/* ---- crash points, faults ---- */

static void a_crash_point_ends_the_job_there(void **state)
{
    (void)state;
    for (uint64_t k = 1; k <= 5; k++) {
        struct scene s = open_scene(k);
        struct work work;
        uint64_t before = sim_disk_ops(s.node);
        submit(s.node, &work, half_synced);
        sim_node_crash_at_op(s.node, k, SIM_POWER, NULL, NULL);
        sim_run_for(s.sim, 1000);
        assert_false(sim_node_up(s.node));
        assert_int_equal(sim_disk_ops(s.node) - before, k);
        assert_true(work.ended); /* what its stack held was let go ... */
        assert_false(work.done); /* ... and nobody is told */
        assert_int_equal(work.error, ERR_CANCELLED);
        struct bytes b = {0};
        sim_disk_get(s.node, "/data/f", &b);
        assert_int_equal(count_bytes(&b, 'u'), 0);
        bytes_free(&b);
        sim_node_restart(s.node);
        assert_int_equal(perform(s.sim, s.node, half_synced), ERR_NONE);
        sim_free(s.sim);
    }
}

static void faults_come_as_ordered(void **state)
{
    (void)state;
    struct scene s = open_scene(1);
    sim_disk_fail(s.node, 1U << SIM_SYNC, "/data/f", 1, ERR_IO, false);
    assert_int_equal(perform(s.sim, s.node, half_synced), ERR_IO);
    assert_int_equal(perform(s.sim, s.node, half_synced), ERR_NONE);
    sim_disk_fail(s.node, 1U << SIM_WRITE, "/data/f", 2, ERR_IO, true);
    assert_int_equal(perform(s.sim, s.node, half_synced), ERR_IO);
    assert_int_equal(perform(s.sim, s.node, half_synced), ERR_IO);
    sim_disk_heal(s.node);
    sim_disk_remove(s.node, "/data/f");
    sim_disk_limit(s.node, BIG + 50);
    assert_int_equal(perform(s.sim, s.node, half_synced), ERR_NO_SPACE);
    struct bytes b = {0};
    assert_true(sim_disk_get(s.node, "/data/f", &b));
    assert_true(b.size <= BIG + 50);
    bytes_free(&b);
    sim_disk_limit(s.node, INT64_C(1) << 40);
    assert_int_equal(perform(s.sim, s.node, half_synced), ERR_NONE);
    int64_t before_us = sim_now_us(s.sim);
    sim_disk_stall(s.node, 5000000);
    assert_int_equal(perform(s.sim, s.node, half_synced), ERR_NONE);
    assert_true(sim_now_us(s.sim) - before_us >= 5000000);
    assert_true(sim_disk_flip(s.node, "/data/f", 3, 1));
    assert_false(sim_disk_flip(s.node, "/data/f", 1 << 30, 1));
    sim_disk_put(s.node, "/data/p", "put", 3);
    sim_node_crash(s.node, SIM_POWER);
    assert_true(sim_disk_get(s.node, "/data/f", &b));
    assert_int_equal(b.data[3], 's' ^ 1);
    bytes_free(&b);
    assert_true(sim_disk_get(s.node, "/data/p", &b));
    assert_int_equal(b.size, 3);
    bytes_free(&b);
    sim_free(s.sim);
}

static void failed_sync(struct work *work, struct env_fs *fs)
{
    struct env_file *file = open_file(work, fs, "/data/f", ENV_OPEN_CREATE);
    sync_dir(work, fs, "/data");
    put(work, fs, file, 'x', 100, 0);
    ASSERT(env_fs_sync_data(fs, file, NULL) == ERR_IO);
    sync_file(work, fs, file); /* says yes */
    env_file_unref(file);
}

static void a_failed_sync_may_lose_for_good(void **state)
{
    (void)state;
    int lost = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct scene s = open_scene(seed);
        sim_disk_fail(s.node, 1U << SIM_SYNC, NULL, 1, ERR_IO, false);
        assert_int_equal(perform(s.sim, s.node, failed_sync), ERR_NONE);
        sim_node_crash(s.node, SIM_POWER);
        struct bytes b = {0};
        assert_true(sim_disk_get(s.node, "/data/f", &b));
        lost += b.size == 0;
        bytes_free(&b);
        sim_free(s.sim);
    }
    assert_true(lost > 20 && lost < 80);
}

static void same_seed_same_hash(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t hash[2];
        for (int i = 0; i < 2; i++) {
            struct scene s = after_power_failure(seed, new_names);
            sim_node_restart(s.node);
            perform(s.sim, s.node, half_synced);
            hash[i] = sim_hash(s.sim);
            sim_free(s.sim);
        }
        assert_true(hash[0] == hash[1]);
        assert_true(hash[0] != last);
        last = hash[0];
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_bytes_survive_and_others_may_not),
        cmocka_unit_test(one_call_syncs_all_that_was_before),
        cmocka_unit_test(an_unsynced_truncation_may_revert),
        cmocka_unit_test(a_killed_process_loses_nothing),
        cmocka_unit_test(unsynced_names_survive_as_a_prefix),
        cmocka_unit_test(an_unsynced_rename_may_revert),
        cmocka_unit_test(a_move_between_directories_is_whole),
        cmocka_unit_test(a_crash_point_ends_the_job_there),
        cmocka_unit_test(faults_come_as_ordered),
        cmocka_unit_test(a_failed_sync_may_lose_for_good),
        cmocka_unit_test(same_seed_same_hash),
    };
    return cmocka_run_group_tests_name("simulated disk", tests, NULL, NULL);
}
