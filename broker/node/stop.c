/* Stopping: what came last goes first. Every step waits for the one before; a step that has nothing
 * to stop passes on at once, so that a start that failed half way ends by the same road. */
#include "broker/node/node_internal.h"
#include "broker/node/peers.h"
#include "broker/node/replica_link.h"
#include "common/base/assert.h"

static void stopped(struct broker *broker)
{
    broker->phase = BROKER_STOPPED;
    if (broker->news.stopped != NULL) {
        broker->news.stopped(broker->news.ctx, broker, broker->exit_code, broker->why);
    }
}

static void on_dir_closed(void *ctx, enum err error, const struct err_text *text)
{
    struct broker *broker = ctx;
    if (error != ERR_NONE) {
        trace_error(env_trace(broker->env), "close a data directory: %s", text->text);
        if (broker->why[0] == '\0') {
            snprintf(broker->why, sizeof broker->why, "close a data directory: %s", text->text);
            broker->exit_code = BROKER_EXIT_FAILED;
        }
    }
    if (--broker->dirs_waiting == 0) {
        node_then(broker, stopped);
    }
}

/* A clean close promises that nothing needs recovery. A start that failed before the logs were
 * opened may give that promise only if it found it. */
static bool may_close(const struct broker *broker, int i)
{
    return broker->found[i].error == ERR_NONE && broker->found[i].formatted &&
           (broker->publishing || broker->found[i].clean_shutdown);
}

static void close_dirs(struct broker *broker)
{
    int64_t epoch = broker->registration.broker_epoch;
    broker->dirs_waiting = 1; /* our own hold while the loop runs */
    for (int i = 0; i < broker->dir_count; i++) {
        if (may_close(broker, i)) {
            int64_t found_epoch = broker->found[i].clean_shutdown_broker_epoch;
            broker->dirs_waiting++;
            log_dir_close(broker->dirs[i], epoch >= 0 ? epoch : found_epoch, on_dir_closed, broker);
        }
    }
    if (--broker->dirs_waiting == 0) {
        stopped(broker);
    }
}

static void on_quorum_closed(void *ctx)
{
    struct broker *broker = ctx;
    node_controller_links_free(broker);
    node_peers_free(broker->peers);
    broker->peers = NULL;
    node_then(ctx, close_dirs);
}

static void close_quorum(struct broker *broker)
{
    if (broker->quorum == NULL) {
        if (!node_bootstrap_wait(broker, close_dirs)) {
            close_dirs(broker);
        }
        return;
    }
    quorum_close(broker->quorum, on_quorum_closed, broker);
}

static void on_replicas_closed(void *ctx)
{
    struct broker *broker = ctx;
    node_replica_links_close(broker->replica_links);
    node_then(ctx, close_quorum);
}

void node_stop_begin(struct broker *broker)
{
    ASSERT(broker->phase == BROKER_STOPPING);
    trace_info(env_trace(broker->env), "stopping%s%s", broker->why[0] != '\0' ? ": " : "",
               broker->why);
    for (int i = 0; i < broker->listener_count; i++) {
        if (broker->listeners[i].listening) {
            env_unlisten(broker->env, &broker->listeners[i].env);
            broker->listeners[i].listening = false;
        }
    }
    node_conns_close(broker);
    node_vigil_end(broker);
    node_registration_stop(broker);
    node_register_controller_stop(broker);
    node_producer_ids_free(broker);
    node_auto_topics_free(broker);
    if (broker->replicas == NULL) {
        close_quorum(broker);
        return;
    }
    replicas_close(broker->replicas, on_replicas_closed, broker);
}
