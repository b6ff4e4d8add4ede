/* DeleteRecords (KIP-107).
 *
 * Happy path: every partition's start moves here, the leader; the request parks, watching those
 * partitions whose other replicas have not moved theirs, and answers with the low watermarks. An
 * error of one partition is that partition's. One that is not done in time is answered
 * REQUEST_TIMED_OUT, though it goes on; one that is led elsewhere meanwhile with
 * NOT_LEADER_OR_FOLLOWER. */
#include "broker/api/handlers.h"
#include "common/base/assert.h"

enum { NO_LOW_WATERMARK = -1 };

struct delete_records;

struct delete_part {
    struct replica_watch watch;
    struct delete_records *whole;
    struct delete_records_response_partition *out;
    struct uuid topic_id;
    int64_t offset;
    bool waiting;
};

struct delete_records {
    struct request *request;
    struct delete_records_response *response;
    struct delete_part *parts;
    int32_t part_count;
    int32_t waiting;
    struct env_timer timeout;
};

static void fail(struct delete_part *part, int16_t error)
{
    ASSERT(error != KAFKA_NONE);
    part->out->error_code = error;
    part->out->low_watermark = NO_LOW_WATERMARK;
}

static void finish(struct delete_records *whole)
{
    env_timer_cancel(whole->request->api->env, &whole->timeout);
    request_respond(whole->request, whole->response);
}

/* True when the partition has its answer. */
static bool look(struct delete_part *part, struct replica *replica)
{
    int16_t error = replica_check(replica, -1, true);
    if (error != KAFKA_NONE) {
        fail(part, error);
        return true;
    }
    int64_t low = replica_low_watermark(replica);
    if (low < part->offset) {
        return false;
    }
    part->out->low_watermark = low;
    return true;
}

static void wait_on(struct delete_part *part, struct replica *replica);

static void on_moved(struct replica_watch *watch)
{
    struct delete_part *part = CONTAINER_OF(watch, struct delete_part, watch);
    struct delete_records *whole = part->whole;
    ASSERT(part->waiting && whole->waiting > 0);
    part->waiting = false;
    whole->waiting--;
    struct replica *replica =
        replicas_find(whole->request->api->replicas, &part->topic_id, part->out->partition_index);
    if (replica == NULL) {
        fail(part, KAFKA_NOT_LEADER_OR_FOLLOWER);
    } else if (!look(part, replica)) {
        wait_on(part, replica);
    }
    if (whole->waiting == 0) {
        finish(whole);
    }
}

static void wait_on(struct delete_part *part, struct replica *replica)
{
    part->watch.fire = on_moved;
    part->waiting = true;
    part->whole->waiting++;
    replica_watch(replica, &part->watch);
}

static void withdraw(struct delete_records *whole)
{
    for (int32_t i = 0; i < whole->part_count; i++) {
        struct delete_part *part = &whole->parts[i];
        if (part->waiting) {
            replica_watch_cancel(&part->watch);
            part->waiting = false;
            fail(part, KAFKA_REQUEST_TIMED_OUT);
        }
    }
    whole->waiting = 0;
}

static void on_timeout(struct env_timer *timer)
{
    struct delete_records *whole = CONTAINER_OF(timer, struct delete_records, timeout);
    withdraw(whole);
    finish(whole);
}

static void on_cancel(struct request *request)
{
    struct delete_records *whole = request->state;
    env_timer_cancel(request->api->env, &whole->timeout);
    withdraw(whole);
}

static void delete_one(struct delete_part *part, const struct image_topic *topic, int64_t offset)
{
    struct request *request = part->whole->request;
    int16_t error = KAFKA_NONE;
    struct replica *replica =
        api_replica(request, topic, false, part->out->partition_index, &error);
    if (topic != NULL && api_topic_internal(topic->name)) {
        error = KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    if (error == KAFKA_NONE) {
        part->offset = offset;
        part->topic_id = topic->id;
        error = replica_delete_records(replica, &part->offset);
    }
    if (error != KAFKA_NONE) {
        fail(part, error);
    } else if (!look(part, replica)) {
        wait_on(part, replica);
    }
}

/* Lays out the answer and deletes, partition by partition. */
static void delete_all(struct delete_records *whole)
{
    struct request *request = whole->request;
    const struct delete_records_request *body = request->body;
    for (int32_t i = 0; i < body->topics.count; i++) {
        whole->part_count += body->topics.items[i].partitions.count;
    }
    whole->parts = arena_array(&request->arena, (size_t)whole->part_count, sizeof *whole->parts);
    API_ARRAY(request, whole->response->topics, body->topics.count);
    struct delete_part *part = whole->parts;
    for (int32_t i = 0; i < body->topics.count; i++) {
        __typeof__(&body->topics.items[0]) asked = &body->topics.items[i];
        __typeof__(&whole->response->topics.items[0]) out = &whole->response->topics.items[i];
        const struct image_topic *topic = api_topic(request->api->image, asked->name, NULL);
        out->name = asked->name;
        API_ARRAY(request, out->partitions, asked->partitions.count);
        for (int32_t j = 0; j < asked->partitions.count; j++, part++) {
            part->whole = whole;
            part->out = &out->partitions.items[j];
            part->out->partition_index = asked->partitions.items[j].partition_index;
            delete_one(part, topic, asked->partitions.items[j].offset);
        }
    }
}

void api_delete_records(struct request *request)
{
    const struct delete_records_request *body = request->body;
    struct delete_records *whole = arena_alloc(&request->arena, sizeof *whole);
    whole->request = request;
    whole->response = api_response(request);
    delete_all(whole);
    if (whole->waiting == 0) {
        request_respond(request, whole->response);
        return;
    }
    request->state = whole;
    request->cancel = on_cancel;
    whole->timeout.fire = on_timeout;
    int64_t timeout_ms = body->timeout_ms > 0 ? body->timeout_ms : 0;
    env_timer_set(request->api->env, &whole->timeout, request->arrived_ms + timeout_ms);
}
