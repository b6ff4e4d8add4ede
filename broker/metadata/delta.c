/* What changed, collected while records are applied. */
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"

#include "broker/metadata/image_internal.h"

struct delta_topic {
    struct image_delta_topic pub;
    int32_t *partitions;
    size_t capacity;
    UT_hash_handle hh;
};

struct image_delta_state {
    struct delta_topic *by_id;
    const struct image_delta_topic **topics;
    size_t topics_capacity;
    int32_t *brokers;
    size_t brokers_capacity;
    int32_t *controllers;
    size_t controllers_capacity;
    const struct image_delta_configs **configs;
    size_t configs_capacity;
    struct pmap configs_seen; /* type and name of those listed */
};

static struct image_delta_state *state_of(struct image_delta *delta)
{
    if (delta->state == NULL) {
        delta->state = mem_zalloc(sizeof *delta->state);
    }
    return delta->state;
}

bool image_delta_empty(const struct image_delta *delta)
{
    return delta->topic_count == 0 && delta->broker_count == 0 && delta->controller_count == 0 &&
           delta->configs_count == 0 && !delta->features && !delta->producer_ids;
}

static void topic_entry_free(struct delta_topic *topic)
{
    mem_free(topic->partitions);
    mem_free((void *)(uintptr_t)topic->pub.name);
    mem_free(topic);
}

void image_delta_clear(struct image_delta *delta)
{
    struct image_delta_state *state = delta->state;
    if (state != NULL) {
        HASH_CLEAR(hh, state->by_id);
        for (size_t i = 0; i < delta->topic_count; i++) {
            const char *pub = (const char *)delta->topics[i];
            topic_entry_free((struct delta_topic *)(uintptr_t)pub); /* pub is its first member */
        }
        for (size_t i = 0; i < delta->configs_count; i++) {
            mem_free((void *)(uintptr_t)delta->configs[i]->name);
            mem_free((void *)(uintptr_t)delta->configs[i]);
        }
        pmap_clear(&state->configs_seen);
        mem_free(state->topics);
        mem_free(state->brokers);
        mem_free(state->controllers);
        mem_free(state->configs);
        mem_free(state);
    }
    ASSERT(state != NULL || delta->topic_count == 0);
    *delta = (struct image_delta){0};
}

/* ---- topics ---- */

static struct delta_topic *topic_entry(struct image_delta *delta, const struct uuid *id,
                                       const char *name)
{
    ASSERT(name != NULL);
    struct image_delta_state *state = state_of(delta);
    struct delta_topic *topic = NULL;
    HASH_FIND(hh, state->by_id, id, sizeof *id, topic);
    if (topic != NULL) {
        return topic;
    }
    topic = mem_zalloc(sizeof *topic);
    topic->pub.id = *id;
    topic->pub.name = mem_strdup(name);
    HASH_ADD(hh, state->by_id, pub.id, sizeof topic->pub.id, topic);
    *MEM_PUSH(state->topics, delta->topic_count, state->topics_capacity) = &topic->pub;
    delta->topics = state->topics;
    return topic;
}

void delta_topic_created(struct image_delta *delta, const struct uuid *id, const char *name)
{
    if (delta == NULL) {
        return;
    }
    struct delta_topic *topic = topic_entry(delta, id, name);
    topic->pub.created = !topic->pub.deleted; /* the same id again: a change of what was there */
    topic->pub.deleted = false;
}

void delta_topic_deleted(struct image_delta *delta, const struct uuid *id, const char *name)
{
    if (delta == NULL) {
        return;
    }
    struct delta_topic *topic = topic_entry(delta, id, name);
    topic->pub.partition_count = 0;
    if (!topic->pub.created) {
        topic->pub.deleted = true;
        return;
    }
    struct image_delta_state *state = state_of(delta);
    HASH_DELETE(hh, state->by_id, topic);
    size_t at = 0;
    while (state->topics[at] != &topic->pub) {
        at++;
        ASSERT(at < delta->topic_count);
    }
    delta->topic_count--;
    memmove(&state->topics[at], &state->topics[at + 1],
            (delta->topic_count - at) * sizeof *state->topics);
    topic_entry_free(topic);
}

void delta_partition(struct image_delta *delta, const struct uuid *id, const char *name,
                     int32_t partition)
{
    if (delta == NULL) {
        return;
    }
    struct delta_topic *topic = topic_entry(delta, id, name);
    ASSERT(!topic->pub.deleted && partition >= 0);
    size_t low = 0;
    size_t high = (size_t)topic->pub.partition_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (topic->partitions[middle] < partition) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    size_t count = (size_t)topic->pub.partition_count;
    if (low < count && topic->partitions[low] == partition) {
        return;
    }
    topic->partitions =
        mem_grow(topic->partitions, count, &topic->capacity, sizeof *topic->partitions);
    memmove(&topic->partitions[low + 1], &topic->partitions[low],
            (count - low) * sizeof *topic->partitions);
    topic->partitions[low] = partition;
    topic->pub.partitions = topic->partitions;
    topic->pub.partition_count++;
}

/* ---- the rest ---- */

/* Nodes are few: a scan will do. */
static bool id_listed(const int32_t *ids, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

void delta_broker(struct image_delta *delta, int32_t id)
{
    if (delta != NULL && !id_listed(delta->brokers, delta->broker_count, id)) {
        struct image_delta_state *state = state_of(delta);
        *MEM_PUSH(state->brokers, delta->broker_count, state->brokers_capacity) = id;
        delta->brokers = state->brokers;
    }
}

void delta_controller(struct image_delta *delta, int32_t id)
{
    if (delta != NULL && !id_listed(delta->controllers, delta->controller_count, id)) {
        struct image_delta_state *state = state_of(delta);
        *MEM_PUSH(state->controllers, delta->controller_count, state->controllers_capacity) = id;
        delta->controllers = state->controllers;
    }
}

static void seen_free(struct pmap_value *value)
{
    mem_free(value);
}

void delta_configs(struct image_delta *delta, enum image_resource type, const char *name)
{
    if (delta == NULL) {
        return;
    }
    struct image_delta_state *state = state_of(delta);
    struct bytes scratch = {0};
    struct pmap_key key = configs_key(type, name, strlen(name), &scratch);
    if (pmap_get(&state->configs_seen, key) == NULL) {
        struct pmap_value *seen = mem_alloc(sizeof *seen);
        *seen = (struct pmap_value){1, seen_free};
        pmap_put(&state->configs_seen, key, seen);
        struct image_delta_configs *entry = mem_alloc(sizeof *entry);
        *entry = (struct image_delta_configs){type, mem_strdup(name)};
        *MEM_PUSH(state->configs, delta->configs_count, state->configs_capacity) = entry;
        delta->configs = state->configs;
    }
    bytes_free(&scratch);
}

/* ---- everything ---- */

static bool all_topic(void *ctx, const struct image_topic *topic)
{
    struct image_delta *delta = ctx;
    delta_topic_created(delta, &topic->id, topic->name);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        if (topic->partitions[i] != NULL) {
            delta_partition(delta, &topic->id, topic->name, i);
        }
    }
    return true;
}

static bool all_broker(void *ctx, const struct image_broker *broker)
{
    delta_broker(ctx, broker->id);
    return true;
}

static bool all_controller(void *ctx, const struct image_controller *controller)
{
    delta_controller(ctx, controller->id);
    return true;
}

static bool all_configs(void *ctx, const struct image_configs *configs)
{
    delta_configs(ctx, configs->type, configs->name);
    return true;
}

void image_delta_all(struct image_delta *delta, const struct image *image)
{
    image_each_topic(image, all_topic, delta);
    image_each_broker(image, all_broker, delta);
    image_each_controller(image, all_controller, delta);
    image_each_configs(image, all_configs, delta);
    delta->features = true;
    delta->producer_ids = true;
}
