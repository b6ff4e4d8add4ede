/* Records of the metadata log as another controller may have written them: a run of records, each
 * behind two bytes of length, applied one after the other.
 *
 * A record the image does not take ends the run. What was taken can be read from end to end, and a
 * clone taken before a record is untouched by it. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "broker/metadata/image.h"
#include "common/base/assert.h"
#include "common/wire/wire.h"

enum { CLONES_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Adds up all it can reach, so that what is not there is touched. */
struct reader {
    const struct image *image;
    uint64_t sum;
};

static void read_ids(struct reader *r, struct image_ids ids)
{
    ASSERT(ids.count >= 0);
    for (int32_t i = 0; i < ids.count; i++) {
        r->sum += (uint64_t)(uint32_t)ids.ids[i];
    }
}

static bool read_topic(void *ctx, const struct image_topic *topic)
{
    struct reader *r = ctx;
    ASSERT(topic->partition_count >= 0 && topic->partition_count <= IMAGE_PARTITIONS_MAX);
    ASSERT(image_topic_by_name(r->image, topic->name) == topic);
    ASSERT(image_topic_by_id(r->image, &topic->id) == topic);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_partition *p = topic->partitions[i];
        if (p == NULL) {
            continue;
        }
        ASSERT(p->partition == i);
        read_ids(r, p->replicas);
        read_ids(r, p->isr);
        read_ids(r, p->elr);
        read_ids(r, p->last_known_elr);
        read_ids(r, p->adding);
        read_ids(r, p->removing);
        for (int32_t d = 0; d < p->replicas.count; d++) {
            r->sum += p->directories[d].bytes[0];
        }
    }
    return true;
}

static void read_endpoints(struct reader *r, const struct image_endpoint *endpoints, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        r->sum += strlen(endpoints[i].listener) + strlen(endpoints[i].host) + endpoints[i].port;
    }
}

static bool read_broker(void *ctx, const struct image_broker *broker)
{
    struct reader *r = ctx;
    ASSERT(image_broker(r->image, broker->id) == broker);
    read_endpoints(r, broker->endpoints, broker->endpoint_count);
    for (int32_t i = 0; i < broker->feature_count; i++) {
        r->sum += strlen(broker->features[i].name);
    }
    for (int32_t i = 0; i < broker->log_dir_count; i++) {
        r->sum += broker->log_dirs[i].bytes[0];
    }
    for (int32_t i = 0; i < broker->cordoned_log_dir_count; i++) {
        r->sum += broker->cordoned_log_dirs[i].bytes[0];
    }
    r->sum += broker->rack != NULL ? strlen(broker->rack) : 0;
    return true;
}

static bool read_controller(void *ctx, const struct image_controller *controller)
{
    struct reader *r = ctx;
    ASSERT(image_controller(r->image, controller->id) == controller);
    read_endpoints(r, controller->endpoints, controller->endpoint_count);
    return true;
}

static bool read_configs(void *ctx, const struct image_configs *configs)
{
    struct reader *r = ctx;
    ASSERT(configs->count > 0);
    for (int32_t i = 0; i < configs->count; i++) {
        const struct image_config *c = &configs->items[i];
        ASSERT(image_config_value(r->image, configs->type, configs->name, c->key) == c->value);
        r->sum += strlen(c->value);
    }
    return true;
}

static bool read_feature(void *ctx, const struct image_feature *feature)
{
    struct reader *r = ctx;
    ASSERT(image_feature_level(r->image, feature->name) == feature->level);
    return true;
}

static uint64_t read_image(const struct image *image)
{
    struct reader r = {image, 0};
    image_each_topic(image, read_topic, &r);
    image_each_broker(image, read_broker, &r);
    image_each_controller(image, read_controller, &r);
    image_each_configs(image, read_configs, &r);
    image_each_feature(image, read_feature, &r);
    return r.sum + image_topic_count(image) + image_partition_count(image);
}

/* Applies one record to `image`; false when it is not taken. */
static bool apply(struct image *image, struct image_delta *delta, struct wire_in *in,
                  int64_t offset)
{
    uint16_t size = wire_get_u16(in);
    const uint8_t *record = wire_get_raw(in, size);
    struct err_text text = {""};
    if (record == NULL) {
        return false;
    }
    enum err error = image_apply_record(image, delta, record, size, offset, 1, offset, &text);
    ASSERT((error == ERR_NONE) == (text.text[0] == '\0'));
    return error == ERR_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image *image = image_new();
    struct image *clones[CLONES_MAX];
    uint64_t sums[CLONES_MAX];
    int count = 0;
    struct image_delta delta = {0};
    struct wire_in in = wire_in_of(data, size);
    bool more = true;
    for (int64_t offset = 0; more && wire_in_left(&in) > 0; offset++) {
        if (count < CLONES_MAX) {
            sums[count] = read_image(image);
            clones[count++] = image_clone(image);
        }
        more = apply(image, &delta, &in, offset);
    }
    if (more) {
        struct image *same = image_clone(image);
        ASSERT(image_equal(same, image));
        ASSERT(read_image(same) == read_image(image));
        image_free(same);
    }
    image_delta_clear(&delta);
    image_free(image);
    for (int i = 0; i < count; i++) {
        ASSERT(read_image(clones[i]) == sums[i]);
        image_free(clones[i]);
    }
    return 0;
}
