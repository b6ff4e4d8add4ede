#include "tests/unit/wire/walk.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/wire/table.h"

struct filler {
    int16_t version;
    struct rng *rng;
    struct arena *arena;
};

static bool in_range(int16_t version, int16_t min, int16_t max)
{
    return version >= min && version <= max;
}

static uint64_t draw_number(struct filler *f)
{
    static const uint64_t edges[] = {0, 1, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, INT32_MAX};
    uint64_t which = rng_below(f->rng, 2 * sizeof edges / sizeof edges[0]);
    return which < sizeof edges / sizeof edges[0] ? edges[which] : rng_next(f->rng);
}

/* -1, or the size of a new string of bytes at *data. */
static int32_t draw_bytes(struct filler *f, bool may_be_null, const void **data)
{
    *data = NULL;
    if (may_be_null && rng_below(f->rng, 4) == 0) {
        return -1;
    }
    /* A hundred and more needs a second byte of compact length. */
    size_t size = (size_t)rng_below(f->rng, rng_below(f->rng, 8) == 0 ? 200 : 12);
    uint8_t *bytes = arena_alloc(f->arena, size + 1);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)rng_next(f->rng);
    }
    *data = bytes;
    return (int32_t)size;
}

static void fill_struct(struct filler *f, const struct wire_struct *type, void *at);

static void fill_value(struct filler *f, const struct wire_field *field, void *at, bool may_be_null)
{
    const void *data;
    uint64_t number;
    switch ((enum wire_kind)field->kind) {
    case WIRE_KIND_BOOL:
        *(bool *)at = rng_below(f->rng, 2) == 1;
        break;
    case WIRE_KIND_STR: {
        int32_t size = draw_bytes(f, may_be_null, &data);
        *(struct wire_str *)at = (struct wire_str){data, size};
        break;
    }
    case WIRE_KIND_BYTES: {
        int32_t size = draw_bytes(f, may_be_null, &data);
        *(struct wire_bytes *)at = (struct wire_bytes){data, size};
        break;
    }
    case WIRE_KIND_RECORDS: {
        int32_t size = draw_bytes(f, may_be_null, &data);
        *(struct wire_records *)at = (struct wire_records){data, size, NULL};
        break;
    }
    case WIRE_KIND_STRUCT:
        fill_struct(f, field->type, at);
        break;
    default:
        for (size_t done = 0; done < wire_element_size(field); done += sizeof number) {
            size_t rest = wire_element_size(field) - done;
            number = draw_number(f);
            memcpy((uint8_t *)at + done, &number, rest < sizeof number ? rest : sizeof number);
        }
        break;
    }
}

static void fill_field(struct filler *f, const struct wire_field *field, void *at)
{
    bool may_be_null = in_range(f->version, field->null_min, field->null_max);
    if (field->flags & WIRE_ARRAY) {
        struct wire_array *array = at;
        *array = (struct wire_array){NULL, (int32_t)rng_below(f->rng, 4)};
        if (may_be_null && rng_below(f->rng, 4) == 0) {
            array->count = -1;
        } else if (array->count > 0) {
            size_t step = wire_element_size(field);
            array->items = arena_array(f->arena, (size_t)array->count, step);
            for (int32_t i = 0; i < array->count; i++) {
                fill_value(f, field, (uint8_t *)array->items + (size_t)i * step, false);
            }
        }
    } else if (field->flags & WIRE_POINTER) {
        *(void **)at = NULL;
        if (!may_be_null || rng_below(f->rng, 2) == 0) {
            *(void **)at = arena_alloc(f->arena, field->type->size_bytes);
            fill_struct(f, field->type, *(void **)at);
        }
    } else {
        fill_value(f, field, at, may_be_null);
    }
}

static void fill_struct(struct filler *f, const struct wire_struct *type, void *at)
{
    wire_struct_defaults(type, at);
    for (int i = 0; i < type->count; i++) {
        const struct wire_field *field = &type->fields[i];
        /* Left at its default now and then: a tagged field is then not sent. */
        if (in_range(f->version, field->min, field->max) && rng_below(f->rng, 8) != 0) {
            fill_field(f, field, (uint8_t *)at + field->offset);
        } else if (field->flags & WIRE_POINTER && field->tag < 0 &&
                   in_range(f->version, field->min, field->max)) {
            fill_field(f, field, (uint8_t *)at + field->offset);
        }
    }
}

void walk_fill(const struct wire_message *m, int16_t version, void *msg, struct rng *rng,
               struct arena *arena)
{
    struct filler f = {version, rng, arena};
    fill_struct(&f, &m->body, msg);
}

/* ---- comparing ---- */

static const char *struct_difference(const struct wire_struct *type, const void *a, const void *b);

static bool same_bytes(const void *a, int32_t a_size, const void *b, int32_t b_size)
{
    return a_size == b_size && (a_size <= 0 || memcmp(a, b, (size_t)a_size) == 0);
}

static const char *value_difference(const struct wire_field *f, const void *a, const void *b)
{
    bool same;
    switch ((enum wire_kind)f->kind) {
    case WIRE_KIND_STR: {
        const struct wire_str *x = a;
        const struct wire_str *y = b;
        same = same_bytes(x->data, x->size, y->data, y->size);
        break;
    }
    case WIRE_KIND_BYTES: {
        const struct wire_bytes *x = a;
        const struct wire_bytes *y = b;
        same = same_bytes(x->data, x->size, y->data, y->size);
        break;
    }
    case WIRE_KIND_RECORDS: {
        const struct wire_records *x = a;
        const struct wire_records *y = b;
        same = same_bytes(x->data, x->size, y->data, y->size);
        break;
    }
    case WIRE_KIND_STRUCT:
        return struct_difference(f->type, a, b);
    default:
        same = memcmp(a, b, wire_element_size(f)) == 0;
        break;
    }
    return same ? NULL : f->name;
}

static const char *field_difference(const struct wire_field *f, const void *a, const void *b)
{
    if (f->flags & WIRE_ARRAY) {
        const struct wire_array *x = a;
        const struct wire_array *y = b;
        const char *found = x->count == y->count ? NULL : f->name;
        size_t step = wire_element_size(f);
        for (int32_t i = 0; found == NULL && i < x->count; i++) {
            found = value_difference(f, (const uint8_t *)x->items + (size_t)i * step,
                                     (const uint8_t *)y->items + (size_t)i * step);
        }
        return found;
    }
    if (f->flags & WIRE_POINTER) {
        const void *x = *(const void *const *)a;
        const void *y = *(const void *const *)b;
        if (x == NULL || y == NULL) {
            return x == y ? NULL : f->name;
        }
        return struct_difference(f->type, x, y);
    }
    return value_difference(f, a, b);
}

static const char *struct_difference(const struct wire_struct *type, const void *a, const void *b)
{
    const char *found = NULL;
    for (int i = 0; found == NULL && i < type->count; i++) {
        const struct wire_field *f = &type->fields[i];
        found = field_difference(f, (const uint8_t *)a + f->offset, (const uint8_t *)b + f->offset);
    }
    return found;
}

const char *walk_difference(const struct wire_message *m, const void *a, const void *b)
{
    return struct_difference(&m->body, a, b);
}

/* ---- sizes ---- */

static size_t worst_of(const struct wire_struct *type, const char **where)
{
    size_t worst = 0;
    for (int i = 0; i < type->count; i++) {
        const struct wire_field *f = &type->fields[i];
        size_t ratio = 0;
        const char *inner = f->name;
        if (f->flags & WIRE_ARRAY) {
            ASSERT(f->least_bytes > 0);
            ratio = (wire_element_size(f) + f->least_bytes - 1) / f->least_bytes;
        }
        if (ratio > worst) {
            worst = ratio;
            *where = inner;
        }
        if (f->type != NULL) {
            size_t below = worst_of(f->type, &inner);
            if (below > worst) {
                worst = below;
                *where = inner;
            }
        }
    }
    return worst;
}

size_t walk_worst_ratio(const struct wire_message *m, const char **where)
{
    return worst_of(&m->body, where);
}
