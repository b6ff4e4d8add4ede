/* The quorum-state file: Kafka's JSON, replaced whole and synced (KIP-595, ElectionState's data).
 *
 * data_version 0 goes with kraft.version 0, that is with voters named by the configuration. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "broker/quorum/quorum_internal.h"

void quorum_state_format(const struct quorum *quorum, const struct quorum_state *state,
                         struct bytes *out)
{
    bytes_printf(out,
                 "{\"clusterId\":\"\",\"leaderId\":%" PRId32 ",\"leaderEpoch\":%" PRId32
                 ",\"votedId\":%" PRId32 ",\"appliedOffset\":0,\"currentVoters\":[",
                 state->leader_id, state->epoch, state->voted_id);
    for (int32_t i = 0; i < quorum->config.voter_count; i++) {
        bytes_printf(out, "%s{\"voterId\":%" PRId32 "}", i == 0 ? "" : ",",
                     quorum->config.voters[i].id);
    }
    bytes_printf(out, "],\"data_version\":0}");
}

/* False when the member is there and no int32, or is missing and needed. */
static bool get_int(const json_t *object, const char *name, bool needed, int32_t fallback,
                    int32_t *out)
{
    const json_t *value = json_object_get(object, name);
    *out = fallback;
    if (value == NULL) {
        return !needed;
    }
    if (!json_is_integer(value)) {
        return false;
    }
    json_int_t number = json_integer_value(value);
    *out = (int32_t)number;
    return number >= INT32_MIN && number <= INT32_MAX;
}

enum err quorum_state_parse(const char *json, size_t size, struct quorum_state *state,
                            struct err_text *text)
{
    json_error_t why;
    json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL) {
        err_set(text, "not JSON: %s (line %d)", why.text, why.line);
        return ERR_CORRUPT;
    }
    int32_t version = -1;
    enum err error = ERR_NONE;
    if (!json_is_object(root) || !get_int(root, "data_version", true, -1, &version)) {
        err_set(text, "data_version is missing or not a number");
        error = ERR_CORRUPT;
    } else if (version < 0 || version > 1) {
        err_set(text, "data_version is %" PRId32 ", this build reads 0 and 1", version);
        error = ERR_UNSUPPORTED;
    } else if (!get_int(root, "leaderEpoch", true, -1, &state->epoch) || state->epoch < 0 ||
               !get_int(root, "leaderId", false, -1, &state->leader_id) ||
               !get_int(root, "votedId", false, -1, &state->voted_id)) {
        err_set(text, "leaderEpoch, leaderId or votedId is not a number in range");
        error = ERR_CORRUPT;
    }
    json_decref(root);
    return error;
}

static void store_run(struct env_job *job, struct env_fs *fs)
{
    struct quorum_store *store = CONTAINER_OF(job, struct quorum_store, job);
    if (store->reading) {
        store->error =
            env_fs_slurp(fs, store->path, QUORUM_STATE_BYTES_MAX, &store->content, &store->text);
    } else {
        store->error =
            env_fs_replace(fs, store->path, store->content.data, store->content.size, &store->text);
    }
}

static void store_read_done(struct quorum *quorum)
{
    struct quorum_store *store = &quorum->store;
    struct quorum_state found = {0, -1, -1};
    if (store->error == ERR_NONE) {
        store->error = quorum_state_parse((const char *)store->content.data, store->content.size,
                                          &found, &store->text);
        err_wrap(&store->text, "%s", store->path);
    } else if (store->error == ERR_NOT_FOUND) {
        store->error = ERR_NONE; /* a new node */
    }
    if (store->error != ERR_NONE) {
        quorum_fail(quorum, store->error, &store->text);
        return;
    }
    ASSERT(found.epoch >= 0 && !quorum->state_ready);
    quorum->was_stored = store->content.size > 0;
    quorum->durable = found;
    quorum->now = found;
    quorum->state_ready = true;
    quorum_state_ready(quorum);
}

static void store_submit(struct quorum_store *store)
{
    ASSERT(!store->busy);
    store->busy = true;
    store->error = ERR_NONE;
    store->text.text[0] = '\0';
    env_job_submit(store->quorum->env, store->lane, &store->job);
}

static void store_begin(struct quorum *quorum)
{
    struct quorum_store *store = &quorum->store;
    store->again = false;
    store->writing = quorum->now;
    store->writing_number = quorum->now_number;
    store->content.size = 0;
    quorum_state_format(quorum, &store->writing, &store->content);
    store_submit(store);
}

static void store_done(struct env_job *job)
{
    struct quorum_store *store = CONTAINER_OF(job, struct quorum_store, job);
    struct quorum *quorum = store->quorum;
    ASSERT(store->busy);
    store->busy = false;
    if (quorum->closing) {
        quorum_close_step(quorum);
        return;
    }
    if (store->reading) {
        store->reading = false;
        store_read_done(quorum);
        return;
    }
    if (store->error == ERR_NO_SPACE) {
        if (!store->said_full) {
            trace_error(env_trace(quorum->env),
                        "the disk is full: nothing is voted or led until there is room, it is "
                        "tried again every second: write the quorum state: %s",
                        store->text.text);
        }
        store->said_full = true;
        store->again = false;
        env_timer_set(quorum->env, &store->retry, env_now_ms(quorum->env) + 1000);
        return;
    }
    if (store->error != ERR_NONE) {
        err_wrap(&store->text, "write the quorum state");
        quorum_fail(quorum, store->error, &store->text);
        return;
    }
    store->said_full = false;
    ASSERT(store->writing.epoch >= quorum->durable.epoch);
    quorum->durable = store->writing;
    quorum->durable_number = store->writing_number;
    if (store->again) {
        store_begin(quorum);
    }
    quorum_state_stored(quorum);
}

static void store_again(struct env_timer *timer)
{
    struct quorum_store *store = CONTAINER_OF(timer, struct quorum_store, retry);
    if (!store->busy) {
        store_begin(store->quorum);
    }
}

void quorum_store_open(struct quorum *quorum)
{
    struct quorum_store *store = &quorum->store;
    store->quorum = quorum;
    store->job.run = store_run;
    store->job.done = store_done;
    store->lane = env_lane_open(quorum->env, ENV_WORKER_META);
    int size = snprintf(store->path, sizeof store->path, "%s/%s-0/quorum-state",
                        log_dir_path(quorum->dir), QUORUM_TOPIC);
    ASSERT(size > 0 && (size_t)size < sizeof store->path);
    store->retry.fire = store_again;
    store->reading = true;
    store_submit(store);
}

void quorum_store_write(struct quorum *quorum)
{
    struct quorum_store *store = &quorum->store;
    quorum->now_number++;
    if (!quorum->proven) {
        /* It promises nothing; the file's absence is what says so after a restart. */
        quorum->durable = quorum->now;
        quorum->durable_number = quorum->now_number;
        return;
    }
    if (store->busy) {
        store->again = true;
        return;
    }
    store_begin(quorum);
}

void quorum_store_close(struct quorum *quorum)
{
    struct quorum_store *store = &quorum->store;
    env_timer_cancel(quorum->env, &store->retry);
    if (!store->busy && store->lane != NULL) {
        env_lane_close(quorum->env, store->lane);
        store->lane = NULL;
    }
}
