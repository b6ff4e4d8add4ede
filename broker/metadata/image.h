/* metadata: what the cluster looks like, as Kafka's own metadata records tell it.
 *
 * An image is built by applying records (MetadataRecordSerde's frame: uvarint frame version 1,
 * uvarint api key, uvarint version, body). Two live in a broker: the one everything reads, which
 * only committed batches reach, and the active controller's, which is ahead of it.
 *
 * COPY ON WRITE. Everything reached from an image is refcounted and never changed while shared, so
 * that image_clone costs O(1) and a change costs O(what it touches). Pointers into an image are
 * good until the next image_apply* or image_free of that same image; hold a clone to keep them.
 * Clone, apply and free belong to the core thread; a job may read a clone that the core keeps for
 * it.
 *
 * Iteration is in a stable order: topics by name, brokers and controllers by id, configs by (type,
 * name), keys by byte order. All text is NUL-terminated. */
#ifndef BROKER_METADATA_IMAGE_H
#define BROKER_METADATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/uuid.h"

struct image;

/* ---- what it holds ----------------------------------------------------------------------------
 */

/* Of one topic: bounds what a record can make us allocate. */
enum { IMAGE_PARTITIONS_MAX = 1 << 20 };

struct image_ids {
    const int32_t *ids;
    int32_t count;
};

enum image_recovery { IMAGE_RECOVERED = 0, IMAGE_RECOVERING = 1 };

struct image_partition {
    int32_t partition;
    int32_t leader; /* -1 none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    enum image_recovery recovery;
    struct image_ids replicas; /* preferred leader first */
    struct image_ids isr;
    struct image_ids elr; /* KIP-966 */
    struct image_ids last_known_elr;
    struct image_ids adding;
    struct image_ids removing;
    const struct uuid *directories; /* one per replica: KIP-858 */
};

struct image_topic {
    const char *name;
    struct uuid id;
    /* By partition id. An entry is NULL only while a topic's records are still being applied. */
    const struct image_partition *const *partitions;
    int32_t partition_count;
};

struct image_endpoint {
    const char *listener; /* "PLAINTEXT", "CONTROLLER", ... */
    const char *host;
    uint16_t port;
    int16_t security_protocol; /* 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL */
};

struct image_feature_range {
    const char *name;
    int16_t min;
    int16_t max;
};

struct image_broker {
    int32_t id;
    int64_t epoch; /* offset of its registration record */
    struct uuid incarnation_id;
    const char *rack; /* NULL none */
    bool fenced;
    bool in_controlled_shutdown;
    const struct image_endpoint *endpoints;
    int32_t endpoint_count;
    const struct image_feature_range *features;
    int32_t feature_count;
    const struct uuid *log_dirs; /* online; empty when it does not say (KIP-858) */
    int32_t log_dir_count;
    const struct uuid *cordoned_log_dirs;
    int32_t cordoned_log_dir_count;
};

struct image_controller {
    int32_t id;
    struct uuid incarnation_id;
    const struct image_endpoint *endpoints;
    int32_t endpoint_count;
    const struct image_feature_range *features;
    int32_t feature_count;
};

/* Kafka's ConfigResource types as metadata records carry them. */
enum image_resource {
    IMAGE_RESOURCE_TOPIC = 2,
    IMAGE_RESOURCE_BROKER = 4, /* name "" is the cluster-wide default */
    IMAGE_RESOURCE_CLIENT_METRICS = 16,
    IMAGE_RESOURCE_GROUP = 32
};

struct image_config {
    const char *key;
    const char *value;
};

struct image_configs {
    enum image_resource type;
    const char *name;
    const struct image_config *items; /* by key */
    int32_t count;
};

struct image_feature {
    const char *name; /* "metadata.version", ... */
    int16_t level;
};

/* ---- life -------------------------------------------------------------------------------------
 */

struct image *image_new(void); /* empty: offset -1, epoch -1 */
struct image *image_clone(const struct image *image);
void image_free(struct image *image); /* NULL is allowed */
/* Same content (not the same history). For tests and for checks between views. */
bool image_equal(const struct image *a, const struct image *b);

/* ---- lookup: NULL or -1 when absent -----------------------------------------------------------
 */

const struct image_topic *image_topic_by_name(const struct image *image, const char *name);
const struct image_topic *image_topic_by_text(const struct image *image, const char *name,
                                              size_t size); /* not NUL-terminated */
const struct image_topic *image_topic_by_id(const struct image *image, const struct uuid *id);
const struct image_partition *image_partition_of(const struct image *image,
                                                 const struct uuid *topic_id, int32_t partition);
const struct image_broker *image_broker(const struct image *image, int32_t id);
const struct image_controller *image_controller(const struct image *image, int32_t id);
/* The endpoint named `listener` (exact case); NULL when it has none. */
const struct image_endpoint *image_broker_endpoint(const struct image_broker *broker,
                                                   const char *listener);
const struct image_configs *image_configs(const struct image *image, enum image_resource type,
                                          const char *name);
const char *image_config_value(const struct image *image, enum image_resource type,
                               const char *name, const char *key);        /* NULL when not set */
int16_t image_feature_level(const struct image *image, const char *name); /* 0 when not finalized */
int64_t
image_next_producer_id(const struct image *image); /* first id of the next block; 0 at first */

int64_t image_offset(const struct image *image); /* last record it contains; -1 when empty */
int32_t image_epoch(const struct image *image);  /* leader epoch of that record's batch */
int64_t image_timestamp_ms(const struct image *image);
bool image_in_transaction(const struct image *image); /* records wait for End or Abort (KIP-868) */

size_t image_topic_count(const struct image *image);
size_t image_partition_count(const struct image *image);
size_t image_broker_count(const struct image *image);

/* ---- iteration --------------------------------------------------------------------------------
 */

/* `each` returns false to stop. It must not apply to or free this image. */
void image_each_topic(const struct image *image,
                      bool (*each)(void *ctx, const struct image_topic *topic), void *ctx);
/* Topics whose name is >= `from` in byte order (DescribeTopicPartitions' cursor). */
void image_each_topic_from(const struct image *image, const char *from,
                           bool (*each)(void *ctx, const struct image_topic *topic), void *ctx);
void image_each_broker(const struct image *image,
                       bool (*each)(void *ctx, const struct image_broker *broker), void *ctx);
void image_each_controller(const struct image *image,
                           bool (*each)(void *ctx, const struct image_controller *controller),
                           void *ctx);
void image_each_configs(const struct image *image,
                        bool (*each)(void *ctx, const struct image_configs *configs), void *ctx);
void image_each_feature(const struct image *image,
                        bool (*each)(void *ctx, const struct image_feature *feature), void *ctx);

/* What a broker holds: the cost is in proportion to what is yielded, whatever else the cluster
 * holds. By topic id, then partition. */
typedef bool image_partition_fn(void *ctx, const struct image_topic *topic,
                                const struct image_partition *partition);
/* The partitions that have it in their ISR. */
void image_each_isr_partition(const struct image *image, int32_t broker_id,
                              image_partition_fn *each, void *ctx);
void image_each_leaderless(const struct image *image, image_partition_fn *each, void *ctx);
bool image_leads_any(const struct image *image, int32_t broker_id);
/* The partitions that replicas are being added to or taken from (KIP-455). */
void image_each_reassigning(const struct image *image, image_partition_fn *each, void *ctx);
/* The partitions that are not led by their first replica, those without a leader included. */
void image_each_imbalanced(const struct image *image, image_partition_fn *each, void *ctx);

/* ---- what changed -----------------------------------------------------------------------------
 */

struct image_delta_topic {
    struct uuid id;
    const char *name;
    bool created;              /* not in the image the delta started from */
    bool deleted;              /* not in the image any more (its partitions are not listed) */
    const int32_t *partitions; /* created or changed, ascending */
    int32_t partition_count;
};

struct image_delta_configs {
    enum image_resource type;
    const char *name;
};

/* Collected over one or more applies. A topic created and deleted within one delta does not appear.
 */
struct image_delta {
    const struct image_delta_topic *const *topics; /* in order of their first change */
    size_t topic_count;
    const int32_t *brokers; /* registered, changed or gone */
    size_t broker_count;
    const int32_t *controllers;
    size_t controller_count;
    const struct image_delta_configs *const *configs; /* a deleted topic's are listed too */
    size_t configs_count;
    bool features;
    bool producer_ids;
    struct image_delta_state *state; /* the room's own */
};

/* Zero-initialise a delta to start. */
bool image_delta_empty(const struct image_delta *delta);
void image_delta_clear(struct image_delta *delta); /* empty again, memory freed */
/* Adds everything `image` holds, as if created: for a listener that starts from nothing. */
void image_delta_all(struct image_delta *delta, const struct image *image);
/* Adds what leads from one image to another that a snapshot brought: costs O(both). Of brokers,
 * controllers and settings all that `to` holds are listed. */
void image_delta_between(struct image_delta *delta, const struct image *from,
                         const struct image *to);

/* ---- applying ---------------------------------------------------------------------------------
 */

/* On an error (unknown record type or version, malformed body, a change to what does not exist) the
 * text says which record; the image may hold a part of the batch and is only good for image_free.
 * `delta` may be NULL. Records between Begin- and EndTransaction are kept aside and applied at the
 * End, all at once. */

/* Whole record batches (magic 2) as the metadata log holds them. Control batches move the offset
 * only. */
enum err image_apply_batches(struct image *image, struct image_delta *delta, const void *batches,
                             size_t size_bytes, struct err_text *text);
/* One framed record at `offset`, in leader epoch `epoch`. */
enum err image_apply_record(struct image *image, struct image_delta *delta, const void *record,
                            size_t size_bytes, int64_t offset, int32_t epoch, int64_t timestamp_ms,
                            struct err_text *text);

/* ---- snapshots (KIP-630) ----------------------------------------------------------------------
 */

/* Of one framed record, good during the call; what it returns ends the writing unless ERR_NONE. */
typedef enum err image_put_fn(void *ctx, const void *record, size_t size_bytes);
/* The image as records, in Kafka's order; applied to an empty one they make it again. Not within a
 * metadata transaction. May run on a worker, on a clone that the core keeps. */
enum err image_write(const struct image *image, image_put_fn *each, void *ctx);
/* After a snapshot's records: the offset, epoch and time of the last record that it stands for. */
void image_stand_at(struct image *image, int64_t offset, int32_t epoch, int64_t timestamp_ms);
/* `to` becomes what `from` is, which is no more: whoever holds `to` goes on holding it. */
void image_take(struct image *to, struct image *from);

/* Versions of RegisterBrokerRecord and PartitionRecord at the image's metadata.version. */
int16_t image_broker_record_version(const struct image *image);
int16_t image_partition_record_version(const struct image *image);

#endif
