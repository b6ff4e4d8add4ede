/* Fetchers: one per source broker and kind of topic, each with one Fetch under way, in a fetch
 * session (KIP-227).
 *
 * Happy path: when everything that came with the last answer is on its way no more (written, and
 * synced where the topic is durable), one request names every partition whose end has moved; the
 * leader parks it until it has news of any of the session's; the answer is handed to the partitions
 * it speaks of. So a round costs what changed, and the end that a fetch names is a promise the disk
 * has made already, and what arrives during a sync is the next round's (group commit). Durable
 * topics and others have fetchers, connections and sessions of their own: neither waits for the
 * other's disk.
 *
 * Failure modes: no answer, or one that refuses the whole request, puts the fetcher off, longer
 * after each failure in a row, and ends the session: the next request is a full one, which names
 * every partition that is ready and begins another; where it was but the session that the leader
 * did not know (any more), that request is sent at once. A leader without room for a session
 * answers with none, and every request is full. A partition in trouble is taken out of the session
 * until its time comes, and a parked fetch does not outlast that. Partitions come and go while a
 * fetch is under way: an answer counts only for those that are in the session, in the epoch they
 * were named in. A partition that becomes ready while the others' fetch is parked does not wait for
 * its end (its first records would, and with them who waits for acks=all): the parked fetch is
 * given up after a moment, in which more may come or the answer arrive, and a full one is sent;
 * each time in a row the moment is longer, so that a stream of newcomers does not starve the rest.
 */
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
    /* the session */
    int32_t session_id;
    int32_t session_epoch;  /* of the next request; 0: a full one */
    int32_t session_count;  /* members in it */
    struct list pending;    /* following.pending */
    struct bytes forgotten; /* struct replica_key of those the leader still has in it */
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
        !replica->following.in_session) {
        return; /* gone, or came (again) since */
    }
    fetcher_changed(replica);
    if (follower_take(replica, part, frame) && replica->following.fetcher == fetcher) {
        /* Who got bytes goes to the end, so that a full answer does not starve the rest. */
        list_remove(&replica->following.node);
        list_push(&fetcher->members, &replica->following.node);
    }
}

static void put_off(struct fetcher *fetcher, const char *why)
{
    fetcher->failures++;
    int64_t wait_ms = fetcher_backoff_ms(fetcher->all, fetcher->failures);
    fetcher->retry_at_ms = env_now_ms(fetcher->all->env) + wait_ms;
    /* Said once, and again when it is over. */
    trace_line(env_trace(fetcher->all->env), fetcher->failures == 1 ? TRACE_INFO : TRACE_DEBUG,
               "fetch from broker %d: %s; again in %lld ms", fetcher->source, why,
               (long long)wait_ms);
}

/* The request as a whole was refused (Kafka: FetchSessionHandler.handleResponse). */
static void take_refusal(struct fetcher *fetcher, int16_t error)
{
    bool full = fetcher->session_epoch == 0;
    bool unknown = error == KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    fetcher->session_epoch = 0;
    if (unknown) {
        fetcher->session_id = 0;
    }
    if (full || (!unknown && error != KAFKA_INVALID_FETCH_SESSION_EPOCH)) {
        put_off(fetcher, kafka_error_name(error));
    }
}

/* The request was answered: the session goes on, begins, or is none. */
static void take_session(struct fetcher *fetcher, const struct fetch_response *response)
{
    if (response->session_id == 0) {
        fetcher->session_epoch = 0;
    } else {
        fetcher->session_epoch =
            fetcher->session_epoch == INT32_MAX ? 1 : fetcher->session_epoch + 1;
    }
    fetcher->session_id = response->session_id;
}

static void on_answer(struct replica_call *call, const struct replica_answer *answer)
{
    struct fetcher *fetcher = CONTAINER_OF(call, struct fetcher, call);
    const struct fetch_response *response = answer->response;
    ASSERT(fetcher->sent);
    fetcher->sent = false;
    fetcher->given_up = 0;
    env_timer_cancel(fetcher->all->env, &fetcher->newcomer);
    if (answer->error != ERR_NONE) {
        fetcher->session_epoch = 0;
        put_off(fetcher, answer->why);
        fetcher_poke(fetcher);
        return;
    }
    if (response->error_code != KAFKA_NONE) {
        take_refusal(fetcher, response->error_code);
        fetcher_poke(fetcher);
        return;
    }
    if (fetcher->failures > 0) {
        trace_info(env_trace(fetcher->all->env),
                   "fetch from broker %d: answered, after %d failures", fetcher->source,
                   fetcher->failures);
    }
    fetcher->failures = 0;
    take_session(fetcher, response);
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

static bool named_so(const struct replica *replica)
{
    const struct following *following = &replica->following;
    return following->in_session && following->named.offset == replica_own_end(replica) &&
           following->named.log_start == log_start(replica->log) &&
           following->named.leader_epoch == replica->leader_epoch &&
           following->named.last_epoch == log_last_epoch(replica->log);
}

static void name_partition(struct fetcher *fetcher, struct replica *replica,
                           struct fetch_request_partition *part)
{
    struct following *following = &replica->following;
    following->named.offset = replica_own_end(replica);
    following->named.log_start = log_start(replica->log);
    following->named.leader_epoch = replica->leader_epoch;
    following->named.last_epoch = log_last_epoch(replica->log);
    fetcher->session_count += !following->in_session;
    following->in_session = true;
    ASSERT(following->named.offset == log_assigned_end(replica->log));
    wire_struct_defaults(&wire_struct_fetch_request_partition, part);
    part->partition = replica->key.partition;
    part->current_leader_epoch = following->named.leader_epoch;
    part->fetch_offset = following->named.offset;
    part->last_fetched_epoch = following->named.last_epoch;
    part->log_start_offset = following->named.log_start;
    part->partition_max_bytes = fetcher->all->config.replication.fetch_max_bytes;
    part->high_watermark = replica->high_watermark;
}

/* Not to be heard of any more. The leader is told by the next request, if there is a session. */
static void leave_session(struct fetcher *fetcher, struct replica *replica)
{
    if (replica->following.in_session) {
        replica->following.in_session = false;
        fetcher->session_count--;
        ASSERT(fetcher->session_count >= 0);
        bytes_append(&fetcher->forgotten, &replica->key, sizeof replica->key);
    }
}

/* Named (again), it must not be forgotten in the same breath: forgetting comes last. */
static void unforget(struct fetcher *fetcher, const struct replica_key *key)
{
    struct replica_key *keys = (struct replica_key *)(void *)fetcher->forgotten.data;
    size_t count = fetcher->forgotten.size / sizeof *keys;
    for (size_t i = 0; i < count; i++) {
        if (keys[i].partition == key->partition && uuid_equal(&keys[i].topic_id, &key->topic_id)) {
            keys[i] = keys[count - 1];
            fetcher->forgotten.size -= sizeof *keys;
            return;
        }
    }
}

/* A full request: every member is looked at, and nobody is in the session that was. */
static void begin_session(struct fetcher *fetcher)
{
    list_init(&fetcher->pending);
    LIST_FOREACH(node, &fetcher->members) {
        struct replica *replica = CONTAINER_OF(node, struct replica, following.node);
        replica->following.in_session = false;
        list_push(&fetcher->pending, &replica->following.pending);
    }
    fetcher->session_count = 0;
    fetcher->forgotten.size = 0;
}

/* Names every pending member that is ready and not named so already; partitions of a topic that
 * stand next to each other share its entry. *wake_ms becomes the time when another is ready. */
static void name_members(struct fetcher *fetcher, struct fetch_request *request, int64_t *wake_ms)
{
    int64_t now = env_now_ms(fetcher->all->env);
    int32_t most = 0;
    LIST_FOREACH(node, &fetcher->pending) {
        most++;
    }
    struct fetch_request_partition *parts =
        arena_array(&fetcher->arena, (size_t)most, sizeof *parts);
    request->topics.items =
        arena_array(&fetcher->arena, (size_t)most, sizeof *request->topics.items);
    request->topics.count = 0;
    LIST_FOREACH(node, &fetcher->pending) {
        struct replica *replica = CONTAINER_OF(node, struct replica, following.pending);
        struct fetch_request_topic *topic = NULL;
        follower_hold(replica, now);
        if (!follower_ready(replica, now)) {
            int64_t at = replica->following.retry_at_ms;
            *wake_ms = at > now && at < *wake_ms ? at : *wake_ms;
            leave_session(fetcher, replica);
            continue;
        }
        list_remove(&replica->following.pending);
        if (named_so(replica)) {
            continue;
        }
        if (request->topics.count > 0) {
            topic = &request->topics.items[request->topics.count - 1];
        }
        if (topic == NULL || !uuid_equal(&topic->topic_id, &replica->key.topic_id)) {
            topic = &request->topics.items[request->topics.count++];
            wire_struct_defaults(&wire_struct_fetch_request_topic, topic);
            topic->topic_id = replica->key.topic_id;
            topic->partitions.items = parts;
            topic->partitions.count = 0;
        }
        unforget(fetcher, &replica->key);
        name_partition(fetcher, replica, parts++);
        topic->partitions.count++;
    }
}

/* Said once: were the request not to arrive, the next would be a full one. */
static void name_forgotten(struct fetcher *fetcher, struct fetch_request *request)
{
    const struct replica_key *keys = (const void *)fetcher->forgotten.data;
    size_t count = fetcher->forgotten.size / sizeof *keys;
    __typeof__(request->forgotten_topics_data.items) topics =
        arena_array(&fetcher->arena, count, sizeof *topics);
    for (size_t i = 0; i < count; i++) {
        int32_t *partition = arena_alloc(&fetcher->arena, sizeof *partition);
        *partition = keys[i].partition;
        topics[i].topic_id = keys[i].topic_id;
        topics[i].partitions.items = partition;
        topics[i].partitions.count = 1;
    }
    request->forgotten_topics_data.items = topics;
    request->forgotten_topics_data.count = (int32_t)count;
    fetcher->forgotten.size = 0;
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
    if (fetcher->session_epoch == 0) {
        begin_session(fetcher);
    }
    name_members(fetcher, request, &wake_ms);
    if (fetcher->session_count == 0) { /* nothing to ask for: the session, if any, is left behind */
        fetcher->session_epoch = 0;
        if (wake_ms != INT64_MAX) {
            env_timer_set(all->env, &fetcher->timer, wake_ms);
        }
        return;
    }
    request->replica_state.replica_id = all->config.broker_id;
    request->replica_state.replica_epoch = replicas_broker_epoch(all);
    request->session_id = fetcher->session_id;
    request->session_epoch = fetcher->session_epoch;
    name_forgotten(fetcher, request);
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
    fetcher->session_epoch = 0; /* whether the leader has seen this one is not known */
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

/* A member is ready of which the leader does not know. */
static bool newcomer_waits(const struct fetcher *fetcher)
{
    int64_t now = env_now_ms(fetcher->all->env);
    LIST_FOREACH(node, &fetcher->pending) {
        const struct replica *replica = CONTAINER_OF(node, struct replica, following.pending);
        if (!replica->following.in_session && follower_ready(replica, now)) {
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

void fetcher_changed(struct replica *replica)
{
    struct following *following = &replica->following;
    ASSERT(following->fetcher != NULL);
    if (list_empty(&following->pending)) {
        list_push(&following->fetcher->pending, &following->pending);
    }
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
    list_init(&fetcher->pending);
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
    bytes_free(&fetcher->forgotten);
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
    fetcher_changed(replica);
    fetcher_poke(fetcher);
}

void fetcher_leave(struct replica *replica)
{
    struct fetcher *fetcher = replica->following.fetcher;
    ASSERT(fetcher != NULL && fetcher->member_count > 0);
    leave_session(fetcher, replica);
    list_remove(&replica->following.node);
    list_remove(&replica->following.pending);
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
