/* hex: bytes written as text. */
#ifndef TESTS_UNIT_WIRE_HEX_H
#define TESTS_UNIT_WIRE_HEX_H

#include "common/base/buf.h"

/* "0001 74" as bytes; blanks do not count. Freed by the caller with bytes_free. */
struct bytes hex_bytes(const char *text);
/* Fails the test, showing both, when the bytes are not what `text` says. */
void hex_assert(const void *data, size_t size, const char *text);

#endif
