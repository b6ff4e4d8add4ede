/* Committed offsets as a register: a read may return a write unless that write had ended before
 * another acknowledged one began, and that one had ended before the read was asked. */
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/ledger_internal.h"

enum { QUESTION_MAX_US = 120 * 1000000 };

uint64_t ledger_commit_sent(struct ledger *l, int part, int64_t offset, int64_t now_us)
{
    struct ledger_part *p = &l->parts[part];
    struct ledger_commit *commit = MEM_PUSH(p->commits, p->commit_count, p->commit_capacity);
    *commit = (struct ledger_commit){.attempt = ++l->attempts,
                                     .offset = offset,
                                     .sent_us = now_us,
                                     .end_us = INT64_MAX,
                                     .superseded_us = INT64_MAX};
    return commit->attempt;
}

static void drop(struct ledger_part *p, size_t at)
{
    p->commits[at] = p->commits[--p->commit_count];
}

/* What ended before `done` began cannot stand any more once `done` has ended; but who asked before
 * that may yet be told of it. */
static void supersede(struct ledger_part *p, int64_t sent_us, int64_t now_us)
{
    for (size_t i = p->commit_count; i-- > 0;) {
        struct ledger_commit *old = &p->commits[i];
        if (old->superseded_us < now_us - QUESTION_MAX_US) {
            drop(p, i);
        } else if (old->superseded_us == INT64_MAX && old->end_us < sent_us) {
            old->superseded_us = now_us;
        }
    }
}

void ledger_commit_ended(struct ledger *l, int part, uint64_t attempt, enum ledger_outcome outcome,
                         int64_t now_us)
{
    struct ledger_part *p = &l->parts[part];
    size_t at = 0;
    while (at < p->commit_count && p->commits[at].attempt != attempt) {
        at++;
    }
    ASSERT(at < p->commit_count);
    if (outcome == LEDGER_REFUSED) {
        drop(p, at);
    } else if (outcome == LEDGER_DONE) {
        p->commits[at].acked = true;
        p->commits[at].end_us = now_us;
        supersede(p, p->commits[at].sent_us, now_us);
    }
}

void ledger_commits_cut(struct ledger *l, int64_t now_us)
{
    for (int i = 0; i < l->part_count; i++) {
        for (size_t k = 0; k < l->parts[i].commit_count; k++) {
            struct ledger_commit *commit = &l->parts[i].commits[k];
            commit->end_us = commit->end_us > now_us ? now_us : commit->end_us;
        }
    }
}

void ledger_commit_seen(struct ledger *l, int part, int64_t offset, int64_t asked_us, bool replaced)
{
    const struct ledger_part *p = &l->parts[part];
    int64_t acked = -1;
    for (size_t i = 0; i < p->commit_count; i++) {
        const struct ledger_commit *commit = &p->commits[i];
        bool standing = replaced || commit->superseded_us >= asked_us;
        if (commit->offset == offset && standing) {
            return;
        }
        acked = standing && commit->acked ? commit->offset : acked;
    }
    verdict_fail(l->verdict,
                 "committed offset: %s is told to be %lld, which no commit that may still stand "
                 "says; acknowledged was %lld",
                 p->name, (long long)offset, (long long)acked);
}
