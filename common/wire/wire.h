/* wire: the Kafka protocol's encoding, as tables.
 *
 * Every message is a plain C struct and a table of its fields, both generated from schema/NAME.msg
 * (common/wire/schema/README.md has the notation). One encoder and one decoder walk the tables at
 * any version, flexible or not (KIP-482). Generated header: "common/wire/messages.h".
 *
 * Shapes: the struct of message fetch_request is `struct fetch_request`; its inner struct type
 * topic is `struct fetch_request_topic`; fields are Kafka's names in snake_case; an array field
 * `topics` is `struct { struct fetch_request_topic *items; int32_t count; } topics` with count -1
 * for null. */
#ifndef COMMON_WIRE_WIRE_H
#define COMMON_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/uuid.h"

/* Not NUL-terminated; size -1 is null. Borrowed from whoever made it. */
struct wire_str {
    const char *data;
    int32_t size;
};

struct wire_bytes {
    const uint8_t *data;
    int32_t size; /* -1 is null */
};

/* A field of type records. Decoded: bytes inside the input. To encode: `data`, or, when `splice` is
 * not NULL, only the length `size` is written and wire_out remembers where, so that the sender can
 * put a file range there without copying it. */
struct wire_records {
    const uint8_t *data;
    int32_t size; /* -1 is null */
    void *splice;
};

#define WIRE_STR_NULL ((struct wire_str){NULL, -1})
struct wire_str wire_str(const char *s); /* NULL becomes null */
bool wire_str_is(struct wire_str s, const char *text);
bool wire_str_equal(struct wire_str a, struct wire_str b);
/* NUL-terminated copy in the arena; NULL for null. Embedded NULs are kept as they are. */
char *wire_str_dup(struct arena *a, struct wire_str s);

/* ---- cursors: sticky errors, check once at the end --------------------------------------------
 */

/* Reads at `at`; after the first error every read returns zero and moves nothing. */
struct wire_in {
    const uint8_t *at;
    const uint8_t *end;
    enum err error;
};

struct wire_in wire_in_of(const void *data, size_t size);
size_t wire_in_left(const struct wire_in *in);
int8_t wire_get_i8(struct wire_in *in);
int16_t wire_get_i16(struct wire_in *in);
uint16_t wire_get_u16(struct wire_in *in);
int32_t wire_get_i32(struct wire_in *in);
uint32_t wire_get_u32(struct wire_in *in);
int64_t wire_get_i64(struct wire_in *in);
uint64_t wire_get_uvarint(struct wire_in *in); /* at most 64 bits, at most 10 bytes */
int64_t wire_get_varint(struct wire_in *in);   /* zig-zag */
const uint8_t *wire_get_raw(struct wire_in *in, size_t size); /* NULL on error */
struct uuid wire_get_uuid(struct wire_in *in);

struct wire_splice {
    size_t at; /* bytes.size before which the range belongs */
    void *splice;
    int32_t size;
};

/* Zero-initialise; wire_out_free when done. */
struct wire_out {
    struct bytes bytes;
    struct wire_splice *splices;
    size_t splice_count;
    size_t splice_capacity;
    int64_t spliced_bytes; /* sum of splice sizes: frame length = bytes.size + spliced_bytes */
};

void wire_out_free(struct wire_out *out);
void wire_put_i8(struct wire_out *out, int8_t v);
void wire_put_i16(struct wire_out *out, int16_t v);
void wire_put_i32(struct wire_out *out, int32_t v);
void wire_put_i64(struct wire_out *out, int64_t v);
void wire_put_uvarint(struct wire_out *out, uint64_t v);
void wire_put_varint(struct wire_out *out, int64_t v);
void wire_put_raw(struct wire_out *out, const void *data, size_t size);
void wire_put_uuid(struct wire_out *out, struct uuid u);
/* Overwrites four bytes at `at`. */
void wire_patch_i32(struct wire_out *out, size_t at, int32_t v);

/* ---- messages ---------------------------------------------------------------------------------
 */

struct wire_message; /* the table; one per message, named wire_NAME, e.g. wire_fetch_request */
struct wire_struct;  /* the table of an inner struct, e.g. wire_struct_fetch_response_partition */

const char *wire_message_name(const struct wire_message *m); /* "fetch_request" */
int16_t wire_message_min(const struct wire_message *m);
int16_t wire_message_max(const struct wire_message *m);
bool wire_message_flexible(const struct wire_message *m, int16_t version);
size_t wire_message_size(const struct wire_message *m); /* sizeof the struct */

/* Sets every field to its schema default (0, empty string or empty array where none is given). */
void wire_defaults(const struct wire_message *m, void *msg);
/* The same for an element of an array or a nullable struct. One that is only zeroed may hold what
 * is not a default (a leader epoch of 0 where none is -1): it is then sent where it is tagged, and
 * refused where the version lacks it. */
void wire_struct_defaults(const struct wire_struct *type, void *at);

/* Appends `msg` at `version`, which must be in range (ASSERT). Fields the version lacks are left
 * out. ERR_UNSUPPORTED when a field that is not ignorable holds something the version cannot carry,
 * or a string is longer than INT16_MAX; `out` is then as it was before. */
enum err wire_encode(const struct wire_message *m, int16_t version, const void *msg,
                     struct wire_out *out);

/* A decoded message allocates at most this many bytes per byte of input, and EXTRA. */
enum { WIRE_DECODE_BYTES_PER_BYTE = 32, WIRE_DECODE_BYTES_EXTRA = 4096 };

/* Fills `msg` (every field: what the version lacks gets its default). Strings, bytes and records
 * point into the input; arrays come from the arena, bounded by what the input can hold. Unknown
 * tagged fields are skipped in place. Bytes left over are the caller's to judge (wire_in_left).
 * Returns in->error. */
enum err wire_decode(const struct wire_message *m, int16_t version, struct wire_in *in, void *msg,
                     struct arena *arena);

/* Every message we have a schema for; *count gets how many. */
const struct wire_message *const *wire_message_all(size_t *count);

/* The metadata record of that type (WIRE_RECORD_...); NULL when we have no schema for it. */
const struct wire_message *wire_record_of(int16_t type);

/* ---- APIs -------------------------------------------------------------------------------------
 */

struct wire_api {
    int16_t key;
    const char *name; /* Kafka's: "Metadata" */
    const struct wire_message *request;
    const struct wire_message *response;
    int16_t latest_unstable; /* -1, or the version not to be advertised */
};

/* What ApiVersions says of it; the minimum of Produce is lower than what is served (KAFKA-18659).
 */
int16_t wire_api_advertised_min(const struct wire_api *api);
int16_t wire_api_advertised_max(const struct wire_api *api);

/* NULL when we have no schema for the key. */
const struct wire_api *wire_api_of(int16_t key);
/* Every API known, in key order; *count gets how many. */
const struct wire_api *wire_api_all(size_t *count);

/* Request header v1 or v2, response header v0 or v1 (v0 always for ApiVersions): KIP-482, KIP-511.
 */
struct wire_request_header {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct wire_str client_id;
};

/* Reads key and version, then the header those call for. An api key without a schema gives
 * ERR_UNSUPPORTED with the first three fields set; a version out of range likewise. */
enum err wire_get_request_header(struct wire_in *in, struct wire_request_header *header);
void wire_put_request_header(struct wire_out *out, const struct wire_request_header *header);
void wire_put_response_header(struct wire_out *out, int16_t api_key, int16_t api_version,
                              int32_t correlation_id);
enum err wire_get_response_header(struct wire_in *in, int16_t api_key, int16_t api_version,
                                  int32_t *correlation_id);

#endif
