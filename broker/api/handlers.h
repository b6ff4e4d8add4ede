/* The room's own: what its files share, and the handlers that table.c lists. */
#ifndef BROKER_API_HANDLERS_H
#define BROKER_API_HANDLERS_H

#include "broker/api/api.h"

/* Gives an array field `n` zeroed items from the request's arena. */
#define API_ARRAY(request, field, n)                                                               \
    ((field).count = (int32_t)(n),                                                                 \
     (field).items = arena_array(&(request)->arena, (size_t)(n), sizeof *(field).items))

/* A zeroed response with its schema's defaults, from the request's arena. */
void *api_response(struct request *request);

/* The partition's replica here, or NULL with *error: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID
 * when asked by id, NOT_LEADER_OR_FOLLOWER when other brokers hold it. `topic` may be NULL
 * (unknown). */
struct replica *api_replica(struct request *request, const struct image_topic *topic, bool by_id,
                            int32_t partition, int16_t *error);
/* The broker's address on the listener the request came by; NULL when it has none or is fenced. */
const struct image_endpoint *api_endpoint(const struct request *request, int32_t broker_id);

/* Who leads a partition instead, for an answer with this error (KIP-951): {-1, -1} with errors that
 * do not send a client away, and where it is not known. */
struct api_leader {
    int32_t id;
    int32_t epoch;
};
struct api_leader api_leader_instead(const struct request *request, const struct uuid *topic_id,
                                     int32_t partition, int16_t error);
/* Where those leaders are on the listener the request came by, each once; returns how many. */
struct api_leader_endpoint {
    int32_t id;
    struct wire_str host;
    int32_t port;
    struct wire_str rack;
};
int32_t api_leader_endpoints(struct request *request, const struct api_leader *leaders,
                             int32_t count, struct api_leader_endpoint **out);

/* True for names that begin a Kafka-internal topic: __consumer_offsets, __transaction_state,
 * __share_group_state. */
bool api_topic_internal(const char *name);

/* What a request has named already; NULL to start, api_seen_free at the end. True when `what` (a
 * pointer that stands for it) was there before. */
struct api_seen;
bool api_seen(struct request *request, struct api_seen **set, const void *what);
bool api_seen_has(struct api_seen *set, const void *what); /* only looks */
void api_seen_free(struct api_seen **set);

/* Of a client's text within an error message: both together must fit a string of the protocol. */
enum { API_SHOWN_MAX = 1024 };

void api_api_versions(struct request *request);
void api_metadata(struct request *request);
void api_describe_cluster(struct request *request);
void api_describe_topic_partitions(struct request *request);
void api_controller_call(struct request *request);
void api_group_call(struct request *request);
void api_find_coordinator(struct request *request);
void api_produce(struct request *request);
void api_fetch(struct request *request);
void api_list_offsets(struct request *request);
void api_delete_records(struct request *request);
void api_offset_for_leader_epoch(struct request *request);
void api_init_producer_id(struct request *request);
void api_describe_configs(struct request *request);
void api_describe_log_dirs(struct request *request);
void api_describe_quorum(struct request *request);
void api_quorum_call(struct request *request);
void api_envelope(struct request *request);

#endif
