/* What follows from a model: lags, sums per broker, faults, counts. */
#include <string.h>

#include "common/base/assert.h"
#include "console/model.h"

static int64_t lag_behind(int64_t end, int64_t own)
{
    if (!model_known(end) || !model_known(own)) {
        return end == MODEL_DENIED || own == MODEL_DENIED ? MODEL_DENIED : MODEL_UNKNOWN;
    }
    /* Followers are asked before the leader, yet a new leader may know less than an old one did. */
    return own >= end ? 0 : end - own;
}

/* What would become of the partition without this member of its ISR. */
static void derive_stop(const struct model_partition *p, struct model_broker *b)
{
    int64_t left = model_in_sync_count(p) - 1;
    int64_t need = p->topic->min_insync;
    if (left == 0) {
        b->stop_offline++;
        return;
    }
    b->stop_known = b->stop_known && model_known(need);
    need = need > p->replica_count ? p->replica_count : need;
    b->stop_under_min_isr += model_known(need) && left < need;
}

static void derive_partition(struct model *m, struct model_partition *p)
{
    const struct model_replica *leader = model_find_replica(p, p->leader);
    for (int i = 0; i < p->replica_count; i++) {
        struct model_replica *r = &p->replicas[i];
        int64_t end = leader == NULL ? MODEL_UNKNOWN : leader->end_offset;
        r->lag = lag_behind(end, r->end_offset);
        int64_t end_ms = leader == NULL ? 0 : leader->sampled_ms;
        r->lag_taken_ms = end_ms < r->sampled_ms ? end_ms : r->sampled_ms;
        struct model_broker *b = model_find_broker(m, r->broker);
        if (b != NULL) {
            b->replicas++;
            b->out_of_sync += !r->in_sync && !r->adding;
            b->leaders += r->broker == p->leader;
            if (r->in_sync && p->leader != MODEL_NO_BROKER) {
                derive_stop(p, b);
            }
        }
    }
}

static void derive_group(const struct model *m, struct model_group *g)
{
    for (int i = 0; i < g->offset_count; i++) {
        struct model_offset *o = &g->offsets[i];
        const struct model_partition *p = model_find_partition(m, o->topic, o->partition);
        o->end_offset = p == NULL ? MODEL_UNKNOWN : p->high_watermark;
        o->lag = o->committed == MODEL_NONE ? MODEL_NONE : lag_behind(o->end_offset, o->committed);
    }
}

void model_freeze(struct model *draft)
{
    ASSERT(!draft->frozen && draft->refs == 1);
    for (int i = 0; i < draft->broker_count; i++) {
        draft->brokers[i].leaders = 0;
        draft->brokers[i].replicas = 0;
        draft->brokers[i].out_of_sync = 0;
        draft->brokers[i].stop_offline = 0;
        draft->brokers[i].stop_under_min_isr = 0;
        draft->brokers[i].stop_known = true;
    }
    for (int i = 0; i < draft->topic_count; i++) {
        for (int j = 0; j < draft->topics[i].partition_count; j++) {
            derive_partition(draft, &draft->topics[i].partitions[j]);
        }
    }
    for (int i = 0; i < draft->group_count; i++) {
        derive_group(draft, &draft->groups[i]);
    }
    for (int i = 0; i < draft->quorum.node_count; i++) {
        struct model_voter *leader = NULL;
        for (int j = 0; j < draft->quorum.node_count; j++) {
            leader = draft->quorum.nodes[j].node == draft->quorum.leader ? &draft->quorum.nodes[j]
                                                                         : leader;
        }
        struct model_voter *v = &draft->quorum.nodes[i];
        v->lag = lag_behind(leader == NULL ? MODEL_UNKNOWN : leader->end_offset, v->end_offset);
    }
    draft->frozen = true;
}

int model_in_sync_count(const struct model_partition *p)
{
    int count = 0;
    for (int i = 0; i < p->replica_count; i++) {
        count += p->replicas[i].in_sync;
    }
    return count;
}

bool model_under_replicated(const struct model_partition *p)
{
    for (int i = 0; i < p->replica_count; i++) {
        if (!p->replicas[i].in_sync && !p->replicas[i].adding) {
            return true;
        }
    }
    return false;
}

bool model_is_moving(const struct model_partition *p)
{
    for (int i = 0; i < p->replica_count; i++) {
        if (p->replicas[i].adding || p->replicas[i].removing) {
            return true;
        }
    }
    return false;
}

enum model_fault model_partition_fault(const struct model_partition *p)
{
    if (p->leader == MODEL_NO_BROKER) {
        return MODEL_OFFLINE;
    }
    int in_sync = model_in_sync_count(p);
    int64_t need = p->topic->min_insync;
    if (model_known(need) && need > p->replica_count) {
        need = p->replica_count; /* as the broker judges, unlike kafka-topics */
    }
    if (model_known(need) && in_sync < need) {
        return MODEL_UNDER_MIN_ISR;
    }
    return model_under_replicated(p) ? MODEL_UNDER_REPLICATED : MODEL_HEALTHY;
}

bool model_leader_is_preferred(const struct model_partition *p)
{
    return p->replica_count > 0 && p->replicas[0].broker == p->leader;
}

int64_t model_worst_lag(const struct model_partition *p)
{
    int64_t worst = MODEL_UNKNOWN;
    int followers = 0;
    for (int i = 0; i < p->replica_count; i++) {
        if (p->replicas[i].broker != p->leader) {
            followers++;
            worst = p->replicas[i].lag > worst ? p->replicas[i].lag : worst;
        }
    }
    return followers == 0 ? MODEL_NONE : worst;
}

int64_t model_group_lag(const struct model_group *g)
{
    int64_t sum = 0;
    bool any = false;
    for (int i = 0; i < g->offset_count; i++) {
        if (model_known(g->offsets[i].lag)) {
            sum += g->offsets[i].lag;
            any = true;
        }
    }
    if (any) {
        return sum;
    }
    if (g->offsets_state == MODEL_REFUSED) {
        return MODEL_DENIED;
    }
    return g->offsets_state == MODEL_READ && g->offset_count == 0 ? MODEL_NONE : MODEL_UNKNOWN;
}

static int64_t mark_of(const struct model *m, enum model_part_id part)
{
    return m->parts[part].state == MODEL_REFUSED ? MODEL_DENIED : MODEL_UNKNOWN;
}

struct model_counts model_count(const struct model *m)
{
    int64_t cluster = m->parts[MODEL_CLUSTER].read_ms != 0 ? 0 : mark_of(m, MODEL_CLUSTER);
    struct model_counts c = {cluster, cluster, cluster, cluster, cluster,
                             cluster, cluster, cluster, 0};
    c.groups = m->parts[MODEL_GROUPS].read_ms != 0 ? m->group_count : mark_of(m, MODEL_GROUPS);
    if (cluster != 0) {
        return c;
    }
    for (int i = 0; i < m->broker_count; i++) {
        c.brokers += m->brokers[i].alive;
        c.brokers_missing += !m->brokers[i].alive;
    }
    c.topics = m->topic_count;
    for (int i = 0; i < m->topic_count; i++) {
        const struct model_topic *t = &m->topics[i];
        c.partitions += t->partition_count;
        for (int j = 0; j < t->partition_count; j++) {
            enum model_fault fault = model_partition_fault(&t->partitions[j]);
            c.offline += fault >= MODEL_OFFLINE;
            c.under_min_isr += fault >= MODEL_UNDER_MIN_ISR;
            c.under_replicated += model_under_replicated(&t->partitions[j]);
            c.not_preferred +=
                fault < MODEL_OFFLINE && !model_leader_is_preferred(&t->partitions[j]);
        }
    }
    return c;
}
