#include "tests/sim/ledger.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/ledger_internal.h"

enum { VALUE_HEAD_BYTES = 16, OFFSETS_MAX = 1 << 24 };

struct ledger *ledger_new(struct verdict *verdict)
{
    struct ledger *l = mem_zalloc(sizeof *l);
    l->verdict = verdict;
    return l;
}

void ledger_free(struct ledger *l)
{
    for (int i = 0; i < l->part_count; i++) {
        for (int w = 0; w < LEDGER_WRITERS_MAX; w++) {
            mem_free(l->parts[i].streams[w].numbers);
        }
        mem_free(l->parts[i].entries);
        mem_free(l->parts[i].commits);
    }
    mem_free(l);
}

int ledger_add_part(struct ledger *l, const char *topic, int32_t partition)
{
    ASSERT(l->part_count < LEDGER_PARTS_MAX);
    struct ledger_part *part = &l->parts[l->part_count];
    snprintf(part->name, sizeof part->name, "%s-%d", topic, partition);
    /* Nothing has been committed since before the beginning. */
    struct ledger_commit *none = MEM_PUSH(part->commits, part->commit_count, part->commit_capacity);
    *none = (struct ledger_commit){
        .offset = -1, .sent_us = -1, .end_us = -1, .acked = true, .superseded_us = INT64_MAX};
    return l->part_count++;
}

int ledger_add_writer(struct ledger *l, bool once, bool losable)
{
    ASSERT(l->writer_count < LEDGER_WRITERS_MAX);
    ASSERT(!(once && losable));
    l->losable[l->writer_count] = losable;
    l->once[l->writer_count] = once;
    return l->writer_count++;
}

void ledger_producer_id(struct ledger *l, int64_t id)
{
    for (int i = 0; i < l->producer_id_count; i++) {
        if (l->producer_ids[i] == id) {
            verdict_fail(l->verdict, "producer id %lld was given twice", (long long)id);
        }
    }
    if (l->producer_id_count < LEDGER_WRITERS_MAX * 2) {
        l->producer_ids[l->producer_id_count++] = id;
    }
}

int ledger_parts(const struct ledger *l)
{
    return l->part_count;
}

const char *ledger_part_name(const struct ledger *l, int part)
{
    return l->parts[part].name;
}

/* ---- values ---- */

static uint64_t mixed(uint64_t v)
{
    v = (v ^ (v >> 31)) * 0x9E3779B97F4A7C15ULL;
    v = (v ^ (v >> 29)) * 0xBF58476D1CE4E5B9ULL;
    return v ^ (v >> 32);
}

/* Mostly small, one in sixteen up to 2 KiB. */
static size_t filler_bytes(uint64_t chance)
{
    return (chance & 15) == 0 ? (chance >> 8) % 2048 : (chance >> 8) % 64;
}

void ledger_value(int writer, int part, int64_t number, struct bytes *out)
{
    uint64_t chance = mixed((uint64_t)number * 256 + (uint64_t)writer * 16 + (uint64_t)part + 1);
    size_t filler = filler_bytes(chance);
    uint8_t *at = bytes_extend(out, VALUE_HEAD_BYTES + filler);
    int32_t head[2] = {writer, part};
    memcpy(at, head, sizeof head);
    memcpy(at + 8, &number, sizeof number);
    for (size_t i = 0; i < filler; i++) {
        at[VALUE_HEAD_BYTES + i] = (uint8_t)('a' + (chance + i) % 26);
    }
}

/* ---- what stands where ---- */

/* A writer's numbers stand once, in the order sent. */
static void check_stream(struct ledger *l, int part, int writer, int64_t number, int64_t offset)
{
    struct ledger_stream *stream = &l->parts[part].streams[writer];
    struct ledger_number *n = &stream->numbers[number];
    const char *name = l->parts[part].name;
    if (n->offset >= 0 && n->offset != offset) {
        verdict_fail(l->verdict,
                     "duplicate: number %lld of writer %d stands at offsets %lld and %lld of %s",
                     (long long)number, writer, (long long)n->offset, (long long)offset, name);
        return;
    }
    n->offset = offset;
    bool late = number > 0 && n[-1].offset >= 0 && n[-1].offset >= offset;
    bool early = (size_t)number + 1 < stream->count && n[1].offset >= 0 && n[1].offset <= offset;
    if (late || early) {
        verdict_fail(
            l->verdict, "order: number %lld of writer %d at offset %lld of %s, its %s at %lld",
            (long long)number, writer, (long long)offset, name, late ? "predecessor" : "successor",
            (long long)(late ? n[-1].offset : n[1].offset));
    }
}

static void place(struct ledger *l, int part, int64_t offset, int writer, int64_t number,
                  const char *how)
{
    struct ledger_part *p = &l->parts[part];
    if (offset < 0 || offset >= OFFSETS_MAX) {
        verdict_fail(l->verdict, "%s: offset %lld of %s cannot be", how, (long long)offset,
                     p->name);
        return;
    }
    while (p->count <= (size_t)offset) {
        struct ledger_entry *entry = MEM_PUSH(p->entries, p->count, p->capacity);
        *entry = (struct ledger_entry){.writer = -1};
    }
    struct ledger_entry *entry = &p->entries[offset];
    if (entry->writer >= 0 && (entry->writer != writer || entry->number != number)) {
        verdict_fail(l->verdict,
                     "lost: offset %lld of %s was number %lld of writer %d, and %s says number "
                     "%lld of writer %d",
                     (long long)offset, p->name, (long long)entry->number, entry->writer, how,
                     (long long)number, writer);
        return;
    }
    *entry = (struct ledger_entry){.writer = writer, .number = number};
    p->high = offset + 1 > p->high ? offset + 1 : p->high;
    if (l->once[writer]) {
        check_stream(l, part, writer, number, offset);
    } else {
        p->streams[writer].numbers[number].offset = offset;
    }
}

void ledger_sent(struct ledger *l, int writer, int part, int64_t first, int32_t count)
{
    struct ledger_stream *stream = &l->parts[part].streams[writer];
    ASSERT(first == (int64_t)stream->count && count > 0);
    for (int32_t i = 0; i < count; i++) {
        struct ledger_number *n = MEM_PUSH(stream->numbers, stream->count, stream->capacity);
        *n = (struct ledger_number){.offset = -1};
    }
}

void ledger_acked(struct ledger *l, int writer, int part, int64_t first, int32_t count,
                  int64_t base_offset)
{
    struct ledger_stream *stream = &l->parts[part].streams[writer];
    ASSERT(first >= 0 && (size_t)first + (size_t)count <= stream->count);
    for (int32_t i = 0; i < count; i++) {
        l->acked += !stream->numbers[first + i].acked;
        stream->numbers[first + i].acked = true;
        if (base_offset >= 0 && !l->losable[writer]) {
            place(l, part, base_offset + i, writer, first + i, "an acknowledgement");
        }
    }
}

void ledger_read(struct ledger *l, int part, int64_t offset, const uint8_t *value, int32_t size)
{
    struct ledger_part *p = &l->parts[part];
    int32_t head[2] = {-1, -1};
    int64_t number = -1;
    l->reads++;
    if (value != NULL && size >= VALUE_HEAD_BYTES) {
        memcpy(head, value, sizeof head);
        memcpy(&number, value + 8, sizeof number);
    }
    bool sent = head[0] >= 0 && head[0] < l->writer_count && head[1] == part && number >= 0 &&
                (size_t)number < p->streams[head[0]].count;
    struct bytes expected = {0};
    if (sent) {
        ledger_value(head[0], part, number, &expected);
        sent = expected.size == (size_t)size && memcmp(expected.data, value, (size_t)size) == 0;
    }
    bytes_free(&expected);
    if (!sent) {
        verdict_fail(l->verdict,
                     "phantom: offset %lld of %s holds what nobody sent there "
                     "(%d bytes, part %d, writer %d, number %lld)",
                     (long long)offset, p->name, size, head[1], head[0], (long long)number);
        return;
    }
    place(l, part, offset, head[0], number, "a read");
}

int64_t ledger_high(const struct ledger *l, int part)
{
    return l->parts[part].high;
}

void ledger_check_end(struct ledger *l)
{
    for (int i = 0; i < l->part_count; i++) {
        for (int w = 0; w < l->writer_count; w++) {
            const struct ledger_stream *stream = &l->parts[i].streams[w];
            for (size_t n = 0; n < stream->count && !l->losable[w]; n++) {
                if (stream->numbers[n].acked && stream->numbers[n].offset < 0) {
                    verdict_fail(l->verdict,
                                 "unseen: number %zu of writer %d in %s was acknowledged and is "
                                 "nowhere",
                                 n, w, l->parts[i].name);
                }
            }
        }
    }
}

uint64_t ledger_acked_count(const struct ledger *l)
{
    return l->acked;
}

uint64_t ledger_read_count(const struct ledger *l)
{
    return l->reads;
}
