/* crc32c: Castagnoli CRC as Kafka's batches and snapshots use it. ISA-L does the work. */
#ifndef COMMON_BASE_CRC32C_H
#define COMMON_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t size);
/* Continues `crc`, the result for the bytes before. */
uint32_t crc32c_extend(uint32_t crc, const void *data, size_t size);

#endif
