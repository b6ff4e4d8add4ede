/* One partition of a Fetch being answered: what the pass over partitions (fetch.c) shares with
 * those who know what a consumer (fetch_consumer.c) and a follower (fetch_follower.c) may see. */
#ifndef BROKER_API_FETCH_H
#define BROKER_API_FETCH_H

#include "broker/api/handlers.h"

struct fetch;

/* Zeroed when the request comes; from then on it is the same for every pass. */
struct fetch_part {
    struct fetch *fetch;
    struct request *request;
    struct fetch_response_partition *out;
    const struct fetch_request_partition *asked;
    struct uuid topic_id;
    struct replica_watch watch;
    struct api_range range; /* file is ours until the answer takes it */
    int64_t limit_offset;   /* set by a look that is true: what may be read ends here */
    struct replica_fetch follower;
};

/* A look at one partition, which begins every pass: fills `out`, already at its defaults. True when
 * records in [fetch_offset, limit_offset) are to be read; the replica then has a log. */
bool fetch_look_consumer(struct fetch_part *part, struct replica *replica);
bool fetch_look_follower(struct fetch_part *part, struct replica *replica);

/* Answers with this error of the partition, at once. */
void fetch_error(struct fetch_part *part, int16_t error);
/* The request is answered when this pass ends, however little there is. */
void fetch_tell_now(struct fetch_part *part);

/* The broker that asks, as it says; negative for a consumer. */
int32_t fetch_replica_id(const struct request *request);

#endif
