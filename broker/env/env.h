/* env: what every broker room may ask of the world.
 *
 * Two implementations stand behind it: broker/os (libuv, threads, real files) and the simulator's
 * (virtual time, network and disk from a seed). No other room knows a clock, a thread, a socket or
 * a file.
 *
 * THE TURN. The core is one thread and handles one event at a time: a timer, a frame, a finished
 * job, a post. Time stands still within a turn. No callback of env is ever made from inside a call
 * into env; what a call causes arrives in a later turn.
 *
 * TWO FACES. The core submits and is called back. A job runs blocking code against env_fs on a
 * worker; it may touch its own struct, immutable input and refcounted buffers, never core state.
 * Its result is applied by `done`, on the core, in one turn. The simulator may crash a node between
 * any two file operations of a job: `done` is then never called and the node's memory is gone. */
#ifndef BROKER_ENV_ENV_H
#define BROKER_ENV_ENV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/heap.h"
#include "common/base/list.h"
#include "common/base/trace.h"
#include "common/base/uuid.h"

struct env;
struct env_fs;
struct env_file;

/* ---- time and chance --------------------------------------------------------------------------
 */

/* Milliseconds from an arbitrary start, never going back; constant within a turn. */
int64_t env_now_ms(const struct env *env);
/* Milliseconds since the epoch; may jump. Constant within a turn. */
int64_t env_wall_ms(const struct env *env);
uint64_t env_random(struct env *env);
/* A random uuid whose text does not begin with '-'. */
struct uuid env_random_uuid(struct env *env);
const struct trace *env_trace(const struct env *env);
/* How many files and connections there may be at once; 0: nothing is known of a limit. */
int env_open_files_max(const struct env *env);

/* ---- timers and posts -------------------------------------------------------------------------
 */

/* Embedded in its owner; zero-initialise. Fires once, in a turn at or after due_ms. */
struct env_timer {
    struct heap_node node;
    void (*fire)(struct env_timer *timer);
};

/* (Re)arms. `timer->fire` must be set. */
void env_timer_set(struct env *env, struct env_timer *timer, int64_t due_ms);
void env_timer_cancel(struct env *env, struct env_timer *timer); /* harmless when not armed */
bool env_timer_armed(const struct env_timer *timer);

/* A call on the next turn: how news goes up (image changed, marker appended) without re-entry.
 * Embedded in its owner; posting one that is already posted is harmless (it runs once). */
struct env_post {
    struct list node;
    void (*run)(struct env_post *post);
};

void env_post_init(struct env_post *post, void (*run)(struct env_post *post));
void env_post(struct env *env, struct env_post *post);
void env_post_cancel(struct env *env, struct env_post *post);

/* ---- jobs -------------------------------------------------------------------------------------
 */

/* Separate threads, so that none waits for another's kind of work. */
enum env_worker {
    ENV_WORKER_META,   /* metadata log and quorum state: append and sync */
    ENV_WORKER_APPEND, /* partition appends */
    ENV_WORKER_COMMIT, /* fdatasync of partition logs, checkpoints */
    ENV_WORKER_READ,   /* cold reads and lookups */
    ENV_WORKER_BULK,   /* recovery, compaction, deletion, roll work */
    ENV_WORKERS
};

/* A lane runs its jobs one at a time, in the order submitted; lanes of one worker share its
 * threads. */
struct env_lane;

struct env_job {
    struct list node; /* env's */
    /* On a worker. May block; must not touch core state. */
    void (*run)(struct env_job *job, struct env_fs *fs);
    /* On the core. The job's memory is the owner's again. */
    void (*done)(struct env_job *job);
    struct env_lane *lane; /* env's */
    struct env *env;       /* env's */
};

struct env_lane *env_lane_open(struct env *env, enum env_worker worker);
/* The lane goes when its last job is done. */
void env_lane_close(struct env *env, struct env_lane *lane);
/* `job` must stay in place until `done`. run and done must be set. */
void env_job_submit(struct env *env, struct env_lane *lane, struct env_job *job);

/* ---- files: inside jobs only ------------------------------------------------------------------
 */

enum env_open_flags {
    ENV_OPEN_READ = 0,
    ENV_OPEN_WRITE = 1 << 0,
    ENV_OPEN_CREATE = 1 << 1,   /* with WRITE: create when absent, mode 0600 */
    ENV_OPEN_TRUNCATE = 1 << 2, /* with WRITE */
    ENV_OPEN_EXCLUSIVE = 1 << 3 /* with CREATE: ERR_EXISTS when present */
};

struct env_iov {
    const uint8_t *data;
    size_t size;
};

/* Every operation returns ERR_NONE or an error whose text (if `text` is not NULL) names path and
 * cause. Paths are absolute or relative to the process. A file is durable after sync_data; its name
 * is durable after sync_dir of its directory; a rename replaces and is durable after sync_dir. */
enum err env_fs_open(struct env_fs *fs, const char *path, int flags, struct env_file **out,
                     struct err_text *text);
/* Reads up to size bytes; *got is less only at the end of the file. */
enum err env_fs_read(struct env_fs *fs, struct env_file *file, void *to, size_t size, int64_t at,
                     size_t *got, struct err_text *text);
/* Writes all of it or fails. After a failure any part of it may be in the file. */
enum err env_fs_write(struct env_fs *fs, struct env_file *file, const struct env_iov *iov,
                      int iov_count, int64_t at, struct err_text *text);
enum err env_fs_sync_data(struct env_fs *fs, struct env_file *file, struct err_text *text);
enum err env_fs_truncate(struct env_fs *fs, struct env_file *file, int64_t size,
                         struct err_text *text);
enum err env_fs_size(struct env_fs *fs, struct env_file *file, int64_t *size,
                     struct err_text *text);
enum err env_fs_rename(struct env_fs *fs, const char *from, const char *to, struct err_text *text);
enum err env_fs_unlink(struct env_fs *fs, const char *path, struct err_text *text);
enum err env_fs_mkdir(struct env_fs *fs, const char *path, struct err_text *text); /* mode 0700 */
enum err env_fs_rmdir(struct env_fs *fs, const char *path, struct err_text *text);
enum err env_fs_sync_dir(struct env_fs *fs, const char *path, struct err_text *text);
/* All that was written and named so far on the file system that holds `file`, whoever wrote it: for
 * many small files at once. It may have to wait for much that is not ours. Tells of every write
 * that failed since `file` was opened, so that should be before the first of them. */
enum err env_fs_sync_all(struct env_fs *fs, struct env_file *file, struct err_text *text);
/* Calls `each` for every entry but . and .. in byte order of names. */
enum err env_fs_list(struct env_fs *fs, const char *path,
                     void (*each)(void *ctx, const char *name, bool is_dir), void *ctx,
                     struct err_text *text);
/* Exclusive advisory lock on a file open for writing, held until its last reference is dropped;
 * ERR_IN_USE when another process holds it. */
enum err env_fs_lock(struct env_fs *fs, struct env_file *file, struct err_text *text);
/* Bytes free for us and in all on the volume that holds `path`. */
enum err env_fs_space(struct env_fs *fs, const char *path, int64_t *free_bytes,
                      int64_t *total_bytes, struct err_text *text);

/* Open files are refcounted so that a range on its way to a socket outlives unlink, swap and
 * eviction. Any thread. The last drop closes. */
struct env_file *env_file_ref(struct env_file *file);
void env_file_unref(struct env_file *file); /* NULL is allowed */

/* Convenience, in fs.c, built on the above: whole small files. */
/* Reads a file of at most `limit` bytes; appends to `out`. */
enum err env_fs_slurp(struct env_fs *fs, const char *path, size_t limit, struct bytes *out,
                      struct err_text *text);
/* Writes path.tmp, syncs it, renames it over `path`, syncs the directory. */
enum err env_fs_replace(struct env_fs *fs, const char *path, const void *data, size_t size,
                        struct err_text *text);

/* ---- network ----------------------------------------------------------------------------------
 */

/* A connection's name: never reused while anyone may hold it (index + generation). Zero is none. */
typedef struct env_conn {
    uint32_t index;
    uint32_t generation;
} env_conn;

static inline bool env_conn_equal(env_conn a, env_conn b)
{
    return a.index == b.index && a.generation == b.generation;
}

struct env_peer {
    char host[64]; /* numeric address without port: "127.0.0.1" */
    uint16_t port;
};

/* What a connection's owner is told. Frames are Kafka's: the int32 length is checked against
 * max_frame_bytes and taken off; the buffer holds exactly the rest and is the receiver's. */
struct env_conn_events {
    /* Dialled connections only: the way is open. (A failed dial is `closed`.) */
    void (*connected)(void *ctx, env_conn conn);
    void (*frame)(void *ctx, env_conn conn, struct buf *frame);
    /* Queued output fell to zero after env_conn_queued was above ENV_QUEUE_HIGH. */
    void (*drained)(void *ctx, env_conn conn);
    /* The peer, an error or a bad frame ended it; last call for this conn. Not made after
     * env_close. `why` reads on its own: "peer closed the connection", "frame of 2147483647 bytes
     * is larger than 104857600". */
    void (*closed)(void *ctx, env_conn conn, enum err reason, const char *why);
};

enum { ENV_QUEUE_HIGH = 1 << 20 };

struct env_listener {
    /* Owned by the caller, must stay in place until env_unlisten. */
    const struct env_conn_events *events;
    uint32_t max_frame_bytes;
    /* Returns the ctx for the connection's events. */
    void *(*accepted)(void *listener_ctx, env_conn conn, const struct env_peer *peer);
    void *listener_ctx;
    uint16_t bound_port; /* set by env_listen; differs from the asked port when that was 0 */
    void *impl;          /* env's */
};

/* Binds and listens at once. host is a numeric address or a name; "" and "0.0.0.0" are every
 * interface. ERR_IN_USE, ERR_ACCESS, ERR_UNREACHABLE with text. */
enum err env_listen(struct env *env, struct env_listener *listener, const char *host, uint16_t port,
                    struct err_text *text);
/* No more accepts; connections live on. Harmless when not listening. */
void env_unlisten(struct env *env, struct env_listener *listener);

/* Always answers by `connected` or `closed`, in a later turn. ERR_REFUSED tells a dead process from
 * an unreachable one. */
env_conn env_dial(struct env *env, const char *host, uint16_t port, uint32_t max_frame_bytes,
                  const struct env_conn_events *events, void *ctx);

/* A piece of output: bytes, or a range of a file sent without passing through the core. */
struct env_piece {
    struct slice bytes;    /* used when file is NULL */
    struct env_file *file; /* else `size` bytes from `at` */
    int64_t at;
    uint32_t size;
};

/* Queues the pieces in order and takes over one reference of each (also when conn is gone, where
 * they are dropped). The caller writes the frame's length itself. A file that proves shorter than
 * its range closes the connection. */
void env_send(struct env *env, env_conn conn, const struct env_piece *pieces, int count);
size_t env_conn_queued(const struct env *env,
                       env_conn conn); /* bytes not yet taken by the system */
/* While paused no frame is delivered; the peer feels it by TCP's window. */
void env_conn_pause(struct env *env, env_conn conn, bool paused);
/* Drops queued output and input; no further events. `flush_first` sends what is queued, then
 * closes. */
void env_close(struct env *env, env_conn conn, bool flush_first);

/* ---- for implementers -------------------------------------------------------------------------
 */

struct env_ops {
    uint64_t (*random)(struct env *env);
    struct env_lane *(*lane_open)(struct env *env, enum env_worker worker);
    void (*lane_close)(struct env *env, struct env_lane *lane);
    void (*job_submit)(struct env *env, struct env_lane *lane, struct env_job *job);
    enum err (*listen)(struct env *env, struct env_listener *listener, const char *host,
                       uint16_t port, struct err_text *text);
    void (*unlisten)(struct env *env, struct env_listener *listener);
    env_conn (*dial)(struct env *env, const char *host, uint16_t port, uint32_t max_frame_bytes,
                     const struct env_conn_events *events, void *ctx);
    void (*send)(struct env *env, env_conn conn, const struct env_piece *pieces, int count);
    size_t (*conn_queued)(const struct env *env, env_conn conn);
    void (*conn_pause)(struct env *env, env_conn conn, bool paused);
    void (*close)(struct env *env, env_conn conn, bool flush_first);
};

/* An implementation embeds this first in its own struct and keeps the two times current. */
struct env {
    const struct env_ops *ops;
    const struct trace *trace;
    int64_t now_ms;
    int64_t wall_ms;
    struct heap timers;
    struct list posts;
    int open_files_max;
};

void env_init(struct env *env, const struct env_ops *ops, const struct trace *trace);
/* Milliseconds until the next timer or post: 0 when something is due, -1 when nothing waits. */
int64_t env_wait_ms(const struct env *env);
/* Runs every timer that is due and every post made before this call. Each callback is a turn. */
void env_run_due(struct env *env);
void env_fini(struct env *env);

struct env_fs_ops {
    enum err (*open)(struct env_fs *fs, const char *path, int flags, struct env_file **out,
                     struct err_text *text);
    enum err (*read)(struct env_fs *fs, struct env_file *file, void *to, size_t size, int64_t at,
                     size_t *got, struct err_text *text);
    enum err (*write)(struct env_fs *fs, struct env_file *file, const struct env_iov *iov,
                      int iov_count, int64_t at, struct err_text *text);
    enum err (*sync_data)(struct env_fs *fs, struct env_file *file, struct err_text *text);
    enum err (*truncate)(struct env_fs *fs, struct env_file *file, int64_t size,
                         struct err_text *text);
    enum err (*size)(struct env_fs *fs, struct env_file *file, int64_t *size,
                     struct err_text *text);
    enum err (*rename)(struct env_fs *fs, const char *from, const char *to, struct err_text *text);
    enum err (*unlink)(struct env_fs *fs, const char *path, struct err_text *text);
    enum err (*mkdir)(struct env_fs *fs, const char *path, struct err_text *text);
    enum err (*rmdir)(struct env_fs *fs, const char *path, struct err_text *text);
    enum err (*sync_dir)(struct env_fs *fs, const char *path, struct err_text *text);
    enum err (*sync_all)(struct env_fs *fs, struct env_file *file, struct err_text *text);
    enum err (*list)(struct env_fs *fs, const char *path,
                     void (*each)(void *ctx, const char *name, bool is_dir), void *ctx,
                     struct err_text *text);
    enum err (*lock)(struct env_fs *fs, struct env_file *file, struct err_text *text);
    enum err (*space)(struct env_fs *fs, const char *path, int64_t *free_bytes,
                      int64_t *total_bytes, struct err_text *text);
};

struct env_fs {
    const struct env_fs_ops *ops;
};

struct env_file {
    _Atomic uint32_t refs;
    void (*close)(struct env_file *file); /* frees the implementation's struct */
};

#endif
