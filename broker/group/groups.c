/* The set of coordinators: who answers for which group, and the way of a call.
 *
 * Happy path: the group's partition of __consumer_offsets is led here and loaded -> the handler of
 * the API answers at once, or parks the call and answers when a rebalance or a store completes.
 * Failure modes: another broker leads (NOT_COORDINATOR), loading (COORDINATOR_LOAD_IN_PROGRESS),
 * the topic is not there yet (COORDINATOR_NOT_AVAILABLE); resigning answers everything parked with
 * NOT_COORDINATOR. */
#include <string.h>

#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

struct groups_config groups_config_default(void)
{
    return (struct groups_config){.min_session_timeout_ms = 6000,
                                  .max_session_timeout_ms = 1800000,
                                  .initial_rebalance_delay_ms = 3000,
                                  .max_size = INT32_MAX,
                                  .offset_metadata_max_bytes = 4096,
                                  .offsets_retention_ms = INT64_C(10080) * 60000,
                                  .offsets_check_interval_ms = 600000,
                                  .commit_timeout_ms = 5000,
                                  .load_buffer_bytes = 5242880};
}

static void on_expiry(struct env_timer *timer)
{
    struct groups *all = CONTAINER_OF(timer, struct groups, expiry);
    groups_expire(all);
    env_timer_set(all->env, timer, env_now_ms(all->env) + all->config.offsets_check_interval_ms);
}

struct groups *groups_new(struct env *env, const struct groups_config *config)
{
    struct groups *all = mem_zalloc(sizeof *all);
    all->env = env;
    all->config = *config;
    all->expiry.fire = on_expiry;
    env_timer_set(env, &all->expiry, env_now_ms(env) + config->offsets_check_interval_ms);
    return all;
}

void groups_set_partition_count(struct groups *groups, int32_t count)
{
    groups->partition_count = count;
}

void groups_set_image(struct groups *groups, const struct image *image)
{
    groups->image = image;
}

const char *group_state_name(enum group_state state)
{
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance",
                                        "Stable", "Dead"};
    ASSERT((unsigned)state < sizeof names / sizeof names[0]);
    return names[state];
}

/* ---- groups in a coordinator ---- */

struct group *group_find(struct coordinator *at, const char *id, size_t size)
{
    struct group *group = NULL;
    HASH_FIND(hh, at->groups, id, (unsigned)size, group);
    return group;
}

struct group *group_make(struct coordinator *at, const char *id, size_t size)
{
    struct group *group = group_find(at, id, size);
    if (group != NULL) {
        return group;
    }
    group = mem_zalloc(sizeof *group);
    group->id = mem_alloc(size + 1);
    memcpy(group->id, id, size);
    group->id[size] = '\0';
    group->at = at;
    group->state = GROUP_EMPTY;
    group->state_timestamp_ms = env_wall_ms(at->all->env);
    list_init(&group->members);
    list_init(&group->pending_members);
    HASH_ADD_KEYPTR(hh, at->groups, group->id, (unsigned)size, group);
    return group;
}

void group_free(struct group *group)
{
    struct list *node;
    while (!list_empty(&group->members)) {
        member_free(CONTAINER_OF(group->members.next, struct member, node));
    }
    while ((node = group->pending_members.next) != &group->pending_members) {
        pending_free(CONTAINER_OF(node, struct pending_member, node));
    }
    struct committed_offset *offset;
    struct committed_offset *next;
    HASH_ITER(hh, group->offsets, offset, next)
    {
        offset_free(group, offset);
    }
    env_timer_cancel(group->at->all->env, &group->rebalance);
    HASH_DEL(group->at->groups, group);
    mem_free(group->protocol_type);
    mem_free(group->protocol_name);
    mem_free(group->leader_id);
    mem_free(group->id);
    mem_free(group);
}

bool group_seen(struct group *group, uint64_t serial)
{
    bool before = group->seen_in == serial;
    group->seen_in = serial;
    return before;
}

void group_forget_if_void(struct group *group)
{
    bool stored = group->generation > 0 || group->protocol_type != NULL;
    if (!stored && group->state == GROUP_EMPTY && group->offsets == NULL &&
        list_empty(&group->pending_members)) {
        group_free(group);
    }
}

/* ---- calls ---- */

void group_call_park(struct group_call *call, struct group_call **slot)
{
    ASSERT(call->state == NULL && *slot == NULL);
    *slot = call;
    call->state = slot;
}

static void unpark(struct group_call *call)
{
    struct group_call **slot = call->state;
    if (slot != NULL) {
        ASSERT(*slot == call);
        *slot = NULL;
        call->state = NULL;
    }
}

void group_call_done(struct group_call *call)
{
    unpark(call);
    call->done(call);
}

void groups_cancel(struct groups *groups, struct group_call *call)
{
    (void)groups;
    unpark(call);
}

int32_t groups_partition_for(struct wire_str group_id, int32_t count)
{
    ASSERT(count > 0);
    /* Java hashes UTF-16 units; group ids outside ASCII are decoded for that. */
    uint32_t hash = 0;
    const uint8_t *s = (const uint8_t *)group_id.data;
    int32_t n = group_id.size;
    for (int32_t i = 0; i < n;) {
        uint32_t c = s[i++];
        int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0 ? 1 : 0;
        c = more == 3 ? c & 7 : more == 2 ? c & 15 : more == 1 ? c & 31 : c;
        for (; more > 0 && i < n; more--) {
            c = (c << 6) | (s[i++] & 63U);
        }
        if (c >= 0x10000) {
            c -= 0x10000;
            hash = 31 * hash + (0xD800 + (c >> 10));
            c = 0xDC00 + (c & 0x3FF);
        }
        hash = 31 * hash + c;
    }
    /* Kafka's Utils.abs: the absolute value, and 0 for the one that has none. */
    uint32_t magnitude = hash <= INT32_MAX ? hash : hash == 0x80000000U ? 0 : 0U - hash;
    return (int32_t)(magnitude % (uint32_t)count);
}

bool group_text_ok(struct wire_str text)
{
    return text.size <= 0 || memchr(text.data, '\0', (size_t)text.size) == NULL;
}

struct coordinator *groups_coordinator(struct groups *all, struct wire_str group_id, int16_t *error)
{
    struct coordinator *at = NULL;
    *error = KAFKA_NONE;
    if (group_id.size < 0 || !group_text_ok(group_id)) {
        *error = KAFKA_INVALID_GROUP_ID;
    } else if (all->partition_count == 0) {
        *error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    } else {
        int32_t partition = groups_partition_for(group_id, all->partition_count);
        HASH_FIND(hh, all->coordinators, &partition, sizeof partition, at);
        if (at == NULL) {
            *error = KAFKA_NOT_COORDINATOR;
        } else if (at->state == COORDINATOR_LOADING) {
            *error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
        }
    }
    return *error == KAFKA_NONE ? at : NULL;
}

void groups_submit(struct groups *groups, struct group_call *call)
{
    static const struct {
        int16_t key;
        void (*handle)(struct groups *groups, struct group_call *call);
    } table[] = {
        {WIRE_JOIN_GROUP, group_join},
        {WIRE_SYNC_GROUP, group_sync},
        {WIRE_HEARTBEAT, group_heartbeat},
        {WIRE_LEAVE_GROUP, group_leave},
        {WIRE_OFFSET_COMMIT, group_offset_commit},
        {WIRE_OFFSET_FETCH, group_offset_fetch},
        {WIRE_OFFSET_DELETE, group_offset_delete},
        {WIRE_LIST_GROUPS, group_list},
        {WIRE_DESCRIBE_GROUPS, group_describe},
        {WIRE_DELETE_GROUPS, group_delete},
    };
    ASSERT(call->done != NULL && call->arena != NULL);
    call->state = NULL;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].key == call->api_key) {
            table[i].handle(groups, call);
            return;
        }
    }
    UNREACHABLE("an API that is not the group coordinator's");
}

/* ---- leading and resigning ---- */

/* Members and timers of every group; parked calls are answered with `error`. */
static void coordinator_empty(struct coordinator *at, int16_t error)
{
    group_load_cancel(at);
    group_store_abandon(at, error);
    struct group *group;
    struct group *next;
    HASH_ITER(hh, at->groups, group, next)
    {
        group->state = GROUP_DEAD;
        LIST_FOREACH(node, &group->members) {
            struct member *member = CONTAINER_OF(node, struct member, node);
            group_answer_join(member, error);
            group_answer_sync(member, error);
        }
        group_free(group);
    }
}

static void coordinator_free(struct coordinator *at, int16_t error)
{
    coordinator_empty(at, error);
    HASH_DEL(at->all->coordinators, at);
    mem_free(at);
}

void groups_resign(struct groups *groups, int32_t partition)
{
    struct coordinator *at = NULL;
    HASH_FIND(hh, groups->coordinators, &partition, sizeof partition, at);
    if (at != NULL) {
        trace_debug(env_trace(groups->env), "resign as coordinator of __consumer_offsets-%d",
                    partition);
        coordinator_free(at, KAFKA_NOT_COORDINATOR);
    }
}

void groups_lead(struct groups *groups, struct replica *replica)
{
    int32_t partition = replica_partition(replica);
    struct coordinator *at = NULL;
    HASH_FIND(hh, groups->coordinators, &partition, sizeof partition, at);
    if (at != NULL) { /* a new epoch of ours: another leader may have been in between */
        coordinator_free(at, KAFKA_NOT_COORDINATOR);
    }
    at = mem_zalloc(sizeof *at);
    at->all = groups;
    at->partition = partition;
    at->epoch = replica_leader_epoch(replica);
    at->replica = replica;
    at->state = COORDINATOR_LOADING;
    list_init(&at->writes);
    HASH_ADD(hh, groups->coordinators, partition, sizeof at->partition, at);
    group_load_start(at);
}

void groups_free(struct groups *groups)
{
    struct coordinator *at;
    struct coordinator *next;
    HASH_ITER(hh, groups->coordinators, at, next)
    {
        coordinator_free(at, KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
    env_timer_cancel(groups->env, &groups->expiry);
    mem_free(groups);
}
