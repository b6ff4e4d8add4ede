#include "broker/metadata/image.h"

#include <string.h>

#include "broker/metadata/image_internal.h"

/* ---- life -------------------------------------------------------------------------------------
 */

struct image *image_new(void)
{
    struct image *image = mem_zalloc(sizeof *image);
    image->offset = -1;
    image->epoch = -1;
    image->timestamp_ms = -1;
    return image;
}

struct image *image_clone(const struct image *image)
{
    ASSERT(image->names.count == image->topics.count);
    ASSERT(image->in_transaction || image->pending_count == 0);
    struct image *clone = mem_alloc(sizeof *clone);
    *clone = *image;
    clone->topics = pmap_clone(&image->topics);
    clone->names = pmap_clone(&image->names);
    clone->brokers = pmap_clone(&image->brokers);
    clone->controllers = pmap_clone(&image->controllers);
    clone->configs = pmap_clone(&image->configs);
    clone->features = pmap_clone(&image->features);
    clone->members = pmap_clone(&image->members);
    clone->pending = NULL;
    clone->pending_count = 0;
    clone->pending_capacity = 0;
    for (size_t i = 0; i < image->pending_count; i++) {
        struct pending_record *to =
            MEM_PUSH(clone->pending, clone->pending_count, clone->pending_capacity);
        *to = image->pending[i];
        buf_ref(to->record);
    }
    return clone;
}

static void clear(struct image *image)
{
    pmap_clear(&image->topics);
    pmap_clear(&image->names);
    pmap_clear(&image->brokers);
    pmap_clear(&image->controllers);
    pmap_clear(&image->configs);
    pmap_clear(&image->features);
    pmap_clear(&image->members);
    for (size_t i = 0; i < image->pending_count; i++) {
        buf_unref(image->pending[i].record);
    }
    mem_free(image->pending);
}

void image_free(struct image *image)
{
    if (image != NULL) {
        clear(image);
        mem_free(image);
    }
}

void image_take(struct image *to, struct image *from)
{
    ASSERT(to != from && to != NULL && from != NULL);
    clear(to);
    *to = *from;
    mem_free(from);
}

/* ---- lookup -----------------------------------------------------------------------------------
 */

const struct image_topic *image_topic_by_text(const struct image *image, const char *name,
                                              size_t size)
{
    ASSERT(name != NULL || size == 0);
    struct pmap_value *value = pmap_get(&image->names, KEY_TEXT(name, size));
    return value == NULL ? NULL : image_topic_by_id(image, &NODE_OF(value, name_node)->id);
}

const struct image_topic *image_topic_by_name(const struct image *image, const char *name)
{
    return image_topic_by_text(image, name, strlen(name));
}

const struct image_topic *image_topic_by_id(const struct image *image, const struct uuid *id)
{
    struct pmap_value *value = pmap_get(&image->topics, KEY_UUID(id));
    ASSERT(value == NULL || uuid_equal(&NODE_OF(value, topic_node)->pub.id, id));
    return value == NULL ? NULL : &NODE_OF(value, topic_node)->pub;
}

const struct image_partition *image_partition_of(const struct image *image,
                                                 const struct uuid *topic_id, int32_t partition)
{
    const struct image_topic *topic = image_topic_by_id(image, topic_id);
    if (topic == NULL || partition < 0 || partition >= topic->partition_count) {
        return NULL;
    }
    ASSERT(topic->partitions[partition] == NULL ||
           topic->partitions[partition]->partition == partition);
    return topic->partitions[partition];
}

const struct image_broker *image_broker(const struct image *image, int32_t id)
{
    struct pmap_value *value = pmap_get(&image->brokers, KEY_ID(id));
    ASSERT(value == NULL || NODE_OF(value, broker_node)->pub.id == id);
    return value == NULL ? NULL : &NODE_OF(value, broker_node)->pub;
}

const struct image_controller *image_controller(const struct image *image, int32_t id)
{
    struct pmap_value *value = pmap_get(&image->controllers, KEY_ID(id));
    ASSERT(value == NULL || NODE_OF(value, controller_node)->pub.id == id);
    return value == NULL ? NULL : &NODE_OF(value, controller_node)->pub;
}

const struct image_endpoint *image_broker_endpoint(const struct image_broker *broker,
                                                   const char *listener)
{
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        if (strcmp(broker->endpoints[i].listener, listener) == 0) {
            return &broker->endpoints[i];
        }
    }
    return NULL;
}

const struct image_configs *image_configs(const struct image *image, enum image_resource type,
                                          const char *name)
{
    struct bytes scratch = {0};
    struct pmap_value *value =
        pmap_get(&image->configs, configs_key(type, name, strlen(name), &scratch));
    bytes_free(&scratch);
    ASSERT(value == NULL || NODE_OF(value, configs_node)->pub.count > 0);
    return value == NULL ? NULL : &NODE_OF(value, configs_node)->pub;
}

const char *image_config_value(const struct image *image, enum image_resource type,
                               const char *name, const char *key)
{
    const struct image_configs *configs = image_configs(image, type, name);
    int32_t low = 0;
    int32_t high = configs == NULL ? 0 : configs->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = strcmp(configs->items[middle].key, key);
        if (order == 0) {
            return configs->items[middle].value;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

int16_t image_feature_level(const struct image *image, const char *name)
{
    struct pmap_value *value = pmap_get(&image->features, KEY_TEXT(name, strlen(name)));
    return value == NULL ? 0 : NODE_OF(value, feature_node)->pub.level;
}

int64_t image_next_producer_id(const struct image *image)
{
    return image->next_producer_id;
}

int64_t image_offset(const struct image *image)
{
    return image->offset;
}

int32_t image_epoch(const struct image *image)
{
    return image->epoch;
}

int64_t image_timestamp_ms(const struct image *image)
{
    return image->timestamp_ms;
}

bool image_in_transaction(const struct image *image)
{
    return image->in_transaction;
}

size_t image_topic_count(const struct image *image)
{
    return image->topics.count;
}

size_t image_partition_count(const struct image *image)
{
    return image->partition_count;
}

size_t image_broker_count(const struct image *image)
{
    return image->brokers.count;
}

/* ---- iteration --------------------------------------------------------------------------------
 */

/* One walk over a map; what `each` really is depends on the map. */
struct walk {
    const struct image *image;
    bool (*topic)(void *ctx, const struct image_topic *topic);
    bool (*broker)(void *ctx, const struct image_broker *broker);
    bool (*controller)(void *ctx, const struct image_controller *controller);
    bool (*configs)(void *ctx, const struct image_configs *configs);
    bool (*feature)(void *ctx, const struct image_feature *feature);
    void *ctx;
};

static bool walk_name(void *ctx, struct pmap_value *value)
{
    struct walk *walk = ctx;
    const struct image_topic *topic =
        image_topic_by_id(walk->image, &NODE_OF(value, name_node)->id);
    ASSERT(topic != NULL);
    return walk->topic(walk->ctx, topic);
}

static bool walk_broker(void *ctx, struct pmap_value *value)
{
    struct walk *walk = ctx;
    return walk->broker(walk->ctx, &NODE_OF(value, broker_node)->pub);
}

static bool walk_controller(void *ctx, struct pmap_value *value)
{
    struct walk *walk = ctx;
    return walk->controller(walk->ctx, &NODE_OF(value, controller_node)->pub);
}

static bool walk_configs(void *ctx, struct pmap_value *value)
{
    struct walk *walk = ctx;
    return walk->configs(walk->ctx, &NODE_OF(value, configs_node)->pub);
}

static bool walk_feature(void *ctx, struct pmap_value *value)
{
    struct walk *walk = ctx;
    return walk->feature(walk->ctx, &NODE_OF(value, feature_node)->pub);
}

#define FROM_START ((struct pmap_key){NULL, 0})

void image_each_topic_from(const struct image *image, const char *from,
                           bool (*each)(void *ctx, const struct image_topic *topic), void *ctx)
{
    ASSERT(each != NULL && from != NULL);
    struct walk walk = {.image = image, .topic = each, .ctx = ctx};
    pmap_each(&image->names, KEY_TEXT(from, strlen(from)), walk_name, &walk);
}

void image_each_topic(const struct image *image,
                      bool (*each)(void *ctx, const struct image_topic *topic), void *ctx)
{
    image_each_topic_from(image, "", each, ctx);
}

void image_each_broker(const struct image *image,
                       bool (*each)(void *ctx, const struct image_broker *broker), void *ctx)
{
    struct walk walk = {.broker = each, .ctx = ctx};
    pmap_each(&image->brokers, FROM_START, walk_broker, &walk);
}

void image_each_controller(const struct image *image,
                           bool (*each)(void *ctx, const struct image_controller *controller),
                           void *ctx)
{
    struct walk walk = {.controller = each, .ctx = ctx};
    pmap_each(&image->controllers, FROM_START, walk_controller, &walk);
}

void image_each_configs(const struct image *image,
                        bool (*each)(void *ctx, const struct image_configs *configs), void *ctx)
{
    struct walk walk = {.configs = each, .ctx = ctx};
    pmap_each(&image->configs, FROM_START, walk_configs, &walk);
}

void image_each_feature(const struct image *image,
                        bool (*each)(void *ctx, const struct image_feature *feature), void *ctx)
{
    struct walk walk = {.feature = each, .ctx = ctx};
    pmap_each(&image->features, FROM_START, walk_feature, &walk);
}
