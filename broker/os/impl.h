/* What the files of os share. Not for others. */
#ifndef BROKER_OS_IMPL_H
#define BROKER_OS_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "broker/os/os.h"
#include "common/net/net.h"

enum { OS_SIGNALS = 3, OS_RANDOM_WORDS = 64, OS_DRAIN_MS = 1000 };

/* The threads of one kind of work. `lock` guards all but `size` and the threads' handles. */
struct os_crew {
    struct os *os;
    const char *name;
    unsigned size;
    unsigned started; /* loop thread only */
    pthread_t threads[4];
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list lanes; /* with a job waiting and none running */
    unsigned resting;  /* threads waiting for work */
    bool ending;
};

struct os_conn; /* conns.c */

/* A row of the table of connections. */
struct os_slot {
    uint32_t generation; /* of the present or next holder; never 0 */
    uint32_t next_free;
    struct os_conn *conn; /* NULL: free */
};

struct os {
    struct env env; /* first */
    struct env_fs fs;
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_idle_t idle;   /* active while something is due: the loop must not wait */
    uv_timer_t timer; /* wakes the loop for the next of env's timers */
    uv_async_t finished;
    uv_signal_t signals[OS_SIGNALS];
    int signal_count;
    void (*signalled)(void *ctx, int signum);
    void *signalled_ctx;
    bool stopping;
    bool closing_net; /* net_drain was called */
    bool drained;
    int code;
    int64_t timer_due_ms; /* what `timer` is set to; -1: not set */

    uint64_t random[OS_RANDOM_WORDS];
    size_t random_left;

    struct os_crew crews[ENV_WORKERS];
    pthread_mutex_t done_lock;
    struct list done;        /* under done_lock: jobs that ran */
    size_t outstanding;      /* submitted, `done` not called yet */
    struct env_lane *closer; /* for files.c; NULL until needed */
    pthread_t loop_thread;
    _Atomic size_t open_files;

    struct net *net;
    struct os_slot *slots;
    size_t slot_count;
    size_t slot_capacity;
    uint32_t free_slot; /* index + 1; 0: none */
};

/* os.c */
/* Begins a turn: brings the clock up to date. */
void os_turn(struct os *os);

/* workers.c */
void os_workers_init(struct os *os);
void os_workers_end(struct os *os); /* joins; nothing may be outstanding */
void os_workers_deliver(struct os *os);
struct env_lane *os_lane_open(struct env *env, enum env_worker worker);
void os_lane_close(struct env *env, struct env_lane *lane);
void os_job_submit(struct env *env, struct env_lane *lane, struct env_job *job);

/* files.c */
extern const struct env_fs_ops os_fs_ops;
int os_file_fd(const struct env_file *file);

/* conns.c */
enum err os_listen(struct env *env, struct env_listener *listener, const char *host, uint16_t port,
                   struct err_text *text);
void os_unlisten(struct env *env, struct env_listener *listener);
env_conn os_dial(struct env *env, const char *host, uint16_t port, uint32_t max_frame_bytes,
                 const struct env_conn_events *events, void *ctx);
void os_send(struct env *env, env_conn conn, const struct env_piece *pieces, int count);
size_t os_conn_queued(const struct env *env, env_conn conn);
void os_conn_pause(struct env *env, env_conn conn, bool paused);
void os_close(struct env *env, env_conn conn, bool flush_first);
void os_conns_forget(struct os *os); /* every handle becomes stale */

/* service.c */
/* The limit there is then; 0 unknown. */
int os_raise_open_files(const struct trace *trace);

#endif
