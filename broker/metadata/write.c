/* An image as records, in the order of Kafka's MetadataImage.write: features (metadata.version
 * first, since it says how to read what follows), brokers, controllers, each topic with its
 * partitions, settings, producer ids. Applied to an empty image they make the same one. */
#include <string.h>

#include "broker/metadata/image_internal.h"
#include "broker/metadata/record.h"
#include "common/wire/messages.h"

/* metadata.version levels at which the records gained what they may say. */
enum { DIRECTORIES_SINCE = 17, ELR_SINCE = 23, CORDONED_SINCE = 30 };

static const char version_feature[] = "metadata.version";

int16_t image_broker_record_version(const struct image *image)
{
    int16_t level = image_feature_level(image, version_feature);
    return level >= CORDONED_SINCE ? 4 : level >= DIRECTORIES_SINCE ? 3 : 2;
}

int16_t image_partition_record_version(const struct image *image)
{
    int16_t level = image_feature_level(image, version_feature);
    return level >= ELR_SINCE ? 2 : level >= DIRECTORIES_SINCE ? 1 : 0;
}

struct writing {
    const struct image *image;
    struct record_list records; /* one at a time */
    struct arena arena;         /* of that one */
    image_put_fn *put;
    void *ctx;
    enum err error;
};

static bool put(struct writing *w, enum record_key key, int16_t version, const void *msg)
{
    ASSERT(w->error == ERR_NONE && w->records.count == 0);
    record_list_add(&w->records, key, version, msg);
    struct wire_bytes record = record_list_at(&w->records, 0);
    w->error = w->put(w->ctx, record.data, (size_t)record.size);
    record_list_cut(&w->records, 0);
    arena_free(&w->arena);
    return w->error == ERR_NONE;
}

static void *copy(struct writing *w, const void *items, int32_t count, size_t size)
{
    return count <= 0 ? NULL : arena_dup(&w->arena, items, (size_t)count * size);
}

/* ---- features ---- */

static bool put_level(struct writing *w, const char *name, int16_t level)
{
    struct feature_level_record record;
    wire_defaults(&wire_feature_level_record, &record);
    record.name = wire_str(name);
    record.feature_level = level;
    return put(w, RECORD_FEATURE_LEVEL, 0, &record);
}

static bool each_feature(void *ctx, const struct image_feature *feature)
{
    return strcmp(feature->name, version_feature) == 0 ||
           put_level(ctx, feature->name, feature->level);
}

static void write_features(struct writing *w)
{
    int16_t level = image_feature_level(w->image, version_feature);
    if (level == 0 || put_level(w, version_feature, level)) {
        image_each_feature(w->image, each_feature, w);
    }
}

/* ---- nodes ---- */

static bool each_broker(void *ctx, const struct image_broker *broker)
{
    struct writing *w = ctx;
    int16_t version = image_broker_record_version(w->image);
    struct register_broker_record record;
    wire_defaults(&wire_register_broker_record, &record);
    record.broker_id = broker->id;
    record.incarnation_id = broker->incarnation_id;
    record.broker_epoch = broker->epoch;
    record.rack = broker->rack == NULL ? WIRE_STR_NULL : wire_str(broker->rack);
    record.fenced = broker->fenced;
    record.in_controlled_shutdown = broker->in_controlled_shutdown;
    record.end_points.count = broker->endpoint_count;
    record.end_points.items =
        arena_array(&w->arena, (size_t)broker->endpoint_count, sizeof *record.end_points.items);
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        const struct image_endpoint *of = &broker->endpoints[i];
        record.end_points.items[i] = (struct register_broker_record_end_point){
            wire_str(of->listener), wire_str(of->host), of->port, of->security_protocol};
    }
    record.features.count = broker->feature_count;
    record.features.items =
        arena_array(&w->arena, (size_t)broker->feature_count, sizeof *record.features.items);
    for (int32_t i = 0; i < broker->feature_count; i++) {
        const struct image_feature_range *of = &broker->features[i];
        record.features.items[i] =
            (struct register_broker_record_feature){wire_str(of->name), of->min, of->max};
    }
    if (version >= 3 && broker->log_dir_count > 0) {
        record.log_dirs.items =
            copy(w, broker->log_dirs, broker->log_dir_count, sizeof(struct uuid));
        record.log_dirs.count = broker->log_dir_count;
    }
    if (version >= 4 && broker->cordoned_log_dir_count > 0) {
        record.cordoned_log_dirs.items =
            copy(w, broker->cordoned_log_dirs, broker->cordoned_log_dir_count, sizeof(struct uuid));
        record.cordoned_log_dirs.count = broker->cordoned_log_dir_count;
    }
    return put(w, RECORD_REGISTER_BROKER, version, &record);
}

static bool each_controller(void *ctx, const struct image_controller *controller)
{
    struct writing *w = ctx;
    struct register_controller_record record;
    wire_defaults(&wire_register_controller_record, &record);
    record.controller_id = controller->id;
    record.incarnation_id = controller->incarnation_id;
    record.end_points.count = controller->endpoint_count;
    record.end_points.items =
        arena_array(&w->arena, (size_t)controller->endpoint_count, sizeof *record.end_points.items);
    for (int32_t i = 0; i < controller->endpoint_count; i++) {
        const struct image_endpoint *of = &controller->endpoints[i];
        record.end_points.items[i] = (struct register_controller_record_end_point){
            wire_str(of->listener), wire_str(of->host), of->port, of->security_protocol};
    }
    record.features.count = controller->feature_count;
    record.features.items =
        arena_array(&w->arena, (size_t)controller->feature_count, sizeof *record.features.items);
    for (int32_t i = 0; i < controller->feature_count; i++) {
        const struct image_feature_range *of = &controller->features[i];
        record.features.items[i] =
            (struct register_controller_record_feature){wire_str(of->name), of->min, of->max};
    }
    return put(w, RECORD_REGISTER_CONTROLLER, 0, &record);
}

/* ---- topics ---- */

/* Into an array field of a record. */
#define PUT_IDS(field, of)                                                                         \
    do {                                                                                           \
        (field).items = copy(w, (of).ids, (of).count, sizeof(int32_t));                            \
        (field).count = (of).count;                                                                \
    } while (0)

static bool put_partition(struct writing *w, const struct uuid *topic_id,
                          const struct image_partition *partition)
{
    int16_t version = image_partition_record_version(w->image);
    struct partition_record record;
    wire_defaults(&wire_partition_record, &record);
    record.partition_id = partition->partition;
    record.topic_id = *topic_id;
    PUT_IDS(record.replicas, partition->replicas);
    PUT_IDS(record.isr, partition->isr);
    PUT_IDS(record.removing_replicas, partition->removing);
    PUT_IDS(record.adding_replicas, partition->adding);
    record.leader = partition->leader;
    record.leader_recovery_state = (int8_t)partition->recovery;
    record.leader_epoch = partition->leader_epoch;
    record.partition_epoch = partition->partition_epoch;
    if (version >= 1) {
        int32_t count = partition->replicas.count;
        record.directories.items = copy(w, partition->directories, count, sizeof(struct uuid));
        record.directories.count = count;
    }
    if (version >= 2 && partition->elr.count > 0) {
        PUT_IDS(record.eligible_leader_replicas, partition->elr);
    }
    if (version >= 2 && partition->last_known_elr.count > 0) {
        PUT_IDS(record.last_known_elr, partition->last_known_elr);
    }
    return put(w, RECORD_PARTITION, version, &record);
}

static bool each_topic(void *ctx, const struct image_topic *topic)
{
    struct writing *w = ctx;
    struct topic_record record;
    wire_defaults(&wire_topic_record, &record);
    record.name = wire_str(topic->name);
    record.topic_id = topic->id;
    bool ok = put(w, RECORD_TOPIC, 0, &record);
    for (int32_t i = 0; ok && i < topic->partition_count; i++) {
        if (topic->partitions[i] != NULL) {
            ok = put_partition(w, &topic->id, topic->partitions[i]);
        }
    }
    return ok;
}

/* ---- settings, producer ids ---- */

static bool each_configs(void *ctx, const struct image_configs *configs)
{
    struct writing *w = ctx;
    bool ok = true;
    for (int32_t i = 0; ok && i < configs->count; i++) {
        struct config_record record;
        wire_defaults(&wire_config_record, &record);
        record.resource_type = (int8_t)configs->type;
        record.resource_name = wire_str(configs->name);
        record.name = wire_str(configs->items[i].key);
        record.value = wire_str(configs->items[i].value);
        ok = put(w, RECORD_CONFIG, 0, &record);
    }
    return ok;
}

static void write_producer_ids(struct writing *w)
{
    if (w->image->next_producer_id <= 0) {
        return;
    }
    struct producer_ids_record record;
    wire_defaults(&wire_producer_ids_record, &record);
    record.broker_id = -1; /* whose block was the last is not remembered */
    record.broker_epoch = -1;
    record.next_producer_id = w->image->next_producer_id;
    (void)put(w, RECORD_PRODUCER_IDS, 0, &record);
}

enum err image_write(const struct image *image, image_put_fn *each, void *ctx)
{
    ASSERT(!image->in_transaction && each != NULL);
    struct writing w = {.image = image, .put = each, .ctx = ctx, .error = ERR_NONE};
    write_features(&w);
    if (w.error == ERR_NONE) {
        image_each_broker(image, each_broker, &w);
    }
    if (w.error == ERR_NONE) {
        image_each_controller(image, each_controller, &w);
    }
    if (w.error == ERR_NONE) {
        image_each_topic(image, each_topic, &w);
    }
    if (w.error == ERR_NONE) {
        image_each_configs(image, each_configs, &w);
    }
    if (w.error == ERR_NONE) {
        write_producer_ids(&w);
    }
    record_list_free(&w.records);
    arena_free(&w.arena);
    return w.error;
}
