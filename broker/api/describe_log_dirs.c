/* DescribeLogDirs (KIP-113, KIP-827): what each log directory holds and how full its volume is. */
#include <string.h>

#include "broker/api/handlers.h"
#include "common/base/assert.h"

struct fill {
    struct request *request;
    struct describe_log_dirs_response_result *result;
    const struct log_dir *dir;
};

static bool wanted(const struct request *request, const struct replica *replica)
{
    const struct describe_log_dirs_request *body = request->body;
    if (body->topics.count < 0) {
        return true;
    }
    for (int32_t i = 0; i < body->topics.count; i++) {
        if (!wire_str_is(body->topics.items[i].topic, replica_topic(replica))) {
            continue;
        }
        for (int32_t j = 0; j < body->topics.items[i].partitions.count; j++) {
            if (body->topics.items[i].partitions.items[j] == replica_partition(replica)) {
                return true;
            }
        }
    }
    return false;
}

/* Replicas come by topic and partition, so a topic's partitions are neighbours. */
static void add(void *ctx, struct replica *replica)
{
    struct fill *fill = ctx;
    const struct log *log = replica_log(replica);
    if (log == NULL || replica_dir(replica) != fill->dir || !wanted(fill->request, replica)) {
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
    result->topics.items[last].partitions.items[n].offset_lag = 0;
}

void api_describe_log_dirs(struct request *request)
{
    struct describe_log_dirs_response *response = api_response(request);
    const struct api_context *api = request->api;
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
        struct fill fill = {request, result, api->dirs[i]};
        replicas_each(api->replicas, add, &fill);
    }
    request_respond(request, response);
}
