/* What the process owes its surroundings: signals, the service manager, limits, and lines on
 * stderr. */
#include <limits.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "broker/os/impl.h"
#include "common/base/assert.h"

/* ---- trace ---- */

/* One write, so that lines of several processes on one terminal stay whole. */
static void put_line(const char *head, const char *line)
{
    struct iovec iov[] = {{(void *)(uintptr_t)head, strlen(head)},
                          {(void *)(uintptr_t)line, strlen(line)},
                          {(void *)(uintptr_t) "\n", 1}};
    ssize_t n;
    do {
        n = writev(STDERR_FILENO, iov, 3);
    } while (n < 0 && errno == EINTR);
    /* Nobody is left to tell when stderr itself fails. */
}

static void to_terminal(void *ctx, enum trace_level level, const char *line)
{
    (void)ctx;
    struct timespec now;
    struct tm utc;
    char date[32];
    char head[64];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(head, sizeof head, "%s.%03ldZ %s ", date, now.tv_nsec / 1000000,
             trace_level_name(level));
    put_line(head, line);
}

static void to_journal(void *ctx, enum trace_level level, const char *line)
{
    (void)ctx;
    static const char *const heads[] = {[TRACE_ERROR] = SD_ERR,
                                        [TRACE_WARN] = SD_WARNING,
                                        [TRACE_INFO] = SD_INFO,
                                        [TRACE_DEBUG] = SD_DEBUG};
    ASSERT((size_t)level < sizeof heads / sizeof heads[0]);
    put_line(heads[level], line);
}

/* JOURNAL_STREAM is "device:inode" of the stream the manager gave us; stderr may be another by now.
 */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device = 0;
    unsigned long long inode = 0;
    struct stat st;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

struct trace os_trace(enum trace_level level)
{
    return (struct trace){.level = level, .sink = stderr_is_journal() ? to_journal : to_terminal};
}

/* ---- limits ---- */

int os_raise_open_files(const struct trace *trace)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (before != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        trace_warn(trace, "raise the limit of open files from %llu to %llu: %s",
                   (unsigned long long)before, (unsigned long long)limit.rlim_max, strerror(errno));
        limit.rlim_cur = before;
    }
    return limit.rlim_cur < INT_MAX ? (int)limit.rlim_cur : INT_MAX;
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int signum)
{
    struct os *os = handle->data;
    if (!os->stopping) {
        os_turn(os);
        os->signalled(os->signalled_ctx, signum);
    }
}

static bool was_ignored(int signum)
{
    struct sigaction now;
    return sigaction(signum, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void os_on_signal(struct os *os, void (*signalled)(void *ctx, int signum), void *ctx)
{
    static const int wanted[OS_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    ASSERT(signalled != NULL && os->signalled == NULL);
    os->signalled = signalled;
    os->signalled_ctx = ctx;
    for (int i = 0; i < OS_SIGNALS; i++) {
        if (wanted[i] == SIGHUP && was_ignored(SIGHUP)) {
            continue;
        }
        uv_signal_t *handle = &os->signals[os->signal_count++];
        uv_signal_init(&os->loop, handle);
        handle->data = os;
        int rc = uv_signal_start(handle, on_signal, wanted[i]);
        if (rc != 0) {
            trace_warn(os->env.trace, "listen for signal %d: %s", wanted[i], uv_strerror(rc));
        }
    }
}

/* ---- service manager ---- */

void os_notify(struct os *os, const char *state)
{
    int rc = sd_notify(0, state);
    if (rc < 0) {
        trace_warn(os->env.trace, "tell the service manager \"%s\": %s", state, strerror(-rc));
    }
}
