/* A controller over a log in memory, whose commits the test grants. */
#ifndef TESTS_UNIT_CONTROLLER_RIG_H
#define TESTS_UNIT_CONTROLLER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/controller/controller.h"
#include "broker/metadata/record.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"
#include "tests/sim/env/sim.h"

struct rig_batch {
    struct bytes bytes;
    int64_t last_offset;
    size_t records;
};

struct rig {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct controller *controller;
    struct rig_batch *batches;
    size_t count;
    size_t capacity;
    size_t committed; /* batches granted */
    int64_t next_offset;
    int32_t epoch;
    int resigned;
    bool refuse_appends;
};

/* Active in epoch 1, bootstrap committed, when `active`. */
void rig_start(struct rig *rig, const struct controller_config *config, bool active);
void rig_stop(struct rig *rig);
void rig_commit(struct rig *rig); /* everything appended so far */
/* What an earlier controller left, while ours is not active; committed. Frees the list. */
void rig_inherit(struct rig *rig, struct record_list *records);
void rig_turn(struct rig *rig); /* lets posts and due timers run */

struct rig_call {
    struct controller_call call;
    struct arena arena;
    int done;
    union {
        struct create_topics_response create_topics;
        struct delete_topics_response delete_topics;
        struct create_partitions_response create_partitions;
        struct broker_registration_response registration;
        struct broker_heartbeat_response heartbeat;
        struct allocate_producer_ids_response producer_ids;
        struct incremental_alter_configs_response configs;
        struct alter_partition_response alter_partition;
        struct elect_leaders_response elect_leaders;
        struct assign_replicas_to_dirs_response assign_dirs;
        struct alter_partition_reassignments_response reassignments;
        struct list_partition_reassignments_response reassigning;
        struct update_features_response features;
        struct unregister_broker_response unregistered;
    } response;
};

void rig_submit(struct rig *rig, struct rig_call *call, int16_t api_key, int16_t version,
                const void *request);
void rig_call_free(struct rig_call *call);
/* The whole way: the request goes over the wire, is handled, committed and answered, and the answer
 * goes over the wire. */
void rig_exchange(struct rig *rig, struct rig_call *call, int16_t api_key, int16_t version,
                  const void *request);

/* Registers and unfences broker `id` in `rack`; returns its epoch. */
int64_t rig_broker(struct rig *rig, int32_t id, const char *rack);
int16_t rig_register(struct rig *rig, int32_t id, const char *rack, uint64_t incarnation,
                     int64_t *epoch);
/* In these log directories. */
int16_t rig_register_in(struct rig *rig, int32_t id, uint64_t incarnation, struct uuid *dirs,
                        int32_t dir_count, int64_t *epoch);
/* One heartbeat, committed; the response's error or 0. `response` may be NULL. */
int16_t rig_heartbeat(struct rig *rig, int32_t id, int64_t epoch, bool want_fence,
                      bool want_shut_down, struct broker_heartbeat_response *response);
/* CreateTopics of one topic, committed; the topic's error. */
int16_t rig_create(struct rig *rig, const char *name, int32_t partitions, int16_t factor);
/* A topic of `partitions` partitions, each on `replicas` in that order. */
void rig_create_on(struct rig *rig, const char *name, int32_t partitions, int32_t *replicas,
                   int32_t count);
/* The committed partition; NULL when there is none. */
const struct image_partition *rig_partition(const struct rig *rig, const char *topic,
                                            int32_t partition);
/* Sets one topic setting (`type` 2) or the cluster's default (`type` 4, name ""), committed. */
void rig_configure(struct rig *rig, int8_t type, const char *name, const char *key,
                   const char *value);

#endif
