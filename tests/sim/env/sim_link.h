/* A simulated connection: two ends, and what is on its way between them. */
#ifndef TESTS_SIM_ENV_SIM_LINK_H
#define TESTS_SIM_ENV_SIM_LINK_H

#include "tests/sim/env/sim_internal.h"

/* Output an end's owner has queued. */
struct sim_chunk {
    struct list all;
    struct env_piece piece; /* its reference is ours */
    uint32_t sent;
};

enum sim_packet_kind { PACKET_OPEN, PACKET_DATA, PACKET_FIN, PACKET_RESET };

struct sim_packet {
    struct list all;
    enum sim_packet_kind kind;
    int64_t arrives_us;
    size_t size;
    uint8_t data[];
};

/* An end lives with its link. It is owned while a core knows it by a handle; an end without owner
 * only sends off what was flushed. */
struct sim_end {
    struct sim_link *link;
    struct sim_node *node;
    bool owned;
    bool flushing;  /* no owner any more; FIN follows what is queued */
    bool connected; /* may send */
    bool dead;      /* nothing more leaves */
    bool paused;
    bool was_high;
    bool ended; /* FIN or reset has come in; told once `in` is used up */
    const char *ended_why;
    uint32_t slot;
    const struct env_conn_events *events;
    void *ctx;
    struct framer framer;
    struct list out; /* of sim_chunk */
    size_t queued;
    struct list wire; /* of sim_packet, in order of arrival at the other end */
    size_t on_wire;
    int64_t blocked_since_us; /* -1: the head of `wire` is not held up */
    struct bytes in;
    size_t in_used;
    struct sim_event send;    /* moves bytes from `out` to `wire` */
    struct sim_event arrive;  /* the head of `wire` reaches the other end */
    struct sim_event deliver; /* a frame, or the end, of `in` to the owner */
    struct sim_event expire;  /* the peer has been silent for too long */
};

struct sim_link {
    struct list all;   /* sim->links */
    struct list doubt; /* sim->doubtful: perhaps nobody knows it any more */
    struct sim *sim;
    struct sim_end ends[2]; /* 0 dialled */
    uint64_t number;
    bool accepted; /* ends[1] is in use */
    /* The dial. */
    struct sim_event dial;
    int64_t dial_until_us;
    struct sim_node *target; /* NULL: no such host */
    char host[64];
    uint16_t port;
    uint16_t from_port;
};

struct sim_listening {
    struct list all; /* node->listeners */
    struct env_listener *listener;
    char host[64];
    uint16_t port;
};

static inline struct sim_end *sim_other(struct sim_end *end)
{
    return end == &end->link->ends[0] ? &end->link->ends[1] : &end->link->ends[0];
}

static inline env_conn sim_handle(const struct sim_end *end)
{
    return (env_conn){.index = end->slot, .generation = end->node->slots[end->slot].generation};
}

void sim_end_init(struct sim_end *end, struct sim_link *link, struct sim_node *node,
                  const struct env_conn_events *events, uint32_t max_frame_bytes);
/* Gives the end a handle. */
void sim_end_own(struct sim_end *end);
/* Takes the handle away and drops input. */
void sim_end_disown(struct sim_end *end);
void sim_end_drop_output(struct sim_end *end);
void sim_end_queue(struct sim_end *end, enum sim_packet_kind kind, const void *data, size_t size);
/* Something may be sent, or delivered. */
void sim_end_kick(struct sim_end *end);
void sim_end_deliver(struct sim_end *end);
/* Tells the owner that it is over; a turn of its node. */
void sim_end_close(struct sim_end *end, enum err reason, const char *why);
/* After this event the link is freed if nobody knows it and nothing is on its way. */
void sim_link_settle(struct sim_link *link);
void sim_link_free(struct sim_link *link);
/* The end's core is gone: no call, no output; with_wire: nor what was on its way. */
void sim_end_vanish(struct sim_end *end, bool with_wire);
/* Nothing on its way, in or out; the owner is told. */
void sim_end_reset(struct sim_end *end);
struct sim_path *sim_path_at(const struct sim_node *from, const struct sim_node *to);
/* A packet sent now would arrive. */
bool sim_reachable(const struct sim_node *from, const struct sim_node *to);

#endif
