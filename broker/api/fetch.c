/* Fetch: long poll, byte limits, ranges that leave without being copied.
 *
 * Happy path: a pass over the set's due partitions turns offsets into ranges of whole batches, of
 * what whoever asks may see (fetch_consumer.c, fetch_follower.c); with min_bytes reached (or
 * something to tell at once) the answer leaves. Otherwise the request parks behind its timer:
 * whatever moves becomes due and causes another pass, on a turn of its own. Failure modes: an error
 * of one partition is that partition's and ends the wait; a cold range is looked up by a worker and
 * the pass goes on when it is found; a dropped connection withdraws timer and lookups, and what was
 * due for it stays due. */
#include "broker/api/fetch.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

struct fetch {
    struct request *request;
    struct fetch_set *set;
    bool incremental;    /* the answer speaks of what changed; else of every partition */
    struct list touched; /* fetch_part.touched */
    /* the pass */
    struct list todo;   /* fetch_part.due, not looked at yet */
    struct list served; /* ... with a range */
    struct fetch_part *current;
    int64_t bytes;
    bool urgent; /* something is to be told at once: do not wait */
    bool passing;
    bool moved; /* something became due during the pass */
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

static void drop_range(struct fetch_part *part)
{
    env_file_unref(part->range.file);
    part->range.file = NULL;
}

struct request *fetch_part_request(const struct fetch_part *part)
{
    ASSERT(part->set->fetch != NULL);
    return part->set->fetch->request;
}

int32_t fetch_replica_id(const struct request *request)
{
    const struct fetch_request *body = request->body;
    return request->header.api_version >= 15 ? body->replica_state.replica_id : body->replica_id;
}

/* ---- ending -----------------------------------------------------------------------------------
 */

/* Leaves the set as the next request should find it: who was not served comes first. */
static void detach(struct fetch *fetch)
{
    struct fetch_set *set = fetch->set;
    struct env *env = fetch->request->api->env;
    ASSERT(set->fetch == fetch);
    if (fetch->current != NULL && list_empty(&fetch->current->due)) {
        list_push(&fetch->todo, &fetch->current->due);
    }
    list_splice(&fetch->todo, &set->due);
    list_splice(&set->due, &fetch->todo);
    list_splice(&set->due, &fetch->served);
    struct list *node;
    while ((node = list_pop(&fetch->touched)) != NULL) {
        drop_range(CONTAINER_OF(node, struct fetch_part, touched));
    }
    set->fetch = NULL;
    env_timer_cancel(env, &fetch->timer);
    env_post_cancel(env, &fetch->again);
    if (fetch->reading && !log_read_cancel(&fetch->reader->read)) {
        fetch->reader->fetch = NULL; /* on_read frees it */
    } else {
        mem_free(fetch->reader);
    }
}

static void release(struct fetch_set *set)
{
    if (set->session == NULL) {
        fetch_set_free(set);
        mem_free(set);
    }
}

static void on_cancel(struct request *request)
{
    struct fetch *fetch = request->state;
    struct fetch_set *set = fetch->set;
    detach(fetch);
    release(set);
}

static void refuse(struct request *request, int16_t error)
{
    struct fetch_response *response = api_response(request);
    response->error_code = error;
    request_respond(request, response);
}

void fetch_abort(struct fetch *fetch, int16_t error)
{
    struct request *request = fetch->request;
    ASSERT(fetch->set->session != NULL);
    detach(fetch);
    refuse(request, error);
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static int32_t choose(struct fetch *fetch, struct fetch_part **chosen)
{
    int32_t count = 0;
    if (!fetch->incremental) {
        struct fetch_part *part = NULL;
        struct fetch_part *next = NULL;
        HASH_ITER(hh, fetch->set->parts, part, next)
        {
            chosen[count++] = part;
        }
        return count;
    }
    LIST_FOREACH(node, &fetch->touched) {
        struct fetch_part *part = CONTAINER_OF(node, struct fetch_part, touched);
        if (fetch_part_changed(part)) {
            chosen[count++] = part;
        }
    }
    return count;
}

/* KIP-951. The strings are the image's: used before this turn ends. */
static void tell_leaders(struct request *request, struct fetch_response *response,
                         struct fetch_part **parts, int32_t part_count)
{
    struct api_leader *leaders = arena_array(&request->arena, (size_t)part_count, sizeof *leaders);
    struct api_leader_endpoint *nodes = NULL;
    for (int32_t i = 0; i < part_count; i++) {
        struct fetch_part *part = parts[i];
        leaders[i] = api_leader_instead(request, &part->topic_id, part->asked.partition,
                                        part->out.error_code);
        part->out.current_leader.leader_id = leaders[i].id;
        part->out.current_leader.leader_epoch = leaders[i].epoch;
    }
    int32_t count = api_leader_endpoints(request, leaders, part_count, &nodes);
    API_ARRAY(request, response->node_endpoints, count);
    for (int32_t i = 0; i < count; i++) {
        response->node_endpoints.items[i] = (struct fetch_response_node_endpoint){
            nodes[i].id, nodes[i].host, nodes[i].port, nodes[i].rack};
    }
}

/* Moves the range into the answer's memory: the part may outlive the request. */
static struct fetch_response_partition put_part(struct request *request, struct fetch_part *part)
{
    fetch_part_told(part);
    if (part->range.file != NULL && part->follower.throttled) {
        replicas_note_sent(request->api->replicas, part->range.size);
    }
    if (part->range.file != NULL) {
        struct api_range *range = arena_alloc(&request->arena, sizeof *range);
        *range = part->range;
        part->range.file = NULL;
        part->out.records.size = (int32_t)range->size;
        part->out.records.splice = range;
    }
    return part->out;
}

static void put_parts(struct request *request, struct fetch_response *response,
                      struct fetch_part **parts, int32_t count)
{
    int32_t topics = 0;
    for (int32_t i = 0; i < count; i++) {
        topics += i == 0 || !fetch_part_same_topic(parts[i], parts[i - 1]);
    }
    API_ARRAY(request, response->responses, topics);
    int32_t topic = 0;
    for (int32_t i = 0; i < count; topic++) {
        struct fetch_response_response *out = &response->responses.items[topic];
        int32_t end = i + 1;
        while (end < count && fetch_part_same_topic(parts[end], parts[i])) {
            end++;
        }
        out->topic = fetch_part_topic_name(parts[i]);
        out->topic_id = fetch_part_topic_id(parts[i]);
        API_ARRAY(request, out->partitions, end - i);
        for (int32_t k = 0; i < end; i++, k++) {
            out->partitions.items[k] = put_part(request, parts[i]);
        }
    }
    ASSERT(topic == topics);
}

static void respond(struct fetch *fetch)
{
    struct request *request = fetch->request;
    struct fetch_set *set = fetch->set;
    struct fetch_response *response = api_response(request);
    ASSERT(!fetch->reading && list_empty(&fetch->todo));
    struct fetch_part **parts =
        arena_array(&request->arena, (size_t)fetch_set_count(set), sizeof(struct fetch_part *));
    int32_t count = choose(fetch, parts);
    if (fetch->urgent && request->header.api_version >= 16) {
        tell_leaders(request, response, parts, count);
    }
    put_parts(request, response, parts, count);
    response->session_id = set->session != NULL ? fetch_session_id(set->session) : 0;
    detach(fetch);
    request_respond(request, response);
    release(set);
}

/* ---- a look -----------------------------------------------------------------------------------
 */

void fetch_tell_now(struct fetch_part *part)
{
    part->set->fetch->urgent = true;
}

void fetch_error(struct fetch_part *part, int16_t error)
{
    part->out.error_code = error;
    part->out.high_watermark = -1;
    part->out.last_stable_offset = -1;
    part->out.log_start_offset = -1;
    part->restless = true;
    fetch_tell_now(part);
}

static void reset_out(struct fetch_part *part)
{
    struct fetch_response_partition *out = &part->out;
    *out = (struct fetch_response_partition){.partition_index = part->asked.partition};
    out->aborted_transactions.count = fetch_part_request(part)->header.api_version >= 4 ? 0 : -1;
    out->preferred_read_replica = -1;
    out->diverging_epoch.epoch = -1;
    out->diverging_epoch.end_offset = -1;
    out->current_leader.leader_id = -1;
    out->current_leader.leader_epoch = -1;
    out->snapshot_id.end_offset = -1;
    out->snapshot_id.epoch = -1;
}

static const struct image_topic *topic_of(const struct fetch_part *part)
{
    const struct image *image = fetch_part_request(part)->api->image;
    if (part->set->by_id) {
        struct uuid id = fetch_part_topic_id(part);
        return image_topic_by_id(image, &id);
    }
    return api_topic(image, fetch_part_topic_name(part), NULL);
}

/* Checks the partition and fills what the answer says of it. Its log when there may be records to
 * read, else NULL. */
static struct log *look_at(struct fetch *fetch, struct fetch_part *part)
{
    struct request *request = fetch->request;
    int16_t error = KAFKA_NONE;
    if (list_empty(&part->touched)) {
        list_push(&fetch->touched, &part->touched);
        part->follower = (struct replica_fetch){0};
    }
    fetch_sessions_count_look(request->api->fetch_sessions);
    part->restless = false;
    part->fired = false;
    reset_out(part);
    /* The image may have moved since the last look: the topic is looked up again. */
    const struct image_topic *topic = topic_of(part);
    part->topic_id = topic != NULL ? topic->id : uuid_zero();
    struct replica *replica =
        api_replica(request, topic, part->set->by_id, part->asked.partition, &error);
    replica_watch_cancel(&part->watch);
    if (replica == NULL) {
        fetch_error(part, error);
        return NULL;
    }
    /* From now on: a read of a later partition may take long, and things move meanwhile. */
    replica_watch(replica, &part->watch);
    bool more = fetch_replica_id(request) >= 0 ? fetch_look_follower(part, replica)
                                               : fetch_look_consumer(part, replica);
    return more ? replica_log(replica) : NULL;
}

/* ---- a pass -----------------------------------------------------------------------------------
 */

static void take_read(struct fetch *fetch)
{
    struct fetch_part *part = fetch->current;
    struct log_read *read = &fetch->reader->read;
    if (read->error == ERR_NONE) {
        part->range = (struct api_range){read->file, read->at, read->size};
        if (read->size == 0) {
            drop_range(part);
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

/* The look is over: where the part waits for the next one. */
static void place(struct fetch *fetch, bool more)
{
    struct fetch_part *part = fetch->current;
    fetch->current = NULL;
    list_remove(&part->due);
    if (part->range.file != NULL) {
        list_push(&fetch->served, &part->due);
    } else if (more || part->restless || part->fired) {
        list_push(&part->set->due, &part->due);
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
    place(fetch, true);
    go_on(fetch);
}

/* Starts reading a partition. True when the answer is there already. */
static bool start_read(struct fetch *fetch, struct fetch_part *part, struct log *log, int64_t left)
{
    struct log_read *read = &fetch->reader->read;
    *read = (struct log_read){0};
    read->offset = part->asked.fetch_offset;
    read->limit_offset = part->limit_offset;
    int64_t wanted =
        part->asked.partition_max_bytes < left ? part->asked.partition_max_bytes : left;
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
    LIST_FOREACH(node, &fetch->served) {
        drop_range(CONTAINER_OF(node, struct fetch_part, due));
    }
    list_splice(&fetch->set->due, &fetch->served);
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
    struct list *node;
    while ((node = list_pop(&fetch->todo)) != NULL) {
        fetch->current = CONTAINER_OF(node, struct fetch_part, due);
        int64_t left = byte_limit(fetch) - fetch->bytes;
        struct log *log = look_at(fetch, fetch->current);
        if (log != NULL && (left > 0 || fetch->bytes == 0)) {
            if (!start_read(fetch, fetch->current, log, left)) {
                return; /* on_read comes back here */
            }
            take_read(fetch);
        }
        place(fetch, log != NULL);
    }
    end_pass(fetch);
}

static void run_pass(struct fetch *fetch)
{
    ASSERT(!fetch->passing && !fetch->reading);
    ASSERT(list_empty(&fetch->todo) && list_empty(&fetch->served));
    list_splice(&fetch->todo, &fetch->set->due);
    fetch->passing = true;
    fetch->moved = false;
    fetch->bytes = 0;
    fetch->urgent = false;
    go_on(fetch);
}

void fetch_wake(struct fetch *fetch)
{
    fetch->moved = true;
    env_post(fetch->request->api->env, &fetch->again);
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

/* ---- the request ------------------------------------------------------------------------------
 */

static struct fetch_set *set_of_its_own(const struct request *request)
{
    struct fetch_set *set = mem_zalloc(sizeof *set);
    fetch_set_init(set, request->header.api_version >= 13);
    fetch_set_name(set, request->body);
    return set;
}

void api_fetch(struct request *request)
{
    if (request->listener == API_CONTROLLER) {
        api_quorum_call(request); /* of the metadata log, which is all there is on this listener */
        return;
    }
    const struct fetch_request *body = request->body;
    struct fetch_set *set = NULL;
    int16_t error = fetch_session_enter(request, &set);
    if (error != KAFKA_NONE) {
        refuse(request, error);
        return;
    }
    struct fetch *fetch = arena_alloc(&request->arena, sizeof *fetch);
    *fetch = (struct fetch){.request = request};
    fetch->incremental = set != NULL && body->session_epoch > 0;
    fetch->set = set != NULL ? set : set_of_its_own(request);
    fetch->set->fetch = fetch;
    fetch->reader = mem_zalloc(sizeof *fetch->reader);
    fetch->reader->fetch = fetch;
    fetch->timer.fire = on_timer;
    list_init(&fetch->touched);
    list_init(&fetch->todo);
    list_init(&fetch->served);
    env_post_init(&fetch->again, on_again);
    request->state = fetch;
    request->cancel = on_cancel;
    if (body->max_wait_ms > 0) {
        env_timer_set(request->api->env, &fetch->timer, request->arrived_ms + body->max_wait_ms);
    } else {
        fetch->out_of_time = true;
    }
    run_pass(fetch);
}
