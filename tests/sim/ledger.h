/* ledger: what clients sent, were promised and saw; every promise of a log is checked here.
 *
 * Records are numbered: a writer's stream in a partition is 0, 1, 2, ... and a record's whole value
 * follows from (writer, part, number). Acknowledgements and reads both say what stands at an
 * offset, and no two of them may disagree, ever: that is acknowledged-never-lost and
 * read-never-taken-back in one rule. Times are virtual microseconds. */
#ifndef TESTS_SIM_LEDGER_H
#define TESTS_SIM_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "tests/sim/verdict.h"

enum { LEDGER_PARTS_MAX = 16, LEDGER_WRITERS_MAX = 8 };

struct ledger;

struct ledger *ledger_new(struct verdict *verdict);
void ledger_free(struct ledger *l);

/* Parts are 0, 1, ... in the order added. */
int ledger_add_part(struct ledger *l, const char *topic, int32_t partition);
/* `once`: an idempotent writer, whose records stand once and in order. `losable`: what it was
 * acknowledged may yet be lost with its leader (acks=1 in a cluster), so that an acknowledgement
 * says nothing of what stands where; what was read of it stands as anything else. */
int ledger_add_writer(struct ledger *l, bool once, bool losable);
int ledger_parts(const struct ledger *l);
const char *ledger_part_name(const struct ledger *l, int part); /* "topic-0" */

/* An id that InitProducerId gave: no other client may have it. */
void ledger_producer_id(struct ledger *l, int64_t id);

/* ---- records ---- */

/* Appends the record's value. */
void ledger_value(int writer, int part, int64_t number, struct bytes *out);
/* Before the first attempt to send. */
void ledger_sent(struct ledger *l, int writer, int part, int64_t first, int32_t count);
/* base_offset -1: acknowledged as a repeat, without saying where it stands. */
void ledger_acked(struct ledger *l, int writer, int part, int64_t first, int32_t count,
                  int64_t base_offset);
void ledger_read(struct ledger *l, int part, int64_t offset, const uint8_t *value, int32_t size);
/* One past the highest offset anybody was promised or has seen. */
int64_t ledger_high(const struct ledger *l, int part);
/* After everything up to ledger_high was read once more: every acknowledged number stands. */
void ledger_check_end(struct ledger *l);
/* Records acknowledged, and reads checked. */
uint64_t ledger_acked_count(const struct ledger *l);
uint64_t ledger_read_count(const struct ledger *l);

/* ---- committed offsets of the one group ----
 *
 * A part's committed offset is a register that several clients write. A commit without an answer
 * may take effect until every server that may hold the request has gone. */

/* Returns a name for the attempt. */
uint64_t ledger_commit_sent(struct ledger *l, int part, int64_t offset, int64_t now_us);
enum ledger_outcome { LEDGER_DONE, LEDGER_REFUSED, LEDGER_UNKNOWN };
void ledger_commit_ended(struct ledger *l, int part, uint64_t attempt, enum ledger_outcome outcome,
                         int64_t now_us);
/* All servers have gone down: nothing unanswered is on its way any more. */
void ledger_commits_cut(struct ledger *l, int64_t now_us);
/* `offset` (-1: none) was told to a question asked at `asked_us`. `replaced`: perhaps by a
 * coordinator that had been replaced and did not know, who may tell what once stood. */
void ledger_commit_seen(struct ledger *l, int part, int64_t offset, int64_t asked_us,
                        bool replaced);

#endif
