/* What poll.c (rounds, timers, snapshots) and poll_stages.c (questions and answers) share. */
#ifndef CONSOLE_POLL_IMPL_H
#define CONSOLE_POLL_IMPL_H

#include <uv.h>

#include "common/base/arena.h"
#include "common/base/list.h"
#include "console/asker.h"
#include "console/batch.h"
#include "console/learn.h"
#include "console/poll.h"

enum stage {
    STAGE_IDLE,
    STAGE_CLUSTER,
    STAGE_FOLLOWERS,
    STAGE_LEADERS,
    STAGE_GROUP_ENDS,
    STAGE_COUNT
};

struct poll {
    uv_loop_t *loop;
    uv_timer_t round_timer;
    uv_timer_t stage_timer;
    int open_handles; /* of the two timers; the last close frees */
    struct asker *ask;
    const struct poll_events *events;
    void *ctx;
    struct poll_want want;
    struct poll_want next_want; /* taken over when a round starts */
    bool has_next_want;
    int64_t interval_ms;
    int64_t stage_ms;
    int64_t request_ms;
    bool paused;
    bool again;         /* poll_now was called since the last round began */
    bool eager;         /* this round answers a poll_now */
    bool asked_another; /* Metadata was asked a second time in this round */
    int32_t *late;      /* brokers that let a stage run out of time */
    size_t late_count;
    size_t late_capacity;
    uint64_t round_began_ms; /* loop time */
    uint64_t round;
    enum stage stage;
    int outstanding;   /* calls of this round and stage that are waited for */
    struct list calls; /* every call without answer, of whatever round */
    struct model *draft;
    struct learn_listing listing;
    int32_t *listed; /* brokers that answered ListGroups in this round */
    size_t listed_count;
    size_t listed_capacity;
    uint64_t configs_read_ms;
    uint64_t log_dirs_read_ms;
    char *failing[MODEL_PART_COUNT]; /* what went wrong in this round */
    char trouble[512];               /* why the cluster could not be asked in this round */
};

enum { ANY_BROKER = -1 };

/* One request on its way. Its memory, and the request's, is its arena. */
struct call {
    struct list link;
    struct arena arena;
    struct poll *poll;
    uint64_t round;
    enum stage stage;
    int32_t broker;            /* ANY_BROKER = whichever answers */
    bool waited;               /* the stage does not end before it, or its time */
    enum learn_offset kind;    /* of ListOffsets */
    const char *const *groups; /* that it asks about, NULL-terminated; or NULL */
    const char *what;          /* the API's name */
    enum model_part_id part;
    bool optional; /* its failure is not worth a word: older brokers do not serve it */
    /* Reads the response into the draft. */
    void (*learn)(struct call *c, const void *response);
};

/* Asks what the stage asks. poll->outstanding counts it. */
void poll_stage_begin(struct poll *p, enum stage stage);

struct call *poll_call_new(struct poll *p, int32_t broker, const char *what,
                           enum model_part_id part,
                           void (*learn)(struct call *c, const void *response));
void poll_call_send(struct call *c, int16_t api_key, int16_t min_version, int16_t max_version,
                    const void *request);
/* It has not yet answered a call of an earlier round. */
bool poll_owes(const struct poll *p, int32_t broker);
bool poll_wants(const struct poll *p, enum model_part_id part);
int64_t poll_wall_ms(void);

#endif
