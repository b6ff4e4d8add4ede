/* batch: partitions gathered into ListOffsets requests, broker by broker.
 *
 * Partitions of a topic should be added together. Zero-initialise; batch_free when done. */
#ifndef CONSOLE_BATCH_H
#define CONSOLE_BATCH_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/wire/messages.h"

enum { BATCH_MAX_PARTITIONS = 2000 }; /* in one request */

struct batch_topic {
    const char *name;
    struct list_offsets_request_partition *partitions;
    size_t count;
    size_t capacity;
};

struct batch_request {
    int32_t broker;
    size_t partition_count;
    struct batch_topic *topics;
    size_t count;
    size_t capacity;
};

struct batch {
    struct batch_request *requests;
    size_t count;
    size_t capacity;
};

/* `topic` is borrowed until batch_free. */
void batch_add(struct batch *b, int32_t broker, const char *topic, int32_t partition);
/* The request number `index`, whole in the arena. `replica_id` -1 asks as a consumer, -2 for the
 * replica's own log; `timestamp` -1 is the end, -2 the start. */
const struct list_offsets_request *batch_request_of(const struct batch *b, size_t index,
                                                    int32_t replica_id, int64_t timestamp,
                                                    struct arena *arena);
void batch_free(struct batch *b);

#endif
