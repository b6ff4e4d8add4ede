/* Membership: who is in, who leads, when a generation ends (Kafka's classic groups). */
#include "common/base/mem.h"
#include "tests/unit/group/ask.h"

enum { ID_MAX = 200 };

static void keep(char *to, struct wire_str id)
{
    snprintf(to, ID_MAX, "%.*s", id.size, id.data);
}

/* Two members, stable; ids in a (leader) and b. Returns the generation. */
static int32_t settle(struct world *w, const char *group, char *a, char *b)
{
    struct ask *one = join_fully(w, (struct member_spec){.group = group});
    keep(a, joined(one)->member_id);
    struct ask *two = join_fully(w, (struct member_spec){.group = group, .metadata = "other"});
    assert_false(two->done); /* until the first has rejoined */
    assert_int_equal(heartbeat(w, group, a, 1), KAFKA_REBALANCE_IN_PROGRESS);
    struct ask *again = join(w, (struct member_spec){.group = group, .member = a});
    keep(b, joined(two)->member_id);
    struct join_group_response *lead = joined(again);
    assert_int_equal(lead->error_code, 0);
    assert_true(wire_str_is(lead->leader, a));
    assert_true(wire_str_is(joined(two)->leader, a));
    assert_int_equal(lead->members.count, 2);
    assert_int_equal(joined(two)->members.count, 0);
    assert_int_equal(lead->members.items[1].metadata.size, 5);
    int32_t generation = lead->generation_id;
    char plan[500];
    snprintf(plan, sizeof plan, "%s=for-a %s=for-b", a, b);
    struct ask *follow = sync_group(w, group, b, generation, NULL);
    assert_false(follow->done);
    struct ask *leader = sync_group(w, group, a, generation, plan);
    assert_false(leader->done); /* not before it is stored */
    ask_wait(follow);
    ask_wait(leader);
    const struct sync_group_response *part = follow->call.response;
    assert_int_equal(part->error_code, 0);
    assert_memory_equal(part->assignment.data, "for-b", 5);
    assert_string_equal(state_of(w, group), "Stable");
    ask_free(one);
    ask_free(two);
    ask_free(again);
    ask_free(follow);
    ask_free(leader);
    return generation;
}

static void test_two_members(void **state)
{
    (void)state;
    struct world *w = house_new(1, NULL);
    char a[ID_MAX];
    char b[ID_MAX];
    assert_int_equal(settle(w, "g", a, b), 2);
    assert_int_equal(heartbeat(w, "g", a, 2), 0);
    assert_int_equal(heartbeat(w, "g", a, 1), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(heartbeat(w, "g", "nobody", 2), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(heartbeat(w, "nogroup", a, 2), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(leave(w, "g", "nobody"), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(leave(w, "g", a), 0);
    assert_int_equal(heartbeat(w, "g", b, 2), KAFKA_REBALANCE_IN_PROGRESS);
    struct ask *rest = join(w, (struct member_spec){.group = "g", .member = b});
    assert_int_equal(joined(rest)->generation_id, 3);
    assert_true(wire_str_is(joined(rest)->leader, b));
    ask_free(rest);
    assert_int_equal(leave(w, "g", b), 0);
    assert_string_equal(state_of(w, "g"), "Empty");
    world_free(w);
}

static void test_initial_delay(void **state)
{
    (void)state;
    struct groups_config config = quick_config();
    config.initial_rebalance_delay_ms = 3000;
    struct world *w = house_new(2, &config);
    struct ask *one = join(w, (struct member_spec){.group = "g", .version = 3});
    world_run(w, 2900);
    assert_false(one->done);
    struct ask *two = join(w, (struct member_spec){.group = "g", .version = 3});
    world_run(w, 2900); /* a join during the delay lengthens it */
    assert_false(one->done);
    world_run(w, 200);
    assert_true(one->done && two->done);
    assert_int_equal(joined(one)->generation_id, 1);
    assert_int_equal(joined(one)->members.count, 2);
    ask_free(one);
    ask_free(two);
    /* Never longer than the members' rebalance timeout. */
    one = join(w, (struct member_spec){.group = "h", .version = 3, .rebalance_ms = 500});
    world_run(w, 510);
    assert_true(one->done);
    ask_free(one);
    world_free(w);
}

static void test_session_ends(void **state)
{
    (void)state;
    struct world *w = house_new(3, NULL);
    char a[ID_MAX];
    char b[ID_MAX];
    int32_t generation = settle(w, "g", a, b);
    for (int i = 0; i < 4; i++) {
        world_run(w, 3000);
        int16_t expected = i < 3 ? 0 : KAFKA_REBALANCE_IN_PROGRESS;
        assert_int_equal(heartbeat(w, "g", b, generation), expected);
    }
    assert_int_equal(heartbeat(w, "g", a, generation), KAFKA_UNKNOWN_MEMBER_ID);
    world_free(w);
}

/* One that does not rejoin is left behind at the end of the rebalance timeout. */
static void test_does_not_rejoin(void **state)
{
    (void)state;
    struct world *w = house_new(4, NULL);
    char a[ID_MAX];
    char b[ID_MAX];
    int32_t generation = settle(w, "g", a, b);
    struct ask *third = join_fully(w, (struct member_spec){.group = "g"});
    struct ask *again = join(w, (struct member_spec){.group = "g", .member = b, .metadata = "x"});
    for (int i = 0; i < 6; i++) {
        world_run(w, 3000);
        assert_false(third->done);
        assert_int_equal(heartbeat(w, "g", a, generation), KAFKA_REBALANCE_IN_PROGRESS);
    }
    world_run(w, 3000);
    assert_int_equal(joined(again)->generation_id, generation + 1);
    assert_true(wire_str_is(joined(third)->leader, b));
    assert_int_equal(joined(again)->members.count, 2);
    assert_int_equal(heartbeat(w, "g", a, generation + 1), KAFKA_UNKNOWN_MEMBER_ID);
    ask_free(third);
    ask_free(again);
    world_free(w);
}

static void test_refusals(void **state)
{
    (void)state;
    struct groups_config config = quick_config();
    config.max_size = 1;
    struct world *w = house_new(5, &config);
    struct ask *a = join(w, (struct member_spec){.group = ""});
    assert_int_equal(joined(a)->error_code, KAFKA_INVALID_GROUP_ID);
    ask_free(a);
    a = join(w, (struct member_spec){.group = "g", .session_ms = 10});
    assert_int_equal(joined(a)->error_code, KAFKA_INVALID_SESSION_TIMEOUT);
    ask_free(a);
    a = join(w, (struct member_spec){.group = "g", .member = "made-up"});
    assert_int_equal(joined(a)->error_code, KAFKA_UNKNOWN_MEMBER_ID);
    ask_free(a);
    a = ask_new(w, WIRE_JOIN_GROUP, 3);
    struct join_group_request *many = (void *)(uintptr_t)a->call.request;
    many->group_id = wire_str("g");
    many->session_timeout_ms = 10000;
    many->protocol_type = wire_str("consumer");
    many->protocols.count = 100000;
    many->protocols.items = arena_array(&a->arena, 100000, sizeof *many->protocols.items);
    ask_submit(a);
    assert_int_equal(joined(a)->error_code, KAFKA_INVALID_REQUEST);
    ask_free(a);
    struct ask *one = join(w, (struct member_spec){.group = "g", .version = 3});
    assert_int_equal(joined(one)->error_code, 0);
    char id[ID_MAX];
    keep(id, joined(one)->member_id);
    a = ask_new(w, WIRE_SYNC_GROUP, 3);
    struct sync_group_request *plan = (void *)(uintptr_t)a->call.request;
    plan->group_id = wire_str("g");
    plan->member_id = wire_str(id);
    plan->generation_id = 1;
    plan->assignments.count = 100000;
    plan->assignments.items = arena_array(&a->arena, 100000, sizeof *plan->assignments.items);
    ask_submit(a);
    assert_true(a->done);
    assert_int_equal(((struct sync_group_response *)a->call.response)->error_code,
                     KAFKA_INVALID_REQUEST);
    ask_free(a);
    a = join(w, (struct member_spec){.group = "g", .protocol = "roundrobin"});
    assert_int_equal(joined(a)->error_code, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    ask_free(a);
    a = join(w, (struct member_spec){.group = "g", .version = 3});
    assert_int_equal(joined(a)->error_code, KAFKA_GROUP_MAX_SIZE_REACHED);
    ask_free(a);
    ask_free(one);
    world_free(w);
}

/* Ids are bytes on the wire and C strings in here: what a NUL would cut short is refused. A client
 * id may be as long as a string can be; the member id made of it must still be sayable. */
static void test_strange_names(void **state)
{
    (void)state;
    struct world *w = house_new(6, NULL);
    struct ask *a = ask_new(w, WIRE_OFFSET_COMMIT, 9);
    struct offset_commit_request *r = (void *)(uintptr_t)a->call.request;
    r->group_id = (struct wire_str){"g\0x", 3};
    r->topics.count = 0;
    ask_submit(a);
    assert_true(a->done);
    ask_free(a);
    struct ask *beat = ask_new(w, WIRE_HEARTBEAT, 4);
    ((struct heartbeat_request *)(uintptr_t)beat->call.request)->group_id =
        (struct wire_str){"g\0x", 3};
    ask_submit(beat);
    assert_int_equal(((struct heartbeat_response *)beat->call.response)->error_code,
                     KAFKA_INVALID_GROUP_ID);
    ask_free(beat);
    char *name = mem_zalloc(32768);
    memset(name, 'n', 32767);
    struct ask *one = join_fully(w, (struct member_spec){.group = name, .client_id = name});
    assert_int_equal(joined(one)->error_code, 0);
    assert_true(joined(one)->member_id.size < 2000);
    char id[ID_MAX * 10];
    snprintf(id, sizeof id, "%.*s", joined(one)->member_id.size, joined(one)->member_id.data);
    struct ask *leader = sync_group(w, name, id, 1, NULL);
    ask_wait(leader); /* its record holds client id and group */
    assert_int_equal(((struct sync_group_response *)leader->call.response)->error_code, 0);
    ask_free(leader);
    ask_free(one);
    name[5] = 'x';
    struct ask *tell = ask_new(w, WIRE_DESCRIBE_GROUPS, 6);
    struct wire_str twice[] = {wire_str(name), wire_str("g"), wire_str("g")};
    ((struct describe_groups_request *)(uintptr_t)tell->call.request)->groups.items = twice;
    ((struct describe_groups_request *)(uintptr_t)tell->call.request)->groups.count = 3;
    ask_submit(tell); /* on_done encodes: "Group ... not found." must fit */
    assert_true(tell->done);
    ask_free(tell);
    mem_free(name);
    world_free(w);
}

/* Ids handed out and never used leave nothing behind. */
static void test_pending(void **state)
{
    (void)state;
    struct world *w = house_new(7, NULL);
    struct ask *a = join(w, (struct member_spec){.group = "g"});
    assert_int_equal(joined(a)->error_code, KAFKA_MEMBER_ID_REQUIRED);
    ask_free(a);
    assert_string_equal(state_of(w, "g"), "Empty");
    world_run(w, 11000);
    assert_string_equal(state_of(w, "g"), "Dead");
    a = join(w, (struct member_spec){.group = "g"});
    char id[ID_MAX];
    keep(id, joined(a)->member_id);
    ask_free(a);
    assert_int_equal(leave(w, "g", id), 0);
    assert_string_equal(state_of(w, "g"), "Dead");
    world_free(w);
}

static void test_static_members(void **state)
{
    (void)state;
    struct world *w = house_new(8, NULL);
    struct ask *one = join(w, (struct member_spec){.group = "g", .instance = "i1"});
    char a[ID_MAX];
    keep(a, joined(one)->member_id);
    ask_free(one);
    char plan[400];
    snprintf(plan, sizeof plan, "%s=mine", a);
    struct ask *leader = sync_group(w, "g", a, 1, plan);
    ask_wait(leader);
    ask_free(leader);
    /* It restarts: another member id, what it says of itself has changed a little, no rebalance. */
    one = join(w, (struct member_spec){.group = "g", .instance = "i1", .metadata = "epoch -1"});
    assert_true(one->done);
    char again[ID_MAX];
    keep(again, joined(one)->member_id);
    assert_string_not_equal(a, again);
    assert_int_equal(joined(one)->generation_id, 1);
    assert_true(joined(one)->skip_assignment);
    assert_int_equal(joined(one)->members.count, 1);
    assert_true(wire_str_is(joined(one)->leader, again));
    ask_free(one);
    assert_string_equal(state_of(w, "g"), "Stable");
    leader = sync_group(w, "g", again, 1, NULL);
    assert_memory_equal(((struct sync_group_response *)leader->call.response)->assignment.data,
                        "mine", 4);
    ask_free(leader);
    /* An older client cannot be told to skip: it is told that another leads. */
    one = join(w, (struct member_spec){.group = "g", .instance = "i1", .version = 7});
    assert_true(wire_str_is(joined(one)->leader, again));
    assert_int_equal(joined(one)->members.count, 0);
    char third[ID_MAX];
    keep(third, joined(one)->member_id);
    ask_free(one);
    /* The old self is fenced. */
    one = join(w, (struct member_spec){.group = "g", .member = again, .instance = "i1"});
    assert_int_equal(joined(one)->error_code, KAFKA_FENCED_INSTANCE_ID);
    ask_free(one);
    world_free(w);
}

/* A static leader that is away when the others have rejoined keeps its place, not the lead. */
static void test_static_leader_away(void **state)
{
    (void)state;
    struct world *w = house_new(9, NULL);
    struct ask *one =
        join(w, (struct member_spec){.group = "g", .instance = "i1", .session_ms = 100000});
    char a[ID_MAX];
    keep(a, joined(one)->member_id);
    struct ask *two = join_fully(w, (struct member_spec){.group = "g"});
    world_run(w, 21000);
    assert_int_equal(joined(two)->error_code, 0);
    assert_false(wire_str_is(joined(two)->leader, a));
    assert_int_equal(joined(two)->members.count, 2);
    ask_free(one);
    ask_free(two);
    world_free(w);
}

static void test_leader_dies_in_sync(void **state)
{
    (void)state;
    struct world *w = house_new(10, NULL);
    char a[ID_MAX];
    char b[ID_MAX];
    int32_t generation = settle(w, "g", a, b);
    struct ask *one = join(w, (struct member_spec){.group = "g", .member = a, .metadata = "new"});
    struct ask *two = join(w, (struct member_spec){.group = "g", .member = b, .metadata = "other"});
    assert_int_equal(joined(one)->generation_id, generation + 1);
    struct ask *follow = sync_group(w, "g", b, generation + 1, NULL);
    /* The leader says nothing more: its session ends, and the follower hears of it although it sent
     * no heartbeat while it waited. */
    world_run(w, 9000);
    assert_false(follow->done);
    world_run(w, 1100);
    assert_true(follow->done);
    assert_int_equal(((struct sync_group_response *)follow->call.response)->error_code,
                     KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(heartbeat(w, "g", b, generation + 1), KAFKA_REBALANCE_IN_PROGRESS);
    ask_free(one);
    ask_free(two);
    ask_free(follow);
    world_free(w);
}

/* Who waits in SyncGroup is not asked for heartbeats, however long the leader takes. */
static void test_slow_leader(void **state)
{
    (void)state;
    struct world *w = house_new(16, NULL);
    char a[ID_MAX];
    char b[ID_MAX];
    int32_t generation = settle(w, "g", a, b) + 1;
    struct ask *one = join(w, (struct member_spec){.group = "g", .member = a, .metadata = "new"});
    struct ask *two = join(w, (struct member_spec){.group = "g", .member = b, .metadata = "other"});
    assert_int_equal(joined(one)->generation_id, generation);
    struct ask *follow = sync_group(w, "g", b, generation, NULL);
    for (int i = 0; i < 3; i++) {
        world_run(w, 6000);
        assert_int_equal(heartbeat(w, "g", a, generation), 0);
    }
    assert_false(follow->done);
    struct ask *leader = sync_group(w, "g", a, generation, NULL);
    ask_wait(leader);
    assert_int_equal(((struct sync_group_response *)follow->call.response)->error_code, 0);
    assert_int_equal(heartbeat(w, "g", b, generation), 0);
    ask_free(one);
    ask_free(two);
    ask_free(follow);
    ask_free(leader);
    world_free(w);
}

/* Heartbeats alone do not keep the place of one that never syncs. */
static void test_pending_sync(void **state)
{
    (void)state;
    struct world *w = house_new(11, NULL);
    char a[ID_MAX];
    char b[ID_MAX];
    int32_t generation = settle(w, "g", a, b) + 1;
    struct ask *one = join(w, (struct member_spec){.group = "g", .member = a, .metadata = "new"});
    struct ask *two = join(w, (struct member_spec){.group = "g", .member = b, .metadata = "other"});
    assert_int_equal(joined(one)->generation_id, generation);
    struct ask *leader = sync_group(w, "g", a, generation, NULL);
    ask_wait(leader);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(heartbeat(w, "g", a, generation), 0);
        assert_int_equal(heartbeat(w, "g", b, generation), 0);
        world_run(w, 6500);
    }
    world_run(w, 2000);
    assert_int_equal(heartbeat(w, "g", b, generation), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(heartbeat(w, "g", a, generation), KAFKA_REBALANCE_IN_PROGRESS);
    ask_free(one);
    ask_free(two);
    ask_free(leader);
    world_free(w);
}

/* Clients that go while they wait: the call is forgotten, the member keeps its place. */
static void test_cancelled(void **state)
{
    (void)state;
    struct world *w = house_new(12, NULL);
    char a[ID_MAX];
    char b[ID_MAX];
    int32_t generation = settle(w, "g", a, b);
    struct ask *again = join(w, (struct member_spec){.group = "g", .member = a, .metadata = "n"});
    assert_false(again->done);
    ask_free(again);
    struct ask *two = join(w, (struct member_spec){.group = "g", .member = b, .metadata = "other"});
    assert_int_equal(joined(two)->generation_id, generation + 1);
    again = join(w, (struct member_spec){.group = "g", .member = a, .metadata = "n"});
    assert_int_equal(joined(again)->generation_id, generation + 1); /* it only missed the answer */
    struct ask *leader = sync_group(w, "g", a, generation + 1, NULL);
    ask_free(leader);
    world_run(w, 100);
    assert_string_equal(state_of(w, "g"), "Stable");
    ask_free(again);
    ask_free(two);
    world_free(w);
}

/* The assignment cannot be stored: Kafka's words for it, and a new try. */
static void test_sync_not_stored(void **state)
{
    (void)state;
    struct world *w = house_new(13, NULL);
    struct ask *one = join(w, (struct member_spec){.group = "g", .version = 3});
    char a[ID_MAX];
    keep(a, joined(one)->member_id);
    sim_disk_latency(w->node, SIM_SYNC, (struct sim_latency){.min_us = 6000000, .max_us = 6000000});
    struct ask *leader = sync_group(w, "g", a, 1, NULL);
    world_run(w, 5100);
    assert_true(leader->done);
    assert_int_equal(((struct sync_group_response *)leader->call.response)->error_code,
                     KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_string_equal(state_of(w, "g"), "PreparingRebalance");
    ask_free(leader);
    ask_free(one);
    world_free(w);
}

static void test_move(void **state)
{
    (void)state;
    struct world *w = house_new(14, NULL);
    char a[ID_MAX];
    char b[ID_MAX];
    int32_t generation = settle(w, "g", a, b);
    struct ask *waits = join(w, (struct member_spec){.group = "g", .member = a, .metadata = "n"});
    struct record_list list = {0};
    put_leader(&list, house_topic(w, "__consumer_offsets"), 0, 2);
    world_apply(w, &list);
    assert_int_equal(joined(waits)->error_code, KAFKA_NOT_COORDINATOR);
    ask_free(waits);
    assert_int_equal(heartbeat(w, "g", a, generation), KAFKA_NOT_COORDINATOR);
    house_move(w);
    /* Loaded: the same generation, members, assignments. */
    assert_int_equal(heartbeat(w, "g", a, generation), 0);
    assert_int_equal(heartbeat(w, "g", b, generation), 0);
    struct ask *sync = sync_group(w, "g", b, generation, NULL);
    assert_memory_equal(((struct sync_group_response *)sync->call.response)->assignment.data,
                        "for-b", 5);
    ask_free(sync);
    world_run(w, 11000); /* and their sessions run */
    assert_int_equal(heartbeat(w, "g", b, generation), KAFKA_UNKNOWN_MEMBER_ID);
    world_free(w);
}

/* Reference values: Java 17, Utils.abs(id.hashCode()) of Kafka 4.3.1's clients. */
static void test_partition_for(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        int32_t of_50;
        int32_t of_7;
    } rows[] = {{"", 0, 0},
                {"g", 3, 5},
                {"group", 47, 3},
                {"console-consumer-12345", 6, 6},
                {"my-application", 7, 0},
                {"orders", 31, 2},
                {"zzzzzzzzzz", 36, 2},
                {"gr\xc3\xbcn", 49, 4},
                {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 43, 5},
                {"\xf0\x9f\x98\x80smile", 41, 6},
                {"\xc3\xa9t\xc3\xa9-\xf0\x9f\x90\xb1", 39, 5},
                {"polygenelubricants", 0, 0}}; /* hashes to Integer.MIN_VALUE */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(groups_partition_for(wire_str(rows[i].id), 50), rows[i].of_50);
        assert_int_equal(groups_partition_for(wire_str(rows[i].id), 7), rows[i].of_7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_members),
        cmocka_unit_test(test_initial_delay),
        cmocka_unit_test(test_session_ends),
        cmocka_unit_test(test_does_not_rejoin),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_strange_names),
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_static_members),
        cmocka_unit_test(test_static_leader_away),
        cmocka_unit_test(test_leader_dies_in_sync),
        cmocka_unit_test(test_slow_leader),
        cmocka_unit_test(test_pending_sync),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_sync_not_stored),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_partition_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
