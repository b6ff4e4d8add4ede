/* A small cluster made by hand, with one of everything that can be wrong. */
#ifndef TESTS_UNIT_CONSOLE_FIXTURE_H
#define TESTS_UNIT_CONSOLE_FIXTURE_H

#include "console/model.h"

enum { FIXTURE_NOW_MS = 1700000000 };

/* Frozen; the caller's reference. */
const struct model *fixture_model(void);

#endif
