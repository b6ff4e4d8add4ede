/* Fetch: long poll, byte limits, ranges that leave without being copied.
 *
 * Happy path: a pass over the asked partitions turns offsets into ranges of whole batches, of what
 * whoever asks may see (fetch_consumer.c, fetch_follower.c); with min_bytes reached (or something
 * to tell at once) the answer leaves. Otherwise the request parks: a watch on every partition and
 * one timer; whatever moves causes another pass, on a turn of its own. Failure modes: an error of
 * one partition is that partition's and ends the wait; a cold range is looked up by a worker and
 * the pass goes on when it is found; a dropped connection withdraws watches, timer and lookups.
 *
 * Sessions (KIP-227) are answered as sessionless: session id 0, everything in every answer, which
 * every client takes as "no session here". */
#include "broker/api/fetch.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

struct fetch {
    struct request *request;
    struct fetch_response *response;
    struct fetch_part *parts;
    int32_t part_count;
    /* the pass */
    int32_t next;
    int64_t bytes;
    bool urgent; /* something is to be told at once: do not wait */
    bool passing;
    bool moved; /* a watch fired during the pass */
    struct fetch_reader *reader;
    bool reading;
    /* waiting */
    struct env_timer timer;
    struct env_post again;
    bool out_of_time;
};

/* Of its own, since a lookup under way may outlive a request whose client has gone. */
struct fetch_reader {
    struct log_read read;
    struct fetch *fetch; /* NULL when it has */
};

static void run_pass(struct fetch *fetch);

static void drop_ranges(struct fetch *fetch)
{
    for (int32_t i = 0; i < fetch->part_count; i++) {
        env_file_unref(fetch->parts[i].range.file);
        fetch->parts[i].range.file = NULL;
    }
}

static void unwatch(struct fetch *fetch)
{
    for (int32_t i = 0; i < fetch->part_count; i++) {
        replica_watch_cancel(&fetch->parts[i].watch);
    }
    env_timer_cancel(fetch->request->api->env, &fetch->timer);
    env_post_cancel(fetch->request->api->env, &fetch->again);
}

/* KIP-951. The strings are the image's: used before this turn ends. */
static void tell_leaders(struct fetch *fetch)
{
    struct request *request = fetch->request;
    struct api_leader *leaders =
        arena_array(&request->arena, (size_t)fetch->part_count, sizeof *leaders);
    struct api_leader_endpoint *nodes = NULL;
    for (int32_t i = 0; i < fetch->part_count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        leaders[i] = api_leader_instead(request, &part->topic_id, part->asked->partition,
                                        part->out->error_code);
        part->out->current_leader.leader_id = leaders[i].id;
        part->out->current_leader.leader_epoch = leaders[i].epoch;
    }
    int32_t count = api_leader_endpoints(request, leaders, fetch->part_count, &nodes);
    API_ARRAY(request, fetch->response->node_endpoints, count);
    for (int32_t i = 0; i < count; i++) {
        fetch->response->node_endpoints.items[i] = (struct fetch_response_node_endpoint){
            nodes[i].id, nodes[i].host, nodes[i].port, nodes[i].rack};
    }
}

static void respond(struct fetch *fetch)
{
    ASSERT(!fetch->reading);
    unwatch(fetch);
    mem_free(fetch->reader);
    if (fetch->urgent && fetch->request->header.api_version >= 16) {
        tell_leaders(fetch);
    }
    for (int32_t i = 0; i < fetch->part_count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        if (part->range.file != NULL) {
            part->out->records.size = (int32_t)part->range.size;
            part->out->records.splice = &part->range;
        }
    }
    request_respond(fetch->request, fetch->response);
}

static void on_watch(struct replica_watch *watch)
{
    struct fetch_part *part = CONTAINER_OF(watch, struct fetch_part, watch);
    part->fetch->moved = true;
    env_post(part->fetch->request->api->env, &part->fetch->again);
}

static void on_again(struct env_post *post)
{
    struct fetch *fetch = CONTAINER_OF(post, struct fetch, again);
    if (!fetch->passing) {
        run_pass(fetch);
    }
}

static void on_timer(struct env_timer *timer)
{
    struct fetch *fetch = CONTAINER_OF(timer, struct fetch, timer);
    fetch->out_of_time = true;
    if (!fetch->passing) {
        run_pass(fetch);
    }
}

static void on_cancel(struct request *request)
{
    struct fetch *fetch = request->state;
    unwatch(fetch);
    if (fetch->reading && !log_read_cancel(&fetch->reader->read)) {
        fetch->reader->fetch = NULL; /* on_read frees it */
    } else {
        mem_free(fetch->reader);
    }
    drop_ranges(fetch);
}

void fetch_tell_now(struct fetch_part *part)
{
    part->fetch->urgent = true;
}

void fetch_error(struct fetch_part *part, int16_t error)
{
    part->out->error_code = error;
    part->out->high_watermark = -1;
    part->out->last_stable_offset = -1;
    part->out->log_start_offset = -1;
    fetch_tell_now(part);
}

static void reset_out(struct fetch_part *part)
{
    struct fetch_response_partition *out = part->out;
    out->error_code = KAFKA_NONE;
    out->aborted_transactions.count = part->request->header.api_version >= 4 ? 0 : -1;
    out->preferred_read_replica = -1;
    out->diverging_epoch.epoch = -1;
    out->diverging_epoch.end_offset = -1;
    out->current_leader.leader_id = -1;
    out->current_leader.leader_epoch = -1;
    out->snapshot_id.end_offset = -1;
    out->snapshot_id.epoch = -1;
    out->records = (struct wire_records){NULL, 0, NULL};
}

/* Checks the partition and fills what the answer says of it. Its log when there may be records to
 * read, else NULL. */
static struct log *look_at(struct fetch_part *part)
{
    struct request *request = part->request;
    bool by_id = request->header.api_version >= 13;
    int16_t error = KAFKA_NONE;
    reset_out(part);
    /* The image may have moved since the last pass: the topic is looked up again. */
    const struct image_topic *topic = image_topic_by_id(request->api->image, &part->topic_id);
    struct replica *replica = api_replica(request, topic, by_id, part->asked->partition, &error);
    if (replica == NULL) {
        fetch_error(part, error);
        return NULL;
    }
    /* From now on: a read of a later partition may take long, and things move meanwhile. */
    replica_watch_cancel(&part->watch);
    replica_watch(replica, &part->watch);
    bool more = fetch_replica_id(request) >= 0 ? fetch_look_follower(part, replica)
                                               : fetch_look_consumer(part, replica);
    return more ? replica_log(replica) : NULL;
}

static void take_read(struct fetch *fetch)
{
    struct fetch_part *part = &fetch->parts[fetch->next];
    struct log_read *read = &fetch->reader->read;
    if (read->error == ERR_NONE) {
        part->range = (struct api_range){read->file, read->at, read->size};
        if (read->size == 0) {
            env_file_unref(read->file);
            part->range.file = NULL;
        }
        fetch->bytes += read->size;
        return;
    }
    if (read->error == ERR_OUT_OF_RANGE) {
        fetch_error(part, KAFKA_OFFSET_OUT_OF_RANGE);
    } else if (read->error == ERR_CANCELLED) { /* deleted or truncated meanwhile: ask again */
        fetch_error(part, KAFKA_NOT_LEADER_OR_FOLLOWER);
    } else {
        trace_warn(env_trace(fetch->request->api->env), "read for a fetch: %s (%s)",
                   read->text.text, err_name(read->error));
        fetch_error(part, KAFKA_KAFKA_STORAGE_ERROR);
    }
}

static void go_on(struct fetch *fetch);

static void on_read(struct log_read *read)
{
    struct fetch_reader *reader = read->ctx;
    struct fetch *fetch = reader->fetch;
    if (fetch == NULL) {
        env_file_unref(read->file);
        mem_free(reader);
        return;
    }
    fetch->reading = false;
    take_read(fetch);
    fetch->next++;
    go_on(fetch);
}

/* Starts reading a partition. True when the answer is there already. */
static bool start_read(struct fetch *fetch, struct fetch_part *part, struct log *log, int64_t left)
{
    struct log_read *read = &fetch->reader->read;
    *read = (struct log_read){0};
    read->offset = part->asked->fetch_offset;
    read->limit_offset = part->limit_offset;
    int64_t wanted =
        part->asked->partition_max_bytes < left ? part->asked->partition_max_bytes : left;
    read->max_bytes = wanted > 0 ? (uint32_t)wanted : 0;
    read->whole_first = fetch->bytes == 0; /* KIP-74: progress is always possible */
    read->done = on_read;
    read->ctx = fetch->reader;
    if (log_read(log, read)) {
        return true;
    }
    fetch->reading = true;
    return false;
}

static void wait_for_more(struct fetch *fetch)
{
    fetch->passing = false;
    drop_ranges(fetch);
    if (fetch->moved) {
        env_post(fetch->request->api->env, &fetch->again);
    }
}

static void end_pass(struct fetch *fetch)
{
    const struct fetch_request *body = fetch->request->body;
    if (fetch->urgent || fetch->out_of_time || fetch->bytes >= body->min_bytes) {
        respond(fetch);
    } else {
        wait_for_more(fetch);
    }
}

static int64_t byte_limit(const struct fetch *fetch)
{
    const struct fetch_request *body = fetch->request->body;
    int64_t limit = fetch->request->api->fetch_max_bytes;
    return body->max_bytes < limit ? body->max_bytes : limit;
}

static void go_on(struct fetch *fetch)
{
    while (fetch->next < fetch->part_count) {
        struct fetch_part *part = &fetch->parts[fetch->next];
        int64_t left = byte_limit(fetch) - fetch->bytes;
        struct log *log = look_at(part);
        if (log != NULL && (left > 0 || fetch->bytes == 0)) {
            if (!start_read(fetch, part, log, left)) {
                return; /* on_read comes back here */
            }
            take_read(fetch);
        }
        fetch->next++;
    }
    end_pass(fetch);
}

static void run_pass(struct fetch *fetch)
{
    ASSERT(!fetch->passing && !fetch->reading);
    for (int32_t i = 0; i < fetch->part_count; i++) {
        replica_watch_cancel(&fetch->parts[i].watch);
    }
    fetch->passing = true;
    fetch->moved = false;
    fetch->next = 0;
    fetch->bytes = 0;
    fetch->urgent = false;
    go_on(fetch);
}

static void lay_out(struct fetch *fetch)
{
    struct request *request = fetch->request;
    const struct fetch_request *body = request->body;
    bool by_id = request->header.api_version >= 13;
    int32_t total = 0;
    for (int32_t i = 0; i < body->topics.count; i++) {
        total += body->topics.items[i].partitions.count;
    }
    fetch->parts = arena_array(&request->arena, (size_t)total, sizeof *fetch->parts);
    fetch->part_count = total;
    API_ARRAY(request, fetch->response->responses, body->topics.count);
    struct fetch_part *part = fetch->parts;
    for (int32_t i = 0; i < body->topics.count; i++) {
        __typeof__(&body->topics.items[0]) asked = &body->topics.items[i];
        __typeof__(&fetch->response->responses.items[0]) out = &fetch->response->responses.items[i];
        const struct image_topic *topic =
            by_id ? image_topic_by_id(request->api->image, &asked->topic_id)
                  : api_topic(request->api->image, asked->topic, NULL);
        out->topic = asked->topic;
        out->topic_id = asked->topic_id;
        API_ARRAY(request, out->partitions, asked->partitions.count);
        for (int32_t j = 0; j < asked->partitions.count; j++, part++) {
            part->fetch = fetch;
            part->request = request;
            part->asked = &asked->partitions.items[j];
            part->out = &out->partitions.items[j];
            part->out->partition_index = part->asked->partition;
            part->topic_id = topic != NULL ? topic->id : uuid_zero();
            part->watch.fire = on_watch;
            list_init(&part->watch.node);
        }
    }
}

int32_t fetch_replica_id(const struct request *request)
{
    const struct fetch_request *body = request->body;
    return request->header.api_version >= 15 ? body->replica_state.replica_id : body->replica_id;
}

static void refuse(struct request *request, struct fetch_response *response, int16_t error)
{
    response->error_code = error;
    request_respond(request, response);
}

void api_fetch(struct request *request)
{
    if (request->listener == API_CONTROLLER) {
        api_quorum_call(request); /* of the metadata log, which is all there is on this listener */
        return;
    }
    const struct fetch_request *body = request->body;
    struct fetch_response *response = api_response(request);
    if (request->header.api_version >= 7 && body->session_epoch > 0) {
        refuse(request, response, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
        return;
    }
    struct fetch *fetch = arena_alloc(&request->arena, sizeof *fetch);
    fetch->request = request;
    fetch->response = response;
    fetch->reader = mem_zalloc(sizeof *fetch->reader);
    fetch->reader->fetch = fetch;
    fetch->timer.fire = on_timer;
    env_post_init(&fetch->again, on_again);
    lay_out(fetch);
    request->state = fetch;
    request->cancel = on_cancel;
    if (body->max_wait_ms > 0) {
        env_timer_set(request->api->env, &fetch->timer, request->arrived_ms + body->max_wait_ms);
    } else {
        fetch->out_of_time = true;
    }
    run_pass(fetch);
}
