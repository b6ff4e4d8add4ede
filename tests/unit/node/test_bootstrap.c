/* bootstrap.checkpoint: what a new cluster begins with, and what is refused. */
#include "broker/node/node_internal.h"
#include "tests/unit/node/desk.h"

#include "broker/metadata/record.h"
#include "common/base/mem.h"

#define FILE_PATH "/data/a/bootstrap.checkpoint"

struct start {
    struct sim *sim;
    struct sim_node *node;
    struct broker_settings *settings;
    struct broker *broker;
    bool over; /* ready or stopped */
    bool ready;
    enum broker_exit code;
    char why[512];
};

static void on_ready(void *ctx, struct broker *broker)
{
    struct start *start = ctx;
    (void)broker;
    start->over = start->ready = true;
}

static void on_stopped(void *ctx, struct broker *broker, enum broker_exit code, const char *why)
{
    struct start *start = ctx;
    (void)broker;
    start->over = true;
    start->code = code;
    snprintf(start->why, sizeof start->why, "%s", why);
}

static bool is_over(void *ctx)
{
    return ((struct start *)ctx)->over;
}

static void set(struct start *start, const char *assignment)
{
    struct err_text text;
    assert_int_equal(broker_settings_set(start->settings, assignment, &text), ERR_NONE);
}

static void start_with(struct start *start, const void *file, size_t size)
{
    struct sim_options options = {.seed = 3};
    struct err_text text;
    *start = (struct start){.sim = sim_new(&options)};
    start->node = sim_node_new(start->sim, "one", "10.0.0.1");
    start->settings = broker_settings_new();
    set(start, "log.dirs=/data/a");
    set(start, "listeners=PLAINTEXT://10.0.0.1:9092");
    assert_int_equal(broker_settings_check(start->settings, &text), ERR_NONE);
    struct broker_news news = {.ready = on_ready, .stopped = on_stopped, .ctx = start};
    for (int life = 0; life < 2; life++) {
        /* The first life makes the directory and is gone before it reads the file. */
        start->broker = broker_start(sim_node_env(start->node), start->settings, &news);
        if (life == 0) {
            sim_run_until(start->sim, is_over, start, 20000, 0);
            sim_node_crash(start->node, SIM_KILL);
            broker_free(start->broker);
            sim_disk_remove(start->node, "/data/a/__cluster_metadata-0");
            sim_node_restart(start->node);
            sim_disk_put(start->node, FILE_PATH, file, size);
            start->over = start->ready = false;
        }
    }
    assert_true(sim_run_until(start->sim, is_over, start, 20000, 0));
}

static void end(struct start *start)
{
    sim_node_crash(start->node, SIM_KILL);
    broker_free(start->broker);
    broker_settings_free(start->settings);
    sim_free(start->sim);
}

/* A file as Kafka's BatchFileWriter makes it. */
static void put_batch(struct bytes *file, int64_t *offset, bool control,
                      const struct record_list *records)
{
    struct batch_builder b;
    struct err_text text;
    static const uint8_t key[4] = {0, 0, 0, CONTROL_SNAPSHOT_HEADER};
    static const uint8_t header[11] = {0};
    batch_builder_init(&b);
    b.base_offset = *offset;
    b.leader_epoch = 0;
    b.flags = control ? BATCH_CONTROL : 0;
    if (control) {
        batch_builder_add(&b, 5, (struct wire_bytes){key, sizeof key},
                          (struct wire_bytes){header, sizeof header}, NULL, 0);
    }
    for (size_t i = 0; !control && i < records->count; i++) {
        batch_builder_add(&b, 5, (struct wire_bytes){NULL, -1}, record_list_at(records, i), NULL,
                          0);
    }
    *offset += b.count;
    assert_int_equal(batch_build(&b, file, &text), ERR_NONE);
    batch_builder_free(&b);
}

static struct bytes file_of(const char *feature, int16_t level)
{
    struct bytes file = {0};
    struct record_list records = {0};
    struct feature_level_record record;
    int64_t offset = 0;
    wire_defaults(&wire_feature_level_record, &record);
    record.name = wire_str(feature);
    record.feature_level = level;
    record_list_add(&records, RECORD_FEATURE_LEVEL, 0, &record);
    put_batch(&file, &offset, true, NULL);
    put_batch(&file, &offset, false, &records);
    record_list_free(&records);
    return file;
}

static void a_cluster_begins_with_what_was_ordered(void **state)
{
    (void)state;
    struct start start;
    struct bytes file = file_of("metadata.version", 25);
    start_with(&start, file.data, file.size);
    assert_true(start.ready);
    assert_int_equal(image_feature_level(start.broker->image, "metadata.version"), 25);
    end(&start);
    bytes_free(&file);
}

static void refuse(const void *file, size_t size, const char *word)
{
    struct start start;
    start_with(&start, file, size);
    assert_false(start.ready);
    assert_int_equal(start.code, BROKER_EXIT_REFUSED);
    assert_non_null(strstr(start.why, FILE_PATH));
    assert_non_null(strstr(start.why, word));
    end(&start);
}

static void what_cannot_be_done_is_refused(void **state)
{
    (void)state;
    struct bytes file = file_of("metadata.version", 31);
    refuse(file.data, file.size, "metadata.version at 31");
    bytes_free(&file);
    file = file_of("metadata.version", 16);
    refuse(file.data, file.size, "metadata.version at 16");
    refuse(file.data, file.size - 1, "cut off");
    file.data[file.size - 1] ^= 1;
    refuse(file.data, file.size, "corrupt");
    bytes_free(&file);
    file = file_of("no.such.version", 1);
    refuse(file.data, file.size, "metadata.version");
    bytes_free(&file);
    refuse("", 0, "metadata.version");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_begins_with_what_was_ordered),
        cmocka_unit_test(what_cannot_be_done_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
