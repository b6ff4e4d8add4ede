/* node: one broker, wired: rooms, connections, start and stop.
 *
 * Start: open and lock the log directories -> learn or decide the cluster id -> bind the listeners
 * (so that a taken port is said at once) -> the quorum replays its log and elects -> the broker
 * registers with the active controller -> its partitions open -> it is unfenced -> connections that
 * waited are served -> `ready`. Stop: controlled shutdown -> no new requests -> logs closed,
 * checkpoints, clean shutdown file -> `stopped`.
 *
 * Failure modes: whatever keeps it from starting is one sentence in `stopped` with a non-zero code;
 * nothing on disk has been changed by then except an empty directory that was formatted. */
#ifndef BROKER_NODE_BROKER_H
#define BROKER_NODE_BROKER_H

#include <stdint.h>

#include "broker/env/env.h"
#include "broker/settings/broker_settings.h"

struct broker;

/* Exit codes a systemd unit can rely on. */
enum broker_exit {
    BROKER_EXIT_OK = 0,
    BROKER_EXIT_FAILED = 1, /* the disk or the system failed while running */
    BROKER_EXIT_USAGE = 2,  /* arguments or settings */
    BROKER_EXIT_REFUSED =
        3, /* could not start: port, directory, lock, another cluster's or node's data */
};

struct broker_news {
    /* Serving. Facts for the first lines are read with broker_describe. */
    void (*ready)(void *ctx, struct broker *broker);
    /* Nothing runs any more; broker_free is next. `why` is "" after a clean stop. */
    void (*stopped)(void *ctx, struct broker *broker, enum broker_exit code, const char *why);
    void *ctx;
};

/* `settings` must outlive the broker, which changes in them what operators change while it runs.
 * News arrives in later turns. */
struct broker *broker_start(struct env *env, struct broker_settings *settings,
                            const struct broker_news *news);
/* Makes the data directories this node's, as a first start would, and stops; refuses, and changes
 * nothing, where one is some node's already. `ready` never comes. */
struct broker *broker_format(struct env *env, struct broker_settings *settings,
                             const struct broker_news *news);
/* Begins a clean stop: leaderships move to other brokers while it serves on, then it stops. Called
 * again it waits for nobody; harmless when it is stopping. */
void broker_stop(struct broker *broker);
/* Memory only: after `stopped`, or in a simulated crash. */
void broker_free(struct broker *broker);

const char *broker_cluster_id(const struct broker *broker); /* "" until known */
/* The port the named client listener is bound to (0 before). */
uint16_t broker_port(const struct broker *broker);
const char *broker_host(const struct broker *broker);
const char *broker_data_dir(const struct broker *broker);

#endif
