/* bootstrap.checkpoint in the directory of the metadata log: the features a new cluster begins with
 * (Kafka's BootstrapDirectory; `kafka-storage format` writes it). It is read at every start and
 * counts only where the metadata log is still empty. A file that cannot be read, or asks for what
 * this build does not implement, stops the start: a cluster must not begin with less than was
 * ordered. */
#include <string.h>

#include "broker/node/node_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

enum { FILE_BYTES_MAX = 1 << 20 };

struct node_bootstrap {
    struct env_job job;
    struct broker *broker;
    struct env_lane *lane;
    char path[1100];
    struct bytes content;
    enum err error;
    struct err_text text;
    void (*then)(struct broker *broker);
    void (*after)(struct broker *broker); /* a stop waits for us */
};

static void read_file(struct env_job *job, struct env_fs *fs)
{
    struct node_bootstrap *b = CONTAINER_OF(job, struct node_bootstrap, job);
    b->error = env_fs_slurp(fs, b->path, FILE_BYTES_MAX, &b->content, &b->text);
}

struct ordering {
    struct node_bootstrap *bootstrap;
    bool ok;
};

static bool each_feature(void *ctx, const struct image_feature *feature)
{
    struct ordering *ordering = ctx;
    struct broker *broker = ordering->bootstrap->broker;
    for (size_t i = 0; i < broker->feature_count; i++) {
        struct controller_feature *known = &broker->features[i];
        if (strcmp(known->name, feature->name) != 0) {
            continue;
        }
        if (feature->level >= known->min && feature->level <= known->max) {
            known->bootstrap_level = feature->level;
            return true;
        }
        node_fail(broker, BROKER_EXIT_REFUSED,
                  "%s begins the cluster with %s at %d, this build does %d to %d: format the "
                  "directory anew",
                  ordering->bootstrap->path, feature->name, feature->level, known->min, known->max);
        ordering->ok = false;
        return false;
    }
    node_fail(broker, BROKER_EXIT_REFUSED,
              "%s begins the cluster with the feature %s, which this build does not have: format "
              "the directory anew without it",
              ordering->bootstrap->path, feature->name);
    ordering->ok = false;
    return false;
}

/* False after a failure. */
static bool take_features(struct node_bootstrap *b)
{
    struct broker *broker = b->broker;
    struct image *image = image_new();
    struct ordering ordering = {b, true};
    if (image_apply_batches(image, NULL, b->content.data, b->content.size, &b->text) != ERR_NONE) {
        node_fail(broker, BROKER_EXIT_REFUSED, "read %s: %s", b->path, b->text.text);
        ordering.ok = false;
    } else if (image_feature_level(image, "metadata.version") == 0) {
        node_fail(broker, BROKER_EXIT_REFUSED,
                  "%s does not say at which metadata.version the cluster begins: format the "
                  "directory anew",
                  b->path);
        ordering.ok = false;
    } else {
        for (size_t i = 0; i < broker->feature_count; i++) {
            broker->features[i].bootstrap_level = 0;
        }
        image_each_feature(image, each_feature, &ordering);
    }
    image_free(image);
    return ordering.ok;
}

static void done(struct env_job *job)
{
    struct node_bootstrap *b = CONTAINER_OF(job, struct node_bootstrap, job);
    struct broker *broker = b->broker;
    void (*then)(struct broker *) = b->then;
    void (*after)(struct broker *) = b->after;
    bool go_on = broker->phase == BROKER_STARTING;
    env_lane_close(broker->env, b->lane);
    if (go_on && b->error != ERR_NONE && b->error != ERR_NOT_FOUND) {
        node_fail(broker, BROKER_EXIT_REFUSED, "read %s: %s", b->path, b->text.text);
        go_on = false;
    } else if (go_on && b->error == ERR_NONE) {
        go_on = take_features(b);
    }
    node_bootstrap_free(broker);
    if (after != NULL) {
        after(broker);
    } else if (go_on) {
        then(broker);
    }
}

bool node_bootstrap_wait(struct broker *broker, void (*after)(struct broker *broker))
{
    if (broker->bootstrap == NULL) {
        return false;
    }
    broker->bootstrap->after = after;
    return true;
}

void node_bootstrap_free(struct broker *broker)
{
    if (broker->bootstrap != NULL) {
        bytes_free(&broker->bootstrap->content);
        mem_free(broker->bootstrap);
        broker->bootstrap = NULL;
    }
}

void node_bootstrap_read(struct broker *broker, const struct log_dir *dir,
                         void (*then)(struct broker *broker))
{
    ASSERT(broker->bootstrap == NULL);
    size_t count = 0;
    const struct controller_feature *known = controller_default_features(&count);
    ASSERT(count <= NODE_FEATURES_MAX);
    memcpy(broker->features, known, count * sizeof *known);
    broker->feature_count = count;
    struct node_bootstrap *b = mem_zalloc(sizeof *b);
    broker->bootstrap = b;
    b->broker = broker;
    b->then = then;
    snprintf(b->path, sizeof b->path, "%s/bootstrap.checkpoint", log_dir_path(dir));
    b->job.run = read_file;
    b->job.done = done;
    b->lane = env_lane_open(broker->env, ENV_WORKER_META);
    env_job_submit(broker->env, b->lane, &b->job);
}
