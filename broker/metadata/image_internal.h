/* Inside room metadata: how an image is held.
 *
 * A topic hangs in `topics` by id; `names` leads from name to id, so that a topic has one place
 * only. Each node below embeds its public shape as `pub` and owns the text and arrays that it
 * points to. Partitions are never changed: a change puts a new one in the topic's array. */
#ifndef BROKER_METADATA_IMAGE_INTERNAL_H
#define BROKER_METADATA_IMAGE_INTERNAL_H

#include "broker/metadata/image.h"
#include "broker/metadata/pmap.h"
#include "common/base/arena.h"
#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/wire/wire.h"

struct topic_node {
    struct pmap_value value;
    struct image_topic pub;
    const struct image_partition **partitions; /* = pub.partitions */
    size_t capacity;
};

struct name_node {
    struct pmap_value value;
    struct uuid id;
};

struct broker_node {
    struct pmap_value value;
    struct image_broker pub;
    struct arena arena;
};

struct controller_node {
    struct pmap_value value;
    struct image_controller pub;
    struct arena arena;
};

struct configs_node {
    struct pmap_value value;
    struct image_configs pub;
    struct image_config *items; /* = pub.items */
    size_t capacity;
};

struct feature_node {
    struct pmap_value value;
    struct image_feature pub;
};

/* A record that waits for its transaction's end. */
struct pending_record {
    struct buf *record;
    int64_t offset;
    int32_t epoch;
    int64_t timestamp_ms;
};

struct image {
    struct pmap topics;
    struct pmap names;
    struct pmap brokers;
    struct pmap controllers;
    struct pmap configs;
    struct pmap features;
    struct pmap members; /* members.c */
    int64_t next_producer_id;
    size_t partition_count;
    int64_t offset;
    int32_t epoch;
    int64_t timestamp_ms;
    bool in_transaction;
    struct pending_record *pending;
    size_t pending_count;
    size_t pending_capacity;
};

/* What one record is applied with. */
struct apply_ctx {
    struct image *image;
    struct image_delta *delta; /* may be NULL */
    struct arena *arena;       /* of the decoded record */
    struct err_text *text;
};

/* ---- keys ---- */

struct id_key {
    uint8_t bytes[4];
};
struct id_key id_key_of(int32_t id);
#define KEY_ID(id)     ((struct pmap_key){id_key_of(id).bytes, 4})
#define KEY_UUID(u)    ((struct pmap_key){(u)->bytes, 16})
#define KEY_TEXT(s, n) ((struct pmap_key){(s), (n)})
/* type, name: in `scratch`, which the caller frees. */
struct pmap_key configs_key(enum image_resource type, const char *name, size_t size,
                            struct bytes *scratch);

/* ---- nodes ---- */

#define NODE_OF(value_ptr, type) CONTAINER_OF((value_ptr), struct type, value)

/* One reference; arrays are copied. */
const struct image_partition *partition_new(const struct image_partition *of);
void partition_unref(const struct image_partition *partition);
bool partition_equal(const struct image_partition *a, const struct image_partition *b);

struct topic_node *topic_new(const char *name, size_t size, const struct uuid *id);
struct pmap_value *name_new(const struct uuid *id);
/* The topic, private to this image: may be changed in place. NULL when absent. */
struct topic_node *topic_own(struct image *image, const struct uuid *id);
/* Takes over the reference; grows the array. */
void topic_set_partition(struct image *image, struct topic_node *topic,
                         const struct image_partition *partition);

/* members.c: a partition was created (`before` NULL), changed, or is about to go (`after` NULL). */
void members_changed(struct image *image, const struct uuid *topic_id,
                     const struct image_partition *before, const struct image_partition *after);

struct configs_node *configs_new(enum image_resource type, const char *name, size_t size);
struct configs_node *configs_own(struct image *image, enum image_resource type, const char *name,
                                 size_t size);
void configs_set(struct configs_node *node, const char *key, size_t key_size, const char *value,
                 size_t value_size);
void configs_unset(struct configs_node *node, const char *key, size_t key_size);
bool configs_remove(struct image *image, enum image_resource type, const char *name, size_t size);

struct broker_node *broker_new(void);
struct controller_node *controller_new_node(void);
struct feature_node *feature_new(const char *name, size_t size, int16_t level);

/* ---- the delta: every call takes a NULL delta for "nobody asks" ---- */

void delta_topic_created(struct image_delta *delta, const struct uuid *id, const char *name);
void delta_topic_deleted(struct image_delta *delta, const struct uuid *id, const char *name);
void delta_partition(struct image_delta *delta, const struct uuid *id, const char *name,
                     int32_t partition);
void delta_broker(struct image_delta *delta, int32_t id);
void delta_controller(struct image_delta *delta, int32_t id);
void delta_configs(struct image_delta *delta, enum image_resource type, const char *name);

/* ---- records, by concern: `msg` is the decoded struct ---- */

enum err apply_topic(struct apply_ctx *ctx, const void *msg);
enum err apply_remove_topic(struct apply_ctx *ctx, const void *msg);
enum err apply_partition(struct apply_ctx *ctx, const void *msg);
enum err apply_partition_change(struct apply_ctx *ctx, const void *msg);
enum err apply_clear_elr(struct apply_ctx *ctx, const void *msg);
enum err apply_register_broker(struct apply_ctx *ctx, const void *msg);
enum err apply_unregister_broker(struct apply_ctx *ctx, const void *msg);
enum err apply_fence_broker(struct apply_ctx *ctx, const void *msg);
enum err apply_unfence_broker(struct apply_ctx *ctx, const void *msg);
enum err apply_broker_registration_change(struct apply_ctx *ctx, const void *msg);
enum err apply_register_controller(struct apply_ctx *ctx, const void *msg);
enum err apply_config(struct apply_ctx *ctx, const void *msg);
enum err apply_feature_level(struct apply_ctx *ctx, const void *msg);
enum err apply_producer_ids(struct apply_ctx *ctx, const void *msg);

#endif
