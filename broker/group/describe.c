/* ListGroups, DescribeGroups, DeleteGroups: what an operator asks of the groups coordinated here.
 */
#include <string.h>

#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

/* Of an id in a sentence: the two together must fit a string of the protocol. */
enum { GROUP_ID_SHOWN_MAX = 1024 };

/* Case-insensitive, as Kafka's filters are; an empty filter lets all pass. */
static bool passes(const struct wire_str *wanted, int32_t count, const char *value)
{
    for (int32_t i = 0; i < count; i++) {
        if (wanted[i].size == (int32_t)strlen(value) &&
            strncasecmp(wanted[i].data, value, (size_t)wanted[i].size) == 0) {
            return true;
        }
    }
    return count <= 0;
}

void group_list(struct groups *all, struct group_call *call)
{
    const struct list_groups_request *request = call->request;
    struct list_groups_response *response = call->response;
    wire_defaults(&wire_list_groups_response, response);
    size_t total = 0;
    struct coordinator *at;
    struct coordinator *next_at;
    HASH_ITER(hh, all->coordinators, at, next_at)
    {
        total += HASH_COUNT(at->groups);
        if (at->state == COORDINATOR_LOADING) {
            response->error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
        }
    }
    response->groups.count = 0;
    response->groups.items = arena_array(call->arena, total, sizeof *response->groups.items);
    HASH_ITER(hh, all->coordinators, at, next_at)
    {
        struct group *group;
        struct group *next;
        HASH_ITER(hh, at->groups, group, next)
        {
            const char *state = group_state_name(group->state);
            if (at->state != COORDINATOR_ACTIVE ||
                !passes(request->states_filter.items, request->states_filter.count, state) ||
                !passes(request->types_filter.items, request->types_filter.count, "classic")) {
                continue;
            }
            int32_t i = response->groups.count++;
            response->groups.items[i].group_id = wire_str(arena_strdup(call->arena, group->id));
            response->groups.items[i].protocol_type = wire_str(
                arena_strdup(call->arena, group->protocol_type ? group->protocol_type : ""));
            response->groups.items[i].group_state = wire_str(state);
            response->groups.items[i].group_type = wire_str("classic");
        }
    }
    group_call_done(call);
}

static struct wire_bytes copy_bytes(struct arena *arena, const uint8_t *data, int32_t size)
{
    return (struct wire_bytes){arena_dup(arena, data, (size_t)size), size};
}

static void describe_members(const struct group *group, struct group_call *call, int32_t index)
{
    struct describe_groups_response *response = call->response;
    __typeof__(&response->groups.items[0]) out = &response->groups.items[index];
    bool stable = group->state == GROUP_STABLE;
    out->members.count = group->member_count;
    out->members.items =
        arena_array(call->arena, (size_t)group->member_count, sizeof *out->members.items);
    int32_t i = 0;
    LIST_FOREACH(node, &group->members) {
        const struct member *member = CONTAINER_OF(node, struct member, node);
        __typeof__(&out->members.items[0]) to = &out->members.items[i++];
        to->member_id = wire_str(arena_strdup(call->arena, member->id));
        to->group_instance_id = member->instance_id != NULL
                                    ? wire_str(arena_strdup(call->arena, member->instance_id))
                                    : WIRE_STR_NULL;
        to->client_id = wire_str(arena_strdup(call->arena, member->client_id));
        to->client_host = wire_str(arena_strdup(call->arena, member->client_host));
        const struct member_protocol *protocol =
            stable ? member_protocol(member, group->protocol_name) : NULL;
        if (protocol != NULL) {
            to->member_metadata =
                copy_bytes(call->arena, protocol->metadata, protocol->metadata_size);
            to->member_assignment =
                copy_bytes(call->arena, member->assignment, member->assignment_size);
        }
    }
}

static void describe_one(struct groups *all, struct group_call *call, uint64_t serial,
                         int32_t index)
{
    const struct describe_groups_request *request = call->request;
    struct describe_groups_response *response = call->response;
    __typeof__(&response->groups.items[0]) out = &response->groups.items[index];
    struct wire_str id = request->groups.items[index];
    out->group_id = id;
    out->group_state = wire_str("");
    out->protocol_type = wire_str("");
    out->protocol_data = wire_str("");
    out->authorized_operations = INT32_MIN;
    out->error_message = WIRE_STR_NULL;
    struct coordinator *at = groups_coordinator(all, id, &out->error_code);
    if (at == NULL) {
        return;
    }
    struct group *group = group_find(at, id.data, (size_t)id.size);
    if (group == NULL) {
        out->group_state = wire_str("Dead");
        if (call->api_version >= 6) { /* KIP-1043 */
            out->error_code = KAFKA_GROUP_ID_NOT_FOUND;
            int shown = id.size < GROUP_ID_SHOWN_MAX ? id.size : GROUP_ID_SHOWN_MAX;
            out->error_message =
                wire_str(arena_printf(call->arena, "Group %.*s not found.", shown, id.data));
        }
        return;
    }
    if (group_seen(group, serial)) {
        out->error_code = KAFKA_INVALID_REQUEST;
        return;
    }
    out->group_state = wire_str(group_state_name(group->state));
    out->protocol_type =
        wire_str(arena_strdup(call->arena, group->protocol_type ? group->protocol_type : ""));
    if (group->state == GROUP_STABLE) {
        out->protocol_data = wire_str(arena_strdup(call->arena, group->protocol_name));
    }
    describe_members(group, call, index);
}

void group_describe(struct groups *all, struct group_call *call)
{
    const struct describe_groups_request *request = call->request;
    struct describe_groups_response *response = call->response;
    wire_defaults(&wire_describe_groups_response, response);
    int32_t count = request->groups.count > 0 ? request->groups.count : 0;
    uint64_t serial = ++all->last_serial;
    response->groups.count = count;
    response->groups.items =
        arena_array(call->arena, (size_t)count, sizeof *response->groups.items);
    for (int32_t i = 0; i < count; i++) {
        describe_one(all, call, serial, i);
    }
    group_call_done(call);
}

/* ---- DeleteGroups ---- */

/* A call waits for the tombstones of every group it names, each in one or more batches. */
struct deletion {
    struct group_call *call;
    int waiting;
};

struct deletion_part {
    struct deletion *deletion;
    int16_t *error;
};

static void deletion_done(struct deletion *deletion)
{
    if (--deletion->waiting > 0) {
        return;
    }
    if (deletion->call != NULL) {
        group_call_done(deletion->call);
    }
    mem_free(deletion);
}

static void on_group_deleted(struct group_write *write, int16_t error)
{
    struct deletion_part *part = write->extra;
    if (part->deletion->call != NULL && error != KAFKA_NONE) {
        *part->error = group_store_error(error);
    }
    deletion_done(part->deletion);
}

static void delete_group(struct group *group, struct deletion *deletion, int16_t *error)
{
    struct coordinator *at = group->at;
    size_t count = HASH_COUNT(group->offsets) + 1;
    struct group_record *records = mem_array(count, sizeof *records);
    size_t n = 0;
    struct committed_offset *offset;
    struct committed_offset *next;
    HASH_ITER(hh, group->offsets, offset, next)
    {
        group_record_offset_tombstone(group->id, offset->topic, offset->partition, &records[n++]);
    }
    group_record_tombstone(group->id, &records[n++]);
    ASSERT(n == count);
    trace_info(env_trace(at->all->env), "group %s: deleted on request, %zu offsets", group->id,
               count - 1);
    char *id = mem_strdup(group->id);
    group_free(group);
    for (size_t i = 0; i < count;) {
        struct deletion_part *part = mem_zalloc(sizeof *part);
        part->deletion = deletion;
        part->error = error;
        deletion->waiting++;
        int fit = group_store_fit(&records[i], count - i);
        group_store(at, id, &records[i], fit, on_group_deleted, NULL, part, mem_free);
        i += (size_t)fit;
    }
    mem_free(id);
    for (size_t i = 0; i < count; i++) {
        group_record_free(&records[i]);
    }
    mem_free(records);
}

void group_delete(struct groups *all, struct group_call *call)
{
    const struct delete_groups_request *request = call->request;
    struct delete_groups_response *response = call->response;
    wire_defaults(&wire_delete_groups_response, response);
    int32_t count = request->groups_names.count > 0 ? request->groups_names.count : 0;
    response->results.count = count;
    response->results.items =
        arena_array(call->arena, (size_t)count, sizeof *response->results.items);
    struct deletion *deletion = mem_zalloc(sizeof *deletion);
    deletion->waiting = 1; /* our own hold while the loop runs */
    group_call_park(call, &deletion->call);
    for (int32_t i = 0; i < count; i++) {
        struct wire_str id = request->groups_names.items[i];
        int16_t *error = &response->results.items[i].error_code;
        response->results.items[i].group_id = id;
        struct coordinator *at = groups_coordinator(all, id, error);
        struct group *group = at != NULL ? group_find(at, id.data, (size_t)id.size) : NULL;
        if (at == NULL) {
            continue;
        }
        if (group == NULL) {
            *error = KAFKA_GROUP_ID_NOT_FOUND;
        } else if (group->state != GROUP_EMPTY) {
            *error = KAFKA_NON_EMPTY_GROUP;
        } else {
            delete_group(group, deletion, error);
        }
    }
    deletion_done(deletion);
}
