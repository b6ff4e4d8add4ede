/* rig: one client connection, its clock, and a broker played by hand at its other end. */
#ifndef TESTS_UNIT_CLIENT_RIG_H
#define TESTS_UNIT_CLIENT_RIG_H

#include "tests/unit/client/fake.h"

enum { TIMEOUT_MS = 1000 };

struct rig {
    struct client_conn *conn;
    struct buf *sent[16]; /* not yet read by the broker */
    int sent_count;
    int ready;
    struct fake_versions versions;
    int64_t now_ms;
    struct err_text text;
};

/* A connection named b:9092 by a client named me; not started. */
int rig_setup(void **state);
int rig_teardown(void **state);
/* Puts a fresh connection, without client id, in the old one's place. */
void rig_renew(struct rig *r);

/* The oldest frame sent, which must be of that API. */
struct fake_request rig_take(struct rig *r, int16_t api_key);
enum err rig_give(struct rig *r, struct buf *frame);
enum err rig_tick(struct rig *r, int64_t to_ms);
void rig_start(struct rig *r);
/* Starts, and answers ApiVersions. */
void rig_shake(struct rig *r);
enum err rig_send(struct rig *r, const struct client_request *request);
/* Sends DescribeCluster. */
void rig_describe(struct rig *r, struct told *t, int64_t timeout_ms);
enum err rig_answer_describe(struct rig *r, const char *cluster);

#endif
