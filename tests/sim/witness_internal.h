/* Shared by witness.c and witness_trail.c only. */
#ifndef TESTS_SIM_WITNESS_INTERNAL_H
#define TESTS_SIM_WITNESS_INTERNAL_H

#include "broker/node/node_internal.h"
#include "tests/sim/universe.h"
#include "tests/sim/witness.h"

enum { TRAILS_MAX = PARTS_MAX + 4 };

/* One committed batch. */
struct mark {
    int64_t base_offset;
    int64_t next_offset;
    uint32_t hash; /* of all its bytes */
    int32_t seen_by;
};

/* What is known to be committed of one log; trail 0 is the metadata's. */
struct trail {
    char name[80]; /* of its directory */
    struct mark *marks;
    size_t count;
    size_t capacity;
    int64_t high;     /* the highest mark anybody had */
    int32_t *leaders; /* by epoch: server and life; -1 none seen */
    size_t epoch_count;
    size_t epoch_capacity;
};

/* How far one server, in this life, was held against a trail. */
struct cursor {
    int64_t next;    /* offset */
    int64_t segment; /* base offset of the file it lies in */
    size_t at;       /* position in it */
    size_t mark;
    int32_t epoch;                 /* of the replica when last looked at */
    int64_t high;                  /* then */
    const struct replica *replica; /* then: another one begins anew, in other files */
};

/* Holds the batches below `below` in directory `dir` of that server against the trail. */
void trail_follow(struct trail *trail, struct cursor *cursor, const struct server *server,
                  const char *dir, int64_t below);
/* A server and its life in one number. */
static inline int32_t trail_who(const struct server *server)
{
    return server->id + SERVERS_MAX * 2 * server->life;
}

/* True when it is the first word of that epoch. */
bool trail_led(struct trail *trail, const struct server *server, int32_t epoch);

#endif
