/* buf: refcounted bytes, and slices of them.
 *
 * A buf is written by one owner until it is shared; from then on its bytes are constant (the one
 * exception is the leader patching offset and epoch of a batch it received and has not shared yet).
 * References may be taken and dropped on any thread; the last drop frees. */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    _Atomic uint32_t refs;
    size_t capacity; /* bytes in data[] */
    size_t size;     /* bytes in use, <= capacity */
    uint8_t data[];
};

/* A buf of `capacity` uninitialised bytes, size 0, one reference held by the caller. */
struct buf *buf_new(size_t capacity);
/* A buf holding a copy of the bytes. */
struct buf *buf_copy(const void *data, size_t size);
struct buf *buf_ref(struct buf *b);
/* NULL is allowed. */
void buf_unref(struct buf *b);

/* Bytes inside a buf. The slice holds one reference if it was made by slice_of; owner may be NULL
 * for borrowed bytes, which then must outlive the slice. */
struct slice {
    struct buf *owner;
    const uint8_t *data;
    size_t size;
};

/* Takes a new reference on `b`. offset + size must lie within b->size. */
struct slice slice_of(struct buf *b, size_t offset, size_t size);
struct slice slice_ref(struct slice s);
void slice_unref(struct slice s);

/* bytes: a growing byte array with one owner. Zero-initialise to start. */
struct bytes {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

/* Appends `size` uninitialised bytes and returns them; valid until the next call. */
uint8_t *bytes_extend(struct bytes *b, size_t size);
void bytes_append(struct bytes *b, const void *data, size_t size);
/* printf into the end; no trailing NUL is kept in size, but one follows the bytes. */
void bytes_printf(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bytes_free(struct bytes *b);

#endif
