/* Inside the crew. */
#ifndef TESTS_UNIT_QUORUM_CREW_SNAPSHOT_H
#define TESTS_UNIT_QUORUM_CREW_SNAPSHOT_H

#include "tests/unit/quorum/crew.h"

/* quorum_events' */
void mate_give_snapshot(void *ctx);
void mate_take_snapshot(void *ctx, const struct quorum_snapshot_part *part);

#endif
