/* Committed offsets: OffsetCommit, OffsetDelete, expiry.
 *
 * Happy path: the commit is checked against the group, appended, and becomes visible to OffsetFetch
 * when its record is below the high watermark. Failure modes: per-partition errors for what is
 * refused; when the store fails the old offsets stand. Rules: Kafka's OffsetMetadataManager; expiry
 * KIP-211. */
#include <string.h>

#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { OFFSET_KEY_TOPIC_MAX = 32767 };

static unsigned make_key(char *to, const char *topic, size_t topic_size, int32_t partition)
{
    memcpy(to, topic, topic_size);
    to[topic_size] = '\0';
    memcpy(to + topic_size + 1, &partition, sizeof partition);
    return (unsigned)(topic_size + 1 + sizeof partition);
}

struct committed_offset *offset_find(struct group *group, const char *topic, size_t topic_size,
                                     int32_t partition)
{
    ASSERT(topic_size <= OFFSET_KEY_TOPIC_MAX);
    char small[300];
    char *key = topic_size + 8 <= sizeof small ? small : mem_alloc(topic_size + 8);
    unsigned size = make_key(key, topic, topic_size, partition);
    struct committed_offset *offset = NULL;
    HASH_FIND(hh, group->offsets, key, size, offset);
    if (key != small) {
        mem_free(key);
    }
    return offset;
}

struct committed_offset *offset_make(struct group *group, const char *topic, size_t topic_size,
                                     int32_t partition)
{
    struct committed_offset *offset = offset_find(group, topic, topic_size, partition);
    if (offset != NULL) {
        return offset;
    }
    offset = mem_zalloc(sizeof *offset);
    offset->key = mem_alloc(topic_size + 8);
    offset->key_size = make_key(offset->key, topic, topic_size, partition);
    offset->topic = offset->key;
    offset->partition = partition;
    offset->offset = -1;
    offset->leader_epoch = -1;
    offset->metadata = mem_strdup("");
    offset->serial = ++group->at->all->last_serial;
    HASH_ADD_KEYPTR(hh, group->offsets, offset->key, offset->key_size, offset);
    return offset;
}

void offset_free(struct group *group, struct committed_offset *offset)
{
    HASH_DEL(group->offsets, offset);
    mem_free(offset->metadata);
    mem_free(offset->key);
    mem_free(offset);
}

void offset_set(struct committed_offset *offset, int64_t value, int32_t leader_epoch,
                const char *metadata, size_t metadata_size, int64_t timestamp_ms)
{
    offset->offset = value;
    offset->leader_epoch = leader_epoch;
    offset->commit_timestamp_ms = timestamp_ms;
    mem_free(offset->metadata);
    offset->metadata = mem_alloc(metadata_size + 1);
    if (metadata_size > 0) {
        memcpy(offset->metadata, metadata, metadata_size);
    }
    offset->metadata[metadata_size] = '\0';
}

/* ---- OffsetCommit ---- */

/* One partition of a commit on its way to the log. */
struct commit_entry {
    char *topic;
    int32_t partition;
    struct committed_offset value; /* offset, epoch, metadata, timestamp only */
    uint64_t serial;               /* of the offset it is pending on */
    int16_t *error;                /* in the response; meaningless once the call is gone */
};

struct commit {
    struct group_call *call; /* NULL when the client went away */
    struct commit_entry *entries;
    int count;
};

static void commit_free(void *extra)
{
    struct commit *commit = extra;
    for (int i = 0; i < commit->count; i++) {
        mem_free(commit->entries[i].topic);
        mem_free(commit->entries[i].value.metadata);
    }
    mem_free(commit->entries);
    mem_free(commit);
}

/* What the client hears when a store fails: as Kafka maps append errors for commits. */
static int16_t commit_error(int16_t error)
{
    switch (error) {
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE:
    case KAFKA_INVALID_FETCH_SIZE:
        return KAFKA_INVALID_COMMIT_OFFSET_SIZE;
    default:
        return group_store_error(error);
    }
}

static void on_commit_stored(struct group_write *write, int16_t error)
{
    struct commit *commit = write->extra;
    struct group *group = group_find(write->at, write->group_id, strlen(write->group_id));
    for (int i = 0; i < commit->count; i++) {
        struct commit_entry *entry = &commit->entries[i];
        if (commit->call != NULL) {
            *entry->error = commit_error(error);
        }
        if (group == NULL) {
            continue; /* deleted meanwhile: its tombstones come after this record */
        }
        struct committed_offset *offset =
            offset_find(group, entry->topic, strlen(entry->topic), entry->partition);
        if (offset == NULL || offset->serial != entry->serial) {
            continue; /* removed meanwhile, by a record after this one, and perhaps made again */
        }
        ASSERT(offset->pending > 0);
        offset->pending--;
        if (error == KAFKA_NONE) {
            offset_set(offset, entry->value.offset, entry->value.leader_epoch,
                       entry->value.metadata, strlen(entry->value.metadata),
                       entry->value.commit_timestamp_ms);
        } else if (offset->offset < 0 && offset->pending == 0) {
            offset_free(group, offset);
        }
    }
    if (group != NULL) {
        group_forget_if_void(group);
    }
    if (commit->call != NULL) {
        group_call_done(commit->call);
    }
}

/* Kafka's ClassicGroup.validateOffsetCommit. */
static int16_t check_commit(struct group *group, const struct offset_commit_request *request)
{
    int32_t generation = request->generation_id_or_member_epoch;
    if (group == NULL) {
        return generation < 0 ? KAFKA_NONE : KAFKA_ILLEGAL_GENERATION;
    }
    if (generation < 0 && group->state == GROUP_EMPTY) {
        return KAFKA_NONE; /* a consumer that manages its own assignment */
    }
    if (generation < 0 && request->member_id.size <= 0 && request->group_instance_id.size < 0) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    struct member *member = NULL;
    int16_t error = group_check_member(group, request->member_id, request->group_instance_id,
                                       generation, &member);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (group->state == GROUP_COMPLETING_REBALANCE) {
        return KAFKA_REBALANCE_IN_PROGRESS;
    }
    member_heard(member);
    return KAFKA_NONE;
}

/* Lays out the response with every partition's error set to `error`. */
static void fill_commit_response(struct group_call *call, int16_t error)
{
    const struct offset_commit_request *request = call->request;
    struct offset_commit_response *response = call->response;
    wire_defaults(&wire_offset_commit_response, response);
    int32_t topics = request->topics.count > 0 ? request->topics.count : 0;
    response->topics.count = topics;
    response->topics.items =
        arena_array(call->arena, (size_t)topics, sizeof *response->topics.items);
    for (int32_t i = 0; i < topics; i++) {
        int32_t count = request->topics.items[i].partitions.count;
        count = count > 0 ? count : 0;
        response->topics.items[i].name = request->topics.items[i].name;
        response->topics.items[i].topic_id = request->topics.items[i].topic_id;
        response->topics.items[i].partitions.count = count;
        response->topics.items[i].partitions.items = arena_array(
            call->arena, (size_t)count, sizeof *response->topics.items[i].partitions.items);
        for (int32_t j = 0; j < count; j++) {
            response->topics.items[i].partitions.items[j].partition_index =
                request->topics.items[i].partitions.items[j].partition_index;
            response->topics.items[i].partitions.items[j].error_code = error;
        }
    }
}

/* The topic's name; by id from version 10 on. NULL when there is no such topic: offsets of topics
 * that do not exist would stay for ever. */
static const char *commit_topic(struct groups *all, struct group_call *call, int32_t topic)
{
    const struct offset_commit_request *request = call->request;
    const struct wire_str name = request->topics.items[topic].name;
    const struct image_topic *known = NULL;
    if (all->image != NULL && call->api_version >= 10) {
        known = image_topic_by_id(all->image, &request->topics.items[topic].topic_id);
    } else if (all->image != NULL && name.size > 0) {
        known = image_topic_by_text(all->image, name.data, (size_t)name.size);
    }
    return known != NULL ? arena_strdup(call->arena, known->name) : NULL;
}

static void add_entry(struct groups *all, struct commit *commit, const char *topic,
                      const struct offset_commit_request_partition *asked, int16_t *error)
{
    int32_t metadata_size = asked->committed_metadata.size > 0 ? asked->committed_metadata.size : 0;
    if (metadata_size > all->config.offset_metadata_max_bytes) {
        *error = KAFKA_OFFSET_METADATA_TOO_LARGE;
        return;
    }
    struct commit_entry *entry = &commit->entries[commit->count++];
    entry->topic = mem_strdup(topic);
    entry->partition = asked->partition_index;
    entry->error = error;
    offset_set(&entry->value, asked->committed_offset, asked->committed_leader_epoch,
               asked->committed_metadata.data, (size_t)metadata_size, env_wall_ms(all->env));
}

static struct commit *collect_commit(struct groups *all, struct group_call *call)
{
    const struct offset_commit_request *request = call->request;
    struct offset_commit_response *response = call->response;
    size_t total = 0;
    for (int32_t i = 0; i < response->topics.count; i++) {
        total += (size_t)response->topics.items[i].partitions.count;
    }
    struct commit *commit = mem_zalloc(sizeof *commit);
    commit->entries = mem_array(total, sizeof *commit->entries);
    for (int32_t i = 0; i < response->topics.count; i++) {
        const char *topic = commit_topic(all, call, i);
        for (int32_t j = 0; j < response->topics.items[i].partitions.count; j++) {
            int16_t *error = &response->topics.items[i].partitions.items[j].error_code;
            if (topic == NULL) {
                *error = call->api_version >= 10 ? KAFKA_UNKNOWN_TOPIC_ID
                                                 : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            } else {
                add_entry(all, commit, topic, &request->topics.items[i].partitions.items[j], error);
            }
        }
    }
    return commit;
}

void group_offset_commit(struct groups *all, struct group_call *call)
{
    const struct offset_commit_request *request = call->request;
    int16_t error = KAFKA_NONE;
    struct coordinator *at = groups_coordinator(all, request->group_id, &error);
    struct group *group =
        at != NULL ? group_find(at, request->group_id.data, (size_t)request->group_id.size) : NULL;
    if (at != NULL) {
        error = check_commit(group, request);
    }
    fill_commit_response(call, error);
    if (error != KAFKA_NONE) {
        group_call_done(call);
        return;
    }
    struct commit *commit = collect_commit(all, call);
    if (commit->count == 0) {
        commit_free(commit);
        group_call_done(call);
        return;
    }
    if (group == NULL) {
        group = group_make(at, request->group_id.data, (size_t)request->group_id.size);
    }
    struct group_record *records = mem_array((size_t)commit->count, sizeof *records);
    for (int i = 0; i < commit->count; i++) {
        struct commit_entry *entry = &commit->entries[i];
        struct committed_offset *offset =
            offset_make(group, entry->topic, strlen(entry->topic), entry->partition);
        offset->pending++;
        entry->serial = offset->serial;
        group_record_of_offset(group->id, entry->topic, entry->partition, &entry->value,
                               &records[i]);
    }
    int count = commit->count;
    group_call_park(call, &commit->call);
    group_store(at, group->id, records, count, on_commit_stored, NULL, commit, commit_free);
    for (int i = 0; i < count; i++) {
        group_record_free(&records[i]);
    }
    mem_free(records);
}

/* ---- OffsetDelete and expiry ---- */

static void on_tombstones_stored(struct group_write *write, int16_t error)
{
    if (error != KAFKA_NONE) {
        trace_warn(env_trace(write->at->all->env), "group %s: offsets not removed from the log: %s",
                   write->group_id, kafka_error_name(error));
    }
}

/* Tombstones gathered, and how they leave. */
struct removal {
    struct group_record *records;
    size_t count;
    size_t capacity;
};

/* Forgets the offset, and makes the record that says so. */
static void remove_offset(struct removal *removal, struct group *group,
                          struct committed_offset *offset)
{
    struct group_record *record = MEM_PUSH(removal->records, removal->count, removal->capacity);
    *record = (struct group_record){0};
    group_record_offset_tombstone(group->id, offset->topic, offset->partition, record);
    offset_free(group, offset);
}

static void store_removal(struct removal *removal, struct coordinator *at, const char *group_id)
{
    for (size_t i = 0; i < removal->count;) {
        int fit = group_store_fit(&removal->records[i], removal->count - i);
        group_store(at, group_id, &removal->records[i], fit, on_tombstones_stored, NULL, NULL,
                    NULL);
        i += (size_t)fit;
    }
    for (size_t i = 0; i < removal->count; i++) {
        group_record_free(&removal->records[i]);
    }
    mem_free(removal->records);
}

/* A member that subscribes to the topic keeps its offsets from being deleted. Subscriptions of the
 * "consumer" protocol begin with int16 version, then the array of topic names. */
static bool subscribed(const struct group *group, struct wire_str topic)
{
    LIST_FOREACH(node, &group->members) {
        const struct member *member = CONTAINER_OF(node, struct member, node);
        const struct member_protocol *protocol =
            group->protocol_name != NULL ? member_protocol(member, group->protocol_name) : NULL;
        if (protocol == NULL) {
            return true; /* cannot tell: keep */
        }
        struct wire_in in = wire_in_of(protocol->metadata, (size_t)protocol->metadata_size);
        wire_get_i16(&in);
        int32_t count = wire_get_i32(&in);
        for (int32_t i = 0; i < count && in.error == ERR_NONE; i++) {
            int16_t size = wire_get_i16(&in);
            const uint8_t *name = size >= 0 ? wire_get_raw(&in, (size_t)size) : NULL;
            if (name != NULL && size == topic.size && memcmp(name, topic.data, (size_t)size) == 0) {
                return true;
            }
        }
    }
    return false;
}

void group_offset_delete(struct groups *all, struct group_call *call)
{
    const struct offset_delete_request *request = call->request;
    struct offset_delete_response *response = call->response;
    wire_defaults(&wire_offset_delete_response, response);
    struct coordinator *at = groups_coordinator(all, request->group_id, &response->error_code);
    struct group *group =
        at != NULL ? group_find(at, request->group_id.data, (size_t)request->group_id.size) : NULL;
    if (at != NULL && group == NULL) {
        response->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    } else if (group != NULL && group->member_count > 0 &&
               (group->protocol_type == NULL || strcmp(group->protocol_type, "consumer") != 0)) {
        response->error_code = KAFKA_NON_EMPTY_GROUP;
    }
    if (response->error_code != KAFKA_NONE) {
        group_call_done(call);
        return;
    }
    struct removal removal = {0};
    int32_t topics = request->topics.count > 0 ? request->topics.count : 0;
    response->topics.count = topics;
    response->topics.items =
        arena_array(call->arena, (size_t)topics, sizeof *response->topics.items);
    for (int32_t i = 0; i < topics; i++) {
        struct wire_str topic = request->topics.items[i].name;
        bool kept = subscribed(group, topic);
        int32_t count = request->topics.items[i].partitions.count;
        count = count > 0 ? count : 0;
        response->topics.items[i].name = topic;
        response->topics.items[i].partitions.count = count;
        response->topics.items[i].partitions.items = arena_array(
            call->arena, (size_t)count, sizeof *response->topics.items[i].partitions.items);
        for (int32_t j = 0; j < count; j++) {
            int32_t partition = request->topics.items[i].partitions.items[j].partition_index;
            response->topics.items[i].partitions.items[j].partition_index = partition;
            response->topics.items[i].partitions.items[j].error_code =
                kept ? KAFKA_GROUP_SUBSCRIBED_TO_TOPIC : KAFKA_NONE;
            struct committed_offset *offset =
                kept ? NULL : offset_find(group, topic.data, (size_t)topic.size, partition);
            if (offset != NULL) {
                remove_offset(&removal, group, offset);
            }
        }
    }
    store_removal(&removal, at, group->id);
    group_call_done(call);
}

/* Offsets of a group without members that are past retention; then the group itself when nothing is
 * left. */
static void expire_group(struct group *group)
{
    struct groups *all = group->at->all;
    int64_t horizon_ms = env_wall_ms(all->env) - all->config.offsets_retention_ms;
    if (group->state != GROUP_EMPTY || group->state_timestamp_ms > horizon_ms) {
        return;
    }
    struct removal removal = {0};
    struct committed_offset *offset;
    struct committed_offset *next;
    HASH_ITER(hh, group->offsets, offset, next)
    {
        if (offset->pending == 0 && offset->commit_timestamp_ms <= horizon_ms) {
            remove_offset(&removal, group, offset);
        }
    }
    bool gone = group->offsets == NULL && list_empty(&group->pending_members);
    if (gone) {
        struct group_record *record = MEM_PUSH(removal.records, removal.count, removal.capacity);
        *record = (struct group_record){0};
        group_record_tombstone(group->id, record);
    }
    if (removal.count > 0) {
        trace_info(env_trace(all->env), "group %s: %zu records expired", group->id, removal.count);
    }
    store_removal(&removal, group->at, group->id);
    if (gone) {
        group_free(group);
    }
}

void groups_expire(struct groups *all)
{
    struct coordinator *at;
    struct coordinator *next_at;
    HASH_ITER(hh, all->coordinators, at, next_at)
    {
        struct group *group;
        struct group *next;
        HASH_ITER(hh, at->groups, group, next)
        {
            if (at->state == COORDINATOR_ACTIVE) {
                expire_group(group);
            }
        }
    }
}

static void remove_topics(struct group *group, const char *const *topics, int count)
{
    struct removal removal = {0};
    struct committed_offset *offset;
    struct committed_offset *next;
    HASH_ITER(hh, group->offsets, offset, next)
    {
        bool deleted = false;
        for (int i = 0; i < count && !deleted; i++) {
            deleted = strcmp(topics[i], offset->topic) == 0;
        }
        if (deleted) {
            remove_offset(&removal, group, offset);
        }
    }
    store_removal(&removal, group->at, group->id);
}

void groups_topics_deleted(struct groups *groups, const char *const *topics, int count)
{
    struct coordinator *at;
    struct coordinator *next_at;
    HASH_ITER(hh, groups->coordinators, at, next_at)
    {
        struct group *group;
        struct group *next_group;
        HASH_ITER(hh, at->groups, group, next_group)
        {
            if (at->state == COORDINATOR_ACTIVE) {
                remove_topics(group, topics, count);
            }
        }
    }
}
