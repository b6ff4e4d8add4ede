/* Inside room controller.
 *
 * Files: controller.c (life, news from the quorum), call.c (requests in, answers out, appending),
 * bootstrap.c, brokers.c (registration), heartbeat.c (sessions, fencing), change.c (one partition's
 * leader and ISR), leaders.c (those of a broker that comes or goes), alter_partition.c,
 * assign_directories.c, elect_leaders.c, reassign.c and reassignments.c (other replicas for a
 * partition), balance.c, features.c, placement.c, topics.c, delete_topics.c, partitions.c, names.c,
 * configs.c, producer_ids.c. */
#ifndef BROKER_CONTROLLER_CONTROLLER_INTERNAL_H
#define BROKER_CONTROLLER_CONTROLLER_INTERNAL_H

#include "broker/controller/controller.h"
#include "common/base/hash.h"
#include "broker/metadata/pmap.h"
#include "broker/metadata/record.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"
#include "common/wire/wire.h"

enum {
    CONTROLLER_RECORDS_PER_CALL_MAX = 10000, /* and per batch */
    METADATA_VERSION_3_7_IV2 = 17,           /* directories: KIP-858 */
    METADATA_VERSION_4_0_IV1 = 23,           /* ELR fields: KIP-966 */
    METADATA_VERSION_4_3_IV0 = 30,           /* cordoned log directories */
    PARTITION_VERSION_DIRECTORIES = 1,
    PARTITION_VERSION_ELR = 2 /* of Partition- and PartitionChangeRecord */
};

enum { NOBODY = -1 }; /* where a broker id is expected */
enum { DIRECTORY_UNASSIGNED = 0, DIRECTORY_LOST = 1, DIRECTORY_MIGRATING = 2 }; /* KIP-858 */

/* What our image was once the records up to `last_offset` were applied: the committed image of the
 * moment they commit. */
struct appended {
    struct list node;
    int64_t last_offset;
    struct image *image;
};

/* A registered broker as its heartbeats show it. Gone with leadership. */
struct session {
    int32_t broker_id;
    int64_t broker_epoch;
    int64_t heard_ms;
    int64_t metadata_offset;            /* the highest it says it has */
    int64_t controlled_shutdown_offset; /* -1, or where its request to stop was recorded */
    /* It spoke to this very controller, and the connection it spoke over has not ended since. */
    bool in_touch;
    UT_hash_handle hh;
};

struct controller {
    struct env *env;
    struct controller_config config;
    struct controller_writer writer;
    struct image *committed;
    struct image *image;     /* ahead of committed while active, else NULL */
    struct list appended;    /* struct appended, by offset */
    int64_t appended_offset; /* last one we appended in this epoch; -1 none */
    int32_t epoch;           /* -1: not active */
    struct list waiting;     /* calls that wait for a commit, by offset */
    struct list answered;    /* calls whose `done` is due */
    struct env_post answer;
    struct session *sessions;
    struct env_timer session_timer;
    struct env_timer balance_timer;
};

/* Who answers one API. `handle` fills the response and adds records; `refuse` fills a fresh
 * response with an error in its proper field. */
struct controller_api {
    int16_t api_key;
    const char *name;
    /* What a broker tells of itself must be carried out however much follows from it, in as many
     * batches as it takes; what an operator asks for is one batch, or refused as too large. */
    bool of_brokers;
    void (*handle)(struct controller *controller, struct controller_call *call,
                   struct record_list *records);
    void (*refuse)(struct controller_call *call, int16_t error, const char *message);
};

/* call.c */
void call_answer_now(struct controller *controller, struct controller_call *call);
void calls_committed(struct controller *controller, int64_t last_offset);
void calls_refuse_waiting(struct controller *controller);
/* Applies the records to our image and appends them, in one batch when `atomic`, else in as many as
 * it takes. Records our own image does not take are a bug, never appended: ERR_INVALID. Any other
 * error: leadership is given up. */
enum err controller_append(struct controller *controller, const struct record_list *records,
                           bool atomic);
const struct trace *controller_trace(const struct controller *controller);

/* Record versions by the finalized metadata.version. */
int16_t register_broker_version(const struct image *image);
int16_t
partition_version(const struct image *image); /* PartitionRecord and PartitionChangeRecord */

/* bootstrap.c */
void bootstrap_records(const struct controller *controller, struct record_list *records);

/* heartbeat.c */
struct session *session_of(struct controller *controller, int32_t broker_id);
void session_start(struct controller *controller, int32_t broker_id, int64_t broker_epoch);
bool session_valid(struct controller *controller, const struct image_broker *broker);
bool session_in_touch(struct controller *controller, const struct image_broker *broker);
void sessions_begin(
    struct controller *controller); /* on activation: every unfenced broker gets one */
void sessions_end(struct controller *controller);

/* change.c */
enum election {
    ELECT_ONLINE,    /* somebody in the ISR; who leads stays if it may */
    ELECT_PREFERRED, /* the first replica, if it may; else as above */
    ELECT_UNCLEAN    /* anybody alive where the ISR has nobody */
};

struct partition_change {
    struct controller *controller;
    const struct image_topic *topic;
    const struct image_partition *partition; /* as it is */
    enum election election;
    int32_t leaving;              /* may not lead, whatever the image says; or NOBODY */
    int32_t returning;            /* may lead, whatever the image says; or NOBODY */
    struct image_ids isr;         /* wanted; empty: as it is, but nobody of it leads */
    enum image_recovery recovery; /* wanted */
    struct image_ids replicas;    /* wanted: the ones to come first, those to go last */
    struct image_ids adding;      /* wanted: of these, those that come by a reassignment */
    struct image_ids removing;    /* wanted: of these, those that go when it is complete */
    struct arena *arena;          /* for what it makes */
};
/* Nothing wanted yet. `arena` lasts as long as the change and what it says of the partition. */
struct partition_change partition_change_of(struct controller *controller,
                                            const struct image_topic *topic,
                                            const struct image_partition *partition,
                                            struct arena *arena);
/* Adds a record, or returns false when nothing changes. A reassignment that the wanted ISR makes
 * complete is completed by the same record. `after` is the partition as it will be, without its
 * directories, with arrays of the image, of the arena and of what was wanted. */
bool partition_change_add(struct partition_change *change, struct record_list *records,
                          struct image_partition *after);
/* Of what partition_change_add said: the new leader is without the directory that held its replica;
 * nobody leads, since who is alive of the ISR is. */
bool partition_change_begins_empty(const struct partition_change *change,
                                   const struct image_partition *after);
bool partition_change_starved(const struct partition_change *change,
                              const struct image_partition *after);
bool broker_active(const struct image *image, int32_t broker_id);
bool unclean_allowed(const struct controller *controller, const struct image_topic *topic);
bool ids_hold(struct image_ids ids, int32_t id);
bool ids_equal(struct image_ids a, struct image_ids b);
bool ids_hold_all(struct image_ids ids, struct image_ids of);
struct image_ids ids_without(struct arena *arena, struct image_ids ids, struct image_ids those);
bool uuids_hold(const struct uuid *ids, int32_t count, const struct uuid *id);
/* KIP-858: a broker's only usable directory, or "unassigned", which the broker then resolves. */
struct uuid directory_of(const struct image *image, int32_t broker_id);

/* reassign.c */
bool reassigning(const struct image_partition *partition);
/* Makes `change` want the end of its reassignment, when the ISR it wants allows that. */
void reassign_complete(struct partition_change *change);
/* Makes `change` want `target` in place of what holds the partition now. */
void reassign_to(struct partition_change *change, struct image_ids target);
/* Makes `change` want the replicas that were there before its reassignment. False when nobody of
 * them is in the ISR: what the new ones hold alone would be lost, and the first one begins with
 * what it has. */
bool reassign_revert(struct partition_change *change);
/* How many replicas the partition has when its reassignment is done. */
int32_t reassign_target_count(const struct image_partition *partition);

/* balance.c: while active */
void balance_begin(struct controller *controller);
void balance_end(struct controller *controller);

/* leaders.c */
/* Adds changes for every partition that has `broker_id` in its ISR, as if it were gone. Returns how
 * many. */
size_t leaders_leave(struct controller *controller, int32_t broker_id, struct record_list *records);
/* The same for those partitions that it keeps in one of these directories. */
size_t leaders_leave_directories(struct controller *controller, int32_t broker_id,
                                 const struct uuid *directories, int32_t count,
                                 struct record_list *records);
/* Adds changes for every partition without leader that `broker_id`, now back, can lead. */
size_t leaders_return(struct controller *controller, int32_t broker_id,
                      struct record_list *records);
/* Appends changes for every partition without leader that somebody can lead as things are. False
 * when leadership had to be given up. */
bool leaders_seek(struct controller *controller);

/* placement.c */
struct placement {
    int32_t *replicas; /* partition_count times replication_factor, in the arena */
    int32_t partition_count;
    int32_t replication_factor;
};
/* False with words when it cannot be done. */
bool placement_make(struct controller *controller, int32_t first_partition, int32_t partition_count,
                    int32_t replication_factor, struct arena *arena, struct placement *out,
                    struct err_text *text);

/* partitions.c: what topics.c needs of it */
struct manual_check {
    int16_t error; /* 0 or Kafka's code */
    struct err_text text;
};
/* Registered, distinct, `replication_factor` of them (-1: any number above zero). */
bool manual_replicas_valid(const struct image *image, const int32_t *replicas, int32_t count,
                           int32_t replication_factor, struct manual_check *check);
/* The active ones of `replicas` become the ISR, the first of them the leader. False when none is
 * active. */
bool add_partition_record(struct controller *controller, const struct uuid *topic_id,
                          int32_t partition, const int32_t *replicas, int32_t count,
                          struct arena *arena, struct record_list *records);

/* names.c */
bool topic_name_valid(struct wire_str name, struct err_text *text);
/* True when a topic exists whose name differs in '.' and '_' only, or not at all; `name` is then
 * that name. */
bool topic_name_collides(const struct image *image, char *name);

struct name_set { /* zero-initialise */
    struct pmap members;
};
bool name_set_add(struct name_set *set, const void *data, size_t size); /* false: was in */
bool name_set_has(const struct name_set *set, const void *data, size_t size);
void name_set_free(struct name_set *set);

/* configs.c */
void add_config_record(struct record_list *records, enum image_resource type, struct wire_str name,
                       struct wire_str key, struct wire_str value);
/* What no image takes: 0 or Kafka's code with words. */
int16_t config_text_check(struct wire_str key, struct wire_str value, struct err_text *text);
/* 0 or Kafka's code with words. `value` NULL unsets. */
int16_t config_check(const struct controller *controller, enum image_resource type,
                     const char *name, const char *key, const char *value, struct err_text *text);

#define HANDLERS(concern)                                                                          \
    void concern##_handle(struct controller *controller, struct controller_call *call,             \
                          struct record_list *records);                                            \
    void concern##_refuse(struct controller_call *call, int16_t error, const char *message)

HANDLERS(alter_partition);
HANDLERS(assign_replicas_to_dirs);
HANDLERS(elect_leaders);
HANDLERS(create_topics);
HANDLERS(delete_topics);
HANDLERS(create_partitions);
HANDLERS(broker_registration);
HANDLERS(broker_heartbeat);
HANDLERS(allocate_producer_ids);
HANDLERS(incremental_alter_configs);
HANDLERS(alter_configs);
HANDLERS(controller_registration);
HANDLERS(unregister_broker);
HANDLERS(update_features);
HANDLERS(alter_partition_reassignments);
HANDLERS(list_partition_reassignments);

#endif
