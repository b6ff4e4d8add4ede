/* learn: what answers of brokers mean, written into a draft of the model.
 *
 * One function per answer; pure: decoded messages and times in, the draft changed. Nothing received
 * is trusted: names are looked up, numbers are range checked by the codec, answers about things the
 * draft does not know are passed over. What an answer refuses becomes MODEL_DENIED, what it fails
 * to tell becomes MODEL_UNKNOWN; what an earlier answer told stays until a newer one replaces it.
 * An offset that was told stays, with its time, also when a later answer has only an error to tell:
 * a replica that restarts or is cut off shows how far it had come, and when.
 */
#ifndef CONSOLE_LEARN_H
#define CONSOLE_LEARN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/messages.h"
#include "console/model.h"

/* Kafka says that the asker lacks the right: error codes 29, 30, 31, 53. */
bool learn_is_denial(int16_t error_code);

/* A part was answered (code 0) or not; `what` is the API's name. Errors read "WHAT: NAME". */
void learn_part(struct model *draft, enum model_part_id part, const char *what, int16_t error_code,
                int64_t now_ms);
/* No answer came at all; `why` reads on its own. */
void learn_part_failed(struct model *draft, enum model_part_id part, const char *what,
                       const char *why);

/* Metadata v7 and later: brokers, topics, partitions. Samples of partitions that stay are kept. */
void learn_metadata(struct model *draft, const struct metadata_response *r, int64_t now_ms);
/* DescribeCluster: fenced brokers and the cluster id. */
void learn_cluster(struct model *draft, const struct describe_cluster_response *r);

enum learn_offset { LEARN_REPLICA_END, LEARN_HIGH_WATERMARK, LEARN_LOG_START };
/* ListOffsets as answered by `broker`. */
void learn_offsets(struct model *draft, enum learn_offset kind, int32_t broker,
                   const struct list_offsets_response *r, int64_t now_ms);
/* DescribeConfigs of topics. */
void learn_configs(struct model *draft, const struct describe_configs_response *r, int64_t now_ms);
void learn_log_dirs(struct model *draft, int32_t broker, const struct describe_log_dirs_response *r,
                    int64_t now_ms);
/* ListPartitionReassignments of every topic. */
void learn_moves(struct model *draft, const struct list_partition_reassignments_response *r,
                 int64_t now_ms);
void learn_quorum(struct model *draft, const struct describe_quorum_response *r, int64_t now_ms);

/* ListGroups as answered by one broker, kept until all have answered. */
struct learn_listing {
    struct arena arena;
    struct learn_listed {
        const char *group;
        const char *state;
        const char *type;
        int32_t coordinator;
    } * groups;
    size_t group_count;
    size_t group_capacity;
};
void learn_listed(struct learn_listing *l, int32_t broker, const struct list_groups_response *r);
/* Makes the draft's list of groups from the listing; groups of brokers for which `answered` is
 * false stay. Details already known are kept. Empties the listing. */
void learn_groups(struct model *draft, struct learn_listing *l,
                  bool (*answered)(void *ctx, int32_t broker), void *ctx, int64_t now_ms);
void learn_listing_free(struct learn_listing *l);

/* DescribeGroups and OffsetFetch (v8 and later). */
void learn_members(struct model *draft, const struct describe_groups_response *r, int64_t now_ms);
void learn_committed(struct model *draft, const struct offset_fetch_response *r, int64_t now_ms);
/* The coordinator did not answer for this group. */
void learn_group_failed(struct model *draft, const char *group, const char *why);

#endif
