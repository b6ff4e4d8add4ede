/* Names on disk: a directory is TOPIC-PARTITION, whatever the topic's id. A partition made again
 * under the name of one that is going waits until it has gone. */
#include <string.h>

#include "broker/replica/replica_internal.h"
#include "common/base/assert.h"
#include "common/base/mem.h"

static bool same_name(const struct replica *a, const struct replica *b)
{
    return a->key.partition == b->key.partition && a->dir == b->dir &&
           strcmp(a->topic, b->topic) == 0;
}

bool replica_name_taken(const struct replica *replica)
{
    LIST_FOREACH(node, &replica->all->gone) {
        const struct replica *other = CONTAINER_OF(node, struct replica, gone);
        if (other->log != NULL && same_name(other, replica)) {
            return true;
        }
    }
    return false;
}

void replica_await_name(struct replica *replica)
{
    replica->name_awaited = true;
    replica->all->names_awaited++;
}

void replica_await_no_name(struct replica *replica)
{
    ASSERT(replica->name_awaited && replica->all->names_awaited > 0);
    replica->name_awaited = false;
    replica->all->names_awaited--;
}

void replica_names_freed(struct replicas *all)
{
    struct replica *replica;
    struct replica *next;
    if (all->names_awaited == 0) {
        return;
    }
    HASH_ITER(hh, all->by_key, replica, next)
    {
        if (replica->name_awaited && !replica_name_taken(replica)) {
            replica_await_no_name(replica);
            replica_open_log(replica);
        }
    }
}

/* ---- what a crash left ---- */

struct stray {
    const struct replica *wanted; /* by name */
    struct uuid topic_id;
    bool found;
};

static void find_stray(void *ctx, const char *topic, int32_t partition, const struct uuid *topic_id)
{
    struct stray *stray = ctx;
    if (partition == stray->wanted->key.partition && strcmp(topic, stray->wanted->topic) == 0) {
        stray->topic_id = *topic_id;
        stray->found = true;
    }
}

bool replica_remove_stray(struct replica *replica)
{
    struct replicas *all = replica->all;
    struct stray stray = {.wanted = replica};
    log_free(replica->log);
    replica->log = NULL;
    log_dir_unopened(replica->dir, find_stray, &stray);
    if (replica->stray_removed || !stray.found || uuid_is_zero(&stray.topic_id)) {
        return false;
    }
    replica->stray_removed = true; /* once: what cannot be opened cannot be removed either */
    trace_warn(env_trace(all->env), "%s-%d on disk is of a topic that was deleted: removing it",
               replica->topic, replica->key.partition);
    struct replica_key key;
    memset(&key, 0, sizeof key);
    key.topic_id = stray.topic_id;
    key.partition = replica->key.partition;
    struct replica *old = replica_new(all, replica->topic, &key);
    old->dir = replica->dir;
    old->state = REPLICA_OPENING;
    HASH_DEL(all->by_key, old);
    list_push(&all->gone, &old->gone);
    old->deleting = true;
    all->opening++;
    replica_await_name(replica);
    replica_open_log(old);
    return true;
}
