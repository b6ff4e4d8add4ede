/* From one image to another that does not stem from it: what a snapshot changes. */
#include <string.h>

#include "broker/metadata/image_internal.h"

struct between {
    const struct image *other;
    struct image_delta *delta;
};

static bool gone_topic(void *ctx, const struct image_topic *topic)
{
    struct between *b = ctx;
    if (image_topic_by_id(b->other, &topic->id) == NULL) {
        delta_topic_deleted(b->delta, &topic->id, topic->name);
    }
    return true;
}

static bool gone_broker(void *ctx, const struct image_broker *broker)
{
    struct between *b = ctx;
    if (image_broker(b->other, broker->id) == NULL) {
        delta_broker(b->delta, broker->id);
    }
    return true;
}

static bool gone_controller(void *ctx, const struct image_controller *controller)
{
    struct between *b = ctx;
    if (image_controller(b->other, controller->id) == NULL) {
        delta_controller(b->delta, controller->id);
    }
    return true;
}

static bool gone_configs(void *ctx, const struct image_configs *configs)
{
    struct between *b = ctx;
    if (image_configs(b->other, configs->type, configs->name) == NULL) {
        delta_configs(b->delta, configs->type, configs->name);
    }
    return true;
}

static bool come_topic(void *ctx, const struct image_topic *topic)
{
    struct between *b = ctx;
    const struct image_topic *before = image_topic_by_id(b->other, &topic->id);
    if (before == NULL) {
        delta_topic_created(b->delta, &topic->id, topic->name);
    }
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_partition *is = topic->partitions[i];
        const struct image_partition *was =
            before != NULL && i < before->partition_count ? before->partitions[i] : NULL;
        if (is != NULL && (was == NULL || !partition_equal(is, was))) {
            delta_partition(b->delta, &topic->id, topic->name, i);
        }
    }
    return true;
}

/* Brokers, controllers and settings are few: each that is there counts as changed. */
static bool come_broker(void *ctx, const struct image_broker *broker)
{
    delta_broker(((struct between *)ctx)->delta, broker->id);
    return true;
}

static bool come_controller(void *ctx, const struct image_controller *controller)
{
    delta_controller(((struct between *)ctx)->delta, controller->id);
    return true;
}

static bool come_configs(void *ctx, const struct image_configs *configs)
{
    delta_configs(((struct between *)ctx)->delta, configs->type, configs->name);
    return true;
}

void image_delta_between(struct image_delta *delta, const struct image *from,
                         const struct image *to)
{
    ASSERT(delta != NULL && from != to);
    struct between gone = {to, delta};
    struct between come = {from, delta};
    /* A name may have passed to another topic: the old one goes first. */
    image_each_topic(from, gone_topic, &gone);
    image_each_broker(from, gone_broker, &gone);
    image_each_controller(from, gone_controller, &gone);
    image_each_configs(from, gone_configs, &gone);
    image_each_topic(to, come_topic, &come);
    image_each_broker(to, come_broker, &come);
    image_each_controller(to, come_controller, &come);
    image_each_configs(to, come_configs, &come);
    delta->features = true;
    delta->producer_ids = true;
}
