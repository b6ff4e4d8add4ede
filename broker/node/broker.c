/* The broker as a whole: made, told to stop, freed; and the way a failure becomes an exit. */
#include <stdarg.h>

#include "broker/node/node_internal.h"
#include "broker/node/peers.h"
#include "broker/node/replica_link.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static void on_step(struct env_post *post)
{
    struct broker *broker = CONTAINER_OF(post, struct broker, step);
    void (*step)(struct broker *) = broker->next_step;
    broker->next_step = NULL;
    ASSERT(step != NULL);
    step(broker);
}

void node_then(struct broker *broker, void (*step)(struct broker *broker))
{
    broker->next_step = step;
    env_post(broker->env, &broker->step);
}

void node_fail(struct broker *broker, enum broker_exit code, const char *fmt, ...)
{
    if (broker->why[0] == '\0') {
        va_list args;
        va_start(args, fmt);
        vsnprintf(broker->why, sizeof broker->why, fmt, args);
        va_end(args);
        broker->exit_code = code;
    }
    if (broker->phase < BROKER_STOPPING) {
        broker->phase = BROKER_STOPPING;
        node_then(broker, node_stop_begin);
    }
}

struct broker *broker_start(struct env *env, struct broker_settings *settings,
                            const struct broker_news *news)
{
    struct broker *broker = mem_zalloc(sizeof *broker);
    broker->env = env;
    broker->settings = settings;
    broker_settings_forget(settings); /* an earlier life's */
    broker->news = *news;
    broker->node_id = settings->node_id;
    list_init(&broker->conns);
    list_init(&broker->vigils);
    list_init(&broker->producer_ids.waiting);
    env_post_init(&broker->step, on_step);
    broker->registration.incarnation_id = env_random_uuid(env);
    broker->registration.broker_epoch = -1;
    broker->image = image_new();
    node_then(broker, node_start_dirs);
    return broker;
}

struct broker *broker_format(struct env *env, struct broker_settings *settings,
                             const struct broker_news *news)
{
    struct broker *broker = broker_start(env, settings, news);
    broker->format_only = true;
    return broker;
}

void broker_stop(struct broker *broker)
{
    if (broker->phase == BROKER_RUNNING && node_registration_leave(broker)) {
        broker->phase = BROKER_LEAVING;
    } else if (broker->phase < BROKER_STOPPING) {
        broker->phase = BROKER_STOPPING; /* a second stop does not wait for the first */
        node_then(broker, node_stop_begin);
    }
}

void broker_free(struct broker *broker)
{
    node_conns_free(broker);
    node_vigil_end(broker);
    node_registration_stop(broker);
    node_register_controller_stop(broker);
    node_producer_ids_free(broker);
    node_auto_topics_free(broker);
    if (broker->groups != NULL) {
        groups_free(broker->groups);
    }
    if (broker->replicas != NULL) {
        replicas_free(broker->replicas);
    }
    node_replica_links_free(broker->replica_links); /* which the replicas' calls were in */
    if (broker->controller != NULL) {
        controller_free(broker->controller);
    }
    node_controller_links_free(broker);
    node_peers_free(broker->peers);
    if (broker->quorum != NULL) {
        quorum_free(broker->quorum);
    }
    for (int i = 0; i < broker->dir_count; i++) {
        log_dir_free(broker->dirs[i]);
    }
    api_forget(&broker->api);
    env_post_cancel(broker->env, &broker->step);
    image_free(broker->image);
    image_free(broker->loading);
    node_bootstrap_free(broker);
    mem_free(broker);
}

const char *broker_cluster_id(const struct broker *broker)
{
    return broker->cluster_id;
}

/* A controller of no other role has its own listener to tell of. */
static const struct node_listener *client_listener(const struct broker *broker)
{
    for (int i = 0; i < broker->listener_count; i++) {
        if (broker->listeners[i].kind == API_BROKER) {
            return &broker->listeners[i];
        }
    }
    return broker->listener_count > 0 ? &broker->listeners[0] : NULL;
}

uint16_t broker_port(const struct broker *broker)
{
    const struct node_listener *listener = client_listener(broker);
    return listener != NULL && listener->listening ? listener->env.bound_port : 0;
}

const char *broker_host(const struct broker *broker)
{
    const struct node_listener *listener = client_listener(broker);
    return listener != NULL ? listener->advertised_host : "";
}

const char *broker_data_dir(const struct broker *broker)
{
    return broker->dir_count > 0 ? log_dir_path(broker->dirs[0]) : "";
}
