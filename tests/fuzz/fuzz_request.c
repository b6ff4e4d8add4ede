/* A stream of bytes as a broker gets it: frames, request headers, request bodies of every version.
 *
 * Whatever it is, nothing is read beyond it and what is allocated stays within what wire.h
 * promises; a body that can be read can be said again, and then reads the same. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/frame.h"
#include "common/wire/messages.h"
#include "tests/unit/wire/walk.h"

enum { MAX_FRAME_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void say_again(const struct wire_message *m, int16_t version, const void *msg)
{
    struct wire_out out = {0};
    ASSERT(wire_encode(m, version, msg, &out) == ERR_NONE);
    struct arena arena = {0};
    void *back = arena_alloc(&arena, wire_message_size(m));
    struct wire_in in = wire_in_of(out.bytes.data, out.bytes.size);
    ASSERT(wire_decode(m, version, &in, back, &arena) == ERR_NONE);
    ASSERT(wire_in_left(&in) == 0);
    ASSERT(walk_difference(m, msg, back) == NULL);
    arena_free(&arena);
    wire_out_free(&out);
}

static void read_body(const struct wire_message *m, int16_t version, struct wire_in in)
{
    size_t size = wire_in_left(&in);
    void *msg = mem_zalloc(wire_message_size(m));
    struct arena arena = {0};
    enum err error = wire_decode(m, version, &in, msg, &arena);
    ASSERT(arena.used_bytes <= size * WIRE_DECODE_BYTES_PER_BYTE + WIRE_DECODE_BYTES_EXTRA);
    if (error == ERR_NONE) {
        say_again(m, version, msg);
    }
    arena_free(&arena);
    mem_free(msg);
}

static void read_frame(const struct buf *frame)
{
    struct wire_in in = wire_in_of(frame->data, frame->size);
    struct wire_request_header header;
    if (wire_get_request_header(&in, &header) == ERR_NONE) {
        const struct wire_api *api = wire_api_of(header.api_key);
        read_body(api->request, header.api_version, in);
        /* The rest of the frame as an answer, which is what our own client side reads. */
        read_body(api->response, header.api_version, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct framer framer;
    framer_init(&framer, MAX_FRAME_BYTES);
    enum err error = ERR_NONE;
    size_t at = 0;
    while (at < size && error == ERR_NONE) {
        struct buf *frame = NULL;
        size_t used = 0;
        error = framer_push(&framer, data + at, size - at, &used, &frame, NULL);
        at += used;
        ASSERT(framer.frame == NULL || framer.frame->capacity <= 2 * size + (64 << 10));
        if (frame != NULL) {
            read_frame(frame);
            buf_unref(frame);
        }
    }
    framer_free(&framer);
    return 0;
}
