/* Groups, their members and their committed offsets. */
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"
#include "console/learn.h"

static const char *text_or_null(struct arena *a, struct wire_str s)
{
    return s.size > 0 ? wire_str_dup(a, s) : NULL;
}

void learn_listed(struct learn_listing *l, int32_t broker, const struct list_groups_response *r)
{
    for (int32_t i = 0; r->error_code == KAFKA_NONE && i < r->groups.count; i++) {
        const struct list_groups_response_group *from = &r->groups.items[i];
        if (from->group_id.size >= 0) {
            struct learn_listed *g = MEM_PUSH(l->groups, l->group_count, l->group_capacity);
            g->group = wire_str_dup(&l->arena, from->group_id);
            g->state = text_or_null(&l->arena, from->group_state);
            g->type = text_or_null(&l->arena, from->group_type);
            g->coordinator = broker;
        }
    }
}

void learn_listing_free(struct learn_listing *l)
{
    arena_free(&l->arena);
    mem_free(l->groups);
    memset(l, 0, sizeof *l);
}

static int by_name(const void *a, const void *b)
{
    const struct learn_listed *x = a;
    const struct learn_listed *y = b;
    return strcmp(x->group, y->group);
}

static const char *dup_or_null(struct arena *a, const char *s)
{
    return s == NULL ? NULL : arena_strdup(a, s);
}

void learn_groups(struct model *draft, struct learn_listing *l,
                  bool (*answered)(void *ctx, int32_t broker), void *ctx, int64_t now_ms)
{
    const struct model old = *draft;
    for (int i = 0; i < old.group_count; i++) {
        const struct model_group *was = &old.groups[i];
        if (was->coordinator != MODEL_NO_BROKER && !answered(ctx, was->coordinator)) {
            struct learn_listed *g = MEM_PUSH(l->groups, l->group_count, l->group_capacity);
            g->group = arena_strdup(&l->arena, was->group);
            g->state = dup_or_null(&l->arena, was->state);
            g->type = dup_or_null(&l->arena, was->type);
            g->coordinator = was->coordinator;
        }
    }
    if (l->group_count > 1) {
        qsort(l->groups, l->group_count, sizeof *l->groups, by_name);
    }
    struct model_group *groups = model_set_groups(draft, (int)l->group_count);
    int count = 0;
    for (size_t i = 0; i < l->group_count; i++) {
        const struct learn_listed *from = &l->groups[i];
        if (count > 0 && strcmp(groups[count - 1].group, from->group) == 0) {
            continue; /* two brokers claim it while its coordinator moves */
        }
        const struct model_group *was = model_find_group(&old, from->group);
        struct model_group *g = &groups[count++];
        if (was != NULL) {
            *g = *was;
        }
        g->group = arena_strdup(&draft->arena, from->group);
        g->state = dup_or_null(&draft->arena, from->state);
        g->type = dup_or_null(&draft->arena, from->type);
        g->coordinator = from->coordinator;
    }
    draft->group_count = count;
    learn_listing_free(l);
    learn_part(draft, MODEL_GROUPS, "ListGroups", KAFKA_NONE, now_ms);
}

static struct model_group *group_named(const struct model *draft, struct wire_str name)
{
    struct arena scratch = {0};
    const char *text = wire_str_dup(&scratch, name);
    struct model_group *g = text == NULL ? NULL : model_find_group(draft, text);
    arena_free(&scratch);
    return g;
}

static void set_error(struct model *draft, struct model_group *g, const char *what,
                      int16_t error_code)
{
    g->error =
        arena_printf(&draft->arena, "%s %s: %s", what, g->group, kafka_error_name(error_code));
}

/* ---- which member has which partition ----------------------------------------------------------
 */

/* One row for every partition that was committed or is assigned. */
static void join(struct model *draft, struct model_group *g)
{
    int assigned = 0;
    for (int i = 0; i < g->member_count; i++) {
        assigned += g->members[i].partition_count;
    }
    struct model_group next = *g;
    next.offsets =
        arena_array(&draft->arena, (size_t)(g->offset_count + assigned) + 1, sizeof *g->offsets);
    next.offset_count = 0;
    for (int i = 0; i < g->offset_count; i++) {
        if (g->offsets[i].committed != MODEL_NONE) {
            next.offsets[next.offset_count] = g->offsets[i];
            next.offsets[next.offset_count++].member = -1;
        }
    }
    model_sort_offsets(&next);
    int committed = next.offset_count;
    for (int i = 0; i < g->member_count; i++) {
        for (int j = 0; j < g->members[i].partition_count; j++) {
            const struct model_assigned *a = &g->members[i].partitions[j];
            struct model_offset *o = model_find_offset(&next, committed, a->topic, a->partition);
            if (o == NULL) {
                o = &next.offsets[next.offset_count++];
                *o = (struct model_offset){a->topic,      a->partition, MODEL_NONE,
                                           MODEL_UNKNOWN, MODEL_NONE,   i};
                if (g->offsets_state != MODEL_READ) {
                    o->committed = g->offsets_state == MODEL_REFUSED ? MODEL_DENIED : MODEL_UNKNOWN;
                }
            }
            o->member = i;
        }
    }
    g->offsets = next.offsets;
    g->offset_count = next.offset_count;
    model_sort_offsets(g);
}

/* ---- DescribeGroups ----------------------------------------------------------------------------
 */

/* ConsumerProtocolAssignment: an int16 version, then the body. Versions newer than ours only add.
 */
static void read_assignment(struct model *draft, struct model_member *m, struct wire_bytes bytes)
{
    if (bytes.size < 2) {
        return;
    }
    struct arena scratch = {0};
    struct consumer_protocol_assignment a;
    struct wire_in in = wire_in_of(bytes.data, (size_t)bytes.size);
    int16_t version = wire_get_i16(&in);
    int16_t max = wire_message_max(&wire_consumer_protocol_assignment);
    version = version > max ? max : version;
    int32_t count = 0;
    if (version >= 0 &&
        wire_decode(&wire_consumer_protocol_assignment, version, &in, &a, &scratch) == ERR_NONE) {
        for (int32_t i = 0; i < a.assigned_partitions.count; i++) {
            count += a.assigned_partitions.items[i].partitions.count;
        }
        m->partitions = arena_array(&draft->arena, (size_t)count + 1, sizeof *m->partitions);
        for (int32_t i = 0; i < a.assigned_partitions.count; i++) {
            const struct consumer_protocol_assignment_assigned_partition *t =
                &a.assigned_partitions.items[i];
            const char *topic = wire_str_dup(&draft->arena, t->topic);
            for (int32_t j = 0; topic != NULL && j < t->partitions.count; j++) {
                m->partitions[m->partition_count++] =
                    (struct model_assigned){topic, t->partitions.items[j]};
            }
        }
    }
    arena_free(&scratch);
}

static const char *text_of(struct model *draft, struct wire_str s)
{
    const char *text = wire_str_dup(&draft->arena, s);
    return text == NULL ? "" : text;
}

static void read_members(struct model *draft, struct model_group *g,
                         const struct describe_groups_response_group *from)
{
    int count = from->members.count > 0 ? from->members.count : 0;
    bool consumers = wire_str_is(from->protocol_type, "consumer");
    g->members = arena_array(&draft->arena, (size_t)count + 1, sizeof *g->members);
    g->member_count = count;
    for (int i = 0; i < count; i++) {
        const struct describe_groups_response_member *m = &from->members.items[i];
        g->members[i].member_id = text_of(draft, m->member_id);
        g->members[i].client_id = text_of(draft, m->client_id);
        g->members[i].host = text_of(draft, m->client_host);
        if (consumers) { /* Connect and others put other things into these bytes */
            read_assignment(draft, &g->members[i], m->member_assignment);
        }
    }
}

void learn_members(struct model *draft, const struct describe_groups_response *r, int64_t now_ms)
{
    for (int32_t i = 0; i < r->groups.count; i++) {
        const struct describe_groups_response_group *from = &r->groups.items[i];
        struct model_group *g = group_named(draft, from->group_id);
        if (g == NULL) {
            continue;
        }
        if (from->error_code != KAFKA_NONE) {
            g->members_state = learn_is_denial(from->error_code) ? MODEL_REFUSED : MODEL_FAILED;
            g->member_count = 0;
            set_error(draft, g, "DescribeGroups", from->error_code);
            join(draft, g);
            continue;
        }
        g->state = text_of(draft, from->group_state);
        g->protocol = text_of(draft, from->protocol_data);
        g->members_state = MODEL_READ;
        g->members_read_ms = now_ms;
        g->error = NULL;
        read_members(draft, g, from);
        join(draft, g);
    }
}

/* ---- OffsetFetch -------------------------------------------------------------------------------
 */

static const char *topic_of(struct model *draft,
                            const struct offset_fetch_response_group_topic *from)
{
    if (from->name.size > 0) {
        return wire_str_dup(&draft->arena, from->name);
    }
    for (int i = 0; i < draft->topic_count; i++) { /* v10 and later name topics by id */
        if (uuid_equal(&draft->topics[i].id, &from->topic_id)) {
            return draft->topics[i].name;
        }
    }
    return NULL;
}

static void read_committed(struct model *draft, struct model_group *g,
                           const struct offset_fetch_response_group *from)
{
    size_t count = 0;
    for (int32_t i = 0; i < from->topics.count; i++) {
        count += from->topics.items[i].partitions.count > 0
                     ? (size_t)from->topics.items[i].partitions.count
                     : 0;
    }
    g->offsets = arena_array(&draft->arena, count + 1, sizeof *g->offsets);
    g->offset_count = 0;
    for (int32_t i = 0; i < from->topics.count; i++) {
        const struct offset_fetch_response_group_topic *t = &from->topics.items[i];
        const char *topic = topic_of(draft, t);
        for (int32_t j = 0; topic != NULL && j < t->partitions.count; j++) {
            const struct offset_fetch_response_group_partition *p = &t->partitions.items[j];
            struct model_offset *o = &g->offsets[g->offset_count++];
            *o = (struct model_offset){topic,         p->partition_index, p->committed_offset,
                                       MODEL_UNKNOWN, MODEL_UNKNOWN,      -1};
            if (p->error_code != KAFKA_NONE) {
                o->committed = learn_is_denial(p->error_code) ? MODEL_DENIED : MODEL_UNKNOWN;
            } else if (p->committed_offset < 0) {
                o->committed = MODEL_NONE;
            }
        }
    }
}

void learn_committed(struct model *draft, const struct offset_fetch_response *r, int64_t now_ms)
{
    for (int32_t i = 0; i < r->groups.count; i++) {
        const struct offset_fetch_response_group *from = &r->groups.items[i];
        struct model_group *g = group_named(draft, from->group_id);
        if (g == NULL) {
            continue;
        }
        if (from->error_code != KAFKA_NONE) {
            g->offsets_state = learn_is_denial(from->error_code) ? MODEL_REFUSED : MODEL_FAILED;
            g->offset_count = 0;
            set_error(draft, g, "OffsetFetch", from->error_code);
        } else {
            g->offsets_state = MODEL_READ;
            g->offsets_read_ms = now_ms;
            read_committed(draft, g, from);
        }
        join(draft, g);
    }
}

void learn_group_failed(struct model *draft, const char *group, const char *why)
{
    struct model_group *g = model_find_group(draft, group);
    if (g != NULL) {
        g->error = arena_printf(&draft->arena, "group %s: %s", group, why);
        g->members_state = g->members_state == MODEL_UNREAD ? MODEL_FAILED : g->members_state;
        g->offsets_state = g->offsets_state == MODEL_UNREAD ? MODEL_FAILED : g->offsets_state;
    }
}
