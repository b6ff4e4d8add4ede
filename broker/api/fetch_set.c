/* Sets of partitions that are fetched together. */
#include <string.h>

#include "broker/api/fetch.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static void on_watch(struct replica_watch *watch)
{
    struct fetch_part *part = CONTAINER_OF(watch, struct fetch_part, watch);
    part->fired = true;
    if (list_empty(&part->due)) {
        list_push(&part->set->due, &part->due);
    }
    if (part->set->fetch != NULL) {
        fetch_wake(part->set->fetch);
    }
}

void fetch_set_init(struct fetch_set *set, bool by_id)
{
    *set = (struct fetch_set){.by_id = by_id};
    list_init(&set->due);
}

/* The key of a partition, in place until the next call for the same buffer. */
static const uint8_t *key_of(const struct fetch_set *set, struct bytes *room, struct wire_str topic,
                             const struct uuid *topic_id, int32_t partition)
{
    room->size = 0;
    bytes_append(room, &partition, sizeof partition);
    if (set->by_id) {
        bytes_append(room, topic_id, sizeof *topic_id);
    } else if (topic.size > 0) {
        bytes_append(room, topic.data, (size_t)topic.size);
    }
    return room->data;
}

static struct fetch_part *find(struct fetch_set *set, const uint8_t *key, size_t size)
{
    struct fetch_part *part = NULL;
    HASH_FIND(hh, set->parts, key, size, part);
    return part;
}

static struct fetch_part *part_new(struct fetch_set *set, const uint8_t *key, size_t size)
{
    struct fetch_part *part = mem_zalloc(sizeof *part + size);
    part->set = set;
    list_init(&part->due);
    list_init(&part->touched);
    list_init(&part->watch.node);
    part->watch.fire = on_watch;
    part->told_high_watermark = -1;
    part->told_log_start = -1;
    part->key_size = (uint32_t)size;
    memcpy(part->key, key, size);
    HASH_ADD_KEYPTR(hh, set->parts, part->key, size, part);
    return part;
}

static void part_free(struct fetch_part *part)
{
    ASSERT(list_empty(&part->touched) && part->range.file == NULL);
    replica_watch_cancel(&part->watch);
    list_remove(&part->due);
    HASH_DEL(part->set->parts, part);
    mem_free(part);
}

void fetch_set_free(struct fetch_set *set)
{
    struct fetch_part *part = NULL;
    struct fetch_part *next = NULL;
    ASSERT(set->fetch == NULL);
    HASH_ITER(hh, set->parts, part, next)
    {
        part_free(part);
    }
    replica_pulse_unref(set->pulse);
    set->pulse = NULL;
}

int32_t fetch_set_count(const struct fetch_set *set)
{
    return (int32_t)HASH_COUNT(set->parts);
}

static void name_part(struct fetch_part *part, const struct fetch_request_partition *asked)
{
    if (asked->current_leader_epoch != part->asked.current_leader_epoch) {
        part->told_high_watermark = -1; /* what another epoch told need not have been heard */
        part->told_log_start = -1;
    }
    part->asked = *asked;
    bool says = asked->high_watermark != INT64_MAX;
    part->known_high_watermark =
        says || part->told_high_watermark < 0 ? asked->high_watermark : part->told_high_watermark;
    if (list_empty(&part->due)) {
        list_push(&part->set->due, &part->due);
    }
}

void fetch_set_name(struct fetch_set *set, const struct fetch_request *body)
{
    struct bytes room = {0};
    ASSERT(set->fetch == NULL);
    for (int32_t i = 0; i < body->topics.count; i++) {
        const struct fetch_request_topic *topic = &body->topics.items[i];
        for (int32_t k = 0; k < topic->partitions.count; k++) {
            const struct fetch_request_partition *asked = &topic->partitions.items[k];
            const uint8_t *key =
                key_of(set, &room, topic->topic, &topic->topic_id, asked->partition);
            struct fetch_part *part = find(set, key, room.size);
            name_part(part != NULL ? part : part_new(set, key, room.size), asked);
        }
    }
    bytes_free(&room);
}

static void forget(struct fetch_part *part, struct replicas *replicas)
{
    struct uuid id = part->set->by_id ? fetch_part_topic_id(part) : part->topic_id;
    struct replica *replica = replicas_find(replicas, &id, part->asked.partition);
    if (replica != NULL && part->set->pulse != NULL) {
        replica_pulse_leave(replica, part->set->pulse);
    }
    part_free(part);
}

void fetch_set_forget(struct fetch_set *set, const struct fetch_request *body,
                      struct replicas *replicas)
{
    struct bytes room = {0};
    ASSERT(set->fetch == NULL);
    for (int32_t i = 0; i < body->forgotten_topics_data.count; i++) {
        __typeof__(&body->forgotten_topics_data.items[0]) topic =
            &body->forgotten_topics_data.items[i];
        for (int32_t k = 0; k < topic->partitions.count; k++) {
            const uint8_t *key =
                key_of(set, &room, topic->topic, &topic->topic_id, topic->partitions.items[k]);
            struct fetch_part *part = find(set, key, room.size);
            if (part != NULL) {
                forget(part, replicas);
            }
        }
    }
    bytes_free(&room);
}

/* ---- a partition of a set ---------------------------------------------------------------------
 */

bool fetch_part_same_topic(const struct fetch_part *a, const struct fetch_part *b)
{
    size_t number = sizeof a->asked.partition;
    return a->key_size == b->key_size &&
           memcmp(a->key + number, b->key + number, a->key_size - number) == 0;
}

struct wire_str fetch_part_topic_name(const struct fetch_part *part)
{
    size_t number = sizeof part->asked.partition;
    struct wire_str name = wire_str("");
    if (!part->set->by_id) {
        name.data = (const char *)part->key + number;
        name.size = (int32_t)(part->key_size - number);
    }
    return name;
}

struct uuid fetch_part_topic_id(const struct fetch_part *part)
{
    struct uuid id = uuid_zero();
    if (part->set->by_id) {
        ASSERT(part->key_size == sizeof part->asked.partition + sizeof id);
        memcpy(&id, part->key + sizeof part->asked.partition, sizeof id);
    }
    return id;
}

bool fetch_part_changed(const struct fetch_part *part)
{
    const struct fetch_response_partition *out = &part->out;
    return out->error_code != KAFKA_NONE || part->range.file != NULL ||
           out->diverging_epoch.epoch >= 0 || out->preferred_read_replica >= 0 ||
           out->high_watermark != part->told_high_watermark ||
           out->log_start_offset != part->told_log_start;
}

void fetch_part_told(struct fetch_part *part)
{
    bool error = part->out.error_code != KAFKA_NONE;
    part->told_high_watermark = error ? -1 : part->out.high_watermark;
    part->told_log_start = error ? -1 : part->out.log_start_offset;
    if (!error) {
        part->known_high_watermark = part->out.high_watermark;
    }
}
