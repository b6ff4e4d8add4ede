/* OffsetFetch: what a group has committed. One group up to version 7, many from version 8
 * (KIP-709). Member id and epoch (KIP-848) are not asked of a classic group's members, as Kafka has
 * it. An unknown group has committed nothing: offset -1, no error. Nothing is appended, so
 * every answer is at once. */
#include <stdlib.h>
#include <string.h>

#include "broker/group/group_internal.h"
#include "common/base/assert.h"

/* One topic of one group in any version's shape. */
struct asked_topic {
    struct wire_str name;
    struct uuid topic_id;
    const int32_t *partitions;
    int32_t count;
};

struct one_offset {
    int32_t partition;
    int64_t offset;
    int32_t leader_epoch;
    struct wire_str metadata;
    int16_t error;
};

static struct one_offset look_up(struct group *group, const char *topic, int32_t partition,
                                 bool require_stable, struct arena *arena)
{
    struct one_offset found = {partition, -1, -1, wire_str(""), KAFKA_NONE};
    struct committed_offset *offset =
        group != NULL ? offset_find(group, topic, strlen(topic), partition) : NULL;
    if (offset == NULL) {
        return found;
    }
    if (require_stable && offset->pending > 0) {
        found.error = KAFKA_UNSTABLE_OFFSET_COMMIT;
        return found;
    }
    found.offset = offset->offset;
    found.leader_epoch = offset->leader_epoch;
    found.metadata = wire_str(arena_strdup(arena, offset->metadata));
    return found;
}

static int by_topic(const void *a, const void *b)
{
    const struct committed_offset *const *x = a;
    const struct committed_offset *const *y = b;
    int order = strcmp((*x)->topic, (*y)->topic);
    return order != 0 ? order
                      : ((*x)->partition > (*y)->partition) - ((*x)->partition < (*y)->partition);
}

/* Every topic the group has offsets for, each with its partitions, in order. */
static int32_t all_topics(struct groups *all, struct group *group, struct arena *arena,
                          struct asked_topic **out)
{
    int32_t total = group != NULL ? (int32_t)HASH_COUNT(group->offsets) : 0;
    struct asked_topic *topics = arena_array(arena, (size_t)total, sizeof *topics);
    struct committed_offset **sorted =
        arena_array(arena, (size_t)total, sizeof(struct committed_offset *));
    int32_t *partitions = arena_array(arena, (size_t)total, sizeof *partitions);
    int32_t known_count = 0;
    int32_t count = 0;
    struct committed_offset *offset;
    struct committed_offset *next;
    struct committed_offset *first = group != NULL ? group->offsets : NULL;
    HASH_ITER(hh, first, offset, next)
    {
        if (offset->offset >= 0) {
            sorted[known_count++] = offset;
        }
    }
    qsort(sorted, (size_t)known_count, sizeof(struct committed_offset *), by_topic);
    for (int32_t i = 0; i < known_count; i++) {
        if (count == 0 || !wire_str_is(topics[count - 1].name, sorted[i]->topic)) {
            const struct image_topic *known =
                all->image != NULL ? image_topic_by_name(all->image, sorted[i]->topic) : NULL;
            topics[count].name = wire_str(arena_strdup(arena, sorted[i]->topic));
            topics[count].topic_id = known != NULL ? known->id : uuid_zero();
            topics[count].partitions = &partitions[i];
            count++;
        }
        partitions[i] = sorted[i]->partition;
        topics[count - 1].count++;
    }
    *out = topics;
    return count;
}

static void fetch_old(struct groups *all, struct group_call *call)
{
    const struct offset_fetch_request *request = call->request;
    struct offset_fetch_response *response = call->response;
    int16_t error = KAFKA_NONE;
    struct coordinator *at = groups_coordinator(all, request->group_id, &error);
    struct group *group =
        at != NULL ? group_find(at, request->group_id.data, (size_t)request->group_id.size) : NULL;
    response->error_code = error;
    struct asked_topic *topics = NULL;
    int32_t count = request->topics.count;
    if (count < 0) {
        count = all_topics(all, group, call->arena, &topics);
    } else {
        topics = arena_array(call->arena, (size_t)count, sizeof *topics);
        for (int32_t i = 0; i < count; i++) {
            topics[i].name = request->topics.items[i].name;
            topics[i].partitions = request->topics.items[i].partition_indexes.items;
            topics[i].count = request->topics.items[i].partition_indexes.count;
        }
    }
    if (error != KAFKA_NONE && call->api_version >= 2) {
        count = 0; /* said once, at the top */
    }
    response->topics.count = count;
    response->topics.items =
        arena_array(call->arena, (size_t)count, sizeof *response->topics.items);
    for (int32_t i = 0; i < count; i++) {
        __typeof__(&response->topics.items[0]) topic = &response->topics.items[i];
        const char *name = wire_str_dup(call->arena, topics[i].name);
        topic->name = topics[i].name;
        topic->partitions.count = topics[i].count > 0 ? topics[i].count : 0;
        topic->partitions.items = arena_array(call->arena, (size_t)topic->partitions.count,
                                              sizeof *topic->partitions.items);
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            struct one_offset found =
                look_up(group, name, topics[i].partitions[j], request->require_stable, call->arena);
            topic->partitions.items[j].partition_index = found.partition;
            topic->partitions.items[j].committed_offset = found.offset;
            topic->partitions.items[j].committed_leader_epoch = found.leader_epoch;
            topic->partitions.items[j].metadata = found.metadata;
            topic->partitions.items[j].error_code = error != KAFKA_NONE ? error : found.error;
        }
    }
}

/* The topics asked of one group, names and ids both filled where known. */
static int32_t asked_of_group(struct groups *all, struct group_call *call, int32_t index,
                              struct group *group, struct asked_topic **out)
{
    const struct offset_fetch_request *request = call->request;
    __typeof__(&request->groups.items[0]) asked = &request->groups.items[index];
    if (asked->topics.count < 0) {
        return all_topics(all, group, call->arena, out);
    }
    struct asked_topic *topics =
        arena_array(call->arena, (size_t)asked->topics.count, sizeof *topics);
    for (int32_t i = 0; i < asked->topics.count; i++) {
        topics[i].name = asked->topics.items[i].name;
        topics[i].topic_id = asked->topics.items[i].topic_id;
        topics[i].partitions = asked->topics.items[i].partition_indexes.items;
        topics[i].count = asked->topics.items[i].partition_indexes.count;
        if (call->api_version >= 10) {
            const struct image_topic *known =
                all->image != NULL ? image_topic_by_id(all->image, &topics[i].topic_id) : NULL;
            topics[i].name = known != NULL ? wire_str(known->name) : WIRE_STR_NULL;
        }
    }
    *out = topics;
    return asked->topics.count;
}

static void fetch_one_group(struct groups *all, struct group_call *call, uint64_t serial,
                            int32_t index)
{
    const struct offset_fetch_request *request = call->request;
    struct offset_fetch_response *response = call->response;
    __typeof__(&request->groups.items[0]) asked = &request->groups.items[index];
    __typeof__(&response->groups.items[0]) out = &response->groups.items[index];
    int16_t error = KAFKA_NONE;
    struct coordinator *at = groups_coordinator(all, asked->group_id, &error);
    struct group *group =
        at != NULL ? group_find(at, asked->group_id.data, (size_t)asked->group_id.size) : NULL;
    if (group != NULL && asked->topics.count < 0 && group_seen(group, serial)) {
        error = KAFKA_INVALID_REQUEST;
    }
    out->group_id = asked->group_id;
    out->error_code = error;
    struct asked_topic *topics = NULL;
    int32_t count = error == KAFKA_NONE ? asked_of_group(all, call, index, group, &topics) : 0;
    out->topics.count = count;
    out->topics.items = arena_array(call->arena, (size_t)count, sizeof *out->topics.items);
    for (int32_t i = 0; i < count; i++) {
        __typeof__(&out->topics.items[0]) topic = &out->topics.items[i];
        const char *name = wire_str_dup(call->arena, topics[i].name);
        topic->name = topics[i].name;
        topic->topic_id = topics[i].topic_id;
        topic->partitions.count = topics[i].count > 0 ? topics[i].count : 0;
        topic->partitions.items = arena_array(call->arena, (size_t)topic->partitions.count,
                                              sizeof *topic->partitions.items);
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            struct one_offset found = {topics[i].partitions[j], -1, -1, wire_str(""),
                                       KAFKA_UNKNOWN_TOPIC_ID};
            if (name != NULL) {
                found = look_up(group, name, topics[i].partitions[j], request->require_stable,
                                call->arena);
            }
            topic->partitions.items[j].partition_index = found.partition;
            topic->partitions.items[j].committed_offset = found.offset;
            topic->partitions.items[j].committed_leader_epoch = found.leader_epoch;
            topic->partitions.items[j].metadata = found.metadata;
            topic->partitions.items[j].error_code = found.error;
        }
    }
}

void group_offset_fetch(struct groups *all, struct group_call *call)
{
    const struct offset_fetch_request *request = call->request;
    struct offset_fetch_response *response = call->response;
    wire_defaults(&wire_offset_fetch_response, response);
    if (call->api_version < 8) {
        fetch_old(all, call);
    } else {
        int32_t count = request->groups.count > 0 ? request->groups.count : 0;
        uint64_t serial = ++all->last_serial;
        response->groups.count = count;
        response->groups.items =
            arena_array(call->arena, (size_t)count, sizeof *response->groups.items);
        for (int32_t i = 0; i < count; i++) {
            fetch_one_group(all, call, serial, i);
        }
    }
    group_call_done(call);
}
