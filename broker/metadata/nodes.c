/* The nodes an image is made of: making, copying, freeing, and getting a private one to change. */
#include <string.h>

#include "broker/metadata/image_internal.h"

struct id_key id_key_of(int32_t id)
{
    uint32_t bits = (uint32_t)id ^ UINT32_C(0x80000000); /* negative ids sort first */
    return (struct id_key){
        {(uint8_t)(bits >> 24), (uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits}};
}

static char *text_dup(const char *data, size_t size)
{
    char *text = mem_alloc(size + 1);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

/* ---- partitions: one block each, arrays behind the struct ---- */

struct partition_node {
    uint32_t refs;
    struct image_partition pub;
    struct uuid directories[];
};

static struct partition_node *partition_node_of(const struct image_partition *partition)
{
    const char *at = (const char *)partition - offsetof(struct partition_node, pub);
    return (struct partition_node *)(uintptr_t)at;
}

static struct image_ids ids_copy(int32_t **at, struct image_ids of)
{
    ASSERT(of.count >= 0);
    struct image_ids copy = {*at, of.count};
    if (of.count > 0) {
        memcpy(*at, of.ids, (size_t)of.count * sizeof **at);
    }
    *at += of.count;
    return copy;
}

const struct image_partition *partition_new(const struct image_partition *of)
{
    ASSERT(of->partition >= 0 && of->partition < IMAGE_PARTITIONS_MAX);
    ASSERT(of->replicas.count > 0 && of->directories != NULL);
    size_t id_count = (size_t)of->replicas.count + (size_t)of->isr.count + (size_t)of->elr.count +
                      (size_t)of->last_known_elr.count + (size_t)of->adding.count +
                      (size_t)of->removing.count;
    size_t dir_bytes = (size_t)of->replicas.count * sizeof(struct uuid);
    struct partition_node *node = mem_alloc(sizeof *node + dir_bytes + id_count * sizeof(int32_t));
    node->refs = 1;
    node->pub = *of;
    if (dir_bytes > 0) {
        memcpy(node->directories, of->directories, dir_bytes);
    }
    node->pub.directories = node->directories;
    int32_t *at = (int32_t *)(void *)((char *)node->directories + dir_bytes);
    node->pub.replicas = ids_copy(&at, of->replicas);
    node->pub.isr = ids_copy(&at, of->isr);
    node->pub.elr = ids_copy(&at, of->elr);
    node->pub.last_known_elr = ids_copy(&at, of->last_known_elr);
    node->pub.adding = ids_copy(&at, of->adding);
    node->pub.removing = ids_copy(&at, of->removing);
    return &node->pub;
}

static const struct image_partition *partition_ref(const struct image_partition *partition)
{
    if (partition != NULL) {
        ASSERT(partition_node_of(partition)->refs > 0);
        partition_node_of(partition)->refs++;
    }
    return partition;
}

void partition_unref(const struct image_partition *partition)
{
    if (partition != NULL) {
        struct partition_node *node = partition_node_of(partition);
        ASSERT(node->refs > 0);
        if (--node->refs == 0) {
            mem_free(node);
        }
    }
}

static bool ids_equal(struct image_ids a, struct image_ids b)
{
    return a.count == b.count &&
           (a.count == 0 || memcmp(a.ids, b.ids, (size_t)a.count * sizeof *a.ids) == 0);
}

bool partition_equal(const struct image_partition *a, const struct image_partition *b)
{
    return a->partition == b->partition && a->leader == b->leader &&
           a->leader_epoch == b->leader_epoch && a->partition_epoch == b->partition_epoch &&
           a->recovery == b->recovery && ids_equal(a->replicas, b->replicas) &&
           ids_equal(a->isr, b->isr) && ids_equal(a->elr, b->elr) &&
           ids_equal(a->last_known_elr, b->last_known_elr) && ids_equal(a->adding, b->adding) &&
           ids_equal(a->removing, b->removing) &&
           (a->replicas.count == 0 ||
            memcmp(a->directories, b->directories,
                   (size_t)a->replicas.count * sizeof *a->directories) == 0);
}

/* ---- topics ---- */

static void topic_free(struct pmap_value *value)
{
    struct topic_node *node = NODE_OF(value, topic_node);
    for (int32_t i = 0; i < node->pub.partition_count; i++) {
        partition_unref(node->partitions[i]);
    }
    mem_free(node->partitions);
    mem_free((void *)(uintptr_t)node->pub.name);
    mem_free(node);
}

struct topic_node *topic_new(const char *name, size_t size, const struct uuid *id)
{
    ASSERT(size > 0 && id != NULL);
    struct topic_node *node = mem_zalloc(sizeof *node);
    node->value = (struct pmap_value){1, topic_free};
    node->pub.name = text_dup(name, size);
    node->pub.id = *id;
    return node;
}

static void name_free(struct pmap_value *value)
{
    mem_free(NODE_OF(value, name_node));
}

struct pmap_value *name_new(const struct uuid *id)
{
    struct name_node *node = mem_zalloc(sizeof *node);
    node->value = (struct pmap_value){1, name_free};
    node->id = *id;
    return &node->value;
}

struct topic_node *topic_own(struct image *image, const struct uuid *id)
{
    struct pmap_value **slot = pmap_own(&image->topics, KEY_UUID(id));
    if (slot == NULL) {
        return NULL;
    }
    struct topic_node *node = NODE_OF(*slot, topic_node);
    ASSERT(node->value.refs > 0 && uuid_equal(&node->pub.id, id));
    if (node->value.refs == 1) {
        return node;
    }
    struct topic_node *copy = topic_new(node->pub.name, strlen(node->pub.name), id);
    size_t count = (size_t)node->pub.partition_count;
    copy->partitions = mem_array(count + 1, sizeof(struct image_partition *));
    copy->capacity = count + 1;
    for (size_t i = 0; i < count; i++) {
        copy->partitions[i] = partition_ref(node->partitions[i]);
    }
    copy->pub.partitions = copy->partitions;
    copy->pub.partition_count = node->pub.partition_count;
    pmap_value_unref(*slot);
    *slot = &copy->value;
    return copy;
}

void topic_set_partition(struct image *image, struct topic_node *topic,
                         const struct image_partition *partition)
{
    ASSERT(topic->value.refs == 1);
    ASSERT(partition->partition >= 0 && partition->partition < IMAGE_PARTITIONS_MAX);
    int32_t at = partition->partition;
    while (topic->pub.partition_count <= at) {
        size_t count = (size_t)topic->pub.partition_count++;
        topic->partitions =
            mem_grow(topic->partitions, count, &topic->capacity, sizeof *topic->partitions);
        topic->partitions[count] = NULL;
    }
    topic->pub.partitions = topic->partitions;
    if (topic->partitions[at] == NULL) {
        image->partition_count++;
    }
    members_changed(image, &topic->pub.id, topic->partitions[at], partition);
    partition_unref(topic->partitions[at]);
    topic->partitions[at] = partition;
}

/* ---- configs ---- */

struct pmap_key configs_key(enum image_resource type, const char *name, size_t size,
                            struct bytes *scratch)
{
    ASSERT(scratch->size == 0);
    uint8_t first = (uint8_t)type;
    bytes_append(scratch, &first, 1);
    if (size > 0) {
        bytes_append(scratch, name, size);
    }
    return (struct pmap_key){scratch->data, scratch->size};
}

static void configs_free(struct pmap_value *value)
{
    struct configs_node *node = NODE_OF(value, configs_node);
    for (int32_t i = 0; i < node->pub.count; i++) {
        mem_free((void *)(uintptr_t)node->items[i].key);
        mem_free((void *)(uintptr_t)node->items[i].value);
    }
    mem_free(node->items);
    mem_free((void *)(uintptr_t)node->pub.name);
    mem_free(node);
}

struct configs_node *configs_new(enum image_resource type, const char *name, size_t size)
{
    struct configs_node *node = mem_zalloc(sizeof *node);
    node->value = (struct pmap_value){1, configs_free};
    node->pub.type = type;
    node->pub.name = text_dup(name, size);
    return node;
}

struct configs_node *configs_own(struct image *image, enum image_resource type, const char *name,
                                 size_t size)
{
    struct bytes scratch = {0};
    struct pmap_value **slot = pmap_own(&image->configs, configs_key(type, name, size, &scratch));
    bytes_free(&scratch);
    if (slot == NULL) {
        return NULL;
    }
    struct configs_node *node = NODE_OF(*slot, configs_node);
    ASSERT(node->value.refs > 0 && node->pub.type == type);
    if (node->value.refs == 1) {
        return node;
    }
    struct configs_node *copy = configs_new(type, name, size);
    for (int32_t i = 0; i < node->pub.count; i++) {
        const struct image_config *item = &node->items[i];
        configs_set(copy, item->key, strlen(item->key), item->value, strlen(item->value));
    }
    pmap_value_unref(*slot);
    *slot = &copy->value;
    return copy;
}

/* The index of `key`, or where it belongs. */
static int32_t configs_find(const struct configs_node *node, const char *key, size_t size,
                            bool *found)
{
    int32_t low = 0;
    int32_t high = node->pub.count;
    *found = false;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = strncmp(node->items[middle].key, key, size);
        if (order == 0) {
            order = node->items[middle].key[size] == '\0' ? 0 : 1;
        }
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void configs_set(struct configs_node *node, const char *key, size_t key_size, const char *value,
                 size_t value_size)
{
    ASSERT(node->value.refs == 1);
    bool found = false;
    int32_t at = configs_find(node, key, key_size, &found);
    if (found) {
        mem_free((void *)(uintptr_t)node->items[at].value);
        node->items[at].value = text_dup(value, value_size);
        return;
    }
    ASSERT(at >= 0 && at <= node->pub.count);
    size_t count = (size_t)node->pub.count;
    node->items = mem_grow(node->items, count, &node->capacity, sizeof *node->items);
    memmove(&node->items[at + 1], &node->items[at], (count - (size_t)at) * sizeof *node->items);
    node->items[at] = (struct image_config){text_dup(key, key_size), text_dup(value, value_size)};
    node->pub.items = node->items;
    node->pub.count++;
}

void configs_unset(struct configs_node *node, const char *key, size_t key_size)
{
    ASSERT(node->value.refs == 1);
    bool found = false;
    int32_t at = configs_find(node, key, key_size, &found);
    if (!found) {
        return;
    }
    mem_free((void *)(uintptr_t)node->items[at].key);
    mem_free((void *)(uintptr_t)node->items[at].value);
    node->pub.count--;
    memmove(&node->items[at], &node->items[at + 1],
            (size_t)(node->pub.count - at) * sizeof *node->items);
}

bool configs_remove(struct image *image, enum image_resource type, const char *name, size_t size)
{
    struct bytes scratch = {0};
    bool removed = pmap_remove(&image->configs, configs_key(type, name, size, &scratch));
    bytes_free(&scratch);
    return removed;
}

/* ---- brokers, controllers, features ---- */

static void broker_free(struct pmap_value *value)
{
    struct broker_node *node = NODE_OF(value, broker_node);
    arena_free(&node->arena);
    mem_free(node);
}

struct broker_node *broker_new(void)
{
    struct broker_node *node = mem_zalloc(sizeof *node);
    node->value = (struct pmap_value){1, broker_free};
    return node;
}

static void controller_free_node(struct pmap_value *value)
{
    struct controller_node *node = NODE_OF(value, controller_node);
    arena_free(&node->arena);
    mem_free(node);
}

struct controller_node *controller_new_node(void)
{
    struct controller_node *node = mem_zalloc(sizeof *node);
    node->value = (struct pmap_value){1, controller_free_node};
    return node;
}

static void feature_free(struct pmap_value *value)
{
    struct feature_node *node = NODE_OF(value, feature_node);
    mem_free((void *)(uintptr_t)node->pub.name);
    mem_free(node);
}

struct feature_node *feature_new(const char *name, size_t size, int16_t level)
{
    struct feature_node *node = mem_zalloc(sizeof *node);
    node->value = (struct pmap_value){1, feature_free};
    node->pub.name = text_dup(name, size);
    ASSERT(level > 0);
    node->pub.level = level;
    return node;
}
