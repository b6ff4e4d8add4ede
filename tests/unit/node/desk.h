/* A whole broker on a simulated node, and raw connections to it from another. */
#ifndef TESTS_UNIT_NODE_DESK_H
#define TESTS_UNIT_NODE_DESK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/api/api.h"
#include "broker/node/broker.h"
#include "common/wire/batch.h"
#include "common/wire/messages.h"
#include "tests/sim/env/sim.h"

struct desk {
    struct sim *sim;
    struct sim_node *node;
    struct sim_node *client;
    struct broker_settings *settings;
    struct broker *broker;
    bool ready;
    bool stopped;
    struct uuid topic_id; /* of "t", 1 partition */
};

struct line {
    struct desk *desk;
    env_conn conn;
    bool connected;
    bool closed;
    struct buf *frames[2000];
    int got;
    int taken;
    int32_t next_id;
};

/* Serving, with topic "t". `more` is a list of "KEY=VALUE", NULL-terminated; may be NULL. */
struct desk *desk_new(uint64_t seed, const char *const *more);
void desk_free(struct desk *d); /* as a crash */
void desk_run(struct desk *d, int64_t for_ms);

struct line *line_new(struct desk *d); /* to port 9092 */
struct line *line_new_at(struct desk *d, uint16_t port);
void line_free(struct line *l); /* drops the connection */
/* The body may be invalid: then it is sent as it is encoded. Returns the correlation id. */
int32_t line_send(struct line *l, int16_t key, int16_t version, const void *request);
/* Waits for the next frame, which must be the answer to `id` and decode to its last byte. The
 * response is in `arena`. */
void *line_take(struct line *l, int16_t key, int16_t version, int32_t id, struct arena *arena);
/* Both. */
void *line_ask(struct line *l, int16_t key, int16_t version, const void *request,
               struct arena *arena);
/* Zeroed with defaults, in the arena. */
void *request_new(int16_t key, struct arena *arena);

/* A Produce 9 request for "t"-0 with one record of `size` bytes. */
struct produce_request *produce_of(struct arena *arena, int16_t acks, size_t size);
/* A Fetch 12 request for "t"-0. */
struct fetch_request *fetch_of(struct arena *arena, int64_t offset, int32_t max_wait_ms,
                               int32_t min_bytes);

/* requests.c: fills in a request that asks for something, at any version of any API. */
void request_fill(struct desk *d, int16_t key, int16_t version, void *request, struct arena *arena);

/* test_node_fetch.c */
void test_fetch_waits(void **state);
void test_fetch_limits(void **state);
void test_fetch_refusals(void **state);
void test_fetch_slow_read(void **state);
void test_dropped_while_parked(void **state);
void test_list_offsets(void **state);

/* test_node_topics.c */
void test_topic_pages(void **state);

/* test_node_delete.c */
void test_delete_records(void **state);
void test_delete_records_of_groups(void **state);

/* test_node_configs.c */
void test_configs_while_running(void **state);
void test_configs_refused(void **state);
void test_configs_as_a_whole(void **state);

#endif
