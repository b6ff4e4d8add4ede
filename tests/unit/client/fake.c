#include "tests/unit/client/fake.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

int told_total;
bool told_forbidden;

struct fake_request fake_read(struct buf *frame)
{
    struct fake_request r = {.frame = frame};
    r.body = wire_in_of(frame->data, frame->size);
    assert_int_equal(wire_get_i32(&r.body), frame->size - 4);
    assert_int_equal(wire_get_request_header(&r.body, &r.header), ERR_NONE);
    return r;
}

void fake_drop(struct fake_request *r)
{
    buf_unref(r->frame);
    r->frame = NULL;
}

void fake_decode(const struct fake_request *r, void *body, struct arena *arena)
{
    struct wire_in in = r->body;
    const struct wire_api *api = wire_api_of(r->header.api_key);
    assert_int_equal(wire_decode(api->request, r->header.api_version, &in, body, arena), ERR_NONE);
    assert_int_equal(wire_in_left(&in), 0);
}

struct buf *fake_answer_at(int16_t api_key, int16_t version, int32_t correlation_id,
                           const void *response)
{
    struct wire_out out = {0};
    wire_put_response_header(&out, api_key, version, correlation_id);
    assert_int_equal(wire_encode(wire_api_of(api_key)->response, version, response, &out),
                     ERR_NONE);
    struct buf *b = buf_copy(out.bytes.data, out.bytes.size);
    wire_out_free(&out);
    return b;
}

struct buf *fake_answer(const struct fake_request *r, const void *response)
{
    return fake_answer_at(r->header.api_key, r->header.api_version, r->header.correlation_id,
                          response);
}

void fake_versions_init(struct fake_versions *v)
{
    size_t count = 0;
    const struct wire_api *all = wire_api_all(&count);
    assert_true(count <= sizeof v->keys / sizeof v->keys[0]);
    wire_defaults(&wire_api_versions_response, &v->response);
    for (size_t i = 0; i < count; i++) {
        v->keys[i] = (struct api_versions_response_api_key){
            all[i].key, wire_api_advertised_min(&all[i]), wire_api_advertised_max(&all[i])};
    }
    v->feature = (struct api_versions_response_finalized_feature){
        .name = wire_str("metadata.version"), .max_version_level = 29, .min_version_level = 29};
    v->response.api_keys.items = v->keys;
    v->response.api_keys.count = (int32_t)count;
    v->response.finalized_features_epoch = 7;
    v->response.finalized_features.items = &v->feature;
    v->response.finalized_features.count = 1;
}

static struct api_versions_response_api_key *find_key(struct fake_versions *v, int16_t api_key)
{
    for (int32_t i = 0; i < v->response.api_keys.count; i++) {
        if (v->keys[i].api_key == api_key) {
            return &v->keys[i];
        }
    }
    fail_msg("no API %d", api_key);
    abort(); /* not reached: fail_msg leaves the test */
}

void fake_versions_set(struct fake_versions *v, int16_t api_key, int16_t min, int16_t max)
{
    struct api_versions_response_api_key *key = find_key(v, api_key);
    key->min_version = min;
    key->max_version = max;
}

void fake_versions_remove(struct fake_versions *v, int16_t api_key)
{
    *find_key(v, api_key) = v->keys[--v->response.api_keys.count];
}

void told_done(void *ctx, const struct client_answer *answer)
{
    struct told *t = ctx;
    assert_false(told_forbidden);
    assert_true((answer->error == ERR_NONE) == (answer->why[0] == '\0'));
    assert_true(answer->error == ERR_NONE || answer->response == NULL);
    t->count++;
    t->order = ++told_total;
    t->error = answer->error;
    t->kafka_error = answer->kafka_error;
    t->version = answer->version;
    t->responded = answer->response != NULL;
    snprintf(t->why, sizeof t->why, "%s", answer->why);
    if (t->describes && answer->response != NULL) {
        const struct describe_cluster_response *r = answer->response;
        snprintf(t->cluster, sizeof t->cluster, "%.*s", r->cluster_id.size, r->cluster_id.data);
    }
    if (t->then != NULL) {
        t->then(t);
    }
}

void assert_told(const struct told *t, enum err error, const char *why_part)
{
    assert_int_equal(t->count, 1);
    if (t->error != error || strstr(t->why, why_part) == NULL) {
        fail_msg("told %s '%s', expected %s '%s'", err_name(t->error), t->why, err_name(error),
                 why_part);
    }
}

struct describe_cluster_request *any_describe_cluster(void)
{
    static struct describe_cluster_request request;
    wire_defaults(&wire_describe_cluster_request, &request);
    return &request;
}

struct describe_cluster_response described(const char *cluster)
{
    struct describe_cluster_response r;
    wire_defaults(&wire_describe_cluster_response, &r);
    r.cluster_id = wire_str(cluster);
    return r;
}
