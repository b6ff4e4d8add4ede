#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/net/impl.h"

bool net_addr_parse(const char *host, uint16_t port, struct net_addr *out)
{
    *out = (struct net_addr){.size = 0};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&out->storage, &v4, sizeof v4);
        out->size = sizeof v4;
        return true;
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&out->storage, &v6, sizeof v6);
        out->size = sizeof v6;
        return true;
    }
    return false;
}

void net_addr_peer(const struct sockaddr *from, struct net_peer *out)
{
    *out = (struct net_peer){.port = 0};
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, out->host, sizeof out->host);
        out->port = ntohs(v4.sin_port);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], out->host, sizeof out->host);
        } else {
            inet_ntop(AF_INET6, &v6.sin6_addr, out->host, sizeof out->host);
        }
        out->port = ntohs(v6.sin6_port);
    }
}

const char *net_addr_name(const char *host, uint16_t port, char *out, size_t size)
{
    ASSERT(size > 0);
    bool v6 = strchr(host, ':') != NULL;
    snprintf(out, size, v6 ? "[%.200s]:%u" : "%.200s:%u", host[0] ? host : "*", (unsigned)port);
    return out;
}
