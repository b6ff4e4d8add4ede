/* LeaveGroup (KIP-345 batches from version 3) and what a departure means for the group. */
#include <string.h>

#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static void on_metadata_stored(struct group_write *write, int16_t error)
{
    if (error != KAFKA_NONE) {
        trace_warn(env_trace(write->at->all->env), "group %s: metadata not stored: %s",
                   write->group_id, kafka_error_name(error));
    }
}

void group_store_metadata(struct group *group)
{
    struct group_record record = {0};
    group_record_of_group(group, &record);
    group_store(group->at, group->id, &record, 1, on_metadata_stored, NULL, NULL, NULL);
    group_record_free(&record);
}

void group_remove_member(struct group *group, struct member *member, const char *why)
{
    ASSERT(member->group == group);
    group_answer_join(member, KAFKA_UNKNOWN_MEMBER_ID);
    group_answer_sync(member, KAFKA_UNKNOWN_MEMBER_ID);
    if (group->leader_id != NULL && strcmp(group->leader_id, member->id) == 0) {
        mem_free(group->leader_id);
        group->leader_id = NULL; /* the next complete join chooses */
    }
    member_free(member);
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING_REBALANCE) {
        group_rebalance(group, why);
    } else if (group->state == GROUP_PREPARING_REBALANCE) {
        group_try_complete_join(group);
    }
}

static int16_t leave_one(struct group *group, struct wire_str member_id,
                         struct wire_str instance_id)
{
    if (group == NULL) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    struct pending_member *pending = instance_id.size < 0 ? pending_find(group, member_id) : NULL;
    if (pending != NULL) {
        pending_free(pending);
        group_try_complete_join(group);
        return KAFKA_NONE;
    }
    struct member *member = NULL;
    if (instance_id.size >= 0) {
        member = member_find_instance(group, instance_id);
        if (member != NULL && member_id.size > 0 && !member_is(member, member_id)) {
            return KAFKA_FENCED_INSTANCE_ID;
        }
    } else {
        member = member_find(group, member_id);
    }
    if (member == NULL) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    trace_info(env_trace(group->at->all->env), "group %s: member %s leaves", group->id, member->id);
    group_remove_member(group, member, "a member left");
    return KAFKA_NONE;
}

void group_leave(struct groups *all, struct group_call *call)
{
    const struct leave_group_request *request = call->request;
    struct leave_group_response *response = call->response;
    wire_defaults(&wire_leave_group_response, response);
    int16_t error = KAFKA_NONE;
    struct coordinator *at = groups_coordinator(all, request->group_id, &error);
    if (at == NULL) {
        response->error_code = error;
        group_call_done(call);
        return;
    }
    struct group *group = group_find(at, request->group_id.data, (size_t)request->group_id.size);
    if (call->api_version <= 2) {
        response->error_code = leave_one(group, request->member_id, WIRE_STR_NULL);
        if (group != NULL) {
            group_forget_if_void(group);
        }
        group_call_done(call);
        return;
    }
    int32_t count = request->members.count > 0 ? request->members.count : 0;
    response->members.count = count;
    response->members.items =
        arena_array(call->arena, (size_t)count, sizeof *response->members.items);
    for (int32_t i = 0; i < count; i++) {
        struct wire_str member_id = request->members.items[i].member_id;
        struct wire_str instance_id = request->members.items[i].group_instance_id;
        response->members.items[i].member_id = member_id;
        response->members.items[i].group_instance_id = instance_id;
        response->members.items[i].error_code = leave_one(group, member_id, instance_id);
    }
    if (group != NULL) {
        group_forget_if_void(group);
    }
    group_call_done(call);
}
