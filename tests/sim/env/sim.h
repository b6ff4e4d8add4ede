/* sim: the world of broker/env, simulated: time, chance, disks and a network, from one seed.
 *
 * A universe (struct sim) holds nodes. Each node has a struct env for its core, a clock, a disk and
 * an address. Nothing happens but inside sim_step, which takes the next event of one queue, moves
 * virtual time to it and lets it run: one turn of one core, one file operation of one job, one
 * packet. The same seed and the same calls give the same events; sim_hash tells two runs apart.
 *
 * CRASHES. sim_node_crash takes a node away between two events: timers, posts, queued jobs and
 * connections are dropped without a call. A job that stands in the middle of its file operations is
 * run to its end with every further operation answering ERR_CANCELLED and changing nothing, so that
 * what it holds on its stack is released; its `done` is never called. Jobs must therefore end when
 * operations fail. Jobs that had not begun are forgotten. The memory of the node's core is the
 * test's to free, after the crash and before sim_node_restart: until then every call on the node's
 * env is harmless and without effect. Memory of jobs in flight must be reachable from the core, as
 * it must be on any early stop.
 *
 * THE DISK. What is written is volatile until synced. At a power failure every unsynced write is
 * kept, lost or torn, by 4 KiB and 512 byte blocks, independently; unsynced truncations are kept or
 * lost; unsynced changes of names survive as a prefix of each directory's changes (a rename between
 * directories counts in both). A killed process loses nothing but the write it stood in, which may
 * be torn.
 *
 * THE NETWORK. Streams of bytes between addresses, cut at random, delayed by the path's
 * distribution, in order. Blocked paths hold packets until the sender gives up (ERR_TIMEOUT). */
#ifndef TESTS_SIM_ENV_SIM_H
#define TESTS_SIM_ENV_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/env/env.h"
#include "common/base/rng.h"

struct sim;
struct sim_node;

/* ---- the universe --------------------------------------------------------------------------- */

struct sim_options {
    uint64_t seed;
    /* Where the event trace and the cores' own trace lines go; NULL for silence. A line is
     * "TIME_US NODE KIND DETAIL" in columns of 14, 10 and 10. Does not change what happens. */
    void (*sink)(void *ctx, const char *line);
    void *sink_ctx;
};

struct sim *sim_new(const struct sim_options *options);
/* Every core must have been freed, its node crashed or not. */
void sim_free(struct sim *sim);

int64_t sim_now_us(const struct sim *sim);
/* The chance of the test's own script. */
struct rng *sim_rng(struct sim *sim);
/* Over every event so far: time, node, kind, numbers, names and bytes. */
uint64_t sim_hash(const struct sim *sim);
uint64_t sim_events(const struct sim *sim);

/* Runs one event. False when nothing waits. Not from inside a turn. */
bool sim_step(struct sim *sim);
/* Steps until `reached` (NULL: never) says so, `for_ms` of virtual time have passed, `max_events`
 * ran (0: no bound) or nothing waits. True when reached. Time then stands at the last event, or at
 * the end of for_ms when that is what ended it. */
bool sim_run_until(struct sim *sim, bool (*reached)(void *ctx), void *ctx, int64_t for_ms,
                   uint64_t max_events);
void sim_run_for(struct sim *sim, int64_t for_ms);
/* Calls `fire` at a virtual time, outside any turn: the place for scripted crashes and
 * partitions. */
void sim_at(struct sim *sim, int64_t at_us, void (*fire)(void *ctx), void *ctx);
/* A line of the test's own in the event trace. */
void sim_note(struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- nodes ---------------------------------------------------------------------------------- */

enum { SIM_NODES_MAX = 64 };

/* `host` is its address ("10.0.0.1"); `name` resolves to it. Starts up, with an empty disk that has
 * the directory /data. Lives as long as the universe. */
struct sim_node *sim_node_new(struct sim *sim, const char *name, const char *host);
struct env *sim_node_env(struct sim_node *node);
const char *sim_node_name(const struct sim_node *node);
bool sim_node_up(const struct sim_node *node);

enum sim_crash {
    SIM_KILL,  /* the process dies: disk caches live on, peers are told, dials are refused */
    SIM_POWER, /* the machine dies: unsynced state is at chance; peers are told as if by a reset */
    SIM_POWER_CUT /* as SIM_POWER, but peers hear nothing: they time out, dials get no answer */
};

/* Not from inside a turn or a job. */
void sim_node_crash(struct sim_node *node, enum sim_crash how);
/* The k-th file operation from now (1 is the next) does not happen: the node crashes instead.
 * 0 takes the order back. `crashed` (may be NULL) is called right after, outside any turn. */
void sim_node_crash_at_op(struct sim_node *node, uint64_t k, enum sim_crash how,
                          void (*crashed)(void *ctx, struct sim_node *node), void *ctx);
/* A fresh env on the surviving disk. The old core must have been freed. */
void sim_node_restart(struct sim_node *node);
/* Nothing of the node runs for so long (a paused virtual machine). */
void sim_node_stall(struct sim_node *node, int64_t for_us);

/* The wall clock's distance from virtual time, and how fast both clocks of the node run, in parts
 * per million too fast (negative: too slow). */
void sim_node_wall_offset(struct sim_node *node, int64_t offset_ms);
void sim_node_drift(struct sim_node *node, int64_t drift_ppm);

/* ---- the disk ------------------------------------------------------------------------------- */

enum sim_op {
    SIM_OPEN,
    SIM_READ,
    SIM_WRITE,
    SIM_SYNC,
    SIM_TRUNCATE,
    SIM_SIZE,
    SIM_RENAME,
    SIM_UNLINK,
    SIM_MKDIR,
    SIM_RMDIR,
    SIM_SYNC_DIR,
    SIM_SYNC_ALL,
    SIM_LIST,
    SIM_LOCK,
    SIM_SPACE,
    SIM_OPS
};
#define SIM_ANY_OP ((1U << SIM_OPS) - 1)

/* File operations done by the node's jobs since it was made. */
uint64_t sim_disk_ops(const struct sim_node *node);
/* From now on the nth operation (1 is the next) among those in the mask (1U << SIM_WRITE ...) whose
 * path contains `path_part` (NULL: any; kept by the caller) fails with `error`; with `forever` so
 * does every later one. At most 8 at a time. */
void sim_disk_fail(struct sim_node *node, unsigned op_mask, const char *path_part, uint64_t nth,
                   enum err error, bool forever);
void sim_disk_heal(struct sim_node *node); /* forgets all of sim_disk_fail */
/* Operations that failed by it so far. */
uint64_t sim_disk_failed(const struct sim_node *node);
/* The volume's size; what would go beyond is ERR_NO_SPACE, after part of it may have been
 * written. */
void sim_disk_limit(struct sim_node *node, int64_t total_bytes);
/* No operation ends before so much time has passed. */
void sim_disk_stall(struct sim_node *node, int64_t for_us);
/* How long one kind of operation takes; one in `slow_one_in` (0: none) takes slow_us. */
struct sim_latency {
    int64_t min_us;
    int64_t max_us;
    uint32_t slow_one_in;
    int64_t slow_us;
};
void sim_disk_latency(struct sim_node *node, enum sim_op op, struct sim_latency latency);
/* Threads of each worker; 2 to start with. */
void sim_worker_threads(struct sim_node *node, int threads);

/* Past every operation, at once, at any time outside a job, on a crashed node too. */
/* False when there is no such file. Appends the present content. */
bool sim_disk_get(const struct sim_node *node, const char *path, struct bytes *out);
/* The same without a copy, good until the next event. */
bool sim_disk_peek(const struct sim_node *node, const char *path, const uint8_t **data,
                   size_t *size);
/* Creates or replaces, content and name durable at once. The directory must exist. */
void sim_disk_put(struct sim_node *node, const char *path, const void *data, size_t size);
void sim_disk_mkdir(struct sim_node *node, const char *path); /* durable at once */
bool sim_disk_exists(const struct sim_node *node, const char *path);
/* XORs `mask` into the byte at `at`, in cache and on disk. False when there is none. */
bool sim_disk_flip(struct sim_node *node, const char *path, int64_t at, uint8_t mask);
/* Takes a file or a whole directory away, durably. */
void sim_disk_remove(struct sim_node *node, const char *path);
/* Every file under `path`, depth first in byte order, with its full path. */
void sim_disk_walk(const struct sim_node *node, const char *path,
                   void (*each)(void *ctx, const char *path, const uint8_t *data, size_t size),
                   void *ctx);

/* ---- the network ---------------------------------------------------------------------------- */

struct sim_path {
    int64_t delay_min_us; /* one way */
    int64_t delay_max_us;
    int64_t bytes_per_ms; /* 0: as much as there is */
    bool blocked;
};

/* The way from one node to another. Settings of a path replace all four. */
struct sim_path sim_path_of(const struct sim_node *from, const struct sim_node *to);
void sim_path_set(struct sim_node *from, struct sim_node *to, struct sim_path path);
void sim_block(struct sim_node *from, struct sim_node *to, bool blocked); /* one way */
void sim_partition(struct sim_node *a, struct sim_node *b, bool apart);   /* both ways */
void sim_isolate(struct sim_node *node, bool apart);                      /* from every other */
/* Resets every connection between the two; both sides are told ERR_CLOSED. */
void sim_reset(struct sim_node *a, struct sim_node *b);
/* How long a sender waits on a blocked path, and a silent peer is believed in (60 s); and a dial
 * (10 s). */
void sim_net_timeouts(struct sim *sim, int64_t send_ms, int64_t dial_ms);
/* Connections of the node whose owner has not been told, or has not said, that they are closed. */
int sim_net_conns(const struct sim_node *node);

#endif
