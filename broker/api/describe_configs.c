/* DescribeConfigs (KIP-133, KIP-226, KIP-569): values, where they come from, and what they mean. */
#include <stdlib.h>
#include <string.h>

#include "broker/api/handlers.h"
#include "common/base/assert.h"

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum { CONFIGS_MAX = 512 }; /* rows of the larger table; ASSERTed below */

struct topic_override {
    const struct image *image;
    const char *topic;
};

static const char *override_of(void *ctx, const char *name)
{
    const struct topic_override *from = ctx;
    return image_config_value(from->image, IMAGE_RESOURCE_TOPIC, from->topic, name);
}

static bool asked_for(const struct describe_configs_request_resource *asked, const char *name)
{
    for (int32_t i = 0; i < asked->configuration_keys.count; i++) {
        if (wire_str_is(asked->configuration_keys.items[i], name)) {
            return true;
        }
    }
    return asked->configuration_keys.count < 0;
}

static void add(struct request *request, struct describe_configs_response_result *result,
                const struct config_view *view)
{
    const struct describe_configs_request *body = request->body;
    ASSERT(result->configs.count < CONFIGS_MAX);
    __typeof__(&result->configs.items[0]) out = &result->configs.items[result->configs.count++];
    out->name = wire_str(view->name);
    out->value = wire_str(view->value);
    out->read_only = view->read_only;
    out->config_source = (int8_t)view->source;
    out->is_sensitive = view->sensitive;
    out->config_type = view->type;
    out->documentation = body->include_documentation ? wire_str(view->doc) : WIRE_STR_NULL;
    int count = body->include_synonyms ? view->synonym_count : 0;
    API_ARRAY(request, out->synonyms, count);
    for (int i = 0; i < count; i++) {
        out->synonyms.items[i].name = wire_str(view->synonyms[i].name);
        out->synonyms.items[i].value = wire_str(view->synonyms[i].value);
        out->synonyms.items[i].source = (int8_t)view->synonyms[i].source;
    }
}

/* Everything is told once: a resource named again and again would be copied each time. */
static bool told(struct request *request, struct api_seen **seen, const void *what,
                 struct describe_configs_response_result *result)
{
    if (!api_seen(request, seen, what)) {
        return false;
    }
    result->error_code = KAFKA_INVALID_REQUEST;
    result->error_message = wire_str("the resource is named twice in the request");
    return true;
}

static void describe_topic(struct request *request, struct api_seen **seen,
                           const struct describe_configs_request_resource *asked,
                           struct describe_configs_response_result *result)
{
    const struct image_topic *topic = api_topic(request->api->image, asked->resource_name, NULL);
    if (topic == NULL) {
        bool valid = api_topic_name_valid(asked->resource_name);
        result->error_code =
            valid ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_INVALID_TOPIC_EXCEPTION;
        return;
    }
    if (told(request, seen, topic, result)) {
        return;
    }
    struct topic_override from = {request->api->image, topic->name};
    struct config_view view;
    for (size_t i = 0; topic_config_at(request->api->settings, i, override_of, &from, &view); i++) {
        if (asked_for(asked, view.name)) {
            add(request, result, &view);
        }
    }
}

/* What was set for all brokers while they run: only that, as Kafka has it. */
static void describe_cluster_default(struct request *request, struct api_seen **seen,
                                     const struct describe_configs_request_resource *asked,
                                     struct describe_configs_response_result *result)
{
    struct config_view view;
    if (told(request, seen, request->api->settings->values, result)) {
        return;
    }
    for (size_t i = 0; cluster_config_at(request->api->settings, i, &view); i++) {
        if (asked_for(asked, view.name)) {
            add(request, result, &view);
        }
    }
}

static void describe_broker(struct request *request, struct api_seen **seen,
                            const struct describe_configs_request_resource *asked,
                            struct describe_configs_response_result *result)
{
    char *name = wire_str_dup(&request->arena, asked->resource_name);
    if (name == NULL || name[0] == '\0') {
        describe_cluster_default(request, seen, asked, result);
        return;
    }
    char *end = NULL;
    long id = strtol(name, &end, 10);
    if (*end != '\0' || id != request->api->broker_id) {
        result->error_code = KAFKA_INVALID_REQUEST;
        result->error_message = wire_str(arena_printf(
            &request->arena, "Unexpected broker id, expected %d or empty string, but received %.*s",
            request->api->broker_id, (int)API_SHOWN_MAX, name));
        return;
    }
    if (told(request, seen, request->api->settings, result)) {
        return;
    }
    struct config_view view;
    for (size_t i = 0; broker_config_at(request->api->settings, i, &view); i++) {
        if (asked_for(asked, view.name)) {
            add(request, result, &view);
        }
    }
}

void api_describe_configs(struct request *request)
{
    const struct describe_configs_request *body = request->body;
    struct describe_configs_response *response = api_response(request);
    int32_t count = body->resources.count > 0 ? body->resources.count : 0;
    API_ARRAY(request, response->results, count);
    struct api_seen *seen = NULL;
    struct describe_configs_response_config *rows =
        arena_array(&request->arena, CONFIGS_MAX, sizeof *rows);
    for (int32_t i = 0; i < count; i++) {
        struct describe_configs_response_result *result = &response->results.items[i];
        result->resource_type = body->resources.items[i].resource_type;
        result->resource_name = body->resources.items[i].resource_name;
        result->error_message = WIRE_STR_NULL;
        result->configs.items = rows;
        result->configs.count = 0;
        if (result->resource_type == RESOURCE_TOPIC) {
            describe_topic(request, &seen, &body->resources.items[i], result);
        } else if (result->resource_type == RESOURCE_BROKER) {
            describe_broker(request, &seen, &body->resources.items[i], result);
        } else {
            result->error_code = KAFKA_INVALID_REQUEST;
            result->error_message = wire_str(arena_printf(
                &request->arena, "resource type %d is not served", result->resource_type));
        }
        int32_t described = result->configs.count;
        API_ARRAY(request, result->configs, described);
        memcpy(result->configs.items, rows, (size_t)described * sizeof *rows);
    }
    api_seen_free(&seen);
    request_respond(request, response);
}
