/* Appending as the leader: before, at and after the log. */
#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/wire/kafka_error.h"

static bool refuse(struct replica_append *append, int16_t error, const char *message)
{
    append->error = error;
    append->message = message;
    append->base_offset = -1;
    return true;
}

/* The list is kept by wait_offset so that completion looks only at its head; a duplicate of an
 * older batch is the rare one that does not belong at the end. */
static void park(struct replica *replica, struct replica_append *append)
{
    struct list *before = &replica->appends;
    while (before->prev != &replica->appends) {
        struct replica_append *other = CONTAINER_OF(before->prev, struct replica_append, node);
        if (other->wait_offset <= append->wait_offset) {
            break;
        }
        before = before->prev;
    }
    list_push(before, &append->node);
}

bool replica_append(struct replica *replica, struct buf *buf, size_t offset, size_t size,
                    int16_t acks, struct replica_append *append)
{
    ASSERT(acks >= -1 && acks <= 1);
    ASSERT(append->done != NULL);
    list_init(&append->node);
    append->replica = replica;
    append->error = KAFKA_NONE;
    append->message = NULL;
    append->log_append_time_ms = -1;
    append->log_start_offset = -1;
    int16_t error = replica_check(replica, -1, true);
    if (error != KAFKA_NONE) {
        return refuse(append, error, NULL);
    }
    if (acks == -1 && replica->isr.count < replica_min_isr(replica)) {
        return refuse(append, KAFKA_NOT_ENOUGH_REPLICAS, NULL);
    }
    struct log_append_result result = {0};
    log_append_as_leader(replica->log, buf, offset, size, replica->leader_epoch, &result);
    if (result.error != KAFKA_NONE) {
        return refuse(append, result.error, result.message);
    }
    append->base_offset = result.base_offset;
    append->log_append_time_ms = result.append_time_ms;
    append->log_start_offset = log_start(replica->log);
    append->leader_epoch = replica->leader_epoch;
    if (acks == 0) {
        return true;
    }
    append->wait_offset = result.last_offset + 1;
    append->wait_high_watermark = acks == -1;
    park(replica, append);
    if (result.duplicate) {
        /* Perhaps long since on disk: look on the next turn, no log event may come for it. */
        env_post(replica->all->env, &replica->news);
    }
    return false;
}

void replica_append_cancel(struct replica_append *append)
{
    if (append->node.next != NULL) {
        list_remove(&append->node);
    }
}

void replica_refuse_unwritten(struct replica *replica)
{
    struct list refused; /* first all, then the calls: a call may withdraw another */
    list_init(&refused);
    LIST_FOREACH(node, &replica->appends) {
        struct replica_append *append = CONTAINER_OF(node, struct replica_append, node);
        if (append->wait_offset > log_end(replica->log)) {
            list_remove(node);
            list_push(&refused, node);
        }
    }
    struct list *node;
    while ((node = list_pop(&refused)) != NULL) {
        struct replica_append *append = CONTAINER_OF(node, struct replica_append, node);
        append->error = KAFKA_KAFKA_STORAGE_ERROR;
        append->message = log_full_message;
        append->base_offset = -1;
        append->done(append);
    }
}
