/* Loading a coordinator: its partition is read from the start to the end that it had when
 * leadership began, record by record, in chunks of load_buffer_bytes; when the high watermark has
 * come there too it is active and answers.
 *
 * That end includes what this broker was given as a follower and has not written yet, so the load
 * may have to wait for its own disk. And it may include what not every in-sync replica has: a new
 * leader waits until they do before it tells anybody, since a commit that was read could otherwise
 * be lost with the next leader.
 *
 * Failure modes: a record that does not decode is said and passed over (Kafka does the same: one
 * bad record must not make every group of the partition unavailable); a read that fails is said and
 * tried again. */
#include "broker/group/group_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"

enum { LOAD_RETRY_MS = 100, LOAD_BATCH_MAX_BYTES = 64 << 20 };

struct group_load {
    struct log_read read;
    struct coordinator *at; /* NULL when leadership went while a read was under way */
    struct env_timer retry;
    struct env_post again;
    struct replica_watch watch; /* for the disk, then for the high watermark */
    int64_t next;
    int64_t end;
    int64_t records;
    bool reading;
};

static void read_on(struct group_load *load);

static void finish(struct group_load *load)
{
    struct coordinator *at = load->at;
    struct env *env = at->all->env;
    at->state = COORDINATOR_ACTIVE;
    at->load = NULL;
    enum trace_level level = load->records > 0 ? TRACE_INFO : TRACE_DEBUG;
    trace_line(env_trace(env), level,
               "coordinate __consumer_offsets-%d: %u groups from %lld records", at->partition,
               HASH_COUNT(at->groups), (long long)load->records);
    struct group *group;
    struct group *next;
    HASH_ITER(hh, at->groups, group, next)
    {
        LIST_FOREACH(node, &group->members) {
            /* Everyone gets a whole session to be heard from again. */
            member_heard(CONTAINER_OF(node, struct member, node));
        }
    }
    env_timer_cancel(env, &load->retry);
    env_post_cancel(env, &load->again);
    replica_watch_cancel(&load->watch);
    mem_free(load);
}

static void apply_batch(struct group_load *load, const uint8_t *data, size_t size)
{
    struct coordinator *at = load->at;
    const struct trace *trace = env_trace(at->all->env);
    struct err_text text = {""};
    struct record_walk walk;
    if (record_walk_init(&walk, data, size, LOAD_BATCH_MAX_BYTES, &text) != ERR_NONE) {
        trace_error(trace, "__consumer_offsets-%d: a batch is passed over: %s", at->partition,
                    text.text);
        return;
    }
    struct record record;
    while (!(walk.batch.attributes & BATCH_CONTROL) && record_walk_next(&walk, &record)) {
        if (record.offset < load->next) {
            continue; /* a batch may begin below what was asked for */
        }
        load->records++;
        if (!group_record_apply(at, record.key.data, record.key.size, record.value.data,
                                record.value.size)) {
            trace_error(trace, "__consumer_offsets-%d: the record at offset %lld is passed over",
                        at->partition, (long long)record.offset);
        }
    }
    if (walk.in.error != ERR_NONE) {
        trace_error(trace, "__consumer_offsets-%d: the rest of the batch at %lld is passed over",
                    at->partition, (long long)walk.batch.base_offset);
    }
    record_walk_free(&walk);
}

static void apply_chunk(struct group_load *load, const struct buf *chunk)
{
    size_t at = 0;
    struct batch batch;
    while (at < chunk->size &&
           batch_parse(chunk->data + at, chunk->size - at, &batch, NULL) == ERR_NONE) {
        apply_batch(load, chunk->data + at, batch.size);
        at += batch.size;
    }
    if (at < chunk->size) {
        trace_error(env_trace(load->at->all->env),
                    "__consumer_offsets-%d: %zu bytes after offset %lld are passed over: no batch",
                    load->at->partition, chunk->size - at, (long long)load->next);
    }
}

static void on_read(struct log_read *read)
{
    struct group_load *load = CONTAINER_OF(read, struct group_load, read);
    load->reading = false;
    env_file_unref(read->file); /* the bytes are all we want */
    read->file = NULL;
    if (load->at == NULL) {
        buf_unref(read->bytes);
        mem_free(load);
        return;
    }
    struct env *env = load->at->all->env;
    if (read->error != ERR_NONE) {
        trace_error(env_trace(env), "load __consumer_offsets-%d at %lld: %s (%s); trying again",
                    load->at->partition, (long long)load->next, read->text.text,
                    err_name(read->error));
        env_timer_set(env, &load->retry, env_now_ms(env) + LOAD_RETRY_MS);
        return;
    }
    if (read->bytes != NULL) {
        apply_chunk(load, read->bytes);
    }
    buf_unref(read->bytes);
    read->bytes = NULL;
    /* Nothing more to read below the end means that the log was cut: what is there has been loaded.
     */
    load->next = read->next_offset > load->next ? read->next_offset : read->limit_offset;
    env_post(env, &load->again);
}

static void read_on(struct group_load *load)
{
    struct log *log = replica_log(load->at->replica);
    if (log == NULL) {
        return; /* failed: groups_resign follows */
    }
    if (load->next < log_start(log)) {
        load->next = log_start(log);
    }
    int64_t readable = log_end(log) < load->end ? log_end(log) : load->end;
    bool loaded = load->next >= load->end;
    if (loaded && replica_high_watermark(load->at->replica) >= load->end) {
        finish(load);
        return;
    }
    if (load->next >= readable) {
        replica_watch_cancel(&load->watch);
        replica_watch(load->at->replica, &load->watch);
        return;
    }
    load->read = (struct log_read){.offset = load->next,
                                   .limit_offset = readable,
                                   .max_bytes = (uint32_t)load->at->all->config.load_buffer_bytes,
                                   .whole_first = true,
                                   .want_bytes = true,
                                   .done = on_read};
    load->reading = true;
    if (log_read(log, &load->read)) {
        on_read(&load->read);
    }
}

static void on_moved(struct replica_watch *watch)
{
    struct group_load *load = CONTAINER_OF(watch, struct group_load, watch);
    env_post(load->at->all->env, &load->again);
}

static void on_retry(struct env_timer *timer)
{
    read_on(CONTAINER_OF(timer, struct group_load, retry));
}

static void on_again(struct env_post *post)
{
    read_on(CONTAINER_OF(post, struct group_load, again));
}

void group_load_start(struct coordinator *at)
{
    struct log *log = replica_log(at->replica);
    ASSERT(at->load == NULL && log != NULL);
    struct group_load *load = mem_zalloc(sizeof *load);
    load->at = at;
    load->next = log_start(log);
    load->end = log_assigned_end(log);
    load->retry.fire = on_retry;
    load->watch.fire = on_moved;
    list_init(&load->watch.node);
    env_post_init(&load->again, on_again);
    at->load = load;
    read_on(load);
}

void group_load_cancel(struct coordinator *at)
{
    struct group_load *load = at->load;
    if (load == NULL) {
        return;
    }
    at->load = NULL;
    env_timer_cancel(at->all->env, &load->retry);
    env_post_cancel(at->all->env, &load->again);
    replica_watch_cancel(&load->watch);
    if (load->reading && !log_read_cancel(&load->read)) {
        load->at = NULL; /* on_read frees it */
    } else {
        mem_free(load);
    }
}
