/* The verdict on a cluster, and its reasons. */
#include <string.h>

#include "common/base/assert.h"
#include "console/model.h"

enum { SILENT_MS = 10000 }; /* a voter that has not fetched for so long is no help to the quorum */

struct reasons {
    struct model_reason *at;
    int count;
};

static void add(struct reasons *r, enum model_verdict severity, int64_t count, const char *what,
                const char *advice)
{
    ASSERT(r->count < MODEL_MAX_REASONS);
    r->at[r->count++] = (struct model_reason){severity, count, what, advice};
}

static void add_some(struct reasons *r, enum model_verdict severity, int64_t count,
                     const char *what, const char *advice)
{
    if (model_known(count) && count > 0) {
        add(r, severity, count, what, advice);
    }
}

static bool was_read(const struct model *m, enum model_part_id part)
{
    return m->parts[part].read_ms != 0;
}

static int64_t silent_voters(const struct model *m)
{
    int64_t silent = 0;
    for (int i = 0; i < m->quorum.node_count; i++) {
        const struct model_voter *v = &m->quorum.nodes[i];
        silent += v->voter && v->node != m->quorum.leader && model_known(v->last_fetch_ms) &&
                  m->parts[MODEL_QUORUM].read_ms - v->last_fetch_ms > SILENT_MS;
    }
    return silent;
}

static void add_quorum(struct reasons *r, const struct model *m)
{
    if (was_read(m, MODEL_QUORUM) && m->quorum.leader == MODEL_NO_BROKER) {
        add(r, MODEL_VERDICT_CRITICAL, 0, "the metadata quorum has no leader",
            "nothing can be changed, and no failed broker is replaced: start controllers until a "
            "majority runs");
    }
}

static void add_unread(struct reasons *r, const struct model *m)
{
    static const struct {
        enum model_part_id part;
        const char *unanswered;
    } parts[] = {{MODEL_CLUSTER, "Metadata: no answer yet"},
                 {MODEL_CONFIGS, "DescribeConfigs: no answer yet"},
                 {MODEL_QUORUM, "DescribeQuorum: no answer yet"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct model_part *p = &m->parts[parts[i].part];
        if (p->state != MODEL_READ) {
            add(r, MODEL_VERDICT_UNKNOWN, 0, p->error == NULL ? parts[i].unanswered : p->error,
                p->state == MODEL_REFUSED ? "this user lacks the right DESCRIBE" : "");
        }
    }
}

int model_reasons(const struct model *m, struct model_reason out[MODEL_MAX_REASONS])
{
    struct reasons r = {out, 0};
    struct model_counts n = model_count(m);
    add_some(&r, MODEL_VERDICT_CRITICAL, n.offline, "partitions without a leader",
             "nobody can read or write them: start a broker that was in their ISR");
    /* Offline ones were named already. */
    add_some(&r, MODEL_VERDICT_CRITICAL,
             model_known(n.under_min_isr) ? n.under_min_isr - n.offline : 0,
             "partitions under min.insync.replicas",
             "writes with acks=all are refused: bring their followers back");
    add_quorum(&r, m);
    add_some(&r, MODEL_VERDICT_WARNING, n.brokers_missing, "brokers fenced or missing",
             "start them, or see whether they hang");
    add_some(&r, MODEL_VERDICT_WARNING, n.under_replicated,
             "partitions with a replica out of the ISR",
             "the follower lag shows whether it is catching up");
    add_some(&r, MODEL_VERDICT_WARNING, silent_voters(m),
             "voters of the metadata quorum not heard of",
             "one failure more may leave it without a majority");
    add_unread(&r, m);
    return r.count;
}

enum model_verdict model_judge(const struct model *m)
{
    struct model_reason reasons[MODEL_MAX_REASONS];
    enum model_verdict worst = MODEL_VERDICT_OK;
    if (!was_read(m, MODEL_CLUSTER)) {
        return MODEL_VERDICT_UNKNOWN;
    }
    int count = model_reasons(m, reasons);
    for (int i = 0; i < count; i++) {
        worst = reasons[i].severity > worst ? reasons[i].severity : worst;
    }
    return worst;
}

const char *model_verdict_name(enum model_verdict v)
{
    switch (v) {
    case MODEL_VERDICT_OK:
        return "ok";
    case MODEL_VERDICT_WARNING:
        return "warning";
    case MODEL_VERDICT_CRITICAL:
        return "critical";
    case MODEL_VERDICT_UNKNOWN:
        break;
    }
    return "unknown";
}
