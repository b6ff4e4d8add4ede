/* os: broker/env for real. The loop, the clock, worker threads, files, sockets, signals, and what a
 * service manager wants to hear. broker/main.c is its only caller besides tests.
 *
 * Everything here is called on one thread, the one that calls os_open and os_run. The life of a
 * broker:
 *
 *     struct trace trace = os_trace(TRACE_INFO);
 *     struct os *os = os_open(&trace, &text);
 *     ... make the core on os_env(os): it may listen, dial, submit jobs ...
 *     os_on_signal(os, stop_nicely, core);
 *     int code = os_run(os);      the core calls os_stop when it has wound down
 *     ... free the core ...
 *     os_free(os); */
#ifndef BROKER_OS_OS_H
#define BROKER_OS_OS_H

#include "broker/env/env.h"

struct os;

/* A trace to stderr: "2026-11-22T20:46:30.123Z INFO line"; under a journal (JOURNAL_STREAM names
 * our stderr) "<6>line", since the journal keeps the time and the level itself. */
struct trace os_trace(enum trace_level level);

/* Raises the soft limit of open files to the hard one, ignores SIGPIPE. Starts no thread. `trace`
 * must stay in place until os_free. NULL with text when the system refuses a loop. */
struct os *os_open(const struct trace *trace, struct err_text *text);
struct env *os_env(struct os *os);
/* For code before os_run and after it, which may block: reading settings, taking the directory's
 * lock. */
struct env_fs *os_fs(struct os *os);

/* SIGTERM and SIGINT come to `signalled` as a turn of their own, and so does SIGHUP unless it was
 * ignored when we were started (nohup). Without a call of this, they act as they always do. Once.
 */
void os_on_signal(struct os *os, void (*signalled)(void *ctx, int signum), void *ctx);

/* Runs turns until os_stop, and then until every job that was submitted is done: `done` is still
 * called for each. Returns the code given to os_stop. The core may be freed afterwards. */
int os_run(struct os *os);

/* After the present round there are no turns but those of finished jobs: listeners and connections
 * are closed (output queued so far gets up to a second to leave), timers and posts stand still,
 * handles are stale, env_listen answers ERR_CANCELLED and env_dial never answers. A second call
 * does nothing. May be called before os_run. */
void os_stop(struct os *os, int code);

/* sd_notify: "READY=1", "STOPPING=1", "STATUS=...". Nothing happens outside of systemd. */
void os_notify(struct os *os, const char *state);

/* Ends the threads. If os_run was never called, jobs still under way are waited for here, with
 * their `done`. Every file opened must have been dropped, every listener unlistened, every lane
 * closed. */
void os_free(struct os *os);

#endif
