/* Topics and partitions, by their records. */
#include <inttypes.h>
#include <string.h>

#include "broker/metadata/image_internal.h"
#include "common/wire/messages.h"

enum { LEADER_UNCHANGED = -2, RECOVERY_UNCHANGED = -1, TOPIC_NAME_BYTES_MAX = 249 };

/* KIP-858: what a record without directories says of each replica. */
static struct uuid directory_migrating(void)
{
    return uuid_from_number(2);
}

static enum err no_topic(const struct apply_ctx *ctx, const struct uuid *id)
{
    char text[UUID_TEXT_BYTES];
    err_set(ctx->text, "topic id %s does not exist", uuid_format(id, text));
    return ERR_NOT_FOUND;
}

enum err apply_topic(struct apply_ctx *ctx, const void *msg)
{
    const struct topic_record *record = msg;
    struct image *image = ctx->image;
    if (record->name.size <= 0 || record->name.size > TOPIC_NAME_BYTES_MAX ||
        memchr(record->name.data, '\0', (size_t)record->name.size) != NULL) {
        err_set(ctx->text, "a topic name of %" PRId32 " bytes", record->name.size);
        return ERR_INVALID;
    }
    size_t size = (size_t)record->name.size;
    struct pmap_key name = KEY_TEXT(record->name.data, size);
    if (pmap_get(&image->names, name) != NULL ||
        pmap_get(&image->topics, KEY_UUID(&record->topic_id)) != NULL) {
        err_set(ctx->text, "topic %.*s or its id exists already", (int)size, record->name.data);
        return ERR_EXISTS;
    }
    struct topic_node *topic = topic_new(record->name.data, size, &record->topic_id);
    pmap_put(&image->topics, KEY_UUID(&record->topic_id), &topic->value);
    pmap_put(&image->names, name, name_new(&record->topic_id));
    delta_topic_created(ctx->delta, &record->topic_id, topic->pub.name);
    return ERR_NONE;
}

enum err apply_remove_topic(struct apply_ctx *ctx, const void *msg)
{
    const struct remove_topic_record *record = msg;
    struct image *image = ctx->image;
    const struct image_topic *topic = image_topic_by_id(image, &record->topic_id);
    if (topic == NULL) {
        return no_topic(ctx, &record->topic_id);
    }
    char *name = mem_strdup(topic->name);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        if (topic->partitions[i] != NULL) {
            image->partition_count--;
            members_changed(image, &topic->id, topic->partitions[i], NULL);
        }
    }
    delta_topic_deleted(ctx->delta, &record->topic_id, name);
    pmap_remove(&image->topics, KEY_UUID(&record->topic_id));
    bool removed = pmap_remove(&image->names, KEY_TEXT(name, strlen(name)));
    ASSERT(removed);
    if (configs_remove(image, IMAGE_RESOURCE_TOPIC, name, strlen(name))) {
        delta_configs(ctx->delta, IMAGE_RESOURCE_TOPIC, name);
    }
    mem_free(name);
    return ERR_NONE;
}

/* ---- partitions ---- */

#define IDS_OF(array) ((struct image_ids){(array).items, (array).count < 0 ? 0 : (array).count})

/* Directories for `count` replicas: as said, or "migrating" for each. NULL when the counts differ.
 */
static const struct uuid *directories_for(const struct apply_ctx *ctx, const struct uuid *said,
                                          int32_t said_count, int32_t count)
{
    if (said_count == count) {
        return said;
    }
    if (said_count > 0) {
        return NULL;
    }
    struct uuid *made = arena_array(ctx->arena, (size_t)count + 1, sizeof *made);
    for (int32_t i = 0; i < count; i++) {
        made[i] = directory_migrating();
    }
    return made;
}

static enum err put_partition(struct apply_ctx *ctx, const struct uuid *topic_id,
                              const struct image_partition *partition)
{
    ASSERT(partition->replicas.count > 0 && partition->directories != NULL);
    struct topic_node *topic = topic_own(ctx->image, topic_id);
    if (topic == NULL) {
        return no_topic(ctx, topic_id);
    }
    topic_set_partition(ctx->image, topic, partition_new(partition));
    delta_partition(ctx->delta, topic_id, topic->pub.name, partition->partition);
    return ERR_NONE;
}

enum err apply_partition(struct apply_ctx *ctx, const void *msg)
{
    const struct partition_record *record = msg;
    if (record->partition_id < 0 || record->partition_id >= IMAGE_PARTITIONS_MAX ||
        record->replicas.count <= 0) {
        err_set(ctx->text, "partition %" PRId32 " with %" PRId32 " replicas", record->partition_id,
                record->replicas.count);
        return ERR_INVALID;
    }
    struct image_partition partition = {
        .partition = record->partition_id,
        .leader = record->leader,
        .leader_epoch = record->leader_epoch,
        .partition_epoch = record->partition_epoch,
        .recovery = record->leader_recovery_state == 1 ? IMAGE_RECOVERING : IMAGE_RECOVERED,
        .replicas = IDS_OF(record->replicas),
        .isr = IDS_OF(record->isr),
        .elr = IDS_OF(record->eligible_leader_replicas),
        .last_known_elr = IDS_OF(record->last_known_elr),
        .adding = IDS_OF(record->adding_replicas),
        .removing = IDS_OF(record->removing_replicas),
        .directories = directories_for(ctx, record->directories.items, record->directories.count,
                                       record->replicas.count),
    };
    if (partition.directories == NULL) {
        err_set(ctx->text, "%" PRId32 " directories for %" PRId32 " replicas",
                record->directories.count, record->replicas.count);
        return ERR_INVALID;
    }
    return put_partition(ctx, &record->topic_id, &partition);
}

/* A partition whose epochs are used up takes no further change: they never run backwards. */
static enum err next_epoch(const struct apply_ctx *ctx, int32_t *epoch)
{
    if (*epoch == INT32_MAX) {
        err_set(ctx->text, "the partition's epoch cannot rise above %" PRId32, *epoch);
        return ERR_INVALID;
    }
    (*epoch)++;
    return ERR_NONE;
}

enum err apply_partition_change(struct apply_ctx *ctx, const void *msg)
{
    const struct partition_change_record *record = msg;
    const struct image_partition *old =
        image_partition_of(ctx->image, &record->topic_id, record->partition_id);
    if (old == NULL) {
        char text[UUID_TEXT_BYTES];
        err_set(ctx->text, "partition %" PRId32 " of topic id %s does not exist",
                record->partition_id, uuid_format(&record->topic_id, text));
        return ERR_NOT_FOUND;
    }
    ASSERT(old->partition == record->partition_id);
    struct image_partition partition = *old;
    enum err error = next_epoch(ctx, &partition.partition_epoch);
    if (error == ERR_NONE && record->leader != LEADER_UNCHANGED) {
        partition.leader = record->leader;
        error = next_epoch(ctx, &partition.leader_epoch);
    }
    if (error != ERR_NONE) {
        return error;
    }
    if (record->leader_recovery_state != RECOVERY_UNCHANGED) {
        partition.recovery =
            record->leader_recovery_state == 1 ? IMAGE_RECOVERING : IMAGE_RECOVERED;
    }
#define CHANGE(field, array)                                                                       \
    if (record->array.count >= 0) {                                                                \
        partition.field = IDS_OF(record->array);                                                   \
    }
    CHANGE(replicas, replicas)
    CHANGE(isr, isr)
    CHANGE(adding, adding_replicas)
    CHANGE(removing, removing_replicas)
    CHANGE(elr, eligible_leader_replicas)
    CHANGE(last_known_elr, last_known_elr)
#undef CHANGE
    bool said = record->directories.count >= 0;
    partition.directories = directories_for(
        ctx, said ? record->directories.items : old->directories,
        said ? record->directories.count : old->replicas.count, partition.replicas.count);
    if (partition.replicas.count == 0 || partition.directories == NULL) {
        err_set(ctx->text, "%" PRId32 " replicas without a directory each",
                partition.replicas.count);
        return ERR_INVALID;
    }
    return put_partition(ctx, &record->topic_id, &partition);
}

/* ---- ClearElr (KIP-966): of one topic, or of all when it names none ---- */

static enum err clear_elr(struct apply_ctx *ctx, const struct image_topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_partition *old = topic->partitions[i];
        if (old == NULL || (old->elr.count == 0 && old->last_known_elr.count == 0)) {
            continue;
        }
        struct image_partition partition = *old;
        enum err error = next_epoch(ctx, &partition.partition_epoch);
        if (error != ERR_NONE) {
            return error;
        }
        partition.elr.count = 0;
        partition.last_known_elr.count = 0;
        struct topic_node *own = topic_own(ctx->image, &topic->id);
        ASSERT(own != NULL);
        topic = &own->pub; /* the old one may have been another image's */
        topic_set_partition(ctx->image, own, partition_new(&partition));
        delta_partition(ctx->delta, &topic->id, topic->name, i);
    }
    return ERR_NONE;
}

struct id_list {
    struct uuid *ids;
    size_t count;
    size_t capacity;
};

static bool collect_id(void *ctx, const struct image_topic *topic)
{
    struct id_list *list = ctx;
    *MEM_PUSH(list->ids, list->count, list->capacity) = topic->id;
    return true;
}

enum err apply_clear_elr(struct apply_ctx *ctx, const void *msg)
{
    const struct clear_elr_record *record = msg;
    if (record->topic_name.size > 0) {
        const struct image_topic *topic = image_topic_by_text(ctx->image, record->topic_name.data,
                                                              (size_t)record->topic_name.size);
        if (topic == NULL) {
            err_set(ctx->text, "topic %.*s does not exist", (int)record->topic_name.size,
                    record->topic_name.data);
            return ERR_NOT_FOUND;
        }
        return clear_elr(ctx, topic);
    }
    struct id_list list = {0};
    image_each_topic(ctx->image, collect_id, &list);
    enum err error = ERR_NONE;
    for (size_t i = 0; i < list.count && error == ERR_NONE; i++) {
        error = clear_elr(ctx, image_topic_by_id(ctx->image, &list.ids[i]));
    }
    mem_free(list.ids);
    return error;
}
