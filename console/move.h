/* move: AlterPartitionReassignments (KIP-455) of one partition.
 *
 * The state and the memory of one request, owned by whoever asks; zero-initialise. */
#ifndef CONSOLE_MOVE_H
#define CONSOLE_MOVE_H

#include "common/wire/messages.h"
#include "console/action.h"

struct asker;

enum { MOVE_TIMEOUT_MS = 10000 };

struct move {
    struct alter_partition_reassignments_request request;
    struct alter_partition_reassignments_request_topic topic;
    struct alter_partition_reassignments_request_partition partition;
    struct action_wish wish; /* what the request points into */
    void (*done)(void *ctx, const struct action_answer *answer);
    void *ctx;
};

/* `v` must stay where it is until `done`, which comes once, later; or until the asker is freed,
 * after which it does not come. Any broker will do: it hands the request on to the controller. */
void move_send(struct move *v, struct asker *a, const struct action_wish *wish,
               void (*done)(void *ctx, const struct action_answer *answer), void *ctx);
/* What the cluster's answer says of the partition. Its message is written to `message`. */
struct action_answer move_read(const struct move *v,
                               const struct alter_partition_reassignments_response *r,
                               struct err_text *message);

#endif
