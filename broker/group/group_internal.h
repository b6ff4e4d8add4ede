/* Shared by the room's files only.
 *
 * coordinator = one led partition of __consumer_offsets; it holds groups; a group holds members and
 * committed offsets. What clients are told about stored things is told after the record is below
 * the high watermark. */
#ifndef BROKER_GROUP_GROUP_INTERNAL_H
#define BROKER_GROUP_GROUP_INTERNAL_H

#include "common/base/hash.h"

#include "broker/group/group.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"

enum group_state {
    GROUP_EMPTY,
    GROUP_PREPARING_REBALANCE,
    GROUP_COMPLETING_REBALANCE,
    GROUP_STABLE,
    GROUP_DEAD
};

struct member_protocol {
    char *name;
    uint8_t *metadata;
    int32_t metadata_size;
};

struct member {
    struct list node; /* group->members, in order of joining */
    struct group *group;
    char *id;
    char *instance_id; /* NULL: dynamic (KIP-345) */
    char *client_id;
    char *client_host;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    struct member_protocol *protocols;
    int32_t protocol_count;
    uint8_t *assignment;
    int32_t assignment_size;
    bool joining; /* has rejoined in the rebalance under way (its call may be gone with its
                     connection) */
    bool synced;  /* has sent SyncGroup in this generation */
    bool is_new; /* has never completed a rebalance: its first join may wait longer than its session
                  */
    struct group_call *join; /* parked until the rebalance's members are known */
    struct group_call *sync; /* parked until the leader's assignment is stored */
    struct env_timer session;
};

/* A member id handed out with MEMBER_ID_REQUIRED that has not joined yet (KIP-394). */
struct pending_member {
    struct list node;
    struct group *group;
    char *id;
    struct env_timer expiry;
};

struct committed_offset {
    char *key; /* "topic\0" + 4 bytes of partition, owned; key_size bytes */
    unsigned key_size;
    const char *topic; /* in key */
    int32_t partition;
    int64_t offset; /* -1: only pending commits so far */
    int32_t leader_epoch;
    char *metadata;
    int64_t commit_timestamp_ms;
    int32_t pending; /* commits on their way to the log */
    uint64_t serial; /* tells it from one made for the same partition after it was removed */
    UT_hash_handle hh;
};

struct group {
    char *id;
    struct coordinator *at;
    enum group_state state;
    int32_t generation;
    char *protocol_type; /* NULL until a member joined; "consumer" */
    char *protocol_name;
    char *leader_id;
    int64_t state_timestamp_ms;
    struct list members;
    int32_t member_count;
    struct list pending_members;
    struct env_timer rebalance; /* delayed join, then those who do not sync */
    bool delaying_first_join;
    int64_t first_join_deadline_ms;
    bool joined_during_delay;
    bool storing_assignment;
    uint64_t seen_in; /* the last call that asked for all of it: once per call is enough */
    struct committed_offset *offsets; /* uthash */
    UT_hash_handle hh;
};

enum coordinator_state { COORDINATOR_LOADING, COORDINATOR_ACTIVE };

struct coordinator {
    struct groups *all;
    int32_t partition;
    int32_t epoch;
    struct replica *replica;
    enum coordinator_state state;
    struct group *groups; /* uthash by id */
    struct list writes;   /* group_write.node */
    struct group_load *load;
    UT_hash_handle hh;
};

struct groups {
    struct env *env;
    struct groups_config config;
    int32_t partition_count;
    const struct image *image;
    struct coordinator *coordinators; /* uthash by partition */
    struct env_timer expiry;
    uint64_t last_serial; /* of committed_offset, and of calls that mark groups as seen */
};

/* ---- records.c: Kafka's records of __consumer_offsets -----------------------------------------
 */

/* Key and value, each with its leading int16; value.size 0 is a tombstone. */
struct group_record {
    struct bytes key;
    struct bytes value;
};

void group_record_free(struct group_record *record);
void group_record_of_group(const struct group *group, struct group_record *out);
void group_record_tombstone(const char *group_id, struct group_record *out);
void group_record_of_offset(const char *group_id, const char *topic, int32_t partition,
                            const struct committed_offset *value, struct group_record *out);
void group_record_offset_tombstone(const char *group_id, const char *topic, int32_t partition,
                                   struct group_record *out);
/* Applies one record read from the log. Unknown kinds are passed over. False when it does not
 * decode. */
bool group_record_apply(struct coordinator *at, const uint8_t *key, int32_t key_size,
                        const uint8_t *value, int32_t value_size);

/* ---- store.c ----------------------------------------------------------------------------------
 */

struct group_write {
    struct replica_append append;
    struct list node;
    struct coordinator *at;
    struct env_timer timeout;
    void (*done)(struct group_write *write, int16_t error);
    void *ctx;
    char *group_id; /* the group may be gone by the time it is stored */
    void *extra;
    void (*free_extra)(void *extra);
};

/* Appends the records in one batch; `done` with Kafka's code for the client, in a later turn or,
 * when the append is refused, before this returns. The write is freed after `done`. */
void group_store(struct coordinator *at, const char *group_id, struct group_record *records,
                 int count, void (*done)(struct group_write *write, int16_t error), void *ctx,
                 void *extra, void (*free_extra)(void *extra));
/* How many of the first records fit into one batch; at least 1. For removals, which need not be
 * atomic and may be too many for max.message.bytes. */
int group_store_fit(const struct group_record *records, size_t count);
/* What a client hears when a store of the group's metadata fails, as Kafka maps append errors. */
int16_t group_store_error(int16_t error);
/* Withdraws every write under way and ends it with `error`. */
void group_store_abandon(struct coordinator *at, int16_t error);

/* ---- load.c -----------------------------------------------------------------------------------
 */

void group_load_start(struct coordinator *at);
void group_load_cancel(struct coordinator *at);

/* ---- groups.c ---------------------------------------------------------------------------------
 */

/* The coordinator of `group_id`, or NULL with *error: INVALID_GROUP_ID, NOT_COORDINATOR,
 * COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE. */
struct coordinator *groups_coordinator(struct groups *all, struct wire_str group_id,
                                       int16_t *error);
struct group *group_find(struct coordinator *at, const char *id, size_t size);
struct group *group_make(struct coordinator *at, const char *id, size_t size);
void group_free(struct group *group);
/* Frees a group that nothing was ever stored of and that has nothing left: ids handed out and never
 * used, commits that failed. */
void group_forget_if_void(struct group *group);
/* Ids are C strings here: false for one with a NUL in it, which would be taken for another. */
bool group_text_ok(struct wire_str text);
/* Answers a call: response is filled in. */
void group_call_done(struct group_call *call);
/* Parks the call in `*slot`, which group_call_done and groups_cancel empty. */
void group_call_park(struct group_call *call, struct group_call **slot);

/* True when the call numbered `serial` has been told of the group before: naming a group a million
 * times must not make a million copies of it. */
bool group_seen(struct group *group, uint64_t serial);

const char *group_state_name(enum group_state state);

/* ---- members.c --------------------------------------------------------------------------------
 */

struct member *member_find(struct group *group, struct wire_str id);
struct member *member_find_instance(struct group *group, struct wire_str instance_id);
struct member *member_add(struct group *group, const char *id, const char *instance_id);
void member_free(struct member *member); /* unlinks; parked calls must have been answered */
void member_set_protocols(struct member *member, const struct join_group_request *request);
bool member_protocols_equal(const struct member *member, const struct join_group_request *request);
const struct member_protocol *member_protocol(const struct member *member, const char *name);
void member_set_assignment(struct member *member, const uint8_t *data, int32_t size);
void member_heard(struct member *member); /* restarts the session timer */
bool member_is(const struct member *member, struct wire_str id);
struct pending_member *pending_find(struct group *group, struct wire_str id);
void pending_add(struct group *group, const char *id, int32_t timeout_ms);
void pending_free(struct pending_member *pending);
/* True when every protocol set shares a name with all members (or the group has none). */
bool group_protocols_fit(const struct group *group, const struct join_group_request *request,
                         const struct member *except);
/* The name most members put first among those all support. */
const char *group_choose_protocol(const struct group *group);
/* Kafka's code when `member_id`/`instance_id`/`generation` do not name a current member. */
int16_t group_check_member(struct group *group, struct wire_str member_id,
                           struct wire_str instance_id, int32_t generation, struct member **out);

/* ---- join.c, sync.c, leave.c ------------------------------------------------------------------
 */

void group_join(struct groups *all, struct group_call *call);
void group_sync(struct groups *all, struct group_call *call);
void group_heartbeat(struct groups *all, struct group_call *call);
void group_leave(struct groups *all, struct group_call *call);
/* Begins a rebalance, or lets one under way look whether it is complete. `why` is for the trace. */
void group_rebalance(struct group *group, const char *why);
void group_try_complete_join(struct group *group);
void group_answer_join(struct member *member, int16_t error);
void group_answer_sync(struct member *member, int16_t error);
/* A member left or its session ended. */
void group_remove_member(struct group *group, struct member *member, const char *why);
void group_set_state(struct group *group, enum group_state state);
/* Stores the group's metadata when it became empty; the group itself goes by expiry or
 * DeleteGroups. */
void group_store_metadata(struct group *group);

/* ---- offsets.c, fetch_offsets.c, describe.c ---------------------------------------------------
 */

struct committed_offset *offset_find(struct group *group, const char *topic, size_t topic_size,
                                     int32_t partition);
struct committed_offset *offset_make(struct group *group, const char *topic, size_t topic_size,
                                     int32_t partition);
void offset_free(struct group *group, struct committed_offset *offset);
void offset_set(struct committed_offset *offset, int64_t value, int32_t leader_epoch,
                const char *metadata, size_t metadata_size, int64_t timestamp_ms);
void group_offset_commit(struct groups *all, struct group_call *call);
void group_offset_delete(struct groups *all, struct group_call *call);
void group_offset_fetch(struct groups *all, struct group_call *call);
/* Expires offsets and empty groups that are past retention (KIP-211). */
void groups_expire(struct groups *all);
void group_list(struct groups *all, struct group_call *call);
void group_describe(struct groups *all, struct group_call *call);
void group_delete(struct groups *all, struct group_call *call);

#endif
