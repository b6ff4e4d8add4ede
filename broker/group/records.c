/* The records of __consumer_offsets, as Kafka's group coordinator writes and reads them: the key
 * begins with its kind (1 an offset, 2 a group's metadata), the value with its version; a null
 * value is a tombstone. */
#include <string.h>

#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum {
    KIND_OFFSET_OLD = 0, /* version 0 of the key, written before Kafka 0.9: same shape */
    KIND_OFFSET = 1,
    KIND_GROUP = 2,
    OFFSET_VALUE_VERSION = 3,
    GROUP_VALUE_VERSION = 3
};

void group_record_free(struct group_record *record)
{
    bytes_free(&record->key);
    bytes_free(&record->value);
}

static void put_message(struct bytes *to, int16_t prefix, const struct wire_message *message,
                        int16_t version, const void *body)
{
    struct wire_out out = {0};
    wire_put_i16(&out, prefix);
    enum err error = wire_encode(message, version, body, &out);
    ASSERT(error == ERR_NONE && out.splice_count == 0);
    *to = out.bytes;
}

static void put_group_key(struct bytes *to, const char *group_id)
{
    struct group_metadata_key key = {.group = wire_str(group_id)};
    put_message(to, KIND_GROUP, &wire_group_metadata_key, 0, &key);
}

static void put_offset_key(struct bytes *to, const char *group_id, const char *topic,
                           int32_t partition)
{
    struct offset_commit_key key = {
        .group = wire_str(group_id), .topic = wire_str(topic), .partition = partition};
    put_message(to, KIND_OFFSET, &wire_offset_commit_key, 0, &key);
}

static void fill_member(struct group_metadata_value_member *out, const struct group *group,
                        const struct member *member)
{
    const struct member_protocol *protocol =
        group->protocol_name != NULL ? member_protocol(member, group->protocol_name) : NULL;
    out->member_id = wire_str(member->id);
    out->group_instance_id = wire_str(member->instance_id);
    out->client_id = wire_str(member->client_id);
    out->client_host = wire_str(member->client_host);
    out->rebalance_timeout = member->rebalance_timeout_ms;
    out->session_timeout = member->session_timeout_ms;
    out->subscription.data = protocol != NULL ? protocol->metadata : NULL;
    out->subscription.size = protocol != NULL ? protocol->metadata_size : 0;
    out->assignment.data = member->assignment;
    out->assignment.size = member->assignment_size;
}

void group_record_of_group(const struct group *group, struct group_record *out)
{
    struct group_metadata_value value;
    wire_defaults(&wire_group_metadata_value, &value);
    value.protocol_type = wire_str(group->protocol_type != NULL ? group->protocol_type : "");
    value.generation = group->generation;
    value.protocol = wire_str(group->protocol_name);
    value.leader = wire_str(group->leader_id);
    value.current_state_timestamp = group->state_timestamp_ms;
    value.members.count = group->member_count;
    value.members.items = mem_array((size_t)group->member_count, sizeof *value.members.items);
    int32_t i = 0;
    LIST_FOREACH(node, &group->members) {
        fill_member(&value.members.items[i++], group, CONTAINER_OF(node, struct member, node));
    }
    put_group_key(&out->key, group->id);
    put_message(&out->value, GROUP_VALUE_VERSION, &wire_group_metadata_value, GROUP_VALUE_VERSION,
                &value);
    mem_free(value.members.items);
}

void group_record_tombstone(const char *group_id, struct group_record *out)
{
    put_group_key(&out->key, group_id);
}

void group_record_of_offset(const char *group_id, const char *topic, int32_t partition,
                            const struct committed_offset *from, struct group_record *out)
{
    struct offset_commit_value value;
    wire_defaults(&wire_offset_commit_value, &value);
    value.offset = from->offset;
    value.leader_epoch = from->leader_epoch;
    value.metadata = wire_str(from->metadata);
    value.commit_timestamp = from->commit_timestamp_ms;
    put_offset_key(&out->key, group_id, topic, partition);
    put_message(&out->value, OFFSET_VALUE_VERSION, &wire_offset_commit_value, OFFSET_VALUE_VERSION,
                &value);
}

void group_record_offset_tombstone(const char *group_id, const char *topic, int32_t partition,
                                   struct group_record *out)
{
    put_offset_key(&out->key, group_id, topic, partition);
}

/* ---- reading ---- */

static bool get_value(struct wire_in *in, const struct wire_message *message, void *body,
                      struct arena *arena)
{
    int16_t version = wire_get_i16(in);
    if (in->error != ERR_NONE || version < wire_message_min(message) ||
        version > wire_message_max(message)) {
        return false;
    }
    return wire_decode(message, version, in, body, arena) == ERR_NONE;
}

static bool apply_offset(struct coordinator *at, struct wire_in *key, struct wire_in *value,
                         struct arena *arena)
{
    struct offset_commit_key k;
    if (wire_decode(&wire_offset_commit_key, 0, key, &k, arena) != ERR_NONE || k.group.size < 0 ||
        k.topic.size < 0) {
        return false;
    }
    if (value == NULL) {
        struct group *group = group_find(at, k.group.data, (size_t)k.group.size);
        struct committed_offset *gone =
            group != NULL ? offset_find(group, k.topic.data, (size_t)k.topic.size, k.partition)
                          : NULL;
        if (gone != NULL) {
            offset_free(group, gone);
        }
        return true;
    }
    struct offset_commit_value v;
    if (!get_value(value, &wire_offset_commit_value, &v, arena)) {
        return false;
    }
    struct group *group = group_make(at, k.group.data, (size_t)k.group.size);
    struct committed_offset *offset =
        offset_make(group, k.topic.data, (size_t)k.topic.size, k.partition);
    offset_set(offset, v.offset, v.leader_epoch, v.metadata.data,
               v.metadata.size > 0 ? (size_t)v.metadata.size : 0, v.commit_timestamp);
    return true;
}

static char *own(struct wire_str s)
{
    if (s.size < 0) {
        return NULL;
    }
    char *copy = mem_alloc((size_t)s.size + 1);
    if (s.size > 0) {
        memcpy(copy, s.data, (size_t)s.size);
    }
    copy[s.size] = '\0';
    return copy;
}

static void load_member(struct group *group, const struct group_metadata_value_member *from,
                        struct arena *arena)
{
    struct member *member = member_add(group, wire_str_dup(arena, from->member_id),
                                       wire_str_dup(arena, from->group_instance_id));
    mem_free(member->client_id);
    mem_free(member->client_host);
    member->client_id = own(from->client_id);
    member->client_host = own(from->client_host);
    member->is_new = false;
    member->rebalance_timeout_ms =
        from->rebalance_timeout >= 0 ? from->rebalance_timeout : from->session_timeout;
    member->session_timeout_ms = from->session_timeout;
    if (group->protocol_name != NULL) {
        int32_t size = from->subscription.size > 0 ? from->subscription.size : 0;
        member->protocols = mem_array(1, sizeof *member->protocols);
        member->protocol_count = 1;
        member->protocols[0].name = mem_strdup(group->protocol_name);
        member->protocols[0].metadata = mem_dup(from->subscription.data, (size_t)size);
        member->protocols[0].metadata_size = size;
    }
    member_set_assignment(member, from->assignment.data, from->assignment.size);
}

static void load_group(struct group *group, const struct group_metadata_value *from,
                       struct arena *arena)
{
    while (!list_empty(&group->members)) {
        member_free(CONTAINER_OF(group->members.next, struct member, node));
    }
    mem_free(group->protocol_type);
    mem_free(group->protocol_name);
    mem_free(group->leader_id);
    group->protocol_type = from->protocol_type.size > 0 ? own(from->protocol_type) : NULL;
    group->protocol_name = own(from->protocol);
    group->leader_id = own(from->leader);
    group->generation = from->generation;
    for (int32_t i = 0; i < from->members.count; i++) {
        if (from->members.items[i].member_id.size > 0) {
            load_member(group, &from->members.items[i], arena);
        }
    }
    group->state = group->member_count > 0 ? GROUP_STABLE : GROUP_EMPTY;
    if (from->current_state_timestamp >= 0) {
        group->state_timestamp_ms = from->current_state_timestamp;
    }
}

static bool apply_group(struct coordinator *at, struct wire_in *key, struct wire_in *value,
                        struct arena *arena)
{
    struct group_metadata_key k;
    if (wire_decode(&wire_group_metadata_key, 0, key, &k, arena) != ERR_NONE || k.group.size < 0) {
        return false;
    }
    if (value == NULL) {
        struct group *group = group_find(at, k.group.data, (size_t)k.group.size);
        if (group != NULL) {
            group_free(group);
        }
        return true;
    }
    struct group_metadata_value v;
    if (!get_value(value, &wire_group_metadata_value, &v, arena)) {
        return false;
    }
    /* A group has members only with all that members need of it. */
    if (v.members.count > 0 &&
        (v.protocol_type.size <= 0 || v.protocol.size < 0 || v.leader.size < 0)) {
        return false;
    }
    load_group(group_make(at, k.group.data, (size_t)k.group.size), &v, arena);
    return true;
}

bool group_record_apply(struct coordinator *at, const uint8_t *key, int32_t key_size,
                        const uint8_t *value, int32_t value_size)
{
    if (key_size < 2) {
        return false;
    }
    struct arena arena = {0};
    struct wire_in k = wire_in_of(key, (size_t)key_size);
    struct wire_in v = wire_in_of(value, value_size > 0 ? (size_t)value_size : 0);
    struct wire_in *v_or_null = value_size >= 0 ? &v : NULL;
    int16_t kind = wire_get_i16(&k);
    bool ok = true; /* other kinds (consumer, share, streams groups) are not ours */
    if (kind == KIND_OFFSET || kind == KIND_OFFSET_OLD) {
        ok = apply_offset(at, &k, v_or_null, &arena);
    } else if (kind == KIND_GROUP) {
        ok = apply_group(at, &k, v_or_null, &arena);
    }
    arena_free(&arena);
    return ok;
}
