/* witness: looks into the servers of one universe, past every request, and holds them against each
 * other:
 *   - an epoch of the metadata quorum, and one of a partition, has one leader, ever;
 *   - what any node ever took for committed metadata is, byte for byte, what every other takes for
 *     it: committed metadata is a prefix everywhere;
 *   - a metadata snapshot says exactly what the committed batches up to its end say, and so does
 * the image of who loads one;
 *   - the same for the batches of a partition below its high watermarks;
 *   - a replica's high watermark does not go back within one life and one leader epoch, and who
 *     leads the newest epoch and says it knows its mark knows of all that was ever below one.
 *
 * It reads the rooms of a node and the simulated disk, so it needs nothing in either. It tells
 * faults_led of new leaders. */
#ifndef TESTS_SIM_WITNESS_H
#define TESTS_SIM_WITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct universe;
struct server;
struct witness;

struct witness *witness_new(struct universe *u);
void witness_free(struct witness *w);

/* After every event. */
void witness_step(struct witness *w);
/* The server's life is over: right before its broker is freed. */
void witness_buried(struct witness *w, const struct server *server);

/* Every server serves, every partition has its leader and all its replicas in sync and level, and
 * everybody's metadata says so. `why` (may be NULL) gets what is not so. */
bool witness_level(struct witness *w, char *why, size_t size);
/* All brokers that are up agree who leads the partitions of the offsets topic, so that nobody can
 * answer as a coordinator who has been replaced without knowing it. */
bool witness_coordinators_agreed(const struct witness *w);
/* Every partition it holds has other replicas, and is in sync on all of them; always true for a
 * controller. */
bool witness_can_spare(struct witness *w, const struct server *server);
/* Every voter has a quorum-state on its disk, so that none takes the cluster for a new one. */
bool witness_voters_proven(const struct witness *w);
/* What that server has delivered of the metadata, and the most that any ever had. */
int64_t witness_delivered(const struct witness *w, const struct server *server);
int64_t witness_committed(const struct witness *w);

/* The logs that are watched are numbered: 0 is the metadata's. */
int witness_trails(const struct witness *w);
/* Who leads its newest epoch, in the life in which it came to; NULL when that is over. */
struct server *witness_leader(const struct witness *w, int trail);
uint64_t witness_elections(const struct witness *w);      /* of the metadata quorum */
uint64_t witness_leader_changes(const struct witness *w); /* of partitions */
uint64_t witness_snapshots(const struct witness *w);      /* on disks, held against the trail */
uint64_t witness_skips(const struct witness *w); /* a server went on from one it had not made */

#endif
