/* ListOffsets: the ends of a partition, and the offset for a time (KIP-79, KIP-734).
 *
 * Replica id -1 is a consumer: answered by the leader, the end being the high watermark (KIP-207:
 * not known right after an election). -2 is the debugging consumer: any replica answers with its
 * own log end, which is how an operator's tool learns follower lag. */
#include "broker/api/handlers.h"
#include "common/base/mem.h"

enum {
    TIME_LATEST = -1,
    TIME_EARLIEST = -2,
    TIME_MAX = -3,
    TIME_EARLIEST_LOCAL = -4,
    TIME_LATEST_TIERED = -5,
    TIME_EARLIEST_PENDING_UPLOAD = -6,
    REPLICA_CONSUMER = -1,
    REPLICA_DEBUG = -2
};

struct list_offsets;

struct lookup_part {
    struct log_lookup lookup;
    struct list_offsets *whole;
    struct list_offsets_response_partition *out;
};

/* Lookups under way may outlive the request (its client gone): the struct is freed with the last of
 * them, or by api_forget after a crash. */
struct list_offsets {
    struct list orphan;      /* in api_context.orphans once cancelled */
    struct request *request; /* NULL when cancelled */
    struct list_offsets_response *response;
    struct lookup_part *parts; /* one for each partition asked for */
    int32_t part_count;        /* of them in use */
    int32_t waiting;
};

static void whole_free(struct list_offsets *whole)
{
    list_remove(&whole->orphan);
    mem_free(whole->parts);
    mem_free(whole);
}

void api_forget(struct api_context *api)
{
    while (api->orphans.next != NULL && !list_empty(&api->orphans)) {
        whole_free(CONTAINER_OF(api->orphans.next, struct list_offsets, orphan));
    }
}

/* Each special time belongs to the versions since it was thought of (Kafka: ReplicaManager). */
static bool time_known(int64_t timestamp, int16_t version)
{
    switch (timestamp) {
    case TIME_MAX:
        return version >= 7;
    case TIME_EARLIEST_LOCAL:
        return version >= 8;
    case TIME_LATEST_TIERED:
        return version >= 9;
    case TIME_EARLIEST_PENDING_UPLOAD:
        return version >= 11;
    default:
        return timestamp >= TIME_EARLIEST;
    }
}

/* Versions below 4 cannot carry an epoch. */
static void set_epoch(const struct request *request, struct list_offsets_response_partition *out,
                      int32_t leader_epoch)
{
    out->leader_epoch = request->header.api_version >= 4 ? leader_epoch : -1;
}

static void on_found(struct log_lookup *lookup)
{
    struct lookup_part *part = lookup->ctx;
    struct list_offsets *whole = part->whole;
    if (whole->request != NULL) {
        if (lookup->error == ERR_NONE) {
            part->out->offset = lookup->offset;
            part->out->timestamp = lookup->offset >= 0 ? lookup->found_timestamp_ms : -1;
            set_epoch(whole->request, part->out, lookup->leader_epoch);
        } else {
            part->out->error_code = lookup->error == ERR_CANCELLED ? KAFKA_NOT_LEADER_OR_FOLLOWER
                                                                   : KAFKA_KAFKA_STORAGE_ERROR;
        }
    }
    if (--whole->waiting > 0) {
        return;
    }
    struct request *request = whole->request;
    const struct list_offsets_response *response = whole->response;
    whole_free(whole);
    if (request != NULL) {
        request_respond(request, response);
    }
}

static void on_cancel(struct request *request)
{
    struct list_offsets *whole = request->state;
    whole->request = NULL;
    list_push(&request->api->orphans, &whole->orphan);
}

static void start_lookup(struct list_offsets *whole, struct list_offsets_response_partition *out,
                         struct log *log, int64_t timestamp_ms, int64_t limit_offset)
{
    struct lookup_part *part = &whole->parts[whole->part_count++];
    part->whole = whole;
    part->out = out;
    part->lookup.timestamp_ms = timestamp_ms;
    part->lookup.limit_offset = limit_offset;
    part->lookup.done = on_found;
    part->lookup.ctx = part;
    whole->waiting++;
    log_lookup(log, &part->lookup);
}

static void answer_latest(struct request *request, struct list_offsets_response_partition *out,
                          const struct replica *replica, bool consumer)
{
    if (consumer && !replica_high_watermark_known(replica)) {
        out->error_code = request->header.api_version >= 5 ? KAFKA_OFFSET_NOT_AVAILABLE
                                                           : KAFKA_LEADER_NOT_AVAILABLE;
        return;
    }
    out->offset = consumer ? replica_high_watermark(replica) : log_end(replica_log(replica));
    set_epoch(request, out, replica_leader_epoch(replica));
}

static void answer_one(struct list_offsets *whole, const struct image_topic *topic,
                       const struct list_offsets_request_partition *asked,
                       struct list_offsets_response_partition *out)
{
    struct request *request = whole->request;
    const struct list_offsets_request *body = request->body;
    bool consumer = body->replica_id == REPLICA_CONSUMER;
    out->partition_index = asked->partition_index;
    out->timestamp = -1;
    out->offset = -1;
    out->leader_epoch = -1;
    if (!time_known(asked->timestamp, request->header.api_version)) {
        out->error_code = KAFKA_UNSUPPORTED_VERSION;
        return;
    }
    struct replica *replica =
        api_replica(request, topic, false, asked->partition_index, &out->error_code);
    if (replica == NULL) {
        return;
    }
    out->error_code =
        replica_check(replica, asked->current_leader_epoch, body->replica_id != REPLICA_DEBUG);
    if (out->error_code != KAFKA_NONE) {
        return;
    }
    struct log *log = replica_log(replica);
    switch (asked->timestamp) {
    case TIME_LATEST:
        answer_latest(request, out, replica, consumer);
        return;
    case TIME_EARLIEST:
    case TIME_EARLIEST_LOCAL:
        out->offset = log_start(log);
        set_epoch(request, out, log_epoch_at(log, log_start(log)));
        return;
    case TIME_LATEST_TIERED:
    case TIME_EARLIEST_PENDING_UPLOAD:
        return; /* nothing is tiered here: -1, as Kafka answers */
    default:
        break;
    }
    start_lookup(whole, out, log, asked->timestamp,
                 consumer ? replica_high_watermark(replica) : log_end(log));
}

void api_list_offsets(struct request *request)
{
    const struct list_offsets_request *body = request->body;
    struct list_offsets *whole = mem_zalloc(sizeof *whole);
    list_init(&whole->orphan);
    size_t total = 0;
    for (int32_t i = 0; i < body->topics.count; i++) {
        total += (size_t)body->topics.items[i].partitions.count;
    }
    whole->parts = mem_array(total, sizeof *whole->parts);
    whole->request = request;
    whole->response = api_response(request);
    whole->waiting = 1; /* our own hold while the loop runs */
    request->state = whole;
    request->cancel = on_cancel;
    API_ARRAY(request, whole->response->topics, body->topics.count);
    for (int32_t i = 0; i < body->topics.count; i++) {
        __typeof__(&body->topics.items[0]) asked = &body->topics.items[i];
        __typeof__(&whole->response->topics.items[0]) out = &whole->response->topics.items[i];
        const struct image_topic *topic = api_topic(request->api->image, asked->name, NULL);
        out->name = asked->name;
        API_ARRAY(request, out->partitions, asked->partitions.count);
        for (int32_t j = 0; j < asked->partitions.count; j++) {
            answer_one(whole, topic, &asked->partitions.items[j], &out->partitions.items[j]);
        }
    }
    if (--whole->waiting == 0) {
        const struct list_offsets_response *response = whole->response;
        whole_free(whole);
        request_respond(request, response);
    }
}
