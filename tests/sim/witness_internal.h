/* Shared by witness.c, witness_trail.c and witness_metadata.c only. */
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
    int64_t high;            /* the highest mark anybody had */
    struct history *history; /* of the metadata only */
    int32_t *leaders;        /* by epoch: server and life; -1 none seen */
    size_t epoch_count;
    size_t epoch_capacity;
};

/* How far one server, in this life, was held against a trail. */
struct cursor {
    int64_t next;    /* offset */
    int64_t segment; /* base offset of the file it lies in; -1 not known yet */
    size_t at;       /* position in it */
    size_t mark;
    int32_t epoch;                 /* of the replica when last looked at */
    int64_t high;                  /* then */
    int64_t snapshot;              /* where the newest snapshot ended when last looked at */
    const struct replica *replica; /* then: another one begins anew, in other files */
};

/* Holds the batches below `below` in directory `dir` of that server against the trail. */
void trail_follow(struct trail *trail, struct cursor *cursor, const struct server *server,
                  const char *dir, int64_t below);
/* That server's log begins at `start` now, behind the cursor: something else stands for what is
 * skipped. */
void trail_rejoin(struct trail *trail, struct cursor *cursor, const struct server *server,
                  int64_t start);
/* A server and its life in one number. */
static inline int32_t trail_who(const struct server *server)
{
    return server->id + SERVERS_MAX * 2 * server->life;
}

/* True when it is the first word of that epoch. */
bool trail_led(struct trail *trail, const struct server *server, int32_t epoch);

/* witness_metadata.c: what the metadata's trail says. */
struct history *history_new(void);
void history_free(struct history *history); /* NULL is allowed */
void history_add(struct history *history, struct verdict *verdict, const void *batch, size_t size);
/* The server's image against it. */
void history_check_image(const struct history *history, const struct server *server);
/* Its newest snapshot, when that does not end at `seen` any more; where it does. */
int64_t history_look(const struct history *history, const struct server *server, int64_t seen);

#endif
