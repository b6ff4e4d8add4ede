/* The rules between settings (KafkaConfig.validateValues), and the parsed fields they lead to.
 *
 * The happy path: node and roles -> listeners -> which of them carry the quorum -> what is
 * advertised -> voters -> directories -> rules between numbers -> the topics' defaults. A later
 * step uses the fields of the earlier ones. Any error leaves fields that may be freed and filled
 * again, nothing else. */
#include "broker/settings/broker_settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "broker/settings/settings_internal.h"
#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/base/mem.h"

/* "ORIGIN: KEY: " before the text. */
static enum err at(const struct broker_settings *bs, const char *key, struct err_text *text)
{
    err_wrap(text, "%s: %s", settings_origin(bs->values, key), key);
    return ERR_INVALID;
}

static enum err check_node(struct broker_settings *bs, struct err_text *text)
{
    bool node_set = settings_is_set(bs->values, "node.id");
    int32_t broker_id = settings_int(bs->values, "broker.id");
    bs->node_id = settings_int(bs->values, "node.id");
    if (settings_is_set(bs->values, "broker.id") && broker_id >= 0) {
        if (node_set && broker_id != bs->node_id) {
            err_set(text, "%d differs from node.id %d: remove broker.id", (int)broker_id,
                    (int)bs->node_id);
            return at(bs, "broker.id", text);
        }
        bs->node_id = broker_id;
    }
    struct setting_list roles = settings_list(bs->values, "process.roles");
    bs->roles = 0;
    for (size_t i = 0; i < roles.count; i++) {
        unsigned role =
            strcmp(roles.items[i], "broker") == 0 ? BROKER_ROLE_BROKER : BROKER_ROLE_CONTROLLER;
        if (bs->roles & role) {
            err_set(text, "'%s' is given twice", roles.items[i]);
            return at(bs, "process.roles", text);
        }
        bs->roles |= role;
    }
    if (bs->roles == 0) {
        err_set(text, "no role is given (expected broker, controller or both)");
        return at(bs, "process.roles", text);
    }
    const char *cluster_id = settings_string(bs->values, "cluster.id");
    bs->cluster_id = cluster_id != NULL ? cluster_id : "";
    if (strlen(bs->cluster_id) > 63 || strpbrk(bs->cluster_id, " \t=#!") != NULL) {
        err_set(text,
                "'%.100s' is not an id (expected up to 63 characters without blanks, '=', "
                "'#' and '!')",
                bs->cluster_id);
        return at(bs, "cluster.id", text);
    }
    return ERR_NONE;
}

bool broker_settings_is_controller_listener(const struct broker_settings *bs, const char *name)
{
    for (size_t i = 0; i < bs->controller_listeners.count; i++) {
        if (strcasecmp(bs->controller_listeners.items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Without controller.listener.names the listener called CONTROLLER is meant, where there is one or,
 * on a node that is no controller, where the voters' protocol must be known. */
static const char *const DEFAULT_CONTROLLER_NAMES[] = {"CONTROLLER"};

static void find_controller_names(struct broker_settings *bs)
{
    bs->controller_listeners = settings_list(bs->values, "controller.listener.names");
    if (bs->controller_listeners.count > 0) {
        return;
    }
    struct setting_list listeners = settings_list(bs->values, "listeners");
    bool named = !(bs->roles & BROKER_ROLE_CONTROLLER);
    for (size_t i = 0; i < listeners.count; i++) {
        named = named || strncasecmp(listeners.items[i], "CONTROLLER://", 13) == 0;
    }
    bs->controller_listeners =
        (struct setting_list){.items = DEFAULT_CONTROLLER_NAMES, .count = named ? 1 : 0};
}

/* The protocol map; unless it is set, a controller listener's name not in it speaks PLAINTEXT
 * (KafkaConfig.effectiveListenerSecurityProtocolMap). */
static void protocol_map(const struct broker_settings *bs, struct bytes *map)
{
    const char *given = settings_string(bs->values, "listener.security.protocol.map");
    bytes_printf(map, "%s", given);
    if (!settings_is_set(bs->values, "listener.security.protocol.map")) {
        for (size_t i = 0; i < bs->controller_listeners.count; i++) {
            bytes_printf(map, ",%s:PLAINTEXT", bs->controller_listeners.items[i]);
        }
    }
}

static bool every_interface(const struct endpoint *e)
{
    return e->host[0] == '\0' || strcmp(e->host, "0.0.0.0") == 0 || strcmp(e->host, "::") == 0;
}

static enum err check_ports_and_protocols(struct broker_settings *bs, struct err_text *text)
{
    const struct endpoint_list *list = &bs->listeners;
    for (size_t i = 0; i < list->count; i++) {
        const struct endpoint *a = &list->items[i];
        if (a->protocol != SECURITY_PLAINTEXT) {
            err_set(text,
                    "listener %s speaks %s, and this version of Barnabas speaks PLAINTEXT only",
                    a->name, security_protocol_name(a->protocol));
            return at(bs, "listeners", text);
        }
        for (size_t j = i + 1; j < list->count; j++) {
            const struct endpoint *b = &list->items[j];
            bool meet = strcmp(a->host, b->host) == 0 || every_interface(a) || every_interface(b);
            if (a->port != 0 && a->port == b->port && meet) {
                err_set(text, "%s and %s share port %d: give each its own", a->name, b->name,
                        (int)a->port);
                return at(bs, "listeners", text);
            }
        }
    }
    return ERR_NONE;
}

static enum err check_listener_roles(struct broker_settings *bs, struct err_text *text)
{
    size_t controllers = 0;
    for (size_t i = 0; i < bs->listeners.count; i++) {
        controllers += broker_settings_is_controller_listener(bs, bs->listeners.items[i].name);
    }
    bool is_broker = (bs->roles & BROKER_ROLE_BROKER) != 0;
    bool is_controller = (bs->roles & BROKER_ROLE_CONTROLLER) != 0;
    struct setting_list names = bs->controller_listeners;
    if (is_broker && controllers == bs->listeners.count) {
        err_set(text, "a broker needs a listener for clients: add PLAINTEXT://HOST:PORT");
        return at(bs, "listeners", text);
    }
    if (!is_broker && controllers < bs->listeners.count) {
        err_set(text, "a node that is only a controller has no listener for clients: leave those "
                      "named in controller.listener.names");
        return at(bs, "listeners", text);
    }
    if (!is_controller && controllers > 0) {
        err_set(text, "a node that is only a broker has no controller listener: remove %s",
                names.items[0]);
        return at(bs, "listeners", text);
    }
    for (size_t i = 0; is_controller && i < names.count; i++) {
        if (endpoints_find(&bs->listeners, names.items[i]) == NULL) {
            err_set(text, "%s is not among listeners: add %s://HOST:PORT there", names.items[i],
                    names.items[i]);
            return at(bs, "controller.listener.names", text);
        }
    }
    bool alone = settings_list(bs->values, "controller.quorum.voters").count <= 1;
    if (is_controller && controllers == 0 && !(is_broker && alone)) {
        err_set(text, "a controller that others must reach needs a listener: add "
                      "CONTROLLER://HOST:PORT");
        return at(bs, "listeners", text);
    }
    return ERR_NONE;
}

static enum err check_listeners(struct broker_settings *bs, const char *map, struct err_text *text)
{
    endpoints_free(&bs->listeners);
    enum err error =
        endpoints_parse(settings_list(bs->values, "listeners"), map, &bs->listeners, text);
    if (error != ERR_NONE) {
        return at(bs, "listeners", text);
    }
    if (bs->listeners.count == 0) {
        err_set(text, "no listener is given (expected NAME://HOST:PORT)");
        return at(bs, "listeners", text);
    }
    error = check_listener_roles(bs, text);
    return error != ERR_NONE ? error : check_ports_and_protocols(bs, text);
}

static void add_endpoint(struct endpoint_list *list, const struct endpoint *e)
{
    size_t capacity = list->count;
    *MEM_PUSH(list->items, list->count, capacity) = *e;
}

/* A listener whose own address serves as the advertised one. */
static enum err advertise_own(struct broker_settings *bs, const struct endpoint *e,
                              struct err_text *text)
{
    bool controller = broker_settings_is_controller_listener(bs, e->name);
    struct endpoint told = *e;
    const struct voter *voter = voters_find(&bs->voters, bs->node_id);
    if (every_interface(e) && controller && voter != NULL) {
        memcpy(told.host, voter->host, sizeof told.host);
    } else if (every_interface(e)) {
        err_set(text,
                "%s listens on every interface, and others must be told one address: set "
                "advertised.listeners=%s://HOST:%d",
                e->name, e->name, (int)e->port);
        return at(bs, "listeners", text);
    }
    add_endpoint(controller ? &bs->advertised_controllers : &bs->advertised, &told);
    return ERR_NONE;
}

static enum err check_advertised(struct broker_settings *bs, const char *map, struct err_text *text)
{
    endpoints_free(&bs->advertised);
    endpoints_free(&bs->advertised_controllers);
    struct endpoint_list given;
    struct setting_list list = settings_list(bs->values, "advertised.listeners");
    if (endpoints_parse(list, map, &given, text) != ERR_NONE) {
        return at(bs, "advertised.listeners", text);
    }
    enum err error = ERR_NONE;
    for (size_t i = 0; i < given.count && error == ERR_NONE; i++) {
        const struct endpoint *e = &given.items[i];
        if (endpoints_find(&bs->listeners, e->name) == NULL) {
            err_set(text, "%s is not among listeners", e->name);
            error = at(bs, "advertised.listeners", text);
        } else if (every_interface(e)) {
            err_set(text, "%s: '%s' is no address others can connect to: name a host", e->name,
                    e->host);
            error = at(bs, "advertised.listeners", text);
        } else {
            add_endpoint(broker_settings_is_controller_listener(bs, e->name)
                             ? &bs->advertised_controllers
                             : &bs->advertised,
                         e);
        }
    }
    bool any_broker = bs->advertised.count > 0;
    for (size_t i = 0; i < bs->listeners.count && error == ERR_NONE; i++) {
        const struct endpoint *e = &bs->listeners.items[i];
        /* A client listener left out of a given list is private to this machine on purpose. */
        bool controller = broker_settings_is_controller_listener(bs, e->name);
        if ((controller || !any_broker || list.count == 0) &&
            endpoints_find(&given, e->name) == NULL) {
            error = advertise_own(bs, e, text);
        }
    }
    endpoints_free(&given);
    return error;
}

static enum err check_inter_broker(struct broker_settings *bs, struct err_text *text)
{
    bs->inter_broker_listener = "";
    if (!(bs->roles & BROKER_ROLE_BROKER)) {
        return ERR_NONE;
    }
    const char *key = "inter.broker.listener.name";
    const char *name = settings_string(bs->values, key);
    if (name != NULL && settings_is_set(bs->values, "security.inter.broker.protocol")) {
        err_set(text, "security.inter.broker.protocol is set too: keep one of them");
        return at(bs, key, text);
    }
    if (name == NULL) {
        key = "security.inter.broker.protocol";
        name = settings_string(bs->values, key);
        if (!settings_is_set(bs->values, key) && bs->advertised.count == 1) {
            name = bs->advertised.items[0].name;
        }
    }
    const struct endpoint *e = endpoints_find(&bs->advertised, name);
    if (e == NULL) {
        err_set(text,
                "no listener for clients is called %s: set inter.broker.listener.name to one "
                "that is",
                name);
        return at(bs, key, text);
    }
    bs->inter_broker_listener = e->name;
    return ERR_NONE;
}

/* A controller without voters given is its own only voter, at its first controller listener. */
static void add_lone_voter(struct broker_settings *bs)
{
    if (bs->voters.count > 0) {
        return;
    }
    ASSERT(bs->roles & BROKER_ROLE_CONTROLLER);
    size_t capacity = 0;
    struct voter *voter = MEM_PUSH(bs->voters.items, bs->voters.count, capacity);
    *voter = (struct voter){.id = bs->node_id};
    if (bs->advertised_controllers.count > 0) {
        const struct endpoint *e = &bs->advertised_controllers.items[0];
        memcpy(voter->host, e->host, sizeof voter->host);
        voter->port = e->port;
    }
}

static enum err check_voters(struct broker_settings *bs, struct err_text *text)
{
    const char *key = "controller.quorum.voters";
    voters_free(&bs->voters);
    if (voters_parse(settings_list(bs->values, key), &bs->voters, text) != ERR_NONE) {
        return at(bs, key, text);
    }
    bool is_controller = (bs->roles & BROKER_ROLE_CONTROLLER) != 0;
    if (bs->voters.count == 0 && is_controller) {
        return ERR_NONE;
    }
    if (bs->voters.count == 0) {
        err_set(text, "a node that is only a broker must know the controllers: set "
                      "controller.quorum.voters=ID@HOST:PORT,...");
        return at(bs, key, text);
    }
    bool among = voters_find(&bs->voters, bs->node_id) != NULL;
    if (is_controller != among) {
        err_set(text,
                is_controller ? "node %d is a controller but not among the voters: add it"
                              : "node %d is among the voters but not a controller: add controller "
                                "to process.roles",
                (int)bs->node_id);
        return at(bs, key, text);
    }
    return ERR_NONE;
}

static enum err check_dirs(struct broker_settings *bs, struct err_text *text)
{
    const char *key = settings_list(bs->values, "log.dirs").count > 0 ? "log.dirs" : "log.dir";
    bs->log_dirs = settings_list(bs->values, key);
    if (bs->log_dirs.count == 0) {
        err_set(text, "no data directory is given");
        return at(bs, key, text);
    }
    for (size_t i = 0; i < bs->log_dirs.count; i++) {
        if (bs->log_dirs.items[i][0] == '\0') {
            err_set(text, "a directory's name is empty");
            return at(bs, key, text);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(bs->log_dirs.items[i], bs->log_dirs.items[j]) == 0) {
                err_set(text, "%.200s is given twice", bs->log_dirs.items[i]);
                return at(bs, key, text);
            }
        }
    }
    const char *metadata = settings_string(bs->values, "metadata.log.dir");
    bs->metadata_log_dir = metadata != NULL ? metadata : bs->log_dirs.items[0];
    return ERR_NONE;
}

/* `low` must not be above `high`. */
static const struct {
    const char *low;
    const char *high;
    int64_t low_times;
} ORDERED[] = {
    {"broker.heartbeat.interval.ms", "broker.session.timeout.ms", 2},
    {"group.min.session.timeout.ms", "group.max.session.timeout.ms", 1},
    {"replica.fetch.wait.max.ms", "replica.socket.timeout.ms", 1},
    {"replica.fetch.wait.max.ms", "replica.lag.time.max.ms", 1},
};

/* Kafka gives these no bounds in the table and refuses them on the way. */
static const struct {
    const char *name;
    int64_t least;
} LEAST[] = {
    {"broker.heartbeat.interval.ms", 1},
    {"broker.session.timeout.ms", 1},
    {"default.replication.factor", 1},
    {"group.initial.rebalance.delay.ms", 0},
    {"group.min.session.timeout.ms", 1},
    {"log.flush.interval.ms", 0},
    {"log.flush.scheduler.interval.ms", 0},
    {"log.roll.jitter.ms", 0},
    {"log.roll.ms", 1},
    {"offset.metadata.max.bytes", 0},
    {"replica.lag.time.max.ms", 1},
    {"replica.high.watermark.checkpoint.interval.ms", 1},
};

static const char *const NEVER_ZERO[] = {
    "log.retention.ms",
    "log.retention.minutes",
    "log.retention.hours",
};

static enum err check_numbers(const struct broker_settings *bs, struct err_text *text)
{
    for (size_t i = 0; i < sizeof LEAST / sizeof LEAST[0]; i++) {
        if (!settings_has_value(bs->values, LEAST[i].name)) {
            continue;
        }
        int64_t value = settings_long(bs->values, LEAST[i].name);
        if (value < LEAST[i].least) {
            err_set(text, "%" PRId64 " is out of range (expected %" PRId64 " or more)", value,
                    LEAST[i].least);
            return at(bs, LEAST[i].name, text);
        }
    }
    for (size_t i = 0; i < sizeof ORDERED / sizeof ORDERED[0]; i++) {
        int64_t low = settings_long(bs->values, ORDERED[i].low);
        int64_t high = settings_long(bs->values, ORDERED[i].high);
        if (low * ORDERED[i].low_times > high) {
            err_set(text, "%" PRId64 " is more than %s%s (%" PRId64 ") allows", low,
                    ORDERED[i].low_times == 2 ? "half of " : "", ORDERED[i].high, high);
            return at(bs, ORDERED[i].low, text);
        }
    }
    for (size_t i = 0; i < sizeof NEVER_ZERO / sizeof NEVER_ZERO[0]; i++) {
        if (settings_has_value(bs->values, NEVER_ZERO[i])) {
            int64_t value = settings_long(bs->values, NEVER_ZERO[i]);
            if (value == 0 || value < -1) {
                err_set(text, "%" PRId64 " is out of range (expected 1 or more, or -1 for ever)",
                        value);
                return at(bs, NEVER_ZERO[i], text);
            }
        }
    }
    return ERR_NONE;
}

enum err broker_settings_check(struct broker_settings *bs, struct err_text *text)
{
    enum err error = check_node(bs, text);
    if (error != ERR_NONE) {
        return error;
    }
    find_controller_names(bs);
    struct bytes map = {0};
    protocol_map(bs, &map);
    error = check_listeners(bs, (const char *)map.data, text);
    if (error == ERR_NONE) {
        error = check_voters(bs, text);
    }
    if (error == ERR_NONE) {
        error = check_advertised(bs, (const char *)map.data, text);
    }
    bytes_free(&map);
    if (error == ERR_NONE) {
        add_lone_voter(bs);
        error = check_inter_broker(bs, text);
    }
    if (error == ERR_NONE) {
        error = check_dirs(bs, text);
    }
    if (error == ERR_NONE) {
        error = check_numbers(bs, text);
    }
    if (error == ERR_NONE) {
        topic_defaults_refresh(bs);
    }
    return error;
}
