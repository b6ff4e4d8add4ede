/* How a broker's life ends: with our own controller, and a second broker that is played. */
#include "broker/node/node_internal.h"
#include "common/base/mem.h"
#include "tests/unit/node/desk.h"

static const char *const two_listeners[] = {
    "listeners=PLAINTEXT://10.0.0.1:9092,CONTROLLER://10.0.0.1:9093",
    "controller.listener.names=CONTROLLER", NULL};

/* Broker 2, played. */
struct second {
    struct desk *desk;
    struct line *line;
    struct arena arena;
    int64_t epoch;
};

static int32_t send_heartbeat(struct second *s, bool want_shut_down)
{
    struct broker_heartbeat_request *h = request_new(WIRE_BROKER_HEARTBEAT, &s->arena);
    h->broker_id = 2;
    h->broker_epoch = s->epoch;
    h->current_metadata_offset = INT32_MAX;
    h->want_shut_down = want_shut_down;
    return line_send(s->line, WIRE_BROKER_HEARTBEAT, 1, h);
}

/* True when it may go. */
static bool heartbeat(struct second *s, bool want_shut_down)
{
    int32_t id = send_heartbeat(s, want_shut_down);
    const struct broker_heartbeat_response *out =
        line_take(s->line, WIRE_BROKER_HEARTBEAT, 1, id, &s->arena);
    assert_int_equal(out->error_code, KAFKA_NONE);
    return out->should_shut_down;
}

static void create_led_by_second(struct second *s)
{
    struct line *l = line_new(s->desk);
    struct create_topics_request *r = request_new(WIRE_CREATE_TOPICS, &s->arena);
    int32_t second = 2;
    struct create_topics_request_assignment assignment = {.broker_ids = {&second, 1}};
    r->timeout_ms = 5000;
    r->topics.count = 1;
    r->topics.items = arena_array(&s->arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = wire_str("u");
    r->topics.items[0].num_partitions = -1;
    r->topics.items[0].replication_factor = -1;
    r->topics.items[0].assignments.items = &assignment;
    r->topics.items[0].assignments.count = 1;
    const struct create_topics_response *out = line_ask(l, WIRE_CREATE_TOPICS, 7, r, &s->arena);
    assert_int_equal(out->topics.items[0].error_code, KAFKA_NONE);
    line_free(l);
}

/* The same life, however often. */
static int64_t register_second(struct second *s)
{
    struct broker_registration_request *r = request_new(WIRE_BROKER_REGISTRATION, &s->arena);
    size_t count = 0;
    const struct controller_feature *features = controller_default_features(&count);
    struct broker_registration_request_listener listener = {
        .name = wire_str("PLAINTEXT"), .host = wire_str("10.0.0.2"), .port = 9092};
    struct uuid dir = uuid_from_number(7777);
    r->broker_id = 2;
    r->cluster_id = wire_str(broker_cluster_id(s->desk->broker));
    r->incarnation_id = uuid_from_number(4242);
    r->listeners.items = &listener;
    r->listeners.count = 1;
    r->features.items = arena_array(&s->arena, count, sizeof *r->features.items);
    r->features.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        r->features.items[i].name = wire_str(features[i].name);
        r->features.items[i].min_supported_version = features[i].min;
        r->features.items[i].max_supported_version = features[i].max;
    }
    r->log_dirs.items = &dir;
    r->log_dirs.count = 1;
    const struct broker_registration_response *out =
        line_ask(s->line, WIRE_BROKER_REGISTRATION, 4, r, &s->arena);
    assert_int_equal(out->error_code, KAFKA_NONE);
    return out->broker_epoch;
}

static struct second *second_new(uint64_t seed)
{
    struct second *s = mem_zalloc(sizeof *s);
    s->desk = desk_new(seed, two_listeners);
    s->line = line_new_at(s->desk, 9093);
    s->epoch = register_second(s);
    assert_false(heartbeat(s, false));
    create_led_by_second(s);
    return s;
}

static void second_free(struct second *s)
{
    line_free(s->line);
    desk_free(s->desk);
    arena_free(&s->arena);
    mem_free(s);
}

/* Its registration was carried out, and the answer lost: asked again, nothing changes. */
static void test_registers_twice(void **state)
{
    (void)state;
    struct second *s = second_new(12);
    const struct image *image = controller_image(s->desk->broker->controller);
    assert_false(image_broker(image, 2)->fenced);
    assert_int_equal(register_second(s), s->epoch);
    image = controller_image(s->desk->broker->controller);
    assert_int_equal(image_broker(image, 2)->epoch, s->epoch);
    assert_false(image_broker(image, 2)->fenced);
    assert_false(heartbeat(s, false));
    second_free(s);
}

static void test_leaves_others_behind(void **state)
{
    (void)state;
    struct second *s = second_new(7);
    broker_stop(s->desk->broker);
    assert_false(s->desk->stopped);
    send_heartbeat(s, false); /* it must have seen what was left */
    desk_run(s->desk, 500);
    assert_true(s->desk->stopped);
    second_free(s);
}

/* Our controller is the active one, and broker 2, which stops too, must be let go by it. */
static void test_goes_after_who_stops_too(void **state)
{
    (void)state;
    struct second *s = second_new(8);
    assert_false(heartbeat(s, true)); /* it leads */
    broker_stop(s->desk->broker);
    desk_run(s->desk, 2000);
    assert_false(s->desk->stopped);
    assert_true(heartbeat(s, true)); /* nothing any more */
    desk_run(s->desk, 500);
    assert_true(s->desk->stopped);
    second_free(s);
}

/* Both were told to stop, and ours was the first to be let go: a moment is left to the other. */
static void test_gives_others_a_moment_to_say_so(void **state)
{
    (void)state;
    struct second *s = second_new(13);
    broker_stop(s->desk->broker);
    assert_false(heartbeat(s, false)); /* it has seen what was left */
    desk_run(s->desk, 60);
    assert_false(s->desk->stopped);
    assert_false(heartbeat(s, true)); /* it leads */
    desk_run(s->desk, 2000);
    assert_false(s->desk->stopped);
    assert_true(heartbeat(s, true));
    desk_run(s->desk, 500);
    assert_true(s->desk->stopped);
    second_free(s);
}

/* One that stops and is not heard of again holds nobody for longer than its session. */
static void test_does_not_wait_for_the_dead(void **state)
{
    (void)state;
    struct second *s = second_new(9);
    assert_false(heartbeat(s, true));
    broker_stop(s->desk->broker);
    desk_run(s->desk, 8000);
    assert_false(s->desk->stopped);
    desk_run(s->desk, 2000);
    assert_true(s->desk->stopped);
    second_free(s);
}

/* Nobody to hand anything to; or told twice. */
static void test_stops_at_once(void **state)
{
    (void)state;
    struct desk *d = desk_new(10, two_listeners);
    broker_stop(d->broker);
    desk_run(d, 500);
    assert_true(d->stopped);
    desk_free(d);
    struct second *s = second_new(11);
    assert_false(heartbeat(s, true));
    broker_stop(s->desk->broker);
    desk_run(s->desk, 500);
    assert_false(s->desk->stopped);
    broker_stop(s->desk->broker);
    desk_run(s->desk, 500);
    assert_true(s->desk->stopped);
    second_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers_twice),
        cmocka_unit_test(test_leaves_others_behind),
        cmocka_unit_test(test_goes_after_who_stops_too),
        cmocka_unit_test(test_gives_others_a_moment_to_say_so),
        cmocka_unit_test(test_does_not_wait_for_the_dead),
        cmocka_unit_test(test_stops_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
