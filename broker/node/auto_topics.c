/* Topics made because somebody asked for them: auto.create.topics.enable and the internal topics
 * (AutoTopicCreationManager). One CreateTopics call per name is under way at a time. */
#include <string.h>

#include "broker/node/node_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static void auto_topic_free(struct auto_topic *topic)
{
    HASH_DEL(topic->broker->auto_topics, topic);
    arena_free(&topic->arena);
    mem_free(topic->name);
    mem_free(topic);
}

static void on_created(struct api_controller_call *call)
{
    struct auto_topic *topic = call->ctx;
    const struct create_topics_response *response = call->response;
    int16_t error = response->topics.count == 1 ? response->topics.items[0].error_code : KAFKA_NONE;
    if (error != KAFKA_NONE && error != KAFKA_TOPIC_ALREADY_EXISTS) {
        struct wire_str message = response->topics.items[0].error_message;
        trace_warn(env_trace(topic->broker->env), "topic %s is not created: %s%s%.*s", topic->name,
                   kafka_error_name(error), message.size > 0 ? ": " : "",
                   message.size > 0 ? (int)message.size : 0, message.size > 0 ? message.data : "");
    }
    auto_topic_free(topic);
}

/* As set. Where nothing is, as many as there are brokers, three at the most: those registered, or
 * those still to come of a quorum whose voters are brokers as we are. */
static int16_t offsets_replication_factor(const struct broker *broker)
{
    const struct settings *values = broker->settings->values;
    int32_t wanted = settings_int(values, "offsets.topic.replication.factor");
    if (settings_is_set(values, "offsets.topic.replication.factor")) {
        return (int16_t)wanted;
    }
    size_t brokers = image_broker_count(broker->image);
    if ((broker->settings->roles & BROKER_ROLE_CONTROLLER) &&
        broker->settings->voters.count > brokers) {
        brokers = broker->settings->voters.count;
    }
    return (int16_t)(brokers < (size_t)wanted ? brokers : (size_t)wanted);
}

/* Apache Kafka's settings of the offsets topic (GroupCoordinator's offsetsTopicConfigs). */
static void fill_offsets_topic(struct broker *broker, struct auto_topic *topic,
                               struct create_topics_request_topic *out)
{
    static const char *const configs[][2] = {{"cleanup.policy", "compact"},
                                             {"compression.type", "producer"},
                                             {"segment.bytes", "104857600"}};
    enum { COUNT = sizeof configs / sizeof configs[0] };
    out->num_partitions = settings_int(broker->settings->values, "offsets.topic.num.partitions");
    out->replication_factor = offsets_replication_factor(broker);
    out->configs.count = COUNT;
    out->configs.items = arena_array(&topic->arena, COUNT, sizeof *out->configs.items);
    for (int i = 0; i < COUNT; i++) {
        out->configs.items[i].name = wire_str(configs[i][0]);
        out->configs.items[i].value = wire_str(configs[i][1]);
    }
}

void node_auto_create(void *ctx, const char *name)
{
    struct broker *broker = ctx;
    struct auto_topic *topic = NULL;
    HASH_FIND_STR(broker->auto_topics, name, topic);
    if (topic != NULL || broker->phase != BROKER_RUNNING) {
        return;
    }
    topic = mem_zalloc(sizeof *topic);
    topic->name = mem_strdup(name);
    topic->broker = broker;
    HASH_ADD_KEYPTR(hh, broker->auto_topics, topic->name, (unsigned)strlen(topic->name), topic);
    struct create_topics_request *request = arena_alloc(&topic->arena, sizeof *request);
    wire_defaults(&wire_create_topics_request, request);
    request->topics.count = 1;
    request->topics.items = arena_array(&topic->arena, 1, sizeof *request->topics.items);
    request->topics.items[0].name = wire_str(topic->name);
    request->topics.items[0].num_partitions = -1; /* KIP-464: the defaults */
    request->topics.items[0].replication_factor = -1;
    if (strcmp(name, "__consumer_offsets") == 0) {
        fill_offsets_topic(broker, topic, &request->topics.items[0]);
    }
    topic->call = (struct api_controller_call){
        .api_key = WIRE_CREATE_TOPICS,
        .api_version = wire_message_max(&wire_create_topics_request),
        .request = request,
        .response = arena_alloc(&topic->arena, sizeof(struct create_topics_response)),
        .arena = &topic->arena,
        .done = on_created,
        .ctx = topic,
    };
    node_controller_submit(broker, &topic->call);
}

void node_auto_topics_free(struct broker *broker)
{
    struct auto_topic *topic;
    struct auto_topic *next;
    HASH_ITER(hh, broker->auto_topics, topic, next)
    {
        node_controller_cancel(broker, &topic->call);
        auto_topic_free(topic);
    }
}
