/* fake: the broker's side of the protocol, by hand: requests read, answers made. */
#ifndef TESTS_UNIT_CLIENT_FAKE_H
#define TESTS_UNIT_CLIENT_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/client/conn.h"
#include "common/wire/messages.h"

/* A request as the broker sees it. */
struct fake_request {
    struct buf *frame; /* NULL: none */
    struct wire_request_header header;
    struct wire_in body;
};

/* Takes the frame, length in front and checked, apart. */
struct fake_request fake_read(struct buf *frame);
void fake_drop(struct fake_request *r);
/* Decodes the body; it must be read to its end. */
void fake_decode(const struct fake_request *r, void *body, struct arena *arena);
/* Without length, as the client gets it. */
struct buf *fake_answer(const struct fake_request *r, const void *response);
struct buf *fake_answer_at(int16_t api_key, int16_t version, int32_t correlation_id,
                           const void *response);

/* What ApiVersions is answered with: every API we know at our own ranges, then changed by hand. */
struct fake_versions {
    struct api_versions_response response;
    struct api_versions_response_api_key keys[128];
    struct api_versions_response_finalized_feature feature;
};
void fake_versions_init(struct fake_versions *v);
void fake_versions_set(struct fake_versions *v, int16_t api_key, int16_t min, int16_t max);
void fake_versions_remove(struct fake_versions *v, int16_t api_key);

/* What a `done` was told. Counts; keeps the last. */
struct told {
    int count;
    int order; /* among all tolds */
    enum err error;
    int16_t kafka_error;
    int16_t version;
    bool responded;
    char why[512];
    bool describes;   /* the responses are DescribeCluster's */
    char cluster[64]; /* their cluster id */
    void (*then)(struct told *t);
    void *ctx;
};
extern int told_total;
extern bool told_forbidden; /* set while inside a call that must not call back */
void told_done(void *ctx, const struct client_answer *answer);
void assert_told(const struct told *t, enum err error, const char *why_part);

struct describe_cluster_request *any_describe_cluster(void);
/* DescribeCluster with this cluster id and no brokers. */
struct describe_cluster_response described(const char *cluster);

#endif
