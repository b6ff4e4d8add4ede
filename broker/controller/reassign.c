/* Other replicas for a partition (KIP-455), as wishes on one partition's change.
 *
 * Happy path: the wanted replicas come first in the assignment, those to be given up after them ->
 * the new ones fetch -> the ISR that has all of the new ones completes it: who is to go goes, from
 * the assignment and from the ISR, by the record that takes the last one in. Where nothing is
 * added it is complete at once, unless the ISR would be nobody then.
 *
 * Nothing acknowledged is lost: a record is acknowledged when all of the ISR has it, and the ISR
 * that remains is a part of that. So that it is not a small part, a reassignment that gives up more
 * than it adds waits for all the replicas that stay (Kafka's PartitionReassignmentReplicas).
 *
 * Redirected while it runs, it still waits for replicas that an earlier wish added and the new one
 * keeps: what is new is what was not there when it began. Kafka forgets that those are new, and may
 * complete before they have caught up; a cancel would keep them. */
#include "broker/controller/controller_internal.h"

bool reassigning(const struct image_partition *partition)
{
    return partition->adding.count > 0 || partition->removing.count > 0;
}

int32_t reassign_target_count(const struct image_partition *partition)
{
    int32_t count = 0;
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        count += !ids_hold(partition->removing, partition->replicas.ids[i]);
    }
    return count;
}

void reassign_complete(struct partition_change *change)
{
    if (change->adding.count == 0 && change->removing.count == 0) {
        return;
    }
    struct image_ids isr = ids_without(change->arena, change->isr, change->removing);
    struct image_ids replicas = ids_without(change->arena, change->replicas, change->removing);
    if (replicas.count == 0 || !ids_hold_all(isr, change->adding)) {
        return;
    }
    if (change->adding.count < change->removing.count && !ids_hold_all(isr, replicas)) {
        return;
    }
    ASSERT(isr.count > 0); /* one was added, or all that stay are in */
    change->isr = isr;
    change->replicas = replicas;
    change->adding.count = 0;
    change->removing.count = 0;
}

void reassign_to(struct partition_change *change, struct image_ids target)
{
    const struct image_partition *now = change->partition;
    ASSERT(target.count > 0);
    struct image_ids original = ids_without(change->arena, now->replicas, now->adding);
    change->adding = ids_without(change->arena, target, original);
    change->removing = ids_without(change->arena, now->replicas, target);
    int32_t count = target.count + change->removing.count;
    int32_t *replicas = arena_array(change->arena, (size_t)count, sizeof *replicas);
    for (int32_t i = 0; i < count; i++) {
        replicas[i] = i < target.count ? target.ids[i] : change->removing.ids[i - target.count];
    }
    change->replicas = (struct image_ids){replicas, count};
    ASSERT(ids_hold_all(change->replicas, now->replicas));
}

bool reassign_revert(struct partition_change *change)
{
    const struct image_partition *now = change->partition;
    ASSERT(reassigning(now));
    change->replicas = ids_without(change->arena, now->replicas, now->adding);
    change->isr = ids_without(change->arena, now->isr, now->adding);
    change->adding.count = 0;
    change->removing.count = 0;
    if (change->isr.count > 0 || change->replicas.count == 0) {
        return change->isr.count > 0;
    }
    change->isr = (struct image_ids){change->replicas.ids, 1};
    change->recovery = IMAGE_RECOVERING;
    return false;
}
