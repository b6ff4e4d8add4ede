/* producer: numbered records by our own client (common/client), with the times and rules of Kafka's
 * Java producer by default: acks=all, linger.ms 5, retry.backoff.ms 100 doubling to 1000,
 * request.timeout.ms 30000. One batch of a partition is on its way at a time.
 *
 *   bench_producer BROKERS TOPIC PARTITIONS PER_SECOND NAME [no-951]
 *
 * Speaks and ends as tests/integration/writer.c does. An answer that names the new leader (KIP-951)
 * moves the batch there at once; with no-951 Produce is held at version 9, which does not.
 *
 * Happy path: a tick makes the numbers that are due and sends what idle partitions have; the answer
 * acknowledges them. Failure: whatever a broker or a connection says, Metadata is asked for at once
 * and the batch is sent again after the back-off, to whoever leads by then. Nothing is ever given
 * up. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"
#include "console/asker.h"

enum { LINGER_MS = 5, BACKOFF_MS = 100, BACKOFF_LIMIT_MS = 1000, REQUEST_MS = 30000, BATCH = 1000 };

struct lane {
    struct producer *producer;
    int32_t partition;
    int32_t leader; /* -1 unknown */
    int32_t epoch;  /* of the leader */
    int64_t next;   /* numbers below are acknowledged */
    int count;      /* of the batch on its way; 0 none */
    int64_t retry_ms;
    int64_t backoff_ms;
    struct bytes records;
    struct produce_request request;
    struct produce_request_topic topic;
    struct produce_request_partition part;
};

struct producer {
    uv_loop_t loop;
    uv_timer_t tick;
    struct asker *asker;
    const char *topic;
    const char *name;
    int partitions;
    int per_second;
    bool knows_951;
    bool asking;
    int64_t started_us;
    int64_t made; /* numbers below exist */
    struct metadata_request metadata;
    struct metadata_request_topic metadata_topic;
    struct lane *lanes;
};

static volatile sig_atomic_t enough;

static void on_term(int signum)
{
    (void)signum;
    enough = 1;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- where leaders are ---- */

static void on_metadata(void *ctx, const struct client_answer *answer)
{
    struct producer *p = ctx;
    const struct metadata_response *r = answer->response;
    p->asking = false;
    if (answer->error != ERR_NONE || r->topics.count != 1) {
        return;
    }
    for (int32_t i = 0; i < r->topics.items[0].partitions.count; i++) {
        const struct metadata_response_partition *found = &r->topics.items[0].partitions.items[i];
        if (found->partition_index >= 0 && found->partition_index < p->partitions) {
            p->lanes[found->partition_index].leader = found->leader_id;
            p->lanes[found->partition_index].epoch = found->leader_epoch;
        }
    }
}

static void ask_leaders(struct producer *p)
{
    if (p->asking) {
        return;
    }
    p->asking = true;
    p->metadata_topic.name = wire_str(p->topic);
    p->metadata.topics.items = &p->metadata_topic;
    p->metadata.topics.count = 1;
    struct client_request request = client_request_of(3, &p->metadata, REQUEST_MS, on_metadata, p);
    asker_send(p->asker, cluster_any(), &request);
}

/* ---- producing ---- */

static void send_lane(struct lane *lane);

static void acknowledge(struct lane *lane, int64_t base_offset)
{
    int64_t now = now_us();
    for (int i = 0; i < lane->count; i++) {
        printf("ok %lld %d %lld %lld\n", (long long)lane->next, lane->partition,
               (long long)(base_offset + i), (long long)now);
        lane->next += lane->producer->partitions;
    }
    lane->count = 0;
    lane->backoff_ms = BACKOFF_MS;
    lane->retry_ms = 0;
}

static void again_later(struct lane *lane)
{
    lane->count = 0;
    lane->retry_ms = (int64_t)uv_now(&lane->producer->loop) + lane->backoff_ms;
    lane->backoff_ms =
        lane->backoff_ms * 2 < BACKOFF_LIMIT_MS ? lane->backoff_ms * 2 : BACKOFF_LIMIT_MS;
    ask_leaders(lane->producer);
}

static void on_produced(void *ctx, const struct client_answer *answer)
{
    struct lane *lane = ctx;
    const struct produce_response *r = answer->response;
    if (answer->error != ERR_NONE || r->responses.count != 1 ||
        r->responses.items[0].partition_responses.count != 1) {
        again_later(lane);
        return;
    }
    const struct produce_response_partition_response *part =
        &r->responses.items[0].partition_responses.items[0];
    int32_t epoch = part->current_leader.leader_epoch;
    if (part->error_code == KAFKA_NONE) {
        acknowledge(lane, part->base_offset);
    } else if (lane->producer->knows_951 && epoch > lane->epoch) {
        lane->leader = part->current_leader.leader_id;
        lane->epoch = epoch;
        lane->count = 0;
        send_lane(lane);
    } else {
        again_later(lane);
    }
}

static void build_batch(struct lane *lane)
{
    struct batch_builder builder;
    batch_builder_init(&builder);
    for (int64_t number = lane->next; number < lane->producer->made && lane->count < BATCH;
         number += lane->producer->partitions) {
        char text[128];
        int size = snprintf(text, sizeof text, "%s:%lld", lane->producer->name, (long long)number);
        batch_builder_add(&builder, (int64_t)time(NULL) * 1000, (struct wire_bytes){NULL, -1},
                          (struct wire_bytes){(const uint8_t *)text, size}, NULL, 0);
        lane->count++;
    }
    lane->records.size = 0;
    enum err error = batch_build(&builder, &lane->records, NULL);
    ASSERT(error == ERR_NONE);
    batch_builder_free(&builder);
}

static void send_lane(struct lane *lane)
{
    struct producer *p = lane->producer;
    build_batch(lane);
    lane->part.index = lane->partition;
    lane->part.records.data = lane->records.data;
    lane->part.records.size = (int32_t)lane->records.size;
    lane->topic.name = wire_str(p->topic);
    lane->topic.partition_data.items = &lane->part;
    lane->topic.partition_data.count = 1;
    lane->request.transactional_id = WIRE_STR_NULL;
    lane->request.acks = -1;
    lane->request.timeout_ms = REQUEST_MS;
    lane->request.topic_data.items = &lane->topic;
    lane->request.topic_data.count = 1;
    struct client_request request =
        client_request_of(0, &lane->request, REQUEST_MS, on_produced, lane);
    request.min_version = 3;
    request.max_version = p->knows_951 ? 12 : 9;
    asker_send(p->asker, cluster_broker(lane->leader), &request);
}

static void make_due(struct producer *p)
{
    int64_t now = now_us();
    int64_t due = (now - p->started_us) * p->per_second / 1000000;
    for (; p->made < due && !enough; p->made++) {
        printf("send %lld %d %lld\n", (long long)p->made, (int)(p->made % p->partitions),
               (long long)now);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct producer *p = timer->data;
    bool idle = true;
    make_due(p);
    for (int i = 0; i < p->partitions; i++) {
        struct lane *lane = &p->lanes[i];
        idle = idle && lane->next >= p->made;
        if (lane->count > 0 || lane->next >= p->made ||
            (int64_t)uv_now(&p->loop) < lane->retry_ms) {
            continue;
        }
        if (lane->leader < 0) {
            again_later(lane);
        } else {
            send_lane(lane);
        }
    }
    fflush(stdout);
    if (enough && idle) {
        uv_timer_stop(&p->tick);
        uv_close((uv_handle_t *)&p->tick, NULL);
        asker_free(p->asker);
    }
}

int main(int argc, char **argv)
{
    struct producer p = {0};
    struct err_text why;
    if (argc < 6 || argc > 7 || atoi(argv[3]) < 1 || atoi(argv[4]) < 1 ||
        (argc == 7 && strcmp(argv[6], "no-951") != 0)) {
        fprintf(stderr,
                "usage: bench_producer BROKERS TOPIC PARTITIONS PER_SECOND NAME [no-951]\n");
        return 2;
    }
    signal(SIGTERM, on_term);
    p.topic = argv[2];
    p.partitions = atoi(argv[3]);
    p.per_second = atoi(argv[4]);
    p.name = argv[5];
    p.knows_951 = argc == 6;
    p.started_us = now_us();
    p.lanes = mem_zalloc((size_t)p.partitions * sizeof *p.lanes);
    for (int i = 0; i < p.partitions; i++) {
        p.lanes[i] = (struct lane){
            .producer = &p, .partition = i, .leader = -1, .next = i, .backoff_ms = BACKOFF_MS};
    }
    uv_loop_init(&p.loop);
    if (asker_new(&p.loop, argv[1], &p.asker, &why) != ERR_NONE) {
        fprintf(stderr, "%s\n", why.text);
        return 2;
    }
    uv_timer_init(&p.loop, &p.tick);
    p.tick.data = &p;
    uv_timer_start(&p.tick, on_tick, 0, LINGER_MS);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < p.partitions; i++) {
        bytes_free(&p.lanes[i].records);
    }
    mem_free(p.lanes);
    return 0;
}
