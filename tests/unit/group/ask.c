#include "tests/unit/group/ask.h"

#include "common/base/mem.h"

static const int32_t alone[] = {WORLD_BROKER};

struct groups_config quick_config(void)
{
    struct groups_config config = groups_config_default();
    config.initial_rebalance_delay_ms = 0;
    return config;
}

struct world *house_new(uint64_t seed, const struct groups_config *config)
{
    struct world *w = world_new(seed);
    struct groups_config quick = quick_config();
    w->groups = groups_new(w->env, config != NULL ? config : &quick);
    world_topic(w, "__consumer_offsets", 1, alone, 1);
    world_topic(w, "t", 1, alone, 1);
    world_topic(w, "u", 1, alone, 1);
    return w;
}

struct uuid house_topic(struct world *w, const char *name)
{
    return image_topic_by_name(w->image, name)->id;
}

void house_move(struct world *w)
{
    struct record_list list = {0};
    struct uuid id = house_topic(w, "__consumer_offsets");
    put_leader(&list, id, 0, 2);
    world_apply(w, &list);
    world_run(w, 10);
    put_leader(&list, id, 0, 1);
    world_apply(w, &list);
    world_run(w, 100);
}

static void on_done(struct group_call *call)
{
    struct ask *a = call->ctx;
    assert_false(a->done);
    a->done = true;
    /* What is answered must be sayable at that version. */
    struct wire_out out = {0};
    assert_int_equal(
        wire_encode(wire_api_of(call->api_key)->response, call->api_version, call->response, &out),
        ERR_NONE);
    wire_out_free(&out);
}

struct ask *ask_new(struct world *w, int16_t key, int16_t version)
{
    struct ask *a = mem_zalloc(sizeof *a);
    const struct wire_api *api = wire_api_of(key);
    void *request = arena_alloc(&a->arena, wire_message_size(api->request));
    wire_defaults(api->request, request);
    a->world = w;
    a->call = (struct group_call){
        .api_key = key,
        .api_version = version,
        .request = request,
        .response = arena_alloc(&a->arena, wire_message_size(api->response)),
        .arena = &a->arena,
        .client_id = wire_str("client"),
        .client_host = "10.0.0.9",
        .done = on_done,
        .ctx = a,
    };
    return a;
}

static void *request_of(struct ask *a)
{
    return (void *)(uintptr_t)a->call.request;
}

void ask_submit(struct ask *a)
{
    groups_submit(a->world->groups, &a->call);
}

void ask_wait(struct ask *a)
{
    world_wait(a->world, &a->done);
}

void ask_free(struct ask *a)
{
    if (!a->done) {
        groups_cancel(a->world->groups, &a->call);
    }
    arena_free(&a->arena);
    mem_free(a);
}

static struct wire_str copied(struct ask *a, const char *text)
{
    return text != NULL ? wire_str(arena_strdup(&a->arena, text)) : WIRE_STR_NULL;
}

struct ask *join(struct world *w, struct member_spec spec)
{
    struct ask *a = ask_new(w, WIRE_JOIN_GROUP, spec.version != 0 ? spec.version : 9);
    struct join_group_request *r = request_of(a);
    const char *metadata = spec.metadata != NULL ? spec.metadata : "meta";
    r->group_id = copied(a, spec.group);
    r->session_timeout_ms = spec.session_ms != 0 ? spec.session_ms : 10000;
    r->rebalance_timeout_ms = spec.rebalance_ms != 0 ? spec.rebalance_ms : 20000;
    r->member_id = copied(a, spec.member != NULL ? spec.member : "");
    r->group_instance_id = copied(a, spec.instance);
    r->protocol_type = wire_str("consumer");
    r->protocols.count = 1;
    r->protocols.items = arena_array(&a->arena, 1, sizeof *r->protocols.items);
    r->protocols.items[0].name = wire_str(spec.protocol != NULL ? spec.protocol : "range");
    r->protocols.items[0].metadata =
        (struct wire_bytes){(const uint8_t *)metadata, (int32_t)strlen(metadata)};
    if (spec.client_id != NULL) {
        a->call.client_id = wire_str(spec.client_id);
    }
    ask_submit(a);
    return a;
}

struct join_group_response *joined(struct ask *a)
{
    ask_wait(a);
    return a->call.response;
}

struct ask *join_fully(struct world *w, struct member_spec spec)
{
    struct ask *first = join(w, spec);
    struct join_group_response *response = joined(first);
    assert_int_equal(response->error_code, KAFKA_MEMBER_ID_REQUIRED);
    spec.member = wire_str_dup(&first->arena, response->member_id);
    struct ask *second = join(w, spec);
    ask_free(first);
    return second;
}

struct ask *sync_group(struct world *w, const char *group, const char *member, int32_t generation,
                       const char *plan)
{
    struct ask *a = ask_new(w, WIRE_SYNC_GROUP, 5);
    struct sync_group_request *r = request_of(a);
    r->group_id = copied(a, group);
    r->member_id = copied(a, member);
    r->generation_id = generation;
    r->protocol_type = wire_str("consumer");
    r->protocol_name = WIRE_STR_NULL;
    r->assignments.items = arena_array(&a->arena, 8, sizeof *r->assignments.items);
    char *rest = arena_strdup(&a->arena, plan != NULL ? plan : "");
    for (char *part = strtok_r(rest, " ", &rest); part != NULL; part = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(part, '=');
        *value++ = '\0';
        int32_t n = r->assignments.count++;
        r->assignments.items[n].member_id = wire_str(part);
        r->assignments.items[n].assignment =
            (struct wire_bytes){(const uint8_t *)value, (int32_t)strlen(value)};
    }
    ask_submit(a);
    return a;
}

int16_t heartbeat(struct world *w, const char *group, const char *member, int32_t generation)
{
    struct ask *a = ask_new(w, WIRE_HEARTBEAT, 4);
    struct heartbeat_request *r = request_of(a);
    r->group_id = copied(a, group);
    r->member_id = copied(a, member);
    r->generation_id = generation;
    ask_submit(a);
    assert_true(a->done);
    int16_t error = ((struct heartbeat_response *)a->call.response)->error_code;
    ask_free(a);
    return error;
}

int16_t leave(struct world *w, const char *group, const char *member)
{
    struct ask *a = ask_new(w, WIRE_LEAVE_GROUP, 5);
    struct leave_group_request *r = request_of(a);
    r->group_id = copied(a, group);
    r->members.count = 1;
    r->members.items = arena_array(&a->arena, 1, sizeof *r->members.items);
    r->members.items[0].member_id = copied(a, member);
    r->members.items[0].group_instance_id = WIRE_STR_NULL;
    ask_submit(a);
    assert_true(a->done);
    const struct leave_group_response *response = a->call.response;
    int16_t error =
        response->error_code != 0 ? response->error_code : response->members.items[0].error_code;
    ask_free(a);
    return error;
}

struct ask *commit(struct world *w, const char *group, const char *member, int32_t generation,
                   const char *topic, int64_t offset)
{
    struct ask *a = ask_new(w, WIRE_OFFSET_COMMIT, 9);
    struct offset_commit_request *r = request_of(a);
    r->group_id = copied(a, group);
    r->member_id = copied(a, member);
    r->generation_id_or_member_epoch = generation;
    r->topics.count = 1;
    r->topics.items = arena_array(&a->arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = copied(a, topic);
    r->topics.items[0].partitions.count = 1;
    r->topics.items[0].partitions.items =
        arena_array(&a->arena, 1, sizeof *r->topics.items[0].partitions.items);
    r->topics.items[0].partitions.items[0].committed_offset = offset;
    r->topics.items[0].partitions.items[0].committed_leader_epoch = 3;
    r->topics.items[0].partitions.items[0].committed_metadata = wire_str("note");
    ask_submit(a);
    return a;
}

int16_t commit_error_of(struct ask *a)
{
    ask_wait(a);
    const struct offset_commit_response *response = a->call.response;
    int16_t error = response->topics.items[0].partitions.items[0].error_code;
    ask_free(a);
    return error;
}

int64_t fetch_offset(struct world *w, const char *group, const char *topic, bool stable,
                     int16_t *error)
{
    struct ask *a = ask_new(w, WIRE_OFFSET_FETCH, 9);
    struct offset_fetch_request *r = request_of(a);
    int32_t partition = 0;
    r->require_stable = stable;
    r->groups.count = 1;
    r->groups.items = arena_array(&a->arena, 1, sizeof *r->groups.items);
    r->groups.items[0].group_id = copied(a, group);
    r->groups.items[0].member_id = WIRE_STR_NULL;
    r->groups.items[0].member_epoch = -1;
    r->groups.items[0].topics.count = 1;
    r->groups.items[0].topics.items =
        arena_array(&a->arena, 1, sizeof *r->groups.items[0].topics.items);
    r->groups.items[0].topics.items[0].name = copied(a, topic);
    r->groups.items[0].topics.items[0].partition_indexes.items = &partition;
    r->groups.items[0].topics.items[0].partition_indexes.count = 1;
    ask_submit(a);
    assert_true(a->done);
    const struct offset_fetch_response *response = a->call.response;
    *error = response->groups.items[0].error_code;
    int64_t offset = -1;
    if (*error == 0) {
        *error = response->groups.items[0].topics.items[0].partitions.items[0].error_code;
        offset = response->groups.items[0].topics.items[0].partitions.items[0].committed_offset;
    }
    ask_free(a);
    return offset;
}

const char *state_of(struct world *w, const char *group)
{
    static char state[40];
    struct ask *a = ask_new(w, WIRE_DESCRIBE_GROUPS, 5);
    struct describe_groups_request *r = request_of(a);
    struct wire_str id = wire_str(group);
    r->groups.count = 1;
    r->groups.items = &id;
    ask_submit(a);
    const struct describe_groups_response *response = a->call.response;
    snprintf(state, sizeof state, "%.*s", response->groups.items[0].group_state.size,
             response->groups.items[0].group_state.data);
    ask_free(a);
    return state;
}
