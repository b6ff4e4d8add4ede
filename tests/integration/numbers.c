/* numbers: an idempotent acks=all producer (librdkafka) of the numbers 0..COUNT-1, one a record,
 * number N to partition N modulo PARTITIONS (1).
 *
 *   numbers BROKERS TOPIC COUNT PER_SECOND [PARTITIONS]
 *
 * Prints each number when, and only when, the broker has acknowledged it. Goes on through broker
 * restarts; exits 1 when librdkafka gives up on a record. SIGTERM: no further number, the rest is
 * waited for. */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int failed;
static volatile sig_atomic_t enough;

static void on_term(int signum)
{
    (void)signum;
    enough = 1;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *ctx)
{
    (void)rk;
    (void)ctx;
    if (message->err) {
        fprintf(stderr, "%.*s: %s\n", (int)message->len, (const char *)message->payload,
                rd_kafka_err2str(message->err));
        failed = 1;
        return;
    }
    printf("%.*s\n", (int)message->len, (const char *)message->payload);
    fflush(stdout);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s: %s\n", name, why);
        exit(2);
    }
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A poll ends with the first event it serves: the pace needs as many as it takes. */
static void poll_for(rd_kafka_t *rk, long ms)
{
    long end_ms = now_ms() + ms;
    do {
        long left_ms = end_ms - now_ms();
        rd_kafka_poll(rk, left_ms > 0 ? (int)left_ms : 0);
    } while (now_ms() < end_ms && !enough);
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: numbers BROKERS TOPIC COUNT PER_SECOND [PARTITIONS]\n");
        return 2;
    }
    signal(SIGTERM, on_term);
    int partitions = argc == 6 ? atoi(argv[5]) : 1;
    long count = atol(argv[3]);
    long per_second = atol(argv[4]);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "1");
    set(conf, "reconnect.backoff.max.ms", "200");
    set(conf, "message.timeout.ms", "120000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (rk == NULL) {
        fprintf(stderr, "%s\n", why);
        return 2;
    }
    for (long i = 0; i < count && !failed && !enough; i++) {
        char text[24];
        int size = snprintf(text, sizeof text, "%ld", i);
        rd_kafka_resp_err_t error;
        while ((error = rd_kafka_producev(
                    rk, RD_KAFKA_V_TOPIC(argv[2]), RD_KAFKA_V_PARTITION((int32_t)(i % partitions)),
                    RD_KAFKA_V_VALUE(text, (size_t)size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                    RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(rk, 50);
        }
        if (error) {
            fprintf(stderr, "produce: %s\n", rd_kafka_err2str(error));
            return 1;
        }
        poll_for(rk, per_second > 0 && i % 100 == 99 ? 100000 / per_second : 0);
    }
    rd_kafka_resp_err_t left = rd_kafka_flush(rk, 120000);
    rd_kafka_destroy(rk);
    return failed || left ? 1 : 0;
}
