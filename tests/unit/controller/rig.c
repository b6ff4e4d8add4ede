#include "tests/unit/controller/rig.h"

#include "tests/unit/metadata/records.h"
#include "tests/unit/metadata/scan.h"

enum { RIG_BROKERS = 8 };

static enum err append(void *ctx, int32_t epoch, const struct controller_record *records,
                       size_t count, int64_t *last_offset, struct err_text *text)
{
    struct rig *rig = ctx;
    assert_int_equal(epoch, rig->epoch);
    if (rig->refuse_appends) {
        err_set(text, "the test says no");
        return ERR_STALE;
    }
    struct record_list list = {0};
    for (size_t i = 0; i < count; i++) {
        wire_put_raw(&list.out, records[i].data, records[i].size_bytes);
        *MEM_PUSH(list.ends, list.count, list.capacity) = list.out.bytes.size;
    }
    struct rig_batch *batch = MEM_PUSH(rig->batches, rig->count, rig->capacity);
    batch->bytes = batch_of(&list, rig->next_offset, epoch, false);
    rig->next_offset += (int64_t)count;
    batch->last_offset = rig->next_offset - 1;
    batch->records = count;
    *last_offset = batch->last_offset;
    record_list_free(&list);
    return ERR_NONE;
}

void rig_inherit(struct rig *rig, struct record_list *records)
{
    assert_false(controller_active(rig->controller));
    struct rig_batch *batch = MEM_PUSH(rig->batches, rig->count, rig->capacity);
    batch->bytes = batch_of(records, rig->next_offset, rig->epoch, false);
    rig->next_offset += (int64_t)records->count;
    batch->last_offset = rig->next_offset - 1;
    batch->records = records->count;
    record_list_free(records);
    rig_commit(rig);
}

static int64_t next_offset(void *ctx)
{
    return ((struct rig *)ctx)->next_offset;
}

static void resign(void *ctx, int32_t epoch, const char *why)
{
    (void)epoch;
    assert_non_null(why);
    ((struct rig *)ctx)->resigned++;
}

void rig_turn(struct rig *rig)
{
    sim_run_for(rig->sim, 1);
}

void rig_commit(struct rig *rig)
{
    struct err_text text = {{0}};
    while (rig->committed < rig->count) {
        struct rig_batch *batch = &rig->batches[rig->committed++];
        if (controller_committed(rig->controller, batch->bytes.data, batch->bytes.size,
                                 batch->last_offset, &text) != ERR_NONE) {
            fail_msg("%s", text.text);
        }
    }
    rig_turn(rig);
    assert_null(scan_differs(controller_image(rig->controller), RIG_BROKERS));
    assert_null(scan_differs(controller_committed_image(rig->controller), RIG_BROKERS));
}

void rig_start(struct rig *rig, const struct controller_config *config, bool active)
{
    *rig = (struct rig){.epoch = 1};
    struct sim_options options = {.seed = 5};
    rig->sim = sim_new(&options);
    rig->node = sim_node_new(rig->sim, "one", "10.0.0.1");
    rig->env = sim_node_env(rig->node);
    struct controller_config defaults = controller_config_default();
    defaults.node_id = 100;
    snprintf(defaults.cluster_id, sizeof defaults.cluster_id, "cluster");
    struct controller_writer writer = {append, next_offset, resign, rig};
    rig->controller = controller_new(rig->env, config == NULL ? &defaults : config, &writer);
    if (active) {
        controller_activate(rig->controller, rig->epoch);
        rig_commit(rig);
    }
}

void rig_stop(struct rig *rig)
{
    controller_free(rig->controller);
    for (size_t i = 0; i < rig->count; i++) {
        bytes_free(&rig->batches[i].bytes);
    }
    mem_free(rig->batches);
    sim_free(rig->sim);
}

static void call_done(struct controller_call *call)
{
    struct rig_call *rig_call = call->ctx;
    rig_call->done++;
}

void rig_submit(struct rig *rig, struct rig_call *call, int16_t api_key, int16_t version,
                const void *request)
{
    memset(call, 0, sizeof *call);
    call->call = (struct controller_call){
        .api_key = api_key,
        .version = version,
        .request = request,
        .response = &call->response,
        .arena = &call->arena,
        .done = call_done,
        .ctx = call,
    };
    controller_submit(rig->controller, &call->call);
    assert_int_equal(call->done, 0); /* never from within */
}

/* A copy of `msg` as it comes out of the wire. */
static void *over_the_wire(const struct wire_message *m, int16_t version, const void *msg,
                           struct arena *arena)
{
    struct wire_out out = {0};
    assert_int_equal(wire_encode(m, version, msg, &out), ERR_NONE);
    const void *bytes = arena_dup(arena, out.bytes.data, out.bytes.size);
    struct wire_in in = wire_in_of(bytes, out.bytes.size);
    void *back = arena_alloc(arena, wire_message_size(m));
    assert_int_equal(wire_decode(m, version, &in, back, arena), ERR_NONE);
    assert_int_equal(wire_in_left(&in), 0);
    wire_out_free(&out);
    return back;
}

void rig_exchange(struct rig *rig, struct rig_call *call, int16_t api_key, int16_t version,
                  const void *request)
{
    const struct wire_api *api = wire_api_of(api_key);
    struct arena arena = {0};
    rig_submit(rig, call, api_key, version, over_the_wire(api->request, version, request, &arena));
    rig_commit(rig);
    assert_int_equal(call->done, 1);
    const void *answer = over_the_wire(api->response, version, &call->response, &call->arena);
    memcpy(&call->response, answer, wire_message_size(api->response));
    arena_free(&arena);
}

void rig_call_free(struct rig_call *call)
{
    arena_free(&call->arena);
}

static int16_t register_broker(struct rig *rig, int32_t id, const char *rack, uint64_t incarnation,
                               struct uuid *dirs, int32_t dir_count, int64_t *epoch)
{
    struct broker_registration_request request;
    wire_defaults(&wire_broker_registration_request, &request);
    request.broker_id = id;
    request.cluster_id = wire_str("cluster");
    request.incarnation_id = uuid_from_number(incarnation);
    request.rack = wire_str(rack);
    __typeof__(request.listeners.items[0]) listener = {
        .name = wire_str("PLAINTEXT"), .host = wire_str("h"), .port = 9092};
    request.listeners.items = &listener;
    request.listeners.count = 1;
    __typeof__(request.features.items[0]) feature = {.name = wire_str("metadata.version"),
                                                     .min_supported_version = 17,
                                                     .max_supported_version = 30};
    request.features.items = &feature;
    request.features.count = 1;
    request.log_dirs.items = dirs;
    request.log_dirs.count = dir_count;
    struct rig_call call;
    rig_submit(rig, &call, 62, 4, &request);
    rig_commit(rig);
    assert_int_equal(call.done, 1);
    int16_t error = call.response.registration.error_code;
    if (epoch != NULL) {
        *epoch = call.response.registration.broker_epoch;
    }
    rig_call_free(&call);
    return error;
}

int16_t rig_register(struct rig *rig, int32_t id, const char *rack, uint64_t incarnation,
                     int64_t *epoch)
{
    struct uuid dir = uuid_from_number(5000 + (uint64_t)id);
    return register_broker(rig, id, rack, incarnation, &dir, 1, epoch);
}

int16_t rig_register_in(struct rig *rig, int32_t id, uint64_t incarnation, struct uuid *dirs,
                        int32_t dir_count, int64_t *epoch)
{
    return register_broker(rig, id, NULL, incarnation, dirs, dir_count, epoch);
}

int16_t rig_heartbeat(struct rig *rig, int32_t id, int64_t epoch, bool want_fence,
                      bool want_shut_down, struct broker_heartbeat_response *response)
{
    struct broker_heartbeat_request request;
    wire_defaults(&wire_broker_heartbeat_request, &request);
    request.broker_id = id;
    request.broker_epoch = epoch;
    request.current_metadata_offset = rig->next_offset - 1;
    request.want_fence = want_fence;
    request.want_shut_down = want_shut_down;
    struct rig_call call;
    rig_submit(rig, &call, 63, 1, &request);
    rig_commit(rig);
    assert_int_equal(call.done, 1);
    if (response != NULL) {
        *response = call.response.heartbeat;
    }
    int16_t error = call.response.heartbeat.error_code;
    rig_call_free(&call);
    return error;
}

int64_t rig_broker(struct rig *rig, int32_t id, const char *rack)
{
    int64_t epoch = -1;
    assert_int_equal(rig_register(rig, id, rack, 7000 + (uint64_t)id, &epoch), 0);
    assert_int_equal(rig_heartbeat(rig, id, epoch, false, false, NULL), 0);
    assert_false(image_broker(controller_image(rig->controller), id)->fenced);
    return epoch;
}

int16_t rig_create(struct rig *rig, const char *name, int32_t partitions, int16_t factor)
{
    struct create_topics_request request;
    wire_defaults(&wire_create_topics_request, &request);
    __typeof__(request.topics.items[0]) topic = {
        .name = wire_str(name), .num_partitions = partitions, .replication_factor = factor};
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_submit(rig, &call, 19, 7, &request);
    rig_commit(rig);
    assert_int_equal(call.done, 1);
    int16_t error = call.response.create_topics.topics.items[0].error_code;
    assert_true(error == 0 || call.response.create_topics.topics.items[0].error_message.size > 0);
    rig_call_free(&call);
    return error;
}

void rig_create_on(struct rig *rig, const char *name, int32_t partitions, int32_t *replicas,
                   int32_t count)
{
    struct create_topics_request request;
    wire_defaults(&wire_create_topics_request, &request);
    __typeof__(request.topics.items[0]) topic = {
        .name = wire_str(name), .num_partitions = -1, .replication_factor = -1};
    topic.assignments.count = partitions;
    topic.assignments.items = mem_array((size_t)partitions, sizeof *topic.assignments.items);
    for (int32_t i = 0; i < partitions; i++) {
        topic.assignments.items[i].partition_index = i;
        topic.assignments.items[i].broker_ids.items = replicas;
        topic.assignments.items[i].broker_ids.count = count;
    }
    request.topics.items = &topic;
    request.topics.count = 1;
    struct rig_call call;
    rig_submit(rig, &call, 19, 7, &request);
    rig_commit(rig);
    assert_int_equal(call.response.create_topics.topics.items[0].error_code, 0);
    rig_call_free(&call);
    mem_free(topic.assignments.items);
}

const struct image_partition *rig_partition(const struct rig *rig, const char *topic,
                                            int32_t partition)
{
    const struct image_topic *found =
        image_topic_by_name(controller_committed_image(rig->controller), topic);
    return found == NULL || partition >= found->partition_count ? NULL
                                                                : found->partitions[partition];
}

void rig_configure(struct rig *rig, int8_t type, const char *name, const char *key,
                   const char *value)
{
    struct incremental_alter_configs_request request;
    wire_defaults(&wire_incremental_alter_configs_request, &request);
    __typeof__(request.resources.items[0]) resource = {.resource_type = type,
                                                       .resource_name = wire_str(name)};
    __typeof__(resource.configs.items[0]) setting = {.name = wire_str(key),
                                                     .value = wire_str(value)};
    resource.configs.items = &setting;
    resource.configs.count = 1;
    request.resources.items = &resource;
    request.resources.count = 1;
    struct rig_call call;
    rig_submit(rig, &call, 44, 1, &request);
    rig_commit(rig);
    assert_int_equal(call.response.configs.responses.items[0].error_code, 0);
    rig_call_free(&call);
}
