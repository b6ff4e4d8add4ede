/* Members of a group: what they said of themselves, and who is who. */
#include <string.h>

#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static bool same(const char *a, struct wire_str b)
{
    return b.size >= 0 && strlen(a) == (size_t)b.size && memcmp(a, b.data, (size_t)b.size) == 0;
}

static char *copy_str(struct wire_str s)
{
    size_t size = s.size > 0 ? (size_t)s.size : 0;
    char *copy = mem_alloc(size + 1);
    if (size > 0) {
        memcpy(copy, s.data, size);
    }
    copy[size] = '\0';
    return copy;
}

bool member_is(const struct member *member, struct wire_str id)
{
    return same(member->id, id);
}

struct member *member_find(struct group *group, struct wire_str id)
{
    LIST_FOREACH(node, &group->members) {
        struct member *member = CONTAINER_OF(node, struct member, node);
        if (same(member->id, id)) {
            return member;
        }
    }
    return NULL;
}

struct member *member_find_instance(struct group *group, struct wire_str instance_id)
{
    LIST_FOREACH(node, &group->members) {
        struct member *member = CONTAINER_OF(node, struct member, node);
        if (member->instance_id != NULL && same(member->instance_id, instance_id)) {
            return member;
        }
    }
    return NULL;
}

static void on_session_end(struct env_timer *timer)
{
    struct member *member = CONTAINER_OF(timer, struct member, session);
    struct group *group = member->group;
    if ((member->join != NULL && !member->is_new) || member->sync != NULL) {
        member_heard(member); /* it waits for us, not we for it */
        return;
    }
    trace_info(env_trace(group->at->all->env), "group %s: member %s sent no heartbeat for %d ms",
               group->id, member->id, member->session_timeout_ms);
    group_remove_member(group, member, "a member's session ended");
}

struct member *member_add(struct group *group, const char *id, const char *instance_id)
{
    struct member *member = mem_zalloc(sizeof *member);
    member->group = group;
    member->id = mem_strdup(id);
    member->instance_id = instance_id != NULL ? mem_strdup(instance_id) : NULL;
    member->client_id = mem_strdup("");
    member->client_host = mem_strdup("");
    member->is_new = true;
    member->session.fire = on_session_end;
    list_push(&group->members, &member->node);
    group->member_count++;
    return member;
}

static void free_protocols(struct member *member)
{
    for (int32_t i = 0; i < member->protocol_count; i++) {
        mem_free(member->protocols[i].name);
        mem_free(member->protocols[i].metadata);
    }
    mem_free(member->protocols);
    member->protocols = NULL;
    member->protocol_count = 0;
}

void member_free(struct member *member)
{
    ASSERT(member->join == NULL && member->sync == NULL);
    list_remove(&member->node);
    member->group->member_count--;
    env_timer_cancel(member->group->at->all->env, &member->session);
    free_protocols(member);
    mem_free(member->assignment);
    mem_free(member->client_host);
    mem_free(member->client_id);
    mem_free(member->instance_id);
    mem_free(member->id);
    mem_free(member);
}

void member_set_protocols(struct member *member, const struct join_group_request *request)
{
    free_protocols(member);
    int32_t count = request->protocols.count > 0 ? request->protocols.count : 0;
    member->protocols = mem_array((size_t)count, sizeof *member->protocols);
    member->protocol_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct wire_bytes metadata = request->protocols.items[i].metadata;
        int32_t size = metadata.size > 0 ? metadata.size : 0;
        member->protocols[i].name = copy_str(request->protocols.items[i].name);
        member->protocols[i].metadata = mem_dup(metadata.data, (size_t)size);
        member->protocols[i].metadata_size = size;
    }
}

bool member_protocols_equal(const struct member *member, const struct join_group_request *request)
{
    if (request->protocols.count != member->protocol_count) {
        return false;
    }
    for (int32_t i = 0; i < member->protocol_count; i++) {
        const struct member_protocol *mine = &member->protocols[i];
        struct wire_bytes theirs = request->protocols.items[i].metadata;
        if (!same(mine->name, request->protocols.items[i].name) ||
            theirs.size != mine->metadata_size ||
            (theirs.size > 0 && memcmp(theirs.data, mine->metadata, (size_t)theirs.size) != 0)) {
            return false;
        }
    }
    return true;
}

const struct member_protocol *member_protocol(const struct member *member, const char *name)
{
    for (int32_t i = 0; i < member->protocol_count; i++) {
        if (strcmp(member->protocols[i].name, name) == 0) {
            return &member->protocols[i];
        }
    }
    return NULL;
}

void member_set_assignment(struct member *member, const uint8_t *data, int32_t size)
{
    mem_free(member->assignment);
    member->assignment_size = size > 0 ? size : 0;
    member->assignment = mem_dup(data, (size_t)member->assignment_size);
}

void member_heard(struct member *member)
{
    struct env *env = member->group->at->all->env;
    env_timer_set(env, &member->session, env_now_ms(env) + member->session_timeout_ms);
}

/* ---- ids handed out, not joined yet ---- */

struct pending_member *pending_find(struct group *group, struct wire_str id)
{
    LIST_FOREACH(node, &group->pending_members) {
        struct pending_member *pending = CONTAINER_OF(node, struct pending_member, node);
        if (same(pending->id, id)) {
            return pending;
        }
    }
    return NULL;
}

static void on_pending_expired(struct env_timer *timer)
{
    struct pending_member *pending = CONTAINER_OF(timer, struct pending_member, expiry);
    struct group *group = pending->group;
    pending_free(pending);
    group_try_complete_join(group);
    group_forget_if_void(group);
}

void pending_add(struct group *group, const char *id, int32_t timeout_ms)
{
    struct pending_member *pending = mem_zalloc(sizeof *pending);
    pending->group = group;
    pending->id = mem_strdup(id);
    pending->expiry.fire = on_pending_expired;
    list_push(&group->pending_members, &pending->node);
    struct env *env = group->at->all->env;
    env_timer_set(env, &pending->expiry, env_now_ms(env) + timeout_ms);
}

void pending_free(struct pending_member *pending)
{
    list_remove(&pending->node);
    env_timer_cancel(pending->group->at->all->env, &pending->expiry);
    mem_free(pending->id);
    mem_free(pending);
}

/* ---- protocols ---- */

static bool everyone_has(const struct group *group, const char *name, const struct member *except)
{
    LIST_FOREACH(node, &group->members) {
        const struct member *member = CONTAINER_OF(node, struct member, node);
        if (member != except && member_protocol(member, name) == NULL) {
            return false;
        }
    }
    return true;
}

bool group_protocols_fit(const struct group *group, const struct join_group_request *request,
                         const struct member *except)
{
    if (group->member_count == 0) {
        return true;
    }
    if (group->protocol_type == NULL || !same(group->protocol_type, request->protocol_type)) {
        return false;
    }
    for (int32_t i = 0; i < request->protocols.count; i++) {
        char *name = copy_str(request->protocols.items[i].name);
        bool fits = everyone_has(group, name, except);
        mem_free(name);
        if (fits) {
            return true;
        }
    }
    return false;
}

const char *group_choose_protocol(const struct group *group)
{
    ASSERT(group->member_count > 0);
    /* Each member votes for the first of its protocols that everyone has; most votes win, the
     * earliest candidate on a tie. */
    const struct member *first = CONTAINER_OF(group->members.next, struct member, node);
    const char *best = NULL;
    int best_votes = -1;
    for (int32_t i = 0; i < first->protocol_count; i++) {
        const char *candidate = first->protocols[i].name;
        if (!everyone_has(group, candidate, NULL)) {
            continue;
        }
        int votes = 0;
        LIST_FOREACH(node, &group->members) {
            const struct member *member = CONTAINER_OF(node, struct member, node);
            for (int32_t j = 0; j < member->protocol_count; j++) {
                if (everyone_has(group, member->protocols[j].name, NULL)) {
                    votes += strcmp(member->protocols[j].name, candidate) == 0;
                    break;
                }
            }
        }
        if (votes > best_votes) {
            best = candidate;
            best_votes = votes;
        }
    }
    ASSERT(best != NULL); /* joining refused what would leave none */
    return best;
}

int16_t group_check_member(struct group *group, struct wire_str member_id,
                           struct wire_str instance_id, int32_t generation, struct member **out)
{
    struct member *member = NULL;
    if (instance_id.size >= 0) {
        member = member_find_instance(group, instance_id);
        if (member == NULL) {
            return KAFKA_UNKNOWN_MEMBER_ID;
        }
        if (!same(member->id, member_id)) {
            return KAFKA_FENCED_INSTANCE_ID;
        }
    } else {
        member = member_find(group, member_id);
    }
    if (member == NULL) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    if (generation != group->generation) {
        return KAFKA_ILLEGAL_GENERATION;
    }
    *out = member;
    return KAFKA_NONE;
}
