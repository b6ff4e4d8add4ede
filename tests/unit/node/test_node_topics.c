/* DescribeTopicPartitions, page by page. */
#include "tests/unit/node/desk.h"

enum { KEY = 75 };

/* "t" has one partition; these get more. */
static void create(struct line *l, const char *name, int32_t partitions)
{
    struct arena arena = {0};
    struct create_topics_request *request = request_new(19, &arena);
    request->topics.items = arena_array(&arena, 1, sizeof *request->topics.items);
    request->topics.count = 1;
    wire_struct_defaults(&wire_struct_create_topics_request_topic, &request->topics.items[0]);
    request->topics.items[0].name = wire_str(name);
    request->topics.items[0].num_partitions = partitions;
    request->topics.items[0].replication_factor = 1;
    const struct create_topics_response *response = line_ask(l, 19, 7, request, &arena);
    assert_int_equal(response->topics.items[0].error_code, KAFKA_NONE);
    arena_free(&arena);
}

struct ask {
    const char *names[4]; /* none: all */
    int32_t limit;
    const char *topic; /* of the cursor; NULL: none */
    int32_t partition;
};

/* "a[0 1] t[0] > u:0": topics with their partitions or error, then where the next page begins. */
static void told(struct line *l, const struct ask *ask, const char *expected)
{
    struct arena arena = {0};
    struct describe_topic_partitions_request *request = request_new(KEY, &arena);
    request->topics.items = arena_array(&arena, 4, sizeof *request->topics.items);
    for (int i = 0; i < 4 && ask->names[i] != NULL; i++) {
        request->topics.items[request->topics.count++].name = wire_str(ask->names[i]);
    }
    if (ask->limit != 0) {
        request->response_partition_limit = ask->limit;
    }
    if (ask->topic != NULL) {
        request->cursor = arena_alloc(&arena, sizeof *request->cursor);
        request->cursor->topic_name = wire_str(ask->topic);
        request->cursor->partition_index = ask->partition;
    }
    const struct describe_topic_partitions_response *response =
        line_ask(l, KEY, 0, request, &arena);
    char shown[400] = "";
    size_t used = 0;
    for (int32_t i = 0; i < response->topics.count; i++) {
        const struct describe_topic_partitions_response_topic *topic = &response->topics.items[i];
        used += (size_t)snprintf(shown + used, sizeof shown - used, "%s%.*s[", i > 0 ? " " : "",
                                 topic->name.size, topic->name.data);
        for (int32_t k = 0; k < topic->partitions.count; k++) {
            const struct describe_topic_partitions_response_partition *part =
                &topic->partitions.items[k];
            used += (size_t)snprintf(shown + used, sizeof shown - used, "%s%d", k > 0 ? " " : "",
                                     part->partition_index);
            assert_int_equal(part->error_code, KAFKA_NONE);
            assert_int_equal(part->leader_id, 1);
            assert_int_equal(part->replica_nodes.count, 1);
            assert_int_equal(part->isr_nodes.count, 1);
            assert_int_equal(part->eligible_leader_replicas.count, 0); /* empty, not null */
            assert_int_equal(part->last_known_elr.count, 0);
            assert_int_equal(part->offline_replicas.count, 0);
        }
        used += topic->error_code == 0 ? (size_t)snprintf(shown + used, sizeof shown - used, "]")
                                       : (size_t)snprintf(shown + used, sizeof shown - used, "!%d]",
                                                          topic->error_code);
        struct uuid none = {0};
        assert_int_equal(uuid_equal(&topic->topic_id, &none), topic->error_code != 0);
    }
    if (response->next_cursor != NULL) {
        snprintf(shown + used, sizeof shown - used, " > %.*s:%d",
                 response->next_cursor->topic_name.size, response->next_cursor->topic_name.data,
                 response->next_cursor->partition_index);
    }
    assert_string_equal(shown, expected);
    arena_free(&arena);
}

#define TOLD(l, expected, ...) told(l, &(struct ask){__VA_ARGS__}, expected)

void test_topic_pages(void **state)
{
    (void)state;
    struct desk *d = desk_new(31, NULL);
    struct line *l = line_new(d);
    create(l, "a", 3);
    create(l, "u", 2);
    TOLD(l, "__consumer_offsets[0] a[0 1 2] t[0] u[0 1]", .limit = 0);
    TOLD(l, "a[0 1] > a:2", .limit = 2, .topic = "a");
    TOLD(l, "a[2] t[0] > u:0", .limit = 2, .topic = "a", .partition = 2);
    TOLD(l, "u[0 1]", .limit = 2, .topic = "u");
    TOLD(l, "a[0 1 2] > t:0", .limit = 3, .topic = "a");
    TOLD(l, "a[0] > a:1", .limit = -5, .topic = "a");
    TOLD(l, "a[] t[0] u[0 1]", .topic = "a", .partition = 9);
    TOLD(l, "t[0] u[0 1]", .topic = "b"); /* a topic that is gone since */

    TOLD(l, "nowhere[!3] t[0] u[0 1]", .names = {"u", "t", "u", "nowhere"});
    TOLD(l, "b*d[!17] t[0]", .names = {"t", "b*d"});
    TOLD(l, "t[0] > u:0", .limit = 1, .names = {"u", "t"});
    TOLD(l, "u[1]", .names = {"u", "t"}, .topic = "u", .partition = 1);
    TOLD(l, "a[0 1 2] > b:0", .limit = 3, .names = {"b", "a"});
    TOLD(l, "u[!42] t[!42]", .names = {"u", "t"}, .topic = "a");
    TOLD(l, "u[!42]", .names = {"u"}, .topic = "u", .partition = -1);
    line_free(l);
    desk_free(d);
}
