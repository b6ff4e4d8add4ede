/* Whether two images say the same. */
#include <string.h>

#include "broker/metadata/image_internal.h"

struct compare {
    const struct image *other;
    bool equal;
};

static bool text_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool uuids_equal(const struct uuid *a, int32_t a_count, const struct uuid *b,
                        int32_t b_count)
{
    return a_count == b_count && (a_count == 0 || memcmp(a, b, (size_t)a_count * sizeof *a) == 0);
}

static bool endpoints_equal(const struct image_endpoint *a, const struct image_endpoint *b,
                            int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (!text_equal(a[i].listener, b[i].listener) || !text_equal(a[i].host, b[i].host) ||
            a[i].port != b[i].port || a[i].security_protocol != b[i].security_protocol) {
            return false;
        }
    }
    return true;
}

static bool ranges_equal(const struct image_feature_range *a, const struct image_feature_range *b,
                         int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (!text_equal(a[i].name, b[i].name) || a[i].min != b[i].min || a[i].max != b[i].max) {
            return false;
        }
    }
    return true;
}

static bool compare_topic(void *ctx, const struct image_topic *topic)
{
    struct compare *compare = ctx;
    const struct image_topic *other = image_topic_by_id(compare->other, &topic->id);
    compare->equal = other != NULL && strcmp(other->name, topic->name) == 0 &&
                     other->partition_count == topic->partition_count;
    for (int32_t i = 0; compare->equal && i < topic->partition_count; i++) {
        const struct image_partition *a = topic->partitions[i];
        const struct image_partition *b = other->partitions[i];
        compare->equal = a == b || (a != NULL && b != NULL && partition_equal(a, b));
    }
    return compare->equal;
}

static bool compare_broker(void *ctx, const struct image_broker *a)
{
    struct compare *compare = ctx;
    const struct image_broker *b = image_broker(compare->other, a->id);
    compare->equal =
        b != NULL && a->epoch == b->epoch && uuid_equal(&a->incarnation_id, &b->incarnation_id) &&
        text_equal(a->rack, b->rack) && a->fenced == b->fenced &&
        a->in_controlled_shutdown == b->in_controlled_shutdown &&
        a->endpoint_count == b->endpoint_count && a->feature_count == b->feature_count &&
        endpoints_equal(a->endpoints, b->endpoints, a->endpoint_count) &&
        ranges_equal(a->features, b->features, a->feature_count) &&
        uuids_equal(a->log_dirs, a->log_dir_count, b->log_dirs, b->log_dir_count) &&
        uuids_equal(a->cordoned_log_dirs, a->cordoned_log_dir_count, b->cordoned_log_dirs,
                    b->cordoned_log_dir_count);
    return compare->equal;
}

static bool compare_controller(void *ctx, const struct image_controller *a)
{
    struct compare *compare = ctx;
    const struct image_controller *b = image_controller(compare->other, a->id);
    compare->equal = b != NULL && uuid_equal(&a->incarnation_id, &b->incarnation_id) &&
                     a->endpoint_count == b->endpoint_count &&
                     a->feature_count == b->feature_count &&
                     endpoints_equal(a->endpoints, b->endpoints, a->endpoint_count) &&
                     ranges_equal(a->features, b->features, a->feature_count);
    return compare->equal;
}

static bool compare_configs(void *ctx, const struct image_configs *a)
{
    struct compare *compare = ctx;
    const struct image_configs *b = image_configs(compare->other, a->type, a->name);
    compare->equal = b != NULL && a->count == b->count;
    for (int32_t i = 0; compare->equal && i < a->count; i++) {
        compare->equal = text_equal(a->items[i].key, b->items[i].key) &&
                         text_equal(a->items[i].value, b->items[i].value);
    }
    return compare->equal;
}

static bool compare_feature(void *ctx, const struct image_feature *a)
{
    struct compare *compare = ctx;
    compare->equal = image_feature_level(compare->other, a->name) == a->level;
    return compare->equal;
}

bool image_equal(const struct image *a, const struct image *b)
{
    if (a->topics.count != b->topics.count || a->brokers.count != b->brokers.count ||
        a->controllers.count != b->controllers.count || a->configs.count != b->configs.count ||
        a->features.count != b->features.count || a->next_producer_id != b->next_producer_id ||
        a->partition_count != b->partition_count || a->offset != b->offset ||
        a->epoch != b->epoch || a->in_transaction != b->in_transaction ||
        a->pending_count != b->pending_count) {
        return false;
    }
    struct compare compare = {b, true};
    image_each_topic(a, compare_topic, &compare);
    if (compare.equal) {
        image_each_broker(a, compare_broker, &compare);
    }
    if (compare.equal) {
        image_each_controller(a, compare_controller, &compare);
    }
    if (compare.equal) {
        image_each_configs(a, compare_configs, &compare);
    }
    if (compare.equal) {
        image_each_feature(a, compare_feature, &compare);
    }
    return compare.equal;
}
