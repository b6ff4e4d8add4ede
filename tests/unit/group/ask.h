/* Calls to the coordinator, as clients make them, and their answers. */
#ifndef TESTS_UNIT_GROUP_ASK_H
#define TESTS_UNIT_GROUP_ASK_H

#include "broker/group/group.h"
#include "tests/unit/replica/world.h"

struct ask {
    struct group_call call;
    struct arena arena;
    struct world *world;
    bool done;
};

/* A world whose coordinator leads the one partition of __consumer_offsets, with topics "t" and "u".
 * The initial rebalance delay is none unless asked for. */
struct world *house_new(uint64_t seed, const struct groups_config *config);
struct groups_config quick_config(void);
/* The coordinator goes and comes again, by metadata: leader 2, then 1. Waits until it has loaded.
 */
void house_move(struct world *w);
struct uuid house_topic(struct world *w, const char *name);

/* A call whose request is zeroed with defaults; submit it, wait for it, free it. */
struct ask *ask_new(struct world *w, int16_t key, int16_t version);
void ask_submit(struct ask *a);
void ask_wait(struct ask *a);
void ask_free(struct ask *a);

struct member_spec {
    const char *group;
    const char *member;   /* "" */
    const char *instance; /* NULL */
    const char *protocol; /* "range" */
    const char *metadata; /* "meta" */
    int32_t session_ms;   /* 10000 */
    int32_t rebalance_ms; /* 20000 */
    int16_t version;      /* 9; 3: joins without a second round */
    const char *client_id;
};

struct ask *join(struct world *w, struct member_spec spec); /* submitted */
struct join_group_response *joined(struct ask *a);          /* waits */
/* Joins in both rounds; frees nothing: the second call. */
struct ask *join_fully(struct world *w, struct member_spec spec);
/* `plan` is "member=assignment member=assignment"; NULL for a follower. */
struct ask *sync_group(struct world *w, const char *group, const char *member, int32_t generation,
                       const char *plan);
int16_t heartbeat(struct world *w, const char *group, const char *member, int32_t generation);
int16_t leave(struct world *w, const char *group, const char *member);
/* Of partition 0; submitted. */
struct ask *commit(struct world *w, const char *group, const char *member, int32_t generation,
                   const char *topic, int64_t offset);
int16_t commit_error_of(struct ask *a); /* waits, frees */
/* Of partition 0; *error the partition's or the group's. */
int64_t fetch_offset(struct world *w, const char *group, const char *topic, bool stable,
                     int16_t *error);
/* State by DescribeGroups; "Dead" when there is none. Static memory. */
const char *state_of(struct world *w, const char *group);

#endif
