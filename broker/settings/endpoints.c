#include "broker/settings/endpoints.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

static const char *const PROTOCOLS[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
enum { PROTOCOL_COUNT = sizeof PROTOCOLS / sizeof PROTOCOLS[0] };

const char *security_protocol_name(enum security_protocol protocol)
{
    ASSERT((int)protocol >= 0 && (int)protocol < PROTOCOL_COUNT);
    return PROTOCOLS[protocol];
}

/* Decimal digits and nothing else, up to `most`. */
static bool number_parse(const char *text, long most, long *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits] != '\0') {
        return false;
    }
    *out = strtol(text, NULL, 10);
    return *out <= most;
}

static bool host_is_sound(const char *host, size_t size, bool bracketed)
{
    static const char sound[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._%";
    for (size_t i = 0; i < size; i++) {
        if (strchr(sound, host[i]) == NULL && !(bracketed && host[i] == ':')) {
            return false;
        }
    }
    return !bracketed || size > 0;
}

bool host_port_parse(const char *text, char host[ENDPOINT_HOST_BYTES], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return false;
    }
    const char *start = text;
    const char *end = colon;
    bool bracketed = end - start >= 2 && *start == '[' && end[-1] == ']';
    if (bracketed) {
        start++;
        end--;
    }
    size_t size = (size_t)(end - start);
    long number;
    if (size >= ENDPOINT_HOST_BYTES || !host_is_sound(start, size, bracketed) ||
        !number_parse(colon + 1, UINT16_MAX, &number)) {
        return false;
    }
    memcpy(host, start, size);
    host[size] = '\0';
    *port = (uint16_t)number;
    return true;
}

static bool name_parse(const char *text, size_t size, char to[ENDPOINT_NAME_BYTES])
{
    if (size == 0 || size >= ENDPOINT_NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c >= 'a' && c <= 'z') {
            c = (char)(c - 'a' + 'A');
        }
        bool sound = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("_-.", c) != NULL;
        if (!sound || c == '\0') {
            return false;
        }
        to[i] = c;
    }
    to[size] = '\0';
    return true;
}

/* Finds NAME in "NAME:PROTOCOL,NAME:PROTOCOL". ERR_NOT_FOUND, or ERR_INVALID for a map that is
 * wrong. */
static enum err protocol_of(const char *map, const char *name, enum security_protocol *out,
                            struct err_text *text)
{
    size_t name_size = strlen(name);
    for (const char *at = map; *at != '\0';) {
        at += strspn(at, " ,");
        size_t size = strcspn(at, ",");
        const char *colon = memchr(at, ':', size);
        if (size > 0 && colon == NULL) {
            err_set(text, "'%.*s' is not NAME:PROTOCOL", (int)(size < 80 ? size : 80), at);
            return ERR_INVALID;
        }
        if (size > 0 && (size_t)(colon - at) == name_size &&
            strncasecmp(at, name, name_size) == 0) {
            const char *word = colon + 1;
            word += strspn(word, " ");
            size_t word_size = strcspn(word, ", ");
            for (int i = 0; i < PROTOCOL_COUNT; i++) {
                if (strlen(PROTOCOLS[i]) == word_size &&
                    strncasecmp(PROTOCOLS[i], word, word_size) == 0) {
                    *out = (enum security_protocol)i;
                    return ERR_NONE;
                }
            }
            err_set(text,
                    "'%.*s' is no protocol (expected PLAINTEXT, SSL, SASL_PLAINTEXT or "
                    "SASL_SSL)",
                    (int)(word_size < 80 ? word_size : 80), word);
            return ERR_INVALID;
        }
        at += size;
    }
    return ERR_NOT_FOUND;
}

static enum err endpoint_parse(const char *item, const char *map, struct endpoint *out,
                               struct err_text *text)
{
    const char *sign = strstr(item, "://");
    if (sign == NULL || !name_parse(item, (size_t)(sign - item), out->name) ||
        !host_port_parse(sign + 3, out->host, &out->port)) {
        err_set(text, "'%.100s' is not NAME://HOST:PORT", item);
        return ERR_INVALID;
    }
    enum err error = protocol_of(map, out->name, &out->protocol, text);
    if (error == ERR_NOT_FOUND) {
        err_set(text,
                "listener %s has no protocol: add %s:PLAINTEXT (or another protocol) to "
                "listener.security.protocol.map",
                out->name, out->name);
        return ERR_INVALID;
    }
    if (error != ERR_NONE) {
        err_wrap(text, "listener.security.protocol.map");
    }
    return error;
}

enum err endpoints_parse(struct setting_list listeners, const char *map, struct endpoint_list *out,
                         struct err_text *text)
{
    *out = (struct endpoint_list){.items = mem_array(listeners.count, sizeof *out->items)};
    for (size_t i = 0; i < listeners.count; i++) {
        struct endpoint endpoint = {.port = 0};
        enum err error = endpoint_parse(listeners.items[i], map, &endpoint, text);
        if (error == ERR_NONE && endpoints_find(out, endpoint.name) != NULL) {
            err_set(text, "listener %s is given twice", endpoint.name);
            error = ERR_INVALID;
        }
        if (error != ERR_NONE) {
            endpoints_free(out);
            return error;
        }
        out->items[out->count++] = endpoint;
    }
    return ERR_NONE;
}

const struct endpoint *endpoints_find(const struct endpoint_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcasecmp(list->items[i].name, name) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

void endpoints_free(struct endpoint_list *list)
{
    mem_free(list->items);
    *list = (struct endpoint_list){0};
}

static bool voter_parse(const char *item, struct voter *out)
{
    const char *at = strchr(item, '@');
    if (at == NULL || at - item > 10) {
        return false;
    }
    char digits[11];
    memcpy(digits, item, (size_t)(at - item));
    digits[at - item] = '\0';
    long id;
    if (!number_parse(digits, INT32_MAX, &id) || !host_port_parse(at + 1, out->host, &out->port)) {
        return false;
    }
    out->id = (int32_t)id;
    return out->host[0] != '\0' && out->port != 0;
}

static int by_id(const void *a, const void *b)
{
    const struct voter *x = a;
    const struct voter *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

enum err voters_parse(struct setting_list voters, struct voter_list *out, struct err_text *text)
{
    *out = (struct voter_list){.items = mem_array(voters.count, sizeof *out->items)};
    for (size_t i = 0; i < voters.count; i++) {
        struct voter voter = {.id = 0};
        bool sound = voter_parse(voters.items[i], &voter);
        if (!sound) {
            err_set(text, "'%.100s' is not ID@HOST:PORT", voters.items[i]);
        } else if (voters_find(out, voter.id) != NULL) {
            err_set(text, "voter %d is given twice", (int)voter.id);
            sound = false;
        }
        if (!sound) {
            voters_free(out);
            return ERR_INVALID;
        }
        out->items[out->count++] = voter;
    }
    qsort(out->items, out->count, sizeof *out->items, by_id);
    return ERR_NONE;
}

const struct voter *voters_find(const struct voter_list *list, int32_t id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].id == id) {
            return &list->items[i];
        }
    }
    return NULL;
}

void voters_free(struct voter_list *list)
{
    mem_free(list->items);
    *list = (struct voter_list){0};
}
