/* One node's metadata half on the simulated world: log directory, quorum, controller and a broker
 * image, wired as a node wires them. What was ever delivered or acknowledged is remembered across
 * crashes. */
#ifndef TESTS_UNIT_QUORUM_HOUSE_H
#define TESTS_UNIT_QUORUM_HOUSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/controller/controller.h"
#include "broker/quorum/quorum.h"
#include "common/base/mem.h"
#include "common/wire/messages.h"
#include "tests/sim/env/sim.h"

enum { HOUSE_BATCHES_MAX = 4096, HOUSE_TOPICS_MAX = 256 };

struct house_batch {
    int64_t base_offset;
    int64_t last_offset;
    uint32_t crc;
};

struct house_create {
    struct controller_call call;
    struct create_topics_request request;
    struct create_topics_response response;
    __typeof__(((struct create_topics_request *)0)->topics.items[0]) topic;
    struct arena arena;
    char name[32];
    struct house *house;
    bool busy;
};

struct house {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct log_dir *dir;
    struct quorum *quorum;
    struct controller *controller;
    struct image *image;
    bool opened;
    bool active;
    bool broken;
    bool closed;
    int32_t active_epoch;
    int64_t expected_offset; /* the next one `committed` must bring in this life */
    uint32_t replay_chunk_bytes;
    struct house_create create;
    /* over all lives */
    int32_t last_epoch;
    int lives;
    struct house_batch delivered[HOUSE_BATCHES_MAX];
    size_t delivered_count;
    struct uuid acknowledged[HOUSE_TOPICS_MAX]; /* topic ids by number; zero: not acknowledged */
    int next_topic;
    int last_error;
};

void house_build(struct house *house, uint64_t seed);
void house_open(struct house *house);  /* begins a life */
void house_drop(struct house *house);  /* the memory of a life that crashed */
void house_close(struct house *house); /* ends a life well */
void house_raze(struct house *house);
bool house_until_active(struct house *house, int64_t for_ms);
/* Begins to create topic "t<next_topic>". */
void house_create_topic(struct house *house);
bool house_until_created(struct house *house, int64_t for_ms);
/* What was acknowledged is there, with the same id. */
void house_check(const struct house *house);

#endif
