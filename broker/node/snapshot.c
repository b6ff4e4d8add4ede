/* Between the image and the quorum's snapshots. */
#include "broker/node/node_internal.h"
#include "common/base/assert.h"

/* ---- out of one ---- */

/* The image becomes what the snapshot says, in one turn; who follows it hears what that changes. */
static void become(struct broker *broker)
{
    struct image_delta delta = {0};
    image_delta_between(&delta, broker->image, broker->loading);
    image_take(broker->image, broker->loading);
    broker->loading = NULL;
    controller_restored(broker->controller, broker->image);
    trace_info(env_trace(broker->env), "the metadata is that of a snapshot up to offset %lld",
               (long long)image_offset(broker->image));
    node_image_changed(broker, &delta);
    image_delta_clear(&delta);
}

void node_take_snapshot(void *ctx, const struct quorum_snapshot_part *part)
{
    struct broker *broker = ctx;
    struct err_text text = {""};
    if (part->first) {
        image_free(broker->loading);
        broker->loading = image_new();
    }
    ASSERT(broker->loading != NULL);
    if (image_apply_batches(broker->loading, NULL, part->batches, part->size_bytes, &text) !=
        ERR_NONE) {
        node_fail(broker, BROKER_EXIT_FAILED, "the metadata snapshot up to offset %lld: %s",
                  (long long)part->last_offset, text.text);
        return;
    }
    if (part->last) {
        image_stand_at(broker->loading, part->last_offset, part->epoch, part->timestamp_ms);
        become(broker);
    }
}

/* ---- into one ---- */

static enum err write_image(const void *state,
                            enum err (*put)(void *to, const void *record, size_t size_bytes),
                            void *to)
{
    return image_write(state, put, to);
}

static void release_image(void *state)
{
    image_free(state);
}

void node_give_snapshot(void *ctx)
{
    struct broker *broker = ctx;
    if (image_in_transaction(broker->image)) {
        return; /* half of it is no state */
    }
    ASSERT(image_offset(broker->image) + 1 == quorum_delivered(broker->quorum));
    struct quorum_snapshot_source source = {
        .write = write_image,
        .release = release_image,
        .state = image_clone(broker->image),
        .timestamp_ms = image_timestamp_ms(broker->image),
    };
    quorum_snapshot(broker->quorum, &source);
}
