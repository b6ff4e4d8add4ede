/* What the files of simenv share. */
#ifndef TESTS_SIM_ENV_SIM_INTERNAL_H
#define TESTS_SIM_ENV_SIM_INTERNAL_H

#include "common/wire/frame.h"
#include "tests/sim/env/sim.h"

/* ---- events --------------------------------------------------------------------------------- */

/* Embedded in its owner; linked while waiting. `node`, when not NULL, is whose turn it is: a
 * stalled node has its events put off. */
struct sim_event {
    struct heap_node heap;
    struct sim_node *node;
    void (*fire)(struct sim_event *event);
};

void sim_schedule(struct sim *sim, struct sim_event *event, int64_t at_us); /* re-arms */
void sim_unschedule(struct sim *sim, struct sim_event *event); /* harmless when not armed */

/* One row of the event trace and the hash. `text` may be NULL. */
void sim_record(struct sim *sim, const struct sim_node *node, const char *kind, const char *text,
                int64_t a, int64_t b);
/* Mixes bytes into the hash. */
void sim_record_bytes(struct sim *sim, const void *data, size_t size);
int64_t sim_between(struct sim *sim, int64_t min, int64_t max); /* both included */
bool sim_chance(struct sim *sim, uint32_t one_in);

/* ---- fibers: stacks of their own for jobs --------------------------------------------------- */

struct sim_fiber;
struct sim_fiber *sim_fiber_new(void);
void sim_fiber_free(struct sim_fiber *fiber); /* must not be in the middle of a run */
/* Runs `run(arg)` until it returns or suspends; true when it has returned. */
bool sim_fiber_start(struct sim_fiber *fiber, void (*run)(void *arg), void *arg);
bool sim_fiber_resume(struct sim_fiber *fiber);
void sim_fiber_suspend(struct sim_fiber *fiber); /* from inside its run */

/* ---- disk ----------------------------------------------------------------------------------- */

struct sim_blob {
    uint8_t *data;
    int64_t size;
    int64_t capacity;
};

/* A change of a file's content that is not yet durable. */
struct sim_change {
    uint64_t seq;
    bool truncate;
    int64_t at; /* the size, for a truncation */
    int64_t size;
    uint8_t *data;
};

struct sim_entry {
    char *name;
    struct sim_inode *inode;
};

struct sim_dir {
    struct sim_entry *entries; /* by name */
    size_t count;
    size_t capacity;
};

struct sim_inode {
    struct list all; /* disk->inodes, oldest first */
    struct sim_disk *disk;
    uint32_t refs;
    bool is_dir;
    struct sim_dir now;  /* directories: names as seen */
    struct sim_dir kept; /* directories: names as on disk */
    bool cut;            /* directories, while a crash or sync is worked out */
    struct sim_blob seen;
    struct sim_blob safe;
    struct sim_change *changes;
    size_t change_count;
    size_t change_capacity;
    bool dropped; /* what is seen holds changes that no sync will save */
    const struct env_file *locked_by;
};

/* A change of names that is not yet durable: `inode` leaves from/from_name, enters to/to_name. */
struct sim_rename {
    struct sim_inode *from; /* NULL: created */
    char *from_name;
    struct sim_inode *to; /* NULL: unlinked */
    char *to_name;
    struct sim_inode *inode;
    bool chosen;
};

struct sim_fault {
    unsigned op_mask;
    const char *path_part;
    uint64_t left;
    enum err error;
    bool forever;
};

enum { SIM_FAULTS_MAX = 8 };

struct sim_disk {
    struct sim *sim;
    struct sim_inode *root;
    struct list inodes;
    struct sim_rename *renames;
    size_t rename_count;
    size_t rename_capacity;
    uint64_t seq;        /* of the last change of any content */
    uint64_t generation; /* bumped by a crash: older handles are dead */
    uint64_t ops;
    uint64_t failed_ops;
    int64_t used_bytes;
    int64_t total_bytes;
    int64_t stalled_until_us;
    struct sim_fault faults[SIM_FAULTS_MAX];
    int fault_count;
    struct sim_latency latency[SIM_OPS];
};

struct sim_file {
    struct env_file base;
    struct sim_inode *inode;
    uint64_t generation;
    bool writable;
    char *path;
};

void sim_disk_init(struct sim_disk *disk, struct sim *sim);
void sim_disk_fini(struct sim_disk *disk);
void sim_disk_crash(struct sim_disk *disk, bool power);

struct sim_inode *sim_inode_new(struct sim_disk *disk, bool is_dir);
struct sim_inode *sim_inode_ref(struct sim_inode *inode);
void sim_inode_unref(struct sim_inode *inode);
struct sim_inode *sim_dir_find(const struct sim_dir *dir, const char *name);
/* The inode at `path`; NULL when there is none. */
struct sim_inode *sim_disk_find(const struct sim_disk *disk, const char *path);
/* The directory that holds or would hold `path`, and the last part of it; NULL when there is
 * none. */
struct sim_inode *sim_disk_parent(const struct sim_disk *disk, const char *path, char *name,
                                  size_t name_size);
/* Moves, creates (from NULL) or removes (to NULL) a name; what it replaces loses its name. */
void sim_disk_move(struct sim_disk *disk, struct sim_inode *from, const char *from_name,
                   struct sim_inode *to, const char *to_name, struct sim_inode *inode);
void sim_disk_sync_dir(struct sim_disk *disk, struct sim_inode *dir);
/* Every file and name; `failed`: of some files only, and others never (sim_inode_drop). */
void sim_disk_sync_all(struct sim_disk *disk, uint64_t up_to_seq, bool failed);
/* Content: volatile until synced. The change's `data` is copied. */
void sim_inode_write(struct sim_inode *inode, const uint8_t *data, int64_t size, int64_t at);
void sim_inode_truncate(struct sim_inode *inode, int64_t size);
void sim_inode_sync(struct sim_inode *inode, uint64_t up_to_seq);
/* What survives a power failure of the changes not synced; then all of it is durable. */
void sim_inode_lose(struct sim_inode *inode);
/* The changes stay seen and are never safe. */
void sim_inode_drop(struct sim_inode *inode);
void sim_inode_clear(struct sim_inode *inode); /* forgets changes, frees content */

/* For ranges on their way to a socket: bytes got. */
size_t sim_file_peek(struct env_file *file, void *to, size_t size, int64_t at);
extern const struct env_fs_ops sim_fs_ops;

/* ---- jobs ----------------------------------------------------------------------------------- */

struct env_lane {
    struct list all;   /* node->lanes */
    struct list ready; /* worker->ready when it has jobs and none runs */
    struct list jobs;
    enum env_worker worker;
    bool running;
    bool closed;
    int undone;           /* jobs begun whose `done` has not been */
    int64_t last_done_us; /* `done` comes in the order of the jobs */
};

struct sim_worker {
    struct list ready; /* lanes, first come first served */
    int running;
    struct sim_event start;
};

/* A job that runs: its fiber, and the file operation it waits for. */
struct sim_task {
    struct env_fs fs; /* first: what the job is handed */
    struct list all;  /* node->tasks */
    struct sim_node *node;
    struct env_lane *lane;
    struct env_job *job;
    struct sim_fiber *fiber;
    struct sim_event event; /* starts it, ends its operation, or calls done */
    bool cancelled;
    uint64_t cancelled_ops;
    /* A write it stands in: may be torn by a crash. */
    struct sim_inode *writing;
    const struct env_iov *iov;
    int iov_count;
    int64_t write_at;
};

struct env_lane *sim_lane_open(struct env *env, enum env_worker worker);
void sim_lane_close(struct env *env, struct env_lane *lane);
void sim_job_submit(struct env *env, struct env_lane *lane, struct env_job *job);
void sim_jobs_init(struct sim_node *node);
void sim_jobs_crash(struct sim_node *node); /* runs what is begun to its end, forgets the rest */
void sim_jobs_free_lanes(struct sim_node *node);
/* From inside the job: lets `delay_us` pass. False when the node crashed meanwhile. */
bool sim_task_wait(struct sim_task *task, int64_t delay_us);
/* From inside the job: the node crashes here. */
void sim_task_crash(struct sim_task *task);

/* ---- network -------------------------------------------------------------------------------- */

struct sim_end;

struct sim_slot {
    struct sim_end *end;
    uint32_t generation;
};

enum err sim_listen(struct env *env, struct env_listener *listener, const char *host, uint16_t port,
                    struct err_text *text);
void sim_unlisten(struct env *env, struct env_listener *listener);
env_conn sim_dial(struct env *env, const char *host, uint16_t port, uint32_t max_frame_bytes,
                  const struct env_conn_events *events, void *ctx);
void sim_send(struct env *env, env_conn conn, const struct env_piece *pieces, int count);
size_t sim_conn_queued(const struct env *env, env_conn conn);
void sim_conn_pause(struct env *env, env_conn conn, bool paused);
void sim_close(struct env *env, env_conn conn, bool flush_first);
void sim_net_init(struct sim_node *node);
void sim_net_crash(struct sim_node *node, bool silent);
void sim_net_fini(struct sim_node *node);
void sim_net_free_links(struct sim *sim);
/* Frees the connections that ended in the event just run. */
void sim_net_settle(struct sim *sim);

/* ---- node and universe ---------------------------------------------------------------------- */

struct sim_node {
    struct env env; /* first */
    struct sim *sim;
    int id;
    char name[32];
    char host[64];
    bool up;      /* a core may run */
    bool host_up; /* the machine answers */
    int64_t stalled_until_us;
    int64_t clock_from_us; /* virtual time at the last change of drift ... */
    int64_t clock_base_us; /* ... and how much time the node's clocks had counted then */
    int64_t mono_start_us; /* what the monotonic clock shows more than that */
    int64_t drift_ppm;
    int64_t wall_offset_ms;
    struct rng rng;
    struct trace trace;
    struct sim_event wake;
    struct list lanes;
    struct list tasks;
    struct sim_worker workers[ENV_WORKERS];
    int worker_threads;
    struct sim_disk disk;
    struct list listeners;
    struct sim_slot *slots;
    uint32_t slot_count;
    size_t slot_capacity;
    uint16_t next_port;
    uint64_t crash_at_op; /* 0: no order */
    enum sim_crash crash_how;
    bool crash_now;
    void (*crashed)(void *ctx, struct sim_node *node);
    void *crashed_ctx;
};

struct sim {
    struct heap queue;
    int64_t now_us;
    struct rng rng;
    struct rng script_rng;
    uint64_t hash;
    uint64_t events;
    bool in_event;
    void (*sink)(void *ctx, const char *line);
    void *sink_ctx;
    struct sim_node *nodes[SIM_NODES_MAX];
    int node_count;
    struct sim_path *paths; /* from * SIM_NODES_MAX + to */
    int64_t send_timeout_us;
    int64_t dial_timeout_us;
    struct list links;
    struct list doubtful; /* links to look at after the event */
    uint64_t link_count;
    struct list scripts;
    struct sim_fiber **fibers; /* idle */
    size_t fiber_count;
    size_t fiber_capacity;
};

static inline struct sim_node *sim_node_of(const struct env *env)
{
    return (struct sim_node *)(uintptr_t)env; /* embedded first */
}

#endif
