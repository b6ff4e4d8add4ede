#include "common/wire/compress.h"

#include <limits.h>
#include <stdbool.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

enum { STEP_BYTES = 64 << 10, XERIAL_HEADER = 16, XERIAL_BLOCK = 32 << 10, GZIP_WINDOW = 15 + 16 };

static const uint8_t XERIAL_MAGIC[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

static enum err corrupt(struct err_text *text, const char *codec, const char *why)
{
    err_set(text, "%s data: %s", codec, why);
    return ERR_CORRUPT;
}

static enum err too_large(struct err_text *text, const char *codec, size_t limit_bytes)
{
    err_set(text, "%s data unpacks to more than %zu bytes", codec, limit_bytes);
    return ERR_TOO_LARGE;
}

/* Room for one more step of output: no more than the limit lets through, plus one byte to notice
 * excess. */
static uint8_t *step_room(struct bytes *out, size_t start, size_t limit_bytes, size_t *room)
{
    ASSERT(out->size - start <= limit_bytes);
    size_t left = limit_bytes - (out->size - start);
    *room = left < STEP_BYTES ? left + 1 : STEP_BYTES;
    return bytes_extend(out, *room);
}

/* ---- gzip ---- */

static enum err gzip_pack(const void *data, size_t size, struct bytes *out, struct err_text *text)
{
    z_stream z = {0};
    ASSERT(size <= UINT_MAX);
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        return corrupt(text, "gzip", "deflate does not start");
    }
    size_t bound = deflateBound(&z, (uLong)size);
    uint8_t *to = bytes_extend(out, bound);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = to;
    z.avail_out = (uInt)bound;
    int code = deflate(&z, Z_FINISH);
    out->size -= z.avail_out;
    deflateEnd(&z);
    return code == Z_STREAM_END ? ERR_NONE : corrupt(text, "gzip", "deflate does not finish");
}

static enum err gzip_unpack(const void *data, size_t size, size_t limit_bytes, struct bytes *out,
                            struct err_text *text)
{
    z_stream z = {0};
    size_t start = out->size;
    if (size > UINT_MAX || inflateInit2(&z, GZIP_WINDOW) != Z_OK) {
        return corrupt(text, "gzip", "inflate does not start");
    }
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    int code = Z_OK;
    while (code != Z_STREAM_END && out->size - start <= limit_bytes) {
        size_t room;
        z.next_out = step_room(out, start, limit_bytes, &room);
        z.avail_out = (uInt)room;
        code = inflate(&z, Z_NO_FLUSH);
        out->size -= z.avail_out;
        if (code != Z_OK && code != Z_STREAM_END) {
            break;
        }
        if (code == Z_STREAM_END && z.avail_in > 0) { /* members follow one another */
            code = inflateReset(&z);
        }
    }
    inflateEnd(&z);
    if (out->size - start > limit_bytes) {
        return too_large(text, "gzip", limit_bytes);
    }
    return code == Z_STREAM_END ? ERR_NONE : corrupt(text, "gzip", "malformed or cut off");
}

/* ---- snappy ---- */

static void put32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

static enum err xerial_pack(const uint8_t *data, size_t size, struct bytes *out)
{
    uint8_t *header = bytes_extend(out, XERIAL_HEADER);
    memcpy(header, XERIAL_MAGIC, sizeof XERIAL_MAGIC);
    put32(header + 8, 1);
    put32(header + 12, 1);
    for (size_t at = 0; at < size; at += XERIAL_BLOCK) {
        size_t step = size - at < XERIAL_BLOCK ? size - at : XERIAL_BLOCK;
        size_t packed = snappy_max_compressed_length(step);
        size_t where = out->size;
        bytes_extend(out, 4 + packed);
        snappy_status status =
            snappy_compress((const char *)data + at, step, (char *)out->data + where + 4, &packed);
        ASSERT(status == SNAPPY_OK && packed <= UINT32_MAX);
        put32(out->data + where, (uint32_t)packed);
        out->size = where + 4 + packed;
    }
    return ERR_NONE;
}

static enum err snappy_block(const uint8_t *data, size_t size, size_t limit_bytes, size_t start,
                             struct bytes *out, struct err_text *text)
{
    size_t plain = 0;
    ASSERT(out->size - start <= limit_bytes);
    if (snappy_uncompressed_length((const char *)data, size, &plain) != SNAPPY_OK) {
        return corrupt(text, "snappy", "malformed block");
    }
    if (plain > limit_bytes - (out->size - start)) {
        return too_large(text, "snappy", limit_bytes);
    }
    /* A copy of 64 bytes takes three: no block unpacks to 22 times its size. */
    if (plain / 22 >= size) {
        return corrupt(text, "snappy", "a block declares more than it can hold");
    }
    size_t before = out->size;
    uint8_t *to = bytes_extend(out, plain);
    if (snappy_uncompress((const char *)data, size, (char *)to, &plain) != SNAPPY_OK) {
        out->size = before;
        return corrupt(text, "snappy", "malformed block");
    }
    return ERR_NONE;
}

static enum err snappy_unpack(const uint8_t *data, size_t size, size_t limit_bytes,
                              struct bytes *out, struct err_text *text)
{
    size_t start = out->size;
    if (size < XERIAL_HEADER || memcmp(data, XERIAL_MAGIC, sizeof XERIAL_MAGIC) != 0) {
        return snappy_block(data, size, limit_bytes, start, out, text);
    }
    size_t at = XERIAL_HEADER;
    while (at < size) {
        if (size - at < 4) {
            return corrupt(text, "snappy", "a block length is cut off");
        }
        size_t block = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 |
                       (size_t)data[at + 2] << 8 | data[at + 3];
        at += 4;
        if (block > size - at) {
            return corrupt(text, "snappy", "a block is longer than the data");
        }
        enum err error = snappy_block(data + at, block, limit_bytes, start, out, text);
        if (error != ERR_NONE) {
            return error;
        }
        at += block;
    }
    return ERR_NONE;
}

/* ---- lz4 ---- */

static enum err lz4_pack(const void *data, size_t size, struct bytes *out, struct err_text *text)
{
    /* Kafka's Java client reads frames of independent blocks only; LZ4F's default is linked ones.
     */
    const LZ4F_preferences_t prefs = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent}};
    size_t bound = LZ4F_compressFrameBound(size, &prefs);
    size_t before = out->size;
    uint8_t *to = bytes_extend(out, bound);
    size_t n = LZ4F_compressFrame(to, bound, data, size, &prefs);
    if (LZ4F_isError(n)) {
        out->size = before;
        return corrupt(text, "lz4", LZ4F_getErrorName(n));
    }
    out->size = before + n;
    return ERR_NONE;
}

static enum err lz4_unpack(const uint8_t *data, size_t size, size_t limit_bytes, struct bytes *out,
                           struct err_text *text)
{
    LZ4F_dctx *ctx = NULL;
    size_t start = out->size;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION))) {
        return corrupt(text, "lz4", "no decompression context");
    }
    size_t at = 0;
    size_t hint = 1;
    bool stuck = false;
    while (hint != 0 && !stuck && out->size - start <= limit_bytes) {
        size_t room;
        uint8_t *to = step_room(out, start, limit_bytes, &room);
        size_t wrote = room;
        size_t took = size - at;
        hint = LZ4F_decompress(ctx, to, &wrote, data + at, &took, NULL);
        out->size -= room - (LZ4F_isError(hint) ? 0 : wrote);
        if (LZ4F_isError(hint)) {
            break;
        }
        at += took;
        stuck = took == 0 && wrote == 0;
    }
    bool done = hint == 0 && at == size;
    LZ4F_freeDecompressionContext(ctx);
    if (out->size - start > limit_bytes) {
        return too_large(text, "lz4", limit_bytes);
    }
    return done ? ERR_NONE : corrupt(text, "lz4", "malformed or cut off");
}

/* ---- zstd ---- */

static enum err zstd_pack(const void *data, size_t size, struct bytes *out, struct err_text *text)
{
    size_t bound = ZSTD_compressBound(size);
    size_t before = out->size;
    uint8_t *to = bytes_extend(out, bound);
    size_t n = ZSTD_compress(to, bound, data, size, ZSTD_CLEVEL_DEFAULT);
    if (ZSTD_isError(n)) {
        out->size = before;
        return corrupt(text, "zstd", ZSTD_getErrorName(n));
    }
    out->size = before + n;
    return ERR_NONE;
}

static enum err zstd_unpack(const void *data, size_t size, size_t limit_bytes, struct bytes *out,
                            struct err_text *text)
{
    enum { WINDOW_LOG_MAX = 27 }; /* 128 MiB: what a frame may ask us to remember */
    ZSTD_DStream *stream = ZSTD_createDStream();
    ASSERT(stream != NULL);
    ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    size_t start = out->size;
    ZSTD_inBuffer in = {data, size, 0};
    size_t hint = 1;
    bool stuck = false;
    while (!(hint == 0 && in.pos == in.size) && !stuck && out->size - start <= limit_bytes) {
        size_t room;
        uint8_t *to = step_room(out, start, limit_bytes, &room);
        ZSTD_outBuffer step = {to, room, 0};
        size_t before = in.pos;
        hint = ZSTD_decompressStream(stream, &step, &in);
        out->size -= room - step.pos;
        if (ZSTD_isError(hint)) {
            break;
        }
        stuck = in.pos == before && step.pos == 0;
    }
    bool done = hint == 0 && in.pos == in.size;
    ZSTD_freeDStream(stream);
    if (out->size - start > limit_bytes) {
        return too_large(text, "zstd", limit_bytes);
    }
    return done ? ERR_NONE : corrupt(text, "zstd", "malformed or cut off");
}

/* ---- by codec ---- */

enum err batch_compress(enum batch_codec codec, const void *data, size_t size, struct bytes *out,
                        struct err_text *text)
{
    switch (codec) {
    case BATCH_NONE:
        bytes_append(out, data, size);
        return ERR_NONE;
    case BATCH_GZIP:
        return gzip_pack(data, size, out, text);
    case BATCH_SNAPPY:
        return xerial_pack(data, size, out);
    case BATCH_LZ4:
        return lz4_pack(data, size, out, text);
    case BATCH_ZSTD:
        return zstd_pack(data, size, out, text);
    }
    err_set(text, "compression codec %d is not known", (int)codec);
    return ERR_UNSUPPORTED;
}

static enum err unpack(enum batch_codec codec, const void *data, size_t size, size_t limit_bytes,
                       struct bytes *out, struct err_text *text)
{
    switch (codec) {
    case BATCH_NONE:
        if (size > limit_bytes) {
            return too_large(text, "plain", limit_bytes);
        }
        bytes_append(out, data, size);
        return ERR_NONE;
    case BATCH_GZIP:
        return gzip_unpack(data, size, limit_bytes, out, text);
    case BATCH_SNAPPY:
        return snappy_unpack(data, size, limit_bytes, out, text);
    case BATCH_LZ4:
        return lz4_unpack(data, size, limit_bytes, out, text);
    case BATCH_ZSTD:
        return zstd_unpack(data, size, limit_bytes, out, text);
    }
    err_set(text, "compression codec %d is not known", (int)codec);
    return ERR_UNSUPPORTED;
}

enum err batch_decompress(enum batch_codec codec, const void *data, size_t size, size_t limit_bytes,
                          struct bytes *out, struct err_text *text)
{
    size_t start = out->size;
    enum err error = unpack(codec, data, size, limit_bytes, out, text);
    ASSERT(error != ERR_NONE || out->size - start <= limit_bytes);
    if (error != ERR_NONE) {
        out->size = start;
    }
    return error;
}
