/* What each stage asks, and what is done with the answers. */
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"
#include "console/poll_impl.h"

enum { GROUPS_PER_REQUEST = 100, TOPICS_PER_REQUEST = 500, NO_MAX = 32767 };
enum { AS_CONSUMER = -1, AS_REPLICA = -2 }; /* ListOffsets.ReplicaId */
enum { AT_END = -1, AT_START = -2 };        /* ListOffsets.Timestamp */

/* ---- the cluster -------------------------------------------------------------------------------
 */

static void got_metadata(struct call *c, const void *response)
{
    const struct metadata_response *r = response;
    struct poll *p = c->poll;
    if (c->round != p->round || c->stage != p->stage) {
        return; /* another broker has told something newer */
    }
    mem_free(p->failing[MODEL_CLUSTER]);
    p->failing[MODEL_CLUSTER] = NULL;
    p->trouble[0] = '\0';
    learn_metadata(p->draft, r, poll_wall_ms());
}

static void got_cluster(struct call *c, const void *response)
{
    learn_cluster(c->poll->draft, response);
}

static void ask_cluster(struct poll *p)
{
    struct call *c = poll_call_new(p, ANY_BROKER, "Metadata", MODEL_CLUSTER, got_metadata);
    struct metadata_request *m = arena_alloc(&c->arena, sizeof *m);
    wire_defaults(&wire_metadata_request, m);
    m->topics.count = -1; /* all */
    m->allow_auto_topic_creation = false;
    poll_call_send(c, WIRE_METADATA, 7, NO_MAX, m);
}

/* Fenced brokers are listed from v2 on only. */
static void ask_fenced(struct poll *p)
{
    struct call *c = poll_call_new(p, ANY_BROKER, "DescribeCluster", MODEL_CLUSTER, got_cluster);
    struct describe_cluster_request *r = arena_alloc(&c->arena, sizeof *r);
    wire_defaults(&wire_describe_cluster_request, r);
    r->include_fenced_brokers = true;
    c->optional = true;
    poll_call_send(c, WIRE_DESCRIBE_CLUSTER, 2, NO_MAX, r);
}

/* ---- offsets -----------------------------------------------------------------------------------
 */

static void got_offsets(struct call *c, const void *response)
{
    learn_offsets(c->poll->draft, c->kind, c->broker, response, poll_wall_ms());
}

static void ask_offsets(struct poll *p, const struct batch *b, enum learn_offset kind)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct model_broker *broker = model_find_broker(p->draft, b->requests[i].broker);
        if (broker == NULL || !broker->alive || poll_owes(p, broker->id)) {
            continue; /* nobody to ask: the last sample stays, with its age */
        }
        struct call *c = poll_call_new(p, broker->id, "ListOffsets", MODEL_OFFSETS, got_offsets);
        c->kind = kind;
        int32_t as = kind == LEARN_REPLICA_END ? AS_REPLICA : AS_CONSUMER;
        int64_t at = kind == LEARN_LOG_START ? AT_START : AT_END;
        poll_call_send(c, WIRE_LIST_OFFSETS, 1, NO_MAX, batch_request_of(b, i, as, at, &c->arena));
    }
}

static int by_name(const void *a, const void *b)
{
    const struct poll_name *x = a;
    const struct poll_name *y = b;
    int names = strcmp(x->name, y->name);
    return names != 0 ? names : (x->number > y->number) - (x->number < y->number);
}

static void add_replicas(struct batch *b, const struct model_partition *part, bool leaders)
{
    for (int i = 0; i < part->replica_count; i++) {
        if ((part->replicas[i].broker == part->leader) == leaders) {
            batch_add(b, part->replicas[i].broker, part->topic->name, part->partition);
        }
    }
}

/* The wanted partitions' leaders, or their followers. */
static void gather(struct poll *p, struct batch *b, bool leaders)
{
    if (p->want.everything) {
        for (int i = 0; i < p->draft->topic_count; i++) {
            for (int j = 0; j < p->draft->topics[i].partition_count; j++) {
                add_replicas(b, &p->draft->topics[i].partitions[j], leaders);
            }
        }
        return;
    }
    if (p->want.partition_count > 1) {
        qsort(p->want.partitions, (size_t)p->want.partition_count, sizeof *p->want.partitions,
              by_name);
    }
    for (int i = 0; i < p->want.partition_count; i++) {
        const struct poll_name *n = &p->want.partitions[i];
        if (i > 0 && by_name(n, n - 1) == 0) {
            continue;
        }
        const struct model_partition *part =
            model_find_partition(p->draft, n->name, (int32_t)n->number);
        if (part != NULL) {
            add_replicas(b, part, leaders);
        }
    }
}

static void ask_followers(struct poll *p)
{
    struct batch b = {0};
    gather(p, &b, false);
    ask_offsets(p, &b, LEARN_REPLICA_END);
    batch_free(&b);
}

static void ask_leaders(struct poll *p)
{
    struct batch b = {0};
    gather(p, &b, true);
    ask_offsets(p, &b, LEARN_REPLICA_END);
    ask_offsets(p, &b, LEARN_HIGH_WATERMARK);
    ask_offsets(p, &b, LEARN_LOG_START);
    batch_free(&b);
}

/* ---- configs, log dirs, quorum -----------------------------------------------------------------
 */

static void got_configs(struct call *c, const void *response)
{
    learn_configs(c->poll->draft, response, poll_wall_ms());
}

static void send_configs(struct poll *p, int first, int count)
{
    struct call *c = poll_call_new(p, ANY_BROKER, "DescribeConfigs", MODEL_CONFIGS, got_configs);
    struct describe_configs_request *r = arena_alloc(&c->arena, sizeof *r);
    wire_defaults(&wire_describe_configs_request, r);
    struct wire_str *key = arena_alloc(&c->arena, sizeof *key);
    *key = wire_str("min.insync.replicas");
    r->resources.items = arena_array(&c->arena, (size_t)count, sizeof *r->resources.items);
    r->resources.count = count;
    for (int i = 0; i < count; i++) {
        const char *name = arena_strdup(&c->arena, p->draft->topics[first + i].name);
        r->resources.items[i].resource_type = 2; /* TOPIC */
        r->resources.items[i].resource_name = wire_str(name);
        r->resources.items[i].configuration_keys.items = key;
        r->resources.items[i].configuration_keys.count = 1;
    }
    poll_call_send(c, WIRE_DESCRIBE_CONFIGS, 1, NO_MAX, r);
}

static bool is_due(struct poll *p, uint64_t *read_ms, uint64_t every_ms)
{
    uint64_t now = uv_now(p->loop);
    if (*read_ms != 0 && now - *read_ms < every_ms) {
        return false;
    }
    *read_ms = now == 0 ? 1 : now;
    return true;
}

static void ask_configs(struct poll *p)
{
    int topics = p->draft->topic_count;
    bool unread = false;
    for (int i = 0; i < topics; i++) {
        unread |=
            p->draft->topics[i].min_insync == MODEL_UNKNOWN && p->draft->topics[i].error == NULL;
    }
    if (!is_due(p, &p->configs_read_ms, unread ? POLL_MIN_GAP_MS : POLL_CONFIGS_EVERY_MS)) {
        return;
    }
    for (int i = 0; i < topics; i += TOPICS_PER_REQUEST) {
        send_configs(p, i, topics - i < TOPICS_PER_REQUEST ? topics - i : TOPICS_PER_REQUEST);
    }
}

static void got_log_dirs(struct call *c, const void *response)
{
    learn_log_dirs(c->poll->draft, c->broker, response, poll_wall_ms());
}

static void ask_log_dirs(struct poll *p)
{
    if (!is_due(p, &p->log_dirs_read_ms, POLL_LOG_DIRS_EVERY_MS)) {
        return;
    }
    for (int i = 0; i < p->draft->broker_count; i++) {
        int32_t id = p->draft->brokers[i].id;
        if (p->draft->brokers[i].alive && !poll_owes(p, id)) {
            struct call *c = poll_call_new(p, id, "DescribeLogDirs", MODEL_LOG_DIRS, got_log_dirs);
            struct describe_log_dirs_request *r = arena_alloc(&c->arena, sizeof *r);
            wire_defaults(&wire_describe_log_dirs_request, r);
            r->topics.count = -1; /* all */
            poll_call_send(c, WIRE_DESCRIBE_LOG_DIRS, 1, NO_MAX, r);
        }
    }
}

static void got_quorum(struct call *c, const void *response)
{
    learn_quorum(c->poll->draft, response, poll_wall_ms());
}

static void ask_quorum(struct poll *p)
{
    struct call *c = poll_call_new(p, ANY_BROKER, "DescribeQuorum", MODEL_QUORUM, got_quorum);
    struct describe_quorum_request *r = arena_alloc(&c->arena, sizeof *r);
    wire_defaults(&wire_describe_quorum_request, r);
    r->topics.items = arena_array(&c->arena, 1, sizeof *r->topics.items);
    r->topics.count = 1;
    r->topics.items[0].topic_name = wire_str("__cluster_metadata");
    r->topics.items[0].partitions.items =
        arena_array(&c->arena, 1, sizeof *r->topics.items[0].partitions.items);
    r->topics.items[0].partitions.count = 1;
    poll_call_send(c, WIRE_DESCRIBE_QUORUM, 0, NO_MAX, r);
}

static void got_moves(struct call *c, const void *response)
{
    learn_moves(c->poll->draft, response, poll_wall_ms());
}

static void ask_moves(struct poll *p)
{
    struct call *c =
        poll_call_new(p, ANY_BROKER, "ListPartitionReassignments", MODEL_MOVES, got_moves);
    struct list_partition_reassignments_request *r = arena_alloc(&c->arena, sizeof *r);
    wire_defaults(&wire_list_partition_reassignments_request, r);
    r->topics.count = -1; /* all */
    c->optional = true;
    poll_call_send(c, WIRE_LIST_PARTITION_REASSIGNMENTS, 0, NO_MAX, r);
}

/* ---- groups ------------------------------------------------------------------------------------
 */

static void got_listing(struct call *c, const void *response)
{
    const struct list_groups_response *r = response;
    struct poll *p = c->poll;
    if (c->round != p->round || c->stage != p->stage) {
        return; /* the list of that round is made */
    }
    if (r->error_code == KAFKA_NONE) {
        learn_listed(&p->listing, c->broker, r);
        *MEM_PUSH(p->listed, p->listed_count, p->listed_capacity) = c->broker;
    } else {
        learn_part(p->draft, MODEL_GROUPS, "ListGroups", r->error_code, poll_wall_ms());
    }
}

static void ask_listings(struct poll *p)
{
    for (int i = 0; i < p->draft->broker_count; i++) {
        int32_t id = p->draft->brokers[i].id;
        if (p->draft->brokers[i].alive && !poll_owes(p, id)) {
            struct call *c = poll_call_new(p, id, "ListGroups", MODEL_GROUPS, got_listing);
            struct list_groups_request *r = arena_alloc(&c->arena, sizeof *r);
            wire_defaults(&wire_list_groups_request, r);
            poll_call_send(c, WIRE_LIST_GROUPS, 0, NO_MAX, r);
        }
    }
}

static bool has_listed(void *ctx, int32_t broker)
{
    const struct poll *p = ctx;
    const struct model_broker *b = model_find_broker(p->draft, broker);
    for (size_t i = 0; i < p->listed_count; i++) {
        if (p->listed[i] == broker) {
            return true;
        }
    }
    return b == NULL; /* a broker that is no more has no groups */
}

static void got_members(struct call *c, const void *response)
{
    learn_members(c->poll->draft, response, poll_wall_ms());
    learn_part(c->poll->draft, MODEL_MEMBERS, "DescribeGroups", KAFKA_NONE, poll_wall_ms());
}

static void got_committed(struct call *c, const void *response)
{
    learn_committed(c->poll->draft, response, poll_wall_ms());
}

/* NULL-terminated copies in the call's arena. */
static const char *const *copy_names(struct call *c, const char *const *names, int count)
{
    const char **copy = arena_array(&c->arena, (size_t)count + 1, sizeof *copy);
    for (int i = 0; i < count; i++) {
        copy[i] = arena_strdup(&c->arena, names[i]);
    }
    return copy;
}

static void send_members(struct poll *p, int32_t broker, const char *const *names, int count)
{
    struct call *c = poll_call_new(p, broker, "DescribeGroups", MODEL_MEMBERS, got_members);
    struct describe_groups_request *r = arena_alloc(&c->arena, sizeof *r);
    wire_defaults(&wire_describe_groups_request, r);
    c->groups = copy_names(c, names, count);
    r->groups.items = arena_array(&c->arena, (size_t)count, sizeof *r->groups.items);
    r->groups.count = count;
    for (int i = 0; i < count; i++) {
        r->groups.items[i] = wire_str(c->groups[i]);
    }
    poll_call_send(c, WIRE_DESCRIBE_GROUPS, 0, NO_MAX, r);
}

static void send_committed(struct poll *p, int32_t broker, const char *const *names, int count)
{
    struct call *c = poll_call_new(p, broker, "OffsetFetch", MODEL_MEMBERS, got_committed);
    struct offset_fetch_request *r = arena_alloc(&c->arena, sizeof *r);
    wire_defaults(&wire_offset_fetch_request, r);
    c->groups = copy_names(c, names, count);
    r->groups.items = arena_array(&c->arena, (size_t)count, sizeof *r->groups.items);
    r->groups.count = count;
    for (int i = 0; i < count; i++) {
        r->groups.items[i].group_id = wire_str(c->groups[i]);
        r->groups.items[i].member_id = WIRE_STR_NULL;
        r->groups.items[i].member_epoch = -1;
        r->groups.items[i].topics.count = -1; /* all that have a commit */
    }
    poll_call_send(c, WIRE_OFFSET_FETCH, 8, NO_MAX, r);
}

static bool is_wanted(const struct poll *p, const char *group)
{
    for (int i = 0; i < p->want.group_count; i++) {
        if (strcmp(p->want.groups[i].name, group) == 0) {
            return true;
        }
    }
    return p->want.everything;
}

static void ask_coordinator(struct poll *p, int32_t broker)
{
    const char *names[GROUPS_PER_REQUEST];
    int count = 0;
    for (int i = 0; i < p->draft->group_count; i++) {
        const struct model_group *g = &p->draft->groups[i];
        if (g->coordinator == broker && is_wanted(p, g->group)) {
            names[count++] = g->group;
        }
        if (count == GROUPS_PER_REQUEST || (count > 0 && i + 1 == p->draft->group_count)) {
            send_members(p, broker, names, count);
            send_committed(p, broker, names, count);
            count = 0;
        }
    }
}

static void ask_groups(struct poll *p)
{
    for (int i = 0; i < p->draft->broker_count; i++) {
        if (p->draft->brokers[i].alive && !poll_owes(p, p->draft->brokers[i].id)) {
            ask_coordinator(p, p->draft->brokers[i].id);
        }
    }
}

/* The ends of what the wanted groups have committed, each partition once; and where the logs begin,
 * which is the earliest that a group can be set back to. */
static void ask_group_ends(struct poll *p)
{
    struct poll_name *names = NULL;
    size_t count = 0;
    size_t capacity = 0;
    struct batch b = {0};
    for (int i = 0; i < p->draft->group_count; i++) {
        const struct model_group *g = &p->draft->groups[i];
        for (int j = 0; is_wanted(p, g->group) && j < g->offset_count; j++) {
            const struct model_partition *part =
                model_find_partition(p->draft, g->offsets[j].topic, g->offsets[j].partition);
            if (part != NULL && part->leader != MODEL_NO_BROKER) {
                struct poll_name *n = MEM_PUSH(names, count, capacity);
                *n = (struct poll_name){mem_strdup(part->topic->name), part->partition};
            }
        }
    }
    if (count > 1) {
        qsort(names, count, sizeof *names, by_name);
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || by_name(&names[i], &names[i - 1]) != 0) {
            const struct model_partition *part =
                model_find_partition(p->draft, names[i].name, (int32_t)names[i].number);
            batch_add(&b, part->leader, part->topic->name, part->partition);
        }
    }
    ask_offsets(p, &b, LEARN_LOG_START);
    ask_offsets(p, &b, LEARN_HIGH_WATERMARK);
    batch_free(&b);
    for (size_t i = 0; i < count; i++) {
        mem_free(names[i].name);
    }
    mem_free(names);
}

/* ---- stages ------------------------------------------------------------------------------------
 */

static void begin_followers(struct poll *p)
{
    if (poll_wants(p, MODEL_CLUSTER)) {
        ask_fenced(p);
        ask_moves(p);
    }
    if (poll_wants(p, MODEL_OFFSETS)) {
        ask_followers(p);
    }
    if (poll_wants(p, MODEL_CONFIGS)) {
        ask_configs(p);
    }
    if (poll_wants(p, MODEL_LOG_DIRS)) {
        ask_log_dirs(p);
    }
    if (poll_wants(p, MODEL_QUORUM)) {
        ask_quorum(p);
    }
    if (poll_wants(p, MODEL_GROUPS)) {
        ask_listings(p);
    }
}

static void begin_leaders(struct poll *p)
{
    if (poll_wants(p, MODEL_GROUPS) && p->listed_count > 0) {
        learn_groups(p->draft, &p->listing, has_listed, p, poll_wall_ms());
    }
    if (poll_wants(p, MODEL_OFFSETS)) {
        ask_leaders(p);
    }
    if (poll_wants(p, MODEL_MEMBERS)) {
        ask_groups(p);
    }
}

void poll_stage_begin(struct poll *p, enum stage stage)
{
    switch (stage) {
    case STAGE_CLUSTER:
        ask_cluster(p);
        break;
    case STAGE_FOLLOWERS:
        begin_followers(p);
        break;
    case STAGE_LEADERS:
        begin_leaders(p);
        break;
    case STAGE_GROUP_ENDS:
        if (poll_wants(p, MODEL_MEMBERS)) {
            ask_group_ends(p);
        }
        break;
    case STAGE_IDLE:
    case STAGE_COUNT:
        UNREACHABLE("no such stage");
    }
}
