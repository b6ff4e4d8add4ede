#include "tests/sim/universe.h"
