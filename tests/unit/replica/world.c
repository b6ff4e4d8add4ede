#include "tests/unit/replica/world.h"

#include "broker/group/group.h"
#include "common/base/mem.h"

void world_run(struct world *w, int64_t for_ms)
{
    sim_run_for(w->sim, for_ms);
}

static bool is_set(void *ctx)
{
    return *(const bool *)ctx;
}

void world_wait(struct world *w, const bool *flag)
{
    bool *watched = (bool *)(uintptr_t)flag;
    assert_true(*flag || sim_run_until(w->sim, is_set, watched, 60000, 0));
}

/* ---- what the rooms ask and tell ---- */

static void topic_settings(void *ctx, const char *topic, struct replica_settings *out)
{
    struct world *w = ctx;
    out->log = log_config_default();
    out->log.file_delete_delay_ms = 10;
    out->log.timestamp_after_max_ms = INT64_MAX;
    out->log.flush_messages = strncmp(topic, "soft", 4) == 0 ? INT64_MAX : 1;
    out->min_insync_replicas = w->min_isr;
}

static void became_leader(void *ctx, struct replica *replica)
{
    struct world *w = ctx;
    w->led++;
    if (w->groups != NULL && strcmp(replica_topic(replica), "__consumer_offsets") == 0) {
        groups_lead(w->groups, replica);
    }
}

static void lost_leadership(void *ctx, const char *topic, int32_t partition, int32_t epoch)
{
    struct world *w = ctx;
    (void)epoch;
    w->lost++;
    if (w->groups != NULL && strcmp(topic, "__consumer_offsets") == 0) {
        groups_resign(w->groups, partition);
    }
}

static void settled(void *ctx)
{
    ((struct world *)ctx)->settled++;
}

/* ---- life ---- */

static void on_dir(void *ctx, struct log_dir *dir, const struct log_dir_found *found)
{
    struct world *w = ctx;
    (void)dir;
    assert_int_equal(found->error, ERR_NONE);
    w->answered = true;
}

static void on_done(void *ctx, enum err error, const struct err_text *text)
{
    (void)text;
    assert_int_equal(error, ERR_NONE);
    ((struct world *)ctx)->answered = true;
}

static void on_closed(void *ctx)
{
    ((struct world *)ctx)->answered = true;
}

void world_open(struct world *w)
{
    struct replicas_config config = {.broker_id = WORLD_BROKER,
                                     .topic_settings = topic_settings,
                                     .became_leader = became_leader,
                                     .lost_leadership = lost_leadership,
                                     .settled = settled,
                                     .ctx = w};
    w->answered = false;
    w->dir = log_dir_open(w->env, "/data/logs", on_dir, w);
    world_wait(w, &w->answered);
    if (w->next_record == 0) {
        struct log_dir_meta meta = {.cluster_id = "a-cluster", .node_id = WORLD_BROKER};
        meta.directory_id = uuid_from_number(42);
        w->answered = false;
        log_dir_format(w->dir, &meta, on_done, w);
        world_wait(w, &w->answered);
    }
    w->replicas = replicas_new(w->env, &w->dir, 1, &config);
}

void world_close(struct world *w)
{
    w->answered = false;
    replicas_close(w->replicas, on_closed, w);
    world_wait(w, &w->answered);
    replicas_free(w->replicas);
    w->replicas = NULL;
    w->answered = false;
    log_dir_close(w->dir, 1, on_done, w);
    world_wait(w, &w->answered);
    log_dir_free(w->dir);
    w->dir = NULL;
}

struct world *world_new(uint64_t seed)
{
    struct world *w = mem_zalloc(sizeof *w);
    struct sim_options options = {.seed = seed};
    w->sim = sim_new(&options);
    w->node = sim_node_new(w->sim, "one", "10.0.0.1");
    w->env = sim_node_env(w->node);
    w->image = image_new();
    w->min_isr = 1;
    world_open(w);
    return w;
}

void world_free(struct world *w)
{
    sim_node_crash(w->node, SIM_KILL);
    if (w->groups != NULL) {
        groups_free(w->groups);
    }
    if (w->replicas != NULL) {
        replicas_free(w->replicas);
    }
    if (w->dir != NULL) {
        log_dir_free(w->dir);
    }
    image_free(w->image);
    sim_free(w->sim);
    mem_free(w);
}

/* ---- metadata ---- */

static void tell(struct world *w, const struct image_delta *delta)
{
    if (w->groups != NULL) {
        const struct image_topic *offsets = image_topic_by_name(w->image, "__consumer_offsets");
        groups_set_image(w->groups, w->image);
        groups_set_partition_count(w->groups, offsets != NULL ? offsets->partition_count : 0);
        for (size_t i = 0; i < delta->topic_count; i++) {
            const char *name = delta->topics[i]->name;
            if (delta->topics[i]->deleted) {
                groups_topics_deleted(w->groups, &name, 1);
            }
        }
    }
    replicas_apply(w->replicas, w->image, delta);
}

void world_apply(struct world *w, struct record_list *list)
{
    struct bytes batch = batch_of(list, w->next_record, 1, false);
    struct image_delta delta = {0};
    struct err_text text = {""};
    assert_int_equal(image_apply_batches(w->image, &delta, batch.data, batch.size, &text),
                     ERR_NONE);
    w->next_record += (int64_t)list->count;
    tell(w, &delta);
    image_delta_clear(&delta);
    bytes_free(&batch);
    record_list_free(list);
    *list = (struct record_list){0};
}

void world_apply_all(struct world *w)
{
    struct image_delta delta = {0};
    image_delta_all(&delta, w->image);
    tell(w, &delta);
    image_delta_clear(&delta);
}

struct uuid world_topic(struct world *w, const char *name, int32_t partitions,
                        const int32_t *replicas, int32_t replica_count)
{
    struct record_list list = {0};
    struct uuid id = uuid_from_number((uint64_t)w->next_record + 1000);
    put_topic(&list, name, id);
    for (int32_t i = 0; i < partitions; i++) {
        put_partition(&list, id, i, replicas[0], replicas, replica_count);
    }
    world_apply(w, &list);
    world_run(w, 1000);
    assert_true(replicas_settled(w->replicas));
    return id;
}

struct replica *world_replica(struct world *w, struct uuid id, int32_t partition)
{
    struct replica *replica = replicas_find(w->replicas, &id, partition);
    assert_non_null(replica);
    return replica;
}

struct buf *world_batch(int64_t producer_id, int32_t sequence, const char *value)
{
    struct batch_builder builder;
    struct bytes bytes = {0};
    batch_builder_init(&builder);
    if (producer_id >= 0) {
        builder.producer_id = producer_id;
        builder.producer_epoch = 0;
        builder.base_sequence = sequence;
    }
    struct wire_bytes v = {(const uint8_t *)value, (int32_t)strlen(value)};
    batch_builder_add(&builder, 1000, (struct wire_bytes){NULL, -1}, v, NULL, 0);
    assert_int_equal(batch_build(&builder, &bytes, NULL), ERR_NONE);
    struct buf *buf = buf_copy(bytes.data, bytes.size);
    bytes_free(&bytes);
    batch_builder_free(&builder);
    return buf;
}
