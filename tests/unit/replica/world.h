/* The partitions of one broker on the simulated disk, told of metadata by records. */
#ifndef TESTS_UNIT_REPLICA_WORLD_H
#define TESTS_UNIT_REPLICA_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/replica/replica.h"
#include "common/wire/batch.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"
#include "tests/sim/env/sim.h"
#include "tests/unit/metadata/records.h"

struct groups;

struct world {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct log_dir *dir;
    struct image *image;
    struct replicas *replicas;
    struct groups *groups; /* hears of __consumer_offsets when set */
    int64_t next_record;
    int32_t min_isr;
    bool answered;
    /* news */
    int led;
    int lost;
    int settled;
};

enum { WORLD_BROKER = 1 };

struct world *world_new(uint64_t seed);
void world_free(struct world *w);
void world_run(struct world *w, int64_t for_ms);
/* Steps until `*flag`; fails after a minute of virtual time. */
void world_wait(struct world *w, const bool *flag);
/* Opens the directory and the (empty) set of replicas; after world_close: on the same disk. */
void world_open(struct world *w);
/* Closes cleanly; the image is kept. */
void world_close(struct world *w);
/* Applies the records and tells the rooms; empties the list. */
void world_apply(struct world *w, struct record_list *list);
/* Tells the rooms the whole image, as after a start. */
void world_apply_all(struct world *w);
/* A topic of `partitions`, each with these replicas, led by the first. Waits until it is open.
 * A name that begins with "soft" has flush.messages at its largest. */
struct uuid world_topic(struct world *w, const char *name, int32_t partitions,
                        const int32_t *replicas, int32_t replica_count);
struct replica *world_replica(struct world *w, struct uuid id, int32_t partition);

/* One batch of one record; with a producer id when >= 0. */
struct buf *world_batch(int64_t producer_id, int32_t sequence, const char *value);

#endif
