#include "common/base/crc32c.h"

#include <isa-l/crc.h>
#include <limits.h>

uint32_t crc32c_extend(uint32_t crc, const void *data, size_t size)
{
    /* ISA-L takes an int length and a non-const pointer it does not write through. */
    unsigned char *at = (unsigned char *)(uintptr_t)data;
    crc = ~crc;
    while (size > 0) {
        int step = size > INT_MAX ? INT_MAX : (int)size;
        crc = crc32_iscsi(at, step, crc);
        at += step;
        size -= (size_t)step;
    }
    return ~crc;
}

uint32_t crc32c(const void *data, size_t size)
{
    return crc32c_extend(0, data, size);
}
