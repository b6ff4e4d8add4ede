/* Streams: bytes leave an end's queue in random portions, travel, and are framed at the other end.
 *
 * Flow control: no more than WINDOW_BYTES are on the wire or received and not used; so a paused
 * receiver lets the sender's queue grow. A packet that cannot arrive is tried again, as TCP does,
 * until the sender has waited long enough. Bytes that reach an end without an owner are answered by
 * a reset; a reset lets what came before it be read. */
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim_link.h"

enum { WINDOW_BYTES = 256 * 1024, SEGMENT_BYTES = 64 * 1024, RETRY_US = 200000 };

struct sim_path *sim_path_at(const struct sim_node *from, const struct sim_node *to)
{
    return &from->sim->paths[from->id * SIM_NODES_MAX + to->id];
}

bool sim_reachable(const struct sim_node *from, const struct sim_node *to)
{
    return from->host_up && to->host_up && !sim_path_at(from, to)->blocked;
}

static void send_fire(struct sim_event *event);
static void arrive_fire(struct sim_event *event);
static void deliver_fire(struct sim_event *event);
static void expire_fire(struct sim_event *event);

void sim_end_init(struct sim_end *end, struct sim_link *link, struct sim_node *node,
                  const struct env_conn_events *events, uint32_t max_frame_bytes)
{
    *end = (struct sim_end){
        .link = link,
        .node = node,
        .events = events,
        .blocked_since_us = -1,
        .send = {.node = node, .fire = send_fire},
        .arrive = {.fire = arrive_fire},
        .deliver = {.node = node, .fire = deliver_fire},
        .expire = {.node = node, .fire = expire_fire},
    };
    framer_init(&end->framer, max_frame_bytes);
    list_init(&end->out);
    list_init(&end->wire);
}

void sim_end_own(struct sim_end *end)
{
    struct sim_node *node = end->node;
    uint32_t i = 0;
    while (i < node->slot_count && node->slots[i].end != NULL) {
        i++;
    }
    if (i == node->slot_count) {
        size_t count = node->slot_count;
        *MEM_PUSH(node->slots, count, node->slot_capacity) = (struct sim_slot){.generation = 1};
        node->slot_count++;
    }
    node->slots[i].end = end;
    end->slot = i;
    end->owned = true;
}

void sim_end_disown(struct sim_end *end)
{
    if (!end->owned) {
        return;
    }
    struct sim_slot *slot = &end->node->slots[end->slot];
    ASSERT(slot->end == end);
    slot->end = NULL;
    slot->generation++;
    end->owned = false;
    sim_unschedule(end->node->sim, &end->deliver);
    sim_unschedule(end->node->sim, &end->expire);
    bytes_free(&end->in);
    end->in_used = 0;
    framer_free(&end->framer);
    framer_init(&end->framer, 1);
}

static void chunk_free(struct sim_chunk *chunk)
{
    list_remove(&chunk->all);
    slice_unref(chunk->piece.bytes);
    env_file_unref(chunk->piece.file);
    mem_free(chunk);
}

void sim_end_drop_output(struct sim_end *end)
{
    LIST_FOREACH(all, &end->out) {
        chunk_free(CONTAINER_OF(all, struct sim_chunk, all));
    }
    end->queued = 0;
    sim_unschedule(end->link->sim, &end->send);
}

static void drop_wire(struct sim_end *end)
{
    struct list *item;
    while ((item = list_pop(&end->wire)) != NULL) {
        mem_free(CONTAINER_OF(item, struct sim_packet, all));
    }
    end->on_wire = 0;
    sim_unschedule(end->link->sim, &end->arrive);
}

void sim_link_settle(struct sim_link *link)
{
    if (list_empty(&link->doubt)) {
        list_push(&link->sim->doubtful, &link->doubt);
    }
}

static bool end_needed(const struct sim_end *end)
{
    return end->owned || !list_empty(&end->wire) || !list_empty(&end->out);
}

void sim_link_free(struct sim_link *link)
{
    struct sim *sim = link->sim;
    for (int i = 0; i < 2 && (i == 0 || link->accepted); i++) {
        struct sim_end *end = &link->ends[i];
        sim_end_drop_output(end);
        drop_wire(end);
        framer_free(&end->framer);
        bytes_free(&end->in);
        sim_unschedule(sim, &end->deliver);
        sim_unschedule(sim, &end->expire);
    }
    sim_unschedule(sim, &link->dial);
    list_remove(&link->doubt);
    list_remove(&link->all);
    mem_free(link);
}

void sim_net_settle(struct sim *sim)
{
    struct list *item;
    while ((item = list_pop(&sim->doubtful)) != NULL) {
        struct sim_link *link = CONTAINER_OF(item, struct sim_link, doubt);
        if (!end_needed(&link->ends[0]) && (!link->accepted || !end_needed(&link->ends[1]))) {
            sim_link_free(link);
        }
    }
}

void sim_end_vanish(struct sim_end *end, bool with_wire)
{
    sim_end_disown(end);
    sim_end_drop_output(end);
    if (with_wire) {
        drop_wire(end);
    }
    end->flushing = false;
    sim_link_settle(end->link);
}

void sim_end_reset(struct sim_end *end)
{
    drop_wire(end);
    sim_end_drop_output(end);
    end->flushing = false;
    end->dead = true;
    end->in.size = 0;
    end->in_used = 0;
    end->ended = true;
    end->ended_why = "connection reset by peer";
    sim_end_deliver(end);
    sim_link_settle(end->link);
}

/* ---- towards the wire ---- */

static void head_of_wire(struct sim_end *end)
{
    if (list_empty(&end->wire)) {
        sim_unschedule(end->link->sim, &end->arrive);
        return;
    }
    const struct sim_packet *head = CONTAINER_OF(end->wire.next, struct sim_packet, all);
    end->arrive.node = sim_other(end)->node;
    end->blocked_since_us = -1;
    sim_schedule(end->link->sim, &end->arrive, head->arrives_us);
}

void sim_end_queue(struct sim_end *end, enum sim_packet_kind kind, const void *data, size_t size)
{
    struct sim *sim = end->link->sim;
    if (end->dead || !end->link->accepted) {
        return;
    }
    const struct sim_path *path = sim_path_at(end->node, sim_other(end)->node);
    int64_t arrives_us = sim->now_us + sim_between(sim, path->delay_min_us, path->delay_max_us);
    if (path->bytes_per_ms > 0) {
        arrives_us += (int64_t)size * 1000 / path->bytes_per_ms;
    }
    if (!list_empty(&end->wire)) {
        const struct sim_packet *last = CONTAINER_OF(end->wire.prev, struct sim_packet, all);
        arrives_us = last->arrives_us > arrives_us ? last->arrives_us : arrives_us;
    }
    struct sim_packet *packet = mem_alloc(sizeof *packet + size);
    *packet = (struct sim_packet){.kind = kind, .arrives_us = arrives_us, .size = size};
    if (size > 0) {
        memcpy(packet->data, data, size);
    }
    bool first = list_empty(&end->wire);
    list_push(&end->wire, &packet->all);
    end->on_wire += size;
    if (kind == PACKET_FIN || kind == PACKET_RESET) {
        end->dead = true;
    }
    if (first) {
        head_of_wire(end);
    }
}

void sim_end_kick(struct sim_end *end)
{
    if (end->connected && !end->dead && !heap_node_linked(&end->send.heap) &&
        (!list_empty(&end->out) || end->flushing)) {
        struct sim *sim = end->link->sim;
        sim_schedule(sim, &end->send, sim->now_us + sim_between(sim, 0, 20));
    }
}

/* Mostly large portions; now and then a few bytes, to cut frames and lengths anywhere. */
static size_t portion(struct sim *sim)
{
    switch (sim_between(sim, 0, 9)) {
    case 0:
        return (size_t)sim_between(sim, 1, 8);
    case 1:
    case 2:
    case 3:
        return (size_t)sim_between(sim, 1, 1460);
    default:
        return (size_t)sim_between(sim, 1460, SEGMENT_BYTES);
    }
}

/* Fills `to` from the queue. False when a file is shorter than its range. */
static bool take_output(struct sim_end *end, uint8_t *to, size_t wanted, size_t *got)
{
    *got = 0;
    while (*got < wanted && !list_empty(&end->out)) {
        struct sim_chunk *chunk = CONTAINER_OF(end->out.next, struct sim_chunk, all);
        const struct env_piece *piece = &chunk->piece;
        size_t total = piece->file != NULL ? piece->size : piece->bytes.size;
        size_t part = total - chunk->sent;
        part = part < wanted - *got ? part : wanted - *got;
        if (piece->file == NULL) {
            memcpy(to + *got, piece->bytes.data + chunk->sent, part);
        } else if (sim_file_peek(piece->file, to + *got, part, piece->at + chunk->sent) < part) {
            return false;
        }
        *got += part;
        chunk->sent += (uint32_t)part;
        end->queued -= part;
        if (chunk->sent == total) {
            chunk_free(chunk);
        }
    }
    return true;
}

static void output_done(struct sim_end *end)
{
    if (end->flushing) {
        end->flushing = false;
        sim_end_queue(end, PACKET_FIN, NULL, 0);
        sim_link_settle(end->link);
    } else if (end->was_high && end->owned) {
        end->was_high = false;
        sim_record(end->link->sim, end->node, "drained", NULL, (int64_t)end->link->number, 0);
        if (end->events->drained != NULL) {
            end->events->drained(end->ctx, sim_handle(end));
        }
    }
}

static void send_fire(struct sim_event *event)
{
    struct sim_end *end = CONTAINER_OF(event, struct sim_end, send);
    struct sim *sim = end->link->sim;
    struct sim_end *other = sim_other(end);
    size_t wanted = portion(sim);
    size_t held = end->on_wire + (other->in.size - other->in_used);
    size_t room = held < WINDOW_BYTES ? WINDOW_BYTES - held : 0;
    wanted = wanted < room ? wanted : room;
    if (wanted == 0 && !list_empty(&end->out)) {
        return; /* until the receiver uses some */
    }
    uint8_t *data = mem_alloc(SEGMENT_BYTES);
    size_t got = 0;
    bool whole = take_output(end, data, wanted, &got);
    if (got > 0) {
        sim_record(sim, end->node, "send", NULL, (int64_t)end->link->number, (int64_t)got);
        sim_record_bytes(sim, data, got);
        sim_end_queue(end, PACKET_DATA, data, got);
    }
    mem_free(data);
    if (!whole) {
        sim_end_drop_output(end);
        sim_end_queue(end, PACKET_RESET, NULL, 0);
        sim_end_close(end, ERR_TRUNCATED, "a file is shorter than the range to be sent");
    } else if (list_empty(&end->out)) {
        output_done(end);
    } else {
        sim_end_kick(end);
    }
}

/* ---- from the wire ---- */

static void packet_in(struct sim_end *from, const struct sim_packet *packet)
{
    struct sim_end *end = sim_other(from);
    struct sim *sim = from->link->sim;
    sim_record(sim, end->node, "packet", NULL, (int64_t)packet->kind, (int64_t)packet->size);
    if (packet->kind == PACKET_RESET || packet->kind == PACKET_FIN) {
        sim_end_drop_output(end); /* nobody reads it any more */
        end->flushing = false;
        end->ended = true;
        end->ended_why =
            packet->kind == PACKET_FIN ? "peer closed the connection" : "connection reset by peer";
    }
    if (!end->owned) {
        if (packet->kind == PACKET_DATA && !end->flushing) {
            end->dead = false; /* a host answers for what it no longer knows */
            sim_end_queue(end, PACKET_RESET, NULL, 0);
        }
        return;
    }
    if (packet->kind == PACKET_DATA) {
        bytes_append(&end->in, packet->data, packet->size);
    }
    if (packet->kind == PACKET_OPEN) {
        end->connected = true;
        sim_end_kick(end);
        if (end->events->connected != NULL) {
            end->events->connected(end->ctx, sim_handle(end));
        }
    } else {
        sim_end_deliver(end);
    }
}

static void give_up(struct sim_end *end)
{
    struct sim *sim = end->link->sim;
    drop_wire(end);
    sim_end_drop_output(end);
    end->dead = true;
    struct sim_end *other = sim_other(end);
    if (other->owned && !other->ended) {
        sim_schedule(sim, &other->expire, sim->now_us + sim->send_timeout_us);
    }
    sim_end_close(end, ERR_TIMEOUT, "the peer does not answer: timed out");
}

static void arrive_fire(struct sim_event *event)
{
    struct sim_end *end = CONTAINER_OF(event, struct sim_end, arrive);
    struct sim_link *link = end->link;
    struct sim *sim = link->sim;
    if (!sim_reachable(end->node, sim_other(end)->node)) {
        if (end->blocked_since_us < 0) {
            end->blocked_since_us = sim->now_us;
        }
        if (sim->now_us - end->blocked_since_us < sim->send_timeout_us) {
            sim_schedule(sim, event, sim->now_us + RETRY_US);
        } else if (end->owned) {
            give_up(end);
        } else {
            drop_wire(end);
            sim_end_drop_output(end);
            sim_link_settle(link);
        }
        return;
    }
    struct list *head = list_pop(&end->wire);
    ASSERT(head != NULL);
    struct sim_packet *packet = CONTAINER_OF(head, struct sim_packet, all);
    end->on_wire -= packet->size;
    head_of_wire(end);
    sim_end_kick(end);
    packet_in(end, packet);
    mem_free(packet);
    sim_link_settle(link);
}

void sim_end_deliver(struct sim_end *end)
{
    if (end->owned && !end->paused && !heap_node_linked(&end->deliver.heap) &&
        (end->ended || end->in_used < end->in.size)) {
        sim_schedule(end->link->sim, &end->deliver, end->link->sim->now_us);
    }
}

/* One frame a turn. */
static void deliver_fire(struct sim_event *event)
{
    struct sim_end *end = CONTAINER_OF(event, struct sim_end, deliver);
    ASSERT(end->owned && !end->paused);
    struct err_text text = {""};
    struct buf *frame = NULL;
    enum err e = ERR_NONE;
    while (e == ERR_NONE && frame == NULL && end->in_used < end->in.size) {
        size_t used = 0;
        e = framer_push(&end->framer, end->in.data + end->in_used, end->in.size - end->in_used,
                        &used, &frame, &text);
        end->in_used += used;
    }
    if (end->in_used == end->in.size) {
        end->in.size = 0;
        end->in_used = 0;
    }
    sim_end_kick(sim_other(end));
    if (e != ERR_NONE) {
        sim_end_drop_output(end);
        sim_end_queue(end, PACKET_RESET, NULL, 0);
        sim_end_close(end, e, text.text);
    } else if (frame != NULL) {
        sim_record(end->link->sim, end->node, "frame", NULL, (int64_t)end->link->number,
                   (int64_t)frame->size);
        sim_end_deliver(end);
        end->events->frame(end->ctx, sim_handle(end), frame);
    } else if (end->ended) {
        sim_end_close(end, ERR_CLOSED, end->ended_why);
    }
}

static void expire_fire(struct sim_event *event)
{
    struct sim_end *end = CONTAINER_OF(event, struct sim_end, expire);
    give_up(end);
}

void sim_end_close(struct sim_end *end, enum err reason, const char *why)
{
    struct sim_link *link = end->link;
    if (!end->owned) {
        sim_link_settle(link);
        return;
    }
    env_conn conn = sim_handle(end);
    sim_record(link->sim, end->node, "closed", why, (int64_t)link->number, (int64_t)reason);
    sim_end_disown(end);
    sim_end_drop_output(end);
    if (end->ended && !end->dead) {
        end->dead = true;
    }
    end->events->closed(end->ctx, conn, reason, why);
    sim_link_settle(link);
}
