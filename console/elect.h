/* elect: ElectLeaders (KIP-460) for the preferred leader of one partition.
 *
 * The state and the memory of one request, owned by whoever asks; zero-initialise. */
#ifndef CONSOLE_ELECT_H
#define CONSOLE_ELECT_H

#include <stdint.h>

#include "common/wire/messages.h"
#include "console/action.h"

struct asker;

enum { ELECT_TIMEOUT_MS = 10000 };

struct elect {
    struct elect_leaders_request request;
    struct elect_leaders_request_topic_partition topic;
    int32_t partition;
    char name[ACTION_TOPIC_BYTES];
    void (*done)(void *ctx, const struct action_answer *answer);
    void *ctx;
};

/* `e` must stay where it is until `done`, which comes once, later; or until the asker is freed,
 * after which it does not come. Any broker will do: it hands the request on to the controller. */
void elect_send(struct elect *e, struct asker *a, const char *topic, int32_t partition,
                void (*done)(void *ctx, const struct action_answer *answer), void *ctx);
/* What the cluster's answer says of the partition. Its message is written to `message`. */
struct action_answer elect_read(const struct elect *e, const struct elect_leaders_response *r,
                                struct err_text *message);

#endif
