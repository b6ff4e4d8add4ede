#include "console/model.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

struct model *model_new(void)
{
    struct model *m = mem_zalloc(sizeof *m);
    m->refs = 1;
    m->quorum.leader = MODEL_NO_BROKER;
    m->quorum.leader_epoch = MODEL_UNKNOWN;
    m->quorum.high_watermark = MODEL_UNKNOWN;
    return m;
}

const struct model *model_ref(const struct model *m)
{
    ASSERT(m->frozen && m->refs > 0);
    union {
        const struct model *shared;
        struct model *own;
    } u = {.shared = m}; /* the count is the one field that readers move */
    u.own->refs++;
    return m;
}

void model_unref(const struct model *m)
{
    if (m == NULL) {
        return;
    }
    union {
        const struct model *shared;
        struct model *own;
    } u = {.shared = m};
    ASSERT(u.own->refs > 0);
    if (--u.own->refs == 0) {
        struct arena arena = u.own->arena;
        mem_free(u.own);
        arena_free(&arena);
    }
}

/* ---- building ---------------------------------------------------------------------------------
 */

struct model_broker *model_set_brokers(struct model *draft, int count)
{
    ASSERT(!draft->frozen && count >= 0);
    draft->brokers = arena_array(&draft->arena, (size_t)count, sizeof *draft->brokers);
    draft->broker_count = count;
    for (int i = 0; i < count; i++) {
        draft->brokers[i].size_bytes = MODEL_UNKNOWN;
        draft->brokers[i].total_bytes = MODEL_UNKNOWN;
        draft->brokers[i].usable_bytes = MODEL_UNKNOWN;
    }
    return draft->brokers;
}

struct model_topic *model_set_topics(struct model *draft, int count)
{
    ASSERT(!draft->frozen && count >= 0);
    draft->topics = arena_array(&draft->arena, (size_t)count, sizeof *draft->topics);
    draft->topic_count = count;
    for (int i = 0; i < count; i++) {
        draft->topics[i].min_insync = MODEL_UNKNOWN;
    }
    return draft->topics;
}

struct model_partition *model_set_partitions(struct model *draft, struct model_topic *t, int count)
{
    ASSERT(!draft->frozen && count >= 0);
    t->partitions = arena_array(&draft->arena, (size_t)count, sizeof *t->partitions);
    t->partition_count = count;
    for (int i = 0; i < count; i++) {
        t->partitions[i].topic = t;
        t->partitions[i].leader = MODEL_NO_BROKER;
        t->partitions[i].leader_epoch = MODEL_UNKNOWN;
        t->partitions[i].log_start_offset = MODEL_UNKNOWN;
        t->partitions[i].high_watermark = MODEL_UNKNOWN;
    }
    return t->partitions;
}

struct model_replica *model_set_replicas(struct model *draft, struct model_partition *p, int count)
{
    ASSERT(!draft->frozen && count >= 0);
    p->replicas = arena_array(&draft->arena, (size_t)count, sizeof *p->replicas);
    p->replica_count = count;
    for (int i = 0; i < count; i++) {
        p->replicas[i].broker = MODEL_NO_BROKER;
        p->replicas[i].end_offset = MODEL_UNKNOWN;
        p->replicas[i].lag = MODEL_UNKNOWN;
        p->replicas[i].size_bytes = MODEL_UNKNOWN;
    }
    return p->replicas;
}

struct model_group *model_set_groups(struct model *draft, int count)
{
    ASSERT(!draft->frozen && count >= 0);
    draft->groups = arena_array(&draft->arena, (size_t)count, sizeof *draft->groups);
    draft->group_count = count;
    for (int i = 0; i < count; i++) {
        draft->groups[i].coordinator = MODEL_NO_BROKER;
    }
    return draft->groups;
}

/* ---- copying ----------------------------------------------------------------------------------
 */

static const char *copy_text(struct arena *a, const char *s)
{
    return s == NULL ? NULL : arena_strdup(a, s);
}

static void *copy_array(struct arena *a, const void *items, int count, size_t item_bytes)
{
    return count == 0 ? NULL : arena_dup(a, items, (size_t)count * item_bytes);
}

static void copy_topics(struct model *to, const struct model *from)
{
    struct arena *a = &to->arena;
    to->topics = copy_array(a, from->topics, from->topic_count, sizeof *to->topics);
    to->topic_count = from->topic_count;
    for (int i = 0; i < to->topic_count; i++) {
        struct model_topic *t = &to->topics[i];
        t->name = copy_text(a, t->name);
        t->error = copy_text(a, t->error);
        t->partitions = copy_array(a, t->partitions, t->partition_count, sizeof *t->partitions);
        for (int j = 0; j < t->partition_count; j++) {
            struct model_partition *p = &t->partitions[j];
            p->topic = t;
            p->replicas = copy_array(a, p->replicas, p->replica_count, sizeof *p->replicas);
        }
    }
}

static void copy_group(struct arena *a, struct model_group *g)
{
    g->group = copy_text(a, g->group);
    g->state = copy_text(a, g->state);
    g->type = copy_text(a, g->type);
    g->protocol = copy_text(a, g->protocol);
    g->error = copy_text(a, g->error);
    g->members = copy_array(a, g->members, g->member_count, sizeof *g->members);
    for (int i = 0; i < g->member_count; i++) {
        struct model_member *mb = &g->members[i];
        mb->member_id = copy_text(a, mb->member_id);
        mb->client_id = copy_text(a, mb->client_id);
        mb->host = copy_text(a, mb->host);
        mb->partitions = copy_array(a, mb->partitions, mb->partition_count, sizeof *mb->partitions);
        for (int j = 0; j < mb->partition_count; j++) {
            mb->partitions[j].topic = copy_text(a, mb->partitions[j].topic);
        }
    }
    g->offsets = copy_array(a, g->offsets, g->offset_count, sizeof *g->offsets);
    for (int i = 0; i < g->offset_count; i++) {
        g->offsets[i].topic = copy_text(a, g->offsets[i].topic);
    }
}

struct model *model_copy(const struct model *from)
{
    struct model *to = model_new();
    struct arena *a = &to->arena;
    to->taken_ms = from->taken_ms;
    to->cluster_id = copy_text(a, from->cluster_id);
    for (int i = 0; i < MODEL_PART_COUNT; i++) {
        to->parts[i] = from->parts[i];
        to->parts[i].error = copy_text(a, from->parts[i].error);
    }
    to->brokers = copy_array(a, from->brokers, from->broker_count, sizeof *to->brokers);
    to->broker_count = from->broker_count;
    for (int i = 0; i < to->broker_count; i++) {
        to->brokers[i].host = copy_text(a, to->brokers[i].host);
        to->brokers[i].rack = copy_text(a, to->brokers[i].rack);
    }
    copy_topics(to, from);
    to->groups = copy_array(a, from->groups, from->group_count, sizeof *to->groups);
    to->group_count = from->group_count;
    for (int i = 0; i < to->group_count; i++) {
        copy_group(a, &to->groups[i]);
    }
    to->quorum = from->quorum;
    to->quorum.nodes =
        copy_array(a, from->quorum.nodes, from->quorum.node_count, sizeof *to->quorum.nodes);
    return to;
}

/* ---- order and search -------------------------------------------------------------------------
 */

bool model_topic_is_internal(const char *name)
{
    return name[0] == '_' && name[1] == '_';
}

static int compare_topic_names(const char *a, const char *b)
{
    int internal = (int)model_topic_is_internal(a) - (int)model_topic_is_internal(b);
    return internal != 0 ? internal : strcmp(a, b);
}

static int by_topic(const void *a, const void *b)
{
    const struct model_topic *x = a;
    const struct model_topic *y = b;
    return compare_topic_names(x->name, y->name);
}

static int by_broker(const void *a, const void *b)
{
    const struct model_broker *x = a;
    const struct model_broker *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_partition(const void *a, const void *b)
{
    const struct model_partition *x = a;
    const struct model_partition *y = b;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

static int by_group(const void *a, const void *b)
{
    const struct model_group *x = a;
    const struct model_group *y = b;
    return strcmp(x->group, y->group);
}

static int by_node(const void *a, const void *b)
{
    const struct model_voter *x = a;
    const struct model_voter *y = b;
    if (x->voter != y->voter) {
        return x->voter ? -1 : 1;
    }
    return (x->node > y->node) - (x->node < y->node);
}

static int by_offset(const void *a, const void *b)
{
    const struct model_offset *x = a;
    const struct model_offset *y = b;
    int names = strcmp(x->topic, y->topic);
    return names != 0 ? names : (x->partition > y->partition) - (x->partition < y->partition);
}

static void sort(void *items, int count, size_t item_bytes,
                 int (*compare)(const void *, const void *))
{
    if (count > 1) {
        qsort(items, (size_t)count, item_bytes, compare);
    }
}

void model_sort(struct model *draft)
{
    ASSERT(!draft->frozen);
    sort(draft->brokers, draft->broker_count, sizeof *draft->brokers, by_broker);
    sort(draft->topics, draft->topic_count, sizeof *draft->topics, by_topic);
    for (int i = 0; i < draft->topic_count; i++) {
        struct model_topic *t = &draft->topics[i];
        t->internal = model_topic_is_internal(t->name);
        sort(t->partitions, t->partition_count, sizeof *t->partitions, by_partition);
        for (int j = 0; j < t->partition_count; j++) {
            t->partitions[j].topic = t; /* topics may have moved */
        }
    }
    sort(draft->groups, draft->group_count, sizeof *draft->groups, by_group);
    for (int i = 0; i < draft->group_count; i++) {
        model_sort_offsets(&draft->groups[i]);
    }
    sort(draft->quorum.nodes, draft->quorum.node_count, sizeof *draft->quorum.nodes, by_node);
}

void model_sort_offsets(struct model_group *g)
{
    sort(g->offsets, g->offset_count, sizeof *g->offsets, by_offset);
}

static void *find(const void *key, void *items, int count, size_t item_bytes,
                  int (*compare)(const void *, const void *))
{
    return count == 0 ? NULL : bsearch(key, items, (size_t)count, item_bytes, compare);
}

struct model_broker *model_find_broker(const struct model *m, int32_t id)
{
    struct model_broker key = {.id = id};
    return find(&key, m->brokers, m->broker_count, sizeof key, by_broker);
}

struct model_topic *model_find_topic(const struct model *m, const char *name)
{
    struct model_topic key = {.name = name};
    return find(&key, m->topics, m->topic_count, sizeof key, by_topic);
}

struct model_partition *model_find_partition(const struct model *m, const char *topic,
                                             int32_t partition)
{
    struct model_topic *t = model_find_topic(m, topic);
    struct model_partition key = {.partition = partition};
    return t == NULL ? NULL
                     : find(&key, t->partitions, t->partition_count, sizeof key, by_partition);
}

struct model_replica *model_find_replica(const struct model_partition *p, int32_t broker)
{
    for (int i = 0; i < p->replica_count; i++) {
        if (p->replicas[i].broker == broker) {
            return &p->replicas[i];
        }
    }
    return NULL;
}

struct model_group *model_find_group(const struct model *m, const char *group)
{
    struct model_group key = {.group = group};
    return find(&key, m->groups, m->group_count, sizeof key, by_group);
}

struct model_offset *model_find_offset(const struct model_group *g, int count, const char *topic,
                                       int32_t partition)
{
    ASSERT(count <= g->offset_count);
    struct model_offset key = {.topic = topic, .partition = partition};
    return find(&key, g->offsets, count, sizeof key, by_offset);
}
