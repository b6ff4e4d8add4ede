/* writer: an acks=all producer (librdkafka) that keeps a history, for history.py and the failover
 * bench.
 *
 *   writer BROKERS TOPIC PARTITIONS PER_SECOND NAME [KEY=VALUE...]
 *
 * Writes the records NAME:0, NAME:1, ... in turn to each partition until SIGTERM, then waits for
 * what is under way. All settings are librdkafka's defaults but for those named. Lines, times in
 * microseconds of CLOCK_MONOTONIC:
 *
 *   send NUMBER PARTITION TIME
 *   ok NUMBER PARTITION OFFSET TIME      acknowledged
 *   fail NUMBER PARTITION TIME WHY       not stored (by the last attempt: certain with retries=0)
 *   info NUMBER PARTITION TIME WHY       given up: may be stored
 */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t enough;

static void on_term(int signum)
{
    (void)signum;
    enough = 1;
}

static long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *ctx)
{
    (void)rk;
    (void)ctx;
    long number = (long)message->_private;
    if (!message->err) {
        printf("ok %ld %d %lld %ld\n", number, message->partition, (long long)message->offset,
               now_us());
        return;
    }
    /* Refused before it was written; NOT_LEADER may come after that, and a timeout any time. */
    int never = message->err == RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS ||
                message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    printf("%s %ld %d %ld %s\n", never ? "fail" : "info", number, message->partition, now_us(),
           rd_kafka_err2str(message->err));
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s: %s\n", name, why);
        exit(2);
    }
}

static rd_kafka_t *producer_new(char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[1]);
    for (char **setting = argv + 6; *setting; setting++) {
        char *value = strchr(*setting, '=');
        if (value == NULL) {
            fprintf(stderr, "%s: not KEY=VALUE\n", *setting);
            exit(2);
        }
        *value++ = '\0';
        set(conf, *setting, value);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (rk == NULL) {
        fprintf(stderr, "%s\n", why);
        exit(2);
    }
    return rk;
}

static int produce(rd_kafka_t *rk, char **argv, long number, int32_t partition)
{
    char text[128];
    int size = snprintf(text, sizeof text, "%s:%ld", argv[5], number);
    printf("send %ld %d %ld\n", number, partition, now_us());
    for (;;) {
        rd_kafka_resp_err_t error = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(argv[2]), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_VALUE(text, (size_t)size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_OPAQUE((void *)number), RD_KAFKA_V_END);
        if (!error) {
            return 0;
        }
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || enough) {
            printf("fail %ld %d %ld %s\n", number, partition, now_us(), rd_kafka_err2str(error));
            return error == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 0 : 1;
        }
        rd_kafka_poll(rk, 50);
    }
}

int main(int argc, char **argv)
{
    if (argc < 6 || atoi(argv[3]) < 1 || atol(argv[4]) < 1) {
        fprintf(stderr, "usage: writer BROKERS TOPIC PARTITIONS PER_SECOND NAME [KEY=VALUE...]\n");
        return 2;
    }
    signal(SIGTERM, on_term);
    signal(SIGINT, on_term);
    setvbuf(stdout, NULL, _IOLBF, 0);
    int32_t partitions = atoi(argv[3]);
    long per_second = atol(argv[4]);
    rd_kafka_t *rk = producer_new(argv);
    long started_us = now_us();
    int status = 0;
    /* The pace is kept by the clock: a late one does not make the next ones late. */
    for (long number = 0; !enough && !status; number++) {
        long due_us = started_us + number * 1000000 / per_second;
        for (long left_us = due_us - now_us(); !enough; left_us = due_us - now_us()) {
            rd_kafka_poll(rk, left_us > 0 ? (int)((left_us + 999) / 1000) : 0);
            if (left_us <= 0) {
                break;
            }
        }
        if (!enough) {
            status = produce(rk, argv, number, (int32_t)(number % partitions));
        }
    }
    rd_kafka_flush(rk, 60000);
    rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(rk, 1000);
    rd_kafka_destroy(rk);
    return status;
}
