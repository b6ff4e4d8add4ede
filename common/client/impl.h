/* impl: what the files of client share. */
#ifndef COMMON_CLIENT_IMPL_H
#define COMMON_CLIENT_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/hash.h"
#include "common/base/err.h"
#include "common/base/heap.h"
#include "common/base/list.h"
#include "common/client/cluster.h"
#include "common/client/conn.h"
#include "common/wire/messages.h"

/* Sets "PEER: WHY", or WHY alone where it names the peer already. */
void client_err_of_peer(struct err_text *text, const char *peer, const char *why);

/* While one dial for any broker is not answered, the next address is tried this much later. */
enum { CLUSTER_STAGGER_MS = 1000 };

enum link_state { LINK_IDLE, LINK_DIALLING, LINK_SHAKING, LINK_READY };

/* One address, and the connection to it while there is one. */
struct cluster_link {
    struct list node;
    struct cluster *cluster;
    char *host;
    uint16_t port;
    char *name;     /* "host:port" */
    bool bootstrap; /* given by the owner */
    bool known;     /* of a broker in the table */
    bool tried;     /* in vain, since any broker last answered */
    bool suspect;   /* it failed: where its broker is should be asked again */
    enum link_state state;
    void *handle;             /* the transport's, unless idle */
    struct client_conn *conn; /* unless idle */
    int64_t deadline_ms;      /* to be ready */
    int64_t backoff_ms;
    int64_t retry_ms;    /* not dialled before */
    struct err_text why; /* of the last failure, "" none */
};

/* One cluster_send, or a lookup of our own. In `waiting` until its broker's connection is ready,
 * then in `sent`; or in `failed` until `done` is told. */
struct ask {
    struct list node;
    struct heap_node due; /* while waiting */
    struct cluster *cluster;
    struct client_request request;
    enum cluster_target_kind kind;
    int32_t broker_id;
    struct coordinator *coordinator;
    int64_t deadline_ms;
    uint64_t lookups_seen;     /* cluster.lookups when it came */
    bool needs_metadata;       /* waits for the broker table */
    struct cluster_link *link; /* whose connection it waits for */
    enum err error;
    int16_t kafka_error;
    char *why;
};

/* What is known of a group's coordinator. Lives as long as the cluster. */
struct coordinator {
    UT_hash_handle hh;
    struct cluster *cluster;
    char *group;
    int32_t broker_id; /* -1 unknown */
    bool asking;
    struct wire_str key;
    struct find_coordinator_request request;
};

struct cluster {
    const struct cluster_transport *transport;
    void *transport_ctx;
    struct cluster_options options;
    char *client_id;
    int64_t now_ms; /* of the last call that told */

    struct list links;
    bool wants_any;
    bool unreachable;
    int64_t any_dialled_ms;

    /* The broker table: nodes[i] is at node_links[i]. Sorted by id. */
    struct cluster_node *nodes;
    struct cluster_link **node_links;
    size_t node_count;
    char *id;
    int32_t controller_id;

    bool wants_metadata;
    bool metadata_asking;
    uint64_t lookups; /* Metadata of our own that was answered */
    struct metadata_request metadata_request;
    struct coordinator *coordinators;

    struct list waiting;
    struct list sent;
    struct list failed;
    struct heap due; /* of waiting */
    bool dirty;      /* waiting has something not looked at yet */
};

/* ---- bootstrap.c --------------------------------------------------------------------------- */

/* Calls link_get for every server and marks it. */
enum err bootstrap_parse(struct cluster *c, const char *bootstrap, struct err_text *text);

/* ---- cluster.c ----------------------------------------------------------------------------- */

/* Of our own: at any broker, `request` is copied. */
void ask_new(struct cluster *c, struct cluster_target target, const struct client_request *request,
             int64_t now_ms);
/* Moves a waiting ask to `failed`. */
void ask_fail(struct ask *ask, enum err error, int16_t kafka_error, const char *why);

/* ---- links.c ------------------------------------------------------------------------------- */

/* The link of that address, made when there is none. */
struct cluster_link *link_get(struct cluster *c, const char *host, uint16_t port);
void link_free(struct cluster_link *link);
/* Dials if idle and not pausing. */
void link_want(struct cluster_link *link, int64_t now_ms);
struct cluster_link *link_any_ready(struct cluster *c);
/* Dials the next address as long as wants_any holds. */
void links_dial_any(struct cluster *c, int64_t now_ms);
void links_tick(struct cluster *c, int64_t now_ms);
int64_t links_next_deadline(const struct cluster *c);
/* Each address with what is wrong with it. */
void links_explain(const struct cluster *c, struct err_text *text);

/* ---- lookup.c ------------------------------------------------------------------------------ */

/* Index in the table or -1. */
int lookup_broker(const struct cluster *c, int32_t id);
struct coordinator *lookup_group(struct cluster *c, const char *group);
void lookup_free(struct cluster *c);
/* The link of the ask's broker; NULL while it is looked up, or when the ask failed for good. */
struct cluster_link *lookup_resolve(struct ask *ask, int64_t now_ms);
/* Sends what lookups are wanted; true when there was one. */
bool lookup_start(struct cluster *c, int64_t now_ms);
/* Takes what a response says of where brokers are. */
void lookup_learn(struct cluster *c, int16_t api_key, const void *response);
/* Coordinators on the link's broker are no longer known. */
void lookup_link_lost(struct cluster_link *link);

#endif
