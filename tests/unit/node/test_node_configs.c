/* Settings that change while the broker runs (KIP-226): of it, of all brokers, of a topic. */
#include "tests/unit/node/desk.h"

enum { TOPIC = 2, BROKER = 4, SET = 0, DELETE = 1 };

/* One setting of one resource; the error. `why` (may be NULL) must be in its words. */
static int16_t alter(struct line *l, int8_t type, const char *name, const char *key,
                     const char *value, const char *why)
{
    struct arena arena = {0};
    struct incremental_alter_configs_request *r = request_new(44, &arena);
    r->resources.items = arena_array(&arena, 1, sizeof *r->resources.items);
    r->resources.count = 1;
    r->resources.items[0].resource_type = type;
    r->resources.items[0].resource_name = wire_str(name);
    r->resources.items[0].configs.items =
        arena_array(&arena, 1, sizeof *r->resources.items[0].configs.items);
    r->resources.items[0].configs.count = 1;
    r->resources.items[0].configs.items[0].name = wire_str(key);
    r->resources.items[0].configs.items[0].value = wire_str(value);
    r->resources.items[0].configs.items[0].config_operation = value == NULL ? DELETE : SET;
    const struct incremental_alter_configs_response *out = line_ask(l, 44, 1, r, &arena);
    int16_t error = out->responses.items[0].error_code;
    struct wire_str words = out->responses.items[0].error_message;
    if (why != NULL) {
        assert_true(words.size > 0);
        assert_non_null(strstr(wire_str_dup(&arena, words), why));
    } else {
        assert_int_equal(words.size, -1);
    }
    arena_free(&arena);
    return error;
}

/* "5000@3 5000@3 9000@4": the value that holds and its source (1 the topic's, 2 this broker's, 3 of
 * all brokers, 4 from its file, 5 the default), then every synonym. */
static void shows(struct line *l, int8_t type, const char *name, const char *key,
                  const char *expected)
{
    struct arena arena = {0};
    struct wire_str keys = wire_str(key);
    struct describe_configs_request *r = request_new(WIRE_DESCRIBE_CONFIGS, &arena);
    r->resources.items = arena_array(&arena, 1, sizeof *r->resources.items);
    r->resources.count = 1;
    r->resources.items[0].resource_type = type;
    r->resources.items[0].resource_name = wire_str(name);
    r->resources.items[0].configuration_keys.items = &keys;
    r->resources.items[0].configuration_keys.count = 1;
    r->include_synonyms = true;
    const struct describe_configs_response *out = line_ask(l, WIRE_DESCRIBE_CONFIGS, 4, r, &arena);
    assert_int_equal(out->results.items[0].error_code, 0);
    char shown[300] = "";
    size_t used = 0;
    for (int32_t i = 0; i < out->results.items[0].configs.count; i++) {
        __typeof__(&out->results.items[0].configs.items[0]) config =
            &out->results.items[0].configs.items[i];
        used += (size_t)snprintf(shown + used, sizeof shown - used, "%.*s@%d", config->value.size,
                                 config->value.data, config->config_source);
        for (int32_t k = 0; k < config->synonyms.count; k++) {
            used += (size_t)snprintf(
                shown + used, sizeof shown - used, " %.*s@%d", config->synonyms.items[k].value.size,
                config->synonyms.items[k].value.data, config->synonyms.items[k].source);
        }
    }
    assert_string_equal(shown, expected);
    arena_free(&arena);
}

static int16_t produce(struct line *l, size_t size)
{
    struct arena arena = {0};
    const struct produce_response *out =
        line_ask(l, WIRE_PRODUCE, 9, produce_of(&arena, -1, size), &arena);
    int16_t error = out->responses.items[0].partition_responses.items[0].error_code;
    arena_free(&arena);
    return error;
}

void test_configs_while_running(void **state)
{
    (void)state;
    const char *more[] = {"log.retention.ms=9000", NULL};
    struct desk *d = desk_new(41, more);
    struct line *l = line_new(d);
    shows(l, TOPIC, "t", "retention.ms", "9000@4 9000@4 168@5");
    assert_int_equal(alter(l, BROKER, "", "log.retention.ms", "5000", NULL), 0);
    shows(l, BROKER, "1", "log.retention.ms", "5000@3 5000@3 9000@4");
    shows(l, BROKER, "", "log.retention.ms", "5000@3 5000@3");
    shows(l, TOPIC, "t", "retention.ms", "5000@3 5000@3 9000@4 168@5");
    assert_int_equal(alter(l, BROKER, "1", "log.retention.ms", "6000", NULL), 0);
    shows(l, TOPIC, "t", "retention.ms", "6000@2 6000@2 5000@3 9000@4 168@5");
    assert_int_equal(alter(l, TOPIC, "t", "retention.ms", "7000", NULL), 0);
    shows(l, TOPIC, "t", "retention.ms", "7000@1 7000@1 6000@2 5000@3 9000@4 168@5");
    assert_int_equal(alter(l, TOPIC, "t", "retention.ms", NULL, NULL), 0);
    assert_int_equal(alter(l, BROKER, "", "log.retention.ms", NULL, NULL), 0);
    shows(l, TOPIC, "t", "retention.ms", "6000@2 6000@2 9000@4 168@5");
    shows(l, BROKER, "", "log.retention.ms", "");
    assert_int_equal(alter(l, BROKER, "1", "log.retention.ms", NULL, NULL), 0);
    shows(l, TOPIC, "t", "retention.ms", "9000@4 9000@4 168@5");

    /* heeded at once */
    assert_int_equal(produce(l, 2000), 0);
    assert_int_equal(alter(l, BROKER, "", "message.max.bytes", "1000", NULL), 0);
    assert_int_equal(produce(l, 2000), KAFKA_MESSAGE_TOO_LARGE);
    assert_int_equal(alter(l, BROKER, "1", "message.max.bytes", "3000", NULL), 0);
    assert_int_equal(produce(l, 2000), 0);
    assert_int_equal(alter(l, BROKER, "1", "message.max.bytes", NULL, NULL), 0);
    assert_int_equal(produce(l, 2000), KAFKA_MESSAGE_TOO_LARGE);
    assert_int_equal(alter(l, BROKER, "", "message.max.bytes", NULL, NULL), 0);
    assert_int_equal(produce(l, 2000), 0);
    line_free(l);
    desk_free(d);
}

void test_configs_refused(void **state)
{
    (void)state;
    struct desk *d = desk_new(42, NULL);
    struct line *l = line_new(d);
    assert_int_equal(alter(l, BROKER, "", "num.partitions", "3", "restart it"),
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(alter(l, BROKER, "1", "num.io.threads", "3", "no effect"),
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(alter(l, BROKER, "", "log.retention.mss", "3", "did you mean"),
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(alter(l, BROKER, "", "log.retention.ms", "x", "'x' is not a number"),
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(alter(l, BROKER, "one", "log.retention.ms", "3", "not a broker id"),
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(alter(l, BROKER, "9", "log.retention.ms", "3", "not registered"),
                     KAFKA_BROKER_ID_NOT_REGISTERED);
    shows(l, BROKER, "1", "num.partitions", "1@5 1@5");
    /* what is there no more may be taken back, whoever set it */
    assert_int_equal(alter(l, BROKER, "1", "leader.replication.throttled.rate", NULL, NULL), 0);
    line_free(l);
    desk_free(d);
}

/* AlterConfigs names everything that is to be set. */
static int16_t replace(struct line *l, const char *topic, const char *key, const char *value)
{
    struct arena arena = {0};
    struct alter_configs_request *r = request_new(33, &arena);
    r->resources.items = arena_array(&arena, 1, sizeof *r->resources.items);
    r->resources.count = 1;
    r->resources.items[0].resource_type = TOPIC;
    r->resources.items[0].resource_name = wire_str(topic);
    r->resources.items[0].configs.items =
        arena_array(&arena, 1, sizeof *r->resources.items[0].configs.items);
    r->resources.items[0].configs.count = key != NULL;
    r->resources.items[0].configs.items[0].name = wire_str(key);
    r->resources.items[0].configs.items[0].value = wire_str(value);
    const struct alter_configs_response *out = line_ask(l, 33, 2, r, &arena);
    int16_t error = out->responses.items[0].error_code;
    assert_true(wire_str_is(out->responses.items[0].resource_name, topic));
    assert_int_equal(out->responses.items[0].error_message.size > 0, error != 0);
    arena_free(&arena);
    return error;
}

void test_configs_as_a_whole(void **state)
{
    (void)state;
    struct desk *d = desk_new(43, NULL);
    struct line *l = line_new(d);
    assert_int_equal(alter(l, TOPIC, "t", "retention.ms", "7000", NULL), 0);
    assert_int_equal(replace(l, "t", "flush.ms", "100"), 0);
    shows(l, TOPIC, "t", "flush.ms", "100@1 100@1 9223372036854775807@5");
    shows(l, TOPIC, "t", "retention.ms", "604800000@5 168@5");
    assert_int_equal(replace(l, "t", "flush.ms", "x"), KAFKA_INVALID_CONFIG);
    assert_int_equal(replace(l, "t", "flush.ms", NULL), KAFKA_INVALID_CONFIG);
    shows(l, TOPIC, "t", "flush.ms",
          "100@1 100@1 9223372036854775807@5"); /* nothing was taken back either */
    assert_int_equal(replace(l, "nowhere", "flush.ms", "1"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(replace(l, "t", NULL, NULL), 0);
    shows(l, TOPIC, "t", "flush.ms", "9223372036854775807@5 9223372036854775807@5");
    line_free(l);
    desk_free(d);
}
