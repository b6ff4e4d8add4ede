/* SyncGroup and Heartbeat.
 *
 * Happy path: members sync and wait; the leader's sync brings the assignments, which are stored in
 * the log; when they are below the high watermark the group is stable and every waiting member gets
 * its part. Failure modes: the store fails -> assignments are forgotten, everyone gets the error
 * and rebalances. */
#include <string.h>

#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { ASSIGNMENTS_SPARE = 1000 };

static void fill_sync_error(struct group_call *call, int16_t error)
{
    struct sync_group_response *response = call->response;
    wire_defaults(&wire_sync_group_response, response);
    response->error_code = error;
    response->assignment.size = 0;
}

static void refuse_sync(struct group_call *call, int16_t error)
{
    fill_sync_error(call, error);
    group_call_done(call);
}

void group_answer_sync(struct member *member, int16_t error)
{
    struct group *group = member->group;
    struct group_call *call = member->sync;
    if (call == NULL) {
        return;
    }
    member_heard(member); /* it could not send heartbeats of its own while it waited */
    if (error != KAFKA_NONE) {
        refuse_sync(call, error);
        return;
    }
    struct sync_group_response *response = call->response;
    wire_defaults(&wire_sync_group_response, response);
    response->protocol_type = wire_str(arena_strdup(call->arena, group->protocol_type));
    response->protocol_name = wire_str(arena_strdup(call->arena, group->protocol_name));
    response->assignment.data =
        arena_dup(call->arena, member->assignment, (size_t)member->assignment_size);
    response->assignment.size = member->assignment_size;
    group_call_done(call);
}

/* What a store of assignments was for; compared when it completes. */
struct sync_round {
    int32_t generation;
};

static void on_assignment_stored(struct group_write *write, int16_t error)
{
    struct coordinator *at = write->at;
    const struct sync_round *round = write->extra;
    struct group *group = group_find(at, write->group_id, strlen(write->group_id));
    if (group == NULL) {
        return;
    }
    if (group->generation != round->generation || group->state != GROUP_COMPLETING_REBALANCE) {
        return; /* a newer rebalance has taken over, and clears the flag itself when it stores */
    }
    group->storing_assignment = false;
    if (error == KAFKA_NONE) {
        group_set_state(group, GROUP_STABLE); /* the timer runs on, for members yet to sync */
        LIST_FOREACH(node, &group->members) {
            group_answer_sync(CONTAINER_OF(node, struct member, node), KAFKA_NONE);
        }
        return;
    }
    trace_warn(env_trace(at->all->env), "group %s: assignment not stored: %s", group->id,
               kafka_error_name(error));
    LIST_FOREACH(node, &group->members) {
        struct member *member = CONTAINER_OF(node, struct member, node);
        member_set_assignment(member, NULL, 0);
        group_answer_sync(member, group_store_error(error));
    }
    group_rebalance(group, "the assignment could not be stored");
}

static void store_assignment(struct group *group, const struct sync_group_request *request)
{
    LIST_FOREACH(node, &group->members) {
        struct member *member = CONTAINER_OF(node, struct member, node);
        member_set_assignment(member, NULL, 0);
        for (int32_t i = 0; i < request->assignments.count; i++) {
            if (member_is(member, request->assignments.items[i].member_id)) {
                member_set_assignment(member, request->assignments.items[i].assignment.data,
                                      request->assignments.items[i].assignment.size);
            }
        }
    }
    struct sync_round *round = mem_zalloc(sizeof *round);
    round->generation = group->generation;
    group->storing_assignment = true;
    struct group_record record = {0};
    group_record_of_group(group, &record);
    group_store(group->at, group->id, &record, 1, on_assignment_stored, NULL, round, mem_free);
    group_record_free(&record);
}

static int16_t check_sync(struct group *group, const struct sync_group_request *request,
                          struct member **member)
{
    int16_t error = group_check_member(group, request->member_id, request->group_instance_id,
                                       request->generation_id, member);
    if (error != KAFKA_NONE) {
        return error;
    }
    bool type_differs = request->protocol_type.size >= 0 && group->protocol_type != NULL &&
                        !wire_str_is(request->protocol_type, group->protocol_type);
    bool name_differs = request->protocol_name.size >= 0 && group->protocol_name != NULL &&
                        !wire_str_is(request->protocol_name, group->protocol_name);
    if (type_differs || name_differs) {
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    }
    /* One for each member is what a leader sends; some may have left since. */
    int64_t most = 2 * (int64_t)group->member_count + ASSIGNMENTS_SPARE;
    return request->assignments.count > most ? KAFKA_INVALID_REQUEST : KAFKA_NONE;
}

void group_sync(struct groups *all, struct group_call *call)
{
    const struct sync_group_request *request = call->request;
    int16_t error = KAFKA_NONE;
    struct coordinator *at = groups_coordinator(all, request->group_id, &error);
    if (at == NULL) {
        /* Kafka answers a loading coordinator with REBALANCE_IN_PROGRESS: the member joins again.
         */
        refuse_sync(call, error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS ? KAFKA_REBALANCE_IN_PROGRESS
                                                                      : error);
        return;
    }
    struct group *group = group_find(at, request->group_id.data, (size_t)request->group_id.size);
    struct member *member = NULL;
    error = group == NULL ? KAFKA_UNKNOWN_MEMBER_ID : check_sync(group, request, &member);
    if (error == KAFKA_NONE && group->state == GROUP_PREPARING_REBALANCE) {
        error = KAFKA_REBALANCE_IN_PROGRESS;
    }
    if (error == KAFKA_NONE && (group->state == GROUP_EMPTY || group->state == GROUP_DEAD)) {
        error = KAFKA_UNKNOWN_MEMBER_ID;
    }
    if (error != KAFKA_NONE) {
        refuse_sync(call, error);
        return;
    }
    member_heard(member);
    member->synced = true;
    group_answer_sync(member, KAFKA_REBALANCE_IN_PROGRESS); /* an older call of the same member */
    group_call_park(call, &member->sync);
    if (group->state == GROUP_STABLE) {
        group_answer_sync(member, KAFKA_NONE);
        return;
    }
    ASSERT(group->state == GROUP_COMPLETING_REBALANCE && group->leader_id != NULL);
    if (strcmp(member->id, group->leader_id) == 0 && !group->storing_assignment) {
        store_assignment(group, request);
    }
}

void group_heartbeat(struct groups *all, struct group_call *call)
{
    const struct heartbeat_request *request = call->request;
    struct heartbeat_response *response = call->response;
    wire_defaults(&wire_heartbeat_response, response);
    int16_t error = KAFKA_NONE;
    struct coordinator *at = groups_coordinator(all, request->group_id, &error);
    if (at == NULL) {
        /* A loading coordinator does not know its members yet: nothing to complain of. */
        response->error_code = error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS ? KAFKA_NONE : error;
        group_call_done(call);
        return;
    }
    struct group *group = group_find(at, request->group_id.data, (size_t)request->group_id.size);
    struct member *member = NULL;
    error = group == NULL
                ? KAFKA_UNKNOWN_MEMBER_ID
                : group_check_member(group, request->member_id, request->group_instance_id,
                                     request->generation_id, &member);
    if (error == KAFKA_NONE) {
        member_heard(member);
        if (group->state == GROUP_PREPARING_REBALANCE) {
            error = KAFKA_REBALANCE_IN_PROGRESS;
        } else if (group->state != GROUP_STABLE && group->state != GROUP_COMPLETING_REBALANCE) {
            error = KAFKA_UNKNOWN_MEMBER_ID;
        }
    }
    response->error_code = error;
    group_call_done(call);
}
