/* Fetchers: one per source broker and kind of topic, each with one Fetch under way.
 *
 * Happy path: when everything that came with the last answer is on its way no more (written, and
 * synced where the topic is durable), one request names every partition that is ready with its end;
 * the leader parks it until it has news; the answer is handed to the partitions. So the end that a
 * fetch names is a promise the disk has made already, and what arrives during a sync is the next
 * round's (group commit). Durable topics and others have fetchers, and connections, of their own:
 * neither waits for the other's disk.
 *
 * Failure modes: no answer, or one that refuses the whole request, puts the fetcher off, longer
 * after each failure in a row; a partition in trouble is left out until its time comes, and a
 * parked fetch does not outlast that. Partitions come and go while a fetch is under way: an answer
 * counts only for those it was asked for, in the epoch it was asked in. A partition that becomes
 * ready while the others' fetch is parked does not wait for its end (its first records would, and
 * with them who waits for acks=all): the parked fetch is given up after a moment, in which more may
 * come or the answer arrive, and one that names all is sent; each time in a row the moment is
 * longer, so that a stream of newcomers does not starve the rest. */
#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/kafka_error.h"

/* Topic ids, and who fetches in which incarnation (KIP-903); to the one that names our mark
 * (KIP-1166). */
enum { FETCH_MIN_VERSION = 15, FETCH_MAX_VERSION = 18 };
enum { FIRST_BACKOFF_MS = 10 };
enum { NEWCOMER_WAIT_MS = 10, NEWCOMER_DOUBLINGS_MAX = 4 };

struct fetcher {
    struct replicas *all;
    struct list node; /* in replicas.fetchers */
    int32_t source;
    bool durable;
    struct list members; /* following.node, whose turn is next first */
    int32_t member_count;
    int32_t settling; /* members that wait for the disk */
    uint64_t round;
    bool sent;
    struct replica_call call;
    struct arena arena; /* of the request */
    int32_t failures;
    int64_t retry_at_ms;
    struct env_timer timer;
    struct env_timer newcomer; /* somebody waits whom the fetch under way does not name */
    int32_t given_up;          /* fetches in a row */
    struct env_post go;
};

int64_t fetcher_backoff_ms(const struct replicas *all, int32_t failures)
{
    int64_t most = all->config.replication.fetch_backoff_ms;
    int64_t wait = FIRST_BACKOFF_MS;
    for (int32_t i = 1; i < failures && wait < most; i++) {
        wait *= 2;
    }
    return wait < most ? wait : most;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static void take_partition(struct fetcher *fetcher, const struct uuid *topic_id,
                           const struct fetch_response_partition *part, struct buf *frame)
{
    struct replica *replica = replicas_find(fetcher->all, topic_id, part->partition_index);
    if (replica == NULL || replica->following.fetcher != fetcher ||
        replica->following.round != fetcher->round) {
        return; /* gone, or came (again) since: an epoch begins at round 0 */
    }
    replica->following.round = 0; /* one answer for each */
    if (follower_take(replica, part, frame) && replica->following.fetcher == fetcher) {
        /* Who got bytes goes to the end, so that a full answer does not starve the rest. */
        list_remove(&replica->following.node);
        list_push(&fetcher->members, &replica->following.node);
    }
}

static void on_answer(struct replica_call *call, const struct replica_answer *answer)
{
    struct fetcher *fetcher = CONTAINER_OF(call, struct fetcher, call);
    const struct fetch_response *response = answer->response;
    ASSERT(fetcher->sent);
    fetcher->sent = false;
    fetcher->given_up = 0;
    env_timer_cancel(fetcher->all->env, &fetcher->newcomer);
    bool refused = answer->error == ERR_NONE && response->error_code != KAFKA_NONE;
    if (answer->error != ERR_NONE || refused) {
        fetcher->failures++;
        int64_t wait_ms = fetcher_backoff_ms(fetcher->all, fetcher->failures);
        fetcher->retry_at_ms = env_now_ms(fetcher->all->env) + wait_ms;
        /* Said once, and again when it is over. */
        trace_line(env_trace(fetcher->all->env), fetcher->failures == 1 ? TRACE_INFO : TRACE_DEBUG,
                   "fetch from broker %d: %s; again in %lld ms", fetcher->source,
                   refused ? kafka_error_name(response->error_code) : answer->why,
                   (long long)wait_ms);
        fetcher_poke(fetcher);
        return;
    }
    if (fetcher->failures > 0) {
        trace_info(env_trace(fetcher->all->env),
                   "fetch from broker %d: answered, after %d failures", fetcher->source,
                   fetcher->failures);
    }
    fetcher->failures = 0;
    for (int32_t i = 0; i < response->responses.count; i++) {
        const struct fetch_response_response *topic = &response->responses.items[i];
        for (int32_t k = 0; k < topic->partitions.count; k++) {
            take_partition(fetcher, &topic->topic_id, &topic->partitions.items[k], answer->frame);
        }
    }
    fetcher_poke(fetcher);
}

/* ---- the request ------------------------------------------------------------------------------
 */

static void name_partition(struct fetcher *fetcher, struct replica *replica,
                           struct fetch_request_partition *part)
{
    struct following *following = &replica->following;
    following->round = fetcher->round;
    following->asked_offset = replica_own_end(replica);
    ASSERT(following->asked_offset == log_assigned_end(replica->log));
    wire_struct_defaults(&wire_struct_fetch_request_partition, part);
    part->partition = replica->key.partition;
    part->current_leader_epoch = replica->leader_epoch;
    part->fetch_offset = following->asked_offset;
    part->last_fetched_epoch = log_last_epoch(replica->log);
    part->log_start_offset = log_start(replica->log);
    part->partition_max_bytes = fetcher->all->config.replication.fetch_max_bytes;
    part->high_watermark = replica->high_watermark;
}

/* Names every ready member; partitions of a topic that stand next to each other share its entry.
 * Returns how many; *wake_ms becomes the time when another will be ready. */
static int32_t name_members(struct fetcher *fetcher, struct fetch_request *request,
                            int64_t *wake_ms)
{
    int64_t now = env_now_ms(fetcher->all->env);
    size_t most = (size_t)fetcher->member_count;
    struct fetch_request_partition *parts = arena_array(&fetcher->arena, most, sizeof *parts);
    request->topics.items = arena_array(&fetcher->arena, most, sizeof *request->topics.items);
    request->topics.count = 0;
    int32_t count = 0;
    *wake_ms = INT64_MAX;
    LIST_FOREACH(node, &fetcher->members) {
        struct replica *replica = CONTAINER_OF(node, struct replica, following.node);
        struct fetch_request_topic *topic = NULL;
        if (!follower_ready(replica, now)) {
            int64_t at = replica->following.retry_at_ms;
            *wake_ms = at > now && at < *wake_ms ? at : *wake_ms;
            continue;
        }
        if (request->topics.count > 0) {
            topic = &request->topics.items[request->topics.count - 1];
        }
        if (topic == NULL || !uuid_equal(&topic->topic_id, &replica->key.topic_id)) {
            topic = &request->topics.items[request->topics.count++];
            wire_struct_defaults(&wire_struct_fetch_request_topic, topic);
            topic->topic_id = replica->key.topic_id;
            topic->partitions.items = &parts[count];
            topic->partitions.count = 0;
        }
        name_partition(fetcher, replica, &parts[count]);
        topic->partitions.count++;
        count++;
    }
    ASSERT(count <= fetcher->member_count);
    return count;
}

static int32_t wait_of(const struct fetcher *fetcher, int64_t wake_ms)
{
    int64_t wait = fetcher->all->config.replication.fetch_wait_max_ms;
    int64_t until = wake_ms == INT64_MAX ? wait : wake_ms - env_now_ms(fetcher->all->env);
    return (int32_t)(until < wait ? until : wait);
}

static void send_fetch(struct fetcher *fetcher)
{
    struct replicas *all = fetcher->all;
    int64_t wake_ms = INT64_MAX;
    arena_free(&fetcher->arena);
    struct fetch_request *request = arena_alloc(&fetcher->arena, sizeof *request);
    wire_defaults(&wire_fetch_request, request);
    fetcher->round++;
    if (name_members(fetcher, request, &wake_ms) == 0) {
        if (wake_ms != INT64_MAX) {
            env_timer_set(all->env, &fetcher->timer, wake_ms);
        }
        return;
    }
    request->replica_state.replica_id = all->config.broker_id;
    request->replica_state.replica_epoch = replicas_broker_epoch(all);
    request->max_wait_ms = wait_of(fetcher, wake_ms);
    request->min_bytes = all->config.replication.fetch_min_bytes;
    request->max_bytes = all->config.replication.fetch_response_max_bytes;
    fetcher->sent = true;
    fetcher->call = (struct replica_call){.broker_id = fetcher->source,
                                          .channel = fetcher->durable ? REPLICA_CHANNEL_DURABLE
                                                                      : REPLICA_CHANNEL_OTHERS,
                                          .api_key = WIRE_FETCH,
                                          .min_version = FETCH_MIN_VERSION,
                                          .max_version = FETCH_MAX_VERSION,
                                          .request = request,
                                          .timeout_ms = all->config.replication.socket_timeout_ms,
                                          .done = on_answer};
    all->config.links->send(all->config.links->ctx, &fetcher->call);
}

static void give_up(struct fetcher *fetcher)
{
    const struct replica_links *links = fetcher->all->config.links;
    ASSERT(fetcher->sent);
    fetcher->sent = false;
    links->cancel(links->ctx, &fetcher->call);
    env_timer_cancel(fetcher->all->env, &fetcher->newcomer);
}

static void on_newcomer(struct env_timer *timer)
{
    struct fetcher *fetcher = CONTAINER_OF(timer, struct fetcher, newcomer);
    if (fetcher->sent) {
        fetcher->given_up++;
        give_up(fetcher);
        fetcher_poke(fetcher);
    }
}

/* A member is ready that the fetch under way does not name. */
static bool newcomer_waits(const struct fetcher *fetcher)
{
    int64_t now = env_now_ms(fetcher->all->env);
    LIST_FOREACH(node, &fetcher->members) {
        const struct replica *replica = CONTAINER_OF(node, struct replica, following.node);
        if (replica->following.round != fetcher->round && follower_ready(replica, now)) {
            return true;
        }
    }
    return false;
}

static void on_go(struct env_post *post)
{
    struct fetcher *fetcher = CONTAINER_OF(post, struct fetcher, go);
    struct env *env = fetcher->all->env;
    if (fetcher->sent && !env_timer_armed(&fetcher->newcomer) && newcomer_waits(fetcher)) {
        int32_t doublings =
            fetcher->given_up < NEWCOMER_DOUBLINGS_MAX ? fetcher->given_up : NEWCOMER_DOUBLINGS_MAX;
        env_timer_set(env, &fetcher->newcomer,
                      env_now_ms(env) + ((int64_t)NEWCOMER_WAIT_MS << doublings));
    }
    if (fetcher->sent || fetcher->settling > 0 || fetcher->member_count == 0) {
        return;
    }
    env_timer_cancel(env, &fetcher->timer);
    if (fetcher->retry_at_ms > env_now_ms(env)) {
        env_timer_set(env, &fetcher->timer, fetcher->retry_at_ms);
        return;
    }
    send_fetch(fetcher);
}

static void on_timer(struct env_timer *timer)
{
    fetcher_poke(CONTAINER_OF(timer, struct fetcher, timer));
}

void fetcher_poke(struct fetcher *fetcher)
{
    ASSERT(fetcher != NULL);
    env_post(fetcher->all->env, &fetcher->go);
}

void fetcher_settling(struct fetcher *fetcher, bool more)
{
    fetcher->settling += more ? 1 : -1;
    ASSERT(fetcher->settling >= 0 && fetcher->settling <= fetcher->member_count);
    if (fetcher->settling == 0) {
        fetcher_poke(fetcher);
    }
}

int32_t fetcher_source(const struct fetcher *fetcher)
{
    return fetcher->source;
}

/* ---- members ----------------------------------------------------------------------------------
 */

static struct fetcher *fetcher_of(struct replicas *all, int32_t source, bool durable)
{
    LIST_FOREACH(node, &all->fetchers) {
        struct fetcher *fetcher = CONTAINER_OF(node, struct fetcher, node);
        if (fetcher->source == source && fetcher->durable == durable) {
            return fetcher;
        }
    }
    struct fetcher *fetcher = mem_zalloc(sizeof *fetcher);
    fetcher->all = all;
    fetcher->source = source;
    fetcher->durable = durable;
    fetcher->retry_at_ms = INT64_MIN;
    fetcher->timer.fire = on_timer;
    fetcher->newcomer.fire = on_newcomer;
    list_init(&fetcher->members);
    env_post_init(&fetcher->go, on_go);
    list_push(&all->fetchers, &fetcher->node);
    return fetcher;
}

static void fetcher_free(struct fetcher *fetcher)
{
    struct replicas *all = fetcher->all;
    ASSERT(list_empty(&fetcher->members));
    if (fetcher->sent) {
        give_up(fetcher);
    }
    env_timer_cancel(all->env, &fetcher->timer);
    env_post_cancel(all->env, &fetcher->go);
    list_remove(&fetcher->node);
    arena_free(&fetcher->arena);
    mem_free(fetcher);
}

void fetcher_join(struct replica *replica)
{
    ASSERT(replica->following.fetcher == NULL);
    struct fetcher *fetcher =
        fetcher_of(replica->all, replica->leader_id, replica_durable(replica));
    replica->following.fetcher = fetcher;
    /* First: whoever came last has waited for nothing yet. */
    list_push(fetcher->members.next, &replica->following.node);
    fetcher->member_count++;
    fetcher_poke(fetcher);
}

void fetcher_leave(struct replica *replica)
{
    struct fetcher *fetcher = replica->following.fetcher;
    ASSERT(fetcher != NULL && fetcher->member_count > 0);
    list_remove(&replica->following.node);
    replica->following.fetcher = NULL;
    fetcher->member_count--;
    if (fetcher->member_count == 0) { /* whoever comes next does not wait for a fetch under way */
        env_post_cancel(fetcher->all->env, &fetcher->go);
        env_timer_cancel(fetcher->all->env, &fetcher->timer);
    }
}

void fetchers_stop(struct replicas *all)
{
    struct list *node;
    while ((node = list_pop(&all->fetchers)) != NULL) {
        fetcher_free(CONTAINER_OF(node, struct fetcher, node));
    }
}
