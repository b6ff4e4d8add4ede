/* Leadership goes back to the first replicas by itself (auto.leader.rebalance.enable): now and
 * then, since every move interrupts those who produce, and a bounded number of partitions at a
 * time.
 *
 * A first replica that is not in the ISR, or may not lead, is passed over; the next look may find
 * it there. Kafka's controller looks at all partitions too, whatever share of them is astray. */
#include <inttypes.h>

#include "broker/controller/controller_internal.h"

enum { MOVES_MAX = 1000, AGAIN_MS = 10 };

struct balance {
    struct controller *controller;
    struct arena *arena;
    struct record_list *records;
    int32_t moved;
    int32_t waiting; /* whose first replica cannot lead now */
};

static bool visit(void *ctx, const struct image_topic *topic,
                  const struct image_partition *partition)
{
    struct balance *balance = ctx;
    int32_t preferred = partition->replicas.ids[0];
    if (!broker_active(balance->controller->image, preferred) ||
        !ids_hold(partition->isr, preferred)) {
        balance->waiting++;
        return true;
    }
    struct partition_change change =
        partition_change_of(balance->controller, topic, partition, balance->arena);
    struct image_partition after;
    change.election = ELECT_PREFERRED;
    bool moved = partition_change_add(&change, balance->records, &after);
    balance->moved += moved;
    balance->waiting += !moved;
    return balance->moved < MOVES_MAX;
}

/* How many moved; -1 when leadership of the quorum had to be given up. */
static int32_t look(struct controller *controller)
{
    struct arena arena = {0};
    struct record_list records = {0};
    struct balance balance = {controller, &arena, &records, 0, 0};
    image_each_imbalanced(controller->image, visit, &balance);
    if (balance.moved > 0) {
        trace_info(controller_trace(controller),
                   "controller: %" PRId32
                   " partitions are led by their first replica again, %" PRId32
                   " not yet: it is in sync and leadership is given back by and by",
                   balance.moved, balance.waiting);
        if (controller_append(controller, &records, false) != ERR_NONE) {
            balance.moved = -1;
        }
    }
    record_list_free(&records);
    arena_free(&arena);
    return balance.moved;
}

static void due(struct env_timer *timer)
{
    struct controller *controller = CONTAINER_OF(timer, struct controller, balance_timer);
    ASSERT(controller->epoch != -1);
    int32_t moved = look(controller);
    int64_t wait_ms = moved == MOVES_MAX ? AGAIN_MS : controller->config.balance_interval_ms;
    if (moved >= 0) {
        env_timer_set(controller->env, timer, env_now_ms(controller->env) + wait_ms);
    }
}

void balance_begin(struct controller *controller)
{
    controller->balance_timer.fire = due;
    if (controller->config.balance_interval_ms > 0) {
        env_timer_set(controller->env, &controller->balance_timer,
                      env_now_ms(controller->env) + controller->config.balance_interval_ms);
    }
}

void balance_end(struct controller *controller)
{
    env_timer_cancel(controller->env, &controller->balance_timer);
}
