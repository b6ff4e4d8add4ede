/* The quorum's news: committed records become the image, the image's changes go to the rooms.
 *
 * While the log is replayed at start only the image grows; when this broker's registration has been
 * reached, everything is published at once and from then on batch by batch. */
#include <string.h>

#include "broker/node/node_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static void tell_groups(struct broker *broker, const struct image_delta *delta)
{
    const struct image_topic *offsets = image_topic_by_name(broker->image, "__consumer_offsets");
    groups_set_image(broker->groups, broker->image);
    groups_set_partition_count(broker->groups, offsets != NULL ? offsets->partition_count : 0);
    const char **deleted = mem_array(delta->topic_count, sizeof *deleted);
    int count = 0;
    for (size_t i = 0; i < delta->topic_count; i++) {
        if (delta->topics[i]->deleted) {
            deleted[count++] = delta->topics[i]->name;
        }
    }
    if (count > 0) {
        groups_topics_deleted(broker->groups, deleted, count);
    }
    mem_free(deleted);
}

static void publish(struct broker *broker, const struct image_delta *delta)
{
    tell_groups(broker, delta);
    replicas_apply(broker->replicas, broker->image, delta);
}

void node_publish_all(struct broker *broker)
{
    ASSERT(!broker->publishing);
    broker->publishing = true;
    struct image_delta everything = {0};
    image_delta_all(&everything, broker->image);
    publish(broker, &everything);
    image_delta_clear(&everything);
}

static void on_opened(void *ctx, enum err error, const struct err_text *text)
{
    struct broker *broker = ctx;
    if (error != ERR_NONE) {
        node_fail(broker, BROKER_EXIT_REFUSED, "open the metadata log: %s", text->text);
    }
}

void node_image_changed(struct broker *broker, const struct image_delta *delta)
{
    node_apply_dynamic_settings(broker, delta);
    if (broker->publishing && broker->phase < BROKER_STOPPING) {
        publish(broker, delta);
    }
    if (broker->phase < BROKER_STOPPING) {
        node_registration_image_changed(broker);
        node_register_controller(broker);
    }
}

static void on_committed(void *ctx, const struct quorum_committed *committed)
{
    struct broker *broker = ctx;
    struct err_text text = {""};
    struct image_delta delta = {0};
    enum err error = controller_committed(broker->controller, committed->batches,
                                          committed->size_bytes, committed->last_offset, &text);
    if (error == ERR_NONE) {
        error = image_apply_batches(broker->image, &delta, committed->batches,
                                    committed->size_bytes, &text);
    }
    if (error != ERR_NONE) {
        image_delta_clear(&delta);
        node_fail(broker, BROKER_EXIT_FAILED, "metadata records %lld to %lld: %s",
                  (long long)committed->base_offset, (long long)committed->last_offset, text.text);
        return;
    }
    node_image_changed(broker, &delta);
    image_delta_clear(&delta);
}

static void on_leader_changed(void *ctx, int32_t leader_id, int32_t epoch)
{
    struct broker *broker = ctx;
    trace_info(env_trace(broker->env), "metadata quorum: leader %d in epoch %d", leader_id, epoch);
    if (leader_id >= 0 && !(broker->settings->roles & BROKER_ROLE_BROKER)) {
        node_ready(broker); /* a controller has nobody to register with */
    } else if (leader_id >= 0) {
        node_register(broker);
    }
    node_register_controller(broker);
}

static void on_activated(void *ctx, int32_t epoch)
{
    struct broker *broker = ctx;
    controller_activate(broker->controller, epoch);
    node_vigil_begin(broker);
    if (broker->settings->roles & BROKER_ROLE_BROKER) {
        node_register(broker);
    }
}

static void on_deactivated(void *ctx, int32_t epoch)
{
    struct broker *broker = ctx;
    (void)epoch;
    node_vigil_end(broker);
    controller_deactivate(broker->controller);
}

static void on_failed(void *ctx, enum err error, const struct err_text *text)
{
    node_fail(ctx, BROKER_EXIT_FAILED, "metadata log: %s (%s)", text->text, err_name(error));
}

const struct quorum_events *node_quorum_events(void)
{
    static const struct quorum_events events = {.opened = on_opened,
                                                .committed = on_committed,
                                                .leader_changed = on_leader_changed,
                                                .activated = on_activated,
                                                .deactivated = on_deactivated,
                                                .failed = on_failed,
                                                .snapshot = node_take_snapshot,
                                                .snapshot_due = node_give_snapshot};
    return &events;
}

/* ---- the controller's records go down to the quorum ---- */

static enum err append(void *ctx, int32_t epoch, const struct controller_record *records,
                       size_t count, int64_t *last_offset, struct err_text *text)
{
    struct broker *broker = ctx;
    struct quorum_record few[16] = {{0}};
    struct quorum_record *rows = count <= 16 ? few : mem_array(count, sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct quorum_record){records[i].data, records[i].size_bytes};
    }
    enum err error = quorum_append(broker->quorum, epoch, rows, count, last_offset, text);
    if (rows != few) {
        mem_free(rows);
    }
    return error;
}

static int64_t next_offset(void *ctx)
{
    struct broker *broker = ctx;
    return quorum_next_offset(broker->quorum);
}

static void resign(void *ctx, int32_t epoch, const char *why)
{
    struct broker *broker = ctx;
    quorum_resign(broker->quorum, epoch, why);
}

struct controller_writer node_controller_writer(struct broker *broker)
{
    return (struct controller_writer){
        .append = append, .next_offset = next_offset, .resign = resign, .ctx = broker};
}
