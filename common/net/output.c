/* Output: a ring of pieces, sent in order. Runs of byte pieces go by one sendmsg, file ranges by
 * sendfile.
 *
 * Whether the socket takes more is learnt by trying: only when it refuses is it polled for, so that
 * the common answer costs one call and no change of the poll set. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/net/impl.h"

enum { IOVS = 64, KEEP_RING = 64 };

static bool is_file(const struct net_piece *p)
{
    return p->release != NULL;
}

static size_t piece_left(const struct net_piece *p)
{
    return is_file(p) ? p->size : p->bytes.size;
}

static void piece_free(struct net_piece *p)
{
    if (is_file(p)) {
        p->release(p->owner);
    } else {
        slice_unref(p->bytes);
    }
}

static struct net_piece *piece_at(const struct net_conn *c, uint32_t i)
{
    ASSERT(i < c->out_count);
    return &c->out[(c->out_first + i) & (c->out_capacity - 1)];
}

static void drop_first(struct net_conn *c)
{
    piece_free(piece_at(c, 0));
    c->out_first = (c->out_first + 1) & (c->out_capacity - 1);
    c->out_count--;
}

static void append(struct net_conn *c, const struct net_piece *p)
{
    if (c->out_count == c->out_capacity) {
        ASSERT(c->out_capacity < UINT32_MAX / 2);
        uint32_t capacity = c->out_capacity ? c->out_capacity * 2 : 8;
        struct net_piece *grown = mem_array(capacity, sizeof *grown);
        for (uint32_t i = 0; i < c->out_count; i++) {
            grown[i] = *piece_at(c, i);
        }
        mem_free(c->out);
        c->out = grown;
        c->out_first = 0;
        c->out_capacity = capacity;
    }
    c->out_count++;
    *piece_at(c, c->out_count - 1) = *p;
    c->queued += piece_left(p);
}

void net_send(struct net_conn *c, const struct net_piece *pieces, int count)
{
    ASSERT(c->state != NET_DEAD && !c->orphan && count >= 0);
    for (int i = 0; i < count; i++) {
        struct net_piece p = pieces[i];
        ASSERT(!is_file(&p) || (p.fd >= 0 && p.at >= 0));
        if (piece_left(&p) == 0) {
            piece_free(&p);
        } else {
            append(c, &p);
        }
    }
    c->was_high = c->was_high || c->queued > NET_QUEUE_HIGH;
    if (c->state == NET_OPEN && c->out_count > 0 && !c->blocked) {
        net_ready(c);
    }
}

size_t net_conn_queued(const struct net_conn *c)
{
    return c->queued;
}

void net_output_drop(struct net_conn *c)
{
    while (c->out_count > 0) {
        drop_first(c);
    }
    c->queued = 0;
    mem_free(c->out);
    c->out = NULL;
    c->out_capacity = 0;
}

/* The run of byte pieces at the front. */
static ssize_t send_bytes(struct net_conn *c, size_t budget)
{
    struct iovec iov[IOVS];
    struct msghdr msg = {.msg_iov = iov};
    size_t total = 0;
    uint32_t i = 0;
    for (; i < c->out_count && i < IOVS && total < budget && !is_file(piece_at(c, i)); i++) {
        const struct net_piece *p = piece_at(c, i);
        iov[i] =
            (struct iovec){.iov_base = (void *)(uintptr_t)p->bytes.data, .iov_len = p->bytes.size};
        total += p->bytes.size;
    }
    msg.msg_iovlen = i;
    /* More follows at once: let it share the segment. */
    int more = i < c->out_count && total < budget ? MSG_MORE : 0;
    return sendmsg(c->socket->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT | more);
}

static ssize_t send_range(struct net_conn *c, size_t budget)
{
    const struct net_piece *p = piece_at(c, 0);
    off_t at = p->at;
    return sendfile(c->socket->fd, p->fd, &at, p->size < budget ? p->size : budget);
}

static void sent(struct net_conn *c, size_t size)
{
    ASSERT(size <= c->queued);
    c->queued -= size;
    while (size > 0) {
        struct net_piece *p = piece_at(c, 0);
        size_t left = piece_left(p);
        if (size >= left) {
            size -= left;
            drop_first(c);
        } else if (is_file(p)) {
            p->at += (int64_t)size;
            p->size -= (uint32_t)size;
            size = 0;
        } else {
            p->bytes.data += size;
            p->bytes.size -= size;
            size = 0;
        }
    }
}

static void output_failed(struct net_conn *c, bool range, int errnum)
{
    char why[160];
    bool file_fault = range && errnum != EPIPE && errnum != ECONNRESET && errnum != ETIMEDOUT;
    snprintf(why, sizeof why, file_fault ? "send from file: %s" : "connection lost: %s",
             strerror(errnum));
    net_conn_fail(c, err_from_errno(errnum), why);
}

static void short_file(struct net_conn *c)
{
    const struct net_piece *p = piece_at(c, 0);
    char why[160];
    snprintf(why, sizeof why,
             "file to send from ends at or before %lld, %lu bytes short of the range",
             (long long)p->at, (unsigned long)p->size);
    net_conn_fail(c, ERR_TRUNCATED, why);
}

static void after_flush(struct net_conn *c)
{
    if (c->queued > 0) {
        return;
    }
    ASSERT(c->out_count == 0);
    if (c->out_capacity > KEEP_RING) {
        net_output_drop(c);
    }
    if (c->was_high) {
        c->was_high = false;
        if (!c->orphan && c->events->drained != NULL) {
            c->events->drained(c->ctx, c);
        }
    }
}

void net_output_flush(struct net_conn *c)
{
    ASSERT(c->state == NET_OPEN && c->socket != NULL);
    size_t budget = NET_ROUND_OUT_BYTES;
    size_t before = c->queued;
    while (c->out_count > 0 && budget > 0) {
        bool range = is_file(piece_at(c, 0));
        ssize_t n = range ? send_range(c, budget) : send_bytes(c, budget);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0) {
            output_failed(c, range, errno);
            return;
        }
        if (n == 0) {
            short_file(c);
            return;
        }
        sent(c, (size_t)n);
        budget -= (size_t)n < budget ? (size_t)n : budget;
    }
    c->blocked = c->out_count > 0;
    if (c->orphan && c->queued < before && !c->net->draining) {
        net_deadline_set(c->net, &c->deadline, NET_FLUSH_MS);
    }
    after_flush(c);
}
