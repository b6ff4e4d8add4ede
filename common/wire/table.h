/* table: how generated tables describe messages to the codec. The room's own. */
#ifndef COMMON_WIRE_TABLE_H
#define COMMON_WIRE_TABLE_H

#include "common/wire/wire.h"

enum wire_kind {
    WIRE_KIND_BOOL,
    WIRE_KIND_I8,
    WIRE_KIND_I16,
    WIRE_KIND_U16,
    WIRE_KIND_I32,
    WIRE_KIND_U32,
    WIRE_KIND_I64,
    WIRE_KIND_F64,
    WIRE_KIND_UUID,
    WIRE_KIND_STR,
    WIRE_KIND_BYTES,
    WIRE_KIND_RECORDS,
    WIRE_KIND_STRUCT
};

enum wire_field_flags {
    WIRE_ARRAY = 1 << 0,
    WIRE_POINTER = 1 << 1,   /* a struct that may be null */
    WIRE_IGNORABLE = 1 << 2, /* silently left out where the version cannot carry it */
    WIRE_DEFAULT_NULL = 1 << 3,
    WIRE_OLD_STRING = 1 << 4 /* int16 length even in a flexible version (the header's client id) */
};

struct wire_field {
    const char *name;
    uint8_t kind;
    uint8_t flags;
    int16_t min, max;           /* versions that have it */
    int16_t null_min, null_max; /* versions in which it may be null */
    int16_t tag;                /* -1: not tagged */
    int16_t tag_min, tag_max;   /* versions in which it is tagged */
    uint16_t least_bytes; /* of an array: the fewest bytes one element takes, in any version */
    uint32_t offset;      /* in the C struct */
    int64_t number;       /* default of bool, int, float */
    const struct wire_struct *type;
};

struct wire_struct {
    const struct wire_field *fields;
    int count;
    size_t size_bytes;
};

struct wire_message {
    const char *name;
    int16_t min, max;
    int16_t flexible_min, flexible_max;
    struct wire_struct body;
};

/* Every array in a generated struct has this shape. */
struct wire_array {
    void *items;
    int32_t count;
};

struct wire_record_row {
    int16_t type;
    const struct wire_message *message;
};

extern const struct wire_message *const wire_messages[];
extern const size_t wire_message_count;
extern const struct wire_api wire_apis[];
extern const size_t wire_api_count;
/* By API key: its row in wire_apis, or NULL. */
extern const struct wire_api *const wire_apis_by_key[];
extern const size_t wire_key_count;
extern const struct wire_record_row wire_records_table[];
extern const size_t wire_record_count;

/* Size of one element in memory. */
size_t wire_element_size(const struct wire_field *field);

#endif
