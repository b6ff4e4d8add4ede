/* One connection's client side.
 *
 * Happy path: start sends ApiVersions; its answer makes the connection ready; each request becomes
 * a call at the end of `calls`; each frame answers the first call, whose `done` gets the decoded
 * response.
 *
 * Failure modes: a frame that is not the first call's answer, or cannot be decoded, and silence
 * after the first call ran out of time, break the connection: state BROKEN, every call told, an
 * error to the owner. A call that ran out of time on a connection that lives stays in `calls`,
 * without `done`, to take its answer. */
#include "common/client/conn.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/client/impl.h"
#include "common/wire/kafka_error.h"

enum state { NEW, SHAKING, READY, BROKEN };

struct call {
    struct list node;
    struct heap_node due; /* linked until `done` is told */
    struct client_request request;
    const struct wire_api *api;
    int16_t version;
    int32_t correlation_id;
    int64_t sent_ms;
};

struct client_conn {
    char *peer;
    char *client_id;
    const struct client_conn_events *events;
    void *ctx;
    enum state state;
    struct list calls;  /* in the order sent */
    struct list silent; /* Produce with acks 0: sent, and never answered */
    struct heap due;
    uint32_t outstanding;
    int32_t correlation_id; /* the next */
    int64_t heard_ms;
    int64_t shake_deadline_ms;
    struct buf *versions_frame; /* what `versions` points into */
    struct arena versions_arena;
    struct api_versions_response versions;
};

struct client_request client_request_of(int16_t api_key, const void *body, int64_t timeout_ms,
                                        void (*done)(void *ctx, const struct client_answer *answer),
                                        void *ctx)
{
    return (struct client_request){.api_key = api_key,
                                   .min_version = 0,
                                   .max_version = INT16_MAX,
                                   .body = body,
                                   .timeout_ms = timeout_ms,
                                   .done = done,
                                   .ctx = ctx};
}

void client_err_of_peer(struct err_text *text, const char *peer, const char *why)
{
    err_set(text, "%s", why);
    if (strstr(why, peer) == NULL) {
        err_wrap(text, "%s", peer);
    }
}

struct client_conn *client_conn_new(const char *peer, const char *client_id,
                                    const struct client_conn_events *events, void *ctx)
{
    ASSERT(peer != NULL && events != NULL && events->send != NULL);
    ASSERT(client_id == NULL || strlen(client_id) <= INT16_MAX);
    struct client_conn *c = mem_zalloc(sizeof *c);
    c->peer = mem_strdup(peer);
    c->client_id = client_id != NULL ? mem_strdup(client_id) : NULL;
    c->events = events;
    c->ctx = ctx;
    list_init(&c->calls);
    list_init(&c->silent);
    c->heard_ms = INT64_MIN;
    return c;
}

void client_conn_free(struct client_conn *c)
{
    if (c == NULL) {
        return;
    }
    struct list *node;
    while ((node = list_pop(&c->calls)) != NULL || (node = list_pop(&c->silent)) != NULL) {
        struct call *call = CONTAINER_OF(node, struct call, node);
        if (heap_node_linked(&call->due)) {
            heap_remove(&c->due, &call->due);
        }
        mem_free(call);
    }
    heap_free(&c->due);
    arena_free(&c->versions_arena);
    buf_unref(c->versions_frame);
    mem_free(c->peer);
    mem_free(c->client_id);
    mem_free(c);
}

bool client_conn_ready(const struct client_conn *c)
{
    return c->state == READY;
}

uint32_t client_conn_outstanding(const struct client_conn *c)
{
    return c->outstanding;
}

/* ---- telling callers ----------------------------------------------------------------------- */

/* The call has left every list and heap. */
static void tell(struct call *call, const struct client_answer *answer)
{
    ASSERT(!heap_node_linked(&call->due));
    if (call->request.done != NULL) {
        call->request.done(call->request.ctx, answer);
    }
}

static void tell_silent(struct client_conn *c)
{
    struct list *node;
    struct list now;
    list_init(&now);
    list_splice(&now, &c->silent); /* what their callers send now waits for the next tick */
    while ((node = list_pop(&now)) != NULL) {
        struct call *call = CONTAINER_OF(node, struct call, node);
        struct client_answer answer = {.why = "", .version = call->version};
        tell(call, &answer);
        mem_free(call);
    }
}

static void fail_all(struct client_conn *c, enum err error, const char *why)
{
    ASSERT(error != ERR_NONE);
    c->state = BROKEN;
    tell_silent(c);
    struct list *node;
    while ((node = list_pop(&c->calls)) != NULL) {
        struct call *call = CONTAINER_OF(node, struct call, node);
        c->outstanding--;
        if (heap_node_linked(&call->due)) {
            heap_remove(&c->due, &call->due);
            struct client_answer answer = {.error = error, .why = why, .version = call->version};
            tell(call, &answer);
        }
        mem_free(call);
    }
    ASSERT(c->outstanding == 0);
}

void client_conn_closed(struct client_conn *c, enum err reason, const char *why)
{
    struct err_text text;
    client_err_of_peer(&text, c->peer, why);
    if (c->state != BROKEN) {
        fail_all(c, reason != ERR_NONE ? reason : ERR_CLOSED, text.text);
    }
}

/* `why` is put behind the peer's name. */
static enum err break_with(struct client_conn *c, enum err error, const char *why,
                           struct err_text *text)
{
    struct err_text own;
    client_err_of_peer(&own, c->peer, why);
    err_set(text, "%s", own.text);
    fail_all(c, error, own.text);
    return error;
}

/* ---- sending ------------------------------------------------------------------------------- */

static enum err encode(struct client_conn *c, const struct call *call, const void *body,
                       struct wire_out *out)
{
    struct wire_request_header header = {.api_key = call->api->key,
                                         .api_version = call->version,
                                         .correlation_id = call->correlation_id,
                                         .client_id = wire_str(c->client_id)};
    wire_put_i32(out, 0);
    wire_put_request_header(out, &header);
    enum err e = wire_encode(call->api->request, call->version, body, out);
    if (e != ERR_NONE) {
        return e;
    }
    ASSERT(out->splice_count == 0); /* a file range cannot be sent from here */
    if (out->bytes.size > INT32_MAX) {
        return ERR_TOO_LARGE;
    }
    wire_patch_i32(out, 0, (int32_t)(out->bytes.size - 4));
    return ERR_NONE;
}

static bool is_silent(int16_t api_key, const void *body)
{
    return api_key == WIRE_PRODUCE && ((const struct produce_request *)body)->acks == 0;
}

/* Sends `body` as the call and puts it into its list; on an error the call is the caller's. */
static enum err send_call(struct client_conn *c, struct call *call, const void *body,
                          int64_t deadline_ms, int64_t now_ms)
{
    call->correlation_id = c->correlation_id;
    struct wire_out out = {0};
    enum err e = encode(c, call, body, &out);
    if (e != ERR_NONE) {
        wire_out_free(&out);
        return e;
    }
    /* As Kafka does, ids stay positive. */
    c->correlation_id = c->correlation_id == INT32_MAX ? 0 : c->correlation_id + 1;
    call->sent_ms = now_ms;
    if (is_silent(call->api->key, body)) {
        list_push(&c->silent, &call->node);
    } else {
        list_push(&c->calls, &call->node);
        heap_push(&c->due, &call->due, deadline_ms);
        c->outstanding++;
    }
    struct buf *frame = buf_copy(out.bytes.data, out.bytes.size);
    wire_out_free(&out);
    c->events->send(c->ctx, frame);
    return ERR_NONE;
}

enum err client_conn_version(const struct client_conn *c, int16_t api_key, int16_t min, int16_t max,
                             int16_t *version, struct err_text *text)
{
    const struct wire_api *api = wire_api_of(api_key);
    ASSERT(api != NULL && c->state == READY);
    int16_t theirs_min, theirs_max;
    if (!client_conn_range(c, api_key, &theirs_min, &theirs_max)) {
        err_set(text, "%s: %s: this broker does not serve it", c->peer, api->name);
        return ERR_UNSUPPORTED;
    }
    int16_t ours_min = wire_message_min(api->request);
    int16_t ours_max = wire_api_advertised_max(api);
    ours_min = min > ours_min ? min : ours_min;
    ours_max = max < ours_max ? max : ours_max;
    int16_t low = theirs_min > ours_min ? theirs_min : ours_min;
    int16_t high = theirs_max < ours_max ? theirs_max : ours_max;
    if (low > high) {
        err_set(text, "%s: %s: this broker serves versions %d to %d, needed is %d to %d", c->peer,
                api->name, theirs_min, theirs_max, ours_min, ours_max);
        return ERR_UNSUPPORTED;
    }
    *version = high;
    return ERR_NONE;
}

enum err client_conn_send(struct client_conn *c, const struct client_request *request,
                          int64_t now_ms, struct err_text *text)
{
    ASSERT(request->timeout_ms > 0);
    ASSERT(request->body != NULL || request->make != NULL);
    if (c->state == BROKEN) {
        err_set(text, "%s: the connection is closed", c->peer);
        return ERR_CLOSED;
    }
    ASSERT(c->state == READY);
    int16_t version = 0;
    enum err e = client_conn_version(c, request->api_key, request->min_version,
                                     request->max_version, &version, text);
    if (e != ERR_NONE) {
        return e;
    }
    struct call *call = mem_zalloc(sizeof *call);
    call->request = *request;
    call->api = wire_api_of(request->api_key);
    call->version = version;
    const void *body = request->make != NULL ? request->make(request->ctx, version) : request->body;
    e = send_call(c, call, body, now_ms + request->timeout_ms, now_ms);
    if (e != ERR_NONE) {
        err_set(text, "%s: %s version %d cannot carry this request: %s", c->peer, call->api->name,
                version, err_name(e));
        mem_free(call);
    }
    return e;
}

/* ---- the handshake ------------------------------------------------------------------------- */

static void shake(struct client_conn *c, int16_t version, int64_t now_ms)
{
    const struct wire_api *api = wire_api_of(WIRE_API_VERSIONS);
    struct api_versions_request body;
    wire_defaults(api->request, &body);
    body.client_software_name = wire_str("barnabas");
    body.client_software_version = wire_str(BARNABAS_VERSION);
    struct call *call = mem_zalloc(sizeof *call);
    call->api = api;
    call->version = version;
    enum err e = send_call(c, call, &body, c->shake_deadline_ms, now_ms);
    ASSERT(e == ERR_NONE);
}

void client_conn_start(struct client_conn *c, int64_t now_ms, int64_t timeout_ms)
{
    ASSERT(c->state == NEW && timeout_ms > 0);
    c->state = SHAKING;
    c->shake_deadline_ms = now_ms + timeout_ms;
    shake(c, wire_api_advertised_max(wire_api_of(WIRE_API_VERSIONS)), now_ms);
}

/* The version to try after `tried` was refused; the refusal, at version 0, may name the broker's
 * range. */
static int16_t shake_again_version(struct wire_in in, int16_t tried)
{
    struct arena arena = {0};
    struct api_versions_response r;
    int16_t version = 0;
    if (wire_decode(&wire_api_versions_response, 0, &in, &r, &arena) == ERR_NONE) {
        for (int32_t i = 0; i < r.api_keys.count; i++) {
            int16_t max = r.api_keys.items[i].max_version;
            if (r.api_keys.items[i].api_key == WIRE_API_VERSIONS && max > 0 && max < tried) {
                version = max;
            }
        }
    }
    arena_free(&arena);
    return version;
}

static enum err shake_answered(struct client_conn *c, struct buf *frame, struct wire_in in,
                               int16_t tried, int64_t now_ms, struct err_text *text)
{
    /* The error comes first in every version, and is all that may be read before it is known that
     * the rest is of the version asked for. */
    struct wire_in peek = in;
    int16_t code = wire_get_i16(&peek);
    if (peek.error == ERR_NONE && code == KAFKA_UNSUPPORTED_VERSION && tried > 0) {
        shake(c, shake_again_version(in, tried), now_ms);
        return ERR_NONE;
    }
    struct err_text why;
    if (peek.error == ERR_NONE && code != KAFKA_NONE) {
        err_set(&why, "ApiVersions: %s", kafka_error_name(code));
        return break_with(c, ERR_UNSUPPORTED, why.text, text);
    }
    enum err e =
        wire_decode(&wire_api_versions_response, tried, &in, &c->versions, &c->versions_arena);
    if (e != ERR_NONE || wire_in_left(&in) != 0) {
        err_set(&why,
                "its answer to ApiVersions version %d cannot be read: is this a Kafka broker?",
                tried);
        return break_with(c, ERR_CORRUPT, why.text, text);
    }
    c->versions_frame = buf_ref(frame);
    c->state = READY;
    if (c->events->ready != NULL) {
        c->events->ready(c->ctx);
    }
    return ERR_NONE;
}

/* ---- answers ------------------------------------------------------------------------------- */

static enum err answered(struct client_conn *c, struct call *call, struct buf *frame,
                         struct wire_in *in, struct err_text *text)
{
    struct arena arena = {0};
    const struct wire_message *message = call->api->response;
    void *response = arena_alloc(&arena, wire_message_size(message));
    enum err e = wire_decode(message, call->version, in, response, &arena);
    struct client_answer answer = {
        .why = "", .version = call->version, .response = response, .frame = frame};
    if (e == ERR_NONE && wire_in_left(in) == 0) {
        tell(call, &answer);
        arena_free(&arena);
        return ERR_NONE;
    }
    arena_free(&arena);
    struct err_text why;
    err_set(&why, "%s: its answer to %s version %d cannot be read", c->peer, call->api->name,
            call->version);
    answer =
        (struct client_answer){.error = ERR_CORRUPT, .why = why.text, .version = call->version};
    tell(call, &answer);
    return break_with(c, ERR_CORRUPT, why.text, text);
}

/* The frame is the first call's answer, or the connection breaks. */
static enum err take_frame(struct client_conn *c, struct buf *frame, int64_t now_ms,
                           struct err_text *text)
{
    struct wire_in in = wire_in_of(frame->data, frame->size);
    struct wire_in peek = in;
    int32_t id = wire_get_i32(&peek);
    struct err_text why;
    if (list_empty(&c->calls)) {
        return break_with(c, ERR_CORRUPT, "it sent an answer to nothing", text);
    }
    struct call *call = CONTAINER_OF(c->calls.next, struct call, node);
    if (peek.error != ERR_NONE || id != call->correlation_id) {
        err_set(&why, "its answer has correlation id %d where %d was due", (int)id,
                (int)call->correlation_id);
        return break_with(c, ERR_CORRUPT, why.text, text);
    }
    enum err e = wire_get_response_header(&in, call->api->key, call->version, &id);
    if (e != ERR_NONE) {
        err_set(&why, "the header of its answer to %s cannot be read", call->api->name);
        return break_with(c, ERR_CORRUPT, why.text, text);
    }
    list_remove(&call->node);
    c->outstanding--;
    bool wanted = heap_node_linked(&call->due);
    if (wanted) {
        heap_remove(&c->due, &call->due);
    }
    if (c->state == SHAKING) {
        e = shake_answered(c, frame, in, call->version, now_ms, text);
    } else if (wanted) {
        e = answered(c, call, frame, &in, text);
    }
    mem_free(call);
    return e;
}

enum err client_conn_frame(struct client_conn *c, struct buf *frame, int64_t now_ms,
                           struct err_text *text)
{
    enum err e = ERR_CLOSED;
    if (c->state == BROKEN) {
        err_set(text, "%s: the connection is closed", c->peer);
    } else {
        c->heard_ms = now_ms;
        e = take_frame(c, frame, now_ms, text);
    }
    buf_unref(frame);
    return e;
}

/* ---- time ---------------------------------------------------------------------------------- */

static void expire(struct client_conn *c, struct call *call)
{
    int64_t waited_ms = call->due.key - call->sent_ms;
    heap_remove(&c->due, &call->due);
    struct err_text why;
    err_set(&why, "%s: no answer to %s within %" PRId64 " ms", c->peer, call->api->name, waited_ms);
    struct client_answer answer = {.error = ERR_TIMEOUT, .why = why.text, .version = call->version};
    tell(call, &answer);
}

/* When the connection is dead if nothing is heard until then. Younger requests say nothing: the
 * broker may still be at work on the oldest. */
static int64_t mute_deadline(const struct client_conn *c)
{
    if (list_empty(&c->calls)) {
        return INT64_MAX;
    }
    const struct call *oldest = CONTAINER_OF(c->calls.next, struct call, node);
    if (heap_node_linked(&oldest->due)) {
        return INT64_MAX;
    }
    int64_t since_ms = c->heard_ms > oldest->sent_ms ? c->heard_ms : oldest->sent_ms;
    return since_ms + CLIENT_MUTE_MS;
}

enum err client_conn_tick(struct client_conn *c, int64_t now_ms, struct err_text *text)
{
    if (c->state == BROKEN) {
        err_set(text, "%s: the connection is closed", c->peer);
        return ERR_CLOSED;
    }
    tell_silent(c);
    struct heap_node *first;
    while ((first = heap_first(&c->due)) != NULL && first->key <= now_ms) {
        expire(c, CONTAINER_OF(first, struct call, due));
        if (c->state == SHAKING) {
            return break_with(c, ERR_TIMEOUT, "no answer to ApiVersions: is this a Kafka broker?",
                              text);
        }
    }
    if (now_ms >= mute_deadline(c)) {
        struct err_text why;
        err_set(&why, "no answer, and nothing heard for %d ms", CLIENT_MUTE_MS);
        return break_with(c, ERR_TIMEOUT, why.text, text);
    }
    return ERR_NONE;
}

int64_t client_conn_next_deadline(const struct client_conn *c)
{
    if (!list_empty(&c->silent)) {
        return INT64_MIN;
    }
    const struct heap_node *first = heap_first(&c->due);
    int64_t mute_ms = mute_deadline(c);
    return first != NULL && first->key < mute_ms ? first->key : mute_ms;
}

/* ---- what the broker said ------------------------------------------------------------------ */

const struct api_versions_response *client_conn_versions(const struct client_conn *c)
{
    return c->versions_frame != NULL ? &c->versions : NULL;
}

bool client_conn_range(const struct client_conn *c, int16_t api_key, int16_t *min, int16_t *max)
{
    for (int32_t i = 0; c->versions_frame != NULL && i < c->versions.api_keys.count; i++) {
        const struct api_versions_response_api_key *key = &c->versions.api_keys.items[i];
        if (key->api_key == api_key) {
            *min = key->min_version;
            *max = key->max_version;
            return true;
        }
    }
    return false;
}

bool client_conn_feature(const struct client_conn *c, const char *name, int16_t *level)
{
    for (int32_t i = 0; c->versions_frame != NULL && i < c->versions.finalized_features.count;
         i++) {
        const struct api_versions_response_finalized_feature *f =
            &c->versions.finalized_features.items[i];
        if (wire_str_is(f->name, name)) {
            *level = f->max_version_level;
            return true;
        }
    }
    return false;
}
