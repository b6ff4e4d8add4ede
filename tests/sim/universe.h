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
#include "tests/sim/witness.h"

enum { SERVERS_MAX = 6, ACTORS_MAX = 12, TOPICS_MAX = 3, PARTS_MAX = LEDGER_PARTS_MAX };
enum { GROUP_MEMBERS = 2, OFFSETS_PARTITIONS = 2, REPLICAS = 3 };
#define SERVER_METADATA_DIR "/data/a"

struct universe;

/* ---- servers (server.c) ---- */

struct server {
    struct universe *universe;
    struct sim_node *node;
    struct broker_settings *settings;
    struct broker *broker; /* NULL while down */
    int32_t id;
    int life; /* counts its starts */
    char host[24];
    bool serves_clients; /* the broker's role */
    bool votes;          /* the controller's */
    bool ready;
    bool stopping;   /* by our own order */
    int64_t stop_us; /* when that order was given */
};

void server_init(struct server *server, struct universe *u, int32_t id, bool serves_clients,
                 bool votes);
/* Once it is known who is there; `voters` as controller.quorum.voters has it. */
void server_configure(struct server *server, const char *voters);
void server_start(struct server *server);
/* Harmless when down. It comes back by itself. */
void server_crash(struct server *server, enum sim_crash how);
void server_crash_at_op(struct server *server, uint64_t k, enum sim_crash how);
void server_stop(struct server *server);
/* Its machine dies and comes back with empty disks. */
void server_wipe(struct server *server);
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
struct actor *elector_new(struct universe *u);
struct actor *mover_new(struct universe *u);

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

/* How patient a cluster is with its members. */
struct universe_pace {
    int64_t election_ms;
    int64_t quorum_fetch_ms;
    int64_t session_ms;
    int64_t lag_ms;
    int64_t min_insync;
};

/* How often the metadata is written as a snapshot, and how much of it is kept; 0: as by default. */
struct universe_snapshots {
    int64_t every_bytes;
    int64_t every_ms;
    int64_t keep_bytes;
    int64_t keep_ms;
    int64_t segment_bytes;
    int64_t piece_bytes; /* of a fetched one */
};

/* Until when; 0: whole. */
struct broken_path {
    int64_t blocked_us;
    int64_t slow_us;
    struct sim_path plain; /* as it was */
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
    int broker_count; /* of these the first so many serve clients */
    int racks;        /* 0: none named */
    bool quorum_only; /* no brokers, no clients */
    struct universe_pace pace;
    struct universe_snapshots snapshots;
    struct witness *witness;
    char bootstrap[160];
    struct actor *actors[ACTORS_MAX];
    int actor_count;
    struct topic_plan topics[TOPICS_MAX];
    int topic_count;
    struct group_view group[GROUP_MEMBERS];
    unsigned fault_kinds; /* bits of enum fault that may strike */
    int64_t fault_gap_ms; /* mean */
    int64_t trouble_us;   /* the last fault that a server feels is over by then */
    struct server *wiped; /* came back with empty disks and has not caught up; NULL: none */
    int64_t wiped_goal;   /* metadata it must have again */
    int64_t hunt_us;      /* new leaders are struck until then */
    int hunted_trail;     /* of the witness: leaders of what; 0 of the metadata */
    int wipe_patience;    /* how often to look for the moment yet */
    struct broken_path broken[SERVERS_MAX][SERVERS_MAX];
    uint64_t starts;  /* of servers, so far */
    bool calm;        /* faults have ended; producers begin nothing new */
    bool written;     /* in the second phase: every producer has finished */
    int64_t level_us; /* when to ask the witness next */
    bool last_call;   /* the second phase's own crash is over: audit once more */
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
    uint64_t servers;                          /* 0: by the seed */
    bool quorum;                               /* controllers only, whose leaders are hunted */
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

/* ---- faults between servers (faults_cluster.c) ---- */

void faults_apart(struct universe *u); /* some paths are blocked, for a while */
void faults_slow(struct universe *u);  /* a path becomes slow */
void faults_cut(struct universe *u);   /* connections are reset */
/* For a while, whoever comes to lead the metadata or a certain partition is struck soon after. */
void faults_hunt(struct universe *u);
void faults_led(struct universe *u, struct server *server, int trail); /* it leads a new epoch */
void faults_blackout(struct universe *u); /* every server loses power */
void faults_wipe(struct universe *u);     /* a server loses its disks, where that may be survived */
void faults_reconnect(struct universe *u); /* undoes what lasts of these */
/* What a wiped broker held is with the others only: nothing may happen to them. NULL: asks for
 * what would befall several. */
bool faults_spare(struct universe *u, const struct server *server);

#endif
