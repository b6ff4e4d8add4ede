/* Brokers that connect, refuse, hang, answer, lie and die in any order, from seeds: every request
 * is told once, within its time, and once they behave again requests succeed. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/wire/kafka_error.h"
#include "tests/unit/client/world.h"

enum { SEEDS = 300, STEPS = 150, LIMIT_MS = 3000, SLACK_MS = 1 };

struct chaos {
    struct world *w;
    struct rng rng;
    struct told told[STEPS];
    int64_t asked_ms[STEPS];
    int asked;
};

static struct wire *any_wire(struct chaos *c)
{
    struct wire *open[WIRES];
    size_t count = 0;
    for (int i = 0; i < c->w->wire_count; i++) {
        if (c->w->wires[i].open) {
            open[count++] = &c->w->wires[i];
        }
    }
    return count > 0 ? open[rng_below(&c->rng, count)] : NULL;
}

/* Closed wires make room. */
static void forget_closed(struct world *w)
{
    for (int i = 0; i < w->wire_count; i++) {
        struct wire *wire = &w->wires[i];
        for (int k = 0; !wire->open && k < wire->sent_count; k++) {
            buf_unref(wire->sent[k]);
        }
        wire->sent_count = wire->open ? wire->sent_count : 0;
    }
    while (w->wire_count > 0 && !w->wires[w->wire_count - 1].open) {
        memset(&w->wires[--w->wire_count], 0, sizeof w->wires[0]);
    }
}

static void ask(struct chaos *c)
{
    static const char *const groups[] = {"g", "h", "i"};
    struct cluster_target target = cluster_any();
    switch (rng_below(&c->rng, 3)) {
    case 0:
        target = cluster_broker((int32_t)rng_below(&c->rng, 4));
        break;
    case 1:
        target = cluster_coordinator(groups[rng_below(&c->rng, 3)]);
        break;
    default:
        break;
    }
    c->asked_ms[c->asked] = c->w->now_ms;
    world_ask(c->w, target, &c->told[c->asked++], LIMIT_MS);
}

static struct buf *good_answer(struct chaos *c, const struct fake_request *q)
{
    struct describe_cluster_response d = described("c");
    struct find_coordinator_response f;
    struct find_coordinator_response_coordinator one = {
        .host = wire_str("b2"), .node_id = 2, .port = 9092, .error_message = WIRE_STR_NULL};
    switch (q->header.api_key) {
    case WIRE_API_VERSIONS:
        return fake_answer(q, &c->w->versions.response);
    case WIRE_METADATA:
        return fake_answer(q, &c->w->metadata);
    case WIRE_FIND_COORDINATOR:
        wire_defaults(&wire_find_coordinator_response, &f);
        f.coordinators.items = &one;
        f.coordinators.count = 1;
        return fake_answer(q, &f);
    default:
        return fake_answer(q, &d);
    }
}

/* The broker at `wire` does the next thing it should. */
static void behave(struct chaos *c, struct wire *wire)
{
    if (!wire->connected) {
        wire->connected = true;
        cluster_link_connected(wire->link, c->w->now_ms);
        world_settle(c->w);
    } else if (wire->sent_count > 0) {
        struct fake_request q = fake_read(wire->sent[0]);
        memmove(wire->sent, wire->sent + 1, sizeof wire->sent[0] * (size_t)--wire->sent_count);
        struct buf *frame = good_answer(c, &q);
        fake_drop(&q);
        cluster_link_frame(wire->link, frame, c->w->now_ms);
        world_settle(c->w);
    }
}

static void misbehave(struct chaos *c, struct wire *wire)
{
    uint8_t junk[24];
    for (size_t i = 0; i < sizeof junk; i++) {
        junk[i] = (uint8_t)rng_below(&c->rng, 4);
    }
    if (wire->connected && rng_below(&c->rng, 2) == 0) {
        size_t size = rng_below(&c->rng, sizeof junk + 1);
        cluster_link_frame(wire->link, buf_copy(junk, size), c->w->now_ms);
    } else {
        wire->open = false;
        cluster_link_closed(wire->link, ERR_CLOSED, "gone", c->w->now_ms);
    }
    world_settle(c->w);
}

static void step(struct chaos *c)
{
    struct wire *wire = any_wire(c);
    uint64_t what = rng_below(&c->rng, 100);
    if (what < 35) {
        ask(c);
    } else if (what < 40) {
        cluster_refresh(c->w->cluster);
    } else if (what < 45) {
        cluster_forget_coordinator(c->w->cluster, "g");
    } else if (what < 55) {
        world_brokers(c->w, (int)rng_below(&c->rng, 4));
    } else if (what < 65) {
        world_until(c->w, c->w->now_ms + (int64_t)rng_below(&c->rng, 1500));
    } else if (wire != NULL && what < 90) {
        behave(c, wire);
    } else if (wire != NULL) {
        misbehave(c, wire);
    }
    world_settle(c->w);
    forget_closed(c->w);
    for (int i = 0; i < c->asked; i++) {
        assert_true(c->told[i].count <= 1);
        if (c->told[i].count == 0) {
            assert_true(c->w->now_ms < c->asked_ms[i] + LIMIT_MS + SLACK_MS);
        }
    }
}

static void peace(struct chaos *c)
{
    struct told t = {0}, u = {0}, v = {0};
    world_until(c->w, c->w->now_ms + 3 * LIMIT_MS);
    world_brokers(c->w, 3);
    cluster_refresh(c->w->cluster);
    for (int i = 0; i < c->asked; i++) {
        assert_int_equal(c->told[i].count, 1);
    }
    world_ask(c->w, cluster_any(), &t, 60000);
    world_ask(c->w, cluster_broker(3), &u, 60000);
    world_ask(c->w, cluster_coordinator("g"), &v, 60000);
    for (int i = 0; i < 200 && (t.count == 0 || u.count == 0 || v.count == 0); i++) {
        for (int k = 0; k < c->w->wire_count; k++) {
            if (c->w->wires[k].open) {
                behave(c, &c->w->wires[k]);
            }
        }
        world_until(c->w, c->w->now_ms + 100);
        forget_closed(c->w);
    }
    assert_told(&t, ERR_NONE, "");
    assert_told(&u, ERR_NONE, "");
    assert_told(&v, ERR_NONE, "");
}

static void every_request_is_told_once_whatever_brokers_do(void **state)
{
    (void)state;
    static struct chaos c;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        memset(&c, 0, sizeof c);
        c.w = world_new("a:1,b:2");
        rng_seed(&c.rng, seed);
        world_brokers(c.w, 3);
        for (int i = 0; i < STEPS; i++) {
            step(&c);
        }
        peace(&c);
        world_free(c.w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_is_told_once_whatever_brokers_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
