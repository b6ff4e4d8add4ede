/* Decoding by table. Nothing declared is trusted: a count is held against the bytes that are left,
 * at the fewest an element can take, before anything is allocated for it, and all a message
 * allocates is held against WIRE_DECODE_BYTES_PER_BYTE times its encoded size. No element of ours
 * is larger than that many times its fewest bytes, so a sound message never meets that limit; a
 * count that lies about a nested array does. Depth is that of the tables, which we wrote. */
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/table.h"

struct decoder {
    struct wire_in *in;
    struct arena *arena;
    int16_t version;
    bool flexible;
    size_t budget_bytes; /* still allowed to be allocated */
};

static void get_struct(struct decoder *d, const struct wire_struct *type, void *to);

static bool in_range(int16_t version, int16_t min, int16_t max)
{
    return version >= min && version <= max;
}

static void fail(struct decoder *d, enum err error)
{
    if (d->in->error == ERR_NONE) {
        d->in->error = error;
    }
}

static bool may_be_null(const struct decoder *d, const struct wire_field *f)
{
    return in_range(d->version, f->null_min, f->null_max);
}

/* Of something whose elements take at least `least` bytes each. -1 for null, where it may be. */
static int32_t get_length(struct decoder *d, bool null, bool compact, size_t width, size_t least)
{
    int64_t size;
    if (compact) {
        uint64_t raw = wire_get_uvarint(d->in);
        size = raw > (uint64_t)INT32_MAX ? INT64_MAX : (int64_t)raw - 1;
    } else {
        size = width == 2 ? wire_get_i16(d->in) : wire_get_i32(d->in);
    }
    if (d->in->error != ERR_NONE) {
        return 0;
    }
    if (size < -1 || (size == -1 && !null)) {
        fail(d, ERR_CORRUPT);
        return 0;
    }
    if (width == 2 && size > INT16_MAX) {
        fail(d, ERR_CORRUPT); /* a compact string is no longer than an old one may be */
        return 0;
    }
    if (size > (int64_t)(wire_in_left(d->in) / least)) {
        fail(d, ERR_TRUNCATED);
        return 0;
    }
    return (int32_t)size;
}

static void *get_memory(struct decoder *d, size_t count, size_t size_bytes)
{
    if (size_bytes > 0 && count > d->budget_bytes / size_bytes) {
        fail(d, ERR_TOO_LARGE);
        return NULL;
    }
    ASSERT(size_bytes > 0 && count * size_bytes <= d->budget_bytes);
    d->budget_bytes -= count * size_bytes;
    return arena_array(d->arena, count, size_bytes);
}

static const uint8_t *get_blob(struct decoder *d, const struct wire_field *f, size_t width,
                               int32_t *size)
{
    /* It is the array that may be null, never an element of it. */
    bool null = !(f->flags & WIRE_ARRAY) && may_be_null(d, f);
    *size = get_length(d, null, d->flexible && !(f->flags & WIRE_OLD_STRING), width, 1);
    return *size >= 0 ? wire_get_raw(d->in, (size_t)*size) : NULL;
}

static void get_value(struct decoder *d, const struct wire_field *f, void *at)
{
    int32_t size = 0;
    switch ((enum wire_kind)f->kind) {
    case WIRE_KIND_BOOL:
        *(bool *)at = wire_get_i8(d->in) != 0;
        break;
    case WIRE_KIND_I8:
        *(int8_t *)at = wire_get_i8(d->in);
        break;
    case WIRE_KIND_I16:
    case WIRE_KIND_U16:
        *(int16_t *)at = wire_get_i16(d->in);
        break;
    case WIRE_KIND_I32:
    case WIRE_KIND_U32:
        *(int32_t *)at = wire_get_i32(d->in);
        break;
    case WIRE_KIND_I64:
    case WIRE_KIND_F64:
        *(int64_t *)at = wire_get_i64(d->in);
        break;
    case WIRE_KIND_UUID:
        *(struct uuid *)at = wire_get_uuid(d->in);
        break;
    case WIRE_KIND_STR: {
        const uint8_t *data = get_blob(d, f, 2, &size);
        *(struct wire_str *)at = (struct wire_str){(const char *)data, size};
        break;
    }
    case WIRE_KIND_BYTES: {
        const uint8_t *data = get_blob(d, f, 4, &size);
        *(struct wire_bytes *)at = (struct wire_bytes){data, size};
        break;
    }
    case WIRE_KIND_RECORDS: {
        const uint8_t *data = get_blob(d, f, 4, &size);
        *(struct wire_records *)at = (struct wire_records){data, size, NULL};
        break;
    }
    case WIRE_KIND_STRUCT:
        get_struct(d, f->type, at);
        break;
    }
}

static void get_array(struct decoder *d, const struct wire_field *f, struct wire_array *array)
{
    size_t step = wire_element_size(f);
    array->items = NULL;
    array->count = get_length(d, may_be_null(d, f), d->flexible, 4, f->least_bytes);
    ASSERT(f->least_bytes > 0);
    if (array->count <= 0) {
        return;
    }
    array->items = get_memory(d, (size_t)array->count, step);
    for (int32_t i = 0; i < array->count && d->in->error == ERR_NONE; i++) {
        get_value(d, f, (uint8_t *)array->items + (size_t)i * step);
    }
    if (d->in->error != ERR_NONE) {
        array->count = 0;
    }
}

static void get_field(struct decoder *d, const struct wire_field *f, void *at)
{
    if (f->flags & WIRE_ARRAY) {
        get_array(d, f, at);
    } else if (f->flags & WIRE_POINTER) {
        void **target = at;
        int8_t mark = wire_get_i8(d->in);
        *target = NULL;
        if (mark < 0 && !may_be_null(d, f)) {
            fail(d, ERR_CORRUPT);
        } else if (mark >= 0 && d->in->error == ERR_NONE) {
            *target = get_memory(d, 1, f->type->size_bytes);
            if (*target != NULL) {
                get_struct(d, f->type, *target);
            }
        }
    } else {
        get_value(d, f, at);
    }
}

static void set_default(const struct wire_field *f, void *at)
{
    bool null = f->flags & WIRE_DEFAULT_NULL;
    if (f->flags & WIRE_ARRAY) {
        *(struct wire_array *)at = (struct wire_array){NULL, null ? -1 : 0};
        return;
    }
    if (f->flags & WIRE_POINTER) {
        *(void **)at = NULL;
        return;
    }
    switch ((enum wire_kind)f->kind) {
    case WIRE_KIND_BOOL:
        *(bool *)at = f->number != 0;
        break;
    case WIRE_KIND_I8:
        *(int8_t *)at = (int8_t)f->number;
        break;
    case WIRE_KIND_I16:
    case WIRE_KIND_U16:
        *(int16_t *)at = (int16_t)f->number;
        break;
    case WIRE_KIND_I32:
    case WIRE_KIND_U32:
        *(int32_t *)at = (int32_t)f->number;
        break;
    case WIRE_KIND_I64:
        *(int64_t *)at = f->number;
        break;
    case WIRE_KIND_F64:
        *(double *)at = (double)f->number;
        break;
    case WIRE_KIND_UUID:
        *(struct uuid *)at = uuid_zero();
        break;
    case WIRE_KIND_STR:
        *(struct wire_str *)at = null ? WIRE_STR_NULL : (struct wire_str){"", 0};
        break;
    case WIRE_KIND_BYTES:
        *(struct wire_bytes *)at = (struct wire_bytes){NULL, null ? -1 : 0};
        break;
    case WIRE_KIND_RECORDS:
        *(struct wire_records *)at = (struct wire_records){NULL, null ? -1 : 0, NULL};
        break;
    case WIRE_KIND_STRUCT:
        wire_struct_defaults(f->type, at);
        break;
    }
}

static bool tagged(const struct decoder *d, const struct wire_field *f)
{
    return f->tag >= 0 && in_range(d->version, f->tag_min, f->tag_max);
}

static const struct wire_field *field_of_tag(const struct decoder *d,
                                             const struct wire_struct *type, uint64_t tag)
{
    for (int i = 0; i < type->count; i++) {
        const struct wire_field *f = &type->fields[i];
        if (tagged(d, f) && (uint64_t)f->tag == tag && in_range(d->version, f->min, f->max)) {
            return f;
        }
    }
    return NULL;
}

/* Tags ascend; what we do not know is stepped over where it lies. */
static void get_tags(struct decoder *d, const struct wire_struct *type, uint8_t *to)
{
    uint64_t count = wire_get_uvarint(d->in);
    int64_t last = -1;
    if (count > wire_in_left(d->in) / 2) {
        fail(d, ERR_CORRUPT);
    }
    for (uint64_t i = 0; i < count && d->in->error == ERR_NONE; i++) {
        uint64_t tag = wire_get_uvarint(d->in);
        uint64_t size = wire_get_uvarint(d->in);
        if (tag > INT32_MAX || (int64_t)tag <= last || size > wire_in_left(d->in)) {
            fail(d, ERR_CORRUPT);
            return;
        }
        last = (int64_t)tag;
        const uint8_t *data = wire_get_raw(d->in, (size_t)size);
        const struct wire_field *f = field_of_tag(d, type, tag);
        if (f == NULL) {
            continue;
        }
        struct wire_in inner = wire_in_of(data, (size_t)size);
        struct decoder sub = *d;
        sub.in = &inner;
        get_field(&sub, f, to + f->offset);
        d->budget_bytes = sub.budget_bytes;
        if (inner.error != ERR_NONE) {
            fail(d, inner.error);
        } else if (wire_in_left(&inner) > 0) {
            fail(d, ERR_CORRUPT);
        }
    }
}

static void get_struct(struct decoder *d, const struct wire_struct *type, void *to)
{
    uint8_t *base = to;
    ASSERT(to != NULL && d->in->at <= d->in->end);
    for (int i = 0; i < type->count; i++) {
        const struct wire_field *f = &type->fields[i];
        if (!in_range(d->version, f->min, f->max) || tagged(d, f)) {
            set_default(f, base + f->offset);
        } else {
            get_field(d, f, base + f->offset);
        }
    }
    if (d->flexible) {
        get_tags(d, type, base);
    }
}

enum err wire_decode(const struct wire_message *m, int16_t version, struct wire_in *in, void *msg,
                     struct arena *arena)
{
    ASSERT(version >= m->min && version <= m->max);
    struct decoder d = {in, arena, version, wire_message_flexible(m, version),
                        wire_in_left(in) * WIRE_DECODE_BYTES_PER_BYTE + WIRE_DECODE_BYTES_EXTRA};
    get_struct(&d, &m->body, msg);
    return in->error;
}

void wire_defaults(const struct wire_message *m, void *msg)
{
    wire_struct_defaults(&m->body, msg);
}

void wire_struct_defaults(const struct wire_struct *type, void *at)
{
    for (int i = 0; i < type->count; i++) {
        set_default(&type->fields[i], (uint8_t *)at + type->fields[i].offset);
    }
}
