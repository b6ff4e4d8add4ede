/* HOST:PORT[,HOST:PORT...] into links. */
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/client/impl.h"

enum { DEFAULT_PORT = 9092, MAX_HOST_BYTES = 255 };

static enum err bad(const char *server, const char *what, struct err_text *text)
{
    err_set(text, "bootstrap server '%s': %s", server, what);
    return ERR_INVALID;
}

static bool parse_port(const char *s, uint16_t *port)
{
    char *end = NULL;
    if (*s < '0' || *s > '9' || strlen(s) > 5) {
        return false;
    }
    long n = strtol(s, &end, 10);
    *port = (uint16_t)n;
    return *end == '\0' && n > 0 && n <= UINT16_MAX;
}

/* Cuts `s` into its host and what stands behind it ("" or ":PORT"); NULL when it has no such form.
 */
static const char *cut_host(char *s, const char **host, char *rest, size_t rest_bytes)
{
    char *end = NULL;
    if (*s == '[') {
        end = strchr(s, ']');
        if (end == NULL) {
            return NULL;
        }
        *end++ = '\0';
        s++;
    } else {
        end = strchr(s, ':');
        end = end != NULL ? end : s + strlen(s);
        if (strchr(end, ':') != strrchr(end, ':')) {
            return NULL; /* an IPv6 address without brackets */
        }
    }
    if (strlen(end) >= rest_bytes) {
        return NULL;
    }
    memcpy(rest, end, strlen(end) + 1);
    *end = '\0';
    *host = s;
    return rest;
}

static enum err add_server(struct cluster *c, const char *server, struct err_text *text)
{
    char copy[MAX_HOST_BYTES + 16];
    char rest[16];
    const char *host = NULL;
    if (*server == '\0') {
        return bad(server, "it is empty; HOST:PORT[,HOST:PORT...] is expected", text);
    }
    if (strlen(server) > MAX_HOST_BYTES) {
        return bad(server, "it is too long", text);
    }
    memcpy(copy, server, strlen(server) + 1);
    const char *behind = cut_host(copy, &host, rest, sizeof rest);
    if (behind == NULL) {
        return bad(server, "HOST:PORT is expected, an IPv6 address in brackets", text);
    }
    if (*host == '\0') {
        return bad(server, "there is no host before the port", text);
    }
    uint16_t port = DEFAULT_PORT;
    if (*behind != '\0' && (*behind != ':' || !parse_port(behind + 1, &port))) {
        return bad(server, "the port must be a number from 1 to 65535", text);
    }
    link_get(c, host, port)->bootstrap = true;
    return ERR_NONE;
}

enum err bootstrap_parse(struct cluster *c, const char *bootstrap, struct err_text *text)
{
    ASSERT(bootstrap != NULL);
    char *list = mem_strdup(bootstrap);
    char *left = list;
    char *item;
    enum err e = ERR_NONE;
    while (e == ERR_NONE && (item = strsep(&left, ",")) != NULL) {
        item += strspn(item, " \t");
        item[strcspn(item, " \t")] = '\0';
        e = add_server(c, item, text);
    }
    mem_free(list);
    return e;
}
