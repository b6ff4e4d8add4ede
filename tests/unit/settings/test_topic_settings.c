#include "broker/settings/broker_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct pair {
    const char *name;
    const char *value;
};

/* ctx: an array of pairs that ends with a NULL name. */
static const char *find_pair(void *ctx, const char *name)
{
    for (const struct pair *p = ctx; p->name != NULL; p++) {
        if (strcmp(p->name, name) == 0) {
            return p->value;
        }
    }
    return NULL;
}

static void defaults_are_kafkas_but_flush(void **state)
{
    (void)state;
    struct broker_settings *bs = broker_settings_new();
    struct topic_settings t = topic_settings_resolve(bs, NULL, NULL);
    assert_true(t.cleanup_delete);
    assert_false(t.cleanup_compact);
    assert_int_equal(t.flush_messages, 1);
    assert_int_equal(t.flush_ms, INT64_MAX);
    assert_int_equal(t.retention_ms, 604800000);
    assert_int_equal(t.retention_bytes, -1);
    assert_int_equal(t.segment_ms, 604800000);
    assert_int_equal(t.segment_bytes, 1 << 30);
    assert_int_equal(t.segment_index_bytes, 10 << 20);
    assert_int_equal(t.max_message_bytes, 1048588);
    assert_int_equal(t.min_insync_replicas, 1);
    assert_int_equal(t.file_delete_delay_ms, 60000);
    assert_int_equal(t.message_timestamp_after_max_ms, 3600000);
    assert_false(t.log_append_time);
    assert_false(t.unclean_leader_election_enable);
    broker_settings_free(bs);
}

static void broker_then_topic(void **state)
{
    (void)state;
    struct broker_settings *bs = broker_settings_new();
    struct err_text text = {""};
    static const char *const sets[] = {"log.retention.hours=2", "log.segment.bytes=2097152",
                                       "log.cleanup.policy=compact", "log.roll.hours=3"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(broker_settings_set(bs, sets[i], &text), ERR_NONE);
    }
    assert_int_equal(broker_settings_check(bs, &text), ERR_NONE);
    struct pair own[] = {{"segment.bytes", " 3145728 "},
                         {"cleanup.policy", "compact, delete"},
                         {"retention.bytes", "many"},
                         {"message.timestamp.type", "LogAppendTime"},
                         {"flush.messages", "9223372036854775807"},
                         {NULL, NULL}};
    struct topic_settings t = topic_settings_resolve(bs, find_pair, own);
    assert_int_equal(t.segment_bytes, 3145728);
    assert_true(t.cleanup_delete && t.cleanup_compact);
    assert_int_equal(t.retention_ms, 7200000);
    assert_int_equal(t.segment_ms, 10800000);
    assert_int_equal(t.retention_bytes, -1); /* 'many' is no number: not given */
    assert_true(t.log_append_time);
    assert_int_equal(t.flush_messages, INT64_MAX);
    assert_string_equal(topic_setting_default(bs, "retention.ms"), "7200000");
    /* minutes win over hours, ms over minutes; -1 has no unit */
    assert_int_equal(broker_settings_set(bs, "log.retention.minutes=-1", &text), ERR_NONE);
    assert_int_equal(broker_settings_check(bs, &text), ERR_NONE);
    assert_string_equal(topic_setting_default(bs, "retention.ms"), "-1");
    assert_int_equal(broker_settings_set(bs, "log.retention.ms=5", &text), ERR_NONE);
    assert_int_equal(broker_settings_check(bs, &text), ERR_NONE);
    assert_string_equal(topic_setting_default(bs, "retention.ms"), "5");
    broker_settings_free(bs);
}

static void judging(void **state)
{
    (void)state;
    struct broker_settings *bs = broker_settings_new();
    struct err_text text = {""};
    assert_int_equal(topic_setting_check(bs, "retention.ms", "-1", &text), ERR_NONE);
    assert_int_equal(topic_setting_check(bs, "cleanup.policy", "compact,delete", &text), ERR_NONE);
    assert_int_equal(topic_setting_check(bs, "retention.ms", "-2", &text), ERR_INVALID);
    assert_string_equal(text.text, "retention.ms: '-2' is out of range (expected "
                                   "-1..9223372036854775807 ms)");
    assert_int_equal(topic_setting_check(bs, "retention.msec", "1", &text), ERR_NOT_FOUND);
    assert_string_equal(text.text,
                        "unknown topic setting 'retention.msec': did you mean 'retention.ms'?");
    assert_int_equal(topic_setting_check(bs, "compression.gzip.level", "0", &text), ERR_INVALID);
    assert_int_equal(broker_setting_check(bs, "num.partitions", "0", &text), ERR_INVALID);
    assert_true(topic_setting_is_list(bs, "cleanup.policy"));
    assert_false(topic_setting_is_list(bs, "retention.ms"));
    assert_true(broker_setting_is_list(bs, "listeners"));
    assert_null(topic_setting_default(bs, "no.such"));
    size_t count = 0;
    while (topic_setting_name_at(bs, count) != NULL) {
        count++;
    }
    assert_int_equal(count, 33); /* LogConfig's 34 without internal.segment.bytes */
    struct topic_settings t = topic_settings_resolve(bs, NULL, NULL);
    assert_int_equal(topic_settings_check(&t, &text), ERR_NONE);
    t.min_compaction_lag_ms = 2;
    t.max_compaction_lag_ms = 1;
    assert_int_equal(topic_settings_check(&t, &text), ERR_INVALID);
    broker_settings_free(bs);
}

static void views(void **state)
{
    (void)state;
    struct broker_settings *bs = broker_settings_new();
    struct err_text text = {""};
    assert_int_equal(broker_settings_set(bs, "log.retention.minutes=1", &text), ERR_NONE);
    assert_int_equal(broker_settings_check(bs, &text), ERR_NONE);
    struct pair own[] = {{"retention.ms", "7"}, {NULL, NULL}};
    struct config_view view;
    assert_true(topic_config_find(bs, "retention.ms", find_pair, own, &view));
    assert_string_equal(view.value, "7");
    assert_int_equal(view.source, CONFIG_SOURCE_TOPIC);
    assert_int_equal(view.synonym_count, 3);
    assert_string_equal(view.synonyms[1].name, "log.retention.minutes");
    assert_int_equal(view.synonyms[1].source, CONFIG_SOURCE_STATIC_BROKER);
    assert_string_equal(view.synonyms[2].name, "log.retention.hours");
    assert_int_equal(view.synonyms[2].source, CONFIG_SOURCE_DEFAULT);
    assert_true(topic_config_find(bs, "retention.ms", NULL, NULL, &view));
    assert_string_equal(view.value, "60000");
    assert_int_equal(view.source, CONFIG_SOURCE_STATIC_BROKER);
    assert_true(topic_config_find(bs, "segment.bytes", NULL, NULL, &view));
    assert_int_equal(view.source, CONFIG_SOURCE_DEFAULT);
    assert_false(topic_config_find(bs, "no.such", NULL, NULL, &view));
    size_t count = 0;
    while (topic_config_at(bs, count, NULL, NULL, &view)) {
        assert_true(strlen(view.doc) > 10);
        count++;
    }
    assert_int_equal(count, 33);
    broker_settings_free(bs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_kafkas_but_flush),
        cmocka_unit_test(broker_then_topic),
        cmocka_unit_test(judging),
        cmocka_unit_test(views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
