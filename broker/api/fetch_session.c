/* Fetch sessions (KIP-227): what a client fetches is kept here, and its requests name what changed.
 *
 * Happy path: a full request (epoch 0) makes a session; its answer names it; every further request
 * names it and the next epoch, with partitions that are new or moved and those to forget. Failure
 * modes: an unknown session (70), a request out of order (71), topics named now by id and now by
 * name (106): the client begins anew with a full request, as it does when no answer came. With all
 * slots taken a session goes that has been silent for two minutes, else a smaller one of less worth
 * than the new one (Kafka: FetchSessionCacheShard.tryEvict); where none may go, and where all
 * sessions together hold too many partitions, the client is answered without a session.
 *
 * A session is bound to no connection. One that is given up while a request of it is parked answers
 * that request with the error the next one would get. */
#include "broker/api/fetch.h"
#include "broker/api/fetch_sessions.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { EVICT_AFTER_MS = 120000, PARTITIONS_MAX = 1 << 20 };
enum { EPOCH_NONE = -1, EPOCH_FULL = 0 };

struct fetch_session {
    int32_t id;
    int32_t epoch;   /* of the next request */
    bool privileged; /* a follower's */
    int64_t made_ms;
    int64_t used_ms;
    int32_t size; /* partitions, as counted in fetch_sessions.size */
    struct fetch_set set;
    struct list used; /* in fetch_sessions.used */
    UT_hash_handle hh;
};

struct fetch_sessions {
    struct env *env;
    int32_t slots;
    struct fetch_session *by_id; /* uthash */
    struct list used;            /* the longest unused first */
    int64_t size;
    uint64_t looks;
};

struct fetch_sessions *fetch_sessions_new(struct env *env, int32_t slots)
{
    struct fetch_sessions *all = mem_zalloc(sizeof *all);
    all->env = env;
    all->slots = slots;
    list_init(&all->used);
    return all;
}

static void session_end(struct fetch_sessions *all, struct fetch_session *session)
{
    if (session->set.fetch != NULL) {
        fetch_abort(session->set.fetch, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    }
    all->size -= session->size;
    ASSERT(all->size >= 0);
    HASH_DEL(all->by_id, session);
    list_remove(&session->used);
    fetch_set_free(&session->set);
    mem_free(session);
}

void fetch_sessions_free(struct fetch_sessions *all)
{
    struct fetch_session *session = NULL;
    struct fetch_session *next = NULL;
    if (all == NULL) {
        return;
    }
    HASH_ITER(hh, all->by_id, session, next)
    {
        session_end(all, session);
    }
    mem_free(all);
}

int fetch_sessions_count(const struct fetch_sessions *all)
{
    return (int)HASH_COUNT(all->by_id);
}

uint64_t fetch_sessions_looks(const struct fetch_sessions *all)
{
    return all->looks;
}

void fetch_sessions_count_look(struct fetch_sessions *all)
{
    all->looks++;
}

int32_t fetch_session_id(const struct fetch_session *session)
{
    return session->id;
}

static struct fetch_session *find(struct fetch_sessions *all, int32_t id)
{
    struct fetch_session *session = NULL;
    HASH_FIND_INT(all->by_id, &id, session);
    return session;
}

static void touch(struct fetch_sessions *all, struct fetch_session *session)
{
    session->used_ms = env_now_ms(all->env);
    list_remove(&session->used);
    list_push(&all->used, &session->used);
    all->size -= session->size;
    session->size = fetch_set_count(&session->set);
    all->size += session->size;
    if (session->set.pulse != NULL) {
        session->set.pulse->last_fetch_ms = session->used_ms;
    }
}

/* ---- room for another -------------------------------------------------------------------------
 */

/* Whether `a` is of less worth than `b`: consumers' before followers', then the smaller. */
static bool less(const struct fetch_session *a, const struct fetch_session *b)
{
    return a->privileged != b->privileged ? b->privileged : a->size < b->size;
}

static bool make_room(struct fetch_sessions *all, const struct fetch_session *wanted)
{
    int64_t now = env_now_ms(all->env);
    struct fetch_session *least = NULL;
    if (fetch_sessions_count(all) < all->slots) {
        return true;
    }
    LIST_FOREACH(node, &all->used) {
        struct fetch_session *session = CONTAINER_OF(node, struct fetch_session, used);
        if (now - session->used_ms > EVICT_AFTER_MS) {
            session_end(all, session);
            return true;
        }
        bool evictable =
            now - session->made_ms > EVICT_AFTER_MS || (wanted->privileged && !session->privileged);
        if (evictable && (least == NULL || less(session, least))) {
            least = session;
        }
    }
    if (least == NULL || !less(least, wanted)) {
        return false;
    }
    session_end(all, least);
    return true;
}

static int32_t new_id(struct fetch_sessions *all)
{
    int32_t id = 0;
    while (id == 0 || find(all, id) != NULL) {
        id = (int32_t)(env_random(all->env) & INT32_MAX);
    }
    return id;
}

static int32_t count_named(const struct fetch_request *body)
{
    int64_t count = 0;
    for (int32_t i = 0; i < body->topics.count; i++) {
        count += body->topics.items[i].partitions.count;
    }
    return count < INT32_MAX ? (int32_t)count : INT32_MAX;
}

/* ---- a request --------------------------------------------------------------------------------
 */

static struct fetch_set *begin(struct fetch_sessions *all, const struct request *request)
{
    const struct fetch_request *body = request->body;
    int32_t replica_id = fetch_replica_id(request);
    struct fetch_session wanted = {.size = count_named(body)};
    wanted.privileged = replica_id >= 0 && image_broker(request->api->image, replica_id) != NULL;
    if (all->size + wanted.size > PARTITIONS_MAX || !make_room(all, &wanted)) {
        return NULL;
    }
    struct fetch_session *session = mem_zalloc(sizeof *session);
    session->id = new_id(all);
    session->epoch = 1;
    session->privileged = wanted.privileged;
    session->made_ms = env_now_ms(all->env);
    fetch_set_init(&session->set, request->header.api_version >= 13);
    session->set.session = session;
    session->set.pulse = wanted.privileged ? replica_pulse_new() : NULL;
    list_init(&session->used);
    HASH_ADD_INT(all->by_id, id, session);
    fetch_set_name(&session->set, body);
    touch(all, session);
    return &session->set;
}

static int16_t go_on(struct fetch_sessions *all, const struct request *request,
                     struct fetch_set **set)
{
    const struct fetch_request *body = request->body;
    struct fetch_session *session = find(all, body->session_id);
    if (session == NULL) {
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    }
    if (session->epoch != body->session_epoch) {
        return KAFKA_INVALID_FETCH_SESSION_EPOCH;
    }
    if (session->set.by_id != (request->header.api_version >= 13)) {
        return KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
    }
    if (session->set.fetch != NULL) {
        fetch_abort(session->set.fetch, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    }
    if (all->size + count_named(body) > PARTITIONS_MAX) {
        session_end(all, session);
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    }
    fetch_set_name(&session->set, body);
    fetch_set_forget(&session->set, body, request->api->replicas);
    if (fetch_set_count(&session->set) == 0) {
        session_end(all, session);
        return KAFKA_NONE;
    }
    touch(all, session);
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    *set = &session->set;
    return KAFKA_NONE;
}

int16_t fetch_session_enter(struct request *request, struct fetch_set **set)
{
    const struct fetch_request *body = request->body;
    struct fetch_sessions *all = request->api->fetch_sessions;
    *set = NULL;
    if (request->header.api_version < 7) {
        return KAFKA_NONE;
    }
    if (body->session_epoch != EPOCH_FULL && body->session_epoch != EPOCH_NONE) {
        return go_on(all, request, set);
    }
    struct fetch_session *old = body->session_id != 0 ? find(all, body->session_id) : NULL;
    if (old != NULL) {
        session_end(all, old);
    }
    if (body->session_epoch == EPOCH_FULL) {
        *set = begin(all, request);
    }
    return KAFKA_NONE;
}
