/* Encoding by table. What a version lacks is left out; when it holds something that may not be
 * dropped silently the message cannot be said in that version (ERR_UNSUPPORTED). */
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/wire/table.h"

struct encoder {
    struct wire_out *out;
    int16_t version;
    bool flexible;
    enum err error;
};

static void put_struct(struct encoder *e, const struct wire_struct *type, const void *from);

static bool in_range(int16_t version, int16_t min, int16_t max)
{
    return version >= min && version <= max;
}

static void put_length(struct encoder *e, int32_t size, bool compact, size_t width)
{
    if (compact) {
        wire_put_uvarint(e->out, (uint64_t)((int64_t)size + 1));
    } else if (width == 2) {
        wire_put_i16(e->out, (int16_t)size);
    } else {
        wire_put_i32(e->out, size);
    }
}

static void refuse(struct encoder *e)
{
    if (e->error == ERR_NONE) {
        e->error = ERR_UNSUPPORTED;
    }
}

static bool may_be_null(const struct encoder *e, const struct wire_field *f)
{
    return in_range(e->version, f->null_min, f->null_max);
}

static void put_bytes_of(struct encoder *e, const struct wire_field *f, const void *data,
                         int32_t size, size_t width)
{
    bool compact = e->flexible && !(f->flags & WIRE_OLD_STRING);
    ASSERT(size >= -1 && (size <= 0 || data != NULL));
    /* It is the array that may be null, never an element of it. */
    if (size < 0 && ((f->flags & WIRE_ARRAY) || !may_be_null(e, f))) {
        refuse(e);
        return;
    }
    if (width == 2 && size > INT16_MAX) {
        refuse(e);
        return;
    }
    put_length(e, size < 0 ? -1 : size, compact, width);
    if (size > 0) {
        wire_put_raw(e->out, data, (size_t)size);
    }
}

static void put_records(struct encoder *e, const struct wire_field *f, const struct wire_records *r)
{
    if (r->splice == NULL || r->size < 0) {
        put_bytes_of(e, f, r->data, r->size, 4);
        return;
    }
    struct wire_out *out = e->out;
    ASSERT(r->size >= 0);
    put_length(e, r->size, e->flexible, 4);
    *MEM_PUSH(out->splices, out->splice_count, out->splice_capacity) =
        (struct wire_splice){out->bytes.size, r->splice, r->size};
    out->spliced_bytes += r->size;
}

static void put_value(struct encoder *e, const struct wire_field *f, const void *at)
{
    switch ((enum wire_kind)f->kind) {
    case WIRE_KIND_BOOL:
        wire_put_i8(e->out, *(const bool *)at ? 1 : 0);
        break;
    case WIRE_KIND_I8:
        wire_put_i8(e->out, *(const int8_t *)at);
        break;
    case WIRE_KIND_I16:
    case WIRE_KIND_U16:
        wire_put_i16(e->out, *(const int16_t *)at);
        break;
    case WIRE_KIND_I32:
    case WIRE_KIND_U32:
        wire_put_i32(e->out, *(const int32_t *)at);
        break;
    case WIRE_KIND_I64:
    case WIRE_KIND_F64:
        wire_put_i64(e->out, *(const int64_t *)at);
        break;
    case WIRE_KIND_UUID:
        wire_put_uuid(e->out, *(const struct uuid *)at);
        break;
    case WIRE_KIND_STR: {
        const struct wire_str *s = at;
        put_bytes_of(e, f, s->data, s->size, 2);
        break;
    }
    case WIRE_KIND_BYTES: {
        const struct wire_bytes *b = at;
        put_bytes_of(e, f, b->data, b->size, 4);
        break;
    }
    case WIRE_KIND_RECORDS:
        put_records(e, f, at);
        break;
    case WIRE_KIND_STRUCT:
        put_struct(e, f->type, at);
        break;
    }
}

static void put_field(struct encoder *e, const struct wire_field *f, const void *at)
{
    if (f->flags & WIRE_ARRAY) {
        const struct wire_array *array = at;
        ASSERT(array->count >= -1 && (array->count <= 0 || array->items != NULL));
        if (array->count < 0 && !may_be_null(e, f)) {
            refuse(e);
            return;
        }
        put_length(e, array->count < 0 ? -1 : array->count, e->flexible, 4);
        size_t step = wire_element_size(f);
        for (int32_t i = 0; i < array->count; i++) {
            put_value(e, f, (const uint8_t *)array->items + (size_t)i * step);
        }
    } else if (f->flags & WIRE_POINTER) {
        const void *target = *(const void *const *)at;
        if (target == NULL && !may_be_null(e, f)) {
            refuse(e);
            return;
        }
        wire_put_i8(e->out, target == NULL ? -1 : 1);
        if (target != NULL) {
            put_struct(e, f->type, target);
        }
    } else {
        put_value(e, f, at);
    }
}

/* ---- defaults ---- */

static bool struct_is_default(const struct wire_struct *type, const uint8_t *at);

static bool number_is_default(const struct wire_field *f, const void *at)
{
    switch ((enum wire_kind)f->kind) {
    case WIRE_KIND_BOOL:
        return *(const bool *)at == (f->number != 0);
    case WIRE_KIND_I8:
        return *(const int8_t *)at == (int8_t)f->number;
    case WIRE_KIND_I16:
    case WIRE_KIND_U16:
        return *(const int16_t *)at == (int16_t)f->number;
    case WIRE_KIND_I32:
    case WIRE_KIND_U32:
        return *(const int32_t *)at == (int32_t)f->number;
    case WIRE_KIND_F64:
        return *(const double *)at == (double)f->number;
    default:
        return *(const int64_t *)at == f->number;
    }
}

static bool is_default(const struct wire_field *f, const uint8_t *at)
{
    bool null = f->flags & WIRE_DEFAULT_NULL;
    if (f->flags & WIRE_ARRAY) {
        return ((const struct wire_array *)(const void *)at)->count == (null ? -1 : 0);
    }
    if (f->flags & WIRE_POINTER) {
        return *(const void *const *)(const void *)at == NULL;
    }
    switch ((enum wire_kind)f->kind) {
    case WIRE_KIND_UUID:
        return uuid_is_zero((const struct uuid *)at);
    case WIRE_KIND_STR:
        return ((const struct wire_str *)(const void *)at)->size == (null ? -1 : 0);
    case WIRE_KIND_BYTES:
        return ((const struct wire_bytes *)(const void *)at)->size == (null ? -1 : 0);
    case WIRE_KIND_RECORDS:
        return ((const struct wire_records *)(const void *)at)->size == (null ? -1 : 0);
    case WIRE_KIND_STRUCT:
        return struct_is_default(f->type, at);
    default:
        return number_is_default(f, at);
    }
}

static bool struct_is_default(const struct wire_struct *type, const uint8_t *at)
{
    for (int i = 0; i < type->count; i++) {
        if (!is_default(&type->fields[i], at + type->fields[i].offset)) {
            return false;
        }
    }
    return true;
}

/* ---- structs ---- */

static bool tagged(const struct encoder *e, const struct wire_field *f)
{
    return f->tag >= 0 && in_range(e->version, f->tag_min, f->tag_max);
}

static void put_tags(struct encoder *e, const struct wire_struct *type, const uint8_t *from)
{
    uint64_t count = 0;
    int16_t last = -1;
    for (int i = 0; i < type->count; i++) {
        const struct wire_field *f = &type->fields[i];
        count += tagged(e, f) && !is_default(f, from + f->offset);
        last = f->tag > last ? f->tag : last;
    }
    wire_put_uvarint(e->out, count);
    for (int16_t tag = 0; count > 0 && tag <= last; tag++) {
        for (int i = 0; i < type->count; i++) {
            const struct wire_field *f = &type->fields[i];
            if (f->tag != tag || !tagged(e, f) || is_default(f, from + f->offset)) {
                continue;
            }
            struct wire_out inner = {0};
            struct encoder sub = {&inner, e->version, e->flexible, ERR_NONE};
            put_field(&sub, f, from + f->offset);
            ASSERT(inner.splice_count == 0); /* no records field is tagged */
            wire_put_uvarint(e->out, (uint64_t)tag);
            wire_put_uvarint(e->out, inner.bytes.size);
            wire_put_raw(e->out, inner.bytes.data, inner.bytes.size);
            wire_out_free(&inner);
            e->error = e->error == ERR_NONE ? sub.error : e->error;
        }
    }
}

static void put_struct(struct encoder *e, const struct wire_struct *type, const void *from)
{
    const uint8_t *base = from;
    ASSERT(from != NULL);
    for (int i = 0; i < type->count; i++) {
        const struct wire_field *f = &type->fields[i];
        if (!in_range(e->version, f->min, f->max)) {
            if (!(f->flags & WIRE_IGNORABLE) && !is_default(f, base + f->offset)) {
                refuse(e);
            }
        } else if (!tagged(e, f)) {
            put_field(e, f, base + f->offset);
        }
    }
    if (e->flexible) {
        put_tags(e, type, base);
    }
}

enum err wire_encode(const struct wire_message *m, int16_t version, const void *msg,
                     struct wire_out *out)
{
    ASSERT(version >= m->min && version <= m->max);
    struct encoder e = {out, version, wire_message_flexible(m, version), ERR_NONE};
    size_t bytes_before = out->bytes.size;
    size_t splices_before = out->splice_count;
    int64_t spliced_before = out->spliced_bytes;
    put_struct(&e, &m->body, msg);
    if (e.error != ERR_NONE) {
        out->bytes.size = bytes_before;
        out->splice_count = splices_before;
        out->spliced_bytes = spliced_before;
    }
    return e.error;
}
