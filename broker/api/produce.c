/* Produce.
 *
 * Happy path: each partition's batch is appended straight from the frame it came in; the request
 * parks until every partition's wait fires (acks=1: our own end, acks=all: the high watermark),
 * then one answer leaves. Failure modes: an error of one partition is that partition's; the timeout
 * answers what is still open with REQUEST_TIMED_OUT (the records stay in the log); acks=0 has no
 * answer, an error there closes the connection as Kafka does, so that the producer refreshes its
 * metadata. */
#include <stdio.h>

#include "broker/api/handlers.h"
#include "common/base/assert.h"
#include "common/wire/batch.h"

struct produce;

struct produce_part {
    struct replica_append append;
    struct produce *produce;
    struct produce_response_partition_response *out;
    struct uuid topic_id;
    bool waiting;
};

struct produce {
    struct request *request;
    struct produce_response *response;
    struct produce_part *parts;
    int32_t part_count;
    int32_t waiting;
    struct env_timer timeout;
};

/* KIP-951. The strings are the image's: used before this turn ends. */
static void tell_leaders(struct produce *produce)
{
    struct request *request = produce->request;
    struct api_leader *leaders =
        arena_array(&request->arena, (size_t)produce->part_count, sizeof *leaders);
    struct api_leader_endpoint *nodes = NULL;
    for (int32_t i = 0; i < produce->part_count; i++) {
        struct produce_part *part = &produce->parts[i];
        leaders[i] =
            api_leader_instead(request, &part->topic_id, part->out->index, part->out->error_code);
        part->out->current_leader.leader_id = leaders[i].id;
        part->out->current_leader.leader_epoch = leaders[i].epoch;
    }
    int32_t count = api_leader_endpoints(request, leaders, produce->part_count, &nodes);
    API_ARRAY(request, produce->response->node_endpoints, count);
    for (int32_t i = 0; i < count; i++) {
        produce->response->node_endpoints.items[i] = (struct produce_response_node_endpoint){
            nodes[i].id, nodes[i].host, nodes[i].port, nodes[i].rack};
    }
}

static void finish(struct produce *produce)
{
    struct request *request = produce->request;
    const struct produce_request *body = request->body;
    env_timer_cancel(request->api->env, &produce->timeout);
    if (body->acks != 0) {
        if (request->header.api_version >= 10) {
            tell_leaders(produce);
        }
        request_respond(request, produce->response);
        return;
    }
    for (int32_t i = 0; i < produce->part_count; i++) {
        if (produce->parts[i].out->error_code != KAFKA_NONE) {
            char why[120];
            snprintf(why, sizeof why, "produce with acks=0 failed: %s",
                     kafka_error_name(produce->parts[i].out->error_code));
            request_close_connection(request, why);
            return;
        }
    }
    request_finish(request);
}

static void record_answer(struct produce_part *part)
{
    struct produce_response_partition_response *out = part->out;
    out->error_code = part->append.error;
    out->error_message = wire_str(part->append.message);
    out->base_offset = part->append.error == KAFKA_NONE ? part->append.base_offset : -1;
    out->log_append_time_ms = part->append.log_append_time_ms;
    out->log_start_offset = part->append.log_start_offset;
}

static void on_appended(struct replica_append *append)
{
    struct produce_part *part = append->ctx;
    struct produce *produce = part->produce;
    ASSERT(part->waiting);
    part->waiting = false;
    record_answer(part);
    if (--produce->waiting == 0) {
        finish(produce);
    }
}

static void withdraw(struct produce *produce, int16_t error)
{
    for (int32_t i = 0; i < produce->part_count; i++) {
        struct produce_part *part = &produce->parts[i];
        if (part->waiting) {
            replica_append_cancel(&part->append);
            part->waiting = false;
            part->append.error = error;
            part->append.log_append_time_ms = -1;
            part->append.log_start_offset = -1;
            record_answer(part);
        }
    }
    produce->waiting = 0;
}

static void on_timeout(struct env_timer *timer)
{
    struct produce *produce = CONTAINER_OF(timer, struct produce, timeout);
    withdraw(produce, KAFKA_REQUEST_TIMED_OUT);
    finish(produce);
}

static void on_cancel(struct request *request)
{
    struct produce *produce = request->state;
    env_timer_cancel(request->api->env, &produce->timeout);
    withdraw(produce, KAFKA_NETWORK_EXCEPTION);
}

/* What is demanded of a client's batch before a partition sees it (ProduceRequest.validateRecords,
 * LogValidator): one batch of magic 2, no control records, no transaction. */
static int16_t check_batch(const struct request *request, const struct wire_records *records,
                           const char **message)
{
    struct batch batch;
    enum err error = records->size > 0
                         ? batch_parse(records->data, (size_t)records->size, &batch, NULL)
                         : ERR_TRUNCATED;
    if (error == ERR_UNSUPPORTED) {
        *message = "records must be in a batch of magic 2";
        return KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT;
    }
    if (error != ERR_NONE || batch.size != (uint32_t)records->size) {
        *message = "a partition of a produce request holds exactly one record batch";
        return KAFKA_INVALID_RECORD;
    }
    if (batch.attributes & BATCH_TRANSACTIONAL) {
        *message = "transactions are not served by this broker";
        return KAFKA_INVALID_TXN_STATE;
    }
    if (batch_codec(&batch) == BATCH_ZSTD && request->header.api_version < 7) {
        *message = "zstd needs Produce version 7";
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    return batch_check_produced(&batch, message);
}

static void append_one(struct produce_part *part, const struct image_topic *topic, bool by_id,
                       const struct produce_request_partition *asked)
{
    struct request *request = part->produce->request;
    const struct produce_request *body = request->body;
    part->append.done = on_appended;
    part->append.ctx = part;
    part->append.log_start_offset = -1;
    part->append.log_append_time_ms = -1;
    part->append.base_offset = -1;
    struct replica *replica = api_replica(request, topic, by_id, asked->index, &part->append.error);
    if (replica == NULL) {
        record_answer(part);
        return;
    }
    part->append.error = check_batch(request, &asked->records, &part->append.message);
    if (part->append.error != KAFKA_NONE) {
        record_answer(part);
        return;
    }
    size_t at = (size_t)(asked->records.data - request->frame->data);
    ASSERT(at + (size_t)asked->records.size <= request->frame->size);
    if (replica_append(replica, request->frame, at, (size_t)asked->records.size, body->acks,
                       &part->append)) {
        record_answer(part);
    } else {
        part->waiting = true;
        part->produce->waiting++;
    }
}

/* Lays out the answer and appends, partition by partition. */
static void append_all(struct produce *produce)
{
    struct request *request = produce->request;
    const struct produce_request *body = request->body;
    struct produce_response *response = produce->response;
    bool by_id = request->header.api_version >= 13;
    int32_t total = 0;
    for (int32_t i = 0; i < body->topic_data.count; i++) {
        total += body->topic_data.items[i].partition_data.count;
    }
    produce->parts = arena_array(&request->arena, (size_t)total, sizeof *produce->parts);
    produce->part_count = total;
    API_ARRAY(request, response->responses, body->topic_data.count);
    struct produce_part *part = produce->parts;
    for (int32_t i = 0; i < body->topic_data.count; i++) {
        __typeof__(&body->topic_data.items[0]) asked = &body->topic_data.items[i];
        __typeof__(&response->responses.items[0]) out = &response->responses.items[i];
        const struct image_topic *topic =
            by_id ? image_topic_by_id(request->api->image, &asked->topic_id)
                  : api_topic(request->api->image, asked->name, NULL);
        out->name = asked->name;
        out->topic_id = asked->topic_id;
        API_ARRAY(request, out->partition_responses, asked->partition_data.count);
        for (int32_t j = 0; j < asked->partition_data.count; j++, part++) {
            part->produce = produce;
            part->out = &out->partition_responses.items[j];
            part->out->index = asked->partition_data.items[j].index;
            part->out->current_leader.leader_id = -1;
            part->out->current_leader.leader_epoch = -1;
            part->topic_id = topic != NULL ? topic->id : uuid_zero();
            if (topic == NULL && !by_id && !api_topic_name_valid(asked->name)) {
                part->append.error = KAFKA_INVALID_TOPIC_EXCEPTION;
                record_answer(part);
                part->out->log_append_time_ms = -1;
                part->out->log_start_offset = -1;
                continue;
            }
            append_one(part, topic, by_id, &asked->partition_data.items[j]);
        }
    }
}

static void refuse_all(struct produce *produce, int16_t error)
{
    struct request *request = produce->request;
    const struct produce_request *body = request->body;
    API_ARRAY(request, produce->response->responses, body->topic_data.count);
    for (int32_t i = 0; i < body->topic_data.count; i++) {
        __typeof__(&body->topic_data.items[0]) asked = &body->topic_data.items[i];
        __typeof__(&produce->response->responses.items[0]) out =
            &produce->response->responses.items[i];
        out->name = asked->name;
        out->topic_id = asked->topic_id;
        API_ARRAY(request, out->partition_responses, asked->partition_data.count);
        for (int32_t j = 0; j < asked->partition_data.count; j++) {
            out->partition_responses.items[j].index = asked->partition_data.items[j].index;
            out->partition_responses.items[j].error_code = error;
            out->partition_responses.items[j].base_offset = -1;
            out->partition_responses.items[j].log_append_time_ms = -1;
            out->partition_responses.items[j].log_start_offset = -1;
            out->partition_responses.items[j].error_message = WIRE_STR_NULL;
            out->partition_responses.items[j].current_leader.leader_id = -1;
            out->partition_responses.items[j].current_leader.leader_epoch = -1;
        }
    }
    request_respond(request, produce->response);
}

void api_produce(struct request *request)
{
    const struct produce_request *body = request->body;
    struct produce *produce = arena_alloc(&request->arena, sizeof *produce);
    produce->request = request;
    produce->response = api_response(request);
    if (body->acks < -1 || body->acks > 1) {
        refuse_all(produce, KAFKA_INVALID_REQUIRED_ACKS);
        return;
    }
    append_all(produce);
    if (produce->waiting == 0) {
        finish(produce);
        return;
    }
    request->state = produce;
    request->cancel = on_cancel;
    produce->timeout.fire = on_timeout;
    int64_t timeout_ms = body->timeout_ms > 0 ? body->timeout_ms : 0;
    env_timer_set(request->api->env, &produce->timeout, request->arrived_ms + timeout_ms);
}
