/* world: a cluster, its transport, its clock, and brokers played by hand.
 *
 * Time moves by world_until alone, which ticks at the deadlines the cluster names and at no other
 * time: a deadline that is not named is a test that fails. */
#ifndef TESTS_UNIT_CLIENT_WORLD_H
#define TESTS_UNIT_CLIENT_WORLD_H

#include "common/client/cluster.h"
#include "tests/unit/client/fake.h"

enum { WIRES = 64, FRAMES_WAITING = 32 };

/* One dialled connection. */
struct wire {
    struct world *world;
    struct cluster_link *link;
    char name[128]; /* "host:port" */
    int64_t dialled_ms;
    bool connected;
    bool open; /* neither side closed it */
    struct buf *sent[FRAMES_WAITING];
    int sent_count;
};

struct world {
    struct cluster *cluster;
    int64_t now_ms;
    struct wire wires[WIRES]; /* in the order dialled */
    int wire_count;
    struct fake_versions versions; /* of every broker */
    /* What Metadata is answered with. */
    struct metadata_response_broker brokers[4];
    struct metadata_response metadata;
};

struct world *world_new(const char *bootstrap);
void world_free(struct world *w);
void world_until(struct world *w, int64_t to_ms);
/* Ticks due now. */
void world_settle(struct world *w);
/* Brokers 1..count at b1:9092, b2:9092, ... */
void world_brokers(struct world *w, int count);

/* The only open connection to that address; fails when there is none. */
struct wire *world_wire(struct world *w, const char *name);
bool world_dialled(struct world *w, const char *name); /* an open one exists */
/* Connects and answers ApiVersions. */
void world_accept(struct world *w, const char *name);
/* Ends it as a transport does. */
void world_end(struct world *w, const char *name, enum err reason, const char *why);
/* The oldest request there, of that API. */
struct fake_request world_take(struct world *w, const char *name, int16_t api_key);
bool world_quiet(struct world *w, const char *name); /* no request waits there */
void world_give(struct world *w, const char *name, struct buf *frame);
/* Takes the request and answers it. */
void world_answer(struct world *w, const char *name, int16_t api_key, const void *response);
void world_metadata(struct world *w, const char *name);
void world_describe(struct world *w, const char *name, const char *cluster);

/* Sends DescribeCluster. */
void world_ask(struct world *w, struct cluster_target target, struct told *t, int64_t timeout_ms);

int world_setup(void **state); /* bootstrap "a:1,b:2" */
int world_teardown(void **state);

#endif
