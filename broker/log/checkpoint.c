/* The checkpoint files: line 1 "0", line 2 the count, then "topic partition offset" lines. The
 * leader epoch checkpoint has the same shape with "epoch start_offset" lines. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

void checkpoint_free(struct checkpoint *c)
{
    for (size_t i = 0; i < c->count; i++) {
        mem_free(c->lines[i].topic);
    }
    mem_free(c->lines);
    *c = (struct checkpoint){0};
}

void checkpoint_add(struct checkpoint *c, const char *topic, int32_t partition, int64_t offset)
{
    ASSERT(partition >= 0);
    ASSERT(offset >= 0);
    *MEM_PUSH(c->lines, c->count, c->capacity) = (struct checkpoint_line){
        .topic = mem_strdup(topic), .partition = partition, .offset = offset};
}

void checkpoint_format(const struct checkpoint *c, struct bytes *out)
{
    bytes_printf(out, "0\n%zu\n", c->count);
    for (size_t i = 0; i < c->count; i++) {
        const struct checkpoint_line *line = &c->lines[i];
        bytes_printf(out, "%s %" PRId32 " %" PRId64 "\n", line->topic, line->partition,
                     line->offset);
    }
}

/* ---- reading: a cursor over lines of words ------------------------------------------------------
 */

struct words {
    const char *at;
    const char *end;
    int line; /* of what was read last, from 1 */
};

/* One line into `line`, NUL-terminated. False at the end or when over-long. */
static bool line_get(struct words *in, char *line, size_t line_size)
{
    if (in->at >= in->end) {
        return false;
    }
    const char *stop = memchr(in->at, '\n', (size_t)(in->end - in->at));
    size_t size = stop == NULL ? (size_t)(in->end - in->at) : (size_t)(stop - in->at);
    if (size >= line_size || memchr(in->at, '\0', size) != NULL) {
        return false;
    }
    memcpy(line, in->at, size);
    line[size] = '\0';
    in->at = stop == NULL ? in->end : stop + 1;
    in->line++;
    return true;
}

static bool word_number(const char *word, int64_t max, int64_t *out)
{
    if (word == NULL || word[0] < '0' || word[0] > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    long long value = strtoll(word, &end, 10);
    *out = value;
    return errno == 0 && *end == '\0' && value <= max;
}

/* Version and count lines. */
static bool head_get(struct words *in, int64_t *count)
{
    char line[64];
    int64_t version = -1;
    if (!line_get(in, line, sizeof line) || !word_number(line, 0, &version)) {
        return false;
    }
    return line_get(in, line, sizeof line) && word_number(line, INT32_MAX, count);
}

static enum err bad_line(const struct words *in, const char *expected, struct err_text *text)
{
    err_set(text, "line %d: expected %s", in->line + 1, expected);
    return ERR_CORRUPT;
}

enum err checkpoint_parse(const void *data, size_t size, struct checkpoint *out,
                          struct err_text *text)
{
    struct words in = {.at = data, .end = (const char *)data + size};
    int64_t count = 0;
    ASSERT(out->count == 0);
    if (size == 0) {
        return ERR_NONE; /* as Apache Kafka makes the file before it has anything to say */
    }
    if (!head_get(&in, &count)) {
        return bad_line(&in, "version 0, then a count of lines", text);
    }
    char line[512];
    while ((int64_t)out->count < count) {
        char *rest = NULL;
        int64_t partition = 0;
        int64_t offset = 0;
        if (!line_get(&in, line, sizeof line)) {
            checkpoint_free(out);
            return bad_line(&in, "another \"topic partition offset\"", text);
        }
        char *topic = strtok_r(line, " ", &rest);
        if (topic == NULL || !word_number(strtok_r(NULL, " ", &rest), INT32_MAX, &partition) ||
            !word_number(strtok_r(NULL, " ", &rest), INT64_MAX, &offset)) {
            in.line--;
            checkpoint_free(out);
            return bad_line(&in, "\"topic partition offset\"", text);
        }
        checkpoint_add(out, topic, (int32_t)partition, offset);
    }
    if (line_get(&in, line, sizeof line)) {
        in.line--;
        checkpoint_free(out);
        return bad_line(&in, "the end, by the count of line 2", text);
    }
    return ERR_NONE;
}

void epochs_format(const struct epochs *e, struct bytes *out)
{
    bytes_printf(out, "0\n%zu\n", e->count);
    for (size_t i = 0; i < e->count; i++) {
        bytes_printf(out, "%" PRId32 " %" PRId64 "\n", e->entries[i].epoch,
                     e->entries[i].start_offset);
    }
}

enum err epochs_parse(const void *data, size_t size, struct epochs *out, struct err_text *text)
{
    struct words in = {.at = data, .end = (const char *)data + size};
    int64_t count = 0;
    ASSERT(out->count == 0);
    if (size == 0) {
        return ERR_NONE; /* as Apache Kafka makes the file before it has anything to say */
    }
    if (!head_get(&in, &count)) {
        return bad_line(&in, "version 0, then a count of lines", text);
    }
    char line[128];
    for (int64_t i = 0; i < count; i++) {
        char *rest = NULL;
        int64_t epoch = 0;
        int64_t start = 0;
        bool good = line_get(&in, line, sizeof line);
        if (!good || !word_number(strtok_r(line, " ", &rest), INT32_MAX, &epoch) ||
            !word_number(strtok_r(NULL, " ", &rest), INT64_MAX, &start) ||
            (out->count > 0 && (out->entries[out->count - 1].epoch >= epoch ||
                                out->entries[out->count - 1].start_offset >= start))) {
            in.line -= good;
            epochs_free(out);
            return bad_line(&in, "\"epoch start_offset\", both ascending", text);
        }
        *MEM_PUSH(out->entries, out->count, out->capacity) =
            (struct epoch_entry){.epoch = (int32_t)epoch, .start_offset = start};
    }
    return ERR_NONE;
}
