/* Walking the batches of a file. */
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

enum { CHUNK_BYTES = 64 << 10 };

void scan_init(struct scan *s, struct env_fs *fs, struct env_file *file, int64_t at, int64_t size)
{
    ASSERT(at >= 0);
    *s = (struct scan){.fs = fs, .file = file, .at = at, .size = size};
}

void scan_free(struct scan *s)
{
    mem_free(s->chunk);
    s->chunk = NULL;
}

/* Makes [s->at, s->at + want) lie in the chunk; `want` lies within the file. */
static enum err fill(struct scan *s, size_t want, struct err_text *text)
{
    ASSERT(s->at + (int64_t)want <= s->size);
    if (s->at >= s->chunk_at && s->at + (int64_t)want <= s->chunk_at + (int64_t)s->chunk_size) {
        return ERR_NONE;
    }
    size_t size = want > CHUNK_BYTES ? want : CHUNK_BYTES;
    if ((int64_t)size > s->size - s->at) {
        size = (size_t)(s->size - s->at);
    }
    if (size > s->chunk_capacity) {
        mem_free(s->chunk);
        s->chunk = mem_alloc(size);
        s->chunk_capacity = size;
    }
    s->chunk_at = s->at;
    s->chunk_size = 0;
    enum err e = env_fs_read(s->fs, s->file, s->chunk, size, s->at, &s->chunk_size, text);
    if (e == ERR_NONE && s->chunk_size < want) {
        err_set(text, "the file ends at %lld, expected %lld",
                (long long)(s->chunk_at + (int64_t)s->chunk_size), (long long)s->size);
        return ERR_CORRUPT;
    }
    return e;
}

enum err scan_next(struct scan *s, bool whole, struct scanned *out, struct err_text *text)
{
    int64_t left = s->size - s->at;
    if (left <= 0) {
        return ERR_NOT_FOUND;
    }
    if (left < BATCH_HEADER_BYTES) {
        err_set(text, "%lld bytes at position %lld are less than a batch's header", (long long)left,
                (long long)s->at);
        return ERR_CORRUPT;
    }
    enum err e = fill(s, BATCH_HEADER_BYTES, text);
    if (e != ERR_NONE) {
        return e;
    }
    struct err_text why = {{0}};
    const uint8_t *head = s->chunk + (s->at - s->chunk_at);
    e = batch_parse_header(head, BATCH_HEADER_BYTES, &out->batch, &why);
    if (e == ERR_NONE && (int64_t)out->batch.size > left) {
        err_set(&why, "a batch of %u bytes where %lld are left", out->batch.size, (long long)left);
        e = ERR_CORRUPT;
    }
    if (e != ERR_NONE) {
        err_set(text, "no sane batch at position %lld: %s", (long long)s->at, why.text);
        return ERR_CORRUPT;
    }
    if (whole) {
        e = fill(s, out->batch.size, text);
        if (e != ERR_NONE) {
            return e;
        }
        head = s->chunk + (s->at - s->chunk_at);
        if (!batch_crc_ok(head, &out->batch)) {
            err_set(text, "the batch at position %lld (offset %lld) does not match its CRC",
                    (long long)s->at, (long long)out->batch.base_offset);
            return ERR_CORRUPT;
        }
    }
    out->position = s->at;
    out->bytes = head;
    s->at += (int64_t)out->batch.size;
    return ERR_NONE;
}
