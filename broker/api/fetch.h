/* A Fetch being answered, and what is kept of it from one request to the next.
 *
 * A SET holds the partitions that are asked for. A request without a session has one of its own; a
 * fetch session (KIP-227) has one that lasts, and each of its requests names only what changed. The
 * pass over partitions (fetch.c) looks at those of a set that are DUE: newly named, moved since the
 * last look (every partition that has been looked at is watched), having records that were not
 * taken, or in a state that the next request must see again. All others are quiet: nothing to send,
 * nothing to tell. So a request of an idle session costs nothing for them.
 *
 * fetch_set.c keeps sets, fetch_session.c sessions; fetch_consumer.c and fetch_follower.c know what
 * each may see of a partition. */
#ifndef BROKER_API_FETCH_H
#define BROKER_API_FETCH_H

#include "common/base/hash.h"

#include "broker/api/handlers.h"

struct fetch;
struct fetch_session;
struct fetch_set;

/* ---- fetch_set.c ------------------------------------------------------------------------------
 */

struct fetch_part {
    struct fetch_set *set;
    UT_hash_handle hh;   /* in set.parts, by key, in the order named */
    struct list due;     /* in set.due, or in the fetch's todo or served */
    struct list touched; /* in fetch.touched: looked at for the request under way */
    struct fetch_request_partition asked;
    struct replica_watch watch;
    bool fired;    /* since the last look */
    bool restless; /* stays due though nothing moves; set by a look */
    /* of the request under way, from the first look on */
    struct fetch_response_partition out;
    struct uuid topic_id;   /* as the look found it; zero when unknown */
    struct api_range range; /* file is ours until the answer takes it */
    int64_t limit_offset;   /* set by a look that is true: what may be read ends here */
    struct replica_fetch follower;
    /* what the other side was told last in this session; -1: nothing, or an error */
    int64_t told_high_watermark;
    int64_t told_log_start;
    /* what it knows of the mark, by its own word or ours; INT64_MAX: it did not say */
    int64_t known_high_watermark;
    /* the partition's number, then the topic's id (by_id) or name */
    uint32_t key_size;
    uint8_t key[];
};

struct fetch_set {
    struct fetch_part *parts; /* uthash */
    struct list due;
    bool by_id;
    struct fetch *fetch;           /* the request under way, or NULL */
    struct fetch_session *session; /* NULL: of one request */
    struct replica_pulse *pulse;   /* a follower's session */
};

void fetch_set_init(struct fetch_set *set, bool by_id);
/* No request may be under way. */
void fetch_set_free(struct fetch_set *set);
int32_t fetch_set_count(const struct fetch_set *set);
/* Every partition the request names is in the set as it is named, and due. */
void fetch_set_name(struct fetch_set *set, const struct fetch_request *body);
/* Those the request forgets are gone. */
void fetch_set_forget(struct fetch_set *set, const struct fetch_request *body,
                      struct replicas *replicas);
bool fetch_part_same_topic(const struct fetch_part *a, const struct fetch_part *b);
/* The name in a set by name, empty in one by id; points into the part. */
struct wire_str fetch_part_topic_name(const struct fetch_part *part);
struct uuid fetch_part_topic_id(const struct fetch_part *part);
/* An answer of a session has to speak of it: there are records, an error, or what it was told last
 * is no longer so (Kafka: CachedPartition.maybeUpdateResponseData). */
bool fetch_part_changed(const struct fetch_part *part);
/* The answer leaves with it. */
void fetch_part_told(struct fetch_part *part);

/* ---- looks ------------------------------------------------------------------------------------
 */

/* A look at one partition: fills `out`, already at its defaults. True when records in
 * [fetch_offset, limit_offset) are to be read; the replica then has a log. */
bool fetch_look_consumer(struct fetch_part *part, struct replica *replica);
bool fetch_look_follower(struct fetch_part *part, struct replica *replica);

/* ---- fetch.c ----------------------------------------------------------------------------------
 */

struct request *fetch_part_request(const struct fetch_part *part);
/* Answers with this error of the partition, at once, and again in the next answer. */
void fetch_error(struct fetch_part *part, int16_t error);
/* The request is answered when this pass ends, however little there is. */
void fetch_tell_now(struct fetch_part *part);
/* A partition of the set became due while the request is under way. */
void fetch_wake(struct fetch *fetch);
/* Answers the request under way with this error and nothing else. */
void fetch_abort(struct fetch *fetch, int16_t error);

/* The broker that asks, as it says; negative for a consumer. */
int32_t fetch_replica_id(const struct request *request);

/* ---- fetch_session.c --------------------------------------------------------------------------
 */

/* Finds, makes or ends the request's session: 0 with its set, or with NULL when the request stands
 * for itself; else Kafka's code for the whole request. A request of the same session that is still
 * parked is answered with an error. */
int16_t fetch_session_enter(struct request *request, struct fetch_set **set);
void fetch_sessions_count_look(struct fetch_sessions *all);
int32_t fetch_session_id(const struct fetch_session *session);

#endif
