/* JoinGroup and the rebalance it takes part in.
 *
 * Happy path: first member -> the group waits initial_rebalance_delay_ms for others -> everyone has
 * joined -> generation + 1, a protocol is chosen, the leader gets all subscriptions (its SyncGroup
 * brings the assignment). Later joins of changed members, departures and new members start the next
 * rebalance, in which each member must rejoin within the longest rebalance timeout or is removed.
 * Failure modes: a member unknown, a protocol nobody shares, a full group, a fenced static member:
 * an error in the answer, the group unharmed. A member whose connection drops while it waits keeps
 * its place until its session ends. Rules: Kafka's GroupMetadataManager (classic groups), KIP-345,
 * KIP-394. */
#include <stdio.h>
#include <string.h>

#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { PROTOCOLS_MAX = 64 };

static void set_text(char **slot, const char *text)
{
    char *copy = text != NULL ? mem_strdup(text) : NULL;
    mem_free(*slot);
    *slot = copy;
}

void group_set_state(struct group *group, enum group_state state)
{
    group->state = state;
    group->state_timestamp_ms = env_wall_ms(group->at->all->env);
}

/* ---- answers ---- */

static void fill_join_error(struct group_call *call, int16_t error, const char *member_id)
{
    struct join_group_response *response = call->response;
    wire_defaults(&wire_join_group_response, response);
    response->error_code = error;
    response->generation_id = -1;
    response->leader = wire_str("");
    response->protocol_name = call->api_version >= 7 ? WIRE_STR_NULL : wire_str("");
    response->member_id = wire_str(arena_strdup(call->arena, member_id));
    response->members.count = 0;
}

static void refuse_join(struct group_call *call, int16_t error)
{
    const struct join_group_request *request = call->request;
    fill_join_error(call, error, wire_str_dup(call->arena, request->member_id));
    group_call_done(call);
}

static void fill_members(const struct group *group, struct group_call *call,
                         struct join_group_response *response)
{
    response->members.count = group->member_count;
    response->members.items =
        arena_array(call->arena, (size_t)group->member_count, sizeof *response->members.items);
    int32_t i = 0;
    LIST_FOREACH(node, &group->members) {
        const struct member *other = CONTAINER_OF(node, struct member, node);
        const struct member_protocol *chosen = member_protocol(other, group->protocol_name);
        ASSERT(chosen != NULL);
        response->members.items[i].member_id = wire_str(arena_strdup(call->arena, other->id));
        response->members.items[i].group_instance_id =
            other->instance_id != NULL ? wire_str(arena_strdup(call->arena, other->instance_id))
                                       : WIRE_STR_NULL;
        response->members.items[i].metadata.data =
            arena_dup(call->arena, chosen->metadata, (size_t)chosen->metadata_size);
        response->members.items[i].metadata.size = chosen->metadata_size;
        i++;
    }
}

static void fill_join(const struct member *member, struct group_call *call)
{
    const struct group *group = member->group;
    struct join_group_response *response = call->response;
    wire_defaults(&wire_join_group_response, response);
    response->generation_id = group->generation;
    response->protocol_type = wire_str(arena_strdup(call->arena, group->protocol_type));
    response->protocol_name = wire_str(arena_strdup(call->arena, group->protocol_name));
    response->leader = wire_str(arena_strdup(call->arena, group->leader_id));
    response->member_id = wire_str(arena_strdup(call->arena, member->id));
    response->members.count = 0;
    if (strcmp(member->id, group->leader_id) == 0) {
        fill_members(group, call, response);
    }
}

void group_answer_join(struct member *member, int16_t error)
{
    struct group_call *call = member->join;
    if (call == NULL) {
        return;
    }
    if (error != KAFKA_NONE) {
        fill_join_error(call, error, member->id);
        group_call_done(call);
        return;
    }
    fill_join(member, call);
    group_call_done(call);
}

/* ---- the rebalance ---- */

static void on_rebalance_timer(struct env_timer *timer);

static int32_t longest_rebalance_ms(const struct group *group)
{
    int32_t longest = 0;
    LIST_FOREACH(node, &group->members) {
        const struct member *member = CONTAINER_OF(node, struct member, node);
        if (member->rebalance_timeout_ms > longest) {
            longest = member->rebalance_timeout_ms;
        }
    }
    return longest;
}

static void arm_rebalance(struct group *group, int64_t delay_ms)
{
    struct env *env = group->at->all->env;
    group->rebalance.fire = on_rebalance_timer;
    env_timer_set(env, &group->rebalance, env_now_ms(env) + delay_ms);
}

void group_rebalance(struct group *group, const char *why)
{
    struct groups *all = group->at->all;
    if (group->state == GROUP_PREPARING_REBALANCE) {
        group_try_complete_join(group);
        return;
    }
    bool was_empty = group->state == GROUP_EMPTY;
    group->storing_assignment = false;
    LIST_FOREACH(node, &group->members) {
        struct member *member = CONTAINER_OF(node, struct member, node);
        group_answer_sync(member, KAFKA_REBALANCE_IN_PROGRESS);
    }
    trace_info(env_trace(all->env), "group %s: rebalance of generation %d: %s", group->id,
               group->generation, why);
    group_set_state(group, GROUP_PREPARING_REBALANCE);
    if (was_empty && all->config.initial_rebalance_delay_ms > 0) {
        group->delaying_first_join = true;
        group->joined_during_delay = false;
        int32_t longest_ms = longest_rebalance_ms(group);
        int32_t delay_ms = all->config.initial_rebalance_delay_ms;
        group->first_join_deadline_ms = env_now_ms(all->env) + longest_ms;
        arm_rebalance(group, delay_ms < longest_ms ? delay_ms : longest_ms);
        return;
    }
    arm_rebalance(group, longest_rebalance_ms(group));
    group_try_complete_join(group);
}

static bool everyone_joined(const struct group *group)
{
    LIST_FOREACH(node, &group->members) {
        const struct member *member = CONTAINER_OF(node, struct member, node);
        if (!member->joining) {
            return false;
        }
    }
    return list_empty(&group->pending_members);
}

/* The leader stays if it has rejoined, else the longest member that has: one that is away (static
 * members may be) would never send the assignment. NULL when nobody has. */
static const struct member *choose_leader(const struct group *group)
{
    const struct member *first = NULL;
    LIST_FOREACH(node, &group->members) {
        const struct member *member = CONTAINER_OF(node, struct member, node);
        if (!member->joining) {
            continue;
        }
        if (group->leader_id != NULL && strcmp(member->id, group->leader_id) == 0) {
            return member;
        }
        first = first == NULL ? member : first;
    }
    return first;
}

static void drop_absent(struct group *group)
{
    LIST_FOREACH(node, &group->members) {
        struct member *member = CONTAINER_OF(node, struct member, node);
        if (!member->joining && member->instance_id == NULL) {
            trace_info(env_trace(group->at->all->env), "group %s: member %s did not rejoin in time",
                       group->id, member->id);
            group_answer_join(member, KAFKA_UNKNOWN_MEMBER_ID);
            member_free(member);
        }
    }
}

static void complete_join(struct group *group)
{
    struct groups *all = group->at->all;
    group->delaying_first_join = false;
    env_timer_cancel(all->env, &group->rebalance);
    drop_absent(group);
    const struct member *leader = choose_leader(group);
    if (leader == NULL && group->member_count > 0) {
        arm_rebalance(group, longest_rebalance_ms(group)); /* static members, all of them away */
        return;
    }
    group->generation++;
    if (group->member_count == 0) {
        set_text(&group->leader_id, NULL);
        set_text(&group->protocol_name, NULL);
        group_set_state(group, GROUP_EMPTY);
        group_store_metadata(group);
        return;
    }
    set_text(&group->leader_id, leader->id);
    set_text(&group->protocol_name, group_choose_protocol(group));
    group_set_state(group, GROUP_COMPLETING_REBALANCE);
    trace_info(env_trace(all->env), "group %s: generation %d, %d members, protocol %s", group->id,
               group->generation, group->member_count, group->protocol_name);
    LIST_FOREACH(node, &group->members) {
        struct member *member = CONTAINER_OF(node, struct member, node);
        member->joining = false;
        member->synced = false;
        member->is_new = false;
        member_set_assignment(member, NULL, 0);
        member_heard(member);
        group_answer_join(member, KAFKA_NONE);
    }
    arm_rebalance(group, longest_rebalance_ms(group)); /* for those who do not sync */
}

void group_try_complete_join(struct group *group)
{
    if (group->state == GROUP_PREPARING_REBALANCE && !group->delaying_first_join &&
        everyone_joined(group)) {
        complete_join(group);
    }
}

/* The members that never sent SyncGroup are removed, and the rest rebalances without them. */
static void expire_pending_syncs(struct group *group)
{
    bool removed = false;
    LIST_FOREACH(node, &group->members) {
        struct member *member = CONTAINER_OF(node, struct member, node);
        if (!member->synced) {
            member_free(member);
            removed = true;
        }
    }
    if (removed) {
        group_rebalance(group, "members sent no SyncGroup in time");
    }
}

static void on_rebalance_timer(struct env_timer *timer)
{
    struct group *group = CONTAINER_OF(timer, struct group, rebalance);
    struct groups *all = group->at->all;
    if (group->storing_assignment) {
        arm_rebalance(group, all->config.commit_timeout_ms); /* members must not go meanwhile */
        return;
    }
    if (group->state == GROUP_COMPLETING_REBALANCE || group->state == GROUP_STABLE) {
        expire_pending_syncs(group);
        return;
    }
    if (group->state != GROUP_PREPARING_REBALANCE) {
        return;
    }
    int64_t left_ms = group->first_join_deadline_ms - env_now_ms(all->env);
    if (group->delaying_first_join && group->joined_during_delay && left_ms > 0) {
        group->joined_during_delay = false;
        int64_t delay_ms = all->config.initial_rebalance_delay_ms;
        arm_rebalance(group, delay_ms < left_ms ? delay_ms : left_ms);
        return;
    }
    complete_join(group);
}

/* ---- members coming in ---- */

static void take_request(struct member *member, struct group_call *call)
{
    const struct join_group_request *request = call->request;
    member->session_timeout_ms = request->session_timeout_ms;
    member->rebalance_timeout_ms =
        call->api_version >= 1 ? request->rebalance_timeout_ms : request->session_timeout_ms;
    member_set_protocols(member, request);
    set_text(&member->client_id, wire_str_dup(call->arena, call->client_id) != NULL
                                     ? wire_str_dup(call->arena, call->client_id)
                                     : "");
    set_text(&member->client_host, arena_printf(call->arena, "/%s", call->client_host));
}

/* Takes the member (back) into the rebalance and parks its call. */
static void join_and_wait(struct member *member, struct group_call *call, const char *why)
{
    struct group *group = member->group;
    take_request(member, call);
    group_answer_join(member, KAFKA_UNKNOWN_MEMBER_ID); /* an older call of the same member */
    member->joining = true;
    group_call_park(call, &member->join);
    if (member->is_new) {
        /* KIP-394 and Kafka's new-member limit: until the rebalance ends, five minutes, not its
         * session. */
        struct env *env = group->at->all->env;
        env_timer_set(env, &member->session, env_now_ms(env) + 300000);
    } else {
        member_heard(member);
    }
    if (group->delaying_first_join) {
        group->joined_during_delay = true;
    }
    group_rebalance(group, why);
}

static char *new_member_id(struct groups *all, struct group_call *call, const char *instance_id)
{
    /* As long a name as the protocol can carry leaves no room for what follows it. */
    enum { PREFIX_MAX = 1024 };
    struct uuid id = env_random_uuid(all->env);
    const uint8_t *b = id.bytes;
    const char *prefix = instance_id != NULL        ? instance_id
                         : call->client_id.size > 0 ? wire_str_dup(call->arena, call->client_id)
                                                    : "";
    return arena_printf(call->arena,
                        "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                        PREFIX_MAX, prefix, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8],
                        b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void add_member(struct group *group, struct group_call *call, const char *member_id,
                       const char *instance_id)
{
    const struct join_group_request *request = call->request;
    if (group->member_count == 0) {
        set_text(&group->protocol_type, wire_str_dup(call->arena, request->protocol_type));
    }
    struct member *member = member_add(group, member_id, instance_id);
    join_and_wait(member, call, "a member joined");
}

/* A static member came back under a new member id (KIP-345): it takes over its old self's place. */
static void replace_static(struct group *group, struct member *member, struct group_call *call,
                           const char *new_id)
{
    group_answer_join(member, KAFKA_FENCED_INSTANCE_ID);
    group_answer_sync(member, KAFKA_FENCED_INSTANCE_ID);
    bool led = group->leader_id != NULL && strcmp(group->leader_id, member->id) == 0;
    struct wire_str old_leader = wire_str(wire_str_dup(call->arena, wire_str(group->leader_id)));
    set_text(&member->id, new_id);
    if (led) {
        set_text(&group->leader_id, new_id);
    }
    take_request(member, call);
    if (group->state != GROUP_STABLE ||
        strcmp(group_choose_protocol(group), group->protocol_name) != 0) {
        join_and_wait(member, call, "a static member came back");
        return;
    }
    member_heard(member);
    group_store_metadata(group);
    group_call_park(call, &member->join);
    /* The assignment stands: whoever leads is told not to make one (KIP-814). */
    struct join_group_response *response = call->response;
    fill_join(member, call);
    response->skip_assignment = led && call->api_version >= 9;
    if (call->api_version < 9) {
        response->leader = old_leader;
        response->members.count = 0;
    }
    group_call_done(call);
}

static void join_new(struct groups *all, struct group *group, struct group_call *call)
{
    const struct join_group_request *request = call->request;
    char *instance_id = wire_str_dup(call->arena, request->group_instance_id);
    char *member_id = new_member_id(all, call, instance_id);
    if (instance_id != NULL) {
        struct member *old = member_find_instance(group, request->group_instance_id);
        if (old != NULL) {
            replace_static(group, old, call, member_id);
        } else {
            add_member(group, call, member_id, instance_id);
        }
        return;
    }
    if (call->api_version >= 4) { /* KIP-394 */
        pending_add(group, member_id, request->session_timeout_ms);
        fill_join_error(call, KAFKA_MEMBER_ID_REQUIRED, member_id);
        group_call_done(call);
        return;
    }
    add_member(group, call, member_id, NULL);
}

static void join_known(struct group *group, struct group_call *call)
{
    const struct join_group_request *request = call->request;
    struct pending_member *pending = pending_find(group, request->member_id);
    if (pending != NULL && request->group_instance_id.size < 0) {
        char *id = wire_str_dup(call->arena, request->member_id);
        pending_free(pending);
        add_member(group, call, id, NULL);
        return;
    }
    struct member *member = NULL;
    int16_t error = group_check_member(group, request->member_id, request->group_instance_id,
                                       group->generation, &member);
    if (error != KAFKA_NONE) {
        refuse_join(call, error);
        return;
    }
    bool leads = group->leader_id != NULL && strcmp(group->leader_id, member->id) == 0;
    bool unchanged = member_protocols_equal(member, request);
    if ((group->state == GROUP_COMPLETING_REBALANCE && unchanged) ||
        (group->state == GROUP_STABLE && unchanged && !leads)) {
        take_request(member, call);
        member_heard(member);
        group_answer_join(member, KAFKA_UNKNOWN_MEMBER_ID);
        group_call_park(call, &member->join);
        group_answer_join(member, KAFKA_NONE); /* it only missed the last answer */
        return;
    }
    join_and_wait(member, call, leads ? "the leader rejoined" : "a member rejoined");
}

static int16_t check_join(struct groups *all, const struct join_group_request *request)
{
    if (request->group_id.size <= 0) {
        return KAFKA_INVALID_GROUP_ID;
    }
    /* Choosing a protocol compares every one with every other. */
    if (!group_text_ok(request->group_instance_id) || request->protocols.count > PROTOCOLS_MAX) {
        return KAFKA_INVALID_REQUEST;
    }
    if (request->session_timeout_ms < all->config.min_session_timeout_ms ||
        request->session_timeout_ms > all->config.max_session_timeout_ms) {
        return KAFKA_INVALID_SESSION_TIMEOUT;
    }
    return KAFKA_NONE;
}

void group_join(struct groups *all, struct group_call *call)
{
    const struct join_group_request *request = call->request;
    int16_t error = check_join(all, request);
    struct coordinator *at =
        error == KAFKA_NONE ? groups_coordinator(all, request->group_id, &error) : NULL;
    if (at == NULL) {
        refuse_join(call, error);
        return;
    }
    struct group *group = group_find(at, request->group_id.data, (size_t)request->group_id.size);
    bool unknown = request->member_id.size <= 0;
    if (group == NULL && !unknown) {
        refuse_join(call, KAFKA_UNKNOWN_MEMBER_ID);
        return;
    }
    struct member *self = group != NULL && !unknown ? member_find(group, request->member_id) : NULL;
    if (request->protocol_type.size <= 0 || request->protocols.count <= 0 ||
        (group != NULL && !group_protocols_fit(group, request, self))) {
        refuse_join(call, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    if (group != NULL && self == NULL && group->member_count >= all->config.max_size) {
        refuse_join(call, KAFKA_GROUP_MAX_SIZE_REACHED);
        return;
    }
    if (group == NULL) {
        group = group_make(at, request->group_id.data, (size_t)request->group_id.size);
    }
    if (unknown) {
        join_new(all, group, call);
    } else {
        join_known(group, call);
    }
}
