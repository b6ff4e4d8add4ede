#include "broker/settings/broker_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Sets, then checks; NULL ends the assignments. */
static enum err build(struct broker_settings *bs, const char *const *assignments,
                      struct err_text *text)
{
    for (; *assignments != NULL; assignments++) {
        enum err error = broker_settings_set(bs, *assignments, text);
        if (error != ERR_NONE) {
            return error;
        }
    }
    return broker_settings_check(bs, text);
}

#define BUILD(bs, text, ...) build((bs), (const char *const[]){__VA_ARGS__, NULL}, (text))

static void defaults(void **state)
{
    (void)state;
    struct broker_settings *bs = broker_settings_new();
    struct err_text text = {""};
    assert_int_equal(broker_settings_check(bs, &text), ERR_NONE);
    assert_int_equal(bs->node_id, 1);
    assert_int_equal(bs->roles, BROKER_ROLE_BROKER | BROKER_ROLE_CONTROLLER);
    assert_int_equal(bs->listeners.count, 2);
    assert_string_equal(bs->listeners.items[0].host, "127.0.0.1");
    assert_int_equal(bs->advertised.count, 1);
    assert_int_equal(bs->advertised.items[0].port, 9092);
    assert_string_equal(bs->inter_broker_listener, "PLAINTEXT");
    assert_int_equal(bs->voters.count, 1);
    assert_int_equal(bs->voters.items[0].id, 1);
    assert_int_equal(bs->voters.items[0].port, 9093);
    assert_int_equal(bs->log_dirs.count, 1);
    assert_string_equal(bs->log_dirs.items[0], "./barnabas-data");
    assert_string_equal(bs->metadata_log_dir, "./barnabas-data");
    assert_string_equal(bs->cluster_id, "");
    assert_int_equal(settings_long(bs->values, "log.flush.interval.messages"), 1);
    assert_int_equal(settings_int(bs->values, "offsets.topic.num.partitions"), 50);
    broker_settings_free(bs);
}

static void one_listener_needs_no_controller(void **state)
{
    (void)state;
    struct broker_settings *bs = broker_settings_new();
    struct err_text text = {""};
    assert_int_equal(BUILD(bs, &text, "listeners=PLAINTEXT://127.0.0.1:9192", "node.id=7"),
                     ERR_NONE);
    assert_int_equal(bs->listeners.count, 1);
    assert_int_equal(bs->controller_listeners.count, 0);
    assert_int_equal(bs->voters.count, 1);
    assert_int_equal(bs->voters.items[0].id, 7);
    assert_int_equal(bs->voters.items[0].port, 0);
    /* The same store may be checked again after more is set. */
    assert_int_equal(BUILD(bs, &text, "listeners=PLAINTEXT://127.0.0.1:9192,RAFT://127.0.0.1:1",
                           "controller.listener.names=RAFT", "broker.id=7"),
                     ERR_NONE);
    assert_int_equal(bs->voters.items[0].port, 1);
    assert_int_equal(bs->advertised.count, 1);
    assert_true(broker_settings_is_controller_listener(bs, "raft"));
    broker_settings_free(bs);
}

static void a_file_of_three(void **state)
{
    (void)state;
    static const char file[] = "# node 2 of three\n"
                               "[node]\n"
                               "node.id = 2\n"
                               "controller.quorum.voters = 1@a:9093,\n"
                               "    2@b:9093\n"
                               "    3@c:9093\n"
                               "[net]\r\n"
                               "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\r\n"
                               "advertised.listeners=PLAINTEXT://b.example:9092\n"
                               "[disk]\n"
                               "log.dirs = /d1, /d2\n"
                               "num.io.threads = 8\n"
                               "ssl.keystore.password = hush\n";
    struct broker_settings *bs = broker_settings_new();
    struct err_text text = {""};
    assert_int_equal(broker_settings_load(bs, "conf/b.ini", file, sizeof file - 1, &text),
                     ERR_NONE);
    assert_int_equal(broker_settings_check(bs, &text), ERR_NONE);
    assert_int_equal(bs->voters.count, 3);
    assert_string_equal(bs->advertised.items[0].host, "b.example");
    assert_string_equal(bs->advertised_controllers.items[0].host, "b");
    assert_int_equal(bs->log_dirs.count, 2);
    assert_string_equal(bs->log_dirs.items[1], "/d2");
    assert_string_equal(settings_origin(bs->values, "log.dirs"), "conf/b.ini:11");
    broker_settings_free(bs);
}

static void keep_line(void *ctx, const char *line)
{
    char *to = ctx;
    strncat(to, line, 900);
    strcat(to, "\n");
}

static void warnings_name_what_has_no_effect(void **state)
{
    (void)state;
    struct broker_settings *bs = broker_settings_new();
    struct err_text text = {""};
    static const char file[] = "num.partitions=3\n\nnum.io.threads=8\n"
                               "listener.name.in.out.ssl.key.password=hush\n";
    assert_int_equal(broker_settings_load(bs, "b.ini", file, sizeof file - 1, &text), ERR_NONE);
    char lines[2048] = "";
    broker_settings_warnings(bs, keep_line, lines);
    assert_string_equal(lines,
                        "b.ini:3: num.io.threads is known and has no effect in this version of "
                        "Barnabas\n"
                        "b.ini:4: ssl.key.password for one listener is known and has no effect in "
                        "this version of Barnabas\n");
    assert_int_equal(broker_settings_set(bs, "listener.name.x.num.partitions=1", &text),
                     ERR_NOT_FOUND);
    assert_int_equal(broker_settings_set(bs, "listener.name.x.ssl.client.auth=maybe", &text),
                     ERR_INVALID);
    broker_settings_free(bs);
}

static const struct {
    const char *set[4];
    const char *text;
} WRONG[] = {
    {{"log.segment.bytes=abc"},
     "--set: log.segment.bytes: 'abc' is not a number (expected 1048576..2147483647 bytes)"},
    {{"log.segmnt.bytes=1"},
     "--set: unknown setting 'log.segmnt.bytes': did you mean "
     "'log.segment.bytes'?"},
    {{"nonsense"}, "--set nonsense: expected KEY=VALUE"},
    {{"process.roles="},
     "--set: process.roles: no role is given (expected broker, controller or "
     "both)"},
    {{"process.roles=broker,king"},
     "--set: process.roles: 'king' is not a valid item (expected a "
     "list of broker, controller)"},
    {{"node.id=2", "broker.id=3"}, "--set: broker.id: 3 differs from node.id 2: remove broker.id"},
    {{"cluster.id=a b"},
     "--set: cluster.id: 'a b' is not an id (expected up to 63 characters "
     "without blanks, '=', '#' and '!')"},
    {{"listeners=PLAINTEXT://:9092"},
     "--set: listeners: PLAINTEXT listens on every interface, and others must be told one address: "
     "set advertised.listeners=PLAINTEXT://HOST:9092"},
    {{"listeners=PLAINTEXT://a:1", "advertised.listeners=PLAINTEXT://0.0.0.0:1"},
     "--set: advertised.listeners: PLAINTEXT: '0.0.0.0' is no address others can connect to: name "
     "a host"},
    {{"listeners=SSL://a:1"},
     "--set: listeners: listener SSL speaks SSL, and this version of "
     "Barnabas speaks PLAINTEXT only"},
    {{"listeners=PLAINTEXT://a:1,CONTROLLER://a:1"},
     "--set: listeners: PLAINTEXT and CONTROLLER share port 1: give each its own"},
    {{"listeners=CONTROLLER://a:1"},
     "--set: listeners: a broker needs a listener for clients: add PLAINTEXT://HOST:PORT"},
    {{"listeners="}, "--set: listeners: no listener is given (expected NAME://HOST:PORT)"},
    {{"process.roles=broker"},
     "default: listeners: a node that is only a broker has no controller "
     "listener: remove CONTROLLER"},
    {{"process.roles=broker", "listeners=PLAINTEXT://a:1"},
     "default: controller.quorum.voters: a node that is only a broker must know the controllers: "
     "set controller.quorum.voters=ID@HOST:PORT,..."},
    {{"process.roles=controller"},
     "default: listeners: a node that is only a controller has no listener for clients: leave "
     "those named in controller.listener.names"},
    {{"listeners=PLAINTEXT://a:1", "controller.listener.names=RAFT"},
     "--set: controller.listener.names: RAFT is not among listeners: add RAFT://HOST:PORT there"},
    {{"listeners=PLAINTEXT://a:1", "controller.quorum.voters=1@a:2,2@b:2"},
     "--set: listeners: a controller that others must reach needs a listener: add "
     "CONTROLLER://HOST:PORT"},
    {{"node.id=4", "controller.quorum.voters=1@a:2,2@b:2"},
     "--set: controller.quorum.voters: node 4 is a controller but not among the voters: add it"},
    {{"inter.broker.listener.name=X"},
     "--set: inter.broker.listener.name: no listener for clients is called X: set "
     "inter.broker.listener.name to one that is"},
    {{"log.dirs=/a,/a"}, "--set: log.dirs: /a is given twice"},
    {{"log.dir="}, "--set: log.dir: no data directory is given"},
    {{"broker.session.timeout.ms=3000"},
     "default: broker.heartbeat.interval.ms: 2000 is more than half of broker.session.timeout.ms "
     "(3000) allows"},
    {{"default.replication.factor=0"},
     "--set: default.replication.factor: 0 is out of range (expected 1 or more)"},
    {{"log.retention.ms=0"},
     "--set: log.retention.ms: 0 is out of range (expected 1 or more, or -1 for ever)"},
    {{"log.roll.ms=0"}, "--set: log.roll.ms: 0 is out of range (expected 1 or more)"},
};

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        struct broker_settings *bs = broker_settings_new();
        struct err_text text = {""};
        assert_int_not_equal(build(bs, WRONG[i].set, &text), ERR_NONE);
        assert_string_equal(text.text, WRONG[i].text);
        broker_settings_free(bs);
    }
}

static void views(void **state)
{
    (void)state;
    struct broker_settings *bs = broker_settings_new();
    struct err_text text = {""};
    assert_int_equal(BUILD(bs, &text, "ssl.key.password=hush", "num.partitions=3"), ERR_NONE);
    struct config_view view;
    size_t count = 0;
    char before[128] = "";
    while (broker_config_at(bs, count, &view)) {
        assert_true(strcmp(before, view.name) < 0);
        assert_true(strlen(view.doc) > 10 && view.doc[strlen(view.doc) - 1] == '.');
        snprintf(before, sizeof before, "%s", view.name);
        count++;
    }
    assert_in_range(count, 300, 400);
    assert_true(broker_config_find(bs, "ssl.key.password", &view));
    assert_true(view.sensitive);
    assert_null(view.value);
    assert_null(view.synonyms[0].value);
    assert_true(broker_config_find(bs, "num.partitions", &view));
    assert_string_equal(view.value, "3");
    assert_int_equal(view.source, CONFIG_SOURCE_STATIC_BROKER);
    assert_int_equal(view.type, 3);
    assert_true(view.read_only);
    assert_int_equal(view.synonym_count, 2);
    assert_string_equal(view.synonyms[1].value, "1");
    assert_int_equal(view.synonyms[1].source, CONFIG_SOURCE_DEFAULT);
    assert_true(broker_config_find(bs, "log.roll.ms", &view));
    assert_null(view.value);
    assert_int_equal(view.synonym_count, 0);
    assert_false(view.read_only);
    assert_false(broker_config_find(bs, "no.such", &view));
    broker_settings_free(bs);
}

static void count_line(void *ctx, const char *line)
{
    assert_true(strlen(line) <= 200);
    ++*(int *)ctx;
}

static void help_lists_the_table(void **state)
{
    (void)state;
    struct broker_settings *bs = broker_settings_new();
    int live = 0;
    int all = 0;
    broker_settings_help(bs, false, count_line, &live);
    broker_settings_help(bs, true, count_line, &all);
    assert_true(live > 100);
    assert_true(all > 3 * live);
    broker_settings_free(bs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(one_listener_needs_no_controller),
        cmocka_unit_test(a_file_of_three),
        cmocka_unit_test(warnings_name_what_has_no_effect),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(views),
        cmocka_unit_test(help_lists_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
