/* DescribeLogDirs (KIP-113, KIP-827): what each log directory holds and how full its volume is. */
#include <string.h>

#include "broker/api/handlers.h"
#include "common/base/assert.h"

struct fill {
    struct request *request;
    struct describe_log_dirs_response_result *result;
    const struct log_dir *dir;
    struct api_seen *asked;
};

/* The replicas that the request names. */
static struct api_seen *find_asked(struct request *request)
{
    const struct describe_log_dirs_request *body = request->body;
    struct api_seen *asked = NULL;
    for (int32_t i = 0; i < body->topics.count; i++) {
        const struct image_topic *topic =
            api_topic(request->api->image, body->topics.items[i].topic, NULL);
        for (int32_t j = 0; topic != NULL && j < body->topics.items[i].partitions.count; j++) {
            struct replica *replica = replicas_find(request->api->replicas, &topic->id,
                                                    body->topics.items[i].partitions.items[j]);
            if (replica != NULL) {
                api_seen(request, &asked, replica);
            }
        }
    }
    return asked;
}

static bool wanted(const struct fill *fill, const struct replica *replica)
{
    const struct describe_log_dirs_request *body = fill->request->body;
    return body->topics.count < 0 || api_seen_has(fill->asked, replica);
}

/* Replicas come by topic and partition, so a topic's partitions are neighbours. */
static void add(void *ctx, struct replica *replica)
{
    struct fill *fill = ctx;
    const struct log *log = replica_log(replica);
    if (log == NULL || replica_dir(replica) != fill->dir || !wanted(fill, replica)) {
        return;
    }
    struct describe_log_dirs_response_result *result = fill->result;
    int32_t last = result->topics.count - 1;
    if (last < 0 || !wire_str_is(result->topics.items[last].name, replica_topic(replica))) {
        last = result->topics.count++;
        const struct image_topic *topic =
            image_topic_by_id(fill->request->api->image, replica_topic_id(replica));
        int32_t most = topic != NULL ? topic->partition_count : 1;
        most = most > replica_partition(replica) ? most : replica_partition(replica) + 1;
        result->topics.items[last].name =
            wire_str(arena_strdup(&fill->request->arena, replica_topic(replica)));
        API_ARRAY(fill->request, result->topics.items[last].partitions, most);
        result->topics.items[last].partitions.count = 0;
    }
    int32_t n = result->topics.items[last].partitions.count++;
    result->topics.items[last].partitions.items[n].partition_index = replica_partition(replica);
    result->topics.items[last].partitions.items[n].partition_size = log_bytes(log);
    result->topics.items[last].partitions.items[n].offset_lag = replica_lag(replica);
}

void api_describe_log_dirs(struct request *request)
{
    struct describe_log_dirs_response *response = api_response(request);
    const struct api_context *api = request->api;
    struct api_seen *asked = find_asked(request);
    API_ARRAY(request, response->results, api->dir_count);
    for (int i = 0; i < api->dir_count; i++) {
        struct describe_log_dirs_response_result *result = &response->results.items[i];
        result->log_dir = wire_str(log_dir_path(api->dirs[i]));
        log_dir_space(api->dirs[i], &result->usable_bytes, &result->total_bytes);
        if (log_dir_failed(api->dirs[i])) {
            result->error_code = KAFKA_KAFKA_STORAGE_ERROR;
            continue;
        }
        API_ARRAY(request, result->topics, image_topic_count(api->image) + 1);
        result->topics.count = 0;
        struct fill fill = {request, result, api->dirs[i], asked};
        replicas_each(api->replicas, add, &fill);
    }
    api_seen_free(&asked);
    request_respond(request, response);
}
