/* The small text files of a log directory and of a partition directory, and the names of both. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

void meta_format(const struct log_dir_meta *meta, struct bytes *out)
{
    char id[UUID_TEXT_BYTES];
    ASSERT(meta->cluster_id[0] != '\0');
    bytes_printf(out, "version=1\ncluster.id=%s\nnode.id=%" PRId32 "\ndirectory.id=%s\n",
                 meta->cluster_id, meta->node_id, uuid_format(&meta->directory_id, id));
}

/* The next line of [*at, end), copied without its end and without blanks around it. False at the
 * end. */
static bool next_line(const char **at, const char *end, char *line, size_t line_size)
{
    if (*at >= end) {
        return false;
    }
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    const char *next = stop == NULL ? end : stop + 1;
    const char *from = *at;
    const char *to = stop == NULL ? end : stop;
    while (from < to && (*from == ' ' || *from == '\t')) {
        from++;
    }
    while (to > from && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r')) {
        to--;
    }
    size_t size = (size_t)(to - from);
    if (size >= line_size) {
        size = line_size - 1;
    }
    memcpy(line, from, size);
    line[size] = '\0';
    *at = next;
    return true;
}

/* The value when `line` is "KEY<separator>VALUE", else NULL. */
static char *value_of(char *line, const char *key, char separator)
{
    size_t length = strlen(key);
    if (strncmp(line, key, length) != 0) {
        return NULL;
    }
    char *at = line + length;
    while (*at == ' ') {
        at++;
    }
    if (*at != separator) {
        return NULL;
    }
    at++;
    while (*at == ' ') {
        at++;
    }
    return at;
}

static bool number_parse(const char *text, int64_t min, int64_t max, int64_t *out)
{
    if (*text == '\0' || *text == ' ' || *text == '+') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < min || value > max) {
        return false;
    }
    *out = value;
    return true;
}

enum err meta_parse(const void *data, size_t size, struct log_dir_meta *meta, struct err_text *text)
{
    const char *at = data;
    const char *end = at + size;
    char line[512];
    int64_t version = -1;
    int64_t node_id = -1;
    bool directory = false;
    *meta = (struct log_dir_meta){.node_id = -1};
    if (size > 0 && memchr(data, '\0', size) != NULL) {
        err_set(text, "it holds a zero byte, as what was written while power failed may");
        return ERR_CORRUPT;
    }
    while (next_line(&at, end, line, sizeof line)) {
        char *value = NULL;
        if (line[0] == '#' || line[0] == '!' || line[0] == '\0') {
            continue;
        }
        bool good = true;
        if ((value = value_of(line, "version", '=')) != NULL) {
            good = number_parse(value, 0, 1, &version);
        } else if ((value = value_of(line, "cluster.id", '=')) != NULL) {
            good = value[0] != '\0' && strlen(value) < sizeof meta->cluster_id;
            snprintf(meta->cluster_id, sizeof meta->cluster_id, "%.63s", value);
        } else if ((value = value_of(line, "node.id", '=')) != NULL ||
                   (value = value_of(line, "broker.id", '=')) != NULL) {
            good = number_parse(value, 0, INT32_MAX, &node_id);
        } else if ((value = value_of(line, "directory.id", '=')) != NULL) {
            good = directory = uuid_parse(value, &meta->directory_id);
        }
        if (!good) {
            err_set(text, "line \"%.100s\" does not hold a valid value", line);
            return ERR_CORRUPT;
        }
    }
    meta->node_id = (int32_t)node_id;
    if (version != 1 || meta->cluster_id[0] == '\0' || node_id < 0 || !directory) {
        err_set(text,
                "version=1, cluster.id, node.id and directory.id are expected, one is missing");
        return ERR_CORRUPT;
    }
    return ERR_NONE;
}

void partition_metadata_format(const struct uuid *topic_id, struct bytes *out)
{
    char id[UUID_TEXT_BYTES];
    bytes_printf(out, "version: 0\ntopic_id: %s\n", uuid_format(topic_id, id));
}

enum err partition_metadata_parse(const void *data, size_t size, struct uuid *topic_id,
                                  struct err_text *text)
{
    const char *at = data;
    const char *end = at + size;
    char line[128];
    int64_t version = -1;
    bool found = false;
    while (next_line(&at, end, line, sizeof line)) {
        char *value = NULL;
        if ((value = value_of(line, "version", ':')) != NULL) {
            if (!number_parse(value, 0, 0, &version)) {
                break;
            }
        } else if ((value = value_of(line, "topic_id", ':')) != NULL) {
            found = uuid_parse(value, topic_id);
        }
    }
    if (version != 0 || !found) {
        err_set(text, "\"version: 0\" and \"topic_id: UUID\" are expected");
        return ERR_CORRUPT;
    }
    return ERR_NONE;
}

void clean_shutdown_format(int64_t broker_epoch, struct bytes *out)
{
    bytes_printf(out, "{\"version\":0,\"brokerEpoch\":%" PRId64 "}", broker_epoch);
}

int64_t clean_shutdown_parse(const void *data, size_t size)
{
    static const char key[] = "\"brokerEpoch\"";
    const char *at = size == 0 ? NULL : memmem(data, size, key, sizeof key - 1);
    if (at == NULL) {
        return -1;
    }
    const char *end = (const char *)data + size;
    char number[32];
    size_t length = 0;
    for (at += sizeof key - 1; at < end && (*at == ':' || *at == ' '); at++) {
    }
    for (; at < end && length + 1 < sizeof number && strchr("-0123456789", *at) != NULL; at++) {
        number[length++] = *at;
    }
    number[length] = '\0';
    int64_t epoch = -1;
    return number_parse(number, 0, INT64_MAX, &epoch) ? epoch : -1;
}

bool partition_name_parse(const char *name, char *topic, size_t topic_size, int32_t *partition)
{
    const char *dash = strrchr(name, '-');
    if (dash == NULL || dash == name || (size_t)(dash - name) >= topic_size) {
        return false;
    }
    int64_t number = 0;
    if (dash[1] < '0' || dash[1] > '9' || !number_parse(dash + 1, 0, INT32_MAX, &number)) {
        return false;
    }
    memcpy(topic, name, (size_t)(dash - name));
    topic[dash - name] = '\0';
    *partition = (int32_t)number;
    return true;
}

bool segment_name_parse(const char *name, const char *suffix, int64_t *base_offset)
{
    enum { DIGITS = 20 };
    size_t length = strlen(name);
    if (length != DIGITS + strlen(suffix) || strcmp(name + DIGITS, suffix) != 0) {
        return false;
    }
    char number[DIGITS + 1];
    memcpy(number, name, DIGITS);
    number[DIGITS] = '\0';
    if (strspn(number, "0123456789") != DIGITS) {
        return false;
    }
    return number_parse(number, 0, INT64_MAX, base_offset);
}

char *segment_path(const char *dir_path, int64_t base_offset, const char *suffix)
{
    ASSERT(base_offset >= 0);
    size_t size = strlen(dir_path) + strlen(suffix) + 32;
    char *path = mem_alloc(size);
    snprintf(path, size, "%s/%020" PRId64 "%s", dir_path, base_offset, suffix);
    return path;
}

char *path_join(const char *dir_path, const char *name)
{
    size_t size = strlen(dir_path) + strlen(name) + 2;
    char *path = mem_alloc(size);
    snprintf(path, size, "%s/%s", dir_path, name);
    return path;
}
