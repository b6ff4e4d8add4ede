/* Records and batches for tests. */
#ifndef TESTS_UNIT_METADATA_RECORDS_H
#define TESTS_UNIT_METADATA_RECORDS_H

#include "broker/metadata/record.h"
#include "common/base/uuid.h"

void put_topic(struct record_list *list, const char *name, struct uuid id);
void put_partition(struct record_list *list, struct uuid id, int32_t partition, int32_t leader,
                   const int32_t *replicas, int32_t count);
void put_isr(struct record_list *list, struct uuid id, int32_t partition, const int32_t *isr,
             int32_t count);
/* Other replicas; the first `adding` are being added, the last `removing` removed. */
void put_replicas(struct record_list *list, struct uuid id, int32_t partition,
                  const int32_t *replicas, int32_t count, int32_t adding, int32_t removing);
void put_leader(struct record_list *list, struct uuid id, int32_t partition, int32_t leader);
void put_remove(struct record_list *list, struct uuid id);
void put_config(struct record_list *list, int8_t type, const char *name, const char *key,
                const char *value);
void put_feature(struct record_list *list, const char *name, int16_t level);
void put_producer_ids(struct record_list *list, int64_t next);
void put_broker(struct record_list *list, int32_t id, int64_t epoch);
void put_fencing(struct record_list *list, int32_t id, int64_t epoch, int8_t fenced);
void put_mark(struct record_list *list, enum record_key key); /* Begin, End, Abort, NoOp */

/* One batch (magic 2) of the list's records; free with bytes_free. */
struct bytes batch_of(const struct record_list *list, int64_t base_offset, int32_t epoch,
                      bool control);

#endif
