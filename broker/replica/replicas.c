/* The set of partitions held by this broker: made, opened, closed and deleted as the image says.
 *
 * Happy path: delta names a topic -> for each partition of it that lists us, find or make the
 * replica, open its log by a job, take the role; partitions that no longer list us or whose topic
 * is gone are deleted. Failure modes: a log that does not open leaves the replica FAILED
 * (KAFKA_STORAGE_ERROR to clients), named in a trace line; a partition deleted while its log opens
 * is deleted when it has opened; one made again under the name of one that is being deleted waits
 * for the name; a directory that a crash left to an older topic of that name is deleted first. */
#include <stdlib.h>
#include <string.h>

#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"

/* Retention and time-based rolls are looked at this often (Kafka: log.retention.check.interval.ms
 * is five minutes; a look costs microseconds here). */
enum { REPLICAS_TEND_MS = 30000 };

static void on_news(struct env_post *post)
{
    struct replica *replica = CONTAINER_OF(post, struct replica, news);
    if (replica->announce_leader && replica->leading) {
        replica->announce_leader = false;
        replica_advance(replica);
        if (replica->all->config.became_leader != NULL) {
            replica->all->config.became_leader(replica->all->config.ctx, replica);
        }
        return;
    }
    replica_advance(replica);
}

static void on_ends_moved(void *ctx, struct log *log)
{
    struct replica *replica = ctx;
    ASSERT(replica->log == log);
    replica_advance(replica);
}

static void on_log_failed(void *ctx, struct log *log, enum err error, const struct err_text *text)
{
    (void)log;
    struct replica *replica = ctx;
    trace_error(env_trace(replica->all->env), "partition %s-%d is offline: %s (%s)", replica->topic,
                replica->key.partition, text->text, err_name(error));
    if (replica->state == REPLICA_ONLINE) {
        replica->state = REPLICA_FAILED;
    }
    bool led = replica->leading;
    replica_end_role(replica);
    replica_fail_waits(replica, KAFKA_KAFKA_STORAGE_ERROR);
    replica_fire_watches(replica);
    if (led && replica->all->config.lost_leadership != NULL) {
        replica->all->config.lost_leadership(replica->all->config.ctx, replica->topic,
                                             replica->key.partition, replica->leader_epoch);
    }
}

static void on_log_full(void *ctx, struct log *log)
{
    (void)log;
    replica_refuse_unwritten(ctx);
}

/* Retention is everyone's own: who fetches from us hears where the log begins now, and the leader
 * by our next fetch. */
static void tend(struct replica *replica)
{
    int64_t start = log_start(replica->log);
    log_tend(replica->log, replica->high_watermark);
    if (log_start(replica->log) == start) {
        return;
    }
    if (replica->following.fetcher != NULL) {
        fetcher_changed(replica);
    }
    env_post(replica->all->env, &replica->news);
}

static void on_tend(struct env_timer *timer)
{
    struct replicas *all = CONTAINER_OF(timer, struct replicas, tend);
    struct replica *replica;
    struct replica *next;
    HASH_ITER(hh, all->by_key, replica, next)
    {
        if (replica->state == REPLICA_ONLINE) {
            tend(replica);
        } else if (replica->state == REPLICA_FAILED && replica->roomless && all->closed == NULL) {
            replica->state = REPLICA_OPENING;
            all->opening++;
            replica_open_log(replica);
        }
    }
    env_timer_set(all->env, timer, env_now_ms(all->env) + REPLICAS_TEND_MS);
}

static const struct log_events log_news = {.written = on_ends_moved,
                                           .durable = on_ends_moved,
                                           .failed = on_log_failed,
                                           .full = on_log_full};

struct replica *replica_new(struct replicas *all, const char *topic, const struct replica_key *key)
{
    struct replica *replica = mem_zalloc(sizeof *replica);
    replica->key = *key;
    replica->topic = mem_strdup(topic);
    replica->all = all;
    replica->leader_id = -1;
    replica->leader_epoch = -1;
    list_init(&replica->appends);
    list_init(&replica->watches);
    list_init(&replica->gone);
    list_init(&replica->isr.queue);
    list_init(&replica->following.node);
    list_init(&replica->following.pending);
    env_post_init(&replica->news, on_news);
    all->config.topic_settings(all->config.ctx, topic, &replica->settings);
    throttle_take_settings(replica);
    HASH_ADD(hh, all->by_key, key, sizeof replica->key, replica);
    return replica;
}

static void replica_free(struct replica *replica)
{
    env_post_cancel(replica->all->env, &replica->news);
    list_remove(&replica->gone);
    replica_end_role(replica);
    isr_free(replica);
    mem_free(replica->replica_ids);
    mem_free(replica->topic);
    mem_free(replica);
}

static void check_closed(struct replicas *all)
{
    if (all->closed != NULL && all->opening == 0 && all->closing == 0) {
        env_post(all->env, &all->closed_post);
    }
}

static void on_closed_post(struct env_post *post)
{
    struct replicas *all = CONTAINER_OF(post, struct replicas, closed_post);
    if (all->closed != NULL && all->opening == 0 && all->closing == 0) {
        void (*closed)(void *) = all->closed;
        all->closed = NULL;
        closed(all->closed_ctx);
    }
}

static void on_settled_post(struct env_post *post)
{
    struct replicas *all = CONTAINER_OF(post, struct replicas, settled_post);
    if (all->opening == 0 && all->config.settled != NULL) {
        all->config.settled(all->config.ctx);
    }
}

static void opening_ended(struct replicas *all)
{
    ASSERT(all->opening > 0);
    all->opening--;
    if (all->opening == 0) {
        env_post(all->env, &all->settled_post);
    }
    check_closed(all);
}

/* ---- going away ---- */

static void on_deleted(void *ctx, enum err error)
{
    struct replica *replica = ctx;
    struct replicas *all = replica->all;
    if (error != ERR_NONE) {
        trace_error(env_trace(all->env), "delete partition %s-%d: %s", replica->topic,
                    replica->key.partition, err_name(error));
    }
    all->closing--;
    replica->log = NULL;
    replica_free(replica);
    replica_names_freed(all);
    check_closed(all);
}

static void start_delete(struct replica *replica)
{
    ASSERT(replica->log != NULL);
    replica->all->closing++;
    log_delete(replica->log, on_deleted, replica);
}

/* Takes the replica out of sight; its memory goes when the log has. Who waits gets `error`. */
static void replica_drop(struct replica *replica, int16_t error)
{
    struct replicas *all = replica->all;
    HASH_DEL(all->by_key, replica);
    list_push(&all->gone, &replica->gone);
    bool led = replica->leading;
    enum replica_state was = replica->state;
    replica->state = REPLICA_GOING;
    replica_end_role(replica);
    replica->deleting = true;
    replica_fail_waits(replica, error);
    replica_fire_watches(replica);
    if (led && all->config.lost_leadership != NULL) {
        all->config.lost_leadership(all->config.ctx, replica->topic, replica->key.partition,
                                    replica->leader_epoch);
    }
    if (replica->name_awaited) {
        replica_await_no_name(replica);
        replica_free(replica);
        opening_ended(all);
        return;
    }
    if (was == REPLICA_OPENING) {
        return; /* on_opened deletes it */
    }
    if (replica->log != NULL) {
        start_delete(replica);
    } else {
        replica_free(replica);
    }
}

/* ---- opening ---- */

static void on_log_closed(void *ctx, enum err error, const struct err_text *text)
{
    struct replica *replica = ctx;
    struct replicas *all = replica->all;
    if (error != ERR_NONE) {
        trace_error(env_trace(all->env), "close partition %s-%d: %s", replica->topic,
                    replica->key.partition, text->text);
    }
    log_free(replica->log);
    replica->log = NULL;
    all->closing--;
    check_closed(all);
}

static void replica_close(struct replica *replica)
{
    replica->state = REPLICA_GOING;
    replica_end_role(replica);
    replica->all->closing++;
    log_close(replica->log, on_log_closed, replica);
}

static void on_opened(void *ctx, struct log *log, const struct log_opened *opened)
{
    struct replica *replica = ctx;
    struct replicas *all = replica->all;
    ASSERT(replica->log == log);
    /* A topic id that differs and a name that is ours. */
    if (opened->error == ERR_STALE && !replica->deleting && replica_remove_stray(replica)) {
        return;
    }
    if (opened->error != ERR_NONE) {
        trace_error(env_trace(all->env), "partition %s-%d is offline: %s", replica->topic,
                    replica->key.partition, opened->text.text);
        if (replica->log != NULL) {
            log_free(log);
            replica->log = NULL;
        }
        replica->state = REPLICA_FAILED;
        replica->roomless = opened->error == ERR_NO_SPACE;
        if (replica->deleting) {
            replica_free(replica);
            replica_names_freed(all);
        }
    } else if (replica->deleting) {
        start_delete(replica);
    } else if (all->closed != NULL) {
        replica_close(replica);
    } else {
        replica->state = REPLICA_ONLINE;
        replica->high_watermark = log_recovered_high_watermark(log);
        replica_begin_role(replica);
        env_post(all->env, &replica->news);
    }
    opening_ended(all);
}

void replica_open_log(struct replica *replica)
{
    ASSERT(replica->log == NULL && replica->state == REPLICA_OPENING);
    replica->log = log_open(replica->dir, replica->topic, replica->key.partition,
                            &replica->key.topic_id, &replica->settings.log, ENV_WORKER_APPEND,
                            ENV_WORKER_COMMIT, &log_news, on_opened, replica);
}

/* The directory with the fewest bytes takes the next partition. */
static struct log_dir *choose_dir(struct replicas *all)
{
    struct log_dir *best = NULL;
    for (int i = 0; i < all->dir_count; i++) {
        if (!log_dir_failed(all->dirs[i]) &&
            (best == NULL || log_dir_bytes(all->dirs[i]) < log_dir_bytes(best))) {
            best = all->dirs[i];
        }
    }
    return best != NULL ? best : all->dirs[0];
}

static struct log_dir *dir_by_id(struct replicas *all, const struct uuid *id)
{
    for (int i = 0; i < all->dir_count; i++) {
        if (uuid_equal(log_dir_id(all->dirs[i]), id)) {
            return all->dirs[i];
        }
    }
    return NULL;
}

/* Where this broker's copy stands in the assignment; -1 when it holds none. */
static int32_t our_place(const struct replicas *all, const struct image_partition *partition)
{
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        if (partition->replicas.ids[i] == all->config.broker_id) {
            return i;
        }
    }
    return -1;
}

/* The directory that holds the partition already. Metadata need not say: a directory is chosen here
 * and may not have been told to the controller yet; choosing anew would begin an empty log beside
 * the old. */
static struct log_dir *dir_holding(struct replicas *all, const struct replica_key *key,
                                   const char *topic)
{
    for (int i = 0; i < all->dir_count; i++) {
        if (log_dir_holds(all->dirs[i], topic, key->partition, &key->topic_id)) {
            return all->dirs[i];
        }
    }
    return NULL;
}

static struct log_dir *dir_of(struct replicas *all, const struct image_partition *partition,
                              int32_t place, const struct replica_key *key, const char *topic)
{
    if (all->dir_count == 1) {
        return all->dirs[0];
    }
    struct log_dir *dir = dir_holding(all, key, topic);
    if (dir == NULL) {
        dir = dir_by_id(all, &partition->directories[place]);
    }
    return dir != NULL ? dir : choose_dir(all);
}

static void open_replica(struct replicas *all, const struct image_topic *topic,
                         const struct image_partition *partition, int32_t place)
{
    struct replica_key key;
    memset(&key, 0, sizeof key);
    key.topic_id = topic->id;
    key.partition = partition->partition;
    struct replica *replica = replica_new(all, topic->name, &key);
    replica->state = REPLICA_OPENING;
    replica->dir = dir_of(all, partition, place, &key, topic->name);
    all->opening++;
    if (replica_name_taken(replica)) {
        replica_await_name(replica);
    } else {
        replica_open_log(replica);
    }
    replica_take_role(replica, partition);
}

static void bring_in_line(struct replicas *all, const struct image_topic *topic,
                          const struct image_partition *partition)
{
    struct replica *replica = replicas_find(all, &topic->id, partition->partition);
    int32_t place = our_place(all, partition);
    if (place < 0) {
        if (replica != NULL) {
            replica_drop(replica, KAFKA_NOT_LEADER_OR_FOLLOWER); /* others hold it */
        }
    } else if (replica == NULL) {
        open_replica(all, topic, partition, place);
    } else {
        replica_take_role(replica, partition);
    }
}

static void drop_topic(struct replicas *all, const struct uuid *topic_id)
{
    struct replica *replica;
    struct replica *next;
    HASH_ITER(hh, all->by_key, replica, next)
    {
        if (uuid_equal(&replica->key.topic_id, topic_id)) {
            replica_drop(replica, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        }
    }
}

static void reconfigure(struct replicas *all, const char *topic)
{
    struct replica *replica;
    struct replica *next;
    HASH_ITER(hh, all->by_key, replica, next)
    {
        if (topic != NULL && strcmp(replica->topic, topic) != 0) {
            continue;
        }
        all->config.topic_settings(all->config.ctx, replica->topic, &replica->settings);
        throttle_take_settings(replica);
        if (replica->state == REPLICA_ONLINE) {
            log_configure(replica->log, &replica->settings.log);
            if (replica->following.fetcher != NULL) {
                follower_stop(replica); /* which end counts, and whose fetcher it is */
                follower_start(replica);
            }
        }
        env_post(all->env, &replica->news);
    }
}

void replicas_apply(struct replicas *all, const struct image *image,
                    const struct image_delta *delta)
{
    if (all->config.links != NULL) {
        image_free(all->image);
        all->image = image_clone(image);
    }
    /* Deletions first: a topic deleted and made again under its name needs the name free. */
    for (size_t i = 0; i < delta->topic_count; i++) {
        if (delta->topics[i]->deleted) {
            drop_topic(all, &delta->topics[i]->id);
        }
    }
    for (size_t i = 0; i < delta->topic_count; i++) {
        const struct image_delta_topic *changed = delta->topics[i];
        const struct image_topic *topic =
            changed->deleted ? NULL : image_topic_by_id(image, &changed->id);
        for (int32_t j = 0; topic != NULL && j < changed->partition_count; j++) {
            ASSERT(changed->partitions[j] < topic->partition_count);
            bring_in_line(all, topic, topic->partitions[changed->partitions[j]]);
        }
    }
    for (size_t i = 0; i < delta->configs_count; i++) {
        if (delta->configs[i]->type == IMAGE_RESOURCE_TOPIC) {
            reconfigure(all, delta->configs[i]->name);
        } else if (delta->configs[i]->type == IMAGE_RESOURCE_BROKER) {
            throttle_take_rates(all);
            reconfigure(all, NULL); /* topics without an override follow the broker's defaults */
        }
    }
}

/* ---- the set ---- */

static void set_default(int32_t *setting, int32_t value)
{
    if (*setting == 0) {
        *setting = value;
    }
}

static void set_defaults(struct replication_settings *settings)
{
    if (settings->lag_time_max_ms == 0) {
        settings->lag_time_max_ms = 30000;
    }
    set_default(&settings->fetch_wait_max_ms, 500);
    set_default(&settings->fetch_min_bytes, 1);
    set_default(&settings->fetch_max_bytes, 1 << 20);
    set_default(&settings->fetch_response_max_bytes, 10 << 20);
    set_default(&settings->fetch_backoff_ms, 1000);
    set_default(&settings->socket_timeout_ms, 30000);
}

struct replicas *replicas_new(struct env *env, struct log_dir **dirs, int dir_count,
                              const struct replicas_config *config)
{
    ASSERT(dir_count > 0 && config->topic_settings != NULL);
    struct replicas *all = mem_zalloc(sizeof *all);
    all->env = env;
    all->dirs = dirs;
    all->dir_count = dir_count;
    all->config = *config;
    set_defaults(&all->config.replication);
    throttle_take_rates(all);
    list_init(&all->gone);
    list_init(&all->fetchers);
    isr_sender_init(all);
    env_post_init(&all->settled_post, on_settled_post);
    env_post_init(&all->closed_post, on_closed_post);
    all->tend.fire = on_tend;
    env_timer_set(env, &all->tend, env_now_ms(env) + REPLICAS_TEND_MS);
    return all;
}

struct replica *replicas_find(struct replicas *all, const struct uuid *topic_id, int32_t partition)
{
    struct replica_key key;
    memset(&key, 0, sizeof key);
    key.topic_id = *topic_id;
    key.partition = partition;
    struct replica *replica = NULL;
    HASH_FIND(hh, all->by_key, &key, sizeof key, replica);
    return replica;
}

static int by_name(const void *a, const void *b)
{
    const struct replica *const *x = a;
    const struct replica *const *y = b;
    int order = strcmp((*x)->topic, (*y)->topic);
    return order != 0 ? order
                      : ((*x)->key.partition > (*y)->key.partition) -
                            ((*x)->key.partition < (*y)->key.partition);
}

void replicas_each(struct replicas *all, void (*each)(void *ctx, struct replica *replica),
                   void *ctx)
{
    size_t count = HASH_COUNT(all->by_key);
    struct replica **sorted = mem_array(count, sizeof(struct replica *));
    size_t n = 0;
    struct replica *replica;
    struct replica *next;
    HASH_ITER(hh, all->by_key, replica, next)
    {
        sorted[n++] = replica;
    }
    qsort(sorted, n, sizeof(struct replica *), by_name);
    for (size_t i = 0; i < n; i++) {
        each(ctx, sorted[i]);
    }
    mem_free(sorted);
}

bool replicas_settled(const struct replicas *all)
{
    return all->opening == 0;
}

void replicas_close(struct replicas *all, void (*done)(void *ctx), void *ctx)
{
    ASSERT(all->closed == NULL);
    all->closed = done;
    all->closed_ctx = ctx;
    env_timer_cancel(all->env, &all->tend);
    isr_sender_stop(all);
    struct replica *replica;
    struct replica *next;
    HASH_ITER(hh, all->by_key, replica, next)
    {
        replica_fail_waits(replica, KAFKA_NOT_LEADER_OR_FOLLOWER);
        if (replica->leading && all->config.lost_leadership != NULL) {
            all->config.lost_leadership(all->config.ctx, replica->topic, replica->key.partition,
                                        replica->leader_epoch);
        }
        bool failed_open = replica->state == REPLICA_FAILED && replica->log != NULL;
        if (replica->state == REPLICA_ONLINE || failed_open) {
            replica_close(replica);
        } else {
            replica_end_role(replica);
        }
    }
    fetchers_stop(all); /* nobody follows any more: no call is under way after this */
    check_closed(all);
}

void replicas_free(struct replicas *all)
{
    struct replica *replica;
    struct replica *next;
    HASH_ITER(hh, all->by_key, replica, next)
    {
        HASH_DEL(all->by_key, replica);
        if (replica->log != NULL) {
            log_free(replica->log);
        }
        replica_free(replica);
    }
    struct list *node;
    while ((node = list_pop(&all->gone)) != NULL) {
        struct replica *dropped = CONTAINER_OF(node, struct replica, gone);
        if (dropped->log != NULL) {
            log_free(dropped->log);
        }
        replica_free(dropped);
    }
    fetchers_stop(all);
    isr_sender_stop(all);
    image_free(all->image);
    env_timer_cancel(all->env, &all->tend);
    env_post_cancel(all->env, &all->settled_post);
    env_post_cancel(all->env, &all->closed_post);
    mem_free(all);
}
