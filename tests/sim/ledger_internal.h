/* Shared by ledger.c and ledger_commits.c only. */
#ifndef TESTS_SIM_LEDGER_INTERNAL_H
#define TESTS_SIM_LEDGER_INTERNAL_H

#include "tests/sim/ledger.h"

/* What stands at an offset; writer -1 while nobody has said. */
struct ledger_entry {
    int32_t writer;
    int64_t number;
};

struct ledger_number {
    int64_t offset; /* -1 while not known */
    bool acked;
};

/* One writer's numbers in one part. */
struct ledger_stream {
    struct ledger_number *numbers;
    size_t count; /* sent so far */
    size_t capacity;
};

struct ledger_commit {
    uint64_t attempt;
    int64_t offset;
    int64_t sent_us;
    int64_t end_us;        /* INT64_MAX while it may still take effect */
    int64_t superseded_us; /* a later commit was acknowledged by then; INT64_MAX while none was */
    bool acked;
};

struct ledger_part {
    char name[80];
    struct ledger_entry *entries; /* by offset */
    size_t count;
    size_t capacity;
    int64_t high;
    struct ledger_stream streams[LEDGER_WRITERS_MAX];
    struct ledger_commit *commits;
    size_t commit_count;
    size_t commit_capacity;
};

struct ledger {
    struct verdict *verdict;
    struct ledger_part parts[LEDGER_PARTS_MAX];
    int part_count;
    bool once[LEDGER_WRITERS_MAX];
    bool losable[LEDGER_WRITERS_MAX];
    int writer_count;
    int64_t producer_ids[LEDGER_WRITERS_MAX * 2];
    int producer_id_count;
    uint64_t acked;
    uint64_t reads;
    uint64_t attempts;
};

#endif
