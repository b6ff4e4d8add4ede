/* A request's body is the quorum's for the length of the call only, while a link keeps it until it
 * is connected: it is held encoded and decoded again when it leaves. A newer request to the same
 * voter takes the place of an older one, whose answer nobody waits for any more. */
#include "broker/node/peers.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/node/link.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

struct peer {
    struct node_peers *peers;
    int32_t id;
    struct node_link *link;
    /* The request under way. */
    uint64_t token; /* 0 none */
    struct wire_out encoded;
    struct arena arena;
    void *body;
};

struct node_peers {
    struct env *env;
    struct quorum *quorum;
    int32_t count;
    struct peer peers[QUORUM_VOTERS_MAX];
};

static void clear(struct peer *peer)
{
    peer->token = 0;
    wire_out_free(&peer->encoded);
    arena_free(&peer->arena);
    mem_free(peer->body);
    peer->body = NULL;
}

static void answered(void *ctx, const struct client_answer *answer)
{
    struct peer *peer = ctx;
    ASSERT(peer->token != 0);
    uint64_t token = peer->token;
    clear(peer);
    if (peer->peers->quorum != NULL) {
        quorum_answered(peer->peers->quorum, token, answer->error, answer->response);
    }
}

/* Makes `peer->body` a copy of what is sent. False when it cannot be encoded. */
static bool keep(struct peer *peer, const struct quorum_send *send)
{
    const struct wire_message *message = wire_api_of(send->api_key)->request;
    if (wire_encode(message, send->max_version, send->body, &peer->encoded) != ERR_NONE) {
        return false;
    }
    peer->body = mem_zalloc(wire_message_size(message));
    struct wire_in in = wire_in_of(peer->encoded.bytes.data, peer->encoded.bytes.size);
    return wire_decode(message, send->max_version, &in, peer->body, &peer->arena) == ERR_NONE;
}

static void send_to(void *ctx, const struct quorum_send *send)
{
    struct node_peers *peers = ctx;
    struct peer *peer = NULL;
    for (int32_t i = 0; i < peers->count && peer == NULL; i++) {
        peer = peers->peers[i].id == send->to ? &peers->peers[i] : NULL;
    }
    ASSERT(peer != NULL && send->token != 0);
    if (peer->token != 0) {
        node_link_cancel(peer->link, peer);
        clear(peer);
    }
    bool kept = keep(peer, send);
    ASSERT(kept);
    peer->token = send->token;
    struct client_request request =
        client_request_of(send->api_key, peer->body, send->timeout_ms, answered, peer);
    request.min_version = send->min_version;
    request.max_version = send->max_version;
    node_link_send(peer->link, &request);
}

struct node_peers *node_peers_new(struct env *env, const struct quorum_voter *voters,
                                  int32_t voter_count)
{
    ASSERT(voter_count >= 0 && voter_count <= QUORUM_VOTERS_MAX);
    struct node_peers *peers = mem_zalloc(sizeof *peers);
    peers->env = env;
    peers->count = voter_count;
    for (int32_t i = 0; i < voter_count; i++) {
        struct peer *peer = &peers->peers[i];
        char name[320];
        snprintf(name, sizeof name, "voter %" PRId32 " at %s:%u", voters[i].id, voters[i].host,
                 (unsigned)voters[i].port);
        peer->peers = peers;
        peer->id = voters[i].id;
        peer->link = node_link_new(env, name, voters[i].host, voters[i].port, NULL, NULL);
    }
    return peers;
}

struct quorum_peers node_peers_sender(struct node_peers *peers)
{
    return (struct quorum_peers){.send = send_to, .ctx = peers};
}

void node_peers_attach(struct node_peers *peers, struct quorum *quorum)
{
    peers->quorum = quorum;
}

void node_peers_free(struct node_peers *peers)
{
    if (peers == NULL) {
        return;
    }
    for (int32_t i = 0; i < peers->count; i++) {
        node_link_free(peers->peers[i].link);
        clear(&peers->peers[i]);
    }
    mem_free(peers);
}
