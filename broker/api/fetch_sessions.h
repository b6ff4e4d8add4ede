/* The fetch sessions of this broker (KIP-227): made and freed by the owner of api_context, used by
 * api_fetch. */
#ifndef BROKER_API_FETCH_SESSIONS_H
#define BROKER_API_FETCH_SESSIONS_H

#include <stdint.h>

#include "broker/env/env.h"

struct fetch_sessions;

/* `slots`: max.incremental.fetch.session.cache.slots. */
struct fetch_sessions *fetch_sessions_new(struct env *env, int32_t slots);
/* While the replicas are there still, when all requests are gone. NULL is allowed. */
void fetch_sessions_free(struct fetch_sessions *all);
int fetch_sessions_count(const struct fetch_sessions *all);
/* How often a partition was looked at for any Fetch so far: what fetching costs. */
uint64_t fetch_sessions_looks(const struct fetch_sessions *all);

#endif
