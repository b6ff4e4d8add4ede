/* DescribeTopicPartitions (KIP-966): topics by name, a bounded number of partitions a time; where
 * an answer ends the next one begins (the cursor). The only API that tells of ELR. */
#include <stdlib.h>
#include <string.h>

#include "broker/api/handlers.h"
#include "common/base/assert.h"

typedef struct describe_topic_partitions_response_topic told_topic;
typedef struct describe_topic_partitions_response_partition told_partition;

struct pages {
    struct request *request;
    struct describe_topic_partitions_response *response;
    int32_t left;           /* partitions that may still be told of */
    int32_t first;          /* of the topic in the cursor: where to begin */
    struct wire_str cursor; /* null: none */
};

#define COPY_IDS(out, from)                                                                        \
    do {                                                                                           \
        API_ARRAY(request, out, (from).count);                                                     \
        for (int32_t i_ = 0; i_ < (from).count; i_++) {                                            \
            (out).items[i_] = (from).ids[i_];                                                      \
        }                                                                                          \
    } while (0)

static void fill_partition(struct request *request, told_partition *out,
                           const struct image_partition *partition)
{
    wire_struct_defaults(&wire_struct_describe_topic_partitions_response_partition, out);
    out->partition_index = partition->partition;
    out->leader_id = partition->leader;
    out->leader_epoch = partition->leader_epoch;
    if (partition->leader < 0) {
        out->error_code = KAFKA_LEADER_NOT_AVAILABLE;
    } else if (api_endpoint(request, partition->leader) == NULL) {
        out->error_code = KAFKA_LISTENER_NOT_FOUND;
        out->leader_id = -1;
    }
    COPY_IDS(out->replica_nodes, partition->replicas);
    COPY_IDS(out->isr_nodes, partition->isr);
    COPY_IDS(out->eligible_leader_replicas, partition->elr);
    COPY_IDS(out->last_known_elr, partition->last_known_elr);
    API_ARRAY(request, out->offline_replicas, partition->replicas.count);
    out->offline_replicas.count = 0;
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        if (api_endpoint(request, partition->replicas.ids[i]) == NULL) {
            out->offline_replicas.items[out->offline_replicas.count++] = partition->replicas.ids[i];
        }
    }
}

static void end_at(struct pages *pages, struct wire_str topic, int32_t partition)
{
    struct describe_topic_partitions_response *response = pages->response;
    response->next_cursor = arena_alloc(&pages->request->arena, sizeof *response->next_cursor);
    response->next_cursor->topic_name = topic;
    response->next_cursor->partition_index = partition;
}

static told_topic *add_told(struct pages *pages, struct wire_str name)
{
    told_topic *out = &pages->response->topics.items[pages->response->topics.count++];
    wire_struct_defaults(&wire_struct_describe_topic_partitions_response_topic, out);
    out->name = name;
    return out;
}

static void add_unknown(struct pages *pages, struct wire_str name)
{
    told_topic *out = add_told(pages, name);
    char *text = wire_str_dup(&pages->request->arena, name);
    out->is_internal = api_topic_internal(text);
    out->error_code = api_topic_name_valid(name) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                                 : KAFKA_INVALID_TOPIC_EXCEPTION;
}

/* False when there is no room for more. */
static bool add_topic(struct pages *pages, const struct image_topic *topic)
{
    struct wire_str name = wire_str(topic->name);
    bool resumed = pages->cursor.size >= 0 && wire_str_is(pages->cursor, topic->name);
    int32_t first = resumed ? pages->first : 0;
    if (pages->left == 0) {
        end_at(pages, name, 0);
        return false;
    }
    first = first < topic->partition_count ? first : topic->partition_count;
    int32_t more = topic->partition_count - first;
    int32_t count = more < pages->left ? more : pages->left;
    told_topic *out = add_told(pages, name);
    out->topic_id = topic->id;
    out->is_internal = api_topic_internal(topic->name);
    API_ARRAY(pages->request, out->partitions, count);
    for (int32_t i = 0; i < count; i++) {
        fill_partition(pages->request, &out->partitions.items[i], topic->partitions[first + i]);
    }
    pages->left -= count;
    ASSERT(pages->left >= 0);
    if (count < more) {
        end_at(pages, name, first + count);
        return false;
    }
    return true;
}

/* ---- of all topics ---- */

/* There may be many topics behind the last one that fits: room is made for those that can. */
static bool add_each(void *ctx, const struct image_topic *topic)
{
    struct pages *pages = ctx;
    return add_topic(pages, topic);
}

static void describe_all(struct pages *pages)
{
    struct request *request = pages->request;
    const struct image *image = request->api->image;
    size_t topics = image_topic_count(image);
    size_t most = topics < (size_t)pages->left + 1 ? topics : (size_t)pages->left + 1;
    API_ARRAY(request, pages->response->topics, most);
    pages->response->topics.count = 0;
    const char *from = pages->cursor.size > 0 ? wire_str_dup(&request->arena, pages->cursor) : "";
    image_each_topic_from(image, from, add_each, pages);
}

/* ---- of named ones ---- */

static int compare(struct wire_str a, struct wire_str b)
{
    size_t size = (size_t)(a.size < b.size ? a.size : b.size);
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int by_name(const void *a, const void *b)
{
    return compare(*(const struct wire_str *)a, *(const struct wire_str *)b);
}

static void describe_named(struct pages *pages)
{
    struct request *request = pages->request;
    const struct describe_topic_partitions_request *body = request->body;
    int32_t count = body->topics.count;
    struct wire_str *names = arena_array(&request->arena, (size_t)count, sizeof *names);
    for (int32_t i = 0; i < count; i++) {
        names[i] = body->topics.items[i].name;
    }
    qsort(names, (size_t)count, sizeof *names, by_name);
    API_ARRAY(request, pages->response->topics, count);
    pages->response->topics.count = 0;
    bool room = true;
    for (int32_t i = 0; i < count && room; i++) {
        bool told = i > 0 && compare(names[i - 1], names[i]) == 0;
        bool before = pages->cursor.size >= 0 && compare(names[i], pages->cursor) < 0;
        if (told || before) {
            continue;
        }
        const struct image_topic *topic = api_topic(request->api->image, names[i], NULL);
        if (topic != NULL) {
            room = add_topic(pages, topic);
        } else if (pages->left > 0) {
            add_unknown(pages, names[i]);
        } else {
            end_at(pages, names[i], 0);
            room = false;
        }
    }
}

/* ---- the request ---- */

static bool names_cursor(const struct describe_topic_partitions_request *body)
{
    for (int32_t i = 0; i < body->topics.count; i++) {
        if (compare(body->topics.items[i].name, body->cursor->topic_name) == 0) {
            return true;
        }
    }
    return body->topics.count == 0;
}

/* The answer has no error of the whole: every topic that was named carries it. */
static void refuse_all(struct pages *pages, int16_t error)
{
    const struct describe_topic_partitions_request *body = pages->request->body;
    API_ARRAY(pages->request, pages->response->topics, body->topics.count);
    pages->response->topics.count = 0;
    for (int32_t i = 0; i < body->topics.count; i++) {
        add_told(pages, body->topics.items[i].name)->error_code = error;
    }
}

void api_describe_topic_partitions(struct request *request)
{
    const struct describe_topic_partitions_request *body = request->body;
    int64_t most = settings_int(request->api->settings->values, "max.request.partition.size.limit");
    struct pages pages = {.request = request,
                          .response = api_response(request),
                          .left = body->response_partition_limit,
                          .cursor = WIRE_STR_NULL};
    pages.left = pages.left < most ? pages.left : (int32_t)most;
    pages.left = pages.left > 1 ? pages.left : 1;
    if (body->cursor != NULL) {
        pages.cursor = body->cursor->topic_name;
        pages.first = body->cursor->partition_index;
    }
    if (pages.first < 0 || (body->cursor != NULL && !names_cursor(body))) {
        refuse_all(&pages, KAFKA_INVALID_REQUEST); /* the cursor points nowhere */
    } else if (body->topics.count == 0) {
        describe_all(&pages);
    } else {
        describe_named(&pages);
    }
    request_respond(request, pages.response);
}
