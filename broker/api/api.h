/* api: one file per Kafka API. Each decodes nothing itself (the dispatcher did, by the table), asks
 * a room, and answers through request_respond. Handlers see an api_context of room pointers, never
 * the node.
 *
 * A HANDLER either answers before it returns, or parks: it keeps the request, sets `cancel`, and
 * answers in a later turn. The node keeps each connection's answers in the order of its requests.
 * When a connection goes while a request is parked, `cancel` is called: the handler unlinks its
 * waits and must not answer; the node frees the request. */
#ifndef BROKER_API_API_H
#define BROKER_API_API_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/api/fetch_sessions.h"
#include "broker/env/env.h"
#include "broker/group/group.h"
#include "broker/metadata/image.h"
#include "broker/replica/replica.h"
#include "broker/settings/broker_settings.h"
#include "common/base/arena.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"
#include "common/wire/wire.h"

struct request;
struct api_row;

enum api_listener { API_BROKER = 1, API_CONTROLLER = 2 };

/* A call to the active controller, local or forwarded: what controller.h calls a controller_call,
 * without api knowing that room. `done` in a later turn; the response is in `arena`. */
struct api_controller_call {
    int16_t api_key;
    int16_t api_version;
    const void *request;
    void *response;
    struct arena *arena;
    void (*done)(struct api_controller_call *call);
    void *ctx;
    bool here_only; /* for this node's controller, active or not: came by a controller listener */
    /* The client's request this is, which travels as it came (Envelope); NULL: our own wish. */
    struct request *client;
    int16_t refused; /* the code with which the controller refused it as a whole; 0 */
    void *forward;   /* the node's */
};

/* What handlers may ask. Pointers are set once, at start. */
struct api_context {
    struct env *env;
    const struct broker_settings *settings;
    int32_t broker_id;
    const char *cluster_id;  /* set before the first request */
    bool auto_create_topics; /* auto.create.topics.enable */
    int32_t fetch_max_bytes; /* fetch.max.bytes */
    struct fetch_sessions *fetch_sessions;
    bool rack_aware; /* replica.selector.class is RackAwareReplicaSelector */
    /* The committed image; replaced by the node between turns, never held over one. */
    const struct image *image;
    struct replicas *replicas;
    struct groups *groups;
    struct log_dir **dirs;
    int dir_count;
    /* Sends a call to the active controller. The call's memory is the caller's until `done`. */
    void (*controller_submit)(void *ctx, struct api_controller_call *call);
    /* Withdraws: `done` will not come. */
    void (*controller_cancel)(void *ctx, struct api_controller_call *call);
    /* The same for what the quorum itself answers: Vote, BeginQuorumEpoch, EndQuorumEpoch, and
     * Fetch of the metadata log. Records in the response are good until `done` returns. */
    void (*quorum_submit)(void *ctx, struct api_controller_call *call);
    void (*quorum_cancel)(void *ctx, struct api_controller_call *call);
    /* The quorum's leader as this node knows it; -1 none. */
    int32_t (*quorum_leader)(void *ctx);
    /* Fills a DescribeQuorum answer for __cluster_metadata-0. */
    void (*describe_quorum)(void *ctx, int16_t version, struct describe_quorum_response *response,
                            struct arena *arena);
    /* Asks for a topic to be created with the broker's defaults (auto.create.topics.enable,
     * internal topics); asking again for a name under way is harmless. */
    void (*auto_create)(void *ctx, const char *topic);
    /* The next producer id, or -1 while a block is being fetched: then wait_producer_ids fires
     * `ready`. */
    int64_t (*next_producer_id)(void *ctx);
    void (*wait_producer_ids)(void *ctx, struct env_post *ready);
    /* The owner of connections hears that an answer is encoded (`pieces`, none for acks=0) and
     * sends it when its turn comes; or that the connection is to be closed, with one trace line. It
     * frees the request. */
    void (*answered)(void *ctx, struct request *request);
    void (*drop_connection)(void *ctx, struct request *request, const char *why);
    void *ctx;
    struct list orphans; /* work under way for requests that are gone; list_init at the start */
};

/* Frees the orphans. For the owner, after a crash or a stop, when the logs are gone. */
void api_forget(struct api_context *api);

struct request {
    struct api_context *api;
    const struct api_row *row;
    struct wire_request_header header;
    enum api_listener listener;
    const char *listener_name; /* "PLAINTEXT": the image's endpoints carry it */
    struct env_peer peer;
    void *body;         /* struct NAME_request */
    struct buf *frame;  /* what body's strings and bytes point into */
    struct arena arena; /* body, response and handler state live here */
    void *state;        /* the handler's */
    void (*cancel)(struct request *request);
    int64_t arrived_ms;
    void *conn;               /* the node's */
    struct list node;         /* the node's: place in the connection's order */
    struct env_piece *pieces; /* the node's: the encoded answer */
    int piece_count;
    int16_t encode_version;   /* of the answer; differs from the header's for ApiVersions only */
    bool unsupported_version; /* ApiVersions in a version we do not know (KIP-511) */
    bool answered;
};

/* Encodes struct NAME_response at the request's version and queues it. A records field's splice is
 * a struct api_range. The request is gone afterwards. */
void request_respond(struct request *request, const void *response);
/* For acks=0: no frame goes back. The request is gone afterwards. */
void request_finish(struct request *request);
/* Closes the connection with one trace line. The request is gone afterwards. */
void request_close_connection(struct request *request, const char *why);

/* For the owner: drops what the request holds. */
void request_free(struct request *request);

/* A range of a segment on its way into a Fetch answer; request_respond takes over the file
 * reference. */
struct api_range {
    struct env_file *file;
    int64_t at;
    uint32_t size;
};

struct api_row {
    int16_t key;
    int listeners; /* api_listener bits */
    void (*handle)(struct request *request);
};

/* In key order. Only what works is here: this table is what ApiVersions advertises. */
const struct api_row *api_table(int *count);
const struct api_row *api_row_of(int16_t key);

/* ---- shared by handlers ------------------------------------------------------------------------
 */

/* Kafka's rule for topic names: 1..249 of [a-zA-Z0-9._-], not "." or "..". */
bool api_topic_name_valid(struct wire_str name);
/* Topic of the image by wire name or, when the name is null or empty, by id. NULL when unknown. */
const struct image_topic *api_topic(const struct image *image, struct wire_str name,
                                    const struct uuid *id);

#endif
