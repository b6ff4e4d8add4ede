/* frame: bytes of a stream in, whole Kafka frames out (int32 length, then that many bytes).
 *
 * Sans-IO. The receiver's buffer grows with the bytes that arrive, never with the length declared.
 */
#ifndef COMMON_WIRE_FRAME_H
#define COMMON_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

struct framer {
    uint32_t max_frame_bytes;
    uint8_t length_bytes[4];
    uint32_t length_got;
    uint32_t frame_size;
    struct buf *frame; /* being filled; capacity may be less than frame_size */
};

void framer_init(struct framer *f, uint32_t max_frame_bytes);
void framer_free(struct framer *f);

/* Where the next bytes should be read to, so that a frame's body lands in its own buffer: at least
 * one byte of room. Follow with framer_advance(bytes read). */
void framer_space(struct framer *f, uint8_t **at, size_t *size);

/* Accounts for `size` bytes put at the place framer_space gave. When that completes a frame, *out
 * is the frame (the caller's reference, size = the declared length), else NULL. ERR_TOO_LARGE or
 * ERR_INVALID (negative length) end the stream; `text` says which length. */
enum err framer_advance(struct framer *f, size_t size, struct buf **out, struct err_text *text);

/* Copies in: consumes up to `size` bytes from `data`, stopping after one whole frame. *used tells
 * how many were taken. */
enum err framer_push(struct framer *f, const uint8_t *data, size_t size, size_t *used,
                     struct buf **out, struct err_text *text);

#endif
