/* What a broker serves its peers: Fetch, parked as broker/api parks it, and ListOffsets; and what
 * the controller serves: AlterPartition. */
#include "common/base/arena.h"
#include "tests/unit/replica/cluster.h"

struct parked;

struct parked_part {
    struct parked *parked;
    const struct fetch_request_partition *asked;
    struct uuid topic_id;
    struct fetch_response_partition *out;
    struct replica_fetch fetch;
    struct replica_watch watch;
    struct buf *bytes;
};

struct parked {
    struct list node;
    struct served *served;
    struct env *env;
    int16_t version;
    int32_t correlation;
    struct buf *frame;
    struct arena arena;
    struct fetch_request request;
    struct fetch_response response;
    struct parked_part *parts;
    int32_t count;
    int32_t next;
    bool passing;
    bool reading;
    bool out_of_time;
    bool answer; /* something to tell */
    struct log_read read;
    struct env_timer timer;
    struct env_post again;
};

static void parked_free(struct parked *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        replica_watch_cancel(&p->parts[i].watch);
        buf_unref(p->parts[i].bytes);
    }
    env_timer_cancel(p->env, &p->timer);
    env_post_cancel(p->env, &p->again);
    list_remove(&p->node);
    buf_unref(p->frame);
    arena_free(&p->arena);
    mem_free(p);
}

void cluster_parked_drop(struct list *parked)
{
    while (!list_empty(parked)) {
        struct parked *p = CONTAINER_OF(parked->next, struct parked, node);
        if (p->reading) {
            assert_true(log_read_cancel(&p->read));
        }
        parked_free(p);
    }
}

static void respond(struct parked *p)
{
    struct cluster *c = cluster_served_node(p->served)->cluster;
    for (int32_t i = 0; i < p->count; i++) {
        struct parked_part *part = &p->parts[i];
        c->counts.diverging += part->out->diverging_epoch.epoch >= 0;
        c->counts.out_of_range += part->out->error_code == KAFKA_OFFSET_OUT_OF_RANGE;
        part->out->records.data = part->bytes != NULL ? part->bytes->data : NULL;
        part->out->records.size = part->bytes != NULL ? (int32_t)part->bytes->size : 0;
    }
    cluster_answer(p->served, p->correlation, WIRE_FETCH, p->version, &p->response);
    parked_free(p);
}

static void go_on(struct parked *p);

static void take_read(struct parked *p)
{
    struct parked_part *part = &p->parts[p->next];
    if (p->read.error == ERR_NONE && p->read.bytes != NULL) {
        part->bytes = p->read.bytes;
        p->answer = true;
    } else if (p->read.error != ERR_NONE) {
        part->out->error_code = p->read.error == ERR_OUT_OF_RANGE ? KAFKA_OFFSET_OUT_OF_RANGE
                                                                  : KAFKA_KAFKA_STORAGE_ERROR;
        p->answer = true;
    }
    env_file_unref(p->read.file);
    p->read.file = NULL;
    p->read.bytes = NULL;
}

static void on_read(struct log_read *read)
{
    struct parked *p = CONTAINER_OF(read, struct parked, read);
    p->reading = false;
    take_read(p);
    p->next++;
    go_on(p);
}

/* True when there is something to read. */
static bool judge(struct parked *p, struct parked_part *part, struct replica *replica)
{
    struct fetch_response_partition *out = part->out;
    struct replica_fetch *fetch = &part->fetch;
    wire_struct_defaults(&wire_struct_fetch_response_partition, out);
    out->partition_index = part->asked->partition;
    buf_unref(part->bytes);
    part->bytes = NULL;
    if (replica == NULL) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_ID;
        p->answer = true;
        return false;
    }
    fetch->replica_id = p->request.replica_state.replica_id;
    fetch->broker_epoch = p->request.replica_state.replica_epoch;
    fetch->current_leader_epoch = part->asked->current_leader_epoch;
    fetch->fetch_offset = part->asked->fetch_offset;
    fetch->last_fetched_epoch = part->asked->last_fetched_epoch;
    fetch->log_start_offset = part->asked->log_start_offset;
    fetch->known_high_watermark = part->asked->high_watermark;
    fetch->known_log_start = INT64_MAX;
    bool more = replica_follower_fetch(replica, fetch);
    out->error_code = fetch->error;
    out->high_watermark = fetch->high_watermark;
    out->last_stable_offset = fetch->high_watermark;
    out->log_start_offset = fetch->log_start_offset_here;
    out->diverging_epoch.epoch = fetch->diverging_epoch;
    out->diverging_epoch.end_offset = fetch->diverging_end_offset;
    p->answer =
        p->answer || fetch->error != KAFKA_NONE || fetch->diverging_epoch >= 0 || fetch->news;
    return more;
}

static void end_pass(struct parked *p)
{
    struct node *node = cluster_served_node(p->served);
    p->passing = false;
    if (p->answer || p->out_of_time) {
        respond(p);
        return;
    }
    for (int32_t i = 0; i < p->count; i++) {
        struct parked_part *part = &p->parts[i];
        struct replica *replica =
            replicas_find(node->replicas, &part->topic_id, part->asked->partition);
        if (replica != NULL) {
            replica_watch(replica, &part->watch);
        }
    }
}

static void go_on(struct parked *p)
{
    struct node *node = cluster_served_node(p->served);
    for (; p->next < p->count; p->next++) {
        struct parked_part *part = &p->parts[p->next];
        struct replica *replica =
            replicas_find(node->replicas, &part->topic_id, part->asked->partition);
        if (!judge(p, part, replica)) {
            continue;
        }
        p->read = (struct log_read){.offset = part->fetch.fetch_offset,
                                    .limit_offset = part->fetch.limit_offset,
                                    .max_bytes = (uint32_t)part->asked->partition_max_bytes,
                                    .whole_first = true,
                                    .want_bytes = true,
                                    .done = on_read};
        if (!log_read(replica_log(replica), &p->read)) {
            p->reading = true;
            return;
        }
        take_read(p);
    }
    end_pass(p);
}

static void run_pass(struct parked *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        replica_watch_cancel(&p->parts[i].watch);
    }
    p->passing = true;
    p->answer = false;
    p->next = 0;
    go_on(p);
}

static void on_watch(struct replica_watch *watch)
{
    struct parked *p = CONTAINER_OF(watch, struct parked_part, watch)->parked;
    env_post(p->env, &p->again);
}

static void on_again(struct env_post *post)
{
    struct parked *p = CONTAINER_OF(post, struct parked, again);
    if (!p->passing) {
        run_pass(p);
    }
}

static void on_time(struct env_timer *timer)
{
    struct parked *p = CONTAINER_OF(timer, struct parked, timer);
    p->out_of_time = true;
    if (!p->passing) {
        run_pass(p);
    }
}

static void lay_out(struct parked *p)
{
    for (int32_t i = 0; i < p->request.topics.count; i++) {
        p->count += p->request.topics.items[i].partitions.count;
    }
    p->parts = arena_array(&p->arena, (size_t)p->count, sizeof *p->parts);
    p->response.responses.count = p->request.topics.count;
    p->response.responses.items = arena_array(&p->arena, (size_t)p->request.topics.count,
                                              sizeof *p->response.responses.items);
    struct parked_part *part = p->parts;
    for (int32_t i = 0; i < p->request.topics.count; i++) {
        const struct fetch_request_topic *topic = &p->request.topics.items[i];
        struct fetch_response_response *out = &p->response.responses.items[i];
        out->topic_id = topic->topic_id;
        out->partitions.count = topic->partitions.count;
        out->partitions.items =
            arena_array(&p->arena, (size_t)topic->partitions.count, sizeof *out->partitions.items);
        for (int32_t k = 0; k < topic->partitions.count; k++, part++) {
            part->parked = p;
            part->asked = &topic->partitions.items[k];
            part->topic_id = topic->topic_id;
            part->out = &out->partitions.items[k];
            part->watch.fire = on_watch;
            list_init(&part->watch.node);
        }
    }
}

static void serve_fetch(struct served *served, int16_t version, int32_t correlation,
                        struct buf *frame, size_t at, struct list *parked)
{
    struct parked *p = mem_zalloc(sizeof *p);
    struct wire_in in = wire_in_of(frame->data + at, frame->size - at);
    p->served = served;
    p->env = cluster_served_node(served)->env;
    p->version = version;
    p->correlation = correlation;
    p->frame = frame;
    p->timer.fire = on_time;
    env_post_init(&p->again, on_again);
    list_push(parked, &p->node);
    assert_int_equal(wire_decode(&wire_fetch_request, version, &in, &p->request, &p->arena),
                     ERR_NONE);
    wire_defaults(&wire_fetch_response, &p->response);
    lay_out(p);
    if (p->request.max_wait_ms > 0) {
        env_timer_set(p->env, &p->timer, env_now_ms(p->env) + p->request.max_wait_ms);
    } else {
        p->out_of_time = true;
    }
    run_pass(p);
}

static void serve_list_offsets(struct served *served, int16_t version, int32_t correlation,
                               const struct wire_in *body)
{
    struct node *node = cluster_served_node(served);
    struct wire_in in = *body;
    struct arena arena = {0};
    struct list_offsets_request request;
    struct list_offsets_response response;
    struct list_offsets_response_topic topic;
    struct list_offsets_response_partition part;
    assert_int_equal(wire_decode(&wire_list_offsets_request, version, &in, &request, &arena),
                     ERR_NONE);
    const struct list_offsets_request_partition *asked =
        &request.topics.items[0].partitions.items[0];
    wire_defaults(&wire_list_offsets_response, &response);
    wire_struct_defaults(&wire_struct_list_offsets_response_topic, &topic);
    wire_struct_defaults(&wire_struct_list_offsets_response_partition, &part);
    part.partition_index = asked->partition_index;
    part.error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    for (int i = 0; i < node->cluster->part_count; i++) {
        const struct part *known = &node->cluster->parts[i];
        struct replica *replica = replicas_find(node->replicas, &known->topic_id, known->partition);
        if (wire_str_is(request.topics.items[0].name, known->topic) &&
            known->partition == asked->partition_index && replica != NULL) {
            part.error_code = replica_check(replica, asked->current_leader_epoch, true);
            if (part.error_code == KAFKA_NONE) {
                const struct log *log = replica_log(replica);
                part.offset = asked->timestamp == -1 ? log_end(log) : log_start(log);
            }
        }
    }
    topic.name = request.topics.items[0].name;
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    response.topics.items = &topic;
    response.topics.count = 1;
    cluster_answer(served, correlation, WIRE_LIST_OFFSETS, version, &response);
    arena_free(&arena);
}

static void serve_alter(struct served *served, int16_t version, int32_t correlation,
                        const struct wire_in *body)
{
    struct cluster *c = cluster_served_node(served)->cluster;
    struct wire_in in = *body;
    struct arena arena = {0};
    struct alter_partition_request request;
    struct alter_partition_response response;
    assert_int_equal(wire_decode(&wire_alter_partition_request, version, &in, &request, &arena),
                     ERR_NONE);
    wire_defaults(&wire_alter_partition_response, &response);
    if (!c->hold_alters) {
        control_alter(c, &request, &response, &arena);
        cluster_answer(served, correlation, WIRE_ALTER_PARTITION, version, &response);
    }
    arena_free(&arena);
}

void cluster_request(struct served *served, int16_t api_key, int16_t version, int32_t correlation,
                     struct buf *frame, size_t at, struct list *parked)
{
    struct wire_in body = wire_in_of(frame->data + at, frame->size - at);
    if (api_key == WIRE_FETCH) {
        serve_fetch(served, version, correlation, frame, at, parked);
        return; /* keeps the frame */
    }
    if (api_key == WIRE_LIST_OFFSETS) {
        serve_list_offsets(served, version, correlation, &body);
    } else {
        assert_int_equal(api_key, WIRE_ALTER_PARTITION);
        serve_alter(served, version, correlation, &body);
    }
    buf_unref(frame);
}
