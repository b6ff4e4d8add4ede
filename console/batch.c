#include "console/batch.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

static struct batch_request *request_for(struct batch *b, int32_t broker)
{
    for (size_t i = b->count; i > 0; i--) {
        struct batch_request *r = &b->requests[i - 1];
        if (r->broker == broker && r->partition_count < BATCH_MAX_PARTITIONS) {
            return r;
        }
    }
    struct batch_request *r = MEM_PUSH(b->requests, b->count, b->capacity);
    *r = (struct batch_request){.broker = broker};
    return r;
}

void batch_add(struct batch *b, int32_t broker, const char *topic, int32_t partition)
{
    struct batch_request *r = request_for(b, broker);
    struct batch_topic *t = r->count == 0 ? NULL : &r->topics[r->count - 1];
    if (t == NULL || strcmp(t->name, topic) != 0) {
        t = MEM_PUSH(r->topics, r->count, r->capacity);
        *t = (struct batch_topic){.name = topic};
    }
    *MEM_PUSH(t->partitions, t->count, t->capacity) = (struct list_offsets_request_partition){
        .partition_index = partition,
        .current_leader_epoch = -1,
    };
    r->partition_count++;
}

const struct list_offsets_request *batch_request_of(const struct batch *b, size_t index,
                                                    int32_t replica_id, int64_t timestamp,
                                                    struct arena *arena)
{
    ASSERT(index < b->count);
    const struct batch_request *from = &b->requests[index];
    struct list_offsets_request *r = arena_alloc(arena, sizeof *r);
    wire_defaults(&wire_list_offsets_request, r);
    r->replica_id = replica_id;
    r->timeout_ms = 5000;
    r->topics.items = arena_array(arena, from->count, sizeof *r->topics.items);
    r->topics.count = (int32_t)from->count;
    for (size_t i = 0; i < from->count; i++) {
        r->topics.items[i].name = wire_str(arena_strdup(arena, from->topics[i].name));
        const struct batch_topic *t = &from->topics[i];
        struct list_offsets_request_partition *partitions =
            arena_dup(arena, t->partitions, t->count * sizeof *partitions);
        for (size_t j = 0; j < t->count; j++) {
            partitions[j].timestamp = timestamp;
        }
        r->topics.items[i].partitions.items = partitions;
        r->topics.items[i].partitions.count = (int32_t)t->count;
    }
    return r;
}

void batch_free(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        for (size_t j = 0; j < b->requests[i].count; j++) {
            mem_free(b->requests[i].topics[j].partitions);
        }
        mem_free(b->requests[i].topics);
    }
    mem_free(b->requests);
    memset(b, 0, sizeof *b);
}
