#include "tests/unit/quorum/house.h"

#include "common/base/crc32c.h"

static void on_registered(struct controller_call *call);

/* ---- the controller's way down ---- */

static enum err append(void *ctx, int32_t epoch, const struct controller_record *records,
                       size_t count, int64_t *last_offset, struct err_text *text)
{
    struct house *house = ctx;
    struct quorum_record *framed = mem_array(count, sizeof *framed);
    for (size_t i = 0; i < count; i++) {
        framed[i] = (struct quorum_record){records[i].data, records[i].size_bytes};
    }
    enum err error = quorum_append(house->quorum, epoch, framed, count, last_offset, text);
    mem_free(framed);
    return error;
}

static int64_t next_offset(void *ctx)
{
    return quorum_next_offset(((struct house *)ctx)->quorum);
}

static void resign(void *ctx, int32_t epoch, const char *why)
{
    quorum_resign(((struct house *)ctx)->quorum, epoch, why);
}

/* ---- the quorum's news ---- */

static void on_opened(void *ctx, enum err error, const struct err_text *text)
{
    struct house *house = ctx;
    assert_false(house->opened);
    house->opened = true;
    if (error != ERR_NONE) {
        house->broken = true;
        house->last_error = (int)error;
        assert_true(text->text[0] != '\0');
    }
}

static void remember(struct house *house, const struct quorum_committed *committed)
{
    const uint8_t *at = committed->batches;
    const uint8_t *end = at + committed->size_bytes;
    while (at < end) {
        struct wire_in in = wire_in_of(at, (size_t)(end - at));
        struct house_batch batch = {.base_offset = wire_get_i64(&in)};
        int32_t length = wire_get_i32(&in);
        wire_get_raw(&in, 5);
        batch.crc = wire_get_u32(&in);
        wire_get_i16(&in);
        batch.last_offset = batch.base_offset + wire_get_i32(&in);
        assert_int_equal(in.error, ERR_NONE);
        assert_int_equal(batch.base_offset, house->expected_offset); /* no gap, nothing twice */
        house->expected_offset = batch.last_offset + 1;
        at += 12 + length;
        size_t i = 0;
        while (i < house->delivered_count && house->delivered[i].base_offset != batch.base_offset) {
            i++;
        }
        if (i < house->delivered_count) { /* once delivered, so for ever */
            assert_int_equal(house->delivered[i].crc, batch.crc);
            assert_int_equal(house->delivered[i].last_offset, batch.last_offset);
        } else {
            assert_true(house->delivered_count < HOUSE_BATCHES_MAX);
            house->delivered[house->delivered_count++] = batch;
        }
    }
    assert_ptr_equal(at, end);
    assert_int_equal(house->expected_offset, committed->last_offset + 1);
}

static void on_committed(void *ctx, const struct quorum_committed *committed)
{
    struct house *house = ctx;
    assert_true(house->opened);
    assert_true(committed->last_offset < quorum_high_watermark(house->quorum));
    remember(house, committed);
    struct err_text text = {{0}};
    if (image_apply_batches(house->image, NULL, committed->batches, committed->size_bytes, &text) !=
            ERR_NONE ||
        controller_committed(house->controller, committed->batches, committed->size_bytes,
                             committed->last_offset, &text) != ERR_NONE) {
        fail_msg("%s", text.text);
    }
    assert_true(image_equal(house->image, controller_committed_image(house->controller)));
}

static void on_leader_changed(void *ctx, int32_t leader_id, int32_t epoch)
{
    struct house *house = ctx;
    assert_true(leader_id == 1 || leader_id == -1);
    assert_true(epoch >= house->last_epoch);
}

struct registration {
    struct controller_call call;
    struct broker_registration_request request;
    struct broker_registration_response response;
    struct broker_heartbeat_request beat;
    struct broker_heartbeat_response answer;
    __typeof__(((struct broker_registration_request *)0)->listeners.items[0]) listener;
    __typeof__(((struct broker_registration_request *)0)->features.items[0]) feature;
    struct uuid dir;
    struct arena arena;
    struct house *house;
};

static struct registration registration;

static void beat(void)
{
    wire_defaults(&wire_broker_heartbeat_request, &registration.beat);
    registration.beat.broker_id = 1;
    registration.beat.broker_epoch = registration.response.broker_epoch;
    registration.beat.current_metadata_offset = image_offset(registration.house->image);
    registration.call = (struct controller_call){.api_key = 63,
                                                 .version = 1,
                                                 .request = &registration.beat,
                                                 .response = &registration.answer,
                                                 .arena = &registration.arena,
                                                 .done = on_registered};
    controller_submit(registration.house->controller, &registration.call);
}

static void on_registered(struct controller_call *call)
{
    if (call->api_key == 62) {
        assert_int_equal(registration.response.error_code, 0);
        beat();
        return;
    }
    assert_int_equal(registration.answer.error_code, 0);
    registration.house->active = !registration.answer.is_fenced;
    assert_true(registration.house->active);
}

static void submit_registration(struct house *house)
{
    arena_free(&registration.arena);
    memset(&registration, 0, sizeof registration);
    registration.house = house;
    struct broker_registration_request *request = &registration.request;
    wire_defaults(&wire_broker_registration_request, request);
    request->broker_id = 1;
    request->cluster_id = wire_str("cluster");
    request->incarnation_id = env_random_uuid(house->env);
    registration.listener = (__typeof__(registration.listener)){
        .name = wire_str("PLAINTEXT"), .host = wire_str("h"), .port = 9092};
    request->listeners.items = &registration.listener;
    request->listeners.count = 1;
    registration.feature = (__typeof__(registration.feature)){.name = wire_str("metadata.version"),
                                                              .min_supported_version = 17,
                                                              .max_supported_version = 30};
    request->features.items = &registration.feature;
    request->features.count = 1;
    registration.dir = *log_dir_id(house->dir);
    request->log_dirs.items = &registration.dir;
    request->log_dirs.count = 1;
    registration.call = (struct controller_call){.api_key = 62,
                                                 .version = 4,
                                                 .request = request,
                                                 .response = &registration.response,
                                                 .arena = &registration.arena,
                                                 .done = on_registered};
    controller_submit(house->controller, &registration.call);
}

static void on_activated(void *ctx, int32_t epoch)
{
    struct house *house = ctx;
    assert_true(epoch > house->last_epoch); /* it rises at every start */
    assert_int_equal(quorum_leader(house->quorum), 1);
    assert_int_equal(image_epoch(house->image), epoch);
    house->last_epoch = epoch;
    house->active_epoch = epoch;
    controller_activate(house->controller, epoch);
    submit_registration(house);
}

static void on_deactivated(void *ctx, int32_t epoch)
{
    struct house *house = ctx;
    assert_int_equal(epoch, house->active_epoch);
    house->active = false;
    house->active_epoch = -1;
    controller_deactivate(house->controller);
}

static void on_failed(void *ctx, enum err error, const struct err_text *text)
{
    struct house *house = ctx;
    assert_true(text->text[0] != '\0');
    house->broken = true;
    house->last_error = (int)error;
}

static void on_snapshot_due(void *ctx)
{
    struct house *house = ctx;
    fail_msg("a snapshot is due at offset %lld", (long long)house->expected_offset);
}

static void on_snapshot(void *ctx, const struct quorum_snapshot_part *part)
{
    (void)ctx;
    fail_msg("a snapshot up to offset %lld", (long long)part->last_offset);
}

static const struct quorum_events events = {on_opened,    on_committed,   on_leader_changed,
                                            on_activated, on_deactivated, on_failed,
                                            on_snapshot,  on_snapshot_due};

/* ---- a life ---- */

static void start_quorum(struct house *house)
{
    struct quorum_config config = {.node_id = 1,
                                   .directory_id = *log_dir_id(house->dir),
                                   .voter_count = 1,
                                   .replay_chunk_bytes = house->replay_chunk_bytes};
    config.voters[0].id = 1;
    house->quorum = quorum_open(house->env, house->dir, &config, &events, house);
}

static void on_formatted(void *ctx, enum err error, const struct err_text *text)
{
    assert_int_equal(error, ERR_NONE);
    assert_non_null(text);
    start_quorum(ctx);
}

static void on_dir(void *ctx, struct log_dir *dir, const struct log_dir_found *found)
{
    struct house *house = ctx;
    if (found->error != ERR_NONE) {
        fail_msg("%s", found->text.text);
    }
    if (found->formatted) {
        start_quorum(house);
        return;
    }
    struct log_dir_meta meta = {.cluster_id = "cluster", .node_id = 1};
    meta.directory_id = env_random_uuid(house->env);
    log_dir_format(dir, &meta, on_formatted, house);
}

void house_build(struct house *house, uint64_t seed)
{
    memset(house, 0, sizeof *house);
    house->last_epoch = 0;
    struct sim_options options = {.seed = seed};
    house->sim = sim_new(&options);
    house->node = sim_node_new(house->sim, "one", "10.0.0.1");
    house->env = sim_node_env(house->node);
}

void house_open(struct house *house)
{
    house->lives++;
    house->opened = house->active = house->broken = house->closed = false;
    house->active_epoch = -1;
    house->expected_offset = 0;
    house->env = sim_node_env(house->node);
    struct controller_config config = controller_config_default();
    config.node_id = 1;
    snprintf(config.cluster_id, sizeof config.cluster_id, "cluster");
    struct controller_writer writer = {append, next_offset, resign, house};
    house->controller = controller_new(house->env, &config, &writer);
    house->image = image_new();
    house->dir = log_dir_open(house->env, "/data/meta", on_dir, house);
}

void house_drop(struct house *house)
{
    if (house->controller != NULL && house->create.busy) {
        controller_cancel(house->controller, &house->create.call);
    }
    house->create.busy = false;
    arena_free(&house->create.arena);
    controller_free(house->controller);
    quorum_free(house->quorum);
    if (house->dir != NULL) {
        log_dir_free(house->dir);
    }
    image_free(house->image);
    arena_free(&registration.arena);
    house->controller = NULL;
    house->quorum = NULL;
    house->dir = NULL;
    house->image = NULL;
}

static void on_dir_closed(void *ctx, enum err error, const struct err_text *text)
{
    assert_int_equal(error, ERR_NONE);
    assert_non_null(text);
    ((struct house *)ctx)->closed = true;
}

static void on_quorum_closed(void *ctx)
{
    struct house *house = ctx;
    controller_deactivate(house->controller);
    quorum_free(house->quorum);
    house->quorum = NULL;
    log_dir_close(house->dir, 1, on_dir_closed, house);
}

static bool is_closed(void *ctx)
{
    return ((struct house *)ctx)->closed;
}

void house_close(struct house *house)
{
    quorum_close(house->quorum, on_quorum_closed, house);
    assert_true(sim_run_until(house->sim, is_closed, house, 60000, 0));
    house_drop(house);
}

void house_raze(struct house *house)
{
    house_drop(house);
    sim_free(house->sim);
}

static bool is_active(void *ctx)
{
    struct house *house = ctx;
    return house->active || house->broken || !sim_node_up(house->node);
}

bool house_until_active(struct house *house, int64_t for_ms)
{
    return sim_run_until(house->sim, is_active, house, for_ms, 0) && house->active;
}

/* ---- topics ---- */

static void created(struct controller_call *call)
{
    struct house_create *create = CONTAINER_OF(call, struct house_create, call);
    struct house *house = create->house;
    create->busy = false;
    if (create->response.topics.items[0].error_code == 0) {
        house->acknowledged[house->next_topic - 1] = create->response.topics.items[0].topic_id;
    }
    arena_free(&create->arena);
}

void house_create_topic(struct house *house)
{
    struct house_create *create = &house->create;
    assert_false(create->busy);
    memset(create, 0, sizeof *create);
    create->house = house;
    create->busy = true;
    snprintf(create->name, sizeof create->name, "t%d", house->next_topic++);
    wire_defaults(&wire_create_topics_request, &create->request);
    create->topic.name = wire_str(create->name);
    create->topic.num_partitions = 3;
    create->topic.replication_factor = 1;
    create->request.topics.items = &create->topic;
    create->request.topics.count = 1;
    create->call = (struct controller_call){.api_key = 19,
                                            .version = 7,
                                            .request = &create->request,
                                            .response = &create->response,
                                            .arena = &create->arena,
                                            .done = created};
    controller_submit(house->controller, &create->call);
}

static bool is_created(void *ctx)
{
    struct house *house = ctx;
    return !house->create.busy || !sim_node_up(house->node);
}

bool house_until_created(struct house *house, int64_t for_ms)
{
    return sim_run_until(house->sim, is_created, house, for_ms, 0) && sim_node_up(house->node);
}

void house_check(const struct house *house)
{
    for (int i = 0; i < house->next_topic; i++) {
        if (uuid_is_zero(&house->acknowledged[i])) {
            continue;
        }
        char name[32];
        snprintf(name, sizeof name, "t%d", i);
        const struct image_topic *topic = image_topic_by_name(house->image, name);
        if (topic == NULL) {
            fail_msg("topic %s was acknowledged and is lost", name);
            return;
        }
        assert_true(uuid_equal(&topic->id, &house->acknowledged[i]));
        assert_int_equal(topic->partition_count, 3);
    }
}
