/* Sessions: who was heard of when, and what follows: unfencing, fencing, a controlled stop
 * (KIP-631, 841).
 *
 * A broker is fenced when nothing was heard of it for session_timeout_ms. A new leader of the
 * quorum has heard nobody: it gives every unfenced broker one whole timeout. */
#include <inttypes.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

enum { FENCE = 1, UNFENCE = -1, ENTER_CONTROLLED_SHUTDOWN = 1 };

struct session *session_of(struct controller *controller, int32_t broker_id)
{
    struct session *session = NULL;
    HASH_FIND(hh, controller->sessions, &broker_id, sizeof broker_id, session);
    return session;
}

bool session_valid(struct controller *controller, const struct image_broker *broker)
{
    const struct session *session = session_of(controller, broker->id);
    return session != NULL && session->broker_epoch == broker->epoch && !broker->fenced &&
           env_now_ms(controller->env) - session->heard_ms < controller->config.session_timeout_ms;
}

bool session_in_touch(struct controller *controller, const struct image_broker *broker)
{
    const struct session *session = session_of(controller, broker->id);
    return session != NULL && session->broker_epoch == broker->epoch && session->in_touch;
}

void controller_broker_unheard(struct controller *controller, int32_t broker_id,
                               int64_t broker_epoch)
{
    struct session *session = session_of(controller, broker_id);
    ASSERT(session == NULL || controller->epoch != -1);
    if (session != NULL && session->broker_epoch == broker_epoch) {
        session->in_touch = false;
    }
}

/* ---- fencing ---- */

static void add_fencing(struct record_list *records, int32_t broker_id, int64_t epoch,
                        int8_t fenced)
{
    ASSERT(fenced == FENCE || fenced == UNFENCE);
    struct broker_registration_change_record record;
    wire_defaults(&wire_broker_registration_change_record, &record);
    record.broker_id = broker_id;
    record.broker_epoch = epoch;
    record.fenced = fenced;
    record_list_add(records, RECORD_BROKER_REGISTRATION_CHANGE, 0, &record);
}

/* The moment the next session runs out. One that is over already, in a turn so busy that its timer
 * comes after what others sent, is due now; unless its consequence has been drawn. */
static void arm(struct controller *controller)
{
    int64_t now_ms = env_now_ms(controller->env);
    int64_t due_ms = INT64_MAX;
    struct session *session = NULL;
    struct session *next = NULL;
    HASH_ITER(hh, controller->sessions, session, next)
    {
        int64_t end_ms = session->heard_ms + controller->config.session_timeout_ms;
        const struct image_broker *broker = image_broker(controller->image, session->broker_id);
        bool over = end_ms <= now_ms && (broker == NULL || broker->fenced);
        if (!over && end_ms < due_ms) {
            due_ms = end_ms;
        }
    }
    ASSERT(controller->session_timer.fire != NULL);
    if (due_ms == INT64_MAX) {
        env_timer_cancel(controller->env, &controller->session_timer);
    } else {
        env_timer_set(controller->env, &controller->session_timer, due_ms);
    }
}

/* A session that begins, or goes on, ends after every other: a timer that is armed is early enough.
 */
static void keep_armed(struct controller *controller)
{
    if (!env_timer_armed(&controller->session_timer)) {
        arm(controller);
    }
}

static bool fence(struct controller *controller, const struct image_broker *broker, const char *why)
{
    ASSERT(!broker->fenced && controller->epoch != -1);
    struct record_list records = {0};
    size_t changed = leaders_leave(controller, broker->id, &records);
    add_fencing(&records, broker->id, broker->epoch, FENCE);
    trace_info(controller_trace(controller),
               "controller: fences broker %" PRId32 ", %zu partitions change: %s", broker->id,
               changed, why);
    bool going = controller_append(controller, &records, false) == ERR_NONE;
    record_list_free(&records);
    return going;
}

static void session_due(struct env_timer *timer)
{
    struct controller *controller = CONTAINER_OF(timer, struct controller, session_timer);
    ASSERT(controller->epoch != -1);
    int64_t now_ms = env_now_ms(controller->env);
    struct session *session = NULL;
    struct session *next = NULL;
    HASH_ITER(hh, controller->sessions, session, next)
    {
        const struct image_broker *broker = image_broker(controller->image, session->broker_id);
        int64_t silent_ms = now_ms - session->heard_ms;
        if (broker == NULL || broker->fenced || silent_ms < controller->config.session_timeout_ms) {
            continue;
        }
        struct err_text why;
        err_set(&why, "not heard of for %" PRId64 " ms", silent_ms);
        if (!fence(controller, broker, why.text)) {
            return;
        }
    }
    arm(controller);
}

bool controller_broker_died(struct controller *controller, int32_t broker_id, int64_t broker_epoch,
                            int64_t since_ms, const char *why)
{
    if (controller->epoch == -1) {
        return false;
    }
    const struct image_broker *broker = image_broker(controller->image, broker_id);
    const struct session *session = session_of(controller, broker_id);
    if (broker == NULL || broker->fenced || broker->epoch != broker_epoch) {
        return false;
    }
    ASSERT(session != NULL && session->broker_epoch == broker_epoch);
    return session->heard_ms <= since_ms && fence(controller, broker, why);
}

/* ---- sessions ---- */

void session_start(struct controller *controller, int32_t broker_id, int64_t broker_epoch)
{
    struct session *session = session_of(controller, broker_id);
    if (session == NULL) {
        session = mem_zalloc(sizeof *session);
        session->broker_id = broker_id;
        HASH_ADD(hh, controller->sessions, broker_id, sizeof session->broker_id, session);
    }
    ASSERT(broker_epoch >= 0 && controller->epoch != -1);
    session->broker_epoch = broker_epoch;
    session->heard_ms = env_now_ms(controller->env);
    session->metadata_offset = -1;
    session->controlled_shutdown_offset = -1;
    session->in_touch = true;
    keep_armed(controller);
}

static bool begin_session(void *ctx, const struct image_broker *broker)
{
    struct controller *controller = ctx;
    session_start(controller, broker->id, broker->epoch);
    session_of(controller, broker->id)->in_touch = false; /* nothing was heard yet */
    if (broker->in_controlled_shutdown) {
        session_of(controller, broker->id)->controlled_shutdown_offset =
            image_offset(controller->image);
    }
    return true;
}

void sessions_begin(struct controller *controller)
{
    ASSERT(controller->sessions == NULL);
    controller->session_timer.fire = session_due;
    image_each_broker(controller->image, begin_session, controller);
}

void sessions_end(struct controller *controller)
{
    env_timer_cancel(controller->env, &controller->session_timer);
    struct session *session = NULL;
    struct session *next = NULL;
    HASH_ITER(hh, controller->sessions, session, next)
    {
        HASH_DEL(controller->sessions, session);
        mem_free(session);
    }
}

/* ---- heartbeats ---- */

void broker_heartbeat_refuse(struct controller_call *call, int16_t error, const char *message)
{
    struct broker_heartbeat_response *response = call->response;
    ASSERT(message != NULL);
    response->error_code = error;
}

enum state { FENCED, UNFENCED, CONTROLLED_SHUTDOWN, SHUTDOWN_NOW };

/* The least metadata offset among the active brokers: what all of them have seen. */
static int64_t lowest_active_offset(struct controller *controller)
{
    int64_t lowest = INT64_MAX;
    struct session *session = NULL;
    struct session *next = NULL;
    HASH_ITER(hh, controller->sessions, session, next)
    {
        if (broker_active(controller->image, session->broker_id) &&
            session->metadata_offset < lowest) {
            lowest = session->metadata_offset;
        }
    }
    return lowest;
}

static enum state next_state(struct controller *controller, const struct image_broker *broker,
                             const struct session *session,
                             const struct broker_heartbeat_request *request)
{
    if (broker->fenced) {
        if (request->want_shut_down) {
            return SHUTDOWN_NOW;
        }
        bool caught_up = request->current_metadata_offset >= broker->epoch;
        return !request->want_fence && caught_up ? UNFENCED : FENCED;
    }
    if (broker->in_controlled_shutdown) {
        bool free_to_go = !image_leads_any(controller->image, broker->id) &&
                          session->controlled_shutdown_offset <= lowest_active_offset(controller);
        return free_to_go ? SHUTDOWN_NOW : CONTROLLED_SHUTDOWN;
    }
    if (request->want_shut_down) {
        bool at_once = request->want_fence || !image_leads_any(controller->image, broker->id);
        return at_once ? SHUTDOWN_NOW : CONTROLLED_SHUTDOWN;
    }
    return request->want_fence ? FENCED : UNFENCED;
}

static void enter(struct controller *controller, const struct image_broker *broker,
                  enum state state, struct record_list *records)
{
    size_t changed = 0;
    const char *what = NULL;
    if (state == UNFENCED) {
        what = "unfences broker";
        add_fencing(records, broker->id, broker->epoch, UNFENCE);
        changed = leaders_return(controller, broker->id, records);
    } else if (state == CONTROLLED_SHUTDOWN) {
        what = "moves leadership away from broker";
        struct broker_registration_change_record record;
        wire_defaults(&wire_broker_registration_change_record, &record);
        record.broker_id = broker->id;
        record.broker_epoch = broker->epoch;
        record.in_controlled_shutdown = ENTER_CONTROLLED_SHUTDOWN;
        record_list_add(records, RECORD_BROKER_REGISTRATION_CHANGE, 1, &record);
        changed = leaders_leave(controller, broker->id, records);
    } else {
        what = state == FENCED ? "fences broker" : "lets go and fences broker";
        changed = leaders_leave(controller, broker->id, records);
        add_fencing(records, broker->id, broker->epoch, FENCE);
    }
    trace_info(controller_trace(controller),
               "controller: %s %" PRId32 ", %zu partitions change: it asked for it", what,
               broker->id, changed);
}

static bool same_dirs(const struct uuid *a, int32_t a_count, const struct uuid *b, int32_t b_count)
{
    bool same = a_count == b_count;
    for (int32_t i = 0; same && i < a_count; i++) {
        same = uuid_equal(&a[i], &b[i]);
    }
    return same;
}

/* Those of its directories that it reports offline now; the others come after them in `out`. */
static int32_t newly_offline(const struct image_broker *broker,
                             const struct broker_heartbeat_request *request, struct uuid *out)
{
    int32_t offline = 0;
    int32_t online = broker->log_dir_count;
    for (int32_t i = broker->log_dir_count - 1; i >= 0; i--) {
        if (!uuids_hold(request->offline_log_dirs.items, request->offline_log_dirs.count,
                        &broker->log_dirs[i])) {
            out[--online] = broker->log_dirs[i];
        }
    }
    for (int32_t i = 0; i < broker->log_dir_count; i++) {
        if (uuids_hold(request->offline_log_dirs.items, request->offline_log_dirs.count,
                       &broker->log_dirs[i])) {
            out[offline++] = broker->log_dirs[i];
        }
    }
    ASSERT(offline == online);
    /* One that has lost them all cannot be registered with none: it stops. */
    return offline < broker->log_dir_count ? offline : 0;
}

static struct broker_registration_change_record change_of(const struct image_broker *broker)
{
    struct broker_registration_change_record record;
    wire_defaults(&wire_broker_registration_change_record, &record);
    record.broker_id = broker->id;
    record.broker_epoch = broker->epoch;
    return record;
}

/* Offline directories leave the registration, and their partitions the broker. */
static void lose_directories(struct controller *controller, const struct image_broker *broker,
                             struct uuid *directories, int32_t offline, struct record_list *records)
{
    ASSERT(offline > 0 && offline < broker->log_dir_count);
    size_t changed =
        leaders_leave_directories(controller, broker->id, directories, offline, records);
    struct broker_registration_change_record record = change_of(broker);
    record.log_dirs.items = &directories[offline];
    record.log_dirs.count = broker->log_dir_count - offline;
    record_list_add(records, RECORD_BROKER_REGISTRATION_CHANGE, 2, &record);
    trace_warn(controller_trace(controller),
               "controller: broker %" PRId32 " has %" PRId32 " of %" PRId32
               " log directories left, %zu partitions change: it reports the others offline",
               broker->id, record.log_dirs.count, broker->log_dir_count, changed);
}

/* Cordoned directories are written down when they are others than before. */
static void note_cordoned(struct controller *controller, const struct image_broker *broker,
                          const struct broker_heartbeat_request *request,
                          struct record_list *records)
{
    if (request->cordoned_log_dirs.count >= 0 && register_broker_version(controller->image) >= 4 &&
        !same_dirs(request->cordoned_log_dirs.items, request->cordoned_log_dirs.count,
                   broker->cordoned_log_dirs, broker->cordoned_log_dir_count)) {
        struct broker_registration_change_record record = change_of(broker);
        record.cordoned_log_dirs.items = request->cordoned_log_dirs.items;
        record.cordoned_log_dirs.count = request->cordoned_log_dirs.count;
        record_list_add(records, RECORD_BROKER_REGISTRATION_CHANGE, 3, &record);
    }
}

void broker_heartbeat_handle(struct controller *controller, struct controller_call *call,
                             struct record_list *records)
{
    const struct broker_heartbeat_request *request = call->request;
    struct broker_heartbeat_response *response = call->response;
    const struct image_broker *broker = image_broker(controller->image, request->broker_id);
    struct session *session = session_of(controller, request->broker_id);
    if (broker == NULL || session == NULL) {
        response->error_code = KAFKA_BROKER_ID_NOT_REGISTERED;
        return;
    }
    if (broker->epoch != request->broker_epoch) {
        response->error_code = KAFKA_STALE_BROKER_EPOCH;
        return;
    }
    enum state now = broker->fenced                   ? FENCED
                     : broker->in_controlled_shutdown ? CONTROLLED_SHUTDOWN
                                                      : UNFENCED;
    ASSERT(session->broker_epoch == broker->epoch);
    enum state next = next_state(controller, broker, session, request);
    struct uuid *directories =
        arena_array(call->arena, (size_t)broker->log_dir_count + 1, sizeof *directories);
    int32_t offline = newly_offline(broker, request, directories);
    if (now == FENCED && next == UNFENCED && offline > 0) {
        next = FENCED; /* what it may lead is decided once the registration says what it has */
    }
    session->heard_ms = env_now_ms(controller->env);
    session->in_touch = true;
    session->metadata_offset = request->current_metadata_offset;
    if (next != now && !(now == FENCED && next == SHUTDOWN_NOW)) {
        enter(controller, broker, next, records);
    } else if (next == CONTROLLED_SHUTDOWN && image_leads_any(controller->image, broker->id)) {
        leaders_leave(controller, broker->id,
                      records); /* an earlier controller did not get to it */
    }
    if (next == CONTROLLED_SHUTDOWN && session->controlled_shutdown_offset < 0) {
        session->controlled_shutdown_offset =
            controller->writer.next_offset(controller->writer.ctx);
    }
    if (offline > 0) {
        lose_directories(controller, broker, directories, offline, records);
    }
    note_cordoned(controller, broker, request, records);
    response->is_caught_up = request->current_metadata_offset >= broker->epoch;
    response->is_fenced = next == FENCED || next == SHUTDOWN_NOW;
    response->should_shut_down = next == SHUTDOWN_NOW;
    keep_armed(controller);
}
