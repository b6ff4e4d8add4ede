/* uuid: Kafka's 16 raw bytes; text is URL-safe base64 without padding, 22 characters. */
#ifndef COMMON_BASE_UUID_H
#define COMMON_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

struct uuid {
    uint8_t bytes[16];
};

enum { UUID_TEXT_BYTES = 23 };

static inline struct uuid uuid_zero(void)
{
    return (struct uuid){{0}};
}
bool uuid_is_zero(const struct uuid *u);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
/* Makes a version 4 uuid of 128 random bits. Kafka never lets the text begin with '-'; a caller
 * that needs that draws again when it does (KAFKA Uuid.randomUuid). */
struct uuid uuid_from_random(uint64_t high, uint64_t low);
/* Kafka's reserved directory ids are numbers: 0 UNASSIGNED, 1 LOST, 2 MIGRATING (KIP-858). */
struct uuid uuid_from_number(uint64_t low);
/* Writes 22 characters and a NUL. Returns `text`. */
const char *uuid_format(const struct uuid *u, char text[UUID_TEXT_BYTES]);
/* False when `text` is not 22 characters of the alphabet. */
bool uuid_parse(const char *text, struct uuid *out);

#endif
