/* Leaders and ISRs when a broker goes or comes back. */
#include <inttypes.h>

#include "broker/controller/controller_internal.h"

struct walk {
    struct controller *controller;
    int32_t leaving;
    int32_t returning;
    struct record_list *records;
    size_t changed;
    size_t starved;                 /* without a leader, for want of a directory */
    size_t empty;                   /* led all the same */
    const struct uuid *directories; /* of the one leaving; NULL: all */
    int32_t directory_count;
};

/* Puts a change record when this partition's leader or ISR has to change. */
static void visit(struct walk *walk, const struct image_topic *topic,
                  const struct image_partition *partition)
{
    ASSERT(walk->leaving == NOBODY || walk->returning == NOBODY);
    struct arena arena = {0};
    struct partition_change change =
        partition_change_of(walk->controller, topic, partition, &arena);
    change.leaving = walk->leaving;
    change.returning = walk->returning;
    if (unclean_allowed(walk->controller, topic)) {
        change.election = ELECT_UNCLEAN;
    }
    int32_t *isr = arena_array(&arena, (size_t)partition->isr.count + 1, sizeof *isr);
    int32_t count = 0;
    for (int32_t i = 0; i < partition->isr.count; i++) {
        if (partition->isr.ids[i] != walk->leaving) {
            isr[count++] = partition->isr.ids[i];
        }
    }
    ASSERT(count <= partition->isr.count);
    change.isr = (struct image_ids){isr, count};
    struct image_partition after;
    walk->changed += partition_change_add(&change, walk->records, &after);
    walk->starved += partition_change_starved(&change, &after);
    walk->empty += partition_change_begins_empty(&change, &after);
    arena_free(&arena);
}

static bool visit_partition(void *ctx, const struct image_topic *topic,
                            const struct image_partition *partition)
{
    visit(ctx, topic, partition);
    return true;
}

size_t leaders_leave(struct controller *controller, int32_t broker_id, struct record_list *records)
{
    ASSERT(broker_id >= 0);
    struct walk walk = {
        .controller = controller, .leaving = broker_id, .returning = NOBODY, .records = records};
    image_each_isr_partition(controller->image, broker_id, visit_partition, &walk);
    return walk.changed;
}

static bool visit_directory(void *ctx, const struct image_topic *topic,
                            const struct image_partition *partition)
{
    struct walk *walk = ctx;
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        if (partition->replicas.ids[i] == walk->leaving &&
            uuids_hold(walk->directories, walk->directory_count, &partition->directories[i])) {
            visit(walk, topic, partition);
        }
    }
    return true;
}

size_t leaders_leave_directories(struct controller *controller, int32_t broker_id,
                                 const struct uuid *directories, int32_t count,
                                 struct record_list *records)
{
    ASSERT(broker_id >= 0 && count > 0);
    struct walk walk = {.controller = controller,
                        .leaving = broker_id,
                        .returning = NOBODY,
                        .records = records,
                        .directories = directories,
                        .directory_count = count};
    image_each_isr_partition(controller->image, broker_id, visit_directory, &walk);
    return walk.changed;
}

size_t leaders_return(struct controller *controller, int32_t broker_id, struct record_list *records)
{
    ASSERT(broker_id >= 0);
    struct walk walk = {
        .controller = controller, .leaving = NOBODY, .returning = broker_id, .records = records};
    image_each_leaderless(controller->image, visit_partition, &walk);
    if (walk.empty > 0) {
        trace_warn(controller_trace(controller),
                   "controller: %zu partitions begin again empty: broker %" PRId32
                   " is back without the log directory that held them",
                   walk.empty, broker_id);
    }
    if (walk.starved > 0) {
        trace_warn(controller_trace(controller),
                   "controller: %zu partitions stay without a leader: who held them last is alive "
                   "without the log directory that held them; an unclean election would begin "
                   "again with what there is",
                   walk.starved);
    }
    return walk.changed;
}

bool leaders_seek(struct controller *controller)
{
    ASSERT(controller->epoch != -1);
    struct record_list records = {0};
    struct walk walk = {
        .controller = controller, .leaving = NOBODY, .returning = NOBODY, .records = &records};
    image_each_leaderless(controller->image, visit_partition, &walk);
    bool going = true;
    if (walk.changed > 0) {
        trace_info(
            controller_trace(controller),
            "controller: %zu partitions without a leader get one: a replica that may lead is "
            "alive",
            walk.changed);
        going = controller_append(controller, &records, false) == ERR_NONE;
    }
    record_list_free(&records);
    return going;
}
