/* tally: what happened in all universes of a run, for the summary line. */
#ifndef TESTS_SIM_TALLY_H
#define TESTS_SIM_TALLY_H

#include <stdint.h>

#define FAULT_TABLE(X)                                                                             \
    X(KILL, "kill")                                                                                \
    X(POWER, "power")                                                                              \
    X(POWER_CUT, "power-cut")                                                                      \
    X(AT_OP, "at-file-operation")                                                                  \
    X(AT_START, "during-start")                                                                    \
    X(AFTER_REQUEST, "after-request")                                                              \
    X(STOP, "clean-stop")                                                                          \
    X(STALL, "stall")                                                                              \
    X(DISK_STALL, "disk-stall")                                                                    \
    X(RESET, "reset")                                                                              \
    X(BLOCK, "block")                                                                              \
    X(WALL_JUMP, "wall-jump")                                                                      \
    X(APART, "servers-apart")                                                                      \
    X(SLOW, "slow-path")                                                                           \
    X(CUT, "servers-reset")                                                                        \
    X(BLACKOUT, "blackout")                                                                        \
    X(HUNT, "hunted-leaders")                                                                      \
    X(WIPE, "wiped-disks")

enum fault {
#define X(name, text) FAULT_##name,
    FAULT_TABLE(X)
#undef X
        FAULTS
};

struct tally {
    uint64_t seeds;
    uint64_t clusters; /* of them, with more than one server */
    uint64_t elections;
    uint64_t leader_changes;
    uint64_t snapshots; /* of the metadata, held against what is committed */
    uint64_t skips;     /* logs of the metadata that went on from another's snapshot */
    uint64_t preferred; /* answers to who asks that preferred replicas lead */
    uint64_t moves;     /* reassignments that were begun or taken back */
    uint64_t events;
    uint64_t starts;
    uint64_t acked;
    uint64_t reads;
    uint64_t audits;
    uint64_t commits;
    uint64_t topics;
    uint64_t rebalances;
    uint64_t faults[FAULTS];
};

#endif
