#include "tests/unit/console/fixture.h"

#include <stdlib.h>

static void add_partition(struct model *m, struct model_partition *p, int32_t number,
                          int32_t leader, int64_t end)
{
    struct model_replica *r = model_set_replicas(m, p, 3);
    p->partition = number;
    p->leader = leader;
    p->leader_epoch = 4;
    p->log_start_offset = 0;
    p->high_watermark = end;
    p->sampled_ms = FIXTURE_NOW_MS - 1000;
    for (int i = 0; i < 3; i++) {
        r[i].broker = (number + i) % 3 + 1;
        r[i].in_sync = true;
        r[i].end_offset = end;
        r[i].sampled_ms = p->sampled_ms;
        r[i].size_bytes = end * 100;
    }
}

static void add_brokers(struct model *m)
{
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.1", "127.0.0.1"};
    struct model_broker *b = model_set_brokers(m, 3);
    for (int i = 0; i < 3; i++) {
        b[i].id = i + 1;
        b[i].host = hosts[i];
        b[i].port = 9092 + i;
        b[i].rack = i == 0 ? "a" : NULL;
        b[i].alive = i != 2;
        b[i].size_bytes = i == 1 ? MODEL_DENIED : 3 << 20;
    }
}

static void add_topics(struct model *m)
{
    struct model_topic *t = model_set_topics(m, 3);
    t[0].name = "__consumer_offsets";
    t[0].min_insync = 1;
    add_partition(m, &model_set_partitions(m, &t[0], 1)[0], 0, 1, 12);
    t[1].name = "orders";
    t[1].min_insync = 2;
    struct model_partition *p = model_set_partitions(m, &t[1], 3);
    add_partition(m, &p[0], 2, 3, 200); /* out of order on purpose: model_sort puts it right */
    add_partition(m, &p[1], 0, 1, 100);
    add_partition(m, &p[2], 1, 3, 150);
    p[0].leader = MODEL_NO_BROKER;
    p[0].high_watermark = MODEL_UNKNOWN;
    p[2].replicas[2].in_sync = false; /* broker 1 */
    p[2].replicas[2].end_offset = 90;
    p[2].replicas[2].sampled_ms = FIXTURE_NOW_MS - 9000;
    t[2].name = "evil\033[2Jname\xff";
    t[2].denied = true;
    t[2].error = "TOPIC_AUTHORIZATION_FAILED";
}

static void add_groups(struct model *m)
{
    static struct model_assigned assigned[] = {{"orders", 0}, {"orders", 1}};
    struct model_group *g = model_set_groups(m, 2);
    g[0].group = "workers";
    g[0].state = "Stable";
    g[0].type = "classic";
    g[0].protocol = "range";
    g[0].coordinator = 1;
    g[0].members_state = MODEL_READ;
    g[0].offsets_state = MODEL_READ;
    g[0].members = arena_array(&m->arena, 2, sizeof *g[0].members);
    g[0].member_count = 2;
    g[0].members[0] = (struct model_member){"m-1", "rdkafka", "/127.0.0.1", assigned, 2};
    g[0].members[1] = (struct model_member){"m-2", "rdkafka", "/127.0.0.1", NULL, 0};
    g[0].offsets = arena_array(&m->arena, 3, sizeof *g[0].offsets);
    g[0].offset_count = 3;
    g[0].offsets[0] = (struct model_offset){"orders", 2, 5, 0, 0, -1};
    g[0].offsets[1] = (struct model_offset){"orders", 1, MODEL_NONE, 0, 0, 0};
    g[0].offsets[2] = (struct model_offset){"orders", 0, 60, 0, 0, 0};
    g[1].group = "audit";
    g[1].state = "Empty";
    g[1].members_state = MODEL_REFUSED;
    g[1].offsets_state = MODEL_REFUSED;
    g[1].error = "group audit: GROUP_AUTHORIZATION_FAILED";
}

static void add_quorum(struct model *m)
{
    m->quorum.leader = 1;
    m->quorum.leader_epoch = 7;
    m->quorum.high_watermark = 500;
    m->quorum.nodes = arena_array(&m->arena, 3, sizeof *m->quorum.nodes);
    m->quorum.node_count = 3;
    m->quorum.nodes[0] =
        (struct model_voter){3, false, 490, 0, FIXTURE_NOW_MS - 3000, MODEL_UNKNOWN};
    m->quorum.nodes[1] =
        (struct model_voter){2, true, 500, 0, FIXTURE_NOW_MS - 500, FIXTURE_NOW_MS - 500};
    m->quorum.nodes[2] = (struct model_voter){1, true, 501, 0, FIXTURE_NOW_MS, FIXTURE_NOW_MS};
}

const struct model *fixture_model(void)
{
    struct model *m = model_new();
    m->taken_ms = FIXTURE_NOW_MS;
    m->cluster_id = "5L6g3nShT-eMCtK--X86sw";
    for (int i = 0; i < MODEL_PART_COUNT; i++) {
        m->parts[i].state = MODEL_READ;
        m->parts[i].read_ms = FIXTURE_NOW_MS;
    }
    add_brokers(m);
    add_topics(m);
    add_groups(m);
    add_quorum(m);
    model_sort(m);
    struct model *copy = model_copy(m); /* so that every test rests on the copy being whole */
    model_unref(m);
    model_freeze(copy);
    return copy;
}
