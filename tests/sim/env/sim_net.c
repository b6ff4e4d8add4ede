/* The network as a core sees it: listening, dialling, handles; and the knobs of a test. */
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim_link.h"

enum { DIAL_RETRY_US = 500000, FIRST_FREE_PORT = 32768 };

static void dial_fire(struct sim_event *event);

void sim_net_init(struct sim_node *node)
{
    list_init(&node->listeners);
    node->next_port = FIRST_FREE_PORT;
}

/* ---- addresses ---- */

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0;
}

static bool is_any(const char *host)
{
    return host[0] == '\0' || strcmp(host, "0.0.0.0") == 0;
}

static bool names_node(const struct sim_node *node, const char *host)
{
    return strcmp(host, node->host) == 0 || strcmp(host, node->name) == 0;
}

static struct sim_node *resolve(struct sim_node *from, const char *host)
{
    if (is_loopback(host)) {
        return from;
    }
    for (int i = 0; i < from->sim->node_count; i++) {
        if (names_node(from->sim->nodes[i], host)) {
            return from->sim->nodes[i];
        }
    }
    return NULL;
}

/* Who listens where `host`:`port` leads on `node`. */
static struct sim_listening *listening_at(struct sim_node *node, const char *host, uint16_t port)
{
    LIST_FOREACH(all, &node->listeners) {
        struct sim_listening *l = CONTAINER_OF(all, struct sim_listening, all);
        if (l->port == port && (is_any(l->host) || is_loopback(l->host) == is_loopback(host))) {
            return l;
        }
    }
    return NULL;
}

static bool port_taken(struct sim_node *node, uint16_t port)
{
    LIST_FOREACH(all, &node->listeners) {
        if (CONTAINER_OF(all, struct sim_listening, all)->port == port) {
            return true;
        }
    }
    return false;
}

static uint16_t free_port(struct sim_node *node)
{
    do {
        node->next_port =
            node->next_port == UINT16_MAX ? FIRST_FREE_PORT : (uint16_t)(node->next_port + 1);
    } while (port_taken(node, node->next_port));
    return node->next_port;
}

/* ---- listening ---- */

enum err sim_listen(struct env *env, struct env_listener *listener, const char *host, uint16_t port,
                    struct err_text *text)
{
    struct sim_node *node = sim_node_of(env);
    listener->impl = NULL;
    if (!node->up) {
        err_set(text, "listen on %s:%u: the node crashed", host, port);
        return ERR_CANCELLED;
    }
    if (!is_any(host) && !is_loopback(host) && !names_node(node, host)) {
        err_set(text, "listen on %s:%u: not an address of this machine", host, port);
        return ERR_UNREACHABLE;
    }
    if (port != 0 && port_taken(node, port)) {
        err_set(text, "listen on %s:%u: the port is in use", host, port);
        return ERR_IN_USE;
    }
    struct sim_listening *l = mem_zalloc(sizeof *l);
    l->listener = listener;
    l->port = port != 0 ? port : free_port(node);
    snprintf(l->host, sizeof l->host, "%s", host);
    list_push(&node->listeners, &l->all);
    listener->bound_port = l->port;
    listener->impl = l;
    sim_record(node->sim, node, "listen", host, l->port, 0);
    return ERR_NONE;
}

void sim_unlisten(struct env *env, struct env_listener *listener)
{
    if (!sim_node_of(env)->up) {
        return; /* the crash took it */
    }
    struct sim_listening *l = listener->impl;
    ASSERT(l != NULL && l->listener == listener);
    listener->impl = NULL;
    list_remove(&l->all);
    mem_free(l);
}

/* ---- dialling ---- */

env_conn sim_dial(struct env *env, const char *host, uint16_t port, uint32_t max_frame_bytes,
                  const struct env_conn_events *events, void *ctx)
{
    struct sim_node *node = sim_node_of(env);
    struct sim *sim = node->sim;
    if (!node->up) {
        return (env_conn){0, 0};
    }
    struct sim_link *link = mem_zalloc(sizeof *link);
    link->sim = sim;
    link->number = ++sim->link_count;
    link->target = resolve(node, host);
    link->port = port;
    link->from_port = free_port(node);
    snprintf(link->host, sizeof link->host, "%s", host);
    list_push(&sim->links, &link->all);
    list_init(&link->doubt);
    struct sim_end *end = &link->ends[0];
    sim_end_init(end, link, node, events, max_frame_bytes);
    end->ctx = ctx;
    sim_end_own(end);
    link->dial_until_us = sim->now_us + sim->dial_timeout_us;
    link->dial = (struct sim_event){.node = link->target, .fire = dial_fire};
    int64_t delay_us = 1;
    if (link->target != NULL) {
        const struct sim_path *path = sim_path_at(node, link->target);
        delay_us = sim_between(sim, path->delay_min_us, path->delay_max_us);
    }
    sim_record(sim, node, "dial", host, port, (int64_t)link->number);
    sim_schedule(sim, &link->dial, sim->now_us + delay_us);
    return sim_handle(end);
}

static void refuse_fire(struct sim_event *event)
{
    struct sim_link *link = CONTAINER_OF(event, struct sim_link, dial);
    struct err_text text;
    err_set(&text, "connect to %s:%u: connection refused", link->host, link->port);
    sim_end_close(&link->ends[0], ERR_REFUSED, text.text);
}

static void unreachable_fire(struct sim_event *event)
{
    struct sim_link *link = CONTAINER_OF(event, struct sim_link, dial);
    struct err_text text;
    if (link->target == NULL) {
        err_set(&text, "connect to %s:%u: no such host", link->host, link->port);
        sim_end_close(&link->ends[0], ERR_UNREACHABLE, text.text);
    } else {
        err_set(&text, "connect to %s:%u: timed out", link->host, link->port);
        sim_end_close(&link->ends[0], ERR_TIMEOUT, text.text);
    }
}

static void back_to_dialler(struct sim_link *link, void (*fire)(struct sim_event *event),
                            int64_t delay_us)
{
    link->dial.node = link->ends[0].node;
    link->dial.fire = fire;
    sim_schedule(link->sim, &link->dial, link->sim->now_us + delay_us);
}

/* The other side, when the dial has reached it: in a turn of its node. */
static void accept(struct sim_link *link, struct sim_listening *listening)
{
    struct env_listener *listener = listening->listener;
    struct sim_node *node = link->target;
    struct sim_end *end = &link->ends[1];
    sim_end_init(end, link, node, listener->events, listener->max_frame_bytes);
    link->accepted = true;
    end->connected = true;
    sim_end_own(end);
    struct env_peer peer = {.port = link->from_port};
    snprintf(peer.host, sizeof peer.host, "%s",
             is_loopback(link->host) ? "127.0.0.1" : link->ends[0].node->host);
    sim_record(link->sim, node, "accept", peer.host, peer.port, (int64_t)link->number);
    sim_end_queue(end, PACKET_OPEN, NULL, 0);
    env_conn conn = sim_handle(end);
    void *ctx = listener->accepted(listener->listener_ctx, conn, &peer);
    end->ctx = ctx;
}

static void dial_fire(struct sim_event *event)
{
    struct sim_link *link = CONTAINER_OF(event, struct sim_link, dial);
    struct sim *sim = link->sim;
    struct sim_node *from = link->ends[0].node;
    if (link->target == NULL || sim->now_us >= link->dial_until_us) {
        back_to_dialler(link, unreachable_fire, 0);
        return;
    }
    if (!sim_reachable(from, link->target) || !sim_reachable(link->target, from)) {
        int64_t again_us = sim->now_us + DIAL_RETRY_US;
        sim_schedule(sim, event, again_us < link->dial_until_us ? again_us : link->dial_until_us);
        return;
    }
    struct sim_listening *listening =
        link->target->up ? listening_at(link->target, link->host, link->port) : NULL;
    if (listening != NULL) {
        accept(link, listening);
        return;
    }
    const struct sim_path *path = sim_path_at(link->target, from);
    back_to_dialler(link, refuse_fire, sim_between(sim, path->delay_min_us, path->delay_max_us));
}

/* ---- handles ---- */

static struct sim_end *end_of(const struct env *env, env_conn conn)
{
    const struct sim_node *node = sim_node_of(env);
    if (conn.index >= node->slot_count) {
        return NULL;
    }
    const struct sim_slot *slot = &node->slots[conn.index];
    return slot->generation == conn.generation ? slot->end : NULL;
}

void sim_send(struct env *env, env_conn conn, const struct env_piece *pieces, int count)
{
    struct sim_end *end = end_of(env, conn);
    for (int i = 0; i < count; i++) {
        size_t size = pieces[i].file != NULL ? pieces[i].size : pieces[i].bytes.size;
        if (end == NULL || end->ended || size == 0) {
            slice_unref(pieces[i].file != NULL ? (struct slice){0} : pieces[i].bytes);
            env_file_unref(pieces[i].file);
            continue;
        }
        struct sim_chunk *chunk = mem_zalloc(sizeof *chunk);
        chunk->piece = pieces[i];
        if (chunk->piece.file != NULL) {
            chunk->piece.bytes = (struct slice){0};
        } else if (chunk->piece.bytes.owner == NULL) { /* borrowed: only good for this call */
            struct buf *copy = buf_copy(pieces[i].bytes.data, size);
            chunk->piece.bytes = slice_of(copy, 0, size);
            buf_unref(copy);
        }
        list_push(&end->out, &chunk->all);
        end->queued += size;
    }
    if (end != NULL) {
        end->was_high = end->was_high || end->queued > ENV_QUEUE_HIGH;
        sim_end_kick(end);
    }
}

size_t sim_conn_queued(const struct env *env, env_conn conn)
{
    const struct sim_end *end = end_of(env, conn);
    return end != NULL ? end->queued : 0;
}

void sim_conn_pause(struct env *env, env_conn conn, bool paused)
{
    struct sim_end *end = end_of(env, conn);
    if (end == NULL) {
        return;
    }
    end->paused = paused;
    if (paused) {
        sim_unschedule(end->link->sim, &end->deliver);
    } else {
        sim_end_deliver(end);
    }
}

void sim_close(struct env *env, env_conn conn, bool flush_first)
{
    struct sim_end *end = end_of(env, conn);
    if (end == NULL) {
        return;
    }
    struct sim_link *link = end->link;
    sim_record(link->sim, end->node, "close", NULL, (int64_t)link->number, flush_first);
    sim_end_disown(end);
    if (flush_first && end->connected && !end->ended && !list_empty(&end->out)) {
        end->flushing = true;
        sim_end_kick(end);
    } else {
        sim_end_drop_output(end);
        sim_end_queue(end, PACKET_FIN, NULL, 0);
        if (!link->accepted) {
            sim_unschedule(link->sim, &link->dial);
        }
    }
    sim_link_settle(link);
}

/* ---- crash and end ---- */

void sim_net_crash(struct sim_node *node, bool silent)
{
    struct sim *sim = node->sim;
    LIST_FOREACH(all, &sim->links) {
        struct sim_link *link = CONTAINER_OF(all, struct sim_link, all);
        for (int i = 0; i < 2 && (i == 0 || link->accepted); i++) {
            struct sim_end *end = &link->ends[i];
            if (end->node != node) {
                continue;
            }
            /* What an earlier life had on the wire, its reset perhaps, goes with the machine. */
            bool awaited = end->owned || !list_empty(&end->wire);
            sim_end_vanish(end, silent);
            struct sim_end *other = sim_other(end);
            if (!silent) {
                sim_end_queue(end, PACKET_RESET, NULL, 0);
            } else if (awaited && link->accepted && other->owned) {
                end->dead = true;
                if (!heap_node_linked(&other->expire.heap)) {
                    sim_schedule(sim, &other->expire, sim->now_us + sim->send_timeout_us);
                }
            }
        }
        if (!link->accepted && link->ends[0].node == node) {
            sim_unschedule(sim, &link->dial);
        }
    }
    LIST_FOREACH(all, &node->listeners) {
        mem_free(CONTAINER_OF(all, struct sim_listening, all));
    }
    list_init(&node->listeners);
    sim_net_settle(sim);
}

void sim_net_fini(struct sim_node *node)
{
    ASSERT(list_empty(&node->listeners));
    for (uint32_t i = 0; i < node->slot_count; i++) {
        ASSERT(node->slots[i].end == NULL);
    }
    mem_free(node->slots);
    node->slots = NULL;
    node->slot_count = 0;
    node->slot_capacity = 0;
}

void sim_net_free_links(struct sim *sim)
{
    LIST_FOREACH(all, &sim->links) {
        sim_link_free(CONTAINER_OF(all, struct sim_link, all));
    }
}

/* ---- knobs ---- */

struct sim_path sim_path_of(const struct sim_node *from, const struct sim_node *to)
{
    return *sim_path_at(from, to);
}

void sim_path_set(struct sim_node *from, struct sim_node *to, struct sim_path path)
{
    ASSERT(path.delay_min_us >= 0 && path.delay_max_us >= path.delay_min_us);
    *sim_path_at(from, to) = path;
}

void sim_block(struct sim_node *from, struct sim_node *to, bool blocked)
{
    sim_record(from->sim, from, "block", to->name, blocked, 0);
    sim_path_at(from, to)->blocked = blocked;
}

void sim_partition(struct sim_node *a, struct sim_node *b, bool apart)
{
    sim_block(a, b, apart);
    sim_block(b, a, apart);
}

void sim_isolate(struct sim_node *node, bool apart)
{
    for (int i = 0; i < node->sim->node_count; i++) {
        if (node->sim->nodes[i] != node) {
            sim_partition(node, node->sim->nodes[i], apart);
        }
    }
}

void sim_reset(struct sim_node *a, struct sim_node *b)
{
    sim_record(a->sim, a, "reset", b->name, 0, 0);
    LIST_FOREACH(all, &a->sim->links) {
        struct sim_link *link = CONTAINER_OF(all, struct sim_link, all);
        struct sim_node *x = link->ends[0].node;
        struct sim_node *y = link->target;
        if (!link->accepted || !((x == a && y == b) || (x == b && y == a))) {
            continue;
        }
        for (int i = 0; i < 2; i++) {
            sim_end_reset(&link->ends[i]);
        }
    }
}

void sim_net_timeouts(struct sim *sim, int64_t send_ms, int64_t dial_ms)
{
    sim->send_timeout_us = send_ms * 1000;
    sim->dial_timeout_us = dial_ms * 1000;
}

int sim_net_conns(const struct sim_node *node)
{
    int count = 0;
    for (uint32_t i = 0; i < node->slot_count; i++) {
        count += node->slots[i].end != NULL;
    }
    return count;
}
