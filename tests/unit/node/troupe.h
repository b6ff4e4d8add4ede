/* A whole broker (node 1) in a quorum whose other two voters, nodes 2 and 3, are played by the
 * test: they know ApiVersions, write down what they are asked but the quorum's own requests, and
 * answer when told to. Who leads is what the test says; nobody stands by itself. */
#ifndef TESTS_UNIT_NODE_TROUPE_H
#define TESTS_UNIT_NODE_TROUPE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/node/node_internal.h"
#include "tests/sim/env/sim.h"

enum { TROUPE_ASKED_MAX = 2000, TROUPE_LINES_MAX = 200 };

struct troupe;

struct player_line { /* a connection from the broker */
    struct troupe *troupe;
    int32_t to; /* 2 or 3 */
    env_conn conn;
    bool closed;
};

struct asked {
    struct player_line *line;
    struct wire_request_header header;
    struct buf *frame;
    struct wire_in body;
};

struct player {
    struct troupe *troupe;
    int32_t id;
    struct sim_node *node;
    struct env_listener listener;
    bool listening;
    int16_t max_version[128]; /* by API key; -1: as our own tables have it */
    int16_t least_version[128];
};

struct troupe {
    struct sim *sim;
    struct sim_node *node;
    struct broker_settings *settings;
    struct broker *broker;
    bool stopped;
    enum broker_exit code;
    char why[256]; /* it stopped */
    struct player players[2];
    struct player_line lines[TROUPE_LINES_MAX];
    int line_count;
    struct asked asked[TROUPE_ASKED_MAX];
    int asked_count;
    bool registration_too; /* left to the test; else it is answered at once, with epoch 5 */
    struct arena arena;    /* for whatever a test needs */
};

/* No leader is known. */
struct troupe *troupe_new(uint64_t seed);
/* The node is crashed if it has not stopped, and freed: nothing is left behind. */
void troupe_free(struct troupe *t);
void troupe_run(struct troupe *t, int64_t for_ms);
struct player *troupe_player(struct troupe *t, int32_t id);
void player_listen(struct player *player, bool listening);
/* The node hears that this one leads. */
void troupe_leads(struct troupe *t, int32_t leader_id, int32_t epoch);

/* How often this API was asked of that player (0: of any) so far. */
int troupe_count(const struct troupe *t, int16_t key, int32_t of);
/* The last time it was; fails when it was not. */
struct asked *troupe_last(struct troupe *t, int16_t key);
/* Its body, decoded into the troupe's arena. */
void *asked_body(struct troupe *t, struct asked *asked);
void asked_answer(struct asked *asked, const void *response);
/* A struct NAME_response with its defaults, in the troupe's arena. */
void *troupe_response(struct troupe *t, int16_t key);
void *troupe_request(struct troupe *t, int16_t key);

#endif
