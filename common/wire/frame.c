#include "common/wire/frame.h"

#include <string.h>

#include "common/base/assert.h"

enum { FRAME_FIRST_BYTES = 64 << 10 };

void framer_init(struct framer *f, uint32_t max_frame_bytes)
{
    ASSERT(max_frame_bytes > 0 && max_frame_bytes <= INT32_MAX);
    *f = (struct framer){.max_frame_bytes = max_frame_bytes};
}

void framer_free(struct framer *f)
{
    buf_unref(f->frame);
    f->frame = NULL;
    f->length_got = 0;
}

/* Doubles the buffer, up to the frame's size, when what has arrived fills it. */
static void make_room(struct framer *f)
{
    if (f->frame->size < f->frame->capacity) {
        return;
    }
    size_t wanted = f->frame->capacity * 2;
    struct buf *larger = buf_new(wanted < f->frame_size ? wanted : f->frame_size);
    memcpy(larger->data, f->frame->data, f->frame->size);
    larger->size = f->frame->size;
    buf_unref(f->frame);
    f->frame = larger;
}

void framer_space(struct framer *f, uint8_t **at, size_t *size)
{
    if (f->frame == NULL) {
        *at = f->length_bytes + f->length_got;
        *size = sizeof f->length_bytes - f->length_got;
        return;
    }
    make_room(f);
    *at = f->frame->data + f->frame->size;
    *size = f->frame->capacity - f->frame->size;
    ASSERT(*size > 0);
}

static enum err length_complete(struct framer *f, struct err_text *text)
{
    const uint8_t *b = f->length_bytes;
    int32_t length = (int32_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 |
                               (uint32_t)b[3]);
    if (length < 0) {
        err_set(text, "frame with a negative length of %d bytes", length);
        return ERR_INVALID;
    }
    if ((uint32_t)length > f->max_frame_bytes) {
        err_set(text, "frame of %d bytes is larger than %u", length, f->max_frame_bytes);
        return ERR_TOO_LARGE;
    }
    f->frame_size = (uint32_t)length;
    f->frame = buf_new(f->frame_size < FRAME_FIRST_BYTES ? f->frame_size : FRAME_FIRST_BYTES);
    return ERR_NONE;
}

enum err framer_advance(struct framer *f, size_t size, struct buf **out, struct err_text *text)
{
    *out = NULL;
    if (f->frame == NULL) {
        ASSERT(size <= sizeof f->length_bytes - f->length_got);
        f->length_got += (uint32_t)size;
        if (f->length_got < sizeof f->length_bytes) {
            return ERR_NONE;
        }
        enum err error = length_complete(f, text);
        if (error != ERR_NONE) {
            return error;
        }
    } else {
        ASSERT(size <= f->frame->capacity - f->frame->size);
        f->frame->size += size;
    }
    if (f->frame->size == f->frame_size) {
        *out = f->frame;
        f->frame = NULL;
        f->length_got = 0;
    }
    return ERR_NONE;
}

enum err framer_push(struct framer *f, const uint8_t *data, size_t size, size_t *used,
                     struct buf **out, struct err_text *text)
{
    *used = 0;
    *out = NULL;
    while (*used < size && *out == NULL) {
        uint8_t *at;
        size_t room;
        framer_space(f, &at, &room);
        size_t step = size - *used < room ? size - *used : room;
        memcpy(at, data + *used, step);
        *used += step;
        enum err error = framer_advance(f, step, out, text);
        if (error != ERR_NONE) {
            return error;
        }
    }
    return ERR_NONE;
}
