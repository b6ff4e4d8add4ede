/* Which brokers hold a new partition: one replica per rack in turn before a rack gets a second,
 * brokers of a rack in turn, active ones before fenced ones, the leader always active. Where the
 * turns begin is drawn by lot, so that small topics do not all start on the first broker. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/controller/controller_internal.h"

struct rack {
    const char *name; /* "" for brokers that name none */
    int32_t *active;
    int32_t active_count;
    int32_t *fenced;
    int32_t fenced_count;
    int32_t turn;   /* which of its brokers comes first for the next partition */
    int32_t placed; /* of this partition */
};

struct placer {
    struct arena *arena;
    struct rack *racks;
    int32_t rack_count;
    int32_t active_racks; /* the first so many have an active broker */
    int32_t broker_count;
    int32_t active_count;
};

static struct rack *rack_of(struct placer *placer, const char *name)
{
    for (int32_t i = 0; i < placer->rack_count; i++) {
        if (strcmp(placer->racks[i].name, name) == 0) {
            return &placer->racks[i];
        }
    }
    ASSERT(placer->rack_count < placer->broker_count);
    struct rack *rack = &placer->racks[placer->rack_count++];
    rack->name = name;
    rack->active = arena_array(placer->arena, (size_t)placer->broker_count, sizeof *rack->active);
    rack->fenced = arena_array(placer->arena, (size_t)placer->broker_count, sizeof *rack->fenced);
    return rack;
}

static bool all_dirs_cordoned(const struct image_broker *broker)
{
    return broker->log_dir_count > 0 && broker->cordoned_log_dir_count >= broker->log_dir_count;
}

static bool seat(void *ctx, const struct image_broker *broker)
{
    struct placer *placer = ctx;
    if (all_dirs_cordoned(broker)) {
        return true;
    }
    struct rack *rack = rack_of(placer, broker->rack == NULL ? "" : broker->rack);
    if (broker->fenced || broker->in_controlled_shutdown) {
        rack->fenced[rack->fenced_count++] = broker->id;
    } else {
        rack->active[rack->active_count++] = broker->id;
        placer->active_count++;
    }
    return true;
}

static bool count_usable(void *ctx, const struct image_broker *broker)
{
    *(int32_t *)ctx += !all_dirs_cordoned(broker);
    return true;
}

/* Racks that can give a leader come first; within that by name, so that runs repeat. */
static int rack_order(const void *a, const void *b)
{
    const struct rack *left = a;
    const struct rack *right = b;
    if ((left->active_count > 0) != (right->active_count > 0)) {
        return left->active_count > 0 ? -1 : 1;
    }
    return strcmp(left->name, right->name);
}

/* The next broker this rack gives the present partition; -1 when it has given all. */
static int32_t take(struct rack *rack)
{
    ASSERT(rack->placed >= 0 && rack->turn >= 0);
    int32_t nth = rack->placed;
    if (nth < rack->active_count) {
        rack->placed++;
        return rack->active[(rack->turn + nth) % rack->active_count];
    }
    nth -= rack->active_count;
    if (nth < rack->fenced_count) {
        rack->placed++;
        return rack->fenced[(rack->turn + nth) % rack->fenced_count];
    }
    return -1;
}

/* Fills one partition's replicas. The first is from a rack that has an active broker, which it
 * gives first. */
static void place_one(struct placer *placer, int32_t turn, int32_t *replicas, int32_t count)
{
    for (int32_t i = 0; i < placer->rack_count; i++) {
        placer->racks[i].placed = 0;
    }
    ASSERT(turn >= 0 && placer->active_racks > 0 && count <= placer->broker_count);
    int32_t first = turn % placer->active_racks;
    int32_t placed = 0;
    for (int32_t step = 0; placed < count; step++) {
        ASSERT(step <= placer->rack_count * (placer->broker_count + 1));
        struct rack *rack = &placer->racks[(first + step) % placer->rack_count];
        int32_t id = take(rack);
        if (id >= 0) {
            replicas[placed++] = id;
        }
    }
    for (int32_t i = 0; i < placer->rack_count; i++) {
        placer->racks[i].turn += placer->racks[i].placed > 0;
    }
}

bool placement_make(struct controller *controller, int32_t first_partition, int32_t partition_count,
                    int32_t replication_factor, struct arena *arena, struct placement *out,
                    struct err_text *text)
{
    ASSERT(partition_count > 0 && replication_factor > 0);
    struct placer placer = {.arena = arena};
    image_each_broker(controller->image, count_usable, &placer.broker_count);
    if (replication_factor > placer.broker_count) {
        err_set(text, "%" PRId32 " replicas need as many brokers, and %" PRId32 " can take one",
                replication_factor, placer.broker_count);
        return false;
    }
    placer.racks = arena_array(arena, (size_t)placer.broker_count, sizeof *placer.racks);
    image_each_broker(controller->image, seat, &placer);
    if (placer.active_count == 0) {
        err_set(text, "every broker is fenced or about to stop");
        return false;
    }
    qsort(placer.racks, (size_t)placer.rack_count, sizeof *placer.racks, rack_order);
    while (placer.active_racks < placer.rack_count &&
           placer.racks[placer.active_racks].active_count > 0) {
        placer.active_racks++;
    }
    for (int32_t i = 0; i < placer.rack_count; i++) {
        placer.racks[i].turn = (int32_t)(env_random(controller->env) % INT16_MAX);
    }
    int32_t turn = (int32_t)(env_random(controller->env) % INT16_MAX) + first_partition % INT16_MAX;
    out->partition_count = partition_count;
    out->replication_factor = replication_factor;
    out->replicas = arena_array(arena, (size_t)partition_count * (size_t)replication_factor,
                                sizeof *out->replicas);
    for (int32_t i = 0; i < partition_count; i++) {
        place_one(&placer, (turn + i) & INT32_MAX,
                  &out->replicas[(size_t)i * (size_t)replication_factor], replication_factor);
    }
    return true;
}
