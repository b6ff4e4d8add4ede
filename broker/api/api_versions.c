/* ApiVersions (KIP-35, KIP-511, KIP-584): what this listener serves, and the finalized features.
 *
 * The one API that answers a version it does not know: in version 0, with UNSUPPORTED_VERSION and
 * its own range, so that a newer client can come down. A feature whose range begins at 0 is left
 * out for clients below version 4, which cannot read it (KAFKA-17011). */
#include "broker/api/handlers.h"
#include "common/base/assert.h"

static void fill_ranges(struct request *request, struct api_versions_response *response)
{
    int count = 0;
    const struct api_row *rows = api_table(&count);
    API_ARRAY(request, response->api_keys, count);
    response->api_keys.count = 0;
    for (int i = 0; i < count; i++) {
        if (!(rows[i].listeners & (int)request->listener)) {
            continue;
        }
        const struct wire_api *api = wire_api_of(rows[i].key);
        ASSERT(api != NULL);
        int32_t n = response->api_keys.count++;
        response->api_keys.items[n].api_key = api->key;
        response->api_keys.items[n].min_version = wire_api_advertised_min(api);
        response->api_keys.items[n].max_version = wire_api_advertised_max(api);
    }
}

struct feature_fill {
    struct request *request;
    struct api_versions_response *response;
};

enum { FEATURES_MAX = 16 };

static bool add_finalized(void *ctx, const struct image_feature *feature)
{
    struct feature_fill *fill = ctx;
    if (fill->response->finalized_features.count == FEATURES_MAX) {
        return false;
    }
    int32_t n = fill->response->finalized_features.count++;
    fill->response->finalized_features.items[n].name =
        wire_str(arena_strdup(&fill->request->arena, feature->name));
    fill->response->finalized_features.items[n].max_version_level = feature->level;
    fill->response->finalized_features.items[n].min_version_level = feature->level;
    return true;
}

static void fill_features(struct request *request, struct api_versions_response *response)
{
    const struct image_broker *self = image_broker(request->api->image, request->api->broker_id);
    int32_t known = self != NULL ? self->feature_count : 0;
    API_ARRAY(request, response->supported_features, known);
    response->supported_features.count = 0;
    for (int32_t i = 0; i < known; i++) {
        if (self->features[i].min == 0 && request->header.api_version < 4) {
            continue;
        }
        int32_t n = response->supported_features.count++;
        response->supported_features.items[n].name =
            wire_str(arena_strdup(&request->arena, self->features[i].name));
        response->supported_features.items[n].min_version = self->features[i].min;
        response->supported_features.items[n].max_version = self->features[i].max;
    }
    API_ARRAY(request, response->finalized_features, FEATURES_MAX);
    response->finalized_features.count = 0;
    struct feature_fill fill = {request, response};
    image_each_feature(request->api->image, add_finalized, &fill);
    response->finalized_features_epoch = image_offset(request->api->image);
}

void api_api_versions(struct request *request)
{
    struct api_versions_response *response = api_response(request);
    if (request->unsupported_version) {
        const struct wire_api *api = wire_api_of(WIRE_API_VERSIONS);
        response->error_code = KAFKA_UNSUPPORTED_VERSION;
        API_ARRAY(request, response->api_keys, 1);
        response->api_keys.items[0].api_key = WIRE_API_VERSIONS;
        response->api_keys.items[0].min_version = wire_api_advertised_min(api);
        response->api_keys.items[0].max_version = wire_api_advertised_max(api);
    } else {
        fill_ranges(request, response);
        fill_features(request, response);
    }
    request_respond(request, response);
}
