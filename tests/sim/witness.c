#include "tests/sim/witness.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/witness_internal.h"

enum { LOOK_EVERY_US = 20000 };

static const char offsets_topic[] = "__consumer_offsets";

struct witness {
    struct universe *u;
    struct trail trails[TRAILS_MAX];
    int trail_count;
    struct cursor cursors[SERVERS_MAX][TRAILS_MAX];
    int64_t image_offsets[SERVERS_MAX]; /* when last looked at */
    int64_t look_us;                    /* the next time */
    bool level;
    char not_level[200];
    uint64_t elections;
    uint64_t leader_changes;
    uint64_t snapshots;
    uint64_t skips;
};

static struct cursor *cursor_of(struct witness *w, const struct server *server, int trail)
{
    return &w->cursors[server - w->u->servers][trail];
}

/* -1: not one that is watched, as a topic that will be deleted. */
static int trail_of(const struct witness *w, const char *topic, int32_t partition)
{
    char name[80];
    snprintf(name, sizeof name, "%s-%d", topic, partition);
    for (int i = 1; i < w->trail_count; i++) {
        if (strcmp(w->trails[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static void add_trail(struct witness *w, const char *topic, int32_t partition)
{
    ASSERT(w->trail_count < TRAILS_MAX);
    struct trail *trail = &w->trails[w->trail_count++];
    snprintf(trail->name, sizeof trail->name, "%s-%d", topic, partition);
}

struct witness *witness_new(struct universe *u)
{
    struct witness *w = mem_zalloc(sizeof *w);
    w->u = u;
    add_trail(w, QUORUM_TOPIC, 0);
    w->trails[0].history = history_new();
    for (int part = 0; part < ledger_parts(u->ledger); part++) {
        int32_t partition = 0;
        const struct topic_plan *plan = universe_topic_of(u, part, &partition);
        add_trail(w, plan->name, partition);
    }
    for (int32_t i = 0; i < OFFSETS_PARTITIONS; i++) {
        add_trail(w, offsets_topic, i);
    }
    return w;
}

void witness_free(struct witness *w)
{
    for (int i = 0; i < w->trail_count; i++) {
        mem_free(w->trails[i].marks);
        mem_free(w->trails[i].leaders);
        history_free(w->trails[i].history);
    }
    mem_free(w);
}

void witness_buried(struct witness *w, const struct server *server)
{
    for (int i = 0; i < w->trail_count; i++) {
        *cursor_of(w, server, i) = (struct cursor){0};
    }
}

/* ---- the metadata ---- */

static void look_at_quorum(struct witness *w, struct server *server)
{
    const struct quorum *quorum = server->broker->quorum;
    struct cursor *cursor = cursor_of(w, server, 0);
    struct trail *trail = &w->trails[0];
    /* A lone voter leads before that is on its disk; nobody can know before there is a mark. */
    if (quorum_role(quorum) == QUORUM_LEADER && quorum_high_watermark(quorum) >= 0 &&
        cursor->epoch != quorum_epoch(quorum)) {
        cursor->epoch = quorum_epoch(quorum);
        if (trail_led(trail, server, cursor->epoch)) {
            w->elections++;
            faults_led(w->u, server, 0);
        }
    }
    int64_t delivered = quorum_delivered(quorum);
    if (delivered > cursor->high) {
        const struct log *log = quorum_log(quorum);
        if (log != NULL && log_start(log) > cursor->next) {
            w->skips += cursor->high > 0;
            trail_rejoin(trail, cursor, server, log_start(log));
            history_check_image(trail->history, server);
        }
        cursor->high = delivered;
        trail->high = delivered > trail->high ? delivered : trail->high;
        trail_follow(trail, cursor, server, SERVER_METADATA_DIR, delivered);
    }
    int64_t snapshot = history_look(trail->history, server, cursor->snapshot);
    w->snapshots += snapshot != cursor->snapshot;
    cursor->snapshot = snapshot;
}

/* ---- partitions ---- */

struct look {
    struct witness *w;
    struct server *server;
};

static void look_at_replica(void *ctx, struct replica *replica)
{
    const struct look *look = ctx;
    struct witness *w = look->w;
    int at = trail_of(w, replica_topic(replica), replica_partition(replica));
    if (at < 0 || replica_log(replica) == NULL || log_failed(replica_log(replica))) {
        return;
    }
    struct cursor *cursor = cursor_of(w, look->server, at);
    struct trail *trail = &w->trails[at];
    if (cursor->replica != replica) {
        *cursor = (struct cursor){.replica = replica}; /* the broker gave it up and has it again */
    }
    int32_t epoch = replica_leader_epoch(replica);
    int64_t high = replica_high_watermark(replica);
    if (epoch == cursor->epoch && high < cursor->high) {
        verdict_fail(&w->u->verdict,
                     "high watermark: of %s on server %d goes from %lld back to %lld in epoch %d",
                     trail->name, look->server->id, (long long)cursor->high, (long long)high,
                     epoch);
    }
    if (replica_leader_id(replica) == look->server->id && trail_led(trail, look->server, epoch)) {
        w->leader_changes++;
        faults_led(w->u, look->server, at);
    }
    cursor->epoch = epoch;
    cursor->high = high;
    trail->high = high > trail->high ? high : trail->high;
    trail_follow(trail, cursor, look->server, log_dir_path(replica_dir(replica)), high);
}

/* Who leads the newest epoch and knows its mark has all that was ever below one. */
static void check_leader(void *ctx, struct replica *replica)
{
    const struct look *look = ctx;
    struct witness *w = look->w;
    int at = trail_of(w, replica_topic(replica), replica_partition(replica));
    if (at < 0 || replica_log(replica) == NULL || replica_leader_id(replica) != look->server->id) {
        return;
    }
    const struct trail *trail = &w->trails[at];
    bool newest = (size_t)replica_leader_epoch(replica) + 1 == trail->epoch_count;
    if (newest && replica_high_watermark_known(replica) &&
        replica_high_watermark(replica) < trail->high) {
        verdict_fail(&w->u->verdict,
                     "high watermark: server %d leads epoch %d of %s and says %lld, and %lld was "
                     "said before",
                     look->server->id, replica_leader_epoch(replica), trail->name,
                     (long long)replica_high_watermark(replica), (long long)trail->high);
    }
}

static bool has_replicas(const struct server *server)
{
    return server->broker != NULL && server->broker->replicas != NULL && server->serves_clients;
}

static void each_replica(struct witness *w, void (*each)(void *ctx, struct replica *replica))
{
    for (int i = 0; i < w->u->server_count; i++) {
        struct look look = {w, &w->u->servers[i]};
        if (has_replicas(look.server)) {
            replicas_each(look.server->broker->replicas, each, &look);
        }
    }
}

/* ---- level ---- */

struct level {
    struct witness *w;
    const struct server *server; /* whose word it is */
    int32_t only;                /* partitions this one holds; -1: all */
    bool ok;
    char *why;
    size_t size;
};

static bool topic_level(void *ctx, const struct image_topic *topic)
{
    struct level *level = ctx;
    for (int32_t i = 0; i < topic->partition_count && level->ok; i++) {
        const struct image_partition *partition = topic->partitions[i];
        bool held = level->only < 0;
        for (int32_t k = 0; k < partition->replicas.count; k++) {
            held = held || partition->replicas.ids[k] == level->only;
        }
        bool alone = level->only >= 0 && partition->replicas.count == 1;
        if (held &&
            (alone || partition->leader < 0 || partition->isr.count != partition->replicas.count)) {
            level->ok = false;
            snprintf(level->why, level->size,
                     "server %d knows %s-%d with leader %d and %d of %d replicas in sync",
                     level->server->id, topic->name, i, partition->leader, partition->isr.count,
                     partition->replicas.count);
        }
    }
    return level->ok;
}

static void replica_level(void *ctx, struct replica *replica)
{
    struct level *level = ctx;
    int at = trail_of(level->w, replica_topic(replica), replica_partition(replica));
    if (at < 0 || !level->ok) {
        return;
    }
    int64_t high = level->w->trails[at].high;
    const struct log *log = replica_log(replica);
    if (log == NULL || log_end(log) != high || replica_high_watermark(replica) != high) {
        level->ok = false;
        snprintf(level->why, level->size,
                 "server %d has %s up to %lld, committed up to %lld, of %lld", level->server->id,
                 level->w->trails[at].name, log == NULL ? -1LL : (long long)log_end(log),
                 (long long)replica_high_watermark(replica), (long long)high);
    }
}

static bool server_level(struct witness *w, const struct server *server, char *why, size_t size)
{
    struct level level = {w, server, -1, server->ready, why, size};
    if (!level.ok) {
        snprintf(why, size, "server %d does not serve", server->id);
        return false;
    }
    if (witness_delivered(w, server) != witness_committed(w)) {
        level.ok = false;
        snprintf(why, size, "server %d knows the metadata up to %lld of %lld", server->id,
                 (long long)witness_delivered(w, server), (long long)witness_committed(w));
        return false;
    }
    image_each_topic(server->broker->image, topic_level, &level);
    if (level.ok && has_replicas(server)) {
        replicas_each(server->broker->replicas, replica_level, &level);
    }
    return level.ok;
}

bool witness_level(struct witness *w, char *why, size_t size)
{
    char unasked[200];
    bool level = true;
    for (int i = 0; i < w->u->server_count && level; i++) {
        level = server_level(w, &w->u->servers[i], why != NULL ? why : unasked,
                             why != NULL ? size : sizeof unasked);
    }
    return level;
}

/* ---- looking ---- */

void witness_step(struct witness *w)
{
    struct universe *u = w->u;
    for (int i = 0; i < u->server_count; i++) {
        if (u->servers[i].broker != NULL && u->servers[i].broker->quorum != NULL) {
            look_at_quorum(w, &u->servers[i]);
        }
    }
    if (sim_now_us(u->sim) >= w->look_us) {
        w->look_us = sim_now_us(u->sim) + LOOK_EVERY_US;
        each_replica(w, look_at_replica);
        each_replica(w, check_leader);
    }
}

/* The newest metadata anybody has. */
static const struct server *best_informed(const struct witness *w)
{
    const struct server *best = NULL;
    int64_t offset = -1;
    for (int i = 0; i < w->u->server_count; i++) {
        const struct server *server = &w->u->servers[i];
        if (server->broker != NULL && image_offset(server->broker->image) > offset) {
            best = server;
            offset = image_offset(server->broker->image);
        }
    }
    return best;
}

bool witness_coordinators_agreed(const struct witness *w)
{
    const struct server *best = best_informed(w);
    if (best == NULL) {
        return true;
    }
    const struct image_topic *newest = image_topic_by_name(best->broker->image, offsets_topic);
    for (int i = 0; newest != NULL && i < w->u->server_count; i++) {
        const struct server *server = &w->u->servers[i];
        if (server->broker == NULL) {
            continue;
        }
        const struct image_topic *its = image_topic_by_name(server->broker->image, offsets_topic);
        for (int32_t p = 0; p < newest->partition_count; p++) {
            if (its == NULL || p >= its->partition_count ||
                its->partitions[p]->leader_epoch != newest->partitions[p]->leader_epoch) {
                return false;
            }
        }
    }
    return true;
}

bool witness_can_spare(struct witness *w, const struct server *server)
{
    const struct server *best = best_informed(w);
    char why[200];
    struct level level = {w, best, server->id, best != NULL, why, sizeof why};
    if (best != NULL) {
        image_each_topic(best->broker->image, topic_level, &level);
    }
    /* What a controller has written down, and nobody knows yet, may hold in a moment. */
    for (int i = 0; i < w->u->server_count && level.ok; i++) {
        const struct broker *broker = w->u->servers[i].broker;
        const struct log *log =
            broker == NULL || broker->quorum == NULL ? NULL : quorum_log(broker->quorum);
        level.ok = log == NULL || log_end(log) <= witness_committed(w);
    }
    return level.ok;
}

bool witness_voters_proven(const struct witness *w)
{
    for (int i = 0; i < w->u->server_count; i++) {
        const struct server *server = &w->u->servers[i];
        if (server->votes && !sim_disk_exists(server->node, SERVER_METADATA_DIR
                                              "/" QUORUM_TOPIC "-0/quorum-state")) {
            return false;
        }
    }
    return true;
}

int64_t witness_delivered(const struct witness *w, const struct server *server)
{
    (void)w;
    return server->broker != NULL && server->broker->quorum != NULL
               ? quorum_delivered(server->broker->quorum)
               : -1;
}

int64_t witness_committed(const struct witness *w)
{
    return w->trails[0].high;
}

int witness_trails(const struct witness *w)
{
    return w->trail_count;
}

struct server *witness_leader(const struct witness *w, int trail)
{
    const struct trail *t = &w->trails[trail];
    for (int i = 0; t->epoch_count > 0 && i < w->u->server_count; i++) {
        struct server *server = &w->u->servers[i];
        if (server->broker != NULL && t->leaders[t->epoch_count - 1] == trail_who(server)) {
            return server;
        }
    }
    return NULL;
}

uint64_t witness_elections(const struct witness *w)
{
    return w->elections;
}

uint64_t witness_snapshots(const struct witness *w)
{
    return w->snapshots;
}

uint64_t witness_skips(const struct witness *w)
{
    return w->skips;
}

uint64_t witness_leader_changes(const struct witness *w)
{
    return w->leader_changes;
}
