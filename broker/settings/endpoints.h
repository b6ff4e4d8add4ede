/* endpoints: listeners and voters as text and as structs.
 *
 *   listeners, advertised.listeners   NAME://HOST:PORT,...
 * (SocketServerConfigs.listenerListToEndPoints) controller.quorum.voters          ID@HOST:PORT,...
 * (QuorumConfig.parseVoterConnections) listener.security.protocol.map    NAME:PROTOCOL,... An IPv6
 * host stands in brackets. No name is looked up here. */
#ifndef BROKER_SETTINGS_ENDPOINTS_H
#define BROKER_SETTINGS_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/settings.h"

/* Kafka's ids of SecurityProtocol. */
enum security_protocol {
    SECURITY_PLAINTEXT = 0,
    SECURITY_SSL = 1,
    SECURITY_SASL_PLAINTEXT = 2,
    SECURITY_SASL_SSL = 3,
};

enum { ENDPOINT_NAME_BYTES = 64, ENDPOINT_HOST_BYTES = 256 };

struct endpoint {
    char name[ENDPOINT_NAME_BYTES]; /* upper case, as Kafka normalises it */
    char host[ENDPOINT_HOST_BYTES]; /* without brackets; "" is every interface */
    uint16_t port;                  /* 0: any free port */
    enum security_protocol protocol;
};

struct endpoint_list {
    struct endpoint *items;
    size_t count;
};

struct voter {
    int32_t id;
    char host[ENDPOINT_HOST_BYTES];
    uint16_t port;
};

struct voter_list {
    struct voter *items; /* by id */
    size_t count;
};

/* Both fill `out`, freed with the functions below, and on error leave it empty with text that names
 * the item: "'PLAINTEXT//x:1' is not NAME://HOST:PORT". A name given twice is an error. `map` is
 * the text of listener.security.protocol.map; a name that is not in it is an error. */
enum err endpoints_parse(struct setting_list listeners, const char *map, struct endpoint_list *out,
                         struct err_text *text);
/* Port 0 (KIP-853's "not known") is refused; an id given twice is an error. */
enum err voters_parse(struct setting_list voters, struct voter_list *out, struct err_text *text);
void endpoints_free(struct endpoint_list *list);
void voters_free(struct voter_list *list);

/* The listener of that name, in any case; NULL when there is none. */
const struct endpoint *endpoints_find(const struct endpoint_list *list, const char *name);
const struct voter *voters_find(const struct voter_list *list, int32_t id);
const char *security_protocol_name(enum security_protocol protocol);

/* "HOST:PORT" or "[HOST]:PORT" taken apart; false when it is neither. An empty host is allowed. */
bool host_port_parse(const char *text, char host[ENDPOINT_HOST_BYTES], uint16_t *port);

#endif
