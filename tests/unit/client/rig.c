#include "tests/unit/client/rig.h"

#include <string.h>

#include "common/base/mem.h"

static void on_send(void *ctx, struct buf *frame)
{
    struct rig *r = ctx;
    assert_true(r->sent_count < 16);
    r->sent[r->sent_count++] = frame;
}

static void on_ready(void *ctx)
{
    assert_false(told_forbidden);
    ((struct rig *)ctx)->ready++;
}

static const struct client_conn_events events = {.send = on_send, .ready = on_ready};

int rig_setup(void **state)
{
    struct rig *r = mem_zalloc(sizeof *r);
    fake_versions_init(&r->versions);
    r->now_ms = 1000;
    r->conn = client_conn_new("b:9092", "me", &events, r);
    *state = r;
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *r = *state;
    client_conn_free(r->conn);
    for (int i = 0; i < r->sent_count; i++) {
        buf_unref(r->sent[i]);
    }
    mem_free(r);
    return 0;
}

struct fake_request rig_take(struct rig *r, int16_t api_key)
{
    assert_true(r->sent_count > 0);
    struct fake_request request = fake_read(r->sent[0]);
    memmove(r->sent, r->sent + 1, sizeof r->sent[0] * (size_t)--r->sent_count);
    assert_int_equal(request.header.api_key, api_key);
    return request;
}

enum err rig_give(struct rig *r, struct buf *frame)
{
    return client_conn_frame(r->conn, frame, r->now_ms, &r->text);
}

enum err rig_tick(struct rig *r, int64_t to_ms)
{
    r->now_ms = to_ms;
    return client_conn_tick(r->conn, r->now_ms, &r->text);
}

void rig_start(struct rig *r)
{
    told_forbidden = true;
    client_conn_start(r->conn, r->now_ms, 5000);
    told_forbidden = false;
}

void rig_shake(struct rig *r)
{
    rig_start(r);
    struct fake_request q = rig_take(r, WIRE_API_VERSIONS);
    assert_int_equal(rig_give(r, fake_answer(&q, &r->versions.response)), ERR_NONE);
    fake_drop(&q);
    assert_int_equal(r->ready, 1);
}

enum err rig_send(struct rig *r, const struct client_request *request)
{
    told_forbidden = true;
    enum err e = client_conn_send(r->conn, request, r->now_ms, &r->text);
    told_forbidden = false;
    return e;
}

void rig_describe(struct rig *r, struct told *t, int64_t timeout_ms)
{
    t->describes = true;
    struct client_request q =
        client_request_of(WIRE_DESCRIBE_CLUSTER, any_describe_cluster(), timeout_ms, told_done, t);
    assert_int_equal(rig_send(r, &q), ERR_NONE);
}

enum err rig_answer_describe(struct rig *r, const char *cluster)
{
    struct fake_request q = rig_take(r, WIRE_DESCRIBE_CLUSTER);
    struct describe_cluster_response response = described(cluster);
    enum err e = rig_give(r, fake_answer(&q, &response));
    fake_drop(&q);
    return e;
}

void rig_renew(struct rig *r)
{
    client_conn_free(r->conn);
    r->conn = client_conn_new("b:9092", NULL, &events, r);
    r->ready = 0;
}
