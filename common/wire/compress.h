/* compress: the four codecs of Kafka's batches, whole blocks in memory.
 *
 * gzip by zlib; snappy in xerial's framing, as every Kafka client writes it (a bare snappy block is
 * read too); lz4 and zstd as their standard frames, lz4 with independent blocks. */
#ifndef COMMON_WIRE_COMPRESS_H
#define COMMON_WIRE_COMPRESS_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/err.h"

enum batch_codec { BATCH_NONE, BATCH_GZIP, BATCH_SNAPPY, BATCH_LZ4, BATCH_ZSTD };

/* Appends the compressed bytes to `out`. */
enum err batch_compress(enum batch_codec codec, const void *data, size_t size, struct bytes *out,
                        struct err_text *text);
/* Appends the plain bytes to `out`, at most `limit_bytes` of them (else ERR_TOO_LARGE); `out`
 * grows with what is really unpacked, never with what is declared; a zstd frame may have zstd
 * reserve, without touching it, a window of 128 MiB. ERR_CORRUPT, ERR_UNSUPPORTED. On error `out`
 * holds what it held. */
enum err batch_decompress(enum batch_codec codec, const void *data, size_t size, size_t limit_bytes,
                          struct bytes *out, struct err_text *text);

#endif
