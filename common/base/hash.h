/* uthash with a hash function that compiles without warnings (its own default falls through its
 * cases). */
#ifndef COMMON_BASE_HASH_H
#define COMMON_BASE_HASH_H

#define HASH_FUNCTION HASH_FNV
#include <uthash.h>

#endif
