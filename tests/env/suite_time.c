/* Time, chance, timers, posts, jobs. */
#include <pthread.h>

#include "tests/env/suite_internal.h"

/* ---- time and chance ---- */

struct turn {
    struct env_post post;
    struct env *env;
    int64_t now_ms;
    int64_t wall_ms;
    int differing;
    bool ran;
};

static void look_at_clock(struct env_post *post)
{
    struct turn *turn = CONTAINER_OF(post, struct turn, post);
    SUITE_ENTER();
    turn->now_ms = env_now_ms(turn->env);
    turn->wall_ms = env_wall_ms(turn->env);
    for (int i = 0; i < 3000000; i++) {
        turn->differing += env_now_ms(turn->env) != turn->now_ms;
        turn->differing += env_wall_ms(turn->env) != turn->wall_ms;
    }
    turn->ran = true;
    SUITE_LEAVE();
}

static void time_stands_within_a_turn(struct env_world *w)
{
    struct turn turn = {.env = w->env};
    env_post_init(&turn.post, look_at_clock);
    SUITE_CALL(env_post(w->env, &turn.post));
    suite_wait(w, &turn.ran);
    assert_int_equal(turn.differing, 0);
    assert_true(turn.wall_ms > INT64_C(1577836800000)); /* later than 2020 */
}

static void time_never_goes_back(struct env_world *w)
{
    int64_t last_ms = env_now_ms(w->env);
    for (int i = 0; i < 20; i++) {
        suite_pass(w, 1);
        assert_true(env_now_ms(w->env) > last_ms);
        last_ms = env_now_ms(w->env);
    }
}

static void random_uuids_differ(struct env_world *w)
{
    struct uuid last = uuid_zero();
    for (int i = 0; i < 2000; i++) {
        struct uuid u = env_random_uuid(w->env);
        char text[UUID_TEXT_BYTES];
        assert_true(uuid_format(&u, text)[0] != '-');
        assert_false(uuid_equal(&u, &last));
        last = u;
    }
    assert_true(env_random(w->env) != env_random(w->env));
}

/* ---- timers ---- */

struct bell {
    struct env_timer timer;
    struct env *env;
    int *rung; /* shared: order of firing */
    int at;
    int times;
    int64_t due_ms;
    bool fired;
    bool early;
    bool armed_inside;
};

static void ring(struct env_timer *timer)
{
    struct bell *bell = CONTAINER_OF(timer, struct bell, timer);
    SUITE_ENTER();
    bell->fired = true;
    bell->times++;
    bell->at = ++*bell->rung;
    bell->early = env_now_ms(bell->env) < bell->due_ms;
    bell->armed_inside = env_timer_armed(timer);
    SUITE_LEAVE();
}

static void set_bell(struct env_world *w, struct bell *bell, int *rung, int64_t in_ms)
{
    bell->timer.fire = ring;
    bell->env = w->env;
    bell->rung = rung;
    bell->due_ms = env_now_ms(w->env) + in_ms;
    SUITE_CALL(env_timer_set(w->env, &bell->timer, bell->due_ms));
}

static void timers_fire_in_order_of_due_time(struct env_world *w)
{
    int rung = 0;
    struct bell bells[3] = {0};
    set_bell(w, &bells[0], &rung, 12);
    set_bell(w, &bells[1], &rung, 10);
    set_bell(w, &bells[2], &rung, 11);
    assert_true(env_timer_armed(&bells[0].timer));
    assert_int_equal(rung, 0);
    suite_wait(w, &bells[0].fired);
    assert_int_equal(bells[1].at, 1);
    assert_int_equal(bells[2].at, 2);
    assert_int_equal(bells[0].at, 3);
    for (int i = 0; i < 3; i++) {
        assert_false(bells[i].early);
        assert_false(bells[i].armed_inside);
        assert_false(env_timer_armed(&bells[i].timer));
    }
}

static void a_timer_fires_once(struct env_world *w)
{
    int rung = 0;
    struct bell bell = {0};
    set_bell(w, &bell, &rung, 1);
    suite_wait(w, &bell.fired);
    suite_pass(w, 10);
    assert_int_equal(bell.times, 1);
    set_bell(w, &bell, &rung, 1);
    suite_pass(w, 10);
    assert_int_equal(bell.times, 2);
}

static void rearming_moves_a_timer(struct env_world *w)
{
    int rung = 0;
    struct bell moved = {0};
    struct bell other = {0};
    set_bell(w, &moved, &rung, 5);
    set_bell(w, &other, &rung, 20);
    set_bell(w, &moved, &rung, 40);
    suite_wait(w, &moved.fired);
    assert_int_equal(other.at, 1);
    assert_int_equal(moved.times, 1);
    assert_false(moved.early);
}

static void a_cancelled_timer_is_silent(struct env_world *w)
{
    int rung = 0;
    struct bell bell = {0};
    SUITE_CALL(env_timer_cancel(w->env, &bell.timer)); /* harmless */
    set_bell(w, &bell, &rung, 5);
    SUITE_CALL(env_timer_cancel(w->env, &bell.timer));
    assert_false(env_timer_armed(&bell.timer));
    suite_pass(w, 20);
    assert_false(bell.fired);
}

static void a_timer_of_the_past_waits_for_its_turn(struct env_world *w)
{
    int rung = 0;
    struct bell bell = {0};
    set_bell(w, &bell, &rung, -1000);
    assert_false(bell.fired);
    suite_wait(w, &bell.fired);
}

/* ---- posts ---- */

struct note {
    struct env_post post;
    struct env *env;
    struct env_post *again; /* posted from inside */
    int times;
    bool ran;
};

static void take_note(struct env_post *post)
{
    struct note *note = CONTAINER_OF(post, struct note, post);
    SUITE_ENTER();
    note->times++;
    note->ran = true;
    if (note->again != NULL) {
        env_post(note->env, note->again);
        note->again = NULL;
    }
    SUITE_LEAVE();
}

static void a_post_runs_once_in_a_later_turn(struct env_world *w)
{
    struct note note = {.env = w->env};
    env_post_init(&note.post, take_note);
    SUITE_CALL(env_post(w->env, &note.post); env_post(w->env, &note.post));
    assert_false(note.ran);
    suite_wait(w, &note.ran);
    suite_pass(w, 5);
    assert_int_equal(note.times, 1);
}

static void a_post_may_post_itself(struct env_world *w)
{
    struct note note = {.env = w->env};
    env_post_init(&note.post, take_note);
    note.again = &note.post;
    SUITE_CALL(env_post(w->env, &note.post));
    suite_pass(w, 5);
    assert_int_equal(note.times, 2);
}

static void a_cancelled_post_does_not_run(struct env_world *w)
{
    struct note note = {.env = w->env};
    env_post_init(&note.post, take_note);
    SUITE_CALL(env_post(w->env, &note.post); env_post_cancel(w->env, &note.post));
    suite_pass(w, 5);
    assert_false(note.ran);
    SUITE_CALL(env_post_cancel(w->env, &note.post)); /* harmless */
}

/* ---- jobs ---- */

enum { CHAIN = 20 };

struct chain {
    struct suite_job jobs[CHAIN];
    _Atomic int running;
    _Atomic int ran;
    _Atomic int overlaps;
    int order[CHAIN]; /* of run */
    int done_order[CHAIN];
    int done_count;
    pthread_t core;
    int wrong_thread;
    bool some_done;
    bool all_done;
};

static void chain_body(struct suite_job *job, struct env_fs *fs)
{
    struct chain *chain = job->ctx;
    if (atomic_fetch_add(&chain->running, 1) != 0) {
        atomic_fetch_add(&chain->overlaps, 1);
    }
    int64_t free_bytes = 0;
    int64_t total_bytes = 0;
    struct err_text text;
    int calls = (job - chain->jobs) % 3 == 0 ? 3 : 0; /* long ones and short ones */
    for (int i = 0; i < calls; i++) {
        JOB_CHECK(job,
                  env_fs_space(fs, job->world->dir, &free_bytes, &total_bytes, &text) == ERR_NONE);
        JOB_CHECK(job, free_bytes > 0 && free_bytes <= total_bytes);
    }
    int place = atomic_fetch_add(&chain->ran, 1);
    chain->order[place] = (int)(job - chain->jobs);
    atomic_fetch_sub(&chain->running, 1);
}

static void chain_done(struct env_job *env_job)
{
    struct suite_job *job = CONTAINER_OF(env_job, struct suite_job, job);
    struct chain *chain = job->ctx;
    SUITE_ENTER();
    chain->wrong_thread += !pthread_equal(pthread_self(), chain->core);
    chain->done_order[chain->done_count++] = (int)(job - chain->jobs);
    chain->some_done = chain->done_count >= 3; /* the fourth is a long one */
    chain->all_done = chain->done_count == CHAIN;
    SUITE_LEAVE();
}

static void submit_links(struct env_world *w, struct chain *chain, struct env_lane *lane, int from,
                         int to)
{
    for (int i = from; i < to; i++) {
        suite_job_init(&chain->jobs[i], w, chain_body, chain);
        chain->jobs[i].job.done = chain_done;
        env_job_submit(w->env, lane, &chain->jobs[i].job);
    }
}

static void a_lane_keeps_order(struct env_world *w)
{
    struct chain *chain = mem_zalloc(sizeof *chain);
    struct env_lane *lane = NULL;
    chain->core = pthread_self();
    SUITE_CALL(lane = env_lane_open(w->env, ENV_WORKER_APPEND);
               submit_links(w, chain, lane, 0, CHAIN / 2));
    assert_int_equal(chain->done_count, 0);
    suite_wait(w, &chain->some_done);
    /* The others while some are pending or run; closed with jobs pending, it goes with the last. */
    SUITE_CALL(submit_links(w, chain, lane, CHAIN / 2, CHAIN); env_lane_close(w->env, lane));
    suite_wait(w, &chain->all_done);
    assert_int_equal(atomic_load(&chain->overlaps), 0);
    assert_int_equal(chain->wrong_thread, 0);
    for (int i = 0; i < CHAIN; i++) {
        assert_string_equal(chain->jobs[i].failed, "");
        assert_int_equal(chain->order[i], i);
        assert_int_equal(chain->done_order[i], i);
    }
    mem_free(chain);
}

static void an_idle_lane_closes(struct env_world *w)
{
    for (int i = 0; i < ENV_WORKERS; i++) {
        SUITE_CALL(env_lane_close(w->env, env_lane_open(w->env, (enum env_worker)i)));
    }
    suite_pass(w, 2);
}

struct meeting {
    _Atomic bool here[2];
};

static void meet(struct suite_job *job, struct env_fs *fs, struct meeting *meeting, int me)
{
    atomic_store(&meeting->here[me], true);
    int64_t free_bytes;
    int64_t total_bytes;
    struct err_text text;
    for (long i = 0; i < 3000000 && !atomic_load(&meeting->here[1 - me]); i++) {
        JOB_CHECK(job,
                  env_fs_space(fs, job->world->dir, &free_bytes, &total_bytes, &text) == ERR_NONE);
    }
    JOB_CHECK(job, atomic_load(&meeting->here[1 - me]));
}

static void meet_first(struct suite_job *job, struct env_fs *fs)
{
    meet(job, fs, job->ctx, 0);
}

static void meet_second(struct suite_job *job, struct env_fs *fs)
{
    meet(job, fs, job->ctx, 1);
}

/* Each of two jobs waits for the other to be running. */
static void workers_do_not_wait_for_each_other(struct env_world *w)
{
    struct meeting meeting = {{false, false}};
    struct suite_job jobs[2];
    suite_job_init(&jobs[0], w, meet_first, &meeting);
    suite_job_init(&jobs[1], w, meet_second, &meeting);
    SUITE_CALL(struct env_lane *commit = env_lane_open(w->env, ENV_WORKER_COMMIT);
               struct env_lane *bulk = env_lane_open(w->env, ENV_WORKER_BULK);
               env_job_submit(w->env, commit, &jobs[0].job);
               env_job_submit(w->env, bulk, &jobs[1].job); env_lane_close(w->env, commit);
               env_lane_close(w->env, bulk));
    suite_wait(w, &jobs[0].done);
    suite_wait(w, &jobs[1].done);
    assert_string_equal(jobs[0].failed, "");
    assert_string_equal(jobs[1].failed, "");
}

struct relay {
    struct env_job job;
    struct env_lane *lane;
    int left;
    bool over;
};

static void relay_run(struct env_job *job, struct env_fs *fs)
{
    (void)job;
    (void)fs;
}

static void relay_done(struct env_job *job)
{
    struct relay *relay = CONTAINER_OF(job, struct relay, job);
    SUITE_ENTER();
    if (--relay->left > 0) {
        env_job_submit(job->env, relay->lane, job); /* its memory is the owner's again */
    } else {
        env_lane_close(job->env, relay->lane);
        relay->over = true;
    }
    SUITE_LEAVE();
}

static void done_may_submit_and_close(struct env_world *w)
{
    struct relay relay = {.job = {.run = relay_run, .done = relay_done}, .left = 10};
    SUITE_CALL(relay.lane = env_lane_open(w->env, ENV_WORKER_META);
               env_job_submit(w->env, relay.lane, &relay.job));
    suite_wait(w, &relay.over);
    assert_int_equal(relay.left, 0);
}

/* clang-format off */
#define TEST(name) {#name, name}
/* clang-format on */
const struct suite_test suite_time_tests[] = {
    TEST(time_stands_within_a_turn),
    TEST(time_never_goes_back),
    TEST(random_uuids_differ),
    TEST(timers_fire_in_order_of_due_time),
    TEST(a_timer_fires_once),
    TEST(rearming_moves_a_timer),
    TEST(a_cancelled_timer_is_silent),
    TEST(a_timer_of_the_past_waits_for_its_turn),
    TEST(a_post_runs_once_in_a_later_turn),
    TEST(a_post_may_post_itself),
    TEST(a_cancelled_post_does_not_run),
    TEST(a_lane_keeps_order),
    TEST(an_idle_lane_closes),
    TEST(workers_do_not_wait_for_each_other),
    TEST(done_may_submit_and_close),
    {NULL, NULL},
};
