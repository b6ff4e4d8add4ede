/* Brokers, topics, partitions, offsets, sizes, configs, quorum. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"
#include "console/learn.h"

bool learn_is_denial(int16_t error_code)
{
    return error_code == KAFKA_TOPIC_AUTHORIZATION_FAILED ||
           error_code == KAFKA_GROUP_AUTHORIZATION_FAILED ||
           error_code == KAFKA_CLUSTER_AUTHORIZATION_FAILED ||
           error_code == KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
}

void learn_part(struct model *draft, enum model_part_id part, const char *what, int16_t error_code,
                int64_t now_ms)
{
    struct model_part *p = &draft->parts[part];
    ASSERT(!draft->frozen && part < MODEL_PART_COUNT);
    if (error_code == KAFKA_NONE) {
        p->state = MODEL_READ;
        p->read_ms = now_ms;
        p->error = NULL;
        draft->taken_ms = now_ms > draft->taken_ms ? now_ms : draft->taken_ms;
        return;
    }
    p->state = learn_is_denial(error_code) ? MODEL_REFUSED : MODEL_FAILED;
    p->error = arena_printf(&draft->arena, "%s: %s", what, kafka_error_name(error_code));
}

void learn_part_failed(struct model *draft, enum model_part_id part, const char *what,
                       const char *why)
{
    ASSERT(!draft->frozen && part < MODEL_PART_COUNT);
    draft->parts[part].state = MODEL_FAILED;
    draft->parts[part].error = arena_printf(&draft->arena, "%s: %s", what, why);
}

/* ---- ListPartitionReassignments ----------------------------------------------------------------
 */

static bool holds(const int32_t *ids, int32_t count, int32_t id)
{
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void nothing_moves(struct model *draft)
{
    for (int i = 0; i < draft->topic_count; i++) {
        for (int j = 0; j < draft->topics[i].partition_count; j++) {
            struct model_partition *p = &draft->topics[i].partitions[j];
            for (int k = 0; k < p->replica_count; k++) {
                p->replicas[k].adding = p->replicas[k].removing = false;
            }
        }
    }
}

void learn_moves(struct model *draft, const struct list_partition_reassignments_response *r,
                 int64_t now_ms)
{
    learn_part(draft, MODEL_MOVES, "ListPartitionReassignments", r->error_code, now_ms);
    if (r->error_code != KAFKA_NONE) {
        return;
    }
    nothing_moves(draft);
    for (int32_t i = 0; i < r->topics.count; i++) {
        char *topic = wire_str_dup(&draft->arena, r->topics.items[i].name);
        for (int32_t j = 0; topic != NULL && j < r->topics.items[i].partitions.count; j++) {
            const struct list_partition_reassignments_response_partition *from =
                &r->topics.items[i].partitions.items[j];
            struct model_partition *p = model_find_partition(draft, topic, from->partition_index);
            for (int k = 0; p != NULL && k < p->replica_count; k++) {
                struct model_replica *replica = &p->replicas[k];
                replica->adding = holds(from->adding_replicas.items, from->adding_replicas.count,
                                        replica->broker);
                replica->removing = holds(from->removing_replicas.items,
                                          from->removing_replicas.count, replica->broker);
            }
        }
    }
}

/* ---- Metadata ---------------------------------------------------------------------------------
 */

static void keep_samples(struct model_partition *p, const struct model_partition *old)
{
    if (old == NULL) {
        return;
    }
    p->log_start_offset = old->log_start_offset;
    p->high_watermark = old->high_watermark;
    p->sampled_ms = old->sampled_ms;
    for (int i = 0; i < p->replica_count; i++) {
        const struct model_replica *was = model_find_replica(old, p->replicas[i].broker);
        if (was != NULL) {
            p->replicas[i].end_offset = was->end_offset;
            p->replicas[i].sampled_ms = was->sampled_ms;
            p->replicas[i].size_bytes = was->size_bytes;
            p->replicas[i].adding = was->adding;
            p->replicas[i].removing = was->removing;
        }
    }
}

static void read_partition(struct model *draft, struct model_partition *p,
                           const struct metadata_response_partition *from)
{
    p->partition = from->partition_index;
    p->leader = from->leader_id < 0 ? MODEL_NO_BROKER : from->leader_id;
    p->leader_epoch = from->leader_epoch < 0 ? MODEL_UNKNOWN : from->leader_epoch;
    int32_t count = from->replica_nodes.count > 0 ? from->replica_nodes.count : 0;
    struct model_replica *r = model_set_replicas(draft, p, count);
    for (int32_t i = 0; i < count; i++) {
        r[i].broker = from->replica_nodes.items[i];
        r[i].in_sync = holds(from->isr_nodes.items, from->isr_nodes.count, r[i].broker);
        r[i].offline =
            holds(from->offline_replicas.items, from->offline_replicas.count, r[i].broker);
    }
}

static void read_topic(struct model *draft, struct model_topic *t, const struct model *old,
                       const struct metadata_response_topic *from)
{
    t->name = wire_str_dup(&draft->arena, from->name);
    t->id = from->topic_id;
    const struct model_topic *was = model_find_topic(old, t->name);
    t->min_insync = was == NULL ? MODEL_UNKNOWN : was->min_insync;
    if (from->error_code != KAFKA_NONE) {
        t->denied = learn_is_denial(from->error_code);
        t->error = kafka_error_name(from->error_code);
    }
    int32_t count = from->partitions.count > 0 ? from->partitions.count : 0;
    struct model_partition *p = model_set_partitions(draft, t, count);
    for (int32_t i = 0; i < count; i++) {
        read_partition(draft, &p[i], &from->partitions.items[i]);
        if (was != NULL && uuid_equal(&was->id, &t->id)) {
            keep_samples(&p[i], model_find_partition(old, t->name, p[i].partition));
        }
    }
}

/* Adds the brokers that are named in replica lists only. Ids are few; a sorted array does. */
static int by_id(const void *a, const void *b)
{
    const int32_t *x = a;
    const int32_t *y = b;
    return (*x > *y) - (*x < *y);
}

struct ids {
    int32_t *items;
    size_t count;
    size_t capacity;
};

static void add_id(struct ids *ids, int32_t id)
{
    if (bsearch(&id, ids->items, ids->count, sizeof id, by_id) == NULL) {
        *MEM_PUSH(ids->items, ids->count, ids->capacity) = id;
        qsort(ids->items, ids->count, sizeof id, by_id);
    }
}

static void read_brokers(struct model *draft, const struct model *old,
                         const struct metadata_response *r)
{
    struct ids ids = {0};
    *MEM_PUSH(ids.items, ids.count, ids.capacity) = -1; /* a replica may be "no broker" */
    for (int32_t i = 0; i < r->brokers.count; i++) {
        add_id(&ids, r->brokers.items[i].node_id);
    }
    for (int i = 0; i < draft->topic_count; i++) {
        for (int j = 0; j < draft->topics[i].partition_count; j++) {
            const struct model_partition *p = &draft->topics[i].partitions[j];
            for (int k = 0; k < p->replica_count; k++) {
                add_id(&ids, p->replicas[k].broker);
            }
        }
    }
    for (int i = 0; i < old->broker_count; i++) {
        if (old->brokers[i].fenced) {
            add_id(&ids, old->brokers[i].id);
        }
    }
    struct model_broker *b = model_set_brokers(draft, (int)ids.count - 1);
    int count = 0;
    for (size_t i = 0; i < ids.count; i++) {
        if (ids.items[i] < 0) {
            continue;
        }
        const struct model_broker *was = model_find_broker(old, ids.items[i]);
        if (was != NULL) {
            b[count] = *was;
        }
        b[count].id = ids.items[i];
        b[count++].alive = false;
    }
    draft->broker_count = count;
    mem_free(ids.items);
}

void learn_metadata(struct model *draft, const struct metadata_response *r, int64_t now_ms)
{
    const struct model old = *draft;
    struct model_topic *t = model_set_topics(draft, r->topics.count > 0 ? r->topics.count : 0);
    int count = 0;
    for (int32_t i = 0; i < r->topics.count; i++) {
        if (r->topics.items[i].name.size > 0) {
            read_topic(draft, &t[count++], &old, &r->topics.items[i]);
        }
    }
    draft->topic_count = count;
    read_brokers(draft, &old, r);
    for (int32_t i = 0; i < r->brokers.count; i++) {
        const struct metadata_response_broker *from = &r->brokers.items[i];
        struct model_broker *b = model_find_broker(draft, from->node_id);
        if (b != NULL) {
            b->host = wire_str_dup(&draft->arena, from->host);
            b->port = from->port;
            b->rack = wire_str_dup(&draft->arena, from->rack);
            b->alive = true;
            b->fenced = false;
        }
    }
    if (r->cluster_id.size >= 0) {
        draft->cluster_id = wire_str_dup(&draft->arena, r->cluster_id);
    }
    model_sort(draft);
    learn_part(draft, MODEL_CLUSTER, "Metadata", r->error_code, now_ms);
}

void learn_cluster(struct model *draft, const struct describe_cluster_response *r)
{
    if (r->error_code != KAFKA_NONE) {
        return; /* Metadata has told the rest */
    }
    for (int i = 0; i < draft->broker_count; i++) {
        draft->brokers[i].fenced = false;
    }
    for (int32_t i = 0; i < r->brokers.count; i++) {
        const struct describe_cluster_response_broker *from = &r->brokers.items[i];
        struct model_broker *b = model_find_broker(draft, from->broker_id);
        if (b != NULL && from->is_fenced) {
            b->fenced = true;
            b->alive = false;
            b->host = wire_str_dup(&draft->arena, from->host);
            b->port = from->port;
            b->rack = wire_str_dup(&draft->arena, from->rack);
        }
    }
}

/* ---- ListOffsets ------------------------------------------------------------------------------
 */

static int64_t offset_or_mark(int16_t error_code, int64_t offset)
{
    if (error_code == KAFKA_NONE && offset >= 0) {
        return offset;
    }
    return learn_is_denial(error_code) ? MODEL_DENIED : MODEL_UNKNOWN;
}

static void read_offset(struct model_partition *p, enum learn_offset kind, int32_t broker,
                        int64_t value, int64_t now_ms)
{
    struct model_replica *replica = model_find_replica(p, broker);
    if (value == MODEL_UNKNOWN) {
        return; /* what was told before stays, with its time */
    }
    switch (kind) {
    case LEARN_REPLICA_END:
        if (replica != NULL) {
            replica->end_offset = value;
            replica->sampled_ms = now_ms;
        }
        break;
    case LEARN_HIGH_WATERMARK:
        p->high_watermark = value;
        p->sampled_ms = now_ms;
        break;
    case LEARN_LOG_START:
        p->log_start_offset = value;
        break;
    }
}

void learn_offsets(struct model *draft, enum learn_offset kind, int32_t broker,
                   const struct list_offsets_response *r, int64_t now_ms)
{
    for (int32_t i = 0; i < r->topics.count; i++) {
        const struct list_offsets_response_topic *t = &r->topics.items[i];
        struct arena scratch = {0};
        const char *name = wire_str_dup(&scratch, t->name);
        for (int32_t j = 0; name != NULL && j < t->partitions.count; j++) {
            const struct list_offsets_response_partition *from = &t->partitions.items[j];
            struct model_partition *p = model_find_partition(draft, name, from->partition_index);
            if (p != NULL) {
                read_offset(p, kind, broker, offset_or_mark(from->error_code, from->offset),
                            now_ms);
            }
        }
        arena_free(&scratch);
    }
    learn_part(draft, MODEL_OFFSETS, "ListOffsets", KAFKA_NONE, now_ms);
}

/* ---- DescribeConfigs, DescribeLogDirs ---------------------------------------------------------
 */

static int64_t number_in(struct wire_str text)
{
    char digits[32];
    char *end = NULL;
    if (text.size <= 0 || (size_t)text.size >= sizeof digits) {
        return MODEL_UNKNOWN;
    }
    memcpy(digits, text.data, (size_t)text.size);
    digits[text.size] = '\0';
    long long value = strtoll(digits, &end, 10);
    return *end == '\0' && value >= 0 ? value : MODEL_UNKNOWN;
}

void learn_configs(struct model *draft, const struct describe_configs_response *r, int64_t now_ms)
{
    int16_t error = KAFKA_NONE;
    for (int32_t i = 0; i < r->results.count; i++) {
        const struct describe_configs_response_result *from = &r->results.items[i];
        struct arena scratch = {0};
        const char *name = wire_str_dup(&scratch, from->resource_name);
        struct model_topic *t = name == NULL ? NULL : model_find_topic(draft, name);
        arena_free(&scratch);
        if (t == NULL) {
            continue;
        }
        if (from->error_code != KAFKA_NONE) {
            t->min_insync = learn_is_denial(from->error_code) ? MODEL_DENIED : MODEL_UNKNOWN;
            error = from->error_code;
        }
        for (int32_t j = 0; j < from->configs.count; j++) {
            if (wire_str_is(from->configs.items[j].name, "min.insync.replicas")) {
                t->min_insync = number_in(from->configs.items[j].value);
            }
        }
    }
    learn_part(draft, MODEL_CONFIGS, "DescribeConfigs", error, now_ms);
}

static int64_t add_volume(int64_t sum, int64_t bytes)
{
    if (bytes < 0) {
        return sum;
    }
    return model_known(sum) ? sum + bytes : bytes;
}

static void read_log_dir(struct model *draft, struct model_broker *b,
                         const struct describe_log_dirs_response_result *dir)
{
    b->total_bytes = add_volume(b->total_bytes, dir->total_bytes);
    b->usable_bytes = add_volume(b->usable_bytes, dir->usable_bytes);
    for (int32_t i = 0; i < dir->topics.count; i++) {
        const struct describe_log_dirs_response_topic *t = &dir->topics.items[i];
        struct arena scratch = {0};
        const char *name = wire_str_dup(&scratch, t->name);
        for (int32_t j = 0; name != NULL && j < t->partitions.count; j++) {
            const struct describe_log_dirs_response_partition *from = &t->partitions.items[j];
            struct model_partition *p = model_find_partition(draft, name, from->partition_index);
            struct model_replica *replica = p == NULL ? NULL : model_find_replica(p, b->id);
            if (from->partition_size >= 0) {
                b->size_bytes = add_volume(b->size_bytes, from->partition_size);
                if (replica != NULL && !from->is_future_key) {
                    replica->size_bytes = from->partition_size;
                }
            }
        }
        arena_free(&scratch);
    }
}

void learn_log_dirs(struct model *draft, int32_t broker, const struct describe_log_dirs_response *r,
                    int64_t now_ms)
{
    struct model_broker *b = model_find_broker(draft, broker);
    if (b == NULL) {
        return;
    }
    bool denied = learn_is_denial(r->error_code);
    b->total_bytes = denied ? MODEL_DENIED : MODEL_UNKNOWN;
    b->usable_bytes = denied ? MODEL_DENIED : MODEL_UNKNOWN;
    b->size_bytes = denied ? MODEL_DENIED : r->error_code == KAFKA_NONE ? 0 : MODEL_UNKNOWN;
    for (int32_t i = 0; r->error_code == KAFKA_NONE && i < r->results.count; i++) {
        if (r->results.items[i].error_code == KAFKA_NONE) {
            read_log_dir(draft, b, &r->results.items[i]);
        }
    }
    learn_part(draft, MODEL_LOG_DIRS, "DescribeLogDirs", r->error_code, now_ms);
}

/* ---- DescribeQuorum ---------------------------------------------------------------------------
 */

static int64_t time_or_mark(int64_t ms)
{
    return ms < 0 ? MODEL_UNKNOWN : ms;
}

static void read_node(struct model_voter *v, bool voter,
                      const struct describe_quorum_response_replica_state *from)
{
    v->node = from->replica_id;
    v->voter = voter;
    v->end_offset = from->log_end_offset < 0 ? MODEL_UNKNOWN : from->log_end_offset;
    v->last_fetch_ms = time_or_mark(from->last_fetch_timestamp);
    v->last_caught_ms = time_or_mark(from->last_caught_up_timestamp);
}

static void read_quorum(struct model *draft, const struct describe_quorum_response_partition *from)
{
    struct model_quorum *q = &draft->quorum;
    int voters = from->current_voters.count > 0 ? from->current_voters.count : 0;
    int observers = from->observers.count > 0 ? from->observers.count : 0;
    q->leader = from->leader_id < 0 ? MODEL_NO_BROKER : from->leader_id;
    q->leader_epoch = from->leader_epoch;
    q->high_watermark = from->high_watermark < 0 ? MODEL_UNKNOWN : from->high_watermark;
    q->node_count = voters + observers;
    q->nodes = arena_array(&draft->arena, (size_t)q->node_count + 1, sizeof *q->nodes);
    for (int i = 0; i < voters; i++) {
        read_node(&q->nodes[i], true, &from->current_voters.items[i]);
    }
    for (int i = 0; i < observers; i++) {
        read_node(&q->nodes[voters + i], false, &from->observers.items[i]);
    }
    model_sort(draft);
}

void learn_quorum(struct model *draft, const struct describe_quorum_response *r, int64_t now_ms)
{
    int16_t error = r->error_code;
    if (error == KAFKA_NONE) {
        bool any = r->topics.count > 0 && r->topics.items[0].partitions.count > 0;
        error = any ? r->topics.items[0].partitions.items[0].error_code
                    : (int16_t)KAFKA_UNKNOWN_SERVER_ERROR;
    }
    if (error == KAFKA_NONE) {
        read_quorum(draft, &r->topics.items[0].partitions.items[0]);
    }
    learn_part(draft, MODEL_QUORUM, "DescribeQuorum", error, now_ms);
}
