/* Records on their way into the coordinator's partition, and what happens when they are there.
 *
 * One call is one batch, appended with acks=all. Failure modes: the append is refused or fails (the
 * caller's `done` gets Kafka's code), the high watermark does not come in time (REQUEST_TIMED_OUT;
 * the record may still survive, and a later load would show it), leadership goes (`done` with what
 * the coordinator is told). */
#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"

enum { STORE_BATCH_BYTES = 256 << 10 };

static void write_end(struct group_write *write, int16_t error)
{
    env_timer_cancel(write->at->all->env, &write->timeout);
    list_remove(&write->node);
    write->done(write, error);
    if (write->free_extra != NULL) {
        write->free_extra(write->extra);
    }
    mem_free(write->group_id);
    mem_free(write);
}

static void on_appended(struct replica_append *append)
{
    write_end(CONTAINER_OF(append, struct group_write, append), append->error);
}

static void on_timeout(struct env_timer *timer)
{
    struct group_write *write = CONTAINER_OF(timer, struct group_write, timeout);
    replica_append_cancel(&write->append);
    write_end(write, KAFKA_REQUEST_TIMED_OUT);
}

static struct buf *build(struct coordinator *at, const struct group_record *records, int count)
{
    struct batch_builder builder;
    batch_builder_init(&builder);
    for (int i = 0; i < count; i++) {
        struct wire_bytes key = {records[i].key.data, (int32_t)records[i].key.size};
        struct wire_bytes value = {records[i].value.data, (int32_t)records[i].value.size};
        if (records[i].value.size == 0) {
            value.size = -1;
        }
        batch_builder_add(&builder, env_wall_ms(at->all->env), key, value, NULL, 0);
    }
    struct bytes bytes = {0};
    enum err error = batch_build(&builder, &bytes, NULL);
    ASSERT(error == ERR_NONE); /* no codec: nothing to fail */
    struct buf *buf = buf_copy(bytes.data, bytes.size);
    bytes_free(&bytes);
    batch_builder_free(&builder);
    return buf;
}

void group_store(struct coordinator *at, const char *group_id, struct group_record *records,
                 int count, void (*done)(struct group_write *write, int16_t error), void *ctx,
                 void *extra, void (*free_extra)(void *extra))
{
    ASSERT(count > 0 && at->state == COORDINATOR_ACTIVE);
    struct group_write *write = mem_zalloc(sizeof *write);
    write->at = at;
    write->group_id = mem_strdup(group_id);
    write->done = done;
    write->ctx = ctx;
    write->extra = extra;
    write->free_extra = free_extra;
    write->append.done = on_appended;
    write->timeout.fire = on_timeout;
    list_push(&at->writes, &write->node);
    struct buf *buf = build(at, records, count);
    bool answered = replica_append(at->replica, buf, 0, buf->size, -1, &write->append);
    buf_unref(buf);
    if (answered) {
        write_end(write, write->append.error);
        return;
    }
    env_timer_set(at->all->env, &write->timeout,
                  env_now_ms(at->all->env) + at->all->config.commit_timeout_ms);
}

int group_store_fit(const struct group_record *records, size_t count)
{
    size_t bytes = 0;
    int n = 0;
    while ((size_t)n < count && (n == 0 || bytes < STORE_BATCH_BYTES)) {
        bytes += records[n].key.size + records[n].value.size;
        n++;
    }
    return n;
}

int16_t group_store_error(int16_t error)
{
    switch (error) {
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case KAFKA_REQUEST_TIMED_OUT:
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_KAFKA_STORAGE_ERROR:
        return KAFKA_NOT_COORDINATOR;
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE:
    case KAFKA_INVALID_FETCH_SIZE:
        return KAFKA_UNKNOWN_SERVER_ERROR;
    default:
        return error;
    }
}

void group_store_abandon(struct coordinator *at, int16_t error)
{
    while (!list_empty(&at->writes)) {
        struct group_write *write = CONTAINER_OF(at->writes.next, struct group_write, node);
        replica_append_cancel(&write->append);
        write_end(write, error);
    }
}
