#include "broker/controller/controller.h"

#include <inttypes.h>

#include "broker/controller/controller_internal.h"

/* metadata.version 30 (4.3-IV0) is Kafka 4.3.1's own. Everything it brings to a metadata log we
 * write and read: directories in partitions, the fields of ELR, log directories in registrations; a
 * broker may report cordoned directories, and placement keeps away from them. What else a new Kafka
 * cluster finalizes (ELR, KIP-848, share and streams groups, transactions V2) is behaviour of its
 * own and is not claimed. */
static const struct controller_feature default_features[] = {
    {"metadata.version", METADATA_VERSION_3_7_IV2, METADATA_VERSION_4_3_IV0,
     METADATA_VERSION_4_3_IV0},
};

const struct controller_feature *controller_default_features(size_t *count)
{
    *count = sizeof default_features / sizeof default_features[0];
    return default_features;
}

struct controller_config controller_config_default(void)
{
    struct controller_config config = {
        .node_id = -1,
        .num_partitions = 1,
        .default_replication_factor = 1,
        .min_insync_replicas = 1,
        .session_timeout_ms = 9000,
        .max_partitions_per_request = 10000,
        .delete_topic_enable = true,
        .balance_interval_ms = 300000,
    };
    config.features = controller_default_features(&config.feature_count);
    return config;
}

const struct trace *controller_trace(const struct controller *controller)
{
    return env_trace(controller->env);
}

int16_t register_broker_version(const struct image *image)
{
    return image_broker_record_version(image);
}

int16_t partition_version(const struct image *image)
{
    return image_partition_record_version(image);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void run_answers(struct env_post *post)
{
    struct controller *controller = CONTAINER_OF(post, struct controller, answer);
    struct list due;
    list_init(&due);
    list_splice(&due, &controller->answered);
    while (!list_empty(&due)) {
        struct controller_call *call = CONTAINER_OF(list_pop(&due), struct controller_call, node);
        ASSERT(call->submitted && call->done != NULL);
        call->submitted = false;
        call->done(call);
    }
}

struct controller *controller_new(struct env *env, const struct controller_config *config,
                                  const struct controller_writer *writer)
{
    ASSERT(writer->append != NULL && writer->next_offset != NULL && writer->resign != NULL);
    struct controller *controller = mem_zalloc(sizeof *controller);
    controller->env = env;
    controller->config = *config;
    controller->writer = *writer;
    if (controller->config.features == NULL) {
        controller->config.features =
            controller_default_features(&controller->config.feature_count);
    }
    if (controller->config.max_partitions_per_request == 0) {
        controller->config.max_partitions_per_request = CONTROLLER_RECORDS_PER_CALL_MAX;
    }
    controller->committed = image_new();
    controller->epoch = -1;
    controller->appended_offset = -1;
    list_init(&controller->appended);
    list_init(&controller->waiting);
    list_init(&controller->answered);
    env_post_init(&controller->answer, run_answers);
    return controller;
}

static void drop_appended(struct controller *controller)
{
    while (!list_empty(&controller->appended)) {
        struct appended *appended =
            CONTAINER_OF(list_pop(&controller->appended), struct appended, node);
        image_free(appended->image);
        mem_free(appended);
    }
}

void controller_free(struct controller *controller)
{
    if (controller == NULL) {
        return;
    }
    while (list_pop(&controller->waiting) != NULL || list_pop(&controller->answered) != NULL) {
        /* unlinked, so that their owners may free them */
    }
    env_post_cancel(controller->env, &controller->answer);
    sessions_end(controller);
    balance_end(controller);
    drop_appended(controller);
    image_free(controller->image);
    image_free(controller->committed);
    mem_free(controller);
}

/* ---- news from the quorum ---------------------------------------------------------------------
 */

enum err controller_committed(struct controller *controller, const void *batches, size_t size_bytes,
                              int64_t last_offset, struct err_text *text)
{
    ASSERT(size_bytes > 0 && last_offset >= 0);
    bool ours = false;
    while (!list_empty(&controller->appended)) {
        struct appended *first = CONTAINER_OF(controller->appended.next, struct appended, node);
        if (first->last_offset > last_offset) {
            break;
        }
        image_free(controller->committed);
        controller->committed = first->image;
        list_remove(&first->node);
        mem_free(first);
        ours = true;
    }
    if (!ours) {
        enum err error =
            image_apply_batches(controller->committed, NULL, batches, size_bytes, text);
        if (error != ERR_NONE) {
            return error;
        }
    }
    ASSERT(image_in_transaction(controller->committed) ||
           image_offset(controller->committed) <= last_offset);
    calls_committed(controller, last_offset);
    return ERR_NONE;
}

void controller_restored(struct controller *controller, const struct image *image)
{
    ASSERT(controller->epoch == -1 && controller->image == NULL);
    ASSERT(list_empty(&controller->appended));
    image_free(controller->committed);
    controller->committed = image_clone(image);
}

void controller_activate(struct controller *controller, int32_t epoch)
{
    ASSERT(controller->epoch == -1 && controller->image == NULL);
    ASSERT(list_empty(&controller->appended));
    ASSERT(epoch >= 0 && controller->sessions == NULL && list_empty(&controller->waiting));
    controller->epoch = epoch;
    controller->appended_offset = -1;
    controller->image = image_clone(controller->committed);
    trace_info(controller_trace(controller),
               "controller: node %" PRId32 " decides in epoch %" PRId32
               ": %zu topics, %zu brokers at offset %" PRId64,
               controller->config.node_id, epoch, image_topic_count(controller->image),
               image_broker_count(controller->image), image_offset(controller->image));
    struct record_list records = {0};
    bootstrap_records(controller, &records);
    bool going = records.count == 0 || controller_append(controller, &records, true) == ERR_NONE;
    record_list_free(&records);
    /* Whoever decided before us may have stopped between a broker's return and what follows. */
    if (going && leaders_seek(controller)) {
        sessions_begin(controller);
        balance_begin(controller);
    }
}

void controller_deactivate(struct controller *controller)
{
    if (controller->epoch == -1) {
        return;
    }
    trace_info(controller_trace(controller),
               "controller: node %" PRId32 " decides no more (epoch %" PRId32
               "): back to the committed offset %" PRId64,
               controller->config.node_id, controller->epoch, image_offset(controller->committed));
    ASSERT(controller->image != NULL);
    controller->epoch = -1;
    sessions_end(controller);
    balance_end(controller);
    drop_appended(controller);
    image_free(controller->image);
    controller->image = NULL;
    calls_refuse_waiting(controller);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

bool controller_active(const struct controller *controller)
{
    return controller->epoch != -1;
}

int32_t controller_epoch(const struct controller *controller)
{
    return controller->epoch;
}

const struct image *controller_image(const struct controller *controller)
{
    ASSERT((controller->image != NULL) == (controller->epoch != -1));
    return controller->image != NULL ? controller->image : controller->committed;
}

const struct image *controller_committed_image(const struct controller *controller)
{
    return controller->committed;
}
