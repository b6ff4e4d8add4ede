/* What a leader notes of who fetches: voters, and the observers among whom are all brokers that are
 * no voters (KIP-836). An observer that was silent for five minutes is forgotten. */
#include "broker/quorum/quorum_internal.h"

enum { OBSERVER_SILENT_MS = 300000 };

const struct quorum_seen quorum_not_seen = {
    .end_offset = -1, .leader_end = -1, .last_fetch_ms = -1, .last_caught_up_ms = -1};

/* Caught up: it had everything at its last fetch, or has now what there was at the one before. */
void quorum_seen_note(const struct quorum *quorum, struct quorum_seen *seen, int64_t offset,
                      const struct uuid *directory_id)
{
    int64_t end = log_end(quorum->log);
    int64_t now_ms = env_wall_ms(quorum->env);
    if (offset >= end) {
        seen->last_caught_up_ms = now_ms;
    } else if (seen->last_fetch_ms >= 0 && offset >= seen->leader_end) {
        seen->last_caught_up_ms = seen->last_fetch_ms;
    }
    seen->end_offset = offset;
    seen->leader_end = end;
    seen->last_fetch_ms = now_ms;
    if (!uuid_is_zero(directory_id)) {
        seen->directory_id = *directory_id;
    }
}

static void forget(struct quorum *quorum, int32_t at)
{
    ASSERT(at >= 0 && at < quorum->observer_count);
    quorum->observers[at] = quorum->observers[--quorum->observer_count];
}

void quorum_observers_tidy(struct quorum *quorum)
{
    for (int32_t i = quorum->observer_count - 1; i >= 0; i--) {
        if (env_now_ms(quorum->env) - quorum->observers[i].fetched_at_ms > OBSERVER_SILENT_MS) {
            forget(quorum, i);
        }
    }
}

static struct quorum_observer *room_for(struct quorum *quorum)
{
    if (quorum->observer_count < QUORUM_OBSERVERS_MAX) {
        return &quorum->observers[quorum->observer_count++];
    }
    struct quorum_observer *oldest = &quorum->observers[0];
    for (int32_t i = 1; i < quorum->observer_count; i++) {
        if (quorum->observers[i].fetched_at_ms < oldest->fetched_at_ms) {
            oldest = &quorum->observers[i];
        }
    }
    return oldest;
}

void quorum_observer_fetched(struct quorum *quorum, int32_t id, int64_t offset,
                             const struct uuid *directory_id)
{
    ASSERT(quorum->role == QUORUM_LEADER && !quorum_is_voter(quorum, id));
    if (id < 0) {
        return; /* somebody looks without being of the cluster */
    }
    quorum_observers_tidy(quorum);
    struct quorum_observer *observer = NULL;
    for (int32_t i = 0; i < quorum->observer_count && observer == NULL; i++) {
        observer = quorum->observers[i].id == id ? &quorum->observers[i] : NULL;
    }
    if (observer == NULL) {
        observer = room_for(quorum);
        *observer = (struct quorum_observer){.id = id, .seen = quorum_not_seen};
    }
    observer->fetched_at_ms = env_now_ms(quorum->env);
    quorum_seen_note(quorum, &observer->seen, offset, directory_id);
}
