/* Producers, and what must hold: at every look, and when all is quiet. */
#include <stdlib.h>

#include "tests/unit/replica/cluster.h"

struct produce {
    struct list node; /* in node.produces */
    struct replica_append append;
    struct node *to;
    int part;
    uint64_t number;
    int32_t count;
};

static const char *where(const struct cluster *c, int part)
{
    static char text[80];
    snprintf(text, sizeof text, "%s-%d at %lld us", c->parts[part].topic, c->parts[part].partition,
             (long long)sim_now_us(c->sim));
    return text;
}

#define CHECK(c, part, cond, ...)                                                                  \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            print_message("%s: ", where((c), (part)));                                             \
            print_message(__VA_ARGS__);                                                            \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

/* What of its log a crash of the kind that this run has cannot take. */
static int64_t safe_end(const struct part *part, const struct replica *replica)
{
    return part->durable ? log_durable_end(replica_log(replica)) : log_end(replica_log(replica));
}

/* Whatever was acknowledged, or below a high watermark, is on every in-sync member's disk. */
static void check_members(struct cluster *c, int index, int64_t end, const char *what)
{
    const struct part *part = &c->parts[index];
    for (int32_t i = 0; i < part->isr_count; i++) {
        struct replica *replica = cluster_replica(&c->nodes[part->isr[i]], index);
        if (replica != NULL) {
            CHECK(c, index, safe_end(part, replica) >= end,
                  "broker %d is in sync and has %lld (durable %lld), but %lld was %s\n",
                  part->isr[i], (long long)log_end(replica_log(replica)),
                  (long long)log_durable_end(replica_log(replica)), (long long)end, what);
        }
    }
}

/* A cut that goes too far is made good within milliseconds: looked for at once. */
void cluster_check_node(struct node *node)
{
    struct cluster *c = node->cluster;
    for (int index = 0; index < c->part_count; index++) {
        const struct part *part = &c->parts[index];
        struct replica *replica = cluster_replica(node, index);
        for (int32_t i = 0; replica != NULL && i < part->isr_count; i++) {
            CHECK(c, index, part->isr[i] != node->id || safe_end(part, replica) >= part->mark,
                  "broker %d is in sync and cut its log to %lld below %lld\n", node->id,
                  (long long)safe_end(part, replica), (long long)part->mark);
        }
    }
}

/* ---- producing ---- */

static void on_produced(struct replica_append *append)
{
    struct produce *produce = append->ctx;
    struct cluster *c = produce->to->cluster;
    if (append->error == KAFKA_NONE) {
        int64_t end = append->base_offset + produce->count;
        check_members(c, produce->part, end, "acknowledged");
        if (end > c->parts[produce->part].mark) {
            c->parts[produce->part].mark = end;
        }
        for (int32_t i = 0; i < produce->count; i++) {
            *MEM_PUSH(c->acked, c->acked_count, c->acked_capacity) =
                (struct acked){.part = produce->part,
                               .offset = append->base_offset + i,
                               .number = produce->number + (uint64_t)i};
        }
        c->counts.acked += (uint64_t)produce->count;
    } else {
        c->counts.refused++;
        c->last_error = append->error;
    }
    list_remove(&produce->node);
    mem_free(produce);
}

bool cluster_produce(struct cluster *c, int part)
{
    struct node *to = NULL;
    for (int32_t i = 0, first = (int32_t)rng_below(&c->rng, BROKERS); i < BROKERS; i++) {
        struct node *node = &c->nodes[(first + i) % BROKERS + 1];
        struct replica *replica = cluster_replica(node, part);
        if (replica != NULL && sim_now_us(c->sim) >= node->stalled_until_us &&
            replica_check(replica, -1, true) == KAFKA_NONE) {
            to = node;
            break;
        }
    }
    if (to == NULL) {
        return false;
    }
    struct produce *produce = mem_zalloc(sizeof *produce);
    struct batch_builder builder;
    struct bytes out = {0};
    produce->to = to;
    produce->part = part;
    produce->count = 1 + (int32_t)rng_below(&c->rng, 3);
    produce->number = c->next_number;
    c->next_number += (uint64_t)produce->count;
    batch_builder_init(&builder);
    for (int32_t i = 0; i < produce->count; i++) {
        char text[200];
        int size = snprintf(text, sizeof text, "%llu ",
                            (unsigned long long)produce->number + (unsigned long long)i);
        size += (int)rng_below(&c->rng, 100);
        memset(text + strlen(text), '.', sizeof text - strlen(text));
        struct wire_bytes value = {.data = (const uint8_t *)text, .size = size};
        batch_builder_add(&builder, env_wall_ms(to->env), (struct wire_bytes){NULL, -1}, value,
                          NULL, 0);
    }
    assert_int_equal(batch_build(&builder, &out, NULL), ERR_NONE);
    batch_builder_free(&builder);
    struct buf *buf = buf_copy(out.data, out.size);
    bytes_free(&out);
    produce->append.done = on_produced;
    produce->append.ctx = produce;
    list_push(&to->produces, &produce->node);
    if (replica_append(cluster_replica(to, part), buf, 0, buf->size, -1, &produce->append)) {
        on_produced(&produce->append);
    }
    buf_unref(buf);
    return true;
}

void cluster_produces_drop(struct node *node)
{
    struct list *at;
    while ((at = list_pop(&node->produces)) != NULL) {
        mem_free(CONTAINER_OF(at, struct produce, node));
    }
}

/* ---- at every look ---- */

static void check_marks(struct cluster *c, int index)
{
    struct part *part = &c->parts[index];
    for (int32_t id = 1; id <= BROKERS; id++) {
        struct node *node = &c->nodes[id];
        struct replica *replica = cluster_replica(node, index);
        if (replica == NULL) {
            continue;
        }
        int64_t mark = replica_high_watermark(replica);
        CHECK(c, index, mark <= safe_end(part, replica),
              "broker %d has a high watermark %lld past its end\n", id, (long long)mark);
        /* One that starts anew takes the batch that its start lies within. */
        bool anew = log_end(replica_log(replica)) <= node->marks[index];
        CHECK(c, index, mark >= node->marks[index] || anew,
              "broker %d's high watermark went from %lld back to %lld\n", id,
              (long long)node->marks[index], (long long)mark);
        node->marks[index] = mark;
        if (replica_check(replica, -1, true) != KAFKA_NONE) {
            continue;
        }
        if (replica_leader_epoch(replica) == part->leader_epoch &&
            replica_high_watermark_known(replica)) {
            CHECK(c, index, mark >= part->mark,
                  "leader %d of epoch %d shows a high watermark of %lld after one of %lld\n", id,
                  part->leader_epoch, (long long)mark, (long long)part->mark);
        }
        part->mark = mark > part->mark ? mark : part->mark;
    }
}

/* Same epoch at the same offset is the same record, as an epoch has one leader. */
static void check_same(struct cluster *c, int index, struct replica *a, struct replica *b)
{
    const struct log *la = replica_log(a);
    const struct log *lb = replica_log(b);
    int64_t end = replica_high_watermark(a) < replica_high_watermark(b) ? replica_high_watermark(a)
                                                                        : replica_high_watermark(b);
    int64_t start = log_start(la) > log_start(lb) ? log_start(la) : log_start(lb);
    start = start > c->parts[index].start ? start : c->parts[index].start;
    int64_t step = (end - start) / 10 + 1;
    for (int64_t offset = end - 1; offset >= start; offset -= step) {
        int32_t here = log_epoch_at(la, offset);
        int32_t there = log_epoch_at(lb, offset);
        /* Unknown below where the start once was: a crash may forget that it had moved. */
        CHECK(c, index, here == there || here < 0 || there < 0,
              "offset %lld is of epoch %d here and of %d there\n", (long long)offset, here, there);
    }
}

void cluster_check(struct cluster *c)
{
    for (int index = 0; index < c->part_count; index++) {
        check_marks(c, index);
        check_members(c, index, c->parts[index].mark, "below a high watermark");
        for (int32_t a = 1; a <= BROKERS; a++) {
            for (int32_t b = 1; b < a; b++) {
                struct replica *ra = cluster_replica(&c->nodes[a], index);
                struct replica *rb = cluster_replica(&c->nodes[b], index);
                if (ra != NULL && rb != NULL) {
                    check_same(c, index, ra, rb);
                }
            }
        }
    }
}

/* ---- when all is quiet ---- */

bool cluster_settled(struct cluster *c)
{
    for (int index = 0; index < c->part_count; index++) {
        const struct part *part = &c->parts[index];
        struct node *leader = cluster_leader(c, index);
        if (leader == NULL || part->isr_count != BROKERS) {
            return false;
        }
        int64_t end = log_end(replica_log(cluster_replica(leader, index)));
        for (int32_t id = 1; id <= BROKERS; id++) {
            struct replica *replica = cluster_replica(&c->nodes[id], index);
            if (replica == NULL || log_end(replica_log(replica)) != end ||
                log_assigned_end(replica_log(replica)) != end ||
                replica_high_watermark(replica) != end || replica_isr_count(replica) != BROKERS) {
                return false;
            }
        }
    }
    return true;
}

static void note_read(struct log_read *read)
{
    *(bool *)read->ctx = true;
}

static bool is_set(void *ctx)
{
    return *(const bool *)ctx;
}

static struct bytes read_log(struct cluster *c, int index, struct replica *replica, int64_t from)
{
    struct bytes all = {0};
    struct log *log = replica_log(replica);
    int64_t at = from;
    while (at < log_end(log)) {
        bool done = false;
        struct log_read read = {.offset = at,
                                .limit_offset = log_end(log),
                                .max_bytes = 1 << 20,
                                .whole_first = true,
                                .want_bytes = true,
                                .done = note_read,
                                .ctx = &done};
        if (!log_read(log, &read)) {
            assert_true(sim_run_until(c->sim, is_set, &done, 60000, 0));
        }
        CHECK(c, index, read.error == ERR_NONE && read.bytes != NULL, "read at %lld: %s\n",
              (long long)at, read.text.text);
        bytes_append(&all, read.bytes->data, read.bytes->size);
        buf_unref(read.bytes);
        env_file_unref(read.file);
        at = read.next_offset;
    }
    return all;
}

/* numbers[offset] is the number of the record there. */
static uint64_t *numbers_of(struct cluster *c, int index, const struct bytes *log, int64_t end)
{
    uint64_t *numbers = mem_array((size_t)end + 1, sizeof *numbers);
    int64_t next = -1;
    for (size_t at = 0; at < log->size;) {
        struct record_walk walk;
        struct record record;
        assert_int_equal(record_walk_init(&walk, log->data + at, log->size - at, 1 << 20, NULL),
                         ERR_NONE);
        CHECK(c, index, next < 0 || walk.batch.base_offset == next,
              "a batch at %lld follows offset %lld\n", (long long)walk.batch.base_offset,
              (long long)next - 1);
        while (record_walk_next(&walk, &record)) {
            numbers[record.offset] = strtoull((const char *)record.value.data, NULL, 10);
        }
        next = batch_next_offset(&walk.batch);
        at += walk.batch.size;
        record_walk_free(&walk);
    }
    CHECK(c, index, next == end || log->size == 0, "the log ends at %lld, not %lld\n",
          (long long)next, (long long)end);
    return numbers;
}

static void check_part(struct cluster *c, int index)
{
    struct replica *first = cluster_replica(&c->nodes[1], index);
    int64_t from = c->parts[index].start; /* which a crash may make a copy forget */
    for (int32_t id = 1; id <= BROKERS; id++) {
        int64_t start = log_start(replica_log(cluster_replica(&c->nodes[id], index)));
        from = start > from ? start : from;
    }
    struct bytes log = read_log(c, index, first, from);
    int64_t end = log_end(replica_log(first));
    for (int32_t id = 2; id <= BROKERS; id++) {
        struct bytes other = read_log(c, index, cluster_replica(&c->nodes[id], index), from);
        CHECK(c, index,
              other.size == log.size &&
                  (log.size == 0 || memcmp(other.data, log.data, log.size) == 0),
              "the logs of brokers 1 and %d differ\n", id);
        bytes_free(&other);
    }
    uint64_t *numbers = numbers_of(c, index, &log, end);
    for (size_t i = 0; i < c->acked_count; i++) {
        const struct acked *acked = &c->acked[i];
        if (acked->part == index && acked->offset >= from) {
            CHECK(c, index, acked->offset < end && numbers[acked->offset] == acked->number,
                  "number %llu was acknowledged at offset %lld and is not there\n",
                  (unsigned long long)acked->number, (long long)acked->offset);
        }
    }
    mem_free(numbers);
    bytes_free(&log);
}

void cluster_check_settled(struct cluster *c)
{
    for (int index = 0; index < c->part_count; index++) {
        check_part(c, index);
    }
}

void cluster_describe(struct cluster *c)
{
    for (int index = 0; index < c->part_count; index++) {
        const struct part *part = &c->parts[index];
        print_message("%s-%d: leader %d, epoch %d, partition epoch %d, in sync %d, mark %lld\n",
                      part->topic, part->partition, part->leader, part->leader_epoch,
                      part->partition_epoch, part->isr_count, (long long)part->mark);
        for (int32_t id = 1; id <= BROKERS; id++) {
            struct replica *replica = cluster_replica(&c->nodes[id], index);
            if (replica == NULL) {
                print_message("  broker %d: phase %d, fenced %d\n", id, (int)c->nodes[id].phase,
                              c->fenced[id]);
                continue;
            }
            const struct log *log = replica_log(replica);
            print_message("  broker %d: leader %d of epoch %d, [%lld, %lld) assigned %lld durable "
                          "%lld, mark %lld, in sync %d, fenced %d, image at %zu of %zu\n",
                          id, replica_leader_id(replica), replica_leader_epoch(replica),
                          (long long)log_start(log), (long long)log_end(log),
                          (long long)log_assigned_end(log), (long long)log_durable_end(log),
                          (long long)replica_high_watermark(replica), replica_isr_count(replica),
                          c->fenced[id], c->nodes[id].image_at, c->batch_count);
        }
    }
}
