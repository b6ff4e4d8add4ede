/* Happy path: frame -> queue -> job {write, sync} -> done: answer the frames of that job, start the
 * next. Failure: a write or sync that fails stops the echo; it closes what is open and answers no
 * more. */
#include "tests/env/echo.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/mem.h"

enum { HEAD_BYTES = 8, MAX_FRAME_BYTES = 1 << 20, FILE_LIMIT = 64 << 20 };

struct waiting {
    struct list node;
    env_conn conn;
    struct buf *frame;
};

struct echo {
    struct env *env;
    char *path;
    char *host;
    struct env_listener listener;
    bool listening;
    uint16_t port;
    void (*ready)(void *ctx, const char *error);
    void *ctx;
    struct env_lane *lane;
    struct env_job job;
    bool job_busy;
    struct env_file *file;
    int64_t size;
    struct list queue;   /* not yet in a job */
    struct list writing; /* in the job */
    struct bytes out;    /* their records */
    enum err error;
    struct err_text text;
    enum err job_error; /* the job's own until it is done */
};

static void put_u32(uint8_t *to, uint32_t v)
{
    to[0] = (uint8_t)(v >> 24);
    to[1] = (uint8_t)(v >> 16);
    to[2] = (uint8_t)(v >> 8);
    to[3] = (uint8_t)v;
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

size_t echo_scan(const uint8_t *data, size_t size,
                 void (*each)(void *ctx, const uint8_t *record, size_t record_size), void *ctx)
{
    size_t at = 0;
    while (size - at >= HEAD_BYTES) {
        size_t length = get_u32(data + at);
        const uint8_t *record = data + at + HEAD_BYTES;
        if (length > size - at - HEAD_BYTES || length == 0 ||
            crc32c(record, length) != get_u32(data + at + 4)) {
            break;
        }
        if (each != NULL) {
            each(ctx, record, length);
        }
        at += HEAD_BYTES + length;
    }
    return at;
}

/* ---- starting ---- */

static enum err recover(struct echo *echo, struct env_fs *fs)
{
    struct bytes all = {0};
    enum err e = env_fs_slurp(fs, echo->path, FILE_LIMIT, &all, &echo->text);
    if (e == ERR_NONE) {
        size_t whole = echo_scan(all.data, all.size, NULL, NULL);
        echo->size = (int64_t)whole;
        if (whole < all.size) {
            e = env_fs_truncate(fs, echo->file, echo->size, &echo->text);
        }
        e = e == ERR_NONE ? env_fs_sync_data(fs, echo->file, &echo->text) : e;
    }
    bytes_free(&all);
    return e;
}

static void open_run(struct env_job *job, struct env_fs *fs)
{
    struct echo *echo = CONTAINER_OF(job, struct echo, job);
    struct env_file *file = NULL;
    enum err e = env_fs_open(fs, echo->path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, &echo->text);
    if (e == ERR_NONE) {
        echo->file = file;
        e = recover(echo, fs);
    }
    if (e == ERR_NONE) {
        char dir[256];
        snprintf(dir, sizeof dir, "%s", echo->path);
        *strrchr(dir, '/') = '\0';
        e = env_fs_sync_dir(fs, dir, &echo->text);
    }
    echo->error = e;
}

static const struct env_conn_events echo_events;

static void *on_accepted(void *ctx, env_conn conn, const struct env_peer *peer)
{
    (void)conn;
    (void)peer;
    return ctx;
}

static void open_done(struct env_job *job)
{
    struct echo *echo = CONTAINER_OF(job, struct echo, job);
    echo->job_busy = false;
    if (echo->error == ERR_NONE) {
        echo->listener = (struct env_listener){.events = &echo_events,
                                               .max_frame_bytes = MAX_FRAME_BYTES,
                                               .accepted = on_accepted,
                                               .listener_ctx = echo};
        echo->error = env_listen(echo->env, &echo->listener, echo->host, echo->port, &echo->text);
        echo->listening = echo->error == ERR_NONE;
    }
    echo->ready(echo->ctx, echo_failed(echo));
}

struct echo *echo_new(struct env *env, const char *path, const char *host, uint16_t port,
                      void (*ready)(void *ctx, const char *error), void *ctx)
{
    struct echo *echo = mem_zalloc(sizeof *echo);
    echo->env = env;
    echo->path = mem_strdup(path);
    echo->host = mem_strdup(host);
    echo->port = port;
    echo->ready = ready;
    echo->ctx = ctx;
    list_init(&echo->queue);
    list_init(&echo->writing);
    echo->lane = env_lane_open(env, ENV_WORKER_APPEND);
    echo->job = (struct env_job){.run = open_run, .done = open_done};
    echo->job_busy = true;
    env_job_submit(env, echo->lane, &echo->job);
    return echo;
}

/* ---- frames ---- */

static void append_run(struct env_job *job, struct env_fs *fs)
{
    struct echo *echo = CONTAINER_OF(job, struct echo, job);
    struct env_iov iov = {echo->out.data, echo->out.size};
    enum err e = env_fs_write(fs, echo->file, &iov, 1, echo->size, &echo->text);
    echo->job_error = e == ERR_NONE ? env_fs_sync_data(fs, echo->file, &echo->text) : e;
}

static void append_done(struct env_job *job);

static void append(struct echo *echo)
{
    if (echo->job_busy || list_empty(&echo->queue) || echo->error != ERR_NONE) {
        return;
    }
    list_splice(&echo->writing, &echo->queue);
    echo->out.size = 0;
    LIST_FOREACH(node, &echo->writing) {
        const struct waiting *waiting = CONTAINER_OF(node, struct waiting, node);
        uint8_t *head = bytes_extend(&echo->out, HEAD_BYTES);
        put_u32(head, (uint32_t)waiting->frame->size);
        put_u32(head + 4, crc32c(waiting->frame->data, waiting->frame->size));
        bytes_append(&echo->out, waiting->frame->data, waiting->frame->size);
    }
    echo->job = (struct env_job){.run = append_run, .done = append_done};
    echo->job_busy = true;
    env_job_submit(echo->env, echo->lane, &echo->job);
}

static void drop(struct list *list)
{
    struct list *node;
    while ((node = list_pop(list)) != NULL) {
        struct waiting *waiting = CONTAINER_OF(node, struct waiting, node);
        buf_unref(waiting->frame);
        mem_free(waiting);
    }
}

static void append_done(struct env_job *job)
{
    struct echo *echo = CONTAINER_OF(job, struct echo, job);
    echo->job_busy = false;
    echo->error = echo->job_error;
    if (echo->error != ERR_NONE) {
        drop(&echo->writing);
        drop(&echo->queue);
        return;
    }
    echo->size += (int64_t)echo->out.size;
    LIST_FOREACH(node, &echo->writing) {
        const struct waiting *waiting = CONTAINER_OF(node, struct waiting, node);
        struct buf *length = buf_new(4);
        length->size = 4;
        put_u32(length->data, (uint32_t)waiting->frame->size);
        struct env_piece pieces[2] = {{.bytes = slice_of(length, 0, 4)},
                                      {.bytes = slice_of(waiting->frame, 0, waiting->frame->size)}};
        buf_unref(length);
        env_send(echo->env, waiting->conn, pieces, 2);
    }
    drop(&echo->writing);
    append(echo);
}

static void on_frame(void *ctx, env_conn conn, struct buf *frame)
{
    struct echo *echo = ctx;
    if (echo->error != ERR_NONE || frame->size == 0) {
        buf_unref(frame);
        env_close(echo->env, conn, false);
        return;
    }
    struct waiting *waiting = mem_zalloc(sizeof *waiting);
    *waiting = (struct waiting){.conn = conn, .frame = frame};
    list_push(&echo->queue, &waiting->node);
    append(echo);
}

static void on_closed(void *ctx, env_conn conn, enum err reason, const char *why)
{
    (void)ctx;
    (void)conn;
    (void)reason;
    (void)why;
}

static const struct env_conn_events echo_events = {.frame = on_frame, .closed = on_closed};

uint16_t echo_port(const struct echo *echo)
{
    return echo->listener.bound_port;
}

bool echo_idle(const struct echo *echo)
{
    return !echo->job_busy && list_empty(&echo->queue);
}

const char *echo_failed(const struct echo *echo)
{
    return echo->error != ERR_NONE ? echo->text.text : NULL;
}

void echo_free(struct echo *echo)
{
    if (echo->listening) {
        env_unlisten(echo->env, &echo->listener);
    }
    env_lane_close(echo->env, echo->lane);
    env_file_unref(echo->file);
    drop(&echo->queue);
    drop(&echo->writing);
    bytes_free(&echo->out);
    mem_free(echo->path);
    mem_free(echo->host);
    mem_free(echo);
}
