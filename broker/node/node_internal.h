/* Shared by the room's files only: one broker's struct, and who does what with it. */
#ifndef BROKER_NODE_NODE_INTERNAL_H
#define BROKER_NODE_NODE_INTERNAL_H

#include <stdio.h>
#include "common/base/hash.h"

#include "broker/api/api.h"
#include "broker/controller/controller.h"
#include "broker/node/broker.h"
#include "broker/quorum/quorum.h"

enum { NODE_DIRS_MAX = 64, NODE_LISTENERS_MAX = 8, NODE_HOST_MAX = 256, NODE_FEATURES_MAX = 16 };

struct node_listener {
    struct broker *broker;
    enum api_listener kind;
    char name[64];
    char host[NODE_HOST_MAX]; /* bound to */
    uint16_t port;
    char advertised_host[NODE_HOST_MAX];
    uint16_t advertised_port;
    struct env_listener env;
    bool listening;
};

struct conn {
    struct broker *broker;
    struct node_listener *listener;
    env_conn id;
    struct env_peer peer;
    struct list node;     /* broker->conns */
    struct list requests; /* in order of arrival */
    int request_count;
    size_t request_bytes; /* of their frames */
    struct request *handling;
    int32_t heartbeat_of; /* the broker whose heartbeats it carries; -1 none */
    int64_t heartbeat_epoch;
    int depth; /* > 0 inside on_frame: the struct must not go */
    bool paused;
    bool closed;
};

enum broker_phase {
    BROKER_STARTING,
    BROKER_RUNNING,
    BROKER_LEAVING, /* serving still, while its leaderships move away */
    BROKER_STOPPING,
    BROKER_STOPPED
};

/* How far this broker is with the controller. */
enum registration_phase {
    REGISTRATION_NONE,
    REGISTRATION_ASKED,  /* BrokerRegistration is with the controller */
    REGISTRATION_KNOWN,  /* answered; waiting for our image to hold it */
    REGISTRATION_FENCED, /* partitions are opening */
    REGISTRATION_LIVE    /* unfenced */
};

struct registration {
    enum registration_phase phase;
    struct uuid incarnation_id;
    int64_t broker_epoch;
    struct env_timer timer; /* retry or heartbeat */
    uint32_t refused;       /* registrations in a row that were */
    bool heartbeat_out;
    bool heartbeat_outdated; /* what has changed since it left is worth another */
    bool replicas_settled;
    int64_t others_leaving; /* which of the others leave, as far as our image knows */
    bool leaving;
    struct env_timer leave; /* the controller has until then to answer */
    int64_t leave_deadline_ms;
    struct arena arena;
    struct api_controller_call call;
};

/* What the active controller is told of our own controller. */
struct controller_registration {
    bool asked;
    struct env_timer retry;
    struct arena arena;
    struct api_controller_call call;
};

struct producer_ids {
    int64_t next;
    int64_t end; /* exclusive */
    bool asked;
    struct list waiting; /* env_post.node: cancelling the post takes it out of here too */
    struct env_timer retry;
    struct arena arena;
    struct api_controller_call call;
};

/* A topic being created because somebody asked for it. */
struct auto_topic {
    char *name;
    struct broker *broker;
    struct arena arena;
    struct api_controller_call call;
    UT_hash_handle hh;
};

struct broker {
    struct env *env;
    struct broker_settings *settings;
    struct broker_news news;
    enum broker_phase phase;
    int32_t node_id;
    char cluster_id[64];

    struct log_dir *dirs[NODE_DIRS_MAX];
    struct log_dir_found found[NODE_DIRS_MAX];
    int dir_count;
    int dirs_waiting;
    bool format_only;

    struct node_listener listeners[NODE_LISTENERS_MAX];
    int listener_count;
    struct list conns;
    bool serving;

    struct node_bootstrap *bootstrap; /* while bootstrap.checkpoint is read */
    struct controller_feature features[NODE_FEATURES_MAX];
    size_t feature_count;
    struct quorum *quorum;
    struct node_peers *peers; /* its way to the other voters */
    struct controller *controller;
    struct list vigils;                                    /* dials to brokers that may have died */
    struct node_link *controller_links[QUORUM_VOTERS_MAX]; /* by voter; made when needed */
    struct image *image;
    struct image *loading; /* what a snapshot has told so far; NULL: none is being told */
    bool publishing; /* replay is over: changes go to the rooms as they come */

    struct node_replica_links *replica_links; /* the replicas' way to other brokers */
    struct replicas *replicas;
    struct groups *groups;
    struct registration registration;
    struct controller_registration controller_registration;
    struct producer_ids producer_ids;
    struct auto_topic *auto_topics; /* uthash */
    struct api_context api;

    struct env_post step; /* start and stop go on in a turn of their own */
    void (*next_step)(struct broker *broker);
    enum broker_exit exit_code;
    char why[768];
};

/* broker.c */
/* Runs `step` in the next turn. */
void node_then(struct broker *broker, void (*step)(struct broker *broker));
/* Begins to stop because of a failure. The first reason wins. */
void node_fail(struct broker *broker, enum broker_exit code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* start.c */
void node_start_dirs(struct broker *broker);
void node_ready(struct broker *broker);

/* stop.c */
void node_stop_begin(struct broker *broker);

/* conn.c */
enum err node_listen(struct node_listener *listener, uint32_t max_frame_bytes,
                     struct err_text *text);
void node_conns_serve(struct broker *broker);
void node_conns_close(struct broker *broker);
/* api_context.answered and .drop_connection */
void node_answered(void *ctx, struct request *request);
void node_drop_connection(void *ctx, struct request *request, const char *why);
/* Memory only. */
void node_conns_free(struct broker *broker);

/* view.c: the quorum's news, the image, and who hears of its changes */
const struct quorum_events *node_quorum_events(void);
struct controller_writer node_controller_writer(struct broker *broker);
/* The image is current: everything in it goes to the rooms, from here on every change does. */
void node_publish_all(struct broker *broker);

/* bootstrap.c: what a new cluster begins with, into broker->features; unless that fails `then` is
 * run. */
void node_bootstrap_read(struct broker *broker, const struct log_dir *dir,
                         void (*then)(struct broker *broker));
/* True when the file is being read: `after` is run when that is done. */
bool node_bootstrap_wait(struct broker *broker, void (*after)(struct broker *broker));
void node_bootstrap_free(struct broker *broker); /* memory only */

/* snapshot.c: the image into a metadata snapshot and out of it */
void node_take_snapshot(void *ctx, const struct quorum_snapshot_part *part);
void node_give_snapshot(void *ctx);
/* Tells the rooms of what has changed, when they are told of anything yet. */
void node_image_changed(struct broker *broker, const struct image_delta *delta);

/* registration.c: this broker's life as the controller sees it */
void node_register(struct broker *broker);
void node_registration_image_changed(struct broker *broker);
void node_registration_settled(struct broker *broker);
/* Asks the controller to let us go; node_stop_begin follows. False when there is nobody to hand
 * leadership to, or we have none: then it may stop at once. */
bool node_registration_leave(struct broker *broker);
void node_registration_stop(struct broker *broker);

/* controller_registration.c */
void node_register_controller(struct broker *broker); /* when that is due; harmless otherwise */
void node_register_controller_stop(struct broker *broker);

/* controller_link.c: calls to the active controller */
void node_controller_submit(void *ctx, struct api_controller_call *call);
void node_controller_cancel(void *ctx, struct api_controller_call *call);
/* When no call is under way. */
void node_controller_links_free(struct broker *broker);

/* vigil.c: whether a broker's process has died, while our controller is the active one */
/* A connection that carried the heartbeats of that broker's life has ended. */
void node_vigil_connection_lost(struct broker *broker, int32_t broker_id, int64_t broker_epoch);
void node_vigil_begin(struct broker *broker); /* our controller has become active */
void node_vigil_end(struct broker *broker);   /* no longer; or we stop */

/* quorum_link.c: calls to the quorum */
void node_quorum_submit(void *ctx, struct api_controller_call *call);
void node_quorum_cancel(void *ctx, struct api_controller_call *call);

/* producer_ids.c */
int64_t node_next_producer_id(void *ctx);
void node_wait_producer_ids(void *ctx, struct env_post *ready);
void node_producer_ids_free(struct broker *broker);

/* auto_topics.c */
void node_auto_create(void *ctx, const char *topic);
void node_auto_topics_free(struct broker *broker);

/* dynamic.c: broker settings that the image says otherwise; `delta` is what it says anew. */
void node_apply_dynamic_settings(struct broker *broker, const struct image_delta *delta);

/* topic_settings.c */
void node_topic_settings(void *ctx, const char *topic, struct replica_settings *out);
void node_throttle_rates(void *ctx, int64_t *leader, int64_t *follower);
struct log_cleaner node_cleaner_settings(const struct broker *broker);
struct replication_settings node_replication_settings(const struct broker *broker);
struct groups_config node_groups_config(const struct broker *broker);
struct controller_config node_controller_config(struct broker *broker);

#endif
