/* caller: a client inside the simulated world: common/client over a simulated node's network, its
 * requests' memory, and which broker leads what. */
#ifndef TESTS_SIM_CALLER_H
#define TESTS_SIM_CALLER_H

#include "broker/env/env.h"
#include "common/base/arena.h"
#include "common/client/cluster.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"

struct caller;

struct caller *caller_new(struct env *env, const char *bootstrap, const char *client_id);
/* Asks under way are forgotten. */
void caller_free(struct caller *c);

/* One request and its memory, which goes after `done`. */
struct call {
    struct list node;
    struct caller *caller;
    struct arena arena; /* for what the body points at */
    struct client_request request;
    void *body; /* defaults filled in */
    void (*done)(struct call *call, const struct client_answer *answer);
    void *ctx;
    void *extra;      /* the asker's, from the arena */
    int64_t asked_us; /* virtual */
};

/* At any version up to `max_version` (or what the schema has, when that is less). */
struct call *call_new(struct caller *c, int16_t api_key, int16_t max_version,
                      void (*done)(struct call *call, const struct client_answer *answer),
                      void *ctx);
void call_send(struct call *call, struct cluster_target target, int64_t timeout_ms, int64_t now_us);

/* Instead of sending it. */
void call_drop(struct call *call);

/* ---- routes: learnt from Metadata of every topic ---- */

enum { ROUTE_PARTITIONS_MAX = 8 };

struct route {
    char name[64];
    struct uuid id;
    int32_t partitions;
    int32_t leaders[ROUTE_PARTITIONS_MAX]; /* -1 none */
    int32_t epochs[ROUTE_PARTITIONS_MAX];
};

/* Never goes back to the leader of an older epoch, whatever a broker says whose metadata is old
 * (KIP-320). NULL while not known; asks for it then. */
const struct route *caller_route(struct caller *c, const char *topic);
/* What is known may be wrong: asks again. */
void caller_reroute(struct caller *c);
void caller_forget_coordinator(struct caller *c, const char *group);

#endif
