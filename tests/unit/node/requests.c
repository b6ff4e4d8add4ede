/* For every API a request that asks for something, at any version. */
#include "tests/unit/node/desk.h"

static struct wire_str names[] = {{"t", 1}, {"nowhere", 7}};

static void fill_metadata(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    (void)d;
    struct metadata_request *r = request;
    r->topics.count = 2;
    r->topics.items = arena_array(arena, 2, sizeof *r->topics.items);
    r->topics.items[0].name = names[0];
    r->topics.items[1].name = names[1];
    if (version >= 12) {
        r->topics.items[1].name = WIRE_STR_NULL;
        r->topics.items[1].topic_id = uuid_from_number(3);
    }
}

static void fill_produce(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    struct produce_request *r = produce_of(arena, -1, 10);
    r->topic_data.items[0].topic_id = version >= 13 ? d->topic_id : uuid_zero();
    memcpy(request, r, sizeof *r);
}

static void fill_fetch(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    struct fetch_request *r = fetch_of(arena, 0, 0, 1);
    if (version >= 13) {
        r->topics.items[0].topic_id = d->topic_id;
        r->topics.items[0].topic = wire_str("");
    }
    memcpy(request, r, sizeof *r);
}

static void fill_list_offsets(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    (void)d;
    (void)version;
    struct list_offsets_request *r = request;
    r->replica_id = -1;
    r->topics.count = 2;
    r->topics.items = arena_array(arena, 2, sizeof *r->topics.items);
    for (int i = 0; i < 2; i++) {
        r->topics.items[i].name = names[i];
        r->topics.items[i].partitions.count = 3;
        r->topics.items[i].partitions.items =
            arena_array(arena, 3, sizeof *r->topics.items[i].partitions.items);
        for (int j = 0; j < 3; j++) {
            static const int64_t times[] = {-1, -2, 500};
            r->topics.items[i].partitions.items[j].current_leader_epoch = -1;
            r->topics.items[i].partitions.items[j].timestamp = times[j];
        }
    }
}

static void fill_offset_commit(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    struct offset_commit_request *r = request;
    r->group_id = wire_str("g");
    r->topics.count = 1;
    r->topics.items = arena_array(arena, 1, sizeof *r->topics.items);
    if (version >= 10) {
        r->topics.items[0].topic_id = d->topic_id;
    }
    r->topics.items[0].name = version >= 10 ? wire_str("") : names[0];
    r->topics.items[0].partitions.count = 1;
    r->topics.items[0].partitions.items =
        arena_array(arena, 1, sizeof *r->topics.items[0].partitions.items);
    r->topics.items[0].partitions.items[0].committed_offset = 4;
    r->topics.items[0].partitions.items[0].committed_leader_epoch = -1;
}

static void fill_offset_fetch(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    (void)d;
    static int32_t zero[] = {0};
    struct offset_fetch_request *r = request;
    if (version < 8) {
        r->group_id = wire_str("g");
        r->topics.count = 1;
        r->topics.items = arena_array(arena, 1, sizeof *r->topics.items);
        r->topics.items[0].name = names[0];
        r->topics.items[0].partition_indexes.items = zero;
        r->topics.items[0].partition_indexes.count = 1;
        return;
    }
    r->groups.count = 2;
    r->groups.items = arena_array(arena, 2, sizeof *r->groups.items);
    for (int i = 0; i < 2; i++) {
        r->groups.items[i].group_id = wire_str("g");
        r->groups.items[i].member_id = WIRE_STR_NULL;
        r->groups.items[i].member_epoch = -1;
        r->groups.items[i].topics.count = -i;
        r->groups.items[i].topics.items =
            arena_array(arena, 1, sizeof *r->groups.items[i].topics.items);
    }
}

static void fill_find_coordinator(struct desk *d, int16_t version, void *request,
                                  struct arena *arena)
{
    (void)d;
    (void)arena;
    struct find_coordinator_request *r = request;
    if (version < 4) {
        r->key = names[0];
    } else {
        r->coordinator_keys.items = names;
        r->coordinator_keys.count = 2;
    }
}

static void fill_join_group(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    (void)d;
    (void)version;
    struct join_group_request *r = request;
    r->group_id = wire_str("joined");
    r->session_timeout_ms = 10000;
    r->rebalance_timeout_ms = 1;
    r->protocol_type = wire_str("consumer");
    r->protocols.count = 1;
    r->protocols.items = arena_array(arena, 1, sizeof *r->protocols.items);
    r->protocols.items[0].name = wire_str("range");
}

static void fill_leave_group(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    (void)d;
    struct leave_group_request *r = request;
    r->group_id = wire_str("g");
    if (version >= 3) {
        r->members.count = 1;
        r->members.items = arena_array(arena, 1, sizeof *r->members.items);
        r->members.items[0].group_instance_id = WIRE_STR_NULL;
    }
}

static void fill_describe_groups(struct desk *d, int16_t version, void *request,
                                 struct arena *arena)
{
    (void)d;
    (void)version;
    (void)arena;
    struct describe_groups_request *r = request;
    static struct wire_str groups[] = {{"g", 1}, {"joined", 6}, {"none", 4}};
    r->groups.items = groups;
    r->groups.count = 3;
}

static void fill_delete_groups(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    (void)d;
    (void)version;
    (void)arena;
    struct delete_groups_request *r = request;
    r->groups_names.items = names;
    r->groups_names.count = 2;
}

static void fill_delete_records(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    (void)d;
    (void)version;
    struct delete_records_request *r = request;
    r->timeout_ms = 1000;
    r->topics.count = 2;
    r->topics.items = arena_array(arena, 2, sizeof *r->topics.items);
    for (int i = 0; i < 2; i++) {
        r->topics.items[i].name = names[i];
        r->topics.items[i].partitions.count = 2;
        r->topics.items[i].partitions.items =
            arena_array(arena, 2, sizeof *r->topics.items[i].partitions.items);
        r->topics.items[i].partitions.items[1].partition_index = 7;
    }
}

static void fill_describe_configs(struct desk *d, int16_t version, void *request,
                                  struct arena *arena)
{
    (void)d;
    struct describe_configs_request *r = request;
    static const char *const resources[] = {"t", "1", "nowhere", "7"};
    r->include_synonyms = version >= 1;
    r->include_documentation = version >= 3;
    r->resources.count = 4;
    r->resources.items = arena_array(arena, 4, sizeof *r->resources.items);
    for (int i = 0; i < 4; i++) {
        r->resources.items[i].resource_type = i % 2 == 0 ? 2 : 4;
        r->resources.items[i].resource_name = wire_str(resources[i]);
        r->resources.items[i].configuration_keys.count = -1;
    }
}

static void fill_describe_log_dirs(struct desk *d, int16_t version, void *request,
                                   struct arena *arena)
{
    (void)d;
    (void)version;
    (void)arena;
    struct describe_log_dirs_request *r = request;
    r->topics.count = -1;
}

static void fill_offset_for_leader_epoch(struct desk *d, int16_t version, void *request,
                                         struct arena *arena)
{
    (void)d;
    (void)version;
    struct offset_for_leader_epoch_request *r = request;
    r->replica_id = -1;
    r->topics.count = 1;
    r->topics.items = arena_array(arena, 1, sizeof *r->topics.items);
    r->topics.items[0].topic = names[0];
    r->topics.items[0].partitions.count = 1;
    r->topics.items[0].partitions.items =
        arena_array(arena, 1, sizeof *r->topics.items[0].partitions.items);
    r->topics.items[0].partitions.items[0].current_leader_epoch = -1;
}

static void fill_create_topics(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    (void)d;
    struct create_topics_request *r = request;
    r->timeout_ms = 5000;
    r->topics.count = 2;
    r->topics.items = arena_array(arena, 2, sizeof *r->topics.items);
    for (int i = 0; i < 2; i++) {
        r->topics.items[i].name =
            i == 0 ? names[0] : wire_str(arena_printf(arena, "made-by-%d", version));
        r->topics.items[i].num_partitions = 1;
        r->topics.items[i].replication_factor = 1;
    }
}

static void fill_delete_topics(struct desk *d, int16_t version, void *request, struct arena *arena)
{
    (void)d;
    struct delete_topics_request *r = request;
    r->timeout_ms = 5000;
    if (version < 6) {
        r->topic_names.items = &names[1];
        r->topic_names.count = 1;
    } else {
        r->topics.count = 1;
        r->topics.items = arena_array(arena, 1, sizeof *r->topics.items);
        r->topics.items[0].name = names[1];
    }
}

static void fill_describe_quorum(struct desk *d, int16_t version, void *request,
                                 struct arena *arena)
{
    (void)d;
    (void)version;
    struct describe_quorum_request *r = request;
    r->topics.count = 1;
    r->topics.items = arena_array(arena, 1, sizeof *r->topics.items);
    r->topics.items[0].topic_name = wire_str("__cluster_metadata");
    r->topics.items[0].partitions.count = 1;
    r->topics.items[0].partitions.items =
        arena_array(arena, 1, sizeof *r->topics.items[0].partitions.items);
}

static void fill_init_producer_id(struct desk *d, int16_t version, void *request,
                                  struct arena *arena)
{
    (void)d;
    (void)version;
    (void)arena;
    ((struct init_producer_id_request *)request)->transactional_id = WIRE_STR_NULL;
}

static void fill_describe_topic_partitions(struct desk *d, int16_t version, void *request,
                                           struct arena *arena)
{
    (void)d;
    (void)version;
    struct describe_topic_partitions_request *r = request;
    r->topics.count = 2;
    r->topics.items = arena_array(arena, 2, sizeof *r->topics.items);
    r->topics.items[0].name = names[0];
    r->topics.items[1].name = names[1];
}

static void fill_alter_partition_reassignments(struct desk *d, int16_t version, void *request,
                                               struct arena *arena)
{
    (void)d;
    (void)version;
    struct alter_partition_reassignments_request *r = request;
    r->topics.count = 1;
    r->topics.items = arena_array(arena, 1, sizeof *r->topics.items);
    r->topics.items[0].name = names[1];
    r->topics.items[0].partitions.count = 1;
    r->topics.items[0].partitions.items =
        arena_array(arena, 1, sizeof *r->topics.items[0].partitions.items);
}

void request_fill(struct desk *d, int16_t key, int16_t version, void *request, struct arena *arena)
{
    static const struct {
        int16_t key;
        void (*fill)(struct desk *d, int16_t version, void *request, struct arena *arena);
    } table[] = {
        {WIRE_METADATA, fill_metadata},
        {WIRE_PRODUCE, fill_produce},
        {WIRE_FETCH, fill_fetch},
        {WIRE_LIST_OFFSETS, fill_list_offsets},
        {WIRE_OFFSET_COMMIT, fill_offset_commit},
        {WIRE_OFFSET_FETCH, fill_offset_fetch},
        {WIRE_FIND_COORDINATOR, fill_find_coordinator},
        {WIRE_JOIN_GROUP, fill_join_group},
        {WIRE_LEAVE_GROUP, fill_leave_group},
        {WIRE_DESCRIBE_GROUPS, fill_describe_groups},
        {WIRE_DELETE_GROUPS, fill_delete_groups},
        {WIRE_DELETE_RECORDS, fill_delete_records},
        {WIRE_DESCRIBE_CONFIGS, fill_describe_configs},
        {WIRE_DESCRIBE_LOG_DIRS, fill_describe_log_dirs},
        {WIRE_OFFSET_FOR_LEADER_EPOCH, fill_offset_for_leader_epoch},
        {WIRE_CREATE_TOPICS, fill_create_topics},
        {WIRE_DELETE_TOPICS, fill_delete_topics},
        {WIRE_DESCRIBE_QUORUM, fill_describe_quorum},
        {WIRE_INIT_PRODUCER_ID, fill_init_producer_id},
        {WIRE_DESCRIBE_TOPIC_PARTITIONS, fill_describe_topic_partitions},
        {WIRE_ALTER_PARTITION_REASSIGNMENTS, fill_alter_partition_reassignments},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].key == key) {
            table[i].fill(d, version, request, arena);
        }
    }
}
