/* universe: one simulated world: servers that run the whole node, clients, faults, promises.
 *
 * Two phases. In the first, faults strike while clients work; in the second they have stopped, and
 * within bounded virtual time everybody must finish: producers have every record acknowledged, a
 * last audit has read every partition from its beginning, the group is stable and has committed to
 * the ends, topics are as they were promised. Everything happens by the seed. */
#ifndef TESTS_SIM_UNIVERSE_H
#define TESTS_SIM_UNIVERSE_H

#include "broker/node/broker.h"
#include "tests/sim/caller.h"
#include "tests/sim/env/sim.h"
#include "tests/sim/ledger.h"
#include "tests/sim/tally.h"
#include "tests/sim/verdict.h"

enum { SERVERS_MAX = 5, ACTORS_MAX = 12, TOPICS_MAX = 3, PARTS_MAX = LEDGER_PARTS_MAX };
enum { GROUP_MEMBERS = 2 };

struct universe;

/* ---- servers (server.c) ---- */

struct server {
    struct universe *universe;
    struct sim_node *node;
    struct broker_settings *settings;
    struct broker *broker; /* NULL while down */
    int32_t id;
    char host[24];
    bool ready;
    bool stopping;   /* by our own order */
    int64_t stop_us; /* when that order was given */
};

void server_init(struct server *server, struct universe *u, int32_t id);
void server_start(struct server *server);
/* Harmless when down. It comes back by itself. */
void server_crash(struct server *server, enum sim_crash how);
void server_crash_at_op(struct server *server, uint64_t k, enum sim_crash how);
void server_stop(struct server *server);
void server_free(struct server *server);

/* ---- actors: clients with a task (actor.c and one file each) ---- */

struct actor;

struct actor_ops {
    /* By the actor's timer, which it arms itself. */
    void (*step)(struct actor *actor);
    /* Whether nothing is left for it to do in the second phase. */
    bool (*finished)(struct actor *actor);
    bool writes; /* others wait for it to finish before they can */
    /* What it waits for, in a few words. */
    void (*describe)(struct actor *actor, char *out, size_t size);
    void (*free)(struct actor *actor);
};

struct actor {
    const struct actor_ops *ops;
    struct universe *universe;
    struct sim_node *node;
    struct env *env;
    struct caller *caller;
    struct env_timer timer;
    char name[16];
};

/* Gives it a node of its own and lets it step. */
void actor_init(struct actor *actor, const struct actor_ops *ops, struct universe *u,
                const char *name);
void actor_after(struct actor *actor, int64_t ms);
/* After ms at most that, by chance. */
void actor_within(struct actor *actor, int64_t ms);
void actor_fini(struct actor *actor);

struct actor *producer_new(struct universe *u, int index);
struct actor *reader_new(struct universe *u, int index, bool audit);
struct actor *member_new(struct universe *u, int index);
struct actor *admin_new(struct universe *u);

/* ---- the world ---- */

struct topic_plan {
    char name[24];
    int32_t partitions;
    int32_t segment_index_bytes;
    int64_t segment_ms;
    int first_part;
};

/* A member's place in the group, as it sees it. */
struct group_view {
    int32_t generation; /* -1: out */
    uint32_t parts;     /* a mask */
};

struct universe {
    struct sim *sim;
    uint64_t seed;
    uint64_t max_events; /* 0: no bound */
    struct rng *rng;
    struct verdict verdict;
    struct ledger *ledger;
    struct tally *tally;
    struct server servers[SERVERS_MAX];
    int server_count;
    char bootstrap[160];
    struct actor *actors[ACTORS_MAX];
    int actor_count;
    struct topic_plan topics[TOPICS_MAX];
    int topic_count;
    struct group_view group[GROUP_MEMBERS];
    unsigned fault_kinds; /* bits of enum fault that may strike */
    int64_t fault_gap_ms; /* mean */
    uint64_t starts;      /* of servers, so far */
    bool calm;            /* faults have ended; producers begin nothing new */
    bool written;         /* in the second phase: every producer has finished */
    bool last_call;       /* the second phase's own crash is over: audit once more */
};

/* One line for what failed; true when all promises were kept. */
struct universe_result {
    bool failed;
    char why[1024];
    uint64_t hash;
    uint64_t events;
};
struct universe_options {
    uint64_t seed;
    uint64_t max_events;                       /* 0: no bound */
    void (*sink)(void *ctx, const char *line); /* NULL: silent */
};
void universe_run(const struct universe_options *options, struct tally *tally,
                  struct universe_result *result);

/* Of a part: which topic and partition it is. */
const struct topic_plan *universe_topic_of(const struct universe *u, int part, int32_t *partition);
int64_t universe_below(struct universe *u, int64_t bound); /* chance in [0, bound) */
bool universe_chance(struct universe *u, int percent);

/* ---- faults (faults.c) ---- */

void faults_begin(struct universe *u);
/* A request is being sent whose answer must be kept: sometimes the server loses power while it is
 * at it. */
void faults_tempt(struct universe *u);
/* Undoes what lasts. */
void faults_end(struct universe *u);

#endif
