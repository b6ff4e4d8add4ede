#include "tests/unit/client/world.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

static void *wire_dial(void *ctx, const char *host, uint16_t port, struct cluster_link *link)
{
    struct world *w = ctx;
    assert_true(w->wire_count < WIRES);
    struct wire *wire = &w->wires[w->wire_count++];
    wire->world = w;
    wire->link = link;
    wire->dialled_ms = w->now_ms;
    wire->open = true;
    snprintf(wire->name, sizeof wire->name, "%s:%u", host, (unsigned)port);
    assert_ptr_equal(cluster_link_ctx(link), w);
    return wire;
}

static void wire_send(void *ctx, void *handle, struct buf *frame)
{
    struct wire *wire = handle;
    assert_ptr_equal(wire->world, ctx);
    assert_true(wire->open && wire->connected && wire->sent_count < FRAMES_WAITING);
    wire->sent[wire->sent_count++] = frame;
}

static void wire_close(void *ctx, void *handle)
{
    struct wire *wire = handle;
    assert_ptr_equal(wire->world, ctx);
    assert_true(wire->open);
    wire->open = false;
}

static const struct cluster_transport transport = {wire_dial, wire_send, wire_close};

struct world *world_new(const char *bootstrap)
{
    struct world *w = mem_zalloc(sizeof *w);
    struct err_text text;
    struct cluster_options options = cluster_options_default();
    options.client_id = "world";
    w->now_ms = 100000;
    fake_versions_init(&w->versions);
    assert_int_equal(cluster_new(bootstrap, &options, &transport, w, &w->cluster, &text), ERR_NONE);
    return w;
}

void world_free(struct world *w)
{
    cluster_free(w->cluster);
    for (int i = 0; i < w->wire_count; i++) {
        assert_false(w->wires[i].open);
        for (int k = 0; k < w->wires[i].sent_count; k++) {
            buf_unref(w->wires[i].sent[k]);
        }
    }
    mem_free(w);
}

int world_setup(void **state)
{
    *state = world_new("a:1,b:2");
    return 0;
}

int world_teardown(void **state)
{
    world_free(*state);
    return 0;
}

void world_until(struct world *w, int64_t to_ms)
{
    assert_true(to_ms >= w->now_ms);
    int64_t due;
    int spins = 0;
    while ((due = cluster_next_deadline(w->cluster)) <= to_ms) {
        spins = due > w->now_ms ? 0 : spins + 1;
        assert_true(spins < 100); /* a deadline that a tick does not meet */
        w->now_ms = due > w->now_ms ? due : w->now_ms;
        cluster_tick(w->cluster, w->now_ms);
    }
    w->now_ms = to_ms;
}

void world_settle(struct world *w)
{
    world_until(w, w->now_ms);
}

void world_brokers(struct world *w, int count)
{
    static char hosts[4][16];
    assert_true(count <= 4);
    wire_defaults(&wire_metadata_response, &w->metadata);
    for (int i = 0; i < count; i++) {
        snprintf(hosts[i], sizeof hosts[i], "b%d", i + 1);
        w->brokers[i] = (struct metadata_response_broker){
            .node_id = i + 1, .host = wire_str(hosts[i]), .port = 9092, .rack = WIRE_STR_NULL};
    }
    w->metadata.brokers.items = w->brokers;
    w->metadata.brokers.count = count;
    w->metadata.cluster_id = wire_str("cluster-1");
    w->metadata.controller_id = 1;
}

static struct wire *find(struct world *w, const char *name)
{
    struct wire *found = NULL;
    for (int i = 0; i < w->wire_count; i++) {
        if (w->wires[i].open && strcmp(w->wires[i].name, name) == 0) {
            assert_null(found); /* one connection an address */
            found = &w->wires[i];
        }
    }
    return found;
}

bool world_dialled(struct world *w, const char *name)
{
    return find(w, name) != NULL;
}

struct wire *world_wire(struct world *w, const char *name)
{
    struct wire *wire = find(w, name);
    if (wire == NULL) {
        fail_msg("no connection to %s", name);
    }
    return wire;
}

struct fake_request world_take(struct world *w, const char *name, int16_t api_key)
{
    struct wire *wire = world_wire(w, name);
    if (wire->sent_count == 0) {
        fail_msg("no request at %s", name);
    }
    struct fake_request r = fake_read(wire->sent[0]);
    memmove(wire->sent, wire->sent + 1, sizeof wire->sent[0] * (size_t)--wire->sent_count);
    assert_int_equal(r.header.api_key, api_key);
    assert_true(wire_str_is(r.header.client_id, "world"));
    return r;
}

bool world_quiet(struct world *w, const char *name)
{
    return world_wire(w, name)->sent_count == 0;
}

void world_give(struct world *w, const char *name, struct buf *frame)
{
    cluster_link_frame(world_wire(w, name)->link, frame, w->now_ms);
    world_settle(w);
}

void world_answer(struct world *w, const char *name, int16_t api_key, const void *response)
{
    struct fake_request r = world_take(w, name, api_key);
    struct buf *frame = fake_answer(&r, response);
    fake_drop(&r);
    world_give(w, name, frame);
}

void world_accept(struct world *w, const char *name)
{
    struct wire *wire = world_wire(w, name);
    assert_false(wire->connected);
    wire->connected = true;
    cluster_link_connected(wire->link, w->now_ms);
    world_settle(w);
    world_answer(w, name, WIRE_API_VERSIONS, &w->versions.response);
}

void world_end(struct world *w, const char *name, enum err reason, const char *why)
{
    struct wire *wire = world_wire(w, name);
    wire->open = false;
    cluster_link_closed(wire->link, reason, why, w->now_ms);
    world_settle(w);
}

void world_metadata(struct world *w, const char *name)
{
    world_answer(w, name, WIRE_METADATA, &w->metadata);
}

void world_describe(struct world *w, const char *name, const char *cluster)
{
    struct describe_cluster_response r = described(cluster);
    world_answer(w, name, WIRE_DESCRIBE_CLUSTER, &r);
}

void world_ask(struct world *w, struct cluster_target target, struct told *t, int64_t timeout_ms)
{
    t->describes = true;
    struct client_request q =
        client_request_of(WIRE_DESCRIBE_CLUSTER, any_describe_cluster(), timeout_ms, told_done, t);
    told_forbidden = true;
    cluster_send(w->cluster, target, &q, w->now_ms);
    told_forbidden = false;
    world_settle(w);
}
