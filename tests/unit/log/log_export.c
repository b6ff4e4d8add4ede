/* log_export DIR [compacted]: writes the log directory of a short life into DIR, which must exist,
 * for Kafka's own tools to read: several segments, compressed batches, idempotent producers,
 * epochs, a truncation; or of a compacted log's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/log/rig.h"

static void export_file(void *ctx, const char *path, const uint8_t *data, size_t size)
{
    char to[4096];
    const char *name = path + strlen("/data/logs");
    snprintf(to, sizeof to, "%s%s", (const char *)ctx, name);
    for (char *slash = strchr(to + strlen(ctx) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(to, 0700);
        *slash = '/';
    }
    FILE *file = fopen(to, "wb");
    if (file == NULL) {
        perror(to);
        return;
    }
    if (size > 0) {
        (void)fwrite(data, 1, size, file);
    }
    (void)fclose(file);
}

int main(int argc, char **argv)
{
    bool compacted = argc == 3 && strcmp(argv[2], "compacted") == 0;
    if (argc != 2 && !compacted) {
        fprintf(stderr, "usage: log_export DIR [compacted]\n");
        return 2;
    }
    struct rig *r = rig_new(11);
    r->config.segment_bytes = 60000;
    r->config.index_interval_bytes = 4096;
    r->keyed = compacted;
    r->tombstones_may_go = compacted;
    r->config.compacted = compacted;
    r->config.min_cleanable_dirty_ratio = 0.01;
    r->config.delete_retention_ms = 50000;
    bool good = rig_open(r);
    log_begin_epoch(r->log, 0);
    for (int i = 0; good && i < 900; i++) {
        int producer = (int)rng_below(&r->rng, RIG_PRODUCERS + 1) - 1;
        good =
            rig_append(r, 1 + (int)rng_below(&r->rng, 5), rng_below(&r->rng, 400), producer) == 0;
        good = good && (i % 10 != 0 || rig_run(r, (int64_t)rng_below(&r->rng, 100)));
        if (compacted && i % 300 == 299) {
            good = good && rig_wait_durable(r);
            log_note_high_watermark(r->log, log_end(r->log));
            good = good && rig_run(r, 80000) && rig_check_compacted(r);
        } else if (i == 500) {
            rig_truncate(r, r->model.items[r->model.count - 60].base);
            good = good && rig_run(r, 1000);
        }
    }
    log_note_high_watermark(r->log, log_end(r->log));
    good = good && rig_wait_durable(r) && rig_run(r, 70000) &&
           (compacted ? rig_check_compacted(r) : rig_check_exact(r)) && rig_close(r);
    sim_disk_walk(r->node, "/data/logs", export_file, argv[1]);
    rig_free(r);
    return good ? 0 : 1;
}
