/* Inside the crew: its listeners. */
#ifndef TESTS_UNIT_QUORUM_CREW_NET_H
#define TESTS_UNIT_QUORUM_CREW_NET_H

#include "tests/unit/quorum/crew.h"

void mate_listen(struct mate *mate);
/* Closes what is open; its quorum is freed already, or has answered everything. */
void mate_hang_up(struct mate *mate, bool crashed);

#endif
