/* Leaders and ISRs when a broker goes or comes back. */
#include "broker/controller/controller_internal.h"

struct walk {
    struct controller *controller;
    int32_t leaving;
    int32_t returning;
    struct record_list *records;
    size_t changed;
};

/* Puts a change record when this partition's leader or ISR has to change. */
static void visit(struct walk *walk, const struct image_topic *topic,
                  const struct image_partition *partition)
{
    ASSERT(walk->leaving == NOBODY || walk->returning == NOBODY);
    struct partition_change change = partition_change_of(walk->controller, topic, partition);
    change.leaving = walk->leaving;
    change.returning = walk->returning;
    if (unclean_allowed(walk->controller, topic)) {
        change.election = ELECT_UNCLEAN;
    }
    struct arena arena = {0};
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
    struct walk walk = {controller, broker_id, NOBODY, records, 0};
    image_each_isr_partition(controller->image, broker_id, visit_partition, &walk);
    return walk.changed;
}

size_t leaders_return(struct controller *controller, int32_t broker_id, struct record_list *records)
{
    ASSERT(broker_id >= 0);
    struct walk walk = {controller, NOBODY, broker_id, records, 0};
    image_each_leaderless(controller->image, visit_partition, &walk);
    return walk.changed;
}

bool leaders_seek(struct controller *controller)
{
    ASSERT(controller->epoch != -1);
    struct record_list records = {0};
    struct walk walk = {controller, NOBODY, NOBODY, &records, 0};
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
