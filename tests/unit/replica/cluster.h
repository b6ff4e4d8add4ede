/* Three brokers' replica rooms on the simulated world, a scripted controller, producers that ask
 * for acks=all, and what must hold throughout.
 *
 * Requests travel the simulated network, encoded by common/wire. The controller is a node of its
 * own for AlterPartition; its metadata reaches a broker whenever the way there is open. It fences
 * whom it does not hear, as a real one does. */
#ifndef TESTS_UNIT_REPLICA_CLUSTER_H
#define TESTS_UNIT_REPLICA_CLUSTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/metadata/record.h"
#include "broker/replica/replica.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/wire/batch.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"
#include "tests/sim/env/sim.h"

enum { BROKERS = 3, TOPICS_MAX = 2, PARTITIONS = 2, PARTS_MAX = TOPICS_MAX * PARTITIONS };
enum { SESSION_MS = 400, LAG_MS = 250, BROKER_PORT = 9092 };

struct cluster;

/* One connection a broker holds to a peer, for one channel. */
struct link {
    struct node *node;
    int32_t peer; /* 0: the controller */
    env_conn conn;
    bool dialled;
    bool connected;
    struct list calls;
};

enum phase { NODE_DOWN, NODE_OPENING, NODE_UNREGISTERED, NODE_REPLAYING, NODE_RUNNING };

struct node {
    struct cluster *cluster;
    int32_t id; /* 1..BROKERS; 0 is the controller */
    struct sim_node *sim;
    struct env *env;
    enum phase phase;
    struct log_dir *dir;
    struct image *image;
    struct replicas *replicas;
    struct env_listener listener;
    struct list served; /* connections */
    struct link links[BROKERS + 1][REPLICA_CHANNELS];
    int32_t next_correlation;
    size_t image_at; /* batches applied */
    size_t publish_at;
    int64_t stalled_until_us;
    int64_t restart_at_us;
    int64_t unheard_since_us; /* by the controller; -1 */
    struct list produces;     /* not answered yet */
    int64_t marks[PARTS_MAX]; /* high watermarks seen in this life */
    struct replica_links *links_vtable;
};

struct part { /* as the controller has it, and what is known of it */
    struct uuid topic_id;
    const char *topic;
    bool durable;
    int32_t partition;
    int32_t leader;
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t isr[BROKERS];
    int32_t isr_count;
    int64_t mark;  /* the highest high watermark a leader ever had */
    int64_t start; /* below it records were deleted: a copy may hold others there */
};

struct acked {
    int part;
    int64_t offset;
    uint64_t number;
};

struct counts {
    uint64_t acked;
    uint64_t refused;
    uint64_t faults;
    uint64_t expansions;
    uint64_t shrinks;
    uint64_t refusals; /* AlterPartition */
    uint64_t diverging;
    uint64_t out_of_range;
    uint64_t elections;
};

struct cluster {
    struct sim *sim;
    struct rng rng;
    struct node nodes[BROKERS + 1];
    struct part parts[PARTS_MAX];
    int part_count;
    int64_t broker_epochs[BROKERS + 1];
    bool fenced[BROKERS + 1];
    int64_t fenced_until_us[BROKERS + 1];
    struct bytes *batches; /* the metadata log */
    size_t batch_count;
    size_t batch_capacity;
    int64_t next_offset;
    uint64_t next_number;
    bool refuse_alters;       /* AlterPartition is answered with NOT_CONTROLLER */
    bool hold_alters;         /* ... not answered */
    int64_t follower_rate;    /* of brokers that start from now on, for "hard"; 0: no limit */
    uint64_t metadata_one_in; /* how rarely a broker hears of the next change */
    bool producing;
    int16_t last_error; /* of the last append that was refused */
    struct acked *acked;
    size_t acked_count;
    size_t acked_capacity;
    struct counts counts;
};

/* ---- life: cluster.c ---- */

/* Every broker up, the topics open, all in sync. `soft`: a topic with flush.messages at its largest
 * too. */
struct cluster *cluster_new(uint64_t seed, bool soft);
void cluster_free(struct cluster *c);
void cluster_run(struct cluster *c, int64_t for_ms); /* with the checks */
bool cluster_until(struct cluster *c, bool (*reached)(struct cluster *c), int64_t for_ms);
void cluster_crash(struct node *node, enum sim_crash how, int64_t restart_after_ms);
void cluster_stall(struct node *node, int64_t for_ms);
void cluster_heal(struct cluster *c);
struct replica *cluster_replica(struct node *node, int part);  /* NULL when not open */
struct node *cluster_leader(struct cluster *c, int part);      /* that knows it is; NULL */
bool cluster_open(const struct node *a, const struct node *b); /* both ways */
void cluster_settings(void *ctx, const char *topic, struct replica_settings *out);

/* ---- wires: cluster_wire.c ---- */

struct replica_links *cluster_links(struct node *node);
void cluster_wire_init(struct node *node);
void cluster_wire_drop(struct node *node);        /* after the rooms */
void cluster_wire_drop_served(struct node *node); /* before them */
void cluster_serve(struct node *node);
/* A connection's request: answers by cluster_answer. */
struct served;
void cluster_answer(struct served *served, int32_t correlation, int16_t api_key, int16_t version,
                    const void *response);
struct node *cluster_served_node(struct served *served);

/* ---- what brokers serve: cluster_serve.c ---- */

void cluster_request(struct served *served, int16_t api_key, int16_t version, int32_t correlation,
                     struct buf *frame, size_t at, struct list *parked);
void cluster_parked_drop(struct list *parked);

/* ---- the controller: cluster_control.c ---- */

void control_start(struct cluster *c, bool soft);
void control_pump(struct cluster *c);
void control_fence(struct cluster *c, int32_t id);
void control_lead(struct cluster *c, int part, int32_t leader);
void control_alter(struct cluster *c, const struct alter_partition_request *request,
                   struct alter_partition_response *response, struct arena *arena);

/* ---- producing and checking: cluster_check.c ---- */

/* One batch to a broker that believes it leads the partition. False when none does. */
bool cluster_produce(struct cluster *c, int part);
void cluster_produces_drop(struct node *node);
void cluster_check(struct cluster *c);
void cluster_check_node(struct node *node); /* after each answer it got */
/* Everyone in sync, every log the same bytes, everything acknowledged in its place. */
void cluster_check_settled(struct cluster *c);
bool cluster_settled(struct cluster *c);
void cluster_describe(struct cluster *c); /* for a test that failed */

#endif
