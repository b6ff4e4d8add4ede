/* What messages and APIs are called, which versions they have; headers. */
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/messages.h"
#include "common/wire/table.h"

size_t wire_element_size(const struct wire_field *field)
{
    static const size_t sizes[] = {
        [WIRE_KIND_BOOL] = sizeof(bool),
        [WIRE_KIND_I8] = 1,
        [WIRE_KIND_I16] = 2,
        [WIRE_KIND_U16] = 2,
        [WIRE_KIND_I32] = 4,
        [WIRE_KIND_U32] = 4,
        [WIRE_KIND_I64] = 8,
        [WIRE_KIND_F64] = 8,
        [WIRE_KIND_UUID] = sizeof(struct uuid),
        [WIRE_KIND_STR] = sizeof(struct wire_str),
        [WIRE_KIND_BYTES] = sizeof(struct wire_bytes),
        [WIRE_KIND_RECORDS] = sizeof(struct wire_records),
    };
    return field->kind == WIRE_KIND_STRUCT ? field->type->size_bytes : sizes[field->kind];
}

const char *wire_message_name(const struct wire_message *m)
{
    return m->name;
}

int16_t wire_message_min(const struct wire_message *m)
{
    return m->min;
}

int16_t wire_message_max(const struct wire_message *m)
{
    return m->max;
}

bool wire_message_flexible(const struct wire_message *m, int16_t version)
{
    return version >= m->flexible_min && version <= m->flexible_max;
}

size_t wire_message_size(const struct wire_message *m)
{
    return m->body.size_bytes;
}

const struct wire_message *const *wire_message_all(size_t *count)
{
    *count = wire_message_count;
    return wire_messages;
}

const struct wire_api *wire_api_of(int16_t key)
{
    return key >= 0 && (size_t)key < wire_key_count ? wire_apis_by_key[key] : NULL;
}

const struct wire_api *wire_api_all(size_t *count)
{
    *count = wire_api_count;
    return wire_apis;
}

int16_t wire_api_advertised_min(const struct wire_api *api)
{
    /* KAFKA-18659: librdkafka asks whether Produce 0 is served before it compresses. */
    return api->key == WIRE_PRODUCE ? 0 : api->request->min;
}

int16_t wire_api_advertised_max(const struct wire_api *api)
{
    return api->latest_unstable >= 0 ? (int16_t)(api->latest_unstable - 1) : api->request->max;
}

const struct wire_message *wire_record_of(int16_t type)
{
    for (size_t i = 0; i < wire_record_count; i++) {
        if (wire_records_table[i].type == type) {
            return wire_records_table[i].message;
        }
    }
    return NULL;
}

/* ---- headers ---- */

static struct wire_str get_client_id(struct wire_in *in)
{
    int16_t size = wire_get_i16(in);
    if (in->error == ERR_NONE && size < -1) {
        in->error = ERR_CORRUPT;
    }
    if (in->error != ERR_NONE || size < 0) {
        return WIRE_STR_NULL;
    }
    const uint8_t *data = wire_get_raw(in, (size_t)size);
    return data != NULL ? (struct wire_str){(const char *)data, size} : WIRE_STR_NULL;
}

static void skip_tags(struct wire_in *in)
{
    uint64_t count = wire_get_uvarint(in);
    if (in->error == ERR_NONE && count > wire_in_left(in) / 2) {
        in->error = ERR_CORRUPT;
    }
    int64_t last = -1;
    for (uint64_t i = 0; i < count && in->error == ERR_NONE; i++) {
        uint64_t tag = wire_get_uvarint(in);
        uint64_t size = wire_get_uvarint(in);
        if (in->error == ERR_NONE &&
            (tag > INT32_MAX || (int64_t)tag <= last || size > wire_in_left(in))) {
            in->error = ERR_CORRUPT;
        }
        last = (int64_t)tag;
        wire_get_raw(in, (size_t)size);
    }
}

enum err wire_get_request_header(struct wire_in *in, struct wire_request_header *header)
{
    header->api_key = wire_get_i16(in);
    header->api_version = wire_get_i16(in);
    header->correlation_id = wire_get_i32(in);
    header->client_id = WIRE_STR_NULL;
    const struct wire_api *api = wire_api_of(header->api_key);
    if (in->error != ERR_NONE) {
        return in->error;
    }
    if (api == NULL || header->api_version < api->request->min ||
        header->api_version > api->request->max) {
        return ERR_UNSUPPORTED;
    }
    header->client_id = get_client_id(in);
    if (wire_message_flexible(api->request, header->api_version)) {
        skip_tags(in);
    }
    return in->error;
}

void wire_put_request_header(struct wire_out *out, const struct wire_request_header *header)
{
    const struct wire_api *api = wire_api_of(header->api_key);
    ASSERT(api != NULL);
    wire_put_i16(out, header->api_key);
    wire_put_i16(out, header->api_version);
    wire_put_i32(out, header->correlation_id);
    ASSERT(header->client_id.size <= INT16_MAX);
    wire_put_i16(out, (int16_t)(header->client_id.size < 0 ? -1 : header->client_id.size));
    if (header->client_id.size > 0) {
        wire_put_raw(out, header->client_id.data, (size_t)header->client_id.size);
    }
    if (wire_message_flexible(api->request, header->api_version)) {
        wire_put_uvarint(out, 0);
    }
}

static bool flexible_response_header(int16_t api_key, int16_t api_version)
{
    const struct wire_api *api = wire_api_of(api_key);
    ASSERT(api != NULL);
    return api_key != WIRE_API_VERSIONS && wire_message_flexible(api->response, api_version);
}

void wire_put_response_header(struct wire_out *out, int16_t api_key, int16_t api_version,
                              int32_t correlation_id)
{
    wire_put_i32(out, correlation_id);
    if (flexible_response_header(api_key, api_version)) {
        wire_put_uvarint(out, 0);
    }
}

enum err wire_get_response_header(struct wire_in *in, int16_t api_key, int16_t api_version,
                                  int32_t *correlation_id)
{
    *correlation_id = wire_get_i32(in);
    if (flexible_response_header(api_key, api_version)) {
        skip_tags(in);
    }
    return in->error;
}
