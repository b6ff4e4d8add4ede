#include "console/json.h"

#include <jansson.h>

#include "common/base/assert.h"

/* json_string wants valid UTF-8; what is not, is shown as it would be on a terminal. */
static json_t *text_of(const char *s)
{
    if (s == NULL) {
        return json_null();
    }
    json_t *string = json_string(s);
    char safe[TEXT_MAX];
    return string != NULL ? string : json_string(text_safe(s, safe));
}

static json_t *number_of(int64_t value)
{
    return model_known(value) ? json_integer(value) : json_null();
}

static json_t *broker_of(int32_t id)
{
    return id == MODEL_NO_BROKER ? json_null() : json_integer(id);
}

static json_t *time_of(int64_t ms)
{
    return ms == 0 ? json_null() : number_of(ms);
}

static void set(json_t *object, const char *key, json_t *value)
{
    int failed = json_object_set_new(object, key, value);
    ASSERT(failed == 0);
}

static json_t *reasons_of(const struct model *m)
{
    struct model_reason reasons[MODEL_MAX_REASONS];
    json_t *list = json_array();
    int count = model_reasons(m, reasons);
    for (int i = 0; i < count; i++) {
        json_t *o = json_object();
        set(o, "severity", text_of(model_verdict_name(reasons[i].severity)));
        set(o, "count", reasons[i].count == 0 ? json_null() : json_integer(reasons[i].count));
        set(o, "what", text_of(reasons[i].what));
        set(o, "advice", text_of(reasons[i].advice));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *overview(const struct model *m)
{
    struct model_counts n = model_count(m);
    json_t *o = json_object();
    set(o, "cluster_id", text_of(m->cluster_id));
    set(o, "verdict", text_of(model_verdict_name(model_judge(m))));
    set(o, "reasons", reasons_of(m));
    set(o, "quorum_leader", broker_of(m->quorum.leader));
    set(o, "brokers", number_of(n.brokers));
    set(o, "brokers_missing", number_of(n.brokers_missing));
    set(o, "topics", number_of(n.topics));
    set(o, "partitions", number_of(n.partitions));
    set(o, "offline_partitions", number_of(n.offline));
    set(o, "under_min_isr_partitions", number_of(n.under_min_isr));
    set(o, "under_replicated_partitions", number_of(n.under_replicated));
    set(o, "non_preferred_leader_partitions", number_of(n.not_preferred));
    set(o, "groups", number_of(n.groups));
    set(o, "taken_ms", time_of(m->taken_ms));
    return o;
}

static json_t *brokers(const struct model *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->broker_count; i++) {
        const struct model_broker *b = &m->brokers[i];
        json_t *o = json_object();
        set(o, "broker", json_integer(b->id));
        set(o, "host", text_of(b->host));
        set(o, "port", b->host == NULL ? json_null() : json_integer(b->port));
        set(o, "rack", text_of(b->rack));
        set(o, "state", text_of(b->alive ? "up" : b->fenced ? "fenced" : "missing"));
        set(o, "leaders", number_of(b->leaders));
        set(o, "replicas", number_of(b->replicas));
        set(o, "out_of_sync", number_of(b->out_of_sync));
        set(o, "stop_offline", json_integer(b->stop_offline));
        set(o, "stop_under_min_isr",
            b->stop_known ? json_integer(b->stop_under_min_isr) : json_null());
        set(o, "size_bytes", number_of(b->size_bytes));
        set(o, "disk_total_bytes", number_of(b->total_bytes));
        set(o, "disk_usable_bytes", number_of(b->usable_bytes));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *topics(const struct model *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->topic_count; i++) {
        const struct model_topic *t = &m->topics[i];
        json_t *o = json_object();
        char id[UUID_TEXT_BYTES];
        enum model_fault worst = MODEL_HEALTHY;
        int64_t size = 0;
        bool sized = t->partition_count > 0;
        for (int j = 0; j < t->partition_count; j++) {
            const struct model_partition *p = &t->partitions[j];
            enum model_fault fault = model_partition_fault(p);
            worst = fault > worst ? fault : worst;
            for (int k = 0; k < p->replica_count; k++) {
                sized &= model_known(p->replicas[k].size_bytes);
                size += sized ? p->replicas[k].size_bytes : 0;
            }
        }
        set(o, "topic", text_of(t->name));
        set(o, "topic_id", uuid_is_zero(&t->id) ? json_null() : text_of(uuid_format(&t->id, id)));
        set(o, "internal", json_boolean(t->internal));
        set(o, "partitions", t->error != NULL ? json_null() : json_integer(t->partition_count));
        set(o, "replication_factor",
            t->partition_count == 0 ? json_null() : json_integer(t->partitions[0].replica_count));
        set(o, "min_insync_replicas", number_of(t->min_insync));
        set(o, "size_bytes", sized ? json_integer(size) : json_null());
        set(o, "state", t->error != NULL ? json_null() : text_of(view_fault_name(worst)));
        set(o, "error", text_of(t->error));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *replicas_of(const struct model_partition *p)
{
    json_t *list = json_array();
    for (int i = 0; i < p->replica_count; i++) {
        const struct model_replica *r = &p->replicas[i];
        json_t *o = json_object();
        set(o, "broker", json_integer(r->broker));
        set(o, "in_sync", json_boolean(r->in_sync));
        set(o, "adding", json_boolean(r->adding));
        set(o, "removing", json_boolean(r->removing));
        set(o, "end_offset", number_of(r->end_offset));
        set(o, "lag", number_of(r->lag));
        set(o, "lag_taken_ms", time_of(r->lag_taken_ms));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *partitions(const struct model *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->topic_count; i++) {
        const struct model_topic *t = &m->topics[i];
        for (int j = 0; j < t->partition_count; j++) {
            const struct model_partition *p = &t->partitions[j];
            json_t *o = json_object();
            set(o, "topic", text_of(t->name));
            set(o, "partition", json_integer(p->partition));
            set(o, "leader", broker_of(p->leader));
            set(o, "preferred_leader",
                broker_of(p->replica_count > 0 ? p->replicas[0].broker : MODEL_NO_BROKER));
            set(o, "leader_epoch", number_of(p->leader_epoch));
            set(o, "log_start_offset", number_of(p->log_start_offset));
            set(o, "high_watermark", number_of(p->high_watermark));
            set(o, "replicas", replicas_of(p));
            json_array_append_new(list, o);
        }
    }
    return list;
}

static json_t *members_of(const struct model_group *g)
{
    if (g->members_state != MODEL_READ) {
        return json_null();
    }
    json_t *list = json_array();
    for (int i = 0; i < g->member_count; i++) {
        const struct model_member *mb = &g->members[i];
        json_t *o = json_object();
        json_t *assigned = json_array();
        for (int j = 0; j < mb->partition_count; j++) {
            json_t *a = json_object();
            set(a, "topic", text_of(mb->partitions[j].topic));
            set(a, "partition", json_integer(mb->partitions[j].partition));
            json_array_append_new(assigned, a);
        }
        set(o, "member_id", text_of(mb->member_id));
        set(o, "client_id", text_of(mb->client_id));
        set(o, "host", text_of(mb->host));
        set(o, "partitions", assigned);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *offsets_of(const struct model_group *g)
{
    if (g->offsets_state != MODEL_READ) {
        return json_null();
    }
    json_t *list = json_array();
    for (int i = 0; i < g->offset_count; i++) {
        const struct model_offset *f = &g->offsets[i];
        json_t *o = json_object();
        set(o, "topic", text_of(f->topic));
        set(o, "partition", json_integer(f->partition));
        set(o, "committed", number_of(f->committed));
        set(o, "end_offset", number_of(f->end_offset));
        set(o, "lag", number_of(f->lag));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *groups(const struct model *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->group_count; i++) {
        const struct model_group *g = &m->groups[i];
        json_t *o = json_object();
        set(o, "group", text_of(g->group));
        set(o, "state", text_of(g->state));
        set(o, "type", text_of(g->type));
        set(o, "protocol", text_of(g->protocol));
        set(o, "coordinator", broker_of(g->coordinator));
        set(o, "members", members_of(g));
        set(o, "offsets", offsets_of(g));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *quorum(const struct model *m)
{
    json_t *o = json_object();
    json_t *voters = json_array();
    json_t *observers = json_array();
    for (int i = 0; i < m->quorum.node_count; i++) {
        const struct model_voter *v = &m->quorum.nodes[i];
        json_t *n = json_object();
        set(n, "node", json_integer(v->node));
        set(n, "log_end_offset", number_of(v->end_offset));
        set(n, "lag", number_of(v->lag));
        set(n, "last_fetch_ms", number_of(v->last_fetch_ms));
        set(n, "last_caught_up_ms", number_of(v->last_caught_ms));
        json_array_append_new(v->voter ? voters : observers, n);
    }
    set(o, "leader", broker_of(m->quorum.leader));
    set(o, "leader_epoch", number_of(m->quorum.leader_epoch));
    set(o, "high_watermark", number_of(m->quorum.high_watermark));
    set(o, "voters", voters);
    set(o, "observers", observers);
    return o;
}

/* Takes the document over. */
static void print(json_t *document, FILE *to)
{
    json_dumpf(document, to, JSON_INDENT(2));
    fputc('\n', to);
    json_decref(document);
}

void json_print(const struct model *m, enum view_id id, FILE *to)
{
    static json_t *(*const make[VIEW_NAMED_COUNT])(const struct model *) = {
        [VIEW_OVERVIEW] = overview,     [VIEW_BROKERS] = brokers, [VIEW_TOPICS] = topics,
        [VIEW_PARTITIONS] = partitions, [VIEW_GROUPS] = groups,   [VIEW_QUORUM] = quorum,
    };
    ASSERT(id < VIEW_NAMED_COUNT);
    print(make[id](m), to);
}

void json_print_check(const struct model *m, FILE *to)
{
    json_t *o = json_object();
    set(o, "cluster_id", text_of(m->cluster_id));
    set(o, "verdict", text_of(model_verdict_name(model_judge(m))));
    set(o, "reasons", reasons_of(m));
    set(o, "taken_ms", time_of(m->taken_ms));
    print(o, to);
}

static json_t *changes_of(const struct action_plan *plan)
{
    json_t *list = json_array();
    for (int i = 0; i < plan->row_count; i++) {
        json_t *o = json_object();
        set(o, "topic", text_of(plan->rows[i].topic));
        set(o, "partition", json_integer(plan->rows[i].partition));
        set(o, "before", number_of(plan->rows[i].before));
        set(o, "after", number_of(plan->rows[i].after));
        json_array_append_new(list, o);
    }
    return list;
}

void json_print_action(const struct action *a, int status, const char *ending, FILE *to)
{
    static const char *const results[] = {"done", "refused", "wrong", "unknown"};
    ASSERT(status >= 0 && status < (int)(sizeof results / sizeof *results));
    bool ended = a->state == ACTION_OUTCOME;
    json_t *o = json_object();
    json_t *plan = json_object();
    for (int i = 0; i < a->plan.object_count; i++) {
        set(plan, a->plan.objects[i].label, text_of(a->plan.objects[i].text));
    }
    set(o, "action", text_of(a->plan.title));
    set(o, "plan", plan);
    set(o, "changes", changes_of(&a->plan));
    set(o, "possible", json_boolean(a->plan.possible));
    set(o, "verdict", text_of(a->plan.verdict));
    set(o, "result", text_of(results[status]));
    set(o, "said", text_of(ended ? a->headline : ending));
    set(o, "advice", text_of(ended ? a->advice : ""));
    set(o, "now", text_of(ended ? a->now : ""));
    print(o, to);
}
