/* log_import DIR TOPIC PARTITION: opens a partition of a log directory that another program wrote,
 * Apache Kafka say, on a simulated disk, and reads all of it. Prints
 * "START END RECORDS RECOVERED_BYTES CUT_BYTES". Exit: 0, or 1 with words. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/log/log.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "tests/sim/env/sim.h"

#define HERE "/data/logs"

static struct log_opened opened;
static bool dir_opened;
static bool log_came;
static bool read_came;

static void on_dir(void *ctx, struct log_dir *dir, const struct log_dir_found *found)
{
    (void)ctx;
    (void)dir;
    dir_opened = true;
    if (found->error != ERR_NONE) {
        fprintf(stderr, "%s\n", found->text.text);
        exit(1);
    }
}

static void on_log(void *ctx, struct log *log, const struct log_opened *how)
{
    (void)ctx;
    (void)log;
    opened = *how;
    log_came = true;
}

static void on_news(void *ctx, struct log *log)
{
    (void)ctx;
    (void)log;
}

static void on_failed(void *ctx, struct log *log, enum err error, const struct err_text *text)
{
    (void)ctx;
    (void)log;
    (void)error;
    fprintf(stderr, "%s\n", text->text);
}

static void on_read(struct log_read *read)
{
    (void)read;
    read_came = true;
}

static bool is_set(void *ctx)
{
    return *(const bool *)ctx;
}

static void copy_file(struct sim_node *node, const char *from, const char *to)
{
    FILE *file = fopen(from, "rb");
    struct stat st;
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        perror(from);
        exit(1);
    }
    uint8_t *data = mem_alloc((size_t)st.st_size + 1);
    size_t size = fread(data, 1, (size_t)st.st_size, file);
    sim_disk_put(node, to, data, size);
    mem_free(data);
    fclose(file);
}

/* The plain files of a directory. */
static void copy_dir(struct sim_node *node, const char *from, const char *to)
{
    DIR *dir = opendir(from);
    if (dir == NULL) {
        perror(from);
        exit(1);
    }
    sim_disk_mkdir(node, to);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char source[4096];
        char target[4096];
        struct stat st;
        snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        if (stat(source, &st) == 0 && S_ISREG(st.st_mode)) {
            copy_file(node, source, target);
        }
    }
    closedir(dir);
}

/* Records from `at` on; -1 when a batch is not right. */
static int64_t count_records(struct sim *sim, struct log *log, int64_t at)
{
    int64_t records = 0;
    while (at < log_end(log)) {
        struct log_read read = {.offset = at,
                                .limit_offset = log_end(log),
                                .max_bytes = 100000,
                                .whole_first = true,
                                .want_bytes = true,
                                .done = on_read};
        read_came = log_read(log, &read);
        (void)sim_run_until(sim, is_set, &read_came, 60000, 0);
        env_file_unref(read.file);
        if (read.error != ERR_NONE || read.next_offset == at) {
            fprintf(stderr, "at offset %lld: %s\n", (long long)at, read.text.text);
            return -1;
        }
        for (size_t i = 0; i < read.size;) {
            struct batch batch;
            if (batch_parse(read.bytes->data + i, read.size - i, &batch, NULL) != ERR_NONE ||
                !batch_crc_ok(read.bytes->data + i, &batch)) {
                fprintf(stderr, "the batch after offset %lld is damaged\n", (long long)at);
                return -1;
            }
            records += batch.records_count;
            i += batch.size;
        }
        at = read.next_offset;
        buf_unref(read.bytes);
    }
    return records;
}

int main(int argc, char **argv)
{
    static const struct log_events events = {
        .written = on_news, .durable = on_news, .failed = on_failed};
    struct sim_options options = {.seed = 1};
    struct log_config config = log_config_default();
    struct uuid any = uuid_zero();
    char from[4096];
    char to[4096];
    if (argc != 4) {
        fprintf(stderr, "usage: log_import DIR TOPIC PARTITION\n");
        return 2;
    }
    struct sim *sim = sim_new(&options);
    struct sim_node *node = sim_node_new(sim, "one", "10.0.0.1");
    snprintf(from, sizeof from, "%s/%s-%s", argv[1], argv[2], argv[3]);
    snprintf(to, sizeof to, HERE "/%s-%s", argv[2], argv[3]);
    copy_dir(node, argv[1], HERE);
    copy_dir(node, from, to);
    struct log_dir *dir = log_dir_open(sim_node_env(node), HERE, on_dir, NULL);
    (void)sim_run_until(sim, is_set, &dir_opened, 60000, 0);
    struct log *log = log_open(dir, argv[2], atoi(argv[3]), &any, &config, ENV_WORKER_APPEND,
                               ENV_WORKER_COMMIT, &events, on_log, NULL);
    (void)sim_run_until(sim, is_set, &log_came, 60000, 0);
    int64_t records = -1;
    if (!log_came || opened.error != ERR_NONE) {
        fprintf(stderr, "%s\n", opened.text.text);
    } else {
        records = count_records(sim, log, log_start(log));
        printf("%lld %lld %lld %lld %lld\n", (long long)log_start(log), (long long)log_end(log),
               (long long)records, (long long)opened.recovered_bytes, (long long)opened.cut_bytes);
    }
    sim_node_crash(node, SIM_KILL);
    log_free(log);
    log_dir_free(dir);
    sim_free(sim);
    return records < 0;
}
