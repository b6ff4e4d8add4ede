/* A crew of quorums on the simulated network: three or five voters and perhaps observers, each with
 * a disk and a controller listener, their requests really encoded and sent. What any of them ever
 * delivered as committed is remembered across crashes, and checked after every event:
 *   - one leader an epoch, in one life;
 *   - what is delivered is the same at every node, without gap;
 *   - the high watermark never goes back in a life, nothing below it is cut off. */
#ifndef TESTS_UNIT_QUORUM_CREW_H
#define TESTS_UNIT_QUORUM_CREW_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/node/peers.h"
#include "broker/quorum/quorum.h"
#include "common/base/mem.h"
#include "common/wire/messages.h"
#include "tests/sim/env/sim.h"

enum { CREW_MAX = 7, CREW_BATCHES_MAX = 8192, CREW_EPOCHS_MAX = 8192, CREW_PORT = 9093 };

struct crew_batch {
    int64_t base_offset;
    int64_t last_offset;
    uint32_t crc;
};

struct crew;

struct mate {
    struct crew *crew;
    int32_t id; /* 1 up */
    struct sim_node *node;
    struct env *env;
    struct log_dir *dir;
    struct quorum *quorum;
    struct node_peers *peers;
    struct env_listener listener;
    struct list conns;
    struct env_timer load;
    int life;
    bool up;
    bool opened;
    bool closing;
    bool may_fail;
    bool broken; /* `failed` was told, or an opening that did not succeed */
    char failure[512];
    int32_t active_epoch;
    int64_t expected_offset;
    size_t loaded; /* committed batches that a snapshot has named so far */
    int64_t high_watermark;
    int32_t last_role;
};

struct crew {
    struct sim *sim;
    int voters;
    int count; /* voters and observers */
    struct mate mates[CREW_MAX];
    bool load;              /* leaders append now and then */
    int64_t snapshot_bytes; /* 0: no snapshots */
    int64_t snapshot_interval_ms;
    int64_t retention_bytes;
    int64_t retention_ms;
    int32_t segment_bytes;
    int32_t piece_bytes; /* of a fetched snapshot */
    unsigned snapshots_written;
    unsigned snapshots_told;
    struct crew_batch committed[CREW_BATCHES_MAX];
    size_t committed_count;
    int64_t committed_end;
    int32_t leader_of[CREW_EPOCHS_MAX]; /* id + 100 * life */
    uint32_t elections;
    uint32_t appended;
    int32_t last_granting; /* of the last LeaderChange record delivered */
    int32_t last_voters;
};

void crew_build(struct crew *crew, uint64_t seed, int voters, int observers);
void crew_raze(struct crew *crew);
void mate_start(struct mate *mate);
void mate_crash(struct mate *mate, enum sim_crash how);
/* At its k-th file operation from now. */
void mate_crash_at_op(struct mate *mate, uint64_t k, enum sim_crash how);
void mate_wipe(struct mate *mate);  /* of a crashed one */
void mate_close(struct mate *mate); /* ends its life well, in virtual time */
/* Runs with every check after every event. */
bool crew_run(struct crew *crew, bool (*reached)(struct crew *crew), int64_t for_ms);
struct mate *crew_leader(struct crew *crew); /* the active one of the highest epoch; or NULL */
bool crew_has_leader(struct crew *crew);
/* The leader appends; false when there is none. */
bool crew_append(struct crew *crew, int64_t *offset);
/* It appends one record of so many bytes, more than a Fetch takes beside another batch. */
int64_t mate_append_big(struct mate *mate, size_t size_bytes);
/* Every mate that is up has delivered all that is committed, and there is a leader. */
bool crew_is_level(struct crew *crew);
bool crew_proven(const struct crew *crew); /* every voter has a quorum-state */
void crew_heal(struct crew *crew);
/* Brings a level crew about, appends, and sees it delivered everywhere. */
void crew_progress(struct crew *crew, int64_t for_ms);

#endif
