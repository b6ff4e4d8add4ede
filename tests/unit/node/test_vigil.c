/* A broker that has died is fenced at once, one that has not is not. Broker 2 is played by the
 * client's node: its heartbeats come over connections of the test, and its listener is there when
 * the test says so. */
#include "broker/node/node_internal.h"
#include "common/base/mem.h"
#include "tests/unit/node/desk.h"

enum { SOON_MS = 600, SESSION_MS = 9000, PEER_PORT = 9092, FAR_US = 200000 };

static const char *const two_listeners[] = {
    "listeners=PLAINTEXT://10.0.0.1:9092,CONTROLLER://10.0.0.1:9093",
    "controller.listener.names=CONTROLLER", NULL};

struct watch {
    struct desk *desk;
    struct arena arena;
    int64_t epoch; /* of broker 2 */
    struct env_listener listener;
    bool listening;
    int accepted;
    env_conn conn; /* the last one accepted */
    bool lost;     /* it was closed from the other side */
};

/* ---- broker 2's listener ---- */

static void on_accepted_frame(void *ctx, env_conn conn, struct buf *frame)
{
    (void)ctx;
    (void)conn;
    buf_unref(frame);
}

static void on_accepted_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    struct watch *w = ctx;
    (void)conn;
    (void)reason;
    (void)why;
    w->lost = true;
}

static const struct env_conn_events accepted_events = {.frame = on_accepted_frame,
                                                       .closed = on_accepted_closed};

static void *on_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    struct watch *w = ctx;
    (void)peer;
    w->accepted++;
    w->conn = conn;
    return w;
}

static struct env *peer_env(struct watch *w)
{
    return sim_node_env(w->desk->client);
}

static void listen(struct watch *w)
{
    struct err_text text = {""};
    w->listener = (struct env_listener){.events = &accepted_events,
                                        .max_frame_bytes = 1 << 20,
                                        .accepted = on_accepted,
                                        .listener_ctx = w};
    assert_int_equal(env_listen(peer_env(w), &w->listener, "10.0.0.2", PEER_PORT, &text), ERR_NONE);
    w->listening = true;
}

static void unlisten(struct watch *w)
{
    env_unlisten(peer_env(w), &w->listener);
    w->listening = false;
}

/* ---- broker 2's heartbeats ---- */

static const struct image_broker *second(const struct watch *w)
{
    return image_broker(controller_image(w->desk->broker->controller), 2);
}

static void heartbeat(struct watch *w, struct line *l, bool want_fence)
{
    struct broker_heartbeat_request *h = request_new(WIRE_BROKER_HEARTBEAT, &w->arena);
    h->broker_id = 2;
    h->broker_epoch = w->epoch;
    h->current_metadata_offset = INT32_MAX;
    h->want_fence = want_fence;
    const struct broker_heartbeat_response *out =
        line_ask(l, WIRE_BROKER_HEARTBEAT, 1, h, &w->arena);
    assert_int_equal(out->error_code, KAFKA_NONE);
    assert_int_equal(second(w)->fenced, want_fence);
}

/* A new life, unfenced over `l`. */
static void begin_life(struct watch *w, struct line *l)
{
    struct broker_registration_request *r = request_new(WIRE_BROKER_REGISTRATION, &w->arena);
    size_t count = 0;
    const struct controller_feature *features = controller_default_features(&count);
    r->broker_id = 2;
    r->cluster_id = wire_str(broker_cluster_id(w->desk->broker));
    r->incarnation_id = uuid_from_number((uint64_t)sim_now_us(w->desk->sim));
    r->listeners.count = 1;
    r->listeners.items = arena_array(&w->arena, 1, sizeof *r->listeners.items);
    r->listeners.items[0].name = wire_str("PLAINTEXT");
    r->listeners.items[0].host = wire_str("10.0.0.2");
    r->listeners.items[0].port = PEER_PORT;
    r->features.count = (int32_t)count;
    r->features.items = arena_array(&w->arena, count, sizeof *r->features.items);
    for (size_t i = 0; i < count; i++) {
        r->features.items[i].name = wire_str(features[i].name);
        r->features.items[i].min_supported_version = features[i].min;
        r->features.items[i].max_supported_version = features[i].max;
    }
    r->log_dirs.count = 1;
    r->log_dirs.items = arena_array(&w->arena, 1, sizeof *r->log_dirs.items);
    r->log_dirs.items[0] = uuid_from_number(7777);
    const struct broker_registration_response *out =
        line_ask(l, WIRE_BROKER_REGISTRATION, 4, r, &w->arena);
    assert_int_equal(out->error_code, KAFKA_NONE);
    w->epoch = out->broker_epoch;
    heartbeat(w, l, false);
}

static struct watch *watch_new(uint64_t seed, struct line **l)
{
    struct watch *w = mem_zalloc(sizeof *w);
    w->desk = desk_new(seed, two_listeners);
    *l = line_new_at(w->desk, 9093);
    begin_life(w, *l);
    return w;
}

static void watch_free(struct watch *w)
{
    if (w->listening) {
        unlisten(w);
    }
    desk_free(w->desk);
    arena_free(&w->arena);
    mem_free(w);
}

/* Long after the dial, long before the session's end. */
static bool fenced_soon(struct watch *w)
{
    desk_run(w->desk, SOON_MS);
    return second(w)->fenced;
}

/* ---- tests ---- */

static void a_dead_broker_is_fenced_at_once(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct watch *w = watch_new(1, &l);
    assert_false(fenced_soon(w));
    line_free(l);
    assert_true(fenced_soon(w));
    assert_true(list_empty(&w->desk->broker->vigils));
    /* its next life need not wait for the old session */
    int64_t before = w->epoch;
    l = line_new_at(w->desk, 9093);
    begin_life(w, l);
    assert_true(w->epoch > before);
    line_free(l);
    watch_free(w);
}

static void one_whose_connection_alone_was_lost_is_not(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct watch *w = watch_new(2, &l);
    listen(w);
    sim_reset(w->desk->node, w->desk->client);
    assert_false(fenced_soon(w));
    assert_int_equal(w->accepted, 1);
    assert_true(w->lost); /* nothing is left open */
    assert_true(list_empty(&w->desk->broker->vigils));
    line_free(l);
    l = line_new_at(w->desk, 9093);
    heartbeat(w, l, false);
    desk_run(w->desk, SESSION_MS - 2000);
    assert_false(second(w)->fenced);
    desk_run(w->desk, 2100);
    assert_true(second(w)->fenced); /* the session is what it was */
    line_free(l);
    watch_free(w);
}

static void one_that_cannot_be_reached_has_its_session(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct watch *w = watch_new(3, &l);
    sim_block(w->desk->node, w->desk->client, true); /* no answer of ours gets through */
    sim_reset(w->desk->node, w->desk->client);
    assert_false(fenced_soon(w));
    desk_run(w->desk, SESSION_MS);
    assert_true(second(w)->fenced);
    line_free(l);
    watch_free(w);
}

static void a_connection_that_carried_no_heartbeats_is_nobodys(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct watch *w = watch_new(4, &l);
    struct line *other = line_new_at(w->desk, 9093);
    line_ask(other, WIRE_API_VERSIONS, 3, request_new(WIRE_API_VERSIONS, &w->arena), &w->arena);
    line_free(other);
    assert_false(fenced_soon(w));
    line_free(l);
    watch_free(w);
}

static void a_former_lifes_connection_is_of_no_account(void **state)
{
    (void)state;
    struct line *first = NULL;
    struct watch *w = watch_new(5, &first);
    heartbeat(w, first, true);
    struct line *l = line_new_at(w->desk, 9093);
    begin_life(w, l);
    line_free(first);
    assert_false(fenced_soon(w));
    line_free(l);
    assert_true(fenced_soon(w));
    watch_free(w);
}

static void one_heard_of_since_is_alive(void **state)
{
    (void)state;
    struct line *first = NULL;
    struct watch *w = watch_new(6, &first);
    struct line *l = line_new_at(w->desk, 9093);
    desk_run(w->desk, 50);
    struct sim_path far = {.delay_min_us = FAR_US, .delay_max_us = FAR_US};
    sim_path_set(w->desk->node, w->desk->client, far);
    line_free(first); /* the dial is under way for long */
    assert_false(list_empty(&w->desk->broker->vigils));
    heartbeat(w, l, false);
    assert_false(fenced_soon(w));
    assert_true(list_empty(&w->desk->broker->vigils)); /* it was refused */
    line_free(l);
    watch_free(w);
}

static bool has_accepted(void *ctx)
{
    return ((struct watch *)ctx)->accepted > 0;
}

/* Dialled for a connection that was lost alone, heard of by another one, and dead before the dial
 * has proven anything. */
static void one_that_dies_during_a_dial_is_fenced_at_once(void **state)
{
    (void)state;
    struct line *first;
    struct watch *w = watch_new(14, &first);
    listen(w);
    struct line *next = line_new_at(w->desk, 9093);
    line_free(first);
    desk_run(w->desk, 20);
    assert_int_equal(w->accepted, 1);
    heartbeat(w, next, false);
    unlisten(w);
    line_free(next);
    env_close(peer_env(w), w->conn, false);
    desk_run(w->desk, SOON_MS);
    assert_true(second(w)->fenced);
    watch_free(w);
}

/* The system closes a process's sockets one after the other. */
static void a_dying_process_may_still_be_accepted_for(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct watch *w = watch_new(7, &l);
    listen(w);
    sim_reset(w->desk->node, w->desk->client);
    assert_true(sim_run_until(w->desk->sim, has_accepted, w, 1000, 0));
    unlisten(w);
    env_close(peer_env(w), w->conn, false);
    assert_true(fenced_soon(w));
    line_free(l);
    watch_free(w);
}

/* What listens there closes every connection at once: three are enough. */
static void a_listener_that_hangs_up_is_not_dialled_for_ever(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct watch *w = watch_new(8, &l);
    listen(w);
    sim_reset(w->desk->node, w->desk->client);
    for (int i = 1; i < 10; i++) {
        w->accepted = 0;
        bool again = sim_run_until(w->desk->sim, has_accepted, w, 1000, 0);
        assert_int_equal(again, i <= 3);
        if (again) {
            env_close(peer_env(w), w->conn, false);
        }
    }
    assert_false(second(w)->fenced);
    assert_true(list_empty(&w->desk->broker->vigils));
    line_free(l);
    watch_free(w);
}

static bool active(void *ctx)
{
    struct watch *w = ctx;
    return w->desk->ready && controller_active(w->desk->broker->controller);
}

static bool is_inactive(void *ctx)
{
    return !active(ctx);
}

/* The controller's own node goes down and comes back. */
static void restart(struct watch *w)
{
    struct desk *d = w->desk;
    sim_node_crash(d->node, SIM_KILL);
    struct broker_news news = d->broker->news;
    broker_free(d->broker);
    sim_node_restart(d->node);
    d->ready = false;
    d->broker = broker_start(sim_node_env(d->node), d->settings, &news);
    assert_true(sim_run_until(d->sim, active, w, 60000, 0));
}

static void a_controller_newly_active_looks_after_every_broker(void **state)
{
    (void)state;
    for (int alive = 0; alive < 2; alive++) {
        struct line *l = NULL;
        struct watch *w = watch_new(9, &l);
        if (alive) {
            listen(w);
        }
        restart(w);
        assert_int_equal(fenced_soon(w), !alive);
        assert_int_equal(w->accepted, alive);
        assert_false(image_broker(controller_image(w->desk->broker->controller), 1)->fenced);
        line_free(l);
        watch_free(w);
    }
}

/* What answers the dial is its next life already, or the controller is the new one: it does not
 * wait for the session of the life before. */
static void a_quick_restart_registers_at_once(void **state)
{
    (void)state;
    for (int controller_too = 0; controller_too < 2; controller_too++) {
        struct line *l = NULL;
        struct watch *w = watch_new(13, &l);
        listen(w);
        int64_t before = w->epoch;
        if (controller_too) {
            restart(w);
        }
        line_free(l);
        assert_false(second(w)->fenced);
        l = line_new_at(w->desk, 9093);
        begin_life(w, l);
        assert_true(w->epoch > before);
        assert_false(fenced_soon(w));
        line_free(l);
        watch_free(w);
    }
}

static void a_fenced_broker_is_left_alone(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct watch *w = watch_new(11, &l);
    listen(w);
    heartbeat(w, l, true);
    line_free(l);
    desk_run(w->desk, SOON_MS);
    restart(w);
    desk_run(w->desk, SOON_MS);
    assert_int_equal(w->accepted, 0);
    watch_free(w);
}

static void one_that_decides_no_more_gives_up_its_dials(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct watch *w = watch_new(12, &l);
    struct sim_path far = {.delay_min_us = FAR_US, .delay_max_us = FAR_US};
    sim_path_set(w->desk->node, w->desk->client, far);
    line_free(l);
    assert_false(list_empty(&w->desk->broker->vigils));
    struct broker *broker = w->desk->broker;
    int32_t epoch = controller_epoch(broker->controller);
    quorum_resign(broker->quorum, epoch, "the test says so");
    assert_true(sim_run_until(w->desk->sim, is_inactive, w, 1000, 0));
    assert_true(list_empty(&broker->vigils));
    assert_true(sim_run_until(w->desk->sim, active, w, 60000, 0));
    assert_true(controller_epoch(broker->controller) > epoch);
    assert_true(fenced_soon(w));
    watch_free(w);
}

static bool has_stopped(void *ctx)
{
    return ((struct desk *)ctx)->stopped;
}

static void a_stop_leaves_no_dial_behind(void **state)
{
    (void)state;
    struct line *l = NULL;
    struct watch *w = watch_new(10, &l);
    struct sim_path very_far = {.delay_min_us = 20 * FAR_US, .delay_max_us = 20 * FAR_US};
    sim_path_set(w->desk->node, w->desk->client, very_far);
    line_free(l);
    assert_false(list_empty(&w->desk->broker->vigils));
    broker_stop(w->desk->broker);
    assert_true(sim_run_until(w->desk->sim, has_stopped, w->desk, 1000, 0));
    assert_true(list_empty(&w->desk->broker->vigils));
    watch_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_broker_is_fenced_at_once),
        cmocka_unit_test(one_whose_connection_alone_was_lost_is_not),
        cmocka_unit_test(one_that_cannot_be_reached_has_its_session),
        cmocka_unit_test(a_connection_that_carried_no_heartbeats_is_nobodys),
        cmocka_unit_test(a_former_lifes_connection_is_of_no_account),
        cmocka_unit_test(one_heard_of_since_is_alive),
        cmocka_unit_test(one_that_dies_during_a_dial_is_fenced_at_once),
        cmocka_unit_test(a_dying_process_may_still_be_accepted_for),
        cmocka_unit_test(a_listener_that_hangs_up_is_not_dialled_for_ever),
        cmocka_unit_test(a_controller_newly_active_looks_after_every_broker),
        cmocka_unit_test(a_quick_restart_registers_at_once),
        cmocka_unit_test(a_fenced_broker_is_left_alone),
        cmocka_unit_test(one_that_decides_no_more_gives_up_its_dials),
        cmocka_unit_test(a_stop_leaves_no_dial_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
