/* A request's end: its answer encoded, its memory freed. What becomes of the answer is the owner's.
 */
#include "broker/api/api.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

void request_free(struct request *request)
{
    for (int i = 0; i < request->piece_count; i++) {
        slice_unref(request->pieces[i].bytes);
        env_file_unref(request->pieces[i].file);
    }
    mem_free(request->pieces);
    buf_unref(request->frame);
    arena_free(&request->arena);
    mem_free(request);
}

/* Cuts the encoded bytes at the splices: bytes, range, bytes, ... The encoder's memory becomes one
 * buf. */
static void make_pieces(struct request *request, const struct wire_out *out)
{
    struct buf *bytes = buf_copy(out->bytes.data, out->bytes.size);
    request->pieces = mem_array(2 * out->splice_count + 1, sizeof *request->pieces);
    int n = 0;
    size_t at = 0;
    for (size_t i = 0; i < out->splice_count; i++) {
        const struct wire_splice *splice = &out->splices[i];
        const struct api_range *range = splice->splice;
        ASSERT(splice->at >= at && range->size == (uint32_t)splice->size);
        if (splice->at > at) {
            request->pieces[n++].bytes = slice_of(bytes, at, splice->at - at);
            at = splice->at;
        }
        request->pieces[n].file = range->file;
        request->pieces[n].at = range->at;
        request->pieces[n++].size = range->size;
    }
    if (bytes->size > at) {
        request->pieces[n++].bytes = slice_of(bytes, at, bytes->size - at);
    }
    request->piece_count = n;
    buf_unref(bytes);
}

void request_respond(struct request *request, const void *response)
{
    ASSERT(!request->answered);
    const struct wire_api *api = wire_api_of(request->header.api_key);
    int16_t version = request->header.api_version;
    struct wire_out out = {0};
    wire_put_i32(&out, 0);
    wire_put_response_header(&out, request->header.api_key, version,
                             request->header.correlation_id);
    enum err error = wire_encode(api->response, request->encode_version, response, &out);
    ASSERT(error == ERR_NONE);
    int64_t size = (int64_t)out.bytes.size + out.spliced_bytes - 4;
    ASSERT(size <= INT32_MAX);
    wire_patch_i32(&out, 0, (int32_t)size);
    make_pieces(request, &out);
    wire_out_free(&out);
    request->answered = true;
    request->api->answered(request->api->ctx, request);
}

void request_finish(struct request *request)
{
    ASSERT(!request->answered);
    request->answered = true;
    request->api->answered(request->api->ctx, request);
}

void request_close_connection(struct request *request, const char *why)
{
    ASSERT(!request->answered);
    request->answered = true; /* its handler has let go of it */
    request->api->drop_connection(request->api->ctx, request, why);
}
